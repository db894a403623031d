"""What y is: numbers, or labels, as they are or in the order that is asked for."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.data import columns
from fastbias.data.text import Source, is_number

if TYPE_CHECKING:
    import pandas

__all__ = ["LABELS", "of_array", "of_column"]

LABELS = ("binary", "index")


def of_array(name: str, raw: np.ndarray, labels: object,
             length: int) -> tuple[Any, tuple[Any, ...]]:
    """Targets of an NPZ file, and what labels are called."""
    if labels is not None:
        return _encode(checks.named_values(name, raw, length), labels)
    if raw.dtype.kind in "Ub":
        raw = checks.named_values(name, raw, length)
        return raw, tuple(np.unique(raw).tolist())
    return checks.array(name, raw, "an (N,) array", dims=1, length=length), ()


def of_column(source: Source, column: pandas.Series, labels: object) -> tuple[Any, tuple[Any, ...]]:
    """Targets as a Series: numbers, labels as they are, or as they are to be converted."""
    pandas: Any = foreign.library("pandas")
    numeric = columns.is_numeric(column)
    if labels is None and not numeric:
        column = columns.labelled(source, column)
        known = columns.levels(column)
        if not isinstance(column.dtype, pandas.CategoricalDtype):
            column = column.astype(bool if isinstance(known[0], bool) else object)
        return column, tuple(known)
    cells = columns.values(source, column) if numeric else np.array(list(column))
    y, classes = (cells, ()) if labels is None else _encode(cells, labels)
    return pandas.Series(y, index=column.index, name=column.name), classes


def _encode(raw: np.ndarray, labels: object) -> tuple[Any, tuple[Any, ...]]:
    """Labels as numbers, or as categories of a given order; and what they are called."""
    # sorted, so that the order of rows does not decide which label is which
    classes, index = np.unique(raw, return_inverse=True)
    known = classes.tolist()
    if not isinstance(labels, str) or labels not in LABELS:
        order = _order(known, labels)
        pandas: Any = foreign.library("pandas")
        return pandas.Categorical(raw.tolist(), order), tuple(order)
    if labels == "binary":
        if classes.size != 2:
            raise ValueError("labels=\"binary\" must find two distinct values in the target, got "
                             f"{classes.size}: {checks.short(known)}")
        index = 2 * index - 1                                 # −1 and +1: margins are y⟨w, x⟩
    return index.astype(np.float64), tuple(known)


def _order(known: list[Any], labels: object) -> list[Any]:
    """The labels in the order that is asked for: all of them, or of two the one that is +1."""
    # (a command line has texts alone)
    if isinstance(labels, str) and _among(known, labels) is None:
        labels = [part.strip() for part in labels.split(",")]
    asked = list(labels) if isinstance(labels, (list, tuple)) else [labels]
    order = [_among(known, one) for one in asked]
    if None not in order and len(order) == 1 and len(known) == 2:
        return [*(one for one in known if one != order[0]), order[0]]
    if None in order or not len({*order}) == len(order) == len(known):
        raise ValueError(f"labels must be one of {', '.join(LABELS)}, of two labels the one that "
                         "is +1, or a list of all of them in order, got "
                         f"{checks.short(labels)} for {checks.short(known)}")
    return order


def _among(known: list[Any], label: object) -> Any:
    """The label that is meant, also by a text of it; None where there is no such one."""
    told = str(label)
    for one in known:
        number = isinstance(one, float) and is_number(told) and float(told) == one
        if str(one) == told or number:
            return one
    return None
