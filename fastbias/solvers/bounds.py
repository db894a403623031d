"""What w and λ prove of a maximum margin, each alone."""
from __future__ import annotations

from math import fsum
from typing import Any

import numpy as np

from fastbias.data.rows import Rows
from fastbias.solvers import exact

__all__ = ["Bounds"]

EPS = float(np.finfo(float).eps)
PLAIN, SURE = 1e-9, 1e-6     # relative errors of entries of plain sums, and of their norm, at most
UNIT = 1e-12          # |‖w‖ − 1| that is not divided away: a division would round w once more


class Bounds:
    """The best w and λ so far, of size one, and the bounds on the margin that each proves alone.

    Sums are taken in extended precision, and once it counts exactly: cancellation could hide what w
    and λ prove.
    """

    # a Norm, or what else has a length and a dual
    def __init__(self, rows: Rows | np.ndarray, norm: Any) -> None:
        self.rows, self.norm = Rows.of(rows), norm
        self.size = float(self.rows.columns.max())
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
        total = float(lam.sum())
        if 0 < total < np.inf:
            lam = lam if abs(total - 1.0) < UNIT else lam / total
            on = np.flatnonzero(lam > 0)
            if self._surely_over(lam, on.size):
                return
            pull = exact.careful(self.rows.part(on).A, lam[on], not self.exact)
            upper = self.norm.dual(pull) / fsum(lam[on])
            if 0 < upper < self.upper:
                self.lam, self.upper = lam, upper

    def _surely_over(self, lam: np.ndarray, terms: int) -> bool:
        """Whether plain sums show, beyond their rounding, that λ lowers nothing: they are quick."""
        pull = self.rows.pull(lam)
        rounding = (terms + 4) * EPS * self.size
        return bool(rounding < PLAIN * np.abs(pull).max()
                    and self.norm.dual(pull) > (1 + SURE) * self.upper * lam.sum())

    def _offer_w(self, w: np.ndarray) -> None:
        if not (np.isfinite(w).all() and w.any()):
            return
        length = self.norm(w)
        # whose square or power leaves float64: by a power of two, which rounds nothing
        if not 1e-100 < length < 1e100:
            w = np.ldexp(w, -np.frexp(np.abs(w).max())[1])
            length = self.norm(w)
        if not 0 < length < np.inf:
            return
        w = w if abs(length - 1.0) < UNIT else w / length
        if not np.isfinite(w).all():
            return
        margins = self.rows.margins(w)
        rounding = max(UNIT, (w.size + 4) * EPS) * self.size * float(np.abs(w).sum())
        if margins.min() + rounding <= self.lower * self.norm(w):
            return
        # only rows that can be the least one are summed with care
        near = np.flatnonzero(margins <= margins.min() + rounding)
        least = exact.careful(self.rows.part(near).A.T, w, not self.exact).min()
        lower = float(least) / self.norm(w)
        if lower > self.lower:
            self.w, self.lower = w, lower
