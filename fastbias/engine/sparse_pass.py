"""The pass over data that is mostly zeros, such as the entries of a matrix that were seen: rows of
(place, value).
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import FILLED, HURRY
from fastbias.engine.compiled import inner
from fastbias.engine.dense_pass import margins
from fastbias.engine.layout import alone, sample_weights
from fastbias.engine.simd import view
from fastbias.engine.weighing import NONE, WILD, pushed

__all__ = ["lay_out", "pass_over", "products"]

# packed holds where row n begins, N + 1 numbers, then place and value of each entry, row after row


@inner
def lay_out(X, c, packed):
    """Write the entries of X that are not 0 into packed, which has room for them, and behind them
    the weights c (N,), or (0,), of the samples.
    """
    N, d = X.shape
    o = N + 1
    for n in range(N):
        packed[n] = o
        for j in range(d):
            if X[n, j] != 0.0:
                packed[o], packed[o + 1] = j, X[n, j]
                o += 2
    packed[N] = o
    for n in range(c.size):
        packed[o + n] = c[n]


@inner
def products(data, w, p, control):
    """p ← X w, for each output where X is dense. False if asked to come back."""
    if control[FILLED] == 0:
        return margins(data, w, p, control)
    packed = data.packed
    for n in range(data.N):
        total = 0.0
        for o in range(int(packed[n]), int(packed[n + 1]), 2):
            total += packed[o + 1] * w[int(packed[o])]
        p[n] = total
    return control[HURRY] == 0


@inner
def pass_over(slope, params, data, w, p, q, g, control):
    """One pass for any loss, by its piece: p ← X w, g ← Xᵀq; returns s, −∇L = e^s g, or NaN if
    asked to come back.
    """
    if not products(data, w, p, control):
        return np.nan
    N, packed = data.N, data.packed
    s = slope(params, view(p, 0, N), data.y, view(q, 0, N))
    if data.weighed != NONE:
        s = pushed(slope, params, sample_weights(data, 0, N), alone(data, q, WILD), view(p, 0, N),
                   data.y, view(q, 0, N), s)
    for j in range(data.d):           # every entry: which ones the rows miss is not known
        g[j] = 0.0
    for n in range(N):
        for o in range(int(packed[n]), int(packed[n + 1]), 2):
            g[int(packed[o])] += q[n] * packed[o + 1]
    return s
