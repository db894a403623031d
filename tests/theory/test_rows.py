"""Rows of the tables, on problems made to trip them: few or tied support vectors, bad scales, duplicates."""
import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import linprog

import fastbias as fb
from fastbias.pieces.potentials.deep import deep
from fastbias.solvers.orthant import separate_inside, widest_inside
from fastbias.theory.moments import growth
from tests.helpers.nasty import nasty
from tests.helpers.problems import APART, CROSS, SLID, evidence, holds

m, S, P, M = fb.methods, fb.steps, fb.potentials, fb.models
long = pytest.mark.long


def some(few, most=50, others=pytest.mark.slow):
    """A few seeds, and the others slow."""
    return pytest.mark.parametrize("seeds", [range(few), pytest.param(range(few, most), marks=others)],
                                   ids=[f"{few} problems", f"{most - few} more"])


# --- networks of depth 3 and more, squared loss ----------------------------------------------------------------------

def regression(seed):
    """A realisable problem, a depth, and a start of factors that are even, or not."""
    rng = np.random.default_rng(seed)
    N = int(rng.integers(1, 4))
    d, D = int(rng.integers(N + 1, 8)), (3, 4, 5, 7)[seed % 4]
    X = rng.normal(size=(N, d)) * 10 ** rng.uniform(-1, 1)
    kind = seed % 5
    if kind == 1:
        X = np.vstack([X, X[0]])
    if kind == 2:
        X[:, 0] *= 1e-3
    if kind == 3:
        X = np.round(X)
    y = X @ (rng.normal(size=d) * 10 ** rng.uniform(-1, 0.5))
    scale = 10 ** rng.uniform(-1.5, 0.3)
    start = np.full(2 * d, scale) if seed % 2 else scale * (0.1 + np.abs(rng.normal(size=2 * d)))
    return X, y, D, start


@long
@some(2, others=pytest.mark.exhaustive)
def test_flows_of_deep_networks_end_at_the_projection_in_their_potential(seeds):
    sure = 0
    for seed in seeds:
        X, y, D, start = regression(seed)
        plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(1e-3), model=M.diagonal(D, signed=True), start=start)
        limit = plan.limit(flow=True)
        assert "Theorem 3" in limit.source, seed
        assert not any(h.holds is False for h in limit.hypotheses), seed
        assert plan.flow().gap(limit)[-1] <= 1e-8 * np.abs(limit.w).max(), seed
        sure += limit.certified
    assert sure >= 0.7 * len(seeds)                                            # depth 7 from small starts is not


@pytest.mark.parametrize("D", [3, 4, 6])
def test_the_potential_of_depth_is_the_one_of_the_paper(D):
    """One equation, two unknowns, in 40 digits: ν by bisection, w by the inverse link as it is printed."""
    x, y, u = [1.0, -2.0], 0.7, np.array([0.5, 0.3, 0.4, 0.6])
    found = fb.Plan([x], [y], loss="squared", method=m.gradient_descent(1e-3), model=M.diagonal(D, signed=True), start=u).limit(flow=True)
    with mp.workdps(40):
        a, b = [mp.mpf(v) ** (2 - D) for v in u[:2]], [mp.mpf(v) ** (2 - D) for v in u[2:]]
        c, e = D * (D - 2), mp.mpf(D) / (D - 2)

        def w(nu):
            return [(a[i] - c * x[i] * nu) ** -e - (b[i] + c * x[i] * nu) ** -e for i in range(2)]

        ends = [max(-b[0], -a[1] / 2) / c, min(a[0], b[1] / 2) / c]
        low, high = ends
        for _ in range(150):
            middle = (low + high) / 2
            low, high = (middle, high) if x[0] * w(middle)[0] + x[1] * w(middle)[1] < y else (low, middle)
        wanted = [float(v) for v in w(low)]
    assert found.certified
    assert found.w == pytest.approx(wanted, rel=1e-12)


def test_small_starts_of_deep_networks_end_at_least_l1_large_ones_at_least_l2():
    X, y = np.array([[1.0, 2.0, 0.5]]), [1.0]
    ends = [fb.Plan(X, y, loss="squared", method=m.gradient_descent(1e-3), model=M.diagonal(3, signed=True),
                    start=np.full(6, scale)).limit(flow=True).w for scale in (1e-3, 1e3)]
    assert np.abs(ends[0] - fb.minimum_norm(X, y, "l1").w).max() < 1e-3
    assert np.abs(ends[1] - fb.minimum_norm(X, y, "l2").w).max() < 1e-6


