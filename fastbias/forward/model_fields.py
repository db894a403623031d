"""The field of gradient descent on a model w = F(u): the same map, seen from the parameters.

Margins of a homogeneous model of degree L grow like log t, too, so u grows like (log t)^{1/L}, and
p falls as F'(u) grows: nothing is new but that F'(u) turns along a move. What it turns by is part
of the second order, and of the Jacobian, without which the integrator needs half as many
evaluations again.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastbias.forward.base import LATE, Field

__all__ = ["Models"]

# relative, of the central differences that turn F'(u) along a move; up to degree 3 they are exact
NEARBY = 1e-5


@dataclass(frozen=True, eq=False)
class Models(Field):
    """Gradient descent on u, with momentum β, γ as in the linear model (ε, κ): x = u.

    With H (N, n) the rows F'(u)ᵀz_n and a = Hᵀp, du/ds = a + κ e^{−s} (∂_a(F'(u)ᵀ) Zᵀp − Hᵀ(p r ∘
    Ha)), dm/ds = H du/ds.
    """

    kappa: float = -0.5
    beta: float = 0.0

    @property
    def rounding(self) -> tuple[float, float]:
        """As on the linear model."""
        return (0.5 / (1.0 - self.beta), 1.0) if self.beta else (2.0, 0.5)

    def size(self, u: np.ndarray) -> np.ndarray:
        """max_j Σ_i |∂w_j/∂u_i| |u_i|."""
        pulls, units = self.problem.model.pulls, np.eye(self.problem.size)
        return np.array([(np.abs(pulls(row, units)) @ np.abs(row)).max() for row in u])

    def rows(self, u: np.ndarray, V: np.ndarray) -> np.ndarray:
        """F'(u)ᵀv (K, n) for the rows v of V (K, d)."""
        pulls, d = self.problem.model.pulls, V.shape[1]
        return pulls(u, V) if len(V) <= d else V @ pulls(u, np.eye(d))

    def turned(self, u: np.ndarray, a: np.ndarray, V: np.ndarray) -> np.ndarray:
        """How the `rows` change along a move a of u."""
        h = NEARBY * float(np.abs(u).max()) / max(float(np.abs(a).max()), 1e-300)
        return (self.rows(u + h * a, V) - self.rows(u - h * a, V)) / (2.0 * h)

    def drift(self, s: float, x: np.ndarray, p: np.ndarray,
              r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dm/ds and du/ds."""
        H = self.rows(x, self.Z)
        a = p @ H
        if s >= LATE or not a.any():
            return H @ a, a
        second = self.turned(x, a, (p @ self.Z)[None])[0] - (p * r * (H @ a)) @ H
        du = a + self.kappa * np.exp(-s) * second
        return H @ du, du

    def jacobian(self, c: float, state: np.ndarray) -> np.ndarray:
        """Of the first order."""
        N, u, speed = len(self.Z), state[len(self.Z):], self.time(c)[1]
        p, r = self.pushes(c, state[:N])
        H, g = self.rows(u, self.Z), (p @ self.Z)[None]
        # ∂²⟨Zᵀp, F⟩ (n, n)
        bend = np.array([self.turned(u, e, g)[0] for e in np.eye(u.size)])
        J = np.empty((state.size, state.size))
        J[:N, :N] = -speed * (H @ H.T) * (p * r)
        J[:N, N:] = -speed * (H @ bend + self.turned(u, p @ H, self.Z))
        J[N:, :N] = speed * H.T * (p * r)
        J[N:, N:] = speed * bend
        return J
