"""What a loss is: its compiled slope and log loss, and what the theory needs to know of it."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import LOG_LOSS, SLOPE, Piece, expect
from fastbias.engine.call import call_weighed
from fastbias.pieces.recipe import Portable

__all__ = ["Loss", "log_beyond"]


@dataclass(frozen=True, eq=False)
class Loss(Portable):
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
        "root": a unique finite root, ℓ(u, y) is minimal at u = y alone (Property 1); of several
        outputs it is asked about all K N predictions, as if of so many samples. "monotone":
        strictly decreasing in the margin, with no finite minimiser (Property 2).
    params : (·,) array, default empty
        Numbers handed to the pieces.

    Other Parameters
    ----------------
    Engine: how its pieces are called.

    classes : bool, default False
        Whether the labels y are classes 0 … K−1 and each sample has K predictions: p (K N,), class
        after class.

    Theory: what it declares, each under a law.

    tail : "exponential", "gaussian", "polynomial" or None, default None
        Of a monotone loss: how log ℓ(m) falls as m → ∞, like −m, −m²/2 or −b log m. The margin
        theorems ask for the first.
    power : float, optional
        b, of a polynomial tail.
    convex : bool, default True
        Whether ℓ is convex in u.
    curvature : float, optional
        sup |ℓ''|, where it is finite and ℓ' is Lipschitz (of K classes: of the Hessian); it bounds
        step sizes.
    steepness : float, optional
        sup |ℓ'''|/ℓ'', where it is finite (of K classes: a unit of the largest change of a
        margin); it bounds how far a minimiser can be.
    quadratic : bool, default False
        Whether ℓ(u, y) = (u − y)².
    bend : callable, optional
        (p (K N,), y (N,), v (K N,)) → r (N,), h (K N,): ∂²ℓ/∂p² of each sample times its part of v,
        as e^r h, with h of size one; at a corner of ℓ' that of one side. It is what the Hessian of
        a run is made of.

    Fast-forward.

    excess, ratio : callable, optional
        Of a monotone loss, vectorised over margins m (N,): log(−ℓ'(m)) + m (+ m²/2 for a Gaussian
        tail) without cancellation, and −d log(−ℓ'(m))/dm; with them a run can be fast-forwarded.

    Examples
    --------
    >>> import fastbias as fb
    >>> loss = fb.losses.exponential
    >>> round(loss.log([1000.0, 1001.0], [1.0, 1.0]), 6)     # log L, where L is 0 in float64
    -999.686738
    """

    name: str
    slope: Piece
    log_loss: Piece
    kind: Literal["root", "monotone"]
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    _: KW_ONLY
    classes: bool = False

    tail: Literal["exponential", "gaussian", "polynomial"] | None = None
    power: float | None = None
    convex: bool = True
    curvature: float | None = None
    steepness: float | None = None
    quadratic: bool = False
    bend: Callable[[np.ndarray, np.ndarray, np.ndarray],
                   tuple[np.ndarray, np.ndarray]] | None = None

    excess: Callable[[np.ndarray], np.ndarray] | None = None
    ratio: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        checks.fields("Loss", self, texts=("name",), flags=("convex", "classes", "quadratic"),
                      reals=("curvature", "steepness", "power"),
                      calls=("bend", "excess", "ratio"))
        checks.name("kind", self.kind, ("root", "monotone"))
        if self.tail is not None:
            checks.name("tail", self.tail, ("exponential", "gaussian", "polynomial"))
        if (self.tail == "polynomial") != (self.power is not None):
            raise ValueError("power of a Loss must be given with tail=\"polynomial\", and there "
                             f"alone, got power={self.power} and tail={self.tail!r}")
        object.__setattr__(self, "params",
                           checks.array("params", self.params, "a (K,) array", dims=1, empty=True))
        expect("Loss", self.params, slope=(self.slope, SLOPE),
               log_loss=(self.log_loss, LOG_LOSS))

    def log(self, p: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> float:
        """Return log L at predictions p (N,), or (K N,) for K classes, for targets y (N,).

        With weights c (N,), all >= 0, L = Σ c_n ℓ_n.
        """
        p, y = self._pair(p, y, finite=True)
        return float(call_weighed(self.log_loss, self.params, _weights(weights, y), p, y))

    def scaled(self, p: ArrayLike, y: ArrayLike,
               weights: ArrayLike | None = None) -> tuple[float, np.ndarray]:
        """Return s and q (of the shape of p) with −∂L/∂p = e^s q, which keeps its digits where e^s
        is 0 in float64.

        For p, y and weights as `log` takes them; where p is not finite q need not be.
        """
        p, y = self._pair(p, y, finite=False)
        q = np.empty_like(p)
        return float(call_weighed(self.slope, self.params, _weights(weights, y), p, y, q)), q

    def push(self, p: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> np.ndarray:
        """Return −∂L/∂p (of the shape of p), the scale multiplied in; for p, y and weights as `log`
        takes them.
        """
        s, q = self.scaled(p, y, weights)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.exp(s) * q)

    def _pair(self, p: ArrayLike, y: ArrayLike, finite: bool) -> tuple[np.ndarray, np.ndarray]:
        """The predictions and targets, checked: what a compiled loss takes for an index must be
        one.
        """
        p = checks.array("p", p, "an (N,) array, or (K N,) for K classes", dims=1, finite=finite)
        y = checks.array("y", y, "an (N,) array", dims=1)
        if p.size != y.size and not self.classes:
            raise ValueError(f"p and y must be of one length for the {self.name} loss, got "
                             f"{p.size} and {y.size}")
        # labels index compiled arrays, so that one too large would read past their end
        if self.classes:
            K, rest = divmod(p.size, y.size)
            if rest or K < 2:
                raise ValueError("p must have K entries for each of y, K >= 2, for the "
                                 f"{self.name} loss, got {p.size} for {y.size}")
            if not ((y >= 0) & (y < K) & (y == np.floor(y))).all():
                raise ValueError(f"y must be classes 0 ... {K - 1} for the {self.name} loss and p "
                                 f"of {p.size} entries, got {checks.short(y)}")
        return p, y

    def __repr__(self) -> str:
        return f"<loss {self.name}>"


def _weights(weights: ArrayLike | None, y: np.ndarray) -> np.ndarray | None:
    """Weights of the samples, checked."""
    return None if weights is None else checks.weights("weights", weights, y.size)


def log_beyond(loss: Loss, p: np.ndarray, y: np.ndarray, k: int,
               weights: np.ndarray | None = None) -> float:
    """Return log L at the predictions 2^k p, some of which are beyond float64; infinity where log L
    is, too.

    Out there L grows like a whole power of the predictions (of a root loss: of their distances from
    y), or it has no finite logarithm.
    """
    size = int(np.frexp(np.abs(p).max())[1])
    less = k + size - 1000                                     # how many powers of two are left out
    near, goal = np.ldexp(p, 1000 - size), np.ldexp(y, -less) if loss.kind == "root" else y
    logs = [float(call_weighed(loss.log_loss, loss.params, weights, np.ldexp(near, -j),
                               np.ldexp(goal, -j) if loss.kind == "root" else y))
            for j in (0, 64)]
    degree = (logs[0] - logs[1]) / (64 * math.log(2.0))
    if not abs(degree) < 9 or abs(degree - round(degree)) > 1e-6:
        return math.copysign(math.inf, degree)                 # the loss is exponential in them
    return logs[0] + round(degree) * less * math.log(2.0)
