"""Bursts: many updates of a common method without a look outside, at the machine's limit.

For the losses that a pass weighs inside, and a constant step: gradient descent (with momentum),
AdaGrad, ℓp steepest descent, entropy mirror descent, and coordinate descent, which keeps its
margins. A burst does what the pieces of these methods say, to rounding (a test holds one against
the other), in vectors; problems of up to four rows and columns stay in registers from the first
update to the last. Gradient, steepest and mirror descent with anybody's loss, norm or potential go
in bursts as well, with one call of each piece an update.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.abi import BURST, HURRY, SHIFT, WATCH, Status, eights
from fastbias.engine.compiled import inner, pasted
from fastbias.engine.dense_pass import (
    NEVER,
    REACH,
    SQUARED,
    add,
    add_two,
    factors,
    moved,
    unscaled,
    weights,
)
from fastbias.engine.layout import columns, targets
from fastbias.engine.lending import view
from fastbias.engine.moves import (
    ADAGRAD,
    COORDINATE,
    ENTROPY,
    GRADIENT,
    MIRROR,
    POWER,
    REFRESH,
    STEEPEST,
    Numbers,
    Trial,
    adagrad,
    ahead,
    along,
    copied,
    power,
    radical,
)
from fastbias.engine.passes import by_piece, products, weighed
from fastbias.engine.registers import tiny, tiny_burst
from fastbias.engine.simd import (
    absolute,
    exp,
    fma,
    inlined,
    inverse_binade,
    larger,
    largest,
    load8,
    lowest_bit,
    most,
    reaching,
    splat8,
    steady,
    store,
    total,
)
from fastbias.engine.weighing import inside

__all__ = ["Asked", "burst"]

BY_PIECE = {GRADIENT: GRADIENT, POWER: STEEPEST, STEEPEST: STEEPEST, ENTROPY: MIRROR,
            MIRROR: MIRROR}
"""How a method goes in bursts with a loss that is known by its pieces alone."""

OK, NOT_FINITE = int(Status.OK), int(Status.NOT_FINITE)


class Asked(NamedTuple):
    """The pieces that a burst may call, and their numbers."""

    loss: Any          # (·,)  numbers of slope
    geometry: Any      # (·,)  numbers of the maps
    slope: Any         # SLOPE
    steepest: Any      # MAP
    inverse_link: Any  # MAP


@inner
def _leader(g, width, threshold):
    """The first coordinate with |g_j| ≥ threshold (0 if none), among 64 without a branch, which
    nobody could predict.
    """
    for start in range(0, width, 64):
        bits = 0
        for v in range(start, min(start + 64, width), 8):
            bits |= reaching(absolute(load8(g, v)), threshold) << (v - start)
        if bits != 0:
            return start + lowest_bit(bits)
    return 0


@inner
def _steepest(q, step, n, w, g):
    """w ← w + step Δ of ℓp, Δ_j = g_j (|g_j|/‖g‖_q)^(q − 2)."""
    inlined()
    top = splat8(0.0)
    for v in range(0, n, 8):
        top = larger(absolute(load8(g, v)), top)
    scale = inverse_binade(most(top))  # or powers leave the numbers before their sum does
    powers = splat8(0.0)
    for v in range(0, n, 8):
        powers = powers + power(absolute(load8(g, v)) * scale, q)
    size = total(powers)
    if size != 0.0:
        scale = scale * radical(size, q)
        for v in range(0, n, 8):
            x = load8(g, v)
            store(w, v, fma(x * step, power(absolute(x) * scale, q - 2.0), load8(w, v)))


@inner
def _moved(numbers, trial, n, es):
    """One update of w and s along g; es is the gradient's scale."""
    inlined()
    w, s, g, step = trial.w, trial.s, trial.g, numbers.eta * es
    if numbers.method == GRADIENT:
        along(g, step, numbers.beta, numbers.moving, n, w, s)
    elif numbers.method == ADAGRAD:
        for v in range(0, n, 8):
            x, G = adagrad(load8(w, v), load8(s, v), load8(g, v), es, numbers.eta, numbers.own)
            store(w, v, x)
            store(s, v, G)
    elif numbers.method == ENTROPY:
        for v in range(0, n, 8):
            z = fma(load8(g, v), step, load8(s, v))
            store(s, v, z)
            store(w, v, exp(z, 0.0))
    else:
        _steepest(numbers.own, step, n, w, g)


