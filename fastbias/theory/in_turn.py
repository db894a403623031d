"""Tasks in turn: gradient descent that sees one part of the data after the other.

Each visit moves w by O(L), so that a sample pulls as in gradient descent on all samples, but for a
factor 1 + O(L); where L falls like 1/t what that adds up to is finite.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fastbias.pieces import norms
from fastbias.problem import Problem
from fastbias.solvers.limit import Hypothesis, Limit, NoTheorem
from fastbias.solvers.margins import separate, widest
from fastbias.theory.asked import stated_for
from fastbias.theory.asymptotes import rule_of
from fastbias.theory.base import Direction, accepted, gradient, momentum, shown, tailed

__all__ = ["AVERAGED", "VISITED", "in_turn"]

JUNG = "Jung, Cho, Yun (2025)"

VISITED = Direction("a fixed number of steps a visit: the l2 maximum margin of all tasks together",
                    JUNG, lambda p, flow: gradient(p) and not flow, norm=lambda p: norms.l2)
AVERAGED = Direction("local gradient descent: the l2 maximum margin of all tasks together",
                     "the argument of Soudry et al. (2018)",
                     lambda p, flow: gradient(p) and not flow, norm=lambda p: norms.l2)


def in_turn(problem: Problem, parts: Sequence[np.ndarray], order: str) -> Limit:
    """The direction of a problem of all samples whose rows z are seen in parts (N_k, d), in an
    order of `fastbias.continual`; NoTheorem where none is known.
    """
    row = AVERAGED if order == "average" else VISITED
    rows = [*_covered(problem, row), *_asked(problem, order)]
    together = separate(problem.rows)
    statement = "some w separates all tasks at once"
    proof = "a separator" if together.dual is None else "λ ≥ 0 in .dual is against it"
    rows.insert(1, Hypothesis(statement, together.dual is None, proof))
    # what each task alone allows says whether tasks clash, or one is hopeless
    if together.w is None:
        apart = all(separate(Z).w is not None for Z in parts)
        raise NoTheorem(f"{statement}: that is not so" + (
            ", though each task is separable by itself" if apart else "") + "; cyclic gradient "
            "descent then goes to where L of all tasks is least, up to its steps; the nearest is "
            "Plan(...).limit() of all samples together", JUNG, tuple(rows), together.dual)
    found = widest(problem.rows, problem.shape, norms.l2, together.w)
    return replace(found, theorem=row.name, source=row.source, classes=problem.classes,
                   hypotheses=(*rows, *found.hypotheses))


def _covered(problem: Problem, row: Direction) -> list[Hypothesis]:
    """Whom the theorem speaks of; NoTheorem where not of this method and loss."""
    accepted(problem)
    method = problem.method
    if not gradient(problem) or momentum(problem) or method.decay or method.sampling.batch \
            or method.shrink:
        raise NoTheorem(f"theorems on tasks in turn are about plain gradient descent, with all "
                        f"samples of a task, and {method!r} is another; the nearest is "
                        "fb.methods.gradient_descent(η)", JUNG)
    if problem.rule.loss or problem.rule.search:
        raise NoTheorem(f"steps that are searched, or divided by the loss of one task, weigh tasks "
                        f"otherwise than their common loss does, and {problem.rule!r} is such; the "
                        "nearest is a constant step size", JUNG)
    tail = tailed(problem, row)
    if not tail.holds:
        raise NoTheorem(f"theorems on tasks in turn ask for an exponential tail, which the "
                        f"{problem.loss.name} loss has not; the nearest are exponential and "
                        "logistic", JUNG, (tail,))
    return [tail]


def _asked(problem: Problem, order: str) -> list[Hypothesis]:
    """What the theorem asks beyond that."""
    known = {"cyclic": f"stated as known from the abstract of {JUNG}",
            "random": f"stated as known from the abstract of {JUNG}",
            "average": "not in the literature at hand; a round moves w by O(L), so that each "
                       "sample pulls as in gradient descent but for a factor 1 + O(L), and what "
                       "that adds up to is finite where L falls like 1/t"}[order]
    return [Hypothesis("the steps of a visit are small enough that the loss falls", None,
                       f"{problem.rule!r}; seen only in a run"),
            Hypothesis("the step size is a constant", shown(rule_of(problem) == "constant"),
                       f"{problem.rule!r}, from its beginning at each visit"),
            Hypothesis("the theorem is as its source states it", None, known),
            *stated_for(problem, "logistic")]
