"""What data say of themselves: the names of their columns, the order of their categories."""
from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["INTERCEPT", "names", "order"]

INTERCEPT = "(intercept)"


def names(X: Any) -> tuple[str, ...] | None:
    """The names of the columns of a DataFrame, where they are different texts; None of others."""
    found = list(getattr(X, "columns", []))
    fit = all(isinstance(name, str) for name in found) and len({*found, INTERCEPT}) > len(found)
    return tuple(map(str, found)) if found and fit else None


def order(y: Any) -> np.ndarray | None:
    """The categories of pandas that occur, in their own order; None of labels without one."""
    categories = getattr(getattr(y, "dtype", None), "categories", None)
    if categories is None:
        return None
    there = set(np.asarray(y).tolist())
    return np.array([one for one in np.asarray(categories).tolist() if one in there])
