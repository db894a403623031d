"""The loop's inner half at the machine's limit: one pass over the rows, and bursts of whole updates for common methods.

`weighed` and `by_piece` are the pass that every run with full gradients goes through: margins, their weights and the
gradient of eight rows at a time, while these are near. The three common losses are weighed inside; for any other one its
piece is called on blocks of rows. X is packed in tiles of eight rows by eight columns, padded with zeros, so that a pass
is one stream: entry (n, j) stands at 8 width (n//8) + 64 (j//8) + 8 (n mod 8) + j mod 8.

`burst` is many updates without a look outside, for the common losses with a constant step: gradient descent (with
momentum), AdaGrad, ℓp steepest descent, entropy mirror descent, and coordinate descent, which keeps its margins. It does
what the pieces of these methods say, to rounding (a test holds one against the other), in vectors; problems of up to four
rows and columns stay in registers from the first update to the last.

Monotone losses are kept in range by a whole number k0, q = 2^k0 (−ℓ'), a multiple of 128: it is changed, and the pass done
again, only when the largest weight has left 2^±150. Powers of two round nothing, so the bits do not depend on when. Beyond
2^±FAR (a method whose margins grow like powers of t gets there) the pieces take over for good.
"""
from __future__ import annotations

import numpy as np

from fastbias.abi import BURST, HURRY, SHIFT, WEIGH, kernel
from fastbias.simd import (
    absolute,
    choose_less,
    count4,
    exp,
    fetch,
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
    smaller,
    splat4,
    splat8,
    steady,
    store,
    total,
    totals4,
    totals8,
    view,
)

__all__ = ["burst", "by_piece", "margins", "pack", "weighed"]

POINTER, EXPONENTIAL, LOGISTIC, SQUARED = range(4)        # losses, as Loss.fused names them
_, GRADIENT, ADAGRAD, POWER, ENTROPY, COORDINATE = range(6)                  # moves, as Method.fused names them

LOG2E = 1.4426950408889634
LOG2 = 0.6931471805599453
NEVER = -1e15                                             # −m of what pads the samples: its weight is 0
WINDOW, STRIDE, FAR = 150.0, 128.0, 128.0 * 2.0 ** 33
REFRESH = 64                                              # updates between two times that kept margins are taken anew
NEAR = 4096                                               # entries of X that stay in the first cache
BLOCK = 4096                                              # entries of X that a pass reads twice while they are near


@kernel
def _weights(loss, y, lift, p, k0, es):  # type: ignore[no-untyped-def]
    """Q = −∂ℓ/∂p of vectors of samples, times 2^k0, and −m; es is 2^−k0. Padding has y = 0 and lift = NEVER, else 0."""
    if loss == SQUARED:
        return 2.0 * (y - p), lift
    z = fma(negative(y), p, lift)
    if loss == EXPONENTIAL:
        return y * exp(z, k0), z
    e = exp(smaller(z, 500.0), k0)                        # 1/(1 + e^m), also where e^m is beyond all numbers
    return y * (e / fma(e, es, 1.0)), z


@kernel
def _moved(loss, z, k0):  # type: ignore[no-untyped-def]
    """The k0 that suits a largest −m of z: the one that stands while the weights are within reach of it."""
    k = z * LOG2E
    if loss == LOGISTIC:
        k = min(k, 0.0)
    if abs(k + k0) <= WINDOW or not abs(k) < 1e300:       # beyond numbers: the update will say so
        return k0
    return max(-FAR, min(FAR, -np.rint(k / STRIDE) * STRIDE))


@kernel
def margins(X, N, d, outputs, w, p, control):  # type: ignore[no-untyped-def]
    """P ← X w for each output; X is packed. False if asked to come back."""
    steady()
    width = (d + 7) // 8 * 8
    for c in range(outputs):
        for n in range(0, N, 8):
            store(p, c * N + n, _products(X, n * width, width, w, c * d))
            if control[HURRY] != 0:
                return False
    return True


@kernel
def _products(X, o, width, w, start):  # type: ignore[no-untyped-def]
    """The products of eight rows of X, whose tiles begin at entry o, with w."""
    inlined()
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = splat8(0.0)
    for v in range(0, width, 8):
        x = load8(w, start + v)
        i = o + 8 * v
        a0 = fma(x, load8(X, i), a0)
        a1 = fma(x, load8(X, i + 8), a1)
        a2 = fma(x, load8(X, i + 16), a2)
        a3 = fma(x, load8(X, i + 24), a3)
        a4 = fma(x, load8(X, i + 32), a4)
        a5 = fma(x, load8(X, i + 40), a5)
        a6 = fma(x, load8(X, i + 48), a6)
        a7 = fma(x, load8(X, i + 56), a7)
    return totals8(a0, a1, a2, a3, a4, a5, a6, a7)


