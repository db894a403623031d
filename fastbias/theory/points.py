"""Section 2: losses with a unique finite root, where the limit is a point, the Bregman projection
of the start.
"""
from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from fastbias.data.targets import table
from fastbias.pieces import potentials
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem
from fastbias.solvers.bregman import bregman_projection
from fastbias.solvers.diagnose import ill_scaled
from fastbias.solvers.equations import Unreachable, least_squares, off_normal
from fastbias.solvers.limit import CERTIFIED, PAPER, Hypothesis, Limit, NoTheorem
from fastbias.theory.asked import goes_on
from fastbias.theory.asymptotes import pace, rule_of
from fastbias.theory.base import (
    Point,
    Refusal,
    Row,
    covering,
    flowing,
    gradient,
    momentum,
    named,
    quadratic,
    shown,
)
from fastbias.theory.stepsizes import max_step, outgrown
from fastbias.theory.uncovered import NO_POINT

__all__ = ["ROOT", "point"]

SEEN, UNKNOWN = "seen only in a run: trace.log_loss", "no bound is known to the table"


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
                       why + ("the start is argmin ψ" if at_rest else "so the start need not be "
                                                                      "argmin ψ"))]
    if problem.method.constraint is not None:
        Q, c = problem.method.constraint
        off = float(np.abs(Q @ problem.start - c).max()) > 1e-9 \
            * (1.0 + float(np.abs(problem.start).max()))
        rows[0] = rows[0]._replace(statement="every increment of the dual variable lies in "
                                             "span{x_n, rows of G}",
                                   evidence=why + "so the start need not be argmin ψ" + (
                                       ", nor satisfy Gw = h: the first update projects it, eq. (4)"
                                       if off else ""))
    return rows


ROOT: tuple[Row, ...] = (
    Point("minimum distance from the start, §2.1 (momentum: eq. 3)", f"{PAPER}, §2.1",
          lambda p, flow: gradient(p), potential=_psi, hypotheses=_in_span),
    Point("the flow of eq. (10): argmin D_ψ(w, w(0)) over the global minima",
          f"{PAPER}, §2.3, eq. (10)",
          lambda p, flow: flow and flowing(p), potential=_psi,
          hypotheses=lambda p: [Hypothesis("η → 0: mirror and natural gradient descent share one "
                                           "flow", True,
                                           "asked for")]),
    Point("Theorem 1a: argmin D_ψ(w, w(0)) over the global minima with Gw = h",
          f"{PAPER}, Theorem 1a",
          lambda p, flow: p.method.dual and p.method.constraint is not None, potential=_psi,
          hypotheses=_in_span),
    Point("Theorem 1b: argmin D_ψ(w, w(0)) over the global minima, which from argmin ψ is argmin ψ",
          f"{PAPER}, Theorem 1b", lambda p, flow: p.method.dual and bool(p.method.beta.any())
          and (not p.method.primal or quadratic(p)), potential=_psi, hypotheses=_in_span),
    Point("Theorem 1: argmin D_ψ(w, w(0)) over the global minima", f"{PAPER}, Theorem 1",
          lambda p, flow: p.method.dual and not p.method.primal, potential=_psi,
          hypotheses=_in_span),
    Refusal("Example 2", f"{PAPER}, Example 2 and Proposition 2a", lambda p, flow: p.method.dual,
            reason="with primal momentum the dual iterates leave the span of the data, so the "
                   "limit depends on η, β and γ (Example 2, Proposition 2a); the nearest theorem "
                   "is 1b: use dual_momentum"),
    Point("Theorem 1, natural gradient with a quadratic potential being mirror descent",
          f"{PAPER}, §2.3 and Theorem 1", lambda p, flow: p.method.natural and flowing(p)
          and quadratic(p),
          potential=_psi, hypotheses=_in_span),
    Refusal("Example 3", f"{PAPER}, Example 3 and Proposition 3a", lambda p, flow: p.method.natural
            and flowing(p),
            reason="natural gradient descent with finite steps leaves the mirror-descent path, so "
                   "the limit depends on η (Example 3, Proposition 3a); the nearest theorem is the "
                   "flow η → 0: plan.limit(flow=True)"),
    Refusal("a metric of the user's own",
            f"{PAPER}, §2.3, eq. (9)", lambda p, flow: p.method.natural,
            reason="a metric H(w) that is not known to be the Hessian of a potential has no "
                   "characterisation (Example 3 shows it fails even for Hessians); the nearest "
                   "theorem is 1, for mirror descent"),
    Point("minimum distance in a quadratic norm, §2.4 (mirror descent with ½wᵀDw, Theorem 1)",
          f"{PAPER}, §2.4",
          lambda p, flow: p.method.steepest and not p.method.averages and quadratic(p)
          and not p.method.unscaled,
          potential=_psi, hypotheses=_in_span),
    Refusal("normalised steps", f"{PAPER}, §2.4",
            lambda p, flow: p.method.steepest and p.method.unscaled and p.method.ties is None,
            reason="steps of fixed length do not come to rest at a global minimum, so there is no "
                   "limit point to characterise; the nearest statement is §2.4 for quadratic norms "
                   "without normalised=True"),
    Refusal("§3.3", f"{PAPER}, §3.3", lambda p, flow: p.method.adaptive,
            reason="adaptive methods go to a point that depends on the step size and on the "
                   "history of the gradient: by inspection of eq. (13) no characterisation is to "
                   "be expected (§3.3); the nearest theorem is 1, for mirror descent"),
    Refusal("§2.4", f"{PAPER}, §2.4, coordinate descent", lambda p, flow: p.method.ties is not None,
            reason="coordinate descent and stagewise selection follow the l1 regularisation path "
                   "only where that path is monotone, and may end at a larger l1 norm (§2.4; X = "
                   "[[0, 3, -1], [3, 2, 2]], y = (2, -4) is one case); the nearest statement is "
                   "that path itself: fb.l1_path, and fb.minimum_norm for its end"),
    Refusal("Example 4", f"{PAPER}, §2.4 and Example 4", lambda p, flow: p.method.steepest,
            reason="steepest descent in a norm that is not quadratic (or does not declare its "
                   "matrix=) goes to a point that depends on η, and even η → 0 does not give the "
                   "minimum norm (Example 4; for l1, the stagewise paths of §2.4); the nearest "
                   "statements are §2.4 for quadratic norms, and Theorem 5 for strictly monotone "
                   "losses"),
    *NO_POINT,
)
"""Section 2, the first row that covers a method deciding: what moves in w, then in ∇ψ(w), then in
other geometries.

A theorem stands before the example that shows where it ends, so that a `Refusal` speaks of what no
`Point` above it covers: each asks what a method declares (`fastbias.pieces.methods.Method`) and no
more.
"""


