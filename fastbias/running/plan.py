"""A plan: check, allocate, run in chunks, go on. The thin facade over the compiled loop."""
from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks, forward, theory
from fastbias.checks import Sparse
from fastbias.engine.abi import Buffers, Params, Pieces, Status
from fastbias.forward.outputs import together
from fastbias.pieces import models
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.pieces.models import Model
from fastbias.pieces.models.base import Start
from fastbias.problem import Problem, Reached, gather, make
from fastbias.running import checkpoint as disk
from fastbias.running import edges
from fastbias.running.chosen import advice, settled
from fastbias.running.course import FATAL, Course
from fastbias.running.interruptions import Store
from fastbias.running.targets import targets
from fastbias.running.thin import room
from fastbias.solvers.limit import Limit, NoTheorem
from fastbias.trace import RunStopped, Trace
from fastbias.trace.rows import planned

__all__ = ["Plan", "run"]

class Plan:
    """One optimiser on one problem, ready to run, to go on, and to be held against theory.

    Parameters
    ----------
    X : (N, d) array-like or `scipy.sparse` matrix, or (N, m, n) for matrix-valued predictors
        A DataFrame's names of columns are kept, for limits and all that is printed.
        Data, converted to a float64 copy, which plans of equal data share; what is done to X later
        changes no plan. A file of float64 that is mapped to be read (``np.memmap(..., mode="r")``)
        stays where it is, and must stay as it is; only what a run lays out of it is in memory.
        Sparse data (in any format; entries that come twice are added, those that are 0 are kept)
        are rows of their entries and are never made dense by a run or its trace; `limit`,
        `max_step`, `flow` and `fast_forward` do so where N d ≤ 2^24.
    y : (N,) array-like, or (N, K) for losses with a root
        Targets; for losses of labels two values, sorted, of which the later one is +1, or classes
        (`checks.labels`). Of K columns the linear predictor is w (K, d), ⟨w_k, x_n⟩ against y_nk;
        geometries are those of all its entries, flat or as a matrix.
    loss : Loss or its name
        From ``fb.losses``; the objective is the sum over the samples, and outputs.
    method : Method
        From ``fb.methods``. For a step size "auto" the plan takes half of what theory admits
        (`max_step`); where no bound is known, half of one over the curvature of the loss at the
        start (and about the limit point of a loss with a root), for moves of a length of their own
        what is usual, halved until the loss falls in a trial of up to 2000 updates. The number is
        cut to three digits, and is that of ``plan.problem.method`` from then on.
    model : Model or its name, default ``fb.models.linear``
        From ``fb.models``.
    start : (n,) array-like, or a list of layers, optional
        u(0). Default: argmin ψ for methods with a potential, else 0. Models that are not linear
        need one, such as ``model.start(scale)``.
    gram : bool, optional
        Whether to run on N coefficients of the samples instead of the d parameters
        (`fastbias.running.gram`): the same iterates to rounding, for gradient descent and quadratic
        geometries. None: where it pays and the data allow it.
    weights : (N,) array-like, optional, keyword-only
        c ≥ 0 of the objective L = Σ c_n ℓ_n: counts, or weights of any size, in the log domain. A
        zero drops the row: the run is what it would be without it. Batches draw rows uniformly,
        and weigh them.
    intercept : bool, default False, keyword-only
        Append a weight on a column of ones, which is inside the method's norm or potential (both
        of size d + 1, where their size is fixed): what people do with gradient methods. ``w`` then
        has d + 1 entries (for each output), the last of which is the intercept.
    threads : int ≥ 1 or "auto", default "auto", keyword-only
        How many threads share a pass over X; no bit of a run depends on it. "auto": the CPUs that
        this process may use and other runs leave, or as ``FASTBIAS_NUM_THREADS`` says, where N d ≥
        1e5; 1 in sweeps and in workers of `multiprocessing` and dask. Batches, coordinate descent
        and losses of the user's own have one. A checkpoint knows of none.

    Attributes
    ----------
    t : int
        Updates done so far.
    u : (n,) float64
        The parameters as they stand (a copy).
    w : (d,), (m, n) or (K, d) float64
        The linear predictor as it stands (a copy).
    problem : Problem
        Data, loss, method, model and start, checked and converted.
    names : tuple of str, or None
        What the entries of w's last axis are called: the columns of a DataFrame, and
        "(intercept)".
    status : Status
        How the last run ended.
    trace : Trace or None
        What the last run wrote down, also where it was interrupted.
    pieces, params, buffers : abi.Pieces, abi.Params, abi.Buffers
        What `fastbias.descend` is handed: addresses of the compiled pieces, their parameters, and
        all memory of a run on the parameters. In Gram space (``gram``) the loop works on other
        memory, and ``buffers.u, buffers.state, buffers.control`` show where it stands after each
        chunk.
    course : Course
        How the run goes: for sweeps and checkpoints, see `fastbias.running.course`.

    Raises
    ------
    ValueError, TypeError
        One sentence that names the argument, what it must be, and what it was.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.mirror_descent("entropy", 0.05)
    >>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=method)
    >>> trace = plan.run(1000)
    >>> limit = plan.limit()
    >>> print(limit.w.round(12), limit.theorem[:9], bool(trace.gap(limit)[-1] < 1e-12))
    [0.5  0.25] Theorem 1 True
    """

    def __init__(self, X: ArrayLike | Sparse, y: ArrayLike, *, loss: Loss | str, method: Method,
                 model: Model | str = models.linear, start: ArrayLike | Start | None = None,
                 gram: bool | None = None, weights: ArrayLike | None = None,
                 intercept: bool = False, threads: int | str = "auto") -> None:
        data = gather(X, y, loss, weights=weights, intercept=intercept)
        self.course = Course(settled(make(data, method, model, start)), gram, threads)

    @property
    def problem(self) -> Problem:
        """Data, loss, method, model and start, checked and converted."""
        return self.course.problem

    @property
    def pieces(self) -> Pieces:
        """Addresses of the compiled pieces."""
        return self.course.pieces

    @property
    def params(self) -> Params:
        """Their parameters."""
        return self.course.params

    @property
    def buffers(self) -> Buffers:
        """All memory of a run on the parameters; the next run begins with what is there."""
        return self.course.buffers

    @property
    def status(self) -> Status:
        """How the last run ended."""
        return self.course.status

    @property
    def names(self) -> tuple[str, ...] | None:
        """What the entries of w's last axis are called; None where columns had no names."""
        return self.problem.names

    @property
    def trace(self) -> Trace | None:
        """What the last run wrote down; None before the first one."""
        return self.course.trace

    @property
    def t(self) -> int:
        """Updates done so far."""
        return self.course.t

    @property
    def u(self) -> np.ndarray:
        """The parameters as they stand, (n,), a copy."""
        return np.array(self.buffers.u)

    @property
    def w(self) -> np.ndarray:
        """The linear predictor as it stands, (d,) or (m, n), a copy."""
        return self.problem.predictor(self.u).reshape(self.problem.shape)

    def run(self, steps: float, *, record: ArrayLike | None = None, until: float | None = None,
            until_gradient: float | None = None, progress: bool = False,
            callback: Callable[[Plan], Any] | None = None, strict: bool = True,
            checkpoint: str | os.PathLike[str] | None = None, every: float = 30.0,
            record_w: bool = True) -> Trace:
        """Do further updates; going on is bitwise what one long run would have been.

        Parameters
        ----------
        steps : int ≥ 0
            How many more updates; 1e6 is fine, 1.5 is not.
        record : int ≥ 2 or (K,) array of ints, default 200
            How many log-spaced rows to write down, or the steps themselves (counted from the very
            start). The first and the last step are always written down.
        until : float, optional
            Stop once log L is at or under it (status ``REACHED``).
        until_gradient : float ≥ 0, optional
            Stop (``REACHED``) at the first row where ‖∇L(u)‖₂, of all samples, is at or under it.
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
        record_w : bool, default True
            False: of each row only t, log L and the least margin are kept, and w at the first and
            the last; what else of a `Trace` wants each w says so. A `UserWarning` says where rows
            of w take more than 1 GB.

        Returns
        -------
        Trace
            The rows of this call. On Ctrl-C, ``plan.t`` and ``plan.trace`` keep everything up to
            then, and ``run`` goes on from there.

        Raises
        ------
        RunStopped
            The iterate left the domain of the potential, or ceased to be finite; names the step,
            and the step size that would have done where one is known, and carries the trace up to
            the last good iterate.
        ValueError, TypeError
            Where an argument is bad, or the plan is running.
        OSError
            Where the last save failed; ``plan.trace`` holds what was to be returned.
        """
        # (the sum is checked as well: t is kept in an int64)
        stop = checks.whole("steps", self.t + checks.whole("steps", steps))
        record_w = checks.flag("record_w", record_w)
        rows = planned(record, self.t, stop, self.problem.start.size + 1 if record_w else 2)
        aims = targets(until, until_gradient)
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable, got {checks.short(callback)}")
        every = checks.number("every", every, above=0)
        progress, strict = checks.flag("progress", progress), checks.flag("strict", strict)
        if checkpoint is not None:
            checkpoint = checks.path("checkpoint", checkpoint)
        # before the first step, so that a run that ends early has all the memory for what it did
        records = room(self.problem, rows, record_w)
        look = None if callback is None else lambda: callback(self)
        trace = self.course.go(records, stop, aims, progress, look,
                               Store(checkpoint, every, self.save), partial(advice, self.problem))
        if trace.status in FATAL and strict:
            raise RunStopped(trace.message, trace)
        return trace

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a checkpoint: data, pieces, parameters, state, the last run's rows.

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
        ValueError, TypeError
            Where the path is none, or its folder does not exist.
        """
        disk.write(path, *disk.kept(self))

    def __reduce__(self) -> tuple[Callable[..., Plan], tuple[bytes, dict[str, Any], int | str]]:
        """Pickle a plan as its checkpoint, with the pieces of the user's own beside it."""
        # (the addresses of compiled pieces mean nothing in another process)
        kept, about = disk.kept(self)
        own = {part: getattr(self.problem, part) for part in disk.own(about)}
        return type(self)._unpickled, (disk.dumps(kept, about), own, self.course.threads)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, loss: Loss | str | None = None,
             method: Method | None = None, model: Model | str | None = None) -> Plan:
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
        return disk.made(cls, *disk.read(path), loss=loss, method=method, model=model)

    @classmethod
    def _unpickled(cls, raw: bytes, own: dict[str, Any], threads: int | str) -> Plan:
        plan = disk.made(cls, *disk.loads(io.BytesIO(raw)), **own)
        plan.course.threads = threads
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
            the example or proposition that shows why, and the nearest theorem. (That steps are too
            long is told in the limit: it stands, and the run does not come to it.)
        ArithmeticError
            Where there is a limit that float64 cannot tell, as on data that are separable by less
            than rounding.
        """
        return theory.limit(self._here(), checks.flag("flow", flow))

    def fast_forward(self, log_t: float, record: ArrayLike | None = None, rtol: float = 1e-10,
                     max_steps: float = 1_000_000) -> Trace:
        """Where the run is at log t, for any t: exact steps, then the method's field in log time.

        The squared loss in quadratic geometries with constant steps and momentum has a closed form,
        at any t. Else, after T exact steps of a monotone loss the iterates follow dw/dt = inc − ½
        inc'·inc up to O(T^{λ−2}), λ ≤ 1, for ever; it is integrated in s = log t with slacks s −
        m_n beside w, so that log t = 10⁹ costs milliseconds and loses no digits; of Adam and its
        kin once ε is all that they divide by; of models w = F(u) that are homogeneous, in seconds.
        Gradient descent on data that overlap, or with weight decay on a linear model, comes to
        rest, and what is left of the error contracts. On data that are separable in part
        (`Limit.kind` "ray") the finite part follows the other. The exact steps are done on a copy.

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
            loss is not on its way to 0 (or, off separable data, the finite part not near where it
            settles) after max_steps, or the integration fails.
        RunStopped
            Where the exact steps cannot go on.
        ValueError, TypeError
            Where an argument is bad.

        Examples
        --------
        >>> import fastbias as fb
        >>> method = fb.methods.gradient_descent(0.1)
        >>> plan = fb.Plan([[1, 0], [1, 2]], [1, 1], loss="exponential", method=method)
        >>> trace = plan.fast_forward(1e9)                            # t = e^(10^9)
        >>> print((trace.w[-1] / 1e9).round(6), bool(trace.gap(plan.limit())[-1] < 1e-7))
        [1. 0.] True
        """
        def runner() -> Callable[[int], Reached]:
            # (no Plan(...): the problem is checked, and its start is where this one stands)
            copy = object.__new__(Plan)
            copy.course = self.course.copy()

            def run(t: int) -> Reached:
                ended = copy.run(t - copy.t, record=2)
                if copy.t < t:
                    raise NoTheorem("the exact steps that fast-forward begins with ended early: "
                                    f"{ended.message}", "fast-forward")
                return copy.course.reached()
            return run
        return forward.fast_forward(self.problem, self.course.reached(), runner, log_t, record,
                                    rtol, max_steps)

    def max_step(self) -> theory.MaxStep:
        """The largest constant step size that is known to do: by a theorem, for momentum by an
        energy that falls; else gradient descent's edge of stability at the present point alone.

        Returns
        -------
        MaxStep
            ``step_size``, ``theorem`` (which of these), ``source``. With the exponential loss it
            grows as the loss falls (Theorem 5).

        Raises
        ------
        NoTheorem
            Where none speaks of the method and loss.

        Examples
        --------
        >>> import fastbias as fb
        >>> plan = fb.Plan([[3, 4]], [1], loss="squared", method=fb.methods.gradient_descent(0.01))
        >>> round(plan.max_step().step_size, 12)
        0.04
        """
        return edges.max_step(self._here(), self.u)

    def _here(self) -> Problem:
        """The problem, and where the run stands."""
        return replace(self.problem, reached=self.course.reached())

    def flow(self, time: float = np.inf, rtol: float = 1e-10) -> Trace:
        """Follow the continuous-time limit η → 0 from the start; see `fastbias.forward.flow`.

        Parameters
        ----------
        time : float > 0, default inf
            How long; with inf, to the limit point.
        rtol : float, default 1e-10
            Asked relative accuracy.
        """
        return together(self.problem.whole("a flow is followed"),
                        lambda problem: forward.flow(problem, time, rtol))

    def __repr__(self) -> str:
        N, d = self.problem.X.shape
        return f"<Plan ({N}, {d}), {self.problem.loss.name}, {self.problem.method!r}, t = {self.t}>"


def run(X: ArrayLike | Sparse, y: ArrayLike, *, loss: Loss | str, method: Method, steps: float,
        model: Model | str = models.linear, start: ArrayLike | Start | None = None,
        gram: bool | None = None, weights: ArrayLike | None = None, intercept: bool = False,
        threads: int | str = "auto", **options: Any) -> Trace:
    """Run a method on a problem and return its trace: ``Plan(X, y, ...).run(steps, ...)``.

    Parameters
    ----------
    X, y, loss, method, model, start, gram, weights, intercept, threads
        As for `Plan`.
    steps : int ≥ 0
        How many updates.
    **options
        As for `Plan.run`: record, until, until_gradient, progress, callback, strict, checkpoint,
        every, record_w.

    Returns
    -------
    Trace

    Raises
    ------
    RunStopped, ValueError, TypeError, OSError
        As `Plan` and `Plan.run`. On Ctrl-C what was done is lost, as nobody holds the plan: where
        that matters, make the plan yourself.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.gradient_descent(0.01)
    >>> trace = fb.run([[3, 4]], [5], loss="squared", method=method, steps=100)
    >>> print(trace.w[-1].round(9))
    [0.6 0.8]
    """
    plan = Plan(X, y, loss=loss, method=method, model=model, start=start, gram=gram,
                weights=weights, intercept=intercept, threads=threads)
    return plan.run(steps, **options)
