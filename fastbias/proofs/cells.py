"""A tree of cells that bounds what any unit sees: Σ c_n [⟨z_n, v⟩]₊ ≤ value ‖v‖.

In a cell in which the signs of ⟨z_n, v⟩ are known for all c_n > 0, the sum is concave, and its
largest value for ‖v‖ = 1 is the least ‖Σ t_n z_n‖ of c_n ≤ t_n ≤ 0 where c_n < 0, t_n ≥ c_n where
the sign is 1, and t_n ≤ 0 where it is −1. Floats say which t_n are at an end of theirs; of the
others the exact least is a projection.
"""
from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import combinations, islice
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import row_lengths
from fastbias.proofs.documents import texts
from fastbias.proofs.matrices import grid
from fastbias.proofs.wholes import binary, ratios, together
from fastbias.solvers.relu.arrangement import flat_basis

__all__ = ["Tight", "Tree"]

MOST = 3000           # cells of one sign: some seconds, and a megabyte
INSIDE = 1e-10        # residuals of cones, of rows of size one: 0
AT_END = 1e-9         # of the largest t: at an end
SURELY = 1e-5         # of what an end is: not at it
ON = 1e-10            # ⟨z, v⟩ of length one: 0
RAYS = 20_000         # that are looked at
HEAVY = 1e4           # weight of what must be 0
ROUNDS = 9            # of making a projection more exact
NEAR = Fraction(1, 10 ** 8)     # by so little is a length over the value by rounding alone

Vector = list[Fraction]


class Tight(NamedTuple):
    """A unit v (D,) that sees a little more than the value: rows on its kink, and rows it sees."""

    v: np.ndarray
    kinks: np.ndarray
    active: np.ndarray


