"""Minimum norms: argmin ‖w‖ subject to Xw = y, each with a certificate from (w, ν) alone."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import length, ratio, row_lengths, worst
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.norms import Norm
from fastbias.pieces.norms.proximal import least
from fastbias.problem import reachable
from fastbias.solvers import exact, oracles
from fastbias.solvers.bregman import bregman_projection, feasibility
from fastbias.solvers.faces import NEARBY, finished
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit
from fastbias.solvers.oracles import Oracle
from fastbias.solvers.programs import Pair, solve_tightly

__all__ = ["minimum_norm", "of_size_one"]

ROUNDED = 1e-9        # by which ‖Xᵀν‖⋆, scaled to one, may be over one and yet be it
DEPENDENT = 1e-12     # squared singular values of rows of length one that depend on each other


def minimum_norm(X: ArrayLike, y: ArrayLike, norm: Norm | str = norms.l1) -> Limit:
    """Solve argmin ‖w‖ subject to Xw = y, with its certificate.

    ℓ1 and ℓ∞ by linear programming, quadratic and ℓp norms by projection, the others by their
    proximal map where they have one (50 × 50 matrices with 750 known entries: ten seconds on one
    core), exactly on the face of the ball that it finds, else by their convex face.

    Parameters
    ----------
    X : (N, d), or (N, m, n) for matrices
    y : (N,)
        The equations ⟨w, x_n⟩ = y_n.
    norm : Norm or its name, default l1

    Returns
    -------
    Limit
        ``w`` (d,) or (m, n); ``dual`` ν (N,) with ‖Xᵀν‖⋆ ≤ 1, so that ⟨ν, y⟩ bounds every
        solution's norm from below; ``duality_gap`` is the larger of (‖w‖ − ⟨ν, y⟩)/‖w‖ and the
        relative residual of Xw = y; ``certified``: it is at most 1e-10. A minimiser need
        not be the only one where the norm is not strictly convex.

    Raises
    ------
    ValueError
        Where Xw = y has no solution, or an argument is bad.
    ArithmeticError
        Where no solver found anything.

    Examples
    --------
    >>> import fastbias as fb
    >>> print(fb.minimum_norm([[1, 2]], [1]).w + 0.0)
    [0.  0.5]
    """
    X = checks.array("X", X, "an (N, d) or (N, m, n)", dims=(2, 3))
    shape = X.shape[1:]
    X = X.reshape(X.shape[0], -1)
    y = checks.array("y", y, "an (N,) array", dims=1, length=X.shape[0])
    norm = checks.one_of("norm", norm, norms, Norm)
    norm.fits(shape)
    demand("norm", norm)
    down, up = (int(np.floor(np.log2(np.abs(x).max()))) if x.any() else 0 for x in (X, y))
    # of size one, exactly: solvers square what they get
    rows, goal = np.ldexp(X, -down), np.ldexp(y, -up)
    reachable(rows, goal)
    best = np.inf, np.empty(0), np.empty(0)
    told = f"w of about 2^{up - down} does not fit into float64"
    for solve in _solvers(norm):
        try:
            w, nu = solve(rows, goal, norm)
        except foreign.Unsolved as error:                    # the next may do it
            told = str(error)
            continue
        with np.errstate(all="ignore"):
            w, nu = np.ldexp(w, up - down), np.ldexp(nu, -down)
        gap, nu = _proved(X, y, norm, w, nu)
        # any finite w is better than none
        if gap < best[0] or (best[1].size == 0 and np.isfinite(w).all()):
            best = gap, w, nu
        if gap <= CERTIFIED:
            break
    gap, w, nu = best
    if not w.size:
        raise ArithmeticError(f"the minimum {norm.name} norm could not be found: {told}")
    size = _dual(X, norm, nu)
    rows = (Hypothesis("‖Xᵀν‖⋆ ≤ 1", True if size <= 1 + ROUNDED else None, f"{size:.16g}"),)
    return Limit(w.reshape(shape), "point", f"minimum {norm.name} norm", "linear duality", rows,
                 gap <= CERTIFIED, gap, nu)


_Solver = Callable[[np.ndarray, np.ndarray, Norm], Pair]


def _solvers(norm: Norm) -> list[_Solver]:
    """Who knows the norm, the best first."""
    kind = oracles.oracle(norm)
    if kind is Oracle.QUADRATIC:
        return [_projected]
    if kind is Oracle.POLYTOPE:
        return [partial(_linear_program, ball=str(norm.ball))]
    # far out the nearest polytope is better than nothing
    if kind is Oracle.POWER:
        assert norm.power is not None
        return [_projected, partial(_linear_program, ball=oracles.polytope_near(norm.power))]
    return [_proximal, _conic] if norm.shrink is not None else [_conic]


def _projected(X: np.ndarray, y: np.ndarray, norm: Norm) -> Pair:
    """The argmin ‖w‖ as the projection of 0 in the norm's square, or in a power of it."""
    d = X.shape[1]
    found = bregman_projection(X, y, oracles.potential(norm, d), np.zeros(d))
    return found.w, found.dual


def _dual(X: np.ndarray, norm: Norm, nu: np.ndarray) -> float:
    """‖Xᵀν‖⋆, without rounding of the sums; NaN where Xᵀν is not finite."""
    with np.errstate(all="ignore"):
        pull = exact.careful(X, nu)
    return float(norm.dual(pull)) if np.isfinite(pull).all() else float("nan")


