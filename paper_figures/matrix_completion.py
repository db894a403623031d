"""Matrix completion: gradient descent on W, on U and V in W = UVᵀ, and the minimum nuclear norm;
then low-rank sensing.

    python -m paper_figures.matrix_completion [--committed | --out DIR]

Sources: Gunasekar, Woodworth, Bhojanapalli, Neyshabur, Srebro (2017), whose comparison (a) is; Li,
Ma, Zhang (2018) for (d). That small starts and steps lead to the minimum nuclear norm is a
conjecture with counter-examples (Li, Luo, Lyu 2021), so it is drawn as a comparison and not as a
limit. No result is stored: all is run, or solved with a certificate.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, MARKERS, folder, save

n, RANK, SEED = 50, 5, 0
SEEN = 3 * n * RANK  # 30 % of the entries, to 475 degrees of freedom
STEP_SIZE = 0.01
SCALES = 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0           # α: the longest runs first
# by seed
STARTS = {None: "$U=V=\\alpha I$", 1: r"Gaussian, $N(0,\alpha^2)$", 2: "another Gaussian"}
SMALL = 1e-3                                               # the α of (a) and (b)
FITTED = 1e-8  # relative training error at which runs end, ...
NEARLY = 1e-6  # ... and those of (c), where the rest no longer shows
SENSED, SENSED_RANK, SENSING_STEPS = 30, 2, 10_000
SENSING_SCALES = 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS


def values(W: np.ndarray) -> np.ndarray:
    """The singular values, falling."""
    return np.asarray(np.linalg.svd(W, compute_uv=False))


@dataclass(frozen=True)
class Completion:
    """A matrix of low rank and which of its entries are seen."""

    truth: np.ndarray
    seen: np.ndarray

    @classmethod
    def drawn(cls) -> Completion:
        """Return UVᵀ, U and V (50, 5) Gaussian, with 750 entries seen."""
        rng = np.random.default_rng(SEED)
        truth = rng.normal(size=(n, RANK)) @ rng.normal(size=(n, RANK)).T
        seen = np.zeros(n * n, bool)
        seen[rng.choice(n * n, SEEN, replace=False)] = True
        return cls(truth, seen.reshape(n, n))

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X (750, 50, 50), each with a single 1, and the entries there, y (750,)."""
        return np.eye(n * n)[self.seen.ravel()].reshape(-1, n, n), self.truth[self.seen]

    def training(self, W: np.ndarray) -> float:
        """‖W − W*‖ on the entries seen, relative to ‖W*‖ there."""
        return self._error(W, self.seen)

    def test(self, W: np.ndarray) -> float:
        """The same on the others."""
        return self._error(W, ~self.seen)

    def _error(self, W: np.ndarray, where: np.ndarray) -> float:
        return float(np.linalg.norm((W - self.truth)[where]) / np.linalg.norm(self.truth[where]))

    def plan(self, step_size: Any = STEP_SIZE, scale: float | None = None,
             seed: int | None = None) -> fb.Plan:
        """Gradient descent on U and V from a start of this scale, or without one on W from 0."""
        model = fb.models.factorised(n, n)
        of = {} if scale is None else {"model": model, "start": model.start(scale, seed)}
        return fb.Plan(*self.data, loss="squared", method=fb.methods.gradient_descent(step_size),
                       **of)

    def goal(self, training: float) -> float:
        """The log loss at a relative training error."""
        return 2 * float(np.log(training * np.linalg.norm(self.data[1])))


@dataclass(frozen=True)
class Solution:
    """A way to complete the matrix, the matrices it came to (one a start), and how to draw it."""

    name: str
    colour: str
    marker: str
    matrices: list[np.ndarray]
    note: str

    @property
    def line(self) -> str:
        """Its name on one line."""
        return self.name.replace("\n", " ")


