"""Whether linear equations have a solution, with rows and columns of any size."""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import misfits, row_lengths, worst

__all__ = ["SOLVED", "Unreachable", "reachable"]

SOLVED = 1e-9         # misfit of equations that have a solution, relative to their largest one
EACH = 1e-6           # the same relative to a row's own terms: rows may lie at the edge of float64
TINY = 1e-300         # to divide by instead of 0


class Unreachable(ValueError):  # noqa: N818 (it names the event)
    """No point of the closed domain satisfies the equations."""


def reachable(X: np.ndarray, y: np.ndarray) -> None:
    """Raise `Unreachable` where Xw = y has no solution.

    That is where least-squares solutions leave over `SOLVED`, with rows of length one, as the
    columns are and with columns of length one, too; and where other ones, in which each row is
    weighed by the terms of its own sum, leave over `EACH` of these in some row: so none can hide
    behind a huge one.
    """
    columns, what, solver = row_lengths(X.T), "X w = y", "numpy.linalg.lstsq"
    for even in (np.ones_like(columns), np.exp2(np.floor(np.log2(columns)))):
        with np.errstate(all="ignore"):
            rows = X / even
            scale = row_lengths(rows)
            rows, goal = rows / scale[:, None], y / scale
            unit = float(np.abs(goal).max()) or 1.0
            goal = goal / unit
        w = foreign.ask(what, solver, rows, goal, rcond=None)[0]
        misfit = worst(np.abs(rows @ w - goal)) / max(float(np.abs(goal).max()),
                                                      float(np.linalg.norm(w)), TINY)
        if misfit <= SOLVED:
            break
    else:
        raise Unreachable("y must be reachable by X w, but the least-squares residual is "
                          f"{misfit:.3g}, relatively")
    # the weights depend on w, which depends on them: a few rounds, of which the best one counts
    least = worst(misfits(rows, goal, w))
    for _ in range(5):
        if least > EACH:
            terms = np.maximum(np.maximum(np.abs(goal), np.abs(rows) @ np.abs(w)), TINY)
            columns = row_lengths((rows / terms[:, None]).T)
            w = foreign.ask(what, solver, rows / terms[:, None] / columns, goal / terms,
                            rcond=None)[0] / columns
            least = min(least, worst(misfits(rows, goal, w)))
    if least > EACH:
        raise Unreachable("y must be reachable by X w, but whatever w is, some row is off by "
                          f"{least:.3g} of its own terms")
