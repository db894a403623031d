"""Minimum norms: argmin ‖w‖ subject to Xw = y, or Xw + b = y with b free, each with a certificate
from (w, b, ν) alone.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign, own
from fastbias.checks.sizes import divided, length, ratio, row_lengths, worst
from fastbias.checks.spans import SMALL, independent_rows
from fastbias.data import targets
from fastbias.data.rows import Matrix, Rows, largest
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.norms import Norm
from fastbias.pieces.norms.proximal import least
from fastbias.solvers import exact, intercepts, oracles
from fastbias.solvers.bregman import feasibility
from fastbias.solvers.equations import demand_few, reachable
from fastbias.solvers.faces import NEARBY, finished
from fastbias.solvers.limit import CERTIFIED, Asked, Hypothesis, Limit
from fastbias.solvers.oracles import Oracle
from fastbias.solvers.outputs import blocks, demand_blocks, exponent, shares
from fastbias.solvers.polytopes import least_on_polytope
from fastbias.solvers.programs import Pair, limits, solve_tightly

__all__ = ["minimum_norm", "of_size_one"]

ROUNDED = 1e-9        # by which ‖Xᵀν‖⋆, scaled to one, may be over one and yet be it
DEPENDENT = 1e-12     # squared singular values of rows of length one that depend on each other
LARGE = 5000          # numbers from which interior points are quicker than the simplex method


def minimum_norm(X: ArrayLike | checks.Sparse, y: ArrayLike, norm: Norm | str = norms.l1, *,
                 intercept: bool = False) -> Limit:
    """Solve argmin ‖w‖ subject to Xw = y, or to Xw + b = y, with its certificate.

    For K outputs, y (N, K), the norm is that of all entries of w (K, d), and X wᵀ = y.

    ℓ1 and ℓ∞ by linear programming, many numbers by interior points; quadratic and ℓp norms by
    projection; the others by their proximal map where they have one (50 × 50 matrices with 750
    known entries: ten seconds on one core), exactly on the face of the ball that it finds, else by
    their convex face. Of many rows those that depend on others are left out, and looked at in the
    end.

    Parameters
    ----------
    X : (N, d), or (N, m, n) for matrices; or sparse (N, d) of `scipy.sparse`
        Sparse rows stay so; they want an ℓ1, ℓ2, ℓ∞, ℓp or quadratic norm, and no more than 5000
        rows or 5000 columns.
    y : (N,) or (N, K)
        The equations ⟨w, x_n⟩ = y_n; or ⟨w_k, x_n⟩ = y_nk for K outputs, of which in ℓ1, ℓ2, ℓ∞ and
        ℓp each is solved for by itself, and other norms want K² N d ≤ 2^24.
    norm : Norm or its name, default l1
    intercept : bool, default False
        Whether a number b, which the norm does not see, is added to each prediction (one for each
        output).

    Returns
    -------
    Limit
        ``w`` (d,), (m, n) or (K, d); ``dual`` ν, of the shape of y, with ‖Xᵀν‖⋆ ≤ 1, so that ⟨ν, y⟩
        bounds every solution's norm from below; ``duality_gap`` is the larger of (‖w‖ − ⟨ν, y⟩)/‖w‖
        and the relative residual of Xw = y; ``certified``: it is at most 1e-10. A minimiser need
        not be the only one where the norm is not strictly convex. With an intercept, which is
        ``intercept`` (of K outputs (K,)), Σ ν_n = 0 without rounding, so that the bound holds
        whatever b is.

    Raises
    ------
    ValueError
        Where the equations have no solution, or an argument is bad.
    TypeError
        Where X is sparse and the norm takes no sparse rows.
    ArithmeticError
        Where no solver found anything.

    Examples
    --------
    >>> import fastbias as fb
    >>> print(fb.minimum_norm([[1, 2]], [1]).w + 0.0)
    [0.  0.5]
    >>> limit = fb.minimum_norm([[1, 2], [3, 2], [1, 4]], [1, 3, 1], "l2", intercept=True)
    >>> print(limit.w.round(12) + 0.0, round(limit.intercept, 12) + 0.0)
    [1. 0.] 0.0
    """
    A: Any = checks.matrix("X", X)
    shape = A.shape[1:]
    A = A.reshape(A.shape[0], -1) if A.ndim > 2 else A
    y = targets.numbers(y, A.shape[0], shape)
    columns = y.shape[1] if y.ndim == 2 else 0
    shape = (columns, *shape) if columns else shape
    norm = checks.one_of("norm", norm, norms, Norm)
    norm.fits(shape)
    demand("norm", norm)
    _demand_rows(A, norm)
    if columns > 1 and exponent(norm) is None:
        demand_blocks(A, columns, f"the minimum {norm.name} norm")
    problem = _Equations(Rows(A), targets.flat(y) if columns else y, norm,
                         checks.flag("intercept", intercept), max(1, columns))
    found, told = _solved(problem)
    if not found.w.size:
        raise ArithmeticError(f"the minimum {norm.name} norm could not be found: {told}")
    size = problem.dual(found.nu)
    rows = [Hypothesis("‖Xᵀν‖⋆ ≤ 1", True if size <= 1 + ROUNDED else None, f"{size:.16g}")]
    if intercept:
        left = problem.left(found.nu)
        rows.append(Hypothesis("Σ ν_n = 0", left == 0 or None, f"{left:.3g}, without rounding"))
    return Limit(found.w.reshape(shape), "point", f"minimum {norm.name} norm", "linear duality",
                 tuple(rows), found.gap <= CERTIFIED, found.gap, targets.table(found.nu, columns),
                 intercept=found.b if columns else float(found.b[0]), names=own.names(X),
                 asked=None if columns else
                 Asked("minimum norm", Rows(problem.whole, int(intercept)), norm, y))


def _demand_rows(X: Matrix, norm: Norm) -> None:
    """Raise TypeError or ValueError where rows are sparse and no solver for the norm takes them."""
    if isinstance(X, np.ndarray):
        return
    if oracles.oracle(norm) not in (Oracle.QUADRATIC, Oracle.POLYTOPE, Oracle.POWER):
        raise TypeError(f"X must be dense for the minimum {norm.name} norm, whose solvers see all "
                        f"of it, got a sparse {type(X).__name__}: call .toarray() first")
    demand_few(X)


class _Found(NamedTuple):
    """A minimiser and its multipliers, and how far from proved they are."""

    gap: float
    w: np.ndarray
    nu: np.ndarray
    b: np.ndarray         # (K,), of K outputs; zeros without intercepts


class _Equations:
    """The equations as they were given, which answers are held against: X w_k + b_k = y_k for K
    outputs, y (K N,) and w (K d,).
    """

    def __init__(self, rows: Rows, y: np.ndarray, norm: Norm, intercept: bool, K: int = 1) -> None:
        self.rows, self.y, self.norm, self.intercept, self.K = rows, y, norm, intercept, K
        self.whole = intercepts.beside(rows.A) if intercept else rows.A
        self.goals = y.reshape(K, -1)

    def output(self, k: int) -> _Equations:
        """Those of one output alone."""
        return _Equations(self.rows, self.goals[k], self.norm, self.intercept)

    def left(self, nu: np.ndarray) -> float:
        """The largest |Σ ν_n| of an output, which is 0 where b is free."""
        return worst([abs(intercepts.total(part)) for part in nu.reshape(self.K, -1)])

    def dual(self, nu: np.ndarray) -> float:
        """‖Xᵀν‖⋆, without rounding of the sums; NaN where Xᵀν is not finite."""
        with np.errstate(all="ignore"):
            pull = np.concatenate([exact.careful(self.rows.A, part)
                                   for part in nu.reshape(self.K, -1)])
        return float(self.norm.dual(pull)) if np.isfinite(pull).all() else float("nan")

    def proved(self, w: np.ndarray, nu: np.ndarray) -> _Found:
        """The larger relative residual that w, with the best b, and a multiple of ν leave; and
        these.
        """
        b = np.zeros(self.K)
        if not np.isfinite(w).all():
            return _Found(np.inf, w, nu, b)
        size, each = self.norm(w), w.reshape(self.K, -1)
        with np.errstate(all="ignore"):
            nu, dual = self._scaled(nu)
            reached = float(exact.careful(self.y[:, None], nu)[0]) / max(dual, 1.0)
            if self.intercept:
                b = np.array([intercepts.best(self.rows.A, y, one)
                              for y, one in zip(self.goals, each, strict=True)])
                each = np.column_stack([each, b])
            gap = worst(ratio(abs(size - reached), size),
                        [feasibility(self.whole, y, one)
                         for y, one in zip(self.goals, each, strict=True)])
        # of another sum the bound would be that of one b alone
        balanced = not self.intercept or self.left(nu) == 0
        return _Found(gap if balanced else np.inf, w, nu, b)

    def _scaled(self, nu: np.ndarray) -> tuple[np.ndarray, float]:
        """ν with ‖Xᵀν‖⋆ = 1: then ⟨ν, y⟩ = ⟨Xᵀν, w⟩ ≤ ‖w‖ for every solution w; and that norm."""
        dual = self.dual(nu)
        # the division rounds, and where Xᵀν is small by cancellation that is felt
        if dual > 0:
            nu = nu / dual
            if self.intercept:
                nu = np.concatenate([intercepts.balanced(part) for part in nu.reshape(self.K, -1)])
            dual = self.dual(nu)
        return nu, dual


def _solved(problem: _Equations) -> tuple[_Found, str]:
    """The best answer that the solvers have, and what the last one said that failed: output by
    output where the norm allows that.
    """
    p = exponent(problem.norm)
    if problem.K == 1 or p is None:
        # of size one, exactly: solvers square what they get
        A, y = problem.rows.A, problem.y
        down, up = (int(np.floor(np.log2(x))) if x else 0
                    for x in (float(largest(A, 1).max()), float(np.abs(y).max())))
        return _found(problem, problem.rows.scaled(-down), np.ldexp(y, -up), (down, up))
    parts, told = [], ""
    for k in range(problem.K):
        found, told = _solved(problem.output(k))
        if not found.w.size:
            return found, told
        parts.append(found)
    w = np.concatenate([part.w for part in parts])
    c = shares(np.array([problem.norm(part.w) for part in parts]), p)
    return problem.proved(w, np.concatenate([share * part.nu
                                             for share, part in zip(c, parts, strict=True)])), told


def _found(problem: _Equations, rows: Rows, goal: np.ndarray,
           powers: tuple[int, int]) -> tuple[_Found, str]:
    """The best answer that the solvers have, and what the last one said that failed; ``rows`` and
    ``goal`` are X and y over 2 to those powers.
    """
    (down, up), norm, K = powers, problem.norm, problem.K
    for y in goal.reshape(K, -1):
        reachable(intercepts.beside(rows.A) if problem.intercept else rows.A, y,
                  "X w + b" if problem.intercept else "X w")
    best = _Found(np.inf, np.empty(0), np.empty(0), np.zeros(K))
    told = f"w of about 2^{up - down} does not fit into float64"
    free = [intercepts.Differences(rows.A, y) for y in goal.reshape(K, -1)] \
        if problem.intercept else []
    A, c = (rows.A, goal) if not free else (free[0].rows, np.concatenate([x.goal for x in free]))
    if not c.any():
        return problem.proved(np.zeros(K * rows.size), np.zeros(goal.size)), told
    if K > 1:
        A = blocks(A, K)
    chosen = _deciding(A)
    for solve in _solvers(norm, A):
        try:
            for w, mu in solve(A[chosen], c[chosen], norm):
                nu = np.zeros(c.size)
                nu[chosen] = mu
                if free:
                    nu = np.concatenate([x.multipliers(part) for x, part in
                                         zip(free, nu.reshape(K, -1), strict=True)])
                with np.errstate(all="ignore"):
                    found = problem.proved(np.ldexp(w, up - down), np.ldexp(nu, -down))
                # any finite w is better than none
                if found.gap < best.gap or (best.w.size == 0 and np.isfinite(found.w).all()):
                    best = found
                if best.gap <= CERTIFIED:
                    return best, told
        except foreign.Unsolved as error:                    # the next may do it
            told = str(error)
    return best, told


def _deciding(A: Matrix) -> np.ndarray:
    """The rows that solvers are asked of: of many those that span the others, else all."""
    if isinstance(A, np.ndarray) and A.size <= SMALL:
        return np.arange(len(A))
    return independent_rows(divided(A, row_lengths(A)))


_Solver = Callable[[Any, np.ndarray, Norm], Iterable[Pair]]


def _solvers(norm: Norm, A: Matrix) -> list[_Solver]:
    """Who knows the norm, the best first."""
    kind = oracles.oracle(norm)
    if kind is Oracle.QUADRATIC:
        return [_projected]
    if kind is Oracle.POLYTOPE:
        ball = str(norm.ball)
        program, inside = partial(_linear_program, ball=ball), partial(_interior, ball=ball)
        few = isinstance(A, np.ndarray) and A.size <= LARGE
        return [program] if few else [inside, program]
    # far out the nearest polytope is better than nothing
    if kind is Oracle.POWER:
        assert norm.power is not None
        return [_projected, partial(_linear_program, ball=oracles.polytope_near(norm.power))]
    return [_proximal, _conic] if norm.shrink is not None else [_conic]


def _projected(X: Matrix, y: np.ndarray, norm: Norm) -> Iterator[Pair]:
    """The argmin ‖w‖ as the projection of 0 in the norm's square, or in a power of it."""
    d = X.shape[1]
    psi = oracles.potential(norm, d)
    yield psi.project(X, y, psi.to_dual(np.zeros(d)))


