"""The faces into which data cut the space of all units, in whole numbers: no tolerance decides
which points lie on a line.

A unit v = (b, c) sees a sample z = (x, 1) where ⟨z, v⟩ > 0. The hyperplanes ⟨z_n, ·⟩ = 0 cut R^D
into cones, their faces, on which every [⟨z_n, v⟩]₊ is linear. Every float is a whole number times a
power of two, so that signs are exact. A face is named by its signs (−1, 0, 1); its span, the *flat*
on which its zeros vanish, is shared by many.

Faces are found from the rays, the faces of dimension one: each face that is not 0 has one at its
boundary, and those that meet at a ray r are the faces of the rows that vanish there, seen in the
quotient by r: as r_j ≠ 0 for some j, these rows without column j.
"""
from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb, lcm
from operator import mul
from typing import Any

import numpy as np

__all__ = ["MOST", "count", "flat_basis", "independent", "sign_vectors", "unscaled", "whole"]

MOST = 100_000         # faces; more are refused

Whole = np.ndarray     # of Python's whole numbers
Vector = list[Fraction]


def whole(X: np.ndarray) -> tuple[Whole, int]:
    """Whole numbers and the e with X = numbers · 2^e, without rounding."""
    mantissas, powers = np.frexp(X)
    at = X != 0
    least = int(powers[at].min()) - 53 if at.any() else 0
    numbers = np.ldexp(mantissas, 53).astype(np.int64).astype(object)
    shifts = np.where(at, powers - 53 - least, 0)
    return np.array([int(m) << int(s) for m, s in zip(numbers.flat, shifts.flat, strict=True)],
                    dtype=object).reshape(X.shape), least


def unscaled(rows: Whole) -> tuple[np.ndarray, int]:
    """Floats and the e with rows = floats · 2^e up to one rounding each, the largest near one."""
    e = max((int(abs(v)).bit_length() for v in rows.flat), default=0)
    # (true division of whole numbers rounds once, whatever their size)
    return np.array([int(v) / (1 << e) for v in rows.flat], float).reshape(rows.shape), e


def count(n: int, D: int) -> int:
    """How many faces n rows of rank D have at most, 0 among them: as in general position."""
    total = 1
    for zeros in range(D):
        rest = n - zeros
        total += comb(n, zeros) * 2 * sum(comb(rest - 1, i) for i in range(D - zeros))
    return total


def _reduced(rows: Whole) -> tuple[list[Vector], list[int]]:
    """The reduced echelon form of rows, without rows of zeros, and the columns of its ones."""
    kept: list[Vector] = []
    pivots: list[int] = []
    for row in rows:
        r = [Fraction(int(v)) for v in row]
        for other, p in zip(kept, pivots, strict=True):
            if r[p]:
                f = r[p]
                r = [a - f * b for a, b in zip(r, other, strict=True)]
        p = next((i for i, v in enumerate(r) if v), -1)
        if p < 0:
            continue
        r = [v / r[p] for v in r]
        for i, other in enumerate(kept):
            f = other[p]
            if f:
                kept[i] = [a - f * b for a, b in zip(other, r, strict=True)]
        kept.append(r)
        pivots.append(p)
        if len(kept) == len(r):
            break
    return kept, pivots


def independent(rows: Whole) -> list[int]:
    """As many columns of rows (n, D) as are independent, the first ones."""
    return sorted(_reduced(rows)[1])


def flat_basis(rows: Whole, D: int, metric: Whole | None = None) -> Whole:
    """Whole vectors (k, D) that span what is orthogonal to rows, and are so to each other, where
    a metric (D, D) is given in its inner product.
    """
    kept, pivots = _reduced(rows)
    basis: list[Vector] = []
    weighed: list[Vector] = []
    for free in (j for j in range(D) if j not in pivots):
        v = [Fraction(int(j == free)) for j in range(D)]
        for row, p in zip(kept, pivots, strict=True):
            v[p] = -row[free]
        for e, m in zip(basis, weighed, strict=True):
            f = sum(map(mul, v, m), Fraction(0)) / sum(map(mul, e, m), Fraction(0))
            v = [a - f * b for a, b in zip(v, e, strict=True)]
        basis.append(v)
        weighed.append(v if metric is None else
                       [sum(map(mul, row, v), Fraction(0)) for row in metric.tolist()])
    out = np.empty((len(basis), D), dtype=object)
    for i, v in enumerate(basis):
        bottom = lcm(*(x.denominator for x in v))
        out[i] = [int(x * bottom) for x in v]
    return out


def _signs(values: Whole) -> np.ndarray:
    return (values > 0).astype(np.int8) - (values < 0).astype(np.int8)


def _normals(rows: Whole, chosen: np.ndarray) -> Whole:
    """What is orthogonal to each choice (C, D − 1) of rows, by minors: 0 where these depend."""
    C, D = len(chosen), rows.shape[1]
    # minors of the first i rows of each choice, by their columns
    minors: dict[tuple[int, ...], Any] = {(): np.array([1] * C, dtype=object)}
    for i in range(D - 1):
        row = rows[chosen[:, i]]
        minors = {columns: sum((-1) ** (i + place) * row[:, c] * minors[columns[:place]
                                                                        + columns[place + 1:]]
                               for place, c in enumerate(columns))
                  for columns in combinations(range(D), i + 1)}
    return np.stack([(-1) ** j * minors[tuple(c for c in range(D) if c != j)]
                     for j in range(D)], axis=1)


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of small numbers, and where each first stands."""
    packed = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))
    first = np.sort(np.unique(packed.ravel(), return_index=True)[1])
    return rows[first], first


def _rays(rows: Whole) -> tuple[Whole, np.ndarray]:
    """One of each two opposite rays, as whole vectors (R, D), and its signs (R, n)."""
    n, D = rows.shape
    chosen = np.array(list(combinations(range(n), D - 1)), dtype=np.intp)
    normals = _normals(rows, chosen)
    normals = normals[(normals != 0).any(axis=1)]
    signs = _signs(normals.dot(rows.T))
    first = _distinct((signs == 0).astype(np.int8))[1]
    return normals[first], signs[first]


def sign_vectors(rows: Whole) -> np.ndarray:
    """The signs (F, n) of all faces of rows (n, D) of rank D, none of them 0; the face 0 is the
    first.
    """
    n, D = rows.shape
    if D == 0:
        return np.zeros((1, n), np.int8)
    rays, signs = _rays(rows)
    found = [np.zeros((1, n), np.int8)]
    zeros = (signs == 0).sum(axis=1)
    simple = zeros == D - 1
    if simple.any():
        # the rows that vanish there take any signs
        around = np.array(np.meshgrid(*[[-1, 0, 1]] * (D - 1)), np.int8).reshape(D - 1, -1).T \
            if D > 1 else np.zeros((1, 0), np.int8)
        for side in (1, -1):
            block = np.repeat((side * signs[simple])[:, None, :], len(around), axis=1)
            at = np.nonzero(signs[simple] == 0)
            places = at[1].reshape(int(simple.sum()), D - 1)
            block[np.arange(len(places))[:, None, None], np.arange(len(around))[None, :, None],
                  places[:, None, :]] = around
            found.append(block.reshape(-1, n))
    for ray, sign in zip(rays[~simple], signs[~simple], strict=True):
        on, j = np.flatnonzero(sign == 0), int(np.flatnonzero(ray != 0)[0])
        local = sign_vectors(np.delete(rows[on], j, axis=1))
        for side in (1, -1):
            block = np.repeat((side * sign)[None], len(local), axis=0)
            block[:, on] = local
            found.append(block)
    return _distinct(np.concatenate(found))[0]
