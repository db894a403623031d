"""Maximum margins, the limits of Section 3, each with a certificate that anybody can recompute.

With z_n = y_n x_n: any w bounds the maximum margin γ = max_{‖w‖ ≤ 1} min_n ⟨w, z_n⟩ from below,
any λ ≥ 0 with Σλ = 1 bounds it from above by ‖Σ λ_n z_n‖⋆ (the dual norm). Where no w separates
there is none (`fastbias.solvers.separability`). With an intercept, z has free columns, (w, b)
bounds from below, and λ from above where it balances (`fastbias.solvers.free`).
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import own
from fastbias.data.rows import ClassRows, Rows
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.norms import Norm
from fastbias.solvers import exact, oracles
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.free import freely, settled
from fastbias.solvers.limit import CERTIFIED, Asked, Limit
from fastbias.solvers.progress import Tell, silent, told
from fastbias.solvers.search import solve
from fastbias.solvers.separability import (
    Labelled,
    Separability,
    few,
    labelled,
    parted,
    separability,
    separate,
    separated,
    separator,
)
from fastbias.solvers.shared import SURE, shared
from fastbias.solvers.uniqueness import uniqueness
from fastbias.solvers.working_set import solve_among_many

__all__ = ["Bounds", "Separability", "begun", "improved", "labelled", "max_margin",
           "separability", "separate", "separator", "widest"]

# margins whose digits are known, where samples were divided and where they were not
FINE, FINEST = 1e-292, 1e-312
MEASURED = 100        # rows, of many, whose dual norms give the unit
EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
LOST = 1e-12          # of a margin, to the rounding of b: more is worth a search
ROUNDED = 1e-9        # weights, relative to the largest, that are rounding
MAXIMUM = "maximum margin"


def max_margin(X: ArrayLike | checks.Sparse, y: ArrayLike, norm: Norm | str = norms.l2, *,
               intercept: bool = False, progress: bool = False) -> Limit:
    """Solve max_{‖w‖ ≤ 1} min_n y_n⟨w, x_n⟩, or of y_n(⟨w, x_n⟩ + b) over b as well, with its
    certificate.

    ℓ2 and quadratic norms by least squares, ℓ1, ℓ∞ and ℓp by interior points (small ones of the
    first two by linear programming), all polished on the support vectors that these find; the
    others by their proximal map or their convex face, in units of the margin itself. Of many rows,
    on those few that decide; what w and λ prove is computed over all.

    Parameters
    ----------
    X : (N, d), or (N, m, n) for predictors that are matrices; or sparse (N, d) of `scipy.sparse`
    y : (N,) labels
        Of two values, sorted, the later one is +1 (one alone must be −1 or +1); three or more,
        sorted, are K classes. With classes, w is (K, d) and the margin of a sample is min_{c ≠ y}
        ⟨w_y − w_c, x⟩.
    norm : Norm or its name, default l2
        Of w; of all its entries, row after row, where w is a matrix.
    intercept : bool, default False
        Whether there is a b, which is in no norm: a number, or with classes (K,), of which only
        differences matter, with margins ⟨w_y − w_c, x⟩ + b_y − b_c.
    progress : bool, default False
        Show a tqdm bar of the rounds in which rows join those that decide, where rows are many.

    Returns
    -------
    Limit
        ``kind`` "direction"; ``w`` of norm 1; ``margin``; ``dual`` λ ≥ 0, Σλ = 1, one for each
        sample (with classes: for each sample and each c ≠ y, samples first); ``duality_gap`` =
        (upper − lower)/upper, recomputed from w and λ alone, the sums without rounding (where
        features lie far apart, those of float64 lose what w and λ prove); ``certified``: it is at
        most 1e-10, else w is the best one known; ``hypotheses`` say whether the maximiser is
        unique, and of which other norms it was found to be the maximum as well; ``support``, and
        ``alpha`` in ℓ2. With an intercept, ``intercept`` b, and λ with
        Σ λ_n y_n = 0 (with classes, as much weight on rows of each as on rows against it), but for
        rounding: the bound is that of the weights next to it that balance exactly, each class's by
        a factor, and what w proves is what it proves together with b as it is rounded.

    Raises
    ------
    ValueError
        Where the data are not separable, all labels are the same and ``intercept=True``, or an
        argument is bad.

    Examples
    --------
    >>> import fastbias as fb
    >>> limit = fb.max_margin([[0.5, 1.5], [1.5, 0.5], [-2, -2]], [1, 1, -1])
    >>> print(limit.w.round(12), round(limit.margin, 12), limit.certified)
    [0.70710678 0.70710678] 1.414213562373 True
    >>> limit = fb.max_margin([[3, 0], [5, 1], [0, 0]], [1, 1, 0], intercept=True)
    >>> print(limit.w, limit.intercept, limit.margin, limit.support, limit.alpha.round(12))
    [1. 0.] -1.5 1.5 [0 2] [0.22222222 0.         0.22222222]
    """
    data = labelled(X, y, intercept=intercept)
    norm = checks.one_of("norm", norm, norms, Norm)
    norm.fits(data.shape)
    demand("norm", norm)
    with told(progress, f"maximum {norm.name} margin") as tell:
        start = separated(data.rows, data.zeros, tell)
        limit = widest(data.rows, data.shape, norm, start, tell)
    others = shared(data.rows, limit)
    limit = replace(limit, classes=data.classes, names=own.names(X))
    if data.centre.any():
        limit = replace(limit, asked=Asked(MAXIMUM, data.rows.shifted(data.centre), norm))
    limit = _as_given(limit, data) if data.rows.free else limit
    # (what a rounded intercept costs is no more than these were proved to without)
    sure = limit.duality_gap <= SURE
    return replace(limit, hypotheses=limit.hypotheses + others) if sure else limit


def _support(rows: Rows, lam: np.ndarray) -> np.ndarray:
    """The samples with weight, in order."""
    heavy = np.flatnonzero(lam > ROUNDED * lam.max(initial=0.0))
    return np.unique(heavy // (rows.K - 1)) if isinstance(rows, ClassRows) else heavy


def _alpha(limit: Limit) -> np.ndarray | None:
    """λ/γ² in ℓ2; None in others, and where that leaves float64."""
    with np.errstate(all="ignore"):
        alpha = limit.dual / limit.margin / limit.margin
    lost = ~np.isfinite(alpha) | ((alpha < TINY) & (limit.dual > 0))
    return alpha if limit.norm is not None and limit.norm.matrix is np.eye and not lost.any() \
        else None


def _as_given(limit: Limit, data: Labelled) -> Limit:
    """The limit of data before they were centred: b may have to be rounded, which w pays for."""
    flat = np.append(limit.w, limit.intercept)
    w, b, off = parted(data, flat)
    found = replace(limit, w=w, intercept=b, margin=limit.margin - off)
    # (of no λ that bounds it a gap is infinite)
    if not limit.duality_gap < 1:
        return found
    upper = limit.margin / (1.0 - limit.duality_gap)
    if off > LOST * limit.margin:
        found = max(found, _beside(found, flat, data), key=lambda limit: limit.margin)
    gap = max(upper - found.margin, 0.0) / upper
    return replace(found, duality_gap=gap, certified=limit.certified and gap <= CERTIFIED,
                   alpha=_alpha(found))


def _beside(limit: Limit, flat: np.ndarray, data: Labelled) -> Limit:
    """A w next to it for which b is nearly in float64, and what they prove of samples as given."""
    rows, norm, bound = data.rows, limit.norm, data.rows.bound
    assert norm is not None
    felt = float(rows.columns @ np.abs(flat))
    # so near that w loses a tenth of what a certificate allows
    w = settled(flat[:bound].reshape(rows.free, -1), flat[bound:], data.centre,
                0.1 * CERTIFIED * limit.margin / felt).ravel()
    near = np.append(w, flat[bound:])
    shaped, b, off = parted(data, near)
    margins = rows.margins(near)
    close = np.flatnonzero(margins <= margins.min() + 2 * off + (near.size + 4) * EPS * felt)
    given = rows.shifted(data.centre).part(close)
    least = float(exact.careful(given.A.T, np.append(w, b)).min())
    return replace(limit, w=shaped, intercept=b, margin=least / norm(w))


def widest(rows: Rows | np.ndarray, shape: tuple[int, ...], norm: Norm,
           start: np.ndarray | Separability, tell: Tell = silent) -> Limit:
    """The w of norm one with the largest least ⟨w, z⟩ over rows z; ``start`` is a `separator`, or
    what is known of it. Entries of w for free columns are the limit's intercept.
    """
    w, lam = (start, None) if isinstance(start, np.ndarray) else (start.w, start.weights)
    assert w is not None
    if not oracles.has_margin(norm):
        raise ValueError(f"norm must have a convex face for its maximum margin, got {norm!r}")
    rows = Rows.of(rows)
    best, power = begun(rows, norm)
    with np.errstate(all="ignore"):
        nearest = improved(best, w, lam, tell)
        margin = float(np.ldexp(best.lower, power))
        # of a smaller one, in these units, entries that underflowed may be a part
        certified = bool(best.gap <= CERTIFIED and best.lower > (FINE if power > 0 else FINEST))
        unique = uniqueness(best, certified, nearest)
    if not 0 < margin < np.inf:
        raise ArithmeticError(f"the maximum {norm.name} margin cannot be found in float64: it is "
                              f"{margin:.1e} there")
    free = np.ldexp(best.w[rows.bound:], power)
    limit = Limit(best.w[:rows.bound].reshape(shape), "direction", f"maximum {norm.name} margin",
                  "linear duality", (unique,), certified, best.gap, best.lam, margin, norm,
                  intercept=free if rows.free > 1 else float(free.sum()),
                  support=_support(rows, best.lam), asked=Asked(MAXIMUM, rows, norm))
    return replace(limit, alpha=_alpha(limit))


def begun(rows: Rows, norm: Norm) -> tuple[Bounds, int]:
    """What is proved of the maximum margin of rows, nothing yet, in units of a power of two."""
    power = _unit(rows, norm)
    best = Bounds(rows.scaled(-power), freely(norm, rows.free))
    # (to divide what is near 1e-308 loses digits)
    if not np.array_equal(best.rows.scaled(power).tops, rows.tops):
        raise ArithmeticError(f"the maximum {norm.name} margin cannot be found in float64: samples "
                              "lie too far apart")
    return best, power


def improved(best: Bounds, w: np.ndarray, lam: np.ndarray | None = None,
             tell: Tell = silent) -> np.ndarray:
    """Solve, from a w that separates, and return the rows that were looked at."""
    if few(best.rows):
        best.offer(w, np.ones(best.rows.count))
        solve(best)
        return np.arange(best.rows.count)
    best.offer(w, np.zeros(best.rows.count) if lam is None else lam)
    return solve_among_many(best, tell)


def _unit(rows: Rows, norm: Norm) -> int:
    """The power of two by which rows are divided, which is exact: so that duals are of size one."""
    power = int(np.frexp(rows.columns[:rows.bound].max())[1])
    longest = np.arange(rows.count) if few(rows) else np.argsort(-rows.tops)[:MEASURED]
    unit = float(np.max(norm.dual(np.ldexp(rows.take(longest)[:, :rows.bound], -power))))
    if not 0 < unit < np.inf:
        raise ArithmeticError(f"the {norm.name} norm of the samples is beyond float64")
    return power + int(np.floor(np.log2(unit)))
