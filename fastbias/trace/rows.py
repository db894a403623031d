"""Which steps a run writes down: those asked for, or as many as asked for, log-spaced."""
from __future__ import annotations

import numbers
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks

__all__ = ["counted", "planned"]

ROWS = 200        # enough for a smooth curve over nine decades, little beside any X


def planned(record: ArrayLike | None, begin: int, stop: int, entries: int) -> np.ndarray:
    """The steps to write down between two steps, both included.

    ValueError where as many rows of ``entries`` numbers do not fit into memory.
    """
    if record is None:
        record = ROWS
    if isinstance(record, (bool, str, bytes, dict)):
        raise TypeError("record must be a whole number >= 2 or a (K,) array of steps, got "
                        f"{checks.short(record)}")
    if counted(record):
        count = checks.whole("record", record, least=2)
        checks.fits("record", record, min(count, stop - begin + 1), entries)
        found = log_spaced(begin, stop, count)
        # (a copy; and near the end of the whole numbers floats round past the stop)
        return found[(found >= begin) & (found <= stop)]
    wanted = checks.array("record", record, "a whole number or a (K,) array of steps", dims=1,
                          empty=True)
    bad = wanted[(wanted != np.round(wanted)) | (wanted < begin) | (wanted > stop)]
    if bad.size:
        raise ValueError(f"record must hold whole steps between {begin} and {stop}, got "
                         f"{bad[0]:g}")
    inner = wanted.astype(np.int64)
    inner = inner[(inner > begin) & (inner < stop)]
    inner = np.unique(inner) if inner.size > 1 else inner
    return np.concatenate([[begin], inner, [stop] if stop > begin else []]).astype(np.int64)


def counted(record: object) -> bool:
    """Whether ``record`` says how many rows there are to be, not which."""
    return isinstance(record, numbers.Real) or (isinstance(record, np.ndarray) and record.ndim == 0)


@lru_cache(maxsize=64)                                    # the runs of a sweep ask for the same
def log_spaced(begin: int, stop: int, count: int) -> np.ndarray:
    """The finest log-spaced steps between two that are at most ``count``, ends included."""
    if stop - begin < count:
        return np.arange(begin, stop + 1)

    def steps(points: int) -> np.ndarray:
        spaced = np.round(np.geomspace(max(begin, 1), max(stop, 1), points)).astype(np.int64)
        return np.unique(np.concatenate([[begin, stop], spaced]))

    # small steps coincide, so more are asked for than wanted
    fewest, most = 0, 8 * count
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewest, most = (middle, most) if steps(middle).size <= count else (fewest, middle)
    return steps(fewest)
