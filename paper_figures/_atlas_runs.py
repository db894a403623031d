"""What the atlas knows of a run: the row of theory that covers it, what it says, what was measured,
and the verdict.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import fastbias as fb
from fastbias.solvers.cones import cone
from fastbias.solvers.limit import PAPER
from fastbias.theory import CONSTRAINED, INSEPARABLE, MARGIN, NETWORK, ROOT, Point, Row
from fastbias.theory.base import covering as row_of
from fastbias.theory.inseparable import deciding
from paper_figures._atlas_made import Case, Far, Flow, follow

REST = 1e-8  # a run that has come to rest, or a flow, at its limit point
LOOSE = 0.02  # a margin under way, of the maximum; less than other norms lack
TIMES = 100  # the constant before a rate that a row names
SEEN = 3  # how often what the runs still move counts as a difference ...
FLOOR = 1e-6                                               # ... and what counts as none
HOLDS, OPEN, NONE, FAILS = "holds", "open", "no characterisation", "FAILS"
TABLES = {"§2": ROOT, "§3": MARGIN, "§4": NETWORK, "off §3": INSEPARABLE,
          "decay": CONSTRAINED}


def covering(plan: fb.Plan, flow: bool) -> tuple[str, Row]:
    """The section whose table speaks of a plan, as `fastbias.theory.limit` chooses it, and the
    first row that covers it.
    """
    problem = plan.problem
    if problem.method.shrink:
        return "decay", row_of(CONSTRAINED, problem, flow)
    network = not problem.model.linear or problem.method.decay
    section = "§4" if network else "§3" if problem.loss.kind == "monotone" else "§2"
    parts = cone(problem.rows) if section == "§3" else None
    if parts is not None and not parts.strict.all():
        return "off §3", deciding(problem, flow, parts)
    return section, row_of(TABLES[section], problem, flow)


def runs_away(trace: fb.Trace) -> bool:
    """Whether only the direction of a run can have a limit."""
    method = trace.problem.method
    return bool(trace.problem.loss.kind == "monotone" and not (method.decay or method.shrink))


def stationary(limit: fb.Limit) -> bool:
    """Whether a limit is but the run's own direction, with how stationary it is."""
    return limit.theorem.startswith("a stationary point")


def ends(trace: fb.Trace) -> np.ndarray:
    """Its rows, flat: points, or directions of ℓ2 length one."""
    w = trace.w.reshape(len(trace), -1)
    with np.errstate(invalid="ignore"):
        return np.asarray(w / np.linalg.norm(w, axis=1, keepdims=True) if runs_away(trace) else w)


def moving(trace: fb.Trace) -> float:
    """How much a run still moves: a direction while −log L doubled, so that 1/log t halves; else in
    its last half.
    """
    if trace.status == fb.Status.STALLED:                  # its state repeats for ever
        return 0.0
    last = trace.log_loss[-1]
    away = runs_away(trace) and last < -1
    half = int(np.argmax(trace.log_loss <= last / 2 if away else trace.log_t >= trace.log_t[-1]
                         - np.log(2)))
    return float(np.linalg.norm(ends(trace)[-1] - ends(trace)[min(half, len(trace) - 2)]))


