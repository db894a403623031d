"""Eight tiny runs in the lanes of one vector: gradient descents on the same X, each with its own
numbers, targets and start; and many such groups of eight, one after the other.

A tiny problem is bound by latency: one update waits for the one before, and the vector units idle.
Here lane i of every vector belongs to run i, so that eight runs (each with its own η, β, γ, y, u
and shift k0, see `fastbias.engine.dense_pass`) cost about as much as one. Nothing crosses lanes: a
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
    eights,
)
from fastbias.engine.compiled import inner, long_kernel, pointer
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

__all__ = ["APART", "WIDTH", "Ends", "Runs", "common", "go", "place", "run"]

WIDTH = 8
TINY = 64                          # of X: up to here a lane costs less than half of a single run
OK, STALLED, APART = int(Status.OK), int(Status.STALLED), -1  # APART: for the ordinary loop

_as_log_loss = pointer(LOG_LOSS)


class Lanes(NamedTuple):
    """The memory of eight runs of d parameters each: entry j of run i stands at 8 j + i. Of many
    such groups it has one more axis, the first.
    """

    numbers: Any  # (24,)    η, β, γ
    y: Any        # (8 N,)   targets
    u: Any        # (8 d,)   parameters
    move: Any     # (8 d,)   the last moves Δu
    mark: Any     # (16 d,)  u and Δu at the last power of two
    shift: Any    # (16,)    k0 and 2^−k0
    back: Any     # (16 d + 16,)  u, Δu and shift as the burst under way began
    work: Any     # (9 d + 10 N + 8,)  scratch
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
    w: Any   # (d,)    parameters
    y: Any   # (N,)    and targets


@inner
def _views(work, N, d):
    """``Lanes.work`` cut up."""
    q, z, p = 8 * d, 8 * (d + N), 8 * (d + N + 1)
    w, y = p + N, p + N + d
    return Views(work[:q], work[q:z], work[z:p], work[p:w], work[w:y], work[y:y + N])


@inner
def _burst(loss, momentum, X, lanes, views, count):
    """``count`` updates of all lanes."""
    steady()
    numbers, u, move, shift = lanes.numbers, lanes.u, lanes.move, lanes.shift
    y8, q8, z8 = lanes.y, views.q, views.z
    at = views.at if momentum else u                      # where the gradient is taken: u + γ Δu
    N, d = X.shape
    eta, beta, gamma = load8(numbers, 0), load8(numbers, 8), load8(numbers, 16)
    none, two = splat8(0.0), splat8(2.0)
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
                y = load8(y8, 8 * n)
                q, bound = weights(loss, y, none, two if loss == SQUARED else y, p, k0, es)
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
    (X, numbers), p, w, y = data, views.p, views.w, views.y
    N, d = X.shape
    for j in range(d):
        w[j] = lanes.u[8 * j + i]
        records.u[i, row, j] = w[j]
    for n in range(N):
        p[n], y[n] = 0.0, lanes.y[8 * n + i]
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
def _watched(value, data, lanes, views, records, k, row):
    """Mark the lanes that run at powers of two, and let those rest that repeat (Brent), with where
    they came to in the row that is next.
    """
    d = data[0].shape[1]
    for i in range(8):
        if lanes.status[i] == OK:
            if k & (k - 1) == 0:
                _mark(lanes, d, i)
            elif _repeats(lanes, d, i):
                lanes.status[i] = STALLED
                lanes.done[i], lanes.done[8 + i] = k, row
                _write(value, data, lanes, views, records, row, i)


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


@inner
def _abreast(value, loss, data, lanes, records, k, stop):
    """Run eight lanes from k to ``stop`` updates; how many still run.

    ``data`` is X and the numbers of the piece that is ``value``; ``loss`` which one a pass weighs
    inside.
    """
    X, steps = data[0], records.steps
    d, row = X.shape[1], lanes.done[8:].max()
    u, move, shift, back = lanes.u, lanes.move, lanes.shift, lanes.back
    views = _views(lanes.work, X.shape[0], d)
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
        _burst(loss, momentum, X, lanes, views, ahead - k)
        k = ahead
        for i in range(8):
            if lanes.status[i] == OK and _spoilt(lanes, d, i):
                lanes.status[i] = APART
            if lanes.status[i] != OK:
                _rest(lanes, d, i)
        if k % REFRESH == 0:
            _watched(value, data, lanes, views, records, k, row)


@long_kernel
def _all(log_loss, loss, data, groups, records, k, stop):
    """Run groups of eight lanes from k to ``stop``, one after the other; how many lanes still
    run.
    """
    value, running = _as_log_loss(log_loss), 0
    for g in range(groups.u.shape[0]):
        lanes = Lanes(groups.numbers[g], groups.y[g], groups.u[g], groups.move[g], groups.mark[g],
                      groups.shift[g], groups.back[g], groups.work[g], groups.status[g],
                      groups.done[g])
        own = Records(records.steps, records.u[8 * g:8 * g + 8],
                      records.log_loss[8 * g:8 * g + 8])
        running += _abreast(value, loss, data, lanes, own, k, stop)
    return running


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
    return (X.shape, X.tobytes(), int(control[WEIGH]), plan.pieces.log_loss,
            plan.params.loss.tobytes(), momentum, int(control[DONE]))


class Runs(NamedTuple):
    """Where L runs stand that have all in `common`."""

    numbers: np.ndarray  # (L, 3)   η, β, γ
    y: np.ndarray        # (L, N)
    u: np.ndarray        # (L, d)
    move: np.ndarray     # (L, d)
    mark: np.ndarray     # (L, 2 d)
    shift: np.ndarray    # (L,)


class Ends(NamedTuple):
    """Where they came to."""

    runs: Runs
    records: Records     # with a first axis of L; where one STALLED, the row after its last, too
    status: np.ndarray   # (L,)  OK, STALLED or APART
    done: np.ndarray     # (L,)  updates done
    rows: np.ndarray     # (L,)  rows written


def standing(plans: Sequence[Any]) -> Runs:
    """Where plans stand."""
    numbers = [(p.params.rule[0], p.params.beta[0], p.params.gamma[0]) for p in plans]
    own = [plan.buffers for plan in plans]
    return Runs(np.array(numbers), np.array([plan.problem.y for plan in plans]),
                np.array([b.u for b in own]), np.array([b.state[0] for b in own]),
                np.array([b.mark.ravel() for b in own]),
                np.array([float(b.control[SHIFT]) for b in own]))


def place(plan: Any, ends: Ends, i: int) -> Records:
    """Let a plan stand where run i came to; the run's records."""
    own, runs = plan.buffers, ends.runs
    own.u[:], own.state[0], own.mark[:] = runs.u[i], runs.move[i], runs.mark[i].reshape(2, -1)
    own.control[[SHIFT, DONE, ROW]] = runs.shift[i], ends.done[i], ends.rows[i]
    return Records(ends.records.steps, ends.records.u[i], ends.records.log_loss[i])


