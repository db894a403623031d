"""The calling convention: what a compiled piece looks like, what the loop is handed, and what a
status means.

A *piece* is a compiled function of one of the fixed signatures below. It works on whole vectors,
writes into the last array it is given, allocates nothing, raises nothing, and returns an ``int64``
status (0 is fine) or a ``float64``. The loop is compiled once and calls pieces through their
addresses, so a piece written in anybody's file joins it at full speed and without recompiling it.

========== ==================================================== ====================================
signature  arguments → result                                   used for
========== ==================================================== ====================================
MAP        (params, x, out) → status                            link, inverse link, F,
                                                                steepest direction
MAP_AT     (params, at, x, out) → status                        pullback, and the inverse Hessian
                                                                at ``at``, applied to x
VALUE      (params, x) → float                                  norm, dual norm, potential
SLOPE      (params, p, y, q) → float                            fills q, returns s: −∂L/∂p = e^s q
LOG_LOSS   (params, p, y) → float                               log L
RULE       (params, k, s, log_loss) → float                     the step before e^s-scaled moves,
                                                                e^s included; log_loss is NaN
                                                                unless the rule asks for it
DIRECTION  (geometry, params, k, s, g, u, state, move) → status what a method makes of the gradient;
                                                                where to ask for it again
ADVANCE    (geometry, params, step, beta, move, u, state, work, where that takes the parameters
           u_new) → status
SAMPLE     (params, k, order) → count                           fills order[:count] with the
                                                                samples of update k
========== ==================================================== ====================================

Glossary of the one-letter names used inside pieces and the loop
    X (N, d) data; y (N,) targets or labels
    u (n,) parameters; w = F(u) (d,) linear predictor; p = X w predictions
    L = Σ_n ℓ(p_n, y_n); −∂L/∂p = e^s q, with q of size one where the loss can be small
    K > 1 outputs (classes, or targets y (K, N)) have w (K, d), p (K, N), flat, one after the other
    g = F'(u)ᵀ Xᵀ q, so that −∇L = e^s g; k the number of updates done
    move the direction before the step size
    ψ potential, z = ∇ψ(w) its dual variable
    beta, gamma the momentum parameters β_t, γ_t of the paper

Rules that keep the disk cache honest: a compiled function calls compiled functions of its own file,
those it imports by name from a file of the package on a floor below (or of its own folder), and
pieces it was handed. `fastbias.engine.cache` takes nothing from the disk that was compiled from
other sources than those at hand. The numbers of ``Status`` are frozen into C programs and users'
pieces, so a number, once given, is never changed.
"""
from __future__ import annotations

import enum
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numba import types

from fastbias.engine import cache, travel
from fastbias.engine.compiled import JIT, callback, kernel
from fastbias.engine.promises import breach, essence

__all__ = [
    "ADVANCE", "DIRECTION", "LOG_LOSS", "MAP", "MAP_AT", "MESSAGES", "RULE", "SAMPLE", "SHORT",
    "SLOPE", "VALUE", "Buffers", "Geometry", "Params", "Piece", "Pieces", "Records", "Slot",
    "Status", "piece",
]

LATEST = 1 << 62  # updates are counted up to here: twice as many still fit int64


class Status(enum.IntEnum):
    """How a run ended. 0 is fine, > 0 is a numerical end; `fastbias.engine.abi.MESSAGES` says each
    in words.

    ``STALLED`` is noticed at multiples of 64 updates, by comparing with the state at the last power
    of two: the run has been at rest for at most as long as it took to get there, or in a cycle of c
    updates for a few times 64 c more.
    """

    OK = 0
    NOT_FINITE = 1
    OUT_OF_DOMAIN = 2
    STALLED = 3
    REACHED = 4
    UNBOUNDED = 5


SHORT = -2
"""What a map, direction or advance of the package returns where params are fewer than it reads;
from C anything may come.
"""

_f8, _i8 = types.float64, types.int64
_V = types.Array(_f8, 1, "C")
_M = types.Array(_f8, 2, "C")
_I = types.Array(_i8, 1, "C")

MAP = _i8(_V, _V, _V)
MAP_AT = _i8(_V, _V, _V, _V)
VALUE = _f8(_V, _V)
SLOPE = _f8(_V, _V, _V, _V)
LOG_LOSS = _f8(_V, _V, _V)
RULE = _f8(_V, _i8, _f8, _f8)
SAMPLE = _i8(_V, _i8, _I)


