"""Methods that take the gradient elsewhere than where they move: sharpness-aware minimisation."""
from __future__ import annotations

import dataclasses

import numpy as np

from fastbias import checks
from fastbias.engine.abi import DIRECTION, SHORT, piece
from fastbias.pieces import norms
from fastbias.pieces.methods.adaptive import adam
from fastbias.pieces.methods.base import Method, maker
from fastbias.pieces.methods.mirror import mirror_descent
from fastbias.pieces.methods.primal import gradient_descent
from fastbias.pieces.methods.sampling import Point
from fastbias.pieces.norms import Norm

__all__ = ["sharpness_aware"]


@piece(DIRECTION, needs=1)
def _uphill(geometry, params, k, s, g, u, state, move):
    if params.size < 1:
        return SHORT
    status = geometry.steepest(geometry.params, g, move)
    size = geometry.dual_norm(geometry.params, g)
    # −∇L = e^s g, so up is against g, and its length is all that e^s would say. Where g is 0 there
    # is no way up
    for i in range(u.size):
        move[i] = u[i] - params[0] * (move[i] / size) if size != 0.0 else u[i]
    return status


@maker
def sharpness_aware(method: Method, rho: float, norm: Norm | str = "l2",
                    per_sample: bool = False) -> Method:
    """Sharpness-aware minimisation: the update of a method from u, by the gradient taken at u + ρΔ,
    Δ the steepest ascent at u.

    Δ = argmax ⟨∇L(u), v⟩ over ‖v‖ ≤ 1; in ℓ2 it is ∇L(u)/‖∇L(u)‖₂, and 0 where the gradient is. A
    method that looks ahead goes up from u + γΔu. Both gradients are of the same samples and labels;
    noise of the gradient comes, and a bound is put on it, behind the second.

    Parameters
    ----------
    method : Method
        The base, from ``fb.methods``, with its step size, momentum and batches.
    rho : float > 0
        ρ, the length of the way up.
    norm : Norm or its name, default "l2"
        ‖·‖, from ``fb.norms`` or the user's own, of the parameters.
    per_sample : bool, default False
        Go up for each sample on its own: Σ_n ∇ℓ_n(u + ρΔ_n), Δ_n the steepest ascent of ℓ_n. It
        takes 2N passes over one sample each, where two over all are taken without.

    Raises
    ------
    ValueError, TypeError
        Where ρ is not > 0, the method is none or is sharpness-aware already, or noise is asked for
        that it has already.

    References
    ----------
    Foret, Kleiner, Mobahi, Neyshabur (2021); Andriushchenko & Flammarion (2022) for samples on
    their own.

    Examples
    --------
    >>> import fastbias as fb
    >>> base = fb.methods.gradient_descent(0.1)
    >>> method = fb.methods.sharpness_aware(base, 0.5)
    >>> print(fb.run([[1.0, 0.0]], [1.0], loss="squared", method=method, steps=1).w[-1])
    [0.3 0. ]
    """
    if not isinstance(method, Method):
        raise TypeError("method must be one of fb.methods, such as "
                        f"fb.methods.gradient_descent(0.1), got {checks.short(method)}")
    if method.point is not None:
        raise ValueError("method must be one that is not sharpness-aware already, got "
                         f"{method!r}")
    own: Norm = checks.one_of("norm", norm, norms, Norm)
    rho = checks.number("rho", rho, above=0)
    if not isinstance(per_sample, bool):
        raise TypeError(f"per_sample must be True or False, got {checks.short(per_sample)}")
    point = Point(_uphill, own, np.array([rho]), each=per_sample, base=method.name)
    return dataclasses.replace(method, name="sharpness_aware", point=point, _origin=None)


EXAMPLES: tuple[Method, ...] = (
    sharpness_aware(gradient_descent(0.02, 0.5, 0.3), 0.1),
    sharpness_aware(mirror_descent("entropy", 0.02), 0.05, "linf", batch=3, rng=4),
    sharpness_aware(adam(0.01), 0.1, norms.lp(1.5), per_sample=True))
