"""Exact line searches: any convex loss of the linear model, squares of models of degree 2."""
from __future__ import annotations

import numpy as np

from fastbias.engine.compiled import inner, kernel
from fastbias.engine.layout import alone, sample_weights
from fastbias.engine.lending import view
from fastbias.engine.passes import products
from fastbias.engine.weighing import NONE, WILD, pushed

__all__ = ["quartic", "search"]


@inner
def _fall(slope, loss, p, dp, step, data, trial, q):
    """−dL/dτ of L(p + τ dp) at τ = step, up to a positive factor."""
    for i in range(p.size):
        trial[i] = p[i] + step * dp[i]
    s = slope(loss, trial, data.y, view(q, 0, p.size))
    if data.weighed != NONE:
        pushed(slope, loss, sample_weights(data, 0, data.N), alone(data, q, WILD), trial, data.y,
               view(q, 0, p.size), s)
    total, size, push = 0.0, 0.0, 0.0
    for i in range(p.size):
        total += q[i] * dp[i]
        size += abs(q[i] * dp[i])
        push = max(push, abs(q[i]))
    if size > 0.0:
        return total / size
    # all that moves has vanished behind what stands: still falling
    return 1e-300 if push > 0.0 else 0.0


@inner
def search(slope, loss, p, dp, data, trial, q):
    """The first minimiser τ ≥ 0 of L(p + τ dp), to the last digits.

    A sign change of the slope is bracketed and halved. Infinity where the loss falls for ever, 0
    where it does not fall at all.
    """
    largest = 0.0
    for i in range(p.size):
        largest = max(largest, abs(dp[i]))
    if largest == 0.0 or not _fall(slope, loss, p, dp, 0.0, data, trial, q) > 0.0:
        return 0.0
    high = 1.0 / largest
    at_high = _fall(slope, loss, p, dp, high, data, trial, q)
    while at_high > 0.0:  # the minimiser lies in (high/2, high] after one of these loops
        if high * largest > 1e250:
            return np.inf
        high *= 2.0
        at_high = _fall(slope, loss, p, dp, high, data, trial, q)
    low = 0.5 * high
    at_low = _fall(slope, loss, p, dp, low, data, trial, q)
    for _ in range(1000):
        if at_low > 0.0:
            break
        high, at_high = low, at_low
        low *= 0.5
        at_low = _fall(slope, loss, p, dp, low, data, trial, q)
    # false position (Illinois); with halving where three rounds have not brought a quarter, and no
    # nearer to an end than a few digits: the root may lie there, and then both ends close in
    side, before, digit = 0, np.inf, 2.3e-16
    for k in range(200):
        width = high - low
        if width <= 2.3e-16 * high:
            break
        middle = low + at_low / (at_low - at_high) * width
        if k % 3 == 2:
            middle = middle if width < 0.25 * before else 0.5 * (low + high)
            before = width
        if middle - low < digit * high:
            middle, digit = low + digit * high, 4.0 * digit
        elif high - middle < digit * high:
            middle, digit = high - digit * high, 4.0 * digit
        if not low < middle < high:
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
        at = _fall(slope, loss, p, dp, middle, data, trial, q)
        if at > 0.0:
            low, at_low = middle, at
            at_high = 0.5 * at_high if side == 1 else at_high
            side = 1
        else:
            high, at_high = middle, at
            at_low = 0.5 * at_low if side == -1 else at_low
            side = -1
    return 0.5 * (low + high)