def _vanishing(problem: Problem, flow: bool, found: Limit, what: str = "L(w_t)") -> Hypothesis:
    """Whether the steps are small enough that L, or its gradient, goes to 0, as it does at a limit
    in dom ψ.
    """
    holds, told = _falls(problem, flow) if found.certified else (None, SEEN)
    away = "" if flow or holds or not found.certified else outgrown(problem, found.w.ravel())
    if away:
        holds, told = False, f"{problem.rule!r} is too long: {away}"
    return Hypothesis(f"the steps are small enough that {what} → 0", holds, told)


def _falls(problem: Problem, flow: bool) -> tuple[bool | None, str]:
    """Whether L is known to fall to its least value, and why."""
    rule, loss = problem.rule, problem.loss
    if not loss.convex or loss.curvature is None:
        return None, SEEN
    # a flow has no step to be too long
    if flow:
        return True, "the flow of a convex L: L(w_t) − L(w∞) ≤ D_ψ(w∞, w(0))/t"
    if not _goes_on(problem):
        return None, f"{rule!r}; {SEEN}"
    # a step that varies is bounded by its largest, at any time
    largest = rule.most(0)
    bound, why = _longest(problem)
    if np.isnan(bound):
        return None, f"{rule!r}; {why}; {SEEN}"
    if not largest < bound:
        return None, f"η ≤ {largest:.6g}, not under {bound:.6g}: {why}; {SEEN}"
    return True, f"η ≤ {largest:.6g}, under {bound:.6g} ({why})"


def _goes_on(problem: Problem) -> bool:
    """Whether the steps are fixed beforehand, go wherever −∇L takes them, and do not stop short of
    a minimum, as those may whose sum is finite.
    """
    method, fall = problem.method, pace(problem)
    endless = rule_of(problem) in ("constant", "power") and fall is not None and fall <= 1
    return endless and not method.sampling.batch and not method.unscaled \
        and (problem.rule.fixed or not momentum(problem))


def _longest(problem: Problem) -> tuple[float, str]:
    """The step under which L is known to fall to its least value, and why; NaN where none is."""
    # in inner products L is smooth or quadratic in the plain sense, else it is so relatively to ψ
    if quadratic(problem) and problem.method.constraint is None:
        with suppress(NoTheorem):
            bound, theorem, _ = max_step(problem, problem.start)
            return bound, f"{theorem}; " + (
                "each part of the error is a stable linear recursion" if problem.loss.quadratic
                else "L is convex and Λ-smooth")
    elif not momentum(problem):
        return _relatively_smooth(problem)
    return np.nan, UNKNOWN


