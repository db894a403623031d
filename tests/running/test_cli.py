"""The command line: pieces from words, which nothing hostile gets through, and each command on a table."""
import csv
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbias as fb
from fastbias.engine.abi import MAP, VALUE, piece
from fastbias.pieces.recipe import recorded
from fastbias.running import cli
from fastbias.running.cli.words import SHELVES, Words, factories, takers
from tests.helpers import JIT
from tests.helpers.command import command

TWO = "a,b,kind\n0.5,1.5,yes\n1.5,0.5,yes\n-2,-2,no\n-1,-3,no\n"
SQUARES = "a,b,y\n1,2,1\n"


def told(thing):
    """Its expression, without what draws where nobody said, and however pieces in it are named."""
    return re.sub(r"rng=\d+|['\"]|\b(?:potentials|norms|losses|models)\.", "", words_of(thing))


def words_of(thing):
    """The expression that makes a piece again."""
    for kind, (module, _) in SHELVES.items():
        names = [n for n in module.__all__ if getattr(module, n) is thing]
        if names:
            return f"{module.__name__.rpartition('.')[2]}.{names[0]}"
        assert kind
    if hasattr(thing, "recipe"):
        name, arguments = thing.recipe
        return f"{name}({', '.join(f'{k}={words_of(v)}' for k, v in sorted(arguments.items()))})"
    if thing is None or isinstance(thing, (str, bool, int, float)):
        return repr(thing)
    return repr([x.tolist() if isinstance(x, np.ndarray) else x for x in thing]
                if isinstance(thing, (list, tuple)) else np.asarray(thing).tolist())


EXAMPLES = [(kind, example) for kind, (module, _) in SHELVES.items() for example in module.EXAMPLES
            if hasattr(example, "recipe") or any(getattr(module, n) is example for n in module.__all__)]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=lambda x: getattr(x, "name", x))
def test_every_piece_is_made_again_of_its_words(kind, example):
    made = Words("--piece").piece(kind, words_of(example))
    assert type(made) is type(example)
    if hasattr(example, "recipe"):
        assert repr(made) == repr(example)
        assert told(made) == told(example)
    else:
        assert made is example


def test_the_examples_leave_no_factory_out():
    shown = {(kind, example.recipe[0]) for kind, example in EXAMPLES if hasattr(example, "recipe")}
    lacking = {(kind, name) for kind in SHELVES for name in factories(kind)} - shown
    assert lacking <= {("rule", "chosen"), ("rule", "line_search"), ("method", "muon")}, lacking


@pytest.mark.parametrize(("kind", "text", "same"), [
    ("method", "gradient(0.1)", fb.methods.gradient_descent(0.1)),
    ("method", "mirror:potential=hypentropy(beta=1e-3),step_size=.1",
     fb.methods.mirror_descent(fb.potentials.hypentropy(1e-3), 0.1)),
    ("method", "mirror_descent(potential=entropy, step_size=[.1, .2])", fb.methods.mirror_descent("entropy", [0.1, 0.2])),
    ("method", "fb.methods.steepest_descent(fb.norms.lp(4/3), steps.power(0.1, 0.5))",
     fb.methods.steepest_descent(fb.norms.lp(4 / 3), fb.steps.power(0.1, 0.5))),
    ("method", "steepest(1.5, loss_scaled(.1), normalised=True)" if 0 else "steepest(1.5, loss_scaled(.1))",
     fb.methods.steepest_descent(fb.norms.lp(1.5), fb.steps.loss_scaled(0.1))),
    ("method", "coordinate(0.1, ties=average)", fb.methods.coordinate_descent(0.1, ties="average")),
    ("method", "natural('entropy', auto)", fb.methods.natural_gradient("entropy", "auto")),
    ("norm", "inf", fb.norms.lp(float("inf"))), ("norm", "-(-3.0)", fb.norms.lp(3.0)),
    ("norm", "group([[0, 1], [2]])", fb.norms.group([[0, 1], [2]])),
    ("potential", "quadratic([[2, 1], [1, 2]])", fb.potentials.quadratic([[2, 1], [1, 2]])),
    ("loss", "huber(0.5)", fb.losses.huber(0.5)), ("model", "diagonal(2, signed=True)", fb.models.diagonal(2, signed=True)),
])
def test_expressions(kind, text, same):
    made = Words("--piece").piece(kind, text)
    assert repr(made) == repr(same)
    assert told(made) == told(same)


