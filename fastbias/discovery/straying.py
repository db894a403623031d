"""Primal momentum, eq. (8), leaves the Bregman projection: where a run on the entropy ends.

One equation x₁w₁ + x₂w₂ = y of whole numbers, from w₀ = (1, 1) = argmin ψ. The projection on it has
log w = νx, so that w₁^x₂ = w₂^x₁. A run is followed in intervals up to a time T. From there on r =
⟨x, w⟩ − y and d = w_t − w_{t−1} go by

    d_i' = β d_i − (w_i + β d_i)(1 − e^{−a_i}),   a_i = 2η x_i (r + γ⟨x, d⟩),   r' = r + ⟨x, d'⟩,

a product with a matrix whose entries are enclosed as long as w stays in a box. If any so many of
them in a row at least halve (r, d), all moves to come add up to less than the box is wide.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from fastbias.discovery.checking import demand
from fastbias.discovery.intervals import Interval, total
from fastbias.discovery.rational import read

__all__ = ["KIND", "check", "draw", "prove", "smaller", "violation"]

KIND = "primal momentum ends off the projection"
LARGEST = 5           # of x and y
TRIALS, STEPS = 100, 1500
LEAST = 1e-3          # of |x₂ log w₁ − x₁ log w₂|/‖x‖ of an end that counts
BITS = 200, 3         # and what a step costs of them, at most
ROWS = 120            # matrices in a row that are to halve (r, d)
RADIUS = Fraction(1, 10 ** 6)
Problem = tuple[int, int, int, Fraction, Fraction, Fraction]
"""x₁, x₂, y, η, β, γ."""
Matrix = list[list[Interval]]


def draw(rng: np.random.Generator) -> Problem:
    """Small numbers."""
    x1, x2, y = (int(n) for n in rng.integers(1, LARGEST + 1, 3))
    eta = Fraction(1, int(2 ** rng.integers(2, 7)))
    beta, gamma = (Fraction(int(n), 4) for n in rng.integers((1, 0), 4))
    return x1, x2, y, eta, beta, gamma


def _end(problem: Problem, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """w and the last move, in floats; NaN where the run leaves the domain."""
    x = np.array(problem[:2], float)
    y, eta, beta, gamma = (float(value) for value in problem[2:])
    w, d = np.ones(2), np.zeros(2)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            at = w + beta * d
            if not (at > 0).all():
                return w * np.nan, d
            fresh = at * np.exp(-2 * eta * x * (x @ (w + gamma * d) - y))
            w, d = fresh, fresh - w
    return w, d


def violation(problem: Problem) -> float:
    """How far off the projection the run ends: |x₂ log w₁ − x₁ log w₂|/‖x‖₂, 0 there."""
    w, d = _end(problem)
    x, y = problem[:2], problem[2]
    if not np.isfinite(w).all() or abs(x[0] * w[0] + x[1] * w[1] - y) > 1e-9 or w.min() <= 0:
        return 0.0
    off = abs(float(x[1] * np.log(w[0]) - x[0] * np.log(w[1]))) / float(np.hypot(*x))
    return off if off > LEAST and np.abs(d).max() < 1e-9 else 0.0


def smaller(problem: Problem) -> Iterator[Problem]:
    """Smaller numbers, no γ, halves for quarters."""
    *numbers, eta, beta, gamma = problem
    for k in range(3):
        if numbers[k] > 1:
            fewer = [n - (i == k) for i, n in enumerate(numbers)]
            yield (*fewer, eta, beta, gamma)                 # type: ignore[misc]
    x1, x2, y = numbers
    if gamma:
        yield x1, x2, y, eta, beta, Fraction(0)
    for fraction in (Fraction(1, 2), Fraction(1, 4)):
        if beta.denominator > fraction.denominator:
            yield x1, x2, y, eta, fraction, gamma


def prove(problem: Problem) -> dict[str, Any] | None:
    """After how many steps a box is enough."""
    for steps in (50, 100, 200, 400):
        w, d = _end(problem, steps)
        off = abs(problem[0] * w[0] + problem[1] * w[1] - problem[2])
        if max(off, np.abs(d).max()) < 1e-3 * float(RADIUS):
            return {"kind": KIND, "x": list(problem[:2]), "y": problem[2], "steps": steps,
                    "rows": ROWS, "radius": str(RADIUS),
                    **{name: str(value) for name, value in
                       zip(("step", "beta", "gamma"), problem[3:], strict=True)}}
    return None


def check(document: Mapping[str, Any]) -> None:
    """Steps in intervals, a box that is not left, and no projection in it."""
    x, y = [int(n) for n in document["x"]], int(document["y"])
    eta, beta, gamma, radius = read(document[name] for name in ("step", "beta", "gamma", "radius"))
    demand(len(x) == 2 and min(*x, y) > 0 and eta > 0 and min(beta, gamma) >= 0 and radius > 0,
           "the numbers are positive")
    w, d = _followed(x, y, (eta, beta, gamma), int(document["steps"]))
    # as wide as what is not known of w, and the radius
    box = [v.around(radius) for v in w]
    demand(all(v.low > 0 for v in box), "the box is inside the domain")
    _held(x, y, (eta, beta, gamma), w, d, radius, int(document["rows"]))
    sides = [_power(box[0], x[1]), _power(box[1], x[0])]
    demand(sides[0].apart(sides[1]), "the projection is not in the box")


def _power(v: Interval, n: int) -> Interval:
    value = v
    for _ in range(n - 1):
        value = value * v
    return value


def _followed(x: list[int], y: int, rates: tuple[Fraction, ...],
              steps: int) -> tuple[list[Interval], list[Interval]]:
    """Where the run is, and its last move."""
    eta, beta, gamma = rates
    bits = BITS[0] + BITS[1] * steps
    w, d = [Interval.of(1, bits)] * 2, [Interval.of(0, bits)] * 2
    for t in range(steps):
        at = [v + move * beta for v, move in zip(w, d, strict=True)]
        demand(all(v.low > 0 for v in at), f"step {t} stays in the domain")
        off = total([(v + move * gamma) * n for v, move, n in zip(w, d, x, strict=True)]) - y
        fresh = [v * (off * (-2 * eta * n)).exp() for v, n in zip(at, x, strict=True)]
        w, d = fresh, [a - b for a, b in zip(fresh, w, strict=True)]
    return w, d


def _held(x: list[int], y: int, rates: tuple[Fraction, ...], w: list[Interval], d: list[Interval],
          radius: Fraction, rows: int) -> None:
    """All moves to come add up to less than the radius."""
    off = total([v * n for v, n in zip(w, x, strict=True)]) - y
    size = max(off.size, *(v.size for v in d))
    step = _matrix(x, rates, [v.around(radius) for v in w], radius)
    power: Matrix = [[Interval.of(int(i == j), w[0].bits) for j in range(3)] for i in range(3)]
    sums = Fraction(0)
    for _ in range(rows):
        sums += _largest(power)
        power = [[total([a * b for a, b in zip(row, column, strict=True)])
                  for column in zip(*power, strict=True)] for row in step]
    demand(_largest(power) <= Fraction(1, 2), "so many steps halve (r, d)")
    # a geometric series of blocks, of which none is more than the radius that the matrix builds on
    demand(2 * sums * size < radius, "all moves to come are inside the box")


def _matrix(x: list[int], rates: tuple[Fraction, ...], box: list[Interval],
            radius: Fraction) -> Matrix:
    """What takes (r, d) to the next, for all w in the box, while neither is above the radius."""
    eta, beta, gamma = rates
    a = [2 * eta * n * radius * (1 + gamma * sum(x)) for n in x]
    demand(max(a) < 1, "the moves are short")
    M = []
    for i, n in enumerate(x):
        # |(1 − e^{−a})/a − 1| ≤ |a|/(1 − |a|)
        spread = Interval.of(1, box[i].bits).around(a[i] / (1 - a[i]))
        share = box[i].around(beta * radius) * spread * (2 * eta * n)
        M.append([-share] + [-share * (gamma * m) + (beta if j == i else 0)
                             for j, m in enumerate(x)])
    # r' = r + ⟨x, d'⟩
    return [[total([row[j] * n for row, n in zip(M, x, strict=True)]) + (j == 0)
             for j in range(3)], *M]


def _largest(A: Matrix) -> Fraction:
    """‖A‖∞ of all in it, at most."""
    return max(row[0].size + row[1].size + row[2].size for row in A)
