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


def pivoted(G: np.ndarray, h: np.ndarray, free: np.ndarray, rank: int, enough: int | None = None,
            border: np.ndarray | None = None, sizes: np.ndarray | None = None
            ) -> np.ndarray | None:
    """The μ ≥ 0 (k,) with the least ½μᵀGμ − hᵀμ for G ⪰ 0 (k, k), h > 0, or any h whose terms are
    of such ``sizes``; None where it was not found. With a ``border`` F (k, q) it has Fᵀμ = 0, to
    what is ``enough``.

    ``free`` (k,) guesses where μ > 0, ``rank`` is that of G at most. Entries that are negative, or
    whose slope is, change places, all at once while that makes them fewer, else the last of them
    alone, which ends (Júdice, Pires 1994; Murty 1974). After ``enough`` exchanges, if fewer than
    all, what is nearly the answer will do.
    """
    free, sizes = free.copy(), h if sizes is None else sizes
    fewest, patience = len(G) + 1, PATIENCE
    with suppress(foreign.Unsolved):
        most = max(EXCHANGES, min(EACH * len(G), int(WORK / len(G) ** 3)))
        for exchange in range(most):
            on = np.flatnonzero(free)
            mu, wanted = np.zeros(len(G)), h
            if on.size:
                A = G[np.ix_(on, on)]
                A[np.diag_indices(on.size)] += RIDGE * np.trace(A) / on.size
                right = h[on] if border is None else np.column_stack([h[on], border[on]])
                x = foreign.ask("the weights of support vectors", "scipy.linalg.solve", A, right,
                                assume_a="pos")
                if border is None:
                    mu[on] = x
                else:
                    mu[on], beta = _balancing(x, border[on])
                    wanted = h - border @ beta
            lack = wanted - G @ mu
            wrong = (free & (mu < 0)) | (~free & (lack > OFF * sizes))
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
                wrong[entering[np.argsort(-(lack / sizes)[entering])[room:]]] = False
            free ^= wrong
    return None


def _balancing(x: np.ndarray, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """μ and β with Aμ + Fβ = h and Fᵀμ = 0, of x = A⁻¹[h, F]."""
    beta = foreign.ask("the intercept of support vectors", "numpy.linalg.lstsq", F.T @ x[:, 1:],
                       F.T @ x[:, 0], rcond=None)[0]
    return x[:, 0] - x[:, 1:] @ beta, beta
