"""Strictly monotone losses on data that are not separable: a point where the samples overlap, and
on data that are separable in part a direction beside a finite part.

Some samples can be made strict: a direction u with ⟨u, z_m⟩ ≥ 0 for all rows has ⟨u, z_n⟩ > 0 for
them. S is the span of the others, on which their loss has a unique minimiser v̄. The run's part in
S tends to v̄, its part across grows for ever, towards the maximum margin of the strict rows there.
Where the data overlap none is strict, and the run comes to rest.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastbias.data.rows import Rows, called, constant, largest, signed, with_ones, zero_rows
from fastbias.pieces import norms
from fastbias.problem import Data, Problem, radius
from fastbias.solvers.cones import Cone, across, cone
from fastbias.solvers.diagnose import ill_scaled
from fastbias.solvers.limit import Hypothesis, Limit, NoTheorem, Rate
from fastbias.solvers.margins import Separability, separate, separator, widest
from fastbias.solvers.minimiser import Minimiser, minimise
from fastbias.theory.asked import classes, endless, of_a_flow, small, stated_for
from fastbias.theory.asymptotes import asymptote, flat, flat_norm, metric, pace, plain, rule_of
from fastbias.theory.base import Ray, Refusal, Rest, Row, disproved, named, shown
from fastbias.theory.next_tokens import NEXT, likeliest, soft

__all__ = ["INSEPARABLE", "SOLE", "deciding", "inseparable", "lift", "orthogonal", "others",
           "resting", "with_intercept"]

JI = "Ji, Telgarsky (2019)"
SOLE = "overlap: the minimiser of L, from any start"
ROUNDED = 1e-12       # of a bound on steps, relatively


def _shrinks(problem: Problem) -> bool:
    """Whether it is gradient descent in some metric, by steps that do not grow with 1/L."""
    known = pace(problem) is not None or problem.rule.falling
    return flat(problem) and plain(problem) and known and rule_of(problem) != "loss_scaled"


def _as_stated(problem: Problem) -> list[Hypothesis]:
    """How the theorem states its steps: of one length, at most 1/(2B²L(w)), B = max ‖z‖."""
    if of_a_flow(problem):
        return [Hypothesis("the theorem's steps are these", None, f"{JI} speak of finite steps")]
    if pace(problem) != 0.0 or rule_of(problem) != "constant" or problem.rule.params.size > 1:
        return [Hypothesis("the theorem's steps are these", None,
                           f"{JI} state it for steps of one length, not {problem.rule!r}")]
    (u, t), B = problem.now, radius(problem, flat_norm(problem))
    with np.errstate(all="ignore"):
        most = float(0.5 * (np.exp(-0.5 * problem.log_loss(u)) / B) ** 2)
    eta, begun = problem.rule(0), "the start" if t == 0 else f"t = {t}"
    within = bool(eta <= most * (1.0 + ROUNDED))
    return [Hypothesis("the theorem's steps are these: η ≤ 1/(2B²L(w))", shown(within),
                       f"η = {eta:.6g}; from {begun} on 1/(2B²L) = {most:.6g}")]


INSEPARABLE: tuple[Row, ...] = (
    Rest("overlap: the minimiser of L over w(0) + the span of the moves", f"{JI}, and convexity",
         lambda p, flow: _shrinks(p) and named(p, "exponential", "logistic", "cross_entropy"),
         reason="steps that add up to a finite length stop short of the minimiser; the nearest "
                "theorem is the same with step sizes whose sum is infinite"),
    Ray("quasi-separable data: the minimiser of the other samples on their span, and across it the "
        "l2 maximum margin of those that can be made strict", JI,
        lambda p, flow: _shrinks(p) and named(p, "exponential", "logistic"),
        hypotheses=lambda p: [*_as_stated(p), *stated_for(p, "exponential", "logistic"),
                              *classes(p)],
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is "
               "the same with step sizes whose sum is infinite"),
    Ray("classes that are separable in part: on their span the log-odds of those that a context "
        "comes with, and across it the l2 maximum margin of the others", NEXT,
        lambda p, flow: _shrinks(p) and named(p, "cross_entropy"),
        reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is "
               "the same with step sizes whose sum is infinite"),
    Refusal("no theorem off separable data", JI, lambda p, flow: True,
            reason="the loss does not go to 0, so no theorem of Section 3 applies; the nearest "
                   "is Ji & Telgarsky (2019), for gradient descent with a fixed step and the "
                   "exponential or logistic loss of two classes, or cross-entropy"),
)
"""What is known of runs on data that are not separable: a `Rest` where they overlap, a `Ray` where
they are separable in part, and the sentence for all others.
"""


def inseparable(problem: Problem, flow: bool, rows: list[Hypothesis], told: Separability) -> Limit:
    """The limit that a row of INSEPARABLE names, with its hypotheses checked; NoTheorem with
    Gordan's certificate where none does.
    """
    if not any(row.covers(problem, flow) for row in INSEPARABLE[:-1]):
        raise _refused(problem, INSEPARABLE[-1], rows, told)
    # from here on curvatures are asked for
    problem = problem.whole("a limit off separable data is asked for")
    parts = cone(problem.rows)
    row = deciding(problem, flow, parts)
    if isinstance(row, Refusal):
        raise _refused(problem, row, rows, told)
    steps = [endless(problem), *small(problem)]
    rows = [*(row for row in rows if row.holds), _how(problem, parts), *steps,
            *row.hypotheses(problem)]
    if disproved(rows):
        raise NoTheorem(row.reason, row.source, tuple(rows), told.dual)
    return (_point if _overlap(parts) else _ray)(problem, row, parts, rows, _falls(steps))


def deciding(problem: Problem, flow: bool, parts: Cone) -> Row:
    """The row of INSEPARABLE that speaks of a problem whose data are taken apart."""
    wanted = Rest if _overlap(parts) else Ray
    return next(row for row in INSEPARABLE
                if isinstance(row, wanted | Refusal) and row.covers(problem, flow))


def _overlap(parts: Cone) -> bool:
    """Whether no row can be made strict."""
    return not parts.strict.any()


def _how(problem: Problem, parts: Cone) -> Hypothesis:
    """How the data are not separable, and what proves it."""
    proof = "proved without rounding" if parts.proved else parts.reason
    proof += with_intercept(problem)
    if _overlap(parts):
        return Hypothesis("the data overlap: no u has ⟨u, z_n⟩ ≥ 0 for all n, one of them > 0",
                          shown(parts.proved),
                          f"Σ λ z = 0 with λ > 0 on all rows (in .dual), {proof}")
    return Hypothesis(f"{parts.strict.sum()} of {parts.strict.size} rows can be made strict by "
                      "some u with ⟨u, z_n⟩ ≥ 0 for all n, the others by none", shown(parts.proved),
                      f"such a u, and Σ λ z = 0 with λ > 0 on the others, {proof}")


def _refused(problem: Problem, row: Row, rows: list[Hypothesis], told: Separability) -> NoTheorem:
    """What is raised where no theorem speaks of a problem."""
    assert told.dual is not None
    # of a long certificate the heaviest few say where the data clash
    heaviest = np.argsort(-told.dual)[:4]
    names: list[object] = [] if problem.classes is None else problem.classes.tolist()
    shown = ", ".join(f"{told.dual[n]:.4g} at {called(n, problem.y.astype(int), names)}"
                      for n in heaviest if told.dual[n] > 0)
    more = ", …" if told.dual[heaviest].sum() < 0.999 else ""
    why = zero_rows(Rows(problem.X)) or f"Σ λ z = 0 with λ ≥ 0, Σλ = 1 (λ in .dual: {shown}{more})"
    path = ""
    if problem.loss.convex:
        path = ("; fb.regularisation_path(X, y, radii, norm, loss) follows argmin L over "
                "‖w‖ ≤ c")
    return NoTheorem(f"the data are not separable: {why}{with_intercept(problem)}: {row.reason}"
                     f"{path}", row.source, tuple(rows + ill_scaled(problem)), told.dual)


def with_intercept(problem: Problem) -> str:
    """What is to be said where a column of ones would make the data separable; "" where not."""
    X = problem.X
    # (a column of zeros is none)
    if constant(X).any() or len(problem.sample) > 1:
        return ""
    # ones as long as the other features, which changes no answer
    one = float(np.exp2(np.floor(np.log2(max(float(largest(X, 0).max()), 1e-300)))))
    try:
        free = separate(signed(with_ones(X, one), problem.y, problem.outputs)).separable
    except ArithmeticError:
        return ""
    return ("; they are separable with an intercept, which Plan(..., intercept=True) adds as a "
            "last weight on ones" if free else "")


def resting(problem: Problem, parts: Cone) -> tuple[np.ndarray, Minimiser]:
    """Where a run on data that overlap comes to rest (size,), and the minimiser on the span that
    proves it.
    """
    least = minimise(problem, None if parts.basis.shape[1] == problem.size else parts.basis)
    return lifted(problem, parts.basis, least.w), least


def lifted(problem: Problem, basis: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The point of the start's affine space along which the run moves in S whose part in S is v."""
    if basis.shape[1] == problem.size:
        return v
    return np.asarray(problem.start + lift(problem, basis) @ (basis.T @ (v - problem.start)))


