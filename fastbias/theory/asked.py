"""What rows on directions ask of a problem beyond what every theorem of Section 3 asks: hypotheses,
each with its evidence.
"""
from __future__ import annotations

import numpy as np

from fastbias.pieces.laws import ours
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem, radius
from fastbias.solvers.limit import PAPER, Hypothesis, NoTheorem
from fastbias.theory.asymptotes import FLOW, TIE, flat, metric, pace, rule_of
from fastbias.theory.base import flowing, momentum, named, shown
from fastbias.theory.stepsizes import longest_sample, small_steps

__all__ = [
    "FAN", "NACSON", "PESME", "SOUDRY", "WANG", "chance", "classes", "corners", "decreasing",
    "divided", "endless", "goes_on", "heavy", "known", "measured", "mirrors", "of_a_flow",
    "of_adagrad", "of_classes", "of_length_one", "of_mirrors", "over_loss", "searched", "sized",
    "small", "stated_for", "tied", "unbounded"]

SOUDRY = "Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018)"
NACSON = "Nacson, Srebro, Soudry (2019)"
WANG = "Wang, Meng, Zhang, Sun, Chen, Ma, Liu (2022)"
FAN = "Fan, Schmidt, Thrampoulidis (2025)"
PESME = "Pesme, Dragomir, Flammarion (2024)"


def of_a_flow(problem: Problem) -> bool:
    """Whether the continuous-time limit was asked for."""
    return problem.rule is FLOW


def endless(problem: Problem) -> Hypothesis:
    """Whether the steps can reach infinity: of Σ η_k = ∞."""
    if of_a_flow(problem):
        return Hypothesis("η → 0: the flow", True, "asked for")
    # Σ 1/k^a is infinite up to a = 1, and what is over L as well; then L stays off 0 where the
    # gradient of log L is bounded, which elsewhere it is not
    a = pace(problem)
    bounded = not divided(problem) or (problem.model.linear and (
        flat(problem) or problem.method.steepest or _steady(problem)))
    return Hypothesis("the step sizes add up to infinity",
                      None if a is None or (a > 1 and not bounded) else a <= 1, _told(problem))


def _steady(problem: Problem) -> bool:
    """Whether updates of steps η/L are bounded moves of a dual variable, which has a w wherever it
    is: |ℓ'| ≤ ℓ, of gradients that are those at w.
    """
    method, psi = problem.method, problem.method.geometry
    everywhere = isinstance(psi, Potential) and psi.dual_domain == (-np.inf, np.inf)
    return method.dual and not method.primal and everywhere and not method.gamma.any() \
        and bool(method.beta.max() < 1.0) \
        and named(problem, "exponential", "logistic", "sigmoid", "cross_entropy")


def _told(problem: Problem) -> str:
    """The step rule, and what an array that falls leaves open."""
    return repr(problem.rule) + (
        ": an array that falls where it ends; its last entry goes on, and how it was meant to is "
        "not known" if problem.rule.falling else "")


def goes_on(problem: Problem, flow: bool, source: str) -> None:
    """Raise NoTheorem where a run is known not to come to its limit, or nothing says that it does:
    steps that add up to a finite length stop short of it, and momentum that does not fade swings
    past it for ever.
    """
    if flow:
        return
    row, beta = endless(problem), float(problem.method.beta[-1])
    if row.holds is False:
        raise NoTheorem("steps that add up to a finite length stop short of the limit, which is "
                        "then another for each of them; the nearest theorem is the same with step "
                        "sizes whose sum is infinite", source, (row,))
    if row.holds is None and problem.loss.kind == "monotone" and (pace(problem) or 0.0) > 1.0:
        raise NoTheorem("steps η/(L t^a) with a > 1 add up to infinity only where the loss falls "
                        "fast enough, which from most starts it does not, and no theorem says so; "
                        "the nearest is the same with a ≤ 1", source, (row,))
    # near a minimum the roots of the recursion have the product β − ηλγ, which must be under 1
    if beta >= 1 and not problem.method.gamma[-1]:
        raise NoTheorem("momentum β ≥ 1 that does not look ahead never comes to rest; the nearest "
                        "theorem is the same with β < 1", source,
                        (Hypothesis("the momentum stays under 1", False, f"β = {beta:g}"),))


