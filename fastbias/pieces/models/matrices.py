"""Models that are products of matrices: W = UVᵀ (eq. 16), of more factors, and deep linear networks
with one output.
"""
from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, SHORT, kernel, piece
from fastbias.pieces import norms, potentials
from fastbias.pieces.models.base import Layers, Model
from fastbias.pieces.recipe import recorded

__all__ = ["add_product", "deep_linear", "eye", "factorised", "part", "transposed"]

TINY = 1e-12       # eigenvalues under so much of the largest count as rounding


@kernel
def add_product(A, B, C):
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
def part(x, at, m, n):
    """The matrix (m, n) that stands in x from an entry on, row after row; a view."""
    return x[at:at + m * n].reshape((m, n))


@kernel
def transposed(A, at, m, n):
    """Aᵀ (n, m) of A (m, n) at entry ``at``: a copy, for products go along the rows of B."""
    out = np.empty((n, m))
    for i in range(m):
        for j in range(n):
            out[j, i] = A[at + i * n + j]
    return out


def _factors_fit(params: np.ndarray, size: int, d: int, *_: int) -> bool:
    m, n, *inner = (int(x) for x in params)
    return (min(m, n, *inner) > 0 and m * n <= d
            and m * inner[0] + sum(a * b for a, b in pairwise([*inner, n])) <= size)


def _chained(params: np.ndarray, size: int, d: int, *_: int) -> bool:
    L, k = int(params[0]), int(params[1]) or d
    return 1 <= L <= 64 and k > 0 and size >= (d if L == 1 else k * d + (L - 2) * k * k + k)


@piece(MAP, needs=_factors_fit)
def _factors(params, u, out):
    if params.size < 3:
        return SHORT
    m, n, r = int(params[0]), int(params[1]), int(params[2])
    out[:m * n] = 0.0
    add_product(part(u, 0, m, r), transposed(u, m * r, n, r), part(out, 0, m, n))
    return 0


@piece(MAP_AT, needs=_factors_fit)
def _factors_pullback(params, u, v, out):
    if params.size < 3:
        return SHORT
    m, n, r = int(params[0]), int(params[1]), int(params[2])
    M, U, V = part(v, 0, m, n), part(u, 0, m, r), part(u, m * r, n, r)
    out[:(m + n) * r] = 0.0
    add_product(M, V, part(out, 0, m, r))
    add_product(M.T, U, part(out, m * r, n, r))
    return 0


@piece(MAP, needs=_factors_fit)
def _products(params, u, out):
    if params.size < 3:
        return SHORT
    m, n, r = int(params[0]), int(params[1]), int(params[2])
    left, at = part(u, 0, m, r), m * r
    for i in range(3, params.size):                       # U₁ … U_{L−1}
        k = int(params[i])
        fresh = np.zeros((m, k))
        add_product(left, part(u, at, r, k), fresh)
        left, at, r = fresh, at + r * k, k
    out[:m * n] = 0.0
    add_product(left, transposed(u, at, n, r), part(out, 0, m, n))
    return 0


@piece(MAP_AT, needs=_factors_fit)
def _products_pullback(params, u, v, out):
    if params.size < 3:
        return SHORT
    m, n, r = int(params[0]), int(params[1]), int(params[2])
    M, left, at, L = part(v, 0, m, n), part(u, 0, m, r), m * r, params.size - 1
    kept, to = np.zeros(m * int(params[3:].sum())), 0     # the products of the first two and more
    for i in range(3, L + 1):
        k = int(params[i])
        fresh = part(kept, to, m, k)
        add_product(left, part(u, at, r, k), fresh)
        left, at, to, r = fresh, at + r * k, to + m * k, k
    out[:at + n * r] = 0.0
    add_product(M.T, left, part(out, at, n, r))
    # what is left of M behind layer i, from the last one on
    right = np.zeros((m, r))
    add_product(M, part(u, at, n, r), right)
    for i in range(L - 1, 1, -1):
        k = int(params[i])                                # layer i is (k, r)
        at, to = at - k * r, to - m * r
        left = part(u, 0, m, k) if i == 2 else part(kept, to - m * k, m, k)
        add_product(left.T, right, part(out, at, k, r))
        fresh = part(out, 0, m, k) if i == 2 else np.zeros((m, k))
        add_product(right, transposed(u, at, k, r), fresh)
        right, r = fresh, k
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
        add_product(part(back, 0, 1, rows), part(u, at, rows, columns),
                    part(fresh, 0, 1, columns))
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
            add_product(part(back, 0, 1, rows), part(u, at, rows, columns),
                        part(fresh, 0, 1, columns))
            back, fresh = fresh, back
    return 0


