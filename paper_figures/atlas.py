"""The map of the field: every row of the theory's tables, run and held against what it says.

    python -m paper_figures.atlas [--committed | --out DIR]

It goes through ``fastbias.theory.ROOT`` (Section 2), ``MARGIN`` (Section 3), ``INSEPARABLE`` (off
separable data), ``CONSTRAINED`` (decoupled decay) and ``NETWORK`` (Section 4) themselves: each
case of `paper_figures._atlas_cases` belongs to the row that covers it, and a row without a case is
an error, so that a new theorem cannot be forgotten. Verdicts come from numbers alone:

holds                theory names the limit before the run, with a certificate, and the run ends
                     within the tolerance
open                 theory names it from the run itself (AdaGrad's G∞, one of many stationary
                     points), and that fits; or it names none, and no two runs were seen to differ
                     by more than they still move
no characterisation  it names none, and two runs that differ in one thing alone, or a run and what
                     one might expect of it, end further apart than they still move
FAILS                it names a limit, and the run ends elsewhere, or it is not certified: the exit
                     status is then 1

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), and what each row names. No result is stored.
"""
from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import fastbias as fb
from paper_figures._atlas_cases import cases
from paper_figures._atlas_made import apart
from paper_figures._atlas_runs import (
    FAILS,
    HOLDS,
    LOOSE,
    NONE,
    OPEN,
    REST,
    SEEN,
    TABLES,
    TIMES,
    Entry,
    sci,
    stationary,
)
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

COLOUR = {HOLDS: BLUE, OPEN: GREY, NONE: COLOURS[3], FAILS: COLOURS[0]}
MARK = {HOLDS: "✓", OPEN: "?", NONE: "✗", FAILS: "!"}
SAYS = {"§2": "losses with a unique finite root", "§3": "strictly monotone losses, separable data",
        "§4": "models w = F(u)", "off §3": "strictly monotone losses, data that are not separable",
        "decay": "decoupled weight decay"}


# --- the tables ---------------------------------------------------------------------------------

def entries() -> list[Entry]:
    """All cases; LookupError where a row of a table has none."""
    every = [Entry(case) for case in cases()]
    without = [f"{section}: {row.name}" for section, table in TABLES.items() for row in table
               if not any(entry.place[1] is row for entry in every)]
    if without:
        raise LookupError("each row of the theory's tables needs a case in _atlas_cases.py; "
                          f"without one: {without}")
    return every


def rivals() -> float:
    """The least that the maximum margin of one norm lacks in another, on the data of most runs of
    Section 3.
    """
    X, y = apart()
    some = [fb.norms.lp(p) for p in (1.0, 1.5, 2.0, 3.0, np.inf)]
    best = [fb.max_margin(X, y, norm) for norm in some]
    least = min(1 - (y * (X @ other.w)).min() / norm(other.w) / own.margin
                for norm, own in zip(some, best, strict=True) for other in best if other is not own)
    if least <= LOOSE:
        raise ArithmeticError(f"a tolerance of {LOOSE} does not tell norms apart whose margins "
                              f"differ by {least}")
    return float(least)


def numbers(every: list[Entry]) -> Iterator[dict[str, Any]]:
    """A row for each run, with every number shown."""
    for entry in every:
        case, problem, limit = entry.case, entry.case.plan.problem, entry.theory
        known: dict[str, Any] = dict.fromkeys(("measured", "value", "gap", "tolerance", "because",
                                               "certificate", "certified"))
        if isinstance(limit, fb.Limit):
            known |= {"measured": entry.measured[0], "value": entry.measured[1], "gap": entry.gap,
                      "tolerance": entry.tolerance[0], "because": entry.tolerance[1],
                      "certificate": limit.duality_gap,
                      "certified": limit.certified}
        yield {"section": entry.place[0], "row": entry.place[1].name, "source": limit.source,
               "family": case.family,
               "case": case.label, "method": repr(problem.method), "loss": problem.loss.name,
               "model": problem.model.name,
               "N": len(problem.X), "d": problem.size, "followed to": entry.horizon,
               "log loss": entry.trace.log_loss[-1],
               "limit": entry.goal, **known, "open hypotheses": entry.open_hypotheses,
               "second run": case.differ,
               "apart": entry.apart, "expected": case.expected, "from there": entry.miss,
               "still moving": entry.restless,
               "verdict": entry.verdict}


