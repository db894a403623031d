"""The loop for C callers: the address of `fastbias.descend` behind a plain C prototype, as a
capsule and for SciPy.

A run is prepared in Python, where everything is checked, and driven from C (or anything that can
call C) with no Python in between; the caller owns every buffer. Include `PROTOTYPE` in the C
source, hand over `address()` and the `arguments` of a plan, and call it as often as you like with a
later ``stop_at``.
"""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.engine.abi import LATEST, ROW
from fastbias.engine.c_face import address
from fastbias.running.plan import Plan

__all__ = ["PROTOTYPE", "address", "arguments", "capsule", "low_level_callable"]

SIGNATURE = ("int64_t (int64_t *, double *, int64_t *, double *, int64_t, int64_t, double *, "
             "double *, int64_t, double *, int64_t, double *, int64_t *, int64_t *, double *, "
             "int64_t, double *, double *, int64_t *, double *, double *, int64_t, int64_t, "
             "double)")

PROTOTYPE = """\
#include <stdint.h>
/* NULL, sizes that no memory has, and all that fastbias.descend refuses, are told by -i; how much
   memory stands behind a pointer C alone knows.
   Do updates until stop_at are done (counted from the start of the run) or log L <= until.
   Returns 0, > 0 for a numerical end, -i where argument i of descend is bad;
   fastbias.engine.abi.MESSAGES has the words.
   Allocates nothing, but for the scratch of matrix norms and of matrix and convolutional models,
   freed within the update. */
typedef int64_t (*fastbias_descend)(
    int64_t *pieces,          /* (13) addresses of compiled pieces: loss, model, step rule, sampler,
                                 method, geometry */
    double *params,           /* the numbers of the pieces, eight vectors end to end; behind them
                                 (N) weights > 0 of the samples where control[14] >= 4 */
    int64_t *sizes,           /* (8) their lengths: loss, model, rule, sample, method, geometry,
                                 beta, gamma */
    double *X, int64_t N, int64_t d,      /* (N, d) data, row by row; NULL where packed holds the
                                             rows of a sparse matrix (control[17] > 0) */
    double *y,                /* (N) targets; (K N), output after output, where control[11] is −K */
    double *u, int64_t n,     /* (n) parameters, moved in place */
    double *state, int64_t rows,          /* (rows, n) memory of the method, moved in place */
    double *mark,             /* (rows + 1, n) memory of the watch for repetition */
    int64_t *control,         /* (18) updates done, rows recorded, hurry, watch, unscaled, linear,
                                 batch, tell loss, rows of state and extra scratch that the method
                                 asks for, line search, outputs K (−K where each has
                                 targets), packed is filled, power of two,
                                 inner loss (4 more: weights), burst, Gram, entries of sparse X: see
                                 fastbias.engine.abi.Slot */
    int64_t *order,           /* (2 N + 1) where control[6] > 0, else unused */
    double *work, int64_t room,           /* scratch, fastbias.engine.abi.room(N, d, n, control) */
    double *packed,           /* X and y padded, or the entries of a sparse X, filled by the first
                                 call: fastbias.engine.abi.packed_room(N, d, control[15] == 5,
                                 control[17], control[14] >= 4) */
    double *kept,             /* N rounded up to a multiple of 8, where control[15] == 5, else
                                 unused; moved in place */
    int64_t *steps, double *rows_u, double *rows_log_loss, int64_t K,   /* (K), (K, n), (K): which
                                                                           steps to write down */
    int64_t stop_at, double until);
"""
"""The C prototype, to be pasted into a source file or header."""


def capsule() -> Any:
    """Return `address()` in a PyCapsule whose name is the C signature."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
    return new(address(), _NAME, None)


# the capsule keeps the pointer, so the bytes must live as long as the module
_NAME = SIGNATURE.encode()


def low_level_callable() -> Any:
    """Return the capsule as a ``scipy.LowLevelCallable``; its ``signature`` is the C signature."""
    return foreign.library("scipy").LowLevelCallable(capsule())


def arguments(plan: Plan, steps: Any = ()) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Everything that the C function wants of a plan but ``stop_at`` and ``until``, as ctypes
    values.

    The plan's own memory is handed over, so ``plan.t`` and ``plan.u`` show what C has done; keep
    the plan and the second value alive while C works.

    Parameters
    ----------
    plan : Plan
    steps : (K,) array of int, default empty
        Which steps to write down, increasing, not before ``plan.t``.

    Returns
    -------
    arguments : list of 22 ctypes values
    held : dict
        ``steps`` (K,), ``u`` (K, n) and ``log_loss`` (K,), filled as the run passes them.
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"plan must be a Plan, got {checks.short(plan)}")
    rows = checks.array("steps", steps, "a (K,) array", dims=1, empty=True)
    fine = (rows == np.round(rows)).all() and (rows >= plan.t).all() and (rows < LATEST).all()
    if not fine or (np.diff(rows) <= 0).any():
        raise ValueError(f"steps must be whole, increasing, and between {plan.t} and 2^62, got "
                         f"{checks.short(steps)}")
    # (how many weights there are behind these control says)
    sizes = np.array([p.size for p in plan.params[:8]], np.int64)
    held = {"pieces": np.array(plan.pieces, np.int64), "params": np.concatenate(plan.params),
            "sizes": sizes, "steps": rows.astype(np.int64)}
    plan.buffers.control[ROW] = 0     # the rows are the caller's, whatever the plan has recorded
    K, b, problem = held["steps"].size, plan.buffers, plan.problem
    # ctypes keeps no array alive: whoever calls holds them
    held |= {"u": np.zeros((K, b.u.size)), "log_loss": np.zeros(K)}

    def pointer(a: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(a.ctypes.data)

    whole = ctypes.c_int64
    (N, d), n, S = problem.X.shape, b.u.size, b.state.shape[0]
    return [
        pointer(held["pieces"]), pointer(held["params"]), pointer(sizes),
        ctypes.c_void_p(None) if problem.sparse else pointer(problem.X),
        whole(N), whole(d), pointer(problem.y), pointer(b.u), whole(n), pointer(b.state), whole(S),
        pointer(b.mark), pointer(b.control), pointer(b.order), pointer(b.work), whole(b.work.size),
        pointer(b.packed), pointer(b.kept), pointer(held["steps"]), pointer(held["u"]),
        pointer(held["log_loss"]), whole(K)], held
