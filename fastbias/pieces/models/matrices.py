"""Models made of matrices: W = UUᵀ (eqs. 17 – 19), W = UVᵀ (eq. 16), and deep linear networks with
one output.
"""
from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, SHORT, kernel, piece
from fastbias.pieces import norms, potentials
from fastbias.pieces.models.base import Layers, Model
from fastbias.pieces.potentials import Potential
from fastbias.pieces.recipe import recorded

__all__ = ["deep_linear", "factorised", "symmetric"]

TINY = 1e-12       # eigenvalues under so much of the largest count as rounding


@kernel
def _add_product(A, B, C):
    """C (m, n) += A B, sums in the order of k: A (m, K), B (K, n)."""
    m, K = A.shape
    n = B.shape[1]
    for i in range(m):
        k = 0
        # four rows of B in one go, so that a row of C is read and written a quarter as often
        while k + 4 <= K:
            a0, a1, a2, a3 = A[i, k], A[i, k + 1], A[i, k + 2], A[i, k + 3]
            for j in range(n):
                C[i, j] += (a0 * B[k, j] + a1 * B[k + 1, j]) \
                    + (a2 * B[k + 2, j] + a3 * B[k + 3, j])
            k += 4
        while k < K:
            for j in range(n):
                C[i, j] += A[i, k] * B[k, j]
            k += 1


@kernel
def _part(x, at, m, n):
    """The matrix (m, n) that stands in x from an entry on, row after row; a view."""
    return x[at:at + m * n].reshape((m, n))


@kernel
def _transposed(A, at, m, n):
    """Aᵀ (n, m) of A (m, n) at entry ``at``: a copy, for products go along the rows of B."""
    out = np.empty((n, m))
    for i in range(m):
        for j in range(n):
            out[j, i] = A[at + i * n + j]
    return out


def _two_factors(params: np.ndarray, size: int, d: int, *_: int) -> bool:
    m, n, r = int(params[0]), int(params[1]), int(params[2])
    return m > 0 and n > 0 and r > 0 and m * n <= d and (m + n) * r <= size


def _one_factor(params: np.ndarray, size: int, d: int, *_: int) -> bool:
    n, r = int(params[0]), int(params[1])
    return n > 0 and r > 0 and n * n <= d and n * r <= size


def _chained(params: np.ndarray, size: int, d: int, *_: int) -> bool:
    L, k = int(params[0]), int(params[1]) or d
    return 1 <= L <= 64 and k > 0 and size >= (d if L == 1 else k * d + (L - 2) * k * k + k)


@piece(MAP, needs=_two_factors)
def _factors(params, u, out):
    if params.size < 3:
        return SHORT
    m, n, r = int(params[0]), int(params[1]), int(params[2])
    out[:m * n] = 0.0
    _add_product(_part(u, 0, m, r), _transposed(u, m * r, n, r), _part(out, 0, m, n))
    return 0


@piece(MAP_AT, needs=_two_factors)
def _factors_pullback(params, u, v, out):
    if params.size < 3:
        return SHORT
    m, n, r = int(params[0]), int(params[1]), int(params[2])
    M, U, V = _part(v, 0, m, n), _part(u, 0, m, r), _part(u, m * r, n, r)
    out[:(m + n) * r] = 0.0
    _add_product(M, V, _part(out, 0, m, r))
    _add_product(M.T, U, _part(out, m * r, n, r))
    return 0


@piece(MAP, needs=_one_factor)
def _square(params, u, out):
    if params.size < 2:
        return SHORT
    n, r = int(params[0]), int(params[1])
    out[:n * n] = 0.0
    _add_product(_part(u, 0, n, r), _transposed(u, 0, n, r), _part(out, 0, n, n))
    return 0


@piece(MAP_AT, needs=_one_factor)
def _square_pullback(params, u, v, out):
    if params.size < 2:
        return SHORT
    n, r = int(params[0]), int(params[1])
    M, U, pulled = _part(v, 0, n, n), _part(u, 0, n, r), _part(out, 0, n, r)
    # (M + Mᵀ) U in two products, eq. (18): M is symmetric only where all samples are
    out[:n * r] = 0.0
    _add_product(M, U, pulled)
    _add_product(M.T, U, pulled)
    return 0


@kernel
def _layer(L, k, i, d):
    """Rows, columns and first entry of layer i of a deep linear network: (k, d), then (k, k), then
    (1, k).
    """
    rows = 1 if i == L - 1 else k
    return rows, d if i == 0 else k, 0 if i == 0 else k * d + (i - 1) * k * k


