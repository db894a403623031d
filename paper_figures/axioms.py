"""What do optimisers prefer? Axioms of choice, asked of twenty-two methods by runs alone: which
hold, and how far each choice moves that must not.

    python -m paper_figures.axioms [--committed | --out DIR]

An optimiser that minimises one strictly convex function over the solutions of Xw = y does not care
how these are written (representation), keeps its choice where solutions are taken away that it did
not choose (irrelevant alternatives), and never chooses in circles, of two (WARP) or more (SARP);
Afriat's system then has a solution, and Farkas' multipliers prove it where it has none. Each row is
`fb.axioms.examine` of a method on the squared loss: small problems of whole numbers that are
searched for, no theory is asked. Every document is checked again before it is drawn; where rounding
kept a function from being made exact, the verdict is that nothing speaks against one. Sources:
Gunasekar, Lee, Soudry, Srebro (ICML 2018), Section 2, which says the same of each by proof;
Samuelson (1938), Houthakker (1950), Afriat (1967). No result is stored.
"""
from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

import fastbias as fb
from fastbias.discovery import checking
from fastbias.discovery.axioms import AXIOMS, Examination
from fastbias.pieces.methods import Method
from paper_figures._style import GREY, folder, save

m, P = fb.methods, fb.potentials
D = [1.0, 2.0, 3.0, 4.0]
# by what Section 2 says of them: one function for each, or none
METHODS: dict[str, Method] = {
    "gradient descent": m.gradient_descent(0.2),
    "… one sample at a time": m.gradient_descent(0.2, batch=1, rng=0),
    "… heavy ball": m.gradient_descent(0.2, 0.5),
    "… Nesterov": m.gradient_descent(0.1, 0.5, 0.5),
    "mirror: power 1.5": m.mirror_descent(P.power(1.5), 0.02),
    "mirror: squared ℓ1.5": m.mirror_descent(P.squared_lp(1.5), 0.05),
    "mirror: hypentropy 0.3": m.mirror_descent(P.hypentropy(0.3), 0.02),
    "mirror: cosh": m.mirror_descent(P.cosh, 0.1),
    "mirror: entropy": m.mirror_descent(P.entropy, 0.02),
    "… dual momentum": m.mirror_descent(P.entropy, 0.02, dual_momentum=0.5),
    "steepest: quadratic": m.steepest_descent(fb.norms.quadratic(D), 0.1),
    "natural: quadratic": m.natural_gradient(P.quadratic(D), 0.1),
    "primal momentum: quadratic": m.mirror_descent(P.quadratic(D), 0.1, primal_momentum=0.5),
    "primal momentum: entropy": m.mirror_descent(P.entropy, 0.02, primal_momentum=0.5),
    "natural: entropy": m.natural_gradient(P.entropy, 0.05),
    "steepest: ℓ4/3": m.steepest_descent(fb.norms.lp(4 / 3), 0.01),
    "steepest: ℓ3": m.steepest_descent(fb.norms.lp(3), 0.01),
    "steepest: ℓ∞": m.steepest_descent("linf", 0.01),
    "coordinate descent": m.coordinate_descent(0.02),
    "AdaGrad": m.adagrad(0.3),
    "Adam": m.adam(1e-3),
    "RMSProp": m.rmsprop(1e-3),
}
LOW, HIGH = 1e-16, 10.0                  # of the scale of moves
MOVES = AXIOMS[:-1]                      # the last is a verdict and no distance
Row = dict[str, Any]


def examined() -> dict[str, Examination]:
    """Each method's examination, with its proof checked; no method is refuted without one."""
    found = {name: fb.axioms.examine(method) for name, method in METHODS.items()}
    for name, seen in found.items():
        if not (checking.check(seen.proof) if seen.proof else seen.holds["Afriat"]):
            raise ArithmeticError(f"what is said of {name} is not proved")
    return found


def rows_of(found: dict[str, Examination]) -> list[Row]:
    """A line for each method and axiom."""
    return [{"method": name, "axiom": axiom, "holds": seen.holds[axiom],
             "largest move": seen.moves[axiom], "resolution": seen.resolution[axiom],
             "problems": seen.problems, "proof": seen.proof["kind"] if seen.proof else ""}
            for name, seen in found.items() for axiom in AXIOMS]


def map_of(ax: Axes, found: dict[str, Examination]) -> Any:
    """Draw the moves as colours, and the verdicts in words, framed where an axiom is violated."""
    moves = np.array([[seen.moves[axiom] for axiom in MOVES] for seen in found.values()])
    image = ax.imshow(np.clip(moves, LOW, HIGH), cmap="cividis", norm=LogNorm(LOW, HIGH),
                      aspect="auto")
    for i, seen in enumerate(found.values()):
        for j, axiom in enumerate(MOVES):
            dark, move = moves[i, j] < 1e-8, moves[i, j]
            told = "0" if move == 0 else f"{move:.0e}".replace("e-0", "e-") if move < 0.01 \
                else f"{move:.2g}"
            ax.text(j, i, told if seen.holds[axiom] else f"✗ {told}", ha="center", va="center",
                    color="white" if dark else "black", fontsize=9,
                    fontweight="normal" if seen.holds[axiom] else "bold")
        kept = seen.holds["Afriat"]
        ax.add_patch(Rectangle((len(MOVES) - 0.5, i - 0.5), 1, 1, clip_on=False, lw=0.8,
                               edgecolor="white", facecolor="white" if kept else "#e8e8e8"))
        told = "✗ none" if not kept else "one function" if seen.proof else "not refuted"
        ax.text(len(MOVES), i, told, ha="center", va="center",
                fontsize=9, fontweight="normal" if kept else "bold")
    ax.set_xticks(range(len(AXIOMS)), ["representation", "irrelevant\nalternatives", "WARP",
                                       "SARP", "Afriat:\nis there one?"])
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(found)), list(found))
    ax.set_xlim(-0.5, len(AXIOMS) - 0.5)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    # between those that have a function and those that have none
    edge = sum(seen.holds["Afriat"] for seen in found.values()) - 0.5
    ax.axhline(edge, color="white", lw=4)
    return image


def main(argv: list[str] | None = None) -> None:
    """Ask, draw, save."""
    out = folder(argv, __doc__)
    found = examined()
    figure, ax = plt.subplots(figsize=(9.6, 9.2), layout="constrained")
    image = map_of(ax, found)
    bar = figure.colorbar(image, ax=ax, shrink=0.5, pad=0.02)
    bar.set_label("largest move that the axiom forbids, $\\|w - w'\\|_2$")
    bar.outline.set_visible(False)
    ax.set_xlabel("numbers: how far a choice moves that must not; ✗: beyond doubt, and still after "
                  "ten times the steps", color=GREY, fontsize=9)
    figure.suptitle("Does one function explain what an optimiser chooses?", fontweight="bold")
    exact = sum(not seen.holds["Afriat"] for seen in found.values())
    print(f"{len(found)} methods on {sum(seen.problems for seen in found.values())} problems: "
          f"{exact} follow no function, proved by multipliers that were checked")
    save(figure, rows_of(found), "axioms", out)


if __name__ == "__main__":
    main()
