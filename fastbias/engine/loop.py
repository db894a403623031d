"""The one compiled loop: every loss × geometry × method × model runs through `_descend`, behind `doors.descend`.

It is resumable (all memory is in the caller's buffers), holds no GIL, allocates nothing, and returns an int status.
Running 10⁶ steps in one call or in many gives the same bits.
"""
from __future__ import annotations

from functools import cache

import numpy as np
from numba import carray, types

from fastbias.engine.abi import (
    ADVANCE,
    BATCH,
    BURST,
    CONTROL,
    DIRECTION,
    DONE,
    FILLED,
    GRAM,
    HURRY,
    JIT,
    LINEAR,
    LOG_LOSS,
    LOSS,
    MAP,
    MAP_AT,
    OUTPUTS,
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
    WEIGH,
    Buffers,
    Geometry,
    Params,
    Pieces,
    Records,
    Status,
    cached,
    callback,
    kernel,
    packed_room,
    padded,
    pointer,
)
from fastbias.engine.arguments import MOST, bad_argument, missing
from fastbias.engine.dense_pass import FAR, LOG2, by_piece, pack, weighed
from fastbias.engine.fused import COORDINATE, REFRESH, burst
from fastbias.engine.line_search import quartic, search
from fastbias.engine.sparse_pass import lay_out, pass_over, products

__all__ = ["address", "bad_argument"]

POISONED = -5                         # order holds what is no row of X
LONGEST = 1 << 24                     # entries of X in a burst: what Ctrl-C may have to wait for

OK, NOT_FINITE, STALLED, REACHED, UNBOUNDED = (int(s) for s in (Status.OK, Status.NOT_FINITE, Status.STALLED,
                                                                Status.REACHED, Status.UNBOUNDED))

_as_map, _as_map_at, _as_value = pointer(MAP), pointer(MAP_AT), pointer(VALUE)
_as_slope, _as_log_loss, _as_rule = pointer(SLOPE), pointer(LOG_LOSS), pointer(RULE)
_as_direction, _as_advance, _as_sample = pointer(DIRECTION), pointer(ADVANCE), pointer(SAMPLE)


# Sums may be reordered into vectors; NaN and infinity keep their meaning (no nnan, no ninf).
_sums = cached(fastmath={"reassoc", "contract", "nsz"})


