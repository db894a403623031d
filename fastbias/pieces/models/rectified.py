"""One hidden layer of rectified units, seen through its values at the data.

The samples go eight at a time: N − 8 is where the last eight begin, which overlap those before them
unless N is a multiple of eight; what is counted already has weight 0 there (the mask in params).
"""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, SHORT, piece
from fastbias.engine.compiled import kernel
from fastbias.engine.simd import choose_less, fma, lane, load8, splat8, store, total, totals8
from fastbias.pieces.models.base import Layers, Model
from fastbias.pieces.recipe import recorded

__all__ = ["relu"]

HEAD = 10              # of params: d, whether there is an offset, the mask; X follows by columns
LANES = 8


def _units(params: np.ndarray, n: int, N: int, *_: int) -> bool:
    if params.size < HEAD or not (1 <= params[0] <= params.size and params[1] in (0.0, 1.0)):
        return False
    d, offset = int(params[0]), int(params[1])
    return params.size >= HEAD + N * d and n > offset and (n - offset) % (d + 2) == 0


@kernel
def _bent(params, u, k, h, d, N, i):
    """⟨b_h, x⟩ + c_h of the eight samples from i on."""
    z = splat8(u[k + k * d + h])
    for j in range(d):
        z = fma(u[k + h * d + j], load8(params, HEAD + j * N + i), z)
    return z


@kernel
def _bent_once(params, u, k, h, d, N, i):
    """The same of one sample."""
    z = u[k + k * d + h]
    for j in range(d):
        z += u[k + h * d + j] * params[HEAD + j * N + i]
    return z


@piece(MAP, needs=_units)
def _values(params, u, out):
    N = out.size
    if params.size < HEAD or params.size < HEAD + N * int(params[0]):
        return SHORT
    d, offset = int(params[0]), int(params[1])
    k = (u.size - offset) // (d + 2)
    c = u[u.size - 1] if offset > 0 else 0.0
    if N < LANES:
        for i in range(N):
            sum_ = c
            for h in range(k):
                sum_ += u[h] * max(0.0, _bent_once(params, u, k, h, d, N, i))
            out[i] = sum_
        return 0
    for start in range(0, N, LANES):
        i = min(start, N - LANES)
        f = splat8(c)
        for h in range(k):
            z = _bent(params, u, k, h, d, N, i)
            # (what is no number stays none)
            f = fma(u[h], choose_less(z, 0.0, 0.0, z), f)
        store(out, i, f)
    return 0


@kernel
def _seen(params, v, z, N, i):
    """v of the eight samples from i on that see a unit, each sample once."""
    q = choose_less(0.0, z, load8(v, i), 0.0)
    return q * load8(params, 2) if i % LANES != 0 else q


@kernel
def _two(params, u, v, k, h, d, N, out):
    """What two units h, h + 1 of one input or two take of v."""
    a0, c0, p0, q0 = splat8(0.0), splat8(0.0), splat8(0.0), splat8(0.0)
    a1, c1, p1, q1 = splat8(0.0), splat8(0.0), splat8(0.0), splat8(0.0)
    for start in range(0, N, LANES):
        i = min(start, N - LANES)
        x = load8(params, HEAD + i)
        y = load8(params, HEAD + (d - 1) * N + i)
        z0 = _bent(params, u, k, h, d, N, i)
        z1 = _bent(params, u, k, h + 1, d, N, i)
        s0, s1 = _seen(params, v, z0, N, i), _seen(params, v, z1, N, i)
        a0, c0, p0, q0 = fma(s0, z0, a0), c0 + s0, fma(s0, x, p0), fma(s0, y, q0)
        a1, c1, p1, q1 = fma(s1, z1, a1), c1 + s1, fma(s1, x, p1), fma(s1, y, q1)
    sums = totals8((a0, c0, p0, q0, a1, c1, p1, q1))
    for one in range(2):
        at, a = h + one, u[h + one]
        out[at] = lane(sums, 4 * one)
        out[k + k * d + at] = a * lane(sums, 4 * one + 1)
        out[k + at * d] = a * lane(sums, 4 * one + 2)
        if d == 2:
            out[k + at * d + 1] = a * lane(sums, 4 * one + 3)


@kernel
def _one(params, u, v, k, h, d, N, out):
    """What a unit takes of v, of any number of inputs."""
    out[h] = 0.0
    out[k + k * d + h] = 0.0
    for j in range(d):
        out[k + h * d + j] = 0.0
    for start in range(0, N, LANES):
        i = min(start, N - LANES)
        z = _bent(params, u, k, h, d, N, i)
        s = _seen(params, v, z, N, i)
        out[h] += total(s * z)
        out[k + k * d + h] += u[h] * total(s)
        for j in range(d):
            out[k + h * d + j] += u[h] * total(s * load8(params, HEAD + j * N + i))


