"""The fields of the linear model; `fastbias.forward.choice` says which follows whom.

A field is clock, own, drift, jacobian and u, see `fastbias.forward.base`.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastbias.checks import foreign
from fastbias.forward.base import EXPONENT, LATE, Field
from fastbias.forward.integrate import march
from fastbias.pieces import norms
from fastbias.pieces.potentials import Potential
from fastbias.problem import Reached
from fastbias.solvers.limit import NoTheorem
from fastbias.solvers.margins import separator, widest

__all__ = ["Field"]


@dataclass(frozen=True, eq=False)
class Linear(Field):
    """Moves that are linear in the gradient, D⁻¹g: gradient descent, quadratic norms and
    potentials; momentum β, γ.

    With momentum the iterates follow, after some 1/(1 − β) steps, F = εG + κ ε² G'G, ε = η/(1 − β),
    κ = γ − ½(1+β)/(1−β).
    """

    kappa: float = -0.5
    beta: float = 0.0
    solve: Callable[[np.ndarray], np.ndarray] | None = None     # rows g (K, d) → D⁻¹ g

    @property
    def rounding(self) -> tuple[float, float]:
        # a velocity in units in the last place falls only when 1 − β of it is half a unit: it lags
        # behind by ½/(1 − β)
        return (0.5 / (1.0 - self.beta), 1.0) if self.beta else (2.0, 0.5)

    @property
    def remembers(self) -> float:
        return self.beta

    @cached_property
    def moves(self) -> np.ndarray:
        """D⁻¹z_n (N, d)."""
        return self.Z if self.solve is None else self.solve(self.Z)

    @cached_property
    def gram(self) -> np.ndarray:
        """Z D⁻¹ Zᵀ (N, N)."""
        return self.Z @ self.moves.T

    def growth(self, s: float, p: np.ndarray, r: np.ndarray) -> np.ndarray:
        """How fast margins grow (N,) in log time, to first order."""
        return np.asarray(self.gram @ p)

    def drift(self, s: float, x: np.ndarray, p: np.ndarray,
              r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weights = p * (1.0 - self.kappa * np.exp(-s) * r * self.growth(s, p, r)) if s < LATE else p
        dw = weights @ self.moves
        return self.Z @ dw, dw

    def jacobian(self, c: float, state: np.ndarray) -> np.ndarray:
        N = len(self.Z)
        p, r = self.pushes(c, state[:N])
        speed = self.time(c)[1]
        J = np.zeros((state.size, state.size))
        J[:N, :N] = -speed * self.gram * (p * r)
        J[N:, :N] = speed * self.moves.T * (p * r)
        return J


@dataclass(frozen=True, eq=False)
class Power(Field):
    """Steepest descent in ℓp, 1 < p ≤ 2: Δ_j = ‖g‖_q^{2−q} |g_j|^{q−1} sign g_j, a continuously
    differentiable map of g.
    """

    q: float = 2.0

    def drift(self, s: float, x: np.ndarray, p: np.ndarray,
              r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        g = p @ self.Z
        M = float(np.abs(g).max())
        if not 0.0 < M < np.inf:
            return self.Z @ g, g
        a, q = g / M, self.q
        size = float((np.abs(a) ** q).sum() ** (1.0 / q))
        lead = size ** (2.0 - q) * np.abs(a) ** (q - 1.0) * np.sign(a)
        dw = M * lead
        if s < LATE:
            dg = -((p * r * (self.Z @ dw)) @ self.Z)       # how g changes along the move
            turn = (q - 1.0) * size ** (2.0 - q) * np.abs(a) ** (q - 2.0) * dg
            stretch = (2.0 - q) * size ** (2.0 - 2.0 * q) * np.abs(a) ** (q - 1.0) * np.sign(a)
            turn = turn + stretch * ((np.abs(a) ** (q - 1.0) * np.sign(a)) @ dg)
            dw = dw - 0.5 * np.exp(-s) * turn
        return self.Z @ dw, dw


@dataclass(frozen=True, eq=False)
class Mirror(Field):
    """Mirror descent: x = θ = ∇ψ(w), dθ = g, and dw = ∇²ψ(w)⁻¹ dθ."""

    @property
    def psi(self) -> Potential:
        """The potential."""
        g = self.problem.method.geometry
        assert isinstance(g, Potential)
        return g

    def own(self, here: Reached) -> np.ndarray:
        return here.state[0]

    def u(self, x: np.ndarray) -> np.ndarray:
        return self.psi.to_primal(x)

    def scales(self, state: np.ndarray) -> np.ndarray:
        N = len(self.Z)
        scales = np.ones(state.size)
        scales[N:] = np.maximum(np.abs(state[N:]).max(), 1e-300)
        return scales

    def drift(self, s: float, x: np.ndarray, p: np.ndarray,
              r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w = self.psi.to_primal(x)
        dx = p @ self.Z
        if s < LATE:
            dx = dx + 0.5 * np.exp(-s) * ((p * r * (self.Z @ self.psi.solve(w, dx))) @ self.Z)
        return self.Z @ self.psi.solve(w, dx), dx


@dataclass(frozen=True, eq=False)
class Level(Mirror):
    """Mirror descent where θ grows exponentially, as with cosh: x = w, dw = ∇²ψ(w)⁻¹ dθ, in which
    all is of size one.

    Margins then grow more slowly than log t, and the slacks with it.
    """

    def own(self, here: Reached) -> np.ndarray:
        return here.u

    def u(self, x: np.ndarray) -> np.ndarray:
        return x

    def scales(self, state: np.ndarray) -> np.ndarray:
        return np.ones(state.size)

    def drift(self, s: float, x: np.ndarray, p: np.ndarray,
              r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dual = p @ self.Z
        if s < LATE:
            second = 0.5 * np.exp(-s) * ((p * r * (self.Z @ self.psi.solve(x, dual))) @ self.Z)
            # (of a trial state far off)
            dual = dual + second if np.isfinite(second).all() else dual
        dw = self.psi.solve(x, dual)
        return self.Z @ dw, dw

    def jacobian(self, c: float, state: np.ndarray) -> np.ndarray:
        """Of the first order."""
        N, w, speed = len(self.Z), state[len(self.Z):], self.time(c)[1]
        p, r = self.pushes(c, state[:N])
        dual, h = p @ self.Z, 1e-6 * np.maximum(np.abs(w), 1.0)
        J = np.empty((state.size, state.size))
        J[N:, :N] = speed * np.array([self.psi.solve(w, row) for row in (p * r)[:, None]
                                      * self.Z]).T
        J[N:, N:] = speed * np.array([(self.psi.solve(w + e, dual) - self.psi.solve(w - e, dual))
                                      / (2.0 * e.sum())
                                      for e in np.diag(h)]).T
        J[:N] = -self.Z @ J[N:]
        return J


@dataclass(frozen=True, eq=False)
class AdaGrad(Field):
    """AdaGrad: x = (w, G), inc = (η g/√(G + g² + ε), g²)."""

    eps: float = 0.0

    def own(self, here: Reached) -> np.ndarray:
        return np.concatenate([here.u, here.state[0]])

    def u(self, x: np.ndarray) -> np.ndarray:
        return x[: x.size // 2]

    def drift(self, s: float, x: np.ndarray, p: np.ndarray,
              r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        d, t = x.size // 2, np.exp(-s)
        g, G = p @ self.Z / self.eta, x[d:]                          # t times the gradient
        A = G + (t * g) ** 2 + self.eps
        root = np.sqrt(np.where(A > 0, A, 1.0))
        dw, dG = self.eta * g / root, t * g * g
        if s < LATE:
            # t times the change of t g along the move
            dg = -((p * r * (self.Z @ dw)) @ self.Z) / self.eta
            dA = dG + 2.0 * t * g * t * dg
            dw, dG = (dw - 0.5 * t * self.eta * (dg / root - 0.5 * g * dA / root ** 3),
                      dG - 0.5 * t * (2.0 * t * g * dg))
        return self.Z @ dw, np.concatenate([dw, dG])


@dataclass(frozen=True, eq=False)
class Nesterov(Field):
    """Gradient descent with β = γ = (k + a)/(k + a + 3), Nesterov's sequence: L falls like 1/t²,
    margins grow like 2 log t.

    With τ = k + a + 3/2 and s = log τ, the state is (v, w, ẇ), v = 2s − m and
    dẇ/ds = −2ẇ + (1 + 3/(2τ)) Zᵀp − (1/τ) Zᵀ(p r Zẇ), p = η τ² (−ℓ').
    """

    shift: float = 0.0

    @property
    def until(self) -> float:
        return float(np.log(self.problem.method.beta.size))

    @property
    def rounding(self) -> tuple[float, float]:
        # roundings of w are kept as velocities for t/3 steps
        return 2.0, 1.25

    def clock(self, s: np.ndarray) -> np.ndarray:
        return 2.0 * self.variable(s)

    def variable(self, s: np.ndarray) -> np.ndarray:
        return np.asarray(np.logaddexp(s, np.log(self.shift + 1.5)))

    def pushes(self, c: float, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss = self.problem.loss
        assert loss.excess is not None
        assert loss.ratio is not None
        m = 2.0 * c - v
        return self.eta * np.exp(np.minimum(v + loss.excess(m) + self.logs, EXPONENT)), \
            loss.ratio(m)

    def own(self, here: Reached) -> np.ndarray:
        tau = here.t + self.shift + 1.5
        g = self.eta * self.problem.descent(here.u)
        second = g * (1.0 + 1.5 / tau) - 3.0 / tau * here.move
        second = g * (1.0 + 1.5 / tau) - 3.0 / tau * (here.move + 0.5 * second)
        return np.concatenate([here.u, tau * (here.move + 0.5 * second)])

    def u(self, x: np.ndarray) -> np.ndarray:
        return x[: x.size // 2]

    def rate(self, c: float, state: np.ndarray) -> np.ndarray:
        N, d = self.Z.shape
        p, r = self.pushes(c, state[:N])
        speed, e = state[N + d:], np.exp(-c)
        push = (1.0 + 1.5 * e) * p - e * p * r * (self.Z @ speed)
        return np.concatenate([2.0 - self.Z @ speed, speed, push @ self.Z - 2.0 * speed])


@dataclass(frozen=True, eq=False)
class Scaled(Field):
    """Gradient descent with steps η/L: w = t η v + r, v = Σ λ_n z_n the point of the hull nearest
    to 0; r moves slowly.

    Its map is not infinitesimal, but it contracts r to a point, or, where a support vector has
    weight 0, like log t: dr/dt = η(Zᵀσ − v) − ½η² G'G, σ = softmax(−m); what order 2 leaves out
    acts on modes that have died before T.
    """

    @property
    def shrinks(self) -> bool:
        return False

    @property
    def rounding(self) -> tuple[float, float]:
        # moves that stay the same are rounded the same way each time
        return 1.0, 1.0

    def follow(self, here: Reached, rows: np.ndarray, rtol: float) -> tuple[np.ndarray, np.ndarray]:
        Z, eta = self.Z, self.eta
        best = widest(Z, self.problem.shape, norms.l2, separator(Z))
        v = best.w.ravel() * best.margin
        # how much faster than the support vectors' each margin grows
        lead = Z @ v - best.margin ** 2
        lead[lead <= 1e-9 * best.margin ** 2] = 0.0
        begin = np.log(float(here.t))
        if rows.size == 0:
            return np.empty((0, len(Z))), np.empty((0, here.u.size))
        if rows[-1] > 700.0:
            raise NoTheorem("with steps η/L the weights grow like t, so log t must be at most 700 "
                            "for them to fit float64",
                            "fast-forward")

        def weights(s: float, r: np.ndarray) -> np.ndarray:
            x = self.logs - Z @ r - eta * np.exp(min(s, 700.0)) * lead
            q = np.exp(x - x.max())
            return np.asarray(q / q.sum())

        def rate(s: float, r: np.ndarray) -> np.ndarray:
            q = weights(s, r)
            pull = q @ Z - v
            along = Z @ (q @ Z)
            turn = -(q * (along - q @ along)) @ Z              # G'[G], of −∇ log L
            return np.asarray(np.exp(s) * eta * (pull - 0.5 * eta * turn))

        def jacobian(s: float, r: np.ndarray) -> np.ndarray:
            q = weights(s, r)
            centred = Z - q @ Z
            return np.asarray(-np.exp(s) * eta * (centred.T * q) @ centred)

        r = here.u - here.t * eta * v
        q = weights(begin, r)
        values = foreign.ask("the softmax covariance", "numpy.linalg.eigvalsh",
                             ((Z - q @ Z).T * q) @ (Z - q @ Z))
        if eta * values.max(initial=0.0) > 1.9:
            raise NoTheorem("steps η/L so long that they swing to and fro (η λ_max of the softmax "
                            f"covariance is {eta * values.max():.3g}, and must be under 2) are no "
                            "flow", "fast-forward")
        slow = np.concatenate([values[values > 1e-7 * values.max(initial=1e-300)],
                               lead[lead > 0.0]])
        # by then r has come to its point
        rest = np.log(here.t + 80.0 / (eta * slow.min(initial=np.inf)))
        last = min(max(rest, begin + 1e-6), 34.0)
        if rows[-1] > last and (rest > 34.0 or not best.dual[lead == 0.0].min(initial=1.0) > 1e-9):
            raise NoTheorem("a support vector of weight 0, or a sample just behind the support "
                            "vectors, moves r for ever or for very long; it is followed to log t = "
                            f"{last:.3g} only", "fast-forward")
        stops = np.unique(np.append(np.minimum(rows, last), last))
        states = march(rate, jacobian, r, begin, stops, rtol, rtol)
        r = states[np.searchsorted(stops, np.minimum(rows, last))]
        t = np.exp(rows)
        slack = rows[:, None] - r @ Z.T - (t * eta)[:, None] * (best.margin ** 2 + lead)
        return slack, r + (t * eta)[:, None] * v
