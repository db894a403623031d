"""Double descent and benign overfitting: what the interpolant of least norm, where gradient descent
goes, does to new data.

    python -m paper_figures.double_descent [--committed | --out DIR]

Source: the slides on §4 of Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms
of Optimization Geometry" (ICML 2018). Random Fourier features φ_d(x)_i = d^−½ cos(⟨ω_i, x⟩ + θ_i)
are fitted by w = argmin L(w), or, where that is 0 for many, by the one of least ‖w‖₂: both are the
limit of gradient descent from 0 (§2.1). The rank-d matrix completion X = UVᵀ is min Σ over the
observed entries of (X − A)² + λ(‖U‖² + ‖V‖²)/2, λ → 0, by L-BFGS from some starts, which is a least
nuclear norm once d is large: the dashed line is that norm's convex program. The last row goes along
argmin L(w) + λ‖w‖² in the space of a kernel, and along gradient descent, both to the end. No result
is stored.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, YELLOW, folder, save

TEST, TRAIN = COLOURS[0], BLUE

# (a) to (c): regression on random features
N, DIMS, GAMMA, NOISE, SEEDS, FRESH = 100, 10, 0.08, 0.5, 15, 1000
WIDTHS = np.unique(np.concatenate([np.geomspace(4, 6000, 25),
                                   [88, 94, 97, 100, 103, 106, 113]]).astype(int))
LABELS = "true labels", "noisy labels", "random labels"
# gradient descent at these widths; limits of so many seeds
RUNS, STEPS, CHECKED = (13, 386, 6000), 50_000, 2

# (d): matrix completion
SIDE, EACH, RANK, BLUR, MATRICES, STARTS = 20, 8, 2, 0.3, 7, 12
RANKS = 1, 2, 3, 4, 5, 6, 7, 8, 10, 20
WEIGHTS = (1e-1, 100), (1e-3, 300), (1e-5, 1500)  # λ, falling, and how many iterations at most

# (e) to (h): one input, two kernels
POINTS, SPREAD, DRAWS = 30, 0.5, 30
LAMBDAS = np.append(np.geomspace(1e2, 1e-12, 57), 0.0)
TIMES = np.arange(0, 34)                                   # log t of gradient descent
GRID = np.linspace(0, 1, 2001)[:, None]


class Errors(NamedTuple):
    """Mean squared errors of the fits to each seed (S), at each width (K), with each kind of labels
    (3).
    """

    train: np.ndarray                                      # (S, K, 3)
    test: np.ndarray                                       # (S, K, 3)
    kernel: np.ndarray                                     # (S, 3), on the test set
    runs: np.ndarray  # (S, len(RUNS), 3), on the test set, where a run ended
    ends: np.ndarray  # (S, len(RUNS), 3), how far from the limit, relatively


@cache
def target() -> tuple[np.ndarray, np.ndarray]:
    """Centres (10, DIMS) and weights of the function to learn, Σ c_j k(x, z_j), of mean about 0 and
    variance about 1.
    """
    rng = np.random.default_rng(0)
    centres, weights = rng.normal(size=(10, DIMS)), rng.normal(size=10)
    weights -= weights.mean()
    values = features(1, 0).kernel(rng.normal(size=(5000, DIMS)), centres) @ weights
    return centres, weights / values.std()


def features(d: int, seed: int) -> fb.features.RandomFourier:
    """The first d features of this seed."""
    return fb.features.random_fourier(DIMS, d, GAMMA, rng=seed)


def sample(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inputs, and their labels of all three kinds, to train on (N) and to test on (FRESH)."""
    rng = np.random.default_rng([1, seed])

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(count, DIMS))
        true = features(1, 0).kernel(x, target()[0]) @ target()[1]
        return x, np.stack([true, true + NOISE * rng.normal(size=count),
                            rng.choice([-1.0, 1.0], size=count)], axis=1)
    return [draw(N), draw(FRESH)]


def plan(Phi: np.ndarray, y: np.ndarray, step: float = 0.95) -> fb.Plan:
    """Gradient descent from 0 on the squared loss; the step as a fraction of 1/‖Φ‖², from which on
    it would diverge.
    """
    return fb.Plan(Phi, y, loss="squared",
                   method=fb.methods.gradient_descent(step / np.linalg.norm(Phi, 2) ** 2))


