"""Explicit regularisation, to hold implicit bias against: minimum norms, and the paths ŵ(λ) of §2.4 and ŵ(c) of §3.2."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbias import checks, norms, potentials
from fastbias.limits import CERTIFIED, Hypothesis, Limit
from fastbias.margins import solve_tightly
from fastbias.norms import Norm
from fastbias.problem import Data, gather, reachable
from fastbias.projections import bregman_projection, feasibility

__all__ = ["BallPath", "RegularisationPath", "l1_path", "minimum_norm", "regularisation_path"]


def minimum_norm(X: Any, y: Any, norm: Any = norms.l1) -> Limit:
    """Solve argmin ‖w‖ subject to Xw = y, with its certificate.

    ℓ1 and ℓ∞ by linear programming, quadratic and ℓp norms by projection, the others by their convex face.

    Parameters
    ----------
    X : (N, d), y : (N,)
        The equations.
    norm : Norm or its name, default l1

    Returns
    -------
    Limit
        ``w`` (d,); ``dual`` ν (N,) with ‖Xᵀν‖⋆ ≤ 1, so that ⟨ν, y⟩ bounds every solution's norm from below;
        ``duality_gap`` is the larger of (‖w‖ − ⟨ν, y⟩)/‖w‖ and the relative residual of Xw = y. A minimiser in ℓ1 or ℓ∞
        need not be the only one.

    Raises
    ------
    ValueError
        Where Xw = y has no solution, or an argument is bad.

    Examples
    --------
    >>> import fastbias as fb
    >>> print(fb.minimum_norm([[1, 2]], [1]).w + 0.0)
    [0.  0.5]
    """
    X = checks.array("X", X, "an (N, d)", dims=2)
    y = checks.array("y", y, "an (N,) array", dims=1, length=X.shape[0])
    norm = checks.one_of("norm", norm, norms, Norm)
    d = X.shape[1]
    if norm.size not in (None, d):
        raise ValueError(f"X must have {norm.size} columns for the {norm.name} norm, got {d}")
    reachable(X, y)
    if norm.matrix is not None:
        found = bregman_projection(X, y, potentials.quadratic(norm.matrix(d)), np.zeros(d))
        w, nu = found.w, found.dual
    elif norm.ball is not None:
        w, nu = _linear_program(X, y, norm.ball)
    elif norm.power is not None:                             # argmin ‖w‖_p is the projection of 0 with a power of it
        psi = potentials.squared_lp(norm.power) if norm.power <= 2 else potentials.power(norm.power)
        found = bregman_projection(X, y, psi, np.zeros(d))
        w, nu = found.w, found.dual
    else:
        w, nu = _convex_program(X, y, norm)
    nu = nu / max(norm.dual(nu @ X), 1e-300) if norm.dual(nu @ X) > 0 else nu
    size = norm(w)
    gap = max((size - float(nu @ y)) / size if size > 0 else 0.0, feasibility(X, y, w))
    rows = (Hypothesis("‖Xᵀν‖⋆ ≤ 1", True, f"{norm.dual(nu @ X):.16g}"),)
    return Limit(w, "point", f"minimum {norm.name} norm", "linear duality", rows, bool(abs(gap) <= CERTIFIED), float(gap),
                 nu)


def _linear_program(X: np.ndarray, y: np.ndarray, ball: str) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ‖w‖₁ (w = a − b, Σ a + b) or ‖w‖_∞ (−s ≤ w ≤ s); returns w and the multipliers of Xw = y.

    The solver's tolerances are absolute, so rows and right-hand side are brought to size one first.
    """
    from scipy.optimize import linprog
    lengths = np.linalg.norm(X, axis=1)
    lengths[lengths == 0] = 1.0
    X, y = X / lengths[:, None], y / lengths
    unit = float(np.abs(y).max()) or 1.0
    y = y / unit
    N, d = X.shape
    if ball == "cross-polytope":
        answer = linprog(np.ones(2 * d), A_eq=np.hstack([X, -X]), b_eq=y, bounds=(0, None), method="highs-ds")
        return (answer.x[:d] - answer.x[d:]) * unit, np.asarray(answer.eqlin.marginals / lengths)
    eye, ones = np.eye(d), np.ones((d, 1))
    answer = linprog(np.append(np.zeros(d), 1.0), A_ub=np.block([[eye, -ones], [-eye, -ones]]), b_ub=np.zeros(2 * d),
                     A_eq=np.hstack([X, np.zeros((N, 1))]), b_eq=y, bounds=[(None, None)] * d + [(0, None)],
                     method="highs-ds")
    return answer.x[:d] * unit, np.asarray(answer.eqlin.marginals / lengths)