@kernel
def _few(params, u, v, k, h, d, N, out):
    """The same, of fewer than eight samples."""
    out[h] = 0.0
    out[k + k * d + h] = 0.0
    for j in range(d):
        out[k + h * d + j] = 0.0
    for i in range(N):
        z = _bent_once(params, u, k, h, d, N, i)
        if z > 0.0:
            out[h] += v[i] * z
            out[k + k * d + h] += v[i] * u[h]
            for j in range(d):
                out[k + h * d + j] += v[i] * u[h] * params[HEAD + j * N + i]


@piece(MAP_AT, needs=_units)
def _values_pullback(params, u, v, out):
    N = v.size
    if params.size < HEAD or params.size < HEAD + N * int(params[0]):
        return SHORT
    d, offset = int(params[0]), int(params[1])
    k = (u.size - offset) // (d + 2)
    if offset > 0:
        sum_ = 0.0
        for i in range(N):
            sum_ += v[i]
        out[u.size - 1] = sum_
    pairs = k - k % 2 if N >= LANES and d <= 2 else 0
    for h in range(0, pairs, 2):
        _two(params, u, v, k, h, d, N, out)
    for h in range(pairs, k):
        if N < LANES:
            _few(params, u, v, k, h, d, N, out)
        else:
            _one(params, u, v, k, h, d, N, out)
    return 0


def _values_along(layers: Layers, moves: Layers, v: np.ndarray,
                  points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As everywhere but on kinks; there a unit sees nothing, as in the pullback."""
    (a, b, c), (da, db, dc) = layers[:3], moves[:3]
    z, dz = (points @ x.reshape(a.size, -1).T + y for x, y in ((b, c), (db, dc)))
    on = z > 0
    turned = on * dz
    change = np.where(on, z, 0.0) @ da + turned @ a
    seen = on * v[:, None]
    parts = [v @ turned, ((seen * da).T @ points).ravel(), seen.sum(axis=0) * da]
    if len(layers) > 3:
        change, parts = change + moves[3], [*parts, np.zeros(1)]
    return change, np.concatenate(parts)


@recorded
def relu(X: ArrayLike, width: int, offset: bool = True) -> Model:
    """Return the network f(x) = c + Σ_k a_k [⟨b_k, x⟩ + β_k]₊ of a width as a model of its values
    w_i = f(x_i).

    To be run on X = I (one row for each x_i). With an offset its infinitely wide limit puts the
    penalty R(f) of `fb.relu` on f, 2 R ≤ Σ a_k² + ‖b_k‖². Without, it is homogeneous of degree 2,
    and the penalty is twice the cost of `fb.relu.fit` with biases counted. Gradient flow keeps
    a_k² − ‖b_k‖² − β_k².

    Parameters
    ----------
    X : (N,) or (N, d)
        Where it is evaluated.
    width : int ≥ 1
        Units; the layers are a (width,), b (width, d) (of X (N,): (width,)), β (width,) and c (1,).
    offset : bool, default True
        Whether there is a c.

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.

    References
    ----------
    Savarese, Evron, Soudry, Srebro, "How do infinite width bounded norm networks look in function
    space?" (2019). Chizat, Bach, "Implicit Bias of Gradient Descent for Wide Two-layer Neural
    Networks Trained with the Logistic Loss" (2020).

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.relu([-1, 0, 2], width=1)
    >>> print(model.predictor([3, 1, 1, 0.5], 3))                # 0.5 + 3 [x + 1]₊
    [0.5 3.5 9.5]
    >>> plane = fb.models.relu([[1, 2], [0, -1]], width=1, offset=False)
    >>> print(plane.predictor([2, 1, 1, 0.5], 2), plane.degree)   # 2 [x + y + ½]₊
    [7. 0.] 2
    """
    points = checks.array("X", X, "an (N,) or (N, d) array", dims=(1, 2))
    k, free = checks.whole("width", width, least=1), int(checks.flag("offset", offset))
    N, d = points.shape[0], 1 if points.ndim == 1 else points.shape[1]
    inner = (k,) if points.ndim == 1 else (k, d)
    mask = (np.arange(LANES) >= LANES - N % LANES).astype(float)

    def along(u: np.ndarray, a: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _values_along(model.split(u, N), model.split(a, N), v, points.reshape(N, d))

    model = Model(f"relu({N}{'' if points.ndim == 1 else f'×{d}'}, {k})", _values, _values_pullback,
                 size=lambda n: k * (d + 2) + free,
                 params=np.concatenate([[d, free], mask, points.T.ravel()]), shape=(N,),
                 layers=lambda n: [(k,), inner, (k,), *[(1,)] * free],
                 invariant=lambda layers: layers[0] ** 2 - layers[2] ** 2
                 - (layers[1].reshape(k, -1) ** 2).sum(axis=1),
                 degree=0 if free else 2, rectified=points.reshape(N, d), along=along,
                 source="Savarese, Evron, Soudry, Srebro (2019)" if free else
                 "Chizat, Bach (2020)")
    return model


EXAMPLES: tuple[Model, ...] = (
    relu([-1.0, 0.5, 2.0], width=4),
    relu([[-1.0, 0.5], [2.0, 0.3], [0.1, -0.7]], width=3, offset=False),
    relu(np.column_stack([np.cos(np.arange(11.0)), np.sin(np.arange(11.0))]), width=3))
