"""Explicit regularisation, to hold implicit bias against: the paths ŵ(λ), §2.4, and ŵ(c), §3.2."""
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import worst
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.losses import Loss
from fastbias.pieces.norms import Norm
from fastbias.problem import Data, Unreachable, gather
from fastbias.solvers.cones import solve_cone
from fastbias.solvers.margins import separate, widest
from fastbias.solvers.minimum_norm import minimum_norm, of_size_one
from fastbias.solvers.oracles import demand_convex
from fastbias.solvers.programs import solve_tightly

__all__ = ["BallPath", "RegularisationPath", "l1_path", "regularisation_path"]

RISES = 1e-9                 # by how much |w_j| may fall, relative to the largest: rounding
TINY = float(np.finfo(float).tiny)
END = 1e-4                   # of λ_max: where a path ends that nobody said more of
SEEN = 1e-14                 # of λ_max, likewise: what rounding leaves of smaller λ
CUTS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)        # of a rough solution's entries: which are not 0
VIOLATED = 1e-12             # of the optimality conditions, relative to λ: more than rounding
NEWTON = 60                  # steps over a ball, and the gap at which there is no more to gain
FLAT, NEAR = 1e-10, 1e-8     # the gap at which another start is tried
SHORTEST = 1e-10             # part of a step under which the search along it gives up
FALL = 1e-4                  # of what the slope promises (Armijo)
LEVEL = 1e-13                # relative changes of log L that are rounding
APART = 1e-5                 # of slopes whose difference is a curvature: half the digits stay


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


@dataclass(frozen=True, eq=False)
class BallPath:
    """The minimisers ŵ(c) of a loss over balls ‖w‖ ≤ c, each with how far from optimal it can be.

    Parameters
    ----------
    radii : (K,)
        c, rising.
    w : (K, d), (K, m, n) or (K, C, d)
        ŵ(c).
    log_loss : (K,)
        log L(ŵ(c)).
    residuals : (K,)
        (L(ŵ) − min L)/L(ŵ) is at most this for a convex loss: c ‖∇L‖⋆ + ⟨∇L, ŵ⟩ over L, the
        Frank–Wolfe gap.
    classes : (2,) or (K,) array, or None
        The labels as they were given, sorted: which is −1 and which +1, or the classes in order.
    """

    radii: np.ndarray
    w: np.ndarray
    log_loss: np.ndarray
    residuals: np.ndarray
    classes: np.ndarray | None = None


def regularisation_path(X: ArrayLike, y: ArrayLike, radii: ArrayLike, norm: Norm | str = norms.l2,
                        loss: Loss | str = "exponential") -> BallPath:
    """The regularisation path of §3.2: ŵ(c) = argmin L(w) subject to ‖w‖ ≤ c, at chosen radii.

    On separable data ŵ(c)/c tends to the maximum margin in that norm as c → ∞ (Rosset, Zhu, Hastie
    2004), the direction that steepest descent in the norm goes to (Theorem 5), though the two paths
    differ on the way. Newton's method on log L over the ball, by the norm's convex face; loss and
    gradient in the log domain, so c may be large. Where a step fails the best point stays, and its
    residual tells. A loss with a finite root is 0 once a ball holds a solution of Xw = y.

    Parameters
    ----------
    X : (N, d) or (N, m, n), y : (N,)
    radii : (K,) > 0
    norm : Norm or its name, default l2
    loss : Loss or its name, default exponential
        Differentiable; convex for the residuals to be a certificate.

    Returns
    -------
    BallPath

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.

    Examples
    --------
    >>> import fastbias as fb
    >>> path = fb.regularisation_path([[2, 1], [1, 2]], [1, 1], [1, 10, 100])
    >>> print((path.w[-1] / 100).round(6), bool(path.residuals.max() < 1e-6))
    [0.707107 0.707107] True
    """
    data = gather(X, y, loss)
    norm = checks.one_of("norm", norm, norms, Norm)
    norm.fits(data.shape)
    demand("norm", norm)
    demand("loss", data.loss)
    demand_convex(norm, "for its regularisation path")
    grid = np.sort(checks.steps("radii", radii, above=0))
    newton, direction = _Newton(data, norm), _direction(data, norm)
    root = _interpolation(data, norm)
    w, ends = np.zeros(data.size), []
    for c in map(float, grid):
        # L = 0 there, to rounding: no logarithm to go by
        if root is not None and norm(root) <= c:
            end = root, _pull(data, root)[0], 0.0
        else:
            end = _over_ball(newton, w, direction, c)
        w = end[0]
        ends.append(end)
    points, logs, gaps = zip(*ends, strict=True)
    rows = np.array([point.reshape(data.shape) for point in points])
    return BallPath(grid, rows, np.array(logs), np.array(gaps), data.classes)


def _over_ball(newton: _Newton, w: np.ndarray, direction: np.ndarray,
               c: float) -> tuple[np.ndarray, float, float]:
    """The minimiser over a ball, from the one over the last ball; log L there, and its gap."""
    data, norm = newton.data, newton.norm
    # far out the path is a line: w moves along the maximum margin
    along = w + (c - norm(w)) * direction
    starts = [w, *(v * (c / norm(v)) for v in (w, direction, along) if norm(v) > 0)]
    found = []
    # the nearest; others where it stalls
    for start in sorted(starts, key=lambda v: _pull(data, v)[0]):
        found.append(newton.minimum(start, c))
        if found[-1][2] <= NEAR:
            break
    return min(found, key=lambda end: end[2])