class Geometry(NamedTuple):
    """A norm or potential as a method sees it: its parameters and its maps (those it lacks return
    −1 or NaN).
    """

    params: Any        # (·,) handed to each of the maps
    steepest: Any      # MAP      g → Δ of eq. (11)
    dual_norm: Any     # VALUE    ‖g‖⋆
    link: Any          # MAP      w → ∇ψ(w); OUT_OF_DOMAIN outside dom ψ
    inverse_link: Any  # MAP      z → (∇ψ)⁻¹(z)
    metric: Any        # MAP_AT   (w, g) → H(w)⁻¹ g; OUT_OF_DOMAIN outside dom ψ


_F = types.FunctionType
GEOMETRY = types.NamedTuple((_V, _F(MAP), _F(VALUE), _F(MAP), _F(MAP), _F(MAP_AT)), Geometry)
DIRECTION = _i8(GEOMETRY, _V, _i8, _f8, _V, _V, _M, _V)
ADVANCE = _i8(GEOMETRY, _V, _f8, _f8, _V, _V, _M, _V, _V)


class Pieces(NamedTuple):
    """The addresses that make a run: which loss, model, step rule, sampler, method,
    geometry, and point where the gradient is asked for again.
    """

    slope: Any         # SLOPE
    log_loss: Any      # LOG_LOSS
    forward: Any       # MAP      u → w = F(u)
    pullback: Any      # MAP_AT   (u, v) → F'(u)ᵀ v
    rule: Any          # RULE
    sample: Any        # SAMPLE
    direction: Any     # DIRECTION
    advance: Any       # ADVANCE
    steepest: Any      # and the five maps of Geometry
    dual_norm: Any
    link: Any
    inverse_link: Any
    metric: Any
    # DIRECTION  from where the gradient was taken to where it is asked for again, where control
    # says so; in the geometry below
    point: Any
    point_steepest: Any   # MAP      of the norm in which a point is away
    point_dual_norm: Any  # VALUE


class Params(NamedTuple):
    """The numbers that go with the pieces; the last of beta and gamma, one a step, goes on."""

    loss: Any
    model: Any
    rule: Any
    sample: Any             # of the sampler, and of noise and points: `fastbias.engine.noise`
    method: Any
    geometry: Any
    beta: Any
    gamma: Any
    weights: Any = np.empty(0)  # (N,) where ``control[WEIGH]`` says so


VECTORS = len(Params._fields) - len(Params._field_defaults)   # those that are always there


MESSAGES: dict[int, str] = {
    Status.OK: "all steps were done",
    Status.NOT_FINITE: "the parameters ceased to be finite",
    Status.OUT_OF_DOMAIN: "the iterate left the domain of the potential",
    Status.STALLED: "the whole state repeats bit for bit, so more steps would show nothing new",
    Status.REACHED: "the log loss is at or under the asked value",
    Status.UNBOUNDED: "the exact line search has no minimiser",
    -1: f"argument 1 is bad: pieces must be {len(Pieces._fields)} addresses of compiled pieces, "
        "each of its signature",
    -2: f"argument 2 is bad: params must be {VECTORS} vectors as long as their pieces read, rule, "
        "beta, gamma not empty, and behind them weights, (N,) and > 0 where control says so, "
        "else (0,)",
    -3: "argument 3 is bad: X must be (N, d) with N, d > 0, or (0, d) where packed has sparse rows",
    -4: "argument 4 is bad: y must have one entry for each row of X, of K > 1 outputs a class "
        "0 … K−1, or K where control says −K",
    -5: "argument 5 is bad: buffers do not fit X, the pieces and each other (see abi.Buffers)",
    -6: "argument 6 is bad: records must be (K,), (K, n), (K,), with steps that increase and do "
        "not lie behind",
    -7: "argument 7 is bad: stop_at must be under 2^62 and not before the step where the run "
        "stands",
    -8: "argument 8 is bad: until must be a number",
}
"""Every status that `descend` can return, in words; −i says that the i-th argument is bad.

An array of another dtype than float64 (control, order and steps: int64), of another dimension, not
C-contiguous or not writeable is as bad as one of another size.
"""