def eye(m: int, n: int, scale: float) -> np.ndarray:
    """The scaled identity (m, n), flat."""
    return np.asarray(scale * np.eye(m, n).ravel())


def _shares(w: np.ndarray, m: int, n: int, inner: list[int]) -> np.ndarray | None:
    """Factors with the L-th roots of the singular values each, which is balance."""
    A, S, B = np.linalg.svd(w.reshape(m, n), full_matrices=False)
    rank, L = min(inner), len(inner) + 1
    if (S[rank:] > TINY * S[0]).any():
        return None
    k = min(rank, S.size)
    root = np.sqrt(S[:k]) if L == 2 else S[:k] ** (1 / L)
    layers = [np.zeros((a, b)) for a, b in pairwise([m, *inner])] + [np.zeros((n, inner[-1]))]
    layers[0][:, :k], layers[-1][:, :k] = A[:, :k] * root, B[:k].T * root
    for layer in layers[1:-1]:
        layer[:k, :k] = np.diag(root)
    return np.concatenate([layer.ravel() for layer in layers])


def _kept(layers: Layers) -> np.ndarray:
    """UᵀU − VVᵀ of neighbouring factors U, V, one after the other."""
    # the last one is kept transposed
    factors = [*layers[:-1], layers[-1].T]
    kept = [a.T @ a - b @ b.T for a, b in pairwise(factors)]
    return kept[0] if len(kept) == 1 else np.concatenate([each.ravel() for each in kept])


def _widths(rank: int | ArrayLike | None, m: int, n: int, L: int) -> list[int]:
    """The columns of all factors but the last."""
    if not hasattr(rank, "__len__"):
        return [min(m, n) if rank is None else checks.whole("rank", rank, least=1)] * (L - 1)
    told = f"a whole number >= 1, or a list of {L - 1} such"
    return [checks.whole("rank", float(r), least=1)
            for r in checks.array("rank", rank, told, dims=1, length=L - 1)]


