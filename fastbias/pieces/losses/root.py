"""Losses with a unique finite root (Property 1): squared, Huber, truncated squared."""
from __future__ import annotations

import numpy as np

from fastbias import checks
from fastbias.engine import dense_pass
from fastbias.engine.abi import LOG_LOSS, SLOPE, piece, twin
from fastbias.pieces.losses.base import Loss
from fastbias.pieces.recipe import recorded

__all__ = ["huber", "squared", "truncated_squared"]


@piece(SLOPE)
def _squared_slope(params, p, y, q):
    for i in range(p.size):
        q[i] = 2.0 * (y[i] - p[i])
    return 0.0


@piece(LOG_LOSS)
def _squared_log_loss(params, p, y):
    largest = 0.0                                        # scaled, so that 1e-200² does not vanish
    for i in range(p.size):
        r = abs(y[i] - p[i])
        if np.isnan(r):                                  # which comparisons would pass over
            return r
        largest = max(largest, r)
    if largest == 0.0 or not np.isfinite(largest):
        return np.log(largest)
    total = 0.0
    for i in range(p.size):
        total += ((y[i] - p[i]) / largest) ** 2
    return 2.0 * np.log(largest) + np.log(total)


twin(dense_pass.SQUARED, _squared_slope, _squared_log_loss)
squared = Loss("squared", _squared_slope, _squared_log_loss, kind="root", curvature=2.0,
               quadratic=True, bend=lambda p, y, v: (np.zeros(y.size), 2.0 * v))
"""ℓ(u, y) = (u − y)², without a factor ½; its one root is u = y."""


def _within(most: float, p: np.ndarray, y: np.ndarray,
            v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ℓ'' v of a loss that is r² up to |r| = most, the corner included, and straight beyond."""
    return np.zeros(y.size), np.where(np.abs(p - y) <= most, 2.0 * v, 0.0)


@piece(SLOPE, needs=1)
def _huber_slope(params, p, y, q):
    for i in range(p.size):
        r = y[i] - p[i]
        # NaN, which comparisons would pass over
        q[i] = 2.0 * max(-params[0], min(params[0], r)) if r == r else r
    return 0.0


@piece(LOG_LOSS, needs=1)
def _huber_log_loss(params, p, y):
    delta = params[0]
    largest = 0.0
    for i in range(p.size):
        r = abs(y[i] - p[i])
        if np.isnan(r):                                  # which comparisons would pass over
            return r
        largest = max(largest, r)
    if largest == 0.0 or not np.isfinite(largest):
        return np.log(largest)
    # of ℓ/largest², which lies in [0, 1] for each sample
    total = 0.0
    for i in range(p.size):
        r = abs(y[i] - p[i]) / largest
        cut = delta / largest
        total += r * r if r <= cut else cut * (2.0 * r - cut)
    return 2.0 * np.log(largest) + np.log(total)


@recorded
def huber(delta: float) -> Loss:
    """ℓ(u, y) = r² for |r| ≤ δ, 2δ|r| − δ² beyond, r = u − y; its one root is u = y.

    Parameters
    ----------
    delta : float > 0
        δ, where the square turns into a line.

    Examples
    --------
    >>> import fastbias as fb, numpy as np
    >>> log_loss = fb.losses.huber(1.0).log(np.array([0.5, 3.0]), np.zeros(2))
    >>> round(float(np.exp(log_loss)), 12)                       # 0.25 + 5
    5.25
    """
    delta = checks.number("delta", delta, above=0)
    return Loss("huber", _huber_slope, _huber_log_loss, "root", np.array([delta]), curvature=2.0,
                bend=lambda p, y, v: _within(delta, p, y, v))


@piece(SLOPE, needs=1)
def _truncated_slope(params, p, y, q):
    for i in range(p.size):
        r = y[i] - p[i]
        q[i] = 0.0 if abs(r) > params[0] else 2.0 * r     # (NaN stays)
    return 0.0


@piece(LOG_LOSS, needs=1)
def _truncated_log_loss(params, p, y):
    largest = 0.0
    for i in range(p.size):
        if not np.isfinite(p[i]):
            return np.log(abs(p[i]))
        # cut before it is squared: r² may be infinite where min(r², c²) is c²
        largest = max(largest, min(params[0], abs(y[i] - p[i])))
    # 0/0 below would make NaN of a loss that is 0
    if largest == 0.0:
        return -np.inf
    total = 0.0
    for i in range(p.size):
        total += (min(params[0], abs(y[i] - p[i])) / largest) ** 2
    return 2.0 * np.log(largest) + np.log(total)


@recorded
def truncated_squared(c: float) -> Loss:
    """ℓ(u, y) = min(r², c²), r = u − y; its one root is u = y.

    Samples with |r| > c are flat and pull no more, so a run may rest away from the global minima;
    the theorems ask for L → 0, which the trace shows. (Property 1 holds: the infimum 0 is attained
    at u = y alone.)

    Parameters
    ----------
    c : float > 0
        Where the square is cut off.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbias as fb
    >>> loss = fb.losses.truncated_squared(2.0)
    >>> round(float(np.exp(loss.log([10.0], [0.0]))), 9)         # min(10², 2²)
    4.0
    """
    c = checks.number("c", c, above=0)
    return Loss("truncated_squared", _truncated_slope, _truncated_log_loss, "root", np.array([c]),
                convex=False, bend=lambda p, y, v: _within(c, p, y, v))


EXAMPLES: tuple[Loss, ...] = (squared, huber(1.5), truncated_squared(2.0))
