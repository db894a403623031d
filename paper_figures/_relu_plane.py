"""Networks of two inputs, for `paper_figures.relu`: the certified one beside the trained one, the
sphere of all units, how near runs come, and what has no theorem.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes

import fastbias as fb
from paper_figures._style import BLACK, COLOURS, GREY

WIDTHS, SEEDS, SHOWN = (50, 300), (0, 1), 300
ETA, STEPS, ROWS = 5e-4, 150_000, 60
# over the root of the width: then runs of all widths are on one curve
START = 0.5
# squared loss: a run that comes here goes through the points
FITS, FIT_STEPS = np.log(1e-8), 200_000
DECAY, DECAY_STEPS = 1e-3, 200_000
HALF = 1.6
RED, GREEN = COLOURS[0], COLOURS[1]


@cache
def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A data set by name: labels ±1."""
    rng = np.random.default_rng(0)
    if name == "xor":
        X = np.array([[0, 0], [1, 1], [0, 1], [1, 0]]) * 1.6 - 0.8
        return X + 0.1 * rng.normal(size=X.shape), np.array([-1.0, -1, 1, 1])
    if name.startswith("random"):
        X = np.random.default_rng(8).normal(size=(8, 2))
        return X, np.where(np.arange(8) % 2, 1.0, -1.0)
    if name == "product":
        X = np.random.default_rng(12).normal(size=(12, 2))
        return X, np.sign(X[:, 0] * X[:, 1])
    if name == "product, d = 3":
        X = np.random.default_rng(3).normal(size=(12, 3))
        return X, np.sign(X.prod(axis=1))
    t = np.arange(9) * 2 * np.pi / 9 + 0.1 * rng.normal(size=9)
    X = np.column_stack([np.cos(t), np.sin(t)]) * (1 + 0.1 * rng.normal(size=(9, 1)))
    return np.vstack([X, [[0.05, -0.1]]]), np.append(-np.ones(9), 1.0)


@cache
def best(name: str = "ring") -> Any:
    """The certified network of the largest margin, biases counted."""
    return fb.relu.margin(*data(name))


@cache
def least(name: str) -> fb.relu.Interpolant:
    """The certified network of least cost through the labels, biases counted."""
    return fb.relu.fit(*data(name), "counted", False)


@cache
def trained(name: str, width: int, seed: int) -> fb.Trace:
    """Gradient descent on exponential losses, a homogeneous network."""
    X, y = data(name)
    model = fb.models.relu(X, width, offset=False)
    descent = fb.methods.gradient_descent(fb.steps.loss_scaled(ETA))
    return fb.run(np.eye(len(y)), y, loss="exponential", method=descent, model=model, steps=STEPS,
                  start=model.start(START / np.sqrt(width), rng=seed), record=ROWS)


def lacking(trace: fb.Trace, name: str) -> np.ndarray:
    """1 − margin/certified, of margins a unit of ½‖u‖², at each row."""
    _, y = data(name)
    return 1.0 - (trace.w * y).min(axis=1) / ((trace.u ** 2).sum(axis=1) / 2.0) / best(name).margin


@cache
def fitted(name: str, decay: float, seed: int) -> tuple[float, bool]:
    """½‖u‖² over the least cost after gradient descent on the squared loss, from a small start, or
    with weight decay; and whether it goes through the points (with decay: nearly).
    """
    X, y = data(name)
    model = fb.models.relu(X, SHOWN, offset=False)
    descent = fb.methods.gradient_descent(0.02 if decay else 0.01, weight_decay=decay)
    trace = fb.run(np.eye(len(y)), y, loss="squared", method=descent, model=model,
                   start=model.start((0.5 if decay else 0.1) / np.sqrt(SHOWN), rng=seed),
                   steps=DECAY_STEPS if decay else FIT_STEPS, record=2,
                   until=None if decay else FITS)
    u = trace.u[-1]
    a, b, c = model.split(u, len(y))
    cost = fb.relu.network(a, b, c).counted
    return cost / least(name).cost, bool(trace.log_loss[-1] <= (np.log(1e-2) if decay else FITS))


def certified(ax: Axes) -> None:
    """The certified network: heat map, decision boundary, kinks."""
    X, y = data("ring")
    _heat(ax, best().network, X, y, f"(d) Certified: the largest margin,\n{best().margin:.4f} a "
          f"unit of cost, {best().network.weights.size} units")


def run_to(ax: Axes) -> None:
    """The trained one, scaled to the same margin."""
    X, y = data("ring")
    trace = trained("ring", SHOWN, 0)
    k = int(np.argmin(lacking(trace, "ring")))
    _heat(ax, _network(trace, k), X, y, f"(e) Gradient descent, {SHOWN} units:\n"
          f"{1 - lacking(trace, 'ring')[k]:.4f} of that margin")


def _network(trace: fb.Trace, row: int) -> fb.relu.Network:
    """The network of a row, scaled to a margin of one."""
    _, y = data("ring")
    a, b, c = trace.problem.model.split(trace.u[row], len(y))
    return fb.relu.network(a / (trace.w[row] * y).min(), b, c)


