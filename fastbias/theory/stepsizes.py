"""How large a step may be: the descent lemma, Theorem 5 and Theorem 6, and whether a method's own
rule keeps to them.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Matrix, blocks, largest, sizes
from fastbias.engine.abi import Piece
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem, radius
from fastbias.solvers.limit import PAPER, Hypothesis, NoTheorem
from fastbias.solvers.outputs import first, unfolded
from fastbias.theory.asymptotes import flat, flat_norm, pace, rule_of
from fastbias.theory.base import gradient, momentum, named, shown, steepest

__all__ = ["STRICT", "MaxStep", "longest_sample", "max_step", "outgrown", "small_steps",
           "with_energy"]

TINY = 1e-300
# a bound that is not admitted itself is undercut by so much, relatively: its Λ is rounded
STRICT = 1e-13
# by which a root must be over one, and the part of an error along a direction over its rounding
OVER, PART = 1e-9, 1e-9

Told = tuple[bool | None, str]       # whether a hypothesis holds, and its evidence


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
    if problem.columns:
        problem, u = _together(problem, u)
    exponential = named(problem, "exponential")
    if _decays(problem):
        return _with_decay(problem, u)
    if _plain(problem):
        # AdaGrad has a bound of its own, which also asks that samples be short in its metric
        if problem.method.measured is not None and exponential and _begins_small(problem):
            return _admitted(-0.5 * problem.log_loss(u), "Theorem 6: η² L(w) < 1",
                             f"{PAPER}, Theorem 6", strict=True)
        if exponential and _descends(problem):
            return _on_level_set(problem, u)
        if problem.loss.curvature is not None and _descends(problem):
            return _descent_lemma(problem, problem.loss.curvature)
    raise NoTheorem(f"no bound on the step size of {problem.method!r} with the "
                    f"{problem.loss.name} loss is known to the table; the nearest are the descent "
                    "lemma for gradient descent and Theorem 5 for steepest descent",
                    f"{PAPER}, Theorem 5")


def _together(problem: Problem, u: np.ndarray) -> tuple[Problem, np.ndarray]:
    """A problem of several outputs as one of one: in ℓ2 each of them bends as all do."""
    geometry = problem.method.geometry
    if geometry is None or getattr(geometry, "matrix", None) is np.eye:
        return first(problem), u[:problem.X.shape[1]]
    return unfolded(problem), u


def _descends(problem: Problem) -> bool:
    """Whether the moves are those that a bound is known of: of descent in some norm, with momentum
    only where that is a linear recursion.
    """
    # for losses that are not quadratic no bound on momentum is known that is sharp
    if momentum(problem):
        return flat(problem) and problem.loss.quadratic
    return flat(problem) or steepest(problem)


def _on_level_set(problem: Problem, u: np.ndarray) -> MaxStep:
    """Theorem 5: e^{−m} has no Lipschitz gradient, but on the level set of u one of size B² L."""
    B = radius(problem, _norm(problem))
    return _admitted(-problem.log_loss(u) - 2.0 * np.log(max(B, TINY)),
                     "Theorem 5: η ≤ 1/(B² L(w))", f"{PAPER}, Theorem 5 (with min for its max)")


def _decays(problem: Problem) -> bool:
    """Whether it is gradient descent with weight decay, of a loss whose curvature is known."""
    known = problem.loss.curvature is not None or named(problem, "exponential")
    return bool(problem.method.decay) and known and gradient(problem) and problem.model.linear \
        and not momentum(problem) and not problem.method.sampling.batch


def _with_decay(problem: Problem, u: np.ndarray) -> MaxStep:
    """η < 2/Λ for L(w) + ½λ‖w‖², of at most the curvature Λ; of the exponential loss on the level
    set of u.
    """
    decay, told = problem.method.decay, "the descent lemma: η < 2/Λ, Λ = "
    with np.errstate(over="ignore"):
        if problem.loss.curvature is not None:
            size = problem.loss.curvature * float(np.float64(problem.spread) ** 2) + decay
            told += "sup ℓ'' σ(X)² + λ"
        else:
            level = np.exp(problem.log_loss(u)) + 0.5 * decay * float(u @ u)
            size = float(np.float64(radius(problem)) ** 2 * level) + decay
            told += "B²(L(w) + ½λ‖w‖²) + λ on the level set of w"
    return _admitted(float(np.log(2.0) - np.log(size)), told, "Nesterov (2018), §1.2.3",
                     strict=True)


def _descent_lemma(problem: Problem, curvature: float) -> MaxStep:
    """η < 2/Λ for a loss of at most this curvature, and what becomes of it with momentum."""
    method, in_flat = problem.method, flat(problem)
    # lengths are squared in a unit of their own, as X may be of size 1e±200
    unit = _unit(problem.even[0])
    curvature = curvature * (_largest_curvature(problem, unit) if in_flat
                             else _sum_of_duals(problem, unit))
    # β = γ = 0 gives 2/Λ back
    beta, gamma = float(method.beta[0]), float(method.gamma[0])
    log_step = np.log(2.0 * (1.0 + beta) / (1.0 + 2.0 * gamma)) - np.log(max(curvature, TINY)) \
        - 2.0 * np.log(unit)
    if momentum(problem):
        told = ("stability of the linear recursion: η < 2(1 + β)/((1 + 2γ)Λ), β < 1",
                "Polyak (1964) for γ = 0; the conditions of Jury for any")
    elif in_flat:
        told = ("the descent lemma: η < 2/Λ, Λ the largest curvature in the method's norm",
                "Nesterov (2018), §1.2.3, in the coordinates of the norm")
    else:
        told = ("the descent lemma: η < 2/Λ, Λ ≤ sup ℓ'' Σ ‖x_n‖⋆² (classes: over pairs)",
                "Nesterov (2018), §1.2.3, whose proof holds in any norm")
    return _admitted(log_step, *told, strict=True)


def with_energy(problem: Problem, u: np.ndarray) -> MaxStep | None:
    """The step size under which L + β‖Δw‖²/2η falls at each step of momentum β, in the method's
    norm, for a loss of bounded curvature Λ: η ≤ 2(1 − β)/Λ; None where that is not what is run.

    From L(w⁺) ≤ L(w) + ⟨∇L, d⟩ + ½Λ‖d‖², d = w⁺ − w, and ∇L = (βΔw − d)/η it changes by at most
    ((β − 1)/η + ½Λ)‖d‖². L itself may rise.
    """
    if problem.columns:
        problem, u = _together(problem, u)
    curvature, beta = problem.loss.curvature, float(problem.method.beta[0])
    if curvature is None or not (_plain(problem) and flat(problem) and momentum(problem)) \
            or problem.method.gamma.any():
        return None
    unit = _unit(problem.even[0])
    size = curvature * _largest_curvature(problem, unit)
    log_step = np.log(2.0 * (1.0 - beta)) - np.log(max(size, TINY)) - 2.0 * np.log(unit)
    return _admitted(float(log_step), "momentum: L + β‖Δw‖²/2η falls at each step where η < "
                     "2(1 − β)/Λ, Λ the largest curvature", "Zavriev, Kostyuk (1993), for the "
                     "heavy ball; by the descent lemma", strict=True)


def _plain(problem: Problem) -> bool:
    """Whether the step is all that a move depends on: no decay, length of its own, batch,
    constraint or momentum that varies.
    """
    method = problem.method
    constant = method.beta.size == method.gamma.size == 1 and bool(method.beta[0] < 1)
    return problem.model.linear and constant and method.constraint is None and not (
        method.decay or method.shrink or method.unscaled or method.sampling.batch)


def _admitted(log_step: float, theorem: str, source: str, strict: bool = False) -> MaxStep:
    """A bound as a number that is admitted itself: a strict one is undercut by more than the
    rounding of Λ.
    """
    # exp of less is 0, or has lost its digits
    if log_step < -708.0:
        raise NoTheorem(f"the largest step size that theory admits is e^{log_step:.0f}, which is "
                        f"no number of float64 ({theorem}); the nearest is the same on data that "
                        "are scaled down", source)
    step = float(np.exp(min(log_step, 709.0)))
    return MaxStep(step * (1.0 - STRICT) if strict else step, theorem, source)


def _norm(problem: Problem) -> Norm | Potential | Piece | None:
    """The norm in which the method's moves are steepest."""
    return flat_norm(problem) if flat(problem) else problem.method.geometry


