"""The one compiled loop: every loss × geometry × method × model runs through `_descend`, behind
`call.descend`.

It is resumable (all memory is in the caller's buffers), holds no GIL, allocates nothing, and
returns an int status. Running 10⁶ steps in one call or in many gives the same bits.

The steps that it is made of are `pasted` into it: their names are there for the reader alone. What
they hand each other is a `Run`, whose arrays nobody counts (`fastbias.engine.simd.lent`).
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.abi import (
    ADVANCE,
    BATCH,
    BURST,
    DIRECTION,
    DONE,
    FILLED,
    GRAM,
    HURRY,
    LINEAR,
    LOG_LOSS,
    LOSS,
    MAP,
    MAP_AT,
    PACKED,
    ROW,
    RULE,
    SAMPLE,
    SCRATCH,
    SEARCH,
    SHIFT,
    SLOPE,
    UNSCALED,
    VALUE,
    WATCH,
    Geometry,
    Params,
    Status,
    eights,
    packed_room,
    slabs,
)
from fastbias.engine.arguments import bad_argument
from fastbias.engine.batch_pass import batch_gather, batch_margins, batch_weights, drawn_fit
from fastbias.engine.compiled import JIT, inner, long_kernel, pasted, pointer
from fastbias.engine.dense_pass import LOG2, REACH, pack, worth
from fastbias.engine.fused import REFRESH, Asked, burst
from fastbias.engine.layout import Data, Scratch, alone, parts, sample_weights, scratch, swept
from fastbias.engine.line_search import quartic, search
from fastbias.engine.moves import COORDINATE
from fastbias.engine.outputs import goals, outputs, samples
from fastbias.engine.passes import by_piece, products, weighed
from fastbias.engine.registers import tiny
from fastbias.engine.simd import lent, view
from fastbias.engine.sparse_pass import drawn_gather, drawn_products, lay_out
from fastbias.engine.team import introduced
from fastbias.engine.weighing import NONE, PLAIN, WILD, how, inside, pushed, valued

__all__ = ["gradient"]

POISONED = -5                         # order holds what is no row of X
HURRIED = -100                        # asked to come back: nobody outside sees it
LONGEST = 1 << 24                     # entries of X in a burst: what Ctrl-C may have to wait for

OK, NOT_FINITE, STALLED = int(Status.OK), int(Status.NOT_FINITE), int(Status.STALLED)
REACHED, UNBOUNDED = int(Status.REACHED), int(Status.UNBOUNDED)

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


class Run(NamedTuple):
    """All that the steps of the loop work with."""

    calls: Any    # Calls
    params: Any   # Params
    X: Any        # (N, d), or (0, d) where data has its rows
    data: Any     # Data
    buffers: Any  # Buffers
    scratch: Any  # Scratch
    longest: Any  # updates that a burst may have


@inner
def _lookahead(u, state, c, at):
    """at ← u + c Δu, the point where the gradient is taken."""
    if c == 0.0:
        for j in range(u.size):
            at[j] = u[j]
    else:
        for j in range(u.size):
            at[j] = u[j] + c * state[0, j]


@inner
def _accept(u_new, u, state):
    """Take the step and note Δu, if the new point is finite; else change nothing: False."""
    for j in range(u.size):
        if not np.isfinite(u_new[j]):
            return False
    for j in range(u.size):
        state[0, j] = u_new[j] - u[j]
        u[j] = u_new[j]
    return True


@inner
def _remember(u, state, mark):
    """Set the mark to where the run stands."""
    for j in range(u.size):
        mark[0, j] = u[j]
        for i in range(state.shape[0]):
            mark[i + 1, j] = state[i, j]


@inner
def _repeats(u, state, mark):
    """Whether u and state are, bit for bit in value, what they were at the mark."""
    for j in range(u.size):
        if u[j] != mark[0, j]:
            return False
    for i in range(state.shape[0]):
        for j in range(u.size):
            if state[i, j] != mark[i + 1, j]:
                return False
    return True


@pasted
def _calls(pieces, params):
    """The addresses of pieces as what can be called."""
    geometry = Geometry(params.geometry, _as_map(pieces.steepest), _as_value(pieces.dual_norm),
                        _as_map(pieces.link), _as_map(pieces.inverse_link),
                        _as_map_at(pieces.metric))
    return Calls(geometry, _as_slope(pieces.slope), _as_log_loss(pieces.log_loss),
                 _as_map(pieces.forward), _as_map_at(pieces.pullback), _as_rule(pieces.rule),
                 _as_sample(pieces.sample), _as_direction(pieces.direction),
                 _as_advance(pieces.advance))


@pasted
def _laid(X, y, c, buffers, board):
    """The data as the passes read them, laid out by whoever comes first."""
    d, control, n = X.shape[1], buffers.control, buffers.u.size
    N, filled = samples(y.size, control), control[FILLED]
    # (weights stand behind all else)
    data = Data(N, d, outputs(control), goals(control), control[GRAM] != 0, buffers.packed, y,
                how(c), packed_room(N, d, False, filled), slabs(N, d, control),
                parts(buffers.work, N, d, n, control, board), board)
    if control[PACKED] == 0:
        if filled > 0:
            lay_out(X, c, filled, data)
        else:
            pack(X, c, data, inside(control), control[BURST] == COORDINATE)
        control[PACKED] = 1
    return data


@pasted
def _without_weights(params):
    """The numbers of the pieces alone: weights are laid out, and each array costs to hand on."""
    p = params
    return Params(p.loss, p.model, p.rule, p.sample, p.method, p.geometry, p.beta, p.gamma, 0)


@pasted
def _room_of(data, buffers):
    """The run's scratch, all of it zero: what pads a vector must be a number: it meets zeros."""
    work, control, n = buffers.work, buffers.control, buffers.u.size
    for i in range(swept(data.N, data.d, n, control)):
        work[i] = 0.0
    s = scratch(work, data.N, data.d, n, control)
    if control[LINEAR] == 0:
        return s
    # w is at and v is g: nothing is copied from one to the other
    return Scratch(s.p, s.q, s.at, s.g, s.at, s.g, s.move, s.new, s.extra, s.batch, s.along,
                   s.trial)


