"""Where a move leads, beside `primal`: with a decay of the parameters that is no part of it, and
with momentum of the moves themselves.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias import checks
from fastbias.engine.abi import ADVANCE, SHORT, piece
from fastbias.pieces.methods.base import Method, primal

__all__ = ["decaying", "moving_on", "under_one"]


@piece(ADVANCE, needs=1)
def _shrunk(geometry, params, step, beta, move, u, state, work, u_new):
    if params.size < 1:
        return SHORT
    # the last of params: λ; 1 − λη by itself, as PyTorch multiplies before it adds
    left = 1.0 - params[params.size - 1] * step
    for i in range(u.size):
        u_new[i] = left * u[i] + step * move[i]
    return 0


@piece(ADVANCE, needs=lambda params, n, rows, work: params.size >= 3 and rows >= 2)
def _carried(geometry, params, step, beta, move, u, state, work, u_new):
    if params.size < 3:
        return SHORT
    # the last row of state: b; the last of params: μ, γ, λ
    last, size = state.shape[0] - 1, params.size
    mu, ahead, left = params[size - 3], params[size - 2], 1.0 - params[size - 1] * step
    for i in range(u.size):
        before = state[last, i]
        state[last, i] = mu * before + move[i]
        along = state[last, i] + ahead * (state[last, i] - before)
        u_new[i] = left * u[i] + step * along
    return 0


def under_one(label: str, value: object) -> float:
    """A weight of what was before: 0 ≤ it < 1, as 1 would forget nothing."""
    found = checks.number(label, value, least=0)
    if found >= 1:
        raise ValueError(f"{label} must be under 1, got {found:g}")
    return found


def decaying(method: Method, weight_decay: object) -> Method:
    """The method with a decoupled weight decay, u⁺ = (1 − λη)u + η·move; as it is where λ = 0.

    Its moves must be of a size of their own, and what its pieces read of params stand in front.
    """
    decay = checks.number("weight_decay", weight_decay, least=0)
    if not decay:
        return method
    assert method.unscaled
    assert method.advance is primal
    return replace(method, advance=_shrunk, params=np.append(method.params, decay), shrink=decay,
                   measured=None)


def moving_on(method: Method, momentum: object, nesterov: object, weight_decay: object) -> Method:
    """The method with momentum of its moves and decoupled decay: b⁺ = μb + move, u⁺ = (1 − λη)u +
    η(b⁺ + γ(b⁺ − b)); `decaying` where μ = γ = 0.
    """
    mu, ahead = under_one("momentum", momentum), checks.number("nesterov", nesterov, least=0)
    if not mu and not ahead:
        return decaying(method, weight_decay)
    decay, begin = checks.number("weight_decay", weight_decay, least=0), method.begin
    assert method.unscaled
    assert method.advance is primal
    return replace(method, advance=_carried, params=np.append(method.params, [mu, ahead, decay]),
                   begin=lambda u: np.vstack([begin(u), np.zeros((1, u.size))]),
                   shrink=decay, moments=None, measured=None, averages="fading")
