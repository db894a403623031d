"""Strictly monotone losses (Property 2) of the margin m = y p, labels ±1: exponential, logistic,
probit, sigmoid.

Each is its log ℓ(m) and its log(−ℓ'(m)), right to a few units in the last place for any m: the loss
itself dies at m ≈ 745, and runs go far beyond. The four share two compiled pieces that branch on
``params[0]``. Cross-entropy is the logistic loss of K classes.
"""
from __future__ import annotations

import math

import numpy as np

from fastbias.checks import foreign
from fastbias.engine import dense_pass
from fastbias.engine.abi import LOG_LOSS, SLOPE, kernel, piece, twin
from fastbias.engine.simd import exp, lane, larger, load8, negative, smaller, splat8, store
from fastbias.pieces.losses.base import Loss

__all__ = ["cross_entropy", "exponential", "logistic", "probit", "sigmoid"]

EXPONENTIAL, LOGISTIC, SIGMOID, PROBIT = 0.0, 1.0, 2.0, 3.0
FRACTION = 170                           # terms of Mills' fraction that are enough at 2
LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)
ROOT_HALF = math.sqrt(0.5)
GONE = 800.0                             # e^−x is 0 from here on


@kernel
def _softplus(x):
    """log(1 + e^x)."""
    # e^x itself overflows at 710
    return x + np.log1p(np.exp(-x)) if x > 0.0 else np.log1p(np.exp(x))


@kernel
def _log_mills(x):
    """Logarithm of Mills' ratio (1 − Φ(x))/φ(x) for x ≥ 2, by its continued fraction x + 1/(x +
    2/(x + 3/…)).
    """
    tail = x
    # the fraction converges the slower the smaller x is: some 170 terms at 2, 20 far out
    for k in range(int(20.0 + 600.0 / (x * x)), 0, -1):
        tail = x + k / tail
    return -np.log(tail)


@kernel
def _log_upper(x):
    """log(1 − Φ(x)), the upper tail of the normal distribution."""
    if x >= 2.0:
        return -0.5 * x * x - LOG_ROOT_2PI + _log_mills(x)
    # erfc keeps the digits of a small tail; left of −1 the tail is near
    # one, and what it lacks is what has digits
    if x > -1.0:
        return np.log(0.5 * math.erfc(x * ROOT_HALF))
    return np.log1p(-0.5 * math.erfc(-x * ROOT_HALF))


@kernel
def _log_of_minus(x):
    """log(−log(1 − e^x)) for x < 0: what is left of −log(1 − Q) when Q = e^x is far below
    rounding.
    """
    return x + 0.5 * np.exp(x) if x < -36.0 else np.log(-np.log1p(-np.exp(x)))


@kernel
def _log_loss_at(kind, m):
    """log ℓ(m)."""
    if kind == EXPONENTIAL:
        return -m
    if kind == LOGISTIC:
        # to second order, which is all of float64 there: e^−m vanishes at 745, log ℓ goes on
        return -m - 0.5 * np.exp(-m) if m > 36.0 else np.log(_softplus(-m))
    if kind == SIGMOID:
        return -_softplus(m)
    return _log_of_minus(_log_upper(m)) if m > 0.0 else np.log(-_log_upper(-m))


@kernel
def _log_slope_at(kind, m):
    """log(−ℓ'(m))."""
    if kind == EXPONENTIAL:
        return -m
    if kind == LOGISTIC:
        return -_softplus(m)
    if kind == SIGMOID:
        # ℓ' is even in m, and e^|m| would overflow
        return -abs(m) - 2.0 * np.log1p(np.exp(-abs(m)))
    return -_log_mills(-m) if m <= -2.0 else -0.5 * m * m - LOG_ROOT_2PI - _log_upper(-m)


@kernel
def _least_margin(p, y):
    """The least margin; NaN where one is not finite."""
    # comparisons with NaN are false, so that min alone might pass over it
    least = np.inf
    for i in range(p.size):
        if not np.isfinite(p[i]):
            return np.nan
        least = min(least, y[i] * p[i])
    return least


@kernel
def _exponentials(x, y, s):
    """y e^(x − s) of eight, for x ≤ s (NaN beyond float64, as where a run has ended)."""
    return y * exp(larger(-GONE, x - s), 0.0)             # (the second, where it is NaN)


@kernel
def _logistic_slopes(p, y):
    """1/(1 + e^m) of eight."""
    e = exp(smaller(GONE / 2, larger(-GONE, negative(y) * p)), 0.0)
    return e / (e + 1.0)


