"""Weight normalisation: the length of a predictor is a parameter of its own, and so is where it
points.
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import MAP, MAP_AT, SHORT, Status, piece
from fastbias.engine.compiled import kernel
from fastbias.pieces.models.base import Along, Model

__all__ = ["weight_normalised"]

OUT_OF_DOMAIN = int(Status.OUT_OF_DOMAIN)


def _one_more(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    return n == d + 1


@kernel
def _length(u):
    """‖v‖₂ of u = (g, v), of any size."""
    largest, total = 0.0, 0.0
    for i in range(1, u.size):
        largest = max(largest, abs(u[i]))
    if not largest > 0.0:
        return largest
    # squares of what is of size one neither overflow nor vanish
    for i in range(1, u.size):
        total += (u[i] / largest) ** 2
    return largest * np.sqrt(total)


@piece(MAP, needs=_one_more)
def _pointed(params, u, out):
    if u.size != out.size + 1:
        return SHORT
    length = _length(u)
    if not length > 0.0:
        out[:] = np.nan
        return OUT_OF_DOMAIN
    for j in range(out.size):
        out[j] = u[0] * (u[1 + j] / length)
    return 0


@piece(MAP_AT, needs=_one_more)
def _pointed_pullback(params, u, v, out):
    if u.size != v.size + 1:
        return SHORT
    length = _length(u)
    if not length > 0.0:
        out[:] = np.nan
        return OUT_OF_DOMAIN
    # the part of x along v turns g, what is left turns v
    along = 0.0
    for j in range(v.size):
        along += u[1 + j] / length * v[j]
    out[0] = along
    for j in range(v.size):
        out[1 + j] = u[0] / length * (v[j] - along * (u[1 + j] / length))
    return 0


def _along(u: np.ndarray, a: np.ndarray, x: np.ndarray) -> Along:
    r = float(_length(u))
    n, g = u[1:] / r, u[0] / r
    # how fast log r grows, and how n turns
    longer = n @ a[1:] / r
    turn = a[1:] / r - longer * n
    across = x - (n @ x) * n
    pulled = (a[0] / r - g * longer) * across - g * ((turn @ x) * n + (n @ x) * turn)
    return a[0] * n + u[0] * turn, np.append(turn @ x, pulled)


weight_normalised = Model(
    "weight_normalised", _pointed, _pointed_pullback, size=lambda d: d + 1,
    layers=lambda d: [(1,), (d,)], identity=lambda d, scale: np.full(d + 1, scale),
    invariant=lambda layers: np.array([layers[1] @ layers[1]]), along=_along,
    source="Salimans & Kingma (2016); Wu et al. (2020)")
"""w = g v/‖v‖₂ for v ≠ 0: weight normalisation (Salimans & Kingma 2016); the layers are g (1,) and
v (d,).

It is homogeneous of degree 1 in g and of degree 0 in v. Gradient flow keeps ‖v‖², and finite steps
of gradient descent let it grow: no u/‖u‖ tends to a stationary point of min ‖u‖² with margins ≥ 1,
which has none, so that the theorems on homogeneous models do not speak of it, and no degree is
declared. With the squared loss its flow forgets what of the start is orthogonal to the data faster
than w = u does: that part of v falls like exp(−g²/(2‖v‖²)) (Wu, Dobriban, Ren, Wu, Li, Gunasekar,
Ward, Liu, "Implicit Regularization and Convergence for Weight Normalization", 2020).
"""

EXAMPLES: tuple[Model, ...] = (weight_normalised,)
