"""What a piece's source promises, and what a compiler says where it does not keep it."""
from __future__ import annotations

import dis
import re
from collections.abc import Callable
from typing import Any

__all__ = ["breach", "essence"]


def breach(function: Callable[..., Any]) -> str | None:
    """What a function does against its promise, as a message goes on; None where it keeps it.

    After a path that ends without a value compiled code would go on with whatever was in a
    register; of what it raises no caller would learn.
    """
    before = None
    for step in dis.get_instructions(function):
        nothing = step.opname == "RETURN_CONST" or (step.opname == "RETURN_VALUE" and before)
        if step.argval is None and nothing:
            return ", but a path through it returns nothing"
        if step.opname == "RAISE_VARARGS":
            return (" and raise nothing, but it has a raise or assert, which no caller of compiled "
                    "code would see")
        before = step.opname == "LOAD_CONST" and step.argval is None
    return None


def essence(error: Exception) -> str:
    """The line of a compiler's message that says what is wrong, and in which line of the source."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines()
             if line.strip() and not line.startswith(("Failed in", "- Resolution", "During:"))]
    where = re.search(r'File ".*", line (\d+)', text)
    said = " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])
    said = said or type(error).__name__
    return said[:200] + (f" (line {where[1]})" if where else "")
