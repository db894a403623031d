"""``figure``: the figures of `paper_figures`, each a script of its own."""
from __future__ import annotations

import argparse
import importlib.util
import pkgutil
import subprocess
import sys
from typing import Any

from fastbias import checks
from fastbias.running.cli.table import add_command

__all__ = ["add", "names"]

PLACE = "paper_figures"


def add(commands: Any, table: argparse.ArgumentParser) -> None:
    """The command."""
    part = add_command(commands, "figure", _figure, "draw a figure of the paper, or beyond it; "
                       "what follows its name is handed to it",
                       "fastbias figure fig1 --out figures")
    part.add_argument("name", nargs="?", help="which (default: list them)")
    part.add_argument("arguments", nargs=argparse.REMAINDER, help="of the figure; `fastbias figure "
                      "NAME --help` lists them")


def names() -> list[str]:
    """The figures that there are."""
    found = importlib.util.find_spec(PLACE)
    if found is None or found.submodule_search_locations is None:
        raise ValueError(f"figures must be where {PLACE} can be imported, got an installation "
                         "without it")
    return sorted(x.name for x in pkgutil.iter_modules(found.submodule_search_locations)
                  if not x.name.startswith("_"))


def _figure(options: argparse.Namespace) -> int:
    known = names()
    if options.name is None:
        print("\n".join(known))
        return 0
    checks.name("figure", options.name, known)
    # (a process of its own, in which it sets up its fonts and warnings as it likes)
    return subprocess.run([sys.executable, "-m", f"{PLACE}.{options.name}", *options.arguments],
                          check=False).returncode