@kernel
def _across(X, i, q0, q1, q2, q3, q4, q5, q6, q7):  # type: ignore[no-untyped-def]
    """The sum of the rows of the tile at entry i, each times its q; in two short chains."""
    a = fma(q2, load8(X, i + 16), q0 * load8(X, i))
    b = fma(q3, load8(X, i + 24), q1 * load8(X, i + 8))
    a = fma(q4, load8(X, i + 32), a)
    b = fma(q5, load8(X, i + 40), b)
    return fma(q6, load8(X, i + 48), a) + fma(q7, load8(X, i + 56), b)


@kernel
def _add(X, o, width, fresh, q, g, start):  # type: ignore[no-untyped-def]
    """G += (fresh: ←) the eight rows of X whose tiles begin at entry o, times q; returns the largest |g| of each lane."""
    inlined()
    top = splat8(0.0)
    q0, q1, q2, q3 = splat8(lane(q, 0)), splat8(lane(q, 1)), splat8(lane(q, 2)), splat8(lane(q, 3))
    q4, q5, q6, q7 = splat8(lane(q, 4)), splat8(lane(q, 5)), splat8(lane(q, 6)), splat8(lane(q, 7))
    for v in range(0, width, 8):
        x = _across(X, o + 8 * v, q0, q1, q2, q3, q4, q5, q6, q7)
        if not fresh:
            x = load8(g, start + v) + x
        store(g, start + v, x)
        top = larger(absolute(x), top)
    return top


@kernel
def _add_two(X, o, width, fresh, far, q, r, g):  # type: ignore[no-untyped-def]
    """The same for sixteen rows, times q and r: g is read and written half as often."""
    inlined()
    top = splat8(0.0)
    q0, q1, q2, q3 = splat8(lane(q, 0)), splat8(lane(q, 1)), splat8(lane(q, 2)), splat8(lane(q, 3))
    q4, q5, q6, q7 = splat8(lane(q, 4)), splat8(lane(q, 5)), splat8(lane(q, 6)), splat8(lane(q, 7))
    r0, r1, r2, r3 = splat8(lane(r, 0)), splat8(lane(r, 1)), splat8(lane(r, 2)), splat8(lane(r, 3))
    r4, r5, r6, r7 = splat8(lane(r, 4)), splat8(lane(r, 5)), splat8(lane(r, 6)), splat8(lane(r, 7))
    ahead = 8 * width * 2
    for v in range(0, width, 8):
        if far:
            for i in range(o + ahead + 8 * v, o + ahead + 8 * v + 64, 8):
                fetch(X, i)
                fetch(X, i + 8 * width)
        x = (_across(X, o + 8 * v, q0, q1, q2, q3, q4, q5, q6, q7)
             + _across(X, o + 8 * (v + width), r0, r1, r2, r3, r4, r5, r6, r7))
        if not fresh:
            x = load8(g, v) + x
        store(g, v, x)
        top = larger(absolute(x), top)
    return top


@kernel
def _clear(g, start, size):  # type: ignore[no-untyped-def]
    for v in range(start, start + size, 8):
        store(g, v, splat8(0.0))


@kernel
def weighed(loss, gram, X, y, N, d, w, p, g, k0, control):  # type: ignore[no-untyped-def]
    """One pass for a loss that is weighed inside: p ← X w, g ← 2^k0 Xᵀ(−ℓ') (in Gram space: 2^k0 (−ℓ')).

    Returns k0, which may have moved; NaN if asked to come back.
    """
    inlined()
    width, tall = (d + 7) // 8 * 8, (N + 7) // 8 * 8
    es, far = 2.0 ** -k0, N * width > NEAR and width <= 128
    while True:
        z, n = splat8(NEVER), 0
        while n < N:
            m = _products(X, n * width, width, w, 0)
            store(p, n, m)
            e, bound = _weights(loss, load8(y, n), load8(y, tall + n), m, k0, es)
            z = larger(bound, z)
            if gram:
                store(g, n, e)
            elif n + 8 < N:
                i = n + 8
                m = _products(X, i * width, width, w, 0)
                store(p, i, m)
                f, bound = _weights(loss, load8(y, i), load8(y, tall + i), m, k0, es)
                z = larger(bound, z)
                _add_two(X, n * width, width, n == 0, far, e, f, g)
                n = i
            else:
                _add(X, n * width, width, n == 0, e, g, 0)
            n += 8
            if control[HURRY] != 0:
                return np.nan
        if loss == SQUARED:
            return 0.0
        moved = _moved(loss, largest(z), k0)
        if moved == k0:
            return k0
        k0, es = moved, 2.0 ** -moved


