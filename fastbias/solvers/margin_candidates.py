"""Who finds maximum margins: programs for candidates, exact algebra on support vectors.

All speak of min ‖w‖ subject to Zw ≥ 1, whose solution has the direction of the maximum margin and λ
among its multipliers. Nothing here is a proof: `fastbias.solvers.margins` makes that, from (w, λ)
alone. A solver that fails returns None.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import row_lengths
from fastbias.pieces.norms import Norm
from fastbias.pieces.norms.proximal import least
from fastbias.pieces.potentials.base import independent_rows
from fastbias.solvers.oracles import Oracle, oracle, polytope_near, power_potential

__all__ = ["Pair", "candidates", "largest_least", "minimiser", "nearest_point", "polished",
           "solve_tightly", "units"]

Pair = tuple[np.ndarray, np.ndarray]                          # w (d,), and λ (N,) for the rows
# as tight as HiGHS takes; where it fails so, its own tolerances are tried
TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
TOLERANCES = (1e-12, 1e-10, 1e-8)        # of cone programs, likewise
CORRECTIONS = (1.0, 1e-5, 1e-9)          # sizes of the programs that better a program's answer
ROUND = (1.01, 100)      # powers between which an ℓp ball is far enough from a polytope
EVEN = 0.01              # columns within such a factor suit proximal steps, which know no units
CUTS = (1e-3, 1e-5, 1e-7)      # of weights and margins: who may be a support vector
VIOLATED = 1e-14         # by which a margin may fall short of one, relative to its terms
NEGATIVE = 1e-12         # of a multiplier, relative to the largest, likewise
SMALL = 1e-9             # entries, relative to the largest, that may be what a vertex has as 0
PULLED = 1e-7            # entries of Σ λ z that are not 0, relative to their terms


def nearest_point(Z: np.ndarray, h: np.ndarray) -> Pair | None:
    """Min ‖w‖₂ subject to Zw ≥ h, up to length, and its multipliers, by non-negative least squares.

    With h = 1 and rows of length one w is the point of their hull that is nearest to 0. (Lawson,
    Hanson 1974, ch. 23.)
    """
    try:
        mu = foreign.ask("the nearest point of a hull", "scipy.optimize.nnls", np.vstack([Z.T, h]),
                         np.append(np.zeros(Z.shape[1]), 1.0), maxiter=30 * Z.shape[0] + 300)[0]
    except foreign.Unsolved:
        return None
    total = float(mu.sum())
    return (mu @ Z / total, mu) if total > 0 else None


def largest_least(Z: np.ndarray) -> Iterator[Pair]:
    """The largest least margin over the cube, by linear programming; then better ones.

    Their corrections, times so much, solve programs of what the margins are then, which tolerances
    spoil the less.
    """
    N, d = Z.shape
    w, wide = np.zeros(d, np.longdouble), Z.astype(np.longdouble)
    for size in CORRECTIONS:
        found = minimiser(np.append(np.zeros(d), -1.0), np.hstack([-Z, np.ones((N, 1))]),
                          np.asarray(wide @ w / size, float), [(-1, 1)] * d + [(None, 1)])
        if found is None:
            return
        w = w + size * found[0][:d]
        yield np.asarray(w, float), found[1]


def units(Z: np.ndarray, margin: float) -> np.ndarray:
    """Units s (d,) for the entries of w: what it takes to be felt in the margin, at most one."""
    columns = np.abs(Z).max(axis=0)
    return np.minimum(1.0, margin / np.where(columns > 0, columns, margin))


def candidates(Z: np.ndarray, norm: Norm, margin: float) -> Iterator[Pair]:
    """Solutions as good as those who know the norm can make them, for a margin of about this size.

    The solvers' tolerances are absolute, so w is sought in `units` and Zw in units of the margin,
    which suits features that lie far apart; then in their own units, which suits margins that are
    small by cancellation.
    """
    kind = oracle(norm)
    found: Iterator[Pair | None]
    if kind is Oracle.QUADRATIC:
        assert norm.matrix is not None
        found = iter([_quadratic(Z, norm.matrix(Z.shape[1]), margin)])
    elif kind is Oracle.POLYTOPE:
        found = (_polytope(Z, str(norm.ball), *scale) for scale in _scales(Z, margin))
    elif kind is Oracle.SINGULAR:
        assert norm.shape is not None
        assert norm.resized is not None
        found = _rotated(Z.reshape(-1, *norm.shape), norm.resized, margin)
    else:
        found = _conic(Z, norm, _scales(Z, margin))
    yield from (pair for pair in found if pair is not None)


def _scales(Z: np.ndarray, margin: float) -> list[tuple[np.ndarray, float]]:
    ones = np.ones(Z.shape[1])
    return [(units(Z, margin), margin), (ones, 1.0), (ones, margin)]


def _conic(Z: np.ndarray, norm: Norm,
           scales: list[tuple[np.ndarray, float]]) -> Iterator[Pair | None]:
    """By the norm's convex face, and by its proximal map where it has one."""
    cone: Iterator[Pair | None] = (_convex(Z, norm, *scale) for scale in scales
                                   if norm.convex is not None)
    # a polytope, or nearly
    if norm.power is not None and not ROUND[0] < norm.power < ROUND[1]:
        ball = polytope_near(norm.power)
        cone = chain((_polytope(Z, ball, *scale) for scale in scales), cone)
    if norm.shrink is None:
        return cone
    columns = np.abs(Z).max(axis=0)
    even = bool((columns[columns > 0] > EVEN * columns.max()).all())
    near = least(Z, np.ones(Z.shape[0]), norm.shrink, equal=False)
    return chain(near, cone) if even else chain(cone, near)


