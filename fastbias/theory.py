"""What theory predicts: a table of theorems, each with its hypotheses, and the limits they name, solved to a certificate.

A `Limit` is never just a point: it carries the theorem, its hypotheses with True/False/None and the evidence, the dual
variable, and residuals that are recomputed from (w, ν) alone. Where the paper shows that no characterisation exists,
`NoTheorem` names the example. A new theorem is one row of ``TABLE``.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fastbias import checks, potentials
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.problem import Problem, Unreachable, reachable

__all__ = ["Hypothesis", "Limit", "NoTheorem", "bregman_projection", "feasibility", "limit"]

CERTIFIED = 1e-10
PAPER = "Gunasekar, Lee, Soudry, Srebro (2018)"


class Hypothesis(NamedTuple):
    """One hypothesis of a theorem: what it says, whether it holds (None: cannot be checked), and how we know."""

    statement: str
    holds: bool | None
    evidence: str


@dataclass(frozen=True, eq=False)
class Limit:
    """Where theory says a run goes, with proof.

    Parameters
    ----------
    w : (d,) or (m, n)
        The limit point, or the limit direction (unit in the method's norm).
    kind : "point" or "direction"
    theorem, source : str
        Which theorem, and where it stands.
    hypotheses : tuple of Hypothesis
        Each hypothesis with True, False or None (cannot be checked) and the evidence.
    certified : bool
        Whether the residuals, recomputed from w and the dual alone, are at most 1e-10.
    duality_gap : float
        The larger of the relative feasibility and stationarity residuals.
    dual : (N,)
        ν with ∇ψ(w) − ∇ψ(w0) = Xᵀν.
    margin : float
        NaN for a point.
    """

    w: np.ndarray
    kind: str
    theorem: str
    source: str
    hypotheses: tuple[Hypothesis, ...]
    certified: bool
    duality_gap: float
    dual: np.ndarray
    margin: float = float("nan")

    def __str__(self) -> str:
        proof = "certified" if self.certified else "NOT certified"
        lines = [f"limit {self.kind}: {np.array2string(self.w, precision=8, threshold=12)}",
                 f"by {self.theorem} [{self.source}]", f"{proof}, residual {self.duality_gap:.1e}"]
        return "\n".join(lines + _listed(self.hypotheses))


class NoTheorem(LookupError):  # noqa: N818 (the contract's name)
    """No theorem covers what was asked, or a hypothesis is known to be False.

    Parameters
    ----------
    reason : str
        Why: the example or proposition that shows it, and the nearest theorem that exists.
    source : str
        Where that stands.
    hypotheses : tuple of Hypothesis
        Those that were looked at.
    dual : array, optional
        A certificate of the failure, where there is one.
    """

    def __init__(self, reason: str, source: str = PAPER, hypotheses: tuple[Hypothesis, ...] = (),
                 dual: np.ndarray | None = None) -> None:
        super().__init__("\n".join([f"{reason} [{source}]", *_listed(hypotheses)]))
        self.reason, self.source, self.hypotheses, self.dual = reason, source, hypotheses, dual


def _listed(hypotheses: tuple[Hypothesis, ...]) -> list[str]:
    mark = {True: "yes", False: "NO", None: "open"}
    return [f"  [{mark[h.holds]:>4}] {h.statement}: {h.evidence}" for h in hypotheses]


# ---------------------------------------------------------------------------------------------- Bregman projections

def bregman_projection(X: Any, y: Any, potential: Any, w0: Any = None, constraint: tuple[Any, Any] | None = None) -> Limit:
    """Project w0 on {w : Xw = y} in the geometry of ψ: argmin D_ψ(w, w0), with its certificate.

    Newton's method on the dual, max_ν ⟨ν, y⟩ − ψ*(∇ψ(w0) + Xᵀν), in an orthonormal basis of the row space, so that
    dependent rows do no harm.

    Parameters
    ----------
    X : (N, d) or (N, m, n), y : (N,)
        The affine set.
    potential : Potential
        ψ.
    w0 : (d,), optional
        The point to project, inside dom ψ; argmin ψ by default, which gives argmin ψ over the set.
    constraint : (G, h), optional
        Further equations Gw = h, G (k, d), h (k,) (Theorem 1a); ν then has N + k entries.

    Returns
    -------
    Limit
        ``kind`` "point"; ``certified`` is False where the projection lies on the boundary of the domain, where no
        finite ν exists.

    Raises
    ------
    ValueError
        Where no w of the closed domain satisfies the equations, or an argument is bad.

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
    X = checks.array("X", X, "an (N, d) or (N, m, n)", dims=(2, 3))
    shape = X.shape[1:]
    X = X.reshape(X.shape[0], -1)
    y = checks.array("y", y, "an (N,) array", dims=1, length=X.shape[0])
    if psi.size not in (None, X.shape[1]):
        raise ValueError(f"X must have {psi.size} columns for the {psi.name} potential, got {X.shape[1]}")
    if constraint is not None:
        G, h = checks.equations("constraint", constraint)
        if G.shape[1] != X.shape[1]:
            raise ValueError(f"constraint must have {X.shape[1]} columns, got {G.shape[1]}")
        X, y = np.vstack([X, G]), np.concatenate([y, h])
    w0 = psi.start(X.shape[1]) if w0 is None else checks.point("w0", w0, X.shape[1], shape)
    try:
        z0 = psi.to_dual(w0)
    except ValueError:
        raise ValueError(f"w0 must lie inside the domain of the {psi.name} potential, got {checks.short(w0)}") from None
    reachable(X, y)
    w, nu = psi.project(X, y, z0)
    gap = _residual(X, y, psi, z0, w, nu)
    certified = gap <= CERTIFIED
    row = Hypothesis("an interior point of the domain satisfies the equations", True if certified else None,
                     f"residuals at most {gap:.1e}")
    unseen = _unseen(X, w - psi.lower) if certified and np.isfinite(psi.lower) else np.zeros(w.size, bool)
    if np.isfinite(psi.lower) and (not certified or unseen.any()):
        free = _interior(X, y, psi)
        if not free.all() and (not certified or unseen[~free].all()):
            w, nu, certified = np.full(w.size, psi.lower), np.full(y.size, np.nan), False
            if free.any():
                rest = np.ascontiguousarray(X[:, free])
                w[free] = psi.project(rest, y - psi.lower * X[:, ~free].sum(axis=1), z0[free])[0]
            gap = feasibility(X, y, w)
            row = Hypothesis(row.statement, False, f"a linear program: {int((~free).sum())} of {w.size} coordinates lie on "
                             "the boundary in every solution, so no finite dual variable exists")
    if psi.symmetric:
        values = np.linalg.eigvalsh(w.reshape(2 * (psi.symmetric,)))
        if not certified or values[0] <= 1e-9 * values[-1]:
            lowest = _in_cone(X, y, psi.symmetric)
            certified = certified and lowest > 1e-7 * float(values[-1])
            row = Hypothesis(row.statement, True if certified else False if lowest <= 1e-7 else None, "a semidefinite "
                             f"program: the smallest eigenvalue of a solution can be {lowest:.1e}, not more")
    return Limit(w.reshape(shape), "point", "Bregman projection", f"{PAPER}, eq. (6)", (row,), certified, gap, nu)


def feasibility(X: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """The largest |⟨x_n, w⟩ − y_n| relative to the terms of its sum, so that no row hides behind another."""
    error, size = np.abs(X @ w - y), np.maximum(np.abs(y), np.abs(X) @ np.abs(w))
    return float(np.max(np.divide(error, size, out=error.copy(), where=size > 0)))


def _residual(X: np.ndarray, y: np.ndarray, psi: Potential, z0: np.ndarray, w: np.ndarray, nu: np.ndarray) -> float:
    """The larger of the two relative residuals of eq. (6), from w and ν alone.

    Stationarity is measured against the dual variables, and against what a relative change of w does to ∇ψ(w); where a
    coordinate underflows onto the boundary (e^−800 is 0), as w = (∇ψ)⁻¹(∇ψ(w0) + Xᵀν).
    """
    pull = nu @ X
    try:
        z, nearby = psi.to_dual(w), psi.to_dual(w * (1 + 1e-8))
    except ValueError:
        if not np.isfinite(z0 + pull).all():
            return float("inf")
        return max(feasibility(X, y, w), relative(psi.to_primal(z0 + pull) - w, w))
    scale = max(float(np.abs(x).max()) for x in (z, z0, pull, (nearby - z) * 1e8))
    error = float(np.abs(z - z0 - pull).max())
    return max(feasibility(X, y, w), error / scale if scale > 0 else error)


def _unseen(X: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Which coordinates are so small that no equation sees them in float64."""
    terms = np.abs(X) * inside
    return np.asarray((terms <= 4 * np.finfo(float).eps * terms.sum(axis=1, keepdims=True)).all(axis=0))


def _interior(X: np.ndarray, y: np.ndarray, psi: Potential) -> np.ndarray:
    """Which coordinates are above the lower bound in some solution (`Unreachable` where there is no solution)."""
    from scipy.optimize import linprog
    N, d = X.shape
    # max Σ t  s.t.  X v = (y − X lower) τ,  v ≥ t,  0 ≤ t ≤ 1,  τ ≥ 1:  t_i = 1 exactly where some solution is above;
    # the feasible set is a cone, so rows and right-hand side may be brought to size one
    shift = y - psi.lower * X.sum(axis=1)
    scale = np.linalg.norm(X, axis=1)
    scale[scale == 0] = 1.0
    rows, shift = X / scale[:, None], shift / scale
    shift = shift / (np.abs(shift).max() or 1.0)
    answer = linprog(np.concatenate([np.zeros(d), -np.ones(d), [0.0]]),
                     A_ub=np.hstack([-np.eye(d), np.eye(d), np.zeros((d, 1))]), b_ub=np.zeros(d),
                     A_eq=np.hstack([rows, np.zeros((N, d)), -shift[:, None]]), b_eq=np.zeros(N),
                     bounds=[(0, None)] * d + [(0, 1)] * d + [(1, None)], method="highs-ds")
    if answer.status == 2:
        raise Unreachable(f"X w = y must have a solution in the domain of the {psi.name} potential (w >= {psi.lower:g}), "
                          "but a linear program shows there is none")
    return np.asarray(answer.x[d:2 * d] > 0.5) if answer.status == 0 else np.ones(d, bool)


def _in_cone(X: np.ndarray, y: np.ndarray, n: int) -> float:
    """How large (at most 1) the smallest eigenvalue of a solution can be; `Unreachable` where none is semidefinite."""
    import cvxpy as cp
    W = cp.Variable((n, n), PSD=True)
    lowest = cp.Variable()
    program = cp.Problem(cp.Maximize(lowest), [X @ cp.reshape(W, (n * n,), order="C") == y, W >> lowest * np.eye(n),
                                               lowest <= 1])
    program.solve(cp.CLARABEL)
    if program.status not in ("optimal", "optimal_inaccurate"):
        raise Unreachable("X w = y must have a positive semidefinite solution, but a semidefinite program says "
                          f"{program.status}")
    return float(lowest.value)  # type: ignore[arg-type]


def relative(error: np.ndarray, *scales: Any) -> float:
    """‖error‖ over the largest of the scales (numbers or vectors); 0 for 0/0."""
    size, scale = float(np.linalg.norm(error)), max(float(np.linalg.norm(x)) for x in scales)
    return size / scale if scale > 0 else size


# ---------------------------------------------------------------------------------------------------- the theorems

@dataclass(frozen=True)
class Row:
    """One theorem, or one example that shows that there is none.

    Parameters
    ----------
    name, source : str
        The theorem or example, and where it stands.
    covers : (problem, flow) → bool
        Whether it speaks of this loss class, method and model.
    potential : problem → Potential, optional
        The ψ whose Bregman projection of the start is the limit; None where no characterisation exists.
    reason : str
        With ``potential`` None: what to tell the user.
    hypotheses : problem → rows, optional
        What it asks beyond what every theorem of its section asks.
    """

    name: str
    source: str
    covers: Callable[[Problem, bool], bool]
    potential: Callable[[Problem], Potential] | None = None
    reason: str = ""
    hypotheses: Callable[[Problem], list[Hypothesis]] = field(default=lambda problem: [])


def _psi(problem: Problem) -> Potential:
    """The potential of the method's geometry: its own, or ½‖·‖² of a quadratic norm."""
    g = problem.method.geometry
    if isinstance(g, Potential):
        return g
    if isinstance(g, Norm) and g.matrix not in (None, np.eye):
        return potentials.quadratic(g.matrix(problem.start.size))
    return potentials.euclidean


def _in_span(problem: Problem) -> list[Hypothesis]:
    at_rest = np.abs(_psi(problem).to_dual(problem.start)).max() <= 1e-12
    why = "Δ(−1) = 0, and γ only moves the point where the gradient is taken; "
    if problem.method.sampling.batch:
        why += "so does each stochastic gradient, eq. (2) (Remark 1); "
    rows = [Hypothesis("every increment of the dual variable lies in span{x_n}", True,
                       why + ("the start is argmin ψ" if at_rest else "so the start need not be argmin ψ"))]
    if problem.method.constraint is not None:
        rows[0] = rows[0]._replace(statement="every increment of the dual variable lies in span{x_n, rows of G}")
    return rows


def _quadratic(problem: Problem) -> bool:
    g = problem.method.geometry
    return g is None or (isinstance(g, Potential) and g.quadratic) or (isinstance(g, Norm) and g.matrix is not None)


def _known_link(problem: Problem) -> bool:
    return isinstance(problem.method.geometry, Potential)


TABLE: tuple[Row, ...] = (
    Row("minimum distance from the start, §2.1 (momentum: eq. 3)", f"{PAPER}, §2.1",
        lambda p, flow: p.method.family == "gradient", _psi, hypotheses=_in_span),
    Row("the flow of eq. (10): argmin D_ψ(w, w(0)) over the global minima", f"{PAPER}, §2.3, eq. (10)",
        lambda p, flow: flow and p.method.family in ("mirror", "natural") and _known_link(p), _psi,
        hypotheses=lambda p: [Hypothesis("η → 0: mirror and natural gradient descent share one flow", True, "asked for")]),
    Row("Theorem 1a: argmin D_ψ(w, w(0)) over the global minima with Gw = h", f"{PAPER}, Theorem 1a",
        lambda p, flow: p.method.constraint is not None, _psi, hypotheses=_in_span),
    Row("Theorem 1b: argmin ψ over the global minima", f"{PAPER}, Theorem 1b",
        lambda p, flow: p.method.family == "mirror" and bool(p.method.beta.any()) and (not p.method.primal or _quadratic(p)),
        _psi, hypotheses=_in_span),
    Row("Theorem 1: argmin D_ψ(w, w(0)) over the global minima", f"{PAPER}, Theorem 1",
        lambda p, flow: p.method.family == "mirror" and not p.method.primal, _psi, hypotheses=_in_span),
    Row("Example 2", f"{PAPER}, Example 2 and Proposition 2a", lambda p, flow: p.method.primal,
        reason="with primal momentum the dual iterates leave the span of the data, so the limit depends on η, β and γ "
               "(Example 2, Proposition 2a); the nearest theorem is 1b: use dual_momentum"),
    Row("Theorem 1, natural gradient with a quadratic potential being mirror descent", f"{PAPER}, §2.3 and Theorem 1",
        lambda p, flow: p.method.family == "natural" and _known_link(p) and _quadratic(p), _psi, hypotheses=_in_span),
    Row("Example 3", f"{PAPER}, Example 3 and Proposition 3a",
        lambda p, flow: p.method.family == "natural" and _known_link(p),
        reason="natural gradient descent with finite steps leaves the mirror-descent path, so the limit depends on η "
               "(Example 3, Proposition 3a); the nearest theorem is the flow η → 0: plan.limit(flow=True)"),
    Row("a metric of the user's own", f"{PAPER}, §2.3, eq. (9)", lambda p, flow: p.method.family == "natural",
        reason="a metric H(w) that is not known to be the Hessian of a potential has no characterisation "
               "(Example 3 shows it fails even for Hessians); the nearest theorem is 1, for mirror descent"),
    Row("minimum distance in a quadratic norm, §2.4 (mirror descent with ½wᵀDw, Theorem 1)", f"{PAPER}, §2.4",
        lambda p, flow: p.method.family == "steepest" and _quadratic(p) and not p.method.unscaled, _psi,
        hypotheses=_in_span),
    Row("normalised steps", f"{PAPER}, §2.4", lambda p, flow: p.method.family == "steepest" and p.method.unscaled,
        reason="steps of fixed length do not come to rest at a global minimum, so there is no limit point to "
               "characterise; the nearest statement is §2.4 for quadratic norms without normalised=True"),
    Row("§2.4", f"{PAPER}, §2.4, coordinate descent", lambda p, flow: p.method.family == "coordinate",
        reason="coordinate descent and stagewise selection follow the l1 regularisation path only where that path is "
               "monotone, and may end at a larger l1 norm (§2.4; X = [[0, 3, -1], [3, 2, 2]], y = (2, -4) is one case); the "
               "nearest statement is that path itself: fb.l1_path, and fb.minimum_norm for its end"),
    Row("Example 4", f"{PAPER}, §2.4 and Example 4", lambda p, flow: p.method.family == "steepest",
        reason="steepest descent in a norm that is not quadratic (or does not declare its matrix=) goes to "
               "a point that depends on η, and even η → 0 "
               "does not give the minimum norm (Example 4; for l1, the stagewise paths of §2.4); the nearest statements "
               "are §2.4 for quadratic norms, and Theorem 5 for strictly monotone losses"),
)


def _least_squares(problem: Problem, psi: Potential, rows: list[Hypothesis]) -> Limit | None:
    """The limit for the squared loss on data that are not realisable: the least-squares solution nearest to the start.

    The increments still lie in the span, and the minima of ‖Xw − y‖² are {w : Xw = XX⁺y}; None where that says nothing.
    """
    if problem.loss.name != "squared" or problem.method.sampling.batch or problem.method.constraint is not None:
        return None
    reached = problem.X @ np.linalg.lstsq(problem.X, problem.y, rcond=None)[0]
    try:
        found = bregman_projection(problem.X, reached, psi, problem.start)
    except Unreachable:
        return None
    normal = problem.X.T @ (problem.X @ found.w.ravel() - problem.y)
    gap = max(found.duality_gap, relative(normal, np.linalg.norm(problem.X, 2) * np.linalg.norm(problem.y)))
    rows = [*rows, *_in_span(problem),
            Hypothesis("XᵀXw = Xᵀy has a solution in dom ψ", found.certified, f"residual {gap:.1e}"),
            Hypothesis("the steps are small enough that ∇L(w_t) → 0", None, "seen only in a run")]
    return Limit(found.w.reshape(problem.shape), "point", "least squares: the data are not realisable, so no theorem of the "
                 "paper speaks; the span argument of §2.1 gives argmin D_ψ(w, w(0)) over the least-squares solutions",
                 f"{PAPER}, §2.1", tuple(rows), found.certified and gap <= CERTIFIED, gap, found.dual)


def limit(problem: Problem, flow: bool = False) -> Limit:
    """Look up the theorem that covers a problem, check its hypotheses, and solve for the limit it names.

    Parameters
    ----------
    problem : Problem
    flow : bool, default False
        Ask about the continuous-time limit η → 0 instead of finite steps.

    Raises
    ------
    NoTheorem
        Where none covers it, or a hypothesis is known to be False.
    """
    if problem.loss.kind != "root":
        raise NoTheorem("no theorem of the table covers strictly monotone losses; the nearest are those of Section 2, "
                        "for losses with a unique finite root", f"{PAPER}, §3")
    if not problem.model.linear:
        raise NoTheorem(f"no theorem of the table covers the {problem.model.name} model with a loss that has a finite "
                        "root; the nearest are those of Section 2, for the linear model", f"{PAPER}, §4")
    row = next(row for row in TABLE if row.covers(problem, flow))
    rows = [Hypothesis("the loss has a unique finite root (Property 1)", True, problem.loss.name)]
    if row.potential is None:
        raise NoTheorem(row.reason, row.source, tuple(rows))
    realisable = "the data are realisable: some w in the closure of dom ψ has ⟨w, x_n⟩ = y_n for every n"
    psi = row.potential(problem)
    try:
        found = bregman_projection(problem.X, problem.y, psi, problem.start, problem.method.constraint)
    except Unreachable as error:
        rows.append(Hypothesis(realisable, False, str(error)))
        least = _least_squares(problem, psi, rows)
        if least is not None:
            return least
        raise NoTheorem(f"{row.name} needs realisable data, and these are not", row.source, tuple(rows)) from None
    rows.append(Hypothesis(realisable, True if found.certified or found.hypotheses[0].holds is False else None,
                           f"residual {found.duality_gap:.1e}" if found.certified else found.hypotheses[0].evidence))
    rows.append(Hypothesis("ψ is strictly convex and the start lies in its domain", True, f"ψ: {psi.name}"))
    rows += row.hypotheses(problem)
    rows.append(Hypothesis("the steps are small enough that L(w_t) → 0", None, "seen only in a run: trace.log_loss"))
    return Limit(found.w.reshape(problem.shape), "point", row.name, row.source, tuple(rows), found.certified,
                 found.duality_gap, found.dual)