@dataclass(frozen=True)
class Entry:
    """A case, measured."""

    case: Case

    @cached_property
    def place(self) -> tuple[str, Row]:
        """The section and the row that covers the case."""
        return covering(self.case.plan, isinstance(self.case.how, Flow))

    @cached_property
    def runs(self) -> tuple[fb.Trace, fb.Limit | fb.NoTheorem, bool]:
        """The run, what theory says of it, and whether it said so before."""
        before = self.told()
        trace = follow(self.case.plan, self.case.how)
        return (trace, before, True) if isinstance(before,
                                                   fb.Limit) else (trace, self.told(), False)

    def told(self) -> fb.Limit | fb.NoTheorem:
        """What theory says of the plan as it stands."""
        try:
            return self.case.plan.limit(isinstance(self.case.how, Flow))
        except fb.NoTheorem as why:
            return why

    @property
    def trace(self) -> fb.Trace:
        """The run."""
        return self.runs[0]

    @property
    def theory(self) -> fb.Limit | fb.NoTheorem:
        """What theory says, after the run."""
        return self.runs[1]

    @cached_property
    def second(self) -> fb.Trace | None:
        """The other run."""
        return None if self.case.other is None else follow(self.case.other, self.case.how)

    @cached_property
    def gap(self) -> float:
        """The distance of the end from the limit: of points, or of ℓ2-unit directions."""
        return float(self.trace.gap(self.theory)[-1])

    @cached_property
    def measured(self) -> tuple[str, float]:
        """What counts, and its value: the distance to a point, what a margin lacks of the maximum,
        or the KKT residual.
        """
        limit = self.theory
        assert isinstance(limit, fb.Limit)
        if limit.kind == "direction":
            if stationary(limit):
                return "KKT residual", limit.duality_gap
            gap = next(s for s in self.trace.rates(limit) if s.quantity == "margin gap")
            return "1 − margin/γ", float(gap.values[-1])
        if limit.kind == "ray":
            return "‖Π_S w − v̄‖", float(self.trace.finite_gap(limit)[-1])
        if self.case.finer is None:
            return "‖w − w∞‖", self.gap
        fine = follow(self.case.finer, self.case.how)
        off = 2 * fine.w[-1] - self.trace.w[-1] - limit.w
        return "‖2w(η/2) − w(η) − w∞‖", float(np.linalg.norm(off))

    @cached_property
    def tolerance(self) -> tuple[float, str]:
        """How large that may be, and why."""
        limit = self.theory
        assert isinstance(limit, fb.Limit)
        if limit.kind == "ray":
            # (where no field follows it so far that 1/t is nothing)
            bound = TIMES * np.exp(-min(self.trace.log_t[-1], 700.0)) if limit.rates else 0.0
            return max(REST, float(bound)), f"in S; the direction's gap at most {LOOSE}"
        if limit.kind == "point":
            if (decay := self.case.plan.problem.method.shrink) > 0:
                return LOOSE / decay, f"{LOOSE:.0%} of 1/λ, on its way"
            if self.case.finer is None:
                return REST, "at rest"
            return self.gap / 10, (f"O(η): w(η) itself is {sci(self.gap)} off, the term in η gone "
                                   "a tenth of that or less")
        rate = next((r for r in limit.rates if r.quantity == "margin gap"), None)
        if rate is None:
            return LOOSE, "on its way, no rate named"
        log_t = self.trace.log_t[-1]
        clock = log_t if rate.clock == "log t" else np.exp(min(log_t, 700.0))
        bound = TIMES * float(clock) ** rate.slope
        return min(bound, LOOSE), f"{TIMES} × ({rate.clock})^{rate.slope:g}, at most {LOOSE:.0%}"

    @cached_property
    def apart(self) -> float:
        """How far from each other the two runs end (NaN without a second)."""
        if self.second is None:
            return float("nan")
        return float(np.linalg.norm(ends(self.trace)[-1] - ends(self.second)[-1]))

    @cached_property
    def miss(self) -> float:
        """How far the run ends from what one might expect of it (NaN where nothing is)."""
        if self.case.instead is None:
            return float("nan")
        return float(self.trace.gap(self.case.instead(self.trace))[-1])

    @cached_property
    def restless(self) -> float:
        """How much the runs still move, together."""
        return moving(self.trace) + (0.0 if self.second is None else moving(self.second))

    @cached_property
    def verdict(self) -> str:
        """What all that amounts to."""
        limit, before = self.runs[1:]
        if isinstance(limit, fb.NoTheorem):
            differ = float(np.nanmax([self.apart, self.miss]))
            return NONE if differ > max(SEEN * self.restless, FLOOR) else OPEN
        value, bound = self.measured[1], self.tolerance[0]
        if limit.kind == "ray" and not self.gap <= LOOSE:
            return FAILS
        if not abs(value) <= bound or not (limit.certified or stationary(limit)):
            # whether a start lets a run come there may be open: one that does not is no failure
            kept = any(h.holds is None and "exact balance" in h.statement for h in limit.hypotheses)
            return OPEN if kept else FAILS
        return HOLDS if before else OPEN

    @property
    def open_hypotheses(self) -> int:
        """How many hypotheses nobody can check."""
        return sum(h.holds is None for h in self.theory.hypotheses)

    @property
    def name(self) -> str:
        """Family and label of the case."""
        return f"{self.case.family}{', ' if self.case.label else ''}{self.case.label}"

    @property
    def source(self) -> str:
        """Where that stands, shortly."""
        return brief(self.theory.source)

    @property
    def goal(self) -> str:
        """The predicted limit."""
        limit = self.theory
        if isinstance(limit, fb.NoTheorem):
            return "none"
        if limit.kind == "point":
            row = self.place[1]
            if not isinstance(row, Point):
                return limit.theorem.partition(":")[0]
            psi = row.potential(self.case.plan.problem)
            return "argmin ‖w − w(0)‖₂" if psi is fb.potentials.euclidean else "argmin D_ψ(w, w(0))"
        if limit.kind == "ray":
            return "finite part in S, max margin across it"
        if stationary(limit):
            return "a stationary point of min ‖u‖², margins ≥ 1"
        return f"max margin, {self.norm}"

    @property
    def norm(self) -> str:
        """The norm of the predicted margin."""
        limit = self.theory
        assert isinstance(limit, fb.Limit)
        if limit.norm is None:
            return "variation norm"
        name = limit.norm.name
        name = {"linf": "ℓ∞", "fourier": "Σ|DFT w|"}.get(name, re.sub(r"^l(?=[\d.]+$)", "ℓ", name))
        return f"{name}, W ⪰ 0" if self.case.plan.problem.model.semidefinite else name

    @property
    def number(self) -> float:
        """The number on the map: how far from the limit, or how far apart two runs, or from what
        one might expect.
        """
        if isinstance(self.theory, fb.Limit):
            return abs(self.measured[1])
        return self.miss if self.second is None else self.apart

    @property
    def horizon(self) -> str:
        """How far the run was followed."""
        if isinstance(self.case.how, Flow):
            return "flow" + ("" if np.isinf(self.case.how.time) else f" to {sci(self.trace.t[-1])}")
        if isinstance(self.case.how, Far):
            return f"log t = {sci(self.trace.log_t[-1])}"
        return f"t = {self.trace.t[-1]}"

    @property
    def shown(self) -> str:
        """The numbers, in words."""
        if isinstance(self.theory, fb.Limit):
            what, value = self.measured
            text = f"{what} = {sci(value)}" + ("" if self.theory.kind == "point" or stationary(
                self.theory) else f", gap {sci(self.gap)}")
            return text + ("" if self.second is None
                           else f"; {self.case.differ}: {sci(self.apart)} apart")
        parts = [] if self.second is None else [f"{self.case.differ}: {sci(self.apart)} apart"]
        parts += [] if self.case.instead is None else [f"{sci(self.miss)} from "
                                                       f"{self.case.expected}"]
        return "; ".join(parts) + (f" (still moving: {sci(self.restless)})" if self.restless > FLOOR
                                   else "")


def brief(source: str) -> str:
    """A source without the paper's own name and with first authors only."""
    def authors(found: re.Match[str]) -> str:
        names = re.split(r", | & ", found[1])
        return f"{names[0]} et al. (" if len(names) > 2 else " & ".join(names) + " ("
    return re.sub(r"((?:[A-Z][\w’-]+(?:, | & )?)+) \(", authors, source.replace(f"{PAPER}, ", ""))


def sci(x: float) -> str:
    """A number with two digits, as 0.017 or 3·10⁻¹³."""
    if x == 0 or not np.isfinite(x) or 1e-3 <= abs(x) < 1e4:
        return f"{x:.2g}".replace("-", "−")
    digits, power = f"{x:.0e}".split("e")
    power = f"10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    return power if digits == "1" else f"{digits}·{power}".replace("-", "−")
