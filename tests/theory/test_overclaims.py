"""What no theorem says is refused with a reason: steps that end, flows that do not exist, and steps that begin long."""
import numpy as np
import pytest

import fastbias as fb

m, S, M = fb.methods, fb.steps, fb.models
X, ones = np.array([[1.0, 2.0], [2.0, -1.0]]), [1, 1]
ENDING = (S.power(0.01, 2.0), S.power(0.01, 1.5, offset=3.0, warmup=5), S.cosine(0.01, 50))
SIGNED = np.array([0.1, 0.11, 0.12, 0.13])


def plan_of(method, loss="squared", **extra):
    return fb.Plan(X, ones, loss=loss, method=method, **extra)


def refused(plan, **asked):
    with pytest.raises(fb.NoTheorem) as error:
        plan.limit(**asked)
    assert "nearest" in error.value.reason
    assert error.value.source
    return error.value


@pytest.mark.parametrize("rule", ENDING, ids=repr)
@pytest.mark.parametrize("make", [
    lambda rule: plan_of(m.gradient_descent(rule)),
    lambda rule: plan_of(m.gradient_descent(rule, 0.5, batch=1, rng=1)),
    lambda rule: plan_of(m.mirror_descent("entropy", rule), fb.losses.huber(1.0)),
    lambda rule: plan_of(m.gradient_descent(rule), model=M.diagonal(2, signed=True), start=SIGNED),
    lambda rule: plan_of(m.gradient_descent(rule), model=M.diagonal(3, signed=True), start=SIGNED),
    lambda rule: plan_of(m.gradient_descent(rule), "exponential", model=M.diagonal(2, signed=True), start=SIGNED),
    lambda rule: plan_of(m.gradient_descent(rule), "logistic", model=M.deep_linear(2), start=M.deep_linear(2).start(0.3, rng=1)),
    lambda rule: plan_of(m.gradient_descent(rule, weight_decay=0.1)),
    lambda rule: plan_of(m.signum(rule), "exponential"),
    lambda rule: plan_of(m.signum(rule, weight_decay=0.1)),
    lambda rule: plan_of(m.mirror_descent("entropy", rule), "exponential"),
    lambda rule: plan_of(m.adam(rule, eps=0.0), "exponential"),
    lambda rule: plan_of(m.gradient_descent(rule), fb.losses.polynomial(2.0)),
], ids=["GD", "SGD", "mirror", "diagonal", "deeper", "margin", "deep linear", "ridge", "signum", "ball", "orthant", "Adam", "tail"])
def test_steps_that_add_up_to_a_finite_length_have_no_limit(make, rule):
    told = refused(make(rule))
    assert any(h.holds is False and "add up to infinity" in h.statement for h in told.hypotheses)


OVER = S.loss_scaled(0.1, 1.5)


@pytest.mark.long
@pytest.mark.parametrize("loss", ["exponential", "logistic", "sigmoid"])
@pytest.mark.parametrize("psi", [fb.potentials.hypentropy(1.0), "entropy", "cosh", fb.potentials.power(3)], ids=str)
def test_steps_over_the_loss_that_fall_too_fast_move_a_dual_variable_by_a_finite_length(psi, loss):
    told = refused(plan_of(m.mirror_descent(psi, OVER), loss))
    assert any(h.holds is False and "add up to infinity" in h.statement for h in told.hypotheses)
    trace = plan_of(m.mirror_descent(psi, OVER), loss).run(200_000, record=np.array([2000, 200_000]))
    assert trace.log_loss[-1] > trace.log_loss[-2] - 0.05                     # (that of Σ k^{−3/2} is 2.6)
    plan_of(m.mirror_descent(psi, S.loss_scaled(0.1, 1.0)), loss).limit()
    # gradients from elsewhere may be larger than L where the run stands
    ahead = plan_of(m.mirror_descent(psi, OVER, dual_momentum=0.5, nesterov=0.9), loss)
    assert [h.holds for h in ahead.limit().hypotheses if "add up to infinity" in h.statement] == [None]


@pytest.mark.long
@pytest.mark.parametrize(("model", "start"), [(M.deep_linear(3, 2), 0.3), (M.diagonal(2, signed=True), 0.5), (M.diagonal(3), 0.3)],
                         ids=repr)
def test_steps_over_the_loss_that_fall_too_fast_have_no_theorem_on_a_model(model, start):
    """The run stands still, far from the margin."""
    plan = plan_of(m.gradient_descent(OVER), "exponential", model=model, start=model.start(start, rng=1, size=2))
    told = refused(plan)
    assert "a ≤ 1" in told.reason
    assert [h.holds for h in told.hypotheses if "add up to infinity" in h.statement] == [None]
    trace = plan.run(100_000, record=np.array([1000, 100_000]))
    assert trace.log_loss[-1] > trace.log_loss[-2] - 0.05


def test_they_stop_short_indeed():
    """By the closed form of gradient descent: Π(1 − 2σ²η_k) of the distance is left along a singular vector."""
    rule = S.power(0.01, 2.0)
    goal = plan_of(m.gradient_descent(0.01)).limit()
    gaps = plan_of(m.gradient_descent(rule)).run(10_000).gap(goal)
    left = np.prod([1.0 - 2.0 * 5.0 * rule(k) for k in range(10_000)])        # both singular values of X are √5
    assert gaps[-1] / gaps[0] == pytest.approx(left, rel=1e-9)
    assert left > 0.8


