"""Maximum margins and separability, the limits of Section 3, each with a certificate that anybody
can recompute.

With z_n = y_n x_n: any w bounds the maximum margin γ = max_{‖w‖ ≤ 1} min_n ⟨w, z_n⟩ from below, any
λ ≥ 0 with Σλ = 1 bounds it from above by ‖Σ λ_n z_n‖⋆ (the dual norm). Where some such λ has Σ λ_n
z_n = 0, no w separates (Gordan).
"""
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from math import fsum
from typing import Any, NamedTuple

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.norms import Norm
from fastbias.problem import signed, zero_rows
from fastbias.solvers import exact, narrow
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit
from fastbias.solvers.margin_candidates import (
    candidates,
    largest_least,
    minimiser,
    nearest_point,
    polished,
    units,
)

__all__ = ["CONIC", "Bounds", "Separability", "max_margin", "separability", "separate", "separator",
           "widest"]

EPS = float(np.finfo(float).eps)
# the relative gap that counts as certified where least squares and linear programs do not do
CONIC = 1e-8


@dataclass(frozen=True, eq=False)
class Separability:
    """Whether some w has y_n⟨w, x_n⟩ > 0 for every n, with the certificate either way.

    Parameters
    ----------
    separable : bool
    w : (d,), (m, n) or (K, d), or None
        A separator: its margins, without rounding, are over 0.
    dual : (N,), or (N (K − 1),) with K > 2 classes, or None
        λ ≥ 0, Σλ = 1 with Σ λ_n z_n = 0 (Gordan), z_n = y_n x_n.
    residual : float
        Where separable the smallest margin over its rounding bound: where that is under one, exact
        arithmetic shows that the margin is over 0. Else the largest entry of Σ λ_n z_n relative to
        the terms of its sum: what rounding leaves, for it was proved that some λ next to this one,
        if not this one, makes it exactly 0.
    classes : (2,) or (K,) array, or None
        The labels as they were given, sorted: which is −1 and which +1, or the classes in order.
    reason : str
        Which rows of X are all zeros, where some are.
    """

    separable: bool
    w: np.ndarray | None
    dual: np.ndarray | None
    residual: float
    classes: np.ndarray | None = None
    reason: str = ""

    def __bool__(self) -> bool:
        return self.separable

    def __str__(self) -> str:
        if self.w is not None:
            lines = [f"separable, the least margin {self.residual:.1e} times its rounding bound",
                     f"w = {np.array2string(self.w, precision=8, threshold=12)}"]
        else:
            lines = [f"not separable: λ ≥ 0, Σλ = 1 with Σ λ z = 0, residual {self.residual:.1e}"]
        return "\n".join(lines + [self.reason] * bool(self.reason) + checks.mapping(self.classes))


class Labelled(NamedTuple):
    """The rows z with margin ⟨w, z⟩, the shape of w, what labels were called, and what is to be
    said of rows of zeros.
    """

    Z: np.ndarray
    shape: tuple[int, ...]
    classes: np.ndarray
    zeros: str


def labelled(X: Any, y: Any) -> Labelled:
    """Check data and labels: those of two values are ±1, those of K ≥ 3 are classes, with w (K, d)
    (`checks.labels`).
    """
    X = checks.array("X", X, "an (N, d) or (N, m, n)", dims=(2, 3))
    shape = X.shape[1:]
    X = X.reshape(X.shape[0], -1)
    several = len(shape) == 1
    y, classes = checks.labels("y", y, X.shape[0], signs=None if several else True, where=""
                               if several else
                               " for X (N, m, n), as classes want X (N, d)")
    K = classes.size if classes.size > 2 else 1
    return Labelled(signed(X, y, K), (K, *shape) if K > 1 else shape, classes, zero_rows(X))


