"""What of a matrix of `scipy.sparse` is asked, for those who read types; SciPy has none."""
from __future__ import annotations

from typing import Any, Protocol

import numpy as np

__all__ = ["Sparse"]


class Sparse(Protocol):
    """A matrix of `scipy.sparse`, in any format: what of it is asked."""

    shape: tuple[int, ...]
    dtype: np.dtype
    ndim: int
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    T: Sparse

    def check_format(self) -> None:
        """Raise where the arrays are no matrix."""

    def tocsr(self, copy: bool = False) -> Sparse:
        """Row by row."""

    def toarray(self) -> np.ndarray:
        """Dense."""

    def copy(self) -> Sparse:
        """With data of its own."""

    def multiply(self, other: Sparse) -> Sparse:
        """Entry by entry."""

    def max(self, axis: int) -> Sparse:
        """The largest entries along an axis, 0 where there are only smaller ones."""

    def sum(self, axis: int) -> np.ndarray:
        """Sums along an axis."""

    def tocsc(self, copy: bool = False) -> Sparse:
        """Column by column."""

    def __abs__(self) -> Sparse: ...

    def __getitem__(self, which: Any) -> Sparse: ...

    def __mul__(self, other: float) -> Sparse: ...

    def __matmul__(self, other: Any) -> Any: ...
