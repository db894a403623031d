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

__all__ = ["Carried", "dumps", "loads", "ours"]

PACKAGE = __package__.partition(".")[0]

_ARRIVED: dict[bytes, Any] = {}
"""The pieces that came, or went, as their functions."""


def ours(function: Callable[..., Any]) -> bool:
    """Whether a function is the package's own."""
    return (function.__module__ or "").startswith(PACKAGE + ".")  # (one of exec has none)


def dumps(thing: object) -> bytes:
    """A thing as bytes, with functions by their code where no import would find them."""
    return bytes(cloudpickle.dumps(thing))


def loads(raw: bytes) -> Any:
    """What `dumps` was given."""
    return cloudpickle.loads(raw)


class Carried:
    """What pickles by its name, or by its plain function; a copy of it is itself."""

    function: Any
    kind: str
    needs: Any

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """How to have it again."""
        home, name = self.function.__module__, self.function.__qualname__
        try:
            known = ours(self.function) \
                and attrgetter(name)(sys.modules[home]) is self
        except (AttributeError, KeyError):
            known = False
        if known:
            return _named, (home, name)
        raw = dumps((self.function, self.kind, self.needs))
        _ARRIVED[raw] = self
        return _made, (type(self), raw)

    def __deepcopy__(self, memo: object) -> Carried:
        return self                                       # of one that never changes


def _named(home: str, name: str) -> Any:
    __import__(home)
    return attrgetter(name)(sys.modules[home])


def _made(cls: Callable[..., Any], raw: bytes) -> Any:
    if raw not in _ARRIVED:
        function, kind, needs = loads(raw)
        _ARRIVED[raw] = cls(function, vars(sys.modules[cls.__module__])[kind], needs)
    return _ARRIVED[raw]