def _proved(X: np.ndarray, y: np.ndarray, norm: Norm, w: np.ndarray,
            nu: np.ndarray) -> tuple[float, np.ndarray]:
    """The larger relative residual that w and a multiple of ν leave, and that multiple."""
    if not np.isfinite(w).all():
        return float("inf"), nu
    size, dual = norm(w), _dual(X, norm, nu)
    with np.errstate(all="ignore"):
        # ‖Xᵀν‖⋆ = 1: then ⟨ν, y⟩ = ⟨Xᵀν, w⟩ ≤ ‖w‖ for every solution w. The division rounds, and
        # where Xᵀν is small by cancellation that is felt
        if dual > 0:
            nu = nu / dual
            dual = _dual(X, norm, nu)
        reached = float(exact.careful(y[:, None], nu)[0]) / max(dual, 1.0)
        return worst(ratio(abs(size - reached), size), feasibility(X, y, w)), nu


def _linear_program(X: np.ndarray, y: np.ndarray, norm: Norm, ball: str) -> Pair:
    """Minimise ‖w‖₁ (w = a − b, Σ a + b) or ‖w‖_∞ (−s ≤ w ≤ s); w and the multipliers of Xw = y.

    The solver's tolerances are absolute, so rows and right-hand side are brought to size one first.
    """
    what, solver = "the linear program of the minimum norm", "scipy.optimize.linprog"
    lengths = row_lengths(X)
    with np.errstate(all="ignore"):
        X, y = X / lengths[:, None], y / lengths
        unit = float(np.abs(y).max()) or 1.0
        y = y / unit
    N, d = X.shape
    if ball == "cross-polytope":
        answer = foreign.ask(what, solver, np.ones(2 * d), A_eq=np.hstack([X, -X]), b_eq=y,
                             bounds=(0, None), method="highs-ds")
    else:
        eye, ones = np.eye(d), np.ones((d, 1))
        answer = foreign.ask(what, solver, np.append(np.zeros(d), 1.0),
                             A_ub=np.block([[eye, -ones], [-eye, -ones]]),
                             b_ub=np.zeros(2 * d), A_eq=np.hstack([X, np.zeros((N, 1))]), b_eq=y,
                             bounds=[(None, None)] * d + [(0, None)], method="highs-ds")
    if answer.x is None or answer.status != 0:
        raise foreign.Unsolved(f"{what} could not be solved: HiGHS says {answer.message}")
    w = answer.x[:d] - answer.x[d:] if ball == "cross-polytope" else answer.x[:d]
    with np.errstate(all="ignore"):
        return w * unit, np.asarray(answer.eqlin.marginals / lengths)


def _proximal(X: np.ndarray, y: np.ndarray, norm: Norm) -> Pair:
    """Minimise by the proximal map."""
    assert norm.shrink is not None
    return _on_face(X, y, norm, least(X, y, norm.shrink))


def _conic(X: np.ndarray, y: np.ndarray, norm: Norm) -> Pair:
    """Minimise by the convex face."""
    found = _convex_program(X, y, norm)
    return found if norm.shrink is None else _on_face(X, y, norm, [found])


def _on_face(X: np.ndarray, y: np.ndarray, norm: Norm, found: Iterable[Pair]) -> Pair:
    """The best of what is found, made exact on its face of the ball."""
    assert norm.shrink is not None
    lengths = row_lengths(X)
    rows, goal = X / lengths[:, None], y / lengths
    inverse = foreign.ask("the minimum norm", "numpy.linalg.pinv", rows @ rows.T, rcond=DEPENDENT,
                          hermitian=True)
    best = np.inf, np.zeros(X.shape[1]), np.zeros(y.size)

    def offer(w: np.ndarray, nu: np.ndarray) -> None:
        nonlocal best
        with np.errstate(all="ignore"):
            for _ in range(2):                               # onto the equations themselves
                w = w + (inverse @ (goal - rows @ w)) @ rows
        gap, nu = _proved(X, y, norm, w, nu)
        best = min(best, (gap, w, nu), key=lambda found: found[0])

    tried = NEARBY
    for pair in found:
        offer(*pair)
        if best[0] <= tried:
            for better in finished(X, y, norm.shrink, *best[1:]):
                offer(*better)
            tried = 0.1 * best[0]
        if best[0] <= 0.1 * CERTIFIED:
            break
    return best[1:]


def _convex_program(X: np.ndarray, y: np.ndarray, norm: Norm) -> Pair:
    oracles.demand_convex(norm, "to be minimised")
    assert norm.convex is not None
    cp, what = foreign.library("cvxpy"), f"the convex program of the minimum {norm.name} norm"
    rows, goal, scale = of_size_one(X, y)
    with foreign.guarded(what):
        w = cp.Variable(X.shape[1])
        equations = [rows @ w == goal]
        solved = solve_tightly(cp.Problem(cp.Minimize(norm.convex(cp, w)), equations))
    if not solved:
        raise foreign.Unsolved(f"{what} could not be solved: the solver failed at every tolerance")
    # (whose sign is a matter of the solver's taste)
    nu = np.asarray(equations[0].dual_value)
    return np.asarray(w.value) * scale, nu if nu @ goal >= 0 else -nu


def of_size_one(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """X and y brought to size one, and what w there must be multiplied by.

    ValueError where that is beyond float64.
    """
    largest = float(np.abs(X).max()) or 1.0
    rows = X / largest
    spread, height = float(np.linalg.norm(rows, 2)) or 1.0, length(y) or 1.0
    with np.errstate(all="ignore"):
        scale = float(np.float64(height) / spread / largest)
    if not 0 < scale < np.inf or not height < np.inf:
        raise ValueError("y must be of a size at which w = y/x fits into float64, "
                         f"got |y| up to {np.abs(y).max():.3g} and |x| up to {largest:.3g}")
    return rows / spread, y / height, scale
