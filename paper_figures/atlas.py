"""The map of the field: every row of the theory's tables, run, measured and held against what it says.

    python -m paper_figures.atlas [--out DIR]

It goes through ``fastbias.theory.ROOT`` (Section 2), ``MARGIN`` (Section 3) and ``NETWORK`` (Section 4) themselves: each
case of `paper_figures._atlas_cases` belongs to the row that covers it, and a row without a case is an error, so that a new
theorem cannot be forgotten. Verdicts come from numbers alone:

holds                theory names the limit before the run, with a certificate, and the run ends within the tolerance
open                 theory names it from the run itself (AdaGrad's G∞, one of many stationary points), and that fits; or it
                     names none, and no two runs were seen to differ by more than they still move
no characterisation  it names none, and two runs that differ in one thing alone, or a run and what one might expect of it,
                     end further apart than they still move
FAILS                it names a limit, and the run ends elsewhere, or it is not certified: the exit status is then 1

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization Geometry" (ICML 2018), and
what each row names. No result is stored.
"""
from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import fastbias as fb
from fastbias.limits import PAPER
from fastbias.theory import MARGIN, NETWORK, ROOT, Row
from paper_figures._atlas_cases import Case, Far, Flow, apart, cases, follow
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

REST = 1e-8                                                # a run that has come to rest, or a flow, at its limit point
LOOSE = 0.02                                               # a margin under way, of the maximum; less than other norms lack
TIMES = 100                                                # the constant before a rate that a row names
SEEN = 3                                                   # how often what the runs still move counts as a difference ...
FLOOR = 1e-6                                               # ... and what counts as none
HOLDS, OPEN, NONE, FAILS = "holds", "open", "no characterisation", "FAILS"
COLOUR = {HOLDS: BLUE, OPEN: GREY, NONE: COLOURS[3], FAILS: COLOURS[0]}
MARK = {HOLDS: "✓", OPEN: "?", NONE: "✗", FAILS: "!"}
TABLES = {"§2": ROOT, "§3": MARGIN, "§4": NETWORK}
SAYS = {"§2": "losses with a unique finite root", "§3": "strictly monotone losses, separable data", "§4": "models w = F(u)"}


def covering(plan: fb.Plan, flow: bool) -> tuple[str, Row]:
    """The section whose table speaks of a plan, as `fastbias.theory.limit` chooses it, and the first row that covers it."""
    problem = plan.problem
    section = "§4" if not problem.model.linear or problem.method.decay else "§3" if problem.loss.kind == "monotone" else "§2"
    return section, next(row for row in TABLES[section] if row.covers(problem, flow))


def runs_away(trace: fb.Trace) -> bool:
    """Whether only the direction of a run can have a limit."""
    return bool(trace.problem.loss.kind == "monotone" and not trace.problem.method.decay)


def stationary(limit: fb.Limit) -> bool:
    """Whether a limit is but the run's own direction, with how stationary it is."""
    return limit.theorem.startswith("a stationary point")


def ends(trace: fb.Trace) -> np.ndarray:
    """Its rows, flat: points, or directions of ℓ2 length one."""
    w = trace.w.reshape(len(trace), -1)
    with np.errstate(invalid="ignore"):
        return np.asarray(w / np.linalg.norm(w, axis=1, keepdims=True) if runs_away(trace) else w)


def moving(trace: fb.Trace) -> float:
    """How much a run still moves: a direction while −log L doubled, so that 1/log t halves; else in its last half."""
    if trace.status == fb.Status.STALLED:                  # its state repeats for ever
        return 0.0
    last = trace.log_loss[-1]
    away = runs_away(trace) and last < -1
    half = int(np.argmax(trace.log_loss <= last / 2 if away else trace.log_t >= trace.log_t[-1] - np.log(2)))
    return float(np.linalg.norm(ends(trace)[-1] - ends(trace)[min(half, len(trace) - 2)]))


