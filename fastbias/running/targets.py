"""Where a run may stop before its last step: at a log loss, which the loop looks at itself, or at a
length of the gradient, which is looked at at the rows that are written down.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastbias import checks
from fastbias.checks.sizes import length
from fastbias.problem import Problem

__all__ = ["Targets", "targets"]


class Targets(NamedTuple):
    """What ends a run that has come so far."""

    log_loss: float = -np.inf
    gradient: float = -1.0             # ‖∇L‖₂; < 0: nobody asks

    def looks(self, steps: np.ndarray, stop: int, always: bool = False) -> list[int]:
        """The steps at which a run to ``stop`` comes back to be looked at."""
        # (between rows nobody looks, so that no update pays for it)
        asked = steps if always or self.gradient >= 0 else steps[:0]
        return [*map(int, asked[asked < stop]), stop]

    def flat(self, problem: Problem, u: np.ndarray) -> bool:
        """Whether ‖∇L(u)‖₂ is at or under what was asked."""
        # (NaN is not short)
        return self.gradient >= 0 and length(problem.descent(u)) <= self.gradient


def targets(until: float | None, until_gradient: float | None) -> Targets:
    """What was asked for, checked."""
    # what nobody asks for is what no run comes to
    none = Targets()
    return Targets(
        none.log_loss if until is None else checks.number("until", until),
        none.gradient if until_gradient is None
        else checks.number("until_gradient", until_gradient, least=0))