def _unit(X: Matrix) -> float:
    """A power of two of the size of X to divide by before lengths are squared.

    Raises `NoTheorem` where √c_n x_n is beyond float64: 1/Λ is below it then.
    """
    top = float(largest(X, 0).max())
    if not np.isfinite(top):
        raise NoTheorem("the largest step size that theory admits is no number of float64, as the "
                        "weighed samples √c_n x_n are not; the nearest is the same on data that "
                        "are scaled down", "the descent lemma")
    return float(np.exp2(np.floor(np.log2(top)))) if top > 0 else 1.0


def _begins_small(problem: Problem) -> bool:
    """Whether ‖G^{−1/4} x_n‖₂ ≤ 1, Theorem 6's other condition, with G as it stands."""
    reached, eps = problem.reached, problem.method.params[0]
    # from where the run stands on, so that a run that began too fast may have come under the bound
    G = (problem.method.begin(problem.start)[0] if reached is None else reached.state[0]) + eps
    return longest_sample(problem, G) <= 1


def longest_sample(problem: Problem, G: np.ndarray) -> float:
    """The largest ‖G^{−1/4} x_n‖₂ for G (n,) ≥ 0; ∞ for K classes, of which Theorem 6 is silent."""
    if problem.outputs > 1:
        return float("inf")
    return max(float(np.linalg.norm(np.divide(
        X, G ** 0.25, out=np.where(X == 0, 0.0, np.inf), where=G > 0), axis=1).max())
        for X in blocks(problem.X))


