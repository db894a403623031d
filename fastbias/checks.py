"""Input, checked and converted once: each failure is one sentence naming the argument, what it must be, what it was.

Everything past these functions is a finite, C-contiguous float64 array, a float, or an int.
"""
from __future__ import annotations

import difflib
import numbers
import os
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["array", "choice", "classes", "equations", "fields", "floats", "generator", "name", "named", "number", "one_of",
           "path", "point", "positive_definite", "shape", "short", "signs", "steps", "whole"]


def short(value: object) -> str:
    """The value as an error message shows it: its repr, cut."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def number(label: str, value: object, *, above: float | None = None, least: float | None = None,
           most: float | None = None) -> float:
    """A finite real number within bounds, as a float; bools, strings and NaN are refused."""
    bounds = [f"> {above:g}" if above is not None else "", f">= {least:g}" if least is not None else "",
              f"<= {most:g}" if most is not None else ""]
    wanted = " ".join(["a finite number", " and ".join(b for b in bounds if b)]).strip()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{label} must be {wanted}, got {short(value)}")
    x = _float(label, value)
    if (not np.isfinite(x) or (above is not None and not x > above) or (least is not None and x < least)
            or (most is not None and x > most)):
        raise ValueError(f"{label} must be {wanted}, got {x:g}")
    return x


def _float(label: str, value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{label} must fit into float64, got {short(value)}") from None


def whole(label: str, value: object, *, least: int = 0, most: int | None = None) -> int:
    """A whole number ≥ least, ≤ most and < 2^62, as an int; 1e6 is one, 1.5 and True are not."""
    if type(value) is int and least <= value < 1 << 62 and (most is None or value <= most):
        return value                                      # as good as always, and quick
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{label} must be a whole number >= {least}, got {short(value)}")
    x = _float(label, value)
    if x >= 2.0 ** 62:
        raise ValueError(f"{label} must be under 2^62, got {x:g}")
    if not np.isfinite(x) or x != np.floor(x) or x < least:
        raise ValueError(f"{label} must be a whole number >= {least}, got {short(value)}")
    if most is not None and x > most:
        raise ValueError(f"{label} must be a whole number >= {least} and <= {most}, got {short(value)}")
    return int(value) if isinstance(value, numbers.Integral) else int(x)


def generator(label: str, value: Any) -> np.random.Generator:
    """A numpy Generator of a seed, a Generator (itself), or (None) the system."""
    try:
        if isinstance(value, (bool, list, tuple)):
            raise TypeError
        return np.random.default_rng(value)
    except (TypeError, ValueError):
        raise TypeError(f"{label} must be None, a whole number >= 0 or a numpy Generator, got {short(value)}") from None


def array(label: str, value: object, shape: str, *, dims: int | tuple[int, ...], length: int | None = None,
          empty: bool = False, finite: bool = True) -> np.ndarray:
    """A finite float64 C-contiguous copy of an array-like; ``shape`` is how the message names the right shape."""
    if hasattr(value, "tocsr") or type(value).__module__.startswith(("scipy.sparse", "sparse")):
        raise TypeError(f"{label} must be {shape} and dense, got a sparse {type(value).__name__}: call .toarray() first")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(f"{label} must be {shape} without gaps, got a masked array: fill it first")
    try:
        raw = np.asarray(value)
        if raw.dtype.kind == "O" and hasattr(value, "dtypes") and hasattr(value, "to_numpy"):
            raw = _frame(value, raw)
    except ValueError:
        raise ValueError(f"{label} must be {shape}, got rows of different lengths") from None
    if raw.dtype.kind not in "buif":
        raise TypeError(f"{label} must be {shape} of real numbers, got dtype {raw.dtype}")
    wanted = (dims,) if isinstance(dims, int) else dims
    if raw.ndim not in wanted:
        raise ValueError(f"{label} must be {shape}, got shape {raw.shape}")
    if raw.size == 0 and not empty:
        raise ValueError(f"{label} must be {shape} and not empty, got shape {raw.shape}")
    if length is not None and raw.shape[0] != length:
        raise ValueError(f"{label} must be {shape} with length {length}, got length {raw.shape[0]}")
    with np.errstate(all="ignore"):                       # (a long double may be beyond float64)
        out = np.array(raw, dtype=np.float64, order="C")
    if finite and not np.isfinite(out).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(out))[0])
        raise ValueError(f"{label} must be finite, got {out[bad]}"
                         + (f" at index {bad if len(bad) > 1 else bad[0]}" if bad else ""))
    return out


def floats(label: str, value: Any, shape: str, dims: int | tuple[int, ...]) -> np.ndarray:
    """The same, be it finite or not, and itself where it is such an array already: for numbers on their way."""
    plain = type(value) is np.ndarray and value.dtype == np.float64 and value.flags.carray
    if plain and (value.ndim == dims if isinstance(dims, int) else value.ndim in dims):
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
                                (flags, "True or False", lambda x: isinstance(x, (bool, np.bool_))),
                                (calls, "callable or None", lambda x: x is None or callable(x)),
                                (reals, "a number or None", lambda x: x is None or _is_number(x))):
        for name_ in names:
            if not fits(getattr(value, name_)):
                raise TypeError(f"{name_} of a {owner} must be {wanted}, got {short(getattr(value, name_))}")


def _is_number(x: object) -> bool:
    try:
        return isinstance(x, numbers.Real) and not isinstance(x, (bool, np.bool_)) and not np.isnan(float(x))
    except OverflowError:
        return False


def _frame(value: Any, raw: np.ndarray) -> np.ndarray:
    """The numbers of a DataFrame or Series with nullable or mixed numeric columns; its raw objects where it has others."""
    kinds = [getattr(t, "kind", "O") for t in (value.dtypes if value.ndim == 2 else [value.dtype])]
    return np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan)) if set(kinds) <= set("buif") else raw


def positive_definite(label: str, value: object) -> np.ndarray:
    """A symmetric positive definite (d, d) matrix; a vector is its diagonal."""
    D = array(label, value, "a (d,) diagonal or a (d, d) matrix", dims=(1, 2))
    if D.ndim == 1:
        if not (D > 0).all():
            raise ValueError(f"{label} must be positive definite, got {D.min():.3g} on its diagonal")
        return np.diag(D)
    if D.shape[0] != D.shape[1]:
        raise ValueError(f"{label} must be square, got shape {D.shape}")
    if not np.allclose(D, D.T, rtol=1e-12, atol=1e-14 * float(np.abs(D).max())):
        raise ValueError(f"{label} must be symmetric, got a difference of {np.abs(D - D.T).max():.3g} to its transpose")
    D = np.ascontiguousarray((D + D.T) / 2)
    smallest = float(np.linalg.eigvalsh(D)[0])
    if not smallest > D.shape[0] * np.finfo(float).eps * float(np.abs(D).max()):
        raise ValueError(f"{label} must be positive definite, got smallest eigenvalue {smallest:.3g}")
    return D


def signs(y: np.ndarray, where: str = "") -> None:
    """Raise ValueError unless every label is −1 or +1."""
    if not (np.abs(y) == 1).all():
        raise ValueError(f"labels must be −1 or +1{where}, got {_listed(y)}")


def classes(y: np.ndarray, where: str = "", least: int = 0) -> int:
    """The number K ≥ 2 of classes of the labels 0 … K−1; ValueError for others. With ``least``, how many at least."""
    if (y != np.round(y)).any() or (y < 0).any() or ((not y.any() or y.all()) and least < 2):
        raise ValueError(f"labels must be 0, 1, ..., K-1, 0 and another among them{where}, got {_listed(y)}")
    return max(int(y.max()) + 1, least)


def _listed(y: np.ndarray) -> str:
    values = np.unique(y)
    return "{" + ", ".join(f"{v:g}" for v in values[:4]) + (", …}" if values.size > 4 else "}")


def equations(label: str, value: Any) -> tuple[np.ndarray, np.ndarray]:
    """A pair (G (k, d), h (k,)), the equations Gw = h."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{label} must be a pair (G, h), got {short(value)}")
    G = array(label, value[0], "a pair (G, h) with G a (k, d)", dims=2)
    return G, array(label, value[1], "a pair (G, h) with h a (k,)", dims=1, length=G.shape[0])