@pytest.mark.parametrize("make", [
    lambda beta: plan_of(m.gradient_descent(0.01, beta)),
    lambda beta: plan_of(m.gradient_descent(0.01, [0.0, 0.5, beta])),
    lambda beta: plan_of(m.gradient_descent(0.01, beta, weight_decay=0.1)),
    lambda beta: plan_of(m.gradient_descent(0.01, beta), "exponential"),
    lambda beta: plan_of(m.mirror_descent("cosh", 0.01, dual_momentum=beta)),
    lambda beta: plan_of(m.gradient_descent(0.01, beta), model=M.diagonal(2, signed=True), start=SIGNED),
], ids=["GD", "array", "ridge", "margin", "dual", "diagonal"])
def test_momentum_that_does_not_fade_comes_to_no_limit(make):
    told = refused(make(1.0))
    assert any(h.holds is False and "momentum stays under 1" in h.statement for h in told.hypotheses)
    make(0.9).limit()


def test_it_swings_for_ever():
    gaps = plan_of(m.gradient_descent(0.01, 1.0)).run(2000, record=np.arange(2001)).gap(plan_of(m.gradient_descent(0.01)).limit())
    assert gaps[-200:].max() > 0.9 * gaps[0]


def test_momentum_of_one_that_looks_ahead_does_come_to_rest():
    """The roots of its recursion have the product 1 − ηλγ."""
    plan = plan_of(m.gradient_descent(0.01, 1.0, 1.0))
    assert plan.run(5000).gap(plan.limit())[-1] < 1e-9


def test_adagrad_says_why_it_has_none():
    plan = plan_of(m.adagrad(S.power(0.1, 2.0), 0.1), "exponential")
    plan.run(10)
    assert "finite length" in refused(plan).reason


@pytest.mark.parametrize(("method", "words"), [
    (m.dual_acceleration(), "more than −∇L and w"), (m.adagrad(0.1, 0.1), "more than −∇L and w"),
    (m.adam(0.1), "size of their own"), (m.signum(S.power(0.1, 0.5)), "size of their own"),
    (m.steepest_descent("l2", S.power(0.1, 0.5), True), "size of their own"),
    (m.steepest_descent("l2", 0.1, weight_decay=0.1), "size of their own")], ids=repr)
def test_a_flow_that_does_not_exist_has_no_limit(method, words):
    plan = plan_of(method, "exponential")
    plan.run(10)
    assert words in refused(plan, flow=True).reason
    with pytest.raises(ValueError, match="flow"):
        plan.flow(1.0)


@pytest.mark.long
def test_steps_that_begin_long_are_not_taken_for_short_ones():
    """η/(k + c)^a with c < 1 is η/c^a at first: with 60 for the first step the loss rises before it falls."""
    A = np.array([[0.1, 0.9], [0.1, -0.5]])
    plan = fb.Plan(A, ones, loss="logistic", method=m.gradient_descent(S.power(0.06, 1.0, offset=0.001)))
    row = next(h for h in plan.limit().hypotheses if "small enough" in h.statement)
    assert row.holds is None
    assert np.diff(plan.run(50, record=np.arange(51)).log_loss).max() > 0.1


def test_data_that_cannot_be_met_name_what_is_nearest():
    y = [1.0, 2.0, 4.0]
    plan = fb.Plan([[1.0], [1.0], [2.0]], y, loss=fb.losses.huber(1.0), method=m.gradient_descent(0.01))
    assert "least-squares" in refused(plan).reason
    plan = fb.Plan([[1.0], [1.0], [2.0]], y, loss="squared", method=m.gradient_descent(0.01), model=M.diagonal(2, signed=True),
                   start=[0.1, 0.1])
    assert "least-squares" in refused(plan).reason


@pytest.mark.parametrize(("method", "mean"), [(m.adam(0.1, 0.9, 0.99, 1e-8), 1.0), (m.rmsprop(0.1, 0.99, 1e-8), 0.1)], ids=repr)
def test_how_far_eps_is_from_taking_over_is_told_before_a_run(method, mean):
    """Of the first gradient g Adam's √v̂ is |g|, as it corrects its mean, and RMSProp's √v is √(1 − β)|g|."""
    plan = plan_of(method, "exponential")
    told = next(h.evidence for h in plan.limit().hypotheses if "divided by" in h.statement)
    g = np.abs(X.sum(axis=0)).max()                                           # at w = 0
    assert float(told.split("at most ")[1].split(" ")[0]) == pytest.approx(mean * g / 1e-8, rel=5e-3)


def test_long_steps_are_known_to_end_well_of_losses_of_slope_at_most_one_alone():
    """Probit's slope grows like its margin where that is negative."""
    for loss, proved in (("logistic", True), ("probit", None)):
        limit = plan_of(m.gradient_descent(60.0), loss).limit()
        assert next(h.holds for h in limit.hypotheses if h.statement == "L(w_t) → 0") is proved


def test_data_so_thin_that_rounding_decides_their_sides_are_not_certified():
    """Seven rows of rank 2 in three classes, which a w separates by 1e-17: the maximum margin that is found may have any sign."""
    A = np.array([[0.034976958064175265, -0.1421229224469539, 0.026547354308298722],
                  [-0.11537648238235203, -0.26277021405060985, 0.03389318521109719],
                  [-0.1229091756329478, -0.5313819918176393, 0.07785480401094355],
                  [0.0705806759288227, 0.19357573444120232, -0.02618428279646358],
                  [-0.13328020519825076, -0.3214550485168582, 0.04212602225917482],
                  [0.19901969742292802, 0.6184244518998148, -0.08588501383196641],
                  [0.05896181249017988, 0.05629361846393804, -0.004371837140199179]])
    plan = fb.Plan(A, [0, 1, 2, 0, 1, 2, 0], loss="cross_entropy", method=m.gradient_descent(0.1))
    try:
        limit = plan.limit()
    except fb.NoTheorem:
        return
    assert not limit.certified
