"""Methods that scale each coordinate by its own history: AdaGrad, Adam and what is made of it,
RMSProp, AdaDelta.

Where ε stands is part of a method: √v + ε as PyTorch has it, or √(v + ε), ``eps_inside_root``.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine import fused
from fastbias.engine.abi import DIRECTION, SHORT, Status, kernel, piece, twin
from fastbias.pieces import norms, steps
from fastbias.pieces.methods.advances import decaying, moving_on, under_one
from fastbias.pieces.methods.base import Method, maker, primal

__all__ = ["adadelta", "adagrad", "adam", "adamw", "nadam", "rmsprop"]

NOT_FINITE = int(Status.NOT_FINITE)
PLAIN, AMSGRAD, NADAM = 0.0, 1.0, 2.0
PSI = 0.004                           # the decay of NAdam's momentum, PyTorch's ``momentum_decay``


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


@piece(DIRECTION, needs=lambda params, n, rows: params.size >= 3 and rows >= 2)
def _adagrad_of_size(geometry, params, k, s, g, u, state, move):
    if params.size < 3:
        return SHORT
    # as above; params: eps, 1 for inside the root, 1 for moves in units of u
    scale = np.exp(s)
    for i in range(g.size):
        state[1, i] += (scale * g[i]) ** 2
        root = np.sqrt(state[1, i] + params[0]) if params[1] != 0.0 \
            else np.sqrt(state[1, i]) + params[0]
        if not np.isfinite(root):
            return NOT_FINITE
        move[i] = g[i] / root if root > 0.0 else 0.0
        if params[2] != 0.0:
            move[i] *= scale
    return 0


@maker
def adagrad(step_size: steps.StepSize, G0: ArrayLike = 0.0, eps: float = 0.0, *,
            eps_inside_root: bool = True, momentum: float = 0.0, nesterov: float = 0.0,
            weight_decay: float = 0.0) -> Method:
    """AdaGrad, eqs. (13)–(14): w⁺ = w − η g/√(G + eps), G = G0 + Σ g² with the current gradient in
    the sum.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    G0 : float or (n,) array, default 0
        G(0) ≥ 0 (eq. 14 has none; Theorem 6 speaks of it). A coordinate with g = G = 0 stays.
    eps : float ≥ 0, default 0
        ε; the paper has none.
    eps_inside_root : bool, default True
        √(G + ε), as Keras and optax; with False √G + ε, as PyTorch.
    momentum, nesterov, weight_decay : float, default 0
        As for `rmsprop`.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    References
    ----------
    Duchi, Hazan, Singer (2011); Gunasekar, Lee, Soudry, Srebro (2018), §3.3.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.adagrad(0.1)
    >>> trace = fb.run([[2, 1], [1, 3]], [1, 1], loss="logistic", method=method, steps=500)
    >>> trace.w[-1].round(4)
    array([1.5354, 1.3177])
    """
    # kept by the closure below: a method is made once and begun for each plan
    G = checks.array("G0", G0, "a number or an (n,) array", dims=(0, 1))
    if (G < 0).any():
        raise ValueError(f"G0 must be >= 0 in every entry, got {G.min():g}")

    def begin(u: np.ndarray) -> np.ndarray:
        if G.ndim == 1 and G.size != u.size:
            raise ValueError(f"G0 must have {u.size} entries, got {G.size}")
        return np.array(np.broadcast_to(G, (1, u.size)))

    eps, inside = checks.number("eps", eps, least=0), checks.flag("eps_inside_root",
                                                                  eps_inside_root)
    made = Method("adagrad", _adagrad, primal, steps.as_rule(step_size), begin=begin,
                  params=np.array([eps]), adaptive=True, usual=1e-2,
                  measured=lambda state: _metric(state[0] + eps))
    if not inside and eps:
        made = replace(made, direction=_adagrad_of_size, params=np.array([eps, 0.0, 0.0]),
                       measured=None)
    # (what decays, or goes on, is in units of u, and so are then the moves)
    heavy = replace(made, direction=_adagrad_of_size, unscaled=True, measured=None,
                    params=np.array([eps, float(inside), 1.0]))
    found = moving_on(heavy, momentum, nesterov, weight_decay)
    return made if found is heavy else found


def _metric(G: np.ndarray) -> norms.Norm:
    """√(Σ w_i²/h_i), h = G^{−1/2}; a coordinate with G = 0 has not moved and is held to count the
    most.
    """
    # G^{1/2} is the D of the norm: AdaGrad divides by it, so its moves are those of steepest
    # descent there
    root = np.sqrt(G)
    return norms.quadratic(np.where(root > 0, root, root.max() or 1.0))


@kernel
def _means(beta1, beta2, k, s, g, state, kept):
    """m and v, the means of −∇L and of its squares, into state[1] and state[2], in units of e^a and
    e^2a, a = state[3, 0], so that neither vanishes when the loss does; the greatest v so far in
    state[4] where that is ``kept``. Returns a.
    """
    # the common scale of old and new is that of the larger of the two, so that neither vanishes
    # beside it
    n, a, top = g.size, state[3, 0], s
    if k > 0:
        largest = 0.0
        for i in range(n):
            largest = max(largest, abs(state[1, i]), np.sqrt(state[2, i]))
            if kept:
                largest = max(largest, np.sqrt(state[4, i]))
        if largest > 0.0:
            top = max(s, a + np.log(largest))
    old, new = np.exp(a - top) if k > 0 else 0.0, np.exp(s - top)
    for i in range(n):
        # all in units of e^top
        x = new * g[i]
        state[1, i] = beta1 * old * state[1, i] + (1.0 - beta1) * x
        state[2, i] = beta2 * old * old * state[2, i] + (1.0 - beta2) * x * x
        if kept:
            state[4, i] = max(old * old * state[4, i], state[2, i])
    state[3, 0] = top
    return top


@kernel
def _over(m, square, eps, inside, top, scale):
    """m e^a/(√v e^a + ε), v the square, a = top and e^a the scale; √(v e^2a + ε) where inside."""
    root = np.sqrt(square)
    # e^top cancels without eps, and must not be formed: it may be 0
    if eps == 0.0:
        return m / root if root > 0.0 else 0.0
    if top <= -300.0:
        # far under eps, which then is all of the denominator
        return m * scale / (np.sqrt(eps) if inside else eps)
    if inside:
        return m / np.sqrt(square + eps / scale / scale)
    return m * scale / (root * scale + eps)


@piece(DIRECTION, needs=lambda params, n, rows: params.size >= 4 and rows >= 4)
def _adam(geometry, params, k, s, g, u, state, move):
    if params.size < 4:
        return SHORT
    # params: beta1, beta2, eps, 1 for bias correction
    top = _means(params[0], params[1], k, s, g, state, False)
    scale = np.exp(top)
    # k counts updates done, and the t of the paper begins with 1
    first = 1.0 / (1.0 - params[0] ** (k + 1.0)) if params[3] != 0.0 else 1.0
    second = 1.0 / (1.0 - params[1] ** (k + 1.0)) if params[3] != 0.0 else 1.0
    for i in range(g.size):
        square = second * state[2, i]
        if not np.isfinite(square):
            return NOT_FINITE
        move[i] = _over(first * state[1, i], square, params[2], False, top, scale)
    return 0


def _varied(params: np.ndarray, n: int, rows: int) -> bool:
    return params.size >= 6 and rows >= (4 if params[5] == PLAIN else 5)


@piece(DIRECTION, needs=_varied)
def _adam_varied(geometry, params, k, s, g, u, state, move):
    if params.size < 6:
        return SHORT
    # params: as above, 1 for eps inside the root, and which of the three it is
    beta1, beta2, kind, inside = params[0], params[1], params[5], params[4] != 0.0
    top, t, new = _means(beta1, beta2, k, s, g, state, kind == AMSGRAD), k + 1.0, 0.0
    scale, here = np.exp(top), np.exp(s - top)
    first = 1.0 / (1.0 - beta1 ** t) if params[3] != 0.0 else 1.0
    second = 1.0 / (1.0 - beta2 ** t) if params[3] != 0.0 else 1.0
    if kind == NADAM:
        # state[4, 0]: the product of all μ so far
        mu, then = beta1 * (1.0 - 0.5 * 0.96 ** (t * PSI)), \
            beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1.0) * PSI))
        state[4, 0] *= mu
        new, first = (1.0 - mu) / (1.0 - state[4, 0]), then / (1.0 - state[4, 0] * then)
    for i in range(g.size):
        square = second * (state[4, i] if kind == AMSGRAD else state[2, i])
        if not np.isfinite(square):
            return NOT_FINITE
        m = first * state[1, i]
        if kind == NADAM:
            m += new * (here * g[i])
        move[i] = _over(m, square, params[2], inside, top, scale)
    return 0


def _moments(label: str, step_size: steps.StepSize, beta1: float, beta2: float, eps: float, *,
             corrected: bool = True, inside: bool = False, kind: float = PLAIN) -> Method:
    """m/(√v + ε) as each of these has it."""
    beta1, beta2 = under_one("beta1", beta1), under_one("beta2" if corrected else "beta", beta2)
    eps = checks.number("eps", eps, least=0)
    inside = checks.flag("eps_inside_root", inside) and eps > 0
    made = Method(label, _adam, primal, steps.as_rule(step_size), begin=_begun(3), unscaled=True,
                  aged=corrected,
                  params=np.array([beta1, beta2, eps, float(corrected)]),
                  adaptive=True, moments=(beta1, beta2, eps), averages="fading" if beta1 else "",
                  usual=1e-3 if corrected else 1e-2)
    if not inside and kind == PLAIN:
        return made
    return replace(made, direction=_adam_varied, moments=None,
                   params=np.append(made.params, [float(inside), kind]),
                   begin=_begun(3 + (kind != PLAIN), float(kind == NADAM)))


def _begun(rows: int, last: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """Rows of state that begin with 0, the last with a number."""
    def begin(u: np.ndarray) -> np.ndarray:
        state = np.zeros((rows, u.size))
        state[-1] = last
        return state
    return begin


@maker
def adam(step_size: steps.StepSize, beta1: float = 0.9, beta2: float = 0.999,
         eps: float = 1e-8, *, amsgrad: bool = False, weight_decay: float = 0.0,
         eps_inside_root: bool = False) -> Method:
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
    amsgrad : bool, default False
        The greatest v so far in place of v, before the correction, as PyTorch.
    weight_decay : float ≥ 0, default 0
        λ of the decoupled decay, w⁺ = (1 − λη) w − …, which makes this `adamw`;
        ``torch.optim.Adam`` adds λw to the gradient instead.
    eps_inside_root : bool, default False
        √(v̂ + eps).

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    References
    ----------
    Kingma & Ba (2015); Reddi, Kale, Kumar (2018) for amsgrad; Zhang, Zou, Cao (2024) for eps = 0.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.adam(0.01)
    >>> trace = fb.run([[2, 1], [1, 3]], [1, 1], loss="logistic", method=method, steps=500)
    >>> trace.w[-1].round(4)
    array([1.4823, 1.2676])
    """
    kind = AMSGRAD if checks.flag("amsgrad", amsgrad) else PLAIN
    return decaying(_moments("adam", step_size, beta1, beta2, eps, inside=eps_inside_root,
                             kind=kind), weight_decay)