def lift(problem: Problem, basis: np.ndarray) -> np.ndarray:
    """E (size, r): the moves D⁻¹B whose parts in S are the columns of B, BᵀE = I."""
    D = metric(problem)
    if D is None:
        return basis
    moves = np.linalg.solve(D, basis)
    return np.asarray(np.linalg.solve((basis.T @ moves).T, moves.T).T)


def others(problem: Problem, parts: Cone) -> Data:
    """The samples that no direction makes strict."""
    keep = ~parts.strict
    weights = None if problem.weights is None else problem.weights[keep]
    return Data(problem.X[keep], problem.y[keep], problem.loss, problem.shape, weights=weights)


def _sure(problem: Problem, found: Minimiser, what: str) -> Hypothesis:
    """That a minimiser is known, and how well."""
    far = float(np.linalg.norm(found.errors))
    weighed = "" if problem.weights is None else "; it is that of the weights, as no direction is"
    return Hypothesis(f"{what} has a unique minimiser", shown(bool(far < np.inf)),
                      f"‖∇‖ is {found.residual:.0e} of its terms, and the curvature bounds the "
                      f"distance from it: {far:.1e}{weighed}")


def _point(problem: Problem, row: Row, parts: Cone, rows: list[Hypothesis],
           falls: Hypothesis) -> Limit:
    w, found = resting(problem, parts)
    rows = [*rows, _sure(problem, found, "L on the span of the data"), falls,
            *ill_scaled(problem)]
    name = SOLE if parts.basis.shape[1] == problem.size else row.name
    return Limit(w.reshape(problem.shape), "point", name, row.source, tuple(rows),
                 found.certified and parts.proved, found.residual, parts.dual)


