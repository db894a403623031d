"""Maximum margins and separability, the limits of Section 3, each with a certificate that anybody can recompute.

With z_n = y_n x_n: any w bounds the maximum margin γ = max_{‖w‖ ≤ 1} min_n ⟨w, z_n⟩ from below, any λ ≥ 0 with Σλ = 1
bounds it from above by ‖Σ λ_n z_n‖⋆ (the dual norm). Where some such λ has Σ λ_n z_n = 0, no w separates (Gordan).
"""
from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastbias import checks, norms, potentials
from fastbias.limits import CERTIFIED, Hypothesis, Limit
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.problem import signed

__all__ = ["Separability", "max_margin", "separability", "separate", "solve_tightly", "widest"]

EPS = float(np.finfo(float).eps)
CONIC = 1e-8          # the relative gap that counts as certified where all we have is a cone solver


@dataclass(frozen=True, eq=False)
class Separability:
    """Whether some w has y_n⟨w, x_n⟩ > 0 for every n, with the certificate either way.

    Parameters
    ----------
    separable : bool
    w : (d,), (m, n) or (K, d), or None
        A separator, its margins positive beyond rounding.
    dual : (N,), or (N (K − 1),) with K > 2 classes, or None
        λ ≥ 0, Σλ = 1 with Σ λ_n z_n = 0 (Gordan), z_n = y_n x_n.
    residual : float
        How certain: the smallest margin over its rounding bound where separable (> 1); else the largest entry of
        Σ λ_n y_n x_n relative to the terms of its sum.
    """

    separable: bool
    w: np.ndarray | None
    dual: np.ndarray | None
    residual: float

    def __bool__(self) -> bool:
        return self.separable


