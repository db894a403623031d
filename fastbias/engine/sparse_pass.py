"""The pass over sparse data, row by row of those entries that are kept: a matrix of `scipy.sparse`,
or the few entries of a matrix that were seen.

``packed`` then holds where the entries of row n begin, N + 1 numbers of which the last is how many
there are; the entries, row after row; and their columns, 32-bit whole numbers, two in the bits of a
float64. Of a matrix of `scipy.sparse` that is all there is: X itself is handed over as (0, d).
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import HURRY
from fastbias.engine.compiled import inner
from fastbias.engine.dense_pass import joined
from fastbias.engine.layout import alone, sample_weights
from fastbias.engine.lending import view
from fastbias.engine.scattered import gathered, place, put, scattered
from fastbias.engine.simd import fetch, fma, inlined, load8, splat8, total
from fastbias.engine.weighing import NONE, WILD, pushed

__all__ = ["drawn_gather", "drawn_products", "fill", "laid_out", "lay_out", "sparse_asked_rows",
           "sparse_cleared", "sparse_gathered_rows", "sparse_products"]

# entries of X that are read for predictions and, while they are near, for Xᵀq: so many that each
# entry of w, and then of the gradient, is met several times before the other takes its place
BLOCK = 1 << 15
AHEAD = 64       # entries from here that are brought near: the machine's own guess comes too late


def fill(packed: np.ndarray, indptr: np.ndarray, columns: np.ndarray,
         entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write indptr (N + 1,), the columns and the entries of rows into packed; returns the last two
    as they stand there, the columns as int32.
    """
    N, filled = indptr.size - 1, entries.size
    kept = packed[N + 1:N + 1 + filled]
    places = packed[N + 1 + filled:].view(np.int32)[:filled]
    packed[:N + 1], kept[:], places[:] = indptr, entries, columns
    return places, kept


@inner
def lay_out(X, c, filled, data):
    """Write the entries of X that are not 0, so many, into data.packed, unless X is (0, d) and they
    stand there; and behind them the weights c (N,), or (0,), of the samples.
    """
    N, packed = data.N, data.packed
    base, o = N + 1 + filled, 0
    for n in range(X.shape[0]):
        packed[n] = o
        for j in range(data.d):
            if X[n, j] != 0.0:
                packed[N + 1 + o] = X[n, j]
                put(packed, base, o, j)
                o += 1
    packed[N] = filled
    for n in range(c.size):
        packed[data.begin + n] = c[n]


@inner
def laid_out(packed, N, d, filled):
    """Whether packed holds N rows of so many entries in columns under d."""
    if packed[0] != 0.0 or packed[N] != filled:
        return False
    for n in range(N):
        if not packed[n] <= packed[n + 1] or packed[n + 1] != np.floor(packed[n + 1]):
            return False
    fine, base = True, N + 1 + filled
    for o in range(filled):
        fine &= place(packed, base, o) < d
    return fine


@inner
def _columns(packed, N):
    """Where the columns begin."""
    inlined()
    return N + 1 + int(packed[N])


@inner
def _near(packed, first, base, o):
    """Bring the o-th entry near, and its column; nothing is read, so there may be none."""
    inlined()
    fetch(packed, first + o)
    fetch(packed, base + o // 2)


@inner
def _product(packed, N, n, w, start):
    """The product of row n with w[start:]."""
    inlined()
    o, end, base = int(packed[n]), int(packed[n + 1]), _columns(packed, N)
    sums, first = splat8(0.0), N + 1
    while o + 8 <= end:
        _near(packed, first, base, o + AHEAD)
        sums = fma(load8(packed, first + o), gathered(packed, base, o, w, start), sums)
        o += 8
    result = total(sums)
    while o < end:
        result += packed[first + o] * w[start + place(packed, base, o)]
        o += 1
    return result


@inner
def _add(packed, N, n, q, g, start):
    """g[start:] += q times row n."""
    inlined()
    o, end, base = int(packed[n]), int(packed[n + 1]), _columns(packed, N)
    first = N + 1
    while o + 8 <= end:
        _near(packed, first, base, o + AHEAD)
        scattered(packed, base, o, g, start, load8(packed, first + o) * q)
        o += 8
    while o < end:
        g[start + place(packed, base, o)] += q * packed[first + o]
        o += 1


@inner
def _block(data):
    """How many rows a pass reads twice before it goes on."""
    return max(8, BLOCK * data.N // max(1, int(data.packed[data.N])))


@inner
def sparse_products(data, w, p, begin, end, control):
    """p ← X w for each output, of rows from one on up to another. False if asked to come back."""
    block = _block(data)
    for b in range(begin, end, block):
        for n in range(b, min(end, b + block)):
            for c in range(data.outputs):
                p[c * data.N + n] = _product(data.packed, data.N, n, w, c * data.d)
        if control[HURRY] != 0:
            return False
    return True


@inner
def sparse_asked_rows(slope, params, data, vectors, begin, end, control):
    """As `fastbias.engine.dense_pass.asked_rows`."""
    w, p, q, g = vectors
    block, s, y = _block(data), 0.0, data.y
    sparse_cleared(data, g)
    for b in range(begin, end, block):
        last = min(end, b + block)
        if not sparse_products(data, w, p, b, last, control):
            return s, True
        size = last - b
        seen, own, push = view(p, b, size), view(y, b, size), view(q, b, size)
        at = slope(params, seen, own, push)
        if data.weighed != NONE:
            at = pushed(slope, params, sample_weights(data, b, size), alone(data, q, WILD), seen,
                        own, push, at)
        s, factor = joined(at if b == begin else s, at, g, 0, data.d)
        sparse_gathered_rows(data, q, factor, g, b, last)
    return s, control[HURRY] != 0


@inner
def sparse_cleared(data, g):
    """g ← 0, every entry: which ones the rows miss is not known."""
    for j in range(data.outputs * data.d):
        g[j] = 0.0


@inner
def sparse_gathered_rows(data, q, factor, g, begin, end):
    """g += factor times Xᵀq for each output, of the rows from one on up to another."""
    for n in range(begin, end):
        for c in range(data.outputs):
            _add(data.packed, data.N, n, q[c * data.N + n] * factor, g, c * data.d)


@inner
def drawn_products(data, order, count, w, p, y_batch):
    """As `fastbias.engine.batch_pass.batch_margins`, of sparse rows."""
    batch = p.size // data.outputs
    for i in range(batch):
        n = order[i] if i < count else order[0]
        for c in range(data.outputs):
            p[c * batch + i] = _product(data.packed, data.N, n, w, c * data.d)
        for c in range(data.goals):
            y_batch[c * batch + i] = data.y[c * data.N + n]


@inner
def drawn_gather(data, order, count, q, g):
    """g ← Σ q_i x_i over the drawn samples, of sparse rows."""
    for j in range(data.outputs * data.d):
        g[j] = 0.0
    batch = q.size // data.outputs
    for i in range(count):
        for c in range(data.outputs):
            _add(data.packed, data.N, order[i], q[c * batch + i], g, c * data.d)
