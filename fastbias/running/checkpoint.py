"""Checkpoints: all of a plan in one NPZ file without pickle, so that going on is bitwise what one long run would be.

How they get to the disk and back is `fastbias.checks.files`; the one that stood there before is kept as
PATH.previous. A digest
says that a file is whole, not who made it, so nothing in it is believed that the problem does not bear out: pieces are made
again by factories of this package alone, the run's memory is laid out anew (`fastbias.running.memory`),
what is state is checked.
"""
from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks import files
from fastbias.engine.abi import Status
from fastbias.pieces import losses, methods, models, norms, potentials, recipe, steps
from fastbias.running import memory
from fastbias.trace import Trace

__all__ = ["PARTS", "check", "dumps", "kept", "loads", "made", "own", "parts", "read", "remade", "write"]

FORMAT = 3
PARTS = ("loss", "method", "model")
FATAL = (Status.NOT_FINITE, Status.OUT_OF_DOMAIN, Status.UNBOUNDED)      # a run that ended so does not go on
GRAM = (*("gram_" + name for name in memory.NAMES[:-1]), "gram_rest")
SIZES, MOST = ("d", "m", "n", "rank", "width"), 1 << 20
"""Arguments of factories that are lengths: of at most the parameters that a run has, or harmless."""
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


def make_again(description: Any, arrays: list[np.ndarray], most: int) -> Any:
    """The thing that `describe` described, by the factories of this package alone; with lengths up to ``most``."""
    if not isinstance(description, dict):
        return description
    (kind, what), = description.items()
    if kind == "number":
        return float.fromhex(what) if isinstance(what, str) else _number(what)
    if kind == "array":
        return arrays[checks.whole("array", what, most=len(arrays) - 1)]
    if kind == "list":
        return [make_again(x, arrays, most) for x in what]
    shelf, name, *arguments = what
    thing = getattr(SHELVES[shelf], checks.name("name", name, SHELVES[shelf].__all__))
    if kind == "ready" and not arguments and not isinstance(thing, (type, FunctionType)):
        return thing
    if kind != "make" or not recipe.is_recorded(thing) or len(arguments) != 1:
        raise ValueError(f"pieces must be made by factories, got {checks.short(description)}")
    made = {k: make_again(v, arrays, most) for k, v in arguments[0].items()}
    for size in SIZES:
        if isinstance(made.get(size), (int, float)) and made[size] > (most if size == "d" else max(most, MOST)):
            raise ValueError(f"{size} of {name} must fit the parameters, got {made[size]}")
    return thing(**made)


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a number must be an int or a float in hexadecimals, got {checks.short(value)}")
    return value


def _referred(description: Any) -> Iterator[Any]:
    """The numbers of the arrays that a description refers to."""
    if isinstance(description, dict):
        for kind, what in description.items():
            if kind == "array" and not isinstance(what, (dict, list)):
                yield what
            yield from _referred(what)
    elif isinstance(description, list):
        for x in description:
            yield from _referred(x)


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


def own(about: dict[str, Any]) -> dict[str, str]:
    """The pieces of the user's own, which a file only names: part → its repr."""
    return {part: str(about[part]["own"]) for part in PARTS if isinstance(about[part], dict) and "own" in about[part]}


