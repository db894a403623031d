"""What `Trace.plot` and `Limit.plot` draw, by a name or by the data that are given."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.plots.bars import entries
from fastbias.plots.base import is_limit, is_trace
from fastbias.plots.curves import angle, gap, loss, margin, series
from fastbias.plots.plane import support, trajectory
from fastbias.solvers.limit import Limit
from fastbias.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["limit", "trace"]

ALONE: dict[str, Any] = {"loss": loss, "margin": margin, "trajectory": trajectory}
"""Pictures that need no limit."""
BESIDE = {"gap": gap, "angle": angle}
QUANTITIES = ("direction", "distance", "1 - cos", "margin gap", "norm", "finite gap", "log loss",
              "log t L")


def trace(run: Trace, what: str | Axes | None = "loss", limit: Limit | None = None,
          ax: Axes | None = None, **style: Any) -> Axes:
    """Draw what `Trace.plot` draws: "loss", "margin", "gap", "angle", "trajectory", or a series.

    Parameters
    ----------
    run : Trace
    what : str, default "loss"
        One of these, or a quantity of `Trace.rates`, such as "margin gap". (Axes alone: the loss on
        them.)
    limit : Limit, optional
        What theory says; all but loss, margin and trajectory need it.
    ax : matplotlib Axes, optional
        Where to draw; a new figure's where it is not given.
    **style
        Handed to ``ax.plot`` for the run; ``slopes=False`` to gap, angle and series.

    Returns
    -------
    matplotlib Axes
    """
    run = is_trace(run)
    # trace.plot(ax) was all there was once
    if not isinstance(what, str):
        ax, what = what if ax is None else ax, "loss"
    checks.name("what", what, (*ALONE, *BESIDE, *QUANTITIES))
    if what in ALONE:
        return ALONE[what](run, limit, ax=ax, **style)
    if limit is None:
        raise ValueError(f"limit must be given for a picture of {what!r}, got None")
    if what in BESIDE:
        return BESIDE[what](run, is_limit(limit), ax=ax, **style)
    return series(run, is_limit(limit), what, ax=ax, **style)


def limit(found: Limit, X: ArrayLike | checks.Sparse | None = None, y: ArrayLike | None = None,
          ax: Axes | None = None) -> Axes:
    """Draw what `Limit.plot` draws: with its data the support vectors, else its largest entries.

    Parameters
    ----------
    found : Limit
    X : (N, d) or (N, m, n), y : (N,) labels, optional
        The data that a direction is of.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    if X is None and y is None:
        return entries(found, ax)
    if X is None or y is None:
        raise ValueError("X and y must be given together, got one of them")
    return support(found, X, y, ax)
