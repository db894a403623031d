"""The C reference does the steps it is timed for, nothing is timed that is not run, and the table says what its CSV says."""
import importlib.util
import json
import os
import pathlib
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import fastbias as fb
from bench import bench_methods, bench_models, oracles, peers, reference, table, threads, timing

HERE = pathlib.Path(table.__file__).parent
STEPS, TOLERANCE = 200, 1e-9
compiled = pytest.mark.skipif(reference.compiler() is None, reason="no C compiler")
every_method = pytest.mark.parametrize("method", peers.METHODS, ids=lambda method: method.name)
# each path through reference.c: registers, few columns, the columns of thirteen vectors, many, very many; N or d odd
SHAPES = (1, 2), (4, 3), (3, 5), (20, 50), (9, 100), (11, 70), (6, 401)


@pytest.fixture(scope="module", autouse=True)
def one_build(tmp_path_factory):
    """Compiling reference.c takes longer than all else here: once, for this process and those that it starts.

    The same steps at -O1 take a quarter of it; at -O3 `bench.table` looks at them itself, before it times them.
    """
    path = tmp_path_factory.mktemp("reference") / "reference.so"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "FLAGS", ["-O1", *reference.FLAGS[1:]])
        if "FASTBIAS_REFERENCE" not in os.environ and reference.build(path):
            patch.setenv("FASTBIAS_REFERENCE", str(path))
        yield


def close(w, wanted):
    return np.abs(w - wanted).max() <= TOLERANCE * max(1, np.abs(wanted).max())


