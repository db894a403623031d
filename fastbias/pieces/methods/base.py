"""What a method is: its compiled pieces, step rule, momentum, geometry, and what it declares of
itself.
"""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any, Literal
from weakref import WeakSet

import numpy as np

from fastbias import checks
from fastbias.engine import fused
from fastbias.engine.abi import ADVANCE, DIRECTION, MAP, MAP_AT, VALUE, Piece, expect, known, piece
from fastbias.pieces import steps
from fastbias.pieces.methods import noisy
from fastbias.pieces.methods.sampling import Point, Sampling, Within
from fastbias.pieces.methods.shown import shown
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.pieces.recipe import Portable, recorded

__all__ = ["Method", "gradient", "inside", "maker", "primal", "reseeded"]

STEPS = ("step_size", "epsilon")      # what factories call it
GEOMETRIES = (Norm, Potential, Piece, type(None))


@dataclass(frozen=True, eq=False)
class Method(Portable):
    """A method: its compiled pieces, step rule, momentum, geometry, and what it declares of itself.

    The first four make a run. What stands under "theory" is declared by the functions of this
    module, held to laws by ``fb.laws.check``, and all that a theorem or a fast-forward may ask: of
    a method that declares nothing, none speaks.

    Parameters
    ----------
    name : str
        How it is called in tables.
    direction : Piece of signature ``abi.DIRECTION``
        (geometry, params, k, s, g, u, state, move): move ← what is made of the gradient, −∇L = e^s
        g.
    advance : Piece of signature ``abi.ADVANCE``
        (geometry, params, step, beta, move, u, state, work, u_new): u_new ← where that leads;
        `primal` adds it to u.
    rule : StepRule
        How far to go at each update.

    Other Parameters
    ----------------
    Engine: how a run is laid out.

    geometry : Norm, Potential or metric piece, optional
        What the pieces may ask.
    params : (·,) array, default empty
        Numbers handed to both pieces.
    begin : callable, default no rows
        u(0) (n,) → the method's own rows of state (S − 1, n), which stand below the row Δu that the
        loop keeps.
    beta, gamma : (K,) arrays, default 0
        The momentum that the advance is handed, and the γ of the point u + γ Δu where the gradient
        is taken.
    sampling : Sampling, default all samples
        How batches are drawn, and noise.
    clip : float > 0, optional
        The largest ‖∇L‖₂ that the method is handed.
    point : Point, optional
        Where the gradient is asked for again, before the method sees it.
    within : Within, optional
        The set that its advance ends in.
    average : (β, c), optional
        A mean of the parameters behind the update c: of all (β = 0), or fading by β an update.
    constraint : (Q, c), optional
        Equations Qu = c, with orthonormal rows, that each update keeps.
    decay : float, default 0
        λ of a weight decay ½λ‖u‖² that is part of the direction.
    shrink : float, default 0
        λ of a decoupled weight decay, which is part of the advance: u⁺ = (1 − λη)u + η·move; the
        last of ``params``.
    unscaled : bool, default False
        Whether the move is of a size of its own, so that the step is not to be multiplied by e^s.
    draws : bool, default False
        Whether the pieces draw numbers; batches aside.
    aged : bool, default False
        Whether an update depends on k though step size and momentum do not.
    scratch : int, default 0
        How much of ``work`` the advance wants beyond 2n.
    shaped : callable, optional
        The shape of predictors → the geometry, where it depends on that.
    usual : float, default 1e-3
        The step size that "auto" begins with where moves have a length of their own, so that no
        curvature bounds it.

    Theory: what it declares of one update, each under a law.

    steepest : bool, default False
        The move is of steepest descent: the norm's Δ of eq. (11), −∇L where there is no geometry;
        where ``unscaled``, of length one.
    natural : bool, default False
        It is ∇²ψ(u)⁻¹ (−∇L), or what the metric piece makes of −∇L, eq. (9).
    dual : bool, default False
        ∇ψ(u) moves by −η ∇L, eq. (5), in place of u.
    primal : bool, default False
        The momentum of a method that is ``dual`` is one of u, eq. (8), not of ∇ψ(u), eq. (7).
    averages : "", "fading" or "all", default ""
        The gradient of which all that is told is a sum: of gradients that fade, g + c g' + … with
        |c| < 1 (momentum in the gradient, also where that looks ahead), whose weights fall
        geometrically and add up to more than 0; or of all so far, as dual acceleration takes it,
        whose step rule is then part of it.
    adaptive : bool, default False
        Each entry of the move is that of −∇L, or of a mean of it, over a root of its own squares so
        far.
    moments : (float, float, float), optional
        β₁, β₂, ε of a method whose move is m/(√v + ε), m and v the running means of −∇L and of its
        squares, weighed by 1 − β₁ and 1 − β₂; with bias correction where it is ``aged``.
    ties : float, optional
        Of a method that moves single coordinates: those with |g_j| ≥ (1 − ties) max |g| may.
    measured : callable, optional
        The rows of state, as a run left them, → the norm whose maximum margin they decide (Theorem
        6).
    """

    name: str
    direction: Piece
    advance: Piece
    rule: steps.StepRule
    _: KW_ONLY
    geometry: Norm | Potential | Piece | None = None
    params: np.ndarray = field(default_factory=lambda: np.empty(0))
    begin: Callable[[np.ndarray], np.ndarray] = lambda u: np.empty((0, u.size))
    beta: np.ndarray = field(default_factory=lambda: np.zeros(1))
    gamma: np.ndarray = field(default_factory=lambda: np.zeros(1))
    sampling: Sampling = field(default_factory=Sampling)
    clip: float | None = None
    point: Point | None = None
    within: Within | None = None
    average: tuple[float, int] | None = None
    constraint: tuple[np.ndarray, np.ndarray] | None = None
    decay: float = 0.0
    shrink: float = 0.0
    unscaled: bool = False
    draws: bool = False
    aged: bool = False
    scratch: int = 0
    shaped: Callable[[tuple[int, ...]], Norm] | None = None
    usual: float = 1e-3

    steepest: bool = False
    natural: bool = False
    dual: bool = False
    primal: bool = False
    averages: Literal["", "fading", "all"] = ""
    adaptive: bool = False
    moments: tuple[float, float, float] | None = None
    ties: float | None = None
    measured: Callable[[np.ndarray], Norm] | None = None
    # what a factory made, where this is it or was made of it by `dataclasses.replace`
    _origin: Method | None = None

    def __post_init__(self) -> None:
        for label in ("beta", "gamma"):
            object.__setattr__(self, label, checks.steps(label, getattr(self, label)))
        # a list is as welcome as an array, but what the engine is handed is float64 of its own
        numbers = checks.array("params", self.params, "a (K,) array", dims=1, empty=True)
        object.__setattr__(self, "params", numbers)
        object.__setattr__(self, "scratch", checks.whole("scratch", self.scratch))
        for label in ("decay", "shrink"):
            object.__setattr__(self, label, checks.number(label, getattr(self, label), least=0))
        object.__setattr__(self, "usual", checks.number("usual", self.usual, above=0))
        if self.constraint is not None:
            object.__setattr__(self, "constraint", checks.equations("constraint", self.constraint))
        checks.fields("Method", self, texts=("name", "averages"), calls=("shaped", "measured"),
                      reals=("ties", "clip"),
                      flags=("primal", "unscaled", "draws", "aged", "steepest", "natural", "dual",
                             "adaptive"))
        checks.name("averages", self.averages, ("", "fading", "all"))
        if self.moments is not None:
            checks.array("moments", self.moments, "three numbers", dims=1, length=3)
        if not callable(self.begin):
            raise TypeError(f"begin of a Method must be callable, got {checks.short(self.begin)}")
        for field_, kinds in (("rule", steps.StepRule), ("sampling", Sampling),
                              ("geometry", GEOMETRIES), ("point", (Point, type(None))),
                              ("within", (Within, type(None)))):
            if not isinstance(getattr(self, field_), kinds):
                raise TypeError(f"{field_} of a Method must be one, got "
                                f"{checks.short(getattr(self, field_))}")
        expect("Method", self.params, direction=(self.direction, DIRECTION),
               advance=(self.advance, ADVANCE))

    @property
    def as_made(self) -> bool:
        """Whether it is what a factory of this package made, but perhaps for another step rule, or
        for momentum.

        What a method declares is believed of such alone: of one that was put together or changed by
        hand no test knows whether its pieces, geometry, numbers and state go together.
        """
        made = self._origin
        return isinstance(made, Method) and made in _MADE and self._of(made) \
            and self._momentum_counts(made)

    def _of(self, made: Method) -> bool:
        """Whether all but the step rule and momentum is what a factory made."""
        # closures and pieces count as the same only where they are the same object
        same = all(_same(getattr(self, x.name), getattr(made, x.name)) for x in fields(self)
                   if x.name not in ("rule", "beta", "gamma", "_origin"))
        # the weights of dual acceleration are made for its own steps 1/(B² L)
        return same and (self.averages != "all" or self.rule.rule is made.rule.rule)

    def _momentum_counts(self, made: Method) -> bool:
        """Whether the momentum is one that what is declared holds for."""
        # the decay stands beside the γ of the point where it is taken
        if self.decay and not np.array_equal(self.gamma, made.gamma):
            return False
        # eqs. (3), (7) and (8) are theorems about any β
        if self.dual or (self.steepest and self.geometry is None):
            return all(np.isfinite(x).all() and (x >= 0).all() for x in (self.beta, self.gamma))
        return not (self.beta.any() or self.gamma.any())

    def on(self, shape: tuple[int, ...]) -> Method:
        """The method for predictors of a shape: where its geometry depends on it (`shaped`), with
        that geometry.
        """
        shape = checks.shape("shape", shape)
        if self.shaped is None:
            return self
        made = replace(self, geometry=self.shaped(shape), shaped=None, _origin=None)
        if self.as_made:
            _original(made)
        if hasattr(self, "recipe"):                          # (a method changed by hand has none)
            for label in ("recipe", "_maker"):
                object.__setattr__(made, label, getattr(self, label))
            object.__setattr__(made, "_fitted", shape)
        return made

    def stepping(self, eta: float, why: str) -> Method:
        """The method with a number for the step size that is "auto", and what that rests on; as it
        is where it has one.
        """
        if not self.rule.auto:
            return self
        rule = self.rule.with_number(eta, why)
        if not hasattr(self, "_maker"):                      # (changed by hand, or a user's own)
            return replace(self, rule=rule)
        # by its own factory, so that it knows how it was made
        made = self._maker(**{name: _stepping(name, value, rule, eta, why)
                              for name, value in vars(self)["recipe"][1].items()})
        return made.on(self._fitted) if hasattr(self, "_fitted") else made

    def _call(self) -> tuple[Callable[..., Any], dict[str, Any]]:
        origin = self._origin
        if hasattr(self, "_fitted"):
            maker, arguments = super()._call()
            return _fitted, {"maker": maker, "arguments": arguments, "shape": self._fitted}
        if hasattr(self, "_maker") or origin is None or not hasattr(origin, "_maker"):
            return super()._call()
        # one that was changed by hand: what it was made of, and what is not as that has it
        return _changed, {"made": origin, "changes": {
            x.name: getattr(self, x.name) for x in fields(self)
            if x.name != "_origin" and not _same(getattr(self, x.name), getattr(origin, x.name))}}

    @property
    def burst(self) -> int:
        """The number under which its updates go in bursts with the geometry and momentum it has; 0:
        they do not.
        """
        number, g = known(self.params, self.direction, self.advance), self.geometry
        # bursts scale by the gradient, as it is
        if self.unscaled or not self.bare:
            return 0
        if number == fused.STEEPEST and isinstance(g, Norm):
            return known(g.params, g.steepest, g.dual_norm, g.norm) or number
        if number == fused.MIRROR and isinstance(g, Potential):
            if self.beta.any() or self.gamma.any():
                return 0
            return known(g.params, g.link, g.inverse_link, g.metric, g.value) or number
        return number if self.beta.size == self.gamma.size == 1 else 0

    @property
    def memoryless(self) -> bool:
        """Whether its move is of the last gradient alone, by eq. (3), (5), (9) or (11)."""
        return (self.steepest or self.natural or self.dual) and not self.averages \
            and not self.shrink

    @property
    def straight(self) -> bool:
        """Whether an update is a step along its move, which has no momentum, and nothing else."""
        mixed = self.averages == "fading" and not self.adaptive
        return self.advance in (primal, inside) and not (mixed or self.beta.any()
                                                         or self.gamma.any())

    @property
    def maps(self) -> tuple[np.ndarray, list[Piece]]:
        """The geometry's parameters and its five maps (steepest, dual norm, link, inverse link,
        metric).
        """
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
        return self.sampling.random or self.draws

    @property
    def exact(self) -> bool:
        """Whether it is handed the gradient as it is, of some samples or of all, at u + γ Δu:
        without noise, of any length, asked for once; and moves as it will, with all digits of u.
        """
        sampling = self.sampling
        noise = sampling.label_noise or sampling.gradient_noise or sampling.bits
        return not noise and self.clip is None and self.point is None and self.within is None

    @property
    def bare(self) -> bool:
        """Whether it is `exact`, and no mean is kept."""
        return self.exact and self.average is None

    @property
    def stated(self) -> bool:
        """Whether the gradient that it is handed is one that theorems speak of: that of all
        samples, or in gradient and mirror descent that of a batch, eq. (2).
        """
        batch, bare = self.sampling.batch, self.steepest and self.geometry is None
        usual = (self.dual or (bare and not self.averages)) and self.sampling.replace in (0, 1)
        return self.exact and (not batch or usual)

    @property
    def before(self) -> tuple[np.ndarray, list[Piece]]:
        """The numbers of sampler, noise, mean and point; the point's piece, steepest, dual norm."""
        sampling, point = self.sampling, self.point
        if self.bare:
            return sampling.params, [gradient, _no_map, _no_value]
        mean = self.average or (0.0, 0.0)
        noise = [sampling.label_noise, sampling.gradient_noise, self.clip or np.inf, *mean]
        if point is None:
            return np.array([*sampling.params, *noise, 0.0]), [gradient, _no_map, _no_value]
        numbers = np.array([*sampling.params, *noise, point.params.size, *point.params,
                            *point.norm.params])
        return numbers, [point.piece, point.norm.steepest, point.norm.dual_norm]

    def seen(self, N: int) -> int:
        """How many of N samples an update looks at one by one, at most; 0: at all in one pass."""
        each = self.point is not None and self.point.each
        return self.sampling.seen(N) or (N if each else 0)

    def __repr__(self) -> str:
        return shown(self)


