"""Explicit weight decay on the linear model: one minimiser of L(w) + ½λ‖w‖², whatever the data."""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign
from fastbias.problem import Problem
from fastbias.solvers import exact
from fastbias.solvers.bregman import relative
from fastbias.solvers.diagnose import ill_scaled
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit
from fastbias.solvers.minimiser import Minimiser, minimise, sure
from fastbias.theory.asked import endless
from fastbias.theory.base import gradient, momentum, shown
from fastbias.theory.stepsizes import outgrown, small_steps

__all__ = ["balanced", "solved"]

EPS = float(np.finfo(float).eps)
ROUNDED = 4.0 * EPS   # of what a gradient adds up, relatively, that rounding may be
# how often the least singular value must be over its rounding, and what that costs at most
KNOWN, SAFE = 100.0, 1.25
REFINED = 2           # corrections of w by what its gradient says


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
    found = _ridge(problem) if problem.loss.quadratic else minimise(problem, decay=decay)
    w, far = found.w, float(np.linalg.norm(found.errors))
    dual = problem.loss.push(problem.predictions(w), problem.y, problem.weights)
    rows = [Hypothesis("L(w) + ½λ‖w‖² is strictly convex", True,
                       f"λ = {decay:g} or more is its curvature; the minimiser is within "
                       f"{far:.1e} of .w"),
            *_moved(problem, flow, found.w), *ill_scaled(problem)]
    return Limit(w.reshape(problem.shape), "point", theorem, source, tuple(rows), found.certified,
                 found.residual, dual)


def _ridge(problem: Problem) -> Minimiser:
    """Ridge regression: ∇ = 2 XᵀC(Xw − y) + λw is 0, C the weights.

    The curvature H is the same everywhere, so that w is H⁻¹∇ from the minimiser.
    """
    (X, y), decay, d = problem.even, problem.method.decay, problem.size
    # as a least-squares problem with d more rows, which keeps the digits that XᵀX would square
    # away, in columns of size one, which keep those of features that are small beside others
    A = np.vstack([X, np.sqrt(decay / 2.0) * np.eye(d)])
    units = np.exp2(np.frexp(np.abs(A).max(axis=0))[1])
    U, sizes, V = foreign.ask("ridge regression", "numpy.linalg.svd", A / units,
                              full_matrices=False)
    kept = sizes > len(A) * EPS * sizes[0]
    # H = 2 AᵀA, of which R is the root of the inverse
    R = (V[kept].T / sizes[kept]) / units[:, None] / np.sqrt(2.0)
    w = np.sqrt(2.0) * R @ (U[:len(y), kept].T @ y)
    for _ in range(REFINED):
        w = w + R @ (R.T @ _fall(problem, w)[0])
    g, terms = _fall(problem, w)
    rounding = ROUNDED * terms
    gap = relative(g, X.T @ y, decay * w)
    errors = np.full(d, float(np.linalg.norm(g) + np.linalg.norm(rounding)) / decay)
    if sizes[-1] > KNOWN * len(A) * EPS * sizes[0]:
        short = float(np.linalg.norm(R.T @ g) + np.linalg.norm(np.abs(R.T) @ rounding))
        errors = np.minimum(errors, SAFE * short * np.linalg.norm(R, axis=1))
    return Minimiser(w, gap, errors, gap <= CERTIFIED and sure(problem, w, errors))


def _fall(problem: Problem, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """−∇ (d,) of ridge regression, rounded a few times, and the sizes of the terms of its sums."""
    decay = problem.method.decay
    off = exact.careful(np.vstack([problem.X.T, problem.y]), np.append(-w, 1.0))
    push = 2.0 * off if problem.weights is None else 2.0 * problem.weights * off
    g = exact.careful(np.vstack([problem.X, np.eye(w.size)]), np.append(push, -decay * w))
    return g, np.abs(push) @ np.abs(problem.X) + decay * np.abs(w)


def _moved(problem: Problem, flow: bool, w: np.ndarray) -> list[Hypothesis]:
    """Whether the steps lead there."""
    if flow:
        return [Hypothesis("η → 0: the flow", True, "asked for")]
    small = small_steps(problem)
    there = bool(small.holds and endless(problem).holds) and not momentum(problem)
    away = "" if there else outgrown(problem, w)
    told = "proved: what is minimised falls by at least a multiple of η‖∇‖² at each step, and " \
        "Ση = ∞" if there else away or "seen only in a run"
    return [endless(problem), small,
            Hypothesis("w_t → .w, from any start", False if away else shown(there),
                       told)]
