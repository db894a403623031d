"""The least loss over a ball ‖w‖ ≤ c, with an intercept b that no norm sees or without: Newton's
method on log L.

The quadratic model of log L is minimised over the ball by its eigenvectors in ℓ2, else as a cone
program. Of more unknowns than these are good for, in ℓ2 w is sought in the span of the samples, by
their products; in ℓ1 on the few features that matter, which others join where they pull harder.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import divided, row_lengths, worst
from fastbias.checks.spans import SQUARE, independent_rows, products
from fastbias.data.rows import dense
from fastbias.pieces.norms import Norm
from fastbias.problem import Data
from fastbias.solvers.free import euclidean, freely
from fastbias.solvers.oracles import Oracle, oracle
from fastbias.solvers.programs import solve_tightly

__all__ = ["Ball", "Objective", "ball"]

NEWTON = 60                  # steps over a ball, and the gap at which there is no more to gain
FLAT, NEAR = 1e-10, 1e-8     # the gap at which another start is tried
SHORTEST = 1e-10             # part of a step under which the search along it gives up
FALL = 1e-4                  # of what the slope promises (Armijo)
LEVEL = 1e-13                # relative changes of log L that are rounding
APART = 1e-5                 # of slopes whose difference is a curvature: half the digits stay
TINY = 1e-300                # to divide by instead of 0
ZERO = 1e-15                 # eigenvalues, relative to the largest, that are 0
SEEN = 1e-9                  # curvatures of intercepts, likewise: more than differences are off
SECULAR = 100                # steps to the multiplier of a ball
MANY = 1000                  # unknowns from which the ways of many are taken
JOINING = 50                 # features that join those that matter at a time
HARDER = 1e-9                # by which a feature pulls harder than these, relatively

End = tuple[np.ndarray, float, float]       # u, log L there, and its gap


class Objective:
    """Log L of data at u = (w, b), w (size,) and b (K,) of an intercept, and its derivatives."""

    def __init__(self, data: Data, intercept: bool) -> None:
        self.data, self.free = data, data.outputs if intercept else 0
        self.size = data.size + self.free

    def predictions(self, u: np.ndarray) -> np.ndarray:
        """The predictions (K N,), output after output."""
        p = self.data.predictions(u[:self.data.size])
        if not self.free:
            return p
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((p.reshape(self.free, -1) + u[self.data.size:, None]).ravel())

    def pull(self, u: np.ndarray) -> tuple[float, np.ndarray]:
        """Log L and −∇ log L at u."""
        data, p = self.data, self.predictions(u)
        value = data.log(p)
        # a residual of inf or NaN is told so
        with np.errstate(over="ignore", invalid="ignore"):
            s, q = data.loss.scaled(p, data.y, data.each)
            q = q.reshape(data.outputs, -1)
            g = np.concatenate([(q @ data.X).ravel(), q.sum(axis=1)[:self.free]])
            return value, np.exp(s - value) * g if np.isfinite(value) else g

    def curvature(self, u: np.ndarray, g: np.ndarray) -> np.ndarray:
        """∇² log L at u.

        Second derivatives of ℓ by differences of slopes: losses have no third face for them.
        """
        data, p, size = self.data, self.predictions(u), self.data.size
        K, (N, d) = data.outputs, data.X.shape
        value, h = data.log(p), APART
        H = -np.outer(g, g)
        for c in range(K):
            e = np.zeros(p.size)
            e[c * N:(c + 1) * N] = h
            (s1, q1), (s0, q0) = (data.loss.scaled(p + way * e, data.y, data.each)
                                  for way in (1.0, -1.0))
            turn = (np.exp(s0 - value) * q0 - np.exp(s1 - value) * q1).reshape(K, N) / (2.0 * h)
            columns = slice(c * d, (c + 1) * d)
            for b in range(K):
                H[b * d:(b + 1) * d, columns] += products(data.X.T, turn[b])
                if self.free:
                    along = turn[b] @ data.X
                    H[size + b, columns] += along
                    H[columns, size + b] += along
                    H[size + b, size + c] += turn[b].sum()
        return 0.5 * (H + H.T)


class Gap:
    """How good a point of a ball of one norm is."""

    def __init__(self, objective: Objective, norm: Norm) -> None:
        self.objective, self.norm = objective, freely(norm, objective.free)

    def gap(self, u: np.ndarray, g: np.ndarray, c: float) -> float:
        """By how much L is over its minimum, relatively, at most: over the ball and over intercepts
        no further off than 1 + |b|; g is −∇ log L at u.
        """
        if not np.isfinite(g).all():
            return np.inf
        n = self.objective.data.size
        over = float(np.abs(g[n:]) @ (1.0 + np.abs(u[n:])))
        return worst(c * self.norm.dual(g) - g[:n] @ u[:n] + over)


class Ball(Gap):
    """The minimisers over balls ‖w‖ ≤ c of one norm."""

    def __init__(self, objective: Objective, norm: Norm) -> None:
        super().__init__(objective, norm)
        self.round = euclidean(self.norm)
        if not self.round:
            self._model(norm, objective.data.size)

    def _model(self, norm: Norm, n: int) -> None:
        """The cone program of a step."""
        cp = foreign.library("cvxpy")
        self.move, self.at, self.unit = cp.Variable(n), cp.Parameter(n), cp.Parameter(nonneg=True)
        self.root, self.slope = cp.Parameter((n, n)), cp.Parameter(n)
        assert norm.convex is not None
        with foreign.guarded(f"the convex program of the path in the {norm.name} norm"):
            self.model = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(self.root @ self.move)
                                                - self.slope @ self.move),
                                    [norm.convex(cp, self.at + self.unit * self.move) <= 1.0])

    def over(self, u: np.ndarray, direction: np.ndarray, c: float) -> End:
        """The minimiser over a ball, from the one over the last ball; ``direction`` is where the
        path goes, or 0.
        """
        pull, norm = self.objective.pull, self.norm
        # far out the path is a line: u moves along the maximum margin
        along = u + (c - norm(u)) * direction
        starts = [u, *(v * (c / norm(v)) for v in (u, direction, along) if norm(v) > 0)]
        found = []
        # the nearest; others where it stalls
        for start in sorted(starts, key=lambda v: pull(v)[0]):
            found.append(self.minimum(start, c))
            if found[-1][2] <= NEAR:
                break
        return min(found, key=lambda end: end[2])

    def minimum(self, u: np.ndarray, c: float) -> End:
        """The minimiser from a start u, log L there, and its gap; the best point where it fails."""
        value, g = self.objective.pull(u)
        gap = self.gap(u, g, c)
        best = u, value, gap
        for _ in range(NEWTON):
            step = self._step(u, g, c) if gap > FLAT else None
            found = None if step is None else self._along(u, step, c, (value, g, gap))
            if found is None:
                break
            u, value, g, gap = found
            best = min(best, (u, value, gap), key=lambda found: found[2])
        return best

    def _along(self, u: np.ndarray, step: np.ndarray, c: float,
               here: tuple[float, np.ndarray, float]) -> tuple[np.ndarray, float, np.ndarray,
                                                               float] | None:
        """A point on the way that is lower enough, its value, slope and gap; None if none is."""
        (value, g, gap), size = here, 1.0
        while size > SHORTEST:
            new = self._within(u + size * step, c)
            lower, turned = self.objective.pull(new)
            left = self.gap(new, turned, c)
            falls = lower < value - FALL * size * max(float(g @ step), 0.0)
            # or where values are rounding
            if falls or (lower <= value + LEVEL * abs(value) and left < 0.5 * gap):
                return new, lower, turned, left
            size /= 2
        return None

    def _within(self, u: np.ndarray, c: float) -> np.ndarray:
        """U itself, or with w brought back to norm c."""
        size = self.norm(u)
        if size <= c:
            return u
        n = self.objective.data.size
        return np.append(u[:n] * (c / size), u[n:])

    def _step(self, u: np.ndarray, g: np.ndarray, c: float) -> np.ndarray | None:
        """The step to the minimum of the quadratic model."""
        n = self.objective.data.size
        with suppress(foreign.Unsolved), foreign.guarded("a step along the regularisation path"):
            H = self.objective.curvature(u, g)
            if not self.objective.free:
                return self._bounded(H, g, u, c)
            # what no ball holds must not run away: negative curvature counts as positive. For the
            # rest b is where it is best
            values, U = np.linalg.eigh(H)
            H = (U * np.abs(values)) @ U.T
            side, back = H[:n, n:], np.linalg.pinv(H[n:, n:], hermitian=True, rcond=SEEN)
            move = self._bounded(H[:n, :n] - side @ back @ side.T, g[:n] - side @ (back @ g[n:]),
                                 u[:n], c)
            return None if move is None else np.append(move, back @ (g[n:] - side.T @ move))
        return None

    def _bounded(self, H: np.ndarray, g: np.ndarray, w: np.ndarray, c: float) -> np.ndarray | None:
        """The δ with the least ½δᵀHδ − gᵀδ, negative eigenvalues left out, and ‖w + δ‖ ≤ c, in
        units of the curvature: far out it is much shorter than c, and would be lost in a solver's
        tolerance.
        """
        values, U = np.linalg.eigh(0.5 * (H + H.T))
        values = np.maximum(values, 0.0)
        if self.round:
            return U @ _in_ball(values, U.T @ g, U.T @ w, c)
        R, size = np.sqrt(values)[:, None] * U.T, float(np.sqrt(values[-1]))
        unit = min(c, 1.0 / size) if size > 0 else c
        self.root.value, self.slope.value = R * unit, g * unit
        self.at.value, self.unit.value = w / c, unit / c
        if solve_tightly(self.model) and np.isfinite(self.move.value).all():
            return np.asarray(self.move.value) * unit
        return None


def _in_ball(values: np.ndarray, g: np.ndarray, w: np.ndarray, c: float) -> np.ndarray:
    """The δ with the least ½Σ values δ² − gᵀδ and ‖w + δ‖₂ ≤ c.

    That is (values + μ)δ = g − μw with μ ≥ 0 such that w + δ has length c, or 0 (Moré, Sorensen
    1983).
    """
    values = np.maximum(values, ZERO * max(float(values.max()), TINY))
    low, mu, high = 0.0, 0.0, float(np.linalg.norm(g + values * w)) / c
    for _ in range(SECULAR):
        move = (g - mu * w) / (values + mu)
        z = w + move
        size = float(np.linalg.norm(z))
        low, high = (mu, high) if size > c else (low, mu)
        # (at the border, or inside of it without a multiplier)
        if abs(size - c) <= LEVEL * c or high == 0:
            break
        further = mu + (size / c - 1.0) * size ** 2 / float(z @ (z / (values + mu)))
        mu = further if low < further < high else (low + high) / 2
    return np.asarray(move)


def ball(objective: Objective, norm: Norm) -> Callable[[np.ndarray, np.ndarray, float], End]:
    """(u, direction, c) → the minimiser over a ball, from the last one, log L there, and its gap.

    ValueError where unknowns are too many for the norm.
    """
    data = objective.data
    N, d = data.X.shape
    if objective.size <= MANY or data.sample != (d,):
        return Ball(objective, norm).over
    if norm.ball == "cross-polytope":
        return _OverFeatures(objective, norm).over
    if norm.matrix is np.eye and d > N and N <= SQUARE:
        return _OverSamples(objective, norm).over
    if isinstance(data.X, np.ndarray) or oracle(norm) is Oracle.NONE:
        return Ball(objective, norm).over
    raise ValueError(f"X must have at most {MANY} columns where it is sparse for the path in the "
                     f"{norm.name} norm, or the norm be l1, or l2 and rows fewer than columns, got "
                     f"shape {data.X.shape}")


class _OverFeatures:
    """The same in ℓ1, where few features matter: those that have weight, or pull as hard."""

    def __init__(self, objective: Objective, norm: Norm) -> None:
        self.objective, self.norm, self.whole = objective, norm, Gap(objective, norm)
        self.K, self.d = objective.data.outputs, objective.data.X.shape[1]
        strength = self._strength(objective.pull(np.zeros(objective.size))[1])
        self.chosen = np.sort(np.argsort(-strength)[:JOINING])

    def _strength(self, g: np.ndarray) -> np.ndarray:
        """How hard each feature pulls (d,)."""
        return np.asarray(np.abs(g[:self.K * self.d].reshape(self.K, -1)).max(axis=0))

    def over(self, u: np.ndarray, _: np.ndarray, c: float) -> End:
        """By the features chosen so far; those that pull harder than all of them join."""
        data, n = self.objective.data, self.objective.data.size
        while True:
            X: Any = data.X[:, self.chosen]
            shape = (*data.shape[:-1], self.chosen.size)
            part = Ball(Objective(replace(data, X=np.ascontiguousarray(dense(X)), shape=shape),
                                  self.objective.free > 0), self.norm)
            few = np.append(u[:n].reshape(self.K, -1)[:, self.chosen], u[n:])
            v = part.over(few, np.zeros(few.size), c)[0]
            m = v.size - self.objective.free
            w = np.zeros((self.K, self.d))
            w[:, self.chosen] = v[:m].reshape(self.K, -1)
            u = np.append(w, v[m:])
            value, g = self.objective.pull(u)
            gap, strength = self.whole.gap(u, g, c), self._strength(g)
            behind = np.flatnonzero(strength > (1 + HARDER) * strength[self.chosen].max())
            if gap <= FLAT or not behind.size:
                return u, value, gap
            joining = behind[np.argsort(-strength[behind])[:JOINING]]
            self.chosen = np.union1d(self.chosen, joining)


class _OverSamples:
    """The same in ℓ2, where w is a combination of samples: in an orthonormal basis of their span,
    by their products.
    """

    def __init__(self, objective: Objective, norm: Norm) -> None:
        data = objective.data
        self.objective, self.whole = objective, Gap(objective, norm)
        lengths = row_lengths(data.X)
        chosen = independent_rows(divided(data.X, lengths))
        linalg, self.rows = foreign.library("scipy.linalg"), data.X[chosen]
        G = dense(self.rows @ data.X.T)
        self.L = np.linalg.cholesky(G[:, chosen])
        self.triangular = linalg.solve_triangular
        # the samples' coordinates
        X = np.ascontiguousarray(self.triangular(self.L, G, lower=True).T)
        shape = (*data.shape[:-1], chosen.size)
        self.part = Ball(Objective(replace(data, X=X, shape=shape), objective.free > 0), norm)

    def over(self, u: np.ndarray, direction: np.ndarray, c: float) -> End:
        """By coordinates; what is said of the end is of w itself."""
        start, towards = self._coordinates(u), self._coordinates(direction)
        v = self.part.over(start, towards, c)[0]
        n, K = v.size - self.objective.free, self.objective.data.outputs
        weights = self.triangular(self.L, v[:n].reshape(K, -1).T, lower=True, trans=1)
        u = np.append(np.asarray(self.rows.T @ weights).T, v[n:])
        value, g = self.objective.pull(u)
        return u, value, self.whole.gap(u, g, c)

    def _coordinates(self, u: np.ndarray) -> np.ndarray:
        n, K = self.objective.data.size, self.objective.data.outputs
        found = self.triangular(self.L, np.asarray(self.rows @ u[:n].reshape(K, -1).T), lower=True)
        return np.append(found.T, u[n:])
