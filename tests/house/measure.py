"""``python -m tests.house.measure [PACKAGE]``: the house in numbers, folder by folder.

What is counted is what `test_measure` holds limits against: sizes of functions, their branches and
parameters, the width of lines, comments, inputs of any type, circles of imports, and functions
whose bodies are the same.
"""
from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from radon.complexity import cc_visit

PACKAGE = Path(__file__).resolve().parents[2] / "fastbias"
WIDTH = 100
PROTOTYPE = {"_descend_c"}                   # C's own signature: a slot for each buffer
NO_COMMENT = re.compile(r"#\s*(type: ignore|noqa|pragma)")
SPACE = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


class Function(NamedTuple):
    """One function: where it stands, its lines of code, branches, and parameters that count."""

    name: str
    lines: int
    complexity: int
    parameters: int
    inputs: tuple[str, ...]      # the annotations of its arguments
    body: str                    # its syntax tree, where it is of six lines or more


class File(NamedTuple):
    """One file: its functions, how many lines hold code, how many comments, which are too wide."""

    name: str
    functions: tuple[Function, ...]
    code: int
    comments: int
    wide: tuple[int, ...]


def measured(path: Path, package: Path = PACKAGE) -> File:
    """What there is to count in one file."""
    text, name = path.read_text(), path.relative_to(package).as_posix()
    tree = ast.parse(text)
    docs = {line for node in ast.walk(tree) if isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            for line in spanned(node)}
    code, comments = set(), set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if not NO_COMMENT.match(token.string):
                comments.add(token.start[0])
        elif token.type not in SPACE:
            code |= set(range(token.start[0], token.end[0] + 1))
    code -= docs
    branches = {(block.lineno, block.name): block.complexity for block in blocks(cc_visit(text))}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            # radon calls the line of the decorator that of the function in some versions
            branching = branches.get((node.lineno, node.name), branches.get((first, node.name), 0))
            found.append(Function(f"{name}:{node.name}", len(set(spanned(node)) & code), branching,
                                  parameters(node), inputs(node), body(node)))
    wide = tuple(i for i, line in enumerate(text.splitlines(), 1) if len(line) > WIDTH)
    return File(name, tuple(found), len(code), len(comments), wide)


def spanned(node: ast.stmt) -> range:
    """The lines of a statement."""
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def blocks(found: list) -> Iterator:
    """radon's functions, those within classes and functions as well."""
    for block in found:
        yield from blocks([*getattr(block, "methods", []), *getattr(block, "closures", [])])
        if hasattr(block, "closures"):
            yield block


def arguments(node: ast.FunctionDef) -> list[ast.arg]:
    """All arguments but self."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [a for a in every if a.arg not in ("self", "cls")]


def parameters(node: ast.FunctionDef) -> int:
    """How many parameters there are; keyword-only ones of public functions are options, and those
    of a compiled piece are given by its signature.
    """
    if any(ast.unparse(decorator).startswith("piece(") for decorator in node.decorator_list):
        return 0
    options = (0 if node.name.startswith("_") and node.name != "__init__"
               else len(node.args.kwonlyargs))
    more = bool(node.args.vararg) + bool(node.args.kwarg)
    return 0 if node.name in PROTOTYPE else len(arguments(node)) + more - options


def inputs(node: ast.FunctionDef) -> tuple[str, ...]:
    """The annotations of a function's arguments, "" for none."""
    return tuple(ast.unparse(a.annotation) if a.annotation else "" for a in arguments(node))


def body(node: ast.FunctionDef) -> str:
    """The syntax tree under the docstring; "" where that is shorter than six lines."""
    rest = node.body[1:] if ast.get_docstring(node) else node.body
    long = rest and (node.end_lineno or 0) - rest[0].lineno >= 5
    return "".join(map(ast.dump, rest)) if long else ""


