"""What is built of the clone: a wheel that runs by itself, and a small source distribution.

The installation is a new virtual environment with the wheel and, linked from this environment so that no network is
needed, the libraries that the wheel requires, and those that they require: no extras, and nothing of the clone.
"""
import csv
import importlib.metadata as metadata
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

import fastbias as fb
from tests.helpers import ROOT

MOST = 3e6            # bytes of a source distribution
pytestmark = [pytest.mark.long, pytest.mark.slow]


def built(target, folder):
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built("wheel", tmp_path_factory.mktemp("wheel"))


def required(names):
    """Distributions of these names, and all that they require."""
    from packaging.requirements import Requirement
    found, ahead = {}, [(name, frozenset()) for name in names]
    while ahead:
        name, extras = ahead.pop()
        name = re.sub(r"[-_.]+", "-", name).lower()
        if name in found and extras <= found[name]:
            continue
        extras |= found.get(name, frozenset())
        found[name] = extras
        for text in metadata.requires(name) or []:
            wanted = Requirement(text)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": e}) for e in {"", *extras}):
                ahead.append((wanted.name, frozenset(wanted.extras)))
    return [metadata.distribution(name) for name in found]


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an installation of the wheel, and its folder of packages."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    [packages] = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(packages)
    own = metadata.PathDistribution(next(packages.glob("fastbias-*.dist-info")))
    names = [re.match(r"[\w.-]+", text)[0] for text in own.requires if "extra ==" not in text]
    for dist in required(names):
        place = pathlib.Path(dist.locate_file(""))
        for top in {file.parts[0] for file in dist.files} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(place / top)
    return home / "bin" / "python", packages


def run(python, *words, cwd, ok=True):
    # (neither this test's PYTHONPATH nor what is around counts)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FASTBIAS"))}
    done = subprocess.run([str(python), "-P", *words], cwd=cwd, capture_output=True, text=True, env=kept | {"MPLBACKEND": "Agg"})
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def runs(path):
    """What the table behind Figure 1 tells of: panels, runs, and kinds of points."""
    with open(path, newline="") as file:
        return {tuple(row[name] for name in ("panel", "run", "kind")) for row in csv.DictReader(file)}


def test_the_first_minute_of_the_readme_runs_from_the_wheel(python, tmp_path):
    interpreter, packages = python
    where = run(interpreter, "-c", "import fastbias, paper_figures; print(fastbias.__file__, paper_figures.__file__)", cwd=tmp_path)
    assert where.count(str(packages)) == 2
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    shown = run(interpreter, "-W", "error", "-c", code, cwd=tmp_path)
    assert "certified" in shown
    assert "§2.4" in shown
    assert shown.count("fastbias: compiling, once, ~15 s") == 1
    shown = run(interpreter, "-m", "paper_figures.fig1", "--out", "drawn", cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["fig1.csv", "fig1.pdf", "fig1.png"]
    drawn, shown = (runs(folder / "fig1.csv") for folder in (tmp_path / "drawn", ROOT / "docs" / "figures"))
    assert drawn == shown


def test_figures_go_where_the_command_is_given_not_into_the_installation(python, tmp_path):
    code = "from paper_figures import _style; print(_style.folder([], 'A figure.').resolve())"
    assert run(python[0], "-c", code, cwd=tmp_path).strip() == str(tmp_path / "figures")


def test_neither_tests_nor_benchmarks_are_installed_and_what_wants_more_says_what(python, tmp_path):
    for name in ("tests", "bench"):
        assert "No module named" in run(python[0], "-c", f"import {name}", cwd=tmp_path, ok=False)
    told = run(python[0], "-c", "import fastbias.sklearn", cwd=tmp_path, ok=False)
    assert "pip install 'fastbias[sklearn]'" in told.splitlines()[-1]
    for name in ("speed", "growth"):
        assert "in a clone" in run(python[0], "-m", f"paper_figures.{name}", cwd=tmp_path, ok=False).splitlines()[-1]


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        told = file.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"fastbias", "paper_figures"}
    assert "fastbias/py.typed" in names
    head = told.partition("\n\n")[0].splitlines()
    for line in ("Author: The fastbias developers", "Requires-Python: >=3.11", "Provides-Extra: sklearn",
                 "Programming Language :: Python :: 3.14"):
        assert any(line in h for h in head), line
    assert any(h.startswith("Requires-Dist: numba<") for h in head)
    assert any(h.startswith("Project-URL: ") for h in head)


def test_the_source_distribution_is_small_and_holds_what_the_readme_begins_with(tmp_path):
    path = built("sdist", tmp_path)
    assert path.stat().st_size < MOST
    with tarfile.open(path) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "docs/figures/fig1.png", "tests/shown/test_package.py",
            "paper_figures/fig1.py", "bench/table.csv"} <= names
    assert not any(name.startswith((".git/", ".venv", "figures/")) for name in names)


def test_the_version_stands_in_one_place_and_the_changelog_begins_with_it():
    version = fb.__version__
    assert (ROOT / "CHANGELOG.md").read_text().partition("\n## ")[2].partition("\n")[0].split(" ")[0] == version
    assert 'path = "fastbias/__init__.py"' in (ROOT / "pyproject.toml").read_text()
    for name in ("pyproject.toml", "CITATION.cff", "README.md", "docs/conf.py"):
        assert version not in re.sub(r"[<>=~]=?\s*[\d.]+", "", (ROOT / name).read_text()), name
