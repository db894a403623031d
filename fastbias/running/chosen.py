"""Step sizes that nobody gave: what theory admits, else from the curvature, and a trial.

What is chosen for "auto" is also what a run that went astray is told would have done.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from fastbias import theory
from fastbias.checks.sizes import length
from fastbias.engine.abi import Piece, Status
from fastbias.engine.call import call
from fastbias.pieces import steps
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.pieces.steps import StepRule
from fastbias.problem import Problem, make, radius
from fastbias.running.course import FATAL, Course
from fastbias.running.interruptions import Store
from fastbias.running.outside import Outside
from fastbias.running.targets import Targets
from fastbias.running.thin import Thin
from fastbias.solvers.limit import NoTheorem
from fastbias.theory.asymptotes import flat, flat_norm
from fastbias.theory.base import momentum, named, steepest
from fastbias.trace.rows import log_spaced

__all__ = ["advice", "choice", "settled"]

HALVINGS = 60    # of a first guess at the step size; by then it is under 1e-18 of it
LONGEST = 2000   # updates of a trial, in which the loss must fall
SHORTEST = 100   # the same where X is large
WORK = 4e7       # numbers of X that a trial may read beyond that
RISE = float(np.log(4))      # of log L, that a step which falls in the end may show on the way
TURNS = 30       # of the power method; two digits are more than a step size wants
SMALL = 1e5      # numbers of X up to which a limit point is solved for
NUDGE = 1e-4     # relative change by which slopes are differenced
DIGITS = 3       # of a step size that is chosen, so that who reads it can type it


def settled(problem: Problem) -> Problem:
    """The problem with a number for a step size that is "auto"; ValueError where none is found."""
    if not problem.rule.auto:
        return problem
    with np.errstate(all="ignore"):
        return _with(problem, *choice(problem))


def choice(problem: Problem) -> tuple[float, str]:
    """A number for a step size that is "auto", and what it rests on: half of what theory admits,
    else by trial.
    """
    eta, why = _admitted(problem)
    if eta is not None:
        return _rounded(eta), why
    method, updates = problem.method, _updates(problem)
    # no curvature bounds moves of a length of their own
    own = method.adaptive or (method.unscaled and not method.decay)
    eta = _rounded(method.usual if own else _guess(problem))
    why = f"usual for {method.name}" if own else "from the curvature of the loss"
    told = f"{why}, and the loss falls in a trial of {updates} updates"
    for halvings in range(HALVINGS):
        if _falls(problem, eta, updates, own):
            return eta, f"{told}, after {halvings} halving{'s' * (halvings > 1)}" if halvings \
                else told
        eta = _rounded(0.5 * eta)
    raise ValueError("step_size must be given, not \"auto\": no step size under which the loss "
                     "falls was found")


def _with(problem: Problem, eta: float, why: str) -> Problem:
    """The problem with a number in place of "auto"."""
    return make(problem, problem.method.stepping(eta, why), problem.model, problem.start)


def _rounded(eta: float) -> float:
    """A step size cut to three digits: what is written down is what is used, and threads of a
    linear algebra that change the last digit of a singular value change nothing.
    """
    # (a bound that is undercut by its rounding is meant to be the number above)
    digits, exponent = f"{eta * (1.0 + 1e-12):.16e}".split("e")
    return float(f"{digits[:DIGITS + 1]}e{exponent}") or eta


def _admitted(problem: Problem) -> tuple[float | None, str]:
    """Half of what theory admits from the start, and the theorem; None where it knows no bound."""
    if problem.rule.radius:
        return 1.0, "η₊ of Theorem 5, whose bound 1/(B² L) the rule keeps by itself"
    if problem.rule.loss:
        method = problem.method
        covered = named(problem, "exponential") and method.exact and not (method.random
                                                                          or momentum(problem))
        if covered and (flat(problem) or steepest(problem)) and _per_loss(problem):
            return _per_loss(problem), "half of what theory admits: Theorem 5: η/L ≤ 1/(B² L)"
        return None, ""
    with suppress(NoTheorem):
        most = theory.max_step(problem, problem.start)
        return 0.5 * most.step_size, f"half of what theory admits: {most.theorem}"
    return None, ""


def _per_loss(problem: Problem) -> float:
    """½/B², by which a step of η/L is half of Theorem 5's; 0 where that is no number, or there is
    none.
    """
    norm = flat_norm(problem) if flat(problem) else problem.method.geometry
    top = radius(problem, norm) if problem.model.linear else 0.0
    return 0.5 / top ** 2 if 1e-150 < top < 1e150 else 0.0


def _guess(problem: Problem) -> float:
    """Half of one over the largest curvature in the method's geometry, at the start and about
    where it is going; of a step η/L on a linear model half of 1/B².
    """
    if problem.rule.loss and _per_loss(problem):
        return _per_loss(problem)
    top = max((_curvature(problem, u) for u in _points(problem)), default=0.0)
    if problem.rule.loss:                                 # η/L: in units of the loss at the start
        top *= float(np.exp(-problem.log_loss(problem.start)))
    # momentum that looks ahead is stable up to so much less
    eta = 0.5 / (top * (1.0 + 2.0 * float(problem.method.gamma[0]))) if top > 0 else 1.0
    return eta if 0 < eta < np.inf else 1.0


def _points(problem: Problem) -> Iterator[np.ndarray]:
    """Where curvatures are looked at: the start, and a limit point where that is cheap."""
    yield problem.start
    if problem.loss.kind != "root" or np.prod(problem.X.shape) > SMALL:
        return
    with suppress(NoTheorem, ValueError, ArithmeticError):
        if problem.model.linear:
            limit = theory.limit(problem)
            if limit.kind == "point":
                yield limit.w.ravel()
        elif problem.outputs == 1:
            X, y = problem.whole("a minimiser is asked for").even
            yield problem.model.balanced(np.linalg.lstsq(X, y, rcond=None)[0]
                                         .reshape(problem.shape)).ravel()


def _curvature(problem: Problem, u: np.ndarray) -> float:
    """The largest ‖M(u) ∇²L(u) v‖/‖v‖ that the power method finds, M what the method's geometry
    makes of a gradient; by differences of gradients.
    """
    turn, size = _turned(problem, u)
    v, largest = np.random.default_rng(0).normal(size=u.size), 0.0
    for _ in range(TURNS):
        v = v / size(v)
        h = _nudge(problem, u, v)
        if not 0 < h < np.inf:
            break
        bent = turn((problem.descent(u - h * v) - problem.descent(u + h * v)) / (2.0 * h))
        found = size(bent)
        if not 0 < found < np.inf:
            break
        largest, v = max(largest, found), bent
    return largest


def _turned(problem: Problem, u: np.ndarray) \
        -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], float]]:
    """What the method's geometry makes of a gradient at u, and the norm it is measured in."""
    g: Any = problem.method.geometry
    if isinstance(g, Norm):
        return lambda x: g.direction(x) if np.isfinite(x).all() else x, lambda x: float(g(x))
    if isinstance(g, Potential):
        return lambda x: g.solve(u, x) if np.isfinite(x).all() else x, length

    def by_piece(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        return out if call(g, np.empty(0), u, x, out) == 0 else np.full_like(x, np.nan)
    return by_piece if isinstance(g, Piece) else lambda x: x, length


def _nudge(problem: Problem, u: np.ndarray, v: np.ndarray) -> float:
    """How far along v slopes are differenced: so far that predictions change a little."""
    if not problem.model.linear:
        return NUDGE * length(u) / length(v)
    moved = float(np.abs(problem.predictions(v)).max())
    return NUDGE * max(1.0, float(np.abs(problem.predictions(u)).max())) / moved if moved else 0.0


def _updates(problem: Problem) -> int:
    """How long a trial is, by what an update reads."""
    numbers = int(np.prod(problem.X.shape)) * problem.outputs if not problem.sparse \
        else int(problem.X.nnz)
    return int(np.clip(WORK / (numbers + problem.start.size), SHORTEST, LONGEST))


def _falls(problem: Problem, eta: float, updates: int, own: bool) -> bool:
    """Whether the loss falls in a trial with a step size, and is not too sharp where that ends."""
    course = Course(_with(problem, eta, "on trial"), False)
    rows = log_spaced(0, updates, 100)
    trace = course.go(Thin(problem, rows), updates, Targets(), False, None,
                      Store(None, 1.0, lambda path: None))
    first, last = trace.log_loss[0], trace.log_loss[-1]
    # where all is fitted already nothing is left to fall but rounding
    least = problem.log(1e-14 * np.repeat(np.abs(problem.y).max(), problem.outputs * len(problem.y))
                        + problem.y) if problem.loss.kind == "root" and problem.outputs == 1 \
        else -np.inf
    falls = last <= max(first, least) and (trace.log_loss <= max(first, least) + RISE).all()
    if not falls or trace.status in FATAL:
        return False
    if own or problem.model.linear:
        return True
    # a network may grow sharper on the way
    top = _curvature(problem, trace.u[-1])
    if problem.rule.loss:
        top *= float(np.exp(-last))
    return eta * top <= 1.0


def advice(problem: Problem, status: Status, t: int, first: float, last: float) -> str:
    """What a run that stopped, or whose loss grew, is told: which step size would do, as the end of
    a sentence; "" where none is known, or the step was not the reason.
    """
    rule, method = problem.rule, problem.method
    # (weight decay may raise the loss, which is not all that it lowers)
    grown = last > first + 1e-9 * max(1.0, abs(first)) \
        and not (method.decay or method.shrink)
    stopped = status in FATAL and status != Status.UNBOUNDED
    if not (stopped or grown) or rule.search or rule.radius:
        return ""
    told = "" if stopped or not grown else f"; log L has grown from {first:.6g} to {last:.6g}"
    # (another library's steps are its own, and each trial would ask it for thousands)
    if isinstance(method, Outside):
        return told
    # advice must not break a run that has ended
    with suppress(Exception), np.errstate(all="ignore"):
        free: StepRule = steps.loss_scaled(steps.AUTO) if rule.loss else steps.as_rule(steps.AUTO)
        eta, why = choice(make(problem, replace(method, rule=free), problem.model, problem.start))
        used = max(rule.params[0] if rule.loss else rule(k) for k in (0, t))
        if eta < used:
            called = f"fb.steps.loss_scaled({eta:g})" if rule.loss else f"{eta:g}"
            return f"{told}; step_size={called} would do: {why}"
    return told
