"""A plan: check, allocate, run in chunks, go on. The thin facade over the compiled loop."""
from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from fastbias import checks, forward, theory
from fastbias.engine.abi import DONE, MESSAGES, ROW, Buffers, Records, Status
from fastbias.engine.driver import Driver, aligned
from fastbias.pieces import models
from fastbias.problem import Problem, Reached, make
from fastbias.running import checkpoint as disk
from fastbias.running.buffers import assemble
from fastbias.running.gram import Gram, gram
from fastbias.running.interruptions import Busy, Store, Turns, terminable
from fastbias.solvers.limit import Limit, NoTheorem
from fastbias.trace import RunStopped, Trace
from fastbias.trace.rows import planned

__all__ = ["Plan", "run"]

FATAL = disk.FATAL


class Plan:
    """One optimiser on one problem, ready to run, to go on, and to be held against theory.

    Parameters
    ----------
    X : (N, d) array-like, or (N, m, n) for matrix-valued predictors
        Data, converted to a float64 copy.
    y : (N,) array-like
        Targets; for losses of labels two values, sorted, of which the later one is +1, or classes
        (`checks.labels`).
    loss : Loss or its name
        From ``fb.losses``; the objective is the sum over the samples.
    method : Method
        From ``fb.methods``.
    model : Model, default ``fb.models.linear``
        From ``fb.models``.
    start : (n,) array-like, optional
        u(0). Default: argmin ψ for methods with a potential, else 0.
    gram : bool, optional
        Whether to run on N coefficients of the samples instead of the d parameters
        (`fastbias.running.gram`): the same iterates to
        rounding, for gradient descent and quadratic geometries. None: where it pays and the data
        allow it.

    Attributes
    ----------
    t : int
        Updates done so far.
    u : (n,) float64
        The parameters as they stand (a copy).
    status : Status
        How the last run ended.
    trace : Trace or None
        What the last run wrote down, also where it was interrupted.
    pieces, params, buffers : abi.Pieces, abi.Params, abi.Buffers
        What `fastbias.descend` is handed: the addresses, their numbers, and all memory of the run.

    Raises
    ------
    ValueError, TypeError
        One sentence that names the argument, what it must be, and what it was.

    Examples
    --------
    >>> import fastbias as fb
    >>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.mirror_descent("entropy", 0.05))
    >>> trace = plan.run(1000)
    >>> limit = plan.limit()
    >>> print(limit.w.round(12), limit.theorem[:9], bool(trace.gap(limit)[-1] < 1e-12))
    [0.5  0.25] Theorem 1 True
    """

    def __init__(self, X: Any, y: Any, *, loss: Any, method: Any, model: Any = models.linear,
                 start: Any = None, gram: bool | None = None) -> None:
        self.problem = problem = make(X, y, loss, method, model, start)
        self.pieces, self.params, self.buffers = assemble(problem)
        self.status = Status.OK
        self.trace: Trace | None = None
        self._turns = Turns()
        self._driver = Driver(self.pieces, self.params, problem.X, problem.y, self.buffers)
        self._gram = checks.choice("gram", gram)
        if gram:
            self._settle()

    @property
    def t(self) -> int:
        """Updates done so far."""
        return int(self.buffers.control[DONE])

    @property
    def u(self) -> np.ndarray:
        """The parameters as they stand, (n,), a copy."""
        return np.array(self.buffers.u)

    @property
    def w(self) -> np.ndarray:
        """The linear predictor as it stands, (d,) or (m, n), a copy."""
        return self.problem.predictor(self.u).reshape(self.problem.shape)

    def run(self, steps: Any, *, record: Any = None, until: float | None = None,
            progress: bool = False, callback: Callable[[Plan], Any] | None = None,
            strict: bool = True, checkpoint: str | os.PathLike[str] | None = None,
            every: float = 30.0) -> Trace:
        """Do further updates; going on is bitwise what one long run would have been.

        Parameters
        ----------
        steps : int ≥ 0
            How many more updates; 1e6 is fine, 1.5 is not.
        record : int or (K,) array of ints, default 200
            How many log-spaced rows to write down, or the steps themselves (counted from the very
            start). The first and the last step are always written down.
        until : float, optional
            Stop once log L is at or under it (status ``REACHED``).
        progress : bool, default False
            Show a tqdm bar with the log loss.
        callback : callable, optional
            Called as ``callback(plan)`` between chunks of about 0.03 s and at the end; it may raise
            ``StopIteration`` to end the run early.
        strict : bool, default True
            Raise `RunStopped` where the run cannot go on; with False its trace is returned instead.
        checkpoint : path, optional
            Save the plan there at least every ``every`` seconds and at the end, whatever the end
            is; see `save`. SIGTERM then ends a run in the main thread as Ctrl-C does, where nobody
            else handles it: by an exception that is a KeyboardInterrupt and a SystemExit(143). A
            disk that fails is warned of once, while the run goes on.
        every : float > 0, default 30
            Seconds.

        Returns
        -------
        Trace
            The rows of this call. On Ctrl-C, ``plan.t`` and ``plan.trace`` keep everything up to
            then, and ``run`` goes on from there.

        Raises
        ------
        RunStopped
            The iterate left the domain of the potential, or ceased to be finite; names the step,
            and carries the trace up to the last good iterate.
        ValueError, TypeError
            Where an argument is bad, or the plan is running.
        OSError
            Where the last save failed; ``plan.trace`` holds what was to be returned.
        """
        stop = checks.whole("steps", self.t + checks.whole("steps", steps))
        rows = planned(record, self.t, stop, self.problem.start.size + 1)
        log_target = -np.inf if until is None else checks.number("until", until)
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable, got {checks.short(callback)}")
        every, progress, strict = checks.number("every", every, above=0), *(
            checks.flag(label, value) for label,
        value in (("progress", progress), ("strict", strict)))
        if checkpoint is not None:
            checkpoint = checks.path("checkpoint", checkpoint)
        records = Records(rows, np.empty((rows.size, self.problem.start.size)), np.empty(rows.size))
        trace = self._go(records, stop, log_target, progress, callback,
                         Store(checkpoint, every, self.save))
        if trace.status in FATAL and strict:
            raise RunStopped(trace.message, trace)
        return trace

    def _go(self, records: Records, stop: int, log_target: float, progress: bool,
            callback: Callable[[Plan], Any] | None, store: Store) -> Trace:
        """Run to ``stop``, saving on the way; however that ends, the trace is kept and the run
        saved.
        """
        message, raised, me = None, None, threading.get_ident()

        def keep(last: bool = False) -> None:
            self.trace = self._trace(records, status, message or self._message(status))
            store.write(last)

        with terminable(store.path is not None) as ending:
            if self._turns.runner is not None:
                raise Busy("plan.run must not be called from within its own callback, or while "
                           "another thread runs the plan")
            # (nothing is called since: no thread or signal gets in between)
            self._turns.runner = me
            self.buffers.control[ROW] = 0
            ended = self.status in FATAL or self.status == Status.STALLED
            status = self.status if ended else Status.OK
            try:
                if not ended:
                    for reached in self._in_turns(records, stop, log_target, progress):
                        status = reached
                        if callback is not None:
                            callback(self)
                        if store.due:
                            keep()
            except StopIteration:
                message = (f"stopped by the callback at step {self.t}" if status == Status.OK
                           else None)
            except BaseException as error:
                message, raised = f"interrupted by {type(error).__name__} at step {self.t}", error
                raise
            finally:
                ending.waits = True
                try:
                    keep(last=True)
                finally:
                    self._turns.runner = None
                if store.failed is not None and raised is None:
                    raise store.failed
                if store.failed is not None and raised is not None:
                    raised.add_note(f"the last checkpoint could not be written: {store.failed}")
                raised = None                             # whose traceback knows this frame
        assert self.trace is not None
        return self.trace

    @property
    def _running(self) -> bool:
        return self._turns.runner is not None

    def _in_turns(self, records: Records, stop: int, log_target: float,
                  progress: bool) -> Iterator[Status]:
        """The status after each chunk; between two of them whoever else wants to see the run has
        his turn.
        """
        chunks, turns = self._chunks(records, stop, log_target, progress), self._turns
        while True:
            with turns.gate:                              # in which he waits
                pass
            with turns.lock:
                status = next(chunks, None)
                if status is None:
                    return
                self.status = status
            yield status

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a checkpoint: data, pieces, parameters, state, and the rows of the last
        run.

        The file is an NPZ without pickle whose last bytes are a digest of the others. It is written
        beside its place, flushed, and moved there in one step; the file that stood there is kept as
        PATH.previous. Pieces of the user's own are named, not kept: `load` wants them again. It may
        be called while another thread runs the plan: what is written is where the run stood between
        two chunks.

        Parameters
        ----------
        path : path
            Where; its folder must exist.

        Raises
        ------
        OSError
            Where the file cannot be written; the one that stood there is whole, and nothing is left
            beside it.
        """
        disk.write(path, *disk.kept(self))

    def __reduce__(self) -> Any:
        """Pickle a plan as its checkpoint; TypeError where a piece is the user's own."""
        kept, about = disk.kept(self)
        for own in disk.own(about).values():
            raise TypeError(f"a plan with a piece of your own, {own}, cannot be sent to another "
                            "process: run it in threads")
        return type(self)._unpickled, (disk.dumps(kept, about),)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, loss: Any = None, method: Any = None,
             model: Any = None) -> Plan:
        """Read a plan that `save` wrote; going on is bitwise what one long run would have been.

        Parameters
        ----------
        path : path
        loss, method, model : optional
            Needed where the saved one was, or used, a piece of the user's own: the same, made
            again.

        Returns
        -------
        Plan
            ``plan.trace`` holds the rows of the run that was saved.

        Raises
        ------
        ValueError
            Where a bit or byte of the file is not as it was (the sentence names the one before it),
            where it holds what no run of the problem in it comes to, or a given piece has other
            parameters than the saved one.
        TypeError
            Where a piece of the user's own is not given again.
        OSError
            Where the file cannot be read.
        """
        plan: Plan = disk.made(cls, *disk.read(path), loss=loss, method=method, model=model)
        return plan

    @classmethod
    def _unpickled(cls, raw: bytes) -> Plan:
        plan: Plan = disk.made(cls, *disk.loads(io.BytesIO(raw)))
        return plan

    def limit(self, flow: bool = False) -> Limit:
        """What theory predicts for this plan, certified; ``print(plan.limit())`` says why.

        Parameters
        ----------
        flow : bool, default False
            Ask about the continuous-time limit η → 0 (what `flow` follows) instead of finite steps.

        Raises
        ------
        NoTheorem
            Where no theorem covers the combination, or a hypothesis is known to be False; it names
            the example or proposition that shows why, and the nearest theorem.
        """
        return theory.limit(self._here(), checks.flag("flow", flow))

    def fast_forward(self, log_t: float, record: Any = None, rtol: float = 1e-10,
                     max_steps: Any = 1_000_000) -> Trace:
        """Where the run is at log t, for any t: exact steps first, then the method's modified field
        in log time.

        The squared loss in quadratic geometries with constant steps and momentum has a closed form,
        at any t. Else, after T exact steps of a monotone loss the iterates follow dw/dt = inc − ½
        inc'·inc up to O(T^{λ−2}), λ ≤ 1, for ever; it is integrated in s = log t with slacks s −
        m_n beside w, so that log t = 10⁹ costs milliseconds and loses no digits. On homogeneous
        models w = F(u) it is the field of gradient descent on u, with momentum or not; then log t =
        10⁹ costs seconds. The plan itself stays where it stands; the exact steps are done on a
        copy.

        Parameters
        ----------
        log_t : float > 0
            The natural logarithm of the time asked for; not before the step where the plan stands.
        record : int or (K,) array, default 200
            How many rows between the handover and log_t, or their log t; those before the handover
            are exact steps.
        rtol : float, default 1e-10
            Asked accuracy of w, relative to max(1, ‖w‖_∞) in the first e^8-fold of time after the
            handover.
        max_steps : int, default 1_000_000
            How many exact steps to do at most in order to reach it.

        Returns
        -------
        Trace
            ``log_t`` (K,); ``t`` is −1 where it does not fit; ``error_estimate`` (K,) bounds max_j
            |w_j − exact|: three times the change from handing over at T and at 2T and from
            integrating less sharply, plus rounding; ``slack`` (K, N) is log t − m_n (monotone
            losses). The message says how many exact steps were done, and where rtol is not reached.

        Raises
        ------
        NoTheorem
            A ``LookupError`` that says why where the method, loss or model has no such field, the
            data are not separable, the loss is not on its way to 0 after max_steps, or the
            integration fails.
        RunStopped
            Where the exact steps cannot go on.
        ValueError, TypeError
            Where an argument is bad.

        Examples
        --------
        >>> import fastbias as fb
        >>> plan = fb.Plan([[1, 0], [1, 2]], [1, 1], loss="exponential", method=fb.methods.gradient_descent(0.1))
        >>> trace = plan.fast_forward(1e9)                            # t = e^(10^9)
        >>> print((trace.w[-1] / 1e9).round(6), bool(trace.gap(plan.limit())[-1] < 1e-7))
        [1. 0.] True
        """
        def runner() -> Callable[[int], Reached]:
            copy = self._copy()

            def run(t: int) -> Reached:
                ended = copy.run(t - copy.t, record=2)
                if copy.t < t:
                    raise NoTheorem("the exact steps that fast-forward begins with ended early: "
                                    f"{ended.message}", "fast-forward")
                return copy._reached()
            return run
        return forward.fast_forward(self.problem, self._reached(), runner, log_t, record, rtol,
                                    max_steps)

    def max_step(self) -> theory.MaxStep:
        """The largest constant step size that theory admits from where the plan stands, and the
        theorem that says so.

        Returns
        -------
        MaxStep
            ``step_size``, ``theorem``, ``source``. With the exponential loss it grows as the loss
            falls (Theorem 5).

        Raises
        ------
        NoTheorem
            Where the table knows no bound for the method and loss.

        Examples
        --------
        >>> import fastbias as fb
        >>> plan = fb.Plan([[3, 4]], [1], loss="squared", method=fb.methods.gradient_descent(0.01))
        >>> round(plan.max_step().step_size, 12)
        0.04
        """
        return theory.max_step(self._here(), self.u)

    def _here(self) -> Problem:
        """The problem, and where the run stands."""
        return replace(self.problem, reached=self._reached())

    def _reached(self) -> Reached:
        return Reached(self.t, self.u, self.buffers.state[1:].copy(), self.buffers.state[0].copy())

    def _copy(self) -> Plan:
        """A plan that stands where this one does and goes its own way."""
        other = object.__new__(Plan)
        other.__dict__.update(self.__dict__)
        other.buffers = Buffers(*(np.copy(a) for a in self.buffers))._replace(
            # which nobody writes once it is filled
            work=aligned(self.buffers.work.size), packed=self.buffers.packed)
        other._driver = self._driver.copy(other.buffers)
        other._driver.pace, other._turns = self._driver.pace, Turns()
        return other

    def flow(self, time: float = np.inf, rtol: float = 1e-10) -> Trace:
        """Follow the continuous-time limit η → 0 of the parameters from the plan's start; see
        `fastbias.forward.flow`.

        Parameters
        ----------
        time : float > 0, default inf
            How long; with inf, to the limit point.
        rtol : float, default 1e-10
            Asked relative accuracy.
        """
        return forward.flow(self.problem, time, rtol)

    def __repr__(self) -> str:
        N, d = self.problem.X.shape
        return f"<Plan ({N}, {d}), {self.problem.loss.name}, {self.problem.method!r}, t = {self.t}>"

    def _chunks(self, records: Records, stop: int, log_target: float,
                progress: bool) -> Iterator[Status]:
        """Run to ``stop`` in chunks cut by time, with a bar if asked; yields the status after
        each.
        """
        if self.t == 0 and stop > 0 and self._gram is None and not self.buffers.state[0].any():
            self._settle()
        if isinstance(self._driver, Gram) and not self._driver.current:
            self._settle(False)
        if not progress:
            yield from self._driver.chunks(records, stop, log_target, None)
            return
        from tqdm.auto import tqdm

        def show(steps: int) -> None:
            bar.set_postfix_str(f"log L = {self.problem.log_loss(self.buffers.u):.6g}",
                                refresh=False)
            bar.update(steps)
        with tqdm(total=stop - self.t, unit="step", unit_scale=True) as bar:
            yield from self._driver.chunks(records, stop, log_target, show)

    def _settle(self, kept: dict[str, np.ndarray] | Literal[False] | None = None) -> None:
        """Choose between the parameters and Gram space, as the plan stands; with ``kept``, as a
        checkpoint says.
        """
        driver = None if kept is False else gram(self.problem, self.pieces, self.params,
                                                 self.buffers, self._gram if kept is None else True)
        if driver is not None and kept:
            driver.restore(kept)
        if driver is not None or isinstance(self._driver, Gram):
            self._driver = driver or Driver(self.pieces, self.params, self.problem.X,
                                            self.problem.y, self.buffers)
        self._gram = isinstance(driver, Gram)

    def _trace(self, records: Records, status: Status, message: str) -> Trace:
        """The rows written so far, with the last iterate among them."""
        K = int(self.buffers.control[ROW])
        t, u, log_loss = records.steps[:K], records.u[:K], records.log_loss[:K]
        if K == 0 or t[-1] != self.t:
            t, u = np.append(t, self.t), np.vstack([u, self.buffers.u])
            log_loss = np.append(log_loss, self.problem.log_loss(self.buffers.u))
        w = self.problem.predictor(u)
        # predictions may leave float64 where parameters do not
        beyond = ~(log_loss < np.inf)
        if beyond.any():
            log_loss = log_loss.copy()
            log_loss[beyond] = [self.problem.log_loss(row) for row in u[beyond]]
        finite = np.isfinite(w).all(axis=1) & (log_loss < np.inf)
        if not finite.all() and finite.any():
            t, u, w, log_loss = t[finite], u[finite], w[finite], log_loss[finite]
        return Trace(t, u, w.reshape(t.size, *self.problem.shape), log_loss, status, message,
                     self.problem)

    def _message(self, status: Status) -> str:
        if status == Status.OK:
            return f"{MESSAGES[status]}, t = {self.t}"
        if status in FATAL:
            return f"{MESSAGES[status]} in the update from step {self.t} to {self.t + 1}"
        return f"{MESSAGES[status]}, at step {self.t}"


def run(X: Any, y: Any, *, loss: Any, method: Any, steps: Any, model: Any = models.linear,
        start: Any = None, gram: bool | None = None, **options: Any) -> Trace:
    """Run a method on a problem and return its trace: ``Plan(X, y, ...).run(steps, ...)`` in one
    line.

    Parameters
    ----------
    X, y, loss, method, model, start, gram
        As for `Plan`.
    steps : int ≥ 0
        How many updates.
    **options
        As for `Plan.run`: record, until, progress, callback, strict.

    Returns
    -------
    Trace

    Examples
    --------
    >>> import fastbias as fb
    >>> trace = fb.run([[3, 4]], [5], loss="squared", method=fb.methods.gradient_descent(0.01), steps=100)
    >>> print(trace.w[-1].round(9))
    [0.6 0.8]
    """
    return Plan(X, y, loss=loss, method=method, model=model, start=start, gram=gram).run(steps,
                                                                                         **options)
