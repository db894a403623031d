"""Data that no w separates: where soft margins tend to as they get harder.

argmin ½‖w‖² + ½C Σ max(0, 1 − ⟨w, z_n⟩)² is the maximum margin, ⟨w, z_n⟩ ≥ 1 for all n, as C → ∞
where some w separates. Where none does it tends to the minimiser of what rows lack, Σ max(0, 1 −
⟨w, z_n⟩)²; of several, which have the same margins on all rows that lack anything, to that of least
norm. So one rule covers both. With λ_n = max(0, 1 − ⟨w, z_n⟩) the minimiser has Σ λ_n z_n = 0:
Gordan's proof that no w separates.
"""
from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import divided
from fastbias.checks.spans import independent_rows
from fastbias.pieces.norms import Norm
from fastbias.solvers import oracles
from fastbias.solvers.free import Gauge, freely
from fastbias.solvers.hinge import hinge
from fastbias.solvers.programs import solve_tightly
from fastbias.solvers.separability import Labelled, parted

__all__ = ["Softest", "softest"]

LACKING = 1e-9        # of the largest lack: less is rounding
POLISH = 3            # steps of least squares: what one leaves is its rounding
ROUNDS = 30           # in which rows that a shorter w would make lack something join
SAME = 1e-9           # of what all rows lack together: more counts as worse
CLOSE = 1e-7          # what a solver's tolerance leaves of a zero, or of a margin of one
TINY = 1e-300         # to divide by instead of 0


class Softest(NamedTuple):
    """The (w, b) whose rows lack least, and how far it is from that."""

    w: np.ndarray                     # in its shape
    intercept: float | np.ndarray
    residual: float                   # the largest entry of Σ λ z, relative to the terms of its sum


def softest(data: Labelled, norm: Norm) -> Softest:
    """The minimiser of Σ max(0, 1 − ⟨w, z_n⟩)² over the rows of data that no w separates, of
    several that of least norm.

    Raises
    ------
    ValueError
        Where rows do not fit into memory, or the norm has no convex face.
    foreign.Unsolved
        Where no solver found anything.
    """
    oracles.demand_convex(norm, "for its margin on data that are not separable")
    rows = data.rows
    # powers of two round nothing
    units = np.exp2(np.frexp(np.maximum(rows.columns, TINY))[1])
    S = rows.dense() / units
    found = hinge(S)
    if found is None:
        raise foreign.Unsolved("the w whose rows lack least could not be found")
    v = _polished(S, found[0])
    v = _polished(S, _shortest(S, v, units, freely(norm, rows.free)))
    w, b, _ = parted(data, v / units)
    return Softest(w, b, _residual(S, v))


def _lack(S: np.ndarray, v: np.ndarray) -> np.ndarray:
    """What each row's margin lacks to one."""
    return np.maximum(0.0, 1.0 - S @ v)


def _residual(S: np.ndarray, v: np.ndarray) -> float:
    """The largest entry of Σ λ s, relative to the terms of its sum."""
    lam = _lack(S, v)
    terms = lam @ np.abs(S)
    return float((np.abs(lam @ S) / np.where(terms > 0, terms, 1.0)).max())


def _polished(S: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The v next to this one with the least Σ max(0, 1 − ⟨v, s⟩)², where the same rows lack
    something: by least squares, which square no digits away.
    """
    for _ in range(POLISH):
        lack = _lack(S, v)
        on = lack > LACKING * lack.max()
        after = v + foreign.ask("what rows lack least", "numpy.linalg.lstsq", S[on], lack[on],
                                rcond=None)[0]
        if not _residual(S, after) < _residual(S, v):
            break
        v = after
    return v


def _shortest(S: np.ndarray, v: np.ndarray, units: np.ndarray, norm: Gauge) -> np.ndarray:
    """Of all v with the margins of this one on rows that lack anything, and no lack elsewhere, that
    of least norm; the one given where it is the only one, or none shorter was found.
    """
    lack = _lack(S, v)
    total = float(lack @ lack)
    on = lack > LACKING * lack.max()
    held, goal = S[on], S[on] @ v
    lengths = np.maximum(np.linalg.norm(held, axis=1), TINY)
    chosen = independent_rows(divided(held, lengths))
    # (no equation is left to be met by another v)
    if chosen.size == v.size:
        return v
    held, goal = held[chosen], goal[chosen]
    joined = np.zeros(len(S), bool)
    with suppress(foreign.Unsolved):
        for _ in range(ROUNDS):
            near = _program(held, goal, S[joined], units, norm)
            behind = ~on & ~joined & (S @ near < 1.0 - LACKING)
            if not behind.any():
                after = _lack(S, near)
                better = float(after @ after) <= (1.0 + SAME) * total
                return near if better and norm(near / units) <= norm(v / units) else v
            joined |= behind
    return v


def _program(held: np.ndarray, goal: np.ndarray, least: np.ndarray, units: np.ndarray,
             norm: Gauge) -> np.ndarray:
    """The v of least norm with ``held`` v = goal and ``least`` v ≥ 1."""
    cp, what = foreign.library("cvxpy"), f"the least {norm.name} norm of a soft margin"
    assert norm.convex is not None
    with foreign.guarded(what):
        v = cp.Variable(len(units))
        wanted = [held @ v == goal] + ([least @ v >= 1.0] if len(least) else [])
        size = norm.convex(cp, cp.multiply(1.0 / units, v))
        solved = solve_tightly(cp.Problem(cp.Minimize(size), wanted))
    if not solved:
        raise foreign.Unsolved(f"{what} could not be found: the solver failed at every tolerance")
    near = np.asarray(v.value)
    # onto the equations themselves, which the solver meets to its tolerance, as it does zeros
    near = np.where(np.abs(near) < CLOSE, 0.0, near)
    touched = least[np.abs(least @ near - 1.0) < CLOSE]
    rows, ends = np.vstack([held, touched]), np.append(goal, np.ones(len(touched)))
    return np.asarray(near + foreign.ask(what, "numpy.linalg.lstsq", rows, ends - rows @ near,
                                         rcond=None)[0])
