"""Methods that scale each coordinate by its own history: AdaGrad, Adam, RMSProp, and sign descent,
their common limit.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine import fused
from fastbias.engine.abi import DIRECTION, SHORT, Status, piece, twin
from fastbias.pieces import norms, steps
from fastbias.pieces.methods.base import Method, maker, primal

__all__ = ["adagrad", "adam", "rmsprop", "sign_descent"]

NOT_FINITE = int(Status.NOT_FINITE)


@piece(DIRECTION, needs=lambda params, n, rows: params.size >= 1 and rows >= 2)
def _adagrad(geometry, params, k, s, g, u, state, move):
    if params.size < 1:
        return SHORT
    # state[1]: G, of the gradient itself; params: eps
    scale = np.exp(s)
    for i in range(g.size):
        state[1, i] += (scale * g[i]) ** 2
        root = np.sqrt(state[1, i] + params[0])
        move[i] = g[i] / root if root > 0.0 else 0.0
        # g/∞ = 0 would keep the coordinate where it is for ever
        if not np.isfinite(root):
            return NOT_FINITE
    return 0


twin(fused.ADAGRAD, _adagrad, primal)


@maker
def adagrad(step_size: steps.StepSize, G0: ArrayLike = 0.0, eps: float = 0.0) -> Method:
    """AdaGrad, eqs. (13)–(14): w⁺ = w − η g/√(G + eps), G = G0 + Σ g² with the current gradient in
    the sum.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    G0 : float or (n,) array, default 0
        G(0) ≥ 0 (eq. 14 has none; Theorem 6 speaks of it). A coordinate with g = G = 0 stays.
    eps : float ≥ 0, default 0
        Inside the root, as the paper has none.

    References
    ----------
    Duchi, Hazan, Singer (2011); Gunasekar, Lee, Soudry, Srebro (2018), §3.3.
    """
    # kept by the closure below: a method is made once and begun for each plan
    G = checks.array("G0", G0, "a number or an (n,) array", dims=(0, 1))
    if (G < 0).any():
        raise ValueError(f"G0 must be >= 0 in every entry, got {G.min():g}")

    def begin(u: np.ndarray) -> np.ndarray:
        if G.ndim == 1 and G.size != u.size:
            raise ValueError(f"G0 must have {u.size} entries, got {G.size}")
        return np.array(np.broadcast_to(G, (1, u.size)))

    return Method("adagrad", _adagrad, primal, steps.as_rule(step_size), begin=begin,
                  params=np.array([checks.number("eps", eps, least=0)]),
                  adaptive=True, usual=1e-2,
                  measured=lambda state: _metric(state[0] + eps))


def _metric(G: np.ndarray) -> norms.Norm:
    """√(Σ w_i²/h_i), h = G^{−1/2}; a coordinate with G = 0 has not moved and is held to count the
    most.
    """
    # G^{1/2} is the D of the norm: AdaGrad divides by it, so its moves are those of steepest
    # descent there
    root = np.sqrt(G)
    return norms.quadratic(np.where(root > 0, root, root.max() or 1.0))


@piece(DIRECTION, needs=lambda params, n, rows: params.size >= 4 and rows >= 4)
def _adam(geometry, params, k, s, g, u, state, move):
    if params.size < 4:
        return SHORT
    # state[1], state[2]: m and v in units of e^a and e^2a, a = state[3, 0], so that neither
    # vanishes when the loss does; params: beta1, beta2, eps, 1 for bias correction
    beta1, beta2, eps = params[0], params[1], params[2]
    n, a = g.size, state[3, 0]
    # the common scale of old and new is that of the larger of the two, so that neither vanishes
    # beside it
    top = s
    if k > 0:
        largest = 0.0
        for i in range(n):
            largest = max(largest, abs(state[1, i]), np.sqrt(state[2, i]))
        if largest > 0.0:
            top = max(s, a + np.log(largest))
    old, new = np.exp(a - top) if k > 0 else 0.0, np.exp(s - top)
    # k counts updates done, and the t of the paper begins with 1
    first = 1.0 / (1.0 - beta1 ** (k + 1.0)) if params[3] != 0.0 else 1.0
    second = 1.0 / (1.0 - beta2 ** (k + 1.0)) if params[3] != 0.0 else 1.0
    for i in range(n):
        # all in units of e^top
        x = new * g[i]
        state[1, i] = beta1 * old * state[1, i] + (1.0 - beta1) * x
        state[2, i] = beta2 * old * old * state[2, i] + (1.0 - beta2) * x * x
        m, root = first * state[1, i], np.sqrt(second * state[2, i])
        if not np.isfinite(root):
            return NOT_FINITE
        # e^top cancels without eps, and must not be formed: it may be 0
        if eps == 0.0:
            move[i] = m / root if root > 0.0 else 0.0
        elif top > -300.0:
            move[i] = m * np.exp(top) / (root * np.exp(top) + eps)
        else:
            # far under eps, which then is all of the denominator
            move[i] = m * np.exp(top) / eps
    state[3, 0] = top
    return 0


def _moments(label: str, step_size: steps.StepSize, beta1: float, beta2: float, eps: float,
             corrected: bool) -> Method:
    def begin(u: np.ndarray) -> np.ndarray:
        return np.zeros((3, u.size))
    # β = 1 would forget nothing and learn nothing
    for name, value in (("beta1", beta1), ("beta2" if corrected else "beta", beta2)):
        if checks.number(name, value, least=0) >= 1:
            raise ValueError(f"{name} must be under 1, got {value:g}")
    eps = checks.number("eps", eps, least=0)
    return Method(label, _adam, primal, steps.as_rule(step_size), begin=begin, unscaled=True,
                  aged=corrected,
                  params=np.array([beta1, beta2, eps, float(corrected)]),
                  adaptive=True, moments=(beta1, beta2, eps), averages="fading" if beta1 else "",
                  usual=1e-3 if corrected else 1e-2)


@maker
def adam(step_size: steps.StepSize, beta1: float = 0.9, beta2: float = 0.999,
         eps: float = 1e-8) -> Method:
    """Adam with bias correction, eps outside the root, as PyTorch: w⁺ = w − η m̂/(√v̂ + eps).

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    beta1, beta2 : float, 0 ≤ β < 1
        Of the means of g and g².
    eps : float ≥ 0, default 1e-8
        With 0 the method does not see the size of the gradient, and m, v are carried in the log
        domain; with eps > 0 a run on a vanishing loss ends as gradient descent.

    References
    ----------
    Kingma & Ba (2015); Zhang, Zou, Cao (2024) for eps = 0.
    """
    return _moments("adam", step_size, beta1, beta2, eps, corrected=True)


@maker
def rmsprop(step_size: steps.StepSize, beta: float = 0.99, eps: float = 1e-8) -> Method:
    """RMSProp as PyTorch: v = β v + (1 − β) g², w⁺ = w − η g/(√v + eps).

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    beta : float, 0 ≤ β < 1
    eps : float ≥ 0, default 1e-8
    """
    return _moments("rmsprop", step_size, 0.0, beta, eps, corrected=False)


@piece(DIRECTION)
def _sign(geometry, params, k, s, g, u, state, move):
    for i in range(g.size):
        move[i] = np.sign(g[i])
    return 0


@maker
def sign_descent(step_size: steps.StepSize) -> Method:
    """Sign descent: w⁺ = w − η sign(∇L), normalised steepest descent in ℓ∞.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    """
    return Method("sign_descent", _sign, primal, steps.as_rule(step_size), geometry=norms.linf,
                  unscaled=True, steepest=True)


EXAMPLES: tuple[Method, ...] = (adagrad(0.1, G0=0.5, eps=1e-3), adagrad(0.1), adam(0.01),
                                adam(0.01, 0.8, 0.9, eps=0.0), rmsprop(0.01, 0.9),
                                sign_descent(0.01))
