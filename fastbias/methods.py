"""Methods: what the optimiser makes of a gradient. Each is a direction (which asks a geometry) and an advance.

============================  =======================  ================================================================
method                        direction                advance
============================  =======================  ================================================================
gradient descent              the gradient             primal:  w + βΔw + η·move, eq. (3)
steepest descent              the norm's Δ, eq. (11)   primal
natural gradient descent      ∇²ψ(w)⁻¹ g, eq. (9)      primal, and the new w must lie in dom ψ
mirror descent                the gradient             dual:    ∇ψ(w) + βΔz + η·move, eqs. (5), (7)
… with primal momentum        the gradient             link of  w + βΔw, plus η·move, eq. (8)
============================  =======================  ================================================================

All evaluate the gradient at w + γΔw. Moves are built from −∇L, so they are added. Momentum parameters and step sizes
are numbers, or arrays with one entry an update, of which the last goes on.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from fastbias import checks, norms, potentials, steps
from fastbias.abi import ADVANCE, DIRECTION, MAP, MAP_AT, VALUE, Piece, piece
from fastbias.norms import Norm
from fastbias.potentials import Potential

__all__ = ["Method", "gradient_descent", "mirror_descent", "natural_gradient", "steepest_descent"]


@dataclass(frozen=True, eq=False)
class Method:
    """A method: its compiled pieces, step rule, momentum, geometry, and the state it starts with.

    Made by the functions of this module. ``family`` and ``primal`` are what the theory table asks about; ``begin`` maps
    u(0) (n,) to the method's own state rows (S − 1, n), which stand below the row Δu that the loop keeps.
    """

    name: str
    family: Literal["gradient", "mirror", "natural", "steepest"]
    direction: Piece
    advance: Piece
    rule: steps.StepRule
    geometry: Norm | Potential | Piece | None = None
    beta: np.ndarray = field(default_factory=lambda: np.zeros(1))
    gamma: np.ndarray = field(default_factory=lambda: np.zeros(1))
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    primal: bool = False
    unscaled: bool = False
    begin: Callable[[np.ndarray], np.ndarray] = lambda u: np.empty((0, u.size))

    @property
    def maps(self) -> tuple[np.ndarray, list[Piece]]:
        """The geometry's parameters and its five maps (steepest, dual norm, link, inverse link, metric)."""
        g = self.geometry
        if isinstance(g, Norm):
            return g.params, [g.steepest, g.dual_norm, _anywhere, _no_map, _no_map_at]
        if isinstance(g, Potential):
            return g.params, [_no_map, _no_value, g.link, g.inverse_link, g.metric]
        return np.empty(0), [_no_map, _no_value, _anywhere, _no_map, _no_map_at if g is None else g]

    @property
    def constant(self) -> bool:
        """Whether step size and momentum are the same at every update."""
        return self.rule.constant and self.beta.size == 1 and self.gamma.size == 1

    def __repr__(self) -> str:
        words = [repr(self.rule)]
        if self.geometry is not None:
            words.insert(0, getattr(self.geometry, "name", None) or repr(self.geometry))
        beta = {"mirror": "primal_momentum" if self.primal else "dual_momentum"}.get(self.family, "momentum")
        for label, values in ((beta, self.beta), ("nesterov", self.gamma)):
            if values.any():
                words.append(f"{label}={values[0]:g}" + (", …" if values.size > 1 else ""))
        return f"{self.name}({', '.join(words)})"


@piece(MAP)
def _no_map(params, x, out):  # type: ignore[no-untyped-def]
    return -1


@piece(MAP)
def _anywhere(params, x, out):  # type: ignore[no-untyped-def]
    return 0


@piece(MAP_AT)
def _no_map_at(params, at, x, out):  # type: ignore[no-untyped-def]
    return -1


@piece(VALUE)
def _no_value(params, x):  # type: ignore[no-untyped-def]
    return np.nan


