"""What is being solved: data, loss, method, model and start, checked and converted once.

A trace refers to `Data`; plans run, and theory asks, a `Problem`, which adds how it is solved.
"""
from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import Sparse, foreign, own
from fastbias.checks.columns import entries
from fastbias.checks.sizes import length, lengths, misfits, worst
from fastbias.data import targets
from fastbias.data.held import held
from fastbias.data.rows import (
    Rows,
    blocks,
    demand_symmetric,
    dense,
    largest,
    ldexp,
    signed,
    spread,
    symmetric,
    times,
    with_ones,
)
from fastbias.engine.abi import Piece
from fastbias.engine.call import call, call_weighed
from fastbias.pieces import losses, methods, models
from fastbias.pieces.losses import Loss
from fastbias.pieces.losses.base import log_beyond
from fastbias.pieces.methods import Method
from fastbias.pieces.models import Model
from fastbias.pieces.models.base import Start, flat_start
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.pieces.steps import StepRule

__all__ = ["Data", "Problem", "TooLarge", "gather", "make"]

TIED = 1e-9           # margins so near to the least, relatively, are support vectors
SOLVED = 1e-9         # misfit of equations that have a solution, relative to their largest one
DENSE = 1 << 24       # numbers of sparse data that may be made dense, where theory asks: 128 MB
TINY = 1e-300         # to divide by instead of 0


