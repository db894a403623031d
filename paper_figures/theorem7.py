"""Theorem 7, seen: gradient descent on W = UUᵀ turns to the maximum margin over W ⪰ 0, tr W ≤ 1,
from any full-rank start.

    python -m paper_figures.theorem7 [--committed | --out DIR]

Source: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), §4. All is run, or solved with a certificate; the flow is integrated beside
it by other means, in NumPy and SciPy alone.
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

n, N, SEED = 5, 10, 13                                     # a seed whose direction has rank three
TIME = 40.0  # η × steps: tr W reaches some 1e57, float64 ends at 1e308
ETA = 1e-4                                                 # of the steps η/L
COARSER = 1e-2, 1e-3                                       # and those it is held against in (d)
CONSTANT, CONSTANT_STEPS = 0.01, 5_000_000
WANTED = 0.995                                             # of the maximum margin
SMOOTH, FAR = 1e3, 1e4  # tr W until which runs are held against the flow; where it ends
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS


def data() -> tuple[np.ndarray, np.ndarray]:
    """X (N, n, n), symmetric Gaussian, and the signs y (N,) that a positive semidefinite matrix of
    rank 2 gives them.
    """
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(N, n, n))
    X = (X + X.transpose(0, 2, 1)) / 2
    V = rng.normal(size=(n, 2))
    return X, np.sign(np.tensordot(X, V @ V.T))


def starts() -> dict[str, tuple[np.ndarray, str]]:
    """U(0) by name, with a colour: full rank all of them; the singular values of the last two fall
    to 1e-3 and 1e-8.
    """
    model, rng = fb.models.symmetric(n), np.random.default_rng(SEED)
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return {"0.1 I": (model.start(0.1), BLUE), "Gaussian": (model.start(0.1, rng=1), GREEN),
            "unbalanced, 1 … 1e-3": ((basis * np.geomspace(1, 1e-3, n)).ravel(), ORANGE),
            "very unbalanced, 1 … 1e-8": ((basis * np.geomspace(1, 1e-8, n)).ravel(), RED)}


def rows(steps: int) -> np.ndarray:
    """The steps to write down: spaced evenly in log t, and in t, where log W is linear in t."""
    return np.unique(np.concatenate([np.geomspace(1, steps, 200),
                                     np.linspace(0, steps, 150)]).astype(int))


@dataclass(frozen=True)
class Run:
    """A run, and what is drawn of it."""

    name: str
    colour: str
    eta: float
    trace: fb.Trace
    limit: fb.Limit

    @cached_property
    def size(self) -> np.ndarray:
        """Tr W at each row."""
        return np.asarray(np.trace(self.trace.w, axis1=1, axis2=2))

    @cached_property
    def ratio(self) -> np.ndarray:
        """The margin min y⟨W, X⟩/tr W as a fraction of the maximum."""
        return ratios(self.trace.w, self.limit)

    @cached_property
    def flow_error(self) -> float:
        """How far the flow of log L from the same start is from this, as a ratio, at equal log L up
        to tr W = SMOOTH.
        """
        use = self.size <= SMOOTH
        W = flow(self.trace.u[0], -self.trace.log_loss[use])
        return float(np.abs(ratios(W, self.limit) - self.ratio[use]).max())

    @property
    def arrival(self) -> int:
        """The first row after which the ratio stays over WANTED; beyond the last where it does
        not.
        """
        under = np.flatnonzero(self.ratio < WANTED)
        return int(under[-1]) + 1 if under.size else 0

    @property
    def log_time(self) -> float | None:
        """The log t at which constant steps would be there, about: the path is the same, and their
        loss falls like 1/t.
        """
        return -float(self.trace.log_loss[self.arrival]) if self.arrival < len(self.trace) else None


def ratios(W: np.ndarray, limit: fb.Limit) -> np.ndarray:
    """The margins of W (K, n, n) as fractions of the maximum."""
    X, y = data()
    return np.asarray((np.tensordot(W, X, ((1, 2), (1, 2))) * y).min(axis=1)
                      / np.trace(W, axis1=1, axis2=2) / limit.margin)


def flow(u: np.ndarray, log_losses: np.ndarray) -> np.ndarray:
    """W (K, n, n) on the path of gradient flow from u, where −log L has the given rising values, by
    SciPy's LSODA.

    The clock is s = −log L itself, du/ds = −∇log L/‖∇log L‖²: the path does not depend on the
    clock.
    """
    from scipy.integrate import solve_ivp
    X, y = data()
    Z = y[:, None, None] * X

    def slope(s: float, u: np.ndarray) -> np.ndarray:
        U = u.reshape(n, n)
        margins = np.tensordot(Z, U @ U.T)
        weights = np.exp(margins.min() - margins)
        gradient = 2 * (np.tensordot(weights / weights.sum(), Z, 1) @ U).ravel()
        return gradient / (gradient @ gradient)

    answer = solve_ivp(slope, (log_losses[0], log_losses[-1]), u, method="LSODA", t_eval=log_losses,
                       rtol=1e-10, atol=1e-13)
    U = answer.y.T.reshape(-1, n, n)
    return np.asarray(U @ U.transpose(0, 2, 1))


@dataclass(frozen=True)
class Figure:
    """The certified direction and all runs."""

    limit: fb.Limit
    scaled: list[Run]
    constant: list[Run]
    coarser: list[Run]

    @classmethod
    def run(cls) -> Figure:
        """Do all of it."""
        X, y = data()
        limit, model = fb.psd_margin(X, y), fb.models.symmetric(n)

        def several(names: list[str], etas: list[float], rule: Any, steps: int) -> list[Run]:
            plans = [fb.Plan(X, y, loss="exponential",
                             method=fb.methods.gradient_descent(rule(eta)), model=model,
                             start=starts()[name][0])
                     for name, eta in zip(names, etas, strict=True)]
            traces = fb.sweep(plans, steps=steps, record=rows(steps))
            return [Run(name, starts()[name][1], eta, trace, limit)
                    for name, eta, trace in zip(names, etas, traces, strict=True)]

        names = list(starts())
        return cls(limit, several(names, [ETA] * 4, fb.steps.loss_scaled, round(TIME / ETA)),
                   several(names, [CONSTANT] * 4, fb.steps.constant, CONSTANT_STEPS),
                   [several(names[1:2], [eta], fb.steps.loss_scaled, round(TIME / eta))[0]
                    for eta in COARSER])

    @cached_property
    def fluid(self) -> tuple[np.ndarray, np.ndarray]:
        """The flow from the Gaussian start: tr W and 1 − ratio."""
        run = self.scaled[1]
        s = -run.trace.log_loss[0] + np.geomspace(1e-2, FAR * self.limit.margin, 200)
        W = flow(run.trace.u[0], np.concatenate([[-run.trace.log_loss[0]], s]))
        return np.trace(W, axis1=1, axis2=2), 1 - ratios(W, self.limit)


def turning(ax: Axes, figure: Figure) -> None:
    """Draw how far the direction is from the certified one, against tr W."""
    for run in figure.scaled:
        ax.plot(run.size, run.trace.gap(figure.limit), color=run.colour, lw=2,
                label=f"$U(0)$: {run.name}")
    for run, marker in zip(figure.constant, MARKERS, strict=False):
        ax.plot(run.size[::8], run.trace.gap(figure.limit)[::8], marker, color=run.colour,
                mfc="white", ms=5, zorder=3)
    ends = max(run.size[-1] for run in figure.constant)
    ax.axvline(ends, color=GREY, lw=1, ls=(0, (4, 2.5)))
    ax.annotate(f"as far as {CONSTANT_STEPS / 1e6:g} million\nconstant steps come\n(open markers)",
                (ends, 2e-3), (5, 0), textcoords="offset points", color=GREY, va="center")
    ax.set(
        title="(a) From four starts to one direction: constant steps\ngo the same way, but not far",
        xscale="log", yscale="log", xlim=(3e-2, 1e20), ylim=(1e-4, 3), xlabel="tr $W$",
        ylabel="distance from the certified direction")
    ax.legend(loc="upper right", handlelength=1.6, handletextpad=0.6)


def climbing(ax: Axes, figure: Figure) -> None:
    """Draw what the margin lacks of the maximum against steps, for both rules."""
    for run, style in [*((run, {"lw": 1.4}) for run in figure.scaled),
                       *((run, {"lw": 2, "ls": (0, (1, 1))}) for run in figure.constant)]:
        run.trace.plot("margin gap", run.limit, ax, slopes=False, color=run.colour, label=None,
                       **style)
    for run in figure.constant:
        ax.annotate(f"tr $W$ = {run.size[-1]:.0f}", (run.trace.t[-1], 1 - run.ratio[-1]), (4, 0),
                    va="center", fontsize=9, textcoords="offset points", color=run.colour,
                    annotation_clip=False)
    ax.axhline(1 - WANTED, color=BLACK, lw=1.2, ls=(0, (4, 2.5)))
    ax.annotate(f"{WANTED} of the maximum", (1.3, 1 - WANTED), (0, -4), textcoords="offset points",
                va="top")
    ax.annotate(f"constant steps would\npass {WANTED} at about", (1.3, 0.05), va="center")
    for run, height in zip(figure.scaled, np.geomspace(0.025, 0.0075, 4), strict=True):
        if run.log_time is not None:
            ax.annotate(rf"$\log\,t$ = {float(f'{run.log_time:.1g}'):,.0f}", (1.3, height),
                        color=run.colour, va="center")
    ax.plot([], color=GREY, lw=2, label=rf"steps $\eta/L$, $\eta$ = {ETA:g}")
    ax.plot([], color=GREY, lw=2, ls=(0, (1, 1)), label=f"constant steps, {CONSTANT}")
    ax.set(
        title="(b) Steps η/L pass 0.995 of the maximum margin;\nconstant ones would need "
        "astronomic times", xlim=(1, CONSTANT_STEPS), ylim=(1e-4, 3),
        ylabel=r"$1-$margin$/\gamma$")
    ax.legend(loc="lower left", handlelength=1.8, handletextpad=0.6)


def spectra(ax: Axes, figure: Figure) -> None:
    """Draw the eigenvalues of W/tr W at the end beside those of the certified direction."""
    certified = eigenvalues(figure.limit.w)
    ax.bar(range(1, n + 1), certified, 0.8, color="#DDDDDD", ec=BLACK, lw=0.8, label="certified")
    for i, run in enumerate(figure.scaled):
        ax.plot(np.arange(1, n + 1) + 0.16 * (i - 1.5), eigenvalues(run.trace.w[-1]), MARKERS[i],
                color=run.colour, mec="white", ms=8, label=run.name)
    ax.set(
        title="(c) All four, of full rank, end at the eigenvalues of the\ncertified direction, "
        "which has rank three", xlabel="index", ylabel="eigenvalues of $W$/tr $W$",
        xticks=range(1, n + 1))
    ax.legend(loc="upper right", handletextpad=0.6)


def chatter(ax: Axes, figure: Figure) -> None:
    """Draw the margin's shortfall against tr W for three η, and for the flow."""
    run = figure.scaled[1]
    for other, colour in zip([*figure.coarser, run], (PINK, SKY, run.colour), strict=True):
        ax.plot(other.size, 1 - other.ratio, color=colour, lw=1.6,
                label=rf"steps $\eta/L$, $\eta$ = {other.eta:g}")
    ax.plot(*figure.fluid, color=BLACK, lw=1.6, ls=(0, (4, 2.5)),
            label="gradient flow, integrated by itself")
    ax.axhline(1 - WANTED, color=BLACK, lw=1.2, ls=(0, (1, 2)))
    ax.annotate(f"{WANTED}", (4e-2, 1 - WANTED), (0, -4), textcoords="offset points", va="top")
    ax.set(
        title="(d) Steps η/L follow the flow until tr W ≈ 1/η;\nbeyond, they hover O(η) below "
        "the maximum", xscale="log", yscale="log", xlim=(3e-2, 1e20), ylim=(2e-4, 3),
        xlabel="tr $W$", ylabel=r"$1-$margin$/\gamma$")
    ax.legend(loc="upper right", handlelength=2, handletextpad=0.6)


