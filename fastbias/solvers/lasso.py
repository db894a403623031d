"""The ℓ1 path of the squared loss, ŵ(λ), which stagewise regression is held against, §2.4."""
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import above, foreign, own
from fastbias.checks.shown import Report, Shown, Table, series, vector
from fastbias.checks.sizes import worst
from fastbias.checks.spans import SMALL
from fastbias.data.rows import dense, largest
from fastbias.pieces import norms
from fastbias.solvers.conic_programs import solve_cone
from fastbias.solvers.equations import Unreachable
from fastbias.solvers.minimum_norm import minimum_norm, of_size_one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RegularisationPath", "l1_path"]

RISES = 1e-9                 # by how much |w_j| may fall, relative to the largest: rounding
TINY = float(np.finfo(float).tiny)
END = 1e-4                   # of λ_max: where a path ends that nobody said more of
SEEN = 1e-14                 # of λ_max, likewise: what rounding leaves of smaller λ
CUTS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)        # of a rough solution's entries: which are not 0
VIOLATED = 1e-12             # of the optimality conditions, relative to λ: more than rounding
JOINS = 1e-11                # by which a feature may pull harder than λ, relatively, and stay out
STEPS = 20                   # of an active set at one λ, for each sample or feature: few do


@dataclass(frozen=True, eq=False, repr=False)
class RegularisationPath(Shown):
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
    names : tuple of str, or None
        What the columns of X were called.
    """

    lambdas: np.ndarray
    w: np.ndarray
    residuals: np.ndarray
    names: tuple[str, ...] | None = None

    @property
    def monotone(self) -> bool:
        """Whether no |w_j| falls as λ does (where it was looked): then stagewise goes this path."""
        sizes = np.abs(self.w)
        return bool((np.diff(sizes, axis=0) >= -RISES * sizes.max()).all())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the entries of w along the path.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure's where it is not given.
        """
        return above.picture(self, ax)

    def _report(self) -> Report:
        norm = np.abs(self.w).sum(axis=1)
        return [f"ℓ1 path at {self.lambdas.size} λ"
                + (", along which no entry shrinks" if len(self.w) and self.monotone else ""),
                Table([series("λ", self.lambdas), series("‖w‖₁", norm),
                       series("entries not 0", (self.w != 0).sum(axis=1)),
                       series("residual", self.residuals)], ("", "first", "last", "one by one")),
                *(vector("w at the last λ", self.w[-1], self.names) if len(self.w) else []),
                f"largest residual {worst(self.residuals):.1e}"]


