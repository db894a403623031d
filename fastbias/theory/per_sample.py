"""Adam and RMSProp one sample at a time: neither ℓ∞ nor ℓ2, but a quadratic norm that the support
vectors make themselves.

Where β₂ → 1, √v is √(Σ_n (∂ℓ_n)²/N) over an epoch, in which m has seen all samples, so that w moves
along Σ a_n z_n/√(Σ a_n² z_n²), a_n = |ℓ'_n|. In direction it ends at a w with M(c) w = Σ c_n z_n, c
≥ 0 on support vectors, Σc = 1 and M(c) = diag √(Σ c_n² z_n²): the maximum margin in the norm
√(wᵀM(c)w), whose own multipliers are c.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import worst
from fastbias.pieces import norms
from fastbias.problem import Problem
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit, NoTheorem
from fastbias.solvers.margins import separate, widest
from fastbias.theory.asked import decreasing, stated_for
from fastbias.theory.base import Direction, one_by_one, shown

__all__ = ["PER_SAMPLE"]

BAEK = "Baek, Song, Yun (2025)"
STARTS = 12           # weights from which a fixed point is looked for
ROUNDS = 2000         # halvings of what is left are some fifty
SETTLED = 1e-13       # a change of the weights that is rounding
SAME = 1e-7           # weights that are one
DARK = 1e-12          # of a feature, to what all samples have of it: support vectors do not see it


def _norm(problem: Problem, c: np.ndarray) -> norms.Norm:
    """√(wᵀM(c)w); NoTheorem where M(c) is singular."""
    M = np.sqrt((c * c) @ (problem.Z * problem.Z))
    if not (DARK * np.sqrt((problem.Z * problem.Z).sum(axis=0)) < M).all():
        raise NoTheorem("some feature is 0 in all support vectors, where the quotient of the "
                        "gradient and its size is 0/0 in the end; the nearest is the same without "
                        "that feature", BAEK)
    return norms.quadratic(M)


def _multipliers(problem: Problem, c: np.ndarray) -> np.ndarray:
    """The multipliers, of sum one, of the maximum margin in the norm of c."""
    matrix = _norm(problem, c).matrix
    assert matrix is not None
    rows = problem.Z / np.sqrt(np.diag(matrix(problem.size)))
    rows = rows / np.abs(rows).max()
    # the nearest point of the hull, as non-negative least squares
    wanted = np.append(np.zeros(problem.size), 1.0)
    lam = foreign.ask("the multipliers of a margin", "scipy.optimize.nnls",
                      np.vstack([rows.T, np.ones(len(rows))]), wanted,
                      maxiter=30 * len(rows) + 300)[0]
    return np.asarray(lam / lam.sum())


def _settled(problem: Problem, c: np.ndarray) -> tuple[np.ndarray, float]:
    """The c that is its own multipliers, from one to begin with, and how far it is from being."""
    off = np.inf
    for _ in range(ROUNDS):
        wanted = _multipliers(problem, c)
        last, off = off, float(np.abs(wanted - c).max())
        # at rounding, or no longer falling
        if off <= SETTLED or (off <= CERTIFIED and off >= last):
            break
        c = 0.5 * (c + wanted)
    return c, off


def _fixed_point(problem: Problem) -> Limit:
    """A w that is the maximum margin in the norm of its own multipliers, from several weights."""
    told, rng = separate(problem.rows), np.random.default_rng(0)
    assert told.w is not None
    count = len(problem.Z)
    begun = [np.full(count, 1.0 / count), *rng.dirichlet(np.ones(count), STARTS - 1)]
    ends = [_settled(problem, c) for c in begun]
    settled = [c for c, off in ends if off <= CERTIFIED]
    # each draws flows of its own: which of them it is, start and steps decide
    other = next((c for c in settled if np.abs(c - settled[0]).max() > SAME), None)
    if other is not None:
        first, second = (", ".join(f"{x:.4f}" for x in c[:6]) for c in (settled[0], other))
        raise NoTheorem("the fixed point that the theorem speaks of is not the only one: the "
                        f"weights c = ({first}) and ({second}) both are their own multipliers, and "
                        "runs from other starts, by other steps, end at either; the nearest is the "
                        "same method with batch=None, which goes to linf", BAEK)
    apart = max(float(np.abs(c - ends[0][0]).max()) for c, _ in ends)
    c, off = min(ends, key=lambda end: end[1])
    best = widest(problem.rows, problem.shape, _norm(problem, c), told.w)
    # of other weights than its own multipliers it is no fixed point
    gap = worst(best.duality_gap, off, float(np.abs(best.dual - c).max()))
    sole = Hypothesis("the fixed point is unique", None,
                      f"from {STARTS} weights it was looked for, and the ends are up to "
                      f"{apart:.1e} apart")
    return Limit(best.w, "direction", PER_SAMPLE.name, BAEK, (sole,),
                 best.certified and gap <= CERTIFIED, gap, best.dual, best.margin, best.norm)


def _asked(problem: Problem) -> list[Hypothesis]:
    """What is known of it."""
    assert problem.method.moments is not None
    beta1, beta2, _ = problem.method.moments
    return [*decreasing(problem),
            Hypothesis("β₁ ≤ β₂", shown(bool(beta1 <= beta2)), f"{beta1:g}, {beta2:g}"),
            Hypothesis("√v is that of many epochs: β₂ → 1", None,
                       f"β₂ = {beta2:g} remembers some {1 / (1 - beta2):.3g} updates, and an epoch "
                       f"has {len(problem.y)}"),
            Hypothesis("the samples come in a fixed order", None,
                       "drawn here; the theorem is on incremental Adam"),
            Hypothesis("the theorem is as its source states it", None,
                       f"stated as known from the abstract of {BAEK}; here seen in runs: the flow "
                       "along Σ a z/√(Σ a² z²) ended at this point within .007 of it on six of six "
                       "problems"),
            *stated_for(problem, "logistic", "exponential")]


PER_SAMPLE = Direction(
    "Adam and RMSProp of single samples, without ε: the maximum margin in √(wᵀM(c)w), M(c) = diag "
    "√(Σ c² z²), c its own multipliers", BAEK,
    lambda p, flow: not flow and one_by_one(p.method) and not p.loss.classes and p.weights is None,
    solve=_fixed_point, hypotheses=_asked,
    reason="Adam one sample at a time asks for step sizes that fall to 0 with an infinite sum; the "
           "nearest is the same with fb.steps.power(η, a), 0 < a ≤ 1")
