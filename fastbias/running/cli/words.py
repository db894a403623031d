"""Pieces from words: ``hypentropy(beta=1e-3)`` is ``fb.potentials.hypentropy(beta=1e-3)``.

The words are read by `ast` and nothing is evaluated: numbers, texts, lists and calls of factories
of `fb.methods`, `potentials`, `norms`, `losses`, `steps` and `models` are all there is. What a
factory takes is asked of its signature, so that a new piece is there at once.
"""
from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from fastbias import checks
from fastbias.checks.meant import nearest
from fastbias.pieces import losses, methods, models, norms, potentials, recipe, steps

__all__ = ["SHELVES", "Words", "factories", "takers"]

SHELVES: dict[str, tuple[ModuleType, type]] = {
    "method": (methods, methods.Method), "potential": (potentials, potentials.Potential),
    "norm": (norms, norms.Norm), "loss": (losses, losses.Loss),
    "rule": (steps, steps.StepRule), "model": (models, models.Model)}
"""Where the pieces of a kind are, and the class that they are of."""
TOLD = {"Method": "method", "Potential": "potential", "Norm": "norm", "Loss": "loss",
        "StepRule": "rule", "StepSize": "rule", "Model": "model"}
"""What an annotation that holds one of these words asks for."""
LONGEST = 4000        # characters of an expression
DEEPEST = 20          # calls and lists inside each other


def factories(kind: str) -> dict[str, Callable[..., Any]]:
    """The functions of a module that make pieces, by name."""
    module = SHELVES[kind][0]
    made = {name: getattr(module, name) for name in module.__all__}
    return {name: thing for name, thing in made.items() if recipe.is_recorded(thing)}


def _ready(kind: str) -> dict[str, Any]:
    """The pieces of a module that need no arguments, by name."""
    module, made = SHELVES[kind]
    things = {name: getattr(module, name) for name in sorted(module.__all__)}
    return {name: thing for name, thing in things.items() if isinstance(thing, made)}


def parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """What a factory takes."""
    return inspect.signature(factory).parameters


def takers(name: str) -> list[str]:
    """The factories of methods that take an argument."""
    return [label for label, make in factories("method").items() if name in parameters(make)]


