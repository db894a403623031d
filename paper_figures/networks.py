"""Linear networks of different shape on the same signals: each picks a predictor that is simple in
another sense.

    python -m paper_figures.networks [--committed | --out DIR]

Source: Gunasekar, Lee, Soudry, Srebro, "Implicit Bias of Gradient Descent on Linear Convolutional
Networks" (2018b), Theorems 1 and 2. Exponential loss; fully connected networks go to the ℓ2 maximum
margin, convolutional ones to stationary points of ‖DFT w‖_{2/L}, diagonal ones to stationary points
of ‖w‖_{2/L}: maximum margins for L = 2. No result is stored: stems and lines come from running,
rings from solving, dots from integrating the flow with SciPy.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import fastbias as fb
from fastbias.solvers.kkt import kkt_residual
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, YELLOW, folder, save

N, D, SEED = 10, 16, 7                                     # ten signals of length 16
WAVE, PULSE, HEIGHT, NOISE = 3, 10, 0.8, 0.5  # what all of them share, and what they do not
SMALL, DRAW = 0.5, 1  # starts: the scaled identity, and Gaussian ones with their seed
DELTA = 1e-5  # about how far a step moves u, relative to u
FAR = 1e20                                                 # runs end where log L is under −FAR
MATCHED = 10.0, 100.0, 1000.0  # −log L at which runs are held against the flow
ROWS = 3000
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS


@cache
def data() -> tuple[np.ndarray, np.ndarray]:
    """Signals X (N, d) and labels y of alternating sign: y x is a wave and a pulse, the same for
    all, and noise.
    """
    rng = np.random.default_rng(SEED)
    wave = np.cos(2 * np.pi * WAVE * np.arange(D) / D)
    z = NOISE * rng.normal(size=(N, D)) + HEIGHT * np.sqrt(2 / D) * wave
    z[:, PULSE] += HEIGHT
    y = 1 - 2 * (np.arange(N) % 2)
    return y[:, None] * z, y


@fb.piece(fb.abi.RULE)
def _relative(params, k, s, log_loss):  # type: ignore[no-untyped-def]
    return params[0] * np.exp(s - log_loss) / max(1.0, -log_loss) ** params[1]


def relative(delta: float, depth: int) -> fb.steps.StepRule:
    """η_k = δ/(L max(1, −log L)^{1 − 2/depth}), which moves u by about δ‖u‖ a step; for depth 2 it
    is δ/L, loss-scaled.

    For depth > 2 steps η/L alone move u by η‖u‖^{depth − 2}, relatively, and their flow reaches
    infinity in finite time.
    """
    if depth == 2:
        return fb.steps.loss_scaled(delta)
    return fb.steps.StepRule("relative", _relative, np.array([delta, 1 - 2 / depth]), loss=True,
                             monotone=True)


@dataclass(frozen=True)
class Run:
    """Gradient descent on one network from one start, and how to draw it."""

    name: str
    model: fb.models.Model
    colour: str
    scale: float = SMALL
    rng: int | None = None

    @property
    def norm(self) -> fb.norms.Norm | None:
        """The norm whose margin it maximises; None where that is only stationary."""
        return None if self.model.bias is None else self.model.bias((D,))

    @property
    def depth(self) -> int:
        """Its layers."""
        return self.model.degree

    @cached_property
    def start(self) -> np.ndarray:
        """u(0): the scaled identity, or Gaussian."""
        return np.asarray(self.model.start(self.scale, rng=self.rng, size=D))

    @property
    def begun(self) -> str:
        """From where, in words."""
        return f"Gaussian, {self.scale:g}" if self.rng else f"identity, {self.scale:g}"

    @cached_property
    def trace(self) -> fb.Trace:
        """Where it goes, with a row at each of the losses where the flow is asked too."""
        method = fb.methods.gradient_descent(relative(DELTA, self.depth))
        plan = fb.Plan(*data(), loss="exponential", method=method, model=self.model,
                       start=self.start)
        parts = [plan.run(10_000_000, until=-T, record=ROWS) for T in (*MATCHED, FAR)]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.join(part)
        return whole

    @cached_property
    def limit(self) -> fb.Limit | None:
        """The maximum margin that theory names, certified."""
        return None if self.norm is None else fb.max_margin(*data(), self.norm)

    @cached_property
    def star(self) -> np.ndarray | None:
        """Its direction, of length one."""
        return None if self.limit is None else self.limit.w / np.linalg.norm(self.limit.w)

    @cached_property
    def slower(self) -> float | None:
        """How much slower the next entry (frequency) grows than those of the maximum margin, from
        its certificate; L = 2.

        Entry j of a diagonal network grows like exp(2τ|g_j|), g = Σ λ_n y_n x_n at the optimal λ:
        so the largest |g_j| is that of the support, γ, and what is off it falls like ‖w‖^(|g_j|/γ −
        1). For convolutions the same with |ĝ_k|/d.
        """
        if self.depth > 2 or self.limit is None or self.limit.norm is None:
            return None
        g = self.limit.dual @ signed()
        pull = np.sort(np.abs(g) if self.model.name.startswith("diagonal") else spectrum(g)
                       / D) / self.limit.margin
        return float(pull[pull < 1 - 1e-6][-1])

    @cached_property
    def w(self) -> np.ndarray:
        """The direction where it ends, of length one."""
        return self.trace.w[-1] / np.linalg.norm(self.trace.w[-1])

    @cached_property
    def far(self) -> np.ndarray:
        """−log L of the rows that are drawn, about the least margin: spaced evenly in its
        logarithm.
        """
        return -self.trace.log_loss[self.drawn]

    @cached_property
    def drawn(self) -> np.ndarray:
        """Which rows: the first past each of 20 values a decade."""
        far = -self.trace.log_loss
        return np.unique(np.searchsorted(far, np.geomspace(3, far[-1], 20 * int(np.log10(FAR)))))

    def shortfall(self, w: np.ndarray) -> np.ndarray:
        """1 − margin/γ of predictors w (K, d)."""
        assert self.norm is not None
        assert self.limit is not None
        return np.asarray(1 - (w @ signed().T).min(axis=1) / self.norm(w) / self.limit.margin)

    def residual(self, u: np.ndarray) -> float:
        """How far u is from the KKT conditions of min ‖u‖² subject to margins ≥ 1, once scaled to a
        least margin of one.
        """
        H = np.array([self.model.pull(u, z) for z in signed()])
        return float(kkt_residual(u, H, signed() @ self.model.predictor(u, D), self.depth)[0])

    def measured(self, u: np.ndarray) -> np.ndarray:
        """What its panel shows of parameters u (K, n): the shortfall of the margin, or the KKT
        residual.
        """
        if self.norm:
            return self.shortfall(self.model.predictor(u, D))
        return np.array([self.residual(row) for row in u])

    @cached_property
    def series(self) -> np.ndarray:
        """That at the rows drawn."""
        return self.measured(self.trace.u[self.drawn])

    @property
    def last(self) -> float:
        """The largest of it over the last factor ten of −log L: steps of finite length leave it
        trembling.
        """
        return float(self.series[self.far >= self.far[-1] / 10].max())

    @cached_property
    def at(self) -> np.ndarray:
        """The parameters u (3, n) of the run where log L passes −10, −100, −1000."""
        return self.trace.u[np.searchsorted(-self.trace.log_loss, MATCHED)]

    @cached_property
    def flow(self) -> np.ndarray:
        """The parameters u (3, n) of the flow du/dτ = −∇ log L(u) at the same losses, by an ODE
        solver.
        """
        from scipy.integrate import solve_ivp
        Z = signed()

        def field(tau: float, u: np.ndarray) -> np.ndarray:
            return self.model.pull(u, np.exp(-Z @ self.model.predictor(u, D) - log_loss(u)) @ Z)

        def log_loss(u: np.ndarray) -> float:
            return float(np.logaddexp.reduce(-Z @ self.model.predictor(u, D)))

        def passing(T: float) -> Any:
            def event(tau: float, u: np.ndarray) -> float:
                return log_loss(u) + T
            event.terminal = MATCHED[-1] == T              # type: ignore[attr-defined]
            return event
        answer = solve_ivp(field, (0, 1e6), self.start, method="LSODA", rtol=1e-10, atol=1e-12,
                           events=[passing(T) for T in MATCHED])
        return np.array([found[0] for found in answer.y_events])

    @property
    def differences(self) -> np.ndarray:
        """How far run and flow are apart in margin ratio and KKT residual, (2,), at most over the
        three losses.
        """
        pairs = [[self.residual(u) for u in us] for us in (self.at, self.flow)]
        ratios = [self.shortfall(self.model.predictor(us, D)) if self.norm else np.zeros(3)
                  for us in (self.at, self.flow)]
        return np.array([np.abs(a - b).max() for a, b in (ratios, np.array(pairs))])


def signed() -> np.ndarray:
    """The rows y_n x_n (N, d)."""
    X, y = data()
    return np.asarray(y[:, None] * X)


PANELS = [Run("fully connected, L = 5", fb.models.deep_linear(5, width=4), RED),
          Run("convolutional, L = 2", fb.models.convolutional(2), BLUE),
          Run("convolutional, L = 5", fb.models.convolutional(5), SKY),
          Run("diagonal, L = 2", fb.models.diagonal(2, signed=True), GREEN),
          Run("diagonal, L = 5", fb.models.diagonal(5, signed=True), ORANGE)]
BETWEEN = [Run("convolutional, L = 3", fb.models.convolutional(3), BLUE),
           Run("diagonal, L = 3", fb.models.diagonal(3, signed=True), GREEN)]
CONVEX = [run for run in PANELS if run.norm]
STATIONARY = [BETWEEN[0], PANELS[2], BETWEEN[1], PANELS[4]]
UNBALANCED = [Run(run.name, run.model, run.colour, 1.0, DRAW) for run in CONVEX]
TOLD = [Run("fully connected, L = 2", fb.models.deep_linear(2), PINK), *CONVEX, *STATIONARY,
        *UNBALANCED,
        *(Run(run.name, run.model, run.colour, 0.1, DRAW) for run in CONVEX[1:])]
DASHES = (0, (3, 1.5))
FLOW: dict[str, Any] = {"ls": "", "marker": "o", "color": YELLOW, "mec": BLACK, "ms": 6,
                        "zorder": 4}
MINIMISED = {"fully connected": r"$\|w\|_2$", "convolutional": r"$\|\mathrm{DFT}\,w\|_{2/L}$",
             "diagonal": r"$\|w\|_{2/L}$"}


def stems(ax: Axes, run: Run, values: np.ndarray, solved: np.ndarray | None) -> None:
    """Draw one predictor, the run's as stems and the solved one as rings."""
    k = np.arange(values.size)
    ax.axhline(0, color=GREY, lw=0.6)
    ax.vlines(k, 0, values, color=run.colour, lw=2.4)
    ax.plot(k, values, "o", color=run.colour, ms=5.5)
    if solved is not None:
        ax.plot(k, solved, "o", mfc="none", mec=BLACK, mew=1.1, ms=9.5)


