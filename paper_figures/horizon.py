"""What comes after the last step one can afford: from t = 1 to t = e^(10⁹), by exact steps and then
by fast-forward.

    python -m paper_figures.horizon [--committed | --out DIR]

Sources: Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018), §3, Theorems 5 and 6; Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018): w(t)
= ŵ log t + ρ(t), and ρ → ρ∞ where no support vector has weight 0; Qian, Qian (2019) for AdaGrad;
Hairer, Lubich, Wanner, "Geometric Numerical Integration" (2006), ch. IX, for the modified field
that `Plan.fast_forward` follows. Theory's lines are ŵ log t + ρ∞, measured as the runs are: on the
support vectors η e^(−⟨z_n, ρ∞⟩) = α_n with Σ α_n z_n = ∇½‖ŵ‖², and what that leaves open is as at
the last exact step and moved on as the other samples fade; where α_n = 0 the line is that of the
flow. The norm of AdaGrad is √(Σ √G_i w_i²) with G = G(∞), which is that of the last exact step and
what is to come, ∫ (t g)² dt/t², by quadrature over the fast-forwarded run; it runs on the generic
data, on which its support vectors do not span, so that G has its say. The reported error counts the
rounding of the steps it stands for up to t = 10¹², hence its peak; momentum rounds more than it
counts, the exact steps taking velocities as differences of rounded iterates. No result is stored.
The seconds of panel (c) differ from run to run, in the figure and in the rows of the CSV that
belong to it; the other rows do not.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.special import wrightomega

import fastbias as fb
from fastbias.pieces.methods import Method
from fastbias.pieces.norms import Norm
from paper_figures._style import BLACK, BLUE, COLOURS, GREY, folder, save

FAR = 1e9                                                  # log t at the end
STEPS, MORE = 10 ** 6, 10 ** 7  # exact steps of each method; of the first LONG ones in (f)
LONG = 3
STOPS = 1e12, 1e24                                         # t whose wall time (c) shows besides
N, D, SPAN, LESS = 20, 4, 0, 4  # Gaussian data: the first seeds whose supports span, and do not
BETA, ETA = 0.9, 0.3  # of the heavy ball; of AdaGrad (else η = 1/σ_max(X)²)
TRUSTED = 0.1  # points are drawn if their reported error is under this part
NODES, TIMES = 12, 3  # of the quadrature; of which the least counts as the wall time
YEAR = 365.25 * 86_400.0                                   # in seconds
AGE, STEP = 13.8e9 * YEAR, 5e-7                            # of the universe; of a step, about
RED, GREEN, PINK, ORANGE, SKY, _ = COLOURS
STYLES: dict[str, dict[str, Any]] = {
    "exact steps": {"marker": "o", "ls": "", "ms": 4.5, "mfc": "white", "mew": 1.2, "zorder": 5},
    "fast-forward": {"zorder": 3},
    "theory": {"color": BLACK, "ls": (0, (4, 2.5)), "lw": 1.1, "zorder": 4},
    "reported error": {"ls": ":", "lw": 1.3, "zorder": 2},
}
WIDTHS = 5.0, 3.2, 1.8  # of the fast-forwarded lines, which may lie upon each other

Data = tuple[np.ndarray, np.ndarray]
Quantity = Callable[["Run", fb.Trace], np.ndarray]
# the second supports ŵ = (1, 0) with weight 0
WEIGHTLESS: Data = np.array([[1.0, 0.0], [1.0, 1.0]]), np.ones(2)


def gaussian(seed: int) -> Data:
    """X (N, D), and the signs y of a hidden linear function."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D))
    return X, np.sign(X @ rng.normal(size=D))


def link(norm: Norm, w: np.ndarray) -> np.ndarray:
    """∇½‖w‖², in a quadratic or an ℓp norm."""
    if norm.matrix is not None:
        return np.asarray(norm.matrix(w.size) @ w)
    assert norm.power is not None
    return np.asarray(norm(w) ** (2 - norm.power) * np.abs(w) ** (norm.power - 1) * np.sign(w))


