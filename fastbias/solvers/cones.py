"""The cone C = {u : ⟨u, z_n⟩ ≥ 0 for all n} of rows z: its strict rows, the span of the others, and
the signs of coefficients over it, each with its certificate.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from time import process_time

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length
from fastbias.data.rows import ClassRows, Rows
from fastbias.solvers import exact
from fastbias.solvers.quotients import Span, Whole, integers, numerators
from fastbias.solvers.strict_rows import NOTHING, Division, conic, divided, positive

__all__ = ["Cone", "across", "cone", "distinct", "reduced", "signs"]

EPS = float(np.finfo(float).eps)
# lengths next to one that are tried until rounding leaves margins over 0
MULTIPLES, TRIES, WIDE = 40, 1000, 1e-12
MORE = 3              # rows for each feature that combine to what few do …
DEPTHS = (1e-2, 1e-4, 1e-6)     # … and the weights of their mean that are tried
QUICK = 5e4           # products of numbers in a combination that is looked for in whole numbers
PATIENCE = 60.0       # seconds for signs over one cone, or pair of classes


@dataclass(frozen=True, eq=False)
class Cone:
    """The cone C of rows z (M, D), and its certificates.

    Parameters
    ----------
    strict : (M,) of bool
        Whether some u ∈ C has ⟨u, z⟩ > 0.
    direction : (D,), or None where no row is strict
        A u ∈ C of ℓ2 length one, positive on all strict rows: ``whole`` rounded.
    dual : (M,)
        λ with Σ λ z = 0, over 0 on all rows that are not strict, Σλ = 1, and 0 on the others: up to
        the rounding of λ; all 0 where every row is strict.
    basis : (D, r)
        Orthonormal columns that span S, the span of the rows that are not strict.
    proved : bool
        Whether all this was proved without rounding.
    reason : str
        Why not, where not.
    whole : (D,) of int, or None
        A multiple of a u ∈ C in whole numbers: its margins are exactly 0 on rows that are not
        strict and over 0 on the others.
    """

    strict: np.ndarray
    direction: np.ndarray | None
    dual: np.ndarray
    basis: np.ndarray
    proved: bool
    reason: str = ""
    whole: np.ndarray | None = None
    division: Division | None = field(default=None, repr=False)
    # (M,): which row of `Division.modulo` a strict row is
    place: np.ndarray | None = field(default=None, repr=False)

    @property
    def pivots(self) -> list[int]:
        """Columns of `reduced` rows that are independent on S."""
        return [] if self.division is None else self.division.span.pivots


def cone(rows: Rows | np.ndarray) -> Cone:
    """The strict rows of z (M, D) and the span of the others, with certificates.

    Examples
    --------
    >>> import numpy as np
    >>> found = cone(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    >>> found.strict.tolist(), found.direction.tolist(), abs(found.basis).ravel().tolist()
    ([True, False, False], [1.0, 0.0], [0.0, 1.0])
    """
    data = Rows.of(rows)
    Z = reduced(data)
    first, place = distinct(Z)
    counts, some = np.bincount(place), Z[first].any(axis=1)
    strict, lam = np.zeros(first.size, bool), np.ones(first.size)
    if not some.any():
        return Cone(strict[place], None, lam[place] / len(Z), np.zeros((data.size, 0)), True)
    found = divided(exact.Scaled(Z[first[some]]))
    strict[some], lam[some] = found.strict, found.lam
    # (a row of zeros takes no part in the sum)
    lam[~some] = lam[some].max() or 1.0
    dual = (lam / counts)[place]
    total, among = float(dual.sum()), (np.cumsum(strict) - 1)[place]
    strict = strict[place]
    whole, direction = _direction(found, data, strict)
    return Cone(strict, direction, dual / total if total else dual, _basis(found, data),
                not found.doubt, found.doubt, whole, found, among)


def across(found: Cone, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A basis N (D, k) of what is orthogonal to S, and of the strict rows z of all Z (M, D) the
    products Nᵀz (M', k), which keep their digits however near to S a row is; None where nothing was
    proved, or S is {0}. (Not of classes, whose rows are `reduced`.)
    """
    division, place = found.division, found.place
    if not found.proved or place is None or division is None or not division.span.rank \
            or not isinstance(division.modulo, Whole):
        return None
    span, c, floats = division.span, division.rows.columns, division.modulo.floats
    # in the units of the features as they were given
    R = [[Fraction(int(v), span.det) * Fraction(2) ** int(c[f] - c[p])
          for f, v in zip(span.free, row, strict=True)]
         for p, row in zip(span.pivots, span.top, strict=True)]
    N = np.zeros((Z.shape[1], len(span.free)))
    N[span.free] = np.eye(len(span.free))
    N[span.pivots] = [[-float(v) for v in row] for row in R]
    rows = np.flatnonzero(found.strict)
    products = np.empty((rows.size, len(span.free)))
    for n, row in zip(rows.tolist(), products, strict=True):
        # one entry without rounding, and what the others are beside it
        known = floats[place[n]]
        at = int(np.argmax(np.abs(known)))
        exactly = Fraction(Z[n, span.free[at]]) - sum(
            (Fraction(Z[n, p]) * line[at] for p, line in zip(span.pivots, R, strict=True)),
            Fraction())
        row[:] = np.ldexp(known / known[at], c[span.free] - c[span.free[at]]) * float(exactly)
    return N, products


def distinct(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which rows (k,) stand for all, and for each row (M,) which of these is equal to it.

    Equal rows have equal sums, but for rounding, and are found side by side: some may be missed.
    """
    with np.errstate(all="ignore"):
        order = np.argsort(Z @ np.random.default_rng(0).random(Z.shape[1]), kind="stable")
    new = np.ones(len(Z), bool)
    new[1:] = (Z[order[1:]] != Z[order[:-1]]).any(axis=1)
    place = np.empty(len(Z), int)
    place[order] = np.cumsum(new) - 1
    return order[new], place


def reduced(rows: Rows) -> np.ndarray:
    """The rows (M, D), dense; of classes without the weights of the first: all may share them."""
    shared = _shared(rows)
    return rows.dense() if shared is None else rows.dense()[:, shared.features:]


def _shared(rows: Rows) -> ClassRows | None:
    """The rows, if they are of classes, whose weights may all have the same more."""
    return rows if isinstance(rows, ClassRows) and not rows.free else None


def _whole_again(u: np.ndarray, rows: Rows) -> np.ndarray:
    """A u for `reduced` rows as one for the rows: of classes, with the sum 0 over them."""
    shared = _shared(rows)
    if shared is None:
        return u
    W = np.vstack([np.zeros((1, shared.features), u.dtype), u.reshape(shared.K - 1, -1)])
    return np.asarray((W * shared.K - W.sum(axis=0)).ravel())


def _basis(found: Division, rows: Rows) -> np.ndarray:
    """Orthonormal columns that span S."""
    span, columns = found.span, found.rows.columns
    if not span.rank:
        return np.zeros((rows.size, 0))
    shared = _shared(rows)
    if not span.free and shared is None:
        return np.eye(rows.size)
    B = span.basis(columns)
    if shared is not None:
        B = np.hstack([-B.reshape(len(B), shared.K - 1, -1).sum(axis=1), B])
    return np.asarray(foreign.ask("a basis of the span of samples that overlap", "numpy.linalg.qr",
                                  B.T)[0])


def _direction(found: Division, rows: Rows,
               strict: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The u ∈ C in whole numbers, and rounded, of length one."""
    if found.t is None:
        return None, None
    u, columns = found.span.lifted(found.t), found.rows.columns
    u = u * np.array([1 << int(columns.max() - c) for c in columns], object)
    u = _whole_again(u // gcd(*u), rows)
    over = exact.Scaled(rows.take(np.flatnonzero(strict)))
    # (none may do, where margins are smaller than rounding)
    nearest = next(_multiples(u))
    return u, next((near for near in _multiples(u) if over.least(near) > 0), nearest)


def _multiples(u: np.ndarray) -> Iterator[np.ndarray]:
    """Multiples of a u of whole numbers of a length next to one, each rounded in its own way."""
    largest = max(map(abs, u))
    size = length(np.array([v / largest for v in u]))
    tries = np.random.default_rng(0).random(TRIES) * WIDE
    for by in (0.0, *(EPS * np.arange(1, MULTIPLES)), *tries):
        factor = Fraction((1.0 + by) / size)
        yield np.array([v * factor.numerator / (largest * factor.denominator) for v in u])


def signs(found: Division | None, G: np.ndarray,
          first: np.ndarray | None = None) -> tuple[list[str], str]:
    """What each of ⟨u, g⟩, for rows g (J, d) of floats in the units of `reduced` rows, is over C,
    and what could not be proved of it.

    "finite" where it is 0 for every u ∈ C, which is where g ∈ S; "+inf" or "-inf" where it keeps
    that sign but is not always 0; "undetermined" where it has both signs. By Farkas' lemma it is
    never under 0 where g is Σ μ z, with μ ≥ 0 on strict rows and any μ on the others. Rows that
    are likely to do, a mask (N,) of those of ``found``, are tried ``first``.
    """
    if found is None:
        return ["undetermined" if g.any() else "finite" for g in G], ""
    columns = found.rows.columns
    powers = np.array([1 << int(columns.max() - c) for c in columns], object)
    over = _Over(found, first)
    return [over.sign(numerators(g)[0] * powers) for g in G], over.doubt


class _Over:
    """The cone of a division, and some u inside it: with all strict rows over 0."""

    def __init__(self, found: Division, first: np.ndarray | None) -> None:
        self.span, self.rows, self.doubt = found.span, found.modulo, ""
        self.inside = [] if found.t is None else [found.t]
        self.near: list[np.ndarray] = []                   # the same, rounded
        self.until = process_time() + PATIENCE
        if found.modulo is not None:
            self.even = found.modulo.floats / found.modulo.tops
            self.lengths = np.linalg.norm(self.even, axis=1)
            self.even /= self.lengths[:, None]
            every = np.arange(len(self.even))
            chosen = every if first is None else np.flatnonzero(first[found.strict])
            self.parts = [part for part in (chosen, every) if part.size]

    def sign(self, g: np.ndarray) -> str:
        """What ⟨u, g⟩ is over the cone, for whole numbers g."""
        g = self.span.quotient(g[None])[0]
        if not g.any():
            return "finite"
        # where no row is strict C is a linear space
        if not self.inside:
            return "undetermined"
        g = g // gcd(*g)
        at = int(g @ self.inside[0])
        if at == 0 or self._known(g if at > 0 else -g):
            return "undetermined"
        if process_time() > self.until:
            self.doubt = "signs that would take too long are left undetermined"
            return "undetermined"
        try:
            other = self._crossing(g if at > 0 else -g)
        except ArithmeticError as doubt:
            self.doubt = str(doubt)
            return "undetermined"
        if other is None:
            return "+inf" if at > 0 else "-inf"
        self.inside.append(other)
        return "undetermined"

    def _known(self, g: np.ndarray) -> bool:
        """Whether some u that was found inside has ⟨u, g⟩ ≤ 0."""
        while len(self.near) < len(self.inside):
            self.near.append(_rounded(self.inside[len(self.near)]))
        least = int(np.argmin(np.array(self.near) @ _rounded(g)))
        return int(g @ self.inside[least]) <= 0

    def _crossing(self, g: np.ndarray) -> np.ndarray | None:
        """Some u inside, in whole numbers, with ⟨u, g⟩ < 0, though the first has it over 0."""
        rows = self.rows
        assert rows is not None
        goal = _rounded(g) / rows.tops
        goal = goal / length(goal)
        for part in self.parts:
            mu, left = conic(self.even[part], goal)
            some = part[np.flatnonzero(mu)]
            if length(left) <= NOTHING and (self._balanced(g, some, mu[mu > 0])
                                            or self._balanced(g, *self._spread(goal, part, mu))
                                            or self._combined(g, some)):
                return None
        u = self._between(g, left)
        if u is not None:
            return u
        # what a few rows show is shown, but for the other answer it takes all
        found = None
        for which in (some, part) if some.size else (part,):
            found, _, _ = exact.decide(Whole(np.vstack([integers(rows, which), -g])),
                                       np.arange(which.size, -1, -1))
            if found is None:
                return None
        return found

    def _spread(self, goal: np.ndarray, part: np.ndarray,
                mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows, more of them than features where that can be, as bounds on rounding want it, and
        weights > 0 with which they combine to the goal.
        """
        some = np.flatnonzero(mu)
        draw = np.random.default_rng(0).choice(part.size, min(part.size, MORE * goal.size),
                                               replace=False)
        many = np.union1d(some, draw)
        rows = self.even[part[many]]
        for depth in DEPTHS:
            more, left = conic(rows, goal - depth * rows.mean(axis=0))
            if length(left) <= NOTHING:
                return part[many], more + depth / many.size
        return part[some], mu[some]

    def _balanced(self, g: np.ndarray, some: np.ndarray, mu: np.ndarray) -> bool:
        """Whether bounds on rounding prove that g is Σ μ z of these rows, weights > 0 near μ."""
        rows, largest = self.rows, max(map(abs, g))
        assert rows is not None
        if not rows.faithful or largest >= 2**53:
            return False
        goal = np.array([v / (1 << largest.bit_length()) for v in g])
        weights = np.append(mu / self.lengths[some], 1.0 / length(goal / rows.tops))
        return exact.surrounded(np.vstack([rows.floats[some], -goal]), weights) is not None

    def _combined(self, g: np.ndarray, some: np.ndarray) -> bool:
        """Whether g is Σ μ z, μ ≥ 0, of rows that do not depend on each other: without rounding,
        or where that is too large in doubt.
        """
        rows, span = self.rows, Span(len(g), tracked=True)
        if some.size ** 2 * len(g) > QUICK:
            self.doubt = "signs of some coefficients are too large a question for exact arithmetic"
            return True
        assert rows is not None
        for n, z in zip(some.tolist(), integers(rows, some), strict=True):
            span.add(n, z, rows.columns)
        return not span.quotient(g[None]).any() and min(span.combination(g)) >= 0

    def _between(self, g: np.ndarray, left: np.ndarray) -> np.ndarray | None:
        """A u between the first one inside and what least squares left, if it is inside."""
        rows, t = self.rows, self.inside[0]
        assert rows is not None
        if length(left) <= NOTHING:
            return None
        step, most = left / rows.tops, max(map(abs, t))
        tops, bottom = numerators(step)
        # half of what would take it to ⟨u, g⟩ = 0
        share = float(Fraction(int(tops @ g) * most, 2 * bottom * int(t @ g)))
        u = share * _rounded(t) - step
        whole = numerators(u)[0]
        return whole if int(whole @ g) < 0 and positive(rows, u) else None


def _rounded(u: np.ndarray) -> np.ndarray:
    """Whole numbers over the largest of them."""
    largest = max(map(abs, u))
    return np.array([v / largest for v in u])
