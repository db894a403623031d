"""The loop for C callers: the address of `fastbias.descend` behind a plain C prototype, as a
capsule and for SciPy.

A run is prepared in Python, where everything is checked, and driven from C (or anything that can
call C) with no Python in between; the caller owns every buffer. Include `PROTOTYPE` in the C
source, hand over `address()` and the `arguments` of a plan, and call it as often as you like with a
later ``stop_at``. With fastbias.h, which ``fastbias header`` writes, own.c is no more than

    #include "fastbias.h"
    int64_t drive(fastbias_descend loop, const fastbias_call *call)
    {
        return fastbias_run(loop, call, 10000, -INFINITY);
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

``until`` is a logarithm: -INFINITY never stops; any other number costs log L at each update, which
can be most of the time of a small run. The first `address()` of an installation compiles the loop,
for some ten seconds; later processes load it from disk.

A C program with a ``main()`` of its own gets the loop from Python as well, in one of two ways: the
work is a shared library that a few lines of Python call, as above; or main() holds Python inside
itself, runs lines as these with ``PyRun_SimpleString`` and takes from them ``address()`` and
``ctypes.addressof(call)`` as numbers. Let ``executable`` of its ``PyConfig`` name the Python of the
virtual environment (bin/python there) before ``Py_InitializeFromConfig``: so the environment's
packages are found, also an editable installation, which PYTHONPATH alone does not find. What Python
holds (the plan, ``call``, ``held``) must live as long as C works.
"""
from __future__ import annotations

import ctypes
import textwrap
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.engine.abi import (
    BATCH,
    BURST,
    CONTROL,
    FILLED,
    LATEST,
    OUTPUTS,
    ROW,
    VECTORS,
    WEIGH,
    WEIGHTED,
    Params,
    Pieces,
)
from fastbias.engine.c_face import address
from fastbias.engine.moves import COORDINATE
from fastbias.running.plan import Plan

__all__ = ["PROTOTYPE", "Call", "address", "arguments", "capsule", "low_level_callable"]

_WEIGHTED = f"control[{WEIGH}] >= {WEIGHTED}"
_COORDINATE, _FILLED = f"control[{BURST}] == {COORDINATE}", f"control[{FILLED}]"

ARGUMENTS: tuple[tuple[str, str, str], ...] = (
    ("pieces", "int64_t *", f"({len(Pieces._fields)}) addresses of compiled pieces: loss, model, "
     "step rule, sampler, method, geometry, point"),
    ("params", "double *", f"the numbers of the pieces, {VECTORS} vectors end to end; behind them "
     f"(N) weights > 0 of the samples where {_WEIGHTED}"),
    ("sizes", "int64_t *", f"({VECTORS}) their lengths: {', '.join(Params._fields[:VECTORS])}"),
    ("X", "double *", "(N, d) data, row by row; NULL where packed holds the rows of a sparse "
     f"matrix ({_FILLED} > 0)"),
    ("N", "int64_t", "samples"),
    ("d", "int64_t", "features"),
    ("y", "double *", "(N) targets; (K N), output after output, where "
     f"control[{OUTPUTS}] is -K"),
    ("u", "double *", "(n) parameters, moved in place"),
    ("n", "int64_t", "how many"),
    ("state", "double *", "(rows, n) memory of the method, moved in place"),
    ("rows", "int64_t", "how many"),
    ("mark", "double *", "(rows + 1, n) memory of the watch for repetition"),
    ("control", "int64_t *", f"({CONTROL}) counters and flags, named in fastbias.h and in "
     "fastbias.engine.abi.Slot"),
    ("order", "int64_t *", f"(2 N + 1) where control[{BATCH}] > 0, else unused"),
    ("work", "double *", "scratch"),
    ("room", "int64_t", "how much: fastbias.engine.abi.room(N, d, n, control)"),
    ("packed", "double *", "X and y padded, or the entries of a sparse X, filled by the first "
     f"call: fastbias.engine.abi.packed_room(N, d, {_COORDINATE}, {_FILLED}, "
     f"{_WEIGHTED})"),
    ("kept", "double *", "N rounded up to a multiple of 8, "
     f"where {_COORDINATE}, else unused; moved in place"),
    ("steps", "int64_t *", "(K) which steps to write down"),
    ("rows_u", "double *", "(K, n) the parameters there"),
    ("rows_log_loss", "double *", "(K) the logarithms of the loss there"),
    ("K", "int64_t", "how many"))
"""What the C function takes but ``stop_at`` and ``until``: names, types in C, and what they are."""

KINDS: dict[str, Any] = {"int64_t": ctypes.c_int64, "int64_t *": ctypes.c_void_p,
                         "double *": ctypes.c_void_p}
# where each argument of `descend` begins among those of the C function
BEGIN = "pieces", "params", "X", "y", "u", "steps", "stop_at", "until"
SIGNATURE = f"int64_t ({', '.join(kind for _, kind, _ in ARGUMENTS)}, int64_t, double)"


class Call(ctypes.Structure):
    """``struct fastbias_call`` of fastbias.h: ``Call(*fb.capi.arguments(plan)[0])``."""

    _fields_ = [(name, KINDS[kind]) for name, kind, _ in ARGUMENTS]


def _blamed() -> str:
    """What −1, −2 … say is bad, by the names that C has for it."""
    groups: list[list[str]] = []
    for name in [*(name for name, _, _ in ARGUMENTS), *BEGIN[-2:]]:
        if name in BEGIN:
            groups.append([])
        groups[-1].append(name)
    told = (group[0] if len(group) == 1 else ", ".join(group[:-1]) + " or " + group[-1]
            for group in groups)
    return "; ".join(f"-{i}: {names}" for i, names in enumerate(told, 1))


def _prototype() -> str:
    """The C prototype, with a comment for each argument."""
    lines = []
    for name, kind, comment in ARGUMENTS:
        begun = f"    {kind}{'' if kind.endswith('*') else ' '}{name},"
        lines.append(textwrap.fill(f"/* {comment} */", 100, initial_indent=f"{begun:<27} ",
                                   subsequent_indent=" " * 31, break_long_words=False))
    told = ("Do updates until stop_at are done (counted from the start of the run) or log L <= "
            "until: -INFINITY never stops, any other number costs log L at each update. Returns "
            f"0, > 0 for a numerical end, or what is bad ({_blamed()}); "
            "fastbias.engine.abi.MESSAGES has the words, whose `argument i` is that of "
            "fastbias.descend. NULL, sizes that no memory has, and all that fastbias.descend "
            "refuses, are told so; how much memory stands behind a pointer C alone knows. "
            "Allocates nothing, but for the scratch of matrix norms and of matrix and "
            "convolutional models, freed within the update.")
    remark = textwrap.fill(f"/* {told} */", 100, subsequent_indent="   ")
    return f"#include <stdint.h>\n{remark}\n" + """\
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
    arguments : list of ctypes values
        As `PROTOTYPE` has them.
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
    sizes = np.array([p.size for p in plan.params[:VECTORS]], np.int64)
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
