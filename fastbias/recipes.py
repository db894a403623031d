"""How a piece was made: each factory's product remembers the call, so that a checkpoint can make it again."""
from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np

__all__ = ["recorded"]

P = ParamSpec("P")
T = TypeVar("T")


def recorded(factory: Callable[P, T]) -> Callable[P, T]:
    """Decorate a factory of pieces or methods: its product gets ``recipe`` = (name, arguments).

    An argument ``rng`` that is no whole number is replaced by one drawn from it, so that the recipe tells all.
    """
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> T:
        call = signature.bind(*args, **kwargs)
        if "rng" in signature.parameters:
            rng = call.arguments.get("rng")
            if rng is None:
                call.arguments["rng"] = int.from_bytes(os.urandom(6), "little")
            elif isinstance(rng, np.random.Generator):
                call.arguments["rng"] = int(rng.integers(2 ** 53))
        made = factory(*call.args, **call.kwargs)
        if not hasattr(made, "recipe"):
            object.__setattr__(made, "recipe", (factory.__name__, dict(call.arguments)))
        return made
    return make
