"""Room for the rows that a run writes down, and what it keeps where w is not to be recorded
(``record_w=False``): of each row t, log L and the least margin, and of w the first and the last.

The loop writes whole rows; here it is handed room for a few at a time, which are looked at and
written over.
"""
from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from fastbias.engine.abi import Records
from fastbias.problem import Problem

__all__ = ["Thin", "least", "room"]

HEAVY = 10 ** 9       # bytes of recorded parameters that are warned of
ROOM = 1 << 22        # numbers of w that are held at a time: 32 MB


class Thin:
    """The rows of a run, as they come.

    Attributes
    ----------
    steps, log_loss : (K,)
        As of `fastbias.engine.abi.Records`.
    least : (K,)
        The least margin; NaN for losses that know of none.
    first : (n,) or None
        The parameters at the first row.
    count : int
        Rows that are done.
    """

    def __init__(self, problem: Problem, steps: np.ndarray) -> None:
        self.problem, self.steps = problem, steps
        self.log_loss, self.least = np.empty(steps.size), np.full(steps.size, np.nan)
        self.first: np.ndarray | None = None
        self.count = 0
        self._begun = 0                                   # the row with which the room begins
        rows = min(steps.size, max(1, ROOM // problem.start.size))
        self._u = np.empty((rows, problem.start.size))

    def parts(self, stop: int) -> Iterator[tuple[Records, int]]:
        """Records of some rows after the other, and the step at which each ends."""
        rows = len(self._u)
        for begin in range(0, self.steps.size, rows):
            end = min(begin + rows, self.steps.size)
            self._begun = begin
            yield (Records(self.steps[begin:end], self._u[:end - begin], self.log_loss[begin:end]),
                   stop if end == self.steps.size else int(self.steps[end - 1]))

    def keep(self, rows: int) -> None:
        """Look at what has come in, as many rows of the part that is under way are done."""
        for row in range(self.count, self._begun + rows):
            u = self._u[row - self._begun]
            if row == 0:
                self.first = u.copy()
            self.least[row] = least(self.problem, u)
            # predictions may leave float64 where parameters do not
            if not self.log_loss[row] < np.inf:
                self.log_loss[row] = self.problem.log_loss(u)
        self.count = max(self.count, self._begun + rows)


def least(problem: Problem, u: np.ndarray) -> float:
    """The least margin at the parameters u; NaN where there are no labels."""
    if not problem.labelled:
        return float("nan")
    return float(problem.least(problem.predictor(u)).min())


def room(problem: Problem, rows: np.ndarray, record_w: bool) -> Records | Thin:
    """Room for what `Plan.run` writes down at these steps."""
    n = problem.start.size
    # all at once: whoever runs out of memory does so before the first step
    if not record_w:
        return Thin(problem, rows)
    if 8 * rows.size * n > HEAVY:
        warnings.warn(f"record asks for {rows.size} rows of {n} parameters, which take "
                      f"{8e-9 * rows.size * n:.3g} GB: ask for fewer, or for record_w=False",
                      stacklevel=3)
    return Records(rows, np.empty((rows.size, n)), np.empty(rows.size))
