"""The norm of signals that is the ℓ1 norm of their Fourier coefficients, ± pairs of frequencies
together.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastbias import checks
from fastbias.engine.abi import MAP, SHORT, VALUE, kernel, piece
from fastbias.pieces.norms.base import TIE_TOL, Norm
from fastbias.pieces.norms.proximal import blockwise
from fastbias.pieces.recipe import recorded

__all__ = ["fourier"]


@kernel
def _coefficient(params, k, x):
    """Σ_j x_j cos(2πjk/d) and Σ_j x_j sin(2πjk/d); params: tolerance of ties, cos(2πj/d) and
    sin(2πj/d), j = 0 … d−1.
    """
    d, at = x.size, 0
    even, odd = 0.0, 0.0
    for j in range(d):
        even += x[j] * params[1 + at]
        odd += x[j] * params[1 + d + at]
        # jk mod d by sums, an entry of the tables: no angle, and no division
        at += k
        if at >= d:
            at -= d
    return even, odd


@kernel
def _largest_coefficient(params, x):
    largest = 0.0
    for k in range(x.size // 2 + 1):
        even, odd = _coefficient(params, k, x)
        largest = max(largest, np.hypot(even, odd))
    return largest


def _tables(params: np.ndarray, d: int, *_: int) -> bool:
    """The tolerance and two tables (d,)."""
    return params.size >= 1 + 2 * d


@piece(MAP, needs=_tables)
def _fourier_steepest(params, g, out):
    if params.size < 1 + 2 * g.size:
        return SHORT
    d, largest = g.size, _largest_coefficient(params, g)
    for j in range(d):
        # where g is not finite no frequency is the largest
        out[j] = np.nan
    for k in range(d // 2 + 1):
        even, odd = _coefficient(params, k, g)
        # the first of the tied ones
        if np.hypot(even, odd) >= (1.0 - params[0]) * largest:
            even, odd = even / d / d, odd / d / d
            at = 0
            for j in range(d):
                out[j] = even * params[1 + at] + odd * params[1 + d + at]
                at = (at + k) % d
            break
    return 0


@piece(VALUE, needs=_tables)
def _fourier_dual(params, g):
    return _largest_coefficient(params, g) / g.size


@piece(VALUE, needs=_tables)
def _fourier_norm(params, w):
    total = 0.0
    for k in range(w.size // 2 + 1):
        even, odd = _coefficient(params, k, w)
        # k and d − k are two, or one
        total += np.hypot(even, odd) * (1.0 if (2 * k) % w.size == 0 else 2.0)
    return total


@recorded
def fourier(d: int) -> Norm:
    """Σ_k |ŵ_k|, ŵ_k = Σ_j w_j e^{−2πijk/d} (numpy.fft.fft), with Δ_j = |ĝ_k| cos(2πjk/d + arg
    ĝ_k)/d², |ĝ_k| the largest.

    The dual norm is max_k |ĝ_k|/d. Of tied frequencies (within 1e-12, relative) the first moves. It
    is what gradient descent on circular convolutions of two layers makes least.

    Parameters
    ----------
    d : int ≥ 1
        The length of w.

    Raises
    ------
    ValueError, TypeError
        Where d is no whole number ≥ 1.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), "Implicit Bias of Gradient Descent on Linear
    Convolutional Networks", Theorem 2.

    Examples
    --------
    >>> import fastbias as fb
    >>> norm = fb.norms.fourier(4)
    >>> norm([1.0, 0.0, 0.0, 0.0]), norm([1.0, 1.0, 1.0, 1.0])
    (4.0, 4.0)
    """
    d = checks.whole("d", d, least=1)
    checks.fits("d", d, d, d)
    angles = 2 * np.pi * np.arange(d) / d
    tables = np.array([np.cos(angles), np.sin(angles)])
    # the roots of cosine and sine, exactly
    tables[np.abs(tables) < 1e-15] = 0.0
    k = np.arange(d // 2 + 1)
    even, odd = tables[:, np.outer(k, np.arange(d)) % d]
    counts = np.where(2 * k % d == 0, 1.0, 2.0)               # of frequencies ±k
    waves = np.vstack([even,
                       odd[counts == 2]]) * np.sqrt(np.append(counts, counts[counts == 2])
                                                    / d)[:, None]

    def convex(cp: Any, w: Any) -> Any:
        return counts @ cp.norm(cp.vstack([even @ w, odd @ w]), 2, axis=0)

    return Norm("fourier", _fourier_steepest, _fourier_dual, _fourier_norm,
                np.concatenate([[TIE_TOL], *tables]), size=d,
                convex=convex, shrink=blockwise(np.sqrt(d * counts), np.append(k, k[counts == 2]),
                                                waves))


EXAMPLES: tuple[Norm, ...] = (fourier(5), fourier(8))
