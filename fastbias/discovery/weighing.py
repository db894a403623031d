"""Adam of single samples weighs its own support vectors, and may settle on weights in two ways.

Its direction is a w with M(c) w = Σ c_n z_n, M(c) = diag √(Σ c_n² z_n²), c ≥ 0, Σc = 1, and margins
that are s on the support of c and no less elsewhere: the maximum margin in √(wᵀM(c)w), c its own
multipliers (Baek, Song, Yun 2025). On a support S these are |S| + 1 equations for (c, s), and
Krawczyk's operator maps a box into itself where there is one solution in it.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from fastbias.discovery.checking import demand
from fastbias.discovery.intervals import Interval, total
from fastbias.discovery.rational import Matrix, Vector, solve

__all__ = ["KIND", "check", "draw", "prove", "smaller", "violation"]

KIND = "per-sample Adam has two fixed points"
SHAPE = 3, 3
ENTRIES = 3
TRIALS = 2000
GRID = np.linspace(0.0, 1.0, 41)
LEAST = 1e-2          # between directions
BITS = 200
RADIUS = Fraction(1, 10 ** 9)
Problem = np.ndarray
"""y_n x_n, (N, d)."""


def draw(rng: np.random.Generator) -> Problem:
    """The first of some thousand that has two."""
    for _ in range(TRIALS):
        Z = rng.integers(-ENTRIES, ENTRIES + 1, SHAPE).astype(float)
        if violation(Z) > 0:
            break
    return Z


def _fixed(Z: Problem) -> list[tuple[np.ndarray, np.ndarray]]:
    """(c, w) of the fixed points with two support vectors that stand alone."""
    found = []
    for some in combinations(range(len(Z)), 2):
        z = Z[list(some)]
        # the margins of both are equal where this changes its sign
        with np.errstate(all="ignore"):
            value = _balance(z, GRID)
            for k in np.flatnonzero(value[:-1] * value[1:] < 0):
                low, high, sign = GRID[k], GRID[k + 1], np.sign(value[k])
                for _ in range(60):
                    middle = (low + high) / 2
                    low, high = (middle, high) if _balance(z, middle) * sign > 0 else (low, middle)
                c = np.zeros(len(Z))
                c[list(some)] = low, 1 - low
                w = _direction(Z, c)
                margins = Z @ w
                s = margins[some[0]]
                others = np.delete(margins, some)
                if np.isfinite(w).all() and s > 1e-6 and (others > s * (1 + 1e-6)).all():
                    found.append((c, w))
    return found


def _direction(Z: Problem, c: np.ndarray) -> np.ndarray:
    return np.asarray((c @ Z) / np.sqrt((c * c) @ (Z * Z)))


def _balance(z: np.ndarray, a: np.ndarray) -> np.ndarray:
    """⟨z₁ − z₂, w⟩ for the weights (a, 1 − a)."""
    return _direction(z, np.stack([a, 1 - a], axis=-1)) @ (z[0] - z[1])


def _apart(found: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, int, int]:
    """The largest distance of two directions, and whose it is."""
    units = [w / np.linalg.norm(w) for _, w in found]
    pairs = [(float(np.linalg.norm(units[i] - units[j])), i, j)
             for i, j in combinations(range(len(units)), 2)]
    return max(pairs, default=(0.0, 0, 0))


def violation(problem: Problem) -> float:
    """How far apart the directions of two fixed points are, at most."""
    if min(problem.shape) < 2:
        return 0.0
    apart = _apart(_fixed(problem))[0]
    return apart if apart > LEAST else 0.0


def smaller(problem: Problem) -> Iterator[Problem]:
    """A row or a column less, an entry nearer to 0."""
    for axis in (0, 1):
        for k in range(problem.shape[axis]):
            yield np.delete(problem, k, axis=axis)
    for i in np.ndindex(problem.shape):
        x = float(problem[i])
        for value in (0.0, x - np.sign(x), abs(x)):
            if abs(value) < abs(x) or value > x:
                Z = problem.copy()
                Z[i] = value
                yield Z


def prove(problem: Problem) -> dict[str, Any] | None:
    """Both fixed points, to be enclosed."""
    found = _fixed(problem)
    apart, *ends = _apart(found)
    if apart < LEAST:
        return None
    return {"kind": KIND, "Z": [[int(x) for x in row] for row in problem],
            "radius": str(RADIUS),
            "weights": [[str(Fraction(float(x)).limit_denominator(10 ** 15))
                         for x in found[k][0]] for k in ends]}


def check(document: Mapping[str, Any]) -> None:
    """A box about each, by Krawczyk's operator, and directions that differ."""
    Z = [[Fraction(x) for x in row] for row in document["Z"]]
    radius, d = Fraction(document["radius"]), len(Z[0])
    demand(radius > 0 and all(len(row) == d for row in Z), "the data are a matrix")
    ends = [_enclosed(Z, [Fraction(x) for x in c], radius) for c in document["weights"]]
    demand(len(ends) == 2, "there are two fixed points")
    a, b = ends
    demand(any((a[i] * b[j]).apart(a[j] * b[i]) for i in range(d) for j in range(i)),
           "the directions differ")


