"""Methods that move by signs: sign descent, and with momentum Signum and Lion."""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import DIRECTION, piece
from fastbias.pieces import norms, steps
from fastbias.pieces.methods.advances import decaying, under_one
from fastbias.pieces.methods.averaging import ahead, averaged
from fastbias.pieces.methods.base import Method, maker, primal

__all__ = ["lion", "sign_descent", "signum"]


@piece(DIRECTION)
def _sign(geometry, params, k, s, g, u, state, move):
    for i in range(g.size):
        move[i] = np.sign(g[i])
    return 0


def _signs(label: str, step_size: steps.StepSize, momentum: float, nesterov: float,
           weight_decay: float) -> Method:
    """Normalised steepest descent in ℓ∞, which needs no sum of gradients where μ = γ = 0."""
    weights = ahead(momentum, nesterov)
    made = Method(label, _sign, primal, steps.as_rule(step_size), geometry=norms.linf,
                  unscaled=True, steepest=True) if weights == [0.0, 1.0, 0.0, 1.0] \
        else averaged(label, step_size, weights, geometry=norms.linf)
    return decaying(made, weight_decay)


@maker
def sign_descent(step_size: steps.StepSize, *, momentum: float = 0.0, nesterov: float = 0.0,
                 weight_decay: float = 0.0) -> Method:
    """Sign descent: w⁺ = w − η sign(∇L), normalised steepest descent in ℓ∞.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    momentum, nesterov, weight_decay : float, default 0
        As for `signum`, which it then is.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.sign_descent(0.01)
    >>> trace = fb.run([[2, 1], [1, 3]], [1, 1], loss="logistic", method=method, steps=100)
    >>> trace.w[-1].round(4)
    array([1., 1.])
    """
    return _signs("sign_descent", step_size, momentum, nesterov, weight_decay)


@maker
def signum(step_size: steps.StepSize, momentum: float = 0.9, *, nesterov: float = 0.0,
           weight_decay: float = 0.0) -> Method:
    """Signum, sign descent with momentum: B⁺ = μB − ∇L, w⁺ = (1 − λη) w + η sign(B⁺).

    Whether B is the sum or the mean m⁺ = μm + (1 − μ)∇L makes no difference to its signs.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    momentum : float, 0 ≤ μ < 1, default 0.9
        With 0 it is `sign_descent`.
    nesterov : float ≥ 0, default 0
        γ: the signs are those of B⁺ + γ(B⁺ − B).
    weight_decay : float ≥ 0, default 0
        λ of the decoupled decay.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    References
    ----------
    Bernstein, Wang, Azizzadenesheli, Anandkumar (2018).

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.signum(0.25, momentum=0.5)
    >>> print(fb.run([[1, -2]], [4], loss="squared", method=method, steps=2).w[-1])
    [ 0.5 -0.5]
    """
    return _signs("signum", step_size, momentum, nesterov, weight_decay)


@maker
def lion(step_size: steps.StepSize, beta1: float = 0.9, beta2: float = 0.99,
         weight_decay: float = 0.0) -> Method:
    """Lion: w⁺ = (1 − λη) w − η sign(β₁ m + (1 − β₁) ∇L), then m⁺ = β₂ m + (1 − β₂) ∇L.

    It is Signum of momentum β₂ that looks ahead by γ = (β₂ − β₁)/(1 − β₂), 9 as it stands.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    beta1, beta2 : float, 0 ≤ β < 1
    weight_decay : float ≥ 0, default 0
        λ of the decoupled decay.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    References
    ----------
    Chen et al. (2023), "Symbolic discovery of optimization algorithms".

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.lion(0.001)
    >>> trace = fb.run([[2, 1], [1, 3]], [1, 1], loss="logistic", method=method, steps=500)
    >>> trace.w[-1].round(4)
    array([0.5, 0.5])
    """
    one, two = under_one("beta1", beta1), under_one("beta2", beta2)
    made = averaged("lion", step_size, [two, 1.0 - two, one, 1.0 - one], geometry=norms.linf)
    return decaying(made, weight_decay)


EXAMPLES: tuple[Method, ...] = (sign_descent(0.01), signum(0.01), lion(0.01),
                                signum(0.01, 0.8, nesterov=0.8, weight_decay=0.1))
