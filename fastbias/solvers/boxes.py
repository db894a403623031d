"""The maximum margin over a polytope, the cube or the cross-polytope, by an interior-point method.

Each norm's dual is the other's, so one pair of vectors is in a box and another pays for its walls:
|x| ≤ 1 with slacks u = 1 − x and v = 1 + x, and y = α − β with α u = β v = 0 at the solution. In
ℓ1, where ‖w‖ is least subject to Zw ≥ 1, x = Zᵀλ and y = w; in ℓ∞, where the least margin τ of Zw
is largest, x = w, y = Zᵀλ and Σλ = 1. Newton's method solves this with α u = β v = λ t = μ → 0, for
t the slacks of margins (Mehrotra 1992). What it needs of features are products with Z, which may be
sparse, and one matrix of as many rows as there are samples or features, whichever are fewer.
Beside them σ is free, of columns B of their own: intercepts, and in ℓ∞ τ with a column of −1, so
that margins are Sw + Bσ − t = 1 in ℓ1, 0 in ℓ∞, and Bᵀλ is 0, or −1 for τ.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from fastbias.data.rows import Matrix, dense
from fastbias.solvers.interior import LOST, SHORT, Saddle, followed, reach
from fastbias.solvers.programs import Pair

__all__ = ["largest_margin"]

CLOSE = 1e-13            # the relative error at which a problem is solved
ROUNDED = 1e-14          # a gap, relatively, under which the equations only lose
# near the end what is in the equations spans all of float64: products of it hide the rest
REFINED = 3
INSIDE = 0.995           # part of the way to the border that a step takes
SLACK = 0.1              # least slack at a start, where margins are one


def largest_margin(Z: Matrix, ball: str, w: np.ndarray, free: int = 0) -> Iterator[Pair]:
    """The largest least margin over a ball, up to length, and its multipliers; the last so many
    columns are free.

    From a w that separates. First what they are on a vertex of the ball and of the support vectors
    that can be told; then as they came.
    """
    if not float((Z @ w).min()) > 0:
        return
    problem = _Problem(Z, ball == "cube", w, free)
    state, error = followed(problem.start(w), partial(_System, problem), CLOSE)
    if not error < LOST:
        return
    w, b = problem.w(state), state.sigma[state.sigma.size - free:]
    up, down = state.alpha > state.u, state.beta > state.v
    vertex = np.where(up, 1.0, np.where(down, -1.0, w)) if problem.cube else w * (up | down)
    yield np.append(vertex, b), np.where(state.lam > state.t, state.lam, 0.0)
    yield np.append(w, b), state.lam


class _State(NamedTuple):
    """Where the method is, or a step of it: the box and its prices (d,), rows (N,), and σ (q,)."""

    x: np.ndarray
    u: np.ndarray
    v: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    lam: np.ndarray
    t: np.ndarray
    sigma: np.ndarray

    @property
    def products(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is to be 0."""
        return self.alpha * self.u, self.beta * self.v, self.lam * self.t


class _Problem:
    """Over rows S in whose units the least margin is one at a w of size one."""

    def __init__(self, Z: Matrix, cube: bool, w: np.ndarray, free: int) -> None:
        d = w.size - free
        self.cube, self.goal = cube, 0.0 if cube else 1.0
        self.size = float(np.abs(w[:d]).max() if cube else np.abs(w[:d]).sum())
        unit = self.size / float((Z @ w).min())
        self.S: Matrix = (Z[:, :d] if free else Z) * unit
        loose = dense(Z[:, d:]) * unit if free else np.zeros((Z.shape[0], 0))
        self.B = np.column_stack([np.full(len(loose), -1.0), loose]) if cube else loose
        self.held = np.append(-1.0, np.zeros(free)) if cube else np.zeros(free)

    def start(self, w: np.ndarray) -> _State:
        """A point inside, from a w that separates."""
        d = self.S.shape[1]
        w, sigma = w[:d] / self.size, w[d:] / self.size
        if self.cube:
            # (at half its size, and half of that, to be off the walls)
            w, sigma = 0.5 * w, np.append(0.25, 0.5 * sigma)
        t = np.maximum(self.S @ w + self.B @ sigma - self.goal, SLACK)
        lam = 1.0 / t
        pull = self.S.T @ lam
        unit = lam.sum() if self.cube else 2.0 * np.abs(pull).max()
        lam, pull = lam / unit, pull / unit
        x, y = (w, pull) if self.cube else (pull, w)
        even = float(np.abs(y).mean())
        return _State(x, 1.0 - x, 1.0 + x, np.maximum(y, 0.0) + even, np.maximum(-y, 0.0) + even,
                      lam, t, sigma)

    def w(self, state: _State) -> np.ndarray:
        """The w of a state."""
        return state.x if self.cube else state.alpha - state.beta

    def moved(self, state: _State, step: _State, inside: float) -> tuple[_State, float]:
        """The state after so much of the way to the border, of w and of λ each; the lesser part."""
        box, prices = ("u", "v"), ("alpha", "beta")
        first = {"t", "sigma", *({*box, "x"} if self.cube else prices)}
        part = {}
        for mine in (True, False):
            held = [name for name in (*box, *prices, "lam", "t") if (name in first) is mine]
            part[mine] = min(1.0, inside * reach(
                (getattr(state, name), getattr(step, name)) for name in held))
        moved = {name: getattr(state, name) + part[name in first] * getattr(step, name)
                 for name in _State._fields}
        return _State(**moved), min(part.values())