def markdown(every: list[Entry]) -> Iterator[str]:
    """The table, line by line."""
    count = Counter(entry.verdict for entry in every)
    yield from (
        "# The map of the field", "",
        "Every row of `fastbias.theory.ROOT`, `MARGIN`, `INSEPARABLE`, `CONSTRAINED`, "
        f"`NETWORK`, run small by `python -m paper_figures.atlas`: {len(every)} runs, "
        f"{', '.join(f'{count[v]} {v}' for v in MARK if count[v])}. The verdicts are computed:", "",
        f"- **{HOLDS}**: theory names the limit before the run, certified, and the run ends "
        f"within the tolerance. For points at rest, and finite parts, that is {sci(REST)}, for "
        f"directions {TIMES} × the rate that the row names, at most {LOOSE:.0%} of the maximum "
        f"margin; the maximisers of other norms lack {rivals():.1%} or more of it (ℓ1 … ℓ∞, on the "
        "same data). \"gap\" "
        "is the distance of unit directions.",
        f"- **{OPEN}**: the run itself decides the limit (AdaGrad's G, one of many stationary "
        "points), and that fits; or theory names none, and no two runs were seen to differ by "
        f"more than {SEEN} times what they still move.",
        f"- **{NONE}**: theory names none, and two runs that differ in one thing alone, or a run "
        "and what one might expect of it, end further apart than that.")
    for section in TABLES:
        yield from ("", f"## {section}: {SAYS[section]}", "", "| theorem or example | run | "
                    "method, loss, model | followed to | predicted limit | measured | tolerance | "
                    "certificate | open hypotheses | verdict |", "|" + " --- |" * 10)
        yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in cells(entry)) + " |"
                    for entry in every if entry.place[0] == section)


def cells(entry: Entry) -> list[str]:
    """What the table says of a run."""
    problem, limit = entry.case.plan.problem, entry.theory
    what = [f"`{problem.method!r}`", problem.loss.name]
    if not problem.model.linear:
        what.append(problem.model.name)
    checked = ["", ""]
    if isinstance(limit, fb.Limit):
        tolerance, why = entry.tolerance
        checked = [f"{sci(tolerance)}: {why}", sci(limit.duality_gap)]
    return [entry.source, entry.name, ", ".join(what), entry.horizon, entry.goal, entry.shown,
            *checked,
            str(entry.open_hypotheses), f"**{entry.verdict}**"]


# --- the picture --------------------------------------------------------------------------------

# inches: the column of names, a column, a bar, between bars
NAMES, WIDE, HIGH, SPACE = 1.55, 4.55, 0.37, 0.05
HEAD = 0.66                                                # over a block
HEADS = ((("§2", "a limit point; off: how far from it the run ends"),
          ("§3", "a limit direction; short: what its margin lacks of the maximum")),
         (("§4", "off: distance from the limit, finite steps extrapolated to η → 0"),
          ("§4", "short: as above; KKT: how far from stationary")))
SAID = {"1 − margin/γ": "short", "KKT residual": "KKT"}    # what else is measured is a distance
SIDES = "linear model,\nby method", "$w=F(u)$, gradient\ndescent, by model"


