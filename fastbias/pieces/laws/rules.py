"""The laws of step rules."""
from __future__ import annotations

import numpy as np

from fastbias.engine.call import call
from fastbias.pieces.laws.base import SHARP, Rows, above, unlike
from fastbias.pieces.steps import StepRule


def of_rule(rule: StepRule, rng: np.random.Generator, size: int) -> Rows:
    """What every step rule must obey: one random trial."""
    k, s = int(rng.integers(0, 10**6)), rng.normal()
    eta = rule(k)
    # (a rule may come to rest, but not begin with it)
    yield "η_0 > 0, η_k ≥ 0, and both are finite", \
        float(not (rule(0) > 0 and eta >= 0 and np.isfinite(rule(0) + eta))), 0.0, k
    # the engine never forms e^s by itself, so the rule must
    told = [call(rule.rule, rule.params, k, x, 0.5) for x in (0.0, s)]
    yield "e^s is multiplied in", unlike(told[1], told[0] * np.exp(s)), SHARP, (k, s)
    # the loop then spares a pass and hands over no log L
    if not rule.loss:
        blind = call(rule.rule, rule.params, k, 0.0, -3.0)
        yield "η_k does not depend on L unless loss is claimed", unlike(blind, told[0]), 0.0, k
    if rule.radius:
        wide = rule.params * np.where(np.arange(rule.params.size) == 1, 4.0, 1.0)
        larger = call(rule.rule, wide, k, 0.0, 0.5) if rule.params.size > 1 else np.inf
        yield "η_k is no larger for a larger B² where radius is claimed", above(larger, told[0]), \
            0.0, k
    if rule.constant:
        yield "η_k is constant where that is claimed", unlike(eta, rule(0)), 0.0, k
