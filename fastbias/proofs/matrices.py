"""Maximum margins and least norms of matrices, to 2⁻¹⁰³: Newton's method, in a hundred digits, on
the conditions of a face of fixed rank.

Of the spectral and the nuclear norm one is of a matrix A = LRᵀ of low rank, and the other of a B
with BR = L, BᵀL = R, whose largest singular value is one: W and G = Σ ν_n z_n, or G and W. On the
cone of W ⪰ 0 L is R. All these equations are of second degree, so that differences of them are
derivatives; turning L and R changes nothing, so that steps are of least length.
"""
from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import row_lengths
from fastbias.proofs.lifting import independent
from fastbias.proofs.smooth import DIGITS, decimals
from fastbias.proofs.wholes import Pair, Whole, together

__all__ = ["Face", "Found"]

BITS = 200            # of what is handed out, below its largest entry
PAD = Fraction(1, 2 ** 110)      # by which norms may be larger than what is proved of them
INSIDE = Fraction(1, 2 ** 118)     # of the trace: how far inside the cone W is
RANKS = 1e-7, 1e-5, 1e-9, 1e-3   # of the largest singular value: what is 0
LIGHT = 1e-9          # of the largest weight: rows with less may have none
STEPS, ROUNDS = 25, 8            # of Newton's method, and of letting rows in and out
REACHED = Decimal(10) ** -85     # errors of equations of size one: solved
NEAR = 1e-6           # where derivatives need not be taken again
UNDER = Fraction(1, 2 ** 150)    # margins that are 1, relatively
SINGULAR = 1e-11      # of the largest singular value: 0, as equations leave that free
LARGEST = 900         # unknowns: some seconds


class Found(NamedTuple):
    """W (D,) and weights (N,) with the value, and factors L, R (m + n, m) of the one matrix."""

    w: list[Fraction]
    weights: list[Fraction]
    value: Fraction
    factors: list[list[Fraction]]


