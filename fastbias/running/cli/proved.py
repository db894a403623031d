"""``check``: whether a proof document proves what it claims."""
from __future__ import annotations

import argparse
from typing import Any

from fastbias.proofs import check, checker
from fastbias.running.cli.table import add_command

__all__ = ["add"]


def add(commands: Any, table: argparse.ArgumentParser) -> None:
    """The command."""
    check = add_command(commands, "check", _check, "whether a proof document, as `margin --proof` "
                        "writes it, proves what it claims: 0 where it does, else 1, and which line "
                        "fails", "fastbias check proof.json")
    check.add_argument("file", help="a JSON file")


def _check(options: argparse.Namespace) -> int:
    # (the same code that runs alone, without fastbias)
    return checker.main([options.file], check)
