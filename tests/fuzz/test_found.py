"""What random calls found, each kept by its call, since seeds move."""
import dataclasses
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

import fastbias as fb
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
