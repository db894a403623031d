"""Fast-forward: exact steps as far as they pay, then the modified field in log time to any t, with
an error estimate.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import row_lengths
from fastbias.engine.abi import Status
from fastbias.forward import closed_form
from fastbias.forward.base import FAR, FAR_RTOL, Field
from fastbias.forward.choice import choose
from fastbias.forward.integrate import Stalled
from fastbias.problem import Problem, Reached
from fastbias.solvers.limit import NoTheorem
from fastbias.solvers.margins import separate
from fastbias.trace import Trace
from fastbias.trace.rows import counted

__all__ = ["fast_forward"]

ROWS = 200
BEGIN = 40_000        # exact steps, over 1 − β, before the first handover
SAFETY = 3.0
SOLVER = 50.0         # what an integration may be wrong by, in units of its own tolerance
# log time after a handover within which what the field leaves out has shown itself
SOON = 8.0
LEAST = 1_000         # exact steps, over 1 − β, under which no estimate is given
SOURCE = "fast-forward"
LAST = 2.0 ** 63      # the t that no longer fits int64
LATE = -0.5           # d log‖Δu‖/d log t from which on a run counts as being on its way
EPS = float(np.finfo(float).eps)

Runner = Callable[[], Callable[[int], Reached]]


def fast_forward(problem: Problem, here: Reached, runner: Runner, log_t: float,
                 record: int | ArrayLike | None, rtol: float, max_steps: float) -> Trace:
    """Continue a run from where it stands to log t, as `Plan.fast_forward` describes.

    ``runner()`` copies the run as it stands; what it returns does exact steps up to rising t, and
    says where they lead.
    """
    problem = problem.whole("a run is fast-forwarded")
    rtol = checks.number("rtol", rtol, least=1e-13, most=1e-2)
    budget = checks.whole("max_steps", max_steps)
    end = checks.number("log_t", log_t, above=0)
    if here.t > 0 and np.log(here.t) > end:
        raise ValueError(f"log_t must not lie before the step {here.t} where the plan stands, got "
                         f"{end:g}")
    rows = _rows(record, end, here.t, here.u.size)
    if problem.loss.kind == "root":
        return _closed_form(problem, here, rows)
    field = _field(problem, end)
    first, limit = _handovers(field, here, budget)
    run, sharp = runner(), max(rtol / 1000.0, 1e-13)
    while True:
        far = run(first) if first > here.t else here
        # an odd number of steps on: a 2-cycle would show
        further = run(min(2 * first + 1, limit))
        early, last = _early(field, far, further), limit // 2 < further.t
        if early is None:
            curve = _followed(field, far, further, rows, end, sharp)
            if curve.worst <= rtol or last:
                break
        elif last:
            raise NoTheorem(f"after {further.t} steps {early}: ask for more max_steps than "
                            f"{budget}", SOURCE)
        first = min(4 * first, limit // 2)
    shortfall = "" if curve.worst <= rtol else (f"; the asked rtol = {rtol:g} is not reached, "
                                                f"{curve.worst:.1g} is")
    message = (f"{further.t - here.t} exact steps, then fast-forward to log t = {rows[-1]:g}"
               f"{shortfall}")
    law = _law(field, far, further)
    exact, asked = rows[rows <= np.log(further.t)], np.isin(curve.log_t, rows)
    found = _Found(curve.log_t[asked], curve.slack[asked], curve.u[asked],
                   _estimate(field, curve, far, sharp, law)[asked])
    return _trace(field, runner(), exact, found, law, message)


def _closed_form(problem: Problem, here: Reached, rows: np.ndarray) -> Trace:
    """The rows of a loss with a root, whose recursion is linear."""
    why = closed_form.covers(problem)
    if why is not None:
        raise NoTheorem(why, SOURCE)
    trace = closed_form.at(problem, here.u, here.move, here.t, rows)
    # (margins may be beyond float64 where iterates are not)
    with np.errstate(all="ignore"):
        slack = trace.log_t[:, None] - trace.u @ (problem.y[:, None] * problem.X).T
        return replace(trace, slack=slack)


def _field(problem: Problem, end: float) -> Field:
    """The field that leads to log t = end; NoTheorem where none does, or the data overlap."""
    field = choose(problem)
    if end > field.until:
        raise NoTheorem(f"the momentum array ends at log t = {field.until:.6g}, and its last entry "
                        "goes on from there, which is another method: give a longer one, or ask "
                        "for less", SOURCE)
    told = separate(problem.rows)
    if not told:
        raise NoTheorem("the data are not separable (λ in .dual certifies "
                        f"it){_inseparable(problem)}", SOURCE, (),
                        told.dual)
    return field


def _handovers(field: Field, here: Reached, budget: int) -> tuple[int, int]:
    """The step of the first handover, and the last one that the budget allows."""
    slow, limit = 1.0 - float(field.problem.method.beta[0]), here.t + budget
    first = max(here.t, min(int(BEGIN / slow), limit // 2))
    if first < LEAST / slow or limit < 1.01 * first:
        raise NoTheorem(f"an estimate of the error needs two handovers after {int(LEAST / slow)} "
                        f"exact steps or more, and max_steps = {budget} from step {here.t} on are "
                        "too few for that", SOURCE)
    return first, limit


class _Curve(NamedTuple):
    """Where the field leads from the later of two handovers, and how that differs from where it
    leads from the earlier.
    """

    log_t: np.ndarray
    slack: np.ndarray
    u: np.ndarray
    w: np.ndarray
    change: np.ndarray         # of w, its largest entry, in what the later handover may be wrong by
    worst: float               # the largest of it soon after the handover, relatively


def _followed(field: Field, far: Reached, further: Reached, rows: np.ndarray, end: float,
              sharp: float) -> _Curve:
    """The curve to log t = end; NoTheorem where an integration stalls."""
    begin = np.log(further.t)
    # rows of our own, in which what is left out would show
    between = begin + np.geomspace(1e-2, SOON, 16)
    stops = np.unique(np.concatenate([rows[rows > begin],
                                      between[between <= max(end, begin + 1.0)]]))
    try:
        loose = field.problem.predictor(field.follow(far, stops, 100.0 * sharp)[1])
        slack, u = field.follow(further, stops, sharp)
    except Stalled as error:
        raise NoTheorem(f"the modified field could not be followed to log t = {end:g} "
                        f"({error})", SOURCE) from None
    # What the field leaves out is T^{−2+λ}, 0 ≤ λ ≤ 1: a handover at ρT is wrong by at most
    # 1/(ρ − 1) times what it changed, at its largest so far, since two curves may cross
    w = field.problem.predictor(u)
    change = np.maximum.accumulate(np.abs(w - loose).max(axis=1, initial=0.0))
    change *= SAFETY / min(further.t / far.t - 1.0, 1.0)
    relative = change / np.maximum(np.abs(w).max(axis=1, initial=0.0), 1.0)
    worst = float(relative[stops <= begin + SOON].max(initial=0.0))
    return _Curve(stops, slack, u, w, change, worst)


def _law(field: Field, far: Reached, further: Reached) -> tuple[float, float]:
    """How rounding grows along an exact run (`Field.rounding`)."""
    tiny = np.abs(further.u - far.u).max() < 1e3 * EPS * np.abs(further.u).max() \
        * (further.t - far.t)
    # moves of a few units in the last place are rounded all alike
    return (0.5, 1.0) if tiny else field.rounding


def _estimate(field: Field, curve: _Curve, far: Reached, sharp: float,
              law: tuple[float, float]) -> np.ndarray:
    """The error of each row of a curve: what the field leaves out, the integrator, and float64."""
    solver = SOLVER * np.where(curve.log_t > np.log(far.t) + FAR, FAR_RTOL, sharp)
    size = field.size(curve.u)
    margins = curve.log_t[:, None] - curve.slack
    return np.asarray(curve.change + solver * size + _rounding(size, curve.log_t, law)
                      + _unlike(field.problem, margins, curve.w))


def _unlike(problem: Problem, margins: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The change of w (K,), largest entry, that makes its margins those of the slacks: both were
    integrated.
    """
    if not problem.model.linear:
        return np.zeros(len(w))
    back = foreign.ask("the inverse of the data", "numpy.linalg.pinv", problem.Z)
    return np.asarray(SAFETY * np.abs((margins - w @ problem.Z.T)
                                      @ back.T).max(axis=1, initial=0.0))


