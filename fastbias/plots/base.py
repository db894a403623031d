"""What all pictures share: axes, colours and lines that all can tell apart, and a run's clock."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import length
from fastbias.solvers.limit import Limit
from fastbias.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BLACK", "BLUE", "COLOURS", "FITTED", "GREY", "MARKERS", "RING", "STAR", "THEORY",
           "YELLOW", "axes_of", "clock", "is_limit", "is_trace", "legend", "logarithmic", "places",
           "power", "spelt", "whole_line"]

BLACK, GREY, BLUE, YELLOW = "#000000", "#666666", "#0072B2", "#F0E442"
# with BLUE and YELLOW: Okabe & Ito (2008)
COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK)
MARKERS = ("s", "o", "^", "D", "v", "P")

THEORY: dict[str, Any] = {"color": BLACK, "ls": (0, (4, 2.5)), "lw": 1.2, "zorder": 4}
"""Style of what theory says."""
FITTED: dict[str, Any] = {"color": GREY, "ls": ":", "lw": 1.6, "zorder": 3}
"""Style of a line fitted to a run."""
STAR: dict[str, Any] = {"color": YELLOW, "marker": "*", "mec": BLACK, "ms": 18, "ls": "",
                        "zorder": 1.5}
"""Style of a limit point, under the runs that end there."""
RING: dict[str, Any] = {"marker": "o", "mfc": "none", "mec": BLACK, "mew": 1.4, "ms": 13, "ls": "",
                        "zorder": 3}
"""Style of what is singled out: support vectors."""


def axes_of(ax: Axes | None) -> Axes:
    """The Axes given, or those of a new figure; TypeError for anything else."""
    if ax is None:
        # only here: pyplot opens windows where it can, and takes a second to load
        plt: Any = foreign.library("matplotlib.pyplot")
        return plt.subplots(layout="constrained")[1]
    # (an Axes of any backend, or what draws like one)
    if not callable(getattr(ax, "plot", None)) or not callable(getattr(ax, "get_figure", None)):
        raise TypeError(f"ax must be a matplotlib Axes, got {checks.short(ax)}")
    return ax


def spelt(style: dict[str, Any]) -> dict[str, Any]:
    """What a line is to look like by matplotlib's full names, whichever were used: lw, c …"""
    line = foreign.library("matplotlib.lines").Line2D
    found: dict[str, Any] = foreign.library("matplotlib.cbook").normalize_kwargs(style, line)
    return found


def is_trace(trace: object) -> Trace:
    """The trace, which must be one of at least one row."""
    if not isinstance(trace, Trace):
        raise TypeError(f"trace must be a Trace, got {checks.short(trace)}")
    if not len(trace):
        raise ValueError("trace must have a row to be drawn, got one of none")
    return trace


def is_limit(limit: object) -> Limit:
    """The limit, which must be one."""
    if not isinstance(limit, Limit):
        raise TypeError(f"limit must be a Limit, got {checks.short(limit)}")
    return limit


def clock(trace: Trace) -> tuple[np.ndarray, str]:
    """What a trace is drawn against on a logarithmic axis, and what that is called: t, or log t
    where t has left int64.
    """
    if (trace.t < 0).any():
        return trace.log_t, "log t"
    return np.asarray(trace.t, float), "time t" if trace.t.dtype.kind == "f" else "steps t"


def logarithmic(ax: Axes, **drawn: np.ndarray) -> None:
    """Make an axis, x or y, logarithmic where anything that was drawn has a place there: a run of
    no steps has none.
    """
    for axis, values in drawn.items():
        if (values > 0).any():
            ax.set(**{f"{axis}scale": "log"})


def whole_line(ax: Axes, point: np.ndarray, along: np.ndarray, **style: Any) -> None:
    """Draw the whole line through a point, of any size."""
    reach = max(1.0, length(point))                       # (a smaller one is lost beside the point)
    ax.axline(tuple(point), tuple(point + reach * along), **style)


def power(slope: float, of: str) -> str:
    """A power of a clock as matplotlib sets it, 1/log t for instance."""
    # (mathtext has its own minus signs)
    clock = "t" if of == "t" else r"\log t"
    if slope == -1.0:
        return f"$1/{clock}$"
    return f"${clock}^{{{slope:.3g}}}$" if of == "t" else f"$({clock})^{{{slope:.3g}}}$"


def places(axes: object, size: int) -> tuple[int, int]:
    """Two entries of w to look at."""
    if not isinstance(axes, Sequence) or isinstance(axes, str) or len(axes) != 2:
        raise TypeError(f"axes must be two indices of w, got {checks.short(axes)}")
    i, j = (checks.whole("axes", k) for k in axes)
    if max(i, j) >= size or i == j:
        raise ValueError(f"axes must be two different indices under {size}, got {i} and {j}")
    return i, j


def legend(ax: Axes) -> None:
    """A legend of what has a name, where anything has."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=True, framealpha=0.85, edgecolor="none")
