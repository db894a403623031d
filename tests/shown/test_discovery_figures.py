"""The figures of discovery: what they say is proved when they are drawn, and their numbers are of runs."""
import csv
import json
from pathlib import Path

import numpy as np
import pytest

import fastbias as fb
from fastbias.discovery import checking
from paper_figures import axioms, hunt
from tests.helpers import JIT

FIGURES = Path(__file__).parents[2] / "docs" / "figures"
long = pytest.mark.skipif(not JIT, reason="too many steps without the compiler")


def read(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def _unseen(monkeypatch):
    """Pictures are not written, which takes longest."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *a, **k: None)


def least(X, y):
    return np.linalg.pinv(X) @ y


def rescaled(X, y):
    c = np.abs(X).sum(0) + 0.1
    return np.linalg.pinv(X * c) @ y * c


@pytest.mark.usefixtures("_unseen")
def test_axioms_are_drawn_of_whatever_chooses(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(axioms, "METHODS", {"least": least, "rescaled": rescaled})
    axioms.main(["--out", str(tmp_path)])
    assert "1 follow no function, proved" in capsys.readouterr().out
    rows = {(row["method"], row["axiom"]): row for row in read(tmp_path / "axioms.csv")}
    seen = fb.axioms.examine(rescaled)
    for axiom in axioms.AXIOMS:
        assert rows["least", axiom]["holds"] == "True"
        assert rows["rescaled", axiom]["holds"] == "False"
        assert float(rows["rescaled", axiom]["largest move"]) == seen.moves[axiom]


def test_nobody_is_refuted_without_a_proof(monkeypatch):
    seen = fb.axioms.examine(rescaled)
    monkeypatch.setattr(axioms, "METHODS", {"rescaled": rescaled})
    monkeypatch.setattr(fb.axioms, "examine", lambda method: type(seen)(
        seen.holds, seen.moves, seen.resolution, None, seen.problems, seen.evidence))
    with pytest.raises(ArithmeticError, match="what is said of rescaled is not proved"):
        axioms.examined()


def test_the_committed_verdicts_are_those_of_section_2():
    rows = read(FIGURES / "axioms.csv")
    none = {"primal momentum: entropy", "natural: entropy", "steepest: ℓ4/3", "steepest: ℓ3", "steepest: ℓ∞",
            "coordinate descent", "AdaGrad", "Adam", "RMSProp"}
    assert {row["method"] for row in rows} == set(axioms.METHODS)
    for row in rows:
        assert row["holds"] == str(row["method"] not in none)
        moved, resolved = float(row["largest move"]), float(row["resolution"])
        assert (moved > resolved) or row["holds"] == "True"
        assert row["proof"].startswith("no convex") == (row["method"] in none)


@pytest.mark.parametrize("panel", [pytest.param(panel, id=panel.letter) for panel in hunt.PANELS if panel.letter != "d"])
def test_each_counter_example_that_is_drawn_is_proved(panel):
    document = json.loads(json.dumps(panel.proved()))
    assert checking.check(document)


def test_what_is_no_counter_example_is_not_drawn():
    stagewise = hunt.PANELS[0]
    with pytest.raises(ValueError, match="the proof fails"):
        hunt.Panel("a", "", (np.eye(2), np.ones(2)), stagewise.prove, stagewise.draw).proved()
    small = hunt.PANELS[4]
    with pytest.raises(ArithmeticError, match=r"\(e\) is not proved"):
        hunt.Panel("e", "", np.ones((2, 2)), small.prove, small.draw).proved()


@long
@pytest.mark.slow
@pytest.mark.usefixtures("_unseen")
def test_the_hunt_is_drawn_from_runs_that_go_where_the_proofs_say(tmp_path, capsys):
    hunt.main(["--out", str(tmp_path)])
    assert capsys.readouterr().out.count("not so, proved") == 7
    lines = {}
    for row in read(tmp_path / "hunt.csv"):
        lines.setdefault((row["panel"], row["line"]), []).append((float(row["x"]), float(row["y"])))
    ends = {key: points[-1][1] for key, points in lines.items()}
    assert sum(abs(ends["a", f"w{j}"]) for j in (1, 2, 3)) == pytest.approx(7 / 6, abs=5e-3)
    w = [y for _, y in lines["b", "from 0"]]
    assert abs(w[-1] - w[-2]) > 0.9
    assert ends["d", "shrinkage 1"] == pytest.approx(1 / 3, abs=1e-3)
    assert ends["d", "shrinkage 0.1"] == pytest.approx(3 / 8, abs=1e-3)
    assert ends["e", "end"] == pytest.approx(6, abs=1e-3)
    projected = fb.bregman_projection([[1, 2]], [1], "entropy").w
    assert lines["f", "dual"][-1] == pytest.approx(tuple(projected), abs=1e-9)
    assert np.abs(np.array(lines["f", "primal"][-1]) - projected).max() > 0.01
    assert len(lines["g", "to fixed point 1"]) > 50 < len(lines["g", "to fixed point 2"])