@piece(MAP, needs=_chained)
def _chain(params, u, out):
    if params.size < 2:
        return SHORT
    L, d = int(params[0]), out.size
    k = d if params[1] == 0 else int(params[1])
    back, fresh = np.ones(max(k, d)), np.empty(max(k, d))
    for i in range(L - 1, -1, -1):                        # W₁ᵀ W₂ᵀ … w_L, from the output
        rows, columns, at = _layer(L, k, i, d)
        fresh[:columns] = 0.0
        _add_product(_part(back, 0, 1, rows), _part(u, at, rows, columns),
                     _part(fresh, 0, 1, columns))
        back, fresh = fresh, back
    for j in range(d):
        out[j] = back[j]
    return 0


@piece(MAP_AT, needs=_chained)
def _chain_pullback(params, u, v, out):
    if params.size < 2:
        return SHORT
    L, d = int(params[0]), v.size
    # params[1] is 0 where the width is that of the data, which the factory does not know
    k = d if params[1] == 0 else int(params[1])
    ahead, size = np.empty((L + 1, max(k, d))), max(k, d)
    for j in range(d):
        ahead[0, j] = v[j]
    for i in range(L - 1):                                # W_l … W₁ v
        rows, columns, at = _layer(L, k, i, d)
        for a in range(rows):
            total = 0.0
            for j in range(columns):
                total += u[at + a * columns + j] * ahead[i, j]
            ahead[i + 1, a] = total
    back, fresh = np.ones(size), np.empty(size)
    # ∂/∂W_l = (W_{l+1}ᵀ … w_L) (W_{l−1} … W₁ v)ᵀ
    for i in range(L - 1, -1, -1):
        rows, columns, at = _layer(L, k, i, d)
        for a in range(rows):
            for j in range(columns):
                out[at + a * columns + j] = back[a] * ahead[i, j]
        if i > 0:
            fresh[:columns] = 0.0
            _add_product(_part(back, 0, 1, rows), _part(u, at, rows, columns),
                         _part(fresh, 0, 1, columns))
            back, fresh = fresh, back
    return 0


def _square_along(u: np.ndarray, a: np.ndarray, v: np.ndarray,
                  n: int) -> tuple[np.ndarray, np.ndarray]:
    U, A, M = u.reshape(n, -1), a.reshape(n, -1), v.reshape(n, n)
    change = U @ A.T
    return (change + change.T).ravel(), ((M + M.T) @ A).ravel()