def predictors(axes: np.ndarray) -> None:
    """Draw each network's predictor as a signal (above) and by its frequencies (below), of unit
    length.
    """
    for letter, (above, below), run in zip("abcde", axes.T, PANELS, strict=True):
        stems(above, run, run.w, run.star)
        stems(below, run, spectrum(run.w), None if run.star is None else spectrum(run.star))
        power = "1" if run.depth == 2 else f"2/{run.depth}"
        kind = MINIMISED[run.name.split(",")[0]].replace("2/L", power)
        goal = f"to the least {kind}" if run.norm else f"stationary point of {kind}"
        above.set_title(f"({letter}) {run.name}\n{goal}", color=run.colour)
        said = f"KKT residual\nat most {run.last:.0e}"
        if run.norm:
            said = f"at least {np.floor(1e4 * (1 - run.last)) / 1e4:.4f} of\nthe maximum margin"
        above.annotate(said, (0.03, 0.03), xycoords="axes fraction", va="bottom", fontsize=9.5)
        above.set(ylim=(-1.3, 0.95), xticks=range(0, D, 5), xlabel="coordinate $j$")
        below.set(ylim=(-0.12, 3.1), xticks=range(0, D // 2 + 1, 2), xlabel="frequency $k$")
    axes[0, 0].set_ylabel("$w_j$")
    axes[1, 0].set_ylabel(r"$|\mathrm{DFT}\,w|_k$")
    axes[1, 0].plot([], "o", color=GREY, ms=5.5, label="end of the run")
    axes[1, 0].plot([], "o", mfc="none", mec=BLACK, mew=1.1, ms=9.5,
                    label="maximum margin, solved\n(none in (c), (e))")
    axes[1, 0].legend(loc="upper right", borderaxespad=0)


def spectrum(w: np.ndarray) -> np.ndarray:
    """The magnitude at each frequency up to the highest, (d/2 + 1,)."""
    return np.asarray(np.abs(np.fft.rfft(w)))


def climbing(ax: Axes) -> None:
    """Draw what the margin lacks of its maximum against −log L, from balanced and from Gaussian
    starts.
    """
    for run in (*CONVEX, *UNBALANCED):
        ax.plot(run.far, run.series, color=run.colour, lw=2, ls=DASHES if run.rng else "-",
                zorder=3)
        ax.plot(MATCHED, run.measured(run.flow), **FLOW)
    for run, first, beside in ((CONVEX[1], 1e15, 0.6), (UNBALANCED[2], 1e9, 1.7)):
        assert run.slower is not None
        slope(ax, run, run.slower - 1, f"{run.slower - 1:.2f}", first, beside)
    ax.axhline(1 - 0.995, color=GREY, lw=0.8, ls=":")
    ax.annotate("0.995 of the maximum", (0.99, 0.0054), xycoords=("axes fraction", "data"),
                ha="right", color=GREY)
    ax.set(title="(f) The maximum margin is reached, from some starts slowly", xscale="log",
           yscale="log", ylim=(1e-6, 1.3), xlabel=r"$-\log L$, about the least margin",
           ylabel=r"shortfall $1-$margin$/\gamma$")
    networks = [Line2D([], [], color=run.colour, lw=2.5, label=run.name) for run in CONVEX]
    kinds = [Line2D([], [], color=GREY, lw=2, label=f"from {SMALL:g} times the identity"),
             Line2D([], [], color=GREY, lw=2, ls=DASHES, label="from Gaussian weights, σ = 1"),
             Line2D([], [], **FLOW, label="gradient flow at the same loss")]
    ax.add_artist(ax.legend(handles=networks, title="network", loc="upper right",
                            bbox_to_anchor=(0.62, 1.02), alignment="left"))
    ax.legend(handles=kinds, title="start", loc="upper right", bbox_to_anchor=(1.04, 1.02),
              alignment="left")


def slope(ax: Axes, run: Run, power: float, name: str, first: float, beside: float) -> None:
    """Draw a power of ‖w‖ beside a run's series, over four decades from the first."""
    x = first * np.array([1, 1e4])
    y = beside * run.series[np.searchsorted(run.far, first)] * np.array([1, 1e4]) ** power
    ax.plot(x, y, color=BLACK, lw=1, ls=(0, (5, 2)), zorder=4)
    ax.annotate(rf"$\|w\|^{{{name}}}$", (np.sqrt(x.prod()), np.sqrt(y.prod())), (3, 1) if beside > 1
                else (-3, -1), ha="left" if beside > 1 else "right", va="bottom" if beside > 1
                else "top", textcoords="offset points", fontsize=11)


def settling(ax: Axes) -> None:
    """Draw the KKT residual of the deeper networks against −log L, and its slope.

    Entries (frequencies) off the support come to rest, while the others of u go on growing like
    ‖w‖^{1/L}.
    """
    for run in STATIONARY:
        ax.plot(run.far, run.series, color=run.colour, lw=2, ls=(0, (1, 0.8)) if run.depth == 3
                else "-", label=run.name)
        ax.plot(MATCHED, run.measured(run.flow), **FLOW)
    for run, first in zip(STATIONARY[2:], (1e6, 1e8), strict=True):
        slope(ax, run, -1 / run.depth, f"-1/{run.depth}", first, 1.5)
    ax.set(title="(g) Deeper networks: stationary points only", xscale="log", yscale="log",
           xlabel=r"$-\log L$, about the least margin", ylabel="KKT residual", ylim=(1e-6, 1.3))
    ax.annotate("steps of finite length jitter", (0.82, 0.02), xycoords="axes fraction",
                ha="right", color=GREY)
    ax.plot([], [], **FLOW, label="gradient flow at the same loss")
    ax.legend(loc="lower left", title="network", alignment="left")


def numbers() -> Iterator[dict[str, Any]]:
    """Every number drawn, a row each."""
    for run in PANELS:
        for kind, w in (("run", run.w),
                        *([] if run.star is None else [("maximum margin", run.star)])):
            yield from ({"panel": "signal", "run": run.name, "kind": kind, "x": j, "y": y}
                        for j, y in enumerate(w))
            yield from ({"panel": "frequency", "run": run.name, "kind": kind, "x": k, "y": y}
                        for k, y in enumerate(spectrum(w)))
    for run in (*CONVEX, *UNBALANCED, *STATIONARY):
        panel = "shortfall" if run.norm else "KKT residual"
        kind = run.begun
        yield from ({"panel": panel, "run": run.name, "kind": kind, "x": x, "y": y}
                    for x, y in zip(run.far, run.series, strict=True))
        yield from ({"panel": panel, "run": run.name, "kind": f"{kind}, flow", "x": x, "y": y}
                    for x, y in zip(MATCHED, run.measured(run.flow), strict=True))


def report() -> None:
    """Print for each run how near it came, and how far from the flow it is on the way."""
    print(f"{N} signals of length {D}, exponential loss, steps δ/(L max(1, −log L)^(1 − "
          f"2/depth)), δ = {DELTA:g}, to log L = −{FAR:g}\n")
    print("  margin ratio and KKT residual: the worst of the last factor ten of -log L; run - "
          f"flow: the most over log L = {', '.join(f'-{T:g}' for T in MATCHED)}\n")
    print(f"  {'network':24}{'start':>14}  {'updates':>8}  {'norm':>8}  {'certificate':>11}  "
          f"{'of the maximum':>14}  {'at log L = -1e4':>15}  {'KKT':>7}  run - flow: ratio, KKT")
    for run in TOLD:
        name = certificate = ratio = middle = ""
        if run.norm is not None and run.limit is not None:
            name, certificate = run.norm.name, f"{run.limit.duality_gap:.0e}"
            ratio = f"{1 - run.last:.5f}"
            middle = f"{1 - run.series[np.searchsorted(run.far, 1e4)]:.5f}"
        ends = run.trace.u[run.drawn][run.far >= run.far[-1] / 10]
        print(f"  {run.name:24}{run.begun:>14}  {run.trace.t[-1]:8}  {name:>8}  "
              f"{certificate:>11}  {ratio:>14}  {middle:>15}  {max(map(run.residual, ends)):7.1e} "
              f" {', '.join(f'{x:.0e}' for x in run.differences)}")
    print()


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    figure = plt.figure(figsize=(14.5, 10.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.45, 1], hspace=0.04)
    predictors(top.subplots(2, len(PANELS), sharey="row", gridspec_kw={"height_ratios": [1.15, 1]}))
    left, right = bottom.subplots(1, 2)
    climbing(left)
    settling(right)
    report()
    save(figure, numbers(), "networks", out)


if __name__ == "__main__":
    main()
