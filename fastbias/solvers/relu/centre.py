"""A dual for units that are optimal already, well inside of what all other units allow.

Where few units do, many λ prove it, and the programs of `exchange` leap from one corner of these
to another, each of which some new unit cuts off. Here the units in use stay, M_kᵀλ = s_k u_k/‖u_k‖,
and of the other units v in hand |φ_λ(v)| ≤ 1 − t σ_v, with t as large as can be, σ_v the squared
distance to the nearest unit in use as the samples see them: near those φ is 1 up to a square.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign
from fastbias.solvers.relu.polish import Group
from fastbias.solvers.relu.units import Units

__all__ = ["centred"]

ROUNDS, JOIN = 12, 200
ON = 1e-9               # relatively: margins that are the least
SEEN = 1e-13            # |φ| over 1 that is
DEAR = 1e-13            # of the widest unit, as in `exchange`
TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def centred(units: Units, y: np.ndarray, groups: list[Group], values: np.ndarray,
            free: bool, margin: bool) -> np.ndarray | None:
    """λ (N,) for these units, from the values (N, K) of others; None where none is found."""
    seen = [g.sign * np.maximum(g.u @ g.seen, 0.0) for g in groups]
    M = np.hstack([g.values for g in groups])
    wanted = np.concatenate([g.u / np.sqrt(g.u @ g.u) for g in groups])
    f = np.sum(seen, axis=0)
    on = _least(y, f, free) if margin else np.ones(y.size, bool)
    equal = np.vstack([M.T, np.ones((int(free), y.size))])[:, on]
    right = np.append(wanted, np.zeros(int(free)))
    directions = np.array([v / np.sqrt(v @ v) for v in seen])
    for _ in range(ROUNDS):
        lam = _program(equal, right, values, on, directions, y if margin else None)
        if lam is None:
            return None
        out = []
        for crowd in units.critical(lam):
            over = np.flatnonzero(np.abs(crowd.phi) > 1 + SEEN)
            out += [(float(abs(crowd.phi[k])), int(crowd.flats[k]), crowd.u[k]) for k in over]
        if not out:
            return lam
        out.sort(key=lambda one: -one[0])
        more = [np.maximum(u @ units.flats[i].seen, 0.0) for _, i, u in out[:JOIN]]
        values = np.column_stack([values, *more])
    return None


def _least(y: np.ndarray, f: np.ndarray, free: bool) -> np.ndarray:
    """The samples of the least margins, where an offset is free of each class: it evens them."""
    margins = y * f
    least = np.full(y.size, float(margins.min()))
    for s in np.unique(y) if free else ():
        least[y == s] = margins[y == s].min()
    return np.asarray(margins <= least + ON * np.abs(f).max())


def _program(equal: np.ndarray, right: np.ndarray, values: np.ndarray, on: np.ndarray,
             directions: np.ndarray, signs: np.ndarray | None) -> np.ndarray | None:
    """The λ of the largest t."""
    sizes = np.sqrt((values ** 2).sum(axis=0))
    known = sizes > DEAR * sizes.max()
    values, sizes = values[:, known], sizes[known]
    near = np.abs(directions @ (values / sizes)).max(axis=0)
    slack = 2.0 * np.maximum(1.0 - near, 0.0)
    unit = float(sizes.max())
    rows, n = values[on].T / sizes[:, None], int(on.sum())
    allowed = unit / sizes
    A = np.vstack([np.column_stack([s * rows, slack * allowed]) for s in (1.0, -1.0)])
    top = np.sqrt((equal * equal).sum(axis=1))
    top = np.where(top > 0, top, 1.0)
    bounds: list[tuple[float | None, float | None]] = [(None, None)] * n if signs is None else \
        [(0.0, None) if s > 0 else (None, 0.0) for s in signs[on]]
    try:
        found = foreign.ask("the dual of ReLU units", "scipy.optimize.linprog",
                            np.append(np.zeros(n), -1.0), A_ub=A, b_ub=np.tile(allowed, 2),
                            A_eq=np.column_stack([equal / top[:, None], np.zeros(len(equal))]),
                            b_eq=right * unit / top, bounds=[*bounds, (0.0, 1.0)], method="highs",
                            options=TIGHT)
        if found.status != 0:
            return None
        part = found.x[:n] / unit
        # the equations hold to the program's tolerance: to rounding by the least change
        even = equal / top[:, None]
        for _ in range(2):
            part = part - foreign.ask("the dual of ReLU units", "numpy.linalg.lstsq", even,
                                      even @ part - right / top, rcond=1e-12)[0]
    except foreign.Unsolved:
        return None
    lam = np.zeros(on.size)
    lam[on] = part
    return lam
