"""Runs of an optimiser of another library: its updates in Python, all else as in any other run."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from time import perf_counter
from typing import Any, NoReturn

import numpy as np

from fastbias import checks
from fastbias.engine.abi import DIRECTION, DONE, ROW, Buffers, Records, Status, piece
from fastbias.engine.driver import CHUNK, Driver
from fastbias.pieces import steps
from fastbias.pieces.methods.base import Method, primal
from fastbias.problem import Problem

__all__ = ["Outside", "OutsideDriver", "Update", "outside"]

Update = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(u, ∇L), of the shape of the parameters → the next u; it keeps its own state."""


@piece(DIRECTION)
def elsewhere(geometry, params, k, s, g, u, state, move):
    """No move: whoever asks the compiled loop for these updates is told that there are none."""
    return -1


@dataclass(frozen=True, eq=False)
class Outside(Method):
    """A method whose updates are made in Python, by another library.

    Parameters
    ----------
    starter : callable
        u(0), of the shape of the predictor where the model is linear, else (n,) → an `Update`.
    """

    _: KW_ONLY
    starter: Callable[[np.ndarray], Update] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # the driver asks for whole updates: what others do around a move would not be done
        if self.point is not None or self.average is not None:
            raise TypeError("method must be one of fb.methods to be made sharpness-aware, or to "
                            f"keep a mean, got {checks.short(self.name)} of another library")

    def _call(self) -> NoReturn:
        # its state is the other library's, which a checkpoint does not hold
        raise TypeError(f"method must be one of fb.methods to be saved or sent elsewhere, got "
                        f"{checks.short(self.name)} of another library")

    def __repr__(self) -> str:
        return self.name


def outside(name: str, starter: Callable[[np.ndarray], Update]) -> Outside:
    """A method for `Plan` of updates in Python, which are named so."""
    return Outside(name=name, direction=elsewhere, advance=primal, rule=steps.constant(1.0),
                   starter=starter)


class OutsideDriver(Driver):
    """What takes the place of the compiled loop: a gradient and an update at a time.

    The optimiser is made with the first update, where the run then stands.
    """

    def __init__(self, problem: Problem, driver: Driver) -> None:
        super().__init__(driver.pieces, driver.params, driver.X, driver.y, driver.buffers)
        self.problem = problem
        self.update: Update | None = None

    def copy(self, buffers: Buffers) -> NoReturn:
        """Refused: there is one state, and it is the other library's."""
        raise TypeError("method must be one of fb.methods for a run to be copied, or to be "
                        f"fast-forwarded, got {self.problem.method!r}")

    def snapshot(self) -> NoReturn:
        """Refused: going on from a checkpoint would begin with another state."""
        raise TypeError("method must be one of fb.methods for a run to be saved, got "
                        f"{self.problem.method!r}")

    def chunks(self, records: Records, stop: int, log_target: float, bar: Any) -> Iterator[Status]:
        """Run to ``stop``; the status after each 0.03 s."""
        while True:
            begun, until = self.t, perf_counter() + CHUNK
            status = self._record(records, log_target)
            while status == Status.OK and self.t < stop:
                status = self._step()
                if status == Status.OK:
                    status = self._record(records, log_target)
                if perf_counter() > until:
                    break
            if bar is not None:
                bar(self.t - begun)
            yield status
            if status != Status.OK or self.t >= stop:
                return

    def _shape(self) -> tuple[int, ...]:
        """That of the parameters, as the other library is to see them."""
        problem = self.problem
        return problem.shape if problem.model.linear else problem.start.shape

    def _step(self) -> Status:
        """One update; where it leaves float64 the run stays where it was."""
        u, shape = self.buffers.u, self._shape()
        gradient = -self.problem.descent(np.array(u)).reshape(shape)
        if self.update is None:
            starter = getattr(self.problem.method, "starter", None)
            assert starter is not None
            self.update = starter(np.array(u).reshape(shape))
        fresh = np.asarray(self.update(np.array(u).reshape(shape), gradient), float)
        if fresh.size != u.size:
            raise ValueError(f"the update must be of the shape {shape} of the parameters, got "
                             f"{fresh.shape}")
        if not np.isfinite(fresh).all():
            return Status.NOT_FINITE
        # the row Δu, as the compiled loop keeps it
        self.buffers.state[0] = fresh.ravel() - u
        u[:] = fresh.ravel()
        self.buffers.control[DONE] += 1
        return Status.OK

    def _record(self, records: Records, log_target: float) -> Status:
        """Write a row where one is due; whether the target is reached."""
        row, t = int(self.buffers.control[ROW]), self.t
        due = row < records.steps.size and records.steps[row] == t
        if not due and log_target == -np.inf:
            return Status.OK
        value = self.problem.log_loss(self.buffers.u)
        if due:
            records.u[row], records.log_loss[row] = self.buffers.u, value
            self.buffers.control[ROW] = row + 1
        # (a loss of exactly 0 ends no run that was not asked to end)
        return Status.REACHED if -np.inf < log_target and value <= log_target else Status.OK
