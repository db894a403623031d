"""Whether equations Xw = y have a solution, X dense or sparse, what comes nearest to one, and how
many sparse ones may be.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import divided, length, misfits, ratio, row_lengths, worst
from fastbias.checks.spans import SMALL, SQUARE, independent_rows, shortest
from fastbias.data.rows import Matrix

__all__ = ["Unreachable", "demand_few", "least_squares", "off_normal", "reachable", "stacked"]

SOLVED = 1e-9         # misfit of equations that have a solution, relative to their largest one
EACH = 1e-6           # the same relative to a row's own terms: rows may lie at the edge of float64
TINY = 1e-300         # to divide by instead of 0


class Unreachable(ValueError):  # noqa: N818 (it names the event)
    """No point of the closed domain satisfies the equations."""


def reachable(X: Matrix, y: np.ndarray, what: str = "X w") -> None:
    """Raise `Unreachable` where Xw = y has no solution, X dense or sparse; ``what`` is Xw in words.

    That is where least-squares solutions leave over `SOLVED`, with rows of length one, as the
    columns are and with columns of length one, too; and where other ones, in which each row is
    weighed by the terms of its own sum, leave over `EACH` of these in some row: so none can hide
    behind a huge one.
    """
    if _spread(X, y, what):
        return
    columns, asked, solver = row_lengths(X.T), f"{what} = y", "numpy.linalg.lstsq"
    for even in (np.ones_like(columns), np.exp2(np.floor(np.log2(columns)))):
        with np.errstate(all="ignore"):
            rows = X / even
            scale = row_lengths(rows)
            rows, goal = rows / scale[:, None], y / scale
            unit = float(np.abs(goal).max()) or 1.0
            goal = goal / unit
        w = foreign.ask(asked, solver, rows, goal, rcond=None)[0]
        misfit = worst(np.abs(rows @ w - goal)) / max(float(np.abs(goal).max()),
                                                      float(np.linalg.norm(w)), TINY)
        if misfit <= SOLVED:
            break
    else:
        raise Unreachable(f"y must be reachable by {what}, but the least-squares residual is "
                          f"{misfit:.3g}, relatively")
    # the weights depend on w, which depends on them: a few rounds, of which the best one counts
    least = worst(misfits(rows, goal, w))
    for _ in range(5):
        if least > EACH:
            terms = np.maximum(np.maximum(np.abs(goal), np.abs(rows) @ np.abs(w)), TINY)
            columns = row_lengths((rows / terms[:, None]).T)
            w = foreign.ask(asked, solver, rows / terms[:, None] / columns, goal / terms,
                            rcond=None)[0] / columns
            least = min(least, worst(misfits(rows, goal, w)))
    if least > EACH:
        raise Unreachable(f"y must be reachable by {what}, but whatever w is, some row is off by "
                          f"{least:.3g} of its own terms")


def _spread(X: Matrix, y: np.ndarray, what: str) -> bool:
    """Whether so many rows, or sparse ones, are independent, or those that are not agree with the
    others; `Unreachable` where sparse ones do not. False where that is to be looked at closer.
    """
    dense, (N, d) = isinstance(X, np.ndarray), X.shape
    if dense and (N * d <= SMALL or d < N):
        return False
    scale = row_lengths(X)
    with np.errstate(all="ignore"):
        rows, goal = divided(X, scale), y / scale
    chosen = independent_rows(rows)
    if chosen.size == N:
        return True
    if dense:
        return False
    w = shortest(rows[chosen], goal[chosen], np.zeros(d))[0]
    off = worst(misfits(rows, goal, w))
    if off > EACH or worst(np.abs(rows @ w - goal)) > SOLVED * max(float(np.abs(goal).max()),
                                                                   float(np.linalg.norm(w)), TINY):
        raise Unreachable(f"y must be reachable by {what}, but rows that depend on others are off "
                          f"by {off:.3g} of their own terms")
    return True


def _units(X: np.ndarray) -> np.ndarray:
    """Powers of two by which columns are of size one: of features that are small beside others all
    digits count.
    """
    return np.asarray(np.exp2(np.frexp(np.maximum(np.abs(X).max(axis=0), TINY))[1]))


def least_squares(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Some w (d,), of y (N, K) some (d, K), with the least ‖Xw − y‖₂."""
    units = _units(X)
    w = foreign.ask("least squares", "numpy.linalg.lstsq", X / units, y, rcond=None)[0]
    return np.asarray((w.T / units).T)


def off_normal(X: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """How far w is from a least-squares solution: ‖Xᵀ(Xw − y)‖ relative to ‖X‖‖y‖, columns of size
    one.
    """
    units = _units(X)
    X = X / units
    normal = X.T @ (X @ (w.T * units).T - y)
    return ratio(length(normal.ravel()), float(np.linalg.norm(X, 2) * np.linalg.norm(y)))


def demand_few(X: Matrix) -> None:
    """Raise ValueError where sparse X has too many rows and columns for dense factors of either."""
    if min(X.shape) > SQUARE:
        raise ValueError(f"X must have at most {SQUARE} rows or {SQUARE} columns where it is "
                         f"sparse, got shape {X.shape}: leave out rows that others imply, or "
                         "features that few rows have")


def stacked(rows: list[Any]) -> Matrix:
    """Rows under rows, sparse where the first are."""
    if isinstance(rows[0], np.ndarray):
        return np.vstack(rows)
    found: Matrix = foreign.library("scipy.sparse").vstack(rows, format="csr")
    return found
