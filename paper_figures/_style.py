"""What the figures share: colours and markers that all can tell apart, and where they go."""
from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from fastbias.plots.base import BLACK, BLUE, COLOURS, GREY, MARKERS, YELLOW

__all__ = ["BLACK", "BLUE", "COLOURS", "GREY", "MARKERS", "YELLOW", "command", "folder",
           "options", "save"]

matplotlib.use("Agg")
matplotlib.rcParams.update({
    "font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.labelsize": 12,
    "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "legend.handletextpad": 0.5,
})

ROOT = Path(__file__).resolve().parents[1]                # of the clone, if this is one


def folder(argv: list[str] | None, doc: str | None) -> Path:
    """Read from the command line where to write, and nothing else."""
    out: Path = options(argv, doc).out
    return out


def options(argv: list[str] | None, doc: str | None,
            add: Callable[[argparse.ArgumentParser], None] | None = None) -> argparse.Namespace:
    """Read the command line: where to write, ``figures/``, which git ignores, if not told, and
    what a figure itself asks.

    ``--committed`` writes to ``docs/figures/``, whose figures the documents show and git keeps;
    ``--out DIR`` writes anywhere. An installation has no documents: there ``figures/`` is that of
    the folder where the command is given.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n\n")[0])
    where = parser.add_mutually_exclusive_group()
    shown, default = ROOT / "docs" / "figures", Path("figures")
    if shown.is_dir():
        default = ROOT / default
        where.add_argument("--committed", action="store_const", const=shown, dest="out",
                           help="write to docs/figures/, where the documents link to")
    where.add_argument("--out", type=Path, metavar="DIR",
                       help="write there (default: figures/, which git ignores in a clone)")
    parser.set_defaults(out=default)
    if add is not None:
        add(parser)
    read = parser.parse_args(argv)
    read.out.mkdir(parents=True, exist_ok=True)
    return read


def save(figure: Figure, rows: Iterable[Mapping[str, Any]], name: str, folder: Path) -> None:
    """Write NAME.png (220 dpi), NAME.pdf and NAME.csv, every number drawn; print the three."""
    rows = list(rows)
    png, pdf, table = (folder / f"{name}.{kind}" for kind in ("png", "pdf", "csv"))
    figure.savefig(png, dpi=220)
    # without its date, so that the same numbers make the same file
    figure.savefig(pdf, metadata={"CreationDate": None})
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(png, pdf, table, sep="\n")


def command(main: Callable[[], None]) -> None:
    """Run a figure from the command line: what is the user's to mend comes as one sentence."""
    try:
        main()
    except (ValueError, TypeError, OSError) as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")
