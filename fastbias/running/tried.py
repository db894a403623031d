"""The laws of methods, which are tried by a run: what the method declares of its first updates."""
from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fastbias.engine.abi import Piece, Records
from fastbias.engine.call import call, descend
from fastbias.pieces import steps
from fastbias.pieces.laws.base import SHARP, Rows, above, unlike
from fastbias.pieces.laws.potentials import dual
from fastbias.pieces.methods import Method
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem, gather, make
from fastbias.running.buffers import assemble

# the step of a trial: short enough for any method, long enough for moves to keep ten digits
ETA = 1e-3
MOVED = 1e-6      # relative error of a move that was read off two iterates
MIXED = 400       # weights c of the gradient before last that are tried for a sum g + c g'


def of_method(method: Method, rng: np.random.Generator, size: int) -> Rows:
    """Some updates of the logistic loss from a random start, and what a method that declares itself
    says of them.
    """
    eta = ETA
    if method.averages != "all":                             # whose rule is a part of it
        method = replace(method, rule=steps.constant(eta))
    problem = _tried(method, rng, size)
    method = problem.method                                  # with the geometry of its predictors
    u, v = problem.start, problem.descent(problem.start) - method.decay * problem.start
    (status, new), kept = next(_updates(problem)), (problem.X.copy(), problem.y.copy())
    yield "an update ends with status 0", float(status != 0), 0.0, u
    yield "an update is finite", float(not np.isfinite(new).all()), 0.0, u
    yield "an update leaves the data alone", max(unlike(problem.X, kept[0]),
                                                 unlike(problem.y, kept[1])), 0.0, u
    again = next(_updates(problem))[1]
    yield "the same state gives the same update", float(new.tobytes() != again.tobytes()), 0.0, u
    declared = method.steepest + method.natural + method.dual
    yield "a move is declared to be of one kind", float(declared > 1), 0.0, u
    # what is declared is of the gradient as it is
    if method.sampling.batch or not method.exact:
        return
    move = (new - u) / eta + method.shrink * u
    yield "the first move descends", float(not v @ move > 0), 0.0, u
    if method.shrink:
        yield from _shrunk(method, problem, new)
    yield from _first(method, problem, v, move)
    yield from _later(method, problem, rng)


def _first(method: Method, problem: Problem, v: np.ndarray, move: np.ndarray) -> Rows:
    """What is declared of the first move, v being −∇L at the start."""
    g, u = method.geometry, problem.start
    dull = 1e-9 * float(np.abs(u).max(initial=1.0)) / ETA    # what rounding of u does to a move
    if method.steepest and g is None:
        yield "the move of gradient descent is −∇L", unlike(move, v, dull), SHARP + 1e-9, u
    if method.steepest and isinstance(g, Norm):
        yield from _steepest(method, g, problem, v, move, dull)
    if method.natural:
        yield from _natural(g, problem, v, move, dull)
    if method.dual:
        yield "∇ψ(w⁺) = ∇ψ(w) − η∇L(w), but for what keeps a constraint", \
            _off_dual(method, g, u, u + ETA * move, v) if isinstance(g, Potential) else np.inf, \
                MOVED, u
    if method.adaptive:
        wrong = float((np.sign(move) != np.sign(v)).any())
        yield "each entry moves as its own gradient has it where adaptive is claimed", wrong, 0.0, u
    if method.ties is not None:
        yield "0 ≤ ties < 1", float(not 0 <= method.ties < 1), 0.0, u


def _shrunk(method: Method, problem: Problem, new: np.ndarray) -> Rows:
    """The same of a decoupled decay: it alone tells the update from one whose last number is 0."""
    numbers = np.append(method.params[:-1], 0.0)
    free = next(_updates(replace(problem, method=replace(method, params=numbers))))[1]
    u = problem.start
    yield "u⁺ has (1 − λη)u in it where a decoupled decay λ is claimed", \
        unlike(free - new, method.shrink * ETA * u, 1e-9 * float(np.abs(u).max())), MOVED, u


