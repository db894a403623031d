"""What a loss is: its compiled slope and log loss, and what the theory needs to know of it."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fastbias import checks
from fastbias.abi import LOG_LOSS, SLOPE, Piece, expect
from fastbias.doors import call

__all__ = ["Loss"]


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
    tail : "exponential", "gaussian" or None, default None
        Of a monotone loss: how log ℓ(m) falls as m → ∞, like −m or like −m²/2. The margin theorems ask for the first.
    convex : bool, default True
        Whether ℓ is convex in u.
    curvature : float, optional
        sup |ℓ''|, where it is finite and ℓ' is Lipschitz (of K classes: of the Hessian); it bounds step sizes.
    excess, ratio : callable, optional
        Of a monotone loss, vectorised over margins m (N,): log(−ℓ'(m)) + m (+ m²/2 for a Gaussian tail) without
        cancellation, and −d log(−ℓ'(m))/dm; with them a run can be fast-forwarded.
    classes : bool, default False
        Whether the labels y are classes 0 … K−1 and each sample has K predictions: p (K N,), class after class.
    quadratic : bool, default False
        Whether ℓ(u, y) = (u − y)².
    fused : (int, Piece), optional
        The number under which `fastbias.passes` weighs the loss inside its pass, and the slope of which that is a twin.
    """

    name: str
    slope: Piece
    log_loss: Piece
    kind: Literal["root", "monotone"]
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    tail: Literal["exponential", "gaussian"] | None = None
    convex: bool = True
    curvature: float | None = None
    excess: Callable[[np.ndarray], np.ndarray] | None = None
    ratio: Callable[[np.ndarray], np.ndarray] | None = None
    classes: bool = False
    quadratic: bool = False
    fused: tuple[int, Piece] | None = None

    def __post_init__(self) -> None:
        expect("Loss", slope=(self.slope, SLOPE), log_loss=(self.log_loss, LOG_LOSS))
        checks.name("kind", self.kind, ("root", "monotone"))
        object.__setattr__(self, "params", checks.array("params", self.params, "a (K,) array", dims=1, empty=True))

    def log(self, p: np.ndarray, y: np.ndarray) -> float:
        """Return log L at predictions p (N,), or (K N,) for K classes, for targets y (N,)."""
        return float(call(self.log_loss, self.params, *(checks.array("p, y", x, "(N,) arrays", dims=1) for x in (p, y))))

    def scaled(self, p: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """Return s and q (of the shape of p) with −∂L/∂p = e^s q, which keeps its digits where e^s is 0 in float64."""
        q = np.empty_like(p)
        return float(call(self.slope, self.params, p, y, q)), q

    def push(self, p: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return −∂L/∂p (of the shape of p), the scale multiplied in."""
        s, q = self.scaled(p, y)
        return np.asarray(np.exp(s) * q)

    def __repr__(self) -> str:
        return f"<loss {self.name}>"
