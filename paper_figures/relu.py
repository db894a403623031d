"""ReLU networks of one input and two: what they cost in weights against the least cost of any
function through the points, and their margins against the certified largest.

    python -m paper_figures.relu [--committed | --out DIR]

Source: Savarese, Evron, Soudry, Srebro, "How do infinite width bounded norm networks look in
function space?" (COLT 2019). The least cost max(∫|f″|, |f′(−∞) + f′(+∞)|) is certified by
`fastbias.solvers.relu.fit`; networks of finite width are run by gradient descent on a, b, β, c as
models of their values at the data, X = I. That theory is of explicit weight penalties: no theorem
says that gradient descent finds the least cost, and from large starts it does not. Of two inputs
(`paper_figures._relu_plane`): Chizat, Bach (COLT 2020), the largest margin in the variation norm,
certified by `fb.relu.margin`. No result is stored.
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
from paper_figures import _relu_plane
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, MARKERS, folder, save

X = np.array([-2.0, -1.5, -0.9, -0.3, 0.2, 0.8, 1.4, 2.0])
Y = np.array([0.2, 0.9, 0.3, -0.6, -0.2, 0.7, 0.4, -0.3])
WIDTHS = 30, 100, 1000
SCALES = np.geomspace(0.01, 1.0, 7)
SEEDS = range(5)
SHOWN = 100  # the width whose functions are drawn, ...
STARTS = SCALES[[0, 4, 6]]                                 # ... and the scales of its starts
FITTED = np.log(1e-10)                                     # a run goes on until log L is here, ...
STEPS = 200_000                                            # ... or for so many steps
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
LINE = np.linspace(-2.6, 2.6, 1041)


@cache
def best() -> fb.relu.Interpolant:
    """The function of least cost through the points, certified."""
    return fb.relu.fit(X, Y)


@dataclass(frozen=True)
class Run:
    """Gradient descent on a network of a width, from weights and biases N(0, scale²)."""

    width: int
    scale: float
    seed: int

    @cached_property
    def trace(self) -> fb.Trace:
        """Where it goes; the step is short for wide networks that start large."""
        model = fb.models.relu(X, self.width)
        eta = min(0.01, 0.1 / (1 + self.width * self.scale ** 2))
        plan = fb.Plan(np.eye(X.size), Y, loss="squared", method=fb.methods.gradient_descent(eta),
                       model=model, start=model.start(self.scale, rng=self.seed))
        return plan.run(STEPS, until=FITTED, record=2)

    @property
    def fits(self) -> bool:
        """Whether it goes through the points."""
        return bool(self.trace.log_loss[-1] <= FITTED)

    @property
    def layers(self) -> list[np.ndarray]:
        """Outer weights, inner weights, biases, and the bias of the output, at the end."""
        return fb.models.relu(X, self.width).split(self.trace.u[-1], X.size)

    @cached_property
    def function(self) -> fb.relu.Network:
        """The function that it ends as."""
        a, b, beta, c = self.layers
        return fb.relu.network(a, b, beta, float(c[0]))

    @property
    def weights(self) -> float:
        """½ Σ a_k² + b_k²."""
        a, b, *_ = self.layers
        return float(a @ a + b @ b) / 2


@cache
def run(width: int, scale: float, seed: int) -> Run:
    """Each run once."""
    return Run(width, scale, seed)


def functions(ax: Axes) -> None:
    """Draw the points, the cheapest function and three networks."""
    for colour, scale in zip((BLUE, GREEN, RED), STARTS, strict=True):
        one = run(SHOWN, float(scale), 0)
        ax.plot(LINE, one.function(LINE), color=colour, lw=2.2,
                label=f"start {scale:.2g}: cost {one.function.cost / best().cost:.2f} × the least")
    ax.plot(LINE, best().function(LINE), color=BLACK, lw=1.4, ls=(0, (4, 2)),
            label=f"least cost of any width, {best().cost:.2f}, solved")
    ax.plot(X, Y, "o", color=BLACK, ms=7, mec="white", zorder=5)
    ax.set(title=f"(a) All go through the points:\nnetworks of {SHOWN} units, by scale of start",
           xlabel="$x$", ylabel="$f(x)$", ylim=(-2.2, 3.4))
    ax.legend(loc="upper right")


def slopes(ax: Axes) -> None:
    """Draw the slopes: the cheapest function shown turns at the points alone; others that cost the
    same need not.
    """
    for colour, scale in zip((BLUE, GREEN), STARTS, strict=False):
        f = run(SHOWN, float(scale), 0).function
        middle = (LINE[1:] + LINE[:-1]) / 2
        ax.plot(middle, np.diff(f(LINE)) / np.diff(LINE), color=colour, lw=2,
                label=f"start {scale:.2g}")
    f = best().function
    ax.stairs(f.slopes, [LINE[0], *f.knots, LINE[-1]], color=BLACK, lw=1.4, ls=(0, (4, 2)),
              baseline=None, label="least cost")
    for x in X:
        ax.axvline(x, color=GREY, lw=0.6, zorder=0)
    ax.set(title="(b) Small starts make few turns, in all\nabout as large as those of the cheapest",
           xlabel="$x$", ylabel="slope $f'(x)$")
    ax.legend(loc="upper right")


def costs(ax: Axes) -> None:
    """Draw cost against the scale of the start: median, least and largest over the seeds; rings
    where a seed did not fit.
    """
    for width, colour, marker in zip(WIDTHS, (ORANGE, BLUE, PINK), MARKERS, strict=False):
        table = np.array([[run(width, float(s), seed).function.cost / best().cost for seed in SEEDS]
                          for s in SCALES])
        fits = np.array([[run(width, float(s), seed).fits for seed in SEEDS] for s in SCALES])
        low, middle, high = np.nanquantile(np.where(fits, table, np.nan), [0, 0.5, 1], axis=1)
        ax.fill_between(SCALES, low, high, color=colour, alpha=0.2, lw=0)
        ax.plot(SCALES, middle, marker + "-", color=colour, lw=2, label=f"{width} units: $R(f)$")
        weights = np.median([[run(width, float(s), seed).weights / best().cost for seed in SEEDS]
                             for s in SCALES], axis=1)
        ax.plot(SCALES, weights, marker + ":", color=colour, lw=1.2, ms=4,
                label="… and its weights")
    ax.axhline(1, color=BLACK, lw=1.4, ls=(0, (4, 2)))
    ax.annotate("least cost of any width, certified", (SCALES[-1], 1), (0, -6),
                textcoords="offset points", ha="right", va="top")
    ax.set(title="(c) From small starts the cost is near\nthe least; it grows with the start",
           xscale="log", yscale="log", xlabel="scale of the start, $a, b, β \\sim N(0, α^2)$",
           ylabel="cost, in units of the least one", ylim=(0.75, 40))
    ax.legend(loc="upper left", ncols=1)


def numbers() -> Iterator[dict[str, Any]]:
    """Every number drawn, a row each."""
    yield from ({"panel": "a", "width": "", "scale": "", "seed": "", "kind": "point", "x": x,
                 "y": y} for x, y in zip(X, Y, strict=True))
    drawn = [("", "", "least cost", best().function)] + [
        (SHOWN, s, "network", run(SHOWN, float(s), 0).function) for s in STARTS]
    for width, scale, kind, f in drawn:
        for x, y in zip(LINE[::4], f(LINE[::4]), strict=True):
            yield {"panel": "a, b", "width": width, "scale": scale, "seed": 0, "kind": kind, "x": x,
                   "y": y}
    for width in WIDTHS:
        for s in SCALES:
            for seed in SEEDS:
                one = run(width, float(s), seed)
                for kind, value in (("cost", one.function.cost), ("weights", one.weights)):
                    yield {"panel": "c", "width": width, "scale": s, "seed": seed,
                           "kind": kind if one.fits else f"{kind}, points not fitted", "x": s,
                           "y": value / best().cost}
    yield from _relu_plane.numbers()


def report() -> None:
    """Print the certificate, and how near each width and start comes."""
    print(f"{X.size} points; least cost {best().cost:.6f}, certified to {best().duality_gap:.0e}\n")
    print("  width  start   fitted     cost / least (median)    weights / least    steps")
    for width in WIDTHS:
        for s in SCALES:
            runs = [run(width, float(s), seed) for seed in SEEDS]
            fitted = [one for one in runs if one.fits]
            cost, weights = (float(np.median([v(one) for one in fitted])) / best().cost if fitted
                             else float("nan")
                             for v in (lambda one: one.function.cost, lambda one: one.weights))
            print(f"  {width:5}  {s:5.2g}  {len(fitted)} of {len(runs)}  {cost:20.4f}  "
                  f"{weights:20.4f}  {int(np.median([one.trace.t[-1] for one in runs])):10}")
    print("\n  the least cost is one of explicit penalties on weights; for gradient descent it "
          "is no theorem\n")
    _relu_plane.report()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    figure = plt.figure(figsize=(22.0, 10.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12)
    above, below = figure.subfigures(2, 1)
    panels = zip((functions, slopes, costs), above.subplots(1, 3), strict=True)
    for draw, ax in (*panels, *zip(_relu_plane.PANELS, below.subplots(1, 5), strict=True)):
        draw(ax)
    report()
    save(figure, numbers(), "relu", out)


if __name__ == "__main__":
    main()
