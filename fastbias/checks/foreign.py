"""The one door to other people's solvers and libraries: what leaves it is ours to answer for.

A solver of SciPy, NumPy's LAPACK or cvxpy may warn, print, refuse NaN in its own words, run out of
memory, or raise whatever it likes. Behind this door it gets finite numbers alone, its warnings are
kept, and all that it raises comes out as one `Unsolved`, an ``ArithmeticError`` that says in our
words what could not be solved. Errors of our own functions and of the user's, which solvers call
back, pass as they are; so does Ctrl-C, which waits while a library is being imported: half of a
module would stay behind for the rest of the process.
"""
from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sysconfig
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType, TracebackType
from typing import Any

import numpy as np

__all__ = ["Heard", "Unsolved", "ask", "guarded", "library", "uninterrupted"]

HERE = os.path.dirname(os.path.dirname(__file__))
_PLACES = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
# (they may lie where the system, a user or another environment has put them)
_SPECS = map(importlib.util.find_spec, ("numpy", "scipy", "cvxpy"))
_PLACES |= {os.path.dirname(os.path.dirname(s.origin)) for s in _SPECS if s and s.origin}
LIBRARIES = tuple(place for place in _PLACES if place)
# where an exception is lost, as in what C calls or Python calls by itself, or where it aborts the
# process: what LLVM's bindings free they free again if it comes before they have noted it
_BINDINGS = os.path.join("llvmlite", "binding")


class Unsolved(ArithmeticError):  # noqa: N818 (it names the event)
    """A foreign solver failed, or was asked what is not finite; the message says which."""


@contextmanager
def uninterrupted() -> Iterator[list[Any]]:
    """Ctrl-C waits for the end of this block, which is told by what is then in the list; in threads
    other than the main one it always does.
    """
    # None: a handler that Python did not set, and could not put back
    if (threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is None):
        yield []
        return
    came: list[Any] = []
    before = signal.signal(signal.SIGINT, lambda *event: came.append(event))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)
        if came and callable(before):
            before(*came[0])


class Heard:
    """A block, such as one that compiles, in which Ctrl-C and SIGTERM raise what they raise
    elsewhere, at the latest at its end.

    What a handler raises while C calls Python back, as LLVM does after its seconds in which no
    handler runs, goes no further than that call: it is printed, and the block goes on. And between
    C that frees and the line that notes it, it would have the same memory freed twice.
    """

    def __enter__(self) -> None:
        self.before: dict[int, Any] = {}
        self.came: list[int] = []
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(handler := signal.getsignal(number)):
                    self.before[number] = handler
                    signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Do as the handler before does, now or, where nobody would hear of it, at the end."""
        self.came.append(number)
        outer = frame
        while outer is not None:
            if outer.f_code.co_name == "__del__" or _BINDINGS in outer.f_code.co_filename:
                return
            outer = outer.f_back
        self.before[number](number, frame)
        self.came.pop()                                   # it raises nothing

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        # (an error may be what followed from the call that was cut short)
        if self.came and (error is None or isinstance(error, Exception)):
            self.before[self.came[0]](self.came[0], None)


def library(name: str) -> ModuleType:
    """Import a library (``"scipy.optimize"``) when it is first needed, whole or not at all."""
    with uninterrupted():
        return importlib.import_module(name)


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Run foreign code without its warnings; what it raises becomes an `Unsolved`."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except Unsolved:                                      # of a door within this one
        raise
    except MemoryError:
        raise Unsolved(f"{what} could not be solved: it does not fit into memory") from None
    except Exception as error:
        # a bug of ours must not look like a hard problem
        if not _foreign(error.__traceback__):
            raise
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise Unsolved(f"{what} could not be solved: {told}") from error


def ask(what: str, solver: str, *args: Any, **options: Any) -> Any:
    """What a solver, named as ``"scipy.optimize.nnls"``, answers; `Unsolved` where it fails.

    It is named, not handed over, so that its library is loaded here. Arrays among its arguments
    must be finite; infinite bounds go in lists or tuples.
    """
    module, _, name = solver.rpartition(".")
    function = getattr(library(module), name)
    # given NaN some solvers go on for ever, and LAPACK's may crash
    for value in (*args, *options.values()):
        if (isinstance(value, np.ndarray) and value.dtype.kind in "fc"
            and not np.isfinite(value).all()):
            raise Unsolved(f"{what} could not be solved: its numbers are not finite")
    with guarded(what):
        return function(*args, **options)


def _foreign(trace: TracebackType | None) -> bool:
    """Whether the innermost frame is a library's, or compiled code called from this file."""
    # compiled code has no frame: then the innermost is this file's own call of it
    file = __file__
    while trace is not None:
        file, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    if file.startswith(HERE + os.sep):
        return file == __file__
    return file.startswith(LIBRARIES)
