"""The house stays as it was measured: each folder under the goals, or under today's number until it is through."""
import ast

import pytest

from tests.house import measure

GOALS = {"complexity": 20, "complexity p95": 10, "lines": 80, "parameters": 8, "wide": 0, "comments": 6, "any": 5}
FOLDERS = measure.by_folder()
# Today's number where a folder is not at its goal yet. A number may only be made better, and goes once the goal is met.
NOT_YET = {
    ".": {"complexity": 29, "complexity p95": 22, "wide": 72, "comments": 2.5, "any": 26.7},
    "checks": {"complexity": 21, "complexity p95": 16, "wide": 89, "comments": 2.7, "any": 12.2},
    "data": {"complexity": 43, "wide": 38, "comments": 1.0, "any": 24.3},
    "engine": {"complexity": 81, "complexity p95": 19, "lines": 185, "parameters": 27, "wide": 313, "comments": 4.9, "any": 29.6},
    "forward": {"complexity": 69, "complexity p95": 15, "parameters": 11, "wide": 249},
    "pieces": {"complexity": 25, "parameters": 12, "wide": 502, "comments": 3.0, "any": 8.9},
    "running": {"complexity": 30, "complexity p95": 18, "parameters": 12, "wide": 326, "comments": 3.2, "any": 16.3},
    "solvers": {"complexity": 26, "complexity p95": 13, "wide": 362, "comments": 3.5, "any": 13.5},
    "theory": {"complexity": 32, "complexity p95": 21, "wide": 384, "comments": 2.3},
    "trace": {"complexity p95": 14, "wide": 69, "comments": 1.4, "any": 30.4},
}


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_keeps_to_the_goals(folder, goal):
    limit = NOT_YET.get(folder, {}).get(goal, 60 if (folder, goal) == ("engine", "lines") else GOALS[goal])
    value = measure.numbers(FOLDERS[folder])[goal]
    assert value >= limit if goal == "comments" else value <= limit, f"{folder}: {goal} {value:g}, goal {limit}"


def test_the_top_of_the_package_is_small():
    assert len(measure.entries()) <= 13                         # twelve ideas, and py.typed


def test_no_file_grows_past_500_lines():
    for path in measure.PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 500, path


def test_few_functions_are_copies():
    same = measure.identical([file for files in FOLDERS.values() for file in files])
    assert sum(len(names) * (len(names) - 1) // 2 for names in same) <= 4, same


def test_functions_without_types_are_compiled_ones():
    """What mypy is told not to ask of folders with kernels is asked here: types, or a decorator that names them."""
    for name, tree in measure.trees().items():
        if not name.startswith("engine."):                      # (whose helpers of the compiler have none either)
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and node.returns is None:
                    assert node.decorator_list, f"{name}.{node.name}"


def test_the_measure_sees_what_it_counts(tmp_path):
    long = "\n".join(f"    x{i} = {i}" for i in range(7))
    (tmp_path / "a.py").write_text(f'"""Docs\n\nof lines."""\ndef f(a: Any, *, b: int = 0):\n{long}  # why\n    return {"x1 + " * 30}0\n'
                                   "def _g(a, *, b):\n    def h():\n        return 1 if a else 2\n    return h  # noqa\n")
    (tmp_path / "b.py").write_text(f"import fastbias.c\ndef f():\n{long}\ndef g():\n{long}\n")
    (tmp_path / "c.py").write_text("from fastbias import b\n")
    a, b = (measure.measured(tmp_path / name, tmp_path) for name in ("a.py", "b.py"))
    numbers = measure.numbers([a])
    assert (numbers["lines"], numbers["parameters"], numbers["wide"]) == (9, 2, 1)
    assert (numbers["complexity"], a.code, a.comments, numbers["any"]) == (2, 13, 1, 25)
    assert measure.identical([a, b]) == [("b.py:f", "b.py:g")]
    assert measure.circles(measure.trees(tmp_path)) == ["b", "c"]
    assert measure.entries(tmp_path) == ["a.py", "b.py", "c.py"]
