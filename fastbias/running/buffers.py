"""What the loop is handed for a problem: the addresses of its pieces, their numbers, and all memory
of a run.
"""
from __future__ import annotations

from hashlib import blake2b
from types import SimpleNamespace

import numpy as np

from fastbias import checks
from fastbias.data.rows import Matrix
from fastbias.engine.abi import (
    AGAIN,
    AVERAGE,
    BATCH,
    BITS,
    BURST,
    CHANGED,
    CONTROL,
    EACH,
    FILLED,
    LABELLED,
    LINEAR,
    LOSS,
    OUTPUTS,
    ROWS,
    SCRATCH,
    SEARCH,
    UNSCALED,
    WATCH,
    WEIGH,
    WEIGHTED,
    Buffers,
    Params,
    Pieces,
    eights,
    known,
    packed_room,
    room,
)
from fastbias.engine.dense_pass import EXPONENTIAL
from fastbias.engine.fits import misfit
from fastbias.engine.fused import BY_PIECE, COORDINATE
from fastbias.engine.noise import CLASSES, NUMBERS, SIGNS
from fastbias.engine.shared import aligned, laid
from fastbias.engine.sparse_pass import fill
from fastbias.engine.weighing import MILD, inside, weighted
from fastbias.problem import Data, Problem

__all__ = ["assemble", "handed", "layout"]

SHARED = 1 << 13  # numbers in a layout from which it is worth while to look for one like it
SPARSE = 16       # X is kept sparse, for models, where at most one entry in so many is not 0


def assemble(problem: Problem) -> tuple[Pieces, Params, Buffers]:
    """The pieces, params and buffers of a run of the problem that is at its start."""
    (N, d), n, method = problem.X.shape, problem.start.size, problem.method
    loss, model, rule, sampling = problem.loss, problem.model, problem.rule, method.sampling
    geometry, maps = method.maps
    numbers, point = method.before
    pieces = (loss.slope, loss.log_loss, model.forward, model.pullback, rule.rule, sampling.piece,
              method.direction, method.advance, *maps, *point)
    params = Params(loss.params, model.params, rule.params, numbers, method.params,
                    geometry, method.beta, method.gamma,
                    np.empty(0) if problem.weights is None else problem.weights.copy())
    state = _state(problem)
    rows, control = len(state), _control(problem, len(state))
    batch = int(control[BATCH])
    sizes = (N, d, n, _outputs(problem), rows, 2 * n + method.scratch, batch)
    wrong = misfit(pieces, params, sizes)
    if wrong is not None:
        piece = pieces[Pieces._fields.index(wrong[1])]
        raise ValueError(f"{wrong[1]} of {method!r} must be a piece that fits its params and the "
                         f"rows of its state, got {piece!r}, which reads others")
    if method.average is not None:    # which the method does not see
        state = np.vstack([state, problem.start])
    # only coordinate descent moves predictions by a column, and so keeps them from burst to burst
    kept = eights(N) if control[BURST] == COORDINATE else 0
    buffers = Buffers(
        u=problem.start.copy(), state=state, mark=np.zeros((len(state) + 1, n)), control=control,
        order=np.full(2 * N + 1 if batch else 0, -1),
        work=aligned(room(N, d, n, control)),
        packed=_packed(problem, control), kept=np.zeros(kept))
    return Pieces(*(p.address for p in pieces)), params, buffers


def handed(X: Matrix) -> np.ndarray:
    """X as the loop is handed it: (N, d), writeable as all that it gets; (0, d) where it is sparse,
    and its rows are in ``packed``.
    """
    if not isinstance(X, np.ndarray):
        return np.empty((0, X.shape[1]))
    if X.flags.writeable:
        return X
    # a file that is mapped to be read: nothing writes to it, and the loop knows no other arrays
    lent = SimpleNamespace(__array_interface__=X.__array_interface__ | {
        "data": (X.ctypes.data, False)}, owner=X)
    return np.asarray(lent)


def layout(X: Matrix, data: Data, control: np.ndarray) -> np.ndarray:
    """Room for what is laid out of X, or of a Gram matrix in its place, and beside it of targets
    and weights: shared with all runs that want the same.
    """
    N, d = X.shape
    size = packed_room(N, d, control[BURST] == COORDINATE, control[FILLED], weighted(control))
    if size < SHARED:
        return aligned(size)
    beside = [np.empty(0) if data.weights is None else data.weights]
    if not control[FILLED]:           # (sparse rows stand without targets)
        beside.append(data.y)
    about = blake2b(b"".join(part.tobytes() for part in beside)).digest()
    return laid(X, (about, int(control[WEIGH]), int(control[FILLED])), size)