def _enclosed(Z: Matrix, c: list[Fraction], radius: Fraction) -> list[Interval]:
    """The w of the one fixed point near c."""
    demand(len(c) == len(Z) and min(c) >= 0, "there is a weight a sample, none negative")
    z = [row for row, x in zip(Z, c, strict=True) if x]
    # (else multipliers were left open)
    demand(bool(z) and any(z[0]) and all(
        solve([list(column) for column in zip(*z[:n], strict=True)], z[n]) is None
        for n in range(1, len(z))), "the support vectors are independent")
    box = _boxed(z, [Interval.of(x, BITS) for x in c if x], radius)
    demand(all(v.low > 0 for v in box), "weights and margin are positive")
    w = _at(z, box[:-1])[0]
    others = [row for row, x in zip(Z, c, strict=True) if not x]
    demand(all(box[-1] < _dot(w, row) for row in others), "other samples are farther away")
    return w


def _boxed(z: Matrix, c: list[Interval], radius: Fraction) -> list[Interval]:
    """A box about (c, s) with one solution in it: m − Y F(m) + (I − Y J)(x − m) is inside."""
    point = [Interval.of(v.middle, BITS) for v in [*c, _dot(_at(z, c)[0], z[0])]]
    box = [v.around(radius) for v in point]
    inverse = _inverse(_slopes(z, point))
    there, slopes = _equations(z, point), _slopes(z, box)
    moves = [b - p for b, p in zip(box, point, strict=True)]
    for i, row in enumerate(inverse):
        left = [-_dot(list(column), row) for column in zip(*slopes, strict=True)]
        left[i] = left[i] + 1
        value = point[i] - _dot(there, row) + total(
            [share * move for share, move in zip(left, moves, strict=True)])
        demand(value.inside(box[i]), "Krawczyk's operator maps the box into itself")
    return box


def _dot(v: list[Interval], row: Vector) -> Interval:
    """⟨v, row⟩."""
    return total([x * y for x, y in zip(v, row, strict=True)])


def _at(z: Matrix, c: list[Interval]) -> tuple[list[Interval], list[Interval], list[Interval]]:
    """w = a/M, a = Σ c z and M = √(Σ c² z²)."""
    columns = [list(column) for column in zip(*z, strict=True)]
    a = [_dot(c, column) for column in columns]
    M = [_dot([v * v for v in c], [x * x for x in column]).sqrt() for column in columns]
    demand(all(m.low > 0 for m in M), "each feature is seen by a support vector")
    return [x / m for x, m in zip(a, M, strict=True)], a, M


def _equations(z: Matrix, x: list[Interval]) -> list[Interval]:
    """Margins less s, and Σc − 1."""
    w = _at(z, x[:-1])[0]
    return [*(_dot(w, row) - x[-1] for row in z), total(x[:-1]) - 1]


def _slopes(z: Matrix, x: list[Interval]) -> list[list[Interval]]:
    """Their derivatives: ∂w_j/∂c_n = z_nj/M_j − a_j c_n z_nj²/M_j³."""
    c = x[:-1]
    _, a, M = _at(z, c)
    zero, one = Interval.of(0, BITS), Interval.of(1, BITS)
    moved = [[one * row[j] / m - a[j] * v * row[j] ** 2 / (m * m * m)
              for j, m in enumerate(M)] for v, row in zip(c, z, strict=True)]
    rows = [[*(_dot(move, row) for move in moved), -one] for row in z]
    return [*rows, [one] * len(z) + [zero]]


def _inverse(A: list[list[Interval]]) -> Matrix:
    """That of the middles, nearly."""
    near = np.linalg.inv([[float(v.middle) for v in row] for row in A])
    return [[Fraction(float(x)) for x in row] for row in near]
