"""Section 4 and the slides: gradient descent on the parameters u of a model w = F(u).

Every row asks the model alone what it is: its degree, the norm that its penalty min ‖u‖² over F(u)
= w puts on w, the potential whose mirror flow its gradient flow is. A new model that says these
things is covered at once.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.pieces import norms
from fastbias.pieces.laws import ours
from fastbias.pieces.models.tokens import TARZANAGH
from fastbias.pieces.potentials.deep import Deep
from fastbias.problem import Problem
from fastbias.solvers import semidefinite
from fastbias.solvers.kkt import stationarity
from fastbias.solvers.limit import CERTIFIED, PAPER, Hypothesis, Limit, NoTheorem
from fastbias.solvers.margins import Separability, separate, widest
from fastbias.theory import rectified
from fastbias.theory.asked import goes_on
from fastbias.theory.base import (
    Direction,
    Point,
    Refusal,
    Rest,
    Row,
    another_tail,
    covering,
    disproved,
    gradient,
    shown,
    tailed,
)
from fastbias.theory.decayed import balanced, solved
from fastbias.theory.homogeneous import OTHERS, OVERSHOT
from fastbias.theory.mirrored import CONJECTURE, LI, descent, mirrored, powers, vanishing
from fastbias.theory.reach import STAYS, reaches

__all__ = ["NETWORK", "network"]

ZHANG = "Zhang, Xu, Luo, Zhang (2022)"
PAST = 1e-9           # of log L: as much less is less
LYU = "Lyu & Li (2020); Gunasekar, Lee, Soudry, Srebro (2018b)"


def _monotone(problem: Problem) -> bool:
    return problem.loss.kind == "monotone"


def _full_rank(problem: Problem) -> list[Hypothesis]:
    """Whether the start of a matrix model is of full rank."""
    if problem.model.shape is None or len(problem.model.shape) == 1:
        return []
    layers = problem.model.split(problem.start, problem.size)
    ranks = [int(np.linalg.matrix_rank(layer)) for layer in layers]
    wanted = [min(layer.shape) for layer in layers]
    return [Hypothesis("the start is of full rank", ranks == wanted,
                       f"rank {', '.join(map(str, ranks))} of "
                       f"{', '.join(map(str, wanted))}")]


NETWORK: tuple[Row, ...] = (
    Rest("ridge regression: argmin ‖Xw − y‖² + ½λ‖w‖², from any start", "Hoerl & Kennard (1970)",
         lambda p, flow: solved(p) and p.loss.quadratic),
    Rest("weight decay on the linear model: argmin L(w) + ½λ‖w‖², from any start",
         "strong convexity", lambda p, flow: solved(p)),
    Refusal("weight decay on rectified units", rectified.BACH,
        lambda p, flow: bool(p.method.decay) and rectified.units(p), reason=rectified.DECAYED),
    Refusal("weight decay", "slides: \"or explicitly minimise\"",
        lambda p, flow: bool(p.method.decay),
        reason="weight decay ends at a stationary point of L(F(u)) + ½λ‖u‖², that is of L(w) + ½λ "
               "R(w), R(w) = min ‖u‖² over F(u) = w, which the table does not solve; where R is a "
               "norm, fb.regularisation_path(X, y, [norm(w)], norm, loss) holds the same point, "
               "and as λ → 0 its direction is where the run without decay goes"),
    *OTHERS,
    Refusal("§4", f"{PAPER}, §4", lambda p, flow: not gradient(p),
        reason="Section 4 and the theorems on networks are about gradient descent in u; for "
               "another method on a model no characterisation is known to the table (of monotone "
               "losses and homogeneous models steepest descent in a norm, moves of length one, "
               "Adam and RMSProp have one); the nearest is gradient descent on the same model"),
    Direction("Theorem 7: the maximum margin over W ⪰ 0 of unit nuclear norm",
        f"{PAPER}, Theorem 7",
        lambda p, flow: _monotone(p) and p.model.semidefinite and p.model.bias is not None,
        hypotheses=_full_rank,
        reason="Theorem 7 asks for a start U(0) of full rank: columns that U(0) lacks never "
               "appear; the nearest is the same with model.start(scale)"),
    Direction("a stationary point of the penalty R(w) = min ‖u‖² over F(u) = w", LYU,
        lambda p, flow: _monotone(p) and p.model.degree > 0 and p.model.exponent is not None),
    Direction("the maximum margin in the norm of the model's penalty, min ‖u‖² over F(u) = w", LYU,
        lambda p, flow: _monotone(p) and p.model.degree > 0 and p.model.bias is not None,
        norm=lambda p: p.model.bias(p.shape)),  # type: ignore[misc]
    Direction(rectified.VARIATION, rectified.BACH,
        lambda p, flow: _monotone(p) and rectified.variation(p),
        hypotheses=rectified.conditions),
    Direction("a stationary point of min ‖u‖² with margins ≥ 1", LYU,
        lambda p, flow: _monotone(p) and p.model.degree > 0),
    Refusal("one head of attention", TARZANAGH,
        lambda p, flow: _monotone(p) and p.model.source == TARZANAGH,
        reason="with its head v held and losses that fall, the query q of attention turns to where "
               "the margin ⟨x_iα − x_it, q⟩ of one token α of each sample over its others is "
               "widest, but which tokens these are the start decides, and the theorem, known from "
               "its abstract alone, has conditions on their values that no row checks; the nearest "
               "is fb.max_margin of these differences, all labelled 1, for the tokens that a run "
               "has picked"),
    Refusal("§4, networks", LYU, lambda p, flow: _monotone(p),
        reason="the theorems on networks with exponential losses ask for a homogeneous F (Lyu & Li "
               "2020), which this model is not, or does not declare (degree=L); the nearest are "
               "those for diagonal and deep linear networks"),
    Point("mirror flow of depth L ≥ 3: argmin D_ψ(w, w(0)) over the global minima, ∇ψ⁻¹ a "
        "difference of powers with two finite ends",
        "Woodworth, Gunasekar, Lee, Moroshko, Savarese, Golan, Soudry, Srebro (2020), Theorem 3",
        lambda p, flow: p.model.mirror is not None and p.model.degree > 2
        and isinstance(p.model.mirror(p.start), Deep),
        potential=lambda p: p.model.mirror(p.start),  # type: ignore[misc]
        hypotheses=powers),
    Point("mirror flow: argmin D_ψ(w, w(0)) over the global minima, ψ the potential of the model",
        "",
        lambda p, flow: p.model.mirror is not None,
        potential=lambda p: p.model.mirror(p.start),  # type: ignore[misc]
        reason="the model knows no potential from this start; the nearest is the same with "
               "model.start(scale)"),
    Refusal("the conjecture of minimum nuclear norm", LI,
        lambda p, flow: p.model.shape is not None and len(p.model.shape) == 2
        and p.model.degree == 2,
        reason=CONJECTURE),
    Refusal("rectified units, squared loss", "Vardi & Shamir (2021)",
        lambda p, flow: rectified.units(p), reason=rectified.SQUARED),
    Refusal("§4, squared loss", f"{PAPER}, §4; {ZHANG}", lambda p, flow: True,
        reason="for losses with a root the limit of gradient descent on this model depends on "
               "start and step size, and no potential is known to the table: of some networks no "
               "function of w that does not know the data can say where it goes (Zhang et al. "
               "2022); the nearest are diagonal networks u₊^L − u₋^L, whose flow is a mirror flow, "
               "and the linear model"),
)


def network(problem: Problem, flow: bool) -> Limit:
    """The limit that a row of NETWORK names, with its hypotheses checked."""
    row = covering(NETWORK, problem, flow)
    if not isinstance(row, Refusal):
        goes_on(problem, flow, row.source or problem.model.source)
    if isinstance(row, Rest):
        return balanced(problem, flow, row.name, row.source)
    if isinstance(row, Direction):
        return _direction(problem, flow, row)
    if isinstance(row, Point):
        return mirrored(problem, flow, row)
    raise NoTheorem(row.reason, row.source)


def _direction(problem: Problem, flow: bool, row: Direction) -> Limit:
    """The limit direction of a row, or a stationary point, where that is all that is named."""
    model, source = problem.model, _source(problem, row)
    rows = [tailed(problem, row), _homogeneous(problem)]
    if not rows[0].holds:
        raise another_tail(problem, row, rows)
    separator = _separated(problem, row, rows)
    # what is known to be False is refused before any oracle is asked
    rows += row.hypotheses(problem)
    if disproved(rows):
        why = (f"{row.name} asks for a homogeneous F, which this one is not, of "
               f"degree={model.degree}")
        raise NoTheorem(row.reason if rows[1].holds else why, row.source, tuple(rows))
    rows += descent(problem, flow)
    if disproved(rows):
        raise NoTheorem(OVERSHOT, source, tuple(rows))
    if model.degree > 1:
        rows.append(Hypothesis("increments and gradients converge in direction", None,
                               "seen only in a run"))
    rows += [*_as_stated(problem, row),
             *(Hypothesis(statement, None, model.source) for statement in model.conditions)]
    # where several stationary points may be the limit only a run can say which
    found = _widest(problem, row, separator)
    if found is None:
        return _stationary(problem, row, [*rows, vanishing(problem, flow, False)])
    free = _reachable(problem, found, flow)
    # a mirror flow comes to L = 0 from any start that is not kept away
    flows = bool(free.holds) and model.mirror is not None
    rows += [vanishing(problem, flow, flows), *found.hypotheses, *_one_of_many(found), free]
    if free.holds is False:
        raise NoTheorem("theorems on networks hold for almost every start, and this one is not "
                        "generic: its symmetry or exact balance puts the maximum margin out of "
                        f"reach: {free.evidence}; the nearest is the same with model.start(scale, "
                        "rng=...)", source, tuple(rows))
    return replace(found, theorem=row.name, source=source, hypotheses=tuple(rows))


def _separated(problem: Problem, row: Row, rows: list[Hypothesis]) -> np.ndarray:
    """A separator that the model makes; NoTheorem with the certificate where there is none."""
    told = "some W ⪰ 0 separates the data" if problem.model.semidefinite \
        else "some symmetric W separates the data" if problem.model.symmetric \
        else "the data are linearly separable"
    try:
        separable = _separate(problem)
    except ArithmeticError as error:
        raise NoTheorem(f"{told}: {error}", row.source, tuple(rows)) from None
    against = separable.dual if separable.w is None else None
    rows.append(Hypothesis(told, against is None, "a separator" if against is None
                           else "λ ≥ 0 in .dual is against it"))
    if against is not None:
        raise NoTheorem(f"{told}: that is not so, hence the loss does not go to 0 and {row.name} "
                        "does not apply; λ in .dual certifies it; the nearest theorems are those "
                        "for losses with a root", row.source, tuple(rows), against)
    assert separable.w is not None
    return separable.w


def _widest(problem: Problem, row: Direction, separator: np.ndarray) -> Limit | None:
    """The maximum margin that a row names, None where it names no more than stationary points."""
    model = problem.model
    if row.stationary is not None:
        return None
    if row.name == rectified.VARIATION:
        return rectified.widest_network(problem)
    # with fewer columns than rows W ⪰ 0 may be out of reach, and the model then declares no bias
    if model.semidefinite and model.bias is not None:
        assert model.shape is not None
        return semidefinite.widest(_symmetric(problem), model.shape[0], separator)
    if row.norm is None:
        return None
    rows = _symmetric(problem) if model.symmetric else problem.rows
    found = widest(rows, problem.shape, row.norm(problem), separator)
    if not model.symmetric:
        return found
    # of tied maximisers: the mean of W and Wᵀ has the same margins, and is no longer
    W = found.w.reshape(model.shape)
    return replace(found, w=((W + W.T) / 2).reshape(found.w.shape), asked=None)


def _as_stated(problem: Problem, row: Direction) -> list[Hypothesis]:
    """What is taken on trust of a theorem's own statement."""
    source = _source(problem, row)
    # its statement is at hand, word for word, those of others are not
    if row.name.startswith("Theorem 7"):
        exact = problem.loss.name == "exponential"
        return [Hypothesis("the theorem is stated for this loss", shown(exact),
                           f"{PAPER}, Theorem 7" if exact else
                           f"{PAPER}, Theorem 7, for the exponential loss, not "
                           f"{problem.loss.name}"),
                Hypothesis("the data are not among the exceptions", None,
                           f"{PAPER}, Theorem 7: for almost all data sets")]
    told = "for almost all data sets and starts" if row.stationary is None \
        else "from its abstract; the norm is one of u, not of w"
    return [Hypothesis("the theorem is as its source has it", None,
                       f"stated as known from {source}: {told}")]


