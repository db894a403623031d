"""Small starts do not always complete a matrix at its least nuclear norm: where they do end.

Entries y_ij = v_i v_j, (i, j) ∈ Ω, of a matrix of rank one are seen, no v_i is 0, and gradient flow
on UUᵀ and squared loss begins at αI. If Ω is connected and has an odd circle (an entry of the
diagonal is one), then W = UUᵀ ends at vvᵀ as α → 0, whatever its nuclear norm:

- by signs v > 0. The gradient at W = 0 is −(Ω ∘ vvᵀ), whose first eigenvector is positive (Perron)
  and simple, so that W leaves 0 along it and follows the flow of one column u (Li, Luo, Lyu 2021);
- r = u/v has r_i' = Σ_j Ω_ij v_j² r_j(1 − r_i r_j), so that no r leaves a box 1/K ≤ r ≤ K, and as
  the loss falls it tends to points where r' = 0. There, with r_i the largest and r_k the least,
  some neighbour of i has r_i r_j ≤ 1, hence r_i r_k ≤ 1, and one of k has r_k r_j ≥ 1, hence
  r_i r_k ≥ 1. So r_i r_k = 1, no term at i is positive, all are 0, and all neighbours of the
  largest are the least, and the other way round. Along an odd circle both are one: r = 1;
- a zero of a loss that is analytic is stable under its gradient flow (Łojasiewicz).
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.discovery.checking import demand
from fastbias.discovery.rational import Matrix, read, written

__all__ = ["KIND", "check", "draw", "prove", "smaller", "violation"]

KIND = "small starts end above the least nuclear norm"
SIDES = 3, 4
ENTRIES = 3           # of the factors of a matrix lie within ± so many
TRIALS = 200
ALPHA = 1e-5          # of the start
STEPS = 3000
ENDED = 1e-6          # what a run may leave of an entry
LEAST = 1e-2          # relative, what is above the least trace
CUTS = 60             # linear programs for one completion
FINE = 1, 2, 3, 4, 6, 8, 12, 24, 60, 10 ** 4, 10 ** 7      # denominators that are tried in turn
Problem = np.ndarray
"""(n, n), symmetric, NaN where an entry is hidden."""


def draw(rng: np.random.Generator) -> Problem:
    """The worst of some, run side by side: some entries of a matrix of rank one or two."""
    n = int(rng.choice(SIDES))
    B = rng.integers(-ENTRIES, ENTRIES + 1, (TRIALS, n, 2)).astype(float)
    # (of rank one for half of them)
    B[::2, :, 1] = 0
    hidden = np.triu(rng.random((TRIALS, n, n)) < 0.5)
    M = np.where(hidden | hidden.transpose(0, 2, 1), np.nan, B @ B.transpose(0, 2, 1))
    ends = _ends(M)
    for k in np.flatnonzero(np.isfinite(ends)):
        if _above(M[k], ends[k]) > LEAST:
            return M[k]
    return M[0]


def _ends(M: np.ndarray) -> np.ndarray:
    """The traces of UUᵀ, (K,), where small steps from αI end; NaN where they have not."""
    seen = np.isfinite(M)
    y = np.where(seen, M, 0.0)
    size = np.abs(y).sum(axis=2).max(axis=1)[:, None, None]
    rate = 0.1 / np.maximum(size, 1.0)
    U = np.broadcast_to(ALPHA * np.eye(M.shape[1]), M.shape).copy()
    left = np.full(len(M), np.inf)
    for t in range(STEPS):
        off = np.where(seen, y - U @ U.transpose(0, 2, 1), 0.0)
        U += rate * (off @ U)
        if t % 50 == 0:
            left = rate[:, 0, 0] * np.abs(off).max(axis=(1, 2))
            if left.max() < ENDED:
                break
    return np.where(left < ENDED, (U * U).sum(axis=(1, 2)), np.nan)


def _above(M: Problem, end: float) -> float:
    """How much more than the least trace a completion has, relative."""
    least = _completed(M)
    return 0.0 if least is None or end < ENDED else end / max(float(np.trace(least)), ENDED) - 1


def _completed(M: Problem, trace: float | None = None) -> np.ndarray | None:
    """The completion W ⪰ 0 of least trace; or, of traces under a bound, of the largest eigenvalue
    that is the least one. By linear programs, a cut qᵀWq ≥ 0 for each eigenvector that is wrong.
    """
    n = len(M)
    free = [(i, j) for i in range(n) for j in range(i, n) if not np.isfinite(M[i, j])]
    W, fixed = np.zeros((n, n)), np.where(np.isfinite(M), M, 0.0)
    cuts = [*np.eye(n), *(np.eye(n)[i] + s * np.eye(n)[j] for i in range(n) for j in range(i)
                          for s in (1, -1))]
    diagonal = np.array([float(i == j) for i, j in free])
    bounded = trace is not None
    for _ in range(CUTS):
        # variables: the hidden entries, and t ≤ qᵀWq
        A = np.array([[-(2 - (i == j)) * q[i] * q[j] for i, j in free] + [float(bounded)]
                      for q in cuts])
        b = np.array([q @ fixed @ q for q in cuts])
        cost = np.append(diagonal, 0.0)
        if bounded:
            A, b = np.vstack([A, cost]), np.append(b, trace - np.trace(fixed))
            cost = np.append(0.0 * diagonal, -1.0)
        found = foreign.ask("a completion", "scipy.optimize.linprog", cost, A_ub=A, b_ub=b,
                            bounds=(-1e4, 1e4), method="highs-ds")
        if found.status:
            return None
        W = fixed.copy()
        for (i, j), x in zip(free, found.x, strict=False):
            W[i, j] = W[j, i] = x
        values, vectors = np.linalg.eigh(W)
        floor = found.x[-1] if bounded else 0.0
        if values[0] >= floor - 1e-9 * max(1.0, values[-1]):
            return W
        cuts += list(vectors.T[values < floor])
    return W


def violation(problem: Problem) -> float:
    """How much the trace of the end is above the least one, relative."""
    end = float(_ends(problem[None])[0])
    above = _above(problem, end) if np.isfinite(end) else 0.0
    return above if above > LEAST else 0.0


def smaller(problem: Problem) -> Iterator[Problem]:
    """A row less, an entry less, smaller entries."""
    n = len(problem)
    for k in range(n if n > 2 else 0):
        yield np.delete(np.delete(problem, k, 0), k, 1)
    seen = [(i, j) for i in range(n) for j in range(i, n) if np.isfinite(problem[i, j])]
    for i, j in seen:
        for value in (np.nan, abs(problem[i, j]), problem[i, j] - np.sign(problem[i, j])):
            if value != problem[i, j] and value != 0:
                fewer = problem.copy()
                fewer[i, j] = fewer[j, i] = value
                yield fewer


def prove(problem: Problem) -> dict[str, Any] | None:
    """The matrix of rank one, and a completion of less trace."""
    rank_one = _rank_one(problem)
    shorter = None if rank_one is None else _shorter(problem, _trace(rank_one))
    if rank_one is None or shorter is None:
        return None
    entries = [[i, j, str(y)] for (i, j), y in _entries(problem).items()]
    return {"kind": KIND, "entries": entries, "limit": [written(row) for row in rank_one],
            "shorter": [written(row) for row in shorter]}


def _shorter(problem: Problem, trace: Fraction) -> Matrix | None:
    """A completion of less trace, in small fractions where some do."""
    least = _completed(problem)
    if least is None:
        return None
    # a completion of least trace is at the edge of the cone, and may be rounded out of it
    inner = _completed(problem, float(np.trace(least) / 2 + trace / 2))
    tried = (_rounded(problem, W, fine) for W in (least, inner) if W is not None for fine in FINE)
    return next((W for W in tried if _semidefinite(W) and _trace(W) < trace), None)


def _entries(M: Problem) -> dict[tuple[int, int], Fraction]:
    """Those that are seen, exactly."""
    return {(int(i), int(j)): Fraction(float(M[i, j])) for i, j in np.argwhere(np.isfinite(M))}


def _rounded(problem: Problem, W: np.ndarray, fine: int) -> Matrix:
    """The completion in fractions, the hidden entries to so many parts."""
    return [[Fraction(float(y)) if np.isfinite(y) else Fraction(float(x)).limit_denominator(fine)
             for x, y in zip(*rows, strict=True)] for rows in zip(W, problem, strict=True)]


def _rank_one(M: Problem) -> Matrix | None:
    """vvᵀ with these entries, exactly, where they determine one by an odd circle; else None."""
    n, seen = len(M), _entries(M)
    if 0 in seen.values():
        return None
    # along a walk from 0 each v is a number times v_0, or over v_0 …
    ratio, turned, line = {0: Fraction(1)}, {0: False}, [0]
    for i in line:
        for j in [j for a, j in seen if a == i and j not in ratio]:
            ratio[j], turned[j] = seen[i, j] / ratio[i], not turned[i]
            line.append(j)
    # … and a closed odd one says v_0²
    closed = ((i, j) for i, j in seen if i in ratio and turned[i] == turned[j])
    if len(ratio) < n or (odd := next(closed, None)) is None:
        return None
    i, j = odd
    one = seen[i, j] / (ratio[i] * ratio[j])
    square = 1 / one if turned[i] else one
    full = {(False, False): square, (True, True): 1 / square}
    P = [[ratio[i] * ratio[j] * full.get((turned[i], turned[j]), Fraction(1)) for j in range(n)]
         for i in range(n)]
    return P if square > 0 and all(P[i][j] == y for (i, j), y in seen.items()) else None


def _trace(A: Matrix) -> Fraction:
    return sum((row[i] for i, row in enumerate(A)), Fraction(0))


def _semidefinite(A: Matrix) -> bool:
    """Whether a symmetric matrix is positive semidefinite, by elimination."""
    A = [list(row) for row in A]
    for k in range(len(A)):
        pivot = A[k][k]
        if pivot < 0 or (pivot == 0 and any(A[k][k:])):
            return False
        for i in range(k + 1, len(A)):
            share = A[i][k] / pivot if pivot else Fraction(0)
            A[i] = [x - share * y for x, y in zip(A[i], A[k], strict=True)]
    return True


def check(document: Mapping[str, Any]) -> None:
    """A connected graph with an odd circle, a matrix of rank one, and another of less trace."""
    P, W = ([read(row) for row in document[name]] for name in ("limit", "shorter"))
    seen = {(int(i), int(j)): Fraction(y) for i, j, y in document["entries"]}
    _spans(list(seen), len(P))
    for A in (P, W):
        demand(list(map(list, zip(*A, strict=True))) == A and len(A) == len(P),
               "matrices are square and symmetric, of one size")
        demand(all(A[i][j] == y for (i, j), y in seen.items()), "both matrices have the entries")
    _single(P)
    demand(_semidefinite(W), "the other matrix is positive semidefinite")
    demand(_trace(W) < _trace(P), "the other matrix has less trace")


def _spans(seen: list[tuple[int, int]], n: int) -> None:
    """From the first index a walk of even and one of odd length leads to each."""
    demand(all((j, i) in seen and 0 <= i < n for i, j in seen),
           "entries come with their mirror images")
    reached = [(0, 0)]
    for i, odd in reached:
        reached += [(j, 1 - odd) for a, j in dict.fromkeys(seen)
                    if a == i and (j, 1 - odd) not in reached]
    demand(len(reached) == 2 * n, "the entries are a connected graph with an odd circle")


def _single(P: Matrix) -> None:
    """It is vvᵀ, without a 0 in v."""
    demand(all(row[i] > 0 for i, row in enumerate(P)), "no weight of the limit is 0")
    demand(all([x * P[0][0] for x in row] == [x * row[0] for x in P[0]] for row in P),
           "the limit is of rank one")
