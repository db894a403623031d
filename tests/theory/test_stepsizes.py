"""Step sizes that theory admits, and what is said of the limits under each rule."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbias as fb
from tests.helpers.problems import XK, YK, X, Z, holds, y

m, N = fb.methods, fb.norms
long = pytest.mark.long


# --- step sizes ----------------------------------------------------------------------------------------------------------

@long
def test_max_step_is_where_the_loss_stops_falling():
    """For the squared loss the bound is sharp: a hair under it the run comes in, a hair over it it flies off."""
    A, b = fb.data.random_regression(3, 5, rng=0)
    cases = [m.gradient_descent, lambda eta: m.gradient_descent(eta, 0.6), lambda eta: m.gradient_descent(eta, 0.6, 0.6),
             lambda eta: m.steepest_descent(N.quadratic([1, 2, 3, 4, 5.0]), eta),
             lambda eta: m.mirror_descent(fb.potentials.quadratic([1, 2, 3, 4, 5.0]), eta)]
    for make in cases:
        bound = fb.Plan(A, b, loss="squared", method=make(1.0)).max_step()
        assert bound.theorem
        assert bound.source
        falls = fb.run(A, b, loss="squared", method=make(bound.step_size * 0.99), steps=3000)
        flies = fb.run(A, b, loss="squared", method=make(bound.step_size * 1.01), steps=3000)
        assert falls.log_loss[-1] < falls.log_loss[0] - 10
        assert flies.log_loss[-1] > flies.log_loss[0]


def test_max_step_on_monotone_losses():
    plan = fb.Plan(X, y, loss="exponential", method=m.steepest_descent("linf", 0.001))
    B = np.abs(X).sum(1).max()
    assert plan.max_step().step_size == pytest.approx(1 / (B ** 2 * 15))
    plan.run(1000)
    assert plan.max_step().step_size == pytest.approx(1 / (B ** 2 * np.exp(-Z @ plan.u).sum()))
    assert "Theorem 5" in plan.max_step().theorem
    for norm in (N.l1, N.lp(1.5), N.linf):                     # the descent lemma: the loss falls at every step
        bound = fb.Plan(X, y, loss="logistic", method=m.steepest_descent(norm, 1.0)).max_step().step_size
        method = m.steepest_descent(norm, 0.999 * bound)
        trace = fb.run(X, y, loss="logistic", method=method, steps=200, record=np.arange(201))
        assert (np.diff(trace.log_loss) < 0).all()
    adagrad = fb.Plan(X, y, loss="exponential", method=m.adagrad(0.1, G0=1e4))
    assert adagrad.max_step().step_size == pytest.approx(15 ** -0.5)
    for method in (m.adagrad(0.1), m.adagrad(0.1, G0=1.0)):        # ‖G0^{−1/4} x‖ > 1
        with pytest.raises(fb.NoTheorem):
            fb.Plan(X, y, loss="exponential", method=method).max_step()
    far = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.1), start=2000 * fb.max_margin(X, y).w)
    assert far.max_step().step_size == pytest.approx(np.exp(709.0))
    for method in (m.adam(0.1), m.sign_descent(0.1), m.mirror_descent("cosh", 0.1), m.gradient_descent(0.1, batch=1, rng=0)):
        with pytest.raises(fb.NoTheorem, match="no bound on the step size"):
            fb.Plan(X, y, loss="logistic", method=method).max_step()


@long
@given(st.integers(0, 10**6))
def test_under_max_step_the_loss_falls_whatever_the_norm_loss_and_number_of_classes(seed):
    """Descent lemmas and Theorem 5, from random starts: one step of 0.999 of the bound never makes the loss larger."""
    rng = np.random.default_rng(seed)
    A, D = rng.normal(size=(6, 4)), np.diag(10 ** rng.uniform(-3, 3, 12))
    labels, y2 = np.append([0.0, 1, 2], rng.integers(3, size=3)), rng.choice([-1.0, 1.0], 6)
    cases = [(y2, loss, m.steepest_descent(norm, 1.0)) for loss in ("exponential", "logistic", "probit", "sigmoid")
             for norm in (N.l1, N.l2, N.linf, N.lp(1.5), N.group([[0, 1], [2, 3]]), N.quadratic(D[:4, :4]))]
    cases += [(labels, "cross_entropy", make(1.0)) for make in (
        m.gradient_descent, lambda eta: m.steepest_descent(N.quadratic(D), eta), lambda eta: m.steepest_descent("l1", eta),
        lambda eta: m.steepest_descent("linf", eta), lambda eta: m.steepest_descent(N.spectral(3, 4), eta),
        lambda eta: m.steepest_descent(N.nuclear(3, 4), eta),
        lambda eta: m.mirror_descent(fb.potentials.quadratic(D), eta))]
    for b, loss, method in cases:
        plan = fb.Plan(A, b, loss=loss, method=method, start=rng.normal(size=12 if loss == "cross_entropy" else 4))
        bound = plan.max_step().step_size
        scaled = fb.Plan(A, b, loss=loss, method=_with_step(method, 0.999 * bound), start=plan.u)
        trace = scaled.run(1)
        assert trace.log_loss[1] <= trace.log_loss[0] + 1e-12, (loss, method)


def _with_step(method, eta):
    import dataclasses
    return dataclasses.replace(method, rule=fb.steps.constant(eta))


def test_max_step_wants_momentum_under_one_that_stays():
    A, b = fb.data.random_regression(3, 5, rng=0)
    for method in (m.gradient_descent(0.1, 1.5), m.gradient_descent(0.1, [0.9, 0.0])):
        with pytest.raises(fb.NoTheorem):
            fb.Plan(A, b, loss="squared", method=method).max_step()
    with pytest.raises(fb.NoTheorem):
        fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.1, 2.0)).limit()


@long
def test_asymptotes_are_those_of_the_rule_in_use():
    """Bounded steps tend to η₊; steps η/L have no logarithmic asymptote, with momentum or without; a flow has speed 1."""
    A, b = np.array([[3.0, 0.0]]), [1.0]
    plan = fb.Plan(A, b, loss="exponential", method=m.gradient_descent(fb.steps.bounded(1.0)))
    trace, limit = plan.run(1_000_000), plan.limit()
    assert limit.offset[0] == pytest.approx(trace.w[-1, 0] - np.log(1e6) / 3, abs=1e-3)
    level = next(r.level for r in limit.rates if r.quantity == "log t L")
    assert level == pytest.approx(np.log(1e6) + trace.log_loss[-1], abs=1e-3)
    for beta in (0.0, 0.5):
        scaled = fb.Plan(A, b, loss="exponential", method=m.gradient_descent(fb.steps.loss_scaled(0.005), beta)).limit()
        assert scaled.offset is None
        assert all(r.clock == "t" for r in scaled.rates)
    flow = fb.Plan([[1, 0], [0.5, 1]], [1, 1], loss="exponential", method=m.gradient_descent(0.01, 0.5))
    trace, limit = flow.flow(time=1e5), flow.limit(flow=True)
    assert trace.w[-1] - limit.w / limit.margin * np.log(1e5) == pytest.approx(limit.offset, abs=1e-2)
    assert "flow" in next(h.statement for h in limit.hypotheses if h.evidence == "asked for")
    assert fb.Plan(A, b, loss="exponential", method=m.gradient_descent(fb.steps.power(0.1, 2))).limit(flow=True).certified


def test_weights_of_dependent_support_vectors():
    line = fb.Plan([[1, 0], [1, 1], [1, 2]], [1, 1, 1], loss="exponential", method=m.gradient_descent(0.1)).limit()
    assert holds(line, "span the data") is False                   # α = (1, 0, 0) is the only one: log log t
    square = fb.Plan([[1, 1], [1, -1], [1, 0.5], [1, -0.5]], np.ones(4), loss="exponential",
                     method=m.gradient_descent(0.1)).limit()
    assert holds(square, "span the data") is None                  # many α > 0


def test_what_is_proved_for_which_loss_is_said():
    def told(loss, method, words):
        return holds(fb.Plan(X, y, loss=loss, method=method).limit(), words)
    assert told("exponential", m.steepest_descent("linf", 0.001), "stated for") is True
    assert told("logistic", m.steepest_descent("linf", 0.001), "stated for") is None
    assert told("sigmoid", m.adam(fb.steps.power(0.1, 0.5), eps=0), "stated for") is None
    assert told("sigmoid", m.gradient_descent(fb.steps.loss_scaled(0.01)), "stated for") is None
    assert told("exponential", m.coordinate_descent(0.01), "is the largest") is True
    flat = np.column_stack([X, np.zeros(len(X))])                  # a feature that is always 0 harms no theorem
    assert fb.Plan(flat, y, loss="exponential", method=m.adam(fb.steps.power(0.1, 0.5), eps=0)).limit().certified
    cosh = fb.potentials.cosh
    own = fb.potentials.Potential("own", cosh.link, cosh.inverse_link, cosh.metric, cosh.value)
    with pytest.raises(fb.NoTheorem, match="does not declare"):
        fb.Plan(X, y, loss="exponential", method=m.mirror_descent(own, 0.1)).limit()
    plan = fb.Plan(X, y, loss="exponential", method=m.adagrad(fb.steps.power(0.1, 2)))
    plan.run(10)
    with pytest.raises(fb.NoTheorem):
        plan.limit()
    with pytest.raises(fb.NoTheorem, match=r"λ in \.dual: 0\.5 at"):
        fb.Plan([[1, 2], [1, 2]], [1, -1], loss="logistic", method=m.gradient_descent(0.1, 0.5)).limit()
    with pytest.raises(ValueError, match="convex losses"):
        fb.Plan(X, y, loss="sigmoid", method=m.gradient_descent(fb.steps.line_search()))


def test_an_overflowing_history_ends_the_run():
    for method, loss in ((m.adagrad(0.1), "squared"), (m.adam(0.1, eps=0), "exponential")):
        with pytest.raises(fb.RunStopped, match="finite") as stopped:
            fb.run([[1e200, 1]], [1], loss=loss, method=method, steps=10)
        assert np.isfinite(stopped.value.trace.w).all()
    still = fb.run(np.zeros((2, 3)), [1, 1], loss="exponential", method=m.dual_acceleration(), steps=3)
    assert (still.w == 0).all()


def test_traces_say_what_they_cannot_measure():
    trace = fb.run(X, y, loss="logistic", method=m.gradient_descent(0.1), steps=20)
    assert trace.margin("l1")[-1] == trace.margin(N.l1)[-1]
    many = fb.run(XK, YK, loss="cross_entropy", method=m.gradient_descent(0.05), steps=5)
    root = fb.run([[1.0, 2]], [3.0], loss="squared", method=m.gradient_descent(0.05), steps=5)
    for ask, error, words in ((lambda: many.margin(N.spectral(4, 3)), ValueError, "shape"),
                              (lambda: root.margin(), ValueError, "labels"),
                              (lambda: trace.rates([1, 2]), TypeError, "Limit"),
                              (lambda: trace.cone_distance(fb.max_margin(XK, YK)), ValueError, "4 entries"),
                              (lambda: many.evaluate(XK, np.append(YK[1:], 7)), ValueError, "must be among {0, 1, 2}")):
        with pytest.raises(error, match=words):
            ask()
    assert fb.Trace.from_arrays(X, y, [1, 1e20], np.ones((2, 4))).t[-1] == 1e20


def test_rules_that_divide_by_the_loss_want_moves_with_the_gradients_size():
    for method in (m.steepest_descent("l2", fb.steps.loss_scaled(0.1), normalised=True), m.adam(fb.steps.loss_scaled(0.1)),
                   m.sign_descent(fb.steps.bounded(0.1))):
        with pytest.raises(ValueError, match="length of their own"):
            fb.Plan(X, y, loss="logistic", method=method)
    with pytest.raises(ValueError, match="strictly monotone"):
        fb.Plan(X, y, loss="squared", method=m.dual_acceleration())
    with pytest.raises(ValueError, match="moves are matrices"):
        fb.Plan(X, y, loss="logistic", method=m.muon(0.1))
    with pytest.raises(ValueError, match="momentum must be under 1"):
        m.muon(0.1, 1.0)


@pytest.mark.long
@pytest.mark.parametrize(("beta", "gamma", "decay"), [(0.0, 0.0, 0.0), (0.7, 0.0, 0.0), (0.7, 0.7, 0.0), (0.0, 0.0, 0.5),
                                                      (0.7, 0.0, 0.5)])
@pytest.mark.parametrize("fits", [True, False])
def test_steps_that_the_recursion_of_the_squared_loss_does_not_bear_are_known_to_run_away(beta, gamma, decay, fits):
    """Λ = 2σ² + λ and 2(1 + β)/((1 + 2γ)Λ), for momentum with decay too; just under it runs arrive."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(4, 6) if fits else (6, 4))
    y = rng.normal(size=len(X))
    bound = 2 * (1 + beta) / (1 + 2 * gamma) / (2 * np.linalg.norm(X, 2) ** 2 + decay)
    for factor, away in ((0.99, False), (1.01, True)):
        plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(factor * bound, beta, gamma, weight_decay=decay))
        limit = plan.limit()
        told = [h for h in limit.hypotheses if h.holds is False and "fold at each step" in h.evidence]
        assert len(told) == away
        trace = plan.run(20_000, record=np.array([100, 3000, 20_000]), strict=False)
        if away:
            assert (trace.status == fb.Status.NOT_FINITE) or trace.gap(limit)[-1] > 1e3 * trace.gap(limit)[0]
        else:
            assert trace.gap(limit)[-1] < 1e-6
    # what is at its limit, or has no part along the direction that grows, does not leave it by this argument
    still = fb.Plan(X, y, loss="squared", method=m.gradient_descent(2 * bound, beta, gamma, weight_decay=decay), start=limit.w)
    assert not any("fold at each step" in h.evidence for h in still.limit().hypotheses)
