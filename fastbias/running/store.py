"""A folder that keeps what the runs of a sweep came to, each as it ends.

A file is named by a digest of all that its run depends on: data, pieces, parameters, where the plan
stood, which rows, and until when. So a sweep that is called again, with more points or on another
machine, finds what there is and goes on with what is missing, and a file that belongs to something
else is never found. Files are written whole or not at all (`fastbias.checks.files`), and end with a
digest of their bytes: one that is damaged counts as missing, with a warning.
"""
from __future__ import annotations

import builtins
import io
import json
import os
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks import files
from fastbias.engine import cache
from fastbias.engine.abi import HURRY, KNOWN, PACKED, ROW, Status
from fastbias.engine.compiled import JIT
from fastbias.running import checkpoint as disk
from fastbias.running.course import FATAL
from fastbias.running.plan import Plan
from fastbias.running.tasks import Post, Task, digest
from fastbias.running.template import Band, Rows

__all__ = ["Store"]

FORMAT = 1            # one higher whenever files of before would be misread
ABOUT = "fastbias-sweep.json"
PASSING = [ROW, HURRY, PACKED]         # entries of control that say nothing of what comes


class Store:
    """The outcomes of runs in a folder.

    Parameters
    ----------
    folder : path
        Is made where it is missing.
    retry_failed : bool
        Whether runs that failed count as missing.

    Raises
    ------
    ValueError
        Where there is something else, or a store of another format.
    OSError
        Where it cannot be written to.
    """

    def __init__(self, folder: str | os.PathLike[str], retry_failed: bool) -> None:
        self.folder, self.retry = checks.filename("store", folder), retry_failed
        self.post = Post()
        if os.path.exists(self.folder) and not os.path.isdir(self.folder):
            raise ValueError(f"store must be a folder, got the file {self.folder!r}")
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.folder, ABOUT)
        if not os.path.exists(path):
            if os.listdir(self.folder):
                raise ValueError("store must be an empty folder or one that a sweep wrote, got "
                                 f"{self.folder!r} with other files in it")
            self._sign(path)
        with open(path, "rb") as file:
            found = _parsed(file.read(1 << 12))
        if found.get("format") != FORMAT:
            raise ValueError(f"store must be of format {FORMAT}, got "
                             f"{checks.short(found.get('format'))} in {path!r}: give another "
                             "folder")
        if found.get("sources") != cache.PACKAGE:
            warnings.warn("the store was written by another version of fastbias, whose bits need "
                          "not be those of this one: all runs are done again", RuntimeWarning,
                          stacklevel=4)
            self._sign(path)

    def _sign(self, path: str) -> None:
        files.write(path, json.dumps({"format": FORMAT, "sources": cache.PACKAGE}).encode())

    def key(self, task: Task, plan: Plan) -> str:
        """The name of what a plan of a task comes to."""
        asked, about = disk.asked(plan)
        here, stands = disk.standing(plan.course)
        here = {name: a for name, a in here.items() if not name.startswith("trace_")}
        # what a run before left there, and no run reads
        here["control"][PASSING] = 0
        # pieces by what they do and their numbers: a recipe also tells a seed that nothing draws by
        arrays = {name: a for name, a in asked.items() if not name.startswith("array")}
        told = {name: what for name, what in about.items() if name not in disk.PARTS}
        text = json.dumps([told, stands["status"], stands["gram"], task.stop, cache.PACKAGE, JIT,
                           None if task.until is None else task.until.hex(), sorted(arrays),
                           sorted(here), list(_code(plan))], sort_keys=True)
        known = b"".join(self.post.digest(a) for _, a in sorted(arrays.items()))
        return digest([np.frombuffer(text.encode() + known, np.uint8), task.rows,
                       *(a for _, a in sorted(here.items()))]).hex()

    def band_key(self, band: Band) -> str:
        """The name of what the runs of a band come to."""
        whole = Task([], [band.template], band.rows, band.stop, None, True, self.post)
        key = self.key(whole, band.template).encode()
        return digest([np.frombuffer(key, np.uint8), *band.runs]).hex()

    def find_band(self, key: str, band: Band) -> Rows | None:
        """What the runs of a band came to, if that was kept."""
        kept = self._read(key)
        if kept is None:
            return None
        L, d = band.runs.u.shape
        K = band.rows.size
        try:
            with files.untrusted(f"store must hold what a sweep wrote, got {key}"):
                sizes = {"u": ("f8", (L, K, d)), "log_loss": ("f8", (L, K)),
                         **dict.fromkeys(("filled", "t", "status"), ("i8", (L,)))}
                files.expect(kept[0], sizes)
                rows = Rows(**kept[0])
                if not band.over(rows) or not ((rows.filled >= 1) & (rows.filled <= K)
                                               & np.isin(rows.status, list(Status))).all():
                    raise ValueError("it must hold runs that have ended")
        except ValueError as error:
            self._spoilt(error)
            return None
        return None if self.retry and np.isin(rows.status, FATAL).any() else rows

    def keep_band(self, key: str, rows: Rows) -> None:
        """Write what the runs of a band came to."""
        self._write(key, rows._asdict(), {})

    def find(self, key: str, plan: Plan) -> tuple[bool, Exception | None]:
        """Let a plan stand where its run came to; whether that was kept, and its failure."""
        kept = self._read(key)
        if kept is None:
            return False, None
        try:
            with files.untrusted(f"store must hold what a sweep wrote, got {key}"):
                # on a copy: half of a bad one must not be taken over
                course = plan.course.copy()
                disk.resume(course, *kept)
                failure = _failure(kept[1].get("failure"))
        except ValueError as error:
            self._spoilt(error)
            return False, None
        stopped = course.trace is not None and course.status in FATAL
        if self.retry and (failure is not None or stopped):
            return False, None
        plan.course = course
        return True, failure

    def keep(self, key: str, standing: tuple[disk.Arrays, disk.Record],
             failure: Exception | None) -> None:
        """Write what a run came to."""
        arrays, about = standing
        told = None if failure is None else [type(failure).__name__, str(failure)]
        self._write(key, arrays, about | {"failure": told})

    def _write(self, key: str, arrays: disk.Arrays, about: disk.Record) -> None:
        path = self._path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write(path, disk.dumps(arrays, about | {"key": key}))

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, key[:2], key[2:] + ".npz")

    def _read(self, key: str) -> tuple[disk.Arrays, disk.Record] | None:
        try:
            with open(self._path(key), "rb") as file:
                arrays, about = disk.loads(io.BytesIO(file.read()))
            if about.get("key") != key:
                raise ValueError(f"it is the file of {checks.short(about.get('key'))}")
        except FileNotFoundError:
            return None
        except ValueError as error:
            self._spoilt(error)
            return None
        return arrays, about

    def _spoilt(self, error: ValueError) -> None:
        warnings.warn(f"a file of the store is damaged, and its run is done again: {error}",
                      RuntimeWarning, stacklevel=6)


def _parsed(raw: bytes) -> dict[str, Any]:
    """What JSON holds; nothing where it is none."""
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _failure(told: Any) -> Exception | None:
    """An exception that was kept by its name and text."""
    if told is None:
        return None
    name, text = map(str, told)
    kind = vars(builtins).get(name)
    if isinstance(kind, type) and issubclass(kind, Exception):
        return kind(text)
    return RuntimeError(f"{name}: {text}")


def _code(plan: Plan) -> Iterator[str]:
    """What the pieces of a plan are: names, what is compiled into them, the user's own with their
    code, of which a notebook has no file.
    """
    for address in plan.pieces:
        piece = KNOWN[address]
        home = piece.function.__module__ or ""
        yield from (home, piece.function.__qualname__, piece.made_of)
        if not home.startswith("fastbias."):
            yield from _bytecode(piece.function.__code__)


def _bytecode(code: CodeType) -> Iterator[str]:
    yield repr((code.co_code, code.co_names, code.co_varnames, code.co_argcount))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _bytecode(constant)
        else:
            yield repr(constant)
