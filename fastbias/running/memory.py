"""A run's memory as a file holds it: what is state comes from there, what is layout must be as the
problem has it.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastbias.checks import files
from fastbias.engine.abi import BURST, DONE, HURRY, LATEST, PACKED, ROW, SHIFT, WEIGH, Buffers
from fastbias.engine.dense_pass import EXPONENTIAL, LOGISTIC, REACH, STRIDE

__all__ = ["NAMES", "restore", "snapshot"]

NAMES = ("u", "state", "mark", "control", "kept")      # the buffers that going on depends on
FLAGS = (HURRY, PACKED)               # of the moment: 0 when a run begins


def snapshot(buffers: Buffers, prefix: str = "") -> dict[str, np.ndarray]:
    """Copies of all that going on depends on, by name; with a prefix, where there are no
    predictions to keep, but those.
    """
    names = NAMES[:-1] if prefix else NAMES
    return {prefix + name: getattr(buffers, name).copy() for name in names}


def restore(buffers: Buffers, saved: Mapping[str, np.ndarray], prefix: str = "",
            ended: bool = False) -> None:
    """Fill the buffers of a problem at its start from a `snapshot`, or what a file says is one.

    ValueError where a number in it cannot be; after a run that ``ended`` for good its state may be
    anything.
    """
    names = NAMES[:-1] if prefix else NAMES
    found = {name: saved[prefix + name] for name in names}
    files.expect({prefix + name: a for name, a in found.items()}, {
        prefix + name: ("i8" if name == "control" else "f8", getattr(buffers, name).shape)
        for name in names})
    if not np.isfinite(found["u"]).all():
        raise ValueError(f"{prefix}u must be finite")
    for name, numbers in found.items():
        if not ended and np.isnan(numbers).any():
            raise ValueError(f"{prefix}{name} must hold numbers, got NaN")
    control = _control(buffers.control, found["control"], prefix)
    for name in names:
        getattr(buffers, name)[...] = found[name]
    buffers.control[:] = control


def _control(own: np.ndarray, saved: np.ndarray, prefix: str) -> np.ndarray:
    """A run's control, with the state of a saved one; all else must be the same in both."""
    control = own.copy()
    control[[DONE, SHIFT, BURST]] = saved[[DONE, SHIFT, BURST]]
    shifts = own[WEIGH] in (EXPONENTIAL, LOGISTIC)
    for slot, value in enumerate(saved.tolist()):
        shifted = abs(value) <= REACH and value % int(STRIDE) == 0
        fine = {DONE: 0 <= value < LATEST, ROW: 0 <= value < LATEST,
                SHIFT: shifted if shifts else value == 0,
                BURST: value in (0, own[BURST]),          # 0: by their pieces, for good
                } | dict.fromkeys(FLAGS, value in (0, 1))
        if not fine.get(slot, value == own[slot]):
            raise ValueError(f"{prefix}control[{slot}] must be as the problem has it, got {value}")
    return control
