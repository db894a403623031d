"""What a worker of a sweep does in one go: up to eight plans in lanes of a vector, or a single one.

In a thread the plans themselves run. Another process is sent what is asked of them and where they
stand, makes them again and sends back where they came to. Large arrays, X above all, do not go with
every task but once to each worker, which keeps them by their digest: a task that finds one missing
says so at once, and is sent again with it (`fastbias.running.crew`).
"""
from __future__ import annotations

import hashlib
import os
import pickle
import socket
import weakref
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.abi import Records, Status
from fastbias.engine.helpers import alone
from fastbias.running import checkpoint as disk
from fastbias.running import lanes
from fastbias.running.course import Course
from fastbias.running.interruptions import Store
from fastbias.running.plan import Plan
from fastbias.running.targets import targets
from fastbias.trace.rows import planned

__all__ = ["Answer", "Ended", "Missing", "Post", "Task", "digest"]

LARGE = 1 << 12       # bytes from which an array is sent once
HELD = 1 << 30        # bytes of such arrays that a worker keeps


class Ended(NamedTuple):
    """How one run ended."""

    failure: Exception | None
    standing: tuple[disk.Arrays, disk.Record] | None = None   # from another process: where


class Answer(NamedTuple):
    """What another process made of a task."""

    worker: tuple[str, int]
    packed: bytes

    @property
    def runs(self) -> list[Ended]:
        """How the runs ended."""
        return _unpacked(self.packed)


class Missing(NamedTuple):
    """What a worker says that was not sent an array yet: which one."""

    worker: tuple[str, int]
    array: bytes


class Post:
    """What has been sent to anybody so far; and digests, which are taken once an array."""

    def __init__(self) -> None:
        self.sent: set[bytes] = set()
        self._known: dict[int, tuple[Callable[[], object], bytes]] = {}

    def digest(self, a: np.ndarray) -> bytes:
        """The digest of an array that nobody writes to."""
        alive, known = self._known.get(id(a), (lambda: None, b""))
        if alive() is not a:
            known = digest([a])
            self._known[id(a)] = weakref.ref(a), known
        return known

    def parcel(self, arrays: disk.Arrays, full: bool) -> tuple[Any, dict[str, bytes], Any]:
        """Arrays to be sent as they are, digests of the large ones, and of these those that have to
        go along: all, or those that were not sent to anybody.
        """
        known = {name: self.digest(a) for name, a in arrays.items()
                 if a.nbytes >= LARGE and name != "start"}
        along = {key: arrays[name] for name, key in known.items() if full or key not in self.sent}
        self.sent.update(along)
        return {name: a for name, a in arrays.items() if name not in known}, known, along


def digest(arrays: Iterable[np.ndarray]) -> bytes:
    """A digest of arrays: their dtypes, shapes and bytes."""
    total = hashlib.blake2b(digest_size=32)
    for a in arrays:
        total.update(f"{a.dtype.str} {a.shape} ".encode())
        total.update(np.ascontiguousarray(a).data if a.size else b"")
    return total.digest()


