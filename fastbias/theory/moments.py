"""Adam and RMSProp: the ℓ∞ direction while they divide by the gradient's own size, the ℓ2 direction
once ε is all that they divide by.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.checks.foreign import Unsolved, ask
from fastbias.data.rows import largest
from fastbias.pieces import methods, norms, steps
from fastbias.problem import Problem
from fastbias.solvers.limit import Hypothesis, Limit, Rate
from fastbias.solvers.margins import separate, widest
from fastbias.theory.asked import classes, decreasing, endless, known, stated_for
from fastbias.theory.asymptotes import asymptote, pace, rule_of
from fastbias.theory.base import Direction, shown

__all__ = ["FORGETS", "SIGNS", "growth", "taking_over"]

WANG = "Wang, Meng, Chen, Liu (2021)"
ZHANG = "Zhang, Zou, Cao (2024)"
SMALL = 1e-3          # √v̂/ε from which ε is all of the denominator, but for so much


def growth(margin: float, step: float, beta1: float, beta2: float) -> float | None:
    """The r with which the loss falls like e^{−rt} under Adam without ε at a constant step, in the
    direction of an ℓ∞ margin γ: r = γη (1 − β₁)/(1 − β₁eʳ) √((1 − β₂e^{2r})/(1 − β₂)).

    A gradient that falls like e^{−rt} has means (1 − β₁)/(1 − β₁eʳ) and (1 − β₂)/(1 − β₂e^{2r})
    times itself and its square. None where there is no such r < ½ log 1/β₂, beyond which v falls
    more slowly than the squares of the gradient.
    """
    def excess(r: float) -> float:
        first = (1.0 - beta1) / (1.0 - beta1 * np.exp(r))
        return float(margin * step * first
                     * np.sqrt((1.0 - beta2 * np.exp(2.0 * r)) / (1.0 - beta2)) - r)

    most = min((-np.log(b) * c for b, c in ((beta1, 1.0), (beta2, 0.5)) if b > 0),
               default=300.0) * (1.0 - 1e-12)
    # at the end the one factor vanishes; where the other is infinite there, nothing turns the sign
    try:
        if not (most > 0 and excess(0.0) > 0 > excess(most)):
            return None
        return float(ask("the rate of Adam", "scipy.optimize.brentq", excess, 0.0, most,
                         xtol=1e-300, rtol=1e-14))
    except Unsolved:
        return None


def _rate(problem: Problem) -> float | None:
    """The same of a problem; None where its step varies, or the data are not separable."""
    assert problem.method.moments is not None
    if rule_of(problem) != "constant" or problem.rule.params.size > 1:
        return None
    told = separate(problem.rows)
    if told.w is None:
        return None
    try:
        found = widest(problem.rows, problem.shape, norms.linf, told.w)
    except ArithmeticError:
        return None
    return growth(found.margin, problem.rule(0), *problem.method.moments[:2])


def taking_over(problem: Problem, eps: float) -> tuple[float, int, float | None]:
    """log √v̂/ε of the largest entry where a run stands, its t, and the rate at which that falls
    while √v̂ is all that is divided by, where one is known.
    """
    with np.errstate(all="ignore"):
        now, t = _now(problem)
        over = now - float(np.log(eps))
    known = over > np.log(SMALL) and problem.method.moments is not None
    return over, t, _rate(problem) if known else None


def _now(problem: Problem) -> tuple[float, int]:
    """log √v̂ of the largest entry where a run stands, or will after one update, and its t."""
    (u, t), beta2 = problem.now, float(problem.method.params[1])
    if problem.reached is None or t == 0:
        s, g = problem.pull(problem.predictor(u))
        size, corrected = s + np.log(float(np.abs(g).max())), problem.method.aged
        return size if corrected else size + 0.5 * float(np.log(1.0 - beta2)), 0
    # m and v stand in units of e^a and e^2a
    v, a = problem.reached.state[1:3]
    back = 1.0 - beta2 ** t if problem.method.aged else 1.0
    return float(a[0] + 0.5 * np.log(float(v.max()) / back)), t


def _handed_over(problem: Problem) -> Hypothesis:
    """Whether ε has taken over, and when it will, roughly."""
    assert problem.method.moments is not None
    eps = problem.method.moments[2]
    over, t, rate = taking_over(problem, eps)
    with np.errstate(all="ignore"):
        told = f"√v̂ is at most {np.exp(min(over, 700.0)):.3g} ε at t = {t}"
        if not over <= np.log(SMALL):
            told += "; until it is far under ε the run goes as without ε, towards linf"
            if rate is not None:
                told += (f": the loss like e^(−rt), r = {rate:.6g}, until t ≈ "
                         f"{t + max(over, 0.0) / rate:.3g}")
    return Hypothesis("ε is all that the moves are divided by", shown(over <= np.log(SMALL)), told)


def _of_epsilon(problem: Problem) -> list[Hypothesis]:
    """What is known of Adam and RMSProp with ε > 0."""
    return [endless(problem), _handed_over(problem),
            Hypothesis("the theorem holds for this method", None,
                       f"stated as known from the abstract of {WANG}, for Adam and RMSProp; here "
                       "seen in runs: as |g| falls like 1/t, √v is |g| but for terms of 1/t, the "
                       "moves are ηm/ε but for a part of size |g|/ε, and what that adds up to is "
                       "finite"),
            Hypothesis("steps of η/ε let the loss go to 0", None,
                       "seen only in a run: trace.log_loss"),
            *stated_for(problem, "exponential", "logistic"), *classes(problem)]


def _as_gradient_descent(problem: Problem, found: Limit) -> tuple[list[Hypothesis],
                                                                  np.ndarray | None,
                                                                  tuple[Rate, ...]]:
    """The asymptote of gradient descent in steps η/ε, which such a run becomes."""
    if rule_of(problem) != "constant":
        return [], None, ()
    assert problem.method.moments is not None
    # of a sequence the last entry goes on; β₁ delays the gradient, and lengthens nothing
    eta = float(problem.rule.params[-1]) / problem.method.moments[2]
    if not 0 < eta < np.inf:
        return [], None, ()
    like = replace(problem, method=methods.gradient_descent(eta), rule=steps.constant(eta))
    rows, offset, rates = asymptote(like, found)
    # moves by signs leave the span of the data, across which nothing brings w back
    spans = np.linalg.matrix_rank(problem.Z) == problem.size
    return rows, offset if spans else None, rates


FORGETS = Direction(
    "Adam and RMSProp with ε > 0: the l2 maximum margin, in the end", WANG,
    lambda p, flow: not (flow or p.method.random) and p.method.moments is not None
    and p.method.moments[2] > 0,
    norm=lambda p: norms.l2, hypotheses=_of_epsilon, asymptote=_as_gradient_descent,
    reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is the "
           "same with step sizes whose sum is infinite")


def _without_epsilon(problem: Problem) -> list[Hypothesis]:
    """What the theorem on Adam and RMSProp without ε asks."""
    assert problem.method.moments is not None
    (beta1, beta2, eps), corrected = problem.method.moments, problem.method.aged
    # a feature that is always 0 never has a gradient
    live = largest(problem.X, 0) > 0
    # a coordinate whose first gradient is 0 divides by 0 where ε = 0
    first = np.abs(problem.pull(problem.start)[1]).reshape(problem.outputs, -1)[:, live]
    return [Hypothesis("no ε in the denominator", bool(eps == 0), f"ε = {eps:g}"),
            Hypothesis("β₁ ≤ β₂", bool(beta1 <= beta2), f"{beta1:g}, {beta2:g}"),
            *_falling(problem),
            Hypothesis("no entry of the first gradient is 0", shown(first.min(initial=1.0) > 0),
                       f"least {first.min(initial=1.0):.3g}"),
            Hypothesis("the theorem's Adam corrects no bias", shown(not corrected),
                       "this one does" if corrected else "nor does this one"),
            *stated_for(problem, "exponential", "logistic"), *known(ZHANG), *_bounded(problem),
            *classes(problem)]


def _bounded(problem: Problem) -> list[Hypothesis]:
    """How fast the margin comes, by the bound Σ η^(3/2)/Σ η on its gap, of steps η/t^a."""
    a = pace(problem)
    if not a or a > 1:
        return []
    # (the numerator is finite beyond 2/3, its logarithm there)
    fall = "1/log t" if a == 1 else f"log t · t^(−{1 - a:.3g})" if np.isclose(a, 2 / 3) \
        else f"t^(−{min(a / 2, 1 - a):.3g})"
    return [Hypothesis(f"the margin gap is O({fall})", None,
                       f"a bound, known from {ZHANG} at second hand; trace.rates fits what a run "
                       "does")]


def _falling(problem: Problem) -> list[Hypothesis]:
    """Whether the steps fall to 0; how fast the loss falls where they do not."""
    infinite, fall = decreasing(problem)
    if fall.holds is False:
        rate = _rate(problem)
        if rate is not None:
            fall = fall._replace(evidence=f"{fall.evidence}: the loss falls like e^(−rt), r = "
                                          f"{rate:.6g}, near the linf direction")
    return [infinite, fall]


SIGNS = Direction(
    "the linf maximum margin, Adam and RMSProp without ε", ZHANG,
    lambda p, flow: p.method.moments is not None, norm=lambda p: norms.lp(np.inf),
    hypotheses=_without_epsilon,
    reason="the theorem for Adam without ε asks for β₁ ≤ β₂ and step sizes that fall to 0 with an "
           "infinite sum; the nearest theorem is the same with eps=0 and fb.steps.power(η, a), 0 < "
           "a ≤ 1")
