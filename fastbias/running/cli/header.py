"""``header``: fastbias.h, for C callers."""
from __future__ import annotations

import argparse
from typing import Any

from fastbias.running.c_header import header
from fastbias.running.cli.table import add_command

__all__ = ["add"]


def add(commands: Any, table: argparse.ArgumentParser) -> None:
    """The command."""
    add_command(commands, "header", _header, "print fastbias.h, the loop as C callers see it",
                "fastbias header > fastbias.h")


def _header(options: argparse.Namespace) -> int:
    print(header(), end="")
    return 0