@maker
def adamw(step_size: steps.StepSize, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
          weight_decay: float = 0.01) -> Method:
    """AdamW, Adam with decoupled weight decay, as PyTorch: w⁺ = (1 − λη) w − η m̂/(√v̂ + eps).

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    beta1, beta2, eps : float
        As for `adam`.
    weight_decay : float ≥ 0, default 0.01
        λ.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    References
    ----------
    Loshchilov & Hutter (2019); Xie & Li (2024).

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.adamw(0.01, weight_decay=0.1)
    >>> trace = fb.run([[2, 1], [1, 3]], [1, 1], loss="logistic", method=method, steps=500)
    >>> trace.w[-1].round(4)
    array([1.2719, 1.0779])
    """
    return decaying(_moments("adamw", step_size, beta1, beta2, eps), weight_decay)


@maker
def nadam(step_size: steps.StepSize, beta1: float = 0.9, beta2: float = 0.999,
          eps: float = 1e-8) -> Method:
    """NAdam, Adam with Nesterov's momentum, as PyTorch with ``momentum_decay=0.004``.

    With μ_t = β₁ (1 − ½ 0.96^{0.004 t}) the move is −m̂/(√v̂ + eps), v̂ is Adam's, and m̂ = μ_{t+1}
    m/(1 − μ₁ ⋯ μ_{t+1}) + (1 − μ_t) g/(1 − μ₁ ⋯ μ_t). Keras has 0.96^t in μ_t, optax β₁ for each.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    beta1, beta2, eps : float
        As for `adam`.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    References
    ----------
    Dozat (2016).

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.nadam(0.01)
    >>> trace = fb.run([[2, 1], [1, 3]], [1, 1], loss="logistic", method=method, steps=500)
    >>> trace.w[-1].round(4)
    array([1.4483, 1.2352])
    """
    return _moments("nadam", step_size, beta1, beta2, eps, kind=NADAM)


