"""The squared loss in closed form: the iterate of a linear recursion at any t, e^(1e9) included, at
the price of one SVD.

Samples of weights c_n are data √c_n x_n, √c_n y_n without. With L(w) = ‖Xw − y‖², full gradients
and constants η, β, γ, eq. (3) is a linear recursion,

    Δw⁺ = β Δw − 2η D⁻¹ Xᵀ(X(w + γ Δw) − y),    w⁺ = w + Δw⁺,

with D = I, or D the matrix of a quadratic geometry: steepest descent in ‖·‖_D and natural gradient
with ½wᵀDw move by D⁻¹∇L; mirror descent with that ψ has ∇ψ(w) = Dw, so dual momentum, β Δz = β D Δw
(eq. 7), and primal momentum, ∇ψ(w + β Δw) = Dw + β D Δw (eq. 8), are both D times eq. (3). With D =
C Cᵀ and v = Cᵀw it is eq. (3) with D = I on the data X C⁻ᵀ = U diag(σ) Vᵀ, and decouples: in the
mode of σ, with x = 2ησ², the error e = v − v∞ and the move δ obey

    [e⁺]   [1 − x   b] [e]      b = β − γx,   a = 1 − x + b = r₁ + r₂,   b = r₁ r₂,
    [δ⁺] = [ −x     b] [δ],     (1 − r₁)(1 − r₂) = x,

and what lies outside the span of the modes drifts, Δw (β + … + β^k) in k updates. So with q =
r₂/r₁, |q| ≤ 1,

    e_k = A e₀ + B δ₀,   A = r₁^(k−1) (r₁ + (1 − x − r₁) S),   B = r₁^(k−1) b S,

    S = 1 + q + … + q^(k−1).

Why the roots and not the power of the matrix: 1 − x and b round away the digits of x and of 1 − β,
from which both roots are 1 − O(√x); k squarings of it then lose t·eps. Here the discriminant is
factored, which keeps them,

    a² − 4b = (((1 − β)/(1 + √m))² − x) ((1 + √m)² − (1 + γ)² x),   m = β − γ(1 − β),

1 − r₁ is had from the product above without cancellation (for r₁ < 0, 1 + r₁ from 2(1 + β) − (1 +
2γ)x), and S goes to k where the roots meet, so that a repeated root is no case of its own. The
error is that of x itself, and the same formula gives k log|r₁| at any k: what is too small for
float64 is exactly 0, and log L goes on falling.

Times are whole steps: exp(log t) is rounded to the nearest one, which under 2^53 is an exact
integer. From there on the float64 number exp(log t) is t (an even number), so the phase k θ of an
oscillating mode means nothing beyond t ≈ 1/(θ eps); such a mode has died by then unless |r₁| = 1,
and `error_estimate` says so where it has not.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias.checks import foreign
from fastbias.engine.abi import MESSAGES, Status
from fastbias.forward.choice import Refused
from fastbias.pieces import losses
from fastbias.problem import Problem
from fastbias.solvers.limit import PAPER, NoTheorem
from fastbias.theory.asymptotes import metric
from fastbias.theory.base import quadratic
from fastbias.trace import Trace

__all__ = ["at", "covers"]

EPS = float(np.finfo(float).eps)
LAST = 2.0 ** 63      # the t that no longer fits int64


OTHERS: tuple[Refused, ...] = (
    Refused(lambda p: p.loss.slope is not losses.squared.slope,
            lambda p: "the closed form is for the squared loss, whose gradient is linear, not for "
                      f"the {p.loss.name} loss"),
    Refused(lambda p: not p.model.linear,
            lambda p: f"the closed form is for the linear model: in the {p.model.name} model the "
                      "recursion is not linear"),
    Refused(lambda p: p.method.decay > 0 or p.method.shrink > 0,
            "the closed form is for the loss alone, not for methods with weight decay"),
    Refused(lambda p: not p.method.memoryless or p.method.ties is not None or p.method.unscaled
            or not p.method.as_made,
            lambda p: "the closed form is for gradient, mirror, natural and steepest descent with "
                      f"steps in proportion to the gradient, not for {p.method!r}"),
    Refused(lambda p: not quadratic(p),
            lambda p: "the closed form is for quadratic geometries, where the recursion is linear, "
                      f"not for {p.method!r}"),
    Refused(lambda p: bool(p.method.sampling.batch),
            "the closed form is for full gradients: with a batch the recursion is another one at "
            "every update"),
    Refused(lambda p: p.method.within is not None,
            "the closed form is for parameters that are projected on no set"),
    Refused(lambda p: not p.method.stated,
            "the closed form is for gradients as they are, without noise, of any length, not asked "
            "for at other points"),
    Refused(lambda p: p.method.constraint is not None,
            "the closed form is for methods without a constraint"),
    Refused(lambda p: not p.method.constant or p.method.rule.search,
            lambda p: "the closed form is for a constant step size and constant momentum, not for "
                      f"{p.method!r}"),
)
"""What the closed form is not for, the first row that covers a problem deciding."""


def covers(problem: Problem) -> str | None:
    """Return None where the closed form covers the problem, else one sentence that says why not."""
    return next((row.told(problem) for row in OTHERS if row.covers(problem)), None)


def at(problem: Problem, u: np.ndarray, move: np.ndarray, t: int, log_t: ArrayLike) -> Trace:
    """Return the iterates at the times asked for, from where a run stands.

    Parameters
    ----------
    problem : Problem
        One that `covers` has nothing against.
    u, move : (n,) float64
        The parameters, and the last Δu, when t updates are done.
    t : int ≥ 0
        Updates done.
    log_t : (K,) array-like, increasing
        Natural logarithms of the times, none before t; −inf is t = 0. exp(log t) is rounded to a
        whole step; np.log(t) names the step t as long as t < 1e14.

    Returns
    -------
    Trace
        ``t`` is −1 from 2^63 on; ``log_t`` always tells the time. ``log_loss`` is formed in the log
        domain, so it falls on where the residual has long underflowed (−inf where it is exactly 0,
        or under −1.8e308). A y that X reaches but for rounding counts as reached, and singular
        values under max(N, n) eps σ₁ count as 0. ``error_estimate`` (K,) bounds the rounding errors
        of w, largest entry: what an error of X by 4 √max(N, n) eps, relatively, does to it to first
        order through σ, the modes and an unreachable part of y, every term by its size. Where
        iterates overflow the finite rows come back, with ``Status.NOT_FINITE``.

    Raises
    ------
    NoTheorem
        Where the problem is another one.
    ValueError
        Where the times do not increase, or lie before t.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eqs. (3), (7), (8), (11); Polyak (1964) for the modes of
    the heavy ball.

    Examples
    --------
    >>> import fastbias as fb, numpy as np
    >>> from fastbias.forward import closed_form
    >>> method = fb.methods.gradient_descent(0.001, momentum=0.9)
    >>> plan = fb.Plan([[3, 4]], [5], loss="squared", method=method)
    >>> trace = closed_form.at(plan.problem, plan.u, np.zeros(2), 0, [np.log(1000), 1e9])
    >>> print(trace.t, trace.w[1].round(12), trace.log_loss.round(6))
    [1000   -1] [0.6 0.8] [-102.740897        -inf]
    """
    why = covers(problem)
    if why is not None:
        raise NoTheorem(why, f"{PAPER}, eq. (3)")
    k, steps, times = _times(log_t, t)
    with np.errstate(all="ignore"):
        modes = _modes(problem)
        rows, log_loss, error = _rows(problem, modes, u, move, k[:, None])
    whole = np.isfinite(rows).all(axis=1)
    K = whole.size if whole.all() else int(np.argmin(whole))
    status = Status.OK if whole.size == K else Status.NOT_FINITE
    message = f"closed form of the linear recursion from t = {t}"
    if status:
        message = f"{MESSAGES[status]} by log t = {times[K]:.9g}"
    return Trace(steps[:K], rows[:K], rows[:K].reshape(K, *problem.shape), log_loss[:K], status,
                 message, problem,
                 error[:K], times[:K])


def _times(log_t: ArrayLike, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The updates still to do (float64, inf included), the steps (int64, −1 from 2^63 on), and
    their logarithms.
    """
    asked = np.array(log_t, dtype=float)
    if asked.ndim != 1 or asked.size == 0 or not (asked[0] < np.inf
                                                  and (asked[1:] > asked[:-1]).all()):
        raise ValueError("log_t must be a (K,) array that increases, K > 0")
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        exact = np.exp(asked)
        T = np.rint(exact)
        log_now = np.log(float(t))
        if asked[0] < log_now - 1e-9 or (T[0] < t and T[0] < 2.0 ** 53):
            raise ValueError(f"log_t must not lie before log t = {log_now:.9g}, where the run "
                             f"stands, got {asked[0]:.9g}")
        meant = (np.abs(exact - T) <= 1e-9 * T) | (T >= 2.0 ** 53)
        times = np.where(meant, asked, np.log(T))
    steps = np.full(T.size, -1, np.int64)
    fits = T <= LAST
    steps[fits] = T[fits].astype(np.int64)
    return np.maximum(T - t, 0.0), steps, times


