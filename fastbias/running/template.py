"""A plan as the template of many: what of it may vary, and runs that no plan is made for.

Tiny runs that go in lanes take their numbers from columns and leave their rows in columns; whatever
else a template is of, each run makes its plan when its turn comes, and drops it.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from fastbias.data.rows import largest
from fastbias.engine.abi import ROW, Status
from fastbias.pieces.methods import Method
from fastbias.pieces.methods.base import reseeded
from fastbias.problem import Data, Problem, gather, make
from fastbias.running import lanes
from fastbias.running.chosen import settled
from fastbias.running.course import FATAL, Course, told, written
from fastbias.running.lanes_moves import twin
from fastbias.running.plan import Plan
from fastbias.running.points import Grid, Point
from fastbias.trace import RunStopped, Trace

__all__ = ["ARGUMENTS", "Band", "Columns", "Failures", "Plans", "Rows", "Table", "Traces",
           "accepted", "bands", "demand", "varied"]

ARGUMENTS = {"step_size": ("step_size",), "momentum": ("momentum", "dual_momentum"),
             "dual_momentum": ("dual_momentum",), "primal_momentum": ("primal_momentum",),
             "seed": ("rng",)}
"""What a grid calls the arguments of the method's factory: the first of these that it has."""
NAMES = (*list(ARGUMENTS)[:-1], "start", "y", "seed")
MIRRORED = {"dual_momentum", "primal_momentum"}      # what lanes have no number for
BAND = 1024           # runs of a task: some 50 ms of 10⁴ updates
SHOWN = 4             # failures that are named
MILD = 1e100          # starts and targets up to here have a finite loss on data up to here


def demand(plan: Plan, names: Iterable[str]) -> None:
    """Raise ValueError unless a grid of these names can vary the plan."""
    accepted(plan.problem.method, names)
    if plan.t != 0 or plan.course.busy:
        raise ValueError("plans must stand at its start, t = 0, to be a template, got one at t = "
                         f"{plan.t}")


def accepted(method: Method, names: Iterable[str]) -> None:
    """Raise ValueError unless a grid of these names can vary what a method is made with."""
    taken: dict[str, str] = {}
    for name in names:
        if name not in NAMES:
            raise ValueError(f"grid must name some of {', '.join(NAMES)} where plans is a "
                             f"template, got {name!r}")
        if name not in ARGUMENTS:
            continue
        argument = _argument(method, name)
        if argument is None:
            wanted = " or ".join(ARGUMENTS[name])
            raise ValueError(f"grid must not name {name} for {method!r}, whose factory has no "
                             f"argument {wanted}")
        if argument in taken:
            raise ValueError(f"grid must name one of {taken[argument]} and {name}, which are one "
                             f"for {method!r}")
        taken[argument] = name


def _argument(method: Method, name: str) -> str | None:
    """What the factory of a method calls what a grid names; None where it has no such argument."""
    known = inspect.signature(_factory(method)).parameters if hasattr(method, "_maker") else ()
    return next((argument for argument in ARGUMENTS[name] if argument in known), None)


def _factory(method: Method) -> Callable[..., Method]:
    """What made a method."""
    return vars(method)["_maker"]


def varied(plan: Plan, point: Point) -> Plan:
    """The plan with what a point names in place of its own, at its start."""
    made = object.__new__(Plan)
    made.course = Course(_problem(plan, point), plan.course.gram, plan.course.threads)
    return made


def _problem(plan: Plan, point: Point) -> Problem:
    old, method = plan.problem, plan.problem.method
    data: Data = old if "y" not in point else _relabelled(old, point["y"])
    changes = {_argument(method, name) or name: point[name] for name in point
               if name in ARGUMENTS}
    if changes:
        arguments = vars(method)["recipe"][1]
        if "rng" in changes:
            arguments = reseeded(arguments, changes["rng"])
        method = _factory(method)(**arguments | changes)
    return settled(make(data, method, old.model, point.get("start", old.start)))


def _relabelled(old: Problem, y: Any) -> Data:
    """The data of a problem with other targets."""
    X = old.X if old.sparse else old.X.reshape(-1, *old.sample)
    found = gather(X, y, old.loss)
    if found.shape != old.shape or found.columns != old.columns:
        what = "columns" if old.columns else "classes"
        raise ValueError(f"y must have the {what} of the template, which make predictors of shape "
                         f"{old.shape}, got {found.shape}")
    # (X is the template's own: no copy a run)
    return replace(found, X=old.X, names=old.names, weights=old.weights,
                   intercept=old.intercept)


