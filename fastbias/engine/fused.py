"""Bursts: many updates of a common method without a look outside, at the machine's limit.

For the losses that a pass weighs inside, and a constant step: gradient descent (with momentum), AdaGrad, ℓp steepest
descent, entropy mirror descent, and coordinate descent, which keeps its margins. A burst does what the pieces of these
methods say, to rounding (a test holds one against the other), in vectors; problems of up to four rows and columns stay in
registers from the first update to the last. Gradient, steepest and mirror descent with anybody's loss, norm or potential
go in bursts as well, with one call of each piece an update.
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import BURST, GRAM, HURRY, OUTPUTS, SHIFT, WEIGH, Status, kernel
from fastbias.engine.dense_pass import (
    FAR,
    NEVER,
    SQUARED,
    add,
    add_two,
    by_piece,
    margins,
    moved,
    unscaled,
    weighed,
    weights,
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
    larger,
    largest,
    load4,
    load8,
    log,
    lowest_bit,
    most,
    near_inverse_cube_root,
    negative,
    reaching,
    root,
    splat4,
    splat8,
    steady,
    store,
    total,
    view,
)

__all__ = ["burst"]

# methods with twins (0: no bursts): the last two ask a map of the geometry
GRADIENT, ADAGRAD, POWER, ENTROPY, COORDINATE, STEEPEST, MIRROR = range(1, 8)
BY_PIECE = {GRADIENT: GRADIENT, POWER: STEEPEST, STEEPEST: STEEPEST, ENTROPY: MIRROR, MIRROR: MIRROR}
"""How a method goes in bursts with a loss that is known by its pieces alone."""

OK, NOT_FINITE = int(Status.OK), int(Status.NOT_FINITE)
REFRESH = 64                                              # updates between two times that kept margins are taken anew


@kernel
def _adagrad(w, G, g, es, eta, eps):  # type: ignore[no-untyped-def]
    x = g * es
    G = fma(x, x, G)
    size = root(G + eps)
    return w + choose_less(0.0, size, eta * x / size, 0.0), G


@kernel
def _power(a, q):  # type: ignore[no-untyped-def]
    """A^q for 0 ≤ a ≤ 4 and |q| ≤ 64; 0 for a = 0."""
    if q == 1.0:
        return a
    if q == 2.0:
        return a * a
    if q == 3.0:
        return a * a * a
    if q == 4.0:
        return (a * a) * (a * a)
    return choose_less(a, 1e-300, 0.0, exp(q * log(larger(a, 1e-300)), 0.0) + a * 0.0)        # (NaN stays NaN)


@kernel
def _radical(x, q):  # type: ignore[no-untyped-def]
    """X^(−1/q) of a number."""
    if q == 3.0:                                          # the library's cube root takes longer than a tiny step
        y = near_inverse_cube_root(x)
        for _ in range(2):                                # (1 − r)^(−1/3) to r³: an error of 3e-2, 2e-5, rounding
            r = 1.0 - (x * y) * (y * y)
            y += (y * r) * (1.0 / 3.0 + r * (2.0 / 9.0 + r * (14.0 / 81.0)))
        return y
    return 1.0 / (np.sqrt(np.sqrt(x)) if q == 4.0 else x ** (1.0 / q))


@kernel
def _leader(g, width, threshold):  # type: ignore[no-untyped-def]
    """The first coordinate with |g_j| ≥ threshold (0 if none), among 64 without a branch, which nobody could predict."""
    for start in range(0, width, 64):
        bits = 0
        for v in range(start, min(start + 64, width), 8):
            bits |= reaching(absolute(load8(g, v)), threshold) << (v - start)
        if bits != 0:
            return start + lowest_bit(bits)
    return 0


@kernel
def _along(g, step, beta, moving, n, w, delta):  # type: ignore[no-untyped-def]
    """W ← w + β Δw + step g; Δw is only kept where it is asked for."""
    inlined()
    if not moving:
        for v in range(0, n, 8):
            store(w, v, fma(load8(g, v), step, load8(w, v)))
    else:
        for v in range(0, n, 8):
            x = load8(w, v)
            new = x + fma(load8(delta, v), beta, load8(g, v) * step)
            store(delta, v, new - x)
            store(w, v, new)


@kernel
def _descent(loss, move, gram, eta, beta, gamma, own, X, y, N, d, n,  # type: ignore[no-untyped-def]
             w, before, at, s, g, p, k0, control, count):
    steady()
    at_k0, es = k0, unscaled(k0)
    place = at if gamma != 0.0 else w
    delta = s                                             # gradient descent: the last move; AdaGrad: G; entropy: log w
    for t in range(count):
        if gamma != 0.0:
            for v in range(0, n, 8):
                store(at, v, fma(load8(delta, v), gamma, load8(w, v)))
        k0 = weighed(loss, gram, X, y, N, d, place, p, g, k0, control)
        if not abs(k0) < FAR:
            return k0
        if k0 != at_k0:
            at_k0, es = k0, unscaled(k0)
        step = eta * es
        if t == count - 1:
            for v in range(0, n, 8):
                store(before, v, load8(w, v))
        if move == GRADIENT:
            _along(g, step, beta, beta != 0.0 or gamma != 0.0, n, w, delta)
        elif move == ADAGRAD:
            for v in range(0, n, 8):
                x, G = _adagrad(load8(w, v), load8(s, v), load8(g, v), es, eta, own)
                store(w, v, x)
                store(s, v, G)
        elif move == ENTROPY:
            for v in range(0, n, 8):
                z = fma(load8(g, v), step, load8(s, v))
                store(s, v, z)
                store(w, v, exp(z, 0.0))
        else:
            top = splat8(0.0)
            for v in range(0, n, 8):
                top = larger(absolute(load8(g, v)), top)
            scale = inverse_binade(most(top))
            powers = splat8(0.0)
            for v in range(0, n, 8):
                powers = powers + _power(absolute(load8(g, v)) * scale, own)
            size = total(powers)
            if size != 0.0:                               # Δ_j = g_j (|g_j|/‖g‖_q)^(q − 2)
                scale = scale * _radical(size, own)
                for v in range(0, n, 8):
                    x = load8(g, v)
                    store(w, v, fma(x * step, _power(absolute(x) * scale, own - 2.0), load8(w, v)))
    return k0


@kernel
def _coordinates(loss, average, eta, tie_tol, X, y, columns, N, d, w, before, g, p, k0, control, k, count):  # type: ignore[no-untyped-def]
    steady()
    width, tall, es = (d + 7) // 8 * 8, (N + 7) // 8 * 8, unscaled(k0)
    for t in range(count):
        if (k + t) % REFRESH == 0 and not margins(X, N, d, 1, w, p, control):
            return np.nan
        while True:
            z, n, top = splat8(NEVER), 0, splat8(0.0)
            while n < N:
                e, bound = weights(loss, load8(y, n), load8(y, tall + n), load8(p, n), k0, es)
                z = larger(bound, z)
                if n + 8 < N:
                    i = n + 8
                    f, bound = weights(loss, load8(y, i), load8(y, tall + i), load8(p, i), k0, es)
                    z = larger(bound, z)
                    top = add_two(X, n * width, width, n == 0, False, e, f, g)
                    n = i
                else:
                    top = add(X, n * width, width, n == 0, e, g, 0)
                n += 8
                if control[HURRY] != 0:
                    return np.nan
            k1 = 0.0 if loss == SQUARED else moved(loss, largest(z), k0)
            if k1 == k0:
                break
            k0, es = k1, unscaled(k1)
        if abs(k0) >= FAR:
            return k0
        threshold = (1.0 - tie_tol) * largest(top)
        step, j, tied = eta * es, min(_leader(g, width, threshold), d - 1), 1
        if average:
            tied = 0
            for i in range(d):
                tied += abs(g[i]) >= threshold
            step /= max(tied, 1)
        if t == count - 1:
            for v in range(0, width, 8):
                store(before, v, load8(w, v))
        for i in range(j, d if tied > 1 else j + 1):
            if abs(g[i]) >= threshold:
                by = step * g[i]
                w[i] += by
                for n in range(0, N, 8):
                    store(p, n, fma(load8(columns, i * tall + n), by, load8(p, n)))
    return k0


@kernel
def _tiny(loss, move, average, eta, beta, gamma, own, X, y, N, d, w, before, columns, s, k0, count):  # type: ignore[no-untyped-def]
    """Up to four rows and columns: everything stays in registers."""
    steady()
    x0, x1, x2, x3, target = load4(X, 0), load4(X, 8), load4(X, 16), load4(X, 24), load4(y, 0)
    lift = load4(y, 8)
    for j in range(d):
        for n in range(4):
            columns[4 * j + n] = X[8 * n + j] if n < N else 0.0
    c0, c1, c2, c3 = load4(columns, 0), splat4(0.0), splat4(0.0), splat4(0.0)
    if d > 1:
        c1 = load4(columns, 4)
    if d > 2:
        c2 = load4(columns, 8)
    if d > 3:
        c3 = load4(columns, 12)
    W, S, numbers = load4(w, 0), load4(s, 0), count4()
    es = unscaled(k0)
    for t in range(count):
        at = fma(S, gamma, W) if gamma != 0.0 else W
        p = fma(c0, splat4(lane(at, 0)), c1 * splat4(lane(at, 1)))
        if d > 2:
            p = p + fma(c2, splat4(lane(at, 2)), c3 * splat4(lane(at, 3)))
        while True:
            e, z = weights(loss, target, lift, p, k0, es)
            if loss == SQUARED:
                break
            k1 = moved(loss, largest(z), k0)
            if k1 == k0:
                break
            k0, es = k1, unscaled(k1)
        if abs(k0) >= FAR:
            return k0
        g = x0 * splat4(lane(e, 0))
        if N > 1:
            g = fma(x1, splat4(lane(e, 1)), g)
        if N > 2:
            g = g + fma(x2, splat4(lane(e, 2)), x3 * splat4(lane(e, 3)))
        step = eta * es
        if t == count - 1:
            store(before, 0, W)
        if move == GRADIENT:
            if beta == 0.0 and gamma == 0.0:
                W = fma(g, step, W)
            else:
                new = W + fma(S, beta, g * step)
                S = new - W
                W = new
        elif move == ADAGRAD:
            W, S = _adagrad(W, S, g, es, eta, own)
        elif move == ENTROPY:
            S = fma(g, step, S)
            W = exp(S, 0.0)
        elif move == COORDINATE:
            size = absolute(g)
            step += total(p * 0.0)                        # NaN where a margin is beyond numbers: nothing compares with it
            threshold = (1.0 - own) * most(size)
            if average:
                tied = choose_less(size, threshold, 0.0, 1.0)
                W = fma(tied * g, step / total(tied), W)
            else:                                         # the first lane that reaches it, and no branch
                reach = choose_less(size, threshold, 8.0, numbers)
                W = fma(choose_less(negative(most(negative(reach))), reach, 0.0, g), step, W)
        else:
            size = absolute(g)
            scale = inverse_binade(most(size))
            powers = total(_power(size * scale, own))
            if powers != 0.0:
                W = fma(g * step, _power(size * (scale * _radical(powers, own)), own - 2.0), W)
    store(w, 0, W)
    store(s, 0, S)
    return k0


@kernel
def _handed(slope, steepest, inverse_link, params, loss, move, gram, eta, beta, gamma, X, y, target, N, d,  # type: ignore[no-untyped-def]
            outputs, n, w, before, at, s, g, p, q, k0, control, count):
    """The same with pieces that are handed over; returns k0 and a status."""
    steady()
    place = at if gamma != 0.0 else w
    for t in range(count):
        if gamma != 0.0:
            for v in range(0, n, 8):
                store(at, v, fma(load8(s, v), gamma, load8(w, v)))
        if loss != 0:
            k0 = weighed(loss, gram, X, target, N, d, place, p, g, k0, control)
            if not abs(k0) < FAR:
                return k0, 0
            scale = unscaled(k0)
        else:
            scale = by_piece(slope, params.loss, gram, X, y, N, d, outputs, place, p, q, g, control)
            if control[HURRY] != 0:
                return np.nan, 0
            scale = np.exp(scale) if scale != 0.0 else 1.0
        step = eta * scale
        if t == count - 1:
            for v in range(0, n, 8):
                store(before, v, load8(w, v))
        if move == GRADIENT:
            _along(g, step, beta, beta != 0.0 or gamma != 0.0, n, w, s)
            continue
        if move == STEEPEST:
            status = steepest(params.geometry, view(g, 0, n), view(at, 0, n))
            _along(at, step, 0.0, False, n, w, s)
        else:
            _along(g, step, 0.0, False, n, s, s)
            status = inverse_link(params.geometry, view(s, 0, n), view(w, 0, n))
        if status != 0:
            return k0, status
    return k0, 0


@kernel
def _finite(a, size):  # type: ignore[no-untyped-def]
    spoilt = 0.0                                          # ∞ 0 and NaN 0 are NaN
    for i in range(size):
        spoilt += a[i] * 0.0
    return spoilt == 0.0


@kernel
def burst(slope, steepest, inverse_link, params, X, y, target, columns, N, d,  # type: ignore[no-untyped-def]
          u, state, kept, control, k, count, w, before, at, s, g, p, q):
    """Up to ``count`` updates in one go: how many were done (−1: the weights are out of reach), and a status.

    None is done, with OK, if it was asked to come back; with another status if the first update ends the run.

    The run's own memory is only touched when all is well; where a number ceases to be finite, half as many are tried.
    """
    inlined()
    loss, move, gram, outputs, n = control[WEIGH], control[BURST], control[GRAM] != 0, max(1, control[OUTPUTS]), u.size
    eta, beta, gamma, own, average = params.rule[0], params.beta[0], params.gamma[0], 0.0, False
    if move == ADAGRAD:
        own = params.method[0]
    elif move == POWER:
        own = params.geometry[1]
    elif move == COORDINATE:
        own, average = params.method[0], params.method[1] != 0.0
        eta *= params.method[2]
    row = -1                                              # of state, which the moves see as s
    if move in (ADAGRAD, ENTROPY, MIRROR):
        row = 1
    elif move == GRADIENT and (beta != 0.0 or gamma != 0.0):
        row = 0
    end, tiny = OK, N <= 4 and d <= 4 and not gram
    while count > 0:
        for j in range(n):
            w[j] = u[j]
            if row >= 0:
                s[j] = state[row, j]
        for j in range(n, w.size):                        # a trial that failed may have left NaN there
            w[j] = s[j] = 0.0
        k0 = float(control[SHIFT])
        fine, end, far = True, NOT_FINITE, False
        if move in (STEEPEST, MIRROR) or loss == 0:
            k0, status = _handed(slope, steepest, inverse_link, params, loss, move, gram, eta, beta, gamma, X, y, target,
                                 N, d, outputs, n, w, before, at, s, g, p, q, k0, control, count)
            if status != 0:
                fine, end = False, status
        elif tiny:
            k0 = _tiny(loss, move, average, eta, beta, gamma, own, X, target, N, d, w, before, at, s, k0, count)
        elif move == COORDINATE:
            for i in range(kept.size):
                p[i] = kept[i]
            k0 = _coordinates(loss, average, eta, own, X, target, columns, N, d, w, before, g, p, k0, control, k, count)
            fine = _finite(p, kept.size) and _finite(g, d)
        else:
            k0 = _descent(loss, move, gram, eta, beta, gamma, own, X, target, N, d, n, w, before, at, s, g, p, k0, control,
                          count)
        if np.isnan(k0):
            return 0, OK
        if abs(k0) >= FAR:
            fine, far = False, True
        if fine and _finite(w, n) and (row < 0 or _finite(s, n)):
            control[SHIFT] = int(k0)
            for j in range(n):
                u[j] = w[j]
                if row >= 0:
                    state[row, j] = s[j]
                state[0, j] = w[j] - before[j]
            if move == COORDINATE and not tiny:
                for i in range(kept.size):
                    kept[i] = p[i]
            return count, OK
        if far and count == 1:
            return -1, OK
        count //= 2
    return 0, end
