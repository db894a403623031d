"""Handing tasks out to an executor, and taking in what comes back: a few at a time, so that a sweep
of any size is never in memory as a whole, and Ctrl-C finds little that waits.
"""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any

from fastbias.running.tasks import Answer, Missing

__all__ = ["hand_out"]

PATIENCE = 0.8        # seconds that Ctrl-C waits for tasks to see it, which look after each chunk
AHEAD = 4             # tasks for each worker, one of which it works at

Taken = Callable[[Any, Any], None]


def hand_out(pool: Executor, tasks: Iterator[Any], take: Taken) -> None:
    """Let an executor do all tasks; ``take(task, answer)`` is told each as it ends.

    The answer is what ``task(halt)`` returned, or the Exception with which the executor failed it.
    """
    halt: list[bool] = []
    crew = _Crew(pool, tasks, halt)
    try:
        for task, answer in crew.ended():
            take(task, answer)
    except BaseException:
        # which threads see, and go on to their next look at Python
        halt.append(True)
        # (of these some have ended: a store keeps them)
        for task, answer in crew.stopped():
            take(task, answer)
        raise


def _work(task: Callable[[list[bool]], Any], halt: list[bool]) -> Any:
    """Do a task, in any thread or process."""
    return task(halt)


class _Crew:
    """An executor, what it works at, and who of it was sent what."""

    def __init__(self, pool: Executor, tasks: Iterator[Any], halt: list[bool]) -> None:
        self.pool, self.tasks, self.halt = pool, tasks, halt
        self.waiting: dict[Future[Any], Any] = {}
        self.again: deque[Any] = deque()
        self.promised: set[Missing] = set()               # who lacks an array that is under way
        self.most = AHEAD * _workers(pool)

    def ended(self) -> Iterator[tuple[Any, Any]]:
        """Each task and its answer, as they come."""
        while True:
            yield from self._fill()
            if not self.waiting:
                return
            done = wait(self.waiting, return_when=FIRST_COMPLETED).done
            # in the order they were handed out: what comes back is a set, in no order
            for future in [future for future in self.waiting if future in done]:
                task, answer = self.waiting[future], _answer(future)
                # it is there by now, or came to somebody else
                self.promised.discard(getattr(task, "meant", None))
                if isinstance(answer, Missing):
                    self._send_again(task, answer)
                else:
                    yield task, answer.runs if isinstance(answer, Answer) else answer
                # only now: Ctrl-C while it is taken in must not lose it
                del self.waiting[future]

    def _fill(self) -> Iterator[tuple[Any, Any]]:
        """Hand out as many as may wait; those that cannot be, with why."""
        while len(self.waiting) < self.most:
            task = self.again.popleft() if self.again else next(self.tasks, None)
            if task is None:
                return
            try:
                self.waiting[self.pool.submit(_work, task, self.halt)] = task
            except Exception as error:                    # it is broken, or shut down
                yield task, error

    def _send_again(self, task: Any, asked: Missing) -> None:
        """A task that came to a worker without an array: with it, unless it is under way there."""
        task.full = asked not in self.promised
        task.meant = asked if task.full else None
        if task.full:
            self.promised.add(asked)
        self.again.append(task)

    def stopped(self) -> Iterator[tuple[Any, Any]]:
        """Drop what waits, give the others some time, and yield those that have ended."""
        left = [future for future in self.waiting if not future.cancel()]
        for future in wait(left, PATIENCE).done:
            answer = _answer(future)
            if isinstance(answer, Answer):
                answer = answer.runs
            if not isinstance(answer, (Missing, Exception)):
                yield self.waiting[future], answer


def _answer(future: Future[Any]) -> Any:
    """What a future came to; the executor's own failure (it could not send, or lost a worker)."""
    try:
        return future.result()
    except Exception as error:
        return error


def _workers(pool: Executor) -> int:
    """How many tasks an executor does at a time, as far as it says so."""
    known = getattr(pool, "_max_workers", None)
    client = getattr(pool, "_client", None)               # of dask.distributed
    if client is not None:
        known = sum(client.ncores().values())
    return known if isinstance(known, int) and known > 0 else max(16, os.cpu_count() or 1)