@dataclass(frozen=True)
class Entry:
    """A case, measured."""

    case: Case

    @cached_property
    def place(self) -> tuple[str, Row]:
        """The section and the row that covers the case."""
        return covering(self.case.plan, isinstance(self.case.how, Flow))

    @cached_property
    def runs(self) -> tuple[fb.Trace, fb.Limit | fb.NoTheorem, bool]:
        """The run, what theory says of it, and whether it said so before."""
        before = self.told()
        trace = follow(self.case.plan, self.case.how)
        return (trace, before, True) if isinstance(before, fb.Limit) else (trace, self.told(), False)

    def told(self) -> fb.Limit | fb.NoTheorem:
        """What theory says of the plan as it stands."""
        try:
            return self.case.plan.limit(isinstance(self.case.how, Flow))
        except fb.NoTheorem as why:
            return why

    @property
    def trace(self) -> fb.Trace:
        """The run."""
        return self.runs[0]

    @property
    def theory(self) -> fb.Limit | fb.NoTheorem:
        """What theory says, after the run."""
        return self.runs[1]

    @cached_property
    def second(self) -> fb.Trace | None:
        """The other run."""
        return None if self.case.other is None else follow(self.case.other, self.case.how)

    @cached_property
    def gap(self) -> float:
        """The distance of the end from the limit: of points, or of ℓ2-unit directions."""
        return float(self.trace.gap(self.theory)[-1])

    @cached_property
    def measured(self) -> tuple[str, float]:
        """What counts, and its value: the distance to a point, what a margin lacks of the maximum, or the KKT residual."""
        limit = self.theory
        assert isinstance(limit, fb.Limit)
        if limit.kind == "direction":
            if stationary(limit):
                return "KKT residual", limit.duality_gap
            return "1 − margin/γ", float(1 - self.trace.margin(limit.norm)[-1] / limit.margin)
        if self.case.finer is None:
            return "‖w − w∞‖", self.gap
        fine = follow(self.case.finer, self.case.how)
        return "‖2w(η/2) − w(η) − w∞‖", float(np.linalg.norm(2 * fine.w[-1] - self.trace.w[-1] - limit.w))

    @cached_property
    def tolerance(self) -> tuple[float, str]:
        """How large that may be, and why."""
        limit = self.theory
        assert isinstance(limit, fb.Limit)
        if limit.kind == "point":
            if self.case.finer is None:
                return REST, "at rest"
            return self.gap / 10, f"O(η): w(η) itself is {sci(self.gap)} off, the term in η gone a tenth of that or less"
        rate = next((r for r in limit.rates if r.quantity == "margin gap"), None)
        if rate is None:
            return LOOSE, "on its way, no rate named"
        clock = self.trace.log_t[-1] if rate.clock == "log t" else np.exp(min(self.trace.log_t[-1], 700.0))
        bound = TIMES * float(clock) ** rate.slope
        return min(bound, LOOSE), f"{TIMES} × ({rate.clock})^{rate.slope:g}, at most {LOOSE:.0%}"

    @cached_property
    def apart(self) -> float:
        """How far from each other the two runs end (NaN without a second)."""
        return float("nan") if self.second is None else float(np.linalg.norm(ends(self.trace)[-1] - ends(self.second)[-1]))

    @cached_property
    def miss(self) -> float:
        """How far the run ends from what one might expect of it (NaN where nothing is)."""
        if self.case.instead is None:
            return float("nan")
        return float(self.trace.gap(self.case.instead(self.trace))[-1])

    @cached_property
    def restless(self) -> float:
        """How much the runs still move, together."""
        return moving(self.trace) + (0.0 if self.second is None else moving(self.second))

    @cached_property
    def verdict(self) -> str:
        """What all that amounts to."""
        limit, before = self.runs[1:]
        if isinstance(limit, fb.NoTheorem):
            differ = float(np.nanmax([self.apart, self.miss]))
            return NONE if differ > max(SEEN * self.restless, FLOOR) else OPEN
        value, bound = self.measured[1], self.tolerance[0]
        if not abs(value) <= bound or not (limit.certified or stationary(limit)):
            return FAILS
        return HOLDS if before else OPEN

    @property
    def open_hypotheses(self) -> int:
        """How many hypotheses nobody can check."""
        return sum(h.holds is None for h in self.theory.hypotheses)

    @property
    def name(self) -> str:
        """Family and label of the case."""
        return f"{self.case.family}{', ' if self.case.label else ''}{self.case.label}"

    @property
    def source(self) -> str:
        """Where that stands, shortly."""
        return brief(self.theory.source)

    @property
    def goal(self) -> str:
        """The predicted limit."""
        limit = self.theory
        if isinstance(limit, fb.NoTheorem):
            return "none"
        if limit.kind == "point":
            potential = self.place[1].potential
            if potential is None:
                return limit.theorem.partition(":")[0]
            psi = potential(self.case.plan.problem)
            return "argmin ‖w − w(0)‖₂" if psi is fb.potentials.euclidean else "argmin D_ψ(w, w(0))"
        return "a stationary point of min ‖u‖², margins ≥ 1" if stationary(limit) else f"max margin, {self.norm}"

    @property
    def norm(self) -> str:
        """The norm of the predicted margin."""
        limit = self.theory
        assert isinstance(limit, fb.Limit)
        assert limit.norm is not None
        name = limit.norm.name
        name = {"linf": "ℓ∞", "fourier": "Σ|DFT w|"}.get(name, re.sub(r"^l(?=[\d.]+$)", "ℓ", name))
        return f"{name}, W ⪰ 0" if self.case.plan.problem.model.semidefinite else name

    @property
    def number(self) -> float:
        """The number on the map: how far from the limit, or how far apart two runs, or from what one might expect."""
        if isinstance(self.theory, fb.Limit):
            return abs(self.measured[1])
        return self.miss if self.second is None else self.apart

    @property
    def horizon(self) -> str:
        """How far the run was followed."""
        if isinstance(self.case.how, Flow):
            return "flow" + ("" if np.isinf(self.case.how.time) else f" to {sci(self.trace.t[-1])}")
        return f"log t = {sci(self.trace.log_t[-1])}" if isinstance(self.case.how, Far) else f"t = {self.trace.t[-1]}"

    @property
    def shown(self) -> str:
        """The numbers, in words."""
        if isinstance(self.theory, fb.Limit):
            what, value = self.measured
            text = f"{what} = {sci(value)}" + (f", gap {sci(self.gap)}" if what.startswith("1") else "")
            return text + ("" if self.second is None else f"; {self.case.differ}: {sci(self.apart)} apart")
        parts = [] if self.second is None else [f"{self.case.differ}: {sci(self.apart)} apart"]
        parts += [] if self.case.instead is None else [f"{sci(self.miss)} from {self.case.expected}"]
        return "; ".join(parts) + (f" (still moving: {sci(self.restless)})" if self.restless > FLOOR else "")


