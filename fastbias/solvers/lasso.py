"""The ℓ1 path of the squared loss, ŵ(λ), which stagewise regression is held against, §2.4."""
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import worst
from fastbias.pieces import norms
from fastbias.solvers.equations import Unreachable
from fastbias.solvers.minimum_norm import minimum_norm, of_size_one

__all__ = ["RegularisationPath", "l1_path"]

RISES = 1e-9                 # by how much |w_j| may fall, relative to the largest: rounding
TINY = float(np.finfo(float).tiny)
END = 1e-4                   # of λ_max: where a path ends that nobody said more of
SEEN = 1e-14                 # of λ_max, likewise: what rounding leaves of smaller λ
CUTS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)        # of a rough solution's entries: which are not 0
VIOLATED = 1e-12             # of the optimality conditions, relative to λ: more than rounding


@dataclass(frozen=True, eq=False)
class RegularisationPath:
    """The solutions ŵ(λ) of min L(w) + λ‖w‖₁ at chosen λ, and how optimal each is.

    Parameters
    ----------
    lambdas : (K,)
        Falling.
    w : (K, d)
        Solutions.
    residuals : (K,)
        The largest violation of |∂L/∂w_j| ≤ λ, and = −λ sign(w_j) where w_j ≠ 0, relative to λ_max
        = ‖∇L(0)‖_∞.
    """

    lambdas: np.ndarray
    w: np.ndarray
    residuals: np.ndarray

    @property
    def monotone(self) -> bool:
        """Whether no |w_j| falls as λ does (where it was looked): then stagewise goes this path."""
        sizes = np.abs(self.w)
        return bool((np.diff(sizes, axis=0) >= -RISES * sizes.max()).all())


def l1_path(X: ArrayLike, y: ArrayLike, lambdas: ArrayLike = 50) -> RegularisationPath:
    """The ℓ1 path of the squared loss: ŵ(λ) = argmin ‖Xw − y‖₂² + λ‖w‖₁, at chosen λ.

    A convex program finds the support and signs; the solution on them is then exact linear algebra.

    Parameters
    ----------
    X : (N, d), y : (N,)
    lambdas : int or (K,) array > 0, default 50
        How many λ, spaced logarithmically from λ_max = 2‖Xᵀy‖_∞ (where ŵ leaves 0) to 1e-4 λ_max,
        or the λ themselves.

    Returns
    -------
    RegularisationPath

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.

    References
    ----------
    Efron, Hastie, Johnstone, Tibshirani (2004); Gunasekar, Lee, Soudry, Srebro (2018), §2.4.
    (scikit-learn's objective is ‖Xw − y‖²/2N + α‖w‖₁, so λ = 2Nα.)
    """
    X = checks.array("X", X, "an (N, d)", dims=2)
    y = checks.array("y", y, "an (N,) array", dims=1, length=X.shape[0])
    # X and y of size one: w and λ are in other units there
    rows, goal, scale = of_size_one(X, y)
    top = _highest(X, y)
    grid = _lambdas(lambdas, top, X.shape[1])
    if not top > 0:
        return RegularisationPath(grid, np.zeros((grid.size, X.shape[1])), np.zeros(grid.size))
    if grid[-1] < SEEN * top:
        raise ValueError(f"lambdas must be at least 1e-14 of λ_max = {top:.6g}, where rounding "
                         f"hides what they say, got {grid[-1]:.3g}; the end of the path is "
                         "fb.minimum_norm(X, y, 'l1')")
    highest = 2.0 * float(np.abs(rows.T @ goal).max())
    solve = _Lasso(rows, goal)
    found = [solve(highest * min(float(value) / top, 1.0)) for value in grid]
    return RegularisationPath(grid, np.array([w for w, _ in found]) * scale,
                              np.array([left for _, left in found]) / highest)