def small(problem: Problem) -> list[Hypothesis]:
    """Whether finite steps are small enough; a flow has none."""
    return [] if of_a_flow(problem) else [small_steps(problem)]


def stated_for(problem: Problem, *losses: str) -> list[Hypothesis]:
    """Whether a theorem that is stated for certain losses is so for this one."""
    return [Hypothesis(f"the loss is one that the theorem is stated for ({', '.join(losses)})",
                       shown(named(problem, *losses)), problem.loss.name)]


def sized(problem: Problem) -> list[Hypothesis]:
    """What most rows ask of step sizes."""
    return [endless(problem), *small(problem), *searched(problem)]


def heavy(problem: Problem) -> list[Hypothesis]:
    """What is known of momentum β and γ."""
    method = problem.method
    largest = float(method.beta.max())
    told = (f"stated as known from {WANG}: for heavy balls with a fixed small step, by their "
            "abstract")
    # the abstract speaks of heavy balls, and look-aheads are not the same recursion
    if method.gamma.any():
        told += "; not for Nesterov's γ"
    return [endless(problem), *small(problem),
            Hypothesis("the momentum stays under 1", largest < 1,
                                                            f"β ≤ {largest:g}"),
            Hypothesis("momentum keeps the direction", None, told), *chance(problem, WANG)]


def chance(problem: Problem, source: str) -> list[Hypothesis]:
    """What is known of stochastic gradients."""
    sampling = problem.method.sampling
    if not sampling.batch:
        return []
    told = f"stated as known from {source}, " + (
        "who draw without replacement, at a fixed small step" if source == NACSON
        else "at a fixed small step")
    # each of the two papers is about one kind of draw
    if source == NACSON and sampling.replace:
        told = f"stated as known from {WANG} for draws with replacement; {NACSON} draw without"
    return [Hypothesis("stochastic gradients keep the direction", None, told)]


def classes(problem: Problem, source: str = "") -> list[Hypothesis]:
    """Whether a theorem that is stated for two classes is known for K."""
    if not problem.loss.classes:
        return []
    return [Hypothesis("the theorem holds for K classes", shown(bool(source)),
                       source or "stated for two classes; the same argument over all pairs (y, c) "
                                 "is not in the literature")]


def known(source: str) -> list[Hypothesis]:
    """What is said beside a theorem whose source was not at hand when its row was written."""
    return [Hypothesis("the theorem is as its source states it", None,
                       f"stated as known from {source}")]


def of_classes(problem: Problem) -> str:
    """Who treats K classes: for gradient descent itself, not in other metrics."""
    return f"{SOUDRY}, Theorem 7" if metric(problem) is None else ""


def decreasing(problem: Problem) -> list[Hypothesis]:
    """Whether the steps fall to 0, though not too fast."""
    a = pace(problem)
    own = Hypothesis("the step sizes fall to 0", None if a is None else a > 0, _told(problem))
    return [endless(problem), own]


