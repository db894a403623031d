"""A free number b beside ⟨w, x_n⟩ in equations: how it is taken out, found again, and proved.

With one equation subtracted from the others b is gone, and sparse rows stay sparse. Of the
multipliers ν that others have, that one has −Σ; what rounding leaves of the sum is taken from
entries that can hold it, so that it is 0 without rounding.
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
    """Equations Xw + b = y with one of them subtracted from the others."""

    def __init__(self, X: Matrix, y: np.ndarray) -> None:
        self.origin, self.size = _origin(X), len(y)
        self.others = np.delete(np.arange(self.size), self.origin)
        if isinstance(X, np.ndarray):
            self.rows: Matrix = X[self.others] - X[self.origin]
        else:
            sparse: Any = foreign.library("scipy.sparse")
            ones = sparse.csr_array(np.ones((self.size - 1, 1)))
            self.rows = (X[self.others] - ones @ X[[self.origin]]).tocsr()
        self.goal = y[self.others] - y[self.origin]

    def multipliers(self, nu: np.ndarray) -> np.ndarray:
        """ν (N,) of the equations as they were, for those of the differences."""
        whole = np.zeros(self.size)
        whole[self.others] = nu
        whole[self.origin] = -fsum(nu) if np.isfinite(nu).all() else np.nan
        return balanced(whole)


def _origin(X: Matrix) -> int:
    """Which row the others are seen from: that of fewest entries, or the one next to the mean."""
    if not isinstance(X, np.ndarray):
        return int(np.argmin(np.diff(X.indptr)))
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
