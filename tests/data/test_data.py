"""The command line on the user's own files."""
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import fastbias as fb
from fastbias.running import cli

CSV = "a,b,c,goal\n1,2,0.5,1\n0,1,1,2\n"


@pytest.fixture
def table(tmp_path):
    def write(text, name="my.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path
    return write


def command(capsys, *words):
    code = cli.main([str(w) for w in words])
    return code, *capsys.readouterr()


def test_the_command_runs_reads_writes_and_says_what_theory_says(table, tmp_path, capsys):
    out = tmp_path / "run.npz"
    code, text, _ = command(capsys, "run", table("a,b,y\n1,2,1\n"), "--loss", "squared", "--method", "mirror",
                            "--potential", "entropy", "--steps", "1e3", "--out", out)
    assert code == 0
    assert "Theorem 1" in text
    assert "certified" in text
    rows = dict(re.findall(r"^  (\w) +([\d.e+-]+)   predicted", text, re.M))
    assert float(rows["a"]) == pytest.approx(0.5, abs=1e-9)
    assert float(rows["b"]) == pytest.approx(0.25, abs=1e-9)
    trace = fb.Trace.load(out)
    assert trace.w[-1] == pytest.approx([0.5, 0.25], abs=1e-9)
    assert float(re.search(r"distance to it: (\S+)", text)[1]) < 1e-9


@pytest.mark.parametrize("words", [
    ("gradient", "--momentum", "0.5"), ("natural", "--potential", "entropy"), ("steepest", "--norm", "1.5"),
    ("steepest", "--norm", "linf"), ("mirror", "--step-size", "0.01", "--until", "-3"), ("steepest", "--norm", "1"),
])
def test_every_method_on_the_command_line(table, capsys, words):
    code, text, _ = command(capsys, "run", table(CSV), "--loss", "squared", "--steps", "100", "--quiet", "--method", *words)
    assert code == 0
    assert "what theory says" in text
    assert ("nearest" in text) == (words[0] in ("natural", "steepest"))
    first = [float(x) for x in re.findall(r"^  [abc] +(\S+)", text, re.M)]
    assert len(first) == 3


def test_the_command_keeps_what_a_stopped_run_did(table, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run.npz"
    code, text, _ = command(capsys, "run", table("1,2,1\n"), "--no-header", "--loss", "squared", "--method", "natural",
                            "--potential", "entropy", "--step-size", "0.125", "--steps", "9", "--out", out)
    assert code == 1
    assert "left the domain" in text
    assert fb.Trace.load(out).t.tolist() == [0]

    some = fb.run([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.1), steps=3)

    def interrupt(plan, *args, **options):
        plan.course.trace = some
        raise KeyboardInterrupt

    monkeypatch.setattr(fb.Plan, "run", interrupt)
    code, _, _ = command(capsys, "run", table("1,2,1\n"), "--loss", "squared", "--method", "gradient", "--step-size", "0.1",
                         "--out", out)
    assert code == 130
    assert fb.Trace.load(out).t[-1] == 3
    monkeypatch.setattr(fb.Plan, "run", lambda *a, **o: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cli.main(["run", str(table("1,2,1\n")), "--loss", "squared", "--method", "gradient", "--step-size", "0.1"])


@pytest.mark.parametrize(("words", "said"), [
    (("none.csv",), "none.csv"),
    (("{}", "--target", "z"), "target must be one of"),
    (("{}", "--steps", "1.5"), "--steps must be a whole number"),
    (("{}", "--step-size", "-1"), "--step-size must be"),
    (("{}", "--norm", "seven", "--method", "steepest"), "--norm must be a number >= 1, inf, or one of l1, l2, linf"),
    (("{}", "--norm", "0.5", "--method", "steepest"), "--norm must be"),
    (("{}", "--momentum", "0.5", "--method", "natural"), "--momentum and --nesterov must be 0 for natural"),
])
def test_the_command_answers_bad_input_with_one_sentence(table, capsys, words, said):
    path = str(table(CSV))
    words = [path if w == "{}" else w for w in words]
    if "--method" not in words:
        words += ["--method", "gradient"]
    code, _, err = command(capsys, "run", *words, "--loss", "squared", "--step-size=0.1" if "--step-size" not in words else
                           "--quiet")
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_labelled_data_on_the_command_line(table, capsys):
    path = table("a,b,kind\n0.5,1.5,yes\n1.5,0.5,yes\n-2,-2,no\n-1,-3,no\n")
    code, text, _ = command(capsys, "run", path, "--labels", "binary", "--loss", "exponential", "--method", "steepest",
                            "--norm", "2", "--steps", "2000")
    assert code == 0
    assert "Theorem 5" in text
    assert "direction" in text
    assert [float(x) for x in re.findall(r"predicted +([\d.]+)", text)] == pytest.approx([0.5 ** 0.5] * 2)
    path = table("a,b,k\n1,2,0\n2,1,1\n3,3,2\n")
    code, _, err = command(capsys, "run", path, "--loss", "logistic", "--method", "gradient")
    assert code == 2
    assert "labels must have two values for the logistic loss, got {0, 1, 2}" in err


@pytest.mark.long
def test_numeric_headers_and_tall_tables(table, capsys, tmp_path):
    path = table("2019,2020,2021\n1,2,3\n4,5,6\n")
    code, text, _ = command(capsys, "run", path, "--header", "--target", "2020", "--loss", "squared", "--method", "gradient")
    assert code == 0
    assert "2021" in text
    rows = "\n".join(f"{i % 7},{i % 5},{i % 3}" for i in range(3000))
    code, _, _ = command(capsys, "run", table(rows), "--loss", "squared", "--method", "gradient", "--steps", "10", "--quiet")
    assert code == 0
    code, _, err = command(capsys, "run", path, "--loss", "squared", "--method", "gradient", "--out", tmp_path / "no/x.npz")
    assert code == 2
    assert "folder that exists" in err


def test_a_step_size_is_found_or_asked_for(table, capsys):
    code, text, _ = command(capsys, "run", table("a,y\n1e8,1\n"), "--loss", "squared", "--method", "gradient")
    assert code == 0
    assert "step size 5e-17, half of what theory admits" in text     # 1/Λ, of Λ = 2e16
    code, _, _ = command(capsys, "run", table("a,b,y\n0,0,0\n"), "--loss", "squared", "--method", "gradient")
    assert code == 0
    code, _, err = command(capsys, "run", table("a,y\n1,1\n"), "--loss", "squared", "--method", "adamant")
    assert code == 2
    assert "--method must" in err
    assert "adam" in err


LABELLED = "a,b,kind\n0.5,1.5,yes\n1.5,0.5,yes\n-2,-2,no\n-1,-3,no\n"


@pytest.mark.parametrize(("loss", "labels", "words", "theorem"), [
    ("exponential", "binary", ("coordinate", "--step-rule", "bounded"), "Theorem 5"),
    ("logistic", "binary", ("gradient", "--step-rule", "loss_scaled"), "Ji, Telgarsky"),
    ("exponential", "binary", ("adagrad",), "Theorem 6"), ("logistic", "binary", ("adam",), "with ε > 0: the l2"),
    ("logistic", "binary", ("rmsprop",), "with ε > 0: the l2"), ("logistic", "binary", ("sign",), "fixed length"),
    ("exponential", "binary", ("dual_acceleration",), "dual acceleration"),
    ("cross_entropy", "index", ("muon", "--momentum", "0.9"), "fixed length"),
    ("cross_entropy", "index", ("steepest", "--norm", "spectral"), "Theorem 5"),
    ("exponential", "binary", ("steepest", "--norm", "1"), "Theorem 5"),
])
def test_methods_for_labels_on_the_command_line(table, capsys, loss, labels, words, theorem):
    code, text, _ = command(capsys, "run", table(LABELLED), "--labels", labels, "--loss", loss, "--steps", "300", "--quiet",
                            "--method", *words)
    assert code == 0
    assert theorem in text
    shown = re.findall(r"^  (?:(?:no|yes): )?[ab] +(\S+)", text, re.M)
    assert len(shown) == (4 if labels == "index" else 2)
    assert np.isfinite([float(x) for x in shown]).all()


def test_margins_on_the_command_line(table, capsys):
    code, text, _ = command(capsys, "margin", table(LABELLED), "--labels", "binary", "--norm", "1.5")
    assert code == 0
    found = fb.max_margin([[0.5, 1.5], [1.5, 0.5], [-2, -2], [-1, -3]], [1, 1, -1, -1], fb.norms.lp(1.5))
    assert float(re.search(r"margin ([\d.]+), certified", text)[1]) == pytest.approx(found.margin, rel=1e-11)
    assert [float(x) for x in re.findall(r"^  [ab] +(\S+)", text, re.M)] == pytest.approx(found.w, rel=1e-9)
    assert sorted(re.findall(r"^  (\d) +0\.5", text, re.M)) == ["0", "1"]               # the support vectors, by row
    code, text, _ = command(capsys, "margin", table("a,k\n1,1\n1,-1\n"))
    assert code == 1
    assert "not separable" in text
    assert "2 rows" in text
    code, _, err = command(capsys, "margin", table(LABELLED), "--labels", "binary", "--norm", "spectral")
    assert code == 2
    assert "predictors that are matrices" in err
    assert "labels: +1 is 'yes', −1 is 'no'" in command(capsys, "margin", table(LABELLED), "--labels", "index")[1]
    assert "labels: +1 is 1, −1 is 0" in command(capsys, "margin", table("a,k\n1,1\n-1,0\n"))[1]
    assert "row 1 of X is all zeros" in command(capsys, "margin", table("a,k\n1,1\n0,0\n"))[1]
    three = table(LABELLED + "3,-3,maybe\n")
    code, text, _ = command(capsys, "margin", three, "--labels", "index", "--norm", "nuclear")
    assert code == 0
    assert "labels: classes 0 … 2 are 'maybe', 'no', 'yes'" in text
    assert "yes: a" in text


def test_diagnoses_on_the_command_line(table, tmp_path, capsys):
    path, out = table(LABELLED), tmp_path / "run.npz"
    np.save(tmp_path / "w.npy", [1.0, 1.0])
    code, text, _ = command(capsys, "diagnose", path, tmp_path / "w.npy", "--labels", "binary")
    assert code == 0
    assert re.search(r"l2 +1\.00000000", text)
    command(capsys, "run", path, "--labels", "binary", "--loss", "exponential", "--method", "gradient", "--steps", "100",
            "--out", out)
    code, text, _ = command(capsys, "diagnose", path, out, "--labels", "binary")
    assert code == 0
    assert "best p" in text
    for name, content in (("empty.npy", b""), ("text.npy", b"1 2")):
        (tmp_path / name).write_bytes(content)
        code, _, err = command(capsys, "diagnose", path, tmp_path / name, "--labels", "binary")
        assert code == 2
        assert "weights must be an NPY file" in err
    code, _, err = command(capsys, "run", path, "--labels", "binary", "--loss", "exponential", "--step-size", "5",
                           "--method", "dual_acceleration")
    assert code == 2
    assert "must be left out for dual_acceleration" in err
    assert "momentum=" not in err
    code, _, err = command(capsys, "diagnose", path, tmp_path / "none.npy", "--labels", "binary")
    assert code == 2
    assert "none.npy" in err


def test_the_command_prints_in_any_encoding(table, tmp_path):
    words = ["run", str(table("1,2,1\n2,1,1\n-1,-2,-1\n")), "--loss", "logistic", "--method", "gradient", "--steps", "9",
             "--quiet", "--out", str(tmp_path / "n\udcff.npz")]
    done = subprocess.run([sys.executable, "-m", "fastbias", *words], capture_output=True, text=True, check=False,
                          env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert r"\u2113" in done.stdout                          # of ℓ2
    assert r"n\udcff.npz" in done.stdout
