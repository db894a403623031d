"""What is being solved: data, loss, method, model and start, checked and converted once.

A `Problem` is what a plan runs, a trace refers to, and the theory reasons about.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fastbias import checks, losses, models
from fastbias.losses import Loss
from fastbias.methods import Method
from fastbias.models import Model
from fastbias.potentials import Potential

__all__ = ["Problem", "make"]


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
    if k and not np.allclose(X, X.reshape(-1, k, k).transpose(0, 2, 1).reshape(X.shape), rtol=1e-14, atol=0):
        raise ValueError("X must hold symmetric matrices for predictors that are symmetric, got others: (X + Xᵀ)/2 gives "
                         "the same predictions")
    return Problem(X, y, loss, method, model, _start(start, n, method, model), shape)


def _start(start: Any, n: int, method: Method, model: Model) -> np.ndarray:
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
        return psi.start(n) if method.constraint is None else psi.project(*method.constraint, np.zeros(n))[0]
    if model.linear or not isinstance(start, (list, tuple)):
        start = checks.array("start", start, "an (n,) array", dims=(1, 2))
    else:
        start = np.concatenate([checks.array("start", layer, "a list of layers", dims=(1, 2)).ravel()
                                for layer in (start if np.ndim(start[0]) else [start])])
    start = np.ascontiguousarray(start.ravel())
    if start.size != n:
        raise ValueError(f"start must have {n} entries, got {start.size}")
    if psi is not None:
        try:
            psi.to_dual(start)
        except ValueError:
            raise ValueError(f"start must lie inside the domain of the {psi.name} potential, "
                             f"got {checks.short(start)}") from None
    if method.constraint is not None:
        Q, c = method.constraint
        if np.abs(Q @ start - c).max() > 1e-9 * max(1.0, float(np.abs(start).max())):
            raise ValueError("start must satisfy the constraint Gw = h, got a residual of "
                             f"{np.abs(Q @ start - c).max():.3g}")
    return start

