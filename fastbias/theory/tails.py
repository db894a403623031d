"""Losses that fall otherwise than e^−m: gradient descent follows the regularisation path, wherever
that goes.

Let ū be the end of the path argmin L over ‖w‖ ≤ c, in direction. For any δ > 0 and all w far out
L((1 + δ)‖w‖ū) ≤ L(w), hence ⟨−∇L(w), ū⟩ ≥ ⟨−∇L(w), w⟩/((1 + δ)‖w‖) by convexity; added up over
steps whose squares have a finite sum, ⟨w_t, ū⟩ ≥ ‖w_t‖/(1 + δ) − const.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks.foreign import ask
from fastbias.pieces.laws import ours
from fastbias.problem import Problem
from fastbias.solvers import exact
from fastbias.solvers.limit import CERTIFIED, Hypothesis, Limit, Rate
from fastbias.solvers.margins import separate
from fastbias.theory.asked import divided, endless, of_a_flow, sized
from fastbias.theory.asymptotes import Asymptote, flat, flat_norm, gaussian, metric, plain, rule_of
from fastbias.theory.base import Direction, shown
from fastbias.theory.stepsizes import small_steps

__all__ = ["GAUSSIAN", "POLYNOMIAL"]

EPS = float(np.finfo(float).eps)
ROUNDED = 4.0        # roundings of a margin, its power and its product
REFINED = 2          # steps of Newton's method with sums that do not cancel
NEWTON = 200         # steps of Newton's method, which needs some twenty
JI = "Ji, Dudík, Schapire, Telgarsky (2020), Theorems 1 and 5"


def _descends(problem: Problem, flow: bool) -> bool:
    """Whether it is plain gradient descent of a convex loss, in steps that do not grow as it
    falls.
    """
    return flat(problem) and plain(problem) and problem.loss.convex \
        and not (divided(problem) or problem.rule.search)


def _followed(problem: Problem) -> list[Hypothesis]:
    """That the run follows the path."""
    follows = of_a_flow(problem) or bool(small_steps(problem).holds and endless(problem).holds)
    return [*sized(problem),
            Hypothesis("w_t/‖w_t‖ goes where the regularisation path goes", shown(follows),
                       "proved: ⟨−∇L, ū⟩ ≥ ⟨−∇L, w⟩/((1 + δ)‖w‖) far out, for any δ, ū the path's "
                       "end, and Σ‖Δw‖² is finite" if follows else
                       "proved of steps that lower the loss each time")]


def _asked(problem: Problem) -> list[Hypothesis]:
    """That the run follows the path, and where the path goes."""
    return [*_followed(problem), _ends(
        problem, "the path goes to the maximum margin: ℓ(am)/ℓ(m) → ∞ for each a < 1", "Gaussian")]


def _ends(problem: Problem, statement: str, tail: str) -> Hypothesis:
    falls = shown(ours(problem.loss))
    return Hypothesis(statement, falls, f"{problem.loss.name}: a {tail} tail" + (
        "" if falls else ", as far as it was tried: the loss is one's own"))


GAUSSIAN = Direction(
    "a Gaussian tail: the l2 maximum margin, where the regularisation path ends", JI, _descends,
    tail="gaussian", norm=flat_norm, hypotheses=_asked, asymptote=gaussian,
    reason="steps that add up to a finite length cannot reach infinity; the nearest theorem is the "
           "same with step sizes whose sum is infinite")


# --- powers of the margin, of which every sample has its share -----------------------------------

def _heavy(problem: Problem) -> list[Hypothesis]:
    """The same of a polynomial tail."""
    return [*_followed(problem), _ends(
        problem, "the path goes to the least Σ c m^−b over ‖w‖ ≤ 1: r^b L(rw) tends to it",
        "polynomial")]


def _least_power(problem: Problem) -> Limit:
    """The w of length one with the least Σ c_n ⟨w, z_n⟩^−b.

    It is the direction of the minimiser of φ(w) = ½‖w‖² + (1/b) Σ c_n ⟨w, z_n⟩^−b, whose curvature
    is one or more, so that ‖∇φ‖ bounds how far it is.
    """
    b, D, Z = problem.loss.power, metric(problem), problem.Z
    assert b is not None
    half = None if D is None else np.linalg.cholesky(D)
    if half is not None:
        Z = np.linalg.solve(half, Z.T).T
    told = separate(problem.rows)
    assert told.w is not None
    unit = float(np.abs(Z).max())
    # units of the data and of the weights change no direction
    Z, c = Z / unit, np.exp(problem.log_weights - problem.log_weights.max())
    first = np.asarray(told.w.ravel() if half is None else half.T @ told.w.ravel())
    w = _minimiser(Z, c, b, first)
    with np.errstate(all="ignore"):
        lam, pull = _pull(Z, c, b, w)
        m = exact.careful(Z.T, w)
        # what rounding does to a margin, it does b + 1 times to what that pulls
        off = float(np.linalg.norm(w - pull)
                    + ROUNDED * EPS * np.linalg.norm((b + 1.0) * lam @ np.abs(Z)))
        length = float(np.linalg.norm(w))
        gap = off / length if (m > 0).all() and np.isfinite(off) else np.inf
    v = np.asarray(w / length if half is None else np.linalg.solve(half.T, w / length))
    sole = Hypothesis("the minimiser is unique", True, "Σ c m^−b is strictly convex on the span of "
                                                       "the data, and falls along each ray")
    return Limit(v.reshape(problem.shape), "direction", POLYNOMIAL.name, POLYNOMIAL.source, (sole,),
                 bool(gap <= CERTIFIED), gap, lam / lam.sum(), float((problem.Z @ v).min()),
                 flat_norm(problem))


def _minimiser(Z: np.ndarray, c: np.ndarray, b: float, w: np.ndarray) -> np.ndarray:
    """The minimiser of ½‖w‖² + (1/b) Σ c (Zw)^−b, from a w with Zw > 0, by damped Newton steps, the
    last of them with sums that do not cancel.
    """
    def value(w: np.ndarray) -> float:
        m = Z @ w
        return float(0.5 * w @ w + (c * m ** -b).sum() / b) if (m > 0).all() else np.inf

    with np.errstate(all="ignore"):
        m = Z @ w
        # along w itself the least is known
        w = w * float(((c * m ** -b).sum() / (w @ w)) ** (1.0 / (b + 2.0)))
        for _ in range(NEWTON):
            m = Z @ w
            g = (c * m ** (-b - 1.0)) @ Z - w
            H = np.eye(w.size) + (b + 1.0) * (Z.T * (c * m ** (-b - 2.0))) @ Z
            move = ask("a step of Newton's method", "numpy.linalg.solve", H, g)
            size, now, fall = 1.0, value(w), 1e-4 * float(g @ move)
            while size > 1e-12 and not value(w + size * move) <= now - size * fall:
                size *= 0.5
            # values are rounding there, and the move still mends digits
            w = w + (move if size <= 1e-12 and value(w + move) < np.inf else size * move)
            if np.linalg.norm(move) <= 4.0 * EPS * np.linalg.norm(w):
                break
        for _ in range(REFINED):
            move = ask("a step of Newton's method", "numpy.linalg.solve", H,
                       _pull(Z, c, b, w)[1] - w)
            w = w + move if value(w + move) < np.inf else w
    return w


def _pull(Z: np.ndarray, c: np.ndarray, b: float, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """λ = c (Zw)^{−b−1} (N,) and Σ λ z (d,), in sums without rounding of their own."""
    lam = c * exact.careful(Z.T, w) ** (-b - 1.0)
    return lam, exact.careful(Z, lam)


def _powers(problem: Problem, found: Limit) -> Asymptote:
    """Steps that stay: ‖w‖^{b+2} grows like t, and what is beside the direction stays bounded."""
    b = problem.loss.power
    assert b is not None
    if rule_of(problem) != "constant":
        return [], None, ()
    return [], None, (Rate("log loss", "t", -b / (b + 2.0)),)


POLYNOMIAL = Direction(
    "a polynomial tail m^−b: the least Σ c m^−b over ‖w‖₂ ≤ 1, where the regularisation path ends",
    f"{JI}; Ji, Telgarsky (2021), Theorem 5", _descends, tail="polynomial", solve=_least_power,
    hypotheses=_heavy, asymptote=_powers, reason=GAUSSIAN.reason)
