"""The library as estimators of scikit-learn: maximum margins, what an optimiser picks, and minimum
norms, in pipelines and grid searches.

>>> from fastbias.sklearn import MaxMarginClassifier
>>> found = MaxMarginClassifier("l1").fit([[3, 0], [5, 1], [0, 0]], ["yes", "yes", "no"])
>>> print(found.coef_, found.intercept_, found.margin_, found.certified_, found.predict([[4, 1]]))
[[0.66666667 0.        ]] [-1.] 1.5 True ['yes']

They want scikit-learn, the extra ``fastbias[sklearn]``.
"""
from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from inspect import signature
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.data.rows import Matrix, dense
from fastbias.pieces import losses, methods, norms
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.pieces.norms import Norm
from fastbias.pieces.steps import StepSize, as_rule
from fastbias.problem import DENSE, TooLarge
from fastbias.running.plan import Plan
from fastbias.solvers.equations import Unreachable, least_squares, off_normal
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit, NoTheorem
from fastbias.solvers.margins import max_margin
from fastbias.solvers.minimum_norm import minimum_norm
from fastbias.solvers.separability import Inseparable, labelled
from fastbias.solvers.softest import softest
from fastbias.trace import Trace

try:
    from scipy.special import expit, ndtr, softmax
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("fastbias.sklearn needs scikit-learn 1.6 or newer: pip install "
                      f"'fastbias[sklearn]' ({error})") from None

__all__ = ["ImplicitBiasClassifier", "MaxMarginClassifier", "MinimumNormRegressor",
           "NotSeparableWarning"]

LACKING = 1e-9        # of a margin of one, relatively: less is rounding
# what a loss of two classes is called for more of them
SEVERAL = {"logistic": "cross_entropy"}
# the probability of the later of two classes, of losses that are −log of one
CHANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "logistic": expit, "cross_entropy": expit, "probit": ndtr}


class NotSeparableWarning(UserWarning):
    """A maximum margin was asked for of data that nothing separates."""


