"""Groups of eight runs in lanes, one group after the other: rows, ends, and what a burst may not
leave behind.

Nothing crosses lanes: a run's bits do not depend on its neighbours, nor on where the work was cut.
A run ends for itself: with STALLED where its state repeats (as in `fastbias.engine.loop`), or,
where its numbers cease to be finite or its weights are out of reach, by being put back to where the
last 64 updates began, for the ordinary loop to go on from.
"""
from __future__ import annotations

from typing import Any, NamedTuple

from fastbias.engine.abi import LOG_LOSS, Records, Status
from fastbias.engine.compiled import inner, kernel, pointer
from fastbias.engine.dense_pass import REACH
from fastbias.engine.lending import lent, plain
from fastbias.engine.moves import REFRESH
from fastbias.running.lanes_burst import Lanes, as_burst, views

__all__ = ["APART", "Job", "abreast"]

OK, STALLED, APART = int(Status.OK), int(Status.STALLED), -1  # APART: for the ordinary loop

_as_log_loss = pointer(LOG_LOSS)


class Job(NamedTuple):
    """What a call does: from k on up to ``stop`` updates of groups of runs on the same X."""

    burst: Any     # the address of a method's burst
    log_loss: Any  # and of a LOG_LOSS
    numbers: Any   # (·,)  its numbers
    loss: Any      # which one a pass weighs inside
    one: Any       # two numbers of the method's own
    two: Any
    X: Any         # (N, d)
    k: Any
    stop: Any


@inner
def _copy(a, b, start, size):
    """b[start:] ← a[:size]."""
    for i in range(size):
        b[start + i] = a[i]


@inner
def _write(job, lanes, views, records, row, i):
    """Row ``row`` of lane i: its parameters and their log loss."""
    X, p, w, y, log_loss = job.X, views.p, views.w, views.y, _as_log_loss(job.log_loss)
    N, d = X.shape
    for j in range(d):
        w[j] = lanes.u[8 * j + i]
        records.u[i, row, j] = w[j]
    for n in range(N):
        p[n], y[n] = 0.0, lanes.y[8 * n + i]
        for j in range(d):
            p[n] += X[n, j] * w[j]
    records.log_loss[i, row] = log_loss(job.numbers, p, y)


@inner
def _spoilt(lanes, d, i):
    """Whether lane i has ceased to be finite, or its weights are out of reach."""
    spoilt = 0.0
    for j in range(d):
        spoilt += lanes.u[8 * j + i] * 0.0 + lanes.move[8 * j + i] * 0.0  # ∞ 0 and NaN 0 are NaN
    for j in range(i, lanes.own.size, 8):
        spoilt += lanes.own[j] * 0.0
    return spoilt != 0.0 or abs(lanes.shift[i]) >= REACH


@inner
def _kept(lanes, d):
    """Keep where all lanes stand."""
    back = lanes.back
    _copy(lanes.u, back, 0, 8 * d)
    _copy(lanes.move, back, 8 * d, 8 * d)
    _copy(lanes.shift, back, 16 * d, 16)
    _copy(lanes.own, back, 16 * d + 16, lanes.own.size)


@inner
def _rest(lanes, d, i):
    """Let lane i stay where it ended, or the burst began, and not disturb the others: it moves no
    more.
    """
    numbers, u, move, shift, back = lanes.numbers, lanes.u, lanes.move, lanes.shift, lanes.back
    numbers[i] = numbers[8 + i] = numbers[16 + i] = 0.0
    for j in range(d):
        u[8 * j + i], move[8 * j + i] = back[8 * j + i], back[8 * (d + j) + i]
    shift[i], shift[8 + i] = back[16 * d + i], back[16 * d + 8 + i]
    for j in range(i, lanes.own.size, 8):
        lanes.own[j] = back[16 * d + 16 + j]


@inner
def _mark(lanes, d, i):
    """Set lane i's mark to where it stands."""
    for j in range(d):
        lanes.mark[8 * j + i] = lanes.u[8 * j + i]
        lanes.mark[8 * (d + j) + i] = lanes.move[8 * j + i]
    for j in range(i, lanes.own.size, 8):
        lanes.mark[16 * d + j] = lanes.own[j]


@inner
def _repeats(lanes, d, i):
    """Whether lane i is, bit for bit in value, where it was at its mark."""
    same = True
    for j in range(d):
        same &= lanes.u[8 * j + i] == lanes.mark[8 * j + i]
        same &= lanes.move[8 * j + i] == lanes.mark[8 * (d + j) + i]
    for j in range(i, lanes.own.size, 8):
        same &= lanes.own[j] == lanes.mark[16 * d + j]
    return same


@inner
def _watched(job, lanes, views, records, k, row):
    """Mark the lanes that run at powers of two, and let those rest that repeat (Brent), with where
    they came to in the row that is next.
    """
    d = job.X.shape[1]
    for i in range(8):
        if lanes.status[i] == OK:
            if k & (k - 1) == 0:
                _mark(lanes, d, i)
            elif _repeats(lanes, d, i):
                lanes.status[i] = STALLED
                lanes.done[i], lanes.done[8 + i] = k, row
                _write(job, lanes, views, records, row, i)


@inner
def _looked(job, lanes, views, records, k, row):
    """How many lanes run at k; each that does is written down, if a row is due."""
    running = 0
    due = row < records.steps.size and records.steps[row] == k
    for i in range(8):
        if lanes.status[i] == OK:
            running += 1
            if due:
                _write(job, lanes, views, records, row, i)
            lanes.done[i], lanes.done[8 + i] = k, row + due
    return running, row + due


@inner
def _eight(job, lanes, records):
    """Run eight lanes from where they stand to the stop; how many still run."""
    steps, k, stop = records.steps, job.k, job.stop
    d, row = job.X.shape[1], lanes.done[8:].max()
    scratch, burst = views(lanes.work, job.X.shape[0], d), as_burst(job.burst)
    while True:
        running, row = _looked(job, lanes, scratch, records, k, row)
        if k >= stop or running == 0:
            return running
        end = min(stop, (k // REFRESH + 1) * REFRESH)
        if row < steps.size:
            end = min(end, steps[row])
        # a burst may leave numbers that are none
        _kept(lanes, d)
        burst(job.loss, job.one, job.two, job.X, plain(lanes), end - k)
        k = end
        for i in range(8):
            if lanes.status[i] == OK and _spoilt(lanes, d, i):
                lanes.status[i] = APART
            if lanes.status[i] != OK:
                _rest(lanes, d, i)
        # at the steps where the ordinary loop looks, too
        if k % REFRESH == 0:
            _watched(job, lanes, scratch, records, k, row)


@kernel
def abreast(job, groups, records):
    """Run groups of eight lanes as a job says, one after the other; how many lanes still run."""
    running, m, r, job = 0, lent(groups), lent(records), lent(job)
    for g in range(m.u.shape[0]):
        lanes = Lanes(m.numbers[g], m.y[g], m.u[g], m.move[g], m.at[g], m.own[g], m.mark[g],
                      m.shift[g], m.back[g], m.work[g], m.status[g], m.done[g])
        own = Records(r.steps, r.u[8 * g:8 * g + 8], r.log_loss[8 * g:8 * g + 8])
        running += _eight(job, lanes, own)
    return running