def _largest_curvature(problem: Problem, unit: float) -> float:
    """λ_max(D⁻¹XᵀX) for a geometry ½wᵀDw, X in this unit; for K classes its bound λ_max(D⁻¹)
    σ_max(X)². Of samples with weights X is √c_n x_n.
    """
    g, K = problem.method.geometry, problem.outputs
    if problem.sparse and not isinstance(g, (Norm, Potential)):
        # too large for its singular values, whose square is at most this product
        sums = sizes(problem.even[0]) * (1.0 / unit)
        return float(np.max(sums.sum(axis=0)) * np.max(sums.sum(axis=1)))
    X = problem.whole("a curvature in a norm of w is asked for").even[0] / unit
    spread = float(np.linalg.norm(X, 2))
    rows = X if K == 1 else np.eye(problem.size)
    if isinstance(g, Potential):
        solved = np.array([g.solve(problem.start, row) for row in rows])
    elif isinstance(g, Norm):
        solved = np.array([g.direction(row) for row in rows])
    else:
        return spread * spread
    # rows @ solved is similar to a symmetric matrix, but is none itself
    largest = float(np.abs(np.linalg.eigvals(rows @ solved.T)).max())
    return largest if K == 1 else largest * spread * spread


def _sum_of_duals(problem: Problem, unit: float) -> float:
    """Σ_n ‖x_n‖⋆² in the method's norm; for classes ½ Σ_n max over pairs of ‖(e_b − e_c) ⊗ x_n‖⋆²,
    with sup ℓ'' = ½.
    """
    g, K = problem.method.geometry, problem.outputs
    assert isinstance(g, Norm)
    if K == 1:
        return float(sum((g.dual(X / unit) ** 2).sum() for X in blocks(problem.even[0])))
    pairs = [(np.eye(K)[b] - np.eye(K)[c]) for b in range(K) for c in range(b)]
    return 0.5 * float(sum(np.square(max(g.dual(np.outer(pair, x / unit).ravel())
                                         for pair in pairs))
                           for X in blocks(problem.even[0]) for x in X))


