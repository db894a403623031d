"""Figure 1 of the paper, from real runs: where no theorem holds, momentum and step size decide
which optimum wins.

    python -m paper_figures.fig1 [--committed | --out DIR]
    python -m paper_figures.fig1 --data "2,3;1.5" --eta .01 .02 --out DIR

With ``--data`` the three panels are of your own equations, one for each "x1,x2,…;y" (separated by
spaces or "|"); ``--eta`` are the step sizes of (b) and (c), the first of them that of (a);
``--momentum`` the pairs "β,γ" of (a); ``--power`` that of the norm of (c). A run that stops is
drawn to its last finite point, which a cross marks; the table says why, and which step would do.
What titles say is taken from where the runs end.

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), Figure 1, Examples 2, 3 and 4. The paper does not print its step sizes and
momentum values; those below show what its caption says. No result is stored: the limits come from
running, the stars from solving.
"""
from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from scipy.linalg import null_space

import fastbias as fb
from fastbias.plots.base import STAR
from paper_figures._fig1_words import (
    ON,
    SAME,
    SHORT,
    Data,
    contradiction,
    pairs,
    table,
    theory,
    verdict,
    within,
)
from paper_figures._style import BLACK, BLUE, COLOURS, MARKERS, command, options, save

STEPS = 10_000                                             # every run has come to rest long before
ETA = 0.05                                                 # of panel (a)
MOMENTA = ((0, 0), (0, 0.5), (0.5, 0.5), (0.5, 0), (0.6, 0.6))     # (β, γ)
NATURAL = (0.02, 0.08, 0.1, 0.11, 0.12)  # η < 1/8 keeps the first step inside the domain
STEEPEST = (0.02, 0.05, 0.08, 0.13, 0.14)                  # from about 0.2 on, the loss grows
P = 4 / 3
LARGE = 700.0                                              # a log loss that has a loss
Window = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Run:
    """A plan, its name in legend and tables, and whether it follows the flow η → 0 instead of
    taking steps.
    """

    name: str
    plan: fb.Plan
    flow: bool = False
    varied: bool = True       # whether what the panel varies is what it has

    @cached_property
    def ended(self) -> tuple[fb.Trace | None, str]:
        """Where it goes, and what stopped it, if anything did, as tables say it."""
        try:
            if self.flow:
                return self.plan.flow(rtol=1e-10), ""
            return self.plan.run(STEPS, record=400), ""
        except fb.RunStopped as stopped:
            return stopped.trace, f"{stopped.status.name} after t = {stopped.trace.t[-1]:g}"
        except (ArithmeticError, LookupError) as error:
            return None, str(error).partition("\n")[0]

    @property
    def trace(self) -> fb.Trace | None:
        """Where it goes; None where it cannot be followed."""
        return self.ended[0]

    @property
    def stopped(self) -> str:
        """Why it did not go on, empty where it came to rest or is still under way."""
        return self.ended[1]

    @property
    def told(self) -> str:
        """Its name in the legend."""
        if not self.stopped:
            return self.name
        return f"{self.name}: " + ("not at rest" if self.trace is None
                                   else SHORT.get(self.trace.status, "stopped"))

    @property
    def end(self) -> np.ndarray:
        """Where it ended."""
        assert self.trace is not None
        return np.asarray(self.trace.w[-1])

    @property
    def why(self) -> str:
        """In full what became of it, where it did not come to rest."""
        if self.stopped and self.trace is not None:
            return f"{self.stopped}: {self.trace.message}"
        return self.stopped or ("" if self.rests else f"still moving at t = {STEPS}")

    @property
    def rests(self) -> bool:
        """Whether it came to rest; nobody's steps have, that were still under way at the last."""
        return self.trace is not None and not self.stopped and (
            self.flow or self.trace.status is fb.Status.STALLED)


