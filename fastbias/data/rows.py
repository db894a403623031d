"""The rows z_n of a problem, of which all that solvers ask is margins ⟨w, z_n⟩, sums Σ λ_n z_n, and
a few rows themselves: dense, sparse (`scipy.sparse`, never made dense as a whole), or of classes,
which are kept as the samples that they are made of.

The last columns may be free: those of an intercept b, whose entries are in no norm. A row has y
there, or e_y − e_c with classes, so that w has b as its last entries.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np

from fastbias.checks import Sparse, foreign

__all__ = ["ClassRows", "Matrix", "Rows", "called", "dense", "largest", "signed", "sizes"]

Matrix = np.ndarray | Sparse
MOST = 2 ** 30        # numbers of rows that are made dense: 8 GiB


class Rows:
    """Rows z (N, d) of a matrix A of float64 that NumPy or `scipy.sparse` (CSR) holds, of whose
    columns so many, the last ones, are ``free``; and the labels y (N,) of two classes, where z = y
    x.
    """

    def __init__(self, A: Matrix, free: int = 0, y: np.ndarray | None = None) -> None:
        self.A, self.free = A, free
        self.y = np.empty(0) if y is None else y
        self.count, self.size = map(int, A.shape)

    @classmethod
    def of(cls, Z: Rows | np.ndarray) -> Rows:
        """Rows as they are, or those of an array (N, d)."""
        return Z if isinstance(Z, Rows) else cls(Z)

    @property
    def sparse(self) -> bool:
        """Whether A is of `scipy.sparse`."""
        return not isinstance(self.A, np.ndarray)

    def margins(self, w: np.ndarray) -> np.ndarray:
        """⟨w, z_n⟩ (N,) for w (d,)."""
        return np.asarray(self.A @ w)

    def pull(self, lam: np.ndarray) -> np.ndarray:
        """Σ λ_n z_n (d,) for λ (N,)."""
        return np.asarray(self.A.T @ lam)

    def take(self, which: np.ndarray) -> np.ndarray:
        """The rows (k, d) of indices (k,), dense; ValueError where they do not fit into memory."""
        self._fitting(which.size)
        return dense(self.A[which])

    def _fitting(self, count: int) -> None:
        if count * self.size > MOST:
            raise ValueError(f"X must be so small that the {count} rows that decide fit into memory"
                             f" with {self.size} entries each, got "
                             f"{count * self.size * 8 / 1e9:.3g} GB")

    def part(self, which: np.ndarray) -> Rows:
        """The rows of indices (k,), sparse where these are."""
        return Rows(self.A[which], self.free)

    def gram(self, which: np.ndarray) -> np.ndarray:
        """⟨z_n, z_k⟩ (k, k) of rows of indices (k,), but for their free columns."""
        rows = self.A[which][:, :self.bound]
        return dense(rows @ rows.T)

    @property
    def bound(self) -> int:
        """How many columns are not free."""
        return self.size - self.free

    def loose(self, which: np.ndarray | slice) -> np.ndarray:
        """The entries (k, free) of rows in free columns."""
        return dense(self.A[which][:, self.bound:])

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The class a row is of, and the one that it is held against, as its free columns say."""
        return _ends(self.loose(slice(None)))

    def freed(self) -> Rows | None:
        """The same with free columns, where labels are known."""
        if self.free or not self.y.size:
            return None
        return Rows(_beside(self.A, self.y), 1, self.y)

    def dense(self) -> np.ndarray:
        """All rows (N, d); ValueError where they do not fit into memory."""
        if self.count * self.size > MOST:
            raise ValueError(f"X must be so small that its {self.count} rows fit into memory with "
                             f"{self.size} entries each, got {self.count * self.size * 8 / 1e9:.3g}"
                             " GB")
        return dense(self.A)

    def matrix(self) -> Matrix:
        """All rows, sparse where these are; ValueError where they do not fit into memory."""
        return self.A if self.sparse else self.dense()

    def scaled(self, power: int) -> Rows:
        """The same times 2^power, which is exact; free columns stay: what is free has no unit."""
        return self if power == 0 else Rows(_ldexp(self.A, power, self.bound), self.free, self.y)

    def shifted(self, by: np.ndarray) -> Rows:
        """Dense ones with free columns, of samples x + by."""
        # (free columns hold the signs of samples)
        y = self.loose(slice(None))
        return Rows(np.hstack([dense(self.A)[:, :self.bound] + y * by, y]), self.free, self.y)

    @cached_property
    def tops(self) -> np.ndarray:
        """The largest |entry| of each row (N,)."""
        return largest(self.A, 1)

    @cached_property
    def columns(self) -> np.ndarray:
        """The largest |entry| of each column (d,)."""
        return largest(self.A, 0)

    @cached_property
    def lengths(self) -> np.ndarray:
        """‖z_n‖₂ (N,); beyond float64 where squares are."""
        return _lengths(self.A)


