"""Models w = F(u): the parameters u that the method moves, and the linear predictor w that the theorems speak of.

A model is two compiled pieces: ``forward(params, u, out)`` writes w = F(u); ``pullback(params, u, v, out)`` writes
F'(u)ᵀ v. To add one: write the two, put them into a `Model`, list it in ``EXAMPLES``.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.abi import MAP, MAP_AT, Piece, expect, piece
from fastbias.doors import call

__all__ = ["Model", "linear"]


@dataclass(frozen=True, eq=False)
class Model:
    """A parameterisation w = F(u) of the linear predictor.

    Parameters
    ----------
    name : str
        How it is called in tables.
    forward : Piece of signature ``abi.MAP``
        (params, u, out): out (d,) ← F(u), u (n,).
    pullback : Piece of signature ``abi.MAP_AT``
        (params, u, v, out): out (n,) ← F'(u)ᵀ v, v (d,).
    size : callable, optional
        Length d of w → length n of u; equal where it is not given.
    linear : bool, default False
        Whether w = u; then 0 is a fine start, otherwise it is a saddle and a start is required.
    params : (·,) array, default empty
        Numbers handed to the pieces.
    """

    name: str
    forward: Piece
    pullback: Piece
    size: Callable[[int], int] | None = None
    linear: bool = False
    params: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        expect("Model", forward=(self.forward, MAP), pullback=(self.pullback, MAP_AT))
        object.__setattr__(self, "params", checks.array("params", self.params, "a (K,) array", dims=1, empty=True))

    def parameters(self, d: int) -> int:
        """Return the length n of u for predictors of length d."""
        return d if self.size is None else self.size(d)

    def predictor(self, u: np.ndarray, d: int) -> np.ndarray:
        """Return w = F(u): (d,) for u (n,), (K, d) for u (K, n)."""
        if self.linear:
            return u
        rows = np.atleast_2d(u)
        w = np.empty((rows.shape[0], d))
        for i, row in enumerate(rows):
            call(self.forward, self.params, np.ascontiguousarray(row), w[i])
        return w if u.ndim == 2 else w[0]

    def pull(self, u: Any, v: Any) -> np.ndarray:
        """Return F'(u)ᵀ v (n,) for u (n,) and v (d,)."""
        out = np.empty_like(u)
        call(self.pullback, self.params, u, v, out)
        return out

    def __repr__(self) -> str:
        return f"<model {self.name}>"


@piece(MAP)
def _linear_forward(params, u, out):  # type: ignore[no-untyped-def]
    for i in range(u.size):
        out[i] = u[i]
    return 0


@piece(MAP_AT)
def _linear_pullback(params, u, v, out):  # type: ignore[no-untyped-def]
    for i in range(u.size):
        out[i] = v[i]
    return 0


linear = Model("linear", _linear_forward, _linear_pullback, linear=True)
"""w = u: the predictor itself is what the method moves."""

EXAMPLES: tuple[Model, ...] = (linear,)
