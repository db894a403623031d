"""Which other norms' maximum margin a direction is as well, where that is cheap to prove."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Rows
from fastbias.pieces import norms
from fastbias.pieces.norms import Norm
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.free import freely
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit

__all__ = ["SURE", "shared"]

NEAR = 1e-9           # by which margins, and entries of w, may differ that are the same
SURE = CERTIFIED / 2  # so that the rounding of an intercept may cost as much
NEARLY = 1e-6         # relative gaps in plain sums that may be none
SIZES = 1e-100, 1e100        # of margins and samples at which no product leaves float64
LARGE = 20_000        # numbers of support vectors from which finding a λ of theirs is not cheap


def shared(rows: Rows, limit: Limit) -> tuple[Hypothesis, ...]:
    """That w does not tell its norm from others, each named and proved to 1e-10; empty where no
    proof was found, which proves nothing.

    A w is the maximum margin in any norm in which some λ says so: its own one may, and so may one
    of the support vectors that pulls at w as the norm wants. These are sought of ℓ1, ℓ2 and ℓ∞.
    """
    low, high = SIZES
    if not (limit.certified and low < limit.margin and rows.columns.max() < high) \
            or limit.norm is None:
        return ()
    others: list[Norm] = [norms.l1, norms.l2, norms.linf]
    if limit.w.ndim == 2:
        others += [norms.spectral(*limit.w.shape), norms.nuclear(*limit.w.shape)]
    w = np.append(limit.w, np.zeros(rows.free) + limit.intercept)
    with np.errstate(all="ignore"):
        weights = [limit.dual, *_weights(rows, w, limit.dual)]
        same = [norm.name for norm in others if norm.name != limit.norm.name
                and _proved(rows, norm, w, weights)]
    if not same:
        return ()
    return (Hypothesis("the direction is of this norm alone", False, "it is the maximum margin in "
                       f"{', '.join(same)} as well, each by a λ of its own"),)


def _proved(rows: Rows, norm: Norm, w: np.ndarray, weights: list[np.ndarray]) -> bool:
    """Whether one of the λ proves w, without rounding; those that do not nearly are not tried."""
    gauge = freely(norm, rows.free)
    lower = float(rows.margins(w).min()) / gauge(w)
    near = [lam for lam in weights
            if gauge.dual(rows.pull(lam)) <= (1 + NEARLY) * lower * float(lam.sum())]
    best = Bounds(rows, gauge)
    best.exact = True
    for lam in near:
        best.offer(w, lam)
    return best.gap <= SURE


def _weights(rows: Rows, w: np.ndarray, dual: np.ndarray) -> list[np.ndarray]:
    """Weights of support vectors that would prove w in ℓ2, ℓ1 and ℓ∞; what least squares leave of
    that is not looked at.
    """
    margins, size, found = rows.margins(w), float(np.abs(w[:rows.bound]).max()), []
    on = np.flatnonzero((margins <= (1 + NEAR) * margins.min()) | (dual > 0))
    if on.size * w.size > LARGE:
        return []
    S = rows.take(on)
    for A, b in _equations(S.T / np.abs(S).max(), w / size, rows.bound):
        with suppress(foreign.Unsolved):
            lam = np.zeros(rows.count)
            lam[on] = foreign.ask("weights that prove a margin in another norm",
                                  "scipy.optimize.nnls", A, b)[0][:on.size]
            found.append(lam)
    return found


def _equations(P: np.ndarray, v: np.ndarray, bound: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A, b of the equations of μ, slack ≥ 0 that say that the pull Pμ is one for which v (d,), of
    size one, is longest in ℓ2, ℓ1 and ℓ∞; entries from ``bound`` on are free, and not pulled at.
    """
    inside = np.arange(v.size) < bound
    zero, top = inside & (np.abs(v) <= NEAR), inside & (np.abs(v) >= 1 - NEAR)
    signs = np.where(inside, np.sign(v), 0.0)
    yield P, np.where(inside, v, 0.0)
    # the sign of v, and where v is 0 anything from −1 to 1
    some, n = P[zero], int(zero.sum())
    one, none = np.eye(n), np.zeros((n, n))
    yield (np.block([[P[~zero], np.zeros((v.size - n, 2 * n))], [some, one, none],
                     [-some, none, one]]), np.append(signs[~zero], np.ones(2 * n)))
    # nothing but where |v| is largest, there of its sign, and not nothing in all
    ends = -np.diag(signs)[:, top]
    yield (np.vstack([np.hstack([P, ends]), np.append(np.ones(P.shape[1]), np.zeros(top.sum()))]),
           np.append(np.zeros(v.size), 1.0))
