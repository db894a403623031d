"""Steepest descent in six norms on the same data: each direction turns to the maximum margin in its
own norm.

    python -m paper_figures.steepest [--committed | --out DIR]

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), Theorem 5, whose steps min(η₊, 1/(B²L)) these are. No result is stored: dots
and lines come from running, stars and dashed lines from solving for the maximum margins.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, YELLOW, folder, save

N, SEED = 14, 795  # a seed whose six directions lie far apart
POWERS = 1, 1.25, 1.5, 2, 3, np.inf
STEPS = 3000  # until here no step is cut off by η₊, ...
ETA_PLUS = 1e300                                           # ... which Theorem 5 wants finite
START = -0.1, 0.2                                          # w(0), outside the six directions
LAST = 3                                                   # slopes are fitted to t ≥ T/3
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS


def data() -> tuple[np.ndarray, np.ndarray]:
    """X (N, 2) and labels y of alternating sign: y_n x_n is a Gaussian cloud away from 0."""
    rng = np.random.default_rng(SEED)
    z = rng.uniform(0.5, 2.5, size=2) + rng.normal(size=(N, 2)) * rng.uniform(0.4, 1.0)
    y = 1 - 2 * (np.arange(N) % 2)
    return y[:, None] * z, y


@dataclass(frozen=True)
class Run:
    """Steepest descent in ℓp, and how to draw it."""

    p: float
    colour: str

    @property
    def name(self) -> str:
        """The norm's name, for figure and tables."""
        return "ℓ∞" if np.isinf(self.p) else f"ℓ{self.p:g}"

    @property
    def norm(self) -> fb.norms.Norm:
        """Its norm."""
        return fb.norms.lp(float(self.p))

    @cached_property
    def plan(self) -> fb.Plan:
        """The method on the data, with Theorem 5's steps."""
        method = fb.methods.steepest_descent(self.norm, fb.steps.bounded(ETA_PLUS))
        return fb.Plan(*data(), loss="exponential", method=method, start=START)

    @cached_property
    def trace(self) -> fb.Trace:
        """Where it goes."""
        return self.plan.run(STEPS)

    @cached_property
    def limit(self) -> fb.Limit:
        """The maximum margin that Theorem 5 names."""
        return self.plan.limit()

    @property
    def star(self) -> np.ndarray:
        """Its direction, of ℓ2 length one."""
        return self.limit.w / np.linalg.norm(self.limit.w)

    @property
    def shortfall(self) -> np.ndarray:
        """How much of the maximum the margin lacks, 1 − margin/γ, at each row."""
        return 1 - self.trace.margin(self.norm) / self.limit.margin

    @cached_property
    def found(self) -> fb.Diagnosis:
        """What the data and the end of the run alone say of its norm."""
        return fb.diagnose(*data(), self.trace.w[-1])

    @property
    def named(self) -> bool:
        """Whether that is its own."""
        return self.found.best == self.norm.name

    def fraction(self, other: Run) -> float:
        """The margin at the end in another run's norm, as a fraction of the maximum in that
        norm.
        """
        return float(self.trace.margin(other.norm)[-1] / other.limit.margin)


RUNS = [Run(p, colour) for p, colour in zip(POWERS, (RED, ORANGE, GREEN, BLUE, SKY, PINK),
                                            strict=True)]


def degrees(w: np.ndarray) -> Any:
    """The angle of w to the first axis, over the last axis."""
    return np.degrees(np.arctan2(w[..., 1], w[..., 0]))