class _Modes(NamedTuple):
    """The r modes of a problem, D = C Cᵀ: singular values of X C⁻ᵀ = U diag(σ) Vᵀ, and what scales
    their rounding.
    """

    sigma: np.ndarray    # (r,)
    x: np.ndarray        # (r,)    2ησ²
    U: np.ndarray        # (N, r)
    back: np.ndarray     # (n, r)  C⁻ᵀ V, to w from the modes
    into: np.ndarray     # (n, r)  C V, whose transpose goes from w to the modes
    shrunk: float        # ‖C⁻¹‖₂
    spread: float        # ‖C‖₂ ‖C⁻¹‖₂
    rounding: float      # relative, of X C⁻ᵀ and its decomposition


def _modes(problem: Problem) -> _Modes:
    """The singular value decomposition that decouples the recursion."""
    A, D, eta = problem.even[0], metric(problem), problem.rule(0)
    shrunk = spread = 1.0
    if D is not None:
        C, values = (foreign.ask("the geometry's matrix", f"numpy.linalg.{name}",
                                 D) for name in ("cholesky", "eigvalsh"))
        shrunk, spread = float(values[0] ** -0.5), float((values[-1] / values[0]) ** 0.5)
        A = foreign.ask("the modes", "scipy.linalg.solve_triangular", C, A.T, lower=True).T
    U, sigma, Vt = foreign.ask("the modes", "numpy.linalg.svd", A, full_matrices=False)
    keep = sigma > max(A.shape) * EPS * sigma[0]
    U, sigma, V = U[:, keep], sigma[keep], Vt[keep].T
    back, into = (V, V) if D is None else (
        foreign.ask("the modes", "scipy.linalg.solve_triangular", C, V, lower=True, trans="T"),
        C @ V)
    return _Modes(sigma, 2.0 * eta * sigma ** 2, U, back, into, shrunk, spread,
                  4.0 * EPS * max(A.shape) ** 0.5 * spread)


