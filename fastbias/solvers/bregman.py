"""Bregman projections, the limits of Section 2, with certificates recomputed from (w, ν) alone."""
from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign, own
from fastbias.checks.sizes import divided, length, misfits, ratio, row_lengths, worst
from fastbias.data import targets
from fastbias.data.rows import Matrix, Rows, demand_symmetric
from fastbias.pieces import potentials
from fastbias.pieces.potentials import Potential
from fastbias.solvers.conic_programs import solve_cone
from fastbias.solvers.equations import Unreachable, demand_few, reachable, stacked
from fastbias.solvers.limit import CERTIFIED, PAPER, Asked, Hypothesis, Limit
from fastbias.solvers.outputs import blocks, demand_blocks
from fastbias.solvers.programs import limits

__all__ = ["bregman_projection", "feasibility", "relative"]

NEARBY = 1e-8         # relative change of w that rounding and ∇ψ's own errors cannot be told from
SINGULAR = 1e-9       # eigenvalues so small, relative to the largest, may be on the cone's boundary
INTERIOR = 1e-7       # least eigenvalue of some solution: more than the cone program's own error
ON, INFEASIBLE = 0.5, 2      # HiGHS: t is 0 or 1 but for rounding; its status for no solution


def bregman_projection(X: ArrayLike | checks.Sparse, y: ArrayLike, potential: Potential | str,
                       w0: ArrayLike | None = None,
                       constraint: tuple[ArrayLike, ArrayLike] | None = None) -> Limit:
    """Project w0 on {w : Xw = y} in the geometry of ψ: argmin D_ψ(w, w0), with its certificate.

    Newton's method on the dual, max_ν ⟨ν, y⟩ − ψ*(∇ψ(w0) + Xᵀν), for rows that span the others, so
    that dependent rows do no harm.

    Parameters
    ----------
    X : (N, d) or (N, m, n), or sparse (N, d) of `scipy.sparse`; y : (N,) or (N, K)
        The affine set; of K outputs that of w (K, d) with X wᵀ = y: K projections where ψ is a sum
        over the entries, else K² N d ≤ 2^24 is wanted. Sparse rows stay so; they want a potential
        of vectors whose Hessian is diagonal, or that and a multiple of wwᵀ, or constant, and no
        more than 5000 rows or 5000 columns.
    potential : Potential
        ψ.
    w0 : (d,), (m, n) or (K, d), optional
        The point to project, inside dom ψ; argmin ψ by default, which gives argmin ψ over the set.
    constraint : (G, h), optional
        Further equations Gw = h, G (k, d), h (k,) (Theorem 1a); ν then has N + k entries. For K
        outputs G is (k, K d), and ν (K N + k,), output after output.

    Returns
    -------
    Limit
        ``kind`` "point"; ``dual`` ν of the shape of y; ``certified`` is False where the projection
        lies on the boundary of the domain, where no finite ν exists.

    Raises
    ------
    ValueError
        Where no w of the closed domain satisfies the equations, or an argument is bad.
    TypeError
        Where X is sparse and the potential takes no sparse rows.
    ArithmeticError
        Where nothing finite was found: the dual variable lies beyond float64.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eq. (6); Bregman (1967).

    Examples
    --------
    >>> import fastbias as fb
    >>> print(fb.bregman_projection([[1, 2]], [1], fb.potentials.entropy).w.round(12))
    [0.5  0.25]
    """
    psi: Potential = checks.one_of("potential", potential, potentials, Potential)
    A: Any = checks.matrix("X", X)
    shape = A.shape[1:]
    A = A.reshape(A.shape[0], -1) if A.ndim > 2 else A
    y = targets.numbers(y, A.shape[0], shape)
    columns = y.shape[1] if y.ndim == 2 else 0
    shape = (columns, *shape) if columns else shape
    size = A.shape[1] * max(1, columns)
    if psi.size not in (None, size):
        what = f"X must have {psi.size} columns" if not columns \
            else f"X and y must make predictors of {psi.size} entries"
        raise ValueError(f"{what} for the {psi.name} potential, got {size}")
    if columns and psi.symmetric and shape != (psi.symmetric, psi.symmetric):
        raise ValueError(f"y must have as many columns as X has, {psi.symmetric}, for the "
                         f"{psi.name} potential of symmetric matrices, got {shape}")
    start = psi.start(size) if w0 is None else checks.point("w0", w0, size, shape)
    if columns and psi.separable and psi.size is None and constraint is None:
        found = _joined([_projected(A, goal, psi, w) for goal, w in
                         zip(y.T, start.reshape(shape), strict=True)])
    else:
        if columns:
            demand_blocks(A, columns, f"the projection in the {psi.name} potential")
            A, y = blocks(A, columns, psi.symmetric), targets.flat(y)
        A, y = (A, y) if constraint is None else _further(A, y, constraint)
        found = _projected(A, y, psi, start)
    nu = found.nu if constraint is not None else targets.table(found.nu, columns)
    return Limit(found.w.reshape(shape), "point", "Bregman projection", f"{PAPER}, eq. (6)",
                 (found.told,), found.certified, found.gap, nu, names=own.names(X),
                 asked=None if columns else
                 Asked("projection", Rows(A), psi, y, start))


