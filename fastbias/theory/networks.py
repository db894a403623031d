"""Section 4 and the slides: gradient descent on the parameters u of a model w = F(u).

Every row asks the model alone what it is: its degree, the norm that its penalty min ‖u‖² over F(u) = w puts on w, the
potential whose mirror flow its gradient flow is. A new model that says these things is covered at once.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.checks import foreign
from fastbias.pieces import norms
from fastbias.pieces.laws import ours
from fastbias.pieces.potentials import Potential
from fastbias.pieces.potentials.factors import factors
from fastbias.problem import Problem, Unreachable, symmetric
from fastbias.solvers import semidefinite
from fastbias.solvers.bregman import bregman_projection, feasibility, relative
from fastbias.solvers.kkt import stationarity
from fastbias.solvers.limit import CERTIFIED, PAPER, Hypothesis, Limit, NoTheorem
from fastbias.solvers.margins import Separability, separate, widest
from fastbias.theory.base import (
    Direction,
    Point,
    Refusal,
    Row,
    another_tail,
    covering,
    gradient,
    momentum,
    tailed,
)
from fastbias.theory.reach import reaches

__all__ = ["NETWORK", "network"]

LYU = "Lyu & Li (2020); Gunasekar, Lee, Soudry, Srebro (2018b)"
COMMUTING = "Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro (2017)"
LI = f"Li, Luo, Lyu (2021); {COMMUTING}"

CONJECTURE = ("gradient descent on UVᵀ with the squared loss has no characterisation: from small starts with small steps "
              "it is often near the minimum nuclear norm (Gunasekar et al. 2017; proved where measurements commute or have "
              "RIP, Li, Ma, Zhang 2018), but not always: greedy low rank is another answer (Li, Luo, Lyu 2021: 3 × 3 "
              "completions with a rank-one limit); compare with fb.minimum_norm(X, y, fb.norms.nuclear(m, n))")


def _monotone(problem: Problem) -> bool:
    return problem.loss.kind == "monotone"


def _descent(problem: Problem, flow: bool) -> list[Hypothesis]:
    """What theorems on gradient flow in u leave open of a method with finite steps."""
    method = problem.method
    if flow:
        return [Hypothesis("η → 0: the flow", True, "asked for")]
    rows = [Hypothesis("the steps are small enough", None, f"{problem.rule!r}; seen only in a run")]
    if problem.rule.loss and problem.model.degree > 1:
        rows.append(Hypothesis("the steps stay under the inverse of the local smoothness", None, "η/L does until ‖w‖ is "
                               "about 1/η; from there on the margin stays O(η) under the maximum" if problem.model.degree
                               == 2 else "η/L does only while ‖w‖ is small: then margins fall again; stop before (until=)"))
    if momentum(problem):
        rows.append(Hypothesis("momentum keeps the limit", None, "not in the literature for models"))
    if method.sampling.batch:
        rows.append(Hypothesis("stochastic gradients keep the limit", None, "not in the literature for models"))
    return rows


def _full_rank(problem: Problem) -> list[Hypothesis]:
    """Whether the start of a matrix model is of full rank."""
    if problem.model.shape is None or len(problem.model.shape) == 1:
        return []
    layers = problem.model.split(problem.start, problem.size)
    ranks = [int(np.linalg.matrix_rank(layer)) for layer in layers]
    wanted = [min(layer.shape) for layer in layers]
    return [Hypothesis("the start is of full rank", ranks == wanted, f"rank {', '.join(map(str, ranks))} of "
                       f"{', '.join(map(str, wanted))}")]


NETWORK: tuple[Row, ...] = (
    Refusal("weight decay", "slides: \"or explicitly minimise\"", lambda p, flow: bool(p.method.decay),
        reason="weight decay ends at a stationary point of L(F(u)) + ½λ‖u‖², that is of L(w) + ½λ R(w), R(w) = min ‖u‖² "
               "over F(u) = w, which the table does not solve; where R is a norm, fb.regularisation_path(X, y, [norm(w)], "
               "norm, loss) holds the same point, and as λ → 0 its direction is where the run without decay goes"),
    Refusal("§4", f"{PAPER}, §4", lambda p, flow: not gradient(p),
        reason="Section 4 and the theorems on networks are about gradient descent in u; for another method on a model no "
               "characterisation is known to the table; the nearest is gradient descent on the same model"),
    Direction("Theorem 7: the maximum margin over W ⪰ 0 of unit nuclear norm", f"{PAPER}, Theorem 7",
        lambda p, flow: _monotone(p) and p.model.semidefinite and p.model.bias is not None, hypotheses=_full_rank,
        reason="Theorem 7 asks for a start U(0) of full rank: columns that U(0) lacks never appear; the nearest is the same "
               "with model.start(scale)"),
    Direction("a stationary point of the penalty R(w) = min ‖u‖² over F(u) = w", LYU,
        lambda p, flow: _monotone(p) and p.model.degree > 0 and p.model.exponent is not None),
    Direction("the maximum margin in the norm of the model's penalty, min ‖u‖² over F(u) = w", LYU,
        lambda p, flow: _monotone(p) and p.model.degree > 0 and p.model.bias is not None,
        norm=lambda p: p.model.bias(p.shape)),  # type: ignore[misc]
    Direction("a stationary point of min ‖u‖² with margins ≥ 1", LYU, lambda p, flow: _monotone(p) and p.model.degree > 0),
    Refusal("§4, networks", LYU, lambda p, flow: _monotone(p),
        reason="the theorems on networks with exponential losses ask for a homogeneous F (Lyu & Li 2020), which this model "
               "is not, or does not declare (degree=L); the nearest are those for diagonal and deep linear networks"),
    Point("mirror flow: argmin D_ψ(w, w(0)) over the global minima, ψ the potential of the model", "",
        lambda p, flow: p.model.mirror is not None,
        potential=lambda p: p.model.mirror(p.start),  # type: ignore[misc]
        reason="the model knows no potential from this start; the nearest is the same with model.start(scale)"),
    Refusal("the conjecture of minimum nuclear norm", LI,
        lambda p, flow: p.model.shape is not None and len(p.model.shape) == 2 and p.model.degree == 2,
        reason=CONJECTURE),
    Refusal("§4, squared loss", f"{PAPER}, §4", lambda p, flow: True,
        reason="for losses with a root the limit of gradient descent on this model depends on start and step size, and no "
               "potential is known to the table; the nearest are diagonal networks of depth 2, whose flow is a mirror flow, "
               "and the linear model"),
)


def network(problem: Problem, flow: bool) -> Limit:
    """The limit that a row of NETWORK names, with its hypotheses checked."""
    row = covering(NETWORK, problem, flow)
    if problem.method.decay and problem.model.linear and problem.loss.quadratic and not problem.method.sampling.batch:
        return _ridge(problem)
    if isinstance(row, Direction):
        return _direction(problem, flow, row)
    if isinstance(row, Point):
        return _point(problem, flow, row)
    raise NoTheorem(row.reason, row.source)


def _ridge(problem: Problem) -> Limit:
    """Ridge regression: ∇ = 2 Xᵀ(Xw − y) + λw is 0."""
    X, y, decay = problem.X, problem.y, problem.method.decay
    root = np.sqrt(decay / 2.0)
    d = X.shape[1]
    w = np.linalg.lstsq(np.vstack([X, root * np.eye(d)]), np.append(y, np.zeros(d)), rcond=None)[0]
    residual = 2.0 * (y - X @ w)
    gap = relative(X.T @ residual - decay * w, X.T @ y, decay * w)
    rows = (Hypothesis("L(w) + ½λ‖w‖² is strictly convex", True, f"λ = {decay:g}"),
            Hypothesis("the steps are small enough", None, f"{problem.rule!r}; seen only in a run"))
    return Limit(w.reshape(problem.shape), "point", "ridge regression: argmin ‖Xw − y‖² + ½λ‖w‖², from any start",
                 "Hoerl & Kennard (1970)", rows, gap <= CERTIFIED, gap, residual)


def _direction(problem: Problem, flow: bool, row: Direction) -> Limit:
    model = problem.model
    rows = [tailed(problem, row), _homogeneous(problem)]
    if not rows[0].holds:
        raise another_tail(problem, row, rows)
    told = "some W ⪰ 0 separates the data" if model.semidefinite else "the data are linearly separable"
    try:
        separable, found = _separate(problem), None
    except ArithmeticError as error:
        raise NoTheorem(f"{told}: {error}", row.source, tuple(rows)) from None
    against = separable.dual if separable.w is None else None
    rows.append(Hypothesis(told, against is None, "a separator" if against is None else "λ ≥ 0 in .dual is against it"))
    if against is not None:
        raise NoTheorem(f"{told}: that is not so, hence the loss does not go to 0 and {row.name} does not apply; λ in .dual "
                        "certifies it; the nearest theorems are those for losses with a root", row.source, tuple(rows),
                        against)
    rows += row.hypotheses(problem)
    if any(h.holds is False for h in rows):
        raise NoTheorem(row.reason if rows[1].holds else f"{row.name} asks for a homogeneous F, which this one is not, of "
                        f"degree={model.degree}", row.source, tuple(rows))
    rows += _descent(problem, flow)
    if model.degree > 1:
        rows.append(Hypothesis("increments and gradients converge in direction", None, "seen only in a run"))
    rows += [*_as_stated(problem, row), *(Hypothesis(statement, None, model.source) for statement in model.conditions)]
    assert separable.w is not None
    if model.semidefinite and model.bias is not None:           # with fewer columns it may be out of reach
        found = semidefinite.widest(_symmetric(problem), problem.model.shape[0], separable.w)  # type: ignore[index]
    elif row.norm is not None:
        found = widest(problem.Z, problem.shape, row.norm(problem), separable.w)
    if found is None:
        return _stationary(problem, row, [*rows, _vanishing(problem, flow, False)])
    free = _reachable(problem, found, flow)
    mirrored = bool(free.holds) and model.mirror is not None
    rows += [_vanishing(problem, flow, mirrored), *found.hypotheses, *_one_of_many(found), free]
    if free.holds is False:
        raise NoTheorem("theorems on networks hold for almost every start, and this one is not generic: its symmetry or "
                        f"exact balance puts the maximum margin out of reach: {free.evidence}; the nearest is the same with "
                        "model.start(scale, rng=...)", model.source or row.source, tuple(rows))
    return replace(found, theorem=row.name, source=model.source or row.source, hypotheses=tuple(rows))


def _as_stated(problem: Problem, row: Row) -> list[Hypothesis]:
    """What is taken on trust of a theorem's own statement."""
    source = problem.model.source or row.source
    if row.name.startswith("Theorem 7"):
        exact = problem.loss.name == "exponential"
        return [Hypothesis("the theorem is stated for this loss", True if exact else None, f"{PAPER}, Theorem 7, for the "
                           f"exponential loss, not {problem.loss.name}" if not exact else f"{PAPER}, Theorem 7"),
                Hypothesis("the data are not among the exceptions", None, f"{PAPER}, Theorem 7: for almost all data sets")]
    return [Hypothesis("the theorem is as its source has it", None, f"stated as known from {source}: for almost all data "
                       "sets and starts")]


