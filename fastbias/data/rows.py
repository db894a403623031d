"""The rows z_n of a problem, of which all that solvers ask is margins ⟨w, z_n⟩, sums Σ λ_n z_n, and
a few rows themselves: dense, sparse (`scipy.sparse`, never made dense as a whole), or of classes,
which are kept as the samples that they are made of.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from fastbias.checks import Sparse, foreign

__all__ = ["PARTS", "ClassRows", "Matrix", "Rows", "blocks", "dense", "joined", "largest", "ldexp",
           "parts", "signed", "sizes"]

Matrix = np.ndarray | Sparse
MOST = 2 ** 30        # numbers of rows that are made dense: 8 GiB
PARTS = "X_data", "X_indices", "X_indptr"    # what files call the arrays of CSR
BLOCK = 2 ** 20       # and of those that are made dense for a look at them


class Rows:
    """Rows z (N, d) of a matrix A of float64 that NumPy or `scipy.sparse` (CSR) holds."""

    def __init__(self, A: Matrix) -> None:
        self.A = A
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
        """The rows (k, d) of indices (k,), dense."""
        return dense(self.A[which])

    def part(self, which: np.ndarray) -> Rows:
        """The rows of indices (k,), sparse where these are."""
        return Rows(self.A[which])

    def gram(self, which: np.ndarray) -> np.ndarray:
        """⟨z_n, z_k⟩ (k, k) of rows of indices (k,)."""
        rows = self.A[which]
        return dense(rows @ rows.T)

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
        """The same times 2^power, which is exact."""
        return self if power == 0 else self._like(ldexp(self.A, power))

    def _like(self, A: Matrix) -> Rows:
        return Rows(A)

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
    first, for w (K, m) kept flat.
    """

    def __init__(self, X: Matrix, y: np.ndarray, K: int) -> None:
        self.A, self.y, self.K = X, y.astype(int), K
        self.samples, self.features = map(int, X.shape)
        self.count, self.size = self.samples * (K - 1), K * self.features
        self.own = np.arange(K) == self.y[:, None]              # (N, K)

    def margins(self, w: np.ndarray) -> np.ndarray:
        """⟨w_y − w_c, x_n⟩ (N (K − 1),) for w (K m,)."""
        scores = np.asarray(self.A @ w.reshape(self.K, -1).T)
        return np.asarray((scores[self.own][:, None] - scores)[~self.own])

    def pull(self, lam: np.ndarray) -> np.ndarray:
        """Σ λ_nc (e_y − e_c) ⊗ x_n (K m,)."""
        # each λ pulls its sample's class up and the other one down
        weights = np.zeros((self.samples, self.K))
        weights[~self.own] = -lam
        weights[self.own] = -weights.sum(axis=1)
        return np.asarray(self.A.T @ weights).T.ravel()

    def take(self, which: np.ndarray) -> np.ndarray:
        """The rows (k, K m) of indices (k,), dense."""
        sample, signs = self._pairs(which)
        x = dense(self.A[sample])
        return np.asarray((signs[:, :, None] * x[:, None, :] + 0.0).reshape(which.size, -1))

    def part(self, which: np.ndarray) -> Rows:
        """The rows of indices (k,), dense."""
        return Rows(self.take(which))

    def gram(self, which: np.ndarray) -> np.ndarray:
        """⟨z_n, z_k⟩ (k, k) of rows of indices (k,)."""
        sample, signs = self._pairs(which)
        x = self.A[sample]
        return np.asarray(dense(x @ x.T) * (signs @ signs.T))

    def _pairs(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whose rows these are, and e_y − e_c (k, K) of each."""
        sample, other = np.divmod(which, self.K - 1)
        own, classes = self.y[sample], np.arange(self.K)
        other = other + (other >= own)
        return sample, (classes == own[:, None]) * 1.0 - (classes == other[:, None])

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

    def _like(self, A: Matrix) -> Rows:
        return ClassRows(A, self.y, self.K)

    @cached_property
    def tops(self) -> np.ndarray:
        """The largest |entry| of each row (N (K − 1),)."""
        return np.repeat(largest(self.A, 1), self.K - 1)

    @cached_property
    def columns(self) -> np.ndarray:
        """The largest |entry| of each column (K m,)."""
        # each sample is in its own class's columns or, as another, in every other's
        return np.tile(largest(self.A, 0), self.K)

    @cached_property
    def lengths(self) -> np.ndarray:
        """‖z_n‖₂ (N (K − 1),)."""
        return np.repeat(_lengths(self.A) * 2.0 ** 0.5, self.K - 1)


def signed(X: Matrix, y: np.ndarray, classes: int = 1) -> Rows:
    """The rows z with margins ⟨w, z⟩: y_n x_n, or (e_y − e_c) ⊗ x_n, c ≠ y, for K > 1 classes."""
    if classes > 1:
        rows = ClassRows(X, y, classes)
        # (most likely numbers, not labels)
        if 2 * classes > rows.samples:
            rows.fit()
        return rows
    if isinstance(X, np.ndarray):
        return Rows(np.ascontiguousarray(y[:, None] * X))
    # (a product with a diagonal matrix would sort the entries anew)
    Z = X.copy()
    Z.data = Z.data * np.repeat(y, np.diff(Z.indptr))
    return Rows(Z)


def dense(A: Matrix) -> np.ndarray:
    """The matrix as an array."""
    return np.asarray(A if isinstance(A, np.ndarray) else A.toarray())


def blocks(A: Matrix) -> Iterator[np.ndarray]:
    """The rows, dense, a few at a time: never all of a sparse matrix."""
    if isinstance(A, np.ndarray):
        yield A
        return
    size = max(1, BLOCK // A.shape[1])
    for n in range(0, A.shape[0], size):
        yield dense(A[n:n + size])


def ldexp(A: Matrix, power: int) -> Matrix:
    """A times 2^power, which is exact."""
    if isinstance(A, np.ndarray):
        return np.ldexp(A, power)
    A = A.copy()
    A.data = np.ldexp(A.data, power)
    return A


def sizes(A: Matrix) -> Matrix:
    """|A|, entry by entry."""
    return np.abs(A) if isinstance(A, np.ndarray) else abs(A)


def largest(A: Matrix, axis: int) -> np.ndarray:
    """The largest |entry| of each row (axis 1) or of each column (axis 0)."""
    if isinstance(A, np.ndarray):
        # (two passes without a copy)
        return np.maximum(A.max(axis=axis, initial=0.0), -A.min(axis=axis, initial=0.0))
    return dense(abs(A).max(axis=axis)).ravel()


def parts(A: Sparse) -> dict[str, np.ndarray]:
    """The arrays of a sparse matrix as a file names them."""
    return dict(zip(PARTS, (A.data, A.indices, A.indptr), strict=True))


def joined(arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> Sparse:
    """The sparse matrix of such arrays; ValueError or TypeError where they make none."""
    scipy = foreign.library("scipy.sparse")
    made: Sparse = scipy.csr_matrix(tuple(arrays[name] for name in PARTS), shape)
    made.check_format()               # (which looks at each number)
    return made


def _lengths(A: Matrix) -> np.ndarray:
    if isinstance(A, np.ndarray):
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", A, A)))
    return np.asarray(np.sqrt(A.multiply(A).sum(axis=1))).ravel()