@cache
def regression() -> Errors:
    """Fit all seeds, widths and labels; run gradient descent at some widths."""
    train, test, kernel, runs, ends = [], [], [], [], []
    for seed in range(SEEDS):
        (x, y), (new, truth) = sample(seed)
        scale = (truth ** 2).mean(0)
        k = features(1, 0).kernel
        kernel.append(((k(new, x) @ np.linalg.solve(k(x, x), y) - truth) ** 2).mean(0) / scale)
        for d in WIDTHS:
            phi = features(d, seed)
            Phi, Fresh = phi(x), phi(new)
            w = np.linalg.lstsq(Phi, y, rcond=None)[0]
            train.append(((Phi @ w - y) ** 2).mean(0) / scale)
            test.append(((Fresh @ w - truth) ** 2).mean(0) / scale)
            if d in RUNS:
                v = np.stack([plan(Phi, labels).run(STEPS, record=[STEPS]).w[-1] for labels in y.T],
                             axis=1)
                runs.append(((Fresh @ v - truth) ** 2).mean(0) / scale)
                ends.append(np.linalg.norm(v - w, axis=0) / np.linalg.norm(w, axis=0))
    return Errors(*(np.reshape(a, (SEEDS, -1, 3)) for a in (train, test)), np.array(kernel),
                  *(np.reshape(a, (SEEDS, -1, 3)) for a in (runs, ends)))


class Completion(NamedTuple):
    """A completed matrix: its errors on the entries that were and were not observed, relative, and
    its nuclear norm.
    """

    train: float
    test: float
    norm: float


