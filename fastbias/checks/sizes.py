"""How large vectors are, and how wrong answers: without overflow or underflow on the way, and
without losing a NaN.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias.checks import Sparse

__all__ = ["divided", "length", "lengths", "misfits", "ratio", "row_lengths", "worst"]

MOST = float(np.finfo(float).max)

Sizes = float | np.ndarray | Sequence[float]


def worst(*residuals: Sizes) -> float:
    """The largest of residuals ≥ 0 (numbers or arrays), infinite where one is NaN.

    So nothing unknown is certified: max(1e-12, nan) is 1e-12 in Python, or NaN, by their order.

    Examples
    --------
    >>> worst(1e-12, float("nan")), worst(0.0, [1.0, 2.0])
    (inf, 2.0)
    """
    values = np.concatenate([np.ravel(x) for x in residuals]).astype(float)
    return float("inf") if np.isnan(values).any() else float(values.max(initial=0.0))


def ratio(error: float, scale: float) -> float:
    """error/scale for numbers ≥ 0, error itself over a scale of 0; infinite where one is NaN."""
    # an infinite scale as well: anything over infinity would pass as 0
    if not scale < np.inf:
        return float("inf")
    return worst(error / scale if scale > 0 else error)


def lengths(rows: np.ndarray | Sparse) -> np.ndarray:
    """‖row‖₂ (N,) of rows (N, d), which may be sparse, of any size from 5e-324 to 1e308."""
    # they are brought to size one before they are squared: 1e200² is beyond float64
    largest = _largest(rows)
    with np.errstate(all="ignore"):
        unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
        even = divided(rows, unit)
        squares = even ** 2 if isinstance(even, np.ndarray) else even.multiply(even)
        return np.asarray(unit * np.sqrt(np.asarray(squares.sum(axis=1)).ravel()))


def _largest(rows: np.ndarray | Sparse) -> np.ndarray:
    """The largest |entry| (N,) of rows; NaN where one is."""
    if isinstance(rows, np.ndarray):
        return np.asarray(np.abs(rows).max(axis=1, initial=0.0))
    return np.asarray(abs(rows).max(axis=1).toarray()).ravel()


def divided(rows: Any, sizes: np.ndarray) -> Any:
    """Rows (N, d), dense or sparse (CSR) as they are, each over a number of sizes (N,)."""
    if isinstance(rows, np.ndarray):
        return rows / sizes[:, None]
    rows = rows.tocsr(copy=True)
    rows.data = rows.data / np.repeat(sizes, np.diff(rows.indptr))
    return rows


def length(x: ArrayLike) -> float:
    """‖x‖₂ of all entries of x, of any size."""
    return float(lengths(np.reshape(np.asarray(x, float), (1, -1)))[0])


def row_lengths(rows: np.ndarray | Sparse) -> np.ndarray:
    """`lengths` to divide by: one for rows of zeros, the largest float for what is beyond it."""
    sizes = np.minimum(lengths(rows), MOST)
    return np.where(sizes > 0, sizes, 1.0)


def misfits(X: np.ndarray | Sparse, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """|⟨x_n, w⟩ − y_n| (N,) relative to max(|y_n|, Σ_j |x_nj w_j|); NaN where not finite.

    The terms of its own sum are what a row is held against: if it is ε, then w solves the equation
    of some x_n and y_n that differ from these, entry by entry, by 2ε relatively at most (Oettli,
    Prager 1964). Each row is brought to size one first: none hides behind another, or behind an
    overflow.
    """
    with np.errstate(all="ignore"):
        unit = float(np.abs(w).max(initial=0.0)) or 1.0
        size = np.maximum(_largest(X), np.abs(y) / unit)
        # powers of two, so that the scaling itself rounds nothing
        size = np.exp2(np.floor(np.log2(np.where((size > 0) & np.isfinite(size), size, 1.0))))
        rows, v, goal = divided(X, size), w / unit, y / size / unit
        error, terms = np.abs(rows @ v - goal), np.maximum(np.abs(goal), abs(rows) @ np.abs(v))
        return np.asarray(np.where(error == 0, 0.0, error / terms))