class Buffers(NamedTuple):
    """All memory of a run: who keeps u, state, mark, control and kept can go on, bit for bit."""

    u: Any        # (n,)      the parameters
    # (S, n)    row 0: the last move Δu, kept by the loop; the other rows are the method's own, but
    # for the last where control says that parameters are averaged, which is their mean
    state: Any
    # (S+1, n)  u and state as they stood at the last power of two, to notice that a run repeats
    mark: Any
    control: Any  # (CONTROL,)  int64, see Slot
    # (2 N + 1,)  int64: the samples of an update | a permutation, and its epoch (−1: none) | may be
    # empty
    order: Any
    work: Any     # (room(…),)    scratch
    packed: Any   # (packed_room(…),)  X and y as the kernels want them, filled by the first call
    # (N rounded up to 8,) or (0,)  the predictions that coordinate descent keeps in bursts
    kept: Any


class Slot(enum.IntEnum):
    """The entries of ``Buffers.control``; flags are on where they are not 0. Frozen into C
    programs, as `Status` is.
    """

    DONE = 0       # updates done
    ROW = 1        # rows recorded
    HURRY = 2      # flag, to be set by another thread: come back soon
    WATCH = 3      # flag: watch for a state that repeats
    UNSCALED = 4   # flag: moves do not carry the gradient's scale e^s (normalised steps)
    LINEAR = 5     # flag: w is u
    BATCH = 6      # samples in a batch; 0: the full gradient
    LOSS = 7       # flag: the step rule is told log L at every update
    ROWS = 8       # rows of state that the method asks for
    SCRATCH = 9    # scratch that it asks for, beyond 2 n
    # the step is searched along the move: 1 of any convex loss, 2 of squares and a model of degree
    # 2
    SEARCH = 10
    OUTPUTS = 11   # K, the predictions that a sample has; 0 counts as 1; −K: each has its target
    PACKED = 12    # flag: ``packed`` is filled
    SHIFT = 13     # the power of two that the weights of a monotone loss are multiplied by
    # the loss that a pass weighs inside, numbered as in `fastbias.engine.dense_pass` (0: by its
    # piece), and 4 more where samples have weights
    WEIGH = 14
    # how the method goes in bursts, as `fastbias.engine.fused` numbers them; 0: it does not
    BURST = 15
    GRAM = 16      # flag: X is a Gram matrix and u its coefficients, which move along q itself
    # entries of X in ``packed``, of `fastbias.engine.sparse_pass`; 0 where it holds all of X
    FILLED = 17
    # what labels with noise are, as `fastbias.engine.noise` numbers them; 0: they have none
    LABELLED = 18
    CHANGED = 19   # flag: the gradient is changed before the method sees it
    AGAIN = 20     # at how many more points an update asks for the gradient
    EACH = 21      # flag: each sample is asked for at points of its own
    # significant bits that parameters are rounded to after each update; −p: by chance; 0: they are
    # not
    BITS = 22
    AVERAGE = 23   # flag: the last row of state, beyond ROWS, is a mean of the parameters


# plain numbers: of a member, compiled code knows the class and not that it may be an index
(DONE, ROW, HURRY, WATCH, UNSCALED, LINEAR, BATCH, LOSS, ROWS, SCRATCH, SEARCH, OUTPUTS, PACKED,
 SHIFT, WEIGH, BURST, GRAM, FILLED, LABELLED, CHANGED, AGAIN, EACH, BITS, AVERAGE) = map(int, Slot)
CONTROL = len(Slot)
WEIGHTED = 4                          # what WEIGH has more where samples have weights


class Records(NamedTuple):
    """Where the loop writes what it passes: row i is filled when steps[i] updates are done."""

    steps: Any     # (K,)   int64, increasing
    u: Any         # (K, n)
    log_loss: Any  # (K,)


@kernel
def eights(size):
    """The next multiple of eight: what whole vectors take."""
    return (size + 7) // 8 * 8


@kernel
def padded(size):
    """A multiple of eight that leaves room for whole vectors, wherever in it they begin."""
    return eights(size) + 8


SLAB, SLABS = 1 << 13, 32             # entries of X in a slab at least, slabs at most
LOW, THIN = 32, 8                     # rows in a slab at least; entries of sparse X a feature