def separability(X: Any, y: Any) -> Separability:
    """Decide whether (X, y) is linearly separable through the origin, with a certificate either
    way.

    Parameters
    ----------
    X : (N, d) or (N, m, n)
    y : (N,) labels
        Of two values, sorted, the later one is +1 (one alone must be −1 or +1); three or more,
        sorted, are K classes. With classes, w is (K, d), and a sample's margins are ⟨w_y − w_c, x⟩
        for each c ≠ y, samples first.

    Returns
    -------
    Separability
        True in a condition where the data are separable. The units of features and the lengths of
        samples do not matter.

    Raises
    ------
    ArithmeticError
        Where margins are at rounding level and the problem is too large for exact arithmetic, or
        where the data are separable but no w in float64 was found that does it.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.separability([[1, 2], [-1, -1]], [1, -1]).separable
    True
    >>> fb.separability([[1, 2], [-1, -2]], [1, 1]).dual
    array([0.5, 0.5])
    """
    data = labelled(X, y)
    told = separate(data.Z)
    return replace(told, w=None if told.w is None else told.w.reshape(data.shape),
                   classes=data.classes, reason=data.zeros)


def separate(Z: np.ndarray) -> Separability:
    """The same for the rows z themselves.

    Least squares and a linear program propose; rounding bounds, or exact arithmetic, accept.
    """
    zeros = ~Z.any(axis=1)
    # a point at the origin is on the wrong side of any w
    if zeros.any():
        return Separability(False, None, zeros / zeros.sum(), 0.0)
    rows = exact.Rows(Z)
    even = rows.floats / rows.tops
    lengths = np.linalg.norm(even, axis=1)
    even = even / lengths[:, None]
    first: list[np.ndarray] = []
    for found in chain([nearest_point(even, np.ones(len(Z)))], largest_least(even)):
        if found is None:
            continue
        w, lam = rows.original(found[0] / rows.tops), np.maximum(found[1], 0.0) / lengths
        certainty = rows.least(w)
        if certainty > 0:
            return Separability(True, w, None, certainty)
        inside = exact.surrounded(rows.floats, lam) if rows.faithful else None
        if inside is not None:
            return _inseparable(Z, rows.weights(inside))
        heavy = np.flatnonzero(lam)
        first += [heavy[np.argsort(-found[1][heavy])],
                  np.argsort(even @ found[0])[:2 * Z.shape[1] + 2]]
    # features that are nearly dependent, taken apart
    if rows.faithful:
        flat = exact.untangled(rows.floats)
        lengths = np.linalg.norm(flat, axis=1)
        found = nearest_point(flat / lengths[:, None], np.ones(len(Z)))
        inside = None if found is None else exact.surrounded(flat, np.maximum(found[1], 0.0)
                                                             / lengths)
        if inside is not None:
            return _inseparable(Z, rows.weights(inside))
    whole, det, weights = exact.decide(rows, np.concatenate([*first, [0]]))
    if whole is None:
        lam = np.zeros(len(Z))
        lam[list(weights)] = list(map(float, weights.values()))
        return _inseparable(Z, lam)
    for w in rows.neighbours(whole, det):
        certainty = rows.least(w)
        if certainty > 0:
            return Separability(True, w, None, certainty)
    raise ArithmeticError("the samples are separable, but so narrowly that no w in float64 was "
                          "found that separates them")


def _inseparable(Z: np.ndarray, lam: np.ndarray) -> Separability:
    """What was proved, with a rounded λ and what it leaves: that by which least squares can change
    it no more.
    """
    on, best = np.flatnonzero(lam), np.inf
    part = np.ldexp(lam[on], -np.frexp(lam.max())[1])
    wide = Z[on].astype(np.longdouble)                       # where nothing over- or underflows
    for _ in range(3):
        part = part / part.sum()
        terms = part @ np.abs(wide)
        left = np.asarray(np.divide(part @ wide, terms, out=np.zeros_like(terms), where=terms > 0),
                          float)
        residual = float(np.abs(left).max())
        if residual < best:
            best, lam = residual, np.zeros(len(Z))
            lam[on] = part
        if best <= 4 * EPS:
            break
        rows = np.asarray(part[:, None] * wide / np.where(terms > 0, terms, 1.0), float)
        with suppress(foreign.Unsolved):
            off = foreign.ask("the rounding of λ", "numpy.linalg.lstsq", rows.T, left,
                              rcond=1e-10)[0]
            part = part * (1.0 - np.clip(off, -0.5, 0.5))
    return Separability(False, None, lam, best)