@_sums
def _batch_margins(X, y, order, count, w, p, y_batch):  # type: ignore[no-untyped-def]
    """P ← the margins of the drawn samples, y_batch ← their targets; places that a short batch leaves repeat its first."""
    d, batch = X.shape[1], y_batch.size
    for i in range(batch):
        n = order[i] if i < count else order[0]
        for c in range(p.size // batch):
            total = 0.0
            for j in range(d):
                total += X[n, j] * w[c * d + j]
            p[c * batch + i] = total
        y_batch[i] = y[n]


@_sums
def _batch_gather(X, order, count, q, g):  # type: ignore[no-untyped-def]
    """G ← Σ q_i x_i over the drawn samples."""
    d = X.shape[1]
    batch = q.size // (g.size // d)
    for j in range(g.size):
        g[j] = 0.0
    for i in range(count):
        n = order[i]
        for c in range(g.size // d):
            for j in range(d):
                g[c * d + j] += q[c * batch + i] * X[n, j]


@kernel
def _lookahead(u, state, c, at):  # type: ignore[no-untyped-def]
    """At ← u + c Δu, the point where the gradient is taken."""
    if c == 0.0:
        for j in range(u.size):
            at[j] = u[j]
    else:
        for j in range(u.size):
            at[j] = u[j] + c * state[0, j]


@kernel
def _accept(u_new, u, state):  # type: ignore[no-untyped-def]
    """Take the step and note Δu, if the new point is finite; else change nothing and return False."""
    for j in range(u.size):
        if not np.isfinite(u_new[j]):
            return False
    for j in range(u.size):
        state[0, j] = u_new[j] - u[j]
        u[j] = u_new[j]
    return True


@kernel
def _remember(u, state, mark):  # type: ignore[no-untyped-def]
    """Set the mark to where the run stands."""
    for j in range(u.size):
        mark[0, j] = u[j]
        for i in range(state.shape[0]):
            mark[i + 1, j] = state[i, j]


@kernel
def _repeats(u, state, mark):  # type: ignore[no-untyped-def]
    """Whether u and state are, bit for bit in value, what they were at the mark."""
    for j in range(u.size):
        if u[j] != mark[0, j]:
            return False
    for i in range(state.shape[0]):
        for j in range(u.size):
            if state[i, j] != mark[i + 1, j]:
                return False
    return True


@kernel
def _drawn(order, count, batch, N):  # type: ignore[no-untyped-def]
    """Whether a sampler drew 1 … batch samples, all of them rows of X."""
    fine = 1 <= count <= batch
    for i in range(min(count, batch)):
        fine &= 0 <= order[i] < N
    return fine


@kernel
def _descend(pieces, params, X, y, buffers, records, stop_at, until):  # type: ignore[no-untyped-def]
    """The compiled body of `fastbias.engine.call.descend`, which has looked at the types of all arguments."""
    bad = bad_argument(pieces, params, X, y, buffers, records, stop_at, until)
    if bad != 0:
        return -bad
    slope, value, rule = _as_slope(pieces.slope), _as_log_loss(pieces.log_loss), _as_rule(pieces.rule)
    forward, pullback = _as_map(pieces.forward), _as_map_at(pieces.pullback)
    direction, advance = _as_direction(pieces.direction), _as_advance(pieces.advance)
    sample = _as_sample(pieces.sample)
    steepest, inverse_link = _as_map(pieces.steepest), _as_map(pieces.inverse_link)
    geometry = Geometry(params.geometry, steepest, _as_value(pieces.dual_norm), _as_map(pieces.link), inverse_link,
                        _as_map_at(pieces.metric))
    u, state, mark, control, work = buffers.u, buffers.state, buffers.mark, buffers.control, buffers.work
    N, d = X.shape
    K, n = max(1, control[OUTPUTS]), u.size
    packed, columns, targets = buffers.packed, buffers.packed[:0], buffers.packed[:0]
    tall, width = (N + 7) // 8 * 8, (d + 7) // 8 * 8
    if control[BURST] == COORDINATE:
        columns = packed[tall * (width + 2):tall * (width + 2) + d * tall]
    if control[PACKED] == 0:
        if control[FILLED] > 0:
            lay_out(X, packed)
        else:
            pack(X, y, packed, columns)
        control[PACKED] = 1
    if control[FILLED] == 0:
        targets = packed[tall * width:tall * (width + 2)]
    order, batch = buffers.order, control[BATCH]
    at_p, at_q, at_w, at_v = 0, padded(K * N), 2 * padded(K * N), 2 * padded(K * N) + padded(K * d)
    at_batch = at_v + padded(K * d)
    at_at = at_batch + padded(batch)
    at_g, at_move, at_new, at_scratch = (at_at + padded(n), at_at + 2 * padded(n), at_at + 3 * padded(n),
                                         at_at + 4 * padded(n))
    at_search = at_scratch + 2 * padded(n) + padded(control[SCRATCH])
    for i in range(at_search):                            # what pads a vector must be a number: it meets zeros
        work[i] = 0.0
    # each twice: with room for whole vectors, and to size for the pieces
    p8, q8, w8, v8 = work[at_p:at_q], work[at_q:at_w], work[at_w:at_v], work[at_v:at_batch]
    at8, g8, move8, new8, s8 = work[at_at:at_g], work[at_g:at_move], work[at_move:at_new], work[at_new:at_scratch], \
        work[at_scratch:at_search]
    p, q, y_batch, w, v = p8[:K * N], q8[:K * N], work[at_batch:at_batch + batch], w8[:K * d], v8[:K * d]
    p_batch, q_batch = p8[:batch * K], q8[:batch * K]
    at, g, move, u_new, scratch = at8[:n], g8[:n], move8[:n], new8[:n], s8[:2 * n + control[SCRATCH]]
    along8, trial8, trial = work[:0], work[:0], work[:0]
    if control[SEARCH] != 0:
        along8 = work[at_search:at_search + padded(K * N)]
        trial8 = work[at_search + padded(K * N):at_search + 2 * padded(K * N)]
        trial = trial8[:K * N]
    along = along8[:K * N] if control[SEARCH] != 0 else along8
    linear, gram, weigh = control[LINEAR] != 0, control[GRAM] != 0, control[WEIGH]
    if linear:                                          # then w is u, and the pullback of v is v
        w, v, w8, v8 = at, g, at8, g8
    beta, gamma, loss, steps = params.beta, params.gamma, params.loss, records.steps
    log_u, log_loss_u = records.u, records.log_loss
    kept = buffers.kept
    longest = max(1, LONGEST // (tall * width))
    tiny = N <= 4 and d <= 4 and not gram
    inside = tiny or control[BURST] == COORDINATE         # where the predictions stay within a burst

    # One exit and no views inside: references to arrays are then not counted at every step.
    status = OK
    k = control[DONE]
    while True:
        row = control[ROW]
        due = row < steps.size and steps[row] == k
        c = gamma[min(k, gamma.size - 1)]
        told = control[LOSS] != 0
        log_loss = np.nan
        if due:
            for j in range(n):
                log_u[row, j] = u[j]
        # the loss of a row or for the step rule comes from the update's own pass, unless that goes elsewhere or is none
        elsewhere = c != 0.0 or batch > 0 or k >= stop_at or control[HURRY] != 0 or (control[BURST] != 0 and inside)
        if until > -np.inf or ((due or told) and elsewhere):
            if control[BURST] == COORDINATE and not tiny and k > 0 and until == -np.inf:
                log_loss = value(loss, kept[:N], y)       # at hand, and fresh within 64 updates
            else:
                _lookahead(u, state, 0.0, at)
                if not linear:
                    status = forward(params.model, at, w)
                    if status != OK:
                        break
                if not products(packed, N, d, K, w8, p8, control):
                    break
                log_loss = value(loss, p, y)
            if due:
                log_loss_u[row] = log_loss
                control[ROW] = row + 1
                due = False
            if -np.inf < until and log_loss <= until:
                status = REACHED
                break
        if k >= stop_at or control[HURRY] != 0:
            break

        if control[BURST] != 0:                           # up to where somebody looks, and never past a multiple of 64
            ahead = min(min(stop_at, k + longest), (k // REFRESH + 1) * REFRESH)
            if due or until > -np.inf:
                ahead = k + 1
            elif control[ROW] < steps.size:
                ahead = min(ahead, steps[control[ROW]])
            done, status = burst(slope, steepest, inverse_link, params, packed, y, targets, columns, N, d, u, state, kept,
                                 control, k, ahead - k, new8, move8, at8, s8, g8, p8, q8)
            if done < 0:                                  # by their pieces, for good, from this update on
                control[BURST] = 0
                continue
            if due and (done > 0 or status != OK):
                if done == 0:
                    _lookahead(u, state, 0.0, at)
                    if not products(packed, N, d, K, at8, p8, control):
                        break
                log_loss_u[row] = value(loss, p, y)
                control[ROW] = row + 1
            if done == 0:
                break
            k += done
        else:
            _lookahead(u, state, c, at)
            if not linear:
                status = forward(params.model, at, w)
                if status != OK:
                    break
            if batch > 0:
                drawn = sample(params.sample, k, order)
                if not _drawn(order, drawn, batch, N):
                    status = POISONED
                    break
                _batch_margins(X, y, order, drawn, w, p_batch, y_batch)
                s = slope(loss, p_batch, y_batch, q_batch)
                _batch_gather(X, order, drawn, q_batch, v)
            else:
                k0 = FAR
                if weigh != 0 and abs(control[SHIFT]) < FAR:
                    k0 = weighed(weigh, gram, packed, targets, N, d, w8, p8, v8, float(control[SHIFT]), control)
                    if np.isnan(k0):
                        break
                    control[SHIFT] = int(k0)
                    s = -k0 * LOG2
                if control[FILLED] > 0:
                    s = pass_over(slope, loss, packed, y, N, d, w, p, q, v, control)
                elif abs(k0) >= FAR:
                    s = by_piece(slope, loss, gram, packed, y, N, d, K, w8, p8, q8, v8, control)
                if control[HURRY] != 0:
                    break
                if (due or told) and np.isnan(log_loss):
                    log_loss = value(loss, p, y)
                if due:
                    log_loss_u[row] = log_loss
                    control[ROW] = row + 1
            if not linear:
                status = pullback(params.model, at, v, g)
                if status != OK:
                    break
            status = direction(geometry, params.method, k, s, g, u, state, move)
            if status != OK:
                break
            if control[UNSCALED] != 0:
                s = 0.0
            if control[SEARCH] != 0:                      # along the move, in units of the move
                asked, step = 0, np.nan
                while True:
                    if control[SEARCH] == 2:
                        step = quartic(forward, params.model, packed, N, d, u, move, at, w8, p, y, along8, trial8, control)
                    elif products(packed, N, d, K, move8, along8, control):
                        step = search(slope, loss, p, along, y, trial, q)
                    if control[HURRY] == 0 or not np.isnan(step):
                        break
                    control[HURRY], asked = 0, 1          # the method has seen the gradient: first this update, then back
                if asked != 0:
                    control[HURRY] = 1
                if np.isinf(step):
                    status = UNBOUNDED
                    break
                step *= params.rule[0]
            else:
                step = rule(params.rule, k, s, log_loss)
            status = advance(geometry, params.method, step, beta[min(k, beta.size - 1)], move, u, state, scratch, u_new)
            if status != OK:
                break
            if not _accept(u_new, u, state):
                status = NOT_FINITE
                break
            k += 1
        control[DONE] = k
        if control[WATCH] != 0 and k % REFRESH == 0:
            if k & (k - 1) == 0:                        # Brent: compare with the last power of two from 64 on
                _remember(u, state, mark)
            elif _repeats(u, state, mark):
                status = STALLED
                break
    return status


if not JIT:                                               # NumPy would warn where compiled numbers just overflow
    _descend = np.errstate(all="ignore")(_descend)


def _descend_c(pieces, params, sizes, X, N, d, y, u, n, state, rows, mark, control, order, work, space,  # type: ignore[no-untyped-def]
               packed, kept, steps, rows_u, rows_log_loss, K, stop_at, until):
    if missing(pieces):
        return -1
    if missing(params) or missing(sizes):
        return -2
    at = np.zeros(9, np.int64)
    for i in range(8):
        size = carray(sizes, (8,))[i]
        if not 0 <= size < MOST:
            return -2
        at[i + 1] = at[i] + size
    if missing(X) or not (0 < N < MOST and 0 < d < MOST and MOST // d >= N):
        return -3
    if missing(y):
        return -4
    if not (0 < n < MOST and 0 < rows < MOST // n - 1 and 0 <= space < MOST) or missing(u) or missing(state) \
            or missing(mark) or missing(control) or missing(work) or missing(packed):
        return -5
    about = carray(control, (CONTROL,))
    batches, coordinate, filled = about[BATCH] > 0, about[BURST] == COORDINATE, about[FILLED]
    if not 0 <= filled <= N * d or (batches and missing(order)) or (coordinate and missing(kept)):
        return -5
    if not 0 <= K <= MOST // n or (K > 0 and (missing(steps) or missing(rows_u) or missing(rows_log_loss))):
        return -6
    p, a = carray(params, (at[8],)), carray(pieces, (13,))
    return _descend(
        Pieces(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12]),
        Params(p[at[0]:at[1]], p[at[1]:at[2]], p[at[2]:at[3]], p[at[3]:at[4]], p[at[4]:at[5]], p[at[5]:at[6]],
               p[at[6]:at[7]], p[at[7]:at[8]]),
        carray(X, (N, d)), carray(y, (N,)),
        Buffers(carray(u, (n,)), carray(state, (rows, n)), carray(mark, (rows + 1, n)), about,
                carray(order, (2 * N + 1 if batches else 0,)), carray(work, (space,)),
                carray(packed, (packed_room(N, d, coordinate, filled),)),
                carray(kept, ((N + 7) // 8 * 8 if coordinate else 0,))),
        Records(carray(steps, (K,)), carray(rows_u, (K, n)), carray(rows_log_loss, (K,))), stop_at, until)


_D, _I = types.CPointer(types.float64), types.CPointer(types.int64)
_C = types.int64(_I, _D, _I, _D, types.int64, types.int64, _D, _D, types.int64, _D, types.int64, _D, _I, _I, _D, types.int64,
                 _D, _D, _I, _D, _D, types.int64, types.int64, types.float64)


@cache
def address() -> int:
    """The C address of the loop behind the prototype of `fastbias.running.capi`; compiled when first asked for."""
    return int(callback(_descend_c, _C).address)
