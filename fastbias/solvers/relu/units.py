"""All units of size one, as the data see them, and the largest value that a dual takes on them.

A unit v = (b, c) has the size ‖b‖ where biases are free, ‖(b, c)‖ where they are counted. For
weights λ of samples the *dual function* φ(v) = Σ λ_n [⟨b, x_n⟩ + c]₊ is linear on each face of the
arrangement. On the flat of a face, in a basis E that is orthonormal in the size, it is ⟨h, u⟩ at
v = E u: so where φ is largest or smallest over the face at size one, v is ± E h/‖h‖, or lies on a
smaller face. Every such v is looked at, whether it lies in its face or not: each is a unit, and the
extremes are among them. Free biases leave out the faces on which no ⟨z_n, v⟩ is 0, as φ is
piecewise linear in c there, and Σλ = 0.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastbias.checks.sizes import worst
from fastbias.solvers.relu.arrangement import (
    MOST,
    count,
    flat_basis,
    independent,
    sign_vectors,
    unscaled,
    whole,
)

__all__ = ["Critical", "Flat", "Units"]


class Critical(NamedTuple):
    """Units at which φ may be extreme: their flats (m,), coordinates u (m, k) there, and φ (m,)."""

    flats: np.ndarray
    u: np.ndarray
    phi: np.ndarray


@dataclass(frozen=True, eq=False)
class Flat:
    """A flat and its faces.

    Parameters
    ----------
    basis : (k, d + 1)
        Units (b, c), orthonormal in the size.
    seen : (k, N)
        ⟨b, x_n⟩ + c of each in units of 2^`Units.power`, correct to a rounding; 0 where the flat
        vanishes.
    active : (F, N) of 0, 1
        Which samples each face sees.
    """

    basis: np.ndarray
    seen: np.ndarray
    active: np.ndarray

    def extreme(self, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The u (m, k) of size one at which φ may be extreme on a face, and φ there."""
        h = (self.active * lam) @ self.seen.T
        length = np.sqrt((h * h).sum(axis=1))
        u = h[length > 0] / length[length > 0, None]
        # where φ is largest, and where it is smallest
        u = np.concatenate([u, -u])
        return u, np.maximum(u @ self.seen, 0.0) @ lam


class Units:
    """The units of size one over distinct points X (N, d), by the faces that they lie on.

    Parameters
    ----------
    X : (N, d)
    counted : bool
        Whether biases count in a unit's size.

    Raises
    ------
    ValueError
        Where there may be more than `MOST` faces.
    """

    def __init__(self, X: np.ndarray, counted: bool) -> None:
        self.X, self.counted = X, counted
        N, d = X.shape
        Z, self._least = whole(np.column_stack([X, np.ones(N)]))
        columns = independent(Z)
        faces = count(N, len(columns))
        if faces > MOST:
            raise ValueError(f"X must cut the units into at most {MOST:,} faces, got {N} points of "
                             f"{d} features, which make up to {faces:,}")
        self._Z = Z
        # of directions that no sample sees units only grow: where there are some, units are made
        # of samples, however many features these have
        made = Z if counted else Z[1:, :d] - Z[0, :d]
        own = independent(made.T)
        self._made = None if len(own) == made.shape[1] else made[own]
        signs = sign_vectors(Z[:, columns])[1:]
        zeros = signs == 0
        if not counted:
            signs, zeros = signs[zeros.any(axis=1)], zeros[zeros.any(axis=1)]
        order = np.lexsort(zeros.T)
        ends = np.flatnonzero((zeros[order][1:] != zeros[order][:-1]).any(axis=1)) + 1
        measured = [(*self._measured(zeros[at[0]]), (signs[at] > 0).astype(float))
                    for at in np.split(order, ends)] if len(signs) else []
        # in a unit in which the largest number is of size one
        self.power = max((int(np.frexp(np.abs(seen).max())[1]) + e
                          for _, seen, e, _ in measured), default=0)
        self.flats = [Flat(basis, np.ldexp(seen, e - self.power), active)
                      for basis, seen, e, active in measured]
        self.faces = len(signs)
        # the most that a sample sees of a unit of size one that lies on a face
        self.widest = max((float(np.sqrt((f.seen ** 2).sum(axis=0)).max()) for f in self.flats),
                          default=0.0)
        # flats that are rays have two units of size one each, whatever λ is
        self._rays = np.array([i for i, flat in enumerate(self.flats) if len(flat.seen) == 1], int)
        self._wide = [i for i, flat in enumerate(self.flats) if len(flat.seen) > 1]
        seen = [self.flats[i].seen for i in self._rays]
        self._ahead = np.concatenate([np.empty((0, N)), *seen, *(-part for part in seen)])

    def _measured(self, zeros: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """A basis of the flat of these zeros, and what the samples see of it, in units of 2^e."""
        d, rows = self.X.shape[1], self._Z
        if not self.counted:
            # from a point of the flat: differences round once, however far the data lie from 0
            n = int(np.flatnonzero(zeros)[0])
            rows = rows[:, :d] - rows[n, :d]
        vectors = self._vanishing(rows[zeros])
        floats = np.array([_unit(v) for v in vectors]).reshape(len(vectors), -1)
        sizes, products = [], []
        for v in vectors:
            # whole numbers: nothing cancels
            squares, e = unscaled(np.array([sum(int(x) * int(x) for x in v)], dtype=object))
            sizes.append((float(squares[0]), e))
            products.append(unscaled(rows.dot(v)))
        powers = [e - s // 2 for (_, e), (_, s) in zip(products, sizes, strict=True)]
        top = max(powers, default=0)
        seen = np.array([np.ldexp(p / np.sqrt(m * 2 ** (s % 2)), e - top)
                         for (p, _), (m, s), e in zip(products, sizes, powers, strict=True)])
        if not self.counted:
            floats = np.column_stack([floats, -(floats @ self.X[n])])
        return floats, seen.reshape(len(vectors), -1), top + self._least

    def _vanishing(self, rows: np.ndarray) -> np.ndarray:
        """Orthogonal whole vectors that span the units on which these rows vanish."""
        if self._made is None:
            return flat_basis(rows, rows.shape[1])
        weights = flat_basis(rows.dot(self._made.T), len(self._made),
                             self._made.dot(self._made.T))
        return np.asarray(weights.dot(self._made))

    def critical(self, lam: np.ndarray) -> Iterator[Critical]:
        """Every unit at which φ_λ may be largest or smallest, for λ (N,)."""
        yield Critical(np.tile(self._rays, 2),
                       np.repeat([[1.0], [-1.0]], len(self._rays), axis=0),
                       np.maximum(self._ahead, 0.0) @ lam)
        for i in self._wide:
            u, phi = self.flats[i].extreme(lam)
            yield Critical(np.full(len(u), i), u, phi)

    def largest(self, lam: np.ndarray) -> float:
        """max |φ_λ(v)| over all units of size one, in units of 2^`power`, for λ (N,), of sum 0
        where biases are free.
        """
        return worst(*(np.abs(phi) for _, _, phi in self.critical(lam)))


def _unit(v: np.ndarray) -> np.ndarray:
    """A whole vector, of length one."""
    x = unscaled(v)[0]
    return np.asarray(x / np.sqrt((x * x).sum()))