def max_margin(X: Any, y: Any, norm: Any = norms.l2) -> Limit:
    """Solve max_{‖w‖ ≤ 1} min_n y_n⟨w, x_n⟩, with its certificate.

    ℓ2 and quadratic norms by non-negative least squares, ℓ1 and ℓ∞ by linear programming, the
    others by their proximal map or their convex face, in units of the margin itself; ℓp and the
    former polished on the support vectors that these find.

    Parameters
    ----------
    X : (N, d), or (N, m, n) for predictors that are matrices
    y : (N,) labels
        Of two values, sorted, the later one is +1 (one alone must be −1 or +1); three or more,
        sorted, are K classes. With classes, w is (K, d) and the margin of a sample is min_{c ≠ y}
        ⟨w_y − w_c, x⟩.
    norm : Norm or its name, default l2
        Of w; of all its entries, row after row, where w is a matrix.

    Returns
    -------
    Limit
        ``kind`` "direction"; ``w`` of norm 1; ``margin``; ``dual`` λ ≥ 0, Σλ = 1, one for each
        sample (with classes: for each sample and each c ≠ y, samples first); ``duality_gap`` =
        (upper − lower)/upper, recomputed from w and λ alone, the sums without rounding (where
        features lie far apart, those of float64 lose what w and λ prove); ``certified``: it is at
        most 1e-10 (1e-8 in norms that are no such program), else w is the best one known;
        ``hypotheses`` say whether the maximiser is unique.

    Raises
    ------
    ValueError
        Where the data are not separable, or an argument is bad.

    Examples
    --------
    >>> import fastbias as fb
    >>> limit = fb.max_margin([[0.5, 1.5], [1.5, 0.5], [-2, -2]], [1, 1, -1])
    >>> print(limit.w.round(12), round(limit.margin, 12), limit.certified)
    [0.70710678 0.70710678] 1.414213562373 True
    """
    data = labelled(X, y)
    norm = checks.one_of("norm", norm, norms, Norm)
    norm.fits(data.shape)
    demand("norm", norm)
    return replace(widest(data.Z, data.shape, norm, separator(data.Z, data.zeros)),
                   classes=data.classes)


def separator(Z: np.ndarray, why: str = "") -> np.ndarray:
    """Some w (d,) with ⟨w, z⟩ > 0 for every row z; ValueError where there is none, with what is
    known of why.
    """
    told = separate(Z)
    if told.w is None:
        why = why or "fb.separability has the certificate that they are not"
        raise ValueError(f"X, y must be linearly separable to have a maximum margin; {why}")
    return told.w


def widest(Z: np.ndarray, shape: tuple[int, ...], norm: Norm, start: np.ndarray) -> Limit:
    """The w of norm one, of the given shape, whose least ⟨w, z⟩ over the rows z is largest;
    ``start`` is a `separator`.
    """
    if norm.matrix is None and norm.ball is None and norm.convex is None and norm.shrink is None:
        raise ValueError(f"norm must have a convex face for its maximum margin, got {norm!r}")
    power = int(np.frexp(np.abs(Z).max())[1])
    Z = np.ldexp(Z, -power)                                  # to divide by a power of two is exact
    unit = float(np.exp2(np.floor(np.log2(np.max(norm.dual(Z))))))
    if not 0 < unit < np.inf:
        raise ArithmeticError(f"the {norm.name} norm of the samples is beyond float64")
    enough = CERTIFIED if norm.matrix is not None or norm.ball is not None else CONIC
    best = Bounds(Z / unit, norm)
    if not best.Z.any(axis=1).all():
        raise ArithmeticError(f"the maximum {norm.name} margin cannot be found in float64: samples "
                              "lie too far apart")
    best.offer(start, np.ones(Z.shape[0]))
    with np.errstate(all="ignore"):
        _search(best, 0.1 * enough)
        best.prove()
        if best.gap > enough:
            for pair in narrow.solutions(best.Z, norm, best.lam):
                best.offer(*pair)
        if best.gap > enough:
            _round(best, enough)
        margin = float(np.ldexp(best.lower * unit, power))
    if not 0 < margin < np.inf:
        raise ArithmeticError(f"the maximum {norm.name} margin cannot be found in float64: it is "
                              f"{margin:.1e} there")
    certified = best.gap <= enough
    return Limit(best.w.reshape(shape), "direction", f"maximum {norm.name} margin",
                 "linear duality", (_unique(best, certified),), certified, best.gap, best.lam,
                 margin, norm)


