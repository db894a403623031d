"""The maximum margin of many rows, of which few decide: a working set that all norms share."""
from __future__ import annotations

from contextlib import suppress

import numpy as np

from fastbias.checks import foreign
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.pivots import pivoted
from fastbias.solvers.search import SETTLED, sharpen, solve

__all__ = ["solve_among_many"]

FIRST = 500           # rows in the first working set, at least
START, JOINING = 3, 1    # rows for each feature: in the first working set, and that join it at most
BLOCK = 2 ** 25       # numbers of these at most
ROUNDED = 1e-12       # by which a margin may fall short of the least, relatively


def solve_among_many(best: Bounds) -> np.ndarray:
    """By a working set: solve on the rows of least margin, and add those that this leaves behind.

    λ is 0 on all others, so that the bounds over all rows are the proof. Returns the set.
    """
    rows, most = best.rows, max(BLOCK // best.rows.size, 1)
    first = np.argsort(rows.margins(best.w))
    chosen = np.sort(first[:min(max(START * rows.size, FIRST), most)])
    while True:
        w, lower, part = _on_part(best, chosen)
        lam = np.zeros(rows.count)
        lam[chosen] = part
        best.offer(w, lam)
        margins = rows.margins(w)
        behind = np.setdiff1d(np.flatnonzero(margins < (1 - ROUNDED) * lower), chosen)
        if best.gap <= SETTLED or not behind.size:
            break
        joining = behind[np.argsort(margins[behind])[:min(JOINING * rows.size, most)]]
        chosen = np.union1d(chosen, joining)
    best.prove()
    return chosen


def _on_part(best: Bounds, chosen: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """w (d,) of the largest least margin over some rows, that margin, and their λ (k,)."""
    rows, norm, lam = best.rows, best.norm, best.lam[chosen]
    if norm.matrix is np.eye:
        with suppress(foreign.Unsolved):
            return _on_products(best, chosen)
    part = Bounds(rows.take(chosen), norm)
    part.offer(best.w, lam if lam.any() else np.ones(chosen.size))
    solve(part)
    return part.w, part.lower, part.lam


def _on_products(best: Bounds, chosen: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
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
        sharpen(part)
    solve(part)
    full = np.zeros(rows.count)
    full[chosen] = part.lam
    w = rows.pull(full) if rotated else part.w
    return w / norm(w), part.lower, part.lam
