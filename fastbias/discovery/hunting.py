"""The hunt for counter-examples: draw, keep what violates a statement, make it small, prove it."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks.shown import Report, Shown
from fastbias.discovery import (
    boosting,
    checking,
    completing,
    cycling,
    stagewise,
    straying,
    weighing,
)

__all__ = ["CONJECTURES", "Conjecture", "Found", "hunt"]


@dataclass(frozen=True)
class Conjecture:
    """A statement that may be false, and how it is tried.

    Parameters
    ----------
    statement : str
        What is claimed.
    draw : callable
        rng → a problem.
    violation : callable
        problem → by how much it violates the statement; 0 or less: not.
    smaller : callable
        problem → problems that are simpler, tried in turn.
    prove : callable, optional
        problem → a proof document, or None where there is none. It counts where
        ``fastbias.discovery.checking.check`` takes it: documents of a kind of your own need a check
        of their own, told by ``checking.register({kind: check})``.

    Examples
    --------
    >>> import fastbias as fb
    >>> wrong = fb.Conjecture("no x is over a half", lambda rng: rng.uniform(), lambda x: x - 0.5)
    >>> print(fb.hunt(wrong, seconds=5).problem > 0.5)
    True
    """

    statement: str
    draw: Callable[[np.random.Generator], Any]
    violation: Callable[[Any], float]
    smaller: Callable[[Any], Iterator[Any]] = lambda problem: iter(())
    prove: Callable[[Any], dict[str, Any] | None] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.statement, str):
            raise TypeError(f"statement must be a text, got {checks.short(self.statement)}")
        for label in ("draw", "violation", "smaller", "prove"):
            given = getattr(self, label)
            if not callable(given) and (given is not None or label != "prove"):
                raise TypeError(f"{label} of a Conjecture must be callable, got "
                                f"{checks.short(given)}")


CONJECTURES = {
    "stagewise follows l1": Conjecture(
        "steps of length ε → 0 along the steepest coordinates end, on squared loss, at a solution "
        "of least l1 norm", stagewise.draw, stagewise.violation, stagewise.smaller,
        stagewise.prove),
    "gd below 2/lambda converges": Conjecture(
        "gradient descent on logistic loss of data that nothing separates converges wherever η is "
        "below 2/λ, λ the curvature at the minimiser", cycling.draw, cycling.violation,
        cycling.smaller, cycling.prove),
    "adaboost reaches the l1 margin": Conjecture(
        "coordinate descent with exact line search on exponential loss, on features ±1, tends to "
        "the largest l1 margin", boosting.draw, boosting.violation, boosting.smaller,
        boosting.prove),
    # (the same problems, and the same proofs: of exact steps)
    "line search keeps the margin": Conjecture(
        "coordinate descent that reaches the largest l1 margin with shrunken steps, as Telgarsky "
        "(2013) proves, reaches it with exact line search", boosting.draw, boosting.violation,
        boosting.smaller, boosting.prove),
    "small starts find the nuclear norm": Conjecture(
        "gradient flow on UUᵀ and squared loss of some entries of a matrix, from αI, ends at their "
        "completion of least nuclear norm as α → 0", completing.draw, completing.violation,
        completing.smaller, completing.prove),
    "primal momentum leaves the projection": Conjecture(
        "mirror descent on the entropy with primal momentum, eq. (8), ends at the Bregman "
        "projection", straying.draw, straying.violation, straying.smaller, straying.prove),
    "two fixed points of per-sample adam's map": Conjecture(
        "weights c that are the multipliers of the maximum margin in √(wᵀM(c)w), M(c) = "
        "diag √(Σ c² z²), are the only ones", weighing.draw, weighing.violation, weighing.smaller,
        weighing.prove),
}
checking.register({module.KIND: module.check for module in (
    stagewise, cycling, boosting, completing, straying, weighing)})


@dataclass(frozen=True, eq=False, repr=False)
class Found(Shown):
    """What a hunt brought home.

    Parameters
    ----------
    problem : of the conjecture's kind, or None
        The smallest counter-example; None where none was found. (X, y) of "stagewise follows l1";
        (a, c, m, ηλ), one point a and m points −c, of "gd below 2/lambda converges"; a symmetric
        matrix, NaN where entries are hidden, of "small starts find the nuclear norm"; (x₁, x₂, y,
        η, β, γ) of "primal momentum leaves the projection"; the matrix y_n x_nj of the others.
    proof : dict or None
        That it is one, in fractions, as `fastbias.discovery.checking.check` verifies it; None where
        it is only measured.
    violation : float
        By how much.
    tried : int
        Problems that were looked at.
    statement : str
        What it refutes.
    """

    problem: Any
    proof: dict[str, Any] | None
    violation: float
    tried: int
    statement: str

    def _report(self) -> Report:
        if self.problem is None:
            return [f"no counter-example among {self.tried} problems to: {self.statement}"]
        how = "proved" if self.proof is not None else "measured, not proved"
        return [f"a counter-example ({how}) to: {self.statement}", *str(self.problem).splitlines(),
                f"violation {self.violation:.6g}, after {self.tried} problems"]


def hunt(conjecture: str | Conjecture, seconds: float = 60,
         rng: int | np.random.Generator | None = 0) -> Found:
    """Look for a counter-example to a statement, make it small, and prove it.

    Problems are drawn until one violates the statement and can be proved to; then it is made
    simpler, step by step, as long as both stay so. What comes back is a counter-example for sure
    where it has a proof, which was checked; that none was found says nothing.

    Parameters
    ----------
    conjecture : str or Conjecture
        "stagewise follows l1", "gd below 2/lambda converges", "adaboost reaches the l1 margin",
        "line search keeps the margin", "small starts find the nuclear norm", "primal momentum
        leaves the projection", "two fixed points of per-sample adam's map", or one of your own.
    seconds : float > 0, default 60
        When to stop at the latest, but for one draw or proof.
    rng : int, Generator or None, default 0
        Draws the problems.

    Returns
    -------
    Found

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.

    Notes
    -----
    All but the last are known to be false: Hastie et al. 2007 (monotone lasso), Meng et al. 2024
    (cycles of gradient descent), Rudin, Daubechies, Schapire 2004 (AdaBoost), Li, Luo, Lyu 2021
    (nuclear norm), Gunasekar et al. 2018, Example 2 (primal momentum). What was found nowhere else,
    in a search of titles, abstracts and what pages show of papers (December 2026), which may have
    missed much: that the fixed point of Baek, Song, Yun 2025 need not be the only one; where small
    starts end on connected entries with an odd circle, as `fastbias.discovery.completing` proves,
    three entries of a 3 × 3 matrix being enough; and a 7 × 7 matrix on which AdaBoost goes round at
    margin 1/3 of 3/8, where that of Rudin et al. is 8 × 8. No other eyes have been on the proofs.

    Examples
    --------
    >>> import fastbias as fb
    >>> found = fb.hunt("stagewise follows l1", seconds=20)
    >>> found.proof["kind"]
    'stagewise steps end above the least l1 norm'
    """
    if isinstance(conjecture, str):
        conjecture = CONJECTURES[checks.name("conjecture", conjecture, CONJECTURES)]
    if not isinstance(conjecture, Conjecture):
        raise TypeError(f"conjecture must be one of {', '.join(CONJECTURES)}, or a Conjecture, got "
                        f"{checks.short(conjecture)}")
    generator = checks.generator("rng", rng)
    end = monotonic() + checks.number("seconds", seconds, above=0)
    tried, best, proof = 0, None, None
    while proof is None and monotonic() < end:
        problem = conjecture.draw(generator)
        tried += 1
        if conjecture.violation(problem) > 0:
            # one that is only measured is better than none
            best, proof = problem, _proved(conjecture, problem)
            if conjecture.prove is None:
                break
    if best is None:
        return Found(None, None, 0.0, tried, conjecture.statement)
    best, proof, more = _least(conjecture, best, proof, end)
    return Found(best, proof, conjecture.violation(best), tried + more, conjecture.statement)


def _proved(conjecture: Conjecture, problem: Any) -> dict[str, Any] | None:
    """A proof that was checked."""
    if conjecture.prove is None:
        return None
    try:
        document = conjecture.prove(problem)
        return document if document is not None and checking.check(document) else None
    except (ValueError, ZeroDivisionError):
        return None


def _least(conjecture: Conjecture, best: Any, proof: dict[str, Any] | None,
           end: float) -> tuple[Any, dict[str, Any] | None, int]:
    """Simpler problems in turn, as long as they violate the statement and stay proved."""
    tried, again = 0, True
    while again and monotonic() < end:
        again = False
        # the first that is simpler and still one, then from there on
        for problem in conjecture.smaller(best):
            if monotonic() >= end:
                break
            tried += 1
            if conjecture.violation(problem) > 0:
                shown = _proved(conjecture, problem)
                if shown is not None or proof is None:
                    best, proof, again = problem, shown, True
                    break
    return best, proof, tried
