"""Section 3: strictly monotone losses on separable data, where only the direction has a limit, a maximum margin."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.pieces import norms
from fastbias.pieces.laws import ours
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem, radius, zero_rows
from fastbias.solvers.diagnose import ill_scaled
from fastbias.solvers.limit import PAPER, Hypothesis, Limit, NoTheorem, Rate
from fastbias.solvers.margins import separate, widest
from fastbias.theory.asymptotes import (
    FLOW,
    TIE,
    asymptote,
    flat,
    flat_norm,
    metric,
    normalised,
    pace,
    plain,
    ratio,
    rule_of,
)
from fastbias.theory.base import (
    Direction,
    Refusal,
    Row,
    another_tail,
    covering,
    flowing,
    momentum,
    named,
    tailed,
)
from fastbias.theory.searched import ends
from fastbias.theory.stepsizes import small_steps

__all__ = ["MARGIN", "direction"]

SOUDRY = "Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018)"
NACSON = "Nacson, Srebro, Soudry (2019)"
WANG = "Wang, Meng, Zhang, Sun, Chen, Ma, Liu (2022)"
FAN = "Fan, Schmidt, Thrampoulidis (2025)"
PESME = "Pesme, Dragomir, Flammarion (2024)"
ENTRYWISE = ("l1", "l2", "linf", "spectral", "nuclear")     # and lp: entrywise and Schatten norms


def _flowing(problem: Problem) -> bool:
    return problem.rule is FLOW


def _endless(problem: Problem) -> Hypothesis:
    if _flowing(problem):
        return Hypothesis("η → 0: the flow", True, "asked for")
    a = pace(problem)
    return Hypothesis("the step sizes add up to infinity", None if a is None else a <= 1, repr(problem.rule))


def _small(problem: Problem) -> list[Hypothesis]:
    return [] if _flowing(problem) else [small_steps(problem)]


def _stated_for(problem: Problem, *losses: str) -> list[Hypothesis]:
    """Whether a theorem that is stated for certain losses is so for this one."""
    return [Hypothesis(f"the loss is one that the theorem is stated for ({', '.join(losses)})",
                       True if named(problem, *losses) else None, problem.loss.name)]


def _steps(problem: Problem) -> list[Hypothesis]:
    return [_endless(problem), *_small(problem), *_searched(problem)]


def _momentum(problem: Problem) -> list[Hypothesis]:
    method = problem.method
    largest = float(method.beta.max())
    told = f"stated as known from {WANG}: for heavy balls with a fixed small step, by their abstract"
    if method.gamma.any():
        told += "; not for Nesterov's γ"
    return [_endless(problem), *_small(problem), Hypothesis("the momentum stays under 1", largest < 1, f"β ≤ {largest:g}"),
            Hypothesis("momentum keeps the direction", None, told), *_chance(problem, WANG)]


def _chance(problem: Problem, source: str) -> list[Hypothesis]:
    sampling = problem.method.sampling
    if not sampling.batch:
        return []
    told = f"stated as known from {source}, " + (
        "who draw without replacement, at a fixed small step" if source == NACSON else "at a fixed small step")
    if source == NACSON and sampling.replace:
        told = f"stated as known from {WANG} for draws with replacement; {NACSON} draw without"
    return [Hypothesis("stochastic gradients keep the direction", None, told)]


def _classes(problem: Problem, source: str = "") -> list[Hypothesis]:
    """Whether a theorem that is stated for two classes is known for K."""
    if not problem.loss.classes:
        return []
    return [Hypothesis("the theorem holds for K classes", True if source else None,
                       source or "stated for two classes; the same argument over all pairs (y, c) is not in the literature")]


def _known(source: str) -> list[Hypothesis]:
    """What is said beside a theorem whose source was not at hand when its row was written."""
    return [Hypothesis("the theorem is as its source states it", None, f"stated as known from {source}")]


def _soudry(problem: Problem) -> str:
    """Who treats K classes: for gradient descent itself, not in other metrics."""
    return f"{SOUDRY}, Theorem 7" if metric(problem) is None else ""


def _decreasing(problem: Problem) -> list[Hypothesis]:
    a = pace(problem)
    own = Hypothesis("the step sizes fall to 0", None if a is None else a > 0, repr(problem.rule))
    return [_endless(problem), own]


def _normalised(problem: Problem) -> list[Hypothesis]:
    """Without momentum all is proved in a line: −log L grows like Σ η‖∇L‖⋆/L ≥ γ Σ η (1 − o(1)), and ‖w‖ ≤ Σ η."""
    rows = [*_decreasing(problem), *_stated_for(problem, "exponential", "logistic", "cross_entropy")]
    if not problem.method.averages:
        return [*rows, *_classes(problem, "‖∇L‖⋆ ≥ γ Σ|ℓ'| and |ℓ''| ≤ |ℓ'| over the pairs (y, c)"), *_ties(problem)]
    known = named(problem, "cross_entropy") and _entrywise(problem)
    return [*rows, Hypothesis("momentum in the gradient keeps the direction", None, f"stated as known from {FAN}, for "
                              "averages of gradients, entrywise and Schatten norms, cross-entropy" +
                              ("" if known else ": not this loss or norm"))]


def _entrywise(problem: Problem) -> bool:
    norm = problem.method.geometry
    return isinstance(norm, Norm) and (norm.name in ENTRYWISE or norm.power is not None)


def _ties(problem: Problem) -> list[Hypothesis]:
    tol = problem.method.ties
    if tol is None:
        return []
    return [Hypothesis("the coordinate that moves is the largest", True if tol <= TIE else None, f"tie_tol = {tol:g}")]


def _adam(problem: Problem) -> list[Hypothesis]:
    assert problem.method.moments is not None
    (beta1, beta2, eps), corrected = problem.method.moments, problem.method.aged
    live = np.abs(problem.X).max(axis=0) > 0                   # a feature that is always 0 never has a gradient
    first = np.abs(problem.pull(problem.start)[1]).reshape(problem.outputs, -1)[:, live]
    return [Hypothesis("no ε in the denominator", bool(eps == 0), f"ε = {eps:g}"),
            Hypothesis("β₁ ≤ β₂", bool(beta1 <= beta2), f"{beta1:g}, {beta2:g}"), *_decreasing(problem)[:2],
            Hypothesis("no entry of the first gradient is 0", True if first.min(initial=1.0) > 0 else None,
                       f"least {first.min(initial=1.0):.3g}"),
            Hypothesis("the theorem's Adam corrects no bias", None if corrected else True, "this one does" if corrected else
                       "nor does this one"), *_stated_for(problem, "exponential", "logistic"),
            *_known("Zhang, Zou, Cao (2024)"), *_classes(problem)]


def _adagrad(problem: Problem) -> list[Hypothesis]:
    """Theorem 6's own conditions, which are sufficient: where they fail nothing follows."""
    reached, eta = problem.reached, problem.rule(0)
    assert reached is not None
    G0 = problem.method.begin(problem.start)[0] + problem.method.params[0]
    loss = eta ** 2 * float(np.exp(min(problem.log_loss(problem.start), 700.0)))
    scaled = np.divide(problem.X, G0 ** 0.25, out=np.where(problem.X == 0, 0.0, np.inf), where=G0 > 0) \
        if problem.outputs == 1 else np.full((1, 1), np.inf)
    length = float(np.linalg.norm(scaled, axis=1).max())
    s, g = problem.pull(problem.predictor(reached.u))
    now = reached.state[0] + problem.method.params[0]
    rest = float(np.max(np.divide((np.exp(s) * g) ** 2 * reached.t, now, out=np.zeros(now.size), where=now > 0)))
    fixed = problem.rule.fixed and problem.rule.params.size == 1
    return [_endless(problem), Hypothesis("the step size is fixed", True if fixed else None, repr(problem.rule)),
            *_stated_for(problem, "exponential"),
            Hypothesis("η² L(w(0)) < 1", True if loss < 1 else None, f"{loss:.3g}"),
            Hypothesis("‖G(0)^{−1/4} x_n‖₂ ≤ 1", True if length <= 1 else None, f"{length:.3g}"),
            Hypothesis("G is what it will be at t = ∞", None, f"measured at t = {reached.t}; what is to come is about "
                       f"t g² ≤ {rest:.1e} of it, if |g| goes on falling like 1/t"),
            *_known("Qian, Qian (2019)"), *_classes(problem)]


