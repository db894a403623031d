"""Maximum margins that cancellation hides from float64, solved without rounding; only the answer is
rounded.

Where samples nearly balance each other, w and λ must be right in more digits than the solvers'
tolerances. Here the ℓ∞ margin is the game of `fastbias.solvers.exact`, and that of a quadratic norm
the equations of its support vectors in fractions, one of them exchanged at a time (the dual
active-set method of Goldfarb and Idnani, 1983).
"""
from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from fastbias.pieces.norms import Norm
from fastbias.solvers import exact

__all__ = ["solutions"]

LARGEST = 40           # systems of equations that are solved without rounding
Row = list[Fraction]


def solutions(Z: np.ndarray, norm: Norm,
              lam: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Maximisers (d,) and their λ (N,), rounded: none where the norm is no such one, or the problem
    is too large.

    ``lam`` guesses the support vectors.
    """
    first = np.argsort(-lam, kind="stable")[:Z.shape[1] + 1]
    if 2 * Z.shape[1] > LARGEST:
        return
    if norm.ball == "cube":
        try:
            w, det, weights = exact.decide(exact.Rows(Z, even=False), first)
        except ArithmeticError:                                # too large
            return
        if w is not None:
            yield np.array([int(v) / det for v in w]), _spread(weights, len(Z))
    elif norm.ball == "cross-polytope":
        try:
            yield _least_sum(exact.Rows(Z, even=False), first)
        except ArithmeticError:
            return
    elif norm.matrix is not None:
        yield from _quadratic(Z, norm.matrix(Z.shape[1]), [int(n) for n in first if lam[n] > 0])


class _Prices(exact.Basis):
    """A basis of the dual of min Σ|w| subject to Zw ≥ 1: max Σ λ subject to |Σ λ z| ≤ 1, at first
    of the 2d slacks alone.

    The columns are [z_n; −z_n], ``kinds`` 0, and e_i, ``kinds`` 1; b is of ones.
    """

    def __init__(self, rows: exact.Rows) -> None:
        d = 2 * rows.Z.shape[1]
        self.rows, self.det, self.work = rows, 1, 0.0
        self.kinds, self.names = [1] * d, list(range(d))
        self.adjugate = np.array([[int(i == j) for j in range(d)] for i in range(d)], object)

    def right(self) -> np.ndarray:
        return np.asarray(self.adjugate.sum(axis=1))

    def along(self, name: int, kind: int) -> np.ndarray:
        if kind:
            return np.asarray(self.adjugate[:, name])
        z = self.rows.integer(name)[0]
        return np.asarray(self.adjugate @ np.concatenate([z, -z]))


def _least_sum(rows: exact.Rows, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ℓ1 margin: w and λ, by the simplex method on its dual; the data are separable, so it has
    an end.
    """
    basis, active, stays = _Prices(rows), dict.fromkeys(first.tolist()), False
    d = rows.Z.shape[1]
    while True:
        y = np.array([1 - kind for kind in basis.kinds], object) @ basis.adjugate
        w = y[:d] - y[d:]
        over = next((i for i in range(2 * d) if y[i] < 0), None)
        lacks = {n: basis.det - int(rows.integer(n)[0] @ w) for n in active}
        wanting = [n for n in active if lacks[n] > 0]
        if wanting and not (stays and over is not None):
            stays = basis.exchange(min(wanting) if stays else max(wanting, key=lacks.__getitem__),
                                   0)
        elif over is not None:
            stays = basis.exchange(over, 1)
        else:
            joining = [n for n in range(len(rows.Z)) if n not in active
                       and int(rows.integer(n)[0] @ w) < basis.det]
            if not joining:
                size = int(max(abs(v) for v in w))
                return np.array([int(v) / size for v in w]), _spread(basis.weights(), len(rows.Z))
            active.update(dict.fromkeys(joining[:2 * d]))


def _spread(weights: dict[int, Fraction], N: int) -> np.ndarray:
    lam = np.zeros(N)
    lam[list(weights)] = list(map(float, weights.values()))
    return lam


def _quadratic(Z: np.ndarray, D: np.ndarray,
               support: list[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The least wᵀDw with Zw ≥ 1: D w = Σ λ z and ⟨w, z⟩ = 1 on the support vectors."""
    N, d = Z.shape
    if N * d > 20_000:
        return
    rows = [[Fraction(v) for v in row] for row in Z.tolist()]
    metric = [[Fraction(v) for v in row] for row in D.tolist()]
    seen: set[frozenset[int]] = set()
    held: list[int] = []
    lam: Row = []
    while support and frozenset(support) not in seen:
        seen.add(frozenset(support))
        S = [rows[n] for n in support]
        found = _solve([[*metric[j], *(-row[j] for row in S), Fraction(0)] for j in range(d)]
                       + [[*row, *[Fraction(0)] * len(S), Fraction(1)] for row in S])
        if found is None:                                      # they depend on each other
            support = (_exchanged(rows, held, lam, support[-1]) if support[:-1] == held
                       else support[:-1])
            continue
        w, lam, held = found[:d], found[d:], support
        if min(lam) < 0:
            support = [n for n, v in zip(support, lam, strict=True) if v != min(lam)]
            continue
        margins = [_dot(row, w) for row in rows]
        least = min(range(N), key=margins.__getitem__)
        if margins[least] >= 1:
            size, total = max(map(abs, w)), sum(lam)
            yield (np.array([float(v / size) for v in w]),
                   _spread({n: v / total for n, v in zip(support, lam, strict=True)}, N))
            return
        support = [*support, least]


def _exchanged(rows: list[Row], support: list[int], lam: Row, new: int) -> list[int]:
    """The new row for one of the independent ones that combine to it: the one whose weight that
    brings to 0 first.
    """
    share = _solve([[*(_dot(rows[n], rows[m]) for m in support), _dot(rows[n], rows[new])]
                    for n in support]) or []
    if not support:
        return []
    ratios = {n: v / a for n, v, a in zip(support, lam, share, strict=True)
              if a > 0} if share else {}
    out = min(ratios, key=ratios.__getitem__, default=support[0])
    return [n for n in support if n != out] + [new]


def _dot(a: Row, b: Row) -> Fraction:
    return sum((u * v for u, v in zip(a, b, strict=True)), Fraction(0))


def _solve(A: list[Row]) -> Row | None:
    """The solution of equations (k, k + 1), by Gauss; None where it is not the only one."""
    k = len(A)
    for j in range(k):
        i = next((i for i in range(j, k) if A[i][j]), None)
        if i is None:
            return None
        A[j], A[i] = A[i], A[j]
        pivot = A[j][j]
        A[j] = [v / pivot for v in A[j]]
        for i in range(k):
            factor = A[i][j]
            if i != j and factor:
                A[i] = [v - factor * u if u else v for v, u in zip(A[i], A[j], strict=True)]
    return [row[-1] for row in A]
