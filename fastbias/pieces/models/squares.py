"""Models of symmetric matrices: W = UUᵀ (eqs. 17 – 19), which is positive semidefinite, and W =
UUᵀ − VVᵀ, which may be any.
"""
from __future__ import annotations

import numpy as np

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, SHORT, piece
from fastbias.pieces import norms, potentials
from fastbias.pieces.models.base import Along, Model
from fastbias.pieces.models.matrices import TINY, add_product, eye, part, transposed
from fastbias.pieces.potentials import Potential
from fastbias.pieces.recipe import recorded

__all__ = ["symmetric"]

GUNASEKAR = "Gunasekar, Lee, Soudry, Srebro (2018)"


def _one_factor(params: np.ndarray, size: int, d: int, *_: int) -> bool:
    n, r = int(params[0]), int(params[1])
    return n > 0 and r > 0 and n * n <= d and n * r <= size


def _both_factors(params: np.ndarray, size: int, d: int, *_: int) -> bool:
    return _one_factor(params, size // 2, d)


@piece(MAP, needs=_one_factor)
def _square(params, u, out):
    if params.size < 2:
        return SHORT
    n, r = int(params[0]), int(params[1])
    out[:n * n] = 0.0
    add_product(part(u, 0, n, r), transposed(u, 0, n, r), part(out, 0, n, n))
    return 0


@piece(MAP_AT, needs=_one_factor)
def _square_pullback(params, u, v, out):
    if params.size < 2:
        return SHORT
    n, r = int(params[0]), int(params[1])
    M, U, pulled = part(v, 0, n, n), part(u, 0, n, r), part(out, 0, n, r)
    # (M + Mᵀ) U in two products, eq. (18): M is symmetric only where all samples are
    out[:n * r] = 0.0
    add_product(M, U, pulled)
    add_product(M.T, U, pulled)
    return 0


@piece(MAP, needs=_both_factors)
def _squares_apart(params, u, out):
    if params.size < 2:
        return SHORT
    n, r = int(params[0]), int(params[1])
    # VVᵀ first, whose sign then turns: products are only ever added
    W = part(out, 0, n, n)
    out[:n * n] = 0.0
    add_product(part(u, n * r, n, r), transposed(u, n * r, n, r), W)
    for i in range(n * n):
        out[i] = -out[i]
    add_product(part(u, 0, n, r), transposed(u, 0, n, r), W)
    return 0


@piece(MAP_AT, needs=_both_factors)
def _squares_apart_pullback(params, u, v, out):
    if params.size < 2:
        return SHORT
    n, r = int(params[0]), int(params[1])
    M = part(v, 0, n, n)
    out[:2 * n * r] = 0.0
    for at in (0, n * r):
        factor, pulled = part(u, at, n, r), part(out, at, n, r)
        add_product(M, factor, pulled)
        add_product(M.T, factor, pulled)
    for i in range(n * r, 2 * n * r):
        out[i] = -out[i]
    return 0


def _spectrum(w: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenvalues that rise, and eigenvectors; None where w is not symmetric."""
    W = w.reshape(n, n)
    values, Q = np.linalg.eigh((W + W.T) / 2)
    size = float(np.abs(values).max())
    return (values, Q) if np.allclose(W, W.T, rtol=0, atol=TINY * size) else None


def _root(values: np.ndarray, Q: np.ndarray, rank: int) -> np.ndarray | None:
    """U (n, rank) with UUᵀ the part of QΛQᵀ that is positive; None where its rank is larger."""
    n, size = values.size, float(np.abs(values).max())
    if (values[:max(0, n - rank)] > TINY * size).any():
        return None
    kept = Q[:, ::-1][:, :rank] * np.sqrt(np.maximum(values[::-1][:rank], 0))
    # columns beyond n are 0: they cost nothing, and W needs none
    return np.hstack([kept, np.zeros((n, rank - kept.shape[1]))])


def _balance(w: np.ndarray, n: int, rank: int, signed: bool) -> np.ndarray | None:
    found = _spectrum(w, n)
    if found is None:
        return None
    values, Q = found
    U = _root(values, Q, rank)
    if signed:
        V = _root(-values[::-1], Q[:, ::-1], rank)
        return None if U is None or V is None else np.concatenate([U.ravel(), V.ravel()])
    below = values[0] < -TINY * float(np.abs(values).max())
    return None if U is None or below else U.ravel()


def _entropy(u: np.ndarray, n: int, r: int) -> Potential | None:
    values = np.linalg.svd(u.reshape(n, r), compute_uv=False)
    return potentials.spectral_entropy(n) if values[-1] > 0 else None


def _along(u: np.ndarray, a: np.ndarray, v: np.ndarray, n: int, signed: bool) -> Along:
    M, moved, turned = v.reshape(n, n), np.zeros((n, n)), []
    factors = [x.reshape(1 + signed, n, -1) for x in (u, a)]
    # both are linear in the move, and each factor turns by itself
    for way, U, A in zip((1.0, -1.0), *factors, strict=False):
        moved += way * (U @ A.T + A @ U.T)
        turned.append(way * ((M + M.T) @ A).ravel())
    return moved.ravel(), np.concatenate(turned)


@recorded
def symmetric(n: int, rank: int | None = None, signed: bool = False) -> Model:
    """Return the model W = UUᵀ, U (n, rank), of eq. (17): positive semidefinite matrices (n, n); or
    with ``signed`` W = UUᵀ − VVᵀ, all symmetric matrices where the rank is full.

    ‖U‖² = tr W. Its gradient is ∇_U = (∇_W + ∇_Wᵀ) U, eq. (18) with the factor 2 that eq. (19)
    leaves out. Exponential losses lead to the maximum margin over W ⪰ 0, tr W ≤ 1, from any start
    of full rank (Theorem 7). With both signs min ‖U‖² + ‖V‖² over UUᵀ − VVᵀ = W is Σ|λ_i(W)|, the
    nuclear norm of a symmetric W, and gradient flow keeps UᵀV.

    Parameters
    ----------
    n : int ≥ 1
    rank : int ≥ 1, default n
        Columns of U, and of V.
    signed : bool, default False
        The layers are then U and V. Of samples only the symmetric parts count, either way.

    Raises
    ------
    ValueError, TypeError
        Where n or rank is no whole number ≥ 1.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), §4, eqs. (17) – (19), Theorem 7. Gunasekar, Woodworth,
    Bhojanapalli, Neyshabur, Srebro (2017).

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.symmetric(2, rank=1)
    >>> model.predictor(model.balanced([[4, 2], [2, 1]]), 4).round(12)
    array([4., 2., 2., 1.])
    >>> fb.models.symmetric(2, 1, signed=True).balanced([[4, 0], [0, -9]])
    array([2., 0., 0., 3.])
    """
    n, signed = checks.whole("n", n, least=1), checks.flag("signed", signed)
    r = n if rank is None else checks.whole("rank", rank, least=1)
    params, full = np.array([float(n), r]), r >= n
    if signed:
        return Model(
            f"symmetric({n}, {r}, signed)", _squares_apart, _squares_apart_pullback,
            size=lambda d: 2 * n * r, params=params, degree=2, shape=(n, n), symmetric=True,
            along=lambda u, a, v: _along(u, a, v, n, signed),
            layers=lambda d: [(n, r)] * 2, identity=lambda d, scale: np.tile(eye(n, r, scale), 2),
            penalty=lambda w: float(np.abs(np.linalg.eigvalsh(
                (w.reshape(n, n) + w.reshape(n, n).T) / 2)).sum()),
            balance=lambda w: _balance(w, n, r, signed),
            invariant=lambda layers: layers[0].T @ layers[1],
            bias=(lambda shape: norms.nuclear(n, n)) if full else None,
            source=f"{GUNASEKAR}, §4")
    return Model(f"symmetric({n}, {r})", _square, _square_pullback, size=lambda d: n * r,
                 params=params, degree=2, shape=(n, n), symmetric=True,
                 along=lambda u, a, v: _along(u, a, v, n, signed),
                 layers=lambda d: [(n, r)], identity=lambda d, scale: eye(n, r, scale),
                 penalty=lambda w: float(np.trace(w.reshape(n, n))),
                 balance=lambda w: _balance(w, n, r, signed),
                 bias=(lambda shape: norms.nuclear(n, n)) if full else None, semidefinite=True,
                 mirror=(lambda u: _entropy(u, n, r)) if full else None, commuting=True,
                 source=f"{GUNASEKAR}, Theorem 7" if full else "")


EXAMPLES: tuple[Model, ...] = (symmetric(3), symmetric(4, 2), symmetric(2, rank=3),
                               symmetric(3, signed=True), symmetric(4, 2, signed=True))
