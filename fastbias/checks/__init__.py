"""Input, checked and converted once: each failure is one sentence naming the argument, what it must
be, what it was.

Everything past these functions is a finite, C-contiguous float64 array, a float, or an int.
"""
from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from fastbias.checks import mapped_files, own
from fastbias.checks.mapped_files import first_beyond
from fastbias.checks.meant import meant, named, nearest
from fastbias.checks.sparse import Sparse

T = TypeVar("T")
Seed = int | np.integer | np.random.Generator | None
"""What random numbers are drawn from: `generator` takes it."""

__all__ = ["Sparse", "array", "choice", "equations", "fields", "filename", "fits", "flag", "floats",
           "generator", "labels", "mapping", "matrix", "meant", "name", "named", "named_values",
           "number", "one_of", "path", "point", "positive_definite", "shape", "short", "steps",
           "weights", "whole"]

# bytes
MEMORY = (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
          if hasattr(os, "sysconf") else 2**40)     # (Windows has no sysconf: as good as no bound)
SHOWN = 60                # characters of a value in a message: a sentence stays one line
COLUMNS = (1 << 31) - 1   # of sparse data: places are 32-bit numbers
COUNTABLE = 1 << 62       # twice such a number still fits into int64, so sums of two do not wrap
MANY = 20                 # fractions as labels: more of them look like measurements
SYMMETRIC = 1e-12         # relative: products such as AᵀDA are no more symmetric than rounding