def directions(ax: Axes) -> None:
    """Draw the data, each turned to the positive side, and the six directions: a star that was
    solved, a dot that ran.
    """
    X, y = data()
    reach = 1.12 * np.linalg.norm(X, axis=1).max()
    for sign, face, label in ((1, GREY, "label +1, at $x$"), (-1, "white", "label −1, at $-x$")):
        ax.plot(*(sign * X[y == sign].T), "o", color=face, mec=GREY, ms=6, zorder=3, label=label)
    for run in RUNS:
        end = run.trace.w[-1] / np.linalg.norm(run.trace.w[-1])
        ax.plot(*np.outer(run.star, [0, reach]), color=run.colour, lw=2.2, zorder=2)
        ax.plot(*(reach * run.star), "*", color=YELLOW, mec=BLACK, mew=0.8, ms=19, zorder=4)
        ax.plot(*(reach * end), "o", color=run.colour, mec="white", mew=0.6, ms=7, zorder=5)
        ax.annotate(run.name, reach * run.star, 17 * run.star, textcoords="offset points",
                    ha="left", va="center", color=run.colour, fontsize=13, fontweight="bold")
    ax.plot([], "*", color=YELLOW, mec=BLACK, ms=14, label="maximum margin, solved")
    ax.plot([], "o", color=BLACK, mec="white", ms=7, label="end of the run")
    ax.set(title="(a) Same data, six norms:\nsix maximum-margin directions",
           xlabel="first coordinate of $x$ and $w$", ylabel="second coordinate",
           xlim=(-0.05, 1.2 * reach), ylim=(-0.12, 0.92 * reach), aspect="equal")
    ax.legend(loc="upper left", handletextpad=0.4)


def turning(ax: Axes) -> None:
    """Draw the angle of w(t) against t."""
    for run in RUNS:
        t, angle = run.trace.t[1:], degrees(run.trace.w)[1:]
        ax.axhline(degrees(run.star), color=BLACK, ls=(0, (4, 2.5)), lw=0.9, zorder=2)
        ax.plot(t, angle, color=run.colour, lw=2.6, zorder=3)
        ax.annotate(run.name, (STEPS, degrees(run.star)), (6, 0), textcoords="offset points",
                    va="center", color=run.colour, fontsize=12, fontweight="bold",
                    annotation_clip=False)
    ax.annotate("dashed: maximum margin", (0.98, 0.95), xycoords="axes fraction", ha="right",
                va="top")
    ax.set(title="(b) From a common start, each run\nturns to its own direction",
           xlabel="steps $t$", xscale="log", xlim=(1, STEPS), ylabel="angle of $w(t)$, degrees",
           yticks=range(0, 121, 15), ylim=(-4, 84))


def climbing(ax: Axes) -> None:
    """Draw what each margin lacks of its maximum against t, and slopes to compare.

    The direction is off by about 1/t; so is the margin where the maximum is a corner (two supports,
    or a corner of the norm's ball), while at a smooth maximum it feels only the square.
    """
    for run in RUNS:
        run.trace.plot("margin gap", run.limit, ax, slopes=False, color=run.colour, lw=2.6,
                       label=run.name)
    t, ends = np.array([STEPS / 5, STEPS]), [run.shortfall[-1] for run in RUNS]
    for name, slope, end, shift in (("$1/t$", -1, 2.5 * max(ends), 12),
                                    ("$1/t^2$", -2, 0.4 * min(ends), -12)):
        line = end * (t / STEPS) ** slope
        ax.plot(t, line, color=GREY, lw=1, zorder=2)
        ax.annotate(name, (np.sqrt(t.prod()), np.sqrt(line.prod())), (shift, 1.2 * shift),
                    textcoords="offset points", ha="center", va="center", color=GREY, fontsize=12)
    ax.annotate("a dip: the run swings past its direction", (0.98, 0.95), xycoords="axes fraction",
                ha="right", color=GREY)
    ax.set(
        title="(c) Each margin reaches the maximum in its own norm:\nlike 1/t at a corner, 1/t² "
        "where all is smooth", xlim=(1, STEPS), ylim=(2e-7, 1),
        ylabel=r"shortfall $1-$margin$/\gamma$, in the run's norm")
    ax.legend(ncols=2, loc="lower left", handlelength=1.4, handletextpad=0.5, columnspacing=1.2)