def _quadratic(Z: np.ndarray, D: np.ndarray, margin: float) -> Pair | None:
    with suppress(foreign.Unsolved), foreign.guarded("the nearest point of a hull"):
        half = _Half(D)
        rows = half.solve(Z.T).T
        lengths = row_lengths(rows)
        found = nearest_point(rows / lengths[:, None], margin / lengths)
        if found is not None:
            return half.solve(found[0], transposed=True), found[1] / lengths
    return None


def minimiser(c: np.ndarray, A: np.ndarray, b: np.ndarray,
              bounds: Sequence[object] | np.ndarray) -> Pair | None:
    """A minimiser of c·x subject to Ax ≤ b, and its multipliers, by the simplex method."""
    for options in (TIGHT, {}):
        try:
            answer = foreign.ask("a linear program", "scipy.optimize.linprog", c, A_ub=A, b_ub=b,
                                 bounds=bounds, method="highs-ds", options=options)
        except foreign.Unsolved:
            return None
        if answer.status == 0:
            return np.asarray(answer.x), -np.asarray(answer.ineqlin.marginals)
    return None


def _polytope(Z: np.ndarray, ball: str, s: np.ndarray, margin: float) -> Pair | None:
    """The same by linear programming, for u = w/s.

    Over the cube it is the largest least margin, whose w has the same direction.
    """
    (N, d), rows = Z.shape, Z * (s / margin)
    # prices of size one, which the solver's tolerance suits
    s = s / s.max()
    if ball == "cross-polytope":
        found = minimiser(np.append(s, s), np.hstack([-rows, rows]), -np.ones(N), (0, None))
        return None if found is None else ((found[0][:d] - found[0][d:]) * s, found[1])
    # the cube as bounds: as rows, HiGHS may go round for ever
    walls = [(-1.0 / x, 1.0 / x) for x in s.tolist()]
    found = minimiser(np.append(np.zeros(d), -1.0), np.hstack([-rows, np.ones((N, 1))]),
                      np.zeros(N), [*walls, (None, None)])
    return None if found is None else (found[0][:d] * s, found[1])


def _convex(Z: np.ndarray, norm: Norm, s: np.ndarray, margin: float) -> Pair | None:
    """The same by the norm's convex face, for u = w/s."""
    cp: Any = foreign.library("cvxpy")
    assert norm.convex is not None
    with suppress(foreign.Unsolved), foreign.guarded("a cone program"):
        u = cp.Variable(Z.shape[1])
        margins = [(Z * (s / margin)) @ u >= 1]
        if solve_tightly(cp.Problem(cp.Minimize(norm.convex(cp, cp.multiply(s, u))), margins)):
            return np.asarray(u.value) * s, np.asarray(margins[0].dual_value)
    return None


