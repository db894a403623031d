"""Sweeps: one problem over many step sizes, momenta, starts, …; failures are kept and not fatal.

Tiny runs on the same data go eight to a vector (`fastbias.running.lanes`), which the
plans themselves tell; all others go one by one through the ordinary loop. Either way without the
GIL, so that plain threads use all cores, and with bits that depend neither on the number of threads
nor on what else is in the sweep.
"""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import above
from fastbias.checks.shown import html, text
from fastbias.running import tables
from fastbias.running.crew import hand_out
from fastbias.running.intake import Intake, OfPlans, OfTemplate
from fastbias.running.plan import Plan
from fastbias.running.points import Grid, Point, listed, points
from fastbias.running.store import Store
from fastbias.solvers.limit import Limit
from fastbias.trace import Trace

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.axes import Axes

__all__ = ["Sweep", "sweep"]

MOST = 12             # kinds of ends that are printed


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Sequence[Trace | None]):
    """What a sweep came to: a sequence of traces in grid order; ``sweep[i]`` is that of run i.

    Parameters
    ----------
    points : sequence of dict
        The arguments of each run, in order; empty where plans were given.
    shape : tuple of int
        The lengths of the grid's sequences, (n,) for any other n runs: ``np.reshape(x,
        sweep.shape)`` lays out one x a run.
    plans : sequence of Plan or None
        The plans where they stand, to go on with; None where the factory failed. Of a template:
        made when they are asked for, at their start.
    traces : sequence of Trace or None
        None where a run did not begin. Of a run that could not go on, everything up to its last
        finite iterate.
    failures : mapping of int to Exception
        What went wrong, by run: `RunStopped` with its trace, or whatever the factory or the
        executor raised.
    """

    points: Sequence[Point]
    shape: tuple[int, ...]
    plans: Sequence[Plan | None]
    traces: Sequence[Trace | None] = field(default_factory=list)
    failures: MutableMapping[int, Exception] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, i: int | slice) -> Any:
        return self.traces[i]

    def to_pandas(self, *functions: str | Callable[[Trace, Limit | None], Any]
                  ) -> pandas.DataFrame:
        """Return one row a run: its point, then status, t, log_loss (the last of each) and error.

        Where a run has no trace, t is −1, log_loss NaN. A name of the grid that is one of the
        others gets ``param_`` before it.

        Parameters
        ----------
        *functions : callable or str
            Further columns, each called by its name: functions of (trace, limit), the limit being
            None where no theorem speaks, or one of "w", "margin" (the last, in the limit's norm,
            else in ℓ2) and "gap" (the last distance to the limit). Arrays make a column an entry:
            w0, w1, … Limits are solved once for each problem: data, loss, method with its numbers,
            and start.

        Raises
        ------
        ValueError, TypeError
            Where a function is none, two have one name, or one returns other shapes for other runs.

        Examples
        --------
        >>> import fastbias as fb
        >>> plan = fb.Plan([[3, 4]], [5], loss="squared", method=fb.methods.gradient_descent(0.01))
        >>> def ratio(trace, limit):
        ...     return trace.w[-1, 0] / trace.w[-1, 1]
        >>> sweep = fb.sweep(plan, {"step_size": [0.01, 0.02]}, steps=1000)
        >>> sweep.to_pandas("gap", ratio)[["step_size", "gap", "ratio"]].round(6).values.tolist()
        [[0.01, 0.0, 0.75], [0.02, 0.0, 0.75]]
        """
        return tables.table(self, functions)

    def to_xarray(self, *functions: str | Callable[[Trace, Limit | None], Any]) -> xarray.Dataset:
        """Return the same as a Dataset, over the axes of the grid, or over "run" where there is
        none; arrays have further dimensions, such as w_0.
        """
        return tables.frame(self, functions)

    @property
    def axes(self) -> dict[str, list[Any]] | None:
        """The values of the grid by name; None where points were given one by one."""
        return self.points.axes if isinstance(self.points, Grid) and self.points.axes else None

    def plot(self, value: str | Callable[[Trace, Limit | None], Any] = "log_loss",
             ax: Axes | None = None) -> Axes:
        """Draw one number a run over the grid: a heat map, or a curve over one axis.

        Parameters
        ----------
        value : str or callable, default "log_loss"
            "log_loss", "t", "margin", "gap", or a function of (trace, limit), as for `to_pandas`.
        ax : matplotlib Axes, optional
            Where to draw; a new figure's where it is not given.

        Returns
        -------
        matplotlib Axes
        """
        return above.picture(self, value, ax)

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.shape)) if len(self.shape) > 1 else str(len(self))
        ends = Counter(tables.ends(self)["status"].tolist())
        told = ", ".join(f"{count} {name}" for name, count in sorted(ends.items())[:MOST])
        if len(ends) > MOST:
            told += f", … {len(ends) - MOST} kinds more"
        return f"<Sweep of {size} runs: {told}>"

    def __str__(self) -> str:
        return text(tables.report(self))

    def _repr_html_(self) -> str:
        return html(tables.report(self))


