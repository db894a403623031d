"""What a theorem looks like as a row of a table, and what the rows ask of a problem."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fastbias.limits import Hypothesis, Limit, Rate
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.problem import Problem

__all__ = ["Row", "known_link", "quadratic"]


@dataclass(frozen=True)
class Row:
    """One theorem, or one example that shows that there is none.

    Parameters
    ----------
    name, source : str
        The theorem or example, and where it stands.
    covers : (problem, flow) → bool
        Whether it speaks of this loss class, method and model.
    potential : problem → Potential, optional
        The ψ whose Bregman projection of the start is the limit (losses with a unique finite root).
    norm : problem → Norm, optional
        The norm whose maximum margin is the limit direction (strictly monotone losses).
    reason : str
        With neither, or where a hypothesis fails: what to tell the user.
    hypotheses : problem → rows, optional
        What it asks beyond what every theorem of its section asks.
    rates : problem → rates, optional
        How fast it says that a run gets there.
    asymptote : (problem, limit) → rows, point or None, rates, optional
        Whether w(t) − ŵ log t converges, where, and how fast it says that a run gets there.
    """

    name: str
    source: str
    covers: Callable[[Problem, bool], bool]
    potential: Callable[[Problem], Potential] | None = None
    norm: Callable[[Problem], Norm] | None = None
    reason: str = ""
    hypotheses: Callable[[Problem], list[Hypothesis]] = field(default=lambda problem: [])
    rates: Callable[[Problem], tuple[Rate, ...]] = field(default=lambda problem: ())
    asymptote: Callable[[Problem, Limit], tuple[list[Hypothesis], np.ndarray | None, tuple[Rate, ...]]] | None = None


def quadratic(problem: Problem) -> bool:
    """Whether the method's geometry is that of an inner product."""
    g = problem.method.geometry
    return g is None or (isinstance(g, Potential) and g.quadratic) or (isinstance(g, Norm) and g.matrix is not None)


def known_link(problem: Problem) -> bool:
    """Whether the method's geometry is a potential."""
    return isinstance(problem.method.geometry, Potential)
