"""The least ‖w‖₁ or ‖w‖_∞ subject to Sw = b, by an interior-point method: of many numbers, dense or
sparse, where the simplex method takes too long.

It is `fastbias.solvers.boxes` for equations. |x| ≤ 1 with slacks u = 1 − x and v = 1 + x, and y = α
− β with α u = β v = 0 at the solution. In ℓ1 x = Sᵀν and y = w; in ℓ∞, where the largest τ with
Sx = τb is sought, x = τw, y = Sᵀν and ⟨ν, b⟩ = 1. Newton's method solves this with α u = β v = μ →
0 (Mehrotra 1992). What it needs of features are products with S and one matrix of as many rows as
there are equations, which are fewer than features and independent.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.spans import products, shortest
from fastbias.data.rows import Matrix, dense
from fastbias.solvers.interior import LOST, SHORT, followed, reach
from fastbias.solvers.programs import Pair

__all__ = ["least_on_polytope"]

CLOSE = 1e-13            # the relative error at which a problem is solved
ROUNDED = 1e-14          # a gap, relatively, under which the equations only lose
REFINED = 3              # corrections of a step by what it leaves of its equations
RIDGE = 1e-14            # by which the diagonal of their matrix is larger
INSIDE = 0.995           # part of the way to the border that a step takes


def least_on_polytope(S: Matrix, b: np.ndarray, ball: str) -> Iterator[Pair]:
    """The least norm of a ball with Sw = b, and its multipliers, for independent rows S (k, d) of
    length one.

    First what they are on a vertex of the ball, where one can be told; then as they came.
    """
    problem, found = _Problem(S, b, ball == "cube"), None
    with suppress(foreign.Unsolved), foreign.guarded("a minimum norm by interior points"):
        found = followed(problem.start(), partial(_System, problem), CLOSE)
    if found is None or not found[1] < LOST:
        return
    state, _ = found
    yield from _on_vertices(problem, state)
    yield problem.w(state), state.nu


class _State(NamedTuple):
    """Where the method is, or a step of it: the box and its prices (d,), ν (k,), and τ."""

    x: np.ndarray
    u: np.ndarray
    v: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    nu: np.ndarray
    tau: float

    @property
    def products(self) -> tuple[np.ndarray, np.ndarray]:
        """What is to be 0."""
        return self.alpha * self.u, self.beta * self.v


class _Problem:
    """The equations, which ball it is, and where to begin."""

    def __init__(self, S: Matrix, b: np.ndarray, cube: bool) -> None:
        self.S, self.b, self.cube = S, b, cube

    def start(self) -> _State:
        """A point inside: the shortest w with Sw = b, and its multipliers."""
        w, nu = shortest(self.S, self.b, np.zeros(self.S.shape[1]))
        if self.cube:
            # at half its size, to be off the walls
            tau = 0.5 / float(np.abs(w).max())
            x, nu = tau * w, nu / float(nu @ self.b)
            y = self.S.T @ nu
        else:
            x, y, nu, tau = np.zeros_like(w), w, np.zeros_like(nu), 1.0
        even = float(np.abs(y).mean())
        return _State(x, 1.0 - x, 1.0 + x, np.maximum(y, 0.0) + even, np.maximum(-y, 0.0) + even,
                      nu, tau)

    def w(self, state: _State) -> np.ndarray:
        """The w of a state."""
        return state.x / state.tau if self.cube else state.alpha - state.beta

    def moved(self, state: _State, step: _State, inside: float) -> tuple[_State, float]:
        """The state after so much of the way to the border, of the box and of its prices each; the
        lesser part.
        """
        sides = ("x", "u", "v"), ("alpha", "beta")
        part = {names: min(1.0, inside * reach((getattr(state, name), getattr(step, name))
                                               for name in names if name != "x"))
                for names in sides}
        # ν goes with x in ℓ1, with the prices in ℓ∞, as τ does not
        mine = {name: part[names] for names in sides for name in names}
        mine |= {"nu": part[sides[self.cube]], "tau": part[sides[0]]}
        return _State(**{name: getattr(state, name) + mine[name] * getattr(step, name)
                         for name in _State._fields}), min(part.values())


class _System:
    """The equations of a step at a state.

    u δα + α δu = −c₁ and v δβ + β δv = −c₂ make δy = off + D δx, D = α/u + β/v. In ℓ1 S δy is what
    is short of b and δx = Sᵀδν; in ℓ∞ Sᵀδν − δy is what is left of y, S δx − b δτ what is short.
    """

    def __init__(self, problem: _Problem, state: _State) -> None:
        self.problem, self.state, S, b = problem, state, problem.S, problem.b
        self.cube, y, pull = problem.cube, state.alpha - state.beta, S.T @ state.nu
        self.walls = 1.0 - state.x - state.u, 1.0 + state.x - state.v
        if self.cube:
            self.short, self.left = state.tau * b - S @ state.x, y - pull
            self.rest = 1.0 - float(state.nu @ b)
        else:
            self.short, self.left, self.rest = b - S @ y, state.x - pull, 0.0
        gap = float(sum(product.sum() for product in state.products))
        self.mean, self.gap = gap / (2 * len(y)), gap / float(np.abs(y).sum())
        self.error = max(self.gap, abs(self.rest),
                         *(float(np.abs(wall).max()) for wall in self.walls),
                         float(np.abs(self.short).max()) / float(np.abs(b).max())
                         / (state.tau if self.cube else 1.0),
                         float(np.abs(self.left).max()) / float(np.abs(pull).max() or 1.0))

    def step(self) -> _State | None:
        """The next state; None where rounding decides."""
        if self.gap < ROUNDED:
            return None
        state = self.state
        self.D = state.alpha / state.u + state.beta / state.v
        self.between = 1.0 / self.D if self.cube else self.D
        matrix, linalg = products(self.problem.S, self.between), foreign.library("scipy.linalg")
        matrix[np.diag_indices(len(matrix))] *= 1.0 + RIDGE
        factor = linalg.cho_factor(matrix, lower=True, overwrite_a=True)
        self.back = partial(linalg.cho_solve, factor)
        if self.cube:
            self.border = self._solved(self.problem.b)
        aim = self._towards(*state.products)
        # as much of μ stays as the step to μ = 0 would leave, cubed; what that step bends counts
        ahead, _ = self.problem.moved(state, aim, 1.0)
        mean = sum(product.sum() for product in ahead.products) / (2 * len(self.D))
        left = self.mean * min(1.0, float(mean) / self.mean) ** 3
        bent = aim.alpha * aim.u, aim.beta * aim.v
        step = self._towards(*(product + more - left for product, more
                               in zip(state.products, bent, strict=True)))
        moved, part = self.problem.moved(state, step, INSIDE)
        return moved if part > SHORT else None

    def _solved(self, right: np.ndarray) -> np.ndarray:
        """δν with S diag(between) Sᵀ δν = right."""
        S, found = self.problem.S, np.zeros_like(right)
        for _ in range(1 + REFINED):
            found = found + self.back(right - S @ (self.between * (S.T @ found)))
        return np.asarray(found)

    def _towards(self, *c: np.ndarray) -> _State:
        """The step with so much of each product to lose."""
        _, u, v, alpha, beta, _, _ = self.state
        S, b, dtau = self.problem.S, self.problem.b, 0.0
        off = (-c[0] - alpha * self.walls[0]) / u - (-c[1] - beta * self.walls[1]) / v
        if self.cube:
            dnu = self._solved(self.short + S @ ((self.left + off) / self.D))
            dtau = (self.rest - float(b @ dnu)) / float(b @ self.border)
            dnu = dnu + dtau * self.border
            dx = (S.T @ dnu - self.left - off) / self.D
        else:
            dnu = self._solved(self.short - S @ (off - self.D * self.left))
            dx = S.T @ dnu - self.left
        du, dv = self.walls[0] - dx, self.walls[1] + dx
        return _State(dx, du, dv, (-c[0] - alpha * du) / u, (-c[1] - beta * dv) / v, dnu, dtau)


def _on_vertices(problem: _Problem, state: _State) -> Iterator[Pair]:
    """w and ν where walls that are nearly met are met, and prices that are nearly 0 are 0; then
    where as many are as make a vertex, if these are fewer.

    In ℓ1 those are S w = b on the support, and Sᵀν = ±1 there; in ℓ∞, with τ among the unknowns,
    Sx = τb where x is ±1 but on the entries inside, and there Sᵀν = 0.
    """
    up, down, b = state.alpha / state.u, state.beta / state.v, problem.b
    held, side = np.maximum(up, down), np.where(up > down, 1.0, -1.0)
    order = np.argsort(held if problem.cube else -held)
    free = held[order] <= 1 if problem.cube else held[order] > 1
    # (more than the equations hold leave w free)
    most = len(b) - problem.cube
    if free.sum() > most:
        return
    order, free = order[:most], free[:most]
    for chosen in (order[free], order) if not free.all() else (order,):
        pair = None
        with suppress(foreign.Unsolved), foreign.guarded("the vertex of a minimum norm"):
            pair = _on_vertex(problem, state.nu, side, chosen) if chosen.size else None
        if pair is not None:
            yield pair


def _on_vertex(problem: _Problem, nu: np.ndarray, side: np.ndarray, free: np.ndarray) -> Pair:
    """w and ν, near one that is known, by the equations of some columns, which are ``free``: with
    ± on walls for the others in ℓ∞, of their prices in ℓ1.
    """
    linalg, S, b = foreign.library("scipy.linalg"), problem.S, problem.b
    # as many columns as rows at most, so that it is no larger than the equations of a step
    B = dense(S[:, free])
    w = side.copy() if problem.cube else np.zeros(S.shape[1])
    want, goal = side[free], b
    if problem.cube:
        w[free] = 0.0
        B, want, goal = np.column_stack([B, -b]), np.append(np.zeros(free.size), -1.0), -(S @ w)
    Q, R = linalg.qr(B, mode="economic")
    z = np.zeros(len(R))
    for _ in range(1 + REFINED):
        z = z + linalg.solve_triangular(R, Q.T @ (goal - B @ z))
        nu = nu + Q @ linalg.solve_triangular(R, want - B.T @ nu, trans=1)
    w[free] = z[:free.size]
    return (w / z[-1] if problem.cube else w), nu
