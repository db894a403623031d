"""ReLU networks of one input and any width: what functions cost, and the cheapest through points.

A network f(x) = o + Σ a_k [b_k x + c_k]₊ with a weight penalty ½ Σ a_k² + b_k² (offset o and biases
c_k are free) can be any piecewise linear function, and the least penalty that makes f is (Savarese,
Evron, Soudry, Srebro 2019, Theorem 3.1)

    R(f) = max(∫ |f″|, |f′(−∞) + f′(+∞)|).
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks.shown import Report, Shown, Table, series
from fastbias.checks.sizes import ratio, worst
from fastbias.solvers.limit import CERTIFIED

__all__ = ["Interpolant", "PiecewiseLinear", "fit", "network"]


@dataclass(frozen=True, eq=False, repr=False)
class PiecewiseLinear(Shown):
    """The function f(x) = offset + slope x + Σ_k bends_k [x − knots_k]₊, to call on arrays.

    Parameters
    ----------
    knots, bends : (K,)
        Where the slope changes, and by how much; kept sorted, the bends of equal knots added up. K
        may be 0.
    slope : float, default 0
        f′(−∞).
    offset : float, default 0

    Examples
    --------
    >>> import fastbias as fb
    >>> absolute = fb.relu.PiecewiseLinear([0], [2], slope=-1)
    >>> print(absolute([-3, 0.5]), absolute.cost)
    [3.  0.5] 2.0
    """

    knots: np.ndarray
    bends: np.ndarray
    slope: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        knots = checks.array("knots", self.knots, "a (K,) array", dims=1, empty=True)
        bends = checks.array("bends", self.bends, "a (K,) array", dims=1, length=knots.size,
                             empty=True)
        # kept sorted, and each knot once: then ∫|f″| is the sum of |bends|
        knots, place = np.unique(knots, return_inverse=True)
        object.__setattr__(self, "knots", knots)
        object.__setattr__(self, "bends", np.bincount(place, bends, knots.size).astype(float))
        object.__setattr__(self, "slope", checks.number("slope", self.slope))
        object.__setattr__(self, "offset", checks.number("offset", self.offset))

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Return f(x), of the shape of x."""
        x = checks.array("x", x, "a number or an array", dims=(0, 1, 2, 3), empty=True)
        with np.errstate(over="ignore", under="ignore"):
            far = np.exp2(np.maximum(np.frexp(x)[1] - 400, 0))     # 1, but where products overflow
            near = x / far
            over = np.maximum(near[..., None] - self.knots / far[..., None], 0.0)
            return np.asarray(self.offset + (self.slope * near + over @ self.bends) * far)

    def _report(self) -> Report:
        lines: Report = [f"piecewise linear, with {self.knots.size} knots: cost {self.cost:.10g}, "
                         f"slope {self.slope:.6g} on the left, f(0) = {float(self(0.0)):.6g}"]
        if self.knots.size:
            lines.append(Table([series("knots", self.knots), series("slope after each",
                                                                    self.slopes[1:]),
                                series("f at each", self(self.knots))],
                               ("", "first", "last", "one by one")))
        return lines

    @property
    def slopes(self) -> np.ndarray:
        """The slope (K + 1,) left of the first knot, between knots, and right of the last."""
        return self.slope + np.append(0.0, np.cumsum(self.bends))

    @property
    def cost(self) -> float:
        """R(f) = max(∫|f″|, |f′(−∞) + f′(+∞)|): [x]₊ costs 1, |x| and x cost 2."""
        with np.errstate(over="ignore", invalid="ignore"):
            return worst(np.abs(self.bends).sum(), abs(2 * self.slope + self.bends.sum()))


def network(a: ArrayLike, b: ArrayLike, c: ArrayLike, offset: float = 0.0) -> PiecewiseLinear:
    """The function of a finite network, f(x) = offset + Σ_k a_k [b_k x + c_k]₊.

    Its cost R(f) is at most Σ|a_k b_k| ≤ ½ Σ a_k² + b_k². The first two are equal where no units
    bend against each other at a common knot −c_k/b_k, or where all a_k b_k have one sign; the last
    two where all |a_k| = |b_k|.

    Parameters
    ----------
    a, b, c : (K,)
        Outer weights, inner weights, biases.
    offset : float, default 0
        The bias of the output.

    Returns
    -------
    PiecewiseLinear

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.

    Examples
    --------
    >>> import fastbias as fb
    >>> f = fb.relu.network(a=[1, 1], b=[1, -1], c=[0, 0])
    >>> print(f.knots, f.bends, f.slope, f.cost)
    [0.] [2.] -1.0 2.0
    """
    a = checks.array("a", a, "a (K,) array", dims=1, empty=True)
    b = checks.array("b", b, "a (K,) array", dims=1, length=a.size, empty=True)
    c = checks.array("c", c, "a (K,) array", dims=1, length=a.size, empty=True)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        knots = 0.0 - c / b
        flat = ~np.isfinite(knots)                            # b = 0, or a knot beyond all numbers
        # a[bx + c]₊ = a(bx + c) + a|b| [x + c/b]₊
        falls = ~flat & (b < 0)
        bends, slope = (a * np.abs(b))[~flat], (a * b)[falls].sum()
        height = (checks.number("offset", offset) + (a * c)[falls].sum()
                  + (a * np.maximum(c, 0.0))[flat].sum())
    if not np.isfinite([*bends, slope, height]).all():
        raise ValueError(f"a, b, c must have products within float64, got {checks.short(a)}, "
                         f"{checks.short(b)}, {checks.short(c)}")
    return PiecewiseLinear(knots[~flat], bends, slope, height)


