"""Gradient descent on data that are separable in part, in log time.

With S the span of the rows that no direction makes strict, w = a + v: a grows across S as on
separable data, pushed by the strict rows alone. v contracts within S, at a speed that does not
shrink, to the point where all pushes balance, which the strict rows move less and less from v̄:

    v = v̄ + δ,   δ = H⁻¹ f + O(1/t²),   f = Σ q_n z_n over strict rows, q_n = −ℓ'(m_n) = O(1/t),

H the curvature at v̄ of the other rows' loss. So v is slaved to a once it has contracted, and stands
in no equation of its own: all that δ does to a is to change the strict rows' margins by ⟨z_n, δ⟩,
which is of second order.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastbias.checks import foreign
from fastbias.forward.fields import Linear
from fastbias.problem import Reached
from fastbias.solvers.cones import Cone
from fastbias.solvers.minimiser import Minimiser, curvature, minimise
from fastbias.theory.inseparable import lift, others

__all__ = ["Slaved"]


@dataclass(frozen=True, eq=False)
class Slaved(Linear):
    """A field of moves D⁻¹g on data taken apart; the state is (v, a), v_n = s − m_n of strict rows
    at δ = 0.

    ``E`` (d, r) lifts S: w = a + E Bᵀw, BᵀE = I, with a and E Bᵀw orthogonal in the metric D.
    """

    parts: Cone | None = None

    @cached_property
    def strict(self) -> np.ndarray:
        """The strict rows (N', d)."""
        assert self.parts is not None
        return np.asarray(self.problem.Z[self.parts.strict])

    @cached_property
    def basis(self) -> np.ndarray:
        """B (d, r)."""
        assert self.parts is not None
        return self.parts.basis

    @cached_property
    def lifted(self) -> np.ndarray:
        """E (d, r)."""
        return lift(self.problem, self.basis)

    @cached_property
    def Z(self) -> np.ndarray:
        """The strict rows' parts across S: ⟨z, a⟩ = ⟨Z, w⟩."""
        return np.asarray(self.strict - (self.strict @ self.lifted) @ self.basis.T)

    @cached_property
    def finite(self) -> Minimiser:
        """v̄."""
        assert self.parts is not None
        return minimise(others(self.problem, self.parts), self.basis)

    @cached_property
    def rest(self) -> np.ndarray:
        """E Bᵀv̄ (d,)."""
        return np.asarray(self.lifted @ (self.basis.T @ self.finite.w))

    @cached_property
    def yielding(self) -> np.ndarray:
        """H⁻¹ (r, r), in the coordinates of B."""
        assert self.parts is not None
        H = self.basis.T @ curvature(others(self.problem, self.parts), self.finite.w) @ self.basis
        return np.asarray(foreign.ask("the curvature of the samples that overlap",
                                      "scipy.linalg.inv", H))

    @cached_property
    def inner(self) -> np.ndarray:
        """The strict rows as S sees them (N', r)."""
        return np.asarray(self.strict @ self.lifted)

    @cached_property
    def second(self) -> np.ndarray:
        return np.asarray(self.kappa * self.gram
                          + self.inner @ self.yielding @ self.inner.T / self.eta)

    def margins(self, u: np.ndarray) -> np.ndarray:
        return np.asarray(self.Z @ u + self.strict @ self.rest)

    def own(self, here: Reached) -> np.ndarray:
        return np.asarray(here.u - self.lifted @ (self.basis.T @ here.u))

    def swayed(self, s: np.ndarray, slack: np.ndarray) -> np.ndarray:
        """Bᵀδ (K, r) at log t = s (K,), for slacks (K, N') of strict rows."""
        p = np.array([self.pushes(float(c), v)[0] for c, v in zip(s, slack, strict=True)])
        return np.asarray(np.exp(-s)[:, None] * (p @ self.inner @ self.yielding.T) / self.eta)

    def missed(self, here: Reached) -> float:
        s = np.array([np.log(float(here.t))])
        off = self.basis.T @ (here.u - self.finite.w) \
            - self.swayed(s, (s - self.margins(here.u))[None])[0]
        return float(np.abs(self.lifted @ off).max(initial=0.0))

    def follow(self, here: Reached, rows: np.ndarray, rtol: float) -> tuple[np.ndarray, np.ndarray]:
        assert self.parts is not None
        slack, a = super().follow(here, rows, rtol)
        sway = self.swayed(rows, slack)
        whole = np.empty((rows.size, self.parts.strict.size))
        whole[:, self.parts.strict] = slack - sway @ self.inner.T
        finite = self.rest + sway @ self.lifted.T
        whole[:, ~self.parts.strict] = rows[:, None] \
            - finite @ self.problem.Z[~self.parts.strict].T
        return whole, a + finite