@recorded
def factorised(m: int, n: int, rank: int | ArrayLike | None = None, depth: int = 2) -> Model:
    """Return the model W = UVᵀ, U (m, rank), V (n, rank), of eq. (16): all matrices (m, n) where
    the rank is full; or, of a depth L > 2, W = U₁U₂ … U_{L−1}U_Lᵀ.

    min ‖U‖² + ‖V‖² over UVᵀ = W is 2 ‖W‖⋆ (the nuclear norm), which exponential losses lead to as
    the maximum margin; with the squared loss it is a conjecture that has counter-examples (Li, Luo,
    Lyu 2021). Eq. (16) is eq. (17) on the lifted data ½[[0, X], [Xᵀ, 0]], U on top of V. Gradient
    flow keeps UᵀU − VᵀV. Of L factors min Σ‖U_l‖² is L Σ σ_i(W)^{2/L}, a Schatten quasi-norm, and
    U_lᵀU_l − U_{l+1}U_{l+1}ᵀ is kept; exponential losses lead to stationary points of min Σ‖U_l‖²
    with margins ≥ 1.

    Parameters
    ----------
    m, n : int ≥ 1
    rank : int ≥ 1, or a list of L − 1 such, default min(m, n)
        Columns of U and V; of L factors the columns r₁, …, r_{L−1} of all but the last: the layers
        are (m, r₁), (r₁, r₂), …, (n, r_{L−1}).
    depth : int, 2 … 64
        L, the factors.

    Raises
    ------
    ValueError, TypeError
        Where one of them is no such number.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), §4, eq. (16); Gunasekar et al. (2017); Li, Luo, Lyu
    (2021). Arora, Cohen, Hu, Luo, "Implicit Regularization in Deep Matrix Factorization" (2019).

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.models.factorised(2, 3).balanced([[0, 4, 0], [0, 0, 1]]).reshape(5, 2).round(12) + 0
    array([[2., 0.],
           [0., 1.],
           [0., 0.],
           [2., 0.],
           [0., 1.]])
    >>> fb.models.factorised(2, 3, rank=[2, 1], depth=3).layers(6)
    [(2, 2), (2, 1), (3, 1)]
    """
    m, n = checks.whole("m", m, least=1), checks.whole("n", n, least=1)
    L = checks.whole("depth", depth, least=2, most=64)
    inner = _widths(rank, m, n, L)
    shapes = [*pairwise([m, *inner]), (n, inner[-1])]
    told = [f"{inner[0]}" if len(set(inner)) == 1 else f"{inner}"] + [f"depth={L}"] * (L > 2)
    # two factors, which most runs have, need no room beside them, and a step is a tenth shorter
    forward, pullback = (_factors, _factors_pullback) if L == 2 else (_products, _products_pullback)
    return Model(f"factorised({m}, {n}, {', '.join(told)})", forward, pullback,
                 size=lambda d: sum(a * b for a, b in shapes),
                 params=np.array([float(m), n, *inner]), degree=L, multilinear=True,
                 shape=(m, n),
                 layers=lambda d: list(shapes),
                 identity=lambda d, scale: np.concatenate([eye(a, b, scale) for a, b in shapes]),
                 penalty=lambda w: L * float(
                     (np.linalg.svd(w.reshape(m, n), compute_uv=False) ** (2 / L)).sum()),
                 balance=lambda w: _shares(w, m, n, inner), invariant=_kept,
                 bias=(lambda shape: norms.nuclear(m, n)) if L == 2 and min(inner) >= min(m, n)
                 else None,
                 source="Gunasekar, Lee, Soudry, Srebro (2018), §4" if L == 2 else
                 "Lyu & Li (2020)",
                 conditions=("the lifted start [U; V] would have to be of full rank m + n for "
                             "Theorem 7 itself to cover eq. (16): it has at most rank columns",)
                 if L == 2 else ())


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

    return Model(f"deep_linear({L})" if not k else f"deep_linear({L}, {k})", _chain,
                 _chain_pullback,
                 size=lambda d: sum(math.prod(shape) for shape in layers(d)),
                 params=np.array([float(L), k]), degree=L, multilinear=True,
                 layers=layers,
                 identity=lambda d, scale: np.concatenate([eye(s[0], s[1], scale) if len(s) > 1
                                                           else np.full(s, scale)
                                                           for s in layers(d)]),
                 penalty=lambda w: float(L * np.linalg.norm(w) ** (2 / L)),
                 balance=lambda w: _rank_one(w, L, k or w.size),
                 invariant=_balance_of if L > 1 else None, bias=lambda shape: norms.l2, sole=True,
                 mirror=(lambda u: potentials.euclidean) if L == 1 else None,
                 source="Gunasekar, Lee, Soudry, Srebro (2018b), Theorem 1; Ji & Telgarsky (2019)")


EXAMPLES: tuple[Model, ...] = (factorised(2, 3), factorised(3, 3, rank=1), factorised(4, 3, rank=5),
                               factorised(2, 3, depth=3), factorised(3, 2, [4, 2, 3], depth=4),
                               deep_linear(1), deep_linear(2), deep_linear(3, width=2),
                               deep_linear(6, width=7))
