"""The doors from Python to compiled code: single pieces (`call`) and the whole loop (`descend`).

Compiled code believes what it is handed, so nothing in the package hands it anything but here,
where types, sizes and the numbers of params are looked at first. What only the owner of a piece
knows (that labels are classes, that k counts from 0) the owner looks at.
"""
from __future__ import annotations

from numbers import Real
from operator import index
from typing import Any

import numpy as np

from fastbias.engine.abi import (
    BATCH,
    CONTROL,
    KNOWN,
    LATEST,
    LOG_LOSS,
    MAP,
    MAP_AT,
    OUTPUTS,
    RULE,
    SAMPLE,
    SCRATCH,
    SLOPE,
    VALUE,
    Buffers,
    Params,
    Piece,
    Pieces,
    Records,
)
from fastbias.engine.arguments import PAGE, bad_argument
from fastbias.engine.compiled import JIT, kernel, pointer
from fastbias.engine.fits import misfit
from fastbias.engine.loop import _descend
from fastbias.engine.weighing import WILD, how, pushed, valued

__all__ = ["NOBODY", "by_team", "call", "call_rows", "call_weighed", "descend"]

_as_map, _as_map_at, _as_value = pointer(MAP), pointer(MAP_AT), pointer(VALUE)
_as_slope, _as_log_loss = pointer(SLOPE), pointer(LOG_LOSS)
_as_rule, _as_sample = pointer(RULE), pointer(SAMPLE)


@kernel
def _call_map(address, params, x, out):
    return _as_map(address)(params, x, out)


@kernel
def _call_map_at(address, params, at, x, out):
    return _as_map_at(address)(params, at, x, out)


@kernel
def _call_rows(address, params, at, X, out):
    for i in range(X.shape[0]):
        _as_map_at(address)(params, at, X[i], out[i])


@kernel
def _call_value(address, params, x):
    return _as_value(address)(params, x)


@kernel
def _call_slope(address, params, p, y, q):
    return _as_slope(address)(params, p, y, q)


@kernel
def _call_log_loss(address, params, p, y):
    return _as_log_loss(address)(params, p, y)


@kernel
def _weighed_slope(address, params, c, one, p, y, q):
    slope = _as_slope(address)
    room = one if how(c) == WILD else one[:0]
    return pushed(slope, params, c, room, p, y, q, slope(params, p, y, q))


@kernel
def _weighed_log_loss(address, params, c, one, p, y):
    return valued(_as_log_loss(address), params, how(c), c, one, p, y)


@kernel
def _call_sample(address, params, k, order):
    return _as_sample(address)(params, k, order)


@kernel
def _call_rule(address, params, k, s, log_loss):
    return _as_rule(address)(params, k, s, log_loss)


# by signature: the door, and what goes through it beside params (a method's pieces the loop calls)
_DOORS = {
    "MAP": (_call_map, ("x", "out")),
    "MAP_AT": (_call_map_at, ("at", "x", "out")),
    "VALUE": (_call_value, ("x",)),
    "SLOPE": (_call_slope, ("p", "y", "q")),
    "LOG_LOSS": (_call_log_loss, ("p", "y")),
    "RULE": (_call_rule, ("k", "s", "log_loss")),
    "SAMPLE": (_call_sample, ("k", "order")),
}
_F8, _I8 = np.dtype(np.float64), np.dtype(np.int64)


def _plain(x: Any, dims: int, dtype: np.dtype[Any] = _F8) -> bool:
    """Whether compiled code knows the array: exactly this dtype and dimension, C-contiguous,
    writeable.
    """
    return type(x) is np.ndarray and x.ndim == dims and x.dtype == dtype and x.flags.carray


def _agree(kind: str, sizes: list[int]) -> bool:
    """Whether vectors of these lengths go together: those of a map, and p, y and q of a loss."""
    if kind in ("SLOPE", "LOG_LOSS"):
        p, y, *q = sizes
        return y > 0 and p % y == 0 and q in ([], [p])
    return kind not in ("MAP", "MAP_AT") or sizes == sizes[:1] * len(sizes)


def call(piece: Piece, params: np.ndarray, *args: Any, sizes: tuple[int, ...] | None = None) -> Any:
    """Call one compiled piece from Python, with exactly the arguments of its signature.

    Parameters
    ----------
    piece : Piece
        Of signature ``abi.MAP, MAP_AT, VALUE, SLOPE, LOG_LOSS, RULE`` or ``SAMPLE``.
    params : (·,) float64
    *args
        The other arguments: float64 vectors (order: int64), C-contiguous and writeable; numbers.
    sizes : tuple of int, optional
        How long the vectors must be. Where it is not given those of a map are all of one length,
        and of a loss p and q are of one length, a multiple of that of y.

    Raises
    ------
    ValueError
        Where an argument is no such array, too short or too long, or params are not those that the
        piece reads.
    """
    door, labels = _DOORS.get(piece.kind, (None, ()))
    if door is None or len(args) != len(labels):
        raise ValueError(f"{piece!r} must be called with the arguments of its signature, got "
                         f"{len(args)} beside params")
    lengths = _lengths(piece, labels, args)
    if not _agree(piece.kind, lengths) if sizes is None else tuple(lengths) != sizes:
        wanted = "that go together" if sizes is None else f"of lengths {sizes}"
        raise ValueError(f"{', '.join(labels)} of {piece!r} must be vectors {wanted}, got lengths "
                         f"{tuple(lengths)}")
    _reads(piece, params, lengths)
    return door(piece.address, params, *args)


