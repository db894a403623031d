"""Methods whose parameters are kept in a set: each update is followed by the projection on it."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from types import FunctionType
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.engine.abi import SHORT, Piece, piece
from fastbias.engine.compiled import inner
from fastbias.pieces.methods.adaptive import adam
from fastbias.pieces.methods.base import Method, maker
from fastbias.pieces.methods.primal import gradient_descent, steepest_descent
from fastbias.pieces.methods.sampling import Within
from fastbias.pieces.methods.signs import signum

__all__ = ["projected"]

OWN = 3                               # numbers behind those of the method: two of the set, its kind
BOX, SIMPLEX, BALL = range(3)
MOST = float(np.finfo(float).max)
NAMED = {"orthant": BOX, "simplex": SIMPLEX, "ball": BALL}


@inner
def _simplex(u, size):
    """u ← the nearest of u ≥ 0, Σu = size: max(u − τ, 0), τ raised until those over it add up."""
    # (Michelot: entries that τ has passed stay at 0, so that each pass leaves fewer)
    top, before, count = np.max(u), -1, 0
    tau = -size                                           # under the largest: no sum is long
    while count != before:
        before, count, total = count, 0, 0.0
        for j in range(u.size):
            if u[j] - top > tau:
                count += 1
                total += u[j] - top
        tau = (total - size) / count
    for j in range(u.size):
        u[j] = max(u[j] - top - tau, 0.0)


@inner
def _ball(u, radius):
    """u ← the nearest of ‖u‖₂ ≤ radius."""
    top, total = np.max(np.abs(u)), 0.0
    if top == 0.0:
        return
    for j in range(u.size):
        total += (u[j] / top) ** 2
    # (in units of the largest entry: squares may leave float64)
    share = radius / top / np.sqrt(total)
    if share < 1.0:
        for j in range(u.size):
            u[j] = share * u[j]


@inner
def _onto(kind, first, second, u):
    """u ← the nearest point of a set; what is not finite stays for the loop to see."""
    if not np.all(np.isfinite(u)):
        return
    if kind == SIMPLEX:
        _simplex(u, first)
    elif kind == BALL:
        _ball(u, first)
    else:
        for j in range(u.size):
            u[j] = min(max(u[j], first), second)


def _own(geometry: Any, params: Any, *others: Any) -> int:
    """Stands for the method's own piece, which takes its place in the two functions below."""
    return SHORT


def _directed(geometry: Any, params: Any, k: Any, s: Any, g: Any, u: Any, state: Any,
              move: Any) -> Any:
    if params.size < OWN:
        return SHORT
    return _own(geometry, params[:params.size - OWN], k, s, g, u, state, move)


def _advanced(geometry: Any, params: Any, step: Any, beta: Any, move: Any, u: Any, state: Any,
              work: Any, u_new: Any) -> Any:
    own = params.size - OWN
    if own < 0:
        return SHORT
    status = _own(geometry, params[:own], step, beta, move, u, state, work, u_new)
    # (whoever goes on from u⁺, momentum too, goes on from within)
    if status == 0:
        _onto(int(params[own + 2]), params[own], params[own + 1], u_new)
    return status


@cache
def _around(template: Callable[..., Any], own: Piece) -> Piece:
    """A piece that is one of the two above, with a method's own in it: as those of
    `fastbias.pieces.models.held`, so that the disk cache finds it again.
    """
    name, theirs = template.__name__, f"{own.function.__module__}.{own.function.__qualname__}"
    made = FunctionType(template.__code__, globals() | {"_own": inner(own.function)},
                        f"{name}_{own.__name__}")
    made.__qualname__ = f"{name}_{blake2b(theirs.encode(), digest_size=8).hexdigest()}"
    made.__module__ = __name__
    return piece(own.signature, needs=lambda params, *sizes: params.size >= OWN
                 and own.fits(params[:params.size - OWN], *sizes))(made)


def _bound(label: str, value: Any) -> float:
    """A bound, of which an infinite one is the largest number that there is."""
    # (a kernel's numbers are finite)
    infinite = isinstance(value, float) and np.isinf(value)
    return float(np.copysign(MOST, value)) if infinite else checks.number(label, value)


