"""The potential of two-layer flows: a hyperbolic entropy entry by entry, the entropy where factors
balance exactly.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fastbias.engine.abi import MAP, MAP_AT, VALUE, Status, kernel, piece
from fastbias.pieces.potentials.base import Potential

__all__ = ["Factors", "factors", "kept_signs"]

NEVER = -1e300     # the logarithm of an amplitude that is 0
OUT_OF_DOMAIN = int(Status.OUT_OF_DOMAIN)


@kernel
def _scale(plus, minus):
    """β = 2 √(p² q²) of amplitudes with logarithms log p², log q²; 0 where one of them is 0."""
    return 0.0 if min(plus, minus) <= -1e299 else 2.0 * np.exp(0.5 * (plus + minus))


@piece(MAP)
def _flow_link(params, w, out):
    d = w.size
    for i in range(d):
        plus, minus, size = params[i], params[d + i], abs(w[i])
        if plus <= -1e299 or minus <= -1e299:             # one sign alone, or none
            if plus <= -1e299 and minus <= -1e299:
                if w[i] != 0.0:
                    return OUT_OF_DOMAIN
                out[i] = 0.0
            elif (plus > -1e299 and not w[i] > 0.0) or (minus > -1e299 and not w[i] < 0.0):
                return OUT_OF_DOMAIN
            else:
                out[i] = np.log(size) - plus if w[i] > 0.0 else minus - np.log(size)
        else:
            beta = _scale(plus, minus)
            if beta > 1e-280 and size < 1e20 * beta:
                z = np.arcsinh(size / beta)
            elif size > 0.0:
                # asinh x = log 2x for x > 1e20, where β may be beyond float64
                z = max(0.0, np.log(size) - 0.5 * (plus + minus))
            else:
                z = 0.0
            out[i] = (z if w[i] >= 0.0 else -z) - 0.5 * (plus - minus)
    return 0


@piece(MAP)
def _flow_inverse(params, z, out):
    d = z.size
    for i in range(d):
        plus, minus = params[i], params[d + i]
        at = z[i] + 0.5 * (plus - minus)
        if abs(at) < 1.0:
            out[i] = _scale(plus, minus) * np.sinh(at)
        else:
            out[i] = np.exp(plus + z[i]) - np.exp(minus - z[i])
    return 0


@piece(MAP_AT)
def _flow_metric(params, w, g, out):
    d = w.size
    for i in range(d):
        plus, minus = params[i], params[d + i]
        if (plus <= -1e299 and w[i] > 0.0) or (minus <= -1e299 and w[i] < 0.0):
            return OUT_OF_DOMAIN
        # √(w² + β²), of which a solver divides
        least = 0.0 if plus <= -1e299 and minus <= -1e299 else 1e-290
        out[i] = np.hypot(w[i], max(_scale(plus, minus), least)) * g[i]
    return 0


@piece(VALUE)
def _flow_value(params, w):
    d, total = w.size, 0.0
    for i in range(d):
        plus, minus, size = params[i], params[d + i], abs(w[i])
        if (plus <= -1e299 and w[i] > 0.0) or (minus <= -1e299 and w[i] < 0.0):
            return np.inf
        beta = _scale(plus, minus)
        # with one factor alone ψ is the entropy of |w|, shifted so that ∇ψ(w(0)) = 0
        if plus <= -1e299 or minus <= -1e299:
            z = 0.0 if size == 0.0 else np.log(size) - (plus if w[i] > 0.0 else minus)
            total += size * z - size
        else:
            if beta > 1e-280 and size < 1e20 * beta:
                z = np.arcsinh(size / beta)
            else:
                z = 0.0 if size == 0.0 else max(0.0, np.log(size) - 0.5 * (plus + minus))
            total += size * z - 0.5 * w[i] * (plus - minus) - np.hypot(w[i], beta)
    return total


@dataclass(frozen=True, eq=False)
class Factors(Potential):
    """The potential of the flow of w = p² e^z − q² e^{−z}, entry by entry, from z = 0: ∇ψ(w(0)) =
    0.

    It is the hyperbolic entropy of β = 2|pq|, written so that p and q may be tiny, or 0: with q = 0
    it is the entropy on w > 0, with p = 0 that on w < 0, and an entry with both does not move.
    ``signs`` (d,): 1, −1 where w keeps a sign, 0 where it is free, NaN where it stays 0.
    """

    signs: np.ndarray = field(default_factory=lambda: np.empty(0))


def factors(p: np.ndarray, q: np.ndarray) -> Potential:
    """The `Factors` of amplitudes p, q (d,), of any sign."""
    # logarithms, since the squares of amplitudes under 1e-162 are 0 in float64; NEVER stands for
    # log 0, as −∞ would make NaN in differences
    with np.errstate(divide="ignore"):
        logs = [np.where(x == 0.0, NEVER, 2.0 * np.log(np.abs(x))) for x in (p, q)]
    return Factors("hyperbolic entropy", _flow_link, _flow_inverse, _flow_metric, _flow_value,
                   np.concatenate(logs),
                   size=p.size, signs=kept_signs(p, q))


def kept_signs(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The signs that w = p² e^z − q² e^{−z} keeps; 0: free; NaN: it stays 0."""
    return np.where((p == 0) & (q == 0), np.nan, np.where(q == 0, 1.0, np.where(p == 0, -1.0, 0.0)))


EXAMPLES: tuple[Potential, ...] = (factors(np.array([0.5, 2.0, 0.1]), np.array([0.5, 0.3, 1.0])),)