@dataclass(frozen=True)
class Panel:
    """Runs on one problem, the point w* that one would expect them to reach (None where there is
    none), and how to look at them.
    """

    letter: str
    name: str
    varied: str
    note: str
    runs: list[Run]
    star: np.ndarray | None
    star_name: str = r"$w^*_\psi$"
    axes: tuple[int, int] = (0, 1)
    view: Window | None = ((0, 1.06), (0, 1.06))
    zoom: Window | None = None
    without: str = ""         # why there is no star

    @property
    def title(self) -> str:
        """The method, and what its runs say."""
        rested = [run for run in self.runs if run.rests]
        if rested and all(self.unique(run) for run in rested):
            of = "least-squares solution" if contradiction(self.problem.X, self.problem.y) \
                else "solution"
            return f"{self.name}:\nthe {of} is unique"
        flows = [run.end for run in rested if run.flow]
        ends = [run.end for run in rested if run.varied and not run.flow]
        return f"{self.name}:\n" + verdict(ends, self.varied, float(np.ptp(self.window)),
                                           self.star, *(flows or [None]))

    @cached_property
    def lone(self) -> np.ndarray | None:
        """The global minimum where there is but one, of least squares where nothing solves all."""
        X = self.problem.X
        w, _, rank, _ = np.linalg.lstsq(X, self.problem.y, rcond=None)
        return w if rank == X.shape[1] else None

    def unique(self, run: Run) -> bool:
        """Whether a run rests at the only global minimum, to a millionth of the view."""
        return bool(self.lone is not None and run.trace is not None and run.rests
                    and np.linalg.norm(run.trace.w[-1] - self.lone)
                    <= SAME * np.ptp(self.window))

    @property
    def problem(self) -> Any:
        """Data, loss and method of the first run."""
        return self.runs[0].plan.problem

    @property
    def line(self) -> np.ndarray:
        """Two points of the line G of global minima, far apart, (2, d); none where it is no
        line.
        """
        X, y = self.problem.X, self.problem.y
        kernel = null_space(X)
        if kernel.shape[1] != 1:
            return np.empty((0, X.shape[1]))
        middle = self.star if self.star is not None else np.linalg.lstsq(X, y, rcond=None)[0]
        return middle + 10 * np.outer([-1, 1], kernel[:, 0])

    @cached_property
    def window(self) -> Window:
        """What is seen: what was asked for, or all runs that did not stop, the star and the
        start.
        """
        if self.view is not None:
            return self.view
        seen = [self.problem.start[None]]
        seen += [run.trace.w for run in self.runs if run.trace is not None and not run.stopped]
        if self.star is not None:
            seen.append(self.star[None])
        points = np.vstack(seen)[:, list(self.axes)]
        low, high = points.min(axis=0), points.max(axis=0)
        room = max((high - low).max(), 1e-12) * np.array([[0.6, 0.15], [0.15, 0.2]])
        # (most on the left: there marks stand beside the star)
        (left, bottom), (right, top) = low - room[0], high + room[1]
        return (float(left), float(right)), (float(bottom), float(top))

    def on_star(self, run: Run) -> bool:
        """Whether a run ends so near to the star that its mark would hide it."""
        if self.star is None or run.trace is None or run.stopped:
            return False
        return bool(run.trace.gap(self.star)[-1] <= ON * np.ptp(self.window))


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; by default the paper's own figure."""

    data: Data | None = None
    eta: tuple[float, ...] = ()
    momenta: tuple[tuple[float, float], ...] = MOMENTA
    power: float = P

    @property
    def own(self) -> bool:
        """Whether the windows are those that the paper's runs fit into."""
        return not (self.data or self.eta or self.momenta != MOMENTA or self.power != P)

    def example(self, number: int) -> Data:
        """The equations of a panel: those given, or an example of the paper."""
        return fb.data.example(number) if self.data is None else self.data


def planned(data: Data, methods: dict[str, fb.methods.Method], flow: bool = False) -> list[Run]:
    """Plan each method on the data, from the method's own start; if asked, their common flow
    too.
    """
    runs = [Run(name, fb.Plan(*data, loss="squared", method=method))
            for name, method in methods.items()]
    return [*runs, Run("η → 0, the flow", runs[0].plan, flow=True)] if flow else runs


def projected(data: Data, potential: fb.potentials.Potential) -> tuple[np.ndarray | None, str]:
    """The point that one would expect, argmin of the potential over G, and why there is none."""
    if told := contradiction(*data):
        return None, told
    try:
        return np.asarray(fb.bregman_projection(*data, potential).w), ""
    except (ValueError, ArithmeticError, LookupError) as error:
        return None, str(error)


