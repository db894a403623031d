"""Pieces by name, and what somebody most likely meant by a name that there is not."""
from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["meant", "named", "nearest"]

MEANT = {
    "norms": {"inf": "linf", "max": "linf", "l_inf": "linf", "euclidean": "l2", "taxicab": "l1"},
    "losses": {"mse": "squared", "l2": "squared", "softmax": "cross_entropy", "log": "logistic",
               "log_loss": "logistic", "bce": "logistic"},
    "potentials": {"kl": "entropy", "l2": "euclidean", "negative_entropy": "entropy"},
    "methods": {"gd": "gradient_descent", "sgd": "gradient_descent", "signgd": "sign_descent",
                "mirror": "mirror_descent"},
}
"""What pieces are called elsewhere, by the module that has them."""


def named(module: ModuleType, kind: type) -> dict[str, Any]:
    """The ready-made pieces of a module that need no parameters, by name."""
    ready: list[Any] = [x for x in vars(module).values() if isinstance(x, kind)]
    return {x.name: x for x in sorted(ready, key=lambda x: str(x.name))}


def nearest(value: str, names: list[str]) -> str:
    """The name that is spelled most nearly, as the end of a sentence; "" where none is near."""
    near = difflib.get_close_matches(value, names, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def meant(value: str, module: ModuleType, ready: Iterable[str] = ()) -> str:
    """What somebody most likely meant by a name that a module has not, as the end of a sentence.

    ``ready``: the names that it has; its functions make others: 'l3' is fb.norms.lp(3).
    """
    shelf, names = module.__name__.rpartition(".")[2], list(ready)
    makers = [x for x in module.__all__ if isinstance(getattr(module, x), FunctionType)]
    text = value.strip().lower().replace("-", "_").replace(" ", "_")
    text = MEANT.get(shelf, {}).get(text, text)
    power = re.fullmatch(r"l_?(\d+(\.\d+)?(/\d+)?)", text)
    if "lp" in makers and power and text not in names and _at_least_one(power[1]):
        return f": write fb.{shelf}.lp({power[1]})"
    every = [*names, *makers]
    begun = [x for x in every if x.startswith(text) and len(text) > 1]
    near = [text] if text in every else begun or difflib.get_close_matches(text, every, 1)
    if near and near[0] in makers:
        return f": write fb.{shelf}.{near[0]}(...)"
    return f" (did you mean {near[0]!r}?)" if near else ""


def _at_least_one(power: str) -> bool:
    with suppress(ZeroDivisionError):
        return Fraction(power) >= 1
    return False