class TooLarge(ValueError):  # noqa: N818 (it says what X is)
    """Sparse data would have to be made dense, and are too large for that."""


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """Data X (N, d), y (N,) and the loss they are seen through: float64, contiguous, finite.

    X is an array or, never made dense as a whole, a CSR matrix of `scipy.sparse`. Of K columns of
    targets y is (K N,), output after output.
    """

    X: Any   # `fastbias.data.rows.Matrix`; what wants an array asks for a problem that is `whole`
    y: np.ndarray
    loss: Loss
    # of one predictor: (d,), (m, n) where X was (N, m, n), (K, d) for K classes or outputs
    shape: tuple[int, ...]
    # what the labels −1, +1 or 0 … K−1 were called, sorted
    classes: np.ndarray | None = field(default=None, kw_only=True)
    # what the entries of a predictor's last axis are called, where its columns have names
    names: tuple[str, ...] | None = field(default=None, kw_only=True)
    # c (N,), all > 0, of L = Σ c_n ℓ_n; None where all are 1
    weights: np.ndarray | None = field(default=None, kw_only=True)
    # whether the last feature is 1 for each sample, and its weight an intercept
    intercept: bool = field(default=False, kw_only=True)
    # K, how many columns of targets there are; 0 where y was a vector
    columns: int = field(default=0, kw_only=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.X.shape}, {self.loss.name}>"

    @property
    def size(self) -> int:
        """The number of entries of a predictor."""
        return math.prod(self.shape)

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample: (d,) or (m, n)."""
        return self.shape[1:] if self.loss.classes or self.columns else self.shape

    @property
    def targets(self) -> np.ndarray:
        """Y as it was given: (N,), or (N, K) for K columns."""
        return targets.table(self.y, self.columns)

    @property
    def each(self) -> np.ndarray | None:
        """The weight of each entry of y; None where all are 1."""
        return None if self.weights is None else np.tile(self.weights, max(1, self.columns))

    @property
    def labelled(self) -> bool:
        """Whether y are labels, which have margins; through a regression loss, too."""
        return self.loss.kind == "monotone" or (not self.columns
                                                and bool((np.abs(self.y) == 1).all()))

    @property
    def sparse(self) -> bool:
        """Whether X is of `scipy.sparse`."""
        return not isinstance(self.X, np.ndarray)

    @property
    def small(self) -> bool:
        """Whether X is dense, or so small that it may be made so."""
        return not self.sparse or math.prod(self.X.shape) <= DENSE

    def demand_small(self, why: str) -> None:
        """Raise `TooLarge` unless X is dense, or so small that it may be made so."""
        if not self.small:
            raise TooLarge(f"X must be dense, or sparse with N d <= {DENSE}, where {why}, got "
                           f"shape {self.X.shape}")

    @property
    def outputs(self) -> int:
        """K, the predictions that each sample has."""
        return self.size // self.X.shape[1]

    @property
    def called(self) -> list[str] | None:
        """What each entry of a predictor is called, flat; None where columns have no names."""
        return entries(self.names, self.shape, self.classes)

    def predictions(self, w: np.ndarray) -> np.ndarray:
        """Return the predictions (K N,) of w, output after output; ±∞ or NaN beyond float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((w.reshape(self.outputs, -1) @ self.X.T).ravel())

    def __getstate__(self) -> dict[str, Any]:
        # without what was computed of it since
        return {x.name: vars(self)[x.name] for x in fields(self)}

    @cached_property
    def rows(self) -> Rows:
        """The rows z with margin ⟨w, z⟩: y_n x_n, or (e_y − e_c) ⊗ x_n for each c ≠ y."""
        if self.columns:
            raise ValueError(f"y must be labels to have margins, got {self.columns} columns")
        return signed(self.X, self.y, self.outputs)

    @cached_property
    def Z(self) -> np.ndarray:
        """The same as an array (M, size); `TooLarge` where they are sparse, and large."""
        self.demand_small("all rows of it are asked for at once")
        return self.rows.dense()

    @property
    def log_weights(self) -> np.ndarray:
        """The logarithms of the weights (N,), zeros where there are none."""
        return np.zeros(len(self.y)) if self.weights is None else np.log(self.weights)

    @cached_property
    def even(self) -> tuple[Any, np.ndarray]:
        """√c_n x_n (N, d) and √c_n y_n (N,): data whose plain sums of squares are those of
        weighed ones.
        """
        if self.weights is None:
            return self.X, self.y
        root = np.sqrt(self.weights)
        with np.errstate(over="ignore"):
            return times(self.X, root), np.tile(root, max(1, self.columns)) * self.y

    def log(self, p: np.ndarray) -> float:
        """Return log L at predictions p (K N,), as the samples are weighed."""
        return self.loss.log(p, self.y, self.each)

    def pull(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """Return s and g (size,) with −∇L(w) = e^s g."""
        with np.errstate(over="ignore", invalid="ignore"):
            s, q = self.loss.scaled(self.predictions(w), self.y, self.each)
            return s, np.asarray((q.reshape(self.outputs, -1) @ self.X).ravel())

    def slope(self, w: np.ndarray) -> np.ndarray:
        """Return −∇L(w) (size,), infinite or NaN where it is beyond float64."""
        s, g = self.pull(w)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.exp(s) * g)

    def margins(self, w: np.ndarray) -> np.ndarray:
        """Return the least margin (T,) of each of the predictors w (T, ...): the least of Z w."""
        return np.array([self.least(row).min() for row in w])

    def least(self, w: np.ndarray) -> np.ndarray:
        """Return the margin (N,) of each sample: y_n⟨w, x_n⟩, or min_{c ≠ y} ⟨w_y − w_c, x_n⟩."""
        p = self.predictions(w.ravel()).reshape(self.outputs, -1)
        if self.outputs == 1:
            return np.asarray(self.y * p[0])
        own = self.y.astype(int)[None] == np.arange(self.outputs)[:, None]
        return np.asarray(p.T[own.T] - np.where(own, -np.inf, p).max(axis=0))

    def off_cone(self, w: np.ndarray, limit: np.ndarray) -> float:
        """Return how far −∇L(w)/‖∇L(w)‖₂ is from the cone of a limit's support vectors."""
        margins = self.rows.margins(limit.ravel())
        near = margins <= margins.min() + TIED * abs(margins.min())
        support = self.rows.take(np.flatnonzero(near))
        g = self.pull(w.ravel())[1]
        size = length(g)
        if not 0 < size < np.inf:
            return float("nan")
        return float(foreign.ask("the distance from the cone", "scipy.optimize.nnls", support.T,
                                 g / size)[1])

    @cached_property
    def spread(self) -> float:
        """The largest singular value of X, of √c_n x_n where samples have weights."""
        return spread(self.even[0])


