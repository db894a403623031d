"""What a sweep came to as columns: how runs ended, and functions of a run and its limit."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks, theory
from fastbias.checks.shown import WIDE, Report, Table, clipped, series
from fastbias.data.rows import parts
from fastbias.engine.abi import Status
from fastbias.problem import Problem
from fastbias.running.points import Grid
from fastbias.running.tasks import digest
from fastbias.running.template import Traces
from fastbias.solvers.limit import Limit, NoTheorem
from fastbias.trace import RunStopped, Trace

if TYPE_CHECKING:
    import pandas
    import xarray

    from fastbias.running.sweep import Sweep

__all__ = ["KNOWN", "ends", "frame", "report", "table", "values"]

WORDS = 200           # characters of a failure that are shown
Function = Callable[[Trace, Limit | None], Any]


def _w(trace: Trace, limit: Limit | None) -> np.ndarray:
    return trace.w[-1]


def _margin(trace: Trace, limit: Limit | None) -> float:
    problem = trace.problem
    labels = problem is not None and problem.labelled
    norm = None if limit is None else limit.norm
    if not labels:
        return np.nan
    return float((trace.margin() if norm is None else trace.margin(norm))[-1])


def _gap(trace: Trace, limit: Limit | None) -> float:
    return np.nan if limit is None else float(trace.gap(limit)[-1])


KNOWN: dict[str, Function] = {"w": _w, "margin": _margin, "gap": _gap}
"""What may be asked for by its name alone."""


def ends(sweep: Sweep) -> dict[str, np.ndarray]:
    """Status, t, log_loss and error of each run, where it ended."""
    n, traces = len(sweep), sweep.traces
    status, error = np.empty(n, object), np.full(n, "", object)
    t, log_loss = np.full(n, -1), np.full(n, np.nan)
    left: Iterator[int] | range = range(n)
    if isinstance(traces, Traces) and traces.columns.found is not None:
        found = traces.columns.found
        names = np.array([s.name for s in sorted(Status)], object)
        done = found.filled > 0
        status[:], t[done] = names[found.status], found.t[done]
        log_loss[done] = found.log_loss[done, found.filled[done] - 1]
        left = iter(np.flatnonzero(~done).tolist())
    for i in left:
        trace, failure = traces[i], sweep.failures.get(i)
        # a run that stopped has a status; what was raised else has only its name
        status[i] = (type(failure).__name__
                     if trace is None or not isinstance(failure, RunStopped | None)
                     else trace.status.name)
        if trace is not None:
            t[i], log_loss[i] = trace.t[-1], trace.log_loss[-1]
    for i, failure in sweep.failures.items():
        error[i] = str(failure)
        trace = traces[i]
        # (of the last finite iterate, which need not be the last row)
        if trace is not None:
            t[i], log_loss[i] = trace.t[-1], trace.log_loss[-1]
    return {"status": status, "t": t, "log_loss": log_loss, "error": error}


def report(sweep: Sweep) -> Report:
    """What a sweep says of itself: its grid, where runs ended, and what went wrong first."""
    last = ends(sweep)
    lines: Report = [repr(sweep).strip("<>")]
    if sweep.axes:
        lines.append(Table([(clipped(name, WIDE), str(len(values)), _told(values[0]),
                             _told(values[-1])) for name, values in sweep.axes.items()],
                           ("grid", "values", "first", "last")))
    if len(sweep):
        lines.append(Table([series("t", last["t"]), series("log L", last["log_loss"])],
                           ("where runs ended", "first run", "last run", "run by run")))
    seen = dict.fromkeys(type(failure).__name__ for failure in sweep.failures.values())
    for name in seen:
        i = next(i for i in sorted(sweep.failures) if type(sweep.failures[i]).__name__ == name)
        said = str(sweep.failures[i]).partition("\n")[0]
        lines.append(f"run {i}: {name}: {clipped(said, WORDS)}")
    return lines


def _told(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else clipped(checks.short(value), WIDE)


def values(sweep: Sweep, functions: tuple[Any, ...]) -> dict[str, np.ndarray]:
    """What functions say of each run, by their names; NaN where there is no trace."""
    return _values(sweep, _functions(functions))


def _functions(functions: tuple[Any, ...]) -> dict[str, Function]:
    """The functions that were asked for, by their names."""
    found: dict[str, Function] = {}
    for f in functions:
        if isinstance(f, str):
            checks.name("functions", f, KNOWN)
            name, f = f, KNOWN[f]
        elif callable(f):
            name = getattr(f, "__name__", type(f).__name__)
        else:
            raise TypeError("functions must be functions of (trace, limit), or one of "
                            f"{', '.join(KNOWN)}, got {checks.short(f)}")
        if name in found:
            raise ValueError(f"functions must have names of their own, got {name!r} twice")
        found[name] = f
    return found


def _values(sweep: Sweep, functions: dict[str, Function]) -> dict[str, np.ndarray]:
    """What the functions say of each run (n, ...); NaN where there is no trace."""
    limits: dict[bytes, Limit | None] = {}
    found: dict[str, list[Any]] = {name: [None] * len(sweep) for name in functions}
    asks = any(f is not _w for f in functions.values())
    for i in range(len(sweep)) if functions else ():
        trace = sweep.traces[i]
        if trace is not None:
            limit = _limit(sweep, i, trace, limits) if asks else None
            for name, f in functions.items():
                found[name][i] = np.asarray(f(trace, limit))
    return {name: _stacked(name, values) for name, values in found.items()}


def _stacked(name: str, values: list[Any]) -> np.ndarray:
    """One array of what a function said, which must be of one shape."""
    shapes = {a.shape for a in values if a is not None}
    if len(shapes) > 1:
        raise ValueError(f"functions must return arrays of one shape, got {sorted(shapes)} of "
                         f"{name}")
    empty = np.full(shapes.pop() if shapes else (), np.nan)
    return np.array([empty if a is None else a for a in values])


def _limit(sweep: Sweep, i: int, trace: Trace, limits: dict[bytes, Limit | None]) -> Limit | None:
    """The limit of a run, once for each problem; None where no theorem speaks."""
    problem = trace.problem
    if not isinstance(problem, Problem):
        return None
    if problem.method.measured is not None:               # which its own run decides
        plan = sweep.plans[i]
        return None if plan is None or plan.t == 0 else _asked(plan.limit)
    key = _key(problem)
    if key not in limits:
        limits[key] = _asked(lambda: theory.limit(problem))
    return limits[key]


def _asked(limit: Callable[[], Limit]) -> Limit | None:
    try:
        return limit()
    except NoTheorem:
        return None


def _key(problem: Problem) -> bytes:
    """All of a problem that its limit may depend on."""
    method, loss, model = problem.method, problem.loss, problem.model
    geometry, maps = method.maps
    pieces = (loss.slope, loss.log_loss, model.forward, model.pullback, problem.rule.rule,
              method.direction, method.advance, *maps)
    drawn = method.sampling.batch, method.sampling.replace, method.exact, method.average
    told = repr((loss, method, drawn, model, problem.shape, problem.columns,
                 problem.intercept, problem.names,
                 None if problem.classes is None else problem.classes.tolist(),
                 [id(piece) for piece in pieces]))
    weights = [] if problem.weights is None else [problem.weights]
    X = parts(problem.X).values() if problem.sparse else [problem.X]
    return digest([np.frombuffer(told.encode(), np.uint8), *X, problem.y, problem.start,
                   loss.params, model.params, problem.rule.params, method.params, method.beta,
                   method.gamma, geometry, *weights])


def table(sweep: Sweep, functions: tuple[Any, ...]) -> pandas.DataFrame:
    """One row a run."""
    import pandas
    asked = _functions(functions)
    last = ends(sweep)
    taken = {*last, *asked}
    columns: dict[str, Any] = {}
    for name, values in _parameters(sweep).items():
        columns[f"param_{name}" if name in taken else name] = values
    columns |= last
    for name, found in _values(sweep, asked).items():
        flat = found.reshape(len(found), int(np.prod(found.shape[1:])))
        called = _called(sweep, asked[name], flat.shape[1])
        names = [name] if found.ndim == 1 else [f"{name}{one}" for one in called]
        columns |= dict(zip(names, flat.T, strict=True))
    return pandas.DataFrame(columns, index=pandas.RangeIndex(len(sweep), name="run"))


def _called(sweep: Sweep, function: Function, size: int) -> Iterable[str | int]:
    """What the entries of a function are called: those of w by the names of columns."""
    first = next((plan for plan in sweep.plans if plan is not None), None)
    known = None if first is None or function is not _w else first.problem.called
    return [f"[{one}]" for one in known] if known and len(known) == size else range(size)


def _parameters(sweep: Sweep) -> dict[str, Any]:
    """The points as columns."""
    if isinstance(sweep.points, Grid) and sweep.points.axes:
        at = sweep.points.places(np.arange(len(sweep)))
        return {name: _picked(values, at[name]) for name, values in sweep.points.axes.items()}
    names = dict.fromkeys(name for point in sweep.points for name in point)
    return {name: [point.get(name) for point in sweep.points] for name in names}


def _picked(values: list[Any], at: np.ndarray) -> Any:
    """The values at some places: numbers and texts as an array of theirs, others as objects."""
    if all(np.ndim(value) == 0 for value in values):
        return np.array(values)[at]
    found = np.empty(len(values), object)
    found[:] = values
    return found[at].tolist()


def frame(sweep: Sweep, functions: tuple[Any, ...]) -> xarray.Dataset:
    """A Dataset over the axes of the grid, or over the runs."""
    import xarray
    asked = _functions(functions)
    axes = sweep.axes
    dims = tuple(axes) if axes is not None else ("run",)
    shape = sweep.shape if axes is not None else (len(sweep),)
    columns = ends(sweep) | _values(sweep, asked)
    found, clash = {}, {*columns}
    dims = tuple(f"param_{name}" if name in clash else name for name in dims)
    for name, values in columns.items():
        inner = tuple(f"{name}_{j}" for j in range(values.ndim - 1))
        found[name] = ((*dims, *inner), values.reshape(*shape, *values.shape[1:]))
    coords = {dim: values for dim, values in zip(dims, (axes or {}).values(), strict=False)
              if all(np.ndim(value) == 0 for value in values)}
    return xarray.Dataset(found, coords=coords)
