"""Sweeps as pictures: a heat map over two axes of the grid, a curve over one."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.shown import clipped
from fastbias.plots.base import BLUE, COLOURS, axes_of, legend
from fastbias.running import tables
from fastbias.running.sweep import Sweep
from fastbias.solvers.limit import Limit
from fastbias.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["sweep"]

TICKS = 10            # along an axis
ENDS = ("log_loss", "t")
DECADES = 100         # by which numbers must differ for logarithmic colours
SAID = {"log_loss": "log L at the end", "t": "steps done",
        "gap": "distance to the limit at the end", "margin": "margin at the end"}
BAD = "#cccccc"


def sweep(result: Sweep, value: str | Callable[[Trace, Limit | None], Any] = "log_loss",
          ax: Axes | None = None, *, label: str | None = None) -> Axes:
    """Draw one number a run over the grid of a sweep: a heat map, or a curve over one axis.

    Parameters
    ----------
    result : Sweep
        Over a grid of which one or two axes have several values.
    value : str or callable, default "log_loss"
        "log_loss" and "t" where runs ended, "margin" and "gap" (the last ones), or a function of
        (trace, limit) that returns a number, as for `Sweep.to_pandas`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure's where it is not given.
    label : str, optional
        What the number is called; of a function by default the first line of its docstring, or its
        name.

    Returns
    -------
    matplotlib Axes
        The first axis of the grid upwards, the second to the right. Runs that failed, or have no
        such number, are grey; white, those whose loss is exactly 0. Colours are logarithmic, and
        said to be, where all numbers are over 0 and span more than two decades.

    Raises
    ------
    ValueError, TypeError
        Where the sweep has no grid, or more axes, or the value is no number.

    Examples
    --------
    >>> import fastbias as fb
    >>> plan = fb.Plan([[3, 4]], [5], loss="squared", method=fb.methods.gradient_descent(0.01))
    >>> grid = {"step_size": [0.001, 0.002, 0.004], "momentum": [0.0, 0.5]}
    >>> ax = fb.plots.sweep(fb.sweep(plan, grid, steps=10))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('momentum', 'step_size')
    """
    if not isinstance(result, Sweep):
        raise TypeError(f"result must be a Sweep, got {checks.short(result)}")
    # axes of one value are of no interest
    grid = {name: values for name, values in (result.axes or {}).items() if len(values) > 1}
    if not 1 <= len(grid) <= 2:
        raise ValueError("result must be a Sweep over a grid of which one or two axes have several "
                         f"values, got {len(grid)}")
    told, numbers = _numbers(result, value)
    if label is not None:
        if not isinstance(label, str):
            raise TypeError(f"label must be a text, got {checks.short(label)}")
        told = label
    names, values = list(grid), list(grid.values())
    shaped = numbers.reshape([len(v) for v in values])
    # a run that failed has a last row, which is no end
    failed = np.zeros(len(result), bool)
    failed[list(result.failures)] = True
    bad = failed.reshape(shaped.shape) | np.isnan(shaped) | (shaped == np.inf)
    nothing = ~bad & (shaped == -np.inf)                  # of log L: where L is 0
    ax = axes_of(ax)
    if len(grid) == 1:
        _curve(ax, values[0], shaped, bad | nothing)
        ax.set(xlabel=names[0], ylabel=told)
        legend(ax)
        return ax
    _mesh(ax, told, shaped, bad, nothing)
    for axis, of in ((ax.yaxis, values[0]), (ax.xaxis, values[1])):
        _ticks(axis, of)
    said = [f"grey: {int(bad.sum())} of {bad.size} runs without such a number"] * bool(bad.any())
    ax.set(xlabel=names[1], ylabel=names[0],
           title="; ".join(said + ["white: L is 0"] * bool(nothing.any())))
    return ax


def _mesh(ax: Axes, told: str, shaped: np.ndarray, bad: np.ndarray, nothing: np.ndarray) -> None:
    """The heat map with its scale: what is bad is left out, a loss of 0 is under the scale."""
    finite = shaped[~bad & ~nothing]
    least, most = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    colours = foreign.library("matplotlib").colormaps["viridis"].with_extremes(under="white")
    # (a scale of one value is widened by a tenth of it)
    under = least - 1.0 - abs(least)
    scale: dict[str, Any] = {"vmin": least, "vmax": most}
    if not nothing.any() and least > 0 and most > DECADES * least:
        scale = {"norm": foreign.library("matplotlib.colors").LogNorm(least, most)}
        told += ", colours logarithmic"
    mesh = ax.pcolormesh(np.ma.masked_array(np.where(nothing, under, shaped), bad),
                         cmap=colours, **scale)
    # seen through what is left out
    ax.set_facecolor(BAD)
    figure: Any = ax.get_figure()
    if finite.size:
        figure.colorbar(mesh, ax=ax, label=told)


def _numbers(result: Sweep, value: Any) -> tuple[str, np.ndarray]:
    """What the numbers are called, and one for each run."""
    if isinstance(value, str) and value in ENDS:
        return SAID[value], np.asarray(tables.ends(result)[value], float)
    if isinstance(value, str):
        checks.name("value", value, {*ENDS, *tables.KNOWN} - {"w"})
    elif not callable(value):
        raise TypeError("value must be a name or a function of (trace, limit), got "
                        f"{checks.short(value)}")
    # (limits are solved once for each problem)
    (name, found), = tables.values(result, (value,)).items()
    if found.ndim != 1 or found.dtype.kind not in "iufb":
        raise ValueError(f"value must be one number a run, got {name} of shape {found.shape[1:]}")
    return _called(value, name), found.astype(float)


def _called(value: Any, name: str) -> str:
    """What a number that was asked for is called: not <lambda>, which nobody understands."""
    if isinstance(value, str):
        return SAID[value]
    first = (value.__doc__ or "").strip().partition("\n")[0] if hasattr(value, "__name__") else ""
    return clipped(first.rstrip("."), 60) or ("value" if name == "<lambda>" else name)


def _ticks(axis: Any, values: list[Any]) -> None:
    """Name some of the cells along an axis."""
    every = -(-len(values) // TICKS)
    shown = range(0, len(values), every)
    # (cells are of length one)
    axis.set_ticks([i + 0.5 for i in shown], [_told(values[i]) for i in shown])


def _told(value: Any) -> str:
    if isinstance(value, (int, float, np.number)):
        return f"{value:.3g}"
    return clipped(value if isinstance(value, str) else checks.short(value), 16)


def _curve(ax: Axes, values: list[Any], numbers: np.ndarray, bad: np.ndarray) -> None:
    """One number a run against one axis of the grid."""
    # what is no number stands in its order
    try:
        x = np.array([float(v) for v in values])
    except (TypeError, ValueError):
        x = np.arange(len(values), dtype=float)
        ax.set_xticks(x, [_told(v) for v in values])
    ax.plot(x[~bad], numbers[~bad], "o-", color=BLUE, ms=4)
    if bad.any():
        ax.plot(x[bad], np.zeros(bad.sum()), "X", color=COLOURS[0], clip_on=False,
                transform=ax.get_xaxis_transform(), label="runs without such a number")
    # values that span decades are seen on a logarithmic axis
    if x.min() > 0 and x.max() >= 50 * x.min():
        ax.set_xscale("log")
