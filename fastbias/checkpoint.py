"""Checkpoints: all of a plan in one NPZ file without pickle, so that going on is bitwise what one long run would be.

The last 64 bytes of the file (the comment of the ZIP container that an NPZ file is) are a BLAKE2b digest of everything
before them, so one flipped bit or one missing byte is noticed. A file is written beside its place, flushed to the disk
and then moved there in one step; the one that stood there before is kept as PATH.previous.
"""
from __future__ import annotations

import hashlib
import io
import json
import os
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np

from fastbias import checks, losses, methods, models, norms, potentials, steps

__all__ = ["PARTS", "dumps", "loads", "parts", "read", "remade", "write"]

FORMAT = 3
PARTS = ("loss", "method", "model")
SHELVES: dict[str, ModuleType] = {m.__name__.rpartition(".")[2]: m for m in (losses, methods, models, norms, potentials,
                                                                              steps)}


class OwnPieceError(Exception):
    """A piece of the user's own, which a file cannot hold."""


def describe(thing: Any, arrays: list[np.ndarray]) -> Any:
    """What JSON needs to make a piece, number or array again; arrays go into the list. Raises `OwnPieceError`."""
    if thing is None or isinstance(thing, (bool, str)):
        return thing
    if isinstance(thing, Fraction):
        thing = float(thing)
    if isinstance(thing, (int, float, np.integer, np.floating)):
        return {"number": float(thing).hex() if isinstance(thing, (float, np.floating)) else int(thing)}
    for shelf, module in SHELVES.items():
        for name in module.__all__:
            if getattr(module, name) is thing:
                return {"ready": [shelf, name]}
    recipe = getattr(thing, "recipe", None)
    if recipe is not None:
        name, arguments = recipe
        shelf = next(s for s, module in SHELVES.items() if hasattr(module, name) and type(thing).__module__.startswith(
            module.__name__))
        return {"make": [shelf, name, {k: describe(v, arrays) for k, v in arguments.items()}]}
    if isinstance(thing, (list, tuple)) and any(np.ndim(x) for x in thing):
        return {"list": [describe(x, arrays) for x in thing]}
    try:
        arrays.append(checks.array("value", thing, "an array", dims=(0, 1, 2), empty=True))
    except (TypeError, ValueError):
        raise OwnPieceError(repr(thing)) from None
    return {"array": len(arrays) - 1}


def make_again(description: Any, arrays: list[np.ndarray]) -> Any:
    """The thing that `describe` described."""
    if not isinstance(description, dict):
        return description
    (kind, what), = description.items()
    if kind == "number":
        return float.fromhex(what) if isinstance(what, str) else what
    if kind == "array":
        return arrays[what]
    if kind == "list":
        return [make_again(x, arrays) for x in what]
    shelf, name, *arguments = what
    thing = getattr(SHELVES[shelf], checks.name("checkpoint", name, SHELVES[shelf].__all__))
    return thing if kind == "ready" else thing(**{k: make_again(v, arrays) for k, v in arguments[0].items()})


def parts(problem: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What JSON needs to make a problem's loss, method and model again, and the arrays it refers to."""
    about: dict[str, Any] = {}
    arrays: list[np.ndarray] = []
    for part in PARTS:
        thing = getattr(problem, part)
        try:
            about[part] = describe(thing, arrays)
        except OwnPieceError:
            about[part] = {"own": repr(thing)}
    return about, {f"array{i}": a for i, a in enumerate(arrays)}


def remade(kept: dict[str, np.ndarray], about: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Loss, method and model: those given, and those that `parts` described; TypeError where one is missing."""
    arrays = [kept[f"array{i}"] for i in range(sum(name.startswith("array") for name in kept))]
    made = {}
    for part in PARTS:
        made[part] = given.get(part)
        if made[part] is None:
            if isinstance(about[part], dict) and "own" in about[part]:
                raise TypeError(f"{part} must be given again, the checkpoint was made with one of the user's own: "
                                f"{about[part]['own']}")
            made[part] = make_again(about[part], arrays)
    return made


def dumps(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> bytes:
    """Arrays and a JSON record as the bytes of an NPZ file."""
    buffer = io.BytesIO()
    np.savez(buffer, about=np.frombuffer(json.dumps({"format": FORMAT} | about).encode(), np.uint8),
             **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def loads(raw: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `dumps` was given; ValueError where it was of another format."""
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(arrays.pop("about").tobytes())
    if about["format"] != FORMAT:
        raise ValueError(f"path must be a checkpoint of format {FORMAT}, got format {about['format']}")
    return arrays, about


def write(path: str | os.PathLike[str], arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write arrays and a JSON record; the file is at its place whole or not at all, the one before it is kept."""
    path = os.fspath(path)
    body = dumps(arrays, about)[:-2] + (64).to_bytes(2, "little")          # the comment's length, then the comment
    with open(path + ".tmp", "wb") as file:
        file.write(body + _digest(body))
        file.flush()
        os.fsync(file.fileno())
    if os.path.exists(path):
        if os.path.exists(path + ".link"):
            os.unlink(path + ".link")
        os.link(path, path + ".link")                                   # so that PATH itself is never missing
        os.replace(path + ".link", path + ".previous")
    os.replace(path + ".tmp", path)
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write` wrote; ValueError where a bit or a byte is not as it was."""
    path = os.fspath(path)
    with open(path, "rb") as file:
        raw = file.read()
    before = f"; the one before it is {path}.previous" if os.path.exists(path + ".previous") else ""
    if len(raw) < 86 or _digest(raw[:-64]) != raw[-64:]:
        raise ValueError(f"path must be an unbroken checkpoint, got {path!r}, whose digest does not fit its bytes{before}")
    return loads(raw)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=32).hexdigest().encode()
