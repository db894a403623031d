"""One pass over the data at the machine's limit: margins, their weights and the gradient, eight
rows at a time.

The three common losses are weighed inside; for any other one its piece is called on blocks of rows.
What is here works on some rows: `fastbias.engine.passes` makes whole passes of it. X is packed in
tiles of eight rows by eight columns, padded with zeros, so that a pass is one stream: entry (n, j)
stands at 8 width (n//8) + 64 (j//8) + 8 (n mod 8) + j mod 8.

Monotone losses are kept in range by a whole number k0, q = 2^k0 (−ℓ'), a multiple of 128: it is
changed, and the pass done again, only when the largest weight has left 2^±150. Powers of two round
nothing, so the bits do not depend on when. Beyond 2^±REACH (a method whose margins grow like powers
of t gets there) the pieces take over for good.
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import HURRY, eights
from fastbias.engine.compiled import inner
from fastbias.engine.layout import alone, columns, sample_weights, targets
from fastbias.engine.lending import view
from fastbias.engine.simd import (
    absolute,
    exp,
    fetch,
    fma,
    inlined,
    lane,
    larger,
    load8,
    negative,
    smaller,
    splat8,
    store,
    totals8,
)
from fastbias.engine.weighing import NONE, WILD, pushed

__all__ = ["add", "add_two", "asked_rows", "dense_products", "factors", "gathered_rows", "joined",
           "moved", "pack", "unscaled", "weighed_rows", "weights", "worth"]

# losses with twins; 0: known by its pieces alone
EXPONENTIAL, LOGISTIC, SQUARED = 1, 2, 3

LOG2E = 1.4426950408889634
LOG2 = 0.6931471805599453
NEVER = -1e15                         # −m of what pads the samples: its weight is 0
# 2^±WINDOW leaves room in float64 for sums and squares; at 2^±REACH margins have 12 binary places
# left
WINDOW, STRIDE, REACH = 150.0, 128.0, 128.0 * 2.0 ** 33
NEAR = 4096                           # entries of X that stay in the first cache
BLOCK = 4096                          # entries of X that a pass reads twice while they are near
TWO = np.float64(2.0)                 # (Python's own power would raise where it overflows)
FAR = 20.0                            # log of how much larger a scale lets all before it shrink


@inner
def unscaled(k0):
    """2^−k0; a power is dear, and most runs are at 1."""
    return 1.0 if k0 == 0.0 else TWO ** -k0


@inner
def factors(loss, weighed, tall):
    """Where in `targets`, vectors of so many numbers, the factors begin that `weights` gives to
    slopes.
    """
    # (of scalars alone: to hand on a tuple of arrays costs as much as some vectors of samples)
    inlined()
    if loss == SQUARED:
        return tall
    return 3 * tall if loss == LOGISTIC and weighed != NONE else 0


@inner
def weights(loss, y, lift, factor, p, k0, es):
    """q = −∂ℓ/∂p of vectors of samples, times 2^k0, and −m; es is 2^−k0.

    With c the samples' weights, or 1: lift is log c for the exponential loss, 0 for the logistic
    one, and NEVER for padding, which has y = 0; factor is 2 c of squares and c y of the others.
    """
    if loss == SQUARED:
        return factor * (y - p), lift
    # (the second where they cannot be compared: NaN stays)
    z = larger(NEVER, fma(negative(y), p, lift))
    if loss == EXPONENTIAL:
        return y * exp(z, k0), z
    e = exp(smaller(500.0, z), k0)    # 1/(1 + e^m), also where e^m is beyond all numbers
    return factor * (e / fma(e, es, 1.0)), z


@inner
def worth(loss, data, p):
    """Log L at predictions p of a loss that is weighed inside, for samples with weights."""
    N, tall, y = data.N, eights(data.N), targets(data)
    if loss == SQUARED:
        return _squared_worth(y, p, N)
    top, total = -np.inf, 0.0
    # of exponents: all terms are counted in that of the largest
    for n in range(N):
        z = y[tall + n] - y[n] * p[n]
        if np.isnan(z):
            return z
        top = max(top, z)
    if not np.isfinite(top):
        return top
    if loss == LOGISTIC:
        return _logistic_worth(y, p, N, top)
    for n in range(N):
        total += np.exp(y[tall + n] - y[n] * p[n] - top)
    return top + np.log(total)


@inner
def _squared_worth(y, p, N):
    """Log Σ c (y − p)², the residuals scaled."""
    tall, top, total = eights(N), 0.0, 0.0
    for n in range(N):
        r = abs(y[n] - p[n])
        if np.isnan(r):
            return r
        top = max(top, r)
    if top == 0.0 or top == np.inf:
        return np.log(top)
    for n in range(N):
        total += y[2 * tall + n] * ((y[n] - p[n]) / top) ** 2
    return 2.0 * np.log(top) + np.log(total)


@inner
def _logistic_worth(y, p, N, top):
    """Log Σ c log(1 + e^−m), of margins of −top at least."""
    tall, total = eights(N), 0.0
    far = top < -36.0                 # to second order, which is all of float64 there
    for n in range(N):
        z = -y[n] * p[n]
        if far:
            size = np.exp(z - top) * (1.0 - 0.5 * np.exp(z))
        else:
            size = max(z, 0.0) + np.log1p(np.exp(-abs(z)))
        total += y[2 * tall + n] * size
    return top + np.log(total) if far else np.log(total)


@inner
def moved(loss, z, k0):
    """The k0 that suits a largest −m of z: the one that stands while the weights are within reach
    of it.
    """
    k = z * LOG2E
    if loss == LOGISTIC:
        k = min(k, 0.0)
    if abs(k + k0) <= WINDOW or not abs(k) < 1e300:       # beyond numbers: the update will say so
        return k0
    return max(-REACH, min(REACH, -np.rint(k / STRIDE) * STRIDE))


@inner
def dense_products(data, w, p, begin, end, control):
    """p ← X w for each output, of rows from one on up to another. False if asked to come back."""
    inlined()
    N, X, width = data.N, data.packed, eights(data.d)
    for c in range(data.outputs):
        for n in range(begin, end, 8):
            x = _products(X, n * width, width, w, c * data.d)
            if n + 8 > N and c < data.outputs - 1:        # (or it would write to the next output)
                for j in range(N - n):
                    p[c * N + n + j] = lane(x, j)
            else:
                store(p, c * N + n, x)
            if control[HURRY] != 0:
                return False
    return True


@inner
def _products(X, o, width, w, start):
    """The products of eight rows of X, whose tiles begin at entry o, with w."""
    inlined()
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = splat8(0.0)
    for v in range(0, width, 8):
        x = load8(w, start + v)
        i = o + 8 * v
        a0 = fma(x, load8(X, i), a0)
        a1 = fma(x, load8(X, i + 8), a1)
        a2 = fma(x, load8(X, i + 16), a2)
        a3 = fma(x, load8(X, i + 24), a3)
        a4 = fma(x, load8(X, i + 32), a4)
        a5 = fma(x, load8(X, i + 40), a5)
        a6 = fma(x, load8(X, i + 48), a6)
        a7 = fma(x, load8(X, i + 56), a7)
    return totals8((a0, a1, a2, a3, a4, a5, a6, a7))


@inner
def _spread(q):
    """Each lane of q in all lanes of a vector of its own."""
    inlined()
    return (splat8(lane(q, 0)), splat8(lane(q, 1)), splat8(lane(q, 2)), splat8(lane(q, 3)),
            splat8(lane(q, 4)), splat8(lane(q, 5)), splat8(lane(q, 6)), splat8(lane(q, 7)))


@inner
def _across(X, i, q):
    """The sum of the rows of the tile at entry i, each times its q; in two short chains."""
    inlined()
    a = fma(q[2], load8(X, i + 16), q[0] * load8(X, i))
    b = fma(q[3], load8(X, i + 24), q[1] * load8(X, i + 8))
    a = fma(q[4], load8(X, i + 32), a)
    b = fma(q[5], load8(X, i + 40), b)
    return fma(q[6], load8(X, i + 48), a) + fma(q[7], load8(X, i + 56), b)


@inner
def add(X, o, width, fresh, q, g, start):
    """g += (fresh: ←) the eight rows of X whose tiles begin at entry o, times q; the largest |g| of
    each lane.
    """
    inlined()
    top, q = splat8(0.0), _spread(q)
    for v in range(0, width, 8):
        x = _across(X, o + 8 * v, q)
        if not fresh:
            x = load8(g, start + v) + x
        store(g, start + v, x)
        top = larger(absolute(x), top)
    return top


@inner
def add_two(X, o, width, fresh, far, q, r, g):
    """The same for sixteen rows, times q and r: g is read and written half as often."""
    inlined()
    top, q, r = splat8(0.0), _spread(q), _spread(r)
    ahead = 8 * width * 2
    for v in range(0, width, 8):
        if far:  # the next sixteen rows: the machine's own guess comes too late
            for i in range(o + ahead + 8 * v, o + ahead + 8 * v + 64, 8):
                fetch(X, i)
                fetch(X, i + 8 * width)
        x = _across(X, o + 8 * v, q) + _across(X, o + 8 * (v + width), r)
        if not fresh:
            x = load8(g, v) + x
        store(g, v, x)
        top = larger(absolute(x), top)
    return top


@inner
def weighed_rows(loss, data, vectors, k0, begin, end, control):
    """For a loss that is weighed inside, of the rows from one on up to another: p ← X w, g ← 2^k0
    Xᵀ(−ℓ') (in Gram space: 2^k0 (−ℓ') of each).

    Returns the largest −m of each lane, and whether it was asked to come back.
    """
    inlined()
    w, p, g = vectors.w, vectors.p, vectors.g
    N, X, y = data.N, data.packed, targets(data)
    width, tall = eights(data.d), eights(N)
    at = factors(loss, data.weighed, tall)
    es, far = unscaled(k0), N * width > NEAR and width <= 128
    z, n = splat8(NEVER), begin
    while n < end:
        m = _products(X, n * width, width, w, 0)
        store(p, n, m)
        e, bound = weights(loss, load8(y, n), load8(y, tall + n), load8(y, at + n), m, k0, es)
        z = larger(bound, z)
        if data.coefficients:
            store(g, n, e)
        elif n + 8 < end:             # sixteen rows at a time while there are so many
            i = n + 8
            m = _products(X, i * width, width, w, 0)
            store(p, i, m)
            f, bound = weights(loss, load8(y, i), load8(y, tall + i), load8(y, at + i), m, k0, es)
            z = larger(bound, z)
            add_two(X, n * width, width, n == begin, far, e, f, g)
            n = i
        else:
            add(X, n * width, width, n == begin, e, g, 0)
        n += 8
        if control[HURRY] != 0:
            return z, True
    return z, False


@inner
def asked_rows(slope, params, data, vectors, begin, end, control):
    """For any loss of one output, by its piece, of the rows from one on up to another: p ← X w, g ←
    Xᵀq (in Gram space: q of each); returns s, −∇L = e^s g, and whether it was asked to come back.
    """
    inlined()
    w, p, q, g = vectors
    y, width = data.y, eights(data.d)
    # a block's rows are read for p and again for g: small enough to be still near
    block, s = max(32, BLOCK // width // 8 * 8), 0.0
    for b in range(begin, end, block):
        last = min(end, b + block)
        if not dense_products(data, w, p, b, last, control):
            return s, True
        size = last - b
        at = slope(params, view(p, b, size), view(y, b, size), view(q, b, size))
        if data.weighed != NONE:
            at = pushed(slope, params, sample_weights(data, b, size), alone(data, q, WILD),
                        view(p, b, size), view(y, b, size), view(q, b, size), at)
        if last == data.N:
            store(q, last, splat8(0.0))
        factor = 1.0
        if b == begin:
            s = at
        else:
            # (of Gram space's g other rows may be somebody else's)
            start, stop = (begin, b) if data.coefficients else (0, g.size - 7)
            s, factor = joined(s, at, g, start, stop)
        if not gathered_rows(data, q, factor, g, b, last, b == begin, control):
            return s, True
    return s, False


@inner
def joined(s, at, g, begin, end):
    """The scale of Xᵀq so far and of more of it together, and what that more is multiplied by; g,
    from one entry on, goes along where the new scale is by far the larger one.
    """
    if at == s:
        return s, 1.0
    if at > s + FAR:                  # what came before is small beside it
        factor, s = np.exp(s - at), at
        for v in range(begin, end, 8):
            store(g, v, load8(g, v) * factor)
    return s, np.exp(at - s)


@inner
def gathered_rows(data, q, factor, g, begin, end, fresh, control):
    """g += (fresh: ←) factor times Xᵀq for each output, of the rows from one on up to another, or q
    itself in Gram space. False if asked to come back.
    """
    inlined()
    N, d, X, width = data.N, data.d, data.packed, eights(data.d)
    for c in range(data.outputs):
        n = begin
        while n < end:
            e, first = load8(q, c * N + n) * factor, fresh and n == begin
            if data.coefficients:
                store(g, n, e)
            elif n + 8 < end and data.outputs == 1:
                add_two(X, n * width, width, first, False, e, load8(q, n + 8) * factor, g)
                n += 8
            else:
                add(X, n * width, width, first, e, g, c * d)
            n += 8
            if control[HURRY] != 0:
                return False
    return True


@inner
def pack(X, c, data, loss, transposed):
    """Lay X, its targets and weights for a loss that is weighed inside and, if wanted, its
    transpose out in data.packed: padded with zeros.
    """
    (N, d), packed, width, tall = X.shape, data.packed, eights(data.d), eights(data.N)
    # each number once, and never another one first: somebody may read the same layout already
    for n in range(tall):
        o, filled = (n - n % 8) * width + n % 8 * 8, d if n < N else 0
        for j in range(filled):
            packed[o + (j - j % 8) * 8 + j % 8] = X[n, j]
        for j in range(filled, width):
            packed[o + (j - j % 8) * 8 + j % 8] = 0.0
    _beside(c, data, loss, targets(data))
    if transposed:
        turned = columns(data)
        for n in range(tall):
            for j in range(d):
                turned[j * tall + n] = X[n, j] if n < N else 0.0


@inner
def _beside(c, data, loss, y):
    """The targets y and beside them what `weights` wants, and the weights c (N,), or (0,)."""
    N, tall = data.N, eights(data.N)
    for n in range(tall):
        own = 1.0 if data.weighed == NONE else c[n] if n < N else 0.0
        y[n] = data.y[n] if n < N else 0.0
        if loss == SQUARED:
            y[tall + n] = 2.0 * own if n < N else 2.0
        elif n >= N:
            y[tall + n] = NEVER
        else:
            y[tall + n] = np.log(own) if loss == EXPONENTIAL else 0.0
        if data.weighed != NONE:
            y[2 * tall + n], y[3 * tall + n] = own, own * y[n]
