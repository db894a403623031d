"""ReLU networks of one input and any width: what functions cost, and the cheapest through points.

A network f(x) = o + Σ a_k [b_k x + c_k]₊ with a weight penalty ½ Σ a_k² + b_k² (offset o and biases
c_k are free) can be any piecewise linear function, and the least penalty that makes f is (Savarese,
Evron, Soudry, Srebro 2019, Theorem 3.1)

    R(f) = max(∫ |f″|, |f′(−∞) + f′(+∞)|).
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks.shown import Report, Shown, Table, series
from fastbias.checks.sizes import ratio, worst

__all__ = ["PiecewiseLinear", "Straight", "straight", "units"]


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


class Straight(NamedTuple):
    """The closed form: the function, the values p of its dual at each x, and how far from optimal
    (relatively) and from the points (relative to the terms of f(x_n)) it is.
    """

    function: PiecewiseLinear
    dual: np.ndarray
    gap: float
    misfit: float


def straight(x: np.ndarray, y: np.ndarray) -> Straight:
    """Solve argmin R(f) subject to f(x_n) = y_n over functions of one input.

    The function that joins the points by straight lines has the least ∫|f″|, the turns between its
    secants. It goes on straight at both ends unless the slopes of the first and last secant add up
    to more, S > ∫|f″|: then both outer slopes are turned towards 0 by (S − ∫|f″|)/4, and the cost
    is the mean of the two. Other functions may cost the same.
    """
    knots, first, place = np.unique(x, return_index=True, return_inverse=True)
    heights = y[first]
    clash = np.flatnonzero(heights[place] != y)
    if clash.size:
        n = clash[0]
        raise ValueError(f"y must be one value at each x, got {heights[place[n]]:g} and {y[n]:g} "
                         f"at x = {x[n]:g}")
    # (halves: the difference of the whole ones may itself be beyond float64)
    if knots[-1] / 2 - knots[0] / 2 > 4e307:
        raise ValueError(f"X must span at most 8e307, got {knots[0]:g} and {knots[-1]:g}")
    if knots.size == 1:
        return Straight(PiecewiseLinear(np.zeros(0), np.zeros(0), 0.0, heights[0]),
                        np.zeros(x.size), 0.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        secants = np.diff(heights) / np.diff(knots)
        turns, ends = np.diff(secants), secants[0] + secants[-1]
        if not np.isfinite([*secants, np.abs(turns).sum(), ends]).all():
            raise ValueError("y must rise and fall between neighbouring X by slopes that fit into "
                             "float64, got slopes up to "
                             f"{float(np.abs(np.diff(heights) / np.diff(knots)).max()):.3g}")
        # p(−∞): where the outer slopes cost more than the turns, a turn outside pays for itself
        side = float(np.sign(ends)) if abs(ends) > np.abs(turns).sum() else 0.0
        give = side * (abs(ends) - np.abs(turns).sum()) / 4
        slope = float(secants[0] - give)
        offset = heights[0] - slope * knots[0]
        if not np.isfinite(offset):
            raise ValueError("X, y must be of sizes at which the line through the first two points "
                             f"is finite at x = 0, got x = {knots[0]:.3g} and a slope of "
                             f"{slope:.3g}")
        f = PiecewiseLinear(knots, np.concatenate([[give], turns, [-give]]), slope, offset)
    # p is as large as it may be against each turn: then ∫ p df′ is all of R(f)
    p = np.concatenate([[side], np.where(turns > 0, min(1.0, 1.0 + side), max(-1.0, side - 1.0)),
                        [0.0]])
    return Straight(f, p[place], *_proof(f, knots, heights, p))


def _proof(f: PiecewiseLinear, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """How far f's cost is above the bound by p, and f from points (x, y), x rising: relatively."""
    with np.errstate(all="ignore"):
        secants = np.diff(y) / np.diff(x)
        steepest = worst(1.0, np.abs(p), np.abs(p - p[0]))
        bound = float(np.diff(secants) @ p[1:-1] + secants[0] * p[0]) / steepest
        excess = worst(ratio(abs(f.cost - bound), f.cost), abs(float(p[-1])))
        # held against the terms of each sum, not against y: f(x) may cancel
        turned = np.maximum(x[:, None] - f.knots, 0.0) @ np.abs(f.bends)
        terms = abs(f.offset) + np.abs(f.slope * x) + turned
        error = np.abs(f(x) - y)
        return excess, worst(np.where(error == 0, 0.0, error / terms))


def units(f: PiecewiseLinear) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """a, b, c and the offset of units that make f and cost R(f).

    A bend e at t is p [x − t]₊ + q [t − x]₊ with p + q = e; the q add up to −f′(−∞). Only what the
    bends cannot give of that costs more.
    """
    knots, bends = (f.knots, f.bends) if f.knots.size else (np.zeros(1), np.zeros(1))
    side = np.maximum(bends, 0.0) if f.slope < 0 else np.minimum(bends, 0.0)
    there = float(side.sum())
    share = min(1.0, -f.slope / there) if there else 0.0
    left = side * share
    # the rest is a line, two units of opposite weights
    rest = -f.slope - float(left.sum()) if share in (0.0, 1.0) else 0.0
    left[0] += rest
    right = bends - left
    a, some = np.concatenate([right, left]), np.concatenate([right, left]) != 0
    b = np.repeat([1.0, -1.0], knots.size)
    return (a[some], b[some], (-b * np.tile(knots, 2))[some],
            f.offset - float(left @ knots))
