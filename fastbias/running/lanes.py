"""Tiny runs that share a vector: which may, and how they get in and out of its lanes.

A tiny problem is bound by latency: one update waits for the one before, and the vector units idle.
So runs on the same X, by the same method, each with its own numbers, targets and start, go eight at
a time (`fastbias.running.lanes_loop`), by moves that are twins of their pieces
(`fastbias.running.lanes_moves`).
"""
from __future__ import annotations

from collections.abc import Hashable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.abi import (
    BATCH,
    BURST,
    DONE,
    LINEAR,
    ROW,
    SHIFT,
    WATCH,
    WEIGH,
    WEIGHTED,
    Records,
    eights,
)
from fastbias.engine.compiled import JIT
from fastbias.engine.dense_pass import REACH
from fastbias.engine.driver import CHUNK
from fastbias.engine.moves import REFRESH
from fastbias.engine.shared import aligned
from fastbias.running.buffers import handed
from fastbias.running.gram import LEAST
from fastbias.running.lanes_burst import Lanes, made
from fastbias.running.lanes_loop import APART, OK, Job, abreast
from fastbias.running.lanes_moves import Twin, twin

__all__ = ["APART", "WIDTH", "Ends", "Runs", "common", "go", "place", "run", "standing"]

WIDTH = 8
TINY = 64                          # of X: up to here a lane costs less than half of a single run


def common(plan: Any) -> Hashable | None:
    """What runs must have in common to share a vector; None for a plan that has no place in one."""
    control, X, params = plan.buffers.control, plan.problem.X, plan.params
    # (weights would be one more vector, for all runs: those that have any go alone)
    if (not 0 < control[WEIGH] < WEIGHTED or not control[LINEAR] or control[BATCH]
            or not plan.problem.method.bare
            or control[WATCH] == 0 or not plan.problem.rule.fixed
            or params.beta.size > 1 or params.gamma.size > 1
            # not one that the pieces took over for good
            or control[BURST] != plan.problem.method.burst or abs(control[SHIFT]) >= REACH
            or X.size > TINY
            or X.shape[1] >= LEAST):                      # from there on Gram space may be chosen
        return None
    moving = bool(params.beta[0] or params.gamma[0])
    how = twin(plan.problem.method, moving)
    if how is None or plan.buffers.state.shape[0] != 1 + how.rows + how.zeros:
        return None
    return (X.shape, X.tobytes(), int(control[WEIGH]), plan.pieces, params.loss.tobytes(),
            params.method.tobytes(), params.geometry.tobytes(), moving, int(control[DONE]))


def _twin(plan: Any, runs: Runs) -> Twin:
    """How runs go that have all in `common` with a plan, up to momentum."""
    how = twin(plan.problem.method, bool(runs.numbers[:, 1:].any()))
    assert how is not None
    return how


class Runs(NamedTuple):
    """Where L runs stand that have all in `common`."""

    numbers: np.ndarray  # (L, 3)   η, β, γ
    y: np.ndarray        # (L, N)
    u: np.ndarray        # (L, d)
    move: np.ndarray     # (L, d)
    own: np.ndarray      # (L, r d)        the method's own rows of state, r ≤ 1 of them
    mark: np.ndarray     # (L, (2 + r) d)
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
    numbers = np.array([(p.params.rule[0], p.params.beta[0], p.params.gamma[0]) for p in plans])
    how, own = twin(plans[0].problem.method, bool(numbers[:, 1:].any())), [p.buffers for p in plans]
    rows = how.rows if how is not None else 0
    return Runs(numbers, np.array([plan.problem.y for plan in plans]),
                np.array([b.u for b in own]), np.array([b.state[0] for b in own]),
                np.array([b.state[1:1 + rows].ravel() for b in own]),
                np.array([b.mark[:2 + rows].ravel() for b in own]),
                np.array([float(b.control[SHIFT]) for b in own]))


def place(plan: Any, ends: Ends, i: int) -> Records:
    """Let a plan stand where run i came to; the run's records."""
    buffers, runs, d = plan.buffers, ends.runs, ends.runs.u.shape[1]
    rows = runs.own.shape[1] // d
    buffers.u[:], buffers.state[0] = runs.u[i], runs.move[i]
    buffers.state[1:1 + rows] = runs.own[i].reshape(rows, d)
    buffers.mark[:2 + rows] = runs.mark[i].reshape(2 + rows, d)
    buffers.control[[SHIFT, DONE, ROW]] = runs.shift[i], ends.done[i], ends.rows[i]
    if buffers.kept.size:             # predictions that coordinate descent keeps
        buffers.kept[:plan.problem.y.size] = plan.problem.X @ buffers.u
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
    numbers, y, u, move, own, mark = (_laid(a, groups) for a in runs[:6])
    at = _laid(runs.u, groups)
    return Lanes(numbers, y, u, move, at, own, mark, _laid(shift, groups),
                 np.zeros((groups, 16 * d + 16 + own.shape[1])),
                 aligned(groups * work).reshape(groups, work), status, done)


def _advance(like: Any, how: Twin, memory: Lanes, records: Records, stop: int,
             halt: Sequence[Any]) -> None:
    """Run groups to ``stop``, in chunks, until ``halt`` is no longer empty."""
    control, chunk = like.buffers.control, REFRESH
    begun = int(control[DONE])
    burst = made(how.burst)
    job = Job(burst.address if JIT else burst, like.pieces.log_loss, like.params.loss,
              int(control[WEIGH]), *how.numbers, handed(like.problem.X), begun, stop)
    while True:
        began, aim = perf_counter(), min(stop, begun + chunk)
        running = abreast(job._replace(k=begun, stop=aim), memory, records)
        begun = aim
        if running == 0 or begun >= stop or halt:
            return
        chunk = max(1, int(min(8.0, CHUNK / max(perf_counter() - began, 1e-9)) * chunk))


def _ends(runs: Runs, memory: Lanes, records: Records) -> Ends:
    """Where the runs of groups have come to."""
    L = len(runs.u)
    u, move, own, mark, shift, done = (
        _taken(a, L) for a in (memory.u, memory.move, memory.own, memory.mark, memory.shift,
                               memory.done))
    return Ends(Runs(runs.numbers, runs.y, u, move, own, mark, shift[:, 0]), records,
                memory.status.ravel()[:L].copy(), done[:, 0], done[:, 1])


def _records(rows: np.ndarray, runs: Runs) -> Records:
    L, d = runs.u.shape
    return Records(rows, np.empty((L, rows.size, d)), np.empty((L, rows.size)))


def go(like: Any, runs: Runs, rows: np.ndarray, stop: int, halt: Sequence[Any] = ()) -> Ends:
    """Run what has all in `common` with the plan ``like`` from where that stands to ``stop``, or
    until ``halt`` is no longer empty.
    """
    memory, records = _room(like, runs), _records(rows, runs)
    _advance(like, _twin(like, runs), memory, records, stop, halt)
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
        _advance(plans[0], _twin(plans[0], runs), memory, records, stop, halt)
    finally:
        ends = _ends(runs, memory, records)
        own = [place(plan, ends, i) for i, plan in enumerate(plans)]
    return list(zip(own, ends.status.tolist(), strict=True))
