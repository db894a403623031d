"""The laws of potentials: ∇ψ⁻¹ ∘ ∇ψ = id, monotony, the metric, and what each declares of its level
sets.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks.sizes import worst
from fastbias.engine.abi import Status
from fastbias.engine.call import call
from fastbias.pieces.laws.base import DIFFERENCE, HORIZON, SAME, SHARP, Rows, unlike
from fastbias.pieces.potentials import Potential


def dual(psi: Potential, rng: np.random.Generator, size: int) -> np.ndarray:
    """A vector (size,) of the dual domain; a symmetric one where predictors are."""
    z = rng.normal(size=size) * 2
    low, high = psi.dual_domain
    if np.isfinite(low) and np.isfinite(high):
        return low + (high - low) * (0.01 + 0.98 / (1.0 + np.exp(-z)))
    # by an inch, so that derivatives may be taken
    if np.isfinite(low) or np.isfinite(high):
        return low + 0.01 + np.abs(z) if np.isfinite(low) else high - 0.01 - np.abs(z)
    if not psi.symmetric:
        return z
    Z = z.reshape(psi.symmetric, psi.symmetric)
    return np.asarray((Z + Z.T).ravel() / 2)


def of_potential(psi: Potential, rng: np.random.Generator, size: int) -> Rows:
    """What every potential must obey: one random trial."""
    z, z2, g = dual(psi, rng, size), dual(psi, rng, size), 0.5 * dual(psi, rng, size)
    kept = z.copy()
    w, w2 = psi.to_primal(z), psi.to_primal(z2)
    yield "∇ψ(∇ψ⁻¹(z)) = z", unlike(psi.to_dual(w), z, 1.0), SHARP, z
    yield "a piece leaves its input alone", unlike(z, kept), 0.0, z
    yield "⟨∇ψ(w) − ∇ψ(w'), w − w'⟩ > 0  (strict convexity)", float(not (z - z2) @ (w - w2) > 0), \
        0.0, (w, w2)
    yield "D_ψ(w, w') ≥ 0, and D_ψ(w, w) = 0", worst(-psi.divergence(w, w2),
                                                     abs(psi.divergence(w, w))), 1e-9, (w, w2)
    # so short that w ± h g stays inside the domain
    h = 1e-6 * min(1.0, float(np.abs(w).min()))
    along = (psi(w + h * g) - psi(w - h * g)) / (2 * h)
    yield "∇ψ is the gradient of ψ", unlike(along, z @ g,
                                            float(np.abs(z * g).max()) + abs(psi(w)) * 1e-9 / h), \
                                                DIFFERENCE, w
    h = 1e-5
    turned = (psi.to_primal(z + h * g) - psi.to_primal(z - h * g)) / (2 * h)
    yield "the metric inverts the Hessian of ψ", unlike(psi.solve(w, g), turned, 1e-6), \
        DIFFERENCE, w
    if psi.has_argmin:
        yield "argmin ψ has ∇ψ = 0", float(np.abs(psi.to_dual(psi.start(size))).max()), SHARP, None
    for edge, side in zip(psi.dual_domain, (-1.0, 1.0), strict=True):
        out, due = 10.0 * z, 0
        if np.isfinite(edge):
            out, due = z.copy(), int(Status.OUT_OF_DOMAIN)
            out[rng.integers(size)] = edge + side * rng.uniform(0, 1) * rng.integers(2)
        yield "the inverse link says OUT_OF_DOMAIN outside the dual domain, and there alone", \
            float(call(psi.inverse_link, psi.params, out, np.empty(size)) != due), 0.0, out
    if np.isfinite(psi.lower):
        out = w.copy()
        out[rng.integers(size)] = psi.lower - rng.uniform(0, 1) * rng.integers(2)
        told = [call(psi.link, psi.params, out, np.empty(size)),
                call(psi.metric, psi.params, out, g, np.empty(size))]
        yield "link and metric say OUT_OF_DOMAIN outside the domain", float(told != [2, 2]), 0.0, \
            out
    elif not psi.symmetric:
        out = -10.0 * np.abs(w) - 1.0
        told = [call(psi.link, psi.params, out, np.empty(size)),
                call(psi.metric, psi.params, out, g, np.empty(size))]
        yield "the domain is the whole space where no lower is claimed", float(told != [0, 0]), \
            0.0, out
    # at argmin ψ the inverse Hessian is 0 or infinite where ψ is degenerate
    flat = psi.solve(psi.start(size), np.ones(size)) if psi.has_argmin and not psi.symmetric \
        else np.ones(size)
    regular = bool((np.isfinite(flat) & (flat != 0)).all())
    yield "∇²ψ is singular at argmin ψ where degenerate is claimed", \
        float(regular and psi.degenerate), 0.0, None
    if psi.horizon is not None:
        off, half = (unlike(*(_reach(psi, v, level) * float(np.linalg.norm(v, psi.horizon))
                              for v in (w, w2)))
                     for level in (600.0, 300.0))
        # one of about that shape would stay as far from it
        nearer = max(0.0, off - max(0.75 * half, SAME))
        yield "far level sets tend to the shape of the horizon that is claimed", \
            off + nearer / SAME, HORIZON, (w, w2)
    if psi.quadratic:
        yield "∇ψ is linear where quadratic is claimed", \
            unlike(psi.to_dual(0.5 * (w + w2)), 0.5 * (z + z2), 1.0), SHARP, w
    if psi.separable:
        mixed = psi.to_dual(np.append(w[0], w2[1:]))
        yield "∂ψ/∂w_i depends on w_i alone where separable is claimed", \
            unlike(mixed, np.append(z[0], z2[1:]), 1.0), SHARP, (w, w2)
    if psi.matrix is not None:
        yield "∇ψ(w) = Dw for the matrix it claims", unlike(z, psi.matrix(size) @ w), SHARP, w


def _reach(psi: Potential, v: np.ndarray, level: float) -> float:
    """The factor a at which ψ(a v) reaches e^level, by bisection of its logarithm."""
    low, high = -700.0, 600.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        with np.errstate(all="ignore"):
            value = psi(np.exp(middle) * v)
        low, high = (middle, high) if np.isfinite(value) and np.log(max(value, 1e-300)) < level \
            else (low, middle)
    return float(np.exp(low))