@compiled
@pytest.mark.parametrize(("N", "d", "k"), [(12, 2, 300), (5, 1, 3), (17, 3, 9)])
def test_the_reference_of_rectified_units_does_their_steps(N, d, k):
    from tests.helpers import naive_models as naive
    rng = np.random.default_rng(0)
    X, y, u = rng.normal(size=(N, d)), np.where(np.arange(N) % 2, 1.0, -1.0), 0.3 * rng.normal(size=k * (d + 2))
    run = reference.Rectified(X, y, 1e-3, u)
    run.run(STEPS // 4)
    g = naive.gradient(naive.relu(X, False), [(k,), (k, d), (k,)], np.eye(N), y, "exponential")
    *_, wanted = naive.gradient_descent(g, u, 1e-3, STEPS // 4)
    assert close(run.u, wanted)


@compiled
@every_method
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_c_does_the_steps_of_numpy(method, shape):
    problem = peers.Problem(*shape)
    eta = method.eta(problem)
    run, wanted = peers.by_c(method, problem, eta), peers.by_numpy(method, problem, eta)
    assert close(run(STEPS), wanted(STEPS))
    assert close(run(7), wanted(7))                            # and goes on from there


@compiled
@pytest.mark.long
@every_method
@pytest.mark.parametrize("shape", [(4, 3), (20, 50)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_c_does_the_steps_of_fastbias(method, shape):
    problem = peers.Problem(*shape)
    eta = method.eta(problem)
    assert close(peers.by_c(method, problem, eta)(STEPS), peers.by_fastbias(method, problem, eta)(STEPS))


@compiled
@pytest.mark.parametrize("shape", [(1, 2), (4, 3), (7, 9), (20, 50), (60, 80), (100, 120), (110, 3)],
                         ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_gram_space_ends_where_rows_do(shape):
    problem, method = peers.Problem(*shape), peers.METHODS[0]
    gram, wanted = (make(method, problem, problem.eta) for make in (peers.by_c_in_gram_space, peers.by_numpy))
    assert close(gram(STEPS), wanted(STEPS))
    assert close(gram(7), wanted(7))


@compiled
@pytest.mark.parametrize("shape", [(1, 2), (4, 3), (3, 4)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_eight_lanes_are_eight_runs(shape):
    problem = peers.Problem(*shape)
    etas = problem.eta * np.linspace(0.1, 1, 8)
    batch = reference.Batch(problem.X, problem.y, etas)
    batch.run(STEPS)
    for eta, w in zip(etas, batch.w, strict=True):
        assert close(w, peers.by_numpy(peers.METHODS[0], problem, eta)(STEPS))


@compiled
@pytest.mark.parametrize("shape", [(3, 4), (20, 50)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("loop", [f"{name}_exponential" for name in ("gradient", "steepest", "coordinate", "gram")])
@pytest.mark.parametrize("log_loss", [-150, 150])
def test_exponential_weights_far_from_one(loop, shape, log_loss):
    """The first pass finds all weights out of range, and is done again with another shift."""
    problem = peers.Problem(*shape)
    method = bench_methods.SEVEN.get(loop, peers.METHODS[0])
    Z = problem.y[:, None] * problem.X
    start = -log_loss * np.linalg.lstsq(Z, np.ones(len(Z)), rcond=None)[0]
    eta = problem.eta * np.exp(-float(log_loss))               # moves of size one
    run = reference.Run(loop, problem.X, problem.y, eta, start)
    run.run(STEPS)
    w, s = start.copy(), np.zeros_like(start)
    for _ in range(STEPS):
        w, s = peers.step(np, method, Z, problem.y, w, s, eta)
    assert close(run.w - start, w - start)


@compiled
@pytest.mark.parametrize("margin", [-1e3, -720.0, -40.0, 0.0, 40.0, 720.0, 1e3])
def test_logistic_weights_at_any_margin(margin):
    for N in (1, 5):
        run = reference.Run("gradient_logistic", np.ones((N, 1)), np.ones(N), 1.0 / N, np.array([margin]))
        run.run(1)
        assert run.w[0] == pytest.approx(margin + np.exp(-np.logaddexp(0, margin)), rel=1e-15, abs=1e-300)


def test_every_method_is_timed_and_none_ends_early():
    timed = {bench_methods.other(name, (4, 3)).problem.method.name for name in bench_methods.OTHERS}
    timed |= {method.make(1.0).name for method in peers.METHODS}
    assert timed == set(fb.methods.__all__) - {"Method"}


def test_every_model_is_timed():
    timed = {repr(bench_models.CASES[name][0]).partition("(")[0].removeprefix("<model ").rstrip(">")
             for name in bench_models.CASES}
    assert timed == set(fb.models.__all__) - {"Model", "linear"}


@pytest.mark.long
def test_an_early_end_is_not_taken_for_speed():
    plan = fb.Plan([[1.0]], [1.0], loss="squared", method=fb.methods.gradient_descent(0.5))
    with pytest.raises(RuntimeError, match="ended at step"):
        peers.proceed(plan, 1000)


def test_without_a_compiler_c_is_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert reference.compiler() is None
    assert not reference.build(tmp_path / "reference.so")
    monkeypatch.setattr(reference, "library", lambda: None)
    names = set(peers.contenders(peers.METHODS[0], peers.Problem(4, 3)))
    assert {peers.FASTBIAS, peers.NUMPY} <= names <= {peers.FASTBIAS, peers.NUMPY, peers.JAX}
    with pytest.raises(OSError, match="no C compiler"):
        reference.Run("gradient_exponential", np.ones((1, 1)), np.ones(1), 1.0)
    monkeypatch.setattr(timing, "reference", SimpleNamespace(compiler=lambda: None))
    assert timing.machine()["C compiler"] == "none"


def test_the_median_of_processes_and_their_spread():
    runs = [[{"method": "gradient_squared", "N": 4, "d": 3, "contender": "C", "ns": ns}] for ns in (12.0, 10.0, 11.0)]
    row, = table.combine(runs)
    assert row == {"method": "gradient_squared", "N": 4, "d": 3, "contender": "C", "ns": "11", "spread": "0.18"}


def test_the_page_has_one_place_for_the_table():
    assert table.between("a\n<!-- table -->\nold\n<!-- end of table -->\nb", "new \\1\n") == \
        "a\n<!-- table -->\nnew \\1\n<!-- end of table -->\nb"
    with pytest.raises(ValueError, match="once, got 0"):
        table.between("a", "new")


def test_the_committed_table_is_that_of_the_committed_numbers():
    ns, page = table.read(HERE / "table.csv"), (HERE / "README.md").read_text()
    for method in peers.METHODS:
        for N, d in peers.SIZES:
            found = {key[3] for key in ns if key[:3] == (method.name, N, d)}
            assert found >= {peers.FASTBIAS, peers.C, peers.JAX, peers.NUMPY}
    assert table.markdown(ns) in page
    assert table.roof(ns) in page


@pytest.mark.long
@pytest.mark.slow
def test_the_table_is_measured_and_written(tmp_path, capfd):
    shutil.copy(HERE / "README.md", tmp_path)
    table.main(["--methods", "gradient_exponential", "--sizes", "4x3", "--contenders", "fastbias,NumPy", "--seconds", "1e-4",
                "--rounds", "1", "--processes", "2", "--out", str(tmp_path)])
    ns = table.read(tmp_path / "table.csv")
    assert {key[3] for key in ns} == {"fastbias", "NumPy"}
    assert min(ns.values()) > 0
    assert table.markdown(ns) in (tmp_path / "README.md").read_text()
    assert capfd.readouterr().out.count("fastbias") == 2


def test_a_wrong_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        table.parse(["--sizes", "5x5"])
    assert "--sizes must be among 1x2, 4x3" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="no JAX")
@every_method
def test_jax_does_the_steps_of_numpy(method):
    problem = peers.Problem(20, 50)
    run, wanted = (make(method, problem, method.eta(problem)) for make in (peers.by_jax, peers.by_numpy))
    assert close(run(STEPS), wanted(STEPS))


@pytest.mark.parametrize("kind", oracles.KINDS)
def test_data_of_oracles_are_what_they_are_called(kind):
    X, y = oracles.data(kind, 1000, 6)
    assert fb.separability(X, y).separable == ("flipped" not in kind)
    if kind == "apart":
        assert fb.max_margin(X, y).margin >= 1
    plain, right = oracles.data("thin", 1000, 6)
    assert (y != right).sum() == {"flipped": 10, "one flipped": 1}.get(kind, 0)
    assert np.array_equal(X, plain) == (kind != "apart")


@pytest.mark.parametrize("name", oracles.CONTENDERS)
def test_contenders_come_near_the_certified_maximum_and_none_over_it(name):
    pytest.importorskip("sklearn")
    X, y = oracles.data("apart", 200, 5)
    limit = fb.max_margin(X, y)
    assert limit.certified
    short = oracles.shortfall(X, y, 7.0 * oracles.CONTENDERS[name](X, y), limit.margin)
    assert -1e-10 <= short < 1e-5
    assert oracles.shortfall(X, y, -limit.w, limit.margin) >= 2.0 - 1e-10


def test_a_curve_ends_with_the_first_size_beyond_patience(capsys):
    options = oracles.parse(["--tasks", "l2", "--kinds", "thin,flipped", "--rows", "40,80", "--features", "", "--patience", "0"])
    cells = list(oracles.growth(options))
    assert [c["N"] for c in cells] == [40]                     # and no margin where nothing separates
    assert cells[0]["certified"]
    assert "40 × 50" in capsys.readouterr().out


def test_tables_of_oracles_are_measured_and_written(tmp_path, capsys):
    pytest.importorskip("sklearn")
    shutil.copy(HERE / "README.md", tmp_path)
    oracles.main(["--once", "--kinds", "apart", "--rows", "50", "--features", "", "--against", "40x3", "--rounds", "1",
                  "--out", str(tmp_path)])
    cells = oracles.read(tmp_path / "oracles.csv")
    assert [c["task"] for c in cells] == [*oracles.TASKS, *oracles.CONTENDERS, *oracles.CONTENDERS]
    assert all(c["certified"] for c in cells if c["task"] in oracles.TASKS)
    assert oracles.markdown(cells) in (tmp_path / "README.md").read_text()
    assert "machine was busy" in capsys.readouterr().out or not oracles.busy()


def test_the_committed_tables_of_oracles_are_those_of_the_committed_numbers():
    assert oracles.markdown(oracles.read(HERE / "oracles.csv")) in (HERE / "README.md").read_text()


def test_an_unknown_oracle_is_refused(capsys):
    with pytest.raises(SystemExit):
        oracles.parse(["--tasks", "l7"])
    assert "must be among separability, l2, l1" in capsys.readouterr().err


def test_the_table_of_threads_says_what_was_measured(capsys):
    found = [{"N": 9, "d": 3, "contender": name, "us": us, "bits": "same"} for name, us in
             (("fastbias, 1 thread", 9.0), ("fastbias, 1 thread", 1.0), ("fastbias, 1 thread", 8.0), ("fastbias, 2 threads", 4.0),
              ("NumPy", 20.0))]
    rows = threads.combine(found)
    assert [row["us"] for row in rows] == ["8", "4", "20"]
    assert threads.table(rows).splitlines()[-1] == "| 9 × 3 | 8 | 4 | 20 | 2.00 |"
    with pytest.raises(SystemExit, match="depends on the number of threads"):
        threads.combine([*found, found[0] | {"bits": "other"}])
    for name in ("fastbias, 2 threads", "NumPy"):
        threads.main(["--once", name, "--sizes", "40x5", "--seconds", "1e-4", "--rounds", "1"])
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["contender"] for row in said] == ["fastbias, 2 threads", "NumPy"]
    assert min(row["us"] for row in said) > 0