@kernel
def slabs(N, d, control):
    """Into how many slabs of rows a pass over all of X is cut, whoever does it: a power of two,
    by the size of X alone.

    Each adds up a gradient of its own, which costs as much as some rows do: so slabs are not low,
    and of sparse rows have several entries a feature.
    """
    K, filled, count = max(1, abs(control[OUTPUTS])), control[FILLED], 1
    if control[BATCH] > 0:
        return count
    most = min(K * N * eights(d) // SLAB, N // LOW)
    if filled > 0:
        most = min(min(K * filled // SLAB, filled // (THIN * d)), N // LOW)
    while 2 * count <= min(most, SLABS):
        count *= 2
    return count


@kernel
def lengths(N, d, n, control):
    """How long the vectors of `fastbias.engine.layout.Scratch` are, in its order, and behind them
    that of ``Data.parts``.
    """
    K = max(1, abs(control[OUTPUTS]))
    searched = K * N if control[SEARCH] != 0 else 0
    slopes, drawn = K * N, max(1, -control[OUTPUTS]) * control[BATCH]
    if control[WEIGH] // WEIGHTED == 1:
        slopes, drawn = padded(K * N) + 2 * K, drawn + control[BATCH]
    # (in Gram space a slab's gradient is its rows of g)
    parts = padded(K * d) if control[GRAM] == 0 and slabs(N, d, control) > 1 else 0
    return (K * N, slopes, K * d, K * d, n, n, n, n, 2 * n + control[SCRATCH], drawn, searched,
            searched, parts)


@kernel
def room(N, d, n, control):
    """How long ``Buffers.work`` must be for (N, d) data, n parameters, and this control."""
    total = 0
    for size in lengths(N, d, n, control):
        total += padded(size)
    return total


@kernel
def packed_room(N, d, columns, filled=0, weighing=False):
    """How long ``Buffers.packed`` must be for (N, d) data; ``columns`` is control[BURST] = 5,
    ``filled`` control[FILLED], ``weighing`` control[WEIGH] ≥ 4.
    """
    if filled > 0:
        return N + 1 + filled + (filled + 1) // 2 + (N if weighing else 0)
    tall = eights(N)
    return (eights(d) + (4 if weighing else 2)) * tall + (d * tall if columns else 0)


class Piece(travel.Carried):
    """A compiled function of fixed signature with a C address; made by `piece`, compiled when first
    asked for.
    """

    def __init__(self, function: Callable[..., Any], signature: Any,
                 needs: int | Callable[..., Any] = 0) -> None:
        if not hasattr(function, "__code__"):
            raise TypeError(f"a piece must be made of a plain function, got {function!r}")
        wanted, got = len(signature.args), function.__code__.co_argcount
        if wanted != got:
            raise TypeError(f"{function.__name__} must take {wanted} arguments to be a piece of "
                            f"this signature, it takes {got}")
        # (the package's own are looked at by its tests, not in every process)
        broken = None if travel.ours(function) else breach(function)
        if broken is not None:
            raise TypeError(f"{function.__name__} must {_promise(signature)}{broken}")
        self.function, self.signature, self.needs = function, signature, needs
        self.kind = _NAMES[signature]
        # now: by the time it is compiled, the file may be another
        self.made_of = cache.made_of(function)
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    @cached_property
    def address(self) -> Any:
        """The C address of the compiled function (under ``NUMBA_DISABLE_JIT=1`` the plain
        function).
        """
        found = self._compiled.address if JIT else np.errstate(all="ignore")(self.function)
        KNOWN[found] = self
        return found

    @cached_property
    def _compiled(self) -> Any:
        try:
            return callback(self.function, self.signature, self.made_of)
        except (OSError, MemoryError):
            raise
        except Exception as error:                        # whatever of Numba's
            raise TypeError(f"{self.__name__} must {_promise(self.signature)} and compile, but "
                            f"Numba says: {essence(error)}") from error

    def fits(self, params: np.ndarray, *sizes: int) -> bool:
        """Whether it stays inside params and vectors of these sizes; what a user's own piece reads
        is not known.
        """
        if not callable(self.needs):
            return params.size >= self.needs
        try:
            return bool(self.needs(params, *sizes))
        except (IndexError, ValueError, ArithmeticError):     # too short to be asked, or NaN
            return False

    def __repr__(self) -> str:
        return f"<piece {self.__name__}>"


KNOWN: dict[Any, Piece] = {}
"""The pieces whose addresses were given out, kept for good: an address may outlive all other
references to its code.
"""


def _promise(signature: Any) -> str:
    """What a piece of a signature promises, as messages say it."""
    status = "an int64 status (return 0 where all is well)"
    result = status if signature.return_type == _i8 else "a float64"
    return f"return {result} to be a piece of signature {_NAMES[signature]}"


_TWINS: dict[tuple[Piece, ...], list[tuple[int, Callable[[np.ndarray], bool]]]] = {}


def twin(number: int, *pieces: Piece,
         where: Callable[[np.ndarray], bool] = lambda params: True) -> None:
    """Say under which number (in `fastbias.engine.dense_pass`, `.moves`) there is a twin of pieces.

    ``where`` says for which params: pieces that go by them are several things.
    """
    _TWINS.setdefault(pieces, []).append((number, where))


def known(params: np.ndarray, *pieces: Piece) -> int:
    """The number of the twin of just these pieces with these params; 0 where there is none."""
    return next((number for number, where in _TWINS.get(pieces, ()) if where(params)), 0)


def expect(owner: str, params: np.ndarray | None = None, sizes: tuple[int, ...] = (),
           **slots: tuple[Any, Any]) -> None:
    """Raise TypeError unless each slot holds a piece of its signature, name=(value, signature).

    ValueError where params are less than it reads; with ``sizes`` of vectors also of these.
    """
    for label, (value, signature) in slots.items():
        if not isinstance(value, Piece):
            raise TypeError(f"{label} of a {owner} must be a compiled piece (fb.piece), got "
                            f"{type(value).__name__}")
        if value.kind != _NAMES[signature]:
            raise TypeError(f"{label} of a {owner} must be a piece of signature "
                            f"{_NAMES[signature]}, got {value!r} of signature {value.kind}")
        asked = params is not None and (sizes or not callable(value.needs))
        if params is not None and asked and not value.fits(params, *sizes):
            raise ValueError(f"params of a {owner} must be those that its {label} {value!r} reads, "
                             f"got {params.size} numbers")


def piece(signature: Any, *,
          needs: int | Callable[..., Any] = 0) -> Callable[[Callable[..., Any]], Piece]:
    """Make a plain function of arrays and floats a compiled piece of the given signature.

    Parameters
    ----------
    signature
        One of ``fb.abi.MAP, MAP_AT, VALUE, SLOPE, LOG_LOSS, RULE, DIRECTION, ADVANCE``; the table
        at the top of this module lists their arguments. Arrays are C-contiguous float64.
    needs : int or callable, default 0
        How many params it reads at least, or a test of (params, *sizes of the other vectors; of
        DIRECTION: n and the rows of state, of ADVANCE: and of work) for whether it stays inside
        them all. Whoever hands it fewer is refused.

    Returns
    -------
    decorator
        It turns the function into a `Piece`, to be put into a ``Norm``, ``Potential``, ``Loss``,
        ``Model`` …

    Raises
    ------
    TypeError
        Where the signature is none, the function does not take as many arguments as it has, or may
        return nothing; and, when it is first used, where it does not compile.

    Examples
    --------
    >>> import fastbias as fb
    >>> @fb.piece(fb.abi.VALUE)
    ... def largest(params, x):
    ...     return abs(x).max()
    >>> largest
    <piece largest>
    """
    if not isinstance(signature, type(MAP)) or signature not in _NAMES:
        raise TypeError(f"signature must be one of fb.abi.{', fb.abi.'.join(_NAMES.values())}, "
                        f"got {signature!r}")
    if not callable(needs) and (isinstance(needs, bool) or not isinstance(needs, int)):
        raise TypeError(f"needs must be a whole number or callable, got {needs!r}")
    return lambda function: Piece(function, signature, needs)


_NAMES = {MAP: "MAP", MAP_AT: "MAP_AT", VALUE: "VALUE", SLOPE: "SLOPE", LOG_LOSS: "LOG_LOSS",
          RULE: "RULE", SAMPLE: "SAMPLE", DIRECTION: "DIRECTION", ADVANCE: "ADVANCE"}
