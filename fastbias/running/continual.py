"""Continual learning: one task after the other, each seen for a while, and where that leads.

A task is a pair (X, y), two labels or numbers. Three orders: "cyclic", each task in turn; "random",
each visit to a task that is drawn; "average", every task from where all stand, of which the mean is
taken (local gradient descent). Trained to convergence under a weak pull to where it stood, each
task is a projection on the w whose margins on it are at least one (Evron et al. 2023); with a fixed
number of steps a visit, the direction is that of the maximum margin of all tasks together (Jung,
Cho, Yun 2025).
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks.shown import Report, Shown, vector
from fastbias.engine.abi import Records
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.problem import Data, Problem, gather
from fastbias.running.course import FATAL, Course, told
from fastbias.running.plan import Plan
from fastbias.solvers.halfspaces import nearest
from fastbias.solvers.limit import CERTIFIED, Limit
from fastbias.solvers.margins import separate
from fastbias.theory.in_turn import in_turn
from fastbias.trace import RunStopped, Trace

__all__ = ["Projections", "limit", "projections", "run"]

ORDERS = ("cyclic", "random", "average")
Tasks = Sequence[tuple[ArrayLike, ArrayLike]]


@dataclass(frozen=True, eq=False, repr=False)
class Projections(Shown):
    """Where projections on tasks lead, one after the other.

    Parameters
    ----------
    w : (V + 1, d)
        The start, and where each visit ends.
    task : (V,) of int
        Which task a visit was to.
    dual : tuple of (N_k,) arrays
        Of each visit the λ ≥ 0 with w_v = w_{v−1} + Σ λ_n y_n x_n.
    gap : (V,)
        The larger of what a margin lacks of one and the relative duality gap of ½‖w_v − w_{v−1}‖²,
        recomputed from w and λ.
    certified : bool
        Whether all are at most 1e-10.
    """

    w: np.ndarray
    task: np.ndarray
    dual: tuple[np.ndarray, ...]
    gap: np.ndarray
    certified: bool

    def _report(self) -> Report:
        worst = float(self.gap.max(initial=0.0))
        told = "certified" if self.certified else "NOT certified"
        return [f"{self.task.size} projections, {told}, gap at most {worst:.1e}",
                *vector("w", self.w[-1])]


def run(tasks: Tasks, *, method: Method, steps: int, cycles: int = 1,
        loss: Loss | str = "exponential", order: str = "cyclic", start: ArrayLike | None = None,
        rng: int | None = None) -> Trace:
    """Run a method on one task after the other, w going on where the last one left it.

    Each visit is a run of its own: step rule, momentum, memory and the numbers that it draws begin
    anew.

    Parameters
    ----------
    tasks : sequence of (X (N_k, d), y (N_k,))
        Of as many features each. Of labels there are two values among all tasks, sorted, the later
        one +1; a task may have one of them alone.
    method : Method
        From `fastbias.methods`.
    steps : int ≥ 1
        Updates of each visit.
    cycles : int ≥ 0, default 1
        There are so many visits to each task; with "random", to all of them together as many.
    loss : Loss or its name, default exponential
    order : "cyclic", "random" or "average", default "cyclic"
        "average" begins each task where all stand and takes the mean of where they end: local
        gradient descent.
    start : (d,), optional
        The method's own default otherwise.
    rng : int, optional
        The seed of "random", 0 by default.

    Returns
    -------
    Trace
        Of all tasks together: a row for the start and for each visit (with "average": each round),
        with the loss and the margins of all samples; ``t`` are updates so far.

    Raises
    ------
    RunStopped
        As `Plan.run`.
    ValueError, TypeError
        Where an argument is bad.

    References
    ----------
    Jung, Cho, Yun (2025), "Convergence and Implicit Bias of Gradient Descent on Continual Linear
    Classification".

    Examples
    --------
    >>> import fastbias as fb
    >>> tasks = [([[2, 0]], [1]), ([[0, 1]], [1])]
    >>> method = fb.methods.gradient_descent(0.1)
    >>> trace = fb.continual.run(tasks, method=method, steps=10, cycles=1000)
    >>> goal = fb.continual.limit(tasks, method=method)
    >>> print(trace.t[-1], trace.margin()[-1] > 0.9 * goal.margin)
    20000 True
    """
    data, parts = _given(tasks, loss)
    _ordered(order)
    if isinstance(method, Method) and method.average is not None:
        raise ValueError(f"method must keep no average for tasks in turn, got {method!r}: each "
                         "visit begins anew")
    steps, cycles = checks.whole("steps", steps, least=1), checks.whole("cycles", cycles)
    seed = 0 if rng is None else checks.whole("rng", rng)
    # of mirror descent and such it is the potential's own start
    rows = [Plan(data.X, data.y, loss=data.loss, method=method, start=start).u]
    problems = [Plan(X, y, loss=data.loss, method=method, start=rows[0]).problem for X, y in parts]
    for visits in _visits(len(parts), cycles, order, seed):
        ends = [_visited(replace(problems[k], start=rows[-1]), steps) for k in visits]
        rows.append(np.mean(ends, axis=0) if len(ends) > 1 else ends[0])
    return Trace.from_arrays(data.X, data.y, steps * np.arange(len(rows)), np.array(rows),
                             data.loss)


def limit(tasks: Tasks, *, method: Method, loss: Loss | str = "exponential",
          order: str = "cyclic") -> Limit:
    """Name the direction of gradient descent with a fixed number of steps a visit: the ℓ2 maximum
    margin of all tasks together, certified.

    Parameters
    ----------
    tasks, method, loss, order
        As for `run`.

    Returns
    -------
    Limit
        A direction; ``dual`` has a λ for each sample, task after task.

    Raises
    ------
    NoTheorem
        Where the method is no plain gradient descent on a loss with an exponential tail, its steps
        are searched or divided by the loss, or no w separates all tasks at once (``dual`` then
        proves it).
    ValueError, TypeError
        Where an argument is bad.

    References
    ----------
    Jung, Cho, Yun (2025), "Convergence and Implicit Bias of Gradient Descent on Continual Linear
    Classification".

    Examples
    --------
    >>> import fastbias as fb
    >>> tasks, method = [([[2, 0]], [1]), ([[0, 1]], [1])], fb.methods.gradient_descent(0.1)
    >>> print(fb.continual.limit(tasks, method=method).w.round(9))
    [0.4472136  0.89442719]
    """
    data, parts = _given(tasks, loss)
    order = _ordered(order)
    problem = Plan(data.X, data.y, loss=data.loss, method=method).problem
    return in_turn(problem, [y[:, None] * X for X, y in parts], order)


def projections(tasks: Tasks, w0: ArrayLike | None = None, *, cycles: int = 1) -> Projections:
    """Project on the margins of one task after the other: w ← argmin ‖w' − w‖₂ over the w' with
    y_n⟨w', x_n⟩ ≥ 1 for the samples of the task.

    It is where a run on L_k(w') + ½λ‖w' − w‖² ends, task after task, divided by log 1/λ, as λ → 0
    (Evron et al. 2023). If some w⋆ has margins ≥ 1 on all tasks, no projection moves away from it;
    from 0 all are hence of length 2‖w⋆‖₂ at most, and in cycles they converge to a common point,
    which need not be the maximum margin of all tasks.

    Parameters
    ----------
    tasks : sequence of (X (N_k, d), y (N_k,))
        With two labels among all of them, as for `run`.
    w0 : (d,), default 0
    cycles : int ≥ 0, default 1

    Returns
    -------
    Projections
        ``w`` (V + 1, d), the start first; ``certified`` by a λ ≥ 0 a visit.

    Raises
    ------
    ValueError
        Where a task is not separable, or an argument is bad.
    ArithmeticError
        Where no solver found anything.

    References
    ----------
    Evron, Moroshko, Buzaglo, Khriesh, Marjieh, Srebro, Soudry (2023), "Continual Learning in Linear
    Classification on Separable Data".

    Examples
    --------
    >>> import fastbias as fb
    >>> found = fb.continual.projections([([[2, 0]], [1]), ([[1, 1]], [1])])
    >>> print(found.w.round(12), found.certified)
    [[0.   0.  ]
     [0.5  0.  ]
     [0.75 0.25]] True
    """
    data, parts = _given(tasks, "exponential")
    d = data.size
    w = np.zeros(d) if w0 is None else checks.point("w0", w0, d, (d,))
    cycles = checks.whole("cycles", cycles)
    rows = [y[:, None] * X for X, y in parts]
    for k, Z in enumerate(rows):
        if separate(Z).w is None:
            raise ValueError(f"tasks must each be linearly separable, and task {k} is not: no w "
                             "has margins of one on it")
    # data may be of any size, and what leaves float64 is not certified
    with np.errstate(all="ignore"):
        points, duals, gaps = [w], [], []
        for _ in range(cycles):
            for Z in rows:
                step = nearest(Z, points[-1])
                points.append(step.w)
                duals.append(step.dual)
                gaps.append(step.gap)
    gap = np.array(gaps)
    return Projections(np.array(points), np.tile(np.arange(len(rows)), cycles), tuple(duals), gap,
                       bool((gap <= CERTIFIED).all()))


def _given(tasks: Any, loss: Loss | str) -> tuple[Data, list[tuple[np.ndarray, np.ndarray]]]:
    """All samples together, and each task's own, with labels as −1 and +1."""
    if isinstance(tasks, str) or not isinstance(tasks, Sequence) or not len(tasks):
        raise TypeError(f"tasks must be a list of pairs (X, y), got {checks.short(tasks)}")
    matrices: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for k, pair in enumerate(tasks):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"tasks must be a list of pairs (X, y), got {checks.short(pair)} for "
                            f"task {k}")
        X = checks.array(f"X of task {k}", pair[0], "an (N, d) array", dims=2)
        y = np.asarray(pair[1])
        if y.shape != (len(X),):
            raise ValueError(f"y of task {k} must have {len(X)} entries, one a sample, got shape "
                             f"{y.shape}")
        if matrices and X.shape[1] != matrices[0].shape[1]:
            raise ValueError(f"X of task {k} must have {matrices[0].shape[1]} columns, as that of "
                             f"task 0 has, got {X.shape[1]}")
        matrices.append(X)
        labels.append(y)
    data = gather(np.vstack(matrices), np.concatenate(labels), loss)
    if data.loss.classes or data.columns:
        raise ValueError("loss must be one of two labels or of numbers for tasks, got the "
                         f"{data.loss.name} loss")
    # labels are read together, so that they mean the same in each task
    ends = np.cumsum([len(X) for X in matrices])[:-1]
    return data, list(zip(np.split(data.X, ends), np.split(data.y, ends), strict=True))


def _ordered(order: str) -> str:
    """The name of an order; ValueError where it is none."""
    checks.name("order", order, ORDERS)
    return order


def _visits(tasks: int, cycles: int, order: str, seed: int) -> Iterator[list[int]]:
    """Of each row the tasks that are visited from there: one, or all of them at once."""
    if order == "average":
        yield from (list(range(tasks)) for _ in range(cycles))
    elif order == "cyclic":
        yield from ([k] for _ in range(cycles) for k in range(tasks))
    else:
        # each visit by itself, whatever was drawn before
        drawn = np.random.default_rng(seed).integers(tasks, size=cycles * tasks)
        yield from ([int(k)] for k in drawn)


def _visited(problem: Problem, steps: int) -> np.ndarray:
    """Where so many updates from the start of a problem end; RunStopped where they cannot."""
    # (no plan: what a user may ask of one costs more than some few updates)
    course = Course(problem, False)
    records = Records(np.array([steps]), np.empty((1, problem.start.size)), np.empty(1))
    course.finish(records, steps, [])
    if course.status in FATAL:
        raise RunStopped(told(problem, course.status, course.t),
                         course.traced(records, course.status))
    return np.array(course.buffers.u)
