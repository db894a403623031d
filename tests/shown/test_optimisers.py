"""Five optimisers: the bounds that the figure draws hold on longer runs, and its numbers are of runs."""
import csv

import numpy as np
import pytest

import fastbias as fb
from paper_figures import optimisers as drawn
from tests.helpers import JIT

pytestmark = pytest.mark.skipif(not JIT, reason="too many steps without the compiler")
SLIDING = [run for run in drawn.RUNS if run.bound is not None]


@pytest.mark.parametrize("begun", [1000, 30_000])
@pytest.mark.parametrize("run", SLIDING, ids=lambda run: run.name)
def test_a_run_that_goes_on_stays_within_the_bound(run, begun):
    """From where it stands after some steps the bound is that of all to come: held against 300000, at every row."""
    short = drawn.Run(run.name, run.method, run.norm, run.colour, run.marker, run.bound, begun)
    plan = short.plan
    plan.run(begun)
    trace = plan.run(300_000 - begun, record=60)
    gap = 1 - trace.margin(drawn.NORMS[run.norm]) / fb.max_margin(drawn.X, drawn.Y, drawn.NORMS[run.norm]).margin
    most = run.bound(short, trace.log_t)
    assert (gap >= -1e-12).all()
    assert (gap <= most + 1e-12).all()
    assert (np.diff(short.proved()[1])[-20:] < 0).all()              # and it tends to 0
    # nor is it idle
    assert short.proved()[1][-1] < 0.02


@pytest.mark.slow
def test_the_figure_is_of_runs_that_end_where_the_limits_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *a, **k: None)
    drawn.main(["--out", str(tmp_path)])
    assert capsys.readouterr().out.count("certified = True") == 5
    with open(tmp_path / "optimisers.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for run in drawn.RUNS:
        own = [(float(r["log10 t"]), float(r["y"])) for r in rows
               if r["panel"] == "gap" and r["line"] == run.name and r["kind"] in ("fast-forward", "at most")]
        assert own[-1][0] == pytest.approx(100)
        assert 0 <= own[-1][1] < 0.01
    # as gradient descent, Adam gains ŵ for each e-fold of t
    limit, s = fb.max_margin(drawn.X, drawn.Y), np.log(10) * np.array([50, 100])
    adam = next(run for run in drawn.RUNS if "Adam" in run.name).plan.fast_forward(s[1], record=s)
    gained = (adam.w[-1] - adam.w[-2]).ravel() / (s[1] - s[0])
    assert gained == pytest.approx(limit.w.ravel() / limit.margin, abs=1e-6)
