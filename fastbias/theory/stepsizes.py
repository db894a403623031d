"""How large a step may be: the descent lemma, Theorem 5 and Theorem 6, and whether a method's own rule keeps to them."""
from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fastbias.limits import PAPER, Hypothesis, NoTheorem
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.problem import Problem, radius
from fastbias.theory.base import quadratic

__all__ = ["MaxStep", "max_step", "small_steps"]

TINY = 1e-300


class MaxStep(NamedTuple):
    """The largest step size that theory admits, the theorem that says so, and where it stands."""

    step_size: float
    theorem: str
    source: str


def max_step(problem: Problem, u: np.ndarray) -> MaxStep:
    """Return the largest constant step size that theory admits from u (n,) on.

    Raises
    ------
    NoTheorem
        Where the table knows no bound for the method and loss.
    """
    method, loss = problem.method, problem.loss
    straight = problem.model.linear and not method.unscaled and not method.sampling.batch and method.constraint is None
    momentum = bool(method.beta.any() or method.gamma.any())
    if straight and method.measured is not None and loss.name == "exponential":
        return MaxStep(float(np.exp(-0.5 * problem.log_loss(u))), "Theorem 6: η² L(w) < 1", f"{PAPER}, Theorem 6")
    flat = method.family == "gradient" or (quadratic(problem) and method.family in ("mirror", "natural", "steepest"))
    lipschitz = np.inf if loss.curvature is None else loss.curvature * (
        _largest_curvature(problem) if flat else float((np.atleast_1d(_dual(problem)) ** 2).sum()))
    if straight and flat and np.isfinite(lipschitz) and not (momentum and loss.name != "squared"):
        beta, gamma = float(method.beta.max()), float(method.gamma.max())
        name = "the descent lemma: η < 2/Λ, Λ the largest curvature in the method's norm"
        if momentum:
            name = "stability of the linear recursion: η < 2(1 + β)/((1 + 2γ)Λ), β < 1"
        return MaxStep(2.0 * (1.0 + beta) / ((1.0 + 2.0 * gamma) * max(lipschitz, TINY)), name,
                       "Polyak (1964)" if momentum else "Nesterov (2018), §1.2.3")
    if straight and not momentum and method.family in ("gradient", "steepest", "coordinate"):
        if loss.name == "exponential":
            B = radius(problem, method.geometry)
            return MaxStep(float(np.exp(-problem.log_loss(u)) / max(B * B, TINY)), "Theorem 5: η ≤ 1/(B² L(w))",
                           f"{PAPER}, Theorem 5 (with min for its max)")
        if np.isfinite(lipschitz) and not loss.classes:
            return MaxStep(2.0 / max(lipschitz, TINY), "the descent lemma: η < 2/Λ, Λ ≤ sup ℓ'' Σ ‖x_n‖⋆²",
                           "Nesterov (2018), §1.2.3")
    raise NoTheorem(f"no bound on the step size of {method!r} with the {loss.name} loss is known to the table; the nearest "
                    "are the descent lemma for gradient descent and Theorem 5 for steepest descent", f"{PAPER}, Theorem 5")


def _largest_curvature(problem: Problem) -> float:
    """λ_max(D⁻¹XᵀX) for a geometry ½wᵀDw."""
    g, X = problem.method.geometry, problem.X
    if isinstance(g, Potential) and problem.outputs == 1:
        solved = np.array([g.solve(problem.start, row) for row in X])
    elif isinstance(g, Norm) and problem.outputs == 1:
        solved = np.array([g.direction(row) for row in X])
    else:
        return problem.spread ** 2
    return float(np.abs(np.linalg.eigvals(X @ solved.T)).max())


def _dual(problem: Problem) -> Any:
    """‖x_n‖⋆ of each sample, in the method's norm."""
    g = problem.method.geometry
    return g.dual(problem.X) if isinstance(g, Norm) and problem.outputs == 1 else np.inf


def small_steps(problem: Problem) -> Hypothesis:
    """Whether the method's own rule never exceeds what `max_step` admits, so that the loss falls at every step."""
    rule, method = problem.rule, problem.method
    statement = "the steps are small enough that the loss falls at each"
    if method.beta.any() or method.gamma.any() or method.sampling.batch or rule.search:
        return Hypothesis(statement, None, f"{rule!r}; seen only in a run")
    if rule.radius:
        exact = problem.loss.name == "exponential"
        return Hypothesis(statement, True if exact else None, f"min(η₊, 1/(B²L)) of Theorem 5, B² = {rule.params[1]:.6g}"
                          + ("" if exact else f", which is stated for the exponential loss, not {problem.loss.name}"))
    try:
        bound = max_step(replace(problem, rule=rule), problem.start)
    except NoTheorem:
        return Hypothesis(statement, None, f"{rule!r}; no bound is known to the table")
    if rule.loss:
        loss = problem.log_loss(problem.start)
        largest, admitted = rule(0), bound.step_size * float(np.exp(loss))
        if problem.loss.name != "exponential":
            return Hypothesis(statement, None, f"{rule!r}; the bound η ≤ 1/B² is for the exponential loss")
        return Hypothesis(statement, True if largest <= admitted else None,
                          f"η = {largest:.6g}, and 1/B² = {admitted:.6g} ({bound.theorem})")
    largest = float(rule.params.max()) if rule.name == "sequence" else rule(0)
    return Hypothesis(statement, True if largest <= bound.step_size else None,
                      f"η ≤ {largest:.6g}; admitted from the start on: {bound.step_size:.6g} ({bound.theorem})")
