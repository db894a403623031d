"""How fast a run approaches a limit: series along its trace, exponents fitted and predicted."""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastbias.checks.shown import Report, Shown, Spark, Table, html, text
from fastbias.solvers.limit import Limit

if TYPE_CHECKING:
    from fastbias.trace.trace import Trace

__all__ = ["LAST", "Rates", "Series", "late", "series"]

LAST = float(np.log(100.0))       # two decades of t: exponents are those of the end, not of the way
LATE = 0.1                        # where t has left int64, log t is the clock: its last decade
FEW = 3                           # rows that an exponent is fitted to: two would always fit
UNKNOWN = float("nan")


class Series(NamedTuple):
    """A quantity along a trace, and how it goes with its clock.

    ``level`` is what theory says it tends to, where it does; NaN stands for what is not known.
    """

    quantity: str
    values: np.ndarray        # (K,)
    clock: str                # "t" or "log t"
    fitted: float             # the exponent
    predicted: float          # by theory
    level: float

    def __repr__(self) -> str:
        return text(_report((self,)))

    def _repr_html_(self) -> str:
        return html(_report((self,)))


class Rates(Shown, tuple[Series, ...]):
    """The series of a run and its limit, in a tuple that shows itself as a table."""

    def _report(self) -> Report:
        return _report(self)


def _report(every: tuple[Series, ...]) -> Report:
    """Series as a table: the last value, the exponents, and the curve where it is not flat."""
    def told(x: float) -> str:
        return "" if np.isnan(x) else f"{x:.4g}"
    return [f"{len(every)} series along a run" if len(every) > 1 else "a series along a run",
            Table([(s.quantity, told(s.values[-1]) if s.values.size else "", s.clock,
                    told(s.fitted), told(s.predicted), told(s.level), Spark(_logs_of(s)))
                   for s in every],
                  ("quantity", "last", "clock", "fitted slope", "predicted", "level", "log scale"))]


def _logs_of(s: Series) -> np.ndarray:
    """The logarithm of its values, of those that are none themselves."""
    if s.quantity.startswith("log "):
        return s.values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(s.values))


def series(trace: Trace, limit: Limit) -> Rates:
    """What `Trace.rates` describes."""
    known = {rate.quantity: rate for rate in limit.rates}
    out = []
    for name, logs in _logs(trace, limit).items():
        rate, clock = known.get(name), "t"
        # ‖w‖ grows like log t where directions converge like a power of it
        if rate is not None:
            clock = rate.clock
        elif name == "norm" and "1 - cos" in known:
            clock = "log t"
        values = logs if name.startswith("log ") else np.exp(logs)
        slope, level = (rate.slope, rate.level) if rate else (UNKNOWN, UNKNOWN)
        out.append(Series(name, values, clock, _slope(trace, logs, clock), slope, level))
    return Rates(out)


def _logs(trace: Trace, limit: Limit) -> dict[str, np.ndarray]:
    """The logarithms (K,) of all quantities, by name."""
    gap = trace.gap(limit)
    sizes: dict[str, np.ndarray] = {"distance": gap}
    with np.errstate(divide="ignore", invalid="ignore"):
        if limit.kind in ("direction", "ray"):
            # of infinitely wide networks the norm is at most ½‖u‖², and in the limit that
            longs = (trace.u ** 2).sum(axis=1) / 2.0 if limit.norm is None \
                else np.asarray(limit.norm(trace._flat))
            # of unit vectors at an angle θ apart the gap is 2 sin θ/2, and 1 − cos θ half its
            # square: computed so, neither is lost where w is all but there
            sizes = {"direction": gap, "angle": 2.0 * np.arcsin(np.minimum(gap / 2.0, 1.0)),
                     "1 - cos": gap ** 2 / 2.0,
                     "norm": longs}
        if limit.kind == "direction":
            reached = trace.margin(limit.norm) if limit.norm is not None else \
                trace.margin("l2") * np.sqrt((trace._flat ** 2).sum(axis=1)) / longs
            sizes["margin gap"] = 1.0 - reached / limit.margin
        if limit.kind == "ray":
            sizes["finite gap"] = trace.finite_gap(limit)
        logs = {name: np.log(np.maximum(x, 0.0)) for name, x in sizes.items()}
        logs["log loss"] = trace.log_loss
        if limit.kind == "direction":
            logs["log t L"] = trace.log_t + trace.log_loss
    return logs


def _slope(trace: Trace, logs: np.ndarray, clock: str) -> float:
    """The slope of a series' logarithm against that of its clock, over its last rows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.log(trace.log_t) if clock == "log t" else trace.log_t
    use = late(trace) & np.isfinite(logs) & np.isfinite(x)
    enough = use.sum() >= FEW and np.ptp(x[use]) > 0
    return float(np.polyfit(x[use], logs[use], 1)[0]) if enough else UNKNOWN


def late(trace: Trace) -> np.ndarray:
    """Which rows (K,) exponents are fitted to: those of the last decades."""
    end = float(trace.log_t[-1])
    begin = LATE * end if trace.t[-1] < 0 else end - LAST
    return np.asarray((trace.log_t > 0) & (trace.log_t >= begin))
