"""A plan as JSON: which pieces it is put together from, by name, their numbers, and all memory of a
run that is at its start. ``engine.js`` lays it out again; it knows nothing else of the package.
"""
from __future__ import annotations

from typing import Any

import numpy as np
import portable

import fastbias as fb
from fastbias.engine.abi import KNOWN, Params


def _numbers(a: np.ndarray) -> list[Any]:
    """The numbers of an array, flat; JSON has no word for those that are not finite."""
    return [x if np.isfinite(x) else {np.inf: "Infinity", -np.inf: "-Infinity"}.get(x, "NaN")
            for x in np.ravel(a).tolist()]


def described(plan: fb.Plan) -> dict[str, Any]:
    """All that the loop is handed of a dense plan, to the last bit."""
    names = {id(piece): name for name, piece in portable.pieces().items()}
    b, problem = plan.buffers, plan.problem
    return {
        "pieces": [names[id(KNOWN[address])] for address in plan.pieces],
        "params": {name: _numbers(p) for name, p in zip(Params._fields, plan.params, strict=True)},
        "N": problem.X.shape[0], "d": problem.X.shape[1], "X": _numbers(problem.X),
        "y": _numbers(problem.y), "u": _numbers(b.u), "state": _numbers(b.state),
        "control": b.control.tolist(), "order": b.order.size, "kept": b.kept.size,
        "work": b.work.size, "packed": b.packed.size}