def matrix(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A (SIDE, SIDE), of rank RANK and noise on top, and which entries are observed: EACH in every
    row and column.
    """
    rng = np.random.default_rng([2, seed])
    A = rng.normal(size=(SIDE, RANK)) @ rng.normal(size=(RANK, SIDE))
    A = A / A.std() + BLUR * rng.normal(size=A.shape)
    places = np.subtract.outer(rng.permutation(SIDE), rng.permutation(SIDE)) % SIDE
    return A, rng.permutation(SIDE)[places] < EACH


@cache
def complete(seed: int, rank: int) -> Completion:
    """The completion of the matrix of this seed that is UVᵀ with U, V (SIDE, rank)."""
    A, seen = matrix(seed)
    rng = np.random.default_rng([3, seed, rank])

    def objective(u: np.ndarray, weight: float) -> tuple[float, np.ndarray]:
        U, V = u.reshape(2, SIDE, rank)
        R = seen * (U @ V.T - A)
        slope = np.append(2 * R @ V + weight * U, 2 * R.T @ U + weight * V)
        return (R ** 2).sum() + weight / 2 * (u @ u), slope

    ends = []
    for _ in range(max(1, STARTS // rank)):  # the smaller the rank, the more minima are only local
        u = rng.normal(size=2 * SIDE * rank) / 2 / rank ** 0.25
        for weight, most in WEIGHTS:
            end = minimize(objective, u, weight, jac=True, method="L-BFGS-B",
                           options={"maxiter": most, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-9})
            u = end.x
        ends.append(end)
    U, V = min(ends, key=lambda end: end.fun).x.reshape(2, SIDE, rank)
    return judged(seed, U @ V.T)


@cache
def convex(seed: int) -> tuple[Completion, float]:
    """The completion of least nuclear norm, of any rank, and its duality gap."""
    A, seen = matrix(seed)
    found = fb.minimum_norm(np.eye(A.size)[seen.ravel()], A[seen], fb.norms.nuclear(SIDE, SIDE))
    return judged(seed, found.w.reshape(A.shape)), found.duality_gap


def judged(seed: int, X: np.ndarray) -> Completion:
    """A completion with its errors."""
    A, seen = matrix(seed)
    squares = (X - A) ** 2 / A.var()
    return Completion(squares[seen].mean(), squares[~seen].mean(), float(np.linalg.norm(X, "nuc")))


@dataclass(frozen=True, eq=False)
class Space:
    """Functions of one input with the norm of a kernel."""

    name: str
    lengths: tuple[float, ...]
    parts: tuple[float, ...]

    def kernel(self, x: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Σ of Gaussian kernels of these lengths, each with its part."""
        return np.asarray(sum(2 * part
                              * fb.features.random_fourier(1, 1, 0.5 / length ** 2).kernel(x, other)
                              for part, length in zip(self.parts, self.lengths, strict=True)))

    def measured(self, alpha: np.ndarray, seed: int) -> np.ndarray:
        """‖w‖, train and test error (K, 3) of the functions Σ α_n k(x_n, ·), α (K, POINTS)."""
        x, y = points(seed)
        K = self.kernel(x, x)
        errors = (self.kernel(GRID, x) @ alpha.T).T - truth(GRID)
        return np.stack([np.sqrt(((alpha @ K) * alpha).sum(1)), ((alpha @ K - y) ** 2).mean(1),
                         (errors ** 2).mean(1) + SPREAD ** 2], axis=1)

    def regularised(self, seed: int) -> np.ndarray:
        """α (K, POINTS) of argmin L(w) + λ‖w‖², L the mean over the samples, at the LAMBDAS; the
        last interpolates.
        """
        x, y = points(seed)
        K = self.kernel(x, x)
        return np.array([np.linalg.solve(K + POINTS * value * np.eye(POINTS), y)
                         for value in LAMBDAS])

    def descended(self, seed: int) -> np.ndarray:
        """α (K, POINTS) of gradient descent at the TIMES: features K^½ are all that it sees of the
        space; closed form.
        """
        x, y = points(seed)
        s, Q = np.linalg.eigh(self.kernel(x, x))
        trace = plan((Q * np.sqrt(s)) @ Q.T, y,
                     0.05).fast_forward(float(TIMES[-1]), record=TIMES.astype(float))
        rows = np.searchsorted(trace.log_t, TIMES - 1e-9)
        return np.asarray(trace.w[rows] @ (Q / np.sqrt(s)) @ Q.T)


SPACES = (Space("smooth kernel", (0.07,), (1.0,)),
          Space("smoother, with spikes", (0.15, 0.001), (1.0, 0.3)))


def truth(x: np.ndarray) -> np.ndarray:
    """The function to learn in (e) to (h)."""
    return np.sin(2 * np.pi * x[:, 0])


def points(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (POINTS, 1), one in the middle half of each cell, and noisy labels."""
    rng = np.random.default_rng([4, seed])
    x = (np.arange(POINTS) + rng.uniform(0.25, 0.75, size=POINTS))[:, None] / POINTS
    return x, truth(x) + SPREAD * rng.normal(size=POINTS)


@cache
def ways(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """‖w‖, train and test error at the LAMBDAS, and of gradient descent at the TIMES: (DRAWS, K, 3)
    each.
    """
    return (np.array([space.measured(space.regularised(seed), seed) for seed in range(DRAWS)]),
            np.array([space.measured(space.descended(seed), seed) for seed in range(DRAWS)]))


def spread(values: np.ndarray) -> np.ndarray:
    """Median, 10 % and 90 % quantile over the first axis."""
    return np.quantile(values, [0.5, 0.1, 0.9], axis=0)


def band(ax: Axes, x: np.ndarray, values: np.ndarray, colour: str, **options: Any) -> None:
    """Draw a median with its band from 10 to 90 %."""
    middle, low, high = spread(np.maximum(values, 1e-12))
    ax.plot(x, middle, color=colour, lw=2.2, zorder=3, **options)
    ax.fill_between(x, low, high, color=colour, alpha=0.2, lw=0, zorder=2)


def descent(ax: Axes, kind: int, title: str, floor: float, meaning: str) -> None:
    """Draw train and test error of the fits to one kind of labels against d."""
    found = regression()
    band(ax, WIDTHS, found.test[:, :, kind], TEST)
    band(ax, WIDTHS, found.train[:, :, kind], TRAIN)
    ax.plot(RUNS, np.median(found.runs[:, :, kind], axis=0), "o", color=TEST, mec=BLACK, ms=7,
            zorder=4)
    ax.axhline(np.median(found.kernel[:, kind]), color=BLACK, ls=(0, (4, 2.5)), lw=1.2, zorder=2)
    ax.axvline(N, color=GREY, ls=":", lw=1.2, zorder=1)
    if floor:
        ax.axhline(floor, color=GREY, lw=0.8, zorder=1)
        ax.annotate(meaning, (WIDTHS[0], floor), (2, -3), textcoords="offset points", va="top",
                    color=GREY, fontsize=9)
    ax.set(title=title, xlabel="number of features $d$", xscale="log", yscale="log", xlim=(4, 8000),
           ylim=(3e-3, 1e3))
    ax.annotate("$d=N$", (N, 3e-3), (4, 4), textcoords="offset points", color=GREY)


def completion(ax: Axes, title: str) -> None:
    """Draw train and test error of the completions against their rank."""
    found = np.array([[complete(seed, rank)[:2] for rank in RANKS] for seed in range(MATRICES)])
    band(ax, np.array(RANKS), found[:, :, 1], TEST, marker="o", ms=4)
    band(ax, np.array(RANKS), found[:, :, 0], TRAIN, marker="o", ms=4)
    ax.axhline(np.median([convex(seed)[0].test for seed in range(MATRICES)]), color=BLACK,
               ls=(0, (4, 2.5)), lw=1.2)
    # from there on UVᵀ has as many free entries as are observed
    threshold = SIDE - np.sqrt(SIDE ** 2 - EACH * SIDE)
    ax.axvline(threshold, color=GREY, ls=":", lw=1.2, zorder=1)
    ax.annotate(f"$d(2n-d)={EACH}n$", (threshold, 3e-3), (4, 4), textcoords="offset points",
                color=GREY)
    ax.set(title=title, xlabel="rank $d$", xscale="log", yscale="log", ylim=(3e-3, 1e3),
           xlim=(RANKS[0], RANKS[-1]))
    ax.set_xticks([1, 2, 3, 5, 10, 20], minor=False)
    ax.set_xticks([], minor=True)
    ax.xaxis.set_major_formatter("{x:g}")


def function(ax: Axes, space: Space, title: str) -> None:
    """Draw the interpolant of least norm of one sample: that of the draw of median test error."""
    seed = typical(space)
    x, y = points(seed)
    fine = drawn(seed)
    ax.plot(fine, truth(fine), color=BLACK, ls=(0, (4, 2.5)), lw=1.2, label="truth", zorder=2)
    ax.plot(fine, space.kernel(fine, x) @ space.regularised(seed)[-1], color=TEST, lw=1.5,
            label="interpolant", zorder=3)
    ax.plot(x, y, "o", color=TRAIN, mec="white", mew=0.5, ms=5.5, label="samples", zorder=4)
    ax.set(title=title, xlabel="$x$", ylabel="$y$", xlim=(0, 1), ylim=(-3.2, 3.2))
    ax.legend(loc="upper right", ncols=3, fontsize=9, handlelength=1.3, columnspacing=0.8,
              borderaxespad=0)


def drawn(seed: int) -> np.ndarray:
    """Where the functions of this draw are drawn, (K, 1): densely around the samples, so that each
    spike shows.
    """
    return np.unique(np.append(GRID[::5], points(seed)[0] + np.linspace(-0.004, 0.004, 17)))[
        :, None]


def typical(space: Space) -> int:
    """The draw whose interpolant has the median test error."""
    return int(np.argsort(ways(space)[0][:, -1, 2])[DRAWS // 2])


def way(ax: Axes, space: Space, title: str, far: float) -> None:
    """Draw train and test error along argmin L + λ‖w‖² and along gradient descent, against ‖w‖."""
    regularised, descended = ways(space)
    norms = np.median(regularised[:, :, 0], axis=0)
    for column, colour in ((2, TEST), (1, TRAIN)):
        band(ax, norms, regularised[:, :, column], colour)
        ax.plot(*np.median(descended[:, :, [0, column]], axis=0).T, "o", color=colour, mec=BLACK,
                mew=0.5, ms=5, zorder=4)
    end = np.median(regularised[:, -1], axis=0)
    ax.plot(end[0], end[2], "*", color=YELLOW, mec=BLACK, ms=17, zorder=5)
    ax.axhline(SPREAD ** 2, color=GREY, lw=0.8, zorder=1)
    ax.annotate("noise", (0.22, SPREAD ** 2), (0, -3), textcoords="offset points", va="top",
                color=GREY, fontsize=9)
    ax.annotate(r"$\lambda\to0$", (end[0], end[2]), (0, 14), textcoords="offset points",
                ha="center", fontsize=12)
    ax.set(title=title, xlabel=r"norm $\|w\|$", xscale="log", yscale="log", xlim=(0.2, far),
           ylim=(1e-2, 20))


def numbers() -> Iterator[dict[str, Any]]:
    """Every number drawn, a row each."""
    def rows(panel: str, kind: str, x: Any, values: np.ndarray) -> Iterator[dict[str, Any]]:
        for at, *quantiles in zip(x, *spread(values), strict=True):
            yield {"panel": panel, "kind": kind,
                   "x": at} | dict(zip(("y", "low", "high"), quantiles, strict=True))
    found = regression()
    for kind, (letter, name) in enumerate(zip("abc", LABELS, strict=True)):
        yield from rows(letter, f"{name}, test", WIDTHS, found.test[:, :, kind])
        yield from rows(letter, f"{name}, train", WIDTHS, found.train[:, :, kind])
        yield from rows(letter, f"{name}, test, gradient descent", RUNS, found.runs[:, :, kind])
        yield from rows(letter, f"{name}, test, kernel", ["inf"], found.kernel[:, [kind]])
    for k, kind in enumerate(Completion._fields):
        each = np.array([[complete(seed, rank)[k] for rank in RANKS] for seed in range(MATRICES)])
        yield from rows("d", kind, RANKS, each)
        yield from rows("d", f"{kind}, least nuclear norm", ["inf"],
                        np.array([[convex(s)[0][k]] for s in range(MATRICES)]))
    for (letter, other), space in zip(("ef", "gh"), SPACES, strict=True):
        seed = typical(space)
        (x, y), fine = points(seed), drawn(seed)
        fit = space.kernel(fine, x) @ space.regularised(seed)[-1]
        for kind, at, values in (("sample", x, y), ("truth", fine, truth(fine)),
                                 ("interpolant", fine, fit)):
            yield from rows(letter, kind, at[:, 0], values[None])
        for name, clock, way in zip(("λ", "log t"), (LAMBDAS, TIMES), ways(space), strict=True):
            for k, kind in enumerate(("norm", "train", "test")):
                yield from rows(other, f"{kind} against {name}", clock, way[:, :, k])


def report() -> None:
    """Print how the errors go, how near theory, solver and run are to each other, and what
    overfitting costs.
    """
    found = regression()
    print(f"(a)-(c)  {N} samples in {DIMS} dimensions, {SEEDS} seeds: median test error over "
          "that of predicting 0\n")
    shown = [0, int(np.argmin(np.abs(WIDTHS - N / 3))),
             *(int(np.flatnonzero(d == WIDTHS)[0]) for d in (N, 386)), -1]
    print(f"  {'d':13}  " + "  ".join(f"{WIDTHS[i]:>8}" for i in shown)
          + "    kernel  least of d < N")
    for kind, name in enumerate(LABELS):
        test = np.median(found.test[:, :, kind], axis=0)
        print(f"  {name:13}  " + "  ".join(f"{test[i]:8.3f}" for i in shown)
              + f"  {np.median(found.kernel[:, kind]):8.3f}  {test[WIDTHS < N].min():8.3f}")
    apart, limits, worst = [], [], 0.0
    for seed in range(CHECKED):
        (x, y), _ = sample(seed)
        for d in WIDTHS:
            Phi = features(d, seed)(x)
            worst = max(worst, float(np.linalg.cond(Phi)))
            for labels in y.T:
                limits.append(plan(Phi, labels).limit())
                w = np.linalg.lstsq(Phi, labels, rcond=None)[0]
                apart.append(np.linalg.norm(limits[-1].w - w) / np.linalg.norm(w))
    print(f"\n  plan.limit() against numpy.linalg.lstsq: ‖Δw‖/‖w‖ at most {max(apart):.1e} in "
          f"{len(apart)} fits (largest condition {worst:.0e}); certified "
          f"{sum(limit.certified for limit in limits)}, residual at most "
          f"{max(limit.duality_gap for limit in limits):.0e}\n  gradient descent after {STEPS} "
          f"steps, d = {', '.join(map(str, RUNS))}: ‖Δw‖/‖w‖ at most "
          f"{', '.join(f'{v:.0e}' for v in found.ends.max((0, 2)))}")
    print(f"\n(d)  {SIDE}×{SIDE} of rank {RANK} and noise, {EACH} of each row and column "
          f"observed, {MATRICES} matrices:\n"
          "     median errors, and ‖X‖⋆ over the least of all interpolants\n")
    least = np.array([convex(seed)[0] for seed in range(MATRICES)])
    for rank in RANKS:
        each = np.array([complete(seed, rank) for seed in range(MATRICES)])
        print(f"  d = {rank:2}  train {np.median(each[:, 0]):7.1e}  test "
              f"{np.median(each[:, 1]):7.3f}  ‖X‖⋆ {np.median(each[:, 2] / least[:, 2]):9.6f}")
    print(f"  convex program  test {np.median(least[:, 1]):7.3f}, duality gap at most "
          f"{max(convex(seed)[1] for seed in range(MATRICES)):.0e}")
    print(f"\n(e)-(h)  {POINTS} samples, {DRAWS} draws: median test errors (noise "
          f"{SPREAD ** 2:g})\n")
    for space in SPACES:
        test, runs = (np.median(values[:, :, 2], axis=0) for values in ways(space))
        print(f"  {space.name:21}  best λ {test.min():.3f}  λ → 0 {test[-1]:.3f} "
              f"({test[-1] / test.min():.2f} times)  gradient descent: best t {runs.min():.3f}, t "
              f"= e^{TIMES[-1]} {runs[-1]:.3f}")
    print()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    with threadpool_limits(1):  # small matrices: more threads only wait for each other
        figure, axes = plt.subplots(2, 4, figsize=(14.6, 7.8), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.06, h_pad=0.1)
        (a, b, c, d), (e, f, g, h) = axes
        descent(a, 0, "(a) True labels: a second\ndescent past $d=N$", 0, "")
        descent(b, 1, "(b) Noisy labels, all fitted:\nthe widest is best",
                NOISE ** 2 / (1 + NOISE ** 2), "noise")
        descent(c, 2, "(c) Random labels\nare fitted as well", 1.0, "predict 0")
        completion(d, "(d) Rank-$d$ completion of\na matrix: the same curve")
        function(e, SPACES[0], "(e) Harmful: the noise\nis felt everywhere")
        way(f, SPACES[0], "(f) ... so the test error\nclimbs as $\\lambda\\to0$", 2e4)
        function(g, SPACES[1], "(g) Benign: spikes fit the\nnoise, felt almost nowhere")
        way(h, SPACES[1], "(h) ... so interpolation\ncosts next to nothing", 10)
        for ax in (a, f, h):
            ax.set_ylabel("mean squared error")
        keys = [(Line2D([], [], color=TEST, lw=2.5), "test error (median, 10–90 %)"),
                (Line2D([], [], color=TRAIN, lw=2.5), "train error"),
                (Line2D([], [], color=TEST, marker="o", mec=BLACK, ls="", ms=7),
                 "gradient descent"),
                (Line2D([], [], color=BLACK, ls=(0, (4, 2.5)), lw=1.2),
                 r"$d\to\infty$: kernel; least nuclear norm"),
                (Line2D([], [], color=YELLOW, marker="*", mec=BLACK, ls="", ms=15),
                 "interpolant of least norm")]
        figure.legend(*zip(*keys, strict=True), loc="outside lower center", ncols=5,
                      handletextpad=0.5)
        report()
        save(figure, numbers(), "double_descent", out)


if __name__ == "__main__":
    main()
