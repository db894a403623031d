"""Explicit regularisation, to hold implicit bias against: minimum norms, and the paths ŵ(λ) of §2.4 and ŵ(c) of §3.2."""
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbias import checks, norms, potentials
from fastbias.laws import demand
from fastbias.limits import CERTIFIED, Hypothesis, Limit
from fastbias.margins import CONIC, separate, widest
from fastbias.norms import Norm
from fastbias.oracles import solve_tightly
from fastbias.problem import Data, Unreachable, gather, reachable
from fastbias.projections import bregman_projection, feasibility
from fastbias.proximal import least, row_lengths

__all__ = ["BallPath", "RegularisationPath", "l1_path", "minimum_norm", "regularisation_path"]


def minimum_norm(X: Any, y: Any, norm: Any = norms.l1) -> Limit:
    """Solve argmin ‖w‖ subject to Xw = y, with its certificate.

    ℓ1 and ℓ∞ by linear programming, quadratic and ℓp norms by projection, the others by their proximal map where they have
    one (50 × 50 matrices with 750 known entries: ten seconds on one core), else by their convex face.

    Parameters
    ----------
    X : (N, d), or (N, m, n) for matrices
    y : (N,)
        The equations ⟨w, x_n⟩ = y_n.
    norm : Norm or its name, default l1

    Returns
    -------
    Limit
        ``w`` (d,) or (m, n); ``dual`` ν (N,) with ‖Xᵀν‖⋆ ≤ 1, so that ⟨ν, y⟩ bounds every solution's norm from below;
        ``duality_gap`` is the larger of (‖w‖ − ⟨ν, y⟩)/‖w‖ and the relative residual of Xw = y; ``certified``: it is at most
        1e-10 (1e-8 in norms with no more than a convex face: spectral). A minimiser need not be the only one where the norm
        is not strictly convex.

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
    X = checks.array("X", X, "an (N, d) or (N, m, n)", dims=(2, 3))
    shape = X.shape[1:]
    X = X.reshape(X.shape[0], -1)
    y = checks.array("y", y, "an (N,) array", dims=1, length=X.shape[0])
    norm = checks.one_of("norm", norm, norms, Norm)
    norm.fits(shape)
    demand("norm", norm)
    d, enough = X.shape[1], CERTIFIED
    reachable(X, y)
    if norm.matrix is not None:
        psi = potentials.euclidean if norm.matrix is np.eye else potentials.quadratic(norm.matrix(d))
        found = bregman_projection(X, y, psi, np.zeros(d))
        w, nu = found.w, found.dual
    elif norm.ball is not None:
        w, nu = _linear_program(X, y, norm.ball)
    elif norm.power is not None:                             # argmin ‖w‖_p is the projection of 0 with a power of it
        psi = potentials.squared_lp(norm.power) if norm.power <= 2 else potentials.power(norm.power)
        found = bregman_projection(X, y, psi, np.zeros(d))
        w, nu = found.w, found.dual
    else:
        w, nu = _gauge_program(X, y, norm)
        enough = CERTIFIED if norm.shrink is not None else CONIC
    gap, nu = _proved(X, y, norm, w, nu)
    rows = (Hypothesis("‖Xᵀν‖⋆ ≤ 1", True, f"{norm.dual(nu @ X):.16g}"),)
    return Limit(w.reshape(shape), "point", f"minimum {norm.name} norm", "linear duality", rows, gap <= enough, gap, nu)


def _proved(X: np.ndarray, y: np.ndarray, norm: Norm, w: np.ndarray, nu: np.ndarray) -> tuple[float, np.ndarray]:
    """The larger of the two relative residuals that w and a multiple of ν leave, and that multiple: ‖Xᵀν‖⋆ = 1."""
    size, dual = norm(w), norm.dual(nu @ X)
    nu = nu / dual if dual > 0 else nu
    return max(abs(size - float(nu @ y)) / size if size > 0 else 0.0, feasibility(X, y, w)), nu


def _linear_program(X: np.ndarray, y: np.ndarray, ball: str) -> tuple[np.ndarray, np.ndarray]:
    """Minimise ‖w‖₁ (w = a − b, Σ a + b) or ‖w‖_∞ (−s ≤ w ≤ s); returns w and the multipliers of Xw = y.

    The solver's tolerances are absolute, so rows and right-hand side are brought to size one first.
    """
    from scipy.optimize import linprog
    lengths = row_lengths(X)
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


def _gauge_program(X: np.ndarray, y: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """Minimise by the proximal map, and where that fails by the convex face."""
    if norm.shrink is None:
        return _convex_program(X, y, norm)
    lengths = row_lengths(X)
    rows, goal, best = X / lengths[:, None], y / lengths, (np.inf, np.zeros(X.shape[1]), np.zeros(y.size))
    inverse = np.linalg.pinv(rows @ rows.T, rcond=1e-12, hermitian=True)
    attempts = (lambda: least(X, y, norm.shrink), lambda: [_convex_program(X, y, norm)] if norm.convex else [])
    for attempt in attempts:
        for w, nu in attempt():
            for _ in range(2):                               # onto the equations themselves
                w = w + (inverse @ (goal - rows @ w)) @ rows
            best = min(best, (_proved(X, y, norm, w, nu)[0], w, nu), key=lambda found: found[0])
            if best[0] <= 0.1 * CERTIFIED:
                break
        if best[0] <= CERTIFIED or not y.any():
            break
    return best[1:]


def _convex_program(X: np.ndarray, y: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    import cvxpy as cp
    if norm.convex is None:
        raise ValueError(f"norm must have a convex face to be minimised, got {norm!r}")
    w, size, unit = cp.Variable(X.shape[1]), float(np.linalg.norm(X, 2)), float(np.linalg.norm(y)) or 1.0
    equations = [(X / size) @ w == y / unit]
    if not solve_tightly(cp.Problem(cp.Minimize(norm.convex(cp, w)), equations)):
        raise ArithmeticError("the convex solver failed at every tolerance")
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
    over the ball, by the norm's convex face; loss and gradient in the log domain, so c may be large. Where a step fails the
    best point stays, and its residual tells. A loss with a finite root is 0 once a ball holds a solution of Xw = y.

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
    if norm.convex is None:
        raise ValueError(f"norm must have a convex face for its regularisation path, got {norm!r}")
    grid = np.sort(checks.steps("radii", radii, above=0))
    newton, direction, root = _Newton(data, norm), _direction(data, norm), _interpolation(data, norm)
    w, rows, logs, gaps = np.zeros(data.size), [], [], []
    for c in map(float, grid):
        if root is not None and norm(root) <= c:             # L = 0 there, to rounding: no logarithm to go by
            w, value, gap = root, _pull(data, root)[0], 0.0
        else:
            along = w + (c - norm(w)) * direction            # far out the path is a line: w moves along the maximum margin
            starts = [w, *(v * (c / norm(v)) for v in (w, direction, along) if v.any())]
            found = []
            for start in sorted(starts, key=lambda v: _pull(data, v)[0]):          # the nearest; others where it stalls
                found.append(newton.minimum(start, c))
                if found[-1][2] <= 1e-8:
                    break
            w, value, gap = min(found, key=lambda end: end[2])
        rows.append(w.reshape(data.shape))
        logs.append(value)
        gaps.append(gap)
    return BallPath(grid, np.array(rows), np.array(logs), np.array(gaps))


def _direction(data: Data, norm: Norm) -> np.ndarray:
    """Where the path of a strictly monotone loss goes on separable data: the maximum margin; 0 for any other."""
    if data.loss.kind == "monotone":
        with suppress(ArithmeticError):                      # too near to call
            told = separate(data.Z)
            if told.w is not None:
                return widest(data.Z, data.shape, norm, told.w).w.ravel()
    return np.zeros(data.size)


def _interpolation(data: Data, norm: Norm) -> np.ndarray | None:
    """The w of least norm with Xw = y, where L = 0 for a loss with a finite root; None where there is none."""
    if data.loss.kind != "monotone" and data.outputs == 1:
        with suppress(Unreachable, ArithmeticError):
            return minimum_norm(data.X, data.y, norm).w
    return None


class _Newton:
    """Newton's method on log L over the ball ‖w‖ ≤ c, each step a cone program."""

    def __init__(self, data: Data, norm: Norm) -> None:
        import cvxpy as cp
        self.data, self.norm = data, norm
        n = data.size
        self.move, self.at, self.unit = cp.Variable(n), cp.Parameter(n), cp.Parameter(nonneg=True)
        self.root, self.pull = cp.Parameter((n, n)), cp.Parameter(n)
        assert norm.convex is not None
        self.model = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(self.root @ self.move) - self.pull @ self.move),
                                [norm.convex(cp, self.at + self.unit * self.move) <= 1.0])

    def minimum(self, w: np.ndarray, c: float) -> tuple[np.ndarray, float, float]:
        """The minimiser from a start w, log L there, and its Frank–Wolfe gap; the best point where a solver fails."""
        value, g = _pull(self.data, w)
        gap = self._gap(w, g, c)
        best = w, value, gap
        for _ in range(60):
            step, size = self._step(w, g, c) if gap > 1e-10 else None, 1.0
            while step is not None and size > 1e-10:
                new = _shrink(w + size * step, self.norm, c)
                lower, turned = _pull(self.data, new)
                left = self._gap(new, turned, c)
                if lower < value - 1e-4 * size * max(float(g @ step), 0.0) or (    # or where values are rounding
                        lower <= value + 1e-13 * abs(value) and left < 0.5 * gap):
                    break
                size /= 2
            if step is None or size <= 1e-10:
                break
            w, value, g, gap = new, lower, turned, left
            best = min(best, (w, value, gap), key=lambda found: found[2])
        return best

    def _gap(self, w: np.ndarray, g: np.ndarray, c: float) -> float:
        return max(float(c * self.norm.dual(g) - g @ w), 0.0)

    def _step(self, w: np.ndarray, g: np.ndarray, c: float) -> np.ndarray | None:
        """The step to the minimum of the quadratic model, in units of its curvature: far out it is much shorter than c."""
        R = _curvature(self.data, w, g)
        size = float(np.linalg.norm(R, 2))
        unit = min(c, 1.0 / size) if size > 0 else c
        self.root.value, self.pull.value, self.at.value, self.unit.value = R * unit, g * unit, w / c, unit / c
        return np.asarray(self.move.value) * unit if solve_tightly(self.model) else None


def _shrink(w: np.ndarray, norm: Norm, c: float) -> np.ndarray:
    """W itself, or brought back to norm c."""
    size = norm(w)
    return w if size <= c else w * (c / size)


def _pull(data: Data, w: np.ndarray) -> tuple[float, np.ndarray]:
    """Log L and −∇ log L at w."""
    value = data.loss.log(data.predictions(w), data.y)
    s, g = data.pull(w)
    return value, np.exp(s - value) * g if np.isfinite(value) else g


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