def matrix(ax: Axes) -> None:
    """Write for each run (rows) the fraction of the maximum margin that it reaches in each norm
    (columns).
    """
    values = fractions()
    ax.imshow(1 - values, cmap="cividis_r", norm=PowerNorm(0.5, 0, 1 - values.min()), aspect="auto")
    for i, j in np.ndindex(values.shape):
        own = j == values[i].argmax()
        ax.text(j, i, f"{values[i, j]:.3f}", ha="center", va="center", fontsize=12 if own else 10,
                color="white" if values[i, j] < 0.85 else BLACK, fontweight="bold" if own
                else "normal")
        if own:
            ax.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, fill=False, ec=BLACK, lw=2))
    names = [run.name for run in RUNS]
    ax.set(title="(d) ... and falls short of it in all others\n(boxed: the largest of each row)",
           xlabel="norm in which the margin is measured", ylabel="norm of the run",
           xticks=range(len(RUNS)), yticks=range(len(RUNS)), xticklabels=names, yticklabels=names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        for label, run in zip(labels, RUNS, strict=True):
            label.set(color=run.colour, fontweight="bold", fontsize=12)


def fractions() -> np.ndarray:
    """The margin at the end of run i as a fraction of the maximum in norm j, (6, 6)."""
    return np.array([[run.fraction(other) for other in RUNS] for run in RUNS])


def numbers() -> Iterator[dict[str, Any]]:
    """Every number drawn, a row each."""
    X, y = data()
    yield from ({"panel": "a", "run": "", "kind": f"y x, label {label:+d}", "x": label * x[0],
                 "y": label * x[1]} for x, label in zip(X, y, strict=True))
    for run, row in zip(RUNS, fractions(), strict=True):
        end = run.trace.w[-1] / np.linalg.norm(run.trace.w[-1])
        yield from ({"panel": "a", "run": run.name, "kind": kind, "x": w[0], "y": w[1]}
                    for kind, w in (("maximum margin, unit length", run.star),
                                    ("run, unit length", end)))
        yield {"panel": "b", "run": run.name, "kind": "maximum margin", "x": "",
               "y": degrees(run.star)}
        for panel, kind, values in (("b", "angle", degrees(run.trace.w)),
                                    ("c", "shortfall", run.shortfall)):
            yield from ({"panel": panel, "run": run.name, "kind": kind, "x": t, "y": value}
                        for t, value in zip(run.trace.t[1:], values[1:], strict=True))
        yield from ({"panel": "d", "run": run.name, "kind": "fraction of the maximum",
                     "x": other.name, "y": value} for other, value in zip(RUNS, row, strict=True))


def report() -> None:
    """Print for each run what theory says, how near it came and how fast, and what `fb.diagnose`
    makes of its end.
    """
    print(f"{N} points in the plane, exponential loss, {STEPS} steps of Theorem 5 from w = "
          f"{START}\n")
    print(f"  {'norm':5}  {'γ':>8}  {'certificate':>11}  {'unique':6}  {'supports':>8}  "
          f"{'predicted':>9}  {'end':>7}  {'1 - margin/γ':>12}  {'slope':>6}  {'log L':>7}  "
          "diagnose")
    for run in RUNS:
        limit, t, use = run.limit, run.trace.t, run.trace.t >= STEPS / LAST
        unique = next(h.holds for h in limit.hypotheses if "unique" in h.statement)
        slope = np.polyfit(np.log(t[use]), np.log(run.shortfall[use]), 1)[0]
        print(f"  {run.name:5}  {limit.margin:8.6f}  {limit.duality_gap:11.0e}  "
              f"{'yes' if unique else 'NO':6}  {int((limit.dual > 1e-9).sum()):8}  "
              f"{degrees(run.star):8.3f}°  {degrees(run.trace.w)[-1]:6.3f}°  "
              f"{run.shortfall[-1]:12.2e}  {slope:6.3f}  {run.trace.log_loss[-1]:7.1f}  "
              f"{run.found.best}, best p {run.found.p:.4g}: "
              f"{'its own norm' if run.named else 'ANOTHER NORM'}")
    values = fractions()
    own = values.argmax(axis=1) == np.arange(len(RUNS))
    print(f"\n  each run is largest in its own norm: {own.sum()} of {len(RUNS)}; the next norm "
          f"is short of the maximum by {1 - np.sort(values, axis=1)[:, -2].max():.4f} or more\n  "
          f"diagnose names the norm of the run: {sum(run.named for run in RUNS)} of {len(RUNS)}")
    doubts = {h.statement for run in RUNS for h in run.limit.hypotheses if not h.holds}
    print(f"  not certain of Theorem 5's hypotheses: {', '.join(sorted(doubts))}\n")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    figure, ((a, b), (c, d)) = plt.subplots(2, 2, figsize=(12.6, 9.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    directions(a)
    turning(b)
    climbing(c)
    matrix(d)
    report()
    save(figure, numbers(), "steepest", out)


if __name__ == "__main__":
    main()
