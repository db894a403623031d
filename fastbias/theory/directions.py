"""Section 3: strictly monotone losses on separable data, where only the direction has a limit, a
maximum margin.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.pieces import norms
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem
from fastbias.solvers.diagnose import ill_scaled
from fastbias.solvers.limit import PAPER, Hypothesis, Limit, NoTheorem, Rate
from fastbias.solvers.margins import separate, widest
from fastbias.theory.asked import (
    FAN,
    NACSON,
    PESME,
    SOUDRY,
    WANG,
    chance,
    classes,
    corners,
    decreasing,
    divided,
    endless,
    heavy,
    known,
    measured,
    mirrors,
    of_a_flow,
    of_adagrad,
    of_classes,
    of_length_one,
    of_mirrors,
    over_loss,
    sized,
    stated_for,
    tied,
    unbounded,
)
from fastbias.theory.asymptotes import (
    FLOW,
    TIE,
    asymptote,
    flat,
    flat_norm,
    metric,
    normalised,
    plain,
    ratio,
)
from fastbias.theory.base import (
    Direction,
    Refusal,
    Row,
    another_tail,
    covering,
    disproved,
    momentum,
    named,
    shown,
    tailed,
)
from fastbias.theory.inseparable import inseparable
from fastbias.theory.long_steps import LONG, RUNAWAY, settles
from fastbias.theory.moments import FORGETS, SIGNS
from fastbias.theory.per_sample import PER_SAMPLE
from fastbias.theory.positive import INSIDE
from fastbias.theory.searched import ends
from fastbias.theory.stepsizes import small_steps
from fastbias.theory.tails import GAUSSIAN, POLYNOMIAL
from fastbias.theory.uncovered import NO_DIRECTION

__all__ = ["MARGIN", "direction"]


def _own_norm(problem: Problem) -> Norm:
    g = problem.method.geometry
    assert isinstance(g, Norm)
    return g


def _horizon(problem: Problem) -> Norm:
    """The norm whose ball a potential's level sets tend to."""
    psi = problem.method.geometry
    assert isinstance(psi, Potential)
    assert psi.horizon is not None
    return norms.lp(psi.horizon)


