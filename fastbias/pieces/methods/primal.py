"""Methods that move the parameters themselves: gradient, natural gradient, steepest, coordinate and
stagewise descent.
"""
from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine import fused
from fastbias.engine.abi import DIRECTION, MAP_AT, SHORT, Piece, piece, twin
from fastbias.pieces import norms, potentials, steps
from fastbias.pieces.methods.advances import decaying
from fastbias.pieces.methods.averaging import ahead, averaged
from fastbias.pieces.methods.base import Method, gradient, inside, maker, primal
from fastbias.pieces.methods.sampling import coordinate, seed, stochastic
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.pieces.recipe import Seed

__all__ = ["coordinate_descent", "gradient_descent", "natural_gradient", "stagewise",
           "steepest_descent"]

TIES = ("first", "average", "random")
RANDOM = 2.0


@piece(DIRECTION)
def _steepest(geometry, params, k, s, g, u, state, move):
    return geometry.steepest(geometry.params, g, move)


@piece(DIRECTION)
def _normalised_steepest(geometry, params, k, s, g, u, state, move):
    status = geometry.steepest(geometry.params, g, move)
    size = geometry.dual_norm(geometry.params, g)
    if size != 0.0:
        for i in range(move.size):
            move[i] /= size
    return status


@piece(DIRECTION)
def _natural(geometry, params, k, s, g, u, state, move):
    return geometry.metric(geometry.params, u, g, move)


@piece(DIRECTION, needs=2)
def _decayed(geometry, params, k, s, g, u, state, move):
    if params.size < 2:
        return SHORT
    # the decay is in units of u, so that the gradient has to be, too
    scale = 1.0 if s == 0.0 else np.exp(s)
    # γ, for where the gradient was taken
    c = params[1 + min(k, params.size - 2)]
    for i in range(g.size):
        move[i] = scale * g[i] - params[0] * (u[i] + c * state[0, i])
    return 0


twin(fused.GRADIENT, gradient, primal)
twin(fused.STEEPEST, _steepest, primal)
twin(fused.COORDINATE, coordinate, primal,
     where=lambda params: params[1] != RANDOM and params[4] == 0.0)


@maker
def gradient_descent(step_size: steps.StepSize, momentum: ArrayLike = 0.0,
                     nesterov: ArrayLike = 0.0,
                     batch: int | None = None,
                     replace: bool = True, rng: Seed = None, weight_decay: float = 0.0) -> Method:
    """Gradient descent with momentum, eq. (3): w⁺ = w + β Δw − η ∇L(w + γ Δw).

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    momentum : float or (K,) array, default 0
        β ≥ 0. With γ = 0 this is the heavy ball (Polyak 1964).
    nesterov : float or (K,) array, default 0
        γ ≥ 0. With γ = β this is Nesterov's acceleration (1983).
    batch : int ≥ 1, optional
        Samples per update, eq. (2); the gradient is the sum over them. None takes all.
    replace : bool, default True
        Draw with replacement; with False each epoch runs through a permutation, its last batch
        being what is left.
    rng : int or numpy Generator, optional
        Seed. The samples of an update depend on (seed, t) alone.
    weight_decay : float ≥ 0, default 0
        λ: descend L(w) + ½λ‖u‖² in the parameters u. The log loss of a trace stays that of L.

    Raises
    ------
    ValueError, TypeError
        Where η ≤ 0, β < 0, γ < 0, λ < 0, or one of them is a bool or not finite.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eq. (3).

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.methods.gradient_descent(0.1, momentum=0.9)
    gradient_descent(constant(0.1), momentum=0.9)
    """
    beta, gamma = checks.steps("momentum", momentum, least=0), \
        checks.steps("nesterov", nesterov, least=0)
    # 0 leaves the fused gradient descent as it is, bit for bit
    decay = checks.number("weight_decay", weight_decay, least=0)
    plain = Method("gradient_descent", gradient, primal, steps.as_rule(step_size), beta=beta,
                   gamma=gamma,
                   sampling=stochastic(batch, replace, rng), steepest=True)
    if not decay:
        return plain
    return dataclasses.replace(plain, direction=_decayed, params=np.append(decay, gamma),
                               decay=decay, unscaled=True)