@pytest.mark.parametrize(("kind", "text", "said"), [
    ("method", "adamant(0.1)", r"one of adagrad, .*got 'adamant' \(did you mean 'adam'\?\)|write fb.methods.adam"),
    ("method", "mirror_descent(potentail=entropy)", r"has no argument 'potentail' \(did you mean 'potential'\?\); it takes"),
    ("method", "mirror_descent(entropy)", r"mirror_descent wants step_size as well, such as mirror_descent\(step_size=\.\.\.\)"),
    ("method", "mirror_descent(entropie, 1)", r"one of .*got 'entropie' \(did you mean 'entropy'\?\)"),
    ("method", "gradient_descent(1, 2, 3, 4, 5, 6, 7, 8, 9)", "gradient_descent takes step_size, .*got 9 arguments without names"),
    ("method", "gradient_descent(1, step_size=2)", "was given step_size twice"),
    ("method", "gradient_descent(-1)", "step_size must be"), ("method", "gradient_descent(", "must be a name, or a call"),
    ("method", "", "must be a name, or a call .*got nothing"), ("norm", "0.5", "must be a number >= 1, inf, or one of l1, l2"),
    ("norm", "l3", "write 3$"), ("norm", "entropy", "must be a number >= 1"),
    ("norm", "potentials.entropy", "must be a number >= 1"), ("loss", "mse", "did you mean 'squared'"),
    ("norm", "spectral", "spectral wants m, n as well"), ("norm", "True", "must be a number >= 1"),
    ("potential", "hypentropy(1, 2)", "takes beta"), ("norm", "lp(1/0)", "must be made of names, numbers"),
    ("model", "diagonal(**X)", "must call factories"), ("model", "diagonal(*[2])", "must call factories"),
    ("norm", "os.system('x')", "must name a piece of methods, potentials"), ("norm", "a" * 5000, "must be a name"),
    ("norm", "[" * 25 + "]" * 25, "at most 20 brackets"), ("norm", "-" * 3000 + "1", "must be"),
    ("norm", "1" + "/1" * 1900, "must be"), ("norm", "lp(" + "9" * 3000 + ")", "must"), ("norm", "lp(9**9**9)", "must be made of"),
    ("norm", "\0", "must be a name"), ("norm", "lp(p=3, p=4)", "name each argument of lp once"),
    ("method", "Method(name='x')", "must be one of"), ("norm", "Norm", "must be a number"),
])
def test_what_is_none_gets_one_sentence(kind, text, said):
    with pytest.raises(ValueError, match=said) as error:
        Words("--piece").piece(kind, text)
    assert "\n" not in str(error.value)


HOSTILE = ["__import__('os').system('touch {}')", "open('{}', 'w')", "(lambda: open('{}', 'w'))()", "exec(\"open('{}', 'w')\")",
           "lp.__globals__['__builtins__']['open']('{}', 'w')", "lp.__wrapped__(3)", "[open('{}', 'w') for _ in [1]]",
           "f\"{{open('{}', 'w')}}\"", "lp(p=(x := open('{}', 'w')))", "norms.lp.__call__(3)", "fb.piece(open('{}', 'w'))",
           "checks.array", "recipe.recorded", "Portable", "norms.recorded(lp)", "lp(3).name", "lp(3)(X)", "X.__class__",
           "X if True else X", "l1 or l2", "not l1", "lp(3) + lp(4)", "{{1: 2}}", "{{1}}", "...", "b'x'", "1j", "await x", "yield"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", ["norm", "method", None])
def test_hostile_words_execute_nothing(text, kind, tmp_path):
    path = tmp_path / "touched"
    words = Words("--piece", {"X": np.ones((2, 2))})
    for nested in (text, f"lp({text})", f"gradient_descent(step_size={text})", f"mirror:potential={text}"):
        with pytest.raises((ValueError, TypeError)):
            words.piece("norm" if kind is None else kind, nested.format(path))
        with pytest.raises((ValueError, TypeError)):
            words.value("rule", nested.format(path))
    assert not path.exists()


WORDS = st.sampled_from(["lp", "(", ")", ",", "=", "p", "3", "1.5", "[", "]", "'", '"', "-", "/", ".", "fb", "norms", "entropy", ":",
                         "mirror", "gradient_descent", "step_size", "auto", "None", "True", "lambda", "*", "**", "inf", "X", "\\", "{", "}",
                         " ", "\n", "#", "if", "for", "in", "0x", "1e999", "_", "__class__"])


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=14).map("".join)), st.sampled_from([*SHELVES]))
def test_any_text_makes_a_piece_or_one_sentence(text, kind):
    words = Words("--piece", {"X": np.ones((2, 2))}, {"step_size": 0.1, "potential": "entropy", "norm": "l2"})
    for ask in (words.piece, words.value):
        said, made = "", None
        try:
            made = ask(kind, text)
        except (ValueError, TypeError) as error:
            said = str(error)
        assert "\n" not in said
        assert said or ask == words.value or isinstance(made, SHELVES[kind][1])