MARGIN: tuple[Row, ...] = (
    # searched steps obey no bound on their length, which the theorems below ask for
    Refusal("no theorem on exact line searches in this norm", f"{PAPER}, Theorem 5",
        lambda p, flow: not flow and p.rule.search and not flat(p) and not corners(p),
        reason="exact line searches may exceed Theorem 5's bound η ≤ 1/(B²L) for ever and then end "
               "under the maximum margin (steepest descent in linf on z = (0, −1, −2), (−2, 2, 3): "
               "3/4 of it), so no theorem names the limit; the nearest is the same method with "
               "fb.steps.bounded, or line searches of gradient descent"),
    Refusal("AdaBoost", "Rudin, Daubechies, Schapire (2004)",
        lambda p, flow: not flow and p.rule.search and float(p.rule.params[0]) == 1.0
        and not flat(p),
        reason="coordinate descent with exact line search is AdaBoost, which on some data cycles "
               "for ever under the maximum l1 margin (an 8 × 8 matrix: 1/3 against 3/8), so no "
               "theorem names its limit; the nearest are Theorem 5, with fb.steps.bounded, and "
               "shrinkage (Telgarsky 2013)"),
    # inner products: gradient descent in their coordinates, from the narrowest theorem to the
    # widest
    RUNAWAY,
    Direction("the l2 maximum margin, steps η/L", "Ji, Telgarsky (2021), and §3.1",
        lambda p, flow: flat(p) and divided(p) and plain(p), norm=flat_norm,
        hypotheses=lambda p: [*sized(p), *over_loss(p), *classes(p)], asymptote=ratio,
        reason="steps η/(L t^a) with a > 1 move log L, and w, by a bounded amount; the nearest "
               "theorem is the same with a ≤ 1"),
    Direction("gradient descent with momentum: the l2 maximum margin", WANG,
        lambda p, flow: flat(p) and momentum(p), norm=flat_norm,
        hypotheses=lambda p: [*heavy(p), *classes(p)], asymptote=asymptote,
        reason="steps that add up to a finite length cannot reach infinity, nor does momentum of 1 "
               "or more come to rest; the nearest theorem is the same with step sizes whose sum is "
               "infinite, and momentum under 1"),
    Direction("stochastic gradient descent: the l2 maximum margin", f"{NACSON}; {WANG}",
        lambda p, flow: flat(p) and bool(p.method.sampling.batch), norm=flat_norm,
        hypotheses=lambda p: [*sized(p), *chance(p, NACSON), *classes(p)],
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is "
               "the same with step sizes whose sum is infinite"),
    LONG,
    Direction("the l2 maximum margin (Soudry et al. 2018; §3.1)", SOUDRY, lambda p, flow: flat(p),
              norm=flat_norm,
        hypotheses=lambda p: [*sized(p), *classes(p, of_classes(p))], asymptote=asymptote,
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is "
               "the same with step sizes whose sum is infinite"),
    GAUSSIAN,
    POLYNOMIAL,
    # one algorithm
    Direction("dual acceleration: the l2 maximum margin", "Ji, Srebro, Telgarsky (2021)",
        lambda p, flow: p.method.averages == "all", norm=lambda p: norms.l2,
        hypotheses=lambda p: [*stated_for(p, "exponential"),
                              *known("Ji, Srebro, Telgarsky (2021)"), *classes(p)],
        rates=lambda p: (Rate("margin gap", "t", -2.0),)),
    Refusal("ties that are wide", f"{PAPER}, Theorem 5",
        lambda p, flow: p.method.ties is not None and p.method.ties > TIE,
        reason="where a coordinate that comes near the largest may move in its place, runs may end "
               "under the maximum l1 margin (x = (1, 1.2), tie_tol = 0.3: the first alone moves, "
               "5/6 of it; with ties=\"average\" 61/66), so no theorem names the limit; the "
               "nearest is Theorem 5 with the default tie_tol"),
    # any other norm: moves of a length of their own first, as Theorem 5 is about ‖Δ‖ = ‖∇L‖⋆
    Direction("the maximum margin in the method's norm, normalised steps",
              f"{PAPER}, the proof of Theorem 5; {FAN}",
        lambda p, flow: p.method.steepest and p.method.unscaled, norm=_own_norm,
        hypotheses=of_length_one, asymptote=normalised,
        reason="steps of a fixed length η end within ηB²/2 of the maximum margin γ but need not "
               "reach it (a margin of at least γ − ηB²/2 follows from the smoothness of log L), "
               "and steps whose sum is finite stop short; the nearest theorem is the same with "
               "fb.steps.power(η, a), 0 < a ≤ 1, or Theorem 5 without normalised steps"),
    Direction("Theorem 5: the maximum margin in the method's norm", f"{PAPER}, Theorem 5",
        lambda p, flow: p.method.steepest and not p.method.averages, norm=_own_norm,
        hypotheses=lambda p: [*sized(p), *stated_for(p, "exponential"), *tied(p), *unbounded(p),
                              *classes(p)],
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is "
               "5 with fb.steps.bounded"),
    # coordinates scaled by their own history
    Direction("Theorem 6 and the quadratic program on the measured G: argmin Σ w²/h with margins ≥ "
              "1, h = G^{−1/2}; it depends on the step size, w(0) and G(0), so no characterisation "
              "by the data alone exists",
        f"Qian, Qian (2019); {PAPER}, §3.3 and Theorem 6",
        lambda p, flow: p.method.measured is not None,
        norm=measured, hypotheses=of_adagrad,
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is "
               "the same at a fixed step size"),
    PER_SAMPLE,
    FORGETS,
    SIGNS,
    # other potentials: what is left is told apart by where they are finite
    Direction("mirror descent: the maximum margin in the norm of the potential's horizon",
        f"Sun, Gatmiry, Ahn, Azizan (2023) for homogeneous ψ; {PESME} in general",
        lambda p, flow: mirrors(p, flow)
        and p.method.geometry.horizon is not None,  # type: ignore[union-attr]
        norm=_horizon, hypotheses=of_mirrors, sole=True,
        reason="steps that add up to a finite length cannot reach infinity, and where several "
               "directions have the maximum margin in the norm of the horizon the theorem does not "
               "say which it is; the nearest theorem is the same with step sizes whose sum is "
               "infinite, or power(p) with 1 < p < ∞, whose maximiser is unique"),
    Refusal("a potential without a known horizon", PESME,
        lambda p, flow: mirrors(p, flow)
        and p.method.geometry.lower == -np.inf      # type: ignore[union-attr]
        and not p.method.geometry.symmetric,        # type: ignore[union-attr]
        reason="the limit is the maximum margin in the norm of the potential's horizon function, "
               "which this one does not declare (horizon=p, where its far level sets have the "
               "shape of the lp ball); the nearest is power(p)"),
    INSIDE,
    Refusal("a bounded domain", PESME, lambda p, flow: mirrors(p, flow),
        reason="the domain of this potential is not the whole space of vectors, which the theorem "
               "on horizon functions asks for: w stays inside it (w > c in each entry, or "
               "symmetric matrices), so separability by some w there is needed too, and the limit "
               "is not in the literature; the nearest are the entropy, of which it is known, and "
               "potentials of all vectors, such as hypentropy(β)"),
    Refusal("§3", f"{PAPER}, §3", lambda p, flow: p.method.dual or p.method.natural,
        reason="no theorem of the table covers this method with a strictly monotone loss; the "
               "nearest are Theorem 5, for steepest descent in any norm, and §3.1, for gradient "
               "descent"),
    *NO_DIRECTION,
)
"""Section 3, the first row that covers a method deciding, or the first of the loss's own tail.

A `Refusal` stands where the theorems that follow would claim too much (searches), or behind those
that it is the rest of (potentials).
"""


