"""One underdetermined regression, every potential: each picks its own solution, the one that
Theorem 1 names.

    python -m paper_figures.potentials [--committed | --out DIR]

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), Theorems 1 and 1a, eqs. (5) and (6): mirror descent goes to the Bregman
projection of its start on the solutions. No result is stored: the dots come from running, the rings
from solving.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

N, D, SEED = 3, 8, 144  # a seed whose eleven solutions lie far apart
STEPS = 10_000  # every run has come to its last digits long before
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
SIMPLEX = np.ones((1, D)), np.array([D])  # Σ w_i = d: the entropy's start (1, …, 1) lies on it


@cache
def problem() -> tuple[np.ndarray, np.ndarray]:
    """X (N, d) Gaussian and y = X w for a w drawn from the simplex Σ w_i = d, so that every
    potential can fit it.
    """
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(N, D))
    return X, X @ (D * rng.dirichlet(np.ones(D)))


@dataclass(frozen=True)
class Run:
    """Mirror descent with one potential from its minimiser: name, formula, how to draw it, and
    perhaps Gw = h to keep.
    """

    name: str
    formula: str
    potential: fb.potentials.Potential
    colour: str
    ls: Any = "-"
    constraint: tuple[np.ndarray, np.ndarray] | None = None

    @cached_property
    def step_size(self) -> float:
        """η = 1/(2λ), where λ is the largest curvature of L in the dual variable, at the projection
        and at the start.

        That is the largest eigenvalue of 2 X ∇²ψ(w)⁻¹ Xᵀ; steps over 2/λ would not come to rest
        there.
        """
        X, psi = problem()[0], self.potential
        points = [fb.bregman_projection(*problem(), psi, constraint=self.constraint).w]
        if not psi.degenerate:  # where it is, the curvature at the start is 0 or infinite
            points.append(psi.start(D))
        return float(0.5 / max(np.linalg.norm(2 * X @ np.array([psi.solve(w, x) for x in X]).T, 2)
                               for w in points))

    @cached_property
    def plan(self) -> fb.Plan:
        """The method on the problem."""
        method = fb.methods.mirror_descent(self.potential, self.step_size,
                                           constraint=self.constraint)
        return fb.Plan(*problem(), loss="squared", method=method)

    @cached_property
    def trace(self) -> fb.Trace:
        """Where it goes."""
        return self.plan.run(STEPS, record=600)

    @cached_property
    def limit(self) -> fb.Limit:
        """Where theory says it goes."""
        return self.plan.limit()

    @cached_property
    def gap(self) -> np.ndarray:
        """How far from there it is at each row of the trace."""
        return self.trace.gap(self.limit)


def runs() -> list[Run]:
    """All potentials of vectors: from those that make w sparse to those that level it, then what is
    not symmetric.
    """
    psi, dashed = fb.potentials, (0, (3, 1.2))
    return [
        Run("squared_lp(1.1)", r"$\frac{1}{2}\|w\|_{1.1}^2$", psi.squared_lp(1.1), ORANGE),
        Run("hypentropy(0.01)", r"$\nabla\psi=\mathrm{asinh}(w_i/0.01)$", psi.hypentropy(0.01),
            GREEN),
        Run("squared_lp(1.5)", r"$\frac{1}{2}\|w\|_{1.5}^2$", psi.squared_lp(1.5), RED),
        Run("power(1.5)", r"$\frac{1}{1.5}\sum|w_i|^{1.5}$, the same $w$", psi.power(1.5), RED,
            dashed),
        Run("hypentropy(1)", r"$\nabla\psi=\mathrm{asinh}(w_i)$", psi.hypentropy(1), GREEN, dashed),
        Run("euclidean", r"$\frac{1}{2}\|w\|_2^2$", psi.euclidean, BLACK),
        Run("cosh", r"$\sum\cosh w_i$", psi.cosh, SKY),
        Run("power(3)", r"$\frac{1}{3}\sum|w_i|^3$", psi.power(3), PINK),
        Run("quadratic(D)", r"$\frac{1}{2}w^{\!\top}\!Dw$", psi.quadratic(np.geomspace(0.1, 10, D)),
            GREY),
        Run("entropy", r"$\sum w_i\log w_i-w_i$", psi.entropy, BLUE),
        Run("entropy, simplex", r"$\sum w_i=d$", psi.entropy, BLUE, dashed, SIMPLEX),
    ]


def solutions(ax: Axes, runs: list[Run]) -> None:
    """Draw for each coordinate what the potentials make of it, side by side: a dot that ran, in a
    ring that was solved.
    """
    width = len(runs) + 3
    middle = width * np.arange(D)
    for k, run in enumerate(runs):
        x = middle + k - (len(runs) - 1) / 2
        ax.vlines(x, 0, run.trace.w[-1], color=run.colour, ls=run.ls, lw=1.4, zorder=2)
        ax.plot(x, run.trace.w[-1], "o", color=run.colour, mec="none", ms=5, zorder=3)
        ax.plot(x, run.limit.w, "o", mfc="none", mec=BLACK, mew=0.8, ms=9, zorder=4)
        ax.plot([], color=run.colour, ls=run.ls, lw=2, label=f"{run.name}   {run.formula}")
    ax.plot([], "o", color=GREY, mec="none", ms=5, label="dot: where the run ended")
    ax.plot([], "o", mfc="none", mec=BLACK, mew=0.8, ms=9, label="ring: the projection, solved")
    for x in middle[::2]:
        ax.axvspan(x - width / 2, x + width / 2, color=BLACK, alpha=0.05, lw=0, zorder=0)
    ax.axhline(0, color=GREY, lw=0.8, zorder=1)
    ax.set(
        title="(a) Each potential picks its own solution of Xw = y: the Bregman projection of "
        "its start", xticks=middle, xticklabels=[f"$w_{i}$" for i in range(1, D + 1)],
        xlim=(-width / 2, middle[-1] + width / 2), ylabel="coordinates of the limit")
    ax.tick_params(axis="x", length=0, labelsize=12)
    ax.legend(ncols=3, loc="upper right", handletextpad=0.6, columnspacing=1.5, borderaxespad=0.2)


def convergence(ax: Axes, runs: list[Run]) -> None:
    """Draw the distance to the projection against the step."""
    for run in runs:
        fb.plots.gap(run.trace, run.limit, ax, slopes=False, color=run.colour, ls=run.ls, lw=1.8,
                     label=None)
    ax.text(0.015, 0.06,
            "lines as in (a); $\\eta=1/(2\\lambda)$, $\\lambda$: largest eigenvalue of\n"
            "$2X\\nabla^2\\psi(w)^{-1}X^{\\top}$ at the start and at the projection",
            transform=ax.transAxes)
    ax.set(title="(b) Each run comes to rest there, to the last digits", xlabel="steps $t$",
           xlim=(1, STEPS), ylabel="distance to the projection")


def numbers(runs: list[Run]) -> Iterator[dict[str, Any]]:
    """Every point drawn, a row each: a coordinate of a limit, or a distance at a step."""
    for run in runs:
        for kind, w in (("run", run.trace.w[-1]), ("projection", run.limit.w)):
            yield from ({"panel": "a", "potential": run.name, "kind": kind, "x": i, "y": x}
                        for i, x in enumerate(w, 1))
        yield from ({"panel": "b", "potential": run.name, "kind": "distance", "x": t, "y": gap}
                    for t, gap in zip(run.trace.t[1:], run.gap[1:], strict=True))


def report(runs: list[Run]) -> None:
    """Print what theory names and how well it is certified, how near the run came, and how far the
    next solution is.
    """
    print(f"N = {N} equations, d = {D} unknowns; w* is the projection, {STEPS} steps unless the "
          "run comes to rest before.\n")
    print(f"  {'potential':16}  {'theorem':10}  {'certificate':>11}  {'η':>6}  {'steps':>5}  "
          f"{'|w - w*|':>8}  nearest other w*")
    for run in runs:
        others = [(np.linalg.norm(run.limit.w - other.limit.w), other.name) for other in runs
                  if other is not run]
        theorem, (far, other) = run.limit.theorem.partition(":")[0], min(others)
        print(f"  {run.name:16}  {theorem:10}  {run.limit.duality_gap:11.1e}  "
              f"{run.step_size:6.4f}  {run.trace.t[-1]:5}  {run.gap[-1]:8.1e}  {far:.1e}, {other}")
    print()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    every = runs()
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(12.6, 8.4), height_ratios=(1.35, 1),
                                         layout="constrained")
    solutions(top, every)
    convergence(bottom, every)
    report(every)
    save(figure, numbers(every), "potentials", out)


if __name__ == "__main__":
    main()
