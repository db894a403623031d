"""Data: readers for the user's own CSV and NPZ files, the paper's examples, and seeded random
problems.
"""
from __future__ import annotations

import csv
import math
import numbers
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastbias import checks
from fastbias.checks import Seed, files
from fastbias.data.rows import PARTS, joined

__all__ = ["Dataset", "example", "names", "random_regression", "read"]

LABELS = ("binary", "index")
GAPS = ("", "nan", "na", "null", "none")     # of a column that is converted: no class of their own
HINT = ' (labels are converted by labels="binary")'


@dataclass(frozen=True, eq=False)
class Dataset:
    """X (N, d) and y (N,), with the names that the file gave; unpacks as ``X, y = dataset``.

    Parameters
    ----------
    X : (N, d) float64, or a CSR matrix of `scipy.sparse`
    y : (N,) float64
    features : tuple of str
        Names of the columns of X.
    target : str
        Name of y.
    classes : tuple
        With converted labels, the original ones: ``classes[0]`` became −1 (or 0).
    """

    X: Any
    y: np.ndarray
    features: tuple[str, ...]
    target: str
    classes: tuple[Any, ...] = ()

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.X, self.y))


def read(path: str | os.PathLike[str], *, target: str | int = -1, header: bool | None = None,
         labels: str | None = None, drop: str | int | Iterable[str | int] | None = ()) -> Dataset:
    r"""Read X and y from a CSV or NPZ file.

    Parameters
    ----------
    path : path
        ``.npz`` holds arrays ``X`` and ``y``; where X is sparse, in place of it ``X_data``,
        ``X_indices``, ``X_indptr`` and ``X_shape``, as `scipy.sparse` has them of a CSR matrix.
        Anything else is read as CSV, gaps being refused.
    target : str or int, default −1
        The column that is y, by name or index; the other columns are X. (For NPZ: the name of the
        array, default "y".)
    header : bool, optional
        Whether the first row holds names; by default it does if none of its cells is a number, or
        one that is not stands over a number.
    labels : "binary" or "index", optional
        How to convert the target. None takes it as numbers; "binary" wants two distinct values and
        makes the smaller −1, the larger +1; "index" numbers the distinct values 0 … K − 1 in order.
    drop : sequence of str or int
        Columns to leave out (names of the rows, say).

    Returns
    -------
    Dataset
        ``X, y = fb.data.read(...)`` works.

    Raises
    ------
    ValueError, TypeError
        One sentence that says which file, row and column, and what was there.

    Examples
    --------
    >>> import fastbias as fb, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "my.csv"
    >>> _ = path.write_text("a,b,kind\n1,2,yes\n3,4,no\n")
    >>> X, y = fb.data.read(path, target="kind", labels="binary")
    >>> X.tolist(), y.tolist()
    ([[1.0, 2.0], [3.0, 4.0]], [1.0, -1.0])
    """
    path = Path(checks.filename("path", path))
    if labels is not None:
        checks.name("labels", labels, LABELS)
    checks.choice("header", header)
    left_out = _as_list(drop)
    if path.suffix == ".npz":
        if header is not None or left_out:
            raise ValueError(f"header and drop are for CSV files, got them with {path.name}")
        return _npz(path, target, labels)
    # here, where True would be column 1
    for name, value in (("target", target), *(("drop", c) for c in left_out)):
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise TypeError(f"{name} must be a column's name or index, got {checks.short(value)}")
    table = _table(path, header)
    goal, columns = _chosen(table, target, left_out)
    cells = np.array([table.numbers(j) for j in columns]).T
    # (finite, too: `nan` reads as a number)
    X = checks.array("X", cells, "an (N, d)", dims=2)
    y, classes = ((np.array(table.numbers(goal, HINT)), ()) if labels is None
                  else _encode(table.values(goal), labels))
    return Dataset(X, checks.array("y", y, "an (N,) array", dims=1),
                   tuple(table.names[j] for j in columns), table.names[goal], classes)


def _chosen(table: _Table, target: str | int, drop: list[Any]) -> tuple[int, list[int]]:
    """Which column is y, and which are X."""
    goal = _column("target", target, table.names)
    left = {_column("drop", c, table.names) for c in drop}
    if goal in left:
        raise ValueError(f"drop must not name the target column {table.names[goal]!r}")
    columns = [j for j in range(len(table.names)) if j not in {goal, *left}]
    if not columns:
        raise ValueError(f"drop must leave at least one column for X, got {checks.short(drop)}")
    return goal, columns


