"""What a step costs: seven methods at seven sizes, by fastbias, a C loop, JAX and NumPy, over the
roof of reading X once.

    python -m paper_figures.speed [--committed | --out DIR] [--measure]

The numbers are those of bench/table.csv, which `python -m bench.table` measured on the machine that
bench/README.md names; with --measure they are measured anew here, which takes minutes. The roof is
how long one core needs to read an array of that size, wherever it lies: 8·N·d bytes over the
bandwidth. Of two sizes with the same N·d, (20, 50) and (50, 20) or (100, 1000) and (1000, 100), the
wide one is drawn a little to the left, the tall one to the right.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

try:
    from bench import table
    from bench.peers import C_GRAM, FASTBIAS, JAX, METHODS, NUMPY, ROWS, SIZES, C, Method
except ModuleNotFoundError:
    raise ModuleNotFoundError("paper_figures.speed draws what bench/ measured, which is in a "
                              "clone of fastbias, not in an installation") from None

RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
STYLES: dict[str, dict[str, Any]] = {                      # in the order in which they are drawn
    NUMPY: {"color": GREY, "marker": "v", "ms": 5, "lw": 1.2},
    JAX: {"color": ORANGE, "marker": "s", "ms": 5, "lw": 1.4},
    C: {"color": BLACK, "marker": "D", "ms": 8, "lw": 1.2, "mfc": "white", "mew": 1.3},
    C_GRAM: {"color": BLACK, "marker": "D", "ms": 5, "lw": 1, "mfc": "white", "ls": ":"},
    ROWS: {"color": SKY, "marker": "o", "ms": 4.5, "lw": 1.2, "ls": "--"},
    FASTBIAS: {"color": BLUE, "marker": "o", "ms": 5, "lw": 2.2},
}
ASIDE = 1.45  # how far sizes with the same N·d are drawn from it
TITLES = {m.name: m.title.replace(", ", ",\n") for m in METHODS}
Numbers = dict[tuple[str, int, int, str], float]


def place(N: int, d: int) -> float:
    """Where a size is drawn: N·d, or beside it where another size has the same."""
    twin = (d, N) in SIZES and d != N
    return N * d * (1 if not twin else 1 / ASIDE if d > N else ASIDE)


def line(ns: Numbers, method: str, contender: str) -> tuple[np.ndarray, np.ndarray]:
    """Places and nanoseconds of a contender, from left to right."""
    at = sorted((place(N, d), value) for (name, N, d, who), value in ns.items()
                if (name, who) == (method, contender) and (N, d) in SIZES)
    return tuple(np.array(at).reshape(-1, 2).T)  # type: ignore[return-value]


def roof(ns: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """N·d and how long C takes to read so many numbers; between the sizes the bandwidth is
    interpolated.
    """
    at = sorted({(N * d, value) for (name, N, d, _), value in ns.items() if name == table.STREAM})
    size, value = np.array(at, dtype=float).reshape(-1, 2).T
    size, first = np.unique(size, return_index=True)       # of a pair the faster reading
    return size, value[first]


def panel(ax: Axes, ns: Numbers, method: Method) -> None:
    """Draw one method: a line a contender, the roof under them, and how many times C fastbias
    takes.
    """
    size, floor = roof(ns)
    ax.fill_between(size, floor, 1e-9, color="#e8e8e8", lw=0, zorder=0)
    ax.plot(size, floor, color=GREY, lw=1, zorder=1)
    for z, (contender, style) in enumerate(STYLES.items()):
        x, y = line(ns, method.name, contender)
        if x.size:
            ax.plot(x, y, zorder=3 + z, **style)
    for i, (N, d) in enumerate(SIZES):
        ours, c = (ns.get((method.name, N, d, who)) for who in (FASTBIAS, C))
        if ours and c:
            text = f"{ours / c:.1f}×" if ours / c < 9.95 else f"{ours / c:.0f}×"
            height = 0.99 - 0.07 * (i % 2)                  # in two rows, so that they stay apart
            ax.annotate(text, (place(N, d), height), xycoords=("data", "axes fraction"), color=BLUE,
                        fontsize=9, ha="center", va="top", fontweight="bold")
    ax.set(title=TITLES[method.name], xscale="log", yscale="log", xlim=(0.7, 2.8e6),
           ylim=(4, 1.2e7))
    ax.set_yticks([10, 1e3, 1e5], ["10 ns", "1 µs", "100 µs"])
    ax.xaxis.set_major_locator(LogLocator(numticks=4))
    ax.yaxis.set_minor_locator(LogLocator(numticks=9))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    ax.grid(axis="y", color="#dddddd", lw=0.6, zorder=0)


def key(ax: Axes, ns: Numbers) -> None:
    """Draw what the lines are, in the place of an eighth panel."""
    ax.axis("off")
    said = {FASTBIAS: "fastbias", ROWS: "fastbias, kept from Gram space", C: "C, one pass over X",
            C_GRAM: "C in Gram space", JAX: "JAX, jit of a fori_loop",
            NUMPY: "NumPy, a Python loop"}
    for contender, style in reversed(STYLES.items()):
        if any(who == contender for *_, who in ns):
            ax.plot([], label=said[contender], **style)
    ax.fill_between([], [], color="#e8e8e8", label="roof: X cannot be read faster")
    ax.plot([], " ", label="1.0×", marker="$1.0×$", ms=22, color=BLUE)
    handles, labels = ax.get_legend_handles_labels()
    labels[labels.index("1.0×")] = "fastbias / C"
    ax.legend(handles, labels, loc="center left", fontsize=11, handlelength=2.4, handletextpad=0.8,
              labelspacing=0.9, bbox_to_anchor=(-0.08, 0.5))


def numbers(ns: Numbers) -> Iterator[dict[str, Any]]:
    """Every number drawn, a row each."""
    for method in METHODS:
        for contender in STYLES:
            for N, d in SIZES:
                if (value := ns.get((method.name, N, d, contender))) is not None:
                    c = ns.get((method.name, N, d, C))
                    yield {"method": method.name, "N": N, "d": d, "contender": contender,
                           "ns": value,
                           "ratio to C": f"{value / c:.3g}" if c else ""}
    for size, value in zip(*roof(ns), strict=True):
        yield {"method": table.STREAM, "N": "", "d": "", "contender": f"{size:.0f} numbers",
               "ns": value, "ratio to C": ""}


def report(ns: Numbers) -> None:
    """Print, for each method, how many times C fastbias takes, and how many times fastbias the
    others.
    """
    print(f"  {'':24} {'fastbias / C':>24} {'JAX / fastbias':>24} {'NumPy / fastbias':>24}")
    for method in METHODS:
        words = []
        for above, under in ((FASTBIAS, C), (JAX, FASTBIAS), (NUMPY, FASTBIAS)):
            pairs = [(ns.get((method.name, *size, above)), ns.get((method.name, *size, under)))
                     for size in SIZES]
            ratios = [a / b for a, b in pairs if a and b]
            words.append(f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "–")
        print(f"  {method.name:24} {words[0]:>24} {words[1]:>24} {words[2]:>24}")
    print(f"  {table.roof(ns)}\n")


def main(argv: list[str] | None = None) -> None:
    """Read or measure, draw, tell, save."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--measure", action="store_true")
    given, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    out = folder(rest, __doc__)
    if given.measure:
        with tempfile.TemporaryDirectory() as measured:
            table.main(["--out", measured])
            ns = table.read(Path(measured) / "table.csv")
    else:
        ns = table.read(table.HERE / "table.csv")
    figure, axes = plt.subplots(2, 4, figsize=(14.4, 6.8), layout="constrained", sharex=False)
    for ax, method in zip(axes.flat, METHODS, strict=False):
        panel(ax, ns, method)
    key(axes[1, 3], ns)
    for ax in axes[1, :3]:
        ax.set_xlabel("size of X, $N·d$")
    axes[0, 3].set_xlabel("size of X, $N·d$")
    for ax in axes[:, 0]:
        ax.set_ylabel("time per step")
    report(ns)
    save(figure, numbers(ns), "speed", out)


if __name__ == "__main__":
    main()
