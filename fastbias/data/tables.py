"""Data: readers for the user's own tables (text, DataFrames, NPZ files), the paper's examples,
and seeded random problems.
"""
from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastbias import checks
from fastbias.checks import Seed, files, foreign
from fastbias.checks.shown import clipped
from fastbias.data import columns
from fastbias.data.columns import located
from fastbias.data.responses import of_array, of_column
from fastbias.data.rows import PARTS, joined
from fastbias.data.text import Source, alone, opened

if TYPE_CHECKING:
    import pandas

__all__ = ["Table", "example", "random_regression", "read"]


class Frame(Protocol):
    """A DataFrame, of pandas, which may be missing or have no types."""

    @property
    def columns(self) -> Any:
        """The names of the columns."""

    @property
    def dtypes(self) -> Any:
        """What each column is of."""


Target = str | int | Sequence[str | int]
CATEGORIES, MISSING = ("onehot", "refuse"), ("drop", "refuse")
SHOWN, CUT = 12, 60   # names that are printed, and characters of each


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """X (N, d) and y (N,), with the names that the table gave; unpacks as ``X, y = table``.

    Parameters
    ----------
    X : (N, d) DataFrame of float64, or as a NPZ file has it: an array, or CSR of `scipy.sparse`
        Its columns carry the names to all that is made of it.
    y : (N,) Series, or array
        Numbers, or labels: texts, bools or categories.
    names : tuple of str
        Of the columns of X.
    target : str
        Name of y.
    classes : tuple
        What labels are called, in order: of two the first is −1 and the later one +1, of more they
        are 0 … K−1; () where y is numbers that nobody converted.
    weights : (N,) float64, or None
        Of the samples.
    dropped : int
        How many rows had gaps, and were left out.
    baselines : dict of str to level
        The columns that were factors, each with the level that has no column: what others are held
        against.

    Examples
    --------
    >>> import fastbias as fb
    >>> X, y = fb.data.example(4)
    >>> X.tolist(), y.tolist()
    ([[1.0, 1.0, 1.0], [1.0, 2.0, 0.0]], [1.0, 10.0])
    >>> fb.data.example(4).names, fb.data.example(4).target
    (('w[0]', 'w[1]', 'w[2]'), 'y')
    """

    X: Any
    y: Any
    names: tuple[str, ...]
    target: str
    classes: tuple[Any, ...] = ()
    weights: np.ndarray | None = None
    dropped: int = 0
    baselines: dict[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.X, self.y))

    def __repr__(self) -> str:
        told = checks.mapping(np.array(self.classes)) if self.classes else []
        return "\n".join([f"{self.X.shape[0]} rows of {_few(self.names)}",
                          f"target {_few([self.target])}",
                          *told, *self.notes])

    @property
    def notes(self) -> list[str]:
        """What became of the columns and rows that are not as they were, a line each."""
        lines = []
        if self.baselines:
            lines.append("factors: " + _few([f"{name} (against {level})"
                                             for name, level in self.baselines.items()]))
        if self.weights is not None:
            lines.append(f"weights of {self.weights.sum():.10g} in all")
        if self.dropped:
            lines.append(f"{self.dropped} more row{'s' * (self.dropped > 1)} with gaps: left out")
        return lines