def brief(source: str) -> str:
    """A source without the paper's own name and with first authors only."""
    def authors(found: re.Match[str]) -> str:
        names = re.split(r", | & ", found[1])
        return f"{names[0]} et al. (" if len(names) > 2 else " & ".join(names) + " ("
    return re.sub(r"((?:[A-Z][\w’-]+(?:, | & )?)+) \(", authors, source.replace(f"{PAPER}, ", ""))


def sci(x: float) -> str:
    """A number with two digits, as 0.017 or 3·10⁻¹³."""
    if x == 0 or not np.isfinite(x) or 1e-3 <= abs(x) < 1e4:
        return f"{x:.2g}".replace("-", "−")
    digits, power = f"{x:.0e}".split("e")
    power = f"10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    return power if digits == "1" else f"{digits}·{power}".replace("-", "−")


# --- the tables ----------------------------------------------------------------------------------------------------------

def entries() -> list[Entry]:
    """All cases; LookupError where a row of a table has none."""
    every = [Entry(case) for case in cases()]
    without = [f"{section}: {row.name}" for section, table in TABLES.items() for row in table
               if not any(entry.place[1] is row for entry in every)]
    if without:
        raise LookupError(f"each row of the theory's tables needs a case in _atlas_cases.py; without one: {without}")
    return every


def rivals() -> float:
    """The least that the maximum margin of one norm lacks in another, on the data of most runs of Section 3."""
    X, y = apart()
    some = [fb.norms.lp(p) for p in (1.0, 1.5, 2.0, 3.0, np.inf)]
    best = [fb.max_margin(X, y, norm) for norm in some]
    least = min(1 - (y * (X @ other.w)).min() / norm(other.w) / own.margin
                for norm, own in zip(some, best, strict=True) for other in best if other is not own)
    if least <= LOOSE:
        raise ArithmeticError(f"a tolerance of {LOOSE} does not tell norms apart whose margins differ by {least}")
    return float(least)


