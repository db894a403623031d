"""The command line: ``fastbias run my.csv --loss squared --method mirror --steps 1e6``.

``python -m fastbias`` is the same. A file for each idea: `words` makes pieces of expressions,
`table` reads data, `shown` prints weights by their names, the others are the commands.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from fastbias import checks, data
from fastbias.running.cli import figure, header, proved, run, solved, swept
from fastbias.running.cli.table import table_parser
from fastbias.running.cli.words import factories
from fastbias.solvers.limit import NoTheorem

__all__ = ["METHODS", "data", "main"]

BAD = 2              # the exit code of bad input, as a shell knows it
# what `--method` takes; of several words the first do
METHODS = tuple(factories("method"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: fine; 1: the run stopped, or the answer is no; 2: bad input; 130: Ctrl-C.
    """
    if argv is not None and not (isinstance(argv, (list, tuple))
                                 and all(isinstance(word, str) for word in argv)):
        raise TypeError(f"argv must be a list of strings, got {checks.short(argv)}")
    options = _parser().parse_args(argv)
    # everything that is the user's to mend comes as one sentence; the rest is a bug, and traced
    try:
        return int(options.command(options))
    except MemoryError:
        print("fastbias: there is not enough memory for this", file=sys.stderr)
    except (ValueError, TypeError, NoTheorem, OSError, ArithmeticError) as error:
        told = _as_option(" ".join(str(error).split()), sys.argv[1:] if argv is None else argv)
        print(f"fastbias: {told}", file=sys.stderr)
    return BAD


def _as_option(told: str, words: Sequence[str]) -> str:
    """A sentence on an argument as one on the option that it was given by."""
    first, space, rest = told.partition(" ")
    option = f"--{first.replace('_', '-')}"
    given = any(word.partition("=")[0] == option for word in words)
    return f"{option}{space}{rest}" if given else told


def _version() -> str:
    # (the package itself stands above all floors)
    return f"fastbias {vars(sys.modules['fastbias'])['__version__']}"


class _Version(argparse.Action):
    """`--version`, which is looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        print(_version())
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """One that says what is wrong in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD, f"{self.prog}: {message} ({self.prog} --help lists what there is)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastbias", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Which of the many optima does an optimiser pick? Run one on your own data "
        "and hold it\nagainst theory.", epilog="Each command has its own --help, with an example.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    table = table_parser()
    for part in (run, solved, swept, figure, proved, header):
        part.add(commands, table)
    return parser
