"""Checkpoints: all of a plan in one NPZ file without pickle; going on is bitwise one long run.

How they get to the disk and back is `fastbias.checks.files`; the one that stood there before is
kept as PATH.previous. A digest says that a file is whole, not who made it, so nothing in it is
believed that the problem does not bear out: pieces are made again by factories of this package
alone, the run's memory is laid out anew (`fastbias.running.memory`), what is state is checked.
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
from types import FunctionType, ModuleType, NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks
from fastbias.checks import files
from fastbias.data import rows
from fastbias.engine.abi import Status
from fastbias.pieces import losses, methods, models, norms, potentials, recipe, steps
from fastbias.problem import Problem
from fastbias.running import memory
from fastbias.running.course import FATAL, Course
from fastbias.trace import Trace

if TYPE_CHECKING:
    from fastbias.running.plan import Plan

__all__ = ["FORMAT", "PARTS", "Arrays", "Record", "asked", "check", "dumps", "kept",
           "loads", "made", "own", "parts", "read", "remade", "resume", "standing", "write"]

FORMAT = 3            # one higher whenever files of before would be misread
PARTS = ("loss", "method", "model")
GRAM = (*("gram_" + name for name in memory.NAMES[:-1]), "gram_rest")
ENDS = "trace_t", "trace_log_loss", "trace_least"
"""What need not be finite where a run ended."""
SIZES, MOST = ("d", "m", "n", "rank", "width"), 1 << 20
"""Arguments of factories that are lengths: of at most the parameters of a run, or harmless."""
SHELVES: dict[str, ModuleType] = {m.__name__.rpartition(".")[2]: m for m in
                                  (losses, methods, models, norms, potentials, steps)}
SENTENCE = ("path must be a checkpoint that Plan.save wrote, got one whose digest fits and whose "
            "content does not")

Arrays = dict[str, np.ndarray]
Record = dict[str, Any]       # what JSON holds


class OwnPieceError(Exception):
    """A piece of the user's own, which a file cannot hold."""


def describe(thing: object, arrays: list[np.ndarray]) -> Any:
    """What JSON needs to make a piece, number or array again; arrays go into the list.

    Raises `OwnPieceError`.
    """
    if isinstance(thing, (NoneType, bool, str)):
        return thing
    if isinstance(thing, (int, np.integer)):
        return {"number": int(thing)}
    if isinstance(thing, (float, np.floating, Fraction)):
        # in hexadecimals, which no reader rounds
        return {"number": float(thing).hex()}
    ready = _ready(thing)
    if ready is not None:
        return {"ready": ready}
    if getattr(thing, "recipe", None) is not None:
        return {"make": _recipe(thing, arrays)}
    # pieces, or arrays of several lengths; a list of numbers is an array
    if isinstance(thing, (list, tuple)) and any(np.ndim(x) for x in thing):
        return {"list": [describe(x, arrays) for x in thing]}
    return {"array": _numbered(thing, arrays)}


def _ready(thing: object) -> list[str] | None:
    """Shelf and name of a piece that stands there as it is, None for others."""
    return next(([shelf, name] for shelf, module in SHELVES.items() for name in module.__all__
                 if getattr(module, name) is thing), None)


def _recipe(thing: Any, arrays: list[np.ndarray]) -> list[Any]:
    """Shelf and name of the factory that made a piece, and its arguments."""
    name, arguments = thing.recipe
    home = type(thing).__module__
    shelf = next(s for s, module in SHELVES.items()
                 if hasattr(module, name) and home.startswith(module.__name__))
    return [shelf, name, {k: describe(v, arrays) for k, v in arguments.items()}]


def _numbered(thing: object, arrays: list[np.ndarray]) -> int:
    """The place of an array in the list; `OwnPieceError` for what is none."""
    try:
        arrays.append(checks.array("value", thing, "an array", dims=(0, 1, 2, 3), empty=True))
    except (TypeError, ValueError):
        raise OwnPieceError(repr(thing)) from None
    return len(arrays) - 1


