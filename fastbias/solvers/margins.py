"""Maximum margins, the limits of Section 3, each with a certificate that anybody can recompute.

With z_n = y_n x_n: any w bounds the maximum margin γ = max_{‖w‖ ≤ 1} min_n ⟨w, z_n⟩ from below,
any λ ≥ 0 with Σλ = 1 bounds it from above by ‖Σ λ_n z_n‖⋆ (the dual norm). Where no w separates
there is none (`fastbias.solvers.separability`).
"""
from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.data.rows import Rows
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.norms import Norm
from fastbias.solvers import exact, narrow, oracles
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.limit import CONIC, Limit
from fastbias.solvers.margin_candidates import candidates
from fastbias.solvers.pivots import pivoted
from fastbias.solvers.separability import (
    Separability,
    few,
    labelled,
    separability,
    separate,
    separator,
)
from fastbias.solvers.support import polished
from fastbias.solvers.uniqueness import uniqueness

__all__ = ["CONIC", "Bounds", "Separability", "labelled", "max_margin", "separability",
           "separate", "separator", "widest"]

FIRST = 500           # rows in the first working set, at least
START, JOINING = 3, 1    # rows for each feature: in the first working set, and that join it at most
BLOCK = 2 ** 25       # numbers of these at most
# margins whose digits are known, where samples were divided and where they were not
FINE, FINEST = 1e-292, 1e-312
MEASURED = 100        # rows, of many, whose dual norms give the unit
SLACK = 0.1           # of what is enough: what parts of it are solved to
EPS = float(np.finfo(float).eps)
# relative gaps of the search: what there is no use to go under, and what is as good as that
ROUNDED, EXACT, NEARLY = 1e-12, 1e-13, 1e-14
EXCHANGES = 30        # of support vectors, where exact algebra on those that solvers see fails
NEIGHBOURS = 200      # roundings of w and λ that are tried; far fewer where exact sums are slow
SUMMED = 1e4          # entries of Z from which they are
ZERO = 1e-9           # entries of Σ λ z, relative to its terms or to the largest, that are rounding


