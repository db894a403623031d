"""What a norm is: its steepest direction, its dual, its value, and its convex face."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import MAP, VALUE, Piece, expect
from fastbias.engine.call import call
from fastbias.pieces.norms.proximal import Shrink
from fastbias.pieces.recipe import Portable

__all__ = ["TIE_TOL", "Norm"]

TIE_TOL = 1e-12


@dataclass(frozen=True, eq=False)
class Norm(Portable):
    """A norm: its steepest direction, its dual, its value, and its convex face.

    Parameters
    ----------
    name : str
        How it is called in tables.
    steepest : Piece of signature ``abi.MAP``
        (params, g, out): out ← argmax_v ⟨g, v⟩ − ½‖v‖², eq. (11) for g = −∇L.
    dual_norm, norm : Piece of signature ``abi.VALUE``
        (params, g) → ‖g‖⋆ and (params, w) → ‖w‖.
    params : (·,) array, default empty
        Numbers handed to the pieces.

    Other Parameters
    ----------------
    Engine: how its pieces are called.

    size : int, optional
        The only length of vectors it can take; None for any.

    Oracle: how a maximum margin or a minimum norm is found; without any of these only runs are.

    convex : callable, optional
        (cvxpy itself, its expression w) → its expression ‖w‖. Of a norm that brings no more than
        this, answers are as good as the cone solver's: often not certified, and then told with
        their gap.
    ball : "cross-polytope" or "cube", optional
        The unit ball, where it is a polytope that the linear programs of the oracles know.
    shrink : callable, optional
        The proximal map, (x (d,), t > 0) → (v, slope): v = argmin ½‖v − x‖₂² + t‖v‖, and slope,
        which takes rows (k, d) to their products with the derivative of v in x. It spares the
        oracles the cone solver, and lets them end at rounding.
    shape : (int, int), optional
        The shape of the matrices that it is a norm of (kept flat, row after row).
    resized : callable, optional
        (m, n) → the same norm of other matrices, where it does not change when rows or columns are
        rotated.

    Theory: what it declares, each under a law.

    matrix : callable, optional
        Length d → D with ‖w‖² = wᵀDw, for norms that are quadratic; it is what brings Theorem 1 to
        steepest descent.
    power : float, optional
        p, for the norm ‖w‖_p with 1 < p < ∞.
    smooth : bool, default False
        Whether Δ is a continuous function of g, so that the flow η → 0 is an ordinary differential
        equation.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.norms.l1.direction([1.0, -3.0])                        # Δ = argmax ⟨g, v⟩ − ½‖v‖²
    array([ 0., -3.])
    >>> fb.norms.l1.dual([1.0, -3.0])
    3.0
    """

    name: str
    steepest: Piece
    dual_norm: Piece
    norm: Piece
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    _: KW_ONLY
    size: int | None = None

    convex: Callable[[Any, Any], Any] | None = None
    ball: Literal["cross-polytope", "cube"] | None = None
    shrink: Shrink | None = None
    shape: tuple[int, int] | None = None
    resized: Callable[[int, int], Norm] | None = None

    matrix: Callable[[int], np.ndarray] | None = None
    power: float | None = None
    smooth: bool = False

    def __post_init__(self) -> None:
        checks.fields("Norm", self, texts=("name",), flags=("smooth",), reals=("power",),
                      calls=("matrix", "convex", "shrink", "resized"))
        object.__setattr__(self, "params",
                           checks.array("params", self.params, "a (K,) array", dims=1, empty=True))
        if self.size is not None:
            object.__setattr__(self, "size", checks.whole("size", self.size, least=1))
        if self.shape is not None:
            object.__setattr__(self, "shape", checks.shape("shape", self.shape))
        expect("Norm", self.params, () if self.size is None else (self.size,),
               steepest=(self.steepest, MAP),
               dual_norm=(self.dual_norm, VALUE), norm=(self.norm, VALUE))

    def __call__(self, w: ArrayLike) -> Any:
        """Return ‖w‖: a float for w (d,), an array (K,) for w (K, d)."""
        return self._rows(self.norm, "w", w)

    def dual(self, g: ArrayLike) -> Any:
        """Return ‖g‖⋆ = max over ‖w‖ ≤ 1 of ⟨g, w⟩: a float for g (d,), an array (K,) for g (K,
        d).
        """
        return self._rows(self.dual_norm, "g", g)

    def direction(self, g: ArrayLike) -> np.ndarray:
        """Return the move Δ (d,) of eq. (11) for g = −∇L (d,)."""
        g = checks.array("g", g, "a (d,) array", dims=1, length=self.size)
        out = np.empty_like(g)
        call(self.steepest, self.params, g, out)
        return out

    def fits(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError where it is no norm of predictors of this shape."""
        shape = checks.shape("shape", shape)
        size = math.prod(shape)
        if self.size not in (None, size):
            raise ValueError(f"X must have predictors of {self.size} entries for the {self.name} "
                             f"norm, got {size}")
        if len(shape) > 1 and self.shape not in (None, shape):
            raise ValueError(f"X must have predictors of shape {self.shape} for the {self.name} "
                             f"norm, got {shape}")

    def _rows(self, which: Piece, label: str, x: ArrayLike) -> Any:
        # one vector or many, at the price of one check
        rows = checks.array(label, x, "a (d,) or (K, d) array", dims=(1, 2), empty=True)
        # no vectors are as good as many, but not vectors of nothing
        if rows.shape[-1] == 0:
            raise ValueError(f"{label} must be a (d,) or (K, d) array and not empty, got shape "
                             f"{rows.shape}")
        if self.size is not None and rows.shape[-1] != self.size:
            raise ValueError(f"{label} must have {self.size} entries for the {self.name} norm, got "
                             f"{rows.shape[-1]}")
        values = [call(which, self.params, row) for row in np.atleast_2d(rows)]
        return np.array(values, float) if rows.ndim == 2 else float(values[0])

    def __repr__(self) -> str:
        return f"<norm {self.name}>"
