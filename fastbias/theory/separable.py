"""Section 3: strictly monotone losses on separable data, where only the direction has a limit, a maximum margin."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias import norms, steps
from fastbias.diagnostics import ill_scaled
from fastbias.limits import PAPER, Hypothesis, Limit, NoTheorem, Rate
from fastbias.margins import separate, widest
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.problem import Problem, radius, zero_rows
from fastbias.theory.base import Row, known_link, quadratic
from fastbias.theory.stepsizes import small_steps

__all__ = ["MARGIN", "direction"]

SOUDRY = "Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018)"
FAN = "Fan, Schmidt, Thrampoulidis (2025)"
PESME = "Pesme, Dragomir, Flammarion (2024)"
FLOW = "flow"
TIE = 1e-9       # samples whose margin exceeds the least by less, relatively, count as support vectors


def _decay(problem: Problem) -> float | None:
    """The a of step sizes that fall like 1/t^a: 0 for those that stay; None for a searched step."""
    rule = problem.rule
    return None if rule.search else float(rule.params[1]) if rule.name == "power" else 0.0


def _endless(problem: Problem) -> Hypothesis:
    if problem.rule.name == FLOW:
        return Hypothesis("η → 0: the flow", True, "asked for")
    a = _decay(problem)
    return Hypothesis("the step sizes add up to infinity", None if a is None else a <= 1, repr(problem.rule))


def _plain(problem: Problem) -> bool:
    method = problem.method
    return not (method.beta.any() or method.gamma.any() or method.sampling.batch)


def _small(problem: Problem) -> list[Hypothesis]:
    return [] if problem.rule.name == FLOW else [small_steps(problem)]


def _stated_for(problem: Problem, *losses: str) -> list[Hypothesis]:
    """Whether a theorem that is stated for certain losses is so for this one."""
    name = problem.loss.name
    return [Hypothesis(f"the loss is one that the theorem is stated for ({', '.join(losses)})",
                       True if name in losses else None, name)]


def _steps(problem: Problem) -> list[Hypothesis]:
    rows = [_endless(problem), *_small(problem)]
    if problem.method.beta.any() or problem.method.gamma.any():
        largest = float(problem.method.beta.max())
        rows.append(Hypothesis("the momentum stays under 1", largest < 1, f"β ≤ {largest:g}"))
        rows.append(Hypothesis("momentum keeps the direction", None, "Wang, Meng, Chen, Liu (2022), under their conditions"))
    if problem.method.sampling.batch:
        rows.append(Hypothesis("stochastic gradients keep the direction", None,
                               "Nacson, Srebro, Soudry (2019), for a fixed small step"))
    return rows


def _classes(problem: Problem, source: str = "") -> list[Hypothesis]:
    """Whether a theorem that is stated for two classes is known for K."""
    if not problem.loss.classes:
        return []
    return [Hypothesis("the theorem holds for K classes", True if source else None,
                       source or "stated for two classes; the same argument over all pairs (y, c) is not in the literature")]


def _asymptote(problem: Problem, found: Limit) -> tuple[list[Hypothesis], np.ndarray | None, tuple[Rate, ...]]:
    """Gradient descent with steps that stay: whether ρ(t) = w − ŵ log t converges, where, and how fast directions do.

    On the support vectors η exp(−⟨z_n, w̃⟩) = α_n, ŵ = Σ α_n z_n; off the span of the data w̃ is the start. Momentum β makes
    the step η/(1 − β).
    """
    method, rule = problem.method, problem.rule
    if _decay(problem) != 0.0 or method.sampling.batch or method.beta.size > 1 or (rule.loss and not rule.radius):
        return [], None, ()
    eta = float(rule.params[0] if rule.radius else rule.params[-1]) / (1.0 - float(method.beta[0]))
    hat = found.w.ravel() / found.margin
    statement = "the support vectors span the data and each has weight α > 0: then w − ŵ log t converges"
    loss = (Rate("log loss", "t", -1.0), Rate("log t L", "t", 0.0, float(np.log(hat @ hat / eta))))
    slow: tuple[Rate, ...] = (
        Rate("direction", "log t", -1.0), Rate("angle", "log t", -1.0), Rate("1 - cos", "log t", -2.0),
        Rate("margin gap", "log t", -1.0))
    margins = problem.Z @ hat
    support, count = np.unique(problem.Z[margins <= margins.min() * (1 + TIE)], axis=0, return_counts=True)
    rank = int(np.linalg.matrix_rank(support, 1e-9 * np.linalg.norm(support, 2)))
    alpha = np.linalg.lstsq(support.T, hat, rcond=None)[0] if rank == len(support) else _largest_weights(support, hat)
    if alpha.min() <= 1e-9 * alpha.max():
        zeros = int((alpha <= 1e-9 * alpha.max()).sum())
        told = Hypothesis(statement, False, f"α = 0 at {zeros} of {len(support)} support vectors: directions then converge "
                          "like log log t/log t")
        return [told], None, loss
    if rank < len(support):
        told = Hypothesis(statement, None, f"{len(support)} support vectors of rank {rank}: α is not unique")
        return [told], None, (*slow, *loss)
    spread = int(np.linalg.matrix_rank(problem.Z, 1e-9 * np.linalg.norm(problem.Z, 2)))
    if rank < spread:
        told = Hypothesis(statement, False, f"α ≥ {alpha.min():.3g}, but they span {rank} of {spread} dimensions")
        return [told], None, (*slow, *loss)
    goal = np.log(eta * count / alpha) - support @ problem.start
    offset = problem.start + np.linalg.lstsq(support, goal, rcond=None)[0]
    told = Hypothesis(statement, True, f"{len(support)} support vectors, α ≥ {alpha.min():.3g}; the point is .offset")
    across = np.linalg.norm(offset - hat * (offset @ hat) / (hat @ hat))
    if across <= 1e-9 * np.linalg.norm(offset):                # w̃ along ŵ: then it is faster than 1/log t
        slow = ()
    return [told], offset.reshape(problem.shape), (*slow, *loss)


def _largest_weights(support: np.ndarray, hat: np.ndarray) -> np.ndarray:
    """The α ≥ 0 with Σ α z = ŵ whose least entry is largest, by linear programming."""
    from scipy.optimize import linprog
    k, d = support.shape
    size = float(np.linalg.norm(support, 2))
    answer = linprog(np.append(np.zeros(k), -1.0), A_eq=np.hstack([support.T / size, np.zeros((d, 1))]), b_eq=hat,
                     A_ub=np.hstack([-np.eye(k), np.ones((k, 1))]), b_ub=np.zeros(k), bounds=[(0, None)] * (k + 1),
                     method="highs-ds")
    return np.asarray(answer.x[:k] / size) if answer.status == 0 else np.ones(k)


def _decreasing(problem: Problem) -> list[Hypothesis]:
    a = _decay(problem)
    own = Hypothesis("the step sizes fall to 0", None if a is None else a > 0, repr(problem.rule))
    return [_endless(problem), own, *_classes(problem, FAN)]


def _normalised(problem: Problem) -> list[Hypothesis]:
    rows = [*_decreasing(problem), *_stated_for(problem, "exponential", "cross_entropy")]
    if problem.method.shaped is not None or problem.method.name == "muon":
        rows.append(Hypothesis("momentum in the gradient keeps the direction", None, f"{FAN}, for averages of gradients"))
    return rows + _ties(problem)


def _normalised_rate(problem: Problem) -> tuple[Rate, ...]:
    a = _decay(problem)
    if not a:
        return ()
    return (Rate("margin gap", "t", -min(a, 1.0 - a)) if a < 1 else Rate("margin gap", "log t", -1.0),)


def _ties(problem: Problem) -> list[Hypothesis]:
    if problem.method.family != "coordinate":
        return []
    tol = float(problem.method.params[0])
    return [Hypothesis("the coordinate that moves is the largest", True if tol <= TIE else None, f"tie_tol = {tol:g}")]


def _adam(problem: Problem) -> list[Hypothesis]:
    beta1, beta2, eps, corrected = problem.method.params
    live = np.abs(problem.X).max(axis=0) > 0                   # a feature that is always 0 never has a gradient
    first = np.abs(problem.pull(problem.start)[1]).reshape(problem.outputs, -1)[:, live]
    return [Hypothesis("no ε in the denominator", bool(eps == 0), f"ε = {eps:g}"),
            Hypothesis("β₁ ≤ β₂", bool(beta1 <= beta2), f"{beta1:g}, {beta2:g}"), *_decreasing(problem)[:2],
            Hypothesis("no entry of the first gradient is 0", True if first.min(initial=1.0) > 0 else None,
                       f"least {first.min(initial=1.0):.3g}"),
            Hypothesis("the theorem's Adam corrects no bias", None if corrected else True, "this one does" if corrected else
                       "nor does this one"), *_stated_for(problem, "exponential", "logistic"), *_classes(problem)]


def _adagrad(problem: Problem) -> list[Hypothesis]:
    """Theorem 6's own conditions, which are sufficient: where they fail nothing follows."""
    reached, eta = problem.reached, problem.rule(0)
    assert reached is not None
    G0 = problem.method.begin(problem.start)[0] + problem.method.params[0]
    loss = eta ** 2 * float(np.exp(min(problem.log_loss(problem.start), 700.0)))
    scaled = np.divide(problem.X, G0 ** 0.25, out=np.where(problem.X == 0, 0.0, np.inf), where=G0 > 0) \
        if problem.outputs == 1 else np.full((1, 1), np.inf)
    length = float(np.linalg.norm(scaled, axis=1).max())
    s, g = problem.pull(problem.predictor(reached.u))
    now = reached.state[0] + problem.method.params[0]
    rest = float(np.max(np.divide((np.exp(s) * g) ** 2 * reached.t, now, out=np.zeros(now.size), where=now > 0)))
    return [_endless(problem), Hypothesis("the step size is fixed", True if problem.rule.name == "constant" else None,
                                          repr(problem.rule)), *_stated_for(problem, "exponential"),
            Hypothesis("η² L(w(0)) < 1", True if loss < 1 else None, f"{loss:.3g}"),
            Hypothesis("‖G(0)^{−1/4} x_n‖₂ ≤ 1", True if length <= 1 else None, f"{length:.3g}"),
            Hypothesis("G is what it will be at t = ∞", None, f"measured at t = {reached.t}; what is to come is about "
                       f"t g² ≤ {rest:.1e} of it, if |g| goes on falling like 1/t"), *_classes(problem)]