def l1_path(X: ArrayLike | checks.Sparse, y: ArrayLike,
            lambdas: ArrayLike = 50) -> RegularisationPath:
    """The ℓ1 path of the squared loss: ŵ(λ) = argmin ‖Xw − y‖₂² + λ‖w‖₁, at chosen λ.

    A convex program finds the support and signs; the solution on them is then exact linear algebra.
    Of many numbers an active set does, which one feature joins or leaves at a time.

    Parameters
    ----------
    X : (N, d), or sparse (N, d) of `scipy.sparse`, which stays so but for features with weight
    y : (N,)
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
    A: Any = (checks.matrix("X", X) if hasattr(X, "tocsr")
              else checks.array("X", X, "an (N, d)", dims=2))
    y = checks.array("y", y, "an (N,) array", dims=1, length=A.shape[0])
    # X and y of size one: w and λ are in other units there
    rows, goal, scale = of_size_one(A, y)
    top = _highest(A, y)
    grid = _lambdas(lambdas, top, A.shape[1])
    if not top > 0:
        return RegularisationPath(grid, np.zeros((grid.size, A.shape[1])), np.zeros(grid.size),
                                  own.names(X))
    if grid[-1] < SEEN * top:
        raise ValueError(f"lambdas must be at least 1e-14 of λ_max = {top:.6g}, where rounding "
                         f"hides what they say, got {grid[-1]:.3g}; the end of the path is "
                         "fb.minimum_norm(X, y, 'l1')")
    highest = 2.0 * float(np.abs(rows.T @ goal).max())
    few = isinstance(rows, np.ndarray) and rows.size <= SMALL
    solve = _Lasso(rows, goal) if few else _ActiveSet(rows, goal)
    found = [solve(highest * min(float(value) / top, 1.0)) for value in grid]
    return RegularisationPath(grid, np.array([w for w, _ in found]) * scale,
                              np.array([left for _, left in found]) / highest, own.names(X))


def _highest(X: Any, y: np.ndarray) -> float:
    """λ_max = 2‖Xᵀy‖_∞, over which ŵ(λ) is 0."""
    size, unit = float(largest(X, 1).max()) or 1.0, np.abs(y).max() or 1.0
    with np.errstate(all="ignore"):
        top = 2.0 * float(np.abs((X / size).T @ (y / unit)).max()) * size * unit
    if not top < np.inf:
        raise ValueError("X, y must be of sizes at which λ_max = 2‖Xᵀy‖_∞ fits into float64, "
                         f"got |x| up to {size:.3g} and |y| up to {unit:.3g}")
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
        cp: Any = foreign.library("cvxpy")
        self.X, self.y, self.rough = X, y, np.zeros(X.shape[1])
        self.w, self.weight = cp.Variable(X.shape[1]), cp.Parameter(nonneg=True)
        # one program with a parameter: cvxpy takes longer to compile than to solve it
        self.program = cp.Problem(cp.Minimize(cp.sum_squares(X @ self.w - y)
                                              + self.weight * cp.norm1(self.w)))

    def __call__(self, weight: float) -> tuple[np.ndarray, float]:
        """W and its violation; where the solver fails, from the w of the λ before."""
        with suppress(foreign.Unsolved), foreign.guarded("the convex program of the path"):
            self.weight.value = weight
            solve_cone(self.program)
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


class _ActiveSet:
    """The same for many numbers: w on the features that have weight, one after another.

    From the w of the λ before, w moves towards the solution with the signs that it has; where an
    entry is 0 on the way its feature leaves. At the solution the feature that pulls hardest joins,
    if harder than λ (Osborne, Presnell, Turlach 2000).
    """

    def __init__(self, X: Any, y: np.ndarray) -> None:
        self.X, self.y = X, y
        self.columns = X if isinstance(X, np.ndarray) else X.tocsc()
        self.chosen, self.signs, self.v = np.empty(0, int), np.empty(0), np.empty(0)
        self.A: np.ndarray = np.empty((len(y), 0))
        self.L: np.ndarray = np.empty((0, 0))
        self.triangular = foreign.library("scipy.linalg").solve_triangular

    def __call__(self, weight: float) -> tuple[np.ndarray, float]:
        """W and its violation; the best where features depend on each other to rounding."""
        with suppress(foreign.Unsolved), foreign.guarded("a step along the path"):
            for _ in range(STEPS * (min(self.X.shape) + STEPS)):
                if self._settled(weight):
                    pull = 2.0 * self.X.T @ (self.y - self.A @ self.v)
                    pull[self.chosen] = 0.0
                    j = int(np.abs(pull).argmax())
                    if not abs(pull[j]) > (1 + JOINS) * weight:
                        break
                    self._join(j, float(np.sign(pull[j])))
        w = np.zeros(self.X.shape[1])
        w[self.chosen] = self.v
        return w, _violation(self.X, self.y, weight, w)

    def _settled(self, weight: float) -> bool:
        """Move to the solution with these signs; False where a feature left on the way."""
        move = np.zeros_like(self.v)
        # the second one takes what rounding left
        for _ in range(2 if self.v.size else 0):
            left = self.A.T @ (self.y - self.A @ (self.v + move)) - 0.5 * weight * self.signs
            move = move + self.triangular(self.L, self.triangular(self.L, left, lower=True),
                                          lower=True, trans=1)
        turns = np.flatnonzero((self.v + move) * self.signs < 0)
        if not turns.size:
            self.v = self.v + move
            return True
        parts = self.v[turns] / -move[turns]
        self.v = self.v + float(parts.min()) * move
        self._leave(turns[parts <= parts.min()])
        return False

    def _join(self, j: int, sign: float, at: float = 0.0) -> None:
        """Feature j joins, with an entry of that sign and size."""
        x = dense(self.columns[:, [j]])
        along = (self.triangular(self.L, self.A.T @ x, lower=True) if self.v.size
                 else np.zeros((0, 1)))
        rest = float(np.sum(x * x)) - float(np.sum(along * along))
        if not rest > SEEN * float(np.sum(x * x)):
            # the others combine to it: ‖w‖₁ falls as it takes their place, until one is 0
            move = -sign * self.triangular(self.L, along, lower=True, trans=1)[:, 0]
            turns = np.flatnonzero(self.v * move < 0)
            if at or not turns.size:
                raise foreign.Unsolved("the path's linear equations are singular")
            parts = self.v[turns] / -move[turns]
            self.v = self.v + float(parts.min()) * move
            self._leave(turns[parts <= parts.min()])
            self._join(j, sign, float(parts.min()))
            return
        self.L = np.block([[self.L, np.zeros_like(along)], [along.T, np.sqrt(rest)]])
        self.A = np.hstack([self.A, x])
        self.chosen, self.signs = np.append(self.chosen, j), np.append(self.signs, sign)
        self.v = np.append(self.v, sign * at)

    def _leave(self, which: np.ndarray) -> None:
        self.chosen, self.signs, self.v = (np.delete(x, which)
                                           for x in (self.chosen, self.signs, self.v))
        self.A = np.delete(self.A, which, axis=1)
        self.L = np.linalg.cholesky(self.A.T @ self.A)


def _violation(X: Any, y: np.ndarray, weight: float, w: np.ndarray) -> float:
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
