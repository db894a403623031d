"""One head of attention, seen through its values at the data: a softmax over the tokens of each
sample.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, SHORT, piece
from fastbias.engine.compiled import kernel
from fastbias.pieces.models.base import Model
from fastbias.pieces.recipe import recorded

__all__ = ["TARZANAGH", "attention"]

TARZANAGH = "Tarzanagh, Li, Zhang, Oymak (2023)"

HEAD = 2                # of params: tokens in a sample, and entries of a token; the tokens follow


def _tokens(params: np.ndarray, n: int, N: int, *_: int) -> bool:
    T, d = int(params[0]), int(params[1])
    return min(T, d) > 0 and n == 2 * d and params.size >= HEAD + N * T * d


@kernel
def _attend(params, u, i, share, worth):
    """Fills the softmax of ⟨x_t, q⟩ over the tokens of sample i, and ⟨x_t, v⟩; returns Σ share
    worth.
    """
    T, d = share.size, u.size // 2
    at, top, total, value = HEAD + i * T * d, -np.inf, 0.0, 0.0
    for t in range(T):
        score, out = 0.0, 0.0
        for j in range(d):
            x = params[at + t * d + j]
            score += x * u[j]
            out += x * u[d + j]
        share[t], worth[t] = score, out
        top = max(top, score)
    # the largest score is taken out, which softmax does not see and exp does
    for t in range(T):
        share[t] = np.exp(share[t] - top)
        total += share[t]
    for t in range(T):
        share[t] /= total
        value += share[t] * worth[t]
    return value


@piece(MAP, needs=_tokens)
def _attended(params, u, out):
    if params.size < HEAD or params.size < HEAD + out.size * int(params[0]) * int(params[1]):
        return SHORT
    T = int(params[0])
    share, worth = np.empty(T), np.empty(T)
    for i in range(out.size):
        out[i] = _attend(params, u, i, share, worth)
    return 0


@piece(MAP_AT, needs=_tokens)
def _attended_pullback(params, u, v, out):
    if params.size < HEAD or params.size < HEAD + v.size * int(params[0]) * int(params[1]):
        return SHORT
    T, d = int(params[0]), int(params[1])
    share, worth = np.empty(T), np.empty(T)
    out[:2 * d] = 0.0
    for i in range(v.size):
        value = _attend(params, u, i, share, worth)
        # softmax moves towards tokens that are worth more than the mean they are part of
        for t in range(T):
            at, push = HEAD + (i * T + t) * d, v[i] * share[t]
            for j in range(d):
                out[j] += push * (worth[t] - value) * params[at + j]
                out[d + j] += push * params[at + j]
    return 0


def _along(x: np.ndarray, u: np.ndarray, a: np.ndarray,
           c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F along a move, and how its pullback changes, at tokens x (N, T, d)."""
    (q, v), (dq, dv) = np.split(u, 2), np.split(a, 2)
    score, worth, turn, dworth = x @ q, x @ v, x @ dq, x @ dv
    # (a common factor of all shares cancels, and is taken out so that none overflows)
    share = np.exp(score - score.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    dshare = share * (turn - (share * turn).sum(axis=1, keepdims=True))
    over = worth - (share * worth).sum(axis=1, keepdims=True)
    change = (dshare * over + share * dworth).sum(axis=1)
    # (dshare adds up to 0, so that `over` is as good as worth, and does not cancel)
    pulled = dshare * over + share * (dworth - change[:, None])
    return change, np.concatenate([np.einsum("i,it,itj", c, part, x) for part in (pulled, dshare)])


@recorded
def attention(X: ArrayLike) -> Model:
    """Return one head of attention, f(X_i) = ⟨v, Σ_t s_t x_it⟩, s = softmax_t ⟨x_it, q⟩, as a model
    of its values w_i = f(X_i).

    To be run on the identity, one row for each sample, as `relu` is. q is key and query in one (a
    query that is the same for all samples, through a matrix of keys), v the prediction head; v is
    held by ``frozen(attention(X), 1, v)``. It is homogeneous in v alone, so that no theorem of the
    table speaks of it. With v held and losses that fall, q is seen to grow in the direction that
    separates a token of each sample from its others: where these are α_i, the maximum margin of
    ⟨x_iα − x_it, q⟩ over t ≠ α_i is ``fb.max_margin`` of these differences, all labelled 1.

    Parameters
    ----------
    X : (N, T, d)
        T tokens (d,) of each of N samples. The layers are q (d,) and v (d,).

    Raises
    ------
    ValueError, TypeError
        Where X is no such array.

    References
    ----------
    Tarzanagh, Li, Zhang, Oymak, "Max-Margin Token Selection in Attention Mechanism" (2023).

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.attention([[[1, 0], [0, 1]], [[2, 0], [0, 3]]])
    >>> print(model.predictor([0, 0, 1, 5], 2))                  # q = 0: the mean of ⟨v, x⟩
    [3.  8.5]
    """
    tokens = checks.array("X", X, "an (N, T, d) array", dims=3)
    N, T, d = tokens.shape
    return Model(f"attention({N}×{T}×{d})", _attended, _attended_pullback, size=lambda n: 2 * d,
                 shape=(N,), params=np.concatenate([[float(T), d], tokens.ravel()]),
                 layers=lambda n: [(d,), (d,)], along=lambda u, a, v: _along(tokens, u, a, v),
                 source=TARZANAGH)


EXAMPLES: tuple[Model, ...] = (
    attention([[[1.0, -0.5], [0.2, 2.0], [-1.0, 0.3]], [[0.4, 0.1], [1.5, -1.0], [0.0, 0.7]]]),
    attention([[[1.0], [-2.0]]]))