def remade(arrays: dict[str, np.ndarray], about: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Loss, method and model: those given, and those that `parts` described; TypeError where one is missing."""
    for part, shown in own(about).items():
        if given.get(part) is None:
            raise TypeError(f"{part} must be given again, the checkpoint was made with one of the user's own: {shown}")
    numbered = [arrays[f"array{i}"] for i in range(sum(name.startswith("array") for name in arrays))]
    with files.untrusted(SENTENCE):
        return {part: make_again(about[part], numbered, arrays["start"].size) if given.get(part) is None else given[part]
                for part in PARTS}


SENTENCE = "path must be a checkpoint that Plan.save wrote, got one whose digest fits and whose content does not"


def check(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Raise ValueError unless record and arrays are of the kinds, shapes and number that `Plan.save` writes."""
    with files.untrusted(SENTENCE):
        _check_record(about, "trace_t" in arrays)
        if "gram_u" in arrays and about["gram"] is not True:
            raise ValueError(f"gram must be true beside gram_u, got {about['gram']}")
        wanted: dict[str, tuple[str, tuple[str | int, ...]]] = {
            "X": ("f8", ("N", math.prod(about["shape"]))), "y": ("f8", ("N",)), "start": ("f8", ("n",))}
        if "trace_t" in arrays:
            wanted |= {"trace_t": ("i8", ("K",)), "trace_u": ("f8", ("K", "n")), "trace_log_loss": ("f8", ("K",))}
        referred = sorted({checks.whole("array", i) for part in PARTS for i in _referred(about[part])})
        if referred != list(range(len(referred))):
            raise ValueError(f"pieces must refer to arrays 0, 1, ..., got {checks.short(referred)}")
        for name in map("array{}".format, referred):      # their lengths are their factories' business
            wanted[name] = "f8", tuple(f"{name}, {axis}" for axis in range(np.ndim(arrays.get(name, 0.0))))
        run = {*memory.NAMES, *(GRAM if "gram_u" in arrays else ())}        # for `memory.restore`, which knows the layout
        files.expect({name: a for name, a in arrays.items() if name not in run}, wanted)
        for name in run - set(arrays):
            raise ValueError(f"it must hold an array named {name!r}")
        for name in wanted:
            if name not in ("trace_t", "trace_log_loss") and not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name} must be finite")


def _check_record(about: dict[str, Any], traced: bool) -> None:
    """Raise ValueError unless the record has the entries that `Plan.save` writes, of their kinds."""
    names = {"format", "status", "shape", "settings", "gram", *PARTS} | ({"message", "ended"} if traced else set())
    names |= {"classes"} & set(about)                     # (which files of earlier versions have not)
    if set(about) != names:
        raise ValueError(f"its record must have the entries {', '.join(sorted(names))}, got {checks.short(sorted(about))}")
    for name in ("status", "ended"):
        if type(about.get(name, 0)) is not int or about.get(name, 0) not in set(Status):
            raise ValueError(f"{name} must be one of fb.Status, got {checks.short(about[name])}")
    for name in ("settings", "message"):
        if not isinstance(about.get(name, ""), str):
            raise ValueError(f"{name} must be a text, got {checks.short(about[name])}")
    if about["gram"] is not None and not isinstance(about["gram"], bool):
        raise ValueError(f"gram must be true, false or null, got {checks.short(about['gram'])}")
    classes = about.get("classes")
    if classes is not None and (not isinstance(classes, list) or len({(type(c), c) for c in classes}) != len(classes)
                                or not all(isinstance(c, (bool, int, float, str)) and c == c for c in classes)):
        raise ValueError(f"classes must be null or the names of labels, got {checks.short(classes)}")
    shape = about["shape"]
    if not isinstance(shape, list) or len(shape) not in (1, 2) or any(type(n) is not int or n < 1 for n in shape):
        raise ValueError(f"shape must be that of a sample, got {checks.short(shape)}")


