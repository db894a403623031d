"""Maximum margins, the limits of Section 3, each with a certificate that anybody can recompute.

With z_n = y_n x_n: any w bounds the maximum margin γ = max_{‖w‖ ≤ 1} min_n ⟨w, z_n⟩ from below,
any λ ≥ 0 with Σλ = 1 bounds it from above by ‖Σ λ_n z_n‖⋆ (the dual norm). Where no w separates
there is none (`fastbias.solvers.separability`).
"""
from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.norms import Norm
from fastbias.solvers import exact, narrow, oracles
from fastbias.solvers.faces import NEARBY
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit
from fastbias.solvers.margin_candidates import candidates, units
from fastbias.solvers.programs import Pair, minimiser
from fastbias.solvers.separability import (
    Separability,
    labelled,
    separability,
    separate,
    separator,
)
from fastbias.solvers.support import polished

__all__ = ["Bounds", "Separability", "labelled", "max_margin", "separability", "separate",
           "separator", "settle", "widest"]

EPS = float(np.finfo(float).eps)
SETTLED = 0.1 * CERTIFIED    # sums that are not exact yet may be off by the rest
# relative gaps of the search: what there is no use to go under, and what is as good as that
ROUNDED, EXACT, NEARLY = 1e-12, 1e-13, 1e-14
EXCHANGES = 30        # of support vectors, where exact algebra on those that solvers see fails
NEIGHBOURS = 200      # roundings of w and λ that are tried; far fewer where exact sums are slow
SUMMED = 1e4          # entries of Z from which they are
UNIT = 1e-12          # |‖w‖ − 1| that is not divided away: a division would round w once more
ZERO = 1e-9           # entries of Σ λ z, relative to its terms or to the largest, that are rounding
ONE, WIDE = 1e-6, 1e-4       # widths of the optimal face: it is a point, it is none, else who knows


def max_margin(X: ArrayLike, y: ArrayLike, norm: Norm | str = norms.l2) -> Limit:
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
        most 1e-10, else w is the best one known; ``hypotheses`` say whether the maximiser is
        unique.

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


def widest(Z: np.ndarray, shape: tuple[int, ...], norm: Norm, start: np.ndarray) -> Limit:
    """The w of norm one with the largest least ⟨w, z⟩ over rows z; ``start`` is a `separator`."""
    if not oracles.has_margin(norm):
        raise ValueError(f"norm must have a convex face for its maximum margin, got {norm!r}")
    power = int(np.frexp(np.abs(Z).max())[1])
    Z = np.ldexp(Z, -power)                                  # to divide by a power of two is exact
    unit = float(np.exp2(np.floor(np.log2(np.max(norm.dual(Z))))))
    if not 0 < unit < np.inf:
        raise ArithmeticError(f"the {norm.name} norm of the samples is beyond float64")
    best = Bounds(Z / unit, norm)
    if not best.Z.any(axis=1).all():
        raise ArithmeticError(f"the maximum {norm.name} margin cannot be found in float64: samples "
                              "lie too far apart")
    best.offer(start, np.ones(Z.shape[0]))
    with np.errstate(all="ignore"):
        _search(best)
        best.prove()
        if best.gap > CERTIFIED:
            for pair in narrow.solutions(best.Z, norm, best.lam):
                best.offer(*pair)
        if best.gap > CERTIFIED:
            _round(best)
        margin = float(np.ldexp(best.lower * unit, power))
    if not 0 < margin < np.inf:
        raise ArithmeticError(f"the maximum {norm.name} margin cannot be found in float64: it is "
                              f"{margin:.1e} there")
    certified = best.gap <= CERTIFIED
    return Limit(best.w.reshape(shape), "direction", f"maximum {norm.name} margin",
                 "linear duality", (_unique(best, certified),), certified, best.gap, best.lam,
                 margin, norm)


def _search(best: Bounds) -> None:
    """Settle the margin by what the solvers find; a better one gives them better units."""
    for _ in range(5):
        before = best.lower
        settle(best, candidates(best.Z, best.norm, before))
        if best.gap <= SETTLED or best.lower < 2.0 * before:
            return


