"""The potential of flows of depth D ≥ 3, w = u₊^D − u₋^D: what the hyperbolic entropy is to D = 2.

Along a gradient flow z = ∫ −∂L/∂w dt adds −D(D − 2) z to u₊^{2−D} and D(D − 2) z to u₋^{2−D}, from
wherever these begin, so that w is a function of z alone. It grows like a power at two finite ends
of z, which are the further apart the smaller the start is.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.engine.abi import MAP, MAP_AT, SHORT, VALUE, Status, kernel, piece
from fastbias.pieces.potentials.base import Potential
from fastbias.pieces.potentials.factors import kept_signs

__all__ = ["Deep", "deep"]

OUT_OF_DOMAIN = int(Status.OUT_OF_DOMAIN)
NONE = 1e300          # the end of z that a factor of 0 has: it never grows
FAR = 30.0            # log W from which t = W^{−1/e} but for what one correction mends
STEPS = 60            # of Newton's method, which comes from one side and needs some ten
POLISHED = 3          # corrections of (w, ν), where z has fewer digits than w


def _one_each(params: np.ndarray, n: int, *_: int) -> bool:
    """Whether there are the depth and two ends for each entry."""
    return params.size >= 1 + 2 * n and params[0] > 2


@kernel
def _spread(tau, e):
    """h(τ) = (1 − τ)^−e − (1 + τ)^−e, |τ| < 1, which does not cancel near 0."""
    return np.expm1(-e * np.log1p(-tau)) - np.expm1(-e * np.log1p(tau))


@kernel
def _least(log_size, e):
    """1 − τ, with h(τ) = W ≥ 0, by log W; Newton's method, which stays on its side as h is
    convex.
    """
    if log_size > FAR:
        t = np.exp(-log_size / e)
        return t * np.exp(-np.log1p(np.exp(-log_size - e * np.log(2.0 - t))) / e)
    size = np.exp(log_size)
    t = np.exp(-np.log1p(size) / e)
    for _ in range(STEPS):
        rest = np.exp(-e * np.log(t)) - np.exp(-e * np.log(2.0 - t)) - size
        slope = e * (np.exp(-(e + 1.0) * np.log(t)) + np.exp(-(e + 1.0) * np.log(2.0 - t)))
        move = rest / slope
        t += move
        if not abs(move) > 1e-16 * t:
            break
    return t


@kernel
def _middle(size, e):
    """τ with h(τ) = W for 0 ≤ W < 1, to relative accuracy."""
    tau = -np.expm1(-np.log1p(size) / e)
    for _ in range(STEPS):
        slope = e * (np.exp(-(e + 1.0) * np.log1p(-tau)) + np.exp(-(e + 1.0) * np.log1p(tau)))
        move = (_spread(tau, e) - size) / slope
        tau -= move
        if not abs(move) > 1e-16 * tau:
            break
    return tau


@kernel
def _factors(D, up, down, w):
    """u₊^{2−D}, u₋^{2−D} and z of an entry w, for the ends of z; NaN outside its domain."""
    c, e = D * (D - 2.0), D / (D - 2.0)
    if up >= NONE and down >= NONE:                       # both stay 0
        return np.inf, np.inf, 0.0 if w == 0.0 else np.nan
    if down >= NONE:                                      # the other stays 0, and w its sign
        low = np.exp(-np.log(w) / e) if w > 0.0 else np.nan
        return low, np.inf, up - low / c
    if up >= NONE:
        low = np.exp(-np.log(-w) / e) if w < 0.0 else np.nan
        return np.inf, low, low / c - down
    half = 0.5 * c * (up + down)
    if w == 0.0:
        return half, half, 0.5 * (up - down)
    log_size = np.log(abs(w)) + e * np.log(half)
    if log_size < 0.0:
        tau = _middle(np.exp(log_size), e)
        t, z = 1.0 - tau, 0.5 * tau * (up + down)
        z = (z if w > 0.0 else -z) + 0.5 * (up - down)
    else:
        t = _least(log_size, e)
        z = up - 0.5 * t * (up + down) if w > 0.0 else 0.5 * t * (up + down) - down
    less, more = half * t, half * (2.0 - t)
    return (less, more, z) if w > 0.0 else (more, less, z)


@piece(MAP, needs=_one_each)
def _deep_link(params, w, out):
    d = w.size
    if params.size < 1 + 2 * d:
        return SHORT
    for i in range(d):
        out[i] = _factors(params[0], params[1 + i], params[1 + d + i], w[i])[2]
        if np.isnan(out[i]):
            return OUT_OF_DOMAIN
    return 0


@piece(MAP, needs=_one_each)
def _deep_inverse(params, z, out):
    d = z.size
    if params.size < 1 + 2 * d:
        return SHORT
    D = params[0]
    c, e = D * (D - 2.0), D / (D - 2.0)
    for i in range(d):
        up, down = params[1 + i], params[1 + d + i]
        if not (z[i] < up and z[i] > -down):
            return OUT_OF_DOMAIN
        if up >= NONE or down >= NONE:
            grows = 0.0 if up >= NONE else np.exp(-e * np.log(c * (up - z[i])))
            falls = 0.0 if down >= NONE else np.exp(-e * np.log(c * (down + z[i])))
            out[i] = grows - falls
            continue
        tau = (2.0 * z[i] - (up - down)) / (up + down)
        if abs(tau) < 0.5:
            out[i] = _spread(tau, e) * np.exp(-e * np.log(0.5 * c * (up + down)))
        else:
            out[i] = np.exp(-e * np.log(c * (up - z[i]))) - np.exp(-e * np.log(c * (down + z[i])))
    return 0


@piece(MAP_AT, needs=_one_each)
def _deep_metric(params, w, g, out):
    d = w.size
    if params.size < 1 + 2 * d:
        return SHORT
    D = params[0]
    power = -2.0 * (D - 1.0) / (D - 2.0)
    for i in range(d):
        plus, minus, z = _factors(D, params[1 + i], params[1 + d + i], w[i])
        if np.isnan(z):
            return OUT_OF_DOMAIN
        # D² (u₊^{2D−2} + u₋^{2D−2}), of which a solver divides
        both = np.exp(power * np.log(plus)) + np.exp(power * np.log(minus))
        out[i] = D * D * max(both, 1e-290 if min(plus, minus) < np.inf else 0.0) * g[i]
    return 0


@piece(VALUE, needs=_one_each)
def _deep_value(params, w):
    d, total = w.size, 0.0
    if params.size < 1 + 2 * d:
        return np.nan
    D = params[0]
    power = -2.0 / (D - 2.0)
    for i in range(d):
        plus, minus, z = _factors(D, params[1 + i], params[1 + d + i], w[i])
        if np.isnan(z):
            return np.inf
        # ψ = zw − ψ*, and ψ* is half the squares of the factors over D
        total += z * w[i] - 0.5 / D * (np.exp(power * np.log(plus)) + np.exp(power * np.log(minus)))
    return total


@dataclass(frozen=True, eq=False, repr=False)
class Deep(Potential):
    """The potential of the flow of w = u₊^D − u₋^D, entry by entry: ∇ψ(w(0)) = 0.

    ∇ψ⁻¹(z) = (a − cz)^{−D/(D−2)} − (b + cz)^{−D/(D−2)}, a = u₊(0)^{2−D}, b = u₋(0)^{2−D}, c = D(D −
    2), and −b/c < z < a/c. ``signs`` (d,): 1, −1 where w keeps a sign, as one factor is 0, 0 where
    it is free, NaN where both are 0 and it stays so.
    """

    signs: np.ndarray = field(default_factory=lambda: np.empty(0))

    def project(self, A: Any, b: Any, z0: Any) -> tuple[np.ndarray, np.ndarray]:
        """As `Potential.project`; near an end of z, whose digits are then few, w is brought onto
        the equations once more.
        """
        w, nu = super().project(A, b, z0)
        A = np.asarray(A)
        with np.errstate(all="ignore"):
            for _ in range(POLISHED if A.size else 0):
                H = np.array([self.solve(w, row) for row in A]) @ A.T
                size = np.sqrt(np.abs(np.diag(H)))
                if not (size > 0).all():
                    break
                move = foreign.ask("a step of Newton's method", "numpy.linalg.lstsq",
                                   H / np.outer(size, size), (b - A @ w) / size,
                                   rcond=None)[0] / size
                new = w + self.solve(w, move @ A)
                if not np.isfinite(new).all() or np.linalg.norm(b - A @ new) >= \
                        np.linalg.norm(b - A @ w):
                    break
                w, nu = new, nu + move
        return w, nu


def deep(p: np.ndarray, q: np.ndarray, depth: int) -> Potential | None:
    """The `Deep` of factors p, q (d,) ≥ 0 at the start; None where an end of z is beyond
    float64.
    """
    k, c = depth - 2.0, depth * (depth - 2.0)
    with np.errstate(divide="ignore", over="ignore"):
        up, down = (np.where(x == 0, NONE, x ** -k / c) for x in (p, q))
    alive = np.concatenate([up[p > 0], down[q > 0]])
    # far within float64, as squares and sums of these follow
    if not ((alive > 1e-150) & (alive < 1e150)).all():
        return None
    ends = -float(down.min(initial=NONE)), float(up.min(initial=NONE))
    return Deep(f"deep({depth})", _deep_link, _deep_inverse, _deep_metric, _deep_value,
                np.concatenate([[float(depth)], up, down]), size=p.size,
                dual_domain=ends, signs=kept_signs(p, q))


def _example(depth: int, p: float, q: float) -> Potential:
    psi = deep(np.full(3, p), np.full(3, q), depth)
    assert psi is not None
    return psi


EXAMPLES: tuple[Potential, ...] = (_example(3, 0.5, 0.5), _example(5, 0.4, 0.6))