def _interior(X: Matrix, y: np.ndarray, norm: Norm, ball: str) -> Iterator[Pair]:
    """Minimise over a polytope's ball by interior points, for independent rows."""
    lengths = row_lengths(X)
    goal = y / lengths
    unit = length(goal)
    for w, nu in least_on_polytope(divided(X, lengths), goal / unit, ball):
        yield w * unit, nu / lengths


def _linear_program(X: Matrix, y: np.ndarray, norm: Norm, ball: str) -> Iterator[Pair]:
    """Minimise ‖w‖₁ (w = a − b, Σ a + b) or ‖w‖_∞ (the largest t with Xx = ty, |x| ≤ 1, w = x/t);
    w and the multipliers of Xw = y.

    The solver's tolerances are absolute, so rows and right-hand side are brought to size one first.
    """
    what, solver = "the linear program of the minimum norm", "scipy.optimize.linprog"
    lengths = row_lengths(X)
    with np.errstate(all="ignore"):
        rows, y = divided(X, lengths), y / lengths
        unit = float(np.abs(y).max()) or 1.0
        y = y / unit
    N, d = X.shape
    ask = partial(foreign.ask, what, solver, method="highs-ds", options=limits(N))
    sparse: Any = None if isinstance(X, np.ndarray) else foreign.library("scipy.sparse")
    beside = np.hstack if sparse is None else partial(sparse.hstack, format="csc")
    if ball == "cross-polytope":
        answer = ask(np.ones(2 * d), A_eq=beside([rows, -rows]), b_eq=y, bounds=(0, None))
    else:
        # (the cube as bounds: as rows, HiGHS may go round for ever)
        answer = ask(np.append(np.zeros(d), -1.0), A_eq=beside([rows, -y[:, None]]),
                     b_eq=np.zeros(N), bounds=[(-1, 1)] * d + [(0, None)])
    if answer.x is None or answer.status != 0:
        raise foreign.Unsolved(f"{what} could not be solved: HiGHS says {answer.message}")
    with np.errstate(all="ignore"):
        w = answer.x[:d] - answer.x[d:] if ball == "cross-polytope" else answer.x[:d] / answer.x[d]
        nu = np.asarray(answer.eqlin.marginals)
        found = w * unit, (nu if nu @ y >= 0 else -nu) / lengths
    yield found


