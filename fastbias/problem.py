"""What is being solved: data, loss, method, model and start, checked and converted once.

A `Problem` is what a plan runs, a trace refers to, and the theory reasons about.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from fastbias import checks, losses, models
from fastbias.abi import Piece
from fastbias.loop import call
from fastbias.losses import Loss
from fastbias.methods import Method
from fastbias.models import Model
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.steps import StepRule

__all__ = ["Problem", "Unreachable", "make", "reachable"]


@dataclass(frozen=True, eq=False)
class Problem:
    """Data X (N, d), y (N,), loss, method, model, and start u(0) (n,): all float64, contiguous, finite."""

    X: np.ndarray
    y: np.ndarray
    loss: Loss
    method: Method
    model: Model
    start: np.ndarray
    shape: tuple[int, ...]  # of one predictor: (d,), or (m, n) where X was (N, m, n)
    rule: StepRule          # the method's, with what it takes from the data

    def predictor(self, u: np.ndarray) -> np.ndarray:
        """Return w = F(u): (d,) for u (n,), (K, d) for u (K, n)."""
        return self.model.predictor(u, self.X.shape[1])

    def log_loss(self, u: np.ndarray) -> float:
        """Return log L at u (n,)."""
        return self.loss.log(self.X @ self.predictor(u), self.y)

    def descent(self, u: np.ndarray) -> np.ndarray:
        """Return −∇L(u) (n,) in the parameters."""
        v = self.loss.push(self.X @ self.predictor(u), self.y) @ self.X
        return v if self.model.linear else self.model.pull(u, v)

    @cached_property
    def spread(self) -> float:
        """The largest singular value of X."""
        return float(np.linalg.norm(self.X, 2))


def make(X: Any, y: Any, loss: Any, method: Any, model: Any, start: Any) -> Problem:
    """Check and convert what the user gave; raises ValueError or TypeError with one sentence."""
    X = checks.array("X", X, "an (N, d) or (N, m, n)", dims=(2, 3))
    shape = X.shape[1:]
    X = X.reshape(X.shape[0], -1)
    y = checks.array("y", y, "an (N,) array", dims=1)
    if y.size != X.shape[0]:
        raise ValueError(f"y must have one entry for each row of X, got {y.size} entries for {X.shape[0]} rows")
    loss = checks.one_of("loss", loss, losses, Loss)
    if loss.kind == "monotone" and not (np.abs(y) == 1).all():
        values = np.unique(y)
        raise ValueError("labels must be −1 or +1 for the " + loss.name + " loss, got {" + ", ".join(
            f"{v:g}" for v in values[:4]) + (", …}" if values.size > 4 else "}"))
    if not isinstance(method, Method):
        raise TypeError(f"method must come from fb.methods, such as fb.methods.gradient_descent(0.1), "
                        f"got {checks.short(method)}")
    model = checks.one_of("model", model, models, Model)
    n = model.parameters(X.shape[1])
    if method.sampling.batch > X.shape[0]:
        raise ValueError(f"batch must be at most the number of samples {X.shape[0]}, got {method.sampling.batch}")
    if method.constraint is not None and method.constraint[0].shape[1] != n:
        raise ValueError(f"constraint must have {n} columns, got {method.constraint[0].shape[1]}")
    geometry = method.geometry
    size = getattr(geometry, "size", None)
    if size is not None and size != n:
        raise ValueError(f"X must have {size} columns for the {geometry.name} geometry, "  # type: ignore[union-attr]
                         f"got {n}")
    k = getattr(geometry, "symmetric", 0)
    if k and not symmetric(X, k):
        raise ValueError("X must hold symmetric matrices for predictors that are symmetric, got others: (X + Xᵀ)/2 gives "
                         "the same predictions")
    return Problem(X, y, loss, method, model, _start(start, n, method, model, shape), shape,
                   _rule(X, loss, method, model))


def _rule(X: np.ndarray, loss: Loss, method: Method, model: Model) -> StepRule:
    """The method's step rule with what it takes from the data; ValueError where it has no meaning."""
    rule = method.rule
    if rule.monotone and loss.kind != "monotone":
        raise ValueError(f"step_size must have a meaning for the {loss.name} loss, got {rule!r}: it is for strictly "
                         "monotone losses")
    if rule.search and (not model.linear or method.sampling.batch or not method.straight):
        raise ValueError(f"step_size must have a meaning for {method!r}: an exact line search wants the linear model, full "
                         "gradients, and a move without momentum")
    if not rule.radius:
        return rule
    if not model.linear or method.family not in ("gradient", "steepest", "coordinate"):
        raise ValueError(f"step_size must have a meaning for {method!r}: Theorem 5's bound is for gradient, steepest and "
                         "coordinate descent on the linear model")
    dual = method.geometry.dual if isinstance(method.geometry, Norm) else lambda rows: np.linalg.norm(rows, axis=1)
    return replace(rule, params=np.array([rule.params[0], float(np.max(dual(X))) ** 2]))


