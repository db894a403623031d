"""A maximum margin of so few rows that solvers may see all of them, brought to a certificate."""
from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import chain

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Matrix
from fastbias.solvers import exact, narrow
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.faces import NEARBY
from fastbias.solvers.limit import CERTIFIED
from fastbias.solvers.margin_candidates import candidates
from fastbias.solvers.oracles import Oracle, oracle
from fastbias.solvers.programs import Pair
from fastbias.solvers.separability import few
from fastbias.solvers.support import polished

__all__ = ["SETTLED", "settle", "solve"]

EPS = float(np.finfo(float).eps)
SETTLED = 0.1 * CERTIFIED    # sums that are not exact yet may be off by the rest
# relative gaps of the search: what there is no use to go under, and what is as good as that
ROUNDED, EXACT, NEARLY = 1e-12, 1e-13, 1e-14
BEHIND = 1e-9         # by which margins may differ from those of support vectors, relatively
EXCHANGES = 30        # of support vectors, where exact algebra on those that solvers see fails
NEIGHBOURS = 200      # roundings of w and λ that are tried; far fewer where exact sums are slow
SUMMED = 1e4          # entries of Z from which they are
ZERO = 1e-9           # entries of Σ λ z, relative to its terms or to the largest, that are rounding


def solve(best: Bounds, near: Pair | None = None) -> None:
    """Offer what solvers find, and what exact arithmetic and rounding make of it.

    Where the answer is ``near`` a pair, that of the same rows but a few, they begin with it.
    """
    if near is not None:
        _exchange(best, near)
    _search(best, near)
    best.prove()
    # what is left sees all rows dense
    if best.gap > CERTIFIED and best.rows.sparse and not few(best.rows):
        return
    if best.gap > CERTIFIED:
        for pair in narrow.solutions(best.Z, best.norm, best.lam):
            best.offer(*pair)
    if best.gap > CERTIFIED:
        _round(best)


def _rows(best: Bounds) -> Matrix:
    """All rows, dense where those who solve for the norm do not take them sparse."""
    return best.rows.matrix() if oracle(best.norm) is Oracle.POLYTOPE else best.Z


def _exchange(best: Bounds, near: Pair) -> None:
    """Offer the exact solutions on the support vectors of an answer nearby, and on those that these
    put in their place, where a norm's exchanges are quick.
    """
    if oracle(best.norm) not in (Oracle.POWER, Oracle.QUADRATIC):
        return
    (w, lam), margins = near, best.rows.margins(near[0])
    size, upper = float(lam @ margins), float(best.norm.dual(best.rows.pull(lam)))
    # the answer of fewer rows, that is, and in this norm; one at a time, for more would not end
    same = abs(size - upper * best.norm(w)) <= BEHIND * size
    if not same or (margins < (1 - BEHIND) * size / lam.sum()).sum() > EXCHANGES:
        return
    _offer(best, polished(best.Z, best.norm, *near, EXCHANGES), EXACT)


def _search(best: Bounds, near: Pair | None) -> None:
    """Settle the margin by what the solvers find; a better one gives them better units."""
    if best.gap <= SETTLED:
        return
    for _ in range(5):
        before = best.lower
        settle(best, candidates(_rows(best), best.norm, before, best.w, near))
        if best.gap <= SETTLED or best.lower < 2.0 * before:
            return


def settle(best: Bounds, found: Iterable[Pair]) -> None:
    """Offer what is found, made exact on support vectors, until the gap is small enough."""
    tried = np.inf
    # what is best in the end is made exact where nothing was nearby, and where solvers fail
    for pair in chain(found, [None]):
        best.offer(*(pair or (best.w, best.lam)))
        # proximal steps are many and quick: not each is worth more, and not as much
        steps = best.norm.shrink is not None and pair is not None
        if best.gap < (min(0.1 * tried, NEARBY) if steps else tried):
            _sharpen(best, steps)
            tried = best.gap
        if best.gap <= SETTLED:
            return


def _sharpen(best: Bounds, steps: bool) -> None:
    """Offer the exact solutions on the support vectors, as better ones show better ones.

    Of ``steps``, whose λ says who they are, on these alone, and without exchanges.
    """
    if steps and not best.lam.all():
        _offer(best, polished(_rows(best), best.norm, best.w, best.lam, 0, known=True), NEARLY)
        if not EXACT < best.gap <= SETTLED:
            return
    for exchanges in (0, 0, 0, 0 if steps else EXCHANGES):
        gap = best.gap
        _offer(best, polished(_rows(best), best.norm, best.w, best.lam, exchanges), NEARLY)
        # exchanges are slow, and for where the support was wrong: not for the last digit
        stuck = 0.5 * gap < best.gap <= ROUNDED
        if best.gap <= EXACT or (exchanges == 0 and stuck):
            return


def _offer(best: Bounds, pairs: Iterable[Pair], enough: float) -> None:
    """Offer pairs until the gap is small enough."""
    for pair in pairs:
        best.offer(*pair)
        if best.gap <= enough:
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
    tied = np.arange(w.size) < best.bound
    if best.norm.ball == "cube":
        inside = np.abs(w) < (1 - ZERO) * np.abs(w[tied]).max()
        return np.where(inside | ~tied, pull, 0.0)
    allowed = np.where(w != 0, best.lower * np.sign(w), np.clip(pull, -best.lower, best.lower))
    allowed[~tied] = 0.0
    return np.asarray(pull - allowed)
