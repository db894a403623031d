"""Pictures of the plane: samples with the lines that part them, and where iterates go."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import length
from fastbias.data.rows import dense
from fastbias.engine.abi import Status
from fastbias.plots.base import (
    BLUE,
    COLOURS,
    MARKERS,
    RING,
    STAR,
    THEORY,
    axes_of,
    is_limit,
    is_trace,
    legend,
    places,
    spelt,
    whole_line,
)
from fastbias.solvers.limit import Limit
from fastbias.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["data", "solutions", "support", "trajectory"]

STOPPED = (Status.NOT_FINITE, Status.OUT_OF_DOMAIN, Status.UNBOUNDED)
FLAT = 1e-12          # of the largest singular value: what rounding leaves of 0
NEAR = 1e-9           # relative to the least margin: which samples support a direction
Line = tuple[np.ndarray, float]                           # w (2,) and its intercept


def data(X: ArrayLike | checks.Sparse, y: ArrayLike,
         directions: Mapping[str, Any] | Limit | ArrayLike | None = None,
         ax: Axes | None = None) -> Axes:
    """Draw samples of two features by their labels, with directions and the lines that they part
    the plane by, ⟨w, x⟩ + b = 0.

    Parameters
    ----------
    X : (N, 2)
    y : (N,) labels
        Of any number of values.
    directions : Limit, array, or mapping of names to these, optional
        An array is w (2,), or (w, b) (3,); a limit brings its intercept.
    ax : matplotlib Axes, optional
        Where to draw; a new figure's where it is not given.

    Returns
    -------
    matplotlib Axes
        Lines are cut where the view ends; arrows are w, as long as a quarter of the data are wide.

    Raises
    ------
    ValueError, TypeError
        Where X has not two features, or a direction not two or three entries.

    Examples
    --------
    >>> import fastbias as fb
    >>> X, y = [[2, 1], [1, 2], [-1, -1]], [1, 1, -1]
    >>> ax = fb.plots.data(X, y, {norm: fb.max_margin(X, y, norm) for norm in ("l1", "l2")})
    """
    points = _two_features(X)
    labels, classes = checks.labels("y", y, len(points))
    lines = _directions(directions)
    ax = axes_of(ax)
    several = classes.size > 2
    for k, name in enumerate(classes.tolist()):
        own = labels == (k if several else 2 * k - 1)
        ax.plot(*points[own].T, MARKERS[k % len(MARKERS)], color=COLOURS[-1 - k % len(COLOURS)],
                mfc="white" if k % 2 == 0 else None, ms=7, zorder=2, label=f"label {name}")
    reach = float(np.ptp(points, axis=0).max()) or 1.0
    for k, (name, (w, b)) in enumerate(lines.items()):
        colour = (BLUE, *COLOURS)[k % len(COLOURS)]
        _part(ax, w, b, color=colour, lw=1.8, label=name)
        unit = w / length(w)
        # from the line, beside the middle of the data
        foot = points.mean(axis=0)
        foot = foot - unit * (unit @ foot + b / length(w))
        tip = foot + 0.25 * reach * unit
        ax.annotate("", tip, foot, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.4})
    ax.set(xlabel="x0", ylabel="x1", aspect="equal", adjustable="datalim")
    legend(ax)
    return ax


def support(limit: Limit, X: ArrayLike | checks.Sparse, y: ArrayLike,
            ax: Axes | None = None) -> Axes:
    """Draw a margin's support vectors: rings on them, and the lines of the margin.

    Parameters
    ----------
    limit : Limit
        A direction.
    X : (N, d) or (N, m, n), y : (N,) labels
        The data it is of.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Of two features and two labels the plane; of others each sample's own margin, rising.

    Raises
    ------
    ValueError, TypeError
        Where the limit is no direction, or the data are not its own by their shape.

    Examples
    --------
    >>> import fastbias as fb
    >>> X, y = [[2, 1], [1, 3], [-1, -1]], [1, 1, -1]
    >>> ax = fb.plots.support(fb.max_margin(X, y), X, y)
    >>> len(ax.collections) > 0
    False
    """
    if is_limit(limit).kind != "direction":
        raise ValueError(f"limit must be a direction to have support vectors, got a {limit.kind}")
    margins = _margins(limit, X, y)
    least = margins.min()
    # solvers name them; of other directions those that touch the margin
    held = (np.unique(limit.support) if limit.support is not None
            else np.flatnonzero(margins <= least + NEAR * abs(least)))
    if held.size and held[-1] >= margins.size:
        raise ValueError(f"X must be the limit's own data, with a row {held[-1]}, got "
                         f"{margins.size} rows")
    name = "" if limit.norm is None else f" in {limit.norm.name}"
    if limit.w.size == 2 and np.ndim(limit.intercept) == 0:
        points = _two_features(X)
        ax = data(points, y, {f"maximum margin{name}": limit}, axes_of(ax))
        w, b = limit.w.ravel(), float(limit.intercept)
        for side in (1.0, -1.0):
            _part(ax, w, b - side * least, **THEORY,
                  label="margin" if side > 0 else None)
        ax.plot(*points[held].T, **RING, label=f"{held.size} support vectors")
    else:
        ax = axes_of(ax)
        order = np.argsort(margins, kind="stable")
        ax.plot(np.arange(margins.size), margins[order], ".", color=BLUE, label="samples")
        place = np.flatnonzero(np.isin(order, held))
        ax.plot(place, margins[order][place], **RING, label=f"{held.size} support vectors")
        ax.axhline(least, **THEORY, label=f"margin {least:.6g}{name}")
        ax.set(xlabel="samples, by their margin", ylabel="margin of the sample")
    legend(ax)
    return ax


def solutions(X: ArrayLike | checks.Sparse, y: ArrayLike, axes: tuple[int, int] = (0, 1),
              ax: Axes | None = None, **style: Any) -> Axes:
    """Draw the solutions of Xw = y (of least squares, where there are none) if they are a line.

    Parameters
    ----------
    X : (N, d) of rank d − 1, y : (N,)
    axes : two indices, default (0, 1)
        The entries of w that span the plane.
    ax : matplotlib Axes, optional
    **style
        Handed to ``ax.axline``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad, or the solutions are a point, a plane, or more.

    Examples
    --------
    >>> import fastbias as fb
    >>> ax = fb.plots.solutions([[1, 2]], [1])
    >>> len(ax.lines)
    1
    """
    A = checks.matrix("X", X)
    if A.ndim != 2:
        raise ValueError(f"X must be an (N, d) array, got shape {A.shape}")
    goal = checks.array("y", y, "an (N,) array", dims=1, length=A.shape[0])
    line = _line(dense(A), goal)
    if line is None:
        raise ValueError("X must be of rank d − 1 for solutions that are a line, got "
                         f"d = {A.shape[1]}")
    ax = axes_of(ax)
    _draw_line(ax, line, places(axes, A.shape[1]), spelt(style))
    return ax


def trajectory(trace: Trace, limit: Limit | None = None, axes: tuple[int, int] = (0, 1),
               ax: Axes | None = None, **style: Any) -> Axes:
    """Draw the iterates in a plane of two entries of w, beside where theory sends them.

    Parameters
    ----------
    trace : Trace
    limit : Limit, optional
        A point is a star, the potential's projection; a direction or a ray an arrow from the
        origin, or from its finite part.
    axes : two indices, default (0, 1)
        The entries of w to look at, as vectors.
    ax : matplotlib Axes, optional
    **style
        Handed to ``ax.plot`` for the iterates; ``marker`` is that of the last one.

    Returns
    -------
    matplotlib Axes
        The line of solutions of Xw = y is drawn where it is one and the loss has a root. A run that
        stopped ends in a cross, with its status.

    Examples
    --------
    >>> import fastbias as fb
    >>> method = fb.methods.mirror_descent("entropy", 0.05)
    >>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=method)
    >>> ax = plan.run(1000).plot("trajectory", plan.limit())
    """
    trace = is_trace(trace)
    plane = list(places(axes, int(np.prod(trace.w.shape[1:]))))
    path = trace._flat[:, plane]
    ax = axes_of(ax)
    _root(ax, trace, (plane[0], plane[1]))
    if limit is not None:
        _goal(ax, is_limit(limit), plane, path)
    style = spelt(style)
    colour, marker = style.pop("color", BLUE), style.pop("marker", "o")
    name = style.pop("label", "iterates")
    ax.plot(*path.T, **({"color": colour, "linewidth": 1.2, "zorder": 2} | style))
    # steps are points of their own; a flow has none
    if trace.t.dtype.kind != "f":
        ax.plot(*path.T, ".", color=colour, ms=3, zorder=2)
    ax.plot(*path[:1].T, "o", color=colour, mfc="white", ms=6, zorder=3)
    if trace.status in STOPPED:
        marker, name = "X", f"{name}: {trace.status.name} at t = {trace.t[-1]:g}"
    ax.plot(*path[-1:].T, marker, color=colour, mec="white", mew=0.7, ms=9, zorder=4, label=name)
    called = trace.called
    ax.set(**{f"{axis}label": f"w{j}" if called is None else called[j]
              for axis, j in zip("xy", plane, strict=True)})
    legend(ax)
    return ax


def _root(ax: Axes, trace: Trace, plane: tuple[int, int]) -> None:
    """Draw the solutions of Xw = y that a run goes to, unless another run of the picture has."""
    problem = trace.problem
    # (of several outputs or matrices the solutions are no line in the plane of two entries)
    if problem is None or problem.loss.kind != "root" or len(problem.shape) > 1:
        return
    line = _line(dense(problem.X), np.asarray(problem.y, float))
    if line is not None and not any(drawn.get_gid() == "solutions" for drawn in ax.lines):
        _draw_line(ax, line, plane, {"label": "solutions of Xw = y"})


def _goal(ax: Axes, limit: Limit, plane: list[int], path: np.ndarray) -> None:
    """Draw a limit: a star, or an arrow as long as the run went."""
    if limit.w.size <= max(plane):
        raise ValueError(f"limit must have entries {plane} of w, got {limit.w.size} entries")
    w = limit.w.ravel()[plane]
    if limit.kind == "point":
        # another run of the same picture may have drawn it already
        stars: list[np.ndarray] = [np.asarray(line.get_xydata()).ravel() for line in ax.lines
                                   if line.get_gid() == "limit"]
        if not any(np.array_equal(star, w) for star in stars):
            ax.plot(*w[:, None], **STAR, label=None if stars else "limit", gid="limit")
        return
    # a ray begins at its finite part
    foot = np.zeros(2) if limit.offset is None or limit.kind != "ray" \
        else limit.offset.ravel()[plane]
    reach = max(float(np.abs(path - foot).max()), 1e-300)
    tip = foot + w / (float(np.abs(w).max()) or 1.0) * reach
    ax.plot(*np.array([foot, tip]).T, **THEORY, label=f"limit {limit.kind}")


def _line(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A point and the direction of the line of (least-squares) solutions; None where it is none."""
    # fewer equations leave a plane or more
    if X.shape[1] < 2 or X.shape[1] > X.shape[0] + 1:
        return None
    _, sizes, turned = foreign.ask("the solutions of Xw = y", "numpy.linalg.svd", X)
    full = np.append(sizes, np.zeros(X.shape[1] - sizes.size))
    small = full <= FLAT * full[0]
    if small.sum() != 1:
        return None
    point = foreign.ask("the solutions of Xw = y", "numpy.linalg.lstsq", X, y, rcond=FLAT)[0]
    return np.asarray(point), np.asarray(turned[-1])