def make_again(description: object, arrays: list[np.ndarray], most: int) -> Any:
    """What `describe` described, by factories of this package alone, with lengths ≤ ``most``."""
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
    if _permitted(kind, thing, len(arguments)):
        if kind == "ready":
            return thing
        made = {k: make_again(v, arrays, most) for k, v in arguments[0].items()}
        _bounded(name, made, most)
        return thing(**made)
    raise ValueError(f"pieces must be made by factories, got {checks.short(description)}")


def _permitted(kind: str, thing: object, arguments: int) -> bool:
    """Whether a piece may be taken as it is, or a factory be called with one set of arguments.

    Whatever else a module holds, classes above all, is not called at a file's bidding.
    """
    if kind == "ready":
        return arguments == 0 and not isinstance(thing, (type, FunctionType))
    return kind == "make" and recipe.is_recorded(thing) and arguments == 1


def _bounded(name: str, made: dict[str, Any], most: int) -> None:
    """Raise ValueError where a length is beyond what a run of so many parameters can ask for."""
    for size in SIZES:
        bound = most if size == "d" else max(most, MOST)
        if isinstance(made.get(size), (int, float)) and made[size] > bound:
            raise ValueError(f"{size} of {name} must fit the parameters, got {made[size]}")


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a number must be an int or a float in hexadecimals, got "
                         f"{checks.short(value)}")
    return value


def _referred(description: object) -> Iterator[object]:
    """The numbers of the arrays that a description refers to."""
    if isinstance(description, dict):
        for kind, what in description.items():
            if kind == "array" and not isinstance(what, (dict, list)):
                yield what
            yield from _referred(what)
    elif isinstance(description, list):
        for x in description:
            yield from _referred(x)


def parts(problem: Problem) -> tuple[Record, Arrays]:
    """What JSON needs to make a problem's loss, method and model again, and the arrays it names."""
    about: Record = {}
    arrays: list[np.ndarray] = []
    for part in PARTS:
        thing = getattr(problem, part)
        try:
            about[part] = describe(thing, arrays)
        except OwnPieceError:
            about[part] = {"own": repr(thing)}
    return about, {f"array{i}": a for i, a in enumerate(arrays)}


def own(about: Record) -> dict[str, str]:
    """The pieces of the user's own, which a file only names: part → its repr."""
    return {part: str(about[part]["own"]) for part in PARTS
            if isinstance(about[part], dict) and "own" in about[part]}


def remade(arrays: Arrays, about: Record,
           given: dict[str, Any]) -> dict[str, Any]:
    """Loss, method and model: those given, else as `parts` described; TypeError where one lacks."""
    for part, shown in own(about).items():
        if given.get(part) is None:
            raise TypeError(f"{part} must be given again, the checkpoint was made with one of the "
                            f"user's own: {shown}")
    # as they were numbered, whatever else the file holds (`check` has counted them)
    numbered = [arrays[f"array{i}"]
                for i in range(sum(name.startswith("array") for name in arrays))]
    with files.untrusted(SENTENCE):
        return {part: make_again(about[part], numbered, arrays["start"].size)
                if given.get(part) is None else given[part]
                for part in PARTS}


def check(arrays: Arrays, about: Record) -> None:
    """Raise ValueError unless record and arrays are of the kinds and shapes that we write."""
    # whatever it is that a forged file makes go wrong, it is the file's fault
    with files.untrusted(SENTENCE):
        _check_record(about, "trace_t" in arrays)
        if "gram_u" in arrays and about["gram"] is not True:
            raise ValueError(f"gram must be true beside gram_u, got {about['gram']}")
        wanted = _wanted(arrays, about["shape"], _references(about))
        # for `memory.restore`, which knows the layout
        run = {*memory.NAMES, *(GRAM if "gram_u" in arrays else ())}
        files.expect({name: a for name, a in arrays.items() if name not in run}, wanted)
        for name in run - set(arrays):
            raise ValueError(f"it must hold an array named {name!r}")
        for name in wanted:
            # (where a run ended its loss may be infinite)
            if name not in ENDS and not np.isfinite(arrays[name]).all():
                raise ValueError(f"{name} must be finite")


