"""The least Σ|w|^p subject to Zw ≥ 1, by an interior-point method that follows p from 2 on.

Its solution has the direction of the maximum ℓp margin. Optimal are w, λ ≥ 0 and slacks s ≥ 0 with
Zw − s = 1, λ s = 0 and all points (w_i, g_i), g = Zᵀλ, on the curve g = w^{p−1} (with the sign of
w). Newton's method on these, with λ s = μ → 0 (Mehrotra 1992), replaces the curve by its tangent at
the point nearest to (w_i, g_i). Neither w^{p−1} nor its inverse would do alone: one of them has an
infinite slope at 0 for any p but 2. With free columns F margins are Sw + Fβ, and Fᵀλ = 0.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from fastbias.checks.sizes import row_lengths
from fastbias.solvers.interior import LOST, SHORT, Saddle, followed, reach
from fastbias.solvers.programs import Pair, units

__all__ = ["least_power"]

FURTHER = 2.0            # factor between the larger exponents, p or q, of one problem and the next
CURVE = 30               # Newton steps to a nearest point of the curve: rounding ends them sooner
ROUGH, CLOSE = 1e-4, 1e-13      # relative errors at which a problem on the way, and the last, ends
INSIDE = 0.99            # part of the way to the border of s, λ ≥ 0 that a step takes
STEEP = 1e-10            # least slope of a tangent that equations are made of, along either axis
STEEPEST = 1e-12         # the factor between units that the axes may have
SLACK = 0.1              # least slack, and weight, at a start, where margins are one


def least_power(Z: np.ndarray, p: float, w: np.ndarray, free: int = 0) -> Iterator[Pair]:
    """The least Σ|w|^p subject to Zw ≥ 1, up to length, and its multipliers; the last so many
    columns are free.

    From a w that separates. λ is 0 but on the support vectors; then as it came, where that spoils
    it.
    """
    lam = np.zeros(Z.shape[0])
    for power in _powers(p):
        problem = _Problem(Z, power, w, free)
        state, error = followed(problem.start(w, lam), partial(_System, problem),
                                CLOSE if power == p else ROUGH)
        # from there the next would be no nearer, and others have a better start
        w, lam = np.append(state.w, state.beta) * problem.unit, state.lam / problem.lengths
        if not (error < LOST and (Z @ w).min() > 0):
            return
    yield w, np.where(state.lam > state.s, lam, 0.0)
    yield w, lam


def _powers(p: float) -> Iterator[float]:
    """Powers from 2 to p."""
    larger, to = 2.0, max(p, p / (p - 1.0))
    while larger < to:
        yield larger if p > 2 else larger / (larger - 1.0)
        larger *= FURTHER
    yield p


class _State(NamedTuple):
    """Where the method is, or a step of it: w (d,), slacks s and multipliers λ (N,), and β (q,)."""

    w: np.ndarray
    s: np.ndarray
    lam: np.ndarray
    beta: np.ndarray

    def moved(self, by: _State, size: float) -> _State:
        return _State(*(x + size * dx for x, dx in zip(self, by, strict=True)))

    def reach(self, step: _State) -> float:
        """The part of a step, one at most, that keeps s and λ over 0."""
        return reach([(self.s, step.s), (self.lam, step.lam)])


class _Problem:
    """Min Σ|w|^p/p subject to Sw ≥ b: the same in another unit of w, and for rows of one length."""

    def __init__(self, Z: np.ndarray, p: float, w: np.ndarray, free: int) -> None:
        d = w.size - free
        margin, size = float((Z @ w).min()), float(np.abs(w[:d]).max())
        # (with what is free, as samples may be 0)
        self.lengths = row_lengths(Z)
        w, Z, loose = w[:d], Z[:, :d], Z[:, d:]
        # sizes that entries have: for p < 2 small ones count, those of large features
        near = units(Z, margin / size) if p < 2 else np.ones(d)
        near = near * (size * float(np.mean(np.abs(w / size / near) ** p) ** (1.0 / p)))
        self.p, self.unit = p, float(near.max())
        self.near = near / self.unit
        if p != 2:
            self.near = np.maximum(self.near, STEEPEST ** (1.0 / abs(p - 2.0)))
        # a tangent from further out would meet w = 0 at a g that is larger than the one it is for
        if p > 2:
            self.near *= (p - 1.0) ** (1.0 / (p - 2.0))
        shortest = float(self.lengths.min())
        # margins are one at the shortest row
        self.b = shortest / self.lengths
        units_of_rows = (shortest * self.unit / margin) / self.lengths[:, None]
        self.S, self.F = Z * units_of_rows, loose * units_of_rows

    def start(self, w: np.ndarray, lam: np.ndarray) -> _State:
        """A point inside, from a w that separates and any λ ≥ 0, which may be 0."""
        w, lam = w / self.unit, lam * self.lengths
        w, beta = w[:self.S.shape[1]], w[self.S.shape[1]:]
        s = np.maximum(self.S @ w + self.F @ beta - self.b, SLACK)
        even, total = 1.0 / s, float(lam @ self.b)
        even *= len(w) / float(even @ self.b)
        return _State(w, s, np.maximum(lam * (len(w) / total), SLACK * even) if total > 0 else even,
                      beta)


def _tangent(w: np.ndarray, g: np.ndarray, p: float,
             near: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b, off of the lines a δw − b δg = off through the curve's points that are nearest.

    Nearest in units ``near`` of w, and such of g that the curve is the same.
    """
    larger, tall = max(p, p / (p - 1.0)), near ** (p - 1.0)
    # (at the solution no entry is larger, for it is shorter than the start)
    most = len(w) ** (1.0 / p), len(w) ** (1.0 - 1.0 / p)
    x = np.clip(w, -most[0], most[0]) / near + np.clip(g, -most[1], most[1]) / tall
    w, g = w / near, g / tall
    v = _nearest(np.abs(x), larger)
    u, slope = v ** (larger - 1.0), (larger - 1.0) * v ** (larger - 2.0)
    a, b = slope / (1.0 + slope), 1.0 / (1.0 + slope)
    if p < 2:                                     # the same curve, seen from its other axis
        a, b, v, u = b, a, u, v
    a, b, sign = np.maximum(a, STEEP), np.maximum(b, STEEP), np.sign(x)
    off = b * (g - sign * u) - a * (w - sign * v)
    return a * tall / near, b, off * tall