@piece(SLOPE, needs=1)
def _slope(params, p, y, q):
    # (what is left of eights does as eights do: no bit says where a sample stands)
    eights = p.size // 8 * 8
    # 1/(1 + e^m) itself, where it does not vanish
    if params[0] == LOGISTIC:
        largest = 0.0
        for i in range(0, eights, 8):
            store(q, i, _logistic_slopes(load8(p, i), load8(y, i)))
        for i in range(eights, p.size):
            q[i] = lane(_logistic_slopes(splat8(p[i]), splat8(y[i])), 0)
        for i in range(p.size):
            largest = max(largest, q[i])
        # what has vanished then is beyond 1e-270 of it
        if largest > 1e-30:
            for i in range(p.size):
                q[i] = y[i] * (q[i] / largest)
            return np.log(largest)
    s = -np.inf
    for i in range(p.size):
        q[i] = _log_slope_at(params[0], y[i] * p[i])
        s = max(s, q[i])
    # of −m²/2, or of a prediction
    if not np.isfinite(s):
        least = _least_margin(p, y)                       # whose term is all that there is
        if np.isfinite(least):
            for i in range(p.size):
                q[i] = y[i] if y[i] * p[i] == least else 0.0
            return s
        s = 0.0
    for i in range(0, eights, 8):
        store(q, i, _exponentials(load8(q, i), load8(y, i), s))
    for i in range(eights, p.size):
        q[i] = lane(_exponentials(splat8(q[i]), splat8(y[i]), s), 0)
    return s


@piece(LOG_LOSS, needs=1)
def _log_loss(params, p, y):
    # one pass: the sum is rescaled when a larger term comes
    largest, total = -np.inf, 0.0
    for i in range(p.size):
        x = _log_loss_at(params[0], y[i] * p[i])
        if x > largest:
            total = total * np.exp(largest - x) + 1.0
            largest = x
        elif np.isnan(x):
            return x
        else:
            total += np.exp(x - largest)
    return largest + np.log(total) if np.isfinite(largest) else largest


def _log_phi(m: np.ndarray) -> np.ndarray:
    """log Φ(m)."""
    return np.asarray(foreign.library("scipy.special").log_ndtr(m))