def short(value: object) -> str:
    """The value as an error message shows it: its repr, cut."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else text[:SHOWN - 3] + "..."


def number(label: str, value: object, *, above: float | None = None, least: float | None = None,
           most: float | None = None) -> float:
    """A finite real number within bounds, as a float; bools, strings and NaN are refused."""
    every = (">", operator.gt, above), (">=", operator.ge, least), ("<=", operator.le, most)
    bounds = [(sign, holds, bound) for sign, holds, bound in every if bound is not None]
    told = " and ".join(f"{sign} {bound:g}" for sign, _, bound in bounds)
    wanted = f"a finite number {told}".strip()
    # np.array(3.0) and the like: what numpy gives back where one asks for a number
    value = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if _is_flag(value) or not isinstance(value, numbers.Real):
        raise TypeError(f"{label} must be {wanted}, got {short(value)}")
    x = _float(label, value)
    if not all([np.isfinite(x), *(holds(x, bound) for _, holds, bound in bounds)]):
        raise ValueError(f"{label} must be {wanted}, got {x:g}")
    return x


def _is_flag(value: object) -> bool:
    """Whether it is a bool: Python counts True among the whole numbers, and we do not."""
    return isinstance(value, (bool, np.bool_))


def _float(label: str, value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{label} must fit into float64, got {short(value)}") from None


def whole(label: str, value: object, *, least: int = 0, most: int | None = None) -> int:
    """A whole number ≥ least, ≤ most and < 2^62, as an int; 1e6 is one, 1.5 and True are not."""
    upper = COUNTABLE - 1 if most is None else most
    if type(value) is int and least <= value <= min(upper, COUNTABLE - 1):
        return value                                      # as good as always, and quick
    wanted = f"a whole number >= {least}"
    if _is_flag(value) or not isinstance(value, numbers.Real):
        raise TypeError(f"{label} must be {wanted}, got {short(value)}")
    x = _float(label, value)
    if x >= COUNTABLE:
        raise ValueError(f"{label} must be under 2^62, got {x:g}")
    if x > upper:
        wanted += f" and <= {most}"
    if not least <= x <= upper or x != np.floor(x):       # (NaN is neither)
        raise ValueError(f"{label} must be {wanted}, got {short(value)}")
    # an integer beyond 2^53 is not what its float says
    return int(value) if isinstance(value, numbers.Integral) else int(x)


def fits(label: str, value: object, *sizes: int) -> None:
    """Raise ValueError where an array of so many float64 numbers would not fit into memory.

    Asked before it is made: Linux promises memory it does not have, and kills who uses it.
    """
    needed = 8 * math.prod(sizes)
    if needed > MEMORY:
        raise ValueError(f"{label} must make arrays that fit into {MEMORY / 2**30:.3g} GiB of "
                         f"memory, got {short(value)}, which takes {needed / 2**30:.3g} GiB")


def generator(label: str, value: object) -> np.random.Generator:
    """A numpy Generator of a seed, a Generator (itself), or (None) the system."""
    try:
        # numpy would take a list as a seed, and True as 1: both are more likely a slip
        if isinstance(value, (bool, list, tuple)):
            raise TypeError
        return np.random.default_rng(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"{label} must be None, a whole number >= 0 or a numpy Generator, got "
                        f"{short(value)}") from None


def array(label: str, value: object, shape: str, *, dims: int | tuple[int, ...],
          length: int | None = None, empty: bool = False, finite: bool = True) -> np.ndarray:
    """A finite float64 C-contiguous copy of an array-like; ``shape`` is its shape in words."""
    raw = _raw(label, value, shape)
    if raw.dtype.kind not in "buif":
        raise TypeError(f"{label} must be {shape} of real numbers, got dtype {raw.dtype}")
    if raw.ndim not in ((dims,) if isinstance(dims, int) else dims):
        raise ValueError(f"{label} must be {shape}, got shape {raw.shape}")
    if raw.size == 0 and not empty:
        raise ValueError(f"{label} must be {shape} and not empty, got shape {raw.shape}")
    if length is not None and raw.shape[0] != length:
        raise ValueError(f"{label} must be {shape} with length {length}, got length {raw.shape[0]}")
    with np.errstate(all="ignore"):                       # (a long double may be beyond float64)
        out = np.array(raw, dtype=np.float64, order="C")
    # after the conversion, which may be what made it infinite
    if finite and not np.isfinite(out).all():
        raise ValueError(f"{label} must be finite, got {first_beyond(out)}")
    return out


def matrix(label: str, value: object, *, mapped: bool = False) -> Any:
    """Data (N, d) or (N, m, n) as `array` has them; sparse ones (N, d) of `scipy.sparse`, in any
    format, as its CSR of finite float64, with no entry twice (entries that are 0 are kept).

    ``mapped``: a file of float64 that is mapped to be read (``np.memmap(..., mode="r")``) stays
    where it is, as an array that cannot be written to.
    """
    if mapped and isinstance(value, np.memmap) and mapped_files.stays(value):
        return mapped_files.read(label, value)
    if hasattr(value, "tocsr") and type(value).__module__.startswith("scipy.sparse"):
        return _compressed(label, value)
    return array(label, value, "an (N, d) or (N, m, n)", dims=(2, 3))


def _compressed(label: str, given: Any) -> Any:
    """The CSR of a sparse matrix."""
    wanted = "an (N, d) or (N, m, n) array, or a sparse (N, d) matrix"
    if given.ndim != 2 or 0 in given.shape:
        raise ValueError(f"{label} must be {wanted}, got shape {given.shape}")
    if given.dtype.kind not in "buif":
        raise TypeError(f"{label} must be {wanted} of real numbers, got dtype {given.dtype}")
    if given.shape[1] > COLUMNS:
        raise ValueError(f"{label} must have under 2^31 columns where it is sparse, got "
                         f"{given.shape[1]}")
    with np.errstate(all="ignore"):
        found = given.tocsr().astype(np.float64, copy=True)
        found.sum_duplicates()
    if not np.isfinite(found.data).all():
        raise ValueError(f"{label} must be finite, got {first_beyond(found.data)}")
    return found


def _raw(label: str, value: object, shape: str) -> np.ndarray:
    """What numpy makes of an array-like, be its entries numbers or not."""
    # numpy would wrap a sparse matrix into an array of one object, and forget a mask
    if hasattr(value, "tocsr") or type(value).__module__.startswith(("scipy.sparse", "sparse")):
        raise TypeError(f"{label} must be {shape} and dense, got a sparse {type(value).__name__}: "
                        "call .toarray() first")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(f"{label} must be {shape} without gaps, got a masked array: fill it first")
    try:
        raw = np.asarray(value)
        if raw.dtype.kind == "O" and hasattr(value, "dtypes") and hasattr(value, "to_numpy"):
            raw = _frame(value, raw)
    except ValueError:
        raise ValueError(f"{label} must be {shape}, got rows of different lengths") from None
    return raw


def floats(label: str, value: object, shape: str, dims: int | tuple[int, ...]) -> np.ndarray:
    """As `array`, be it finite or not, and itself where it is such an array already.

    For numbers on their way, which pass here once for each row of a run: a copy would be felt.
    """
    wanted = (dims,) if isinstance(dims, int) else dims
    if (type(value) is np.ndarray and value.dtype == np.float64 and value.flags.carray
            and value.ndim in wanted):
        return np.asarray(value)
    return array(label, value, shape, dims=dims, empty=True, finite=False)


def shape(label: str, value: object) -> tuple[int, ...]:
    """A tuple of whole numbers >= 1."""
    if not isinstance(value, (tuple, list)) or not value:
        raise TypeError(f"{label} must be a tuple of whole numbers >= 1, got {short(value)}")
    return tuple(whole(label, n, least=1) for n in value)


def fields(owner: str, value: object, *, texts: tuple[str, ...] = (), flags: tuple[str, ...] = (),
           calls: tuple[str, ...] = (), reals: tuple[str, ...] = ()) -> None:
    """Raise TypeError unless these fields are strings; bools; None or callable; None or numbers."""
    for names, wanted, fits in ((texts, "a string", lambda x: isinstance(x, str)),
                                (flags, "True or False", _is_flag),
                                (calls, "callable or None", lambda x: x is None or callable(x)),
                                (reals, "a number or None", lambda x: x is None or _is_number(x))):
        for name_ in names:
            if not fits(getattr(value, name_)):
                raise TypeError(f"{name_} of a {owner} must be {wanted}, got "
                                f"{short(getattr(value, name_))}")


def _is_number(x: object) -> bool:
    try:
        return isinstance(x, numbers.Real) and not _is_flag(x) and not np.isnan(float(x))
    except OverflowError:                                 # 10**400 is a number, and no float
        return False


def _frame(value: Any, raw: np.ndarray) -> np.ndarray:
    """The numbers of a DataFrame or Series whose columns are numeric, its raw objects else.

    pandas makes objects of nullable columns, and of bools beside floats, though all are numbers.
    """
    kinds = [getattr(t, "kind", "O") for t in (value.dtypes if value.ndim == 2 else [value.dtype])]
    return (np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan))
            if set(kinds) <= set("buif") else raw)


def positive_definite(label: str, value: object) -> np.ndarray:
    """A symmetric positive definite (d, d) matrix; a vector is its diagonal."""
    D = array(label, value, "a (d,) diagonal or a (d, d) matrix", dims=(1, 2))
    if D.ndim == 1:
        if not (D > 0).all():
            raise ValueError(f"{label} must be positive definite, got {D.min():.3g} on its "
                             "diagonal")
        fits(label, D.shape, D.size, D.size)
        return np.diag(D)
    if D.shape[0] != D.shape[1]:
        raise ValueError(f"{label} must be square, got shape {D.shape}")
    if not np.allclose(D, D.T, rtol=SYMMETRIC, atol=1e-2 * SYMMETRIC * float(np.abs(D).max())):
        raise ValueError(f"{label} must be symmetric, got a difference of "
                         f"{np.abs(D - D.T).max():.3g} to its transpose")
    D = np.ascontiguousarray((D + D.T) / 2)
    # an eigenvalue at rounding level has a sign by chance: it would not be positive elsewhere
    smallest = float(np.linalg.eigvalsh(D)[0])
    if not smallest > D.shape[0] * np.finfo(float).eps * float(np.abs(D).max()):
        raise ValueError(f"{label} must be positive definite, got smallest eigenvalue "
                         f"{smallest:.3g}")
    return D


def labels(label: str, value: object, length: int | None = None, *, where: str = "",
           signs: bool | None = None, known: np.ndarray | None = None,
           order: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) as the numbers that all past this door works with, and what they were called.

    Labels are numbers, bools or strings. Two values, sorted, become −1 and +1; one alone must be −1
    or +1, and stays; three or more, sorted, become the classes 0 … K−1 (fractions that differ in
    most samples are refused). Categories of pandas are sorted in their own order.

    Parameters
    ----------
    where : str
        Of what the rule is asked, for messages: " for the logistic loss".
    signs : bool, optional
        True: no more than two values will do; False: two are the classes 0 and 1
        (`losses.cross_entropy`).
    known : (2,) or (K,) array, optional
        What the labels of other data were called, in order: these must be among them.
    order : array, optional
        In which labels are sorted, where they are no longer categories.

    Returns
    -------
    y : (N,) float64
    classes : (2,) or (K,) array
        The labels as they were given, sorted: −1 and +1, or 0 … K−1.
    """
    raw = named_values(label, value, length)
    order = own.order(value) if order is None else order
    classes = _classes(raw, where, signs, order) if known is None else known
    # (numpy would compare "1" and 1 as texts, and call them equal)
    if (raw.dtype.kind == "U") != (classes.dtype.kind == "U") or not np.isin(raw, classes).all():
        raise ValueError(f"labels must be among {_listed(classes)}, which the model was made for, "
                         f"got {_listed(raw)}")
    rank = np.argsort(classes)
    index = rank[np.searchsorted(classes, raw, sorter=rank)].astype(float)
    return (2.0 * index - 1.0 if classes.size == 2 and signs is not False else index), classes