def _source(problem: Problem, row: Direction) -> str:
    """Where the theorem stands for this model; of other methods where it stands for the method."""
    return row.source if row.stationary is not None else problem.model.source or row.source


def _one_of_many(found: Limit) -> list[Hypothesis]:
    """What .w is where the maximum margin has, or may have, more than one maximiser."""
    alone = next((h.holds for h in found.hypotheses if "unique" in h.statement), None)
    if alone:
        return []
    told = "there are others of" if alone is False else "others may have"
    return [Hypothesis("a run's direction tends to .w itself", None,
                       f"{told} the same margin: .w is "
                       "one of a face of maximisers; the margin is what is known")]


def _symmetric(problem: Problem) -> np.ndarray:
    """The rows z, as the symmetric parts of matrices, which are all that products with symmetric
    ones see.
    """
    rows = problem.Z.reshape(-1, *problem.model.shape)  # type: ignore[misc]
    return np.asarray(((rows + rows.transpose(0, 2, 1)) / 2).reshape(len(rows), -1))


def _separate(problem: Problem) -> Separability:
    """Whether some predictor that the model makes separates the data, with the certificate."""
    if problem.model.semidefinite:
        return semidefinite.separate(_symmetric(problem),
                                     problem.model.shape[0])  # type: ignore[index]
    return separate(_symmetric(problem) if problem.model.symmetric else problem.rows)


