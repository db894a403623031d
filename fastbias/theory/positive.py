"""Mirror descent with the entropy on separable data: w stays positive, and goes to the largest
margin that a positive w of Σw = 1 has.
"""
from __future__ import annotations

from fastbias.pieces import potentials
from fastbias.problem import Problem
from fastbias.solvers.limit import Hypothesis, Limit, NoTheorem
from fastbias.solvers.orthant import separate_inside, widest_inside
from fastbias.theory.asked import classes, endless, mirrors, of_a_flow
from fastbias.theory.base import Direction, momentum, named, shown

__all__ = ["INSIDE"]

SOURCE = "derived here, by the argument for diagonal networks of depth 2; linear duality"
PROVED = ("proved: with dτ = L dt and v ≥ 0 the maximiser of Σv = 1, d⟨v, log w⟩/dτ ≥ γ, so that "
          "log Σw grows by γτ; −log L/Σw never falls, and a limit of it under γ would let log Σw "
          "grow no faster than that")


def _speaks(problem: Problem, flow: bool) -> bool:
    return mirrors(problem, flow) and problem.method.geometry is potentials.entropy


def _asked(problem: Problem) -> list[Hypothesis]:
    """That some w ≥ 0 separates the data, and what is proved of the flow alone."""
    told = separate_inside(problem.Z)
    statement = "some w ≥ 0 separates the data, within which w stays"
    # a λ that no w ≥ 0 can serve is worth more than the sentence of the row
    if told.w is None:
        assert told.dual is not None
        row = Hypothesis(statement, False, "λ ≥ 0 in .dual has Σ λ_n z_n ≤ 0 in each entry")
        raise NoTheorem(f"{INSIDE.name} asks that {statement}, and λ in .dual certifies that none "
                        "does: the loss does not go to 0, and what w tends to is not known to the "
                        "table; the nearest are potentials of all vectors, such as hypentropy(β), "
                        "for which it is the l1 maximum margin", INSIDE.source,
                        (endless(problem), row), told.dual)
    rows = [endless(problem), Hypothesis(statement, True, "a w > 0 with all margins > 0")]
    exact = named(problem, "exponential")
    if of_a_flow(problem):
        rows.append(Hypothesis("the flow comes to the maximum margin over w ≥ 0", shown(exact),
                               PROVED if exact else f"{PROVED}; for the exponential loss, and not "
                                                    f"in these words for {problem.loss.name}"))
    else:
        rows.append(Hypothesis("finite steps go where the mirror flow goes", None,
                               f"{problem.rule!r}; what is proved is of the flow η → 0"))
    if momentum(problem):
        rows.append(Hypothesis("momentum keeps the direction", None, "not in the literature"))
    return [*rows, *classes(problem)]


def _solve(problem: Problem) -> Limit:
    told = separate_inside(problem.Z)
    assert told.w is not None
    return widest_inside(problem.Z, problem.shape, told.w)


INSIDE = Direction(
    "mirror descent with the entropy: the maximum margin over w ≥ 0, Σw ≤ 1", SOURCE, _speaks,
    solve=_solve, hypotheses=_asked,
    reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is "
           "the same with step sizes whose sum is infinite")
