"""Cones in fractions, the slow and obvious way: Carathéodory's theorem, one set of rows after another."""
from fractions import Fraction
from itertools import combinations


def fractions(Z):
    return [[Fraction(float(v)) for v in row] for row in Z]


def solved(rows, goal):
    """The coefficients with which independent rows combine to a goal; None where they are dependent or do not."""
    A = [[row[j] for row in rows] + [goal[j]] for j in range(len(goal))]
    k, top = len(rows), 0
    for j in range(k):
        pivot = next((i for i in range(top, len(A)) if A[i][j]), None)
        if pivot is None:
            return None
        A[top], A[pivot] = A[pivot], A[top]
        A[top] = [v / A[top][j] for v in A[top]]
        A = [row if i == top else [a - row[j] * b for a, b in zip(row, A[top], strict=True)] for i, row in enumerate(A)]
        top += 1
    return None if any(row[-1] for row in A[top:]) else [A[i][-1] for i in range(k)]


def in_cone(rows, goal):
    """Whether a goal is Σ μ z with μ ≥ 0: then some independent rows do it."""
    if not any(goal):
        return True
    for k in range(1, rank(rows) + 1):
        for some in combinations(rows, k):
            mu = solved(some, goal)
            if mu is not None and min(mu) >= 0:
                return True
    return False


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