def test_a_new_piece_is_there_at_once(monkeypatch, table, capsys):
    @piece(MAP)
    def turn(params, g, out):
        for i in range(g.size):
            out[i] = g[i]
        return 0

    @piece(VALUE)
    def size(params, w):
        return np.sqrt((w * w).sum())

    @recorded
    def brand_new(c: float) -> fb.norms.Norm:
        """c‖w‖₂."""
        return fb.norms.Norm(name=f"brand_new{c:g}", steepest=turn, dual_norm=size, norm=size)
    monkeypatch.setattr(fb.norms, "brand_new", brand_new, raising=False)
    monkeypatch.setattr(fb.norms, "__all__", [*fb.norms.__all__, "brand_new"])
    assert Words("--norm").piece("norm", "brand_new(c=2)").name == "brand_new2"
    made = Words("--method").piece("method", "steepest(norm=brand_new(3), step_size=.1)")
    assert made.geometry.name == "brand_new3"

    @recorded
    def newest_descent(step_size: fb.steps.StepRule | float, potential: fb.potentials.Potential | str) -> fb.methods.Method:
        """Mirror descent."""
        return fb.methods.mirror_descent(potential, step_size)
    monkeypatch.setattr(fb.methods, "newest_descent", newest_descent, raising=False)
    monkeypatch.setattr(fb.methods, "__all__", [*fb.methods.__all__, "newest_descent"])
    code, out, _ = command(capsys, "run", table(SQUARES), "--loss", "squared", "--method", "newest", "--potential", "cosh",
                           "--step-size", "0.05", "--steps", "20", "--quiet")
    assert code == 0
    assert "mirror_descent(cosh, constant(0.05))" in out
    assert "newest_descent" in takers("potential")


def test_options_and_expressions_are_the_same_run(table, tmp_path, capsys):
    path, ends = table(SQUARES), []
    for words in (["mirror", "--potential", "entropy", "--step-size", "0.05", "--momentum", "0.5"],
                  ["mirror_descent(entropy, 0.05, dual_momentum=.5)"],
                  ["mirror:potential=entropy,step_size=.05,dual_momentum=.5"],
                  ["mirror(dual_momentum=.5)", "--potential", "potentials.entropy", "--step-size", "constant(0.05)"]):
        code, _, _ = command(capsys, "run", path, "--loss", "squared", "--steps", "50", "--quiet", "--out", tmp_path / "out.npz",
                             "--method", *words)
        assert code == 0
        ends.append(fb.Trace.load(tmp_path / "out.npz").u[-1])
    same = fb.run([[1, 2]], [1], loss="squared", method=fb.methods.mirror_descent("entropy", 0.05, dual_momentum=0.5), steps=50)
    assert {end.tobytes() for end in ends} == {same.u[-1].tobytes()}


@pytest.mark.parametrize(("words", "said"), [
    (["gradient", "--norm", "l1"], "--norm must be left out for gradient, which has its own: it is for"),
    (["dual_acceleration", "--step-rule", "bounded"], "--step-size and --step-rule must be left out for dual_acceleration"),
    (["gradient(0.1)", "--step-size", "0.2"], "--step-size and --step-rule must be left out for gradient"),
    (["gradient", "--step-size", ".1,.2", "--step-rule", "bounded"], "--step-rule must be left out beside --step-size .1,.2"),
    (["gradient", "--step-size", "fast"], "one of"), (["gradient", "--start", "[1,"], "--start must be"),
    (["gradient", "--start", "[1,2,3]"], "start must"), (["gradient", "--model", "diagonal(2)"], "start must be given for the diagonal"),
    (["gradient", "--plot", "/nowhere/x.png"], "folder that exists"), (["gradient", "--fast-forward", "-1"], "--fast-forward must be"),
    (["muon"], "predictors"), (["gradient", "--model", "relu(X)"], "relu wants width as well"),
])
def test_runs_that_cannot_be_get_one_sentence(table, capsys, words, said):
    code, _, err = command(capsys, "run", table(SQUARES), "--loss", "squared", "--quiet", "--method", *words)
    assert code == 2
    assert said in err
    assert err.startswith("fastbias: ")
    assert err.count("\n") == 1