def _convex_program(X: np.ndarray, y: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    import cvxpy as cp
    if norm.convex is None:
        raise ValueError(f"norm must have a convex face to be minimised, got {norm!r}")
    w, size, unit = cp.Variable(X.shape[1]), float(np.linalg.norm(X, 2)), float(np.linalg.norm(y)) or 1.0
    equations = [(X / size) @ w == y / unit]
    solve_tightly(cp.Problem(cp.Minimize(norm.convex(cp, w)), equations))
    nu = np.asarray(equations[0].dual_value)
    return np.asarray(w.value) * unit / size, nu if nu @ y >= 0 else -nu


@dataclass(frozen=True, eq=False)
class RegularisationPath:
    """The solutions ŵ(λ) of min L(w) + λ‖w‖₁ at chosen λ, with how well each satisfies its optimality conditions.

    Parameters
    ----------
    lambdas : (K,)
        Falling.
    w : (K, d)
        Solutions.
    residuals : (K,)
        The largest violation of |∂L/∂w_j| ≤ λ, and = −λ sign(w_j) where w_j ≠ 0, relative to λ_max = ‖∇L(0)‖_∞.
    """

    lambdas: np.ndarray
    w: np.ndarray
    residuals: np.ndarray

    @property
    def monotone(self) -> bool:
        """Whether no |w_j| falls as λ falls (as far as the chosen λ show): then stagewise selection is this path."""
        sizes = np.abs(self.w)
        return bool((np.diff(sizes, axis=0) >= -1e-9 * sizes.max()).all())


def l1_path(X: Any, y: Any, lambdas: Any = 50) -> RegularisationPath:
    """The ℓ1 regularisation path of the squared loss: ŵ(λ) = argmin ‖Xw − y‖₂² + λ‖w‖₁, at chosen λ.

    A convex program finds the support and signs; the solution on them is then exact linear algebra.

    Parameters
    ----------
    X : (N, d), y : (N,)
    lambdas : int or (K,) array > 0, default 50
        How many λ, spaced logarithmically from λ_max = 2‖Xᵀy‖_∞ (where ŵ leaves 0) to 1e-4 λ_max, or the λ themselves.

    Returns
    -------
    RegularisationPath

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.

    References
    ----------
    Efron, Hastie, Johnstone, Tibshirani (2004); Gunasekar, Lee, Soudry, Srebro (2018), §2.4. (scikit-learn's objective
    is ‖Xw − y‖²/2N + α‖w‖₁, so λ = 2Nα.)
    """
    import cvxpy as cp
    X = checks.array("X", X, "an (N, d)", dims=2)
    y = checks.array("y", y, "an (N,) array", dims=1, length=X.shape[0])
    top = 2.0 * float(np.abs(X.T @ y).max())
    if np.ndim(lambdas) == 0:
        count = checks.whole("lambdas", lambdas, least=2)
        grid = np.geomspace(top if top > 0 else 1.0, 1e-4 * (top if top > 0 else 1.0), count)
    else:
        grid = np.sort(checks.steps("lambdas", lambdas, above=0))[::-1].copy()
    size, unit = float(np.linalg.norm(X, 2)) or 1.0, float(np.linalg.norm(y)) or 1.0
    w, weight = cp.Variable(X.shape[1]), cp.Parameter(nonneg=True)           # in units in which X and y are of size one
    program = cp.Problem(cp.Minimize(cp.sum_squares((X / size) @ w - y / unit) + weight * cp.norm1(w)))
    rows = []
    for value in grid:
        weight.value = value / (size * unit)
        program.solve(cp.CLARABEL)
        rows.append(_polish(X, y, float(value), np.asarray(w.value) * unit / size))
    W = np.array(rows)
    return RegularisationPath(grid, W, np.array([_violation(X, y, v, row) for v, row in zip(grid, W, strict=True)])
                              / max(top, 1e-300))


def _violation(X: np.ndarray, y: np.ndarray, weight: float, w: np.ndarray) -> float:
    """The largest violation of the optimality conditions of ‖Xw − y‖² + λ‖w‖₁."""
    pull = 2.0 * X.T @ (y - X @ w)
    return float(max(np.max(np.abs(pull) - weight), 0.0, np.abs(pull - weight * np.sign(w))[w != 0].max(initial=0.0)))


def _polish(X: np.ndarray, y: np.ndarray, weight: float, rough: np.ndarray) -> np.ndarray:
    """Solve exactly on a support that the rough solution suggests; keep the best of a few, the rough one included."""
    best = min(np.zeros(rough.size), rough, key=lambda w: _violation(X, y, weight, w))
    for cut in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        active = np.abs(rough) > cut * max(float(np.abs(rough).max()), 1e-300)
        w = np.zeros(rough.size)
        A = X[:, active]
        w[active] = np.linalg.lstsq(A.T @ A, A.T @ y - weight / 2.0 * np.sign(rough[active]), rcond=None)[0]
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
        (L(ŵ) − min L)/L(ŵ) is at most this for a convex loss: c ‖∇L‖⋆ + ⟨∇L, ŵ⟩ over L, the Frank–Wolfe gap.
    """

    radii: np.ndarray
    w: np.ndarray
    log_loss: np.ndarray
    residuals: np.ndarray


def regularisation_path(X: Any, y: Any, radii: Any, norm: Any = norms.l2, loss: Any = "exponential") -> BallPath:
    """The regularisation path of §3.2: ŵ(c) = argmin L(w) subject to ‖w‖ ≤ c, at chosen radii.

    On separable data ŵ(c)/c tends to the maximum margin in that norm as c → ∞ (Rosset, Zhu, Hastie 2004), the direction
    that steepest descent in the norm goes to (Theorem 5), though the two paths differ on the way. Newton's method on log L
    over the ball, by the norm's convex face; loss and gradient in the log domain, so c may be large.

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
    import cvxpy as cp
    data = gather(X, y, loss)
    norm = checks.one_of("norm", norm, norms, Norm)
    if norm.size not in (None, data.size):
        raise ValueError(f"X must have predictors of {norm.size} entries for the {norm.name} norm, got {data.size}")
    if norm.convex is None:
        raise ValueError(f"norm must have a convex face for its regularisation path, got {norm!r}")
    grid = np.sort(checks.steps("radii", radii, above=0))
    move, at = cp.Variable(data.size), cp.Parameter(data.size)
    root, pull = cp.Parameter((data.size, data.size)), cp.Parameter(data.size)
    model = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(root @ move) - pull @ move), [norm.convex(cp, at + move) <= 1.0])
    w, rows, logs, gaps = np.zeros(data.size), [], [], []
    for c in grid:
        w = _shrink(w, norm, float(c))
        for _ in range(60):
            value, g = _pull(data, w)
            gap = float(c * norm.dual(g) - g @ w)
            if gap <= 1e-10:
                break
            root.value, pull.value, at.value = _curvature(data, w, g) * c, g * c, w / c
            solve_tightly(model)
            step, size = np.asarray(move.value) * c, 1.0
            while size > 1e-10 and not _pull(data, w + size * step)[0] < value - 1e-4 * size * max(float(g @ step), 0.0):
                size /= 2
            if size <= 1e-10:
                break
            w = _shrink(w + size * step, norm, float(c))
        value, g = _pull(data, w)
        rows.append(w.reshape(data.shape))
        logs.append(value)
        gaps.append(max(float(c * norm.dual(g) - g @ w), 0.0))
    return BallPath(grid, np.array(rows), np.array(logs), np.array(gaps))