@dataclass(frozen=True, eq=False, repr=False)
class Problem(Data):
    """Data with a method, a model, the start u(0) (n,), and the step rule made for these data."""

    method: Method
    model: Model
    start: np.ndarray
    rule: StepRule
    reached: Reached | None = None  # where a run stands, for limits that are measured

    def whole(self, why: str) -> Problem:
        """The same with X dense; `TooLarge` where it is sparse, and large."""
        self.demand_small(why)
        return replace(self, X=dense(self.X)) if self.sparse else self

    @property
    def now(self) -> tuple[np.ndarray, int]:
        """The parameters u (n,) where a run stands, and its t; before any the start, and 0."""
        return (self.start, 0) if self.reached is None else (self.reached.u, self.reached.t)

    def predictor(self, u: np.ndarray) -> np.ndarray:
        """Return w = F(u): (size,) for u (n,), (T, size) for u (T, n)."""
        return self.model.predictor(u, self.size)

    def log_loss(self, u: np.ndarray) -> float:
        """Return log L at u (n,), also where the predictions are beyond float64."""
        # a run that ended there may stand at 1e308
        with np.errstate(over="ignore", invalid="ignore"):
            p = self.predictions(w := self.predictor(u))
        if np.isfinite(p).all() or not np.isfinite(w).all():
            return float(call_weighed(self.loss.log_loss, self.loss.params, self.each, p, self.y))
        # powers of two are taken out of w and X, and put back in log space
        _, powers = np.frexp([np.abs(w).max(), largest(self.X, 0).max()])
        rows = ldexp(self.X, -powers[1], self.X.shape[1])
        p = np.asarray((np.ldexp(w, -powers[0]).reshape(self.outputs, -1) @ rows.T).ravel())
        return log_beyond(self.loss, p, self.y, int(powers.sum()), self.each)

    def descent(self, u: np.ndarray) -> np.ndarray:
        """Return −∇L(u) (n,) in the parameters."""
        v = self.slope(self.predictor(u))
        return np.asarray(v if self.model.linear else self.model.pull(u, v))


class Reached(NamedTuple):
    """Where a run stands."""

    t: int                 # updates done
    u: np.ndarray          # the parameters (n,)
    state: np.ndarray      # the method's own rows (S − 1, n)
    move: np.ndarray       # the last one (n,)


def gather(X: ArrayLike | Sparse, y: ArrayLike, loss: Loss | str,
           known: np.ndarray | None = None, *, weights: ArrayLike | None = None,
           intercept: bool = False) -> Data:
    """Check and convert data and loss; ``known`` is what the labels of other data were called.

    Samples of weight 0 are left out. With ``intercept`` each has a last feature that is 1. Sparse X
    stays so.
    Raises ValueError or TypeError with one sentence. The rule for labels is `checks.labels`.
    """
    rows, names, order = checks.matrix("X", X, mapped=True), own.names(X), own.order(y)
    loss = checks.one_of("loss", loss, losses, Loss)
    if loss.classes and rows.ndim > 2:
        raise ValueError(f"X must be an (N, d) array for the {loss.name} loss, got shape "
                         f"{rows.shape}")
    if checks.flag("intercept", intercept):
        rows = with_ones(rows)
        names = None if names is None else (*names, own.INTERCEPT)
    samples, shape = rows.shape[0], rows.shape[1:]
    y = (checks.named_values("y", y, samples) if loss.kind == "monotone"
         else targets.numbers(y, samples, shape))
    rows, y, weights = targets.seen(rows, y, weights)
    data = Data(held(rows), y, loss, shape, names=names, weights=weights,
                intercept=bool(intercept))
    if loss.kind != "monotone":
        return data if y.ndim == 1 else replace(data, y=targets.flat(y), shape=y.shape[1:] + shape,
                                                columns=y.shape[1])
    y, classes = checks.labels("y", y, where=f" for the {loss.name} loss",
                               signs=not loss.classes, known=known, order=order)
    return replace(data, y=y, classes=classes,
                   shape=(classes.size, *shape) if loss.classes else shape)


def make(data: Data, method: Method, model: Model | str,
         start: ArrayLike | Start | None) -> Problem:
    """Check what is to be done with data; raises ValueError or TypeError with one sentence."""
    if not isinstance(method, Method):
        hint = checks.meant(method, methods) if isinstance(method, str) else ""
        raise TypeError("method must come from fb.methods, such as "
                        f"fb.methods.gradient_descent(0.1), got {checks.short(method)}{hint}")
    model = _model(model)
    _one_geometry(data, method, model)
    _shaped(data, model)
    # from here on the method's geometry is that of predictors of this shape
    method = method.on(data.shape)
    n = model.parameters(data.size)
    _fitting(data, method, model, n)
    u = _start(start, n, data, method, model)
    if not np.isfinite(model.predictor(u, data.size)).all():
        raise ValueError(f"start must make a predictor that is finite, got one of the {model.name} "
                         "model beyond float64")
    problem = Problem(**{x.name: getattr(data, x.name) for x in fields(Data)}, method=method,
                      model=model, start=u, rule=_rule(data, method, model))
    # (at 0 it is finite for every loss there is, and the question costs a pass over the data)
    if u.any() and not problem.log_loss(u) < np.inf:
        raise ValueError(f"start must have a {data.loss.name} loss whose logarithm is finite, got "
                         f"{checks.short(u)}")
    return problem


