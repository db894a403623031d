"""Potentials that are sums over the coordinates: Euclidean, entropy, power, hyperbolic entropy,
cosh.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine import fused
from fastbias.engine.abi import MAP, MAP_AT, SHORT, VALUE, Status, kernel, piece, twin
from fastbias.pieces.potentials.base import Potential
from fastbias.pieces.recipe import recorded

__all__ = ["cosh", "entropy", "euclidean", "hypentropy", "power"]

OUT_OF_DOMAIN = int(Status.OUT_OF_DOMAIN)


@piece(MAP)
def _identity(params, x, out):
    for i in range(x.size):
        out[i] = x[i]
    return 0


@piece(MAP_AT)
def _identity_at(params, at, x, out):
    for i in range(x.size):
        out[i] = x[i]
    return 0


@piece(VALUE)
def _half_square(params, x):
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i]
    return 0.5 * total


euclidean = Potential("euclidean", _identity, _identity, _identity_at, _half_square,
                      separable=True, quadratic=True, matrix=np.eye,
                      convex=lambda cp, w: 0.5 * cp.sum_squares(w))
"""ψ(w) = ½‖w‖₂², ∇ψ(w) = w: mirror descent is gradient descent."""


@piece(MAP)
def _entropy_link(params, w, out):
    for i in range(w.size):
        # written so that NaN is outside, too
        if not w[i] > 0.0:
            return OUT_OF_DOMAIN
        out[i] = np.log(w[i])
    return 0


@piece(MAP)
def _entropy_inverse(params, z, out):
    for i in range(z.size):
        out[i] = np.exp(z[i])
    return 0


@piece(MAP_AT)
def _entropy_metric(params, w, g, out):
    for i in range(w.size):
        if not w[i] > 0.0:
            return OUT_OF_DOMAIN
        out[i] = w[i] * g[i]
    return 0


@piece(VALUE)
def _entropy_value(params, w):
    total = 0.0
    for i in range(w.size):
        # 0 log 0 is 0 by continuity, though the link is not defined there
        if w[i] > 0.0:
            total += w[i] * np.log(w[i]) - w[i]
        elif w[i] < 0.0:
            return np.inf
    return total


twin(fused.ENTROPY, _entropy_link, _entropy_inverse, _entropy_metric, _entropy_value)
entropy = Potential("entropy", _entropy_link, _entropy_inverse, _entropy_metric, _entropy_value,
                    lower=0.0, separable=True,
                    convex=lambda cp, w: -cp.sum(cp.entr(w)) - cp.sum(w))
"""ψ(w) = Σ w_i log w_i − w_i on w > 0, ∇ψ(w) = log w, (∇ψ)⁻¹(z) = e^z; its minimiser is the
all-ones vector.
"""


@kernel
def _power_map(x, exponent, out):
    for i in range(x.size):
        out[i] = np.sign(x[i]) * abs(x[i]) ** exponent
    return 0


@piece(MAP, needs=1)
def _power_link(params, w, out):
    if params.size < 1:
        return SHORT
    return _power_map(w, params[0] - 1.0, out)


@piece(MAP, needs=1)
def _power_inverse(params, z, out):
    if params.size < 1:
        return SHORT
    return _power_map(z, 1.0 / (params[0] - 1.0), out)


@piece(MAP_AT, needs=1)
def _power_metric(params, w, g, out):
    if params.size < 1:
        return SHORT
    p = params[0]
    for i in range(w.size):
        if w[i] == 0.0 and p > 2.0:                      # the Hessian vanishes there
            return OUT_OF_DOMAIN
        out[i] = abs(w[i]) ** (2.0 - p) / (p - 1.0) * g[i]
    return 0


@piece(VALUE, needs=1)
def _power_value(params, w):
    total = 0.0
    for i in range(w.size):
        total += abs(w[i]) ** params[0]
    return total / params[0]


@recorded
def power(p: float) -> Potential:
    """ψ(w) = (1/p) Σ|w_i|^p, ∇ψ(w)_i = |w_i|^{p−1} sign(w_i): separable, p > 1 (Sun et al. 2022).

    Parameters
    ----------
    p : float > 1
        power(2) has the Euclidean link.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.potentials.power(3).to_dual([-2.0])
    array([-4.])
    """
    p = checks.number("p", p, above=1)
    return Potential("power", _power_link, _power_inverse, _power_metric, _power_value,
                     np.array([p]),
                     separable=True, quadratic=p == 2, degenerate=p != 2, horizon=p,
                     convex=lambda cp, w: cp.sum(cp.power(cp.abs(w), p)) / p)


@piece(MAP, needs=1)
def _hypentropy_link(params, w, out):
    if params.size < 1:
        return SHORT
    for i in range(w.size):
        # the last entry stands for all that follow: one number, or one for each coordinate
        beta = params[min(i, params.size - 1)]
        out[i] = np.arcsinh(w[i] / beta)
    return 0


@piece(MAP, needs=1)
def _hypentropy_inverse(params, z, out):
    if params.size < 1:
        return SHORT
    for i in range(z.size):
        beta = params[min(i, params.size - 1)]
        out[i] = beta * np.sinh(z[i])
    return 0


@piece(MAP_AT, needs=1)
def _hypentropy_metric(params, w, g, out):
    if params.size < 1:
        return SHORT
    for i in range(w.size):
        beta = params[min(i, params.size - 1)]
        # √(w² + β²) without the squares, which vanish under 1e-162
        out[i] = np.hypot(w[i], beta) * g[i]
    return 0


@piece(VALUE, needs=1)
def _hypentropy_value(params, w):
    total = 0.0
    for i in range(w.size):
        beta = params[min(i, params.size - 1)]
        total += w[i] * np.arcsinh(w[i] / beta) - np.hypot(w[i], beta)
    return total


@recorded
def hypentropy(beta: ArrayLike) -> Potential:
    """ψ(w) = Σ w_i asinh(w_i/β) − √(w_i² + β²), ∇ψ(w) = asinh(w/β): between ℓ1 (β → 0) and ℓ2 (β →
    ∞).

    Ghai, Hazan & Singer (2020); it is the geometry of diagonal networks w = u² − v².

    Parameters
    ----------
    beta : float > 0, or (d,) array of such
        The scale at which it turns from a square to |w| log|w|, one for all coordinates or one for
        each.

    Examples
    --------
    >>> import fastbias as fb
    >>> for beta in (1e-6, 1e6):                                  # from min ‖w‖₁ to min ‖w‖₂
    ...     print(fb.bregman_projection([[1, 2]], [1], fb.potentials.hypentropy(beta)).w.round(2))
    [0.  0.5]
    [0.2 0.4]
    """
    # one β goes with any length of w, an array with its own
    own = isinstance(beta, (list, tuple)) or getattr(beta, "ndim", 0) > 0
    scale = checks.array("beta", beta, "a number or a (d,) array", dims=1) if own else \
        np.array([checks.number("beta", beta, above=0)])
    if not (scale > 0).all():
        raise ValueError(f"beta must be > 0 in each entry, got {checks.short(beta)}")
    return Potential("hypentropy", _hypentropy_link, _hypentropy_inverse, _hypentropy_metric,
                     _hypentropy_value, scale,
                     separable=True, horizon=1.0, size=scale.size if own else None)


@piece(MAP)
def _cosh_link(params, w, out):
    for i in range(w.size):
        out[i] = np.sinh(w[i])
    return 0


@piece(MAP)
def _cosh_inverse(params, z, out):
    for i in range(z.size):
        out[i] = np.arcsinh(z[i])
    return 0


@piece(MAP_AT)
def _cosh_metric(params, w, g, out):
    for i in range(w.size):
        out[i] = g[i] / np.cosh(w[i])
    return 0


@piece(VALUE)
def _cosh_value(params, w):
    total = 0.0
    for i in range(w.size):
        total += np.cosh(w[i])
    return total


cosh = Potential("cosh", _cosh_link, _cosh_inverse, _cosh_metric, _cosh_value,
                 separable=True, horizon=np.inf,
                 convex=lambda cp, w: cp.sum(cp.exp(w) + cp.exp(-w)) / 2)
"""ψ(w) = Σ cosh w_i, ∇ψ(w) = sinh w, (∇ψ)⁻¹(z) = asinh z: it levels large coordinates, towards
ℓ∞.
"""


EXAMPLES: tuple[Potential, ...] = (euclidean, entropy, power(1.5), power(3), hypentropy(0.1),
                                   hypentropy([0.5, 2.0, 0.1]),
                                   cosh)