def labelled(X: Any, y: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """The rows z with margin ⟨w, z⟩, and the shape of w: labels ±1, or classes 0 … K−1 with w (K, d); checked."""
    X = checks.array("X", X, "an (N, d) or (N, m, n)", dims=(2, 3))
    shape = X.shape[1:]
    X = X.reshape(X.shape[0], -1)
    y = checks.array("y", y, "an (N,) array", dims=1, length=X.shape[0])
    if (np.abs(y) == 1).all():
        return signed(X, y), shape
    if len(shape) == 1 and (y == np.round(y)).all() and y.min() == 0 and y.any():
        K = checks.classes(y)
        return signed(X, y, K), (K, *shape)
    raise ValueError(f"labels must be −1 or +1, or classes 0, 1, ..., K-1, got {checks.short(np.unique(y)[:4].tolist())}")


def separability(X: Any, y: Any) -> Separability:
    """Decide whether (X, y) is linearly separable through the origin, with a certificate either way.

    Parameters
    ----------
    X : (N, d) or (N, m, n)
    y : (N,) of ±1, or of classes 0 … K−1
        With classes, w is (K, d), and a sample's margins are ⟨w_y − w_c, x⟩ for each c ≠ y, samples first.

    Returns
    -------
    Separability
        True in a condition where the data are separable. The units of features and the lengths of samples do not matter.

    Raises
    ------
    ArithmeticError
        Where neither certificate can be had in float64 (margins at rounding level).

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.separability([[1, 2], [-1, -1]], [1, -1]).separable
    True
    >>> fb.separability([[1, 2], [-1, -2]], [1, 1]).dual
    array([0.5, 0.5])
    """
    Z, shape = labelled(X, y)
    told = separate(Z)
    return told if told.w is None else replace(told, w=told.w.reshape(shape))


def separate(Z: np.ndarray) -> Separability:
    """The same for the rows z themselves."""
    N = Z.shape[0]
    lengths = np.abs(Z).max(axis=1)
    if (lengths == 0).any():                                 # a point at the origin is on the wrong side of any w
        return Separability(False, None, (lengths == 0) / (lengths == 0).sum(), 0.0)
    columns = np.abs(Z).max(axis=0)
    columns[columns == 0] = 1.0
    scaled = Z / columns
    lengths = np.linalg.norm(scaled, axis=1)
    scaled = scaled / lengths[:, None]
    best: list[tuple[float, Separability]] = []
    for solve in (_nearest_point, _largest_least):
        v, mu = solve(scaled)
        margins, bound = scaled @ v, (scaled.shape[1] + 4) * EPS * (np.abs(scaled) @ np.abs(v))
        if bool((margins > bound).all()):
            return Separability(True, v / columns, None, float(np.min(margins / np.maximum(bound, 1e-300))))
        if mu.sum() > 0:
            lam = np.maximum(mu, 0) / lengths
            lam /= lam.sum()
            terms = np.abs(Z).T @ lam
            residual = float(np.max(np.divide(np.abs(lam @ Z), terms, out=np.zeros(terms.size), where=terms > 0)))
            best.append((residual, Separability(False, None, lam, residual)))
    residual, answer = min(best, key=lambda pair: pair[0], default=(np.inf, None))
    if answer is None or residual > 1e-9 * np.sqrt(N):
        raise ArithmeticError(f"neither separable nor inseparable can be certified in float64: residual {residual:.1e}")
    return answer


def _nearest_point(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The point of the hull of the rows that is nearest to 0, and its weights, by non-negative least squares."""
    from scipy.optimize import nnls
    N = Z.shape[0]
    try:
        mu = nnls(np.vstack([Z.T, np.ones(N)]), np.append(np.zeros(Z.shape[1]), 1.0), maxiter=30 * N + 300)[0]
    except RuntimeError:                                     # it ran out of iterations
        return np.zeros(Z.shape[1]), np.zeros(N)
    return (mu @ Z) / max(mu.sum(), 1e-300), mu


def _largest_least(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest least margin over the cube, and its multipliers, by linear programming."""
    from scipy.optimize import linprog
    N, d = Z.shape
    answer = linprog(np.append(np.zeros(d), -1.0), A_ub=np.hstack([-Z, np.ones((N, 1))]), b_ub=np.zeros(N),
                     bounds=[(-1, 1)] * d + [(None, 1)], method="highs-ds",
                     options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10})
    return (answer.x[:d], -np.asarray(answer.ineqlin.marginals)) if answer.status == 0 else (np.zeros(d), np.zeros(N))


def max_margin(X: Any, y: Any, norm: Any = norms.l2) -> Limit:
    """Solve max_{‖w‖ ≤ 1} min_n y_n⟨w, x_n⟩, with its certificate.

    ℓ2 and quadratic norms by non-negative least squares, ℓ1 and ℓ∞ by linear programming, the others by their convex
    face; each polished on the support vectors that these find.

    Parameters
    ----------
    X : (N, d), or (N, m, n) for predictors that are matrices
    y : (N,) of ±1, or of classes 0 … K−1
        With classes, w is (K, d) and the margin of a sample is min_{c ≠ y} ⟨w_y − w_c, x⟩.
    norm : Norm or its name, default l2
        Of w; of all its entries, row after row, where w is a matrix.

    Returns
    -------
    Limit
        ``kind`` "direction"; ``w`` of norm 1; ``margin``; ``dual`` λ ≥ 0, Σλ = 1, one for each sample (with classes: for
        each sample and each c ≠ y, samples first); ``duality_gap`` = (upper − lower)/upper, recomputed from w and λ alone;
        ``certified``: it is at most 1e-10 (1e-8 in norms that only the convex solver knows); ``hypotheses`` say whether the
        maximiser is unique.

    Raises
    ------
    ValueError
        Where the data are not separable, or an argument is bad.

    Examples
    --------
    >>> import fastbias as fb
    >>> limit = fb.max_margin([[0.5, 1.5], [1.5, 0.5], [-2, -2]], [1, 1, -1])
    >>> print(limit.w.round(12), round(limit.margin, 12), limit.certified)
    [0.70710678 0.70710678] 1.414213562373 True
    """
    Z, shape = labelled(X, y)
    norm = checks.one_of("norm", norm, norms, Norm)
    if norm.size not in (None, Z.shape[1]):
        raise ValueError(f"X must have predictors of {norm.size} entries for the {norm.name} norm, got {Z.shape[1]}")
    if len(shape) > 1 and norm.shape not in (None, shape):
        raise ValueError(f"X must have predictors of shape {norm.shape} for the {norm.name} norm, got {shape}")
    if not separate(Z):
        raise ValueError("X, y must be linearly separable to have a maximum margin; fb.separability has the certificate "
                         "that they are not")
    return widest(Z, shape, norm)


def widest(Z: np.ndarray, shape: tuple[int, ...], norm: Norm) -> Limit:
    """The w of norm one, of the given shape, whose least ⟨w, z⟩ over the rows z is largest; some w must have it positive."""
    unit = float(np.max(norm.dual(Z)))
    scaled = Z / unit
    if norm.matrix is not None:
        root = np.linalg.cholesky(norm.matrix(Z.shape[1]))
        rows = np.linalg.solve(root, scaled.T).T
        w, lam = _nearest_point(rows)
        w = np.linalg.solve(root.T, w)
    elif norm.ball is not None:
        w, lam = _polytope(scaled, norm.ball)
    elif norm.shape is not None and norm.resized is not None:
        w, lam = _rotated(scaled.reshape(-1, *norm.shape), norm.resized)
    else:
        w, lam = _convex(scaled, norm)
    psi = _potential(norm)
    best = _gap(scaled, norm, w, lam)
    for _ in range(3):                                       # exact on the support vectors; better ones show better ones
        gap, w, lam, margin = best
        for support in _supports(scaled, w, lam):
            polished = _polish(scaled[support], norm, psi, w, lam[support])
            if polished is not None:
                weights = np.zeros(Z.shape[0])
                weights[support] = polished[1]
                best = min(best, _gap(scaled, norm, polished[0], weights), key=lambda answer: answer[0])
        if best[0] > 0.5 * gap:
            break
    gap, w, lam, margin = best
    enough = CERTIFIED if norm.matrix is not None or norm.ball is not None else CONIC
    return Limit(w.reshape(shape), "direction", f"maximum {norm.name} margin", "linear duality",
                 (_unique(scaled, norm, margin, lam),), bool(gap <= enough), gap, lam, margin * unit, norm)


def _gap(Z: np.ndarray, norm: Norm, w: np.ndarray, lam: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
    """(upper − lower)/upper from w and λ alone, with both brought to size one, and the lower bound."""
    lam = np.maximum(lam, 0.0)
    size, total = norm(w), float(lam.sum())
    if not (size > 0 and total > 0 and np.isfinite(size + total)):
        return np.inf, w, lam, 0.0
    w, lam = w / size, lam / total
    lower, upper = float((Z @ w).min()), norm.dual(lam @ Z)
    return max(0.0, (upper - lower) / upper) if upper > 0 else np.inf, w, lam, lower


def _supports(Z: np.ndarray, w: np.ndarray, lam: np.ndarray) -> list[np.ndarray]:
    """Guesses of the support vectors: by weight, and by margin."""
    margins = Z @ w
    least = float(margins.min())
    guesses = [np.flatnonzero(lam > cut * lam.max(initial=0.0)) for cut in (1e-3, 1e-5, 1e-7)]
    guesses += [np.flatnonzero(margins <= least * (1 + cut)) for cut in (1e-3, 1e-5, 1e-7)] if least > 0 else []
    return [g for i, g in enumerate(guesses) if g.size and not any(np.array_equal(g, h) for h in guesses[:i])]


def _potential(norm: Norm) -> Potential | None:
    """A potential that grows with the norm, whose projection polishes; None for norms without one."""
    if norm.power is not None:
        return potentials.squared_lp(norm.power) if norm.power <= 2 else potentials.power(norm.power)
    return None


def _polish(S: np.ndarray, norm: Norm, psi: Potential | None, w: np.ndarray,
            lam: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The solution if the rows of S are exactly the support vectors: argmin ‖w‖ with Sw = 1, and its multipliers."""
    ones = np.ones(S.shape[0])
    if norm.matrix is not None:                               # least squares, not its normal equations
        root = np.linalg.cholesky(norm.matrix(S.shape[1]))
        R = np.linalg.solve(root, S.T)
        v = np.linalg.lstsq(R.T, ones, rcond=None)[0]
        return np.linalg.solve(root.T, v), np.linalg.lstsq(R, v, rcond=None)[0]
    if psi is not None:
        return psi.project(S, ones, np.zeros(S.shape[1]))
    if norm.ball == "cross-polytope":                         # a vertex: as many coordinates as support vectors
        active = np.abs(w) > 1e-9 * np.abs(w).max()
        exact = np.zeros(w.size)
        exact[active] = np.linalg.lstsq(S[:, active], ones, rcond=None)[0]
        return exact, np.linalg.lstsq(S[:, active].T, np.sign(w[active]), rcond=None)[0]
    if norm.ball == "cube":                                   # ±s where the combined sample is not 0; unknowns s, the free
        pull = lam @ S
        at = np.abs(pull) > 1e-7 * (np.abs(lam) @ np.abs(S))
        A = np.column_stack([S[:, at] @ np.sign(pull[at]), S[:, ~at]])
        found = np.linalg.lstsq(A, ones, rcond=None)[0]
        exact = np.where(at, np.sign(pull) * found[0], 0.0)
        exact[~at] = found[1:]
        return exact, np.linalg.lstsq(A.T, np.append(1.0, np.zeros(int((~at).sum()))), rcond=None)[0]
    return None


def _polytope(Z: np.ndarray, ball: str) -> tuple[np.ndarray, np.ndarray]:
    """Max t with Zw ≥ t over the ball, in the form min ‖w‖ with Zw ≥ 1, by the simplex method."""
    from scipy.optimize import linprog
    N, d = Z.shape
    options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    if ball == "cross-polytope":
        answer = linprog(np.ones(2 * d), A_ub=np.hstack([-Z, Z]), b_ub=-np.ones(N), bounds=(0, None), method="highs-ds",
                         options=options)
        return answer.x[:d] - answer.x[d:], -np.asarray(answer.ineqlin.marginals)
    columns = np.abs(Z).max(axis=0)                           # in units in which every feature counts alike
    columns[columns == 0] = 1.0
    eye, ones, Z = np.eye(d), columns[:, None], Z / columns
    answer = linprog(np.append(np.zeros(d), 1.0), A_ub=np.block([[-Z, np.zeros((N, 1))], [eye, -ones], [-eye, -ones]]),
                     b_ub=np.concatenate([-np.ones(N), np.zeros(2 * d)]), bounds=[(None, None)] * d + [(0, None)],
                     method="highs-ds", options=options)
    return answer.x[:d] / columns, -np.asarray(answer.ineqlin.marginals)[:N]


def _convex(Z: np.ndarray, norm: Norm) -> tuple[np.ndarray, np.ndarray]:
    """Min ‖w‖ with Zw ≥ 1 by the norm's convex face."""
    import cvxpy as cp
    if norm.convex is None:
        raise ValueError(f"norm must have a convex face for its maximum margin, got {norm!r}")
    w = cp.Variable(Z.shape[1])
    margins = [Z @ w >= 1]
    solve_tightly(cp.Problem(cp.Minimize(norm.convex(cp, w)), margins))
    return np.asarray(w.value), np.asarray(margins[0].dual_value)


def _rotated(Z: np.ndarray, resized: Callable[[int, int], Norm]) -> tuple[np.ndarray, np.ndarray]:
    """The same for matrices (M, m, n), within the span of their columns and of their rows, where a maximiser lies."""
    M, m, n = Z.shape
    columns = _basis(Z.transpose(1, 0, 2).reshape(m, -1))
    rows = _basis(Z.transpose(2, 0, 1).reshape(n, -1))
    small = columns.T @ Z @ rows
    w, lam = _convex(small.reshape(M, -1), resized(*small.shape[1:]))
    return (columns @ w.reshape(small.shape[1:]) @ rows.T).ravel(), lam


def _basis(A: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the span of the columns of A; all of space where that is as large."""
    if A.shape[1] >= A.shape[0]:
        return np.eye(A.shape[0])
    return np.asarray(np.linalg.qr(A)[0])


def solve_tightly(program: Any) -> None:
    """Solve a cvxpy problem as exactly as the solver can; what it then says of accuracy is left to the certificate."""
    import cvxpy as cp
    for tolerance in (1e-12, 1e-10, 1e-8):
        with warnings.catch_warnings(), suppress(cp.SolverError):
            warnings.simplefilter("ignore")
            program.solve(cp.CLARABEL, tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance)
            return
    raise ArithmeticError("the convex solver failed at every tolerance")


def _unique(Z: np.ndarray, norm: Norm, margin: float, lam: np.ndarray) -> Hypothesis:
    """Whether the maximiser is unique: by convexity, or by the width of the optimal face along a few directions.

    By complementary slackness with any optimal λ, the face lies where Σ λ z allows it: in ℓ1 only its largest entries may
    be used, with their signs; in ℓ∞ the entries that it pulls at are at ±1.
    """
    statement = "the maximiser is unique"
    if norm.matrix is not None or norm.power is not None:
        return Hypothesis(statement, True, "the norm is strictly convex")
    if norm.ball is None:
        return Hypothesis(statement, None, "the norm is not known to be strictly convex")
    from scipy.optimize import linprog
    pull = lam @ Z
    if norm.ball == "cube":
        free = np.abs(pull) <= 1e-9 * (lam @ np.abs(Z))
        A, b = -Z[:, free], Z[:, ~free] @ np.sign(pull[~free]) - margin
        bounds: tuple[float, float | None] = (-1.0, 1.0)
    else:
        free = np.abs(pull) >= (1 - 1e-9) * np.abs(pull).max()
        A = np.vstack([-Z[:, free] * np.sign(pull[free]), np.ones((1, int(free.sum())))])
        b, bounds = np.append(np.full(Z.shape[0], -margin), 1.0), (0.0, None)
    width = 0.0
    for along in np.random.default_rng(0).normal(size=(3 if free.any() else 0, int(free.sum()))):
        ends = [linprog(sign * along, A_ub=A, b_ub=b + 1e-12, bounds=bounds, method="highs-ds") for sign in (1, -1)]
        if all(end.status == 0 for end in ends):
            width = max(width, float(np.abs(ends[0].x - ends[1].x).max()))
    return Hypothesis(statement, width < 1e-6, f"the optimal face is {width:.1e} wide along three random directions")
