"""Maximum margins, minimum norms and projections where ‖w‖² = wᵀDw: linear equations, once it is
known which rows hold w.
"""
from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from fastbias.proofs.lifting import independent, modular, solve
from fastbias.proofs.wholes import Pair, Whole, binary, ratios, together

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

    def holding(self, lam: np.ndarray, total: Fraction) -> Iterator[Pair]:
        """The solution of the inequalities, from floats λ (N,) that say which of them hold w, and
        what their sum is, nearly.
        """
        top = float(lam.max())
        heavy = [n for n in _heaviest(lam) if lam[n] > LIGHT * top]
        kept = independent(self.whole.residues, heavy)
        # of rows that depend on each other some weights are free to choose: as floats have them
        chosen = {n: total * Fraction(top) * Fraction(round(FINE * lam[n] / top), FINE)
                  for n in heavy if n not in set(kept)}
        for _ in range(ROUNDS):
            found = self._held(kept, chosen) if kept else None
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
        given = self._pull(chosen)
        known, low = together([*self.start, *given])
        start, pull, balance = known[:d], known[d:2 * d], -known[2 * d:][free]
        system = self._of_ones if self.D is None else self._of_matrix
        base, A, right = system(Z, F[:, free], start, pull, balance, whole.goal[rows] * low)
        x = solve(A, right)
        if x is None:
            return None
        top, k, f = np.array(x[0], object), len(rows), len(free)
        offsets, weights = (top[k:], top[:k]) if self.D is None else (top[d:d + f], top[d + f:])
        moved, low = weights @ Z if self.D is None else top[:d], low * x[1]
        w = ratios((base * x[1] + moved).tolist(), low) + [Fraction()] * whole.free
        for j, v in zip(free, offsets.tolist(), strict=False):
            w[d + j] = Fraction(v, low)
        found = whole.weights(rows, weights.tolist(), low * self.unit)
        for n, weight in chosen.items():
            found[n] = weight
        return w, found

    def _of_ones(self, Z: np.ndarray, F: np.ndarray, *known: np.ndarray) -> tuple[np.ndarray, ...]:
        """Where w would be without these rows, and equations for their weights and offsets."""
        start, pull, balance, goal = known
        base = start + pull
        A = np.block([[Z @ Z.T, F], [F.T, _zeros(F.shape[1], F.shape[1])]])
        return base, A, np.concatenate([goal - Z @ base, balance])

    def _of_matrix(self, Z: np.ndarray, F: np.ndarray,
                   *known: np.ndarray) -> tuple[np.ndarray, ...]:
        """The start, and equations for the way from there, offsets, and weights times D's unit."""
        start, pull, balance, goal = known
        assert self.D is not None
        (k, d), f = Z.shape, F.shape[1]
        A = np.block([[self.D, _zeros(d, f), -Z.T], [_zeros(f, d), _zeros(f, f), F.T],
                      [Z, F, _zeros(k, k)]])
        return start, A, np.concatenate([pull * self.unit, balance * self.unit, goal - Z @ start])

    def _pull(self, chosen: dict[int, Fraction]) -> list[Fraction]:
        """What chosen weights make of the rows (D,)."""
        if not chosen:
            return [Fraction()] * self.whole.rows.shape[1]
        units = [v / (1 << int(self.whole.shifts[n])) for n, v in chosen.items()]
        top, low = together(units)
        return ratios((top @ self.whole.rows[list(chosen)]).tolist(), low)


def _heaviest(sizes: np.ndarray) -> list[int]:
    """The largest first."""
    return np.argsort(-sizes, kind="stable").tolist()


def _zeros(n: int, m: int) -> np.ndarray:
    """0 (n, m) of whole numbers."""
    return np.full((n, m), 0, object)