class Tree:
    """The cells for c (N,) over rows Z (N, D), of whose columns so many, the last ones, are free.

    After `grown`, ``names`` holds its branches, by their rows, and dots for leaves; ``leaves`` what
    is said of these, (k, t); ``tight`` the units of leaves that fail by little.
    """

    def __init__(self, Z: np.ndarray, free: int, c: Vector, value: Fraction) -> None:
        self.Z, self.c, self.most, self.d = Z, c, value ** 2, Z.shape[1] - free
        self.exact = [[Fraction(v) for v in row] for row in Z.tolist()]
        self.whole, self.shifts = binary(Z)
        self.level = self.whole * 2 ** (self.shifts.max() - self.shifts)[:, None].astype(object)
        self.near = np.array([float(v) for v in c])
        self.rows = [n for n, v in enumerate(c) if v]
        self.above = [n for n in np.argsort(-self.near).tolist() if c[n] > 0]
        self.unit = Z / row_lengths(Z)[:, None]
        self.sides = _sides(self.unit[self.above])
        # what must be 0 weighs much; from the mean, where nothing cancels
        X, rest = Z[self.rows, :self.d], HEAVY * Z[self.rows, self.d:]
        if free:
            X = X - X.mean(axis=0)
            X = X / (np.abs(X).max() or 1.0)
        self.shown = np.column_stack([X, rest]).T
        self.names: list[str] = []
        self.leaves: list[list[str]] = []
        self.tight: list[Tight] = []

    def grown(self) -> Tree:
        """The tree, with all its cells; LookupError where they are too many."""
        todo: list[Any] = [({}, np.arange(len(self.sides)))]
        while todo:
            side, inside = todo.pop()
            if len(self.leaves) > MOST:
                raise LookupError(f"X must cut the units into at most {MOST} cells for a proof, by "
                                  f"the rows that hold the margin, got {len(self.above)} of these")
            n = None if inside is None else self._next(side, inside)
            if n is None:
                self.names.append(".")
                self.leaves.append(texts(side if inside is None else self._leaf(side)))
                continue
            self.names.append(str(n))
            at = self.sides[inside, self.above.index(n)]
            for s in (1, -1):
                part, points = {**side, n: s}, inside[at * s >= 0]
                some = at.size and (at * s > 0).any()
                empty = None if some else self._empty(part, n)
                todo.append((part, points) if empty is None else (empty, None))
        return self

    def _next(self, side: dict[int, int], inside: np.ndarray) -> int | None:
        """The row to cut a cell at: one that does not cut it, else one that halves it best; None
        where all signs are known.
        """
        left = [i for i, n in enumerate(self.above) if n not in side]
        if not left:
            return None
        at = self.sides[inside][:, left]
        fewer = np.minimum((at > 0).sum(axis=0), (at < 0).sum(axis=0))
        whole = np.flatnonzero(fewer == 0)
        return self.above[left[whole[0] if whole.size else int(np.argmax(fewer))]]

    def _sum(self, t: Vector) -> Vector:
        """Σ t_n z_n (D,)."""
        top, low = together(t)
        return ratios((top @ self.level).tolist(), low << int(self.shifts.max()))

    def _empty(self, side: dict[int, int], n: int) -> Vector | None:
        """What shows that a cell has no inner points, since it is on that side of row n; None where
        it has some.
        """
        own = [j for j in side if j != n]
        if not own:
            return None
        A = np.array([side[j] * self.unit[j] for j in own]).T
        mu, off = foreign.ask("the cone of a cell", "scipy.optimize.nnls", A,
                              -side[n] * self.unit[n])
        if off > INSIDE:
            return None
        on = [j for j, m in zip(own, mu, strict=True) if m > 0]
        relations = flat_basis(self.whole[[*on, n]].T, len(on) + 1)
        if len(relations) != 1:
            return None
        relation = relations[0] * (1 if relations[0][-1] * side[n] > 0 else -1)
        if any(v * side[j] < 0 for j, v in zip([*on, n], relation, strict=True)):
            return None
        t = [Fraction()] * len(self.c)
        for j, v in zip([*on, n], relation, strict=True):
            t[j] = Fraction(int(v) << int(self.shifts[j]))
        return [Fraction(), *t]

    def _leaf(self, side: dict[int, int]) -> Vector:
        """The t of least length."""
        sides = np.array([side.get(n, 0) for n in self.rows])
        low = np.where(sides < 0, -np.inf, self.near[self.rows])
        high = np.where(sides > 0, np.inf, 0.0)
        for method in ("bvls", "trf"):
            x = foreign.ask("the bound of a cell", "scipy.optimize.lsq_linear", self.shown,
                            np.zeros(len(self.shown)), bounds=(low, high), method=method,
                            tol=1e-15).x
            few = AT_END * (float(np.abs(x).max()) or 1.0)
            ended, inner = self._ended(x, low, high), (x > low + few) & (x < high - few)
            if self._length(ended) <= self.most:
                return [Fraction(1), *ended]
            t = self._level(self._projected(ended, inner), side)
            length = self._length(t)
            if length <= self.most * (1 + NEAR):
                if length > self.most:
                    self._failed(t, sides)
                break
        return [Fraction(1), *t]

    def _length(self, t: Vector) -> Fraction | float:
        """‖Σ t z‖², infinite where free columns feel it."""
        g = self._sum(t)
        return sum((v * v for v in g[:self.d]), Fraction()) if not any(g[self.d:]) else np.inf

    def _ended(self, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> Vector:
        """Floats as fractions, at an end exactly."""
        t, scale = [Fraction()] * len(self.c), float(np.abs(x).max()) or 1.0
        for n, v, a, b in zip(self.rows, x, low, high, strict=True):
            if v <= a + AT_END * scale:
                t[n] = self.c[n]
            elif v < b - AT_END * scale:
                t[n] = Fraction(float(v))
        return t

    def _projected(self, t: Vector, inner: np.ndarray) -> Vector:
        """The t that are at no end, moved to where Σ t z is as short as can be."""
        on = [n for n, v in zip(self.rows, inner, strict=True) if v]
        if not on:
            return t
        # with free columns one of them makes up for all others
        free = self.d < self.Z.shape[1]
        pivot = max(on, key=lambda n: abs(t[n])) if free else -1
        base = self.exact[pivot][:self.d] if free else [Fraction()] * self.d
        on = [n for n in on if n != pivot]
        ways = [[a - b for a, b in zip(self.exact[n], base, strict=False)] for n in on]
        B = np.array([[float(v) for v in way] for way in ways]).reshape(len(on), self.d)
        inverse = foreign.ask("the bound of a cell", "numpy.linalg.pinv", B @ B.T, rcond=1e-13,
                              hermitian=True) if on else B
        for _ in range(ROUNDS):
            if free:
                t[pivot] -= self._sum(t)[-1] / self.exact[pivot][-1]
            g = self._sum(t)[:self.d]
            left = [sum(map(mul, way, g), Fraction()) for way in ways]
            top = max(map(abs, left), default=Fraction())
            if not top:
                break
            step = inverse @ np.array([float(v / top) for v in left])
            moved = [t[n] - Fraction(float(v)) * top for n, v in zip(on, step, strict=True)]
            for n, v in zip(on, grid([Decimal(v.numerator) / Decimal(v.denominator)
                                      for v in moved]), strict=True):
                t[n] = v
        return t

    def _level(self, t: Vector, side: dict[int, int]) -> Vector:
        """The same, with Σ t z = 0 in free columns: one t that has room makes up for the rest."""
        off = self._sum(t)[-1] if self.d < self.Z.shape[1] else Fraction()
        for n in self.rows if off else ():
            s, v = side.get(n, 0), t[n] - off / self.exact[n][-1]
            if (s < 0 or v >= self.c[n]) and (s > 0 or v <= 0):
                t[n] = v
                break
        return t

    def _failed(self, t: Vector, sides: np.ndarray) -> None:
        """Note the unit along Σ t z."""
        x, c = np.array([float(t[n]) for n in self.rows]), self.near[self.rows]
        few = SURELY * np.abs(c).max()
        kinks = np.where(sides > 0, x > c + few,
                         np.where(sides < 0, x < -few, (x > c + few) & (x < -few)))
        v = np.array([float(a) for a in self._sum(t)])
        at = np.array(self.rows)
        if self.d < len(v) and kinks.any():
            n = at[kinks][0]
            v[-1] = -(v[:-1] @ self.Z[n, :-1]) / self.Z[n, -1]
        active = ~kinks & np.where(sides, sides > 0, x < c / 2)
        self.tight.append(Tight(v, at[kinks], at[active]))


def _sides(rows: np.ndarray) -> np.ndarray:
    """The signs (R, n) that rows (n, D) have on rays, which span all cells: on some D − 1 of them
    the rows vanish.
    """
    n, D = rows.shape
    chosen = np.array(list(islice(combinations(range(n), D - 1), RAYS)), int).reshape(-1, D - 1)
    _, sizes, V = foreign.ask("the rays of cells", "numpy.linalg.svd", rows[chosen])
    rays = V[(sizes > ON).all(axis=1), -1]
    at = rays @ rows.T
    signs = np.where(np.abs(at) <= ON, 0, np.sign(at)).astype(np.int8)
    return np.concatenate([signs, -signs])
