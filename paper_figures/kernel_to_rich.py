"""From the kernel to the rich regime: the scale of the start decides whether w = u₊² − u₋² ends at
min ℓ2 or at min ℓ1.

    python -m paper_figures.kernel_to_rich [--committed | --out DIR]

Source: Woodworth et al., "Kernel and Rich Regimes in Overparametrized Models" (COLT 2020), Theorem
1: from u₊ = u₋ = α1 gradient flow on the squared loss ends at argmin α² Σ q(w_j/α²), q(z) = 2 − √(4
+ z²) + z asinh(z/2), which is the projection of 0 in the hyperbolic entropy of β = 2α². No result
is stored: dots come from running, lines and rings from solving.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, YELLOW, folder, save

N, D, SPARSE, SEED = 10, 24, 2, 15  # ten equations, 24 unknowns, of which two are not 0 in truth
ALPHAS = np.geomspace(1e-4, 1e2, 19)
DECADES = ALPHAS[::3]
FINE = np.geomspace(1e-4, 1e2, 121)
MOVES = 1e-3, 1e-4  # c: how far a step may move an entry of u, relatively
SMALLEST = {0.05: 6e-7, 0.5: 5e-7, 2.0: 8e-6}  # by α: the c that brings a run within 1e-8
SHOWN = {1e-4: "rich", ALPHAS[8]: "between", 1e2: "kernel"}
CLOSE = 1e-8
STEPS, UNTIL = 200_000_000, -42.0  # residuals of 1e-9; the start α = 100 knows them to 1e-10
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
MODEL = fb.models.diagonal(2, signed=True)


@cache
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X (N, d) Gaussian, y = Xw, and the sparse w (d,)."""
    rng = np.random.default_rng(SEED)
    X, w = rng.normal(size=(N, D)), np.zeros(D)
    # in this order, for which the seed was chosen
    signs, sizes = rng.choice([-1, 1], SPARSE), rng.uniform(0.5, 1.5, SPARSE)
    w[rng.choice(D, SPARSE, replace=False)] = signs * sizes
    return X, X @ w, w


@cache
def goal(alpha: float) -> fb.Limit:
    """Where the flow from α ends, certified."""
    return fb.bregman_projection(*problem()[:2], fb.potentials.hypentropy(2 * alpha ** 2),
                                 np.zeros(D))


@cache
def least(norm: fb.norms.Norm) -> fb.Limit:
    """The solution of least norm, certified."""
    return fb.minimum_norm(*problem()[:2], norm)


@fb.piece(fb.abi.RULE)
def _even(params, k, s, log_loss):  # type: ignore[no-untyped-def]
    return np.exp(s) * min(params[0], params[1] * np.exp(-0.5 * log_loss))


def even(alpha: float, move: float) -> fb.steps.StepRule:
    """η_k = min(1/(2λ), c/(4σ√L)): λ is the curvature of L in u at the end, σ the largest singular
    value of X.

    The second moves no entry of u by more than c, relatively: |∂L/∂u| = 4|Xᵀr||u| ≤ 4σ√L|u|. Every
    such move is off the flow by O(c²), so it is best to make them all alike: constant steps make
    long ones at first, short ones ever after.
    """
    sigma = np.linalg.norm(problem()[0], 2)
    return fb.steps.StepRule("even", _even, np.array([longest(alpha), move / (4 * sigma)]),
                             loss=True)


def longest(alpha: float) -> float:
    """1/(2λ), λ = 8σ² max √(w² + 4α⁴): half of 1/λ, and a quarter of what is stable at the end."""
    sigma = np.linalg.norm(problem()[0], 2)
    return float(0.5 / (8 * sigma ** 2 * np.hypot(2 * alpha ** 2, np.abs(goal(alpha).w).max())))


def descent(alpha: float, move: float) -> fb.Plan:
    """Gradient descent from u₊ = u₋ = α1."""
    return plan(alpha, even(alpha, move))


