"""Maximum margins and minimum norms in ℓ1 and ℓ∞: linear programs, whose solution is that of two
systems of linear equations once a basis is known.

A basis is k rows and k columns. In ℓ1 the columns are the entries of w that are not 0; in ℓ∞ those
that are less than the largest, and one for all that are as large, with their signs. Solvers have it
where it is unique; where there are ties it is that of a program with slightly different numbers,
which has no ties.
"""
from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import row_lengths
from fastbias.proofs.lifting import independent
from fastbias.proofs.wholes import Pair, Whole, solved
from fastbias.solvers.programs import limits

__all__ = ["Polytope"]

SEEN = 1e-9           # of the largest: entries of less are 0, or as large as the largest
APART = 1e-4, 1e-6, 1e-5, 1e-3, 1e-7       # by how much numbers are changed, one after the other
TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


class Basis(NamedTuple):
    """Which rows hold w, which entries of it are free to move, and the signs of the others (0 in
    ℓ1, whose entries to move have signs).
    """

    rows: list[int]
    moving: list[int]
    signs: np.ndarray


class Polytope:
    """min ‖w‖ subject to ⟨w, z_n⟩ ≥ y_n, or = y_n, over the cross-polytope or the cube."""

    def __init__(self, Z: np.ndarray, goal: np.ndarray, whole: Whole, cube: bool,
                 equal: bool) -> None:
        self.Z, self.goal, self.whole, self.cube, self.equal = Z, goal, whole, cube, equal
        # (what an entry of w is to the rows, whatever its column's units are)
        with np.errstate(under="ignore"):
            self.columns = row_lengths((Z / row_lengths(Z)[:, None]).T)

    def solutions(self, w: np.ndarray, nu: np.ndarray) -> Iterator[Pair]:
        """Solutions from floats w (D,) and ν (N,), and from those of programs without ties."""
        free = self.whole.free
        if self.equal and (self.goal == self.goal[0] * (free > 0)).all():
            # nothing but an intercept is needed
            yield ([Fraction(0)] * self.whole.bound + [Fraction(self.goal[0])] * free,
                   [Fraction(0)] * len(self.Z))
        for attempt in range(-1, len(APART)):
            basis = self._basis(w, nu) if attempt < 0 else self._without_ties(attempt)
            found = None if basis is None else self._solved(basis)
            if found is not None:
                yield found

    def _basis(self, w: np.ndarray, nu: np.ndarray) -> Basis:
        """What floats say: rows with weight, and entries that are not 0, or not the largest."""
        size, rows = np.abs(w[:self.whole.bound]), np.abs(nu) > SEEN * np.abs(nu).max(initial=0.0)
        top, felt = float(size.max(initial=0.0)), size * self.columns[:self.whole.bound]
        moving = size < (1.0 - SEEN) * top if self.cube else felt > SEEN * felt.max(initial=0.0)
        return Basis(np.flatnonzero(rows).tolist(), np.flatnonzero(moving).tolist(),
                     np.sign(w[:self.whole.bound]))

    def _solved(self, basis: Basis) -> Pair | None:
        """W (D,) and weights (N,) of a basis; None where it is none."""
        whole, rows, moving, d = self.whole, basis.rows, basis.moving, self.whole.bound
        if not rows:
            return None
        loose = independent(np.ascontiguousarray(whole.residues[rows][:, d:].T), range(whole.free))
        columns = [*moving, *(d + j for j in loose)]
        A, prices = whole.rows[rows][:, columns], [Fraction()] * len(columns)
        if self.cube:
            still = [j for j in range(d) if j not in set(moving)]
            signs = basis.signs[still].astype(int).astype(object)
            A = np.column_stack([A, whole.rows[rows][:, still] @ signs])
            prices = [*prices, Fraction(1)]
        else:
            prices[:len(moving)] = [Fraction(int(v)) for v in basis.signs[moving]]
        # (with ties there are more of the one than of the other)
        if A.shape[0] != A.shape[1]:
            return None
        x, y = solved(A, whole.goal[rows].tolist()), solved(np.ascontiguousarray(A.T), prices)
        if x is None or y is None:
            return None
        w = [Fraction()] * (d + whole.free)
        for j, v in zip(columns, x[0], strict=False):
            w[j] = Fraction(v, x[1])
        if self.cube:
            for j, sign in zip(still, signs, strict=True):
                w[j] = Fraction(sign * x[0][-1], x[1])
        return w, whole.weights(rows, y[0], y[1])

    def _without_ties(self, attempt: int) -> Basis | None:
        """The basis of a program whose numbers are slightly different."""
        rng, apart = np.random.default_rng(attempt), APART[attempt]
        # goals that are moved can be met if the rows do not depend on each other
        kept = np.arange(len(self.Z))
        if self.equal:
            kept = np.array(independent(self.whole.residues, kept.tolist()))
        lengths = row_lengths(self.Z[kept])
        A, d = self.Z[kept] / lengths[:, None], self.whole.bound
        goal = self.goal[kept] / lengths
        goal = goal / (np.abs(goal).max() or 1.0)
        goal = goal + apart * rng.uniform(0.5, 1.0, goal.size)
        prices = 1.0 + apart * rng.uniform(0.5, 1.0, d)
        # (what entries cost beside their size, so that multipliers have no ties either)
        drift = apart / (1 + d) * rng.uniform(-1.0, 1.0, A.shape[1])
        ask = partial(foreign.ask, "the linear program without ties", "scipy.optimize.linprog",
                      method="highs-ds", options={**limits(len(A)), **TIGHT})
        try:
            answer = self._asked(ask, A, goal, prices, drift)
        except foreign.Unsolved:
            return None
        if answer.x is None or answer.status != 0:
            return None
        # without ties just these have multipliers that hold w, and all equations do
        lines = answer.eqlin if self.equal else answer.ineqlin
        held = (np.abs(lines.marginals[:len(A)]) > SEEN) | self.equal
        w = answer.x[:d] - answer.x[d:2 * d] if not self.cube else answer.x[:d]
        if not self.cube:
            felt = np.abs(w) * self.columns[:d]
            moving = felt > SEEN * felt.max(initial=0.0)
            return Basis(kept[held].tolist(), np.flatnonzero(moving).tolist(), np.sign(w))
        above, below = answer.upper.marginals[:d] < -SEEN, answer.lower.marginals[:d] > SEEN
        signs = above * 1.0 - below * 1.0
        return Basis(kept[held].tolist(), np.flatnonzero(signs == 0).tolist(), signs)

    def _asked(self, ask: Any, A: np.ndarray, goal: np.ndarray, prices: np.ndarray,
               drift: np.ndarray) -> Any:
        """The answer of the solver."""
        d, f, n = self.whole.bound, self.whole.free, len(A)
        if not self.cube:
            rows = np.hstack([A[:, :d], -A[:, :d], A[:, d:]])
            cost = np.concatenate([prices, prices, drift[d:]])
            bounds = [(0, None)] * (2 * d) + [(None, None)] * f
            return ask(cost, A_eq=rows, b_eq=goal, bounds=bounds) if self.equal else \
                ask(cost, A_ub=-rows, b_ub=-goal, bounds=bounds)
        # w = x/t of the largest t with Ax = t goal, |x_j| ≤ price_j: HiGHS likes walls to be bounds
        # in the units of columns, so that multipliers are of one size
        units = self.columns
        cost, rows = np.append(drift / units, -1.0), np.hstack([A / units, -goal[:, None]])
        walls = prices * units[:d]
        bounds = [*zip(-walls, walls, strict=True), *[(None, None)] * f, (0, None)]
        return ask(cost, A_eq=rows, b_eq=np.zeros(n), bounds=bounds) if self.equal else \
            ask(cost, A_ub=-rows, b_ub=np.zeros(n), bounds=bounds)
