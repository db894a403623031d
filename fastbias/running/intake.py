"""What a sweep has to do, and what is done with what comes back: entered, and kept in the store."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator, MutableMapping, MutableSequence, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.running import checkpoint as disk
from fastbias.running import lanes
from fastbias.running.course import FATAL
from fastbias.running.plan import Plan
from fastbias.running.points import Grid, Point, points
from fastbias.running.store import Store
from fastbias.running.tasks import Ended, Post, Task
from fastbias.running.template import (
    BAND,
    Band,
    Columns,
    Failures,
    Plans,
    Rows,
    Table,
    Traces,
    bands,
    demand,
    varied,
)
from fastbias.trace import RunStopped, Trace
from fastbias.trace.rows import planned

__all__ = ["Intake", "OfPlans", "OfTemplate"]

Results = tuple[Sequence[Point], tuple[int, ...], Sequence[Plan | None], Sequence[Trace | None],
                MutableMapping[int, Exception]]


class Intake:
    """The runs of a sweep, of which each is a plan when its turn comes."""

    traces: MutableSequence[Trace | None] | Traces
    failures: MutableMapping[int, Exception]

    def __init__(self, store: Store | None, bar: Any, total: int) -> None:
        self.store, self.bar, self.keys = store, bar, dict[int, str]()
        self.post = Post() if store is None else store.post
        if bar is not None:
            bar.reset(total)

    @abstractmethod
    def tasks(self, steps: int, record: ArrayLike | None, until: float | None) -> Iterator[Any]:
        """What is to be done; runs that were kept are entered at once."""

    @abstractmethod
    def ended(self) -> Results:
        """What a `Sweep` is made of."""

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

    def take(self, task: Any, answer: list[Ended] | Exception) -> None:
        """Enter what a task came to."""
        if isinstance(answer, Exception):
            for i in map(int, task.members):
                self.failures[i] = answer
            self.count(len(task.members))
            return
        for i, plan, run in zip(task.members, task.plans, answer, strict=True):
            # so that who gave the plan sees where it stands
            if run.standing is not None:
                disk.resume(plan.course, *run.standing)
            # (one that Ctrl-C cut short is not over, and one that it interrupted here has no key)
            over = task.over(plan) or run.failure is not None
            if self.store is not None and over and i in self.keys:
                self.store.keep(self.keys[i], run.standing or disk.standing(plan.course),
                                run.failure)
            self.enter(i, plan, run.failure)

    def enter(self, i: int, plan: Plan, failure: Exception | None) -> None:
        """Note the trace of a run, and its failure."""
        self.keys.pop(i, None)
        self.traces[i] = trace = plan.trace
        if failure is not None:
            self.failures[i] = failure
        elif trace is not None and trace.status in FATAL:
            self.failures[i] = RunStopped(trace.message, trace)
        self.count(1)

    def count(self, runs: int) -> None:
        """Show that runs have ended."""
        if self.bar is not None:
            self.bar.update(runs)


class OfPlans(Intake):
    """Runs of plans that are all there."""

    def __init__(self, found: Sequence[Point], shape: tuple[int, ...], made: list[Plan | None],
                 failures: dict[int, Exception], store: Store | None, bar: Any) -> None:
        super().__init__(store, bar, len(made))
        self.points, self.shape, self.made, self.failures = found, shape, made, failures
        self.traces = [None] * len(made)
        self.count(len(failures))

    def tasks(self, steps: int, record: ArrayLike | None, until: float | None) -> Iterator[Task]:
        """Plans that share a vector in groups of eight, all others alone; in order of their
        first.
        """
        rows: dict[int, np.ndarray] = {}
        groups: dict[Hashable, Task] = {}
        for i, plan in enumerate(self.made):
            if plan is None:
                continue
            # those that begin at the same step write down the same ones
            if plan.t not in rows:
                rows[plan.t] = planned(record, plan.t, checks.whole("steps", plan.t + steps),
                                       len(self.made) * (plan.problem.start.size + 1))
            shared = _shared(plan, until)
            one = Task([i], [plan], rows[plan.t], plan.t + steps, until, shared is not None,
                       self.post)
            if self.found(one):
                continue
            task = groups.setdefault(i if shared is None else shared, one)
            if task is not one:
                task.members.append(i)
                task.plans.append(plan)
        # eight to a vector, and what is left of a group in one of its own
        return iter([replace(task, members=task.members[j:j + lanes.WIDTH],
                             plans=task.plans[j:j + lanes.WIDTH])
                     for task in groups.values() for j in range(0, len(task.members), lanes.WIDTH)])

    def ended(self) -> Results:
        """In the order of the runs, not of their ends."""
        return (self.points, self.shape, self.made, self.traces,
                dict(sorted(self.failures.items())))


def _shared(plan: Plan, until: float | None) -> Hashable | None:
    """What plans must have in common to share a vector with this one; None where it goes alone."""
    alone = until is not None or plan.course.busy or plan.course.over
    return None if alone else lanes.common(plan)


class OfTemplate(Intake):
    """Runs of one plan, of which a grid varies something."""

    def __init__(self, template: Plan, grid: object, store: Store | None, bar: Any) -> None:
        self.template = template
        self.points, self.shape = points(grid)
        names = self.points.axes if isinstance(self.points, Grid) else {
            name for point in self.points for name in point}
        demand(template, names)
        super().__init__(store, bar, len(self.points))
        self.table: Table | None = None

    def tasks(self, steps: int, record: ArrayLike | None, until: float | None) -> Iterator[Any]:
        """Tiny runs in bands, all others alone; each is made when its turn comes."""
        size = self.template.problem.start.size
        rows = planned(record, 0, steps, len(self.points) * (size + 1))
        if isinstance(self.points, Grid) and until is None and len(self.points):
            table = Table(self.template, self.points)
            self.table = table if table.fits else None
        self.columns = Columns(self.template, self.points, rows, self.table)
        self.traces, self.failures = Traces(self.columns), Failures(self.columns)
        return self._made(rows, steps, until)

    def _made(self, rows: np.ndarray, steps: int, until: float | None) -> Iterator[Any]:
        for begin in range(0, len(self.points), BAND):
            which = np.arange(begin, min(begin + BAND, len(self.points)))
            fine = np.zeros(len(which), bool)
            if self.table is not None:
                fine = self.table.good(which)
                for band in bands(self.table, which[fine], rows, steps):
                    if not self.found_band(band):
                        yield band
            for i in which[~fine].tolist():
                task = self._alone(i, rows, steps, until)
                if task is not None:
                    yield task

    def _alone(self, i: int, rows: np.ndarray, steps: int, until: float | None) -> Task | None:
        """The run of one point by its plan; None where that is no plan, or the run was kept."""
        try:
            plan = varied(self.template, self.points[i])
        except Exception as error:
            self.failures[i] = error
            self.count(1)
            return None
        task = Task([i], [plan], rows, steps, until, False, self.post)
        return None if self.found(task) else task

    def found_band(self, band: Band) -> bool:
        """Whether the runs of a band were kept; then they are entered."""
        if self.store is None:
            return False
        key = self.keys[int(band.members[0])] = self.store.band_key(band)
        rows = self.store.find_band(key, band)
        if rows is not None:
            self._enter(band, rows)
        return rows is not None

    def _enter(self, band: Band, rows: Rows) -> None:
        self.keys.pop(int(band.members[0]), None)
        self.columns.enter(band, rows)
        self.count(len(band.members))

    def take(self, task: Any, answer: Any) -> None:
        """Enter what a task came to."""
        if not isinstance(answer, Rows):
            super().take(task, answer)
            return
        key = self.keys.get(int(task.members[0]))
        if self.store is not None and key is not None and task.over(answer):
            self.store.keep_band(key, answer)
        self._enter(task, answer)

    def ended(self) -> Results:
        """Sequences whose entries are made when they are asked for."""
        return (self.points, self.shape, Plans(self.template, self.points), self.traces,
                self.failures)