@inner
def _entry(numbers, k):
    """The number of the update from k to k + 1: one an update, and the last goes on."""
    return numbers[min(k, numbers.size - 1)]


@pasted
def _due(records, u, control, k):
    """Whether a row is due at k; its parameters are written down, its log loss waits for a pass."""
    row = control[ROW]
    if row >= records.steps.size or records.steps[row] != k:
        return False
    for j in range(u.size):
        records.u[row, j] = u[j]
    return True


@pasted
def _note(records, control, log_loss):
    """Finish the row that is due."""
    records.log_loss[control[ROW]] = log_loss
    control[ROW] += 1


@pasted
def _elsewhere(run, k):
    """Whether the update's own pass does not go through u, or leaves no predictions behind."""
    control = run.buffers.control
    bursts = control[BURST] != 0 and (control[BURST] == COORDINATE or tiny(run.data))
    return bursts or control[BATCH] > 0 or _entry(run.params.gamma, k) != 0.0


@inner
def _weighed_worth(log_loss, loss, data, p, q, control):
    """Log L at predictions p, of samples with weights."""
    if inside(control) != 0:
        return worth(inside(control), data, p)
    return valued(log_loss, loss, data.weighed, sample_weights(data, 0, data.N),
                  alone(data, q, PLAIN), view(p, 0, data.outputs * data.N), data.y)


# (whoever asks hands over arrays alone: a tuple of them is taken apart and counted at every step)
@pasted
def _worth(log_loss, loss, data, p, q, control):
    """Log L at predictions p."""
    if data.weighed == NONE:
        return log_loss(loss, view(p, 0, data.outputs * data.N), data.y)
    return _weighed_worth(log_loss, loss, data, p, q, control)


@pasted
def _log_loss(run, k, until):
    """Log L at u, by a pass of its own, and a status."""
    calls, params, data, buffers = run.calls, run.params, run.data, run.buffers
    scratch, control = run.scratch, buffers.control
    if control[BURST] == COORDINATE and not tiny(data) and k > 0 and until == -np.inf:
        # at hand, and fresh within 64 updates
        return _worth(calls.log_loss, params.loss, data, buffers.kept, scratch.q, control), OK
    _lookahead(buffers.u, buffers.state, 0.0, scratch.at)
    if control[LINEAR] == 0:
        status = calls.forward(params.model, view(scratch.at, 0, buffers.u.size),
                               view(scratch.w, 0, data.outputs * data.d))
        if status != OK:
            return np.nan, status
    if not products(data, scratch.w, scratch.p, control):
        return np.nan, HURRIED
    return _worth(calls.log_loss, params.loss, data, scratch.p, scratch.q, control), OK