def _direction(data: Data, norm: Norm) -> np.ndarray:
    """Where the path of a monotone loss goes on separable data: the maximum margin; 0 else."""
    if data.loss.kind == "monotone":
        with suppress(ArithmeticError):                      # too near to call
            told = separate(data.rows)
            if told.w is not None:
                return widest(data.rows, data.shape, norm, told.w).w.ravel()
    return np.zeros(data.size)


def _interpolation(data: Data, norm: Norm) -> np.ndarray | None:
    """The w of least norm with Xw = y, where L = 0 for a loss with a finite root, or None."""
    if data.loss.kind != "monotone" and data.outputs == 1:
        with suppress(Unreachable, ArithmeticError):
            return minimum_norm(data.X, data.y, norm).w
    return None


class _Newton:
    """Newton's method on log L over the ball ‖w‖ ≤ c, each step a cone program."""

    def __init__(self, data: Data, norm: Norm) -> None:
        cp = foreign.library("cvxpy")
        self.data, self.norm = data, norm
        n = data.size
        self.move, self.at, self.unit = cp.Variable(n), cp.Parameter(n), cp.Parameter(nonneg=True)
        self.root, self.pull = cp.Parameter((n, n)), cp.Parameter(n)
        assert norm.convex is not None
        with foreign.guarded(f"the convex program of the path in the {norm.name} norm"):
            self.model = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(self.root @ self.move)
                                                - self.pull @ self.move),
                                    [norm.convex(cp, self.at + self.unit * self.move) <= 1.0])

    def minimum(self, w: np.ndarray, c: float) -> tuple[np.ndarray, float, float]:
        """The minimiser from a start w, log L there, and its gap; the best point where it fails."""
        value, g = _pull(self.data, w)
        gap = self._gap(w, g, c)
        best = w, value, gap
        for _ in range(NEWTON):
            step = self._step(w, g, c) if gap > FLAT else None
            found = None if step is None else self._along(w, step, c, (value, g, gap))
            if found is None:
                break
            w, value, g, gap = found
            best = min(best, (w, value, gap), key=lambda found: found[2])
        return best

    def _along(self, w: np.ndarray, step: np.ndarray, c: float,
               here: tuple[float, np.ndarray, float]) -> tuple[np.ndarray, float, np.ndarray,
                                                               float] | None:
        """A point on the way that is lower enough, its value, slope and gap; None if none is."""
        (value, g, gap), size = here, 1.0
        while size > SHORTEST:
            new = _shrink(w + size * step, self.norm, c)
            lower, turned = _pull(self.data, new)
            left = self._gap(new, turned, c)
            falls = lower < value - FALL * size * max(float(g @ step), 0.0)
            # or where values are rounding
            if falls or (lower <= value + LEVEL * abs(value) and left < 0.5 * gap):
                return new, lower, turned, left
            size /= 2
        return None

    def _gap(self, w: np.ndarray, g: np.ndarray, c: float) -> float:
        return worst(c * self.norm.dual(g) - g @ w) if np.isfinite(g).all() else np.inf

    def _step(self, w: np.ndarray, g: np.ndarray, c: float) -> np.ndarray | None:
        """The step to the minimum of the quadratic model, in units of its curvature.

        Far out it is much shorter than c, and would be lost in the solver's tolerance.
        """
        with suppress(foreign.Unsolved), foreign.guarded("a step along the regularisation path"):
            R = _curvature(self.data, w, g)
            size = float(np.linalg.norm(R, 2))
            unit = min(c, 1.0 / size) if size > 0 else c
            self.root.value, self.pull.value = R * unit, g * unit
            self.at.value, self.unit.value = w / c, unit / c
            if solve_tightly(self.model) and np.isfinite(self.move.value).all():
                return np.asarray(self.move.value) * unit
        return None


def _shrink(w: np.ndarray, norm: Norm, c: float) -> np.ndarray:
    """W itself, or brought back to norm c."""
    size = norm(w)
    return w if size <= c else w * (c / size)


def _pull(data: Data, w: np.ndarray) -> tuple[float, np.ndarray]:
    """Log L and −∇ log L at w."""
    value = data.loss.log(data.predictions(w), data.y)
    s, g = data.pull(w)
    with np.errstate(over="ignore", invalid="ignore"):    # a residual of inf or NaN is told so
        return value, np.exp(s - value) * g if np.isfinite(value) else g


def _curvature(data: Data, w: np.ndarray, g: np.ndarray) -> np.ndarray:
    """R with RᵀR = ∇² log L at w, its negative eigenvalues left out.

    Second derivatives of ℓ by differences of slopes: losses have no third face for them.
    """
    p, K, (N, d) = data.predictions(w), data.outputs, data.X.shape
    value, h = data.loss.log(p, data.y), APART
    H = -np.outer(g, g)
    blocks = H.reshape(K, d, K, d)        # the same numbers: block (b, c) is that of two outputs
    for c in range(K):
        e = np.zeros(p.size)
        e[c * N:(c + 1) * N] = h
        (s1, q1), (s0, q0) = data.loss.scaled(p + e, data.y), data.loss.scaled(p - e, data.y)
        turn = (np.exp(s0 - value) * q0 - np.exp(s1 - value) * q1).reshape(K, N) / (2.0 * h)
        for b in range(K):
            blocks[b, :, c] += (data.X.T * turn[b]) @ data.X
    values, U = np.linalg.eigh(0.5 * (H + H.T))
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * U.T)