@pytest.mark.long
def test_networks_seeds_forwards_and_plots(table, tmp_path, capsys):
    path, out = table(TWO), [tmp_path / "one.npz", tmp_path / "two.npz"]
    for file in out:
        code, text, _ = command(capsys, "run", path, "--loss", "exponential", "--method", "gradient", "--model", "diagonal(2, signed=True)",
                                "--start", "0.1", "--seed", "3", "--steps", "300", "--quiet", "--out", file, "--plot", tmp_path / "p.png")
        assert code == 0
        assert "step size" in text
        assert "trial" in text
    assert fb.Trace.load(out[0]).u.tobytes() == fb.Trace.load(out[1]).u.tobytes()
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    code, text, _ = command(capsys, "run", path, "--loss", "logistic", "--method", "gradient", "--steps", "500", "--quiet",
                            "--fast-forward", "1e6", "--intercept")
    assert code == 0
    assert "log t = 1e+06" in text
    assert float(text.split("distance to it: ")[1].split()[0]) < 1e-4
    assert len(text.splitlines()) <= 30
    code, text, _ = command(capsys, "run", path, "--loss", "squared", "--labels", "binary", "--method", "gradient", "--step-size", "1e27",
                            "--steps", "100", "--quiet")
    assert code == 1
    assert "would do" in text


def test_wide_tables_print_little(table, capsys):
    X = np.random.default_rng(0).normal(size=(8, 60)).round(3)
    rows = "\n".join(",".join(map(str, x)) + f",{i % 2}" for i, x in enumerate(X))
    path = table(",".join(f"x{j}" for j in range(60)) + ",y\n" + rows)
    for words in (["run", path, "--loss", "logistic", "--method", "gradient", "--steps", "50", "--quiet"], ["margin", path],
                  ["path", path, "--radii", "1,2"]):
        code, text, _ = command(capsys, *words)
        assert code == 0
        assert len(text.splitlines()) <= 30, text


def test_paths(table, tmp_path, capsys):
    path = table(TWO)
    code, text, _ = command(capsys, "path", path, "--norm", "l1", "--radii", "1,10,100", "--out", tmp_path / "path.csv", "--plot",
                            tmp_path / "path.pdf")
    assert code == 0
    with open(tmp_path / "path.csv", newline="") as file:
        names, *rows = csv.reader(file)
    assert names == ["radius", "log_loss", "a", "b"]
    found = fb.regularisation_path([[0.5, 1.5], [1.5, 0.5], [-2, -2], [-1, -3]], [1, 1, -1, -1], [1, 10, 100], "l1")
    assert np.array(rows, float)[:, 2:] == pytest.approx(found.w, abs=1e-9)
    assert np.array(rows, float)[:, 1] == pytest.approx(found.log_loss)
    assert (tmp_path / "path.pdf").read_bytes()[:4] == b"%PDF"
    code, text, _ = command(capsys, "path", table("a,b,y\n1,2,1\n2,1,3\n"), "--lambdas", "5")
    assert code == 0
    assert text.count("\n") >= 6
    code, _, err = command(capsys, "path", path, "--lambdas", "5", "--intercept")
    assert (code, err.count("\n")) == (2, 1)


def test_separations(table, capsys):
    code, text, _ = command(capsys, "separation", table(TWO))
    assert code == 0
    assert "complete" in text
    assert "yes" in text