def test_factors_that_are_0_stay_0_and_odd_powers_of_negative_ones_have_no_row():
    net, gd = M.diagonal(3, signed=True), m.gradient_descent(1e-3)
    alone = fb.Plan([[1.0, 2.0]], [1.0], loss="squared", method=gd, model=net, start=[0.5, 0.5, 0.0, 0.5])
    limit = alone.limit(flow=True)
    assert limit.certified
    assert alone.flow().gap(limit)[-1] < 1e-9
    assert "keeps the sign + at 0" in evidence(limit, "exact balance")
    with pytest.raises(fb.NoTheorem, match="no potential from this start"):
        fb.Plan([[1.0, 2.0]], [1.0], loss="squared", method=gd, model=net, start=[0.5, -0.5, 0.5, 0.5]).limit()
    with pytest.raises(fb.NoTheorem, match="no potential from this start"):
        fb.Plan([[1.0]], [1.0], loss="squared", method=gd, model=M.diagonal(60, signed=True), start=[1e-9, 1e-9]).limit()
    even = fb.Plan([[1.0, 2.0]], [1.0], loss="squared", method=gd, model=M.diagonal(4, signed=True), start=[0.5, -0.5, 0.5, 0.5])
    assert even.flow().gap(even.limit(flow=True))[-1] < 1e-9


def test_what_the_dual_variable_cannot_tell_is_not_certified():
    """At depth 8 from 0.01 the ends of z are 1e10 times the changes of z that w is made of."""
    limit = fb.Plan([[1.0, 2.0, 3.0]], [1.0], loss="squared", method=m.gradient_descent(1e-3), model=M.diagonal(8, signed=True),
                    start=np.full(6, 0.01)).limit(flow=True)
    assert not limit.certified
    assert limit.duality_gap > 1e-10
    assert deep(np.full(2, 1e-9), np.full(2, 1e-9), 60) is None


# --- the entropy on separable data -----------------------------------------------------------------------------------

def entropy_flow(Z, far):
    """−log L/Σw of the exponential loss along dz/dτ = Zᵀq, w = eᶻ, until Σw is e^far: rows of (log Σw, ratio)."""
    def rate(tau, z):
        margins = Z @ np.exp(z)
        q = np.exp(margins.min() - margins)
        return Z.T @ (q / q.sum())

    def end(tau, z):
        return np.log(np.exp(z).sum()) - far
    end.terminal = True
    found = solve_ivp(rate, (0, 1e9), np.zeros(Z.shape[1]), method="LSODA", rtol=1e-8, atol=1e-10, events=end)
    assert found.status == 1
    out = []
    for z in found.y.T:
        w, margins = np.exp(z), Z @ np.exp(z)
        out.append((np.log(w.sum()), (margins.min() - np.log(np.exp(margins.min() - margins).sum())) / w.sum()))
    return np.array(out)


@some(6)
def test_margins_over_the_orthant_are_certified(seeds):
    for seed in seeds:
        _, _, Z = nasty(seed, positive=True)
        found, size = widest_inside(Z, (Z.shape[1],), separate_inside(Z).w), np.abs(Z).max()
        told = linprog(np.append(np.zeros(Z.shape[1]), -1.0), A_ub=np.hstack([-Z / size, np.ones((len(Z), 1))]),
                       b_ub=np.zeros(len(Z)), A_eq=[[*np.ones(Z.shape[1]), 0.0]], b_eq=[1.0],
                       bounds=[(0, None)] * Z.shape[1] + [(None, None)])
        assert found.certified, seed
        assert found.margin == pytest.approx(-told.fun * size, rel=1e-6)
        assert (found.w >= 0).all()
        assert found.w.sum() == pytest.approx(1.0, abs=1e-12)
        assert (Z @ found.w).min() == pytest.approx(found.margin, rel=1e-9)
        assert (found.dual @ Z).max() == pytest.approx(found.margin, rel=1e-9)