def _bell(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """log(1/(1 + e^m)(1 + e^−m)), which is even in m."""
    m = np.abs(y * p)
    return np.asarray(-m - 2.0 * np.log1p(np.exp(-m)))


def _probit_bend(p: np.ndarray, y: np.ndarray,
                 v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ℓ'' = λ(λ + m), λ = φ(m)/Φ(m) = −ℓ'; far on the wrong side λ + m by Mills' fraction, where
    the two would cancel.
    """
    m = y * p
    wrong = m < -2.0
    # λ = x + 1/(x + 2/(x + …)), x = −m
    x = np.where(wrong, -m, 2.0)
    tail = x
    for k in range(FRACTION, 1, -1):
        tail = x + k / tail
    r = np.where(wrong, np.log(x + 1.0 / tail), -0.5 * m * m - LOG_ROOT_2PI - _log_phi(m))
    return r, np.where(wrong, 1.0 / tail, m + np.exp(r)) * v


# one pair of pieces is four losses, so a twin goes by their number as well
twin(dense_pass.EXPONENTIAL, _slope, _log_loss, where=lambda params: params[0] == EXPONENTIAL)
twin(dense_pass.LOGISTIC, _slope, _log_loss, where=lambda params: params[0] == LOGISTIC)

exponential = Loss("exponential", _slope, _log_loss, "monotone", np.array([EXPONENTIAL]),
                   tail="exponential", steepness=1.0, bend=lambda p, y, v: (-y * p, v),
                   excess=np.zeros_like, ratio=np.ones_like)
"""ℓ(u, y) = exp(−uy)."""

logistic = Loss("logistic", _slope, _log_loss, "monotone", np.array([LOGISTIC]), tail="exponential",
                curvature=0.25, steepness=1.0, bend=lambda p, y, v: (_bell(p, y), v),
                excess=lambda m: -np.logaddexp(0.0, -m),
                ratio=lambda m: 0.5 + 0.5 * np.tanh(m / 2.0))
"""ℓ(u, y) = log(1 + exp(−uy))."""

sigmoid = Loss("sigmoid", _slope, _log_loss, "monotone", np.array([SIGMOID]), tail="exponential",
               convex=False, bend=lambda p, y, v: (_bell(p, y), np.tanh(y * p / 2.0) * v),
               curvature=1.0 / (6.0 * math.sqrt(3.0)), ratio=lambda m: np.tanh(m / 2.0),
               excess=lambda m: m - np.abs(m) - 2.0 * np.log1p(np.exp(-np.abs(m))))
"""ℓ(u, y) = 1/(1 + exp(uy)), which is not convex."""

probit = Loss("probit", _slope, _log_loss, "monotone", np.array([PROBIT]), tail="gaussian",
              curvature=1.0, bend=_probit_bend,
              excess=lambda m: -LOG_ROOT_2PI - _log_phi(m),
              ratio=lambda m: m + np.exp(-0.5 * m * m - LOG_ROOT_2PI - _log_phi(m)))
"""ℓ(u, y) = −log Φ(uy): its tail is Gaussian, so the margin theorems, which ask for an exponential
one, do not cover it.
"""


def _classes(params: np.ndarray, predictions: int, samples: int, *_: int) -> bool:
    """Whether there are two classes or more; that labels are below K is checked where labels
    are.
    """
    return predictions % samples == 0 and predictions >= 2 * samples


@piece(SLOPE, needs=_classes)
def _classes_slope(params, p, y, q):
    # −∂ℓ/∂p_c = −e^{p_c − p_y}/(1 + e^a), e^a = Σ_{c ≠ y} e^{p_c − p_y}, and minus the sum of these
    # for the own class
    # (the own class's is summed, not 1 − …, which would be 0 long before the others are)
    N, s = y.size, -np.inf
    K = p.size // N
    for n in range(N):
        own = int(y[n])
        total = _softplus(_rivals(p, n, own, N))
        for c in range(K):
            if c != own:
                q[c * N + n] = p[c * N + n] - p[own * N + n] - total
                s = max(s, q[c * N + n])
    if not np.isfinite(s):
        s = 0.0
    for n in range(N):
        own, total = int(y[n]), 0.0
        for c in range(K):
            if c != own:
                weight = np.exp(q[c * N + n] - s)
                q[c * N + n] = -weight
                total += weight
        q[own * N + n] = total
    return s


@piece(LOG_LOSS, needs=_classes)
def _classes_log_loss(params, p, y):
    largest, total = -np.inf, 0.0
    for n in range(y.size):
        x = _log_loss_at(LOGISTIC, -_rivals(p, n, int(y[n]), y.size))
        if x > largest:
            total = total * np.exp(largest - x) + 1.0
            largest = x
        elif np.isnan(x):
            return x
        else:
            total += np.exp(x - largest)
    return largest + np.log(total) if np.isfinite(largest) else largest


@kernel
def _rivals(p, n, own, N):
    """log Σ_{c ≠ own} e^{p_c − p_own} of sample n."""
    largest, total = -np.inf, 0.0
    for c in range(p.size // N):
        if c != own:
            x = p[c * N + n] - p[own * N + n]
            if np.isnan(x):
                return x
            largest = max(largest, x)
    # ∞ − ∞ would be NaN below
    if not np.isfinite(largest):
        return largest
    for c in range(p.size // N):
        if c != own:
            total += np.exp(p[c * N + n] - p[own * N + n] - largest)
    return largest + np.log(total)


def _classes_bend(p: np.ndarray, y: np.ndarray,
                  v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P ∘ (v − ⟨P, v⟩) of each sample, from its likeliest class on: beside that one alone nothing
    cancels, however near to 0 the others are.
    """
    at, way = p.reshape(-1, y.size), v.reshape(-1, y.size)
    top = at.argmax(axis=0)[None]
    others = np.arange(len(at))[:, None] != top
    logs = np.where(others, at - np.take_along_axis(at, top, 0), -np.inf)
    rest = np.log1p(np.exp(logs).sum(axis=0))
    r = logs.max(axis=0) - rest
    P = np.exp(logs - (r + rest))
    turn = way - np.take_along_axis(way, top, 0)
    mean = (P * turn).sum(axis=0)
    h = np.where(others, P * (turn - np.exp(r) * mean), -np.exp(-rest) * mean)
    return r, h.ravel()


cross_entropy = Loss("cross_entropy", _classes_slope, _classes_log_loss, "monotone",
                     tail="exponential", curvature=0.5, steepness=2.0,
                     classes=True, bend=_classes_bend)
"""ℓ(u, y) = log Σ_c exp(u_c − u_y) for classes y in 0 … K−1 and predictors (K, d); the logistic
loss of K classes.
"""

EXAMPLES: tuple[Loss, ...] = (exponential, logistic, sigmoid, probit, cross_entropy)
