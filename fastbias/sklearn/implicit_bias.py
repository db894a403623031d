"""Where an optimiser goes, as a classifier."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr, softmax
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastbias import checks
from fastbias.pieces import losses, methods, norms
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.pieces.methods.base import reseeded
from fastbias.pieces.steps import StepSize, as_rule
from fastbias.problem import TooLarge
from fastbias.running.plan import Plan
from fastbias.sklearn.base import LinearClassifier
from fastbias.solvers.limit import Limit, NoTheorem
from fastbias.trace import Trace

__all__ = ["ImplicitBiasClassifier"]

# what a loss of two classes is called for more of them
SEVERAL = {"logistic": "cross_entropy"}
# the probability of the later of two classes, of losses that are −log of one
CHANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "logistic": expit, "cross_entropy": expit, "probit": ndtr}


def _ours(loss: Loss) -> bool:
    """Whether it is a loss of the package, and none that only has the name of one."""
    return checks.named(losses, Loss).get(loss.name) is loss


def _several(loss: object) -> Loss | None:
    """The loss for three classes or more, None where it is one of two."""
    if not isinstance(loss, Loss):
        return None
    if loss.classes:
        return loss
    found: dict[str, Loss] = checks.named(losses, Loss)
    return found[SEVERAL[loss.name]] if loss.name in SEVERAL and _ours(loss) else None


def _has_chances(estimator: ImplicitBiasClassifier) -> bool:
    """Whether the loss is −log of a probability."""
    loss = checks.one_of("loss", estimator.loss, losses, Loss)
    if loss.name not in CHANCES or not _ours(loss):
        raise AttributeError(f"the {loss.name} loss is not -log of a probability: "
                             f"{', '.join(CHANCES)} are")
    return True


class ImplicitBiasClassifier(LinearClassifier):
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
    >>> found.predict([[4, 1]]), found.limit_.theorem[:21], found.certified_
    (array([1]), 'the l2 maximum margin', True)
    """

    def __init__(self, method: Method | str = "gradient", steps: float = 10_000,
                 fit_intercept: bool = True, *, loss: Loss | str = "logistic",
                 step_size: StepSize = "auto", random_state: object = None) -> None:
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
        # samples of weight 0 are not there: they may have a label of their own
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
                          intercept=self._free)
        self.__dict__.pop("limit_", None)                    # of an earlier fit
        self.trace_: Trace = self.plan_.run(self.steps)
        self.n_iter_ = self.plan_.t
        w = np.atleast_2d(self.plan_.w)
        # of two classes with weights of their own only the difference decides
        w = w[1:] - w[:1] if self.classes_.size == 2 and len(w) == 2 else w
        self.coef_ = w[:, :-1] if self._free else w
        self.intercept_ = w[:, -1] if self._free else np.zeros(len(w))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        loss: Any = self.loss
        tags.classifier_tags.multi_class = loss in (*SEVERAL, *SEVERAL.values()) \
            if isinstance(loss, str) else _several(loss) is not None
        return tags

    def _loss(self) -> Loss:
        """The loss, for as many classes as there are."""
        loss = checks.one_of("loss", self.loss, losses, Loss)
        found = loss if self.classes_.size == 2 else _several(loss)
        if found is None:
            # (how scikit-learn wants it to begin)
            raise ValueError("Only binary classification is supported. The type of the target is "
                             f"multiclass: y must have two classes for the {loss.name} loss, got "
                             f"{self.classes_.size}")
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
        limit = self.limit_
        if limit is None or limit.kind != "direction" or limit.dual is None:
            return None
        # (a matrix of λ has a column a pair of classes)
        held = limit.dual.reshape(len(limit.dual), -1).max(axis=1)
        return np.asarray(np.flatnonzero(held > 0))

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
        # classes are cross-entropy's
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
    # (methods of the user's own have no factory to ask)
    maker, (_, arguments) = getattr(method, "_maker", None), getattr(method, "recipe", ("", {}))
    if maker is None or "rng" not in signature(maker).parameters:
        return method
    return replace(maker(**reseeded(arguments, seed)), rule=method.rule)