@maker
def rmsprop(step_size: steps.StepSize, beta: float = 0.99, eps: float = 1e-8, *,
            momentum: float = 0.0, nesterov: float = 0.0, weight_decay: float = 0.0,
            eps_inside_root: bool = False) -> Method:
    """RMSProp as PyTorch: v = β v + (1 − β) g², w⁺ = w − η g/(√v + eps).

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    beta : float, 0 ≤ β < 1
    eps : float ≥ 0, default 1e-8
    momentum : float, 0 ≤ μ < 1, default 0
        Of the moves, as PyTorch: b⁺ = μb + g/(√v + eps), w⁺ = w − ηb⁺.
    nesterov : float ≥ 0, default 0
        γ: w moves by b⁺ + γ(b⁺ − b); γ = μ is ``nesterov=True`` of optax, at constant η.
    weight_decay : float ≥ 0, default 0
        λ of the decoupled decay, w⁺ = (1 − λη) w − …; PyTorch adds λw to the gradient instead.
    eps_inside_root : bool, default False
        √(v + eps), as optax and Keras.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    References
    ----------
    Tieleman & Hinton (2012).

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.rmsprop(0.01)
    >>> trace = fb.run([[2, 1], [1, 3]], [1, 1], loss="logistic", method=method, steps=500)
    >>> trace.w[-1].round(4)
    array([2.0242, 1.6786])
    """
    made = _moments("rmsprop", step_size, 0.0, beta, eps, corrected=False, inside=eps_inside_root)
    return moving_on(made, momentum, nesterov, weight_decay)