def _one_of_many(found: Limit) -> list[Hypothesis]:
    """What .w is where the maximum margin has, or may have, more than one maximiser."""
    alone = next((h.holds for h in found.hypotheses if "unique" in h.statement), None)
    if alone:
        return []
    return [Hypothesis("a run's direction tends to .w itself", None, ("there are others of the same margin" if alone is False
            else "others may have the same margin") + ": .w is one of a face of maximisers; the margin is what is known")]


def _vanishing(problem: Problem, flow: bool, mirrored: bool) -> Hypothesis:
    """Whether L → 0: of mirror flows it is proved from any start, of others once each sample is on its side."""
    loss, u, t, statement = problem.loss, problem.start, 0, "L(w_t) → 0"
    if flow and mirrored and loss.convex:
        return Hypothesis(statement, True, "proved of a mirror flow: L(w_t) ≤ L(v) + D_ψ(v, w(0))/t for any v")
    if loss.kind != "monotone":
        return Hypothesis(statement, None, "seen only in a run: trace.log_loss")
    if not flow and problem.reached is not None:
        u, t = problem.reached.u, problem.reached.t
    log_loss, least = problem.log_loss(u), loss.log(np.zeros(2), np.zeros(1)) if loss.classes else \
        loss.log(np.zeros(1), np.ones(1))
    seen = f"log L = {log_loss:.3g} at t = {t}, and that of one sample of margin 0 is {least:.3g}"
    if not log_loss < least:
        return Hypothesis(statement, None, f"seen only in a run: {seen}; once it is under that, a flow is sure to go to 0")
    if flow:
        return Hypothesis(statement, True, f"{seen}: each is on its side for ever, so ‖∇L‖ ≥ c/‖u‖ while L ≥ ε, and ‖u‖² "
                          "grows no faster than t (Lyu & Li 2020)")
    return Hypothesis(statement, None, f"{seen}: a flow is sure to go to 0 from there; finite steps are seen only in a run")