def _relatively_smooth(problem: Problem) -> tuple[float, str]:
    """The largest step of mirror descent for which L is known to fall to its least value: 1/η
    bounds ∇²L by ∇²ψ.
    """
    psi, method, curvature = problem.method.geometry, problem.method, problem.loss.curvature
    source = ("∇²L ⪯ ∇²ψ/η and each step gives L(w⁺) ≤ L(v) + (D_ψ(v, w) − D_ψ(v, w⁺))/η (Lu, "
              "Freund, Nesterov 2018)")
    assert curvature is not None
    # cosh″ ≥ 1, so that smoothness relative to ½‖w‖² is enough
    if psi is potentials.cosh and method.constraint is None:
        step = 1.0 / (curvature * max(problem.spread * problem.spread, 1e-300))
        return step, f"∇²ψ ⪰ I: {source}"
    if psi is potentials.entropy and method.constraint is not None:
        G, h = method.constraint
        # a multiple of Σ w = 1: Pinsker speaks of the simplex, of any size
        # (several outputs have the columns of one: Σ_k ‖w_k‖₁² ≤ ‖w‖₁²)
        alone = problem.outputs == 1 or problem.columns
        if len(G) == 1 and np.allclose(G, G[0, 0], rtol=1e-14, atol=0) and alone:
            with np.errstate(over="ignore"):                       # a bound of 0, then
                columns = float((problem.even[0] ** 2).sum(axis=0).max())
            return 1.0 / (curvature * max(columns, 1e-300) * abs(float(h[0] / G[0, 0]))), \
                f"strong convexity in l1 on the simplex (Pinsker): {source}"
    return np.nan, UNKNOWN


def _least_squares(problem: Problem, psi: Potential, rows: list[Hypothesis]) -> Limit | None:
    """The limit for the squared loss on data that are not realisable: the least-squares solution
    nearest to the start.

    The increments still lie in the span, and the minima of ‖Xw − y‖² are {w : Xw = XX⁺y}; None
    where that says nothing.
    """
    if not named(problem, "squared") or problem.method.sampling.batch \
        or problem.method.constraint is not None:
        return None
    # of all targets that can be met the nearest: these data are realisable by construction
    X, y = problem.even
    y = table(y, problem.columns)
    reached = problem.X @ least_squares(X, y)
    try:
        found = bregman_projection(problem.X, reached, psi, problem.start)
    except Unreachable:
        return None
    # the certificate is for the data as they were given, not for the targets that replaced them
    w = found.w.T if problem.columns else found.w.ravel()
    gap = float(np.max([found.duality_gap, off_normal(X, y, w)]))
    met = found.certified and gap <= CERTIFIED
    rows = [*rows, *_in_span(problem),
            Hypothesis("XᵀXw = Xᵀy has a solution in dom ψ" if problem.weights is None
                       else "XᵀCXw = XᵀCy, C the weights, has a solution in dom ψ",
                       shown(met), f"residual {gap:.1e}"),
            _vanishing(problem, False, replace(found, certified=met), "∇L(w_t)")]
    return Limit(found.w.reshape(problem.shape), "point",
                 "least squares: the data are not realisable, so no theorem of the paper speaks; "
                 "the span argument of §2.1 gives argmin D_ψ(w, w(0)) over the least-squares "
                 "solutions",
                 f"{PAPER}, §2.1", tuple(rows), met, gap, found.dual)


def point(problem: Problem, flow: bool) -> Limit:
    """The limit point that a row of ROOT names, with its hypotheses checked."""
    row = covering(ROOT, problem, flow)
    rows = [Hypothesis("the loss has a unique finite root (Property 1)", True, problem.loss.name)]
    if not isinstance(row, Point):
        raise NoTheorem(row.reason, row.source, tuple(rows))
    goes_on(problem, flow, row.source)
    # a loss without a common root has another limit, if it has one
    realisable = ("the data are realisable: some w in the closure of dom ψ has ⟨w, x_n⟩ = y_n for "
                  "every n")
    psi = row.potential(problem)
    assert psi is not None
    try:
        found = bregman_projection(problem.X, problem.targets, psi, problem.start,
                                   problem.method.constraint)
    except Unreachable as error:
        rows.append(Hypothesis(realisable, False, str(error)))
        # the squared loss alone has an answer there
        least = _least_squares(problem, psi, rows)
        if least is not None:
            return least
        raise NoTheorem(f"{row.name} needs realisable data, and these are not; the nearest is the "
                        "squared loss, all samples at each update, without constraint: its limit "
                        "is the nearest least-squares solution", row.source, tuple(rows)) from None
    rows.append(Hypothesis(realisable, True if found.certified or found.hypotheses[0].holds is False
                           else None,
                           f"residual {found.duality_gap:.1e}" if found.certified
                           else found.hypotheses[0].evidence))
    rows.append(Hypothesis("ψ is strictly convex and the start lies in its domain", True,
                           f"ψ: {psi.name}"))
    rows += row.hypotheses(problem)
    rows.append(_vanishing(problem, flow, found))
    rows += ill_scaled(problem)
    return Limit(found.w.reshape(problem.shape), "point", row.name, row.source, tuple(rows),
                 found.certified, found.duality_gap, found.dual, asked=found.asked)