def _inseparable(problem: Problem) -> str:
    """What runs do on data that are not separable, as two linear programs tell: overlap (λ > 0), or
    a direction Zu ≥ 0.
    """
    rest = ", so the loss does not go to 0 and there is nothing to fast-forward"
    Z = problem.Z[problem.Z.any(axis=1)]
    Z = Z / row_lengths(Z)[:, None]
    if not (problem.loss.convex and problem.model.linear and len(Z)):
        return rest
    try:
        if _overlap(Z):
            return (", and no direction has margins ≥ 0 that are not all 0, so the run comes to "
                    "rest within ordinary reach and there is nothing to fast-forward")
        if _way_out(Z):
            return (", but some direction has margins ≥ 0 that are not all 0 (quasi-separable), so "
                    "the loss does not go to 0 and the run never comes to rest: it goes on along "
                    "such directions, where no field follows it here")
    except foreign.Unsolved:
        pass
    return rest


def _overlap(Z: np.ndarray) -> bool:
    """Whether Σ λ z = 0 for some λ > 0: max δ over Zᵀλ = 0, Σλ = 1, λ ≥ δ."""
    N, d = Z.shape
    least, ones = np.append(np.zeros(N), -1.0), np.ones((N, 1))
    weights = foreign.ask("the linear program of overlap", "scipy.optimize.linprog", least,
                          A_ub=np.hstack([-np.eye(N), ones]), b_ub=np.zeros(N),
                          A_eq=np.hstack([np.vstack([Z.T, np.ones((1, N))]),
                                          np.zeros((d + 1, 1))]),
                          b_eq=np.append(np.zeros(d), 1.0), method="highs")
    return bool(weights.status == 0 and weights.x[-1] > 1e-7 / N
                and np.abs(weights.x[:N] @ Z).max() <= 1e-12)


