"""The maximum margin of many rows, of which few decide: a working set that all norms share."""
from __future__ import annotations

from contextlib import suppress

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Rows
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.oracles import Oracle, oracle
from fastbias.solvers.pivots import pivoted
from fastbias.solvers.search import SETTLED, solve

__all__ = ["solve_among_many"]

FIRST = 500           # rows in the first working set, at least
START, JOINING = 3, 1    # rows for each feature: in the first working set, and that join it at most
BLOCK = 2 ** 25       # numbers of these at most, if dense
SQUARE = 5000         # sparse rows of which a square matrix of so many is all that is dense
NEAR, TIED = 1.3, 1 + 1e-6      # margins, by the least one, that stay in it, or are as good as that
ROUNDED = 1e-12       # by which a margin may fall short of the least, relatively


def solve_among_many(best: Bounds) -> np.ndarray:
    """Solve on the rows of least margin, and add those that this leaves behind, until none is.

    λ is 0 on all others, so that the bounds over all rows are the proof. Returns the set.
    """
    rows, most, quick = best.rows, max(BLOCK // best.rows.size, 1), best.norm.matrix is np.eye
    if _part(best, np.zeros(1, int)).sparse:
        most = max(SQUARE, most)
    margins = rows.margins(best.w)
    # who started us may have stood on support vectors already
    size = max(min(max(START * rows.size, FIRST), most), int(_tied(margins).sum()))
    chosen = np.sort(np.argpartition(margins, min(size, rows.count - 1))[:size])
    while True:
        # (of more rows than features, exchanges go round)
        found = _by_products(best, chosen) if quick and chosen.size < rows.size else None
        w, lower, part = found or _on_part(best, chosen)
        lam = np.zeros(rows.count)
        lam[chosen] = part
        best.offer(w, lam)
        margins = rows.margins(w)
        behind = np.setdiff1d(np.flatnonzero(margins < (1 - ROUNDED) * lower), chosen)
        if best.gap <= SETTLED:
            break
        if behind.size:
            joining = behind[np.argsort(margins[behind])[:min(JOINING * rows.size, most)]]
            # (what holds w is enough of those that were there)
            near = chosen[(part > 0) | (margins[chosen] < NEAR * lower)] if quick else chosen
            chosen = np.union1d(near, joining)
        elif quick:
            quick = False                                      # the last digits
        else:
            break
    best.prove()
    return chosen


def _tied(margins: np.ndarray) -> np.ndarray:
    """Whose margins (N,) are the least one, nearly."""
    return np.asarray(margins <= TIED * margins.min())


def _part(best: Bounds, chosen: np.ndarray) -> Rows:
    """Some rows, dense where those who solve for the norm do not take them sparse."""
    stays = oracle(best.norm) is Oracle.POLYTOPE
    return best.rows.part(chosen) if stays else Rows(best.rows.take(chosen))


Found = tuple[np.ndarray, float, np.ndarray]


def _on_part(best: Bounds, chosen: np.ndarray) -> Found:
    """w (d,) of the largest least margin over some rows, that margin, and their λ (k,)."""
    rows, norm, lam = best.rows, best.norm, best.lam[chosen]
    lam = lam if lam.any() else np.ones(chosen.size)
    with suppress(foreign.Unsolved):
        # a rotation changes no ℓ2 margin: so many rows need no more coordinates
        if norm.matrix is np.eye and chosen.size < rows.size:
            L = foreign.ask("factors of the products of samples", "numpy.linalg.cholesky",
                            rows.gram(chosen))
            part = Bounds(L, norm)
            part.offer(foreign.ask("a separator", "numpy.linalg.solve", L,
                                   rows.margins(best.w)[chosen]), lam)
            solve(part)
            return _pulled(rows, chosen, part.lam)
    part = Bounds(_part(best, chosen), norm)
    part.offer(best.w, lam)
    solve(part)
    return part.w, part.lower, part.lam


def _by_products(best: Bounds, chosen: np.ndarray) -> Found | None:
    """The same in ℓ2 by the products of rows, which are all that counts; to rounding of these."""
    G = best.rows.gram(chosen)
    scale = np.sqrt(np.diag(G))
    G /= scale
    G /= scale[:, None]
    guess = best.lam[chosen] > 0
    guess = guess if guess.any() else _tied(best.rows.margins(best.w)[chosen])
    mu = pivoted(G, 1.0 / scale, guess, best.rows.size)
    return None if mu is None else _pulled(best.rows, chosen, mu / scale)


def _pulled(rows: Rows, chosen: np.ndarray, mu: np.ndarray) -> Found:
    lam = np.zeros(rows.count)
    lam[chosen] = mu
    w = rows.pull(lam)
    w = w / float(np.linalg.norm(w))
    return w, float(rows.margins(w)[chosen].min()), mu