def _packed(problem: Problem, control: np.ndarray) -> np.ndarray:
    """The layout of a problem's data; of sparse X it is filled already."""
    X, packed = problem.X, layout(problem.X, problem, control)
    N = X.shape[0]
    if isinstance(X, np.ndarray) or packed[N] != 0:
        return packed
    if not X.data.size:               # the loop wants an entry: one that is 0
        fill(packed, np.minimum(np.arange(N + 1), 1), np.zeros(1, int), np.zeros(1))
        return packed
    columns, entries = fill(packed, X.indptr, X.indices, X.data)
    if X.indptr.dtype == columns.dtype:                   # nothing is kept twice
        X.indices, X.data = columns, entries
    return packed


def _state(problem: Problem) -> np.ndarray:
    """The method's rows of state, under the one of the last move, which the loop keeps."""
    start = problem.start
    rows = checks.array("begin of a Method", problem.method.begin(start),
                        "what gives an (S, n) array", dims=2, empty=True)
    if rows.shape[1] != start.size:
        raise ValueError(f"begin of a Method must give rows of {start.size} entries, got shape "
                         f"{rows.shape}")
    return np.vstack([np.zeros((1, start.size)), rows])


def _control(problem: Problem, rows: int) -> np.ndarray:
    """What the loop is told of the problem: the entries of `fastbias.engine.abi.Slot`."""
    method, rule = problem.method, problem.rule
    linear, single = problem.model.linear, problem.outputs == 1
    batch = method.seen(problem.X.shape[0])
    control = np.zeros(CONTROL, np.int64)
    # where numbers change or are drawn, a state that comes again need not go on as it did
    control[WATCH] = method.constant and not method.random and method.average is None
    control[AVERAGE] = method.average is not None
    control[UNSCALED], control[LINEAR], control[BATCH] = method.unscaled, linear, batch
    control[LOSS], control[ROWS], control[SCRATCH] = rule.loss, rows, method.scratch
    control[SEARCH], control[OUTPUTS] = rule.search * (1 if linear else 2), _outputs(problem)
    control[FILLED] = _filled(problem)
    control[LABELLED] = _labels(problem) if method.sampling.label_noise else 0
    control[CHANGED] = bool(method.sampling.gradient_noise) or method.clip is not None
    control[BITS] = method.sampling.bits
    if method.point is not None:
        control[AGAIN], control[EACH] = method.point.times, method.point.each
    control[WEIGH] = _inside(problem) if single and not control[FILLED] else 0
    if problem.weights is not None:
        control[WEIGH] += WEIGHTED
    if linear and not batch and rule.fixed and not control[FILLED]:
        control[BURST] = method.burst if inside(control) else BY_PIECE.get(method.burst, 0)
    return control


def _outputs(problem: Problem) -> int:
    """K, the predictions of a sample; −K where each has a target of its own."""
    return -problem.outputs if problem.columns > 1 else problem.outputs


def _labels(problem: Problem) -> int:
    """What noise does to labels, as `fastbias.engine.noise` numbers it."""
    if problem.loss.kind != "monotone":
        return NUMBERS
    return CLASSES if problem.loss.classes else SIGNS


def _filled(problem: Problem) -> int:
    """How many entries of X are kept alone; 0 where X is laid out whole."""
    X = problem.X
    if not isinstance(X, np.ndarray):
        return max(1, X.data.size)
    # models of matrices see a few entries each sample; rows of the linear model go in bursts, dense
    if problem.model.linear or problem.outputs > 1:
        return 0
    filled = int(np.count_nonzero(X))
    return filled if SPARSE * filled <= X.size else 0


def _inside(problem: Problem) -> int:
    """The loss that a pass weighs inside, as `fastbias.engine.dense_pass` numbers them, or 0."""
    loss, c = problem.loss, problem.weights
    number = known(loss.params, loss.slope, loss.log_loss)
    # an exponential has a weight of any size in its exponent, the others as a factor
    mild = c is None or bool(((c >= 1.0 / MILD) & (c <= MILD)).all())
    return number if mild or number == EXPONENTIAL else 0