class Face:
    """max min ⟨w, z_n⟩, or min ‖w‖ subject to ⟨w, z_n⟩ = y_n, of matrices (m, n): Z (N, D), y (N,)
    of float64; ``name`` is "spectral", "nuclear" or "psd".
    """

    def __init__(self, Z: np.ndarray, goal: np.ndarray, whole: Whole, name: str,
                 shape: tuple[int, ...]) -> None:
        self.whole, self.name, (self.m, self.n) = whole, name, shape
        # (powers of two, by which dividing rounds nothing)
        self.lengths, self.goal = np.exp2(np.frexp(row_lengths(Z))[1].astype(float)), goal
        self.rows = Z / self.lengths[:, None]

    def solutions(self, w: np.ndarray, nu: np.ndarray, size: float, equal: bool) -> Iterator[Found]:
        """The same in a hundred digits, from floats w (D,) of that norm and ν (N,)."""
        low = float(nu @ self.goal)
        if not (0 < size < np.inf and 0 < low < np.inf):
            return
        W, weights = w / size, nu * self.lengths * (size / low)
        A = W[:self.whole.bound] if self.name != "spectral" else weights @ self.rows
        U, s, V = foreign.ask("the singular values of a matrix", "numpy.linalg.svd",
                              A[:self.m * self.n].reshape(self.m, self.n))
        for rank in dict.fromkeys(int((s > few * s[0]).sum()) for few in RANKS):
            roots = np.sqrt(s[:rank])
            L, R = U[:, :rank] * roots, V[:rank].T * roots
            face = _Equations(self, rank, size)
            with localcontext(Context(prec=DIGITS)):
                found = self._held(face, L, R, W, weights, equal)
            if found is not None:
                yield found

    def _held(self, face: _Equations, L: np.ndarray, R: np.ndarray, W: np.ndarray, nu: np.ndarray,
              equal: bool) -> Found | None:
        """From what floats say; rows come in that w leaves behind, and go that pull it away."""
        rows = np.flatnonzero(np.abs(nu) > LIGHT * np.abs(nu).max()).tolist()
        if equal:
            rows = independent(self.whole.residues, np.argsort(-np.abs(nu), kind="stable").tolist())
        for _ in range(ROUNDS):
            x = face.solved(rows, L, R, W, nu[rows])
            if x is None:
                return None
            top = max(map(abs, x.nu))
            pulling = [] if equal else [i for i, v in enumerate(x.nu) if v < -REACHED * top]
            if pulling:
                rows.remove(rows[min(pulling, key=lambda i: x.nu[i])])
                continue
            w = grid(x.w)
            short = None if equal else self._short(w)
            if short is not None and short[1] < 1 - UNDER:
                if short[0] in rows:
                    return None
                rows = sorted([*rows, short[0]])
                continue
            pair = self._exact(rows, w, grid(x.nu / decimals(self.lengths[rows])), equal)
            return None if pair is None else self._framed(pair, x, equal)
        return None

    def _short(self, w: list[Fraction]) -> tuple[int, Fraction]:
        """The row that w serves worst, and its margin."""
        top, low = together(w)
        margins = [Fraction(v, low * y) for v, y in
                   zip((self.whole.rows @ top).tolist(), self.whole.goal.tolist(), strict=True)]
        return min(enumerate(margins), key=lambda pair: pair[1])

    def _exact(self, rows: list[int], w: list[Fraction], nu: list[Fraction],
               equal: bool) -> Pair | None:
        """W that meets its equations, or has no margin under one, and weights that balance."""
        weights = self.whole.balanced(rows, [max(v, Fraction()) for v in nu] if not equal else nu)
        met: Any = self.whole.meeting(rows, w) if equal else w
        if weights is None or met is None:
            return None
        if self.name == "psd":
            trace = sum(met[:self.m ** 2:self.m + 1])
            met = [v + INSIDE * trace * (j % (self.m + 1) == 0) for j, v in enumerate(met)]
        if not equal:
            longer = 1 / self._short(met)[1]
            met = [v * (Fraction(int(longer * 2 ** BITS) + 1) / 2 ** BITS) for v in met]
        return met, weights

    def _framed(self, pair: Pair, x: _Point, equal: bool) -> Found:
        """With the value, and the factors of the one matrix that they are to be next to."""
        (w, weights), whole, d = pair, self.whole, self.m * self.n
        on = [n for n, v in enumerate(weights) if v]
        pull = _pull(whole, on, weights)[:d]
        scale = grid([x.dual])[0] * (1 + PAD)
        if equal:
            weights, pull = [v / scale for v in weights], [v / scale for v in pull]
            value = sum((v * Fraction(y) for v, y in zip(weights, self.goal.tolist(), strict=True)),
                        Fraction())
        else:
            total = sum(weights)
            weights, value = [v / total for v in weights], scale / total
            pull = [v / scale for v in pull]
        A, near = pull if self.name == "spectral" else w[:d], (x.L @ x.R.T).ravel()
        root = (_inner(A, near) / _inner(near, near)).sqrt()
        flat = grid([*(x.L.ravel() * root), *(x.R.ravel() * root)])
        r, rest = x.L.shape[1], [Fraction()] * (self.m - x.L.shape[1])
        return Found(w, weights, value, [[*flat[i:i + r], *rest] for i in range(0, len(flat), r)])


class _Point(NamedTuple):
    """L (m, r), R (n, r), w (D,), weights of some rows, and the dual norm of what they make."""

    L: Any
    R: Any
    w: Any
    nu: Any
    dual: Decimal