def _laid(values: np.ndarray, groups: int) -> np.ndarray:
    """Values (L, k) of runs as groups of eight lanes have them, (groups, 8 k), in whole vectors."""
    L, k = values.shape
    memory = aligned(groups * 8 * k).reshape(groups, k, 8)
    # lanes that nobody runs in meet zeros, which no weight of theirs makes infinite
    padded = np.zeros((groups * 8, k))
    padded[:L] = values
    memory[:] = padded.reshape(groups, 8, k).transpose(0, 2, 1)
    return memory.reshape(groups, 8 * k)


def _taken(memory: np.ndarray, L: int) -> np.ndarray:
    """The values (L, k) of what `_laid` laid out."""
    groups = memory.shape[0]
    return memory.reshape(groups, -1, 8).transpose(0, 2, 1).reshape(8 * groups, -1)[:L].copy()


def _room(like: Any, runs: Runs) -> Lanes:
    """The memory of groups of runs, as they stand."""
    (N, d), L = like.problem.X.shape, len(runs.u)
    groups = -(-L // WIDTH)
    status = np.full((groups, 8), APART)
    status.ravel()[:L] = OK
    shift = np.ones((groups * 8, 2))                      # also of lanes that nobody runs in
    shift[:L] = np.stack([runs.shift, 2.0 ** -runs.shift], 1)
    done = np.zeros((groups, 16), np.int64)
    done[:, :8] = like.buffers.control[DONE]
    work = eights(9 * d + 10 * N + 8)
    numbers, y, u, move, mark = (_laid(a, groups) for a in runs[:5])
    return Lanes(numbers, y, u, move, mark, _laid(shift, groups),
                 np.zeros((groups, 16 * d + 16)), aligned(groups * work).reshape(groups, work),
                 status, done)


def _advance(like: Any, memory: Lanes, records: Records, stop: int, halt: Sequence[Any]) -> None:
    """Run groups to ``stop``, in chunks, until ``halt`` is no longer empty."""
    control, chunk = like.buffers.control, REFRESH
    begun, data = int(control[DONE]), (like.problem.X, like.params.loss)
    while True:
        began, aim = perf_counter(), min(stop, begun + chunk)
        running = _all(like.pieces.log_loss, control[WEIGH], data, memory, records, begun, aim)
        begun = aim
        if running == 0 or begun >= stop or halt:
            return
        chunk = max(1, int(min(8.0, CHUNK / max(perf_counter() - began, 1e-9)) * chunk))


def _ends(runs: Runs, memory: Lanes, records: Records) -> Ends:
    """Where the runs of groups have come to."""
    L = len(runs.u)
    u, move, mark, shift, done = (
        _taken(a, L) for a in (memory.u, memory.move, memory.mark, memory.shift, memory.done))
    return Ends(Runs(runs.numbers, runs.y, u, move, mark, shift[:, 0]), records,
                memory.status.ravel()[:L].copy(), done[:, 0], done[:, 1])


def _records(rows: np.ndarray, runs: Runs) -> Records:
    L, d = runs.u.shape
    return Records(rows, np.empty((L, rows.size, d)), np.empty((L, rows.size)))


def go(like: Any, runs: Runs, rows: np.ndarray, stop: int, halt: Sequence[Any] = ()) -> Ends:
    """Run what has all in `common` with the plan ``like`` from where that stands to ``stop``, or
    until ``halt`` is no longer empty.
    """
    memory, records = _room(like, runs), _records(rows, runs)
    _advance(like, memory, records, stop, halt)
    return _ends(runs, memory, records)


def run(plans: Sequence[Any], rows: np.ndarray, stop: int,
        halt: Sequence[Any] = ()) -> list[tuple[Records, int]]:
    """Run plans that have all in `common` to ``stop``, or until ``halt`` is no longer empty.

    Each plan's buffers then stand where it came to; returned are its records, and OK, STALLED or
    APART.
    """
    runs = standing(plans)
    memory, records = _room(plans[0], runs), _records(rows, runs)
    try:
        _advance(plans[0], memory, records, stop, halt)
    finally:
        ends = _ends(runs, memory, records)
        own = [place(plan, ends, i) for i, plan in enumerate(plans)]
    return list(zip(own, ends.status.tolist(), strict=True))