def _steepest(method: Method, norm: Norm, problem: Problem, v: np.ndarray, move: np.ndarray,
              dull: float) -> Rows:
    """The same of steepest descent in a norm."""
    length, ties = 1.0 if method.unscaled else norm.dual(v), method.ties
    # of coordinates that tie a few move, or by a part of their length
    off = unlike(norm(move), length, dull) if ties is None else above(norm(move), length)
    yield "the move of steepest descent has the length ‖∇L‖⋆, 1 where unscaled is claimed", \
        off, MOVED, problem.start
    yield "⟨−∇L, Δ⟩ = ‖∇L‖⋆ ‖Δ‖ in the norm of steepest descent", \
        unlike(v @ move, norm.dual(v) * norm(move)), MOVED + (ties or 0.0), problem.start


def _natural(g: object, problem: Problem, v: np.ndarray, move: np.ndarray, dull: float) -> Rows:
    """The same of natural gradient descent, in a potential's metric or one of its own."""
    u = problem.start
    if isinstance(g, Potential):
        yield "the move of natural gradient descent is −∇²ψ⁻¹∇L", \
            unlike(move, g.solve(u, v), dull), MOVED, u
    if isinstance(g, Piece):
        solved = np.full(u.size, np.nan)
        call(g, np.empty(0), u, v, solved)
        yield "the move of natural gradient descent is the metric's", unlike(move, solved, dull), \
            MOVED, u


def _later(method: Method, problem: Problem, rng: np.random.Generator) -> Rows:
    """What is declared of how the next moves remember the gradients before."""
    run, points = _updates(problem), [problem.start]
    for _ in range(3):
        status, u = next(run)
        # it left the domain, as a run from near its edge may
        if status != 0:
            return
        points.append(u)
    gradients = [problem.descent(u) - method.decay * u for u in points]
    second = (points[2] - points[1]) / ETA + method.shrink * points[1]
    at = problem.start
    yield from _forgetful(method, problem, points)
    g = method.geometry
    if method.averages == "fading" and method.steepest and isinstance(g, Norm):
        yield "a move is steepest for g + c g', |c| < 1, where a fading average is claimed", \
            _unmixed(g, second, gradients[1], gradients[0]), MOVED, at
    if method.averages == "all":
        yield ("w moves by d + Σ i dᵢ/(t + 1), d = −η∇L, where an average of all gradients is "
               "claimed"), \
            _unaveraged(problem, points), MOVED, at
    if method.moments is not None:
        yield "the move is m/(√v + ε) for the moments claimed", \
            unlike(second, _by_moments(method, gradients[:2]),
                   1e-9 * float(np.abs(points[1]).max()) / ETA), MOVED, at
    if method.measured is not None:
        buffers = assemble(problem)[2]
        yield "the state measures a norm where that is claimed", \
            float(not isinstance(method.measured(np.abs(buffers.state[1:]) + 1.0), Norm)), 0.0, at


def _forgetful(method: Method, problem: Problem, points: list[np.ndarray]) -> Rows:
    """Where a method claims neither averages nor momentum: its second move is the first one from
    there.
    """
    still = not (method.beta.any() or method.gamma.any() or method.draws)
    if still and not method.averages and (method.steepest or method.natural or method.dual):
        fresh = next(_updates(replace(problem, start=points[1])))[1]
        off = unlike(points[2] - points[1], fresh - points[1],
                     1e-9 * float(np.abs(points[1]).max()))
        yield "a move is of the last gradient alone unless averages is claimed", off, MOVED, \
            problem.start


def _unaveraged(problem: Problem, points: list[np.ndarray]) -> float:
    """How far the third move is from one by all gradients so far, the later ones weighing more."""
    d = [_step(problem, k, u) for k, u in enumerate(points[:3])]
    return unlike(points[3] - points[2], d[2] + (d[1] + 2.0 * d[2]) / 3.0)