class _Roots(NamedTuple):
    """The roots of each mode, ±(|a|/2 ± h) or ±(|a|/2 ± ih), and what of them keeps its digits; all
    (r,).
    """

    x: np.ndarray
    real: np.ndarray
    back: np.ndarray      # a < 0: r₁ = −R, and the sign changes at every update
    h: np.ndarray
    R: np.ndarray         # |r₁|
    log_r: np.ndarray     # log R
    angle: np.ndarray     # of complex roots ±R e^(±i angle), 0 for real ones
    b: np.ndarray
    rest: np.ndarray      # 1 − x − r₁, its real part for complex roots


def _roots(x: np.ndarray, beta: float, gamma: float) -> _Roots:
    """The roots of r² − a r + b, without the cancellations that the module's docstring speaks
    of.
    """
    lack = 1.0 - beta
    b, c = beta - gamma * x, lack + gamma * x                       # c = 1 − b
    a = (1.0 + beta) - (1.0 + gamma) * x
    back, half = a < 0, 0.5 * np.abs(a)
    short = 0.5 * np.where(back, 2.0 + a, c + x)                    # 1 − |a|/2
    both = np.where(back, 2.0 * (1.0 + beta) - (1.0 + 2.0 * gamma) * x, x)
    m = beta - gamma * lack
    if m >= 0:
        square = ((lack / (1.0 + m ** 0.5)) ** 2 - x) * ((1.0 + m ** 0.5) ** 2 - (1.0 + gamma) ** 2
                                                         * x)
    else:                                                           # then no x has complex roots
        square = ((1.0 + gamma) * x - lack) ** 2 - 4.0 * m * x
    # near −1, where x has no digits to keep
    square = np.where(back & (short < 0.5), short ** 2 - both, 0.25 * square)
    real, h = square >= 0, np.sqrt(np.abs(square))
    R = np.where(real, half + h, np.hypot(half, h))
    away = np.where(short > 0, both / (short + h), short - h)       # 1 − R, of real roots
    log_r = np.where(real, np.log1p(-away), 0.5 * np.log1p(-c))
    log_r = np.where(np.where(real, away, c) > 0.5, np.log(R), log_r)
    rest = np.where(real, np.where(back, 1.0 - x + R, away - x), 0.5 * (c - x))
    return _Roots(x, real, back, h, R, log_r, np.where(real, 0.0, np.arctan2(h, half)), b, rest)