@inner
def _descent(numbers, data, trial, k0, control, count):
    """``count`` updates of any size, with a loss that the pass weighs inside."""
    steady()
    at_k0, es, gamma, n = k0, unscaled(k0), numbers.gamma, data.d
    place = trial.at if gamma != 0.0 else trial.w
    for t in range(count):
        if gamma != 0.0:
            ahead(trial.w, trial.s, gamma, n, place)
        k0 = weighed(numbers.loss, data, place, trial.p, trial.g, k0, control)
        if not abs(k0) < REACH:                             # or NaN: asked to come back
            return k0
        if k0 != at_k0:
            at_k0, es = k0, unscaled(k0)
        if t == count - 1:
            copied(trial.w, trial.before, n)
        _moved(numbers, trial, n, es)
    return k0


@inner
def _gathered(numbers, data, trial, k0, es, control):
    """g ← 2^k0 Xᵀ(−ℓ') from predictions at hand; returns k0, es = 2^−k0, and the largest |g| of
    each lane.
    """
    inlined()
    N, X, y, loss = data.N, data.packed, targets(data), numbers.loss
    width, tall, p, g = eights(data.d), eights(N), trial.p, trial.g
    at = factors(loss, data.weighed, tall)
    while True:
        z, n, top = splat8(NEVER), 0, splat8(0.0)
        while n < N:
            e, bound = weights(loss, load8(y, n), load8(y, tall + n), load8(y, at + n),
                               load8(p, n), k0, es)
            z = larger(bound, z)
            if n + 8 < N:
                i = n + 8
                f, bound = weights(loss, load8(y, i), load8(y, tall + i), load8(y, at + i),
                                   load8(p, i), k0, es)
                z = larger(bound, z)
                top = add_two(X, n * width, width, n == 0, False, e, f, g)
                n = i
            else:
                top = add(X, n * width, width, n == 0, e, g, 0)
            n += 8
            if control[HURRY] != 0:
                return np.nan, es, top
        k1 = 0.0 if loss == SQUARED else moved(loss, largest(z), k0)
        if k1 == k0:
            return k0, es, top
        k0, es = k1, unscaled(k1)


@inner
def _coordinates(numbers, data, trial, k0, control, k, count):
    """``count`` updates of coordinate descent, which keeps its predictions: a move costs one
    column.
    """
    steady()
    N, d, turned, w, g, p = data.N, data.d, columns(data), trial.w, trial.g, trial.p
    width, tall, es = eights(d), eights(N), unscaled(k0)
    for t in range(count):
        # taken anew now and then, so that roundings do not add up; at steps that no cut of the run
        # moves
        if (k + t) % REFRESH == 0 and not products(data, w, p, control):
            return np.nan
        k0, es, top = _gathered(numbers, data, trial, k0, es, control)
        if not abs(k0) < REACH:
            return k0
        threshold = (1.0 - numbers.own) * largest(top)
        j, tied = min(_leader(g, width, threshold), d - 1), 1
        step = numbers.eta * es
        if numbers.average:
            tied = 0
            for i in range(d):
                tied += abs(g[i]) >= threshold
            step /= max(tied, 1)
        if t == count - 1:
            copied(w, trial.before, width)
        for i in range(j, d if tied > 1 else j + 1):
            if abs(g[i]) >= threshold:
                by = step * g[i]
                w[i] += by
                for n in range(0, N, 8):
                    store(p, n, fma(load8(turned, i * tall + n), by, load8(p, n)))
    return k0


@inner
def _handed(asked, numbers, data, trial, k0, control, count):
    """``count`` updates with pieces that are handed over; returns k0 and a status."""
    steady()
    w, at, s, g = trial.w, trial.at, trial.s, trial.g
    gamma, n = numbers.gamma, data.outputs * data.d
    place = at if gamma != 0.0 else w
    for t in range(count):
        if gamma != 0.0:
            ahead(w, s, gamma, n, at)
        if numbers.loss != 0:
            k0 = weighed(numbers.loss, data, place, trial.p, g, k0, control)
            if not abs(k0) < REACH:
                return k0, OK
            scale = unscaled(k0)
        else:
            scale = by_piece(asked.slope, asked.loss, data, place, trial.p, trial.q, g, control)
            if control[HURRY] != 0:
                return np.nan, OK
            scale = np.exp(scale) if scale != 0.0 else 1.0
        step = numbers.eta * scale
        if t == count - 1:
            copied(w, trial.before, n)
        status = OK
        if numbers.method == GRADIENT:
            along(g, step, numbers.beta, numbers.moving, n, w, s)
        elif numbers.method == STEEPEST:
            status = asked.steepest(asked.geometry, view(g, 0, n), view(at, 0, n))
            along(at, step, 0.0, False, n, w, s)
        else:
            along(g, step, 0.0, False, n, s, s)
            status = asked.inverse_link(asked.geometry, view(s, 0, n), view(w, 0, n))
        if status != OK:
            return k0, status
    return k0, OK


