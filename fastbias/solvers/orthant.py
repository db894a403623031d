"""The maximum margin over w ≥ 0 with Σw ≤ 1: the value of the game whose rows are the samples.

Any w ≥ 0 bounds it from below by min ⟨w, z_n⟩/Σw, any λ ≥ 0 with Σλ = 1 from above by the largest
entry of Σ λ_n z_n. Some w ≥ 0 separates the rows z exactly if some w separates them and the axes.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Rows
from fastbias.pieces import norms
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit
from fastbias.solvers.margins import Separability, separate
from fastbias.solvers.programs import Pair, minimiser, units

__all__ = ["Simplex", "separate_inside", "widest_inside"]

LIGHT = (1e-7, 1e-9, 1e-5)    # weights and prices, relative to the largest, that count as 0
ALONE = 1e-9                  # of singular values, likewise


class Simplex:
    """The length Σw of w ≥ 0, infinite elsewhere, and its dual, the largest entry of g."""

    def __call__(self, w: np.ndarray) -> float:
        """Σw, where w ≥ 0."""
        return float(w.sum()) if (w >= 0).all() else float("inf")

    def dual(self, g: np.ndarray) -> float:
        """Max ⟨w, g⟩ over w ≥ 0 with Σw = 1."""
        return float(np.max(g))


def separate_inside(Z: np.ndarray) -> Separability:
    """Whether some w > 0 has Zw > 0, decided without rounding; ``dual`` (N,) is a λ ≥ 0, Σλ = 1,
    with Σ λ z ≤ 0 where none has.
    """
    size = float(np.abs(Z).max()) or 1.0
    told = separate(Rows(np.vstack([Z, np.exp2(np.floor(np.log2(size))) * np.eye(Z.shape[1])])))
    if told.dual is None:
        return told
    lam = told.dual[:len(Z)]
    # no weight on the axes alone adds up to 0, so that some of it is on rows
    return replace(told, w=None, dual=lam / lam.sum())


def widest_inside(Z: np.ndarray, shape: tuple[int, ...], w: np.ndarray) -> Limit:
    """The w ≥ 0 of Σw = 1 with the largest least ⟨w, z⟩ over rows z (N, d); ``w`` separates them
    inside.
    """
    power = int(np.frexp(np.abs(Z).max())[1])
    rows = np.ldexp(Z, -power)
    best = Bounds(Rows(rows), Simplex())
    with np.errstate(all="ignore"):
        best.offer(np.maximum(w, 0.0), np.ones(len(rows)))
        for pair in _found(rows, best):
            best.offer(np.maximum(pair[0], 0.0), pair[1])
        if best.gap > CERTIFIED:
            best.prove()
    margin = float(np.ldexp(best.lower, power))
    return Limit(best.w.reshape(shape), "direction", "maximum margin over w ≥ 0, Σw ≤ 1",
                 "linear duality", (_alone(rows, best),), best.gap <= CERTIFIED, best.gap,
                 best.lam, margin, norms.l1,
                 support=np.flatnonzero(best.lam > 1e-9 * best.lam.max()))


def _found(Z: np.ndarray, best: Bounds) -> Iterator[Pair]:
    """Solutions by linear programming, in better and better units, each made exact on its basis."""
    for _ in range(2):
        s = units(Z, best.lower)
        found = minimiser(s / s.max(), -Z * (s / best.lower), -np.ones(len(Z)),
                          [(0, None)] * Z.shape[1])
        if found is None:
            return
        w, lam = found[0] * s, found[1]
        yield w, lam
        for cut in LIGHT:
            with suppress(foreign.Unsolved):
                yield from _exact(Z, w, lam, cut)


def _exact(Z: np.ndarray, w: np.ndarray, lam: np.ndarray, cut: float) -> Iterator[Pair]:
    """The solution if these rows are tight, and these entries alone positive."""
    rows, columns = lam > cut * lam.max(), w > cut * w.max()
    S = Z[np.ix_(rows, columns)]
    one = "the equations of a vertex"
    v, mu = np.zeros_like(w), np.zeros_like(lam)
    v[columns] = foreign.ask(one, "numpy.linalg.lstsq", S, np.ones(len(S)), rcond=None)[0]
    mu[rows] = foreign.ask(one, "numpy.linalg.lstsq", S.T, np.ones(S.shape[1]), rcond=None)[0]
    yield v, mu
    yield v, lam
    yield w, mu


def _alone(Z: np.ndarray, best: Bounds) -> Hypothesis:
    """Whether the maximiser is proved to be the only one: rows with weight hold it, and entries of
    a price are 0.
    """
    statement = "the maximiser is unique"
    price = best.upper - Z.T @ best.lam
    tight, open_ = best.lam > ALONE * best.lam.max(), price <= ALONE * best.upper
    if best.gap > CERTIFIED or not open_.any():
        return Hypothesis(statement, None, "the margin is not certified")
    S = Z[np.ix_(tight, open_)]
    sizes = np.abs(S).max(axis=0)
    if len(S) < S.shape[1] or not (sizes > 0).all():
        return Hypothesis(statement, None, f"{S.shape[1]} entries may be positive, and {len(S)} "
                                           "rows with weight hold them")
    values = np.linalg.svd(S / sizes, compute_uv=False)
    alone = bool(values[-1] > ALONE * values[0])
    return Hypothesis(statement, True if alone else None,
                      f"the rows with weight hold its {S.shape[1]} entries that may be positive: "
                      f"singular values {values[-1]:.1e} to {values[0]:.1e}")