class _Power(NamedTuple):
    """The k-th power of each mode's recursion; all (K, r)."""

    less: np.ndarray      # A − 1
    B: np.ndarray
    terms: np.ndarray     # the terms of A − 1, absolute
    log_scale: np.ndarray  # log R^(k−1)
    a: np.ndarray         # ± A / R^(k−1)
    b: np.ndarray         # ± B / R^(k−1), with the same sign


def _power(roots: _Roots, k: np.ndarray) -> _Power:
    """A and B of the module's docstring after k (K, 1) ≥ 1 updates."""
    real, back, R = roots.real, roots.back, roots.R
    odd = np.fmod(k, 2.0) == 1.0
    # of r₁^k; that of r₁^(k−1) is turn
    sign = np.where(back & odd, -1.0, 1.0)
    turn = np.where(back, -sign, sign)
    near = np.where(real & (R > 0), 2.0 * roots.h / R, 0.0)         # 1 − q
    ratio = np.where(odd, -1.0, 1.0) * np.exp(_raised(np.log(np.abs(1.0 - near)), k))
    S = np.where(near > 1, 1.0 - ratio, -np.expm1(_raised(np.log1p(-near), k))) / near
    angle = roots.angle * np.minimum(k, 1e300)
    S = np.where(real, np.where(near == 0, k, S), np.sin(angle) / np.sin(roots.angle))
    log_scale = _raised(roots.log_r, k - 1.0)
    scale, wave = np.exp(log_scale), sign * np.cos(angle)

    # 0 where R^(k−1) or x is, though the other overflows
    def scaled(x: np.ndarray) -> np.ndarray:
        return np.where((scale == 0) | (x == 0), 0.0, turn * scale * x)

    terms = (np.expm1(_raised(roots.log_r, k)) * wave,
             np.where(sign > 0, -2.0 * np.sin(0.5 * angle) ** 2, wave - 1.0),
             scaled(roots.rest * S))
    return _Power(np.sum(terms, axis=0), scaled(roots.b * S), np.sum(np.abs(terms), axis=0),
                  log_scale,
                  np.where(back, -R, R) * np.cos(angle) + roots.rest * S, roots.b * S)


