"""fastbias.h for C callers, written from what the engine says of itself: statuses, the slots of
control, and the arguments of the loop, each with its comment.
"""
from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterable

from fastbias.engine import abi
from fastbias.engine.abi import CONTROL, MESSAGES, WEIGHTED, Geometry, Params, Pieces, Slot, Status
from fastbias.running.capi import ARGUMENTS, PROTOTYPE, _blamed

__all__ = ["header"]

WIDTH = 100
MOMENTUM = ("beta", "gamma")
PLAIN = str.maketrans({"−": "-", "…": "...", "×": "x", "→": "->", "∂": "d", "⊤": "T", "ᵀ": "^T",
                       "ψ": "psi", "∇": "grad ", "Δ": "Delta ", "⁻": "^-", "¹": "1", "≥": ">=",
                       "≤": "<=", "‖": "||", "⋆": "*", "²": "^2"})


def header() -> str:
    """The text of fastbias.h: status codes, the slots of control by name, the order of pieces and
    params, the arguments as a struct, and the prototype.

    Examples
    --------
    >>> from fastbias.running.c_header import header
    >>> [line for line in header().splitlines() if line.startswith("    FASTBIAS_SLOT_DONE")]
    ['    FASTBIAS_SLOT_DONE = 0,                 /* updates done */']
    """
    # (the package itself stands above all floors)
    version = vars(sys.modules["fastbias"])["__version__"]
    slots, own = _comments(Slot), _comments(Params)
    params = {name: told or (f"one of {name} a step, the last of which goes on" if name in MOMENTUM
                             else f"the numbers of the {name}") for name, told in own.items()}
    # (five of them are the maps of a geometry)
    pieces = _comments(Pieces) | _comments(Geometry)
    parts = [
        _remark(f"fastbias {version}: the loop of a run behind plain C. Written by `fastbias "
                "header`; a run is prepared in Python (fb.Plan), where all is checked, and driven "
                "from here: fb.capi.address() is a fastbias_descend, and fb.capi.arguments(plan) "
                "are its arguments, which fb.capi.Call packs into a struct fastbias_call. The "
                "numbers below are frozen; whoever calls owns all memory."),
        "#ifndef FASTBIAS_H\n#define FASTBIAS_H\n\n#include <math.h>  /* INFINITY */\n\n#ifdef "
        "__cplusplus\nextern \"C\" {\n#endif\n",
        PROTOTYPE,
        _enum("status", f"what the loop returns, or what is bad: {_blamed()}",
              [(s.name, int(s), MESSAGES[s]) for s in Status]),
        _enum("slot", "the entries of control; flags are on where they are not 0",
              [*((s.name, int(s), slots[s.name]) for s in Slot),
               ("COUNT", CONTROL, "how many there are")]),
        f"#define FASTBIAS_WEIGHTED {WEIGHTED}  /* what slot WEIGH has more where samples have "
        "weights */\n",
        _enum("piece", "the order of pieces: addresses of compiled functions",
              [(name.upper(), i, pieces[name]) for i, name in enumerate(Pieces._fields)]),
        _enum("param", "the order of the vectors of params, end to end; weights stand last, where "
              "there are any", [(name.upper(), i, params[name])
                                for i, name in enumerate(Params._fields)]),
        _struct(), _call(), _messages(),
        "#ifdef __cplusplus\n}\n#endif\n\n#endif\n"]
    return "\n".join(parts).translate(PLAIN)


def _comments(home: type) -> dict[str, str]:
    """What the source says beside each entry of a class of the engine, or in the lines above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(home).splitlines():
        remark = re.fullmatch(r"\s*#\s*(.*)", line)
        entry = re.fullmatch(r"    (\w+)(?:: Any.*?| = \d+)\s*(?:#\s*(.*))?", line)
        if remark:
            above.append(remark[1])
        elif entry:
            found[entry[1]], above = entry[2] or " ".join(above), []
        else:
            above = []
    return found


def _remark(text: str, indent: str = "") -> str:
    """A comment over as many lines as it takes."""
    return textwrap.fill(f"/* {text} */", WIDTH, initial_indent=indent,
                         subsequent_indent=indent + "   ") + "\n"


def _enum(name: str, told: str, entries: Iterable[tuple[str, int, str]]) -> str:
    """An enumeration, a comment for each of its entries."""
    lines = [_remark(told) + f"enum fastbias_{name} {{"]
    for label, number, comment in entries:
        begun = f"    FASTBIAS_{name.upper()}_{label} = {number},"
        lines.append(_beside(begun, comment))
    return "\n".join(lines) + "\n};\n"


def _beside(begun: str, comment: str, column: int = 44) -> str:
    """A line with its comment, which goes on below where it is long."""
    if not comment:
        return begun
    begun = begun.ljust(column - 1) + " "
    words = " ".join(comment.translate(PLAIN).split())
    # (the end of the comment does not stand alone)
    return textwrap.fill(f"/* {words}\0*/", WIDTH, initial_indent=begun, break_long_words=False,
                         subsequent_indent=" " * (column + 3)).replace("\0", " ")


def _struct() -> str:
    """All arguments of the loop but where to stop."""
    lines = [_remark("all that the loop is handed but where to stop, in its order (fb.capi.Call)")
             + "typedef struct fastbias_call {"]
    lines += [_beside(f"    {kind}{'' if kind.endswith('*') else ' '}{name};", comment)
              for name, kind, comment in ARGUMENTS]
    return "\n".join(lines) + "\n} fastbias_call;\n"


def _call() -> str:
    """A function that calls the loop with a struct."""
    handed = textwrap.fill(", ".join(f"c->{name}" for name, _, _ in ARGUMENTS) + ",", WIDTH,
                           initial_indent=" " * 8, subsequent_indent=" " * 8)
    return (_remark("go on until stop_at updates are done, counted from the start of the run, or "
                    "log L <= until; -INFINITY never stops, any other number costs log L at each "
                    "update")
            + "static inline int64_t fastbias_run(fastbias_descend descend, const fastbias_call *c,"
            "\n                                   int64_t stop_at, double until)\n{\n"
            f"    return descend(\n{handed}\n        stop_at, until);\n}}\n")


def _messages() -> str:
    """A function that says a status in words."""
    lines = ["/* a status in words */",
             "static inline const char *fastbias_message(int64_t status)", "{",
             "    switch (status) {"]
    for status, told in abi.MESSAGES.items():
        words = told.translate(PLAIN).replace("\\", "\\\\").replace('"', '\\"')
        pieces = textwrap.wrap(words, 70, drop_whitespace=False)
        quoted = "\n            ".join(f'"{x}"' for x in pieces)
        lines += [f"    case {int(status)}:", f"        return {quoted};"]
    return "\n".join([*lines, "    default:", '        return "no status of fastbias";', "    }",
                      "}", ""])