@dataclass
class Words:
    """A reader of expressions.

    ``data`` are names that stand for values ("X"); ``fill`` gives what a factory is to take for an
    argument that an expression leaves out, and ``filled`` says which of them were asked for;
    ``shape`` is that of predictors, which m and n are, where they are left out.
    """

    label: str
    data: Mapping[str, Any] = field(default_factory=dict)
    fill: Mapping[str, Any] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    shape: tuple[int, ...] = ()

    def piece(self, kind: str, text: str) -> Any:
        """The piece that an expression is of; ValueError with one sentence."""
        made = self.value(kind, text)
        if not isinstance(made, SHELVES[kind][1]):
            raise ValueError(f"{self.label} must be {_wanted(kind)}, got {checks.short(text)}")
        return made

    def value(self, kind: str | None, text: str) -> Any:
        """A number, list, text or, where a kind is named, a piece."""
        try:
            return self._value(_tree(self.label, text), kind, 0)
        except (RecursionError, OverflowError):
            raise ValueError(f"{self.label} must be made of a few names and numbers, got "
                             f"{checks.short(text)}") from None

    def _value(self, node: ast.expr, kind: str | None, depth: int) -> Any:
        """What a node says; a name, and a number among norms, is a piece where one is asked for."""
        if depth > DEEPEST:
            raise ValueError(f"{self.label} must have at most {DEEPEST} brackets in each other")
        if isinstance(node, ast.List | ast.Tuple):
            return [self._value(x, kind, depth + 1) for x in node.elts]
        if isinstance(node, ast.Call):
            return self._call(node, kind, depth)
        path = _path(node)
        if path:
            return self._named(path, kind, depth)
        value = self._literal(node)
        if kind == "norm" and _is_number(value):
            return self._power(value)
        if kind not in (None, "norm") and isinstance(value, str):     # ('entropy', in quotes)
            return self._named((value,), kind, depth)
        return value

    def _literal(self, node: ast.expr) -> Any:
        """A number (also 4/3), a text, True, False or None."""
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | None):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self._value(node.operand, None, 0) if _path(node.operand) else \
                self._literal(node.operand)
            if _is_number(inner):
                return -inner if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            over, under = self._literal(node.left), self._literal(node.right)
            if _is_number(over) and _is_number(under) and under != 0:
                return over / under
        raise ValueError(f"{self.label} must be made of names, numbers, lists and calls such as "
                         f"hypentropy(beta=1e-3), got {checks.short(ast.unparse(node))}")

    def _power(self, p: Any) -> Any:
        try:
            return norms.lp(p)
        except (ValueError, TypeError):
            raise ValueError(f"{self.label} must be {_wanted('norm')}, got {p!r}") from None

    def _named(self, path: tuple[str, ...], kind: str | None, depth: int) -> Any:
        """What a name stands for: data, infinity, a piece, or itself, where none is asked for."""
        name = path[-1]
        if len(path) == 1 and name in self.data:
            return self.data[name]
        if len(path) == 1 and name in ("inf", "nan"):
            return self._power(float(name)) if kind == "norm" else float(name)
        if kind is None or (kind == "rule" and name == steps.AUTO):
            if len(path) == 1:
                return name
            kind = self._kind(path, None)
        kind = self._kind(path, kind)
        ready = _ready(kind)
        if name in ready:
            return ready[name]
        return self._made(kind, name, [], {}, depth)

    def _kind(self, path: tuple[str, ...], kind: str | None) -> str:
        """The kind of piece that a path such as fb.norms.lp speaks of, else the one asked for."""
        homes = {module.__name__.rpartition(".")[2]: known
                 for known, (module, _) in SHELVES.items()}
        begun = path[1:-1] if path[0] in ("fb", "fastbias") else path[:-1]
        if len(begun) > 1 or (begun and begun[0] not in homes):
            raise ValueError(f"{self.label} must name a piece of {', '.join(homes)}, got "
                             f"{checks.short('.'.join(path))}")
        found = homes[begun[0]] if begun else kind
        if found is None:                                 # the one shelf that has such a factory
            having = [known for known in SHELVES
                      if path[-1] in {**factories(known), **_ready(known)}]
            if len(having) != 1:
                raise ValueError(f"{self.label} must say which {path[-1]!r} is meant, such as "
                                 f"norms.{path[-1]}" if having else
                                 f"{self.label} must be made of pieces that there are, got "
                                 f"{path[-1]!r}")
            found = having[0]
        return found

    def _call(self, node: ast.Call, kind: str | None, depth: int) -> Any:
        path = _path(node.func)
        if not path or any(word.arg is None for word in node.keywords) \
                or any(isinstance(x, ast.Starred) for x in node.args):
            raise ValueError(f"{self.label} must call factories of pieces by their names, got "
                             f"{checks.short(ast.unparse(node))}")
        kind = self._kind(path, kind)
        named = {str(word.arg): word.value for word in node.keywords}
        if len(named) < len(node.keywords):
            raise ValueError(f"{self.label} must name each argument of {path[-1]} once")
        return self._made(kind, path[-1], node.args, named, depth)

    def _made(self, kind: str, name: str, args: list[ast.expr], named: dict[str, ast.expr],
              depth: int) -> Any:
        """What a factory makes of arguments, and of those that are filled in."""
        name, factory = self._factory(kind, name)
        known = parameters(factory)
        in_order = [word for word, p in known.items() if p.kind is not p.KEYWORD_ONLY]
        if len(args) > len(in_order):
            raise ValueError(f"{self.label}: {name} takes {_listed(known)}, got {len(args)} "
                             "arguments" + " without names" * (len(args) <= len(known)))
        given = dict(zip(in_order, args, strict=False))
        for word in named:
            if word not in known:
                raise ValueError(f"{self.label}: {name} has no argument {word!r}"
                                 f"{nearest(word, list(known))}; it takes {_listed(known)}")
            if word in given:
                raise ValueError(f"{self.label}: {name} was given {word} twice")
        given |= named
        values = {word: self._value(node, _asked(known[word]), depth + 1)
                  for word, node in given.items()}
        for word in known:
            if word not in values and word in self.fill and self.fill[word] is not None:
                values[word] = self.fill[word]
                self.filled.add(word)
        self._sizes(name, known, values)
        lacking = [word for word, p in known.items()
                   if p.default is p.empty and word not in values]
        if lacking:
            raise ValueError(f"{self.label}: {name} wants {', '.join(lacking)} as well, such as "
                             f"{name}({', '.join(f'{word}=...' for word in lacking)})")
        return factory(**values)

    def _sizes(self, name: str, known: Mapping[str, inspect.Parameter],
               values: dict[str, Any]) -> None:
        """Take m and n, the sizes of a matrix, from the predictors, where nobody gave them."""
        asked = [word for word in ("m", "n") if word in known and word not in values
                 and known[word].default is inspect.Parameter.empty]
        if not asked or not self.shape:
            return
        if len(self.shape) != 2:
            raise ValueError(f"{self.label} {name} must have predictors that are matrices, or its "
                             f"own {', '.join(asked)}, got shape {self.shape}")
        values |= {word: self.shape["mn".index(word)] for word in asked}

    def _factory(self, kind: str, name: str) -> tuple[str, Callable[..., Any]]:
        """The factory of a name, or of one that begins so."""
        made = factories(kind)
        begun = [x for x in made if x.startswith(name + "_")]
        if name not in made and len(begun) == 1:          # gradient: gradient_descent
            name = begun[0]
        if name not in made:
            hint = _as_power(kind, name) or checks.meant(name, SHELVES[kind][0], _ready(kind))
            raise ValueError(f"{self.label} must be {_wanted(kind)}, got {name!r}{hint}")
        return name, made[name]


