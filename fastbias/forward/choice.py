"""Which field continues a problem's runs, or why none does: a table, of which the first row that
covers a problem decides.

Its rows ask what a method declares (`fastbias.pieces.methods.Method`), what a step rule is, and
what a loss says of its tail. Refusals stand before the fields that they keep a problem from; what
no row covers has no field.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastbias.forward.base import Field
from fastbias.forward.fields import AdaGrad, Level, Linear, Mirror, Nesterov, Power, Scaled
from fastbias.forward.model_fields import Models
from fastbias.forward.moments import settled
from fastbias.pieces.methods.settling import settling
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem
from fastbias.solvers.limit import NoTheorem
from fastbias.theory.asymptotes import rule_of
from fastbias.theory.base import gradient, momentum, named, quadratic

__all__ = ["FIELDS", "Refused", "choose"]


class Followed(NamedTuple):
    """A row that names a field: whom it covers, and the field for one of them."""

    covers: Callable[[Problem], bool]
    field: Callable[[Problem], Field]


class Refused(NamedTuple):
    """A row that says why there is none, in a sentence, or one made for the problem."""

    covers: Callable[[Problem], bool]
    why: str | Callable[[Problem], str]

    def told(self, problem: Problem) -> str:
        """The sentence."""
        return self.why if isinstance(self.why, str) else self.why(problem)


def _rule(problem: Problem) -> str:
    """The name of the step rule, "" for one of a user's own."""
    return problem.rule.name if rule_of(problem) else ""


def _varies(problem: Problem) -> bool:
    """Whether η_k depends on k."""
    return not problem.rule.constant


def _decay(problem: Problem) -> float:
    """The a of step sizes η/(k + 1)^a."""
    return float(problem.rule.params[1]) if _varies(problem) else 0.0


def _eta(problem: Problem) -> float:
    """The η of step sizes η/(k + 1)^a."""
    return float(problem.rule.params[0]) if _varies(problem) else problem.rule(0)


def _over_loss(problem: Problem) -> bool:
    """Whether it is gradient descent with steps η/L, which has a closed map of its own."""
    rule = problem.rule
    return gradient(problem) and rule.loss and rule.constant and not rule.radius \
        and not momentum(problem)


def _jumps(problem: Problem) -> bool:
    """Whether moves are no continuous function of the gradient."""
    method, g = problem.method, problem.method.geometry
    return method.unscaled or method.ties is not None \
        or (isinstance(g, Norm) and g.ball is not None)


def _summed(problem: Problem) -> bool:
    """Whether its moves are linear in a sum of gradients that fade, at a constant step."""
    method = problem.method
    return method.averages == "fading" and not method.adaptive and not method.steepest \
        and method.shaped is None and method.params.size == 5 and method.params[4] == 0.0 \
        and quadratic(problem) and rule_of(problem) == "constant" and problem.rule.params.size == 1


def _settles(problem: Problem) -> bool:
    """Whether it divides by a root of its squares until ε is all of that, at a constant step."""
    return problem.model.linear and rule_of(problem) == "constant" \
        and problem.rule.params.size == 1 and settling(problem.method) is not None


def _swinging(problem: Problem) -> bool:
    """Whether momentum is Nesterov's sequence, in gradient descent with a constant step on an
    exponential tail.
    """
    method = problem.method
    return shift(method.beta) is not None and np.array_equal(method.beta, method.gamma) \
        and gradient(problem) \
        and not _varies(problem) and problem.loss.tail == "exponential" and problem.model.linear