def _few(names: Iterable[str]) -> str:
    listed = [clipped(" ".join(name.split()), CUT) for name in names]
    more = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def read(path: str | os.PathLike[str] | Frame, target: Target = -1, *,
         drop: str | int | Iterable[str | int] | None = (), labels: object = None,
         categories: str = "onehot", missing: str = "drop", weights: str | int | None = None,
         header: bool | None = None,
         factors: str | int | Iterable[str | int] | None = ()) -> Table:
    r"""Read X and y from a table: a text file, a DataFrame, or an NPZ file.

    Text files are read by `pandas.read_csv`, compressed ones too. What separates cells is found
    (commas, semicolons, tabs, bars, blanks), decimal commas likewise where they cannot be anything
    else. Texts, bools and categories are factors, and become a column of 0 and 1 for each level but
    the first, called ``column_level``; numbers stay numbers. A column without a name is refused.

    Parameters
    ----------
    path : path, or DataFrame
        ``.npz`` holds arrays ``X`` and ``y``; where X is sparse, in place of it ``X_data``,
        ``X_indices``, ``X_indptr`` and ``X_shape``, as `scipy.sparse` has them of a CSR matrix.
    target : str or int, default −1
        The column that is y, by name or index; the others are X. (For NPZ: the name of the array,
        default "y".) Two columns, as a list or with a comma between them, are counts: each row is
        taken twice, with the first for its weight and its label, which is +1, and with the second.
    drop : str or int, or a sequence of them
        Columns to leave out (names of the rows, say).
    labels : optional
        None: labels stay what they are, and are sorted where they are used. Else the one of two
        that is +1, or a list of all in order, the first being −1 or 0; "binary" makes the smaller
        of two −1 and the larger +1, and "index" numbers them 0 … K − 1.
    categories : "onehot" or "refuse", default "onehot"
        What becomes of factors. The first level is the first of the sorted ones, of a pandas
        Categorical the first in its own order.
    missing : "drop" or "refuse", default "drop"
        What becomes of rows with gaps in a column that is used: they are left out, and counted.
    weights : str or int, optional
        The column of weights or counts ≥ 0 of the samples. (For NPZ: the name of an array.)
    header : bool, optional
        Whether the first row of a text file holds names; by default it does if none of its cells is
        a number, or one that is not stands over a number.
    factors : str or int, or a sequence of them
        Columns that are factors though they hold numbers, codes of groups say (or dates); the first
        level is the smallest.

    Returns
    -------
    Table
        ``X, y = fb.data.read(...)`` works; names go with X. ``print`` says what was done.

    Raises
    ------
    ValueError, TypeError
        One sentence that says which file, row and column, and what was there: columns that hold
        numbers and texts, dates, numbers that float64 does not have, another text in each row …
    OSError
        Where the file cannot be read.

    Examples
    --------
    >>> import fastbias as fb, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "my.csv"
    >>> _ = path.write_text("dose;sex;ill\n1,5;f;yes\n3,0;m;no\n;f;no\n2,5;f;no\n")
    >>> table = fb.data.read(path, "ill")
    >>> print(table)
    3 rows of dose, sex_m
    target ill
    labels: +1 is 'yes', −1 is 'no'
    factors: sex (against f)
    1 more row with gaps: left out
    >>> X, y = table
    >>> X.to_numpy().tolist(), y.tolist()
    ([[1.5, 0.0], [3.0, 1.0], [2.5, 0.0]], ['yes', 'no', 'no'])
    """
    checks.name("categories", categories, CATEGORIES)
    checks.name("missing", missing, MISSING)
    checks.choice("header", header)
    left_out, codes = columns.listed("drop", drop), columns.listed("factors", factors)
    if isinstance(path, str) or not hasattr(path, "columns"):
        name = checks.filename("path", path)
        if PurePath(name).suffix == ".npz":
            if header is not None or left_out or codes:
                raise ValueError(f"header, drop and factors are for CSV files, got them with "
                                 f"{PurePath(name).name}")
            return _npz(name, target, labels, weights)
        source = opened(name, header)
    else:
        source = _of_frame(path, header)
    goals, counts, used = _chosen(source, target, left_out, weights)
    table, dropped = columns.complete(source, used, missing)
    features = [name for name in used if name not in (*goals, counts)]
    X, baselines = columns.coded(source, columns.coarse(table[features], codes, source),
                                 categories)
    c = None if counts is None else _weights(source, table[counts])
    found = Table(X, None, tuple(X.columns), " against ".join(goals), (), c, dropped, baselines)
    if len(goals) == 2:
        return _of_counts(source, table, goals, found, labels)
    y, classes = of_column(source, table[goals[0]], labels)
    return replace(found, y=y, classes=classes)


