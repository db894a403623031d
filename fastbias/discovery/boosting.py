"""AdaBoost, which is coordinate descent with exact line search, may stay under the largest margin.

On a matrix M of ±1 its weights q, Σq = 1, go by a rational map: with the column of the largest edge
r = |Σ_n q_n M_nj|, q_n ← q_n/(1 + r s M_nj). Where it goes round, a box about one of its points is
mapped into itself by whole rounds, always by the same columns; that bounds all margins to come.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.discovery.checking import demand
from fastbias.discovery.intervals import Interval, total
from fastbias.discovery.rational import numbers, product, read, written

__all__ = ["KIND", "check", "draw", "prove", "smaller", "violation"]

KIND = "AdaBoost stays under the largest margin"
TRIALS = 1500
SHAPES = (10, 8), (10, 10), (12, 8)
STEPS = 400
LEAST = 5e-3          # by which a margin must be short
LONGEST = 400         # steps of a round, or of several that are taken as one
BITS = 3000           # a step may cost some bits
BURN = 500            # steps from even weights to the box
EXACT = 10            # of which so many are done in fractions, where columns may tie
Problem = np.ndarray


def draw(rng: np.random.Generator) -> Problem:
    """The worst of some thousand matrices, run side by side."""
    M = rng.choice([-1.0, 1.0], (TRIALS, *SHAPES[int(rng.integers(len(SHAPES)))]))
    margin, most = _margins(M)
    # no margin is above the largest edge of any weights, here of the mean of all late ones
    some = np.flatnonzero((margin > 0.01) & (most - margin > LEAST))
    short = {int(k): _largest(M[k]) - margin[k] for k in some}
    order = sorted(short, key=lambda k: -short[k])[:20]
    # of those that are far from the largest margin, the first that goes round
    good = (M[k] for k in order if short[k] > LEAST and violation(M[k]) > 0)
    return next(good, M[order[0]] if order else M[0])


def _margins(M: np.ndarray, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """The margins that late rounds of AdaBoost make, (K,), 0 where it ends early; and a bound on
    all margins.
    """
    K, N, _ = M.shape
    q, row = np.full((K, N), 1.0 / N), np.arange(K)
    gained, length, mean = np.zeros((K, N)), np.zeros(K), np.zeros((K, N))
    alive = np.ones(K, bool)
    for t in range(steps):
        edges = np.einsum("kn,knd->kd", q, M)
        # (ties go to the first, and are decided with a tolerance, as everywhere here)
        size = np.abs(edges)
        j = np.argmax(size >= (1 - 1e-12) * size.max(axis=1, keepdims=True), axis=1)
        r = edges[row, j]
        alive &= np.abs(r) < 1 - 1e-9
        r = np.where(alive, r, 0.0)
        column = M[row, :, j]
        q = q / (1 + r[:, None] * column)
        q /= q.sum(axis=1, keepdims=True)
        if t >= steps // 2:
            alpha = np.arctanh(r)
            gained, length = gained + alpha[:, None] * column, length + np.abs(alpha)
            mean = mean + q
    with np.errstate(invalid="ignore", divide="ignore"):
        margin = gained.min(axis=1) / length
    mean = mean / mean.sum(axis=1, keepdims=True)
    most = np.abs(np.einsum("kn,knd->kd", mean, M)).max(axis=1)
    return np.where(alive & (length > 0), margin, 0.0), most


def _largest(M: Problem) -> float:
    """The largest ℓ1 margin."""
    w = _widest(M)
    return 0.0 if w is None else float((M @ w).min())


def _widest(M: Problem) -> np.ndarray | None:
    """w, ‖w‖₁ ≤ 1, of the largest margin, by linear programming."""
    N, d = M.shape
    A = np.hstack([-M, M, np.ones((N, 1))])
    found = foreign.ask("the largest margin", "scipy.optimize.linprog",
                        np.r_[np.zeros(2 * d), -1.0], A_ub=np.vstack([A, np.r_[np.ones(2 * d), 0]]),
                        b_ub=np.r_[np.zeros(N), 1.0], bounds=[(0, None)] * (2 * d) + [(None, None)],
                        method="highs-ds")
    return None if found.status else found.x[:d] - found.x[d:2 * d]


def violation(problem: Problem) -> float:
    """By how much the margin of its rounds falls short of the largest; 0 where there are none."""
    if min(problem.shape) < 2:
        return 0.0
    # (a round is some hundred steps, a proof some seconds: what costs less is asked first)
    length, margin = _round(problem)
    short = _largest(problem) - margin if length and margin > 0 else 0.0
    return short if short > LEAST else 0.0


def smaller(problem: Problem) -> Iterator[Problem]:
    """A row or a column less."""
    for axis in (0, 1):
        for k in range(problem.shape[axis]):
            yield np.delete(problem, k, axis=axis)


def prove(problem: Problem) -> dict[str, Any] | None:
    """A box about a late point, the period, and how many rounds are one."""
    w = _widest(problem)
    if w is None:
        return None
    # a vertex: brought to fractions by their size
    exact = [Fraction(float(x)).limit_denominator(1000) for x in w]
    size = sum(map(abs, exact))
    exact = [x / size for x in exact]
    margin = min(product([numbers(row) for row in problem], exact))
    length = _round(problem)[0]
    if not length or margin <= 0:
        return None
    return {"kind": KIND, "M": [[int(x) for x in row] for row in problem], "steps": BURN,
            "round": length, "radius": str(Fraction(1, 10 ** 10)),
            "w": written(exact), "margin": str(margin)}


def _step(M: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, int, int]:
    edges = q @ M
    size = np.abs(edges)
    j = int(np.argmax(size >= (1 - 1e-12) * size.max()))
    return q / (1 + edges[j] * M[:, j]), j, 1 if edges[j] > 0 else -1


def _round(M: np.ndarray) -> tuple[int, float]:
    """How many steps bring groups of rows back and nearer to each other, after some, and the margin
    that they make; or 0.

    Rows that are alike on the columns used share their weight in a ratio that stays, and count as
    one group.
    """
    q, used = np.full(len(M), 1.0 / len(M)), []
    with np.errstate(all="ignore"):
        for _ in range(BURN):
            q = _step(M, q)[0]
            q = q / q.sum()
        x = q
        for _ in range(LONGEST):
            x, j, _ = _step(M, x)
            x = x / x.sum()
            used.append(j)
    # (it ends where a column is right everywhere)
    if not np.isfinite(x).all():
        return 0, 0.0
    patterns, group = np.unique(M[:, sorted(set(used))], axis=0, return_inverse=True)
    first = [int(np.flatnonzero(group == g)[0]) for g in range(len(patterns))]
    start = np.bincount(group, weights=q)
    x, jacobian = start, np.eye(start.size) - 1.0 / start.size
    gained, length = np.zeros(len(M)), 0.0
    for k, j in enumerate(used):
        column = M[first, j]
        r, s = float(x @ column), x
        if abs(r) >= 1:
            break
        gained, length = gained + np.arctanh(r) * M[:, j], length + abs(float(np.arctanh(r)))
        x = s / (1 + r * column)
        jacobian = (np.diag(1 / (1 + r * column))
                    - np.outer(s * column / (1 + r * column) ** 2, column)) @ jacobian
        if np.abs(jacobian).sum(axis=1).max() < 0.5 and np.abs(x - start).max() < 1e-11:
            return k + 1, float(gained.min()) / length
    return 0, 0.0


def check(document: Mapping[str, Any]) -> None:
    """Exact steps from even weights into a box, rounds that keep it, and the margins they make."""
    M = [[int(x) for x in row] for row in document["M"]]
    demand({abs(x) for row in M for x in row} == {1}, "the matrix is one of signs")
    w, gamma = read(document["w"]), Fraction(document["margin"])
    demand(sum(map(abs, w)) <= 1 and min(product([numbers(row) for row in M], w)) >= gamma > 0,
           "w has the margin")
    point = _run(M, int(document["steps"]))
    grouped = _grouped(M, point, int(document["round"]))
    radius = Fraction(document["radius"])
    demand(radius > 0, "the box has a size")
    box = [Interval.of(x.middle, BITS).around(radius) for x in grouped.weights]
    demand(all(p.inside(b) for p, b in zip(grouped.weights, box, strict=True)),
           "the run comes into the box")
    # (weights are positive)
    box = [Interval(max(x.low, 0), x.high, BITS) for x in box]
    used = _around(M, grouped, box, int(document["round"]))
    _short(grouped, used, gamma)


@dataclass(frozen=True)
class _Groups:
    """Rows that are alike on the columns in use: their common signs there, the edges that a unit of
    their weight gives each column, and their weights.
    """

    columns: set[int]
    signs: list[list[int]]
    shares: list[list[Interval]]
    weights: list[Interval]


def _grouped(M: list[list[int]], point: list[Interval], length: int) -> _Groups:
    """The groups of a run from here; the ratio of weights in each stays as it is here."""
    q, columns = point, set()
    for _ in range(length):
        j, r = _chosen(_edges(M, q), M)
        columns.add(j)
        q = [x / (r * row[j] + 1) for x, row in zip(q, M, strict=True)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for n, row in enumerate(M):
        groups.setdefault(tuple(row[j] for j in sorted(columns)), []).append(n)
    weights = [total([point[n] for n in rows]) for rows in groups.values()]
    shares = []
    for rows, weight in zip(groups.values(), weights, strict=True):
        ratios = [point[n] / weight for n in rows]
        # (on columns in use a unit of weight gives exactly one, with its sign)
        shares.append([Interval.of(M[rows[0]][j], BITS) if j in columns
                       else total([x * M[n][j] for x, n in zip(ratios, rows, strict=True)])
                       for j in range(len(M[0]))])
    return _Groups(columns, [M[rows[0]] for rows in groups.values()], shares, weights)


def _edges(M: list[Any], q: list[Any]) -> list[Any]:
    """Σ_n q_n M_nj for each column."""
    edges = []
    for j in range(len(M[0])):
        value = q[0] * M[0][j]
        for x, row in zip(q[1:], M[1:], strict=True):
            value = value + x * row[j]
        edges.append(value)
    return edges


def _run(M: list[list[int]], steps: int) -> list[Interval]:
    """Weights after so many steps from even ones; the first few in fractions, for ties."""
    exact = [Fraction(1, len(M))] * len(M)
    for _ in range(EXACT):
        edges = _edges(M, exact)
        j = max(range(len(edges)), key=lambda j: abs(edges[j]))
        demand(abs(edges[j]) < 1, "no column is right everywhere")
        exact = [x / (1 + edges[j] * row[j]) for x, row in zip(exact, M, strict=True)]
    q = [Interval.of(x, BITS) for x in exact]
    for _ in range(steps - EXACT):
        j, r = _chosen(_edges(M, q), M)
        q = [x / (r * row[j] + 1) for x, row in zip(q, M, strict=True)]
    return q


def _chosen(edges: list[Interval], M: list[list[int]]) -> tuple[int, Interval]:
    """The column whose edge is the largest for all weights of a box, and its edge."""
    sizes = [e if e.low > 0 else -e for e in edges]
    j = max(range(len(edges)), key=lambda j: (sizes[j].low, -j))
    # (columns that are the same, or each other's negative, are one)
    twins = [all(row[i] == row[j] for row in M) or all(row[i] == -row[j] for row in M)
             for i in range(len(edges))]
    demand(all(twin or edge.size < sizes[j].ends[0]
               for edge, twin in zip(edges, twins, strict=True)), "one column is the steepest")
    first = twins.index(True)
    return first, edges[first]


def _around(M: list[list[int]], groups: _Groups, box: list[Interval],
            length: int) -> list[tuple[int, int, Interval]]:
    """Follow the box for a round, by the mean value theorem; the columns, their signs and edges."""
    signs, size = groups.signs, len(box)
    # differences of weights add up to 0, so that what all entries share may be taken out
    J = [[Interval.of(x, BITS) for x in row] for row in _centring(size)]
    start = [b - c for b, c in zip(box, groups.weights, strict=True)]
    # the middle goes as a point, with the little that is not known of it
    centre, where, used = groups.weights, box, []
    for _ in range(length):
        j, r = _chosen(_edges(groups.shares, where), M)
        demand(j in groups.columns, "the columns are those of the run")
        used.append((j, 1 if r.low > 0 else -1, r))
        J = _derived(J, [row[j] for row in signs], where, r)
        at = _edges(groups.shares, centre)[j]
        # what the middle becomes is known to all digits, what the box does by the derivative
        centre = [x / (at * row[j] + 1) for x, row in zip(centre, signs, strict=True)]
        where = [_reached(c, row, start) for c, row in zip(centre, J, strict=True)]
    demand(all(map(_within, where, box)), "whole rounds lead into the box")
    return used


def _centring(size: int) -> list[list[Fraction]]:
    """The matrix that takes the mean out of a vector."""
    even = Fraction(1, size)
    return [[(i == k) - even for k in range(size)] for i in range(size)]


def _reached(centre: Interval, slopes: list[Interval], start: list[Interval]) -> Interval:
    """Where a weight may be: by the mean value theorem, and positive."""
    x = centre + total([a * b for a, b in zip(slopes, start, strict=True)])
    return Interval(max(x.low, 0), x.high, BITS)


def _within(x: Interval, box: Interval) -> bool:
    """Whether it is in the interior, among numbers that are not negative."""
    return x.high < box.high and (x.low > box.low or box.low == 0)


def _derived(J: list[list[Interval]], column: list[int], q: list[Interval],
             r: Interval) -> list[list[Interval]]:
    """The derivative after one more step: that of q_n/(1 + r M_nj), r = Σ q_k M_kj, times J."""
    along = [total([row[i] * m for row, m in zip(J, column, strict=True)]) for i in range(len(q))]
    share = [r * m + 1 for m in column]
    return [[J[n][i] / share[n] - q[n] * along[i] * m / (share[n] * share[n])
             for i in range(len(q))] for n, m in enumerate(column)]


def _short(groups: _Groups, used: list[tuple[int, int, Interval]], gamma: Fraction) -> None:
    """A row whose margin rounds leave under γ = a/b: Π ((1 + r)/(1 − r))^(b s M − a) < 1."""
    signs = {j: s for j, s, _ in used}
    demand(all(signs[j] == s for j, s, _ in used), "each column keeps its sign")
    top, bottom = gamma.numerator, gamma.denominator
    below = False
    for row in groups.signs:
        value = Interval.of(1, BITS)
        for j, s, r in used:
            r = r if s > 0 else -r
            ratio = (r + 1) / (Interval.of(1, BITS) - r)
            exponent = bottom * s * row[j] - top
            for _ in range(abs(exponent)):
                value = value * ratio if exponent > 0 else value / ratio
        below = below or value < 1
    demand(below, "some row stays under the margin")