def _draw_line(ax: Axes, line: tuple[np.ndarray, np.ndarray], plane: tuple[int, int],
               style: dict[str, Any]) -> None:
    point, along = (part[list(plane)] for part in line)
    # (seen along itself it is a point)
    if np.abs(along).max() > 0:
        plain: dict[str, Any] = {"color": BLUE, "linewidth": 2.5, "zorder": 1, "gid": "solutions"}
        whole_line(ax, point, along, **(plain | style))


def _part(ax: Axes, w: np.ndarray, b: float, **style: Any) -> None:
    """Draw ⟨w, x⟩ + b = 0."""
    size = length(w)
    unit = w / size
    foot = -unit * (b / size)
    along = np.array([-unit[1], unit[0]])
    whole_line(ax, foot, along, **({"zorder": 1.5} | style))


def _directions(given: Mapping[str, Any] | Limit | ArrayLike | None) -> dict[str, Line]:
    """Names, and what they stand for: w and b."""
    if given is None:
        return {}
    many = given if isinstance(given, Mapping) else {"w": given}
    found = {}
    for name, one in many.items():
        if isinstance(one, Limit):
            w, b = one.w.ravel(), one.intercept
        else:
            w, b = checks.array("directions", one, "a Limit, or an array of two or three entries",
                                dims=1), 0.0
        # of a plan with an intercept the last weight is that of the ones
        if w.size == 3 and not np.any(b):
            w, b = w[:2], float(w[2])
        if w.size != 2 or np.ndim(b) or not w.any():
            raise ValueError("directions must have two entries, not both 0, and an intercept or "
                             f"none, got {checks.short(one)}")
        found[str(name)] = w, float(b)
    return found