@maker
def natural_gradient(potential: Potential | Piece | str, step_size: steps.StepSize) -> Method:
    """Natural gradient descent, eq. (9): w⁺ = w − η H(w)⁻¹ ∇L(w), with H = ∇²ψ or a metric of the
    user's own.

    Parameters
    ----------
    potential : Potential, its name, or a Piece of signature ``abi.MAP_AT``
        ψ, whose Hessian is the metric; or a piece (params, w, g, out) that writes H(w)⁻¹ g (params
        is then empty) and returns ``OUT_OF_DOMAIN`` where w has no metric.
    step_size : float, (K,) array, step rule or "auto"
        η > 0. A step that takes w out of dom ψ ends the run with ``OUT_OF_DOMAIN``.

    Raises
    ------
    ValueError, TypeError
        Where η ≤ 0, or the metric is none of these.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eq. (9); Amari (1998).

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.natural_gradient("entropy", 0.01)
    >>> trace = fb.run([[1, 2]], [1], loss="squared", method=method, start=[1, 1], steps=1000)
    >>> trace.w[-1].round(4)
    array([0.502, 0.249])
    """
    if isinstance(potential, Piece):
        if potential.signature != MAP_AT:
            raise TypeError("potential must be a potential or a metric piece of signature MAP_AT, "
                            f"got {potential!r}")
        geometry: Piece | Potential = potential
    else:
        geometry = checks.one_of("potential", potential, potentials, Potential)
    return Method("natural_gradient", _natural, inside, steps.as_rule(step_size), geometry=geometry,
                  natural=True)


@maker
def steepest_descent(norm: Norm | str, step_size: steps.StepSize, normalised: bool = False, *,
                     momentum: float = 0.0, nesterov: float = 0.0,
                     weight_decay: float = 0.0) -> Method:
    """Steepest descent, eq. (11): w⁺ = w + η Δ, Δ = argmin_v ⟨∇L(w), v⟩ + ½‖v‖², so that ‖Δ‖ =
    ‖∇L(w)‖⋆.

    With momentum Δ is made of B⁺ = μB − ∇L in place of −∇L, and has its length: in ℓ2 this is
    PyTorch's SGD, and normalised its NGD with momentum, in ℓ∞ Signum, in the spectral norm Muon.

    Parameters
    ----------
    norm : Norm
        From ``fb.norms`` or the user's own. With ``l1`` this is coordinate descent, the first of
        tied coordinates moving.
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    normalised : bool, default False
        Drop the factor ‖∇L‖⋆: each step moves by exactly η in the norm.
    momentum : float, 0 ≤ μ < 1, default 0
        B⁺ = μB − ∇L, from B = 0.
    nesterov : float ≥ 0, default 0
        γ: Δ is made of B⁺ + γ(B⁺ − B). In ℓ2, not normalised, these are the points w + γΔw of eq.
        (3) with β = μ; γ = μ is PyTorch's ``nesterov=True``.
    weight_decay : float ≥ 0, default 0
        λ of the decoupled decay: w⁺ = (1 − λη) w + η Δ.

    Raises
    ------
    ValueError, TypeError
        Where η ≤ 0, μ ≥ 1, or ``norm`` is none.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eqs. (11)–(12); Boyd & Vandenberghe (2004), §9.4.

    Examples
    --------
    >>> import fastbias as fb
    >>> X, y = [[2, 1], [1, 3], [-1, -1]], [1, 1, -1]
    >>> plan = fb.Plan(X, y, loss="exponential", method=fb.methods.steepest_descent("l1", 0.1))
    >>> trace, limit = plan.run(1000), plan.limit()
    >>> print(limit.theorem[:9], (trace.margin("l1")[-1] / limit.margin).round(2))
    Theorem 5 1.0
    """
    geometry: Norm = checks.one_of("norm", norm, norms, Norm)
    if not isinstance(normalised, bool):
        raise TypeError(f"normalised must be True or False, got {checks.short(normalised)}")
    weights, decay = ahead(momentum, nesterov), checks.number("weight_decay", weight_decay, least=0)
    # (what decays is added to moves in units of u, as those of sums are)
    if weights == [0.0, 1.0, 0.0, 1.0] and (normalised or not decay):
        made = Method("steepest_descent", _normalised_steepest if normalised else _steepest, primal,
                      steps.as_rule(step_size), geometry=geometry, unscaled=normalised,
                      steepest=True)
    else:
        made = averaged("steepest_descent", step_size, weights, geometry=geometry, unit=normalised)
    return decaying(made, decay)


