"""The methods that go in lanes: each is the move of its pieces, to rounding, written for vectors of
eight runs, and compiled when it is first asked for.

To add one: what becomes of an entry, a burst, and a row of `TWINS`; nothing else knows of methods.
``each(u, s, g, size, by)`` → (u⁺, s⁺, size) moves an entry along its gradient (−∇L is es g), where
s is the entry of the method's row of state; ``measure(g, d, by)`` → size, of whatever kind, looks
at all entries first, and ``each`` hands it on; ``ahead(u, s, by)`` is where the gradient is taken,
if that is not u: then s is the last move. `Rates` are what ``by`` holds.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.compiled import inner
from fastbias.engine.moves import adagrad, power
from fastbias.engine.simd import (
    absolute,
    choose_less,
    exp,
    fma,
    inverse_binade,
    larger,
    load8,
    log,
    root,
    splat8,
)
from fastbias.pieces import methods, norms
from fastbias.pieces.methods import Method
from fastbias.running.lanes_burst import Task, burst

__all__ = ["Twin", "twin"]


@inner
def _gradient(u, s, g, size, by):
    """u + η e^s g."""
    return fma(g, by.step, u), s, size


def _gradients(loss, one, two, X, lanes, count):
    return burst(None, None, _gradient, None, Task(loss, one, two, X), lanes, count)


@inner
def _heavy(u, s, g, size, by):
    """The same with momentum."""
    new = u + fma(s, by.beta, g * by.step)
    return new, new - u, size


@inner
def _ahead(u, s, by):
    """u + γ Δu."""
    return fma(s, by.gamma, u)


def _heavies(loss, one, two, X, lanes, count):
    return burst(_ahead, None, _heavy, None, Task(loss, one, two, X), lanes, count)


@inner
def _adaptive(u, s, g, size, by):
    """AdaGrad, whose eps is by.one."""
    u, s = adagrad(u, s, g, by.es, by.eta, by.one)
    return u, s, size


def _adagrads(loss, one, two, X, lanes, count):
    return burst(None, None, _adaptive, True, Task(loss, one, two, X), lanes, count)


@inner
def _entropic(u, s, g, size, by):
    """z + η e^s g, and its exponential."""
    # z is kept, as w = e^z may vanish
    s = fma(g, by.step, s)
    return exp(s, 0.0), s, size


def _entropies(loss, one, two, X, lanes, count):
    return burst(None, None, _entropic, True, Task(loss, one, two, X), lanes, count)


@inner
def _sign(g):
    """The signs of g; 0 and NaN stay."""
    return choose_less(0.0, g, 1.0, choose_less(g, 0.0, -1.0, g))


@inner
def _signed(u, s, g, size, by):
    """u + η sign(g)."""
    return fma(_sign(g), by.eta, u), s, size


def _signs(loss, one, two, X, lanes, count):
    return burst(None, None, _signed, None, Task(loss, one, two, X), lanes, count)


@inner
def _total(g, d, by):
    """η e^s ‖g‖₁."""
    total = splat8(0.0)
    for j in range(d):
        total = total + absolute(load8(g, 8 * j))
    return total * by.step


@inner
def _cubic(u, s, g, size, by):
    """Steepest descent in ℓ∞."""
    return fma(_sign(g), size, u), s, size


def _cubes(loss, one, two, X, lanes, count):
    return burst(None, _total, _cubic, None, Task(loss, one, two, X), lanes, count)


@inner
def _top(g, d):
    """The largest |g|."""
    top = splat8(0.0)
    for j in range(d):
        top = larger(absolute(load8(g, 8 * j)), top)
    return top


@inner
def _leader(g, d, by):
    """From which |g| on an entry leads, and its step: by.one counts as a tie, by.two shrinks."""
    return _top(g, d) * (1.0 - by.one), by.step * by.two


@inner
def _first(u, s, g, size, by):
    """The first entry that leads moves; no other one reaches infinity."""
    # of equal ones the first: whatever comes behind it meets infinity
    least, step = size
    far, chosen = absolute(g), choose_less(absolute(g), least, 0.0, g)
    return fma(chosen, step, u), s, (choose_less(far, least, least, np.inf), step)


def _coordinates(loss, one, two, X, lanes, count):
    return burst(None, _leader, _first, None, Task(loss, one, two, X), lanes, count)


@inner
def _unit_leader(g, d, by):
    """The same for a move of length one."""
    top = _top(g, d)
    return top * (1.0 - by.one), choose_less(0.0, top, by.eta / top, 0.0)


def _unit_coordinates(loss, one, two, X, lanes, count):
    return burst(None, _unit_leader, _first, None, Task(loss, one, two, X), lanes, count)


@inner
def _leaders(g, d, by):
    """From which |g| on entries lead, and the share of the step that each has."""
    # at least one: the largest itself
    least, tied = _top(g, d) * (1.0 - by.one), splat8(0.0)
    for j in range(d):
        tied = tied + choose_less(absolute(load8(g, 8 * j)), least, 0.0, 1.0)
    return least, by.step * by.two / tied


@inner
def _shared(u, s, g, size, by):
    """All entries that lead move."""
    least, step = size
    return fma(choose_less(absolute(g), least, 0.0, g), step, u), s, size


def _averages(loss, one, two, X, lanes, count):
    return burst(None, _leaders, _shared, None, Task(loss, one, two, X), lanes, count)


@inner
def _inverse_size(g, d, by):
    """1/‖g‖_q for q = by.one; 0 where g = 0."""
    # the dual exponent, 1/p + 1/q = 1
    q, powers = by.one, splat8(0.0)
    scale = inverse_binade(_top(g, d))  # or powers leave the numbers before their sum does
    for j in range(d):
        powers = powers + power(absolute(load8(g, 8 * j)) * scale, q)
    if q == 2.0:
        size = 1.0 / root(powers)
    elif q == 4.0:
        size = 1.0 / root(root(powers))
    else:
        size = exp(log(powers) * (-1.0 / q), 0.0) + powers * 0.0   # (NaN stays NaN)
    return choose_less(0.0, powers, scale * size, powers)


@inner
def _steepest(u, s, g, size, by):
    """Steepest descent in ℓp: g (|g|/‖g‖_q)^(q − 2)."""
    return fma(g * by.step, power(absolute(g) * size, by.one - 2.0), u), s, size


def _powers(loss, one, two, X, lanes, count):
    return burst(None, _inverse_size, _steepest, None, Task(loss, one, two, X), lanes, count)


@inner
def _unit(u, s, g, size, by):
    """The same for a move of length one: sign(g) (|g|/‖g‖_q)^(q − 1)."""
    return fma(_sign(g) * by.eta, power(absolute(g) * size, by.one - 1.0), u), s, size


def _units(loss, one, two, X, lanes, count):
    return burst(None, _inverse_size, _unit, None, Task(loss, one, two, X), lanes, count)


class Twin(NamedTuple):
    """How a method goes in lanes."""

    burst: Callable[..., Any]    # as `fastbias.running.lanes_burst.burst`, of its own functions
    numbers: tuple[float, float] = (0.0, 0.0)   # of the method's own, ``by.one`` and ``by.two``
    rows: int = 0                # of state that it keeps: 0 or 1, …
    zeros: int = 0               # … and that stand below, and are 0 while there is no momentum


Key = tuple[Any, ...]


def _key(method: Method) -> Key:
    """The pieces that make a method, and whether its moves have a length of their own."""
    return method.unscaled, method.direction, method.advance, *method.maps[1]


def _coordinate(method: Method) -> Twin | None:
    # params of `fastbias.pieces.methods.sampling.coordinate`
    tie, choice, shrinkage, _, unit = method.params
    bursts = {0.0: _coordinates, 1.0: _averages}
    return None if unit or choice not in bursts else Twin(bursts[choice], (tie, shrinkage))


def _power(burst: Callable[..., Any]) -> Callable[[Method], Twin | None]:
    def made(method: Method) -> Twin | None:
        # the geometry's p and q
        q = float(method.maps[0][1])
        return Twin(burst, (q, 0.0)) if q <= 64 else None    # of `fastbias.engine.moves.power`
    return made


def _largest(burst: Callable[..., Any]) -> Callable[[Method], Twin]:
    return lambda method: Twin(burst, (float(method.maps[0][0]), 1.0))


def _steepest_in(norm: norms.Norm, unit: bool = False) -> Key:
    return _key(methods.steepest_descent(norm, 1.0, normalised=unit))


_LP = norms.lp(3.0)
# by their very pieces: of one that was changed by hand nothing is known
TWINS: dict[Key, Callable[[Method], Twin | None]] = {
    _key(methods.gradient_descent(1.0)): lambda method: Twin(_gradients),
    _key(methods.adagrad(1.0)): lambda method: Twin(_adagrads, (float(method.params[0]), 0.0), 1),
    _key(methods.sign_descent(1.0)): lambda method: Twin(_signs),
    _key(methods.coordinate_descent(1.0)): _coordinate,
    _key(methods.mirror_descent("entropy", 1.0)): lambda method: Twin(_entropies, rows=1, zeros=1),
    _steepest_in(norms.l1): _largest(_coordinates),
    _steepest_in(norms.l1, unit=True): _largest(_unit_coordinates),
    _steepest_in(norms.l2): lambda method: Twin(_gradients),
    _steepest_in(norms.l2, unit=True): lambda method: Twin(_units, (2.0, 0.0)),
    _steepest_in(norms.linf): lambda method: Twin(_cubes),
    _steepest_in(norms.linf, unit=True): lambda method: Twin(_signs),
    _steepest_in(_LP): _power(_powers),
    _steepest_in(_LP, unit=True): _power(_units),
}


def twin(method: Method, moving: bool) -> Twin | None:
    """How a method goes in lanes, with momentum or without; None where it does not."""
    found = TWINS.get(_key(method), lambda method: None)(method)
    if found is None or not moving:
        return found
    # (with momentum others are not what is written above, nor is it in their theory)
    return Twin(_heavies) if found.burst is _gradients and method.geometry is None else None
