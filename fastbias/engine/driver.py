"""Driving the compiled loop from Python: in chunks cut by time, and so that Ctrl-C is answered even
within a long step.
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np

from fastbias.engine.abi import DONE, HURRY, MESSAGES, Buffers, Params, Pieces, Records, Status
from fastbias.engine.call import descend
from fastbias.engine.shared import begin, end

__all__ = ["Driver"]

CHUNK = 0.03  # seconds of compiled work between two looks at Python (signals, progress, callback)
# entries of X, or of what is laid out of it, from which one step is slow enough to run it in a
# thread that can be hurried
LARGE = 20_000_000


class Driver:
    """One run's pieces, numbers, data and memory, and how fast it was last seen to go."""

    def __init__(self, pieces: Pieces, params: Params, X: np.ndarray, y: np.ndarray,
                 buffers: Buffers) -> None:
        self.pieces, self.params, self.X, self.y, self.buffers = pieces, params, X, y, buffers
        self.pace = 0.0                                   # updates a second
        self._left = b""  # u as the last run left it, where predictions are kept

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
        if kept.size and self._left not in (b"", self.buffers.u.tobytes()):
            kept[:self.y.size] = self.X @ self.buffers.u  # somebody has written to u since
        while True:
            begun, began = self.t, perf_counter()
            status = Status(self.chunk(records, min(stop, begun + chunk), log_target))
            took = perf_counter() - began
            self._left = self.buffers.u.tobytes() if kept.size else b""
            if bar is not None:
                bar(self.t - begun)
            yield status
            if status != Status.OK or self.t >= stop:
                return
            self.pace = chunk / max(took, 1e-9)
            chunk = max(1, int(min(8.0, CHUNK / max(took, 1e-9)) * chunk))

    def chunk(self, records: Records, stop: int, log_target: float) -> int:
        """One call of the loop; where a step is slow, in a thread, which Ctrl-C makes come back in
        the middle of it.
        """
        def work() -> None:
            begin(self.buffers)
            try:
                answer.append(int(descend(self.pieces, self.params, self.X, self.y, self.buffers,
                                          records, stop, log_target)))
            finally:
                end(self.buffers)
                done.set()

        answer: list[int] = []
        done = threading.Event()
        if max(self.X.size, self.buffers.packed.size) < LARGE:
            work()
        else:
            thread = threading.Thread(target=work, daemon=True)
            try:
                thread.start()
                done.wait()
            finally:  # never leave while the loop may still write; an Event, because
                # an interrupted Thread.join takes a running thread for ended
                self.buffers.control[HURRY] = 1
                while not done.is_set() and thread in threading.enumerate():
                    # a second Ctrl-C changes nothing: one is under way
                    with suppress(KeyboardInterrupt):
                        done.wait(0.1)
                self.buffers.control[HURRY] = 0
        if not answer or answer[0] not in set(Status):
            told = f"{answer[0]} ({MESSAGES.get(answer[0], 'unknown')})" if answer else "nothing"
            raise ValueError(f"a piece or the loop must return one of fb.Status, got {told}")
        return answer[0]
