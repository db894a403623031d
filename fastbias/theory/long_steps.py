"""Steps of gradient descent beyond the descent lemma: the logistic loss takes any, the exponential
loss may run away.
"""
from __future__ import annotations

import numpy as np

from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem, radius
from fastbias.solvers.limit import Hypothesis
from fastbias.theory.asked import endless, of_a_flow
from fastbias.theory.asymptotes import asymptote, flat, flat_norm, plain, rule_of
from fastbias.theory.base import Direction, Refusal, named, shown
from fastbias.theory.stepsizes import small_steps

__all__ = ["LONG", "RUNAWAY", "long_steps", "settles"]

WU = "Wu, Braverman, Lee (2023)"
FOLLOWED = 16        # updates that are followed from where the run stands
PROVED = ("|ℓ'| ≤ 1 and some w has ⟨−∇L, w⟩ ≥ γΣ|ℓ'|, so that ‖w_t − cw‖² falls by "
          "2η(L(w_t) − ε) at least for c large enough, and L comes under any bound; once L < "
          "2/(ηB²) it falls for ever, as ℓ'' ≤ ℓ")


def _fixed(problem: Problem, flow: bool) -> bool:
    """Whether it is gradient descent in steps that are fixed beforehand, and bounded."""
    return not flow and flat(problem) and plain(problem) \
        and rule_of(problem) in ("constant", "power") and problem.rule(0) > 0


def long_steps(problem: Problem, flow: bool) -> bool:
    """Whether it is gradient descent of the logistic loss, or its like of K classes, in steps that
    stay bounded and are not known to be short enough for the descent lemma.
    """
    return _fixed(problem, flow) and named(problem, "logistic", "cross_entropy") \
        and not small_steps(problem).holds


def settles(problem: Problem) -> str:
    """Why the loss goes to 0 for all that the steps are long; "" where it is not known to."""
    return PROVED if long_steps(problem, of_a_flow(problem)) else ""


def _asked(problem: Problem) -> list[Hypothesis]:
    """What is known of steps that are too long for the descent lemma."""
    B, (u, t) = radius(problem, flat_norm(problem)), problem.now
    # of all that are to come the longest, which need not be the next
    eta = problem.rule.most(t)
    low = np.log(2.0) - np.log(eta) - 2.0 * np.log(max(B, 1e-300))
    now = problem.log_loss(u)
    phase = "it does from here on" if now < low else "until then it may rise and fall"
    source = f"{WU}, for steps of one length; proved: {PROVED}"
    return [endless(problem),
            Hypothesis("the steps may be of any length, as long as they are bounded", True, source),
            Hypothesis("w_t/‖w_t‖ tends to the maximum margin", True,
                       "proved: from there on Σ‖Δw‖² is finite, and ⟨−∇L, ŵ⟩/‖ŵ‖ ≥ ⟨−∇L, w⟩/((1 + "
                       "δ)‖w‖) far out, for any δ (Ji, Dudík, Schapire, Telgarsky 2020)"),
            Hypothesis("the steps are small enough that the loss falls at each", shown(now < low),
                       f"log L = {now:.4g} at t = {t}, and log 2/(ηB²) = {low:.4g}: {phase}")]


LONG = Direction(
    "the l2 maximum margin, logistic loss, steps of any bounded length", WU, long_steps,
    norm=flat_norm, hypotheses=_asked, asymptote=asymptote,
    reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is the "
           "same with step sizes whose sum is infinite")


def runs_away(problem: Problem, flow: bool) -> bool:
    """Whether gradient descent of the exponential loss leaves float64 within some updates from
    where it stands.
    """
    if not (_fixed(problem, flow) and named(problem, "exponential")) or small_steps(problem).holds:
        return False
    (u, t), g = problem.now, problem.method.geometry
    # a run that leaves float64 does so within a few updates, as each squares what went before
    for k in range(t, t + FOLLOWED):
        s, move = problem.pull(u)
        if isinstance(g, Norm):
            move = g.direction(move)
        elif isinstance(g, Potential):
            move = g.solve(u, move)
        with np.errstate(over="ignore", invalid="ignore"):
            u = u + problem.rule(k) * np.exp(s) * move
        if not np.isfinite(u).all():
            return True
    return False


RUNAWAY = Refusal(
    "the exponential loss, steps so long that the run leaves float64", WU, runs_away,
    reason="with steps beyond Theorem 5's bound 1/(B²L(w)) gradient descent of the exponential "
           "loss may run away, and this run does, within a few updates: each throws w further "
           "to the other side, until numbers are no longer finite, so there is no limit to speak "
           "of; the nearest are fb.steps.bounded, and the logistic loss, which takes steps of any "
           "length")