def kept(plan: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """All that a checkpoint of a plan holds: arrays, and a record for JSON; where it stands between two of its chunks."""
    problem = plan.problem
    about, arrays = parts(problem)
    with plan._turns.pause():
        arrays |= memory.snapshot(plan.buffers) | plan._driver.snapshot()
        status, trace, gram = plan.status, plan.trace, plan._gram
    about |= {"status": int(status), "shape": problem.sample, "settings": _settings(plan), "gram": gram,
              "classes": None if problem.classes is None else problem.classes.tolist()}
    arrays |= {"X": problem.X, "y": problem.y, "start": problem.start}
    if trace is not None:
        about |= {"message": trace.message, "ended": int(trace.status)}
        arrays |= {"trace_t": trace.t, "trace_u": trace.u, "trace_log_loss": trace.log_loss}
    return arrays, about


def made(cls: type, arrays: dict[str, np.ndarray], about: dict[str, Any], **given: Any) -> Any:
    """The plan that `kept` was given; ValueError where none can have been."""
    check(arrays, about)
    pieces = remade(arrays, about, given)
    X = arrays["X"].reshape(-1, *about["shape"])
    sure = any(piece is not None for piece in given.values())      # then it may be those that do not fit, and say so
    with nullcontext() if sure else files.untrusted(SENTENCE):
        plan = cls(X, arrays["y"], start=arrays["start"], **pieces)
    if _settings(plan) != about["settings"]:
        raise ValueError("loss, method and model must be those of the checkpoint, got others: their parameters differ")
    with files.untrusted(SENTENCE):
        _rename(plan, about.get("classes"))
        plan.status, plan._gram = Status(about["status"]), about["gram"]
        memory.restore(plan.buffers, arrays, ended=plan.status in FATAL)
        if "gram_u" in arrays:
            plan._settle(arrays)
        if "trace_t" in arrays:
            plan.trace = _trace(plan, arrays, Status(about["ended"]), about["message"])
    return plan


def _rename(plan: Any, classes: list[Any] | None) -> None:
    """Call the labels, which are kept as numbers, what they were called."""
    own = plan.problem.classes
    if classes is not None and (own is None or len(classes) != own.size):
        raise ValueError(f"classes must name the labels of the loss, got {checks.short(classes)}")
    if classes is not None:
        called = np.array(classes)
        if called.dtype.kind not in "biufU" or not np.array_equal(np.unique(called), called):
            raise ValueError(f"classes must be of one kind and in order, got {checks.short(classes)}")
        plan.problem = replace(plan.problem, classes=called)


def _trace(plan: Any, arrays: dict[str, np.ndarray], ended: Status, message: str) -> Trace:
    """The rows that a plan had, which must be those of a run that has come to where it stands."""
    t, u, log_loss = (arrays["trace_" + name] for name in ("t", "u", "log_loss"))
    if t.size == 0 or t[0] < 0 or (np.diff(t) <= 0).any() or t[-1] > plan.t:
        raise ValueError(f"trace_t must be increasing steps up to {plan.t}, got {checks.short(t.tolist())}")
    if np.isnan(log_loss).any() and ended not in FATAL:
        raise ValueError("trace_log_loss must hold numbers, got NaN")
    w = plan.problem.predictor(u).reshape(len(u), *plan.problem.shape)
    return Trace(t, u, w, log_loss, ended, message, plan.problem)


def _settings(plan: Any) -> str:
    """A digest of the names and parameters of all pieces."""
    problem = plan.problem
    names = repr((problem.loss.name, problem.method.name, problem.method.geometry, problem.model.name))
    return hashlib.blake2b(names.encode() + b"".join(p.tobytes() for p in plan.params)).hexdigest()


def dumps(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> bytes:
    """Arrays and a JSON record as the bytes of an NPZ file with a digest."""
    return files.seal({"about": np.frombuffer(json.dumps({"format": FORMAT} | about).encode(), np.uint8)} | arrays)


def loads(source: str | io.BytesIO) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `dumps` was given, from its bytes or a file of them; ValueError where it was of another format."""
    arrays = files.read(source, "an unbroken checkpoint", sealed=True)
    with files.untrusted("path must be a checkpoint with a record in JSON, got one without"):
        raw = arrays.pop("about")
        files.expect({"about": raw}, {"about": ("u1", ("n",))})
        about = json.loads(raw.tobytes())
        if not isinstance(about, dict):
            raise ValueError(checks.short(about))
    if about.get("format") != FORMAT:
        raise ValueError(f"path must be a checkpoint of format {FORMAT}, got format {checks.short(about.get('format'))}")
    return arrays, about


def write(path: str | os.PathLike[str], arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write arrays and a JSON record; the file is at its place whole or not at all, the one before it is kept."""
    files.write(checks.path("path", path), dumps(arrays, about), keep=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write` wrote; ValueError where a bit or a byte is not as it was."""
    path = checks.filename("path", path)
    try:
        return loads(path)
    except ValueError as error:
        before = os.path.realpath(path) + ".previous"
        if os.path.exists(before):
            raise ValueError(f"{error}; the one before it is {before}") from None
        raise
