"""What a network and a λ prove, from these two alone.

Of values y: every network that goes through them costs at least ⟨λ, y⟩/max|φ_λ|, with Σλ = 0 where
the offset is free. Of labels: no margin is over max|φ_{y∘λ}| for λ ≥ 0, Σλ = 1, where the offset is
free with Σ y_n λ_n = 0. The maximum is over all units, face by face (`units`).
"""
from __future__ import annotations

from math import fsum
from typing import NamedTuple

import numpy as np

from fastbias.checks.sizes import lengths, ratio, worst
from fastbias.solvers.limit import CERTIFIED
from fastbias.solvers.relu.networks import Network
from fastbias.solvers.relu.units import Units

__all__ = ["Proof", "interpolates", "separates"]


class Proof(NamedTuple):
    """What is proved.

    Parameters
    ----------
    cost : float
        Σ|a_k| ‖b_k‖, or ‖(b_k, c_k)‖ where biases are counted; for margins at a margin of one.
    gap : float
        (cost − bound)/cost; for margins that of upper and lower bound.
    residual : float
        The largest |f(x_n) − y_n| relative to max|y|; for margins how far the least is from one.
    """

    cost: float
    gap: float
    residual: float

    @property
    def certified(self) -> bool:
        """Whether both are at most 1e-10."""
        return worst(self.gap, self.residual) <= CERTIFIED and np.isfinite(self.cost)


def cost_of(f: Network, counted: bool) -> float:
    """What the units of a network cost."""
    if not f.weights.size:
        return 0.0
    b = f.normals.reshape(f.weights.size, -1)
    sizes = lengths(np.column_stack([b, f.shifts]) if counted else b)
    return float(np.abs(f.weights) @ sizes)


def interpolates(units: Units, f: Network, lam: np.ndarray, y: np.ndarray,
                 offset: bool) -> Proof:
    """How far a network through y (N,) at the units' points is proved to be of least cost."""
    with np.errstate(all="ignore"):
        cost, misfit = cost_of(f, units.counted), np.abs(f(_points(units, f)) - y)
        size, left = float(np.abs(y).max()), _left(lam, offset)
        bound = (float(lam @ y) - left * size) / max(1.0, _largest(units, lam, left))
        return Proof(cost, ratio(abs(cost - bound), cost), ratio(worst(misfit), size))


def separates(units: Units, f: Network, lam: np.ndarray, y: np.ndarray,
              offset: bool) -> Proof:
    """How far the margin of a network on labels y (N,) is proved to be the largest."""
    with np.errstate(all="ignore"):
        margins, cost = y * f(_points(units, f)), cost_of(f, units.counted)
        least, left = float(margins.min()), _left(y * lam, offset)
        total = float(lam.sum()) - left
        if not (least > 0 and cost > 0 and (lam >= 0).all() and total > 0):
            return Proof(cost, float("inf"), float("inf"))
        upper = _largest(units, y * lam, left) / total
        return Proof(cost, ratio(abs(upper - least / cost), upper), abs(least - 1.0))


def _points(units: Units, f: Network) -> np.ndarray:
    return units.X.ravel() if f.normals.ndim == 1 else units.X


def _left(lam: np.ndarray, offset: bool) -> float:
    """What rounding leaves of Σλ, which is to be 0: by so much, in one weight, the next λ differs
    that adds up to 0.
    """
    if not np.isfinite(lam).all():
        return float("nan")
    return abs(fsum(lam)) if offset else 0.0


def _largest(units: Units, lam: np.ndarray, left: float) -> float:
    """max |φ| of the λ next to this one; no sample sees more of a unit than the widest does."""
    return float(np.ldexp(units.largest(lam) + left * units.widest, units.power))
