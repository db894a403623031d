"""Networks of one and two inputs, drawn."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["draw"]

FINE, GRID = 1001, 301     # points of a curve, and of a side of a heat map
WIDE = 1.5                 # how far beyond the kinks one looks


def draw(f: Any, ax: matplotlib.axes.Axes | None,
         span: tuple[float, float] | None) -> matplotlib.axes.Axes:
    """Draw a network."""
    inputs, kinks = f.inputs, f.kinks
    if inputs > 2:
        raise ValueError(f"a network must have one input or two to be drawn, got {inputs}")
    if span is not None:
        low, high = checks.array("span", span, "a pair (low, high)", dims=1, length=2)
        if not low < high:
            raise ValueError(f"span must rise, got {low:g} and {high:g}")
    if ax is None:
        # only here: pyplot opens windows where it can, and takes a second to load
        import matplotlib.pyplot as plt
        ax = plt.figure(layout="constrained").subplots()
    elif not callable(getattr(ax, "pcolormesh", None)):
        raise TypeError(f"ax must be a matplotlib Axes, got {checks.short(ax)}")
    far = WIDE * max(1e-9, *np.abs(kinks.shifts)) if kinks.shifts.size else 1.0
    box = [(low, high)] * 2 if span is not None else [ax.get_xlim(), ax.get_ylim()] \
        if ax.has_data() else [(-far, far)] * 2
    if inputs == 1:
        x = np.unique(np.append(np.linspace(*box[0], FINE), -kinks.shifts / kinks.normals[:, 0]))
        x = x[(x >= box[0][0]) & (x <= box[0][1])]
        ax.plot(x, f.function(x))
        return ax
    _plane(f, ax, box)
    return ax


def _plane(f: Any, ax: matplotlib.axes.Axes, box: list[tuple[float, float]]) -> None:
    """A heat map, and the kinks as lines as wide as they bend."""
    kinks = f.kinks
    x, y = (np.linspace(*side, GRID) for side in box)
    values = f(np.stack(np.meshgrid(x, y), axis=-1))
    top = float(np.abs(values).max()) or 1.0
    ax.pcolormesh(x, y, values, cmap="RdBu_r", vmin=-top, vmax=top, rasterized=True)
    largest = float(np.abs(kinks.bends).max(initial=0.0))
    for (p, q), t, bend in zip(*kinks, strict=True):
        share = abs(bend) / largest if largest else 0.0
        if share > 1e-3:
            ax.axline((-t * p, -t * q), (-t * p - q, -t * q + p), lw=0.3 + 2.2 * share,
                      color="C2" if bend > 0 else "C1")
    ax.set(xlim=box[0], ylim=box[1])
