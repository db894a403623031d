"""What comes from outside while a run goes on: other threads that save it, SIGTERM, a disk that is
full.
"""
from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

__all__ = ["Busy", "Ending", "Store", "Terminated", "Turns", "terminable"]


class Turns:
    """A run computes while it holds ``lock``; who wants to see where it stands waits in `pause`.

    A lock alone would be taken again before he has woken up: so the run passes the gate first, in
    which he waits. The thread that runs, its callback or a signal's handler, need not wait for
    itself.
    """

    def __init__(self) -> None:
        self.gate, self.lock = threading.Lock(), threading.Lock()
        self.runner: int | None = None

    @contextmanager
    def pause(self) -> Iterator[None]:
        """The run stands still in this block."""
        if self.runner == threading.get_ident():
            yield
        else:
            with self.gate, self.lock:
                yield


# both: it is a bad call, and depends on when it is made
class Busy(ValueError, RuntimeError):  # noqa: N818 (it names the event)
    """A plan was asked to run while it runs."""


class Terminated(SystemExit, KeyboardInterrupt):
    """SIGTERM during a run with a checkpoint: it ends as by Ctrl-C.

    If nobody handles it, so does the process, with 143, as a shell says of one that SIGTERM ended.
    """

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Ending:
    """Whether SIGTERM came, and whether it has to wait."""

    def __init__(self) -> None:
        self.came = self.waits = False

    def __call__(self, *event: object) -> None:
        """Handle the signal: raise `Terminated` the first time, unless that has to wait."""
        # a second one, of who is impatient, would cut off the saving that the first one began
        first, self.came = not self.came, True
        if first and not self.waits:
            raise Terminated


@contextmanager
def terminable(wanted: bool) -> Iterator[Ending]:
    """SIGTERM raises `Terminated` in this block, or, once ``waits`` is set, at its end.

    That is in the main thread, while the handler is the system's own, which is back in its place
    afterwards.
    """
    ending = Ending()
    # Python sets handlers from the main thread alone; one that somebody set is not ours to replace
    if (not wanted or threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL):
        yield ending
        return
    signal.signal(signal.SIGTERM, ending)
    try:
        yield ending
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if ending.came and not isinstance(sys.exception(), Terminated):
            raise Terminated


class Store:
    """Where a run is saved, and how often.

    A disk that fails costs one warning, not the run; ``failed`` is why the last save did.
    """

    def __init__(self, path: str | None, every: float,
                 save: Callable[[str | os.PathLike[str]], None]) -> None:
        self.path, self.every, self.save = path, every, save
        self.failed: OSError | None = None
        self._warned, self._saved = False, perf_counter()

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return self.path is not None and perf_counter() - self._saved > self.every

    def write(self, last: bool = False) -> None:
        """Save the run, if anybody asked; why that fails is in ``failed``, and warned of once."""
        if self.path is None:
            return
        self.failed = None
        try:
            self.save(self.path)
        except OSError as error:
            self.failed = error
            # at the end it is raised, see `account`
            if not last and not self._warned:
                self._warned = True
                warnings.warn(f"the checkpoint could not be written, and the run goes on: {error}",
                              RuntimeWarning, stacklevel=5)     # of who called Plan.run
        self._saved = perf_counter()

    def account(self, raised: BaseException | None) -> None:
        """Raise why the last save failed, if it did; where something is raised, note it there."""
        if self.failed is not None and raised is None:
            raise self.failed
        if self.failed is not None and raised is not None:
            raised.add_note(f"the last checkpoint could not be written: {self.failed}")