def _references(about: Record) -> list[int]:
    """The numbers of the arrays that the pieces refer to, which must be all up to the last."""
    referred = sorted({checks.whole("array", i) for part in PARTS for i in _referred(about[part])})
    if referred != list(range(len(referred))):
        raise ValueError(f"pieces must refer to arrays 0, 1, ..., got {checks.short(referred)}")
    return referred


def _wanted(arrays: Arrays, shape: list[int], referred: list[int]) -> dict[str, Any]:
    """The dtypes and axes of all arrays but those of the run, for `files.expect`."""
    wanted: dict[str, tuple[str, tuple[str | int, ...]]] = {
        "y": ("f8", ("N", "outputs")[:max(1, np.ndim(arrays["y"]))]), "start": ("f8", ("n",))}
    if "X" in arrays:
        wanted["X"] = "f8", ("N", math.prod(shape))
    else:                             # rows of `scipy.sparse`: N + 1 ends, Z entries
        wanted |= {"X_data": ("f8", ("Z",)), "X_indices": ("i4 i8", ("Z",)),
                   "X_indptr": ("i4 i8", (len(arrays["y"]) + 1,))}
    if "weights" in arrays:
        wanted["weights"] = "f8", ("N",)
    if "trace_t" in arrays:
        wanted |= _traced(arrays, "n")
    # their lengths are their factories' business
    for name in map("array{}".format, referred):
        axes = range(np.ndim(arrays.get(name, 0.0)))
        wanted[name] = "f8", tuple(f"{name}, {axis}" for axis in axes)
    return wanted


def _traced(arrays: Arrays, n: int | str) -> dict[str, tuple[str, tuple[str | int, ...]]]:
    """The same of the rows of a trace, whose parameters are n."""
    thin = "trace_least" in arrays                        # with two rows of u
    names = ("trace_t", "trace_log_loss", *(["trace_least"] if thin else []))
    wanted: dict[str, tuple[str, tuple[str | int, ...]]] = {
        name: ("i8" if name == "trace_t" else "f8", ("K",)) for name in names}
    if "trace_averages" in arrays:
        wanted["trace_averages"] = "f8", ("K", n)
    return wanted | {"trace_u": ("f8", (2 if thin else "K", n))}


def _check_record(about: Record, traced: bool) -> None:
    """Raise ValueError unless the record has the entries that `Plan.save` writes, so typed."""
    names = {"format", "status", "shape", "settings", "gram", *PARTS}
    names |= {"message", "ended"} if traced else set()
    # (which files of earlier versions have not)
    names |= {"classes", "intercept", "names"} & set(about)
    if set(about) != names:
        raise ValueError(f"its record must have the entries {', '.join(sorted(names))}, got "
                         f"{checks.short(sorted(about))}")
    for name, fits, what in (
            ("status", _is_status, "one of fb.Status"), ("ended", _is_status, "one of fb.Status"),
            ("settings", lambda x: isinstance(x, str), "a text"),
            ("message", lambda x: isinstance(x, str), "a text"),
            ("gram", lambda x: x is None or isinstance(x, bool), "true, false or null"),
            ("classes", _are_names, "null or the names of labels"),
            ("intercept", lambda x: isinstance(x, bool), "true or false"),
            ("names", _are_texts, "null or the names of columns"),
            ("shape", _is_shape, "that of a sample")):
        if name in about and not fits(about[name]):
            raise ValueError(f"{name} must be {what}, got {checks.short(about[name])}")


def _is_status(value: object) -> bool:
    # `type`: True is a Status by its value
    return type(value) is int and value in set(Status)


def _are_names(classes: object) -> bool:
    """Whether these are what labels can have been called: distinct, and no NaN."""
    if classes is None:
        return True
    return (isinstance(classes, list) and len({(type(c), c) for c in classes}) == len(classes)
            and all(isinstance(c, (bool, int, float, str)) and c == c for c in classes))


def _are_texts(names: object) -> bool:
    """Whether these are what columns can be called: different texts."""
    return names is None or (isinstance(names, list) and all(isinstance(x, str) for x in names)
                             and len({*names}) == len(names) > 0)


def _is_shape(shape: object) -> bool:
    return (isinstance(shape, list) and len(shape) in (1, 2)
            and all(type(n) is int and n >= 1 for n in shape))


