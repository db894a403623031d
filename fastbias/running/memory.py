"""A run's memory as a file holds it: what is state comes from there, what is layout must be as the
problem has it.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastbias.checks import files
from fastbias.engine.abi import BURST, DONE, HURRY, LATEST, PACKED, ROW, SHIFT, Buffers
from fastbias.engine.dense_pass import EXPONENTIAL, LOGISTIC, REACH, STRIDE
from fastbias.engine.weighing import inside

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
    short = buffers.control.size - found["control"].size
    if found["control"].ndim == 1 and short > 0:          # a file of before there were all slots
        found["control"] = np.append(found["control"], np.zeros(short, found["control"].dtype))
    _expect(found, buffers, prefix)
    if not np.isfinite(found["u"]).all():
        raise ValueError(f"{prefix}u must be finite")
    unknown = [name for name in names if np.isnan(found[name]).any()]
    if unknown and not ended:
        raise ValueError(f"{prefix}{unknown[0]} must hold numbers, got NaN")
    control = _control(buffers.control, found["control"], prefix)
    for name in names:
        getattr(buffers, name)[...] = found[name]
    buffers.control[:] = control


def _expect(found: Mapping[str, np.ndarray], buffers: Buffers, prefix: str) -> None:
    """Raise ValueError unless all is of the kinds and shapes that the buffers have."""
    files.expect({prefix + name: a for name, a in found.items()}, {
        prefix + name: ("i8" if name == "control" else "f8", getattr(buffers, name).shape)
        for name in found})


def _control(own: np.ndarray, saved: np.ndarray, prefix: str) -> np.ndarray:
    """A run's control, with the state of a saved one; all else must be the same in both."""
    control = own.copy()
    control[[DONE, SHIFT, BURST]] = saved[[DONE, SHIFT, BURST]]
    for slot, value in enumerate(saved.tolist()):
        if not _can_be(slot, value, own):
            raise ValueError(f"{prefix}control[{slot}] must be as the problem has it, got {value}")
    return control


def _can_be(slot: int, value: int, own: np.ndarray) -> bool:
    """Whether a run whose control began as ``own`` can have come to this entry."""
    if slot in (DONE, ROW):
        return 0 <= value < LATEST
    if slot == SHIFT and inside(own) in (EXPONENTIAL, LOGISTIC):
        return abs(value) <= REACH and value % int(STRIDE) == 0
    if slot == SHIFT:
        return value == 0
    if slot == BURST:
        return value in (0, own[BURST])                   # 0: by their pieces, for good
    return value in (0, 1) if slot in FLAGS else bool(value == own[slot])