def call_weighed(piece: Piece, params: np.ndarray, c: np.ndarray | None, *args: Any) -> Any:
    """Call a SLOPE or LOG_LOSS piece of samples with weights c (N,), > 0: what it says of Σ c_n
    ℓ_n; None: as `call`.
    """
    if c is None:
        return call(piece, params, *args)
    lengths = _lengths(piece, ("p", "y", "q")[:len(args)], args)
    if not (_agree(piece.kind, lengths) and _plain(c, 1) and c.size == lengths[1]):
        raise ValueError(f"p, y and weights of {piece!r} must be vectors that go together, got "
                         f"lengths {tuple(lengths)} and {_shown(c)}")
    # each sample is asked about alone as well
    outputs = lengths[0] // lengths[1]
    _reads(piece, params, lengths)
    _reads(piece, params, [outputs, 1, outputs][:len(args)])
    door = _weighed_slope if piece.kind == "SLOPE" else _weighed_log_loss
    return door(piece.address, params, c, np.empty(2 * outputs), *args)


def _lengths(piece: Piece, labels: tuple[str, ...], args: tuple[Any, ...]) -> list[int]:
    """How long the vectors among a piece's arguments are; ValueError where one is none."""
    lengths = []                      # of vectors alone: numbers fit by themselves
    for label, x in zip(labels, args, strict=True):
        if label == "k" and not 0 <= x < LATEST:
            raise ValueError(f"k of {piece!r} must be a whole number >= 0 and under 2^62, got "
                             f"{x!r}")
        if label in ("k", "s", "log_loss"):
            continue
        dtype = _I8 if label == "order" else _F8
        if not _plain(x, 1, dtype):
            raise ValueError(f"{label} of {piece!r} must be a C-contiguous vector of {dtype}, "
                             f"got {_shown(x)}")
        lengths.append(x.size)
    return lengths


def call_rows(piece: Piece, params: np.ndarray, at: np.ndarray, X: np.ndarray, out: np.ndarray,
              sizes: tuple[int, int, int]) -> None:
    """Call a MAP_AT piece at one point for every row of X (K, ·), into the rows of ``out``;
    ``sizes`` as for `call`.
    """
    fine = piece.kind == "MAP_AT" and _plain(at, 1) and _plain(X, 2) and _plain(out, 2)
    if not fine or (at.size, X.shape[1], out.shape[1]) != sizes or len(X) != len(out):
        raise ValueError(f"at, X, out of {piece!r} must be float64 arrays whose rows are of "
                         f"lengths {sizes}, got {_shown(at)}, {_shown(X)}, {_shown(out)}")
    _reads(piece, params, sizes)
    _call_rows(piece.address, params, at, X, out)


def _reads(piece: Piece, params: Any, sizes: Any) -> None:
    """Raise ValueError where params are not those that the piece reads."""
    if not _plain(params, 1) or not piece.fits(params, *sizes):
        raise ValueError(f"params of {piece!r} must be a float64 vector of what it reads for "
                         f"vectors of lengths {tuple(sizes)}, got {_shown(params)}")


def _shown(x: Any) -> str:
    return f"an array {x.shape} of {x.dtype}" if isinstance(x, np.ndarray) else repr(x)[:60]