def momentum(asked: Asked) -> Panel:
    """(a) Example 2: primal momentum moves the limit; γ alone and dual momentum do not."""
    mirror, data = fb.methods.mirror_descent, asked.example(2)
    eta = asked.eta[0] if asked.eta else ETA
    methods = {f"β = {beta:g}, γ = {gamma:g}": mirror("entropy", eta, primal_momentum=beta,
                                                      nesterov=gamma)
               for beta, gamma in asked.momenta}
    runs = planned(data, methods)
    dual = planned(data, {"dual: β = 0.5": mirror("entropy", eta, dual_momentum=0.5)})[0]
    star, without = projected(data, fb.potentials.entropy)
    return Panel("a", "Mirror descent, primal momentum", "β and γ", f"entropy ψ, η = {eta:g}",
                 [*runs, replace(dual, varied=False)], star, view=seen(asked), without=without)


def natural(asked: Asked) -> Panel:
    """(b) Example 3: finite steps leave the path of the flow, which lands on the star."""
    data = asked.example(3)
    runs = planned(data, {f"η = {eta:g}": fb.methods.natural_gradient("entropy", eta)
                          for eta in asked.eta or NATURAL}, flow=True)
    star, without = projected(data, fb.potentials.entropy)
    return Panel("b", "Natural gradient descent", "η", "entropy ψ", runs, star, view=seen(asked),
                 without=without)


def steepest(asked: Asked) -> Panel:
    """(c) Example 4: in a norm that is not quadratic, not even the flow reaches the star."""
    data, norm = asked.example(4), fb.norms.lp(asked.power)
    runs = planned(data, {f"η = {eta:g}": fb.methods.steepest_descent(norm, eta)
                          for eta in asked.eta or STEEPEST}, flow=asked.power > 1)
    power = "4/3" if asked.power == P else f"{asked.power:g}"
    title = f"Steepest descent in the {power}-norm"
    star, without = (projected(data, fb.potentials.squared_lp(asked.power))
                     if 1 < asked.power <= 2 else (None, ""))
    name = r"$w^*_{\|\cdot\|}$"
    if not asked.own:
        return Panel("c", title, "η", f"$\\ell_{{{power}}}$", runs, star, name, view=None,
                     without=without)
    return Panel("c", title, "η", "seen along $w_2$", runs, star, name, axes=(0, 2),
                 view=((-1.05, 1.65), (-4.9, 0.3)), zoom=((-0.08, 0.52), (-4.4, -3.8)))


def seen(asked: Asked) -> Window | None:
    """The window of (a) and (b): that of the paper's runs, or None."""
    return ((0, 1.06), (0, 1.06)) if asked.own else None


def draw(ax: Axes, panel: Panel) -> None:
    """Draw G, the star, the trajectories and where they end; marks that would lie on the star
    stand beside it.
    """
    if len(panel.line):
        fb.plots.solutions(panel.problem.X, panel.problem.y, panel.axes, ax)
    if panel.star is not None:
        ax.plot(*panel.star[list(panel.axes)], **STAR | {"ms": 24})
    for k, run in enumerate(panel.runs):
        if run.trace is None:
            continue
        colour = hue(panel, k)
        fb.plots.trajectory(run.trace, axes=panel.axes, ax=ax, color=colour, lw=1.1,
                            ls="--" if colour == BLACK else "-", label="",
                            marker="" if panel.on_star(run) else mark(panel, k))
    if (drawn := ax.get_legend()) is not None:
        drawn.remove()


def mark(panel: Panel, k: int) -> str:
    """The marker of a panel's run k; that of the flow is its own."""
    return MARKERS[-1] if panel.runs[k].flow else MARKERS[k % len(MARKERS)]


def hue(panel: Panel, k: int) -> str:
    """Its colour, likewise."""
    return BLACK if panel.runs[k].flow else COLOURS[k % len(COLOURS)]


def beside(ax: Axes, panel: Panel) -> None:
    """Stand the marks of runs that end on the star in a row beside it, on a line to it."""
    there = [k for k, run in enumerate(panel.runs) if panel.on_star(run)]
    if not there:
        return
    assert panel.star is not None
    # (many stand closer, so that they stay inside)
    at, apart = panel.star[list(panel.axes)], 17 if len(there) < 5 else 12
    steps = [32 + apart * i for i in range(len(there))]
    ax.annotate("", at, (-steps[-1], -0.25 * steps[-1]), textcoords="offset points", zorder=1.4,
                arrowprops={"arrowstyle": "-", "lw": 1, "color": BLACK})
    for k, (dx, dy) in zip(there, [(-x, -0.25 * x) for x in steps], strict=True):
        moved = ax.transData + ScaledTranslation(dx / 72, dy / 72, ax.figure.dpi_scale_trans)
        ax.plot(*at, mark(panel, k), color=hue(panel, k), mec="white", mew=0.7, ms=9,
                transform=moved, zorder=4)