def _model(model: Model | str) -> Model:
    """The model, or the one of that name; the functions that make one are told to be called."""
    for name in models.__all__:
        maker = getattr(models, name)
        named = maker is model or (isinstance(model, str) and model == name)
        if named and name != "Model" and not isinstance(maker, Model):
            raise TypeError("model must be a Model, got the function that makes one: call it, "
                            f"fb.models.{name}(...)")
    return checks.one_of("model", model, models, Model)


def _one_geometry(data: Data, method: Method, model: Model) -> None:
    """Raise ValueError where a geometry of predictors meets parameters that are others."""
    geometry = method.geometry
    own = method.shaped or getattr(geometry, "shape", None) or getattr(geometry, "symmetric", 0)
    if own and not model.linear:
        raise ValueError(f"model must be linear for {method!r}, whose geometry is that of the "
                         f"predictor, got {model!r}")
    if data.columns and not model.linear:
        raise ValueError(f"model must be linear for y of {data.columns} columns, got {model!r}")


def _shaped(data: Data, model: Model) -> None:
    """Raise ValueError where predictors cannot have the shape that a model asks for."""
    if data.intercept and model.shape is not None and len(model.shape) > 1:
        raise ValueError(f"intercept must be False for the {model.name} model, whose predictor is "
                         f"a matrix {model.shape} with no place for one")
    if model.shape is not None and data.shape not in (model.shape, (model.length,)):
        raise ValueError(f"X must have samples of the shape {model.shape} of the {model.name} "
                         f"model, got {data.shape}")


def _fitting(data: Data, method: Method, model: Model, n: int) -> None:
    """Raise ValueError where sizes of the method or its geometry do not fit data and model."""
    samples = data.X.shape[0]
    geometry: Any = method.geometry       # a norm, a potential, a metric, or none
    method.sampling.demand(samples, data.loss.kind == "monotone")
    if method.point is not None:
        method.point.demand(n)
    if method.constraint is not None and method.constraint[0].shape[1] != n:
        raise ValueError(f"constraint must have {n} columns, got {method.constraint[0].shape[1]}")
    size = getattr(geometry, "size", None)
    if size not in (None, n) and model.linear:
        raise ValueError(f"X must have {size} columns for the {geometry.name} geometry, got {n}")
    if size not in (None, n):
        raise ValueError(f"model must have {size} parameters for the {geometry.name} geometry, got "
                         f"{model.name} with {n}")
    wanted = getattr(geometry, "shape", None)
    if len(data.shape) > 1 and wanted not in (None, data.shape):
        raise ValueError(f"predictors must have the shape {wanted} of the {geometry.name} norm, "
                         f"got {data.shape}")
    n = getattr(geometry, "symmetric", 0)
    if not data.columns:
        demand_symmetric(data.X, n)
    elif n and data.shape != (n, n):
        raise ValueError(f"y must have as many columns as X has, {n}, for the {geometry.name} "
                         f"potential of symmetric matrices, got {data.shape}")


def _rule(data: Data, method: Method, model: Model) -> StepRule:
    """The method's step rule made for the data; ValueError where it has no meaning."""
    rule, loss = method.rule, data.loss
    if rule.monotone and loss.kind != "monotone":
        raise ValueError(f"step_size must have a meaning for the {loss.name} loss, got {rule!r}: "
                         "it is for strictly monotone losses")
    if rule.loss and method.unscaled and not method.decay:
        raise ValueError(f"step_size must have a meaning for {method!r}: its moves have a length "
                         "of their own, which a rule that divides by the loss would blow up")
    if rule.search:
        _searchable(rule, loss, method, model)
    return _divided(rule, data, method, model) if rule.radius else rule


