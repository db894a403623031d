"""Seven statements that are false: for each the smallest counter-example that `fb.hunt` came home
with, drawn from runs.

    python -m paper_figures.hunt [--committed | --out DIR]

Hunts of one to five minutes found the data that stand here; what is said of them is proved anew
when the figure is drawn, by documents of fractions that are checked, and what is drawn is run.
Sources of the statements: Hastie et al. (2007), Meng et al. (2024), Rudin, Daubechies, Schapire
(2004), Telgarsky (2013), Gunasekar et al. (2017), Li, Luo, Lyu (2021), Gunasekar et al. (2018),
Baek, Song, Yun (2025). (e): a start of 0.1 does find the least nuclear norm, smaller ones leave it.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import fastbias as fb
from fastbias.discovery import (
    boosting,
    checking,
    completing,
    cycling,
    stagewise,
    straying,
    weighing,
)
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
PATH = np.array([[1.0, 0, 2], [0, 1, 2]]), np.array([1.0, 0])
CYCLE = 8, 1, 21, 1.95                   # one point 8, twenty-one points −1, ηλ
MATRIX = np.array([[int(x) for x in row.split()] for row in (
    "1 -1 1 1 1 1 1", "-1 -1 1 -1 -1 -1 1", "1 -1 -1 -1 1 -1 -1", "-1 -1 -1 1 -1 -1 -1",
    "-1 -1 1 1 1 -1 -1", "1 1 1 1 -1 -1 -1", "1 -1 -1 -1 -1 1 -1")], float)
HIDDEN = np.nan
SEEN = np.array([[1, 1, HIDDEN], [1, HIDDEN, 2], [HIDDEN, 2, HIDDEN]])
MOMENTUM = 1, 2, 1, Fraction(1, 32), Fraction(1, 2), Fraction(0)
WEIGHED = np.array([[2.0, 3, -1], [2, 2, 1], [1, 3, 1]])
ROUNDS, SHRUNK = 3000, 0.1
ALPHAS = 10.0 ** np.arange(0, -9, -1)
Row = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """A statement, its counter-example and what draws it: the picture, its numbers, one line."""

    letter: str
    statement: str
    problem: Any
    prove: Callable[[Any], dict[str, Any] | None]
    draw: Callable[[Axes, dict[str, Any]], tuple[list[Row], str]]

    def proved(self) -> dict[str, Any]:
        """The document, checked."""
        document = self.prove(self.problem)
        if document is None or not checking.check(document):
            raise ArithmeticError(f"({self.letter}) is not proved")
        return document


def numbers(rows: Any) -> np.ndarray:
    """Fractions as floats."""
    return np.array([[float(Fraction(x)) for x in row] for row in rows])


def along(line: str, x: Any, y: Any) -> list[Row]:
    """Numbers of a line."""
    return [{"line": line, "x": float(a), "y": float(b)} for a, b in zip(x, y, strict=True)]


def corners(ax: Axes, document: dict[str, Any]) -> tuple[list[Row], str]:
    """The ℓ1 norm and the residual of a stagewise run, and the exact corners of its path."""
    X, y = PATH
    trace = fb.run(X, y, loss="squared", method=fb.methods.stagewise(1e-3), steps=3000, record=300)
    ends, least = numbers(document["path"]), numbers([document["shorter"]])[0]
    rows = []
    for j, colour in enumerate((BLUE, RED, GREEN)):
        ax.plot(trace.t * 1e-3, trace.w[:, j], color=colour, lw=2)
        ax.plot(1.5, least[j], "*", color=colour, ms=11, clip_on=False)
        ax.annotate(f"$w_{j + 1}$", (1.3, trace.w[-1, j]), color=colour, va="bottom")
        rows += along(f"w{j + 1}", trace.t * 1e-3, trace.w[:, j])
    ax.set(xlabel="length of the path", xlim=(0, 1.5), ylabel="weights")
    ended = sum(abs(Fraction(x)) for x in document["path"][-1])
    shorter = sum(abs(Fraction(x)) for x in document["shorter"])
    rows += along("corners", np.abs(np.diff(ends, axis=0, prepend=0 * ends[:1])).sum(1).cumsum(),
                  np.abs(ends).sum(1))
    return rows, f"ends at ℓ1 norm {ended}; ★: {shorter}"


def round_and_round(ax: Axes, document: dict[str, Any]) -> tuple[list[Row], str]:
    """Gradient descent from 0 and from beside the minimiser."""
    a, c, n, ratio = CYCLE
    eta, best = float(Fraction(document["step"])), float(Fraction(document["minimiser"][0]))
    X, y = np.array([[a], *[[-c]] * n], float), np.ones(n + 1)
    method, rows = fb.methods.gradient_descent(eta), []
    for start, colour, marker in ((0.0, BLUE, "o"), (best + 0.02, ORANGE, "s")):
        trace = fb.run(X, y, loss="logistic", method=method, steps=40, start=[start],
                       record=np.arange(41))
        ax.plot(trace.t, trace.w[:, 0], color=colour, marker=marker, ms=4, lw=1)
        rows += along(f"from {start:.3g}", trace.t, trace.w[:, 0])
    ax.axhline(best, color=BLACK, lw=1, ls="--")
    ax.set_ylabel("$w$")
    ax.set_xlabel("steps\n(dashed: the minimiser; squares: from beside it)", fontsize=9)
    return rows, f"{a} once, −{c} × {n}, ηλ = {ratio}: period 2"


def weights(ax: Axes, document: dict[str, Any]) -> tuple[list[Row], str]:
    """AdaBoost's weights of the samples, late, over some rounds."""
    q = np.full(len(MATRIX), 1 / len(MATRIX))
    late = []
    for t in range(ROUNDS):
        q = boosting._step(MATRIX, q)[0]
        q = q / q.sum()
        if t >= ROUNDS - 40:
            late.append(q)
    image = np.array(late).T
    drawn = ax.imshow(image, aspect="auto", cmap="cividis", interpolation="nearest", vmin=0)
    ax.figure.colorbar(drawn, ax=ax, shrink=0.8, pad=0.02, label="weight")
    ax.set(xlabel=f"rounds after {ROUNDS - 40}", ylabel="sample")
    ax.set_yticks(range(len(q)), [str(n + 1) for n in range(len(q))])
    rows = [row for n, line in enumerate(image)
            for row in along(f"sample {n + 1}", range(40), line)]
    return rows, f"7 × 7: weights go round by {document['round']}"


