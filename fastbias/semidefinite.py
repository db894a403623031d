"""The maximum margin over positive semidefinite matrices of unit trace, Theorem 7's limit, with its certificate.

Any W ⪰ 0 bounds it from below by min_n ⟨W, Z_n⟩/tr W, any λ ≥ 0 with Σλ = 1 from above by λ_max(Σ λ_n Z_n), the Z_n
symmetric. Where that is not positive for some λ, no W ⪰ 0 separates.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastbias import checks, norms
from fastbias.limits import Hypothesis, Limit
from fastbias.margins import CONIC
from fastbias.oracles import solve_tightly
from fastbias.problem import signed

__all__ = ["NotSeparable", "psd_margin", "widest_semidefinite"]

NONE = 1e-9        # a largest eigenvalue under so much of the samples' size is none


class NotSeparable(ValueError):  # noqa: N818 (it names the event)
    """No positive semidefinite matrix separates: ``dual`` is a λ ≥ 0, Σλ = 1, with Σ λ_n y_n X_n ⪯ 0."""

    def __init__(self, dual: np.ndarray) -> None:
        super().__init__("X, y must be separable by a positive semidefinite matrix to have a maximum margin among them; a λ "
                         "in .dual certifies that they are not: Σ λ_n y_n X_n has no positive eigenvalue")
        self.dual = dual


def psd_margin(X: Any, y: Any) -> Limit:
    """Solve max over W ⪰ 0, tr W ≤ 1 of min_n y_n⟨W, X_n⟩, with its certificate: the limit of Theorem 7.

    Parameters
    ----------
    X : (N, n, n)
        Samples; their symmetric parts are all that counts.
    y : (N,) of ±1

    Returns
    -------
    Limit
        ``kind`` "direction"; ``w`` (n, n) of trace 1; ``margin``; ``dual`` λ ≥ 0, Σλ = 1; ``duality_gap`` = (upper − lower)/
        upper, recomputed from w and λ alone; ``certified``: it is at most 1e-8.

    Raises
    ------
    ValueError
        Where no W ⪰ 0 separates the data (`NotSeparable`, with the certificate in ``.dual``), or an argument is bad.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), Theorem 7.

    Examples
    --------
    >>> import fastbias as fb
    >>> limit = fb.psd_margin([[[1, 0], [0, 0]], [[0, 0], [0, 2]]], [1, 1])
    >>> print(limit.w.round(6) + 0, round(limit.margin, 6))
    [[0.666667 0.      ]
     [0.       0.333333]] 0.666667
    """
    X = checks.array("X", X, "an (N, n, n)", dims=3)
    if X.shape[1] != X.shape[2]:
        raise ValueError(f"X must be an (N, n, n) array, got shape {X.shape}")
    y = checks.array("y", y, "an (N,) array", dims=1, length=X.shape[0])
    checks.signs(y)
    return widest_semidefinite(signed(X.reshape(len(X), -1), y), X.shape[1])


def widest_semidefinite(Z: np.ndarray, n: int) -> Limit:
    """The same for the rows z (N, n²) themselves."""
    rows = Z.reshape(-1, n, n)
    rows = (rows + rows.transpose(0, 2, 1)) / 2
    size = float(np.linalg.norm(rows, 2, axis=(1, 2)).max())
    W, lam = _solve(rows / max(size, 1e-300), None)
    lower, upper = _bounds(rows, W, lam)
    if upper <= NONE * size:
        raise NotSeparable(lam)
    for _ in range(3):                                       # in units of the margin itself
        if lower <= 0 or upper - lower <= 0.01 * CONIC * upper:
            break
        other, mu = _solve(rows, lower)
        better = _bounds(rows, other, mu)
        W, lower = (other, better[0]) if better[0] > lower else (W, lower)
        if not better[1] < upper:
            break
        lam, upper = mu, better[1]
    gap = max(0.0, (upper - lower) / upper)
    return Limit(W, "direction", "maximum margin over W ⪰ 0 of unit nuclear norm", "linear duality",
                 (Hypothesis("the maximiser is unique", None, "not looked at"),), gap <= CONIC, gap, lam, lower,
                 norms.nuclear(n, n))


def _solve(rows: np.ndarray, margin: float | None) -> tuple[np.ndarray, np.ndarray]:
    """W of trace 1, λ of sum 1: by max t over margins ≥ t, or, given a margin to measure in, by min tr W, margins ≥ 1."""
    import cvxpy as cp
    n = rows.shape[1]
    V = cp.Variable((n, n), PSD=True)
    flat = cp.reshape(V, (n * n,), order="C")
    if margin is None:
        t = cp.Variable()
        margins = [rows.reshape(-1, n * n) @ flat >= t]
        found = solve_tightly(cp.Problem(cp.Maximize(t), [*margins, cp.trace(V) <= 1, t >= -2]))
    else:
        margins = [(rows / margin).reshape(-1, n * n) @ flat >= 1]
        found = solve_tightly(cp.Problem(cp.Minimize(cp.trace(V)), margins))
    if not found:
        return np.eye(n) / n, np.full(len(rows), 1 / len(rows))
    values, Q = np.linalg.eigh(np.asarray(V.value))
    W = (Q * np.maximum(values, 0)) @ Q.T
    lam = np.maximum(margins[0].dual_value, 0)
    trace, total = float(np.trace(W)), float(lam.sum())
    return W / trace if trace > 0 else np.eye(n) / n, lam / total if total > 0 else np.full(len(rows), 1 / len(rows))


def _bounds(rows: np.ndarray, W: np.ndarray, lam: np.ndarray) -> tuple[float, float]:
    """What W ⪰ 0 and λ prove of the maximum margin."""
    lower = float(np.tensordot(rows, W, 2).min() / np.trace(W))
    return lower, float(np.linalg.eigvalsh(np.tensordot(lam, rows, 1))[-1] / lam.sum())
