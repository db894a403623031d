"""The house rules: imports go down only, compiled code calls its like, a piece touches one file,
nothing heavy loads.
"""
import ast
import doctest
import inspect
import os
import pathlib
import re
import subprocess
import sys
import types
from functools import cache

import pytest

import fastbias as fb
from tests.house.measure import circles, imported, trees

PACKAGE = pathlib.Path(fb.__file__).parent
FLOORS = [["checks"], ["engine"], ["pieces"], ["data"], ["problem"], ["solvers"], ["proofs"], ["theory", "trace"],
          ["forward"], ["running"], ["plots", "sklearn", "discovery"], ["__main__", "__init__"]]
FLOOR = {name: i for i, floor in enumerate(FLOORS) for name in floor}
FILES = trees(PACKAGE)
# what makes names that compiled code may call
INTRINSIC = ("pointer", "_either", "_splat", "_load", "_count")
COMPILED = {"piece", "kernel", "long_kernel", "inner", "pasted", "_sums"}


def noun(name):
    """The file or folder of the package that a file belongs to."""
    return name.partition(".")[0]


def test_every_file_has_its_floor():
    assert {noun(name) for name in FILES} == set(FLOOR)


@pytest.mark.parametrize("name", FILES)
def test_imports_go_down_only(name):
    for other in imported(FILES[name], set(FILES)):
        below = FLOOR[noun(other)] < FLOOR[noun(name)]
        beside = noun(other) == noun(name) != name
        assert below or beside or name == "__init__", f"{name} imports {other}"


def test_no_file_imports_itself_by_way_of_others():
    assert circles(FILES) == []


def test_the_rule_above_sees_a_circle():
    assert circles(FILES | {"checks.sizes": ast.parse("from fastbias.problem import make")})


@pytest.mark.parametrize("how", ["foreign.library('fastbias.proofs.prove')", "importlib.import_module('fastbias.plots')",
                                 "foreign.ask('a picture', 'fastbias.plots.short.limit', 1)", "__import__('fastbias.plots.base')"])
def test_the_rule_above_sees_an_import_by_a_name_in_a_string(how, monkeypatch):
    monkeypatch.setitem(FILES, "solvers.limit", ast.parse(f"def f(self):\n    return {how}"))
    with pytest.raises(AssertionError, match=r"solvers.limit imports (proofs|plots)"):
        test_imports_go_down_only("solvers.limit")


@cache
def tuples():
    """What compiled code may bundle."""
    return {node.name for tree in FILES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
            and "NamedTuple" in map(ast.unparse, node.bases)}