def margins(ax: Axes, document: dict[str, Any]) -> tuple[list[Row], str]:
    """The ℓ1 margin by rounds, of exact line search and of steps that are shrunk."""
    best = float(Fraction(document["margin"]))
    rows = []
    for nu, colour, dash in ((1.0, BLUE, "-"), (SHRUNK, ORANGE, "--")):
        method = fb.methods.coordinate_descent(fb.steps.line_search(), shrinkage=nu)
        trace = fb.run(MATRIX, np.ones(len(MATRIX)), loss="exponential", method=method,
                       steps=ROUNDS * 10, record=300)
        x, y = trace.t[1:], trace.margin("l1")[1:]
        ax.plot(x, y, dash, color=colour, lw=2)
        rows += along(f"shrinkage {nu:g}", x, y)
    ax.axhline(best, color=BLACK, lw=1, ls=":")
    ax.annotate(f"largest margin, {document['margin']}", (1, best), va="bottom", fontsize=9)
    ax.annotate("exact", (ROUNDS * 10, rows[298]["y"]), color=BLUE, ha="right", va="top")
    ax.annotate(f"steps × {SHRUNK:g}", (150, 0.18), color=ORANGE)
    ax.set(xscale="log", xlabel="rounds", ylabel="ℓ1 margin", ylim=(0, best * 1.15))
    return rows, f"the same matrix: stays under {document['margin']}"


def small_starts(ax: Axes, document: dict[str, Any]) -> tuple[list[Row], str]:
    """The trace of UUᵀ where runs from αI end."""
    pairs = [(i, j) for i in range(3) for j in range(i, 3) if np.isfinite(SEEN[i, j])]
    X, y = np.zeros((len(pairs), 3, 3)), [SEEN[i, j] for i, j in pairs]
    for k, (i, j) in enumerate(pairs):
        X[k, i, j] = X[k, j, i] = 1 if i == j else 0.5
    ends = []
    for alpha in ALPHAS:
        trace = fb.run(X, y, loss="squared", method=fb.methods.gradient_descent(0.01), record=2,
                       model=fb.models.symmetric(3), start=alpha * np.eye(3), steps=40_000)
        ends.append(float(np.trace(trace.w[-1])))
    ax.plot(ALPHAS, ends, "o-", color=BLUE)
    limit, least = (np.trace(numbers(document[name])) for name in ("limit", "shorter"))
    for value, label in ((limit, "as α → 0"), (least, "another completion")):
        ax.axhline(value, color=BLACK, lw=1, ls=":" if value == limit else "--")
        left = value == limit
        ax.annotate(f"{label}: {value:g}", (ALPHAS[0 if left else -1], value), va="bottom",
                    ha="left" if left else "right", fontsize=9)
    ax.set(xscale="log", xlabel="start, α", ylabel="nuclear norm of the end",
           ylim=(least - 0.3, limit + 0.3))
    ax.invert_xaxis()
    return along("end", ALPHAS, ends), "1 1 ? / 1 ? 2 / ? 2 ?: ends at 6, not 5"


