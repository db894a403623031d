"""The networks of least cost through given values, and of the largest margin on labels, of any
width, with their proofs.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks.shown import Report, Shown
from fastbias.checks.sizes import ratio, worst
from fastbias.solvers.limit import CERTIFIED, Proved
from fastbias.solvers.relu import line
from fastbias.solvers.relu.certificate import Proof, interpolates, separates
from fastbias.solvers.relu.exchange import Pair, Task, balanced, solve
from fastbias.solvers.relu.line import PiecewiseLinear
from fastbias.solvers.relu.networks import Network
from fastbias.solvers.relu.units import Units

__all__ = ["Interpolant", "Widest", "fit", "margin"]

BIASES = "free", "counted"
TRIES, SHORTER = 40, 1e-14     # lengths of a λ that are tried, and by how much they differ
NEARLY = 1e-8                  # gaps that may be rounding


@dataclass(frozen=True, eq=False, repr=False)
class Interpolant(Shown):
    """A network of least cost through given points, with its proof. Others may cost the same.

    Parameters
    ----------
    function : PiecewiseLinear or Network
        f, on the line by its knots; of several inputs the network.
    cost : float
        Σ|a_k| ‖b_k‖ of its units, which is R(f); where biases are counted Σ|a_k| ‖(b_k, c_k)‖.
    dual : (N,)
        λ with Σλ = 0 (where the offset is free) and |Σ λ_n [⟨b, x_n⟩ + c]₊| ≤ 1 for every unit
        (b, c) of size one: so no network through the points costs less than ⟨λ, y⟩. For X (N,) and
        free biases, at the x_n, a function p that is linear between them, 0 right of them and
        constant left of them, with |p| ≤ 1 and |p − p(−∞)| ≤ 1: for every f, R(f) ≥ ∫ p df′ +
        p(−∞) f′(−∞), which depends on f(x_1) … f(x_N) alone.
    duality_gap : float
        (cost − that bound)/cost.
    certified : bool
        Whether gap and residual, recomputed from network and dual alone, are at most 1e-10.
    network : Network
        Its units, ‖b_k‖ = 1, or ‖(b_k, c_k)‖ = 1.
    residual : float
        The largest |f(x_n) − y_n|, relative to max |y|; for X (N,) and free biases to the terms of
        f(x_n), as rounding is.

    Examples
    --------
    >>> import fastbias as fb
    >>> best = fb.relu.fit([-1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    >>> round(best.cost, 9), best.network([-1.0, 0.5]).round(9)
    (2.0, array([1. , 0.5]))
    """

    function: PiecewiseLinear | Network
    cost: float
    dual: np.ndarray
    duality_gap: float
    certified: bool
    network: Network
    residual: float

    def _report(self) -> Report:
        return [f"{self.network!r} of least cost, {self.cost:.12g}", _told(self)]


class Labelled(NamedTuple):
    """Points (N, d), labels −1 and 1 (N,), whether biases count, and whether an offset is free."""

    X: np.ndarray
    y: np.ndarray
    counted: bool
    offset: bool


@dataclass(frozen=True, eq=False, repr=False)
class Widest(Proved):
    """A network of the largest margin, with its proof. Others may have the same.

    Parameters
    ----------
    margin : float
        The largest min y_n f(x_n) of networks that cost one, 1/cost.
    network : Network
        With min y_n f(x_n) = 1, and units of size one.
    cost : float
        What it costs.
    dual : (N,)
        λ ≥ 0 with Σλ = 1, where the offset is free with Σ λ_n y_n = 0: no margin is over
        max |Σ λ_n y_n [⟨b, x_n⟩ + c]₊| over units (b, c) of size one.
    duality_gap : float
        (that bound − margin)/bound.
    certified : bool
        Whether gap and residual, recomputed from network and dual alone, are at most 1e-10.
    residual : float
        How far the least margin of ``network`` is from one.
    classes : (2,) array
        The labels that are −1 and +1.
    asked : named tuple, or None
        The points, signs and rules that `proof` speaks of.

    Examples
    --------
    >>> import fastbias as fb
    >>> best = fb.relu.margin([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], [1, 1, -1])
    >>> print(best.certified, best.margin > 0)
    True True
    """

    margin: float
    network: Network
    cost: float
    dual: np.ndarray
    duality_gap: float
    certified: bool
    residual: float
    classes: np.ndarray
    asked: Labelled | None = None

    def proof(self) -> dict[str, Any]:
        """Prove it over the rationals, to 2⁻¹⁰⁰: a document that anybody can check, with
        `fb.proofs.check` or with two short files that need Python alone.

        Returns
        -------
        dict of strings and lists of strings, as JSON holds them
            ``rows`` (x_n, 1) and ``goal`` y_n; ``primal``, the units (a, v) with y_n f(x_n) ≥ 1,
            and ``offset``, None where there is none; ``dual`` λ; ``value``, the margin of cost one;
            ``free``, "1" where biases do not count. ``tree`` and ``cells`` prove that no unit of
            size one sees more than ``value`` of λ: the rows, by their numbers, at whose
            hyperplanes all units are cut in two, again and again, a dot for a cell that is left
            whole, and of each of these (k, t) with Σ k c_n [⟨z_n, v⟩]₊ ≤ ⟨Σ t_n z_n, v⟩, c = yλ and
            then −yλ.

        Raises
        ------
        LookupError
            Where there is none, and why: more than 40 features or 3000 cells of a sign, of margins
            that are not certified, and where units were not found in a hundred digits (points that
            are nearly on one line, say).

        Examples
        --------
        >>> import fastbias as fb
        >>> best = fb.relu.margin([3.0, -4.0], [1, -1], "free", True)
        >>> document = best.proof()
        >>> document["dual"], best.rung, fb.proofs.check(document)
        (['1/2', '1/2'], 'enclosed', True)
        """
        return self._document()

    @property
    def function(self) -> PiecewiseLinear | Network:
        """f, on the line by its knots."""
        return self.network.function if self.network.inputs == 1 else self.network

    def _report(self) -> Report:
        return [f"{self.network!r} of margin {self.margin:.12g} a unit of cost", _told(self)]


def _told(found: Interpolant | Widest) -> str:
    proof = "certified" if found.certified else "NOT certified"
    return f"{proof}, gap {found.duality_gap:.1e}, residual {found.residual:.1e}"


def fit(X: ArrayLike, y: ArrayLike, biases: str = "free", offset: bool = True) -> Interpolant:
    """Solve argmin Σ|a_k| ‖b_k‖ subject to f(x_n) = y_n over ReLU networks of any width.

    That is the least ½ Σ a_k² + ‖b_k‖² of f(x) = o + Σ a_k [⟨b_k, x⟩ + c_k]₊ (Savarese et al. 2019,
    Ongie et al. 2020), and with biases counted the least ½ Σ a_k² + ‖b_k‖² + c_k² (the variation
    norm of Bach 2017, which gradient descent and weight decay see).

    Parameters
    ----------
    X : (N,) or (N, d)
        The points, in any order. Equal ones must come with equal y.
    y : (N,)
    biases : "free" or "counted", default "free"
        Whether the biases c_k cost nothing, or as the weights b_k do.
    offset : bool, default True
        Whether there is a free o. Free biases make one at no cost (b → 0), so that False is for
        counted ones alone; 0 stays 0 then.

    Returns
    -------
    Interpolant

    Raises
    ------
    ValueError, TypeError
        Where two values are asked for at one point, the data make over 100,000 faces, or an
        argument is bad.
    ArithmeticError
        Where points are too near to each other for their values, or of too different sizes.

    References
    ----------
    Savarese, Evron, Soudry, Srebro, "How do infinite width bounded norm networks look in function
    space?" (COLT 2019). Ongie, Willett, Soudry, Srebro, "A function space view of bounded norm
    infinite width ReLU nets: the multivariate case" (ICLR 2020). Bach, "Breaking the curse of
    dimensionality with convex neural networks" (JMLR 2017).

    Examples
    --------
    >>> import fastbias as fb
    >>> found = fb.relu.fit([0, 1, 2], [0, 1, 0])
    >>> print(found.function([-1, 0.5, 3]), found.cost, found.certified)
    [-1.   0.5 -1. ] 2.0 True
    >>> xor = fb.relu.fit([[0, 0], [1, 1], [0, 1], [1, 0]], [0, 0, 1, 1])
    >>> print(round(xor.cost, 12), xor.certified)
    2.828427124746 True
    """
    X, counted, offset = _asked(X, biases, offset)
    y = checks.array("y", y, "an (N,) array", dims=1, length=len(X))
    if X.ndim == 1 and not counted:
        found = line.straight(X, y)
        return Interpolant(found.function, found.function.cost, found.dual, found.gap,
                           worst(found.gap, found.misfit) <= CERTIFIED,
                           Network(*line.units(found.function)), found.misfit)
    points, first, place = _distinct(X)
    clash = np.flatnonzero(y[first][place] != y)
    if clash.size:
        n = clash[0]
        raise ValueError(f"y must be one value at each point of X, got {y[first][place[n]]:g} and "
                         f"{y[n]:g} at {checks.short(X[n].tolist())}")
    units, heights = Units(points, counted), y[first]
    # by a power of two: scaling rounds nothing
    e = int(np.frexp(np.abs(heights).max())[1])
    pair = solve(Task(units, np.ldexp(heights, -e), offset, False))
    f = _of(units, pair, e, X.ndim == 1)
    lam, proof = _proved(np.ldexp(pair.lam, -units.power), offset,
                         lambda lam: interpolates(units, f, lam, heights, offset))
    return Interpolant(f.function if f.inputs == 1 else f, proof.cost, _spread(lam, first, place),
                       proof.gap, proof.certified, f, proof.residual)


def margin(X: ArrayLike, y: ArrayLike, biases: str = "counted", offset: bool = False) -> Widest:
    """Solve argmax min_n y_n f(x_n) over ReLU networks of any width and cost one.

    With biases counted and no offset, the cost is the variation norm of Bach (2017) in which, under
    conditions, gradient flow on wide networks and exponential losses maximises the margin (Chizat,
    Bach 2020).

    Parameters
    ----------
    X : (N,) or (N, d)
        The points. Equal ones must have equal labels.
    y : (N,)
        Labels of two values, the later of which is +1.
    biases : "counted" or "free", default "counted"
        As in `fit`.
    offset : bool, default False
        Whether there is a free o. Free biases imply one.

    Returns
    -------
    Widest

    Raises
    ------
    ValueError, TypeError
        Where two labels are asked for at one point, all labels are the same and the offset is free
        (the margin is then infinite), the data make over 100,000 faces, or an argument is bad.
    ArithmeticError
        Where points of different labels are too near to each other, or of too different sizes.

    References
    ----------
    Chizat, Bach, "Implicit Bias of Gradient Descent for Wide Two-layer Neural Networks Trained with
    the Logistic Loss" (COLT 2020).

    Examples
    --------
    >>> import fastbias as fb
    >>> xor = fb.relu.margin([[0, 0], [1, 1], [0, 1], [1, 0]], [-1, -1, 1, 1])
    >>> print(round(xor.margin, 12), xor.certified)
    0.158918622598 True
    """
    X, counted, offset = _asked(X, biases, offset)
    y, classes = checks.labels("y", y, len(X), where=" for a margin", signs=True)
    points, first, place = _distinct(X)
    clash = np.flatnonzero(y[first][place] != y)
    if clash.size:
        raise ValueError("labels must be the same at equal points of X, got both at "
                         f"{checks.short(X[clash[0]].tolist())}")
    if offset and (y == y[0]).all():
        raise ValueError(f"labels must have two values where the offset is free, as the margin is "
                         f"infinite otherwise, got {y[0]:g} alone")
    units, signs = Units(points, counted), y[first]
    pair = solve(Task(units, signs, offset, True))
    f = _of(units, pair, 0, X.ndim == 1)
    lam, proof = _proved(pair.lam / (np.abs(pair.lam).sum() or 1.0), offset,
                         lambda lam: separates(units, f, np.abs(lam), signs, offset))
    lam = np.abs(lam)
    return Widest(ratio(1.0, proof.cost), f, proof.cost, _spread(lam, first, place), proof.gap,
                  proof.certified, proof.residual, classes,
                  Labelled(X[:, None] if X.ndim == 1 else X, y, counted, offset))


def _proved(lam: np.ndarray, offset: bool,
            proof: Callable[[np.ndarray], Proof]) -> tuple[np.ndarray, Proof]:
    """λ and what it proves: where rounding alone is in the way, of a few lengths the one that
    rounds best.
    """
    tried = []
    for k in range(TRIES):
        other = lam * (1.0 - k * SHORTER)
        other = balanced(other) if offset else other
        tried.append((other, proof(other)))
        if not CERTIFIED < tried[-1][1].gap < NEARLY:
            break
    return min(tried, key=lambda one: one[1].gap)


def _asked(X: ArrayLike, biases: str, offset: bool) -> tuple[np.ndarray, bool, bool]:
    X = checks.array("X", X, "an (N,) or (N, d) array", dims=(1, 2)) + 0.0
    if biases not in BIASES:
        raise ValueError(f"biases must be \"free\" or \"counted\", got {checks.short(biases)}")
    if not checks.flag("offset", offset) and biases == "free":
        raise ValueError("offset must be True where biases are free, which make any offset at no "
                         "cost, got False")
    return X, biases == "counted", offset


def _distinct(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct points (M, d), where each first stands, and which each row is."""
    rows = X[:, None] if X.ndim == 1 else X
    points, first, place = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return np.ascontiguousarray(points), first, place.ravel()


def _spread(lam: np.ndarray, first: np.ndarray, place: np.ndarray) -> np.ndarray:
    """λ of distinct points as λ of all rows: of equal ones the first has it."""
    out = np.zeros(len(place))
    out[first] = lam
    return out


def _of(units: Units, pair: Pair, e: int, flat: bool) -> Network:
    """The network of a pair, whose y was in units of 2^e."""
    a, v = [], []
    for group in pair.groups:
        size = float(np.sqrt(group.u @ group.u))
        b = (group.u / size) @ units.flats[group.flat].basis
        a.append(group.sign * size)
        v.append(b)
    b = np.array(v).reshape(len(a), units.X.shape[1] + 1)
    with np.errstate(over="ignore", under="ignore"):
        weights = np.ldexp(np.array(a), e - units.power)
    if not np.isfinite(weights).all():
        raise ValueError("y must rise and fall between points of X by slopes that fit into "
                         f"float64, got X up to {np.abs(units.X).max():.3g}")
    return Network(weights, b[:, 0] if flat else b[:, :-1], b[:, -1],
                   float(np.ldexp(pair.offset, e)))
