"""Norms of vectors: ℓ1 (with its ties), ℓ2, ℓ∞, ℓp, quadratic norms, and sums over groups."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks.groups import partition
from fastbias.engine import fused
from fastbias.engine.abi import MAP, SHORT, VALUE, kernel, piece, twin
from fastbias.pieces.norms.base import TIE_TOL, Norm
from fastbias.pieces.norms.proximal import blockwise
from fastbias.pieces.recipe import recorded

__all__ = ["group", "l1", "l2", "linf", "lp", "quadratic"]


@piece(VALUE)
def _sum(params, x):
    total = 0.0
    for i in range(x.size):
        total += abs(x[i])
    return total


@piece(VALUE)
def _largest(params, x):
    largest = 0.0
    for i in range(x.size):
        largest = max(largest, abs(x[i]))
    return largest


@piece(MAP, needs=1)
def _l1_steepest(params, g, out):
    if params.size < 1:
        return SHORT
    largest = 0.0
    for i in range(g.size):
        largest = max(largest, abs(g[i]))
        out[i] = 0.0
    for i in range(g.size):
        if abs(g[i]) >= (1.0 - params[0]) * largest:     # the first of the tied ones
            out[i] = g[i]
            break
    return 0


l1 = Norm("l1", _l1_steepest, _largest, _sum, np.array([TIE_TOL]), ball="cross-polytope",
          convex=lambda cp, w: cp.norm(w, 1))
"""‖w‖₁; its steepest descent is coordinate descent. Of several largest |g_j| (within 1e-12,
relative) the first moves.
"""


@piece(MAP)
def _linf_steepest(params, g, out):
    total = 0.0
    for i in range(g.size):
        total += abs(g[i])
    for i in range(g.size):
        out[i] = total * np.sign(g[i])
    return 0


linf = Norm("linf", _linf_steepest, _sum, _largest, ball="cube",
            convex=lambda cp, w: cp.norm(w, "inf"))
"""‖w‖_∞; Δ = ‖g‖₁ sign(g), sign descent with the gradient's size."""


@piece(MAP)
def _l2_steepest(params, g, out):
    for i in range(g.size):
        out[i] = g[i]
    return 0


@kernel
def _length(x):
    """‖x‖₂ of a vector of any size."""
    largest = 0.0
    for i in range(x.size):
        largest = max(largest, abs(x[i]))
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    total = 0.0
    for i in range(x.size):
        # squares of numbers of size one neither vanish nor overflow
        total += (x[i] / largest) ** 2
    return largest * np.sqrt(total)


@piece(VALUE)
def _l2_norm(params, x):
    return _length(x)


twin(fused.GRADIENT, _l2_steepest, _l2_norm, _l2_norm)
l2 = Norm("l2", _l2_steepest, _l2_norm, _l2_norm, matrix=np.eye, smooth=True,
          convex=lambda cp, w: cp.norm(w, 2))
"""‖w‖₂; Δ = g, gradient descent."""


@piece(MAP, needs=2)
def _lp_steepest(params, g, out):
    if params.size < 2:
        return SHORT
    q = params[1]
    largest = 0.0
    for i in range(g.size):
        largest = max(largest, abs(g[i]))
    if largest == 0.0 or not np.isfinite(largest):
        for i in range(g.size):
            out[i] = g[i]
        return 0
    total = 0.0
    for i in range(g.size):
        # q is large for p near one: ratios ≤ 1 may vanish, but never overflow
        total += (abs(g[i]) / largest) ** q
    dual = total ** (1.0 / q)                             # ‖g‖_q / largest
    for i in range(g.size):
        out[i] = np.sign(g[i]) * (largest * dual) * (abs(g[i]) / largest / dual) ** (q - 1.0)
    return 0


@kernel
def _power_norm(p, x):
    largest = 0.0
    for i in range(x.size):
        largest = max(largest, abs(x[i]))
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    total = 0.0
    for i in range(x.size):
        total += (abs(x[i]) / largest) ** p
    return largest * total ** (1.0 / p)


@piece(VALUE, needs=1)
def _p_norm(params, x):
    return _power_norm(params[0], x)


