"""Methods that follow a weighted sum of past gradients: momentum in the gradient, of which Muon,
Signum and Lion (`fastbias.pieces.methods.signs`) are cases, and the dual acceleration of Ji, Srebro
and Telgarsky.

B⁺ = μB − ν∇L is the sum, cB − e∇L what the move is made of, B as it was before:

====================  ======  =======  ==================  =======
                      μ       ν        c                   e
====================  ======  =======  ==================  =======
momentum μ            μ       1        μ                   1
… looking ahead by γ  μ       1        μ(1 + γ) − γ        1 + γ
Lion                  β₂      1 − β₂   β₁                  1 − β₁
====================  ======  =======  ==================  =======

The second is B⁺ + γ(B⁺ − B): eq. (3) with β = μ in the variable u + γΔu, where the gradient is
taken. With γ = μ it is −∇L + μB⁺, PyTorch's ``nesterov=True``.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.engine.abi import ADVANCE, DIRECTION, SHORT, kernel, piece
from fastbias.pieces import norms, steps
from fastbias.pieces.methods.advances import decaying, under_one
from fastbias.pieces.methods.base import Method, gradient, maker, primal
from fastbias.pieces.norms import Norm

__all__ = ["ahead", "averaged", "dual_acceleration", "muon"]

SCHULZ = (3.4445, -4.7750, 2.0315)    # of Jordan's quintic
POLISH = 5                            # its steps


@kernel
def _summed(params, k, s, g, state):
    """B ← μB − ν∇L in state[1], in units of e^a, a = state[2, 0], so that it does not vanish when
    the gradient does, and cB − e∇L in state[3] where it is another; the row that the move is made
    of.
    """
    n, a = g.size, state[2, 0]
    at = 1 if params[2] == params[0] and params[3] == params[1] else 3
    # as in Adam: what is kept is scaled by its own size, which may be e^−1000
    top, largest = s, 0.0
    for i in range(n):
        largest = max(largest, abs(state[1, i]))
    if k > 0 and largest > 0.0:
        top = max(s, a + np.log(largest))
    before, here = np.exp(a - top) if largest > 0.0 else 0.0, np.exp(s - top)
    old, new = params[0] * before, params[1] * here
    if at == 3:
        for i in range(n):
            state[3, i] = params[2] * (before * state[1, i]) + params[3] * (here * g[i])
    for i in range(n):
        state[1, i] = old * state[1, i] + new * g[i]
    state[2, 0] = top
    return at


def _rows(params: np.ndarray, n: int, rows: int) -> bool:
    """Whether the state has the rows that `_summed` writes."""
    return params.size >= 5 and rows >= (3 if (params[2:4] == params[:2]).all() else 4)


@piece(DIRECTION, needs=_rows)
def _averaged(geometry, params, k, s, g, u, state, move):
    if params.size < 5:
        return SHORT
    # params: μ, ν, c, e, and 1 for moves of length one
    at = _summed(params, k, s, g, state)
    status = geometry.steepest(geometry.params, state[at], move)
    if params[4] == 0.0:
        scale = np.exp(state[2, 0])
        for i in range(g.size):
            move[i] *= scale
        return status
    # normalised after the sum, so that the length is that of one move however long B is
    size = geometry.dual_norm(geometry.params, state[at])
    if size != 0.0:
        for i in range(g.size):
            move[i] /= size
    return status


@kernel
def _quintic(X, A, P, out, m, n):
    """X ← aX + (bA + cA²)X, A = XXᵀ, of X (m, n), m ≤ n, row after row; A, P and out are room."""
    a, b, c = SCHULZ
    for i in range(m):
        for j in range(m):
            total = 0.0
            for h in range(n):
                total += X[i * n + h] * X[j * n + h]
            A[i * m + j] = total
    for i in range(m):
        for j in range(m):
            total = 0.0
            for h in range(m):
                total += A[i * m + h] * A[h * m + j]
            P[i * m + j] = b * A[i * m + j] + c * total
    for i in range(m):
        for j in range(n):
            total = 0.0
            for h in range(m):
                total += P[i * m + h] * X[h * n + j]
            out[i * n + j] = a * X[i * n + j] + total
    for i in range(m * n):
        X[i] = out[i]


@piece(DIRECTION, needs=lambda params, n, rows: _rows(params, n, rows) and rows >= 7)
def _newton_schulz(geometry, params, k, s, g, u, state, move):
    # the geometry is the spectral norm, whose params are a tolerance, m and n
    if params.size < 5 or geometry.params.size < 3 \
            or int(geometry.params[1]) * int(geometry.params[2]) != g.size:
        return SHORT
    at, m, n = _summed(params, k, s, g, state), int(geometry.params[1]), int(geometry.params[2])
    size = 0.0
    for i in range(g.size):
        size += state[at, i] * state[at, i]
    size = np.sqrt(size) if size != 0.0 else 1.0
    # the shorter side first, as sums over it are squared
    turned = m > n
    for i in range(m):
        for j in range(n):
            state[4, j * m + i if turned else i * n + j] = state[at, i * n + j] / size
    for _ in range(POLISH):
        _quintic(state[4], state[5], state[6], move, min(m, n), max(m, n))
    for i in range(m):
        for j in range(n):
            move[i * n + j] = state[4, j * m + i if turned else i * n + j]
    return 0


def _zeros(rows: int) -> Any:
    return lambda u: np.zeros((rows, u.size))


def ahead(momentum: object, nesterov: object) -> list[float]:
    """μ, ν, c, e for momentum μ that looks ahead by γ."""
    mu, on = under_one("momentum", momentum), checks.number("nesterov", nesterov, least=0)
    return [mu, 1.0, mu * (1.0 + on) - on, 1.0 + on] if on else [mu, 1.0, mu, 1.0]


def averaged(label: str, step_size: steps.StepSize, weights: list[float], *,
             geometry: Norm | None = None, unit: bool = True, **declared: Any) -> Method:
    """Steepest descent in a norm for cB − e∇L, ``weights`` being μ, ν, c, e; ``unit`` for moves of
    length one, else of ‖cB − e∇L‖⋆.
    """
    mu, new, c, e = weights
    # what a move of length one is said to be: steepest for g + c g' + …, |c| < 1
    fading = abs(c * new) < e
    return Method(label, _averaged, primal, steps.as_rule(step_size), geometry=geometry,
                  params=np.array([*weights, float(unit)]),
                  begin=_zeros(2 if (mu, new) == (c, e) else 3), unscaled=True,
                  steepest=unit and fading, averages="fading", **declared)


def _spectral(shape: tuple[int, ...]) -> Norm:
    if len(shape) != 2:
        raise ValueError("X must be (N, m, n), or the loss cross_entropy, for muon, whose moves "
                         f"are matrices; got predictors of shape {shape}")
    return norms.spectral(*shape)


@maker
def muon(step_size: steps.StepSize, momentum: float = 0.95, orthogonalise: str = "polar", *,
         nesterov: float = 0.0, weight_decay: float = 0.0) -> Method:
    """Muon for one matrix: B⁺ = μB − ∇L(W), W⁺ = (1 − λη) W + η U Vᵀ with B⁺ = U Σ Vᵀ.

    With the polar factor by SVD it is normalised steepest descent in the spectral norm with
    momentum in the gradient: each move has spectral norm η. Singular values under 1e-12 of the
    largest count as 0. No factor for the shape of W.

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    momentum : float, 0 ≤ μ < 1, default 0.95
    orthogonalise : "polar" or "ns5", default "polar"
        How U Vᵀ is made of B⁺. "ns5" is what Muon does in practice: five steps X ← 3.4445 X −
        4.7750 (XXᵀ)X + 2.0315 (XXᵀ)²X from B⁺/‖B⁺‖_F, here in float64, which leave singular values
        of about 0.7 to 1.2 (and small ones small). Theorems about U Vᵀ do not speak of it.
    nesterov : float ≥ 0, default 0
        γ: the move is made of B⁺ + γ(B⁺ − B). γ = μ is PyTorch's ``nesterov=True``.
    weight_decay : float ≥ 0, default 0
        λ of the decoupled decay.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range; `Plan` raises where predictors are no matrices.

    References
    ----------
    Jordan et al. (2024); Fan, Schmidt, Thrampoulidis (2025).

    Examples
    --------
    >>> import numpy as np
    >>> import fastbias as fb
    >>> method = fb.methods.muon(fb.steps.power(0.1, 0.5), 0.9)
    >>> trace = fb.run([[[2, 1], [0, 1]]], [1], loss="logistic", method=method, steps=200)
    >>> np.linalg.svd(trace.w[-1], compute_uv=False).round(4)
    array([2.6859, 2.6859])
    """
    polar = checks.name("orthogonalise", orthogonalise, ("polar", "ns5")) == "polar"
    made = averaged("muon", step_size, ahead(momentum, nesterov), shaped=_spectral, usual=2e-2)
    if not polar:
        made = replace(made, direction=_newton_schulz, begin=_zeros(6), steepest=False)
    return decaying(made, weight_decay)


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

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.dual_acceleration()
    >>> plan = fb.Plan([[1, 2], [2, 1]], [1, 1], loss="exponential", method=method)
    >>> print(plan.run(100).margin("l2")[-1] / plan.limit().margin > 0.999)
    True
    """
    return Method("dual_acceleration", gradient, _accelerated, steps.unit_scaled(), aged=True,
                  averages="all",
                  begin=lambda u: np.zeros((2, u.size)))


EXAMPLES: tuple[Method, ...] = (muon(0.01), muon(0.01, 0.5),
                                muon(0.01, 0.8, nesterov=0.8, weight_decay=0.1),
                                muon(0.01, orthogonalise="ns5"), dual_acceleration())