def kept(plan: Plan) -> tuple[Arrays, Record]:
    """All that a checkpoint of a plan holds: arrays, and a record for JSON.

    Where it stands between two of its chunks: a run that goes on in another thread waits.
    """
    demanded, about = asked(plan)
    arrays, stands = standing(plan.course)
    return demanded | arrays, about | stands


def asked(plan: Plan) -> tuple[Arrays, Record]:
    """Of `kept`, what is asked of a plan: its data, pieces and start."""
    problem = plan.problem
    about, arrays = parts(problem)
    classes = None if problem.classes is None else problem.classes.tolist()
    about |= {"shape": list(problem.sample), "settings": _settings(plan.course),
              "classes": classes, "intercept": problem.intercept}
    if problem.names is not None:
        about["names"] = list(problem.names)
    arrays |= rows.parts(problem.X) if problem.sparse else {"X": problem.X}
    arrays |= {"y": problem.targets, "start": problem.start}
    if problem.weights is not None:
        arrays["weights"] = problem.weights
    return arrays, about


def standing(course: Course) -> tuple[Arrays, Record]:
    """Of `kept`, where a run stands, and the rows of its last trace; `resume` takes it."""
    with course.turns.pause():
        arrays = memory.snapshot(course.buffers) | course.driver.snapshot()
        status, trace, gram = course.status, course.trace, course.gram
    about: Record = {"status": int(status), "gram": gram}
    if trace is not None:
        about |= {"message": trace.message, "ended": int(trace.status)}
        arrays |= {"trace_t": trace.t, "trace_u": trace.u, "trace_log_loss": trace.log_loss}
        arrays |= {f"trace_{name}": rows for name in ("least", "averages")
                   if (rows := getattr(trace, name)) is not None}
    return arrays, about


def made(cls: type[Plan], arrays: Arrays, about: Record, **given: Any) -> Plan:
    """The plan that `kept` was given; ValueError where none can have been."""
    check(arrays, about)
    pieces = remade(arrays, about, given)
    X = _matrix(arrays, about["shape"])
    # then it may be those that do not fit, and say so
    sure = any(piece is not None for piece in given.values())
    with nullcontext() if sure else files.untrusted(SENTENCE):
        if intercept := about.get("intercept", False):
            X = _without_ones(X)
        plan = cls(X, arrays["y"], start=arrays["start"], weights=_weights(arrays),
                   intercept=intercept, **pieces)
    # names and numbers of all pieces: those given again must be those that ran
    course = plan.course
    if _settings(course) != about["settings"]:
        raise ValueError("loss, method and model must be those of the checkpoint, got others: "
                         "their parameters differ")
    with files.untrusted(SENTENCE):
        _rename(course, about.get("classes"), about.get("names"))
        resume(course, arrays, about)
    return plan


def resume(course: Course, arrays: Arrays, about: Record) -> None:
    """Let a run stand where `standing` saw one of the same problem; ValueError where none can."""
    course.status, course.gram = Status(about["status"]), about["gram"]
    memory.restore(course.buffers, arrays, ended=course.status in FATAL)
    if "gram_u" in arrays:
        course.settle(arrays)
    if "trace_t" in arrays:
        shown = _traced(arrays, course.problem.start.size)
        files.expect({name: arrays[name] for name in shown}, shown)
        course.trace = _trace(course, arrays, Status(about["ended"]), about["message"])


def _matrix(arrays: Arrays, shape: list[int]) -> rows.Matrix:
    """X of its arrays; ValueError where they are no rows."""
    if "X" in arrays:
        return np.asarray(arrays["X"].reshape(-1, *shape))
    with files.untrusted(SENTENCE):
        return rows.joined(arrays, (len(arrays["y"]), shape[0]))


def _without_ones(X: rows.Matrix) -> rows.Matrix:
    """X without the column of an intercept, which is made again."""
    if len(X.shape) > 2 or X.shape[1] < 2 or not (rows.dense(X[:, -1:]) == 1).all():
        raise ValueError("X must end with a column of ones for an intercept")
    return X[:, :-1]


