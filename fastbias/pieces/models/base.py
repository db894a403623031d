"""What a model is: F and its pullback, and what is known of it: layers, degree, starts, penalty,
invariants, bias.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, Piece, expect, piece
from fastbias.engine.call import call, call_rows
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.pieces.recipe import Portable, Seed

__all__ = ["Along", "Coordinates", "Layers", "Model", "Start", "flat_start", "linear"]

Layers = list[np.ndarray]
Along = tuple[np.ndarray, np.ndarray]       # F'(u) a, and the change of F'(u)ᵀ v along a


class Coordinates(NamedTuple):
    """Coordinates x (k,) of parameters along a gradient flow, in which entries of any size keep all
    their digits.

    What the flow keeps is part of ``u``, so it holds exactly.
    """

    start: np.ndarray
    u: Callable[[np.ndarray], np.ndarray]                         # x → u (n,)
    rate: Callable[[np.ndarray, np.ndarray], np.ndarray]          # (x, v = −∂L/∂w (d,)) → dx/dt


@dataclass(frozen=True, eq=False)
class Model(Portable):
    """A parameterisation w = F(u) of the linear predictor; u is kept flat, layer after layer.

    The first three make a run, with ``size`` where u is not as long as w; the others are what the
    laws hold a model to and what the theory asks of it.

    Parameters
    ----------
    name : str
        How it is called in tables.
    forward : Piece of signature ``abi.MAP``
        (params, u, out): out (d,) ← F(u), u (n,).
    pullback : Piece of signature ``abi.MAP_AT``
        (params, u, v, out): out (n,) ← F'(u)ᵀ v, v (d,).

    Other Parameters
    ----------------
    Engine: how its pieces are called.

    params : (·,) array, default empty
        Numbers handed to the pieces.
    size : callable, optional
        Length d of w → length n of u; equal where it is not given.
    shape : tuple of int, optional
        The shape of the only predictors w that it makes: (d,) or (m, n); None: any (d,).
    linear : bool, default False
        Whether w = u; then 0 is a fine start, otherwise it is a saddle and a start is required.
    layers : callable, optional
        d → the shapes of the layers; one layer (n,) by default.
    identity : callable, optional
        (d, scale) → u (n,), the scaled identity that `start` gives without an rng.
    along : callable, optional
        (u (n,), a (n,), v (d,)) → F'(u) a (d,) and the change of F'(u)ᵀ v along a (n,): what the
        Hessian of a run is made of. On a kink of F, those of one side. What is ``multilinear``
        need not say it.
    coordinates : callable, optional
        u (n,) → the `Coordinates` in which a gradient flow from there is followed, None where it
        has none.

    Oracle: what parameters a predictor costs.

    penalty : callable, optional
        R(w) = min ‖u‖² over F(u) = w, for w (d,).
    balance : callable, optional
        w (d,) → a u (n,) with F(u) = w and ‖u‖² = R(w); None where w is out of reach.
    invariant : callable, optional
        layers → array: what gradient flow keeps, whatever loss and data.

    Theory: what it declares of gradient descent on u.

    degree : int, default 0
        L, where F(a u) = a^L F(u) for a > 0; 0 where F is not homogeneous.
    multilinear : bool, default False
        Whether F is linear in each of its layers, the others held.
    bias : callable, optional
        shape → the norm of w that gradient flow on losses with an exponential tail keeps smallest:
        R(w) up to a power.
    exponent : float, optional
        The p < 1 of R(w) = Σ|·|^p, up to a factor: the limit direction is then only known to be
        stationary.
    symmetric : bool, default False
        Whether the predictors are symmetric matrices, so that of samples only the symmetric parts
        count.
    semidefinite : bool, default False
        Whether the predictors are the positive semidefinite matrices; ``bias`` is then the trace.
    mirror : callable, optional
        u (n,) → the potential ψ whose mirror flow on w gradient flow on u is; None where u is no
        start of one.
    multiplied : bool, default False
        Whether that is told by p, q with w = p² e^z − q² e^{−z}, which finite steps multiply by 1 ±
        z, z in the span of the samples: where a run goes is then said by the ψ of where it stands.
    commuting : bool, default False
        Whether that is so only where the samples, and F(u), are symmetric matrices that commute.
    reach : callable, optional
        (layers, Z (M, d), w) → what keeps gradient flow from there, on rows z of the data, away
        from the margin of w: exact balance of factors, which almost no start has; "" where it is
        proved that nothing does, None where neither is known. Where it is not given, the theory
        works it out for models of degree 2.
    sole : bool, default False
        Whether all stationary points of min ‖u‖² with margins ≥ 1 make the same predictor, the
        maximum margin.
    rectified : (N, d) array, optional
        The points at which it is the values of a network of rectified units with biases, whose
        layers begin with a, b, β.
    source : str, default ""
        Where the bias is shown.
    conditions : tuple of str, default ()
        What the theorem there supposes beyond what can be checked.

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.diagonal(2, signed=True)
    >>> model.predictor([1.0, 2.0, 0.5, 1.0], 2)                  # u₊² − u₋²
    array([0.75, 3.  ])
    """

    name: str
    forward: Piece
    pullback: Piece
    _: KW_ONLY
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    size: Callable[[int], int] | None = None
    shape: tuple[int, ...] | None = None
    linear: bool = False
    layers: Callable[[int], list[tuple[int, ...]]] | None = None
    identity: Callable[[int, float], np.ndarray] | None = None
    along: Callable[[np.ndarray, np.ndarray, np.ndarray], Along] | None = None
    coordinates: Callable[[np.ndarray], Coordinates | None] | None = None

    penalty: Callable[[np.ndarray], float] | None = None
    balance: Callable[[np.ndarray], np.ndarray | None] | None = None
    invariant: Callable[[Layers], np.ndarray] | None = None

    degree: int = 0
    multilinear: bool = False
    bias: Callable[[tuple[int, ...]], Norm] | None = None
    exponent: float | None = None
    symmetric: bool = False
    semidefinite: bool = False
    mirror: Callable[[np.ndarray], Potential | None] | None = None
    multiplied: bool = False
    commuting: bool = False
    reach: Callable[[Layers, np.ndarray, np.ndarray], str | None] | None = None
    sole: bool = False
    rectified: np.ndarray | None = None
    source: str = ""
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.fields("Model", self, texts=("name", "source"),
                      flags=("linear", "multilinear", "symmetric", "semidefinite",
                             "multiplied", "commuting"),
                      calls=("size", "layers", "identity", "penalty", "balance", "invariant",
                             "bias", "mirror", "reach", "along", "coordinates"))
        object.__setattr__(self, "params",
                           checks.array("params", self.params, "a (K,) array", dims=1, empty=True))
        object.__setattr__(self, "degree", checks.whole("degree", self.degree))
        if self.shape is not None:
            object.__setattr__(self, "shape", checks.shape("shape", self.shape))
        sizes = () if self.length is None else (self.parameters(self.length), self.length)
        expect("Model", self.params, sizes, forward=(self.forward, MAP),
               pullback=(self.pullback, MAP_AT))

    @property
    def length(self) -> int | None:
        """The only length d of w that it makes; None: any."""
        return None if self.shape is None else int(np.prod(self.shape))

    def parameters(self, d: int) -> int:
        """Return the length n of u for predictors of length d."""
        d = checks.whole("d", d, least=1)
        return d if self.size is None else checks.whole(f"size of the {self.name} model",
                                                        self.size(d), least=1)

    def split(self, u: np.ndarray, d: int) -> Layers:
        """Return the layers of u (n,), as views, for predictors of length d."""
        u, d = checks.floats("u", u, "an (n,) array", 1), checks.whole("d", d)
        self._fits(u.size, d)
        out, at = [], 0
        for shape in [(u.size,)] if self.layers is None else self.layers(d):
            size = math.prod(shape)
            out.append(u[at:at + size].reshape(shape))
            at += size
        return out

    def predictor(self, u: np.ndarray, d: int) -> np.ndarray:
        """Return w = F(u): (d,) for u (n,), (K, d) for u (K, n)."""
        u = checks.floats("u", u, "an (n,) or (K, n) array", (1, 2))
        rows = np.atleast_2d(u)
        d = checks.whole("d", d)
        self._fits(rows.shape[1], d)
        # no copy: w is u
        if self.linear:
            return u
        w = np.empty((rows.shape[0], d))
        with np.errstate(all="ignore"):
            for i, row in enumerate(rows):
                call(self.forward, self.params, row, w[i], sizes=(row.size, d))
        return w if u.ndim == 2 else w[0]

    def pull(self, u: ArrayLike, v: ArrayLike) -> np.ndarray:
        """Return F'(u)ᵀ v (n,) for u (n,) and v (d,)."""
        u = checks.floats("u", u, "an (n,) array", 1)
        v = checks.floats("v", v, "a (d,) array", 1)
        self._fits(u.size, v.size)
        out = np.empty_like(u)
        with np.errstate(all="ignore"):
            call(self.pullback, self.params, u, v, out, sizes=(u.size, v.size, u.size))
        return out

    @property
    def second(self) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Along] | None:
        """``along``, or what the layers of a model that is linear in each of them say of it; None
        where neither is known.
        """
        return self.along if self.along is not None or not self.multilinear else self._by_layers

    def _by_layers(self, u: np.ndarray, a: np.ndarray, v: np.ndarray) -> Along:
        """``along`` of a multilinear model: F and F'ᵀv with each layer of u in turn replaced by
        that of a.
        """
        moved, turned = np.zeros(v.size), np.zeros(u.size)
        parts = self.split(turned, v.size)
        # of what is linear in each layer, the derivative along a is the sum over single layers
        for i in range(len(parts)):
            other = u.copy()
            self.split(other, v.size)[i][...] = self.split(a, v.size)[i]
            moved += self.predictor(other, v.size)
            for j, change in enumerate(self.split(self.pull(other, v), v.size)):
                parts[j] += change if j != i else 0.0
        return moved, turned

    def pulls(self, u: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Return the rows F'(u)ᵀ v (K, n) for u (n,) and rows v of V (K, d)."""
        u = checks.floats("u", u, "an (n,) array", 1)
        V = checks.floats("V", V, "a (K, d) array", 2)
        self._fits(u.size, V.shape[1])
        out = np.empty((V.shape[0], u.size))
        with np.errstate(all="ignore"):
            call_rows(self.pullback, self.params, u, V, out, (u.size, V.shape[1], u.size))
        return out

    def _fits(self, n: int, d: int) -> None:
        if self.length not in (None, d) or n != self.parameters(d):
            raise ValueError(f"u and w must have lengths that fit the {self.name} model, got {n} "
                             f"and {d}")

    def start(self, scale: float, rng: Seed = None, size: int | None = None) -> Any:
        """Return a start u(0) for a `Plan`: the scaled identity, or with an rng, entries drawn from
        N(0, scale²).

        The scaled identity is scale·I for matrices, scale·(1, …, 1) for diagonal networks,
        scale·(1, 0, …, 0) for convolutions.

        Parameters
        ----------
        scale : float > 0
        rng : seed or numpy Generator, optional
        size : int ≥ 1, optional
            The length d of predictors, where the model takes any.

        Returns
        -------
        (n,) array, or Start
            A `Start`, which a `Plan` completes, where the length of predictors is not known yet.

        Raises
        ------
        ValueError, TypeError
            Where an argument is bad, or the model has no scaled identity.

        Examples
        --------
        >>> import fastbias as fb
        >>> print(fb.models.symmetric(2).start(0.1), fb.models.diagonal(2).start(0.1))
        [0.1 0.  0.  0.1] <start of diagonal(2), scale 0.1>
        """
        scale = checks.number("scale", scale, above=0)
        if rng is None and self.identity is None:
            raise ValueError(f"rng must be given for a start of the {self.name} model, which has "
                             "no scaled identity")
        # a generator moves on at each call, so it is asked once
        draws = None if rng is None else checks.generator("rng", rng)
        size = self.length if size is None else checks.whole("size", size, least=1)
        if self.length not in (None, size):
            raise ValueError(f"size must be {self.length}, the only one of the {self.name} model, "
                             f"got {size}")
        if size is not None:
            checks.fits("size", size, self.parameters(size))
        if draws is not None and size is not None:
            return scale * draws.normal(size=self.parameters(size))
        waiting = Start(self, scale, int(draws.integers(2 ** 53)) if draws is not None
                        and draws is rng else rng)
        return waiting if size is None else waiting.of(size)

    def balanced(self, w: ArrayLike) -> np.ndarray:
        """Return parameters u (n,) of the least norm with F(u) = w, for w (d,) or (m, n).

        ‖u‖² = R(w), the penalty that the model puts on w; ValueError where w is out of reach or
        none is known.

        Examples
        --------
        >>> import fastbias as fb
        >>> print(fb.models.diagonal(2, signed=True).balanced([4, -9]))
        [2. 0. 0. 3.]
        """
        w = checks.array("w", w, "a (d,) or (m, n) array", dims=(1, 2))
        if self.shape is not None and w.shape != self.shape and w.shape != (self.length,):
            raise ValueError(f"w must have the shape {self.shape} of the {self.name} model, got "
                             f"{w.shape}")
        try:
            with np.errstate(all="ignore"):
                u = None if self.balance is None else self.balance(w.ravel())
        except MemoryError:
            raise ValueError(f"w must be short enough for the parameters of the {self.name} model "
                             f"to fit into memory, got {w.size} entries") from None
        if u is None or not np.isfinite(u).all():
            raise ValueError(f"w must be one that the {self.name} model makes and knows the least "
                             f"parameters of, got {checks.short(w)}")
        return np.asarray(u)

    def __repr__(self) -> str:
        return f"<model {self.name}>"


@dataclass(frozen=True, eq=False)
class Start(Portable):
    """A start that waits for the length of predictors: `of` gives u(0) (n,)."""

    model: Model
    scale: float
    seed: Any

    def of(self, d: int) -> np.ndarray:
        """Return u(0) (n,) for predictors of length d, the same at each call."""
        if self.seed is not None:
            draws = np.random.default_rng(self.seed)
            return np.asarray(self.scale * draws.normal(size=self.model.parameters(d)))
        assert self.model.identity is not None
        return np.ascontiguousarray(self.model.identity(d, self.scale), dtype=float)

    def __repr__(self) -> str:
        return (f"<start of {self.model.name}, scale "
                f"{self.scale:g}{'' if self.seed is None else ', Gaussian'}>")


def flat_start(start: ArrayLike, n: int, model: Model, size: int) -> np.ndarray:
    """The parameters (n,) of a start that may also be a list of layers, or the one layer itself."""
    # []: a list of layers of any shapes
    shapes = [] if model.layers is None else model.layers(size)
    wanted = "a list of layers"
    if shapes:
        wanted += f" of shapes {', '.join(map(str, shapes))}"
    if len(shapes) == 1:
        sole = checks.array("start", start, wanted, dims=(1, 2, 3))
        alone = sole[0] if sole.ndim == 3 and len(sole) == 1 else sole
        return checks.point("start", alone, n, shapes[0])
    layers = _several(start)
    # a list of numbers is flat already
    if not layers:
        return checks.point("start", start, n, (n,))
    found = [checks.array("start", layer, wanted, dims=(1, 2)) for layer in layers]
    if shapes and [layer.shape for layer in found] != shapes:
        raise ValueError(f"start must be ({n},) or {wanted}, got "
                         f"{', '.join(str(layer.shape) for layer in found)}")
    return checks.point("start", np.concatenate([layer.ravel() for layer in found]), n, (n,))


def _several(start: object) -> list[object]:
    """What a list, a tuple or an array of several axes holds, where some of it has entries."""
    several = isinstance(start, (list, tuple)) or getattr(start, "ndim", 0) > 1
    layers = list(start) if several and isinstance(start, Iterable) else []
    return layers if any(hasattr(layer, "__len__") for layer in layers) else []


def _same(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    return n == d


@piece(MAP, needs=_same)
def _linear_forward(params, u, out):
    for i in range(u.size):
        out[i] = u[i]
    return 0


@piece(MAP_AT, needs=_same)
def _linear_pullback(params, u, v, out):
    for i in range(u.size):
        out[i] = v[i]
    return 0


linear = Model("linear", _linear_forward, _linear_pullback, linear=True, degree=1,
               along=lambda u, a, v: (a, np.zeros_like(a)))
"""w = u: the predictor itself is what the method moves."""

EXAMPLES: tuple[Model, ...] = (linear,)
