"""Boosting is coordinate descent: with steps short enough it reaches the maximum ℓ1 margin,
AdaBoost itself may not.

    python -m paper_figures.boosting [--committed | --out DIR]

Sources: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), Theorem 5 with the ℓ1 norm; Schapire, Freund, Bartlett, Lee, "Boosting the
margin" (Annals of Statistics 1998) for (b) and (d); Rudin, Daubechies, Schapire, "The dynamics of
AdaBoost" (JMLR 2004), from whose cycles the matrix of (a) comes; Telgarsky, "Margins, shrinkage,
and boosting" (ICML 2013) for the shorter steps.

The data of (b) to (d) are the Wisconsin Diagnostic Breast Cancer set: W. Wolberg, O. Mangasarian,
N. Street, W. Street, UCI Machine Learning Repository (1995), doi 10.24432/C5DW2B, as scikit-learn
carries it: 569 samples, 30 features. A third of them trains. No result is stored: curves come from
running, lines from solving or from the cycle that a run ends in.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

M = np.array([[-1, 1, 1, 1, 1, -1, -1, 1], [-1, 1, 1, -1, -1, 1, 1, 1], [1, -1, 1, 1, 1, -1, 1, 1],
              [1, -1, 1, 1, -1, 1, 1, 1], [1, -1, 1, -1, 1, 1, 1, -1], [1, 1, -1, 1, 1, 1, 1, -1],
              # y_n h_j(x_n): samples n, hypotheses j
              [1, 1, -1, 1, 1, 1, -1, 1], [1, 1, 1, 1, -1, -1, 1, -1]])
ROUNDS = 100_000                                           # of the runs in (a)
LAST = 60  # rounds at their end in which a cycle is looked for
SHARE, SPLITS, SHORT = 1 / 3, 20, 500  # (b): what trains, seeded splits, and rounds on each
LONG, FEW = 10_000, 3  # (c), (d): rounds on the first split, and what few rounds are
PERCENT = PercentFormatter(1, 0, " %")


@dataclass(frozen=True)
class Booster:
    """A way to boost: coordinate descent on the exponential loss with a step rule, and how it is
    drawn.
    """

    label: str
    colour: str
    style: str
    method: Any

    def run(self, H: np.ndarray, y: np.ndarray, rounds: int, record: Any) -> fb.Trace:
        """Boost the hypotheses, columns of H, for so many rounds from w = 0."""
        return fb.Plan(H, y, loss="exponential", method=self.method).run(rounds, record=record)


def shrunk(nu: float) -> Any:
    """Coordinate descent whose exact line search is cut to ν of its step."""
    return fb.methods.coordinate_descent(fb.steps.line_search(), shrinkage=nu)


EXACT = Booster("exact line search (AdaBoost)", COLOURS[0], "-", shrunk(1))
HALF = Booster(r"the same, shrunk: $\nu$ = 1/2", BLUE, "-", shrunk(0.5))
TENTH = Booster(r"the same, shrunk: $\nu$ = 1/10", COLOURS[1], "-", shrunk(0.1))
SCALED = Booster(r"step size $\eta_t = 1/L(w_t)$", BLACK, ":",
                 fb.methods.coordinate_descent(fb.steps.loss_scaled(1.0)))


@dataclass(frozen=True)
class Cycle:
    """What exact line search ends in on M: the last rounds of the run, w (LAST + 1, d), and all
    that follows from them.
    """

    w: np.ndarray

    @cached_property
    def weights(self) -> np.ndarray:
        """The weights of the samples before each round, rows of sum 1."""
        margins = self.w @ M.T
        q = np.exp(margins.min(axis=1, keepdims=True) - margins)
        return np.asarray(q / q.sum(axis=1, keepdims=True))

    @property
    def period(self) -> int:
        """After how many rounds the weights come again, to 1e-9."""
        apart = np.abs(self.weights[:-1] - self.weights[-1]).max(axis=1)[::-1]
        if apart.min() > 1e-9:
            raise ArithmeticError(f"exact line search has no cycle of up to {LAST} rounds at the "
                                  "end of its run")
        return int(np.argmax(apart < 1e-9)) + 1

    @property
    def margin(self) -> float:
        """The ℓ1 margin of one turn, to which the margin of w tends."""
        turn = self.w[-1] - self.w[-1 - self.period]
        return float((M @ turn).min() / l1(turn))

    @property
    def stretch(self) -> float:
        """The largest step size of a turn times the loss, ηL = α/r, where Theorem 5 allows 1 (B =
        1).
        """
        alpha, edge = np.abs(np.diff(self.w,
                                     axis=0)).max(axis=1), np.abs(self.weights[:-1] @ M).max(axis=1)
        return float((alpha / edge)[-self.period:].max())


@dataclass(frozen=True)
class Split:
    """The data with their decision stumps: H (N, d) of ±1, labels y (N,) of ±1, and which samples
    train (N,).
    """

    H: np.ndarray
    y: np.ndarray
    train: np.ndarray

    def run(self, booster: Booster, rounds: int, record: Any) -> fb.Trace:
        """Boost on the training samples."""
        return booster.run(self.H[self.train], self.y[self.train], rounds, record)

    def errors(self, trace: fb.Trace) -> tuple[np.ndarray, np.ndarray]:
        """The shares of training and of test samples on the wrong side at each row, (K,) each."""
        wrong = self.y * (trace.w @ self.H.T) <= 0
        return wrong[:, self.train].mean(axis=1), wrong[:, ~self.train].mean(axis=1)

    def margins(self, w: np.ndarray) -> np.ndarray:
        """The margins y f(x)/‖w‖₁ of the training samples, from the smallest."""
        return np.sort((self.y * (self.H @ w))[self.train]) / l1(w)

    @cached_property
    def best(self) -> fb.Limit:
        """The maximum ℓ1 margin of the training samples, by linear programming."""
        return fb.max_margin(self.H[self.train], self.y[self.train], "l1")


@dataclass(frozen=True)
class Errors:
    """Train and test error of one booster on all splits, (SPLITS, K) each, at the rounds t (K,)."""

    t: np.ndarray
    train: np.ndarray
    test: np.ndarray

    @property
    def perfect(self) -> np.ndarray:
        """For each split the row from which on the training error is zero, (SPLITS,)."""
        rows = self.t.size - np.argmax(self.train[:, ::-1] > 0, axis=1)
        if (rows == self.t.size).any():
            raise ArithmeticError(f"the training error of a split is not zero after {self.t[-1]} "
                                  "rounds")
        return np.asarray(rows)

    @property
    def change(self) -> np.ndarray:
        """The test error at the end less that at the row of `perfect`, (SPLITS,)."""
        there = np.take_along_axis(self.test, self.perfect[:, None], axis=1)[:, 0]
        return np.asarray(self.test[:, -1] - there)


def l1(w: np.ndarray) -> Any:
    """‖w‖₁, over the last axis."""
    return np.abs(w).sum(axis=-1)


def rounds(last: int) -> np.ndarray:
    """Log-spaced rounds from 1 to the last, each of the first ones among them."""
    return np.unique(np.geomspace(1, last, 120).round().astype(int))


def fraction(x: float) -> str:
    """Return a number as the simple fraction that it nearly is, or else with three digits."""
    near = Fraction(x).limit_denominator(20)
    return str(near) if abs(near - x) < 1e-6 else f"{x:.3g}"


def cancer() -> tuple[np.ndarray, np.ndarray]:
    """Return the features (569, 30) and the labels, +1 for benign, −1 for malignant."""
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError:
        raise SystemExit("paper_figures.boosting takes its data from scikit-learn; pip install "
                         "scikit-learn") from None
    features, benign = load_breast_cancer(return_X_y=True)
    return np.asarray(features), np.where(benign == 1, 1.0, -1.0)


def split(features: np.ndarray, y: np.ndarray, seed: int) -> Split:
    """Draw who trains, and make the stumps of those."""
    train = np.zeros(y.size, bool)
    train[np.random.default_rng(seed).permutation(y.size)[:round(SHARE * y.size)]] = True
    return Split(fb.features.stumps(features[train])(features), y, train)


def boosted(data: tuple[np.ndarray, np.ndarray],
            boosters: tuple[Booster, ...]) -> dict[Booster, Errors]:
    """Boost in each way on every split, one split in memory at a time."""
    record = rounds(SHORT)
    found: dict[Booster, list[tuple[np.ndarray, np.ndarray]]] = {each: [] for each in boosters}
    for seed in range(SPLITS):
        here = split(*data, seed)
        for booster, pairs in found.items():
            pairs.append(here.errors(here.run(booster, SHORT, record)))
    # row 0 is w = 0
    return {booster: Errors(record, *(np.array(side)[:, 1:] for side in zip(*pairs, strict=True)))
            for booster, pairs in found.items()}


def cycling(ax: Axes, runs: dict[Booster, fb.Trace], best: fb.Limit, cycle: Cycle) -> None:
    """Draw the margin on M against rounds, with the maximum and the margin of the cycle."""
    for booster, trace in runs.items():
        fb.plots.margin(trace, best if booster is EXACT else None, "l1", ax, color=booster.colour,
                        ls=booster.style, label=booster.label)
    ax.axhline(cycle.margin, color=GREY, lw=1, ls="--", zorder=1)
    for value, note, above in (
            (best.margin, f"maximum margin: {fraction(best.margin)}", True),
            (cycle.margin, f"a cycle of {cycle.period} rounds: {fraction(cycle.margin)}", False)):
        ax.annotate(note, (ROUNDS, value), (-2, 4 if above else -5), textcoords="offset points",
                    color=GREY, fontsize=11, ha="right", va="bottom" if above else "top")
    ax.set(
        title="(a) 8×8 matrix: AdaBoost cycles below the\nmaximum margin, shorter steps reach it",
        xlabel="rounds $t$", ylabel=r"ℓ1 margin $\min_n (Mw)_n/\|w\|_1$",
        xlim=(1, ROUNDS), ylim=(0.1, best.margin + 0.025))
    ax.legend(loc="lower right", handletextpad=0.6)


def learning(ax: Axes, results: dict[Booster, Errors]) -> None:
    """Draw train and test error against rounds, the mean over the splits."""
    for booster, found in results.items():
        ax.plot(found.t, found.test.mean(axis=0), color=booster.colour, lw=2, label=booster.label)
        ax.plot(found.t, found.train.mean(axis=0), "--", color=booster.colour, lw=1.6)
    for label, style in (("test error", "-"), ("training error", "--")):
        ax.plot([], style, color=GREY, lw=2, label=label)
    found = results[EXACT]
    before, after = ((found.test[:, -1] - shift).mean() for shift in (found.change, 0))
    ax.annotate(f"AdaBoost, once the training error is zero:\ntest error {100 * before:.1f} % → "
                f"{100 * after:.1f} %, lower in {(found.change < 0).sum()} of {SPLITS} splits",
                (0.98, 0.27), xycoords="axes fraction", ha="right", color=EXACT.colour)
    ax.set(
        title="(b) Breast cancer, stumps: test error keeps falling\nafter the training error is "
        "zero", xscale="log", xlabel="rounds $t$", ylabel=f"error, mean of {SPLITS} splits",
        xlim=(1, SHORT), ylim=(-0.001, None))
    ax.yaxis.set_major_formatter(PERCENT)
    ax.legend(loc="upper right", handletextpad=0.6)


def climbing(ax: Axes, runs: dict[Booster, fb.Trace], best: float) -> None:
    """Draw the margin as a fraction of the maximum against rounds, and the end of it enlarged."""
    inset = ax.inset_axes((0.56, 0.27, 0.41, 0.37))
    for booster, trace in runs.items():
        for each in (ax, inset):
            each.plot(trace.t, trace.margin(fb.norms.l1) / best, color=booster.colour, lw=2,
                      label=booster.label)
    for each in (ax, inset):
        each.axhline(1, color=GREY, lw=1, ls="--", zorder=1)
        each.set(xscale="log")
        each.yaxis.set_major_formatter(PERCENT)
    inset.set(xlim=(LONG / 50, LONG), ylim=(0.9, 1.01), yticks=(0.9, 0.95, 1))
    inset.tick_params(labelsize=9)
    ax.indicate_inset_zoom(inset, edgecolor=GREY)
    ax.annotate("linear-programming optimum", (1.2, 1), (0, 4), textcoords="offset points",
                color=GREY, fontsize=11)
    exact, half = (100 * runs[each].margin(fb.norms.l1)[-1] / best for each in (EXACT, HALF))
    title = f"(c) Real data likewise: AdaBoost ends at {exact:.0f} %\n"
    title += f"of the maximum margin, with shrinkage at {half:.0f} %"
    ax.set(title=title, xlabel="rounds $t$", ylabel="ℓ1 margin, share of the maximum",
           xlim=(1, LONG), ylim=(-0.5, 1.12))
    ax.legend(loc="lower right", handletextpad=0.6)


def spreading(ax: Axes, margins: dict[str, np.ndarray], best: float) -> None:
    """Draw which share of the training samples has a margin of at most x, after few rounds, more,
    and many.
    """
    for (label, values), style in zip(margins.items(), (":", "--", "-"), strict=True):
        share = np.arange(values.size + 1) / values.size
        ax.step([-1, *values], share, style, where="post", color=HALF.colour, lw=2, label=label)
    ax.axvline(best, color=GREY, lw=1, ls="--", zorder=1)
    ax.axvline(0, color=GREY, lw=0.6, zorder=1)
    ax.annotate(f"maximum\nmargin:\n{best:.3f}", (best, 1), (5, 0), textcoords="offset points",
                color=GREY, fontsize=11, va="top")
    ax.set(
        title="(d) Long after the training error is zero,\nthe smallest margins grow towards "
        "the maximum", xlim=(-0.8, 1.02), ylim=(0, 1.02),
        xlabel=r"margin $y f(x)/\|w\|_1$ of a training sample",
        ylabel="share of samples with at most this")
    ax.yaxis.set_major_formatter(PERCENT)
    ax.legend(loc="upper left", handletextpad=0.6, title=r"shrunk, $\nu$ = 1/2", alignment="left")


def numbers(a: dict[Booster, fb.Trace], lines: dict[str, float], b: dict[Booster, Errors],
            c: dict[Booster, fb.Trace], best: float,
            d: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """Everything drawn, a row each: margins and errors against rounds in (a) to (c), samples
    against their margin in (d).
    """
    def rows(panel: str, kind: str, xs: Any, ys: Any) -> Iterator[dict[str, Any]]:
        yield from ({"panel": panel, "kind": kind, "x": x, "y": y}
                    for x, y in zip(xs, ys, strict=True))
    for name, value in lines.items():
        yield from rows("a", name, [""], [value])
    for booster, trace in a.items():
        yield from rows("a", plain(booster), trace.t[1:], trace.margin(fb.norms.l1)[1:])
    for booster, found in b.items():
        yield from rows("b", f"test, {plain(booster)}", found.t, found.test.mean(axis=0))
        yield from rows("b", f"training, {plain(booster)}", found.t, found.train.mean(axis=0))
    for booster, trace in c.items():
        yield from rows("c", plain(booster), trace.t[1:], trace.margin(fb.norms.l1)[1:] / best)
    yield from rows("d", "maximum", [best], [""])
    for label, values in d.items():
        yield from rows("d", label, values, np.arange(1, values.size + 1) / values.size)


def plain(booster: Booster) -> str:
    """Return the label without its TeX."""
    return booster.label.replace(r"$\nu$", "ν").replace(r"$\eta_t = 1/L(w_t)$", "1/L")


def report(a: dict[Booster, fb.Trace], top: fb.Limit, cycle: Cycle, first: Split,
           b: dict[Booster, Errors], c: dict[Booster, fb.Trace]) -> None:
    """Print where the margins end, what certifies the maxima, and what happens to the test
    error.
    """
    print(f"(a) 8×8 matrix, {ROUNDS:,} rounds. Maximum ℓ1 margin {fraction(top.margin)} = "
          f"{top.margin:.9f}, at w = ({', '.join(fraction(x) for x in top.w)}),\n    certified: "
          f"{top.certified}, duality gap {top.duality_gap:.0e}. Exact line search ends in a cycle "
          f"of {cycle.period} rounds of margin {fraction(cycle.margin)} = {cycle.margin:.9f}:\n   "
          f" its steps are up to {cycle.stretch:.3f}/(B²L), where Theorem 5 allows 1/(B²L).\n")
    for booster, trace in a.items():
        print(f"  {plain(booster):32}  margin {trace.margin(fb.norms.l1)[-1]:.6f}   log L = "
              f"{trace.log_loss[-1]:.6g}")
    N, d, best = int(first.train.sum()), first.H.shape[1], first.best
    print(f"\n(b) breast cancer, {N} samples to train, {first.y.size - N} to test, {SPLITS} "
          "splits. All are separable by stumps: the training error becomes 0.\n")
    for booster, found in b.items():
        when, change, at = found.t[found.perfect], found.change, found.test[:, -1]
        print(f"  {plain(booster):32}  training error zero from round {when.min()} to "
              f"{when.max()} on; test error there {100 * (at - change).mean():.2f} %, after "
              f"{SHORT:,}: {100 * at.mean():.2f} %\n{'':36}lower in {(change < 0).sum()} splits, "
              f"equal in {(change == 0).sum()}, higher in {(change > 0).sum()}")
    print(f"\n(c) first split, {d:,} stumps. Maximum ℓ1 margin {best.margin:.9f}, certified: "
          f"{best.certified}, duality gap {best.duality_gap:.0e};\n    "
          f"{best.hypotheses[0].statement}: {best.hypotheses[0].holds} "
          f"({best.hypotheses[0].evidence}).\n")
    for booster, trace in c.items():
        part, used = trace.margin(fb.norms.l1) / best.margin, np.count_nonzero(trace.w[-1])
        print(f"  {plain(booster):32}  {100 * np.interp(LONG / 10, trace.t, part):.2f} % of it "
              f"after {LONG // 10:,} rounds, {100 * part[-1]:.2f} % after {LONG:,}, on {used} "
              "stumps")
    print(f"  {'linear programming':32}  100 % of it, on {np.count_nonzero(best.w)} stumps\n")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    data, ones = cancer(), np.ones(M.shape[0])
    top = fb.max_margin(M, ones, "l1")
    a = {each: each.run(M, ones, ROUNDS, rounds(ROUNDS)) for each in (EXACT, HALF, TENTH, SCALED)}
    cycle = Cycle(EXACT.run(M, ones, ROUNDS, np.arange(ROUNDS - LAST, ROUNDS + 1)).w[1:])
    b = boosted(data, (EXACT, HALF))
    first, zero = split(*data, 0), int(b[HALF].t[b[HALF].perfect[0]])
    moments = {f"after {FEW} rounds": FEW, f"after {zero}, none wrong": zero,
               f"after {LONG:,}": LONG}
    record = np.union1d(rounds(LONG), list(moments.values()))
    c = {each: first.run(each, LONG, record) for each in (EXACT, HALF)}
    d = {label: first.margins(c[HALF].w[c[HALF].t == t][0]) for label, t in moments.items()}

    figure, axes = plt.subplots(2, 2, figsize=(12.6, 9.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    cycling(axes[0, 0], a, top, cycle)
    learning(axes[0, 1], b)
    climbing(axes[1, 0], c, first.best.margin)
    spreading(axes[1, 1], d, first.best.margin)
    report(a, top, cycle, first, b, c)
    save(figure, numbers(a, {"maximum": top.margin, "cycle": cycle.margin}, b, c, first.best.margin,
                         d), "boosting", out)


if __name__ == "__main__":
    main()
