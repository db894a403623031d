"""Exact line searches: where they must end, having no minimiser, and what is known of those that go
on.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks.foreign import Unsolved, ask
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem
from fastbias.solvers.limit import PAPER, NoTheorem
from fastbias.theory.base import gradient

__all__ = ["FOLLOWED", "ends"]

FOLLOWED = 16        # searches that are followed from where the run stands
# by how much, relatively, all margins must grow along a move that is said to lower none
SURE = 1e-9
LARGE = 4_000_000    # entries of Z from which only the first move is looked at


def ends(problem: Problem) -> None:
    """Raise NoTheorem where one of the next few searched moves lowers no margin: the loss falls for
    ever along it.
    """
    u, begun = problem.now
    nu = float(problem.rule.params[0]) if problem.rule.params.size == 1 else np.nan
    if not 0 < nu <= 1:
        raise NoTheorem("the step rule is a search of one's own, which no theorem is known to "
                        "speak of; the nearest is fb.steps.line_search", PAPER)
    # each step costs two products with Z, which is too much where Z is large
    for k in range(FOLLOWED if problem.Z.size < LARGE else 1):
        move = _move(problem, u)
        if move is None:
            return
        if _lowers_none(problem.Z, move):
            raise NoTheorem(f"the move that is searched at step {begun + k} lowers no margin, so "
                            "the loss falls along it for ever, the exact line search has no "
                            "minimiser, and the run ends UNBOUNDED: there is no limit to speak of; "
                            "the nearest theorem is the same method with fb.steps.bounded (Theorem "
                            "5)",
                            f"{PAPER}, §3.2")
        # the search of the engine itself is not asked: its rounding is no part of the proof
        step = _least(problem, u, move)
        if step is None:
            return
        u = u + nu * step * move


def _lowers_none(Z: np.ndarray, move: np.ndarray) -> bool:
    """Whether it is certain that a move lowers no margin, and raises some."""
    rise, terms = Z @ move, np.abs(Z) @ np.abs(move)
    # exactly, in any order
    still = (rise == 0.0) if _whole(Z) and _whole(move) else (terms == 0.0)
    # a sample that the move does not touch is no hindrance, but one of them must gain
    return bool(((rise > SURE * terms) | still).all()) and not still.all()


def _whole(x: np.ndarray) -> bool:
    """Whether these are whole numbers so small that sums of their products have no rounding."""
    return bool((x == np.rint(x)).all()) and float(np.abs(x).max()) < 2.0 ** 20


def _move(problem: Problem, u: np.ndarray) -> np.ndarray | None:
    """The move that a method makes from u, of any length; None where it depends on more than u, or
    is not declared.
    """
    method, geometry = problem.method, problem.method.geometry
    g = problem.pull(problem.predictor(u))[1]
    # such a move depends on the gradients before, which the parameters alone do not tell
    if method.averages or method.adaptive:
        return None
    if method.ties is not None:
        return _of_coordinates(g, *method.params[:2])
    if method.steepest and isinstance(geometry, Norm):
        return _of_steepest(g, geometry, method.unscaled)
    if method.natural and isinstance(geometry, Potential):
        return geometry.solve(u, g)
    return g if gradient(problem) else None


def _of_coordinates(g: np.ndarray, tol: float, ties: float) -> np.ndarray | None:
    """The entries of −∇L that coordinate descent moves: all that are tied, or the first of them."""
    tied = np.flatnonzero(np.abs(g) >= (1.0 - tol) * np.abs(g).max())
    # which of the tied ones moves is drawn, and a draw is not predicted
    if ties == 2.0 and tied.size > 1:
        return None
    moving = tied if ties == 1.0 else tied[:1]
    move = np.zeros_like(g)
    move[moving] = g[moving]
    return move


def _of_steepest(g: np.ndarray, norm: Norm, unscaled: bool) -> np.ndarray:
    """The move of steepest descent in a norm, of any length."""
    # signs are whole numbers, of which sums are exact
    return np.sign(g) if unscaled and norm.ball == "cube" else norm.direction(g)


def _least(problem: Problem, u: np.ndarray, move: np.ndarray) -> float | None:
    """The a > 0 at which the loss is least along u + a move, to rounding; None where none is
    found.
    """
    p, along = problem.predictions(problem.predictor(u)), problem.predictions(move)
    size = float(np.abs(along).max())

    def fall(a: float) -> float:
        q = problem.loss.scaled(p + a * along, problem.y, problem.weights)[1]
        return float(q @ along) / size

    if not size > 0 or not np.isfinite(size) or not fall(0.0) > 0:
        return None
    # in units in which predictions change by one; the bracket grows until the slope turns
    high = 1.0 / size
    for _ in range(40):
        if fall(high) < 0:
            try:
                return float(ask("the search along a move", "scipy.optimize.brentq", fall, 0.0,
                                 high, xtol=1e-300,
                                 rtol=1e-15))
            except Unsolved:
                return None
        high *= 2.0
    return None
