"""Limits of runs with several outputs (the paper's §5): the theorems of Section 2 for matrices."""
import numpy as np
import pytest

import fastbias as fb

m, n, p = fb.methods, fb.norms, fb.potentials
RNG = np.random.default_rng(1)
N, K, D = 2, 2, 3
X = RNG.normal(size=(N, D))
W = RNG.uniform(0.3, 1.2, size=(K, D))
Y = X @ W.T
WHOLE, FLAT = np.kron(np.eye(K), X), Y.T.ravel()
METRIC = np.diag([1.0, 2, 1, 0.5, 1, 1])
METRIC[0, 5] = METRIC[5, 0] = 0.3
GD = m.gradient_descent(0.05)
# what is named, and how: the method, and the word in the theorem
NAMED = [
    (GD, "minimum distance"), (m.gradient_descent(0.03, momentum=0.5, nesterov=0.2), "minimum distance"),
    (m.gradient_descent(0.03, batch=1, rng=0), "minimum distance"), (m.mirror_descent("entropy", 0.05), "Theorem 1"),
    (m.mirror_descent(p.hypentropy(0.3), 0.05, dual_momentum=0.3), "Theorem 1b"),
    (m.mirror_descent(p.squared_lp(1.5), 0.05), "Theorem 1"), (m.mirror_descent(p.quadratic(METRIC), 0.03), "Theorem 1"),
    (m.mirror_descent("entropy", 0.03, constraint=(np.ones((1, K * D)), [W.sum()])), "Theorem 1a"),
    (m.natural_gradient(p.quadratic(METRIC), 0.03), "Theorem 1"),
    (m.steepest_descent(n.quadratic(METRIC), 0.03), "minimum distance in a quadratic norm"),
    (m.gradient_descent(0.05, weight_decay=0.2), "ridge regression"),
]


@pytest.mark.long
@pytest.mark.parametrize(("method", "word"), NAMED, ids=lambda x: repr(x)[:50])
@pytest.mark.parametrize("start", [None, RNG.uniform(0.2, 1, size=(K, D))], ids=["default", "start"])
def test_runs_end_in_the_limit_that_is_that_of_the_problem_written_out(method, word, start):
    plan = fb.Plan(X, Y, loss="squared", method=method, start=start)
    trace, limit = plan.run(200_000), plan.limit()
    other = fb.Plan(WHOLE, FLAT, loss="squared", method=method, start=None if start is None else start.ravel()).limit()
    assert word in limit.theorem
    assert limit.theorem == other.theorem
    assert limit.certified
    assert limit.w.shape == (K, D)
    assert limit.dual.shape == ((K * N + 1,) if method.constraint is not None else (N, K))
    np.testing.assert_allclose(limit.w.ravel(), other.w, atol=1e-12)
    assert trace.gap(limit)[-1] < 1e-10
    if not method.sampling.batch:
        assert [row.holds for row in limit.hypotheses] == [row.holds for row in other.hypotheses]


def test_gradient_descent_goes_to_the_pseudoinverse_and_off_realisable_data_to_least_squares():
    limit = fb.Plan(X, Y, loss=fb.losses.huber(0.5), method=GD).limit()
    np.testing.assert_allclose(limit.w, (np.linalg.pinv(X) @ Y).T, atol=1e-13)
    A, B = RNG.normal(size=(7, D)), RNG.normal(size=(7, K))
    c = RNG.uniform(0.5, 2, 7)
    for weights in (None, c):
        plan = fb.Plan(A, B, loss="squared", method=m.gradient_descent(0.02), weights=weights)
        limit, root = plan.limit(), np.ones((7, 1)) if weights is None else np.sqrt(c)[:, None]
        assert limit.certified
        assert "least squares" in limit.theorem
        np.testing.assert_allclose(limit.w, np.linalg.lstsq(root * A, root * B, rcond=None)[0].T, atol=1e-13)


@pytest.mark.long
def test_spectral_entropy_goes_to_the_projection_of_symmetric_matrices():
    rng = np.random.default_rng(0)
    S = rng.normal(size=(D, D))
    S = S @ S.T + np.eye(D)
    A = rng.normal(size=(1, D))
    plan = fb.Plan(A, A @ S, loss="squared", method=m.mirror_descent(p.spectral_entropy(D), 0.01))
    trace, limit = plan.run(3_000), plan.limit()
    assert limit.certified
    assert "Theorem 1" in limit.theorem
    np.testing.assert_allclose(limit.w, limit.w.T, atol=1e-14)
    assert trace.gap(limit)[-1] < 1e-8