@inner
def _finite(a, size):
    """Whether all of a[:size] are finite."""
    spoilt = 0.0
    for i in range(size):
        spoilt += a[i] * 0.0                              # ∞ 0 and NaN 0 are NaN
    return spoilt == 0.0


@pasted
def _numbers(params, control):
    """The numbers of a burst, from those of the run."""
    loss, method = inside(control), control[BURST]
    eta, beta, gamma, one, average = params.rule[0], params.beta[0], params.gamma[0], 0.0, False
    if method == ADAGRAD:
        one = params.method[0]
    elif method == POWER:
        one = params.geometry[1]
    elif method == COORDINATE:
        one, average = params.method[0], params.method[1] != 0.0
        eta *= params.method[2]                           # its shrinkage
    return Numbers(loss, method, eta, beta, gamma, beta != 0.0 or gamma != 0.0, one, average)


@pasted
def _row(numbers):
    """Which row of state the moves see as s; −1: none."""
    if numbers.method in (ADAGRAD, ENTROPY, MIRROR):
        return 1
    return 0 if numbers.method == GRADIENT and numbers.moving else -1


@pasted
def _begun(buffers, row, trial):
    """The trial's own copy of where the run stands."""
    u, w, s = buffers.u, trial.w, trial.s
    for j in range(u.size):
        w[j] = u[j]
        if row >= 0:
            s[j] = buffers.state[row, j]
    for j in range(u.size, w.size):  # a trial that failed may have left NaN there
        w[j] = s[j] = 0.0


@pasted
def _some(asked, numbers, data, trial, buffers, k, count):
    """Up to ``count`` updates of the trial: k0 after them, whether they are good so far (OK), or a
    status, and how many.
    """
    control, kept = buffers.control, buffers.kept
    k0 = float(control[SHIFT])
    if numbers.method in (STEEPEST, MIRROR) or numbers.loss == 0:
        k0, status = _handed(asked, numbers, data, trial, k0, control, count)
        return k0, status, count
    if tiny(data):
        for j in range(4):
            trial.g[j] = buffers.mark[0, j] if j < buffers.u.size else 0.0
        if control[WATCH] == 0:
            trial.g[0] = np.nan
        k0, count = tiny_burst(numbers, data, trial, k0, k, count)
        return k0, OK, count
    if numbers.method != COORDINATE:
        return _descent(numbers, data, trial, k0, control, count), OK, count
    for i in range(kept.size):
        trial.p[i] = kept[i]
    k0 = _coordinates(numbers, data, trial, k0, control, k, count)
    fine = _finite(trial.p, kept.size) and _finite(trial.g, data.d)
    return k0, OK if fine else NOT_FINITE, count


@pasted
def _taken(buffers, row, trial, numbers, data, k0):
    """Let the run stand where the trial has come to."""
    u, state, control, kept = buffers.u, buffers.state, buffers.control, buffers.kept
    control[SHIFT] = int(k0)
    for j in range(u.size):
        u[j] = trial.w[j]
        if row >= 0:
            state[row, j] = trial.s[j]
        state[0, j] = trial.w[j] - trial.before[j]
    if numbers.method == COORDINATE and not tiny(data):
        for i in range(kept.size):
            kept[i] = trial.p[i]


@pasted
def burst(asked, params, data, buffers, scratch, k, count):
    """Up to ``count`` updates in one go: how many were done (−1: the weights are out of reach), and
    a status.

    None is done, with OK, if it was asked to come back; with another status if the first update
    ends the run. The run's own memory is only touched when all is well; where a number ceases to be
    finite, half as many are tried.
    """
    numbers, n = _numbers(params, buffers.control), buffers.u.size
    row = _row(numbers)
    trial = Trial(scratch.new, scratch.move, scratch.at, scratch.extra, scratch.g, scratch.p,
                  scratch.q)
    end = OK
    while count > 0:
        _begun(buffers, row, trial)
        k0, end, done = _some(asked, numbers, data, trial, buffers, k, count)
        if np.isnan(k0):
            return 0, OK
        far = abs(k0) >= REACH
        if end == OK and not far and _finite(trial.w, n) and (row < 0 or _finite(trial.s, n)):
            _taken(buffers, row, trial, numbers, data, k0)
            return done, OK
        if far and count == 1:
            return -1, OK
        if end == OK:
            end = NOT_FINITE
        count //= 2
    return 0, end
