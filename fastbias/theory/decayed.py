"""Explicit weight decay on the linear model: one minimiser of L(w) + ½λ‖w‖², whatever the data."""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length
from fastbias.problem import Problem
from fastbias.solvers import exact
from fastbias.solvers.bregman import relative
from fastbias.solvers.diagnose import ill_scaled
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit, NoTheorem
from fastbias.solvers.minimiser import SURE, minimise
from fastbias.theory.asked import endless
from fastbias.theory.base import disproved, gradient, momentum, shown
from fastbias.theory.stepsizes import small_steps

__all__ = ["balanced", "solved"]

EPS = float(np.finfo(float).eps)


def solved(problem: Problem) -> bool:
    """Whether the minimiser is solved for: of the squared loss, and of convex monotone ones."""
    loss = problem.loss
    known = loss.quadratic or (loss.kind == "monotone" and loss.convex
                               and (loss.ratio is not None or loss.classes))
    return problem.method.decay > 0 and gradient(problem) and problem.model.linear and known \
        and not problem.method.sampling.batch


def balanced(problem: Problem, flow: bool, theorem: str, source: str) -> Limit:
    """Where the decay and the loss balance, λw = −∇L(w)."""
    moved, decay = _moved(problem, flow), problem.method.decay
    if disproved(moved):
        raise NoTheorem("steps that add up to a finite length stop short of the minimiser; the "
                        "nearest theorem is the same with step sizes whose sum is infinite",
                        source, tuple(moved))
    if problem.loss.quadratic:
        w, residual, dual, far = _ridge(problem)
        certified = bool(residual <= CERTIFIED and far <= SURE * length(w))
    else:
        found = minimise(problem, decay=decay)
        w, residual, certified = found.w, found.residual, found.certified
        dual = problem.loss.push(problem.predictions(w), problem.y, problem.weights)
        far = float(np.linalg.norm(found.errors))
    rows = [Hypothesis("L(w) + ½λ‖w‖² is strictly convex", True,
                       f"λ = {decay:g} or more is its curvature; the minimiser is within "
                       f"{far:.1e} of .w"),
            *moved, *ill_scaled(problem)]
    return Limit(w.reshape(problem.shape), "point", theorem, source, tuple(rows), certified,
                 residual, dual)


def _ridge(problem: Problem) -> tuple[np.ndarray, float, np.ndarray, float]:
    """Ridge regression: ∇ = 2 Xᵀ(Xw − y) + λw is 0; its w, residual, dual ν with λw = Xᵀν, and how
    far w may be from the minimiser.
    """
    (X, y), decay = problem.even, problem.method.decay
    counts = 1.0 if problem.weights is None else problem.weights
    # squares of singular values would overflow, or vanish beside λ
    U, values, V = foreign.ask("ridge regression", "scipy.linalg.svd", X, full_matrices=False)
    w = V.T @ ((U.T @ y) / (values + 0.5 * decay / values))
    dual = 2.0 * counts * (problem.y - problem.X @ w)
    short = exact.careful(problem.X, dual) - decay * w
    # less than rounding of the largest one leaves of them; others may as well be 0
    sure = np.maximum(values - max(X.shape) * EPS * values.max(initial=0.0), 0.0)
    along = V @ short
    moved = np.where(sure > 0, along / (2.0 * sure + decay / sure) / sure, along / decay)
    # δ of a residual pulls by σδ, and moves w by σδ/(2σ² + λ) at most
    off = 2.0 * EPS * (X.shape[1] + 2) * length(np.abs(y) + np.abs(X) @ np.abs(w)) \
        * min(1.0 / np.sqrt(8.0 * decay), float(values.max(initial=0.0)) / decay)
    far = length(moved) + length(short - V.T @ along) / decay + off
    return w, relative(short, X.T @ y, decay * w), dual, far


def _moved(problem: Problem, flow: bool) -> list[Hypothesis]:
    """Whether the steps lead there."""
    if flow:
        return [Hypothesis("η → 0: the flow", True, "asked for")]
    small = small_steps(problem)
    there = bool(small.holds and endless(problem).holds) and not momentum(problem)
    return [endless(problem), small,
            Hypothesis("w_t → .w, from any start", shown(there),
                       "proved: what is minimised falls by at least a multiple of η‖∇‖² at each "
                       "step, and Ση = ∞" if there else "seen only in a run")]