@some(2)
def test_the_entropy_comes_to_the_maximum_margin_over_the_orthant(seeds):
    """−log L/Σw rises for ever, never over γ, and is near it or still rising where the flow was followed to Σw = e^16."""
    near = 0
    for seed in seeds:
        X, y, Z = nasty(seed, positive=True)
        scale = np.abs(Z).max()
        limit = fb.Plan(X / scale, y, loss="exponential", method=m.mirror_descent("entropy", 0.01)).limit(flow=True)
        assert limit.certified
        assert holds(limit, "the flow comes to") is True
        assert holds(limit, "L(w_t) → 0") is True
        path = entropy_flow(Z / scale, 16.0)
        path = path[path[:, 1] > 0]
        assert (np.diff(path[:, 1]) >= -1e-6 * limit.margin).all(), seed
        assert path[-1, 1] <= (1 + 1e-6) * limit.margin, seed
        near += path[-1, 1] >= 0.97 * limit.margin
        half = path[np.searchsorted(path[:, 0], 8.0), 1]
        assert path[-1, 1] >= 0.97 * limit.margin or path[-1, 1] > half + 0.01 * limit.margin, seed
    assert near + 1 >= 0.75 * len(seeds)


def test_where_no_positive_w_separates_the_entropy_has_no_limit():
    X, y = [[-1.0, -2.0], [-1.0, 0.5]], [1, 1]
    with pytest.raises(fb.NoTheorem, match="some w ≥ 0 separates") as told:
        fb.Plan(X, y, loss="exponential", method=m.mirror_descent("entropy", 0.1)).limit()
    assert told.value.dual.min() >= 0
    assert told.value.dual.sum() == pytest.approx(1)
    assert (told.value.dual @ np.array(X)).max() <= 1e-12
    with pytest.raises(fb.NoTheorem, match="finite length"):
        fb.Plan(np.abs(X), y, loss="exponential", method=m.mirror_descent("entropy", S.power(0.1, 2))).limit()
    # a margin of 0 is none: on the boundary alone
    with pytest.raises(fb.NoTheorem, match="some w ≥ 0 separates"):
        fb.Plan([[-1.0, 0.0], [1.0, 1.0]], [1, 1], loss="exponential", method=m.mirror_descent("entropy", 0.1)).limit()


def test_finite_steps_and_other_losses_of_the_entropy_are_open():
    X = np.abs(APART[0]) + 0.1
    for loss, steps, flow, open_ in (("exponential", 0.01, False, "finite steps go"), ("logistic", 0.01, True, "the flow comes to")):
        limit = fb.Plan(X, np.ones(6), loss=loss, method=m.mirror_descent("entropy", steps)).limit(flow=flow)
        assert limit.certified
        assert holds(limit, open_) is None
        # of the regularisation path over all w nothing is said here
        assert not any("regularisation path" in h.statement for h in limit.hypotheses)


# --- steps beyond the descent lemma ----------------------------------------------------------------------------------

@long
@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 50), marks=pytest.mark.exhaustive)], ids=["2", "48 more"])
def test_the_logistic_loss_takes_steps_of_any_length(seeds):
    refused = []
    for seed in seeds:
        X, y, _ = nasty(seed)
        X = X / np.linalg.norm(X, 2)
        eta = 10 * 8.0                                                         # ten times 2/Λ, Λ = σ²/4
        plan = fb.Plan(X, y, loss="logistic", method=m.gradient_descent(eta))
        limit = plan.limit()
        assert "any bounded length" in limit.theorem, seed
        assert holds(limit, "L(w_t) → 0") is True
        assert not any(h.holds is False for h in limit.hypotheses if "support vector" not in h.statement)
        try:
            gap = plan.fast_forward(1e8, max_steps=100_000_000).gap(limit)
        except fb.NoTheorem:                                                   # thin margins: it asks for more steps still
            refused.append(seed)
            continue
        assert gap[-1] <= 1e-5, (seed, gap[-1])
    assert len(refused) <= len(seeds) // 10, refused


