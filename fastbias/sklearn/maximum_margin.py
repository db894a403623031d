"""Maximum margins as a classifier."""
from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.data.rows import Matrix
from fastbias.pieces.norms import Norm
from fastbias.sklearn.base import LinearClassifier, NotSeparableWarning, of_shape
from fastbias.solvers.limit import Limit
from fastbias.solvers.margins import max_margin
from fastbias.solvers.separability import Inseparable, labelled
from fastbias.solvers.softest import softest

__all__ = ["MaxMarginClassifier"]

LACKING = 1e-9        # of a margin of one, relatively: less is rounding


class MaxMarginClassifier(LinearClassifier):
    """The certified maximum margin in any norm, as a classifier.

    argmin ‖w‖ subject to y_n(⟨w, x_n⟩ + b) ≥ 1 for all n; with K classes to ⟨w_y − w_c, x⟩ + b_y −
    b_c ≥ 1 for each c ≠ y. Where nothing separates the data a `NotSeparableWarning` says so, and
    (w, b) minimises Σ max(0, 1 − y_n(⟨w, x_n⟩ + b))² (with classes over all c ≠ y as well); of
    several such the w of least norm. Both are the limit C → ∞ of argmin ½‖w‖² + ½C Σ max(0, 1 −
    y_n(⟨w, x_n⟩ + b))², the soft margin.

    Parameters
    ----------
    norm : Norm, its name, or a number p ≥ 1, default "l2"
        Of w (d,); with K ≥ 3 classes of all entries of w (K, d), or "spectral" or "nuclear".
    fit_intercept : bool, default True
        Whether there is a b, which is in no norm.

    Attributes
    ----------
    coef_ : (1, d), or (K, d) with K ≥ 3 classes
        w, of which the least margin on separable data is 1.
    intercept_ : (1,) or (K,)
    classes_ : (2,) or (K,) array
        The labels, sorted; of two the later one is where ⟨w, x⟩ + b > 0.
    separable_ : bool
        Whether the data are, which is decided without rounding.
    margin_ : float
        The least margin of a sample over ‖w‖: where ``separable_``, the largest there is. NaN where
        w is 0.
    support_ : (k,) of int
        The samples that hold w: the support vectors; else those whose margin is under 1.
    limit_ : Limit or None
        The maximum margin with its certificate, of length one, as `fastbias.max_margin` gives it;
        None where the data are not separable.
    certified_ : bool
        Whether it was proved that ``margin_`` is the maximum, to 1e-10.
    n_features_in_, feature_names_in_
        Of X.

    Examples
    --------
    >>> from fastbias.sklearn import MaxMarginClassifier
    >>> found = MaxMarginClassifier().fit([[3, 0], [5, 1], [0, 0]], [1, 1, 0])
    >>> found.coef_.round(12), found.support_, found.decision_function([[1.5, 7]]).round(12) + 0.0
    (array([[0.66666667, 0.        ]]), array([0, 2]), array([0.]))
    """

    def __init__(self, norm: Norm | str | float = "l2", fit_intercept: bool = True) -> None:
        self.norm = norm
        self.fit_intercept = fit_intercept

    def fit(self, X: ArrayLike | checks.Sparse, y: ArrayLike) -> MaxMarginClassifier:
        """Fit to X (N, d), dense or sparse, and labels y (N,).

        Raises
        ------
        ValueError, TypeError
            Where there is one class alone, or an argument is bad.
        ArithmeticError
            Where float64 has no answer.
        """
        rows, named = self._labelled(X, y)
        index = self._numbered(named)
        K = self.classes_.size
        # (numbers for labels: strings and objects of any kind may be what they are called)
        signs = index if K > 2 else 2 * index - 1
        norm = of_shape(self.norm, (K, rows.shape[1]) if K > 2 else rows.shape[1:])
        try:
            limit = max_margin(rows, signs, norm, intercept=self._free)
        # (others who raise ValueError mean an argument)
        except Inseparable:
            self._fall_back(rows, index, signs, norm)
            return self
        self.limit_: Limit | None = replace(limit, classes=self.classes_)
        self.separable_, self.certified_ = True, limit.certified
        self.margin_, self.support_ = limit.margin, limit.support
        # of length one until here; a hard margin's least is 1, as in an SVM
        with np.errstate(all="ignore"):
            self._set(limit.w / limit.margin, limit.intercept / limit.margin)
        if not np.isfinite(self.coef_).all():
            raise ArithmeticError("w with margins of one is beyond float64: the margin of X, y is "
                                  f"{limit.margin:.3g}")
        return self

    def _fall_back(self, X: Matrix, index: np.ndarray, signs: np.ndarray, norm: Norm) -> None:
        """What soft margins tend to where nothing separates the data."""
        warnings.warn("X, y are not linearly separable, so there is no maximum margin: w, b are "
                      "those whose margins lack least to 1, in squares (the soft margin as C goes "
                      "to infinity); fastbias.separability has the proof", NotSeparableWarning,
                      stacklevel=3)
        found = softest(labelled(X, signs, intercept=self._free), norm)
        self._set(found.w, found.intercept)
        self.limit_, self.separable_, self.certified_ = None, False, False
        margins, size = self._least(X, index), float(norm(found.w.ravel()))
        self.margin_ = float(margins.min()) / size if size > 0 else float("nan")
        self.support_ = np.flatnonzero(margins < 1.0 - LACKING)

    def _set(self, w: np.ndarray, b: float | np.ndarray) -> None:
        """Coefficients as scikit-learn lays them out."""
        self.coef_ = np.atleast_2d(w)
        self.intercept_ = np.zeros(len(self.coef_)) + b
