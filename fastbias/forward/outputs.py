"""What comes out of here beside traces: several outputs, which are followed as one predictor of all
their entries, and refusals.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fastbias.problem import Problem
from fastbias.solvers.limit import NoTheorem
from fastbias.solvers.outputs import unfolded
from fastbias.trace import Trace

__all__ = ["NoFlow", "together"]


class NoFlow(NoTheorem, ValueError):  # noqa: N818 (beside NoTheorem)
    """The method has no flow: a `LookupError`, as all refusals of theory, of an argument."""


def together(problem: Problem, follow: Callable[[Problem], Trace]) -> Trace:
    """What ``follow`` makes of a problem; of K outputs, of that of one predictor (K d,), with rows
    (K, d) again.
    """
    if not problem.columns:
        return follow(problem)
    trace = follow(unfolded(problem))
    return replace(trace, w=trace.u.reshape(len(trace), *problem.shape), problem=problem)
