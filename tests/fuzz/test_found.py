"""What random calls found, each kept by its call, since seeds move."""
import dataclasses
import os
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import fastbias as fb
from tests.fuzz import oracles
from tests.fuzz.__main__ import one

GD = fb.methods.gradient_descent(0.1)


def plan():
    return fb.Plan([[1.0, 2.0]], [1.0], loss="squared", method=GD)


def table(kind, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"table.{kind}")
        np.savez(path, X=np.eye(2), y=np.ones(2)) if kind == "npz" else Path(path).write_text("1,2\n3,4\n")
        return fb.data.read(path, **options)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: fb.capi.arguments(0.0), TypeError, "plan must be a Plan, got 0.0"),
    (lambda: fb.capi.arguments(plan(), [None]), TypeError, "steps must be"),
    (lambda: fb.capi.arguments(plan(), [2**63]), ValueError, "steps must be whole, increasing, and between 0 and"),
    (lambda: fb.capi.arguments(plan(), [3, 2]), ValueError, "steps must be whole, increasing"),
    (lambda: fb.capi.arguments(plan(), [0.5]), ValueError, "steps must be whole"),
    (lambda: fb.sweep(lambda: plan(), np.array("x"), steps=3), TypeError, "grid must be a mapping"),
    (lambda: fb.sweep(np.array(1.0), steps=3), TypeError, "plans must be a factory"),
    (lambda: fb.potentials.cosh.project(np.array([["a"]]), [1.0], [1.0]), TypeError, "A must be"),
    (lambda: fb.potentials.cosh.project([[1.0]], [1.0], [None]), TypeError, "z0 must be"),
    (lambda: fb.potentials.cosh.project([[1.0, 2.0]], [1.0], [0.0]), ValueError, r"A must have the shape \(1, 1\)"),
    (lambda: fb.potentials.cosh.project([[np.nan]], [1.0], [0.0]), ArithmeticError, "numbers that are not finite"),
    (lambda: fb.relu.network([1e200], [1e200], [0.0]), ValueError, "a, b, c must have products within float64"),
    (lambda: fb.potentials.cosh.start(4e13), ValueError, "d must make arrays that fit"),
    (lambda: fb.models.deep_linear(1).start(0.1, size=2**45), ValueError, "size must make arrays that fit"),
    (lambda: fb.models.deep_linear(2).start(0.1, size=2**45), ValueError, "size of the deep_linear.* must be under"),
    (lambda: fb.models.deep_linear(1).start(0.1, 0, size=2**45), ValueError, "size must make arrays that fit"),
    (lambda: fb.laws.check(fb.norms.l1, rng=1e10), TypeError, "rng must be None, a whole number"),
    (lambda: fb.methods.muon(0.1).on(1.0), TypeError, "shape must be a tuple of whole numbers"),
    (lambda: fb.Plan([[1e270]], [1.0], loss="squared", method=GD).flow(), ArithmeticError, "faster than float64"),
    (lambda: fb.Plan([[1e-270]], [1.0], loss="squared", method=GD).flow(), ArithmeticError, "longer than float64"),
    (lambda: plan().run(3, callback=lambda p: p.run(1)), ValueError, "from within its own callback"),
    (lambda: fb.data.example(np.arange(3)), ValueError, "number must be 2, 3 or 4"),
    (lambda: fb.Plan([[1.0]], [1.0], loss="squared", method=GD, model=np.array([])), TypeError, "model must be"),
    (lambda: fb.Plan([[1.0]], [1.0], loss="squared", method=GD, model=fb.models.diagonal), TypeError, "call it, fb"),
    (lambda: fb.Plan([[1.0]], [1.0], loss="squared", method=GD, model="diagonal"), TypeError, "call it, fb.models.diagonal"),
    (lambda: plan().fast_forward(30, record=2**40), ValueError, "record must make arrays that fit"),
    (lambda: plan().fast_forward(30, record=[1, [2]]), ValueError, "record must be a whole number or"),
    (lambda: plan().fast_forward(30, record="x"), TypeError, "record must be a whole number or"),
    (lambda: fb.l1_path([[1.0]], [1.0], [1, [2]]), (TypeError, ValueError), "lambdas must be"),
    (lambda: fb.Trace.from_arrays([1, [2]], [1.0], [0], [[1.0]]), ValueError, r"X must be an \(N, d\)"),
    (lambda: table("csv", header=np.array([])), TypeError, "header must be True, False or None"),
    (lambda: table("csv", drop=np.array(1.0)), TypeError, "drop must be a column's name or index"),
    (lambda: table("npz", target=np.zeros((2, 0))), ValueError, "target must be the name of an array"),
    (lambda: dataclasses.replace(GD, decay=object()), TypeError, "decay must be a finite number >= 0"),
    (lambda: dataclasses.replace(GD, constraint="xy"), TypeError, "constraint must be a pair"),
    (lambda: plan().run(3).plot(ax=[1]), TypeError, r"ax must be a matplotlib Axes, got \[1\]"),
])
def test_refused_in_one_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_trace_without_rows_joins():
    trace = plan().run(3)
    empty = type(trace)(trace.t[:0], trace.u[:0], trace.w[:0], trace.log_loss[:0])
    assert trace.join(empty) is trace
    assert len(empty.join(trace)) == len(trace)