def settle(best: Bounds, found: Iterable[Pair]) -> None:
    """Offer what is found, made exact on support vectors, until the gap is small enough."""
    tried = np.inf
    # what is best in the end is made exact where nothing was nearby, and where solvers fail
    for pair in chain(found, [None]):
        best.offer(*(pair or (best.w, best.lam)))
        # proximal steps are many and quick: not each is worth more
        near = tried if best.norm.shrink is None or pair is None else min(0.1 * tried, NEARBY)
        if best.gap < near:
            _sharpen(best)
            tried = best.gap
        if best.gap <= SETTLED:
            return


def _sharpen(best: Bounds) -> None:
    """Offer the exact solutions on the support vectors, as better ones show better ones."""
    for exchanges in (0, 0, 0, EXCHANGES):
        gap = best.gap
        for pair in polished(best.Z, best.norm, best.w, best.lam, exchanges):
            best.offer(*pair)
            if best.gap <= NEARLY:
                return
        # exchanges are slow, and for where the support was wrong: not for the last digit
        stuck = 0.5 * gap < best.gap <= ROUNDED
        if best.gap <= EXACT or (exchanges == 0 and stuck):
            return


def _round(best: Bounds) -> None:
    """Offer float64 neighbours of w and λ: under cancellation rounding alone spoils a proof.

    Neighbours are multiples by numbers near one, rounded. What λ then leaves of entries of Σ λ z
    that ought to vanish (ℓ∞), or to be no larger than the margin (ℓ1), is cancelled by tiny weights
    on samples that are no support vectors: tiny numbers lie densely.
    """
    Z, lam, w = best.Z, best.lam, best.w
    on = lam > 0
    others = Z[~on].T
    for k in range(NEIGHBOURS if Z.size < SUMMED else NEIGHBOURS // 20):
        factor = 1.0 + 8 * k * EPS
        near = lam * factor
        best.offer(w * factor, near)
        if best.norm.ball is not None and others.size:
            left = _left(best, w, exact.sums(Z[on], near[on]))
            size = float(np.abs(left).max())
            with suppress(foreign.Unsolved):
                near[~on] = 0.0 if size == 0 else size * foreign.ask(
                    "the rest of λ", "scipy.optimize.nnls", others, -left / size)[0]
                best.offer(w, near)
        if best.gap <= CERTIFIED:
            return


def _left(best: Bounds, w: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """What Σ λ z has too much of, entry by entry, for w to be a maximum over a polytope."""
    if best.norm.ball == "cube":
        inside = np.abs(w) < (1 - ZERO) * np.abs(w).max()
        return np.where(inside, pull, 0.0)
    allowed = np.where(w != 0, best.lower * np.sign(w), np.clip(pull, -best.lower, best.lower))
    return np.asarray(pull - allowed)


class Bounds:
    """The best w and λ so far, of size one, and the bounds on the margin that each proves alone.

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
        if not np.isfinite(self.upper):
            return np.inf
        return max(0.0, (self.upper - self.lower) / self.upper)

    def prove(self) -> None:
        """From here on sums are exact, and the bounds found so far are found again."""
        self.lower, self.upper, self.exact = -np.inf, np.inf, True
        self.offer(self.w, self.lam)

    def _sums(self, A: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The columns' sums Σ_i A_ij x_i; exact ones are slow, so only where they can be seen."""
        sums = np.asarray(x.astype(np.longdouble) @ A, float)
        terms = float(np.linalg.norm(np.abs(x) @ np.abs(A)))
        error = np.finfo(np.longdouble).eps * len(x) ** 0.5 * terms
        seen = error > NEARLY * np.abs(sums).max()
        return exact.sums(A, x) if self.exact and seen else sums

    def offer(self, w: np.ndarray, lam: np.ndarray) -> None:
        """Keep w where it raises the lower bound, λ where it lowers the upper one."""
        self._offer_w(w)
        lam = np.maximum(lam, 0.0)
        total = float(lam.sum())
        if 0 < total < np.inf:
            lam = lam if abs(total - 1.0) < UNIT else lam / total
            on = lam > 0
            upper = self.norm.dual(self._sums(self.Z[on], lam[on])) / fsum(lam[on])
            if 0 < upper < self.upper:
                self.lam, self.upper = lam, upper

    def _offer_w(self, w: np.ndarray) -> None:
        if not (np.isfinite(w).all() and w.any()):
            return
        length = self.norm(w)
        # whose square or power leaves float64: by a power of two, which rounds nothing
        if not 1e-100 < length < 1e100:
            w = np.ldexp(w, -np.frexp(np.abs(w).max())[1])
            length = self.norm(w)
        if not 0 < length < np.inf:
            return
        w = w if abs(length - 1.0) < UNIT else w / length
        if not np.isfinite(w).all():
            return
        margins = self.Z @ w
        # only rows that can be the least one are summed with care
        near = margins <= margins.min() + UNIT * self.size * np.abs(w).sum()
        lower = float(self._sums(self.Z[near].T, w).min()) / self.norm(w)
        if lower > self.lower:
            self.w, self.lower = w, lower


def _unique(best: Bounds, certified: bool) -> Hypothesis:
    """Whether the maximiser is unique: by convexity, or by the width of the optimal face."""
    statement, strict = "the maximiser is unique", oracles.strictly_convex(best.norm)
    if strict:
        return Hypothesis(statement, True, "the norm is strictly convex")
    if strict is None:
        return Hypothesis(statement, None, "the norm is not known to be strictly convex")
    if not certified:
        return Hypothesis(statement, None, "no maximiser is certified")
    width = _width(*_optimal_face(best))
    if width is None:
        return Hypothesis(statement, None, "a linear program for the width of the optimal face "
                          "failed")
    return Hypothesis(statement, True if width < ONE else False if width > WIDE else None,
                      f"the optimal face is {width:.1e} wide along three random directions")


def _width(A: np.ndarray, b: np.ndarray, bounds: np.ndarray) -> float | None:
    """How wide Ax ≤ b is within bounds: three random directions see almost every face as wide."""
    # rows of size one, and a slack for rounding
    lengths = np.maximum(np.abs(A).max(axis=1, initial=0.0), np.abs(b))
    lengths[lengths == 0] = 1.0
    A, b = A / lengths[:, None], b / lengths + 1e-12
    width, free = 0.0, len(bounds)
    for along in np.random.default_rng(0).normal(size=(3 if free else 0, free)):
        ends = [minimiser(sign * along, A, b, bounds) for sign in (1, -1)]
        if ends[0] is None or ends[1] is None:
            return None
        width = max(width, float(np.abs(ends[0][0] - ends[1][0]).max()))
    return width


def _optimal_face(best: Bounds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, b and bounds with Ax ≤ b on the optimal face of a polytope's norm.

    By complementary slackness with any optimal λ, the face lies where Σ λ z allows it: in ℓ1 only
    its largest entries may be used, with their signs; in ℓ∞ the entries that it pulls at are at ±1.
    Widths are in `units`, so that an entry that the margin feels counts, however small.
    """
    Z, pull = best.Z, best.lam @ best.Z
    s = units(Z, best.lower)
    rows = Z * (s / best.lower)
    if best.norm.ball == "cube":
        free = np.abs(pull) <= ZERO * (best.lam @ np.abs(Z))
        b = Z[:, ~free] @ np.sign(pull[~free]) / best.lower - 1.0
        return -rows[:, free], b, np.column_stack([-1.0 / s[free], 1.0 / s[free]])
    # (the gap says how far λ may be from an optimal one)
    free = np.abs(pull) >= (1 - ZERO - 1e3 * best.gap) * np.abs(pull).max()
    A = np.vstack([-rows[:, free] * np.sign(pull[free]), s[free]])
    b = np.append(np.full(Z.shape[0], -1.0), 1.0)
    return A, b, np.column_stack([np.zeros(free.sum()), 1.0 / s[free]])