def annotate(ax: Axes, panel: Panel) -> None:
    """Name the axes, the line, the start, the star and the runs; zoom in where the panel asks for
    it.
    """
    def name(ax: Axes, text: str, at: Any, offset: tuple[float, float], ha: str = "right") -> None:
        ax.annotate(text, at, offset, textcoords="offset points", ha=ha, va="center", fontsize=13)
    plane, (across, up) = list(panel.axes), panel.window
    if len(panel.line) and panel.view is not None:
        xs, ys = panel.line[np.argsort(panel.line[:, plane[0]])][:, plane].T
        if up[0] < (height := np.interp(across[0], xs, ys)) < up[1]:
            name(ax, "$G$", (across[0], height), (22, 6))
    name(ax, "$w(0)$", panel.problem.start[plane], (-5, 0))
    if panel.star is not None:
        name(ax, panel.star_name, panel.star[plane], *(((-4, 25),) if panel.zoom is None
                                                       else ((-11, -19),)))
    ax.set(title=f"({panel.letter}) {panel.title}", xlabel=f"$w_{plane[0] + 1}$",
           ylabel=f"$w_{plane[1] + 1}$", xlim=across, ylim=up)
    keys = [Line2D([], [], color=hue(panel, k), ls="", ms=9,
                   marker="" if run.trace is None else "X" if run.stopped else mark(panel, k))
            for k, run in enumerate(panel.runs)]
    told, title = [run.told for run in panel.runs], panel.note
    beside(ax, panel)
    if panel.view is None:
        # (nobody knows where others' runs go: under the axes nothing is hidden)
        ax.legend(keys, told, title=title, alignment="left", loc="upper left", fontsize=9,
                  bbox_to_anchor=(0, -0.13), borderaxespad=0)
        return
    if panel.zoom is None:
        ax.legend(keys, told, title=title, alignment="left", loc="upper left")
        return
    ax.legend(keys, told, title=title, alignment="left", loc="upper right",
              bbox_to_anchor=(1, 0.94))
    inset = ax.inset_axes((0.64, 0.2, 0.36, 0.28), xlim=panel.zoom[0], ylim=panel.zoom[1])
    inset.spines[:].set_visible(True)
    draw(inset, panel)
    inset.set(xticks=[], yticks=[], xlabel="", ylabel="", xlim=panel.zoom[0], ylim=panel.zoom[1])
    flow = panel.runs[-1].trace
    assert flow is not None
    name(inset, r"$w^\infty_{\eta\to 0}$", flow.w[-1, plane], (4, -15))
    ax.indicate_inset_zoom(inset, edgecolor=BLACK)


def key(figure: Any, panels: list[Panel]) -> None:
    """What panels share, under them: of that, what is drawn."""
    star = {name: value for name, value in STAR.items() if name != "zorder"} | {"ms": 14}
    aside = [run.trace.gap(panel.star)[-1] for panel in panels for run in panel.runs
             if panel.on_star(run) and run.trace is not None]
    shown = {
        "$G$: all global minima, $Xw=y$": (any(len(panel.line) for panel in panels), {
            "color": BLUE, "lw": 2.5}),
        "$w^*$: the one nearest to $w(0)$ in the method's own geometry"
        + (f"; marks on a line to it end within {within(max(aside))} of it" if aside else ""): (
            any(panel.star is not None for panel in panels), star),
        "a run that stopped": (any(run.stopped and run.trace for panel in panels
                                   for run in panel.runs), {"color": BLACK, "marker": "X", "ls": "",
                                                            "ms": 8})}
    drawn = {name: Line2D([], [], **style) for name, (there, style) in shown.items() if there}
    if drawn:
        figure.legend(list(drawn.values()), list(drawn), loc="outside lower center",
                      ncols=len(drawn))


