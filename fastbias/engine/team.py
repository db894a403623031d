"""Several threads at one pass: who leads writes on a board what is to be done, everybody takes
slabs of rows off it, and the leader goes on once all are done.

The leader is the thread that runs the loop, and alone decides. Of the others it waits for those
alone that have taken a slab, and these are in a loop of known length, without locks or Python. So
whoever comes late, sleeps or is gone makes nothing but time, and nobody can wait for ever. A slab
writes what is its own, and partial sums are added in the order of the slabs: no bit depends on who
did which.

A ticket is drawn for a slab. Who draws one late, after the pass that he meant, has drawn it of the
next pass, if that has begun: so what is to be done is read after the ticket is drawn, and written
before tickets are given out.
"""
from __future__ import annotations

from numba import types

from fastbias.engine.atomics import breathe, drawn, place_of, put, seen
from fastbias.engine.compiled import inner, pointer

__all__ = ["BOARD", "claimed", "finished", "introduced", "opened", "settled", "waited"]

LINE = 16                             # cells of two cache lines: who writes slows down no other
# what all look at, who waits; what all write to; what is to be done; what that is about
PASS, STOP, DONE, CUT, KIND = 0, 1, LINE, LINE + 1, 2 * LINE
SHIFT_AT, W_AT, P_AT, Q_AT, G_AT, G_SIZE = range(KIND + 1, KIND + 7)
(ROWS_AT, WIDTH_AT, OUTPUTS_AT, COEFFICIENTS_AT, WEIGHED_AT, BEGIN_AT, SLABS_AT, PACKED_AT, Y_AT,
 PARTS_AT, CONTROL_AT, LOSS_AT, SLOPE_AT, PARAMS_AT, PARAMS_SIZE,
 YIELD) = range(3 * LINE, 4 * LINE)
BOARD = 4 * LINE                      # cells before the tickets, LINE a member
PAUSES = 1500                         # looks at the board before the core is offered to others
# offers of the core after which a helper goes: some hundredth of a second in which nobody led
PATIENCE = 20_000

_as_yield = pointer(types.int32())


@inner
def _rested(board, turns):
    """Wait for a moment; the longer it has been, the more willingly."""
    breathe()
    if turns > PAUSES:
        _as_yield(board[YIELD])()


@inner
def introduced(board, data, loss, slope, params, control):
    """Write down what all passes of a call have in common."""
    board[ROWS_AT], board[WIDTH_AT], board[OUTPUTS_AT] = data.N, data.d, data.outputs
    board[COEFFICIENTS_AT], board[WEIGHED_AT] = int(data.coefficients), data.weighed
    board[BEGIN_AT], board[SLABS_AT] = data.begin, data.slabs
    board[PACKED_AT], board[Y_AT] = place_of(data.packed), place_of(data.y)
    board[PARTS_AT], board[CONTROL_AT] = place_of(data.parts), place_of(control)
    board[LOSS_AT], board[SLOPE_AT] = loss, slope
    board[PARAMS_AT], board[PARAMS_SIZE] = place_of(params), params.size


@inner
def opened(board, kind, k0, w, p, q, g):
    """Begin a pass: of what kind, and on which vectors."""
    board[KIND], board[SHIFT_AT] = kind, int(k0)
    board[W_AT], board[P_AT], board[Q_AT] = place_of(w), place_of(p), place_of(q)
    board[G_AT], board[G_SIZE] = place_of(g), g.size
    put(board, DONE, 0)
    put(board, CUT, 0)
    for place in range(BOARD, board.size, LINE):
        put(board, place, 0)
    put(board, PASS, board[PASS] + 1)


@inner
def claimed(board, slabs, me):
    """A slab that nobody else has: of one's own first, whose rows may still be near; −1: none is
    left.
    """
    members = (board.size - BOARD) // LINE
    for i in range(members):
        whose = (me + i) % members
        first = slabs * whose // members
        own = slabs * (whose + 1) // members - first
        if seen(board, BOARD + whose * LINE) < own:
            ticket = drawn(board, BOARD + whose * LINE)
            if ticket < own:
                return first + ticket
    return -1


@inner
def finished(board, cut):
    """A slab is done, or was cut short because somebody is in a hurry."""
    if cut:
        put(board, CUT, 1)
    drawn(board, DONE)


@inner
def settled(board, slabs):
    """Wait until all slabs are done, which all are taken; whether one was cut short."""
    turns = 0
    while seen(board, DONE) < slabs:
        _rested(board, turns)
        turns += 1
    return seen(board, CUT) != 0


@inner
def waited(board, last):
    """Wait for a pass after the last one; which, or −1 where there will be none for long."""
    turns = 0
    while turns < PAUSES + PATIENCE:
        if seen(board, STOP) != 0:
            return -1
        now = seen(board, PASS)
        if now != last:
            return now
        _rested(board, turns)
        turns += 1
    return -1