def _homogeneous(problem: Problem) -> Hypothesis:
    """Whether F(2u) = 2^L F(u) at the start."""
    # of size one, so that 2^L F(u) is no number beyond float64
    L, u = problem.model.degree, problem.start / max(float(np.abs(problem.start).max()), 1e-300)
    one, two = 2.0 ** L * problem.predictor(u), problem.predictor(2.0 * u)
    off = float(np.abs(one - two).max() / max(float(np.abs(one).max()), 1e-300))
    return Hypothesis(f"F is homogeneous, of degree {L}", off <= 1e-9,
                      f"F(2u) = 2^{L} F(u) at the start, to {off:.0e}")


def _reachable(problem: Problem, found: Limit, flow: bool) -> Hypothesis:
    """Whether the start lets the flow come to the maximum margin: True and False are proved."""
    model, statement = problem.model, "no exact balance of the start keeps it away"
    # at a saddle of all samples at once nothing ever moves
    if not model.pulls(problem.start, problem.Z).any():
        return Hypothesis(statement, False,
                          "at the start the gradient of each sample is 0, and it stays there")
    # no law tells what `reach` and `sole` say, so they are believed of our own alone
    if model.reach is not None and ours(model):
        obstacle = model.reach(model.split(problem.start, problem.size), problem.Z, found.w.ravel())
        if obstacle is None:
            return Hypothesis(statement, None, "open: seen only in a run")
        return Hypothesis(statement, not obstacle, obstacle or (
            "proved: the flow is a mirror flow, which comes to the maximum margin over the signs "
            "that it keeps, slowly where the start favours other entries"))
    if model.sole and ours(model):
        # one such point, though from factors that balance a flow may end in 0 before it
        holds, told = reaches(problem, found, flow)
        if holds is None and STAYS not in told and _past_zero(problem, flow):
            holds, told = True, (
                "each stationary point of positive margins is the maximum margin: w = Σ λ z with λ "
                "≥ 0 on support vectors alone; and L, which falls, is under its value at w = 0")
        return Hypothesis(statement, holds, told)
    if model.semidefinite:
        return Hypothesis(statement, True, "a start of full rank (Theorem 7)")
    if model.degree == 1 and model.mirror is not None:
        return Hypothesis(statement, True,
                          "w = u: the flow of the linear model comes there from any start")
    return Hypothesis(statement, *reaches(problem, found, flow))


