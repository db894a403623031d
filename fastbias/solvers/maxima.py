"""The maximum margins that directions are held against, and what is kept of those of the last
data.
"""
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from fastbias.data.rows import Matrix, with_ones
from fastbias.pieces import norms
from fastbias.pieces.norms import Norm
from fastbias.solvers.margins import Separability, labelled, widest
from fastbias.solvers.progress import Tell
from fastbias.solvers.separability import Labelled, few, separated

__all__ = ["Maxima", "Solved", "solved"]

ROOM = 1 << 24        # numbers that are kept at most between calls: 128 MB
COUNTED = norms.l1, norms.l2, norms.linf     # those that solvers penalise b in


@dataclass(frozen=True, eq=False)
class Maximum:
    """A maximum margin of rows: its size, its duality gap, and what proves it."""

    margin: float
    gap: float
    w: np.ndarray           # (d,), free columns last
    dual: np.ndarray        # (N,)


@dataclass(frozen=True, eq=False)
class Solved:
    """What is known of the maxima of some data, whatever direction is held against them: norms in
    their order, each begun from those before it, so that a call that finds them has the same bits.
    """

    start: Separability
    maxima: dict[str, Maximum] = field(default_factory=dict)
    # margins with b as a weight on ones; empty as long as none were asked for
    counted: dict[str, float] = field(default_factory=dict)


# the digest of the last data, and what is known of them
_LAST: list[tuple[bytes, Solved]] = []


def solved(data: Labelled, norms_of: int, tell: Tell) -> Solved:
    """What is known of these data: what the last call left, where it saw the same, else a start."""
    key = _digest(data)
    for known, kept in list(_LAST):
        if known == key:
            return kept
    fresh = Solved(separated(data.rows, data.zeros, tell))
    roomy = norms_of * (data.rows.count + data.rows.size) <= ROOM
    # (in one go, as other threads may look)
    _LAST[:] = [(key, fresh)] if roomy else []
    return fresh


def _digest(data: Labelled) -> bytes:
    """Of all that the maxima of data depend on."""
    rows, told = data.rows, blake2b(digest_size=32)
    A: Any = rows.A
    arrays = [A] if isinstance(A, np.ndarray) else [A.data, A.indices, A.indptr]
    told.update(repr((type(rows).__name__, rows.free, rows.count, A.shape, data.shape,
                      data.zeros)).encode())
    for array in (*arrays, rows.y, data.centre):
        whole = np.ascontiguousarray(array)
        told.update(f"{whole.dtype}{whole.shape}".encode() + whole.tobytes())
    return told.digest()


class Maxima:
    """What fraction of a norm's maximum margin over rows z the direction w has."""

    def __init__(self, data: Labelled, w: np.ndarray, known: Solved, tell: Tell) -> None:
        self.rows, self.shape, self.w, self.solved, self.tell = (data.rows, data.shape, w, known,
                                                                 tell)
        self.bound = w[:self.rows.bound]
        self.margins = self.rows.margins(w)
        self.least = float(self.margins.min())
        self.known: dict[float, Separability] = {}

    def listed(self, norm: Norm, x: float) -> Maximum:
        """The maximum of an ℓp with 1/p = x, or of one that is something like it; kept."""
        kept = self.solved.maxima.get(norm.name)
        if kept is None:
            kept = self._solve(norm, x)
            self.solved.maxima[norm.name] = kept
        self._begin(norm, x, kept)
        return kept

    def __call__(self, norm: Norm, x: float) -> tuple[float, float]:
        """The fraction, and the duality gap of the maximum, which is not kept: whether it is asked
        for depends on w.
        """
        found = self._solve(norm, x)
        self._begin(norm, x, found)
        return self.fraction(norm, found), found.gap

    def fraction(self, norm: Norm, found: Maximum) -> float:
        """That of a maximum."""
        return self.least / norm(self.bound) / found.margin

    def angle(self, found: Maximum) -> float:
        """Between w and that of a maximum, in degrees, intercepts left out."""
        u, v = (a / np.linalg.norm(a) for a in (self.bound, found.w[:self.rows.bound]))
        return float(np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))))

    def _solve(self, norm: Norm, x: float) -> Maximum:
        self.tell(norm.name)
        found = widest(self.rows, self.shape, norm, self._start(x),
                       lambda text: self.tell(f"{norm.name}: {text}"))
        whole = np.append(found.w, np.zeros(self.rows.free) + found.intercept)
        return Maximum(found.margin, found.duality_gap, whole, found.dual)

    def _begin(self, norm: Norm, x: float, found: Maximum) -> None:
        """Let later ones begin with it."""
        if norm.shape is None:
            self.known[x] = replace(self.solved.start, w=found.w, weights=found.dual)

    def _start(self, x: float) -> Separability:
        """Where to begin: of many rows, with the support vectors of the nearest p that is known."""
        if few(self.rows) or not self.known:
            return self.solved.start
        return self.known[min(self.known, key=lambda other: abs(other - x))]

    def counted(self, X: Matrix, y: Any, b: np.ndarray) -> dict[str, float]:
        """The fractions with b (1,) or (K,), in the units of w, as a weight on a column of ones:
        none where these margins cannot be found in float64.
        """
        with suppress(ArithmeticError):
            if not self.solved.counted:
                self.solved.counted.update(_with_ones(X, y, self.tell))
            # of classes a weight each
            whole = np.hstack([self.bound.reshape(b.size, -1), b[:, None]]).ravel()
            return {norm.name: self.least / norm(whole) / self.solved.counted[norm.name]
                    for norm in COUNTED}
        return {}


def _with_ones(X: Matrix, y: Any, tell: Tell) -> dict[str, float]:
    """The maximum margins of data with a column of ones and no intercept, by norm."""
    X = X.reshape(X.shape[0], -1) if isinstance(X, np.ndarray) else X
    data = labelled(with_ones(X), y)
    start, found = separated(data.rows, data.zeros, tell), {}
    for norm in COUNTED:
        tell(f"{norm.name}, with b as a weight")
        found[norm.name] = widest(data.rows, data.shape, norm, start).margin
    return found
