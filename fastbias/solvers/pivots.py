"""A quadratic program in non-negative numbers, by exchanging many of them at once."""
from __future__ import annotations

from contextlib import suppress

import numpy as np

from fastbias.checks import foreign

__all__ = ["pivoted"]

PATIENCE = 3          # exchanges of all that are wrong, which may go round, before the last alone
# at most so many, of few rows more: some ten are usual, but rounding may go round
EXCHANGES, EACH, WORK = 60, 20, 2e10
OFF = 1e-11           # by which a slope may be under 0, relative to h
RIDGE = 1e-15         # relative, for rows that depend on each other


def pivoted(G: np.ndarray, h: np.ndarray, free: np.ndarray, rank: int,
            enough: int | None = None) -> np.ndarray | None:
    """The μ ≥ 0 (k,) with the least ½μᵀGμ − hᵀμ for G ⪰ 0 (k, k), h > 0; None where
    it was not found.

    ``free`` (k,) guesses where μ > 0, ``rank`` is that of G at most. Entries that are negative, or
    whose slope is, change places, all at once while that makes them fewer, else the last of them
    alone, which ends (Júdice, Pires 1994; Murty 1974). After ``enough`` exchanges, if fewer than
    all, what is nearly the answer will do.
    """
    free = free.copy()
    fewest, patience = len(G) + 1, PATIENCE
    with suppress(foreign.Unsolved):
        most = max(EXCHANGES, min(EACH * len(G), int(WORK / len(G) ** 3)))
        for exchange in range(most):
            on = np.flatnonzero(free)
            mu = np.zeros(len(G))
            if on.size:
                A = G[np.ix_(on, on)]
                A[np.diag_indices(on.size)] += RIDGE * np.trace(A) / on.size
                mu[on] = foreign.ask("the weights of support vectors", "scipy.linalg.solve", A,
                                     h[on], assume_a="pos")
            wrong = (free & (mu < 0)) | (~free & (G @ mu < (1 - OFF) * h))
            count = int(wrong.sum())
            if count == 0 or exchange == enough:
                return np.maximum(mu, 0.0)
            if count < fewest:
                fewest, patience = count, PATIENCE
            else:
                patience -= 1
            if patience < 0:
                wrong[:np.flatnonzero(wrong)[-1]] = False
            # more rows than that depend on each other: the worst come first
            entering = np.flatnonzero(wrong & ~free)
            room = max(rank - int((free & ~wrong).sum()), 1)
            if entering.size > room:
                lack = (h - G @ mu)[entering] / h[entering]
                wrong[entering[np.argsort(-lack)[room:]]] = False
            free ^= wrong
    return None
