"""Spans of rows, and rows modulo a span, in whole numbers: linear algebra without rounding.

A span S of R^d is kept in reduced echelon form: some columns, its pivots, are free coordinates of
S, and the others are those times a matrix of fractions with one denominator. It grows by one row at
a time, and every division is without remainder (Edmonds 1967, Bareiss 1968).
"""
from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

import numpy as np

from fastbias.checks import foreign
from fastbias.solvers import exact

__all__ = ["Span", "Whole", "integers", "numerators", "primitive", "spanned"]

PRIME = 2**31 - 1     # rows that are independent modulo a prime are independent
SAMPLED = 8           # rows for each feature among which independent ones are looked for first
RANK = 1e-9           # relative sizes of what QR leaves of rows that are taken as dependent
BITS = 40             # of a span in floats: what is smaller is rounding
EXACT = 4e6           # numbers of rows up to which they are taken as whole numbers
SIMPLE = 1000         # denominators of columns that are made of others, tried first
LARGE = 2             # entries of a basis up to which its columns stay as they are
LIMIT = 2e8           # multiplications of 64-bit numbers in one span: some ten seconds


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

    def basis(self, powers: np.ndarray) -> np.ndarray:
        """A basis of the span (r, d), rounded once, for columns in units of 2^powers: none of its
        entries is far over one, so that it is far from dependent.
        """
        pivots, free = list(self.pivots), list(self.free)
        R = [[Fraction(int(v), self.det) * Fraction(2) ** int(powers[f] - powers[p])
              for f, v in zip(free, row, strict=True)]
             for p, row in zip(pivots, self.top, strict=True)]
        while True:
            size, i, j = max(((abs(v), i, j) for i, row in enumerate(R)
                              for j, v in enumerate(row)), default=(Fraction(0), 0, 0))
            if size <= LARGE:
                break
            # the two columns change places, which makes the determinant of the pivots larger
            pivot = [(Fraction(1) if k == j else v) / R[i][j] for k, v in enumerate(R[i])]
            R = [pivot if m == i else [(Fraction(0) if k == j else v) - row[j] * w
                                       for k, (v, w) in enumerate(zip(row, pivot, strict=True))]
                 for m, row in enumerate(R)]
            pivots[i], free[j] = free[j], pivots[i]
        found = np.zeros((self.rank, len(pivots) + len(free)))
        found[:, pivots] = np.eye(self.rank)
        found[:, free] = np.array([[float(v) for v in row] for row in R]).reshape(self.rank, -1)
        return found

    @classmethod
    def all(cls, size: int) -> Span:
        """The whole space."""
        return cls.of(list(range(size)), [], [[] for _ in range(size)])

    @classmethod
    def of(cls, pivots: list[int], free: list[int], R: list[list[Fraction]]) -> Span:
        """The span that is known already, which then grows no more."""
        span = cls(len(pivots) + len(free))
        span.pivots, span.free = pivots, free
        span.det = lcm(*(v.denominator for row in R for v in row))
        span.top = np.array([[int(v * span.det) for v in row] for row in R],
                            object).reshape(len(pivots), len(free))
        return span

    @classmethod
    def rough(cls, S: np.ndarray) -> Span:
        """The span of rows of floats, of which rounding may hide some and invent others."""
        pivots, free, R = _echelon(S)
        return cls.of(pivots, free, [[Fraction(round(v * 2**BITS), 2**BITS) for v in row]
                                     for row in R.tolist()])


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
    A = integers(rows, likely)
    if likely.size == size and _regular(A):
        return Span.all(size)
    every = integers(rows, which)
    simple = _simple(rows, which, every, A)
    if simple is not None:
        return simple
    for n, z in zip(likely.tolist(), A, strict=True):
        span.add(n, z, rows.columns)
    A = every
    while True:
        outside = np.flatnonzero(span.quotient(A).any(axis=1))
        if not outside.size:
            return span
        span.add(int(which[outside[0]]), A[outside[0]], rows.columns)


def primitive(rows: exact.Scaled, n: int) -> tuple[np.ndarray, Fraction]:
    """A row, in the units of all, as whole numbers (d,) without a common factor, and what it was
    multiplied by.
    """
    z, _, power = rows.integer(n)
    shared = gcd(*z)
    return z // shared, Fraction(2) ** power / shared


def integers(rows: exact.Scaled, which: np.ndarray) -> np.ndarray:
    """Rows as whole numbers, each without a common factor."""
    features = rows.floats.shape[1]
    if which.size * features > EXACT:
        raise ArithmeticError(f"{which.size} samples of {features} features are too many numbers "
                              "for exact arithmetic")
    return np.array([primitive(rows, n)[0] for n in which.tolist()], object).reshape(-1, features)


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


def _echelon(S: np.ndarray) -> tuple[list[int], list[int], np.ndarray]:
    """Independent columns of rows of floats, others, and R (r, d − r) by which these are made."""
    triangle, order = foreign.ask("the span of samples", "scipy.linalg.qr",
                                  S / np.linalg.norm(S, axis=1)[:, None], mode="r", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    r = int((sizes > RANK * sizes.max(initial=0.0)).sum())
    R = foreign.ask("the span of samples", "scipy.linalg.solve_triangular", triangle[:r, :r],
                    triangle[:r, r:])
    return order[:r].tolist(), order[r:].tolist(), R


def _simple(rows: exact.Scaled, which: np.ndarray, every: np.ndarray,
            likely: np.ndarray) -> Span | None:
    """The span where columns are small fractions of others, copies or sums, say: guessed, and
    proved on all rows.
    """
    try:
        pivots, free, R = _echelon(rows.floats[which])
    except foreign.Unsolved:
        return None
    # in the units of the features, where fractions are small
    powers = np.subtract.outer(rows.columns[pivots], rows.columns[free])
    plain = np.ldexp(R, -powers)
    if len(likely) != len(pivots) or not np.isfinite(plain).all():
        return None
    parts = [[Fraction(v).limit_denominator(SIMPLE) for v in row] for row in plain.tolist()]
    span = Span.of(pivots, free, [[v * Fraction(2) ** power for v, power
                                   in zip(row, line, strict=True)]
                                  for row, line in zip(parts, powers.tolist(), strict=True)])
    if span.quotient(every).any() or not _regular(likely[:, pivots]):
        return None
    return span


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
