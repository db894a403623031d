"""Points of a lattice near a given one: how float64, a grid, is searched where rounding fails."""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

__all__ = ["nearby"]

Vector = list[int]
Number = int | Fraction


def nearby(basis: list[Vector], targets: list[Vector]) -> list[Vector]:
    """For each target whole coefficients of a lattice point near it: Babai's nearest planes."""
    size, width = len(basis), len(basis[0])
    # and what they are made of
    rows = [[*row, *(int(i == j) for j in range(size))] for i, row in enumerate(basis)]
    stars = _reduced(rows, width)
    found = []
    for target in targets:
        rest, made = [Fraction(v) for v in target], [0] * size
        # from the last plane to the first: each leaves less for the next to be wrong by
        for row, star in zip(reversed(rows), reversed(stars), strict=True):
            q = round(_share(rest, star))
            rest = [a - q * b for a, b in zip(rest, row[:width], strict=True)]
            made = [a + q * b for a, b in zip(made, row[width:], strict=True)]
        found.append(made)
    return found


def _reduced(rows: list[Vector], width: int) -> list[list[Fraction]]:
    """Reduce a basis in place (Lenstra, Lenstra, Lovász 1982), and return its Gram–Schmidt vectors.

    In whole numbers and fractions: for a few vectors only.
    """
    k, stars = 1, _orthogonal(rows, width)
    while k < len(rows):
        for j in reversed(range(k)):
            q = round(_share(rows[k], stars[j]))
            if q:
                rows[k] = [a - q * b for a, b in zip(rows[k], rows[j], strict=True)]
        mu = _share(rows[k], stars[k - 1])
        # ¾ is Lovász's: any number under one makes it end, larger ones reduce further
        enough = (Fraction(3, 4) - mu * mu) * _dot(stars[k - 1], stars[k - 1])
        if _dot(stars[k], stars[k]) >= enough:
            k += 1
        else:
            rows[k - 1], rows[k] = rows[k], rows[k - 1]
            stars = _orthogonal(rows, width)
            k = max(k - 1, 1)
    return stars


def _dot(a: Sequence[Number], b: Sequence[Number]) -> Fraction:
    return Fraction(sum(u * v for u, v in zip(a, b, strict=False)))


def _share(a: Sequence[Number], star: list[Fraction]) -> Fraction:
    return _dot(a, star) / _dot(star, star)


def _orthogonal(rows: list[Vector], width: int) -> list[list[Fraction]]:
    """Gram and Schmidt's vectors."""
    stars: list[list[Fraction]] = []
    for row in rows:
        star = [Fraction(v) for v in row[:width]]
        for other in stars:
            mu = _share(row, other)
            star = [a - mu * b for a, b in zip(star, other, strict=True)]
        stars.append(star)
    return stars
