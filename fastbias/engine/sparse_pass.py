"""The pass over data that is mostly zeros, such as the entries of a matrix that were seen: rows of (place, value)."""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import FILLED, HURRY, kernel
from fastbias.engine.dense_pass import margins

__all__ = ["lay_out", "pass_over", "products"]

# packed holds where row n begins, N + 1 numbers, then place and value of each entry, row after row


@kernel
def lay_out(X, packed):  # type: ignore[no-untyped-def]
    """Write the entries of X that are not 0 into packed, which has room for them."""
    N, d = X.shape
    o = N + 1
    for n in range(N):
        packed[n] = o
        for j in range(d):
            if X[n, j] != 0.0:
                packed[o], packed[o + 1] = j, X[n, j]
                o += 2
    packed[N] = o


@kernel
def products(packed, N, d, outputs, w, p, control):  # type: ignore[no-untyped-def]
    """P ← X w, for each output where X is dense. False if asked to come back."""
    if control[FILLED] == 0:
        return margins(packed, N, d, outputs, w, p, control)
    for n in range(N):
        total = 0.0
        for o in range(int(packed[n]), int(packed[n + 1]), 2):
            total += packed[o + 1] * w[int(packed[o])]
        p[n] = total
    return control[HURRY] == 0


@kernel
def pass_over(slope, params, packed, y, N, d, w, p, q, g, control):  # type: ignore[no-untyped-def]
    """One pass for any loss, by its piece: p ← X w, g ← Xᵀq; returns s, −∇L = e^s g, or NaN if asked to come back."""
    if not products(packed, N, d, 1, w, p, control):
        return np.nan
    s = slope(params, p[:N], y, q[:N])
    for j in range(d):
        g[j] = 0.0
    for n in range(N):
        for o in range(int(packed[n]), int(packed[n + 1]), 2):
            g[int(packed[o])] += q[n] * packed[o + 1]
    return s
