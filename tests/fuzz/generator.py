"""Random calls of the whole public API, one a seed. What can be called is found, so that new pieces are in at once.

``fb.__all__`` and the ``__all__`` of its modules are walked: functions, classes that check their arguments, and the public
methods of every class that one of these says it returns (by its annotation). Objects to call methods on are made by the same
calls. `tests.fuzz.strategies` has the table of how an argument of a name is made.
"""
from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import fastbias as fb
import fastbias.running.cli
from tests.fuzz.oracles import exception
from tests.fuzz.strategies import Case, bent, strategy

SKIPPED = {"theory.limit", "theory.max_step", "forward.flow", "forward.fast_forward", "laws.demand", "laws.tail",
           "laws.trusted",                   # inner faces
           "axioms.examine", "hunt", "Conjecture",     # they run whatever function they are given, for long
           "bridges.from_torch"}             # torch may not be there
OFTEN = {"descend": 0.2, "Trace.plot": 0.1, "capi.low_level_callable": 0.05, "capi.capsule": 0.05, "capi.address": 0.05,
         "diagnose": 0.5, "l1_path": 0.5, "laws.check": 0.5, "Plan.limit": 8.0, "Plan.run": 5.0, "max_margin": 5.0,
         "minimum_norm": 4.0, "bregman_projection": 4.0, "separability": 4.0, "Plan.flow": 2.0, "Plan.fast_forward": 2.0,
         "sweep": 2.0, "cli.main": 2.0, "Plan": 2.0, "psd_margin": 2.0, "relu.fit": 2.0, "data.read": 2.0,
         "run": 3.0} | {f"plots.{name}": 0.2 for name in fb.plots.__all__}           # else 1
NEEDED = {"grid", "start"}                   # what is always given, though it has a default
EXAMPLES = {"Method": (fb.methods.gradient_descent(0.1, 0.5), fb.methods.mirror_descent("entropy", 0.1),
                       fb.methods.adam(0.1), fb.methods.steepest_descent("l1", 0.1))}       # where no module lists any
SHOWN = ("X", "y", "loss", "method", "model", "start", "shape")


def made(kind: str, case: Case) -> Any:
    """An object of a class, by one of the public ways to it with arguments that are meant well."""
    case.depth += 1
    try:
        ways = sorted(MAKERS[kind], key=str)
        if kind == "Loss":
            wanted = {"root": "root", "labels": "monotone", "classes": "classes"}[case.kind]
            ways = [w for w in ways if isinstance(w, str) or wanted == ("classes" if w.classes else w.kind)] or ways
        if case.depth > 3:                                   # what needs few others
            ways = [w for w in ways if not isinstance(w, str)] or [w for w in ways if "." not in w] or ways
        for trial in range(9):
            way = case.pick(ways)
            try:
                return TARGETS[way].call(case, 0).run() if isinstance(way, str) else way
            except Exception as error:
                if trial == 8 or exception(error):           # what is refused as it should be is tried in another way
                    raise
        raise AssertionError
    finally:
        case.depth -= 1


@dataclass
class Call:
    """One call, ready to be made."""

    label: str
    function: Any
    args: dict[str, Any]
    star: dict[str, Any]
    owner: Any = None

    def run(self) -> Any:
        return self.function(**self.args, **self.star)

    def __str__(self) -> str:
        """As it could be written, nearly."""
        problem = getattr(self.owner, "problem", None)
        on = {} if problem is None else {name: getattr(problem, name, None) for name in SHOWN}
        given = {**self.args, **self.star}.items()
        some = [f"{name}={v.tolist() if isinstance(v, np.ndarray) else v!r}"[:400] for name, v in given]
        owner = f" of {self.owner!r:.300} {on or ''}"[:2000] if self.owner is not None else ""
        return f"{self.label}({', '.join(some)}){owner}"


