"""Sweeps: one problem over many step sizes, momenta, starts, …; failures are kept and not fatal.

Tiny gradient descents on the same data run eight to a vector (`fastbias.running.lanes`), which the
plans themselves tell; all others go one by one through the ordinary loop. Either way without the
GIL, so that plain threads use all cores, and with bits that depend neither on the number of threads
nor on what else is in the sweep.
"""
from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import Records, Status
from fastbias.running import lanes
from fastbias.running.course import FATAL, Course
from fastbias.running.plan import Plan
from fastbias.trace import RunStopped, Trace
from fastbias.trace.rows import planned

if TYPE_CHECKING:
    import pandas

__all__ = ["Sweep", "sweep"]

PATIENCE = 1.0        # seconds that Ctrl-C waits for tasks to see it, which look after each chunk

Point = dict[str, Any]
Made = list[tuple[Plan, Exception | None]]


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Sequence[Trace | None]):
    """What a sweep came to: a sequence of traces in grid order; ``sweep[i]`` is that of run i.

    Parameters
    ----------
    points : list of dict
        The arguments of each run, in order; empty where plans were given.
    shape : tuple of int
        The lengths of the grid's sequences, (n,) for any other n runs: ``np.reshape(x,
        sweep.shape)`` lays out one x a run.
    plans : list of Plan or None
        The plans where they stand, to go on with; None where the factory failed.
    traces : list of Trace or None
        None where a run did not begin. Of a run that could not go on, everything up to its last
        finite iterate.
    failures : dict of int to Exception
        What went wrong, by run: `RunStopped` with its trace, or whatever the factory or the
        executor raised.
    """

    points: list[Point]
    shape: tuple[int, ...]
    plans: list[Plan | None]
    traces: list[Trace | None] = field(default_factory=list)
    failures: dict[int, Exception] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, i: int | slice) -> Any:
        return self.traces[i]

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row a run: its point, then status, t, log_loss (the last of each) and error.

        Where a run has no trace, t is −1, log_loss NaN. A name of the grid that is one of these
        gets ``param_`` before it.
        """
        import pandas
        rows = []
        for i, (point, trace) in enumerate(zip(self.points, self.traces, strict=True)):
            end = {"status": self._status(i),
                   "t": -1 if trace is None else int(trace.t[-1]),
                   "log_loss": np.nan if trace is None else float(trace.log_loss[-1]),
                   "error": str(self.failures.get(i, ""))}
            rows.append({f"param_{name}" if name in end else name: value
                         for name, value in point.items()} | end)
        return pandas.DataFrame(rows, index=pandas.RangeIndex(len(rows), name="run"))

    def _status(self, i: int) -> str:
        error, trace = self.failures.get(i), self.traces[i]
        # a run that stopped has a status; what was raised else has only its name
        return (type(error).__name__ if trace is None or not isinstance(error, RunStopped | None)
                else trace.status.name)

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.shape)) if len(self.shape) > 1 else str(len(self))
        ends = Counter(self._status(i) for i in range(len(self)))
        told = ", ".join(f"{count} {name}" for name, count in sorted(ends.items()))
        return f"<Sweep of {size} runs: {told}>"


def sweep(plans: Callable[..., Plan] | Iterable[Plan],
          grid: Mapping[str, Iterable[object]] | Iterable[Mapping[str, object]] | None = None, *,
          steps: float, record: ArrayLike | None = None, until: float | None = None,
          executor: Executor | None = None, progress: bool = False) -> Sweep:
    """Run many plans, each point of a grid one; a run that fails is kept, and the others go on.

    Gradient descents with constant steps and momentum on one linear problem (squared, exponential
    or logistic loss, X of up to 64 entries) share a vector, eight at a time: some 4 ns a run and
    update at (1, 2). They equal ``plan.run`` to rounding, all other runs bit for bit; and every bit
    is the same for any executor, number of workers, and company.

    Parameters
    ----------
    plans : callable or iterable of Plan
        A factory ``f(**point) -> Plan``, called once for each point, here and in order; or the
        plans themselves.
    grid : mapping of names to sequences, or iterable of mappings
        The points: all combinations, the last name fastest; or one by one. Goes with a factory, and
        only with one.
    steps : int ≥ 0
        How many updates each plan does, from where it stands.
    record, until : optional
        As for `Plan.run`; with ``until`` no vectors are shared.
    executor : concurrent.futures.Executor, optional
        Where to run; default: threads, one a core. It is not shut down. Other processes are sent
        plans as checkpoints, so the factory may be anything; pieces of the user's own cannot be
        sent.
    progress : bool, default False
        Show a tqdm bar of the runs that have ended.

    Returns
    -------
    Sweep
        A sequence of traces in grid order, with ``.points, .shape, .plans, .failures`` and
        ``.to_pandas()``. On Ctrl-C what waits is dropped and KeyboardInterrupt raised; plans that
        were given stand, with their traces, where they came to.

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad. What a factory or a run raises goes to ``.failures``.

    Examples
    --------
    >>> import fastbias as fb
    >>> def descent(step_size, momentum):
    ...     method = fb.methods.gradient_descent(step_size, momentum)
    ...     return fb.Plan([[3, 4]], [5], loss="squared", method=method)
    >>> grid = {"step_size": [0.01, 0.02, 5.0], "momentum": [0, 0.5]}
    >>> sweep = fb.sweep(descent, grid, steps=1000)
    >>> sweep
    <Sweep of 3 × 2 runs: 2 NOT_FINITE, 4 STALLED>
    >>> sweep.points[1], sweep[1].w[-1].round(9).tolist(), sorted(sweep.failures)
    ({'step_size': 0.01, 'momentum': 0.5}, [0.6, 0.8], [4, 5])
    """
    steps = checks.whole("steps", steps)
    if until is not None:
        until = checks.number("until", until)
    progress = checks.flag("progress", progress)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError("executor must be a concurrent.futures.Executor, got "
                        f"{checks.short(executor)}")
    makers, points, shape = _points(plans, grid)
    made, failures = _made(makers)
    result = Sweep(points, shape, made, [None] * len(points), failures)
    tasks = _tasks(made, steps, record, until)
    bar = _bar(len(points), len(failures)) if progress else None
    pool = ThreadPoolExecutor(os.cpu_count()) if executor is None else executor
    try:
        _run(pool, tasks, until, result, bar)
    finally:
        if bar is not None:
            bar.close()
        if executor is None:
            pool.shutdown()
    # in the order of the runs, not of their ends
    for i in sorted(failures):
        failures[i] = failures.pop(i)
    return result


def _run(pool: Executor, tasks: list[_Task], until: float | None, result: Sweep, bar: Any) -> None:
    """Hand out all tasks, and enter each as it ends."""
    halt: list[bool] = []
    waiting: dict[Future[Made], _Task] = {}
    try:
        for task in tasks:
            waiting[pool.submit(_work, task, until, halt)] = task
        for future in as_completed(waiting):
            _collect(future, waiting[future], result)
            if bar is not None:
                bar.update(len(waiting[future].members))
    except BaseException:
        # which threads see, and go on to their next look at Python
        halt.append(True)
        wait([future for future in waiting if not future.cancel()], PATIENCE)
        raise


class _Task(NamedTuple):
    """What one worker does in one go: up to eight plans in lanes of a vector, or a single one."""

    members: list[int]
    plans: list[Plan]
    rows: np.ndarray
    stop: int
    together: bool


def _listed(some: object) -> list[Any]:
    """What an iterable yields; anything else, such as an array without axes, alone."""
    return list(some) if isinstance(some, Iterable) and getattr(some, "ndim", 1) > 0 else [some]


def _points(plans: object,
            grid: object) -> tuple[list[Callable[[], object]], list[Point], tuple[int, ...]]:
    """How to make each plan, its point, and the shape of it all."""
    if not callable(plans):
        given = _listed(plans)
        if not isinstance(plans, Iterable) or not all(isinstance(plan, Plan) for plan in given):
            raise TypeError("plans must be a factory f(**point) -> Plan or an iterable of plans, "
                            f"got {checks.short(plans)}")
        if grid is not None:
            raise TypeError("grid must be left out where plans are given, got "
                            f"{checks.short(grid)}")
        return [partial(_itself, plan) for plan in given], [{} for _ in given], (len(given),)
    points, shape = _grid(grid) if isinstance(grid, Mapping) else _one_by_one(grid)
    return [partial(_at, plans, point) for point in points], points, shape


def _at(factory: Callable[..., object], point: Point) -> object:
    """Only now: a point that does not fit the factory is the failure of its own run."""
    return factory(**point)


def _itself(plan: Plan) -> Plan:
    return plan


def _grid(grid: Mapping[str, Any]) -> tuple[list[Point], tuple[int, ...]]:
    """All combinations of the values of a grid, the last name fastest, and how many of each."""
    for name, values in grid.items():
        # (an array without axes has the method, and cannot be gone through)
        listable = hasattr(values, "__iter__") and getattr(values, "ndim", 1) > 0
        if isinstance(values, str | bytes | Mapping) or not listable:
            raise TypeError("grid must map each name to a sequence of values, got "
                            f"{checks.short(values)} for {name!r}")
    axes = [list(values) for values in grid.values()]
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*axes)]
    return points, tuple(len(axis) for axis in axes)


def _one_by_one(grid: object) -> tuple[list[Point], tuple[int, ...]]:
    """Points that were given as such."""
    listed = _listed(grid)
    if not all(isinstance(point, Mapping) for point in listed):
        raise TypeError("grid must be a mapping of names to sequences, or an iterable of "
                        f"mappings, where plans is a factory, got {checks.short(grid)}")
    return [dict(point) for point in listed], (len(listed),)


def _made(makers: list[Callable[[], object]]) -> tuple[list[Plan | None], dict[int, Exception]]:
    """The plans, None where there is none, and what was raised instead."""
    made: list[Plan | None] = [None] * len(makers)
    failures: dict[int, Exception] = {}
    seen: dict[int, int] = {}
    for i, make in enumerate(makers):
        try:
            plan = make()
            if not isinstance(plan, Plan):
                raise TypeError(f"plans must return a Plan, got {checks.short(plan)}")
            # two runs in one memory, perhaps at the same time
            if seen.setdefault(id(plan), i) != i:
                raise ValueError("plans must be another Plan for each run, got that of run "
                                 f"{seen[id(plan)]} again")
            made[i] = plan
        except Exception as error:                        # a point may well be a bad one
            failures[i] = error
    return made, failures


def _tasks(made: list[Plan | None], steps: int, record: ArrayLike | None,
           until: float | None) -> list[_Task]:
    """Plans that share a vector in groups of eight, all others alone; in order of their first."""
    rows: dict[int, np.ndarray] = {}
    groups: dict[Hashable, list[int]] = {}
    for i, plan in enumerate(made):
        if plan is not None:
            # those that begin at the same step write down the same ones
            if plan.t not in rows:
                entries = len(made) * (plan.problem.start.size + 1)
                rows[plan.t] = planned(record, plan.t, checks.whole("steps", plan.t + steps),
                                       entries)
            shared = _shared(plan, until)
            groups.setdefault(i if shared is None else shared, []).append(i)
    # eight to a vector, and what is left of a group in one of its own
    some = [(members[j:j + lanes.WIDTH], not isinstance(shared, int))
            for shared, members in groups.items() for j in range(0, len(members), lanes.WIDTH)]
    return [_task([i for i in members if made[i] is not None], made, steps, rows, together)
            for members, together in some]


def _shared(plan: Plan, until: float | None) -> Hashable | None:
    """What plans must have in common to share a vector with this one; None where it goes alone."""
    alone = until is not None or plan.course.busy or plan.course.over
    return None if alone else lanes.common(plan)


def _task(members: list[int], made: list[Plan | None], steps: int, rows: dict[int, np.ndarray],
          together: bool) -> _Task:
    """One go: all its plans stand at the same step."""
    plans = [plan for plan in (made[i] for i in members) if plan is not None]
    return _Task(members, plans, rows[plans[0].t], plans[0].t + steps, together)


def _work(task: _Task, until: float | None, halt: list[bool]) -> Made:
    """Run the plans of a task, in any thread or process; where they stand, and what was raised."""
    # numpy's own settings are each thread's: a pool's are not those of who called
    # a run says for itself where its numbers cease to be finite
    with np.errstate(all="ignore"):
        if not task.together:
            return [(plan, _alone(plan, task, until, halt)) for plan in task.plans]
        ends = lanes.run(task.plans, task.rows, task.stop, halt)
        return [(plan, _ended(plan.course, task, *end, halt))
                for plan, end in zip(task.plans, ends, strict=True)]


def _alone(plan: Plan, task: _Task, until: float | None, halt: list[bool]) -> Exception | None:
    def look(plan: Plan) -> None:
        if halt:
            raise StopIteration
    try:
        plan.run(task.stop - plan.t, record=task.rows, until=until, callback=look, strict=False)
    except Exception as error:
        return error
    return None


def _ended(course: Course, task: _Task, records: Records, end: int,
           halt: list[bool]) -> Exception | None:
    """After its time in a lane: go on in the ordinary loop if need be, and keep the trace."""
    try:
        course.status = Status(max(end, 0))
        if end == lanes.APART:
            course.finish(records, task.stop, halt)
        message = None
        if halt and course.status == Status.OK and course.t < task.stop:
            message = f"interrupted at step {course.t}"
        # the rows to write down are those of all lanes: a trace has its own
        own = records._replace(steps=records.steps.copy())
        course.trace = course.traced(own, course.status, message)
    except Exception as error:
        return error
    return None


def _collect(future: Future[Made], task: _Task, result: Sweep) -> None:
    """Enter what a task came to."""
    try:
        ended = future.result()
    except Exception as error:
        # the executor's own: it could not send, or lost a worker
        result.failures.update(dict.fromkeys(task.members, error))
        return
    for i, plan, (other, failure) in zip(task.members, task.plans, ended, strict=True):
        # so that who gave the plan sees where it stands
        if other is not plan:                             # it comes back from another process
            plan.course = other.course
        result.traces[i] = trace = plan.trace
        if failure is not None:
            result.failures[i] = failure
        elif trace is not None and trace.status in FATAL:
            result.failures[i] = RunStopped(trace.message, trace)


def _bar(total: int, done: int) -> Any:
    from tqdm.auto import tqdm
    return tqdm(total=total, initial=done, unit="run")