def _classes(raw: np.ndarray, where: str, signs: bool | None,
             order: np.ndarray | None) -> np.ndarray:
    """The distinct values of labels, sorted; ValueError where there are too few or too many."""
    classes = np.unique(raw)
    alone = classes.size == 1 and signs is not False and raw.dtype.kind != "U"
    # one label alone does not say which of two it is, but for the two that we work with
    if alone and abs(float(raw[0])) == 1:
        return np.array([-1.0, 1.0])
    several = classes.size > 2
    # a measurement that was taken for labels would be a class for each value
    if (not signs and raw.dtype.kind == "f" and classes.size > max(MANY, raw.size // 2)
        and (classes != np.floor(classes)).any()):
        raise ValueError(f"labels must be few values, whole numbers or strings{where}, got "
                         f"{classes.size} different numbers of {raw.size}")
    if classes.size >= 2 and not (signs and several):
        return classes if order is None else order[np.isin(order, classes)]
    wanted = ("have two values or more" if signs is False else "have two values"
              if several else "be −1 or +1 where they are all the same")
    raise ValueError(f"labels must {wanted}{where}, got {_listed(raw)}")


def named_values(label: str, value: object, length: int | None = None) -> np.ndarray:
    """An array-like (N,) of numbers, bools or strings, as it is.

    Not as floats: integers may be beyond what float64 tells apart, and be two labels.
    """
    raw = _plain(value)
    if raw.dtype.kind not in "buiU":
        raw = array(label, value, "an (N,) array of labels", dims=1)
    if raw.ndim != 1 or not raw.size:
        raise ValueError(f"{label} must be an (N,) array and not empty, got shape {raw.shape}")
    if length is not None and raw.size != length:
        raise ValueError(f"{label} must have one entry for each row of X, got {raw.size} entries "
                         f"for {length} rows")
    return raw


def _plain(value: object) -> np.ndarray:
    """What numpy makes of labels, texts as texts; an empty array of floats where it cannot."""
    raw = np.empty(0)
    if not isinstance(value, np.ma.MaskedArray):
        # rows of different lengths, which `array` will name
        with suppress(ValueError):
            raw = np.asarray(value)
    # a column of a DataFrame holds its texts as objects
    if raw.dtype.kind == "O" and raw.size and all(isinstance(v, str) for v in raw.flat):
        raw = raw.astype(str)
    return raw


def mapping(classes: np.ndarray | None) -> list[str]:
    """What labels were called, as a line of a report: none where they were −1 and +1 already."""
    if classes is None or (classes.dtype.kind in "iuf" and classes.tolist() == [-1, 1]):
        return []
    names = [_named(v) for v in classes[:8].tolist()]
    if classes.size == 2:
        return [f"labels: +1 is {names[1]}, −1 is {names[0]}"]
    return [f"labels: classes 0 … {classes.size - 1} are {', '.join(names)}"
            + (", …" if classes.size > 8 else "")]


def _named(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else short(value)


def _listed(y: np.ndarray) -> str:
    values = np.unique(y)
    return "{" + ", ".join(map(_named, values[:4].tolist())) + (", …}" if values.size > 4 else "}")


def weights(label: str, value: object, length: int) -> np.ndarray:
    """Weights (N,) of samples, finite and >= 0, not all of them 0."""
    wanted = "an (N,) array of numbers >= 0"
    c = array(label, value, wanted, dims=1)
    if c.size != length:
        raise ValueError(f"{label} must have one entry for each row of X, got {c.size} entries for "
                         f"{length} rows")
    if (c < 0).any():
        raise ValueError(f"{label} must be >= 0, got {c.min():g} at index {int(c.argmin())}")
    if not c.any():
        raise ValueError(f"{label} must have an entry > 0, got zeros alone")
    return c


def equations(label: str, value: object) -> tuple[np.ndarray, np.ndarray]:
    """A pair (G (k, d), h (k,)), the equations Gw = h."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{label} must be a pair (G, h), got {short(value)}")
    G = array(label, value[0], "a pair (G, h) with G a (k, d)", dims=2)
    return G, array(label, value[1], "a pair (G, h) with h a (k,)", dims=1, length=G.shape[0])


def point(label: str, value: object, size: int, shape: tuple[int, ...]) -> np.ndarray:
    """A vector of the given size, flat; a matrix of exactly the given shape is taken too."""
    matrix = len(shape) > 1
    x = array(label, value, f"a ({size},) array" + (f" or {shape}" if matrix else ""), dims=(1, 2))
    # (another shape of as many entries would be a transpose, or of something else)
    if x.shape not in ((size,), shape):
        wanted = f"{size} entries" + (f" or shape {shape}" if matrix else "")
        raise ValueError(f"{label} must have {wanted}, got shape {x.shape}")
    return x.ravel()


def filename(label: str, value: object) -> str:
    """A path as text."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        raise TypeError(f"{label} must be a path, got {short(value)}")
    text = str(os.fspath(value))
    try:
        named = b"\0" not in os.fsencode(text) and os.path.basename(text) != ""
    except UnicodeEncodeError:                            # half of a surrogate pair
        named = False
    if not named:
        raise ValueError(f"{label} must name a file, got {text!r}")
    return text


def path(label: str, value: object) -> str:
    """A path as text, to a file in a folder that exists."""
    text = filename(label, value)
    if not os.path.isdir(os.path.dirname(os.path.abspath(text))):
        raise ValueError(f"{label} must lie in a folder that exists, got {text!r}")
    if os.path.isdir(text):
        raise ValueError(f"{label} must name a file, got the folder {text!r}")
    return text


def choice(label: str, value: object) -> bool | None:
    """Return the value if it is True, False or None."""
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{label} must be True, False or None, got {short(value)}")
    return value


def flag(label: str, value: object) -> bool:
    """Return the value if it is True or False."""
    if not _is_flag(value):
        raise TypeError(f"{label} must be True or False, got {short(value)}")
    return bool(value)


def name(label: str, value: object, known: Mapping[str, Any] | Iterable[str]) -> str:
    """One of the known names; the message lists them, the nearest first."""
    names = list(known)
    if not isinstance(value, str):
        raise TypeError(f"{label} must be one of {', '.join(names)}, got {short(value)}")
    if value not in names:
        raise ValueError(f"{label} must be one of {', '.join(names)}, got {value!r}"
                         f"{nearest(value, names)}")
    return value


def one_of(label: str, value: object, module: ModuleType, kind: type[T]) -> T:
    """A piece of a module's kind, or the name of a ready-made one."""
    if isinstance(value, str):
        known: dict[str, T] = named(module, kind)
        if value not in known:
            raise ValueError(f"{label} must be one of {', '.join(known)}, got {short(value)}"
                             f"{meant(value, module, known)}")
        return known[value]
    if not isinstance(value, kind):
        raise TypeError(f"{label} must be one of fb.{module.__name__.rpartition('.')[2]} or its "
                        f"name, got {short(value)}")
    return value


def steps(label: str, value: object, *, above: float | None = None,
          least: float | None = None) -> np.ndarray:
    """A number or a vector of them, one value an update, as a (K,) array; each within its bound."""
    if isinstance(value, (bool, np.bool_, numbers.Real)):
        return np.array([number(label, value, above=above, least=least)])
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"{label} must be a number or a (K,) array of numbers, got {short(value)}")
    # one True among numbers is lost in the array that numpy makes of them, so look before
    flags = value.dtype.kind == "b" if isinstance(value, np.ndarray) else any(
        map(_is_flag, np.array(value, dtype=object).ravel()))
    if flags:
        raise TypeError(f"{label} must be a number or a (K,) array of numbers, got bools")
    out = np.atleast_1d(array(label, value, "a number or a (K,) array", dims=(0, 1)))
    for sign, bound in ((">", above), (">=", least)):
        if bound is not None and (bad := out <= bound if sign == ">" else out < bound).any():
            i = int(np.argmax(bad))
            raise ValueError(f"{label} must be {sign} {bound} in every entry, got {out[i]:g} at "
                             f"index {i}")
    return out
