"""Pictures of results, each on the Axes that it is given, or on those of a new figure.

``trace.plot("margin", limit=limit)``, ``limit.plot(X, y)``, ``sweep.plot("margin")``,
``diagnosis.plot()`` and ``separation.plot()`` are short for what is here. Colours can be told apart
by all; solid lines are what ran, dashed ones what theory says, dotted ones what is fitted.
matplotlib is imported when the first picture is drawn.
"""
from fastbias.checks import above
from fastbias.plots.bars import diagnosis, entries, path, separation
from fastbias.plots.curves import angle, gap, loss, margin, series
from fastbias.plots.grids import sweep
from fastbias.plots.plane import data, solutions, support, trajectory
from fastbias.plots.short import limit, trace
from fastbias.running.sweep import Sweep
from fastbias.solvers.diagnose import Diagnosis
from fastbias.solvers.lasso import RegularisationPath
from fastbias.solvers.limit import Limit
from fastbias.solvers.regularisation import BallPath
from fastbias.solvers.separation import Separation
from fastbias.trace import Trace

__all__ = ["angle", "data", "diagnosis", "entries", "gap", "limit", "loss", "margin", "path",
           "separation", "series", "solutions", "support", "sweep", "trace", "trajectory"]

for kind, drawn in ((BallPath, path), (Diagnosis, diagnosis), (Limit, limit), (Sweep, sweep),
                    (RegularisationPath, path), (Separation, separation), (Trace, trace)):
    above.picture.register(kind, drawn)
