"""The loop behind a plain C prototype: pointers and sizes are looked at, and made arrays of."""
from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray, types

from fastbias.engine.abi import (
    BATCH,
    BURST,
    CONTROL,
    FILLED,
    VECTORS,
    Buffers,
    Params,
    Pieces,
    Records,
    eights,
    packed_room,
)
from fastbias.engine.arguments import ENTRIES
from fastbias.engine.compiled import callback, inner
from fastbias.engine.loop import _descend as descend
from fastbias.engine.moves import COORDINATE
from fastbias.engine.outputs import goals
from fastbias.engine.simd import _either
from fastbias.engine.weighing import weighted

__all__ = ["address"]

PIECES = len(Pieces._fields)


@_either(lambda pointer: not pointer)
def missing(typing: Any, pointer: Any) -> Any:
    """Whether a C pointer is NULL."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.icmp_unsigned("==", args[0], args[0].type(None))
    return types.boolean(pointer), code


@inner
def _any_missing(pointers):
    """Whether one of several C pointers is NULL."""
    none = False
    for one in pointers:
        none |= missing(one)
    return none


@inner
def _lacking(wanted, pointer):
    """Whether what is wanted is NULL."""
    return wanted and missing(pointer)


@inner
def _sizes_fit(sizes):
    """Whether each of the sizes of vectors may be one."""
    fine = True
    for i in range(VECTORS):
        fine &= 0 <= sizes[i] < ENTRIES
    return fine


@inner
def _ends(s):
    """Where each of eight vectors that stand end to end ends (a tuple: nothing is allocated)."""
    a, b, c = s[0], s[0] + s[1], s[0] + s[1] + s[2]
    d, e, f = c + s[3], c + s[3] + s[4], c + s[3] + s[4] + s[5]
    return a, b, c, d, e, f, f + s[6], f + s[6] + s[7]


@inner
def _sparse(X, control):
    """Whether there is no X because ``packed`` holds sparse rows."""
    return missing(X) and not missing(control) and carray(control, (CONTROL,))[FILLED] > 0


@inner
def _matrix(X, N, d, sparse):
    """Whether X may be an (N, d) array, or sizes those of sparse rows without one."""
    if not (0 < N < ENTRIES and 0 < d < ENTRIES):
        return False
    return sparse or (not missing(X) and ENTRIES // d >= N)


@inner
def _memory(n, rows, space):
    """Whether there may be (rows + 1, n) and (space,) arrays."""
    return 0 < n < ENTRIES and 0 < rows < ENTRIES // n - 1 and 0 <= space < ENTRIES


@inner
def _rows_fit(K, n, steps, rows_u, rows_log_loss):
    """Whether there may be K rows of n, and pointers to them where there are any."""
    if not 0 <= K <= ENTRIES // n:
        return False
    return K == 0 or not (missing(steps) or _any_missing((rows_u, rows_log_loss)))


@inner
def _slices(p, ends):
    """The vectors of Params, which stand end to end, and behind them the weights, if any."""
    a, b, c, d, e, f, g, h = ends
    return Params(p[:a], p[a:b], p[b:c], p[c:d], p[d:e], p[e:f], p[f:g], p[g:h], p[h:])


def _descend_c(pieces, params, sizes, X, N, d, y, u, n, state, rows, mark, control, order, work,
               space, packed, kept, steps, rows_u, rows_log_loss, K, stop_at, until):
    """`fastbias.engine.loop.descend` behind the prototype of `fastbias.running.capi`."""
    if missing(pieces):
        return -1
    if missing(params) or missing(sizes) or not _sizes_fit(carray(sizes, (VECTORS,))):
        return -2
    sparse = _sparse(X, control)
    if not _matrix(X, N, d, sparse):
        return -3
    if missing(y):
        return -4
    if missing(control) or not _memory(n, rows, space):
        return -5
    if _any_missing((u, state, mark, work, packed)):
        return -5
    about = carray(control, (CONTROL,))
    batches, coordinate, filled = about[BATCH] > 0, about[BURST] == COORDINATE, about[FILLED]
    if not 0 <= filled < ENTRIES or goals(about) > ENTRIES // N:
        return -5
    if _lacking(batches, order) or _lacking(coordinate, kept):
        return -5
    if not _rows_fit(K, n, steps, rows_u, rows_log_loss):
        return -6
    a, ends = carray(pieces, (PIECES,)), _ends(carray(sizes, (VECTORS,)))
    return descend(
        Pieces(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12],
               a[13], a[14], a[15]),
        _slices(carray(params, (ends[VECTORS - 1] + (N if weighted(about) else 0),)), ends),
        carray(X, (0 if sparse else N, d)), carray(y, (N * goals(about),)),
        Buffers(carray(u, (n,)), carray(state, (rows, n)), carray(mark, (rows + 1, n)), about,
                carray(order, (2 * N + 1 if batches else 0,)), carray(work, (space,)),
                carray(packed, (packed_room(N, d, coordinate, filled, weighted(about)),)),
                carray(kept, (eights(N) if coordinate else 0,))),
        Records(carray(steps, (K,)), carray(rows_u, (K, n)), carray(rows_log_loss, (K,))),
        (stop_at, until, UNSEEN), about[:0])


# (NumPy's: of Python's own the compiler would make a loop of its own)
UNSEEN = np.bool_(False)
_D, _I, _N = types.CPointer(types.float64), types.CPointer(types.int64), types.int64
_C = types.int64(
    _I, _D, _I,                       # pieces, params, sizes
    _D, _N, _N, _D,                   # X, N, d, y
    _D, _N, _D, _N, _D, _I, _I,       # u, n, state, rows, mark, control, order
    _D, _N, _D, _D,                   # work, room, packed, kept
    _I, _D, _D, _N,                   # steps, rows_u, rows_log_loss, K
    _N, types.float64)                # stop_at, until


@cache
def address() -> int:
    """The C address of the loop behind the prototype of `fastbias.running.capi`; compiled when
    first asked for.
    """
    return int(callback(_descend_c, _C, long=True).address)
