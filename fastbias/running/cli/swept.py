"""``sweep``: one plan over many step sizes, momenta, starts or seeds."""
from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.running.cli import shown
from fastbias.running.cli.plans import plan_of, plan_parser
from fastbias.running.cli.run import steps_parser
from fastbias.running.cli.table import add_command, read
from fastbias.running.cli.words import Words
from fastbias.running.sweep import Sweep, sweep

__all__ = ["add"]

ROWS = 20         # runs that are printed


def add(commands: Any, table: argparse.ArgumentParser) -> None:
    """The command."""
    part = add_command(commands, "sweep", _sweep, "run a method over a grid of step sizes, "
                       "momenta, starts or seeds, and say where each run went",
                       "fastbias sweep my.csv --loss squared --method gradient --grid "
                       "step_size=.1,.2,.3 momentum=0,.9 --out sweep.csv --plot sweep.png",
                       table, plan_parser(), steps_parser())
    part.add_argument("--grid", nargs="+", required=True, metavar="NAME=VALUES",
                      help="what to vary: step_size, momentum, start or seed, and its values with "
                      "commas between them")
    part.add_argument("--store", metavar="FOLDER", help="keep each outcome there, and do only what "
                      "is missing")
    part.add_argument("--out", help="write a row a run to this CSV file")
    part.add_argument("--plot", metavar="FILE", help="draw the log loss over the grid")


def _sweep(options: argparse.Namespace) -> int:
    table = read(options)
    for label in ("out", "plot"):
        if getattr(options, label):
            checks.path(f"--{label}", getattr(options, label))
    grid = dict(map(_axis, options.grid))
    if len(grid) < len(options.grid):
        raise ValueError(f"--grid must name each argument once, got {' '.join(options.grid)}")
    plan = plan_of(table, options)
    shown.labels(table, plan.problem.classes)
    found = sweep(plan, grid, steps=checks.whole("steps", options.steps), until=options.until,
                  record=2, store=options.store)
    print(found)
    labels = plan.problem.loss.kind == "monotone"
    frame = found.to_pandas(*(["margin"] if labels else []))
    for row in frame.head(ROWS).to_string(max_colwidth=40).split("\n"):
        print(row.rstrip())
    if len(frame) > ROWS:
        print(f"({len(frame) - ROWS} more{'' if options.out else '; --out keeps all'})")
    if options.out:
        frame.to_csv(options.out, index=False)
        print(f"wrote {options.out}")
    if options.plot:
        _draw(options.plot, found, grid)
        print(f"drew {options.plot}")
    return 0


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


def _draw(path: str, found: Sweep, grid: dict[str, list[Any]]) -> None:
    """The log loss at the end: a line over one axis, a map over two, of which further ones are
    stacked below each other.
    """
    from matplotlib.figure import Figure
    ends = np.array([np.nan if trace is None else trace.log_loss[-1] for trace in found])
    names, figure = list(grid), Figure(layout="constrained")
    ax = figure.subplots()
    if len(names) == 1:
        ax.plot(range(len(ends)), ends, "o-")
        ax.set_ylabel("log loss at the end")
    else:
        shape = ends.reshape(len(grid[names[0]]), -1).shape
        ends = ends.reshape(-1, len(grid[names[-1]])) if len(names) > 2 else ends.reshape(shape)
        image = ax.imshow(ends, aspect="auto", origin="lower")
        figure.colorbar(image, label="log loss at the end (blank: none)")
        rows = [", ".join(map(_told, point)) for point in _points(grid, names[:-1])]
        ax.set_yticks(range(len(rows)), rows)
        ax.set_ylabel(", ".join(names[:-1]))
    ax.set_xticks(range(len(grid[names[-1]])), map(_told, grid[names[-1]]))
    ax.set_xlabel(names[-1])
    figure.savefig(path)


def _points(grid: dict[str, list[Any]], names: list[str]) -> Any:
    import itertools
    return itertools.product(*(grid[name] for name in names))


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
