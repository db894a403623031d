"""Groups of features: lists of indices in which each feature stands once."""
from __future__ import annotations

from typing import Any

import numpy as np

from fastbias import checks

__all__ = ["partition"]


def partition(label: str, groups: Any) -> list[np.ndarray]:
    """The groups as arrays of whole numbers; TypeError or ValueError, naming the label, unless
    each feature 0 … d − 1 is in exactly one of them.
    """
    if isinstance(groups, (str, bytes)) or not hasattr(groups, "__iter__") \
        or getattr(groups, "shape", None) == ():
        raise TypeError(f"{label} must be a list of lists of feature indices, got "
                        f"{checks.short(groups)}")
    index = [checks.array(label, group, "a list of lists of feature indices", dims=1)
             for group in groups]
    flat = np.concatenate(index) if index else np.empty(0)
    if flat.size == 0 or not np.array_equal(np.sort(flat), np.arange(flat.size)):
        raise ValueError(f"{label} must hold each feature 0 ... d-1 exactly once, got "
                         f"{checks.short(groups)}")
    return [group.astype(int) for group in index]
