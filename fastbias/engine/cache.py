"""The disk cache of compiled functions: when an entry is good, and what happens where none can be
kept.

Numba's own cache looks at the file of a function alone, so a helper edited in another file leaves
the old answer behind. Here an entry is good only while all sources of the package, the function's
own file, and what it takes from other files (a user's own helpers, numbers, arrays) are what they
were when it was compiled. The rest is Numba's: where files are kept (``NUMBA_CACHE_DIR``, beside
the source, the user's cache folder, IPython's), and what tells one machine, signature and closure
from another.
"""
from __future__ import annotations

import inspect
import os
import pickle
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from pickle import PickleError
from types import CodeType, FunctionType, ModuleType
from typing import Any
from uuid import uuid4

import numba
import numpy as np
from numba.core.caching import FunctionCache, NullCache
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

__all__ = ["made_of", "of"]

# (no warning: there is nothing to mend)
COMPILING = "fastbias: compiling, once, ~15 s"
SEAL = 32              # bytes of the digest that a file begins with


def _sources(folder: Traversable, name: str, digest: Any) -> None:
    """Digest the name, size and content of every .py file in a folder, in order of their names."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".py") and entry.is_file():
            text = entry.read_bytes()
            digest.update(f"{name}/{entry.name} {len(text)} ".encode() + text)
        elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
            _sources(entry, f"{name}/{entry.name}", digest)


_digest = blake2b(digest_size=SEAL)
_sources(files(__package__.partition(".")[0]), "", _digest)
PACKAGE = _digest.hexdigest()
"""What the package's sources were when this process imported them; later edits are the next
process's.
"""


OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep
LIBRARIES = (*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), OURS)


@cache
def _read(path: str, _changed: int, _size: int) -> str:
    with open(path, "rb") as file:
        return blake2b(file.read(), digest_size=SEAL).hexdigest()


def _source(function: Callable[..., Any]) -> str:
    """Digest of the file that a function is in, as it is now; empty where there is none (a prompt,
    a notebook).
    """
    path = function.__code__.co_filename
    try:
        found = os.stat(path)
        return _read(path, found.st_mtime_ns, found.st_size)
    except OSError:
        return ""


def made_of(function: Callable[..., Any]) -> str:
    """What a function would be compiled from now, the package apart: its file, and what it takes
    from elsewhere.
    """
    # (what the package's own take is the package's, but for what a closure holds)
    alone = not function.__closure__ and function.__code__.co_filename.startswith(OURS)
    return repr((_source(function), [] if alone else _frozen(function)))


def _frozen(function: Callable[..., Any]) -> list[str]:
    """What is compiled into a function from elsewhere: compiled helpers, numbers and arrays that it
    names, and theirs.
    """
    found, todo, modules = [], [function], []
    for f in todo:
        names, values = _taken(f)
        for value in values:
            helper = _helper(value)
            if helper is not None and helper not in todo:
                todo.append(helper)
                found.append(_source(helper) or _text(helper))
            elif isinstance(value, tuple):
                values.extend(value)
            elif isinstance(value, ModuleType) and (f, value) not in modules:
                modules.append((f, value))
                values.extend(vars(value).get(name) for name in names)
            else:
                found.extend(_constant(value))
    return found


def _taken(function: Callable[..., Any]) -> tuple[list[str], list[Any]]:
    """The names that a function takes from elsewhere, and what stands there and in its closure."""
    names = list(_names(function.__code__))
    around = map(_content, function.__closure__ or ())
    return names, [*(function.__globals__.get(name) for name in names), *around]


def _helper(value: Any) -> Callable[..., Any] | None:
    """The Python function of a compiled helper, or of one that is inlined or overloaded, or makes a
    helper; None for all else.
    """
    if isinstance(value, Dispatcher):
        return value.py_func
    return value if isinstance(value, FunctionType) and not _installed(value) else None


def _constant(value: Any) -> list[str]:
    """What a number, text or array is, in one word; nothing of all else."""
    if isinstance(value, (int, float, complex, str, np.generic)):
        return [repr(value)]
    if isinstance(value, np.ndarray):
        content = blake2b(value.tobytes(), digest_size=SEAL).hexdigest()
        return [f"{value.dtype} {value.shape} {content}"]
    return []


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function takes from elsewhere, those inside it (3.11: comprehensions, too)
    included.
    """
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _installed(function: FunctionType) -> bool:
    """Whether it is a library's, which changes with its version and not under our feet, or the
    package's own.
    """
    return function.__code__.co_filename.startswith(LIBRARIES)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:                                    # nothing yet
        return None


