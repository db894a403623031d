"""Targets of samples: labels as they are called; numbers, one a sample or one for each of K
outputs. These are kept as compiled code reads predictions: output after output.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.data.rows import Matrix

__all__ = ["flat", "numbers", "seen", "table"]


def numbers(y: ArrayLike, samples: int, sample: tuple[int, ...]) -> np.ndarray:
    """Targets (N,) or (N, K) of so many samples of a shape; ValueError where they are none."""
    try:
        found = checks.array("y", y, "an (N,) array, or (N, K) for K outputs", dims=(1, 2))
    except TypeError as error:
        raise TypeError(f"{error} (labels are for other losses, or become -1 and +1 by labels="
                        "\"binary\" of fb.data.read, --labels binary)") from None
    if len(found) != samples:
        what = "entry" if found.ndim == 1 else "row"
        several = "entries" if found.ndim == 1 else "rows"
        raise ValueError(f"y must have one {what} for each row of X, got {len(found)} {several} "
                         f"for {samples} rows")
    if found.ndim == 2 and len(sample) > 1:
        raise ValueError(f"y must be an (N,) array for samples that are matrices {sample}, got "
                         f"shape {found.shape}")
    return found


def seen(rows: Matrix, y: np.ndarray,
         weights: ArrayLike | None) -> tuple[Matrix, np.ndarray, np.ndarray | None]:
    """The samples of weight > 0, each a row of numbers, their targets and their weights."""
    if weights is not None:
        weights = checks.weights("weights", weights, rows.shape[0])
        there = weights > 0
        if not there.all():
            rows, y, weights = rows[there], y[there], weights[there]
    return (rows.reshape(len(rows), -1) if isinstance(rows, np.ndarray) else rows), y, weights


def flat(y: np.ndarray) -> np.ndarray:
    """The same as (N,) or (K N,), a copy."""
    return y.T.ravel()


def table(y: np.ndarray, columns: int) -> np.ndarray:
    """What `flat` made flat of so many columns; of 0, which was a vector, as it is."""
    return np.ascontiguousarray(y.reshape(columns, -1).T) if columns else y
