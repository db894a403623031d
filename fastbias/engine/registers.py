"""Bursts of problems of up to four rows and columns, which stay in registers from the first update
to the last.
"""
from __future__ import annotations

from fastbias.engine.compiled import inner
from fastbias.engine.dense_pass import REACH, SQUARED, factors, moved, unscaled, weights
from fastbias.engine.layout import targets
from fastbias.engine.moves import (
    ADAGRAD,
    COORDINATE,
    ENTROPY,
    GRADIENT,
    REFRESH,
    adagrad,
    power,
    radical,
)
from fastbias.engine.simd import (
    absolute,
    choose_less,
    count4,
    exp,
    fma,
    inlined,
    inverse_binade,
    lane,
    largest,
    load4,
    most,
    negative,
    splat4,
    steady,
    store,
    total,
)

__all__ = ["tiny", "tiny_burst"]


@inner
def tiny(data):
    """Whether data is so small that it stays in registers from the first update to the last."""
    return data.N <= 4 and data.d <= 4 and not data.coefficients


@inner
def _columns4(data, room):
    """The columns of a tiny X, each a vector; ``room`` (16,) is scratch."""
    inlined()
    for j in range(data.d):
        for n in range(4):
            room[4 * j + n] = data.packed[8 * n + j] if n < data.N else 0.0
    c0, c1, c2, c3 = load4(room, 0), splat4(0.0), splat4(0.0), splat4(0.0)
    if data.d > 1:
        c1 = load4(room, 4)
    if data.d > 2:
        c2 = load4(room, 8)
    if data.d > 3:
        c3 = load4(room, 12)
    return c0, c1, c2, c3


@inner
def _weighed4(loss, target, lift, factor, p, k0, es):
    """The weights of a tiny problem's predictions, and the k0 and 2^−k0 that they are at."""
    inlined()
    while True:
        e, z = weights(loss, target, lift, factor, p, k0, es)
        if loss == SQUARED:
            return e, k0, es
        k1 = moved(loss, largest(z), k0)
        if k1 == k0:
            return e, k0, es
        k0, es = k1, unscaled(k1)


@inner
def _leading4(numbers, W, g, p, step, lanes):
    """W after an update of coordinate descent."""
    inlined()
    size = absolute(g)
    step += total(p * 0.0)  # NaN where a margin is beyond numbers: nothing compares with it
    threshold = (1.0 - numbers.own) * most(size)
    if numbers.average:
        tied = choose_less(size, threshold, 0.0, 1.0)
        return fma(tied * g, step / total(tied), W)
    # the first lane that reaches it, and no branch
    reach = choose_less(size, threshold, 8.0, lanes)
    return fma(choose_less(negative(most(negative(reach))), reach, 0.0, g), step, W)


@inner
def _moved4(numbers, W, S, g, p, es, lanes):
    """W and S after one update along g, where the predictions are p."""
    inlined()
    step, method = numbers.eta * es, numbers.method
    if method == GRADIENT:
        if not numbers.moving:
            return fma(g, step, W), S
        new = W + fma(S, numbers.beta, g * step)
        return new, new - W
    if method == ADAGRAD:
        return adagrad(W, S, g, es, numbers.eta, numbers.own)
    if method == ENTROPY:
        S = fma(g, step, S)
        return exp(S, 0.0), S
    if method == COORDINATE:
        return _leading4(numbers, W, g, p, step, lanes), S
    size, q = absolute(g), numbers.own
    scale = inverse_binade(most(size))
    powers = total(power(size * scale, q))
    if powers != 0.0:
        W = fma(g * step, power(size * (scale * radical(powers, q)), q - 2.0), W)
    return W, S


@inner
def tiny_burst(numbers, data, trial, k0, k, count):
    """``count`` updates of up to four rows and columns, from the k-th on: everything stays in
    registers. It ends before, at a multiple of 64, where w is that in g. k0, and how many.
    """
    steady()
    N, d, X, y, gamma = data.N, data.d, data.packed, targets(data), numbers.gamma
    x0, x1, x2, x3 = load4(X, 0), load4(X, 8), load4(X, 16), load4(X, 24)
    own = factors(numbers.loss, data.weighed, 8)
    target, lift, factor = load4(y, 0), load4(y, 8), load4(y, own)
    c0, c1, c2, c3 = _columns4(data, trial.at)
    W, S, mark, lanes = load4(trial.w, 0), load4(trial.s, 0), load4(trial.g, 0), count4()
    es = unscaled(k0)
    for t in range(count):
        at = fma(S, gamma, W) if gamma != 0.0 else W
        p = fma(c0, splat4(lane(at, 0)), c1 * splat4(lane(at, 1)))
        if d > 2:
            p = p + fma(c2, splat4(lane(at, 2)), c3 * splat4(lane(at, 3)))
        e, k0, es = _weighed4(numbers.loss, target, lift, factor, p, k0, es)
        if abs(k0) >= REACH:
            return k0, count
        g = x0 * splat4(lane(e, 0))
        if N > 1:
            g = fma(x1, splat4(lane(e, 1)), g)
        if N > 2:
            g = g + fma(x2, splat4(lane(e, 2)), x3 * splat4(lane(e, 3)))
        seen = t == count - 1 or (k + t + 1) % REFRESH == 0
        if seen:
            store(trial.before, 0, W)
        W, S = _moved4(numbers, W, S, g, p, es, lanes)
        if seen and total(absolute(W - mark)) == 0.0:
            count = t + 1
            break
    store(trial.w, 0, W)
    store(trial.s, 0, S)
    return k0, count