def test_intercepts_of_limits():
    limit = fb.Plan(X[:2], Y[:2], loss="squared", method=GD, intercept=True).limit()
    np.testing.assert_array_equal(limit.intercept, limit.w[:, -1])
    np.testing.assert_allclose(limit.w, (np.linalg.pinv(np.column_stack([X, np.ones(N)])) @ Y).T, atol=1e-13)
    assert "penalised" in limit.hypotheses[-1].statement


@pytest.mark.parametrize(("method", "example"), [
    (m.steepest_descent(n.spectral(K, D), 0.01), "Example 4"), (m.steepest_descent(n.l1, 0.01), "Example 4"),
    (m.adagrad(0.1), "§3.3"), (m.coordinate_descent(0.01), "§2.4"), (m.natural_gradient(p.hypentropy(0.5), 0.01), "Example 3"),
    (m.mirror_descent("entropy", 0.01, primal_momentum=0.3), "Example 2")])
def test_where_no_theorem_speaks_the_example_is_named(method, example):
    with pytest.raises(fb.NoTheorem) as told:
        fb.Plan(X, Y, loss="squared", method=method).limit()
    assert example in told.value.source + told.value.reason


STEPS = [GD, m.gradient_descent(0.01, momentum=0.4), m.gradient_descent(0.01, weight_decay=0.3),
         m.natural_gradient(p.quadratic(METRIC), 0.01), m.steepest_descent(n.l1, 0.01),
         m.steepest_descent(n.spectral(K, D), 0.01), m.steepest_descent(n.nuclear(K, D), 0.01),
         m.steepest_descent(n.l2, 0.01), m.steepest_descent(n.quadratic(METRIC), 0.01)]


@pytest.mark.parametrize("method", STEPS, ids=repr)
@pytest.mark.parametrize("weights", [None, np.array([2.0, 0.5])])
def test_admitted_steps_are_those_of_the_problem_written_out(method, weights):
    one, other = (fb.Plan(*data, loss="squared", method=method, weights=c).max_step() for data, c in
                  (((X, Y), weights), ((WHOLE, FLAT), None if weights is None else np.tile(weights, K))))
    assert one.step_size == pytest.approx(other.step_size, rel=1e-12)
    assert one.theorem == other.theorem


@pytest.mark.parametrize("method", [GD, m.gradient_descent(0.01, momentum=0.4),
                                    m.mirror_descent(p.quadratic(METRIC), 0.01)], ids=repr)
def test_fast_forward_is_where_the_run_is(method):
    plan = fb.Plan(X, Y, loss="squared", method=method, start=np.ones((K, D)))
    fast = plan.fast_forward(np.log(60), record=[np.log(60)])
    trace = plan.run(60)
    assert fast.w.shape == (1, K, D)
    np.testing.assert_allclose(fast.w[-1], trace.w[-1], rtol=0, atol=1e-11)
    assert fast.log_loss[-1] == pytest.approx(trace.log_loss[-1], abs=1e-9)
    assert plan.fast_forward(1e9).gap(plan.limit())[-1] < 1e-12
    with pytest.raises(ValueError, match="labels"):
        fast.margin()


def test_fast_forward_says_what_it_is_not_for():
    for method, loss in ((m.mirror_descent("entropy", 0.01), "squared"), (GD, fb.losses.huber(1.0))):
        with pytest.raises(LookupError, match="the closed form is for"):
            fb.Plan(X, Y, loss=loss, method=method).fast_forward(10)
    large = np.eye(20, 1000), np.ones((20, 30))
    wide = fb.Plan(*large, loss="squared", method=GD)
    for ask in (lambda: wide.fast_forward(10),
                fb.Plan(*large, loss="squared", method=m.gradient_descent(0.1, weight_decay=1)).limit):
        with pytest.raises(LookupError, match="K² N d <= 16777216"):
            ask()
    with pytest.raises(ValueError, match="K² N d <= 16777216"):
        wide.flow()
    assert wide.max_step().step_size == pytest.approx(1)
    assert wide.limit().certified


@pytest.mark.parametrize("method", [GD, m.mirror_descent("entropy", 0.01), m.natural_gradient(p.hypentropy(0.5), 0.01),
                                    m.steepest_descent(n.lp(3), 0.01)], ids=repr)
def test_flows_are_those_of_the_problem_written_out(method):
    one, other = (fb.Plan(*data, loss="squared", method=method).flow(2.0) for data in ((X, Y), (WHOLE, FLAT)))
    assert one.w.shape == (len(one), K, D)
    np.testing.assert_allclose(one.w.reshape(len(one), -1), other.w, atol=1e-9)
    np.testing.assert_allclose(one.log_loss[0], other.log_loss[0])
    if method.geometry is None or method.dual:
        plan = fb.Plan(X, Y, loss="squared", method=method)
        assert plan.flow().gap(plan.limit(flow=True))[-1] < 1e-8
