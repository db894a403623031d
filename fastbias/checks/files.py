"""Files: written whole or not at all, with a digest of their bytes; read without belief in anything
that they say.

The last 64 bytes of an NPZ file of ours (the comment of the ZIP container that it is) are a BLAKE2b
digest of everything before them, so one flipped bit or one missing byte is noticed. A file is
written under a name beside its place that nobody else has, flushed to the disk, and moved there in
one step; a link stays, and what it names is brought up to date.

A file from anywhere may claim what it likes. What its ZIP container and its NPY headers say is
compared with the bytes that are there before memory is taken, and whatever the libraries below
raise becomes one ValueError.
"""
from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import secrets
import stat
import warnings
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

import numpy as np

from fastbias import checks

Source = str | os.PathLike[str] | io.BytesIO

__all__ = ["expect", "read", "read_array", "seal", "untrusted", "write"]

BLOCK = 1 << 20       # bytes read or digested at once: a file may be larger than memory
DIGEST = 64           # bytes
END = 22              # bytes of the record that ends a ZIP container without a comment
# bytes that one deflated byte can stand for: a match of 258 costs two bits or more
DENSEST = 1032
FLAGS = (os.O_WRONLY | os.O_CREAT | os.O_EXCL
         | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")))
UNABLE = {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP,
          errno.EMLINK, errno.EXDEV, errno.EBADF, errno.ENOTTY}
"""What a file system says that cannot link, or flush a folder; a full disk says something else."""


def write(path: str, body: bytes, keep: bool = False) -> None:
    """Put bytes at a path, all or none; with ``keep`` what stood there becomes PATH.previous.

    Raises OSError where that cannot be done; what stood there then stands there still, and nothing
    is left beside it. At no moment is there no file at the path.
    """
    path = os.path.realpath(path)
    if os.path.islink(path):                              # a ring of links
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = 0
    # a device or pipe, which nothing may take the place of
    if mode and not stat.S_ISREG(mode):
        with open(path, "wb") as file:
            file.write(body)
        return
    with _beside(path) as new:
        _put(new, [body], mode)
        if keep and mode:
            _keep(path)
        os.replace(new, path)
    # the bytes are on the disk by now, but the name need not be: a power cut could take it back
    _flush(os.path.dirname(path))


@contextmanager
def _beside(path: str) -> Iterator[str]:
    """A name beside a path that nobody else has; its file is gone at the end, whatever happens."""
    name = os.path.join(os.path.dirname(path), f".fastbias-{secrets.token_hex(16)}")
    try:
        yield name
    finally:
        with suppress(FileNotFoundError):                 # it was moved to its place
            os.unlink(name)


def _put(path: str, blocks: Iterable[bytes], mode: int) -> None:
    """Write a file that must be new, and wait until it is on the disk.

    ``mode`` is that of the file that it follows, 0 where there is none.
    """
    file = os.open(path, FLAGS, 0o666)
    try:
        if mode and hasattr(os, "fchmod"):
            with suppress(OSError):                       # a file system without
                os.fchmod(file, stat.S_IMODE(mode))
        for block in blocks:
            left = memoryview(block)                      # (a write may take less than all)
            while left:
                left = left[os.write(file, left):]
        os.fsync(file)
    finally:
        os.close(file)


def _keep(path: str) -> None:
    """Let PATH.previous be what stands at the path, which is not missing for a moment."""
    with _beside(path) as old:
        try:
            os.link(path, old)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in UNABLE:
                raise
            # no hard links here (FAT, some networks): then a copy
            with open(path, "rb") as file:
                _put(old, iter(lambda: file.read(BLOCK), b""), os.fstat(file.fileno()).st_mode)
        try:
            os.replace(old, path + ".previous")
        except OSError as error:
            # then there is no such name, and none is kept
            if error.errno != errno.ENAMETOOLONG:
                raise


def _flush(folder: str) -> None:
    """Wait until the names in a folder are on the disk, where the file system can."""
    try:
        file = os.open(folder, os.O_RDONLY)
    except PermissionError:                               # it may be written to, and not read
        return
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
    finally:
        os.close(file)


def seal(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as the bytes of an NPZ file, with their digest at the end."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    buffer.seek(-2, os.SEEK_END)
    buffer.write(DIGEST.to_bytes(2, "little"))            # the comment's length, then the comment
    buffer.write(hashlib.blake2b(buffer.getbuffer(), digest_size=DIGEST // 2).hexdigest().encode())
    return buffer.getvalue()


def _sealed(file: IO[bytes], size: int) -> bool | None:
    """Whether the digest fits; None where there is none."""
    if size >= END:
        file.seek(size - END)
        end = file.read(END)
        if end[:4] == b"PK\5\6" and end[-2:] == b"\0\0":  # (never part of a digest)
            return None
    if size < DIGEST + END:
        return False
    file.seek(0)
    digest, left = hashlib.blake2b(digest_size=DIGEST // 2), size - DIGEST
    while left > 0 and (block := file.read(min(left, BLOCK))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest().encode() == file.read(DIGEST)


@contextmanager
def untrusted(sentence: str) -> Iterator[None]:
    """What is raised while something untrusted is looked at becomes a ValueError "<sentence>: why".

    No warning leaks. A disk that fails stays an OSError.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except MemoryError:
        raise ValueError(f"{sentence}: it does not fit into memory") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"{sentence}: {why}") from None


@contextmanager
def _opened(label: str, source: Source, what: str) -> Iterator[tuple[IO[bytes], int]]:
    """A file to read from, and its size; what is not as it should be becomes a ValueError."""
    if isinstance(source, io.BytesIO):
        with untrusted(f"{label} must be {what}, got bytes"):
            yield source, len(source.getbuffer())
        return
    path = checks.filename(label, source)
    sentence = f"{label} must be {what}, got {path!r}"
    mode = os.stat(path).st_mode
    # a pipe would be waited for (a folder says so itself)
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError(f"{sentence}: it is no regular file")
    with open(path, "rb") as file, untrusted(sentence):
        yield file, os.fstat(file.fileno()).st_size


def read(source: Source, what: str, wanted: Collection[str] | None = None,
         sealed: bool | None = None) -> dict[str, np.ndarray]:
    """The arrays of an NPZ file by name.

    Parameters
    ----------
    source : path, or its bytes as an io.BytesIO
    what : str
        What it must be, as its error says it: "path must be <what>, got ...".
    wanted : collection of str, optional
        Names, where not all are; each must be there.
    sealed : bool, optional
        True: it must have a digest that fits; False: it may have none, but if one, then that; None:
        nobody looks.

    Raises
    ------
    ValueError
        One sentence, where it is none, or holds anything but arrays of numbers and texts in native,
        plain form.
    OSError
        Where the disk fails.
    """
    with _opened("path", source, what) as (file, size):
        if sealed is not None:
            fits = _sealed(file, size)
            if fits is False or (fits is None and sealed):
                raise ValueError("its digest does not fit its bytes")
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, wanted, size)
            return {name: _member(archive, info) for name, info in members.items()}


def _members(archive: zipfile.ZipFile, wanted: Collection[str] | None,
             size: int) -> dict[str, zipfile.ZipInfo]:
    """The wanted members of a container by name, whose claims can be true in a file of this size.

    A few hundred bytes can claim terabytes: claims are compared with the bytes that are there.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in found:                                 # readers differ in which one they take
            raise ValueError(f"it holds {checks.short(name)} twice")
        found[name] = info
    for name in wanted or ():
        if name not in found:
            there = ", ".join(x if x.isprintable() else repr(x) for x in found) or "none"
            raise ValueError(f"it must hold an array named {name!r}, got {there}")
    chosen = {name: info for name, info in found.items() if wanted is None or name in wanted}
    for name, info in chosen.items():
        _credible(checks.short(name), info)
    if sum(info.compress_size for info in chosen.values()) > size:
        raise ValueError(f"its members claim more bytes than the {size} it has")
    if sum(info.file_size for info in chosen.values()) > checks.MEMORY:
        raise ValueError("its arrays do not fit into memory")
    return chosen


def _credible(name: str, info: zipfile.ZipInfo) -> None:
    """Raise ValueError unless a member can be read, and be as long as it claims."""
    if info.flag_bits & 0x41:
        raise ValueError(f"{name} in it is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} in it is compressed by method {info.compress_type}, which is not "
                         "known")
    most = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else DENSEST)
    if info.file_size > most:
        raise ValueError(f"{name} in it claims {info.file_size} bytes, and cannot have more than "
                         f"{most}")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    try:
        with archive.open(info) as stream:
            return _array(stream, info.file_size)
    except OSError:                                       # the disk's, not the file's
        raise
    except Exception as error:                            # zlib, NumPy's parser: anything
        raise ValueError(f"{checks.short(info.filename)} in it cannot be read, "
                         f"{str(error) or type(error).__name__}") from error


def read_array(label: str, source: Source, what: str) -> np.ndarray:
    """The array of an NPY file, likewise; ``label`` is how an error calls the path."""
    with _opened(label, source, what) as (file, size):
        return _array(file, size)


def _array(stream: IO[bytes], size: int) -> np.ndarray:
    """The array of an NPY stream of a length: C-contiguous, in native byte order."""
    shape, by_columns, dtype = _header(stream)
    if dtype.kind not in "buifSU" or dtype.itemsize == 0:
        raise ValueError(f"dtype {checks.short(dtype)} is neither of real numbers nor of texts")
    if any(n < 0 for n in shape):
        raise ValueError(f"shape {checks.short(shape)} has a negative number")
    # Python's integers: what NumPy multiplies may wrap
    total, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if total != there:
        raise ValueError(f"shape {checks.short(shape)} of dtype {dtype} claims {total} bytes, and "
                         f"{there} are there")
    raw = np.empty(total, np.uint8)
    at, view = 0, raw.data
    while at < total:
        got = stream.readinto(view[at:at + BLOCK])  # type: ignore[attr-defined]
        if not got:
            raise ValueError(f"it ends after {at} of {total} bytes")
        at += got
    flat = raw.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    # (NumPy would make a text of it, that fails when it is printed)
    if dtype.kind == "U" and flat.view(np.uint32).max(initial=0) > 0x10FFFF:
        raise ValueError("its texts hold what is no character")
    return np.asarray(flat.reshape(shape, order="F" if by_columns else "C"), order="C")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """The shape, whether it is by columns, and the dtype of an NPY stream."""
    known = {(1, 0): np.lib.format.read_array_header_1_0,
             (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in known:
        raise ValueError(f"version {version} of the NPY format is not known")
    return known[version](stream)


def expect(arrays: Mapping[str, np.ndarray],
           wanted: Mapping[str, tuple[str, tuple[str | int, ...]]]) -> dict[str, int]:
    """Raise ValueError unless just these arrays are there: name → (dtypes, axes).

    Such as ("f8", ("K", 3)); axes named alike must be alike; returned is how long they are.
    """
    for name in [n for n in (*wanted, *arrays) if (n in wanted) != (n in arrays)]:
        raise ValueError(f"it must hold {'an' if name in wanted else 'no'} array named "
                         f"{checks.short(name)}")
    sizes: dict[str, int] = {}
    for name, (dtypes, axes) in wanted.items():
        dtype, shape = arrays[name].dtype, arrays[name].shape
        # texts are of any length; numbers came in native order, whose mark is left out
        if not {dtype.kind, dtype.str[1:]} & set(dtypes.split()):
            raise ValueError(f"{name} must be of dtype {' or '.join(dtypes.split())}, got {dtype}")
        # an axis that no array before had is as long as it is here
        told = tuple(sizes.get(axis, axis) if isinstance(axis, str) else axis for axis in axes)
        if not _like(shape, told):
            raise ValueError(f"{name} must have shape ({', '.join(map(str, told))}), got {shape}")
        sizes |= _named(axes, shape)
    return sizes


def _named(axes: tuple[str | int, ...], shape: tuple[int, ...]) -> dict[str, int]:
    """How long the axes with a name are."""
    return {axis: n for axis, n in zip(axes, shape, strict=True) if isinstance(axis, str)}


def _like(shape: tuple[int, ...], told: tuple[str | int, ...]) -> bool:
    """Whether a shape has as many axes as told, and as long ones where a number is told."""
    return len(shape) == len(told) and all(
        isinstance(b, str) or a == b for a, b in zip(shape, told, strict=True))