@dataclass(frozen=True)
class Figure:
    """All runs and solutions of the completion."""

    problem: Completion
    least: fb.Limit
    sweep: fb.Sweep
    solutions: list[Solution]

    @classmethod
    def run(cls) -> Figure:
        """Do all that (a), (b) and (c) show."""
        problem = Completion.drawn()
        least = fb.minimum_norm(*problem.data, fb.norms.nuclear(n, n))
        common: dict[str, Any] = {"steps": 1_000_000, "record": 2}
        sweep = fb.sweep(lambda scale, seed: problem.plan(scale=scale, seed=seed),
                         {"scale": SCALES, "seed": list(STARTS)}, until=problem.goal(NEARLY),
                         **common)
        common["until"] = problem.goal(FITTED)
        small = fb.sweep([plan for plan, point in zip(sweep.plans, sweep.points, strict=True)
                          # these go on
                          if plan is not None and point["scale"] == SMALL], **common)
        searched = fb.sweep([problem.plan(fb.steps.line_search(), SMALL, seed) for seed in STARTS],
                            **common)
        direct = problem.plan().run(**common)
        return cls(problem, least, sweep, [
            Solution("GD on $W$", RED, MARKERS[0], [direct.w[-1]], _steps([direct])),
            Solution("GD on $U,V$,\nexact line search", ORANGE, MARKERS[1],
                     [t.w[-1] for t in searched], _steps(searched)),
            Solution(f"GD on $U,V$,\nstep size {STEP_SIZE}", BLUE, MARKERS[2],
                     [t.w[-1] for t in small], _steps(small)),
            Solution("minimum\nnuclear norm", GREEN, MARKERS[3], [least.w.reshape(n, n)],
                     f"certified, residual {least.duality_gap:.0e}")])

    @property
    def smallest(self) -> float:
        """The minimum nuclear norm."""
        return float(values(self.least.w.reshape(n, n)).sum())

    def against(self, seed: int | None) -> tuple[list[float], list[float], list[float]]:
        """For the starts of a seed: α, test error, and nuclear norm of the end."""
        runs = [(p["scale"], t.w[-1]) for p, t in zip(self.sweep.points, self.sweep, strict=True)
                if p["seed"] == seed]
        return [a for a, _ in runs], [self.problem.test(W)
                                      for _, W in runs], [float(values(W).sum()) for _, W in runs]


def _steps(traces: Any) -> str:
    counts = [int(trace.t[-1]) for trace in traces]
    return f"{min(counts):,}" + (f" – {max(counts):,}" if len(counts) > 1 else "") + " steps"


@dataclass(frozen=True)
class Sensing:
    """A positive semidefinite matrix of low rank, seen through Gaussian matrices."""

    truth: np.ndarray
    X: np.ndarray
    runs: dict[float, fb.Trace]

    @classmethod
    def run(cls) -> Sensing:
        """Run UUᵀ from αI for each α."""
        rng = np.random.default_rng(SEED)
        U = rng.normal(size=(SENSED, SENSED_RANK))
        truth = U @ U.T / np.linalg.norm(U @ U.T)
        N = 5 * SENSED * SENSED_RANK
        X = rng.normal(size=(N, SENSED, SENSED)) / np.sqrt(N)
        y, model = np.tensordot(X, truth), fb.models.symmetric(SENSED)
        runs = fb.sweep([fb.Plan(X, y, loss="squared", method=fb.methods.gradient_descent(0.1),
                                 model=model, start=model.start(a)) for a in SENSING_SCALES],
                        steps=SENSING_STEPS)
        return cls(truth, X, dict(zip(SENSING_SCALES, runs, strict=True)))

    def error(self, scale: float) -> np.ndarray:
        """‖W(t) − W*‖/‖W*‖ at each row."""
        return self.runs[scale].gap(self.truth)

    @property
    def linear(self) -> float:
        """The error of gradient descent on W itself: of the least ‖W‖ that fits."""
        A = self.X.reshape(len(self.X), -1)
        return float(np.linalg.norm(np.linalg.pinv(A) @ (A @ self.truth.ravel())
                                    - self.truth.ravel()))


def errors(ax: Axes, figure: Figure) -> None:
    """Draw the error on the entries that were not seen: bars, with a dot for each start."""
    for i, solution in enumerate(figure.solutions):
        tests = [figure.problem.test(W) for W in solution.matrices]
        ax.bar(i, np.mean(tests), 0.62, color=solution.colour, alpha=0.75, zorder=2)
        if len(tests) > 1:
            ax.plot(i + 0.12 * np.arange(-1, len(tests) - 1), tests, "o", color=BLACK, mec="white",
                    ms=7, zorder=3)
        ax.annotate(f"{np.mean(tests):.2f}", (i, max(tests)), (0, 6), textcoords="offset points",
                    ha="center", fontsize=13, fontweight="bold", color=solution.colour)
    ax.set(title=f"(a) All fit the {SEEN} entries seen, to $10^{{{np.log10(FITTED):.0f}}}$:\n"
           "what they make of the others differs", xticks=range(len(figure.solutions)),
           ylim=(0, 1.17), ylabel="relative error on the entries not seen")
    ax.set_xticklabels([solution.name for solution in figure.solutions], fontsize=11)
    ax.tick_params(axis="x", length=0)
    ax.annotate(f"{n} × {n}, rank {RANK}; start α = {SMALL:g}\ndots: αI and two Gaussian starts, "
                "bars: mean", (0.99, 0.97), xycoords="axes fraction", ha="right", va="top",
                color=GREY)


