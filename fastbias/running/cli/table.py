"""Which table is read, and how."""
from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastbias import data
from fastbias.data.features import stumps

__all__ = ["add_command", "counted", "read", "table_parser"]

OPTIONS = {"factors": "factor"}       # arguments whose options are called otherwise
TEXT = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""      # as Python writes one
Command = Callable[[argparse.Namespace], int]


def add_command(commands: Any, name: str, command: Command, told: str, example: str,
                *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A command with its help, which ends with an example."""
    made: argparse.ArgumentParser = commands.add_parser(
        name, parents=parents, help=told, description=f"{told[0].upper()}{told[1:]}.",
        epilog=f"example:\n  {example}", formatter_class=argparse.RawDescriptionHelpFormatter)
    made.set_defaults(command=command)
    return made


def table_parser() -> argparse.ArgumentParser:
    """The arguments that say what is read, and how."""
    table = argparse.ArgumentParser(add_help=False)
    table.add_argument("file", help="a text file such as CSV (header or not), or NPZ with arrays X "
                       "and y")
    table.add_argument("--target", default="-1", help="the column that is y, by name or index "
                       "(default: the last); A,B: two columns of counts, A being +1")
    table.add_argument("--drop", action="append", default=[], metavar="COLUMN",
                       help="a column to leave out (may be repeated)")
    table.add_argument("--labels", help="the label that is +1, or all in order, commas between "
                       "them; binary or index: numbers of the sorted ones (default: as they are, "
                       "sorted)")
    table.add_argument("--weights", metavar="COLUMN", help="the column of the samples' weights or "
                       "counts, >= 0, by name or index (NPZ: the array)")
    table.add_argument("--categories", choices=data.CATEGORIES, default="onehot",
                       help="what becomes of columns of texts: 0 and 1 for all levels but the "
                       "first")
    table.add_argument("--factor", action="append", default=[], metavar="COLUMN", dest="factors",
                       help="a column that is a factor though it holds numbers (may be repeated)")
    table.add_argument("--missing", choices=data.MISSING, default="drop", help="what becomes of "
                       "rows with gaps (default: left out, and counted)")
    table.add_argument("--intercept", action="store_true", help="with an intercept (default: "
                       "without; `separation` has one unless --no-intercept): free in margins and "
                       "paths; of a run a weight on ones, which its geometry sees; the last entry "
                       "of a direction to diagnose")
    table.add_argument("--stumps", action="store_true", help="in place of the columns their "
                       "decision stumps, +1 above a cut half-way between two values, -1 below: "
                       "what boosting votes with")
    header = table.add_mutually_exclusive_group()
    header.add_argument("--header", action="store_true", help="the first row holds names (default: "
                        "seen from the file)")
    header.add_argument("--no-header", action="store_true", help="the first row is data")
    return table


def read(options: argparse.Namespace) -> data.Table:
    """The table; what was done to it is printed."""
    # neither flag: `read` looks for itself
    header = {(True, False): True, (False, True): False}.get((options.header, options.no_header))
    # (an NPZ file has arrays by name, and no columns)
    target = -1 if options.target == "-1" else options.target
    try:
        table = data.read(options.file, target, drop=options.drop, labels=options.labels,
                          categories=options.categories, missing=options.missing,
                          weights=options.weights, header=header, factors=options.factors)
    except ValueError as error:
        raise ValueError(_as_options(str(error), options)) from None
    for line in table.notes:
        print(line)
    if options.stumps:
        votes = stumps(table.X)
        print(f"{len(votes.names)} decision stumps")
        return replace(table, X=votes(table.X), names=votes.names)
    return table


def _as_options(told: str, options: argparse.Namespace) -> str:
    """A sentence on arguments of `fb.data.read` as one on options."""
    first, space, rest = told.partition(" ")
    if first in vars(options):
        told = f"--{OPTIONS.get(first, first)}{space}{rest}"

    def option(found: re.Match[str]) -> str:
        return f"--{found[1]} {shlex.quote(ast.literal_eval(found[2]))}"
    return re.sub(r"\b(target|drop|missing|categories)=" + TEXT, option, told)


def counted(options: argparse.Namespace) -> data.Table:
    """The table without rows that count nothing."""
    table = read(options)
    if table.weights is None:
        return table
    seen = table.weights > 0
    return replace(table, X=table.X[seen], y=table.y[seen], weights=table.weights[seen])
