"""What columns are called: the names that come with data, kept for all that is printed of them."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks import own
from fastbias.checks.own import INTERCEPT

__all__ = ["different", "entries", "largest", "named", "order"]

SHOWN = 8             # entries of a vector that are printed by their names


def named(label: str, names: Sequence[str] | None, X: Any, d: int) -> tuple[str, ...] | None:
    """Names of the d columns of X: those given, which are checked, else its own, if any."""
    if names is None:
        return own.names(X)
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{label} must be a list of strings, got {checks.short(names)}")
    found = list(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"{label} must be a list of strings, got {checks.short(name)} in it")
    different(label, found)
    if len(found) != d:
        raise ValueError(f"{label} must have one entry for each column of X, got {len(found)} "
                         f"entries for {d} columns")
    return tuple(map(str, found))


def different(label: str, names: Sequence[str]) -> None:
    """Raise ValueError where a name comes twice, or is that of the intercept."""
    known = {INTERCEPT}
    for name in names:
        if name in known:
            raise ValueError(f"{label} must be different, and not {INTERCEPT!r}, got {name!r}"
                             + " twice" * (name != INTERCEPT))
        known.add(name)


def entries(names: Sequence[str] | None, shape: tuple[int, ...],
            classes: np.ndarray | Sequence[Any] | None = None) -> list[str] | None:
    """What each entry of a predictor of this shape is called, row after row: its column, after its
    class where it has classes; None where nobody knows.
    """
    if names is None or shape[-1:] != (len(names),) or len(shape) > 2:
        return None
    if len(shape) == 1:
        return list(names)
    known = np.arange(shape[0]) if classes is None or len(classes) != shape[0] else classes
    return [f"{c}: {name}" for c in map(_text, np.asarray(known).tolist()) for name in names]


def _text(label: object) -> str:
    return f"{label:g}" if isinstance(label, float) else str(label)


def largest(w: np.ndarray, called: Callable[[int], str]) -> str:
    """The entries of a vector by their names, as one line: of many the largest ones."""
    flat = np.ravel(w)
    told = ", ".join(f"{called(i)}: {flat[i] + 0.0:.6g}" for i in order(flat).tolist())
    return told + (f", … {flat.size - SHOWN} more" if flat.size > SHOWN else "")


def order(flat: np.ndarray) -> np.ndarray:
    """Which entries of a vector are shown: all of few, of many the largest first, NaN last."""
    if flat.size <= SHOWN:
        return np.arange(flat.size)
    return np.argsort(-np.nan_to_num(np.abs(flat), nan=-1.0, posinf=np.inf), kind="stable")[:SHOWN]