def _symmetric(problem: Problem) -> np.ndarray:
    """The rows z, as the symmetric parts of matrices, which are all that products with symmetric ones see."""
    rows = problem.Z.reshape(-1, *problem.model.shape)  # type: ignore[misc]
    return np.asarray(((rows + rows.transpose(0, 2, 1)) / 2).reshape(len(rows), -1))


def _separate(problem: Problem) -> Separability:
    """Whether some predictor that the model makes separates the data, with the certificate."""
    if problem.model.semidefinite:
        return semidefinite.separate(_symmetric(problem), problem.model.shape[0])  # type: ignore[index]
    return separate(problem.Z)


def _homogeneous(problem: Problem) -> Hypothesis:
    """Whether F(2u) = 2^L F(u) at the start."""
    L, u = problem.model.degree, problem.start / max(float(np.abs(problem.start).max()), 1e-300)
    one, two = 2.0 ** L * problem.predictor(u), problem.predictor(2.0 * u)
    off = float(np.abs(one - two).max() / max(float(np.abs(one).max()), 1e-300))
    return Hypothesis(f"F is homogeneous, of degree {L}", off <= 1e-9, f"F(2u) = 2^{L} F(u) at the start, to {off:.0e}")


def _reachable(problem: Problem, found: Limit, flow: bool) -> Hypothesis:
    """Whether the start lets the flow come to the maximum margin: True and False are proved."""
    model, statement = problem.model, "no exact balance of the start keeps it away"
    if not model.pulls(problem.start, problem.Z).any():
        return Hypothesis(statement, False, "at the start the gradient of each sample is 0, and it stays there")
    if model.reach is not None and ours(model):                 # (else no law tells what these say)
        obstacle = model.reach(model.split(problem.start, problem.size), problem.Z, found.w.ravel())
        if obstacle is None:
            return Hypothesis(statement, None, "open: seen only in a run")
        return Hypothesis(statement, not obstacle, obstacle or "proved: the flow is a mirror flow, which comes to the "
                          "maximum margin over the signs that it keeps, slowly where the start favours other entries")
    if model.sole and ours(model):
        return Hypothesis(statement, True, "each stationary point of positive margins is the maximum margin: w = Σ λ z "
                          "with λ ≥ 0 on support vectors alone")
    if model.semidefinite:
        return Hypothesis(statement, True, "a start of full rank (Theorem 7)")
    if model.degree == 1 and model.mirror is not None:
        return Hypothesis(statement, True, "w = u: the flow of the linear model comes there from any start")
    return Hypothesis(statement, *reaches(problem, found, flow))