def _of_frame(frame: object, header: bool | None) -> Source:
    """A DataFrame under names that are texts, its gaps as such."""
    pandas: Any = foreign.library("pandas")
    if not isinstance(frame, pandas.DataFrame):
        raise TypeError(f"path must be a path or a pandas DataFrame, got {checks.short(frame)}")
    if header is not None:
        raise ValueError(f"header is for text files, got {header} with a DataFrame")
    given: Any = frame
    names = [str(name) for name in given.columns]
    alone("columns of the DataFrame", names)
    if min(given.shape) < 1 or given.shape[1] < 2:
        raise ValueError("path must be a table with at least 1 row and 2 columns, got a DataFrame "
                         f"with {given.shape[0]} rows and {given.shape[1]} columns")
    return Source(given.set_axis(names, axis=1), "the DataFrame")


def _chosen(source: Source, target: object, drop: list[object],
            weights: object) -> tuple[list[str], str | None, list[str]]:
    """The columns that are y, the one of weights, and all that are used."""
    names = list(source.frame.columns)
    asked = _targets(target, names)
    goals = [names[located("target", one, names)] for one in asked]
    left = {names[located("drop", one, names)] for one in drop}
    counts = None if weights is None else names[located("weights", weights, names)]
    for goal in goals:
        if goal in (*left, counts):
            raise ValueError(f"{'drop' if goal in left else 'weights'} must not name the target "
                             f"column {goal!r}")
    _demand_named(source, asked, goals)
    if counts in left:
        raise ValueError(f"drop must not name the column of weights {counts!r}")
    used = [name for name in names if name not in left]
    if not {*used} - {*goals, counts}:
        raise ValueError(f"drop must leave at least one column for X, got {checks.short(drop)}")
    return goals, counts, used


def _demand_named(source: Source, asked: list[object], goals: list[str]) -> None:
    """Raise ValueError where a target has no name, unless it was called what stands for one."""
    for one, goal in zip(asked, goals, strict=True):
        if columns.UNNAMED.fullmatch(goal) and not isinstance(one, str):
            raise ValueError(f"columns of {source.name} must have names, got one without where y "
                             f"was looked for: name it as target={goal!r}, or another one")


def _targets(target: object, names: list[str]) -> list[object]:
    """One target, or the two columns of counts that make one."""
    if isinstance(target, str) and target not in names and target.count(",") == 1:
        target = [part.strip() for part in target.split(",")]
    if not isinstance(target, (list, tuple)):
        return [target]
    goals = list(target)
    if len(goals) != 2 or len({located("target", one, names) for one in goals}) < 2:
        raise ValueError("target must be a column, or two of them that hold counts, got "
                         f"{checks.short(target)}")
    return goals


def _weights(source: Source, column: pandas.Series) -> np.ndarray:
    """A column of weights."""
    if not columns.is_numeric(column):
        raise ValueError(f"weights must be a column of numbers, got {column.name!r} of "
                         f"{source.name} with {checks.short(column.iloc[0])}")
    return checks.weights(f"column {column.name!r} of {source.name}",
                          columns.values(source, column), len(column))


def _of_counts(source: Source, table: pandas.DataFrame, goals: list[str], found: Table,
               labels: object) -> Table:
    """The table with each row twice: as often as the first column of counts says with label 1, and
    as often as the second does with label 0.
    """
    pandas: Any = foreign.library("pandas")
    if labels is not None:
        raise ValueError("labels must be left out where the target is two columns of counts, got "
                         f"{checks.short(labels)}")
    counts = np.concatenate([_weights(source, table[goal]) for goal in goals])
    if found.weights is not None:
        counts = counts * np.tile(found.weights, 2)
    order = pandas.CategoricalDtype([goals[1], goals[0]])
    y = pandas.Series(np.repeat(goals, len(table)), index=[*found.X.index, *found.X.index],
                      dtype=order, name=found.target)
    return replace(found, X=pandas.concat([found.X, found.X]), y=y, weights=counts,
                   classes=(goals[1], goals[0]))


