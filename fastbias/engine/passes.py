"""Whole passes over the data, slab by slab of rows, by one thread or several: the same bits.

Into how many slabs a pass is cut the size of X alone decides (`fastbias.engine.abi.slabs`). Each
has a gradient of its own, and these are added in their order. What one thread does, a team does as
well (`fastbias.engine.team`): what a slab writes is its own, and what is decided (a power of two, a
scale) is decided behind all of them.
"""
from __future__ import annotations

import numpy as np
from numba import types

from fastbias.engine.abi import CONTROL, FILLED, HURRY, SLOPE
from fastbias.engine.atomics import drawn, numbers_at, seen, wholes_at
from fastbias.engine.compiled import inner, kernel, pointer
from fastbias.engine.dense_pass import (
    NEVER,
    SQUARED,
    asked_rows,
    dense_products,
    gathered_rows,
    joined,
    moved,
    weighed_rows,
)
from fastbias.engine.layout import Data, Vectors, alone, part, rows_of, said, sample_weights
from fastbias.engine.lending import view
from fastbias.engine.simd import inlined, largest, load8, splat8, steady, store
from fastbias.engine.sparse_pass import (
    sparse_asked_rows,
    sparse_cleared,
    sparse_gathered_rows,
    sparse_products,
)
from fastbias.engine.team import (
    BEGIN_AT,
    COEFFICIENTS_AT,
    CONTROL_AT,
    DONE,
    G_AT,
    G_SIZE,
    GOALS_AT,
    KIND,
    LEAD_AT,
    LOSS_AT,
    NUMBER,
    OUTPUTS_AT,
    P_AT,
    PACKED_AT,
    PARAMS_AT,
    PARAMS_SIZE,
    PARTS_AT,
    Q_AT,
    ROWS_AT,
    SHIFT_AT,
    SLABS_AT,
    SLOPE_AT,
    TURNS,
    W_AT,
    WEIGHED_AT,
    WIDTH_AT,
    Y_AT,
    claimed,
    closed,
    opened,
    settled,
    waited,
)
from fastbias.engine.weighing import NONE, WILD, pushed

__all__ = ["LEAD", "assist", "by_piece", "lead", "products", "weighed"]

MANY = 1 << 40        # entries behind an address: how many there are knows who wrote it down
# what is done with a slab (NumPy's numbers: of Python's the compiler makes a function each)
PRODUCTS, WEIGHED, ASKED, GATHERED = np.arange(4)
FIRST, FRESH = np.int64(0), np.bool_(True)

# (the board, number) → cut: `lead`, whose place is on the board
LEAD = types.boolean(types.int64[::1], types.int64)
_as_slope, _as_lead = pointer(SLOPE), pointer(LEAD)


@inner
def products(data, w, p, control):
    """p ← X w for each output. False if asked to come back."""
    steady()
    if _shared(data):
        return _led(data, PRODUCTS, 0.0, w, p, p, p, control)
    return _products(data, w, p, FIRST, data.N, control)


@inner
def weighed(loss, data, w, p, g, k0, control):
    """One pass for a loss that is weighed inside: p ← X w, g ← 2^k0 Xᵀ(−ℓ') (in Gram space: 2^k0
    (−ℓ')).

    Returns k0, which may have moved; NaN if asked to come back.
    """
    inlined()
    while data.slabs == 1:
        z, cut = weighed_rows(loss, data, Vectors(w, p, p, g), k0, FIRST, data.N, control)
        if cut:
            return np.nan
        if loss == SQUARED:
            return 0.0
        k1 = moved(loss, largest(z), k0)
        if k1 == k0:
            return k0
        k0 = k1
    return _weighed_in_slabs(loss, data, w, p, g, k0, control)


@inner
def by_piece(slope, params, data, w, p, q, g, control):
    """One pass for any loss, by its piece: p ← X w, g ← Xᵀq; returns s, −∇L = e^s g, or NaN if
    asked to come back.
    """
    steady()
    if data.outputs > 1:
        return _whole(slope, params, data, w, p, q, g, control)
    if data.slabs > 1:
        return _asked_in_slabs(slope, params, data, w, p, q, g, control)
    s, cut = _asked(slope, params, data, Vectors(w, p, q, g), FIRST, data.N, control)
    return np.nan if cut else s


@inner
def _shared(data):
    """Whether there are others to share a pass with, and it can be shared: of samples that are
    asked one by one all use one place to do it.
    """
    inlined()
    return data.slabs > 1 and data.board.size > 0 and data.weighed != WILD