def _rotated(Z: np.ndarray, resized: Callable[[int, int], Norm],
             margin: float) -> Iterator[Pair | None]:
    """The same for matrices (M, m, n), within the spans of their columns and of their rows.

    A maximiser lies there: what is outside adds to its norm alone.
    """
    M, m, n = Z.shape
    columns = _basis(Z.transpose(1, 0, 2).reshape(m, -1))
    rows = _basis(Z.transpose(2, 0, 1).reshape(n, -1))
    # the units of a smaller matrix are its own
    small = columns.T @ Z @ rows
    flat = small.reshape(M, -1)
    for found in _conic(flat, resized(*small.shape[1:]), _scales(flat, margin)):
        if found is not None:
            w = columns @ found[0].reshape(small.shape[1:]) @ rows.T
            yield w.ravel(), found[1]


def _basis(A: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the span of the columns of A; all of space where that is as large."""
    if A.shape[1] >= A.shape[0]:
        return np.eye(A.shape[0])
    return np.asarray(np.linalg.qr(A)[0])


def solve_tightly(program: Any) -> bool:
    """Solve a cvxpy problem as exactly as the solver can, and say whether there is an answer.

    Afresh each time: a warm start would keep the scaling that suited the first values of the
    parameters.
    """
    cp: Any = foreign.library("cvxpy")
    for tolerance in TOLERANCES:
        with suppress(foreign.Unsolved), foreign.guarded("a cone program"):
            program.solve(cp.CLARABEL, warm_start=False, tol_gap_abs=tolerance,
                          tol_gap_rel=tolerance, tol_feas=tolerance)
            solved = program.status in ("optimal", "optimal_inaccurate")
            if solved and all(v.value is not None and np.isfinite(v.value).all()
                              for v in program.variables()):
                return True
    return False


# --- exact on the support vectors --------------------------------------------------------------

def polished(Z: np.ndarray, norm: Norm, w: np.ndarray, lam: np.ndarray,
             exchanges: int) -> Iterator[Pair]:
    """Better solutions, one after the other: the exact ones if the support vectors were those that
    (w, λ) suggest.

    Where the norm has a smooth power, so many wrong support vectors are exchanged: one of negative
    λ leaves, or the one most violated enters (the dual active-set method of Goldfarb and Idnani,
    1983, with every step solved afresh).
    """
    smooth = oracle(norm) in (Oracle.QUADRATIC, Oracle.POWER)
    seen: set[bytes] = set()
    for support in _supports(Z, w, lam):
        chosen, at = support, w
        for _ in range(1 + exchanges if smooth else 1):
            if not chosen.any() or chosen.tobytes() in seen:
                break
            seen.add(chosen.tobytes())
            mu = np.zeros(Z.shape[0])
            for v, part in _until_failure(_exact(Z[chosen], norm, at, lam[chosen])):
                mu[chosen] = part
                yield v, np.maximum(mu, 0.0)
                at = v
            if at is w:                                       # nothing came of it
                break
            chosen = _exchanged(chosen, Z, at, mu)


def _exchanged(chosen: np.ndarray, Z: np.ndarray, w: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """Support vectors without the one of most negative weight, or with the one most violated."""
    chosen = chosen.copy()
    behind = (1.0 - Z @ w) / (1.0 + np.abs(Z) @ np.abs(w))
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


def _supports(Z: np.ndarray, w: np.ndarray, lam: np.ndarray) -> Iterator[np.ndarray]:
    """Guesses of the support vectors, as masks: by weight, and by margin."""
    margins = Z @ w
    least = float(margins.min())
    yield lam > 0
    yield from (lam > cut * lam.max(initial=0.0) for cut in CUTS)
    yield from (margins <= least + cut * abs(least) for cut in reversed(CUTS))


def _exact(S: np.ndarray, norm: Norm, w: np.ndarray, lam: np.ndarray) -> Iterator[Pair]:
    """argmin ‖w‖ with Sw = 1, and its multipliers: the answer if S is the support vectors."""
    kind = oracle(norm)
    if kind is Oracle.QUADRATIC:
        assert norm.matrix is not None
        half = _Half(norm.matrix(S.shape[1]))
        zeros = np.zeros(S.shape[1]), np.zeros(S.shape[0])
        yield from _refined(S, *zeros, lambda v: half.product(v), lambda v: half)
    elif kind is Oracle.POWER:
        assert norm.power is not None
        yield from _on_power(S, norm.power, w, lam)
    elif kind is Oracle.POLYTOPE:
        vertex = _on_cube if norm.ball == "cube" else _on_cross_polytope
        yield from vertex(S, w, lam)


def _on_power(S: np.ndarray, p: float, w: np.ndarray, lam: np.ndarray) -> Iterator[Pair]:
    """By projection, then by Newton's method on Σ|w|^p/p."""
    psi = power_potential(p)
    # where the projection fails, these are the start
    v, mu = w, lam
    with suppress(ValueError, ArithmeticError, np.linalg.LinAlgError):
        projected = psi.project(S, np.ones(S.shape[0]), np.zeros(S.shape[1]))
        if np.abs(S @ projected[0] - 1.0).max() < CUTS[0]:
            v, mu = projected
            yield projected
    margins = S @ v
    z = np.sign(v) * np.abs(v) ** (p - 1) / margins.mean() ** (p - 1)
    v, pull = v / margins.mean(), mu @ S
    mu = mu * float(z @ pull / max(pull @ pull, 1e-300))  # the multipliers of Σ|w|^p/p itself
    size = float(np.abs(v).max())
    # (p < 2: the curvature at 0 is infinite, so entries count as at least so large)
    yield from _refined(S, v, mu, lambda v: np.sign(v) * np.abs(v) ** (p - 1), lambda v: _Half(
        (p - 1) * np.maximum(np.abs(v), 1e-16 * size) ** (p - 2)))


def _on_cross_polytope(S: np.ndarray, w: np.ndarray, lam: np.ndarray) -> Iterator[Pair]:
    """A vertex: as many coordinates as support vectors."""
    pull, ones = lam @ S, np.ones(S.shape[0])
    weight = np.abs(w) * np.abs(S).max(axis=0)
    felt = (np.abs(w) > SMALL * np.abs(w).max()) | (weight > SMALL * weight.max())
    for active in (w != 0, np.abs(pull) >= (1 - 10 * SMALL) * np.abs(pull).max(), felt):
        signs = np.where(w != 0, np.sign(w), np.sign(pull))[active]
        exact = np.zeros(w.size)
        exact[active] = _equations(S[:, active], ones)
        yield exact, _equations(S[:, active].T, signs)


def _on_cube(S: np.ndarray, w: np.ndarray, lam: np.ndarray) -> Iterator[Pair]:
    """±s where the combined sample is not 0; unknown are s and the free coordinates."""
    pull, terms = lam @ S, np.abs(lam) @ np.abs(S)
    pulled = np.abs(pull) > PULLED * terms
    for at in (np.abs(w) >= (1 - SMALL) * np.abs(w).max(), pulled):
        signs = np.where(pulled, np.sign(pull), np.sign(w))
        A = np.column_stack([S[:, at] @ signs[at], S[:, ~at]])
        found = _equations(A, np.ones(S.shape[0]))
        exact = np.where(at, signs * found[0], 0.0)
        exact[~at] = found[1:]
        yield exact, _equations(A.T, np.append(1.0, np.zeros(int((~at).sum()))))


class _Half:
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
             hessian: Callable[[np.ndarray], _Half]) -> Iterator[Pair]:
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
    with np.errstate(all="ignore"):
        for _ in range(6):
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


def _equations(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve Ax = b, or its least squares, refined with residuals in extended precision."""
    rows = _power(np.abs(A).max(axis=1, initial=0.0))
    columns = _power(np.abs(A / rows[:, None]).max(axis=0, initial=0.0))
    scaled = A / rows[:, None] / columns
    wide, goal = scaled.astype(np.longdouble), (b / rows).astype(np.longdouble)
    x = np.zeros(A.shape[1], np.longdouble)
    for _ in range(3):
        x = x + foreign.ask("the equations of support vectors", "scipy.linalg.lstsq", scaled,
                            np.asarray(goal - wide @ x, float), lapack_driver="gelsy")[0]
    return np.asarray(x, float) / columns


def _power(x: np.ndarray) -> np.ndarray:
    """The power of two at x, by which to divide is exact; one for 0."""
    return np.where(x > 0, np.exp2(np.floor(np.log2(np.where(x > 0, x, 1.0)))), 1.0)
