"""Numbers that look drawn and are counted: each depends on a seed, an update and a place alone.

So a run that is resumed, or cut anywhere, meets the same ones, in any order, on any thread. Places
of different kinds lie apart: samples count from 0, labels from `LABELS`, parameters from
`PARAMETERS`, what rounds them from `ROUNDED`.
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.compiled import kernel

__all__ = ["LABELS", "PARAMETERS", "ROUNDED", "draw", "normal", "uniform"]

LABELS, PARAMETERS, ROUNDED = 1 << 60, 1 << 61, 1 << 62


@kernel
def uniform(seed, k, i):
    """A number in [0, 1), a multiple of 2⁻⁵³: SplitMix64 of a counter (Steele et al. 2014)."""
    x = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(k) \
        * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(32)
    x = x * np.uint64(0xDA942042E4DD58B5) + np.uint64(i)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return float(x >> np.uint64(11)) * 2.0 ** -53


@kernel
def draw(seed, k, i, count):
    """A number in 0 … count − 1 that depends on (seed, k, i) alone."""
    # 53 bits: at most 1 − 2^−53, whose product with count rounds to less than count
    return int(uniform(seed, k, i) * count)


@kernel
def normal(seed, k, i):
    """A standard normal number, of the two places i and i + 1 (Box & Muller 1958)."""
    # (1 − a is over 0, so that its logarithm is finite)
    length = np.sqrt(-2.0 * np.log(1.0 - uniform(seed, k, i)))
    return length * np.cos(2.0 * np.pi * uniform(seed, k, i + 1))
