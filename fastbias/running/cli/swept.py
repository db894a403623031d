"""``sweep``: one plan over many step sizes, momenta, starts or seeds."""
from __future__ import annotations

import argparse
from typing import Any

from fastbias import checks
from fastbias.running.cli import shown
from fastbias.running.cli.files import draw, looked_at, plot_option
from fastbias.running.cli.plans import plan_of, plan_parser
from fastbias.running.cli.run import steps_parser
from fastbias.running.cli.table import add_command, read
from fastbias.running.cli.words import Words
from fastbias.running.sweep import sweep

__all__ = ["add"]

ROWS = 20         # runs that are printed
SOLVED = 1000     # runs whose limits are solved unasked
VALUES = "log_loss", "gap", "margin", "t"


def add(commands: Any, table: argparse.ArgumentParser) -> None:
    """The command."""
    part = add_command(commands, "sweep", _sweep, "run a method over a grid of step sizes, "
                       "momenta, starts or seeds, and say where each run went",
                       "fastbias sweep my.csv --loss squared --method gradient --grid "
                       "step_size=.1,.2,.3 momentum=0,.9 --out sweep.csv --plot sweep.png",
                       table, plan_parser(), steps_parser())
    part.add_argument("--grid", nargs="+", action="extend", required=True, metavar="NAME=VALUES",
                      help="what to vary: step_size, momentum (as --momentum), dual_momentum, "
                      "primal_momentum, start or seed, and its values with commas between them")
    part.add_argument("--store", metavar="FOLDER", help="keep each outcome there, and do only what "
                      "is missing")
    part.add_argument("--out", help="write a row a run to this CSV file, with its margin (of "
                      "labels) and, of up to 1000 runs or with --value gap, its gap, the distance "
                      "to what theory predicts")
    plot_option(part, "--value over the grid")
    part.add_argument("--value", choices=VALUES, default=VALUES[0], help="what --plot draws, where "
                      "runs ended (default log_loss)")


def _sweep(options: argparse.Namespace) -> int:
    table = read(options)
    looked_at(options)
    grid = dict(map(_axis, options.grid))
    if len(grid) < len(options.grid):
        raise ValueError(f"--grid must name each argument once, got {' '.join(options.grid)}")
    # what could only fail at the end is looked at first
    if options.plot and sum(len(values) > 1 for values in grid.values()) not in (1, 2):
        raise ValueError("--plot must have a --grid of which one or two names have several values, "
                         f"got {' '.join(options.grid)}")
    plan = plan_of(table, options, grid)
    labels = plan.problem.loss.kind == "monotone"
    if options.value == "margin" and not labels:
        raise ValueError(f"--value must be another than margin for the loss {options.loss}, which "
                         "has no labels, got margin")
    shown.labels(table, plan.problem.classes)
    found = sweep(plan, grid, steps=checks.whole("--steps", options.steps), until=options.until,
                  record=2, store=options.store)
    print(found)
    # (a gap is of the limit of each run)
    few = options.out and len(found) <= SOLVED
    gaps = ["gap"] * bool(few or options.value == "gap")
    frame = found.to_pandas(*(["margin"] if labels else []), *gaps)
    for row in frame.head(ROWS).to_string(max_colwidth=40).split("\n"):
        print(row.rstrip())
    if len(frame) > ROWS:
        print(f"({len(frame) - ROWS} more{'' if options.out else '; --out keeps all'})")
    if options.out:
        frame.to_csv(options.out, index=False)
        print(f"wrote {options.out}")
    draw(options, lambda ax: found.plot(options.value, ax))
    return int(len(found.failures) == len(found))         # where none went through


def _axis(text: str) -> tuple[str, list[Any]]:
    """The name of an argument and its values."""
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"--grid must be NAME=VALUES, such as step_size=.1,.2, got "
                         f"{checks.short(text)}")
    found = Words(f"--grid {name}").value(None, values)
    # (one start is a list of numbers itself)
    several = isinstance(found, list) and (name != "start" or any(isinstance(x, list)
                                                                  for x in found))
    return name, found if several else [found]
