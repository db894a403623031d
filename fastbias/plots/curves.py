"""Curves along a run: margin, gap, angle, loss and others against t, with what theory says of them.

Solid lines are runs; dashed ones are theory's: a limit's margin, or a predicted rate through the
run's end; dotted ones are fitted to the last two decades, and the legend has their slope.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks
from fastbias.pieces import norms
from fastbias.pieces.norms import Norm
from fastbias.plots.base import (
    BLUE,
    FITTED,
    THEORY,
    axes_of,
    clock,
    is_limit,
    is_trace,
    legend,
    logarithmic,
    power,
    spelt,
)
from fastbias.solvers.limit import Limit
from fastbias.trace import Trace
from fastbias.trace.rates import Series, late

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["angle", "gap", "loss", "margin", "series"]

NAMES = {"direction": "distance of the direction from its limit", "distance": "‖w − w∞‖₂",
         "angle": "angle to the limit, radians", "1 - cos": "1 − cos of the angle to the limit",
         "margin gap": "1 − margin/maximum", "finite gap": "distance of the finite part",
         "norm": "‖w‖"}


def margin(trace: Trace, limit: Limit | None = None, norm: Norm | str | None = None,
           ax: Axes | None = None, **style: Any) -> Axes:
    """Draw the normalised margin min y⟨w, x⟩/‖w‖ against t, and the maximum.

    Parameters
    ----------
    trace : Trace
        Of data with labels.
    limit : Limit, optional
        A direction; its margin is drawn as the line that the run cannot pass.
    norm : Norm or its name, default the limit's, else l2
    ax : matplotlib Axes, optional
        Where to draw; a new figure's where it is not given.
    **style
        Handed to ``ax.plot`` for the run.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import fastbias as fb
    >>> gd = fb.methods.gradient_descent(0.1)
    >>> plan = fb.Plan([[2, 1], [1, 3]], [1, 1], loss="logistic", method=gd)
    >>> ax = fb.plots.margin(plan.run(100), plan.limit())
    >>> ax.get_ylabel()
    'margin in l2'
    """
    trace = is_trace(trace)
    if limit is not None and is_limit(limit).kind != "direction":
        raise ValueError("limit must be a direction for a line of its margin, got a "
                         f"{limit.kind}")
    if norm is None:
        norm = norms.l2 if limit is None or limit.norm is None else limit.norm
    norm = checks.one_of("norm", norm, norms, Norm)
    # before any figure is made: it may refuse
    y = trace.margin(norm)
    ax = axes_of(ax)
    x, told = clock(trace)
    use = (x > 0) & np.isfinite(y)
    ax.plot(x[use], y[use], **_styled(style, "the run"))
    # in another norm the limit's margin bounds nothing
    if limit is not None and limit.norm is not None and limit.norm.name == norm.name:
        proof = "certified" if limit.certified else "not certified"
        ax.axhline(limit.margin, **THEORY, label=f"maximum {limit.margin:.6g}, {proof}")
    ax.set(xlabel=told, ylabel=f"margin in {norm.name}")
    logarithmic(ax, x=x[use])
    legend(ax)
    return ax


def gap(trace: Trace, limit: Limit, ax: Axes | None = None, slopes: bool = True,
        **style: Any) -> Axes:
    """Draw the distance to a limit against t: of w from a point, else of unit directions.

    Parameters
    ----------
    trace : Trace
    limit : Limit
        What ``plan.limit()`` returned; its rate, where theory names one, is drawn through the
        run's last row, and a fitted one beside it.
    ax : matplotlib Axes, optional
    slopes : bool, default True
        False draws the run alone, where several share the axes.
    **style
        Handed to ``ax.plot`` for the run.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import fastbias as fb
    >>> X, y = [[2, 1], [1, 3], [-1, -1]], [1, 1, -1]
    >>> plan = fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1))
    >>> trace, limit = plan.run(1000), plan.limit()
    >>> ax = fb.plots.gap(trace, limit)
    >>> ax.get_xscale(), ax.get_yscale()
    ('log', 'log')
    """
    return series(trace, limit, "distance" if is_limit(limit).kind == "point" else "direction",
                  ax, slopes, **style)


def angle(trace: Trace, limit: Limit, ax: Axes | None = None, slopes: bool = True,
          **style: Any) -> Axes:
    """Draw the angle between w and a limit direction against t, in radians; see `gap`.

    >>> import fastbias as fb
    >>> X, y = [[2, 1], [1, 3], [-1, -1]], [1, 1, -1]
    >>> plan = fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1))
    >>> trace, limit = plan.run(1000), plan.limit()
    >>> ax = fb.plots.angle(trace, limit)
    >>> ax.get_xscale(), ax.get_yscale()
    ('log', 'log')
    """
    return series(trace, limit, "angle", ax, slopes, **style)


def series(trace: Trace, limit: Limit, quantity: str, ax: Axes | None = None,
           slopes: bool = True, **style: Any) -> Axes:
    """Draw any series of `Trace.rates` against t, with its fitted and its predicted slope.

    Parameters
    ----------
    trace : Trace
    limit : Limit
    quantity : str
        "direction", "angle", "1 - cos", "margin gap", "norm", "finite gap", "distance", "log loss"
        or "log t L"; ValueError where the limit's kind has no such series.
    ax : matplotlib Axes, optional
    slopes : bool, default True
        False draws the run alone, where several share the axes.
    **style
        Handed to ``ax.plot`` for the run.

    Returns
    -------
    matplotlib Axes
        Logarithmic both ways; of logarithms, the second axis is linear.

    Examples
    --------
    >>> import fastbias as fb
    >>> X, y = [[2, 1], [1, 3], [-1, -1]], [1, 1, -1]
    >>> plan = fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1))
    >>> trace, limit = plan.run(1000), plan.limit()
    >>> ax = fb.plots.series(trace, limit, "margin gap")
    >>> ax.get_xlabel()
    'steps t'
    """
    trace = is_trace(trace)
    known = {s.quantity: s for s in trace.rates(is_limit(limit))}
    checks.name("quantity", quantity, known)
    one = known[quantity]
    ax = axes_of(ax)
    logs = quantity.startswith("log ")
    x, told = clock(trace)
    # (what is 0, or too large, has no place on a logarithmic axis)
    use = (x > 0) & np.isfinite(one.values) & (logs | (one.values > 0))
    ax.plot(x[use], one.values[use] / _unit(one), **_styled(style, "the run"))
    if slopes:
        _slopes(ax, trace, one, use, {"fitted": one.fitted, "theory": one.predicted})
    label = {"log loss": "log₁₀ L", "log t L": "log₁₀ t L"}.get(quantity, NAMES.get(quantity))
    ax.set(xlabel=told, ylabel=label)
    logarithmic(ax, x=x[use], **({} if logs else {"y": one.values[use]}))
    legend(ax)
    return ax


def _slopes(ax: Axes, trace: Trace, one: Series, use: np.ndarray,
            slopes: dict[str, float]) -> None:
    """Draw powers of the clock over the last rows: a fitted one through their middle, theory's
    through the level that it names, or the last row.
    """
    # the same rows, clock and logarithms that exponents are fitted to
    logs = one.values if _unit(one) > 1 else _log(one.values)
    s = _log(trace.log_t) if one.clock == "log t" else trace.log_t
    rows = np.flatnonzero(use & np.isfinite(s) & late(trace))
    for words, slope in slopes.items():
        if not np.isfinite(slope) or not rows.size:
            continue
        if words == "fitted":
            at, height, style = s[rows].mean(), logs[rows].mean(), FITTED
        # a level is the height at clock 1
        elif np.isfinite(one.level):
            at, height, style = 0.0, one.level, THEORY
        else:
            at, height, style = s[rows[-1]], logs[rows[-1]], THEORY
        line = height + slope * (s[rows] - at)
        told = f"∝ {power(slope, one.clock)}" if slope else "constant"
        ax.plot(clock(trace)[0][rows], line / _unit(one) if _unit(one) > 1 else np.exp(line),
                **style, label=f"{words}: {told}")


def _unit(one: Series) -> float:
    """What the values of a series are drawn in: logarithms to base 10, others as they are."""
    return float(np.log(10.0)) if one.quantity.startswith("log ") else 1.0


def _log(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(x))


def loss(trace: Trace, limit: Limit | None = None, ax: Axes | None = None,
         **style: Any) -> Axes:
    """Draw the loss against t on logarithmic axes; against log t where t does not fit in.

    Parameters
    ----------
    trace : Trace
    limit : Limit, optional
        Where theory knows a rate, L ~ ‖ŵ‖²/(ηt) for gradient descent on separable data, that is
        drawn, and the fitted one beside it.
    ax : matplotlib Axes, optional
    **style
        Handed to ``ax.plot`` for the run.

    Returns
    -------
    matplotlib Axes
        The second axis is log₁₀ L: L itself may be under the smallest float.

    Examples
    --------
    >>> import fastbias as fb
    >>> X, y = [[2, 1], [1, 3], [-1, -1]], [1, 1, -1]
    >>> plan = fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1))
    >>> trace, limit = plan.run(1000), plan.limit()
    >>> ax = fb.plots.loss(trace, limit)
    >>> ax.get_xlabel()
    'steps t'
    """
    trace = is_trace(trace)
    ax = axes_of(ax)
    x, told = clock(trace)
    use = (x > 0) & np.isfinite(trace.log_loss)
    ax.plot(x[use], trace.log_loss[use] / np.log(10.0), **_styled(style, "the run"))
    ax.set(xlabel=told, ylabel="log₁₀ L")
    logarithmic(ax, x=x[use])
    if limit is not None:
        known = {s.quantity: s for s in trace.rates(is_limit(limit))}
        fall, exact = known["log loss"], known.get("log t L")
        level = exact.level if exact is not None else np.nan
        slopes = {"fitted": fall.fitted}
        # exact where theory knows the constant, else only as steep
        if np.isfinite(level):
            ax.plot(x[use], (level - trace.log_t[use]) / np.log(10.0), **THEORY,
                    label=f"theory: ${np.exp(level):.4g}/t$")
        else:
            slopes["theory"] = fall.predicted
        _slopes(ax, trace, fall, use, slopes)
        legend(ax)
    return ax


def _styled(style: dict[str, Any], label: str) -> dict[str, Any]:
    """The style of a run's line, with what was asked for."""
    return {"linewidth": 2.0, "zorder": 3, "label": label, "color": BLUE} | spelt(style)
