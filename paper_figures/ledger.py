"""The ledger: a line for each theorem of the tables, with what ran and what came of it.

    python -m paper_figures.ledger [--committed | --out DIR]

The rows are those of ``fastbias.theory``, the runs those of the atlas (`paper_figures.atlas`);
behind them stand those of ``fastbias.continual`` (`paper_figures._ledger_turns`). A line gathers
all runs of its row: what the theorem says, where it stands, what it asks and what of that is known,
how far the runs were followed, what was measured against what was predicted. It is written as
Markdown and as HTML, with --committed to docs/. Verdicts are computed:

holds                a limit is named before the run, certified, and runs end there, none elsewhere
open                 the run itself decides the limit, or whether it is reached is not known
no characterisation  none is named, and two runs that differ in one thing alone end apart
refused              none is named, and no two runs were seen to differ
FAILS                a limit is named, and a run ends elsewhere: the exit status is then 1
"""
from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

import fastbias as fb
from fastbias.theory import Refusal, Row
from paper_figures._atlas_runs import FAILS, HOLDS, NONE, OPEN, TABLES, Entry, sci
from paper_figures._ledger_turns import Turns, turns
from paper_figures._style import folder
from paper_figures.atlas import SAYS as MAPPED
from paper_figures.atlas import entries

REFUSED = "refused"
HEADS = ("theorem or example", "source", "what it asks", "what ran", "measured against predicted",
         "verdict")
SAYS = {**MAPPED, "in turn": "one task after the other"}
MARKS = {True: "✓", None: "open", False: "✗"}
SHADE = {HOLDS: "#dcebf7", OPEN: "#eeeeee", NONE: "#fbe8d3", REFUSED: "#f5f0e1", FAILS: "#f7d6d6"}


@dataclass(frozen=True)
class Line:
    """A row of a table, and the runs that it covers."""

    section: str
    row: Row
    runs: list[Entry] | list[Turns]

    @property
    def statement(self) -> list[str]:
        """What it says; of a refusal why there is nothing to say."""
        return [self.row.name, *([self.row.reason] if isinstance(self.row, Refusal) else [])]

    @property
    def source(self) -> str:
        """Where that stands."""
        return self.row.source or self.runs[0].theory.source

    @property
    def hypotheses(self) -> list[str]:
        """Each hypothesis once, with what is known of it in how many runs."""
        told: dict[str, Counter[bool | None]] = {}
        for run in self.runs:
            for hypothesis in run.theory.hypotheses:
                told.setdefault(hypothesis.statement, Counter())[hypothesis.holds] += 1
        return [", ".join(_counted(MARKS[holds], count, len(self.runs))
                          for holds, count in known.items()) + f" {statement}"
                for statement, known in told.items()]

    @property
    def ran(self) -> list[str]:
        """The runs: method, loss and model, and how far each was followed."""
        out = []
        for run in self.runs:
            problem = run.case.plan.problem
            model = "" if problem.model.linear else f", {problem.model.name}"
            out.append(f"`{problem.method!r}`, {problem.loss.name}{model}: {run.horizon}")
        return out

    @property
    def measured(self) -> list[str]:
        """Of each run, what was measured, how large it may be, and its rates beside those named."""
        return [f"{run.shown}{_allowed(run)}{_rates(run)}" for run in self.runs]

    @property
    def verdict(self) -> str:
        """What its runs amount to."""
        seen = {run.verdict for run in self.runs}
        if isinstance(self.row, Refusal):
            order = (FAILS, NONE)
            return next((verdict for verdict in order if verdict in seen), REFUSED)
        return next(verdict for verdict in (FAILS, HOLDS, NONE, OPEN) if verdict in seen)

    @property
    def cells(self) -> list[list[str]]:
        """All of it, a list of lines a cell."""
        return [self.statement, [self.source], self.hypotheses, self.ran, self.measured,
                [self.verdict]]


def _counted(mark: str, count: int, total: int) -> str:
    """A mark, and in how many runs where that is not in all."""
    return mark if count == total else f"{mark} ({count} of {total})"


def _allowed(run: Entry | Turns) -> str:
    """How large that may be, and why."""
    if isinstance(run.theory, fb.NoTheorem):
        return ""
    bound, why = run.tolerance
    return f"; at most {sci(bound)}: {why}"


def _rates(run: Entry | Turns) -> str:
    """Fitted exponents beside predicted ones."""
    if isinstance(run.theory, fb.NoTheorem) or not run.theory.rates:
        return ""
    told = [f"{s.quantity} ~ ({s.clock})^{s.fitted:.3g}, theory {s.predicted:g}"
            for s in run.trace.rates(run.theory)
            if np.isfinite(s.predicted) and np.isfinite(s.fitted)]
    return "; " + ", ".join(told) if told else ""