def _highest(X: np.ndarray, y: np.ndarray) -> float:
    """λ_max = 2‖Xᵀy‖_∞, over which ŵ(λ) is 0."""
    largest, unit = np.abs(X).max() or 1.0, np.abs(y).max() or 1.0
    with np.errstate(all="ignore"):
        top = 2.0 * float(np.abs((X / largest).T @ (y / unit)).max()) * largest * unit
    if not top < np.inf:
        raise ValueError("X, y must be of sizes at which λ_max = 2‖Xᵀy‖_∞ fits into float64, "
                         f"got |x| up to {largest:.3g} and |y| up to {unit:.3g}")
    return top


def _lambdas(lambdas: ArrayLike, top: float, d: int) -> np.ndarray:
    """Those given, falling, or as many as asked for."""
    if isinstance(lambdas, (list, tuple)) or np.ndim(lambdas) > 0:
        return np.sort(checks.steps("lambdas", lambdas, above=0))[::-1].copy()
    count = checks.whole("lambdas", lambdas, least=2)
    checks.fits("lambdas", lambdas, count, d)
    top = top if top > 0 else 1.0
    if not END * top >= TINY:
        raise ValueError(f"X, y must be of sizes at which {END:g} λ_max fits into float64, got "
                         f"λ_max = {top:.3g}")
    return np.geomspace(top, END * top, count)


class _Lasso:
    """Min ‖Xw − y‖² + λ‖w‖₁ for X and y of size one, at one λ after another."""

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        cp = self.cp = foreign.library("cvxpy")
        self.X, self.y, self.rough = X, y, np.zeros(X.shape[1])
        self.w, self.weight = cp.Variable(X.shape[1]), cp.Parameter(nonneg=True)
        # one program with a parameter: cvxpy takes longer to compile than to solve it
        self.program = cp.Problem(cp.Minimize(cp.sum_squares(X @ self.w - y)
                                              + self.weight * cp.norm1(self.w)))

    def __call__(self, weight: float) -> tuple[np.ndarray, float]:
        """W and its violation; where the solver fails, from the w of the λ before."""
        with suppress(foreign.Unsolved), foreign.guarded("the convex program of the path"):
            self.weight.value = weight
            self.program.solve(self.cp.CLARABEL)
            if self.w.value is not None and np.isfinite(self.w.value).all():
                self.rough = np.asarray(self.w.value)
        w = _polish(self.X, self.y, weight, self.rough)
        left = _violation(self.X, self.y, weight, w)
        # solvers cannot see a λ this small: its end can
        if left > VIOLATED * weight and self.end is not None:
            other = _polish(self.X, self.y, weight, self.end)
            if _violation(self.X, self.y, weight, other) < left:
                w, left = other, _violation(self.X, self.y, weight, other)
        return w, left

    @cached_property
    def end(self) -> np.ndarray | None:
        """Where the path goes as λ → 0, if Xw = y has solutions."""
        with suppress(Unreachable, ArithmeticError):
            return minimum_norm(self.X, self.y, norms.l1).w
        return None


def _violation(X: np.ndarray, y: np.ndarray, weight: float, w: np.ndarray) -> float:
    """The largest violation of the optimality conditions of ‖Xw − y‖² + λ‖w‖₁."""
    pull = 2.0 * X.T @ (y - X @ w)
    return worst(np.abs(pull) - weight, np.abs(pull - weight * np.sign(w))[w != 0])


def _polish(X: np.ndarray, y: np.ndarray, weight: float, rough: np.ndarray) -> np.ndarray:
    """Solve exactly on supports that a rough solution suggests; the best of all, and of itself."""
    best = min(np.zeros(rough.size), rough, key=lambda w: _violation(X, y, weight, w))
    for cut in CUTS:
        active = np.abs(rough) > cut * max(float(np.abs(rough).max()), 1e-300)
        w = np.zeros(rough.size)
        A = X[:, active]
        if active.any():
            w[active] = foreign.ask("the path's linear equations", "numpy.linalg.lstsq", A.T @ A,
                                    A.T @ y - weight / 2.0 * np.sign(rough[active]), rcond=None)[0]
        if _violation(X, y, weight, w) < _violation(X, y, weight, best):
            best = w
    return best
