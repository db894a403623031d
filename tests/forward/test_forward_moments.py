"""Adam, RMSProp and their kin with ε > 0: held to long runs, to where theory says, and to when ε takes over."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbias as fb
from fastbias.theory.moments import growth, taking_over
from tests.helpers.problems import reached, separable

m = fb.methods
long = pytest.mark.long
X, y = separable(20, 5, 3)
METHODS = {
    "adam": m.adam(0.01), "adam, large eps": m.adam(0.01, eps=1e-4), "adam, no momentum": m.adam(0.03, 0.0),
    "adam, eps inside": m.adam(0.01, eps_inside_root=True), "amsgrad": m.adam(0.01, amsgrad=True),
    "amsgrad, eps inside": m.adam(0.01, amsgrad=True, eps_inside_root=True), "nadam": m.nadam(0.01),
    "rmsprop": m.rmsprop(0.01), "rmsprop, eps inside": m.rmsprop(0.01, eps_inside_root=True),
    "rmsprop, momentum": m.rmsprop(0.01, momentum=0.9), "rmsprop, nesterov": m.rmsprop(0.01, momentum=0.9, nesterov=0.9),
    "rmsprop, all": m.rmsprop(0.01, momentum=0.5, nesterov=0.2, eps_inside_root=True),
    "rmsprop, momentum longer than the squares'": m.rmsprop(0.01, 0.5, momentum=0.95), "adam, short squares": m.adam(0.01, 0.9, 0.6),
    "adadelta": m.adadelta(), "adadelta, long memory": m.adadelta(0.5, rho=0.99)}
FEW = ("adam", "amsgrad", "rmsprop, momentum", "adadelta")


def against_a_run(A, b, loss, method, far, budget):
    """Errors at rows up to t = far of what so many exact steps foretell, and what is told of them."""
    plan, rows = fb.Plan(A, b, loss=loss, method=method), np.array([far // 3, far])
    trace = plan.fast_forward(np.log(far), record=np.log(rows), max_steps=budget)
    exact = plan.run(far, record=rows)
    assert trace.t.tolist() == rows.tolist()
    errors = np.abs(trace.w - exact.w[-2:]).reshape(2, -1).max(axis=1)
    assert (errors <= trace.error_estimate).all(), (method, loss, errors, trace.error_estimate)
    return errors.max(), trace.error_estimate.max()


# the more of the two is another, the more seldom it is run
SELDOM = [(), pytest.mark.slow, pytest.mark.exhaustive]


@long
@pytest.mark.parametrize(("name", "loss"), [
    pytest.param(name, loss, marks=SELDOM[(name not in FEW) + (loss != "exponential")])
    for name in METHODS for loss in ("exponential", "logistic", "probit", "sigmoid")])
def test_it_equals_a_run_of_1e6_steps_within_its_estimate(name, loss):
    error, told = against_a_run(X, y, loss, METHODS[name], 10**6, 200_000)
    assert error <= 1e-6
    assert told <= 1e-3


@long
@pytest.mark.slow
@pytest.mark.parametrize("loss", ["exponential", pytest.param("logistic", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", FEW)
def test_it_equals_a_run_of_1e7_steps_within_its_estimate(name, loss):
    error, told = against_a_run(X, y, loss, METHODS[name], 10**7, 10**6)
    assert error <= 1e-8
    assert told <= 1e-7


@long
@settings(max_examples=8)
@given(st.integers(0, 10**6))
def test_estimates_hold_on_random_problems(seed):
    rng = np.random.default_rng(seed)
    A, b = separable(int(rng.integers(2, 20)), int(rng.integers(1, 8)), seed)
    eta, eps, beta = 10 ** rng.uniform(-3, -0.5), 10 ** rng.uniform(-9, -2), rng.choice([0.9, 0.99])
    method = (m.adam(eta, rng.choice([0, 0.5, 0.9]), beta, eps), m.rmsprop(eta, beta, eps), m.nadam(eta, 0.9, beta, eps),
              m.adam(eta, 0.9, beta, eps, amsgrad=True), m.adadelta(1.0, beta, eps),
              m.rmsprop(eta, beta, eps, momentum=0.9, eps_inside_root=True))[seed % 6]
    try:
        against_a_run(A * 10 ** rng.uniform(-0.5, 0.5), b, ("exponential", "logistic")[seed % 2], method, 200_000, 40_000)
    except (fb.NoTheorem, fb.RunStopped):
        return


@long
def test_at_1e_1e9_adam_is_at_the_l2_margin_and_its_slacks_balance():
    plan = fb.Plan(X, y, loss="exponential", method=m.adam(0.01))
    trace, best = plan.fast_forward(1e9), fb.max_margin(X, y, "l2")
    assert trace.gap(best)[-1] < 1e-8
    # as gradient descent with η/ε: η/ε e^slack = α on the support vectors
    support = best.alpha > 1e-9 * best.alpha.max()
    assert np.exp(trace.slack[-1, support]) * 0.01 / 1e-8 == pytest.approx(best.alpha[support], rel=1e-6)
    rms = fb.Plan(X, y, loss="exponential", method=m.rmsprop(0.01, momentum=0.75)).fast_forward(1e9, record=1)
    assert np.exp(rms.slack[-1, support]) * 0.04 / 1e-8 == pytest.approx(best.alpha[support], rel=1e-6)


@long
@pytest.mark.parametrize("method", [m.adam(0.01), m.adam(0.01, amsgrad=True), m.adadelta()], ids=repr)
def test_a_feature_that_is_always_0_and_weights_of_samples_change_nothing(method):
    A, c = np.insert(X, 2, 0.0, axis=1), np.where(np.arange(20) < 5, 3.0, 1.0)
    one = fb.Plan(A, y, loss="logistic", method=method, weights=c).fast_forward(1e6, record=1, max_steps=200_000)
    two = fb.Plan(np.vstack([X, X[:5], X[:5]]), np.concatenate([y, y[:5], y[:5]]), loss="logistic",
                  method=method).fast_forward(1e6, record=1, max_steps=200_000)
    assert one.w[-1, 2] == 0
    assert np.delete(one.w[-1], 2) == pytest.approx(two.w[-1], rel=1e-9)


@long
def test_amsgrad_is_at_the_margin_of_the_metric_it_has_come_to():
    plan = fb.Plan(X, y, loss="exponential", method=m.adam(0.01, amsgrad=True))
    trace = plan.fast_forward(1e9, record=1)
    plan.run(10**5)
    _, _, scale, kept = reached(plan).state
    D = np.sqrt(kept) * np.exp(scale[0]) + 1e-8
    best = fb.max_margin(X, y, fb.norms.quadratic(D))
    assert trace.gap(best)[-1] < 1e-8
    assert trace.gap(fb.max_margin(X, y))[-1] > 0.01


@long
def test_epsilon_takes_over_when_it_is_said_to():
    """From t_a on √v̂ falls to ε within log(√v̂(t_a)/ε)/r steps, r of the derived equation, by runs of a single step size."""
    eta, eps, begun = 1e-3, 1e-40, 20_000
    plan = fb.Plan(X, y, loss="exponential", method=m.adam(eta, eps=eps))
    plan.run(begun)
    over, t, rate = taking_over(dataclasses.replace(plan.problem, reached=reached(plan)), eps)
    assert rate == growth(fb.max_margin(X, y, "linf").margin, eta, 0.9, 0.999)
    crossing = t + over / rate
    with pytest.raises(fb.NoTheorem, match=r"does not take over before t ≈ (\S+) ") as told:
        plan.fast_forward(np.log(1e9), max_steps=100_000)
    assert "more max_steps than 100000" in told.value.reason
    plan.run(int(crossing) - begun)
    _, v, scale = reached(plan).state
    there = scale[0] + 0.5 * np.log(v.max()) - np.log(eps)
    assert abs(there) <= 0.02 * over
    assert 0.5 * crossing < float(told.value.reason.split("t ≈ ")[1].split()[0]) < 2 * crossing


@long
def test_before_epsilon_takes_over_exact_steps_are_all_that_is_told():
    plan = fb.Plan(X, y, loss="exponential", method=m.adam(1e-3, eps=1e-200))
    trace = plan.fast_forward(np.log(50_000), record=np.log([10, 50_000]), max_steps=100_000)
    assert "no further, since √v is still" in trace.message
    exact = plan.run(50_000, record=[10])
    assert trace.w.tobytes() == exact.w[1:].tobytes()
    assert trace.log_loss == pytest.approx(exact.log_loss[1:], rel=1e-13)
    assert trace.slack == pytest.approx(trace.log_t[:, None] - trace.w @ (y[:, None] * X).T, rel=1e-12)
    with pytest.raises(fb.NoTheorem, match="does not take over"):
        fb.Plan(X, y, loss="exponential", method=m.adam(1e-3, eps=1e-200)).fast_forward(30, max_steps=100_000)


def test_what_is_not_yet_gradient_descent_is_refused():
    plan = fb.Plan(X, y, loss="exponential", method=m.adadelta(1.0, eps=1e-12))
    with pytest.raises(fb.NoTheorem, match="still .* ε, which does not take over; until then no field is known"):
        plan.fast_forward(50, max_steps=4000)
    with pytest.raises(fb.NoTheorem, match="two handovers after 40000 exact steps"):
        fb.Plan(X, y, loss="exponential", method=m.adam(0.01)).fast_forward(50, max_steps=10_000)
    for odd in (m.adam(0.01, weight_decay=0.1), m.adam(0.01, batch=2, rng=0), m.adagrad(0.1, eps=0.1, eps_inside_root=False)):
        with pytest.raises(fb.NoTheorem, match="cannot be fast-forwarded"):
            fb.Plan(X, y, loss="exponential", method=odd).fast_forward(50)
