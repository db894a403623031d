"""What the estimators share: data as scikit-learn checks them, scores, classes, norms by name."""
from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from fastbias import checks
from fastbias.data.rows import Matrix
from fastbias.pieces import norms
from fastbias.pieces.norms import Norm

__all__ = ["Linear", "LinearClassifier", "NotSeparableWarning", "of_shape"]


class NotSeparableWarning(UserWarning):
    """A maximum margin was asked for of data that nothing separates."""


class Linear(BaseEstimator):
    """What looks at data through ``coef_`` and ``intercept_``, be they dense or sparse."""

    fit_intercept: bool

    @property
    def _free(self) -> bool:
        """Whether there is a b."""
        return checks.flag("fit_intercept", self.fit_intercept)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _scores(self, X: ArrayLike | checks.Sparse) -> np.ndarray:
        """X @ coef_.T + intercept_."""
        check_is_fitted(self)
        rows = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return np.asarray(rows @ self.coef_.T + self.intercept_)


class LinearClassifier(ClassifierMixin, Linear):
    """The later of two classes where ⟨w, x⟩ + b > 0, of more the one where it is largest."""

    def _labelled(self, X: ArrayLike | checks.Sparse,
                  y: ArrayLike) -> tuple[Matrix, np.ndarray]:
        """X as float64 and y as it is, checked."""
        rows, named = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        check_classification_targets(named)
        return rows, named

    def _numbered(self, y: np.ndarray) -> np.ndarray:
        """The labels as 0 … K − 1, and ``classes_``."""
        # sorted, as scikit-learn has them
        self.classes_, index = np.unique(y, return_inverse=True)
        if self.classes_.size < 2:
            raise ValueError("y must have two classes or more, got 1 class: "
                             f"{checks.short(self.classes_.tolist()[0])}")
        return np.asarray(index)

    def _least(self, X: Matrix, index: np.ndarray) -> np.ndarray:
        """The margin (N,) of each sample."""
        scores = np.asarray(X @ self.coef_.T + self.intercept_)
        if scores.shape[1] == 1:
            return np.asarray(scores[:, 0] * (2.0 * index - 1.0))
        own = index[:, None] == np.arange(scores.shape[1])
        return np.asarray(scores[own] - np.where(own, -np.inf, scores).max(axis=1))

    def decision_function(self, X: ArrayLike | checks.Sparse) -> np.ndarray:
        """⟨w, x⟩ + b of each row of X: (N,) for two classes, (N, K) for more."""
        scores = self._scores(X)
        return scores.ravel() if scores.shape[1] == 1 else scores

    def predict(self, X: ArrayLike | checks.Sparse) -> np.ndarray:
        """The class of each row of X, (N,)."""
        scores = self.decision_function(X)
        return np.asarray(self.classes_[scores.argmax(axis=1) if scores.ndim > 1
                                        else (scores > 0).astype(int)])


def of_shape(norm: Norm | str | float, shape: tuple[int, ...]) -> Norm:
    """The norm of that name, or of that p, for predictors of a shape."""
    shaped = {"spectral": norms.spectral, "nuclear": norms.nuclear}
    # (these alone are made for a shape)
    if isinstance(norm, str) and norm in shaped:
        if len(shape) != 2:
            raise ValueError(f"norm must be one of vectors where there are two classes, got "
                             f"{norm!r}")
        return shaped[norm](*shape)
    if isinstance(norm, Real) and not isinstance(norm, bool):
        if not float(norm) >= 1:
            raise ValueError("norm must be a number >= 1, a norm of fb.norms or its name, got "
                             f"{checks.short(norm)}")
        return norms.lp(float(norm))
    return checks.one_of("norm", norm, norms, Norm)
