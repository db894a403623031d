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
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.running import checkpoint as disk
from fastbias.running import lanes
from fastbias.running.course import FATAL
from fastbias.running.crew import hand_out
from fastbias.running.plan import Plan
from fastbias.running.store import Store
from fastbias.running.tasks import Ended, Post, Task
from fastbias.trace import RunStopped, Trace
from fastbias.trace.rows import planned

if TYPE_CHECKING:
    import pandas

__all__ = ["Sweep", "sweep"]

Point = dict[str, Any]


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
          executor: Executor | None = None, progress: bool = False,
          store: str | os.PathLike[str] | None = None, retry_failed: bool = False) -> Sweep:
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
        plans, so the factory may be anything; data of 16 kB or more go to each of them once, pieces
        of the user's own as the plain functions that they were made of.
    progress : bool, default False
        Show a tqdm bar of the runs that have ended.
    store : path, optional
        A folder (made where it is missing) that keeps what each run came to as soon as it ends. The
        sweep called again, with whatever executor or points, reads what is there and does what is
        missing, with the same bits; so neither Ctrl-C nor a crash costs more than what was under
        way. Runs count as the same where data, pieces, numbers, seeds (give methods that draw an
        ``rng``), where the plan stood, steps, rows and ``until`` are. A damaged file is done again,
        with a warning.
    retry_failed : bool, default False
        Do runs again whose failure was kept.

    Returns
    -------
    Sweep
        A sequence of traces in grid order, with ``.points, .shape, .plans, .failures`` and
        ``.to_pandas()``. On Ctrl-C what waits is dropped and KeyboardInterrupt raised, within a
        second; plans that were given stand, with their traces, where they came to.

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad. What a factory or a run raises goes to ``.failures``.
    OSError
        Where the store cannot be written.

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
    kept = None if store is None else Store(store, checks.flag("retry_failed", retry_failed))
    makers, points, shape = _points(plans, grid)
    made, failures = _made(makers)
    result = Sweep(points, shape, made, [None] * len(points), failures)
    bar = _bar(len(points), len(failures)) if progress else None
    intake = _Intake(result, kept, bar)
    # before the first of them is done: a bad `record` must not end a sweep in the middle
    tasks = list(intake.tasks(steps, record, until))
    pool = ThreadPoolExecutor(os.cpu_count()) if executor is None else executor
    try:
        hand_out(pool, iter(tasks), intake.take)
    finally:
        if bar is not None:
            bar.close()
        if executor is None:
            pool.shutdown()
    # in the order of the runs, not of their ends
    for i in sorted(failures):
        failures[i] = failures.pop(i)
    return result


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


class _Intake:
    """What is done with plans whose runs ended: entered into the result, kept in the store."""

    def __init__(self, result: Sweep, store: Store | None, bar: Any) -> None:
        self.result, self.store, self.bar = result, store, bar
        self.keys: dict[int, str] = {}

    def tasks(self, steps: int, record: ArrayLike | None, until: float | None) -> Iterator[Task]:
        """What is to be done: plans that share a vector in groups of eight, all others alone; in
        order of their first. Runs that were kept are entered at once.
        """
        made, post = self.result.plans, Post()
        rows: dict[int, np.ndarray] = {}
        groups: dict[Hashable, Task] = {}
        for i, plan in enumerate(made):
            if plan is None:
                continue
            # those that begin at the same step write down the same ones
            if plan.t not in rows:
                rows[plan.t] = planned(record, plan.t, checks.whole("steps", plan.t + steps),
                                       len(made) * (plan.problem.start.size + 1))
            shared = _shared(plan, until)
            one = Task([i], [plan], rows[plan.t], plan.t + steps, until, shared is not None, post)
            if self.found(one):
                continue
            task = groups.setdefault(i if shared is None else shared, one)
            if task is not one:
                task.members.append(i)
                task.plans.append(plan)
        for task in groups.values():
            # eight to a vector, and what is left of a group in one of its own
            for j in range(0, len(task.members), lanes.WIDTH):
                yield replace(task, members=task.members[j:j + lanes.WIDTH],
                              plans=task.plans[j:j + lanes.WIDTH])

    def found(self, task: Task) -> bool:
        """Whether the run of a task for one plan was kept; then it is entered."""
        if self.store is None:
            return False
        (i,), (plan,) = task.members, task.plans
        self.keys[i] = self.store.key(task, plan)
        kept, failure = self.store.find(self.keys[i], plan)
        if kept:
            self.enter(i, plan, failure)
        return kept

    def take(self, task: Task, answer: list[Ended] | Exception) -> None:
        """Enter what a task came to."""
        if isinstance(answer, Exception):
            self.result.failures.update(dict.fromkeys(task.members, answer))
            self.count(len(task.members))
            return
        for i, plan, run in zip(task.members, task.plans, answer, strict=True):
            # so that who gave the plan sees where it stands
            if run.standing is not None:
                disk.resume(plan.course, *run.standing)
            # (a run that Ctrl-C cut short is not over)
            if self.store is not None and (task.over(plan) or run.failure is not None):
                self.store.keep(self.keys[i], run.standing or disk.standing(plan.course),
                                run.failure)
            self.enter(i, plan, run.failure)

    def enter(self, i: int, plan: Plan, failure: Exception | None) -> None:
        """Note the trace of a run, and its failure."""
        self.result.traces[i] = trace = plan.trace
        if failure is not None:
            self.result.failures[i] = failure
        elif trace is not None and trace.status in FATAL:
            self.result.failures[i] = RunStopped(trace.message, trace)
        self.count(1)

    def count(self, runs: int) -> None:
        """Show that runs have ended."""
        if self.bar is not None:
            self.bar.update(runs)


def _shared(plan: Plan, until: float | None) -> Hashable | None:
    """What plans must have in common to share a vector with this one; None where it goes alone."""
    alone = until is not None or plan.course.busy or plan.course.over
    return None if alone else lanes.common(plan)


def _bar(total: int, done: int) -> Any:
    from tqdm.auto import tqdm
    return tqdm(total=total, initial=done, unit="run")