def spectra(ax: Axes, figure: Figure) -> None:
    """Draw the singular values of each solution beside those of the truth."""
    index = np.arange(1, n + 1)
    for solution in figure.solutions:
        ax.plot(index, values(solution.matrices[-1]), f"{solution.marker}-", color=solution.colour,
                ms=5, lw=1.4, label=solution.line)
    ax.plot(index[:RANK], values(figure.problem.truth)[:RANK], "*-", color=BLACK, ms=12, lw=1,
            zorder=5, label="the truth")
    ax.axvline(RANK + 0.5, color=GREY, lw=1, ls=(0, (4, 2.5)), zorder=1)
    ax.annotate(f"rank {RANK}", (RANK + 0.5, 1.2e-2), (5, 0), textcoords="offset points",
                color=GREY)
    ax.set(
        title="(b) Factors and small steps find the singular values\nof the truth, and little "
        "beside them", yscale="log", ylim=(1e-2, 150), xlim=(0.5, 30.5), ylabel="singular value",
        xlabel="index of the singular value (factors: Gaussian start)")
    ax.legend(loc="upper right", handlelength=2, handletextpad=0.6)


def scales(top: Axes, bottom: Axes, figure: Figure) -> None:
    """Draw test error and nuclear norm of the end against the scale of the start."""
    for (seed, name), marker, colour in zip(STARTS.items(), MARKERS[1:], (BLUE, SKY, PINK),
                                            strict=False):
        a, tests, norms = figure.against(seed)
        top.plot(a, tests, f"{marker}-", color=colour, ms=6, label=name)
        bottom.plot(a, np.array(norms) / figure.smallest - 1, f"{marker}-", color=colour, ms=6)
    top.axhline(figure.problem.test(figure.least.w.reshape(n, n)), color=GREEN, lw=2.4,
                label="minimum nuclear norm")
    truth = values(figure.problem.truth).sum() / figure.smallest - 1
    bottom.axhline(truth, color=BLACK, lw=1.2, ls=(0, (4, 2.5)))
    bottom.annotate("the truth", (1, truth), (0, -4), textcoords="offset points", ha="right",
                    va="top")
    bottom.set(xscale="log", yscale="log", xlabel="scale α of the start",
               ylabel="nuclear norm\nover its minimum, −1")
    top.set(
        title="(c) Smaller starts end nearer to the truth: they pass by\nthe minimum nuclear "
        "norm, towards low rank", xscale="log", yscale="log", ylabel="relative error,\nnot seen")
    top.tick_params(labelbottom=False)
    top.legend(loc="lower right", handlelength=2, handletextpad=0.6, fontsize=9)


def sensing(ax: Axes, runs: Sensing) -> None:
    """Draw the distance to the truth against steps, for each start."""
    shades = plt.get_cmap("viridis")(np.linspace(0.9, 0.0, len(SENSING_SCALES)))
    for a, colour in zip(SENSING_SCALES, shades, strict=True):
        ax.plot(runs.runs[a].t[1:], runs.error(a)[1:], color=colour, lw=2.4, label=f"α = {a:g}")
    ax.axhline(runs.linear, color=RED, lw=2)
    ax.annotate("GD on $W$", (1.2, runs.linear), (0, -4), textcoords="offset points", color=RED,
                va="top")
    ax.set(
        title=f"(d) {len(runs.X)} Gaussian measurements of a {SENSED} × {SENSED} matrix of rank "
        f"{SENSED_RANK}:\n"
        "$UU^\\top$ from αI recovers it, the better the smaller α", xlabel="steps $t$",
        xscale="log", yscale="log", xlim=(1, SENSING_STEPS), ylabel=r"$\|W(t)-W^*\|/\|W^*\|$")
    ax.legend(loc="lower left", handlelength=2, handletextpad=0.6)