def plan(alpha: float, step_size: Any) -> fb.Plan:
    """The same with any steps."""
    X, y, _ = problem()
    method = fb.methods.gradient_descent(step_size)
    return fb.Plan(X, y, loss="squared", method=method, model=MODEL, start=MODEL.start(alpha))


@cache
def runs() -> np.ndarray:
    """Where the runs end, (α, c, d)."""
    sweep = fb.sweep(descent, {"alpha": ALPHAS, "move": MOVES}, steps=STEPS, until=UNTIL, record=2)
    return np.array([trace.w[-1] for trace in sweep]).reshape(*sweep.shape, D)


@cache
def smallest() -> fb.Sweep:
    """Runs with steps so small that they end within 1e-8."""
    points = [{"alpha": alpha, "move": move} for alpha, move in SMALLEST.items()]
    return fb.sweep(descent, points, steps=STEPS, until=UNTIL, record=2)


@cache
def flows() -> np.ndarray:
    """Where the flow from each power of ten ends, integrated (7, d)."""
    return np.array([plan(alpha, 1.0).flow().w[-1] for alpha in DECADES])


def apart(w: np.ndarray, alphas: np.ndarray = ALPHAS) -> np.ndarray:
    """How far w (α, d) are from where theory says."""
    return np.asarray(np.linalg.norm(w - np.array([goal(alpha).w for alpha in alphas]), axis=1))


def extrapolated() -> np.ndarray:
    """The runs at two step sizes, extrapolated to c = 0 (α, d)."""
    (long, short), ends = MOVES, runs()
    return np.asarray((long * ends[:, 1] - short * ends[:, 0]) / (long - short))


@cache
def exponent() -> float:
    """2(1 − κ): entries off the support end like α^{2(1 − κ)}, κ the least max_j |⟨ν, x_j⟩| off it
    with sign w on it.

    From w = 2α² sinh⟨ν, x_j⟩: as α → 0, ν grows like log 1/α² times a ν with ⟨ν, x_j⟩ = sign w_j on
    the support.
    """
    from scipy.optimize import linprog
    X, _, w = problem()
    on, off = X[:, w != 0].T, X[:, w == 0].T
    answer = linprog(np.eye(N + 1)[N],
                     A_ub=np.vstack([np.c_[sign * off, -np.ones(len(off))] for sign in (1, -1)]),
                     b_ub=np.zeros(2 * len(off)), A_eq=np.c_[on, np.zeros(len(on))],
                     b_eq=np.sign(w[w != 0]), bounds=(None, None))
    return float(2 * (1 - answer.fun))


MEASURES = (("distance to min ℓ1",
             GREEN, lambda w: np.linalg.norm(w - least(fb.norms.l1).w, axis=-1)),
            ("distance to min ℓ2",
             RED, lambda w: np.linalg.norm(w - least(fb.norms.l2).w, axis=-1)),
            ("population error $\\|w - w^*\\|^2$",
             PINK, lambda w: ((w - problem()[2]) ** 2).sum(axis=-1)))


def regimes(ax: Axes) -> None:
    """Draw distances and population error (features drawn from N(0, I)) against α: lines solved,
    dots run.
    """
    solved = np.array([goal(alpha).w for alpha in FINE])
    for name, colour, measure in MEASURES:
        ax.plot(FINE, measure(solved), color=colour, lw=2, label=name)
        ax.plot(ALPHAS, measure(runs()[:, 1]), "o", color=colour, mec="white", mew=0.5, ms=6)
    rich, kernel = np.array([1e-4, 1e-2]), np.array([3.0, 100.0])
    for x, power, beside, measure, name in ((rich, exponent(), 2.0, MEASURES[0][2],
                                             f"{exponent():.2f}"),
                                            (kernel, -4.0, 6.0, MEASURES[1][2], "-4")):
        y = beside * measure(goal(x[0]).w) * (x / x[0]) ** power
        ax.plot(x, y, color=BLACK, lw=1, ls=(0, (5, 2)))
        ax.annotate(rf"$\alpha^{{{name}}}$", (np.sqrt(x.prod()), np.sqrt(y.prod())), (4, 4),
                    textcoords="offset points", ha="left" if power < 0 else "right", fontsize=12)
    ax.plot([], "o", color=GREY, ms=6, label="gradient descent")
    ax.set(
        title="(a) Small starts end at the sparse solution,\nlarge ones at the solution of "
        "least $\\ell_2$ norm", xscale="log", yscale="log", xlabel=r"scale $\alpha$ of the start",
        ylabel="distance, or squared distance", ylim=(2e-11, 30))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 0.02))


