"""Figures as a tool: what Figure 1 draws of other data, and what becomes of runs that stop."""
import csv

import numpy as np
import pytest

import fastbias as fb
from paper_figures import _style, fig1
from tests.helpers import JIT

pytestmark = pytest.mark.skipif(not JIT, reason="too many steps without the compiler")


def read(folder):
    with open(folder / "fig1.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ends(rows, panel):
    return {row["run"]: row for row in rows if row["panel"] == panel and row["t"] and row["kind"] not in ("trajectory", "line")}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("fig1")
    fig1.main(["--data", "2,3;1.5", "--eta", ".01", "5", "--momentum", "0,0", ".9,.9", "--out", str(out)])
    return out


def test_other_data_are_drawn_and_runs_that_stop_are_said_and_not_fatal(drawn, capsys):
    assert {path.name for path in drawn.iterdir()} == {"fig1.png", "fig1.pdf", "fig1.csv"}
    rows = read(drawn)
    for panel in "abc":
        lines = [row for row in rows if row["panel"] == panel and row["kind"] == "line"]
        assert all(np.isclose(2 * float(row["w1"]) + 3 * float(row["w2"]), 1.5) for row in lines)
        assert len(lines) == 2
    star = next(row for row in rows if row["panel"] == "a" and row["kind"] == "prediction")
    want = fb.bregman_projection([[2, 3]], [1.5], "entropy").w
    assert np.allclose([float(star["w1"]), float(star["w2"])], want)
    natural, steepest = ends(rows, "b"), ends(rows, "c")
    assert natural["η = 5"]["kind"] == "OUT_OF_DOMAIN after t = 0"
    assert steepest["η = 5"]["kind"].startswith("NOT_FINITE after t = ")
    assert natural["η = 0.01"]["kind"] == "limit"
    # and it is the very run that a plan makes
    plan = fb.Plan([[2, 3]], [1.5], loss="squared", method=fb.methods.natural_gradient("entropy", 0.01))
    w = plan.run(fig1.STEPS, record=400).w[-1]
    assert [float(natural["η = 0.01"][name]) for name in ("w1", "w2")] == w.tolist()
    assert set(ends(rows, "a")) == {"β = 0, γ = 0", "β = 0.9, γ = 0.9", "dual: β = 0.5"}


@pytest.fixture
def _unseen(monkeypatch):
    """Pictures are not written, which takes longest."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *a, **k: None)


@pytest.mark.usefixtures("_unseen")
def test_the_same_call_writes_the_same_numbers(drawn, tmp_path):
    fig1.main(["--data", "2,3;1.5", "--eta", ".01", "5", "--momentum", "0,0", ".9,.9", "--out", str(tmp_path)])
    assert (tmp_path / "fig1.csv").read_bytes() == (drawn / "fig1.csv").read_bytes()


@pytest.mark.usefixtures("_unseen")
def test_data_without_a_star_or_a_line_are_drawn(tmp_path, capsys):
    fig1.main(["--data", "1,1;-1", "--eta", ".01", "--out", str(tmp_path)])       # no w > 0 solves that
    assert "no w*: " in capsys.readouterr().out
    assert not [row for row in read(tmp_path) if row["panel"] == "a" and row["kind"] == "prediction"]


@pytest.mark.parametrize(("texts", "X", "y"), [
    (["2,3;1.5"], [[2, 3]], [1.5]), (["1,2;3|4,5;6"], [[1, 2], [4, 5]], [3, 6]), (["1,2;3 4,5;6"], [[1, 2], [4, 5]], [3, 6]),
    (["1, 2 ; 3", "4,5;6"], [[1, 2], [4, 5]], [3, 6]), (["-1,2,.5;-3e-1"], [[-1, 2, 0.5]], [-0.3]),
])
def test_data_are_read(texts, X, y):
    found = fig1.table(texts)
    assert np.array_equal(found[0], X)
    assert np.array_equal(found[1], y)


@pytest.mark.parametrize(("argv", "message"), [
    (["--data", "2,3"], '--data must be rows such as "2,3;1.5"'), (["--data", "2,x;1"], "got '2,x;1'"),
    (["--data", "2;1"], "--data must be rows of two features or more"), (["--data", "1,2;3 1,2,3;4"], "of equal number"),
    (["--data", ""], "--data must be rows of two features"), (["--momentum", "1"], "--momentum must be pairs such as 0.5,0"),
    (["--eta", "-1"], "step_size must be"),
])
def test_bad_options(argv, message, tmp_path):
    with pytest.raises(ValueError, match="must be") as told:
        fig1.main([*argv, "--out", str(tmp_path)])
    assert message in str(told.value)


def test_from_the_command_line_that_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["fig1.py", "--data", "2,3", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="fig1: --data must be rows"):
        _style.command(fig1.main)


def test_marks_that_end_on_the_star_stand_beside_it():
    panel = fig1.natural(fig1.Asked())
    there = [run.name for run in panel.runs if panel.on_star(run)]
    assert there == ["η = 0.02", "η → 0, the flow"]
