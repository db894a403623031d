"""Runs of the ledger that are no plan's: tasks in turn (`fastbias.continual`)."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import numpy as np

import fastbias as fb
from fastbias.theory import Direction
from fastbias.theory.in_turn import AVERAGED, VISITED
from paper_figures._atlas_made import apart
from paper_figures._atlas_runs import FAILS, HOLDS, sci

AWAY = 0.1            # of an increment from ŵ, in which no 1/log t is left
CYCLES, STEPS = 1000, 50
ORDERS = ("cyclic", "random", "average")


def tasks() -> list[tuple[np.ndarray, np.ndarray]]:
    """Three of two samples each, whose maximum margins differ from that of all."""
    X, y = apart()
    return [(X[k:k + 2], y[k:k + 2]) for k in (0, 2, 4)]


@dataclass(frozen=True)
class Turns:
    """Gradient descent on tasks in some order, measured."""

    order: str

    @cached_property
    def method(self) -> fb.methods.Method:
        """With steps under 1/Λ."""
        return fb.methods.gradient_descent(0.1)

    @cached_property
    def theory(self) -> fb.Limit:
        """What is named before the run."""
        return fb.continual.limit(tasks(), method=self.method, loss="logistic", order=self.order)

    @cached_property
    def trace(self) -> fb.Trace:
        """The run."""
        return fb.continual.run(tasks(), method=self.method, steps=STEPS, cycles=CYCLES,
                                loss="logistic", order=self.order)

    @property
    def case(self) -> SimpleNamespace:
        """A plan of all samples, which says of what method and loss it is."""
        X, y = apart()
        return SimpleNamespace(plan=fb.Plan(X, y, loss="logistic", method=self.method))

    @property
    def horizon(self) -> str:
        """How far it was followed."""
        return f"{self.order}, {CYCLES} visits of {STEPS} steps to each of 3 tasks"

    @cached_property
    def away(self) -> float:
        """How far the increment is from ŵ, of its length."""
        hat = self.theory.w / self.theory.margin
        return float(np.linalg.norm(self.trace.increment() - hat) / np.linalg.norm(hat))

    @property
    def shown(self) -> str:
        """The number, in words."""
        return f"‖increment − ŵ‖/‖ŵ‖ = {sci(self.away)}"

    @property
    def tolerance(self) -> tuple[float, str]:
        """How large it may be, and why."""
        return AWAY, "on its way, no rate named"

    @property
    def verdict(self) -> str:
        """What that amounts to."""
        return HOLDS if self.theory.certified and self.away <= AWAY else FAILS


def turns() -> list[tuple[Direction, list[Turns]]]:
    """A row and its runs, for each theorem that `fastbias.continual.limit` names."""
    runs = [Turns(order) for order in ORDERS]
    return [(row, [run for run in runs if run.theory.theorem == row.name])
            for row in (VISITED, AVERAGED)]
