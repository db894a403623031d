"""The loop for C callers: the address of `fastbias.descend` behind a plain C prototype, as a
capsule and for SciPy.

A run is prepared in Python, where everything is checked, and driven from C (or anything that can
call C) with no Python in between; the caller owns every buffer. Include `PROTOTYPE` in the C
source, hand over `address()` and the `arguments` of a plan, and call it as often as you like with a
later ``stop_at``. With fastbias.h, which ``fastbias header`` writes, own.c is no more than

    #include "fastbias.h"
    int64_t drive(fastbias_descend loop, const fastbias_call *call)
    {
        return fastbias_run(loop, call, 10000, -1e300);
    }

and, after ``cc -shared -fPIC -o own.so own.c``, a program in Python that hands a plan to it

    import ctypes
    import fastbias as fb
    plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.01))
    arguments, held = fb.capi.arguments(plan, [0, 100])
    call = fb.capi.Call(*arguments)
    own = ctypes.CDLL("./own.so")
    own.drive.restype = ctypes.c_int64
    status = own.drive(ctypes.c_void_p(fb.capi.address()), ctypes.byref(call))
    print(status, plan.t, plan.u, held["log_loss"])
"""
from __future__ import annotations

import ctypes
import textwrap
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.engine.abi import LATEST, ROW
from fastbias.engine.c_face import address
from fastbias.running.plan import Plan

__all__ = ["PROTOTYPE", "Call", "address", "arguments", "capsule", "low_level_callable"]

ARGUMENTS: tuple[tuple[str, str, str], ...] = (
    ("pieces", "int64_t *", "(16) addresses of compiled pieces: loss, model, step rule, sampler, "
     "method, geometry, point"),
    ("params", "double *", "the numbers of the pieces, eight vectors end to end; behind them (N) "
     "weights > 0 of the samples where control[14] >= 4"),
    ("sizes", "int64_t *", "(8) their lengths: loss, model, rule, sample, method, geometry, beta, "
     "gamma"),
    ("X", "double *", "(N, d) data, row by row; NULL where packed holds the rows of a sparse "
     "matrix (control[17] > 0)"),
    ("N", "int64_t", "samples"),
    ("d", "int64_t", "features"),
    ("y", "double *", "(N) targets; (K N), output after output, where control[11] is -K"),
    ("u", "double *", "(n) parameters, moved in place"),
    ("n", "int64_t", "how many"),
    ("state", "double *", "(rows, n) memory of the method, moved in place"),
    ("rows", "int64_t", "how many"),
    ("mark", "double *", "(rows + 1, n) memory of the watch for repetition"),
    ("control", "int64_t *", "(22) counters and flags, named in fastbias.h and in "
     "fastbias.engine.abi.Slot"),
    ("order", "int64_t *", "(2 N + 1) where control[6] > 0, else unused"),
    ("work", "double *", "scratch"),
    ("room", "int64_t", "how much: fastbias.engine.abi.room(N, d, n, control)"),
    ("packed", "double *", "X and y padded, or the entries of a sparse X, filled by the first "
     "call: fastbias.engine.abi.packed_room(N, d, control[15] == 5, control[17], control[14] >= "
     "4)"),
    ("kept", "double *", "N rounded up to a multiple of 8, where control[15] == 5, else unused; "
     "moved in place"),
    ("steps", "int64_t *", "(K) which steps to write down"),
    ("rows_u", "double *", "(K, n) the parameters there"),
    ("rows_log_loss", "double *", "(K) the logarithms of the loss there"),
    ("K", "int64_t", "how many"))
"""What the C function takes but ``stop_at`` and ``until``: names, types in C, and what they are."""

KINDS: dict[str, Any] = {"int64_t": ctypes.c_int64, "int64_t *": ctypes.c_void_p,
                         "double *": ctypes.c_void_p}
SIGNATURE = f"int64_t ({', '.join(kind for _, kind, _ in ARGUMENTS)}, int64_t, double)"


class Call(ctypes.Structure):
    """``struct fastbias_call`` of fastbias.h: ``Call(*fb.capi.arguments(plan)[0])``."""

    _fields_ = [(name, KINDS[kind]) for name, kind, _ in ARGUMENTS]


def _prototype() -> str:
    """The C prototype, with a comment for each argument."""
    lines = []
    for name, kind, comment in ARGUMENTS:
        begun = f"    {kind}{'' if kind.endswith('*') else ' '}{name},"
        lines.append(textwrap.fill(f"/* {comment} */", 100, initial_indent=f"{begun:<27} ",
                                   subsequent_indent=" " * 31, break_long_words=False))
    return """\
#include <stdint.h>
/* Do updates until stop_at are done (counted from the start of the run) or log L <= until.
   Returns 0, > 0 for a numerical end, -i where argument i of fastbias.descend is bad;
   fastbias.engine.abi.MESSAGES has the words. NULL, sizes that no memory has, and all that
   fastbias.descend refuses, are told by -i; how much memory stands behind a pointer C alone knows.
   Allocates nothing, but for the scratch of matrix norms and of matrix and convolutional models,
   freed within the update. */
typedef int64_t (*fastbias_descend)(
""" + "\n".join(lines) + "\n    int64_t stop_at, double until);\n"


PROTOTYPE = _prototype()
"""The C prototype, to be pasted into a source file or header; `fastbias header` prints all of
fastbias.h.
"""


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
