"""The code of README, the documents and CONTRIBUTING runs as printed, its commands and figures are as said."""
import pathlib
import re
import shlex
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb
from fastbias.running import cli
from fastbias.theory import points
from paper_figures import _style

ROOT = pathlib.Path(__file__).parents[2]
# (a cluster is more than one machine: docs/examples has what runs of it; C is compiled by test_c_header)
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.stem not in ("c", "cluster"))]
BLOCKS = [(page.stem, kind, code) for page in PAGES
          for kind, code in re.findall(r"```(\w+)\n(.*?)```", page.read_text(), re.S)]
PYTHON = [(page, code) for page, kind, code in BLOCKS if kind == "python"]


@pytest.mark.long
@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[f"{page}-{code.splitlines()[2][:30]}" for page, code in PYTHON])
def test_python_blocks_run(page, code, tmp_path, monkeypatch, capsys):
    path = tmp_path / "block.py"
    path.write_text(code)  # a file, so that its pieces are cached beside it
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "readme", "__file__": str(path)}
    exec(compile(code, str(path), "exec"), names)
    shown = capsys.readouterr().out
    if "NoTheorem" in code:
        assert "Theorem 1b" in shown
        assert "§2.4" in shown
        assert names["trace"].gap(names["limit"])[-1] < 1e-13
    if "series" in names:
        assert names["limit"].certified
        assert "log loss   against t: slope -1.00, predicted -1" in shown
        assert names["trace"].increment() == pytest.approx(names["limit"].w / names["limit"].margin,
                                                           rel=3e-2)
        assert "best p" in shown
        assert "not at a maximum" not in shown
        # the norms give visibly different answers, along those that the comment names
        wanted = {"l1": (1, 0, 0), "l2": (2, 1, 1), "linf": (1, 1, 1)}
        for norm, along in wanted.items():
            w = fb.max_margin(names["X"], names["y"], norm).w
            assert w / w[0] == pytest.approx(np.array(along) / along[0], abs=1e-9)
            others = [np.array(v) for v in wanted.values() if v != along]
            assert all(w @ v < 0.95 * np.linalg.norm(w) * np.linalg.norm(v) for v in others)
    if "proof()" in code:
        assert shown.startswith("exact ")
        assert cli.main(["check", "proof.json"]) == 0
        assert np.array(list(map(Fraction, names["document"]["primal"])), float) == pytest.approx(
            names["limit"].w / names["limit"].margin)
    if "separation(" in code:
        assert "quasi-complete" in shown
        assert "-0.120626" in shown
        assert names["limit"].kind == "ray"
        assert names["limit"].certified
        near, far = (float(line) for line in shown.splitlines() if re.fullmatch(r"\d\.?\d*e-\d+", line) or
                     re.fullmatch(r"0\.\d+", line))
        assert near < 1e-3
        assert far < 1e-10
        assert names["line"].w / names["line"].margin == pytest.approx([-2, -2])
        assert names["line"].alpha == pytest.approx([2, 2, 4])
        assert names["line"].intercept / names["line"].margin == pytest.approx(9)
    elif "fast_forward" in code:
        assert float(shown.split()[0]) < 1e-8
        assert "80001 exact steps" in shown
    if "mine" in names:
        c = np.array([1, 2, 4])  # the minimum weighted norm: w ∝ x / c
        wanted = [1, 2, 3] / c
        end, margin = shown.splitlines()
        found = np.fromstring(end.strip("[] "), sep=" ")
        assert found == pytest.approx(4 * wanted / (wanted @ [1, 2, 3]), rel=1e-7)
        assert margin.endswith(" True")


