"""A modified field: what a method's iterates do in log time, to second order in the step, and how
it is followed.

For a monotone loss the iterates move by O(1/t) a step, so after some exact steps the map u ← u +
inc(u) is the time-1 map of du/dt = inc − ½ inc'·inc + O(inc³), and what that leaves out sums to
O(T^{λ−2}), 0 ≤ λ ≤ 1. In s = log t everything is of size one: only exp(s + log(−ℓ'(m))) is ever
formed. The state holds the slacks v_n = c − m_n, c the clock, beside the parameters, so that
nothing cancels at any t: m_n grows like the clock, v_n has a limit on the support vectors.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastbias.forward.integrate import march
from fastbias.problem import Problem, Reached

__all__ = ["EXPONENT", "FAR", "FAR_RTOL", "LATE", "Field"]

LATE = 60.0          # log t from which the second order, 1/t of the first, is below rounding
BEGIN = 40_000        # exact steps, over 1 − β, before the first handover
LEAST = 1_000         # and under which no estimate is given
# log time after a handover from which on an integration need not be sharper than this
FAR, FAR_RTOL = 40.0, 1e-12
# trial states of an integrator may overshoot: their pushes are held under e^600
EXPONENT = 600.0


@dataclass(frozen=True, eq=False)
class Field:
    """The state is (v, x): slacks v (N,), then the method's own variables x."""

    problem: Problem
    eta: float
    decay: float = 0.0   # a of the step size η/(k + 1)^a

    @cached_property
    def Z(self) -> np.ndarray:
        """Rows z_n = y_n x_n."""
        return self.problem.Z

    @property
    def gaussian(self) -> bool:
        """Whether the loss falls like exp(−m²/2)."""
        return self.problem.loss.tail == "gaussian"

    @cached_property
    def logs(self) -> np.ndarray:
        """The logarithms of the rows' weights (N,)."""
        return self.problem.log_weights

    def clock(self, s: np.ndarray) -> np.ndarray:
        """The clock c at log t = s, in which margins grow linearly: s, or √(2s) for a Gaussian
        tail; s − a log(1 + e^s).
        """
        if self.gaussian:
            return np.sqrt(2.0 * s)
        return np.asarray(s - self.decay * np.logaddexp(0.0, s) if self.decay else s)

    def variable(self, s: np.ndarray) -> np.ndarray:
        """The variable of integration at log t = s: the clock of a Gaussian tail, else log t
        itself.
        """
        return np.sqrt(2.0 * s) if self.gaussian else s

    def time(self, c: float) -> tuple[float, float]:
        """log t, and d log t/dc, where the integration variable is c."""
        return (0.5 * c * c, c) if self.gaussian else (c, 1.0)

    def pushes(self, c: float, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return p = η_t t c (−ℓ'(m)), c the weights of the samples, and r = −d log(−ℓ')/dm (N,)
        at slacks v.
        """
        s, _ = self.time(c)
        loss = self.problem.loss
        assert loss.excess is not None
        assert loss.ratio is not None
        here = float(self.clock(np.array(s)))
        m = here - v
        lead = 0.5 * v * (2.0 * here - v) if self.gaussian else v
        return self.eta * np.exp(np.minimum(lead + loss.excess(m) + self.logs, EXPONENT)), \
            loss.ratio(m)

    # the method's own part ------------------------------------------------------------------------

    def follow(self, here: Reached, rows: np.ndarray, rtol: float) -> tuple[np.ndarray, np.ndarray]:
        """Slacks log t − m (K, N) and parameters (K, n) at log t = rows, along the field from where
        a run stands.
        """
        N = len(self.Z)
        s = np.log(float(here.t))
        x = np.concatenate([self.clock(s) - self.margins(here.u), self.own(here)])
        if rows.size == 0:
            return np.empty((0, N)), np.empty((0, here.u.size))
        # first as sharply as asked; far out, where w is large and only its digits count, 1e-12
        # does, and less would stall
        turn = s + FAR
        near, far = rows[rows <= turn], rows[rows > turn]
        stops = near if far.size == 0 else np.append(near, turn)
        states = march(self.rate, self.exact_jacobian, x, float(self.variable(np.array(s))),
                       self.variable(stops), rtol,
                       rtol * self.scales(x))
        if far.size:
            loose = max(rtol, FAR_RTOL)
            states = np.vstack([states[:-1], march(self.rate, self.exact_jacobian, states[-1],
                                                   float(self.variable(turn)),
                                                   self.variable(far), loose,
                                                   loose * self.scales(states[-1]))])
        slack = (rows - self.clock(rows))[:, None] + states[:, :N]
        return slack, np.array([self.u(state[N:]) for state in states]).reshape(rows.size, -1)

    def margins(self, u: np.ndarray) -> np.ndarray:
        """The margins (N,) of the rows at parameters u."""
        return np.asarray(self.Z @ self.problem.predictor(u))

    def missed(self, here: Reached) -> float:
        """How far from the field a run stands there, its largest entry: where it lies on one."""
        return 0.0

    def own(self, here: Reached) -> np.ndarray:
        """The method's own variables."""
        return here.u

    @property
    def shrinks(self) -> bool:
        """Whether the moves shrink like 1/t in the end."""
        return True

    @property
    def first(self) -> int:
        """The exact steps before a first handover."""
        return int(BEGIN / (1.0 - self.remembers))

    @property
    def least(self) -> int:
        """Those under which no estimate is given."""
        return int(LEAST / (1.0 - self.remembers))

    @property
    def remembers(self) -> float:
        """The share of a velocity that is left a step later."""
        return float(self.problem.method.beta[0])

    def premature(self, here: Reached) -> str | None:
        """Why a run that stands there does not yet move as the field does."""
        return None

    @property
    def until(self) -> float:
        """The log t to which the method itself goes on as it is."""
        return np.inf

    @property
    def rounding(self) -> tuple[float, float]:
        """(c, a): an exact run of t steps in float64 rounds by about c eps ‖w‖ t^a; a random
        walk.
        """
        return 2.0, 0.5

    def u(self, x: np.ndarray) -> np.ndarray:
        """The parameters of the method's own variables."""
        return x

    def size(self, u: np.ndarray) -> np.ndarray:
        """What relative errors of one in parameters u (K, n) do to w at most, its largest entry
        (K,).
        """
        return np.asarray(np.abs(u).max(axis=1, initial=0.0))

    def doubt(self, here: Reached) -> str | None:
        """Why the loss may not go to 0 from where a run stands; None where it is sure to, as convex
        on the linear model.

        Once it is under that of one sample of margin 0, no margin can fall back to 0 along a flow.
        """
        loss, lightest = self.problem.loss, float(self.problem.log_weights.min())
        if (loss.convex and self.problem.model.linear) or self.problem.log_loss(here.u) \
                < loss.log(np.zeros(1), self.problem.y[:1]) + lightest:
            return None
        return (f"the loss is not yet under that of a single sample of margin 0: {loss.name} needs "
                "log L < log ℓ(0), from where on it is sure to go to 0, or samples may stay wrong "
                "for ever")

    def scales(self, state: np.ndarray) -> np.ndarray:
        """What counts as an absolute error of one in each entry of a state."""
        return np.ones(state.size)

    def drift(self, s: float, x: np.ndarray, p: np.ndarray,
              r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rates dm/ds (N,) of the margins and dx/ds, at pushes p and ratios r (N,)."""
        raise NotImplementedError

    def rate(self, c: float, state: np.ndarray) -> np.ndarray:
        """The right-hand side d(v, x)/dc."""
        N = len(self.Z)
        v, x = state[:N], state[N:]
        s, speed = self.time(c)
        p, r = self.pushes(c, v)
        dm, dx = self.drift(s, x, p, r)
        fall = self.decay / (1.0 + np.exp(-s)) if self.decay else 0.0      # −t d log η_t/dt
        # its second-order term, −½ dη/dt G
        speed *= 1.0 + 0.5 * np.exp(-s) * fall if s < LATE else 1.0
        return np.concatenate([(1.0 - fall) - speed * dm, speed * dx])

    def jacobian(self, c: float, state: np.ndarray) -> np.ndarray | None:
        """Its derivative, to leading order; None where the integrator is to take differences."""
        return None

    @property
    def exact_jacobian(self) -> Callable[[float, np.ndarray], np.ndarray] | None:
        """The jacobian, where the field has one."""
        return None if type(self).jacobian is Field.jacobian \
            else self.jacobian  # type: ignore[return-value]