class _Table(NamedTuple):
    """The cells of a CSV file, under the names of its columns."""

    file: str
    names: list[str]
    body: list[list[str]]
    lines: list[int]          # of the file, in which each row ends: cells may hold line breaks

    def numbers(self, j: int, hint: str = "") -> list[float]:
        """Column j, which must hold numbers; ``hint`` ends the sentence that says it does not."""
        for row, line in zip(self.body, self.lines, strict=True):
            if not _is_number(row[j]):
                raise ValueError(f"column {self.names[j]!r} of {self.file} must hold numbers, got "
                                 f"{row[j]!r} in line {line}{hint}")
        return [float(row[j]) for row in self.body]

    def values(self, j: int) -> np.ndarray:
        """Column j as numbers if it holds nothing else, or as texts; without gaps."""
        raw = [row[j].strip() for row in self.body]
        for cell, line in zip(raw, self.lines, strict=True):
            if cell.lower() in GAPS:
                raise ValueError(f"column {self.names[j]!r} of {self.file} must have no gaps, got "
                                 f"{cell!r} in line {line}")
        return np.array([float(c) for c in raw] if all(map(_is_number, raw)) else raw)


def _table(path: Path, header: bool | None) -> _Table:
    """A CSV file cut into names and cells, of as many in each row."""
    lines, rows = _rows(path)
    if not rows:
        raise ValueError(f"path must name a file with at least one row, got {path.name}, which is "
                         "empty")
    if header is None:                                        # nobody said: then it is seen
        header = _has_header(rows)
    width = len(rows[0])
    names = [c.strip() for c in rows[0]] if header else [f"x{j}" for j in range(width)]
    skipped = 1 if header else 0
    table = _Table(path.name, names, rows[skipped:], lines[skipped:])
    _even(table, rows[0])
    return table


def _even(table: _Table, first: list[str]) -> None:
    """Raise ValueError unless there are two columns or more, and rows, all as long."""
    width, body = len(table.names), table.body
    if width < 2 and any(mark in first[0] for mark in ";\t"):
        raise ValueError(f"{table.file} must be separated by commas, got other separators in its "
                         "first line")
    if not body or width < 2:
        raise ValueError("path must name a table with at least 1 row and 2 columns, got "
                         f"{table.file} with {len(body)} rows and {width} columns")
    for row, line in zip(body, table.lines, strict=True):
        if len(row) != width:
            raise ValueError(f"{table.file} must have {width} cells in every row, got {len(row)} "
                             f"in line {line}")


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row holds names: no number, or a text where the row under it has one."""
    # (where there is but one row it stands for both)
    first, second = ([_is_number(cell) for cell in row] for row in (rows * 2)[:2])
    return not any(first) or any(b and not a for a, b in zip(first, second, strict=False))


def names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the cells of the first row of a CSV file, its names if it has any; () for NPZ."""
    path = Path(checks.filename("path", path))
    first = [] if path.suffix == ".npz" else _rows(path, most=1)[1]
    return tuple(c.strip() for row in first for c in row)


def _rows(path: Path, most: int | None = None) -> tuple[list[int], list[list[str]]]:
    """The first so many rows of a CSV file that hold anything, and in which line each ends."""
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            for row in (reader := csv.reader(file)):
                # (UTF-16, most often, which the csv module would take for texts of one letter)
                if any("\0" in c for c in row):
                    raise ValueError(f"path must name a text file, got {path.name}, with a NUL in "
                                     f"line {reader.line_num}")
                if any(c.strip() for c in row):
                    rows.append(row)
                    lines.append(reader.line_num)
                    if len(rows) == most:
                        break
    except UnicodeDecodeError as error:
        raise ValueError(f"path must name a text file in UTF-8, got {path.name}: {error}") from None
    except csv.Error as error:
        raise ValueError(f"path must name a table in CSV, got {path.name}: {error} in line "
                         f"{reader.line_num}") from None
    return lines, rows


def _npz(path: Path, target: str | int, labels: str | None) -> Dataset:
    name = target if isinstance(target, str) else "y"
    if not (isinstance(target, str) or (isinstance(target, numbers.Integral) and target == -1)):
        raise ValueError(f"target must be the name of an array for {path.name}, got "
                         f"{checks.short(target)}")
    X, raw = _matrix(path, name)
    y, classes = (raw, ()) if labels is None else _encode(raw, labels)
    y = checks.array(name, y, "an (N,) array", dims=1, length=X.shape[0])
    return Dataset(X, y, tuple(f"x{j}" for j in range(math.prod(X.shape[1:]))), name, classes)