@dataclass(frozen=True, eq=False, repr=False)
class Interpolant(Shown):
    """A function of least cost through given points, with its proof.

    Parameters
    ----------
    function : PiecewiseLinear
    cost : float
        R of it.
    dual : (N,)
        At the x_n, a function p that is linear between them, 0 right of them and constant left of
        them, with |p| ≤ 1 and |p − p(−∞)| ≤ 1. For every f, R(f) ≥ ∫ p df′ + p(−∞) f′(−∞), which
        depends on f(x_1) … f(x_N) alone.
    duality_gap : float
        The larger of (cost − that bound)/cost and the largest |f(x_n) − y_n| relative to the terms
        of f(x_n).
    certified : bool
        Whether it is at most 1e-10.
    """

    function: PiecewiseLinear
    cost: float
    dual: np.ndarray
    duality_gap: float
    certified: bool

    def _report(self) -> Report:
        proof = "certified" if self.certified else "NOT certified"
        return [f"a function of least cost, {self.cost:.10g}, through {self.dual.size} points",
                f"{proof}, residual {self.duality_gap:.1e}", *self.function._report()]


def fit(x: ArrayLike, y: ArrayLike) -> Interpolant:
    """Solve argmin R(f) subject to f(x_n) = y_n over ReLU networks of any width, with its proof.

    The function that joins the points by straight lines has the least ∫|f″|, the turns between its
    secants. It goes on straight at both ends unless the slopes of the first and last secant add up
    to more, S > ∫|f″|: then both outer slopes are turned towards 0 by (S − ∫|f″|)/4, and the cost
    is the mean of the two. Other functions may cost the same.

    Parameters
    ----------
    x, y : (N,)
        The points, in any order. Equal x must come with equal y.

    Returns
    -------
    Interpolant

    Raises
    ------
    ValueError, TypeError
        Where two values are asked for at one x, or an argument is bad.

    References
    ----------
    Savarese, Evron, Soudry, Srebro, "How do infinite width bounded norm networks look in function
    space?" (COLT 2019).

    Examples
    --------
    >>> import fastbias as fb
    >>> found = fb.relu.fit([0, 1, 2], [0, 1, 0])
    >>> print(found.function([-1, 0.5, 3]), found.cost, found.certified)
    [-1.   0.5 -1. ] 2.0 True
    """
    x = checks.array("x", x, "an (N,) array", dims=1)
    y = checks.array("y", y, "an (N,) array", dims=1, length=x.size)
    knots, first, place = np.unique(x, return_index=True, return_inverse=True)
    heights = y[first]
    clash = np.flatnonzero(heights[place] != y)
    if clash.size:
        n = clash[0]
        raise ValueError(f"y must be one value at each x, got {heights[place[n]]:g} and {y[n]:g} "
                         f"at x = {x[n]:g}")
    # (halves: the difference of the whole ones may itself be beyond float64)
    if knots[-1] / 2 - knots[0] / 2 > 4e307:
        raise ValueError(f"x must span at most 8e307, got {knots[0]:g} and {knots[-1]:g}")
    if knots.size == 1:
        return Interpolant(PiecewiseLinear(np.zeros(0), np.zeros(0), 0.0, heights[0]), 0.0,
                           np.zeros(x.size), 0.0, True)
    with np.errstate(over="ignore", invalid="ignore"):
        secants = np.diff(heights) / np.diff(knots)
        turns, ends = np.diff(secants), secants[0] + secants[-1]
        if not np.isfinite([*secants, np.abs(turns).sum(), ends]).all():
            raise ValueError("y must rise and fall between neighbouring x by slopes that fit into "
                             "float64, got slopes up to "
                             f"{float(np.abs(np.diff(heights) / np.diff(knots)).max()):.3g}")
        # p(−∞): where the outer slopes cost more than the turns, a turn outside pays for itself
        side = float(np.sign(ends)) if abs(ends) > np.abs(turns).sum() else 0.0
        give = side * (abs(ends) - np.abs(turns).sum()) / 4
        slope = float(secants[0] - give)
        offset = heights[0] - slope * knots[0]
        if not np.isfinite(offset):
            raise ValueError("x, y must be of sizes at which the line through the first two points "
                             f"is finite at x = 0, got x = {knots[0]:.3g} and a slope of "
                             f"{slope:.3g}")
        f = PiecewiseLinear(knots, np.concatenate([[give], turns, [-give]]), slope, offset)
    # p is as large as it may be against each turn: then ∫ p df′ is all of R(f)
    p = np.concatenate([[side], np.where(turns > 0, min(1.0, 1.0 + side), max(-1.0, side - 1.0)),
                        [0.0]])
    gap = _gap(f, knots, heights, p)
    return Interpolant(f, f.cost, p[place], gap, gap <= CERTIFIED)


def _gap(f: PiecewiseLinear, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> float:
    """The larger of f's relative misfit at (x, y), x rising, and its cost above the bound by p."""
    with np.errstate(all="ignore"):
        secants = np.diff(y) / np.diff(x)
        steepest = worst(1.0, np.abs(p), np.abs(p - p[0]))
        bound = float(np.diff(secants) @ p[1:-1] + secants[0] * p[0]) / steepest
        excess = ratio(abs(f.cost - bound), f.cost)
        # held against the terms of each sum, not against y: f(x) may cancel
        turned = np.maximum(x[:, None] - f.knots, 0.0) @ np.abs(f.bends)
        terms = abs(f.offset) + np.abs(f.slope * x) + turned
        error = np.abs(f(x) - y)
        return worst(excess, np.where(error == 0, 0.0, error / terms), abs(float(p[-1])))
