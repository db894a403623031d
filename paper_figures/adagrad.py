"""AdaGrad never forgets: step size, start and G(0) pick its limit, a quadratic program on the G it
measured says which.

    python -m paper_figures.adagrad [--committed | --out DIR]

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), §3.3, eqs. (13)–(14) and Theorem 6: on separable data, with the exponential
loss, G stays bounded; Qian, Qian, "The implicit bias of AdaGrad on separable data" (NeurIPS 2019):
the limit direction is that of argmin Σ √G_i w_i² with all margins ≥ 1, G = G(∞). The data are drawn
from a seed at which one sample alone decides the margin, so that the metric has its say; where two
samples do, in the plane they leave it none. No result is stored: dots come from running (what w
gains per unit of log t over the last two decades, which tends to that argmin), rings from solving
with the G at the end.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, YELLOW, folder, save

N, SEED = 4, 110
STEPS, CLOCK = 1_000_000, 100_000  # steps: the larger of STEPS and CLOCK/η², for w sees η² t
ETAS = 0.1 * 2.0 ** np.arange(7)
ETA = 0.3  # of (c); η² L(w(0)) < 1 for each of its starts
ANGLES = np.arange(0, 361, 30)  # of w(0) in (c), degrees, on the circle of radius 1
ONES, STEEP, FLAT, NONE = (1, 1), (1, 16), (16, 1), (0, 0)           # G(0)
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
ASKED = "η² L(w(0)) < 1", "‖G(0)^{−1/4} x_n‖₂ ≤ 1"         # by Theorem 6
# where the names of the families of (b) are written
LABELS = (6, 54), (6, 72.5), (6, 36.5), (6, 11.5)
SETTLING = 0.1, 150  # η and angle of w(0) of the run in (d) and (e)
# of (f): all runs have come to rest by then
SQUARED_ETAS, SQUARED_STEPS = np.geomspace(0.01, 10, 13), 2_000_000
SQUARED_G0 = 0, 100, 10_000


@cache
def problem() -> tuple[np.ndarray, np.ndarray]:
    """X (N, 2) Gaussian, the longest sample of length 1, so that G(0) = (1, 1) is large enough for
    Theorem 6; y = ±1.
    """
    X = np.random.default_rng(SEED).normal(size=(N, 2))
    return X / np.linalg.norm(X, axis=1).max(), np.sign(X.sum(axis=1))


def on_circle(degrees: float) -> tuple[float, float]:
    """The point of the unit circle at this angle."""
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))


def angle(w: np.ndarray) -> Any:
    """The angle of w in degrees, over the last axis."""
    return np.degrees(np.arctan2(w[..., 1], w[..., 0]))


@dataclass(frozen=True)
class Run:
    """AdaGrad with a step size, a start and a G(0): where it goes, and where the program on its G
    says.
    """

    eta: float
    start: tuple[float, ...] = (0, 0)
    G0: tuple[float, ...] = ONES

    @property
    def plan(self) -> fb.Plan:
        """The method on the problem, not yet run."""
        return fb.Plan(*problem(), loss="exponential",
                       method=fb.methods.adagrad(self.eta, G0=self.G0), start=self.start)

    @property
    def steps(self) -> int:
        """How many."""
        return int(max(STEPS, CLOCK / self.eta ** 2))

    @cached_property
    def ended(self) -> tuple[fb.Trace, fb.Limit]:
        """The trace, and what the plan, having run, expects of t = ∞."""
        plan = self.plan
        return plan.run(self.steps), plan.limit()

    @property
    def measured(self) -> np.ndarray:
        """What w gains per unit of log t over the last two decades of the run, (2,)."""
        return self.ended[0].increment()

    @property
    def predicted(self) -> np.ndarray:
        """The minimiser of Σ √G_i w_i² with margins ≥ 1, (2,)."""
        return scaled(self.ended[1])

    @property
    def covered(self) -> bool:
        """Whether the run satisfies the hypotheses of Theorem 6."""
        holds = {h.statement: bool(h.holds) for h in self.ended[1].hypotheses}
        return all(holds[statement] for statement in ASKED)


@dataclass(frozen=True)
class Family:
    """Runs that differ in one number: their name, what that number is, and how to draw them."""

    name: str
    colour: str
    marker: str
    xs: np.ndarray
    runs: list[Run]


def scaled(limit: fb.Limit) -> np.ndarray:
    """The multiple of a maximum margin direction whose least margin is 1: of least norm among
    those.
    """
    return limit.w / limit.margin


def measured_G(limit: fb.Limit) -> np.ndarray:
    """The G of a prediction, whose norm is √(Σ √G_i w_i²)."""
    return np.diag(limit.norm.matrix(2)) ** 2


def by_step_size() -> list[Family]:
    """Three starts with G(0) = (1, 1), one start with another G(0)."""
    kinds = [("$w(0)=(0,0)$", RED, "o", (0, 0), ONES),
             (r"$w(0)$ at 150°", GREEN, "s", on_circle(150), ONES),
             (r"$w(0)$ at 300°", SKY, "^", on_circle(300), ONES),
             ("$w(0)=(0,0)$, $G(0)=(1,16)$", PINK, "D", (0, 0), STEEP)]
    return [Family(name, colour, marker, ETAS, [Run(eta, start, G0) for eta in ETAS])
            for name, colour, marker, start, G0 in kinds]


def by_start() -> list[Family]:
    """The start goes around the unit circle, with four G(0)."""
    kinds = [("$(16,1)$", ORANGE, "v", FLAT), ("$(1,1)$", BLACK, "o", ONES),
             ("$(1,16)$", PINK, "D", STEEP),
             ("$(0,0)$", GREY, "s", NONE)]
    families = []
    for name, colour, marker, G0 in kinds:
        runs = [Run(ETA, on_circle(a), G0) for a in ANGLES[:-1]]
        families.append(Family(name, colour, marker, ANGLES, [*runs, runs[0]]))
    return families


@cache
def margins() -> dict[str, fb.Limit]:
    """The maximum margin directions of steepest descent in three norms, which depend on the data
    alone (Theorem 5).
    """
    return {name: fb.max_margin(*problem(), norm)
            for name, norm in (("ℓ1", "l1"), ("ℓ2", "l2"), ("ℓ∞", "linf"))}


@dataclass(frozen=True)
class Settling:
    """One run that is stopped at times t (K,): G (K, 2), what it predicts, and which way w has
    gone, at each of them.
    """

    t: np.ndarray
    G: np.ndarray
    predicted: np.ndarray
    trace: fb.Trace

    @cached_property
    def increments(self) -> np.ndarray:
        """What w had gained per unit of log t over the last two decades, (K, 2); NaN before t =
        100.
        """
        out = np.full((self.t.size, 2), np.nan)
        for k in np.flatnonzero(self.t >= 100):
            seen = (self.trace.t <= self.t[k]) & (self.trace.t > 0)
            out[k] = fb.Trace.from_arrays(*problem(), self.trace.t[seen], self.trace.w[seen],
                                          "exponential").increment()
        return out


def settling() -> Settling:
    """The run of (d) and (e), eight stops a decade."""
    run = Run(SETTLING[0], on_circle(SETTLING[1]))
    plan, rows = run.plan, [run.plan.run(0)]
    stops = np.unique(np.geomspace(1, run.steps, int(8 * np.log10(run.steps))
                                   + 1).round().astype(int))
    limits = []
    for t in stops:
        rows.append(plan.run(t - plan.t, record=2))
        limits.append(plan.limit())
    trace = fb.Trace.from_arrays(*problem(), np.append(0, stops), [row.w[-1] for row in rows],
                                 "exponential")
    return Settling(stops, np.array([measured_G(limit) for limit in limits]),
                    np.array([scaled(x) for x in limits]), trace)


@dataclass(frozen=True)
class Squared:
    """A method with the squared loss on Example 4: name, G(0) (None: gradient descent), step sizes,
    how to draw it.
    """

    name: str
    colour: str
    marker: str
    G0: float | None
    etas: np.ndarray

    @cached_property
    def ends(self) -> list[fb.Trace]:
        """Where it comes to rest from w(0) = 0."""
        methods = [fb.methods.gradient_descent(eta) if self.G0 is None
                   else fb.methods.adagrad(eta, G0=self.G0) for eta in self.etas]
        return [fb.run(*fb.data.example(4), loss="squared", method=method, steps=SQUARED_STEPS,
                       record=2) for method in methods]

    @property
    def excess(self) -> np.ndarray:
        """How far from the solution of minimum ℓ2 norm that is, relative to that norm, (K,)."""
        star = fb.minimum_norm(*fb.data.example(4), "l2").w
        return np.array([trace.gap(star)[-1] for trace in self.ends]) / np.linalg.norm(star)


def squared() -> list[Squared]:
    """AdaGrad with three G(0), and gradient descent as far as its steps are stable."""
    stable = fb.Plan(*fb.data.example(4), loss="squared",
                     method=fb.methods.gradient_descent(0.01)).max_step().step_size
    runs = [Squared(f"AdaGrad, $G(0)={G0}$", colour, marker, G0, SQUARED_ETAS)
            for G0, colour, marker in zip(SQUARED_G0, (RED, GREEN, PINK), "osD", strict=True)]
    return [*runs, Squared("gradient descent", BLUE, "P", None,
                           np.extract(stable > SQUARED_ETAS, SQUARED_ETAS))]


def references(ax: Axes) -> None:
    """Draw the maximum margin directions as horizontal lines, named at the right."""
    for name, limit in margins().items():
        main = name == "ℓ2"
        ax.axhline(angle(limit.w), color=BLUE if main else GREY, lw=2.2 if main else 1,
                   ls="-" if main else "--", zorder=1)
        ax.text(1.01, angle(limit.w), name, transform=ax.get_yaxis_transform(), va="center",
                color=BLUE if main else GREY, fontsize=12, fontweight="bold" if main else "normal")


def plane(ax: Axes, families: list[Family]) -> None:
    """Draw where all margins are ≥ 1, and on its edge the limits of four runs, where the ellipse of
    their metric touches.
    """
    X, y = problem()
    Z, view = y[:, None] * X, (6.6, 7)
    grid = np.meshgrid(*(np.linspace(-0.25, top, 400) for top in view))
    least = (np.stack(grid, axis=-1) @ Z.T).min(axis=-1)
    ax.contourf(*grid, least, levels=[1, least.max()], colors=[BLUE], alpha=0.1, zorder=0)
    ax.contour(*grid, least, levels=[1], colors=[BLUE], linewidths=1.2, zorder=1)
    star = scaled(margins()["ℓ2"])
    for w, root, colour in [(star, np.ones(2), BLUE),
                            *((run.predicted, np.sqrt(measured_G(run.ended[1])), family.colour)
                              for family in families for run in family.runs[:1])]:
        ax.add_patch(Ellipse((0, 0), *2 * np.sqrt((root * w * w).sum() / root), fill=False,
                             ec=colour, lw=1.3, zorder=2))
        ax.plot(*np.transpose([(0, 0), w]), color=colour, lw=1, ls=":", zorder=2)
    for family in families:
        run = family.runs[0]
        ax.plot(*run.predicted, "o", mfc="none", mec=BLACK, mew=1, ms=13, zorder=4)
        ax.plot(*run.measured / (Z @ run.measured).min(), family.marker, color=family.colour,
                mec="none", ms=7, zorder=5)
    ax.plot(*star, "*", color=YELLOW, mec=BLACK, ms=18, zorder=6)
    ax.annotate("ℓ2 maximum\nmargin", star, (12, -4), textcoords="offset points", color=BLUE)
    ax.plot(*Z.T, "x", color=BLACK, ms=6, zorder=6)
    ax.annotate("samples $y_nx_n$", Z[Z[:, 0].argmax()], (6, 0), textcoords="offset points",
                va="center")
    ax.text(0.97, 0.97, "all margins\n$y_n\\langle w,x_n\\rangle\\geq1$", color=BLUE,
            transform=ax.transAxes, ha="right", va="top", fontsize=12)
    ax.text(0.97, 0.62, f"η = {ETAS[0]:g},\ncolours\nas in (b)", transform=ax.transAxes, ha="right",
            va="top")
    ax.set(title="(a) Each run has its own metric G,\nand ends where its ellipse touches",
           xlabel="$w_1$", ylabel="$w_2$", xlim=(-0.25, view[0]), ylim=(-0.25, view[1]),
           aspect="equal")


def curves(ax: Axes, families: list[Family]) -> None:
    """Draw the angle of the limit against step size or start: dots that ran, in rings that were
    solved.
    """
    for family in families:
        rings = np.array([angle(run.predicted) for run in family.runs])
        inside = np.array([run.covered for run in family.runs])
        ax.plot(family.xs, [angle(run.measured) for run in family.runs], family.marker,
                color=family.colour, mec="none", ms=5.5, zorder=4, label=family.name)
        ax.plot(family.xs, rings, "o", mfc="none", mec=BLACK, mew=0.8, ms=10, zorder=5)
        ax.plot(family.xs, rings, color=family.colour, lw=1.2, ls=":", zorder=2)
        ax.plot(family.xs, np.where(inside, rings, np.nan), color=family.colour, lw=2.2, zorder=3)
    references(ax)


def settles(upper: Axes, lower: Axes, run: Settling) -> None:
    """Draw G against t, and what it predicts at each t beside which way w went until then."""
    for j, colour in enumerate((RED, GREEN)):
        upper.plot(run.t, run.G[:, j], color=colour, lw=2.2)
        upper.annotate(f"$G_{{{j + 1}}}(t)$", (run.t[-1], run.G[-1, j]), (-4, -18),
                       textcoords="offset points", ha="right", color=colour, fontsize=13)
    upper.text(0.97, 0.05, f"η = {SETTLING[0]:g}, $w(0)$ at {SETTLING[1]}°, $G(0)=(1,1)$",
               transform=upper.transAxes, ha="right")
    upper.set(title="(d) G stops growing (Theorem 6) …", xlabel="steps $t$",
              ylabel=r"$G_i(t)=G_i(0)+\sum g_i^2$", xscale="log", yscale="log", xlim=(1, run.t[-1]),
              ylim=(1, None))
    lower.plot(run.t, angle(run.trace.w[1:]), color=GREY, lw=2, label="$w(t)$ itself")
    lower.plot(run.t, angle(run.predicted), color=BLACK, lw=2.2, label="the program on $G(t)$")
    lower.plot(run.t[::2], angle(run.increments[::2]), "s", color=GREEN, mec="none", ms=5.5,
               label="growth of $w$ over\nthe last two decades")
    lower.axhline(angle(margins()["ℓ2"].w), color=BLUE, lw=2.2, zorder=1)
    lower.text(1.01, angle(margins()["ℓ2"].w), "ℓ2", transform=lower.get_yaxis_transform(),
               va="center", color=BLUE, fontsize=12, fontweight="bold")
    lower.set(title="(e) … then w grows in the\ndirection that G asks for", xlabel="steps $t$",
              ylabel="angle, degrees", xscale="log", xlim=(1, run.t[-1]), ylim=(20, 155),
              yticks=range(30, 151, 30))
    lower.legend(handletextpad=0.5)


def solutions(ax: Axes, methods: list[Squared]) -> None:
    """Draw how far from the minimum ℓ2 norm the limits with the squared loss are, against the step
    size.
    """
    for method in methods:
        ax.plot(method.etas, method.excess, method.marker + "-", color=method.colour, mec="white",
                mew=0.5, ms=7, label=method.name)
    ax.set(title="(f) Squared loss: the limit point\ndepends on η and G(0), too",
           xlabel="step size η", xscale="log", ylabel=r"distance to min $\|w\|_2$, relative",
           ylim=(-0.03, 0.95), yticks=np.arange(0, 0.7, 0.1))
    ax.legend(loc="upper right", handletextpad=0.5)


def numbers(panels: dict[str, list[Family]], run: Settling,
            methods: list[Squared]) -> Iterator[dict[str, Any]]:
    """Every point drawn, a row each; (a) shows the first run of each series of (b)."""
    def row(panel: str, series: str, kind: str, x: Any, angle: Any, w: Any = ("", ""),
            G: Any = ("", ""), **rest: Any) -> dict[str, Any]:
        return {"panel": panel, "series": series.replace("$", ""), "kind": kind, "x": x,
                "angle": angle, "w1": w[0], "w2": w[1], "G1": G[0], "G2": G[1],
                "theorem6": "", "y": ""} | rest
    X, y = problem()
    yield from (row("a", "samples", "sample", "", angle(z), z) for z in y[:, None] * X)
    yield from (row("a, b, c", name, "margin", "", angle(limit.w), scaled(limit))
                for name, limit in margins().items())
    for panel, families in panels.items():
        for family in families:
            for x, member in zip(family.xs, family.runs, strict=True):
                G = measured_G(member.ended[1])
                yield row(panel, family.name, "run", x, angle(member.measured), member.measured, G,
                          theorem6=member.covered)
                yield row(panel, family.name, "program", x, angle(member.predicted),
                          member.predicted, G, theorem6=member.covered)
    for k, t in enumerate(run.t):
        for kind, w in (("program", run.predicted[k]), ("growth", run.increments[k]),
                        ("w", run.trace.w[k + 1])):
            yield row("d, e", "one run", kind, t, angle(w), w, run.G[k])
    for method in methods:
        yield from (row("f", method.name, "distance", eta, "", y=gap)
                    for eta, gap in zip(method.etas, method.excess, strict=True))


def report(panels: dict[str, list[Family]], run: Settling, methods: list[Squared]) -> None:
    """Print how well the program predicts the runs, what depends on what, and what the squared loss
    makes of it.
    """
    print("  limit directions, degrees: " + ", ".join(f"{name} {angle(x.w):.2f}"
                                                      for name, x in margins().items())
          + " (maximum margins, which depend on the data alone)\n")
    print(f"  {'panel, series':38}  {'program':>14}  {'largest |run - program|':>24}  "
          f"{'certificate':>11}  Theorem 6")
    for panel, families in panels.items():
        for family in families:
            program = np.array([angle(member.predicted) for member in family.runs])
            miss = np.array([angle(member.measured) for member in family.runs]) - program
            size = max(np.linalg.norm(m.measured - m.predicted) / np.linalg.norm(m.predicted)
                       for m in family.runs)
            proof = max(member.ended[1].duality_gap for member in family.runs)
            covered = sum(member.covered for member in family.runs)
            print(f"  ({panel}) {family.name.replace('$', ''):34}  {program.min():5.2f} … "
                  f"{program.max():5.2f}°  {np.abs(miss).max():7.3f}°, length {size:6.4f}  "
                  f"{proof:11.0e}  {covered} of {len(family.runs)}")
    decade = run.G[-1] / run.G[run.t >= run.t[-1] / 10][0] - 1
    print(f"\n  (d) in the last decade of t, to {run.t[-1]:.0e}, G grows by {decade[0]:.1e} and "
          f"{decade[1]:.1e} of itself.\n"
          f"  (e) at the end: program {angle(run.predicted[-1]):.2f}°, growth "
          f"{angle(run.increments[-1]):.2f}°, w itself {angle(run.trace.w[-1]):.2f}°.\n")
    for method in methods:
        print(f"  (f) {method.name.replace('$', ''):24}: from {method.excess.min():.1e} to "
              f"{method.excess.max():.1e} of the minimum norm away; log L ≤ "
              f"{max(trace.log_loss[-1] for trace in method.ends):.0f} at the end")
    for loss, data in (("exponential", problem()), ("squared", fb.data.example(4))):
        try:
            fb.Plan(*data, loss=loss, method=fb.methods.adagrad(ETA)).limit()
        except fb.NoTheorem as error:
            print("\n"
                  + fill(f"What theory says beforehand, {loss} loss: {error.reason} "
                         f"[{error.source}].", 120))
    print()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    panels, run, methods = {"b": by_step_size(), "c": by_start()}, settling(), squared()
    figure, axes = plt.subplots(2, 3, figsize=(12.6, 9.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    (a, b, c), (d, e, f) = axes
    plane(a, panels["b"])
    curves(b, panels["b"])
    curves(c, panels["c"])
    b.text(0.1, 77, "$G(0)=(1,1)$ unless named")
    for family, (x, y) in zip(panels["b"], LABELS, strict=True):
        b.text(x, y, family.name, color=family.colour, ha="right")
    b.set(title="(b) The limit direction depends\non the step size …", xscale="log",
          xlabel="step size η")
    c.set(title="(c) … on the start, and on G(0)", xlabel="angle of $w(0)$, on the unit circle",
          xticks=range(0, 361, 60))
    c.legend(loc="lower center", bbox_to_anchor=(0.5, 0.08), ncols=2,
             title=f"η = {ETA:g}, and $G(0)$ =", columnspacing=1)
    for ax in (b, c):
        ax.set(ylabel="angle of the limit direction", ylim=(-5, 82), yticks=range(0, 76, 15))
        for axis in (ax.xaxis, ax.yaxis)[ax is b:]:
            axis.set_major_formatter("{x:.0f}°")
    settles(d, e, run)
    solutions(f, methods)
    keys = [(Line2D([], [], color=GREY, marker="s", ls="", ms=6),
             "dot: growth of $w$ over the last two decades of $t$"),
            (Line2D([], [], mfc="none", mec=BLACK, marker="o", ls="", ms=10),
             "ring: the program on its $G$"),
            (Line2D([], [], color=GREY, lw=2.2), "Theorem 6 covers it"),
            (Line2D([], [], color=GREY, lw=1.2, ls=":"), "does not"),
            (Line2D([], [], color=BLUE, lw=2.2), "ℓ2 maximum margin")]
    figure.legend(*zip(*keys, strict=True), loc="outside lower center", ncols=5, handletextpad=0.5)
    report(panels, run, methods)
    save(figure, numbers(panels, run, methods), "adagrad", out)


if __name__ == "__main__":
    main()