@dataclass(frozen=True)
class Bar:
    """The runs of one cell that share row and verdict."""

    runs: list[Entry]

    @property
    def verdict(self) -> str:
        """Theirs."""
        return self.runs[0].verdict

    @property
    def claim(self) -> str:
        """What theory says, or what the runs showed."""
        first = self.runs[0]
        if isinstance(first.theory, fb.Limit):
            if first.theory.kind == "direction" and not stationary(first.theory):
                known = "max margin: " + ", ".join(dict.fromkeys(run.norm for run in self.runs))
                return known if self.verdict != OPEN else f"{known}, as measured in the run"
            goals = ", ".join(dict.fromkeys(run.goal for run in self.runs))
            if first.theory.kind in ("point", "ray"):
                return goals
            return "one of many stationary points of min ‖u‖²"
        if self.verdict == OPEN:
            return "no theorem, no counter-example seen"
        heads = dict.fromkeys(run.case.differ.partition(" = ")[0] for run in self.runs
                              if run.case.differ)
        if heads:
            return f"the limit depends on {', '.join(heads)}"
        return f"it stays away from {first.case.expected}"

    @property
    def number(self) -> str:
        """The worst of those that hold, the largest of those that do not, after what it is."""
        worst = max(self.runs, key=lambda run: run.number)
        if isinstance(worst.theory, fb.Limit):
            what = SAID.get(worst.measured[0], "off")
            return f"{what} {'≤ ' if len(self.runs) > 1 else ''}{sci(worst.number)}"
        return f"{'away' if worst.second is None else 'apart'} {sci(worst.number)}"

    @property
    def detail(self) -> str:
        """Which runs."""
        names = " · ".join(dict.fromkeys(run.case.label for run in self.runs if run.case.label))
        return f"{len(self.runs)} runs: {names}" if len(self.runs) > 1 else names


def bars(every: list[Entry], block: bool) -> dict[str, tuple[list[Bar], list[Bar]]]:
    """For each family the bars of its two cells: losses with a root, monotone losses; of models, or
    of the linear one.
    """
    grouped: dict[str, tuple[dict[Any, list[Entry]], dict[Any, list[Entry]]]] = {}
    for entry in every:
        if (entry.place[0] == "§4") == block:
            side = entry.case.plan.problem.loss.kind == "monotone"
            cell = grouped.setdefault(entry.case.family, ({}, {}))[side]
            cell.setdefault((id(entry.place[1]), entry.verdict), []).append(entry)
    return {family: ([Bar(runs) for runs in left.values()], [Bar(runs) for runs in right.values()])
            for family, (left, right) in grouped.items()}


def draw_bar(ax: Axes, bar: Bar, x: float, y: float) -> None:
    """Draw a bar with its upper left corner at (x, y)."""
    ax.add_patch(Rectangle((x, y), WIDE, HIGH, fc=COLOUR[bar.verdict], alpha=0.16, lw=0))
    badge(ax, bar.verdict, x, y, HIGH)
    upper, lower, right = y + 0.3 * HIGH, y + 0.74 * HIGH, x + WIDE - 0.06
    # (what is bold is wider)
    claim = clipped(bar.claim, 60 - len(bar.number))
    ax.text(x + 0.31, upper, claim.replace("D_ψ(w, w(0))", r"$D_\psi(w,w(0))$"),
            va="center", fontsize=9.5)
    ax.text(right, upper, bar.number, va="center", ha="right", fontsize=9.5, fontweight="bold")
    source = bar.runs[0].source.partition(";")[0].partition(" for ")[0]
    ax.text(right, lower, source, va="center", ha="right", fontsize=8, color=GREY)
    ax.text(x + 0.31, lower, clipped(bar.detail, 70 - len(source)), va="center", fontsize=8,
            color="#333333")


def badge(ax: Axes, verdict: str, x: float, y: float, high: float) -> None:
    """Draw the mark of a verdict."""
    ax.add_patch(Rectangle((x, y), 0.24, high, fc=COLOUR[verdict], lw=0))
    ax.text(x + 0.12, y + high / 2, MARK[verdict], ha="center", va="center", color="white",
            fontsize=12, fontweight="bold")