def accuracy(ax: Axes) -> None:
    """Draw how far the runs end from where theory says, against α."""
    for i, (move, colour, marker) in enumerate(zip(MOVES, (ORANGE, BLUE), "os", strict=True)):
        ax.plot(ALPHAS, apart(runs()[:, i]), marker, ls="-", lw=0.8, color=colour, ms=6,
                label=rf"steps that move $u$ by $10^{{{np.log10(move):.0f}}}$")
    ax.plot(ALPHAS, apart(extrapolated()), "^-", lw=0.8, color=GREEN, ms=5.5,
            label="both, extrapolated to steps of 0")
    ax.plot(DECADES, apart(flows(), DECADES), "D-", lw=0.8, color=GREY, ms=4.5,
            label="flow, integrated")
    ax.plot(list(SMALLEST), errors(), "*", color=YELLOW, mec=BLACK, ms=16, zorder=4,
            label="steps small enough for $10^{-8}$")
    ax.axhline(CLOSE, color=BLACK, lw=0.8, ls=":")
    ax.annotate("left by the longest\nstable step", (9e-5, 5e-8), va="top", color=GREY, fontsize=9)
    ax.annotate("left by stopping at\nresiduals of $10^{-9}$", (8, 5e-10), ha="right", va="top",
                color=GREY, fontsize=9)
    ax.set(title="(b) Where they end is what theory names,\nup to the length of the steps",
           xscale="log", yscale="log", xlabel=r"scale $\alpha$ of the start",
           ylabel="distance of run and certified limit", ylim=(1e-13, 1e-2))
    ax.legend(loc="upper left", ncols=2, columnspacing=1, bbox_to_anchor=(0.01, 1.01))


def slope(which: int, one: float, other: float) -> float:
    """The exponent of α in one of the measures, between two α."""
    measure = MEASURES[which][2]
    return float(np.log(measure(goal(one).w) / measure(goal(other).w)) / np.log(one / other))


def errors() -> list[float]:
    """How far the runs of the smallest steps end from where theory says."""
    return [float(np.linalg.norm(trace.w[-1] - goal(alpha).w))
            for trace, alpha in zip(smallest(), SMALLEST, strict=True)]


def stems(axes: np.ndarray) -> None:
    """Draw the limit at a small, a middle and a large α."""
    truth = problem()[2]
    for letter, ax, (alpha, regime) in zip("cde", axes, SHOWN.items(), strict=True):
        i = list(ALPHAS).index(alpha)
        ax.axhline(0, color=GREY, lw=0.6)
        ax.vlines(range(D), 0, runs()[i, 1], color=BLUE, lw=2.2)
        ax.plot(range(D), runs()[i, 1], "o", color=BLUE, ms=5, label="end of the run")
        ax.plot(range(D), goal(alpha).w, "o", mfc="none", mec=BLACK, mew=1, ms=8.5,
                label="limit, solved")
        ax.plot(np.flatnonzero(truth), truth[truth != 0], "x", color=RED, mew=2, ms=10,
                label="truth")
        ax.set(title=rf"({letter}) $\alpha$ = {float(f'{alpha:.2g}'):g}: {regime}",
               xlabel="coordinate $j$", ylim=(-0.95, 1.35))
    axes[0].set_ylabel("$w_j$")
    axes[0].legend(loc="upper right", ncols=3, columnspacing=0.8, fontsize=9)


