"""Whether the arguments of `descend` fit each other: what compiled code can look at before it
touches anything.

Numbers come before products of them: each is at most what the memory that exists could hold, so
that no product wraps.
"""
from __future__ import annotations

import numpy as np

from fastbias.engine.abi import (
    AGAIN,
    AVERAGE,
    BATCH,
    BITS,
    BURST,
    CHANGED,
    CONTROL,
    DONE,
    EACH,
    FILLED,
    GRAM,
    LABELLED,
    LATEST,
    LINEAR,
    OUTPUTS,
    PACKED,
    ROW,
    ROWS,
    SCRATCH,
    SEARCH,
    SHIFT,
    WEIGH,
    WEIGHTED,
    eights,
    packed_room,
    room,
)
from fastbias.engine.compiled import JIT, inner, kernel
from fastbias.engine.dense_pass import REACH, SQUARED
from fastbias.engine.moves import ADAGRAD, COORDINATE, ENTROPY, GRADIENT, MIRROR, POWER, STEEPEST
from fastbias.engine.noise import CLASSES, DIGITS, beyond, numbered
from fastbias.engine.outputs import goals, outputs, samples
from fastbias.engine.sparse_pass import laid_out
from fastbias.engine.weighing import inside, weighted

__all__ = ["ENTRIES", "PAGE", "bad_argument"]

ENTRIES = 1 << 48              # that an array can have, in any memory there is
PAGE = 4096                    # where code begins at the earliest
MOST = 1 << 10                 # points in an update


