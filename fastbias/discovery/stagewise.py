"""Stagewise steps do not always end at the least ℓ1 norm: their path, exactly."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.discovery.checking import demand
from fastbias.discovery.rational import Matrix, Vector, dot, numbers, product, read, solve, written

__all__ = ["KIND", "check", "draw", "prove", "smaller", "violation"]

KIND = "stagewise steps end above the least l1 norm"
PIECES = 40           # of a path
SHAPE = 2, 3
ENTRIES = 3
Problem = tuple[np.ndarray, np.ndarray]


def draw(rng: np.random.Generator) -> Problem:
    """Small integers X, y."""
    return (rng.integers(-ENTRIES, ENTRIES + 1, SHAPE).astype(float),
            rng.integers(-ENTRIES, ENTRIES + 1, SHAPE[0]).astype(float))


def smaller(problem: Problem) -> Iterator[Problem]:
    """The same with an entry nearer to 0."""
    X, y = problem
    for A in (X, y):
        for i in np.ndindex(A.shape):
            x = float(A[i])
            for value in (0.0, x - np.sign(x), abs(x)):
                if abs(value) < abs(x) or value > x:
                    B = A.copy()
                    B[i] = value
                    yield (B, y) if A is X else (X, B)


def path(X: Matrix, y: Vector) -> list[Vector] | None:
    """The corners of the path of steps of length ε → 0; None where it does not end."""
    columns = [[row[j] for row in X] for j in range(len(X[0]))]
    w = [Fraction(0)] * len(columns)
    corners = [w]
    # (where it does not end soon it may turn for ever)
    for _ in range(PIECES):
        c = _slopes(X, y, w)
        top = max(map(abs, c))
        # (of rows that depend on each other no point need be a solution; the check sees that)
        if top == 0:
            return corners
        active = [j for j, x in enumerate(c) if abs(x) == top]
        move = _direction(columns, c, active)
        if move is None:
            return None
        # the fall of each slope: minus the slope of Xᵀ(0 − X move)
        falls = [-x for x in _slopes(X, [Fraction(0)] * len(y), move)]
        step = _length(c, falls, top)
        w = [a + step * b for a, b in zip(w, move, strict=True)]
        corners.append(w)
    return None


def _slopes(X: Matrix, y: Vector, w: Vector) -> Vector:
    """Xᵀ(y − Xw), half of what L falls by along each coordinate."""
    r = [b - p for b, p in zip(y, product(X, w), strict=True)]
    return [dot([row[j] for row in X], r) for j in range(len(w))]


def _length(c: Vector, falls: Vector, top: Fraction) -> Fraction:
    """Until another coordinate is as steep as the steepest, which falls at rate 1."""
    # (one that is as steep already falls faster, and is left behind)
    ends = [(top - s * x) / (1 - s * fall) for x, fall in zip(c, falls, strict=True)
            for s in (1, -1) if s * fall < 1 and abs(x) < top]
    return min([top, *ends])


def _direction(columns: Matrix, c: Vector, active: list[int]) -> Vector | None:
    """Rates a ≥ 0 along the steepest coordinates: what moves falls at rate 1, others faster."""
    for size in range(1, len(active) + 1):
        for some in combinations(active, size):
            signs = {j: 1 if c[j] > 0 else -1 for j in active}
            G = [[signs[i] * signs[j] * dot(columns[i], columns[j]) for j in some] for i in active]
            inner = [G[active.index(i)] for i in some]
            a = solve(inner, [Fraction(1)] * size)
            if a is not None and min(a) > 0 and all(dot(row, a) >= 1 for row in G):
                move = [Fraction(0)] * len(c)
                for j, x in zip(some, a, strict=True):
                    move[j] = signs[j] * x
                return move
    return None


def violation(problem: Problem) -> float:
    """How much longer than the shortest solution the end of the path is, in ℓ1."""
    X, y = problem
    if np.linalg.matrix_rank(X) < len(X) or not y.any():
        return 0.0
    corners = path([numbers(row) for row in X], numbers(y))
    least = _least(X, y)
    if corners is None or least is None:
        return 0.0
    ended = float(sum(abs(x) for x in corners[-1]))
    return ended / float(np.abs(least).sum()) - 1


def _least(X: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """A solution of least ℓ1 norm, by linear programming."""
    found = foreign.ask("the least l1 norm", "scipy.optimize.linprog", np.ones(2 * X.shape[1]),
                        A_eq=np.hstack([X, -X]), b_eq=y, method="highs-ds")
    return None if found.status else found.x[:X.shape[1]] - found.x[X.shape[1]:]


def prove(problem: Problem) -> dict[str, Any] | None:
    """The path, and a solution that is shorter, exactly."""
    X, y = [numbers(row) for row in problem[0]], numbers(problem[1])
    corners, least = path(X, y), _least(*problem)
    if corners is None or least is None:
        return None
    short = _vertex(X, y, least)
    if short is None:
        return None
    return {"kind": KIND, "X": [written(row) for row in X], "y": written(y),
            "path": [written(w) for w in corners], "shorter": written(short)}


def _vertex(X: Matrix, y: Vector, near: np.ndarray) -> Vector | None:
    """The solution on the columns that a vertex of the linear program uses."""
    basis = np.flatnonzero(np.abs(near) > 1e-9).tolist()
    inner = solve([[row[j] for j in basis] for row in X], y)
    if inner is None:
        return None
    short = [Fraction(0)] * near.size
    for j, x in zip(basis, inner, strict=True):
        short[j] = x
    return short


def check(document: Mapping[str, Any]) -> None:
    """Each piece moves coordinates that are steepest at both ends, downhill; the last solves."""
    X, y = [read(row) for row in document["X"]], read(document["y"])
    corners, short = [read(w) for w in document["path"]], read(document["shorter"])
    demand(len(corners) > 1 and not any(corners[0]), "the path begins at 0")

    for k, (a, b) in enumerate(pairwise(corners)):
        ends = _slopes(X, y, a), _slopes(X, y, b)
        tops = [max(map(abs, c)) for c in ends]
        # (slopes are linear on a piece, and so is the largest: what holds at its ends holds on it)
        for j, (before, after) in enumerate(zip(a, b, strict=True)):
            if before != after:
                sign = 1 if after > before else -1
                demand(all(sign * c[j] == top for c, top in zip(ends, tops, strict=True)),
                       f"piece {k} moves along the steepest coordinates")
    demand(product(X, corners[-1]) == y, "the path ends at a solution")
    demand(product(X, short) == y, "the other point is a solution")
    demand(sum(map(abs, short)) < sum(map(abs, corners[-1])), "the other point is shorter")