def _text(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)                # of a notebook's cell
    except OSError:
        return str(uuid4())                               # who knows: never the same as another


class _Entries:
    """The entries of one function: a file for each signature, machine and closure, written at one
    stroke.

    A file begins with a digest over Numba's version, the sources and all that follows. So a stale,
    foreign, torn or damaged file is the same as none, and there is no index that two processes
    could leave pointing at each other's code.
    """

    def __init__(self, base: str, stamp: str) -> None:
        self.base, self.stamp = base, stamp.encode()

    def _path(self, key: Any) -> str:
        return f"{self.base}.{blake2b(str(key).encode(), digest_size=8).hexdigest()}.nbc"

    def _seal(self, body: bytes) -> bytes:
        seal = blake2b(self.stamp, digest_size=SEAL)
        seal.update(body)
        return seal.digest()

    def load(self, key: Any) -> Any:
        """What was saved under this key, or None."""
        with open(self._path(key), "rb") as file:
            seal, body = file.read(SEAL), file.read()
        if seal != self._seal(body):
            return None
        kept, data = pickle.loads(body)
        return data if kept == key else None

    def save(self, key: Any, data: Any) -> None:
        """Write one entry under another name and then put it in place, so that nobody reads half of
        it.
        """
        body, path = dumps((key, data)), self._path(key)
        part = f"{path}.{uuid4().hex[:16]}"
        try:
            with open(part, "xb") as file:
                file.write(self._seal(body) + body)
            os.replace(part, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)

    def flush(self) -> None:
        """Forget all entries, as ``dispatcher.recompile()`` asks."""
        folder, name = os.path.split(self.base)
        for entry in os.listdir(folder):
            if entry.startswith(name + "."):
                os.unlink(os.path.join(folder, entry))


class _Cache(FunctionCache):
    """Numba's cache of one function, whose entries are tied to the sources, and which never stops a
    run.
    """

    def __init__(self, function: Callable[..., Any], stamp: str, long: bool) -> None:
        super().__init__(function)
        self._long = long
        self._cache_file = _Entries(os.path.join(self._cache_path, self._impl.filename_base),
                                    repr((stamp, self._impl.locator.get_source_stamp())))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function if it is there and good, else None, whatever is wrong with the
        file.
        """
        with suppress(Exception):
            found = super().load_overload(sig, target_context)
            if found is not None:
                return found
        if self._long:
            _say()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, if it can be kept."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn(f"writing there failed ({error})")
        # a closure over something that no file can hold
        except (PickleError, TypeError, ValueError):
            pass


def of(function: Callable[..., Any], was: str = "", long: bool = False) -> Any:
    """The disk cache of a function; ``was`` is what `made_of` said of it when it was made, if that
    is some time ago. Where it takes ``long`` to compile, that is said on stderr before.

    Where there is no file, or no folder to keep things in, it is one that keeps nothing; the latter
    is said once.
    """
    try:
        stamp = repr((numba.__version__, PACKAGE, was, made_of(function)))
        return _Cache(function, stamp, long)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "cannot cache" not in str(error):
            raise
        if _source(function):
            _warn("neither the folder of the source nor the user's cache folder is")
        return NullCache()


_told = False


def _say() -> None:
    """Say once a process, on stderr where there is one, why the first call takes its time."""
    global _told
    if not _told:
        _told = True
        with suppress(Exception):                         # closed, or somebody's own
            print(COMPILING, file=sys.stderr, flush=True)


_said = False


def _warn(why: str) -> None:
    """Say once a process that nothing is kept."""
    global _said
    if not _said:
        _said = True
        warnings.warn(
            "compiled functions are not kept on disk, so each process compiles them anew: a cache "
            f"folder must be writable, but {why}; set NUMBA_CACHE_DIR to one that is",
            RuntimeWarning, stacklevel=2)