@piece(MAP)
def _no_map(params, x, out):
    return -1


@piece(MAP)
def _anywhere(params, x, out):
    return 0


@piece(MAP_AT)
def _no_map_at(params, at, x, out):
    return -1


@piece(VALUE)
def _no_value(params, x):
    return np.nan


@piece(DIRECTION)
def gradient(geometry, params, k, s, g, u, state, move):
    """move ← g."""
    for i in range(g.size):
        move[i] = g[i]
    return 0


@piece(ADVANCE)
def primal(geometry, params, step, beta, move, u, state, work, u_new):
    """u_new ← u + β Δu + step · move, eq. (3)."""
    # 0 · Δu is left out, as it would turn an infinite Δu into NaN
    if beta == 0.0:
        for i in range(u.size):
            u_new[i] = u[i] + step * move[i]
    else:
        for i in range(u.size):
            u_new[i] = u[i] + (beta * state[0, i] + step * move[i])
    return 0


@piece(ADVANCE)
def inside(geometry, params, step, beta, move, u, state, work, u_new):
    """u_new ← u + step · move, which must have a metric."""
    for i in range(u.size):
        u_new[i] = u[i] + step * move[i]
    # only to ask whether u_new has a metric
    return geometry.metric(geometry.params, u_new, move, work[:u.size])