def _stationary(problem: Problem, row: Row, rows: list[Hypothesis]) -> Limit:
    """Where a run stands, with the residual that says how stationary it is: there are many such points."""
    reached, model = problem.reached, problem.model
    if reached is None or reached.t == 0:
        raise NoTheorem(f"{row.name} is all that is known of the limit direction, and there are many: which one, the start "
                        "decides, so it needs a run first: plan.run(...), then plan.limit() measures the KKT residual",
                        model.source or row.source, tuple(rows))
    residual, lam = stationarity(problem, reached.u)
    if not np.isfinite(residual):
        raise NoTheorem(f"{row.name} asks for margins that are positive, and where the run stands, at t = {reached.t}, the "
                        "least is not: run on", model.source or row.source, tuple(rows))
    w = problem.predictor(reached.u / np.abs(reached.u).max())             # of any size: F is homogeneous
    w = w / np.linalg.norm(w)
    least = float((problem.Z @ w).min())
    rows.append(Hypothesis("the run's direction is stationary: u = Σ λ_n F'(u)ᵀ y_n x_n, λ ≥ 0, at margins of 1", None,
                           f"KKT residual {residual:.1e} at t = {reached.t}"))
    total = float(lam.sum())
    return Limit(w.reshape(problem.shape), "direction", f"{row.name}: the run's own direction, measured", model.source
                 or row.source, tuple(rows), residual <= CERTIFIED, residual, lam / total if total > 0 else lam, least,
                 norms.l2)


