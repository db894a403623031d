"""Homogeneous models under other methods: stationary points in the norm of the method, measured."""
import numpy as np
import pytest
import scipy.optimize

import fastbias as fb

m, S, M, N = fb.methods, fb.steps, fb.models, fb.norms
FALL = S.power(0.1, 0.55)
TWO = M.diagonal(2, signed=True)


def data(seed, N=5, d=6):
    """Random rows, of sizes up to a hundred times apart in every third, labelled by a random w."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, d)) * (10.0 ** rng.uniform(-1, 1, size=(N, 1)) if seed % 3 == 2 else 1.0)
    return X, np.sign(X @ rng.normal(size=d))


def plan(method, model=TWO, seed=0, rows=None, loss="exponential"):
    return fb.Plan(*(rows or data(seed)), loss=loss, method=method, model=model, start=model.start(0.3, rng=seed))


# (norm, method, steps, until, the residual that a run is to come under). A margin moves by ‖u‖ηB at an update, which falls
# like t^(1 − 2a): of Signum, which turns late, a = 0.55 would take 1e9 updates on rows a hundred times apart
CASES = {
    "sign": ("linf", m.sign_descent(FALL), 300_000, None, 0.08),
    "signum": ("linf", m.signum(S.power(0.1, 0.65)), 300_000, None, 0.08),
    "l3 of length one": (N.lp(3), m.steepest_descent(N.lp(3), FALL, normalised=True), 100_000, None, 0.05),
    "Adam without ε": ("linf", m.adam(FALL, beta2=0.99, eps=0), 4_000_000, None, 0.1),
    "l1.5": (N.lp(1.5), m.steepest_descent(N.lp(1.5), S.loss_scaled(2e-5)), 10_000_000, -1500, 0.1),
    "linf": ("linf", m.steepest_descent("linf", S.loss_scaled(1e-5)), 4_000_000, -1000, 0.1)}


@pytest.mark.long
@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 52), marks=pytest.mark.exhaustive)], ids=["2", "50 more"])
@pytest.mark.parametrize("case", CASES)
def test_runs_become_stationary_in_the_norm_of_the_method(case, seeds):
    norm, method, steps, until, bound = CASES[case]
    far = []
    for seed in seeds:
        p = plan(method, seed=seed)
        trace = p.run(steps, record=8, until=until)
        told = p.limit()
        residual = trace.kkt_residual(norm)
        assert told.duality_gap == pytest.approx(residual[-1], rel=1e-9)
        assert not told.certified
        assert not any(h.holds is False for h in told.hypotheses)
        far.append(residual[-1])
    assert max(far) < bound


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, pytest.param(8, marks=pytest.mark.exhaustive), pytest.param(14, marks=pytest.mark.exhaustive)])
def test_steps_over_the_loss_outgrow_the_smoothness_and_are_refused_from_there(seed):
    """In ℓ∞ such runs end elsewhere, which the last update shows; without L they do not."""
    p = plan(m.steepest_descent("linf", S.loss_scaled(1e-5)), seed=seed)
    before = p.run(2_000_000, record=2, until=-300).kkt_residual("linf")[-1]
    assert p.limit().duality_gap == pytest.approx(before, rel=1e-9)
    later = p.run(2_000_000, record=2, until=-1e6).kkt_residual("linf")[-1]
    assert before < 0.06
    assert later > 0.2
    with pytest.raises(fb.NoTheorem, match="outgrow its smoothness") as told:
        p.limit()
    assert [h.holds for h in told.value.hypotheses if "local smoothness" in h.statement] == [False]


@pytest.mark.long
def test_another_norm_is_not_what_such_runs_become_stationary_in():
    """The data are those of which the ℓ2 residual stays: the test above could fail."""
    trace = plan(m.sign_descent(FALL), seed=1).run(300_000)
    assert trace.kkt_residual("linf")[-1] < 0.02
    assert trace.kkt_residual()[-1] > 0.3


@pytest.mark.long
def test_what_is_measured_is_the_divergence_of_its_definition():
    """1 − (γ(u)/γ⋆)² in ℓ∞: γ⋆ by a linear program over the gradients of the margins, as they are by hand."""
    X, y = data(0)
    p = plan(m.sign_descent(FALL))
    p.run(20_000)
    u, d = p.u, X.shape[1]
    H = np.hstack([2 * u[:d] * X, -2 * u[d:] * X]) * y[:, None]
    n = u.size
    best = scipy.optimize.linprog(np.append(np.zeros(n), -1.0), A_ub=np.hstack([-H, np.ones((len(H), 1))]),
                                  b_ub=np.zeros(len(H)), bounds=[(-1, 1)] * n + [(None, None)], method="highs-ds")
    own = float((H @ u).min() / np.abs(u).max())
    assert p.limit().duality_gap == pytest.approx(1 - (own / -best.fun) ** 2, rel=1e-6)


@pytest.mark.parametrize("method", [c[1] for c in CASES.values()], ids=CASES)
def test_before_a_run_none_is_named(method):
    with pytest.raises(fb.NoTheorem, match="in the method's norm.*needs a run first"):
        plan(method).limit()


@pytest.mark.parametrize(("depth", "a", "holds"), [(2, 0.5, False), (2, 0.55, True), (2, 1.0, True), (3, 0.6, False),
                                                   (3, 0.7, True), (2, 1.5, False), (2, 0.0, False)])
@pytest.mark.parametrize("make", [m.sign_descent, m.signum, lambda rule: m.adam(rule, eps=0)], ids=["sign", "signum", "adam"])
def test_step_sizes_must_fall_as_the_degree_asks(make, depth, a, holds):
    """η = o(t^{1/L − 1}) and Ση = ∞: 1 − 1/L < a ≤ 1."""
    with pytest.raises(fb.NoTheorem) as told:
        plan(make(S.power(0.1, a)), M.diagonal(depth, signed=True)).limit()
    assert ("needs a run first" in told.value.reason) == holds
    assert any(h.holds is False for h in told.value.hypotheses) != holds


@pytest.mark.long
@pytest.mark.parametrize("make", [m.adam, m.rmsprop], ids=["adam", "rmsprop"])
def test_with_an_epsilon_the_norm_is_l2(make):
    model = M.diagonal(2)
    p = fb.Plan([[2, 1]], [1], loss="exponential", method=make(1.0, eps=10), model=model, start=model.start(0.5, rng=0))
    trace = p.run(30_000)
    told = p.limit()
    assert told.source == "Wang, Meng, Chen, Liu (2021)"
    assert told.duality_gap == pytest.approx(trace.kkt_residual()[-1], rel=1e-9)
    assert told.duality_gap < 0.05 < trace.kkt_residual()[0]


@pytest.mark.long
def test_the_flow_of_moves_of_length_one_is_not_asked_for_under_that_name():
    """It is that of steepest descent, run through at another speed, whose row is asked for by its own method."""
    p = plan(m.sign_descent(0.1), loss="logistic")
    p.run(2000)
    with pytest.raises(fb.NoTheorem, match="moves have a size of their own"):
        p.limit(flow=True)
    p = plan(m.steepest_descent("linf", 0.001), loss="logistic")
    p.run(20_000)
    told = p.limit(flow=True)
    assert "steepest descent" in told.theorem
    assert next(h.holds for h in told.hypotheses if "flow" in h.statement) is True


def test_where_the_run_stands_on_the_wrong_side_nothing_is_measured():
    p = plan(m.sign_descent(FALL))
    p.run(1)
    with pytest.raises(fb.NoTheorem, match="run on"):
        p.limit()


@pytest.mark.parametrize("method", [m.adagrad(0.1), m.nadam(0.1), m.mirror_descent("cosh", 0.1), m.muon(0.1),
                                    m.steepest_descent("linf", 0.1, momentum=0.5)], ids=repr)
def test_others_are_refused(method):
    if method.shaped is not None:
        with pytest.raises(ValueError, match="model must be linear"):
            plan(method)
        return
    with pytest.raises(fb.NoTheorem, match="no characterisation is known"):
        plan(method).limit()


@pytest.mark.parametrize("method", [m.sign_descent(FALL), m.steepest_descent("linf", 0.1), m.adam(0.1)], ids=repr)
def test_losses_with_a_root_have_no_such_point(method):
    with pytest.raises(fb.NoTheorem, match="no characterisation is known"):
        plan(method, rows=(data(0)[0], np.arange(5.0)), loss="squared").limit()


def test_an_update_that_grows_beyond_float64_shows_no_overshoot():
    """‖u‖ grows by 1e130, whose cube is none; before it was there u is 0 to rounding."""
    method = fb.methods.gradient_descent(fb.steps.loss_scaled(1.0))
    plan = fb.Plan([[1e250]], [1.0], loss="exponential", method=method, model=fb.models.diagonal(3), start=[1e-120] * 3)
    plan.run(1)
    assert [h.holds for h in plan.limit().hypotheses if "local smoothness" in h.statement] == [None]