def clipped(text: str, length: int) -> str:
    """A text, at most so long."""
    return text if len(text) <= length else text[:length - 2].rstrip(" ·,") + " …"


def picture(every: list[Entry]) -> Figure:
    """Draw the map: rows are families of methods or models, columns the two classes of losses."""
    blocks = [bars(every, False), bars(every, True)]
    tall = [{family: max(map(len, cell)) * (HIGH + SPACE) + SPACE for family, cell in block.items()}
            for block in blocks]
    width, height = NAMES + 2 * WIDE + 0.12, 0.6 + sum(sum(rows.values()) + HEAD + 0.1
                                                       for rows in tall)
    figure, ax = plt.subplots(figsize=(width, height))
    figure.subplots_adjust(0, 0, 1, 1)
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    legend(ax, every)
    y = 0.6
    for block, rows, heads, side in zip(blocks, tall, HEADS, SIDES, strict=True):
        ax.text(0.08, y + 0.32, side, fontsize=9.5, va="center", color=GREY)
        for k, (section, note) in enumerate(heads):
            x = NAMES + k * (WIDE + 0.06)
            ax.text(x, y + 0.22, f"{section}: {list(SAYS.values())[k]}", fontsize=12,
                    fontweight="bold", va="center")
            ax.text(x, y + 0.45, note, fontsize=9, va="center", color=GREY)
        y += HEAD
        for family, cell in block.items():
            ax.axhline(y - SPACE / 2, color=BLACK, lw=0.5, alpha=0.4)
            ax.text(0.08, y + rows[family] / 2 - SPACE, family, fontsize=10, fontweight="bold",
                    va="center")
            for k, column in enumerate(cell):
                for i, bar in enumerate(column):
                    draw_bar(ax, bar, NAMES + k * (WIDE + 0.06), y + SPACE / 2 + i * (HIGH + SPACE))
            y += rows[family]
        y += 0.1
    return figure


def legend(ax: Axes, every: list[Entry]) -> None:
    """Name the verdicts over the map, and count them."""
    count, x = Counter(entry.verdict for entry in every), 0.08
    meaning = {HOLDS: "a theorem, and the runs end where it says",
               OPEN: "known only from the run, or not at all",
               NONE: "none; how far runs end apart, or away",
               FAILS: "a theorem, and a run ends elsewhere"}
    for verdict, words in meaning.items():
        if count[verdict]:
            badge(ax, verdict, x, 0.15, 0.32)
            ax.text(x + 0.32, 0.22, f"{verdict} ({count[verdict]} runs)", va="center",
                    fontsize=10.5, fontweight="bold")
            ax.text(x + 0.32, 0.42, words, va="center", fontsize=9, color=GREY)
            x += 3.55


def report(every: list[Entry]) -> None:
    """Print a line for each run."""
    for entry in every:
        print(f"  {entry.verdict:19}  {entry.place[0]}  {entry.name:40.40}  {entry.goal:30.30}  "
              f"{entry.shown}")
    count = Counter(entry.verdict for entry in every)
    print(f"\n{sum(len(table) for table in TABLES.values())} rows of the tables, {len(every)} "
          "runs: " + ", ".join(f"{count[v]} {v}" for v in MARK if count[v]))
    print(f"the maximum margins of other norms lack {rivals():.1%} or more; the tolerance is "
          f"{LOOSE:.0%} at most\n")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save; exit with status 1 where a theorem's limit was missed."""
    out: Path = folder(argv, __doc__)
    every = entries()
    report(every)
    save(picture(every), numbers(every), "atlas", out)
    table = out / "atlas.md"
    table.write_text("\n".join(markdown(every)) + "\n", encoding="utf-8")
    print(table)
    failed = [entry for entry in every if entry.verdict == FAILS]
    for entry in failed:
        print(f"FAILS: {entry.place[1].name}: {entry.name}: {entry.shown}", file=sys.stderr)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