def _measured(problem: Problem) -> Norm:
    if problem.reached is None or problem.reached.t == 0 or problem.method.measured is None:
        raise NoTheorem("G∞ decides the limit direction of AdaGrad, so it needs a run first: plan.run(...), then "
                        "plan.limit() measures G. By Theorem 6 G stays bounded, so step size, start and G(0) have their say "
                        "for ever and no characterisation by the data alone exists; the nearest theorem is 5, for steepest "
                        "descent",
                        f"{PAPER}, §3.3 and Theorem 6")
    return problem.method.measured(problem.reached.state)


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


def _mirror(problem: Problem) -> list[Hypothesis]:
    psi = problem.method.geometry
    assert isinstance(psi, Potential)
    rows = [_endless(problem)]
    if not _flowing(problem):
        rows.append(Hypothesis("the steps are small enough that the loss falls at each", None,
                               f"{problem.rule!r}; seen only in a run"))
    if not _flowing(problem) and psi.horizon in (1.0, np.inf):          # in between, ψ is a power of its norm
        rows.append(Hypothesis("finite steps go where the mirror flow goes", None, f"{PESME} speak of the flow η → 0"))
    if momentum(problem):
        rows.append(Hypothesis("momentum keeps the direction", None, "not in the literature"))
    if not ours(psi):
        rows.append(Hypothesis("ψ meets the mild assumptions of the theorem", None, f"{PESME}; this ψ is one's own"))
    return [*rows, *_classes(problem)]


