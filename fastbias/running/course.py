"""The course of a run: its memory, its driver, whose turn it is, and how it goes on and ends.

A plan is what a user sees of it. Sweeps, which run many at once, and checkpoints, which lay one
out anew, work on it too: what they need is said here by name, and nothing else is touched.
"""
from __future__ import annotations

import copy as shallow
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fastbias import checks
from fastbias.engine.abi import DONE, MESSAGES, ROW, Buffers, Records, Status
from fastbias.engine.driver import Driver
from fastbias.engine.shared import aligned
from fastbias.problem import Problem, Reached
from fastbias.running.buffers import assemble, handed
from fastbias.running.gram import Gram
from fastbias.running.gram import gram as in_gram_space
from fastbias.running.interruptions import Busy, Store, Turns, terminable
from fastbias.running.outside import Outside, OutsideDriver
from fastbias.running.targets import Targets
from fastbias.running.thin import Thin, least
from fastbias.trace import Trace

__all__ = ["FATAL", "Course", "threads_of", "told", "written"]

# a run that ended so does not go on
FATAL = (Status.NOT_FINITE, Status.OUT_OF_DOMAIN, Status.UNBOUNDED)
FLAT = "the gradient is as short as asked"


def threads_of(threads: object) -> int | str:
    """How many threads a run may have, checked."""
    if isinstance(threads, str) and threads == "auto":
        return threads
    try:
        return checks.whole("threads", threads, least=1)
    except (TypeError, ValueError) as error:
        raise type(error)(f"threads must be \"auto\" or a whole number >= 1, got "
                          f"{checks.short(threads)}") from None


Advice = Callable[[Status, int, float, float], str]
"""What else to say of a run that came to (status, t) while log L went from a number to another."""


def told(problem: Problem, status: Status, t: int, why: str = "") -> str:
    """How a run that came to t updates ended, in words; and a step size that nobody gave."""
    when = f", at step {t}"
    if status == Status.OK:
        when = f", t = {t}"
    if status in FATAL:
        when = f" in the update from step {t} to {t + 1}"
    return f"{why or MESSAGES[status]}{when}{_chosen(problem)}"


def _chosen(problem: Problem) -> str:
    """The end of a sentence that says which step size was chosen, and why."""
    rule = problem.rule
    return f"; step size {rule.params[0]:g}, chosen: {rule.chosen}" if rule.chosen else ""


def written(problem: Problem, t: np.ndarray, u: np.ndarray, log_loss: np.ndarray, status: Status,
            message: str) -> Trace:
    """The trace of rows that a run wrote down."""
    w = problem.predictor(u)
    # predictions may leave float64 where parameters do not
    beyond = ~(log_loss < np.inf)
    if beyond.any():
        log_loss = log_loss.copy()
        log_loss[beyond] = [problem.log_loss(row) for row in u[beyond]]
    # a trace is finite, unless nothing else is there to be shown
    finite = np.isfinite(w).all(axis=1) & (log_loss < np.inf)
    if not finite.all() and finite.any():
        t, u, w, log_loss = t[finite], u[finite], w[finite], log_loss[finite]
    return Trace(t, u, w.reshape(t.size, *problem.shape), log_loss, status, message, problem)


