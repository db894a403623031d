"""Eight tiny runs in the lanes of one vector: gradient descents on the same data, each with its own
numbers and start.

A tiny problem is bound by latency: one update waits for the one before, and the vector units idle.
Here lane i of every vector belongs to run i, so that eight runs (each with its own η, β, γ, u and
shift k0, see `fastbias.engine.dense_pass`) cost about as much as one. Nothing crosses lanes: a
run's bits do not depend on its neighbours, nor on where the work was cut.

A run ends for itself: with STALLED where its state repeats (as in `fastbias.engine.loop`), or,
where its numbers cease to be finite or its weights are out of reach, by being put back to where the
last 64 updates began, for the ordinary loop to go on from.
"""
from __future__ import annotations

from collections.abc import Hashable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.abi import (
    BURST,
    DONE,
    LOG_LOSS,
    ROW,
    SHIFT,
    WATCH,
    WEIGH,
    WEIGHTED,
    Records,
    Status,
)
from fastbias.engine.compiled import inner, kernel, pointer
from fastbias.engine.dense_pass import (
    LOG2E,
    LOGISTIC,
    NEVER,
    REACH,
    SQUARED,
    WINDOW,
    moved,
    weights,
)
from fastbias.engine.driver import CHUNK
from fastbias.engine.fused import GRADIENT, REFRESH
from fastbias.engine.shared import aligned
from fastbias.engine.simd import (
    absolute,
    fma,
    larger,
    load8,
    reaching,
    smaller,
    splat8,
    steady,
    store,
)
from fastbias.running.gram import LEAST

__all__ = ["WIDTH", "common", "run"]

WIDTH = 8
TINY = 64                          # of X: up to here a lane costs less than half of a single run
OK, STALLED, APART = int(Status.OK), int(Status.STALLED), -1  # APART: for the ordinary loop

_as_log_loss = pointer(LOG_LOSS)


class Lanes(NamedTuple):
    """The memory of eight runs of d parameters each: entry j of run i stands at 8 j + i."""

    numbers: Any  # (24,)    η, β, γ
    u: Any        # (8 d,)   parameters
    move: Any     # (8 d,)   the last moves Δu
    mark: Any     # (16 d,)  u and Δu at the last power of two
    shift: Any    # (16,)    k0 and 2^−k0
    back: Any     # (16 d + 16,)  u, Δu and shift as the burst under way began
    work: Any     # (9 (d + N + 1),)  scratch
    status: Any   # (8,)     int64: OK while it runs, STALLED or APART
    done: Any     # (16,)    int64: updates done, and rows written


@inner
def _shifted(loss, z, shift):
    """Let each lane have the k0 that suits its largest −m; whether any has moved."""
    any_moved = False
    for i in range(8):
        k0 = moved(loss, z[i], shift[i])
        if k0 != shift[i]:
            shift[i], shift[8 + i] = k0, 2.0 ** -k0
            any_moved = True
    return any_moved


class Views(NamedTuple):
    """The scratch of eight runs on (N, d) data, cut up."""

    at: Any  # (8 d,)  where gradients are taken
    q: Any   # (8 N,)  weights, row after row
    z: Any   # (8,)    the largest −m of each lane
    p: Any   # (N,)    one lane's predictions
    w: Any   # (d,)    and parameters


@inner
def _views(work, N, d):
    """``Lanes.work`` cut up."""
    q, z, p = 8 * d, 8 * (d + N), 8 * (d + N + 1)
    return Views(work[:q], work[q:z], work[z:p], work[p:p + N], work[p + N:p + N + d])


