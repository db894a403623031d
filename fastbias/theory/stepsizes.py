"""How large a step may be: the descent lemma, Theorem 5 and Theorem 6, and whether a method's own rule keeps to them."""
from __future__ import annotations

from typing import NamedTuple

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
    straight = problem.model.linear and not method.decay and not method.unscaled and not method.sampling.batch \
        and method.constraint is None and method.beta.size == method.gamma.size == 1 and float(method.beta[0]) < 1
    momentum = bool(method.beta.any() or method.gamma.any())
    if straight and method.measured is not None and loss.name == "exponential" and _begins_small(problem):
        most = float(np.exp(min(-0.5 * problem.log_loss(u), 709.0)))
        return MaxStep(most, "Theorem 6: η² L(w) < 1", f"{PAPER}, Theorem 6")
    flat = method.family == "gradient" or (quadratic(problem) and method.family in ("mirror", "natural", "steepest"))
    lipschitz = np.inf if loss.curvature is None or not straight else loss.curvature * (
        _largest_curvature(problem) if flat else _sum_of_duals(problem))
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
            most = float(np.exp(min(-problem.log_loss(u) - 2.0 * float(np.log(max(B, TINY))), 709.0)))
            return MaxStep(most, "Theorem 5: η ≤ 1/(B² L(w))",
                           f"{PAPER}, Theorem 5 (with min for its max)")
        if np.isfinite(lipschitz):
            return MaxStep(2.0 / max(lipschitz, TINY), "the descent lemma: η < 2/Λ, Λ ≤ sup ℓ'' Σ ‖x_n‖⋆² (classes: over "
                           "pairs)", "Nesterov (2018), §1.2.3")
    raise NoTheorem(f"no bound on the step size of {method!r} with the {loss.name} loss is known to the table; the nearest "
                    "are the descent lemma for gradient descent and Theorem 5 for steepest descent", f"{PAPER}, Theorem 5")


def _begins_small(problem: Problem) -> bool:
    """Whether ‖G^{−1/4} x_n‖₂ ≤ 1, Theorem 6's other condition, with G as it stands."""
    reached, eps = problem.reached, problem.method.params[0]
    G = (problem.method.begin(problem.start)[0] if reached is None else reached.state[0]) + eps
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = np.where(problem.X == 0, 0.0, problem.X / G ** 0.25) if problem.outputs == 1 else np.full((1, 1), np.inf)
    return bool(np.linalg.norm(rows, axis=1).max() <= 1)


def _largest_curvature(problem: Problem) -> float:
    """λ_max(D⁻¹XᵀX) for a geometry ½wᵀDw; for K classes its bound λ_max(D⁻¹) σ_max(X)²."""
    g, K = problem.method.geometry, problem.outputs
    rows = problem.X if K == 1 else np.eye(problem.size)
    if isinstance(g, Potential):
        solved = np.array([g.solve(problem.start, row) for row in rows])
    elif isinstance(g, Norm):
        solved = np.array([g.direction(row) for row in rows])
    else:
        return problem.spread ** 2
    largest = float(np.abs(np.linalg.eigvals(rows @ solved.T)).max())
    return largest if K == 1 else largest * problem.spread ** 2


def _sum_of_duals(problem: Problem) -> float:
    """Σ_n ‖x_n‖⋆² in the method's norm; for classes ½ Σ_n max over pairs of ‖(e_b − e_c) ⊗ x_n‖⋆², with sup ℓ'' = ½."""
    g, K = problem.method.geometry, problem.outputs
    if not isinstance(g, Norm):
        return np.inf
    if K == 1:
        return float((g.dual(problem.X) ** 2).sum())
    pairs = [(np.eye(K)[b] - np.eye(K)[c]) for b in range(K) for c in range(b)]
    return 0.5 * float(sum(max(g.dual(np.outer(pair, x).ravel()) for pair in pairs) ** 2 for x in problem.X))


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
    if rule.loss:
        if problem.loss.name != "exponential" or method.family not in ("gradient", "steepest", "coordinate"):
            return Hypothesis(statement, None, f"{rule!r}; the bound η ≤ 1/B² is for steepest descent, exponential loss")
        largest, admitted = float(rule.params[0]), 1.0 / max(radius(problem, method.geometry) ** 2, TINY)
        return Hypothesis(statement, True if largest <= admitted else None,
                          f"η = {largest:.6g}, and 1/B² = {admitted:.6g} (Theorem 5)")
    try:
        bound = max_step(problem, problem.start)
    except NoTheorem:
        return Hypothesis(statement, None, f"{rule!r}; no bound is known to the table")
    largest = float(rule.params.max()) if rule.name == "sequence" else rule(0)
    return Hypothesis(statement, True if largest <= bound.step_size else None,
                      f"η ≤ {largest:.6g}; admitted from the start on: {bound.step_size:.6g} ({bound.theorem})")