class Course:
    """Where a run stands, and how it goes on.

    Parameters
    ----------
    problem : Problem
    gram : bool or None
        Whether in Gram space; None: where it pays, which is seen when the first run begins.
    threads : int or "auto"
        How many share a pass over X.

    Attributes
    ----------
    pieces, params, buffers : abi.Pieces, abi.Params, abi.Buffers
        What the loop is handed.
    driver : Driver or Gram
        What hands it over, chunk by chunk.
    turns : Turns
        Who may look at ``buffers`` while a run goes on.
    status : Status
    trace : Trace or None
    """

    def __init__(self, problem: Problem, gram: bool | None,
                 threads: int | str = "auto") -> None:
        self.problem, self._threads = problem, threads_of(threads)
        self.pieces, self.params, self.buffers = assemble(problem)
        self.status, self._why = Status.OK, ""            # why: where it is not the loop that says
        # of the parameters at rows of this run, where they are kept
        self._means: dict[int, np.ndarray] | None = None
        self.trace: Trace | None = None
        self.turns = Turns()
        self.driver = self._driver()
        self.gram = checks.choice("gram", gram)
        if gram:
            self.settle()

    @property
    def t(self) -> int:
        """Updates done so far."""
        return int(self.buffers.control[DONE])

    @property
    def busy(self) -> bool:
        """Whether a run goes on, in whatever thread."""
        return self.turns.runner is not None

    @property
    def over(self) -> bool:
        """Whether there is no going on from here."""
        return self.status in FATAL or self.status == Status.STALLED

    def go(self, records: Records | Thin, stop: int, aims: Targets, progress: bool,
           look: Callable[[], object] | None, store: Store, advise: Advice | None = None) -> Trace:
        """Run to ``stop``, saving on the way; however that ends, the trace is kept, the run saved.

        ``look`` is called after each chunk, and may raise StopIteration to end the run; ``advise``
        at the end.
        """
        message, raised, status = None, None, Status.OK

        def keep(last: bool = False) -> None:
            self.trace = self.traced(records, status, message)
            store.write(last)

        with terminable(store.path is not None) as ending:
            self._begin()
            try:                                          # at once: Ctrl-C must not get in between
                status = self.status if self.over else Status.OK
                for reached in self._in_turns(records, stop, aims, progress):
                    status = reached
                    if look is not None:
                        look()
                        self.driver.known = False
                    if store.due:
                        keep()
                if advise is not None:
                    message = self._advised(records, status, advise)
            except StopIteration:
                # one that ended in the same chunk says why itself
                if status == Status.OK:
                    message = f"stopped by the callback at step {self.t}"
            except BaseException as error:
                message, raised = f"interrupted by {type(error).__name__} at step {self.t}", error
                raise
            finally:
                # a second SIGTERM must not cut off the save that the first one asked for
                ending.waits = True
                try:
                    keep(last=True)
                finally:
                    self.turns.runner = None
                store.account(raised)
                raised = None                             # whose traceback knows this frame
        assert self.trace is not None
        return self.trace

    def _advised(self, records: Records | Thin, status: Status, advise: Advice) -> str:
        """How the run ended, and what is to be said to that."""
        count = records.count if isinstance(records, Thin) else int(self.buffers.control[ROW])
        message = told(self.problem, status, self.t, self._why)
        if count == 0:
            return message
        first, last = records.log_loss[0], records.log_loss[count - 1]
        return message + advise(status, self.t, float(first), float(last))

    def _begin(self) -> None:
        """Take the turn; `Busy` where another has it."""
        me = threading.get_ident()
        if self.turns.runner is not None:
            raise Busy("plan.run must not be called from within its own callback, or while "
                       "another thread runs the plan")
        # (nothing is called since: no thread or signal gets in between)
        self.turns.runner = me
        self.buffers.control[ROW], self._why = 0, ""

    def _in_turns(self, records: Records | Thin, stop: int, aims: Targets,
                  progress: bool) -> Iterator[Status]:
        """The status after each chunk; between two of them whoever wants to see the run has his
        turn.
        """
        if self.over:
            return
        chunks, turns = self._chunks(records, stop, aims, progress), self.turns
        while True:
            with turns.gate:                              # in which he waits
                pass
            with turns.lock:
                status = next(chunks, None)
                if status is None:
                    return
                self.status = status
            yield status

    def _chunks(self, records: Records | Thin, stop: int, aims: Targets,
                progress: bool) -> Iterator[Status]:
        """Run to ``stop`` in chunks cut by time, with a bar if asked; the status after each."""
        # not before: until then somebody may write a start of his own into the buffers
        if self.t == 0 and stop > 0 and self.gram is None and not self.buffers.state[0].any():
            self.settle()
        # somebody wrote to u since: coefficients of the samples cannot say where that is
        if isinstance(self.driver, Gram) and not self.driver.current:
            self.settle(False)
        if not progress:
            yield from self._written(records, stop, aims, None)
            return
        from tqdm.auto import tqdm

        def show(steps: int) -> None:
            bar.set_postfix_str(f"log L = {self.problem.log_loss(self.buffers.u):.6g}",
                                refresh=False)
            bar.update(steps)
        with tqdm(total=stop - self.t, unit="step", unit_scale=True) as bar:
            yield from self._written(records, stop, aims, show)

    def _written(self, records: Records | Thin, stop: int, aims: Targets,
                 bar: Any) -> Iterator[Status]:
        """The status after each chunk; rows are written down whole or, a few at a time, thin."""
        self._means = {} if self._averaging and isinstance(records, Records) else None
        if isinstance(records, Records):
            yield from self._looked_at(records, stop, aims, bar)
            return
        for part, end in records.parts(stop):
            self.buffers.control[ROW] = 0
            for status in self._looked_at(part, end, aims, bar):
                records.keep(int(self.buffers.control[ROW]))
                yield status
                if status != Status.OK:
                    return

    def _looked_at(self, records: Records, stop: int, aims: Targets,
                   bar: Any) -> Iterator[Status]:
        """The status after each chunk; REACHED at a row whose gradient is as short as asked."""
        # (the driver fills the same records, wherever it is stopped)
        for end in aims.looks(records.steps, stop, self._means is not None):
            status = Status.OK
            for status in self.driver.chunks(records, end, aims.log_loss, bar):
                if self._means is not None and self.t == end:
                    self._means[end] = self.buffers.state[-1].copy()
                if (status == Status.OK and self.t == end
                        and aims.flat(self.problem, self.buffers.u)):
                    self._why, status = FLAT, Status.REACHED
                yield status
            if status != Status.OK:
                return

    def settle(self, kept: dict[str, np.ndarray] | Literal[False] | None = None) -> None:
        """Choose between the parameters and Gram space, as the run stands.

        With ``kept``, the arrays of a checkpoint, it is Gram space as they say; False: it is not.
        """
        driver = None
        # updates of another library's need u itself, and have a state that is kept by none but them
        if isinstance(self.driver, OutsideDriver):
            self.gram = False
            return
        if kept is not False:
            driver = in_gram_space(self.problem, self.pieces, self.params, self.buffers,
                                   self.gram if kept is None else True)
        if driver is not None and kept:
            driver.restore(kept)
        # (a driver of the parameters stays: it knows the pace)
        if driver is not None or isinstance(self.driver, Gram):
            self.driver = driver or self._driver()
            self.driver.threads = self._threads
        self.gram = isinstance(driver, Gram)

    def _driver(self) -> Driver:
        """A driver of the parameters."""
        driver = Driver(self.pieces, self.params, handed(self.problem.X), self.problem.y,
                        self.buffers)
        if isinstance(self.problem.method, Outside):
            driver = OutsideDriver(self.problem, driver)
        driver.threads = self._threads
        return driver

    @property
    def threads(self) -> int | str:
        """How many threads share a pass over X."""
        return self._threads

    @threads.setter
    def threads(self, threads: int | str) -> None:
        self._threads = self.driver.threads = threads_of(threads)

    def finish(self, records: Records, stop: int, halt: list[bool]) -> None:
        """Go on to ``stop`` without a turn of its own; ``halt`` ends it once it is not empty."""
        for status in self.driver.chunks(records, stop, -np.inf, None):
            self.status = status
            if halt:
                return

    def traced(self, records: Records | Thin, status: Status, message: str | None = None) -> Trace:
        """The rows written so far, with the last iterate among them."""
        if isinstance(records, Thin):
            return self._thin(records, status, message)
        K = int(self.buffers.control[ROW])
        t, u, log_loss = records.steps[:K], records.u[:K], records.log_loss[:K]
        if K == 0 or t[-1] != self.t:
            t, u = np.append(t, self.t), np.vstack([u, self.buffers.u])
            log_loss = np.append(log_loss, self.problem.log_loss(self.buffers.u))
        trace = written(self.problem, t, u, log_loss, status,
                        message or told(self.problem, status, self.t, self._why))
        return replace(trace, averages=self._averages(trace.t)) if self._averaging else trace

    @property
    def _averaging(self) -> bool:
        """Whether a mean of the parameters is kept."""
        return self.problem.method.average is not None

    def _averages(self, t: np.ndarray) -> np.ndarray:
        """The mean of the parameters at each of the rows t of this run."""
        # (the last one, where it ended between two rows)
        means = (self._means or {}) | {self.t: self.buffers.state[-1].copy()}
        return np.array([means[int(k)] for k in t])

    def _thin(self, kept: Thin, status: Status, message: str | None) -> Trace:
        """As `traced`, where of w but the first and the last were kept."""
        u, K, problem = self.buffers.u.copy(), kept.count, self.problem
        t, log_loss, margins = (a[:K].copy() for a in (kept.steps, kept.log_loss, kept.least))
        if K == 0 or t[-1] != self.t:
            t, log_loss = np.append(t, self.t), np.append(log_loss, problem.log_loss(u))
            margins = np.append(margins, least(problem, u))
        rows = np.array([u if kept.first is None else kept.first, u])
        w = problem.predictor(rows).reshape(2, *problem.shape)
        message = message or told(problem, status, self.t, self._why)
        return Trace(t, rows, w, log_loss, status, message, problem, least=margins)

    def reached(self) -> Reached:
        """Where it stands, as the theory asks."""
        own = self.buffers.state[1:-1 if self._averaging else None]
        return Reached(self.t, np.array(self.buffers.u), own.copy(), self.buffers.state[0].copy())

    def copy(self) -> Course:
        """One that stands where this one does and goes its own way."""
        other = shallow.copy(self)
        other.buffers = Buffers(*(np.copy(a) for a in self.buffers))._replace(
            # which nobody writes once it is filled
            work=aligned(self.buffers.work.size), packed=self.buffers.packed)
        other.driver = self.driver.copy(other.buffers)
        other.driver.pace, other.turns = self.driver.pace, Turns()
        other.driver.threads = self._threads
        return other
