"""Whether the arguments of `descend` fit each other: what compiled code can look at before it touches anything.

Numbers come before products of them: each is at most what the memory that exists could hold, so that no product wraps.
"""
from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from fastbias.engine.abi import (
    BATCH,
    BURST,
    CONTROL,
    DONE,
    FILLED,
    GRAM,
    JIT,
    LINEAR,
    OUTPUTS,
    PACKED,
    ROW,
    ROWS,
    SCRATCH,
    SEARCH,
    SHIFT,
    WEIGH,
    kernel,
    packed_room,
    room,
)
from fastbias.engine.dense_pass import FAR, SQUARED
from fastbias.engine.fused import ADAGRAD, COORDINATE, ENTROPY, GRADIENT, MIRROR, POWER, STEEPEST

__all__ = ["LATEST", "MOST", "PAGE", "bad_argument", "missing"]

MOST = 1 << 48                 # entries that an array can have, in any memory there is
LATEST = 1 << 62               # steps are counted up to here
PAGE = 4096                    # where code begins at the earliest


def _missing(typingctx, pointer):  # type: ignore[no-untyped-def]
    """Whether a C pointer is NULL."""
    def codegen(context, builder, _signature, args):  # type: ignore[no-untyped-def]
        return builder.icmp_unsigned("==", args[0], args[0].type(None))
    return types.boolean(pointer), codegen


missing = intrinsic(_missing) if JIT else lambda pointer: not pointer


@kernel
def _control_fits(control, rows, N, d, n, space):  # type: ignore[no-untyped-def]
    """Whether control goes with the sizes and with itself; afterwards no size made of its entries can overflow."""
    K, burst = max(1, control[OUTPUTS]), control[BURST]
    if (min(control[DONE], control[ROW], control[BATCH], control[ROWS], control[SCRATCH], control[OUTPUTS]) < 0
            or control[BATCH] > N or control[ROWS] > rows or control[SCRATCH] > space
            or space // d < K or space // N < K or abs(float(control[SHIFT])) > FAR
            or not 0 <= control[FILLED] <= N * d or not 0 <= control[WEIGH] <= SQUARED or not 0 <= burst <= MIRROR
            or not 0 <= control[SEARCH] <= 2):
        return False
    linear, batches, search = control[LINEAR] != 0, control[BATCH] > 0, control[SEARCH]
    if (linear and n != d * K) or (control[WEIGH] != 0 and K > 1):
        return False
    if burst != 0 and (not linear or batches or search != 0
                       or (burst not in (GRADIENT, STEEPEST, MIRROR) and (control[WEIGH] == 0 or K > 1))
                       or (burst in (ADAGRAD, ENTROPY, MIRROR) and rows < 2)):
        return False
    if (control[GRAM] != 0 and (d != N or n != N or K > 1)) or (control[FILLED] > 0 and (linear or control[WEIGH] != 0
                                                                                          or K > 1)):
        return False
    return search == 0 or (not batches and (linear if search == 1 else (not linear and K == 1)))


@kernel
def _laid_out(X, packed, filled):  # type: ignore[no-untyped-def]
    """Whether packed is what `fastbias.engine.sparse_pass` makes of X: rows one after the other, and places that X has."""
    N, d = X.shape
    if packed[0] != N + 1 or packed[N] != N + 1 + 2 * filled:
        return False
    for n in range(N):
        if not packed[n] <= packed[n + 1] <= packed[N] or packed[n + 1] != np.floor(packed[n + 1]):
            return False
    fine = True
    for i in range(N + 1, N + 1 + 2 * filled, 2):
        fine &= 0 <= packed[i] < d
    return fine


@kernel
def _permuted(order, N, seen):  # type: ignore[no-untyped-def]
    """Whether order[N:2N] holds each of 0 … N − 1 once; ``seen`` (N,) is scratch."""
    for i in range(N):
        seen[i] = 0.0
    for i in range(N, 2 * N):
        if not 0 <= order[i] < N or seen[order[i]] != 0.0:
            return False
        seen[order[i]] = 1.0
    return True


@kernel
def _buffers_fit(params, X, buffers):  # type: ignore[no-untyped-def]
    """Whether buffers are as large as control, X and the pieces want them, and what they hold is in range."""
    (N, d), n, control = X.shape, buffers.u.size, buffers.control
    (rows, wide), mark = buffers.state.shape, buffers.mark.shape
    if n == 0 or rows == 0 or wide != n or mark[0] != rows + 1 or mark[1] != n or control.size != CONTROL:
        return False
    if not _control_fits(control, rows, N, d, n, buffers.work.size):
        return False
    burst, filled, order = control[BURST], control[FILLED], buffers.order
    if (buffers.work.size < room(N, d, n, control)
            or buffers.packed.size < packed_room(N, d, burst == COORDINATE, filled)
            or (burst == COORDINATE and buffers.kept.size != (N + 7) // 8 * 8)):
        return False
    if ((burst == ADAGRAD and params.method.size < 1) or (burst == COORDINATE and params.method.size < 3)
            or (burst == POWER and params.geometry.size < 2)):
        return False
    if control[BATCH] > 0 and (order.size != 2 * N + 1 or (order[2 * N] >= 0 and not _permuted(order, N, buffers.work))):
        return False
    return filled == 0 or (np.count_nonzero(X) == filled
                           and (control[PACKED] == 0 or _laid_out(X, buffers.packed, filled)))


@kernel
def bad_argument(pieces, params, X, y, buffers, records, stop_at, until):  # type: ignore[no-untyped-def]
    """The number of the first argument that does not fit, or 0."""
    (N, d), steps, control = X.shape, records.steps, buffers.control
    if JIT:
        for address in pieces:
            if address < PAGE:
                return 1
    if params.beta.size == 0 or params.gamma.size == 0 or params.rule.size == 0:
        return 2
    if N == 0 or d == 0:
        return 3
    if y.size != N:
        return 4
    if not _buffers_fit(params, X, buffers):
        return 5
    if control[OUTPUTS] > 1:
        for n in range(N):
            if not 0 <= y[n] < control[OUTPUTS] or y[n] != np.floor(y[n]):
                return 4
    if records.u.shape[0] != steps.size or records.log_loss.size != steps.size:
        return 6
    if steps.size > 0 and records.u.shape[1] != buffers.u.size:
        return 6
    if control[ROW] < steps.size and steps[control[ROW]] < control[DONE]:
        return 6
    for i in range(1, steps.size):
        if steps[i] <= steps[i - 1]:
            return 6
    if not control[DONE] <= stop_at < LATEST:
        return 7
    return 8 if np.isnan(until) else 0
