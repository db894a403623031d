"""Decoupled weight decay, w⁺ = (1 − λη)w + ηΔ, which keeps the weights in the ball ‖w‖ ≤ 1/λ: the
least loss over it.

With Δ a unit direction of steepest descent, Δ/λ is the point of that ball at which ⟨∇L, ·⟩ is
least, and w⁺ = (1 − α)w + αΔ/λ, α = λη, is an update of Frank and Wolfe. So for a convex L

    L(w⁺) − L* ≤ (1 − α)(L(w) − L*) + o(α),

from any start, as what is left of w(0) is Π(1 − α): with α → 0 and Σα = ∞ both go to 0. Where Δ is
made of gradients a while apart, these differ by O(η), which is in o(α).
"""
from __future__ import annotations

import numpy as np

from fastbias.data.targets import table
from fastbias.pieces import norms
from fastbias.pieces.norms import Norm
from fastbias.problem import Problem
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit, NoTheorem
from fastbias.solvers.margins import separate
from fastbias.solvers.oracles import strictly_convex
from fastbias.solvers.regularisation import regularisation_path
from fastbias.theory.asked import decreasing, known
from fastbias.theory.base import Refusal, Rest, Row, covering, disproved, named, shown

__all__ = ["CONSTRAINED", "constrained"]

XIE = "Xie & Li (2024)"
# by which a point may be outside a ball, and predictions off their targets, relatively
ROUNDED = FITTED = 1e-12
TOUCHING = 1e-9

CONSTRAINED: tuple[Row, ...] = (
    # what no row behind these speaks of
    Refusal("decoupled weight decay on a model", XIE, lambda p, flow: not p.model.linear,
            reason="what decoupled weight decay does to the parameters of a model is not in the "
                   "table; the nearest is the same method on the linear model"),
    Refusal("decoupled weight decay, loss not convex", XIE, lambda p, flow: not p.loss.convex,
            reason="the theorem on decoupled weight decay asks for a convex loss; the nearest is "
                   "the same method with the logistic or the squared loss"),
    # unit moves first, whose points of the ball are those of Frank and Wolfe
    Rest("decoupled weight decay: argmin L over ‖w‖ ≤ 1/λ, from any start",
         f"Frank & Wolfe (1956); Dunn & Harshbarger (1978); {XIE}",
         lambda p, flow: p.method.steepest and p.method.unscaled
         and isinstance(p.method.geometry, Norm),
         hypotheses=decreasing,
         reason="moves of one length η end within O(η) of the least loss over the ball ‖w‖ ≤ 1/λ "
                "and need not reach it, and steps whose sum is finite stop short; the nearest "
                "theorem is the same with fb.steps.power(η, a), 0 < a ≤ 1"),
    # m/√v is a sign only where the gradient has come to rest
    Rest("AdamW: argmin L over ‖w‖∞ ≤ 1/λ, if it converges", XIE,
         lambda p, flow: p.method.moments is not None, hypotheses=lambda p: _of_adamw(p),
         reason="the theorem on AdamW asks for no ε, β₁ ≤ β₂ and step sizes that fall to 0 with an "
                "infinite sum: with ε > 0 the moves are shorter than one where |g| is near ε; the "
                "nearest is the same with eps=0 and fb.steps.power(η, a), 0 < a ≤ 1"),
    Refusal("decoupled weight decay", XIE, lambda p, flow: True,
            reason="the theorem on decoupled weight decay asks for moves of length one; the "
                   "nearest are normalised=True, sign_descent, signum, muon and lion, and "
                   "gradient_descent(weight_decay=λ) for the decay ½λ‖w‖² of moves −∇L, which in "
                   "l2 is the same as a decoupled one"),
)
"""What is known under decoupled weight decay, the first row that covers a problem deciding."""


def _of_adamw(problem: Problem) -> list[Hypothesis]:
    assert problem.method.moments is not None
    beta1, beta2, eps = problem.method.moments
    return [Hypothesis("no ε in the denominator", bool(eps == 0), f"ε = {eps:g}"),
            Hypothesis("β₁ ≤ β₂", bool(beta1 <= beta2), f"{beta1:g}, {beta2:g}"),
            *decreasing(problem),
            Hypothesis("the run converges", None, f"seen only in a run; {XIE} ask for it"),
            *known(XIE)]


