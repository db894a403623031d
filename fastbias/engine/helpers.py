"""How many threads a run may have, and those that help its own one through a chunk of it.

They live for as long as the loop is away from Python, some hundredths of a second: nothing of them
is there when a process forks after a run, and Ctrl-C finds the leader alone.
"""
from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import CDLL, c_void_p, cast
from functools import cache
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import numba
import numpy as np

from fastbias.engine.compiled import JIT, callback
from fastbias.engine.passes import LEAD, assist, lead
from fastbias.engine.team import BOARD, LEAD_AT, LINE, PARTS_AT, STOP, YIELD

__all__ = ["VARIABLE", "Parting", "Team", "alone", "at_work", "away", "ready", "spare"]

VARIABLE = "FASTBIAS_NUM_THREADS"
"""The environment variable that says how many threads "auto" is at most."""
LEAVE = 1e-3          # seconds that a chunk waits for its helpers to go; a run waits for them

_HERE = threading.local()
_AT_WORK: dict[int, int] = {}         # by the leader's number, the threads of runs under way


@contextmanager
def alone() -> Iterator[None]:
    """Runs of this thread have it to themselves in this block: as many go on beside them."""
    before, _HERE.alone = getattr(_HERE, "alone", False), True
    try:
        yield
    finally:
        _HERE.alone = before


def spare() -> int:
    """How many threads a run may have that leaves it to us."""
    if getattr(_HERE, "alone", False) or current_process().daemon or _works_for_dask():
        return 1
    me = threading.get_ident()
    others = sum(count for leader, count in list(_AT_WORK.items()) if leader != me)
    return max(1, min(_cpus() - others, vars(numba.config)["NUMBA_NUM_THREADS"], _allowed()))


def _works_for_dask() -> bool:
    """Whether this is a task of `dask.distributed`, which has a worker for each core."""
    try:
        sys.modules["distributed"].get_worker()
    except (KeyError, AttributeError, ValueError):
        return False
    return True


def _cpus() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), _quota())
    return os.cpu_count() or 1


@cache
def _quota() -> int:
    """How many CPUs' time a container may take; as many as there are where nothing says so."""
    try:
        most, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, int(most) // int(period))
    except (OSError, ValueError):                         # no such file; "max"
        return os.cpu_count() or 1


def _allowed() -> int:
    """What the environment says."""
    told = os.environ.get(VARIABLE, "")
    if not told:
        return sys.maxsize
    if not (told.isdecimal() and int(told) >= 1):
        raise ValueError(f"{VARIABLE} must be a whole number >= 1, got {told!r}")
    return int(told)


@contextmanager
def at_work(threads: int) -> Iterator[None]:
    """Others count these threads of a run in this block."""
    me = threading.get_ident()
    _AT_WORK[me] = threads
    try:
        yield
    finally:
        _AT_WORK.pop(me, None)


if hasattr(os, "register_at_fork"):   # whose other threads are not there
    os.register_at_fork(after_in_child=_AT_WORK.clear)


@cache
def _yield() -> int:
    """The address of what offers the core to others; 0 where it is not known."""
    with suppress(OSError, AttributeError):
        if sys.platform == "win32":
            from ctypes import windll
            return cast(windll.kernel32.SwitchToThread, c_void_p).value or 0
        return cast(CDLL(None).sched_yield, c_void_p).value or 0
    return 0


@cache
def _lead() -> Any:
    """What a leader does in a pass."""
    return callback(lead, LEAD, long=True)


@cache
def ready() -> bool:
    """Whether there can be helpers; what they and who leads them do is compiled by then, or
    loaded.
    """
    if not JIT or not _yield():
        return False
    none = np.empty(0)
    board = _board(1, none)
    board[STOP] = 1
    assist(board, 0, none, none, none)
    return True


def _board(members: int, parts: np.ndarray) -> np.ndarray:
    """A board for a team, which begins where a pair of cache lines does."""
    size = BOARD + LINE * members
    memory = np.zeros(size + LINE, np.int64)
    start = -memory.ctypes.data % (8 * LINE) // 8
    board = memory[start:start + size]
    board[YIELD], board[LEAD_AT] = _yield(), _lead().address
    board[PARTS_AT] = parts.ctypes.data
    return board


class Parting:
    """When a thread has done its work: it says so, and one other waits for that.

    A flag beside the lock: who is interrupted just as a lock is handed over does not know that it
    has it, and would wait for ever (`threading.Event` has such a lock inside).
    """

    __slots__ = ("_lock", "over")

    def __init__(self) -> None:
        self.over = False
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def tell(self) -> None:
        """It is over: once, by the thread itself."""
        self.over = True
        self._lock.release()

    def wait(self, patience: float = -1.0) -> bool:
        """Wait until it is, so many seconds at most (−1: for ever); whether it is."""
        if not self.over:
            self._lock.acquire(timeout=patience)
        return self.over


class Team:
    """A context in which so many threads, this one among them, share what is on ``board``.

    Parameters
    ----------
    members : int
    sizes : tuple of int
        How many numbers a helper has for predictions, their weights and a gradient.
    parts : (·,) array
        Room for the gradients of slabs, see `fastbias.engine.team.parts_room`.
    held : object
        What the board has addresses in, kept while a helper may still look there.
    """

    def __init__(self, members: int, sizes: tuple[int, int, int], parts: np.ndarray,
                 held: object) -> None:
        self.board, self.sizes, self.held = _board(members, parts), sizes, (parts, held)
        self.left: list[Parting] = []

    def __enter__(self) -> np.ndarray:
        # (no threading.Thread: its start waits for the thread, which may have to wait for a core)
        for me in range(1, (self.board.size - BOARD) // LINE):
            left, own = Parting(), [np.zeros(size) for size in self.sizes]
            try:
                _thread.start_new_thread(_help, (left, self.held, self.board, me, own))
            except RuntimeError:                          # there are too many: then with fewer
                break
            self.left.append(left)
        return self.board

    def __exit__(self, *error: object) -> None:
        self.board[STOP] = 1
        self.left = away(self.left, LEAVE)


def away(left: list[Parting], patience: float = -1.0) -> list[Parting]:
    """Wait for helpers to go, so many seconds for each (−1: until they have); who is left."""
    interrupted: KeyboardInterrupt | None = None
    for one in left:
        while True:
            try:
                one.wait(patience)
                break
            except KeyboardInterrupt as signal:           # it waits a moment, and is not lost
                interrupted = signal
    if interrupted is not None:
        raise interrupted
    return [one for one in left if not one.over]


def _help(left: Parting, held: object, board: np.ndarray, me: int, own: list[np.ndarray]) -> None:
    """What a helper does."""
    try:
        assist(board, me, *own)
    finally:
        left.tell()
