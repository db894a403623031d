"""Linear algebra over the rationals, for proofs: small, plain, exact."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

__all__ = ["Matrix", "Vector", "dot", "numbers", "product", "projected", "read", "rounded", "solve",
           "written"]

Vector = list[Fraction]
Matrix = list[Vector]

FINE = 2 ** 44        # the denominator that measured numbers are rounded to


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    """⟨a, b⟩."""
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def product(A: Matrix, x: Sequence[Fraction]) -> Vector:
    """A x."""
    return [dot(row, x) for row in A]


def numbers(values: Iterable[float]) -> Vector:
    """Floats as the binary fractions that they are."""
    return [Fraction(float(x)) for x in values]


def rounded(values: Iterable[float]) -> Vector:
    """Floats to the nearest multiple of 2⁻⁴⁴, so that what is made of them stays short."""
    return [Fraction(round(Fraction(float(x)) * FINE), FINE) for x in values]


def solve(A: Matrix, b: Sequence[Fraction]) -> Vector | None:
    """A solution of A x = b by elimination, with 0 where x is free; None where there is none."""
    size = len(A[0]) if A else 0
    rows, pivots = _eliminated([[*row, right] for row, right in zip(A, b, strict=True)], size)
    # what is left over reads 0 = something
    if any(row[-1] for row in rows[len(pivots):]):
        return None
    x = [Fraction(0)] * size
    for i, column in enumerate(pivots):
        x[column] = rows[i][-1]
    return x


def _eliminated(rows: Matrix, size: int) -> tuple[Matrix, list[int]]:
    """The reduced rows, and the columns of their ones."""
    pivots: list[int] = []
    for column in range(size):
        top = len(pivots)
        at = next((i for i in range(top, len(rows)) if rows[i][column]), None)
        if at is None:
            continue
        rows[top], rows[at] = rows[at], rows[top]
        lead = rows[top][column]
        rows[top] = [x / lead for x in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[column]:
                factor = row[column]
                rows[i] = [x - factor * y for x, y in zip(row, rows[top], strict=True)]
        pivots.append(column)
    return rows, pivots


def projected(point: Sequence[Fraction], A: Matrix, b: Sequence[Fraction]) -> Vector | None:
    """The point of {x : A x = b} that is nearest in ℓ2; None where there is none."""
    if not A:
        return list(point)
    gram = [[dot(row, other) for other in A] for row in A]
    off = [right - dot(row, point) for row, right in zip(A, b, strict=True)]
    nu = solve(gram, off)
    if nu is None:
        return None
    return [x + sum((n * row[j] for n, row in zip(nu, A, strict=True)), Fraction(0))
            for j, x in enumerate(point)]


def written(values: Iterable[Fraction]) -> list[str]:
    """Fractions as strings, for JSON."""
    return [str(x) for x in values]


def read(values: Iterable[str]) -> Vector:
    """Strings as fractions."""
    return [Fraction(x) for x in values]

