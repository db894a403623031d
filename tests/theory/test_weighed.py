"""What theory says of weighed samples: as of samples that stand several times, and held against runs."""
import numpy as np
import pytest

import fastbias as fb
from tests.theory.test_inseparable import ANSWERS, OVERLAP, QUASI, planted

m = fb.methods
RNG = np.random.default_rng(0)
SEPARABLE = np.array([[0.5, 1.5], [1.5, 0.5], [2.0, 2.0]]), np.ones(3)


def pair(X, y, counts, loss, method, **rest):
    """A plan with counts as weights, and one whose samples stand so often."""
    often = np.repeat(np.arange(len(y)), counts)
    X, y = np.asarray(X), np.asarray(y)
    return (fb.Plan(X, y, loss=loss, method=method, weights=counts, **rest),
            fb.Plan(X[often], y[often], loss=loss, method=method, **rest))


CASES = {
    "ray": (planted(0)[0], None, "logistic", m.gradient_descent(0.002)),
    "overlap": (OVERLAP, None, "exponential", m.gradient_descent(0.002)),
    "classes": (RNG.normal(size=(30, 2)), RNG.integers(0, 3, 30), "cross_entropy", m.gradient_descent(0.002)),
    "decay": (OVERLAP, None, "logistic", m.gradient_descent(0.002, weight_decay=0.1)),
    "decay of classes": (RNG.normal(size=(30, 2)), RNG.integers(0, 3, 30), "cross_entropy",
                         m.gradient_descent(0.002, weight_decay=0.1)),
    "ridge": (OVERLAP, RNG.normal(size=5), "squared", m.gradient_descent(0.002, weight_decay=0.1)),
    "least squares": (OVERLAP, RNG.normal(size=5), "squared", m.gradient_descent(0.002)),
    "separable": (*SEPARABLE, "exponential", m.gradient_descent(0.002))}


@pytest.mark.parametrize("case", CASES)
def test_weights_are_counts(case):
    X, y, loss, method = CASES[case]
    y = np.ones(len(X)) if y is None else y
    counts = np.random.default_rng(1).integers(1, 4, len(X))
    weighed, often = pair(X, y, counts, loss, method)
    one, other = weighed.limit(), often.limit()
    assert one.kind == other.kind
    assert one.certified
    assert one.w == pytest.approx(other.w, abs=1e-10)
    assert (one.offset is None) == (other.offset is None)
    if one.offset is not None:
        assert one.offset == pytest.approx(other.offset, abs=1e-10)
    assert weighed.max_step().step_size == pytest.approx(often.max_step().step_size, rel=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("case", ["ray", "overlap", "classes", "decay", "separable", "least squares"])
def test_fast_forward_of_weighed_samples(case):
    X, y, loss, method = CASES[case]
    y = np.ones(len(X)) if y is None else y
    counts = np.random.default_rng(1).integers(1, 4, len(X))
    plan = pair(X, y, counts, loss, method)[0]
    far = plan.fast_forward(np.log(200_000), record=1, max_steps=100_000)
    run = plan.run(200_000, record=[200_000])
    assert np.abs(far.w[-1] - run.w[-1]).max() <= far.error_estimate[-1]
    assert far.log_loss[-1] == pytest.approx(run.log_loss[-1], rel=1e-6, abs=1e-9)


def test_directions_do_not_depend_on_weights_and_finite_parts_do():
    plain, weighed = (fb.Plan(QUASI, ANSWERS, loss="logistic", method=m.gradient_descent(0.001), weights=weights).limit()
                      for weights in (None, [1, 2, 1, 1, 3, 1, 1, 1, 1, 1.5]))
    assert plain.w.tolist() == weighed.w.tolist()
    assert np.abs(plain.offset - weighed.offset).max() > 0.05
    assert any("weights" in h.evidence for h in weighed.hypotheses)
    assert not any("weights" in h.evidence for h in plain.hypotheses)
