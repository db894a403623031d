"""What bursts have in common: their numbers, what they work on, and the formulas of moves, of any
width of vectors.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.compiled import inner
from fastbias.engine.simd import (
    choose_less,
    exp,
    fma,
    inlined,
    larger,
    load8,
    log,
    near_inverse_cube_root,
    root,
    store,
)

__all__ = [
    "ADAGRAD", "COORDINATE", "ENTROPY", "GRADIENT", "MIRROR", "POWER", "REFRESH", "STEEPEST",
    "Numbers", "Trial", "adagrad", "ahead", "along", "copied", "power", "radical",
]

# as `fastbias.engine.abi.twin` is told them (0: no bursts): the last two ask the steepest
# direction or the inverse link of the geometry
GRADIENT, ADAGRAD, POWER, ENTROPY, COORDINATE, STEEPEST, MIRROR = range(1, 8)
# updates between two times that kept margins are taken anew, and that a run looks whether it
# repeats
REFRESH = 64


class Numbers(NamedTuple):
    """What stays as it is through a burst."""

    loss: Any     # which loss the pass weighs inside; 0: known by its piece alone
    method: Any   # GRADIENT … MIRROR
    eta: Any
    beta: Any
    gamma: Any
    moving: Any   # whether beta or gamma is not 0: then the last move counts
    own: Any      # AdaGrad's eps; q of 1/p + 1/q = 1 for ℓp; what counts as a tie among coordinates
    average: Any  # whether tied coordinates share the step


class Trial(NamedTuple):
    """What a burst works on, so that the run's own memory is only touched when all is well."""

    w: Any       # (n,)    the parameters
    before: Any  # (n,)    the parameters before the last update
    at: Any      # (n,)    where the gradient is taken, if that is elsewhere
    s: Any       # (n,)    the method's row of state: the last move, AdaGrad's G, log w, or ∇ψ(w)
    g: Any       # (n,)    the gradient
    p: Any       # (K N,)  predictions
    q: Any       # (K N,)  their weights


@inner
def adagrad(w, G, g, es, eta, eps):
    """w and G after a step of AdaGrad; a coordinate with g = G = 0 stays."""
    x = g * es
    G = fma(x, x, G)
    size = root(G + eps)
    return w + choose_less(0.0, size, eta * x / size, 0.0), G


@inner
def power(a, q):
    """a^q for 0 ≤ a ≤ 4 and |q| ≤ 64; 0 for a = 0."""
    if q == 1.0:
        return a
    if q == 2.0:
        return a * a
    if q == 3.0:
        return a * a * a
    if q == 4.0:
        return (a * a) * (a * a)
    # (NaN stays NaN)
    return choose_less(a, 1e-300, 0.0, exp(q * log(larger(a, 1e-300)), 0.0) + a * 0.0)


@inner
def radical(x, q):
    """x^(−1/q) of a number."""
    if q == 3.0:  # the library's cube root takes longer than a tiny step
        y = near_inverse_cube_root(x)
        for _ in range(2):  # (1 − r)^(−1/3) to r³: an error of 3e-2, 2e-5, rounding
            r = 1.0 - (x * y) * (y * y)
            y += (y * r) * (1.0 / 3.0 + r * (2.0 / 9.0 + r * (14.0 / 81.0)))
        return y
    return 1.0 / (np.sqrt(np.sqrt(x)) if q == 4.0 else x ** (1.0 / q))


@inner
def along(g, step, beta, moving, n, w, delta):
    """w ← w + β Δw + step g; Δw is only kept where it is asked for."""
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


@inner
def copied(a, b, size):
    """b ← a, in whole vectors."""
    inlined()
    for v in range(0, size, 8):
        store(b, v, load8(a, v))


@inner
def ahead(w, s, gamma, n, at):
    """at ← w + γ s."""
    inlined()
    for v in range(0, n, 8):
        store(at, v, fma(load8(s, v), gamma, load8(w, v)))