@piece(DIRECTION)
def _gradient(geometry, params, k, s, g, u, state, move):  # type: ignore[no-untyped-def]
    for i in range(g.size):
        move[i] = g[i]
    return 0


@piece(DIRECTION)
def _steepest(geometry, params, k, s, g, u, state, move):  # type: ignore[no-untyped-def]
    return geometry.steepest(geometry.params, g, move)


@piece(DIRECTION)
def _normalised_steepest(geometry, params, k, s, g, u, state, move):  # type: ignore[no-untyped-def]
    status = geometry.steepest(geometry.params, g, move)
    size = geometry.dual_norm(geometry.params, g)
    if size != 0.0:
        for i in range(move.size):
            move[i] /= size
    return status


@piece(DIRECTION)
def _natural(geometry, params, k, s, g, u, state, move):  # type: ignore[no-untyped-def]
    return geometry.metric(geometry.params, u, g, move)


@piece(ADVANCE)
def _primal(geometry, params, step, beta, move, u, state, work, u_new):  # type: ignore[no-untyped-def]
    if beta == 0.0:
        for i in range(u.size):
            u_new[i] = u[i] + step * move[i]
    else:
        for i in range(u.size):
            u_new[i] = u[i] + (beta * state[0, i] + step * move[i])
    return 0


@piece(ADVANCE)
def _primal_inside(geometry, params, step, beta, move, u, state, work, u_new):  # type: ignore[no-untyped-def]
    for i in range(u.size):
        u_new[i] = u[i] + step * move[i]
    return geometry.link(geometry.params, u_new, work[:u.size])       # only to ask whether u_new lies in dom ψ


@piece(ADVANCE)
def _dual(geometry, params, step, beta, move, u, state, work, u_new):  # type: ignore[no-untyped-def]
    for i in range(u.size):                               # rows of state: Δw, z = ∇ψ(w), Δz
        state[2, i] = beta * state[2, i] + step * move[i]
        state[1, i] += state[2, i]
    return geometry.inverse_link(geometry.params, state[1], u_new)


@piece(ADVANCE)
def _primal_mirror(geometry, params, step, beta, move, u, state, work, u_new):  # type: ignore[no-untyped-def]
    # z = ∇ψ(w) is kept, and only the increment ∇ψ(w + βΔw) − ∇ψ(w) is asked of the link: at rest it is exactly 0,
    # whereas going w → z → w at every step would drift along the minima by a rounding a step
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


def gradient_descent(step_size: Any, momentum: Any = 0.0, nesterov: Any = 0.0) -> Method:
    """Gradient descent with momentum, eq. (3): w⁺ = w + β Δw − η ∇L(w + γ Δw).

    Parameters
    ----------
    step_size : float, (K,) array or step rule
        η > 0.
    momentum : float or (K,) array, default 0
        β ≥ 0. With γ = 0 this is the heavy ball (Polyak 1964).
    nesterov : float or (K,) array, default 0
        γ ≥ 0. With γ = β this is Nesterov's acceleration (1983).

    Raises
    ------
    ValueError, TypeError
        Where η ≤ 0, β < 0, γ < 0, or one of them is a bool or not finite.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eq. (3).

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.methods.gradient_descent(0.1, momentum=0.9)
    gradient_descent(constant(0.1), momentum=0.9)
    """
    return Method("gradient_descent", "gradient", _gradient, _primal, steps.as_rule(step_size),
                  beta=checks.steps("momentum", momentum, least=0), gamma=checks.steps("nesterov", nesterov, least=0))


