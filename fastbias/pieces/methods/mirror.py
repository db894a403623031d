"""Mirror descent: methods that move the dual variable z = ∇ψ(w), with momentum of either kind, and
constraints.
"""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine import fused
from fastbias.engine.abi import ADVANCE, SHORT, Status, kernel, piece, twin
from fastbias.pieces import potentials, steps
from fastbias.pieces.methods.base import Method, gradient, maker
from fastbias.pieces.methods.sampling import stochastic
from fastbias.pieces.potentials import Potential
from fastbias.pieces.recipe import Seed

__all__ = ["mirror_descent"]

NOT_FINITE = int(Status.NOT_FINITE)


@piece(ADVANCE, needs=lambda params, n, rows, work: rows >= 3)
def _dual(geometry, params, step, beta, move, u, state, work, u_new):
    # z itself is kept, and not asked of the link again: where w has vanished in float64, as
    # e^−800 does, z has not
    for i in range(u.size):                               # rows of state: Δw, z = ∇ψ(w), Δz
        state[2, i] = beta * state[2, i] + step * move[i]
        state[1, i] += state[2, i]
    return geometry.inverse_link(geometry.params, state[1], u_new)


@piece(ADVANCE, needs=lambda params, n, rows, work: rows >= 2)
def _primal_mirror(geometry, params, step, beta, move, u, state, work, u_new):
    # z = ∇ψ(w) is kept, and only the increment ∇ψ(w + βΔw) − ∇ψ(w) is asked of the link: at rest it
    # is exactly 0, whereas going w → z → w at every step would drift along the minima by a rounding
    # a step
    n = u.size
    point, z = work[:n], work[n:]
    if beta != 0.0:
        status = geometry.link(geometry.params, u, z)
        if status != 0:
            return status
        for i in range(n):
            state[1, i] -= z[i]
            point[i] = u[i] + beta * state[0, i]
        status = geometry.link(geometry.params, point, z)
        if status != 0:
            return status
        for i in range(n):
            state[1, i] += z[i]
    for i in range(n):
        state[1, i] += step * move[i]
    return geometry.inverse_link(geometry.params, state[1], u_new)


def _room(params: np.ndarray, n: int, rows: int, work: int) -> bool:
    k = int(params[0])
    return 0 < k <= n and params.size >= 1 + k * n + k and rows >= 4 \
        and work >= 3 * n + k * k + 6 * k


@piece(ADVANCE, needs=_room)
def _dual_constrained(geometry, params, step, beta, move, u, state, work, u_new):
    if params.size < 1:
        return SHORT
    # u_new = ∇ψ⁻¹(z + Qᵀν) with ν such that Q u_new = c: Newton from the last ν. params: k, Q (k,
    # n) orthonormal, c (k,)
    n, k = u.size, int(params[0])
    own = 2 * n + k * k + 2 * k
    at = own + n
    base, goal, kept = work[own:at], work[at:at + k], work[at + 2 * k:at + 3 * k]
    nu = state[3]
    for i in range(n):
        state[2, i] = beta * state[2, i] + step * move[i]
        state[1, i] += state[2, i]
        base[i] = state[1, i]
    for a in range(k):
        goal[a], kept[a] = params[1 + k * n + a], nu[a]
    told = _newton(geometry, params, k, base, goal, nu, u_new, work)
    if told == 0:
        return told
    # from a point so far away Newton is lost, or overflows. One equation Σ u = h: z may be shifted
    # by its largest entry
    if k == 1 and params[1:1 + n].min() == params[1:1 + n].max():
        top, nu[0] = state[1].max(), 0.0
        for i in range(n):
            base[i] = state[1, i] - top
        if _newton(geometry, params, k, base, goal, nu, u_new, work) == 0:
            for i in range(n):
                state[1, i] = base[i]
            return 0
    return _followed(geometry, params, k, state, u_new, work, told)


@kernel
def _followed(geometry, params, k, state, u_new, work, told):
    """Follow the solution from where z was, and Qu with it, to z and c, each time from where the
    last two strides point; 0, or the status told before where that fails, too.
    """
    n, nu = u_new.size, state[3]
    own = 2 * n + k * k + 2 * k
    at = own + n
    base, goal, begin = work[own:at], work[at:at + k], work[at + k:at + 2 * k]
    kept, last = work[at + 2 * k:at + 3 * k], work[at + 3 * k:at + 4 * k]
    for i in range(n):
        base[i] = state[1, i] - state[2, i]
    _shifted(params, k, base, kept, base)
    if geometry.inverse_link(geometry.params, base, u_new) != 0:
        return told
    for a in range(k):
        begin[a], nu[a], last[a] = 0.0, kept[a], 0.0
        for i in range(n):
            begin[a] += params[1 + a * n + i] * u_new[i]
    # a path that bends goes in short strides, a straight one in a few long ones
    done, stride = 0.0, 0.5
    for _ in range(5000):
        to = min(1.0, done + stride)
        for i in range(n):
            base[i] = state[1, i] - (1.0 - to) * state[2, i]
        for a in range(k):
            goal[a] = (1.0 - to) * begin[a] + to * params[1 + k * n + a]
            nu[a] = kept[a] + (to - done) * last[a]
        if _newton(geometry, params, k, base, goal, nu, u_new, work) == 0:
            if to == 1.0:
                return 0
            for a in range(k):
                last[a], kept[a] = (nu[a] - kept[a]) / (to - done), nu[a]
            done, stride = to, 2.0 * stride
        else:
            stride *= 0.5
            # strides under rounding come no further
            if done + stride == done:
                break
    return told