@pasted
def _batch(run, w, v, k):
    """v ← Xᵀq over the samples drawn for update k, the same however often they are asked for; s and
    a status.
    """
    calls, params, data, scratch = run.calls, run.params, run.data, run.scratch
    order, batch = run.buffers.order, run.buffers.control[BATCH]
    size, own = data.outputs * batch, data.goals * batch
    p, q, y = view(scratch.p, 0, size), view(scratch.q, 0, size), view(scratch.batch, 0, own)
    drawn = calls.sample(params.sample, k, order)
    if not drawn_fit(order, drawn, batch, data.N):
        return np.nan, POISONED
    filled = run.buffers.control[FILLED] > 0
    if filled:
        drawn_products(data, order, drawn, w, p, y)
    else:
        batch_margins(run.X, data.y, order, drawn, w, p, y)
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
def gradient(run, k):
    """g ← the gradient at scratch.at, −∇L = e^s g, with the samples of update k; returns s and a
    status.

    Where no predictions were made s is NaN. Of the run only SHIFT may move, which rounds nothing.
    So a method that wants the gradient at another point may be let write it to scratch.at and have
    this asked again, in a loop around this one call: then whoever asks once pays nothing.
    """
    calls, params, scratch, control = run.calls, run.params, run.scratch, run.buffers.control
    n, wide = run.buffers.u.size, run.data.outputs * run.data.d
    at, w, v = view(scratch.at, 0, n), view(scratch.w, 0, wide), view(scratch.v, 0, wide)
    linear = control[LINEAR] != 0                         # then w is at, and v is g
    if not linear:
        status = calls.forward(params.model, at, w)
        if status != OK:
            return np.nan, status
    s, status = _batch(run, w, v, k) if control[BATCH] > 0 else _whole(run)
    if linear or status != OK:
        return s, status
    return s, calls.pullback(params.model, at, v, view(scratch.g, 0, n))


@pasted
def _searched(run):
    """The step along the move where the loss is least, in units of the move; NaN if asked to come
    back.
    """
    calls, params, data, scratch = run.calls, run.params, run.data, run.scratch
    control = run.buffers.control
    if control[SEARCH] == 2:
        return quartic(calls.forward, params.model, data, run.buffers.u, scratch, control)
    if not products(data, scratch.move, scratch.along, control):
        return np.nan
    size = data.outputs * data.N
    return search(calls.slope, params.loss, view(scratch.p, 0, size),
                  view(scratch.along, 0, size), data, view(scratch.trial, 0, size),
                  scratch.q)


@pasted
def _step_size(run, k, s, log_loss):
    """The step in front of the move, and a status."""
    control, rule = run.buffers.control, run.params.rule
    if control[SEARCH] == 0:
        return run.calls.rule(rule, k, s, log_loss), OK
    asked = False
    while True:
        step = _searched(run)
        if control[HURRY] == 0 or not np.isnan(step):
            break
        control[HURRY], asked = 0, True  # the method has seen the gradient: first this update
    if asked:
        control[HURRY] = 1                                # then back
    return (step, UNBOUNDED) if np.isinf(step) else (step * rule[0], OK)


@pasted
def _update(run, records, k, due, log_loss):
    """The update from k to k + 1, by the pieces; log_loss is that of u, NaN where nobody has asked.
    Its status.
    """
    calls, params, buffers, scratch = run.calls, run.params, run.buffers, run.scratch
    control, u, state, n = buffers.control, buffers.u, buffers.state, buffers.u.size
    g, move, new = view(scratch.g, 0, n), view(scratch.move, 0, n), view(scratch.new, 0, n)
    _lookahead(u, state, _entry(params.gamma, k), scratch.at)
    s, status = gradient(run, k)
    passed = status == OK or not np.isnan(s)              # (a pullback may end a run behind a pass)
    if passed and control[BATCH] == 0 and (due or control[LOSS] != 0):
        if np.isnan(log_loss):
            log_loss = _worth(calls.log_loss, params.loss, run.data, scratch.p, scratch.q, control)
        if due:
            _note(records, control, log_loss)
    if status == OK:
        status = calls.direction(calls.geometry, params.method, k, s, g, u, state, move)
    if status != OK:
        return status
    step, status = _step_size(run, k, 0.0 if control[UNSCALED] != 0 else s, log_loss)
    if status != OK:
        return status
    extra = view(scratch.extra, 0, 2 * n + control[SCRATCH])
    status = calls.advance(calls.geometry, params.method, step, _entry(params.beta, k), move, u,
                           state, extra, new)
    if status == OK and not _accept(new, u, state):
        return NOT_FINITE
    return status


