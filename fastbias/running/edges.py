"""How large a step may be: what theory admits for good, else an energy that falls, else what the
curvature at the present point alone says.
"""
from __future__ import annotations

import numpy as np

from fastbias import theory
from fastbias.problem import Problem
from fastbias.solvers.limit import NoTheorem
from fastbias.theory import MaxStep
from fastbias.theory.base import accepted, gradient
from fastbias.theory.stepsizes import STRICT, with_energy
from fastbias.trace.sharpness import Hessian

__all__ = ["max_step"]

COHEN = "Cohen, Kaur, Li, Kolter, Talwalkar (2021), §2 and appendix B; the conditions of Jury"


def max_step(problem: Problem, u: np.ndarray) -> MaxStep:
    """The largest constant step size of which something is known from u (n,) on, as
    `Plan.max_step` describes; NoTheorem where nothing is.
    """
    accepted(problem)
    try:
        return theory.max_step(problem, u)
    except NoTheorem as told:
        found = with_energy(problem, u)
        if found is None and not _moves_by_gradients(problem):
            raise
        return _edge(problem, u, told) if found is None else found


def _moves_by_gradients(problem: Problem) -> bool:
    """Whether near a point its updates are a linear recursion in the Hessian there."""
    method = problem.method
    return gradient(problem) and not method.sampling.batch \
        and method.beta.size == method.gamma.size == 1 and bool(method.beta[0] < 1)


def _edge(problem: Problem, u: np.ndarray, told: NoTheorem) -> MaxStep:
    """η = 2(1 + β)/((1 + 2γ)S), S the sharpness at u: with a larger step the recursion in the
    Hessian at u grows along its sharpest direction.
    """
    def refused(why: str) -> NoTheorem:
        return NoTheorem(f"{told.reason}; nor does the curvature at the present point say one: "
                         f"{why}", told.source, told.hypotheses)

    try:
        with np.errstate(all="ignore"):
            sign, log_size = Hessian(problem, u).largest()
    except LookupError as error:
        raise refused(str(error)) from None
    decay = problem.method.decay
    if not sign > 0 and not (sign == 0 and decay):
        raise refused("the loss does not bend upwards there, or not within float64")
    beta, gamma = float(problem.method.beta[0]), float(problem.method.gamma[0])
    top = float(np.logaddexp(log_size, np.log(decay))) if decay else log_size
    log_step = float(np.log(2.0 * (1.0 + beta) / (1.0 + 2.0 * gamma))) - top
    if not -708.0 < log_step < 709.0:
        raise refused(f"it would be e^{log_step:.0f}, which is no number of float64")
    form = "2/S" if not beta and not gamma else "2(1 + β)/((1 + 2γ)S)"
    return MaxStep(float(np.exp(log_step)) * (1.0 - STRICT),
                   f"at the present point alone: η < {form}, S = {np.exp(top):.6g} the sharpness "
                   "there, beyond which the linear recursion grows along its sharpest direction; "
                   "no bound for the run", COHEN)