def eigenvalues(W: np.ndarray) -> np.ndarray:
    """Those of W/tr W, falling."""
    return np.asarray(np.linalg.eigvalsh(W / np.trace(W))[::-1])


def numbers(figure: Figure) -> Iterator[dict[str, Any]]:
    """Every number drawn, a row each; x is tr W in (a) and (d), t in (b), the index in (c)."""
    for rule, runs in (("η/L", figure.scaled), ("constant", figure.constant)):
        for run in runs:
            about = {"run": run.name, "steps": f"{rule}, {run.eta:g}"}
            for panel, kind, x, y in (("a", "distance", run.size, run.trace.gap(figure.limit)),
                                      ("b", "1 - margin/γ", run.trace.t, 1 - run.ratio)):
                yield from ({"panel": panel, **about, "kind": kind, "x": a, "y": b}
                            for a, b in zip(x, y, strict=True))
    for name, W in [("certified", figure.limit.w),
                    *((run.name, run.trace.w[-1]) for run in figure.scaled)]:
        yield from ({"panel": "c", "run": name, "steps": "", "kind": "eigenvalue", "x": i, "y": e}
                    for i, e in enumerate(eigenvalues(W), 1))
    drawn = [(f"η/L, {run.eta:g}", run.size, 1 - run.ratio)
             for run in (*figure.coarser, figure.scaled[1])]
    for steps, x, y in [*drawn, ("flow", *figure.fluid)]:
        yield from ({"panel": "d", "run": "Gaussian", "steps": steps, "kind": "1 - margin/γ",
                     "x": a, "y": b} for a, b in zip(x, y, strict=True))