def _reaction(roots: _Roots, beta: float, gamma: float, error: np.ndarray,
              k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (K, r) on |x ∂A/∂x| and |x ∂B/∂x| wherever x is known to a relative error (r,).

    dM^k = Σ M^i dM M^(k−1−i), whose factors are at most R^i min(i, R/h); near a repeated root an
    error of x moves h by its square root, which may bring roots together or drive them apart, and
    that is allowed for.
    """
    x, h, b = roots.x, roots.h, np.abs(roots.b)
    # of h²
    moved = 0.5 * error * x * (1.0 + np.abs(beta - gamma * (1.0 - beta)) + (1.0 + gamma) ** 2 * x)
    apart = np.where(roots.real, moved / (h + np.sqrt(h ** 2 + moved)),
                     np.sqrt(np.maximum(moved - h ** 2, 0.0)))
    R = roots.R + apart
    log_r = np.where(roots.R > 0, roots.log_r + np.log1p(apart / roots.R), np.log(apart))
    # of |S|
    most = np.minimum(k, R / np.sqrt(np.maximum(h ** 2 - moved, 0.0)))
    first = np.exp(_raised(log_r, k - 1.0))
    later = np.exp(_raised(log_r, np.maximum(k - 2.0, 0.0)))
    later = np.where((k == 1) | (later == 0), 0.0, later * (k - 1.0) * most)
    first = np.where(first == 0, 0.0, first * most)
    off = np.where(roots.real, np.abs(roots.rest), np.hypot(roots.rest, h)) + gamma * x
    return (x * (first + later * (R + np.where(later == 0, 0.0, off * most))),
            x * (_product(first, gamma) + _product(np.where(later == 0, 0.0, later * most),
                                                   b + gamma * (b + R))))


def _raised(log_r: np.ndarray, k: np.ndarray) -> np.ndarray:
    """The logarithm k log R of R^k, 1 where R is 1 or k is 0 (0 times infinity would be NaN)."""
    return np.asarray(np.where((log_r == 0) | (k == 0), 0.0, k * log_r))


def _rows(problem: Problem, modes: _Modes, u: np.ndarray, move: np.ndarray,
          k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameters (K, n), log L (K,), and the bound on the error of the parameters (K,), k (K, 1)
    updates from here.
    """
    X, y = problem.even
    n, r, lack = u.size, modes.x.size, 1.0 - float(problem.method.beta[0])
    beta, gamma = float(problem.method.beta[0]), float(problem.method.gamma[0])
    f0, delta = modes.U.T @ (X @ u - y), modes.into.T @ move                      # σ e₀, δ₀
    still = move - modes.back @ delta if r < n else np.zeros(n)
    # β + … + β^k
    drift = k if lack == 0 else -np.expm1(_raised(np.log1p(np.array([-lack])), k)) * (beta / lack)
    roots, ahead = _roots(modes.x, beta, gamma), np.maximum(k, 1.0)
    p = _power(roots, ahead)
    change = (_product(p.less, f0 / modes.sigma) + _product(p.B, delta)) @ modes.back.T \
        + _product(drift, still)

    left = _unreachable(modes, y)
    logs = np.where(p.log_scale == -np.inf, -np.inf,
                    p.log_scale + np.log(np.abs(p.a * f0 + p.b * (modes.sigma * delta))))
    logs = np.hstack([np.where(k == 0, np.log(np.abs(f0)), logs), np.full(k.shape, np.log(left))])
    top = logs.max(axis=1)
    log_loss = np.where(top == -np.inf, -np.inf,
                        2.0 * top + np.log(np.exp(2.0 * (logs.T - top)).sum(axis=0)))

    longest = modes.spread / modes.shrunk                                         # ‖v‖ ≤ ‖C‖ ‖w‖
    start, moved, e0 = longest * np.linalg.norm(u), longest * np.linalg.norm(move), \
        np.abs(f0 / modes.sigma)
    sizes = start + np.minimum(np.linalg.norm(e0),
                               np.linalg.norm(f0) / modes.sigma) + np.linalg.norm(y) \
                                   / modes.sigma[:1]
    # relative, of each σ
    error = modes.rounding * modes.sigma[:1] / modes.sigma
    dA, dB = _reaction(roots, beta, gamma, 2.0 * error, ahead)
    dA, drift = error * (p.terms + 2.0 * dA), drift if r < n else np.zeros_like(k)
    bound = modes.rounding * start + _most(_product(dA, sizes)) \
        + _product(dA, e0).sum(axis=1, keepdims=True) \
        + _product(modes.rounding * drift
                   + _most(error * (np.abs(p.B) + np.abs(drift - p.B) + 2.0 * dB)), moved) \
        + _product(_most(error / modes.sigma * p.terms), left)
    return u + np.where(k == 0, 0.0, change), log_loss, \
        np.where(k == 0, 0.0, modes.shrunk * bound).ravel()


def _unreachable(modes: _Modes, y: np.ndarray) -> float:
    """The least-squares residual ‖y − Xw‖₂, 0 where it is rounding."""
    if modes.sigma.size == y.size:
        return 0.0
    goal = modes.U.T @ y
    left = float(np.linalg.norm(y - modes.U @ goal))
    size = float(np.linalg.norm(y)) + float(np.linalg.norm(goal / modes.sigma)) \
        * float(modes.sigma.max(initial=0.0))
    return left if left > 4.0 * modes.rounding * y.size ** 0.5 * size else 0.0


def _product(factor: np.ndarray, size: ArrayLike) -> np.ndarray:
    """Their product, 0 where the size is 0 (and the factor perhaps infinite)."""
    return np.asarray(np.where(size == 0, 0.0, factor * size))


def _most(x: np.ndarray) -> np.ndarray:
    """The largest entry of each row, (K, 1)."""
    return np.asarray(np.max(x, axis=1, keepdims=True, initial=0.0))
