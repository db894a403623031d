"""Maximum margins, minimum norms and projections where ∇ψ(w) = ∇ψ(w0) + Zᵀν has no end of digits:
Newton's method on ν, in a hundred digits, with derivatives in floats.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.proofs.lifting import independent
from fastbias.proofs.wholes import Pair, Whole

__all__ = ["DIGITS", "Link", "Smooth", "cosh", "entropy", "hypentropy", "lp"]

DIGITS = 110          # of what is computed; some are lost where equations are nearly singular
BITS = 320            # of what is handed out, each number by itself
REACHED = Decimal(10) ** -75     # of an equation's terms: solved
NEAR = Decimal(10) ** -8         # where derivatives need not be taken again
STEPS, ROUNDS = 40, 20           # of Newton's method, and of letting rows in and out
LIGHT = 1e-9          # of the largest weight: rows with less may have none
UNDER = Decimal(10) ** -60       # margins that are 1, and weights that are 0, relatively
SLACK = 1 + Fraction(1, 2 ** 190)    # by which w is longer, so that margins are at least 1
NONE = 1e-8           # of the largest entry of w: an entry that is 0
SLOW, MOST = 3, 120              # steps of no use until derivatives are exact, and rows: seconds
NOTHING = Decimal(10) ** -90     # of the largest entry: 0, of rows that depend on each other
SINGULAR = 1e-13      # of the largest singular value: 0, of rows that depend on each other


class Link(NamedTuple):
    """A potential ψ = Σ ψ_i: what the checker calls it, its number, and the w with ψ'(w) = ψ'(s) +
    t, beside dw/dt; whether s may be any, or 0 alone; t and dw/dt of w, where floats know w better.
    """

    name: str
    parameter: Fraction | None
    anywhere: bool
    back: Callable[[Decimal, Decimal], tuple[Decimal, Decimal]]
    forth: Callable[[Decimal], tuple[Decimal, Decimal]] | None = None


def lp(p: float) -> Link:
    """ψ = |w|^p/p, from s = 0."""
    with localcontext(Context(prec=DIGITS)):
        low = Decimal(p) - 1

    def back(_: Decimal, t: Decimal) -> tuple[Decimal, Decimal]:
        if not t:
            return t, t
        size = abs(t) ** (1 / low)
        return size.copy_sign(t), size / abs(t) / low

    def forth(w: Decimal) -> tuple[Decimal, Decimal]:
        t = abs(w) ** low if w else w
        return t.copy_sign(w), abs(w) / t / low if w else w
    return Link("lp", Fraction(p), False, back, forth)


def _entropic(s: Decimal, t: Decimal) -> tuple[Decimal, Decimal]:
    w = s * t.exp()
    return w, w


def _arsinh(x: Decimal) -> Decimal:
    return (abs(x) + (x * x + 1).sqrt()).ln().copy_sign(x)


def _levelled(_: Decimal, t: Decimal) -> tuple[Decimal, Decimal]:
    return _arsinh(t), 1 / (t * t + 1).sqrt()


def hypentropy(beta: float) -> Link:
    """ψ' = arsinh(w/β)."""
    b = Decimal(beta)

    def back(s: Decimal, t: Decimal) -> tuple[Decimal, Decimal]:
        e = (_arsinh(s / b) + t).exp()
        return b * (e - 1 / e) / 2, b * (e + 1 / e) / 2
    return Link("hypentropy", Fraction(beta), True, back)


entropy = Link("entropy", None, True, _entropic)
"""ψ' = log w."""

cosh = Link("cosh", None, False, _levelled)
"""ψ' = sinh w, from s = 0."""