def _off_dual(method: Method, psi: Potential, u: np.ndarray, new: np.ndarray,
              v: np.ndarray) -> float:
    """How far ∇ψ(u⁺) − ∇ψ(u) is from η times −∇L, v, but for rows of the constraint, which u⁺
    keeps.
    """
    moved = psi.to_dual(new) - psi.to_dual(u)
    if method.constraint is None:
        return unlike(moved, ETA * v, 1e-6)
    Q, c = method.constraint                                 # its rows are orthonormal
    across = np.eye(u.size) - Q.T @ Q
    return max(unlike(across @ moved, ETA * across @ v, 1e-6), unlike(Q @ new, c))


def _unmixed(norm: Norm, move: np.ndarray, now: np.ndarray, before: np.ndarray) -> float:
    """How far a move is from steepest for now + c before, at the c in (−1, 1) where it is
    nearest.
    """
    def off(c: float) -> float:
        # in full, as gradients one step apart are nearly parallel
        wanted = norm.direction(now + c * before)
        return unlike(move / norm(move), wanted / norm(wanted)) if move.any() and wanted.any() \
            else np.inf
    grid = np.arange(1 - MIXED, MIXED) / MIXED
    best = grid[np.argmin([off(c) for c in grid])]
    low, high = best - 1.0 / MIXED, best + 1.0 / MIXED
    # of one valley: thirds that are higher are left out
    for _ in range(60):
        third = (high - low) / 3.0
        low, high = (low, high - third) if off(low + third) < off(high - third) \
            else (low + third, high)
    return off(0.5 * (low + high)) if low < 1.0 else np.inf


def _by_moments(method: Method, gradients: list[np.ndarray]) -> np.ndarray:
    """The last move of m/(√v + ε)."""
    assert method.moments is not None
    beta1, beta2, eps = method.moments
    m = v = np.zeros_like(gradients[0])
    for g in gradients:
        m, v = beta1 * m + (1.0 - beta1) * g, beta2 * v + (1.0 - beta2) * g * g
    k = len(gradients)
    if method.aged:
        m, v = m / (1.0 - beta1 ** k), v / (1.0 - beta2 ** k)
    return np.asarray(m / (np.sqrt(v) + eps))


def _step(problem: Problem, k: int, u: np.ndarray) -> np.ndarray:
    """−η_k ∇L(u)."""
    s, g = problem.pull(problem.predictor(u))
    return np.asarray(call(problem.rule.rule, problem.rule.params, k, s, problem.log_loss(u)) * g)


def _tried(method: Method, rng: np.random.Generator, size: int) -> Problem:
    """A small problem for a method: logistic loss, samples of the shape that its geometry wants, a
    random start.
    """
    g, n = method.geometry, getattr(method.geometry, "symmetric", 0)
    shape = getattr(g, "shape", None) or ((n, n) if n else (2, 3) if method.shaped else (size,))
    X = rng.normal(size=(max(6, method.sampling.batch), *shape))
    if n:
        X = X + np.swapaxes(X, 1, 2)
    start = None if method.constraint is not None else rng.normal(size=shape)
    if isinstance(g, Potential) and start is not None:
        start = g.to_primal(dual(g, rng, start.size))
    data = gather(X, rng.choice([-1.0, 1.0], len(X)), "logistic")
    return make(data, method, "linear", start)


def _updates(problem: Problem) -> Iterator[tuple[int, np.ndarray]]:
    """The status and the parameters after one update, after two, and so on."""
    pieces, params, buffers = assemble(problem)
    rows = Records(np.empty(0, np.int64), np.empty((0, problem.start.size)), np.empty(0))
    for k in itertools.count(1):
        status = int(descend(pieces, params, problem.X, problem.y, buffers, rows, k, -np.inf))
        yield status, buffers.u.copy()