def imported(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Files of the package that a file imports, or names in a string, as whoever imports it later
    does, except for type checking alone.
    """
    guarded = {id(n) for node in ast.walk(tree)
               if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
               for n in ast.walk(node)}
    for node in (n for n in ast.walk(tree) if id(n) not in guarded):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastbias":
            for alias in node.names:
                there = f"{node.module}.{alias.name}".removeprefix("fastbias.")
                whole = there in known or there + ".__init__" in known
                yield there if whole else there.rpartition(".")[0]
        if isinstance(node, ast.Import):
            yield from (a.name.removeprefix("fastbias.") for a in node.names
                        if a.name.startswith("fastbias."))
        # (a file that is named in a string is imported by that name)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = node.value.split(".")
            while parts[0] == "fastbias" and len(parts) > 1:
                there = ".".join(parts[1:])
                if there in known or there + ".__init__" in known:
                    yield there
                    break
                parts.pop()


@cache
def trees(package: Path = PACKAGE) -> dict[str, ast.Module]:
    """Every file of the package by its dotted name, parsed."""
    return {".".join(path.relative_to(package).with_suffix("").parts): ast.parse(path.read_text())
            for path in sorted(package.rglob("*.py"))}


def circles(files: dict[str, ast.Module]) -> list[str]:
    """The files that import each other, also by way of others; __init__ is its folder's front."""
    arrows = {name: {other if other in files else other + ".__init__"
                     for other in imported(tree, set(files))} for name, tree in files.items()}
    todo = dict(arrows)
    while free := {name for name, others in todo.items() if not others & set(todo) - {name}}:
        todo = {name: others for name, others in todo.items() if name not in free}
    return sorted(todo)


def identical(files: list[File]) -> list[tuple[str, ...]]:
    """Functions of six lines and more whose bodies are the same, together."""
    same = defaultdict(list)
    for function in (f for file in files for f in file.functions if f.body):
        same[function.body].append(function.name)
    return [tuple(names) for names in same.values() if len(names) > 1]


def entries(package: Path = PACKAGE) -> list[str]:
    """What stands at the top of the package."""
    return sorted(e.name for e in package.iterdir() if not e.name.startswith((".", "__pycache__")))


def quantile(values: list[int], share: float) -> int:
    """The value that the share of the others does not exceed."""
    ordered = sorted(values) or [0]
    return ordered[round(share * (len(ordered) - 1))]


def numbers(files: list[File]) -> dict[str, float]:
    """The counts of some files, each under the name that `test_measure` limits."""
    functions = [f for file in files for f in file.functions]
    branches = [f.complexity for f in functions if f.complexity]
    typed = Counter(kind == "Any" for f in functions for kind in f.inputs)
    return {"complexity": max(branches, default=0), "complexity p95": quantile(branches, 0.95),
            "lines": max((f.lines for f in functions), default=0),
            "parameters": max((f.parameters for f in functions), default=0),
            "wide": sum(len(file.wide) for file in files),
            "comments": 100 * sum(f.comments for f in files) / max(1, sum(f.code for f in files)),
            "any": 100 * typed[True] / max(1, typed.total())}


@cache
def by_folder(package: Path = PACKAGE) -> dict[str, list[File]]:
    """The files of each folder at the top of the package, and of the top itself, under "."."""
    out = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        out[parts[0] if len(parts) > 1 else "."].append(measured(path, package))
    return dict(out)


def main(package: Path = PACKAGE) -> None:
    """Print the table."""
    folders = by_folder(package)
    every = [file for files in folders.values() for file in files]
    rows = {name: numbers(files) for name, files in folders.items()} | {"all": numbers(every)}
    heads = list(rows["all"])
    print("folder".ljust(10), *(head.rjust(14) for head in heads))
    for name, row in rows.items():
        print(name.ljust(10), *(f"{row[head]:14.3g}" for head in heads))
    print(f"\nentries {len(entries(package))}, circles {len(circles(trees(package)))}, "
          f"pairs of identical bodies {sum(len(s) * (len(s) - 1) // 2 for s in identical(every))}")
    for what, key in (("most complex", "complexity"), ("longest", "lines"),
                      ("most parameters", "parameters")):
        top = sorted((f for file in every for f in file.functions),
                     key=lambda f: -getattr(f, key))[:5]
        print(f"{what}: " + ", ".join(f"{f.name} {getattr(f, key)}" for f in top))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
