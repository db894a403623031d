"""The maximum of a logistic or softmax likelihood that has one, with a bound on its error.

Rows z_nk with samples n: f(v) = Σ_n c_n log(1 + Σ_k exp(−⟨v, z_nk⟩)) is strictly convex on the
span S of the rows, and where some λ > 0 has Σ λ z = 0 it has a minimiser v̄ there. With a margin's
change at most a, third derivatives along it are at most a times second ones (Bach 2010), so that
in the norm of the curvature H at v, with λ = ‖∇f‖_{H⁻¹} and κ the largest ‖z‖_{H⁻¹}, twice that for
several rows a sample, ‖v − v̄‖_H ≤ −log(1 − κλ)/κ.
"""
from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length, row_lengths
from fastbias.solvers import exact
from fastbias.solvers.quotients import numerators

__all__ = ["Fit", "Likelihood"]

EPS, WIDE = float(np.finfo(float).eps), float(np.finfo(np.longdouble).eps)
NEWTONS = 200         # steps; some ten are usual
LOST = 5e-324         # what slopes lose that underflow in float64
LESS = 0.5            # times the bound on the error, which the next step must go under
FAR, HALVINGS = 1e6, 60     # steps that are tried in a line, and times that they are halved
LOOSE = 0.01          # of the slope at first: steps need not be exact
STEEP, TURNS = 1e5, 3       # conditions of columns that are turned, and times that they are
EXACT = 2e7           # products of whole numbers that this may take
# what rounding of the curvature may change in its norm, and the share of it that it must be under
SAFE, UNSAFE = 1.25, 0.1
HARDLY = 1e-8         # margins that are not known to so much


class Fit(NamedTuple):
    """The maximum-likelihood point of rows, and how far it can be from it."""

    point: np.ndarray            # v (d,), 0 in the columns that were left out
    log_likelihood: float
    error: float                 # ‖v − v̄‖_H at most, for weights of which the largest is one
    root: np.ndarray             # R (r, d) with H⁻¹ = RᵀR: columns as long as standard errors


