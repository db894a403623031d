"""Sentences for methods that no theorem of the tables covers, which stand behind all of them."""
from __future__ import annotations

from fastbias.pieces.norms import Norm
from fastbias.problem import Problem
from fastbias.solvers.limit import PAPER
from fastbias.theory.base import Refusal

__all__ = ["NO_DIRECTION", "NO_POINT"]


def _mixed(problem: Problem) -> bool:
    """Whether moves are made of a sum of gradients that fade, and are not of length one."""
    method = problem.method
    return method.averages == "fading" and isinstance(method.geometry, Norm) and not method.adaptive


NEAREST = ("in l2 the nearest is fb.methods.gradient_descent(η, momentum=μ, nesterov=γ), which "
           "goes through the same points, taken ahead by γ")

NO_POINT = (
    Refusal("momentum in the gradient", f"{PAPER}, §2.4", lambda p, flow: _mixed(p),
            reason="momentum in the gradient has no theorem of its own for losses with a root; "
                   f"{NEAREST}"),
)
"""Behind the table of Section 2."""

NO_DIRECTION = (
    Refusal("adaptive methods", "Zhang, Zou, Cao (2024)", lambda p, flow: p.method.adaptive,
            reason="no theorem names the limit direction of this adaptive method: what it divides "
                   "by remembers more than the theorem for Adam allows (moments of its moves, the "
                   "greatest v so far, an ε elsewhere); the nearest is fb.methods.adam or rmsprop "
                   "with eps=0 and fb.steps.power(η, a), 0 < a ≤ 1"),
    Refusal("momentum in the gradient", "Fan, Schmidt, Thrampoulidis (2025)",
            lambda p, flow: _mixed(p),
            reason="theorems on momentum in the gradient are about moves of length one that are "
                   "steepest for a sum in which the last gradient weighs most (not Newton and "
                   "Schulz's, nor Lion's where β₁ outweighs it); the nearest are normalised=True, "
                   "signum, and muon with the polar factor, with fb.steps.power(η, a), 0 < a ≤ 1; "
                   f"without normalised steps {NEAREST}"),
)
"""Behind that of Section 3."""