def shift(beta: np.ndarray) -> float | None:
    """The a of a momentum sequence (k + a)/(k + a + 3), once it is under way; None where it is
    none.
    """
    if beta.size < 100:
        return None
    k = np.arange(beta.size, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = 3.0 * beta / (1.0 - beta) - k
    # the first entries of a sequence may be cut off at 0, so that a is read, and held to the rest,
    # behind them
    found = float(np.round(a[50], 6))
    goal = (k[10:] + found) / (k[10:] + found + 3.0)
    return found if bool(np.allclose(beta[10:], goal, rtol=1e-13, atol=0)) else None


def _power(problem: Problem) -> float | None:
    """The p of steepest descent in ℓp, None in other geometries."""
    g = problem.method.geometry
    return g.power if isinstance(g, Norm) else None


def _whole_space(problem: Problem) -> bool:
    """Whether it is mirror descent with a potential that is finite everywhere."""
    psi = problem.method.geometry
    return problem.method.dual and isinstance(psi, Potential) and not np.isfinite(psi.lower) \
        and not psi.symmetric


def _linear(problem: Problem) -> Field:
    """The field of moves D⁻¹g, on the linear model or, with D = 1, on another."""
    method, g = problem.method, problem.method.geometry
    beta, gamma = float(method.beta[0]), float(method.gamma[0])
    # momentum lengthens the step to η/(1 − β), and its lag is of the order that κ counts (`Linear`)
    eta, kappa = _eta(problem) / (1.0 - beta), gamma - 0.5 * (1.0 + beta) / (1.0 - beta)
    if not problem.model.linear:
        return Models(problem, eta, _decay(problem), kappa, beta)
    if method.averages:
        # −∇L with weights e, cν, cνμ, … (`fastbias.pieces.methods.averaging`), of this sum and lag
        beta, new, c, e = (float(x) for x in method.params[:4])
        total = e + c * new / (1.0 - beta)
        eta, kappa = _eta(problem) * total, -c * new / (1.0 - beta) ** 2 / total - 0.5

    def solve(rows: np.ndarray) -> np.ndarray:
        if isinstance(g, Norm):
            return np.array([g.direction(row) for row in rows])
        assert isinstance(g, Potential)
        return np.array([g.solve(problem.start, row) for row in rows])
    return Linear(problem, eta, _decay(problem), kappa, beta, None if g is None else solve)


def _mirror(problem: Problem) -> Field:
    """The field of mirror descent, in w where the dual variable grows exponentially."""
    psi = problem.method.geometry
    assert isinstance(psi, Potential)
    return (Level if psi.horizon == np.inf else Mirror)(problem, _eta(problem), _decay(problem))


def _lp(problem: Problem) -> Field:
    p = _power(problem)
    assert p is not None
    return Power(problem, _eta(problem), _decay(problem), p / (p - 1.0))


def _nesterov(problem: Problem) -> Field:
    found = shift(problem.method.beta)
    assert found is not None
    return Nesterov(problem, problem.rule(0), shift=found)


FIELDS: tuple[Followed | Refused, ...] = (
    Refused(lambda p: not p.method.as_made,
            "it is a method of one's own, and no law tells where its moves lead"),
    Refused(lambda p: p.method.within is not None,
            "its parameters are projected on a set, and where such runs lead no field tells"),
    Refused(lambda p: not p.method.stated,
            "it is not handed the gradient as it is, but with noise, cut, or from other points"),
    Refused(lambda p: p.method.decay > 0,
            "with weight decay it comes to rest where the decay and the loss balance, and only "
            "gradient descent on the linear model with a fixed step is followed there"),
    Refused(lambda p: p.method.shrink > 0,
            "with decoupled weight decay its weights stay bounded, and no field is known there"),
    Refused(lambda p: not p.model.linear
            and (not gradient(p) or _rule(p) not in ("constant", "power")
                 or (_varies(p) and p.rule.params.size != 2)),
            lambda p: f"on models such as {p.model.name} only gradient descent has a field, with "
                      "steps that are constant or fall like a power of t"),
    Refused(lambda p: not p.model.linear and not p.model.degree,
            lambda p: f"the {p.model.name} model is not homogeneous, so nothing says that its loss "
                      "goes to 0"),
    Refused(lambda p: p.loss.excess is None or p.loss.ratio is None,
            "the loss does not declare excess and ratio"),
    Refused(lambda p: p.method.random, "its iterates are random"),
    Followed(lambda p: _settles(p), settled),
    Refused(lambda p: p.method.adaptive and p.method.measured is None,
            "what it divides by remembers more than the gradient; a field is known of Adam, "
            "AMSGrad, NAdam, RMSProp and AdaDelta where they end as gradient descent, with ε > 0 "
            "and a constant step"),
    Followed(lambda p: p.model.linear and _summed(p), _linear),
    Refused(lambda p: p.method.averages == "fading",
            "its moves remember earlier gradients, and a field is known for that only where they "
            "are linear in these, at a constant step"),
    Refused(_jumps, "its moves jump where signs or largest coordinates change, so it slides along "
                    "such places, where no smooth field follows it"),
    Refused(lambda p: _over_loss(p) and not named(p, "exponential"),
            "steps η/L have a field here for the exponential loss, whose weights are a softmax"),
    Followed(_over_loss, lambda p: Scaled(p, float(p.rule.params[0]))),
    Refused(lambda p: p.method.averages == "all" or p.rule.loss or p.rule.search,
            lambda p: f"{p.rule!r} makes steps that do not shrink, so t steps are no flow in log "
                      "t; its margin gap falls like a power of t, within reach of ordinary runs"),
    Refused(lambda p: p.method.constraint is not None or p.method.primal,
            "no field is known for constraints or primal momentum"),
    Refused(lambda p: _varies(p) and (_rule(p) != "power" or p.rule.params.size != 2),
            lambda p: f"{p.rule!r} varies in a way that has no continuation here"),
    Followed(_swinging, _nesterov),
    Refused(lambda p: p.method.beta.size > 1 or p.method.gamma.size > 1,
            "its momentum varies in a way that has no continuation"),
    Refused(lambda p: momentum(p) and _varies(p),
            "momentum with step sizes that vary has no field here"),
    Refused(lambda p: p.method.beta[0] >= 1.0 or _decay(p) > 1.0,
            "momentum of 1 or more, or step sizes with a finite sum, never reach infinity"),
    Refused(lambda p: _decay(p) > 0 and p.loss.tail == "gaussian",
            "step sizes that fall have no clock here for a Gaussian tail"),
    Followed(lambda p: quadratic(p) and p.method.memoryless, _linear),
    Refused(momentum, "momentum has a field here only where the geometry is quadratic"),
    Refused(lambda p: (_power(p) or 0.0) > 2,
            "ℓp directions with p > 2 have infinite slope where an entry of the gradient is 0, so "
            "the error of the field cannot be bounded"),
    Followed(lambda p: _power(p) is not None, _lp),
    Followed(_whole_space, _mirror),
    Followed(lambda p: p.method.measured is not None and not _varies(p),
             lambda p: AdaGrad(p, _eta(p), _decay(p), float(p.method.params[0]))),
    Refused(lambda p: True, "no field is known for it (mirror descent, steepest descent in ℓp with "
                            "p ≤ 2, and AdaGrad have one)"),
)


def choose(problem: Problem) -> Field:
    """The field that continues a problem's runs; NoTheorem, with the reason, where there is
    none.
    """
    row = next(row for row in FIELDS if row.covers(problem))
    if isinstance(row, Followed):
        return row.field(problem)
    raise NoTheorem(f"{problem.method!r} with the {problem.loss.name} loss cannot be "
                    f"fast-forwarded: {row.told(problem)}", "fast-forward")
