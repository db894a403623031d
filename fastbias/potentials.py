"""Potentials ψ, for mirror descent eq. (5), natural gradient descent eq. (9), and Bregman projections eq. (6).

A potential is four compiled pieces. ``link(params, w, out)`` writes z = ∇ψ(w) and returns OUT_OF_DOMAIN where w lies
outside dom ψ; ``inverse_link(params, z, out)`` writes (∇ψ)⁻¹(z); ``metric(params, w, g, out)`` writes ∇²ψ(w)⁻¹ g;
``value(params, w)`` returns ψ(w). Beside them stands the convex face, ψ as cvxpy sees it. To add one: write these,
put them into a `Potential`, list it in ``EXAMPLES``; the laws then hold it to account.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.abi import MAP, MAP_AT, VALUE, Piece, Status, kernel, piece
from fastbias.loop import call

__all__ = ["Potential", "entropy", "euclidean", "quadratic"]

OUT_OF_DOMAIN = int(Status.OUT_OF_DOMAIN)


@dataclass(frozen=True, eq=False)
class Potential:
    """A strictly convex potential ψ: its link, inverse link, inverse Hessian, value, and convex face.

    Parameters
    ----------
    name : str
        How it is called in tables.
    link, inverse_link : Piece of signature ``abi.MAP``
        (params, w, out): out ← ∇ψ(w), and (params, z, out): out ← (∇ψ)⁻¹(z).
    metric : Piece of signature ``abi.MAP_AT``
        (params, w, g, out): out ← ∇²ψ(w)⁻¹ g.
    value : Piece of signature ``abi.VALUE``
        (params, w) → ψ(w).
    params : (·,) array, default empty
        Numbers handed to the pieces.
    size : int, optional
        The only length of vectors it can take; None for any.
    lower : float, default −inf
        The domain is w > lower in each coordinate (0 for the entropy); −inf for the whole space.
    quadratic : bool, default False
        Whether ∇ψ is linear, which makes natural gradient, primal and dual momentum all obey Theorem 1.
    convex : callable, optional
        (cvxpy itself, its expression w) → its expression ψ(w).
    """

    name: str
    link: Piece
    inverse_link: Piece
    metric: Piece
    value: Piece
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    size: int | None = None
    lower: float = -np.inf
    quadratic: bool = False
    convex: Callable[[Any, Any], Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", checks.array("params", self.params, "a (K,) array", dims=1, empty=True))

    def __call__(self, w: Any) -> float:
        """Return ψ(w) for w (d,)."""
        return float(call(self.value, self.params, self._vector("w", w)))

    def to_dual(self, w: Any) -> np.ndarray:
        """Return z = ∇ψ(w) (d,); ValueError where w (d,) lies outside the domain."""
        w = self._vector("w", w)
        z = np.empty_like(w)
        if call(self.link, self.params, w, z) != 0:
            raise ValueError(f"w must lie inside the domain of the {self.name} potential, got {checks.short(w)}")
        return z

    def to_primal(self, z: Any) -> np.ndarray:
        """Return w = (∇ψ)⁻¹(z) (d,), the point whose dual variable is z (d,)."""
        z = self._vector("z", z)
        w = np.empty_like(z)
        call(self.inverse_link, self.params, z, w)
        return w

    def solve(self, w: Any, g: Any) -> np.ndarray:
        """Return ∇²ψ(w)⁻¹ g (d,) for w, g (d,), the move of natural gradient descent."""
        w, g = self._vector("w", w), self._vector("g", g)
        out = np.empty_like(w)
        call(self.metric, self.params, w, g, out)
        return out

    def divergence(self, w: Any, at: Any) -> float:
        """Return the Bregman divergence D_ψ(w, at) = ψ(w) − ψ(at) − ⟨∇ψ(at), w − at⟩."""
        w, at = self._vector("w", w), self._vector("at", at)
        return self(w) - self(at) - float(self.to_dual(at) @ (w - at))

    def start(self, d: int) -> np.ndarray:
        """Return argmin ψ (d,), the start at which Theorem 1 speaks of the minimum potential."""
        return self.to_primal(np.zeros(d))

    def _vector(self, label: str, x: Any) -> np.ndarray:
        return checks.array(label, x, "a (d,) array", dims=1, length=self.size)

    def __repr__(self) -> str:
        return f"<potential {self.name}>"


@piece(MAP)
def _identity(params, x, out):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        out[i] = x[i]
    return 0


@piece(MAP_AT)
def _identity_at(params, at, x, out):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        out[i] = x[i]
    return 0


@piece(VALUE)
def _half_square(params, x):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i]
    return 0.5 * total


euclidean = Potential("euclidean", _identity, _identity, _identity_at, _half_square, quadratic=True,
                      convex=lambda cp, w: 0.5 * cp.sum_squares(w))
"""ψ(w) = ½‖w‖₂², ∇ψ(w) = w: mirror descent is gradient descent."""


@kernel
def _times(params, start, x, out):  # type: ignore[no-untyped-def]
    n = x.size
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += params[start + i * n + j] * x[j]
        out[i] = total
    return 0


@piece(MAP)
def _quadratic_link(params, w, out):  # type: ignore[no-untyped-def]
    return _times(params, 0, w, out)


@piece(MAP)
def _quadratic_inverse(params, z, out):  # type: ignore[no-untyped-def]
    return _times(params, z.size * z.size, z, out)


@piece(MAP_AT)
def _quadratic_metric(params, at, g, out):  # type: ignore[no-untyped-def]
    return _times(params, g.size * g.size, g, out)


@piece(VALUE)
def _quadratic_value(params, w):  # type: ignore[no-untyped-def]
    n = w.size
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += w[i] * params[i * n + j] * w[j]
    return 0.5 * total


def quadratic(D: Any) -> Potential:
    """ψ(w) = ½ wᵀDw, ∇ψ(w) = Dw: linear link, constant metric, so that NGD and mirror descent are one method.

    Parameters
    ----------
    D : (d, d) symmetric positive definite, or (d,) a positive diagonal

    Raises
    ------
    ValueError, TypeError
        Where D is not square, not symmetric or not positive definite.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.potentials.quadratic([1.0, 4.0]).to_dual([1.0, 1.0])
    array([1., 4.])
    """
    D = checks.positive_definite("D", D)
    root = np.linalg.cholesky(D)
    return Potential("quadratic", _quadratic_link, _quadratic_inverse, _quadratic_metric, _quadratic_value,
                     np.concatenate([D.ravel(), np.linalg.inv(D).ravel()]), size=D.shape[0], quadratic=True,
                     convex=lambda cp, w: 0.5 * cp.sum_squares(root.T @ w))


@piece(MAP)
def _entropy_link(params, w, out):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        if not w[i] > 0.0:
            return OUT_OF_DOMAIN
        out[i] = np.log(w[i])
    return 0


@piece(MAP)
def _entropy_inverse(params, z, out):  # type: ignore[no-untyped-def]
    for i in range(z.size):
        out[i] = np.exp(z[i])
    return 0


@piece(MAP_AT)
def _entropy_metric(params, w, g, out):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        if not w[i] > 0.0:
            return OUT_OF_DOMAIN
        out[i] = w[i] * g[i]
    return 0


@piece(VALUE)
def _entropy_value(params, w):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(w.size):
        if w[i] > 0.0:
            total += w[i] * np.log(w[i]) - w[i]
        elif w[i] < 0.0:
            return np.inf
    return total


entropy = Potential("entropy", _entropy_link, _entropy_inverse, _entropy_metric, _entropy_value, lower=0.0,
                    convex=lambda cp, w: -cp.sum(cp.entr(w)) - cp.sum(w))
"""ψ(w) = Σ w_i log w_i − w_i on w > 0, ∇ψ(w) = log w, (∇ψ)⁻¹(z) = e^z; its minimiser is the all-ones vector."""


EXAMPLES: tuple[Potential, ...] = (euclidean, entropy, quadratic([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 3.0]]))