class Rows(NamedTuple):
    """What runs of one band, or of a whole sweep, wrote down."""

    u: np.ndarray         # (L, K, d)
    log_loss: np.ndarray  # (L, K)
    filled: np.ndarray    # (L,)  rows, the last of which is where the run ended; 0: none yet
    t: np.ndarray         # (L,)  where that is
    status: np.ndarray    # (L,)

    @classmethod
    def of(cls, runs: int, rows: int, d: int) -> Rows:
        """Room for so many."""
        return cls(np.empty((runs, rows, d)), np.empty((runs, rows)),
                   *(np.zeros(runs, np.int64) for _ in range(3)))


@dataclass(eq=False)
class Band:
    """Runs of a template that go in lanes, to be done in one go."""

    template: Plan
    members: np.ndarray       # (L,)  their numbers in the sweep
    varying: tuple[str, ...]
    runs: lanes.Runs
    rows: np.ndarray
    stop: int

    def __call__(self, halt: list[bool]) -> Rows:
        """What they came to."""
        with np.errstate(all="ignore"):
            ends = lanes.go(self.template, self.runs, self.rows, self.stop, halt)
            count, t, status = (a.astype(np.int64) for a in (ends.rows, ends.done, ends.status))
            count[status == Status.STALLED] += 1
            for i in np.flatnonzero(status == lanes.APART).tolist():
                count[i], t[i], status[i] = self._apart(ends, i, halt)
        return Rows(ends.records.u, ends.records.log_loss, count, t, status)

    def _apart(self, ends: lanes.Ends, i: int, halt: list[bool]) -> tuple[int, int, Status]:
        """Let a run that lanes cannot take further go on in the ordinary loop."""
        eta, beta, _ = self.runs.numbers[i]
        here = {"step_size": eta, "momentum": beta, "y": self.runs.y[i], "start": self.runs.u[i]}
        plan = varied(self.template, {name: here[name] for name in self.varying if name in here})
        records, course = lanes.place(plan, ends, i), plan.course
        course.finish(records, self.stop, halt)
        row = int(course.buffers.control[ROW])
        # where it ended is a row, too: there is room, as the last one asked for is its stop
        if row == 0 or records.steps[row - 1] != course.t:
            records.u[row], row = course.buffers.u, row + 1
            records.log_loss[row - 1] = course.problem.log_loss(course.buffers.u)
        return row, course.t, course.status

    def over(self, rows: Rows) -> bool:
        """Whether none of them was cut short."""
        return bool(((rows.t >= self.stop) | (rows.status != Status.OK)).all())


class Table:
    """The axes of a grid as columns, where all that varies is numbers that lanes take."""

    def __init__(self, plan: Plan, grid: Grid) -> None:
        self.plan, self.grid = plan, grid
        # whether any run can go in lanes, where momentum is that of eq. (3)
        self.fits = lanes.common(plan) is not None and not MIRRORED & set(grid.axes) and (
            "momentum" not in grid.axes or twin(plan.problem.method, True) is not None)
        found = {name: _column(plan, name, values) for name, values in grid.axes.items()
                 if name != "seed" and self.fits}
        self.columns = {name: column for name, column in found.items() if column is not None}
        self.fits = self.fits and len(found) == len(self.columns)
        self.own = _begun(plan, *self.columns["start"]) if "start" in self.columns else None

    def good(self, which: np.ndarray) -> np.ndarray:
        """Which of some points are in order; what is wrong with others a plan says."""
        found = np.ones(len(which), bool)
        for name, at in self.grid.places(which).items():
            if name in self.columns:
                found &= self.columns[name][1][at]
        return found

    def runs(self, which: np.ndarray) -> lanes.Runs:
        """Where the runs of some points begin."""
        L, at, plan = len(which), self.grid.places(which), self.plan
        one = lanes.standing([plan])
        runs = lanes.Runs(*(np.repeat(a, L, axis=0) for a in one))
        for name, where in (("step_size", (runs.numbers, 0)), ("momentum", (runs.numbers, 1)),
                            ("y", (runs.y, slice(None))), ("start", (runs.u, slice(None)))):
            if name in at:
                where[0][:, where[1]] = self.columns[name][0][at[name]]
        if self.own is not None:
            runs.own[:] = self.own[at["start"]]
        return runs