def _fitted(maker: Callable[..., Method], arguments: dict[str, Any],
            shape: tuple[int, ...]) -> Method:
    """What a factory makes, for predictors of a shape."""
    return maker(**arguments).on(shape)


def _stepping(name: str, value: Any, rule: steps.StepRule, eta: float, why: str) -> Any:
    """An argument of a factory, with a number for each step size that is "auto"."""
    if isinstance(value, Method):
        return value.stepping(eta, why)
    if isinstance(value, steps.StepRule):
        return value.with_number(eta, why)
    return rule if isinstance(value, str) and name in STEPS and value == steps.AUTO else value


def reseeded(arguments: dict[str, Any], rng: Any) -> dict[str, Any]:
    """The arguments of a factory with another seed, also of the methods among them."""
    found = {name: vars(x)["_maker"](**reseeded(vars(x)["recipe"][1], rng))
             if isinstance(x, Method) and hasattr(x, "_maker") else x
             for name, x in arguments.items()}
    return found | {"rng": rng}


def _changed(made: Method, changes: dict[str, Any]) -> Method:
    return replace(made, **changes)


_MADE: WeakSet[Method] = WeakSet()
"""What the factories made, so that nobody else's origin counts."""


def _original(made: Method) -> Method:
    """The method, with a copy as its origin: what is written into its arrays makes it another."""
    origin = replace(made)
    for label in ("params", "beta", "gamma"):
        object.__setattr__(origin, label, getattr(made, label).copy())
    if made.constraint is not None:
        object.__setattr__(origin, "constraint", tuple(x.copy() for x in made.constraint))
    _MADE.add(origin)
    object.__setattr__(made, "_origin", origin)
    return made


