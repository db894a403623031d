"""Samples with weights c_n > 0: L = Σ c_n ℓ_n, from pieces of losses that know nothing of them.

A slope is asked for as ever, and what it says of each sample multiplied by the sample's weight.
That loses nothing while weights are of sizes that float64 holds beside each other (`MILD`); where
they are not, and for log L, the piece is asked sample by sample and its answers are put together
in the log domain: a sample whose term vanished beside the others' may be the one that counts.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.compiled import inner
from fastbias.engine.simd import view

__all__ = ["MILD", "NONE", "PLAIN", "WILD", "Weigher", "how", "part", "pushed", "valued"]

# weights in 2^±100 leave room beside the windows of `fastbias.engine.dense_pass`
MILD = 2.0 ** 100
NONE, PLAIN, WILD = 0, 1, 2   # no weights; one multiply each; sample by sample, in the log domain


class Weigher(NamedTuple):
    """The weights of the samples that a piece is asked about."""

    how: Any   # NONE, PLAIN or WILD
    c: Any     # (N,)  weights > 0; not read where there are none
    one: Any   # (2 K,)  scratch: predictions and slopes of one sample of K outputs


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
def part(weigher, begin, size):
    """The weigher of ``size`` samples from one on."""
    return Weigher(weigher.how, view(weigher.c, begin, size), weigher.one)


@inner
def _predictions(weigher, p, n, N):
    """The predictions (K,) of sample n."""
    K = p.size // N
    if K == 1:
        return view(p, n, 1)
    for k in range(K):
        weigher.one[k] = p[k * N + n]
    return view(weigher.one, 0, K)


@inner
def valued(log_loss, params, weigher, p, y):
    """Log Σ c_n ℓ_n at predictions p (K N,)."""
    if weigher.how == NONE:
        return log_loss(params, p, y)
    N, largest, total = y.size, -np.inf, 0.0
    for n in range(N):
        x = np.log(weigher.c[n]) + log_loss(params, _predictions(weigher, p, n, N), view(y, n, 1))
        if x > largest:
            total = total * np.exp(largest - x) + 1.0
            largest = x
        elif np.isnan(x):
            return x
        elif largest > -np.inf:
            total += np.exp(x - largest)
    return largest + np.log(total) if np.isfinite(largest) else largest


@inner
def pushed(slope, params, weigher, p, y, q):
    """As the slope of a loss, of Σ c_n ℓ_n: s, and q with −∂L/∂p = e^s q."""
    if weigher.how == NONE:
        return slope(params, p, y, q)
    if weigher.how == WILD:
        return _apart(slope, params, weigher, p, y, q)
    s, N = slope(params, p, y, q), y.size
    for k in range(p.size // N):
        for n in range(N):
            q[k * N + n] *= weigher.c[n]
    return s


@inner
def _scale(slope, params, weigher, p, y, n):
    """The logarithm of sample n's largest slope, weighed, and that slope; the slopes in ``one``."""
    K = p.size // y.size
    q = view(weigher.one, K, K)
    s = slope(params, _predictions(weigher, p, n, y.size), view(y, n, 1), q)
    top = 0.0
    for k in range(K):
        if not np.isfinite(q[k]):
            return np.nan, q[k]
        top = max(top, abs(q[k]))
    return s + np.log(weigher.c[n]) + np.log(top), top


@inner
def _apart(slope, params, weigher, p, y, q):
    """As `pushed`, sample by sample: first for the scale, then for what each has beside it."""
    N, s, still = y.size, -np.inf, True
    K = p.size // N
    for n in range(N):
        x, top = _scale(slope, params, weigher, p, y, n)
        still &= top == 0.0
        if x > s:
            s = x
    # of no finite scale: then the one that is least far beyond is all that there is
    if s == -np.inf and not still:
        return slope(params, p, y, q)
    for n in range(N):
        x, top = _scale(slope, params, weigher, p, y, n)
        for k in range(K):
            q[k * N + n] = weigher.one[K + k] / top * np.exp(x - s) if top != 0.0 else 0.0
    return 0.0 if still else s