class ClassRows(Rows):
    """Rows (e_y − e_c) ⊗ x_n for each sample x_n of X (N, m) and each class c ≠ y_n of K, samples
    first, for w (K, m) kept flat; with an ``intercept`` K free columns e_y − e_c follow.
    """

    def __init__(self, X: Matrix, y: np.ndarray, K: int, intercept: bool = False) -> None:
        self.A, self.y, self.K, self.free = X, y.astype(int), K, K if intercept else 0
        self.samples, self.features = map(int, X.shape)
        self.count, self.size = self.samples * (K - 1), K * self.features + self.free
        self.own = np.arange(K) == self.y[:, None]              # (N, K)

    def margins(self, w: np.ndarray) -> np.ndarray:
        """⟨w_y − w_c, x_n⟩ (N (K − 1),) for w (K m,), and b_y − b_c more where b (K,) follows."""
        scores = np.asarray(self.A @ w[:self.bound].reshape(self.K, -1).T)
        # (ones are never written beside X)
        if self.free:
            scores = scores + w[self.bound:]
        return np.asarray((scores[self.own][:, None] - scores)[~self.own])

    def pull(self, lam: np.ndarray) -> np.ndarray:
        """Σ λ_nc (e_y − e_c) ⊗ x_n (K m,), and Σ λ_nc (e_y − e_c) where columns are free."""
        # each λ pulls its sample's class up and the other one down
        weights = np.zeros((self.samples, self.K))
        weights[~self.own] = -lam
        weights[self.own] = -weights.sum(axis=1)
        pull = np.asarray(self.A.T @ weights).T.ravel()
        return np.append(pull, weights.sum(axis=0)) if self.free else pull

    def take(self, which: np.ndarray) -> np.ndarray:
        """The rows (k, K m) of indices (k,), dense; ValueError where they do not fit."""
        self._fitting(which.size)
        sample, signs = self._pairs(which)
        x = dense(self.A[sample])
        z = np.asarray((signs[:, :, None] * x[:, None, :] + 0.0).reshape(which.size, -1))
        return np.hstack([z, signs]) if self.free else z

    def part(self, which: np.ndarray) -> Rows:
        """The rows of indices (k,), dense."""
        return Rows(self.take(which), self.free)

    def gram(self, which: np.ndarray) -> np.ndarray:
        """⟨z_n, z_k⟩ (k, k) of rows of indices (k,), but for their free columns."""
        sample, signs = self._pairs(which)
        x = self.A[sample]
        return np.asarray(dense(x @ x.T) * (signs @ signs.T))

    def _pairs(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whose rows these are, and e_y − e_c (k, K) of each."""
        sample, other = np.divmod(which, self.K - 1)
        own, classes = self.y[sample], np.arange(self.K)
        other = other + (other >= own)
        return sample, (classes == own[:, None]) * 1.0 - (classes == other[:, None])

    def loose(self, which: np.ndarray | slice) -> np.ndarray:
        """The entries (k, K) of rows in free columns."""
        which = np.arange(self.count)[which] if isinstance(which, slice) else which
        return self._pairs(which)[1]

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The class a row is of, and the one that it is held against."""
        others = np.broadcast_to(np.arange(self.K), self.own.shape)[~self.own]
        return np.repeat(self.y, self.K - 1), others

    def freed(self) -> Rows | None:
        """The same with free columns."""
        return None if self.free else ClassRows(self.A, self.y, self.K, True)

    def dense(self) -> np.ndarray:
        """All rows (N (K − 1), K m); ValueError where they do not fit into memory."""
        self.fit()
        return self.take(np.arange(self.count))

    def matrix(self) -> Matrix:
        """All rows, dense."""
        return self.dense()

    def fit(self) -> None:
        """Raise ValueError where all rows, dense, would not fit into memory."""
        if self.count * self.size > MOST:
            raise ValueError("labels must be so few that all pairs of them fit into memory, got "
                             f"{self.K} classes of {self.samples} samples, "
                             f"{self.count * self.size * 8 / 1e9:.3g} GB")

    def scaled(self, power: int) -> Rows:
        """The same times 2^power, which is exact; free columns stay."""
        return self if power == 0 else ClassRows(_ldexp(self.A, power, self.features), self.y,
                                                 self.K, self.free > 0)

    def shifted(self, by: np.ndarray) -> Rows:
        """Dense ones with free columns, of samples x + by."""
        return ClassRows(self.A + by, self.y, self.K, True)

    @cached_property
    def tops(self) -> np.ndarray:
        """The largest |entry| of each row (N (K − 1),)."""
        return np.repeat(np.maximum(largest(self.A, 1), min(self.free, 1)), self.K - 1)

    @cached_property
    def columns(self) -> np.ndarray:
        """The largest |entry| of each column (K m,)."""
        # each sample is in its own class's columns or, as another, in every other's
        return np.append(np.tile(largest(self.A, 0), self.K), np.ones(self.free))

    @cached_property
    def lengths(self) -> np.ndarray:
        """‖z_n‖₂ (N (K − 1),)."""
        lengths = _lengths(self.A)
        # a row has its sample twice, and so its one
        lengths = np.hypot(lengths, 1.0) if self.free else lengths
        return np.repeat(lengths * 2.0 ** 0.5, self.K - 1)


def signed(X: Matrix, y: np.ndarray, classes: int = 1, intercept: bool = False) -> Rows:
    """The rows z with margins ⟨w, z⟩: y_n x_n, or (e_y − e_c) ⊗ x_n, c ≠ y, for K > 1 classes; with
    an ``intercept`` their free columns follow.
    """
    if classes > 1:
        rows = ClassRows(X, y, classes, intercept)
        # (most likely numbers, not labels)
        if 2 * classes > rows.samples:
            rows.fit()
        return rows
    if isinstance(X, np.ndarray):
        # (in place: of many rows a copy more would be felt)
        A = np.empty((X.shape[0], X.shape[1] + intercept))
        np.multiply(y[:, None], X, out=A[:, :X.shape[1]])
        A[:, X.shape[1]:] = y[:, None]
        return Rows(A, int(intercept), y)
    # (a product with a diagonal matrix would sort the entries anew)
    Z = X.copy()
    Z.data = Z.data * np.repeat(y, np.diff(Z.indptr))
    return Rows(_beside(Z, y), 1, y) if intercept else Rows(Z, 0, y)


def _beside(A: Matrix, y: np.ndarray) -> Matrix:
    """A with one more column."""
    if isinstance(A, np.ndarray):
        return np.column_stack([A, y])
    sparse: Any = foreign.library("scipy.sparse")
    return cast(Sparse, sparse.hstack([A, sparse.csr_array(y[:, None])], format="csr"))


def _ends(loose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rows of free entries are over 0, and where under it; 1 and 0 for a single column."""
    # two classes share one column, whose sign says which
    if loose.shape[1] == 1:
        own = (loose[:, 0] > 0).astype(int)
        return own, 1 - own
    return loose.argmax(axis=1), loose.argmin(axis=1)


def called(row: int, own: np.ndarray, names: Sequence[object]) -> str:
    """A row z in words: the number of its sample; of `ClassRows` for classes of these names, own
    (N,) that of each sample, with the class that it is held against.
    """
    if len(names) < 3:
        return str(row)
    sample, other = divmod(int(row), len(names) - 1)
    other += int(other >= own[sample])
    return f"{sample} against {names[other]}"


def dense(A: Matrix) -> np.ndarray:
    """The matrix as an array."""
    return np.asarray(A if isinstance(A, np.ndarray) else A.toarray())


def _ldexp(A: Matrix, power: int, columns: int) -> Matrix:
    """The first columns times 2^power."""
    if isinstance(A, np.ndarray):
        A = A.copy()
        np.ldexp(A[:, :columns], power, out=A[:, :columns])
        return A
    found: Any = A.copy()
    found.data = np.where(found.indices < columns, np.ldexp(found.data, power), found.data)
    return cast(Sparse, found)


def sizes(A: Matrix) -> Matrix:
    """|A|, entry by entry."""
    return np.abs(A) if isinstance(A, np.ndarray) else abs(A)


def largest(A: Matrix, axis: int) -> np.ndarray:
    """The largest |entry| of each row (axis 1) or of each column (axis 0)."""
    if isinstance(A, np.ndarray):
        # (two passes without a copy)
        return np.maximum(A.max(axis=axis, initial=0.0), -A.min(axis=axis, initial=0.0))
    return dense(abs(A).max(axis=axis)).ravel()


def _lengths(A: Matrix) -> np.ndarray:
    if isinstance(A, np.ndarray):
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", A, A)))
    return np.asarray(np.sqrt(A.multiply(A).sum(axis=1))).ravel()