@long
def test_long_steps_rise_before_they_fall():
    """On the two points of Wu, Braverman, Lee (2023) the logistic loss rises on its way, and comes down all the same."""
    A = np.array([[0.1, 0.9], [0.1, -0.5]])
    plan = fb.Plan(A, [1, 1], loss="logistic", method=m.gradient_descent(60.0))
    assert holds(plan.limit(), "small enough") is None
    trace = plan.run(20_000, record=np.arange(20_001))
    assert np.diff(trace.log_loss).max() > 0.1
    told = plan.limit()
    assert holds(told, "small enough") is True
    assert (np.diff(trace.log_loss[-1000:]) <= 0).all()
    assert trace.gap(told)[-1] < 0.2
    three = fb.Plan(np.eye(3), [0, 1, 2], loss="cross_entropy", method=m.gradient_descent(60.0)).limit()
    assert "any bounded length" in three.theorem
    assert three.certified
    with pytest.raises(fb.NoTheorem, match="finite length"):
        fb.Plan(A, [1, 1], loss="logistic", method=m.gradient_descent(S.power(60.0, 1.5))).limit()
    assert "Soudry" in fb.Plan(A, [1, 1], loss="logistic", method=m.gradient_descent(0.1)).limit().theorem


@long
@pytest.mark.parametrize("eta", [0.3, 1.0, 2.0, 4.0, 30.0, 1e4])
def test_the_exponential_loss_is_refused_where_it_runs_away_and_there_alone(eta):
    for A in ([[0.1, 0.9], [0.1, -0.5]], SLID[0], [[1.0, 0.0]]):
        y = np.ones(len(A))
        plan = fb.Plan(A, y, loss="exponential", method=m.gradient_descent(eta))
        stopped = plan.run(16, strict=False).status == fb.Status.NOT_FINITE
        plan = fb.Plan(A, y, loss="exponential", method=m.gradient_descent(eta))
        try:
            plan.limit()
            told = False
        except fb.NoTheorem as why:
            told = "run away" in why.reason
        assert told == stopped, (eta, A)


# --- a Gaussian tail -------------------------------------------------------------------------------------------------

@long
@some(2, others=pytest.mark.exhaustive)
def test_the_probit_loss_goes_to_the_l2_maximum_margin(seeds):
    for seed in seeds:
        X, y, _ = nasty(seed)
        X = X / np.linalg.norm(X, 2)
        plan = fb.Plan(X, y, loss="probit", method=m.gradient_descent(1.0))
        limit = plan.limit()
        assert limit.certified
        assert "Ji, Dudík" in limit.source
        assert all(holds(limit, words) is True for words in ("goes where the reg", "the path goes", "L(w_t) → 0"))
        gap = plan.fast_forward(1e9).gap(limit)
        assert gap[-1] <= 1e-3, (seed, gap[-1])


@long
def test_probit_directions_converge_as_predicted():
    """Two support vectors that span the plane: 1/log t; a start across the data: its root."""
    for start, slope in ((None, -1.0), ([0.0, 0.0, 1.0], -0.5)):
        A = np.array([[-0.5, 2.5], [1.5, 0.5]])
        A = A if start is None else np.hstack([A, np.zeros((2, 1))])
        plan = fb.Plan(A, [1, 1], loss="probit", method=m.gradient_descent(0.05), start=start)
        limit = plan.limit()
        rate = next(s for s in plan.fast_forward(1e9).rates(limit) if s.quantity == "direction")
        assert rate.predicted == slope
        assert rate.fitted == pytest.approx(slope, abs=0.02)


@pytest.mark.parametrize("method", [m.gradient_descent(S.loss_scaled(0.1)), m.gradient_descent(0.1, 0.5),
                                    m.gradient_descent(0.1, batch=1, rng=0), m.steepest_descent("l1", 0.1)], ids=repr)
def test_of_other_methods_with_a_gaussian_tail_nothing_is_known(method):
    with pytest.raises(fb.NoTheorem, match="exponential tail"):
        fb.Plan(*APART, loss="probit", method=method).limit()


