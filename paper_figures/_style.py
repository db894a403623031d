"""What the figures share: colours and markers that all can tell apart, and where they go."""
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
    "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "legend.handletextpad": 0.2,
})

ROOT = Path(__file__).resolve().parents[1]                # of the clone, if this is one

BLACK, GREY, BLUE, YELLOW = "#000000", "#666666", "#0072B2", "#F0E442"
# with BLUE and YELLOW: Okabe & Ito (2008)
COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK)
MARKERS = ("s", "o", "^", "D", "v", "P")


def folder(argv: list[str] | None, doc: str | None) -> Path:
    """Read from the command line where to write: ``figures/``, which git ignores, if not told.

    ``--committed`` writes to ``docs/figures/``, whose figures the documents show and git keeps;
    ``--out DIR`` writes anywhere. An installation has no documents: there ``figures/`` is that of
    the folder where the command is given.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    where = parser.add_mutually_exclusive_group()
    shown, default = ROOT / "docs" / "figures", Path("figures")
    if shown.is_dir():
        default = ROOT / default
        where.add_argument("--committed", action="store_const", const=shown, dest="out",
                           help="write to docs/figures/, where the documents link to")
    where.add_argument("--out", type=Path, metavar="DIR",
                       help="write there (default: figures/, which git ignores in a clone)")
    parser.set_defaults(out=default)
    out: Path = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    return out


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
