"""Losses with a root on models whose gradient flow is a mirror flow: the projection in the
potential of the model.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.checks import foreign
from fastbias.pieces.potentials import Potential
from fastbias.pieces.potentials.factors import factors
from fastbias.problem import Problem, Unreachable, symmetric
from fastbias.solvers.bregman import bregman_projection, feasibility
from fastbias.solvers.limit import CERTIFIED, PAPER, Hypothesis, Limit, NoTheorem
from fastbias.theory.base import Point, momentum

__all__ = ["COMMUTING", "CONJECTURE", "LI", "descent", "mirrored", "vanishing"]

COMMUTING = "Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro (2017)"
LI = f"Li, Luo, Lyu (2021); {COMMUTING}"
CONJECTURE = ("gradient descent on UVᵀ with the squared loss has no characterisation: from small "
              "starts with small steps it is often near the minimum nuclear norm (Gunasekar et al. "
              "2017; proved where measurements commute or have RIP, Li, Ma, Zhang 2018), but not "
              "always: greedy low rank is another answer (Li, Luo, Lyu 2021: 3 × 3 completions "
              "with a rank-one limit); compare with fb.minimum_norm(X, y, fb.norms.nuclear(m, n))")


def descent(problem: Problem, flow: bool) -> list[Hypothesis]:
    """What theorems on gradient flow in u leave open of a method with finite steps."""
    method = problem.method
    if flow:
        return [Hypothesis("η → 0: the flow", True, "asked for")]
    rows = [Hypothesis("the steps are small enough", None, f"{problem.rule!r}; seen only in a run")]
    if problem.rule.loss and problem.model.degree > 1:
        rows.append(Hypothesis("the steps stay under the inverse of the local smoothness", None,
                               "η/L does until ‖w‖ is "
                               "about 1/η; from there on the margin stays O(η) under the maximum"
                               if problem.model.degree
                               == 2 else "η/L does only while ‖w‖ is small: then margins fall "
                                         "again; stop before (until=)"))
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
    loss, u, t, statement = problem.loss, problem.start, 0, "L(w_t) → 0"
    if flow and mirrored and loss.convex:
        return Hypothesis(statement, True,
                          "proved of a mirror flow: L(w_t) ≤ L(v) + D_ψ(v, w(0))/t for any v")
    if loss.kind != "monotone":
        return Hypothesis(statement, None, "seen only in a run: trace.log_loss")
    if not flow and problem.reached is not None:
        u, t = problem.reached.u, problem.reached.t
    log_loss, least = problem.log_loss(u), loss.log(np.zeros(2), np.zeros(1)) if loss.classes else \
        loss.log(np.zeros(1), np.ones(1))
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


def mirrored(problem: Problem, flow: bool, row: Point) -> Limit:
    """The limit point that a row of NETWORK names, with its hypotheses checked."""
    model = problem.model
    rows = [Hypothesis("the loss has a unique finite root (Property 1)", True, problem.loss.name)]
    psi = row.potential(problem)
    if psi is None:
        raise NoTheorem(row.reason, row.source or model.source, tuple(rows))
    start, turn = problem.predictor(problem.start), None
    if model.commuting:
        worst, turn = _commutator(problem, start)
        rows.append(Hypothesis("the samples and the start are symmetric matrices that commute",
                               worst <= 1e-12,
                               f"largest ‖AB − BA‖/(‖A‖ ‖B‖) {worst:.1e}"))
        if not worst <= 1e-12:
            raise NoTheorem(CONJECTURE, LI, tuple(rows))
    signs = getattr(psi, "signs", np.zeros(problem.size))
    if signs.any():
        rows.append(_balanced(signs))
    try:
        found = _projected(problem.X, problem.y, psi, start,
                           signs) if turn is None else _turned(problem, turn)
    except Unreachable as error:
        rows.append(Hypothesis("the data are realisable", False, str(error)))
        where = f" by predictors that keep what exact balance keeps ({rows[-2].evidence})" \
            if signs.any() else ""
        raise NoTheorem(f"{row.name} needs data that are realisable{where}, and these are not",
                        row.source or model.source,
                        tuple(rows)) from None
    rows += [Hypothesis("the data are realisable", True if found.certified else None,
                        f"residual {found.duality_gap:.1e}"),
             *(found.hypotheses if not found.certified else ()), _is_mirror(problem, psi, start)]
    if rows[-1].holds is False:
        raise NoTheorem(f"{row.name} asks for a model whose flow is that of its potential, and "
                        "this one's is not",
                        row.source or model.source, tuple(rows))
    if model.degree > 1 and not flow:
        if problem.rule.search:
            raise NoTheorem("searched steps are long ones, which do not follow the flow that a "
                            "limit is known of; the nearest is the same with small steps",
                            model.source, tuple(rows))
        told = f"{problem.rule!r}: finite steps end O(η) away from its limit"
        if problem.method.beta.any():
            told += "; momentum makes them η/(1 − β)"
        rows.append(Hypothesis("η → 0: the flow", None, told))
        rows += descent(problem, flow)[1:]
    rows.append(vanishing(problem, flow, found.certified))
    return Limit(found.w.reshape(problem.shape), "point", row.name, COMMUTING if model.commuting
                 else
                 model.source or f"{PAPER}, §2.1", tuple(rows), found.certified, found.duality_gap,
                 found.dual)


def _is_mirror(problem: Problem, psi: Potential, start: np.ndarray) -> Hypothesis:
    """Whether F'F'ᵀ is (∇²ψ)⁻¹ up to a factor on the samples, at the start; along the flow it is so
    by what the flow keeps.

    Central differences of F are exact up to degree 2.
    """
    model, u = problem.model, problem.start
    moves = model.pulls(u, problem.X / max(float(np.abs(problem.X).max()), 1e-300))
    with np.errstate(all="ignore"):
        sizes = (float(np.abs(u).max())
                 or 1.0) / np.maximum(np.abs(moves).max(axis=1, keepdims=True), 1e-300)
        ahead, behind = (problem.predictor(u + side * sizes * moves) for side in (1, -1))
        F = (ahead - behind) / (2.0 * sizes)
        G = np.array([psi.solve(start,
                                x) for x in problem.X / max(float(np.abs(problem.X).max()),
                                                            1e-300)])
        size = float(np.abs(G).max()) or 1.0
        F, G = F / size, G / size
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
        ("w keeps the sign +, and follows the entropy, at", np.flatnonzero(signs == 1)),
        ("the sign −, and the entropy, at", np.flatnonzero(signs == -1)),
        ("w stays 0, as its factors are 0, at", np.flatnonzero(np.isnan(signs)))) if which.size]
    return Hypothesis("exact balance of factors is part of the potential", True, "; ".join(told))


def _turned(problem: Problem, Q: np.ndarray) -> Limit:
    """The projection in the spectral entropy where all is diagonal in a basis Q: that of
    eigenvalues in the entropy.

    There small eigenvalues keep their digits.
    """
    U = problem.start.reshape(len(Q), -1)
    size = np.linalg.norm(Q.T @ U, axis=1)
    rows = np.einsum("ki,nkl,li->ni", Q, problem.X.reshape(-1, *Q.shape), Q)
    found = _projected(rows, problem.y, factors(size, np.zeros(len(Q))), size ** 2, np.ones(len(Q)))
    w = ((Q * found.w) @ Q.T).ravel()
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
    matrices = [A / max(float(np.linalg.norm(A)), 1e-300) for A in rows.reshape(-1, n, n)]
    # all commute with a combination, or some do not
    weights = np.random.default_rng(0).normal(size=len(matrices))
    mix = np.tensordot(weights, matrices, 1)
    values, Q = np.linalg.eigh(mix)
    turned = [Q.T @ A @ Q for A in matrices]
    return float(np.max([np.abs(np.subtract.outer(values, values) * A).max() for A in turned])), Q
