"""Rows of floats as rows of whole numbers: every float is one times a power of two."""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from fastbias.proofs.lifting import independent, modular, solve

__all__ = ["Pair", "Whole", "binary", "ratios", "solved", "together"]

DIGITS = 53
Pair = tuple[list[Fraction], list[Fraction]]       # w, and a weight for each row


class Whole:
    """Rows z_n of Z (N, D) and goals y_n (N,) of float64 as whole numbers over 2^shifts[n], of
    whose columns so many, the last ones, are free.
    """

    def __init__(self, Z: np.ndarray, goal: np.ndarray, free: int) -> None:
        whole, self.shifts = binary(np.column_stack([Z, goal]))
        self.rows, self.goal, self.free = whole[:, :-1], whole[:, -1], free
        self.bound = Z.shape[1] - free
        self.residues = modular(self.rows)

    def lacking(self, w: Sequence[Fraction]) -> list[int]:
        """The rows with ⟨w, z_n⟩ < y_n, the one that lacks most first."""
        # in whole numbers over one number, which is all that takes time
        top, low = together(w)
        lacks = {n: float(Fraction(v, low << int(self.shifts[n]))) for n, v in
                 enumerate((self.goal * low - self.rows @ top).tolist()) if v > 0}
        return sorted(lacks, key=lacks.__getitem__, reverse=True)

    def weights(self, rows: Sequence[int], top: Sequence[int], low: int) -> list[Fraction]:
        """Weights (N,) of the rows as they were, from those of whole ones; 0 on others."""
        found = [Fraction()] * len(self.rows)
        for n, v in zip(rows, top, strict=True):
            found[n] = Fraction(v << int(self.shifts[n]), low)
        return found

    def meeting(self, rows: list[int], w: list[Fraction]) -> list[Fraction] | None:
        """W (D,) that meets equations exactly: some entries, the largest, are solved for."""
        order = sorted(range(len(w)), key=lambda j: (j < self.bound, -abs(w[j])))
        columns = independent(np.ascontiguousarray(self.residues[rows].T), order)
        if len(columns) != len(rows):
            return None
        rest = [j for j in range(len(w)) if j not in set(columns)]
        top, low = together([w[j] for j in rest])
        right = self.goal[rows] * low - self.rows[rows][:, rest] @ top
        x = solved(self.rows[rows][:, columns], [Fraction(v, low) for v in right.tolist()])
        if x is None:
            return None
        for j, v in zip(columns, ratios(*x), strict=True):
            w[j] = v
        return w

    def balanced(self, rows: list[int], nu: list[Fraction],
                 still: Sequence[int] = ()) -> list[Fraction] | None:
        """Weights (N,) that no free column feels, nor any that is to be still: those of the
        heaviest rows are solved for.
        """
        found = [Fraction()] * len(self.rows)
        unfelt = [*still, *range(self.bound, self.bound + self.free)]
        F, residues = self.rows[rows][:, unfelt], self.residues[rows][:, unfelt]
        heavy = sorted(range(len(rows)), key=lambda i: -abs(nu[i]))
        basis = independent(np.ascontiguousarray(residues), heavy)
        columns = independent(np.ascontiguousarray(residues.T), range(len(unfelt)))
        if basis:
            # in the units of whole rows
            units = [1 << int(self.shifts[n]) for n in rows]
            rest = [i for i in range(len(rows)) if i not in set(basis)]
            top, low = together([nu[i] / units[i] for i in rest])
            x = solved(np.ascontiguousarray(F[basis][:, columns].T),
                       [Fraction(-v, low) for v in (top @ F[rest][:, columns]).tolist()])
            if x is None:
                return None
            for i, v in zip(basis, ratios(*x), strict=True):
                nu[i] = v * units[i]
        for n, v in zip(rows, nu, strict=True):
            found[n] = v
        return found


def binary(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers W (N, D), as objects, and shifts (N,) ≥ 0 with A[n] = W[n]/2^shifts[n], as
    small as can be.
    """
    mantissas, powers = np.frexp(A)
    digits = np.ldexp(mantissas, DIGITS).astype(np.int64)
    # (zeros at the end are no digits: whole numbers stay as small as they are)
    low = np.where(digits != 0, digits & -digits, 1)
    powers = np.where(digits != 0, powers - DIGITS + np.frexp(low.astype(float))[1] - 1, 0)
    shifts = np.maximum(-powers.min(axis=1, initial=0), 0)
    up = (powers + shifts[:, None]).astype(object)
    return np.asarray((digits // low).astype(object) * 2 ** up, object), shifts


def together(values: Sequence[Fraction]) -> tuple[np.ndarray, int]:
    """Fractions as whole numbers, as objects, over one number."""
    low = lcm(*[v.denominator for v in values])
    found = np.empty(len(values), object)
    found[:] = [v.numerator * (low // v.denominator) for v in values]
    return found, low


def solved(A: np.ndarray, right: Sequence[Fraction | int]) -> tuple[list[int], int] | None:
    """The x with A x = right, as whole numbers over one number; None where A is singular."""
    top, low = together([Fraction(v) for v in right])
    found = solve(A, top)
    return None if found is None else (found[0], found[1] * low)


def ratios(top: Sequence[int], low: int) -> list[Fraction]:
    """Whole numbers over one number, as fractions."""
    return [Fraction(v, low) for v in top]
