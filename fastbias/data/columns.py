"""Columns of a table as numbers: factors one-hot, texts that stand for numbers or dates refused."""
from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.columns import different
from fastbias.checks.shown import clipped
from fastbias.data.text import GAPS, Source, is_number

if TYPE_CHECKING:
    import pandas

__all__ = ["coarse", "coded", "complete", "is_numeric", "labelled", "levels", "listed", "located",
           "values"]

UNNAMED = re.compile(r"|Unnamed: \d+(\.\d+)*")
SOME, CUT = 8, 60     # names that are listed, and characters of each
MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
DATE = re.compile(
    r"(\d{4}[-/.](0?[1-9]|1[0-2])([-/.]\d{1,2})?|\d{1,2}([-/.])\d{1,2}\4(\d{4}|\d{2})"
    rf"|(\d{{1,2}}[ -])?{MONTH}[ -]?(\d{{1,2}},?[ -])?(\d{{4}}|'?\d{{2}}))"
    r"([ T]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[ap]m)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?"
    r"|\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[ap]m)?", re.IGNORECASE)
# a number, in some other way: of money or per cent, with an exponent D, in quotes or base sixteen;
# or with its index before it
WRITTEN = re.compile(r"\(?[+-]?[$€£]?\s?\d[\d.,' ]*\s?[%$€£]?\)?|'[+-]?[\d.]+(e[+-]?\d+)?'"
                     r"|[+-]?[\d.]+d[+-]?\d+|0x[\da-f]+|\d+:[+-]?[\d.]+(e[+-]?\d+)?", re.IGNORECASE)


def located(label: str, which: object, names: list[str]) -> int:
    """The place of a column that is named, or told by its index; texts that no column is called
    and that read as whole numbers are an index, too.
    """
    if isinstance(which, bool) or not isinstance(which, (str, int, np.integer)):
        raise TypeError(f"{label} must be a column's name or index, got {checks.short(which)}")
    if isinstance(which, str):
        if which in names:
            return names.index(which)
        if not re.fullmatch(r"[+-]?\d+", which.strip()):
            raise ValueError(f"{label} must be one of {_listed(names)}, got {checks.short(which)}"
                             f"{_near(which, names)}")
        which = int(which)
    if not -len(names) <= which < len(names):
        raise ValueError(f"{label} must be a column index between {-len(names)} and "
                         f"{len(names) - 1}, got {which}")
    return int(which) % len(names)


def _listed(names: list[str]) -> str:
    """The names of columns, of many the first ones."""
    more = len(names) - SOME
    shown = (clipped(name, CUT) for name in names[:SOME])
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _near(name: str, names: list[str]) -> str:
    """The names that are spelled most nearly, as the end of a sentence."""
    known = {other.lower().strip(): other for other in names}
    near = [known[text] for text in difflib.get_close_matches(name.lower().strip(), known, 3)]
    told = " or ".join(repr(clipped(one, CUT)) for one in near)
    return f" (did you mean {told}?)" if near else ""


