"""Fast-forward off separable data and with weight decay, against ordinary steps."""
import numpy as np
import pytest

import fastbias as fb
from tests.theory.test_inseparable import ANSWERS, D4, OVERLAP, QUASI, planted

pytestmark = pytest.mark.long

m = fb.methods


def plan_of(X, y=None, loss="logistic", method=None, **rest):
    return fb.Plan(X, np.ones(len(X)) if y is None else y, loss=loss, method=method or m.gradient_descent(0.01), **rest)


def held(plan, far):
    """The errors of a fast-forward's rows against a plan's own steps; each is within its estimate."""
    within = np.flatnonzero((far.t >= 0) & (far.t <= 1_000_000))
    steps = plan.run(int(far.t[within[-1]]), record=far.t[within])
    # (a run that repeats itself ends early, and stays where it is)
    same = np.minimum(np.searchsorted(steps.t, far.t[within]), len(steps) - 1)
    off = np.abs(far.w[within] - steps.w[same]).reshape(within.size, -1).max(axis=1)
    assert (off <= far.error_estimate[within]).all()
    return off


SPREAD = m.steepest_descent(fb.norms.quadratic(D4), 0.003)


@pytest.mark.parametrize(("seed", "loss", "method"), [
    (0, "logistic", m.gradient_descent(0.01)), (1, "exponential", m.gradient_descent(3e-4)),
    (2, "exponential", SPREAD)], ids=["logistic", "exponential", "metric"])
def test_a_ray_is_followed_as_ordinary_steps_go_and_beyond(seed, loss, method):
    X, k = planted(seed)
    plan = plan_of(X, loss=loss, method=method, start=[0.3, -0.2, 0.5, 0.1])
    limit = plan.limit()
    far = plan.fast_forward(1e4, record=[*np.log([1e5, 3e5, 1e6]), 50.0, 3e3, 1e4], max_steps=100_000)
    assert held(plan, plan.fast_forward(np.log(1e6), record=np.log([3e5, 1e6]), max_steps=100_000)).max() < 1e-7
    assert far.finite_gap(limit)[-1] < 1e-8
    # the direction comes like 1/log t, and slacks of strict rows stay where w has lost their digits
    assert far.gap(limit)[-1] < 30 / 1e4
    assert far.gap(limit)[-2] == pytest.approx(far.gap(limit)[-1] * 1e4 / 3e3, rel=0.1)
    margins = far.log_t[-1] - far.slack[-1]
    assert margins == pytest.approx(X @ far.w[-1], abs=1e-8)
    assert np.exp(far.log_loss[-1]) == pytest.approx(
        sum(np.exp(-v) if loss == "exponential" else np.log1p(np.exp(-v)) for v in X[:k] @ limit.offset), rel=1e-12)


def test_the_published_example_goes_where_it_is_known_to():
    plan = plan_of(QUASI, ANSWERS)
    far = plan.fast_forward(1e4, record=[*np.log([1e6, 1e7]), 1e4], max_steps=200_000)
    assert far.w[:2, 0] == pytest.approx([7.7388, 10.0436], abs=5e-5)
    assert far.w[-1, 1] == pytest.approx(-0.12062572003262266, abs=1e-10)
    assert far.log_loss[-1] == pytest.approx(np.log(1.8895912629816989), abs=1e-10)


def test_a_finite_part_that_is_not_yet_where_it_settles_is_refused():
    """Samples of length 1/100 that clash: their part takes 10⁵ steps to settle."""
    X = np.array([[0.01, 0], [-0.01, 0], [-0.01, 0], [0, 1]])
    plan = plan_of(X, method=m.gradient_descent(0.1), start=[-68.0, 0])
    with pytest.raises(fb.NoTheorem, match="still .* from where it settles"):
        plan.fast_forward(1e4, max_steps=50_000)
    assert plan.fast_forward(1e4, record=1).finite_gap(plan.limit())[-1] < 0.1