@inner
def _led(data, kind, k0, w, p, q, g, control):
    """A pass by the whole team. False if asked to come back."""
    while True:
        number = opened(data.board, kind, k0, w, p, q, g)
        cut = _as_lead(data.board[LEAD_AT])(data.board, number)
        if control[HURRY] != 0:
            return False
        if not cut:                   # (else it was a hurry that was called off since)
            return True


@inner
def _weighed_in_slabs(loss, data, w, p, g, k0, control):
    """As `weighed`."""
    steady()
    while True:
        top = NEVER
        if _shared(data):
            if not _led(data, WEIGHED, k0, w, p, p, g, control):
                return np.nan
            for i in range(data.slabs):
                top = max(top, data.parts[said(data, i)])
            _added(data, g, 1, data.slabs)
        else:
            for i in range(data.slabs):
                own = Vectors(w, p, p, part(data, g, min(i, 1)))
                z, cut = _weighed_slab(loss, data, own, k0, i, control)
                if cut:
                    return np.nan
                top = max(top, z)
                _added(data, g, 1, min(i, 1) + 1)
        if loss == SQUARED:
            return 0.0
        k1 = moved(loss, top, k0)
        if k1 == k0:
            return k0
        k0 = k1


@inner
def _weighed_slab(loss, data, vectors, k0, i, control):
    """A loss that is weighed inside, of a slab: its largest −m, and whether it was asked to come
    back.
    """
    steady()
    begin, end = rows_of(data, i)
    z, cut = weighed_rows(loss, data, vectors, k0, begin, end, control)
    return largest(z), cut


@inner
def _added(data, g, first, end):
    """g += the gradients of some slabs, one after the other."""
    if data.coefficients or first == end:
        return
    for v in range(0, data.outputs * data.d, 8):
        x = load8(g, v)
        for i in range(first, end):
            x = x + load8(part(data, g, i), v)
        store(g, v, x)


@inner
def _asked_in_slabs(slope, params, data, w, p, q, g, control):
    """As `by_piece`, of one output."""
    steady()
    shared, s = _shared(data), 0.0
    if shared and not _led(data, ASKED, 0.0, w, p, q, g, control):
        return np.nan
    for i in range(data.slabs):
        begin, end = rows_of(data, i)
        own = part(data, g, i if shared else min(i, 1))
        if shared:
            at = data.parts[said(data, i)]
        else:
            at, cut = _asked(slope, params, data, Vectors(w, p, q, own), begin, end, control)
            if cut:
                return np.nan
        s = at if i == 0 else _joined(data, s, at, own, g, begin, end)
    return s


@inner
def _joined(data, s, at, own, g, begin, end):
    """g, of scale s, += a slab's own gradient, of scale ``at``; the scale of both."""
    size = begin if data.coefficients else g.size - 7
    s, factor = joined(s, at, g, 0, size)
    if not data.coefficients:
        for v in range(0, data.d, 8):
            store(g, v, load8(g, v) + load8(own, v) * factor)
    elif factor != 1.0:
        for n in range(begin, end, 8):
            store(g, n, load8(g, n) * factor)
    return s


@inner
def _whole(slope, params, data, w, p, q, g, control):
    """As `by_piece`, of several outputs: all samples are asked about at once."""
    if not products(data, w, p, control):
        return np.nan
    size = data.outputs * data.N
    seen, push = view(p, 0, size), view(q, 0, size)
    s = slope(params, seen, data.y, push)
    if data.weighed != NONE:
        s = pushed(slope, params, sample_weights(data, 0, data.N), alone(data, q, WILD), seen,
                   data.y, push, s)
    store(q, size, splat8(0.0))
    if _shared(data):
        if not _led(data, GATHERED, 0.0, w, p, q, g, control):
            return np.nan
        _added(data, g, 1, data.slabs)
        return s
    for i in range(data.slabs):
        begin, end = rows_of(data, i)
        if not _gathered(data, q, part(data, g, min(i, 1)), begin, end, control):
            return np.nan
        _added(data, g, 1, min(i, 1) + 1)
    return s


@inner
def _products(data, w, p, begin, end, control):
    """p ← X w of some rows. False if asked to come back."""
    steady()
    if control[FILLED] > 0:
        return sparse_products(data, w, p, begin, end, control)
    return dense_products(data, w, p, begin, end, control)


@inner
def _asked(slope, params, data, vectors, begin, end, control):
    """A loss by its piece, of some rows: s, and whether it was asked to come back."""
    steady()
    if control[FILLED] > 0:
        return sparse_asked_rows(slope, params, data, vectors, begin, end, control)
    return asked_rows(slope, params, data, vectors, begin, end, control)


