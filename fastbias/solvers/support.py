"""Exact algebra on support vectors: what a solver's answer becomes once it says who they are.

Of min ‖w‖ subject to Zw ≥ 1, whose multipliers λ are 0 but on the support vectors. Nothing here is
a proof: `fastbias.solvers.bounds` makes that, from (w, λ) alone.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import row_lengths
from fastbias.checks.spans import independent_rows
from fastbias.data.rows import Matrix, dense, largest, sizes
from fastbias.solvers.faces import finished
from fastbias.solvers.free import LIGHT, Gauge, free_columns
from fastbias.solvers.oracles import Oracle, oracle
from fastbias.solvers.programs import Pair

__all__ = ["ROUNDS", "Half", "polished"]

CUTS = (1e-3, 1e-5, 1e-7)      # of weights and margins: who may be a support vector
VIOLATED = 1e-14         # by which a margin may fall short of one, relative to its terms
NEGATIVE = 1e-12         # of a multiplier, relative to the largest, likewise
SMALL = 1e-9             # entries, relative to the largest, that may be what a vertex has as 0
SINGULAR = 1e-10         # pivots, relative to the largest, of equations that may have no solution
FLAT = 1e-16             # of the largest gradient of Σ|w|^p, what rounding leaves of the others
ROUNDS = 6               # of Newton's method, on one guess of the support vectors
PULLED = 1e-7            # entries of Σ λ z that are not 0, relative to their terms


def polished(Z: Matrix, norm: Gauge, w: np.ndarray, lam: np.ndarray,
             exchanges: int, known: bool = False) -> Iterator[Pair]:
    """Better solutions, one after the other: the exact ones if the support vectors were those that
    (w, λ) suggest, or those with λ > 0 where they are ``known``. Z may be sparse where the norm's
    ball is a polytope.

    Where the norm has a smooth power, so many wrong support vectors are exchanged: one of negative
    λ leaves, or the one most violated enters (the dual active-set method of Goldfarb and Idnani,
    1983, with every step solved afresh).
    """
    smooth = oracle(norm) is not Oracle.POLYTOPE
    seen: set[bytes] = set()
    for support in [lam > 0] if known else _supports(Z, w, lam):
        chosen, at, weights = support, w, lam
        for _ in range(1 + exchanges if smooth else 1):
            if not chosen.any() or chosen.tobytes() in seen:
                break
            seen.add(chosen.tobytes())
            mu = np.zeros(Z.shape[0])
            for v, part in _until_failure(_exact(Z[chosen], norm, at, weights[chosen])):
                mu[chosen] = part
                yield v, np.maximum(mu, 0.0)
                at = v
            if at is w:                                       # nothing came of it
                break
            chosen, weights = _exchanged(chosen, Z, at, mu), mu


def _exchanged(chosen: np.ndarray, Z: Matrix, w: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """Support vectors without the one of most negative weight, or with the one most violated."""
    chosen = chosen.copy()
    behind = (1.0 - Z @ w) / (1.0 + sizes(Z) @ np.abs(w))
    if mu.min() < -NEGATIVE * np.abs(mu).max():
        chosen[np.argmin(mu)] = False
    elif behind.max() > VIOLATED:
        chosen[np.argmax(behind)] = True
    return chosen


def _until_failure(pairs: Iterator[Pair]) -> Iterator[Pair]:
    """What a computation yields until the linear algebra under it fails."""
    with suppress(foreign.Unsolved):
        while True:
            with foreign.guarded("the equations of support vectors"):
                pair = next(pairs, None)
            if pair is None:
                return
            yield pair


def _supports(Z: Matrix, w: np.ndarray, lam: np.ndarray) -> Iterator[np.ndarray]:
    """Guesses of the support vectors, as masks: by weight, and by margin."""
    margins = Z @ w
    least = float(margins.min())
    yield lam > 0
    yield from (lam > cut * lam.max(initial=0.0) for cut in CUTS)
    yield from (margins <= least + cut * abs(least) for cut in reversed(CUTS))


def _exact(S: Matrix, norm: Gauge, w: np.ndarray, lam: np.ndarray) -> Iterator[Pair]:
    """argmin ‖w‖ with Sw = 1, and its multipliers: the answer if S is the support vectors."""
    kind = oracle(norm)
    if kind is Oracle.POLYTOPE:
        vertex = _on_cube if norm.ball == "cube" else _on_cross_polytope
        yield from vertex(S, w, lam, free_columns(norm))
        return
    S = dense(S)
    if kind is Oracle.QUADRATIC:
        assert norm.matrix is not None
        half, inside = Half(norm.matrix(S.shape[1])), _inside(norm, S.shape[1])
        zeros = np.zeros(S.shape[1]), np.zeros(S.shape[0])
        yield from _refined(S, *zeros, lambda v: inside * half.product(v), lambda v: half)
    elif kind is Oracle.POWER:
        assert norm.power is not None
        yield from _on_power(S, norm.power, w, lam, _inside(norm, S.shape[1]))
    elif norm.shrink is not None:
        size = float((S @ w).mean())
        yield from finished(S, np.ones(S.shape[0]), norm.shrink, w / size, lam / norm.dual(lam @ S))


def _inside(norm: Gauge, d: int) -> np.ndarray:
    """1 (d,) for entries of w that the norm counts, 0 for free ones."""
    free = free_columns(norm)
    return np.append(np.ones(d - free), np.zeros(free))


def _on_power(S: np.ndarray, p: float, v: np.ndarray, mu: np.ndarray,
              inside: np.ndarray) -> Iterator[Pair]:
    """By Newton's method on Σ|w|^p/p, from (w, λ); ``inside`` is 0 for entries that are free."""
    # (of an entry that no support vector has, a step would only take a part away)
    v = np.where(S.any(axis=0), v, 0.0)
    margins = S @ v
    z = inside * np.sign(v) * np.abs(v) ** (p - 1) / margins.mean() ** (p - 1)
    v, pull = v / margins.mean(), mu @ S
    mu = mu * float(z @ pull / max(pull @ pull, 1e-300))  # the multipliers of Σ|w|^p/p itself
    size = float(np.abs(inside * v).max())
    # the curvature at 0 is infinite (p < 2), or so small that it makes steps of rounding: entries
    # count as at least so large, for p > 2 as those whose gradient is rounding
    least = size * (FLAT if p < 2 else FLAT ** (1 / (p - 1)))

    def hessian(v: np.ndarray) -> Half:
        curved = (p - 1) * np.maximum(np.abs(v), least) ** (p - 2)
        return Half(np.where(inside, curved, LIGHT ** 2 * np.power(size, p - 2)))
    yield from _refined(S, v, mu, lambda v: inside * np.sign(v) * np.abs(v) ** (p - 1), hessian)


