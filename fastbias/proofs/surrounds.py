"""Weights λ ≥ 0 with Σ λ_n z_n = 0 exactly, from floats that nearly do it."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import numpy as np

from fastbias.proofs.lifting import independent
from fastbias.proofs.wholes import Whole, ratios, solved, together
from fastbias.solvers import exact

__all__ = ["balanced", "surrounding"]

LIGHT = 1e-9          # of the largest weight: rows with less need none
FINE = 2 ** 40        # weights that are free to choose are multiples of 1/FINE


def balanced(whole: Whole, lam: np.ndarray, light: float) -> list[Fraction] | None:
    """Weights (N,) of sum 1 next to λ with Σ λ z = 0, on rows with more than so much of the largest
    weight; None where there are none. Some may be under 0.

    Those of rows that others depend on are solved for, the rest are as they were.
    """
    top = float(lam.max())
    heavy = [n for n in np.argsort(-lam, kind="stable").tolist() if lam[n] > light * top]
    # in the units of whole rows
    shifts = whole.shifts.astype(float)
    near = np.ldexp(lam / top, -(shifts - shifts[heavy].max()).astype(int))
    basis = independent(whole.residues, sorted(heavy, key=lambda n: -near[n]))
    rest = [n for n in heavy if n not in set(basis)]
    columns = independent(np.ascontiguousarray(whole.residues[basis].T),
                          range(whole.rows.shape[1]))
    # independent rows balance in no way
    if not rest or len(columns) != len(basis):
        return None
    # (of one row alone the weight is a unit)
    given = [Fraction(1)] if len(rest) == 1 else [
        Fraction(max(1, round(FINE * near[n] / near[heavy].max())), FINE) for n in rest]
    units, low = together(given)
    pull = units @ whole.rows[rest]
    if basis:
        x = solved(np.ascontiguousarray(whole.rows[basis][:, columns].T),
                   [Fraction(-v, low) for v in pull[columns].tolist()])
        if x is None:
            return None
        given = [*ratios(*x), *given]
    top_, low = together(given)
    found = whole.weights([*basis, *rest], top_.tolist(), low)
    total = sum(found)
    return [v / total for v in found] if total > 0 else None


def surrounding(Z: np.ndarray, whole: Whole, lam: np.ndarray) -> Iterator[list[Fraction]]:
    """Weights that balance, from floats; then those that exact arithmetic has."""
    for light in (LIGHT, 1e-6, 0.0):
        found = balanced(whole, lam, light)
        if found is not None and min(found) >= 0:
            yield found
    with suppress(ArithmeticError):                          # too large for that
        w, _, weights = exact.decide(exact.Scaled(Z), np.argsort(-lam)[:np.count_nonzero(lam)])
        if w is None:
            yield [weights.get(n, Fraction()) for n in range(len(Z))]
