"""Whether a maximum margin has one maximiser: the width of the face of all of them.

Of an intercept nothing is said: it is a maximiser w that is unique or not.
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Matrix, dense, sizes
from fastbias.solvers import oracles
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.limit import Hypothesis
from fastbias.solvers.programs import minimiser, units

__all__ = ["uniqueness"]

NEARLY = 1e-14        # a gap that is as good as none
ZERO = 1e-9           # entries of Σ λ z, relative to its terms or to the largest, that are rounding
ONE, WIDE = 1e-6, 1e-4       # widths of the optimal face: it is a point, it is none, else who knows
SLACK = 1e-12         # of rows of size one, for rounding
LOOSER = 100.0        # times so much slack no true width is twice what it was
BEHIND = 1e-9         # by which rows may fall short of the margin, relatively, at ends of the face
ROUNDS = 5            # in which rows that an end leaves behind join the few by which it was found


def uniqueness(best: Bounds, certified: bool, nearest: np.ndarray) -> Hypothesis:
    """Whether the maximiser is unique: by convexity, or by the width of the optimal face, which is
    sought by rows that are ``nearest``, and others that these do not stand for.
    """
    statement, strict = "the maximiser is unique", oracles.strictly_convex(best.norm)
    if strict:
        return Hypothesis(statement, True, "the norm is strictly convex")
    if strict is None:
        return Hypothesis(statement, None, "the norm is not known to be strictly convex")
    if not certified:
        return Hypothesis(statement, None, "no maximiser is certified")
    for _ in range(ROUNDS):
        face = _optimal_face(best, best.rows.part(nearest).A)
        if _is_point(face.A, best.lam[nearest], best.gap, face.bound):
            return Hypothesis(statement, True, "the equations of the support vectors have one "
                              "solution")
        alone = _alone(face, best.lam[nearest]) if nearest.size == best.rows.count else 0.0
        if alone > WIDE:
            return Hypothesis(statement, False, "an entry that no support vector has may differ by "
                              f"{alone:.1e}")
        ends = _ends(face)
        if ends is None:
            return Hypothesis(statement, None, "a linear program for the width of the optimal face "
                              "failed")
        width = _width(face, ends)
        told = f"the optimal face is {width:.1e} wide along three random directions"
        # fewer rows make no narrower a face, so that of a point all is said
        if width < ONE or nearest.size == best.rows.count:
            break
        behind = [np.flatnonzero(best.rows.margins(face.point(x)) < (1 - BEHIND) * best.lower)
                  for pair in ends for x in pair]
        joining = np.setdiff1d(np.concatenate(behind), nearest)
        if not joining.size:
            break
        nearest = np.union1d(nearest, joining)
    else:
        return Hypothesis(statement, None, f"by {nearest.size} rows {told}, but others bound it")
    # what grows with the slack that rounding is allowed is no width
    looser = _ends(face, LOOSER * SLACK) if width > WIDE else None
    wide = looser is not None and _width(face, looser) < 2.0 * width
    return Hypothesis(statement, True if width < ONE else False if wide else None, told)


def _is_point(A: np.ndarray, lam: np.ndarray, gap: float, bound: int) -> bool:
    """Whether the support vectors alone, whose rows are the first of −A, determine w, which has the
    first so many unknowns.

    On the optimal face Σ λ (margin − least margin) is the gap at most, of terms that are not
    negative; in ℓ1 the sum of |w| is one as well, the last row. So an entry differs between two w
    by twice the gap times the largest entry of the inverse of these rows at most.
    """
    on = lam > 0
    rows = np.vstack([lam[on, None] * A[:on.size][on], A[on.size:]])
    if len(rows) < A.shape[1]:
        return False
    if A.shape[1] == 0:
        return True
    with suppress(foreign.Unsolved):
        what = "the width of the optimal face"
        Q, R = foreign.ask(what, "numpy.linalg.qr", rows)
        inverse = foreign.ask(what, "scipy.linalg.solve_triangular", R, Q.T)
        return bool(2.0 * max(gap, NEARLY) * np.abs(inverse[:bound]).max(initial=0.0) <= ONE)
    return False


def _alone(face: _Face, lam: np.ndarray) -> float:
    """How far apart an entry may be between two points that differ in no other, at most: of those
    that are 0 in all support vectors, which are among the first rows.
    """
    support = np.append(lam > 0, np.ones(len(face.A) - lam.size, bool))
    slack, widest = np.maximum(face.b - face.A @ face.x, 0.0), 0.0
    for j in np.flatnonzero(~face.A[support, :face.bound].any(axis=0)):
        column, room = face.A[:, j], [face.x[j] - face.bounds[j, 0], face.bounds[j, 1] - face.x[j]]
        for side, against in enumerate((column < 0, column > 0)):
            room[side] = (slack[against] / np.abs(column[against])).min(initial=room[side])
        widest = max(widest, float(sum(room)))
    return widest


Ends = list[tuple[np.ndarray, np.ndarray]]


class _Face(NamedTuple):
    """Ax ≤ b within bounds (·, 2), a point x of it, of which the first so many are of w, the others
    intercepts; and the w of any.
    """

    A: np.ndarray
    b: np.ndarray
    bounds: np.ndarray
    x: np.ndarray
    bound: int
    point: Callable[[np.ndarray], np.ndarray]


def _width(face: _Face, ends: Ends) -> float:
    """How far apart the entries of w are at two ends, at most."""
    return max((float(np.abs(a - b)[:face.bound].max()) for a, b in ends), default=0.0)


def _ends(face: _Face, slack: float = SLACK) -> Ends | None:
    """The two ends along three random directions, which see almost every face as wide."""
    lengths = np.maximum(np.abs(face.A).max(axis=1, initial=0.0), np.abs(face.b))
    lengths[lengths == 0] = 1.0
    A, b = face.A / lengths[:, None], face.b / lengths + slack
    found, free = [], face.bound
    walls = [tuple(x if np.isfinite(x) else None for x in pair) for pair in face.bounds.tolist()]
    for along in np.random.default_rng(0).normal(size=(3 if free else 0, free)):
        along = np.append(along, np.zeros(len(face.bounds) - free))
        ends = [minimiser(sign * along, A, b, walls) for sign in (1, -1)]
        if ends[0] is None or ends[1] is None:
            return None
        found.append((ends[0][0], ends[1][0]))
    return found


def _optimal_face(best: Bounds, Z: Matrix) -> _Face:
    """The optimal face of a polytope's norm, over rows Z.

    By complementary slackness with any optimal λ, the face lies where Σ λ z allows it: in ℓ1 only
    its largest entries may be used, with their signs; in ℓ∞ the entries that it pulls at are at ±1.
    Widths are in `units`, so that an entry that the margin feels counts, however small.
    """
    pull, on, w = best.rows.pull(best.lam), np.flatnonzero(best.lam), best.w
    s, bound = units(Z, best.lower), best.bound
    cube = best.norm.ball == "cube"
    if cube:
        free = np.abs(pull) <= ZERO * (sizes(best.rows.part(on).A).T @ best.lam[on])
    else:
        # (the gap says how far λ may be from an optimal one)
        free = np.abs(pull) >= (1 - ZERO - 1e3 * best.gap) * np.abs(pull[:bound]).max()
    free[bound:] = True
    if best.rows.free > 1:
        # only differences of intercepts matter
        free[-1] = False
        w = np.append(w[:bound], w[bound:] - w[-1])
    count, signs = int(free[:bound].sum()), np.where(np.arange(w.size) < bound, np.sign(pull), 1.0)
    anywhere = np.tile([-np.inf, np.inf], (int(free[bound:].sum()), 1))
    if cube:
        pinned = ~free[:bound]
        b = Z[:, :bound][:, pinned] @ signs[:bound][pinned] / best.lower - 1.0
        walls = np.column_stack([-1.0 / s[free], 1.0 / s[free]])[:count]
        rows = dense(Z[:, free]) * (s[free] / best.lower)
        fixed = np.append(signs[:bound], np.zeros(best.rows.free))
        return _Face(-rows, b, np.vstack([walls, anywhere]), w[free] / s[free], count,
                     lambda x: _filled(fixed, free, s[free] * x))
    signs = signs[free]
    sums = np.append(s[free][:count], np.zeros(len(anywhere)))
    A = np.vstack([dense(Z[:, free]) * (-signs * s[free] / best.lower), sums])
    b = np.append(np.full(Z.shape[0], -1.0), 1.0)
    walls = np.column_stack([np.zeros(count), 1.0 / s[free][:count]])
    x = w[free] / s[free]
    x[:count] = np.abs(x[:count])
    return _Face(A, b, np.vstack([walls, anywhere]), x, count,
                 lambda x: _filled(np.zeros_like(pull), free, s[free] * signs * x))


def _filled(w: np.ndarray, at: np.ndarray, values: np.ndarray) -> np.ndarray:
    w = w.copy()
    w[at] = values
    return w