def _heat(ax: Axes, f: fb.relu.Network, X: np.ndarray, y: np.ndarray, title: str) -> None:
    f.plot(ax, span=(-HALF, HALF))
    side = np.linspace(-HALF, HALF, 201)
    values = f(np.stack(np.meshgrid(side, side), axis=-1))
    ax.contour(side, side, values, [0.0], colors=BLACK, linewidths=2)
    ax.contour(side, side, values, [-1.0, 1.0], colors=BLACK, linewidths=0.8, linestyles=":")
    ax.scatter(*X.T, c=y, cmap="RdBu_r", edgecolor=BLACK, s=50, zorder=5)
    ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")


def sphere(ax: Axes) -> None:
    """The dual on all units: certified ones are where |φ| = 1, trained ones sit in these rings."""
    X, y = data("ring")
    angle, height = np.meshgrid(np.linspace(-np.pi, np.pi, 361),
                                np.linspace(-np.pi / 2, np.pi / 2, 181))
    v = np.stack([np.cos(angle) * np.cos(height), np.sin(angle) * np.cos(height), np.sin(height)],
                 axis=-1)
    phi = np.maximum(v[..., :2] @ X.T + v[..., 2:], 0.0) @ (best().dual * y) / best().margin
    shown = ax.pcolormesh(angle, height, phi, cmap="PuOr_r", vmin=-1, vmax=1, rasterized=True)
    ax.figure.colorbar(shown, ax=ax, label="$\\varphi_\\lambda$")
    for x in X:
        ax.plot(angle[0], -np.arctan(np.cos(angle[0]) * x[0] + np.sin(angle[0]) * x[1]),
                color=GREY, lw=0.5)
    trace = trained("ring", SHOWN, 0)
    dots, rings = _network(trace, int(np.argmin(lacking(trace, "ring")))), best().network
    for f, style in ((dots, {"color": GREEN, "edgecolor": "white", "lw": 0.5}),
                     (rings, {"facecolor": "none", "edgecolor": RED, "lw": 2})):
        at = np.arctan2(f.normals[:, 1], f.normals[:, 0]), \
            np.arctan2(f.shifts, np.hypot(*f.normals.T))
        size = np.abs(f.weights) * np.sqrt((f.normals ** 2).sum(axis=1) + f.shifts ** 2)
        ax.scatter(*at, s=150 if f is rings else 300 * size / size.max(), **style)
    ax.set(title="(f) All units $(b, c)$ of size one: red, certified,\n"
           "where $|\\varphi_\\lambda| = 1$; green, the trained ones",
           xlabel="angle of $b$", ylabel="$\\arctan(c/\\|b\\|)$")


def margins(ax: Axes) -> None:
    """How near runs come, by ‖u‖²."""
    for width, style in zip(WIDTHS, ("--", "-"), strict=True):
        for seed, colour in zip(SEEDS, COLOURS, strict=False):
            trace = trained("ring", width, seed)
            gap = lacking(trace, "ring")
            some = gap < 1
            ax.loglog((trace.u[some] ** 2).sum(axis=1), gap[some], style, color=colour,
                      label=f"{width} units, seed {seed}")
    ax.axhline(0.005, color=GREY, lw=0.8)
    ax.set(title="(g) Exponential loss (Chizat & Bach, under\nconditions): the margin tends to the "
           "largest",
           xlabel="$\\|u\\|^2$", ylabel="1 − margin / certified")
    ax.legend()


def interpolation(ax: Axes) -> None:
    """The squared loss, of which no theorem speaks, and explicit weight decay."""
    names = ("xor", "ring", "random labels")
    for shift, decay, colour, label in (
            (-0.2, 0.0, RED, "small start: near, no theorem"),
            (0.2, DECAY, GREEN, f"weight decay {DECAY:g}: → 1 as it → 0")):
        ax.bar(np.arange(len(names)) + shift, [fitted(name, decay, 0)[0] for name in names], 0.36,
               color=colour, label=label)
    ax.axhline(1, color=BLACK, lw=1.2, ls=(0, (4, 2)))
    ax.set(title="(h) Squared loss: cost in units\nof the least, biases counted", ylim=(0.9, None),
           xticks=np.arange(len(names)), xticklabels=names, ylabel="cost / certified")
    ax.legend(loc="upper left")


PANELS = certified, run_to, sphere, margins, interpolation


def numbers() -> Iterator[dict[str, Any]]:
    """Every number drawn of runs, a row each."""
    for width in WIDTHS:
        for seed in SEEDS:
            trace = trained("ring", width, seed)
            for u, gap in zip(trace.u, lacking(trace, "ring"), strict=True):
                yield {"panel": "g", "width": width, "scale": "", "seed": seed,
                       "kind": "1 - margin/certified", "x": float(u @ u), "y": gap}
    for name in ("xor", "ring", "random labels"):
        for decay in (0.0, DECAY):
            ratio, fits = fitted(name, decay, 0)
            kind = f"{name}, {f'decay {decay:g}' if decay else 'small start'}"
            yield {"panel": "h", "width": SHOWN, "scale": "", "seed": 0,
                   "kind": kind if fits else f"{kind}, not fitted", "x": "", "y": ratio}


def report() -> None:
    """Print how near the best row of each data set comes."""
    print("  margins of 300 units beside certified ones (best row of a run)")
    for name in ("ring", "xor", "random labels", "product", "product, d = 3"):
        print(f"  {name:16} margin {best(name).margin:.6f}, certified {best(name).certified}, "
              f"reached {1 - lacking(trained(name, SHOWN, 0), name).min():.4f}")
