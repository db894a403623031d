"""How a piece was made: each factory's product remembers the call, so that a checkpoint can make it
again.
"""
from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

import numpy as np

__all__ = ["is_recorded", "recorded"]

P = ParamSpec("P")
T = TypeVar("T")


def recorded(factory: Callable[P, T]) -> Callable[P, T]:
    """Decorate a factory of pieces or methods: its product gets ``recipe`` = (name, arguments).

    An argument ``rng`` that is no whole number is replaced by one drawn from it, so that the recipe
    tells all.
    """
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> T:
        call = signature.bind(*args, **kwargs)
        # the caller's arrays may change, his iterators run dry
        for name, value in call.arguments.items():
            call.arguments[name] = _own(value)
        if "rng" in signature.parameters:
            rng = call.arguments.get("rng")
            if rng is None:
                call.arguments["rng"] = int.from_bytes(os.urandom(6), "little")
            elif isinstance(rng, (np.random.Generator, np.random.SeedSequence,
                                  np.random.BitGenerator)):
                call.arguments["rng"] = int(np.random.default_rng(rng).integers(2 ** 53))
        made = factory(*call.args, **call.kwargs)
        if not hasattr(made, "recipe"):
            object.__setattr__(made, "recipe", (factory.__name__, dict(call.arguments)))
        return made
    _FACTORIES.add(make)
    return make


_FACTORIES: set[Any] = set()


def is_recorded(thing: Any) -> bool:
    """Whether it is a factory of this package that was decorated with `recorded`, and no product of
    one.
    """
    return isinstance(thing, FunctionType) and thing in _FACTORIES


def _own(value: Any) -> Any:
    """A copy of an array or of a list of numbers, a list of what an iterator yields; anything else
    as it is.
    """
    if isinstance(value, np.ndarray):
        return value.copy()
    if hasattr(value, "__next__"):
        return list(value)
    if type(value) in (list, tuple):
        return type(value)(_own(x) for x in value)
    return value
