"""How large a step may be: the descent lemma, Theorem 5 and Theorem 6, and whether a method's own
rule keeps to them.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastbias.engine.abi import Piece
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem, radius
from fastbias.solvers.limit import PAPER, Hypothesis, NoTheorem
from fastbias.theory.asymptotes import flat, flat_norm, pace, rule_of
from fastbias.theory.base import momentum, named

__all__ = ["MaxStep", "max_step", "small_steps"]

TINY = 1e-300
# a bound that is not admitted itself is undercut by so much, relatively: its Λ is rounded
STRICT = 1e-13


class MaxStep(NamedTuple):
    """The largest step size that theory admits (just under its bound where that is strict), the
    theorem, and its source.
    """

    step_size: float
    theorem: str
    source: str


def max_step(problem: Problem, u: np.ndarray) -> MaxStep:
    """Return the largest constant step size that theory admits from u (n,) on.

    Raises
    ------
    NoTheorem
        Where the table knows no bound for the method and loss, or the bound is no number of
        float64.
    """
    method, loss = problem.method, problem.loss
    unknown = NoTheorem(f"no bound on the step size of {method!r} with the {loss.name} loss is "
                        "known to the table; the nearest are the descent lemma for gradient "
                        "descent and Theorem 5 for steepest descent",
                        f"{PAPER}, Theorem 5")
    if not _plain(problem):
        raise unknown
    if method.measured is not None and named(problem, "exponential") and _begins_small(problem):
        return _admitted(-0.5 * problem.log_loss(u), "Theorem 6: η² L(w) < 1",
                         f"{PAPER}, Theorem 6", strict=True)
    if not (flat(problem) or _steepest(problem)) \
        or (momentum(problem) and not (flat(problem) and loss.quadratic)):
        raise unknown
    if named(problem, "exponential"):
        return _admitted(-problem.log_loss(u) - 2.0
                         * np.log(max(radius(problem, _norm(problem)), TINY)),
                         "Theorem 5: η ≤ 1/(B² L(w))", f"{PAPER}, Theorem 5 (with min for its max)")
    if loss.curvature is None:
        raise unknown
    unit = _unit(problem.X)
    curvature = loss.curvature * (_largest_curvature(problem, unit) if flat(problem)
                                  else _sum_of_duals(problem, unit))
    beta, gamma = float(method.beta[0]), float(method.gamma[0])
    log_step = np.log(2.0 * (1.0 + beta) / (1.0 + 2.0 * gamma)) - np.log(max(curvature, TINY)) \
        - 2.0 * np.log(unit)
    if momentum(problem):
        return _admitted(log_step, "stability of the linear recursion: η < 2(1 + β)/((1 + 2γ)Λ), β "
                                   "< 1",
                         "Polyak (1964) for γ = 0; the conditions of Jury for any", strict=True)
    if flat(problem):
        return _admitted(log_step, "the descent lemma: η < 2/Λ, Λ the largest curvature in the "
                                   "method's norm",
                         "Nesterov (2018), §1.2.3, in the coordinates of the norm", strict=True)
    return _admitted(log_step, "the descent lemma: η < 2/Λ, Λ ≤ sup ℓ'' Σ ‖x_n‖⋆² (classes: over "
                               "pairs)",
                     "Nesterov (2018), §1.2.3, whose proof holds in any norm", strict=True)


def _plain(problem: Problem) -> bool:
    """Whether the step is all that a move depends on: no decay, length of its own, batch,
    constraint or momentum that varies.
    """
    method = problem.method
    constant = method.beta.size == method.gamma.size == 1 and bool(method.beta[0] < 1)
    return problem.model.linear and constant and method.constraint is None and not (
        method.decay or method.unscaled or method.sampling.batch)


def _steepest(problem: Problem) -> bool:
    """Whether each move is of steepest descent in a norm, for the last gradient alone."""
    method = problem.method
    return method.steepest and isinstance(method.geometry, Norm) and not method.averages


def _admitted(log_step: float, theorem: str, source: str, strict: bool = False) -> MaxStep:
    """A bound as a number that is admitted itself: a strict one is undercut by more than the
    rounding of Λ.
    """
    if log_step < -708.0:
        raise NoTheorem(f"the largest step size that theory admits is e^{log_step:.0f}, which is "
                        f"no number of float64 ({theorem}); the nearest is the same on data that "
                        "are scaled down", source)
    step = float(np.exp(min(log_step, 709.0)))
    return MaxStep(step * (1.0 - STRICT) if strict else step, theorem, source)


def _norm(problem: Problem) -> Norm | Potential | Piece | None:
    """The norm in which the method's moves are steepest."""
    return flat_norm(problem) if flat(problem) else problem.method.geometry