@dataclass(frozen=True, eq=False)
class Run:
    """A method on one data set: what is run exactly, what is fast-forwarded, and what theory says
    of both.
    """

    name: str
    data: Data
    make: Callable[[float], Method]                        # given η, over 1 − β
    colour: str = BLACK
    loss: str = "exponential"
    given: float = 0.0

    @property
    def eta(self) -> float:
        """The step size, over 1 − β."""
        return self.given or float(1 / np.linalg.norm(self.data[0], 2) ** 2)

    @property
    def plan(self) -> fb.Plan:
        """A plan that stands at t = 0."""
        return fb.Plan(*self.data, loss=self.loss, method=self.make(self.eta))

    @cached_property
    def ended(self) -> tuple[fb.Trace, fb.Limit, float]:
        """The exact steps, what the plan then expects of t = ∞, and the seconds that one step
        took.
        """
        self.plan.run(1)                                   # compiles
        plan, begin = self.plan, perf_counter()
        trace = plan.run(STEPS, record=40)
        seconds = (perf_counter() - begin) / STEPS
        return trace, plan.limit(), seconds

    @property
    def exact(self) -> fb.Trace:
        """Where exact steps go."""
        return self.ended[0]

    @cached_property
    def far(self) -> fb.Trace:
        """Where fast-forward goes, from where it leaves exact steps."""
        return self.plan.fast_forward(FAR)

    @cached_property
    def rest(self) -> np.ndarray:
        """What G of AdaGrad still gains after the last exact step: ∫ (t g)² e^−s ds, s = log t."""
        x, weights = np.polynomial.laguerre.laggauss(NODES)
        slack = self.plan.fast_forward(np.log(STEPS) + x[-1], record=np.log(STEPS) + x).slack
        return np.asarray(weights @ (np.exp(slack) @ self.Z) ** 2 / STEPS)

    @cached_property
    def limit(self) -> fb.Limit:
        """Where theory says that the run goes; for AdaGrad with G as it will be at t = ∞."""
        known = self.ended[1]
        if self.make is not fb.methods.adagrad:
            return known
        G = known.norm.matrix(D).diagonal() ** 2
        return fb.max_margin(*self.data, fb.norms.quadratic(np.sqrt(G + self.rest)))

    @property
    def Z(self) -> np.ndarray:
        """The rows y_n x_n."""
        return self.data[1][:, None] * self.data[0]

    @property
    def hat(self) -> np.ndarray:
        """The vector ŵ, of least norm among those with margins of at least 1."""
        return self.limit.w / self.limit.margin

    @property
    def beyond(self) -> np.ndarray:
        """By how much the margins ⟨z_n, ŵ⟩ exceed 1, and 0 on the support vectors, (N,)."""
        more = self.Z @ self.hat - 1
        return np.where(more < 1e-7, 0.0, more)

    @property
    def offset(self) -> np.ndarray:
        """The vector ρ∞."""
        Z, w, norm, others = self.Z, self.exact.w[-1], self.limit.norm, self.beyond > 0
        moves = Z if norm.matrix is None else np.linalg.solve(norm.matrix(D), Z.T).T
        # ∫ η e^−m dt, e^−m ∝ t^−⟨z, ŵ⟩
        fading = self.eta * STEPS * np.exp(-Z[others] @ w) / self.beyond[others]
        rho = w - self.hat * np.log(STEPS) + fading @ moves[others]
        S, moves = Z[~others], moves[~others]
        alpha = np.linalg.lstsq(S.T, link(norm, self.hat), rcond=None)[0]
        return rho + np.linalg.lstsq(S @ moves.T, np.log(self.eta / alpha) - S @ rho,
                                     rcond=None)[0] @ moves

    def line(self, s: np.ndarray) -> fb.Trace:
        """Theory's line at log t = s, as a trace, to be measured as the others are."""
        if self.data is WEIGHTLESS:  # of the flow: e^w₂ + w₂ = 1 + w₁ exactly, and w₁ ~ log ηt
            c = 1 + np.log(self.eta) + s
            w = np.stack([c - 1, c - wrightomega(c)], axis=1)
        else:
            w = np.outer(s, self.hat) + self.offset
        return fb.Trace(np.full(s.size, -1), w, w, np.zeros(s.size), problem=self.far.problem,
                        log_times=s)

    def direction(self, trace: fb.Trace) -> np.ndarray:
        """How far the direction, of ℓ2 length 1, is from that of the limit."""
        return trace.gap(self.limit)

    def margin(self, trace: fb.Trace) -> np.ndarray:
        """1 − margin/γ; in rounding it would drown where one support vector carries ŵ, and margin/γ
        is the cosine to it.
        """
        if self.data is WEIGHTLESS:
            return self.direction(trace) ** 2 / 2
        return 1 - trace.margin(self.limit.norm) / self.limit.margin

    def reported(self, quantity: Quantity) -> np.ndarray:
        """What the reported error of the fast-forwarded w can do to a quantity, to first order."""
        w, error = self.far.w, self.far.error_estimate
        part = np.sqrt(w.shape[1]) * error / np.linalg.norm(w, axis=1)
        if quantity is Run.direction:
            return np.asarray(part)
        if self.data is WEIGHTLESS:
            return self.direction(self.far) * part
        norm, gamma = self.limit.norm, self.limit.margin
        return np.asarray((1 + norm.dual(self.Z).max() / gamma) * norm(np.ones(w.shape[1])) * error
                          / norm(w))

    @cached_property
    def seconds(self) -> float:
        """The wall time of fast-forward to log t = FAR."""
        times = []
        for _ in range(TIMES):
            begin = perf_counter()
            self.plan.fast_forward(FAR)
            times.append(perf_counter() - begin)
        return min(times)

    @cached_property
    def checked(self) -> dict[int, tuple[float, float]]:
        """The largest error of an entry of w at a step, and what fast-forward reports of it; on the
        way no exact rows.
        """
        found = {}
        for t in (STEPS, MORE)[: 1 + (self in METHODS[:LONG])]:
            exact = self.exact if t == STEPS else self.plan.run(t, record=2)
            far = self.plan.fast_forward(np.log(t), record=1, max_steps=t // 2)
            found[t] = float(np.abs(far.w[-1] - exact.w[-1]).max()), float(far.error_estimate[-1])
        return found


def lp(p: float) -> Callable[[float], Method]:
    """Steepest descent in ℓp, given η."""
    return lambda eta: fb.methods.steepest_descent(fb.norms.lp(p), eta)


def mirror(potential: Any) -> Callable[[float], Method]:
    """Mirror descent, given η."""
    return lambda eta: fb.methods.mirror_descent(potential, eta)


def ball(eta: float) -> Method:
    """The heavy ball, given η/(1 − β)."""
    return fb.methods.gradient_descent((1 - BETA) * eta, momentum=BETA)


GENERIC, FEW, descent = gaussian(SPAN), gaussian(LESS), fb.methods.gradient_descent
DESCENT = (Run("generic: the supports span", GENERIC, descent, BLUE),
           Run("supports that do not span", FEW, descent, RED),
           Run(r"a support of weight $\alpha=0$", WEIGHTLESS, descent, GREEN))
OTHERS = (Run("ℓ1.5 steepest descent", FEW, lp(1.5), ORANGE),
          Run("ℓ4/3 steepest descent", FEW, lp(4 / 3), SKY),
          Run("AdaGrad", GENERIC, fb.methods.adagrad, PINK, given=ETA))
METHODS = (Run("GD, exponential", FEW, descent), Run("GD, logistic", FEW, descent, loss="logistic"),
           Run(rf"heavy ball, $\beta={BETA}$", FEW, ball), *OTHERS,
           Run("mirror, power 1.5", FEW, mirror(fb.potentials.power(1.5))),
           Run("mirror, hypentropy 1", FEW, mirror(fb.potentials.hypentropy(1.0))))


@dataclass(frozen=True)
class Line:
    """Points of a panel: of which run and of what kind."""

    panel: str
    run: str
    kind: str
    x: np.ndarray
    y: np.ndarray


def note(ax: Axes, text: str, x: float, y: float, colour: str = BLACK, **style: Any) -> None:
    """Write on the axes, at a place in their own coordinates unless told otherwise."""
    ax.annotate(text, (x, y), color=colour, **{"fontsize": 9, "xytext": (0, 0),
                                               "textcoords": "offset points"} | style)


def steps_on_top(ax: Axes) -> None:
    """Mark some t above the axes, where the scale below is log t."""
    ticks = {"$t=10^6$": 6.0, "$10^{100}$": 1e2, "$10^{10^4}$": 1e4, "$10^{10^6}$": 1e6,
             "$10^{10^8}$": 1e8}
    top = ax.secondary_xaxis("top")
    top.set_xticks(np.log(10) * np.array([*ticks.values()]), [*ticks], fontsize=8, color=GREY)
    top.minorticks_off()
    top.tick_params(length=2, pad=1, color=GREY)
    top.spines["top"].set_visible(False)


def fall(ax: Axes, panel: str, runs: tuple[Run, ...], quantity: Quantity) -> Iterator[Line]:
    """(a), (b), (d), (e) A distance from the limit against log t: of exact steps, of fast-forward,
    and of theory.
    """
    for run, width in zip(runs, WIDTHS, strict=True):
        exact, far, line = run.exact, run.far, run.line(np.geomspace(np.log(STEPS), FAR, 200))
        values, reported = quantity(run, far), run.reported(quantity)
        trusted = reported <= TRUSTED * values
        seen = exact.t > 1
        lines = [("exact steps", exact.log_t[seen], quantity(run, exact)[seen]),
                 ("fast-forward", far.log_t[trusted], values[trusted]),
                 ("theory", line.log_t, quantity(run, line)),
                 ("reported error", far.log_t, reported)]
        for kind, x, y in lines:
            ax.plot(x, y, **{"color": run.colour, "lw": width} | STYLES[kind])
            yield Line(panel, run.name, kind, x, y)
    ax.axvspan(0.6, np.log(STEPS), color="#eeeeee", lw=0, zorder=0)
    ax.axvline(np.log(AGE / STEP), color=GREY, lw=0.8, zorder=1)
    note(ax, "exact\nsteps", 2.8, 1e-18, GREY, ha="center", va="bottom")
    note(ax, f"age of the universe\nat {STEP * 1e9:.0f} ns a step", np.log(AGE / STEP), 1e-18, GREY,
         xytext=(4, 0), va="bottom", bbox={"fc": "white", "ec": "none", "pad": 0.5})
    ax.set(xlabel=r"$\log t$", xscale="log", yscale="log", xlim=(0.6, 1.5 * FAR), ylim=(3e-19, 20))
    ax.set_xticks(10.0 ** np.arange(0, 10, 3))
    ax.set_xticks(10.0 ** np.arange(10), minor=True)
    ax.set_xticklabels([], minor=True)
    ax.set_yticks(10.0 ** np.arange(-18, 1, 3))
    ax.legend([Line2D([], [], color=run.colour, lw=width)
               for run, width in zip(runs, WIDTHS, strict=True)], [run.name for run in runs],
              loc="upper right", handletextpad=0.5, fontsize=9.5, borderaxespad=0.1)
    steps_on_top(ax)


def times(ax: Axes) -> Iterator[Line]:
    """(c) The logarithms of wall times: of fast-forward, and of exact steps to some t and to the
    same.
    """
    for row, run in enumerate(METHODS):
        step, here = np.log10(run.ended[2]), np.log10(run.seconds)
        x = {"fast-forward": here, **{f"exact steps to {t:.0e}": step + np.log10(t) for t in STOPS},
             "exact steps to the same t": step + FAR / np.log(10)}
        for kind, value in x.items():
            stop = any(kind.endswith(f"{t:.0e}") for t in STOPS)
            ax.plot(value, row, "o" if value == here else "s", color=BLUE if value == here else RED,
                    mfc="white" if stop else None, ms=6 if stop else 8)
            yield Line("c", run.name, kind, np.array([value]), np.array([row]))
        note(ax, f"{run.seconds:.2g} s", here, row, BLUE, xytext=(-7, 0), ha="right", va="center")
    first = METHODS[0]
    note(ax, "fast-forward\nto $t=e^{10^9}$", np.log10(first.seconds), -0.5, BLUE, xytext=(9, 0),
         ha="right", va="bottom")
    note(ax, "exact steps to", np.log10(STOPS[0] * first.ended[2]), -1.0, RED, xytext=(-7, 0),
         va="bottom")
    for t in STOPS:
        note(ax, f"$10^{{{np.log10(t):.0f}}}$", np.log10(t * first.ended[2]), -0.5, RED,
             ha="center", va="bottom")
    note(ax, "$t=e^{10^9}$", FAR / np.log(10), -0.5, RED, ha="center", va="bottom")
    marks = {"1 s": 0.0, "a year": np.log10(YEAR), "age of\nuniverse": np.log10(AGE),
             "$10^{10^5}$ s": 1e5,
             "$10^{10^9}$ s": 1e9}
    ax.set_xscale("symlog", linthresh=20, linscale=5)
    ax.set_xticks([*marks.values()], [*marks], fontsize=8.5)
    ax.minorticks_off()
    ax.set(xlabel="wall time", xlim=(-13, 3e9))


def errors(ax: Axes) -> Iterator[Line]:
    """(f) The error of fast-forward at a t that exact steps reach, and the one that it reports."""
    for row, run in enumerate(METHODS):
        for (t, pair), down, size in zip(run.checked.items(), (0.0, 0.33), (8, 5), strict=False):
            x, y = np.array(pair), np.full(2, row + down)
            ax.plot(x, y, color=GREY, lw=0.8, zorder=1)
            ax.plot(x[:1], y[:1], "o", color=BLUE, ms=size)
            ax.plot(x[1:], y[1:], "|", color=RED, ms=1.6 * size, mew=2.4)
            if x[0] > x[1]:
                note(ax, "more than reported", x[1], y[1], xytext=(-6, 0), ha="right", va="center")
            for kind, value in zip(("true error", "reported error"), x, strict=True):
                yield Line("f", run.name, f"{kind} at t = {t}", np.array([value]), y[:1])
    keys = [Line2D([], [], marker=marker, ls="", color=colour, ms=size, mew=mew) for size in (8, 5)
            for marker, colour, mew in (("o", BLUE, 1), ("|", RED, 2.4))]
    ax.legend(keys, ["true at $t=10^6$", "reported", "true at $t=10^7$", "reported"], ncols=2,
              loc="upper center", columnspacing=1, borderaxespad=0, fontsize=9)
    ax.set(xlabel="error of $w$ (of its worst entry)", xscale="log")


def names(ax: Axes) -> None:
    """Name the methods at the left of a panel."""
    ax.set_yticks(range(len(METHODS)), [run.name for run in METHODS], fontsize=9.5)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(METHODS) - 0.4, -1.7)