def _projected(A: Any, y: np.ndarray, psi: Potential, w0: np.ndarray) -> _Found:
    """The projection of w0 on {w : Aw = y}, w (d,)."""
    if not isinstance(A, np.ndarray):
        demand_few(A)
        if psi.symmetric:
            raise TypeError(f"X must be dense for the {psi.name} potential, which is of matrices, "
                            f"got a sparse {type(A).__name__}: call .toarray() first")
    demand_symmetric(A, psi.symmetric)
    try:
        z0 = psi.to_dual(w0)
    except ValueError:
        raise ValueError(f"w0 must lie inside the domain of the {psi.name} potential, got "
                         f"{checks.short(w0)}") from None
    reachable(A, y)
    if not np.isfinite(z0).all():
        raise ValueError(f"w0 must have a finite gradient of the {psi.name} potential, got "
                         f"{checks.short(w0)}")
    w, nu = psi.project(A, y, z0)
    if not np.isfinite(w).all():
        raise foreign.Unsolved(f"the projection in the {psi.name} potential could not be found: "
                               "what Newton's method on its dual came to is not finite")
    gap = _residual(A, y, psi, z0, w, nu)
    certified = gap <= CERTIFIED
    told = Hypothesis(INSIDE, True if certified else None, f"residuals at most {gap:.1e}")
    found = _Found(w, nu, gap, certified, told)
    if np.isfinite(psi.lower):
        found = _bounded_below(A, y, psi, z0, found)
    if psi.symmetric:
        found = _semidefinite(A, y, psi, found)
    return found


def _joined(parts: list[_Found]) -> _Found:
    """The projections of several outputs as one: as good as the worst of them."""
    worse = max(parts, key=lambda part: (not part.certified, part.told.holds is False,
                                         worst(part.gap)))
    return _Found(np.concatenate([part.w for part in parts]),
                  np.concatenate([part.nu for part in parts]), worst(*(part.gap for part in parts)),
                  all(part.certified for part in parts), worse.told)


def _further(X: Matrix, y: np.ndarray,
             constraint: tuple[ArrayLike, ArrayLike]) -> tuple[Matrix, np.ndarray]:
    """The equations with those of a constraint behind them."""
    G, h = checks.equations("constraint", constraint)
    if G.shape[1] != X.shape[1]:
        raise ValueError(f"constraint must have {X.shape[1]} columns, got {G.shape[1]}")
    return stacked([X, G]), np.concatenate([y, h])


INSIDE = "an interior point of the domain satisfies the equations"


class _Found(NamedTuple):
    """A projection, as far as it is known."""

    w: np.ndarray
    nu: np.ndarray
    gap: float
    certified: bool
    told: Hypothesis


def _bounded_below(X: Matrix, y: np.ndarray, psi: Potential, z0: np.ndarray,
                   found: _Found) -> _Found:
    """The same where w ≥ lower: on the boundary no finite ν exists, whatever Newton came to."""
    unseen = np.zeros(found.w.size, bool)
    if found.certified:
        unseen = _unseen(X, found.w - psi.lower)
        if not unseen.any():
            return found
    free = _interior(X, y, psi)
    # Newton's ν can be huge and its w as near to the boundary as the certificate sees
    if free.all() or (found.certified and not unseen[~free].all()):
        return found
    w, nu = np.full(found.w.size, psi.lower), np.full(y.size, np.nan)
    if free.any():
        rest: Any = X[:, free]
        rest = np.ascontiguousarray(rest) if isinstance(X, np.ndarray) else rest
        w[free] = psi.project(rest, y - psi.lower * (X @ (~free).astype(float)), z0[free])[0]
    told = (f"a linear program: {int((~free).sum())} of {w.size} coordinates lie on the boundary "
            "in every solution, so no finite dual variable exists")
    return _Found(w, nu, feasibility(X, y, w), False, Hypothesis(INSIDE, False, told))


def _semidefinite(X: np.ndarray, y: np.ndarray, psi: Potential, found: _Found) -> _Found:
    """The same where W ⪰ 0: a W that is nearly singular may be one on the boundary."""
    values = np.linalg.eigvalsh(found.w.reshape(2 * (psi.symmetric,)))
    if found.certified and values[0] > SINGULAR * values[-1]:
        return found
    lowest = _in_cone(X, y, psi.symmetric)
    certified = found.certified and lowest > INTERIOR * float(values[-1])
    holds = True if certified else False if lowest <= INTERIOR else None
    told = f"a semidefinite program: the smallest eigenvalue of a solution can be {lowest:.1e}"
    return found._replace(certified=certified, told=Hypothesis(INSIDE, holds, f"{told}, not more"))


def feasibility(X: Matrix, y: np.ndarray, w: np.ndarray) -> float:
    """The largest |⟨x_n, w⟩ − y_n| relative to the terms of its own sum."""
    return worst(misfits(X, y, w))


