"""Networks with one hidden layer of rectified units, as functions of one or several inputs, and
what they cost.

f(x) = o + Σ a_k [⟨b_k, x⟩ + c_k]₊. With biases free, the least ½ Σ a_k² + ‖b_k‖² over all networks
that make the function f is, for units grouped by their hyperplanes H (of normals w_H, ‖w_H‖ = 1),

    R(f) = Σ_H |e_H| + dist(V, {Σ_H s_H e_H w_H : |s_H| ≤ 1}),   e_H = Σ a_k ‖b_k‖,  V = Σ a_k b_k,

as what a unit bends may be given to either side of its hyperplane, and V is twice the mean gradient
far out, which stays. On the line it is max(Σ|e|, |V|) (Savarese et al. 2019).
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import lengths
from fastbias.solvers.relu.line import PiecewiseLinear
from fastbias.solvers.relu.shown import draw

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["Kinks", "Network", "network"]

SAME = 1e-12            # hyperplanes that differ by less are one
WHOLE = 1e-13           # of V, relatively: what is left is rounding


class Kinks(NamedTuple):
    """Where a network bends: over the hyperplane ⟨normals_h, x⟩ + shifts_h = 0 by bends_h.

    Parameters
    ----------
    normals : (H, d)
        Of length one.
    shifts, bends : (H,)

    Examples
    --------
    >>> import fastbias as fb
    >>> kinks = fb.relu.network([1.0, -2.0], [1.0, 1.0], [0.0, -1.0]).kinks
    >>> type(kinks).__name__
    'Kinks'
    """

    normals: np.ndarray
    shifts: np.ndarray
    bends: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """The function f(x) = offset + Σ_k weights_k [⟨normals_k, x⟩ + shifts_k]₊, to call on arrays.

    Parameters
    ----------
    weights : (K,)
        Outer weights a; K may be 0.
    normals : (K, d), or (K,) on the line
        Inner weights b, of any length.
    shifts : (K,)
        Biases c.
    offset : float, default 0

    Examples
    --------
    >>> import fastbias as fb
    >>> f = fb.relu.network(a=[1, 1], b=[[3, 4], [-3, -4]], c=[0, 0])        # |3x + 4y|
    >>> print(f([[1, 0], [0, -1]]), f.cost, f.counted)
    [3. 4.] 10.0 10.0
    """

    weights: np.ndarray
    normals: np.ndarray
    shifts: np.ndarray
    offset: float = 0.0

    def __post_init__(self) -> None:
        a = checks.array("a", self.weights, "a (K,) array", dims=1, empty=True)
        b = checks.array("b", self.normals, "a (K,) or (K, d) array", dims=(1, 2), length=a.size,
                         empty=True)
        c = checks.array("c", self.shifts, "a (K,) array", dims=1, length=a.size, empty=True)
        if b.ndim == 2 and b.shape[1] == 0:
            raise ValueError(f"b must have one input or more, got shape {b.shape}")
        for name, value in (("weights", a), ("normals", b), ("shifts", c),
                            ("offset", checks.number("offset", self.offset))):
            object.__setattr__(self, name, value)
        with np.errstate(over="ignore", invalid="ignore"):
            products = [np.abs(a) * lengths(_rows(b)), np.abs(a * c)]
            total = sum(float(p.sum()) for p in products)
        if not np.isfinite(total):
            raise ValueError(f"a, b, c must have products within float64, got {checks.short(a)}, "
                             f"{checks.short(b)}, {checks.short(c)}")
        if self.inputs == 1:
            _ = self.function

    @property
    def inputs(self) -> int:
        """d, the numbers that it is a function of."""
        return 1 if self.normals.ndim == 1 else self.normals.shape[1]

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Return f(x): of shape (...) for x (..., d); on the line, for normals (K,), of x's own."""
        if self.normals.ndim == 1:
            return self.function(x)
        x = checks.array("x", x, "an array of points", dims=(1, 2, 3, 4), empty=True)
        if x.shape[-1] != self.inputs:
            raise ValueError(f"x must have {self.inputs} numbers a point, got shape {x.shape}")
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            over = np.maximum(x @ self.normals.T + self.shifts, 0.0)
            return np.asarray(self.offset + over @ self.weights)

    @cached_property
    def function(self) -> PiecewiseLinear:
        """The same on the line, by its knots; TypeError for several inputs."""
        if self.inputs > 1:
            raise TypeError(f"the network must be one of one input to have knots, got {self!r}")
        return _on_the_line(self)

    @property
    def knots(self) -> np.ndarray:
        """Where the slope changes (H,), of one input."""
        return self.function.knots

    @property
    def bends(self) -> np.ndarray:
        """By how much it changes there (H,), of one input."""
        return self.function.bends

    @property
    def slope(self) -> float:
        """f′(−∞), of one input."""
        return self.function.slope

    @property
    def slopes(self) -> np.ndarray:
        """The slopes (H + 1,) between knots, of one input."""
        return self.function.slopes

    @cached_property
    def kinks(self) -> Kinks:
        """The hyperplanes at which it bends; those within 1e-12 of each other are one."""
        bends, normals, shifts, _ = _grouped(self)
        return Kinks(normals, shifts, bends)

    @cached_property
    def cost(self) -> float:
        """R(f), the least ½ Σ a_k² + ‖b_k‖² of all networks that make the function, biases free."""
        return self.function.cost if self.inputs == 1 else _least(self)

    @property
    def counted(self) -> float:
        """Σ |a_k| ‖(b_k, c_k)‖: the least ½ Σ a_k² + ‖b_k‖² + c_k² of these units, rescaled."""
        sizes = lengths(np.column_stack([self.normals, self.shifts]))
        return float(np.abs(self.weights) @ sizes) if self.weights.size else 0.0

    def plot(self, ax: matplotlib.axes.Axes | None = None,
             span: tuple[float, float] | None = None) -> matplotlib.axes.Axes:
        """Draw it: a curve of one input, a heat map with its kinks as lines of two.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: a new figure.
        span : (low, high), optional
            Of each input; by default what ``ax`` shows already, or as far as it bends.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError, TypeError
            Where there are more than two inputs, or an argument is bad.
        """
        return draw(self, ax, span)

    def __repr__(self) -> str:
        return f"<network of {self.weights.size} units, {self.inputs} " \
               f"input{'s' * (self.inputs > 1)}>"


