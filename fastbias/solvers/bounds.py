"""What w and λ prove of a maximum margin, each alone."""
from __future__ import annotations

from math import fsum
from typing import Any

import numpy as np

from fastbias.data.rows import Rows
from fastbias.solvers import exact
from fastbias.solvers.free import Balance, balanced, best_intercept, least_of, with_intercept

__all__ = ["Bounds"]

EPS = float(np.finfo(float).eps)
PLAIN, SURE = 1e-9, 1e-6     # relative errors of entries of plain sums, and of their norm, at most
UNIT = 1e-12          # |‖w‖ − 1| that is not divided away: a division would round w once more


class Bounds:
    """The best w and λ so far, of size one, and the bounds on the margin that each proves alone.

    Sums are taken in extended precision, and once it counts exactly: cancellation could hide what w
    and λ prove. Of rows with free columns w has the best intercept for it, and λ is scaled so that
    it balances to rounding; the upper bound is that of weights next to it which balance exactly.
    """

    # a Norm, or what else has a length and a dual
    def __init__(self, rows: Rows | np.ndarray, norm: Any) -> None:
        self.rows, self.norm = Rows.of(rows), norm
        self.bound = self.rows.bound
        self.size = float(self.rows.columns[:self.bound].max())
        self.w, self.lam = np.zeros(self.rows.size), np.zeros(self.rows.count)
        self.lower, self.upper, self.exact = -np.inf, np.inf, False

    @property
    def Z(self) -> np.ndarray:
        """All rows, dense."""
        return self.rows.dense()

    @property
    def gap(self) -> float:
        """(upper − lower)/upper."""
        if not np.isfinite(self.upper):
            return np.inf
        return max(0.0, (self.upper - self.lower) / self.upper)

    def prove(self) -> None:
        """From here on sums are exact, and the bounds found so far are found again."""
        self.lower, self.upper, self.exact = -np.inf, np.inf, True
        self.offer(self.w, self.lam)

    def offer(self, w: np.ndarray, lam: np.ndarray) -> None:
        """Keep w where it raises the lower bound, λ where it lowers the upper one."""
        self._offer_w(w)
        lam = np.maximum(lam, 0.0)
        if self.rows.free:
            on = np.flatnonzero(lam)
            lam[on] = balanced(self._ends(on), lam[on], self.classes)
        total = float(lam.sum())
        if 0 < total < np.inf:
            lam = lam if abs(total - 1.0) < UNIT else lam / total
            on = np.flatnonzero(lam > 0)
            if self._surely_over(lam, on.size):
                return
            upper = self._over(lam, on)
            if 0 < upper < self.upper:
                self.lam, self.upper = lam, upper

    def _over(self, lam: np.ndarray, on: np.ndarray) -> float:
        """The bound that λ proves; ∞ where it does not balance."""
        part, lam = self.rows.part(on), lam[on]
        pull = exact.careful(part.A, lam, not self.exact)
        if not self.rows.free:
            return float(self.norm.dual(pull) / fsum(lam))
        excess = pull[self.bound:]
        change = Balance(self._ends(on), lam, self.classes).correction(
            np.append(-excess, excess) if self.rows.free == 1 else excess)
        if not (np.abs(change) < 1).all():
            return np.inf
        # so small a part of λ that its own rounding is that of rounding
        pull = pull + part.pull(lam * change)
        return float(self.norm.dual(pull) / (fsum(lam) + fsum(lam * change)))

    @property
    def classes(self) -> int:
        """How many classes rows with free columns are between."""
        return max(self.rows.free, 2)

    def _ends(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, other = self.rows.ends
        return own[which], other[which]

    def _surely_over(self, lam: np.ndarray, terms: int) -> bool:
        """Whether plain sums show, beyond their rounding, that λ lowers nothing: they are quick."""
        pull = self.rows.pull(lam)
        rounding = (terms + 4) * EPS * self.size
        return bool(rounding < PLAIN * np.abs(pull[:self.bound]).max()
                    and self.norm.dual(pull) > (1 + SURE) * self.upper * lam.sum())

    def _offer_w(self, w: np.ndarray) -> None:
        if not (np.isfinite(w).all() and w[:self.bound].any()):
            return
        length = self.norm(w)
        # whose square or power leaves float64: by a power of two, which rounds nothing
        if not 1e-100 < length < 1e100:
            w = np.ldexp(w, -np.frexp(np.abs(w[:self.bound]).max())[1])
            length = self.norm(w)
        if not 0 < length < np.inf:
            return
        w = w if abs(length - 1.0) < UNIT else w / length
        if not np.isfinite(w).all():
            return
        w, margins = self._placed(w) if self.rows.free else (w, self.rows.margins(w))
        rounding = self._rounding(w)
        if margins.min() + rounding <= self.lower * self.norm(w):
            return
        # only rows that can be the least one are summed with care
        near = np.flatnonzero(margins <= margins.min() + rounding)
        least = exact.careful(self.rows.part(near).A.T, w, not self.exact).min()
        lower = float(least) / self.norm(w)
        if lower > self.lower:
            self.w, self.lower = w, lower

    def _rounding(self, w: np.ndarray) -> float:
        """More than what rounding leaves open of plain margins."""
        return float(max(UNIT, (w.size + 4) * EPS) * (self.rows.columns @ np.abs(w)))

    def _placed(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The w of the best intercept, and its margins; where it is no use, only nearly the best.

        All that it takes are the least margins of each class against each other one.
        """
        rows, w = self.rows, np.append(w[:self.bound], np.zeros(self.rows.free))
        plain, (own, other), rounding = rows.margins(w), rows.ends, self._rounding(w)
        table = least_of(plain, rows.ends, self.classes)
        b = best_intercept(table)
        if (plain + (b[own] - b[other])).min() + 3 * rounding > self.lower * self.norm(w):
            near = np.flatnonzero(plain <= table[own, other] + rounding)
            careful = exact.careful(rows.part(near).A.T, w, not self.exact)
            b = best_intercept(least_of(careful, self._ends(near), self.classes))
        return with_intercept(rows, w, b), plain + (b[own] - b[other])