class Smooth:
    """min D_ψ(w, w0) subject to ⟨w, z_n⟩ ≥ y_n, or = y_n: w but for its free entries; Z (N, D), y
    (N,), w0 (d,) of float64, and floats that w is near to.
    """

    def __init__(self, Z: np.ndarray, goal: np.ndarray, whole: Whole, link: Link,
                 start: np.ndarray, near: np.ndarray) -> None:
        self.whole, self.link, self.d = whole, link, whole.bound
        self.Z, self.goal = decimals(Z), decimals(goal)
        self.start, self.near = decimals(start), decimals(near)
        flat = np.abs(near[:self.d])
        self.still = np.flatnonzero(flat <= NONE * flat.max()).tolist() if link.forth else []

    def equal(self, nu: np.ndarray, scale: Decimal) -> Iterator[Pair]:
        """The solution where all are equations, from floats ν (N,) times a number: exact in w, on
        independent rows.
        """
        with localcontext(Context(prec=DIGITS)):
            order = np.argsort(-np.abs(nu), kind="stable").tolist()
            rows = independent(self.whole.residues, order)
            found = self._solved(rows, decimals(nu[rows]) * scale)
            if found is None:
                return
            x, still = self._stilled(found[0])
            w = self.whole.meeting(rows, _dyadic(x))
            weights = self.whole.balanced(rows, _dyadic(found[1]), still)
        if w is not None and weights is not None:
            yield w, weights

    def holding(self, lam: np.ndarray, scale: Decimal) -> Iterator[Pair]:
        """The solution of the inequalities, from floats λ (N,) times a number."""
        with localcontext(Context(prec=DIGITS)):
            found = self._held(lam, scale)
            if found is None:
                return
            rows, w, nu = found
            w, still = self._stilled(w)
            longer = [v * SLACK for v in _dyadic(w)]
            weights = self.whole.balanced(rows, _dyadic(nu), still)
        if weights is not None:
            yield longer, weights

    def _stilled(self, w: Any) -> tuple[Any, list[int]]:
        """W with exact zeros where it is next to 0, and where these are: of powers, ∇ψ is 0 there,
        too.
        """
        if self.link.forth is None:
            return w, []
        top = max(map(abs, w[:self.d]))
        still = [j for j in range(self.d) if abs(w[j]) < UNDER * top]
        w = w.copy()
        w[still] = Decimal(0)
        return w, still

    def _held(self, lam: np.ndarray, scale: Decimal) -> tuple[list[int], Any, Any] | None:
        """Which rows hold w, w, and their weights."""
        rows = np.flatnonzero(lam > LIGHT * lam.max()).tolist()
        nu = decimals(lam) * scale
        for _ in range(ROUNDS):
            found = self._solved(rows, nu[rows]) if rows else None
            if found is None and len(rows) > self.Z.shape[1]:
                # more than can hold w: the lightest does not
                rows.remove(min(rows, key=lambda n: nu[n]))
                continue
            if found is None:
                return None
            w, weights = found
            margins, top = self.Z @ w - self.goal, max(map(abs, weights))
            short = int(np.argmin(margins))
            pulling = [n for n, v in zip(rows, weights, strict=True) if v < -UNDER * top]
            if not pulling and margins[short] >= -UNDER * abs(self.goal[short]):
                kept = [v > 0 for v in weights]
                return [n for n, k in zip(rows, kept, strict=True) if k], w, weights[kept]
            # (one that pulls w away from the others is none that holds it)
            nu[rows] = weights
            if pulling:
                rows.remove(min(pulling, key=lambda n: nu[n]))
            else:
                rows = sorted({*rows, short})
                nu[short] = Decimal(0)
        return None

    def _solved(self, rows: list[int], nu: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """W (D,) and weights of so many rows that hold it."""
        # (steps may lead beyond all numbers)
        with suppress(ArithmeticError):
            found = self._newton(rows, nu, [])
            if found is None and self.link.forth is not None and len(rows) <= MOST:
                found = self._newton(rows, self._weights(rows), [])
            if found is None and self.still:
                found = self._newton(rows, nu, self.still)
            return found
        return None

    def _weights(self, rows: list[int]) -> np.ndarray:
        """Weights by one step from w, where these say little: w_i = ±|t_i|^(1/(p−1)) of a t_i that
        is nothing beside others may count.
        """
        assert self.link.forth is not None
        Z, F = self.Z[rows][:, :self.d], self.Z[rows][:, self.d:]
        w = self.near[:self.d]
        t, slopes = np.array([self.link.forth(v) for v in w], object).T
        step = _exactly(Z, F, slopes)
        return np.asarray(step(self.goal[rows] - Z @ (w - slopes * t), F[0] * 0)[0])

    def _newton(self, rows: list[int], nu: np.ndarray,
                still: list[int]) -> tuple[np.ndarray, np.ndarray] | None:
        """The same, where some columns are to feel nothing, as free ones do: w is 0 there."""
        moving = [j for j in range(self.d) if j not in set(still)]
        others = [*still, *range(self.d, self.Z.shape[1])]
        Z, F = self.Z[rows][:, moving], self.Z[rows][:, others]
        b, solve, least, slow = F[0] * 0, None, Decimal("inf"), 0
        for _ in range(STEPS):
            t = nu @ Z
            w, slopes = np.array([self.link.back(s, x) for s, x in
                                  zip(self.start[moving], t, strict=True)], object).T
            off = self.goal[rows] - Z @ w - F @ b
            left = -(nu @ F)
            terms = abs(Z) @ abs(w) + abs(F) @ abs(b) + abs(self.goal[rows]), abs(nu) @ abs(F)
            worst = max(abs(x) / (y or 1) for part in zip((off, left), terms, strict=True)
                        for x, y in zip(*part, strict=True))
            if worst < REACHED:
                x = self.Z[0] * 0
                x[moving], x[others] = w, b
                return x, nu
            if not worst.is_finite() or worst > 100 * least:
                return None
            # (columns of unlike units: no float tells what is left of rows without the largest)
            slow += worst > least / 2
            if slow >= SLOW and len(rows) <= MOST:
                solve = _exactly(Z, F, slopes)
            elif solve is None or worst > NEAR:
                solve = _newton(Z, F, slopes)
            least = min(least, worst)
            more, further = solve(off, left)
            nu, b = nu + more, b + further
        return None


def _newton(Z: np.ndarray, F: np.ndarray, slopes: np.ndarray
            ) -> Callable[[np.ndarray, np.ndarray], Any]:
    """Steps of ν and b that make up for so much, by derivatives in floats: rows of size one."""
    B = Z * np.array([v.sqrt() for v in slopes], object)
    c = np.array([max(map(abs, row)) or Decimal(1) for row in B], object)
    flat, free = np.asarray(B / c[:, None], float), F / c[:, None]
    unit = np.array([max(map(abs, column)) or Decimal(1) for column in free.T], object)
    sides = np.asarray(free / unit, float).reshape(free.shape)
    J = np.block([[flat @ flat.T, sides], [sides.T, np.zeros(2 * (len(unit),))]])
    inverse = foreign.ask("Newton's equations", "numpy.linalg.pinv", J, rcond=SINGULAR,
                          hermitian=True)

    def step(off: np.ndarray, left: np.ndarray) -> Any:
        right = np.concatenate([off / c, left / unit])
        top = max(map(abs, right)) or Decimal(1)
        x = decimals(inverse @ np.asarray(right / top, float)) * top
        return x[:len(c)] / c, x[len(c):] / unit
    return step


def _exactly(Z: np.ndarray, F: np.ndarray, slopes: np.ndarray
             ) -> Callable[[np.ndarray, np.ndarray], Any]:
    """The same steps, with derivatives in as many digits as all else."""
    n, k = F.shape
    J = np.full((n + k, n + k), Decimal(0), object)
    J[:n, :n], J[:n, n:], J[n:, :n] = (Z * slopes) @ Z.T, F, F.T

    def step(off: np.ndarray, left: np.ndarray) -> Any:
        x = _eliminated(J, np.concatenate([off, left]))
        return x[:n], x[n:]
    return step


def _eliminated(A: np.ndarray, right: np.ndarray) -> np.ndarray:
    """An x with A x = right (n,), by Gauss's elimination at the largest entries of rows of size
    one; 0 where rows depend on each other.
    """
    sizes = np.array([max(map(abs, row)) or Decimal(1) for row in A], object)
    T = np.column_stack([A, right]) / sizes[:, None]
    x, pivots = right * 0, dict[int, int]()
    for _ in range(len(A)):
        rest = [i for i in range(len(A)) if i not in pivots]
        near = abs(T[rest][:, :-1])
        k, j = divmod(int(np.argmax(near)), len(A))
        if near[k, j] < NOTHING:
            break
        i = rest[k]
        pivots[i] = j
        T[i] = T[i] / T[i, j]
        others = np.arange(len(A)) != i
        T[others] -= T[others][:, [j]] * T[i]
        T[others, j] = Decimal(0)
    for i, j in pivots.items():
        x[j] = T[i, -1]
    return x


def decimals(A: np.ndarray) -> np.ndarray:
    """Floats as decimals, without rounding."""
    found = np.empty(A.shape, object)
    found.ravel()[:] = [Decimal(v) for v in A.ravel().tolist()]
    return found


def _dyadic(values: np.ndarray) -> list[Fraction]:
    """Decimals as binary fractions of so many bits."""
    found = []
    for value in map(Fraction, values):
        shift = BITS - value.numerator.bit_length() + value.denominator.bit_length()
        found.append(Fraction(round(value * Fraction(2) ** shift)) / Fraction(2) ** shift)
    return found