def numbers(every: list[Entry]) -> Iterator[dict[str, Any]]:
    """A row for each run, with every number shown."""
    for entry in every:
        case, problem, limit = entry.case, entry.case.plan.problem, entry.theory
        known: dict[str, Any] = dict.fromkeys(("measured", "value", "gap", "tolerance", "because", "certificate",
                                               "certified"))
        if isinstance(limit, fb.Limit):
            known |= {"measured": entry.measured[0], "value": entry.measured[1], "gap": entry.gap,
                      "tolerance": entry.tolerance[0], "because": entry.tolerance[1], "certificate": limit.duality_gap,
                      "certified": limit.certified}
        yield {"section": entry.place[0], "row": entry.place[1].name, "source": limit.source, "family": case.family,
               "case": case.label, "method": repr(problem.method), "loss": problem.loss.name, "model": problem.model.name,
               "N": len(problem.X), "d": problem.size, "followed to": entry.horizon, "log loss": entry.trace.log_loss[-1],
               "limit": entry.goal, **known, "open hypotheses": entry.open_hypotheses, "second run": case.differ,
               "apart": entry.apart, "expected": case.expected, "from there": entry.miss, "still moving": entry.restless,
               "verdict": entry.verdict}


def markdown(every: list[Entry]) -> Iterator[str]:
    """The table, line by line."""
    count = Counter(entry.verdict for entry in every)
    yield from (
        "# The map of the field", "",
        "Every row of `fastbias.theory.ROOT`, `MARGIN` and `NETWORK`, run small by `python -m paper_figures.atlas`: "
        f"{len(every)} runs, {', '.join(f'{count[v]} {v}' for v in MARK if count[v])}. The verdicts are computed:", "",
        f"- **{HOLDS}**: theory names the limit before the run, certified, and the run ends within the tolerance. For "
        f"points at rest that is {sci(REST)}, for directions {TIMES} × the rate that the row names, at most {LOOSE:.0%} of "
        f"the maximum margin; the maximisers of other norms lack {rivals():.1%} or more of it (ℓ1 … ℓ∞, on the same data). "
        "\"gap\" is the distance of unit directions.",
        f"- **{OPEN}**: the run itself decides the limit (AdaGrad's G, one of many stationary points), and that fits; or "
        f"theory names none, and no two runs were seen to differ by more than {SEEN} times what they still move.",
        f"- **{NONE}**: theory names none, and two runs that differ in one thing alone, or a run and what one might expect "
        "of it, end further apart than that.")
    for section in TABLES:
        yield from ("", f"## {section}: {SAYS[section]}", "",
                    "| theorem or example | run | method, loss, model | followed to | predicted limit | measured "
                    "| tolerance | certificate | open hypotheses | verdict |", "|" + " --- |" * 10)
        yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in cells(entry)) + " |" for entry in every
                    if entry.place[0] == section)


def cells(entry: Entry) -> list[str]:
    """What the table says of a run."""
    problem, limit = entry.case.plan.problem, entry.theory
    what = [f"`{problem.method!r}`", problem.loss.name] + ([] if problem.model.linear else [problem.model.name])
    checked = [f"{sci(entry.tolerance[0])}: {entry.tolerance[1]}", sci(limit.duality_gap)] if isinstance(limit, fb.Limit) \
        else ["", ""]
    return [entry.source, entry.name, ", ".join(what), entry.horizon, entry.goal, entry.shown, *checked,
            str(entry.open_hypotheses), f"**{entry.verdict}**"]


# --- the picture ---------------------------------------------------------------------------------------------------------

NAMES, WIDE, HIGH, SPACE = 1.55, 4.55, 0.37, 0.05          # inches: the column of names, a column, a bar, between bars
HEAD = 0.66                                                # over a block
HEADS = ((("§2", "a limit point; number: distance from it"),
          ("§3", "a limit direction; number: 1 − margin/γ, γ the maximum")),
         (("§4", "number: distance; finite steps extrapolated to η → 0"),
          ("§4", "number: 1 − margin/γ; of stationary points, the KKT residual")))
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
            return goals if first.theory.kind == "point" else "one of many stationary points of min ‖u‖²"
        if self.verdict == OPEN:
            return "no theorem, no counter-example seen"
        heads = dict.fromkeys(run.case.differ.partition(" = ")[0] for run in self.runs if run.case.differ)
        return f"the limit depends on {', '.join(heads)}" if heads else f"it stays away from {first.case.expected}"

    @property
    def number(self) -> str:
        """The worst of those that hold, the largest of those that do not."""
        worst = max(run.number for run in self.runs)
        return ("≤ " if len(self.runs) > 1 and isinstance(self.runs[0].theory, fb.Limit) else "") + sci(worst)

    @property
    def detail(self) -> str:
        """Which runs."""
        names = " · ".join(dict.fromkeys(run.case.label for run in self.runs if run.case.label))
        return f"{len(self.runs)} runs: {names}" if len(self.runs) > 1 else names


