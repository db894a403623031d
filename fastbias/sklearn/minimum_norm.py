"""Minimum norms as a regressor."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from fastbias import checks
from fastbias.data.rows import Matrix, dense
from fastbias.pieces.norms import Norm
from fastbias.problem import DENSE, TooLarge
from fastbias.sklearn.base import Linear, of_shape
from fastbias.solvers.equations import Unreachable, least_squares, off_normal
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit
from fastbias.solvers.minimum_norm import minimum_norm

__all__ = ["MinimumNormRegressor"]


class MinimumNormRegressor(RegressorMixin, Linear):
    """The certified linear function of least norm through the points, as a regressor.

    argmin ‖w‖ subject to ⟨w, x_n⟩ + b = y_n for all n. Where no (w, b) does that, of all that have
    the least Σ (⟨w, x_n⟩ + b − y_n)² that of least norm: ``realisable_`` is then False.

    Parameters
    ----------
    norm : Norm, its name, or a number p ≥ 1, default "l2"
    fit_intercept : bool, default True
        Whether there is a b, which is in no norm.

    Attributes
    ----------
    coef_ : (d,)
    intercept_ : float
    realisable_ : bool
        Whether some (w, b) meets all targets.
    limit_ : Limit
        The solution with its certificate, as `fastbias.minimum_norm` gives it; where not
        ``realisable_`` for the targets next to y that can be met, and what least squares leave of
        their own equations as a hypothesis.
    certified_ : bool
        Whether it was proved that these are the equations' solution, and of least norm, to 1e-10.
    n_features_in_, feature_names_in_
        Of X.

    Examples
    --------
    >>> from fastbias.sklearn import MinimumNormRegressor
    >>> found = MinimumNormRegressor("l1", fit_intercept=False).fit([[1, 2]], [1])
    >>> found.coef_ + 0.0, found.predict([[0, 4]]), found.realisable_, found.certified_
    (array([0. , 0.5]), array([2.]), True, True)
    """

    def __init__(self, norm: Norm | str | float = "l2", fit_intercept: bool = True) -> None:
        self.norm = norm
        self.fit_intercept = fit_intercept

    def fit(self, X: ArrayLike | checks.Sparse, y: ArrayLike) -> MinimumNormRegressor:
        """Fit to X (N, d), dense or (for some norms) sparse, and targets y (N,).

        Raises
        ------
        ValueError, TypeError
            Where an argument is bad.
        ArithmeticError
            Where no solver found anything.
        """
        rows, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64, y_numeric=True)
        y = np.asarray(y, float)
        norm = of_shape(self.norm, rows.shape[1:])
        try:
            self.limit_ = minimum_norm(rows, y, norm, intercept=self._free)
            self.realisable_ = True
        except Unreachable:
            self.limit_ = _nearest(rows, y, norm, self._free)
            self.realisable_ = False
        self.coef_, self.intercept_ = self.limit_.w, self.limit_.intercept
        self.certified_ = self.limit_.certified
        return self

    def predict(self, X: ArrayLike | checks.Sparse) -> np.ndarray:
        """⟨w, x⟩ + b of each row of X, (N,)."""
        return self._scores(X)


def _nearest(X: Matrix, y: np.ndarray, norm: Norm, intercept: bool) -> Limit:
    """The least-squares solution of least norm, where no other one is met."""
    if not isinstance(X, np.ndarray) and X.shape[0] * X.shape[1] > DENSE:
        raise TooLarge(f"X must be dense, or sparse with N d <= {DENSE}, where no w meets all "
                       f"targets, got shape {X.shape}")
    # (seen from the middle: what all rows have in common is the intercept's)
    rows, middle, height = dense(X), np.zeros(X.shape[1]), 0.0
    if intercept:
        middle, height = rows.mean(axis=0), float(y.mean())
    rows, goal = rows - middle, y - height
    # of all targets that can be met the nearest
    reached = height + rows @ least_squares(rows, goal)
    found = minimum_norm(X, reached, norm, intercept=intercept)
    # the certificate is for y as it was given, not for the targets that replaced it
    off = float(found.intercept) + float(middle @ found.w) - height
    beside = np.hstack([rows, np.ones((len(rows), 1))]) if intercept else rows
    gap = max(found.duality_gap, off_normal(beside, goal, np.append(found.w, [off] * intercept)))
    told = Hypothesis("XᵀXw = Xᵀy" + ", X and y centred" * intercept,
                      True if gap <= CERTIFIED else None, f"residual {gap:.1e}")
    return replace(found, theorem=f"least squares of {found.theorem}", duality_gap=gap,
                   certified=found.certified and gap <= CERTIFIED,
                   hypotheses=(*found.hypotheses, told), asked=None)
