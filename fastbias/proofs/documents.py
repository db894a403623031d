"""Proof documents: numbers as strings, and what makes a document whole."""
from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from fastbias.proofs.checker import FORMAT, seal

__all__ = ["floats", "sealed", "text", "texts"]

DIGITS = 3999         # that Python writes at a time, whatever its limit
TOP = 10 ** DIGITS


def text(value: Fraction | int) -> str:
    """A fraction in lowest terms, or a whole number."""
    top, low = value.numerator, value.denominator
    return _whole(top) if low == 1 else f"{_whole(top)}/{_whole(low)}"


def _whole(value: int) -> str:
    """The digits of a whole number, of any length."""
    if abs(value) < TOP:
        return str(value)
    # (Python has a limit, which is not ours to move)
    high, low = divmod(abs(value), TOP)
    return "-" * (value < 0) + _whole(high) + str(low).zfill(DIGITS)


def texts(values: list[Fraction]) -> list[str]:
    """Fractions, one after the other."""
    return [text(value) for value in values]


def floats(values: np.ndarray) -> list[Any]:
    """Floats (·,) or (·, ·) as the binary fractions that they are."""
    # (every float is one: as_integer_ratio rounds nothing)
    if values.ndim > 1:
        return [floats(row) for row in values]
    ratios = map(float.as_integer_ratio, values.tolist())
    return [str(top) if low == 1 else f"{top}/{low}" for top, low in ratios]


def sealed(claim: str, free: int, **lines: Any) -> dict[str, Any]:
    """The document of a claim, with its seal."""
    document = {"format": FORMAT, "claim": claim, "free": str(free), **lines}
    return {**document, "seal": seal(document)}