class _Linear(BaseEstimator):
    """What looks at data through ``coef_`` and ``intercept_``, be they dense or sparse."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _scores(self, X: ArrayLike | checks.Sparse) -> np.ndarray:
        """X @ coef_.T + intercept_."""
        check_is_fitted(self)
        rows = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return np.asarray(rows @ self.coef_.T + self.intercept_)


class _LinearClassifier(ClassifierMixin, _Linear):
    """The later of two classes where ⟨w, x⟩ + b > 0, of more the one where it is largest."""

    def _labelled(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """X as float64 and y as it is, checked."""
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
        check_classification_targets(y)
        return X, y

    def _numbered(self, y: np.ndarray) -> np.ndarray:
        """The labels as 0 … K − 1, and ``classes_``."""
        self.classes_, index = np.unique(y, return_inverse=True)
        if self.classes_.size < 2:
            raise ValueError("y must have two classes or more, got 1 class: "
                             f"{checks.short(self.classes_[0])}")
        return np.asarray(index)

    def _least(self, X: Any, index: np.ndarray) -> np.ndarray:
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


class MaxMarginClassifier(_LinearClassifier):
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
        norm = _norm(self.norm, (K, rows.shape[1]) if K > 2 else rows.shape[1:])
        try:
            limit = max_margin(rows, signs, norm, intercept=self.fit_intercept)
        except Inseparable:
            self._fall_back(rows, index, signs, norm)
            return self
        self.limit_: Limit | None = replace(limit, classes=self.classes_)
        self.separable_, self.certified_ = True, limit.certified
        self.margin_, self.support_ = limit.margin, limit.support
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
        found = softest(labelled(X, signs, intercept=self.fit_intercept), norm)
        self._set(found.w, found.intercept)
        self.limit_, self.separable_, self.certified_ = None, False, False
        margins, size = self._least(X, index), float(norm(found.w.ravel()))
        self.margin_ = float(margins.min()) / size if size > 0 else float("nan")
        self.support_ = np.flatnonzero(margins < 1.0 - LACKING)

    def _set(self, w: np.ndarray, b: float | np.ndarray) -> None:
        """Coefficients as scikit-learn lays them out."""
        self.coef_ = np.atleast_2d(w)
        self.intercept_ = np.zeros(len(self.coef_)) + b


def _norm(norm: Norm | str | float, shape: tuple[int, ...]) -> Norm:
    """The norm of that name, or of that p, for predictors of a shape."""
    shaped = {"spectral": norms.spectral, "nuclear": norms.nuclear}
    if isinstance(norm, str) and norm in shaped:
        if len(shape) != 2:
            raise ValueError(f"norm must be one of vectors where there are two classes, got "
                             f"{norm!r}")
        return shaped[norm](*shape)
    if isinstance(norm, Real) and not isinstance(norm, bool):
        return norms.lp(float(norm))
    return checks.one_of("norm", norm, norms, Norm)


def _has_chances(estimator: ImplicitBiasClassifier) -> bool:
    """Whether the loss is −log of a probability."""
    loss = checks.one_of("loss", estimator.loss, losses, Loss)
    if loss.name not in CHANCES or checks.named(losses, Loss)[loss.name] is not loss:
        raise AttributeError(f"the {loss.name} loss is not -log of a probability: "
                             f"{', '.join(CHANCES)} are")
    return True


class ImplicitBiasClassifier(_LinearClassifier):
    """Where an optimiser is after so many updates on an unregularised loss, as a classifier; and
    where theory says that it goes.

    Parameters
    ----------
    method : Method, or the name of one, default "gradient"
        From ``fb.methods``; a name, or the beginning of one, where it needs no more than a step
        size: "gradient", "coordinate", "adagrad", "adam", "rmsprop", "sign", "muon" …
    steps : int ≥ 0, default 10_000
        How many updates, from the method's own start.
    fit_intercept : bool, default True
        Whether there is a last weight on a column of ones, which is inside the method's norm, as
        with gradient methods everywhere (`fastbias.Plan`).
    loss : Loss or its name, default "logistic"
        From ``fb.losses``, summed over samples; with K ≥ 3 classes "logistic" is cross-entropy. A
        loss with a root, such as "squared", is that of labels −1 and +1.
    step_size : float, (K,) array, step rule or "auto", default "auto"
        Of a method that is named: what theory admits, or else from the curvature. A `Method` has
        its own, which any other value than "auto" replaces.
    random_state : int, RandomState or None, default None
        What a method draws from; None: as it was made.

    Attributes
    ----------
    coef_ : (1, d), or (K, d) with K ≥ 3 classes
    intercept_ : (1,) or (K,)
    classes_ : (2,) or (K,) array
        The labels of samples of weight > 0, sorted.
    n_iter_ : int
        Updates done: fewer than asked for where the run came to rest.
    plan_, trace_ : Plan, Trace
        The run, which ``plan_.run`` goes on with, and its rows. They hold the data.
    limit_ : Limit or None
        Where theory says that the run goes (`Plan.limit`), solved when it is first asked for; None
        where no theorem speaks, or its limit was not found: ``plan_.limit()`` says why.
    certified_ : bool
        Whether that is certified: the limit, not that ``coef_`` is there yet, which
        ``trace_.gap(limit_)`` tells.
    support_ : (k,) of int, or None
        Its support vectors, among samples of weight > 0.
    margin_ : float
        The least margin of such a sample over the norm of (w, b), that of ``limit_``, or ℓ2. NaN
        where they are 0.
    n_features_in_, feature_names_in_
        Of X.

    Examples
    --------
    >>> from fastbias.sklearn import ImplicitBiasClassifier
    >>> found = ImplicitBiasClassifier(steps=1000).fit([[3, 0], [5, 1], [0, 0]], [1, 1, 0])
    >>> found.predict([[4, 1]]), found.limit_.theorem[:17], found.certified_
    (array([1]), 'l2 maximum margin', True)
    """

    def __init__(self, method: Method | str = "gradient", steps: float = 10_000,
                 fit_intercept: bool = True, *, loss: Loss | str = "logistic",
                 step_size: StepSize = "auto", random_state: Any = None) -> None:
        self.method = method
        self.steps = steps
        self.fit_intercept = fit_intercept
        self.loss = loss
        self.step_size = step_size
        self.random_state = random_state

    def fit(self, X: ArrayLike | checks.Sparse, y: ArrayLike,
            sample_weight: ArrayLike | None = None) -> ImplicitBiasClassifier:
        """Run the method on X (N, d), dense or sparse, labels y (N,), and weights (N,) ≥ 0.

        Raises
        ------
        RunStopped
            Where the run diverges; it carries the trace up to the last finite iterate.
        ValueError, TypeError
            Where there is one class alone, or an argument is bad.
        """
        rows, named = self._labelled(X, y)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, dtype=np.float64,
                                           ensure_non_negative=True)
            seen = weights > 0
            if not seen.any():
                raise ValueError("sample_weight must have a weight over zero")
            rows, named, weights = rows[seen], named[seen], weights[seen]
        index = self._numbered(named)
        loss = self._loss()
        # (numbers for labels: strings and objects of any kind may be what they are called)
        targets = index if loss.classes else 2 * index - 1
        self.plan_ = Plan(rows, targets, loss=loss, method=self._method(), weights=weights,
                          intercept=self.fit_intercept)
        vars(self).pop("limit_", None)                       # of an earlier fit
        self.trace_: Trace = self.plan_.run(self.steps)
        self.n_iter_ = self.plan_.t
        w = np.atleast_2d(self.plan_.w)
        # of two classes with weights of their own only the difference decides
        w = w[1:] - w[:1] if self.classes_.size == 2 and len(w) == 2 else w
        self.coef_ = w[:, :-1] if self.fit_intercept else w
        self.intercept_ = w[:, -1] if self.fit_intercept else np.zeros(len(w))
        return self

    def _loss(self) -> Loss:
        """The loss, for as many classes as there are."""
        loss = checks.one_of("loss", self.loss, losses, Loss)
        if self.classes_.size == 2 or loss.classes:
            return loss
        known = checks.named(losses, Loss)
        if loss.name not in SEVERAL or loss is not known[loss.name]:
            raise ValueError(f"y must have two classes for the {loss.name} loss, got "
                             f"{self.classes_.size} classes")
        found: Loss = known[SEVERAL[loss.name]]
        return found

    def _method(self) -> Method:
        """The method, with its step size and what it draws from."""
        method = self.method
        if isinstance(method, str):
            method = _made(method, self.step_size)
        elif not isinstance(method, Method):
            raise TypeError("method must come from fb.methods, such as "
                            f"fb.methods.gradient_descent(0.1), or be the name of one, got "
                            f"{checks.short(method)}")
        elif not isinstance(self.step_size, str):
            method = replace(method, rule=as_rule(self.step_size))
        if self.random_state is None:
            return method
        return _seeded(method, int(check_random_state(self.random_state).randint(2 ** 31 - 1)))

    @cached_property
    def limit_(self) -> Limit | None:
        """Where theory says that the run goes, or None."""
        check_is_fitted(self)
        try:
            return replace(self.plan_.limit(), classes=self.classes_)
        # (whoever wants to know why asks the plan)
        except (NoTheorem, ArithmeticError, TooLarge):
            return None

    @property
    def certified_(self) -> bool:
        """Whether ``limit_`` is certified."""
        return self.limit_ is not None and self.limit_.certified

    @property
    def support_(self) -> np.ndarray | None:
        """The support vectors of ``limit_``, or None."""
        return None if self.limit_ is None else self.limit_.support

    @property
    def margin_(self) -> float:
        """The least margin of a sample over ‖(w, b)‖."""
        limit, problem = self.limit_, self.plan_.problem
        norm = norms.l2 if limit is None or limit.norm is None else limit.norm
        w = self.plan_.w
        size = float(norm(w.ravel()))
        return float(problem.margins(w[None])[0]) / size if size > 0 else float("nan")

    @available_if(_has_chances)
    def predict_proba(self, X: ArrayLike | checks.Sparse) -> np.ndarray:
        """The probability (N, K) of each class, by the logistic, probit or cross-entropy loss."""
        scores = self.decision_function(X)
        if scores.ndim > 1:
            return np.asarray(softmax(scores, axis=1))
        chance = CHANCES[checks.one_of("loss", self.loss, losses, Loss).name]
        return np.stack([chance(-scores), chance(scores)], axis=1)


def _made(name: str, step_size: StepSize) -> Method:
    """The method of that name, or of one that begins so, with a step size."""
    makers = {other: vars(methods)[other] for other in methods.__all__ if other != "Method"}
    fit = [other for other in makers if other == name or other.startswith(f"{name}_")]
    if not fit:
        checks.name("method", name, makers)
    wanted = signature(makers[fit[0]]).parameters.values()
    needed = [p.name for p in wanted if p.default is p.empty]
    if not needed:                                        # it has steps of its own
        if not (isinstance(step_size, str) and step_size == "auto"):
            raise ValueError(f"step_size must be \"auto\" for {fit[0]}, which has steps of its own,"
                             f" got {checks.short(step_size)}")
        return makers[fit[0]]()
    if len(needed) > 1:
        raise ValueError(f"method must be a Method where it needs {' and '.join(needed)}: write "
                         f"fb.methods.{fit[0]}({', '.join(needed)}), got {name!r}")
    return makers[fit[0]](step_size)


def _seeded(method: Method, seed: int) -> Method:
    """The method as its factory makes it with another seed, where it takes one."""
    maker, (_, arguments) = getattr(method, "_maker", None), getattr(method, "recipe", ("", {}))
    if maker is None or "rng" not in signature(maker).parameters:
        return method
    return replace(maker(**{**arguments, "rng": seed}), rule=method.rule)


class MinimumNormRegressor(RegressorMixin, _Linear):
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
        norm = _norm(self.norm, rows.shape[1:])
        try:
            self.limit_ = minimum_norm(rows, y, norm, intercept=self.fit_intercept)
            self.realisable_ = True
        except Unreachable:
            self.limit_ = _nearest(rows, y, norm, self.fit_intercept)
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
                   hypotheses=(*found.hypotheses, told))
