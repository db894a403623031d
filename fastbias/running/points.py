"""The points of a sweep: all combinations of a grid, which are made when they are asked for."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastbias import checks

__all__ = ["Grid", "Point", "listed", "points"]

Point = dict[str, Any]


class Grid(Sequence[Point]):
    """All combinations of the values of a grid, the last name fastest.

    Attributes
    ----------
    axes : dict of str to list
    shape : tuple of int
        How many values each has.
    """

    def __init__(self, grid: Mapping[str, Any]) -> None:
        for name, values in grid.items():
            # (an array without axes has the method, and cannot be gone through)
            listable = hasattr(values, "__iter__") and getattr(values, "ndim", 1) > 0
            if isinstance(values, str | bytes | Mapping) or not listable:
                raise TypeError("grid must map each name to a sequence of values, got "
                                f"{checks.short(values)} for {name!r}")
        self.axes = {name: list(values) for name, values in grid.items()}
        self.shape = tuple(map(len, self.axes.values()))

    def __len__(self) -> int:
        return math.prod(self.shape)

    def places(self, which: np.ndarray) -> dict[str, np.ndarray]:
        """Where on each axis points stand, by their numbers."""
        places = np.unravel_index(which, self.shape) if self.shape else ()
        return dict(zip(self.axes, places, strict=True))

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        i = range(len(self))[i]
        # (of a grid without names the one point is empty)
        at = np.unravel_index(i, self.shape) if self.shape else ()
        return {name: values[j] for (name, values), j in zip(self.axes.items(), at, strict=True)}


    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        size = " × ".join(f"{len(values)} {name}" for name, values in self.axes.items())
        return f"<{len(self)} points: {size}>"


def listed(some: object) -> list[Any]:
    """What an iterable yields; anything else, such as an array without axes, alone."""
    return list(some) if isinstance(some, Iterable) and getattr(some, "ndim", 1) > 0 else [some]


def points(grid: object) -> tuple[Sequence[Point], tuple[int, ...]]:
    """The points of a grid, or those that were given as such, and their shape."""
    if isinstance(grid, Mapping):
        made = Grid(grid)
        return made, made.shape
    given = listed(grid)
    if not all(isinstance(point, Mapping) for point in given):
        raise TypeError("grid must be a mapping of names to sequences, or an iterable of "
                        "mappings, where plans is a factory or a template, got "
                        f"{checks.short(grid)}")
    return [dict(point) for point in given], (len(given),)
