"""What a piece's source promises, and what a compiler says where it does not keep it."""
from __future__ import annotations

import dis
import re
from collections.abc import Callable
from typing import Any

__all__ = ["essence", "may_return_nothing"]


def may_return_nothing(function: Callable[..., Any]) -> bool:
    """Whether a path through a function ends without a value: compiled, it would go on with
    whatever was in a register.
    """
    before = None
    for step in dis.get_instructions(function):
        nothing = step.opname == "RETURN_CONST" or (step.opname == "RETURN_VALUE" and before)
        if step.argval is None and nothing:
            return True
        before = step.opname == "LOAD_CONST" and step.argval is None
    return False


def essence(error: Exception) -> str:
    """The line of a compiler's message that says what is wrong, and in which line of the source."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines()
             if line.strip() and not line.startswith(("Failed in", "- Resolution", "During:"))]
    where = re.search(r'File ".*", line (\d+)', text)
    said = " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])
    said = said or type(error).__name__
    return said[:200] + (f" (line {where[1]})" if where else "")