def _start(start: Any, n: int, method: Method, model: Model, shape: tuple[int, ...]) -> np.ndarray:
    """The user's u(0), or the default: argmin ψ for potentials, else 0; it must lie inside dom ψ."""
    psi = method.geometry if isinstance(method.geometry, Potential) else None
    if start is None:
        if not model.linear:
            raise ValueError(f"start must be given for the {model.name} model: 0 is a saddle of it")
        if psi is None:
            return np.zeros(n)
        if psi.degenerate and method.family == "natural":
            raise ValueError(f"start must be given for natural gradient with the {psi.name} potential: its Hessian is "
                             "singular at argmin ψ")
        if method.constraint is None:
            return psi.start(n)
        start = psi.project(*method.constraint, np.zeros(n))[0]
        if not np.isfinite(start).all() or _off(method.constraint, start) > 1e-9 or not _inside(psi, start):
            raise ValueError(f"constraint must have a point inside the domain of the {psi.name} potential to start from")
        return start
    if not model.linear and isinstance(start, (list, tuple)) and len(start) and np.ndim(start[0]):
        start = np.concatenate([checks.array("start", layer, "a list of layers", dims=(1, 2)).ravel() for layer in start])
    start = checks.point("start", start, n, shape if model.linear else (n,))
    if psi is not None:
        if not _inside(psi, start):
            raise ValueError(f"start must lie inside the domain of the {psi.name} potential, got {checks.short(start)}")
        if psi.symmetric and not symmetric(start[None], psi.symmetric):
            raise ValueError("start must be a symmetric matrix")
    if isinstance(method.geometry, Piece) and call(method.geometry, np.empty(0), start, np.zeros(n), np.empty(n)) != 0:
        raise ValueError(f"start must lie where the metric {method.geometry!r} is defined, got {checks.short(start)}")
    if method.constraint is not None:
        off = _off(method.constraint, start)
        if off > 1e-9:
            raise ValueError(f"start must satisfy the constraint Gw = h, got a relative residual of {off:.3g}")
    return start


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


def _off(constraint: tuple[np.ndarray, np.ndarray], w: np.ndarray) -> float:
    """The largest |Qw − c| relative to the terms of its sums."""
    Q, c = constraint
    return float(np.max(np.abs(Q @ w - c) / np.maximum(np.abs(Q) @ np.abs(w) + np.abs(c), 1e-300)))


class Unreachable(ValueError):  # noqa: N818 (it names the event)
    """No point of the closed domain satisfies the equations."""


def reachable(X: np.ndarray, y: np.ndarray) -> None:
    """Raise `Unreachable` where Xw = y has no solution: with rows of length one, a least-squares residual over 1e-9."""
    lengths = np.linalg.norm(X, axis=1)
    scale = np.where(lengths > 0, lengths, 1.0)
    rows, goal = X / scale[:, None], y / scale
    w = np.linalg.lstsq(rows, goal, rcond=None)[0]
    misfit = float(np.abs(rows @ w - goal).max() / max(float(np.abs(goal).max()), float(np.linalg.norm(w)), 1e-300))
    if misfit > 1e-9:
        raise Unreachable(f"y must be reachable by X w, but the least-squares residual is {misfit:.3g}, relatively")
