"""Cones in fractions, two slow and obvious ways: one set of rows after another (Carathéodory), and a tableau with
Bland's rule.
"""
from fractions import Fraction
from itertools import combinations


def fractions(Z):
    return [[Fraction(float(v)) for v in row] for row in Z]


def solved(rows, goal):
    """The coefficients with which independent rows combine to a goal; None where they are dependent or do not."""
    A = [[row[j] for row in rows] + [goal[j]] for j in range(len(goal))]
    k = len(rows)
    for j in range(k):
        pivot = next((i for i in range(j, len(A)) if A[i][j]), None)
        if pivot is None:
            return None
        A[j], A[pivot] = A[pivot], A[j]
        A[j] = [v / A[j][j] for v in A[j]]
        A = [row if i == j or not row[j] else [a - row[j] * b for a, b in zip(row, A[j], strict=True)]
             for i, row in enumerate(A)]
    return None if any(row[-1] for row in A[k:]) else [A[i][-1] for i in range(k)]


def combined(rows, goal):
    """Whether a goal is Σ μ z with μ ≥ 0: then some independent rows do it."""
    found = (solved(some, goal) for k in range(1, rank(rows) + 1) for some in combinations(rows, k))
    return not any(goal) or any(mu is not None and min(mu) >= 0 for mu in found)


def in_cone(rows, goal):
    """The same by the simplex method: the least Σ a with Σ μ z + a = goal, signs turned so that goal ≥ 0."""
    D, N = len(goal), len(rows)
    T = [[(1 if goal[j] >= 0 else -1) * v for v in [*(row[j] for row in rows), goal[j]]] for j in range(D)]
    basis, costs = [N + j for j in range(D)], [-sum(row[n] for row in T) for n in range(N + 1)]
    while True:
        entering = next((n for n in range(N) if costs[n] < 0), None)
        if entering is None:
            return costs[-1] == 0
        out = min((i for i in range(D) if T[i][entering] > 0),
                  key=lambda i: (T[i][-1] / T[i][entering], basis[i]))
        T[out] = [v / T[out][entering] for v in T[out]]
        for i, row in enumerate(T):
            if i != out and row[entering]:
                T[i] = [a - row[entering] * b if b else a for a, b in zip(row, T[out], strict=True)]
        costs = [a - costs[entering] * b if b else a for a, b in zip(costs, T[out], strict=True)]
        basis[out] = entering


def rank(rows):
    rows, found = [list(row) for row in rows], 0
    for j in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][j]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            factor = rows[i][j] / rows[found][j]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


def strict_rows(Z):
    """Which rows some u with all ⟨u, z⟩ ≥ 0 makes strict: those whose negative is not in the cone of all."""
    distinct = [list(row) for row in dict.fromkeys(map(tuple, Z))]
    told = {tuple(row): not in_cone(distinct, [-v for v in row]) for row in distinct}
    return [told[tuple(row)] for row in Z]


def sign(Z, strict, g):
    """What ⟨u, g⟩ does over all u with all ⟨u, z⟩ ≥ 0."""
    others = [row for row, s in zip(Z, strict, strict=True) if not s]
    if rank([*others, g]) == rank(others):
        return "finite"
    distinct = [list(row) for row in dict.fromkeys(map(tuple, Z))]
    return ("+inf" if in_cone(distinct, g) else "-inf" if in_cone(distinct, [-v for v in g]) else "undetermined")
