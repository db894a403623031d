"""Homogeneous models under other methods than gradient descent: stationary points of the margin
problem in parameters, in the norm of the method.

The norm is one of u, not of w: on a network the method sees no predictor. Many points are
stationary, so a row names none before a run, and behind one says how stationary it is.
"""
from __future__ import annotations

import numpy as np

from fastbias.pieces import norms
from fastbias.pieces.laws import ours
from fastbias.pieces.norms import Norm
from fastbias.problem import Problem
from fastbias.solvers.limit import Hypothesis
from fastbias.solvers.oracles import has_margin
from fastbias.theory.asked import endless, stated_for
from fastbias.theory.asymptotes import pace
from fastbias.theory.base import Direction, gradient, shown

__all__ = ["OTHERS", "OVERSHOT", "smooth"]

TSILIVIS = "Tsilivis, Vardi, Kempe (2024)"
GRONICH = "Gronich & Vardi (2026)"
WANG = "Wang, Meng, Chen, Liu (2021)"
NEAR = 2.0            # margins up to so many times the least count as near it
OVERSHOT = ("steps η/L of a homogeneous model outgrow its smoothness, and here they have: runs "
            "then end elsewhere, or nowhere; the nearest are the same run stopped before (until=), "
            "and step sizes without L: a constant, or fb.steps.power")
STATIONARY = "a stationary point of min ½‖u‖² with margins ≥ 1"


def smooth(problem: Problem) -> Hypothesis:
    """Whether steps over L are under the inverse of the local smoothness, which grows with ‖w‖."""
    statement = "the steps stay under the inverse of the local smoothness"
    # of degree 2 the overshoot of gradient descent has one size, whatever ‖w‖ is
    if problem.model.degree == 2 and gradient(problem):
        return Hypothesis(statement, None, "η/L does until ‖w‖ is about 1/η; from there on the "
                                           "margin stays O(η) under the maximum")
    told = "η/L does only while ‖w‖ is small: then margins fall again; stop before (until=)"
    a, moved = pace(problem), _overshot(problem)
    if moved is None:
        return Hypothesis(statement, None, told)
    # margins grow like e^{t^{1−a}}, faster than any such step falls
    return Hypothesis(statement, False if moved > 1.0 and a is not None and a < 1.0 else None,
                      f"{told}; the last update moved a margin near the least by {moved:.2g}, "
                      "beyond what ‖u‖ grew by, where a flow moves it by much less than 1")


def _overshot(problem: Problem) -> float | None:
    """The largest |m_n(u) − m_n(u′) (‖u‖/‖u′‖)^L|, u′ being where the last update began, over
    margins near the least: what an update does beside growing. None where there was none.
    """
    reached, L = problem.reached, problem.model.degree
    if reached is None or reached.t == 0:
        return None
    # of size one, as u may be 1e150
    size = float(np.abs(reached.u).max())
    u, before = reached.u / size, (reached.u - reached.move) / size
    norm = _own(problem) if problem.method.geometry is not None else norms.l2
    with np.errstate(all="ignore"):
        now = problem.least(problem.predictor(u))
        grew = np.float64(norm(u)) / norm(before)
        then = problem.least(problem.predictor(before)) * grew ** L
        near = now <= NEAR * now.min()
        if not (now.min() > 0 and np.isfinite(then).all()):
            return None
        return float(np.exp(L * np.log(size) + np.log(np.abs(now - then)[near].max())))


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