def test_errors_of_any_size_are_root_mean_squares():
    trace = fb.Trace.from_arrays([[1.0], [2.0]], [1.0, 1.0], [0, 1], [[0.0], [1e200]], loss="squared")
    found = trace.evaluate([[3.0], [4.0]], [0.0, 0.0]).error
    assert found.tolist() == [0.0, pytest.approx(1e200 * np.sqrt(12.5), rel=1e-14)]


def test_gaps_of_any_size():
    trace = fb.Trace.from_arrays([[1.0, 0.0], [2.0, 1.0]], [1.0, 1.0], [0, 1], [[0.0, 0.0], [1e300, -1e300]], loss="squared")
    far = trace.gap(fb.max_margin([[1.0, 0.0]], [1.0], "l2"))
    assert np.isnan(far[0])
    assert far[1] == pytest.approx(np.sqrt(2.0 - np.sqrt(2.0)), rel=1e-14)
    assert trace.gap([-1.7e308, 0.0])[1] == pytest.approx(1.7e308, rel=1e-7)
    assert fb.Trace.from_arrays([[1.0]], [1.0], [0], [[1e308]], loss="squared").gap([-1e308])[0] == np.inf


def test_slopes_beyond_float64_do_not_warn():
    problem = fb.Plan([[1.0]], [1.0], loss="exponential", method=GD).problem
    assert problem.descent(np.array([-1e300]))[0] == np.inf


def test_an_infinite_dual_certifies_nothing():
    for loss in ("squared", fb.losses.huber(1.0)):
        limit = fb.Plan([[1e-281, 2e-281], [0.0, 1e-281]], [1.0, 2.0], loss=loss, method=GD).limit()
        assert np.isinf(limit.dual).all()
        assert not limit.certified


@pytest.mark.long
def test_junk_taken_for_a_file_stays_in_the_folder(tmp_path):
    here = set(os.listdir("."))
    for seed in range(40):
        one(seed, tmp_path)
    assert set(os.listdir(".")) == here


def test_predictions_beyond_float64_do_not_warn():
    trace = fb.Trace.from_arrays([[1.0, 2.0], [3.0, 4.0]], [1, -1], [1.0], [[1e300, 1e300]])
    with pytest.raises(ValueError, match="p must be finite"):
        trace.evaluate([[1e200, 1e200]], [1])
    far = fb.Plan([[1e160, 1.0]], [1e160], loss="squared", method=GD).fast_forward(1.0, record=2, max_steps=0)
    assert far.status == fb.Status.NOT_FINITE


def test_a_trace_of_no_rows_answers():
    X = np.reshape([-7.3e284, -1.1e285, -3.4e284, -1.0e284, 1.1e285, 2.0e284, -6.7e284, 8.2e284], (2, 2, 2))
    method = fb.methods.gradient_descent(0.05)
    trace = fb.Plan(X, [1e284, 2e284], loss="squared", method=method, start=[[0.6, 0.1], [1, 2]]).fast_forward(5.0)
    assert len(trace) == trace.gap(np.ones((2, 2))).size == len(trace.direction()) == 0
    assert list(trace.to_pandas().columns) == ["log_loss", "w0", "w1", "w2", "w3"]
    assert trace.to_xarray().sizes["t"] == 0
    with pytest.raises(ValueError, match="two rows"):
        trace.increment()


def test_ratios_beyond_float64_are_told_and_not_raised():
    """Python's own ``x ** 2`` raises where ``x * x`` is inf."""
    X = [[1.9e-146, -1.3e146], [-4.7e-146, 9.9e145], [-3e-146, -4.3e146]]
    told = fb.Plan(X, [-1, 1, 1], loss="logistic", method=fb.methods.gradient_descent(0.005)).limit()
    assert not told.certified
    far = fb.Plan([[2.7e155, -5.5e-18], [-1.2e154, 4.1e-18], [7.7e154, -2.9e-18]], [1.3e155, -6e153, 3.9e154],
                  loss="squared", method=fb.methods.mirror_descent("cosh", 0.2), start=[1.4, 2.0]).limit()
    assert not far.certified
    assert next(h.holds for h in far.hypotheses if "has a solution" in h.statement) is not True


def test_paths_of_tiny_data_do_not_warn():
    X = [[[3.1e-210, -1.7e-209], [-1.1e-209, 1e-209]], [[-4.2e-210, -9.5e-210], [8.1e-211, -1.4e-210]]]
    path = fb.regularisation_path(X, [-4.2e-209, -2.3e-209], [0.1, 10.0], loss="squared")
    assert path.residuals.shape == (2,)
    with pytest.raises(ValueError, match="λ_max fits into float64"):
        fb.l1_path([[0.6, -1.0, -0.3]], [1e-320])