@maker
def coordinate_descent(step_size: steps.StepSize, ties: str = "first", tie_tol: float = 1e-12,
                       shrinkage: float = 1.0,
                       rng: Seed = None) -> Method:
    """Coordinate descent, steepest descent in ℓ1: the largest |∂L/∂w_j| moves, Δ_j = −∂L/∂w_j
    (paper, §2.4).

    Parameters
    ----------
    step_size : float, (K,) array, step rule or "auto"
        η > 0.
    ties : "first", "average" or "random"
        Which of several largest coordinates moves: the first; all of them, each by its share
        1/#ties (ε-boosting); one drawn at random. The average may separate strictly, and then an
        exact line search has no minimiser (``UNBOUNDED``): AdaBoost is ties="first".
    tie_tol : float, 0 ≤ tie_tol < 1, default 1e-12
        A tie is |g_j| ≥ (1 − tie_tol) max |g|: rounding destroys exact equality.
    shrinkage : float, 0 < ν ≤ 1, default 1
        Multiplies the step.
    rng : int or numpy Generator, optional
        Seed for ties="random"; the choice at update t depends on (seed, t) alone.

    Raises
    ------
    ValueError, TypeError
        Where an argument is out of range.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.coordinate_descent(0.25, ties="average")
    >>> print(fb.run([[1, 1]], [2], loss="squared", method=method, steps=1).w[-1])
    [0.5 0.5]
    """
    return _coordinates("coordinate_descent", steps.as_rule(step_size), ties, tie_tol, shrinkage,
                        rng, unit=False)


@maker
def stagewise(epsilon: float | str | steps.StepRule, ties: str = "average", tie_tol: float = 1e-12,
              rng: Seed = None) -> Method:
    """ε-stagewise (forward stagewise, the monotone lasso): moves of ℓ1 length ε along the largest
    coordinate.

    Parameters
    ----------
    epsilon : float > 0 or "auto"
        The length of each move; near a minimum the iterate goes on hovering at this distance.
    ties, tie_tol, rng
        As for `coordinate_descent`; the default splits a move between tied coordinates.

    References
    ----------
    Efron, Hastie, Johnstone, Tibshirani (2004); Gunasekar, Lee, Soudry, Srebro (2018), §2.4.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.run([[1, 2]], [1], loss="squared", method=fb.methods.stagewise(0.125), steps=4).w[-1]
    array([0. , 0.5])
    """
    # (a rule is one whose number a `Plan` chose)
    ready = getattr(epsilon, "chosen", "") or (isinstance(epsilon, str) and epsilon == steps.AUTO)
    rule = steps.as_rule(epsilon) if ready \
        else steps.constant(checks.number("epsilon", epsilon, above=0))
    return _coordinates("stagewise", rule, ties, tie_tol, 1.0, rng, unit=True)


def _coordinates(label: str, rule: steps.StepRule, ties: str, tie_tol: float, shrinkage: float,
                 rng: Seed,
                 unit: bool) -> Method:
    # compiled code is told by a number
    choice = float(TIES.index(checks.name("ties", ties, TIES)))
    tie_tol = checks.number("tie_tol", tie_tol, least=0)
    if tie_tol >= 1:
        raise ValueError(f"tie_tol must be under 1, got {tie_tol:g}")
    nu = checks.number("shrinkage", shrinkage, above=0, most=1)
    # a seed that nobody needs is not drawn, so that methods without chance are the same each time
    key = float(seed(rng)) if choice == RANDOM else 0.0
    # a searched step undoes a shorter move, so ν goes behind it
    if rule.search:
        rule, nu = dataclasses.replace(rule, params=np.array([nu])), 1.0
    return Method(label, coordinate, primal, rule, geometry=norms.l1, unscaled=unit,
                  draws=choice == RANDOM,
                  params=np.array([tie_tol, choice, nu, key, float(unit)]),
                  steepest=True, ties=tie_tol)


EXAMPLES: tuple[Method, ...] = (
    gradient_descent(0.05), gradient_descent([0.05, 0.02, 0.04], [0.0, 0.5, 0.3], [0.3, 0.0, 0.5]),
    gradient_descent(0.02, 0.5, batch=2, replace=False, rng=3),
    gradient_descent(0.05, 0.3, 0.2, weight_decay=0.1),
    natural_gradient("entropy", 0.002), natural_gradient("cosh", 0.05),
    steepest_descent("l1", 0.02), steepest_descent(norms.lp(3.0), 0.02),
    steepest_descent("l2", 0.02, normalised=True),
    steepest_descent("l2", 0.02, normalised=True, momentum=0.8, nesterov=0.5),
    steepest_descent(norms.lp(1.5), 0.02, momentum=0.5, weight_decay=0.1),
    coordinate_descent(0.02), coordinate_descent(0.02, "average", 0.3, shrinkage=0.5),
    coordinate_descent(0.02, "random", rng=5), stagewise(0.01))