def _npz(path: str, target: object, labels: object, weights: object) -> Table:
    file, name = PurePath(path).name, target if isinstance(target, str) else "y"
    if not (isinstance(target, str) or (isinstance(target, numbers.Integral) and target == -1)):
        raise ValueError(f"target must be the name of an array for {file}, got "
                         f"{checks.short(target)}")
    if weights is not None and not isinstance(weights, str):
        raise ValueError(f"weights must be the name of an array for {file}, got "
                         f"{checks.short(weights)}")
    X, raw = _matrix(path, file, name)
    y, classes = of_array(name, raw, labels, X.shape[0])
    c = None if weights is None else checks.weights(
        weights, files.read(path, "a whole NPZ file", (weights,))[weights], X.shape[0])
    named = tuple(f"x{j}" for j in range(math.prod(X.shape[1:])))
    return Table(X, y, named, name, classes, c)


def _matrix(path: str, file: str, target: str) -> tuple[Any, np.ndarray]:
    """X, sparse where the file has the arrays of CSR, and the target as it is."""
    what = "a whole NPZ file"
    try:
        arrays = files.read(path, what, (*PARTS, "X_shape", target))
    except ValueError:                                    # then it must have a dense one
        arrays = files.read(path, what, ("X", target))
        return (checks.array("X", arrays["X"], "an (N, d) or (N, m, n)", dims=(2, 3)),
                arrays[target])
    with files.untrusted(f"{', '.join(PARTS)} and X_shape of {file} must be the arrays of a "
                         "sparse matrix by rows"):
        N, d = (int(n) for n in arrays["X_shape"])
        return checks.matrix("X", joined(arrays, (N, d))), arrays[target]


def example(number: int) -> Table:
    """Return the data of Example 2, 3 or 4 of the paper (ValueError for any other number).

    Examples 2 and 3: x = (1, 2), y = 1. Example 4: x₁ = (1, 1, 1), y₁ = 1, x₂ = (1, 2, 0), y₂ = 10.

    >>> import fastbias as fb
    >>> X, y = fb.data.example(2)
    >>> X.tolist(), y.tolist()
    ([[1.0, 2.0]], [1.0])
    """
    known = number if isinstance(number, numbers.Real) else 0
    if known in (2, 3):
        X, y = [[1.0, 2.0]], [1.0]
    elif known == 4:
        X, y = [[1.0, 1.0, 1.0], [1.0, 2.0, 0.0]], [1.0, 10.0]
    else:
        raise ValueError(f"number must be 2, 3 or 4, got {checks.short(number)}")
    return Table(np.array(X), np.array(y), tuple(f"w[{j}]" for j in range(len(X[0]))), "y")


def random_regression(N: int, d: int, rng: Seed = None, *, positive: bool = False) -> Table:
    """Draw a realisable Gaussian regression problem: X (N, d), y = X w for a hidden w (all positive
    if asked).

    Parameters
    ----------
    N, d : int ≥ 1
    rng : seed or numpy Generator, optional
    positive : bool, default False
        Draw w from (0, 1]^d, so that potentials on the positive orthant can fit it.

    Examples
    --------
    >>> import fastbias as fb
    >>> X, y = fb.data.random_regression(3, 5, rng=0, positive=True)
    >>> X.shape, y.shape, fb.minimum_norm(X, y).certified
    ((3, 5), (3,), True)
    """
    N, d, positive = checks.whole("N", N, least=1), checks.whole("d", d,
                                                                 least=1), checks.flag("positive",
                                                                                       positive)
    checks.fits("N, d", (N, d), N, d)
    rng = checks.generator("rng", rng)
    X = rng.normal(size=(N, d))
    w = 1.0 - rng.random(d) if positive else rng.normal(size=d)
    return Table(X, X @ w, tuple(f"x{j}" for j in range(d)), "y")