@inner
def _burst(loss, momentum, X, y, lanes, views, count):
    """``count`` updates of all lanes."""
    steady()
    numbers, u, move, shift = lanes.numbers, lanes.u, lanes.move, lanes.shift
    q8, z8 = views.q, views.z
    at = views.at if momentum else u                      # where the gradient is taken: u + γ Δu
    N, d = X.shape
    eta, beta, gamma, none = load8(numbers, 0), load8(numbers, 8), load8(numbers, 16), splat8(0.0)
    k0, es = load8(shift, 0), load8(shift, 8)
    step = eta * es
    if momentum:
        for j in range(0, 8 * d, 8):
            store(at, j, fma(load8(move, j), gamma, load8(u, j)))
    for _ in range(count):
        q = none  # of the last row, which everything waits for, not in memory
        while True:
            z = splat8(NEVER)
            for n in range(N):
                store(q8, 8 * n, q)                       # of the row before
                p = none
                for j in range(d):
                    p = fma(load8(at, 8 * j), X[n, j], p)
                factor = splat8(2.0 if loss == SQUARED else y[n])
                q, bound = weights(loss, splat8(y[n]), none, factor, p, k0, es)
                z = larger(bound, z)
            if loss == SQUARED:
                break
            k = z * LOG2E
            if loss == LOGISTIC:
                k = smaller(k, 0.0)
            if reaching(absolute(k + k0), WINDOW) == 0:
                break
            store(z8, 0, z)
            if not _shifted(loss, z8, shift):
                break
            k0, es = load8(shift, 0), load8(shift, 8)
            step = eta * es
        for j in range(d):
            g = q * X[N - 1, j]
            for n in range(N - 1):
                g = fma(load8(q8, 8 * n + 8), X[n, j], g)
            x = load8(u, 8 * j)
            if momentum:
                new = x + fma(load8(move, 8 * j), beta, g * step)
                store(at, 8 * j, fma(new - x, gamma, new))
            else:
                new = fma(g, step, x)
            store(move, 8 * j, new - x)
            store(u, 8 * j, new)


@inner
def _copy(a, b, start, size):
    """b[start:] ← a[:size]."""
    for i in range(size):
        b[start + i] = a[i]


@inner
def _write(value, data, lanes, views, records, row, i):
    """Row ``row`` of lane i: its parameters and their log loss."""
    (X, y, numbers), p, w = data, views.p, views.w
    N, d = X.shape
    for j in range(d):
        w[j] = lanes.u[8 * j + i]
        records.u[i, row, j] = w[j]
    for n in range(N):
        p[n] = 0.0
        for j in range(d):
            p[n] += X[n, j] * w[j]
    records.log_loss[i, row] = value(numbers, p, y)


@inner
def _spoilt(lanes, d, i):
    """Whether lane i has ceased to be finite, or its weights are out of reach."""
    spoilt = 0.0
    for j in range(d):
        spoilt += lanes.u[8 * j + i] * 0.0 + lanes.move[8 * j + i] * 0.0  # ∞ 0 and NaN 0 are NaN
    return spoilt != 0.0 or abs(lanes.shift[i]) >= REACH


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


@inner
def _mark(lanes, d, i):
    """Set lane i's mark to where it stands."""
    for j in range(d):
        lanes.mark[8 * j + i] = lanes.u[8 * j + i]
        lanes.mark[8 * (d + j) + i] = lanes.move[8 * j + i]


@inner
def _repeats(lanes, d, i):
    """Whether lane i is, bit for bit in value, where it was at its mark."""
    same = True
    for j in range(d):
        same &= lanes.u[8 * j + i] == lanes.mark[8 * j + i]
        same &= lanes.move[8 * j + i] == lanes.mark[8 * (d + j) + i]
    return same


@inner
def _watched(lanes, d, k, row):
    """Mark the lanes that run at powers of two, and let those rest that repeat (Brent)."""
    for i in range(8):
        if lanes.status[i] == OK:
            if k & (k - 1) == 0:
                _mark(lanes, d, i)
            elif _repeats(lanes, d, i):
                lanes.status[i] = STALLED
                lanes.done[i], lanes.done[8 + i] = k, row


@inner
def _looked(value, data, lanes, views, records, k, row):
    """How many lanes run at k; each that does is written down, if a row is due."""
    running = 0
    due = row < records.steps.size and records.steps[row] == k
    for i in range(8):
        if lanes.status[i] == OK:
            running += 1
            if due:
                _write(value, data, lanes, views, records, row, i)
            lanes.done[i], lanes.done[8 + i] = k, row + due
    return running, row + due


