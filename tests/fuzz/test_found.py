"""What random calls found, each kept by its call, since seeds move."""
import numpy as np
import pytest

import fastbias as fb

GD = fb.methods.gradient_descent(0.1)


def plan():
    return fb.Plan([[1.0, 2.0]], [1.0], loss="squared", method=GD)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: fb.capi.arguments(0.0), TypeError, "plan must be a Plan, got 0.0"),
    (lambda: fb.capi.arguments(plan(), [None]), TypeError, "steps must be"),
    (lambda: fb.capi.arguments(plan(), [2**63]), ValueError, "steps must be whole, increasing, and between 0 and"),
    (lambda: fb.capi.arguments(plan(), [3, 2]), ValueError, "steps must be whole, increasing"),
    (lambda: fb.capi.arguments(plan(), [0.5]), ValueError, "steps must be whole"),
    (lambda: fb.sweep(lambda: plan(), np.array("x"), steps=3), TypeError, "grid must be a mapping"),
    (lambda: fb.sweep(np.array(1.0), steps=3), TypeError, "plans must be a factory"),
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
