"""What the loop is handed for a problem: the addresses of its pieces, their numbers, and all memory
of a run.
"""
from __future__ import annotations

import numpy as np

from fastbias import checks
from fastbias.engine.abi import (
    BATCH,
    BURST,
    CONTROL,
    FILLED,
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
    misfit,
    packed_room,
    room,
)
from fastbias.engine.dense_pass import EXPONENTIAL
from fastbias.engine.driver import aligned
from fastbias.engine.fused import BY_PIECE, COORDINATE
from fastbias.engine.weighing import MILD, inside, weighted
from fastbias.problem import Problem

__all__ = ["assemble"]

SPARSE = 16       # X is kept sparse, for models, where at most one entry in so many is not 0


def assemble(problem: Problem) -> tuple[Pieces, Params, Buffers]:
    """The pieces, params and buffers of a run of the problem that is at its start."""
    (N, d), n, method = problem.X.shape, problem.start.size, problem.method
    loss, model, rule, sampling = problem.loss, problem.model, problem.rule, method.sampling
    geometry, maps = method.maps
    pieces = (loss.slope, loss.log_loss, model.forward, model.pullback, rule.rule, sampling.piece,
              method.direction, method.advance, *maps)
    params = Params(loss.params, model.params, rule.params, sampling.params, method.params,
                    geometry, method.beta, method.gamma,
                    np.empty(0) if problem.weights is None else problem.weights.copy())
    state = _state(problem)
    control = _control(problem, len(state))
    sizes = (N, d, n, problem.outputs, len(state), 2 * n + method.scratch, sampling.batch)
    wrong = misfit(pieces, params, sizes)
    if wrong is not None:
        piece = pieces[Pieces._fields.index(wrong[1])]
        raise ValueError(f"{wrong[1]} of {method!r} must be a piece that fits its params and the "
                         f"rows of its state, got {piece!r}, which reads others")
    # only coordinate descent moves predictions by a column, and so keeps them from burst to burst
    kept = eights(N) if control[BURST] == COORDINATE else 0
    buffers = Buffers(
        u=problem.start.copy(), state=state, mark=np.zeros((len(state) + 1, n)), control=control,
        order=np.full(2 * N + 1 if sampling.batch else 0, -1),
        work=aligned(room(N, d, n, control)),
        packed=aligned(packed_room(N, d, kept > 0, control[FILLED], weighted(control))),
        kept=np.zeros(kept))
    return Pieces(*(p.address for p in pieces)), params, buffers


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
    linear, single, batch = problem.model.linear, problem.outputs == 1, method.sampling.batch
    control = np.zeros(CONTROL, np.int64)
    # where numbers change or are drawn, a state that comes again need not go on as it did
    control[WATCH] = method.constant and not method.random
    control[UNSCALED], control[LINEAR], control[BATCH] = method.unscaled, linear, batch
    control[LOSS], control[ROWS], control[SCRATCH] = rule.loss, rows, method.scratch
    control[SEARCH], control[OUTPUTS] = rule.search * (1 if linear else 2), problem.outputs
    control[WEIGH] = _inside(problem) if single else 0
    # models of matrices see a few entries each sample; rows of the linear model go in bursts, dense
    if not linear and single:
        filled = int(np.count_nonzero(problem.X))
        if 0 < SPARSE * filled <= problem.X.size:
            control[FILLED], control[WEIGH] = filled, 0
    if problem.weights is not None:
        control[WEIGH] += WEIGHTED
    if linear and not batch and rule.fixed:
        control[BURST] = method.burst if inside(control) else BY_PIECE.get(method.burst, 0)
    return control


def _inside(problem: Problem) -> int:
    """The loss that a pass weighs inside, as `fastbias.engine.dense_pass` numbers them, or 0."""
    loss, c = problem.loss, problem.weights
    number = known(loss.params, loss.slope, loss.log_loss)
    # an exponential has a weight of any size in its exponent, the others as a factor
    mild = c is None or bool(((c >= 1.0 / MILD) & (c <= MILD)).all())
    return number if mild or number == EXPONENTIAL else 0
