"""Maximum margins that cancellation hides from float64, solved without rounding.

Where samples nearly balance each other, w and λ must be right in more digits than the solvers'
tolerances. Here the ℓ∞ margin is the game of `fastbias.solvers.exact`, and that of a quadratic norm
the equations of its support vectors in fractions, one of them exchanged at a time (the dual
active-set method of Goldfarb and Idnani, 1983).
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from time import process_time

import numpy as np

from fastbias.solvers import exact
from fastbias.solvers.free import Gauge, free_columns

__all__ = ["solutions", "spread"]

LARGEST = 40           # features up to which the simplex method is quick in fractions
ENTRIES = 20_000       # of Z, likewise for the equations of support vectors …
PATIENCE = 3.0         # … and seconds for them: where features lie far apart fractions are long
Row = list[Fraction]
Solution = tuple[np.ndarray, np.ndarray]


def solutions(Z: np.ndarray, norm: Gauge, lam: np.ndarray) -> Iterator[Solution]:
    """Maximisers (d,) and their λ (N,), rounded: none for other norms, of polytopes with free
    columns, or where it takes too long.

    ``lam`` guesses the support vectors.
    """
    free = free_columns(norm)
    first = np.argsort(-lam, kind="stable")[:Z.shape[1] + 1]
    if 2 * Z.shape[1] > LARGEST:
        return
    if norm.matrix is not None:
        support = [int(n) for n in first if lam[n] > 0]
        D, bound = norm.matrix(Z.shape[1]).copy(), Z.shape[1] - free
        D[bound:] = 0.0
        # (of several intercepts only differences matter: the last one is 0)
        kept = Z.shape[1] - (free > 1)
        for w, weights in _quadratic(Z[:, :kept], D[:kept, :kept], support):
            yield np.append(w, np.zeros(Z.shape[1] - kept)), weights
        return
    if free:
        return
    known = {"cube": _game, "cross-polytope": _least_sum}
    # too large: it is no proof that is missing, only a better w
    if norm.ball in known:
        with suppress(ArithmeticError):
            yield from known[norm.ball](exact.Scaled(Z, even=False), first)


def _game(rows: exact.Scaled, first: np.ndarray) -> Iterator[Solution]:
    """The ℓ∞ margin: w and λ."""
    w, det, weights = exact.decide(rows, first)
    if w is not None:
        yield np.array([int(v) / det for v in w]), spread(weights, len(rows.Z))


class _Prices(exact.Basis):
    """A basis of the dual of min Σ|w| subject to Zw ≥ 1: max Σ λ subject to |Σ λ z| ≤ 1, at first
    of the 2d slacks alone.

    The columns are [z_n; −z_n], ``kinds`` 0, and e_i, ``kinds`` 1; b is of ones.
    """

    def __init__(self, rows: exact.Scaled) -> None:
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


def _least_sum(rows: exact.Scaled, first: np.ndarray) -> Iterator[Solution]:
    """The ℓ1 margin: w and λ, by the simplex method on its dual.

    The data are separable, so it has an end.
    """
    basis, active, stays = _Prices(rows), dict.fromkeys(first.tolist()), False
    d = rows.Z.shape[1]
    while True:
        y = np.array([1 - kind for kind in basis.kinds], object) @ basis.adjugate
        w = y[:d] - y[d:]
        over = next((i for i in range(2 * d) if y[i] < 0), None)
        lacks = {n: basis.det - int(rows.integer(n)[0] @ w) for n in active}
        wanting = [n for n in active if lacks[n] > 0]
        # by the largest lack, which is quick; after a step of length 0 by Bland's rule, which ends
        if wanting and not (stays and over is not None):
            new = min(wanting) if stays else max(wanting, key=lacks.__getitem__)
            stays = basis.exchange(new, 0)
        elif over is not None:
            stays = basis.exchange(over, 1)
        else:
            joining = _wanting(rows, w, basis.det, active)
            if not joining:
                size = int(max(abs(v) for v in w))
                yield np.array([int(v) / size for v in w]), spread(basis.weights(), len(rows.Z))
                return
            active.update(dict.fromkeys(joining[:2 * d]))


def _wanting(rows: exact.Scaled, w: np.ndarray, det: int, active: dict[int, None]) -> list[int]:
    """The other rows with a margin under one."""
    return [n for n in range(len(rows.Z))
            if n not in active and int(rows.integer(n)[0] @ w) < det]


def spread(weights: dict[int, Fraction], N: int) -> np.ndarray:
    """Weights of some rows as λ (N,), rounded."""
    lam = np.zeros(N)
    lam[list(weights)] = list(map(float, weights.values()))
    return lam


def _quadratic(Z: np.ndarray, D: np.ndarray, support: list[int]) -> Iterator[Solution]:
    """The least wᵀDw with Zw ≥ 1: D w = Σ λ z and ⟨w, z⟩ = 1 on the support vectors."""
    N, d = Z.shape
    if N * d > ENTRIES:
        return
    rows = [[Fraction(v) for v in row] for row in Z.tolist()]
    metric = [[Fraction(v) for v in row] for row in D.tolist()]
    until = process_time() + PATIENCE
    seen: set[frozenset[int]] = set()                          # a guess that comes back ends it
    held: list[int] = []
    lam: Row = []
    while support and frozenset(support) not in seen and process_time() < until:
        seen.add(frozenset(support))
        found = _on_support(metric, [rows[n] for n in support])
        if found is None:                                      # they depend on each other
            support = (_exchanged(rows, held, lam, support[-1]) if support[:-1] == held
                       else support[:-1])
            continue
        w, lam, held = found[:d], found[d:], support
        # one that would push w away is none: the worst leaves
        if min(lam) < 0:
            support = [n for n, v in zip(support, lam, strict=True) if v != min(lam)]
            continue
        margins = [_dot(row, w) for row in rows]
        least = min(range(N), key=margins.__getitem__)
        if margins[least] >= 1:
            size, total = max(map(abs, w)), sum(lam)
            yield (np.array([float(v / size) for v in w]),
                   spread({n: v / total for n, v in zip(support, lam, strict=True)}, N))
            return
        support = [*support, least]


def _on_support(metric: list[Row], S: list[Row]) -> Row | None:
    """w and λ, one after the other, with D w = Σ λ s and ⟨w, s⟩ = 1 on rows s."""
    zero, one = Fraction(0), Fraction(1)
    stationary = [[*row, *(-s[j] for s in S), zero] for j, row in enumerate(metric)]
    return _solve(stationary + [[*s, *[zero] * len(S), one] for s in S])


def _exchanged(rows: list[Row], support: list[int], lam: Row, new: int) -> list[int]:
    """The new row for one of those that combine to it: the one whose weight is first to be 0."""
    # the ratio test of the simplex method: no weight becomes negative
    share = _solve([[*(_dot(rows[n], rows[m]) for m in support), _dot(rows[n], rows[new])]
                    for n in support]) or []
    if not support:
        return []
    weighed = zip(support, lam, share, strict=True) if share else ()
    ratios = {n: v / a for n, v, a in weighed if a > 0}
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
        A[j] = [v / A[j][j] for v in A[j]]
        for i in range(k):
            if i != j and A[i][j]:
                A[i] = _less(A[i], A[i][j], A[j])
    return [row[-1] for row in A]


def _less(row: Row, factor: Fraction, pivot: Row) -> Row:
    """row − factor pivot; most entries of it are 0, and Fractions slow."""
    return [v - factor * u if u else v for v, u in zip(row, pivot, strict=True)]
