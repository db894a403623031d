"""What a certified margin costs: seconds against rows and features, and ℓ2 beside scikit-learn,
accuracy beside time.

    python -m paper_figures.growth [--committed | --out DIR]

The numbers are those of bench/oracles.csv, which `python -m bench.oracles` measured on the machine
that bench/README.md names. Every point is certified at 1e-10, or is drawn hollow. Dashed: data that
were pushed apart, so that more rows are nearly support vectors. On the right the shortfall is 1 −
margin/maximum; one that rounding hides is drawn at the foot.
"""
from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

try:
    from bench import oracles
except ModuleNotFoundError:
    raise ModuleNotFoundError("paper_figures.growth draws what bench/ measured, which is in a "
                              "clone of fastbias, not in an installation") from None

RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
ORACLES = {"separability": (BLACK, "separable?"), "l2": (BLUE, "ℓ2"), "l1": (RED, "ℓ1"),
           "linf": (GREEN, "ℓ∞"), "l1.5": (ORANGE, "ℓ1.5")}
DASHES = {"thin": "-", "apart": "--"}
PEERS = {"fastbias": (BLUE, "o"), "LinearSVC": (ORANGE, "s"), "SVC": (PINK, "^")}
FOOT = 1e-16          # what rounding leaves of a shortfall
Cells = list[dict[str, Any]]


def curves(ax: Axes, cells: Cells, grows: str) -> None:
    """Draw seconds against N or d, a line an oracle and kind of data, the other size fixed."""
    fixed, at = ("d", oracles.FEATURES) if grows == "N" else ("N", oracles.ROWS)
    for task, (colour, label) in ORACLES.items():
        for kind, dash in DASHES.items():
            points = sorted((c[grows], c["seconds"], c["certified"]) for c in cells
                            if (c["task"], c["kind"], c[fixed]) == (task, kind, at))
            x, y, proved = zip(*points, strict=True)
            ax.plot(x, y, dash, color=colour, lw=1.5, label=label if kind == "thin" else None)
            for filled in {*proved}:
                some = [p[:2] for p in points if p[2] == filled]
                ax.plot(*zip(*some, strict=True), "o", color=colour, ms=4.5,
                        mfc=colour if filled else "white")
    ax.set(xscale="log", yscale="log", ylabel="seconds of CPU",
           xlabel="rows, $N$" if grows == "N" else "features, $d$",
           title=f"{at} features" if grows == "N" else f"{at:,} rows")
    if grows == "d":
        ax.set_xticks(x, [f"{d}" for d in x])
        ax.xaxis.set_minor_locator(NullLocator())
    ax.grid(axis="y", color="#dddddd", lw=0.6, zorder=0)


def beside(ax: Axes, cells: Cells) -> None:
    """Draw shortfall against seconds of each estimator; larger marks are larger data."""
    for name, (colour, marker) in PEERS.items():
        of = [c for c in cells if c["task"] == name]
        for size, (N, d) in enumerate(dict.fromkeys((c["N"], c["d"]) for c in of)):
            for c in (c for c in of if (c["N"], c["d"]) == (N, d)):
                thin = c["kind"] == "thin"
                ax.plot(c["seconds"], max(c["gap"], FOOT), marker, ms=5 + 3 * size, color=colour,
                        mfc=colour if thin else "white", mew=1.4)
        ax.plot([], [], marker, color=colour, label=name)
    ax.axhline(1e-10, color=GREY, lw=1, zorder=0)
    ax.annotate("what a certificate asks", (1, 1e-10), xycoords=("axes fraction", "data"),
                color=GREY, ha="right", va="bottom", fontsize=9)
    ax.set(xscale="log", yscale="log", xlabel="seconds of CPU", title="ℓ2 beside scikit-learn",
           ylabel="shortfall from the maximum margin", ylim=(FOOT / 3, 3))
    ax.plot([], [], "o", color=GREY, label="thin")
    ax.plot([], [], "o", color=GREY, mfc="white", mew=1.4, label="apart")
    ax.legend(loc="upper left", fontsize=9)


def main(argv: list[str] | None = None) -> None:
    """Read, draw, save."""
    out = folder(argv, __doc__)
    cells = oracles.read(oracles.HERE / "oracles.csv")
    figure, axes = plt.subplots(1, 3, figsize=(14.4, 4.2), layout="constrained")
    curves(axes[0], cells, "N")
    curves(axes[1], cells, "d")
    beside(axes[2], cells)
    axes[0].plot([], [], "--", color=GREY, label="apart")
    axes[0].legend(fontsize=9)
    save(figure, cells, "growth", out)


if __name__ == "__main__":
    main()
