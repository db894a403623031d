"""Early stopping is not quite regularisation: the two paths set out and end together, and part on
the way.

    python -m paper_figures.paths [--committed | --out DIR]

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), §3.2, Theorem 5 and §5; Rosset, Zhu, Hastie, "Boosting as a regularized path
to a maximum margin classifier" (JMLR 2004): as c → ∞ the regularisation path ŵ(c) = argmin L(w)
s.t. ‖w‖ ≤ c goes in the direction of maximum margin in that norm, as steepest descent in the norm
does. The optimisation path is run in steps η/L so small that it is the flow; it is compared with
ŵ(c) at the same norm. The data are drawn from a seed at which the two part in every norm; often
they part less. No result is stored: dots come from running, lines and stars from solving.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import fastbias as fb
from paper_figures._style import BLACK, COLOURS, GREY, YELLOW, folder, save

N, SEED = 3, 181
MOVE = 1e-3  # a step moves w by at most this much in the norm of the method
COARSE = 10  # a run in steps so many times larger shows that this is the flow
RADII = np.geomspace(0.03, 100, 71)  # the norms at which the paths are compared in (e) to (g)
BALLS = np.linspace(0.5, 7.5, 15)  # those in (b) to (d), and which of them are drawn
DRAWN = 4, 9, 14
WINDOW = np.array([[-5.2, 3.9], [-0.5, 8.6]])
SMALLER = {"ℓ1": 0.06}  # all of these in (a), where the paths part much earlier
NAMES = "ℓ1", "ℓ1.5", "ℓ2", "ℓ∞"
NORMS = dict(zip(NAMES, (fb.norms.l1, fb.norms.lp(1.5), fb.norms.l2, fb.norms.linf), strict=True))


@cache
def problem() -> tuple[np.ndarray, np.ndarray]:
    """X (N, 2), lengths log-normal, angles uniform over 210°, all labelled +1: samples of very
    different lengths.
    """
    rng = np.random.default_rng(SEED)
    angles, lengths = np.radians(rng.uniform(-60, 150, size=N)), np.exp(rng.normal(size=N))
    return lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1), np.ones(N)


def angle(w: np.ndarray) -> Any:
    """The angle of w in degrees, over the last axis."""
    return np.degrees(np.arctan2(w[..., 1], w[..., 0]))


@dataclass(frozen=True)
class Pair:
    """The two paths in one norm with one loss: the argmin of L over balls, and steepest descent at
    the same norms.
    """

    name: str
    loss: str = "exponential"

    @property
    def norm(self) -> fb.norms.Norm:
        """The norm itself."""
        return NORMS[self.name]

    @property
    def colour(self) -> str:
        """How it is drawn everywhere."""
        return COLOURS[NAMES.index(self.name)]

    def plan(self, move: float = MOVE) -> fb.Plan:
        """Steepest descent from 0, ‖Δw‖ = η ‖∇L‖⋆/L ≤ move, as ‖∇L‖⋆ ≤ B L (for the logistic loss,
        too).
        """
        X, y = problem()
        rule = fb.steps.loss_scaled(move / self.norm.dual(X).max())
        return fb.Plan(X, y, loss=self.loss, method=fb.methods.steepest_descent(self.norm, rule))

    @cached_property
    def limit(self) -> fb.Limit:
        """The maximum margin direction, to which Theorem 5 sends the run."""
        return self.plan().limit()

    @cached_property
    def balls(self) -> np.ndarray:
        """The norms at which the paths are drawn in the plane."""
        return BALLS * SMALLER.get(self.name, 1.0)

    def regularised(self, radii: np.ndarray) -> Any:
        """The ŵ(c) at these c."""
        return fb.regularisation_path(*problem(), radii, self.norm, self.loss)

    def walk(self, radii: np.ndarray, move: float = MOVE) -> np.ndarray:
        """Where the run is when it has these norms, (K, 2); its norm grows all the way."""
        w = run(self, move).w
        return np.array([np.interp(radii, self.norm(w), column) for column in w.T]).T

    @cached_property
    def certified(self) -> Any:
        """The ŵ(c) at the RADII, with how far from optimal they can be."""
        return self.regularised(RADII)

    @cached_property
    def line(self) -> Any:
        """The ŵ(c), densely, where (a) to (d) draw them."""
        return self.regularised(np.linspace(0, self.balls[-1], 101)[1:])

    @cached_property
    def apart(self) -> np.ndarray:
        """The distance between the paths at the same norm, over that norm, at the RADII, (K,)."""
        return self.norm(self.walk(RADII) - self.certified.w) / RADII


@cache
def run(pair: Pair, move: float) -> fb.Trace:
    """The optimisation path, to the largest of the RADII at least."""
    # L is at least ℓ(γ‖w‖), so where log L is less, ‖w‖ is more
    far = pair.limit.margin * RADII[-1]
    return pair.plan(move).run(10**8, record=5000, until=-far - 0.01)


def plane(ax: Axes, pair: Pair, title: str) -> None:
    """Draw both paths in the plane, and join the points that lie on the same ball."""
    window, drawn = WINDOW * SMALLER.get(pair.name, 1.0), pair.balls[list(DRAWN)]
    grid = np.stack(np.meshgrid(*(np.linspace(*side, 300) for side in window)), axis=-1)
    sizes = pair.norm(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    ax.contour(grid[..., 0], grid[..., 1], sizes, levels=drawn, colors=[GREY], linewidths=0.7,
               alpha=0.6, zorder=1)
    w, end = pair.walk(pair.balls), 1.06 * pair.balls[-1] * pair.limit.w
    hat = pair.regularised(pair.balls[list(DRAWN)]).w
    ax.plot(*np.transpose([(0, 0), end]), color=BLACK, lw=0.8, ls="--", zorder=2)
    ax.plot(*end, "*", color=YELLOW, mec=BLACK, ms=17, zorder=6)
    ax.plot(*np.vstack([np.zeros(2), pair.line.w]).T, color=pair.colour, lw=2.5, zorder=3)
    ax.plot(*w.T, "o", color=pair.colour, mec="white", mew=0.4, ms=5, zorder=4)
    for k, other in zip(DRAWN, hat, strict=True):
        both = np.array([other, w[k]])
        ax.plot(*both.T, color=BLACK, lw=1.2, zorder=5)
        ax.plot(*both.T, "o", mfc="none", mec=BLACK, mew=1.2, ms=8, zorder=5)
    ax.set(title=title, xlabel="$w_1$", ylabel="$w_2$", xlim=window[0], ylim=window[1],
           aspect="equal")


def directions(ax: Axes, pairs: list[Pair], title: str) -> None:
    """Draw which way both paths point, against the norm, and at the right where they go."""
    for pair in pairs:
        w = pair.walk(RADII)
        ax.plot(RADII, angle(pair.certified.w), color=pair.colour, lw=2.2, zorder=2)
        ax.plot(RADII[::2], angle(w[::2]), "o", color=pair.colour, mec="white", mew=0.4, ms=5,
                zorder=3)
        ax.plot(RADII[-1] * 1.8, angle(pair.limit.w), "*", color=pair.colour, mec=BLACK, mew=0.7,
                ms=14, zorder=4, clip_on=False)
        ax.plot([], color=pair.colour, lw=4, label=pair.name)
    ax.set(title=title, xlabel=r"norm $c=\|w\|$ (the method's)", xscale="log",
           xlim=(RADII[0], RADII[-1] * 1.8), ylim=(-8, 130), ylabel="angle of $w$",
           yticks=range(0, 121, 30))
    ax.yaxis.set_major_formatter("{x:.0f}°")
    ax.legend(loc="lower right", handletextpad=0.6, handlelength=1.2)


def distances(ax: Axes, pairs: list[Pair], title: str) -> None:
    """Draw how far apart the paths are at the same norm, and 1/c to compare."""
    for pair in pairs:
        plain = pair.loss == "exponential"
        ax.plot(RADII, pair.apart, color=pair.colour, lw=2.2 if plain else 1.4, ls="-" if plain
                else "--", zorder=2)
    late = np.extract(RADII >= 10, RADII)
    ax.plot(late, 5 / late, color=BLACK, lw=1, zorder=1)
    ax.annotate(r"$\propto 1/c$", (late[0], 5 / late[0]), (8, 0), textcoords="offset points",
                fontsize=13)
    ax.plot([], color=GREY, lw=2.2, label="exponential")
    ax.plot([], color=GREY, lw=1.4, ls="--", label="logistic")
    ax.set(title=title, xlabel=r"norm $c=\|w\|$ (the method's)", xscale="log", yscale="log",
           xlim=(RADII[0], RADII[-1]), ylim=(1e-3, 1.5),
           ylabel=r"$\|w-\hat w(c)\|\,/\,c$ at equal norm")
    ax.legend(loc="lower left", bbox_to_anchor=(0.21, 0), handletextpad=0.4, handlelength=1.1,
              borderaxespad=0.2, fontsize=9)


def numbers(pairs: list[Pair]) -> Iterator[dict[str, Any]]:
    """Every point drawn, a row each; (a) to (d) are the exponential loss at smaller norms."""
    def row(panel: str, pair: Pair, kind: str, c: Any, w: np.ndarray,
            apart: Any = "") -> dict[str, Any]:
        return {"panel": panel, "norm": pair.name, "loss": pair.loss, "kind": kind, "c": c,
                "w1": w[0], "w2": w[1],
                "angle": angle(w), "apart": apart}
    for pair in pairs:
        yield row("all", pair, "maximum margin", "", pair.limit.w)
        if pair.loss == "exponential":
            letter, drawn = "abcd"[NAMES.index(pair.name)], pair.balls[list(DRAWN)]
            for kind, radii, ws in (("regularisation", pair.line.radii, pair.line.w),
                                    ("regularisation, ring", drawn, pair.regularised(drawn).w),
                                    ("steepest descent", pair.balls, pair.walk(pair.balls))):
                yield from (row(letter, pair, kind, c, w) for c, w in zip(radii, ws, strict=True))
        panels = "e, g" if pair.loss == "exponential" else "f, g"
        for kind, ws in (("regularisation", pair.certified.w),
                         ("steepest descent", pair.walk(RADII))):
            yield from (row(panels, pair, kind, *rest)
                        for rest in zip(RADII, ws, pair.apart, strict=True))


def report(pairs: list[Pair]) -> None:
    """Print how far the paths part and how near they come, how sure we are of both, and whether
    theory covers the run.
    """
    print("  apart: ‖w − ŵ(c)‖/c at equal norm c; slope: of its logarithm over the last decade "
          "of c (—: rounding);\n"
          f"  step: how much w/c moves where the steps are {COARSE} times as large; ŵ: bound on "
          "(L(ŵ) − min L)/L(ŵ)\n")
    print(f"  {'norm':5} {'loss':11}  {'max margin':>10}  {'apart: start':>12}  {'largest':>17}  "
          f"{'end':>7}  {'slope':>5}  {'step':>7}  {'ŵ':>7}  steps")
    late = np.flatnonzero(RADII[-1] / 10 <= RADII)
    for pair in pairs:
        apart, k = pair.apart, pair.apart.argmax()
        slope = np.polyfit(np.log(RADII[late]), np.log(apart[late]),
                           1)[0] if apart[-1] > 1e-5 else np.nan
        step = (pair.norm(pair.walk(RADII, COARSE * MOVE) - pair.walk(RADII)) / RADII).max()
        line = (f"  {pair.name:5} {pair.loss:11}  {angle(pair.limit.w):9.2f}°  {apart[0]:12.1e}  "
                f"{apart[k]:.3f} at c = {RADII[k]:5.3g}  {apart[-1]:7.1e}  {slope:5.2f}  "
                f"{step:7.1e}  {pair.certified.residuals.max():7.1e}  "
                f"{run(pair, MOVE).t[-1]:.1e}")
        print(line.replace("  nan", "    —"))
    print(f"\nWhat theory says of the run in {pairs[0].name}: {pairs[0].limit}\n")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    exponential, logistic = ([Pair(name, loss) for name in NAMES]
                             for loss in ("exponential", "logistic"))
    figure, axes = plt.subplot_mosaic("aaabbbcccddd;eeeeffffgggg", figsize=(12.6, 8.2),
                                      layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.1)
    titles = ("(a) ℓ1, coordinate descent:\nnever takes w₁ back",
              "(b) ℓ1.5: the run lags\nbehind at equal norm",
              "(c) ℓ2, gradient descent:\nlags behind, too", "(d) ℓ∞: together, but\nfor the turn")
    for letter, pair, title in zip("abcd", exponential, titles, strict=True):
        plane(axes[letter], pair, title)
    directions(axes["e"], exponential, "(e) Same start, same end,\ndifferent on the way")
    directions(axes["f"], logistic, "(f) Logistic loss:\nother ways, the same ends")
    distances(axes["g"], exponential + logistic, "(g) The distance vanishes,\nrelative to the norm")
    keys = [(Line2D([], [], color=GREY, lw=2.5), r"regularisation path $\hat w(c)$"),
            (Line2D([], [], color=GREY, marker="o", mec="white", ls="", ms=7),
             f"steepest descent, ‖Δw‖ ≤ {MOVE:g}"),
            (Line2D([], [], color=BLACK, marker="o", mfc="none", ms=8), "the two on one ball"),
            (Line2D([], [], color=YELLOW, marker="*", mec=BLACK, ls="", ms=15),
             "direction of maximum margin")]
    figure.legend(*zip(*keys, strict=True), loc="outside lower center", ncols=4, handletextpad=0.5)
    report(exponential + logistic)
    save(figure, numbers(exponential + logistic), "paths", out)


if __name__ == "__main__":
    main()
