"""A table as text: what separates its cells, whether it has a header, and the frame that pandas
makes of it.

The lines come from pandas, which opens what is compressed or far away, and so does the frame; only
what pandas would take for granted is looked for here: separators, names, decimal commas, comments.
"""
from __future__ import annotations

import csv
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastbias.checks import foreign

if TYPE_CHECKING:
    import pandas

__all__ = ["GAPS", "Source", "alone", "is_number", "opened"]

SEPARATORS = ("\t", ";", ",", "|", " ")    # a blank: any run of blanks and tabs
LOOKED = 200          # rows by which the separator is found
GAPS = frozenset((
    "", "NA", "N/A", "n/a", "na", "Na", "NaN", "nan", "NAN", "-NaN", "-nan", "NULL", "null", "Null",
    "None", "none", "NONE", "<NA>", "#N/A", "#NA", "#N/A N/A", "1.#IND", "-1.#IND", "1.#QNAN",
    "-1.#QNAN", "?", "."))
"""What stands for a gap: all that pandas takes for one, and what others write."""
COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")             # a number with a decimal comma
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")          # … or one in groups of three digits
SAID = re.compile(r'"?sep=.?"?,*', re.IGNORECASE)
POINT = re.compile(r"[+-]?\d*\.\d*([eE][+-]?\d+)?")


@dataclass(frozen=True, eq=False)
class Source:
    """A frame with texts for names, what it is called, and the text that it was, if any."""

    frame: pandas.DataFrame
    name: str
    text: str = ""
    separator: str = ","
    header: bool = True

    def where(self, row: object) -> str:
        """In which line of the file a row ends, or what it is called in the frame."""
        if not self.text:
            return f"row {row}"
        rows = islice(_rows(self.text, self.separator), int(str(row)) + self.header, None)
        return f"line {next(rows)[0]}"


def opened(path: str, header: bool | None) -> Source:
    """The table of a text file, cells with gaps as missing ones; ValueError where it is none."""
    name = os.path.basename(path) or path
    try:
        text, separator, rows = _cut(_lines(path, name))
    except csv.Error as error:
        raise ValueError(f"path must name a table in CSV, got {name}: {error}") from None
    if not rows:
        raise ValueError(f"path must name a file with at least one row, got {name}, which is empty")
    if header is None:                                    # nobody said: then it is seen
        header = _has_header(rows)
    names = _names(name, rows, header)
    decimal = _decimal(name, text, separator)
    frame = _frame(name, text, names, sep=r"\s+" if separator == " " else separator,
                   header=0 if header else None, decimal=decimal)
    if len(frame) < 1 or len(names) < 2:
        raise ValueError("path must name a table with at least 1 row and 2 columns, got "
                         f"{name} with {len(frame)} rows and {len(names)} columns")
    return Source(frame, name, text, separator, header)


def _lines(path: str, name: str) -> list[str]:
    """The lines of a file, as pandas opens it."""
    pandas: Any = foreign.library("pandas")
    try:
        # no text has this character: each line is one cell
        found = _quietly(lambda: pandas.read_csv(
            path, sep="\x01", quoting=csv.QUOTE_NONE, header=None, names=["line"], dtype=str,
            na_filter=False, skip_blank_lines=False))
    except UnicodeDecodeError as error:
        raise ValueError(f"path must name a text file in UTF-8, got {name}, which is none "
                         f"at byte {error.start}: save it as UTF-8, or read it by pandas.read_csv "
                         "with encoding=, and hand over the DataFrame") from None
    except pandas.errors.EmptyDataError:
        return []
    except OSError:                                       # it says which file, and why
        raise
    except Exception as error:                            # of whatever packed the file
        raise ValueError(f"path must name a text file, got {name}: {_said(error)}") from None
    lines: list[str] = found["line"].tolist()
    if lines and SAID.fullmatch(lines[0].strip()):        # for Excel; here it is looked for
        lines[0] = ""
    for i, line in enumerate(lines):
        # (UTF-16, most often, which would be taken for texts of one letter)
        if "\0" in line:
            raise ValueError(f"path must name a text file, got {name}, with a NUL in line {i + 1}")
    return lines


