"""Fast-forward: exact steps as far as they pay, then the modified field in log time to any t, with an error estimate."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.abi import Status
from fastbias.forward import linear
from fastbias.forward.fields import FAR, FAR_RTOL, Field, choose
from fastbias.forward.march import Stalled
from fastbias.limits import NoTheorem
from fastbias.margins import separate
from fastbias.problem import Problem, Reached
from fastbias.trace import Trace

__all__ = ["fast_forward"]

ROWS = 200
BEGIN = 40_000        # exact steps, over 1 − β, before the first handover
SAFETY = 3.0
SOLVER = 50.0         # what an integration may be wrong by, in units of its own tolerance
SOON = 8.0            # log time after a handover within which what the field leaves out has shown itself
LATE = -0.5           # d log L/d clock from which on a run counts as being on its way
EPS = float(np.finfo(float).eps)

Runner = Callable[[], Callable[[int], Reached]]


def fast_forward(problem: Problem, here: Reached, runner: Runner, log_t: Any, record: Any, rtol: Any,
                 max_steps: Any) -> Trace:
    """Continue a run from where it stands to log t, as `Plan.fast_forward` describes.

    ``runner()`` copies the run as it stands; what it returns does exact steps up to rising t, and says where they lead.
    """
    # What the field leaves out is T^{−2+λ}, 0 ≤ λ ≤ 1: a handover at ρT is wrong by at most 1/(ρ − 1) times what it changed.
    rtol = checks.number("rtol", rtol, least=1e-13, most=1e-2)
    budget = checks.whole("max_steps", max_steps)
    end = checks.number("log_t", log_t, above=0)
    if here.t > 0 and np.log(here.t) > end:
        raise ValueError(f"log_t must not lie before the step {here.t} where the plan stands, got {end:g}")
    if problem.loss.kind == "root":
        why = linear.covers(problem)
        if why is not None:
            raise NoTheorem(why, "fast-forward")
        rows = _rows(record, end, max(here.t, 1))
        small = rows < 36.0                                # whole steps, each once
        return linear.at(problem, here.u, here.move, here.t,
                         np.unique(np.append(np.log(np.round(np.exp(rows[small]))), rows[~small])))
    field = choose(problem)
    told = separate(problem.Z)
    if not told:
        raise NoTheorem("the data are not separable (λ in .dual certifies it), so the run comes to rest within ordinary "
                        "reach and there is nothing to fast-forward", "fast-forward", (), told.dual)
    slow = 1.0 - float(problem.method.beta[0])
    first = max(here.t, min(int(BEGIN / slow), max(budget // 2, 1)))
    run, sharp = runner(), max(rtol / 1000.0, 1e-13)
    while True:
        far = run(first) if first > here.t else here
        further = run(first + min(first, max(budget, 1)))
        rows = _rows(record, end, further.t)
        exact, later = rows[rows <= np.log(further.t)], rows[rows > np.log(further.t)]
        try:
            loose = field.follow(far, later, 100.0 * sharp)
            tight = field.follow(further, later, sharp)
        except Stalled as error:
            raise NoTheorem(f"the modified field could not be followed to log t = {end:g} ({error})",
                            "fast-forward") from None
        size = np.abs(tight[1]).max(axis=1, initial=0.0)
        change = SAFETY * np.abs(tight[1] - loose[1]).max(axis=1, initial=0.0) / min(further.t / far.t - 1.0, 1.0)
        early = _slope(problem, field, far, further) > LATE
        if early:                                          # then what is left out has not begun to fall: it counts in full
            change *= np.exp(np.minimum(later - np.log(further.t), 300.0))
        solver = SOLVER * np.where(later > np.log(far.t) + FAR, FAR_RTOL, sharp)
        estimate = change + solver * size + _rounding(size, later, field.rounding)
        soon = later <= np.log(further.t) + SOON
        worst = float((change / np.maximum(size, 1.0))[soon].max(initial=0.0))
        if (worst <= rtol and not early) or 2 * further.t > budget:
            break
        first = min(4 * first, budget // 2)
    if early and (change > np.maximum(size, 1.0)).any():
        raise NoTheorem(f"after {further.t} steps the loss does not yet fall as it will in the end, so nothing bounds the "
                        f"error that far: ask for less than log t = {end:g}, or for more max_steps than {budget}",
                        "fast-forward")
    return _trace(problem, runner(), here, exact, later, tight, estimate, further.t, worst, rtol, field.rounding)


def _slope(problem: Problem, field: Field, far: Reached, further: Reached) -> float:
    """D log L/d clock between the handovers: −1 in the end."""
    clock = field.clock(np.log([float(far.t), float(further.t)]))
    return (problem.log_loss(further.u) - problem.log_loss(far.u)) / float(clock[1] - clock[0])


def _rounding(size: np.ndarray, rows: np.ndarray, law: tuple[float, float]) -> np.ndarray:
    """What float64 does to numbers of a size, and to an exact run of so many steps as can be done (t up to 1e12)."""
    steps = np.where(rows < np.log(1e12), law[0] * np.exp(law[1] * np.minimum(rows, 30.0)), 0.0)
    return np.asarray(EPS * size * (16.0 + steps))


def _rows(record: Any, end: float, t: int) -> np.ndarray:
    """Log t of the rows asked for, the last one ``end``."""
    count = ROWS if record is None else record
    if np.ndim(count) == 0:
        whole = checks.whole("record", count, least=1)
        start = np.log(t) + 1e-3
        return np.geomspace(start, end, whole) if end > start and whole > 1 else np.array([end])
    rows = np.unique(checks.array("record", record, "a whole number or a (K,) array of log t", dims=1))
    if rows[-1] > end or rows[0] < 0:
        raise ValueError(f"record must hold log t between 0 and {end:g}, got {checks.short(record)}")
    return np.unique(np.append(rows, end))


def _trace(problem: Problem, run: Callable[[int], Reached], here: Reached, exact: np.ndarray, later: np.ndarray,
           tight: tuple[np.ndarray, np.ndarray], estimate: np.ndarray, steps: int, worst: float,
           rtol: float, law: tuple[float, float]) -> Trace:
    """Join the exact rows with the later ones."""
    slack, w = tight
    s = np.concatenate([exact, later])
    t = np.array([round(float(np.exp(x))) if x < 42.0 else -1 for x in s], np.int64)
    log_loss = [problem.loss.log(problem.y * (x - row), problem.y) for x, row in zip(later, slack, strict=True)]
    if exact.size:
        before = [run(round(float(np.exp(x)))) if x > 0 else here for x in exact]
        u = np.array([r.u for r in before])
        w = np.vstack([u, w])
        slack = np.vstack([exact[:, None] - u @ problem.Z.T, slack])
        log_loss = [problem.log_loss(row) for row in u] + log_loss
        estimate = np.concatenate([_rounding(np.abs(u).max(axis=1), exact, law), estimate])
    shortfall = "" if worst <= rtol else f"; the asked rtol = {rtol:g} is not reached, {worst:.1g} is"
    return Trace(t, w, w.reshape(s.size, *problem.shape), np.array(log_loss), Status.OK,
                 f"{steps} exact steps, then fast-forward to log t = {s[-1]:g}{shortfall}", problem, estimate, s, slack)