def _search(best: Bounds, enough: float) -> None:
    """Offer what the solvers find, and make it exact on support vectors, until the gap is small
    enough.
    """
    for _ in range(5):                                       # a better margin gives better units
        before = best.lower
        # the last where solvers fail
        for pair in chain(candidates(best.Z, best.norm, before), [(best.w, best.lam)]):
            best.offer(*pair)
            _sharpen(best)
            if best.gap <= enough:
                return
        if best.lower < 2.0 * before:
            return


def _sharpen(best: Bounds) -> None:
    """Offer the exact solutions on the support vectors; better ones show better ones. Exchanges are
    for where that fails.
    """
    for exchanges in (0, 0, 0, 30):
        gap = best.gap
        for pair in polished(best.Z, best.norm, best.w, best.lam, exchanges):
            best.offer(*pair)
            if best.gap <= 1e-14:
                return
        if best.gap <= 1e-13 or (exchanges == 0 and 0.5 * gap < best.gap <= 1e-12):
            return


def _round(best: Bounds, enough: float) -> None:
    """Offer float64 neighbours of w and λ: where margins are small by cancellation, rounding alone
    spoils what they prove.

    Neighbours are multiples by numbers near one, rounded. What λ then leaves of entries of Σ λ z
    that ought to vanish (ℓ∞), or to be no larger than the margin (ℓ1), is cancelled by tiny weights
    on samples that are no support vectors: tiny numbers lie densely.
    """
    Z, lam, w, ball = best.Z, best.lam, best.w, best.norm.ball
    on = lam > 0
    others = Z[~on].T
    inside = np.abs(w) < (1 - 1e-9) * np.abs(w).max()
    for k in range(200 if Z.size < 1e4 else 10):             # exact sums are slow
        factor = 1.0 + 8 * k * EPS
        near = lam * factor
        best.offer(w * factor, near)
        if ball is not None and others.size:
            pull = exact.sums(Z[on], near[on])
            if ball == "cube":
                left = np.where(inside, pull, 0.0)
            else:
                left = pull - np.where(w != 0, best.lower * np.sign(w),
                                       np.clip(pull, -best.lower, best.lower))
            size = float(np.abs(left).max())
            with suppress(foreign.Unsolved):
                near[~on] = 0.0 if size == 0 else size * foreign.ask(
                    "the rest of λ", "scipy.optimize.nnls", others, -left / size)[0]
                best.offer(w, near)
        if best.gap <= enough:
            return


