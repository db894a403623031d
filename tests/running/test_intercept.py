"""`Plan(..., intercept=True)`: a last weight on a column of ones, which the method's geometry sees."""
import numpy as np
import pytest

import fastbias as fb
from fastbias import methods
from fastbias.running import checkpoint, cli

RNG = np.random.default_rng(2)
X = RNG.normal(size=(10, 3))
Y = np.where(X[:, 0] + 0.7 > 0, 1.0, -1.0)
X[:, 0] += 0.3 * Y
ONES = np.hstack([X, np.ones((10, 1))])
GD = methods.gradient_descent(0.05)


@pytest.mark.parametrize("method", [GD, methods.mirror_descent("cosh", 0.05), methods.adagrad(0.1),
                                    methods.steepest_descent(fb.norms.quadratic([1, 2, 3, 4.0]),
                                                             0.05)])
def test_it_is_a_column_of_ones(method):
    for loss, y in (("logistic", Y), ("squared", X[:, 1] ** 2), ("cross_entropy", np.arange(10) % 3)):
        if loss == "cross_entropy" and method.geometry is not None:
            continue
        a = fb.Plan(X, y, loss=loss, method=method, intercept=True)
        b = fb.Plan(ONES, y, loss=loss, method=method)
        one, other = a.run(200), b.run(200)
        np.testing.assert_array_equal(one.w, other.w)
        np.testing.assert_array_equal(one.log_loss, other.log_loss)
        np.testing.assert_array_equal(one.intercept, other.w[..., -1])
        assert one.intercept.shape == ((len(one), 3) if loss == "cross_entropy" else (len(one),))
        assert not other.intercept.any()
        # features come as they were
        fresh = one.evaluate(X, y)
        np.testing.assert_allclose(fresh.log_loss, one.log_loss, rtol=1e-12)


def test_limits_say_that_it_is_penalised():
    for loss, y, told in (("exponential", Y, "max_margin(..., intercept=True)"),
                          ("squared", X[:, 1] + 1, "minimum_norm(..., intercept=True)")):
        data = (X, y) if loss == "exponential" else (X[:2], y[:2])
        limit = fb.Plan(*data, loss=loss, method=GD, intercept=True).limit()
        assert limit.w.shape == (4,)
        assert limit.intercept == limit.w[-1] != 0
        row = limit.hypotheses[-1]
        assert "penalised" in row.statement
        assert told in row.evidence
    free = fb.max_margin(X, Y, intercept=True)
    bound = fb.Plan(X, Y, loss="exponential", method=GD, intercept=True).limit()
    # w alone has length one where b is free, both together where it is not
    assert np.linalg.norm(free.w) == pytest.approx(1.0)
    assert np.linalg.norm(bound.w) == pytest.approx(1.0)
    assert free.margin > bound.margin
    assert not fb.Plan(ONES, Y, loss="exponential", method=GD).limit().intercept
    classes = np.array([0, 1, 2, 0])
    rows = np.array([[2.0, 0], [-1, 1.7], [-1, -1.7], [2.2, 0.1]])
    limit = fb.Plan(rows, classes, loss="cross_entropy", method=GD, intercept=True).limit()
    np.testing.assert_array_equal(limit.intercept, limit.w[:, -1])


@pytest.mark.long
def test_fast_forward_flow_and_steps():
    a, b = (fb.Plan(data, Y, loss="exponential", method=GD, intercept=data is X)
            for data in (X, ONES))
    np.testing.assert_array_equal(a.fast_forward(50.0, record=2).w, b.fast_forward(50.0, record=2).w)
    assert a.fast_forward(50.0, record=2).intercept[-1] != 0
    assert a.max_step() == b.max_step()
    np.testing.assert_array_equal(a.flow(3.0).w, b.flow(3.0).w)


def test_checkpoints_remember_it(tmp_path):
    long = fb.run(X, Y, loss="logistic", method=GD, intercept=True, steps=300, record=2)
    plan = fb.Plan(X, Y, loss="logistic", method=GD, intercept=True)
    plan.run(100)
    plan.save(tmp_path / "plan.npz")
    again = fb.Plan.load(tmp_path / "plan.npz")
    trace = again.run(200)
    np.testing.assert_array_equal(trace.w[-1], long.w[-1])
    np.testing.assert_array_equal(trace.intercept, trace.w[:, -1])
    arrays, about = checkpoint.read(tmp_path / "plan.npz")
    for forged in (arrays["X"] * 2, arrays["X"][:, ::-1].copy()):
        checkpoint.write(tmp_path / "forged.npz", arrays | {"X": forged}, about)
        with pytest.raises(ValueError, match="whose content does not"):
            fb.Plan.load(tmp_path / "forged.npz")
    checkpoint.write(tmp_path / "forged.npz", arrays, about | {"intercept": 1})
    with pytest.raises(ValueError, match="whose content does not"):
        fb.Plan.load(tmp_path / "forged.npz")


def test_models_of_a_vector():
    model = fb.models.diagonal(2)
    start = np.full(model.parameters(4), 0.3)
    a, b = (fb.run(data, Y, loss="logistic", method=GD, model=model, start=start, steps=100,
                   intercept=data is X) for data in (X, ONES))
    np.testing.assert_array_equal(a.w, b.w)


@pytest.mark.parametrize(("options", "told"), [
    ({"X": np.ones((10, 2, 2))}, "intercept must be False for samples that are matrices"),
    ({"method": methods.steepest_descent(fb.norms.quadratic([1, 2, 3.0]), 0.1)},
     "X must have 3 columns for the quadratic geometry, got 4"),
    ({"model": fb.models.factorised(2, 2), "start": np.ones(8)},
     "intercept must be False for the factorised.* model, whose predictor is a matrix"),
    ({"model": fb.models.relu(np.linspace(-1, 1, 3), 2), "start": np.ones(7)},
     r"X must have samples of the shape \(3,\) of the relu.* model, got \(4,\)"),
])
def test_what_has_no_place_for_one(options, told):
    options = {"X": X, "loss": "squared", "method": GD} | options
    with pytest.raises(ValueError, match=told):
        fb.Plan(options.pop("X"), Y, intercept=True, **options)
    with pytest.raises(TypeError, match="intercept must be True or False, got 1"):
        fb.Plan(X, Y, loss="squared", method=GD, intercept=1)


def test_the_command_line(tmp_path, capsys):
    file, out = tmp_path / "t.csv", tmp_path / "out.npz"
    np.savetxt(file, np.column_stack([X, Y]), delimiter=",")
    assert cli.main(["run", str(file), "--loss", "exponential", "--method", "gradient", "--quiet",
                     "--intercept", "--steps", "1000", "--out", str(out)]) == 0
    assert "and an intercept" in capsys.readouterr().out
    trace = fb.Trace.load(out)
    assert trace.w.shape[1] == 4
    assert cli.main(["margin", str(file), "--intercept"]) == 0
    told, limit = capsys.readouterr().out, fb.max_margin(X, Y, intercept=True)
    assert f"maximum l2 margin {limit.margin:.12g}" in told
    assert f"{'(intercept)':<20} {limit.intercept:>18.10g}" in told
    assert cli.main(["margin", str(file)]) == 1                       # without one there is none
    capsys.readouterr()
    assert cli.main(["diagnose", str(file), str(out), "--intercept"]) == 0
    w, b = trace.w[-1, :-1], float(trace.w[-1, -1])
    assert str(fb.diagnose(X, Y, w, intercept=b)) in capsys.readouterr().out
