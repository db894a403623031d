"""Revealed preference: which choices contradict each other, and whether one function explains them.

Choices w_k from the solutions of problems k. If w_k is the only minimiser of a convex R over them,
there are R_k and multipliers ν_k with R_j > R_k + ν_kᵀ(X_k w_j − y_k) for all w_j ≠ w_k (ν_k ≥ 0,
and 0 where there is slack, if the solutions are X_k w ≥ y_k); and if there are, max_k R_k +
ν_kᵀ(X_k w − y_k), with a little ‖w − w_k‖² in each, is such an R (Afriat 1967). By Farkas' lemma
there are none iff some μ_kj ≥ 0, not all 0, balance, Σ_j μ_kj = Σ_j μ_jk, with
X_k Σ_j μ_kj (w_j − w_k) = 0 (≥ 0 at rows without slack). A circle of choices of which each was
available where the next was made is the simplest case.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.discovery.choosing import Choice
from fastbias.discovery.rational import (
    Matrix,
    Vector,
    numbers,
    product,
    projected,
    rounded,
    solve,
    written,
)

__all__ = ["Relation", "explained", "refuted", "related"]

Document = dict[str, Any]

TINY = 1e-9           # multipliers of a linear program that count as 0


@dataclass(frozen=True)
class Relation:
    """What choices say of each other.

    ``over[k, j]``: w_j was available where w_k was chosen; ``apart[k, j]``: their distance, and
    ``same[k, j]``: it is within what is known of them.
    """

    over: np.ndarray
    apart: np.ndarray
    same: np.ndarray

    def cycle(self, pairs: bool) -> tuple[list[int], float]:
        """The circle of unlike choices, each available where the one before was chosen, that holds
        the largest distance, and that; pairs alone, or circles of any length.
        """
        best: tuple[list[int], float] = [], 0.0
        reach = self.over if pairs else _closure(self.over)
        mutual = reach & reach.T & ~self.same
        if mutual.any():
            k, j = np.unravel_index(np.argmax(np.where(mutual, self.apart, 0)), mutual.shape)
            circle = _way(self.over, int(k), int(j)) + _way(self.over, int(j), int(k))
            best = circle, float(self.apart[k, j])
        return best


def related(choices: Sequence[Choice]) -> Relation:
    """Who was available to whom, and how far apart they are."""
    over = np.array([[a is b or a.available(b) for b in choices] for a in choices])
    apart = np.array([[a.distance(b) for b in choices] for a in choices])
    doubt = np.array([[a.doubt(b) for b in choices] for a in choices])
    return Relation(over, apart, apart <= doubt)


def _closure(over: np.ndarray) -> np.ndarray:
    """Who is reached by a chain."""
    reach = over.copy()
    for k in range(len(reach)):
        reach |= np.outer(reach[:, k], reach[k])
    return reach


def _way(over: np.ndarray, start: int, end: int) -> list[int]:
    """A shortest chain from start to end, without the end."""
    before, line = {start: start}, [start]
    for k in line:
        for j in np.flatnonzero(over[k]).tolist():
            if j not in before:
                before[j] = k
                line.append(j)
    chain = [end]
    while chain[-1] != start:
        chain.append(before[chain[-1]])
    return chain[:0:-1]


def _merged(relation: Relation) -> list[list[int]]:
    """Choices that cannot be told apart, in groups."""
    groups: list[list[int]] = []
    for k in range(len(relation.same)):
        home = next((g for g in groups if relation.same[g, k].any()), None)
        if home is None:
            groups.append([k])
        else:
            home.append(k)
    return groups


def _program(choices: Sequence[Choice], points: np.ndarray, home: np.ndarray) \
        -> tuple[list[tuple[int, int]], Any]:
    """max t ≤ 1 with R_j − R_k − ν_kᵀ(A_k w_j − b_k) ≥ t for the unlike points j of problem k."""
    sparse = foreign.library("scipy.sparse")
    # variables: R of each point, ν of each problem, t
    sizes = [len(c.y) for c in choices]
    first = len(points) + np.concatenate([[0], np.cumsum(sizes)])
    pairs = [(k, j) for k in range(len(choices)) for j in range(len(points)) if j != home[k]]
    rows, columns, values = [], [], []
    # each pair is a row of few entries
    for i, (k, j) in enumerate(pairs):
        A, b = choices[k].rows
        entries = [(j, -1.0), (int(home[k]), 1.0), (first[-1], 1.0)]
        entries += [(first[k] + n, x) for n, x in enumerate(A @ points[j] - b)]
        rows += [i] * len(entries)
        columns += [column for column, _ in entries]
        values += [value for _, value in entries]
    A_ub = sparse.csr_matrix((values, (rows, columns)), shape=(len(pairs), first[-1] + 1))
    cost = np.zeros(first[-1] + 1)
    cost[-1] = -1.0
    free: list[tuple[float | None, float | None]] = [(None, None)] * len(points)
    free += [(None, None)] * sum(sizes)
    found = foreign.ask("an explanation of the choices", "scipy.optimize.linprog", cost, A_ub=A_ub,
                        b_ub=np.zeros(len(pairs)), bounds=[*free, (None, 1.0)], method="highs")
    return pairs, found


def explained(choices: Sequence[Choice], relation: Relation) -> Document | None:
    """A proof that one convex function explains the choices, or that none does; None where neither
    could be made exact.
    """
    # (of directions only circles: which rows have no slack is nothing that rounding leaves alone)
    if choices[0].direction:
        return None
    groups = _merged(relation)
    home = _homes(groups, len(choices))
    exact = _all([_common([choices[k] for k in g]) for g in groups])
    if exact is None:
        return None
    at = np.array([[float(x) for x in p] for p in exact])
    pairs, found = _program(choices, at, home)
    if found.status != 0:
        return None
    x = found.x
    document = _document(choices, [exact[h] for h in home])
    # the best t is 1, or 0: whatever explains the choices may be multiplied
    if x[-1] > 0.5:
        nu = np.split(x[len(exact):-1], np.cumsum([len(c.y) for c in choices])[:-1])
        return document | {"kind": "one convex function explains these choices",
                           "values": written(rounded(x[home])),
                           "multipliers": [written(rounded(v)) for v in nu]}
    weights = -found.ineqlin.marginals
    kept = [(k, j, mu) for (k, j), mu in zip(pairs, weights, strict=True) if mu > TINY]
    member = [g[0] for g in groups]
    exactly = _balanced(document, [(k, member[j], m) for k, j, m in kept])
    return None if exactly is None else document | exactly


def _homes(groups: list[list[int]], count: int) -> np.ndarray:
    """The group of each choice."""
    home = np.zeros(count, int)
    for i, members in enumerate(groups):
        home[members] = i
    return home


def _all(points: list[Vector | None]) -> list[Vector] | None:
    """The points, where none is missing."""
    found = [p for p in points if p is not None]
    return found if len(found) == len(points) else None


def _balanced(document: Document, kept: list[tuple[int, int, float]]) \
        -> Document | None:
    """Farkas' multipliers over the rationals, on the pairs that a linear program left."""
    problems, chosen = _numbers_of(document)
    # choices that are the same point share its balance
    heads = [chosen.index(w) for w in chosen]
    equations: Matrix = []
    for h in set(heads):
        equations.append([Fraction((heads[k] == h) - (heads[j] == h)) for k, j, _ in kept])
    for k, (X, _) in enumerate(problems):
        for row in X:
            equations.append([sum((r * (a - b) for r, a, b in zip(row, chosen[j], chosen[k],
                                                                  strict=True)), Fraction(0))
                              if source == k else Fraction(0) for source, j, _ in kept])
    equations.append([Fraction(1)] * len(kept))
    mu = solve(equations, [Fraction(0)] * (len(equations) - 1) + [Fraction(1)])
    if mu is None or min(mu) < 0:
        return None
    return {"kind": "no convex function explains these choices",
            "multipliers": [[k, j, str(m)] for (k, j, _), m in zip(kept, mu, strict=True) if m]}