def descend(pieces: Pieces, params: Params, X: np.ndarray, y: np.ndarray, buffers: Buffers,
            records: Records, stop_at: int, until: float) -> int:
    """Run a method until ``stop_at`` updates are done, or the log loss is at or under ``until``.

    Every array is the caller's; nothing is allocated, nothing raised. Call it again with a later
    ``stop_at`` to go on: the bits do not depend on where a run was cut. Arrays are float64,
    C-contiguous and writeable; those of the wrong type or size are refused before anything is
    touched.

    Parameters
    ----------
    pieces : abi.Pieces
        Addresses: loss, model, step rule, sampler, method, geometry, point.
    params : abi.Params
        The float64 vectors that go with them, and the weights of the samples: (N,), or (0,).
    X, y : (N, d), (N,) float64, C-contiguous
        Data; X is (0, d) where ``buffers.packed`` holds rows that are sparse. With
        K = ``control[OUTPUTS]`` > 1, w is (K d,) and the predictions are (K N,), output after
        output, and y are classes 0 … K−1; with −K in its place y are numbers (K N,) as these.
    buffers : abi.Buffers
        u, state, mark, control, order, work, packed, kept. ``control[HURRY]``, set from another
        thread, makes the call return within one pass over a few rows; the update under way is then
        not done.
    records : abi.Records
        Which steps to write down, and where.
    stop_at : int
        Updates done when the call returns, counted from the very start of the run; under 2^62.
    until : float
        Stop once log L ≤ until; −inf never stops.

    Returns
    -------
    status : int
        0 fine (look at ``control[DONE]``), −i the i-th argument is bad, > 0 a numerical end:
        `fastbias.engine.abi.MESSAGES`. A piece of the package is recognised by its address; of
        anybody else's code nothing can be known.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbias as fb
    >>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.01))
    >>> X, y, none = plan.problem.X, plan.problem.y, np.zeros(0)
    >>> records = fb.abi.Records(np.zeros(0, np.int64), np.zeros((0, 2)), none)
    >>> fb.descend(plan.pieces, plan.params, X, y, plan.buffers, records, 500, -np.inf)
    0
    >>> plan.u.round(6)
    array([0.2, 0.4])
    """
    return by_team(NOBODY, pieces, params, X, y, buffers, records, stop_at, until)


def by_team(board: np.ndarray, *arguments: Any, known: bool = False) -> int:
    """`descend` of these arguments, whose passes are shared by those who look at the board: see
    `fastbias.engine.team`; sparse rows that are ``known`` to fit are not read once more for that.
    """
    pieces, params, X, y, buffers, records, stop_at, until = arguments
    # types first: to compiled code an array of another kind is memory that it misreads
    bad = _mistyped(pieces, params, X, y, buffers, records)
    if bad:
        return -bad
    try:
        stop = index(stop_at)
    except TypeError:
        return -7
    if not -LATEST < stop < LATEST:
        return -7
    try:
        least = float(until) if isinstance(until, Real) else np.nan
    except OverflowError:
        return -8
    control = buffers.control
    # what only the owners of known pieces can say, compiled code cannot look at
    K, each = int(control[OUTPUTS]), max(1, -int(control[OUTPUTS]))
    n, rows = buffers.u.size, len(buffers.state)
    batch, extra = int(control[BATCH]), int(control[SCRATCH])
    wrong = misfit(map(KNOWN.get, pieces), params,
                   (y.size // each, X.shape[1], n, K, rows, 2 * n + extra, batch))
    # plain tuples will do, but compiled code knows ours alone
    handed = (Pieces(*pieces), Params(*params), X, y, Buffers(*buffers), Records(*records))
    end = (stop, least, known)
    if wrong is not None:             # what the arguments say of each other comes first
        return -(int(bad_argument(*handed, end)) or wrong[0])
    return int(_descend(*handed, end, board))


NOBODY = np.empty(0, np.int64)        # the board of who is alone
_VECTOR, _WHOLES, _MATRIX = (1, _F8), (1, _I8), (2, _F8)
_BUFFERS = (_VECTOR, _MATRIX, _MATRIX, _WHOLES, _WHOLES, _VECTOR, _VECTOR, _VECTOR)
_RECORDS = (_WHOLES, _MATRIX, _VECTOR)


def _arrays(given: Any, kinds: Any) -> bool:
    """Whether given is a tuple of arrays of these dimensions and dtypes."""
    if not isinstance(given, tuple) or len(given) != len(kinds):
        return False
    # (a loop: this is asked of every call of a run)
    for x, (dims, dtype) in zip(given, kinds, strict=True):  # noqa: SIM110
        if not _plain(x, dims, dtype):
            return False
    return True


def _mistyped(pieces: Any, params: Any, X: Any, y: Any, buffers: Any, records: Any) -> int:
    """The number of the first argument of `descend` that compiled code would not know, or 0."""
    if not isinstance(pieces, tuple) or len(pieces) != len(Pieces._fields):
        return 1
    if not all(map(_callable, pieces)):
        return 1
    # (weights may be left out)
    if not any(_arrays(params, (_VECTOR,) * n) for n in (len(Params._fields) - 1,
                                                         len(Params._fields))):
        return 2
    if not _plain(X, 2):
        return 3
    if not _plain(y, 1):
        return 4
    if not _arrays(buffers, _BUFFERS) or Buffers(*buffers).control.size != CONTROL:
        return 5
    return 0 if _arrays(records, _RECORDS) else 6


def _callable(piece: Any) -> bool:
    """Whether a piece may be called: an address outside the first page, which belongs to nobody."""
    return isinstance(piece, int) and PAGE <= piece < 1 << 63 if JIT else callable(piece)