class _System:
    """The equations of a step at a state.

    u δα + α δu = −c₁, v δβ + β δv = −c₂ and t δλ + λ δt = −c₃, and what is linear as it was said
    above; they leave a δw − b Sᵀδλ = off, where a or b is α/u + β/v and the other one.
    """

    def __init__(self, problem: _Problem, state: _State) -> None:
        self.problem, self.state, S = problem, state, problem.S
        w, pull = problem.w(state), S.T @ state.lam
        self.cube, y = problem.cube, state.alpha - state.beta
        x = w if self.cube else pull
        self.walls = 1.0 - x - state.u, 1.0 + x - state.v
        self.short = problem.goal - (S @ w + problem.B @ state.sigma - state.t)
        self.left = y - pull if self.cube else np.zeros(1)
        self.rest = problem.held - problem.B.T @ state.lam
        gap = float(sum(product.sum() for product in state.products))
        self.mean = gap / (2 * len(x) + len(self.short))
        self.gap = gap / float(np.abs(y).sum())
        self.error = max(self.gap, float(np.abs(self.rest).max(initial=0.0)),
                         *(float(np.abs(wall).max()) for wall in self.walls),
                         float((np.abs(self.short) / (1.0 + state.t)).max()),
                         float(np.abs(self.left).max()) / float(np.abs(pull).max()))

    def step(self) -> _State | None:
        """The next state; None where rounding decides."""
        if self.gap < ROUNDED:
            return None
        state, D = self.state, self.state.alpha / self.state.u + self.state.beta / self.state.v
        one = np.ones(len(D))
        a, b = (D, one) if self.cube else (one, D)
        self.saddle = Saddle(self.problem.S, a, b, state.lam / state.t, self.problem.B, REFINED)
        aim = self._towards(*state.products)
        # as much of μ stays as the step to μ = 0 would leave, cubed; what that step bends counts
        ahead, _ = self.problem.moved(state, aim, 1.0)
        mean = sum(product.sum() for product in ahead.products) / (2 * len(D) + len(state.t))
        left = self.mean * min(1.0, float(mean) / self.mean) ** 3
        step = self._towards(*(product + bent - left for product, bent
                               in zip(state.products, aim.products, strict=True)))
        moved, part = self.problem.moved(state, step, INSIDE)
        return moved if part > SHORT else None

    def _towards(self, *c: np.ndarray) -> _State:
        """The step with so much of each product to lose."""
        _, u, v, alpha, beta, lam, t, _ = self.state
        off = (-c[0] - alpha * self.walls[0]) / u - (-c[1] - beta * self.walls[1]) / v + self.left
        dw, dlam, dsigma = self.saddle.solve(-off if self.cube else off, self.short - c[2] / lam,
                                             self.rest)
        dx = dw if self.cube else self.problem.S.T @ dlam
        du, dv = self.walls[0] - dx, self.walls[1] + dx
        return _State(dx, du, dv, (-c[0] - alpha * du) / u, (-c[1] - beta * dv) / v, dlam,
                      (-c[2] - t * dlam) / lam, dsigma)
