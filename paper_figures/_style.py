"""What the figures share: colours and markers that everybody can tell apart, and where a figure and its numbers go."""
from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

matplotlib.use("Agg")
matplotlib.rcParams.update({
    "font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold", "axes.labelsize": 12,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.handletextpad": 0.2,
})

BLACK, GREY, BLUE, YELLOW = "#000000", "#666666", "#0072B2", "#F0E442"
COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK)   # with BLUE and YELLOW: Okabe & Ito (2008)
MARKERS = ("s", "o", "^", "D", "v", "P")


def folder(argv: list[str] | None, doc: str | None, script: str) -> Path:
    """Read ``--out DIR`` from the command line; without it, the folder where the script lies."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(script).resolve().parent, metavar="DIR",
                        help="where PNG, PDF and CSV go (default: beside the script)")
    out: Path = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    return out


def save(figure: Figure, rows: Iterable[Mapping[str, Any]], name: str, folder: Path) -> None:
    """Write NAME.png (220 dpi), NAME.pdf and NAME.csv, which holds every number drawn, and print the three paths."""
    rows = list(rows)
    png, pdf, table = (folder / f"{name}.{kind}" for kind in ("png", "pdf", "csv"))
    figure.savefig(png, dpi=220)
    figure.savefig(pdf, metadata={"CreationDate": None})       # so that the same numbers make the same file
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(png, pdf, table, sep="\n")