@dataclass
class Target:
    """Something public that can be called; of a method, also the class whose objects have it."""

    label: str
    function: Any
    owner: str = ""
    like: tuple[Any, ...] = ()               # of a class: objects whose fields are taken, a few of them bent

    @functools.cached_property
    def parameters(self) -> list[inspect.Parameter]:
        some = list(inspect.signature(self.function).parameters.values())
        skip = 1 if self.owner and not inspect.ismethod(self.function) else 0
        return [p for p in some[skip:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]

    @property
    def missing(self) -> list[str]:
        return [] if self.like else [p.name for p in self.parameters if strategy(self.label, p.name) is None]

    def call(self, case: Case, wrong: int) -> Call:
        """Random arguments, so many of them wrong; of a method, on an object that is made first."""
        function, owner = self.function, None
        if self.owner and not inspect.ismethod(function):
            owner = case.kept["owner"] = made(self.owner, case)
            if self.owner == "Plan":
                case.kept["plan"] = owner
            function = functools.partial(function, owner)
        args, example = {}, case.pick(self.like) if self.like else None
        for p in self.parameters:
            if p.default is p.empty or p.name in NEEDED or case.rng.random() < 0.4 or example is not None:
                args[p.name] = getattr(example, p.name) if example is not None else strategy(self.label, p.name)(case)
        for name in [case.pick(tuple(args)) for _ in range(wrong if args else 0)]:
            quiet = name in ("progress", "callback")         # True prints, and a callable raises what it likes
            args[name] = case.pick(("x", 2, [])) if quiet else bent(args[name], case)
            if name in ("steps", "max_steps", "trials") and isinstance(args[name], (int, float)) and 1e6 < args[name] < 2**62:
                args[name] = 2**62                           # what would be done, until the end of time
        star = {}
        if self.label == "run":
            for name in ("record", "until", "strict"):
                if case.rng.random() < 0.3:
                    star[name] = strategy("run", name)(case)
        return Call(self.label, function, args, star, owner)


def _walk(module: ModuleType, prefix: str, found: dict[str, Any]) -> None:
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if isinstance(thing, ModuleType):
            _walk(thing, f"{name}.", found)
        else:
            found[prefix + name] = thing


def _checks(thing: type) -> bool:
    """Whether a class checks what it is made of, as those do that users make; results and containers do not."""
    home = "__post_init__" if dataclasses.is_dataclass(thing) else "__init__"
    return home in vars(thing) and not issubclass(thing, (tuple, BaseException, int)) and thing is not fb.abi.Piece


def _examples(thing: type) -> tuple[Any, ...]:
    """Objects of a class that its module or package lists, or makes without arguments."""
    homes = (sys.modules[thing.__module__], sys.modules[thing.__module__.rpartition(".")[0]])
    listed = next((home.EXAMPLES for home in homes if hasattr(home, "EXAMPLES")), EXAMPLES.get(thing.__name__, ()))
    return tuple(x for x in listed if isinstance(x, thing))


def _discover() -> tuple[dict[str, Target], dict[str, list[Any]]]:
    """All that can be called, and for every class the ways to an object of it: labels, or ready-made objects."""
    found: dict[str, Any] = {"cli.main": fastbias.running.cli.main}
    _walk(fb, "", found)
    classes = {k: c for name, module in sys.modules.items() if name.startswith("fastbias") for k, c in vars(module).items()
               if inspect.isclass(c) and c.__module__ == name and not k.startswith("_")}
    # of two of one name the public one
    classes |= {thing.__name__: thing for thing in found.values() if inspect.isclass(thing) and thing.__name__ in classes}
    targets: dict[str, Target] = {}
    makers: dict[str, list[Any]] = {}
    for label, thing in found.items():
        if label in SKIPPED or "piece" in label:
            continue
        if inspect.isclass(thing):
            if _checks(thing):
                targets[label] = Target(label, thing, "", _examples(thing))
                if not targets[label].like:
                    makers.setdefault(thing.__name__, []).append(label)
        elif classes.get(type(thing).__name__) is type(thing):
            makers.setdefault(type(thing).__name__, []).append(thing)
        elif callable(thing):
            targets[label] = Target(label, thing)

    def returned(function: Any) -> list[str]:
        said = str(getattr(function, "__annotations__", {}).get("return", ""))
        return [k for k in re.findall(r"\w+", said.partition("[")[0]) if k in classes]
    waiting = [(label, t.function) for label, t in targets.items() if not inspect.isclass(t.function)]
    seen: set[str] = set()
    while waiting or set(makers) - seen:
        for label, function in waiting:
            for kind in returned(function):
                if not label.endswith(".load"):
                    makers.setdefault(kind, []).append(label)
        waiting = []
        for kind in sorted(set(makers) - seen):
            seen.add(kind)
            own = [vars(c) for c in classes[kind].__mro__ if c.__module__.startswith("fastbias")]
            for name, raw in {k: v for some in own[::-1] for k, v in some.items()}.items():
                bound = getattr(classes[kind], name) if isinstance(raw, classmethod) else raw
                label, fields = f"{kind}.{name}", getattr(classes[kind], "__dataclass_fields__", ())
                public = (not name.startswith("_") or name == "__call__") and name not in fields and label not in SKIPPED
                if public and (inspect.isfunction(bound) or inspect.ismethod(bound)):
                    targets[label] = Target(label, bound, kind)
                    waiting.append((label, bound))
    return dict(sorted(targets.items())), makers


TARGETS, MAKERS = _discover()
WEIGHTS = np.array([OFTEN.get(label, 1.0) for label in TARGETS])


def target_of(seed: int) -> tuple[str, np.random.Generator]:
    """What a seed calls, and the numbers from which its arguments are drawn."""
    rng = np.random.default_rng([14, seed])
    return tuple(TARGETS)[int(rng.choice(len(TARGETS), p=WEIGHTS / WEIGHTS.sum()))], rng


def call_of(seed: int, folder: Path) -> Call:
    """The call of a seed. What making its objects raises is raised here."""
    label, rng = target_of(seed)
    with np.errstate(all="ignore"):
        case = Case(rng, folder, made)
    case.kept["label"] = label
    return TARGETS[label].call(case, int(rng.choice(3, p=(0.45, 0.45, 0.1))))