@kernel
def by_piece(slope, params, gram, X, y, N, d, outputs, w, p, q, g, control):  # type: ignore[no-untyped-def]
    """One pass for any loss, by its piece: p ← X w, g ← Xᵀq; returns s, −∇L = e^s g, or NaN if asked to come back."""
    steady()
    width = (d + 7) // 8 * 8
    block = N if outputs > 1 else max(32, BLOCK // width // 8 * 8)
    s = 0.0
    for b in range(0, N, block):
        end = min(N, b + block)
        for c in range(outputs):
            for n in range(b, end, 8):
                store(p, c * N + n, _products(X, n * width, width, w, c * d))
                if control[HURRY] != 0:
                    return np.nan
        size = (outputs - 1) * N + end - b
        at = slope(params, view(p, b, size), view(y, b, end - b), view(q, b, size))
        store(q, b + size, splat8(0.0))
        factor = 1.0
        if b == 0:
            s = at
            if not gram:
                for c in range(outputs):
                    _clear(g, c * d, width)
        elif at != s:
            if at > s + 20.0:                             # what came before is small beside this block
                factor, s = np.exp(s - at), at
                for v in range(0, g.size - 7, 8):
                    store(g, v, load8(g, v) * factor)
            factor = np.exp(at - s)
        for c in range(outputs):
            for n in range(b, end, 8):
                e = load8(q, c * N + n) * factor
                if gram:
                    store(g, n, e)
                else:
                    _add(X, n * width, width, False, e, g, c * d)
                if control[HURRY] != 0:
                    return np.nan
    return s


@kernel
def _adagrad(w, G, g, es, eta, eps):  # type: ignore[no-untyped-def]
    x = g * es
    G = fma(x, x, G)
    size = root(G + eps)
    return w + choose_less(0.0, size, eta * x / size, 0.0), G


@kernel
def _power(a, q):  # type: ignore[no-untyped-def]
    """A^q for 0 ≤ a ≤ 2; 0 for a = 0."""
    if q == 1.0:
        return a
    if q == 2.0:
        return a * a
    if q == 3.0:
        return a * a * a
    if q == 4.0:
        return (a * a) * (a * a)
    return choose_less(0.0, a, exp(q * log(larger(a, a * 0.0 + 1e-300)), 0.0), 0.0)


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
    """The first coordinate with |g_j| ≥ threshold, 0 if there is none; among 64 without a branch, which nobody could predict."""
    for start in range(0, width, 64):
        bits = 0
        for v in range(start, min(start + 64, width), 8):
            bits |= reaching(absolute(load8(g, v)), threshold) << (v - start)
        if bits != 0:
            return start + lowest_bit(bits)
    return 0


@kernel
def _descent(loss, move, gram, eta, beta, gamma, own, X, y, N, d, n,  # type: ignore[no-untyped-def]
             w, before, at, s, g, p, k0, control, count):
    steady()
    at_k0, es = k0, 2.0 ** -k0                            # a power is dear
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
            at_k0, es = k0, 2.0 ** -k0
        step = eta * es
        if t == count - 1:
            for v in range(0, n, 8):
                store(before, v, load8(w, v))
        if move == GRADIENT:
            if beta == 0.0 and gamma == 0.0:
                for v in range(0, n, 8):
                    store(w, v, fma(load8(g, v), step, load8(w, v)))
            else:
                for v in range(0, n, 8):
                    x = load8(w, v)
                    new = x + fma(load8(delta, v), beta, load8(g, v) * step)
                    store(delta, v, new - x)
                    store(w, v, new)
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
    width, tall, es = (d + 7) // 8 * 8, (N + 7) // 8 * 8, 2.0 ** -k0
    for t in range(count):
        if (k + t) % REFRESH == 0 and not margins(X, N, d, 1, w, p, control):
            return np.nan
        while True:
            z, n, top = splat8(NEVER), 0, splat8(0.0)
            while n < N:
                e, bound = _weights(loss, load8(y, n), load8(y, tall + n), load8(p, n), k0, es)
                z = larger(bound, z)
                if n + 8 < N:
                    i = n + 8
                    f, bound = _weights(loss, load8(y, i), load8(y, tall + i), load8(p, i), k0, es)
                    z = larger(bound, z)
                    top = _add_two(X, n * width, width, n == 0, False, e, f, g)
                    n = i
                else:
                    top = _add(X, n * width, width, n == 0, e, g, 0)
                n += 8
                if control[HURRY] != 0:
                    return np.nan
            moved = 0.0 if loss == SQUARED else _moved(loss, largest(z), k0)
            if moved == k0:
                break
            k0, es = moved, 2.0 ** -moved
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
def _tiny(loss, move, average, eta, beta, gamma, own, X, y, w, before, s, k0, count):  # type: ignore[no-untyped-def]
    """Up to four rows and columns: everything stays in registers."""
    steady()
    x0, x1, x2, x3, target = load4(X, 0), load4(X, 8), load4(X, 16), load4(X, 24), load4(y, 0)
    lift = load4(y, 8)
    W, S, numbers = load4(w, 0), load4(s, 0), count4()
    es = 2.0 ** -k0
    for t in range(count):
        at = fma(S, gamma, W) if gamma != 0.0 else W
        p = totals4(x0 * at, x1 * at, x2 * at, x3 * at)
        while True:
            e, z = _weights(loss, target, lift, p, k0, es)
            if loss == SQUARED:
                break
            moved = _moved(loss, largest(z), k0)
            if moved == k0:
                break
            k0, es = moved, 2.0 ** -moved
        if abs(k0) >= FAR:
            return k0
        g = fma(x0, splat4(lane(e, 0)), x1 * splat4(lane(e, 1))) + fma(x2, splat4(lane(e, 2)), x3 * splat4(lane(e, 3)))
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
def _finite(a, size):  # type: ignore[no-untyped-def]
    spoilt = 0.0                                          # ∞ 0 and NaN 0 are NaN
    for i in range(size):
        spoilt += a[i] * 0.0
    return spoilt == 0.0


@kernel
def burst(gram, average, eta, beta, gamma, own, nu, X, y, columns, N, d,  # type: ignore[no-untyped-def]
          u, state, kept, control, k, count, w, before, at, s, g, p):
    """Up to ``count`` updates in one go; how many were done: 0 if asked to come back, −1 if the first is not finite,
    −2 if its weights are out of reach.

    The run's own memory is only touched when all is well; where a number ceases to be finite, half as many are tried.
    """
    loss, move, n = control[WEIGH], control[BURST], u.size
    row = -1                                              # of state, which the moves see as s
    if move in (ADAGRAD, ENTROPY):
        row = 1
    elif move == GRADIENT and (beta != 0.0 or gamma != 0.0):
        row = 0
    end = -1
    while count > 0:
        for j in range(n):
            w[j] = u[j]
            if row >= 0:
                s[j] = state[row, j]
        k0 = float(control[SHIFT])
        fine, end = True, -1
        if N <= 4 and d <= 4 and not gram:
            k0 = _tiny(loss, move, average, eta * nu, beta, gamma, own, X, y, w, before, s, k0, count)
        elif move == COORDINATE:
            for i in range(kept.size):
                p[i] = kept[i]
            k0 = _coordinates(loss, average, eta * nu, own, X, y, columns, N, d, w, before, g, p, k0, control, k, count)
            fine = _finite(p, kept.size)
        else:
            k0 = _descent(loss, move, gram, eta, beta, gamma, own, X, y, N, d, n, w, before, at, s, g, p, k0, control,
                          count)
        if np.isnan(k0):
            return 0
        if abs(k0) >= FAR:
            fine, end = False, -2
        if fine and _finite(w, n) and (row < 0 or _finite(s, n)):
            control[SHIFT] = int(k0)
            for j in range(n):
                u[j] = w[j]
                if row >= 0:
                    state[row, j] = s[j]
                state[0, j] = w[j] - before[j]
            if move == COORDINATE:
                for i in range(kept.size):
                    kept[i] = p[i]
            return count
        count //= 2
    return end


@kernel
def pack(X, y, packed, columns):  # type: ignore[no-untyped-def]
    """Lay X, its targets and (where there is room for it) its transpose out for vectors: padded with zeros."""
    N, d = X.shape
    width, tall = (d + 7) // 8 * 8, (N + 7) // 8 * 8
    for i in range(packed.size):
        packed[i] = 0.0
    for n in range(N):
        o = (n - n % 8) * width + n % 8 * 8
        for j in range(d):
            packed[o + (j - j % 8) * 8 + j % 8] = X[n, j]
        packed[tall * width + n] = y[n]
    for n in range(N, tall):
        packed[tall * (width + 1) + n] = NEVER
    if columns.size > 0:
        for n in range(N):
            for j in range(d):
                columns[j * tall + n] = X[n, j]