def network(a: ArrayLike, b: ArrayLike, c: ArrayLike, offset: float = 0.0) -> Network:
    """The function of a finite network, f(x) = offset + Σ_k a_k [⟨b_k, x⟩ + c_k]₊.

    Its cost R(f) is at most Σ|a_k| ‖b_k‖ ≤ ½ Σ a_k² + ‖b_k‖². The first two are equal where no
    units bend against each other at a common hyperplane; the last two where all |a_k| = ‖b_k‖.

    Parameters
    ----------
    a, c : (K,)
        Outer weights, biases.
    b : (K,) or (K, d)
        Inner weights, of one input or d.
    offset : float, default 0
        The bias of the output.

    Returns
    -------
    Network

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
    return Network(a, b, c, offset)  # type: ignore[arg-type]


def _rows(b: np.ndarray) -> np.ndarray:
    """Inner weights as (K, d), on the line as well."""
    return b[:, None] if b.ndim == 1 else b


def _on_the_line(f: Network) -> PiecewiseLinear:
    """Its knots and bends: a[bx + c]₊ = a(bx + c) + a|b| [x + c/b]₊ where b < 0."""
    a, b, c = f.weights, f.normals.ravel(), f.shifts
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        knots = 0.0 - c / b
        flat = ~np.isfinite(knots)                            # b = 0, or a knot beyond all numbers
        falls = ~flat & (b < 0)
        bends, slope = (a * np.abs(b))[~flat], (a * b)[falls].sum()
        height = f.offset + (a * c)[falls].sum() + (a * np.maximum(c, 0.0))[flat].sum()
    if not np.isfinite([*bends, slope, height]).all():
        raise ValueError(f"a, b, c must have products within float64, got {checks.short(a)}, "
                         f"{checks.short(b)}, {checks.short(c)}")
    return PiecewiseLinear(knots[~flat], bends, slope, height)


def _grouped(f: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The bends e (H,), normals w (H, d) and shifts (H,) of the hyperplanes, and the sum (H,) of
    what their units bend towards w.
    """
    b = _rows(f.normals)
    sizes = lengths(b)
    some = (sizes > 0) & (f.weights != 0)
    b, sizes, a, c = b[some], sizes[some], f.weights[some], f.shifts[some]
    with np.errstate(over="ignore"):
        w, t, e = b / sizes[:, None], c / sizes, a * sizes
    far = SAME * float(np.abs(t[np.isfinite(t)]).max(initial=0.0))
    left, bends, normals, shifts, towards = np.isfinite(t), [], [], [], []
    while left.any():
        k = int(np.flatnonzero(left)[0])
        sides = [left & (np.abs(w - s * w[k]).max(axis=1) <= SAME) & (np.abs(t - s * t[k]) <= far)
                 for s in (1.0, -1.0)]
        ahead, behind = (float(e[side].sum()) for side in sides)
        bends.append(ahead + behind)
        towards.append(ahead - behind)
        normals.append(w[k])
        shifts.append(t[k])
        left &= ~(sides[0] | sides[1])
    return (np.array(bends), np.array(normals).reshape(-1, b.shape[1]), np.array(shifts),
            np.array(towards))


def _least(f: Network) -> float:
    """R(f) of several inputs."""
    bends, normals, _, towards = _grouped(f)
    total = float(np.abs(bends).sum())
    # where no units bend against each other the sides that they have will do
    if (np.abs(towards) <= np.abs(bends) * (1 + WHOLE)).all():
        return total
    V = towards @ normals
    some = np.abs(bends) > WHOLE * np.abs(towards).max()
    G = (bends[some, None] * normals[some]).T
    if not some.any():
        return total + float(np.sqrt(V @ V))
    unit = float(np.abs(V).max()) or 1.0
    found = foreign.ask("the cost of a ReLU network", "scipy.optimize.lsq_linear", G / unit,
                        V / unit, bounds=(-1.0, 1.0), method="bvls", tol=1e-15)
    left = G @ np.clip(found.x, -1.0, 1.0) - V
    off = float(np.sqrt(left @ left))
    return total + (off if off > WHOLE * float(np.sqrt(V @ V)) else 0.0)
