"""The house stays as it was measured: each folder under the goals, or under today's number."""
import ast

import pytest

from tests.house import measure

GOALS = {"complexity": 20, "complexity p95": 10, "lines": 80, "parameters": 8, "wide": 0,
         "comments": 6, "any": 5}
FOLDERS = [".", *sorted(path.parent.name for path in measure.PACKAGE.glob("*/__init__.py"))]
# Today's number where a folder is not at its goal yet: it may only be made better, and goes once
# the goal is met.
NOT_YET = {
    # (most of the engine's inputs of any type are the compiler's own, for builders of code)
    "engine": {"any": 29.1},
    "pieces": {"parameters": 9},                                # mirror descent's, as its contract
    # (the checker is one file of 150 lines, to be read alone)
    "proofs": {"complexity": 24, "complexity p95": 14},
}


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_keeps_to_the_goals(folder, goal):
    limit = NOT_YET.get(folder, {}).get(goal, 60 if (folder, goal) == ("engine", "lines")
                                        else GOALS[goal])
    value = measure.numbers(measure.by_folder()[folder])[goal]
    good = value >= limit if goal == "comments" else value <= limit
    assert good, f"{folder}: {goal} {value:g}, goal {limit}"


def test_every_folder_is_measured():
    assert set(FOLDERS) == set(measure.by_folder())


def test_the_top_of_the_package_is_small():
    # fifteen ideas, what other libraries see of them, and py.typed
    assert len(measure.entries()) <= 17


def test_no_file_grows_past_500_lines():
    for folder in (measure.PACKAGE, *(measure.PACKAGE.parent / name for name in ("tests", "bench", "paper_figures"))):
        for path in folder.rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 500, path


def test_few_functions_are_copies():
    same = measure.identical([file for files in measure.by_folder().values() for file in files])
    assert sum(len(names) * (len(names) - 1) // 2 for names in same) <= 4, same


def test_functions_without_types_are_compiled_ones():
    """What mypy is told not to ask of folders with kernels is asked here: types, or a decorator
    that names them.
    """
    for name, tree in measure.trees().items():
        # (whose helpers of the compiler have none either)
        if not name.startswith("engine."):
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and node.returns is None:
                    assert node.decorator_list, f"{name}.{node.name}"


def test_the_measure_sees_what_it_counts(tmp_path):
    long = "\n".join(f"    x{i} = {i}" for i in range(7))
    (tmp_path / "a.py").write_text('"""Docs\n\nof lines."""\ndef f(a: Any, *, b: int = '
                                   f'0):\n{long}  # why\n    return {"x1 + " * 30}0\n'
                                   "def _g(a, *, b):\n    def h():\n        return 1 if a else 2\n "
                                   "   return h  # noqa\n")
    (tmp_path / "b.py").write_text(f"import fastbias.c\ndef f():\n{long}\ndef g():\n{long}\n")
    (tmp_path / "c.py").write_text("from fastbias import b\n")
    a, b = (measure.measured(tmp_path / name, tmp_path) for name in ("a.py", "b.py"))
    numbers = measure.numbers([a])
    assert (numbers["lines"], numbers["parameters"], numbers["wide"]) == (9, 2, 1)
    assert (numbers["complexity"], a.code, a.comments, numbers["any"]) == (2, 13, 1, 25)
    assert measure.identical([a, b]) == [("b.py:f", "b.py:g")]
    assert measure.circles(measure.trees(tmp_path)) == ["b", "c"]
    assert measure.entries(tmp_path) == ["a.py", "b.py", "c.py"]


def test_parameters_of_pieces_are_those_of_their_signature(tmp_path):
    (tmp_path / "a.py").write_text("@piece(MAP, needs=1)\ndef f(a, b, c):\n    return 0\n"
                                   "@kernel\ndef g(a, b):\n    return 0\n")
    assert measure.numbers([measure.measured(tmp_path / "a.py", tmp_path)])["parameters"] == 2