def momentum(ax: Axes, document: dict[str, Any]) -> tuple[list[Row], str]:
    """Where mirror descent goes without, with dual and with primal momentum."""
    x, y, (eta, beta) = MOMENTUM[:2], MOMENTUM[2], map(float, MOMENTUM[3:5])
    rows = []
    for label, colour, dash, options in (("dual", ORANGE, "--", {"dual_momentum": beta}),
                                         ("primal", BLUE, "-", {"primal_momentum": beta})):
        method = fb.methods.mirror_descent("entropy", eta, **options)
        trace = fb.run([x], [y], loss="squared", method=method, steps=1000, record=np.arange(1001))
        w = trace.w
        ax.plot(*w.T, dash, color=colour, lw=2, marker=".", ms=5)
        ax.plot(*w[-1], "o", color=colour, ms=8)
        ax.annotate(label, w[3], color=colour, xytext=(6, 0), textcoords="offset points")
        rows += along(label, *w.T)
    ends = np.array([[0.2, (y - 0.2 * x[0]) / x[1]], [0.9, (y - 0.9 * x[0]) / x[1]]])
    ax.plot(*ends.T, color=GREY, lw=1, zorder=0)
    ax.plot(*fb.bregman_projection([x], [y], "entropy").w, "*", color=BLACK, ms=13)
    ax.set(xlabel="$w_1$", ylabel="$w_2$")
    return rows, "w₁ + 2w₂ = 1, β = ½: not at ★"


def two_ends(ax: Axes, document: dict[str, Any]) -> tuple[list[Row], str]:
    """Where weights that go half the way to their own multipliers end, from all over."""
    fixed, rows = numbers(document["weights"]), []
    sides = np.array([[0, 0], [1, 0], [0.5, 0.75 ** 0.5]])
    grid = [np.array([i, j, 20 - i - j]) / 20 for i in range(1, 20) for j in range(1, 20 - i)]
    for begun in grid:
        c = begun
        for _ in range(60):
            M = np.sqrt((c * c) @ (WEIGHED * WEIGHED))
            lam = fb.max_margin(WEIGHED / np.sqrt(M), np.ones(3)).dual
            c = 0.5 * (c + lam)
            if np.abs(lam - c).max() < 1e-4:
                break
        k = int(np.argmin(np.abs(fixed - c).sum(1)))
        ax.plot(*(begun @ sides), "os"[k], color=(BLUE, ORANGE)[k], ms=4.5)
        rows += along(f"to fixed point {k + 1}", [begun[0]], [begun[1]])
    ax.plot(*np.append(sides, sides[:1], 0).T, color=GREY, lw=1)
    for k, c in enumerate(fixed):
        ax.plot(*(c @ sides), "*", color=(BLUE, ORANGE)[k], ms=16, mec=BLACK)
    ax.set_aspect("equal")
    ax.axis("off")
    for n, at in enumerate(sides):
        ax.annotate(f"sample {n + 1}", at, ha="center", va="top" if n < 2 else "bottom", fontsize=9)
    return rows, "3 × 3: weights end at one ★ or at the other"


PANELS = (
    Panel("a", "Stagewise steps follow the ℓ1 path", PATH, stagewise.prove, corners),
    Panel("b", "GD converges wherever η < 2/λ", CYCLE, cycling.prove, round_and_round),
    Panel("c", "AdaBoost reaches the ℓ1 margin", MATRIX, boosting.prove, weights),
    Panel("d", "Line search keeps the margin", MATRIX, boosting.prove, margins),
    Panel("e", "Small starts find the nuclear norm", SEEN, completing.prove, small_starts),
    Panel("f", "Primal momentum projects", MOMENTUM, straying.prove, momentum),
    Panel("g", "Adam one by one has one limit", WEIGHED, weighing.prove, two_ends),
)


def shown(ax: Axes) -> None:
    """The matrix of (c) and (d)."""
    ax.imshow(MATRIX, cmap="Greys_r", vmin=-1.6, vmax=1.6)
    for (i, j), x in np.ndenumerate(MATRIX):
        ax.text(j, i, "+" if x > 0 else "−", ha="center", va="center", fontsize=12,
                color="black" if x > 0 else "white")
    ax.set(xticks=[], yticks=[], xlabel="features", ylabel="samples, $y_n x_{nj}$")
    ax.set_title("The matrix of (c), (d)", loc="left", fontsize=11)


def main(argv: list[str] | None = None) -> None:
    """Prove, draw, save."""
    out = folder(argv, __doc__)
    figure, axes = plt.subplots(2, 4, figsize=(16, 8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.12)
    rows: list[Row] = []
    places = [*axes[0], *axes[1, :3]]
    for panel, ax in zip(PANELS, places, strict=True):
        drawn, told = panel.draw(ax, panel.proved())
        rows += [{"panel": panel.letter, **row} for row in drawn]
        ax.set_title(f"({panel.letter}) “{panel.statement}”\n{told}", loc="left", fontsize=10,
                     pad=16 if panel.letter == "g" else 6)
        print(f"({panel.letter}) not so, proved: {panel.statement}: {told}")
    shown(axes[1, 3])
    save(figure, rows, "hunt", out)


if __name__ == "__main__":
    main()
