"""The exact finish of min ‖w‖ subject to Sw = b: Newton's method on its optimality conditions, for
norms that know their proximal map.

The minimiser w and its multipliers μ are where w = shrink(w + t Sᵀμ, t), for any t > 0, and Sw = b.
The proximal map sees by itself on which face of the ball w lies (of which rank, which groups are
not 0) and is smooth there, so that a few steps from nearby end at rounding (semismooth Newton: Qi,
Sun 1993). Nothing here is a proof: who calls makes that, from (w, μ) alone.
"""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import row_lengths
from fastbias.pieces.norms.proximal import Shrink

__all__ = ["NEARBY", "finished"]

ROUNDED = 1e-14       # errors, of equations of size one, that end where they no longer halve
NEARBY = 1e-4         # a gap from which Newton's method finds the rest of the way
STEPS = 8             # of it: a few do
LARGEST = 1500        # unknowns up to which a step is a matter of a second
FREE = 1e-14          # pivots, relative to the largest, of what the equations leave free


def finished(S: np.ndarray, b: np.ndarray, shrink: Shrink, w: np.ndarray,
             mu: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Better and better w (d,) and μ (k,) with Sw = b, from a w and μ with ‖Sᵀμ‖⋆ = 1 nearby.

    What the equations leave free, of multipliers of rows that depend on each other or of w, stays
    as near as it can to what it was. Nothing where they are too many, or the linear algebra fails.
    """
    k, d = S.shape
    lengths, size, pull = row_lengths(S), float(np.linalg.norm(w)), float(np.linalg.norm(mu @ S))
    if k > 2 * d or k + d > LARGEST or not 0 < size * pull < np.inf:
        return
    # rows, w and t Sᵀμ of length one: what is small in these units is rounding
    A, t, off = S / lengths[:, None], 1.0 / pull, [np.inf, np.inf]
    rows, goal = A.astype(np.longdouble), (b / lengths / size).astype(np.longdouble)
    v, nu = (w / size).astype(np.longdouble), (mu * lengths * t).astype(np.longdouble)
    for _ in range(STEPS):
        try:
            with foreign.guarded("the equations of a face"):
                there, slope = shrink(np.asarray(v + nu @ rows, float), t)
                error = np.concatenate([there - v, goal - rows @ v]).astype(float)
                off.append(float(np.abs(error).max()))
                # a step may end beyond an edge; the next one sees the other face
                ended = off[-1] <= ROUNDED and off[-1] > 0.5 * off[-2]
                if ended or not off[-1] < off[-3]:
                    return
                step = _solution(A, slope(np.eye(d)), error)
        except foreign.Unsolved:
            return
        v, nu = v + step[:d], nu + step[d:]
        yield np.asarray(size * v, float), np.asarray(nu / t, float) / lengths


def _solution(A: np.ndarray, D: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Newton's step for w and ν: of the least length, where the equations leave it free.

    What pivots under the error say is no more than the error says.
    """
    k, d = A.shape
    jacobian = np.block([[np.eye(d) - D, -D @ A.T], [A, np.zeros((k, k))]])
    least_pivot = max(FREE, float(np.abs(error).max()))
    return np.asarray(foreign.ask("the equations of a face", "scipy.linalg.lstsq", jacobian, error,
                                  cond=least_pivot, lapack_driver="gelsy", check_finite=False)[0])
