"""How compiled pieces and what is made of them travel to other processes.

A piece of the package goes by its name. One of anybody else's goes as the plain function that it
was made of, with the helpers that this names (cloudpickle, which Numba brings along), and is
compiled where it arrives: addresses mean nothing there. The same function that arrives again is the
same piece, so that it is compiled once a process, not once a run.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from numba import cloudpickle

__all__ = ["dumps", "loads", "reduced"]

PACKAGE = __package__.partition(".")[0]

_ARRIVED: dict[bytes, Any] = {}
"""The pieces that came, or went, as their functions."""


def dumps(thing: object) -> bytes:
    """A thing as bytes, with functions by their code where no import would find them."""
    return bytes(cloudpickle.dumps(thing))


def loads(raw: bytes) -> Any:
    """What `dumps` was given."""
    return cloudpickle.loads(raw)


def reduced(piece: Any, kind: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """What ``__reduce__`` says of a piece whose signature has the name ``kind``."""
    function = piece.function
    home, name = function.__module__, function.__qualname__
    try:
        known = home.startswith(PACKAGE + ".") and attrgetter(name)(sys.modules[home]) is piece
    except (AttributeError, KeyError):
        known = False
    if known:
        return _named, (home, name)
    raw = dumps((function, kind, piece.needs))
    _ARRIVED[raw] = piece
    return _made, (type(piece), raw)


def _named(home: str, name: str) -> Any:
    __import__(home)
    return attrgetter(name)(sys.modules[home])


def _made(cls: Callable[..., Any], raw: bytes) -> Any:
    if raw not in _ARRIVED:
        function, kind, needs = loads(raw)
        _ARRIVED[raw] = cls(function, vars(sys.modules[cls.__module__])[kind], needs)
    return _ARRIVED[raw]