def _matrix(path: Path, target: str) -> tuple[Any, np.ndarray]:
    """X, sparse where the file has the arrays of CSR, and the target as it is."""
    what = "a whole NPZ file"
    try:
        arrays = files.read(path, what, (*PARTS, "X_shape", target))
    except ValueError:                                    # then it must have a dense one
        arrays = files.read(path, what, ("X", target))
        return (checks.array("X", arrays["X"], "an (N, d) or (N, m, n)", dims=(2, 3)),
                arrays[target])
    with files.untrusted(f"{', '.join(PARTS)} and X_shape of {path.name} must be the arrays of a "
                         "sparse matrix by rows"):
        N, d = (int(n) for n in arrays["X_shape"])
        return checks.matrix("X", joined(arrays, (N, d))), arrays[target]


def _encode(raw: np.ndarray, labels: str) -> tuple[np.ndarray, tuple[Any, ...]]:
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise ValueError("the target must be finite to be converted to labels, got "
                         f"{checks.short(raw.tolist())}")
    # sorted, so that the order of rows does not decide which label is which
    classes, index = np.unique(raw, return_inverse=True)
    if labels == "binary":
        if classes.size != 2:
            raise ValueError("labels=\"binary\" must find two distinct values in the target, got "
                             f"{classes.size}: {checks.short(classes.tolist())}")
        index = 2 * index - 1                                 # −1 and +1: margins are y⟨w, x⟩
    return index.astype(np.float64), tuple(classes.tolist())


def _column(label: str, which: str | int, names: list[str]) -> int:
    # (text is a name, also where it reads as a number: years, say)
    if isinstance(which, str):
        if names.count(which) > 1:
            raise ValueError(f"{label} must name one column, got {which!r}, which "
                             f"{names.count(which)} columns have")
        return names.index(checks.name(label, which, names))
    if not -len(names) <= which < len(names):
        raise ValueError(f"{label} must be a column index between {-len(names)} and "
                         f"{len(names) - 1}, got {which}")
    return which % len(names)


def _as_list(columns: object) -> list[Any]:
    if columns is None or isinstance(columns, (str, int)):
        return [] if columns is None else [columns]
    if not isinstance(columns, Iterable) or getattr(columns, "ndim", 1) == 0:
        raise TypeError("drop must be a column's name or index, or a list of them, got "
                        f"{checks.short(columns)}")
    return list(columns)


def _is_number(cell: str) -> bool:
    # what `float` reads, "nan" and "inf" as well: a column of them holds numbers, if bad ones
    if "_" in cell:                                           # Python would read 1_0 as 10
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def example(number: int) -> Dataset:
    """Return the data of Example 2, 3 or 4 of the paper (ValueError for any other number).

    Examples 2 and 3: x = (1, 2), y = 1. Example 4: x₁ = (1, 1, 1), y₁ = 1, x₂ = (1, 2, 0), y₂ = 10.
    """
    known = number if isinstance(number, numbers.Real) else 0
    if known in (2, 3):
        X, y = [[1.0, 2.0]], [1.0]
    elif known == 4:
        X, y = [[1.0, 1.0, 1.0], [1.0, 2.0, 0.0]], [1.0, 10.0]
    else:
        raise ValueError(f"number must be 2, 3 or 4, got {checks.short(number)}")
    return Dataset(np.array(X), np.array(y), tuple(f"w[{j}]" for j in range(len(X[0]))), "y")


def random_regression(N: int, d: int, rng: Seed = None, *, positive: bool = False) -> Dataset:
    """Draw a realisable Gaussian regression problem: X (N, d), y = X w for a hidden w (all positive
    if asked).

    Parameters
    ----------
    N, d : int ≥ 1
    rng : seed or numpy Generator, optional
    positive : bool, default False
        Draw w from (0, 1]^d, so that potentials on the positive orthant can fit it.
    """
    N, d, positive = checks.whole("N", N, least=1), checks.whole("d", d,
                                                                 least=1), checks.flag("positive",
                                                                                       positive)
    checks.fits("N, d", (N, d), N, d)
    rng = checks.generator("rng", rng)
    X = rng.normal(size=(N, d))
    w = 1.0 - rng.random(d) if positive else rng.normal(size=d)
    return Dataset(X, X @ w, tuple(f"x{j}" for j in range(d)), "y")
