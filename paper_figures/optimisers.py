"""Five optimisers to t = 10^100 on the same data: gradient, sign and coordinate descent, Muon, Adam
with its ε.

    python -m paper_figures.optimisers [--committed | --out DIR]

Sources: Gunasekar, Lee, Soudry, Srebro (ICML 2018), Theorem 5 and its proof; Soudry et al. (2018);
Fan, Schmidt, Thrampoulidis (2025) for momentum in normalised steps; Wang et al. (2021) for Adam
with ε. Every limit is solved and certified by `fb.max_margin`.

Up to t = 10^6 all are runs. From there on gradient descent and Adam are fast-forwarded. The others
slide along ties, where no smooth field follows them, so what is drawn is a bound that is proved:
1 − margin/γ is no larger. log L = log Σ e^−m is B²-smooth, B the longest sample in the dual norm,
and ‖∇log L‖⋆ ≥ γ, so from where a run stands at T (L_T, w_T)

- moves of length η_t in the norm, with momentum μ in the gradient: −log L grows by at least γη −
  (½ + 2√2 κ)B²η² a step, κ → μ/(1 − μ), since a mean of past gradients is off by what they have
  turned since, B²‖Δw‖, twice; while ‖w‖ grows by at most η (`normalised`);
- moves η‖∇L‖⋆, h = ηB²L_T < 1: m = −log L has γ‖w‖ ≤ m + K, K = γ‖w_T‖ + log L_T + c, c =
  h²/((2 − h)(1 − e^−h)) what all squares to come add up to, and 1/L ≥ 1/L_T + ηγ²(1 − ½h)(t − T),
  so that 1 − margin/γ ≤ K/(m + K) (`constant`).

Both are of the iteration itself, without rounding; gradients of more than t/2 steps ago, which
weigh under 0.95^(t/2), are left out of the first.

The margins in other norms than their own are drawn up to 10^6 for these three; marks on the right
are those of the limits. No result is stored.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

import fastbias as fb
from fastbias.pieces.methods import Method
from fastbias.pieces.norms import Norm
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

FAR = 100.0                              # log10 t at the end
STEPS = 10 ** 6                          # of the runs
N, SIDE, SEED = 12, 3, 4                 # samples, which are matrices, since Muon's weights are
ETA, MOMENTUM = 0.1, 0.95                # of moves of length η/√t; of Muon
RATE, EPS = 0.01, 1e-8                   # of Adam
TICKS = 0, 1, 4, 10, 25, 50, 100         # of log10 t
RED, GREEN, PINK, ORANGE, *_ = COLOURS
NORMS: dict[str, Norm] = {"ℓ2": fb.norms.l2, "ℓ∞": fb.norms.linf, "ℓ1": fb.norms.l1,
                          "spectral": fb.norms.spectral(SIDE, SIDE)}
LINES = {"ℓ2": (BLUE, "-"), "ℓ∞": (RED, "--"), "ℓ1": (GREEN, "-."), "spectral": (ORANGE, ":")}
Bound = Callable[["Run", np.ndarray], np.ndarray]


def matrices() -> tuple[np.ndarray, np.ndarray]:
    """X (N, SIDE, SIDE), and the signs y of a hidden linear function."""
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(N, SIDE, SIDE))
    return X, np.sign((X * rng.normal(size=(SIDE, SIDE))).sum((1, 2)))


X, Y = matrices()


@dataclass(frozen=True, eq=False)
class Run:
    """An optimiser, the norm whose maximum margin is its end, and what continues its run."""

    name: str
    method: Method
    norm: str
    colour: str
    marker: str
    bound: Bound | None = None           # of 1 − margin/γ at log t, from STEPS on
    steps: int = STEPS

    @property
    def plan(self) -> fb.Plan:
        """A plan that stands at t = 0."""
        return fb.Plan(X, Y, loss="exponential", method=self.method)

    @cached_property
    def exact(self) -> fb.Trace:
        """Where actual steps go."""
        return self.plan.run(self.steps, record=120)

    @cached_property
    def whole(self) -> fb.Trace:
        """The same, and what is fast-forwarded from there on, where anything is."""
        if self.bound is not None:
            return self.exact
        far = np.log(10) * np.linspace(np.sqrt(np.log10(self.steps)), np.sqrt(FAR), 120)[1:] ** 2
        return self.exact.join(self.plan.fast_forward(far[-1], record=far))

    @property
    def gamma(self) -> float:
        """The maximum margin in its norm."""
        return LIMITS[self.norm].margin

    @property
    def longest(self) -> float:
        """B, the longest sample in the dual norm."""
        return float(NORMS[self.norm].dual(X.reshape(N, -1)).max())

    @property
    def stands(self) -> tuple[float, float]:
        """log L and ‖w‖ after the actual steps."""
        return float(self.exact.log_loss[-1]), float(NORMS[self.norm](self.exact.w[-1].ravel()))

    def gap(self) -> tuple[np.ndarray, np.ndarray]:
        """log10 t, and 1 − margin/γ in its own norm."""
        seen = self.whole.log_t >= 0
        values = 1.0 - self.whole.margin(NORMS[self.norm]) / self.gamma
        return self.whole.log_t[seen] / np.log(10), values[seen]

    def proved(self) -> tuple[np.ndarray, np.ndarray]:
        """log10 t from the end of the actual steps on, and what 1 − margin/γ is at most."""
        assert self.bound is not None
        x = np.linspace(np.sqrt(np.log10(self.steps)), np.sqrt(FAR), 120) ** 2
        return x, self.bound(self, np.log(10) * x)


def normalised(momentum: float) -> Bound:
    """The bound for moves of length η/√t in the norm, with momentum in the gradient."""
    def bound(run: Run, log_t: np.ndarray) -> np.ndarray:
        log_loss, size = run.stands
        # sums of η/√k by their integrals: of lengths a lower, of squares an upper bound
        later, root = log_t - np.log(run.steps), np.sqrt(run.steps)
        length = np.maximum(ETA * (2 * root * np.expm1(0.5 * later) - 1 / root), 0)
        squares = ETA ** 2 * later
        # steps in memory are at most √2 times the present one, and L no more than e^(Bη) apart
        B, eta = run.longest, np.sqrt(2) * ETA / root
        left = momentum * np.exp(B * eta)
        lag = (1 - momentum * np.exp(-B * eta)) * left / (1 - left) ** 2
        missing = run.gamma * size + log_loss + (0.5 + 2 * np.sqrt(2) * lag) * B ** 2 * squares
        return np.asarray(missing / (run.gamma * (size + length)))
    return bound


def constant(run: Run, log_t: np.ndarray) -> np.ndarray:
    """The bound for moves η‖∇L‖⋆ at a constant η, eq. (11)."""
    log_loss, size = run.stands
    share = run.plan.problem.rule(0) * run.longest ** 2 * np.exp(log_loss)      # ηB²L_T
    K = run.gamma * size + log_loss - share ** 2 / (2 - share) / np.expm1(-share)
    later = np.expm1(log_t - np.log(run.steps)) * run.steps                     # t − T
    speed = run.plan.problem.rule(0) * run.gamma ** 2 * (1 - 0.5 * share)
    m = np.logaddexp(-log_loss, np.log(np.maximum(speed * later, 1e-300)))
    return np.asarray(K / (m + K))


LIMITS = {name: fb.max_margin(X, Y, norm) for name, norm in NORMS.items()}
SLOW = fb.steps.power(ETA, 0.5)


def admitted(norm: str) -> float:
    """½/(B² L(0)), half of what Theorem 5 admits."""
    return float(0.5 / (N * NORMS[norm].dual(X.reshape(N, -1)).max() ** 2))


RUNS = (
    Run("gradient descent", fb.methods.gradient_descent(admitted("ℓ2")), "ℓ2", BLUE, "o"),
    Run("sign descent, η/√t", fb.methods.sign_descent(SLOW), "ℓ∞", RED, "s", normalised(0.0)),
    Run("coordinate descent", fb.methods.coordinate_descent(admitted("ℓ1")), "ℓ1", GREEN, "^",
        constant),
    Run(f"Muon, momentum {MOMENTUM}, η/√t", fb.methods.muon(SLOW, MOMENTUM), "spectral", ORANGE,
        "D", normalised(MOMENTUM)),
    Run("Adam, ε = 10⁻⁸", fb.methods.adam(RATE, eps=EPS), "ℓ2", PINK, "v"))

Row = dict[str, Any]


def margins(ax: Axes, run: Run) -> list[Row]:
    """Of one optimiser the margin in each norm, over the largest there is in that norm."""
    rows, trace = [], run.whole
    seen = trace.log_t >= 0
    x = trace.log_t[seen] / np.log(10)
    for name, norm in NORMS.items():
        colour, dash = LINES[name]
        own, best = name == run.norm, LIMITS[name].margin
        y = trace.margin(norm)[seen] / best
        ax.plot(x, y, dash, color=colour, lw=2.6 if own else 1.3, zorder=4 if own else 3)
        w = LIMITS[run.norm].w.ravel()
        end = float((Y * (X.reshape(N, -1) @ w)).min() / norm(w) / best)
        ax.plot(FAR, end, "o", color=colour, ms=6 if own else 4.5, clip_on=False, zorder=6)
        rows += [{"panel": run.name, "line": name, "kind": "run" if a <= np.log10(run.steps)
                  else "fast-forward", "log10 t": a, "y": b} for a, b in zip(x, y, strict=True)]
        rows.append({"panel": run.name, "line": name, "kind": "limit", "log10 t": FAR, "y": end})
    if run.bound is not None:
        x, most = run.proved()
        ax.fill_between(x, 1 - most, 1, color=LINES[run.norm][0], alpha=0.25, lw=0, zorder=2)
        ax.plot(x, 1 - most, color=LINES[run.norm][0], lw=1, zorder=2)
        rows += [{"panel": run.name, "line": run.norm, "kind": "at least", "log10 t": a, "y": 1 - b}
                 for a, b in zip(x, most, strict=True)]
    ax.set(title=f"{run.name}\n→ {run.norm} maximum margin", ylim=(0, 1.04))
    return rows


def gaps(ax: Axes) -> list[Row]:
    """How far each is from its end, and what is proved of it."""
    rows = []
    for run in RUNS:
        x, y = run.gap()
        ax.plot(x, y, "-", color=run.colour, lw=1.8, marker=run.marker, markevery=0.11, ms=5,
                label=run.name)
        rows += [{"panel": "gap", "line": run.name, "kind": "run" if a <= np.log10(run.steps)
                  else "fast-forward", "log10 t": a, "y": b} for a, b in zip(x, y, strict=True)]
        if run.bound is not None:
            x, most = run.proved()
            ax.plot(x, most, ls=(0, (3, 2)), color=run.colour, lw=1.6, marker=run.marker,
                    markevery=0.17, ms=5, mfc="white")
            rows += [{"panel": "gap", "line": run.name, "kind": "at most", "log10 t": a, "y": b}
                     for a, b in zip(x, most, strict=True)]
    ax.set(title="How far each is from its own maximum", yscale="log",
           ylabel=r"$1-$margin$/\gamma$ in its own norm", ylim=(1e-49, 3))
    ax.plot([], [], ls=(0, (3, 2)), color=GREY, label="proved: at most")
    ax.legend(loc="lower left", fontsize=8.5, frameon=True, framealpha=1, edgecolor="none")
    return rows


def report() -> None:
    """Print where each stands at the end, and what certifies it."""
    for run in RUNS:
        limit = LIMITS[run.norm]
        told, (_, y) = ("", run.gap()) if run.bound is None else ("at most ", run.proved())
        print(f"{run.name}: 1 − margin/γ at 10^{FAR:g} is {told}{y[-1]:.2g}; γ = "
              f"{limit.margin:.12g} in {run.norm}, certified = {limit.certified}, gap "
              f"{limit.duality_gap:.1e}")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, save."""
    out = folder(argv, __doc__)
    if not all(limit.certified for limit in LIMITS.values()):
        raise ArithmeticError("a maximum margin is not certified")
    figure, axes = plt.subplots(2, 3, figsize=(14, 8.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    rows = [row for ax, run in zip(axes.flat, RUNS, strict=False) for row in margins(ax, run)]
    rows += gaps(axes.flat[5])
    for ax in axes.flat:
        ax.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
        ax.set(xlim=(0, FAR), xlabel=r"$\log_{10} t$ (by its square root)")
        ax.set_xticks(TICKS)
        ax.axvspan(0, np.log10(STEPS), color="#eeeeee", lw=0, zorder=0)
        ax.axvline(np.log10(STEPS), color=GREY, lw=0.8, zorder=1)
    for ax in axes[:, 0]:
        ax.set_ylabel("margin / largest in the norm")
    axes[1, 1].set_ylabel("margin / largest in the norm")
    key = [Line2D([], [], color=colour, ls=dash, lw=2) for colour, dash in LINES.values()]
    key += [Line2D([], [], color="#dddddd", lw=8), Line2D([], [], color=BLACK, ls="", marker="o"),
            Line2D([], [], color=GREY, alpha=0.4, lw=8)]
    figure.legend(key, [*(f"in {name} norm" for name in LINES), "actual steps, to $t=10^6$",
                        "of the certified limit", "proved: it is in here"],
                  loc="outside lower center", ncols=7)
    report()
    save(figure, rows, "optimisers", out)


if __name__ == "__main__":
    main()