def _on_cross_polytope(S: Matrix, w: np.ndarray, lam: np.ndarray, free: int) -> Iterator[Pair]:
    """A vertex: as many coordinates as support vectors."""
    pull, ones, bound = S.T @ lam, np.ones(S.shape[0]), w.size - free
    weight, size = np.abs(w) * largest(S, 0), np.abs(w[:bound]).max()
    felt = (np.abs(w) > SMALL * size) | (weight > SMALL * weight[:bound].max())
    for active in (w != 0, np.abs(pull) >= (1 - 10 * SMALL) * np.abs(pull[:bound]).max(), felt):
        active[bound:] = True
        signs = np.where(w != 0, np.sign(w), np.sign(pull))
        signs[bound:] = 0.0
        exact = np.zeros(w.size)
        exact[active] = _equations(S[:, active], ones)
        yield exact, _equations(S[:, active].T, signs[active])


def _on_cube(S: Matrix, w: np.ndarray, lam: np.ndarray, free: int) -> Iterator[Pair]:
    """±s where the combined sample is not 0; unknown are s and the free coordinates."""
    pull, terms, bound = S.T @ lam, sizes(S).T @ np.abs(lam), w.size - free
    pulled = np.abs(pull) > PULLED * terms
    for at in (np.abs(w) >= (1 - SMALL) * np.abs(w[:bound]).max(), pulled):
        at[bound:] = False
        signs = np.where(pulled, np.sign(pull), np.sign(w))
        A = np.column_stack([S[:, at] @ signs[at], dense(S[:, ~at])])
        found = _equations(A, np.ones(S.shape[0]))
        exact = np.where(at, signs * found[0], 0.0)
        exact[~at] = found[1:]
        yield exact, _equations(A.T, np.append(1.0, np.zeros(int((~at).sum()))))


