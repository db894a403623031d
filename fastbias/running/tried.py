"""The laws of methods, which are tried by a run: one update, and what the method declares of it."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.engine.abi import Records
from fastbias.engine.call import descend
from fastbias.pieces import steps
from fastbias.pieces.laws.base import SHARP, Rows, above, unlike
from fastbias.pieces.laws.potentials import dual
from fastbias.pieces.methods import Method
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem, make
from fastbias.running.buffers import assemble


def of_method(method: Method, rng: np.random.Generator, size: int) -> Rows:
    """One update of the logistic loss from a random start, and what the family that a method declares says of it."""
    eta, family = 1e-3, method.family
    if family != "accelerated":                              # whose rule is a part of it
        method = replace(method, rule=steps.constant(eta))
    problem = _tried(method, rng, size)
    u, v = problem.start, problem.descent(problem.start) - method.decay * problem.start
    (status, new), kept = _updated(problem), (problem.X.copy(), problem.y.copy())
    yield "an update ends with status 0", float(status != 0), 0.0, u
    yield "an update is finite", float(not np.isfinite(new).all()), 0.0, u
    yield "an update leaves the data alone", max(unlike(problem.X, kept[0]), unlike(problem.y, kept[1])), 0.0, u
    yield "the same state gives the same update", float(new.tobytes() != _updated(problem)[1].tobytes()), 0.0, u
    if method.sampling.batch:
        return
    move = (new - u) / eta
    yield "the first move descends", float(not v @ move > 0), 0.0, u
    g, dull = method.geometry, 1e-9 * float(np.abs(u).max(initial=1.0)) / eta
    if family == "gradient":
        yield "the move of gradient descent is −∇L", unlike(move, v, dull), SHARP + 1e-9, u
    if family in ("steepest", "coordinate") and isinstance(g, Norm):
        length = 1.0 if method.unscaled else g.dual(v)
        yield "the move of steepest descent has the length ‖∇L‖⋆, 1 where unscaled is claimed", max(
            0.0, unlike(g(move), length, dull) if family == "steepest" else above(g(move), length)), 1e-6, u
        yield "⟨−∇L, Δ⟩ = ‖∇L‖⋆ ‖Δ‖ in the norm of steepest descent", unlike(v @ move, g.dual(v) * g(move)), \
            1e-6 + (float(method.params[0]) if family == "coordinate" and method.params.size else 0.0), u
    if family == "natural" and isinstance(g, Potential):
        yield "the move of natural gradient descent is −∇²ψ⁻¹∇L", unlike(move, g.solve(u, v), dull), 1e-6, u
    if family == "mirror" and isinstance(g, Potential) and method.constraint is None:
        yield "∇ψ(w⁺) = ∇ψ(w) − η∇L(w)", unlike(g.to_dual(new) - g.to_dual(u), eta * v, 1e-6), 1e-6, u


def _tried(method: Method, rng: np.random.Generator, size: int) -> Problem:
    """A small problem for a method: logistic loss, samples of the shape that its geometry wants, a random start."""
    g, n = method.geometry, getattr(method.geometry, "symmetric", 0)
    shape = getattr(g, "shape", None) or ((n, n) if n else (2, 3) if method.shaped else (size,))
    X = rng.normal(size=(max(6, method.sampling.batch), *shape))
    if n:
        X = X + np.swapaxes(X, 1, 2)
    start = None if method.constraint is not None else rng.normal(size=shape)
    if isinstance(g, Potential) and start is not None:
        start = g.to_primal(dual(g, rng, start.size))
    return make(X, rng.choice([-1.0, 1.0], len(X)), "logistic", method, "linear", start)


def _updated(problem: Problem) -> tuple[int, np.ndarray]:
    """The status and the parameters after one update."""
    pieces, params, buffers = assemble(problem)
    rows = Records(np.empty(0, np.int64), np.empty((0, problem.start.size)), np.empty(0))
    return int(descend(pieces, params, problem.X, problem.y, buffers, rows, 1, -np.inf)), buffers.u
