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
from fastbias.engine.abi import Status
from fastbias.forward import closed_form
from fastbias.forward.base import FAR, FAR_RTOL, Field
from fastbias.forward.choice import choose
from fastbias.forward.fields import Linear
from fastbias.forward.integrate import Stalled
from fastbias.forward.outputs import together
from fastbias.forward.resting import Bowl, settles
from fastbias.forward.slaved import Slaved
from fastbias.problem import Problem, Reached, TooLarge
from fastbias.solvers.cones import Cone, cone
from fastbias.solvers.limit import NoTheorem
from fastbias.solvers.margins import Separability, separate
from fastbias.theory.inseparable import with_intercept
from fastbias.trace import Trace
from fastbias.trace.rows import counted

__all__ = ["fast_forward"]

ROWS = 200
SAFETY = 3.0
SOLVER = 50.0         # what an integration may be wrong by, in units of its own tolerance
# log time after a handover within which what the field leaves out has shown itself
SOON = 8.0
COARSE = 1e-2         # relative errors beyond which nothing is said of a run that comes to rest
LARGE = 700.0         # exp of more is beyond float64
FIRST = 16            # exact steps of a run that comes to rest: it may do so soon
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
    told = separate(problem.rows) if settles(problem) and not problem.method.decay else None
    parts = None if told is None or told else cone(problem.rows)
    if settles(problem) and (problem.method.decay or (parts and not parts.strict.any())):
        return _to_rest(problem, here, runner, rows, (rtol, budget), parts)
    field = _field(problem, end, told, parts)
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
        elif rows[-1] <= np.log(further.t):
            nothing = _Found(np.empty(0), np.empty((0, len(problem.Z))),
                             np.empty((0, here.u.size)), np.empty(0))
            return _trace(field, runner(), rows, nothing, field.rounding,
                          f"exact steps to log t = {rows[-1]:g}; no further, since {early}")
        elif last:
            raise NoTheorem(f"after {further.t} steps {early}: ask for more max_steps than "
                            f"{budget}", SOURCE)
        first = min(4 * first, limit // 2)
    message = (f"{further.t - here.t} exact steps, then fast-forward to log t = {rows[-1]:g}"
               + _short(curve.worst, rtol))
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
    try:
        trace = together(problem, lambda one: closed_form.at(one, here.u, here.move, here.t, rows))
    except TooLarge as error:
        raise NoTheorem(str(error), SOURCE) from None
    # (of numbers there are no margins, but a slack has always been told of those of one output)
    if problem.columns:
        return trace
    # (margins may be beyond float64 where iterates are not)
    with np.errstate(all="ignore"):
        slack = trace.log_t[:, None] - trace.u @ (problem.y[:, None] * problem.X).T
        return replace(trace, slack=slack)


def _field(problem: Problem, end: float, told: Separability | None, parts: Cone | None) -> Field:
    """The field that leads to log t = end; NoTheorem where none does, or the loss does not go to 0.

    ``told`` and ``parts``: whether the data are separable, and how, where that is known.
    """
    field = choose(problem)
    if end > field.until:
        raise NoTheorem(f"the momentum array ends at log t = {field.until:.6g}, and its last entry "
                        "goes on from there, which is another method: give a longer one, or ask "
                        "for less", SOURCE)
    told = separate(problem.rows) if told is None else told
    if told:
        return field
    if parts is not None and isinstance(field, Linear) and problem.outputs == 1:
        return Slaved(problem, field.eta, 0.0, field.kappa, field.beta, field.solve, parts)
    raise NoTheorem("the data are not separable (λ in .dual certifies it), so the loss does not go "
                    f"to 0{with_intercept(problem)}; off separable data only gradient descent (in "
                    "any metric, without momentum) with a fixed step on the exponential or "
                    "logistic loss of two classes is followed: to the point where it rests, or "
                    "along the direction in which it grows", SOURCE, (), told.dual)


def _to_rest(problem: Problem, here: Reached, runner: Runner, rows: np.ndarray,
             asked: tuple[float, int], parts: Cone | None) -> Trace:
    """Continue a run that comes to rest: exact steps, then the contraction to its limit point."""
    rtol, budget = asked
    bowl = Bowl.of(replace(problem, reached=here), problem.rule(0), parts)
    limit, run, there = here.t + budget, runner(), here
    while True:
        later = rows[np.exp(np.minimum(rows, LARGE)) > there.t + 0.5]
        slid = bowl.slide(there, later)
        size = np.maximum(np.abs(slid.w).max(axis=1, initial=0.0), 1.0)
        worst = float((slid.error / size).max(initial=0.0))
        if worst <= rtol or there.t >= limit:
            break
        try:
            there = run(min(max(2 * there.t - here.t, here.t + FIRST), limit))
        except NoTheorem:
            # its state repeats: nothing new is to be seen of it
            break
    if not worst <= COARSE:
        raise NoTheorem(f"after {there.t} steps the run is still so far from where it comes to "
                        "rest that nothing bounds the error; the slowest part of it takes "
                        f"{1.0 / bowl.slowest:.2g} steps to fall by a factor e: ask for more "
                        f"max_steps than {budget}", SOURCE)
    run, exact = runner(), rows[:rows.size - later.size]
    begun = np.array([run(round(float(np.exp(x)))).u for x in exact]).reshape(exact.size,
                                                                             bowl.w.size)
    u, s = np.vstack([begun, slid.w]), np.concatenate([exact, later])
    estimate = np.concatenate([_rounding(np.abs(begun).max(axis=1, initial=0.0), exact, (0.5, 1.0)),
                               slid.error])
    return Trace(_whole(s), u, u.reshape(s.size, *problem.shape),
                 np.array([problem.log_loss(row) for row in u]), Status.OK,
                 f"{there.t - here.t} exact steps, then fast-forward to where it comes to rest"
                 + _short(worst, rtol), problem, estimate, s, s[:, None] - u @ problem.Z.T)


def _short(worst: float, rtol: float) -> str:
    """What is to be said where the asked accuracy is not reached."""
    return "" if worst <= rtol else f"; the asked rtol = {rtol:g} is not reached, {worst:.1g} is"


def _handovers(field: Field, here: Reached, budget: int) -> tuple[int, int]:
    """The step of the first handover, and the last one that the budget allows."""
    limit = here.t + budget
    first = max(here.t, min(field.first, limit // 2))
    if first < field.least or limit < 1.01 * first:
        raise NoTheorem(f"an estimate of the error needs two handovers after {field.least} "
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
    change += SAFETY * field.missed(further)
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


def _early(field: Field, far: Reached, further: Reached) -> str | None:
    """Why nothing bounds the error of handovers there, None where something does."""
    told = field.premature(far)
    if told is not None:
        return told
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
    log_loss = [problem.log(problem.y * (x - row))
                for x, row in zip(later, slack, strict=True)]
    if exact.size:
        before = [run(round(float(np.exp(x)))) for x in exact]
        begun = np.array([r.u for r in before])
        w = problem.predictor(begun)
        slack = np.vstack([exact[:, None] - w @ problem.Z.T, slack])
        log_loss = [problem.log_loss(row) for row in begun] + log_loss
        estimate = np.concatenate([_rounding(field.size(begun), exact, law), estimate])
        u = np.vstack([begun, u])
    w = problem.predictor(u).reshape(s.size, *problem.shape)
    return Trace(_whole(s), u, w, np.array(log_loss), Status.OK, message, problem, estimate, s,
                 slack)


def _whole(s: np.ndarray) -> np.ndarray:
    """The steps (K,) at log t = s, −1 where they do not fit int64."""
    return np.array([round(float(np.exp(x))) if np.exp(min(x, 44.0)) < LAST else -1 for x in s],
                    np.int64)
