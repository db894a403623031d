"""What the loop is handed for a problem: the addresses of its pieces, their numbers, and all memory of a run."""
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
    Buffers,
    Params,
    Pieces,
    known,
    misfit,
    packed_room,
    room,
)
from fastbias.engine.driver import aligned
from fastbias.engine.fused import BY_PIECE, COORDINATE
from fastbias.problem import Problem

__all__ = ["assemble"]

SPARSE = 16       # X is kept sparse, for models, where at most one entry in so many is not 0


def assemble(problem: Problem) -> tuple[Pieces, Params, Buffers]:
    """The pieces, params and buffers of a run of the problem that is at its start."""
    (N, d), n, method, loss, rule = problem.X.shape, problem.start.size, problem.method, problem.loss, problem.rule
    geometry, maps = method.maps
    pieces = (loss.slope, loss.log_loss, problem.model.forward, problem.model.pullback, rule.rule, method.sampling.piece,
              method.direction, method.advance, *maps)
    params = Params(loss.params, problem.model.params, rule.params, method.sampling.params, method.params, geometry,
                    method.beta, method.gamma)
    rows, batch = checks.array("begin of a Method", method.begin(problem.start), "what gives an (S, n) array", dims=2,
                               empty=True), method.sampling.batch
    if rows.shape[1] != n:
        raise ValueError(f"begin of a Method must give rows of {n} entries, got shape {rows.shape}")
    state = np.vstack([np.zeros((1, n)), rows])
    control = np.zeros(CONTROL, np.int64)
    control[WATCH] = method.constant and not method.random
    control[UNSCALED], control[LINEAR], control[BATCH] = method.unscaled, problem.model.linear, batch
    control[LOSS], control[ROWS], control[SCRATCH] = rule.loss, state.shape[0], method.scratch
    control[SEARCH], control[OUTPUTS] = rule.search * (1 if problem.model.linear else 2), problem.outputs
    control[WEIGH] = known(loss.params, loss.slope, loss.log_loss) if problem.outputs == 1 else 0
    if not problem.model.linear and problem.outputs == 1:
        filled = int(np.count_nonzero(problem.X))
        if 0 < SPARSE * filled <= N * d:
            control[FILLED], control[WEIGH] = filled, 0
    if problem.model.linear and not batch and rule.fixed:
        control[BURST] = method.burst if control[WEIGH] else BY_PIECE.get(method.burst, 0)
    wrong = misfit(pieces, params, (N, d, n, problem.outputs, len(state), 2 * n + method.scratch, batch))
    if wrong is not None:
        piece = pieces[Pieces._fields.index(wrong[1])]
        raise ValueError(f"{wrong[1]} of {method!r} must be a piece that fits its params and the rows of its state, "
                         f"got {piece!r}, which reads others")
    kept = (N + 7) // 8 * 8 if control[BURST] == COORDINATE else 0
    buffers = Buffers(problem.start.copy(), state, np.zeros((state.shape[0] + 1, n)), control,
                      np.full(2 * N + 1 if batch else 0, -1), aligned(room(N, d, n, control)),
                      aligned(packed_room(N, d, kept > 0, control[FILLED])), np.zeros(kept))
    return Pieces(*(p.address for p in pieces)), params, buffers