def refuted(choices: Sequence[Choice], circle: Sequence[int]) -> Document | None:
    """A proof, by a circle of choices, that no convex function explains them.

    Each is brought to the nearest rational point that was available exactly where it has to be.
    """
    members = [choices[k] for k in circle]
    points = _all([_common([c, members[i - 1]]) for i, c in enumerate(members)])
    # (rounding might make two of them one)
    if points is None or any(points[i] == points[i - 1] for i in range(len(points))):
        return None
    links = [[i, (i + 1) % len(circle), "1"] for i in range(len(circle))]
    return _document(members, points) | {"kind": "no convex function explains these choices",
                                         "multipliers": links}


def _common(sources: Sequence[Choice]) -> Vector | None:
    """The first one's choice as a rational solution of all the problems."""
    if sources[0].direction:
        return _scaled(sources)
    equations, right = [], []
    for c in sources:
        equations += [numbers(row) for row in c.X]
        right += numbers(c.y)
    return projected(rounded(sources[0].w), equations, right)


def _scaled(sources: Sequence[Choice]) -> Vector | None:
    """The first one's direction, with least margin exactly 1 there, and 1 or more elsewhere."""
    w = rounded(sources[0].w)
    margins = [min(product([numbers(row) for row in c.rows[0]], w)) for c in sources]
    if margins[0] <= 0:
        return None
    # least margin 1, exactly
    w = [x / margins[0] for x in w]
    return w if all(m >= margins[0] for m in margins) else None


def _document(choices: Sequence[Choice], points: Sequence[Vector]) -> Document:
    moved = [float(np.linalg.norm([float(x) for x in p] - c.w))
             for p, c in zip(points, choices, strict=True)]
    return {"solutions": "Xw >= y" if choices[0].direction else "Xw = y",
            "problems": [{"X": [written(numbers(row)) for row in c.rows[0]],
                          "y": written(numbers(c.rows[1]))} for c in choices],
            "choices": [written(p) for p in points],
            "measured": [[float(x) for x in c.w] for c in choices],
            # of what was measured from the limit, and of the choices from what was measured
            "radius": max(*moved, *(c.radius for c in choices))}


def _numbers_of(document: Document) -> tuple[list[tuple[Matrix, Vector]], list[Vector]]:
    problems, chosen = document["problems"], document["choices"]
    return ([([[Fraction(x) for x in row] for row in p["X"]],
              [Fraction(x) for x in p["y"]]) for p in problems],
            [[Fraction(x) for x in w] for w in chosen])