def _column(plan: Plan, name: str, values: list[Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """The values of an axis as an array of float64, and which of them are good; None where they
    are no such numbers.
    """
    shape = {"start": plan.problem.start.shape, "y": plan.problem.y.shape}.get(name, ())
    try:
        found = np.array(values, dtype=float).reshape(len(values), *shape)
    except (TypeError, ValueError):
        return None
    # (which NumPy would take for numbers, and a plan does not)
    if any(isinstance(value, (bool, str, bytes)) for value in values):
        return None
    flat = found.reshape(len(values), -1)
    if name == "step_size":
        return found, (found > 0) & (found < np.inf)
    if name == "momentum":
        return found, (found >= 0) & (found < np.inf)
    if name == "y" and plan.problem.loss.kind == "monotone":
        # other names of labels are looked at one by one
        return found, (np.abs(flat) == 1).all(axis=1)
    mild = float(largest(plan.problem.X, 1).max()) <= MILD
    return found, (np.abs(flat) <= MILD).all(axis=1) & mild


def _begun(plan: Plan, starts: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The method's own rows of state at each start; one that has none is not good."""
    own = np.repeat(lanes.standing([plan]).own, len(starts), axis=0)
    for i in np.flatnonzero(good).tolist() if own.size else ():
        try:
            own[i] = plan.problem.method.begin(starts[i]).ravel()[:own.shape[1]]
        except (TypeError, ValueError):                   # it is outside the domain, as a plan says
            good[i] = False
    good &= np.isfinite(own).all(axis=1)
    return own


def bands(table: Table, which: np.ndarray, rows: np.ndarray, stop: int) -> Iterator[Band]:
    """The runs of some points in bands, those with momentum apart from those without."""
    runs = table.runs(which)
    # one with momentum beside one without would round it in another way
    moving = (runs.numbers[:, 1:] != 0).any(axis=1)
    for some in (np.flatnonzero(~moving), np.flatnonzero(moving)):
        if some.size:
            yield Band(table.plan, which[some], tuple(table.grid.axes),
                       lanes.Runs(*(a[some] for a in runs)), rows, stop)


class Columns:
    """What all runs of a template came to."""

    def __init__(self, template: Plan, points: Sequence[Point], rows: np.ndarray,
                 table: Table | None) -> None:
        self.template, self.points, self.rows, self.table = template, points, rows, table
        self.found = None if table is None else Rows.of(len(points), rows.size,
                                                        template.problem.start.size)

    def enter(self, band: Band, rows: Rows) -> None:
        """Note what a band came to."""
        assert self.found is not None
        for whole, part in zip(self.found, rows, strict=True):
            whole[band.members] = part

    def trace(self, i: int) -> Trace | None:
        """The trace of a run that went in lanes."""
        if self.found is None or self.found.filled[i] == 0:
            return None
        u, log_loss, count, t, status = (a[i] for a in self.found)
        steps, ended = self.rows[:count].copy(), Status(int(status))
        steps[-1] = t
        problem = self.problem(i)
        return written(problem, steps, u[:count].copy(), log_loss[:count].copy(), ended,
                       told(problem, ended, int(t)))

    def problem(self, i: int) -> Problem:
        """The problem of a run."""
        return _problem(self.template, self.points[i])


class Traces(Sequence[Trace | None]):
    """The traces of a template's runs: those of lanes are made when they are asked for."""

    def __init__(self, columns: Columns) -> None:
        self.columns, self.own = columns, dict[int, Trace | None]()

    def __repr__(self) -> str:
        return f"<{len(self)} traces, made when they are asked for>"

    def __len__(self) -> int:
        return len(self.columns.points)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        i = range(len(self))[i]
        return self.own[i] if i in self.own else self.columns.trace(i)

    def __setitem__(self, i: int, trace: Trace | None) -> None:
        self.own[i] = trace


class Plans(Sequence[Plan | None]):
    """The plans of a template's runs, made when they are asked for, at their start."""

    def __init__(self, template: Plan, points: Sequence[Point]) -> None:
        self.template, self.points = template, points

    def __repr__(self) -> str:
        return f"<{len(self)} plans, made when they are asked for>"

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        try:
            return varied(self.template, self.points[i])
        except (ValueError, TypeError):                   # as its failure says
            return None


class Failures(MutableMapping[int, Exception]):
    """What went wrong, by run: of lanes what their status says, when it is asked for."""

    def __init__(self, columns: Columns) -> None:
        self.columns, self.own = columns, dict[int, Exception]()

    def __repr__(self) -> str:
        some = [f"run {i} {type(self[i]).__name__}" for i in islice(self, SHOWN)]
        more = [f"{len(self) - SHOWN} more"] * (len(self) > SHOWN)
        return f"<failures: {', '.join([*some, *more]) or 'none'}>"

    def _stopped(self) -> np.ndarray:
        found = self.columns.found
        return np.array([], int) if found is None else np.flatnonzero(
            np.isin(found.status, FATAL) & (found.filled > 0))

    def __getitem__(self, i: int) -> Exception:
        if i in self.own:
            return self.own[i]
        found = self.columns.found
        if found is None or i not in range(len(self.columns.points)) \
                or found.status[i] not in FATAL:
            raise KeyError(i)
        trace = self.columns.trace(i)
        assert trace is not None
        return RunStopped(trace.message, trace)

    def __setitem__(self, i: int, error: Exception) -> None:
        self.own[i] = error

    def __delitem__(self, i: int) -> None:
        del self.own[i]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted({*self.own, *self._stopped().tolist()}))

    def __len__(self) -> int:
        return len(self.own) + len(self._stopped())