@inner
def _sizes_fit(control, rows, N, d, space):
    """Whether each entry of control that is a size is one that memory can have: afterwards none
    that is made of them can overflow.
    """
    most_outputs = min(space // d, space // N)            # work holds K d and K N numbers, twice
    return (0 <= control[BATCH] <= N
            and 0 <= control[ROWS] <= rows - (control[AVERAGE] != 0)
            and 0 <= control[SCRATCH] <= space
            and -most_outputs <= control[OUTPUTS] <= most_outputs and most_outputs > 0
            and 0 <= control[FILLED] <= N * d)


@inner
def _entries_fit(control):
    """Whether each other entry of control is in its range; the flags may be anything."""
    return (control[DONE] >= 0
            and control[ROW] >= 0
            and abs(float(control[SHIFT])) <= REACH
            and 0 <= control[WEIGH] <= WEIGHTED + SQUARED
            and 0 <= control[BURST] <= MIRROR
            and 0 <= control[SEARCH] <= 2
            and 0 <= control[LABELLED] <= CLASSES
            and 0 <= control[AGAIN] <= MOST
            and -DIGITS <= control[BITS] <= DIGITS)


@inner
def _burst_fits(control, rows):
    """Whether the method may go in bursts: of the linear model, all samples, a step that is not
    searched.
    """
    burst, single = control[BURST], outputs(control) == 1
    if burst == 0:
        return True
    if control[LINEAR] == 0 or control[BATCH] > 0 or control[SEARCH] != 0 or beyond(control):
        return False
    # the others have no way without a weighed loss
    by_piece = burst in (GRADIENT, STEEPEST, MIRROR)
    stateful = burst in (ADAGRAD, ENTROPY, MIRROR)        # they keep a second row
    return (by_piece or (inside(control) != 0 and single)) and (not stateful or rows >= 2)


@inner
def _search_fits(control):
    """Whether the step may be searched as control says: see `fastbias.engine.abi.Slot`."""
    linear = control[LINEAR] != 0
    if control[SEARCH] == 0:
        return True
    # whose loss, or move, is not the one that counts
    if control[BATCH] > 0 or control[CHANGED] != 0 or control[AGAIN] != 0:
        return False
    return linear if control[SEARCH] == 1 else not linear and outputs(control) == 1


@inner
def _told_fits(control):
    """Whether labels that are told wrongly are of the kind that they are, and samples that are
    looked at one by one are drawn.
    """
    labels = control[LABELLED]
    if labels != 0 and (labels == CLASSES) != (control[OUTPUTS] > 1):
        return False
    return control[BATCH] > 0 or (labels == 0 and control[EACH] == 0)


@inner
def _outputs_fit(control, linear):
    """Whether what there is for one output alone is asked of one: inner losses and Gram space, and
    of numbers models that are not linear.
    """
    single = inside(control) != 0 or control[GRAM] != 0 or (goals(control) > 1 and not linear)
    return outputs(control) == 1 or not single


@inner
def _control_fits(control, rows, N, d, n, space):
    """Whether control goes with the sizes and with itself."""
    if not (_sizes_fit(control, rows, N, d, space) and _entries_fit(control)):
        return False
    linear = control[LINEAR] != 0
    if linear and n != d * outputs(control):              # w is u
        return False
    if control[GRAM] != 0 and not d == N == n:
        return False
    if control[FILLED] > 0 and (control[BURST] != 0 or control[GRAM] != 0 or inside(control) != 0):
        return False  # sparse rows go by a piece, update by update
    if not _told_fits(control):
        return False
    return _outputs_fit(control, linear) and _burst_fits(control, rows) and _search_fits(control)


@inner
def _filled_fits(X, N, control, packed, known):
    """Whether packed holds as many entries as control says of rows that are sparse, if any, which
    is ``known`` from an earlier call or not; or will, of an X that is given whole.
    """
    filled = control[FILLED]
    if filled == 0 or (known and control[PACKED] != 0):
        return True
    if (control[PACKED] != 0 or X.shape[0] == 0) and not laid_out(packed, N, X.shape[1], filled):
        return False
    return X.shape[0] == 0 or np.count_nonzero(X) == filled


@inner
def _permuted(order, N, seen):
    """Whether order[N:2N] holds each of 0 … N − 1 once; ``seen`` (N,) is scratch."""
    for i in range(N):
        seen[i] = 0.0
    for i in range(N, 2 * N):
        if not 0 <= order[i] < N or seen[order[i]] != 0.0:
            return False
        seen[order[i]] = 1.0
    return True


@inner
def _shapes_fit(u, state, mark, control):
    """Whether the run's memory goes together, whatever control says."""
    (rows, wide), n = state.shape, u.size
    return (n > 0 and rows > 0 and wide == n and mark.shape[0] == rows + 1 and mark.shape[1] == n
            and control.size == CONTROL)


@inner
def _numbers_suffice(params, burst):
    """Whether params have what a burst reads itself; what pieces read they say, or their owner
    knows.
    """
    if burst == POWER:
        return params.geometry.size >= 2
    return params.method.size >= (1 if burst == ADAGRAD else 3 if burst == COORDINATE else 0)


@inner
def _order_fits(control, order, N, seen):
    """Whether order has room for a batch, and holds a permutation where it says so."""
    if control[BATCH] == 0:
        return True
    return order.size == 2 * N + 1 and (order[2 * N] < 0 or _permuted(order, N, seen))


@inner
def _buffers_fit(params, X, N, buffers, known):
    """Whether buffers are as large as control, X and the pieces want them, and what they hold is in
    range.
    """
    d, n, control = X.shape[1], buffers.u.size, buffers.control
    if not _shapes_fit(buffers.u, buffers.state, buffers.mark, control):
        return False
    if not _control_fits(control, buffers.state.shape[0], N, d, n, buffers.work.size):
        return False
    coordinate, filled = control[BURST] == COORDINATE, control[FILLED]
    if (buffers.work.size < room(N, d, n, control)
            or buffers.packed.size < packed_room(N, d, coordinate, filled, weighted(control))
            or (coordinate and buffers.kept.size != eights(N))):
        return False
    return (_numbers_suffice(params, control[BURST])
            and _order_fits(control, buffers.order, N, buffers.work)
            and _filled_fits(X, N, control, buffers.packed, known))


@inner
def _params_fit(params, N, asked, noisy):
    """Whether there is what every run reads, what noise and points do, and weights > 0 of N samples
    where they are asked for, else none.
    """
    c = params.weights
    if noisy and not numbered(params.sample):
        return False
    fine = min(params.beta.size, params.gamma.size, params.rule.size) > 0
    fine &= c.size == (N if asked else 0)
    for n in range(c.size):
        fine &= 0.0 < c[n] < np.inf
    return fine


@inner
def _labels_fit(y, classes):
    """Whether y are classes 0 … K − 1, where there are several."""
    if classes > 1:                                       # they become indices
        for n in range(y.size):
            if not 0 <= y[n] < classes or y[n] != np.floor(y[n]):
                return False
    return True


@inner
def _records_fit(records, control, n):
    """Whether records have a row for each step, and steps increase from where the run stands."""
    steps, row = records.steps, control[ROW]
    if records.u.shape[0] != steps.size or records.log_loss.size != steps.size:
        return False
    if steps.size > 0 and records.u.shape[1] != n:
        return False
    if row < steps.size and steps[row] < control[DONE]:
        return False
    fine = True
    for i in range(1, steps.size):
        fine &= steps[i] > steps[i - 1]
    return fine


@inner
def _nowhere(pieces):
    """Whether an address is none."""
    if JIT:
        for address in pieces:
            if address < PAGE:
                return True
    return False


@kernel
def bad_argument(pieces, params, X, y, buffers, records, end):
    """The number of the first argument that does not fit, or 0; ``end`` as in `_descend`."""
    stop_at, until, known = end
    control = buffers.control
    if _nowhere(pieces):
        return 1
    if control.size != CONTROL:
        return 5
    N = samples(y.size, control)
    # (an X whose rows are in packed has none to count)
    if not _params_fit(params, X.shape[0] if X.shape[0] > 0 else N, weighted(control),
                       beyond(control)):
        return 2
    if X.shape[1] == 0 or (X.shape[0] == 0 and control[FILLED] <= 0):
        return 3
    if N == 0 or (X.shape[0] != N and X.shape[0] != 0):
        return 4
    if not _buffers_fit(params, X, N, buffers, known):
        return 5
    if not _labels_fit(y, control[OUTPUTS]):
        return 4
    if not _records_fit(records, control, buffers.u.size):
        return 6
    if not control[DONE] <= stop_at < LATEST:
        return 7
    return 8 if np.isnan(until) else 0