def _nearest(x: np.ndarray, r: float) -> np.ndarray:
    """The v with v + v^{r−1} = x, for x ≥ 0 and r ≥ 2: Newton's method, from above, falls to it."""
    v = np.minimum(x, x ** (1.0 / (r - 1.0)))
    for _ in range(CURVE):
        lower = v - (v + v ** (r - 1.0) - x) / (1.0 + (r - 1.0) * v ** (r - 2.0))
        if not (lower < v).any():
            break
        v = np.clip(lower, 0.0, v)
    return v


class _System:
    """The equations of a step at a state.

    a δw − b Sᵀδλ = off, Sδw + Fδβ − δs = −short, sδλ + λδs = μ − λs, and Fᵀδλ = −excess.
    """

    def __init__(self, problem: _Problem, state: _State) -> None:
        S, self.state, pull = problem.S, state, state.lam @ problem.S
        self.S, self.F = S, problem.F
        self.a, self.b, self.off = _tangent(state.w, pull, problem.p, problem.near)
        self.short = S @ state.w + self.F @ state.beta - state.s - problem.b
        self.excess = state.lam @ self.F
        self.mean = float(state.lam @ state.s) / len(S)
        self.error = max(
            float(state.lam @ state.s) / float(state.lam @ problem.b),
            float((np.abs(self.short) / (1.0 + state.s)).max()),
            float(np.abs(self.excess).max(initial=0.0)) / float(state.lam @ problem.b),
            float(np.abs(self.off).max()) / float(np.maximum(self.a * np.abs(state.w),
                                                             self.b * np.abs(pull)).max()))

    def step(self) -> _State | None:
        """The next state; None where rounding decides."""
        state, size = self.state, len(self.S)
        self.saddle = Saddle(self.S, self.a, self.b, state.lam / state.s, self.F)
        aim = self._towards(state.lam * state.s)
        # as much of μ stays as the step to μ = 0 would leave, cubed; what that step bends counts
        ahead = state.moved(aim, state.reach(aim))
        left = self.mean * min(1.0, float(ahead.lam @ ahead.s) / (self.mean * size)) ** 3
        step = self._towards(state.lam * state.s + aim.lam * aim.s - left)
        # (an entry of w that leaps leaves its tangent behind)
        leap = float(np.abs(step.w).max()) / (2.0 * float(np.abs(state.w).max()))
        part = min(1.0, INSIDE * state.reach(step), 1.0 / max(leap, SHORT))
        return state.moved(step, part) if part > SHORT else None

    def _towards(self, c: np.ndarray) -> _State:
        """The step with sδλ + λδs = −c."""
        w, lam, beta = self.saddle.solve(self.off, -c / self.state.lam - self.short, -self.excess)
        return _State(w, self.S @ w + self.F @ beta + self.short, lam, beta)