def _factors_along(u: np.ndarray, a: np.ndarray, v: np.ndarray,
                   m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    (U, V), (A, B) = (np.split(x.reshape(m + n, -1), [m]) for x in (u, a))
    M = v.reshape(m, n)
    return (A @ V.T + U @ B.T).ravel(), np.concatenate([M @ B, M.T @ A]).ravel()


def _chain_along(layers: Layers, moves: Layers,
                 v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By running products from both ends, and their changes."""
    W, D = ([np.atleast_2d(x) for x in some] for some in (layers, moves))
    ahead, behind = [(v, np.zeros_like(v))], [(np.ones(1), np.zeros(1))]
    for A, dA in zip(W, D, strict=True):
        x, dx = ahead[-1]
        ahead.append((A @ x, dA @ x + A @ dx))
    for A, dA in zip(W[::-1], D[::-1], strict=True):
        x, dx = behind[-1]
        behind.append((x @ A, x @ dA + dx @ A))
    turned = [np.outer(dy, x) + np.outer(y, dx)
              for (x, dx), (y, dy) in zip(ahead[:-1], behind[-2::-1], strict=True)]
    return behind[-1][1], np.concatenate([part.ravel() for part in turned])


def _eye(m: int, n: int, scale: float) -> np.ndarray:
    return np.asarray(scale * np.eye(m, n).ravel())


def _roots(w: np.ndarray, n: int, rank: int) -> np.ndarray | None:
    W = w.reshape(n, n)
    values, Q = np.linalg.eigh((W + W.T) / 2)
    size = float(np.abs(values).max())
    if not np.allclose(W, W.T, rtol=0, atol=TINY * size) or values[0] < -TINY * size \
            or (values[:max(0, n - rank)] > TINY * size).any():
        return None
    kept = Q[:, ::-1][:, :rank] * np.sqrt(np.maximum(values[::-1][:rank], 0))
    # columns beyond n are 0: they cost nothing, and W needs none
    return np.hstack([kept, np.zeros((n, rank - kept.shape[1]))]).ravel()


def _entropy(u: np.ndarray, n: int, r: int) -> Potential | None:
    values = np.linalg.svd(u.reshape(n, r), compute_uv=False)
    return potentials.spectral_entropy(n) if values[-1] > 0 else None


@recorded
def symmetric(n: int, rank: int | None = None) -> Model:
    """Return the model W = UUᵀ, U (n, rank), of eq. (17): positive semidefinite matrices (n, n).

    ‖U‖² = tr W. Its gradient is ∇_U = (∇_W + ∇_Wᵀ) U, eq. (18) with the factor 2 that eq. (19)
    leaves out. Exponential losses lead to the maximum margin over W ⪰ 0, tr W ≤ 1, from any start
    of full rank (Theorem 7).

    Parameters
    ----------
    n : int ≥ 1
    rank : int ≥ 1, default n
        Columns of U.

    Raises
    ------
    ValueError, TypeError
        Where n or rank is no whole number ≥ 1.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), §4, eqs. (17) – (19), Theorem 7.

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.symmetric(2, rank=1)
    >>> model.predictor(model.balanced([[4, 2], [2, 1]]), 4).round(12)
    array([4., 2., 2., 1.])
    """
    n = checks.whole("n", n, least=1)
    r = n if rank is None else checks.whole("rank", rank, least=1)
    return Model(f"symmetric({n}, {r})", _square, _square_pullback, size=lambda d: n * r,
                 params=np.array([float(n), r]),
                 degree=2, shape=(n, n), layers=lambda d: [(n, r)],
                 identity=lambda d, scale: _eye(n, r, scale),
                 penalty=lambda w: float(np.trace(w.reshape(n, n))),
                 balance=lambda w: _roots(w, n, r), along=lambda u, a, v: _square_along(u, a, v, n),
                 bias=(lambda shape: norms.nuclear(n, n)) if r >= n else None, semidefinite=True,
                 mirror=(lambda u: _entropy(u, n, r)) if r >= n else None, commuting=True,
                 source="Gunasekar, Lee, Soudry, Srebro (2018), Theorem 7" if r >= n else "")


def _halves(w: np.ndarray, m: int, n: int, rank: int) -> np.ndarray | None:
    A, S, B = np.linalg.svd(w.reshape(m, n), full_matrices=False)
    if (S[rank:] > TINY * S[0]).any():
        return None
    k = min(rank, S.size)
    root, rest = np.sqrt(S[:k]), max(0, rank - k)
    return np.concatenate([np.hstack([part, np.zeros((len(part), rest))]).ravel() for part in
                           (A[:, :k] * root, B[:k].T * root)])


@recorded
def factorised(m: int, n: int, rank: int | None = None) -> Model:
    """Return the model W = UVᵀ, U (m, rank), V (n, rank), of eq. (16): all matrices (m, n) where
    the rank is full.

    min ‖U‖² + ‖V‖² over UVᵀ = W is 2 ‖W‖⋆ (the nuclear norm), which exponential losses lead to as
    the maximum margin; with the squared loss it is a conjecture that has counter-examples (Li, Luo,
    Lyu 2021). Eq. (16) is eq. (17) on the lifted data ½[[0, X], [Xᵀ, 0]], U on top of V. Gradient
    flow keeps UᵀU − VᵀV.

    Parameters
    ----------
    m, n : int ≥ 1
    rank : int ≥ 1, default min(m, n)
        Columns of U and V.

    Raises
    ------
    ValueError, TypeError
        Where one of them is no whole number ≥ 1.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), §4, eq. (16); Gunasekar et al. (2017); Li, Luo, Lyu
    (2021).

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.models.factorised(2, 3).balanced([[0, 4, 0], [0, 0, 1]]).reshape(5, 2).round(12) + 0
    array([[2., 0.],
           [0., 1.],
           [0., 0.],
           [2., 0.],
           [0., 1.]])
    """
    m, n = checks.whole("m", m, least=1), checks.whole("n", n, least=1)
    r = min(m, n) if rank is None else checks.whole("rank", rank, least=1)
    return Model(f"factorised({m}, {n}, {r})", _factors, _factors_pullback,
                 size=lambda d: (m + n) * r,
                 params=np.array([float(m), n, r]), degree=2, shape=(m, n),
                 layers=lambda d: [(m, r), (n, r)],
                 identity=lambda d, scale: np.concatenate([_eye(m, r, scale), _eye(n, r, scale)]),
                 penalty=lambda w: 2.0
                 * float(np.linalg.svd(w.reshape(m, n), compute_uv=False).sum()),
                 balance=lambda w: _halves(w, m, n, r),
                 along=lambda u, a, v: _factors_along(u, a, v, m, n),
                 invariant=lambda layers: layers[0].T @ layers[0] - layers[1].T @ layers[1],
                 bias=(lambda shape: norms.nuclear(m, n)) if r >= min(m, n) else None,
                 source="Gunasekar, Lee, Soudry, Srebro (2018), §4",
                 conditions=("the lifted start [U; V] would have to be of full rank m + n for "
                             "Theorem 7 itself to cover eq. (16): it has at most rank columns",))


def _rank_one(w: np.ndarray, L: int, width: int) -> np.ndarray:
    size = float(np.linalg.norm(w))
    root = size ** (1 / L)
    if L == 1:
        return w.copy()
    first = np.zeros((width, w.size))
    # one path through the network carries all of w, each layer of norm ‖w‖^{1/L}: that is balance
    first[0] = w * (root / size) if size > 0 else 0.0
    inner = np.zeros((L - 2, width, width))
    inner[:, 0, 0] = root
    last = np.zeros(width)
    last[0] = root
    return np.concatenate([first.ravel(), inner.ravel(), last])


def _balance_of(layers: Layers) -> np.ndarray:
    """W_l W_lᵀ − W_{l+1}ᵀ W_{l+1} of neighbouring layers."""
    wide = [np.atleast_2d(W) for W in layers]
    return np.array([a @ a.T - b.T @ b for a, b in pairwise(wide)])


@recorded
def deep_linear(depth: int, width: int | None = None) -> Model:
    """Return the deep linear network w = W₁ᵀ W₂ᵀ … w_L: layers W₁ (width, d), W_l (width, width),
    w_L (width,).

    min Σ‖W_l‖² over networks of predictor w is L ‖w‖₂^{2/L}: at any depth exponential losses lead
    to the ℓ2 maximum margin. Gradient flow keeps W_l W_lᵀ − W_{l+1}ᵀ W_{l+1}.

    Parameters
    ----------
    depth : int, 1 … 64
        L, the layers; 1 is the linear model.
    width : int ≥ 1, default d
        Of the hidden layers.

    Raises
    ------
    ValueError, TypeError
        Where one of them is no such number.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018b), Theorem 1; Ji & Telgarsky (2019).

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.deep_linear(3, width=2)
    >>> print(model.parameters(4), model.predictor(model.balanced([0, 3, 4, 0]), 4).round(12) + 0)
    14 [0. 3. 4. 0.]
    """
    L = checks.whole("depth", depth, least=1, most=64)
    k = 0 if width is None else checks.whole("width", width, least=1)

    def layers(d: int) -> list[tuple[int, ...]]:
        wide = k or d
        return [(d,)] if L == 1 else [(wide, d), *[(wide, wide)] * (L - 2), (wide,)]

    def along(u: np.ndarray, a: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _chain_along(model.split(u, v.size), model.split(a, v.size), v)

    model = Model(f"deep_linear({L})" if not k else f"deep_linear({L}, {k})", _chain,
                 _chain_pullback,
                 size=lambda d: sum(math.prod(shape) for shape in layers(d)),
                 params=np.array([float(L), k]), degree=L,
                 layers=layers,
                 identity=lambda d, scale: np.concatenate([_eye(s[0], s[1], scale) if len(s) > 1
                                                           else np.full(s, scale)
                                                           for s in layers(d)]),
                 penalty=lambda w: float(L * np.linalg.norm(w) ** (2 / L)),
                 balance=lambda w: _rank_one(w, L, k or w.size),
                 invariant=_balance_of if L > 1 else None, bias=lambda shape: norms.l2, sole=True,
                 along=along,
                 mirror=(lambda u: potentials.euclidean) if L == 1 else None,
                 source="Gunasekar, Lee, Soudry, Srebro (2018b), Theorem 1; Ji & Telgarsky (2019)")
    return model


EXAMPLES: tuple[Model, ...] = (symmetric(3), symmetric(4, 2), symmetric(2, rank=3),
                               factorised(2, 3),
                               factorised(3, 3, rank=1), factorised(4, 3, rank=5), deep_linear(1),
                               deep_linear(2),
                               deep_linear(3, width=2), deep_linear(6, width=7))
