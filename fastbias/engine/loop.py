"""The one compiled loop: every loss × geometry × method × model runs through `_descend`, behind
`call.descend`.

It is resumable (all memory is in the caller's buffers), holds no GIL, allocates nothing, and
returns an int status. Running 10⁶ steps in one call or in many gives the same bits.

The steps that it is made of are `pasted` into it: their names are there for the reader alone. What
they hand each other is a `Run`, whose arrays nobody counts (`fastbias.engine.lending.lent`).
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import (
    AGAIN,
    AVERAGE,
    BATCH,
    BITS,
    BURST,
    DONE,
    FILLED,
    GRAM,
    HURRY,
    LINEAR,
    LOSS,
    PACKED,
    ROW,
    SCRATCH,
    SEARCH,
    UNSCALED,
    WATCH,
    Buffers,
    Params,
    Status,
    eights,
    packed_room,
    slabs,
)
from fastbias.engine.arguments import bad_argument
from fastbias.engine.compiled import JIT, inner, long_kernel, pasted
from fastbias.engine.dense_pass import pack, worth
from fastbias.engine.fused import Asked, burst
from fastbias.engine.gradients import HURRIED, MORE, Run, calls_of, entry, handed, lookahead
from fastbias.engine.layout import Data, Scratch, alone, parts, sample_weights, scratch, swept
from fastbias.engine.lending import lent, view
from fastbias.engine.line_search import quartic, search
from fastbias.engine.moves import COORDINATE, REFRESH
from fastbias.engine.noise import averaged, rounded
from fastbias.engine.outputs import goals, outputs, samples
from fastbias.engine.passes import products
from fastbias.engine.registers import tiny
from fastbias.engine.simd import load8, splat8, total
from fastbias.engine.sparse_pass import lay_out
from fastbias.engine.team import introduced
from fastbias.engine.weighing import NONE, PLAIN, how, inside, valued

__all__: list[str] = []

LONGEST = 1 << 24                     # entries of X in a burst: what Ctrl-C may have to wait for
LONG = 1024                           # updates in a burst that looks by itself whether it repeats

OK, NOT_FINITE, STALLED = int(Status.OK), int(Status.NOT_FINITE), int(Status.STALLED)
REACHED, UNBOUNDED = int(Status.REACHED), int(Status.UNBOUNDED)


@inner
def _accept(u_new, u, state):
    """Take the step and note Δu, if the new point is finite; else change nothing: False."""
    whole, spoilt = u.size - u.size % 16, splat8(0.0)
    for j in range(0, whole, 16):
        # (∞ 0 and NaN 0 are NaN)
        spoilt = spoilt + (load8(u_new, j) * 0.0 + load8(u_new, j + 8) * 0.0)
    if total(spoilt) != 0.0:
        return False
    for j in range(whole, u.size):
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
def _apart(buffers):
    """The mean of the parameters (of no meaning where none is asked for), and buffers without it:
    state is what the method sees.
    """
    b, rows = buffers, buffers.state.shape[0]
    seen = rows - 1 if b.control[AVERAGE] != 0 else rows
    return b.state[rows - 1], Buffers(b.u, b.state[:seen], b.mark, b.control, b.order, b.work,
                                      b.packed, b.kept)


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
    asked = control[BATCH] > 0 or control[AGAIN] > 0
    return bursts or asked or entry(run.params.gamma, k) != 0.0


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
def _wanted(run, k, due, ends, until):
    """Whether log L at u is asked for before the update: for a row, or the step rule, it comes from
    the update's own pass where it can.
    """
    seen = (due or run.buffers.control[LOSS] != 0) and (ends or _elsewhere(run, k))
    return seen or until > -np.inf


@pasted
def _log_loss(run, k, until):
    """Log L at u, by a pass of its own, and a status."""
    calls, params, data, buffers = run.calls, run.params, run.data, run.buffers
    scratch, control = run.scratch, buffers.control
    if control[BURST] == COORDINATE and not tiny(data) and k > 0 and until == -np.inf:
        # at hand, and fresh within 64 updates
        return _worth(calls.log_loss, params.loss, data, buffers.kept, scratch.q, control), OK
    lookahead(buffers.u, buffers.state, 0.0, scratch.at)
    if control[LINEAR] == 0:
        status = calls.forward(params.model, view(scratch.at, 0, buffers.u.size),
                               view(scratch.w, 0, data.outputs * data.d))
        if status != OK:
            return np.nan, status
    if not products(data, scratch.w, scratch.p, control):
        return np.nan, HURRIED
    return _worth(calls.log_loss, params.loss, data, scratch.p, scratch.q, control), OK


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
def _update(run, records, k, due, log_loss, asked, so_far):
    """The update from k to k + 1, by the pieces; log_loss is that of u, NaN where nobody has asked.
    How many updates that were (0: it goes on with the gradient at another point), a status, and
    what the next call is to be told.
    """
    calls, params, buffers, scratch = run.calls, run.params, run.buffers, run.scratch
    control, u, state, n = buffers.control, buffers.u, buffers.state, buffers.u.size
    g, move, new = view(scratch.g, 0, n), view(scratch.move, 0, n), view(scratch.new, 0, n)
    s, status, so_far = handed(run, k, asked, so_far)
    if status == MORE:
        return 0, OK, so_far
    passed = status == OK or not np.isnan(s)              # (a pullback may end a run behind a pass)
    if passed and control[BATCH] == 0 and (due or control[LOSS] != 0):
        if np.isnan(log_loss):
            log_loss = _worth(calls.log_loss, params.loss, run.data, scratch.p, scratch.q, control)
        if due:
            _note(records, control, log_loss)
    if status == OK:
        status = calls.direction(calls.geometry, params.method, k, s, g, u, state, move)
    if status != OK:
        return 1, status, so_far
    step, status = _step_size(run, k, 0.0 if control[UNSCALED] != 0 else s, log_loss)
    if status != OK:
        return 1, status, so_far
    extra = view(scratch.extra, 0, 2 * n + control[SCRATCH])
    status = calls.advance(calls.geometry, params.method, step, entry(params.beta, k), move, u,
                           state, extra, new)
    if control[BITS] != 0 and status == OK:
        rounded(control[BITS], params.sample, k, new)
    if status == OK and not _accept(new, u, state):
        return 1, NOT_FINITE, so_far
    if control[AVERAGE] != 0 and status == OK:
        averaged(params.sample, k, u, run.mean)
    return 1, status, so_far


@pasted
def _burst(run, records, k, due, stop_at, until):
    """Updates in one go, up to where somebody looks: how many (−1: from here on by their pieces),
    and a status.
    """
    calls, params, data, buffers = run.calls, run.params, run.data, run.buffers
    scratch, control = run.scratch, buffers.control
    # never past a multiple of 64: where kept predictions are taken anew no cut of the run decides;
    # nor past a power of two, where the state is remembered
    span = REFRESH
    while tiny(data) and span < LONG and 2 * span <= k:
        span *= 2
    end = min(min(stop_at, k + run.longest), (k // span + 1) * span)
    if due or until > -np.inf:
        end = k + 1
    elif control[ROW] < records.steps.size:
        end = min(end, records.steps[control[ROW]])
    asked = Asked(params.loss, params.geometry, calls.slope, calls.geometry.steepest,
                  calls.geometry.inverse_link)
    done, status = burst(asked, params, data, buffers, scratch, k, end - k)
    if due and (done > 0 or status != OK):
        if done == 0:                                     # p is that of a trial which failed
            lookahead(buffers.u, buffers.state, 0.0, scratch.at)
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
    arguments; ``end`` is (stop_at, until, whether a call before this one has looked at the same
    sparse rows), ``board`` that of the team who does it, see `fastbias.engine.team`, or (0,).
    """
    stop_at, until, _ = end
    bad = bad_argument(pieces, params, X, y, buffers, records, end)
    if bad != 0:
        return -bad
    mean, buffers = _apart(buffers)
    params, X, y, buffers, records = lent(params), lent(X), lent(y), lent(buffers), lent(records)
    data, control = _laid(X, y, params.weights, buffers, lent(board)), buffers.control
    if JIT and board.size > 0:
        introduced(board, data, inside(control), pieces.slope, params.loss, control)
    params = _without_weights(params)
    longest = max(1, LONGEST // (eights(data.N) * eights(data.d)))
    run = Run(calls_of(pieces, params), params, X, data, buffers, _room_of(data, buffers), longest,
              lent(mean))
    k, status, due, log_loss, asked, so_far = control[DONE], OK, False, np.nan, 0, 0.0
    while status == OK:
        ends = k >= stop_at or control[HURRY] != 0
        if asked == 0:
            due, log_loss = _due(records, buffers.u, control, k), np.nan
        if asked == 0 and _wanted(run, k, due, ends, until):
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
            done, status, so_far = _update(run, records, k, due, log_loss, asked, so_far)
            asked = asked + 1 if done == 0 else 0
        if status == OK:
            k += done
            control[DONE] = k
            status = _watched(buffers, k)
    return OK if status == HURRIED else status


if not JIT:  # NumPy would warn where compiled numbers just overflow
    _descend = np.errstate(all="ignore")(_descend)