def outgrown(problem: Problem, w: np.ndarray) -> str:
    """How the error of gradient descent on the squared loss grows, by its linear recursion, where a
    constant step is longer than that bears; "" where it is not known to.

    Along a direction of curvature h the error has e⁺ = e + β(e − e⁻) − ηh(e + γ(e − e⁻)), w (d,)
    being the minimiser; the roots of that say what it is multiplied by at last.
    """
    method, rule = problem.method, problem.rule
    if not (gradient(problem) and problem.model.linear and problem.loss.quadratic
            and problem.outputs == 1 and problem.small and method.constraint is None
            and rule_of(problem) == "constant" and rule.params.size == 1
            and method.beta.size == method.gamma.size == 1
            and not (method.sampling.batch or method.shrink)
            and (method.decay or not method.unscaled)):
        return ""
    X = problem.whole("a step size is judged").even[0]
    _, sizes, turn = foreign.ask("the curvature", "numpy.linalg.svd", X, full_matrices=False)
    eta, beta, gamma = rule(0), float(method.beta[0]), float(method.gamma[0])
    ahead = eta * (2.0 * sizes ** 2 + method.decay)
    half = 0.5 * (1.0 + beta - ahead * (1.0 + gamma))
    turned = np.sqrt((half * half - beta + ahead * gamma).astype(complex))
    root = np.maximum(np.abs(half + turned), np.abs(half - turned))
    part = np.abs(turn @ (problem.start - w))
    grows = (root > 1.0 + OVER) \
        & (part > PART * (np.linalg.norm(problem.start) + np.linalg.norm(w)))
    if not grows.any():
        return ""
    return f"the error grows {root[grows].max():.12g}-fold at each step, by its linear recursion"


def small_steps(problem: Problem) -> Hypothesis:
    """Whether the method's own rule never exceeds what `max_step` admits, so that the loss falls at
    every step.

    From where the run stands on: any theorem of Section 3 speaks of every start, so it may begin
    there.
    """
    rule = problem.rule
    # none of these lowers L at each step by a theorem
    unseen = momentum(problem) or problem.method.sampling.batch or rule.search \
        or (problem.method.decay and rule_of(problem) in SMALL)
    if unseen or (pace(problem) is None and not rule.falling):
        holds, told = None, f"{rule!r}; seen only in a run"
    else:
        holds, told = SMALL.get(rule_of(problem), _under_a_bound)(problem)
    return Hypothesis("the steps are small enough that the loss falls at each", holds, told)


def _as_bounded(problem: Problem) -> Told:
    """The rule is the bound itself, at each step, whatever it has come to."""
    told = f"min(η₊, 1/(B²L)) of Theorem 5, B² = {problem.rule.params[1]:.6g}"
    if named(problem, "exponential"):
        return True, told
    return None, f"{told}, which is stated for the exponential loss, not {problem.loss.name}"


def _as_loss_scaled(problem: Problem) -> Told:
    """η/L ≤ 1/(B² L) is one comparison for the whole run."""
    if not named(problem, "exponential") or not (flat(problem) or steepest(problem)):
        return None, (f"{problem.rule!r}; the bound η ≤ 1/B² is for steepest descent, exponential "
                      "loss")
    B = radius(problem, _norm(problem))
    largest, admitted = float(problem.rule.params[0]), 1.0 / max(B * B, TINY)
    return shown(largest <= admitted), f"η = {largest:.6g}, and 1/B² = {admitted:.6g} (Theorem 5)"


def _under_a_bound(problem: Problem) -> Told:
    """Whether all steps that are to come are under the bound from where the run stands."""
    rule, (u, t) = problem.rule, problem.now
    try:
        bound = max_step(problem, u)
    except NoTheorem:
        return None, f"{rule!r}; no bound is known to the table"
    largest = rule.most(t)
    begun = "the start" if t == 0 else f"t = {t}"
    return shown(largest <= bound.step_size), (
        f"η ≤ {largest:.6g}; admitted from {begun} on: {bound.step_size:.6g} ({bound.theorem})")


SMALL: dict[str, Callable[[Problem], Told]] = {"bounded": _as_bounded,
                                               "loss_scaled": _as_loss_scaled}
"""Rules that are told by more than the largest of their steps."""
