"""Several threads at one pass: who leads writes on a board what is to be done, everybody draws
tickets for slabs of rows, and the leader goes on once all are done.

The leader is the thread that runs the loop, and alone decides. It waits for nobody: a helper works
in memory of its own, and what it has made counts if it is the one who closes the slab; a slab that
stays open for long the leader closes, and does it again itself. Only who has closed a slab and
copies into its place is waited for, a few hundred numbers long. So whoever comes late, sleeps or is
gone is not waited for, and nobody can wait for ever. A slab is the same whoever does it, and
partial sums are added in the order of the slabs: no bit depends on who did which.

Slab i is open in pass k while its cell holds k − 1, and closed by the one who makes that k. Whoever
takes the number of the pass and then reads what is to be done can close a slab of just that pass:
the number is written behind all else. A ticket spares double work, no more.
"""
from __future__ import annotations

from numba import types

from fastbias.engine.abi import FILLED, GRAM, OUTPUTS, SLABS, eights, kernel, padded, slabs
from fastbias.engine.atomics import breathe, drawn, place_of, put, seen, swapped
from fastbias.engine.compiled import inner, pointer

__all__ = ["BOARD", "LEAD_AT", "PARTS_AT", "claimed", "closed", "introduced", "opened",
           "parts_room", "settled", "waited"]

LINE = 16                             # cells of two cache lines: who writes slows down no other
# what all look at, who waits; the slabs that helpers did; what is to be done, and in which pass
PASS, STOP, DONE, KIND, NUMBER = 0, 1, LINE, 2 * LINE, 2 * LINE + 1
SHIFT_AT, W_AT, P_AT, Q_AT, G_AT, G_SIZE = range(NUMBER + 1, NUMBER + 7)
# what all passes have in common
(ROWS_AT, WIDTH_AT, OUTPUTS_AT, GOALS_AT, COEFFICIENTS_AT, WEIGHED_AT, BEGIN_AT, SLABS_AT,
 PACKED_AT, Y_AT, PARTS_AT, CONTROL_AT, LOSS_AT, SLOPE_AT, PARAMS_AT, PARAMS_SIZE, YIELD, TURNS,
 LEAD_AT) = range(3 * LINE, 4 * LINE + 3)
STATES = 5 * LINE                     # the cells of the slabs, LINE each
BOARD = STATES + SLABS * LINE         # cells before the tickets, LINE a member
PAUSES = 1500                         # looks at the board before the core is offered to others
# offers of the core after which a helper goes: some hundredth of a second in which nobody led
PATIENCE = 20_000
HASTE = 64                            # entries of X that take some two thirds of a pause, about

_as_yield = pointer(types.int32())


@inner
def _rested(board, turns):
    """Wait for a moment; the longer it has been, the more willingly."""
    breathe()
    if turns > PAUSES:
        _as_yield(board[YIELD])()


@kernel
def parts_room(N, d, control):
    """How many numbers a team wants for the gradients of its slabs, and what these say."""
    count, K = slabs(N, d, control), max(1, abs(control[OUTPUTS]))
    return (0 if control[GRAM] != 0 else (count - 1) * padded(K * d)) + 8 * count


@inner
def introduced(board, data, loss, slope, params, control):
    """Write down what all passes of a call have in common."""
    board[ROWS_AT], board[WIDTH_AT], board[OUTPUTS_AT] = data.N, data.d, data.outputs
    board[GOALS_AT], board[COEFFICIENTS_AT] = data.goals, int(data.coefficients)
    board[WEIGHED_AT] = data.weighed
    board[BEGIN_AT], board[SLABS_AT] = data.begin, data.slabs
    board[PACKED_AT], board[Y_AT] = place_of(data.packed), place_of(data.y)
    board[CONTROL_AT] = place_of(control)
    board[LOSS_AT], board[SLOPE_AT] = loss, slope
    board[PARAMS_AT], board[PARAMS_SIZE] = place_of(params), params.size
    entries = 8 * control[FILLED] if control[FILLED] > 0 else data.N * eights(data.d)
    # a little longer than a slab takes
    board[TURNS] = max(100, entries * data.outputs // data.slabs // HASTE)


@inner
def opened(board, kind, k0, w, p, q, g):
    """Begin a pass, of what kind and on which vectors; its number."""
    number = board[PASS] + 1
    board[KIND], board[SHIFT_AT] = kind, int(k0)
    board[W_AT], board[P_AT], board[Q_AT] = place_of(w), place_of(p), place_of(q)
    board[G_AT], board[G_SIZE] = place_of(g), g.size
    put(board, NUMBER, number)
    put(board, DONE, 0)
    for place in range(BOARD, board.size, LINE):
        put(board, place, 0)
    put(board, PASS, number)
    return number


@inner
def claimed(board, slabs, me):
    """A slab that nobody else has drawn: of one's own first, whose rows may still be near; −1: none
    is left.
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
def closed(board, i, number):
    """Close slab i of a pass; False where somebody has, or the pass is over."""
    return swapped(board, STATES + i * LINE, number - 1, number)


@inner
def settled(board, slabs, own, patience):
    """Wait until the slabs that the leader has not done are; False where that takes too long
    (patience −1: it does not).
    """
    turns = 0
    while own + seen(board, DONE) < slabs:
        if turns == patience:
            return False
        _rested(board, 0 if patience >= 0 else turns)
        turns += 1
    return True


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
