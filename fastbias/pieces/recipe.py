"""How a piece was made: each factory's product remembers the call, so that a checkpoint, or another
process, can make it again.
"""
from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from fastbias.engine import travel

__all__ = ["Portable", "Seed", "is_recorded", "recorded"]

Seed = int | np.random.Generator | np.random.SeedSequence | np.random.BitGenerator | None
"""What draws: a whole number, something of NumPy's that draws, or None for the system."""

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
        # a recipe must make the same piece again, so that chance is fixed here
        if "rng" in signature.parameters:
            rng = call.arguments.get("rng")
            if rng is None:
                call.arguments["rng"] = int.from_bytes(os.urandom(6), "little")
            elif isinstance(rng, (np.random.Generator, np.random.SeedSequence,
                                  np.random.BitGenerator)):
                call.arguments["rng"] = int(np.random.default_rng(rng).integers(2 ** 53))
        made = factory(*call.args, **call.kwargs)
        if not hasattr(made, "recipe"):
            # (what a method that is changed by hand was made of is asked as well)
            for thing in filter(None, (made, getattr(made, "_origin", None))):
                object.__setattr__(thing, "recipe", (factory.__name__, dict(call.arguments)))
                object.__setattr__(thing, "_maker", make)
        return made
    _FACTORIES.add(make)
    return make


_FACTORIES: set[Any] = set()


def is_recorded(thing: Any) -> bool:
    """Whether it is a factory of this package that was decorated with `recorded`, and no product of
    one.
    """
    return isinstance(thing, FunctionType) and thing in _FACTORIES


class Portable:
    """What pickles and copies as it was made: a piece that stands in the package by its name, a
    product of a factory by its recipe, anything else by its fields, functions by their code.
    """

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """How to make it again."""
        shelf = ".".join(type(self).__module__.split(".")[:3])
        home = vars(sys.modules[shelf])
        name = next((name for name in home.get("__all__", ()) if home[name] is self), None)
        if name is not None:
            return _ready, (shelf, name)
        return _again, (travel.dumps(self._call()),)

    def _call(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The call that makes it again."""
        if hasattr(self, "_maker"):
            return self._maker, self.recipe[1]  # type: ignore[attr-defined]
        return type(self), {x.name: getattr(self, x.name)
                            for x in fields(self)}  # type: ignore[arg-type]


def _ready(shelf: str, name: str) -> Any:
    return vars(sys.modules[shelf])[name]


def _again(raw: bytes) -> Any:
    call, arguments = travel.loads(raw)
    return call(**arguments)


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
