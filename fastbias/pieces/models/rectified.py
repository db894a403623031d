"""One hidden layer of rectified units on the line, seen through its values at the data."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, SHORT, piece
from fastbias.pieces.models.base import Model
from fastbias.pieces.recipe import recorded

__all__ = ["relu"]


def _units(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    return params.size >= d and n % 3 == 1


@piece(MAP, needs=_units)
def _values(params, u, out):
    if params.size < out.size:
        return SHORT
    k = (u.size - 1) // 3
    for i in range(out.size):
        x, total = params[i], u[3 * k]
        for h in range(k):
            total += u[h] * max(0.0, u[k + h] * x + u[2 * k + h])
        out[i] = total
    return 0


@piece(MAP_AT, needs=_units)
def _values_pullback(params, u, v, out):
    if params.size < v.size:
        return SHORT
    k = (u.size - 1) // 3
    for h in range(3 * k + 1):
        out[h] = 0.0
    for i in range(v.size):
        x = params[i]
        out[3 * k] += v[i]
        for h in range(k):
            z = u[k + h] * x + u[2 * k + h]
            if z > 0.0:
                out[h] += v[i] * z
                out[k + h] += v[i] * u[h] * x
                out[2 * k + h] += v[i] * u[h]
    return 0


@recorded
def relu(x: ArrayLike, width: int) -> Model:
    """Return the network f(x) = c + Σ_k a_k [b_k x + β_k]₊ of a width as a model of its values w_i
    = f(x_i).

    To be run on X = I (one row for each x_i). Its infinitely wide limit puts the penalty max(∫|f″|,
    |f'(−∞) + f'(∞)|) on f (`fastbias.solvers.relu`), 2 R ≤ Σ a_k² + b_k². Gradient flow keeps a_k²
    − b_k² − β_k².

    Parameters
    ----------
    x : (N,)
        Where it is evaluated.
    width : int ≥ 1
        Units; the layers are a (width,), b (width,), β (width,) and c (1,).

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.

    References
    ----------
    Savarese, Evron, Soudry, Srebro, "How do infinite width bounded norm networks look in function
    space?" (2019).

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.relu([-1, 0, 2], width=1)
    >>> print(model.predictor([3, 1, 1, 0.5], 3))                # 0.5 + 3 [x + 1]₊
    [0.5 3.5 9.5]
    """
    points = checks.array("x", x, "an (N,) array", dims=1)
    k = checks.whole("width", width, least=1)
    return Model(f"relu({points.size}, {k})", _values, _values_pullback, size=lambda d: 3 * k + 1,
                 params=points,
                 shape=(points.size,), layers=lambda d: [(k,), (k,), (k,), (1,)],
                 invariant=lambda layers: layers[0] ** 2 - layers[1] ** 2 - layers[2] ** 2,
                 source="Savarese, Evron, Soudry, Srebro (2019)")


EXAMPLES: tuple[Model, ...] = (relu([-1.0, 0.5, 2.0], width=4),)
