"""Losses ℓ(u, y); the objective is always the SUM over the samples, L(w) = Σ_n ℓ(⟨w, x_n⟩, y_n).

A loss is two compiled pieces. ``slope(params, p, y, q)`` fills q and returns s such that −∂L/∂p = e^s q;
``log_loss(params, p, y)`` returns log L. To add one: write the two, put them into a `Loss`, list it in ``EXAMPLES``.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fastbias import checks
from fastbias.abi import LOG_LOSS, SLOPE, Piece, expect, piece
from fastbias.loop import call
from fastbias.recipes import recorded

__all__ = ["Loss", "huber", "squared", "truncated_squared"]


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss and what the theory needs to know of it.

    Parameters
    ----------
    name : str
        How it is called in tables and by name.
    slope : Piece of signature ``abi.SLOPE``
        (params, p, y, q) → s, with q filled so that −∂L/∂p = e^s q.
    log_loss : Piece of signature ``abi.LOG_LOSS``
        (params, p, y) → log L; −inf where L is 0.
    kind : "root" or "monotone"
        "root": a unique finite root, ℓ(u, y) is minimal at u = y alone (Property 1). "monotone": strictly decreasing
        in the margin, with no finite minimiser (Property 2).
    params : (·,) array, default empty
        Numbers handed to the pieces.
    """

    name: str
    slope: Piece
    log_loss: Piece
    kind: Literal["root", "monotone"]
    params: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        expect("Loss", slope=(self.slope, SLOPE), log_loss=(self.log_loss, LOG_LOSS))
        checks.name("kind", self.kind, ("root", "monotone"))
        object.__setattr__(self, "params", checks.array("params", self.params, "a (K,) array", dims=1, empty=True))

    def log(self, p: np.ndarray, y: np.ndarray) -> float:
        """Return log L at predictions p (N,) for targets y (N,)."""
        return float(call(self.log_loss, self.params, *(checks.array("p, y", x, "(N,) arrays", dims=1) for x in (p, y))))

    def push(self, p: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return −∂L/∂p (N,), the scale multiplied in."""
        q = np.empty_like(p)
        return np.asarray(np.exp(call(self.slope, self.params, p, y, q)) * q)

    def __repr__(self) -> str:
        return f"<loss {self.name}>"


@piece(SLOPE)
def _squared_slope(params, p, y, q):  # type: ignore[no-untyped-def]
    for i in range(p.size):
        q[i] = 2.0 * (y[i] - p[i])
    return 0.0


@piece(LOG_LOSS)
def _squared_log_loss(params, p, y):  # type: ignore[no-untyped-def]
    largest = 0.0                                        # scaled, so that 1e-200² does not vanish
    for i in range(p.size):
        largest = max(largest, abs(y[i] - p[i]))
    if largest == 0.0 or not np.isfinite(largest):
        return np.log(largest)
    total = 0.0
    for i in range(p.size):
        total += ((y[i] - p[i]) / largest) ** 2
    return 2.0 * np.log(largest) + np.log(total)


squared = Loss("squared", _squared_slope, _squared_log_loss, kind="root")
"""ℓ(u, y) = (u − y)², without a factor ½; its one root is u = y."""


@piece(SLOPE)
def _huber_slope(params, p, y, q):  # type: ignore[no-untyped-def]
    for i in range(p.size):
        r = y[i] - p[i]
        q[i] = 2.0 * max(-params[0], min(params[0], r))
    return 0.0


@piece(LOG_LOSS)
def _huber_log_loss(params, p, y):  # type: ignore[no-untyped-def]
    delta = params[0]
    largest = 0.0
    for i in range(p.size):
        largest = max(largest, abs(y[i] - p[i]))
    if largest == 0.0 or not np.isfinite(largest):
        return np.log(largest)
    total = 0.0                                          # of ℓ/largest², which lies in [0, 1] for each sample
    for i in range(p.size):
        r = abs(y[i] - p[i]) / largest
        cut = delta / largest
        total += r * r if r <= cut else cut * (2.0 * r - cut)
    return 2.0 * np.log(largest) + np.log(total)


@recorded
def huber(delta: float) -> Loss:
    """ℓ(u, y) = r² for |r| ≤ δ, 2δ|r| − δ² beyond, r = u − y; its one root is u = y.

    Parameters
    ----------
    delta : float > 0
        δ, where the square turns into a line.

    Examples
    --------
    >>> import fastbias as fb, numpy as np
    >>> round(float(np.exp(fb.losses.huber(1.0).log(np.array([0.5, 3.0]), np.zeros(2)))), 12)   # 0.25 + 5
    5.25
    """
    return Loss("huber", _huber_slope, _huber_log_loss, "root", np.array([checks.number("delta", delta, above=0)]))


@piece(SLOPE)
def _truncated_slope(params, p, y, q):  # type: ignore[no-untyped-def]
    for i in range(p.size):
        r = y[i] - p[i]
        q[i] = 2.0 * r if abs(r) <= params[0] else 0.0
    return 0.0


@piece(LOG_LOSS)
def _truncated_log_loss(params, p, y):  # type: ignore[no-untyped-def]
    largest = 0.0
    for i in range(p.size):
        if not np.isfinite(p[i]):
            return np.log(abs(p[i]))
        largest = max(largest, min(params[0], abs(y[i] - p[i])))
    if largest == 0.0:
        return -np.inf
    total = 0.0
    for i in range(p.size):
        total += (min(params[0], abs(y[i] - p[i])) / largest) ** 2
    return 2.0 * np.log(largest) + np.log(total)


@recorded
def truncated_squared(c: float) -> Loss:
    """ℓ(u, y) = min(r², c²), r = u − y; its one root is u = y.

    Samples with |r| > c are flat and pull no more, so a run may rest away from the global minima; the theorems ask for
    L → 0, which the trace shows. (Property 1 holds: the infimum 0 is attained at u = y alone.)

    Parameters
    ----------
    c : float > 0
        Where the square is cut off.
    """
    return Loss("truncated_squared", _truncated_slope, _truncated_log_loss, "root",
                np.array([checks.number("c", c, above=0)]))


EXAMPLES: tuple[Loss, ...] = (squared, huber(1.5), truncated_squared(2.0))
