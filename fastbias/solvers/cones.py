"""The cone C = {u : ⟨u, z_n⟩ ≥ 0 for all n} of rows z: its strict rows, the span of the others, and
the signs of coefficients over it, each with its certificate.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length
from fastbias.data.rows import ClassRows, Rows
from fastbias.solvers import exact
from fastbias.solvers.quotients import Whole, integers, numerators
from fastbias.solvers.strict_rows import NOTHING, Division, conic, divided, positive

__all__ = ["Cone", "cone", "reduced", "signs"]

EPS = float(np.finfo(float).eps)
# lengths next to one that are tried until rounding leaves margins over 0
MULTIPLES, TRIES, WIDE = 40, 1000, 1e-12


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
    >>> found.strict.tolist(), found.direction.tolist(), found.basis.ravel().tolist()
    ([True, False, False], [1.0, 0.0], [0.0, 1.0])
    """
    data = Rows.of(rows)
    Z = reduced(data)
    distinct, place, counts = np.unique(Z, axis=0, return_inverse=True, return_counts=True)
    place = place.ravel()
    some = distinct.any(axis=1)
    strict, lam = np.zeros(len(distinct), bool), np.ones(len(distinct))
    if not some.any():
        return Cone(strict[place], None, lam[place] / len(Z), np.zeros((data.size, 0)), True)
    found = divided(exact.Scaled(distinct[some]))
    strict[some], lam[some] = found.strict, found.lam
    # (a row of zeros takes no part in the sum)
    lam[~some] = lam[some].max() or 1.0
    dual = (lam / counts)[place]
    total = float(dual.sum())
    strict = strict[place]
    whole, direction = _direction(found, data, strict)
    return Cone(strict, direction, dual / total if total else dual, _basis(found, data),
                not found.doubt, found.doubt, whole, found)


def reduced(rows: Rows) -> np.ndarray:
    """The rows (M, D), dense; of classes without the weights of the first: all may share them."""
    if isinstance(rows, ClassRows):
        return rows.dense()[:, rows.features:]
    return rows.dense()


def _whole_again(u: np.ndarray, rows: Rows) -> np.ndarray:
    """A u for `reduced` rows as one for the rows: of classes, with the sum 0 over them."""
    if not isinstance(rows, ClassRows):
        return u
    W = np.vstack([np.zeros((1, rows.features), u.dtype), u.reshape(rows.K - 1, -1)])
    return np.asarray((W * rows.K - W.sum(axis=0)).ravel())


def _basis(found: Division, rows: Rows) -> np.ndarray:
    """Orthonormal columns that span S."""
    span, columns = found.span, found.rows.columns
    if not span.rank:
        return np.zeros((rows.size, 0))
    if not span.free and not isinstance(rows, ClassRows):
        return np.eye(rows.size)
    B = span.basis(columns)
    if isinstance(rows, ClassRows):
        B = np.hstack([-B.reshape(len(B), rows.K - 1, -1).sum(axis=1), B])
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


def signs(found: Division | None, G: np.ndarray) -> list[str]:
    """What each of ⟨u, g⟩, for rows g (J, d) of floats in the units of `reduced` rows, is over C.

    "finite" where it is 0 for every u ∈ C, which is where g ∈ S; "+inf" or "-inf" where it keeps
    that sign but is not always 0; "undetermined" where it has both signs. By Farkas' lemma it is
    never under 0 where g is Σ μ z, with μ ≥ 0 on strict rows and any μ on the others.
    """
    if found is None:
        return ["undetermined" if g.any() else "finite" for g in G]
    columns = found.rows.columns
    powers = np.array([1 << int(columns.max() - c) for c in columns], object)
    return [_sign(found, numerators(g)[0] * powers) for g in G]


def _sign(found: Division, g: np.ndarray) -> str:
    rest = found.span.quotient(g[None])[0]
    if not rest.any():
        return "finite"
    # where no row is strict C is a linear space
    if found.modulo is None or found.t is None:
        return "undetermined"
    at = int(rest @ found.t)
    if at == 0 or _crosses(found.modulo, rest if at > 0 else -rest, found.t):
        return "undetermined"
    return "+inf" if at > 0 else "-inf"


def _crosses(rows: exact.Scaled, g: np.ndarray, t: np.ndarray) -> bool:
    """Whether some u with ⟨u, z⟩ ≥ 0 for all rows has ⟨u, g⟩ < 0, though t has all over 0."""
    g = g // gcd(*g)
    largest = max(map(abs, g))
    goal = np.array([v / largest for v in g]) / rows.tops
    size, even = length(goal), rows.floats / rows.tops
    lengths = np.linalg.norm(even, axis=1)
    mu, left = conic(even / lengths[:, None], goal / size)
    if length(left) > NOTHING:
        # between t and what is left there are some with all rows over 0
        most = max(map(abs, t))
        part = 0.5 * float(left @ left) * size / (int(g @ t) / (most * largest))
        u = np.array([part * (v / most) for v in t]) - left / rows.tops
        if int(numerators(u)[0] @ g) < 0 and positive(rows, u):
            return True
    some = np.flatnonzero(mu)
    if rows.faithful and largest < 2**53:
        opposite = np.vstack([rows.floats[some], -goal * rows.tops])
        weights = np.append(mu[some] / lengths[some], 1.0 / size)
        if exact.surrounded(opposite, weights) is not None:
            return False
    # what a few rows show is shown, but for the other answer it takes all
    every = np.arange(len(rows.floats))
    for which in (some, every) if some.size else (every,):
        found, _, _ = exact.decide(Whole(np.vstack([integers(rows, which), -g])),
                                   np.arange(which.size, -1, -1))
        if found is None:
            return False
    return True
