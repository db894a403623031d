"""Bars and paths: entries of a limit, fractions of a diagnosis, coefficients of a separation, and
regularisation paths.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastbias import checks
from fastbias.checks.shown import WIDE, clipped, features
from fastbias.plots.base import (
    BLACK,
    BLUE,
    COLOURS,
    GREY,
    THEORY,
    axes_of,
    is_limit,
    legend,
)
from fastbias.solvers.diagnose import Diagnosis
from fastbias.solvers.lasso import RegularisationPath
from fastbias.solvers.limit import Limit
from fastbias.solvers.regularisation import BallPath
from fastbias.solvers.separation import Separation
from fastbias.solvers.separation_table import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["diagnosis", "entries", "path", "separation"]

MOST = 25             # bars in one picture
CURVES = 10           # curves in one picture that have names
Coefficient = tuple[str, str, float, float]               # name, kind, value, standard error


def diagnosis(found: Diagnosis, ax: Axes | None = None) -> Axes:
    """Draw the margin of a direction as a fraction of the maximum, a bar for each norm.

    Parameters
    ----------
    found : Diagnosis
        What ``fb.diagnose`` returned; the norms that it names are dark.
    ax : matplotlib Axes, optional
        Where to draw; a new figure's where it is not given.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import fastbias as fb
    >>> ax = fb.plots.diagnosis(fb.diagnose([[2, 1], [1, 3]], [1, 1], [1, 1]))
    >>> len(ax.patches)
    7
    """
    if not isinstance(found, Diagnosis):
        raise TypeError(f"found must be a Diagnosis, got {checks.short(found)}")
    names, values = list(found.fractions), list(found.fractions.values())
    # (of a diagnosis made by hand ties may be left out)
    marked = found.ties or (found.best,)
    ax = axes_of(ax)
    bars = ax.barh(range(len(names)), values,
                   color=[BLUE if name in marked else COLOURS[4] for name in names])
    told = ax.bar_label(bars, [f"{value:.4f}" for value in values], label_type="center", fontsize=9)
    for name, text in zip(names, told, strict=True):
        text.set_color("white" if name in marked else BLACK)
    ax.axvline(1.0, **THEORY, label="maximum")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="margin as a fraction of the maximum", ylim=(len(names) - 0.4, -0.6))
    # margins under 0 belong to directions that do not separate
    ax.set_xlim(min(0.0, *values) * 1.15, max(1.0, *values) * 1.15)
    return ax


def entries(limit: Limit, ax: Axes | None = None) -> Axes:
    """Draw the largest entries of a limit as bars, by the names of their features.

    Parameters
    ----------
    limit : Limit
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        At most 25 bars, in the order of the entries; the title says how many are left out.

    Examples
    --------
    >>> import fastbias as fb
    >>> ax = fb.plots.entries(fb.max_margin([[2, 1], [1, 3], [-1, -1]], [1, 1, -1]))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['x0', 'x1']
    """
    values = is_limit(limit).w
    names = features(values.shape, limit.names, limit.classes)
    # the largest, yet in the order of the features
    largest = np.sort(np.argsort(-np.abs(values.ravel()), kind="stable")[:MOST])
    ax = axes_of(ax)
    ax.barh(range(largest.size), values.ravel()[largest], color=BLUE)
    ax.axvline(0.0, color=GREY, lw=0.8)
    ax.set_yticks(range(largest.size), [clipped(names(int(i)), WIDE) for i in largest])
    proof = "certified" if limit.certified else "not certified"
    left = values.size - largest.size
    ax.set(xlabel="w" if limit.norm is None else f"w, of length one in {limit.norm.name}",
           ylim=(largest.size - 0.4, -0.6),
           title=f"limit {limit.kind}, {proof}" + (f"; {left} entries left out" if left else ""))
    return ax


def separation(found: Separation, ax: Axes | None = None) -> Axes:
    """Draw the coefficients of a logistic regression: finite ones with two standard errors either
    way, infinite ones as arrows to the side that they go to.

    Parameters
    ----------
    found : Separation
        What ``fb.separation`` returned.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        At most 25 coefficients, infinite ones first to stay; "?" where undetermined.

    Examples
    --------
    >>> import fastbias as fb
    >>> ax = fb.plots.separation(fb.separation([[1], [2], [3]], [0, 0, 1], names=["dose"]))
    >>> ax.get_title()
    'complete separation'
    """
    if not isinstance(found, Separation):
        raise TypeError(f"found must be a Separation, got {checks.short(found)}")
    rows = _coefficients(found)
    # infinite ones are what the picture is for, so they stay where there are too many
    shown = sorted(sorted(range(len(rows)), key=lambda i: rows[i][1] == "finite")[:MOST])
    ends = np.array([abs(rows[i][2]) + 2 * rows[i][3] for i in shown])
    reach = float(ends[np.isfinite(ends)].max(initial=0.0)) or 1.0
    ax = axes_of(ax)
    ax.axvline(0.0, color=GREY, lw=0.8)
    for place, i in enumerate(shown):
        _coefficient(ax, place, rows[i], reach)
    ax.set_yticks(range(len(shown)), [clipped(rows[i][0], WIDE) for i in shown])
    left = len(rows) - len(shown)
    # (downwards, as the printed table is)
    felt = any(rows[i][1] == "finite" and np.isfinite(rows[i][3]) for i in shown)
    ax.set(xlabel="coefficient" + ("; whiskers: two standard errors either way" if felt else ""),
           xlim=(-1.4 * reach, 1.4 * reach), ylim=(len(shown) - 0.3, -0.7),
           title=KINDS[found.kind] + (f"; {left} coefficients left out" if left else ""))
    return ax


def _coefficient(ax: Axes, place: int, row: Coefficient, reach: float) -> None:
    """Draw one coefficient at its height: a point with two errors, an arrow, or a question."""
    _, kind, value, error = row
    if kind == "finite" and np.isfinite(value):
        ax.errorbar(value, place, xerr=2 * error if np.isfinite(error) else None, fmt="o",
                    color=BLUE, capsize=3)
        return
    if kind not in ("+inf", "-inf"):
        ax.annotate("?", (0.0, place), ha="center", va="center", color=BLACK)
        return
    # past the ends of all error bars: no finite place is meant
    tip = reach * (1.2 if kind == "+inf" else -1.2)
    ax.annotate("", (tip, place), (0.0, place),
                arrowprops={"arrowstyle": "-|>", "color": COLOURS[0], "lw": 1.8})
    ax.annotate(kind.replace("inf", "∞").replace("-", "−"), (tip, place), (0, 4),
                textcoords="offset points", color=COLOURS[0], va="bottom", ha="center")


def _coefficients(found: Separation) -> list[Coefficient]:
    """Each coefficient: name, kind, value, standard error; with classes for each pair."""
    if not found.pairs:
        return [(name, kind, found.finite[name], found.standard_errors[name])
                for name, kind in found.coefficients.items()]
    return [(f"{b} / {a}: {name}", kind, found.finite[a, b][name],
             found.standard_errors[a, b][name])
            for (a, b), kinds in found.pairs.items() for name, kind in kinds.items()]


def path(found: RegularisationPath | BallPath, ax: Axes | None = None) -> Axes:
    """Draw the entries of w along a regularisation path, a curve for each.

    Parameters
    ----------
    found : RegularisationPath or BallPath
        What ``fb.l1_path`` or ``fb.regularisation_path`` returned.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Against λ, falling to the right, or against the radius, in whose units the entries then are.

    Examples
    --------
    >>> import fastbias as fb
    >>> ax = fb.plots.path(fb.l1_path([[1, 0], [1, 1]], [1, 3]))
    >>> ax.get_xlabel()
    'λ'
    """
    if not isinstance(found, RegularisationPath | BallPath):
        raise TypeError("found must be a RegularisationPath or a BallPath, got "
                        f"{checks.short(found)}")
    ax = axes_of(ax)
    names = features(found.w.shape[1:], found.names, getattr(found, "classes", None))
    flat = found.w.reshape(len(found.w), -1)
    if isinstance(found, BallPath):
        # of one size at all radii: w itself grows with them
        x, told, flat = found.radii, "radius c", flat / found.radii[:, None]
    else:
        x, told = found.lambdas, "λ"
    # the largest of them by name, the others thin and grey
    heavy = np.argsort(-np.abs(flat).max(axis=0, initial=0.0), kind="stable")[:CURVES]
    for j in range(flat.shape[1]):
        if j in heavy:
            k = int(np.flatnonzero(heavy == j)[0])
            ax.plot(x, flat[:, j], color=(BLUE, *COLOURS)[k % (len(COLOURS) + 1)], lw=1.8,
                    ls="-" if k <= len(COLOURS) else "--", label=clipped(names(j), WIDE))
        else:
            ax.plot(x, flat[:, j], color=GREY, lw=0.6, zorder=1)
    ax.axhline(0.0, color=GREY, lw=0.8)
    ax.set(xscale="log", xlabel=told,
           ylabel="entries of w/c" if isinstance(found, BallPath) else "entries of w")
    # towards less regularisation either way
    if not isinstance(found, BallPath):
        ax.invert_xaxis()
    legend(ax)
    return ax


