"""Methods that follow a weighted sum of past gradients: Muon, and the dual acceleration of Ji,
Srebro and Telgarsky.
"""
from __future__ import annotations

import numpy as np

from fastbias import checks
from fastbias.engine.abi import ADVANCE, DIRECTION, SHORT, piece
from fastbias.pieces import norms, steps
from fastbias.pieces.methods.base import Method, gradient, maker, primal
from fastbias.pieces.norms import Norm

__all__ = ["dual_acceleration", "muon"]


@piece(DIRECTION, needs=lambda params, n, rows: params.size >= 1 and rows >= 3)
def _muon(geometry, params, k, s, g, u, state, move):
    if params.size < 1:
        return SHORT
    # state[1]: the sum B in units of e^a, a = state[2, 0], so that it does not vanish when the
    # gradient does; params: mu
    n, a = g.size, state[2, 0]
    # as in Adam: what is kept is scaled by its own size, which may be e^−1000
    top, largest = s, 0.0
    for i in range(n):
        largest = max(largest, abs(state[1, i]))
    if k > 0 and largest > 0.0:
        top = max(s, a + np.log(largest))
    old, new = params[0] * np.exp(a - top) if largest > 0.0 else 0.0, np.exp(s - top)
    for i in range(n):
        state[1, i] = old * state[1, i] + new * g[i]
    state[2, 0] = top
    # normalised after the sum, so that the length is that of one move however long B is
    status = geometry.steepest(geometry.params, state[1], move)
    size = geometry.dual_norm(geometry.params, state[1])
    if size != 0.0:
        for i in range(n):
            move[i] /= size
    return status


def _spectral(shape: tuple[int, ...]) -> Norm:
    if len(shape) != 2:
        raise ValueError("X must be (N, m, n), or the loss cross_entropy, for muon, whose moves "
                         f"are matrices; got predictors of shape {shape}")
    return norms.spectral(*shape)


@maker
def muon(step_size: steps.StepSize, momentum: float = 0.95) -> Method:
    """Muon for one matrix: B⁺ = μB − ∇L(W), W⁺ = W + η U Vᵀ with B⁺ = U Σ Vᵀ, the polar factor by
    SVD.

    It is normalised steepest descent in the spectral norm with momentum in the gradient: each move
    has spectral norm η. Singular values under 1e-12 of the largest count as 0. No Nesterov step, no
    factor for the shape, no weight decay.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    momentum : float, 0 ≤ μ < 1, default 0.95

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range; `Plan` raises where predictors are no matrices.

    References
    ----------
    Jordan et al. (2024), which orthogonalises by five Newton–Schulz steps; Fan, Schmidt,
    Thrampoulidis (2025).
    """
    mu = checks.number("momentum", momentum, least=0)
    if mu >= 1:
        raise ValueError(f"momentum must be under 1, got {mu:g}")
    return Method("muon", _muon, primal, steps.as_rule(step_size), params=np.array([mu]),
                  shaped=_spectral,
                  begin=lambda u: np.zeros((2, u.size)), unscaled=True, steepest=True,
                  averages="fading", usual=2e-2)


@piece(ADVANCE, needs=lambda params, n, rows, work: rows >= 3)
def _accelerated(geometry, params, step, beta, move, u, state, work, u_new):
    # state[1]: the weighted sum, state[2, 0]: the number of updates done; step · move = −∇L/(B² L)
    # the updates done, counted in the state, so that a run may be resumed
    weight = state[2, 0] / (state[2, 0] + 1.0)
    for i in range(u.size):
        state[1, i] = weight * (state[1, i] + step * move[i])
        u_new[i] = u[i] + (state[1, i] + step * move[i])
    state[2, 0] += 1.0
    return 0


@maker
def dual_acceleration() -> Method:
    """Dual acceleration: with d = −∇L(w)/(B² L(w)), g⁺ = t/(t + 1)·(g + d), w⁺ = w + g⁺ + d: margin
    gap O(log t/t²) in ℓ2.

    For strictly monotone losses and the linear model; B = max_n ‖x_n‖₂, which a `Plan` computes, so
    that the rows count as scaled to length at most one. For the exponential loss d = Zᵀ
    softmax(−Zw)/B², as published.

    References
    ----------
    Ji, Srebro, Telgarsky (2021), "Fast margin maximization via dual acceleration", Algorithm 1.
    """
    return Method("dual_acceleration", gradient, _accelerated, steps.unit_scaled(), aged=True,
                  averages="all",
                  begin=lambda u: np.zeros((2, u.size)))


EXAMPLES: tuple[Method, ...] = (muon(0.01), muon(0.01, 0.5), dual_acceleration())
