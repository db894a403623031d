"""Driving the compiled loop from Python: in chunks cut by time, and so that Ctrl-C is answered even
within a long step.
"""
from __future__ import annotations

import _thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any

import numpy as np

from fastbias.engine.abi import (
    BURST,
    DONE,
    FILLED,
    HURRY,
    KNOWN,
    MESSAGES,
    OUTPUTS,
    Buffers,
    Params,
    Pieces,
    Records,
    Status,
    eights,
    padded,
    slabs,
)
from fastbias.engine.call import NOBODY, by_team
from fastbias.engine.compiled import JIT
from fastbias.engine.helpers import Parting, Team, at_work, away, ready, spare
from fastbias.engine.moves import COORDINATE
from fastbias.engine.shared import begin, end
from fastbias.engine.team import parts_room
from fastbias.engine.travel import ours
from fastbias.engine.weighing import inside

__all__ = ["Driver"]

CHUNK = 0.03  # seconds of compiled work between two looks at Python (signals, progress, callback)
# entries of X, or of what is laid out of it, from which one step is slow enough to run it in a
# thread that can be hurried
LARGE = 20_000_000
# entries of X (of sparse X each counts for several) from which it pays to share a pass, and in the
# updates of a chunk, from which it pays to have helpers for it
PAYS, WORTH, SPARSE = 100_000, 3_000_000, 10
# how much faster helpers must make it; chunks from so many seconds on tell; chunks until they are
# tried again, at first and at most
GAIN, TELLING, SOON, RETRY = 1.1, 1e-3, 16, 256
_STATUSES = frozenset(map(int, Status))


