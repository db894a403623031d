"""The largest eigenvalue of the Hessian of the loss in the parameters, by its exact products.

∇²L(u) a = F'(u)ᵀ Xᵀ (∂²L/∂p²) X F'(u) a + ∂_a(F'(u)ᵀ) Xᵀ ∂L/∂p: the loss brings its own second
derivative (`Loss.bend`), the model the change of its pullback (`Model.along`), and nothing is a
difference. The scale of a loss that float64 no longer holds is taken out as e^s.
"""
from __future__ import annotations

import math

import numpy as np

from fastbias.checks import foreign
from fastbias.problem import Data, Problem

__all__ = ["Hessian", "logarithms"]

SMALL = 32           # parameters up to which the whole matrix is made, and decomposed
LARGEST = 2048       # and up to which it is where Lanczos does not end


def logarithms(data: Data, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The signs (T,) of the largest eigenvalues at rows u (T, n), and the logarithms of their
    sizes; NaN where they are beyond float64.
    """
    found = [Hessian(data, u).largest() for u in rows]
    signs, logs = np.array(found).reshape(-1, 2).T
    return signs, logs


class Hessian:
    """∇²L(u) = e^s H, H known by its products; `LookupError` where there are no second
    derivatives.
    """

    def __init__(self, data: Data, u: np.ndarray) -> None:
        loss, self.data, self.u = data.loss, data, u
        # (of the linear model F' is the identity, and nothing turns)
        self.model = data.model if isinstance(data, Problem) and not data.model.linear else None
        if loss.bend is None:
            raise LookupError(f"the {loss.name} loss brings no second derivative (`bend`), of "
                              "which a sharpness is made")
        if self.model is not None and self.model.second is None:
            raise LookupError(f"the {self.model.name} model brings no second derivative (`along`), "
                              "of which a sharpness is made")
        self.bend, self.along = loss.bend, None if self.model is None else self.model.second
        w = u if self.model is None else self.model.predictor(u, data.size)
        self.p, self.finite = data.predictions(w), False
        if np.isfinite(self.p).all():
            self._weigh(w)

    def _weigh(self, w: np.ndarray) -> None:
        """The scale s, and in its units what each sample weighs, and the slope Xᵀ ∂L/∂p."""
        data = self.data
        logs = self.bend(self.p, data.y, np.zeros_like(self.p))[0]
        if data.each is not None:
            logs = logs + np.log(data.each)
        slope, g = data.pull(w) if self.model is not None else (-np.inf, np.zeros(data.size))
        top = max(float(logs.max()), slope)
        # (where all has vanished even as logarithms, the Hessian is 0)
        self.s, top = top, top if np.isfinite(top) else 0.0
        self.weights = np.tile(np.exp(logs - top), self.p.size // logs.size)
        self.slope = -math.exp(slope - top) * g
        self.finite = bool(np.isfinite(self.weights).all() and np.isfinite(self.slope).all())

    def times(self, a: np.ndarray) -> np.ndarray:
        """H a (n,)."""
        data, model = self.data, self.model
        change, turned = (a, np.zeros(1)) if self.along is None \
            else self.along(self.u, a, self.slope)
        _, h = self.bend(self.p, data.y, data.predictions(change))
        pulled = np.ascontiguousarray(((self.weights * h).reshape(data.outputs, -1)
                                       @ data.X).ravel())
        return np.asarray((pulled if model is None else model.pull(self.u, pulled)) + turned)

    def largest(self) -> tuple[float, float]:
        """The sign of the largest eigenvalue, and the logarithm of its size."""
        if not self.finite:
            return math.nan, math.nan
        # (what overflows in a product is not finite, and told as such)
        with np.errstate(all="ignore"):
            # always the same, so that the answer is; and hardly orthogonal to an eigenvector
            start = np.random.default_rng(0).normal(size=self.u.size)
            size = float(np.abs(self.times(start)).max())
            if size == 0.0 or not np.isfinite(size):
                return (0.0, -math.inf) if size == 0.0 else (math.nan, math.nan)
            value = self._eigenvalue(start, size)
        if value == 0.0:
            return 0.0, -math.inf
        return math.copysign(1.0, value), math.log(abs(value)) + math.log(size) + self.s

    def _eigenvalue(self, start: np.ndarray, size: float) -> float:
        """The largest eigenvalue of H, in units of a size at which solvers are at home."""
        n, what = self.u.size, "the largest eigenvalue of the Hessian"
        if n > SMALL:
            operator = foreign.library("scipy.sparse.linalg").LinearOperator(
                (n, n), matvec=lambda a: self.times(np.ravel(a)) / size, dtype=float)
            try:
                return float(foreign.ask(what, "scipy.sparse.linalg.eigsh", operator, k=1,
                                         which="LA", v0=start, return_eigenvectors=False)[0])
            except foreign.Unsolved:
                if n > LARGEST:
                    raise
        # so few parameters that Lanczos' vectors would be as many
        H = np.array([self.times(e) for e in np.eye(n)]) / size
        if not np.isfinite(H).all():
            return math.nan
        return float(foreign.ask(what, "numpy.linalg.eigvalsh", 0.5 * (H + H.T))[-1])