def _unit(X: np.ndarray) -> float:
    """A power of two of the size of X, to divide by before lengths are squared."""
    largest = float(np.abs(X).max())
    return float(np.exp2(np.floor(np.log2(largest)))) if largest > 0 else 1.0


def _begins_small(problem: Problem) -> bool:
    """Whether ‖G^{−1/4} x_n‖₂ ≤ 1, Theorem 6's other condition, with G as it stands."""
    reached, eps = problem.reached, problem.method.params[0]
    G = (problem.method.begin(problem.start)[0] if reached is None else reached.state[0]) + eps
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = np.where(problem.X == 0, 0.0, problem.X / G ** 0.25) if problem.outputs == 1 \
            else np.full((1, 1), np.inf)
    return bool(np.linalg.norm(rows, axis=1).max() <= 1)


def _largest_curvature(problem: Problem, unit: float) -> float:
    """λ_max(D⁻¹XᵀX) for a geometry ½wᵀDw, X in this unit; for K classes its bound λ_max(D⁻¹)
    σ_max(X)².
    """
    g, K = problem.method.geometry, problem.outputs
    spread = float(np.linalg.norm(problem.X / unit, 2))
    rows = problem.X / unit if K == 1 else np.eye(problem.size)
    if isinstance(g, Potential):
        solved = np.array([g.solve(problem.start, row) for row in rows])
    elif isinstance(g, Norm):
        solved = np.array([g.direction(row) for row in rows])
    else:
        return spread * spread
    largest = float(np.abs(np.linalg.eigvals(rows @ solved.T)).max())
    return largest if K == 1 else largest * spread * spread


def _sum_of_duals(problem: Problem, unit: float) -> float:
    """Σ_n ‖x_n‖⋆² in the method's norm; for classes ½ Σ_n max over pairs of ‖(e_b − e_c) ⊗ x_n‖⋆²,
    with sup ℓ'' = ½.
    """
    g, K, X = problem.method.geometry, problem.outputs, problem.X / unit
    assert isinstance(g, Norm)
    if K == 1:
        return float((g.dual(X) ** 2).sum())
    pairs = [(np.eye(K)[b] - np.eye(K)[c]) for b in range(K) for c in range(b)]
    return 0.5 * float(sum(max(g.dual(np.outer(pair, x).ravel()) for pair in pairs) ** 2
                           for x in X))


def small_steps(problem: Problem) -> Hypothesis:
    """Whether the method's own rule never exceeds what `max_step` admits, so that the loss falls at
    every step.

    From where the run stands on: any theorem of Section 3 speaks of every start, so it may begin
    there.
    """
    rule, method, reached = problem.rule, problem.method, problem.reached
    u, t = (problem.start, 0) if reached is None else (reached.u, reached.t)
    statement = "the steps are small enough that the loss falls at each"
    if momentum(problem) or method.sampling.batch or rule.search or pace(problem) is None:
        return Hypothesis(statement, None, f"{rule!r}; seen only in a run")
    if rule_of(problem) == "bounded":
        exact = named(problem, "exponential")
        return Hypothesis(statement, True if exact else None,
                          f"min(η₊, 1/(B²L)) of Theorem 5, B² = {rule.params[1]:.6g}"
                          + ("" if exact else ", which is stated for the exponential loss, not "
                                              f"{problem.loss.name}"))
    if rule_of(problem) == "loss_scaled":
        if not named(problem, "exponential") or not (flat(problem) or _steepest(problem)):
            return Hypothesis(statement, None,
                              f"{rule!r}; the bound η ≤ 1/B² is for steepest descent, exponential "
                              "loss")
        B = radius(problem, _norm(problem))
        largest, admitted = float(rule.params[0]), 1.0 / max(B * B, TINY)
        return Hypothesis(statement, True if largest <= admitted else None,
                          f"η = {largest:.6g}, and 1/B² = {admitted:.6g} (Theorem 5)")
    try:
        bound = max_step(problem, u)
    except NoTheorem:
        return Hypothesis(statement, None, f"{rule!r}; no bound is known to the table")
    largest = float(rule.params[min(t, rule.params.size - 1):].max()) \
        if rule_of(problem) == "constant" else rule(t)
    return Hypothesis(statement, True if largest <= bound.step_size else None,
                      f"η ≤ {largest:.6g}; admitted from {'the start' if t == 0 else f't = {t}'} "
                      f"on: {bound.step_size:.6g} ({bound.theorem})")
