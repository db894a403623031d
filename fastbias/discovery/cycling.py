"""Gradient descent with ηλ < 2 on data that nothing separates may go round for ever.

L(w) = Σ log(1 + exp(−z w)) of one weight, z = a once and −c so many times; λ is L'' at the
minimiser, so that the minimiser itself is stable. An interval that two steps map into itself, away
from the minimiser, holds a cycle of period two and all that comes near.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from fastbias.discovery.checking import demand
from fastbias.discovery.intervals import Interval, total

__all__ = ["KIND", "check", "draw", "prove", "smaller", "violation"]

KIND = "gradient descent below 2/lambda goes round"
TRIALS, STEPS = 4000, 1500
BITS = 200
RATIOS = 1.2, 1.5, 1.8, 1.95
Problem = tuple[int, int, int, float]            # a, c, how many −c, ηλ


def draw(rng: np.random.Generator) -> Problem:
    """The worst of some thousands, tried side by side."""
    a = np.exp(rng.uniform(0, np.log(60), TRIALS)).astype(int)
    c = np.exp(rng.uniform(0, np.log(6), TRIALS)).astype(int)
    m = np.exp(rng.uniform(0, np.log(80), TRIALS)).astype(int)
    ratio = rng.choice(RATIOS, TRIALS)
    found = _rounds(a, c, m, ratio)[0]
    # the fewest and smallest numbers among those that go round
    cost = np.where(found > 0, a + c * m + 0.0, np.inf)
    k = int(np.argmin(cost))
    return int(a[k]), int(c[k]), int(m[k]), float(ratio[k])


def _slope(w: np.ndarray, a: np.ndarray, c: np.ndarray, m: np.ndarray) -> np.ndarray:
    return -a / (1 + np.exp(a * w)) + m * c / (1 + np.exp(-c * w))


def _curvature(w: np.ndarray, a: np.ndarray, c: np.ndarray, m: np.ndarray) -> np.ndarray:
    return a * a / (2 + 2 * np.cosh(a * w)) + m * c * c / (2 + 2 * np.cosh(c * w))


def _rounds(a: np.ndarray, c: np.ndarray, m: np.ndarray, ratio: np.ndarray) \
        -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How far runs of period two stay from the minimiser, 0 where they do not; w, w* and η."""
    low, high = np.full(a.size, -60.0), np.full(a.size, 60.0)
    with np.errstate(over="ignore", invalid="ignore"):
        # the minimiser by bisection, all side by side
        for _ in range(80):
            at = (low + high) / 2
            up = _slope(at, a, c, m) > 0
            low, high = np.where(up, low, at), np.where(up, at, high)
        best = (low + high) / 2
        eta = ratio / _curvature(best, a, c, m)
        w = np.zeros(a.size)
        for _ in range(STEPS):
            w = w - eta * _slope(w, a, c, m)
        v = w - eta * _slope(w, a, c, m)
        again = v - eta * _slope(v, a, c, m)
    # a round of two, of unlike points, neither of them the minimiser
    off = np.minimum(np.abs(w - best), np.abs(v - best))
    closed = (np.abs(again - w) < 1e-10 * (1 + np.abs(w))) & (np.abs(w - v) > 1e-3)
    return np.where(closed & (off > 1e-3), off, 0.0), w, best, eta


def _one(problem: Problem) -> tuple[float, float, float, float]:
    found = _rounds(*(np.array([x]) for x in problem))
    return tuple(float(x[0]) for x in found)                 # type: ignore[return-value]


def violation(problem: Problem) -> float:
    """How far from the minimiser the run goes round."""
    return _one(problem)[0]


def smaller(problem: Problem) -> Iterator[Problem]:
    """Fewer points, smaller ones, a shorter step."""
    a, c, m, ratio = problem
    for b, d, k in ((a, c, m - 8), (a, c, m - 1), (a - 4, c, m), (a - 1, c, m), (a, c - 1, m),
                    (a - 1, c, m - 1), (a - 1, c, m - 3), (a - 2, c, m - 6)):
        if b >= 1 and d >= 1 and k >= 1:
            yield b, d, k, ratio
    # (at 1.02 and less none is known)
    if ratio > 1.25:
        yield a, c, m, round(ratio - 0.05, 2)


def prove(problem: Problem) -> dict[str, Any] | None:
    """A box that two steps map into itself."""
    a, c, m, _ = problem
    _, w, best, eta = _one(problem)
    near = Fraction(best).limit_denominator(10 ** 12)
    # of λ enough digits are taken to keep ηλ under 2
    return {"kind": KIND, "z": [[str(a), 1], [str(-c), m]],
            "step": str(Fraction(eta).limit_denominator(10 ** 9)),
            "minimiser": [str(near - Fraction(1, 10 ** 9)), str(near + Fraction(1, 10 ** 9))],
            "box": [str(Fraction(w).limit_denominator(10 ** 12)), str(Fraction(1, 10 ** 6))]}


def check(document: Mapping[str, Any]) -> None:
    """The minimiser by a change of sign, ηλ < 2 there, and two steps by the mean value theorem."""
    z = [(Fraction(x), int(n)) for x, n in document["z"]]
    eta = Fraction(document["step"])
    low, high = (Fraction(x) for x in document["minimiser"])
    centre, radius = (Fraction(x) for x in document["box"])
    demand(all(n >= 1 for _, n in z) and eta > 0 and radius > 0,
           "counts, step and box are positive")

    def slope(w: Interval) -> Interval:
        return total([Interval.of(-x * n, BITS) / ((w * x).exp() + 1) for x, n in z])

    def curvature(w: Interval) -> Interval:
        # x² p (1 − p) = x²/(e^{xw} + 2 + e^{−xw})
        return total([Interval.of(x * x * n, BITS) / ((w * x).exp() + (w * -x).exp() + 2)
                      for x, n in z])

    left, right = Interval.of(low, BITS), Interval.of(high, BITS)
    demand(slope(left) < 0 and Interval.of(0, BITS) < slope(right),
           "the slope changes its sign where the minimiser is said to be")
    # L is convex, so that there is no other
    around = Interval(left.low, right.high, BITS)
    demand(curvature(around) * eta < 2, "the step is below 2/lambda")
    box = Interval.of(centre, BITS).around(radius)
    at, where, factor = Interval.of(centre, BITS), box, Interval.of(1, BITS)
    for k in range(2):
        factor = factor * (Interval.of(1, BITS) - curvature(where) * eta)
        at, where = at - slope(at) * eta, where - slope(where) * eta
        demand(where.apart(around), f"after step {k + 1} it is away from the minimiser")
        if k == 0:
            demand(where.apart(box), "a step leads out of the box")
    moved = at + factor * (box - centre)
    demand(moved.inside(box), "two steps lead into the box")
    demand(factor.size < 1, "two steps draw points together")