def sweep(plans: Callable[..., Plan] | Iterable[Plan] | Plan,
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
    plans : callable, iterable of Plan, or Plan
        A factory ``f(**point) -> Plan``, called once for each point, here and in order; the plans
        themselves; or one plan at its start, the template of all: then the grid names some of
        step_size, momentum, start, y and seed (the method's ``rng``), no plan is made for runs that
        share a vector (on a mapping of numbers; others make one when their turn comes, and drop
        it), and ``.plans`` makes each when it is asked for, at its
        start. A million runs of 10⁴ updates at (1, 2) take some 50 s of one core, and memory for
        the rows asked for.
    grid : mapping of names to sequences, or iterable of mappings
        The points: all combinations, the last name fastest; or one by one. Goes with a factory or
        a template, and only with one.
    steps : int ≥ 0
        How many updates each plan does, from where it stands.
    record, until : optional
        As for `Plan.run`; with ``until`` no vectors are shared.
    executor : concurrent.futures.Executor, optional
        Where to run; default: threads, one a core. It is not shut down. Other processes are sent
        plans, so the factory may be anything; data of 4 kB or more go to each of them once, pieces
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
    bar = _bar() if progress else None
    if isinstance(plans, Plan) and grid is not None:
        intake: Intake = OfTemplate(plans, grid, kept, bar)
    else:
        intake = OfPlans(*_made(*_makers(plans, grid)), kept, bar)
    # before the first of them is done: a bad `record` must not end a sweep in the middle
    tasks = intake.tasks(steps, record, until)
    pool = ThreadPoolExecutor(os.cpu_count()) if executor is None else executor
    try:
        hand_out(pool, tasks, intake.take)
    finally:
        if bar is not None:
            bar.close()
        if executor is None:
            pool.shutdown()
    return Sweep(*intake.ended())


def _makers(plans: object,
            grid: object) -> tuple[list[Callable[[], object]], Sequence[Point], tuple[int, ...]]:
    """How to make each plan, its point, and the shape of it all."""
    if not callable(plans):
        given = listed(plans)
        if not isinstance(plans, Iterable) or not all(isinstance(plan, Plan) for plan in given):
            raise TypeError("plans must be a factory f(**point) -> Plan, an iterable of plans, or "
                            f"one plan with a grid, got {checks.short(plans)}")
        if grid is not None:
            raise TypeError("grid must be left out where plans are given, got "
                            f"{checks.short(grid)}")
        return [partial(_itself, plan) for plan in given], [{} for _ in given], (len(given),)
    found, shape = points(grid)
    return [partial(_at, plans, point) for point in found], found, shape


def _at(factory: Callable[..., object], point: Point) -> object:
    """Only now: a point that does not fit the factory is the failure of its own run."""
    return factory(**point)


def _itself(plan: Plan) -> Plan:
    return plan


def _made(makers: list[Callable[[], object]], found: Sequence[Point],
          shape: tuple[int, ...]) -> tuple[Sequence[Point], tuple[int, ...], list[Plan | None],
                                           dict[int, Exception]]:
    """The points, their shape, the plans, None where there is none, and what was raised instead."""
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
    return found, shape, made, failures


def _bar() -> Any:
    from tqdm.auto import tqdm
    return tqdm(unit="run")