def plain(name: str) -> str:
    """A name without its formulae."""
    return name.replace(r"$\alpha=", "α = ").replace(r"$\beta=", "β = ").replace("$", "")


def report() -> None:
    """Print the data, how far each run is at the end from its limit and theory from there, and what
    it costs to know.
    """
    for run in (*DESCENT, *OTHERS):
        more = run.beyond[run.beyond > 0]
        print(f"{plain(run.name):30}  {run.data[0].shape}, {sum(run.beyond == 0)} supports, the "
              f"next margin is {1 + more.min(initial=np.inf):.3g} γ, γ = {run.limit.margin:.6f}, "
              f"certificate {run.limit.duality_gap:.0e}, η = {run.eta:.4g}")
    print(f"\n{f'at log t = {FAR:.0e}':30}  {'exact':>6}  {'direction error':>15}  "
          f"{'of theory':>11}  {'reported':>8}  {'margin gap':>11}  {'of theory':>11}  "
          f"{'reported':>8}")
    for run in (*DESCENT, *OTHERS):
        line = run.line(np.array([FAR]))
        numbers = [f"{measure(run, run.far)[-1]:{width}.4e}  {measure(run, line)[0]:11.4e}  "
                   f"{run.reported(measure)[-1]:8.0e}"
                   for measure, width in ((Run.direction, 15), (Run.margin, 11))]
        print(f"{plain(run.name):30}  {run.far.message.partition(' ')[0]:>6}  {'  '.join(numbers)}")
    last = OTHERS[-1]
    G = last.ended[1].norm.matrix(D).diagonal() ** 2
    print(f"\nAfter {STEPS:.0e} steps G of AdaGrad still gains {np.max(last.rest / G):.1e} of "
          f"itself; the direction for G as it was then is {last.far.gap(last.ended[1])[-1]:.1e} "
          "off.")
    print(f"\n{'':22}  {'ns a step':>9}  {'fast-forward':>12}  {'exact steps':>12}  true error "
          f"(reported), t = {' and '.join(f'{t:.0e}' for t in (STEPS, MORE))}")
    for run in METHODS:
        checked = "  ".join(f"{true:.1e} ({told:.1e})" for true, told in run.checked.values())
        print(f"{plain(run.name):22}  {1e9 * run.ended[2]:9.0f}  {run.seconds:10.2f} s  "
              f"10^({FAR / np.log(10):.2g}) s  {checked}")
    parts = [true / told for run in METHODS for true, told in run.checked.values()]
    print(f"The true error is {min(parts):.2f} to {max(parts):.2f} of the reported one, and at "
          f"most that in {sum(part <= 1 for part in parts)} of {len(parts)} cases.\n")