def _way_out(Z: np.ndarray) -> bool:
    """Whether Zu ≥ 0 for some u, and not all 0: max Σt over Zu ≥ t, 0 ≤ t ≤ 1."""
    N, d = Z.shape
    found = foreign.ask("the linear program of directions", "scipy.optimize.linprog",
                        np.append(np.zeros(d), -np.ones(N)), A_ub=np.hstack([-Z, np.eye(N)]),
                        b_ub=np.zeros(N),
                        bounds=[(-1, 1)] * d + [(0, 1)] * N, method="highs")
    margins = Z @ found.x[:d] if found.status == 0 else np.zeros(N)
    return bool(margins.max() > 1e-6 and margins.min() >= -1e-12)


def _early(field: Field, far: Reached, further: Reached) -> str | None:
    """Why nothing bounds the error of handovers there, None where something does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.log([float(np.abs(x.move).max()) for x in (far, further)])
        # d log‖Δu‖/d log t: −1 in the end
        slope = float((moves[1] - moves[0]) / np.log(further.t / far.t))
    if field.shrinks and (slope if np.isfinite(slope) else 0.0) > LATE:
        return "the moves do not yet shrink as they will in the end, so nothing bounds the error"
    return field.doubt(further)


def _rounding(size: np.ndarray, rows: np.ndarray, law: tuple[float, float]) -> np.ndarray:
    """What float64 does to numbers of a size, and to an exact run of so many steps as can be done
    (t up to 1e12).
    """
    steps = np.where(rows < np.log(1e12), law[0] * np.exp(law[1] * np.minimum(rows, 30.0)), 0.0)
    return np.asarray(EPS * size * (16.0 + steps))


def _rows(record: int | ArrayLike | None, end: float, t: int, entries: int) -> np.ndarray:
    """log t of the rows asked for, of so many numbers, from where the plan stands (t ≥ 1) to
    ``end``; on whole steps, each once.
    """
    count, begin = ROWS if record is None else record, float(np.log(max(t, 1)))
    if counted(count):
        whole = checks.whole("record", count, least=1)
        checks.fits("record", count, whole, entries)
        rows = np.append(np.geomspace(max(begin, min(0.5, end)), end, whole)[:-1],
                         end) if whole > 1 else np.array([end])
        rows = np.append(begin, rows) if whole > 1 else rows
    else:
        rows = checks.array("record", record, "a whole number or a (K,) array of log t", dims=1)
        if rows.max() > end or rows.min() < begin - 1e-12:
            raise ValueError(f"record must hold log t between {begin:g} and {end:g}, got "
                             f"{checks.short(record)}")
        rows = np.append(rows, end)
    small = rows < 36.0
    return np.unique(np.append(np.log(np.round(np.exp(rows[small]))), rows[~small]))


class _Found(NamedTuple):
    """Rows that the field has led to."""

    log_t: np.ndarray
    slack: np.ndarray
    u: np.ndarray
    estimate: np.ndarray


def _trace(field: Field, run: Callable[[int], Reached], exact: np.ndarray, found: _Found,
           law: tuple[float, float], message: str) -> Trace:
    """Join the exact rows with the later ones."""
    problem, (later, slack, u, estimate) = field.problem, found
    s = np.concatenate([exact, later])
    t = np.array([round(float(np.exp(x))) if np.exp(min(x, 44.0)) < LAST else -1 for x in s],
                 np.int64)
    log_loss = [problem.log(problem.y * (x - row)) for x, row in zip(later, slack, strict=True)]
    if exact.size:
        before = [run(round(float(np.exp(x)))) for x in exact]
        begun = np.array([r.u for r in before])
        w = problem.predictor(begun)
        slack = np.vstack([exact[:, None] - w @ problem.Z.T, slack])
        log_loss = [problem.log_loss(row) for row in begun] + log_loss
        estimate = np.concatenate([_rounding(field.size(begun), exact, law), estimate])
        u = np.vstack([begun, u])
    w = problem.predictor(u).reshape(s.size, *problem.shape)
    return Trace(t, u, w, np.array(log_loss), Status.OK, message, problem, estimate, s, slack)
