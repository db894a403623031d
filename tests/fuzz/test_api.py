"""Random calls of the public API: a few of those of .ci/run; and the machine itself sees what it is there for."""
import subprocess
import sys
import warnings

import numpy as np
import pytest

import fastbias as fb
from tests.fuzz import __main__ as fuzz
from tests.fuzz import generator, oracles, strategies
from tests.helpers import JIT

pytestmark = pytest.mark.skipif(not JIT, reason="too many steps without the compiler")


def test_every_argument_has_a_strategy_and_no_strategy_is_for_nothing():
    wanted = {(target.label, p.name) for target in generator.TARGETS.values() if not target.like for p in target.parameters}
    assert [f"{label}: {name}" for label, name in wanted if strategies.strategy(label, name) is None] == []
    ranks = {rank for label, name in wanted for rank in strategies.ranks(label, name)}
    assert set(strategies.STRATEGIES) - ranks == set()


def test_new_api_is_in_at_once():
    for label in ("max_margin", "Plan", "Plan.run", "Trace.gap", "Norm.dual", "PiecewiseLinear.__call__", "models.Model",
                  "features.random_fourier", "Sweep.to_pandas", "data.read", "cli.main", "descend"):
        assert label in generator.TARGETS
    assert {"Plan", "Trace", "Limit", "Norm", "Loss", "Potential", "Model", "Method", "StepRule", "Sweep", "Separability",
            "Diagnosis", "RandomFourier", "BallPath"} <= set(generator.MAKERS)


def test_random_calls():
    told = subprocess.run([sys.executable, "-m", "tests.fuzz", "--inputs", "60"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def raised(function):
    try:
        function()
    except Exception as error:
        return error


@pytest.mark.parametrize(("function", "told"), [
    (lambda: fb.max_margin([[1.0]], [3.0]), None),
    (lambda: fb.data.read("/nowhere/x.csv"), None),
    (lambda: np.linalg.inv(np.zeros((2, 2))), "foreign exception numpy.linalg.LinAlgError"),
    (lambda: 1 / 0, "foreign exception builtins.ZeroDivisionError"),
    (lambda: [][1], "foreign exception builtins.IndexError"),
    (lambda: float("x"), "not our sentence"),
])
def test_the_oracle_of_exceptions_knows_ours(function, told):
    found = oracles.exception(raised(function))
    assert found is None if told is None else found.startswith(told)


def call(label, *args, **named):
    function = getattr(fb, label)
    names = generator.TARGETS[label].parameters
    return generator.Call(label, function, {p.name: a for p, a in zip(names, args, strict=False)} | named, {})


def test_certificates_are_proved_and_false_ones_found():
    import dataclasses
    X, y = np.array([[0.5, 1.5], [1.5, 0.5], [-2.0, -2.0]]), np.array([1.0, 1.0, -1.0])
    for norm in (fb.norms.l2, fb.norms.l1, fb.norms.linf, fb.norms.lp(3), fb.norms.quadratic([1, 2])):
        asked = call("max_margin", X, y, norm)
        limit = asked.run()
        assert oracles.certificate(asked, limit) is None
        for wrong in ({"margin": limit.margin * 1.001}, {"w": limit.w * 1.1}, {"dual": -limit.dual}):
            wrong = dataclasses.replace(limit, **wrong)
            assert "λ" in oracles.certificate(asked, wrong)
    for shifted, labels in ((X + 7, y), ([[0.0], [1.0], [3.0], [2.0]], [0, 1, 2, 1])):
        asked = call("max_margin", shifted, labels, fb.norms.l2, intercept=True)
        limit = asked.run()
        assert oracles.certificate(asked, limit) is None
        for wrong in ({"margin": limit.margin * 1.001}, {"intercept": limit.intercept + 0.1 * np.arange(np.size(limit.intercept)) + 0.1}):
            assert "w proves" in oracles.certificate(asked, dataclasses.replace(limit, **wrong))
        assert "balance" in oracles.certificate(asked, dataclasses.replace(limit, dual=np.eye(len(limit.dual))[0]))
    asked = call("minimum_norm", [[1, 2]], [1], norm="l1")
    limit = asked.run()
    assert oracles.certificate(asked, limit) is None
    assert oracles.certificate(asked, dataclasses.replace(limit, w=np.array([1.0, 0.0]))).startswith("‖w‖ = ")
    assert oracles.certificate(asked, dataclasses.replace(limit, w=np.array([0.0, 0.6]))).startswith("Xw = y is off")
    asked = call("bregman_projection", [[1, 2]], [1], "entropy")
    limit = asked.run()
    assert oracles.certificate(asked, limit) is None
    assert "∇ψ" in oracles.certificate(asked, dataclasses.replace(limit, w=np.array([0.4, 0.3])))
    asked = call("separability", [[1, 2], [-1, -1]], [1, -1])
    told = asked.run()
    assert oracles.certificate(asked, told) is None
    assert "margin" in oracles.certificate(asked, dataclasses.replace(told, w=-told.w))
    asked = call("separability", [[1, 2], [2, 4]], [1, -1], intercept=True)
    told = asked.run()
    assert oracles.certificate(asked, told) is None
    assert "margin" in oracles.certificate(asked, dataclasses.replace(told, intercept=0.0))
    asked = call("separability", [[1], [2], [3]], [1, -1, 1], intercept=True)
    told = asked.run()
    assert oracles.certificate(asked, told) is None
    assert "leaves" in oracles.certificate(asked, dataclasses.replace(told, dual=np.array([0.6, 0.3, 0.1])))


def test_a_changed_input_a_nan_and_a_warning_are_seen():
    asked = call("separability", np.eye(2), np.ones(2))
    before = oracles.Unchanged(asked)
    assert before.told() is None
    asked.args["X"][0, 0] = 2.0
    assert before.told() == "an input was changed"
    trace = fb.run([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.1), steps=3)
    assert oracles.finite(trace) is None
    trace.w[-1] = np.nan
    assert "not finite" in oracles.finite(trace)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.float64(1e300) * np.float64(1e300)
    assert "overflow" in oracles.leaked(caught[0].message, caught[0].category, caught[0].filename, caught[0].lineno)


def test_a_child_that_dies_costs_one_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FUZZ_DIES_AT", "3")
    records = []
    fuzz.parent([2, 3, 4], records.append)
    assert [r["seed"] for r in records] == [2, 3, 4]
    assert "died with code -11" in records[1]["why"][0]
    store = tmp_path / "store.jsonl"
    store.write_text("".join(fuzz.json.dumps(r) + "\n" for r in records))
    monkeypatch.setattr(sys, "argv", ["fuzz", "--sum", str(store), str(store)])
    assert fuzz.main() == 1
    assert "3 inputs" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["fuzz", "--seed", "2", "--inputs", "3", "--store", str(store), "--resume"])
    assert fuzz.main() == 1                                  # nothing is left to be done
    assert len(store.read_text().splitlines()) == 3
