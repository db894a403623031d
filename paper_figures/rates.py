"""How fast gradient descent finds the maximum margin: like 1/log t with constant steps, and what
else steps can do.

    python -m paper_figures.rates [--committed | --out DIR]

Sources: Soudry, Hoffer, Nacson, Gunasekar, Srebro, "The Implicit Bias of Gradient Descent on
Separable Data" (2018), whose Figure 1 has these data: w(t) = ŵ log t + ρ(t), ŵ = argmin ‖w‖² s.t.
y_n⟨w, x_n⟩ ≥ 1, and ρ → ρ∞; Gunasekar, Lee, Soudry, Srebro (ICML 2018), §3.1; Ji, Telgarsky (2021)
for steps η/L; Ji, Srebro, Telgarsky (2021) for dual acceleration. No result is stored: coloured
lines come from running, dashed ones from ŵ, ρ∞ and the margin γ, solved for, and the step size
(only where the supports balance is the height that of the run's end, and theory the shape).
"""
from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.special import wrightomega

import fastbias as fb
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

STEPS, FAST_STEPS = 10 ** 7, 10 ** 6  # of constant steps; of those that need fewer
THEIRS = (0.5, 1.5), (1.5, 0.5)                            # the support vectors of Soudry et al.
SLID = (-0.5, 2.5), (1.5, 0.5)  # the first of them slid along the margin: the same ŵ
OTHERS, FAR, SEED = 12, 1.5, 0  # more points, and how far off, in margins
BETA = 0.9  # of the heavy ball; 1/σ_max would be too long a first leap
DEGENERATE = (1, 0), (1, 1)  # both +1; the second supports ŵ = (1, 0) with weight 0
FIRST = 6                                                  # of the t whose log log t is drawn
LAST = 100  # slopes are fitted from a hundredth of the last t on
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
DASHED: dict[str, Any] = {"color": BLACK, "ls": (0, (4, 2.5)), "lw": 1.1, "zorder": 4}


