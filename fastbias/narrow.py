"""Maximum margins that cancellation hides from float64, solved without rounding; only the answer is rounded.

Where samples nearly balance each other, w and λ must be right in more digits than the solvers' tolerances. Here the ℓ∞
margin is the game of `fastbias.exact`, and that of a quadratic norm the equations of its support vectors in fractions, one
of them exchanged at a time (the dual active-set method of Goldfarb and Idnani, 1983).
"""
from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from fastbias import exact
from fastbias.norms import Norm

__all__ = ["solutions"]

LARGEST = 40           # of the equations that are solved in fractions
Row = list[Fraction]


def solutions(Z: np.ndarray, norm: Norm, lam: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Maximisers (d,) and their λ (N,), rounded: none where the norm is no such one, or the problem is too large.

    ``lam`` guesses the support vectors.
    """
    first = np.argsort(-lam, kind="stable")[:Z.shape[1] + 1]
    if norm.ball == "cube":
        try:
            w, det, weights = exact.decide(exact.Rows(Z, even=False), first)
        except ArithmeticError:                                # too large
            return
        if w is not None:
            yield np.array([int(v) / det for v in w]), _spread(weights, len(Z))
    elif norm.matrix is not None:
        yield from _quadratic(Z, norm.matrix(Z.shape[1]), [int(n) for n in first if lam[n] > 0])


def _spread(weights: dict[int, Fraction], N: int) -> np.ndarray:
    lam = np.zeros(N)
    lam[list(weights)] = list(map(float, weights.values()))
    return lam


def _quadratic(Z: np.ndarray, D: np.ndarray, support: list[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The least wᵀDw with Zw ≥ 1: D w = Σ λ z and ⟨w, z⟩ = 1 on the support vectors."""
    N, d = Z.shape
    if d + min(N, d) > LARGEST or N * d > 20_000:
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
            support = _exchanged(rows, held, lam, support[-1]) if support[:-1] == held else support[:-1]
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
    """The new row for one of the independent ones that combine to it: the one whose weight that brings to 0 first."""
    share = _solve([[*(_dot(rows[n], rows[m]) for m in support), _dot(rows[n], rows[new])] for n in support]) or []
    ratios = {n: v / a for n, v, a in zip(support, lam, share, strict=True) if a > 0} if share else {}
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