def _measured(problem: Problem) -> Norm:
    if problem.reached is None or problem.reached.t == 0 or problem.method.measured is None:
        raise NoTheorem("G∞ decides the limit direction of AdaGrad, so it needs a run first: plan.run(...), then "
                        "plan.limit() measures G. By Theorem 6 G stays bounded, so step size, start and G(0) have their say "
                        "for ever and no characterisation by the data alone exists; the nearest theorem is 5, for steepest "
                        "descent",
                        f"{PAPER}, §3.3 and Theorem 6")
    return problem.method.measured(problem.reached.state)


def _own_norm(problem: Problem) -> Norm:
    g = problem.method.geometry
    assert isinstance(g, Norm)
    return g


def _horizon(problem: Problem) -> Norm:
    """The norm whose ball a potential's level sets tend to."""
    psi = problem.method.geometry
    assert isinstance(psi, Potential)
    if psi.quadratic:
        return norms.quadratic(np.array([psi.to_dual(e) for e in np.eye(problem.start.size)]))
    assert psi.horizon is not None
    return norms.lp(psi.horizon)


def _mirror(problem: Problem) -> list[Hypothesis]:
    psi = problem.method.geometry
    assert isinstance(psi, Potential)
    rows = [_endless(problem)]
    if problem.rule.name != FLOW:
        rows.append(small_steps(problem) if psi.quadratic else Hypothesis(
            "the steps are small enough that the loss falls at each", None, f"{problem.rule!r}; seen only in a run"))
    if problem.rule.name != FLOW and psi.horizon in (1.0, np.inf):      # in between, ψ is a power of its norm
        rows.append(Hypothesis("finite steps go where the mirror flow goes", None, f"{PESME} speak of the flow η → 0"))
    if problem.method.beta.any() or problem.method.gamma.any():
        rows.append(Hypothesis("momentum keeps the direction", None, "not in the literature"))
    return [*rows, *_classes(problem)]