def _shrink(w: np.ndarray, norm: Norm, c: float) -> np.ndarray:
    """W itself, or brought back to norm c."""
    size = norm(w)
    return w if size <= c else w * (c / size)


def _pull(data: Data, w: np.ndarray) -> tuple[float, np.ndarray]:
    """Log L and −∇ log L at w."""
    value = data.loss.log(data.predictions(w), data.y)
    s, g = data.pull(w)
    return value, np.exp(s - value) * g


def _curvature(data: Data, w: np.ndarray, g: np.ndarray) -> np.ndarray:
    """R with RᵀR = ∇² log L at w, its negative eigenvalues left out; second derivatives of ℓ by differences of slopes."""
    p, K, N = data.predictions(w), data.outputs, data.X.shape[0]
    value, h = data.loss.log(p, data.y), 1e-5
    H = -np.outer(g, g)
    for c in range(K):
        e = np.zeros(p.size)
        e[c * N:(c + 1) * N] = h
        (s1, q1), (s0, q0) = data.loss.scaled(p + e, data.y), data.loss.scaled(p - e, data.y)
        turn = (np.exp(s0 - value) * q0 - np.exp(s1 - value) * q1).reshape(K, N) / (2.0 * h)
        for b in range(K):
            H[b * data.X.shape[1]:(b + 1) * data.X.shape[1], c * data.X.shape[1]:(c + 1) * data.X.shape[1]] += \
                (data.X.T * turn[b]) @ data.X
    values, U = np.linalg.eigh(0.5 * (H + H.T))
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * U.T)