def lines(code):
    return [line for line in code.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_the_examples_are_as_short_as_promised():
    shown = dict(PYTHON)
    assert len(lines(shown["README"])) <= 12
    assert len(lines(shown["own"])) <= 15


def test_the_readme_is_short_and_every_page_is_read_by_way_of_it():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(PYTHON) >= 12
    told = set(re.findall(r"\]\(docs/(\w+)\.md\)", text))
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - told == {"index", "guide", "theory", "project"}


@pytest.mark.long
def test_the_command_on_the_muesli_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    block = next(code for _, kind, code in BLOCKS if kind == "sh" and "muesli" in code)
    pathlib.Path("muesli.csv").write_text(re.search(r"<<'END'\n(.*?)END\n", block, re.S)[1])
    words = shlex.split(block[block.index("-m fastbias"):].replace("\\\n", ""))[2:]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    text = next(code for _, kind, code in BLOCKS if kind == "text")
    for line in text.splitlines():
        name, *numbers = line.split()
        if "predicted" in line:
            row = next(r for r in shown.splitlines() if r.split()[:1] == [name])
            found = [float(x) for x in row.split()[1::2]]
            assert found == pytest.approx([float(x) for x in numbers[::2]], abs=1e-8)
        elif name == "by":
            assert line in shown
    assert "certified, residual" in shown
    X, y = fb.data.read("muesli.csv", target="wanted", drop="nutrient")
    wanted = fb.bregman_projection(X, y, fb.potentials.entropy).w
    assert fb.Trace.load("run.npz").w[-1] == pytest.approx(wanted, abs=1e-9)
    euclid = [w if w != "mirror" else "gradient" for w in words
              if w not in ("--potential", "entropy")]
    assert cli.main(euclid) == 0
    walnuts = next(r for r in capsys.readouterr().out.splitlines() if r.startswith("  walnuts"))
    assert float(walnuts.split()[1]) == pytest.approx(-0.05, abs=0.001)


@pytest.mark.long
def test_the_commands_on_the_flowers_do_what_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    block = next(code for _, kind, code in BLOCKS if kind == "sh" and "flowers" in code)
    pathlib.Path("flowers.csv").write_text(re.search(r"<<'END'\n(.*?)END\n", block, re.S)[1])
    shown = []
    for line in re.findall(r"-m fastbias (.*)", block):
        assert cli.main(shlex.split(line)) == 0
        shown.append(capsys.readouterr().out)
    assert "certified" in shown[0]
    assert "Theorem 5" in shown[1]
    assert "best p" in shown[2]


TUTORIALS = sorted(set((ROOT / "docs" / "tutorials").glob("*.md")) - {ROOT / "docs" / "tutorials" / "index.md"})


def test_there_are_five_tutorials_each_with_exercises_and_the_index_leads_to_them():
    index = (ROOT / "docs" / "tutorials" / "index.md").read_text()
    assert [path.stem for path in TUTORIALS] == ["cluster", "figure1", "heads", "margins", "separation"]
    for path in TUTORIALS:
        text = path.read_text()
        assert f"\n{path.stem}\n" in index
        assert text.count("```{code-cell}") >= 6
        assert text.partition("## Exercises")[2].count(":tags: [hide-input]") >= 2


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = re.findall(r"^### (An? \w+)\n.*?```python\n(.*?)```", CONTRIBUTING, re.S | re.M)


@pytest.mark.long
@pytest.mark.parametrize(("title", "code"), RECIPES, ids=[title for title, _ in RECIPES])
def test_recipes_run(title, code, tmp_path, monkeypatch):
    monkeypatch.setattr(points, "ROOT", points.ROOT)           # which one of them adds to
    path = tmp_path / "recipe.py"
    path.write_text(code)
    exec(compile(code, str(path), "exec"), {"__name__": "recipe", "__file__": str(path)})
    assert "assert " in code


def test_there_is_a_recipe_for_each_kind_of_piece_and_it_names_what_exists():
    assert [title.split()[1] for title, _ in RECIPES] == [
        "norm", "potential", "loss", "model", "method", "theorem"]
    there = {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert set(re.findall(r"`(test_\w+\.py|naive\w*\.py)`", CONTRIBUTING)) <= there
    for path in re.findall(r"`((?:fastbias|bench|paper_figures)/[\w/]*(?:\.py)?)`", CONTRIBUTING):
        assert (ROOT / path).exists(), path


def keras(gradient, w, steps, etas, momentum, nesterov):
    """As Keras documents SGD: velocity = momentum * velocity - learning_rate * g."""
    velocity, found = 0 * w, [w]
    for eta in etas[:steps]:
        g = gradient(w)
        velocity = momentum * velocity - eta * g
        w = w + (momentum * velocity - eta * g if nesterov else velocity)
        found.append(w)
    return np.array(found)


def pytorch(gradient, w, steps, etas, momentum, nesterov, dampening=0.0):
    """As PyTorch documents SGD: b = momentum * b + (1 - dampening) * g, at first b = g."""
    b, found = None, [w]
    for eta in etas[:steps]:
        g = gradient(w)
        b = g if b is None else momentum * b + (1 - dampening) * g
        w = w - eta * (g + momentum * b if nesterov else b)
        found.append(w)
    return np.array(found)


def test_momentum_is_that_of_keras_and_pytorch_as_the_documents_say():
    X, y = np.array([[1.0, 2.0, 0.5], [0.5, -1.0, 1.0]]), np.array([1.0, 0.5])
    start, steps, mu = np.array([0.3, -0.2, 0.1]), 60, 0.8
    fixed, falling = np.full(steps, 0.02), 0.03 / np.arange(1, steps + 1) ** 0.5

    def gradient(w):
        return 2 * X.T @ (X @ w - y)

    def ours(etas, momentum, nesterov=0.0):
        method = fb.methods.gradient_descent(etas, momentum, nesterov)
        return fb.run(X, y, loss="squared", method=method, start=start, steps=steps,
                      record=np.arange(steps + 1)).w

    def ahead(w):                                              # w + μΔw
        return w + mu * np.diff(w, axis=0, prepend=w[:1])

    for etas in (fixed, falling):
        assert ours(etas, mu) == pytest.approx(keras(gradient, start, steps, etas, mu, False))
        found = keras(gradient, start, steps, etas, mu, True)
        assert ahead(ours(etas, mu, mu)) == pytest.approx(found)
    assert ours(fixed, mu) == pytest.approx(pytorch(gradient, start, steps, fixed, mu, False))
    assert ahead(ours(fixed, mu, mu)) == pytest.approx(
        pytorch(gradient, start, steps, fixed, mu, True))
    found = pytorch(gradient, start, steps, falling, mu, False)
    betas = np.append(0.0, mu * falling[1:] / falling[:-1])
    assert ours(falling, betas) == pytest.approx(found)
    assert np.abs(ours(falling, mu) - found).max() > 1e-3      # and not the same without it
    # dampening: η(1 − τ), but for the first gradient
    damped = pytorch(gradient, start, steps, fixed, mu, False, dampening=0.3)
    etas = np.append(fixed[0], 0.7 * fixed[1:])
    assert ours(etas, mu) == pytest.approx(damped)


LINKED = [*ROOT.glob("*.md"), ROOT / "bench" / "README.md", *sorted((ROOT / "docs").glob("*.md")),
          *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for module in re.findall(r"-m (paper_figures\.[a-z]\w*)", text):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists(), module
    for target in re.findall(r"^make (\w+)", text, re.M):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target


def test_figures_are_drawn_where_git_does_not_look_unless_told(tmp_path, monkeypatch):
    monkeypatch.setattr(_style, "ROOT", tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert _style.folder([], "A figure.").resolve() == tmp_path / "here" / "figures"    # of an installation
    with pytest.raises(SystemExit):
        _style.folder(["--committed"], "A figure.")
    (tmp_path / "docs" / "figures").mkdir(parents=True)
    assert _style.folder([], "A figure.") == tmp_path / "figures"
    assert _style.folder(["--committed"], "A figure.") == tmp_path / "docs" / "figures"
    assert _style.folder(["--out", str(tmp_path / "mine")], "A figure.") == tmp_path / "mine"
    assert all((tmp_path / name).is_dir() for name in ("figures", "docs/figures", "mine"))
    assert "/figures/" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_figure_has_its_script_and_its_numbers():
    # the ledger is a page, in docs itself
    scripts = {path.stem for path in (ROOT / "paper_figures").glob("[a-z]*.py")} - {"ledger"}
    for kind in ("png", "pdf", "csv"):
        assert {path.stem for path in (ROOT / "docs" / "figures").glob(f"*.{kind}")} == scripts