def _mirrors(problem: Problem, flow: bool) -> bool:
    method = problem.method
    return (known_link(problem) and method.constraint is None and not method.sampling.batch
            and ((method.family == "mirror" and (not method.primal or quadratic(problem)))
                 or (method.family == "natural" and (flow or quadratic(problem)))))


MARGIN: tuple[Row, ...] = (
    Row("the l2 maximum margin, steps η/L", "Ji, Telgarsky (2021), and §3.1",
        lambda p, flow: p.method.family == "gradient" and p.rule.loss and not p.rule.radius and _plain(p),
        norm=lambda p: norms.l2, hypotheses=lambda p: [*_steps(p), *_stated_for(p, "exponential", "logistic"), *_classes(p)],
        rates=lambda p: (Rate("direction", "t", -1.0), Rate("angle", "t", -1.0), Rate("margin gap", "t", -1.0))),
    Row("the l2 maximum margin (Soudry et al. 2018; §3.1)", SOUDRY, lambda p, flow: p.method.family == "gradient",
        norm=lambda p: norms.l2, hypotheses=lambda p: [*_steps(p), *_classes(p, f"{SOUDRY}, Theorem 7")],
        asymptote=_asymptote,
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is the same with "
               "step sizes whose sum is infinite"),
    Row("dual acceleration: the l2 maximum margin", "Ji, Srebro, Telgarsky (2021)",
        lambda p, flow: p.method.family == "accelerated", norm=lambda p: norms.l2,
        hypotheses=lambda p: [*_stated_for(p, "exponential"), *_classes(p)],
        rates=lambda p: (Rate("margin gap", "t", -2.0),)),
    Row("AdaBoost", "Rudin, Daubechies, Schapire (2004)",
        lambda p, flow: p.rule.search and float(p.rule.params[0]) == 1.0 and isinstance(p.method.geometry, Norm)
        and p.method.geometry.ball == "cross-polytope",
        reason="coordinate descent with exact line search is AdaBoost, which on some data cycles for ever under the maximum "
               "l1 margin (an 8 × 8 matrix: 1/3 against 3/8), so no theorem names its limit; the nearest are Theorem 5, "
               "with fb.steps.bounded, and shrinkage (Telgarsky 2013)"),
    Row("the maximum margin in the method's norm, normalised steps", FAN,
        lambda p, flow: p.method.unscaled and p.method.family in ("steepest", "coordinate"), norm=_own_norm,
        hypotheses=_normalised, rates=_normalised_rate,
        reason="steps of a fixed length η end within ηB²/2 of the maximum margin γ but need not reach it (a margin of at "
               "least γ − ηB²/2 follows from the smoothness of log L), and steps whose sum is finite stop short; the "
               "nearest theorem is the same with fb.steps.power(η, a), 0 < a ≤ 1, or Theorem 5 without normalised steps"),
    Row("Theorem 5: the maximum margin in the method's norm", f"{PAPER}, Theorem 5",
        lambda p, flow: p.method.family in ("steepest", "coordinate"), norm=_own_norm,
        hypotheses=lambda p: [*_steps(p), *_stated_for(p, "exponential"), *_ties(p), *_unbounded(p), *_searched(p),
                              *_classes(p)],
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is 5 with fb.steps.bounded"),
    Row("Theorem 6 and the quadratic program on the measured G: argmin Σ w²/h with margins ≥ 1, h = G^{−1/2}; it depends on "
        "the step size, w(0) and G(0), so no characterisation by the data alone exists",
        f"Qian, Qian (2019); {PAPER}, §3.3 and Theorem 6", lambda p, flow: p.method.measured is not None,
        norm=_measured, hypotheses=_adagrad),
    Row("the linf maximum margin, Adam and RMSProp without ε", "Zhang, Zou, Cao (2024)",
        lambda p, flow: p.method.family == "adaptive", norm=lambda p: norms.lp(np.inf), hypotheses=_adam,
        reason="the theorem for Adam asks for no ε, β₁ ≤ β₂ and step sizes that fall to 0 with an infinite sum: with ε > 0 "
               "the run ends as gradient descent, in the l2 direction, once |g| is far under ε, and where it is by then "
               "depends on its past (§3.3); the nearest theorem is the same with eps=0 and fb.steps.power(η, a), 0 < a ≤ 1"),
    Row("mirror descent: the maximum margin in the norm of the potential's horizon",
        f"Sun, Gatmiry, Ahn, Azizan (2023) for homogeneous ψ; {PESME} in general",
        lambda p, flow: _mirrors(p, flow) and (p.method.geometry.horizon is not None or quadratic(p)),  # type: ignore[union-attr]
        norm=_horizon, hypotheses=_mirror,
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is the same with step sizes "
               "whose sum is infinite"),
    Row("a potential without a known horizon", PESME,
        lambda p, flow: _mirrors(p, flow) and p.method.geometry.lower == -np.inf      # type: ignore[union-attr]
        and not p.method.geometry.symmetric,                                          # type: ignore[union-attr]
        reason="the limit is the maximum margin in the norm of the potential's horizon function, which this one does not "
               "declare (horizon=p, where its far level sets have the shape of the lp ball); the nearest is power(p)"),
    Row("entropy", PESME, lambda p, flow: _mirrors(p, flow),
        reason="the domain of this potential is not the whole space, which the theorem on horizon functions asks for: w "
               "stays inside it, so separability by some w there is needed too, and the limit is not in the literature (the "
               "horizon function of the entropy suggests l1 over w ≥ 0); the nearest is hypentropy(β), for which it is l1"),
    Row("§3", f"{PAPER}, §3", lambda p, flow: True,
        reason="no theorem of the table covers this method with a strictly monotone loss; the nearest are Theorem 5, for "
               "steepest descent in any norm, and §3.1, for gradient descent"),
)


def _unbounded(problem: Problem) -> list[Hypothesis]:
    """What is proved where the steps grow like 1/L: −log L ≥ Σ η g²(1 − ηB²/2) and ‖w‖ ≤ Σ η g with g = ‖∇ log L‖⋆ ≥ γ."""
    if not problem.rule.loss or problem.rule.radius:
        return []
    eta, B = float(problem.rule.params[0]), radius(problem, problem.method.geometry)
    return [Hypothesis("the steps are bounded", None, "η/L is not, as Theorem 5 asks; what is proved is a margin of at "
                       f"least 1 − ηB²/2 = {1.0 - 0.5 * eta * B ** 2:.3g} of the maximum")]


def _searched(problem: Problem) -> list[Hypothesis]:
    if not problem.rule.search:
        return []
    nu = float(problem.rule.params[0])
    if _own_norm(problem).ball == "cross-polytope":
        return [Hypothesis("a shrunk line search reaches the maximum margin", None,
                           f"ν = {nu:g}; Telgarsky (2013): within a factor 1 − O(ν)")]
    return [Hypothesis("searched steps keep to min(η₊, 1/(B²L))", None, "they may exceed it; seen only in a run")]


def _cone(problem: Problem, w: np.ndarray) -> list[Hypothesis]:
    """What is said beside any maximum margin: the regularisation path's end, and Lemma 8 with its residual so far."""
    rows = [Hypothesis("the regularisation path argmin L over ‖w‖ ≤ c ends in this direction, too", True,
                       "Rosset, Zhu, Hastie (2004); fb.regularisation_path follows it")]
    reached = problem.reached
    if reached is not None and reached.t > 0:
        off = problem.off_cone(problem.predictor(reached.u), w)
        rows.append(Hypothesis("−∇L/‖∇L‖ tends to the cone of the support vectors (Lemma 8)", None,
                               f"it is {off:.1e} away at t = {reached.t}; trace.cone_distance measures each row"))
    return rows


def direction(problem: Problem, flow: bool) -> Limit:
    """The limit direction that a row of MARGIN names, with its hypotheses checked."""
    row = next(row for row in MARGIN if row.covers(problem, flow))
    if flow:                                                   # of unit speed, and momentum only changes that
        still = replace(problem.method, beta=np.zeros(1), gamma=np.zeros(1))
        problem = replace(problem, method=still, rule=replace(steps.constant(1.0), name=FLOW))
    tail = problem.loss.tail
    rows = [Hypothesis("the loss has an exponential tail", tail == "exponential",
                       f"{problem.loss.name}: {tail or 'unknown'}")]
    if row.norm is None:
        raise NoTheorem(row.reason, row.source, tuple(rows))
    if not rows[0].holds:
        raise NoTheorem(f"{row.name} asks for an exponential tail, which the {problem.loss.name} loss has not; the nearest "
                        "losses are exponential and logistic", row.source, tuple(rows))
    told = separate(problem.Z)
    rows.append(Hypothesis("the data are linearly separable", told.separable,
                           f"a separator, its margins {told.residual:.0e} times their rounding" if told else
                           f"Gordan's λ, residual {told.residual:.0e}"))
    if told.w is None:
        assert told.dual is not None
        rows += ill_scaled(problem)
        heaviest = np.argsort(-told.dual)[:4]
        shown = ", ".join(f"{told.dual[n]:.4g} at {n}" for n in heaviest if told.dual[n] > 0)
        more = ", …" if told.dual[heaviest].sum() < 0.999 else ""
        why = zero_rows(problem.X) or f"Σ λ z = 0 with λ ≥ 0, Σλ = 1 (λ in .dual: {shown}{more})"
        raise NoTheorem(f"the data are not separable: {why}, so the loss does not go to 0 and no theorem of Section 3 "
                        "applies; the nearest are those of Section 2",
                        f"{PAPER}, §3", tuple(rows), told.dual)
    norm = row.norm(problem)
    rows += row.hypotheses(problem)
    if any(h.holds is False for h in rows):
        raise NoTheorem(row.reason, row.source, tuple(rows))
    found = widest(problem.Z, problem.shape, norm, told.w)
    rows += [*found.hypotheses, Hypothesis("L(w_t) → 0", None, "seen only in a run: trace.log_loss")]
    rows += [*_cone(problem, found.w), *ill_scaled(problem, found.margin)]
    rates, offset = row.rates(problem), None
    if row.asymptote is not None:
        told_asymptote, offset, rates = row.asymptote(problem, found)
        rows += told_asymptote
    return Limit(found.w, "direction", row.name, row.source, tuple(rows), found.certified, found.duality_gap, found.dual,
                 found.margin, norm, rates, offset)