def data(support: tuple[tuple[float, float], ...]) -> tuple[np.ndarray, np.ndarray]:
    """X (N, 2) and y: two support vectors labelled +1, their negatives −1, and seeded points of
    either class, well off.
    """
    core = np.array(support)
    hat, rng, far = direction(core), np.random.default_rng(SEED), np.empty((0, 2))
    while len(far) < OTHERS:
        z = rng.normal(2, 0.8, size=2)
        far = np.vstack([far, z]) if z @ hat >= FAR else far
    y = np.repeat([1, -1, 1, -1], [len(core), len(core), OTHERS // 2, OTHERS // 2])
    return y[:, None] * np.vstack([core, core, far]), y


def direction(core: np.ndarray) -> np.ndarray:
    """ŵ = argmin ‖w‖² with margins of at least 1, where all labels are +1."""
    limit = fb.max_margin(core, np.ones(len(core)))
    return limit.w / limit.margin


def measured(trace: fb.Trace, limit: fb.Limit, quantity: str) -> np.ndarray:
    """A quantity at each row of a trace."""
    return next(series.values for series in trace.rates(limit) if series.quantity == quantity)


def rate(limit: fb.Limit, quantity: str) -> Any:
    """What theory says of how a quantity falls."""
    return next(rate for rate in limit.rates if rate.quantity == quantity)


def slope(x: np.ndarray, y: np.ndarray, t: np.ndarray) -> float:
    """The slope of log y against log x over the last two decades of t."""
    use = t >= t[-1] / LAST
    return float(np.polyfit(np.log(x[use]), np.log(y[use]), 1)[0])


@dataclass(frozen=True)
class Run:
    """A method on one data set: its name in legend and tables, what to run and for how long, and
    how to draw it.
    """

    name: str
    support: tuple[tuple[float, float], ...]
    loss: str
    rule: str
    colour: str
    beta: float = 0.0
    steps: int = STEPS

    @cached_property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X and y."""
        return (np.array(self.support),
                np.ones(2)) if self.support == DEGENERATE else data(self.support)

    @property
    def B2(self) -> float:
        """B² = max ‖x_n‖²."""
        return float((self.data[0] ** 2).sum(axis=1).max())

    @property
    def step_size(self) -> float:
        """η: that of Soudry et al., that of Theorem 5 at w = 0, or what multiplies 1/L."""
        X, y = self.data
        theorem5 = fb.Plan(X, y, loss="exponential",
                           method=fb.methods.gradient_descent(1.0)).max_step().step_size
        return {"1/σ_max": 1 / np.linalg.norm(X, 2),
                "Theorem 5": theorem5}.get(self.rule, 1 / self.B2)

    def descent(self, step_size: Any, beta: float = 0.0) -> fb.Plan:
        """Gradient descent on the run's own data and loss."""
        return fb.Plan(*self.data, loss=self.loss,
                       method=fb.methods.gradient_descent(step_size, momentum=beta))

    @cached_property
    def plan(self) -> fb.Plan:
        """What is run."""
        if self.rule == "dual":
            return fb.Plan(*self.data, loss=self.loss, method=fb.methods.dual_acceleration())
        return self.descent(fb.steps.loss_scaled(self.step_size) if self.rule == "η/L"
                            else self.step_size, self.beta)

    @cached_property
    def trace(self) -> fb.Trace:
        """Where it goes."""
        return self.plan.run(self.steps, record=200)

    @cached_property
    def limit(self) -> fb.Limit:
        """Where theory says it goes."""
        return self.plan.limit()

    @cached_property
    def slow(self) -> fb.Limit:
        """The limit of gradient descent with steps that stay, whose offset the faster step rules
        share.
        """
        return self.descent(self.step_size, self.beta).limit()

    @cached_property
    def hat(self) -> np.ndarray:
        """The vector ŵ."""
        return self.limit.w / self.limit.margin

    @cached_property
    def asymptote(self) -> fb.Trace:
        """The curve ŵ log t + ρ∞ that theory says the run tends to, as a trace, to be measured in
        the same way.
        """
        t = self.trace.t[self.trace.t > 1]
        return fb.Trace.from_arrays(*self.data, t, np.outer(np.log(t), self.hat) + self.slow.offset)

    @property
    def level(self) -> float:
        """What t L(t) tends to, ‖ŵ‖²/η."""
        return float(np.exp(rate(self.limit, "log t L").level))

    def series(self, quantity: str) -> np.ndarray:
        """A quantity of the run at each of its rows."""
        return measured(self.trace, self.limit, quantity)

    @property
    def imbalance(self) -> float:
        """How far ρ∞ falls short of keeping the supports at equal margins, δ = γ²⟨ŵ, ρ∞⟩ − min
        ⟨z_n, ρ∞⟩ over them.

        It does not depend on η, and w = ŵ s + ρ∞ has the margin gap δ/s to first order in 1/s.
        """
        Z = self.data[1][:, None] * self.data[0]
        support = Z @ self.hat < 1 + 1e-9
        return float(self.limit.margin ** 2 * self.hat @ self.slow.offset
                     - (Z[support] @ self.slow.offset).min())

    @property
    def decay(self) -> float:
        """The μ of ρ − ρ∞ ~ t^−μ across ŵ: the least eigenvalue of Σ α_n z_n z_nᵀ, ŵ = Σ α_n z_n,
        or θ − 1 if that is less.

        θ is the second-smallest margin over the smallest: the other points fade like t^−(θ − 1).
        """
        Z = self.data[1][:, None] * self.data[0]
        alpha, margins = self.limit.dual / self.limit.margin ** 2, np.sort(Z @ self.hat)
        theta = margins[margins > 1 + 1e-9][0]
        return float(min(np.linalg.eigvalsh((Z.T * alpha) @ Z)[0], theta - 1))

    def gap_line(self, t: np.ndarray) -> np.ndarray:
        """The margin gap δ/s of the fast steps: s = γ²ηt, or γ²t²/(4B²) for dual acceleration
        (published: O(log t/t²)).
        """
        s = t ** 2 / (4 * self.B2) if self.rule == "dual" else self.step_size * t
        return self.imbalance / (self.limit.margin ** 2 * s)


LOGISTIC = Run("logistic", THEIRS, "logistic", "1/σ_max", BLUE)
EXPONENTIAL = Run("exponential", THEIRS, "exponential", "Theorem 5", RED)
BALL = Run("exponential, momentum", THEIRS, "exponential", "Theorem 5", GREEN, BETA)
SLID_LOGISTIC = Run("logistic, other data", SLID, "logistic", "1/σ_max", SKY)
SLID_EXPONENTIAL = Run("exponential, other data", SLID, "exponential", "Theorem 5", ORANGE)
SCALED = Run("steps η/L, other data", SLID, "exponential", "η/L", PINK, steps=FAST_STEPS)
DUAL = Run("dual acceleration, other data", SLID, "exponential", "dual", GREY, steps=FAST_STEPS)
TWO = Run("degenerate", DEGENERATE, "exponential", "Theorem 5", RED)
BALANCED, UNEVEN, FAST = (LOGISTIC, EXPONENTIAL,
                          BALL), (SLID_LOGISTIC, SLID_EXPONENTIAL), (SCALED, DUAL)
KEYS = {r"logistic loss, $\eta=1/\sigma_{\max}(X)$": LOGISTIC,
        "logistic loss, other data": SLID_LOGISTIC,
        r"exponential loss, $\eta=1/(B^2L(0))$": EXPONENTIAL,
        "exponential loss, other data": SLID_EXPONENTIAL,
        rf"exponential loss, same $\eta$, momentum $\beta={BETA}$": BALL,
        r"other data, growing steps $1/(B^2L(w_t))$": SCALED,
        "other data, dual acceleration": DUAL}


WORDS = (r"$\hat w$: the shortest $w$ with all margins at least 1. $\gamma=1/\|\hat w\|$: the "
         "largest margin. "
         r"Other data: one sample at the margin is moved along it, so that $\hat w$ "
         "stays.\n"
         r"$w_t=\hat w\,\log t+\rho_t$ and $\rho_t\to\rho_\infty$, which on the first data points "
         r"along $\hat w$. $\eta$: step size. $B$: the longest sample.")


@dataclass(frozen=True)
class Line:
    """A curve of a panel: of which run, of what kind ("run", "theory", or a name of its own), and
    its points.
    """

    panel: str
    run: Run
    kind: str
    x: np.ndarray
    y: np.ndarray

    def draw(self, ax: Axes) -> Line:
        """Put it on the axes: runs in their colours, theory dashed, anything else thin."""
        styles = {"run": {"color": self.run.colour, "lw": 2.6, "zorder": 3}, "theory": DASHED}
        ax.plot(self.x, self.y, **styles.get(self.kind, {"color": GREY, "lw": 1, "zorder": 2}))
        return self


def note(ax: Axes, text: str, x: float, y: float, colour: str = BLACK, **style: Any) -> None:
    """Write on the axes, at a place in fractions of them unless told otherwise."""
    ax.annotate(text, (x, y), color=colour, **{"xycoords": "axes fraction", "fontsize": 10} | style)


def steps_on_top(ax: Axes, positions: Any) -> None:
    """Mark some t above the axes, where the scale below is log t or log log t."""
    top = ax.secondary_xaxis("top")
    powers = np.array([1, 2, 3, 5, 7])
    top.set_xticks(positions(np.log(10.0) * powers), ["$t=10$", *(f"$10^{k}$" for k in powers[1:])],
                   fontsize=8, color=GREY)
    top.minorticks_off()
    top.tick_params(length=2, pad=1, color=GREY)
    top.spines["top"].set_visible(False)


def sizes(ax: Axes) -> Iterator[Line]:
    """(a) ‖w‖/log t and ‖ŵ log t + ρ∞‖/log t."""
    for run in BALANCED:
        for kind, trace, first in (("run", run.trace, 10), ("theory", run.asymptote, 1000)):
            use = trace.t >= first
            yield Line("a", run, kind, trace.t[use], np.linalg.norm(trace.w[use], axis=1)
                       / trace.log_t[use]).draw(ax)
    size = float(np.linalg.norm(LOGISTIC.hat))
    ax.axhline(size, color=GREY, lw=0.8, zorder=1)
    note(ax, rf"$\|\hat w\|=1/\gamma={size:.4f}$", 0.98, size + 0.03,
         xycoords=("axes fraction", "data"), ha="right")
    note(ax, "$\\hat w=$argmin $\\|w\\|^2$ with all margins $\\geq1$\n"
         r"dashed: $\|\hat w\,\log t+\rho_\infty\|\,/\,\log t$", 0.98, 0.05, ha="right")
    ax.set(title="(a) The norm grows like ‖ŵ‖ log t,\nup to a constant vector ρ∞",
           xlabel="steps $t$", xscale="log", ylabel=r"$\|w(t)\|\,/\,\log t$", ylim=(0, 1.15))


def losses(ax: Axes) -> Iterator[Line]:
    """(b) t L(t) and ‖ŵ‖²/η."""
    for run in BALANCED:
        trace, use = run.trace, run.trace.t > 0
        yield Line("b", run, "run", trace.t[use], np.exp(run.series("log t L"))[use]).draw(ax)
        yield Line("b", run, "theory", trace.t[use][[0, -1]], np.full(2, run.level)).draw(ax)
        level = r"(1-\beta)\,\|\hat w\|^2/\eta" if run.beta else r"\|\hat w\|^2/\eta"
        note(ax, rf"${level}={run.level:.4g}$", 0.98, run.level, xycoords=("axes fraction", "data"),
             xytext=(0, 4), textcoords="offset points", ha="right")
    ax.set(title="(b) The loss falls like ‖ŵ‖²/(ηt);\nwith momentum η counts as η/(1 − β)",
           xlabel="steps $t$", xscale="log", yscale="log", ylabel="$t\\,L(w(t))$", ylim=(None, 250))


def towards(ax: Axes, panel: str, quantity: str) -> Iterator[Line]:
    """(c), (d) A distance from the limit direction against log t, and what ŵ log t + ρ∞ makes of it
    where ρ∞ is not along ŵ.

    Where it is, what remains is ρ − ρ∞ ~ t^−μ: theory knows μ, and the height is that of the run's
    end.
    """
    for run in (*BALANCED, *UNEVEN):
        trace, values = run.trace, run.series(quantity)
        use = trace.log_t >= 2
        yield Line(panel, run, "run", trace.log_t[use], values[use]).draw(ax)
        theory, use = run.asymptote, run.asymptote.log_t >= np.log(STEPS) / 2
        log_t = theory.log_t[use]
        if run in UNEVEN:
            line = measured(theory, run.limit, quantity)[use]
        else:
            line = np.exp(-run.decay * log_t) / np.linalg.norm(theory.w[use], axis=1)
            line *= values[-1] / line[-1]
        yield Line(panel, run, "theory", log_t, line).draw(ax)
    top, reach = SLID_EXPONENTIAL.series(quantity)[-1], np.log(STEPS) * np.array([0.55, 1.0])
    power = rate(SLID_EXPONENTIAL.limit, "direction" if quantity == "angle" else quantity).slope
    line = 1.6 * top * (reach / reach[-1]) ** power
    yield Line(panel, SLID_EXPONENTIAL, "slope", reach, line).draw(ax)
    note(ax, f"slope {power:.0f}".replace("-", "−"), *(np.sqrt(z[0] * z[1]) for z in (reach, line)),
         GREY, xycoords="data", xytext=(0, 8), textcoords="offset points", ha="center")
    balanced = rf"$\propto t^{{-{LOGISTIC.decay:.2g}}}/\log t$"
    note(ax, f"data of Soudry et al.:\n{balanced}", 0.04, 0.17, LOGISTIC.colour, fontsize=11)
    note(ax, r"other data: $\propto 1/\log t$", 0.04, 0.93, SLID_EXPONENTIAL.colour,
         fontsize=11)
    ticks = [2, 4, 8, 16]
    ax.set(xlabel=r"$\log t$", xscale="log", yscale="log", xticks=ticks,
           xticklabels=[str(x) for x in ticks])
    ax.set_ylim(top=ax.get_ylim()[1] * 1.6)
    ax.xaxis.minorticks_off()
    steps_on_top(ax, lambda log_t: log_t)


def fast(ax: Axes) -> Iterator[Line]:
    """(e) Margin gaps of other steps, and theory's δ/s."""
    for run in (SLID_EXPONENTIAL, *FAST):
        trace, use = run.trace, run.trace.t > 0
        trace.plot("margin gap", run.limit, ax, slopes=False, color=run.colour, lw=2.6, label=None)
        yield Line("e", run, "run", trace.t[use], run.series("margin gap")[use])
        if run in FAST:
            t = trace.t[trace.t >= 100].astype(float)
            yield Line("e", run, "theory", t, run.gap_line(t)).draw(ax)
        else:
            theory, use = run.asymptote, run.asymptote.t >= 1000
            yield Line("e", run, "theory", theory.t[use],
                       measured(theory, run.limit, "margin gap")[use]).draw(ax)
    places = {SLID_EXPONENTIAL: ("constant steps: $1/\\log t$", 0.98, 0.90),
              SCALED: (r"steps $\eta/L$: $\delta/(\gamma^2\eta\,t)$", 0.98, 0.71),
              DUAL: ("dual acceleration:\n" r"$4B^2\delta/(\gamma^2t^2)$", 0.05, 0.2)}
    for run, (text, x, y) in places.items():
        note(ax, text, x, y, run.colour, ha="right" if x > 0.5 else "left", fontsize=11)
    note(ax,
         r"$\delta=\gamma^2\langle\hat w,\rho_\infty\rangle-\min\,\langle z_n,\rho_\infty\rangle$",
         0.05, 0.05)
    ax.set(xlabel="steps $t$", ylabel="margin gap $1-$margin$/\\gamma$", ylim=(None, 2),
           title="(e) Steps that grow as the loss falls\nare exponentially faster")


def coordinate() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the degenerate run log log t, w₂, and what the flow makes of it: e^w₂ + w₂ = 1 + w₁
    exactly, and w₁ ~ log ηt.
    """
    trace, use = TWO.trace, TWO.trace.t >= FIRST
    c = 1 + np.log(TWO.step_size) + trace.log_t[use]
    return np.log(trace.log_t[use]), trace.w[use, 1], c - wrightomega(c)


def degenerate(ax: Axes) -> Iterator[Line]:
    """(f) The coordinate across the limit direction, against log log t."""
    x, run, flow = coordinate()
    yield Line("f", TWO, "run", x, run).draw(ax)
    yield Line("f", TWO, "theory", x, flow).draw(ax)
    yield Line("f", TWO, "log log t", x, x).draw(ax)
    note(ax, r"$\log\log t$", 0.62, 0.80, GREY, ha="right", fontsize=11)
    note(ax, "dashed, the flow:\n"
         r"$e^{w_2}+w_2=1+\log\eta t$", 0.98, 0.3, ha="right", fontsize=11)
    ax.set(xlabel=r"$\log\log t$", ylabel="$w_2(t)$",
           title="(f) A sample at the margin, not needed:\n"
                 "$\\bf{w_2}$ grows for ever, like log log t")
    steps_on_top(ax, np.log)


def report() -> None:
    """Print what was run, what theory says, and each slope: fitted, of theory's own curve fitted
    alike, and at t = ∞.
    """
    for name, run in (("Soudry et al.'s", LOGISTIC), ("One sample moved along the margin",
                                                      SLID_LOGISTIC)):
        print(f"{name}: {len(run.data[0])} points, ŵ = {run.hat}, γ = {run.limit.margin:.6f}, "
              f"certificate {run.limit.duality_gap:.0e}, B² = {run.B2:.4g}, δ = "
              f"{abs(run.imbalance):.2g}, μ = {run.decay:.4g};")
        print("  ", *(f"{h.statement}: {h.evidence}" for h in run.limit.hypotheses
                      if "steps are small" in h.statement))
    print(f"\n{format(STEPS, '.0e') + ' steps':23}  {'η':>8}  {'|Δw/Δlog t|/|ŵ|':>16}  "
          f"{'t L·η/|ŵ|²':>11}   slopes in log t: of the angle, of the margin gap")
    for run in (*BALANCED, *UNEVEN):
        parts = []
        for quantity in ("angle", "margin gap"):
            parts.append(f"{slope(run.trace.log_t, run.series(quantity), run.trace.t):.3f}")
            if run in UNEVEN:
                curve = measured(run.asymptote, run.limit, quantity)
                theirs = slope(run.asymptote.log_t, curve, run.asymptote.t)
                parts[-1] += f" (of ŵ log t + ρ∞: {theirs:.3f}, at ∞: −1)"
        growth = np.linalg.norm(run.trace.increment()) / np.linalg.norm(run.hat)
        share = np.exp(run.series("log t L")[-1]) / run.level
        print(f"{run.name:23}  {run.step_size:8.4g}  {growth:16.4f}  {share:11.5f}   "
              f"{', '.join(parts)}")
    print()
    for run in BALANCED:
        across = run.series("angle") * np.linalg.norm(run.trace.w, axis=1)
        print(f"{run.name:23}  the supports balance, ρ∞ is along ŵ, and across it |ρ| falls like "
              f"t^{slope(run.trace.t.astype(float), across, run.trace.t):.4f}, predicted "
              f"t^{-run.decay:.4f}")
    for run in FAST:
        t, gap = run.trace.t.astype(float), run.series("margin gap")
        power = rate(run.limit, "margin gap").slope
        print(f"{run.name:23}  margin gap falls like t^{slope(t, gap, t):.4f}, predicted "
              f"t^{power:.0f}; at t = {t[-1]:.0e} it is {gap[-1]:.5e}, predicted "
              f"{run.gap_line(t[-1:])[0]:.5e}")
    (x, w, flow), last = coordinate(), TWO.trace.t[TWO.trace.t >= FIRST] >= STEPS / LAST
    own, curve = (np.polyfit(x[last], y[last], 1)[0] for y in (w, flow))
    print(f"{'degenerate':23}  w₂ against log log t has slope {own:.3f}, the flow's {curve:.3f}, "
          f"at ∞: 1; at the end w₂ = {w[-1]:.4f}, the flow's {flow[-1]:.4f}\n{'':23}  "
          f"{TWO.limit.hypotheses[-1].evidence}\n")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    with ThreadPoolExecutor() as pool:                     # runs hold no lock
        list(pool.map(lambda run: run.trace, (*BALANCED, *UNEVEN, *FAST, TWO)))
    figure, axes = plt.subplots(2, 3, figsize=(12.6, 8.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    a, b, c, d, e, f = axes.flat
    lines = [*sizes(a), *losses(b), *towards(c, "c", "angle"), *towards(d, "d", "margin gap"),
             *fast(e), *degenerate(f)]
    c.set_title("(c) The angle to ŵ falls like 1/log t;\non some data faster")
    c.set_ylabel("angle to $\\hat w$, radians")
    d.set(title="(d) So does what the margin\nlacks of its maximum γ",
          ylabel="margin gap $1-$margin$/\\gamma$")
    handles = [*(Line2D([], [], color=run.colour, lw=2.6) for run in KEYS.values()),
               Line2D([], [], **DASHED)]
    figure.legend(handles, [*KEYS, "theory"], loc="outside lower center", ncols=4,
                  handletextpad=0.5, title=WORDS)
    report()
    save(figure, ({"panel": line.panel, "run": line.run.name, "kind": line.kind, "x": x, "y": y}
                  for line in lines for x, y in zip(line.x, line.y, strict=True)), "rates", out)


if __name__ == "__main__":
    main()