@pytest.mark.parametrize("words", [["margin"], ["margin", "--intercept"], ["separation"], ["diagnose", "w.npy"], ["path", "--radii", "1,10"]])
def test_every_command_draws(table, tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    np.save("w.npy", [1.0, 2.0])
    code, text, _ = command(capsys, words[0], table(TWO), *words[1:], "--plot", "p.png")
    assert (code, text.splitlines()[-1]) == (0, "drew p.png")
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    for path, said in (("p.nope", "--plot must end in one of"), ("/nowhere/p.png", "--plot must lie in a folder that exists")):
        code, text, err = command(capsys, words[0], table(TWO), *words[1:], "--plot", path)
        assert (code, text, err.count("\n")) == (2, "", 1)
        assert said in err


@pytest.mark.parametrize(("words", "said"), [
    (["run"], "the following arguments are required: file"), (["run", "my.csv", "--steps", "x"], "argument --steps: invalid float value"),
    (["path", "my.csv", "--radii"], "argument --radii: expected one argument"), (["header", "extra"], "unrecognized arguments: extra"),
    ([], "required: COMMAND"), (["nonsense"], "invalid choice: 'nonsense'")])
def test_words_that_are_no_command_get_one_line(capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    err = capsys.readouterr().err
    assert (ended.value.code, err.count("\n")) == (2, 1)
    assert said in err
    assert "--help lists what there is" in err


def test_what_would_fail_at_the_end_is_refused_before_the_run(table, capsys):
    for words, said in ((["--fast-forward", "2", "--steps", "1e5"], "--fast-forward must be a finite number > 0 and >= 11.5129, got 2"),
                        (["--plot", "p.nope"], "--plot must end in"), (["--loss", "squared"], "--labels binary")):
        code, text, err = command(capsys, "run", table(TWO), "--loss", "logistic", "--method", "gradient", *words)
        assert (code, text, err.count("\n")) == (2, "", 1)
        assert said in err
    code, _, err = command(capsys, "path", table(SQUARES), "--lambdas", "5", "--radii", "1,2")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = command(capsys, "separation", table(TWO), "--intercept", "--no-intercept")
    assert (code, err.count("\n")) == (2, 1)


def test_stumps_in_place_of_columns(table, capsys):
    code, text, _ = command(capsys, "margin", table("a,y\n1,1\n2,-1\n4,1\n"), "--stumps", "--norm", "l1", "--intercept")
    assert code == 0
    assert text.splitlines()[0] == "2 decision stumps"
    assert "a > 1.5" in text
    assert "a > 3" in text


def test_sweeps(table, tmp_path, capsys):
    out = tmp_path / "sweep.csv"
    code, text, _ = command(capsys, "sweep", table(SQUARES), "--loss", "squared", "--method", "gradient", "--steps", "50",
                            "--grid", "step_size=.1,.2,1e9", "momentum=0,.5", "--out", out, "--plot", tmp_path / "heat.png")
    assert code == 0
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(float(r["step_size"]), float(r["momentum"])) for r in rows] == [(a, b) for a in (0.1, 0.2, 1e9) for b in (0, 0.5)]
    for row in rows[:4]:
        method = fb.methods.gradient_descent(float(row["step_size"]), float(row["momentum"]))
        same = fb.run([[1, 2]], [1], loss="squared", method=method, steps=50)
        assert float(row["log_loss"]) == pytest.approx(same.log_loss[-1], rel=1e-12)
    assert rows[-1]["status"] == "NOT_FINITE"
    assert (tmp_path / "heat.png").read_bytes()[:4] == b"\x89PNG"
    assert len(text.splitlines()) <= 30
    for grid, said in ((["step_size"], "--grid must be NAME=VALUES"), (["step_size=.1", "step_size=.2"], "once"),
                       (["width=3"], "grid must name some of"), (["momentum=__import__('os')"], "--grid momentum must")):
        code, _, err = command(capsys, "sweep", table(SQUARES), "--loss", "squared", "--method", "gradient", "--grid", *grid)
        assert code == 2
        assert said in err
        assert err.count("\n") == 1


def test_figures(monkeypatch, capsys):
    assert "fig1" in command(capsys, "figure")[1].split()
    code, _, err = command(capsys, "figure", "fig2")
    assert code == 2
    assert "did you mean 'fig1'" in err
    asked = []
    monkeypatch.setattr(subprocess, "run", lambda words, check: asked.append(words) or subprocess.CompletedProcess(words, 3))
    assert cli.main(["figure", "fig1", "--out", "here", "--data", "2,3;1.5"]) == 3
    assert asked == [[sys.executable, "-m", "paper_figures.fig1", "--out", "here", "--data", "2,3;1.5"]]


def test_version_help_and_the_script(capsys):
    for words, said in ((["--version"], f"fastbias {fb.__version__}"), (["--help"], "separation")):
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code == 0
        assert said in capsys.readouterr().out
    for name in ("run", "margin", "separation", "diagnose", "path", "figure", "sweep", "header"):
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        out = capsys.readouterr().out
        assert f"example:\n  fastbias {name}" in out
    with pytest.raises(SystemExit) as ended:
        cli.main(["nonsense"])
    assert ended.value.code == 2
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    place, _, function = project["scripts"]["fastbias"].partition(":")
    assert callable(getattr(importlib.import_module(place), function))


@pytest.mark.skipif(not JIT, reason="a process more, which is slow without the compiler")
def test_a_process_of_its_own_says_its_version():
    done = subprocess.run([sys.executable, "-m", "fastbias", "--version"], capture_output=True, text=True, check=True,
                          env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.stdout == f"fastbias {fb.__version__}\n"


def test_what_takes_an_argument_is_asked_of_the_signatures():
    for name in ("step_size", "momentum", "potential"):
        assert set(takers(name)) == {x for x in fb.methods.__all__ if inspect.isfunction(getattr(fb.methods, x))
                                     and name in inspect.signature(getattr(fb.methods, x)).parameters}
