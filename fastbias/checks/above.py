"""What higher floors do for the results of lower ones, which know nothing of them: pictures and
proofs. A higher floor puts its functions in as it is imported, by the type of the result.
"""
from __future__ import annotations

from functools import singledispatch
from typing import Any

__all__ = ["document", "picture"]


@singledispatch
def picture(result: object, *asked: object, **style: object) -> Any:
    """Draw a result; the matplotlib Axes that it is on."""
    raise TypeError(f"result must be of a type that has a picture, got {type(result).__name__}")


@singledispatch
def document(result: object) -> dict[str, Any]:
    """Prove a result; LookupError where there is no proof, and why."""
    raise TypeError(f"result must be of a type that has a proof, got {type(result).__name__}")