def _divided(rule: StepRule, data: Data, method: Method, model: Model) -> StepRule:
    """A rule that divides by B², with B."""
    if not model.linear or not ((method.memoryless and method.steepest)
                                or method.averages == "all"):
        raise ValueError(f"step_size must have a meaning for {method!r}: Theorem 5's bound is for "
                         "gradient, steepest and coordinate descent on the linear model")
    B = radius(data, method.geometry)
    if not B < 1e150:                                     # B² would leave float64
        raise ValueError(f"X must have samples of a length under 1e150 for {rule!r}, which divides "
                         f"by its square, got {B:g}")
    return replace(rule, params=np.array([rule.params[0], max(B * B, TINY)]))


def _searchable(rule: StepRule, loss: Loss, method: Method, model: Model) -> None:
    """Raise ValueError where an exact line search would not know what it minimises."""
    if not loss.convex:
        raise ValueError(f"step_size must have a meaning for the {loss.name} loss, got {rule!r}: "
                         "it is for convex losses")
    if not model.linear and not (model.degree == 2 and loss.quadratic):
        raise ValueError(f"step_size must have a meaning for the {model.name} model and the "
                         f"{loss.name} loss, got {rule!r}: but for the linear model it is for "
                         "models of degree 2 and the squared loss, a quartic in the step")
    if method.sampling.batch or not method.straight or method.decay or not method.exact:
        raise ValueError(f"step_size must have a meaning for {method!r}: an exact line search "
                         "wants full gradients as they are, a move without momentum or decay")


def radius(data: Data, geometry: object = None) -> float:
    """B = max ‖z‖⋆ over the rows z, in the dual of a norm (ℓ2 for anything else)."""
    dual = geometry.dual if isinstance(geometry, Norm) else lengths
    # lengths are squared: not before they are of size one
    rows = data.rows if data.outputs == 1 and data.sparse else Rows(data.Z)
    top = float(rows.tops.max())
    unit = float(np.exp2(np.floor(np.log2(top)))) if 0 < top < np.inf else 1.0
    return max(float(np.max(dual(some / unit))) for some in blocks(rows.A)) * unit


def _start(start: ArrayLike | Start | None, n: int, data: Data, method: Method,
           model: Model) -> np.ndarray:
    """The user's u(0), or the default: argmin ψ for potentials, else 0; it lies inside dom ψ."""
    psi = method.geometry if isinstance(method.geometry, Potential) else None
    if start is None:
        return _default_start(n, psi, method, model)
    if isinstance(start, Start):
        if start.model is not model and start.model.name != model.name:
            raise ValueError(f"start must be one of the {model.name} model, got {start!r}")
        start = start.of(data.size)
    u = (checks.point("start", start, n, data.shape) if model.linear
         else flat_start(start, n, model, data.size))
    if psi is not None and not _inside(psi, u):
        raise ValueError(f"start must lie inside the domain of the {psi.name} potential, got "
                         f"{checks.short(u)}")
    if psi is not None and psi.symmetric and not symmetric(u[None], psi.symmetric):
        raise ValueError("start must be a symmetric matrix")
    _within_metric(method.geometry, u)
    return u


def _within_metric(geometry: object, u: np.ndarray) -> None:
    """Raise ValueError where a metric of the user's own, by its status, is not defined at u."""
    if isinstance(geometry, Piece):
        status = call(geometry, np.empty(0), u, np.zeros(u.size), np.empty(u.size))
        if status != 0:
            raise ValueError(f"start must lie where the metric {geometry!r} is defined, got "
                             f"{checks.short(u)}")


def _default_start(n: int, psi: Potential | None, method: Method, model: Model) -> np.ndarray:
    """Argmin ψ, on the method's constraint where it has one; 0 without a potential."""
    if not model.linear:
        raise ValueError(f"start must be given for the {model.name} model, where 0 is a "
                         "saddle: model.start(scale)")
    if psi is None:
        return np.zeros(n)
    if psi.degenerate and method.natural:
        raise ValueError(f"start must be given for natural gradient with the {psi.name} "
                         "potential: its Hessian is singular at argmin ψ")
    if method.constraint is None:
        return psi.start(n)
    start = np.full(n, np.nan)
    with suppress(foreign.Unsolved):
        start = psi.project(*method.constraint, np.zeros(n))[0]
    met = np.isfinite(start).all() and worst(misfits(*method.constraint, start)) <= SOLVED
    if not met or not _inside(psi, start):
        raise ValueError(f"constraint must have a point inside the domain of the {psi.name} "
                         "potential to start from")
    return start


def _inside(psi: Potential, w: np.ndarray) -> bool:
    with suppress(ValueError):
        psi.to_dual(w)
        return True
    return False