def _two_features(X: ArrayLike | checks.Sparse) -> np.ndarray:
    points = checks.matrix("X", X)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"X must have two features to be drawn, got shape {points.shape}")
    return dense(points)


def _margins(limit: Limit, X: ArrayLike | checks.Sparse, y: ArrayLike) -> np.ndarray:
    """The margin of each sample; of classes the least against any other."""
    rows = checks.matrix("X", X)
    flat: Any = rows.reshape(rows.shape[0], -1) if rows.ndim > 2 else rows
    labels, classes = checks.labels("y", y, flat.shape[0])
    K = classes.size if classes.size > 2 else 1
    w, b = limit.w.reshape(K, -1) if limit.w.size % K == 0 else limit.w[None], limit.intercept
    if w.shape[1] == flat.shape[1] + 1 and not np.any(b):
        w, b = w[:, :-1], w[:, -1]
    if w.shape != (K, flat.shape[1]):
        raise ValueError(f"X must have the {limit.w.size // K} features of the limit, got "
                         f"{flat.shape[1]}")
    predictions = np.asarray(flat @ w.T) + b
    if K == 1:
        return labels * predictions[:, 0]
    own = labels.astype(int)
    # against the best of the others
    mine = predictions[np.arange(own.size), own]
    predictions[np.arange(own.size), own] = -np.inf
    return np.asarray(mine - predictions.max(axis=1))


