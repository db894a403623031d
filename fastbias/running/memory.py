"""A run's memory as a file holds it: what is state comes from there, what is layout must be as the problem has it."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastbias.checks import files
from fastbias.engine.abi import BURST, DONE, HURRY, PACKED, ROW, SHIFT, WEIGH, Buffers
from fastbias.engine.dense_pass import EXPONENTIAL, FAR, LOGISTIC, STRIDE

__all__ = ["NAMES", "keep", "restore"]

NAMES = ("u", "state", "mark", "control", "kept")      # the buffers that going on depends on
LARGEST = 2 ** 62                     # updates, as `checks.whole` counts
FLAGS = (HURRY, PACKED)               # of the moment: 0 when a run begins


def keep(buffers: Buffers, prefix: str = "") -> dict[str, np.ndarray]:
    """Copies of all that going on depends on, by name; with a prefix, where there are no predictions to keep, but those."""
    return {prefix + name: getattr(buffers, name).copy() for name in (NAMES[:-1] if prefix else NAMES)}


def restore(buffers: Buffers, kept: Mapping[str, np.ndarray], prefix: str = "", ended: bool = False) -> None:
    """Fill the buffers of a problem that is at its start from what `keep` gave, or a file says that it did.

    ValueError where a number in it cannot be; after a run that ``ended`` for good its state may be anything.
    """
    names = NAMES[:-1] if prefix else NAMES
    found = {name: kept[prefix + name] for name in names}
    files.expect({prefix + name: a for name, a in found.items()}, {
        prefix + name: ("i8" if name == "control" else "f8", getattr(buffers, name).shape) for name in names})
    if not np.isfinite(found["u"]).all():
        raise ValueError(f"{prefix}u must be finite")
    for name, numbers in found.items():
        if not ended and np.isnan(numbers).any():
            raise ValueError(f"{prefix}{name} must hold numbers, got NaN")
    control = _control(buffers.control, found["control"], prefix)
    for name in names:
        getattr(buffers, name)[...] = found[name]
    buffers.control[:] = control


def _control(own: np.ndarray, kept: np.ndarray, prefix: str) -> np.ndarray:
    """A run's control with the state of the one that was kept, of which all else must be the same."""
    control = own.copy()
    control[[DONE, SHIFT, BURST]] = kept[[DONE, SHIFT, BURST]]
    shifts = own[WEIGH] in (EXPONENTIAL, LOGISTIC)
    for entry, value in enumerate(kept.tolist()):
        fine = {DONE: 0 <= value < LARGEST, ROW: 0 <= value < LARGEST,
                SHIFT: (abs(value) <= FAR and value % int(STRIDE) == 0) if shifts else value == 0,
                BURST: value in (0, own[BURST])} | dict.fromkeys(FLAGS, value in (0, 1))     # 0: by their pieces, for good
        if not fine.get(entry, value == own[entry]):
            raise ValueError(f"{prefix}control[{entry}] must be as the problem has it, got {value}")
    return control
