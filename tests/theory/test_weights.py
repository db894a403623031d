"""Limits, step sizes, flows and fast-forward of samples with weights, held against repeated rows."""
import numpy as np
import pytest

import fastbias as fb
from fastbias import methods

RNG = np.random.default_rng(3)
N, D = 8, 3
X = RNG.normal(size=(N, D)) + 0.3
Y = np.where(X @ [1.0, 2.0, -1.0] > 0, 1.0, -1.0)
X = X + 0.4 * Y[:, None] * np.array([1.0, 2.0, -1.0]) / 6 ** 0.5       # a margin
TARGETS = RNG.normal(size=N)
C = np.array([1.0, 3, 2, 5, 1, 1, 4, 2])
ROWS = np.repeat(np.arange(N), C.astype(int))


def pair(y, **options):
    return fb.Plan(X, y, weights=C, **options), fb.Plan(X[ROWS], y[ROWS], **options)


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_offsets_count_weights_and_directions_do_not(loss):
    method = methods.gradient_descent(0.05)
    a, b = (plan.limit() for plan in pair(Y, loss=loss, method=method))
    plain = fb.Plan(X, Y, loss=loss, method=method).limit()
    np.testing.assert_allclose(a.w, plain.w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(a.w, b.w, rtol=0, atol=1e-10)
    assert (a.offset is None) == (b.offset is None)
    if a.offset is not None:
        np.testing.assert_allclose(a.offset, b.offset, rtol=1e-8)
        assert np.abs(a.offset - plain.offset).max() > 1e-2


@pytest.mark.long
def test_offsets_of_weights_of_any_size_are_where_runs_go():
    rows, y = np.array([[1.0, 0.2], [0.1, 1.0]]), [1, 1]
    for c in ([1.0, 50.0], [1e-3, 2.0]):
        plan = fb.Plan(rows, y, loss="exponential", method=methods.gradient_descent(0.01),
                       weights=c)
        limit = plan.limit()
        far = plan.fast_forward(1e6)
        hat = limit.w / limit.margin
        np.testing.assert_allclose(far.w[-1] - hat * 1e6, limit.offset, atol=1e-6)


def test_offsets_of_classes():
    y = np.array([0, 1, 2.0])
    rows = np.array([[2.0, 0.1], [-1.0, 1.5], [-0.8, -1.7]])
    a = fb.Plan(rows, y, loss="cross_entropy", method=methods.gradient_descent(0.1),
                weights=[3, 1, 2]).limit()
    often = [0, 0, 0, 1, 2, 2]
    b = fb.Plan(rows[often], y[often], loss="cross_entropy",
                method=methods.gradient_descent(0.1)).limit()
    np.testing.assert_allclose(a.w, b.w, atol=1e-9)
    assert (a.offset is None) == (b.offset is None)
    if a.offset is not None:
        np.testing.assert_allclose(a.offset, b.offset, atol=1e-7)


@pytest.mark.long
@pytest.mark.parametrize("method", [methods.gradient_descent(0.002),
                                    methods.steepest_descent(fb.norms.quadratic([1, 2, 3.0]), 0.002),
                                    methods.gradient_descent(0.002, weight_decay=0.5)])
def test_least_squares_and_ridge(method):
    a, b = (plan.limit() for plan in pair(TARGETS, loss="squared", method=method))
    assert a.certified
    np.testing.assert_allclose(a.w, b.w, rtol=1e-9)
    root = np.sqrt(C)
    if not method.decay:
        wanted = np.linalg.lstsq(root[:, None] * X, root * TARGETS, rcond=None)[0]
        np.testing.assert_allclose(a.w, wanted, rtol=1e-9)
    run = fb.run(X, TARGETS, loss="squared", method=method, weights=C, steps=100_000)
    np.testing.assert_allclose(run.w[-1], a.w, rtol=1e-8)


@pytest.mark.parametrize(("loss", "method"), [
    ("squared", methods.gradient_descent(1.0)), ("logistic", methods.gradient_descent(1.0)),
    ("exponential", methods.gradient_descent(1.0)),
    ("logistic", methods.steepest_descent("linf", 1.0)),
    ("squared", methods.steepest_descent(fb.norms.quadratic([1, 2, 3.0]), 1.0)),
    ("exponential", methods.adagrad(0.01, G0=1e4))])
def test_longest_steps(loss, method):
    a, b = (plan.max_step() for plan in pair(Y, loss=loss, method=method))
    assert a.step_size == pytest.approx(b.step_size, rel=1e-10)
    assert a.theorem == b.theorem


@pytest.mark.long
@pytest.mark.parametrize(("loss", "method", "log_t"), [
    ("exponential", methods.gradient_descent(0.02), 1e4),
    ("logistic", methods.gradient_descent(0.02, momentum=0.5), 100.0),
    ("logistic", methods.mirror_descent("cosh", 0.02), 100.0),
    ("exponential", methods.steepest_descent(fb.norms.lp(1.5), 0.01), 50.0),
    ("probit", methods.gradient_descent(0.02), 100.0),
    ("squared", methods.gradient_descent(0.002, momentum=0.5), 9.0)])
def test_fast_forward(loss, method, log_t):
    y = TARGETS if loss == "squared" else Y
    a, b = (plan.fast_forward(log_t, record=4) for plan in pair(y, loss=loss, method=method))
    size = 1e-9 + a.error_estimate[:, None] + b.error_estimate[:, None]
    assert (np.abs(a.w - b.w) <= size * np.maximum(1.0, np.abs(b.w).max())).all()
    np.testing.assert_allclose(a.log_loss, b.log_loss, rtol=1e-6, atol=1e-6)


@pytest.mark.long
def test_steps_divided_by_the_loss():
    rows, steps = np.array([[1.0, 0.2], [0.1, 1.0]]), 160_000
    options = {"loss": "exponential", "method": methods.gradient_descent(fb.steps.loss_scaled(0.1))}
    plan, plain = (fb.Plan(rows, np.ones(2), weights=c, **options) for c in ([1.0, 5.0], None))
    far = plan.fast_forward(np.log(steps), record=1)
    assert np.abs(far.w[-1] - plain.fast_forward(np.log(steps), record=1).w[-1]).max() > 0.1
    run = plan.run(steps)
    np.testing.assert_allclose(far.w[-1], run.w[-1], rtol=1e-10)
    np.testing.assert_allclose(far.log_loss[-1], run.log_loss[-1], rtol=1e-10)


@pytest.mark.long
def test_nesterovs_sequence():
    k = np.arange(200_000.0)
    beta = k / (k + 3.0)
    method = methods.gradient_descent(0.01, momentum=beta, nesterov=beta)
    a, b = (plan.fast_forward(11.5, record=3) for plan in pair(Y, loss="exponential", method=method))
    np.testing.assert_allclose(a.w[-1], b.w[-1], rtol=1e-6)


@pytest.mark.long
def test_flows():
    for loss, y, time in (("squared", TARGETS, np.inf), ("logistic", Y, 50.0)):
        a, b = (plan.flow(time) for plan in pair(y, loss=loss, method=methods.gradient_descent(0.1)))
        np.testing.assert_allclose(a.w[-1], b.w[-1], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(a.log_loss[-1], b.log_loss[-1], rtol=1e-7)


def test_a_sample_may_be_wrong_under_a_heavy_loss():
    """That L is under ℓ(0) proves each sample right only where its weight is at least one."""
    options = {"loss": "sigmoid", "method": methods.gradient_descent(0.1), "start": [0.0, 0.0]}
    rows, y = [[1.0, 0.0], [-1.0, 2.0]], [1, 1]
    for c, right in (([1e-3, 1e-3], None), ([1.0, 1.0], None), ([1.0, 1e-3], None)):
        limit = fb.Plan(rows, y, weights=c, **options).limit()
        row = next(h for h in limit.hypotheses if h.statement.startswith("log L < log ℓ(0)"))
        assert row.holds is right