def compiled_functions(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for d in node.decorator_list:
                target = d.func if isinstance(d, ast.Call) else d
                if getattr(target, "id", getattr(target, "attr", None)) in COMPILED:
                    yield node
                    break


def callable_names(tree):
    """What compiled code of any file may call of this one: its compiled functions and intrinsics,
    not its pieces.
    """
    yield from (f.name for f in tree.body if isinstance(f, ast.FunctionDef)
                and any("_either(" in ast.unparse(d) for d in f.decorator_list))
    yield from (f.name for f in compiled_functions(tree) if f in tree.body
                and not any("piece" in ast.unparse(d) for d in f.decorator_list))
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(maker + "(" in ast.unparse(node.value)
                                                for maker in INTRINSIC):
            yield from (t.id for target in node.targets for t in ast.walk(target)
                        if isinstance(t, ast.Name))


def compiled_imports(tree):
    """The names that a file imports straight from the file of the package that compiles them."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastbias."):
            source = FILES.get(node.module.removeprefix("fastbias."))
            there = set(callable_names(source)) if source else set()
            yield from (a.asname or a.name for a in node.names if a.name in there)


@pytest.mark.parametrize("name", FILES)
def test_compiled_functions_call_only_compiled_functions_and_what_they_are_handed(name):
    """Those of their own file, or imported by name from the file they are in; imports go down, so
    calls do.
    """
    tree = FILES[name]
    own = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    own |= set(callable_names(tree)) | set(compiled_imports(tree))
    for function in compiled_functions(tree):
        local = {a.arg for a in function.args.args}
        local |= {t.id for n in ast.walk(function) for t in ast.walk(n) if isinstance(t, ast.Name)
                  and isinstance(t.ctx, ast.Store)}
        for node in (n for statement in function.body for n in ast.walk(statement)):
            if isinstance(node, ast.Call):
                f = node.func
                root = f
                while not isinstance(root, ast.Name):
                    root = root.func if isinstance(root, ast.Call) else root.value
                allowed = own | local | {"np", "math", "abs", "min", "max", "range", "len", "int",
                                         "float", "carray", *tuples()}
                assert root.id in allowed, f"{name}.{function.name} calls {ast.unparse(f)}"


def check_broken(text):
    function = "\n@piece(MAP)\ndef f(params, x, out):\n    return helper(x)\n"
    FILES["broken"] = ast.parse(text + function)
    try:
        test_compiled_functions_call_only_compiled_functions_and_what_they_are_handed("broken")
    finally:
        del FILES["broken"]


def test_the_rule_above_sees_a_call_of_what_is_not_compiled():
    for text in ("from fastbias.pieces.norms.vectors import helper",
                 "from fastbias.pieces import norms\nhelper = norms.helper",
                 "from fastbias.checks import array as helper",
                 "from fastbias.pieces.norms.vectors import _largest as helper",
                 "from scipy.special import helper"):
        with pytest.raises(AssertionError, match=r"broken.f calls helper"):
            check_broken(text)


def test_the_rule_above_allows_a_compiled_function_of_another_file():
    for text in ("from fastbias.engine.loop import _accept as helper",
                 "from fastbias.engine.gradients import _as_map as helper"):
        check_broken(text)


NAMED = {("methods", "gradient_descent"), ("models", "linear"), ("norms", "l1"), ("norms", "lp"),
         ("potentials", "euclidean"), ("potentials", "quadratic"),
         ("potentials", "power"), ("potentials", "squared_lp"),
         ("potentials", "cosh"), ("potentials", "entropy"), ("potentials", "spectral_entropy"),
         ("norms", "fourier"), ("norms", "l2"), ("norms", "linf"), ("norms", "quadratic"),
         ("norms", "spectral"), ("norms", "nuclear"), ("norms", "group")}


def pieces_named_in(tree, home, module):
    """The norms (potentials, …) that a file names: as norms.l1, by import, or by their name as a
    string compared.
    """
    kind = type(module.EXAMPLES[0])
    public = {n for n in module.__all__ if n != kind.__name__}
    shown = {e.name for e in module.EXAMPLES} | public
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value,
                                                          ast.Name) and node.value.id == home:
            yield from {node.attr} & public
        if isinstance(node, ast.ImportFrom) and (node.module
                                                 or "").startswith(f"fastbias.pieces.{home}"):
            yield from {a.name for a in node.names} & public
        if isinstance(node, ast.Compare):
            yield from {c.value for c in ast.walk(node) if isinstance(c, ast.Constant)
                        and isinstance(c.value, str)} & shown


@pytest.mark.parametrize("module", [fb.norms, fb.potentials, fb.losses, fb.models, fb.methods])
def test_a_piece_touches_one_file(module):
    """No other file of the package names a norm, potential, loss or model, but for stated defaults
    and biases.
    """
    home = module.__name__.rpartition(".")[2]
    for name, tree in FILES.items():
        # the command line has its words for all, lanes their vector twins of methods, and the checker, which imports
        # nothing, the words of documents
        if not name.startswith(f"pieces.{home}.") and name != "proofs.checker" and (home, name) not in (
                ("methods", "running.cli"), ("methods", "running.lanes_moves")):
            named = {(home, piece) for piece in pieces_named_in(tree, home, module)}
            named -= ({("losses", "squared"), ("losses", "exponential")}
                      if noun(name) in ("theory", "forward") else set())
            assert named <= NAMED, name


def test_the_rule_above_sees_a_name_that_crept_in():
    for text in ("from fastbias.pieces.norms import linf", "from fastbias.pieces import norms\nx = "
                 "norms.linf", "x = norm.name == 'linf'"):
        assert list(pieces_named_in(ast.parse(text), "norms", fb.norms)) == ["linf"]


def python(code, **env):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env=os.environ | env).stdout


def test_importing_loads_neither_cvxpy_nor_pyplot_nor_scipy_solvers_and_a_run_neither_either():
    out = python("import sys, fastbias as fb; print([m for m in ('cvxpy', 'matplotlib', 'pandas', "
                 "'sklearn', 'xarray', 'tqdm', 'scipy.optimize', 'scipy.integrate') if m in sys.modules]); "
                 "p = fb.Plan([[1, 2]], [1], loss='squared', "
                 "method=fb.methods.gradient_descent(.1)); p.run(5); p.limit(); "
                 "print([m for m in ('cvxpy', 'matplotlib') if m in sys.modules])")
    assert out.split("\n") == ["[]", "[]", ""]


def test_every_public_name_has_a_docstring():
    for name in fb.__all__:
        thing = getattr(fb, name)
        assert (thing.__doc__ or "").strip(), name
        for attribute in getattr(thing, "__all__", []):
            member = getattr(thing, attribute)
            if (not isinstance(member, (int, str, tuple, dict))
                and type(member).__module__.startswith("fastbias")):
                # instances are documented by the string below them
                continue
            assert (getattr(member, "__doc__", "") or "").strip(), f"{name}.{attribute}"


def shown(thing):
    """The code of the examples in a docstring, which run as doctests."""
    return "\n".join(example.source for example in doctest.DocTestParser().get_examples(inspect.getdoc(thing) or ""))


def without_example(name, thing):
    """A public name, or those of a public module, that no example shows: neither its own nor, of its module, one that
    names it.
    """
    if not isinstance(thing, types.ModuleType):
        return [] if shown(thing) else [name]
    code = shown(thing)
    if name == "capi":                                    # addresses: there are none without the compiler
        code = (PACKAGE.parent / "docs" / "c.md").read_text() if (PACKAGE.parent / "docs" / "c.md").exists() else thing.__doc__
    inside = [f"{name}.{inner}" for inner in thing.__all__ if not re.search(rf"\b{inner}\b", code)
              and not ((inspect.isclass(getattr(thing, inner)) or inspect.isroutine(getattr(thing, inner)))
                       and shown(getattr(thing, inner)))]
    return inside if code else [name, *inside]


def test_every_public_name_has_an_example_that_runs():
    assert [bare for name in fb.__all__ for bare in without_example(name, getattr(fb, name))] == []


def test_the_rule_above_sees_a_name_without_one():
    def bare():
        """It has none."""

    assert without_example("bare", bare) == ["bare"]
    module = types.ModuleType("module", ">>> one = 1")
    module.__all__, module.one, module.two, module.three = ["one", "two", "three"], 1, 2, bare
    assert without_example("module", module) == ["module.two", "module.three"]


def leaving_open(tree):
    """Lines of generators that hand something out while warnings or float errors are put off: until they go on, or are
    forgotten, so are their caller's. (A context manager of ours does that on purpose.)
    """
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or any("contextmanager" in ast.unparse(d) for d in function.decorator_list):
            continue
        for block in ast.walk(function):
            put_off = isinstance(block, ast.With) and any(
                word in ast.unparse(item.context_expr) for item in block.items for word in ("errstate", "catch_warnings", "guarded"))
            if put_off and any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(block)):
                yield block.lineno


def test_no_generator_leaves_float_errors_put_off():
    assert {name: list(leaving_open(tree)) for name, tree in FILES.items() if list(leaving_open(tree))} == {}


def test_the_rule_above_sees_one_that_does():
    bad = "def f():\n    with np.errstate(all='ignore'):\n        yield 1\n"
    assert list(leaving_open(ast.parse(bad))) == [2]
    assert list(leaving_open(ast.parse("@contextmanager\n" + bad))) == []


def test_status_numbers_are_frozen():
    """They are compiled into cached code, so they must never change."""
    assert {s.name: int(s) for s in fb.Status} == {"OK": 0, "NOT_FINITE": 1, "OUT_OF_DOMAIN": 2,
                                                   "STALLED": 3, "REACHED": 4, "UNBOUNDED": 5}
    assert set(fb.abi.MESSAGES) >= set(fb.Status)