def main(argv: list[str] | None = None) -> None:
    """Run, draw, tell, save."""
    out = folder(argv, __doc__)
    figure, axes = plt.subplots(2, 3, figsize=(14, 9), layout="constrained",
                                width_ratios=(1, 1, 1.12))
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    a, b, c, d, e, f = axes.flat
    lines = [*fall(a, "a", DESCENT, Run.direction), *fall(b, "b", DESCENT, Run.margin), *times(c),
             *fall(d, "d", OTHERS, Run.direction), *fall(e, "e", OTHERS, Run.margin), *errors(f)]
    pairs = [pair for run in METHODS for pair in run.checked.values()]
    direction = r"direction error $\|w/\|w\|-w_\infty/\|w_\infty\|\|$"
    margin = r"margin gap $1-$margin$/\gamma$"
    for ax, title, label in (
        (a, "(a) GD follows theory to $\\bf{t=e^{10^9}}$:\n1/log t; with α = 0, log log t/log t",
         direction),
        (b, "(b) So does its margin gap;\nwith α = 0 it falls like the square", margin),
        (c, "(c) Fast-forward gets there in seconds;\nexact steps never do", ""),
        (d, "(d) ℓp steepest descent and AdaGrad too,\neach to the maximum margin in its norm",
         direction),
        (e, "(e) So do their margin gaps,\nwhich nearly coincide", margin),
        (f, f"(f) Checked by exact steps: {sum(true <= told for true, told in pairs)} of "
         f"{len(pairs)}\n"
         "errors are at most what is reported", "")):
        ax.set(title=title, ylabel=label)
    for ax in (c, f):
        names(ax)
    key = [Line2D([], [], **{"color": GREY, "lw": 3} | style) for style in STYLES.values()]
    figure.legend(key, [*STYLES], loc="outside lower center", ncols=4, handletextpad=0.5)
    report()
    save(figure, ({"panel": line.panel, "run": line.run, "kind": line.kind, "x": x, "y": y}
                  for line in lines for x, y in zip(line.x, line.y, strict=True)), "horizon", out)


if __name__ == "__main__":
    main()