class Bounds:
    """The best w and λ so far, of size one, and the bounds on the margin that they prove, each from
    its one alone.

    Sums are taken in extended precision, and once it counts exactly: cancellation could hide what w
    and λ prove.
    """

    # a Norm, or what else has a length and a dual
    def __init__(self, Z: np.ndarray, norm: Any) -> None:
        self.Z, self.norm, self.size = Z, norm, float(np.abs(Z).max())
        self.w, self.lam = np.zeros(Z.shape[1]), np.zeros(Z.shape[0])
        self.lower, self.upper, self.exact = -np.inf, np.inf, False

    @property
    def gap(self) -> float:
        """(upper − lower)/upper."""
        return (max(0.0, (self.upper - self.lower) / self.upper) if np.isfinite(self.upper)
                else np.inf)

    def prove(self) -> None:
        """From here on sums are exact, and the bounds found so far are found again."""
        self.lower, self.upper, self.exact = -np.inf, np.inf, True
        self.offer(self.w, self.lam)

    def _sums(self, A: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The columns' sums Σ_i A_ij x_i; exact ones are slow, so only where they can be seen."""
        sums = np.asarray(x.astype(np.longdouble) @ A, float)
        error = np.finfo(np.longdouble).eps * len(x) ** 0.5 * float(np.linalg.norm(np.abs(x)
                                                                                   @ np.abs(A)))
        return exact.sums(A, x) if self.exact and error > 1e-14 * np.abs(sums).max() else sums

    def offer(self, w: np.ndarray, lam: np.ndarray) -> None:
        """Keep w where it raises the lower bound, λ where it lowers the upper one."""
        length = self.norm(w) if np.isfinite(w).all() else 0.0
        if not 1e-100 < length < 1e100 and np.isfinite(w).all() and w.any():
            w = np.ldexp(w, -np.frexp(np.abs(w).max())[1])
            length = self.norm(w)
        if 0 < length < np.inf:
            w = w if abs(length - 1.0) < 1e-12 else w / length
            if not np.isfinite(w).all():
                return
            margins = self.Z @ w
            near = margins <= margins.min() + 1e-12 * self.size * np.abs(w).sum()
            lower = float(self._sums(self.Z[near].T, w).min()) / self.norm(w)
            if lower > self.lower:
                self.w, self.lower = w, lower
        lam = np.maximum(lam, 0.0)
        total = float(lam.sum())
        if 0 < total < np.inf:
            lam = lam if abs(total - 1.0) < 1e-12 else lam / total
            on = lam > 0
            upper = self.norm.dual(self._sums(self.Z[on], lam[on])) / fsum(lam[on])
            if 0 < upper < self.upper:
                self.lam, self.upper = lam, upper


def _unique(best: Bounds, certified: bool) -> Hypothesis:
    """Whether the maximiser is unique: by convexity, or by the width of the optimal face along a
    few directions.

    By complementary slackness with any optimal λ, the face lies where Σ λ z allows it: in ℓ1 only
    its largest entries may be used, with their signs; in ℓ∞ the entries that it pulls at are at ±1.
    Widths are in `units`, so that an entry that the margin feels counts, however small.
    """
    statement, norm, Z = "the maximiser is unique", best.norm, best.Z
    if norm.matrix is not None or norm.power is not None:
        return Hypothesis(statement, True, "the norm is strictly convex")
    if norm.ball is None:
        return Hypothesis(statement, None, "the norm is not known to be strictly convex")
    if not certified:
        return Hypothesis(statement, None, "no maximiser is certified")
    pull = best.lam @ Z
    s = units(Z, best.lower)
    rows = Z * (s / best.lower)
    if norm.ball == "cube":
        free = np.abs(pull) <= 1e-9 * (best.lam @ np.abs(Z))
        A, b = -rows[:, free], Z[:, ~free] @ np.sign(pull[~free]) / best.lower - 1.0
        bounds = np.column_stack([-1.0 / s[free], 1.0 / s[free]])
    else:
        free = np.abs(pull) >= (1 - 1e-9 - 1e3 * best.gap) * np.abs(pull).max()
        A = np.vstack([-rows[:, free] * np.sign(pull[free]), s[free]])
        b, bounds = np.append(np.full(Z.shape[0], -1.0),
                              1.0), np.column_stack([np.zeros(free.sum()), 1.0 / s[free]])
    # rows of size one, and a slack for rounding
    lengths = np.maximum(np.abs(A).max(axis=1, initial=0.0), np.abs(b))
    lengths[lengths == 0] = 1.0
    A, b = A / lengths[:, None], b / lengths + 1e-12
    width = 0.0
    for along in np.random.default_rng(0).normal(size=(3 if free.any() else 0, int(free.sum()))):
        ends = [minimiser(sign * along, A, b, bounds) for sign in (1, -1)]
        if ends[0] is None or ends[1] is None:
            return Hypothesis(statement, None, "a linear program for the width of the optimal face "
                              "failed")
        width = max(width, float(np.abs(ends[0][0] - ends[1][0]).max()))
    return Hypothesis(statement, True if width < 1e-6 else False if width > 1e-4 else None,
                      f"the optimal face is {width:.1e} wide along three random directions")