def lines(every: list[Entry]) -> list[Line]:
    """A line for each row of each table, in the order in which they decide."""
    return [Line(section, row, [entry for entry in every if entry.place[1] is row])
            for section, table in TABLES.items() for row in table]


def in_turn() -> list[Line]:
    """A line for each theorem on tasks in turn, of which no table holds the rows."""
    return [Line("in turn", row, runs) for row, runs in turns()]


# --- how it is written ----------------------------------------------------------------------------

def told(all_lines: list[Line]) -> list[str]:
    """What stands over the table."""
    count = Counter(line.verdict for line in all_lines)
    runs = sum(len(line.runs) for line in all_lines)
    return [f"Every theorem and example of `fastbias.theory`, and those on tasks in turn, "
            f"{len(all_lines)} of them, and the "
            f"{runs} runs that `python -m paper_figures.ledger` held against them: "
            f"{', '.join(f'{count[v]} {v}' for v in SHADE if count[v])}.",
            f"Verdicts are computed. {HOLDS}: a limit is named before the run, with a "
            f"certificate, runs end there, and none elsewhere. {OPEN}: the run itself decides the "
            f"limit, or whether a start reaches it is not known. {NONE}: none is named, and two "
            f"runs that differ in one thing alone end apart. {REFUSED}: none is named, and no two "
            "runs were seen to differ.",
            "✓ is proved or computed, with evidence that `print(plan.limit())` shows; open is what "
            "only a run can show, or what is known from an abstract alone."]


def markdown(all_lines: list[Line]) -> Iterator[str]:
    """The ledger, line by line."""
    yield "# The ledger of theorems"
    for paragraph in told(all_lines):
        yield from ("", paragraph)
    for section, title in SAYS.items():
        yield from ("", f"## {section}: {title}", "", "| " + " | ".join(HEADS) + " |",
                    "|" + " --- |" * len(HEADS))
        for line in all_lines:
            if line.section == section:
                cells = ("<br>".join(part.replace("|", "\\|") for part in cell)
                         for cell in line.cells)
                yield "| " + " | ".join(cells) + " |"


def html(all_lines: list[Line]) -> Iterator[str]:
    """The same as a page that needs nothing else."""
    yield from ("<!doctype html>", '<html lang="en"><meta charset="utf-8">',
                "<title>The ledger of theorems</title>", "<style>",
                "body { font: 15px/1.4 sans-serif; margin: 2em }",
                "table { border-collapse: collapse; width: 100% }",
                "th, td { border: 1px solid #bbb; padding: 4px 8px; vertical-align: top; "
                "text-align: left }",
                "td p { margin: 0 0 .4em } td:last-child { font-weight: bold }",
                "</style>", "<h1>The ledger of theorems</h1>")
    yield from (f"<p>{_code(paragraph)}</p>" for paragraph in told(all_lines))
    for section, title in SAYS.items():
        yield f"<h2>{escape(section)}: {escape(title)}</h2>"
        yield "<table><tr>" + "".join(f"<th>{head}</th>" for head in HEADS) + "</tr>"
        for line in all_lines:
            if line.section == section:
                cells = ("".join(f"<p>{_code(part)}</p>" for part in cell) for cell in line.cells)
                yield f'<tr style="background: {SHADE[line.verdict]}">' \
                    + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        yield "</table>"
    yield "</html>"


def _code(text: str) -> str:
    """A text as HTML, with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if k % 2 else part for k, part in enumerate(parts))


def main(argv: list[str] | None = None) -> None:
    """Run all, write both tables, and exit with status 1 where a theorem's limit was missed."""
    out: Path = folder(argv, __doc__)
    # among the documents, and not among their figures
    out = out.parent if out.name == "figures" and out.parent.name == "docs" else out
    all_lines = [*lines(entries()), *in_turn()]
    for line in all_lines:
        print(f"  {line.verdict:19}  {line.section:6}  {line.row.name:60.60}  "
              f"{len(line.runs)} runs")
    for name, write in (("ledger.md", markdown), ("ledger.html", html)):
        (out / name).write_text("\n".join(write(all_lines)) + "\n", encoding="utf-8")
        print(out / name)
    failed = [line for line in all_lines if line.verdict == FAILS]
    for line in failed:
        print(f"FAILS: {line.row.name}", file=sys.stderr)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
