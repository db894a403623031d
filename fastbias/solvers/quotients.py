"""Spans of rows, and rows modulo a span, in whole numbers: linear algebra without rounding.

A span S of R^d is kept in reduced echelon form: some columns, its pivots, are free coordinates of
S, and the others are those times a matrix of fractions with one denominator. It grows by one row at
a time, and every division is without remainder (Edmonds 1967, Bareiss 1968).
"""
from __future__ import annotations

from math import gcd

import numpy as np

from fastbias.checks import foreign
from fastbias.solvers import exact

__all__ = ["Span", "Whole", "numerators", "spanned"]

PRIME = 2**31 - 1     # rows that are independent modulo a prime are independent
SAMPLED = 8           # rows for each feature among which independent ones are looked for first
RANK = 1e-9           # relative sizes of what QR leaves of rows that are taken as dependent
BITS = 40             # of a span in floats: what is smaller is rounding
LIMIT = 1e9           # multiplications of 64-bit numbers in one span: some ten seconds


class Span:
    """The span of rows of whole numbers (d,): all (s, sR) with R = ``top``/``det``.

    ``pivots`` are the columns of s, ``free`` those of sR. The rows [det I, top] of the echelon form
    are, if ``tracked``, ``made`` of the rows named ``names``.
    """

    def __init__(self, size: int, tracked: bool = False) -> None:
        self.tracked = tracked
        self.pivots: list[int] = []
        self.names: list[int] = []
        self.free, self.det, self.work = list(range(size)), 1, 0.0
        self.top, self.made = np.zeros((0, size), object), np.zeros((0, 0), object)

    @property
    def rank(self) -> int:
        """The dimension of the span."""
        return len(self.pivots)

    def quotient(self, A: np.ndarray) -> np.ndarray:
        """Rows A (N, d) modulo the span, times the determinant: whole numbers (N, d − r), 0 where a
        row lies in it.
        """
        return np.asarray(A[:, self.free] * self.det - A[:, self.pivots] @ self.top)

    def lifted(self, t: np.ndarray) -> np.ndarray:
        """The u (d,), orthogonal to the span, with ⟨u, z⟩ = ⟨t, quotient(z)⟩ for every z."""
        u = np.zeros(self.rank + len(self.free), object)
        u[self.free], u[self.pivots] = t * self.det, -(self.top @ t)
        return u

    def combination(self, z: np.ndarray) -> np.ndarray:
        """The μ (r,), times the determinant, with which the named rows combine to a z (d,) of the
        span.
        """
        return np.asarray(z[self.pivots] @ self.made)

    def add(self, name: int, z: np.ndarray, powers: np.ndarray) -> bool:
        """Let a row z (d,) in, and say whether the span has grown.

        Raises
        ------
        ArithmeticError
            Where its numbers have become too large.
        """
        rest = self.quotient(z[None])[0]
        if not rest.any():
            return False
        self.work += self.top.size * 2 * (1.0 + self.det.bit_length() / 64) ** 1.5
        if self.work > LIMIT:
            raise ArithmeticError("the span of the samples that overlap is too large a question for"
                                  " exact arithmetic")
        # the largest entry, in the units of the features, so that R is of size one
        at = max(np.flatnonzero(rest).tolist(),
                 key=lambda j: abs(rest[j]).bit_length() + int(powers[self.free[j]]))
        pivot, k = int(rest[at]), len(self.free)
        old, new = self.top, rest
        if self.tracked:
            old = np.hstack([old, self.made, np.zeros((self.rank, 1), object)])
            new = np.concatenate([new, -self.combination(z), np.array([self.det], object)])
        old = np.vstack([(old * pivot - np.multiply.outer(self.top[:, at], new)) // self.det, new])
        if pivot < 0:
            old = -old
        self.top, self.made = np.delete(old[:, :k], at, axis=1), old[:, k:]
        self.pivots.append(self.free.pop(at))
        self.names.append(name)
        self.det = abs(pivot)
        return True

    @classmethod
    def rough(cls, S: np.ndarray) -> Span:
        """The span of rows of floats, of which rounding may hide some and invent others."""
        span = cls(S.shape[1])
        lengths = np.linalg.norm(S, axis=1)
        R, order = foreign.ask("the span of samples", "scipy.linalg.qr", S / lengths[:, None],
                               mode="r", pivoting=True)
        sizes = np.abs(np.diag(R))
        r = int((sizes > RANK * sizes.max(initial=0.0)).sum())
        span.pivots, span.free = order[:r].tolist(), order[r:].tolist()
        top = foreign.ask("the span of samples", "scipy.linalg.solve_triangular", R[:r, :r],
                          R[:r, r:])
        span.det = 1 << BITS
        span.top = np.array([[round(v * span.det) for v in row] for row in top.tolist()],
                            object).reshape(r, -1)
        return span

    def echelon(self) -> np.ndarray:
        """A basis of the span (r, d), rounded once."""
        rows = np.zeros((self.rank, self.rank + len(self.free)))
        rows[:, self.pivots] = np.eye(self.rank)
        rows[:, self.free] = [[int(v) / self.det for v in row] for row in self.top]
        return rows

    @classmethod
    def all(cls, size: int) -> Span:
        """The whole space."""
        span = cls(size)
        span.pivots, span.free, span.top = span.free, [], np.zeros((size, 0), object)
        return span


def spanned(rows: exact.Scaled, which: np.ndarray) -> Span:
    """The span of the rows of indices ``which`` (k,); ArithmeticError where that is too large."""
    size = rows.floats.shape[1]
    span = Span(size)
    if not which.size:
        return span
    some = which
    if which.size > SAMPLED * size:
        some = np.random.default_rng(0).choice(which, SAMPLED * size, replace=False)
    likely = some[_independent(rows.floats[some])]
    if likely.size == size and _regular(np.array([rows.integer(int(n))[0] for n in likely])):
        return Span.all(size)
    for n in likely.tolist():
        span.add(n, rows.integer(n)[0], rows.columns)
    A = np.array([rows.integer(int(n))[0] for n in which.tolist()])
    while True:
        outside = np.flatnonzero(span.quotient(A).any(axis=1))
        if not outside.size:
            return span
        n = int(which[outside[0]])
        span.add(n, rows.integer(n)[0], rows.columns)


def _independent(S: np.ndarray) -> np.ndarray:
    """Rows of S that are likely to be independent and to span the others, the surest first."""
    lengths = np.linalg.norm(S, axis=1)
    try:
        R, order = foreign.ask("independent samples", "scipy.linalg.qr", (S / lengths[:, None]).T,
                               mode="r", pivoting=True)
    except foreign.Unsolved:
        return np.arange(0)
    sizes = np.abs(np.diag(R))
    return np.asarray(order[:int((sizes > RANK * sizes.max(initial=0.0)).sum())])


def _regular(A: np.ndarray) -> bool:
    """Whether a matrix of whole numbers (d, d) is regular modulo a prime, and so at all."""
    A = np.array(A % PRIME, np.int64)
    for j in range(len(A)):
        nonzero = np.flatnonzero(A[j:, j])
        if not nonzero.size:
            return False
        A[[j, j + nonzero[0]]] = A[[j + nonzero[0], j]]
        row = A[j] * pow(int(A[j, j]), -1, PRIME) % PRIME
        A[j + 1:] = (A[j + 1:] - A[j + 1:, j:j + 1] * row % PRIME) % PRIME
    return True


class Whole(exact.Scaled):
    """Rows of whole numbers (N, k), none of them 0, of any size, as `exact.decide` takes them.

    ``floats`` are rounded; where they are not, they are ``faithful``.
    """

    def __init__(self, rows: np.ndarray) -> None:
        shared = np.array([gcd(*row) for row in rows.tolist()], object)
        self.whole = rows // shared[:, None]
        self.sizes = [1 << max(abs(v) for v in row).bit_length() for row in self.whole.tolist()]
        self.floats = np.array([[v / size for v in row] for row, size
                                in zip(self.whole.tolist(), self.sizes, strict=True)])
        self.Z, self.unit = self.floats, None
        self.columns, self.rows = np.zeros(rows.shape[1], int), np.zeros(len(rows), int)
        self.tops = np.abs(self.floats).max(axis=0)
        self.tops[self.tops == 0] = 1.0
        self.faithful = max(self.sizes, default=1) <= 2**53

    def integer(self, n: int) -> tuple[np.ndarray, int, int]:
        """The row in whole numbers, its size, a power of two, and 0."""
        return self.whole[n], self.sizes[n], 0


def numerators(x: np.ndarray) -> tuple[np.ndarray, int]:
    """Floats (k,) as whole numbers over one denominator."""
    parts = [v.as_integer_ratio() for v in x.tolist()]
    most = max((bottom for _, bottom in parts), default=1)
    return np.array([top * (most // bottom) for top, bottom in parts], object), most
