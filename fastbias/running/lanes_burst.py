"""Some updates of eight runs at once, in the lanes of one vector: the pass over the data, and each
method's own move along the gradient.

Lane i of every vector belongs to run i, so that eight runs (each with its own η, β, γ, y, u and
shift k0, see `fastbias.engine.dense_pass`) cost about as much as one. A method comes as three
functions of vectors (`fastbias.running.lanes_moves`), of which those that it does without are None:
Numba then leaves out what would ask them. All that is handed a function is pasted into the method's
own burst, which has an address as pieces do: a function that is handed one could not be kept on
disk, and each method is compiled when somebody asks for it.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from numba import types

from fastbias.engine.compiled import JIT, callback, inner, pasted, pointer
from fastbias.engine.dense_pass import LOG2E, LOGISTIC, NEVER, SQUARED, WINDOW, moved, weights
from fastbias.engine.simd import (
    absolute,
    fma,
    larger,
    load8,
    reaching,
    smaller,
    splat8,
    steady,
    store,
)

__all__ = ["Lanes", "Rates", "Task", "Views", "as_burst", "burst", "made", "views"]


class Lanes(NamedTuple):
    """The memory of eight runs of d parameters each: entry j of run i stands at 8 j + i. Of many
    such groups it has one more axis, the first.
    """

    numbers: Any  # (24,)    η, β, γ
    y: Any        # (8 N,)   targets
    u: Any        # (8 d,)   parameters
    move: Any     # (8 d,)   the last moves Δu
    at: Any       # (8 d,)   where gradients are taken
    own: Any      # (8 d,) or (0,)  the method's row of state: AdaGrad's G, z = ∇ψ(w)
    mark: Any     # (16 d + own,)  u, Δu and the row at the last power of two
    shift: Any    # (16,)    k0 and 2^−k0
    back: Any     # (16 d + 16 + own,)  u, Δu, shift and the row as the burst under way began
    work: Any     # (9 d + 10 N + 8,)  scratch, see `Views`
    status: Any   # (8,)     int64: OK while it runs, STALLED or APART
    done: Any     # (16,)    int64: updates done, and rows written


_f8, _i8, _V = types.float64, types.int64, types.Array(types.float64, 1, "C")
_I = types.Array(types.int64, 1, "C")
_LANES = types.NamedTuple((_V,) * 10 + (_I,) * 2, Lanes)
BURST = _i8(_i8, _f8, _f8, types.Array(_f8, 2, "C"), _LANES, _i8)
as_burst = pointer(BURST)


@functools.cache
def made(function: Callable[..., Any]) -> Any:
    """A method's burst, compiled: what has its ``address`` (without the compiler: itself)."""
    return callback(function, BURST) if JIT else function


class Task(NamedTuple):
    """What a method's burst is told beside its lanes."""

    loss: Any  # which one a pass weighs inside
    one: Any   # two numbers of the method's own
    two: Any
    X: Any     # (N, d)


class Views(NamedTuple):
    """The scratch of eight runs on (N, d) data, cut up."""

    g: Any   # (8 d,)  gradients
    q: Any   # (8 N,)  weights, row after row
    z: Any   # (8,)    the largest −m of each lane
    p: Any   # (N,)    one lane's predictions
    w: Any   # (d,)    parameters
    y: Any   # (N,)    and targets


class Rates(NamedTuple):
    """What the moves of all lanes go by: vectors, but for the last two."""

    eta: Any
    beta: Any
    gamma: Any
    es: Any    # 2^−k0: −∇L is es g
    step: Any  # η es
    one: Any   # numbers of the method's own, the same for all lanes
    two: Any


@inner
def views(work, N, d):
    """``Lanes.work`` cut up."""
    q, z, p = 8 * d, 8 * (d + N), 8 * (d + N + 1)
    w, y = p + N, p + N + d
    return Views(work[:q], work[q:z], work[z:p], work[p:w], work[w:y], work[y:y + N])


@inner
def _shifted(loss, z, shift):
    """Let each lane have the k0 that suits its largest −m; whether any has moved."""
    any_moved = False
    for i in range(8):
        k0 = moved(loss, z[i], shift[i])
        if k0 != shift[i]:
            shift[i], shift[8 + i] = k0, 2.0 ** -k0
            any_moved = True
    return any_moved


@inner
def _pulled(X, q8, q, j):
    """Entry j of the gradients, q being the weights of the last row."""
    N = X.shape[0]
    g = q * X[N - 1, j]
    for n in range(N - 1):
        g = fma(load8(q8, 8 * n + 8), X[n, j], g)
    return g


@pasted
def _entered(ahead, each, kept, by, lanes, j, g, size):
    """Move entry j along its gradients g; what is left of ``size`` for the entries behind."""
    u, move = lanes.u, lanes.move
    x, s = load8(u, 8 * j), g
    if ahead is not None:
        s = load8(move, 8 * j)
    elif kept is not None:
        s = load8(lanes.own, 8 * j)
    new, s, size = each(x, s, g, size, by)
    if ahead is not None:                                 # (then s is the move itself)
        store(lanes.at, 8 * j, ahead(new, s, by))
    elif kept is not None:
        store(lanes.own, 8 * j, s)
    store(move, 8 * j, new - x)
    store(u, 8 * j, new)
    return size


@pasted
def burst(ahead, measure, each, kept, job, lanes, count):
    """``count`` updates of all lanes, by the functions of a method."""
    steady()
    loss, X, shift = job.loss, job.X, lanes.shift
    N, d = X.shape
    scratch = views(lanes.work, N, d)
    y8, q8, z8, g8 = lanes.y, scratch.q, scratch.z, scratch.g
    eta, beta, gamma = load8(lanes.numbers, 0), load8(lanes.numbers, 8), load8(lanes.numbers, 16)
    none, two = splat8(0.0), splat8(2.0)
    k0, es = load8(shift, 0), load8(shift, 8)
    by = Rates(eta, beta, gamma, es, eta * es, job.one, job.two)
    at = lanes.u                                          # where the gradient is taken
    if ahead is not None:
        at = lanes.at
        for j in range(d):
            store(at, 8 * j, ahead(load8(lanes.u, 8 * j), load8(lanes.move, 8 * j), by))
    for _ in range(count):
        q = none  # of the last row, which everything waits for, not in memory
        while True:
            z = splat8(NEVER)
            for n in range(N):
                store(q8, 8 * n, q)                       # of the row before
                p = none
                for j in range(d):
                    p = fma(load8(at, 8 * j), X[n, j], p)
                y = load8(y8, 8 * n)
                q, bound = weights(loss, y, none, two if loss == SQUARED else y, p, k0, es)
                z = larger(bound, z)
            if loss == SQUARED:
                break
            k = z * LOG2E
            if loss == LOGISTIC:
                k = smaller(k, 0.0)
            if reaching(absolute(k + k0), WINDOW) == 0:
                break
            store(z8, 0, z)
            if not _shifted(loss, z8, shift):
                break
            k0, es = load8(shift, 0), load8(shift, 8)
            by = Rates(eta, beta, gamma, es, eta * es, job.one, job.two)
        if measure is None:
            for j in range(d):
                _entered(ahead, each, kept, by, lanes, j, _pulled(X, q8, q, j), none)
        else:
            for j in range(d):
                store(g8, 8 * j, _pulled(X, q8, q, j))
            size = measure(g8, d, by)
            for j in range(d):
                size = _entered(ahead, each, kept, by, lanes, j, load8(g8, 8 * j), size)
    return 0