@piece(VALUE, needs=2)
def _q_norm(params, x):
    return _power_norm(params[1], x)


def _convex(cp: Any, w: Any, p: float) -> Any:
    """‖w‖_p for cvxpy, which wants 1/p as a fraction; beyond 1e10 it is ℓ∞, and near one ℓ1, to
    1e-10 log d relatively.
    """
    # cvxpy makes cones of 1/p as a fraction, whose size is that of its denominator
    if not 1 + 1e-10 <= p <= 1e10:
        return cp.norm(w, 1 if p < 2 else "inf")
    return cp.pnorm(w, p, max_denom=10 ** 5 if 1.001 <= p <= 1000 else 10 ** 12)


twin(fused.POWER, _lp_steepest, _q_norm, _p_norm, where=lambda params: params[1] <= 64)


@recorded
def lp(p: float) -> Norm:
    """‖w‖_p = (Σ |w_i|^p)^{1/p}, with Δ_i = ‖g‖_q^{2−q} |g_i|^{q−1} sign(g_i), 1/p + 1/q = 1.

    Parameters
    ----------
    p : float ≥ 1
        lp(1), lp(2) and lp(inf) are `l1`, `l2` and `linf`.

    Raises
    ------
    ValueError, TypeError
        Where p is under 1, NaN, or no number.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.norms.lp(4/3).dual([1.0, 1.0])       # the dual is ℓ4: 2^{1/4}
    1.189207115002721
    """
    if isinstance(p, float) and p == np.inf:
        return linf
    p = checks.number("p", p, least=1)
    if p == 1:
        return l1
    # not this with p = 2: l2 has a matrix, which Theorem 1 asks for, and pieces without powers
    if p == 2:
        return l2
    # lp(1 + 1e-6) must not be called l1
    short = f"{p:.4g}"
    name = f"l{p:.12g}" if short in ("1", "2") else f"l{short}"
    return Norm(name, _lp_steepest, _q_norm, _p_norm, np.array([p, p / (p - 1.0)]), power=p,
                smooth=True,
                convex=lambda cp, w: _convex(cp, w, p))


def _two_matrices(params: np.ndarray, n: int, *_: int) -> bool:
    """D and L, (n, n)."""
    return params.size >= 2 * n * n


@piece(MAP, needs=_two_matrices)
def _quadratic_steepest(params, g, out):
    if params.size < 2 * g.size * g.size:
        return SHORT
    n = g.size                                            # D⁻¹ g, D = L Lᵀ; params: D, L
    for i in range(n):
        total = g[i]
        for j in range(i):
            total -= params[n * n + i * n + j] * out[j]
        out[i] = total / params[n * n + i * n + i]
    for i in range(n - 1, -1, -1):
        out[i] /= params[n * n + i * n + i]
        for j in range(i):
            out[j] -= params[n * n + i * n + j] * out[i]
    return 0


@kernel
def _unit(x):
    """The largest |x_i|, or one where that is 0 or not finite."""
    largest = 0.0
    for i in range(x.size):
        largest = max(largest, abs(x[i]))
    # dividing by 0 or ∞ would make NaN of a norm that is 0 or ∞
    return largest if 0.0 < largest < np.inf else 1.0


@piece(VALUE, needs=_two_matrices)
def _quadratic_norm(params, w):
    n, unit = w.size, _unit(w)
    half = np.zeros(n)                                    # ‖Lᵀw‖₂
    for j in range(n):
        for i in range(j, n):
            half[j] += params[n * n + i * n + j] * (w[i] / unit)
    return unit * _length(half)


@piece(VALUE, needs=_two_matrices)
def _quadratic_dual(params, g):
    n, unit = g.size, _unit(g)
    half = np.empty(n)                                    # ‖L⁻¹g‖₂
    for i in range(n):
        inner = g[i] / unit
        for j in range(i):
            inner -= params[n * n + i * n + j] * half[j]
        half[i] = inner / params[n * n + i * n + i]
    return unit * _length(half)


