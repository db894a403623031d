"""What a free intercept b changes: nothing in a norm, an equation for λ, and one search for b.

Rows have free columns (`fastbias.data.rows`), w has b as its last entries, and margins are ⟨w, x⟩ +
b times y, or ⟨w_y − w_c, x⟩ + b_y − b_c. Any (w, b) bounds the maximum from below as before. From
above it is bounded by λ ≥ 0 that balances: Σ λ_n y_n = 0, so that b drops out, or for K classes as
much weight on rows of each class as on rows against it. In float64 no λ balances exactly. But the
weights of classes, each times a number next to one, do; what they prove is what Σ λ z was, and a
correction of the size of its rounding (`Balance.pull`).
"""
from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Rows
from fastbias.pieces.norms import Norm
from fastbias.pieces.norms.proximal import Shrink, Slope

__all__ = ["Balance", "Free", "Gauge", "balanced", "best_intercept", "centre", "euclidean",
           "free_columns", "freely", "least_of", "moved", "settled", "with_intercept"]

EPS = float(np.finfo(float).eps)
LIGHT = 1e-4          # length that solvers give b, in units in which rows have a size of one: what
                      # is exact on the support vectors in the end gives it none
MOST = 2 ** 20        # numbers that are tried for a b that float64 has
SWEEPS, EVEN = 100, 4 * EPS    # of scaling classes until they balance, and how nearly


class Free:
    """A norm of all entries but the last few, which are free: what solvers see of a norm.

    It has the fields of `Norm` that they go by. ``matrix`` has tiny entries where it should have
    zeros, so that it has an inverse.
    """

    def __init__(self, norm: Norm, free: int) -> None:
        self.norm, self.free, self.name = norm, free, norm.name
        self.ball, self.power, self.resized = norm.ball, norm.power, norm.resized
        self.shape = norm.shape
        self.convex = None if norm.convex is None else self._convex
        self.matrix = None if norm.matrix is None else self._matrix
        self.shrink: Shrink | None = None if norm.shrink is None else self._shrink

    def __call__(self, w: np.ndarray) -> Any:
        """‖w‖ but for what is free."""
        return self.norm(w[..., :-self.free])

    def dual(self, g: np.ndarray) -> Any:
        """‖g‖⋆ of what is not free, where what is free balances."""
        return self.norm.dual(g[..., :-self.free])

    def _convex(self, cp: Any, w: Any) -> Any:
        assert self.norm.convex is not None
        return self.norm.convex(cp, w[:-self.free])

    def _matrix(self, d: int) -> np.ndarray:
        assert self.norm.matrix is not None
        D = np.zeros((d, d))
        D[:-self.free, :-self.free] = self.norm.matrix(d - self.free)
        at = np.arange(d - self.free, d)
        D[at, at] = LIGHT ** 2 * np.trace(D) / (d - self.free)
        return D

    def _shrink(self, x: np.ndarray, t: float) -> tuple[np.ndarray, Slope]:
        assert self.norm.shrink is not None
        v, inner = self.norm.shrink(x[:-self.free], t)

        def slope(rows: np.ndarray) -> np.ndarray:
            return np.hstack([inner(rows[:, :-self.free]), rows[:, -self.free:]])
        return np.append(v, x[-self.free:]), slope


Gauge = Norm | Free


def freely(norm: Norm, free: int) -> Gauge:
    """The norm as solvers see it where so many last entries are free."""
    return Free(norm, free) if free else norm


def free_columns(norm: Gauge) -> int:
    """How many of the last entries are free."""
    return norm.free if isinstance(norm, Free) else 0


def euclidean(norm: Gauge) -> bool:
    """Whether it is ℓ2, of what is not free."""
    return (norm.norm if isinstance(norm, Free) else norm).matrix is np.eye


def centre(X: np.ndarray) -> np.ndarray:
    """What may be taken from the columns of X (N, d) without rounding, and is worth it: (d,).

    Of numbers between a and 3a > 0 that is their middle (Sterbenz 1974: a difference of floats
    within a factor of two is exact); of others nothing, which are no further from 0 than apart.
    """
    low, high = X.min(axis=0), X.max(axis=0)
    near, far = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    with np.errstate(over="ignore"):
        close = (np.sign(low) * np.sign(high) > 0) & (far <= 3 * near)
    # (a half first: a sum may overflow)
    return np.where(close, low / 2 + high / 2, 0.0)


def moved(w: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, float]:
    """The intercepts (K,) for samples x + c of those for x and w (K, d): b − ⟨w, c⟩, rounded once;
    and by how much margins differ for that, at most.
    """
    used = np.flatnonzero(c)
    right = [Fraction(v) - sum((Fraction(x) * Fraction(s) for x, s in
                                zip(row[used].tolist(), c[used].tolist(), strict=True)), Fraction())
             for row, v in zip(w, b.tolist(), strict=True)]
    # only their differences matter, where there are several
    middle = sum(right, Fraction()) / len(right) if len(right) > 1 else Fraction()
    found = [float(v - middle) for v in right]
    off = [v - middle - Fraction(x) for v, x in zip(right, found, strict=True)]
    return np.array(found), float(max(off) - min(off) if len(off) > 1 else abs(off[0]))