# --- what is said beside any maximum margin -------------------------------------------------------

RIGHT = "log L < log ℓ(0), so that no sample is on its wrong side, nor will be while the loss falls"


def _right_side(problem: Problem) -> list[Hypothesis]:
    """A loss that is not convex pulls less and less at samples that are wrong by far, and may leave
    them so for ever.
    """
    if problem.loss.convex:
        return []
    u, t = problem.now
    # L < ℓ(0): no single sample can then have a margin under 0
    now, one = problem.log_loss(u), problem.loss.log(np.zeros(1), np.ones(1))
    one += float(problem.log_weights.min())
    return [Hypothesis(RIGHT, shown(now < one),
                       f"at t = {t} it is {now:.4g} against {one:.4g}; the loss is not convex, and "
                       "its slope vanishes at samples that are wrong by far, which may stay so for "
                       "ever")]


def _may_be_wrong(problem: Problem, rows: list[Hypothesis]) -> bool:
    """Whether some sample may be on its wrong side for ever, for all that is known."""
    right = any(row.holds for row in rows if row.statement == RIGHT)
    return not problem.loss.convex and not right


def _falls(problem: Problem, rows: list[Hypothesis]) -> str:
    """Why the loss goes to 0, where that follows from what is known; "" where it does not."""
    # momentum may overshoot and a batch may raise L, so that no single step is known to lower it
    if momentum(problem) or problem.method.random or disproved(rows):
        return ""
    if _may_be_wrong(problem, rows):
        return ""
    return _falls_by_flow(problem) if of_a_flow(problem) else _falls_by_steps(problem)