def numbers(panel: Panel) -> Iterator[dict[str, Any]]:
    """Every point drawn, a row each: what it belongs to, its coordinates, its distance to the
    star.
    """
    def row(run: str, kind: str, t: Any, w: np.ndarray) -> dict[str, Any]:
        with np.errstate(over="ignore"):                  # a run that ran away
            gap = "" if panel.star is None else np.linalg.norm(w - panel.star)
        entries = dict(zip((f"w{j + 1}" for j in range(max(w.size, 3))), [*w, ""], strict=False))
        return {"panel": panel.letter, "run": run, "kind": kind, "t": t, **entries,
                "gap": gap}
    yield from (row("G", "line", "", w) for w in panel.line)
    if panel.star is not None:
        yield row("w*", "prediction", "", panel.star)
    for run in panel.runs:
        if run.trace is None:
            continue
        yield from (row(run.name, "trajectory", t, w)
                    for t, w in zip(run.trace.t, run.trace.w, strict=True))
        yield row(run.name, run.stopped or ("limit" if run.rests else "under way"),
                  run.trace.t[-1], run.trace.w[-1])


def report(panel: Panel) -> None:
    """Print where each run ended, how far that is from the star, and whether theory predicts it."""
    def point(w: np.ndarray) -> str:
        return " ".join(f"{x:9.6f}" if abs(x) < 1e3 else f"{x:9.2e}" for x in w)
    star = "none" if panel.star is None else point(panel.star)
    print(f"({panel.letter}) {' '.join(panel.title.split())}. w* = {star}\n")
    print(f"  {'run':15}  {'t':>6}  {'L(w)':>5}  {'limit w':29}  {'|w - w*|':>8}  does theory "
          "predict it?")
    for run in panel.runs:
        if run.trace is None:
            print(f"  {run.name:15}  {run.why}")
            continue
        t, w = run.trace.t[-1], run.trace.w[-1]
        loss = np.exp(min(run.trace.log_loss[-1], LARGE))
        gap = np.nan if panel.star is None else run.trace.gap(panel.star)[-1]
        print(f"  {run.name:15}  {t:6.5g}  {loss:5.0e}  {point(w):29}  {gap:8.1e}  "
              f"{run.why or theory(run.plan, run.flow, panel.unique(run))}")
    print()


def beyond() -> str:
    """What becomes of larger primal momentum in panel (a): w + βΔw of eq. (8) leaves dom ψ."""
    method = fb.methods.mirror_descent("entropy", ETA, primal_momentum=0.9)
    return fb.run(*fb.data.example(2), loss="squared", method=method, steps=STEPS,
                  strict=False).message


def arguments(parser: argparse.ArgumentParser) -> None:
    """What may be asked for."""
    parser.add_argument("--data", nargs="+", metavar="x1,x2;y", help="your own equations, one for "
                        "each \"x1,x2,…;y\", separated by spaces or | (default: the paper's "
                        "examples)")
    parser.add_argument("--eta", nargs="+", type=float, default=[], help="step sizes of (b) and "
                        "(c), the first of them that of (a)")
    parser.add_argument("--momentum", nargs="+", metavar="β,γ", help="primal momentum and Nesterov "
                        "momentum of the runs of (a)")
    parser.add_argument("--power", type=float, default=P, help="the p of (c)'s norm (default 4/3)")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save; ValueError, in one sentence, where an argument is bad."""
    # (what begins with a minus sign and a digit is a row, and no option: with a space it is none)
    words = [f" {word}" if re.match(r"-[.\d]", word) else word
             for word in (sys.argv[1:] if argv is None else argv)]
    read = options(words, __doc__, arguments)
    asked = Asked(None if read.data is None else table(read.data), tuple(read.eta),
                  MOMENTA if read.momentum is None else pairs(read.momentum), read.power)
    panels = [momentum(asked), natural(asked), steepest(asked)]
    for told in dict.fromkeys(panel.without for panel in panels if panel.without):
        print(f"no w*: {told}\n")
    figure, axes = plt.subplots(1, 3, figsize=(12.6, 5.1 if asked.own else 6.9),
                                layout="constrained")
    for ax, panel in zip(axes, panels, strict=True):
        draw(ax, panel)
        annotate(ax, panel)
        report(panel)
    key(figure, panels)
    if asked.own:
        print(f"Not drawn in (a): β = 0.9, γ = 0: {beyond()}.\n")
    save(figure, [row for panel in panels for row in numbers(panel)], "fig1", read.out)


if __name__ == "__main__":
    command(main)
