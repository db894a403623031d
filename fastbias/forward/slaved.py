"""Gradient descent on data that are separable in part, in log time.

With S the span of the rows that no direction makes strict, w = a + v: a grows across S as on
separable data, pushed by the strict rows alone. v contracts within S, at a speed that does not
shrink, to the point where all pushes balance, which the strict rows move less and less from v̄:

    v = v̄ + δ,   G(v̄ + δ) + f = δ̇/η,   f = Σ q_n z_n over strict rows, q_n = −ℓ'(m_n) = O(1/t),

G the others' pull, so that δ = H⁻¹ f + O(1/t²), H their curvature at v̄, and δ̇ follows from how q
falls. So v is slaved to a once it has contracted, and has no equation of its own: all that δ does
to a is to change the strict rows' margins by ⟨z_n, δ⟩.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastbias.checks import foreign
from fastbias.forward.base import LATE, Field
from fastbias.forward.fields import Linear
from fastbias.problem import Data, Reached
from fastbias.solvers.cones import Cone
from fastbias.solvers.minimiser import Minimiser, curvature, minimise
from fastbias.theory.asymptotes import metric
from fastbias.theory.inseparable import lift, orthogonal, others

__all__ = ["Field"]

CHORDS = 50           # steps with a fixed H to the balance, each a factor of the size of δ nearer
NEAR = 1e-2           # from where the finite part settles, within which it is followed
WIDE = 0.5            # changes of margins up to which the balance is solved for
SLIGHT = 1e-9         # changes of margins whose squares are rounding
ROUNDING = 1e-15


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
    def logs(self) -> np.ndarray:
        assert self.parts is not None
        return self.problem.log_weights[self.parts.strict]

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
        assert self.parts is not None
        rows, half = orthogonal(self.problem, self.parts)
        return rows if half is None else rows @ half.T

    @cached_property
    def finite(self) -> Minimiser:
        """v̄."""
        return minimise(self.others, self.basis)

    @cached_property
    def rest(self) -> np.ndarray:
        """E Bᵀv̄ (d,)."""
        return np.asarray(self.lifted @ (self.basis.T @ self.finite.w))

    @cached_property
    def yielding(self) -> np.ndarray:
        """H⁻¹ (r, r), in the coordinates of B."""
        H = self.basis.T @ curvature(self.others, self.finite.w) @ self.basis
        return np.asarray(foreign.ask("the curvature of the samples that overlap",
                                      "scipy.linalg.inv", H))

    @cached_property
    def inner(self) -> np.ndarray:
        """The strict rows as S sees them (N', r)."""
        return np.asarray(self.strict @ self.lifted)

    @cached_property
    def others(self) -> Data:
        """The samples that are not strict."""
        assert self.parts is not None
        return others(self.problem, self.parts)

    @cached_property
    def weight(self) -> np.ndarray:
        """(BᵀD⁻¹B)⁻¹ = EᵀDE (r, r): what a move in S weighs."""
        D = metric(self.problem)
        return np.asarray(self.lifted.T @ (self.lifted if D is None else D @ self.lifted))

    def settling(self, s: float, p: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Bᵀ dδ/ds (r,), to first order: pushes q = e^{−s} p/η fall as margins grow."""
        q = np.exp(-s) * p / self.eta
        return np.asarray(-self.yielding @ ((r * q * (self.gram @ p)) @ self.inner))

    def growth(self, s: float, p: np.ndarray, r: np.ndarray) -> np.ndarray:
        return np.asarray(self.gram @ p + self.inner @ self.settling(s, p, r))

    def sway(self, s: float, slack: np.ndarray) -> np.ndarray:
        """Bᵀδ (r,) at slacks (N',) of strict rows at δ = 0."""
        p, r = super().pushes(s, slack)
        y = self.yielding @ (p @ self.inner) * (np.exp(-s) / self.eta)
        size = float(np.abs(self.inner @ y).max(initial=0.0))
        # what is left out is of the square of that (trial states may be far from any balance)
        for _ in range(CHORDS if SLIGHT < size < WIDE else 0):
            p, r = super().pushes(s, slack - self.inner @ y)
            pull = self.lifted.T @ self.others.slope(self.rest + self.lifted @ y)
            drift = self.weight @ self.settling(s, p, r) - p @ self.inner
            step = self.yielding @ (pull - np.exp(-s) / self.eta * drift)
            y = y + step
            if not float(np.abs(self.inner @ step).max(initial=0.0)) > ROUNDING:
                break
        return np.asarray(y)

    def pushes(self, c: float, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return super().pushes(c, v - self.inner @ self.sway(c, v) if c < LATE else v)

    def margins(self, u: np.ndarray) -> np.ndarray:
        return np.asarray(self.Z @ u + self.strict @ self.rest)

    def own(self, here: Reached) -> np.ndarray:
        return np.asarray(here.u - self.lifted @ (self.basis.T @ here.u))

    def missed(self, here: Reached) -> float:
        s = float(np.log(float(here.t)))
        off, y = self.basis.T @ (here.u - self.finite.w), self.sway(s, s - self.margins(here.u))
        # (a push so large that it does not yet sway the other samples a little)
        off = off - y if np.abs(self.inner @ y).max(initial=0.0) < WIDE else off
        return float(np.abs(self.lifted @ off).max(initial=0.0))

    def doubt(self, here: Reached) -> str | None:
        missed = self.missed(here)
        if missed <= NEAR:
            return None
        B = self.basis
        H = B.T @ curvature(self.others, self.finite.w) @ B
        slow = foreign.ask("how fast the finite part settles", "scipy.linalg.eigh", H, self.weight,
                           eigvals_only=True)
        return (f"the part of w within the span of the samples that overlap is still {missed:.1g} "
                "from where it settles: others still push it, and the slowest of it takes "
                f"{1.0 / (self.eta * slow[0]):.1e} steps to fall by a factor e")

    def follow(self, here: Reached, rows: np.ndarray, rtol: float) -> tuple[np.ndarray, np.ndarray]:
        assert self.parts is not None
        slack, a = super().follow(here, rows, rtol)
        sway = np.array([self.sway(float(s), v) for s, v in zip(rows, slack, strict=True)])
        sway = sway.reshape(rows.size, self.basis.shape[1])
        whole = np.empty((rows.size, self.parts.strict.size))
        whole[:, self.parts.strict] = slack - sway @ self.inner.T
        finite = self.rest + sway @ self.lifted.T
        whole[:, ~self.parts.strict] = rows[:, None] \
            - finite @ self.problem.Z[~self.parts.strict].T
        return whole, a + finite
