"""What theory predicts: a table of theorems, each with its hypotheses, and the limits they name, solved to a certificate.

A `Limit` is never just a point: it carries the theorem, its hypotheses with True/False/None and the evidence, the dual
variable, and residuals that are recomputed from (w, ν) alone. Where the paper shows that no characterisation exists,
`NoTheorem` names the example. A new theorem is one row of ``ROOT`` or ``MARGIN``.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fastbias import norms, potentials
from fastbias.limits import CERTIFIED, PAPER, Hypothesis, Limit, NoTheorem
from fastbias.margins import max_margin, separability
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.problem import Problem, Unreachable
from fastbias.projections import bregman_projection, relative

__all__ = ["MARGIN", "ROOT", "Row", "limit"]


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
        The ψ whose Bregman projection of the start is the limit (losses with a unique finite root).
    norm : problem → Norm, optional
        The norm whose maximum margin is the limit direction (strictly monotone losses).
    reason : str
        With neither: what to tell the user.
    hypotheses : problem → rows, optional
        What it asks beyond what every theorem of its section asks.
    """

    name: str
    source: str
    covers: Callable[[Problem, bool], bool]
    potential: Callable[[Problem], Potential] | None = None
    norm: Callable[[Problem], Norm] | None = None
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


ROOT: tuple[Row, ...] = (
    Row("minimum distance from the start, §2.1 (momentum: eq. 3)", f"{PAPER}, §2.1",
        lambda p, flow: p.method.family == "gradient", _psi, hypotheses=_in_span),
    Row("the flow of eq. (10): argmin D_ψ(w, w(0)) over the global minima", f"{PAPER}, §2.3, eq. (10)",
        lambda p, flow: flow and p.method.family in ("mirror", "natural") and _known_link(p), _psi,
        hypotheses=lambda p: [Hypothesis("η → 0: mirror and natural gradient descent share one flow", True, "asked for")]),
    Row("Theorem 1a: argmin D_ψ(w, w(0)) over the global minima with Gw = h", f"{PAPER}, Theorem 1a",
        lambda p, flow: p.method.constraint is not None, _psi, hypotheses=_in_span),
    Row("Theorem 1b: argmin D_ψ(w, w(0)) over the global minima, which from argmin ψ is argmin ψ", f"{PAPER}, Theorem 1b",
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
    Row("§3.3", f"{PAPER}, §3.3", lambda p, flow: p.method.family == "adaptive",
        reason="adaptive methods go to a point that depends on the step size and on the history of the gradient: by "
               "inspection of eq. (13) no characterisation is to be expected (§3.3); the nearest theorem is 1, for mirror "
               "descent"),
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


def _small_steps(problem: Problem) -> list[Hypothesis]:
    """Whether Theorem 5's step rule is the one in use."""
    exact = problem.rule.radius and problem.loss.name == "exponential" and not problem.method.beta.any()
    return [Hypothesis("the steps are at most min(η₊, 1/(B²L)), exponential loss (Theorem 5)", True if exact else None,
                       f"{problem.rule!r}, {problem.loss.name} loss" + ("" if exact else "; small enough steps will do"))]


def _momentum_or_batches(problem: Problem) -> list[Hypothesis]:
    rows = _small_steps(problem)
    if problem.method.beta.any() or problem.method.gamma.any():
        rows.append(Hypothesis("momentum keeps the direction", None, "Wang, Meng, Chen, Liu (2022), under their conditions"))
    if problem.method.sampling.batch:
        rows.append(Hypothesis("stochastic gradients keep the direction", None,
                               "Nacson, Srebro, Soudry (2019), for a fixed small step"))
    return rows


def _own_norm(problem: Problem) -> Norm:
    assert isinstance(problem.method.geometry, Norm)
    return problem.method.geometry


MARGIN: tuple[Row, ...] = (
    Row("the l2 maximum margin (Soudry et al. 2018; §3.1)", "Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018)",
        lambda p, flow: p.method.family == "gradient", norm=lambda p: norms.l2, hypotheses=_momentum_or_batches),
    Row("normalised steps", f"{PAPER}, §3.2", lambda p, flow: p.method.unscaled and p.method.family in (
        "steepest", "coordinate"),
        reason="steps of a fixed length are not those of Theorem 5; the nearest theorem is 5, without normalised steps and "
               "with fb.steps.bounded"),
    Row("Theorem 5: the maximum margin in the method's norm", f"{PAPER}, Theorem 5",
        lambda p, flow: p.method.family in ("steepest", "coordinate"), norm=_own_norm, hypotheses=_small_steps),
    Row("Theorem 6", f"{PAPER}, §3.3 and Theorem 6", lambda p, flow: p.method.family == "adaptive",
        reason="G stays bounded, so step size, start and G(0) decide the limit direction of adaptive methods for ever "
               "(Theorem 6): it needs a run to be measured; the nearest theorem is 5, for steepest descent"),
    Row("§3", f"{PAPER}, §3", lambda p, flow: True,
        reason="no theorem of the table covers this method with a strictly monotone loss; the nearest are Theorem 5, for "
               "steepest descent in any norm, and §3.1, for gradient descent"),
)


def _margin(problem: Problem, row: Row) -> Limit:
    """The limit direction that a row of MARGIN names, with its hypotheses checked."""
    tail = "the loss has an exponential tail"
    rows = [Hypothesis(tail, problem.loss.tail == "exponential", f"{problem.loss.name}: {problem.loss.tail or 'unknown'}")]
    if row.norm is None:
        raise NoTheorem(row.reason, row.source, tuple(rows))
    if not rows[0].holds:
        raise NoTheorem(f"{row.name} asks for an exponential tail, which the {problem.loss.name} loss has not; the nearest "
                        "losses are exponential and logistic", row.source, tuple(rows))
    told = separability(problem.X, problem.y)
    rows.append(Hypothesis("the data are linearly separable", told.separable,
                           f"certificate with residual {told.residual:.1e}"))
    if not told:
        raise NoTheorem("the data are not separable (λ in .dual certifies it), so the loss does not go to 0 and no theorem "
                        "of Section 3 applies; the nearest are those of Section 2", f"{PAPER}, §3", tuple(rows), told.dual)
    found = max_margin(problem.X, problem.y, row.norm(problem))
    rows += [*found.hypotheses, *row.hypotheses(problem),
             Hypothesis("L(w_t) → 0", None, "seen only in a run: trace.log_loss")]
    return Limit(found.w.reshape(problem.shape), "direction", row.name, row.source, tuple(rows), found.certified,
                 found.duality_gap, found.dual, found.margin)


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
    if not problem.model.linear:
        raise NoTheorem(f"no theorem of the table covers the {problem.model.name} model; the nearest are those of Sections "
                        "2 and 3, for the linear model", f"{PAPER}, §4")
    row = next(row for row in (ROOT if problem.loss.kind == "root" else MARGIN) if row.covers(problem, flow))
    if problem.loss.kind == "monotone":
        return _margin(problem, row)
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
