"""Whether some w has ⟨w, z⟩ > 0 for every row z, decided without rounding: every float is an
integer times a power of two.

The game max t subject to ⟨w, z_n⟩ ≥ t s_n, |w_j| ≤ 1, with s_n the sizes of the rows, has a value
over 0 if and only if some w separates; its dual, min ‖Σ λ_n z_n‖₁ subject to λ ≥ 0, Σ λ_n s_n = 1,
shows a λ with Σ λ_n z_n = 0 if none does. It is solved by the revised simplex method in integers:
the inverse of the basis is kept as adjugate and determinant, so that every division is without
remainder (Edmonds 1967), on the few rows that matter; others join where they are violated.
"""
from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import fsum

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length
from fastbias.data.rows import Matrix, Rows, dense, largest, sizes
from fastbias.solvers.lattice import nearby

__all__ = ["Basis", "Scaled", "careful", "decide", "ratios", "sums", "surrounded", "untangled"]

EPS = float(np.finfo(float).eps)
TINY = 1e-300          # over what underflow can lose
LIMIT = 1e8            # multiplications of 64-bit numbers in one decision: some ten seconds
# the product of two such numbers, and what rounding takes from it, does not underflow
SMALL = 1e-140
SEEN = 1e-14          # relative errors of sums that are
TRIES = 1000           # multiples of a separator that are rounded to float64
DEPENDENT = 1e-5       # of R's diagonal: columns that others combine to up to this are tried
WHOLE = 1e-10          # combinations so near to few bits are those: rounding hides small numbers
LONE = 1e-100          # weights further apart than this are no use to float64
BLOCK = 2 ** 22       # numbers of rows that are looked at with care at a time
GRID = 6               # features up to which lattices are searched