def settled(w: np.ndarray, b: np.ndarray, c: np.ndarray, room: float) -> np.ndarray:
    """The w (K, d) next to this one, by factors of 1 ± room at most, for which rounding b − ⟨w, c⟩
    takes least, of many that are tried at random.

    Where c is large a step of float64's grid of b is a part of the margin, but those of the grid of
    w times c are others.
    """
    rng, used = np.random.default_rng(0), np.flatnonzero(c)
    tried = max(MOST // w.shape[1], 1)
    found = w.copy()
    for k, row in enumerate(w):
        near = row * (1.0 + room * rng.uniform(-1.0, 1.0, (tried, row.size)))
        high, low = np.full(tried, b[k]), np.zeros(tried)
        for j in used:
            high, low = _less(high, low, near[:, j], c[j])
        rounded = high + low
        best = int(np.argmin(np.abs((high - rounded) + low)))
        found[k] = near[best]
    return found


def _less(high: np.ndarray, low: np.ndarray, x: np.ndarray,
          s: float) -> tuple[np.ndarray, np.ndarray]:
    """High + low − x s in two floats each (Dekker 1971; Knuth's sums)."""
    a, p = 134217729.0 * x, x * s                              # 2^27 + 1
    a = a - (a - x)
    t = 134217729.0 * s
    t = t - (t - s)
    left = (((a * t - p) + a * (s - t)) + (x - a) * t) + (x - a) * (s - t)
    total = high - p
    back = total - high
    return total, low + ((high - (total - back)) - (p + back)) - left


def best_intercept(table: np.ndarray) -> np.ndarray:
    """b (K,) with the largest least t_ac + b_a − b_c, for the least margins t (K, K) of classes a
    against c without it, ∞ where there are none.

    The largest is the least mean of t along a cycle of classes (Karp 1978), and then b are lengths
    of shortest paths. For two it is half of what the one is ahead.
    """
    K = len(table)
    if K == 2:
        return np.array([0.0, (table[0, 1] - table[1, 0]) / 2])
    paths = np.zeros((K + 1, K))
    for k in range(K):
        paths[k + 1] = (paths[k][:, None] + table).min(axis=0)
    with np.errstate(invalid="ignore"):
        means = (paths[K] - paths[:K]) / np.arange(K, 0, -1)[:, None]
    least = float(np.nanmin(np.where(np.isfinite(paths[K]), means.max(axis=0), np.inf)))
    b = np.zeros(K)
    for _ in range(K if np.isfinite(least) else 0):
        b = np.minimum(b, (b[:, None] + table - least).min(axis=0))
    return np.asarray(b - b.mean())


def least_of(margins: np.ndarray, ends: tuple[np.ndarray, np.ndarray], classes: int) -> np.ndarray:
    """The least margin of each class against each other one (K, K), ∞ where there are none."""
    table = np.full((classes, classes), np.inf)
    np.minimum.at(table, ends, margins)
    return table


def with_intercept(rows: Rows, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """W with intercepts b (K,), of two classes as the one number that their difference is."""
    return np.append(w[:rows.bound], b[1] - b[0] if rows.free == 1 else b)


class Balance:
    """Weights λ (k,) of rows between classes, as flows: how much there is from each to each."""

    def __init__(self, ends: tuple[np.ndarray, np.ndarray], lam: np.ndarray, classes: int) -> None:
        self.ends, self.lam, self.classes = ends, lam, classes
        self.flow = np.zeros((classes, classes))
        np.add.at(self.flow, ends, lam)

    def correction(self, excess: np.ndarray) -> np.ndarray:
        """Changes of λ (k,), relative to it, that take away a small excess (K,) of each class.

        One factor for each pair of classes, 1 + φ_a − φ_c: the potentials of currents in a network.
        """
        flow, phi = self.flow + self.flow.T, np.zeros(self.classes)
        laplacian = np.diag(flow.sum(axis=1)) - flow
        # what a first solution leaves is rounding of it, a second one leaves none that counts
        for _ in range(3):
            current = self.flow * (phi[:, None] - phi)
            left = excess + current.sum(axis=1) - current.sum(axis=0)
            phi = phi - foreign.ask("weights that balance", "numpy.linalg.lstsq", laplacian, left,
                                    rcond=EPS)[0]
        return np.asarray(phi[self.ends[0]] - phi[self.ends[1]])


def balanced(ends: tuple[np.ndarray, np.ndarray], lam: np.ndarray, classes: int) -> np.ndarray:
    """λ times factors d_a/d_c for rows of class a against c, so that each class has as much weight
    on its rows as is on rows against it; 0 where that cannot be.

    (Osborne 1960, on matrices, one class at a time.)
    """
    flow = Balance(ends, lam, classes).flow
    if (np.abs(flow.sum(axis=1) - flow.sum(axis=0)) <= EVEN * flow.sum()).all():
        return lam
    if classes == 2:
        up, down = flow[1, 0], flow[0, 1]
        scale = np.array([1.0, np.sqrt(down / up)]) if up > 0 and down > 0 else np.zeros(2)
        return np.asarray(lam * (scale[ends[0]] / scale[ends[1]] if scale.any() else 0.0))
    # what is on no cycle of classes balances with nothing
    graph: Callable[..., Any] = foreign.library("scipy.sparse.csgraph").connected_components
    parts = graph(flow > 0, directed=True, connection="strong")[1]
    within = parts[:, None] == parts
    scale = np.ones(classes)
    for _ in range(SWEEPS):
        now = np.where(within, flow * scale[:, None] / scale, 0.0)
        out, into = now.sum(axis=1), now.sum(axis=0)
        if (np.abs(out - into) <= EVEN * (out + into)).all():
            break
        for a in range(classes):
            out = float(within[a] * flow[a] @ (1.0 / scale)) * scale[a]
            into = float(within[a] * flow[:, a] @ scale) / scale[a]
            if out > 0:
                scale[a] *= np.sqrt(into / out)
    return np.asarray(lam * np.where(within, scale[:, None] / scale, 0.0)[ends])