@pytest.mark.parametrize("loss", ["logistic", "exponential", "cross_entropy"])
def test_a_run_that_rests_is_followed_there(loss):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), rng.integers(0, 3 if loss == "cross_entropy" else 2, 30)
    start = rng.normal(size=(3, 3) if loss == "cross_entropy" else 3)
    # so slow that it is under way when the exact steps end
    eta = 3e-4 if loss == "cross_entropy" else 3e-5
    for method in (m.gradient_descent(eta), m.gradient_descent(eta, weight_decay=0.5)):
        plan = plan_of(X, y, loss, method, start=start)
        limit = plan.limit()
        far = plan.fast_forward(1e6, record=[*np.log([50, 30_000, 100_000, 300_000]), 30.0, 800.0], max_steps=60_000)
        assert "where it comes to rest" in far.message
        assert far.t[0] == 50
        assert held(plan, far).max() < 1e-3
        assert far.gap(limit)[-1] < 1e-14
        assert (far.log_t[-1], far.t[-1]) == (1e6, -1)
        near = plan_of(X, y, loss, method, start=start).fast_forward(1e6, record=np.log([200_000, 300_000]))
        assert "not reached" not in near.message
        assert held(plan_of(X, y, loss, method, start=start), near).max() < 1e-10


def test_a_metric_rests_at_its_own_point():
    X = np.hstack([OVERLAP, OVERLAP[:, :1]])
    plan = plan_of(X, method=SPREAD, start=[1.0, 0, 0, -3.0])
    far = plan.fast_forward(100.0, record=np.log([5_000, 50_000]))
    assert far.gap(plan.limit())[-1] < 1e-13
    assert held(plan, far).max() < 1e-10


def test_runs_that_swing_to_and_fro_and_runs_that_repeat():
    z = np.array([[1.0], [2.0], [-1.0]])
    swinging = plan_of(z, method=m.gradient_descent(1.3))             # η λ over 1: each step crosses the minimiser
    far = swinging.fast_forward(20.0, record=np.log([5, 6, 40]))
    assert held(swinging, far).max() < 1e-12
    still = plan_of(z)
    still.run(100_000)
    assert still.fast_forward(1e3).gap(still.limit())[-1] < 1e-14


def test_runs_that_are_far_from_rest_or_too_fast_for_it_are_refused():
    with pytest.raises(fb.NoTheorem, match="ask for more max_steps"):
        plan_of(OVERLAP, start=[50.0, 0, 0], method=m.gradient_descent(1e-6)).fast_forward(20.0, max_steps=1000)
    with pytest.raises(fb.NoTheorem, match="swings away"):
        plan_of(OVERLAP, method=m.gradient_descent(40.0)).fast_forward(20.0, max_steps=1000)


@pytest.mark.parametrize("method", [m.gradient_descent(0.01, 0.5), m.gradient_descent(fb.steps.power(0.01, 0.5)),
                                    m.steepest_descent(fb.norms.lp(1.5), 0.01)])
def test_what_no_field_follows_off_separable_data_is_refused(method):
    for rows in (OVERLAP, planted(0)[0]):
        with pytest.raises(fb.NoTheorem, match="off separable data only gradient descent") as told:
            plan_of(rows, method=method).fast_forward(50.0)
        assert np.abs(told.value.dual @ rows).max() < 1e-12


def test_flows_off_separable_data():
    plan = plan_of(OVERLAP)
    assert plan.flow().gap(plan.limit(flow=True))[-1] < 1e-12
    X, _ = planted(0)
    with pytest.raises(ArithmeticError, match="never comes to rest: 6 of 21 rows"):
        plan_of(X).flow()
    limit = plan_of(X).limit(flow=True)
    # at time ηt it is where steps of η are at t, and Π_S w − v̄ falls like 1/t
    gaps = [plan_of(X).flow(time).finite_gap(limit)[-1] for time in (1e3, 1e4)]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.05)
    assert gaps[0] == pytest.approx(plan_of(X).run(100_000, record=[100_000]).finite_gap(limit)[-1], rel=1e-3)