def test_a_piecewise_linear_function_far_out_keeps_its_sign():
    f = fb.relu.PiecewiseLinear([-1.0, 2.0], [1.4e8, 0.6e8], slope=-1.3e8)
    assert f([1.4e308, -1.4e308, 4.0]).tolist() == [np.inf, np.inf, -5.2e8 + 7e8 + 1.2e8]
    assert fb.relu.PiecewiseLinear([0.0], [2.0], slope=-1.0)([1.7e308]) == 1.7e308


def test_a_margin_flow_on_a_constraint_beyond_float64_does_not_warn():
    X = [[-8e51, 1.2e50], [-4.7e50, 1.6e50], [8.6e50, 1.2e50]]
    method = fb.methods.mirror_descent("cosh", 0.1, constraint=([[1.0, 1.0]], [0.002]))
    with pytest.raises(ArithmeticError, match="could not be followed"):
        fb.Plan(X, [1, 1, -1], loss="exponential", method=method, start=[0.001, 0.001]).flow()


def test_words_are_classes_in_their_own_order():
    limit = fb.max_margin([[1.0, 2.0], [3.0, -1.0]], ["-0.5", "-0.1"], "l2")
    assert limit.classes.tolist() == ["-0.1", "-0.5"]
    X, y = [[1.0, 2.0], [3.0, -1.0]], ["-0.5", "-0.1"]
    assert oracles.margin(oracles.rows(X, y, (2,)), limit) is None
    assert oracles.margin(-oracles.rows(X, y, (2,)), limit) is not None


@pytest.mark.parametrize("value", [fb.norms.l2, fb.norms.l2.dual], ids=["norm", "dual"])
def test_ragged_vectors_are_refused_in_a_sentence(value):
    with pytest.raises(ValueError, match="got rows of different lengths"):
        value([[1.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match=r"not empty, got shape \(2, 0\)"):
        value(np.empty((2, 0)))
    assert value(np.empty((0, 2))).shape == (0,)


def test_a_margin_that_underflows_in_units_of_the_samples_is_not_certified():
    X = [[-5.2e297], [2.9e299], [-2.2e298], [9.99988867182683e-21]]
    with pytest.raises(ArithmeticError, match="too far apart"):
        fb.max_margin(X, [-1, 1, -1, 1], "linf")


def test_a_potential_of_symmetric_matrices_refuses_rows_of_another_size():
    psi = dataclasses.replace(fb.potentials.spectral_entropy(3), size=None)
    with pytest.raises(ValueError, match="symmetric 3 × 3 matrices"):
        fb.Plan(np.ones((3, 4)), [1.0, 2, 3], method=fb.methods.mirror_descent(psi, 0.1), loss="squared")


def test_a_minimum_norm_is_proved_by_exact_sums():
    """Xᵀν is of size one, its terms of 1e8: as float64 sums them, 1e-9 of it is rounding."""
    X = [[513.8544606609912, -7.703567003033389, 0.012504712491501709, -38260.956011437884],
         [2835.686095406135, 22.977452737028937, -0.004695358587446409, 440741.38518785924],
         [-4539.360755907705, 27.34786389800456, -0.0019800592068101074, 835425.1219962658],
         [-1029.4169673599638, -10.649455186294187, -0.0021567368676135485, -527522.9348477242]]
    y = [-0.4264661551629489, 1.310341246508487, -0.49946280736309884, -0.45128290573800495]
    limit = fb.minimum_norm(X, y, "l1")
    pull = [sum(Fraction(a) * Fraction(v) for a, v in zip(column, limit.dual, strict=True))
            for column in zip(*X, strict=True)]
    proved = sum(Fraction(a) * Fraction(v) for a, v in zip(y, limit.dual, strict=True)) / max(1, *map(abs, pull))
    gap = float(1 - proved / sum(map(Fraction, map(abs, limit.w))))
    assert limit.duality_gap >= 0.999 * gap
    assert limit.certified == (limit.duality_gap <= 1e-10)


def test_weights_as_small_as_float64_allows_are_a_certificate():
    """λ = 1e-320 has three digits: what they leave is not held against the answer, and more is."""
    X, y = [[1e-320], [0.8789316162590632], [0.12954489793516855]], [0.0, 1.0, 2.0]
    told = fb.separability(X, y)
    assert not told.separable
    assert oracles.separated({"X": X, "y": y}, told, False) is None
    spoilt = dataclasses.replace(told, dual=told.dual + np.array([0, 0, 0, 1e-318, 0, 0]))
    assert "leaves" in oracles.separated({"X": X, "y": y}, spoilt, False)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_weights_that_make_samples_infinite_are_refused_in_words(norm):
    """√c x is of size 1e350: the bound 2/Λ that theory has is under 1e-700."""
    method = fb.methods.steepest_descent(norm, 1e-3)
    plan = fb.Plan([[1e200, 2e200], [-3e200, 1e200]], [1.0, -1.0], loss="logistic", method=method, weights=[1e300, 1.0])
    with pytest.raises(fb.NoTheorem, match="no number of float64"):
        plan.max_step()
