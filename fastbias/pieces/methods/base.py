"""What a method is: its compiled pieces, step rule, momentum, geometry, and the state it starts with."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from fastbias import checks
from fastbias.engine import fused
from fastbias.engine.abi import ADVANCE, DIRECTION, MAP, MAP_AT, VALUE, Piece, expect, known, piece
from fastbias.pieces import steps
from fastbias.pieces.methods.sampling import Sampling
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential

__all__ = ["Method", "gradient", "primal"]

GEOMETRIES = (Norm, Potential, Piece, type(None))


@dataclass(frozen=True, eq=False)
class Method:
    """A method: its compiled pieces, step rule, momentum, geometry, and the state it starts with.

    Made by the functions of this module. ``family`` and ``primal`` are what the theory table asks about; ``begin`` maps
    u(0) (n,) to the method's own state rows (S − 1, n), which stand below the row Δu that the loop keeps. ``shaped`` maps
    the shape of predictors to the geometry, where that depends on it; ``measured`` maps the rows of state, as a run left
    them, to the norm whose maximum margin they decide (Theorem 6). ``decay`` is the λ of a
    weight decay ½λ‖u‖² in the direction.
    """

    name: str
    family: Literal["gradient", "mirror", "natural", "steepest", "coordinate", "adaptive", "accelerated"]
    direction: Piece
    advance: Piece
    rule: steps.StepRule
    geometry: Norm | Potential | Piece | None = None
    beta: np.ndarray = field(default_factory=lambda: np.zeros(1))
    gamma: np.ndarray = field(default_factory=lambda: np.zeros(1))
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    primal: bool = False
    unscaled: bool = False
    begin: Callable[[np.ndarray], np.ndarray] = lambda u: np.empty((0, u.size))
    sampling: Sampling = field(default_factory=Sampling)
    constraint: tuple[np.ndarray, np.ndarray] | None = None
    scratch: int = 0
    draws: bool = False
    aged: bool = False
    shaped: Callable[[tuple[int, ...]], Norm] | None = None
    measured: Callable[[np.ndarray], Norm] | None = None
    decay: float = 0.0

    def __post_init__(self) -> None:
        for label in ("beta", "gamma"):
            object.__setattr__(self, label, checks.steps(label, getattr(self, label)))
        object.__setattr__(self, "params", checks.array("params", self.params, "a (K,) array", dims=1, empty=True))
        object.__setattr__(self, "scratch", checks.whole("scratch", self.scratch))
        object.__setattr__(self, "decay", checks.number("decay", self.decay, least=0))
        if self.constraint is not None:
            object.__setattr__(self, "constraint", checks.equations("constraint", self.constraint))
        checks.fields("Method", self, texts=("name", "family"), calls=("shaped", "measured"),
                      flags=("primal", "unscaled", "draws", "aged"))
        if not callable(self.begin):
            raise TypeError(f"begin of a Method must be callable, got {checks.short(self.begin)}")
        for field_, kinds in (("rule", steps.StepRule), ("sampling", Sampling), ("geometry", GEOMETRIES)):
            if not isinstance(getattr(self, field_), kinds):
                raise TypeError(f"{field_} of a Method must be one, got {checks.short(getattr(self, field_))}")
        expect("Method", self.params, direction=(self.direction, DIRECTION),
               advance=(self.advance, ADVANCE))

    def on(self, shape: tuple[int, ...]) -> Method:
        """The method for predictors of a shape: where its geometry depends on it (`shaped`), with that geometry."""
        shape = checks.shape("shape", shape)
        if self.shaped is None:
            return self
        made = replace(self, geometry=self.shaped(shape), shaped=None)
        if hasattr(self, "recipe"):                          # (a method changed by hand has none)
            object.__setattr__(made, "recipe", self.recipe)
        return made

    @property
    def burst(self) -> int:
        """The number under which its updates go in bursts with the geometry and momentum it has; 0: they do not."""
        number, g = known(self.params, self.direction, self.advance), self.geometry
        if self.unscaled:                                    # bursts scale by the gradient
            return 0
        if number == fused.STEEPEST and isinstance(g, Norm):
            return known(g.params, g.steepest, g.dual_norm, g.norm) or number
        if number == fused.MIRROR and isinstance(g, Potential):
            if self.beta.any() or self.gamma.any():
                return 0
            return known(g.params, g.link, g.inverse_link, g.metric, g.value) or number
        return number if self.beta.size == self.gamma.size == 1 else 0

    @property
    def straight(self) -> bool:
        """Whether an update is a step along its move and nothing else."""
        return self.family not in ("mirror", "accelerated") and not self.beta.any() and not self.gamma.any()

    @property
    def maps(self) -> tuple[np.ndarray, list[Piece]]:
        """The geometry's parameters and its five maps (steepest, dual norm, link, inverse link, metric)."""
        g = self.geometry
        if isinstance(g, Norm):
            return g.params, [g.steepest, g.dual_norm, _anywhere, _no_map, _no_map_at]
        if isinstance(g, Potential):
            return g.params, [_no_map, _no_value, g.link, g.inverse_link, g.metric]
        return np.empty(0), [_no_map, _no_value, _anywhere, _no_map, _no_map_at if g is None else g]

    @property
    def constant(self) -> bool:
        """Whether step size and momentum are the same at every update."""
        return self.rule.constant and self.beta.size == 1 and self.gamma.size == 1 and not self.aged

    @property
    def random(self) -> bool:
        """Whether an update draws numbers."""
        return self.sampling.batch > 0 or self.draws

    def __repr__(self) -> str:
        words = [repr(self.rule)]
        if self.geometry is not None:
            words.insert(0, getattr(self.geometry, "name", None) or repr(self.geometry))
        beta = {"mirror": "primal_momentum" if self.primal else "dual_momentum"}.get(self.family, "momentum")
        for label, values in ((beta, self.beta), ("nesterov", self.gamma)):
            if values.any():
                words.append(f"{label}={values[0]:g}" + (", …" if values.size > 1 else ""))
        if self.sampling.batch:
            words.append(f"batch={self.sampling.batch}")
        if self.decay:
            words.append(f"weight_decay={self.decay:g}")
        return f"{self.name}({', '.join(words)})"


@piece(MAP)
def _no_map(params, x, out):  # type: ignore[no-untyped-def]
    return -1


@piece(MAP)
def _anywhere(params, x, out):  # type: ignore[no-untyped-def]
    return 0


@piece(MAP_AT)
def _no_map_at(params, at, x, out):  # type: ignore[no-untyped-def]
    return -1


@piece(VALUE)
def _no_value(params, x):  # type: ignore[no-untyped-def]
    return np.nan


@piece(DIRECTION)
def gradient(geometry, params, k, s, g, u, state, move):  # type: ignore[no-untyped-def]
    """Move ← g."""
    for i in range(g.size):
        move[i] = g[i]
    return 0


@piece(ADVANCE)
def primal(geometry, params, step, beta, move, u, state, work, u_new):  # type: ignore[no-untyped-def]
    """u_new ← u + β Δu + step · move, eq. (3)."""
    if beta == 0.0:
        for i in range(u.size):
            u_new[i] = u[i] + step * move[i]
    else:
        for i in range(u.size):
            u_new[i] = u[i] + (beta * state[0, i] + step * move[i])
    return 0
