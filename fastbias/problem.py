"""What is being solved: data, loss, method, model and start, checked and converted once.

`Data` is what a trace refers to; a `Problem`, which adds how it is solved, is what a plan runs and the theory reasons about.
"""
from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import length, lengths, misfits, row_lengths, worst
from fastbias.engine.abi import Piece
from fastbias.engine.call import call
from fastbias.pieces import losses, models
from fastbias.pieces.losses import Loss
from fastbias.pieces.losses.base import log_beyond
from fastbias.pieces.methods import Method
from fastbias.pieces.models import Model
from fastbias.pieces.models.base import Start
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.pieces.steps import StepRule

__all__ = ["Data", "Problem", "Unreachable", "gather", "make", "reachable", "signed", "zero_rows"]


MOST = 2 ** 30        # numbers of the rows (e_y − e_c) ⊗ x


@dataclass(frozen=True, eq=False)
class Data:
    """Data X (N, d), y (N,) and the loss they are seen through: float64, contiguous, finite."""

    X: np.ndarray
    y: np.ndarray
    loss: Loss
    shape: tuple[int, ...]  # of one predictor: (d,), (m, n) where X was (N, m, n), (K, d) for K classes
    classes: np.ndarray | None = field(default=None, kw_only=True)  # what the labels −1, +1 or 0 … K−1 were called, sorted

    @property
    def size(self) -> int:
        """The number of entries of a predictor."""
        return math.prod(self.shape)

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample: (d,) or (m, n)."""
        return self.shape[1:] if self.loss.classes else self.shape

    @property
    def outputs(self) -> int:
        """K, the predictions that each sample has."""
        return self.size // self.X.shape[1]

    def predictions(self, w: np.ndarray) -> np.ndarray:
        """Return the predictions (K N,) of w, output after output; infinite or NaN where they are beyond float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((w.reshape(self.outputs, -1) @ self.X.T).ravel())

    @cached_property
    def Z(self) -> np.ndarray:
        """The rows z (M, size) with margin ⟨w, z⟩: y_n x_n, or (e_y − e_c) ⊗ x_n for each sample and each class c ≠ y."""
        return signed(self.X, self.y, self.outputs)

    def pull(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """Return s and g (size,) with −∇L(w) = e^s g."""
        with np.errstate(over="ignore", invalid="ignore"):
            s, q = self.loss.scaled(self.predictions(w), self.y)
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
        """Return the margin (N,) of each sample: y_n⟨w, x_n⟩, or its least ⟨w_y − w_c, x_n⟩ over c ≠ y."""
        p = self.predictions(w.ravel()).reshape(self.outputs, -1)
        if self.outputs == 1:
            return np.asarray(self.y * p[0])
        own = self.y.astype(int)[None] == np.arange(self.outputs)[:, None]
        return np.asarray(p.T[own.T] - np.where(own, -np.inf, p).max(axis=0))

    def off_cone(self, w: np.ndarray, limit: np.ndarray) -> float:
        """Return how far −∇L(w)/‖∇L(w)‖₂ is from the cone of the support vectors of a direction: Lemma 8's residual."""
        margins = self.Z @ limit.ravel()
        support = self.Z[margins <= margins.min() + 1e-9 * abs(margins.min())]
        g = self.pull(w.ravel())[1]
        size = length(g)
        if not 0 < size < np.inf:
            return float("nan")
        return float(foreign.ask("the distance from the cone", "scipy.optimize.nnls", support.T, g / size)[1])

    @cached_property
    def spread(self) -> float:
        """The largest singular value of X."""
        largest = float(np.abs(self.X).max()) or 1.0
        return float(foreign.ask("the largest singular value of X", "numpy.linalg.norm", self.X / largest, 2)) * largest


@dataclass(frozen=True, eq=False)
class Problem(Data):
    """Data with a method, a model, the start u(0) (n,), and the method's step rule with what it takes from the data."""

    method: Method
    model: Model
    start: np.ndarray
    rule: StepRule
    reached: Reached | None = None  # where a run stands, for limits that are measured

    def predictor(self, u: np.ndarray) -> np.ndarray:
        """Return w = F(u): (size,) for u (n,), (T, size) for u (T, n)."""
        return self.model.predictor(u, self.size)

    def log_loss(self, u: np.ndarray) -> float:
        """Return log L at u (n,), also where the predictions are beyond float64; infinity or NaN where log L is."""
        with np.errstate(over="ignore", invalid="ignore"):     # a run that ended there may stand at 1e308
            w = self.predictor(u)
            p = self.predictions(w)
        if np.isfinite(p).all() or not np.isfinite(w).all():
            return float(call(self.loss.log_loss, self.loss.params, p, self.y))
        _, powers = np.frexp([np.abs(w).max(), np.abs(self.X).max()])
        rows = np.ldexp(self.X, -powers[1])
        p = np.asarray((np.ldexp(w, -powers[0]).reshape(self.outputs, -1) @ rows.T).ravel())
        return log_beyond(self.loss, p, self.y, int(powers.sum()))

    def descent(self, u: np.ndarray) -> np.ndarray:
        """Return −∇L(u) (n,) in the parameters."""
        v = self.slope(self.predictor(u))
        return np.asarray(v if self.model.linear else self.model.pull(u, v))


class Reached(NamedTuple):
    """Where a run stands: updates done, parameters u (n,), the method's own rows of state (S − 1, n), the last move (n,)."""

    t: int
    u: np.ndarray
    state: np.ndarray
    move: np.ndarray


def signed(X: np.ndarray, y: np.ndarray, classes: int = 1) -> np.ndarray:
    """The rows z whose products with w are the margins: y_n x_n, or (e_y − e_c) ⊗ x_n, c ≠ y, for K > 1 classes."""
    if classes == 1:
        return np.ascontiguousarray(y[:, None] * X)
    numbers = X.size * (classes - 1) * classes
    if numbers > MOST:
        raise ValueError(f"labels must be so few that all pairs of them fit into memory, got {classes} classes of "
                         f"{len(X)} samples, {numbers * 8 / 1e9:.3g} GB")
    own = y.astype(int)
    sample, other = np.nonzero(np.arange(classes) != own[:, None])
    Z = np.zeros((sample.size, classes, X.shape[1]))
    Z[np.arange(sample.size), own[sample]] = X[sample]
    Z[np.arange(sample.size), other] -= X[sample]
    return Z.reshape(sample.size, -1)


def zero_rows(X: np.ndarray) -> str:
    """Say which samples are all zeros, and what follows; "" where none is."""
    rows = np.flatnonzero(~X.reshape(len(X), -1).any(axis=1))
    if not rows.size:
        return ""
    if rows.size == 1:
        return f"row {rows[0]} of X is all zeros, so its margin is 0 for every w"
    shown = ", ".join(map(str, rows[:4])) + (", …" if rows.size > 4 else "")
    return f"rows {shown} of X are all zeros, so their margins are 0 for every w"


def gather(X: Any, y: Any, loss: Any, known: np.ndarray | None = None) -> Data:
    """Check and convert data and loss; ``known`` is what the labels of other data were called, for the same mapping.

    Raises ValueError or TypeError with one sentence. The rule for labels is `checks.labels`.
    """
    X = checks.array("X", X, "an (N, d) or (N, m, n)", dims=(2, 3))
    shape = X.shape[1:]
    X = X.reshape(X.shape[0], -1)
    loss = checks.one_of("loss", loss, losses, Loss)
    if loss.classes and len(shape) > 1:
        raise ValueError(f"X must be an (N, d) array for the {loss.name} loss, got shape {(X.shape[0], *shape)}")
    if loss.kind == "monotone":
        y, names = checks.labels("y", y, X.shape[0], where=f" for the {loss.name} loss", signs=not loss.classes, known=known)
        return Data(X, y, loss, (names.size, *shape) if loss.classes else shape, classes=names)
    y = checks.array("y", y, "an (N,) array", dims=1)
    if y.size != X.shape[0]:
        raise ValueError(f"y must have one entry for each row of X, got {y.size} entries for {X.shape[0]} rows")
    return Data(X, y, loss, shape)


def make(X: Any, y: Any, loss: Any, method: Any, model: Any, start: Any) -> Problem:
    """Check and convert what the user gave; raises ValueError or TypeError with one sentence."""
    data = gather(X, y, loss)
    X, y, loss, shape = data.X, data.y, data.loss, data.shape
    if not isinstance(method, Method):
        raise TypeError(f"method must come from fb.methods, such as fb.methods.gradient_descent(0.1), "
                        f"got {checks.short(method)}")
    makers = [name for name in models.__all__ if name != "Model" and not isinstance(getattr(models, name), Model)]
    for name in (name for name in makers if model is getattr(models, name) or (isinstance(model, str) and model == name)):
        raise TypeError(f"model must be a Model, got the function that makes one: call it, fb.models.{name}(...)")
    model = checks.one_of("model", model, models, Model)
    g = method.geometry
    if not model.linear and (method.shaped or getattr(g, "shape", None) or getattr(g, "symmetric", 0)):
        raise ValueError(f"model must be linear for {method!r}, whose geometry is that of the predictor, got {model!r}")
    if model.shape is not None and shape not in (model.shape, (model.length,)):
        raise ValueError(f"X must have samples of the shape {model.shape} of the {model.name} model, got {shape}")
    method = method.on(shape)
    n = model.parameters(data.size)
    if method.sampling.batch > X.shape[0]:
        raise ValueError(f"batch must be at most the number of samples {X.shape[0]}, got {method.sampling.batch}")
    if method.constraint is not None and method.constraint[0].shape[1] != n:
        raise ValueError(f"constraint must have {n} columns, got {method.constraint[0].shape[1]}")
    geometry = method.geometry
    size = getattr(geometry, "size", None)
    if size is not None and size != n:
        if model.linear:
            raise ValueError(f"X must have {size} columns for the {geometry.name} geometry, got {n}")
        raise ValueError(f"model must have {size} parameters for the {geometry.name} geometry, got {model.name} with {n}")
    wanted = getattr(geometry, "shape", None)
    if len(shape) > 1 and wanted not in (None, shape):
        raise ValueError(f"predictors must have the shape {wanted} of the {geometry.name} norm, "
                         f"got {shape}")
    k = getattr(geometry, "symmetric", 0)
    if k and not symmetric(X, k):
        raise ValueError("X must hold symmetric matrices for predictors that are symmetric, got others: (X + Xᵀ)/2 gives "
                         "the same predictions")
    start = _start(start, n, data.size, method, model, shape)
    if not np.isfinite(model.predictor(start, data.size)).all():
        raise ValueError(f"start must make a predictor that is finite, got one of the {model.name} model beyond float64")
    problem = Problem(X, y, loss, shape, method, model, start, _rule(data, method, model), classes=data.classes)
    if start.any() and not problem.log_loss(start) < np.inf:
        raise ValueError(f"start must have a {loss.name} loss whose logarithm is finite, got {checks.short(start)}")
    return problem


def _rule(data: Data, method: Method, model: Model) -> StepRule:
    """The method's step rule with what it takes from the data; ValueError where it has no meaning."""
    rule, loss = method.rule, data.loss
    if rule.monotone and loss.kind != "monotone":
        raise ValueError(f"step_size must have a meaning for the {loss.name} loss, got {rule!r}: it is for strictly "
                         "monotone losses")
    if rule.loss and method.unscaled and not method.decay:
        raise ValueError(f"step_size must have a meaning for {method!r}: its moves have a length of their own, which a rule "
                         "that divides by the loss would blow up")
    if rule.search and not loss.convex:
        raise ValueError(f"step_size must have a meaning for the {loss.name} loss, got {rule!r}: it is for convex losses")
    if rule.search and not model.linear and not (model.degree == 2 and loss.quadratic):
        raise ValueError(f"step_size must have a meaning for the {model.name} model and the {loss.name} loss, got {rule!r}: "
                         "but for the linear model it is for models of degree 2 and the squared loss, a quartic in the step")
    if rule.search and (method.sampling.batch or not method.straight or method.decay):
        raise ValueError(f"step_size must have a meaning for {method!r}: an exact line search wants full gradients, and a "
                         "move without momentum or weight decay")
    if not rule.radius:
        return rule
    if not model.linear or not (method.steepest or method.averages == "all"):
        raise ValueError(f"step_size must have a meaning for {method!r}: Theorem 5's bound is for gradient, steepest and "
                         "coordinate descent on the linear model")
    B = radius(data, method.geometry)
    if not B < 1e150:
        raise ValueError(f"X must have samples of a length under 1e150 for {rule!r}, which divides by its square, got {B:g}")
    return replace(rule, params=np.array([rule.params[0], max(B * B, 1e-300)]))


def radius(data: Data, geometry: Any = None) -> float:
    """B = max ‖z‖⋆ over the rows z, in the dual of a norm (ℓ2 for anything else)."""
    dual = geometry.dual if isinstance(geometry, Norm) else lengths
    largest = float(np.abs(data.Z).max())                  # lengths are squared: not before they are of size one
    unit = float(np.exp2(np.floor(np.log2(largest)))) if 0 < largest < np.inf else 1.0
    return float(np.max(dual(data.Z / unit))) * unit


def _start(start: Any, n: int, size: int, method: Method, model: Model, shape: tuple[int, ...]) -> np.ndarray:
    """The user's u(0), or the default: argmin ψ for potentials, else 0; it must lie inside dom ψ."""
    psi = method.geometry if isinstance(method.geometry, Potential) else None
    if start is None:
        if not model.linear:
            raise ValueError(f"start must be given for the {model.name} model, where 0 is a saddle: model.start(scale)")
        if psi is None:
            return np.zeros(n)
        if psi.degenerate and method.natural:
            raise ValueError(f"start must be given for natural gradient with the {psi.name} potential: its Hessian is "
                             "singular at argmin ψ")
        if method.constraint is None:
            return psi.start(n)
        with suppress(foreign.Unsolved):
            start = psi.project(*method.constraint, np.zeros(n))[0]
        found = start is not None and np.isfinite(start).all() and worst(misfits(*method.constraint, start)) <= 1e-9
        if not found or not _inside(psi, start):
            raise ValueError(f"constraint must have a point inside the domain of the {psi.name} potential to start from")
        return start
    if isinstance(start, Start):
        if start.model is not model and start.model.name != model.name:
            raise ValueError(f"start must be one of the {model.name} model, got {start!r}")
        start = start.of(size)
    start = checks.point("start", start, n, shape) if model.linear else _flat(start, n, model, size)
    if psi is not None:
        if not _inside(psi, start):
            raise ValueError(f"start must lie inside the domain of the {psi.name} potential, got {checks.short(start)}")
        if psi.symmetric and not symmetric(start[None], psi.symmetric):
            raise ValueError("start must be a symmetric matrix")
    if isinstance(method.geometry, Piece) and call(method.geometry, np.empty(0), start, np.zeros(n), np.empty(n)) != 0:
        raise ValueError(f"start must lie where the metric {method.geometry!r} is defined, got {checks.short(start)}")
    return start


def _flat(start: Any, n: int, model: Model, size: int) -> np.ndarray:
    """The parameters (n,) of a start that may also be a list of layers, or the layer itself where there is but one."""
    shapes = [] if model.layers is None else model.layers(size)          # []: a list of layers of any shapes
    wanted = f"a list of layers of shapes {', '.join(map(str, shapes))}" if shapes else "a list of layers"
    if len(shapes) == 1:
        sole = checks.array("start", start, wanted, dims=(1, 2, 3))
        return checks.point("start", sole[0] if sole.ndim == 3 and len(sole) == 1 else sole, n, shapes[0])
    layers = list(start) if isinstance(start, (list, tuple)) or getattr(start, "ndim", 0) > 1 else []
    if not any(hasattr(layer, "__len__") for layer in layers):
        return checks.point("start", start, n, (n,))
    found = [checks.array("start", layer, wanted, dims=(1, 2)) for layer in layers]
    if shapes and [layer.shape for layer in found] != shapes:
        raise ValueError(f"start must be ({n},) or {wanted}, got {', '.join(str(layer.shape) for layer in found)}")
    return checks.point("start", np.concatenate([layer.ravel() for layer in found]), n, (n,))


def symmetric(rows: np.ndarray, n: int) -> bool:
    """Whether each row is a symmetric n × n matrix."""
    matrices = rows.reshape(-1, n, n)
    return bool(np.allclose(matrices, matrices.transpose(0, 2, 1), rtol=1e-14, atol=0))


def _inside(psi: Potential, w: np.ndarray) -> bool:
    try:
        psi.to_dual(w)
    except ValueError:
        return False
    return True


class Unreachable(ValueError):  # noqa: N818 (it names the event)
    """No point of the closed domain satisfies the equations."""


def reachable(X: np.ndarray, y: np.ndarray) -> None:
    """Raise `Unreachable` where Xw = y has no solution.

    That is where least-squares solutions leave over 1e-9, with rows of length one, as the columns are and with columns of
    length one, too; and where other ones, in which each row is weighed by the terms of its own sum, leave over 1e-6 of these
    in some row: so none can hide behind a huge one.
    """
    columns = row_lengths(X.T)
    for even in (np.ones_like(columns), np.exp2(np.floor(np.log2(columns)))):
        with np.errstate(all="ignore"):
            rows = X / even
            scale = row_lengths(rows)
            rows, goal = rows / scale[:, None], y / scale
            unit = float(np.abs(goal).max()) or 1.0
            goal = goal / unit
        what, solver = "X w = y", "numpy.linalg.lstsq"
        w = foreign.ask(what, solver, rows, goal, rcond=None)[0]
        misfit = worst(np.abs(rows @ w - goal)) / max(float(np.abs(goal).max()), float(np.linalg.norm(w)), 1e-300)
        if misfit <= 1e-9:
            break
    else:
        raise Unreachable(f"y must be reachable by X w, but the least-squares residual is {misfit:.3g}, relatively")
    least = worst(misfits(rows, goal, w))
    for _ in range(5):
        if least > 1e-6:
            terms = np.maximum(np.maximum(np.abs(goal), np.abs(rows) @ np.abs(w)), 1e-300)
            columns = row_lengths((rows / terms[:, None]).T)
            w = foreign.ask(what, solver, rows / terms[:, None] / columns, goal / terms, rcond=None)[0] / columns
            least = min(least, worst(misfits(rows, goal, w)))
    if least > 1e-6:
        raise Unreachable(f"y must be reachable by X w, but whatever w is, some row is off by {least:.3g} of its own terms")