def _weights(arrays: Arrays) -> np.ndarray | None:
    """The weights, all > 0: those of 0 are left out before a plan is saved."""
    c = arrays.get("weights")
    if c is not None and not (c > 0).all():
        raise ValueError("weights must be > 0")
    return c


def _rename(course: Course, classes: list[Any] | None, names: list[str] | None) -> None:
    """Call labels, which are kept as numbers, and columns what they were called."""
    # the problem was made again of labels −1, +1 or 0 … K−1, which know no other names
    own = course.problem.classes
    if classes is not None and (own is None or len(classes) != own.size):
        raise ValueError(f"classes must name the labels of the loss, got {checks.short(classes)}")
    if classes is not None:
        called = np.array(classes)
        if called.dtype.kind not in "biufU" or np.unique(called).size != called.size:
            raise ValueError("classes must be of one kind and different, got "
                             f"{checks.short(classes)}")
        course.problem = replace(course.problem, classes=called)
    if names is not None:
        if len(names) != course.problem.sample[-1] or len(course.problem.sample) > 1:
            raise ValueError(f"names must be those of the columns, got {checks.short(names)}")
        course.problem = replace(course.problem, names=tuple(names))


def _trace(course: Course, arrays: Arrays, ended: Status, message: str) -> Trace:
    """The rows that a plan had, which must be those of a run that has come to where it stands."""
    t, u, log_loss = (arrays["trace_" + name] for name in ("t", "u", "log_loss"))
    if t.size == 0 or t[0] < 0 or (np.diff(t) <= 0).any() or t[-1] > course.t:
        raise ValueError(f"trace_t must be increasing steps up to {course.t}, got "
                         f"{checks.short(t.tolist())}")
    # (where no row is finite, the trace of a run that ended so shows them as they are)
    if np.isnan(log_loss).any() and ended not in FATAL:
        raise ValueError("trace_log_loss must hold numbers, got NaN")
    w = course.problem.predictor(u).reshape(len(u), *course.problem.shape)
    return Trace(t, u, w, log_loss, ended, message, course.problem,
                 least=arrays.get("trace_least"), averages=arrays.get("trace_averages"))


def _settings(course: Course) -> str:
    """A digest of the names and parameters of all pieces."""
    problem = course.problem
    names = repr((problem.loss.name, problem.method.name, problem.method.geometry,
                  problem.model.name))
    numbers = b"".join(p.tobytes() for p in course.params)
    return hashlib.blake2b(names.encode() + numbers).hexdigest()


def dumps(arrays: Arrays, about: Record) -> bytes:
    """Arrays and a JSON record as the bytes of an NPZ file with a digest."""
    return files.seal({"about": np.frombuffer(json.dumps({"format": FORMAT} | about).encode(),
                                              np.uint8)} | arrays)


def loads(source: str | io.BytesIO) -> tuple[Arrays, Record]:
    """What `dumps` was given, from its bytes or a file of them; ValueError for another format."""
    arrays = files.read(source, "an unbroken checkpoint", sealed=True)
    with files.untrusted("path must be a checkpoint with a record in JSON, got one without"):
        raw = arrays.pop("about")
        files.expect({"about": raw}, {"about": ("u1", ("n",))})
        about = json.loads(raw.tobytes())
        if not isinstance(about, dict):
            raise ValueError(checks.short(about))
    if about.get("format") != FORMAT:
        raise ValueError(f"path must be a checkpoint of format {FORMAT}, got format "
                         f"{checks.short(about.get('format'))}")
    return arrays, about


def write(path: str | os.PathLike[str], arrays: Arrays,
          about: Record) -> None:
    """Write arrays and a JSON record, whole or not at all; the file before it is kept."""
    files.write(checks.path("path", path), dumps(arrays, about), keep=True)


def read(path: str | os.PathLike[str]) -> tuple[Arrays, Record]:
    """Read what `write` wrote; ValueError where a bit or a byte is not as it was."""
    path = checks.filename("path", path)
    try:
        return loads(path)
    except ValueError as error:
        # a bad disk, say: then the save before it may be whole
        before = os.path.realpath(path) + ".previous"
        if os.path.exists(before):
            raise ValueError(f"{error}; the one before it is {before}") from None
        raise