@kernel
def _shifted(params, k, base, nu, out):
    """out ← base + Qᵀν."""
    n = out.size
    for i in range(n):
        out[i] = base[i]
        for a in range(k):
            out[i] += params[1 + a * n + i] * nu[a]


@kernel
def _newton(geometry, params, k, base, goal, nu, u_new, work):
    """ν (its first k entries), from where it stands, with Q ∇ψ⁻¹(base + Qᵀν) = goal, and u_new that
    point; a status.
    """
    n = u_new.size
    z_new, solved, J, r, trial = work[:n], work[n:2 * n], work[2 * n:2 * n + k * k], \
        work[2 * n + k * k:2 * n + k * k + k], work[2 * n + k * k + k:2 * n + k * k + 2 * k]
    _shifted(params, k, base, nu, z_new)
    status = geometry.inverse_link(geometry.params, z_new, u_new)
    size = _off_constraint(params, k, goal, u_new, r)
    for _ in range(100):
        if status != 0 or size == 0.0 or not np.isfinite(size):
            break
        # e^−800 is 0 in float64, but still inside the domain
        for i in range(n):
            z_new[i] = u_new[i] if u_new[i] != 0.0 else 1e-300
        status = _curvature(geometry, params, k, z_new, solved, J)
        if status != 0:
            break
        _solve(J, k, r)
        # Newton's full step is right near the solution, and far too long away from it
        scale, before = 1.0, size
        # halve until the constraint is met better than before
        while scale > 1e-6:
            for a in range(k):
                trial[a] = nu[a] + scale * r[a]
            _shifted(params, k, base, trial, z_new)
            status = geometry.inverse_link(geometry.params, z_new, solved)
            size = _off_constraint(params, k, goal, solved, J)
            if status == 0 and size < before:
                break
            scale *= 0.5
        if not (status == 0 and size < before):          # as near as rounding lets it come
            size, status = before, 0
            break
        for a in range(k):
            nu[a] = trial[a]
            r[a] = J[a]
        for i in range(n):
            u_new[i] = solved[i]
    return status if status != 0 or size < 1e-9 else NOT_FINITE


@kernel
def _curvature(geometry, params, k, at, solved, J):
    """J ← Q ∇²ψ(at)⁻¹ Qᵀ (k, k); the status of the last metric."""
    n, status = at.size, 0
    for a in range(k):
        status = geometry.metric(geometry.params, at, params[1 + a * n:1 + (a + 1) * n], solved)
        for b in range(k):
            J[a * k + b] = 0.0
            for i in range(n):
                J[a * k + b] += solved[i] * params[1 + b * n + i]
    return status


@kernel
def _off_constraint(params, k, goal, u, r):
    """r ← goal − Qu; returns the largest entry, each relative to the terms of its sum."""
    n, largest = u.size, 0.0
    for a in range(k):
        r[a] = goal[a]
        size = abs(r[a])
        for i in range(n):
            term = params[1 + a * n + i] * u[i]
            r[a] -= term
            size += abs(term)
        # 0/0 where all terms vanish is no error
        if r[a] != 0.0:
            largest = max(largest, abs(r[a]) / size)
        if not np.isfinite(r[a]):
            largest = np.inf
    return largest


@kernel
def _solve(J, k, r):
    """r ← J⁻¹ r for a symmetric positive definite J (k, k), by elimination."""
    for a in range(k):
        for b in range(a + 1, k):
            factor = J[b * k + a] / J[a * k + a]
            for i in range(a, k):
                J[b * k + i] -= factor * J[a * k + i]
            r[b] -= factor * r[a]
    for a in range(k - 1, -1, -1):
        for i in range(a + 1, k):
            r[a] -= J[a * k + i] * r[i]
        r[a] /= J[a * k + a]


def _constraint(constraint: tuple[ArrayLike, ArrayLike] | None) -> tuple[np.ndarray, np.ndarray] \
    | None:
    """(G, h) checked, its rows made orthonormal: (Q (k, n), c (k,)) with the same solutions."""
    if constraint is None:
        return None
    G, h = checks.equations("constraint", constraint)
    # orthonormal rows make Newton's matrix as well conditioned as the potential allows
    U, S, Vt = np.linalg.svd(G, full_matrices=False)
    if not S[0] > 0:
        raise ValueError("constraint must have a row that is not zero")
    rank = int((max(G.shape) * np.finfo(float).eps * S[0] < S).sum())
    Q = np.ascontiguousarray(Vt[:rank])
    c = (U[:, :rank].T @ h) / S[:rank]
    # rows that contradict each other are seen in what the range of G misses of h
    if np.linalg.norm(U[:, :rank] @ (S[:rank] * c) - h) > 1e-9 * float(np.linalg.norm(h)):
        raise ValueError("constraint must have a solution: no w satisfies G w = h")
    return Q, c


