"""The programs that foreign solvers solve for margins: least squares, linear and cone programs.

All speak of min ‖w‖ subject to Zw ≥ 1, whose solution has the direction of the maximum margin and λ
among its multipliers. A solver that fails returns None.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from time import process_time
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Matrix, largest
from fastbias.solvers.conic_programs import PATIENCE, solve_cone
from fastbias.solvers.free import Gauge

__all__ = ["Pair", "convex", "largest_least", "limits", "minimiser", "nearest_point", "polytope",
           "solve_tightly", "units"]

Pair = tuple[np.ndarray, np.ndarray]                          # w (d,), and λ (N,) for the rows
# as tight as HiGHS takes; where it fails so, its own tolerances are tried
TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
TOLERANCES = (1e-12, 1e-10, 1e-8)        # of cone programs, likewise
STEPS = 20               # of the simplex method, for each row and column: it needs one or two
CORRECTIONS = (1.0, 1e-5, 1e-9)          # sizes of the programs that better a program's answer


def units(Z: Matrix, margin: float) -> np.ndarray:
    """Units s (d,) for the entries of w: what it takes to be felt in the margin, at most one."""
    columns = largest(Z, 0)
    return np.minimum(1.0, margin / np.where(columns > 0, columns, margin))


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


def limits(size: int) -> dict[str, float]:
    """When HiGHS ends, on a program of so many rows and columns: after some steps, or seconds."""
    return {"maxiter": STEPS * (size + STEPS), "time_limit": PATIENCE}


def minimiser(c: np.ndarray, A: Any, b: np.ndarray,
              bounds: Sequence[object] | np.ndarray) -> Pair | None:
    """A minimiser of c·x subject to Ax ≤ b, and its multipliers, by the simplex method.

    A may be sparse. Where so many steps do not do, the method goes round.
    """
    steps = limits(sum(A.shape))
    for options in (TIGHT, {}):
        try:
            answer = foreign.ask("a linear program", "scipy.optimize.linprog", c, A_ub=A, b_ub=b,
                                 bounds=bounds, method="highs-ds", options=steps | options)
        except foreign.Unsolved:
            return None
        if answer.status == 0:
            return np.asarray(answer.x), -np.asarray(answer.ineqlin.marginals)
    return None


def polytope(Z: Any, ball: str, s: np.ndarray, margin: float, free: int = 0) -> Pair | None:
    """Min ‖w‖ subject to Zw ≥ 1 over a polytope's ball, for u = w/s, by linear programming; the
    last so many entries are free.

    Over the cube it is the largest least margin, whose w has the same direction. Z may be sparse.
    """
    sparse: Any = foreign.library("scipy.sparse")
    (N, d), dense = Z.shape, not sparse.issparse(Z)
    d = d - free
    rows = Z * (s / margin) if dense else (Z @ sparse.diags_array(s / margin)).tocsc()
    beside = np.hstack if dense else partial(sparse.hstack, format="csc")
    # prices of size one, which the solver's tolerance suits
    s = s / s.max()
    anywhere = [(None, None)] * free
    if ball == "cross-polytope":
        cost, walls = np.concatenate([s[:d], np.zeros(free), s[:d]]), [(0, None)] * d
        found = minimiser(cost, beside([-rows, rows[:, :d]]), -np.ones(N),
                          [*walls, *anywhere, *walls])
        return None if found is None else (
            (found[0][:d + free] - np.append(found[0][d + free:], np.zeros(free))) * s, found[1])
    # the cube as bounds: as rows, HiGHS may go round for ever
    inside = [(-1.0 / x, 1.0 / x) for x in s[:d].tolist()]
    found = minimiser(np.append(np.zeros(d + free), -1.0), beside([-rows, np.ones((N, 1))]),
                      np.zeros(N), [*inside, *anywhere, (None, None)])
    return None if found is None else (found[0][:-1] * s, found[1])


def convex(Z: np.ndarray, norm: Gauge, s: np.ndarray, margin: float) -> Pair | None:
    """Min ‖w‖ subject to Zw ≥ 1 by the norm's convex face, for u = w/s."""
    cp: Any = foreign.library("cvxpy")
    assert norm.convex is not None
    with suppress(foreign.Unsolved), foreign.guarded("a cone program"):
        u = cp.Variable(Z.shape[1])
        margins = [(Z * (s / margin)) @ u >= 1]
        if solve_tightly(cp.Problem(cp.Minimize(norm.convex(cp, cp.multiply(s, u))), margins)):
            return np.asarray(u.value) * s, np.asarray(margins[0].dual_value)
    return None


def solve_tightly(program: Any) -> bool:
    """Solve a cvxpy problem as exactly as the solver can, and say whether there is an answer."""
    until = process_time() + PATIENCE
    for tolerance in TOLERANCES:
        with suppress(foreign.Unsolved), foreign.guarded("a cone program"):
            solve_cone(program, until, tol_gap_abs=tolerance, tol_gap_rel=tolerance,
                       tol_feas=tolerance)
            solved = program.status in ("optimal", "optimal_inaccurate")
            if solved and all(v.value is not None and np.isfinite(v.value).all()
                              for v in program.variables()):
                return True
    return False
