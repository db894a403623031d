"""What theory predicts: tables of theorems, each with its hypotheses, and the limits they name,
solved to a certificate.

A `Limit` is never just a point: it carries the theorem, its hypotheses with True/False/None and the
evidence, the dual variable, and residuals that are recomputed from (w, ν) alone. Where the paper
shows that no characterisation exists, `NoTheorem` names the example. A new theorem is one row of
``ROOT``, ``MARGIN``, ``INSEPARABLE``, ``NETWORK`` or ``CONSTRAINED``.

>>> import fastbias as fb
>>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.02))
>>> fb.theory.limit(plan.problem).w
array([0.2, 0.4])
>>> fb.theory.max_step(plan.problem, plan.u).theorem
"the descent lemma: η < 2/Λ, Λ the largest curvature in the method's norm"
>>> tables = (fb.theory.ROOT, fb.theory.MARGIN, fb.theory.INSEPARABLE, fb.theory.CONSTRAINED,
...           fb.theory.NETWORK)
>>> kinds = (fb.theory.Point, fb.theory.Direction, fb.theory.Ray, fb.theory.Rest, fb.theory.Refusal)
>>> all(isinstance(row, kinds) for table in tables for row in table)
True
>>> issubclass(fb.theory.Point, fb.theory.Row), type(plan.max_step()) is fb.theory.MaxStep
(True, True)
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from fastbias.data.targets import table
from fastbias.problem import Problem, TooLarge
from fastbias.solvers.limit import PAPER, Hypothesis, Limit, NoTheorem
from fastbias.solvers.outputs import unfolded
from fastbias.theory import stepsizes
from fastbias.theory.base import Direction, Point, Ray, Refusal, Rest, Row, accepted
from fastbias.theory.constrained import CONSTRAINED, constrained
from fastbias.theory.directions import MARGIN, direction
from fastbias.theory.inseparable import INSEPARABLE, SOLE
from fastbias.theory.networks import NETWORK, network
from fastbias.theory.points import ROOT, point
from fastbias.theory.stepsizes import MaxStep

__all__ = ["CONSTRAINED", "INSEPARABLE", "MARGIN", "NETWORK", "ROOT", "Direction", "MaxStep",
           "Point", "Ray", "Refusal", "Rest", "Row", "limit", "max_step"]


def limit(problem: Problem, flow: bool = False) -> Limit:
    """Look up the theorem that covers a problem, check its hypotheses, and solve for the limit it
    names.

    Parameters
    ----------
    problem : Problem
        Limits that only a run decides (AdaGrad) want it with ``reached`` set; ``plan.limit()`` does
        that.
    flow : bool, default False
        Ask about the continuous-time limit η → 0 instead of finite steps.

    Raises
    ------
    NoTheorem
        Where none covers it, a hypothesis is known to be False (but that steps are too long, which
        is told in the limit), or a piece of the user's own may not be believed.
    """
    # numbers beyond float64 are looked for where they matter
    with np.errstate(all="ignore"), _told():
        accepted(problem)
        _flows(problem, flow)
        ask = constrained if problem.method.shrink \
            else network if not problem.model.linear or problem.method.decay \
            else direction if problem.loss.kind == "monotone" else point
        # a maximum margin asks for no more of the rows than products
        if problem.small or ask is not direction:
            problem = problem.whole("a limit is asked for")
        if problem.columns and ask is network:            # (K ridge regressions)
            found = _folded(problem, network(unfolded(problem), flow))
        else:
            found = ask(problem, flow)
        found = replace(found, classes=problem.classes, names=problem.names)
    if problem.method.average is not None and not flow:
        found = replace(found, hypotheses=(*found.hypotheses, _of_averages(problem)))
    return _with_intercept(problem, found) if problem.intercept else found


def _flows(problem: Problem, flow: bool) -> None:
    """Raise NoTheorem where a flow η → 0 is asked for of a method that has none."""
    method = problem.method
    own = method.unscaled and not method.decay
    if flow and (own or not method.memoryless):
        raise NoTheorem(f"{method!r} has no flow η → 0 that the table knows: its moves "
                        + ("have a size of their own" if own else "are of more than −∇L and w")
                        + "; the nearest is the limit of its finite steps: plan.limit()",
                        f"{PAPER}, eqs. (10) and (11)")


def _folded(problem: Problem, found: Limit) -> Limit:
    """The limit of a problem of several outputs, from that of all their entries."""
    return replace(found, w=found.w.reshape(problem.shape), dual=table(found.dual, problem.columns))


def _of_averages(problem: Problem) -> Hypothesis:
    """Where a mean of the parameters goes that is kept beside them."""
    # of w(t) = ‖w(t)‖(ŵ + o(1)) the weights ‖w(t)‖ add up to infinity, as those of a point do
    told = "where the iterates go, their means go, of all and fading ones (Toeplitz)"
    if problem.model.linear:
        return Hypothesis("the mean that is kept ends there, too", True, told)
    return Hypothesis("the mean that is kept ends there, too", None,
                      f"{told}; it is that of u, of which it is not known that it converges")


def _with_intercept(problem: Problem, found: Limit) -> Limit:
    """A limit that says what its last weight is: an intercept that the geometry sees."""
    last = np.array(found.w[..., -1])
    return replace(found, intercept=last if last.ndim else float(last),
                   hypotheses=(*found.hypotheses, _of_intercept(problem, found)))


def _of_intercept(problem: Problem, found: Limit) -> Hypothesis:
    """How an intercept of the method's geometry differs from one that is free."""
    # a minimiser without choice is that of a free one, too
    if found.theorem == SOLE:
        return Hypothesis("the intercept b is as a free one: the minimiser is unique", True,
                          "fb.separation finds the same one")
    if problem.method.decay:
        free = "with a free one λ‖w‖² would not count b"
    elif problem.method.shrink:
        free = "with a free one the ball would not hold b"
    elif found.kind == "ray":
        free = "with a free one the direction may be another; fb.separation lets b be free"
    elif problem.loss.kind == "monotone":
        free = "with a free one the limit may be another: fb.max_margin(..., intercept=True)" \
            if found.kind == "direction" else "with a free one other minimisers may be as near"
    else:
        free = "with a free one it may be another: fb.minimum_norm(..., intercept=True)"
    return Hypothesis("the intercept b is penalised: a weight on ones, inside the method's "
                      "geometry", True, free)


@contextmanager
def _told() -> Iterator[None]:
    """Say by a NoTheorem that data are too large for what theory wants of them."""
    try:
        yield
    except TooLarge as error:
        raise NoTheorem(f"{error}; the nearest are fb.max_margin, fb.minimum_norm and "
                        "fb.regularisation_path, which take more", "large data") from None


def max_step(problem: Problem, u: np.ndarray) -> MaxStep:
    """The largest constant step size that theory admits from u (n,) on; NoTheorem as `limit`."""
    with np.errstate(all="ignore"), _told():
        accepted(problem)
        if problem.small:
            problem = problem.whole("a step size is asked for")
        return stepsizes.max_step(problem, u)
