"""Runs that come to rest where a convex loss is least: data that overlap, and weight decay.

Near the minimiser w∞ the error e = w − w∞ obeys e⁺ = (1 − ηA)e + R, A the curvature there (in
coordinates in which the method is gradient descent), and the loss's steepness bounds what is not
linear: with B the longest row (times it) and ρ = B‖e‖, ‖R‖ ≤ ½ηB e^ρ ⟨e, Ae⟩. Distances fall,
‖e‖² − ‖e⁺‖² ≥ η(2 − ηΛ)⟨e, Ae⟩ (1 − e^{−ρ})/ρ, Λ ≤ e^ρ λ_max(A), so that all R together are at most
½B e^ρ ρ/(1 − e^{−ρ}) ‖e‖²/(2 − ηΛ), and the error itself dies at a rate that is known.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length
from fastbias.problem import Problem, Reached
from fastbias.solvers.cones import Cone
from fastbias.solvers.limit import NoTheorem
from fastbias.solvers.minimiser import Minimiser, curvature, minimise
from fastbias.theory.asymptotes import flat, metric, plain, rule_of
from fastbias.theory.base import gradient
from fastbias.theory.inseparable import resting
from fastbias.theory.stepsizes import max_step, small_steps

__all__ = ["Bowl", "Slid", "settles"]

EPS = float(np.finfo(float).eps)
EXACT = 36.0          # log t up to which float64 holds each whole step
SOURCE = "fast-forward"


def settles(problem: Problem) -> bool:
    """Whether it is gradient descent in a metric with a fixed step, on a loss whose curvature is
    known to change little.
    """
    fixed = rule_of(problem) == "constant" and problem.rule.params.size == 1
    return problem.model.linear and problem.method.as_made and problem.method.exact \
        and flat(problem) and plain(problem) \
        and fixed and problem.loss.steepness is not None \
        and (problem.loss.classes or problem.loss.ratio is not None) \
        and (not problem.method.decay or gradient(problem))


class Slid(NamedTuple):
    """Where a run is at some times (K,) after it stood somewhere."""

    w: np.ndarray              # (K, d)
    error: np.ndarray          # (K,): a bound on its largest entry's error


@dataclass(frozen=True, eq=False)
class Bowl:
    """The loss around its minimiser w∞, in coordinates Lᵀw, D = LLᵀ."""

    problem: Problem
    eta: float
    w: np.ndarray                  # w∞
    least: Minimiser
    rank: int                      # of the moves

    @classmethod
    def of(cls, problem: Problem, eta: float, parts: Cone | None) -> Bowl:
        """That of data that overlap, or (of no parts) of weight decay."""
        if parts is None:
            least = minimise(problem, decay=problem.method.decay)
            return cls(problem, eta, least.w, least, least.w.size)
        return cls(problem, eta, *resting(problem, parts), parts.basis.shape[1])

    @cached_property
    def half(self) -> np.ndarray:
        """L (d, d)."""
        D = metric(self.problem)
        return np.eye(self.problem.size) if D is None else np.linalg.cholesky(D)

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        """The eigenvalues (r,) of A on the span of the moves, and its eigenvectors (d, r)."""
        H = curvature(self.problem, self.w) + self.problem.method.decay * np.eye(self.w.size)
        A = np.linalg.solve(self.half, np.linalg.solve(self.half, H).T)
        values, V = foreign.ask("the curvature where a run comes to rest", "numpy.linalg.eigh",
                                0.5 * (A + A.T))
        values, V = values[values.size - self.rank:], V[:, values.size - self.rank:]
        if self.rank and not values[0] > self.w.size * EPS * values[-1]:
            raise NoTheorem("the loss is so flat in some direction where the run comes to rest "
                            "that float64 does not tell how fast it does: features whose sizes "
                            "are alike would help", SOURCE)
        if self.rank and not self.eta * values[-1] < 2.0:
            raise NoTheorem(f"the steps are so long (ηλ = {self.eta * values[-1]:.3g}, λ the "
                            "largest curvature at the minimiser, and it must be under 2) that the "
                            "run swings away from where it would come to rest", SOURCE)
        return values, V

    @cached_property
    def longest(self) -> float:
        """B, the longest row, as often as the loss is steep."""
        rows = np.linalg.solve(self.half, self.problem.Z.T)
        steep = self.problem.loss.steepness
        assert steep is not None
        return steep * float(np.linalg.norm(rows, axis=0).max())

    @property
    def slowest(self) -> float:
        """The share that the slowest part of the error loses a step."""
        values = self.modes[0]
        return float(self.eta * values[0]) if values.size else 1.0

    def slide(self, here: Reached, log_t: np.ndarray) -> Slid:
        """Where a run that stands there is at log t (K,), each at its t or later."""
        values, V = self.modes
        with np.errstate(over="ignore"):
            steps = np.where(log_t < EXACT, np.rint(np.exp(np.minimum(log_t, EXACT))),
                             np.exp(log_t)) - here.t
        steps = np.maximum(steps, 0.0)
        e = V.T @ (self.half.T @ (here.u - self.w))
        size, left = length(e), self._left(values, steps)
        moved = left * e
        w = self.w + np.linalg.solve(self.half.T, V @ moved.T).T
        # an error in an eigenvalue counts the more the longer it acts
        with np.errstate(invalid="ignore"):
            doubt = np.nan_to_num(e.size * EPS * self.eta * values.max(initial=0.0) * steps
                                  * np.abs(left).max(axis=1, initial=0.0), nan=0.0)
        stretch = float(np.linalg.norm(np.linalg.inv(self.half), 2))
        error = stretch * (self._curved(size, steps) + doubt * size)
        known = 2.0 * float(self.least.errors.max(initial=0.0))
        # an exact run rounds each step alike where it hardly moves, and forgets it as it contracts
        memory = np.minimum(here.t + steps, 1.0 / max(self.slowest, EPS))
        rounding = EPS * np.abs(w).max(axis=1, initial=0.0) * (16.0 + memory)
        return Slid(w, error + known + rounding)

    def _left(self, values: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(1 − ηλ)^k (K, r)."""
        factors = 1.0 - self.eta * values
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(np.abs(self.eta * values) < 0.5, np.log1p(-self.eta * values),
                            np.log(np.abs(factors)))
            sizes = np.exp(np.where(steps[:, None] > 0, steps[:, None] * logs, 0.0))
        odd = (np.where(steps < 2.0**53, steps, 0.0) % 2.0 == 1.0)[:, None]
        return np.where(odd & (factors < 0), -sizes, sizes)

    def _curved(self, size: float, steps: np.ndarray) -> np.ndarray:
        """What is not linear, at most (K,)."""
        values = self.modes[0]
        if not values.size or size == 0.0:
            return np.zeros(steps.size)
        with np.errstate(over="ignore", invalid="ignore"):
            reach = self.longest * size
            bent = reach / -np.expm1(-reach) if reach > 0 else 1.0
            gain = max(2.0 - self.eta * float(values[-1]) * np.exp(reach), self._gain())
            if not gain > 0:
                return np.full(steps.size, np.inf)
            all_of_it = 0.5 * self.longest * np.exp(reach) * bent * size * size / gain
            # twice: of the error, and of its linear part
            dying = 2.0 * size * np.exp(0.5 * steps * np.log1p(-min(
                self.eta * float(values[0]) * gain / bent, 1.0 - EPS)))
        return np.minimum(all_of_it, dying)

    def _gain(self) -> float:
        """2 − ηΛ for a Λ that holds everywhere the run may be, where one is known; else −∞."""
        if not small_steps(self.problem).holds:
            return -np.inf
        share = self.eta / max_step(self.problem, self.problem.now[0]).step_size
        # Theorem 5's bound is 1/Λ, others are 2/Λ
        twice = self.problem.loss.curvature is not None or self.problem.method.decay
        return 2.0 - (2.0 if twice else 1.0) * share