def constrained(problem: Problem, flow: bool) -> Limit:
    """The least loss over the ball that decoupled weight decay keeps the weights in."""
    row = covering(CONSTRAINED, problem, flow)
    if isinstance(row, Refusal):
        raise NoTheorem(row.reason, row.source)
    rows = row.hypotheses(problem)
    if disproved(rows):
        raise NoTheorem(row.reason, row.source, tuple(rows))
    # (Adam has no geometry of its own: its unit moves are signs)
    norm = problem.method.geometry if problem.method.moments is None else norms.linf
    assert isinstance(norm, Norm)
    radius = 1.0 / problem.method.shrink
    w = _least(problem, norm, radius, row)
    gap = _gap(problem, norm, radius, w)
    # a run comes to the least loss, and to a point only where that is had there alone
    sole = _sole(problem, norm, w)
    if sole.holds is False:
        raise NoTheorem("several points of the ball have the least loss, and which of them a run "
                        "comes to is not known; the nearest is the same with a larger decay, or "
                        "fb.minimum_norm", row.source, (*rows, sole))
    # (of what is open above nothing is proved)
    proved = all(row.holds for row in rows)
    rows = [Hypothesis("L is convex", True, problem.loss.name), *rows, sole,
            Hypothesis("L(w_t) → min L over the ball", shown(proved),
                       "proved: each update is one of Frank and Wolfe, and averages of gradients "
                       "differ from the last by O(η)" if proved else "seen only in a run: "
                       "trace.log_loss")]
    dual = problem.loss.push(problem.predictions(w), problem.y, problem.weights)
    if problem.columns:
        dual = table(dual, problem.columns)
    return Limit(w.reshape(problem.shape), "point", row.name, row.source, tuple(rows),
                 gap <= CERTIFIED, gap, dual)


def _least(problem: Problem, norm: Norm, radius: float, row: Row) -> np.ndarray:
    """The point of the regularisation path at a radius."""
    X = problem.X if problem.sparse else problem.X.reshape(-1, *problem.sample)
    try:
        path = regularisation_path(X, problem.targets if problem.columns else problem.y, [radius],
                                   norm, problem.loss, weights=problem.weights)
    except (ValueError, ArithmeticError) as error:        # too many unknowns, no convex face
        raise NoTheorem(f"{row.name}, which is not solved for here: {error}; the nearest is "
                        "fb.regularisation_path", row.source) from None
    return np.asarray(path.w[-1]).ravel()


def _gap(problem: Problem, norm: Norm, radius: float, w: np.ndarray) -> float:
    """By how much L is over its least value in the ball, relatively, at most, by ⟨∇L, w − v⟩ for
    every v there; ∞ where w is outside.
    """
    s, g = problem.pull(w)
    value = problem.log_loss(w)
    if norm(w) > radius * (1.0 + ROUNDED):
        return np.inf
    # L is rounding there, which is no number to divide by
    if _fitted(problem, w):
        return 0.0
    # the largest ⟨−∇L, v − w⟩ over the ball bounds L(w) − L(v) for a convex L
    over = float(radius * norm.dual(g) - g @ w)
    return max(over, 0.0) * float(np.exp(s - value)) if np.isfinite(over) else np.inf


def _fitted(problem: Problem, w: np.ndarray) -> bool:
    """Whether a loss with a root is 0 at w, to rounding."""
    if problem.loss.kind != "root":
        return False
    X = problem.whole("a minimiser is asked for").X
    # output after output, as predictions stand
    terms = (np.abs(w.reshape(problem.outputs, -1)) @ np.abs(X).T).ravel() + np.abs(problem.y)
    return bool((np.abs(problem.predictions(w) - problem.y) <= FITTED * terms).all())


def _sole(problem: Problem, norm: Norm, w: np.ndarray) -> Hypothesis:
    """Whether the least loss in the ball is had by one point alone."""
    statement, loss = "the least loss over the ball is that of one point", problem.loss
    strict = loss.quadratic or named(problem, "exponential", "logistic", "probit")
    X, fitted = problem.whole("a minimiser is asked for").even[0], _fitted(problem, w)
    rank = int(np.linalg.matrix_rank(X))
    if rank == X.shape[1] and (strict or fitted):
        return Hypothesis(statement, True, ("ℓ is strictly convex" if strict else "L = 0 there")
                          + ", and X of full column rank")
    # inside the ball there are others beside it, and where it only touches them none may be
    if fitted and norm(w) * problem.method.shrink < 1.0 - TOUCHING:
        return Hypothesis(statement, False,
                          f"L = 0 at more than one point, X being of rank {rank} < {X.shape[1]}")
    # two minimisers have one gradient, and −∇L ≠ 0 touches a strictly convex ball at one point
    if strictly_convex(norm) and loss.kind == "monotone" and separate(problem.rows).separable:
        return Hypothesis(statement, True, "the ball is strictly convex, and ∇L nowhere 0")
    return Hypothesis(statement, None, "neither the norm nor the loss says so; .w is one that has "
                                       "it, and L is what is known")
