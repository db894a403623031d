"""Problems that are made to catch an optimiser: small integers, and the same or fewer solutions.

On random sets nearly any rule of choice passes for rational. Here each problem has twins: with the
same solutions, in other rows; and with fewer, among which the first choice still is.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastbias.discovery.choosing import Choice

__all__ = ["Base", "contractions", "drawn", "mutated", "twins"]

ENTRIES = 3           # of X lie within ± so many
UNKNOWNS = 4          # of each problem, so that choices of any two compare


@dataclass(frozen=True, eq=False)
class Base:
    """Integers X (N, d) and a solution w (d,), also of integers."""

    X: np.ndarray
    w: np.ndarray
    direction: bool
    positive: bool

    @property
    def y(self) -> np.ndarray:
        """(N,) targets, or labels."""
        p = self.X @ self.w
        return np.where(p > 0, 1.0, -1.0) if self.direction else p

    @property
    def good(self) -> bool:
        """Whether rows are independent, none is 0, and (of labels) none is undecided."""
        full = np.linalg.matrix_rank(self.X) == len(self.X)
        return bool(full and self.w.any() and (not self.direction or (self.X @ self.w).all()))


def drawn(rng: np.random.Generator, direction: bool, positive: bool) -> Base:
    """A random one, of fewer rows than unknowns."""
    while True:
        d = UNKNOWNS
        N = int(rng.integers(2 if direction else 1, d))
        # w > 0, and some of its solutions for sure, where the domain may be w > 0
        # rows of both signs might leave the domain w > 0 on the way
        low = 1 if positive and not direction else -ENTRIES
        X = rng.integers(low, ENTRIES + 1, (N, d)).astype(float)
        w = rng.integers(1 if positive else -ENTRIES, ENTRIES + 1, d).astype(float)
        base = Base(X, w, direction, positive)
        if base.good:
            return base


def mutated(rng: np.random.Generator, base: Base) -> Base:
    """One with one or two entries changed."""
    while True:
        X, w = base.X.copy(), base.w.copy()
        for _ in range(int(rng.integers(1, 3))):
            i, j = int(rng.integers(len(X) + 1)), int(rng.integers(X.shape[1]))
            change = float(rng.choice([-2, -1, 1, 2]))
            if i < len(X):
                X[i, j] += change
            else:
                w[j] += change
        fresh = Base(X, w, base.direction, base.positive)
        inside = not base.positive or ((w > 0).all() and (base.direction or (X > 0).all()))
        if fresh.good and inside and np.abs(X).max() <= 2 * ENTRIES:
            return fresh


def fitted(X: np.ndarray, y: np.ndarray, direction: bool,
           room: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The problem divided by a power of two, so that ‖X‖₂ ≤ 2⁻ʳᵒᵒᵐ: no solution is another."""
    # a power of two: the data stay what they are, bit for bit
    scale = 2.0 ** -max(0, int(np.ceil(np.log2(np.linalg.norm(X, 2)))) + room)
    # (labels are no numbers to be divided; a direction does not mind)
    return X * scale, y if direction else y * scale


def twins(base: Base, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Problems with the solutions of this one."""
    X, y = base.X, base.y
    n = int(rng.integers(len(X)))
    if base.direction:
        for times in (1, 4):                                 # a sample more often …
            yield np.vstack([X] + [X[n:n + 1]] * times), np.append(y, [y[n]] * times)
        flipped, other = X.copy(), y.copy()                  # … or seen from the other side
        flipped[n], other[n] = -X[n], -y[n]
        yield flipped, other
        return
    # a row in other units, a row added to another, a row twice
    M = np.eye(len(X))
    M[n, n] = 0.25
    yield M @ X, M @ y
    if len(X) > 1:
        M[n, (n + 1) % len(X)] = float(rng.choice([-2, -1, 1, 2]))
        yield M @ X, M @ y
    yield np.vstack([X, X[n:n + 1]]), np.append(y, y[n])


def contractions(base: Base, choice: Choice,
                 rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Problems with some of its solutions, the choice among them: a row more, which that meets."""
    X, y, w = base.X, base.y, choice.w
    # with a row for each unknown there is but one solution, and nothing to choose
    for _ in range(0 if not base.direction and len(X) + 1 >= X.shape[1] else 2):
        for _ in range(100):
            low = 1 if base.positive and not base.direction else -ENTRIES
            row = rng.integers(low, 2 * ENTRIES + 1, X.shape[1]).astype(float)
            if not base.direction:
                if np.linalg.matrix_rank(np.vstack([X, row])) > len(X):
                    yield np.vstack([X, row]), np.append(y, row @ w)
                    break
            # thrice the least margin, of labels: far from being a support vector
            elif row @ w > 3 * (y * (X @ w)).min() > 0:
                yield np.vstack([X, row]), np.append(y, 1.0)
                break
