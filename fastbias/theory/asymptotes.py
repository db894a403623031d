"""How gradient descent goes to its margin: w(t) − ŵ log t, the weights of the support vectors, and
the rates they decide.

Gradient descent in the metric D = LLᵀ is that of u = Lᵀw on the rows L⁻¹z, so all is done in these
coordinates.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastbias.checks.foreign import Unsolved, ask
from fastbias.pieces import norms, steps
from fastbias.pieces.laws import tail
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.pieces.steps import StepRule
from fastbias.problem import Problem
from fastbias.solvers.limit import Hypothesis, Limit, Rate
from fastbias.theory.base import gradient, named, quadratic

__all__ = ["FLOW", "TIE", "asymptote", "flat", "flat_norm", "gaussian", "metric", "normalised",
           "pace", "plain", "ratio", "rule_of"]

FLOW = steps.constant(1.0)      # the rule of unit speed that a flow is given; known by its identity
# samples whose margin exceeds the least by less, relatively, count as support vectors
TIE = 1e-9

Asymptote = tuple[list[Hypothesis], np.ndarray | None, tuple[Rate, ...]]


def flat(problem: Problem) -> bool:
    """Whether the method is gradient descent in some metric D: w⁺ = w + β Δw − η D⁻¹∇L (a searched
    step has no length).
    """
    method = problem.method
    if gradient(problem):
        return True
    moves = (method.steepest or method.natural or method.dual) and not method.averages
    return moves and isinstance(method.geometry, Norm | Potential) and quadratic(problem) \
        and method.constraint is None and (not method.unscaled or problem.rule.search)


def metric(problem: Problem) -> np.ndarray | None:
    """Its D (n, n); None for the identity."""
    g, n = problem.method.geometry, problem.start.size
    matrix = getattr(g, "matrix", None)
    if not isinstance(g, Norm | Potential) or matrix is np.eye:
        return None
    return np.asarray(matrix(n) if matrix is not None
                      else [g.to_dual(e) for e in np.eye(n)])  # type: ignore[union-attr]


def flat_norm(problem: Problem) -> Norm:
    """The norm √(wᵀDw)."""
    if isinstance(problem.method.geometry, Norm):
        return problem.method.geometry
    D = metric(problem)
    return norms.l2 if D is None else norms.quadratic(D)


def plain(problem: Problem) -> bool:
    """Whether there is neither momentum nor chance in it."""
    method = problem.method
    return not (method.beta.any() or method.gamma.any() or method.random)


def rule_of(problem: Problem) -> str:
    """The function of `fastbias.pieces.steps` that made the rule ("constant" for a sequence, too),
    "" for one of a user's own.
    """
    rule = problem.rule
    if rule.search:
        return "line_search"
    made = next((x for x in steps.EXAMPLES if x.rule is rule.rule), None)
    return made.name if made is not None and _same_kind(rule, made) else ""


def _same_kind(rule: StepRule, made: StepRule) -> bool:
    """Whether a rule with the piece of one of ours is of its kind: it may still have been given
    numbers that make it another one, negative or none.
    """
    # the exponent of a power may be of any sign
    positive = rule.params if made.constant else rule.params[:1]
    same = rule.loss == made.loss and rule.radius == made.radius
    return same and (rule.constant == made.constant or not rule.loss) \
        and bool(np.isfinite(rule.params).all()) \
        and rule.params.size > 0 and bool(positive.min() > 0)


def pace(problem: Problem) -> float | None:
    """The a ≥ 0 of step sizes that fall like 1/t^a, 0 for those that stay, ∞ for those that end;
    None for a searched step, a rule of one's own, an array that falls to its end.
    """
    name, x = rule_of(problem), problem.rule.params
    if name == "power":
        known = x.size == 2 or (x.size == 4 and x[2] > 0 and x[3] >= 0)
        return float(x[1]) if known and x[1] >= 0 else None
    if name == "loss_scaled" and not problem.rule.constant:
        return float(x[1]) if x.size == 2 and x[1] >= 0 else None
    if name == "cosine":
        known = x.size == 3 and x[1] >= 1 and 0 <= x[2] <= x[0]
        return (0.0 if x[2] > 0 else np.inf) if known else None
    if problem.rule.falling:
        return None
    return 0.0 if name in ("constant", "loss_scaled", "bounded") else None


class Support(NamedTuple):
    """The support vectors of a margin, in coordinates in which the method is gradient descent."""

    half: np.ndarray | None   # L, D = LLᵀ; None for the identity
    hat: np.ndarray           # ŵ
    rows: np.ndarray          # (k, n), each once
    often: np.ndarray         # how often each stands in the data, or the sum of its weights
    rank: int
    spread: int               # the rank of all data
    # with ŵ = Σ α z; where it is not unique, one whose least entry is largest
    alpha: np.ndarray
    # whether ŵ ∝ Σ z over the support vectors, so that their margins stay equal
    even: bool

    @property
    def weightless(self) -> int:
        """How many have no weight: these are pushed back by none."""
        return int((self.alpha <= 1e-9 * self.alpha.max()).sum())


def _support(problem: Problem, found: Limit) -> Support | None:
    """Its support vectors; None where their coordinates, or the squares of their lengths, are
    beyond float64.
    """
    D = metric(problem)
    half, Z, hat = None, problem.Z, found.w.ravel() / found.margin
    if D is not None:
        what, half = "the coordinates of the quadratic norm", np.linalg.cholesky(D)
        Z, hat = np.asarray(ask(what, "scipy.linalg.solve_triangular", half, Z.T, lower=True)).T, \
            half.T @ hat
    # squares of lengths follow, and they must neither vanish nor overflow
    for x in (Z, hat):
        if not 1e-150 < np.abs(x).max() < 1e150:
            return None
    margins = problem.Z @ (found.w.ravel() / found.margin)
    # a w that rounding has put on the wrong side of thin data has no support vectors
    if not margins.min() > 0:
        return None
    near = margins <= margins.min() * (1 + TIE)
    # a sample that stands twice pulls twice, yet counts once for the rank
    c = np.repeat(1.0 if problem.weights is None else problem.weights,
                  len(Z) if problem.weights is None else len(Z) // len(problem.weights))[near]
    rows, which = np.unique(Z[near], axis=0, return_inverse=True)
    often = np.bincount(which.ravel(), c)
    rank = int(np.linalg.matrix_rank(rows, 1e-9 * np.linalg.norm(rows, 2)))
    # independent support vectors have one α; of dependent ones that is taken which shows best that
    # all can be positive
    alpha = np.linalg.lstsq(rows.T, hat, rcond=None)[0] if rank == len(rows) \
        else _largest_weights(rows, hat)
    # from w(0) = 0 equal margins stay equal only if the sum of the support vectors points along ŵ
    total = c / c.max() @ Z[near]
    across = total - hat * ((total @ hat) / (hat @ hat))
    return Support(half, hat, rows, often, rank,
                   int(np.linalg.matrix_rank(Z, 1e-9 * np.linalg.norm(Z, 2))), alpha,
                   bool(np.linalg.norm(across) <= 1e-9 * np.linalg.norm(total)))


def _largest_weights(support: np.ndarray, hat: np.ndarray) -> np.ndarray:
    """The α ≥ 0 with Σ α z = ŵ whose least entry is largest, by linear programming."""
    # the variables are α and its least entry, which is maximised
    k, d = support.shape
    size = float(np.linalg.norm(support, 2))
    try:
        answer = ask("the linear program of the weights of dependent support vectors",
                     "scipy.optimize.linprog",
                     np.append(np.zeros(k), -1.0),
                     A_eq=np.hstack([support.T / size, np.zeros((d, 1))]), b_eq=hat,
                     A_ub=np.hstack([-np.eye(k), np.ones((k, 1))]), b_ub=np.zeros(k),
                     bounds=[(0, None)] * (k + 1),
                     method="highs-ds")
    except Unsolved:
        return np.ones(k)
    return np.asarray(answer.x[:k] / size) if answer.status == 0 else np.ones(k)


STATEMENT = ("the support vectors span the data and each has weight α > 0: then w − ŵ log t "
             "converges")


def asymptote(problem: Problem, found: Limit) -> Asymptote:
    """Gradient descent with steps that stay: whether ρ(t) = w − ŵ log t converges, where, and how
    fast directions do.

    On the support vectors η exp(−⟨z_n, w̃⟩) = α_n, ŵ = Σ α_n z_n; off the span of the data w̃ is
    the start. Momentum β makes the step η/(1 − β).
    """
    eta = _staying(problem)
    at = _support(problem, found) if eta is not None else None
    if eta is None or at is None:
        return [], None, ()
    # L ~ ‖ŵ‖²/(η t): the level of t L does not depend on the start
    loss = (Rate("log loss", "t", -1.0),
            Rate("log t L", "t", 0.0, float(np.log(at.hat @ at.hat / eta))))
    slow = _rates(at, "log t")
    # along a support vector without weight w̃ drifts like log log t
    if at.weightless:
        return [_vanishing_weights(at, "directions then converge like log log t/log t",
                                   STATEMENT)], None, loss
    # then α, and with it the limit of ρ, is decided by more than the equations below
    if at.rank < len(at.rows):
        told = Hypothesis(STATEMENT, None,
                          f"{len(at.rows)} support vectors of rank {at.rank}: α is not unique")
        return [told], None, (*slow, *loss)
    # what the support vectors do not span is decided by the other samples, for ever
    if at.rank < at.spread:
        told = Hypothesis(STATEMENT, False,
                          f"α ≥ {at.alpha.min():.3g}, but they span {at.rank} of {at.spread} "
                          "dimensions")
        return [told], None, (*slow, *loss)
    offset, along = _offset(problem, at, eta)
    told = Hypothesis(STATEMENT, True, f"{len(at.rows)} support vectors, α ≥ {at.alpha.min():.3g}; "
                                       "the point is .offset" + (
                                           "" if problem.weights is None else ", that of the "
                                           "weights, as no direction is"))
    # w̃ along ŵ: then it is faster than 1/log t
    return [told], offset, loss if along else (*slow, *loss)


def _staying(problem: Problem) -> float | None:
    """The length of steps that stay, in the end; None of others, or where chance has its say."""
    method, rule = problem.method, problem.rule
    if pace(problem) != 0.0 or method.sampling.batch or method.beta.size > 1 \
        or rule_of(problem) == "loss_scaled":
        return None
    # of a sequence the last entry goes on; momentum lengthens each step to η/(1 − β)
    return rule.last / (1.0 - float(method.beta[0]))


def _offset(problem: Problem, at: Support, eta: float) -> tuple[np.ndarray | None, bool]:
    """The point that w − ŵ log t tends to, None beyond float64, and whether it lies along ŵ."""
    start = problem.start if at.half is None else at.half.T @ problem.start
    # the tail is e^{scale − m}: of our own losses it is known to be 0, of another it is read off
    scale = 0.0 if named(problem, "exponential", "logistic", "sigmoid",
                         "cross_entropy") else float(tail(problem.loss)[-1])
    # the equations η e^{−⟨z_n, w̃⟩} · often = α_n, solved at the least distance from the start
    goal = np.log(at.often) + np.log(eta / at.alpha) + scale - at.rows @ start
    offset = start + np.linalg.lstsq(at.rows, goal, rcond=None)[0]
    across = np.linalg.norm(offset - at.hat * (offset @ at.hat) / (at.hat @ at.hat))
    along = bool(across <= 1e-9 * np.linalg.norm(offset))
    # back from u = Lᵀw
    if at.half is not None:
        offset = np.linalg.solve(at.half.T, offset)
    return offset.reshape(problem.shape) if np.isfinite(offset).all() else None, along


def gaussian(problem: Problem, found: Limit) -> Asymptote:
    """Of a loss that falls like e^{−m²/2}: w = ŵM + O(1/M), M² = 2 log t, if the support vectors
    span the data and what the start has beside them.

    Margins m_n of support vectors have e^{−m_n²/2} ∝ α_n, so that they are log(α_k/α_n)/M apart.
    """
    at = _support(problem, found) if _staying(problem) is not None else None
    if at is None or not plain(problem) or at.rank < at.spread:
        return [], None, ()
    statement = "each support vector has weight α > 0: then directions converge like 1/log t"
    if at.weightless:
        return [_vanishing_weights(at, "directions then converge more slowly", statement)], None, ()
    start = problem.start if at.half is None else at.half.T @ problem.start
    across = start - np.linalg.lstsq(at.rows, at.rows @ start, rcond=None)[0]
    told = Hypothesis(statement, True, f"{len(at.rows)} support vectors, α ≥ {at.alpha.min():.3g}")
    if np.linalg.norm(across) > 1e-9 * np.linalg.norm(start):
        # what the start has across the data stays, while w grows like √(2 log t)
        return [told._replace(statement="the start lies in the span of the data: then directions "
                                        "converge like 1/log t", holds=False,
                              evidence="across it w stays as it was: like 1/√log t")], None, tuple(
                                  Rate(name, "log t", slope) for name, slope in
                                  (("direction", -0.5), ("angle", -0.5), ("1 - cos", -1.0)))
    # independent support vectors of equal weight stay level, to all orders
    level = np.ptp(at.often / at.alpha) <= 1e-9 * float((at.often / at.alpha).max())
    return [told], None, () if level and at.rank == len(at.rows) else _rates(at, "log t")


def ratio(problem: Problem, found: Limit) -> Asymptote:
    """Steps η/L: w − ŵ s converges as above, s = η t/‖ŵ‖² standing for log t, so that rates are
    powers of t; of steps η/(L t^a) none are told.
    """
    at = _support(problem, found)
    statement = "each support vector has weight α > 0: then directions converge like 1/t"
    if not plain(problem) or not problem.loss.convex or at is None or pace(problem) != 0.0:
        return [], None, ()
    if at.weightless:
        return [_vanishing_weights(at, "directions then converge like log t/t", statement)], None, \
            ()
    told = Hypothesis(statement, True, f"{len(at.rows)} support vectors, α ≥ {at.alpha.min():.3g}")
    return [told], None, _rates(at, "t")


def normalised(problem: Problem, found: Limit) -> Asymptote:
    """Normalised steps η/t^a: ‖w‖ grows like t^(1−a), and what they add beside the direction stays
    bounded.

    So margins come like its inverse (seen in runs; where the margins of the support vectors stay
    equal, in ℓ2, its square).
    """
    # steps whose sum is finite never get there, constant ones hover
    a = pace(problem)
    if not a or a > 1 or not plain(problem):
        return [], None, ()
    norm = problem.method.geometry
    at = _support(problem, found) if isinstance(norm, Norm) and norm.matrix is not None else None
    power = 2.0 if at is not None and at.even else 1.0
    return [], None, (Rate("margin gap", "t", -power * (1.0 - a)) if a < 1
                      else Rate("margin gap", "log t", -power),)


def _vanishing_weights(at: Support, then: str, statement: str) -> Hypothesis:
    return Hypothesis(statement, False, f"α = 0 at {at.weightless} of {len(at.alpha)} support "
                                        f"vectors: {then}")


def _rates(at: Support, clock: str) -> tuple[Rate, ...]:
    """Of ŵ s + w̃, s the clock: the margin is short by the spread of ⟨z, w̃⟩ over the support
    vectors, and by w̃² across.
    """
    return (Rate("direction", clock, -1.0), Rate("angle", clock, -1.0),
            Rate("1 - cos", clock, -2.0),
            Rate("margin gap", clock, -2.0 if at.even else -1.0))