# --- a polynomial tail -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("b", [0.5, 1.0, 4.0])
def test_the_polynomial_loss_is_its_formula_in_any_size(b):
    loss = fb.losses.polynomial(b)
    p = np.array([-1e8, -3.0, -1e-9, 0.0, 1e-9, 0.3, 20.0, 1e4, 1e200])
    with mp.workdps(40):
        each = [(1 + mp.mpf(m)) ** -b if m >= 0 else 1 - b * mp.mpf(m) for m in p]
        slopes = [b * (1 + mp.mpf(m)) ** -(b + 1) if m >= 0 else mp.mpf(b) for m in p]
        assert loss.log(p, np.ones(9)) == pytest.approx(float(mp.log(mp.fsum(each))), abs=1e-14)
        for m, one, slope in zip(p, each, slopes, strict=True):
            assert loss.log([-m], [-1]) == pytest.approx(float(mp.log(one)), rel=1e-14, abs=1e-15)
            s, q = loss.scaled([m], [1])
            assert s + np.log(q[0]) == pytest.approx(float(mp.log(slope)), rel=1e-14, abs=1e-15)
    with pytest.raises(ValueError, match="b must be"):
        fb.losses.polynomial(0)
    with pytest.raises(ValueError, match="power of a Loss"):
        fb.losses.Loss("mine", loss.slope, loss.log_loss, "monotone", loss.params, tail="polynomial")


@some(3)
def test_the_least_sum_of_powers_is_certified(seeds):
    """By a solver of another kind, and by weights that stand for repeated rows."""
    for seed in seeds:
        X, y, Z = nasty(seed)
        b, scale = (0.5, 1.0, 3.0)[seed % 3], float(np.abs(Z).max())
        plan = fb.Plan(X, y, loss=fb.losses.polynomial(b), method=m.gradient_descent(0.01))
        limit = plan.limit()
        assert limit.certified, seed
        lam = (Z @ limit.w / scale) ** (-b - 1)
        assert limit.w == pytest.approx(lam @ Z / np.linalg.norm(lam @ Z), abs=1e-9)
        assert np.linalg.norm(limit.w) == pytest.approx(1.0, abs=1e-12)
        value = np.log(((Z @ limit.w / scale) ** -b).sum())
        rng = np.random.default_rng(seed)
        for _ in range(100):                                                   # no direction nearby is better
            v = limit.w + 10.0 ** rng.uniform(-5, 0) * rng.normal(size=len(limit.w))
            margins = Z @ v / np.linalg.norm(v) / scale
            assert not (margins > 0).all() or np.log((margins ** -b).sum()) >= value - 1e-12
        twice = fb.Plan(np.vstack([X, X[:1]]), np.append(y, y[0]), loss=fb.losses.polynomial(b), method=m.gradient_descent(0.01))
        weighed = fb.Plan(X, y, loss=fb.losses.polynomial(b), method=m.gradient_descent(0.01), weights=np.append(2.0, np.ones(len(y) - 1)))
        assert twice.limit().w == pytest.approx(weighed.limit().w, abs=1e-10)


@long
@pytest.mark.parametrize(("b", "metric"), [(1.0, None), (3.0, None), (1.0, [1.0, 4.0])])
def test_polynomial_tails_go_where_the_sum_of_powers_is_least(b, metric):
    X, y = np.array([[1.0, 0.2], [0.5, 2.0], [3.0, 1.0]]), np.ones(3)
    loss = fb.losses.polynomial(b)
    method = m.gradient_descent(0.05 if b < 2 else 0.01) if metric is None else m.steepest_descent(fb.norms.quadratic(metric), 0.05)
    plan = fb.Plan(X, y, loss=loss, method=method)
    limit = plan.limit()
    assert holds(limit, "L(w_t) → 0") is True
    assert holds(limit, "the path goes to") is True
    trace = plan.run(3_000_000)
    away = np.linalg.norm(fb.max_margin(X, y, limit.norm).w / np.linalg.norm(fb.max_margin(X, y, limit.norm).w) - limit.w / np.linalg.norm(limit.w))
    gap = trace.gap(limit)
    assert gap[-1] < 0.2 * away
    t = trace.log_t[-20:]
    assert np.polyfit(t, np.log(gap[-20:]), 1)[0] == pytest.approx(-1 / (b + 2), abs=0.03)
    rate = next(s for s in trace.rates(limit) if s.quantity == "log loss")
    assert rate.predicted == -b / (b + 2)
    assert rate.fitted == pytest.approx(rate.predicted, abs=0.02)