@kernel
def _least(c1, c2, c3, c4):
    """The a > 0 where c1 a + c2 a² + c3 a³ + c4 a⁴ is least, c1 < 0, by its cubic derivative.

    Infinity if it only falls.
    """
    A, B, C, D = 4.0 * c4, 3.0 * c3, 2.0 * c2, c1
    top = max(abs(A), abs(B), abs(C))
    if not top > 0.0 or not np.isfinite(top):
        return np.nan                                     # beyond float64
    if not A > 0.0:  # the curved part is 0, so B is: a parabola
        return -D / C if C > 0.0 else np.inf
    scale = max(max((abs(D) / A) ** (1.0 / 3.0), (abs(C) / A) ** 0.5), abs(B) / A)
    # a = scale x, where the cubic's terms are of one size
    A, B, C = A * scale ** 3, B * scale ** 2, C * scale
    end = 1.0 + max(abs(B), max(abs(C), abs(D))) / A      # Cauchy's bound: no root is beyond
    turn0 = turn1 = 0.0  # where the cubic turns: at most one root between
    if B * B > 3.0 * A * C:
        q = -(B + np.copysign(np.sqrt(B * B - 3.0 * A * C), B))
        x0, x1 = q / (3.0 * A), C / q if q != 0.0 else 0.0
        turn0, turn1 = min(x0, x1), max(x0, x1)
    best, value, begin = np.inf, np.inf, 0.0
    for i in range(3):
        stop = turn0 if i == 0 else turn1 if i == 1 else end
        if not stop > begin:
            continue
        low, high = begin, stop
        if ((A * low + B) * low + C) * low + D < 0.0 <= ((A * high + B) * high + C) * high + D:
            for _ in range(1200):                         # halved to the last digit
                middle = 0.5 * (low + high)
                if not low < middle < high:
                    break
                if ((A * middle + B) * middle + C) * middle + D < 0.0:
                    low = middle
                else:
                    high = middle
            here = (((A / 4.0 * high + B / 3.0) * high + C / 2.0) * high + D) * high
            if here < value:
                best, value = high, here
        begin = stop
    return best * scale


@inner
def quartic(forward, model, data, u, scratch, control):
    """The a > 0 that minimises Σ (p_n(a) − y_n)², p(a) = X F(u + a move) quadratic in a: F is of
    degree 2.

    Its parts are p(0), in scratch, the curved one p2 = X F(c move), and p1 = X F(u + c move) − p −
    p2, in units c move as long as u. 0 where the loss does not fall along the move; NaN if asked to
    come back.
    """
    move, at, w = scratch.move, scratch.at, scratch.w
    p, plus, curved = scratch.p, scratch.along, scratch.trial
    n, d, y, each = u.size, data.d, data.y, sample_weights(data, 0, data.N)
    largest, size = 0.0, 0.0
    for j in range(n):
        largest, size = max(largest, abs(move[j])), max(size, abs(u[j]))
    if largest == 0.0:
        return 0.0
    c = (size if size > 0.0 else 1.0) / largest
    if not c < 1e200:                                     # what is left of the gradient is rounding
        return 0.0
    for j in range(n):
        at[j] = c * move[j]
    forward(model, view(at, 0, n), view(w, 0, d))
    if not products(data, w, curved, control):
        return np.nan
    for j in range(n):
        at[j] = u[j] + c * move[j]
    forward(model, view(at, 0, n), view(w, 0, d))
    if not products(data, w, plus, control):
        return np.nan
    top, most = 0.0, 0.0  # squares of residuals alone may leave the numbers, and so may weights
    for n in range(data.N):
        most = max(most, each[n] if data.weighed != NONE else 1.0)
        top = max(top, max(abs(p[n] - y[n]), max(abs(plus[n] - p[n]), abs(curved[n]))))
    if top == 0.0:
        return 0.0
    c1 = c2 = c3 = c4 = 0.0
    for n in range(data.N):
        r, p1, p2 = (p[n] - y[n]) / top, (plus[n] - p[n] - curved[n]) / top, curved[n] / top
        weight = each[n] / most if data.weighed != NONE else 1.0
        c1 += weight * (2.0 * r * p1)
        c2 += weight * (p1 * p1 + 2.0 * r * p2)
        c3 += weight * (2.0 * p1 * p2)
        c4 += weight * (p2 * p2)
    return c * _least(c1, c2, c3, c4) if c1 < 0.0 else 0.0