def _settled(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The columns with texts without blanks around them, gaps as such; numbers where all are."""
    texts = [name for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
             if _texts(dtype)]
    # (of many columns each one costs)
    made = frame.copy() if texts else frame
    for name in texts:
        made[name] = _plain(frame[name])
    return made


def _texts(dtype: object) -> bool:
    return str(dtype) in ("object", "str") or str(dtype).startswith("string")


def _plain(column: pandas.Series) -> pandas.Series:
    """A column that holds texts or objects as what they are: numbers, texts, bools."""
    pandas: Any = foreign.library("pandas")
    cells = [_stripped(cell) if isinstance(cell, str) else
             None if pandas.api.types.is_scalar(cell) and pandas.isna(cell) else cell
             for cell in column]
    there = [cell for cell in cells if cell is not None]
    if there and all(isinstance(cell, str) and is_number(cell) for cell in there):
        # (integers of any size stay what they are)
        cells = [_number(cell) if isinstance(cell, str) else None for cell in cells]
    made = pandas.Series(cells, index=column.index, name=column.name, dtype=object)
    return made.convert_dtypes() if there else made


def _stripped(cell: str) -> str | None:
    """A text without blanks around it; None for a gap."""
    text = cell.strip()
    return None if text in GAPS else text


def _number(cell: str) -> float | int:
    # (of more digits than any float it is infinite)
    return int(cell) if re.fullmatch(r"[+-]?\d{1,300}", cell) else float(cell)


def complete(source: Source, used: list[str], missing: str) -> tuple[pandas.DataFrame, int]:
    """The rows without gaps in columns that are used, and how many there were with some; ValueError
    where these are refused, or where none is left.
    """
    table = _settled(source.frame[used])
    gaps = table.isna().to_numpy()
    empty = np.flatnonzero(gaps.all(axis=0))
    if empty.size:
        name = table.columns[empty[0]]
        raise ValueError(f"column {name!r} of {source.name} must hold something, got gaps alone: "
                         f"drop={name!r} leaves it out")
    bad = gaps.any(axis=1)
    if bad.any() and missing == "refuse":
        row, name = table.index[bad.argmax()], table.columns[gaps[bad.argmax()].argmax()]
        raise ValueError(f"{source.name} must have no gaps for missing=\"refuse\", got "
                         f"{int(bad.sum())} rows with some, the first of column {name!r} in "
                         f"{source.where(row)}")
    if bad.all():
        many = gaps.sum(axis=0)
        most = table.columns[many.argmax()]
        raise ValueError(f"{source.name} must have a row without gaps, got none: column {most!r} "
                         f"has {many.max()} of them, drop={most!r} leaves it out")
    # (numbers may have been texts only for what stood in a row with gaps)
    return _settled(table[~bad]), int(bad.sum())


def coded(source: Source, table: pandas.DataFrame,
          categories: str) -> tuple[pandas.DataFrame, dict[str, Any]]:
    """Columns of numbers, with factors one-hot but for their first levels; and these."""
    pandas: Any = foreign.library("pandas")
    columns: dict[str, np.ndarray] = {}
    baselines: dict[str, Any] = {}
    for name in table.columns:
        if UNNAMED.fullmatch(name):
            raise ValueError(f"columns of {source.name} must have names, got one without, most "
                             f"likely names or numbers of its rows: leave it out by drop={name!r}")
        made = {name: values(source, table[name])} if is_numeric(table[name]) else \
            _one_hot(source, table[name], categories, baselines)
        for called, column in made.items():
            if called in columns or (called != name and called in table.columns):
                raise ValueError(f"columns of {source.name} must have different names, got "
                                 f"{called!r} also as a level of {name!r}")
            columns[called] = column
    different(f"columns of {source.name}", list(columns))
    return pandas.DataFrame(columns, index=table.index), baselines


def coarse(table: pandas.DataFrame, codes: list[Any], source: Source) -> pandas.DataFrame:
    """The columns of X, those that are said to be factors as such; whole numbers without a point,
    though gaps made them floats.
    """
    names, made = list(table.columns), table.copy() if codes else table
    for which in codes:
        # (an index counts the columns of the table)
        whole = list(source.frame.columns)
        name = whole[located("factors", which, whole)]
        if name not in names:
            raise ValueError(f"factors must name columns of X, got {name!r}, which is none here")
        column = table[name]
        if is_numeric(column) and (column.astype(np.float64) % 1 == 0).all():
            column = column.astype("int64")
        made[name] = column.astype("category")
    return made


def is_numeric(column: pandas.Series) -> bool:
    """Whether a column holds real numbers, bools not being any."""
    if column.dtype == object:                            # integers beyond 64 bits
        return all(type(cell) is int for cell in column)
    return getattr(column.dtype, "kind", "O") in "iuf"


def values(source: Source, column: pandas.Series) -> np.ndarray:
    """Numbers (N,), finite and as they stand in the file."""
    found = np.asarray(column.to_numpy(dtype=np.float64))
    bad = ~np.isfinite(found)
    if bad.any():
        at = int(bad.argmax())
        raise ValueError(f"column {column.name!r} of {source.name} must hold finite numbers, got "
                         f"{found[at]} in {source.where(column.index[at])}")
    if getattr(column.dtype, "kind", "f") in "iuO":
        for at in np.flatnonzero(np.abs(found) >= 2.0 ** 53).tolist():
            if int(found[at]) != int(column.iloc[at]):
                raise ValueError(
                    f"column {column.name!r} of {source.name} must hold integers that float64 "
                    f"tells apart, got {column.iloc[at]} in {source.where(column.index[at])}: "
                    "take from all what they have in common")
    return found


def _one_hot(source: Source, column: pandas.Series, categories: str,
             baselines: dict[str, Any]) -> dict[str, np.ndarray]:
    """A factor as a column for each level but the first, named after both."""
    column, name = labelled(source, column), column.name
    known = levels(column)
    if categories == "refuse":
        raise ValueError(f"column {name!r} of {source.name} must hold numbers for "
                         f"categories=\"refuse\", got {checks.short(column.iloc[0])} in "
                         f"{source.where(column.index[0])}")
    if len(known) < 2:
        raise ValueError(f"column {name!r} of {source.name} must have two levels or more to be a "
                         f"factor, got {checks.short(known[0])} alone: leave it out by "
                         f"drop={name!r}")
    # (of a column that was made a factor on purpose that is for the user to judge)
    if len(known) == len(column) > 2 and not _categorical(column):
        raise ValueError(f"column {name!r} of {source.name} must be a factor, got another text in "
                         f"each row, most likely names of its rows: leave it out by drop={name!r}")
    checks.fits(f"levels of column {name!r}", len(known), len(known), len(column))
    baselines[name] = known[0]
    place = {level: i for i, level in enumerate(known)}
    codes = np.array([place[cell] for cell in column])
    return {f"{name}_{level}": (codes == i).astype(np.float64)
            for level, i in place.items() if i > 0}


def _categorical(column: pandas.Series) -> bool:
    return str(column.dtype) == "category"


def levels(column: pandas.Series) -> list[Any]:
    """The values of a factor, sorted, those of a Categorical in its own order."""
    there = set(column)
    if _categorical(column):
        return [level for level in column.cat.categories if level in there]
    return [level.item() if isinstance(level, np.generic) else level for level in sorted(there)]


def labelled(source: Source, column: pandas.Series) -> pandas.Series:
    """A column of texts, bools or categories; ValueError where it holds something else."""
    sort = getattr(column.dtype, "kind", "O")
    if _categorical(column) or sort == "b":
        return column
    if not _texts(column.dtype):
        kind = "dates" if sort == "M" else str(column.dtype)
        raise ValueError(_no_factor(source, column, kind))
    _alike(source, column)
    cells = list(column)
    for kind, form in (("dates or times", DATE), ("numbers that are written otherwise", WRITTEN)):
        if all(map(form.fullmatch, cells)):
            raise ValueError(_no_factor(source, column, f"{kind}, {cells[0]!r} in "
                                        f"{source.where(column.index[0])}"))
    return column


def _alike(source: Source, column: pandas.Series) -> None:
    """Raise ValueError unless all cells are texts, of which none is a number."""
    kinds = ["text" if isinstance(cell, str) and not is_number(cell) else
             "number" if isinstance(cell, str) else "other" for cell in column]
    if {*kinds} == {"text"}:
        return
    at = kinds.index("text") if "text" in kinds else kinds.index("other")
    raise ValueError(f"column {column.name!r} of {source.name} must hold numbers, got "
                     f"{checks.short(column.iloc[at])} in {source.where(column.index[at])} "
                     "(or texts alone, to be a factor)")


def _no_factor(source: Source, column: pandas.Series, kind: str) -> str:
    return (f"column {column.name!r} of {source.name} must hold numbers or be a factor, got {kind}:"
            f" make numbers of them, or leave it out by drop={column.name!r}")


def listed(label: str, columns: object) -> list[Any]:
    """Columns as a list, of one or of many."""
    if columns is None or isinstance(columns, (str, int, np.integer)):
        return [] if columns is None else [columns]
    if not isinstance(columns, Iterable) or getattr(columns, "ndim", 1) == 0:
        raise TypeError(f"{label} must be a column's name or index, or a list of them, got "
                        f"{checks.short(columns)}")
    return list(columns)
