"""Pictures of results, each on the Axes that it is given, or on those of a new figure.

``trace.plot("margin", limit=limit)``, ``limit.plot(X, y)``, ``sweep.plot("margin")``,
``diagnosis.plot()`` and ``separation.plot()`` are short for what is here. Colours can be told apart
by all; solid lines are what ran, dashed ones what theory says, dotted ones what is fitted.
matplotlib is imported when the first picture is drawn.
"""
from fastbias.plots.bars import diagnosis, entries, path, separation
from fastbias.plots.curves import angle, gap, loss, margin, series
from fastbias.plots.grids import sweep
from fastbias.plots.plane import data, solutions, support, trajectory
from fastbias.plots.short import limit, trace

__all__ = ["angle", "data", "diagnosis", "entries", "gap", "limit", "loss", "margin", "path",
           "separation", "series", "solutions", "support", "sweep", "trace", "trajectory"]
