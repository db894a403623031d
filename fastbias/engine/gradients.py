"""The gradient that a method is handed: at which points it is asked for, over which samples, and
what becomes of it on the way.

These steps are `pasted` into the loop. What they hand each other is a `Run`, whose arrays nobody
counts (`fastbias.engine.lending.lent`).
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.abi import (
    ADVANCE,
    AGAIN,
    BATCH,
    CHANGED,
    DIRECTION,
    EACH,
    FILLED,
    HURRY,
    LABELLED,
    LINEAR,
    LOG_LOSS,
    MAP,
    MAP_AT,
    RULE,
    SAMPLE,
    SHIFT,
    SLOPE,
    VALUE,
    Geometry,
    Status,
)
from fastbias.engine.batch_pass import batch_gather, batch_margins, batch_weights, drawn_fit
from fastbias.engine.compiled import inner, pasted, pointer
from fastbias.engine.dense_pass import LOG2, REACH
from fastbias.engine.layout import alone, sample_weights
from fastbias.engine.lending import plain, view
from fastbias.engine.noise import COUNT, OWN, changed, told
from fastbias.engine.passes import by_piece, weighed
from fastbias.engine.sparse_pass import drawn_gather, drawn_products
from fastbias.engine.weighing import NONE, WILD, inside, pushed

__all__ = ["HURRIED", "MORE", "Calls", "Run", "calls_of", "entry", "gradient", "handed",
           "lookahead"]

OK = int(Status.OK)
POISONED = -5                         # order holds what is no row of X
# nobody outside sees these: asked to come back; all samples were asked for; a point is to come
HURRIED, NO_MORE, MORE = -100, -101, -102

_as_map, _as_map_at, _as_value = pointer(MAP), pointer(MAP_AT), pointer(VALUE)
_as_slope, _as_log_loss, _as_rule = pointer(SLOPE), pointer(LOG_LOSS), pointer(RULE)
_as_direction, _as_advance, _as_sample = pointer(DIRECTION), pointer(ADVANCE), pointer(SAMPLE)


class Calls(NamedTuple):
    """The pieces of a run, ready to be called."""

    geometry: Any   # Geometry (first: of tuples that begin with functions Numba warns)
    slope: Any      # SLOPE
    log_loss: Any   # LOG_LOSS
    forward: Any    # MAP
    pullback: Any   # MAP_AT
    rule: Any       # RULE
    sample: Any     # SAMPLE
    direction: Any  # DIRECTION
    advance: Any    # ADVANCE
    point: Any      # DIRECTION
    steepest: Any   # MAP        of the norm in which a point is away
    dual_norm: Any  # VALUE


class Run(NamedTuple):
    """All that the steps of the loop work with."""

    calls: Any    # Calls
    params: Any   # Params
    X: Any        # (N, d), or (0, d) where data has its rows
    data: Any     # Data
    buffers: Any  # Buffers
    scratch: Any  # Scratch
    longest: Any  # updates that a burst may have
    mean: Any     # (n,)   of the parameters, where it is asked for


@inner
def lookahead(u, state, c, at):
    """at ← u + c Δu, the point where the gradient is taken."""
    if c == 0.0:
        for j in range(u.size):
            at[j] = u[j]
    else:
        for j in range(u.size):
            at[j] = u[j] + c * state[0, j]


@inner
def entry(numbers, k):
    """The number of the update from k to k + 1: one an update, and the last goes on."""
    return numbers[min(k, numbers.size - 1)]


@pasted
def calls_of(pieces, params):
    """The addresses of pieces as what can be called."""
    geometry = Geometry(plain(params.geometry), _as_map(pieces.steepest),
                        _as_value(pieces.dual_norm),
                        _as_map(pieces.link), _as_map(pieces.inverse_link),
                        _as_map_at(pieces.metric))
    return Calls(geometry, _as_slope(pieces.slope), _as_log_loss(pieces.log_loss),
                 _as_map(pieces.forward), _as_map_at(pieces.pullback), _as_rule(pieces.rule),
                 _as_sample(pieces.sample), _as_direction(pieces.direction),
                 _as_advance(pieces.advance), _as_direction(pieces.point),
                 _as_map(pieces.point_steepest), _as_value(pieces.point_dual_norm))


@pasted
def _batch(run, w, v, k, one):
    """v ← Xᵀq over the samples drawn for update k, the same however often they are asked for, or
    over one of them; s and a status.
    """
    calls, params, data, scratch = run.calls, run.params, run.data, run.scratch
    order, control = run.buffers.order, run.buffers.control
    drawn, batch = calls.sample(params.sample, k, order), control[BATCH]
    if not drawn_fit(order, drawn, batch, data.N):
        return np.nan, POISONED
    if one >= drawn:
        return np.nan, NO_MORE
    if one >= 0:
        order[0], drawn, batch = order[one], 1, 1
    size, own = data.outputs * batch, data.goals * batch
    p, q, y = view(scratch.p, 0, size), view(scratch.q, 0, size), view(scratch.batch, 0, own)
    filled = control[FILLED] > 0
    if filled:
        drawn_products(data, order, drawn, w, p, y)
    else:
        batch_margins(run.X, data.y, order, drawn, w, p, y)
    if control[LABELLED] != 0:
        told(control[LABELLED], params.sample, k, order, drawn, data, y)
    s = calls.slope(params.loss, p, y, q)
    if data.weighed != NONE:
        c = view(scratch.batch, own, batch)
        batch_weights(sample_weights(data, 0, data.N), order, drawn, c)
        s = pushed(calls.slope, params.loss, c, alone(data, scratch.q, WILD), p, y, q, s)
    if filled:
        drawn_gather(data, order, drawn, q, v)
    else:
        batch_gather(run.X, order, drawn, q, v)
    return s, OK


@pasted
def _whole(run):
    """v ← Xᵀq over all samples, whose predictions stay in p; s and a status."""
    loss, slope, data, scratch = run.params.loss, run.calls.slope, run.data, run.scratch
    p, q, w, v, control = scratch.p, scratch.q, scratch.w, scratch.v, run.buffers.control
    k0, s = REACH, np.nan
    if inside(control) != 0 and abs(control[SHIFT]) < REACH:
        k0 = weighed(inside(control), data, w, p, v, float(control[SHIFT]), control)
        if np.isnan(k0):
            return np.nan, HURRIED
        control[SHIFT] = int(k0)
        s = -k0 * LOG2
    if abs(k0) >= REACH:
        s = by_piece(slope, loss, data, w, p, q, v, control)
    return (np.nan, HURRIED) if control[HURRY] != 0 else (s, OK)


@pasted
def gradient(run, k, one):
    """g ← the gradient at scratch.at, −∇L = e^s g, with the samples of update k, or the one-th of
    them alone (−1: all); returns s and a status.

    Where no predictions were made s is NaN. Of the run only SHIFT may move, which rounds nothing.
    So it may be asked for at several points in an update, by this one call, in the loop over all
    updates: a loop of its own would cost those that ask once.
    """
    calls, params, scratch, control = run.calls, run.params, run.scratch, run.buffers.control
    n, wide = run.buffers.u.size, run.data.outputs * run.data.d
    at, w, v = view(scratch.at, 0, n), view(scratch.w, 0, wide), view(scratch.v, 0, wide)
    linear = control[LINEAR] != 0                         # then w is at, and v is g
    if not linear:
        status = calls.forward(params.model, at, w)
        if status != OK:
            return np.nan, status
    s, status = _batch(run, w, v, k, one) if control[BATCH] > 0 else _whole(run)
    if linear or status != OK:
        return s, status
    return s, calls.pullback(params.model, at, v, view(scratch.g, 0, n))


@pasted
def _elsewhere(run, k, s):
    """scratch.at ← where the point piece leads from there, −∇L being e^s g; a status."""
    calls, sample, scratch, n = run.calls, run.params.sample, run.scratch, run.buffers.u.size
    own, move = int(sample[COUNT]), view(scratch.move, 0, n)
    numbers = view(sample, OWN + own, sample.size - OWN - own)
    norm = Geometry(plain(numbers), calls.steepest, calls.dual_norm, calls.geometry.link,
                    calls.geometry.inverse_link, calls.geometry.metric)
    status = calls.point(norm, view(sample, OWN, own), k, s, view(scratch.g, 0, n),
                         view(scratch.at, 0, n), run.buffers.state, move)
    for j in range(n):
        scratch.at[j] = move[j]
    return status


@inner
def _joined(s, g, so_far, total, first):
    """total, of scale e^so_far, += e^s g; its scale."""
    unit = s if first else max(s, so_far)
    old, new = 0.0 if first else np.exp(so_far - unit), np.exp(s - unit)
    for j in range(g.size):
        total[j] = (0.0 if first else old * total[j]) + new * g[j]
    return unit


@pasted
def _onward(run, k, s, status, asked, so_far):
    """What follows the gradient at the (asked + 1)-th point of an update that has several: MORE,
    and scratch.at is the next point; or behind the last one g of all, and a status.

    Returns s, the status, and the scale of the sum over samples so far, which is in scratch.new.
    The first point is u + γ Δu, a piece leads to the others; where each sample has points of its
    own, they come sample after sample.
    """
    scratch, buffers, control = run.scratch, run.buffers, run.buffers.control
    u, points = buffers.u, control[AGAIN] + 1
    g, total = view(scratch.g, 0, u.size), view(scratch.new, 0, u.size)
    if status == NO_MORE:
        for j in range(u.size):
            g[j] = total[j] if asked > 0 else 0.0
        return so_far, OK, so_far
    if status != OK:
        return s, status, so_far
    if asked % points < control[AGAIN]:
        status = _elsewhere(run, k, s)
        return s, MORE if status == OK else status, so_far
    if control[EACH] == 0:
        return s, OK, so_far
    so_far = _joined(s, g, so_far, total, asked < points)
    lookahead(u, buffers.state, entry(run.params.gamma, k), scratch.at)
    return s, MORE, so_far


@pasted
def handed(run, k, asked, so_far):
    """g ← the gradient that the method is handed at update k, −∇L = e^s g, or what leads there,
    after it has been asked for so often; s, a status (MORE where it is to be asked for again), and
    what `_onward` wants to know then.
    """
    buffers, control = run.buffers, run.buffers.control
    if asked == 0:
        lookahead(buffers.u, buffers.state, entry(run.params.gamma, k), run.scratch.at)
    s, status = gradient(run, k, asked // (control[AGAIN] + 1) if control[EACH] != 0 else -1)
    if control[AGAIN] != 0 or control[EACH] != 0:
        s, status, so_far = _onward(run, k, s, status, asked, so_far)
    if control[CHANGED] != 0 and status == OK:
        s = changed(run.params.sample, k, s, view(run.scratch.g, 0, buffers.u.size))
    return s, status, so_far