@recorded
def quadratic(D: ArrayLike) -> Norm:
    """‖w‖_D = √(wᵀDw), with Δ = D⁻¹g: mirror descent with ½wᵀDw under another name (paper, §2.4).

    Parameters
    ----------
    D : (d, d) symmetric positive definite, or (d,) a positive diagonal

    Raises
    ------
    ValueError, TypeError
        Where D is not square, not symmetric or not positive definite.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.norms.quadratic([1.0, 4.0]).dual([1.0, 2.0])           # √(1/1 + 4/4)
    1.4142135623730951
    """
    D = checks.positive_definite("D", D)
    # both go along: D for the norm, L for its inverse
    root = np.linalg.cholesky(D)
    return Norm("quadratic", _quadratic_steepest, _quadratic_dual, _quadratic_norm,
                np.concatenate([D.ravel(), root.ravel()]), size=D.shape[0], matrix=lambda d: D,
                smooth=True, convex=lambda cp, w: cp.norm(root.T @ w, 2))


def _grouped(params: np.ndarray, n: int, *_: int) -> bool:
    """The tolerance, how many groups, where each begins and the last ends, and the features, each
    of 0 … n − 1 once.
    """
    count = int(params[1])
    ends, features = params[2:3 + count], params[3 + count:]
    return count > 0 and ends.size == count + 1 and features.size == n and bool(
        ends[0] == 0 and ends[-1] == n and (np.diff(ends) >= 0).all()
        and (np.sort(features) == np.arange(n)).all())


@piece(MAP, needs=_grouped)
def _group_steepest(params, g, out):
    if params.size < 3 + g.size:
        return SHORT
    largest = _largest_group(params, g)
    count = int(params[1])
    moved = False
    for k in range(count):
        size = _group_size(params, k, g)
        chosen = not moved and size >= (1.0 - params[0]) * largest
        for i in range(int(params[2 + k]), int(params[3 + k])):
            j = int(params[3 + count + i])
            out[j] = g[j] if chosen else 0.0             # the first of the tied groups
        moved = moved or chosen
    return 0


@kernel
def _group_size(params, k, x):
    count = int(params[1])
    largest = 0.0
    for i in range(int(params[2 + k]), int(params[3 + k])):
        largest = max(largest, abs(x[int(params[3 + count + i])]))
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    total = 0.0
    for i in range(int(params[2 + k]), int(params[3 + k])):
        total += (x[int(params[3 + count + i])] / largest) ** 2
    return largest * np.sqrt(total)


@kernel
def _largest_group(params, x):
    largest = 0.0
    for k in range(int(params[1])):
        largest = max(largest, _group_size(params, k, x))
    return largest


@piece(VALUE, needs=_grouped)
def _group_dual(params, g):
    return _largest_group(params, g)


@piece(VALUE, needs=_grouped)
def _group_norm(params, w):
    total = 0.0
    for k in range(int(params[1])):
        total += _group_size(params, k, w)
    return total


@recorded
def group(groups: Any) -> Norm:
    """Σ_g ‖w_g‖₂ over groups of features: Δ moves only the group of largest ‖∇L_g‖₂ (the first of
    tied ones).

    Parameters
    ----------
    groups : list of lists of int
        The features of each group; each of 0 … d − 1 once.

    Raises
    ------
    ValueError, TypeError
        Where a feature is missing, appears twice, or is no index.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.norms.group([[0, 1], [2]])([3.0, 4.0, 2.0])
    7.0
    """
    # compiled code has no lists: group after group, with where each begins
    parts = partition("groups", groups)
    flat = np.concatenate(parts)
    ends = np.concatenate([[0], np.cumsum([part.size for part in parts])])
    owner = np.repeat(np.arange(len(parts)), [part.size for part in parts])[np.argsort(flat)]
    return Norm("group", _group_steepest, _group_dual, _group_norm,
                np.concatenate([[TIE_TOL, float(len(parts))], ends, flat]), size=flat.size,
                convex=lambda cp, w: sum(cp.norm(w[part], 2) for part in parts),
                shrink=blockwise(np.ones(len(parts)), owner))


EXAMPLES: tuple[Norm, ...] = (l1, l2, linf, lp(4 / 3), lp(1.5), lp(3),
                              quadratic([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 3.0]]),
                              group([[0, 3], [2], [1]]))
