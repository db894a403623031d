"""Newton's method on the faces that units lie on: what is left of a gap goes to rounding.

Of units v_k = E_k u_k on fixed faces, with signs s_k and values M_k u_k at the data, the conditions

    Σ s_k M_k u_k + o = y,     s_k M_kᵀ λ = u_k/‖u_k‖,     Σλ = 0 (where o is free)

are smooth equations. Margins ask the first of the samples alone that have weight. A unit that a
step would turn round is one too many, and is left out; so is a sample whose weight changes its
sign, and one whose margin falls short joins.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastbias.checks import foreign

__all__ = ["Group", "polish"]

STEPS = 30
WEIGHT = 1e-7           # of the largest λ: less is none
DONE = 4e-16
STILL = 3               # steps that no longer help, from which on more will not


@dataclass(frozen=True, eq=False)
class Group:
    """One unit: its flat, its sign, what the samples see of the flat (k, N), which of them see the
    unit (N,), and its coordinates u (k,), whose length is |a|.
    """

    flat: int
    sign: float
    seen: np.ndarray
    active: np.ndarray
    u: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """The rows s M (N, k): what the unit adds to the data is their product with u."""
        return self.sign * (self.active * self.seen).T


def polish(y: np.ndarray, groups: list[Group], offset: float, lam: np.ndarray, free: bool,
           margin: bool) -> tuple[list[Group], float, np.ndarray] | None:
    """Units, offset and λ that obey the conditions on these faces; None where none are found."""
    groups = [g for g in groups if g.u.any()]
    rows = np.abs(lam) > WEIGHT * np.abs(lam).max() if margin else np.ones(len(y), bool)
    lam, errors = np.where(rows, lam, 0.0), [np.inf]
    for _ in range(STEPS):
        if not groups or not rows.any():
            return None
        at = _State(y, groups, offset, lam, rows, free)
        error = float(np.abs(at.off).max())
        if not np.isfinite(error) or error > 1e6:
            return None
        if error <= DONE or (error < 1e-9 and error > 0.5 * min(errors[-STILL:])):
            short = margin & ~rows & (y * at.values < 1 - 1e-12)
            if not short.any():
                return groups, offset, lam
            rows, errors = rows | short, [np.inf]
            continue
        errors.append(error)
        try:
            du, do, dlam = at.step()
        except foreign.Unsolved:
            return None
        # a unit whose length would pass through 0, and a sample that would pull the wrong way
        turned = [bool((g.u + d) @ g.u <= 0) for g, d in zip(groups, du, strict=True)]
        wrong = margin & rows & ((lam + dlam) * y <= 0)
        if any(turned) or wrong.any():
            groups = [g for g, out in zip(groups, turned, strict=True) if not out]
            rows, errors = rows & ~wrong, [np.inf]
            lam = np.where(rows, lam, 0.0)
            continue
        groups = [replace(g, u=g.u + d) for g, d in zip(groups, du, strict=True)]
        offset, lam = offset + do, lam + dlam
    return None


class _State:
    """The equations at a point: what they are off by, and Newton's step."""

    def __init__(self, y: np.ndarray, groups: list[Group], offset: float, lam: np.ndarray,
                 rows: np.ndarray, free: bool) -> None:
        self.groups, self.rows, self.free, self.lam = groups, rows, int(free), lam
        ends = np.cumsum([len(g.u) for g in groups])
        self.cut = np.split(np.arange(ends[-1]), ends[:-1])
        self.M = np.hstack([g.values for g in groups])
        u = np.concatenate([g.u for g in groups])
        self.lengths = np.repeat([np.sqrt(g.u @ g.u) for g in groups],
                                 [len(g.u) for g in groups])
        self.ways = u / self.lengths
        self.values = self.M @ u + offset
        self.off = np.concatenate([(self.values - y)[rows], self.M.T @ lam - self.ways,
                                   [lam.sum()] * self.free])

    def step(self) -> tuple[list[np.ndarray], float, np.ndarray]:
        """What to add to the units, the offset and λ."""
        M, h, K = self.M[self.rows], self.free, self.M.shape[1]
        n = len(M)
        J = np.zeros((n + K + h, K + h + n))
        J[:n, :K], J[n:n + K, K + h:] = M, M.T
        for at in self.cut:
            way = self.ways[at]
            J[np.ix_(n + at, at)] = (np.outer(way, way) - np.eye(len(way))) / self.lengths[at[0]]
        if h:
            J[:n, K] = J[-1, K + h:] = 1.0
        # units are of the size of the cost, λ of its largest: then all unknowns are of size one
        sizes = np.concatenate([np.full(K, self.lengths.max()), np.ones(h),
                                np.full(n, np.abs(self.lam).max())])
        J *= sizes
        even = np.sqrt((J * J).sum(axis=1))
        even = np.where(even > 0, even, 1.0)
        x = -sizes * foreign.ask("polishing ReLU units", "numpy.linalg.lstsq", J / even[:, None],
                                 self.off / even, rcond=1e-13)[0]
        lam = np.zeros(len(self.rows))
        lam[self.rows] = x[K + h:]
        return [x[at] for at in self.cut], float(x[K]) if h else 0.0, lam
