"""Figure 1 of the paper, from real runs: where no theorem holds, momentum and step size decide
which optimum wins.

    python -m paper_figures.fig1 [--committed | --out DIR]

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), Figure 1, Examples 2, 3 and 4. The paper does not print its step sizes and
momentum values; those below show what its caption says. No result is stored: the limits come from
running, the stars from solving.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy.linalg import null_space

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, MARKERS, YELLOW, folder, save

STEPS = 10_000                                             # every run has come to rest long before
ETA = 0.05                                                 # of panel (a)
MOMENTA = ((0, 0), (0, 0.5), (0.5, 0.5), (0.5, 0), (0.6, 0.6))     # (β, γ)
NATURAL = (0.02, 0.08, 0.1, 0.11, 0.12)  # η < 1/8 keeps the first step inside the domain
STEEPEST = (0.02, 0.05, 0.08, 0.13, 0.14)                  # from about 0.2 on, the loss grows
P = 4 / 3
Window = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Run:
    """A plan, its name in legend and tables, and whether it follows the flow η → 0 instead of
    taking steps.
    """

    name: str
    plan: fb.Plan
    flow: bool = False

    @cached_property
    def trace(self) -> fb.Trace:
        """Where it goes."""
        return self.plan.flow(rtol=1e-10) if self.flow else self.plan.run(STEPS, record=400)

    @property
    def theory(self) -> str:
        """Which theorem predicts its limit, or which example of the paper shows that none can."""
        try:
            return "yes: " + self.plan.limit(self.flow).theorem.partition(":")[0]
        except fb.NoTheorem as error:
            return "no: " + error.source.rpartition("(2018), ")[2]


@dataclass(frozen=True)
class Panel:
    """Runs on one problem, the point w* that one would expect them to reach, and how to look at
    them.
    """

    letter: str
    title: str
    note: str
    runs: list[Run]
    star: np.ndarray
    star_name: str = r"$w^*_\psi$"
    axes: tuple[int, int] = (0, 1)
    view: Window = ((0, 1.06), (0, 1.06))
    zoom: Window | None = None

    @property
    def line(self) -> np.ndarray:
        """Two points of the line G of global minima, far apart, (2, d)."""
        return self.star + 10 * np.outer([-1, 1], null_space(self.runs[0].plan.problem.X)[:, 0])


def planned(example: int, methods: dict[str, fb.methods.Method], flow: bool = False) -> list[Run]:
    """Plan each method on the data of an example, from the method's own start; if asked, their
    common flow too.
    """
    X, y = fb.data.example(example)
    runs = [Run(name, fb.Plan(X, y, loss="squared", method=method))
            for name, method in methods.items()]
    return [*runs, Run("η → 0, the flow", runs[0].plan, flow=True)] if flow else runs


def momentum() -> Panel:
    """(a) Example 2: primal momentum moves the limit; γ alone and dual momentum do not."""
    mirror = fb.methods.mirror_descent
    methods = {f"β = {beta:g}, γ = {gamma:g}": mirror("entropy", ETA, primal_momentum=beta,
                                                      nesterov=gamma) for beta, gamma in MOMENTA}
    methods["dual: β = 0.5"] = mirror("entropy", ETA, dual_momentum=0.5)
    return Panel("a", "Mirror descent, primal momentum:\nthe limit depends on β and γ",
                 f"entropy ψ, η = {ETA:g}", planned(2, methods),
                 fb.bregman_projection(*fb.data.example(2), fb.potentials.entropy).w)


def natural() -> Panel:
    """(b) Example 3: finite steps leave the path of the flow, which lands on the star."""
    runs = planned(3, {f"η = {eta:g}": fb.methods.natural_gradient("entropy", eta)
                       for eta in NATURAL}, flow=True)
    return Panel("b", "Natural gradient descent:\nthe limit depends on η", "entropy ψ", runs,
                 fb.bregman_projection(*fb.data.example(3), fb.potentials.entropy).w)


def steepest() -> Panel:
    """(c) Example 4: in a norm that is not quadratic, not even the flow reaches the star."""
    runs = planned(4, {f"η = {eta:g}": fb.methods.steepest_descent(fb.norms.lp(P), eta)
                       for eta in STEEPEST}, flow=True)
    return Panel("c", "Steepest descent in the 4/3-norm:\nthe limit depends on η; η → 0 misses w*",
                 "seen along $w_2$", runs,
                 fb.bregman_projection(*fb.data.example(4), fb.potentials.squared_lp(P)).w,
                 r"$w^*_{\|\cdot\|}$", axes=(0, 2), view=((-1.05, 1.65), (-4.9, 0.3)),
                 zoom=((-0.08, 0.52), (-4.4, -3.8)))


def draw(ax: Axes, panel: Panel) -> None:
    """Draw G, the star, the trajectories and where they end."""
    plane = list(panel.axes)
    ax.plot(*panel.line[:, plane].T, color=BLUE, lw=2.5, zorder=1)
    ax.plot(*panel.star[plane], "*", color=YELLOW, mec=BLACK, ms=24, zorder=3)
    for k, run in enumerate(panel.runs):
        w, colour = run.trace.w[:, plane].T, COLOURS[k]
        ax.plot(*w, color=colour, lw=1.1, ls="--" if colour == BLACK else "-", zorder=2)
        if not run.flow:
            ax.plot(*w, ".", color=colour, ms=3, zorder=2)
        ax.plot(*w[:, -1], MARKERS[k], color=colour, mec="white", mew=0.7, ms=10.5 - 0.7 * k,
                zorder=4, label=run.name)


def annotate(ax: Axes, panel: Panel) -> None:
    """Name the axes, the line, the start, the star and the runs; zoom in where the panel asks for
    it.
    """
    def name(ax: Axes, text: str, at: Any, offset: tuple[float, float]) -> None:
        ax.annotate(text, at, offset, textcoords="offset points", ha="right", va="center",
                    fontsize=13)
    plane, left = list(panel.axes), panel.view[0][0]
    xs, ys = panel.line[np.argsort(panel.line[:, 0])][:, plane].T
    name(ax, "$G$", (left, np.interp(left, xs, ys)), (22, 6))
    name(ax, "$w(0)$", panel.runs[0].trace.w[0, plane], (-5, 0))
    name(ax, panel.star_name, panel.star[plane], (-11, -19))
    ax.set(title=f"({panel.letter}) {panel.title}", xlabel=f"$w_{plane[0] + 1}$",
           ylabel=f"$w_{plane[1] + 1}$", xlim=panel.view[0], ylim=panel.view[1])
    if panel.zoom is None:
        ax.legend(title=panel.note, alignment="left", loc="upper left")
        return
    ax.legend(title=panel.note, alignment="left", loc="upper right", bbox_to_anchor=(1, 0.94))
    inset = ax.inset_axes((0.64, 0.2, 0.36, 0.28), xlim=panel.zoom[0], ylim=panel.zoom[1],
                          xticks=[], yticks=[])
    inset.spines[:].set_visible(True)
    draw(inset, panel)
    name(inset, r"$w^\infty_{\eta\to 0}$", panel.runs[-1].trace.w[-1, plane], (4, -15))
    ax.indicate_inset_zoom(inset, edgecolor=BLACK)


def numbers(panel: Panel) -> Iterator[dict[str, Any]]:
    """Every point drawn, a row each: what it belongs to, its coordinates, its distance to the
    star.
    """
    def row(run: str, kind: str, t: Any, w: np.ndarray) -> dict[str, Any]:
        w1, w2, w3 = [*w, ""][:3]
        return {"panel": panel.letter, "run": run, "kind": kind, "t": t, "w1": w1, "w2": w2,
                "w3": w3,
                "gap": np.linalg.norm(w - panel.star)}
    yield from (row("G", "line", "", w) for w in panel.line)
    yield row("w*", "prediction", "", panel.star)
    for run in panel.runs:
        yield from (row(run.name, "trajectory", t, w)
                    for t, w in zip(run.trace.t, run.trace.w, strict=True))
        yield row(run.name, "limit", run.trace.t[-1], run.trace.w[-1])


def report(panel: Panel) -> None:
    """Print where each run ended, how far that is from the star, and whether theory predicts it."""
    def point(w: np.ndarray) -> str:
        return " ".join(f"{x:9.6f}" for x in w)
    print(f"({panel.letter}) {' '.join(panel.title.split())}. w* = {point(panel.star)}\n")
    print(f"  {'run':15}  {'t':>6}  {'L(w)':>5}  {'limit w':29}  {'|w - w*|':>8}  does theory "
          "predict it?")
    for run in panel.runs:
        t, w, loss = run.trace.t[-1], run.trace.w[-1], np.exp(run.trace.log_loss[-1])
        gap = run.trace.gap(panel.star)[-1]
        print(f"  {run.name:15}  {t:6.5g}  {loss:5.0e}  {point(w):29}  {gap:8.1e}  {run.theory}")
    print()


def beyond() -> str:
    """What becomes of larger primal momentum in panel (a): w + βΔw of eq. (8) leaves dom ψ."""
    method = fb.methods.mirror_descent("entropy", ETA, primal_momentum=0.9)
    return fb.run(*fb.data.example(2), loss="squared", method=method, steps=STEPS,
                  strict=False).message


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    panels = [momentum(), natural(), steepest()]
    figure, axes = plt.subplots(1, 3, figsize=(12.6, 4.7), layout="constrained")
    for ax, panel in zip(axes, panels, strict=True):
        draw(ax, panel)
        annotate(ax, panel)
        report(panel)
    print(f"Not drawn in (a): β = 0.9, γ = 0: {beyond()}.\n")
    save(figure, [row for panel in panels for row in numbers(panel)], "fig1", out)


if __name__ == "__main__":
    main()