class _Equations:
    """The conditions of a face of such a rank, in units in which W and G are of size one."""

    def __init__(self, face: Face, rank: int, size: float) -> None:
        self.m, self.n, self.rank, self.name = face.m, face.n, rank, face.name
        self.d, self.free, self.size = face.m * face.n, face.whole.free, size
        self.rows, self.goal, self.lengths = face.rows, face.goal, face.lengths

    def solved(self, rows: list[int], L: np.ndarray, R: np.ndarray, W: np.ndarray,
               nu: np.ndarray) -> _Point | None:
        """The solution that so many rows hold, next to what floats say."""
        parts = [L, nu, W[self.d:]]
        if self.name != "psd":
            parts.insert(1, R)
        if self.name == "spectral":
            parts += [W[:self.d], np.ones(1)]
        start = np.concatenate([np.ravel(part) for part in parts])
        if start.size > LARGEST:
            raise LookupError(f"X must be such that at most {LARGEST} unknowns decide for a proof "
                              f"in the {self.name} norm, got {start.size}")
        Z, lengths, goal = self.rows[rows], self.lengths[rows], self.goal[rows]
        exact = decimals(Z), decimals(goal) / decimals(lengths) / Decimal(self.size)
        x, solve, least = decimals(start), None, None
        for _ in range(STEPS):
            off = self._off(x, *exact)
            worst = max(map(abs, off))
            if worst < REACHED:
                return self._point(x, len(rows))
            if least is not None and worst > 100 * least:
                return None
            if solve is None or worst > NEAR:
                solve = self._inverse(np.asarray(x, float), Z, goal / lengths / self.size)
            least = worst if least is None else min(least, worst)
            x = x - decimals(solve @ np.asarray(off / worst, float)) * worst
        return None

    def _inverse(self, x: np.ndarray, Z: np.ndarray, h: np.ndarray) -> np.ndarray:
        """The pseudo-inverse of derivatives at x, which differences are."""
        J = np.empty((self._off(x, Z, h).size, x.size))
        for j in range(x.size):
            one = np.zeros(x.size)
            one[j] = 1.0
            J[:, j] = (self._off(x + one, Z, h) - self._off(x - one, Z, h)) / 2
        return np.asarray(foreign.ask("the equations of a face", "numpy.linalg.pinv", J,
                                      rcond=SINGULAR))

    def _parts(self, x: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
        """L, R, ν, b, and of the spectral norm W and its margin (else empty), of one vector."""
        m, n, r = self.m, self.n, self.rank
        sizes = m * r, 0 if self.name == "psd" else n * r, k, self.free
        L, R, nu, b, rest = np.split(x, np.cumsum(sizes))
        L = L.reshape(m, r)
        return L, L if self.name == "psd" else R.reshape(n, r), nu, b, rest[:-1], rest[-1:]

    def _off(self, x: np.ndarray, Z: np.ndarray, h: np.ndarray) -> np.ndarray:
        """How far off all equations are."""
        L, R, nu, b, W, margin = self._parts(x, len(Z))
        A, G, F = L @ R.T, (nu @ Z[:, :self.d]).reshape(self.m, self.n), Z[:, self.d:]
        own: list[np.ndarray] = []
        if self.name == "spectral":
            w, B, goal = W, W.reshape(self.m, self.n), h * margin
            own = [(G - A).ravel(), np.array([nu @ h - 1])]
        else:
            w, B, goal = A.ravel(), G, h
        if self.name != "psd":
            own.append((B.T @ L - R).ravel())
        return np.concatenate([(B @ R - L).ravel(), Z[:, :self.d] @ w + F @ b - goal, nu @ F, *own])

    def _point(self, x: np.ndarray, k: int) -> _Point:
        """What is handed out, in the units that were given."""
        L, R, nu, b, W, margin = self._parts(x, k)
        w, dual = (L @ R.T).ravel(), Decimal(1)
        if self.name == "spectral":
            w, b, dual = W / margin[0], b / margin[0], margin[0]
        return _Point(L, R, np.append(w, b) * Decimal(self.size), nu, dual)


def _pull(whole: Whole, on: list[int], weights: list[Fraction]) -> list[Fraction]:
    """What weights make of the rows (D,)."""
    top, low = together([weights[n] / (1 << int(whole.shifts[n])) for n in on])
    return [Fraction(v, low) for v in (top @ whole.rows[on]).tolist()]


def _inner(a: Any, b: Any) -> Decimal:
    """⟨a, b⟩ of fractions or decimals."""
    return sum((_decimal(u) * _decimal(v) for u, v in zip(a, b, strict=True)), Decimal())


def _decimal(v: Fraction | Decimal) -> Decimal:
    return v if isinstance(v, Decimal) else Decimal(v.numerator) / Decimal(v.denominator)


def grid(values: Any) -> list[Fraction]:
    """Decimals as multiples of one power of two, so many bits below the largest."""
    found = [Fraction(v) for v in values]
    top = max(map(abs, found), default=Fraction())
    shift = BITS - top.numerator.bit_length() + top.denominator.bit_length()
    return [Fraction(round(v * Fraction(2) ** shift)) / Fraction(2) ** shift for v in found]