def numbers(figure: Figure, runs: Sensing) -> Iterator[dict[str, Any]]:
    """Every number drawn, a row each."""
    for solution in figure.solutions:
        name = solution.line.replace("$", "")
        for W in solution.matrices:
            yield from ({"panel": "a", "run": name, "kind": kind, "x": "", "y": of(W)}
                        for kind, of in (("training error", figure.problem.training),
                                         ("test error", figure.problem.test)))
        yield from ({"panel": "b", "run": name, "kind": "singular value", "x": i, "y": s}
                    for i, s in enumerate(values(solution.matrices[-1]), 1))
    yield from ({"panel": "b", "run": "the truth", "kind": "singular value", "x": i, "y": s}
                for i, s in enumerate(values(figure.problem.truth)[:RANK], 1))
    for seed in STARTS:
        name = "αI" if seed is None else f"Gaussian, seed {seed}"
        for a, test, norm in zip(*figure.against(seed), strict=True):
            yield from ({"panel": "c", "run": name, "kind": kind, "x": a, "y": y}
                        for kind, y in (("test error", test), ("nuclear norm", norm),
                                        ("nuclear norm over its minimum, -1", norm / figure.smallest
                                         - 1)))
    yield from ({"panel": "c", "run": name, "kind": "nuclear norm", "x": "", "y": values(W).sum()}
                for name, W in (("minimum nuclear norm", figure.least.w.reshape(n, n)),
                                ("the truth", figure.problem.truth)))
    yield {"panel": "d", "run": "GD on W", "kind": "error", "x": "", "y": runs.linear}
    for a, trace in runs.runs.items():
        yield from ({"panel": "d", "run": f"α = {a:g}", "kind": "error", "x": t, "y": y}
                    for t, y in zip(trace.t[1:], runs.error(a)[1:], strict=True))


def report(figure: Figure, runs: Sensing) -> None:
    """Print errors, nuclear norms and steps of all, and what is theorem and what is not."""
    problem = figure.problem
    print(f"{n} × {n}, rank {RANK}, {SEEN} entries seen; errors are relative, in the Frobenius "
          "norm\n")
    print(f"  {'solution, start α = ' + format(SMALL, 'g'):38}  {'training':>8}  "
          f"{'not seen':>22}  {'nuclear norm':>21}")
    for solution in figure.solutions:
        tests = ", ".join(f"{problem.test(W):.4f}" for W in solution.matrices)
        norms = ", ".join(f"{values(W).sum():.1f}" for W in solution.matrices)
        print(f"  {solution.line.replace('$', ''):38}  "
              f"{max(problem.training(W) for W in solution.matrices):8.0e}  {tests:>22}  "
              f"{norms:>21}  {solution.note}")
    print(f"  {'the truth':38}  {'':8}  {'':22}  {values(problem.truth).sum():21.1f}\n")
    print(f"  step size {STEP_SIZE}, against α: error on the entries not seen, nuclear norm "
          "(training error, steps)")
    for point, trace in zip(figure.sweep.points, figure.sweep, strict=True):
        W = trace.w[-1]
        print(f"  α = {point['scale']:5g}, {'αI' if point['seed'] is None else 'Gaussian':8}  "
              f"{problem.test(W):7.4f}  {values(W).sum():7.1f}  ({problem.training(W):.0e}, "
              f"{trace.t[-1]:,})")
    nearest = min(norm for seed in STARTS for norm in figure.against(seed)[2])
    print("\n  the minimum nuclear norm is a conjectured comparison, not a theorem (Li, Luo, "
          f"Lyu 2021): it is {figure.smallest:.2f};\n  the runs come as near as {nearest:.2f}, "
          "and move away again as α → 0\n")
    print(f"  sensing, {SENSING_STEPS:,} steps: error from αI (training error); on W itself "
          f"{runs.linear:.3f}")
    size = np.linalg.norm(np.tensordot(runs.X, runs.truth))
    for a, trace in runs.runs.items():
        print(f"  α = {a:5g}  {runs.error(a)[-1]:.1e}  "
              f"({np.exp(trace.log_loss[-1] / 2) / size:.0e})")
    print()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    completion, recovered = Figure.run(), Sensing.run()
    figure = plt.figure(figsize=(13.2, 10.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    grid = figure.add_gridspec(4, 2)
    errors(figure.add_subplot(grid[:2, 0]), completion)
    spectra(figure.add_subplot(grid[:2, 1]), completion)
    scales(figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[3, 0]), completion)
    sensing(figure.add_subplot(grid[2:, 1]), recovered)
    report(completion, recovered)
    save(figure, numbers(completion, recovered), "matrix_completion", out)


if __name__ == "__main__":
    main()
