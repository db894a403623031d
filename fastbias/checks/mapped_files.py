"""Arrays in files that are mapped to be read: all of them is looked at once, and stays there."""
from __future__ import annotations

import numpy as np

__all__ = ["first_beyond", "read", "stays"]

LOOKED = 1 << 20          # entries that are looked at in one go: the rest need not be in memory


def read(label: str, value: np.memmap) -> np.ndarray:
    """A mapped file as an array; ValueError where one of its numbers is not finite."""
    rows = np.asarray(value)
    step = max(1, len(rows) * LOOKED // rows.size)
    for n in range(0, len(rows), step):
        if not np.isfinite(rows[n:n + step]).all():
            raise ValueError(f"{label} must be finite, got {first_beyond(rows[n:n + step])} in "
                             f"the rows from {n} on")
    return rows


def stays(value: np.memmap) -> bool:
    """Whether a mapped file can be worked with as it is."""
    return (value.mode == "r" and value.dtype == np.float64 and value.flags.c_contiguous
            and value.ndim in (2, 3) and value.size > 0)


def first_beyond(x: np.ndarray) -> str:
    """The first entry that is not finite, and where it stands."""
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
    return f"{x[at]}" + (f" at index {at if len(at) > 1 else at[0]}" if at else "")
