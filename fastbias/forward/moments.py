"""Methods that divide by a root of their own squares, once ε is all that they divide by.

Their gradients vanish, ε does not. Then an update is −H∇L, H = η/ε, but for parts that shrink like
1/t: √v is |g| as it was some β₂/(1 − β₂) steps ago, and m is g with the lag τ of its means. To
second order, as everywhere here,

    F = H g/(1 + |g − κ₂ ġ|/ε) + κ H² g'g,   κ₂ = β₂/(1 − β₂),   κ = −τ − ½,

where the change of √v by its lag, κ₂ ġ, is of third order and is kept since κ₂ is 999. With ε
inside the root H = η/√ε, and what v leaves is of third order, too.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fastbias.forward.base import LATE
from fastbias.forward.fields import Linear
from fastbias.pieces.methods.settling import ADADELTA, AMSGRAD, NOTHING, Settling, settling
from fastbias.problem import Problem, Reached
from fastbias.theory.moments import taking_over

__all__ = ["Settled", "settled"]

EASY = 0.1            # √v/ε up to which what is left of √v is a small part of what is divided by
FOLLOWS = 0.1         # relative: the moves that are foreseen, and those that are made
MEMORIES = 40.0       # memories of v, 1/(1 − β₂), in which all that it began with is forgotten
BEGINS = 200.0        # and after which a first handover is tried


@dataclass(frozen=True, eq=False)
class Settled(Linear):
    """The field of such a method at a constant step: x = w, κ = −τ − ½."""

    of: Settling = NOTHING

    @property
    def rounding(self) -> tuple[float, float]:
        """As without momentum."""
        # m and v are kept as they are, not as differences of rounded iterates
        return 2.0, 0.5

    @property
    def first(self) -> int:
        """Many memories of v."""
        return max(super().first, round(BEGINS / (1.0 - self.of.memory)))

    @property
    def least(self) -> int:
        """So many that what v began with is forgotten."""
        return max(super().least, round(MEMORIES / (1.0 - self.of.memory)))

    def parts(self, s: float, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t H g over what ε leaves of √v, and t² H² g'g, (n,) each."""
        a = p @ self.Z
        turn = -((p * r * (self.Z @ a)) @ self.Z)
        if self.of.kind == ADADELTA:
            return a, turn
        # |g|/ε = |a|/(t η), and ġ in the same units
        delay = self.of.squares / (1.0 - self.of.squares)
        root = np.abs(a - delay * np.exp(-s) * turn) * np.exp(-s) / (self.eta * self.of.eps)
        return a / (np.hypot(1.0, root) if self.of.inside else 1.0 + root), turn

    def drift(self, s: float, x: np.ndarray, p: np.ndarray,
              r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dm/ds and dw/ds."""
        if s >= LATE:
            return super().drift(s, x, p, r)
        lead, turn = self.parts(s, p, r)
        dw = lead + self.kappa * np.exp(-s) * turn
        return self.Z @ dw, dw

    def missed(self, here: Reached) -> float:
        """What the last move differs by from the field's, as long as the means remember."""
        s = float(np.log(float(here.t)))
        p, r = self.pushes(float(self.variable(np.array(s))),
                           self.clock(np.array(s)) - self.margins(here.u))
        lead, turn = self.parts(s, p, r)
        # a step that ends here, not one that begins
        move = np.exp(-s) * (lead + (self.kappa - 0.5) * np.exp(-s) * turn)
        return float(np.abs(here.move - move).max()) * 2.0 / (1.0 - self.of.memory)

    def premature(self, here: Reached) -> str | None:
        """Why ε is not yet all that is divided by, and when it will be."""
        if self.of.kind == ADADELTA:
            # its v stands in units of −∇L
            over, t, rate = float(np.log(np.sqrt(here.state[0].max()) / self.of.eps)), here.t, None
        else:
            over, t, rate = taking_over(replace(self.problem, reached=here), self.of.eps)
        if over > np.log(EASY):
            when = "" if rate is None else \
                f" before t ≈ {t + max(over, 0.0) / rate:.3g} (the loss falls like e^(−rt), r = " \
                f"{rate:.6g})"
            return (f"√v is still {np.exp(min(over, 700.0)):.3g} ε, which does not take over"
                    f"{when}; until then no field is known")
        share = self.missed(here) * 0.5 * (1.0 - self.of.memory) \
            / max(float(np.abs(here.move).max()), 1e-300)
        return None if share <= FOLLOWS else \
            "its means still hold gradients from before ε took over"


@dataclass(frozen=True, eq=False)
class AMSGrad(Settled):
    """AMSGrad: the greatest v so far stays as gradients vanish, so that it is gradient descent in a
    metric, D = √v + ε, for ever.
    """

    def follow(self, here: Reached, rows: np.ndarray, rtol: float) -> tuple[np.ndarray, np.ndarray]:
        """As any field, in that metric."""
        return super(AMSGrad, self._in(here)).follow(here, rows, rtol)

    def _in(self, here: Reached) -> AMSGrad:
        """The same in the metric that a run has come to."""
        return replace(self, solve=frozen(here, self.of))

    def parts(self, s: float, p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """D⁻¹ times t g, and t² times its change."""
        turn = -((p * r * (self.gram @ p)) @ self.moves)
        return p @ self.moves, turn

    def missed(self, here: Reached) -> float:
        """As above, in that metric."""
        return super(AMSGrad, self._in(here)).missed(here)

    def premature(self, here: Reached) -> str | None:
        """Why the greatest v is not behind it."""
        _, v, _, kept = here.state[:4]
        # v would have to rise again to be the greatest
        if ((v >= kept * (1.0 - 1e-9)) & (v > 0)).any():
            return "the greatest v so far is the present one, so what it divides by still grows"
        return None


def frozen(here: Reached, of: Settling) -> Callable[[np.ndarray], np.ndarray]:
    """Rows over D, where the greatest v so far stands."""
    _, _, scale, kept = here.state[:4]
    v = kept * np.exp(2.0 * scale[0])
    D = np.sqrt(v + of.eps ** 2) if of.inside else np.sqrt(v) + of.eps
    return lambda rows: rows / D


def settled(problem: Problem) -> Settled:
    """The field of a problem whose method becomes gradient descent."""
    of = settling(problem.method)
    assert of is not None
    if of.kind == AMSGRAD:
        return AMSGrad(problem, problem.rule(0), 0.0, -of.lag - 0.5, of=of)
    return Settled(problem, problem.rule(0) * of.gain, 0.0, -of.lag - 0.5, of=of)