def max_margin(X: ArrayLike | checks.Sparse, y: ArrayLike, norm: Norm | str = norms.l2) -> Limit:
    """Solve max_{‖w‖ ≤ 1} min_n y_n⟨w, x_n⟩, with its certificate.

    ℓ2 and quadratic norms by non-negative least squares, ℓ1 and ℓ∞ by linear programming, ℓp by an
    interior-point method, all polished on the support vectors that these find; the others by their
    proximal map or their convex face, in units of the margin itself.

    Parameters
    ----------
    X : (N, d), or (N, m, n) for predictors that are matrices; or sparse (N, d) of `scipy.sparse`
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
    return replace(widest(data.rows, data.shape, norm, separator(data.rows, data.zeros)),
                   classes=data.classes)


def widest(rows: Rows | np.ndarray, shape: tuple[int, ...], norm: Norm,
           start: np.ndarray) -> Limit:
    """The w of norm one with the largest least ⟨w, z⟩ over rows z; ``start`` is a `separator`."""
    if not oracles.has_margin(norm):
        raise ValueError(f"norm must have a convex face for its maximum margin, got {norm!r}")
    rows = Rows.of(rows)
    power = _unit(rows, norm)
    best = Bounds(rows.scaled(-power), norm)
    # (to divide what is near 1e-308 loses digits)
    if not np.array_equal(np.ldexp(best.rows.tops, power), rows.tops):
        raise ArithmeticError(f"the maximum {norm.name} margin cannot be found in float64: samples "
                              "lie too far apart")
    enough = oracles.margin_accuracy(norm)
    with np.errstate(all="ignore"):
        if few(rows):
            best.offer(start, np.ones(rows.count))
            _solve(best, enough)
            nearest = np.arange(rows.count)
        else:
            best.offer(start, np.zeros(rows.count))
            nearest = _among_many(best, enough)
        margin = float(np.ldexp(best.lower, power))
        # of a smaller one, in these units, entries that underflowed may be a part
        certified = bool(best.gap <= enough and best.lower > (FINE if power > 0 else FINEST))
        unique = uniqueness(best, certified, nearest)
    if not 0 < margin < np.inf:
        raise ArithmeticError(f"the maximum {norm.name} margin cannot be found in float64: it is "
                              f"{margin:.1e} there")
    return Limit(best.w.reshape(shape), "direction", f"maximum {norm.name} margin",
                 "linear duality", (unique,), certified, best.gap, best.lam, margin, norm)


def _unit(rows: Rows, norm: Norm) -> int:
    """The power of two by which rows are divided, which is exact: so that duals are of size one."""
    power = int(np.frexp(rows.columns.max())[1])
    longest = np.arange(rows.count) if few(rows) else np.argsort(-rows.tops)[:MEASURED]
    unit = float(np.max(norm.dual(np.ldexp(rows.take(longest), -power))))
    if not 0 < unit < np.inf:
        raise ArithmeticError(f"the {norm.name} norm of the samples is beyond float64")
    return power + int(np.floor(np.log2(unit)))


def _among_many(best: Bounds, enough: float) -> np.ndarray:
    """By a working set: solve on the rows of least margin, and add those that this leaves behind.

    λ is 0 on all others, so that the bounds over all rows are the proof. Returns the set.
    """
    rows, most = best.rows, max(BLOCK // best.rows.size, 1)
    first = np.argsort(rows.margins(best.w))
    chosen = np.sort(first[:min(max(START * rows.size, FIRST), most)])
    while True:
        w, lower, part = _on_part(best, chosen, SLACK * enough)
        lam = np.zeros(rows.count)
        lam[chosen] = part
        best.offer(w, lam)
        margins = rows.margins(w)
        behind = np.setdiff1d(np.flatnonzero(margins < (1 - ROUNDED) * lower), chosen)
        if best.gap <= SLACK * enough or not behind.size:
            break
        joining = behind[np.argsort(margins[behind])[:min(JOINING * rows.size, most)]]
        chosen = np.union1d(chosen, joining)
    best.prove()
    return chosen


def _on_part(best: Bounds, chosen: np.ndarray,
             enough: float) -> tuple[np.ndarray, float, np.ndarray]:
    """w (d,) of the largest least margin over some rows, that margin, and their λ (k,)."""
    rows, norm, lam = best.rows, best.norm, best.lam[chosen]
    if norm.matrix is np.eye:
        with suppress(foreign.Unsolved):
            return _on_products(best, chosen, enough)
    part = Bounds(rows.take(chosen), norm)
    part.offer(best.w, lam if lam.any() else np.ones(chosen.size))
    _solve(part, enough)
    return part.w, part.lower, part.lam


def _on_products(best: Bounds, chosen: np.ndarray,
                 enough: float) -> tuple[np.ndarray, float, np.ndarray]:
    """The same in ℓ2, where products of rows are all that counts."""
    rows, norm, lam = best.rows, best.norm, best.lam[chosen]
    G = rows.gram(chosen)
    # a rotation changes no ℓ2 margin: so many rows need no more coordinates
    rotated = chosen.size < rows.size
    if rotated:
        L = foreign.ask("factors of the products of samples", "numpy.linalg.cholesky", G)
        part, start = Bounds(L, norm), foreign.ask("a separator", "numpy.linalg.solve", L,
                                                   rows.margins(best.w)[chosen])
    else:
        part, start = Bounds(rows.take(chosen), norm), best.w
    part.offer(start, lam if lam.any() else np.ones(chosen.size))
    scale = np.sqrt(np.diag(G))
    mu = pivoted(G / scale / scale[:, None], 1.0 / scale, lam > 0, rows.size)
    if mu is not None:
        mu = mu / scale
        part.offer(mu @ part.Z, mu)
        _sharpen(part)
    _solve(part, enough)
    full = np.zeros(rows.count)
    full[chosen] = part.lam
    w = rows.pull(full) if rotated else part.w
    return w / norm(w), part.lower, part.lam


def _solve(best: Bounds, enough: float) -> None:
    """Offer what solvers find, and what exact arithmetic and rounding make of it."""
    # sums that are not exact yet may be off by the rest
    _search(best, SLACK * enough)
    best.prove()
    if best.gap > enough:
        for pair in narrow.solutions(best.Z, best.norm, best.lam):
            best.offer(*pair)
    if best.gap > enough:
        _round(best, enough)


def _search(best: Bounds, enough: float) -> None:
    """Offer what the solvers find, made exact on support vectors, until the gap is small enough."""
    if best.gap <= enough:
        return
    for _ in range(5):                                       # a better margin gives better units
        before = best.lower
        # the last where solvers fail
        for pair in chain(candidates(best.Z, best.norm, before, best.w), [(best.w, best.lam)]):
            best.offer(*pair)
            _sharpen(best)
            if best.gap <= enough:
                return
        if best.lower < 2.0 * before:
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


def _round(best: Bounds, enough: float) -> None:
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
        if best.gap <= enough:
            return


def _left(best: Bounds, w: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """What Σ λ z has too much of, entry by entry, for w to be a maximum over a polytope."""
    if best.norm.ball == "cube":
        inside = np.abs(w) < (1 - ZERO) * np.abs(w).max()
        return np.where(inside, pull, 0.0)
    allowed = np.where(w != 0, best.lower * np.sign(w), np.clip(pull, -best.lower, best.lower))
    return np.asarray(pull - allowed)
