"""The maximum margin of many rows, of which few decide: a working set that all norms share."""
from __future__ import annotations

from contextlib import suppress
from itertools import count

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Rows
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.free import best_intercept, euclidean, least_of, with_intercept
from fastbias.solvers.oracles import Oracle, oracle
from fastbias.solvers.pivots import pivoted
from fastbias.solvers.programs import Pair
from fastbias.solvers.progress import Tell, silent
from fastbias.solvers.search import SETTLED, solve

__all__ = ["solve_among_many"]

FIRST = 500           # rows in the first working set, at least
START, JOINING = 3, 1    # rows for each feature: in the first working set, and that join it at most
HASTY, HURRIED = 3, 30      # exchanges of weights in each of the first rounds, of at most so many
BLOCK = 2 ** 25       # numbers of these at most, if dense
SQUARE = 5000         # sparse rows of which a square matrix of so many is all that is dense
NEAR = 1.3            # margins, by the least one, of rows that stay in it
ROUNDED = 1e-12       # by which a margin may fall short of the least, relatively


def solve_among_many(best: Bounds, tell: Tell = silent) -> np.ndarray:
    """Solve on the rows of least margin, and add those that this leaves behind, until none is.

    λ is 0 on all others, so that the bounds over all rows are the proof. Returns the set.
    """
    rows, most, quick = best.rows, max(BLOCK // best.rows.size, 1), euclidean(best.norm)
    if _part(best, np.zeros(1, int)).sparse:
        most = max(SQUARE, most)
    margins = rows.margins(best.w)
    # who started us may have stood on support vectors already
    start = JOINING if best.lam.any() else START
    size = min(max(start * rows.size, FIRST), most, rows.count - 1)
    chosen = np.union1d(np.flatnonzero(best.lam), np.argpartition(margins, size)[:size])
    hasty, rotated = True, quick
    last: Pair | None = (best.w, best.lam) if best.lam.any() else None
    for rounds in count():
        # (what is done in a hurry might go round for ever)
        hasty = hasty and rounds < HURRIED
        # (of more rows than features, exchanges go round)
        found = _by_products(best, chosen, hasty) if quick and chosen.size < rows.size else None
        w, lower, part = found or _on_part(best, chosen, rotated, last)
        lam = np.zeros(rows.count)
        lam[chosen] = part
        best.offer(w, lam)
        margins = rows.margins(w)
        behind = np.setdiff1d(np.flatnonzero(margins < (1 - ROUNDED) * lower), chosen)
        last = w, lam
        tell(f"{chosen.size} rows, {behind.size} behind, gap {best.gap:.1e}")
        if best.gap <= SETTLED:
            break
        if behind.size:
            joining = behind[np.argsort(margins[behind])[:min(JOINING * rows.size, most)]]
            # (what holds w is enough of those that were there)
            near = chosen[(part > 0) | (margins[chosen] < NEAR * lower)] if found else chosen
            chosen = np.union1d(near, joining)
        elif found and hasty:
            hasty = False
        elif found:
            quick = False                                      # the last digits …
        elif rotated and chosen.size < rows.size and chosen.size <= most:
            rotated = False                                    # … which factors may have lost
        else:
            break
    best.prove()
    return chosen


def _part(best: Bounds, chosen: np.ndarray) -> Rows:
    """Some rows, dense where those who solve for the norm do not take them sparse."""
    stays = oracle(best.norm) is Oracle.POLYTOPE
    return best.rows.part(chosen) if stays else Rows(best.rows.take(chosen), best.rows.free)


Found = tuple[np.ndarray, float, np.ndarray]


def _on_part(best: Bounds, chosen: np.ndarray, rotated: bool, near: Pair | None) -> Found:
    """w (d,) of the largest least margin over some rows, that margin, and their λ (k,); by the
    factors of their products where they may be ``rotated``, else from a pair that is ``near``.
    """
    rows, norm, lam = best.rows, best.norm, best.lam[chosen]
    lam = lam if lam.any() else np.ones(chosen.size)
    with suppress(foreign.Unsolved):
        # a rotation changes no ℓ2 margin: so many rows need no more coordinates
        if rotated and chosen.size < rows.size:
            L = foreign.ask("factors of the products of samples", "numpy.linalg.cholesky",
                            rows.gram(chosen))
            margins = rows.margins(_bound(rows, best.w))[chosen]
            v = foreign.ask("a separator", "numpy.linalg.solve", L, margins)
            loose = rows.loose(chosen)
            part = Bounds(Rows(np.hstack([L, loose]), rows.free), norm)
            part.offer(np.append(v, best.w[rows.bound:]), lam)
            solve(part)
            return _pulled(best, chosen, part.lam)
    part = Bounds(_part(best, chosen), norm)
    part.offer(best.w, lam)
    solve(part, None if near is None else (near[0], near[1][chosen]))
    return part.w, part.lower, part.lam


def _by_products(best: Bounds, chosen: np.ndarray, hasty: bool) -> Found | None:
    """The same in ℓ2 by the products of rows, which are all that counts; to rounding of these, or
    in a hurry not even to that.
    """
    rows, G, border = best.rows, best.rows.gram(chosen), None
    if rows.free:
        # weights that balance have no part in these products, which keep others from rounding
        border = rows.loose(chosen)
        G += float(np.trace(G)) / len(G) * (border @ border.T)
    scale = np.sqrt(np.diag(G))
    G /= scale
    G /= scale[:, None]
    mu = pivoted(G, 1.0 / scale, best.lam[chosen] > 0, rows.size, HASTY if hasty else None,
                 None if border is None else border / scale[:, None])
    return None if mu is None else _pulled(best, chosen, mu / scale)


def _pulled(best: Bounds, chosen: np.ndarray, mu: np.ndarray) -> Found:
    """What weights of some rows pull at, with the best intercept for these."""
    rows, lam = best.rows, np.zeros(best.rows.count)
    lam[chosen] = mu
    w = _bound(rows, rows.pull(lam))
    w = w / float(np.linalg.norm(w))
    margins = rows.margins(w)[chosen]
    if rows.free:
        own, other = (end[chosen] for end in rows.ends)
        b = best_intercept(least_of(margins, (own, other), best.classes))
        w, margins = with_intercept(rows, w, b), margins + (b[own] - b[other])
    return w, float(margins.min()), mu


def _bound(rows: Rows, w: np.ndarray) -> np.ndarray:
    """The same without its intercept."""
    return np.append(w[:rows.bound], np.zeros(rows.free))