def of_length_one(problem: Problem) -> list[Hypothesis]:
    """All is proved in a line: −log L grows like Σ η‖∇L‖⋆/L ≥ γ Σ η (1 − o(1)), and ‖w‖ ≤ Σ η.

    With momentum a move is steepest for Σ a_i ∇L(w_{t−i}), a_i geometric and Σ a_i > 0. As each
    weight |ℓ'| has a logarithm of slope at most 1 (of classes 2), ∇L(w_{t−i}) is off ∇L(w_t) by at
    most B Σ|ℓ'| (e^{2BS} − 1), S the sum of the last i steps; where η → 0 the sum of |a_i| times
    that is o(1) Σ|ℓ'|, and so is what the move gains less than ‖∇L‖⋆ ≥ γ Σ|ℓ'|.
    """
    losses = ("exponential", "logistic", "cross_entropy")
    fall, rows = decreasing(problem), stated_for(problem, *losses)
    rows = [*fall, *rows]
    if problem.method.averages:
        proved = named(problem, *losses) and all(row.holds for row in fall)
        rows.append(Hypothesis("momentum in the gradient keeps the direction", shown(proved),
                               "proved: where η → 0 gradients a while apart differ by o(Σ|ℓ'|), "
                               f"and their weights fall geometrically; {FAN} have it with a rate, "
                               "for entrywise and Schatten norms and the cross-entropy"
                               if proved else f"stated as known from {FAN}, for cross-entropy and "
                               "steps η/√t"))
    return [*rows, *classes(problem, "‖∇L‖⋆ ≥ γ Σ|ℓ'| and |ℓ''| ≤ |ℓ'| over the pairs (y, c)"),
            *tied(problem)]


def tied(problem: Problem) -> list[Hypothesis]:
    """Whether the coordinate that moves is the largest, not one that comes near it."""
    tol = problem.method.ties
    if tol is None:
        return []
    return [Hypothesis("the coordinate that moves is the largest", shown(tol <= TIE),
                       f"tie_tol = {tol:g}")]


def of_adagrad(problem: Problem) -> list[Hypothesis]:
    """Theorem 6's own conditions, which are sufficient: where they fail nothing follows."""
    reached, eta = problem.reached, problem.rule(0)
    assert reached is not None
    G0 = problem.method.begin(problem.start)[0] + problem.method.params[0]
    # e^700 is a bound on what float64 holds; beyond it the condition fails anyway
    loss = eta * eta * float(np.exp(min(problem.log_loss(problem.start), 700.0)))
    length = longest_sample(problem, G0)
    # what G may still gain: |g| ~ 1/t sums to about t g² from here on
    s, g = problem.pull(problem.predictor(reached.u))
    now = reached.state[0] + problem.method.params[0]
    rest = float(np.max(np.divide((np.exp(s) * g) ** 2 * reached.t, now, out=np.zeros(now.size),
                                  where=now > 0)))
    fixed = problem.rule.fixed and problem.rule.params.size == 1
    return [endless(problem),
            Hypothesis("the step size is fixed", shown(fixed), repr(problem.rule)),
            *stated_for(problem, "exponential"),
            Hypothesis("η² L(w(0)) < 1", shown(loss < 1), f"{loss:.3g}"),
            Hypothesis("‖G(0)^{−1/4} x_n‖₂ ≤ 1", shown(length <= 1), f"{length:.3g}"),
            Hypothesis("G is what it will be at t = ∞", None,
                       f"measured at t = {reached.t}; what is to come is about "
                       f"t g² ≤ {rest:.1e} of it, if |g| goes on falling like 1/t"),
            *known("Qian, Qian (2019)"), *classes(problem)]


def measured(problem: Problem) -> Norm:
    """The norm that the accumulated squares of the gradient measure."""
    if problem.reached is None or problem.reached.t == 0 or problem.method.measured is None:
        raise NoTheorem("G∞ decides the limit direction of AdaGrad, so it needs a run first: "
                        "plan.run(...), then plan.limit() measures G. By Theorem 6 G stays "
                        "bounded, so step size, start and G(0) have their say for ever and no "
                        "characterisation by the data alone exists; the nearest theorem is 5, for "
                        "steepest descent",
                        f"{PAPER}, §3.3 and Theorem 6")
    return problem.method.measured(problem.reached.state)


def mirrors(problem: Problem, flow: bool) -> bool:
    """Whether it is mirror descent with momentum of the dual variable at most, or the flow that
    natural gradient descent shares with it.
    """
    method = problem.method
    return flowing(problem) and method.constraint is None and not method.sampling.batch \
        and (flow if method.natural else not method.primal)


