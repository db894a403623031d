"""Files that a command writes at its end, which are looked at before it begins."""
from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from fastbias import checks
from fastbias.checks.files import write

__all__ = ["draw", "looked_at", "plot_option", "proof"]


def plot_option(part: argparse.ArgumentParser, what: str) -> None:
    """The option that draws something."""
    part.add_argument("--plot", metavar="FILE", help=f"draw {what} (PNG, PDF, SVG ...)")


def looked_at(options: argparse.Namespace) -> None:
    """Raise ValueError where --out, --plot or --proof could not be written."""
    for label in ("out", "plot", "proof"):
        if getattr(options, label, None) is not None:
            checks.path(f"--{label}", getattr(options, label))
    if options.plot is not None:
        from matplotlib.figure import Figure
        known = Figure().canvas.get_supported_filetypes()
        if PurePath(options.plot).suffix.lower()[1:] not in {"", *known}:
            raise ValueError(f"--plot must end in one of {', '.join(sorted(known))}, got "
                             f"{options.plot}")


def proof(options: argparse.Namespace, made: Callable[[], dict[str, Any]]) -> None:
    """Write a proof document where a file for it was asked for; why not, where there is none."""
    if options.proof is not None:
        try:
            text = json.dumps(made(), indent=0)
        except LookupError as error:
            print(f"no proof: {error}")
            return
        write(options.proof, text.encode())
        print(f"wrote {options.proof}")


def draw(options: argparse.Namespace, plot: Callable[..., Any]) -> None:
    """Draw on Axes of a figure of its own, where a file for it was asked for."""
    if options.plot is not None:
        from matplotlib.figure import Figure
        figure = Figure(layout="constrained")
        plot(ax=figure.subplots())
        figure.savefig(options.plot)
        print(f"drew {options.plot}")
