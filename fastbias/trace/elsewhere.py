"""Data that a run did not see, and rows that it did not make: what is said of them."""
from __future__ import annotations

import math
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import Sparse
from fastbias.checks.shown import Report, Table, html, series, text
from fastbias.problem import Data

__all__ = ["Evaluation", "evaluation", "guessed"]


class _Pair(NamedTuple):
    log_loss: np.ndarray
    error: np.ndarray


class Evaluation(_Pair):
    """Log loss (K,) and error (K,) at each row, as a pair, and what follows from them."""

    # Σ c_n, and whether what was evaluated are labels
    total: float
    labelled: bool

    def __new__(cls, log_loss: np.ndarray, error: np.ndarray, total: float = 1.0,
                labelled: bool = True) -> Evaluation:
        """Make one of samples of so much weight."""
        self = super().__new__(cls, log_loss, error)
        self.total, self.labelled = total, labelled
        return self

    @property
    def log_risk(self) -> np.ndarray:
        """The logarithm of the mean loss (K,), Σ c_n ℓ_n/Σ c_n."""
        return self.log_loss - math.log(self.total)

    @property
    def risk(self) -> np.ndarray:
        """The mean loss (K,); 0 where it has left float64, which its logarithm has not."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.log_risk))

    @property
    def accuracy(self) -> np.ndarray | None:
        """The fraction (K,) of the labels that are right; None for other targets."""
        return 1.0 - self.error if self.labelled else None

    def _report(self) -> Report:
        return [f"Evaluation of {self.log_loss.size} rows on other data",
                Table([series("log loss", self.log_loss), series("mean loss", self.risk),
                       series("error", self.error)],
                      ("", "first row", "last row", "row by row"))]

    def __repr__(self) -> str:
        return text(self._report())

    def _repr_html_(self) -> str:
        return html(self._report())


def evaluation(data: Data, w: np.ndarray) -> Evaluation:
    """What `Trace.evaluate` says of the predictors w (K, ...) on other data."""
    predictions = [data.predictions(row.ravel()) for row in w]
    log_loss = [data.log(p) for p in predictions]
    if data.loss.kind == "root":
        error = [_root_mean_square(p - data.y, data.each) for p in predictions]
    else:
        error = [float(np.average(data.least(row.ravel()) <= 0, weights=_even(data.weights)))
                 for row in w]
    total = float(data.X.shape[0] if data.weights is None else data.weights.sum())
    return Evaluation(np.array(log_loss), np.array(error), total, data.loss.kind != "root")


def guessed(X: ArrayLike | Sparse, y: ArrayLike, rows: np.ndarray) -> str:
    """The loss that `Trace.from_arrays` takes where none is given."""
    with suppress(ValueError):                            # (rows of unlike lengths have no axes)
        if np.ndim(y) == 2:
            return "squared"
    labels = checks.named_values("y", y)
    if rows.ndim > checks.matrix("X", X, mapped=True).ndim:
        return "cross_entropy"
    two = labels.dtype.kind not in "iuf" or (np.abs(labels.astype(float)) == 1).all()
    return "logistic" if two else "squared"


def _even(weights: np.ndarray | None) -> np.ndarray | None:
    """The weights, brought to size one."""
    return None if weights is None else weights / weights.max()


def _root_mean_square(x: np.ndarray, weights: np.ndarray | None = None) -> float:
    """√mean(x²), brought to size one before it is squared."""
    size = float(np.abs(x).max())
    if not 0 < size < np.inf:
        return size
    return size * float(np.sqrt(np.average((x / size) ** 2, weights=_even(weights))))