def maker(factory: Callable[..., Method]) -> Callable[..., Method]:
    """Decorate a factory of methods: it takes what all of them take (`noisy.SHARED`), and what it
    makes remembers the call, and is known as made (`Method.as_made`).
    """
    own, signature = inspect.signature(factory).parameters, noisy.taking(factory)

    @functools.wraps(factory)
    def make(*args: Any, **kwargs: Any) -> Method:
        rng = signature.bind(*args, **kwargs).arguments.get("rng")
        shared = {x.name: kwargs.pop(x.name) for x in noisy.SHARED
                  if x.name in kwargs and x.name not in own}
        return _original(_with(factory(*args, **kwargs), **shared | {"rng": rng}))
    vars(make)["__signature__"], make.__doc__ = signature, noisy.described(factory)
    return recorded(make)


def _with(made: Method, clip: float | None = None, average: str | float | None = None,
          average_from: int = 0, **draws: Any) -> Method:
    """A method with what the arguments say that all of them take."""
    # (an array is no number: it is refused below, by its name)
    given = [name for name, value in draws.items() if name not in ("rng", "replace", "rounding")
             and (isinstance(value, (list, tuple, np.ndarray)) or value)]
    if (made.point or made.within) and given and made.sampling.random:
        raise ValueError(f"{given[0]} must be given where all that is drawn is, to the method or "
                         f"to what is made of it, got it beside {made!r}")
    sampling = noisy.drawn(made.sampling, made.draws, **draws)
    # (what such keep is exact, and would bring back each digit that is rounded away)
    if sampling.bits and (made.dual or made.averages == "all" or made.constraint or made.within):
        raise ValueError("precision must be None for a method that keeps ∇ψ(w), a sum of "
                         f"gradients, a constraint or a set, got it beside {made!r}")
    limit = made.clip if clip is None else checks.number("clip", clip, above=0)
    mean = noisy.mean(average, average_from) or made.average
    same = (sampling, limit, mean) == (made.sampling, made.clip, made.average)
    return made if same else replace(made, sampling=sampling, clip=limit, average=mean)


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a field are one thing, or hold the same numbers."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other or (isinstance(one, (str, float, bool, int, Sampling))
                            and bool(one == other))