def _point(problem: Problem, flow: bool, row: Point) -> Limit:
    model = problem.model
    rows = [Hypothesis("the loss has a unique finite root (Property 1)", True, problem.loss.name)]
    psi = row.potential(problem)
    if psi is None:
        raise NoTheorem(row.reason, row.source or model.source, tuple(rows))
    start, turn = problem.predictor(problem.start), None
    if model.commuting:
        worst, turn = _commutator(problem, start)
        rows.append(Hypothesis("the samples and the start are symmetric matrices that commute", worst <= 1e-12,
                               f"largest ‖AB − BA‖/(‖A‖ ‖B‖) {worst:.1e}"))
        if not worst <= 1e-12:
            raise NoTheorem(CONJECTURE, LI, tuple(rows))
    signs = getattr(psi, "signs", np.zeros(problem.size))
    if signs.any():
        rows.append(_balanced(signs))
    try:
        found = _projected(problem.X, problem.y, psi, start, signs) if turn is None else _turned(problem, turn)
    except Unreachable as error:
        rows.append(Hypothesis("the data are realisable", False, str(error)))
        where = f" by predictors that keep what exact balance keeps ({rows[-2].evidence})" if signs.any() else ""
        raise NoTheorem(f"{row.name} needs data that are realisable{where}, and these are not", row.source or model.source,
                        tuple(rows)) from None
    rows += [Hypothesis("the data are realisable", True if found.certified else None, f"residual {found.duality_gap:.1e}"),
             *(found.hypotheses if not found.certified else ()), _is_mirror(problem, psi, start)]
    if rows[-1].holds is False:
        raise NoTheorem(f"{row.name} asks for a model whose flow is that of its potential, and this one's is not",
                        row.source or model.source, tuple(rows))
    if model.degree > 1 and not flow:
        if problem.rule.search:
            raise NoTheorem("searched steps are long ones, which do not follow the flow that a limit is known of; the "
                            "nearest is the same with small steps", model.source, tuple(rows))
        told = f"{problem.rule!r}: finite steps end O(η) away from its limit"
        if problem.method.beta.any():
            told += "; momentum makes them η/(1 − β)"
        rows.append(Hypothesis("η → 0: the flow", None, told))
        rows += _descent(problem, flow)[1:]
    rows.append(_vanishing(problem, flow, found.certified))
    return Limit(found.w.reshape(problem.shape), "point", row.name, COMMUTING if model.commuting else
                 model.source or f"{PAPER}, §2.1", tuple(rows), found.certified, found.duality_gap, found.dual)


def _is_mirror(problem: Problem, psi: Potential, start: np.ndarray) -> Hypothesis:
    """Whether F'F'ᵀ is (∇²ψ)⁻¹ up to a factor on the samples, at the start; along the flow it is so by what the flow keeps.

    Central differences of F are exact up to degree 2.
    """
    model, u = problem.model, problem.start
    moves = model.pulls(u, problem.X / max(float(np.abs(problem.X).max()), 1e-300))
    with np.errstate(all="ignore"):
        sizes = (float(np.abs(u).max()) or 1.0) / np.maximum(np.abs(moves).max(axis=1, keepdims=True), 1e-300)
        ahead, behind = (problem.predictor(u + side * sizes * moves) for side in (1, -1))
        F = (ahead - behind) / (2.0 * sizes)
        G = np.array([psi.solve(start, x) for x in problem.X / max(float(np.abs(problem.X).max()), 1e-300)])
        size = float(np.abs(G).max()) or 1.0
        F, G = F / size, G / size
        off = np.linalg.norm(F - G * ((F * G).sum() / (G * G).sum())) / np.linalg.norm(F)
    statement, told = "gradient flow in u is mirror flow in w", f"ψ: {psi.name}, its numbers set by the start"
    if not np.isfinite(off) or size < 1e-280:
        return Hypothesis(statement, None, f"{told}; F'F'ᵀ there is beyond float64")
    return Hypothesis(statement, bool(off <= 1e-7), f"{told}; there F'F'ᵀ ∝ (∇²ψ)⁻¹ on the samples to {off:.0e}")


