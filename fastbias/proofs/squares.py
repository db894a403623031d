"""Maximum margins, minimum norms and projections where ‖w‖² = wᵀDw: linear equations, once it is
known which rows hold w.
"""
from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from fastbias.proofs.lifting import independent, modular
from fastbias.proofs.wholes import Pair, Whole, binary, ratios, solved, together

__all__ = ["Square"]

LIGHT = 1e-9          # of the largest weight: rows with less may have none
ROUNDS = 30           # of letting rows in and out, until all is as it must be
FINE = 2 ** 40        # weights that may be chosen are multiples of 1/FINE of the largest


class Square:
    """min (w − w0)ᵀD(w − w0) subject to ⟨w, z_n⟩ ≥ y_n, or = y_n: w but for its free entries, D
    (d, d) of float64 or None for ones, w0 (d,) of float64.
    """

    def __init__(self, whole: Whole, D: np.ndarray | None, start: np.ndarray) -> None:
        self.whole, self.D, self.unit = whole, None, 1
        if D is not None:
            rows, shifts = binary(D)
            self.D = rows * 2 ** (shifts.max() - shifts)[:, None].astype(object)
            self.unit = 1 << int(shifts.max())             # D is this over that
        self.start = [Fraction(v) for v in start.tolist()]

    def equal(self, nu: np.ndarray) -> Iterator[Pair]:
        """The solution where all are equations: independent ones hold w, the heaviest first."""
        found = self._held(independent(self.whole.residues, _heaviest(np.abs(nu))), {})
        if found is not None:
            yield found

    def holding(self, lam: np.ndarray) -> Iterator[Pair]:
        """Solutions of the inequalities, from floats λ (N,) that say which of them hold w."""
        top = float(lam.max())
        heavy = [n for n in _heaviest(lam) if lam[n] > LIGHT * top]
        kept = independent(self.whole.residues, heavy)
        # of rows that depend on each other some weights are free to choose: as floats have them
        chosen = {n: Fraction(top) * Fraction(round(FINE * lam[n] / top), FINE)
                  for n in heavy if n not in set(kept)}
        for _ in range(ROUNDS):
            found = self._held(kept, chosen)
            if found is None:
                return
            w, weights = found
            under = [n for n in kept if weights[n] < 0]
            short = self.whole.lacking(w)
            if not under and not short:
                yield found
                return
            # (one that pulls w away from the others is none that holds it)
            if under:
                kept.remove(min(under, key=lambda n: float(weights[n])))
            else:
                kept = independent(self.whole.residues, [short[0], *kept])
            chosen = {}

    def _held(self, rows: list[int], chosen: dict[int, Fraction]) -> Pair | None:
        """W and weights (N,), where these rows hold it and some others have weights by choice."""
        whole, d = self.whole, self.whole.bound
        Z, F = whole.rows[rows][:, :d], whole.rows[rows][:, d:]
        # (of free columns that depend on each other one is enough)
        free = independent(np.ascontiguousarray(modular(F).T), range(whole.free))
        F, k, f = F[:, free], len(rows), len(free)
        given = self._pull(chosen)
        base = [v + u for v, u in zip(self.start, given, strict=False)] if self.D is None \
            else self.start
        goal = whole.goal[rows] - Z @ np.array(base, object) if any(base) else whole.goal[rows]
        balance = [-given[d + j] for j in free]
        # (of ones D and its inverse need not be written out)
        if self.D is None:
            A = np.block([[Z @ Z.T, F], [F.T, _zeros(f, f)]])
            x = solved(A, [*goal, *balance])
            at = 0
        else:
            A = np.block([[self.D, _zeros(d, f), -Z.T], [_zeros(f, d), _zeros(f, f), F.T],
                          [Z, F, _zeros(k, k)]])
            x = solved(A, [*(v * self.unit for v in given[:d]),
                           *(v * self.unit for v in balance), *goal])
            at = d + f
        if x is None:
            return None
        top, low = x
        weights = whole.weights(rows, top[at:at + k], low * self.unit)
        for n, v in chosen.items():
            weights[n] = Fraction(v)
        moved = np.array(top[:k], object) @ Z if self.D is None else np.array(top[:d], object)
        w = [v + u for v, u in zip(ratios(moved.tolist(), low), base, strict=True)] if any(base) \
            else ratios(moved.tolist(), low)
        offsets = [Fraction()] * whole.free
        for j, b in zip(free, top[k:k + f] if self.D is None else top[d:d + f], strict=True):
            offsets[j] = Fraction(b, low)
        return [*w, *offsets], weights

    def _pull(self, chosen: dict[int, Fraction]) -> list[Fraction]:
        """What chosen weights make of the rows (D,)."""
        given = [Fraction(0)] * self.whole.rows.shape[1]
        if chosen:
            units = [v / (1 << int(self.whole.shifts[n])) for n, v in chosen.items()]
            top, low = together(units)
            given = ratios((top @ self.whole.rows[list(chosen)]).tolist(), low)
        return given


def _heaviest(sizes: np.ndarray) -> list[int]:
    """The largest first."""
    return np.argsort(-sizes, kind="stable").tolist()


def _zeros(n: int, m: int) -> np.ndarray:
    """0 (n, m) of whole numbers."""
    return np.full((n, m), 0, object)
