"""What is laid out of data for the passes, shared by all runs that read the same.

A run fills its ``packed`` when it first begins; here stands who has filled which already. Nothing
is kept alive: the last run that holds a layout takes it along. Two runs that begin at once may both
fill one: they write the same numbers, each but once, so neither sees others.
"""
from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.abi import PACKED, Buffers

__all__ = ["aligned", "begin", "end", "laid"]


class Layout(NamedTuple):
    """A layout that somebody holds."""

    X: Any       # a weak reference to the data that it is of
    packed: Any  # and to itself


_LAYOUTS: dict[tuple[Any, ...], Layout] = {}
_FILLED: dict[int, Any] = {}         # by id, weak references to those that are filled


def aligned(size: int) -> np.ndarray:
    """Zeros (size,) that begin where a cache line does."""
    memory = np.zeros(size + 8)
    start = -memory.ctypes.data % 64 // 8
    return memory[start:start + size]


def laid(X: Any, about: tuple[Any, ...], size: int) -> np.ndarray:
    """The layout (size,) of X that ``about`` (targets, loss …) tells from others, filled or not."""
    key = id(X), size, *about
    found = _LAYOUTS.get(key)
    packed = None if found is None or found.X() is not X else found.packed()
    if packed is None:
        packed = aligned(size)
        _LAYOUTS[key] = Layout(weakref.ref(X), weakref.ref(packed, lambda gone: _forget(key, gone)))
    return packed


def _forget(key: tuple[Any, ...], gone: Any) -> None:
    """Leave out a layout that nobody holds."""
    found = _LAYOUTS.get(key)
    if found is not None and found.packed is gone:        # (else another has its place)
        _LAYOUTS.pop(key, None)


def begin(buffers: Buffers) -> None:
    """Have a run know that somebody has filled what it reads."""
    known = _FILLED.get(id(buffers.packed))
    if known is not None and known() is buffers.packed:
        buffers.control[PACKED] = 1


def end(buffers: Buffers) -> None:
    """Let others know that a run has filled what they may read as well."""
    packed = buffers.packed
    number = id(packed)
    if buffers.control[PACKED] and number not in _FILLED:
        _FILLED[number] = weakref.ref(packed, lambda gone: _empty(number, gone))


def _empty(number: int, gone: Any) -> None:
    """Leave out a layout that is no more."""
    if _FILLED.get(number) is gone:
        _FILLED.pop(number, None)
