"""Homogeneous models under other methods than gradient descent: stationary points of the margin
problem in parameters, in the norm of the method.

The norm is one of u, not of w: on a network the method sees no predictor. Many points are
stationary, so a row names none before a run, and behind one says how stationary it is.
"""
from __future__ import annotations

from fastbias.pieces import norms
from fastbias.pieces.laws import ours
from fastbias.pieces.norms import Norm
from fastbias.problem import Problem
from fastbias.solvers.limit import Hypothesis
from fastbias.solvers.oracles import has_margin
from fastbias.theory.asked import endless, stated_for
from fastbias.theory.asymptotes import pace
from fastbias.theory.base import Direction, shown

__all__ = ["OTHERS"]

TSILIVIS = "Tsilivis, Vardi, Kempe (2024)"
GRONICH = "Gronich & Vardi (2026)"
WANG = "Wang, Meng, Chen, Liu (2021)"
STATIONARY = "a stationary point of min ½‖u‖² with margins ≥ 1"


def _homogeneous(problem: Problem) -> bool:
    """Whether the model is one that the theorems speak of, and its gradient that of all samples."""
    return problem.loss.kind == "monotone" and problem.model.degree > 0 \
        and not problem.method.sampling.batch


def _steepest(problem: Problem) -> bool:
    """Whether its moves are of steepest descent, in a norm in which margins can be solved for."""
    g = problem.method.geometry
    return problem.method.steepest and isinstance(g, Norm) and has_margin(g)


def _own(problem: Problem) -> Norm:
    """The norm of the method; of Adam without ε the one of moves by signs."""
    g = problem.method.geometry
    return g if isinstance(g, Norm) else norms.linf


def _moment(problem: Problem, eps: bool) -> bool:
    """Whether it is Adam or RMSProp, with an ε > 0 or without."""
    moments = problem.method.moments
    return moments is not None and bool(moments[2] > 0) == eps


def _of_length_one(problem: Problem) -> list[Hypothesis]:
    """What the theorem on moves of length one asks: Σ η = ∞, and −log L, which grows like t^L with
    ‖u‖ ~ t, in steps that vanish.
    """
    L, a = problem.model.degree, pace(problem)
    least = 1.0 - 1.0 / L
    rows = [endless(problem),
            Hypothesis(f"the step sizes are o(t^(1/L − 1)), L = {L}",
                       None if a is None else a > least,
                       f"{problem.rule!r}: power(η, a) wants {least:.3g} < a ≤ 1"),
            Hypothesis("F is smooth", shown(problem.model.multilinear and ours(problem.model)),
                       "linear in each layer" if problem.model.multilinear else
                       "the model does not say that it is linear in each layer"),
            *stated_for(problem, "exponential", "logistic")]
    if problem.method.moments is not None:
        beta1, beta2, _ = problem.method.moments
        rows.append(Hypothesis("β₁ ≤ β₂", shown(bool(beta1 <= beta2)), f"{beta1:g}, {beta2:g}"))
    return rows


OTHERS = (
    Direction(f"{STATIONARY}, in the method's norm: steepest descent", TSILIVIS,
        lambda p, flow: _homogeneous(p) and _steepest(p) and not p.method.averages
        and not p.method.unscaled,
        stationary=_own,
        hypotheses=lambda p: stated_for(p, "exponential", "logistic"),
        reason="the theorem on steepest descent asks for a homogeneous F; the nearest are those "
               "for diagonal and deep linear networks"),
    Direction(f"{STATIONARY}, in the method's norm: moves of length one, momentum, and Adam "
              "without ε",
        GRONICH,
        lambda p, flow: _homogeneous(p) and not flow
        and ((_steepest(p) and p.method.unscaled) or _moment(p, eps=False)),
        stationary=_own, hypotheses=_of_length_one,
        reason="the theorem on moves of length one asks for step sizes whose sum is infinite and "
               "that fall faster than t^(1/L − 1), L the degree of the model; the nearest is the "
               "same with fb.steps.power(η, a), 1 − 1/L < a ≤ 1"),
    Direction(f"{STATIONARY}, in l2: Adam and RMSProp with ε > 0", WANG,
        lambda p, flow: _homogeneous(p) and not flow and _moment(p, eps=True),
        stationary=lambda p: norms.l2,
        hypotheses=lambda p: [endless(p), *stated_for(p, "exponential", "logistic")],
        reason="steps that add up to a finite length cannot reach infinity; the nearest is the "
               "same with step sizes whose sum is infinite"),
)
"""Rows of ``NETWORK`` that stand before the refusal of all but gradient descent."""