def _mirrors(problem: Problem, flow: bool) -> bool:
    method = problem.method
    return (flowing(problem) and method.constraint is None and not method.sampling.batch
            and (flow if method.natural else not method.primal))


def _divided(problem: Problem) -> bool:
    """Whether the steps are η/L."""
    return rule_of(problem) == "loss_scaled"


MARGIN: tuple[Row, ...] = (
    Refusal("no theorem on exact line searches in this norm", f"{PAPER}, Theorem 5",
        lambda p, flow: not flow and p.rule.search and not flat(p) and not _corners(p),
        reason="exact line searches may exceed Theorem 5's bound η ≤ 1/(B²L) for ever and then end under the maximum "
               "margin (steepest descent in linf on z = (0, −1, −2), (−2, 2, 3): 3/4 of it), so no theorem names the limit; "
               "the nearest is the same method with fb.steps.bounded, or line searches of gradient descent"),
    Refusal("AdaBoost", "Rudin, Daubechies, Schapire (2004)",
        lambda p, flow: not flow and p.rule.search and float(p.rule.params[0]) == 1.0 and not flat(p),
        reason="coordinate descent with exact line search is AdaBoost, which on some data cycles for ever under the maximum "
               "l1 margin (an 8 × 8 matrix: 1/3 against 3/8), so no theorem names its limit; the nearest are Theorem 5, "
               "with fb.steps.bounded, and shrinkage (Telgarsky 2013)"),
    Direction("the l2 maximum margin, steps η/L", "Ji, Telgarsky (2021), and §3.1",
        lambda p, flow: flat(p) and _divided(p) and plain(p), norm=flat_norm,
        hypotheses=lambda p: [*_steps(p), *_ratio_of(p), *_classes(p)], asymptote=ratio),
    Direction("gradient descent with momentum: the l2 maximum margin", WANG,
        lambda p, flow: flat(p) and momentum(p), norm=flat_norm,
        hypotheses=lambda p: [*_momentum(p), *_classes(p)], asymptote=asymptote,
        reason="steps that add up to a finite length cannot reach infinity, nor does momentum of 1 or more come to rest; "
               "the nearest theorem is the same with step sizes whose sum is infinite, and momentum under 1"),
    Direction("stochastic gradient descent: the l2 maximum margin", f"{NACSON}; {WANG}",
        lambda p, flow: flat(p) and bool(p.method.sampling.batch), norm=flat_norm,
        hypotheses=lambda p: [*_steps(p), *_chance(p, NACSON), *_classes(p)],
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is the same with "
               "step sizes whose sum is infinite"),
    Direction("the l2 maximum margin (Soudry et al. 2018; §3.1)", SOUDRY, lambda p, flow: flat(p), norm=flat_norm,
        hypotheses=lambda p: [*_steps(p), *_classes(p, _soudry(p))], asymptote=asymptote,
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is the same with "
               "step sizes whose sum is infinite"),
    Direction("dual acceleration: the l2 maximum margin", "Ji, Srebro, Telgarsky (2021)",
        lambda p, flow: p.method.averages == "all", norm=lambda p: norms.l2,
        hypotheses=lambda p: [*_stated_for(p, "exponential"), *_known("Ji, Srebro, Telgarsky (2021)"), *_classes(p)],
        rates=lambda p: (Rate("margin gap", "t", -2.0),)),
    Direction("the maximum margin in the method's norm, normalised steps", f"{PAPER}, the proof of Theorem 5; {FAN}",
        lambda p, flow: p.method.steepest and p.method.unscaled, norm=_own_norm,
        hypotheses=_normalised, asymptote=normalised,
        reason="steps of a fixed length η end within ηB²/2 of the maximum margin γ but need not reach it (a margin of at "
               "least γ − ηB²/2 follows from the smoothness of log L), and steps whose sum is finite stop short; the "
               "nearest theorem is the same with fb.steps.power(η, a), 0 < a ≤ 1, or Theorem 5 without normalised steps"),
    Direction("Theorem 5: the maximum margin in the method's norm", f"{PAPER}, Theorem 5",
        lambda p, flow: p.method.steepest and not p.method.averages, norm=_own_norm,
        hypotheses=lambda p: [*_steps(p), *_stated_for(p, "exponential"), *_ties(p), *_unbounded(p), *_classes(p)],
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is 5 with fb.steps.bounded"),
    Direction("Theorem 6 and the quadratic program on the measured G: argmin Σ w²/h with margins ≥ 1, h = G^{−1/2}; it depends on "
        "the step size, w(0) and G(0), so no characterisation by the data alone exists",
        f"Qian, Qian (2019); {PAPER}, §3.3 and Theorem 6", lambda p, flow: p.method.measured is not None,
        norm=_measured, hypotheses=_adagrad),
    Direction("the linf maximum margin, Adam and RMSProp without ε", "Zhang, Zou, Cao (2024)",
        lambda p, flow: p.method.moments is not None, norm=lambda p: norms.lp(np.inf), hypotheses=_adam,
        reason="the theorem for Adam asks for no ε, β₁ ≤ β₂ and step sizes that fall to 0 with an infinite sum: with ε > 0 "
               "the run ends as gradient descent, in the l2 direction, once |g| is far under ε, and where it is by then "
               "depends on its past (§3.3); the nearest theorem is the same with eps=0 and fb.steps.power(η, a), 0 < a ≤ 1"),
    Direction("mirror descent: the maximum margin in the norm of the potential's horizon",
        f"Sun, Gatmiry, Ahn, Azizan (2023) for homogeneous ψ; {PESME} in general",
        lambda p, flow: _mirrors(p, flow) and p.method.geometry.horizon is not None,  # type: ignore[union-attr]
        norm=_horizon, hypotheses=_mirror, sole=True,
        reason="steps that add up to a finite length cannot reach infinity, and where several directions have the maximum "
               "margin in the norm of the horizon the theorem does not say which it is; the nearest theorem is the same "
               "with step sizes whose sum is infinite, or power(p) with 1 < p < ∞, whose maximiser is unique"),
    Refusal("a potential without a known horizon", PESME,
        lambda p, flow: _mirrors(p, flow) and p.method.geometry.lower == -np.inf      # type: ignore[union-attr]
        and not p.method.geometry.symmetric,                                          # type: ignore[union-attr]
        reason="the limit is the maximum margin in the norm of the potential's horizon function, which this one does not "
               "declare (horizon=p, where its far level sets have the shape of the lp ball); the nearest is power(p)"),
    Refusal("entropy", PESME, lambda p, flow: _mirrors(p, flow),
        reason="the domain of this potential is not the whole space, which the theorem on horizon functions asks for: w "
               "stays inside it, so separability by some w there is needed too, and the limit is not in the literature (the "
               "horizon function of the entropy suggests l1 over w ≥ 0); the nearest is hypentropy(β), for which it is l1"),
    Refusal("§3", f"{PAPER}, §3", lambda p, flow: p.method.dual or p.method.natural,
        reason="no theorem of the table covers this method with a strictly monotone loss; the nearest are Theorem 5, for "
               "steepest descent in any norm, and §3.1, for gradient descent"),
)


def _corners(problem: Problem) -> bool:
    """Whether the method is steepest descent in l1."""
    g = problem.method.geometry
    return isinstance(g, Norm) and g.ball == "cross-polytope" and problem.method.steepest


def _ratio_of(problem: Problem) -> list[Hypothesis]:
    rows = _stated_for(problem, "exponential")
    if named(problem, "logistic"):
        rows = [rows[0]._replace(evidence="logistic: their step divides by −ℓ'(ℓ⁻¹(L)) = 1 − e^{−L}, to which L only tends")]
    return rows


def _unbounded(problem: Problem) -> list[Hypothesis]:
    """What is proved where the steps grow like 1/L: −log L ≥ Σ η g²(1 − ηB²/2) and ‖w‖ ≤ Σ η g with g = ‖∇ log L‖⋆ ≥ γ."""
    if not _divided(problem):
        return []
    eta, B = float(problem.rule.params[0]), radius(problem, problem.method.geometry)
    return [Hypothesis("the steps are bounded", None, "η/L is not, as Theorem 5 asks; what is proved is a margin of at "
                       f"least 1 − ηB²/2 = {1.0 - 0.5 * eta * B * B:.3g} of the maximum")]


def _searched(problem: Problem) -> list[Hypothesis]:
    if not problem.rule.search:
        return []
    nu = float(problem.rule.params[0])
    if _corners(problem):
        return [Hypothesis("a shrunk line search reaches the maximum margin", None,
                           f"ν = {nu:g}; stated as known from Telgarsky (2013): within a factor 1 − O(ν)")]
    return [Hypothesis("a theorem covers exact line searches", None, "none is known: Soudry et al. ask for a fixed step, "
                       "and searched ones may exceed 1/(B²L); seen only in a run")]


# --- what is said beside any maximum margin ------------------------------------------------------------------------------

RIGHT = "log L < log ℓ(0), so that no sample is on its wrong side, nor will be while the loss falls"


def _right_side(problem: Problem) -> Hypothesis:
    """A loss that is not convex pulls less and less at samples that are wrong by far, and may leave them so for ever."""
    u, t = (problem.start, 0) if problem.reached is None else (problem.reached.u, problem.reached.t)
    now, one = problem.log_loss(u), problem.loss.log(np.zeros(1), np.ones(1))
    return Hypothesis(RIGHT, True if now < one else None, f"at t = {t} it is {now:.4g} against {one:.4g}; the loss is not "
                      "convex, and its slope vanishes at samples that are wrong by far, which may stay so for ever")


def _falls(problem: Problem, rows: list[Hypothesis]) -> str:
    """Why the loss goes to 0, where that follows from what is known; "" where it does not."""
    method = problem.method
    known = {h.statement: h.holds for h in rows}
    if momentum(problem) or method.random or any(holds is False for holds in known.values()):
        return ""
    if not problem.loss.convex and not known.get(RIGHT):
        return ""
    squares = "log L falls by at least a multiple of ηγ² at each step" if _divided(problem) else \
        "L falls by at least a multiple of η‖∇L‖⋆² ≥ ηγ²(Σ|ℓ'|)² at each step, and Ση = ∞"
    if _flowing(problem):
        if (method.dual or method.natural) and not flat(problem):
            return "L(w(t)) ≤ L(c) + D_ψ(c, w(0))/t for every c" if problem.loss.convex else ""
        return "dL/dt = −‖∇L‖⋆² ≤ −γ²(Σ|ℓ'|)²" if method.steepest or method.dual or method.natural else ""
    steepest = method.steepest and all(h.holds for h in _ties(problem))
    if method.unscaled and steepest and not problem.rule.search:
        done = named(problem, "exponential", "logistic", "cross_entropy") and all(h.holds for h in _decreasing(problem))
        first = "L falls by at least ηγΣ|ℓ'|(1 − O(η)) at each step, η → 0 and Ση = ∞"
        return first if done and not method.averages else ""
    if not (flat(problem) or steepest):
        return ""
    if problem.rule.search:
        smooth = named(problem, "exponential") or problem.loss.curvature is not None
        return "each search lowers L by no less than the best fixed step would" if smooth and problem.loss.convex else ""
    return squares if small_steps(problem).holds and _endless(problem).holds else ""


def _vanishes(problem: Problem, rows: list[Hypothesis]) -> Hypothesis:
    why = _falls(problem, rows)
    known = "ℓ is convex" if problem.loss.convex else "every margin stays positive"
    return Hypothesis("L(w_t) → 0", True if why else None, f"proved: {known}, the data are separable, and {why}" if why else
                      "seen only in a run: trace.log_loss")


def _cone(problem: Problem, found: Limit) -> list[Hypothesis]:
    """What is said beside any maximum margin: the regularisation path's end, and Lemma 8 with its residual so far."""
    norm, sole = found.norm, found.hypotheses[0].holds
    assert norm is not None
    stated = norm.ball is not None or norm.power is not None or norm.matrix is not None
    told = "Rosset, Zhu, Hastie (2004); fb.regularisation_path follows it"
    if sole is False:
        told = "several directions have this margin, and .w is one of them; " + told
    elif not stated:
        told = "stated for lp norms; " + told
    elif sole is None:
        told = "they ask for a unique maximiser; " + told
    rows = [Hypothesis("the regularisation path argmin L over ‖w‖ ≤ c ends in this direction, too",
                       True if sole and stated else None, told)]
    reached = problem.reached
    if reached is not None and reached.t > 0:
        off = problem.off_cone(problem.predictor(reached.u), found.w)
        rows.append(Hypothesis("−∇L/‖∇L‖ tends to the cone of the support vectors (Lemma 8)", None,
                               f"it is {off:.1e} away at t = {reached.t}; trace.cone_distance measures each row"))
    return rows


def _tailed(problem: Problem, row: Row) -> list[Hypothesis]:
    """That the loss has an exponential tail; NoTheorem where it has not, or the row only says why there is no theorem."""
    rows = [tailed(problem, row)]
    if not isinstance(row, Direction):
        raise NoTheorem(row.reason, row.source, tuple(rows))
    if not rows[0].holds:
        raise another_tail(problem, row, rows)
    return rows


def direction(problem: Problem, flow: bool) -> Limit:
    """The limit direction that a row of MARGIN names, with its hypotheses checked."""
    if problem.rule.search and not flow:
        ends(problem)
    if flow:                                                   # of unit speed, and momentum only changes that
        still = replace(problem.method, beta=np.zeros(1), gamma=np.zeros(1))
        problem = replace(problem, method=still, rule=FLOW)
    row = covering(MARGIN, problem, flow)
    rows = _tailed(problem, row)
    told = separate(problem.Z)
    rows.append(Hypothesis("the data are linearly separable", told.separable,
                           f"a separator, its margins {told.residual:.0e} times their rounding" if told else
                           f"Gordan's λ, residual {told.residual:.0e}"))
    if told.w is None:
        assert told.dual is not None
        rows += ill_scaled(problem)
        heaviest = np.argsort(-told.dual)[:4]
        shown = ", ".join(f"{told.dual[n]:.4g} at {n}" for n in heaviest if told.dual[n] > 0)
        more = ", …" if told.dual[heaviest].sum() < 0.999 else ""
        why = zero_rows(problem.X) or f"Σ λ z = 0 with λ ≥ 0, Σλ = 1 (λ in .dual: {shown}{more})"
        raise NoTheorem(f"the data are not separable: {why}, so the loss does not go to 0 and no theorem of Section 3 "
                        "applies; the nearest are those of Section 2",
                        f"{PAPER}, §3", tuple(rows), told.dual)
    assert isinstance(row, Direction)
    assert row.norm is not None
    norm = row.norm(problem)
    rows += row.hypotheses(problem)
    if not problem.loss.convex:
        rows.append(_right_side(problem))
    if any(h.holds is False for h in rows):
        raise NoTheorem(row.reason, row.source, tuple(rows))
    found = widest(problem.Z, problem.shape, norm, told.w)
    sole, theorem = found.hypotheses[0], row.name
    if flat(problem) and metric(problem) is not None:
        theorem = f"{theorem.replace('l2', 'quadratic norm')}, in whose coordinates the method is gradient descent"
    steepest = flat(problem) and isinstance(problem.method.geometry, Norm)
    if steepest and named(problem, "exponential") and not problem.rule.search:
        theorem = f"Theorem 5: {theorem}"                     # which is about any norm, and this loss
    if sole.holds is False:
        if row.sole:
            raise NoTheorem(row.reason, row.source, (*rows, sole))
        theorem += ": the margin itself; .w is one of a face of directions that have it"
        sole = sole._replace(evidence=f"{sole.evidence}: .w is one of a face, and only the margin is what the theorem names")
    rows += [sole, *found.hypotheses[1:], _vanishes(problem, rows), *_cone(problem, found)]
    rows += ill_scaled(problem, found.margin)
    rates, offset = row.rates(problem), None
    if row.asymptote is not None and not any(h.statement == RIGHT and h.holds is None for h in rows):
        told_asymptote, offset, rates = row.asymptote(problem, found)
        rows += told_asymptote
    return Limit(found.w, "direction", theorem, row.source, tuple(rows), found.certified, found.duality_gap, found.dual,
                 found.margin, norm, rates, offset)
