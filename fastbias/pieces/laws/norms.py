"""The laws of norms: eq. (12), Hölder's inequality, and that the convex face is the compiled
one.
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.call import call
from fastbias.pieces.laws.base import DIFFERENCE, SHARP, Rows, above, unlike, vector
from fastbias.pieces.norms import Norm


def of_norm(norm: Norm, rng: np.random.Generator, size: int) -> Rows:
    """What every norm must obey: one random trial."""
    g, v = vector(rng, size), vector(rng, size)
    kept = g.copy()
    move = np.full(size, np.nan)
    status = call(norm.steepest, norm.params, g, move)
    dual = norm.dual(g)
    yield "⟨Δ, g⟩ = ‖g‖⋆²  (eq. 12)", unlike(g @ move, dual ** 2), SHARP, g
    yield "‖Δ‖ = ‖g‖⋆  (eq. 12)", unlike(norm(move), dual), SHARP, g
    yield "steepest returns status 0", float(status != 0), 0.0, g
    yield "a piece leaves its input alone", unlike(g, kept), 0.0, g
    yield "⟨g, v⟩ ≤ ‖g‖⋆ ‖v‖  (Hölder)", above(abs(float(g @ v)), dual * norm(v)), SHARP, (g, v)
    yield "‖a v‖ = |a| ‖v‖", unlike(norm(-2.5 * v), 2.5 * norm(v)), SHARP, v
    yield "‖g + v‖ ≤ ‖g‖ + ‖v‖", above(norm(g + v), norm(g) + norm(v)), SHARP, (g, v)
    yield "‖v‖ > 0 for v ≠ 0", float(not norm(v) > 0), 0.0, v
    yield "Δ(a g) = a Δ(g) for a > 0", unlike(norm.direction(3.0 * g), 3.0 * move), SHARP, g
    zero = np.zeros(size)
    yield "Δ(0) = 0, ‖0‖ = ‖0‖⋆ = 0", \
        float(np.abs(norm.direction(zero)).max() + norm(zero) + norm.dual(zero)), 0.0, zero
    if norm.ball is not None:
        known = np.abs(v).sum() if norm.ball == "cross-polytope" else np.abs(v).max()
        yield "the norm is the one whose unit ball it claims", unlike(norm(v), known), SHARP, v
    if norm.smooth:
        tied, e = np.ones(size), 1e-9 * rng.normal(size=size)
        tied[rng.integers(size)] = 0.0 if size > 1 else 1.0
        jump = norm.direction(np.where(tied == 0, 1e-300,
                                       tied + e)) - norm.direction(np.where(tied == 0, -1e-300,
                                                                            tied - e))
        yield "Δ is continuous where smooth is claimed", \
            float(np.abs(jump).max()) / max(norm.dual(tied), 1.0), 0.1, tied
    if norm.power is not None:
        unit = float(np.abs(v).max())
        known = float(np.linalg.norm(v / unit, norm.power)) * unit if 1 < norm.power < np.inf \
            else np.inf
        yield "the norm is ‖v‖_p for the power 1 < p < ∞ it claims", unlike(norm(v), known), \
            SHARP, v
    if norm.shrink is not None:
        t = 0.5 * norm.dual(g)
        near, slope = norm.shrink(g, t)
        yield "⟨g − v, v⟩ = t‖v‖, ‖g − v‖⋆ = t for v = shrink(g, t), t < ‖g‖⋆", max(
            unlike((g - near) @ near, t * norm(near)), unlike(norm.dual(g - near), t)), SHARP, g
        h, along = 1e-6 * t, v / np.abs(v).max()
        turned = (norm.shrink(g + h * along, t)[0] - norm.shrink(g - h * along, t)[0]) / (2 * h)
        yield "slope is the derivative of shrink", unlike(slope(along[None])[0], turned, 1.0), \
            DIFFERENCE, (g, v)
    if norm.matrix is not None:
        yield "‖v‖² = vᵀDv for the matrix it claims", \
            unlike(norm(v) ** 2, v @ norm.matrix(size) @ v), SHARP, v