class Half:
    """A root R of a positive matrix D = R Rᵀ: Cholesky's, or of a diagonal the entries' roots."""

    def __init__(self, D: np.ndarray) -> None:
        if D.ndim == 2 and np.count_nonzero(D) == D.shape[0]:
            D = np.diag(D)
        self.D = D
        self.root = np.sqrt(D) if D.ndim == 1 else np.linalg.cholesky(D)

    def solve(self, x: np.ndarray, transposed: bool = False) -> np.ndarray:
        """R⁻¹x or R⁻ᵀx, for x (d,) or (d, k)."""
        if self.D.ndim == 1:
            return x / (self.root if x.ndim == 1 else self.root[:, None])
        solve: Any = foreign.library("scipy.linalg").solve_triangular
        return np.asarray(solve(self.root, x, trans="T" if transposed else "N", lower=True))

    def product(self, x: np.ndarray) -> np.ndarray:
        """D x."""
        return np.asarray(self.D * x if self.D.ndim == 1 else self.D.astype(x.dtype) @ x)


def _refined(S: np.ndarray, w: np.ndarray, lam: np.ndarray,
             gradient: Callable[[np.ndarray], np.ndarray],
             hessian: Callable[[np.ndarray], Half]) -> Iterator[Pair]:
    """Newton's method on ∇f(w) = Sᵀλ, Sw = 1, with residuals in extended precision.

    For quadratic f that is iterative refinement of a least-squares problem with its multipliers
    (Björck 1967). Rows that depend on others are left out.
    """
    linalg: Any = foreign.library("scipy.linalg")
    lengths = row_lengths(S)
    columns = np.abs(S).max(axis=0)
    even = S / np.where(columns > 0, columns, 1.0)
    rows = independent_rows(even / np.linalg.norm(even, axis=1)[:, None])
    if len(rows) > S.shape[1]:
        return
    A = (S[rows] / lengths[rows, None]).astype(np.longdouble)
    b = (1.0 / lengths[rows]).astype(np.longdouble)
    half, w, mu = None, w.astype(np.longdouble), (lam * lengths)[rows].astype(np.longdouble)
    for _ in range(ROUNDS):
        # (closed before w is handed out: what a generator leaves open is its caller's as well)
        with np.errstate(all="ignore"):
            f, g = mu @ A - gradient(w), b - A @ w
            new = hessian(np.asarray(w, float))
            # a quadratic's curvature stays: so do its factors
            if half is None or not np.array_equal(half.D, new.D):
                half = new
                Q, T, order = linalg.qr(half.solve(np.asarray(A.T, float)), mode="economic",
                                        pivoting=True, check_finite=False)
            f, g = half.solve(np.asarray(f, float)), np.asarray(g, float)
            if not (_finite(T, f, g) and np.diag(T).all()):
                return
            z, inside = linalg.solve_triangular(T, g[order], trans="T"), Q.T @ f
            w = w + half.solve(f + Q @ (z - inside), transposed=True)
            mu = mu.copy()
            mu[order] += linalg.solve_triangular(T, z - inside)
            weights = np.zeros(S.shape[0])
            weights[rows] = np.asarray(mu, float) / lengths[rows]
        if not _finite(np.asarray(w, float), weights):
            return
        yield np.asarray(w, float), weights


def _finite(*arrays: np.ndarray) -> bool:
    return all(np.isfinite(a).all() for a in arrays)


def _equations(A: Matrix, b: np.ndarray) -> np.ndarray:
    """Solve Ax = b, or its least squares, refined with residuals in extended precision."""
    A = dense(A)
    rows = _power(np.abs(A).max(axis=1, initial=0.0))
    columns = _power(np.abs(A / rows[:, None]).max(axis=0, initial=0.0))
    scaled = A / rows[:, None] / columns
    wide, goal = scaled.astype(np.longdouble), (b / rows).astype(np.longdouble)
    x, solve = np.zeros(A.shape[1], np.longdouble), _solver(scaled)
    for _ in range(3):
        x = x + solve(np.asarray(goal - wide @ x, float))
    return np.asarray(x, float) / columns


def _solver(A: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Who solves Ax = b in float64: by elimination where that can be, as it is far quicker."""
    what = "the equations of support vectors"
    if A.shape[0] == A.shape[1]:
        factors = foreign.ask(what, "scipy.linalg.lu_factor", A)
        pivots = np.abs(np.diag(factors[0]))
        if pivots.min(initial=np.inf) > SINGULAR * pivots.max(initial=0.0):
            return lambda b: foreign.ask(what, "scipy.linalg.lu_solve", factors, b)
    return lambda b: foreign.ask(what, "scipy.linalg.lstsq", A, b, lapack_driver="gelsy")[0]


def _power(x: np.ndarray) -> np.ndarray:
    """The power of two at x, by which to divide is exact; one for 0."""
    return np.where(x > 0, np.exp2(np.floor(np.log2(np.where(x > 0, x, 1.0)))), 1.0)