def _past_zero(problem: Problem, flow: bool) -> bool:
    """Whether L is less than where w is 0 already, and so cannot come to rest there."""
    u = problem.start if flow else problem.now[0]
    return problem.log_loss(u) < problem.log_loss(np.zeros_like(u)) - PAST


def _stationary(problem: Problem, row: Direction, rows: list[Hypothesis]) -> Limit:
    """Where a run stands, with the residual that says how stationary it is: there are many such
    points.
    """
    reached, source = problem.reached, _source(problem, row)
    if reached is None or reached.t == 0:
        raise NoTheorem(f"{row.name} is all that is known of the limit direction, and there are "
                        "many: which one, the start decides, so it needs a run first: "
                        "plan.run(...), then plan.limit() measures the KKT residual",
                        source, tuple(rows))
    # there is no oracle: the run is held against the conditions that any limit must meet
    norm = norms.l2 if row.stationary is None else row.stationary(problem)
    residual, lam = stationarity(problem, reached.u, norm)
    if not np.isfinite(residual):
        raise NoTheorem(f"{row.name} asks for margins that are positive, and where the run stands, "
                        f"at t = {reached.t}, the least is not: run on", source,
                        tuple(rows))
    # of any size: F is homogeneous
    w = problem.predictor(reached.u / np.abs(reached.u).max())
    w = w / np.linalg.norm(w)
    least = float((problem.Z @ w).min())
    # a divergence is the square of a distance
    plain = norm.matrix is not None
    met = residual <= (CERTIFIED if plain else CERTIFIED ** 2)
    told, where = "u = Σ λ_n F'(u)ᵀ y_n x_n", ""
    if norm is not norms.l2:
        told = "Σ λ_n F'(u)ᵀ y_n x_n ∈ ‖u‖∂‖u‖ in the method's norm"
        where = f", in {norm.name}: trace.kkt_residual(norm)"
    rows.append(Hypothesis(f"the run's direction is stationary: {told}, λ ≥ 0, at margins of 1",
                           None, f"KKT residual {residual:.1e} at t = {reached.t}{where}"))
    total = float(lam.sum())
    return Limit(w.reshape(problem.shape), "direction",
                 f"{row.name}: the run's own direction, measured", source, tuple(rows), met,
                 residual, lam / total if total > 0 else lam, least, norms.l2)


