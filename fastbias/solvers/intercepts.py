"""A free number b beside ⟨w, x_n⟩ in equations: how it is taken out, found again, and proved.

Half of the equations less the other half, on average, and so on within each half, are orthonormal
combinations of them that know no b (Haar 1910); few rows are in most of them, so that sparse rows
stay sparse. What multipliers ν these give the rows sums to 0 but for rounding. That is taken from
entries that can hold it, so that the sum is 0 without rounding.
"""
from __future__ import annotations

from math import fsum
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Matrix, largest
from fastbias.solvers import exact

__all__ = ["Differences", "balanced", "beside", "best", "total"]

TINY = 1e-300         # to divide by instead of 0
FINE = 2.0 ** 46      # how much larger a number may be than what is taken from it
TRIES = 200           # of which each takes off seven bits or more


class Differences:
    """Combinations of the equations Xw + b = y in which there is no b."""

    def __init__(self, X: Matrix, y: np.ndarray) -> None:
        self.halves, origin = _halves(len(y)), 0
        if isinstance(X, np.ndarray):
            # what all rows have in common is no part of these: seen from one of them it is small
            origin = _origin(X)
            X = X - X[origin]
        rows = self.halves @ X
        self.rows: Matrix = rows if isinstance(X, np.ndarray) else rows.tocsr()
        self.goal = np.asarray(self.halves @ (y - y[origin]))

    def multipliers(self, nu: np.ndarray) -> np.ndarray:
        """ν (N,) of the equations as they were, for those of the combinations."""
        return balanced(np.asarray(self.halves.T @ nu))


def _halves(N: int) -> Any:
    """The combinations (N − 1, N), sparse, orthonormal, and each of sum 0."""
    rows, columns, values, groups = [], [], [], [(0, N)]
    for row in range(N - 1):
        # (groups of one row have no halves)
        low, high = groups[row]
        middle = (low + high) // 2
        left, right = middle - low, high - middle
        groups += [part for part in ((low, middle), (middle, high)) if part[1] - part[0] > 1]
        sizes = np.sqrt(np.array([right / left, left / right]) / (left + right))
        rows.append(np.full(high - low, row))
        columns.append(np.arange(low, high))
        values.append(np.repeat([1.0, -1.0] * sizes, [left, right]))
    if N == 1:
        return foreign.library("scipy.sparse").csr_array((0, 1))
    where = np.concatenate(rows), np.concatenate(columns)
    return foreign.library("scipy.sparse").csr_array((np.concatenate(values), where),
                                                     shape=(N - 1, N))


def _origin(X: np.ndarray) -> int:
    """The row next to the mean."""
    unit = largest(X, 0)
    apart = (X - X.mean(axis=0)) / np.where(unit > 0, unit, 1.0)
    return int(np.argmin(np.einsum("ij,ij->i", apart, apart)))


def beside(X: Matrix) -> Matrix:
    """X (N, d) with a column of ones, which is that of b."""
    ones = np.ones((X.shape[0], 1))
    if isinstance(X, np.ndarray):
        return np.hstack([X, ones])
    found: Matrix = foreign.library("scipy.sparse").hstack([X, ones], format="csr")
    return found


def best(X: Matrix, y: np.ndarray, w: np.ndarray) -> float:
    """The b that leaves least of Xw + b = y, each equation by the terms of its own sum."""
    off = y - exact.careful(X.T, w, rough=True)
    terms = np.maximum(np.abs(y), abs(X) @ np.abs(w)) + abs(float(np.median(off)))
    weights = (float(terms.max()) / np.maximum(terms, TINY)) ** 2 if terms.any() else terms + 1.0
    return float(weights @ off / weights.sum())


def total(nu: np.ndarray) -> float:
    """Σ ν_n, rounded once: 0 only where it is; NaN where one is not finite."""
    return fsum(nu) if np.isfinite(nu).all() else float("nan")


def balanced(nu: np.ndarray) -> np.ndarray:
    """Numbers next to ν (N,) whose sum is 0 without rounding, where Σ ν_n is rounding.

    What is left of the sum is taken from the largest number that is felt by it, again and again:
    all of them are multiples of the last digit of the smallest one, and so is what is left.
    """
    nu = nu.copy()
    for _ in range(TRIES):
        left = total(nu)
        if left == 0 or not np.isfinite(left):
            break
        sizes = np.abs(nu)
        near = np.where(sizes <= FINE * abs(left), sizes, -1.0)
        at = int(near.argmax() if near.max() >= 0 else sizes.argmin())
        nu[at] -= left
    return nu