def bars(every: list[Entry], block: bool) -> dict[str, tuple[list[Bar], list[Bar]]]:
    """For each family the bars of its two cells: losses with a root, monotone losses; of models, or of the linear one."""
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
    ax.text(x + 0.31, upper, clipped(bar.claim, 54).replace("D_ψ(w, w(0))", r"$D_\psi(w,w(0))$"), va="center", fontsize=9.5)
    ax.text(right, upper, bar.number, va="center", ha="right", fontsize=9.5, fontweight="bold")
    source = bar.runs[0].source.partition(";")[0].partition(" for ")[0]
    ax.text(right, lower, source, va="center", ha="right", fontsize=8, color=GREY)
    ax.text(x + 0.31, lower, clipped(bar.detail, 70 - len(source)), va="center", fontsize=8, color="#333333")


def badge(ax: Axes, verdict: str, x: float, y: float, high: float) -> None:
    """Draw the mark of a verdict."""
    ax.add_patch(Rectangle((x, y), 0.24, high, fc=COLOUR[verdict], lw=0))
    ax.text(x + 0.12, y + high / 2, MARK[verdict], ha="center", va="center", color="white", fontsize=12, fontweight="bold")


def clipped(text: str, length: int) -> str:
    """A text, at most so long."""
    return text if len(text) <= length else text[:length - 2].rstrip(" ·,") + " …"


def picture(every: list[Entry]) -> Figure:
    """Draw the map: rows are families of methods or models, columns the two classes of losses."""
    blocks = [bars(every, False), bars(every, True)]
    tall = [{family: max(map(len, cell)) * (HIGH + SPACE) + SPACE for family, cell in block.items()} for block in blocks]
    width, height = NAMES + 2 * WIDE + 0.12, 0.6 + sum(sum(rows.values()) + HEAD + 0.1 for rows in tall)
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
            ax.text(x, y + 0.22, f"{section}: {list(SAYS.values())[k]}", fontsize=12, fontweight="bold", va="center")
            ax.text(x, y + 0.45, note, fontsize=9, va="center", color=GREY)
        y += HEAD
        for family, cell in block.items():
            ax.axhline(y - SPACE / 2, color=BLACK, lw=0.5, alpha=0.4)
            ax.text(0.08, y + rows[family] / 2 - SPACE, family, fontsize=10, fontweight="bold", va="center")
            for k, column in enumerate(cell):
                for i, bar in enumerate(column):
                    draw_bar(ax, bar, NAMES + k * (WIDE + 0.06), y + SPACE / 2 + i * (HIGH + SPACE))
            y += rows[family]
        y += 0.1
    return figure


def legend(ax: Axes, every: list[Entry]) -> None:
    """Name the verdicts over the map, and count them."""
    count, x = Counter(entry.verdict for entry in every), 0.08
    meaning = {HOLDS: "a theorem, and the runs end where it says", OPEN: "known only from the run, or not at all",
               NONE: "none; number: how far apart two runs end", FAILS: "a theorem, and a run ends elsewhere"}
    for verdict, words in meaning.items():
        if count[verdict]:
            badge(ax, verdict, x, 0.15, 0.32)
            ax.text(x + 0.32, 0.22, f"{verdict} ({count[verdict]} runs)", va="center", fontsize=10.5, fontweight="bold")
            ax.text(x + 0.32, 0.42, words, va="center", fontsize=9, color=GREY)
            x += 3.55


def report(every: list[Entry]) -> None:
    """Print a line for each run."""
    for entry in every:
        print(f"  {entry.verdict:19}  {entry.place[0]}  {entry.name:40.40}  {entry.goal:30.30}  {entry.shown}")
    count = Counter(entry.verdict for entry in every)
    print(f"\n{sum(len(table) for table in TABLES.values())} rows of the tables, {len(every)} runs: "
          + ", ".join(f"{count[v]} {v}" for v in MARK if count[v]))
    print(f"the maximum margins of other norms lack {rivals():.1%} or more; the tolerance is {LOOSE:.0%} at most\n")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save; exit with status 1 where a theorem's limit was missed."""
    out: Path = folder(argv, __doc__, __file__)
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
