"""Who finds maximum margins, and in which order: candidates for w and λ.

All speak of min ‖w‖ subject to Zw ≥ 1, whose solution has the direction of the maximum margin and λ
among its multipliers. Nothing here is a proof: `fastbias.solvers.bounds` makes that, from (w, λ)
alone.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import row_lengths
from fastbias.data.rows import Matrix, dense
from fastbias.pieces.norms.proximal import least
from fastbias.solvers.boxes import largest_margin
from fastbias.solvers.free import Gauge, free_columns, freely
from fastbias.solvers.oracles import Oracle, oracle, polytope_near
from fastbias.solvers.powers import least_power
from fastbias.solvers.programs import Pair, convex, nearest_point, polytope, units
from fastbias.solvers.support import ROUNDS, Half, polished

__all__ = ["candidates"]

ROUND = (1.01, 100)      # powers between which an ℓp ball is far enough from a polytope
LARGE = 5000             # numbers from which interior points are quicker than the simplex method
# features up to which, and rows for each of them from which, cone solvers are quicker than steps
CONE = 50, 2
EVEN = 0.01              # columns within such a factor suit proximal steps, which know no units


def candidates(Z: Matrix, norm: Gauge, margin: float, w: np.ndarray,
               near: Pair | None = None) -> Iterator[Pair]:
    """Solutions as good as those who know the norm can make them, for a margin of about this size,
    which this w has; proximal steps go on from a pair that is ``near`` one.

    The solvers' tolerances are absolute, so w is sought in `units` and Zw in units of the margin,
    which suits features that lie far apart; then in their own units, which suits margins that are
    small by cancellation.
    """
    kind = oracle(norm)
    found: Iterator[Pair | None]
    if kind is Oracle.POLYTOPE:
        ball, large = str(norm.ball), Z.shape[0] * Z.shape[1] > LARGE
        free = free_columns(norm)
        programs = (polytope(Z, ball, *scale, free) for scale in _scales(Z, margin))
        inside = largest_margin(Z, ball, w, free)
        found = chain(inside, programs) if large else chain(programs, inside)
    else:
        found = _of_dense(dense(Z), norm, margin, w, near)
    yield from (pair for pair in found if pair is not None)


def _of_dense(Z: np.ndarray, norm: Gauge, margin: float, w: np.ndarray,
              near: Pair | None) -> Iterator[Pair | None]:
    """The same of norms whose solvers take no sparse rows."""
    kind = oracle(norm)
    if kind is Oracle.QUADRATIC:
        assert norm.matrix is not None
        near = _quadratic(Z, norm.matrix(Z.shape[1]), margin)
        # intercepts had a length there: too small a one for a margin to show, but w is another
        yield _last(polished(Z, norm, *near, 0)) if near and free_columns(norm) else None
        yield near
    elif kind is Oracle.POWER:
        yield from _power(Z, norm, margin, w)
    elif kind is Oracle.SINGULAR:
        yield from _rotated(Z, norm, margin, near)
    else:
        yield from _conic(Z, norm, _scales(Z, margin), near)


def _last(pairs: Iterator[Pair]) -> Pair | None:
    """The last of the few that one guess of the support vectors leads to."""
    return next(reversed(list(islice(pairs, ROUNDS))), None)


def _scales(Z: Matrix, margin: float) -> list[tuple[np.ndarray, float]]:
    ones = np.ones(Z.shape[1])
    return [(units(Z, margin), margin), (ones, 1.0), (ones, margin)]


def _power(Z: np.ndarray, norm: Gauge, margin: float, w: np.ndarray) -> Iterator[Pair | None]:
    """By the interior-point method, and where that fails by programs of others."""
    assert norm.power is not None
    free = free_columns(norm)
    yield from least_power(Z, norm.power, w, free)
    scales = _scales(Z, margin)
    # a polytope, or nearly
    if not ROUND[0] < norm.power < ROUND[1]:
        ball = polytope_near(norm.power)
        yield from (polytope(Z, ball, *scale, free) for scale in scales)
    yield from _conic(Z, norm, scales)


def _conic(Z: np.ndarray, norm: Gauge, scales: list[tuple[np.ndarray, float]],
           near: Pair | None = None) -> Iterator[Pair | None]:
    """By the norm's convex face, and by its proximal map where it has one."""
    cone: Iterator[Pair | None] = (convex(Z, norm, *scale) for scale in scales
                                   if norm.convex is not None)
    if norm.shrink is None:
        return cone
    columns = np.abs(Z[:, :Z.shape[1] - free_columns(norm)]).max(axis=0)
    even = bool((columns[columns > 0] > EVEN * columns.max()).all())
    quick = Z.shape[1] <= CONE[0] and Z.shape[0] > CONE[1] * Z.shape[1]
    steps = least(Z, np.ones(Z.shape[0]), norm.shrink, equal=False,
                  start=None if near is None else _of_size_one(Z, norm, *near))
    return chain(steps, cone) if even and not quick else chain(cone, steps)


def _of_size_one(Z: np.ndarray, norm: Gauge, w: np.ndarray, lam: np.ndarray) -> Pair | None:
    """w of a mean margin of one where λ is, and λ with ‖Σ λ z‖⋆ = 1."""
    margin, pull = float(lam @ (Z @ w)) / float(lam.sum()), float(norm.dual(lam @ Z))
    return (w / margin, lam / pull) if margin > 0 and pull > 0 else None


def _quadratic(Z: np.ndarray, D: np.ndarray, margin: float) -> Pair | None:
    with suppress(foreign.Unsolved), foreign.guarded("the nearest point of a hull"):
        half = Half(D)
        rows = half.solve(Z.T).T
        lengths = row_lengths(rows)
        found = nearest_point(rows / lengths[:, None], margin / lengths)
        if found is not None:
            return half.solve(found[0], transposed=True), found[1] / lengths
    return None


def _rotated(Z: np.ndarray, norm: Gauge, margin: float,
             near: Pair | None) -> Iterator[Pair | None]:
    """The same for matrices (m, n), within the spans of their columns and of their rows.

    A maximiser lies there: what is outside adds to its norm alone.
    """
    assert norm.shape is not None
    assert norm.resized is not None
    (m, n), free = norm.shape, free_columns(norm)
    A, loose = Z[:, :m * n].reshape(-1, m, n), Z[:, m * n:]
    columns = _basis(A.transpose(1, 0, 2).reshape(m, -1))
    rows = _basis(A.transpose(2, 0, 1).reshape(n, -1))
    # the units of a smaller matrix are its own
    small = columns.T @ A @ rows
    flat, shape = np.hstack([small.reshape(len(Z), -1), loose]), small.shape[1:]
    if near is not None:
        w = columns.T @ near[0][:m * n].reshape(m, n) @ rows
        near = np.append(w, near[0][m * n:]), near[1]
    inside = freely(norm.resized(*shape), free)
    for found in _conic(flat, inside, _scales(flat, margin), near):
        if found is not None:
            bound = flat.shape[1] - free
            w = columns @ found[0][:bound].reshape(shape) @ rows.T
            yield np.append(w, found[0][bound:]), found[1]


def _basis(A: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the span of the columns of A; all of space where that is as large."""
    if A.shape[1] >= A.shape[0]:
        return np.eye(A.shape[0])
    return np.asarray(np.linalg.qr(A)[0])
