"""A separator by Newton's method on a piecewise quadratic loss."""
from __future__ import annotations

from contextlib import suppress

import numpy as np

from fastbias.checks import foreign
from fastbias.solvers.programs import Pair

__all__ = ["hinge"]

NEWTONS = 100         # steps; some ten are usual
RIDGE = 1e-13         # of Newton's equations, relative, which may be singular
SETTLED = 1e-9        # a step so near to one, or a slope so near to 0, is it
FAR, HALVINGS = 1e6, 30     # steps that are tried in a line, and times that they are halved


def hinge(S: np.ndarray, w: np.ndarray | None = None) -> Pair | None:
    """The minimiser of ½Σ max(0, 1 − ⟨w, s_n⟩)² and λ_n = max(0, 1 − ⟨w, s_n⟩), or the first w on
    the way that separates, from ``w`` on, by Newton's method, which ends (Mangasarian 2002).

    Where none separates, Σ λ s = 0, to rounding: that is what makes it the minimiser.
    """
    N, d = S.shape
    # only the span of the rows matters
    if d > N:
        Q, R = foreign.ask("the span of the samples", "numpy.linalg.qr", S.T)
        found = hinge(np.ascontiguousarray(R.T), None if w is None else w @ Q)
        return None if found is None else (Q @ found[0], found[1])
    w = np.zeros(d) if w is None else w / float(np.linalg.norm(w))
    margins = S @ w
    with suppress(foreign.Unsolved):
        for _ in range(NEWTONS):
            if margins.min() > 0:
                break
            on = margins < 1
            active, lam = S[on], 1 - margins[on]
            H = active.T @ active
            H[np.diag_indices(d)] += RIDGE * (1.0 + np.trace(H) / d)
            move = foreign.ask("Newton's equations of a separator", "scipy.linalg.solve", H,
                               lam @ active, assume_a="pos")
            along = S @ move
            step = _least_along(margins, along)
            w, margins = w + step * move, margins + step * along
            if np.array_equal(on, margins < 1) and abs(step - 1) < SETTLED:
                break
    lam = np.maximum(0.0, 1 - margins)
    # (weights of rounding alone would make a proof from λ a large one)
    lam[lam < SETTLED * lam.max()] = 0.0
    return w, lam


def _least_along(margins: np.ndarray, along: np.ndarray) -> float:
    """The t ≥ 0 with the least Σ max(0, 1 − m − t a)², which is convex, by halving."""
    def slope(t: float) -> float:
        lack = 1 - margins - t * along
        on = lack > 0
        return -float(lack[on] @ along[on])
    # (where no row changes sides Newton's step is the least one itself)
    if abs(slope(1.0)) <= SETTLED * abs(slope(0.0)):
        return 1.0
    low, high = 0.0, 1.0
    while slope(high) < 0 and high < FAR:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return high
