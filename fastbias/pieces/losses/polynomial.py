"""A strictly monotone loss with a heavy tail, ℓ(m) = (1 + m)^−b: all samples pull, for ever."""
from __future__ import annotations

import numpy as np

from fastbias import checks
from fastbias.engine.abi import LOG_LOSS, SLOPE, piece
from fastbias.pieces.losses.base import Loss
from fastbias.pieces.recipe import recorded

__all__ = ["polynomial"]


@piece(SLOPE, needs=1)
def _slope(params, p, y, q):
    b, s = params[0], -np.inf
    for i in range(p.size):
        m = y[i] * p[i]
        q[i] = 0.0 if m < 0.0 else -(b + 1.0) * np.log1p(m)
        s = max(s, q[i])
    # only where a prediction is no longer finite
    if not np.isfinite(s):
        s = 0.0
    for i in range(p.size):
        q[i] = y[i] * np.exp(q[i] - s)
    return s + np.log(b)


@piece(LOG_LOSS, needs=1)
def _log_loss(params, p, y):
    b, largest, total = params[0], -np.inf, 0.0
    for i in range(p.size):
        m = y[i] * p[i]
        x = np.log1p(-b * m) if m < 0.0 else -b * np.log1p(m)
        if np.isnan(x):
            return x
        if x > largest:
            total = total * np.exp(largest - x) + 1.0
            largest = x
        else:
            total += np.exp(x - largest)
    return largest + np.log(total) if np.isfinite(largest) else largest


@recorded
def polynomial(b: float = 1.0) -> Loss:
    """ℓ(u, y) = (1 + uy)^−b for uy ≥ 0, and 1 − b uy, its tangent, for uy < 0: convex, and it falls
    like a power of the margin.

    Gradient descent then goes to no maximum margin, but to the direction that makes Σ c_n m_n^−b
    least among w of ℓ2 length one, in which every sample and its weight c_n count.

    Parameters
    ----------
    b : float > 0, default 1.0

    References
    ----------
    Ji, Dudík, Schapire, Telgarsky (2020); Ji & Telgarsky (2021), Theorem 5.

    Examples
    --------
    >>> import fastbias as fb
    >>> plan = fb.Plan([[2, 1], [1, 3]], [1, 1], loss=fb.losses.polynomial(2),
    ...                method=fb.methods.gradient_descent(0.02))
    >>> limit = plan.limit()
    >>> print(limit.w.round(6), limit.certified)
    [0.722801 0.691056] True
    """
    b = checks.number("b", b, above=0)
    return Loss("polynomial", _slope, _log_loss, "monotone", np.array([b]), tail="polynomial",
                power=b, curvature=b * (b + 1.0))


EXAMPLES: tuple[Loss, ...] = (polynomial(1.0), polynomial(3.0))
