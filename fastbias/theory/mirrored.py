"""Losses with a root on models whose gradient flow is a mirror flow: the projection in the
potential of the model.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import ratio, worst
from fastbias.data.rows import symmetric
from fastbias.pieces.laws import ours
from fastbias.pieces.potentials import Potential
from fastbias.pieces.potentials.factors import factors
from fastbias.problem import Problem
from fastbias.solvers.bregman import bregman_projection, feasibility
from fastbias.solvers.equations import Unreachable
from fastbias.solvers.limit import CERTIFIED, PAPER, Hypothesis, Limit, NoTheorem
from fastbias.theory.base import Point, momentum, shown
from fastbias.theory.homogeneous import smooth

__all__ = ["COMMUTING", "CONJECTURE", "LI", "descent", "mirrored", "powers", "vanishing"]

COMMUTING = "Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro (2017)"
EVEN = "Even, Pesme, Gunasekar, Flammarion (2023)"
RAZIN = "Razin, Cohen (2020)"
LI = f"Li, Luo, Lyu (2021); {RAZIN}; {COMMUTING}"
EPS = float(np.finfo(float).eps)
SHORT = 1e-5          # differences of F beyond degree 2, in units of the largest parameter
STEPS = ("finite steps: argmin D_ψ(w, w(t)) over the global minima, ψ and w(t) measured where the "
         "run stands")
CONJECTURE = ("gradient descent on UVᵀ with the squared loss has no characterisation: from small "
              "starts with small steps it is often near the minimum nuclear norm (Gunasekar et al. "
              "2017; proved where measurements commute or have RIP, Li, Ma, Zhang 2018), but not "
              "always: greedy low rank is another answer (Li, Luo, Lyu 2021: 3 × 3 completions "
              "with a rank-one limit), and of some data no norm at all can be what it keeps small: "
              "every one of them may have to grow without end (Razin & Cohen 2020: of a 2 × 2 "
              "matrix 1 and 1 off the diagonal and one 0 on it are known, and det > 0 at the "
              "start); compare with fb.minimum_norm(X, y, fb.norms.nuclear(m, n))")


def descent(problem: Problem, flow: bool) -> list[Hypothesis]:
    """What theorems on gradient flow in u leave open of a method with finite steps."""
    method = problem.method
    if flow:
        return [Hypothesis("η → 0: the flow", True, "asked for")]
    rows = [Hypothesis("the steps are small enough", None, f"{problem.rule!r}; seen only in a run")]
    if problem.rule.loss and problem.model.degree > 1:
        rows.append(smooth(problem))
    if momentum(problem):
        rows.append(Hypothesis("momentum keeps the limit", None,
                               "not in the literature for models"))
    if method.sampling.batch:
        rows.append(Hypothesis("stochastic gradients keep the limit", None,
                               "not in the literature for models"))
    return rows


def vanishing(problem: Problem, flow: bool, mirrored: bool) -> Hypothesis:
    """Whether L → 0: of mirror flows it is proved from any start, of others once each sample is on
    its side.
    """
    loss, statement = problem.loss, "L(w_t) → 0"
    if flow and mirrored and loss.convex:
        return Hypothesis(statement, True,
                          "proved of a mirror flow: L(w_t) ≤ L(v) + D_ψ(v, w(0))/t for any v")
    if loss.kind != "monotone":
        return Hypothesis(statement, None, "seen only in a run: trace.log_loss")
    u, t = (problem.start, 0) if flow else problem.now
    log_loss, least = problem.log_loss(u), loss.log(np.zeros(2), np.zeros(1)) if loss.classes \
        else loss.log(np.zeros(1), np.ones(1))
    least += float(problem.log_weights.min())
    seen = f"log L = {log_loss:.3g} at t = {t}, and that of one sample of margin 0 is {least:.3g}"
    if not log_loss < least:
        return Hypothesis(statement, None,
                          f"seen only in a run: {seen}; once it is under that, a flow is sure to "
                          "go to 0")
    if flow:
        return Hypothesis(statement, True,
                          f"{seen}: each is on its side for ever, so ‖∇L‖ ≥ c/‖u‖ while L ≥ ε, and "
                          "‖u‖² grows no faster than t (Lyu & Li 2020)")
    return Hypothesis(statement, None, f"{seen}: a flow is sure to go to 0 from there; finite "
                                       "steps are seen only in a run")


def powers(problem: Problem) -> list[Hypothesis]:
    """What is known of networks deeper than two layers, and by whom."""
    layers = problem.model.split(problem.start, problem.size)
    even = len(layers) == 2 and all(np.array_equal(layer, layers[0]) for layer in layers) \
        and float(np.ptp(np.abs(problem.start))) == 0.0
    return [Hypothesis("the flow is a function of z = ∫ −∂L/∂w dt", True,
                       "proved: du^{2−L}/dt = ∓L(L − 2) ∂L/∂w, from any start" + (
                           "; this one is the source's α1" if even else
                           "; the source speaks of α1, and this one is another"))]


def mirrored(problem: Problem, flow: bool, row: Point) -> Limit:
    """The limit point that a row of NETWORK names, with its hypotheses checked."""
    model = problem.model
    rows = [Hypothesis("the loss has a unique finite root (Property 1)", True, problem.loss.name)]
    standing = _standing(problem, flow)
    begun = standing or problem
    psi = row.potential(begun)
    if psi is None:
        raise NoTheorem(row.reason, row.source or model.source, tuple(rows))
    # what the potential projects is the predictor, not the parameters
    start = begun.predictor(begun.start)
    found = _realised(begun, row, psi, start, rows)
    rows.append(_is_mirror(begun, psi, start))
    if rows[-1].holds is False:
        raise NoTheorem(f"{row.name} asks for a model whose flow is that of its potential, and "
                        "this one's is not",
                        row.source or model.source, tuple(rows))
    if model.degree > 2:
        found = _felt(problem, psi, start, found)
    rows += row.hypotheses(problem)
    name = row.name
    source = row.source or (COMMUTING if model.commuting else model.source) or f"{PAPER}, §2.1"
    if standing is not None:
        name, source = STEPS, EVEN
        rows.append(_to_come(standing))
    # on the linear model finite steps go where the flow goes
    elif model.degree > 1 and not flow:
        rows += _beside_the_flow(problem, rows)
    rows.append(vanishing(problem, flow, found.certified))
    return Limit(found.w.reshape(problem.shape), "point", name, source, tuple(rows),
                 found.certified, found.duality_gap, found.dual)


def _standing(problem: Problem, flow: bool) -> Problem | None:
    """The problem begun where a run stands, if finite steps went there whose effect is known: None
    where they are none, or theirs is not.

    Amplitudes p, q that a step multiplies by 1 + z and 1 − z, z in the span of the samples, have
    |pq| fall by Π(1 − z²), and log(p/q) leave that span by 2 Σ artanh z − z: both are part of the
    potential of where the run stands, whatever the steps were.
    """
    reached, model = problem.reached, problem.model
    if (flow or reached is None or reached.t == 0 or momentum(problem) or problem.rule.search
            or not (model.multiplied and ours(model))):
        return None
    return replace(problem, start=reached.u)


def _to_come(problem: Problem) -> Hypothesis:
    """How far the potential of where a run stands is from the one that the run will have had at t =
    ∞.
    """
    reached, mirror = problem.reached, problem.model.mirror
    assert reached is not None
    assert mirror is not None
    u = reached.u + problem.rule(reached.t) * problem.descent(reached.u)
    now, then = mirror(reached.u), mirror(u)
    assert now is not None
    assert then is not None
    # of logarithms of p² and q²
    falls = float(np.abs((then.params - now.params).reshape(2, -1).sum(axis=0)).max() / 2.0)
    return Hypothesis("ψ is what it will be at t = ∞", None,
                      f"measured at t = {reached.t}; the next update changes its scale |pq| by "
                      f"{falls:.1e} of itself, and later ones by less where the loss goes on "
                      "falling")


def _felt(problem: Problem, psi: Potential, start: np.ndarray, found: Limit) -> Limit:
    """The same with the error of w that its dual variable leaves, where that has few digits.

    With r = ∇ψ(w) − ∇ψ(w(0)) − Xᵀν, ‖w − w∞‖ in the metric ∇²ψ is at most that of ∇²ψ⁻¹r.
    """
    if not np.isfinite(found.dual).all():
        return found
    w, pull = found.w.ravel(), problem.X.T @ found.dual
    # near an end of z many w have nearly the same, so that residuals of z say little
    with np.errstate(all="ignore"):
        z, z0 = psi.to_dual(w), psi.to_dual(start)
        rounding = EPS * (np.abs(z) + np.abs(z0) + np.abs(problem.X).T @ np.abs(found.dual))
        curve = psi.solve(w, np.ones_like(w))
        r = np.abs(z - z0 - pull) + rounding
        far = np.sqrt(curve) * np.sqrt((curve * r * r).sum())
        gap = worst(found.duality_gap, ratio(float(far.max()), float(np.abs(w).max())))
    return replace(found, duality_gap=gap, certified=found.certified and gap <= CERTIFIED)


def _realised(problem: Problem, row: Point, psi: Potential, start: np.ndarray,
              rows: list[Hypothesis]) -> Limit:
    """The projection of the start on the predictors that meet the data; NoTheorem where there are
    none. What it asks is added to the rows.
    """
    turn = _basis(problem, start, rows) if problem.model.commuting else None
    # of factors that balance exactly some entries can never change sign, and some never move
    signs = getattr(psi, "signs", np.zeros(problem.size))
    where = ""
    if signs.any():
        rows.append(_balanced(signs))
        where = f" by predictors that keep what exact balance keeps ({rows[-1].evidence})"
    try:
        found = _projected(problem.X, problem.y, psi, start, signs) if turn is None \
            else _turned(problem, turn)
    except Unreachable as error:
        rows.append(Hypothesis("the data are realisable", False, str(error)))
        raise NoTheorem(f"{row.name} needs data that are realisable{where}, and these are not; "
                        "the nearest is the squared loss on the linear model, whose limit is the "
                        "nearest least-squares solution",
                        row.source or problem.model.source, tuple(rows)) from None
    rows.append(Hypothesis("the data are realisable", shown(found.certified),
                           f"residual {found.duality_gap:.1e}"))
    if not found.certified:
        rows += found.hypotheses
    return found


def _basis(problem: Problem, start: np.ndarray, rows: list[Hypothesis]) -> np.ndarray:
    """The basis in which the samples and the start are diagonal; without one the flow in W is no
    mirror flow, and the limit is a conjecture.
    """
    worst, turn = _commutator(problem, start)
    rows.append(Hypothesis("the samples and the start are symmetric matrices that commute",
                           worst <= 1e-12, f"largest ‖AB − BA‖/(‖A‖ ‖B‖) {worst:.1e}"))
    if not worst <= 1e-12:
        raise NoTheorem(CONJECTURE, LI, tuple(rows))
    return turn


def _beside_the_flow(problem: Problem, rows: list[Hypothesis]) -> list[Hypothesis]:
    """What finite steps leave open: those of other models than the linear one end O(η) away."""
    if problem.rule.search:
        raise NoTheorem("searched steps are long ones, which do not follow the flow that a "
                        "limit is known of; the nearest is the same with small steps",
                        problem.model.source, tuple(rows))
    told = f"{problem.rule!r}: finite steps end O(η) away from its limit"
    if problem.model.multiplied and not momentum(problem):
        told += "; behind a run plan.limit() measures what they change"
    if problem.method.beta.any():
        told += "; momentum makes them η/(1 − β)"
    return [Hypothesis("η → 0: the flow", None, told), *descent(problem, flow=False)[1:]]


def _is_mirror(problem: Problem, psi: Potential, start: np.ndarray) -> Hypothesis:
    """Whether F'F'ᵀ is (∇²ψ)⁻¹ up to a factor on the samples, at the start; along the flow it is so
    by what the flow keeps.

    Central differences of F are exact up to degree 2; beyond it they are short.
    """
    model, u = problem.model, problem.start
    # along the samples, as the flow never leaves F'(u)ᵀ of their span
    moves = model.pulls(u, problem.X / max(float(np.abs(problem.X).max()), 1e-300))
    # entries of w(0) may be so small that their squares vanish: then nothing is said
    with np.errstate(all="ignore"):
        sizes = (float(np.abs(u).max())
                 or 1.0) / np.maximum(np.abs(moves).max(axis=1, keepdims=True), 1e-300)
        sizes = sizes if model.degree <= 2 else SHORT * sizes
        ahead, behind = (problem.predictor(u + side * sizes * moves) for side in (1, -1))
        F = (ahead - behind) / (2.0 * sizes)
        G = np.array([psi.solve(start,
                                x) for x in problem.X / max(float(np.abs(problem.X).max()),
                                                            1e-300)])
        size = float(np.abs(G).max()) or 1.0
        F, G = F / size, G / size
        # up to one factor for all samples, which only rescales time
        off = np.linalg.norm(F - G * ((F * G).sum() / (G * G).sum())) / np.linalg.norm(F)
    statement, told = "gradient flow in u is mirror flow in w", \
        f"ψ: {psi.name}, its numbers set by the start"
    if not np.isfinite(off) or size < 1e-280:
        return Hypothesis(statement, None, f"{told}; F'F'ᵀ there is beyond float64")
    return Hypothesis(statement, bool(off <= 1e-7),
                      f"{told}; there F'F'ᵀ ∝ (∇²ψ)⁻¹ on the samples to {off:.0e}")


def _balanced(signs: np.ndarray) -> Hypothesis:
    """What exact balance of factors keeps: entries that never move, and entries whose sign
    stays.
    """
    told = [f"{words} {', '.join(map(str, which[:8]))}{', …' if which.size > 8 else ''}" for words,
            which in (
        ("w keeps the sign + at", np.flatnonzero(signs == 1)),
        ("w keeps the sign − at", np.flatnonzero(signs == -1)),
        ("w stays 0, as its factors are 0, at", np.flatnonzero(np.isnan(signs)))) if which.size]
    return Hypothesis("exact balance of factors is part of the potential", True, "; ".join(told))


def _turned(problem: Problem, Q: np.ndarray) -> Limit:
    """The projection in the spectral entropy where all is diagonal in a basis Q: that of
    eigenvalues in the entropy.

    There small eigenvalues keep their digits.
    """
    U = problem.start.reshape(len(Q), -1)
    # the eigenvalues of UUᵀ as squares of lengths, which do not cancel as those of the product
    # would
    size = np.linalg.norm(Q.T @ U, axis=1)
    rows = np.einsum("ki,nkl,li->ni", Q, problem.X.reshape(-1, *Q.shape), Q)
    found = _projected(rows, problem.y, factors(size, np.zeros(len(Q))), size ** 2, np.ones(len(Q)))
    w = ((Q * found.w) @ Q.T).ravel()
    # turning back costs digits, so that the equations are looked at once more
    gap = float(np.max([found.duality_gap, feasibility(problem.X, problem.y, w)]))
    return replace(found, w=w, duality_gap=gap, certified=found.certified and gap <= CERTIFIED)


def _projected(X: np.ndarray, y: np.ndarray, psi: Potential, start: np.ndarray,
               signs: np.ndarray) -> Limit:
    """The Bregman projection of w(0) on {w : Xw = y}, where entries of ψ may keep signs, or stay 0
    (NaN).
    """
    moving = ~np.isnan(signs)
    rows = np.where(moving, X, 0.0)                             # w is 0 there, and so is z
    try:
        found = bregman_projection(rows, y, psi, start)
    except Unreachable:
        raise
    except ValueError as error:
        # w(0) underflows, though factors do not
        raise NoTheorem(f"the predictor of the start is beyond float64: {error}") from None
    if found.certified or not (np.abs(signs) == 1).any():
        return found
    # no interior solution: entries that are 0 in every solution have an infinite dual variable
    pinned = _pinned(rows, y, signs)
    if not pinned.any():
        return found
    rest = np.where(pinned, 0.0, rows)
    w = np.where(pinned, 0.0, psi.project(rest, y, psi.to_dual(start))[0])
    row = Hypothesis("an interior point of the domain satisfies the equations", False,
                     f"a linear program: {pinned.sum()} of {w.size} coordinates are 0 in every "
                     "solution of those signs, so no finite dual variable exists")
    return replace(found, w=w, hypotheses=(row,), certified=False, duality_gap=feasibility(X, y, w),
                   dual=np.full(y.size, np.nan))


def _pinned(X: np.ndarray, y: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Which entries that keep a sign are 0 in every solution of Xw = y of those signs;
    `Unreachable` where there is none.

    max Σ t over Xw = τy, ±w ≥ t, 0 ≤ t ≤ 1, τ ≥ 1: t is 1 exactly where some solution is not 0.
    """
    kept = np.abs(signs) == 1
    side, k, d = signs[kept], int(kept.sum()), signs.size
    size = np.maximum(np.linalg.norm(X, axis=1), 1e-300)
    rows, goal = X / size[:, None], y / size
    # τ ≥ 1 scales the targets, so that they may be of any size
    goal = goal / (np.abs(goal).max() or 1.0)
    try:
        answer = foreign.ask("the equations over the signs that are kept", "scipy.optimize.linprog",
                             np.concatenate([np.zeros(d), -np.ones(k), [0.0]]),
                             A_ub=np.hstack([-side[:, None] * np.eye(d)[kept], np.eye(k),
                                             np.zeros((k, 1))]),
                             b_ub=np.zeros(k),
                             A_eq=np.hstack([rows, np.zeros((len(y), k)), -goal[:, None]]),
                             b_eq=np.zeros(len(y)), method="highs-ds",
                             bounds=[(None, None)] * d + [(0, 1)] * k + [(1, None)])
    except foreign.Unsolved:
        return np.zeros(d, bool)
    # infeasible, which the simplex method proves
    if answer.status == 2:
        raise Unreachable("a linear program shows that no w of those signs satisfies Xw = y")
    out = np.zeros(d, bool)
    out[kept] = answer.x[d:d + k] < 0.5 if answer.status == 0 else False
    return out


def _commutator(problem: Problem, start: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest ‖AB − BA‖/(‖A‖ ‖B‖) among the samples and the start (1 where one is not
    symmetric), and eigenvectors.
    """
    n = round(start.size ** 0.5)
    rows = np.vstack([problem.X, start])
    if not symmetric(rows, n):
        return 1.0, np.eye(n)
    # a norm of one each, so that no pair hides behind the size of another
    matrices = [A / max(float(np.linalg.norm(A)), 1e-300) for A in rows.reshape(-1, n, n)]
    # all commute with a combination, or some do not
    weights = np.random.default_rng(0).normal(size=len(matrices))
    mix = np.tensordot(weights, matrices, 1)
    values, Q = np.linalg.eigh(mix)
    turned = [Q.T @ A @ Q for A in matrices]
    return float(np.max([np.abs(np.subtract.outer(values, values) * A).max() for A in turned])), Q