@dataclass(eq=False)
class Task:
    """Plans that all stand at the same step, and what they are to do."""

    members: list[int]
    plans: list[Plan]
    rows: np.ndarray
    stop: int
    until: float | None
    together: bool
    post: Post
    full: bool = field(default=False)         # whether to send every array along
    meant: Missing | None = field(default=None)   # and to whom, who lacked which

    def __call__(self, halt: list[bool]) -> list[Ended]:
        """Run them; how each ended."""
        # numpy's own settings are each thread's: a pool's are not those of who called
        # a run says for itself where its numbers cease to be finite
        with np.errstate(all="ignore"), alone():
            if not self.together:
                return [Ended(self._alone(plan, halt)) for plan in self.plans]
            ends = lanes.run(self.plans, self.rows, self.stop, halt)
            return [Ended(self._ended(plan.course, *end, halt))
                    for plan, end in zip(self.plans, ends, strict=True)]

    def _alone(self, plan: Plan, halt: list[bool]) -> Exception | None:
        def look() -> None:
            if halt:
                raise StopIteration
        try:
            n = plan.problem.start.size
            rows = planned(self.rows, plan.t, self.stop, n + 1)
            # (among many that are tried out, none is told which step size would do)
            plan.course.go(Records(rows, np.empty((rows.size, n)), np.empty(rows.size)), self.stop,
                           targets(self.until, None), False, look,
                           Store(None, np.inf, plan.save))
        except Exception as error:
            return error
        return None

    def _ended(self, course: Course, records: Records, end: int,
               halt: list[bool]) -> Exception | None:
        """After its time in a lane: go on in the ordinary loop if need be, and keep the trace."""
        try:
            course.status = Status(max(end, 0))
            if end == lanes.APART:
                course.finish(records, self.stop, halt)
            message = None
            if halt and course.status == Status.OK and course.t < self.stop:
                message = f"interrupted at step {course.t}"
            # the rows to write down are those of all lanes: a trace has its own
            own = records._replace(steps=records.steps.copy())
            course.trace = course.traced(own, course.status, message)
        except Exception as error:
            return error
        return None

    def over(self, plan: Plan) -> bool:
        """Whether a plan did what it was to do, or came to its end before."""
        return plan.t >= self.stop or (plan.trace is not None and plan.trace.status != Status.OK)

    def __reduce__(self) -> tuple[Callable[..., Sent], tuple[Any, ...]]:
        """Pickle the task as what another process needs, which makes a `Sent` of it."""
        along: dict[bytes, np.ndarray] = {}
        plans = [self._parts(plan, along) for plan in self.plans]
        return Sent, (_packed((self.rows, self.stop, self.until, self.together, plans)), along)

    def _parts(self, plan: Plan, along: dict[bytes, np.ndarray]) -> Parts:
        arrays, about = disk.asked(plan)
        here, stands = disk.standing(plan.course)
        # (the rows of a run before are of no use there)
        here = {name: a for name, a in here.items() if not name.startswith("trace_")}
        stands = {name: stands[name] for name in ("status", "gram")}
        own = {part: getattr(plan.problem, part) for part in disk.own(about)}
        plain, known, large = self.post.parcel(arrays, self.full)
        along |= large
        return Parts(plain | here, known, about | stands | {"format": disk.FORMAT}, own)


class Parts(NamedTuple):
    """A plan on its way."""

    arrays: disk.Arrays
    known: dict[str, bytes]            # digests of the arrays that a worker keeps
    about: disk.Record
    own: dict[str, Any]                # pieces of the user's own


def _packed(thing: object) -> bytes:
    """A thing on its way: most of a run's memory is zeros, and of its record words."""
    return zlib.compress(pickle.dumps(thing), 1)


def _unpacked(raw: bytes) -> Any:
    return pickle.loads(zlib.decompress(raw))


@dataclass(eq=False)
class Sent:
    """A `Task` in another process."""

    packed: bytes
    along: dict[bytes, np.ndarray]     # large arrays that were sent with it

    def __call__(self, halt: list[bool]) -> Answer | Missing:
        """Make the plans again and run them; or say which array is missing."""
        # threads of one process share what it keeps, and machines may have equal numbers
        worker = socket.gethostname(), os.getpid()
        rows, stop, until, together, parts = _unpacked(self.packed)
        _HELD.update(self.along)
        plans = []
        for one in parts:
            for key in one.known.values():
                if key not in _HELD:
                    return Missing(worker, key)
            held = {name: _HELD[key] for name, key in one.known.items()}
            plans.append(disk.made(Plan, one.arrays | held, one.about, **one.own))
        _forget()
        runs = Task([], plans, rows, stop, until, together, Post())(halt)
        return Answer(worker, _packed([Ended(run.failure, disk.standing(plan.course))
                                       for run, plan in zip(runs, plans, strict=True)]))


_HELD: dict[bytes, np.ndarray] = {}


def _forget() -> None:
    """Let go of the arrays that came first, where there are too many."""
    total = sum(a.nbytes for a in _HELD.values())
    for key in list(_HELD):
        if total <= HELD:
            return
        total -= _HELD.pop(key).nbytes
