"""Samples with weights c_n > 0: L = Σ c_n ℓ_n, from pieces of losses that know nothing of them.

A slope is asked for as ever, and what it says of each sample multiplied by the sample's weight.
That loses nothing while weights are of sizes that float64 holds beside each other (`MILD`); where
they are not, and for log L, the piece is asked sample by sample and its answers are put together
in the log domain: a sample whose term vanished beside the others' may be the one that counts.
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import WEIGH, WEIGHTED
from fastbias.engine.compiled import inner, kernel
from fastbias.engine.lending import view

__all__ = ["MILD", "NONE", "PLAIN", "WILD", "how", "inside", "pushed", "valued",
           "weighted"]

# weights in 2^±100 leave room beside the windows of `fastbias.engine.dense_pass`
MILD = 2.0 ** 100
NONE, PLAIN, WILD = 0, 1, 2   # no weights; one multiply each; sample by sample, in the log domain


@kernel
def inside(control):
    """The loss that a pass weighs inside; 0: none."""
    return control[WEIGH] % WEIGHTED


@kernel
def weighted(control):
    """Whether samples have weights of their own."""
    return control[WEIGH] // WEIGHTED == 1


@inner
def how(c):
    """How samples are weighed by c (N,), or (0,): none has a weight."""
    if c.size == 0:
        return NONE
    for n in range(c.size):
        if not 1.0 / MILD <= c[n] <= MILD:
            return WILD
    return PLAIN


@inner
def _predictions(p, n, N, one):
    """The predictions (K,) of sample n; ``one`` (2 K,) is scratch."""
    K = p.size // N
    if K == 1:
        return view(p, n, 1)
    for k in range(K):
        one[k] = p[k * N + n]
    return view(one, 0, K)


@inner
def valued(log_loss, params, weighed, c, one, p, y):
    """Log Σ c_n ℓ_n at predictions p (K N,), weighed as `how` says; ``one`` (2 K,) is scratch."""
    if weighed == NONE:
        return log_loss(params, p, y)
    N, largest, total = y.size, -np.inf, 0.0
    for n in range(N):
        x, factor = log_loss(params, _predictions(p, n, N, one), view(y, n, 1)), c[n % c.size]
        if weighed == WILD:
            x, factor = x + np.log(factor), 1.0
        if x > largest:
            total = total * np.exp(largest - x) + factor
            largest = x
        elif np.isnan(x):
            return x
        elif largest > -np.inf:
            total += factor * np.exp(x - largest)
    return largest + np.log(total) if np.isfinite(largest) else largest


@inner
def pushed(slope, params, c, one, p, y, q, s):
    """What slope has said of samples, s and q, made that of Σ c_n ℓ_n: returns s, fills q.

    ``one`` is scratch, (2 K,) where weights are `WILD`, else (0,). (It comes behind the slope, so
    that those who have no weights do what they would do without it.)
    """
    if one.size > 0:
        return _apart(slope, params, c, one, p, y, q)
    for i in range(p.size):
        q[i] *= c[i % c.size]
    return s


@inner
def _scale(slope, params, c, one, p, y, n):
    """The logarithm of sample n's largest slope, weighed, and that slope; the slopes in ``one``."""
    K = p.size // y.size
    q = view(one, K, K)
    s = slope(params, _predictions(p, n, y.size, one), view(y, n, 1), q)
    top = 0.0
    for k in range(K):
        if not np.isfinite(q[k]):
            return np.nan, q[k]
        top = max(top, abs(q[k]))
    return s + np.log(c[n % c.size]) + np.log(top), top


@inner
def _apart(slope, params, c, one, p, y, q):
    """As `pushed`, sample by sample: first for the scale, then for what each has beside it."""
    N, s, still = y.size, -np.inf, True
    K = p.size // N
    for n in range(N):
        x, top = _scale(slope, params, c, one, p, y, n)
        still &= top == 0.0
        if x > s:
            s = x
    # of no finite scale: then the one that is least far beyond is all that there is
    if s == -np.inf and not still:
        return slope(params, p, y, q)
    for n in range(N):
        x, top = _scale(slope, params, c, one, p, y, n)
        for k in range(K):
            q[k * N + n] = one[K + k] / top * np.exp(x - s) if top != 0.0 else 0.0
    return 0.0 if still else s
