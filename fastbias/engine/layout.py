"""Where everything lies: a run's scratch cut into vectors, its data as the passes read them, all
without a reference.

A vector of scratch has room for whole registers of eight, wherever in ``work`` it begins; pieces
are handed a `view` of the part that counts. `fastbias.engine.abi.lengths` says how long each is: a
new one is a line there and a field here.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastbias.engine.abi import eights, lengths, padded, room
from fastbias.engine.atomics import numbers_at
from fastbias.engine.compiled import inner
from fastbias.engine.lending import view
from fastbias.engine.simd import inlined
from fastbias.engine.team import PARTS_AT, parts_room
from fastbias.engine.weighing import NONE

__all__ = ["Data", "Scratch", "Vectors", "alone", "columns", "part", "parts", "rows_of", "said",
           "sample_weights", "scratch", "swept", "targets"]


class Data(NamedTuple):
    """The samples as the passes read them."""

    N: Any             # samples
    d: Any             # features
    outputs: Any       # predictions of a sample
    goals: Any         # its targets: one, or as many
    coefficients: Any  # whether X is a Gram matrix: then u moves along q itself, not along Xᵀq
    packed: Any  # `fastbias.engine.dense_pass.pack` or `fastbias.engine.sparse_pass.lay_out` of X
    y: Any             # (N,) as pieces read it, or (K N,)
    weighed: Any       # how samples are weighed, as `fastbias.engine.weighing.how` says
    # where in packed their weights (N,) stand, if they have any
    begin: Any
    slabs: Any         # how many slabs of rows a pass is cut into: `fastbias.engine.abi.slabs`
    # the gradients of all slabs but the first, K d padded each, and, where several threads share a
    # pass, 8 for each slab in which it says something of itself; alone: one such gradient
    parts: Any
    board: Any         # (·,) int64  `fastbias.engine.team`, of those who share a pass; (0,): nobody


class Vectors(NamedTuple):
    """What a pass reads and writes, of all rows or of some."""

    w: Any  # (K d,)  where it is
    p: Any  # (K N,)  predictions
    q: Any  # (K N,)  their weights, where a piece says them
    g: Any  # (K d,)  the gradient; (N,) in Gram space


class Scratch(NamedTuple):
    """``Buffers.work`` in vectors; K is ``data.outputs``."""

    p: Any      # (K N,)  predictions
    # (K N,)  −∂L/∂p, up to the factor e^s; behind it, where samples have weights, `alone`
    q: Any
    w: Any      # (K d,)  the predictor; of a linear model it is `at`
    v: Any      # (K d,)  Xᵀq; of a linear model it is `g`
    at: Any     # (n,)    where the gradient is taken
    g: Any      # (n,)    the gradient there, up to −e^s
    move: Any   # (n,)    what the method makes of it
    new: Any    # (n,)    the parameters after the update
    extra: Any  # (2 n + control[SCRATCH],)  the method's own
    # (control[BATCH],)  targets of the samples that were drawn, or K of each; behind them their
    # weights, if any
    batch: Any
    along: Any  # (K N,)  of line searches: predictions of the move
    trial: Any  # (K N,)  and of a point that is tried


@inner
def _cut(work, sizes, i):
    """The i-th vector of work, with its padding."""
    inlined()
    begin = 0
    for j in range(i):
        begin += padded(sizes[j])
    return view(work, begin, padded(sizes[i]))


# (NumPy's numbers: of Python's the compiler makes a function each)
(_P, _Q, _W, _V, _AT, _G, _MOVE, _NEW, _EXTRA, _BATCH, _ALONG, _TRIAL, _PARTS) = np.arange(13)


@inner
def scratch(work, N, d, n, control):
    """``Buffers.work`` cut into the vectors that a run needs."""
    inlined()
    sizes = lengths(N, d, n, control)
    return Scratch(_cut(work, sizes, _P), _cut(work, sizes, _Q), _cut(work, sizes, _W),
                   _cut(work, sizes, _V), _cut(work, sizes, _AT), _cut(work, sizes, _G),
                   _cut(work, sizes, _MOVE), _cut(work, sizes, _NEW), _cut(work, sizes, _EXTRA),
                   _cut(work, sizes, _BATCH), _cut(work, sizes, _ALONG), _cut(work, sizes, _TRIAL))


@inner
def swept(N, d, n, control):
    """How much of ``Buffers.work`` comes before ``Data.parts``, which nobody reads unwritten."""
    return room(N, d, n, control) - padded(lengths(N, d, n, control)[12])


@inner
def parts(work, N, d, n, control, board):
    """``Data.parts``: the team's, which the board knows, or in ``Buffers.work`` behind all else;
    what pads them is a number.
    """
    if board.size > 0:
        return numbers_at(board[PARTS_AT], parts_room(N, d, control))
    sizes = lengths(N, d, n, control)
    found = _cut(work, sizes, _PARTS)
    for j in range(min(sizes[2], sizes[12]), sizes[12]):
        found[j] = 0.0
    return found


@inner
def part(data, g, i):
    """Where slab i has its gradient: the first in g itself; in Gram space all do, each its rows."""
    inlined()
    if i == 0 or data.coefficients:
        return view(g, 0, g.size)
    size = padded(data.outputs * data.d)
    return view(data.parts, (i - 1) * size, size)


@inner
def said(data, i):
    """Where in ``Data.parts`` slab i says its largest exponent, or its scale."""
    inlined()
    size = 0 if data.coefficients else (data.slabs - 1) * padded(data.outputs * data.d)
    return size + 8 * i


@inner
def rows_of(data, i):
    """The first row of slab i, and the first behind it: in sixteens, as evenly as these go."""
    inlined()
    blocks = (data.N + 15) // 16
    return 16 * (i * blocks // data.slabs), min(data.N, 16 * ((i + 1) * blocks // data.slabs))


@inner
def targets(data):
    """Of packed data: y, padded with zeros, and behind it what `fastbias.engine.dense_pass.weights`
    wants beside it.
    """
    inlined()
    tall = eights(data.N)
    return view(data.packed, tall * eights(data.d), _beside(data.weighed) * tall)


@inner
def _beside(weighed):
    """How many vectors of N numbers stand beside X: the third holds weights, if there are any."""
    inlined()
    return 2 if weighed == NONE else 4


@inner
def alone(data, q, least):
    """Of ``Scratch.q``: (2 K,) for what one sample is asked and says, where samples are weighed as
    ``least`` says, or more carefully; else (0,).
    """
    inlined()
    size = 2 * data.outputs if data.weighed >= least else 0
    return view(q, padded(data.outputs * data.N), size)


@inner
def sample_weights(data, start, size):
    """The weights of ``size`` samples from one on; not to be read where there are none."""
    inlined()
    return view(data.packed, data.begin + start, size)


@inner
def columns(data):
    """Of packed data with a transpose: X column after column, each padded with zeros."""
    inlined()
    tall = eights(data.N)
    return view(data.packed, tall * (eights(data.d) + _beside(data.weighed)), data.d * tall)