@piece(DIRECTION, needs=lambda params, n, rows: params.size >= 2 and rows >= 3)
def _adadelta(geometry, params, k, s, g, u, state, move):
    if params.size < 2:
        return SHORT
    # state[1], state[2]: the means of the squares of −∇L and of the moves; params: rho, eps
    rho, eps, scale = params[0], params[1], np.exp(s)
    for i in range(g.size):
        # (eps > 0 is beside each square, which may therefore vanish)
        x = scale * g[i]
        state[1, i] = rho * state[1, i] + (1.0 - rho) * x * x
        if not np.isfinite(state[1, i]):
            return NOT_FINITE
        move[i] = np.sqrt(state[2, i] + eps) / np.sqrt(state[1, i] + eps) * x
        state[2, i] = rho * state[2, i] + (1.0 - rho) * move[i] * move[i]
    return 0


@maker
def adadelta(step_size: steps.StepSize = 1.0, rho: float = 0.9, eps: float = 1e-6, *,
             weight_decay: float = 0.0) -> Method:
    """AdaDelta as PyTorch and Keras: v = ρ v + (1 − ρ) g², Δ = √(a + eps)/√(v + eps) g, a = ρ a +
    (1 − ρ) Δ² behind it, w⁺ = w − η Δ.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto", default 1
        η > 0.
    rho : float, 0 ≤ ρ < 1
    eps : float > 0, default 1e-6
        With 0 no move would be the first.
    weight_decay : float ≥ 0, default 0
        λ of the decoupled decay; PyTorch adds λw to the gradient instead.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    References
    ----------
    Zeiler (2012).

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.adadelta()
    >>> trace = fb.run([[2, 1], [1, 3]], [1, 1], loss="logistic", method=method, steps=300)
    >>> trace.w[-1].round(4)
    array([0.8643, 0.8135])
    """
    made = Method("adadelta", _adadelta, primal, steps.as_rule(step_size), begin=_begun(2),
                  params=np.array([under_one("rho", rho), checks.number("eps", eps, above=0)]),
                  unscaled=True, adaptive=True, usual=1.0)
    return decaying(made, weight_decay)


EXAMPLES: tuple[Method, ...] = (
    adagrad(0.1, G0=0.5, eps=1e-3), adagrad(0.1), adagrad(0.1, 0.1, 1e-3, eps_inside_root=False),
    adagrad(0.1, 0.1, momentum=0.5, weight_decay=0.1),
    adam(0.01), adam(0.01, 0.8, 0.9, eps=0.0),
    adam(0.01, 0.8, 0.9, amsgrad=True, weight_decay=0.1, eps_inside_root=True),
    adamw(0.01, weight_decay=0.1), nadam(0.01), rmsprop(0.01, 0.9),
    rmsprop(0.01, 0.9, momentum=0.5, nesterov=0.5, eps_inside_root=True), adadelta())