def _falls_by_flow(problem: Problem) -> str:
    """The same of the flow η → 0."""
    method = problem.method
    if (method.dual or method.natural) and not flat(problem):
        # a Lyapunov function in place of a rate: it asks for convexity, but for no smoothness of ψ
        return "L(w(t)) ≤ L(c) + D_ψ(c, w(0))/t for every c" if problem.loss.convex else ""
    moves = method.steepest or method.dual or method.natural
    return "dL/dt = −‖∇L‖⋆² ≤ −γ²(Σ|ℓ'|)²" if moves else ""


def _falls_by_steps(problem: Problem) -> str:
    """The same of finite steps: of steepest descent in a norm, gradient descent in a metric."""
    if problem.rule.search:
        return _falls_by_searches(problem)
    if problem.method.unscaled and _moves_steepest(problem):
        return _falls_by_lengths(problem)
    if not (flat(problem) or _moves_steepest(problem)):
        return ""
    if not endless(problem).holds:
        return ""
    if not small_steps(problem).holds:
        return settles(problem)
    if divided(problem):
        return "log L falls by at least a multiple of ηγ² at each step"
    return "L falls by at least a multiple of η‖∇L‖⋆² ≥ ηγ²(Σ|ℓ'|)² at each step, and Ση = ∞"


def _moves_steepest(problem: Problem) -> bool:
    """Whether each move is of steepest descent: among coordinates, by the largest."""
    return problem.method.steepest and all(h.holds for h in tied(problem))


def _falls_by_searches(problem: Problem) -> str:
    """The same of exact line searches, where a fixed step is known to lower L."""
    smooth = named(problem, "exponential") or problem.loss.curvature is not None
    found = smooth and problem.loss.convex and (flat(problem) or _moves_steepest(problem))
    return "each search lowers L by no less than the best fixed step would" if found else ""


def _falls_by_lengths(problem: Problem) -> str:
    """The same of moves of a length of their own, which must come to fall for L to."""
    smooth = named(problem, "exponential", "logistic", "cross_entropy")
    done, mixed = smooth and all(h.holds for h in decreasing(problem)), problem.method.averages
    return (f"L falls by at least ηγΣ|ℓ'|(1 − {'o(1)' if mixed else 'O(η)'}) at each step, η → 0 "
            "and Ση = ∞" if done else "")


def _vanishes(problem: Problem, rows: list[Hypothesis]) -> Hypothesis:
    why = _falls(problem, rows)
    known = "ℓ is convex" if problem.loss.convex else "every margin stays positive"
    return Hypothesis("L(w_t) → 0", shown(bool(why)),
                      f"proved: {known}, the data are separable, and {why}" if why else
                      "seen only in a run: trace.log_loss")


def _cone(problem: Problem, found: Limit) -> list[Hypothesis]:
    """What is said beside any maximum margin: the regularisation path's end, and Lemma 8 with its
    residual so far.
    """
    rows, (u, t) = [_path_ends(found)], problem.now
    # (of a large sparse X there are too many support vectors to tell)
    if t > 0 and problem.small:
        # no theorem gives a rate here, so the residual is reported beside the claim
        off = problem.off_cone(problem.predictor(u), found.w)
        rows.append(Hypothesis("−∇L/‖∇L‖ tends to the cone of the support vectors (Lemma 8)", None,
                               f"it is {off:.1e} away at t = {t}; trace.cone_distance measures "
                               "each row"))
    return rows


def _path_ends(found: Limit) -> Hypothesis:
    """Whether the regularisation path ends there, too."""
    norm, sole = found.norm, found.hypotheses[0].holds
    assert norm is not None
    # these are the lp norms and their images, of which Rosset et al. speak
    stated = norm.ball is not None or norm.power is not None or norm.matrix is not None
    if sole is False:
        but = "several directions have this margin, and .w is one of them; "
    elif not stated:
        but = "stated for lp norms; "
    else:
        but = "" if sole else "they ask for a unique maximiser; "
    return Hypothesis("the regularisation path argmin L over ‖w‖ ≤ c ends in this direction, too",
                      shown(bool(sole) and stated),
                      f"{but}Rosset, Zhu, Hastie (2004); fb.regularisation_path follows it")