@inner
def _gathered(data, q, g, begin, end, control):
    """g ← Xᵀq of some rows. False if asked to come back."""
    steady()
    if control[FILLED] > 0:
        sparse_cleared(data, g)
        sparse_gathered_rows(data, q, 1.0, g, begin, end)
        return control[HURRY] == 0
    return gathered_rows(data, q, 1.0, g, begin, end, FRESH, control)


@inner
def _common(board):
    """What all passes of a call have in common: the data, the numbers of its loss, and control."""
    N = board[ROWS_AT]
    data = Data(N, board[WIDTH_AT], board[OUTPUTS_AT], board[GOALS_AT],
                board[COEFFICIENTS_AT] != 0, numbers_at(board[PACKED_AT], MANY),
                numbers_at(board[Y_AT], N), board[WEIGHED_AT], board[BEGIN_AT], board[SLABS_AT],
                numbers_at(board[PARTS_AT], MANY), board)
    return (data, numbers_at(board[PARAMS_AT], board[PARAMS_SIZE]),
            wholes_at(board[CONTROL_AT], CONTROL))


@inner
def _slab(board, data, params, control, i, own):
    """Do slab i of the pass on the board, into vectors of one's own (their w apart): what it says
    of itself, and whether it was cut short.
    """
    kind, w = board[KIND], numbers_at(board[W_AT], MANY)
    (begin, end), vectors = rows_of(data, i), Vectors(w, own.p, own.q, own.g)
    if kind == WEIGHED:
        return _weighed_slab(board[LOSS_AT], data, vectors, float(board[SHIFT_AT]), i, control)
    if kind == ASKED:
        return _asked(_as_slope(board[SLOPE_AT]), params, data, vectors, begin, end, control)
    if kind == PRODUCTS:
        return 0.0, not _products(data, w, own.p, begin, end, control)
    return 0.0, not _gathered(data, numbers_at(board[Q_AT], MANY), own.g, begin, end, control)


@inner
def _in_place(board, data, params, control, i):
    """Do slab i where it belongs; whether it was cut short."""
    p, q = numbers_at(board[P_AT], MANY), numbers_at(board[Q_AT], MANY)
    g = part(data, numbers_at(board[G_AT], board[G_SIZE]), i)
    s, cut = _slab(board, data, params, control, i, Vectors(p, p, q, g))
    data.parts[said(data, i)] = s
    return cut


@inner
def _copied(board, data, i, s, p, g):
    """Put what a helper has made of slab i where it belongs."""
    kind, (begin, end) = board[KIND], rows_of(data, i)
    data.parts[said(data, i)] = s
    if kind != GATHERED:
        there = numbers_at(board[P_AT], MANY)
        for c in range(data.outputs):
            for n in range(c * data.N + begin, c * data.N + end):
                there[n] = p[n]
    if kind != PRODUCTS:
        there = part(data, numbers_at(board[G_AT], board[G_SIZE]), i)
        first = begin if data.coefficients else 0
        for v in range(first, end if data.coefficients else data.outputs * data.d, 8):
            store(there, v, load8(g, v))


@inner
def _lead(board, number):
    """Do the slabs of a pass that no helper does; whether one was cut short."""
    steady()
    (data, params, control), own, cut = _common(board), 0, False
    i = claimed(board, data.slabs, 0)
    while i >= 0:
        if closed(board, i, number):
            cut |= _in_place(board, data, params, control, i)
            own += 1
        i = claimed(board, data.slabs, 0)
    if not settled(board, data.slabs, own, board[TURNS]):
        for i in range(data.slabs):
            if closed(board, i, number):
                cut |= _in_place(board, data, params, control, i)
                own += 1
        settled(board, data.slabs, own, -1)
    return cut


def lead(board, number):
    """As `_lead`, for a place in memory: who runs alone need not wait for it to be compiled."""
    return _lead(board, number)


@kernel
def assist(board, me, p, q, g):
    """Be a helper until the leader says that it is over, or nobody leads for long; p (K N padded,),
    q (N padded,) and g (K d padded,) are one's own.
    """
    last = 0
    while True:
        last = waited(board, last)
        if last < 0:
            return
        data, params, control = _common(board)
        i = claimed(board, data.slabs, me)
        while i >= 0:
            # (before all else that is read of the pass)
            number = seen(board, NUMBER)
            s, cut = _slab(board, data, params, control, i, Vectors(p, p, q, g))
            if not cut and closed(board, i, number):
                _copied(board, data, i, s, p, g)
                drawn(board, DONE)
            i = claimed(board, data.slabs, me)