def numbers() -> Iterator[dict[str, Any]]:
    """Every number drawn, a row each."""
    solved = np.array([goal(alpha).w for alpha in FINE])
    for name, _, measure in MEASURES:
        for kind, alphas, w in (("solved", FINE, solved), ("run", ALPHAS, runs()[:, 1])):
            yield from ({"panel": "a", "series": name, "kind": kind, "x": x, "y": y}
                        for x, y in zip(alphas, measure(w), strict=True))
    series = [*((f"c = {move:g}", ALPHAS, runs()[:, i]) for i, move in enumerate(MOVES)),
              ("extrapolated", ALPHAS, extrapolated()), ("flow", DECADES, flows())]
    for name, alphas, w in series:
        yield from ({"panel": "b", "series": name, "kind": "distance", "x": x, "y": y}
                    for x, y in zip(alphas, apart(w, alphas), strict=True))
    yield from ({"panel": "b", "series": f"c = {move:g}", "kind": "distance", "x": alpha, "y": y}
                for (alpha, move), y in zip(SMALLEST.items(), errors(), strict=True))
    for letter, alpha in zip("cde", SHOWN, strict=True):
        w = runs()[list(ALPHAS).index(alpha), 1]
        for kind, values in (("run", w), ("solved", goal(alpha).w), ("truth", problem()[2])):
            yield from ({"panel": letter, "series": f"alpha = {alpha:g}", "kind": kind, "x": j,
                         "y": y} for j, y in enumerate(values))


def report() -> None:
    """Print certificates, how the error falls with the steps, and what steps bring it under
    1e-8.
    """
    one, two = least(fb.norms.l1), least(fb.norms.l2)
    print(f"X ({N}, {D}), {SPARSE} entries of w not 0, squared loss, w = u₊² − u₋² from u₊ = u₋ "
          "= α1\n")
    worst = max(goal(alpha).duality_gap for alpha in (*FINE, *ALPHAS))
    print(f"  certificates: min ℓ1 {one.duality_gap:.0e}, min ℓ2 {two.duality_gap:.0e}, "
          f"{len(FINE) + len(ALPHAS)} limits at most {worst:.0e}; the truth is min ℓ1 to "
          f"{np.abs(one.w - problem()[2]).max():.0e}")
    print(f"  distance to min ℓ1 as α → 0 like α^{slope(0, FINE[0], FINE[10]):.2f} (predicted "
          f"{exponent():.2f}), to min ℓ2 as α → ∞ like α^{slope(1, 10.0, 30.0):.2f} (predicted "
          "-4)\n")
    print(f"  {'α':>8}  {'c = 1e-3':>9}  {'c = 1e-4':>9}  {'ratio':>6}  {'extrapolated':>12}  "
          f"{'flow':>8}")
    flow = dict(zip(DECADES, apart(flows(), DECADES), strict=True))
    for alpha, *three in zip(ALPHAS, *map(apart, (*runs().swapaxes(0, 1), extrapolated())),
                             strict=True):
        print(f"  {alpha:8.2g}  {three[0]:9.1e}  {three[1]:9.1e}  {three[0] / three[1]:6.2f}  "
              f"{three[2]:12.1e}  {f'{flow[alpha]:.1e}' if alpha in flow else '':>8}")
    print("\n  constant steps η, and η/2, beside those that are small enough:")
    for (alpha, move), error, trace in zip(SMALLEST.items(), errors(), smallest(), strict=True):
        constant = [plan(alpha, factor * longest(alpha)).run(STEPS, until=UNTIL, record=2)
                    for factor in (0.1, 0.05)]
        off = [np.linalg.norm(each.w[-1] - goal(alpha).w) for each in constant]
        print(f"  α = {alpha:4g}: {error:.1e} with c = {move:g}, {trace.t[-1]:.1e} updates; "
              f"constant {off[0]:.2e}, {off[1]:.2e}: for 1e-8 it would take "
              f"{constant[1].t[-1] * off[1] / CLOSE:.0e} updates")
    print()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    figure = plt.figure(figsize=(12.6, 9.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.7, 1], hspace=0.03)
    left, right = top.subplots(1, 2)
    regimes(left)
    accuracy(right)
    stems(bottom.subplots(1, 3, sharey=True))
    report()
    save(figure, numbers(), "kernel_to_rich", out)


if __name__ == "__main__":
    main()
