"""Explicit weight decay on the linear model: one minimiser of L(w) + ½λ‖w‖², whatever the data."""
from __future__ import annotations

import numpy as np

from fastbias.problem import Problem
from fastbias.solvers.bregman import relative
from fastbias.solvers.diagnose import ill_scaled
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit
from fastbias.solvers.minimiser import minimise
from fastbias.theory.asked import endless
from fastbias.theory.base import gradient, momentum, shown
from fastbias.theory.stepsizes import small_steps

__all__ = ["balanced", "solved"]


def solved(problem: Problem) -> bool:
    """Whether the minimiser is solved for: of the squared loss, and of convex monotone ones."""
    loss = problem.loss
    known = loss.quadratic or (loss.kind == "monotone" and loss.convex
                               and (loss.ratio is not None or loss.classes))
    return problem.method.decay > 0 and gradient(problem) and problem.model.linear and known \
        and not problem.method.sampling.batch


def balanced(problem: Problem, flow: bool, theorem: str, source: str) -> Limit:
    """Where the decay and the loss balance, λw = −∇L(w)."""
    decay = problem.method.decay
    if problem.loss.quadratic:
        w, residual, dual, certified = _ridge(problem)
        far = float(np.linalg.norm(problem.slope(w) - decay * w)) / decay
    else:
        found = minimise(problem, decay=decay)
        w, residual, certified = found.w, found.residual, found.certified
        dual = problem.loss.push(problem.predictions(w), problem.y, problem.weights)
        far = float(np.linalg.norm(found.errors))
    rows = [Hypothesis("L(w) + ½λ‖w‖² is strictly convex", True,
                       f"λ = {decay:g}, so that ‖w − w∞‖ ≤ ‖∇‖/λ; the minimiser is within "
                       f"{far:.1e} of .w"),
            *_moved(problem, flow), *ill_scaled(problem)]
    return Limit(w.reshape(problem.shape), "point", theorem, source, tuple(rows), certified,
                 residual, dual)


def _ridge(problem: Problem) -> tuple[np.ndarray, float, np.ndarray, bool]:
    """Ridge regression: ∇ = 2 Xᵀ(Xw − y) + λw is 0; its w, residual, dual, and whether certain."""
    (X, y), decay = problem.even, problem.method.decay
    # as a least-squares problem with d more rows, which keeps the digits that XᵀX would square away
    root = np.sqrt(decay / 2.0)
    d = X.shape[1]
    w = np.linalg.lstsq(np.vstack([X, root * np.eye(d)]), np.append(y, np.zeros(d)), rcond=None)[0]
    residual = 2.0 * (y - X @ w)
    gap = relative(X.T @ residual - decay * w, X.T @ y, decay * w)
    return w, gap, residual, gap <= CERTIFIED


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