def report(figure: Figure) -> None:
    """Print what the theorem names, how near the runs came, what constant steps would need, and how
    near the flow is.
    """
    limit = figure.limit
    print(f"{N} symmetric {n} × {n} matrices, exponential loss; max margin over W ⪰ 0, tr W ≤ 1: "
          f"γ = {limit.margin:.6f}, residual {limit.duality_gap:.0e},\neigenvalues "
          f"{np.array2string(eigenvalues(limit.w) + 0.0, precision=4)}, "
          f"{int((limit.dual > 1e-6).sum())} supports\n")
    print(f"  {'steps':>14}  {'start':26}  {'t':>9}  {'tr W':>7}  {'margin/γ':>8}  "
          f"{'distance':>8}  flow, tr W ≤ {SMOOTH:.0e}")
    for rule, runs in (("η/L", figure.scaled + figure.coarser), ("constant", figure.constant)):
        for run in runs:
            print(f"  {rule:>8} {run.eta:5g}  {run.name:26}  {run.trace.t[-1]:9,}  "
                  f"{run.size[-1]:7.0e}  {run.ratio[-1]:8.5f}  {run.trace.gap(limit)[-1]:8.1e}  "
                  f"{run.flow_error:.1e}")
    print("  flow: largest difference of margin/γ from the integrated gradient flow, at equal "
          "log L\n")
    print(f"  steps η/L, η = {ETA:g}, are over {WANTED} of the maximum, to stay, from the t "
          f"given; constant steps\n  {CONSTANT} would be there when log t is about -log L")
    for run in figure.scaled:
        where = "not reached"
        if run.log_time is not None:
            where = (f"t = {run.trace.t[run.arrival]:7,}, tr W = {run.size[run.arrival]:.0e}, "
                     f"-log L = {run.log_time:,.0f}")
        print(f"  {run.name:26}  {where}")
    print()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    result = Figure.run()
    figure, ((a, b), (c, d)) = plt.subplots(2, 2, figsize=(12.6, 9.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    turning(a, result)
    climbing(b, result)
    spectra(c, result)
    chatter(d, result)
    report(result)
    save(figure, numbers(result), "theorem7", out)


if __name__ == "__main__":
    main()