@kernel
def _abreast(log_loss, loss, data, lanes, records, k, row, stop):
    """Run the lanes from k to ``stop`` updates, writing rows from ``row`` on; how many lanes still
    run.

    ``data`` is X, y and the numbers of the piece log_loss; ``loss`` which one a pass weighs inside.
    """
    value, (X, y, _numbers), steps = _as_log_loss(log_loss), data, records.steps
    N, d = X.shape
    u, move, shift, back = lanes.u, lanes.move, lanes.shift, lanes.back
    views = _views(lanes.work, N, d)
    momentum = False  # `common` to all lanes, or rounding would depend on neighbours
    for i in range(8, 24):
        momentum |= lanes.numbers[i] != 0.0
    while True:
        running, row = _looked(value, data, lanes, views, records, k, row)
        if k >= stop or running == 0:
            return running
        ahead = min(stop, (k // REFRESH + 1) * REFRESH)
        if row < steps.size:
            ahead = min(ahead, steps[row])
        _copy(u, back, 0, 8 * d)
        _copy(move, back, 8 * d, 8 * d)
        _copy(shift, back, 16 * d, 16)
        _burst(loss, momentum, X, y, lanes, views, ahead - k)
        k = ahead
        for i in range(8):
            if lanes.status[i] == OK and _spoilt(lanes, d, i):
                lanes.status[i] = APART
            if lanes.status[i] != OK:
                _rest(lanes, d, i)
        if k % REFRESH == 0:
            _watched(lanes, d, k, row)


def common(plan: Any) -> Hashable | None:
    """What runs must have in common to share a vector; None for a plan that has no place in one."""
    control, X = plan.buffers.control, plan.problem.X
    # (weights would be one more vector, for all runs: those that have any go alone)
    if (control[BURST] != GRADIENT or not 0 < control[WEIGH] < WEIGHTED or control[WATCH] == 0
            or X.size > TINY
            or X.shape[1] >= LEAST                        # from there on Gram space may be chosen
            or plan.buffers.state.shape[0] > 1 or abs(control[SHIFT]) >= REACH):
        return None
    momentum = bool(plan.params.beta[0] or plan.params.gamma[0])
    return (X.shape, X.tobytes(), plan.problem.y.tobytes(), int(control[WEIGH]),
            plan.pieces.log_loss, plan.params.loss.tobytes(), momentum, int(control[DONE]))


def run(plans: Sequence[Any], rows: np.ndarray, stop: int,
        halt: Sequence[Any] = ()) -> list[tuple[Records, int]]:
    """Run up to eight plans that have all in `common` to ``stop``, in chunks, until ``halt`` is no
    longer empty.

    Each plan's buffers then stand where it came to; returned are its records, and OK, STALLED or
    APART.
    """
    problem, control = plans[0].problem, plans[0].buffers.control
    (N, d), L, data = problem.X.shape, len(plans), (problem.X, problem.y, plans[0].params.loss)
    memory = Lanes(aligned(24), aligned(8 * d), aligned(8 * d), aligned(16 * d), aligned(16),
                   aligned(16 * d + 16), aligned(9 * (d + N + 1)), np.full(8, APART),
                   np.zeros(16, np.int64))
    numbers, u, move, mark = (a.reshape(-1, 8) for a in memory[:4])
    memory.shift[8:], memory.status[:L] = 1.0, OK
    for i, plan in enumerate(plans):
        params, own = plan.params, plan.buffers
        numbers[:, i] = params.rule[0], params.beta[0], params.gamma[0]
        u[:, i], move[:, i], mark[:, i] = own.u, own.state[0], own.mark.ravel()
        memory.shift[[i, 8 + i]] = own.control[SHIFT], 2.0 ** -float(own.control[SHIFT])
    records = Records(rows, np.empty((L, rows.size, d)), np.empty((L, rows.size)))
    done, chunk = memory.done, REFRESH
    done[:8] = begun = int(control[DONE])
    try:
        while True:
            began = perf_counter()
            aim = min(stop, begun + chunk)
            running = _abreast(plans[0].pieces.log_loss, control[WEIGH], data, memory, records,
                              begun, int(done[8:].max()), aim)
            begun = aim
            if running == 0 or begun >= stop or halt:
                break
            chunk = max(1, int(min(8.0, CHUNK / max(perf_counter() - began, 1e-9)) * chunk))
    finally:
        for i, plan in enumerate(plans):
            own = plan.buffers
            own.u[:], own.state[0], own.mark[:] = u[:, i], move[:, i], mark[:, i].reshape(2, d)
            own.control[SHIFT] = memory.shift[i]
            own.control[DONE], own.control[ROW] = done[i], done[8 + i]
    return [(Records(rows, records.u[i], records.log_loss[i]), int(memory.status[i]))
            for i in range(L)]
