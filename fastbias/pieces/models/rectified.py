"""One hidden layer of rectified units, seen through its values at the data.

The units go eight at a time, one in each lane of a vector, past the samples, so that only
predictions are added up across lanes. Where fewer than eight units are left, the last one stands in
the lanes behind it as well.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, SHORT, piece
from fastbias.engine.apart import spaced8, spread
from fastbias.engine.compiled import kernel
from fastbias.engine.simd import (
    choose_less,
    count8,
    fma,
    inlined,
    lane,
    splat8,
    steady,
    store,
    totals8,
)
from fastbias.pieces.models.base import Layers, Model
from fastbias.pieces.recipe import recorded

__all__ = ["relu"]

HEAD = 2               # of params: d, and whether there is an offset; X follows by columns
LANES = 8


def _units(params: np.ndarray, n: int, N: int, *_: int) -> bool:
    if params.size < HEAD or not (1 <= params[0] <= params.size and params[1] in (0.0, 1.0)):
        return False
    d, offset = int(params[0]), int(params[1])
    return params.size >= HEAD + N * d and n > offset and (n - offset) % (d + 2) == 0


@kernel
def _bent(params, u, k, N, d, h, last, i):
    """⟨b, x⟩ + β of the units from h to h + last, one vector for each of the eight samples from i
    on (for those behind the last sample: that one).
    """
    inlined()
    z0 = z1 = z2 = z3 = z4 = z5 = z6 = z7 = spaced8(u, k + k * d + h, 1, last)
    for j in range(d):
        b, o = spaced8(u, k + h * d + j, d, last), HEAD + j * N
        z0 = fma(params[o + i], b, z0)
        z1 = fma(params[o + min(i + 1, N - 1)], b, z1)
        z2 = fma(params[o + min(i + 2, N - 1)], b, z2)
        z3 = fma(params[o + min(i + 3, N - 1)], b, z3)
        z4 = fma(params[o + min(i + 4, N - 1)], b, z4)
        z5 = fma(params[o + min(i + 5, N - 1)], b, z5)
        z6 = fma(params[o + min(i + 6, N - 1)], b, z6)
        z7 = fma(params[o + min(i + 7, N - 1)], b, z7)
    return z0, z1, z2, z3, z4, z5, z6, z7


@kernel
def _passed(z, last):
    """[z]₊, and 0 in the lanes behind the last unit."""
    inlined()
    # (what is no number stays none)
    return choose_less(last, count8(), 0.0, choose_less(z, 0.0, 0.0, z))


@kernel
def _added(f, params, u, k, N, d, h, last, i):
    """What the units from h to h + last say at the eight samples from i on, added to f."""
    inlined()
    z, a = _bent(params, u, k, N, d, h, last, i), spaced8(u, h, 1, last)
    return (fma(a, _passed(z[0], last), f[0]), fma(a, _passed(z[1], last), f[1]),
            fma(a, _passed(z[2], last), f[2]), fma(a, _passed(z[3], last), f[3]),
            fma(a, _passed(z[4], last), f[4]), fma(a, _passed(z[5], last), f[5]),
            fma(a, _passed(z[6], last), f[6]), fma(a, _passed(z[7], last), f[7]))


@kernel
def _filled(params, u, k, N, d, c, out):
    """out ← the values at all samples."""
    inlined()
    none, whole = splat8(0.0), k - k % LANES
    for i in range(0, N, LANES):
        f = none, none, none, none, none, none, none, none
        for h in range(0, whole, LANES):
            f = _added(f, params, u, k, N, d, h, LANES - 1, i)
        if whole < k:
            f = _added(f, params, u, k, N, d, whole, k - whole - 1, i)
        sums = totals8(f) + c
        if i + LANES <= N:
            store(out, i, sums)
        else:
            for r in range(N - i):
                out[i + r] = lane(sums, r)


@piece(MAP, needs=_units)
def _values(params, u, out):
    N = out.size
    if params.size < HEAD or params.size < HEAD + N * int(params[0]):
        return SHORT
    steady()
    d, offset = int(params[0]), int(params[1])
    k = (u.size - offset) // (d + 2)
    c = u[u.size - 1] if offset > 0 else 0.0
    # of few inputs their number is written out, so that the compiler knows it
    if d == 1:
        _filled(params, u, k, N, 1, c, out)
    elif d == 2:
        _filled(params, u, k, N, 2, c, out)
    elif d == 3:
        _filled(params, u, k, N, 3, c, out)
    else:
        _filled(params, u, k, N, d, c, out)
    return 0


@kernel
def _pulled(params, u, v, k, N, d, h, last, out):
    """What the units from h to h + last take of v, of up to three inputs: sums in registers."""
    inlined()
    c, b0 = spaced8(u, k + k * d + h, 1, last), spaced8(u, k + h * d, d, last)
    b1 = spaced8(u, k + h * d + 1, d, last) if d > 1 else b0
    b2 = spaced8(u, k + h * d + 2, d, last) if d > 2 else b0
    into_a = into_c = into_0 = into_1 = into_2 = splat8(0.0)
    for n in range(N):
        z = fma(params[HEAD + n], b0, c)
        if d > 1:
            z = fma(params[HEAD + N + n], b1, z)
        if d > 2:
            z = fma(params[HEAD + 2 * N + n], b2, z)
        s = choose_less(0.0, z, v[n], 0.0)
        into_a, into_c = fma(s, z, into_a), into_c + s
        into_0 = fma(params[HEAD + n], s, into_0)
        if d > 1:
            into_1 = fma(params[HEAD + N + n], s, into_1)
        if d > 2:
            into_2 = fma(params[HEAD + 2 * N + n], s, into_2)
    a = spaced8(u, h, 1, last)
    spread(out, h, 1, last, into_a)
    spread(out, k + k * d + h, 1, last, a * into_c)
    spread(out, k + h * d, d, last, a * into_0)
    if d > 1:
        spread(out, k + h * d + 1, d, last, a * into_1)
    if d > 2:
        spread(out, k + h * d + 2, d, last, a * into_2)


@kernel
def _seen(v, n, z):
    """v of sample n where the units see it; of samples that are none, 0."""
    inlined()
    return choose_less(0.0, z, v[n] if n < v.size else 0.0, 0.0)


@kernel
def _joined(out, at, step, last, i, sums):
    """The sums of the samples from i on to those before them."""
    inlined()
    spread(out, at, step, last, sums if i == 0 else spaced8(out, at, step, last) + sums)


@kernel
def _pulled_far(params, u, v, k, N, d, h, last, out):
    """The same of any number of inputs, by eight samples: sums in out."""
    inlined()
    a = spaced8(u, h, 1, last)
    for i in range(0, N, LANES):
        z = _bent(params, u, k, N, d, h, last, i)
        s0, s1 = _seen(v, i, z[0]), _seen(v, i + 1, z[1])
        s2, s3 = _seen(v, i + 2, z[2]), _seen(v, i + 3, z[3])
        s4, s5 = _seen(v, i + 4, z[4]), _seen(v, i + 5, z[5])
        s6, s7 = _seen(v, i + 6, z[6]), _seen(v, i + 7, z[7])
        sums = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
        _joined(out, k + k * d + h, 1, last, i, a * sums)
        even = fma(s6, z[6], fma(s4, z[4], fma(s2, z[2], s0 * z[0])))
        odd = fma(s7, z[7], fma(s5, z[5], fma(s3, z[3], s1 * z[1])))
        _joined(out, h, 1, last, i, even + odd)
        for j in range(d):
            o = HEAD + j * N
            even = fma(params[o + min(i + 2, N - 1)], s2, params[o + i] * s0)
            odd = fma(params[o + min(i + 3, N - 1)], s3, params[o + min(i + 1, N - 1)] * s1)
            even = fma(params[o + min(i + 4, N - 1)], s4, even)
            odd = fma(params[o + min(i + 5, N - 1)], s5, odd)
            even = fma(params[o + min(i + 6, N - 1)], s6, even)
            odd = fma(params[o + min(i + 7, N - 1)], s7, odd)
            _joined(out, k + h * d + j, d, last, i, a * (even + odd))


@kernel
def _pulled_by_all(params, u, v, k, N, d, out):
    """What all units take of v."""
    inlined()
    whole = k - k % LANES
    for h in range(0, whole, LANES):
        if d <= 3:
            _pulled(params, u, v, k, N, d, h, LANES - 1, out)
        else:
            _pulled_far(params, u, v, k, N, d, h, LANES - 1, out)
    if whole < k:
        if d <= 3:
            _pulled(params, u, v, k, N, d, whole, k - whole - 1, out)
        else:
            _pulled_far(params, u, v, k, N, d, whole, k - whole - 1, out)


@piece(MAP_AT, needs=_units)
def _values_pullback(params, u, v, out):
    N = v.size
    if params.size < HEAD or params.size < HEAD + N * int(params[0]):
        return SHORT
    steady()
    d, offset = int(params[0]), int(params[1])
    k = (u.size - offset) // (d + 2)
    if offset > 0:
        sum_ = 0.0
        for i in range(N):
            sum_ += v[i]
        out[u.size - 1] = sum_
    if d == 1:
        _pulled_by_all(params, u, v, k, N, 1, out)
    elif d == 2:
        _pulled_by_all(params, u, v, k, N, 2, out)
    elif d == 3:
        _pulled_by_all(params, u, v, k, N, 3, out)
    else:
        _pulled_by_all(params, u, v, k, N, d, out)
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

    def along(u: np.ndarray, a: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _values_along(model.split(u, N), model.split(a, N), v, points.reshape(N, d))

    model = Model(f"relu({N}{'' if points.ndim == 1 else f'×{d}'}, {k})", _values, _values_pullback,
                 size=lambda n: k * (d + 2) + free,
                 params=np.concatenate([[d, free], points.T.ravel()]), shape=(N,),
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
