"""Linear estimators that somebody else fitted, as a direction and its intercept: by their
``coef_``, ``intercept_`` and ``classes_``, the names of scikit-learn, which is not needed.
"""
from __future__ import annotations

from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np

from fastbias import checks
from fastbias.checks import foreign

__all__ = ["Fitted", "agreeing", "coefficients", "is_fitted"]

NEAR = 1e-9           # of the largest score: where two are so near, rounding decides


@runtime_checkable
class Fitted(Protocol):
    """A linear estimator that has been fitted."""

    coef_: Any
    intercept_: Any


def is_fitted(w: object) -> TypeGuard[Fitted]:
    """Whether it is a linear estimator; ValueError where it is one of another kind, or not fitted
    yet.
    """
    if isinstance(w, Fitted):
        return True
    if hasattr(w, "named_steps"):
        raise ValueError("w must be a linear estimator, got a Pipeline: give its last step, and X "
                         "as that sees it, fb.diagnose(pipe[:-1].transform(X), y, pipe[-1])")
    if hasattr(w, "best_estimator_"):
        raise ValueError(f"w must be a linear estimator, got {checks.short(w)}: give its "
                         "best_estimator_")
    if hasattr(w, "fit"):
        raise ValueError("w must be an array, or a linear estimator that has been fitted and has "
                         f"coef_ and intercept_, got {checks.short(w)}")
    return False


def coefficients(model: Fitted) -> tuple[np.ndarray, Any]:
    """Its w, and b: None where it was told to have none."""
    w = model.coef_
    w = checks.array("coef_ of w", w.toarray() if hasattr(w, "toarray") else w,
                     "a (d,) or (K, d) array", dims=(1, 2))
    free = getattr(model, "fit_intercept", True)
    return w, None if isinstance(free, (bool, np.bool_)) and not free else model.intercept_


def agreeing(model: Fitted, X: Any, classes: np.ndarray, w: np.ndarray, b: Any) -> None:
    """Raise ValueError where an estimator means w (1, d) or (K, d) and b otherwise than we do.

    Its classes are to be the labels ``classes``, sorted, and its predictions those of Xwᵀ + b:
    coefficients of three classes one against one are as many as the classes, and mean others.
    """
    own = getattr(model, "classes_", None)
    if own is None:
        return
    if np.asarray(own).tolist() != classes.tolist():
        raise ValueError(f"w must be fitted to the labels of y, {checks.short(classes.tolist())}, "
                         f"got classes_ {checks.short(np.asarray(own).tolist())}")
    if not hasattr(model, "predict"):
        return
    with foreign.guarded("what w predicts"):
        told = np.asarray(model.predict(X))
    with np.errstate(all="ignore"):
        scores = np.asarray(checks.matrix("X", X) @ w.T + (0.0 if b is None else np.asarray(b)))
    if len(w) == 1:
        scores = np.hstack([-scores, scores])
    ranked = np.sort(scores, axis=1)
    sure = ranked[:, -1] - ranked[:, -2] > NEAR * np.abs(ranked).max()
    other = np.flatnonzero(sure & (told != classes[scores.argmax(axis=1)]))
    if other.size:
        raise ValueError("w must predict by its coef_ and intercept_, one row a class, but at row "
                         f"{other[0]} of X it does not (one against one, perhaps): give the "
                         "direction as an array")
