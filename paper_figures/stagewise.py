"""ε-stagewise selection follows the ℓ1 path where that path is monotone; where it is not, it misses
the minimum ℓ1 norm.

    python -m paper_figures.stagewise [--committed | --out DIR]

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), §2.4; Efron, Hastie, Johnstone, Tibshirani, "Least angle regression" (2004).
The data of (b) are given, those of (a) searched for; no result is stored: dots and squares come
from running, lines and stars from solving.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import count
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, YELLOW, folder, save

N, D = 5, 12                                               # of the data in (a)
TURNS = [[0, 3, -1], [3, 2, 2]], [2, -4]  # (b), whose path goes into w_1 and comes out of it again
LAMBDAS = 300
EPSILON, DOTS = 1e-3, 24  # of the runs in (a) and (b), and how much of them is drawn
EPSILONS = np.geomspace(1e-1, 1e-5, 9)                     # of those in (c)


@dataclass(frozen=True)
class Problem:
    """A regression with many solutions: its ℓ1 path, its minimum ℓ1 norm, and where stagewise
    selection goes.
    """

    letter: str
    title: str
    X: Any
    y: Any

    @cached_property
    def path(self) -> Any:
        """The solutions ŵ(λ) = argmin ‖Xw − y‖² + λ‖w‖₁."""
        return fb.l1_path(self.X, self.y, LAMBDAS)

    @cached_property
    def least(self) -> fb.Limit:
        """The solution of Xw = y of minimum ℓ1 norm, where the path ends."""
        return fb.minimum_norm(self.X, self.y)

    def plan(self, epsilon: float) -> fb.Plan:
        """Stagewise selection from 0 in moves of ℓ1 length ε."""
        return fb.Plan(self.X, self.y, loss="squared", method=fb.methods.stagewise(epsilon))

    @cached_property
    def ends(self) -> np.ndarray:
        """For each ε of (c) the solution around which the run hovers, at about ε: the one nearest
        to its end, (K, d).
        """
        far = 2 * l1(self.least.w)                         # twice the way straight to the minimum
        last = [self.plan(epsilon).run(int(far / epsilon)).w[-1] for epsilon in EPSILONS]
        return np.array([fb.bregman_projection(self.X, self.y, fb.potentials.euclidean, w).w
                         for w in last])

    @property
    def excess(self) -> np.ndarray:
        """How much larger than the minimum their ℓ1 norms are, relative to it, (K,)."""
        return l1(self.ends) / l1(self.least.w) - 1

    @cached_property
    def walk(self) -> tuple[np.ndarray, np.ndarray]:
        """Arc lengths εt (K,) and iterates (K, d), evenly spaced as far as the ℓ1 norm of the
        end.
        """
        rows = np.linspace(0, l1(self.ends[-1]) / EPSILON, DOTS).astype(int)
        trace = self.plan(EPSILON).run(rows[-1], record=rows)
        return EPSILON * trace.t, trace.w

    @property
    def apart(self) -> float:
        """How far the iterates get from the point of the path whose ℓ1 norm is their arc length
        (beyond: from its end).
        """
        (arc, walk), path = self.walk, self.path.w
        on_path = np.array([np.interp(arc, l1(path), column) for column in path.T]).T
        return float(np.linalg.norm(walk - on_path, axis=1).max())

    @property
    def moved(self) -> np.ndarray:
        """The coordinates that leave 0."""
        return np.flatnonzero(np.abs(self.walk[1]).max(axis=0) > 10 * EPSILON)


def l1(w: np.ndarray) -> Any:
    """‖w‖₁, over the last axis."""
    return np.abs(w).sum(axis=-1)


def short(x: float) -> str:
    """Return a number as the simple fraction that it nearly is, or else with three digits."""
    near = Fraction(x).limit_denominator(20)
    return (str(near) if abs(near - x) < 1e-4 else f"{x:.3g}").replace("-", "−")


def monotone() -> tuple[np.ndarray, np.ndarray]:
    """Return the first of the seeded random regressions on whose ℓ1 path no |w_j| falls as λ
    falls.
    """
    draws = (fb.data.random_regression(N, D, seed) for seed in count())
    return next((X, y) for X, y in draws if fb.l1_path(X, y).monotone)


def coordinates(ax: Axes, problem: Problem) -> None:
    """Draw each coordinate of the path against its ℓ1 norm, and of the iterates against their arc
    length.
    """
    (arc, walk), path, star, end = problem.walk, problem.path.w, problem.least.w, problem.ends[-1]
    for j, colour in zip(problem.moved, COLOURS, strict=False):
        ax.plot(l1(path), path[:, j], color=colour, lw=2, zorder=2)
        ax.plot(arc, walk[:, j], "o", color=colour, mec="white", mew=0.5, ms=5.5, zorder=3)
        ax.plot(l1(end), end[j], "s", mfc="none", mec=BLACK, mew=1.1, ms=9, zorder=5)
        ax.plot(l1(star), star[j], "*", color=YELLOW, mec=BLACK, ms=15, zorder=4)
        ax.annotate(f"$w_{{{j + 1}}}$", (l1(end), end[j]), (10, 0), textcoords="offset points",
                    va="center", color=colour, fontsize=12)
    ax.axhline(0, color=GREY, lw=0.6, zorder=1)
    ax.plot([], "*", color=YELLOW, mec=BLACK, ms=13, label=f"minimum ℓ1 norm: {short(l1(star))}")
    ax.plot([], "s", mfc="none", mec=BLACK, ms=8, label=f"end of stagewise: {short(l1(end))}")
    ax.set(title=f"({problem.letter}) {problem.title}",
           xlabel=r"ℓ1 norm $\|\hat w(\lambda)\|_1$, arc length $\epsilon t$",
           ylabel="coordinates of $w$", xlim=(-0.03 * l1(end), 1.13 * l1(end)))
    ax.legend(handletextpad=0.5, loc="upper left" if star.max() > -star.min() else "lower left")


def excess(ax: Axes, problems: list[Problem]) -> None:
    """Draw against ε how much larger than the minimum the ℓ1 norm at the end is, and what ε → 0
    makes of it.
    """
    good, bad = problems
    for problem, marker, colour in ((good, "o", BLUE), (bad, "s", COLOURS[0])):
        ax.plot(EPSILONS, problem.excess, marker, color=colour, mec="white", ms=8,
                label=f"data of ({problem.letter})")
    lines = ((EPSILONS * np.exp(np.log(good.excess / EPSILONS).mean()), BLUE, r"$\propto\epsilon$"),
             (np.full_like(EPSILONS, bad.excess[-1]), COLOURS[0],
              rf"$\to$ {short(bad.excess[-1])}"))
    for line, colour, note in lines:
        ax.plot(EPSILONS, line, color=colour, lw=1, ls="--", zorder=1)
        ax.annotate(note, (EPSILONS[4], line[4]), (16, -18), textcoords="offset points",
                    color=colour, fontsize=13)
    ax.set(title="(c) The price in ℓ1 norm:\nsmaller moves help in (a), not in (b)",
           xlabel=r"move length $\epsilon$", ylabel="excess over the minimum, relative",
           xscale="log", yscale="log")
    ax.legend(loc="lower right")


def numbers(problems: list[Problem]) -> Iterator[dict[str, Any]]:
    """Every point run to or solved for, a row each: a coordinate j against norm or arc length, or
    an excess against ε.
    """
    for problem in problems:
        (arc, walk), path = problem.walk, problem.path.w
        for kind, xs, ws in (("path", l1(path), path), ("stagewise", arc, walk),
                             ("minimum", [l1(problem.least.w)], [problem.least.w]),
                             ("end", [l1(problem.ends[-1])], [problem.ends[-1]])):
            for x, w in zip(xs, ws, strict=True):
                yield from ({"panel": problem.letter, "kind": kind, "j": j, "x": x, "y": y}
                            for j, y in enumerate(w, 1))
        yield from ({"panel": "c", "kind": f"excess of ({problem.letter})", "j": "", "x": x, "y": y}
                    for x, y in zip(EPSILONS, problem.excess, strict=True))


def report(problem: Problem) -> None:
    """Print the norms at the ends of path and runs, their distances from the minimum norm, and what
    theory says.
    """
    star, moved = problem.least.w, problem.moved

    def row(name: str, w: np.ndarray) -> None:
        print(f"  {name:20}  {l1(w):.6f}  {np.linalg.norm(w - star):8.1e}  "
              f"{' '.join(f'{x:9.6f}' for x in w[moved])}")
    path, title = problem.path, " ".join(problem.title.split())
    print(f"({problem.letter}) {title}. Path monotone: {path.monotone}, its residuals at most "
          f"{path.residuals.max():.0e};\n"
          f"    the run with ε = {EPSILON:g} leaves it by up to {problem.apart:.0e}. Certificate "
          f"of the minimum norm: {problem.least.duality_gap:.0e}.\n")
    names = " ".join(f"w_{j + 1}".rjust(9) for j in moved)
    print(f"  {'':20}  {'|w|_1':8}  {'|w - w*|':8}  {names}")
    row("minimum l1 norm, w*", star)
    row(f"path at λ = {path.lambdas[-1]:.0e}", path.w[-1])
    for epsilon, w in zip(EPSILONS[::2], problem.ends[::2], strict=True):
        row(f"stagewise, ε = {epsilon:.0e}", w)
    print()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    problems = [Problem("a", "Monotone path:\nstagewise selection follows it", *monotone()),
                Problem("b", "A coordinate that turns back:\nstagewise selection goes elsewhere",
                        *TURNS)]
    figure, axes = plt.subplots(1, 3, figsize=(12.6, 4.9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12)
    for ax, problem in zip(axes, problems, strict=False):
        coordinates(ax, problem)
        report(problem)
    excess(axes[2], problems)
    keys = [Line2D([], [], color=GREY, lw=2), Line2D([], [], color=GREY, marker="o", mec="white",
                                                     ms=7, ls="")]
    names = (r"ℓ1 path $\hat w(\lambda)$, against its norm",
             rf"stagewise, $\epsilon$ = {EPSILON:g}, against its arc length")
    figure.legend(keys, names, loc="outside lower center", ncols=2, handletextpad=0.5)
    try:
        problems[0].plan(EPSILON).limit()
    except fb.NoTheorem as error:
        print(fill(f"What theory says of both: {error.reason} [{error.source}].", 120) + "\n")
    save(figure, numbers(problems), "stagewise", out)


if __name__ == "__main__":
    main()