class Scaled:
    """The rows Z (N, d), none of them 0, in powers of two that make columns and then rows of size
    one, or as they are.

    ``floats[n, j]`` is Z[n, j] 2^(−columns[j] − rows[n]), under one, and so is z/s for ``z, s, e =
    integer(n)``, where z = Z[n] 2^(e − columns) is of whole numbers. ``faithful``: no digit of
    ``floats``, or of products of two, underflows.
    """

    def __init__(self, Z: np.ndarray, even: bool = True) -> None:
        self.Z = Z
        self.tops, self.columns = np.frexp(np.abs(Z).max(axis=0, initial=0.0))
        self.tops[self.tops == 0] = 1.0
        powers = np.frexp(Z)[1]
        self.rows = np.where(Z != 0, powers - self.columns, -10**6).max(axis=1)
        self.unit = None if even else int((powers - 53)[Z != 0].min())
        if not even:
            self.columns, self.rows = np.zeros_like(self.columns), np.full_like(self.rows,
                                                                                powers.max())
        self.floats = np.ldexp(Z, -self.columns - self.rows[:, None])
        self.faithful = bool((np.abs(self.floats) > SMALL)[Z != 0].all())
        self._known: dict[int, tuple[np.ndarray, int, int]] = {}

    def integer(self, n: int) -> tuple[np.ndarray, int, int]:
        """The row in whole numbers z (d,), its size s, a power of two, and the e that says which
        row this is.
        """
        if n not in self._known:
            z, least = _whole(self.Z[n], -self.columns)
            if self.unit is None:
                self._known[n] = z, 1 << int(max(abs(v) for v in z)).bit_length(), -least
            else:
                self._known[n] = z * (1 << least
                                      - self.unit), 1 << int(self.rows[n]) - self.unit, -self.unit
        return self._known[n]

    def original(self, u: np.ndarray) -> np.ndarray:
        """The w for Z whose margins have the signs of those of u for ``floats``: u 2^−columns, kept
        within float64.
        """
        return np.ldexp(u, self._shift(np.frexp(u)[1][u != 0], u != 0) - self.columns)

    def weights(self, lam: np.ndarray) -> np.ndarray:
        """The λ for Z, up to a factor, of a λ for ``floats``."""
        exponents = np.frexp(lam)[1] - self.rows
        return np.ldexp(lam, -self.rows - int(exponents[lam > 0].max()))

    def _shift(self, exponents: np.ndarray, used: np.ndarray) -> int:
        """By which power of two to multiply w, so that its entries and margins are finite and, if
        they can be, not 0.
        """
        largest = int((exponents - self.columns[used]).max(initial=-10**6))
        return min(max(largest, -500), 1000) - largest if used.any() else 0

    def least(self, w: np.ndarray) -> float:
        """The least of `ratios`; not over 0 where w does not separate."""
        return float(self.ratios(w).min())

    def ratios(self, w: np.ndarray) -> np.ndarray:
        """⟨w, z_n⟩ (N,) over its rounding bound, of its true sign where it is within that."""
        top = int((np.frexp(w)[1] + self.columns)[w != 0].max(initial=-10**6))
        u = np.ldexp(w, self.columns - top)                        # at most one
        margins, bound = self.floats @ u, (u.size + 4) * EPS * (np.abs(self.floats)
                                                                @ np.abs(u)) + TINY
        ratios = margins / bound
        doubtful = np.flatnonzero(np.abs(ratios) <= 1)
        # one that is surely under 0 settles it
        if not doubtful.size or ratios.min() < -1:
            return np.asarray(ratios)
        whole, least = _whole(w, self.columns)
        for n in doubtful:
            z, size, _ = self.integer(int(n))
            exact = Fraction(int(z @ whole), size) * Fraction(2) ** (least - top)
            ratio = max(abs(float(exact)) / float(bound[n]), 5e-324)
            ratios[n] = ratio if exact > 0 else -ratio
        return np.asarray(ratios)

    def neighbours(self, whole: np.ndarray, det: int) -> Iterator[np.ndarray]:
        """Float64 vectors w along whole/det 2^−columns: multiples of it, rounded; then points of
        float64's grid near it.
        """
        used = np.array([v != 0 for v in whole])
        shift = self._shift(np.array([abs(v).bit_length() - det.bit_length()
                                      for v in map(int, whole[used])]), used)
        shifts = [shift - int(c) for c in self.columns]
        factors = [1 << 20, *np.random.default_rng(0).integers(1 << 20, 1 << 21, TRIES).tolist()]
        for factor in factors:
            yield np.array([(int(v) * factor << max(s, 0)) / (det << 20 + max(-s, 0))
                            for v, s in zip(whole, shifts, strict=True)])
        for point in self._grid([Fraction(int(v), det)
                                 for v in whole]) if len(whole) <= GRID else []:
            yield np.ldexp(np.array(point, float), np.array(shifts) - 53)

    def _grid(self, u: list[Fraction]) -> list[list[int]]:
        """Vectors of whole numbers up to about 2^53 along u, the smallest ⟨·, z⟩ nearly in
        proportion.
        """
        d = len(u)
        rows = [self.integer(n)
                for n in np.argsort(self.floats @ np.array(u, float))[:2 * d].tolist()]
        margins = [sum(int(a) * b for a, b in zip(z, u, strict=True)) / size for z, size, _ in rows]
        # so many bits more than an entry it counts
        fine = [int(1000 / m).bit_length() + 10 for m in margins]
        forms = [[(int(v) << bits) // size for v in z] for (z, size, _),
                 bits in zip(rows, fine, strict=True)]
        basis = [[*(form[j] for form in forms), *((int(i == j)) << 10 for i in range(d))]
                 for j in range(d)]
        targets = []
        for k in range(40):
            scale = Fraction(1 << 53) * (64 - k) / 64
            targets.append([*(round(m * scale * 2**bits) for m,
                              bits in zip(margins, fine, strict=True)),
                            *(round(v * scale * 2**10) for v in u)])
        return nearby(basis, targets)


def _whole(x: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, int]:
    """Whole numbers v (d,) and e with x 2^shift = v 2^e."""
    mantissas, powers = np.frexp(x)
    powers = powers + shift - 53
    least = int(powers[mantissas != 0].min(initial=0 if not mantissas.any() else 10**6))
    return np.array([int(m) << int(p) - least if m else 0
                     for m, p in zip(mantissas * 2.0 ** 53, powers, strict=True)], object), least


def ratios(rows: Rows, w: np.ndarray) -> np.ndarray:
    """`Scaled.ratios` of rows that may be many: with care only where Cauchy and Schwarz's bound on
    rounding leaves a doubt.
    """
    with np.errstate(all="ignore"):
        bound = (rows.size + 4) * EPS * rows.lengths * length(w)
        found = rows.margins(w) / bound
        doubtful = np.flatnonzero(~(np.abs(found) > 1.0) | ~(bound > TINY) | (rows.lengths < SMALL))
    for part in np.array_split(doubtful, 1 + doubtful.size * rows.size // BLOCK):
        if part.size:
            found[part] = Scaled(rows.take(part)).ratios(w)
    return np.asarray(found)


def surrounded(S: np.ndarray, lam: np.ndarray) -> np.ndarray | None:
    """Weights near λ (N,) if it is proved, by bounds on all rounding, that some near it have Σ λ s
    = 0 over rows s, λ ≥ 0.

    Of the rows with weight, times it, let A be a basis of columns, Y a right inverse of Aᵀ up to E
    of size under one, and r the sums of its columns. Factors 1 − Y (I + E)⁻¹ r on λ make these 0,
    and are positive if 1 > |Y| 1 ‖r‖∞/(1 − ‖E‖∞).
    """
    on = np.flatnonzero(lam > 0)
    if not on.size:
        return None
    # weights that are small whole numbers need no proof by bounds: the sum itself is exact
    found, part = np.zeros(lam.size), lam[on]
    whole = np.round(part / part.min())
    if (whole.max() < 2**26 and np.allclose(whole, part / part.min(), rtol=1e-9)
        and not sums(S[on], whole).any()):
        found[on] = whole
        return found
    A = untangled(S[on])
    k, d = A.shape
    if not 0 < d < k or part.min() < LONE * part.max():
        return None
    rounding = (k + 8) * EPS
    for _ in range(2):
        rows = part[:, None] * A
        rows /= np.abs(rows).max(axis=0)
        try:
            Q, R = foreign.ask("the factors of the samples that may surround 0", "numpy.linalg.qr",
                               rows)
            Y = foreign.ask("a right inverse of the samples that may surround 0",
                            "numpy.linalg.solve", R, Q.T).T
        except foreign.Unsolved:
            return None
        left = rows.sum(axis=0)
        off = (np.abs(rows.T @ Y - np.eye(d)) + rounding
               * (np.abs(rows.T) @ np.abs(Y))).sum(axis=1).max()
        most = (np.abs(left) + rounding * np.abs(rows).sum(axis=0)).max() + TINY
        if not off < 0.5 or not 1.001 * np.abs(Y).sum(axis=1).max() * most < 1.0 - off:
            return None
        part = part * (1.0 - Y @ left)
    found[on] = part
    return found


def untangled(S: np.ndarray) -> np.ndarray:
    """Columns that span the same space without rounding, fewer or less nearly dependent: centred,
    say, or without copies.

    A column that others nearly combine to gives way to what they leave of it, where that is in
    float64; if 0, to none.
    """
    S = S[:, S.any(axis=0)]
    for _ in range(3):
        S = np.ldexp(S, -np.frexp(np.abs(S).max(axis=0, initial=0.0))[1])
        if (np.abs(S) <= SMALL)[S != 0].any():
            return S
        try:
            R, order = foreign.ask("an order of features", "scipy.linalg.qr", S, mode="r",
                                   pivoting=True)
            sizes = np.abs(np.diag(R))
            rank = int((sizes > DEPENDENT * sizes.max(initial=0.0)).sum())
            if rank in (0, S.shape[1]):
                return S
            C = foreign.ask("the features that others combine to", "numpy.linalg.lstsq",
                            S[:, order[:rank]], S[:, order[rank:]], rcond=None)[0]
        except foreign.Unsolved:
            return S
        # products with numbers of 26 bits are exact more often
        short = np.round(C * 2.0**26) / 2.0**26
        C = np.where(np.abs(C - short) < WHOLE, short, C)
        changed = False
        for k, c in zip(order[rank:], C.T, strict=True):
            used = np.flatnonzero(c)
            terms = np.vstack([S[:, order[used]].T, S[:, k]])
            left = sums(terms, np.append(-c[used], 1.0))
            # what is left is in float64: then nothing was rounded, and the span is the same
            if not sums(np.vstack([terms, left]), np.append(-c[used], [1.0, -1.0])).any():
                S[:, k] = left
                changed = True
        S = S[:, S.any(axis=0)]
        if not changed:
            break
    return S


def sums(A: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Σ_i A_ij x_i (d,) for A (k, d), x (k,), rounded once.

    Products are split into two floats without error (Dekker 1971), and those summed exactly.
    """
    def halves(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        high = 134217729.0 * v                                 # 2^27 + 1
        high = high - (high - v)
        return high, v - high
    x = x[:, None]
    (a, b), (c, d), products = halves(A), halves(x), A * x
    errors = b * d - (((products - a * c) - b * c) - a * d)
    return np.array([fsum(column) for column in np.vstack([products, errors]).T.tolist()])


def careful(A: Matrix, x: np.ndarray, rough: bool = False) -> np.ndarray:
    """Σ_i A_ij x_i (d,) in extended precision, and exactly where the difference can be seen, unless
    ``rough``: exact sums are slow. A may be sparse.
    """
    # (a long double takes twice the memory: a part at a time)
    parts = np.array_split(np.arange(A.shape[1]), 1 + A.shape[0] * A.shape[1] // BLOCK)
    pieces = A if isinstance(A, np.ndarray) else A.tocsc()
    wide = x.astype(np.longdouble)
    found = np.concatenate([np.asarray(pieces[:, part].T @ wide, float) for part in parts])
    terms = length(np.concatenate([sizes(pieces[:, part]).T @ np.abs(x) for part in parts]))
    error = np.finfo(np.longdouble).eps * len(x) ** 0.5 * terms
    seen = error > SEEN * np.abs(found).max(initial=0.0)
    if rough or not seen:
        return found
    # products are split in two: of numbers of size one that does not overflow
    powers = [int(np.frexp(v)[1]) for v in (largest(A, 0).max(initial=0.0),
                                            np.abs(x).max(initial=0.0))]
    small = np.ldexp(x, -powers[1])
    return np.ldexp(np.concatenate([sums(np.ldexp(dense(pieces[:, part]), -powers[0]), small)
                                    for part in parts]), sum(powers))


def decide(rows: Scaled, first: np.ndarray) -> tuple[np.ndarray | None, int, dict[int, Fraction]]:
    """The w of the largest least margin times a number, that number, and λ; no w if it is 0.

    Parameters
    ----------
    rows : Scaled
    first : (k,) of int, k ≥ 1
        The rows to begin with, the most important one first.

    Raises
    ------
    ArithmeticError
        Where that is too large.
    """
    basis = Basis(rows, int(first[0]))
    active = dict.fromkeys(first.tolist())
    # after a step of length 0 by Bland's rule, which never cycles
    stays = False
    while True:
        w, t = basis.prices()
        if t == 0:
            return None, 1, basis.weights()
        over = next((j for j in range(len(w)) if abs(w[j]) > basis.det), None)
        wanting = {}
        for n in active:
            z, size, _ = rows.integer(n)
            lack = size * t - int(z @ w)
            if lack > 0:
                wanting[n] = lack / (size * basis.det)
        if wanting and not (stays and over is not None):
            stays = basis.exchange(min(wanting) if stays else max(wanting, key=wanting.__getitem__),
                                   0)
        elif over is not None:
            stays = basis.exchange(over, 1 if w[over] > 0 else -1)
        else:
            joining = _behind(rows, w, t, basis.det)
            if not joining:
                return w, basis.det, basis.weights()
            active.update(dict.fromkeys(joining))


def _behind(rows: Scaled, w: np.ndarray, t: int, det: int) -> list[int]:
    """The worst few rows with ⟨w, z⟩ < t s."""
    near = np.array([v / det for v in w])
    margins = rows.floats @ near
    bound = (len(w) + 4) * EPS * (np.abs(rows.floats) @ np.abs(near) + t / det) + TINY
    lacks = {}
    for n in np.flatnonzero(~(margins > t / det + bound)).tolist():
        z, size, _ = rows.integer(n)
        lack = size * t - int(z @ w)
        if lack > 0:
            lacks[n] = lack / (size * det)
    return sorted(lacks, key=lacks.__getitem__, reverse=True)[:2 * len(w) + 2]


class Basis:
    """A basis of columns of whole numbers, with weights B⁻¹b ≥ 0 that `exchange` keeps so: here of
    the dual of the game.

    There are d + 1, of [z_n; s_n] and ∓[e_j; 0], and b = e_{d+1}. ``kinds[i]`` is 0 where column i
    is that of row ``names[i]``, else the sign of Σ λ z in coordinate ``names[i]``.
    """

    def __init__(self, rows: Scaled, n: int) -> None:
        self.rows = rows
        z, size, _ = rows.integer(n)
        d = len(z)
        signs = [1 if v >= 0 else -1 for v in z]
        self.kinds, self.names = [*signs, 0], [*range(d), n]
        self.adjugate = np.full((d + 1, d + 1), 0, object)
        for j, sign in enumerate(signs):
            self.adjugate[j, j], self.adjugate[j, d] = -sign * size, sign * int(z[j])
        self.adjugate[d, d], self.det, self.work = 1, size, 0.0

    def prices(self) -> tuple[np.ndarray, int]:
        """(w, t), both times the determinant."""
        y = np.array([abs(kind) for kind in self.kinds], object) @ self.adjugate
        return -y[:-1], int(y[-1])

    def weights(self) -> dict[int, Fraction]:
        """λ for the rows of Z, Σλ = 1."""
        found = {n: int(x) * Fraction(2) ** self.rows.integer(n)[2]
                 for kind, n, x in zip(self.kinds, self.names, self.right(), strict=True)
                 if kind == 0 and x}
        total = sum(found.values())
        return {n: x / total for n, x in found.items()}

    def right(self) -> np.ndarray:
        """B⁻¹b times the determinant."""
        return self.adjugate[:, -1]

    def along(self, name: int, kind: int) -> np.ndarray:
        """B⁻¹ times a column, times the determinant."""
        if kind:
            return -kind * self.adjugate[:, name]
        z, size, _ = self.rows.integer(name)
        return self.adjugate[:, :-1] @ z + self.adjugate[:, -1] * size

    def exchange(self, name: int, kind: int) -> bool:
        """Let a column in and the one that limits it out, of several the one of least name; whether
        the value stays.
        """
        adjugate, x, along, out = self.adjugate, self.right(), self.along(name, kind), -1
        self.work += 3 * len(x) ** 2 * (1.0 + self.det.bit_length() / 64) ** 1.5
        if self.work > LIMIT:
            N, d = self.rows.Z.shape
            raise ArithmeticError(f"whether some w separates the {N} samples of {d} features is "
                                  "hidden by rounding in float64, and too large a question for "
                                  "exact arithmetic")
        for i in range(len(x)):
            if along[i] > 0:
                less = -1 if out < 0 else x[i] * along[out] - x[out] * along[i]
                if less < 0 or (less == 0 and self._order(i) < self._order(out)):
                    out = i
        pivot, stays = int(along[out]), bool(x[out] == 0)
        changed = (adjugate * pivot - np.multiply.outer(along, adjugate[out])) // self.det
        changed[out] = adjugate[out]
        self.adjugate, self.det = changed, pivot
        self.kinds[out], self.names[out] = kind, name
        return stays

    def _order(self, i: int) -> tuple[bool, int, int]:
        return self.kinds[i] == 0, self.names[i], self.kinds[i]