def _quietly(read: Callable[[], pandas.DataFrame]) -> pandas.DataFrame:
    """What pandas reads, without its warnings; but lost cells are an error."""
    pandas: Any = foreign.library("pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        return read()


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a text that hold anything, and in which line each ends."""
    if separator == " ":
        text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if cells not in ([], [""]):
                yield reader.line_num, cells
    except csv.Error as error:
        raise csv.Error(f"{error} in line {reader.line_num}") from None


def _cut(lines: list[str]) -> tuple[str, str, list[list[str]]]:
    """The text of a table without its comments, its separator, and its first rows."""
    # (a line stays a line, so that errors count them right)
    plain = ["" if line.startswith("#") else line for line in lines]
    separator, rows = _separated(plain)
    if plain == lines or not rows or separator == " ":
        return "\n".join(plain), separator, rows
    # one with as many cells as the others is a row, or the names: it is for the user to say
    width = max(map(len, rows))
    for i, line in enumerate(lines):
        if line.startswith("#") and any(len(row) == width for _, row in _rows(line, separator)):
            plain[i] = line
    separator, rows = _separated(plain)
    return "\n".join(plain), separator, rows


def _separated(lines: list[str]) -> tuple[str, list[list[str]]]:
    """The separator of the lines of a table, and its first rows by it."""
    best, most = (",", [row for _, row in _rows("\n".join(lines[:LOOKED]), ",")]), 0
    for separator in SEPARATORS:
        rows = [row for _, row in _rows("\n".join(lines[:LOOKED]), separator)]
        # (the last one may be cut within a quoted cell)
        rows = rows[:-1] if len(lines) > LOOKED and len(rows) > 1 else rows
        widths = [len(row) for row in rows]
        width = max(widths, default=0)
        # (blanks within texts are no sign that they separate where something else does)
        within = bool(most) if separator == " " else _within(separator, rows)
        if min(widths[:1], default=0) < 2 or within:
            continue
        # a header may lack the name of the first column
        if widths[0] >= width - 1 and set(widths[1:]) <= {width}:
            return separator, rows
        if widths.count(width) > most:
            best, most = (separator, rows), widths.count(width)
    return best


def _within(separator: str, rows: list[list[str]]) -> bool:
    """Whether a tab only stands beside another separator."""
    return separator == "\t" and all(row[0].endswith((",", ";")) for row in rows)


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row holds names: no number, or a text where the row under it has one."""
    # (where there is but one row it stands for both)
    first, second = ([is_number(cell) for cell in row] for row in (rows * 2)[:2])
    # (a header without a name for the first column stands over the others)
    second = second[len(second) - len(first):] if len(second) > len(first) else second
    return not any(first) or any(b and not a for a, b in zip(first, second, strict=False))


def _names(file: str, rows: list[list[str]], header: bool) -> list[str]:
    """The names of columns, as pandas calls those without one: ``Unnamed: 0``."""
    if not header:
        return [f"x{j}" for j in range(len(rows[0]))]
    names, width = rows[0], len(rows[min(1, len(rows) - 1)])
    if width > len(names) + 1:
        raise ValueError(f"{file} must have {len(names)} cells in every row, got {width} in its "
                         "first row under the names")
    if width > len(names):
        # rows that end with a separator, or, in front, names of rows as R writes them
        last = all(len(row) == width and not row[-1] for row in rows[1:])
        names = [*names, ""] if last else ["", *names]
    names = [names[0].removeprefix("# "), *names[1:]]
    names = [name or f"Unnamed: {j}" for j, name in enumerate(names)]
    alone(f"columns of {file}", names)
    return names


def alone(label: str, names: list[str]) -> None:
    """Raise ValueError where a name comes more than once."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{label} must have different names, got "
                         f"{', '.join(map(repr, twice[:4]))} more than once")


def _decimal(file: str, text: str, separator: str) -> str:
    """"," where numbers have decimal commas and nothing else, else "."; ValueError where commas may
    be either decimal ones or between thousands.
    """
    if separator == "," or "," not in text:
        return "."
    cells = {cell for _, row in _rows(text, separator) for cell in row}
    commas = {cell for cell in cells if COMMA.fullmatch(cell) or THOUSANDS.fullmatch(cell)}
    points = {cell for cell in cells if POINT.fullmatch(cell) and is_number(cell)}
    if commas and (points or all(map(THOUSANDS.fullmatch, commas))):
        beside = f" and {min(points)!r}" if points else ""
        raise ValueError(f"numbers of {file} must have a decimal point, or decimal commas that are "
                         f"no thousands and no points beside them, got {min(commas)!r}{beside}: "
                         "read it by pandas.read_csv with decimal= or thousands=, and hand over "
                         "the DataFrame")
    return "," if commas else "."


def _frame(file: str, text: str, names: list[str], **options: Any) -> pandas.DataFrame:
    """What pandas makes of the text, with as many cells in each row."""
    pandas: Any = foreign.library("pandas")
    try:
        # (float_precision: pandas before 3.1 may round the last digit otherwise)
        found: pandas.DataFrame = _quietly(lambda: pandas.read_csv(
            io.StringIO(text), names=names, index_col=False, skipinitialspace=True,
            keep_default_na=False, na_values=sorted(GAPS), float_precision="round_trip",
            low_memory=False, dtype_backend="numpy_nullable", **options))
    except pandas.errors.EmptyDataError:
        return pandas.DataFrame(columns=names)
    except Exception as error:
        raise ValueError(f"{file} must have {len(names)} cells in every row, got: "
                         f"{_said(error).removeprefix('Error tokenizing data. C error: ')}"
                         ) from None
    # rows and columns without a name that hold nothing at all are no part of the table
    found = found.dropna(how="all")
    empty = [name for name in names if name.startswith("Unnamed: ") and found[name].isna().all()]
    return found.drop(columns=empty)


def is_number(cell: str) -> bool:
    """Whether `float` reads it, "nan" and "inf" as well: a column of them holds numbers."""
    with suppress(ValueError):
        float(cell)
        return "_" not in cell                            # Python would read 1_0 as 10
    return False