def _residual(X: Matrix, y: np.ndarray, psi: Potential, z0: np.ndarray, w: np.ndarray,
              nu: np.ndarray) -> float:
    """The larger of the two relative residuals of eq. (6), from w and ν alone.

    Stationarity is measured against the dual variables, and against what a relative change of w
    does to ∇ψ(w); where a coordinate underflows onto the boundary (e^−800 is 0), as w =
    (∇ψ)⁻¹(∇ψ(w0) + Xᵀν).
    """
    with np.errstate(all="ignore"):
        pull = X.T @ nu
    try:
        z, nearby = psi.to_dual(w), psi.to_dual(w * (1 + NEARBY))
    except ValueError:
        if not np.isfinite(z0 + pull).all():
            return float("inf")
        return worst(feasibility(X, y, w), relative(psi.to_primal(z0 + pull) - w, w))
    with np.errstate(all="ignore"):
        scale = worst(*(np.abs(x) for x in (z, z0, pull, (nearby - z) * (1 / NEARBY))))
        error = worst(np.abs(z - z0 - pull))
    return worst(feasibility(X, y, w), ratio(error, scale))


def _unseen(X: Matrix, inside: np.ndarray) -> np.ndarray:
    """Which coordinates are so small that each equation could do without them, to the accuracy of
    the certificate.
    """
    if isinstance(X, np.ndarray):
        terms = np.abs(X) * inside
        return np.asarray((terms <= CERTIFIED * terms.sum(axis=1, keepdims=True)).all(axis=0))
    where: Any = X.tocsr()
    terms = np.abs(where.data) * inside[where.indices]
    totals = np.repeat(np.asarray(abs(X) @ inside), np.diff(where.indptr))
    return np.bincount(where.indices, terms > CERTIFIED * totals, X.shape[1]) == 0


def _interior(X: Matrix, y: np.ndarray, psi: Potential) -> np.ndarray:
    """Which coordinates are above the lower bound in some solution (`Unreachable` where there is no
    solution).
    """
    N, d = X.shape
    # max Σ t  s.t.  X v = (y − X lower) τ,  v ≥ t,  0 ≤ t ≤ 1,  τ ≥ 1:  t_i = 1 exactly where some
    # solution is above;
    # the feasible set is a cone, so rows and right-hand side may be brought to size one
    shift = y - psi.lower * (X @ np.ones(d))
    # nor do units of v matter
    X = divided(X.T, np.exp2(np.floor(np.log2(row_lengths(X.T))))).T
    scale = row_lengths(X)
    rows, shift = divided(X, scale), shift / scale
    shift = shift / (np.abs(shift).max() or 1.0)
    sparse: Any = foreign.library("scipy.sparse")
    block = np.block if isinstance(X, np.ndarray) else partial(sparse.block_array, format="csc")
    eye = np.eye(d) if isinstance(X, np.ndarray) else sparse.eye_array(d)
    nothing = np.zeros if isinstance(X, np.ndarray) else sparse.csr_array
    answer = foreign.ask("the linear program for an interior solution", "scipy.optimize.linprog",
                         np.concatenate([np.zeros(d), -np.ones(d), [0.0]]),
                         A_ub=block([[-eye, eye, nothing((d, 1))]]), b_ub=np.zeros(d),
                         A_eq=block([[rows, nothing((N, d)), -shift[:, None]]]),
                         b_eq=np.zeros(N), bounds=[(0, None)] * d + [(0, 1)] * d + [(1, None)],
                         method="highs-ds", options=limits(N + 3 * d))
    if answer.status == INFEASIBLE:
        raise Unreachable(f"X w = y must have a solution in the domain of the {psi.name} potential "
                          f"(w >= {psi.lower:g}), but a linear program shows there is none")
    return np.asarray(answer.x[d:2 * d] > ON) if answer.status == 0 else np.ones(d, bool)


def _in_cone(X: np.ndarray, y: np.ndarray, n: int) -> float:
    """How large (at most 1) the smallest eigenvalue of a solution can be; `Unreachable` where none
    is semidefinite.
    """
    cp, what = foreign.library("cvxpy"), "the semidefinite program for an interior solution"
    with foreign.guarded(what):
        W = cp.Variable((n, n), PSD=True)
        lowest = cp.Variable()
        program = cp.Problem(cp.Maximize(lowest),
                             [X @ cp.reshape(W, (n * n,), order="C") == y, W >> lowest * np.eye(n),
                              lowest <= 1])
        solve_cone(program)
    if program.status in ("infeasible", "infeasible_inaccurate"):
        raise Unreachable("X w = y must have a positive semidefinite solution, but a semidefinite "
                          f"program says {program.status}")
    if program.status not in ("optimal", "optimal_inaccurate") or not np.isfinite(lowest.value):
        raise foreign.Unsolved(f"{what} could not be solved: {program.status}")
    return float(lowest.value)


def relative(error: np.ndarray, *scales: ArrayLike) -> float:
    """‖error‖ over the largest of the scales (numbers or vectors); 0 for 0/0."""
    return ratio(length(error), worst(*(length(x) for x in scales)))