def mirror_descent(potential: Any, step_size: Any, dual_momentum: Any = 0.0, primal_momentum: Any = 0.0,
                   nesterov: Any = 0.0) -> Method:
    """Mirror descent, eq. (5): ∇ψ(w⁺) = ∇ψ(w) − η ∇L(w), with dual (7) or primal (8) momentum.

    Parameters
    ----------
    potential : Potential or its name
        ψ, from ``fb.potentials`` or the user's own.
    step_size : float, (K,) array or step rule
        η > 0.
    dual_momentum : float or (K,) array, default 0
        β ≥ 0 of eq. (7): ∇ψ(w⁺) = ∇ψ(w) + β Δz − η ∇L(w + γ Δw), with z = ∇ψ(w).
    primal_momentum : float or (K,) array, default 0
        β ≥ 0 of eq. (8): ∇ψ(w⁺) = ∇ψ(w + β Δw) − η ∇L(w + γ Δw). The point w + β Δw may leave dom ψ; the run then
        ends with ``OUT_OF_DOMAIN``.
    nesterov : float or (K,) array, default 0
        γ ≥ 0. The point w + γ Δw may leave dom ψ harmlessly, L being defined everywhere.

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
    if dual.any() and primal.any():
        raise ValueError("primal_momentum must be 0 where dual_momentum is not: eqs. (7) and (8) are two methods, "
                         f"got {checks.short(primal_momentum)} and {checks.short(dual_momentum)}")
    rule = steps.as_rule(step_size)
    if primal.any():
        return Method("mirror_descent", "mirror", _gradient, _primal_mirror, rule, psi, primal, gamma, primal=True,
                      begin=lambda u: psi.to_dual(u)[None])
    return Method("mirror_descent", "mirror", _gradient, _dual, rule, psi, dual, gamma,
                  begin=lambda u: np.stack([psi.to_dual(u), np.zeros_like(u)]))


def natural_gradient(potential: Any, step_size: Any) -> Method:
    """Natural gradient descent, eq. (9): w⁺ = w − η H(w)⁻¹ ∇L(w), with H = ∇²ψ or a metric of the user's own.

    Parameters
    ----------
    potential : Potential, its name, or a Piece of signature ``abi.MAP_AT``
        ψ, whose Hessian is the metric; or a piece (params, w, g, out) that writes H(w)⁻¹ g (params is then empty) and
        returns ``OUT_OF_DOMAIN`` where w has no metric.
    step_size : float, (K,) array or step rule
        η > 0. A step that takes w out of dom ψ ends the run with ``OUT_OF_DOMAIN``.

    Raises
    ------
    ValueError, TypeError
        Where η ≤ 0, or the metric is none of these.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eq. (9); Amari (1998).
    """
    if isinstance(potential, Piece):
        if potential.signature != MAP_AT:
            raise TypeError(f"potential must be a potential or a metric piece of signature MAP_AT, got {potential!r}")
        return Method("natural_gradient", "natural", _natural, _primal, steps.as_rule(step_size), potential)
    return Method("natural_gradient", "natural", _natural, _primal_inside, steps.as_rule(step_size),
                  checks.one_of("potential", potential, potentials, Potential))


def steepest_descent(norm: Any, step_size: Any, normalised: bool = False) -> Method:
    """Steepest descent, eq. (11): w⁺ = w + η Δ, Δ = argmin_v ⟨∇L(w), v⟩ + ½‖v‖², so that ‖Δ‖ = ‖∇L(w)‖⋆.

    Parameters
    ----------
    norm : Norm
        From ``fb.norms`` or the user's own. With ``l1`` this is coordinate descent, the first of tied coordinates moving.
    step_size : float, (K,) array or step rule
        η > 0.
    normalised : bool, default False
        Drop the factor ‖∇L‖⋆: each step moves by exactly η in the norm.

    Raises
    ------
    ValueError, TypeError
        Where η ≤ 0, or ``norm`` is none.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eqs. (11)–(12); Boyd & Vandenberghe (2004), §9.4.
    """
    norm = checks.one_of("norm", norm, norms, Norm)
    if not isinstance(normalised, bool):
        raise TypeError(f"normalised must be True or False, got {checks.short(normalised)}")
    return Method("steepest_descent", "steepest", _normalised_steepest if normalised else _steepest, _primal,
                  steps.as_rule(step_size), norm, unscaled=normalised)
