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


CONTRARY = "1,2;1|2,1;1|1,1;3"


def panels(data, **asked):
    asked = fig1.Asked(fig1.table([data]), **asked)
    return [fig1.momentum(asked), fig1.natural(asked), fig1.steepest(asked)]


def drawn_as(monkeypatch, tmp_path, *words):
    """The figure as it would be written."""
    figures = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *a, **k: figures.append(figure))
    fig1.main([*words, "--out", str(tmp_path)])
    figures[0].canvas.draw()
    return figures[0]


def test_titles_are_taken_from_where_runs_end():
    told = [panel.title.partition("\n")[2] for panel in (fig1.momentum(fig1.Asked()), fig1.natural(fig1.Asked()),
                                                        fig1.steepest(fig1.Asked()))]
    assert told == ["the limit depends on β and γ", "the limit depends on η", "the limit depends on η; η → 0 misses w*"]
    assert [p.title.partition("\n")[2] for p in panels("-1,2;3|1,1;2", eta=(0.01,))] == ["the solution is unique"] * 3
    assert [p.title.partition("\n")[2] for p in panels(CONTRARY, eta=(0.01,))] == ["the least-squares solution is unique"] * 3
    a, b, c = panels("2,3;1.5", eta=(0.02,), momenta=((0, 0), (0, 0.5)))
    assert a.title.endswith("all runs that rest end on w*")
    assert b.title.endswith("one run rests, and ends off w*")
    assert c.title.endswith("one run rests, and ends on w*")
    assert panels("1,1;-1", eta=(0.01,))[0].title.endswith("no run comes to rest")


@pytest.mark.usefixtures("_unseen")
def test_contradictions_are_said_once_and_no_theorem_is_none(tmp_path, capsys):
    fig1.main(["--data", CONTRARY, "--eta", ".01", "--out", str(tmp_path)])
    told = capsys.readouterr().out
    assert told.count("no w*: ") == 1
    assert "no w*: 3 equations in 2 unknowns contradict each other; give as many unknowns as equations, or more" in told
    assert "no: Theorem" not in told
    assert "no theorem, but the solution is unique" in told
    fig1.main(["--data", "1,1;-1", "--eta", ".01", "--out", str(tmp_path)])
    told = capsys.readouterr().out
    assert "no: Theorem" not in told
    assert "still moving at t = 10000" in told
    assert {row["kind"] for row in ends(read(tmp_path), "a").values()} == {"under way"}


@pytest.mark.usefixtures("_unseen")
def test_runs_that_stop_say_in_the_table_which_step_would_do(tmp_path, capsys):
    fig1.main(["--data", "2,3;1.5", "--eta", ".05", "5", "--out", str(tmp_path)])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  η = 5 "))
    assert "OUT_OF_DOMAIN after t = 0: the iterate left the domain" in line
    eta = float(line.partition("step_size=")[2].split()[0])
    plan = fb.Plan([[2, 3]], [1.5], loss="squared", method=fb.methods.natural_gradient("entropy", eta))
    assert plan.run(fig1.STEPS).log_loss[-1] < -50


@pytest.mark.parametrize("words", [("--data", "2,3;1.5"), ("--data", "-1,2;3|1,1;2", "--eta", ".01"),
                                   ("--data", CONTRARY, "--eta", ".01"), ("--data", "1,1;-1", "--eta", ".01")])
def test_legends_of_other_data_hide_nothing_and_name_what_is_drawn(words, monkeypatch, tmp_path):
    figure = drawn_as(monkeypatch, tmp_path, *words)
    width = figure.bbox.width
    for ax in figure.axes:
        box, frame = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert box.y1 <= frame.y0                                       # under the axes, and in the picture
        assert box.x0 >= 0
        assert box.x1 <= width
        assert ax.title.get_window_extent().x1 <= width + 1
        for text in ax.get_legend().get_texts():
            assert len(text.get_text()) < 40
    lines = any(len(panel.line) for panel in panels(words[1], eta=(0.01,)))
    stars = any(panel.star is not None for panel in panels(words[1], eta=(0.01,)))
    told = " ".join(text.get_text() for legend in figure.legends for text in legend.get_texts())
    assert ("all global minima" in told) == lines
    assert ("nearest to" in told) == stars


def test_marks_on_a_line_say_how_near_they_end(monkeypatch, tmp_path):
    figure = drawn_as(monkeypatch, tmp_path)
    told = " ".join(text.get_text() for legend in figure.legends for text in legend.get_texts())
    near = max(run.trace.gap(panel.star)[-1] for panel in (fig1.momentum(fig1.Asked()), fig1.natural(fig1.Asked()))
               for run in panel.runs if panel.on_star(run))
    said = float(told.partition("end within ")[2].split()[0])
    assert near <= said <= 2 * near
    assert "a run that stopped" not in told


def test_marks_that_end_on_the_star_stand_beside_it():
    panel = fig1.natural(fig1.Asked())
    there = [run.name for run in panel.runs if panel.on_star(run)]
    assert there == ["η = 0.02", "η → 0, the flow"]