class Driver:
    """One run's pieces, numbers, data and memory, and how fast it was last seen to go.

    ``threads`` share a pass over X: so many, or "auto". Sparse rows are ``known`` once a chunk of a
    run has looked at them; who lets others write to them within it takes that back.
    """

    def __init__(self, pieces: Pieces, params: Params, X: np.ndarray, y: np.ndarray,
                 buffers: Buffers) -> None:
        self.pieces, self.params, self.X, self.y, self.buffers = pieces, params, X, y, buffers
        self.threads: int | str = "auto"
        self.pace = 0.0                                   # updates a second
        self._team = 1                                    # threads of the chunk under way
        self._leaving: list[Any] = []                     # helpers of the one before
        self._parts = np.empty(0)                         # theirs, once there were any
        self._alone = 0.0                                 # updates a second without helpers
        self._wait, self._retry = 0, SOON                 # chunks until helpers are tried again
        self._samples = y.size // max(1, -int(buffers.control[OUTPUTS]))
        self._slabs = int(slabs(self._samples, X.shape[1], buffers.control))
        self._left = b""  # u as the last run left it, where predictions are kept
        self.known = False                                # sparse rows, to an earlier chunk

    @property
    def t(self) -> int:
        """Updates done so far."""
        return int(self.buffers.control[DONE])

    def copy(self, buffers: Buffers) -> Driver:
        """The same run, going its own way in other buffers."""
        return Driver(self.pieces, self.params, self.X, self.y, buffers)

    def snapshot(self) -> dict[str, np.ndarray]:
        """What a checkpoint must hold beside the plan's buffers."""
        return {}

    def chunks(self, records: Records, stop: int, log_target: float, bar: Any) -> Iterator[Status]:
        """Run to ``stop`` in chunks, so that Python is never away for long; yields the status after
        each.
        """
        # begin with one: who knows what an update costs
        chunk, kept = max(1, int(self.pace * CHUNK)), self.buffers.kept
        self.known = False
        if kept.size and self._left not in (b"", self.buffers.u.tobytes()):
            kept[:self.y.size] = self.X @ self.buffers.u  # somebody has written to u since
        try:
            yield from self._cut(chunk, records, stop, log_target, bar)
        finally:
            self._leaving = away(self._leaving)

    def _cut(self, chunk: int, records: Records, stop: int, log_target: float,
             bar: Any) -> Iterator[Status]:
        """As `chunks`, beginning with so many updates."""
        kept = self.buffers.kept
        while True:
            begun, began = self.t, perf_counter()
            self._team = self._members(min(stop, begun + chunk) - begun)
            status = Status(self.chunk(records, min(stop, begun + chunk), log_target))
            took, self.known = perf_counter() - began, True
            self._judged((self.t - begun) / max(took, 1e-9), took)
            self._left = self.buffers.u.tobytes() if kept.size else b""
            if bar is not None:
                bar(self.t - begun)
            yield status
            if status != Status.OK or self.t >= stop:
                return
            self.pace = chunk / max(took, 1e-9)
            chunk = max(1, int(min(8.0, CHUNK / max(took, 1e-9)) * chunk))

    def _members(self, updates: int) -> int:
        """How many threads are to share the passes of so many updates."""
        if self._slabs == 1 or self.threads == 1 or not JIT:
            return 1
        control = self.buffers.control
        X = (self._samples * eights(self.X.shape[1]) if control[FILLED] == 0
             else SPARSE * int(control[FILLED])) * max(1, abs(int(control[OUTPUTS])))
        if updates * X < WORTH or not self._shareable:
            return 1
        self._leaving = away(self._leaving, 0.0)
        # they have had no core for so long, or were of no use; or who knows what it is like alone
        if self._leaving or self._wait > 0 or self._alone == 0.0:
            return 1
        members = (spare() if X >= PAYS else 1) if self.threads == "auto" else int(self.threads)
        members = min(members, self._slabs)
        # (what they do is compiled here, where Ctrl-C finds Python, not in the loop's own thread)
        return members if members == 1 or ready() else 1

    def _judged(self, pace: float, took: float) -> None:
        """After a chunk: where helpers did not make it faster, as on a machine that is busy, many
        of the next do without, and twice as many each time.
        """
        if self._team == 1:
            self._wait -= 1
            self._alone = pace if took > TELLING else self._alone
        elif pace < GAIN * self._alone:
            self._wait, self._retry = self._retry, min(2 * self._retry, RETRY)
        else:
            self._retry = SOON

    @property
    def _shareable(self) -> bool:
        """Whether others can help: not with bursts that keep their predictions, nor with a loss of
        the user's own, which may bear no more than one thread.
        """
        control, slope = self.buffers.control, KNOWN.get(self.pieces.slope)
        known = slope is not None and ours(slope.function)
        return (known or inside(control) != 0) and control[BURST] != COORDINATE

    @contextmanager
    def _sharing(self) -> Iterator[np.ndarray]:
        """The board of those who share the passes of a chunk, who are there in this block."""
        with at_work(self._team):
            if self._team == 1:
                yield NOBODY
                return
            N, K = self._samples, max(1, abs(int(self.buffers.control[OUTPUTS])))
            sizes = padded(K * N), padded(N), padded(K * self.X.shape[1])
            if self._parts.size == 0:
                self._parts = np.zeros(parts_room(N, self.X.shape[1], self.buffers.control))
            team = Team(self._team, sizes, self._parts, (self.params, self.y, self.buffers))
            try:
                with team as board:
                    yield board
            finally:
                self._leaving = team.left

    def chunk(self, records: Records, stop: int, log_target: float) -> int:
        """One call of the loop; where a step is slow, in a thread, which Ctrl-C makes come back in
        the middle of it.
        """
        def called(board: np.ndarray) -> None:
            answer.append(by_team(board, self.pieces, self.params, self.X, self.y, self.buffers,
                                  records, stop, log_target, known=self.known))

        def work() -> None:
            begin(self.buffers)
            try:
                if self._slabs == 1:
                    called(NOBODY)
                else:
                    with self._sharing() as board:
                        called(board)
            finally:
                end(self.buffers)

        answer: list[int] = []
        if max(self.X.size, self.buffers.packed.size) < LARGE:
            work()
        else:
            self._aside(work)
        if not answer or answer[0] not in _STATUSES:
            told = f"{answer[0]} ({MESSAGES.get(answer[0], 'unknown')})" if answer else "nothing"
            raise ValueError(f"a piece or the loop must return one of fb.Status, got {told}")
        return answer[0]

    def _aside(self, work: Callable[[], None]) -> None:
        """Have work done in a thread, and never leave while the loop may still write."""
        def begun() -> None:
            try:
                if _drawn(ticket):
                    work()
            finally:
                done.tell()

        ticket, done = [work], Parting()
        try:
            _thread.start_new_thread(begun, ())
            done.wait()
        finally:
            self.buffers.control[HURRY] = 1
            # (who is interrupted as it starts a thread does not know whether it has)
            while not done.over and not _drawn(ticket):
                # a second Ctrl-C changes nothing: one is under way
                with suppress(KeyboardInterrupt):
                    done.wait()
            self.buffers.control[HURRY] = 0


def _drawn(ticket: list[Any]) -> bool:
    """Whether this thread is the one that draws a ticket."""
    try:
        ticket.pop()
    except IndexError:
        return False
    return True