twin(fused.MIRROR, gradient, _dual)


@maker
def mirror_descent(potential: Potential | str, step_size: steps.StepSize,
                   dual_momentum: ArrayLike = 0.0,
                   primal_momentum: ArrayLike = 0.0,
                   nesterov: ArrayLike = 0.0, constraint: tuple[ArrayLike, ArrayLike] | None = None,
                   batch: int | None = None,
                   replace: bool = True, rng: Seed = None) -> Method:
    """Mirror descent, eq. (5): ∇ψ(w⁺) = ∇ψ(w) − η ∇L(w), with dual (7) or primal (8) momentum.

    Parameters
    ----------
    potential : Potential or its name
        ψ, from ``fb.potentials`` or the user's own.
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    dual_momentum : float or (K,) array, default 0
        β ≥ 0 of eq. (7): ∇ψ(w⁺) = ∇ψ(w) + β Δz − η ∇L(w + γ Δw), with z = ∇ψ(w).
    primal_momentum : float or (K,) array, default 0
        β ≥ 0 of eq. (8): ∇ψ(w⁺) = ∇ψ(w + β Δw) − η ∇L(w + γ Δw). The point w + β Δw may leave dom
        ψ; the run then ends with ``OUT_OF_DOMAIN``.
    nesterov : float or (K,) array, default 0
        γ ≥ 0. The point w + γ Δw may leave dom ψ harmlessly, L being defined everywhere.
    constraint : (G, h), optional
        Keep Gw = h, eq. (4) with 𝒲 = {w : Gw = h} (Theorem 1a), G (k, d), h (k,); the entropy with
        ([[1, …, 1]], [1]) is exponentiated gradient on the simplex. A start off it is projected by
        the first update, as eq. (4) does. Not with primal momentum.
    batch : int ≥ 1, optional
        Samples per update, eq. (2); the gradient is the sum over them. None takes all.
    replace : bool, default True
        Draw with replacement; with False each epoch runs through a permutation, its last batch
        being what is left.
    rng : int or numpy Generator, optional
        Seed. The samples of an update depend on (seed, t) alone.

    Raises
    ------
    ValueError, TypeError
        Where a number is out of range, or both kinds of momentum are asked for.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eqs. (4)–(8); Beck & Teboulle (2003).

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.methods.mirror_descent("entropy", 0.05, dual_momentum=0.5)
    mirror_descent(entropy, constant(0.05), dual_momentum=0.5)
    """
    psi: Potential = checks.one_of("potential", potential, potentials, Potential)
    dual = checks.steps("dual_momentum", dual_momentum, least=0)
    primal = checks.steps("primal_momentum", primal_momentum, least=0)
    gamma = checks.steps("nesterov", nesterov, least=0)
    # each theorem is about one of them
    if dual.any() and primal.any():
        raise ValueError("primal_momentum must be 0 where dual_momentum is not: eqs. (7) and (8) "
                         f"are two methods, got {checks.short(primal_momentum)} and "
                         f"{checks.short(dual_momentum)}")
    rule, sampling, affine = steps.as_rule(step_size), stochastic(batch, replace, rng), \
        _constraint(constraint)
    if affine is not None:
        if primal.any():
            raise ValueError("constraint must be None with primal_momentum: Theorem 1a and eq. (8) "
                             "do not go together")
        Q, c = affine
        k, n = Q.shape
        return Method("mirror_descent", gradient, _dual_constrained, rule, geometry=psi, beta=dual,
                      gamma=gamma,
                      params=np.concatenate([[float(k)], Q.ravel(), c]), sampling=sampling,
                      constraint=affine,
                      scratch=n + k * k + 6 * k, dual=True,
                      begin=lambda u: np.stack([psi.to_dual(u), np.zeros_like(u),
                                                np.zeros_like(u)]))
    if primal.any():
        return Method("mirror_descent", gradient, _primal_mirror, rule, geometry=psi, beta=primal,
                      gamma=gamma,
                      begin=lambda u: psi.to_dual(u)[None], sampling=sampling, dual=True,
                      primal=True)
    return Method("mirror_descent", gradient, _dual, rule, geometry=psi, beta=dual, gamma=gamma,
                  sampling=sampling,
                  begin=lambda u: np.stack([psi.to_dual(u), np.zeros_like(u)]), dual=True)


EXAMPLES: tuple[Method, ...] = (
    mirror_descent("euclidean", 0.05),
    mirror_descent("entropy", 0.05, dual_momentum=0.5, nesterov=0.3),
    mirror_descent("entropy", 0.002, primal_momentum=0.2, nesterov=0.1),
    mirror_descent("entropy", 0.05, dual_momentum=0.3, batch=1, rng=3),
    mirror_descent("entropy", 0.05, constraint=([[1.0, 1.0, 1.0, 1.0]], [1.0])))