def test_of_other_methods_with_a_polynomial_tail_nothing_is_known():
    for method in (m.gradient_descent(S.loss_scaled(0.1)), m.gradient_descent(0.1, 0.5), m.steepest_descent("linf", 0.1), m.adam(0.1)):
        with pytest.raises(fb.NoTheorem, match="exponential tail"):
            fb.Plan(*APART, loss=fb.losses.polynomial(1), method=method).limit()
    with pytest.raises(fb.NoTheorem, match="excess and ratio"):
        fb.Plan(*APART, loss=fb.losses.polynomial(1), method=m.gradient_descent(0.1)).fast_forward(10.0)


# --- Adam ------------------------------------------------------------------------------------------------------------

@long
@pytest.mark.parametrize(("lr", "beta1", "beta2"), [(1e-4, 0.9, 0.999), (0.002, 0.9, 0.99), (0.03, 0.5, 0.9), (0.01, 0.0, 0.99)])
def test_adam_without_epsilon_grows_at_the_rate_of_its_formula(lr, beta1, beta2):
    X, y = np.array([[1.0, 0.5], [3.0, 0.4]]), np.ones(2)
    gamma = fb.max_margin(X, y, "linf").margin
    method = m.adam(lr, beta1, beta2, eps=0) if beta1 else m.rmsprop(lr, beta2, eps=0)
    plan = fb.Plan(X, y, loss="exponential", method=method)
    trace = plan.run(400_000, record=[200_000, 400_000], until=-1e12)
    rate = -(trace.log_loss[-1] - trace.log_loss[-2]) / 200_000
    assert growth(gamma, lr, beta1, beta2) == pytest.approx(rate, rel=1e-5)
    with pytest.raises(fb.NoTheorem) as told:
        fb.Plan(X, y, loss="exponential", method=method).limit()
    assert f"r = {growth(gamma, lr, beta1, beta2):.6g}" in evidence(told.value, "fall to 0")


def test_there_is_no_such_rate_where_v_cannot_follow():
    assert growth(100.0, 10.0, 0.99, 0.9) is None
    assert growth(1.0, 0.01, 0.0, 0.0) == pytest.approx(0.01, rel=1e-9)       # signs
    assert growth(1.0, 1e-9, 0.9, 0.999) == pytest.approx(1e-9, rel=1e-6)


@long
@pytest.mark.parametrize("method", [m.adam(0.1, eps=1.0), m.rmsprop(0.1, eps=1.0)], ids=repr)
def test_with_epsilon_adam_ends_as_gradient_descent(method):
    plan = fb.Plan(*CROSS, loss="exponential", method=method)
    limit = plan.limit()
    assert limit.certified
    assert holds(limit, "ε is all that") is None
    trace = plan.run(1_000_000)
    told = plan.limit()
    assert holds(told, "ε is all that") is True
    assert not any(h.holds is False for h in told.hypotheses)
    assert trace.increment() == pytest.approx(told.w / told.margin, abs=0.02)
    assert limit.w == pytest.approx(told.w, abs=1e-12)
    # the point of w − ŵ log t, where samples span the plane
    assert trace.w[-1] - told.w / told.margin * np.log(1e6) == pytest.approx(told.offset, abs=0.05)
    with pytest.raises(fb.NoTheorem, match="finite length"):
        fb.Plan(*CROSS, loss="exponential", method=m.adam(S.power(0.1, 2))).limit()


def test_the_point_beside_the_direction_is_known_of_adam_only_where_the_data_span_all():
    def offset(X, y, loss="exponential"):
        return fb.Plan(X, y, loss=loss, method=m.adam(0.1)).limit().offset
    assert offset(*CROSS) is not None
    assert offset([[1.0, 0.0], [2.0, 0.0]], [1, 1]) is None
    # what is common to all classes no gradient sees, but moves by signs change it
    assert offset([[2.0, 1.0], [1.0, 3.0]], [0, 1], "cross_entropy") is None


@long
def test_adam_hands_over_about_when_it_is_said_to():
    X, y = np.array([[1.0, 0.5], [3.0, 0.4]]), np.ones(2)
    plan = fb.Plan(X, y, loss="exponential", method=m.adam(1e-3))
    plan.run(5000)
    told = evidence(plan.limit(), "ε is all that")
    when = float(told.rpartition("≈ ")[2])
    plan.run(int(when) - 5000)
    size = float(evidence(plan.limit(), "ε is all that").partition("at most ")[2].partition(" ε")[0])
    assert 0.3 < size < 30
