"""Step rules: how far to go at update k. A rule is one compiled piece, (params, k, s, log_loss) →
η_k e^s.

The gradient reaches a method as q-sized numbers and a log scale s (−∇L = e^s g), so the rule
returns the step with e^s in it: a rule that divides by the loss never forms the vanishing loss
itself.

>>> import fastbias as fb
>>> method = fb.methods.gradient_descent(fb.steps.power(0.1, 0.5))
>>> fb.run([[1, 2]], [1], loss="squared", method=method, steps=1000).w[-1].round(6)
array([0.2, 0.4])
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import RULE, Piece, expect, piece
from fastbias.engine.call import call
from fastbias.pieces.recipe import Portable, recorded

__all__ = ["StepRule", "bounded", "chosen", "constant", "cosine", "line_search", "loss_scaled",
           "power", "sequence"]

AUTO = "auto"         # in place of a number: a `Plan` chooses it


@dataclass(frozen=True, eq=False)
class StepRule(Portable):
    """A step rule: its name, its compiled piece (``abi.RULE``), its numbers, and what the loop must
    know of it.

    ``constant`` says that η_k does not depend on k; ``loss`` that the piece wants log L, which then
    costs a pass; ``monotone`` that it has a meaning for strictly monotone losses alone; ``search``
    that the step is searched along the move instead; ``radius`` that ``params[1]`` is to be B², B =
    max_n ‖x_n‖⋆, which a `Plan` computes from its data; ``auto`` that the first number is still to
    be chosen, by the `Plan` that is made with it; ``chosen`` says what one that was chosen rests
    on.

    >>> import fastbias as fb
    >>> rule = fb.steps.power(0.1, 0.5)
    >>> rule.name, rule.falling, rule.constant
    ('power', False, False)
    """

    name: str
    rule: Piece
    params: np.ndarray
    constant: bool = False
    loss: bool = False
    monotone: bool = False
    search: bool = False
    radius: bool = False
    auto: bool = False
    chosen: str = ""

    def __post_init__(self) -> None:
        checks.fields("StepRule", self, texts=("name", "chosen"),
                      flags=("constant", "loss", "monotone", "search", "radius", "auto"))
        object.__setattr__(self, "params",
                           checks.array("params", self.params, "a (K,) array", dims=1))
        expect("StepRule", self.params, rule=(self.rule, RULE))

    @property
    def fixed(self) -> bool:
        """Whether η_k is ``params[0]`` at every update, whatever the data."""
        return self.constant and self.rule is _sequence

    @property
    def falling(self) -> bool:
        """Whether it is an array whose entries still fall where it ends: a decaying step, of which
        nobody knows how it would go on.
        """
        x = self.params
        return self.rule is _sequence and x.size > 1 and bool(x[-1] < x[-2])

    @property
    def last(self) -> float:
        """What one of this module stays at in the end, at loss 1, where it does not fall to 0."""
        return float(self.params[-1 if self.rule in (_sequence, _cosine) else 0])

    def most(self, k: int) -> float:
        """The largest step from the update k on of a rule of this module that does not ask for L,
        at loss 1.
        """
        x, k = self.params, checks.whole("k", k)
        if self.rule is _sequence:
            return float(x[min(k, x.size - 1):].max())
        if self.rule is not _late_power or k + 1 >= x[3]:
            return self(k)
        # (k + 1)/(k + c)^a has one turn, at k = (c − a)/(a − 1)
        ends = {k, int(x[3]) - 1}
        if x[1] != 1.0:
            turn = (x[2] - x[1]) / (x[1] - 1.0)
            ends |= {int(min(max(turn + i, k), x[3] - 1.0)) for i in (-1.0, 0.0, 1.0)}
        return max(self(end) for end in ends)

    def __call__(self, k: int) -> float:
        """Return η_k, the step size of the update from step k ≥ 0 to k + 1, at loss 1; ValueError
        where it is still to be chosen.
        """
        if self.auto:
            raise ValueError(f"step_size must be a number by now, got {self!r}: a Plan chooses it")
        return float(call(self.rule, self.params, checks.whole("k", k), 0.0, 0.0))

    def __repr__(self) -> str:
        shown = [f"{x:g}" for x in self.params[:4]] + ["…"] * (self.params.size > 4)
        if self.auto:
            shown[0] = AUTO
        if self.chosen:
            shown.append(f"chosen: {self.chosen}")
        return f"{self.name}({', '.join(shown)})"

    def with_number(self, eta: float, why: str) -> StepRule:
        """The rule with a number in the place of "auto", and what that rests on; as it is where it
        has one.
        """
        if not self.auto:
            return self
        numbers = np.append(eta, self.params[1:])
        made = replace(self, params=numbers, auto=False)
        # (by its own factory, so that it knows how it was made)
        if hasattr(self, "_maker"):
            made = self._maker(**{name: eta if _is_auto(value) else value
                                  for name, value in vars(self)["recipe"][1].items()})
        return chosen(made, why)


StepSize = ArrayLike | StepRule
"""What a method takes for a step size: a number, one for each update, a rule, or "auto", for which
a `Plan` puts a number that suits its data.
"""


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == AUTO


def _first(label: str, eta: float | str) -> tuple[float, bool]:
    """A number > 0, and whether it only keeps the place of one that is to be chosen."""
    if _is_auto(eta):
        return 1.0, True
    if isinstance(eta, str):
        raise TypeError(f'{label} must be a finite number > 0 or "auto", got {checks.short(eta)}')
    return checks.number(label, eta, above=0), False


@piece(RULE, needs=1)
def _sequence(params, k, s, log_loss):
    eta = params[min(k, params.size - 1)]
    return eta if s == 0.0 else eta * np.exp(s)


@recorded
def constant(eta: float | str) -> StepRule:
    """Return the rule η_k = eta for every k; eta > 0 or "auto", else ValueError.

    >>> import fastbias as fb
    >>> fb.methods.gradient_descent(fb.steps.constant(0.1))
    gradient_descent(constant(0.1))
    """
    number, auto = _first("eta", eta)
    return StepRule("constant", _sequence, np.array([number]), constant=True, auto=auto)


@recorded
def chosen(rule: float | StepRule, why: str) -> StepRule:
    """Return a rule (a number is a constant one) that says what its number rests on, as a `Plan`
    writes it where step_size is "auto".

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.steps.chosen(0.1, "half of what the descent lemma admits")
    constant(0.1, chosen: half of what the descent lemma admits)
    """
    if not isinstance(why, str) or not why:
        raise TypeError(f"why must be a text, got {checks.short(why)}")
    made = as_rule(rule)
    if made.auto:
        raise ValueError(f"rule must have its numbers, got {made!r}")
    return replace(made, chosen=why)


@recorded
def sequence(etas: ArrayLike) -> StepRule:
    """Return the rule that takes entry k of etas (K,) for the update from k to k + 1; the last goes
    on. All > 0.

    >>> import fastbias as fb
    >>> fb.methods.gradient_descent(fb.steps.sequence([0.1, 0.05, 0.01])).rule.last
    0.01
    """
    # a sequence of one value is as good as constant, and bursts may take it
    etas = checks.steps("step_size", etas, above=0)
    return StepRule("sequence", _sequence, etas, constant=bool((etas == etas[0]).all()))


@piece(RULE, needs=2)
def _power(params, k, s, log_loss):
    eta = params[0] / (k + 1.0) ** params[1]
    return eta if s == 0.0 else eta * np.exp(s)


@piece(RULE, needs=4)
def _late_power(params, k, s, log_loss):
    # params: eta, a, the offset, and the updates of the warm-up
    eta = params[0] / (k + params[2]) ** params[1]
    if k + 1.0 < params[3]:
        eta *= (k + 1.0) / params[3]
    return eta if s == 0.0 else eta * np.exp(s)


@recorded
def power(eta: float | str, a: float, offset: float = 1.0, warmup: int = 0) -> StepRule:
    """Return the rule η_k = eta/(k + offset)^a; eta > 0 or "auto", a ≥ 0 and offset > 0, else
    ValueError. With a = 0 it is ``constant(eta)``.

    With a ``warmup`` ≥ 1 the update from k to k + 1 has (k + 1)/warmup of that until k + 1 =
    warmup, so that steps rise linearly at first.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.steps.power(0.5, 1.0)(4)
    0.1
    >>> rule = fb.steps.power(1.0, 1.0, offset=6, warmup=4)
    >>> [round(rule(k), 3) for k in range(5)]
    [0.042, 0.071, 0.094, 0.111, 0.1]
    """
    # a = 0 is the constant rule by its own name, so that what is known of that holds
    (number, auto), fall = _first("eta", eta), checks.number("a", a, least=0)
    begun, rise = checks.number("offset", offset, above=0), checks.whole("warmup", warmup)
    if fall == 0 and rise <= 1:
        return constant(eta)
    if begun == 1 and rise <= 1:
        return StepRule("power", _power, np.array([number, fall]), auto=auto)
    return StepRule("power", _late_power, np.array([number, fall, begun, float(rise)]), auto=auto)


@piece(RULE, needs=3)
def _cosine(params, k, s, log_loss):
    # params: eta, total, floor
    turned = np.cos(np.pi * min(float(k), params[1]) / params[1])
    eta = params[2] + 0.5 * (params[0] - params[2]) * (1.0 + turned)
    return eta if s == 0.0 else eta * np.exp(s)


@recorded
def cosine(eta: float | str, total: int, floor: float = 0.0) -> StepRule:
    """Return the rule η_k = floor + ½(eta − floor)(1 + cos(π k/total)), floor from k = total on.

    As PyTorch's ``CosineAnnealingLR`` of ``T_max=total`` and ``eta_min=floor`` up to there. eta > 0
    or "auto", total ≥ 1, 0 ≤ floor ≤ eta, else ValueError. With floor = 0 all that follows stands
    still, so that the steps have a finite sum.

    Examples
    --------
    >>> import fastbias as fb
    >>> rule = fb.steps.cosine(0.5, 10, floor=0.1)
    >>> [round(rule(k), 3) for k in (0, 5, 10, 1000)]
    [0.5, 0.3, 0.1, 0.1]
    """
    (number, auto), length = _first("eta", eta), checks.whole("total", total, least=1)
    low = checks.number("floor", floor, least=0, most=None if auto else number)
    return StepRule("cosine", _cosine, np.array([number, float(length), low]), auto=auto)


@piece(RULE, needs=1)
def _loss_scaled(params, k, s, log_loss):
    # e^s/L by its logarithm: both vanish long before their ratio does
    return params[0] * np.exp(s - log_loss)


@piece(RULE, needs=2)
def _slower_loss_scaled(params, k, s, log_loss):
    # (k + 1.0: an integer power would wrap)
    return params[0] / (k + 1.0) ** params[1] * np.exp(s - log_loss)


@recorded
def loss_scaled(eta: float | str, a: float = 0.0) -> StepRule:
    """Return the rule η_k = eta/(L(w_k) (k + 1)^a), for strictly monotone losses; eta > 0 or
    "auto", a ≥ 0, else ValueError.

    In the log domain, so it goes on where L itself is long under 1e-308 (a = 0, Ji & Telgarsky: the
    margin gap falls like 1/t; a = 1/2, Nacson et al. 2019).

    >>> import fastbias as fb
    >>> method = fb.methods.gradient_descent(fb.steps.loss_scaled(0.1))
    >>> trace = fb.run([[1, 2], [2, 1]], [1, 1], loss="exponential", method=method, steps=5000)
    >>> print(trace.log_loss[-1] < -1000)                         # far beyond what float64 holds
    True
    """
    (number, auto), fall = _first("eta", eta), checks.number("a", a, least=0)
    if fall == 0:
        return StepRule("loss_scaled", _loss_scaled, np.array([number]), constant=True, loss=True,
                        monotone=True, auto=auto)
    return StepRule("loss_scaled", _slower_loss_scaled, np.array([number, fall]), loss=True,
                    monotone=True, auto=auto)


@piece(RULE, needs=2)
def _bounded(params, k, s, log_loss):
    # e^s is taken into each: 1/L may be infinite where e^s/L is not
    return min(params[0] * np.exp(s), np.exp(s - log_loss) / params[1])


@recorded
def bounded(eta_plus: float | str) -> StepRule:
    """Return Theorem 5's rule η_k = min(eta_plus, 1/(B² L(w_k))), B = max_n ‖x_n‖⋆ in the dual of
    the method's norm.

    The paper prints max; its descent argument needs min. For gradient, steepest and coordinate
    descent on strictly monotone losses and the linear model; ``plan.problem.rule`` shows B².
    eta_plus > 0 or "auto", which is 1, else ValueError.

    >>> import fastbias as fb
    >>> method = fb.methods.steepest_descent("l1", fb.steps.bounded(1.0))
    >>> trace = fb.run([[1, 2], [2, 1]], [1, 1], loss="exponential", method=method, steps=100)
    >>> print(trace.log_loss[-1] < -1)
    True
    """
    number, auto = _first("eta_plus", eta_plus)
    return StepRule("bounded", _bounded, np.array([number, 1.0]), constant=True, loss=True,
                    monotone=True, radius=True, auto=auto)


@piece(RULE, needs=2)
def _unit_scaled(params, k, s, log_loss):
    return np.exp(s - log_loss) / params[1]


def unit_scaled() -> StepRule:
    """Return the rule η_k = 1/(B² L(w_k)) that dual acceleration is made with, B = max_n ‖x_n‖₂."""
    return StepRule("unit_scaled", _unit_scaled, np.array([1.0, 1.0]), constant=True, loss=True,
                    monotone=True, radius=True)


@piece(RULE)
def _no_rule(params, k, s, log_loss):
    return np.nan


@recorded
def line_search() -> StepRule:
    """Return the exact line search: the minimiser of a convex loss along the move (the first of
    many), to the last digits.

    For methods whose move is a direction of the parameters (gradient, steepest, coordinate,
    natural, adaptive, sign), full gradients, no momentum or weight decay, the linear model; and for
    models of degree 2 with the squared loss, a quartic along the move, whose least value over steps
    > 0 it takes. Where the loss falls for ever the run ends ``UNBOUNDED``.

    >>> import fastbias as fb
    >>> method = fb.methods.gradient_descent(fb.steps.line_search())
    >>> fb.run([[1, 2]], [1], loss="squared", method=method, steps=3).w[-1]
    array([0.2, 0.4])
    """
    return StepRule("line_search", _no_rule, np.array([1.0]), constant=True, search=True)


def as_rule(step_size: StepSize) -> StepRule:
    """Return a rule from a number or "auto" (constant), a (K,) array (sequence), or a rule."""
    if isinstance(step_size, StepRule):
        return step_size
    if isinstance(step_size, str):
        if step_size != AUTO:
            raise TypeError("step_size must be a number or a (K,) array of numbers, a rule of "
                            f'fb.steps or "auto", got {checks.short(step_size)}')
        return constant(AUTO)
    etas = checks.steps("step_size", step_size, above=0)
    return constant(float(etas[0])) if etas.size == 1 else sequence(etas)


EXAMPLES: tuple[StepRule, ...] = (constant(0.1), sequence([0.3, 0.2, 0.1]), power(0.5, 0.5),
                                  power(0.5, 0.7, offset=3, warmup=8), cosine(0.5, 20, 0.1),
                                  loss_scaled(0.1), loss_scaled(0.2, 0.5), bounded(0.3))