def _balanced(signs: np.ndarray) -> Hypothesis:
    """What exact balance of factors keeps: entries that never move, and entries whose sign stays."""
    told = [f"{words} {', '.join(map(str, which[:8]))}{', …' if which.size > 8 else ''}" for words, which in (
        ("w keeps the sign +, and follows the entropy, at", np.flatnonzero(signs == 1)),
        ("the sign −, and the entropy, at", np.flatnonzero(signs == -1)),
        ("w stays 0, as its factors are 0, at", np.flatnonzero(np.isnan(signs)))) if which.size]
    return Hypothesis("exact balance of factors is part of the potential", True, "; ".join(told))


def _turned(problem: Problem, Q: np.ndarray) -> Limit:
    """The projection in the spectral entropy where all is diagonal in a basis Q: that of eigenvalues in the entropy.

    There small eigenvalues keep their digits.
    """
    U = problem.start.reshape(len(Q), -1)
    size = np.linalg.norm(Q.T @ U, axis=1)
    rows = np.einsum("ki,nkl,li->ni", Q, problem.X.reshape(-1, *Q.shape), Q)
    found = _projected(rows, problem.y, factors(size, np.zeros(len(Q))), size ** 2, np.ones(len(Q)))
    w = ((Q * found.w) @ Q.T).ravel()
    gap = float(np.max([found.duality_gap, feasibility(problem.X, problem.y, w)]))
    return replace(found, w=w, duality_gap=gap, certified=found.certified and gap <= CERTIFIED)


def _projected(X: np.ndarray, y: np.ndarray, psi: Potential, start: np.ndarray, signs: np.ndarray) -> Limit:
    """The Bregman projection of w(0) on {w : Xw = y}, where entries of ψ may keep signs, or stay 0 (NaN)."""
    moving = ~np.isnan(signs)
    rows = np.where(moving, X, 0.0)                             # w is 0 there, and so is z
    try:
        found = bregman_projection(rows, y, psi, start)
    except Unreachable:
        raise
    except ValueError as error:                                 # w(0) underflows, though factors do not
        raise NoTheorem(f"the predictor of the start is beyond float64: {error}") from None
    if found.certified or not (np.abs(signs) == 1).any():
        return found
    pinned = _pinned(rows, y, signs)
    if not pinned.any():
        return found
    rest = np.where(pinned, 0.0, rows)
    w = np.where(pinned, 0.0, psi.project(rest, y, psi.to_dual(start))[0])
    row = Hypothesis("an interior point of the domain satisfies the equations", False, f"a linear program: {pinned.sum()} "
                     f"of {w.size} coordinates are 0 in every solution of those signs, so no finite dual variable exists")
    return replace(found, w=w, hypotheses=(row,), certified=False, duality_gap=feasibility(X, y, w),
                   dual=np.full(y.size, np.nan))


def _pinned(X: np.ndarray, y: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Which entries that keep a sign are 0 in every solution of Xw = y of those signs; `Unreachable` where there is none.

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
                             A_ub=np.hstack([-side[:, None] * np.eye(d)[kept], np.eye(k), np.zeros((k, 1))]),
                             b_ub=np.zeros(k), A_eq=np.hstack([rows, np.zeros((len(y), k)), -goal[:, None]]),
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
    """The largest ‖AB − BA‖/(‖A‖ ‖B‖) among the samples and the start (1 where one is not symmetric), and eigenvectors."""
    n = round(start.size ** 0.5)
    rows = np.vstack([problem.X, start])
    if not symmetric(rows, n):
        return 1.0, np.eye(n)
    matrices = [A / max(float(np.linalg.norm(A)), 1e-300) for A in rows.reshape(-1, n, n)]
    weights = np.random.default_rng(0).normal(size=len(matrices))          # all commute with a combination, or some do not
    mix = np.tensordot(weights, matrices, 1)
    values, Q = np.linalg.eigh(mix)
    turned = [Q.T @ A @ Q for A in matrices]
    return float(np.max([np.abs(np.subtract.outer(values, values) * A).max() for A in turned])), Q
