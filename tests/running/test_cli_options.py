"""The command line: options of tables and sweeps, and what `diagnose` reads."""
import numpy as np
import pandas
import pytest

import fastbias as fb
from fastbias.running import cli
from tests.helpers.command import command

TWO = "a,b,kind\n0.5,1.5,yes\n1.5,0.5,yes\n-2,-2,no\n-1,-3,no\n"
SQUARES = "a,b,y\n3,4,5\n"


@pytest.mark.parametrize(("name", "argument"), [("momentum", "dual_momentum"), ("dual_momentum", "dual_momentum"),
                                                ("primal_momentum", "primal_momentum")])
def test_momenta_of_mirror_descent_in_a_grid(name, argument, table, capsys, tmp_path):
    out = tmp_path / "out.csv"
    code, _, err = command(capsys, "sweep", table(SQUARES), "--loss", "squared", "--method", "mirror", "--potential", "entropy",
                           "--step-size", ".001", "--grid", f"{name}=0,.4", "--steps", 40, "--out", out)
    assert (code, err) == (0, "")
    found = pandas.read_csv(out)
    for value, log_loss in zip(found[name], found["log_loss"], strict=True):
        method = fb.methods.mirror_descent("entropy", 0.001, **{argument: value})
        own = fb.run([[3, 4]], [5], loss="squared", method=method, steps=40)
        assert own.log_loss[-1] == pytest.approx(log_loss, rel=1e-12)
    assert (np.diff(found["gap"]) != 0).all()                           # of regression, too


def test_names_are_looked_at_before_a_step_is_chosen(table, capsys, monkeypatch):
    monkeypatch.setattr("fastbias.running.cli.plans.Plan", None)        # so that none can be made
    for name in ("primal_momentum", "width"):
        code, _, err = command(capsys, "sweep", table(SQUARES), "--loss", "squared", "--method", "gradient", "--grid", f"{name}=1,2")
        assert code != 0
        assert f"grid must not name {name}" in err or "grid must name some of" in err


@pytest.mark.parametrize("value", ["log_loss", "gap", "margin"])
def test_sweeps_draw_what_is_asked(value, table, capsys, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("fastbias.running.sweep.Sweep.plot", lambda self, value, ax: drawn.append(value))
    out, plot = tmp_path / "out.csv", tmp_path / "out.png"
    code, *_ = command(capsys, "sweep", table(TWO), "--loss", "exponential", "--method", "gradient", "--grid", "step_size=.1,.2",
                       "--steps", 20, "--plot", plot, "--value", value, "--out", out)
    assert code == 0
    assert drawn == [value]
    found = pandas.read_csv(out)
    plan = fb.Plan([[0.5, 1.5], [1.5, 0.5], [-2, -2], [-1, -3]], [1, 1, -1, -1], loss="exponential",
                   method=fb.methods.gradient_descent(0.2))
    trace = plan.run(20)
    assert found["gap"].iloc[-1] == pytest.approx(trace.gap(plan.limit())[-1], rel=1e-9)
    assert found["margin"].iloc[-1] == pytest.approx(trace.margin("l2")[-1], rel=1e-9)


def test_margins_of_numbers_are_refused_before_the_runs(table, capsys):
    code, _, err = command(capsys, "sweep", table(SQUARES), "--loss", "squared", "--method", "gradient", "--grid", "step_size=.01,.02",
                           "--value", "margin")
    assert code != 0
    assert "--value must be another than margin for the loss squared" in err


@pytest.mark.parametrize(("name", "text"), [("w.csv", "1,2\n"), ("w.txt", "1 2"), ("w.txt", "1\n2\n"), ("w.csv", "1;2\n")])
def test_directions_are_read_from_texts(name, text, table, capsys, tmp_path):
    np.save(tmp_path / "w.npy", [1.0, 2.0])
    data = table(TWO)
    want = command(capsys, "diagnose", data, tmp_path / "w.npy")
    assert want[0] == 0
    assert command(capsys, "diagnose", data, table(text, name)) == want


@pytest.mark.parametrize("text", ["", "1,two\n", "1,2\n3\n"])
def test_texts_that_are_no_direction(text, table, capsys):
    code, out, err = command(capsys, "diagnose", table(TWO), table(text, "w.csv"))
    assert (code != 0, out) == (True, "")
    assert "weights must be an NPY, NPZ or text file of numbers" in err
    assert err.count("\n") == 1


def test_codes_are_factors_on_the_command_line_too(table, capsys):
    data = table("size,ward,kind\n1,1,no\n2,2,no\n9,1,yes\n8,2,yes\n")
    code, out, _ = command(capsys, "margin", data, "--intercept", "--factor", "ward")
    assert code == 0
    assert "factors: ward (against 1)" in out
    assert "ward_2" in out
    assert "--factor must name columns of X, got 'kind'" in command(capsys, "margin", data, "--factor", "kind")[2]


def test_hints_are_options(table, capsys):
    data = table("the day,a,kind\n2020-01-01,1,no\n2020-01-02,2,yes\n2020-02-01,3,yes\n")
    code, _, err = command(capsys, "margin", data)
    assert code != 0
    assert "leave it out by --drop 'the day'" in err
    assert command(capsys, "margin", data, "--drop", "the day")[0] in (0, 1)
    other = table("name,a,kind\nx,1,no\ny,2,yes\n", "o.csv")
    assert "for --categories refuse" in command(capsys, "margin", other, "--categories", "refuse")[2]


@pytest.mark.parametrize(("words", "said"), [
    (["path", "--radii", "2,-1"], "fastbias: --radii must be > 0 in every entry, got -1"),
    (["margin", "--norm", "l3"], "got 'l3': write 3"),
    (["run", "--loss", "logistic", "--method", "gradient", "--step-size=-1"], "fastbias: --step-size must be a finite number > 0, got -1"),
    (["run", "--loss", "logistic", "--method", "gradient(-1)"], "fastbias: step_size must be"),
    (["sweep", "--loss", "logistic", "--method", "gradient", "--grid", "step_size=.1", "--grid", "step_size=.2"], "each argument once")])
def test_sentences_name_the_option_that_was_given(table, capsys, words, said):
    code, out, err = command(capsys, words[0], table(TWO), *words[1:])
    assert code == 2
    assert said in out + err
    assert "fb.norms" not in err


def test_a_sweep_of_which_no_run_went_through_is_no_success(table, capsys):
    words = ("sweep", table(TWO), "--loss", "logistic", "--method", "gradient", "--steps", 1, "--grid")
    assert [command(capsys, *words, f"step_size={values}")[0] for values in ("-1,-2", "-1,.1")] == [1, 0]


def test_help_says_where_an_intercept_is_the_default(capsys):
    with pytest.raises(SystemExit):
        cli.main(["separation", "--help"])
    assert "default: without; `separation` has one unless --no-intercept" in " ".join(capsys.readouterr().out.split())