@pasted
def _burst(run, records, k, due, stop_at, until):
    """Updates in one go, up to where somebody looks: how many (−1: from here on by their pieces),
    and a status.
    """
    calls, params, data, buffers = run.calls, run.params, run.data, run.buffers
    scratch, control = run.scratch, buffers.control
    # never past a multiple of 64: where kept predictions are taken anew no cut of the run decides
    end = min(min(stop_at, k + run.longest), (k // REFRESH + 1) * REFRESH)
    if due or until > -np.inf:
        end = k + 1
    elif control[ROW] < records.steps.size:
        end = min(end, records.steps[control[ROW]])
    asked = Asked(params.loss, params.geometry, calls.slope, calls.geometry.steepest,
                  calls.geometry.inverse_link)
    done, status = burst(asked, params, data, buffers, scratch, k, end - k)
    if due and (done > 0 or status != OK):
        if done == 0:                                     # p is that of a trial which failed
            _lookahead(buffers.u, buffers.state, 0.0, scratch.at)
            if not products(data, scratch.at, scratch.p, control):
                return done, status
        _note(records, control, _worth(calls.log_loss, params.loss, data, scratch.p, scratch.q,
                                       control))
    return done, HURRIED if done == 0 and status == OK else status


@pasted
def _watched(buffers, k):
    """STALLED where the state is, bit for bit, what it was at the last power of two (Brent), else
    OK.
    """
    if buffers.control[WATCH] == 0 or k % REFRESH != 0:
        return OK
    if k & (k - 1) == 0:
        _remember(buffers.u, buffers.state, buffers.mark)
        return OK
    return STALLED if _repeats(buffers.u, buffers.state, buffers.mark) else OK


@long_kernel
def _descend(pieces, params, X, y, buffers, records, end, board):
    """The compiled body of `fastbias.engine.call.descend`, which has looked at the types of all
    arguments; ``end`` is (stop_at, until), ``board`` that of the team who does it, see
    `fastbias.engine.team`, or (0,).
    """
    stop_at, until = end
    bad = bad_argument(pieces, params, X, y, buffers, records, stop_at, until)
    if bad != 0:
        return -bad
    params, X, y, buffers, records = lent(params), lent(X), lent(y), lent(buffers), lent(records)
    data, control = _laid(X, y, params.weights, buffers, lent(board)), buffers.control
    if JIT and board.size > 0:
        introduced(board, data, inside(control), pieces.slope, params.loss, control)
    params = _without_weights(params)
    longest = max(1, LONGEST // (eights(data.N) * eights(data.d)))
    run = Run(_calls(pieces, params), params, X, data, buffers, _room_of(data, buffers), longest)
    k, status = control[DONE], OK
    while status == OK:
        due, log_loss = _due(records, buffers.u, control, k), np.nan
        ends = k >= stop_at or control[HURRY] != 0
        # the loss of a row, or for the step rule, comes from the update's own pass where it can
        if until > -np.inf or ((due or control[LOSS] != 0) and (ends or _elsewhere(run, k))):
            log_loss, status = _log_loss(run, k, until)
            if status != OK:
                break
            if due:
                _note(records, control, log_loss)
                due = False
            if -np.inf < until and log_loss <= until:
                return REACHED
        if ends:
            break
        if control[BURST] != 0:
            done, status = _burst(run, records, k, due, stop_at, until)
            if done < 0:  # by their pieces, for good, from this update on
                control[BURST] = 0
                continue
        else:
            status = _update(run, records, k, due, log_loss)
            done = 1
        if status == OK:
            k += done
            control[DONE] = k
            status = _watched(buffers, k)
    return OK if status == HURRIED else status


if not JIT:  # NumPy would warn where compiled numbers just overflow
    _descend = np.errstate(all="ignore")(_descend)