def _set(onto: Any, size: float) -> tuple[list[float], str]:
    """The numbers of a set, and how it is called."""
    if isinstance(onto, str) and checks.name("onto", onto, tuple(NAMED)) != "orthant":
        size = checks.number("size", size, above=0)
        return [size, 0.0, float(NAMED[onto])], f"{onto}, {size:g}"
    if size != 1.0:
        raise ValueError(f"size must be left at 1 where it says nothing, got {checks.short(size)}")
    if isinstance(onto, str):
        return [0.0, MOST, float(BOX)], onto
    if not isinstance(onto, (tuple, list, np.ndarray)) or len(onto) != 2:
        raise ValueError('onto must be "orthant", "simplex", "ball" or a pair (lower, upper), got '
                         f"{checks.short(onto)}")
    lower, upper = _bound("lower", onto[0]), _bound("upper", onto[1])
    if not lower < upper:
        raise ValueError(f"onto must have a lower bound under the upper, got {checks.short(onto)}")
    return [lower, upper, float(BOX)], f"[{onto[0]:g}, {onto[1]:g}]"


@maker
def projected(method: Method, onto: str | tuple[float, float], size: float = 1.0) -> Method:
    """A method whose parameters are kept in a convex set W: its update, then the nearest point of W
    in ℓ2, u⁺ = argmin_{v ∈ W} ‖v − (u + β Δu + η move)‖₂; Δu is the move that was made.

    Where such runs end is known for equations Gw = h alone (Theorem 1a, ``constraint`` of
    `mirror_descent`); for other W the paper leaves it open, and ``limit()`` says so.

    Parameters
    ----------
    method : Method
        The base, from ``fb.methods``, with its step size, momentum, decay and batches; not one that
        keeps ∇ψ(w) or a sum of gradients (mirror descent, dual acceleration).
    onto : "orthant", "simplex", "ball" or (lower, upper)
        W: u ≥ 0; u ≥ 0 with Σu = size; ‖u‖₂ ≤ size; lower ≤ u_j ≤ upper, of which one may be
        infinite.
    size : float > 0, default 1
        That of the simplex, or of the ball.

    Raises
    ------
    ValueError, TypeError
        Where W is none of these, the method is none or keeps what a projection would not reach, an
        exact line search is asked for, or a precision, which would leave W again.

    References
    ----------
    Goldstein (1964), Levitin & Polyak (1966); Michelot (1986) for the simplex; Gunasekar, Lee,
    Soudry, Srebro (2018), §5, for what is open.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.projected(fb.methods.gradient_descent(0.1), "simplex")
    >>> print(fb.run([[1, 2]], [1.5], loss="squared", method=method, steps=200).w[-1])
    [0.5 0.5]
    """
    if not isinstance(method, Method):
        raise TypeError("method must be one of fb.methods, such as "
                        f"fb.methods.gradient_descent(0.1), got {checks.short(method)}")
    if method.point is not None or method.within is not None:
        raise ValueError("method must be one that is neither sharpness-aware nor projected "
                         "(sharpness_aware takes one that is projected), got "
                         f"{method!r}")
    if method.dual or method.averages == "all" or method.sampling.bits:
        raise ValueError("method must keep nothing but what its parameters say, for a projection "
                         "of these to be one, and all their digits, got "
                         f"{method!r}")
    numbers, told = _set(onto, size)
    return dataclasses.replace(
        method, name="projected", direction=_around(_directed, method.direction),
        advance=_around(_advanced, method.advance), params=np.append(method.params, numbers),
        within=Within(told, method.name), measured=None, _origin=None)


EXAMPLES: tuple[Method, ...] = (
    projected(gradient_descent(0.05, 0.5, 0.3, weight_decay=0.1), (-0.1, 0.2)),
    projected(adam(0.02, weight_decay=0.1), "simplex", 0.7),
    projected(signum(0.02), "ball", 0.3),
    projected(steepest_descent("l2", 0.05, batch=3, rng=4), "orthant"))