def _tree(label: str, text: str) -> ast.expr:
    """The syntax tree of an expression; ``name:a=1,b=2`` is name(a=1, b=2)."""
    text = text.strip()
    parts = re.match(r"([\w.]+):(.*)\Z", text, re.DOTALL)
    if parts:
        text = f"{parts[1]}({parts[2]})"
    told = f"{label} must be a name, or a call such as hypentropy(beta=1e-3), got "
    if not 0 < len(text) <= LONGEST:
        raise ValueError(told + (checks.short(text) if text else "nothing"))
    try:
        # what Python warns of in an expression is the user's own
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(told + checks.short(text)) from None


def _path(node: ast.expr) -> tuple[str, ...]:
    """The names of a.b.c, () where it is none."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def _asked(parameter: inspect.Parameter) -> str | None:
    """Which kind of piece an argument is, by its annotation; None where it is none."""
    words = re.findall(r"\w+", str(parameter.annotation))
    return next((TOLD[word] for word in words if word in TOLD), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(known: Mapping[str, inspect.Parameter]) -> str:
    return ", ".join(known) or "no arguments"


def _wanted(kind: str) -> str:
    """What may stand for a piece of a kind, in words."""
    names = [*_ready(kind), *(name for name in factories(kind) if name != "lp")]
    return f"{'a number >= 1, inf, or ' * (kind == 'norm')}one of {', '.join(names)}"


def _as_power(kind: str, name: str) -> str:
    """("l3" is what the number 3 is called elsewhere)."""
    return f": write {name[1:]}" if kind == "norm" and re.fullmatch(r"[lL]\d+", name) else ""
