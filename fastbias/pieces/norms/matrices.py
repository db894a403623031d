"""Norms of matrices (m, n), kept flat row after row: the spectral and the nuclear norm, by singular
values.
"""
from __future__ import annotations

import numpy as np

from fastbias import checks
from fastbias.engine.abi import MAP, SHORT, VALUE, kernel, piece
from fastbias.pieces.norms.base import TIE_TOL, Norm
from fastbias.pieces.norms.proximal import Shrink, Slope, quotients
from fastbias.pieces.recipe import recorded

__all__ = ["nuclear", "spectral"]


@kernel
def _matrix(params, x):
    """The matrix (m, n) that x (m n,) is, a copy: LAPACK works in place; params: tolerance of rank
    and ties, m, n.
    """
    m, n = int(params[1]), int(params[2])
    A = np.empty((m, n))
    for i in range(m):
        for j in range(n):
            A[i, j] = x[i * n + j]
    return A


@kernel
def _finite(x):
    total = 0.0
    for i in range(x.size):
        total += x[i] * 0.0                               # NaN where an entry is NaN or infinite
    return total == 0.0


def _shaped(params: np.ndarray, size: int, *_: int) -> bool:
    """The tolerance, m and n, with m n entries."""
    return params[1] >= 1 and params[2] >= 1 and int(params[1]) * int(params[2]) == size


@piece(MAP, needs=_shaped)
def _spectral_steepest(params, g, out):
    if params.size < 3:
        return SHORT
    finite = _finite(g)
    for i in range(g.size):
        out[i] = 0.0 if finite else np.nan
    if not finite:
        return 0
    # compiled LAPACK raises on what is not finite, which a piece must not: hence the question above
    U, S, V = np.linalg.svd(_matrix(params, g), False)
    m, n, total = U.shape[0], V.shape[1], S.sum()
    for k in range(S.size):
        # what is left of a singular value 0 has no direction
        if S[k] > params[0] * S[0]:
            for i in range(m):
                for j in range(n):
                    out[i * n + j] += total * U[i, k] * V[k, j]
    return 0


@piece(MAP, needs=_shaped)
def _nuclear_steepest(params, g, out):
    if params.size < 3:
        return SHORT
    for i in range(g.size):
        out[i] = np.nan
    if not _finite(g):
        return 0
    U, S, V = np.linalg.svd(_matrix(params, g), False)
    m, n = U.shape[0], V.shape[1]
    for i in range(m):
        for j in range(n):
            out[i * n + j] = S[0] * U[i, 0] * V[0, j]
    return 0


@piece(VALUE, needs=_shaped)
def _largest_value(params, x):
    return np.linalg.svd(_matrix(params, x), False)[1][0] if _finite(x) else np.nan


@piece(VALUE, needs=_shaped)
def _sum_of_values(params, x):
    return np.linalg.svd(_matrix(params, x), False)[1].sum() if _finite(x) else np.nan


def _params(m: int, n: int) -> tuple[np.ndarray, tuple[int, int]]:
    shape = checks.whole("m", m, least=1), checks.whole("n", n, least=1)
    return np.array([TIE_TOL, *map(float, shape)]), shape


@recorded
def spectral(m: int, n: int) -> Norm:
    """σ₁(W), the largest singular value of W (m, n), with Δ = ‖G‖_nuc U Vᵀ for G = U Σ Vᵀ = −∇L
    (Muon's direction).

    Parameters
    ----------
    m, n : int ≥ 1
        The shape of the predictor: X (N, m, n), or K classes and d features.

    Raises
    ------
    ValueError, TypeError
        Where m or n is no whole number ≥ 1.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.norms.spectral(2, 2)([3.0, 0.0, 0.0, -4.0])
    4.0
    """
    params, shape = _params(m, n)
    return Norm("spectral", _spectral_steepest, _sum_of_values, _largest_value, params,
                size=shape[0] * shape[1],
                convex=lambda cp, w: cp.sigma_max(cp.reshape(w, shape, order="C")),
                shrink=_clip_values(m, n), shape=shape,
                resized=spectral)


@recorded
def nuclear(m: int, n: int) -> Norm:
    """Σ σ_i(W), the sum of the singular values of W (m, n), with Δ = σ₁ u₁ v₁ᵀ of −∇L (of tied ones
    the SVD's first).

    Parameters
    ----------
    m, n : int ≥ 1
        The shape of the predictor: X (N, m, n), or K classes and d features.

    Raises
    ------
    ValueError, TypeError
        Where m or n is no whole number ≥ 1.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.norms.nuclear(2, 2)([3.0, 0.0, 0.0, -4.0])
    7.0
    """
    params, shape = _params(m, n)
    return Norm("nuclear", _nuclear_steepest, _largest_value, _sum_of_values, params,
                size=shape[0] * shape[1],
                convex=lambda cp, w: cp.normNuc(cp.reshape(w, shape, order="C")),
                shrink=_lower_values(m, n), shape=shape,
                resized=nuclear)


def _lower_values(m: int, n: int) -> Shrink:
    """The proximal map of the nuclear norm: singular values lowered by t."""
    def shrink(x: np.ndarray, t: float) -> tuple[np.ndarray, Slope]:
        # in full: the derivative turns the null spaces, too, where m ≠ n
        return _lowered(*np.linalg.svd(x.reshape(m, n)), t)
    return shrink


def _clip_values(m: int, n: int) -> Shrink:
    """The proximal map of the spectral norm: the largest singular values lowered to one level, by t
    in all.

    That is x less its projection on the matrices of nuclear norm t (Moreau 1965).
    """
    def shrink(x: np.ndarray, t: float) -> tuple[np.ndarray, Slope]:
        U, S, V = np.linalg.svd(x.reshape(m, n))
        levels = (np.cumsum(S) - t) / np.arange(1, S.size + 1)
        cut = max(int((levels < S).sum()), 1)
        level = float(levels[cut - 1])
        if level <= 0:
            return np.zeros_like(x), np.zeros_like
        low, inner = _lowered(U, S, V, level)
        edge = (U[:, :cut] @ V[:cut]).ravel()             # what low loses as the level rises

        def slope(rows: np.ndarray) -> np.ndarray:
            return np.asarray(rows - inner(rows) + np.outer(rows @ edge / cut, edge))
        return np.asarray(x - low), slope
    return shrink


def _lowered(U: np.ndarray, S: np.ndarray, V: np.ndarray, t: float) -> tuple[np.ndarray, Slope]:
    """U max(S − t, 0) V, flat, and its derivative, by divided differences."""
    m, n, k = U.shape[0], V.shape[0], S.size

    def slope(rows: np.ndarray) -> np.ndarray:
        # as many as rows or columns, whichever are more
        s = np.append(S, np.zeros(m + n - 2 * k))
        even, odd = quotients(s[:m], s[:n], t), quotients(s[:m], -s[:n], t)
        odd += quotients(s[:n], -s[:m], t).T                  # f(σ_i) + f(σ_j) over σ_i + σ_j
        H = U.T @ rows.reshape(-1, m, n) @ V.T
        D = H * (even + odd) / 2
        D[:, :k, :k] += H[:, :k, :k].transpose(0, 2, 1) * (even - odd)[:k, :k] / 2
        return np.asarray((U @ D @ V).reshape(rows.shape))
    return np.asarray(((U[:, :k] * np.maximum(S - t, 0.0)) @ V[:k]).ravel()), slope


EXAMPLES: tuple[Norm, ...] = (spectral(2, 3), nuclear(3, 2))