def of_mirrors(problem: Problem) -> list[Hypothesis]:
    """What the theorem on horizon functions asks."""
    psi = problem.method.geometry
    assert isinstance(psi, Potential)
    rows = [endless(problem)]
    if not of_a_flow(problem):
        rows.append(Hypothesis("the steps are small enough that the loss falls at each", None,
                               f"{problem.rule!r}; seen only in a run"))
    # in between, ψ is a power of its norm
    if not of_a_flow(problem) and psi.horizon in (1.0, np.inf):
        told = f"{PESME} speak of the flow η → 0"
        # (where w grows like e^z; of a z that grows like e^w such moves vanish)
        if psi.horizon == 1.0 and divided(problem) and pace(problem) == 0.0:
            told += "; η/L moves z by as much at each step, for ever, and may end O(η) away"
        rows.append(Hypothesis("finite steps go where the mirror flow goes", None, told))
    if momentum(problem):
        rows.append(Hypothesis("momentum keeps the direction", None, "not in the literature"))
    if not ours(psi):
        rows.append(Hypothesis("ψ meets the mild assumptions of the theorem", None,
                               f"{PESME}; this ψ is one's own"))
    return [*rows, *classes(problem)]


def divided(problem: Problem) -> bool:
    """Whether the steps are η/L, or fall from there."""
    return rule_of(problem) == "loss_scaled"


def corners(problem: Problem) -> bool:
    """Whether the method is steepest descent in l1."""
    g = problem.method.geometry
    return isinstance(g, Norm) and g.ball == "cross-polytope" and problem.method.steepest


def over_loss(problem: Problem) -> list[Hypothesis]:
    """For which loss steps of η/L are what the theorem's are."""
    rows = stated_for(problem, "exponential")
    if named(problem, "logistic"):
        rows = [rows[0]._replace(evidence="logistic: their step divides by −ℓ'(ℓ⁻¹(L)) = 1 − "
                                          "e^{−L}, to which L only tends")]
    return rows


def unbounded(problem: Problem) -> list[Hypothesis]:
    """What is proved where the steps grow like 1/L: −log L ≥ Σ η g²(1 − ηB²/2) and ‖w‖ ≤ Σ η g with
    g = ‖∇ log L‖⋆ ≥ γ; η here is that of η/L, and where it falls to 0 the maximum is reached.
    """
    if not divided(problem):
        return []
    if not problem.rule.constant:
        return [Hypothesis("the steps are bounded, or η/L with η → 0",
                           shown(bool(endless(problem).holds)),
                           "proved: −log L ≥ Σ ηg²(1 − ηB²/2) and ‖w‖ ≤ Σ ηg, g = ‖∇ log L‖⋆ ≥ γ, "
                           "so that the margin over ‖w‖ tends to γ")]
    # η/L grows without end as L vanishes, which Theorem 5 excludes
    eta, B = float(problem.rule.params[0]), radius(problem, problem.method.geometry)
    return [Hypothesis("the steps are bounded", None,
                       "η/L is not, as Theorem 5 asks; what is proved is a margin of at "
                       f"least 1 − ηB²/2 = {1.0 - 0.5 * eta * B * B:.3g} of the maximum")]


def searched(problem: Problem) -> list[Hypothesis]:
    """What is known of exact line searches."""
    if not problem.rule.search:
        return []
    nu = float(problem.rule.params[0])
    # coordinate descent with a shrunken search has a theorem of its own, others have none
    if corners(problem):
        return [Hypothesis("a shrunk line search reaches the maximum margin", None,
                           f"ν = {nu:g}; stated as known from Telgarsky (2013): within a factor 1 "
                           "− O(ν)")]
    return [Hypothesis("a theorem covers exact line searches", None,
                       "none is known: Soudry et al. ask for a fixed step, "
                       "and searched ones may exceed 1/(B²L); seen only in a run")]
