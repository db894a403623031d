"""Known results on diagonal networks, found again: the edge of stability, label noise, sharpness-aware steps."""
import numpy as np
import pytest

import fastbias as fb
from tests.helpers.marks import slow

m = fb.methods
TWO = fb.models.diagonal(2, signed=True)
SEEDS = [0, *slow(1, 2, 3)]
pytestmark = pytest.mark.long


def sparse(seed, N=10, d=20):
    """Ten equations that a w of two entries solves, and that w, which is the solution of least ℓ1 norm."""
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(N, d)) / np.sqrt(N), np.zeros(d)
    w[:2] = 1, -1
    assert fb.minimum_norm(X, X @ w, "l1").w == pytest.approx(w, abs=1e-9)
    return X, X @ w, w


def go(seed, method, steps):
    X, y, w = sparse(seed)
    plan = fb.Plan(X, y, loss="squared", method=method, model=TWO, start=TWO.start(0.5))
    trace = plan.run(steps, record=20)
    return trace, float(np.linalg.norm(trace.w[-1] - w))


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_too_long_for_where_the_flow_ends_end_where_they_are_stable(seed):
    """Even et al. (2023): η over 2/sharpness of the flow's end leads to another solution, of sharpness under 2/η."""
    small, _ = go(seed, m.gradient_descent(0.005), 100_000)
    ends = small.sharpness()[-1]
    eta = 2 / (0.8 * ends)
    large, _ = go(seed, m.gradient_descent(eta), 100_000)
    assert large.log_loss[-1] < -50
    assert large.sharpness()[-1] < 2 / eta < ends
    assert np.linalg.norm(large.w[-1] - small.w[-1]) > 0.01


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("batch", [None, 1])
def test_label_noise_brings_the_sparse_solution(seed, batch):
    """HaoChen et al. (2021): from a start that is not small gradient descent ends far from it, with noisy labels near it."""
    _, plain = go(seed, m.gradient_descent(0.01), 100_000)
    noisy, near = go(seed, m.gradient_descent(0.01, batch=batch, label_noise=0.5, rng=0), 1_000_000)
    assert plain > 0.5
    assert near < 0.3
    assert np.abs(noisy.w[-1]).sum() < 2.1


@pytest.mark.parametrize("seed", SEEDS)
def test_sharpness_aware_steps_of_single_samples_bring_it_too_and_those_of_all_do_not(seed):
    """Andriushchenko & Flammarion (2022): the sample-wise perturbation is what counts."""
    single = m.sharpness_aware(m.gradient_descent(0.01, batch=1, rng=0), 0.1, per_sample=True)
    assert go(seed, single, 200_000)[1] < 0.05
    assert go(seed, m.sharpness_aware(m.gradient_descent(0.01), 0.1), 200_000)[1] > 0.5


@pytest.mark.parametrize(("method", "words"), [(m.gradient_descent(0.01, label_noise=0.5), "HaoChen"),
                                               (m.sharpness_aware(m.gradient_descent(0.01), 0.1), "Andriushchenko")], ids=repr)
def test_no_limit_is_named_where_none_is_known(method, words):
    X, y, _ = sparse(0)
    with pytest.raises(fb.NoTheorem, match=words):
        fb.Plan(X, y, loss="squared", method=method, model=TWO, start=TWO.start(0.5)).limit()
    with pytest.raises(fb.NoTheorem) as told:
        fb.Plan(X, y, loss="squared", method=method).limit()
    assert words not in told.value.reason