def _proximal(X: np.ndarray, y: np.ndarray, norm: Norm) -> Iterator[Pair]:
    """Minimise by the proximal map."""
    assert norm.shrink is not None
    yield _on_face(X, y, norm, least(X, y, norm.shrink))


def _conic(X: np.ndarray, y: np.ndarray, norm: Norm) -> Iterator[Pair]:
    """Minimise by the convex face."""
    found = _convex_program(X, y, norm)
    yield found if norm.shrink is None else _on_face(X, y, norm, [found])


def _on_face(X: np.ndarray, y: np.ndarray, norm: Norm, found: Iterable[Pair]) -> Pair:
    """The best of what is found, made exact on its face of the ball."""
    assert norm.shrink is not None
    lengths = row_lengths(X)
    rows, goal = X / lengths[:, None], y / lengths
    inverse = foreign.ask("the minimum norm", "numpy.linalg.pinv", rows @ rows.T, rcond=DEPENDENT,
                          hermitian=True)
    problem = _Equations(Rows(X), y, norm, False)
    best = _Found(np.inf, np.zeros(X.shape[1]), np.zeros(y.size), np.zeros(1))

    def offer(w: np.ndarray, nu: np.ndarray) -> None:
        nonlocal best
        with np.errstate(all="ignore"):
            for _ in range(2):                               # onto the equations themselves
                w = w + (inverse @ (goal - rows @ w)) @ rows
        best = min(best, problem.proved(w, nu), key=lambda found: found.gap)

    tried = NEARBY
    for pair in found:
        offer(*pair)
        if best.gap <= tried:
            for better in finished(X, y, norm.shrink, best.w, best.nu):
                offer(*better)
            tried = 0.1 * best.gap
        if best.gap <= 0.1 * CERTIFIED:
            break
    return best.w, best.nu


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


def of_size_one(X: Any, y: np.ndarray) -> tuple[Any, np.ndarray, float]:
    """X, dense or sparse, and y brought to size one, and what w there must be multiplied by.

    ValueError where that is beyond float64.
    """
    top = float(largest(X, 1).max()) or 1.0
    rows = X / top
    # (of sparse rows as if they were orthogonal: it is a unit, no more)
    spread = float(np.linalg.norm(rows, 2) if isinstance(X, np.ndarray)
                   else row_lengths(rows).max()) or 1.0
    height = length(y) or 1.0
    with np.errstate(all="ignore"):
        scale = float(np.float64(height) / spread / top)
    if not 0 < scale < np.inf or not height < np.inf:
        raise ValueError("y must be of a size at which w = y/x fits into float64, "
                         f"got |y| up to {np.abs(y).max():.3g} and |x| up to {top:.3g}")
    return rows / spread, y / height, scale