def _falls(steps: list[Hypothesis]) -> Hypothesis:
    """That L falls to its infimum, where all that was asked of the steps holds."""
    proved = all(row.holds for row in steps)
    return Hypothesis("L(w_t) → inf L", shown(proved),
                      "proved: ℓ is convex, L falls by at least a multiple of η‖∇L‖² at each step, "
                      "and Ση = ∞" if proved else "seen only in a run: trace.log_loss")


def _ray(problem: Problem, row: Row, parts: Cone, rows: list[Hypothesis],
         falls: Hypothesis) -> Limit:
    several = problem.outputs > 1
    finite = likeliest(problem, parts) if several \
        else minimise(others(problem, parts), parts.basis)
    rows = [*rows, *(soft(problem, parts, finite) if several else [])]
    strict, half = orthogonal(problem, parts)
    found = widest(Rows(strict), (problem.size,), norms.l2, separator(Rows(strict)))
    w = found.w if half is None else np.linalg.solve(half.T, found.w)
    lam = np.zeros(parts.strict.size)
    lam[parts.strict] = found.dual
    rows = [*rows, _sure(problem, finite, "the loss of the others on their span S"),
            found.hypotheses[0]._replace(
                evidence=f"{found.hypotheses[0].evidence}; the margin is that of the strict rows' "
                         "parts across S"),
            falls, *ill_scaled(problem, found.margin)]
    return Limit(w.reshape(problem.shape), "ray", row.name, row.source, tuple(rows),
                 found.certified and finite.certified and parts.proved,
                 max(found.duality_gap, finite.residual), lam, found.margin, flat_norm(problem),
                 _in_span(problem) if several else
                 _rates(problem, replace(found, w=w), strict if half is None else strict @ half.T,
                        problem.log_weights[parts.strict]
                        - problem.Z[parts.strict] @ finite.w),
                 finite.w.reshape(problem.shape), span=parts.basis)


def orthogonal(problem: Problem, parts: Cone) -> tuple[np.ndarray, np.ndarray | None]:
    """The strict rows' parts orthogonal to S, in coordinates Lᵀw in which the method is gradient
    descent, and L (None: it is so already).
    """
    D = metric(problem)
    half = None if D is None else np.linalg.cholesky(D)
    known = across(parts, problem.Z) if problem.outputs == 1 else None
    if known is None:
        Z, B = problem.Z[parts.strict], parts.basis
        if half is not None:
            Z, B = np.linalg.solve(half, Z.T).T, np.linalg.qr(np.linalg.solve(half, B))[0]
        # twice, as what is left may be small
        for _ in range(2):
            Z = Z - (Z @ B) @ B.T
        return np.asarray(Z), half
    # of a row next to S a difference would lose what counts
    N, products = known
    M = N if half is None else half.T @ N
    sizes = np.linalg.norm(M, axis=0)
    Q, R = np.linalg.qr(M / sizes)
    return np.asarray(Q @ np.linalg.solve(R.T, (products / sizes).T)).T, half


def _rates(problem: Problem, found: Limit, strict: np.ndarray,
           logs: np.ndarray) -> tuple[Rate, ...]:
    """Across S the run is one on separable data, ``strict`` (N', d), whose weights e^logs are what
    v̄ leaves of them.
    """
    with np.errstate(over="ignore"):
        weights = np.exp(logs)
    rates: tuple[Rate, ...] = ()
    if not of_a_flow(problem) and (weights > 0).all() and np.isfinite(weights).all():
        free = replace(problem, X=strict, y=np.ones(len(strict)), weights=weights)
        rates = asymptote(free, found)[2]
    kept = tuple(rate for rate in rates if rate.quantity in ("direction", "angle", "1 - cos"))
    return (*kept, *_in_span(problem))


def _in_span(problem: Problem) -> tuple[Rate, ...]:
    """What the strict rows still push in S at a step of one size is 1/t."""
    return (Rate("finite gap", "t", -1.0),) if pace(problem) == 0.0 else ()