def _tailed(problem: Problem, row: Row) -> tuple[Direction, list[Hypothesis]]:
    """A row that names a direction, and that the loss has its tail; NoTheorem where not both."""
    rows = [tailed(problem, row)]
    if not isinstance(row, Direction):
        raise NoTheorem(row.reason, row.source, tuple(rows))
    if not rows[0].holds:
        raise another_tail(problem, row, rows)
    return row, rows


def _solved(problem: Problem, row: Direction, separator: np.ndarray) -> Limit:
    """The direction that a row names."""
    if row.solve is not None:
        return row.solve(problem)
    assert row.norm is not None
    return widest(problem.rows, problem.shape, row.norm(problem), separator)


def _called(problem: Problem, row: Direction) -> str:
    """The theorem in words: in which coordinates, and whether it is Theorem 5, too."""
    theorem, in_flat = row.name, flat(problem)
    if in_flat and metric(problem) is not None:
        theorem = (f"{theorem.replace('l2', 'quadratic norm')}, in whose coordinates the method is "
                   "gradient descent")
    steepest = in_flat and isinstance(problem.method.geometry, Norm)
    # Theorem 5 is about any norm, and this loss
    if steepest and named(problem, "exponential") and not problem.rule.search:
        theorem = f"Theorem 5: {theorem}"
    return theorem


def _at_unit_speed(problem: Problem) -> Problem:
    """What is asked about a flow: one of unit speed, which momentum at a fixed β only rescales."""
    still = replace(problem.method, beta=np.zeros(1), gamma=np.zeros(1))
    return replace(problem, method=still, rule=FLOW)


def direction(problem: Problem, flow: bool) -> Limit:
    """The limit direction that a row of MARGIN names, with its hypotheses checked."""
    if flow:
        problem = _at_unit_speed(problem)
    elif problem.rule.search:
        ends(problem)
    row, rows = _tailed(problem, covering(MARGIN, problem, flow))
    told = separate(problem.rows)
    rows.append(Hypothesis("the data are linearly separable", told.separable,
                           f"a separator, its margins {told.residual:.0e} times their rounding"
                           if told else f"Gordan's λ, residual {told.residual:.0e}"))
    if told.w is None:
        return inseparable(problem, flow, rows, told)
    rows += [*row.hypotheses(problem), *_right_side(problem)]
    # what is known to be False is refused before any oracle is asked
    if disproved(rows):
        raise NoTheorem(row.reason, row.source, tuple(rows))
    found = _solved(problem, row, told.w)
    sole, theorem = found.hypotheses[0], _called(problem, row)
    several = sole.holds is False
    if several and row.sole:
        raise NoTheorem(row.reason, row.source, (*rows, sole))
    if several:
        theorem += ": the margin itself; .w is one of a face of directions that have it"
        sole = sole._replace(evidence=f"{sole.evidence}: .w is one of a face, and only the margin "
                                      "is what the theorem names")
    rows += [sole, *found.hypotheses[1:], _vanishes(problem, rows)]
    # of other directions neither paths nor support vectors are known to lead there
    rows += _cone(problem, found) if row.solve is None else []
    rows += ill_scaled(problem, found.margin)
    rates, offset = row.rates(problem), None
    # a loss that may leave samples on their wrong side has no asymptote to speak of yet, and the
    # rows of a large sparse X are not asked for one
    if row.asymptote is not None and problem.small and not _may_be_wrong(problem, rows):
        known, offset, rates = row.asymptote(problem, found)
        rows += known
    return replace(found, theorem=theorem, source=row.source, hypotheses=tuple(rows), rates=rates,
                   offset=offset)