def point(label: str, value: Any, size: int, shape: tuple[int, ...]) -> np.ndarray:
    """A vector of the given size, flat; a matrix of exactly the given shape is taken too."""
    x = array(label, value, f"a ({size},) array" + (f" or {shape}" if len(shape) > 1 else ""), dims=(1, 2))
    if x.shape not in ((size,), shape):
        raise ValueError(f"{label} must have {size} entries" + (f" or shape {shape}" if len(shape) > 1 else "")
                         + f", got shape {x.shape}")
    return x.ravel()


def path(label: str, value: Any) -> str:
    """A path as text, to a file in a folder that exists."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{label} must be a path, got {short(value)}")
    text = str(os.fspath(value))
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


def name(label: str, value: object, known: Mapping[str, Any] | Iterable[str]) -> str:
    """One of the known names; the message lists them, the nearest first."""
    names = list(known)
    if not isinstance(value, str):
        raise TypeError(f"{label} must be one of {', '.join(names)}, got {short(value)}")
    if value not in names:
        near = difflib.get_close_matches(value, names, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"{label} must be one of {', '.join(names)}, got {value!r}{hint}")
    return value


def named(module: ModuleType, kind: type) -> dict[str, Any]:
    """The ready-made pieces of a module that need no parameters, by name."""
    ready = [x for x in vars(module).values() if isinstance(x, kind)]
    return {x.name: x for x in sorted(ready, key=lambda x: str(x.name))}  # type: ignore[attr-defined]


def one_of(label: str, value: Any, module: ModuleType, kind: type) -> Any:
    """A piece of a module's kind, or the name of a ready-made one."""
    if isinstance(value, str):
        known = named(module, kind)
        return known[name(label, value, known)]
    if not isinstance(value, kind):
        raise TypeError(f"{label} must be one of fb.{module.__name__.rpartition('.')[2]} or its name, got {short(value)}")
    return value


def steps(label: str, value: object, *, above: float | None = None, least: float | None = None) -> np.ndarray:
    """A number or a vector of them, one value an update, as a (K,) array; each within its bound."""
    if isinstance(value, (bool, np.bool_, numbers.Real)):
        return np.array([number(label, value, above=above, least=least)])
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"{label} must be a number or a (K,) array of numbers, got {short(value)}")
    bools = value.dtype.kind == "b" if isinstance(value, np.ndarray) else any(
        isinstance(x, (bool, np.bool_)) for x in np.array(value, dtype=object).ravel())
    if bools:
        raise TypeError(f"{label} must be a number or a (K,) array of numbers, got bools")
    out = np.atleast_1d(array(label, value, "a number or a (K,) array", dims=(0, 1)))
    for bound, bad in ((f"> {above}", out <= above if above is not None else False),
                       (f">= {least}", out < least if least is not None else False)):
        if np.any(bad):
            i = int(np.argmax(bad))
            raise ValueError(f"{label} must be {bound} in every entry, got {out[i]:g} at index {i}")
    return out