class Likelihood:
    """f for rows Z (M, d), of which the columns ``pivots`` (r,) are independent and span the
    others, of samples ``owner`` (M,) sorted, with weights (n,).
    """

    def __init__(self, Z: np.ndarray, owner: np.ndarray, weights: np.ndarray,
                 pivots: list[int]) -> None:
        self.size, self.pivots = Z.shape[1], pivots
        self.first, self.owner = np.unique(owner, return_index=True)[1], owner
        self.weights = weights.astype(np.longdouble) / weights.max()
        self.unit = float(weights.max())
        self.single = bool(self.first.size == len(Z))
        self.columns = _columns(Z[:, pivots])
        self.wide = self.columns.wide
        self.A = np.asarray(self.wide, float)

    def maximum(self) -> Fit:
        """The maximum, by Newton's method, with slopes in extended precision.

        Raises
        ------
        ArithmeticError
            Where curvature is lost in rounding.
        """
        v = np.zeros(self.A.shape[1], np.longdouble)
        if not v.size:
            return self._fit(v, 0.0, np.zeros((0, 0)))
        best, found, kept = np.inf, v, np.zeros((v.size, v.size))
        for _ in range(NEWTONS):
            m = self.wide @ v
            slope, noise = self._slope(m, v)
            root, units = self._root(m)
            off = root @ np.asarray(slope, float)
            error = self._error(root, units, length(off), noise)
            if best < np.inf and not error < LESS * best:
                break
            if error <= best:
                best, found, kept = error, v, root
            step = root.T @ off
            v = v + step * self._length(m, step)
        return self._fit(found, best, kept)

    def _chances(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each row takes from its sample's likelihood (M,), what is left of that (n,), and its
        −log.
        """
        top = np.maximum(np.maximum.reduceat(-m, self.first), 0.0)
        index = self._index
        rows = np.exp(-m - top[index])
        rest = np.exp(-top)
        total = rest + np.add.reduceat(rows, self.first)
        return rows / total[index], rest / total, top + np.log(total)

    @property
    def _index(self) -> np.ndarray:
        """Whose each row is, counted from 0."""
        marks = np.zeros(len(self.owner), int)
        marks[self.first[1:]] = 1
        return np.asarray(np.cumsum(marks))

    def _slope(self, m: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """−∇f in extended precision, and what rounding may have changed in it."""
        pull = self._chances(m)[0] * self.weights[self._index]
        sizes, block = np.abs(self.wide), max(int(len(m) ** 0.5), 1)
        # a sum of sums is rounded far less often than one of all
        slope = sum(pull[i:i + block] @ self.wide[i:i + block] for i in range(0, len(m), block))
        off = (v.size + 4) * WIDE * (sizes @ np.abs(v)) * 2 + (3 * block + 16) * WIDE
        return np.asarray(slope), (pull * off) @ sizes + LOST

    def _root(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """R with H⁻¹ = RᵀR, triangular, and the lengths of the columns of a root of H."""
        rows, rest, _ = self._chances(m)
        index, c = self._index, self.weights
        if self.single:
            halves = np.asarray(np.sqrt(c * rows * rest), float)[:, None] * self.A
        else:
            # the variance of a row of the sample's, its own class's being 0
            means = np.add.reduceat(np.asarray(rows, float)[:, None] * self.A, self.first)
            around = (self.A - means[index]) * np.asarray(np.sqrt(c[index] * rows), float)[:, None]
            halves = np.vstack([around, means * np.asarray(np.sqrt(c * rest), float)[:, None]])
        units = row_lengths(halves.T)
        R = foreign.ask("the curvature of the likelihood", "numpy.linalg.qr", halves / units,
                        mode="r")
        inverse: np.ndarray = foreign.ask("the curvature of the likelihood",
                                          "scipy.linalg.solve_triangular", R.T, np.diag(1 / units),
                                          lower=True)
        return inverse, units

    def _error(self, root: np.ndarray, units: np.ndarray, decrement: float,
               noise: np.ndarray) -> float:
        """The bound on ‖v − v̄‖_H, infinite where margins are hardly known."""
        r = len(root)
        # by how much rounding may have changed columns of length one, of which R is the inverse
        if not len(self.A) * r**1.5 * EPS * float(np.linalg.norm(root * units)) < UNSAFE:
            return np.inf
        most = float((np.abs(root) @ np.asarray(noise, float)).sum())
        size = SAFE * (decrement + most)
        reach = SAFE * float(row_lengths(self.A @ root.T).max()) * (1.0 if self.single else 2.0)
        if not reach * size < 0.5:
            return np.inf
        found = -float(np.log1p(-reach * size)) / reach
        return found if reach * found < HARDLY else np.inf

    def _length(self, m: np.ndarray, step: np.ndarray) -> float:
        """How far to go along a step: until it no longer descends, by the sign of the slope."""
        along, c = self.wide @ step, self.weights[self._index]

        def slope(t: float) -> float:
            return float((self._chances(m + t * along)[0] * c) @ along)
        start, low, high = slope(0.0), 0.0, 1.0
        while slope(high) > LOOSE * start and high < FAR:
            low, high = high, 2 * high
        for _ in range(HALVINGS if slope(high) < -LOOSE * start else 0):
            middle = (low + high) / 2
            now = slope(middle)
            if abs(now) <= LOOSE * start:
                return middle
            low, high = (middle, high) if now > 0 else (low, middle)
        return high if slope(high) >= -LOOSE * start else low

    def _fit(self, v: np.ndarray, error: float, root: np.ndarray) -> Fit:
        """In the units of the rows that were given."""
        losses = self._chances(self.wide @ v)[2] * self.weights
        point, lengths = np.zeros(self.size), np.zeros((len(v), self.size))
        point[self.pivots] = self.columns.point(v)
        T = np.array([[v / self.columns.bottom for v in row] for row in self.columns.top])
        lengths[:, self.pivots] = root @ T.reshape(root.shape).T
        return Fit(point, -float(losses.sum()) * self.unit, error, lengths / self.unit**0.5)


class _Columns(NamedTuple):
    """Columns A T in which rows can be told apart, and T = top/bottom."""

    wide: np.ndarray             # (M, r), in extended precision
    top: np.ndarray              # (r, r) of int
    bottom: int

    def point(self, v: np.ndarray) -> np.ndarray:
        """T v (r,), rounded once."""
        high = np.asarray(v, float)
        exactly = np.array([Fraction(a) + Fraction(b) for a, b in
                            zip(high.tolist(), np.asarray(v - high, float).tolist(), strict=True)])
        return np.array([float(x / self.bottom) for x in self.top @ exactly])


def _columns(A: np.ndarray) -> _Columns:
    """As they are, in powers of two, where they are not nearly dependent; else by QR, whose
    combinations are found without rounding.
    """
    r, powers = A.shape[1], np.frexp(np.abs(A).max(axis=0, initial=0.0))[1]
    most = int(powers.max(initial=0))
    found = _Columns(np.ldexp(A, -powers).astype(np.longdouble),
                     np.diag([1 << most - int(p) for p in powers]).astype(object) if r else
                     np.zeros((0, 0), object), 1)
    # 2^−most as a fraction
    found = found._replace(bottom=1 << max(most, 0), top=found.top * (1 << max(-most, 0)))
    scaled = None
    for _ in range(TURNS if r else 0):
        R = foreign.ask("columns that are not nearly dependent", "numpy.linalg.qr",
                        np.asarray(found.wide, float), mode="r")
        units = row_lengths(R.T)
        if np.linalg.cond(R / units) < STEEP or A.size * r > EXACT:
            break
        inverse = foreign.ask("columns that are not nearly dependent",
                              "scipy.linalg.solve_triangular", R / units, np.eye(r))
        top, bottom = numerators((inverse / units[:, None]).ravel())
        scaled = scaled or exact.Scaled(A)
        found = _turned(scaled, found.top @ top.reshape(r, r), found.bottom * bottom)
    return found


def _turned(rows: exact.Scaled, top: np.ndarray, bottom: int) -> _Columns:
    """The columns of rows times top/bottom, rounded once."""
    wide = np.zeros(rows.Z.shape, np.longdouble)
    columns = rows.columns
    least = int(columns.min())
    units = np.array([1 << int(c) - least for c in columns], object)
    for n in range(len(wide)):
        z, _, power = rows.integer(n)
        values = (z * units) @ top
        power = least - power
        over, under = 1 << max(power, 0), bottom << max(-power, 0)
        high = [int(v) * over / under for v in values]
        low = [float(Fraction(int(v) * over, under) - Fraction(h))
               for v, h in zip(values, high, strict=True)]
        wide[n] = np.array(high, np.longdouble) + np.array(low)
    return _Columns(wide, top, bottom)
