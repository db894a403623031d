"""Limits against theory and against independent high precision: the paper's examples, projections, flows, refusals."""
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import fastbias as fb
from tests.helpers import naive
from tests.helpers.certificates import certified

m = fb.methods
EXAMPLE2, EXAMPLE4 = fb.data.example(2), fb.data.example(4)
entropy = fb.potentials.entropy
long = pytest.mark.long


def precise(update, w, steps):
    """Iterate in 40 digits; `update(w, before, k)` works on lists of mpf."""
    with mpmath.workdps(40):
        w = [mpmath.mpf(x) for x in w]
        before = w
        for k in range(steps):
            before, w = w, update(w, before, k)
        return np.array([float(x) for x in w])


def residual(w, X=EXAMPLE2.X, y=EXAMPLE2.y):
    return [2 * sum((sum(int(a) * b for a, b in zip(row, w, strict=True)) - int(t)) * int(row[i])
                    for row, t in zip(X, y, strict=True)) for i in range(len(w))]


@long
@pytest.mark.parametrize(("beta", "gamma"), [(0.5, 0.0), (0.5, 0.5), (0.0, 0.5), (0.3, 0.1)])
def test_example_2_limits_equal_an_iteration_in_40_digits(beta, gamma):
    eta = mpmath.mpf(1) / 20

    def update(w, before, k):
        delta = [a - b for a, b in zip(w, before, strict=True)]
        g = residual([a + mpmath.mpf(gamma) * d for a, d in zip(w, delta, strict=True)])
        return [mpmath.exp(mpmath.log(a + mpmath.mpf(beta) * d) - eta * x) for a, d, x in zip(w, delta, g, strict=True)]

    trace = fb.run(*EXAMPLE2, loss="squared", steps=3000,
                   method=m.mirror_descent("entropy", 0.05, primal_momentum=beta, nesterov=gamma))
    assert trace.w[-1] == pytest.approx(precise(update, [1, 1], 600), abs=1e-9)
    if (beta, gamma) == (0.5, 0.0):
        assert trace.w[-1] == pytest.approx([0.62433, 0.18784], abs=1e-5)     # the value in the project's notes


@long
@pytest.mark.parametrize("eta", [0.01, 0.05, 0.1, 0.12])
def test_example_3_limits_equal_an_iteration_in_40_digits(eta):
    def update(w, before, k):
        return [a - mpmath.mpf(eta) * a * g for a, g in zip(w, residual(w), strict=True)]

    trace = fb.run(*EXAMPLE2, loss="squared", method=m.natural_gradient("entropy", eta), steps=5000)
    assert trace.w[-1] == pytest.approx(precise(update, [1, 1], 1200), abs=1e-9)


def test_example_3_one_step_and_its_limits_of_step_size():
    method = m.natural_gradient("entropy", 0.1)
    assert fb.run(*EXAMPLE2, loss="squared", method=method, steps=1).w[-1] == pytest.approx([0.6, 0.2], abs=1e-15)
    with pytest.raises(fb.RunStopped, match="from step 0 to 1") as stopped:
        fb.run(*EXAMPLE2, loss="squared", method=m.natural_gradient("entropy", 0.125), steps=10)
    assert stopped.value.status == fb.Status.OUT_OF_DOMAIN
    assert stopped.value.trace.w.tolist() == [[1.0, 1.0]]


@long
@pytest.mark.parametrize("eta", [0.01, 0.05, 0.1])
def test_example_4_limits_equal_an_iteration_in_40_digits(eta):
    def update(w, before, k):
        g = residual(w, EXAMPLE4.X, EXAMPLE4.y)
        size = mpmath.sqrt(mpmath.sqrt(sum(x ** 4 for x in g)))
        return [a - mpmath.mpf(eta) * x ** 3 / size ** 2 for a, x in zip(w, g, strict=True)]

    trace = fb.run(*EXAMPLE4, loss="squared", method=m.steepest_descent(fb.norms.lp(4 / 3), eta), steps=20_000)
    assert trace.w[-1] == pytest.approx(precise(update, [0, 0, 0], 60 + int(30 / eta)), abs=1e-9)


@long
def test_example_4_flow_is_the_extrapolation_of_finite_steps():
    """Richardson: the limits of Euler's method (eq. 11) at η, η/2, … extrapolate to the flow's limit."""
    rows = []
    for j in range(6):
        eta = 0.02 / 2 ** j
        *_, w = naive.steepest_descent(EXAMPLE4.X, EXAMPLE4.y, np.zeros(3), eta, int(40 / eta),
                                       lambda g: naive.steepest_direction(g, 4 / 3))
        rows.append(w)
    table = np.array(rows)
    for order in range(1, 6):
        table = (2 ** order * table[1:] - table[:-1]) / (2 ** order - 1)
    flow = fb.Plan(*EXAMPLE4, loss="squared", method=m.steepest_descent(fb.norms.lp(4 / 3), 0.01)).flow()
    assert flow.w[-1] == pytest.approx(table[-1], abs=1e-9)
    assert flow.w[-1][0] == pytest.approx(0.2826, abs=1e-4)
    line = minimize_scalar(lambda s: fb.norms.lp(4 / 3)([s, 5 - s / 2, -4 - s / 2]), bounds=(-1, 1), method="bounded")
    assert line.x == pytest.approx(2.3e-4, abs=1e-4)                 # the minimum norm is elsewhere, as the paper says
    assert abs(flow.w[-1][0] - line.x) > 0.28


@long
@pytest.mark.parametrize("gamma", [0.0, 0.4])
def test_dual_momentum_goes_to_the_projection(gamma):
    plan = fb.Plan(*EXAMPLE2, loss="squared", method=m.mirror_descent("entropy", 0.05, dual_momentum=0.5, nesterov=gamma))
    trace, limit = plan.run(5000), plan.limit()
    assert limit.w == pytest.approx([0.5, 0.25], abs=1e-15)
    assert trace.gap(limit)[-1] < 1e-9
    assert "1b" in limit.theorem


D4 = np.diag([1.0, 2.0, 3.0, 4.0]) + 0.3


@long
@given(st.integers(0, 10**6))
def test_every_theorem_of_section_2_on_random_problems(seed):
    rng = np.random.default_rng(seed)
    X, y = fb.data.random_regression(2, 4, rng, positive=True)
    psi = [fb.potentials.euclidean, entropy, fb.potentials.quadratic(D4)][seed % 3]
    eta = 0.1 / np.linalg.norm(X, 2) ** 2
    w0 = psi.to_primal(0.3 * rng.normal(size=4))
    methods = [m.mirror_descent(psi, eta), m.mirror_descent(psi, eta, dual_momentum=0.5, nesterov=0.2)]
    if psi.quadratic:
        D = D4 if psi.size else np.eye(4)
        methods += [m.mirror_descent(psi, eta, primal_momentum=0.5), m.natural_gradient(psi, eta),
                    m.steepest_descent(fb.norms.quadratic(D), eta)]
        if not psi.size:
            methods += [m.gradient_descent(eta, 0.5, 0.5), m.steepest_descent("l2", eta)]
    for method in methods:
        plan = fb.Plan(X, y, loss="squared", method=method, start=w0)
        limit = plan.limit()
        assert limit.certified
        assert limit.duality_gap <= 1e-10
        assert certified(limit, X, y, psi, w0) <= 1e-10
        assert all(h.holds in (True, None) for h in limit.hypotheses)
        trace = plan.run(300_000, until=-60)
        assert trace.log_loss[-1] <= -55
        assert trace.gap(limit)[-1] <= 1e-8, (method, trace)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6))
def test_projections_agree_with_cvxpy_and_are_minimal(seed, N, d):
    import cvxpy as cp
    rng = np.random.default_rng(seed)
    X, y = fb.data.random_regression(min(N, d), d, rng, positive=True)
    for psi in (fb.potentials.euclidean, entropy, fb.potentials.quadratic(np.diag(np.arange(1.0, d + 1)))):
        w0 = psi.to_primal(0.5 * rng.normal(size=d))
        limit = fb.bregman_projection(X, y, psi, w0)
        assert limit.certified
        assert certified(limit, X, y, psi, w0) <= 1e-10
        for _ in range(3):                                            # no other point of the set is nearer
            other = limit.w + 0.1 * (np.eye(d) - np.linalg.pinv(X) @ X) @ rng.normal(size=d) * limit.w.min()
            assert psi.divergence(other, w0) >= psi.divergence(limit.w, w0) - 1e-9
        if seed % 10 == 0:                                            # the convex face, by another solver
            v = cp.Variable(d)
            cp.Problem(cp.Minimize(psi.convex(cp, v) - psi.to_dual(w0) @ v), [X @ v == y]).solve(
                cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
            assert limit.w == pytest.approx(v.value, abs=1e-4)


def test_entropic_projection_in_closed_form():
    """Equal rows on the simplex: the projection of w0 on Σw = 1 is w0/Σw0; duplicated and scaled rows do no harm."""
    w0 = np.array([0.5, 2.0, 3.0])
    for X, y in (([[1, 1, 1]], [1]), ([[1, 1, 1], [2, 2, 2], [1, 1, 1]], [1, 2, 1]), ([[1e-6] * 3], [1e-6])):
        limit = fb.bregman_projection(X, y, entropy, w0)
        assert limit.w == pytest.approx(w0 / w0.sum(), rel=1e-14)
        assert limit.certified
    far = fb.bregman_projection([[1, 1, 1]], [1e8], entropy, w0)
    assert far.w == pytest.approx(w0 / w0.sum() * 1e8, rel=1e-13)
    assert far.certified
    tiny = fb.bregman_projection([[1, 1, 1]], [1e-12], entropy, w0)
    assert tiny.w == pytest.approx(w0 / w0.sum() * 1e-12, rel=1e-6)
    assert tiny.certified


def test_projection_with_constraint_and_matrix_shape():
    limit = fb.bregman_projection([[1, 2, 3]], [2.5], entropy, np.full(3, 1 / 3), constraint=([[1, 1, 1]], [1]))
    assert limit.certified
    assert limit.w.sum() == pytest.approx(1, abs=1e-14)
    assert limit.w @ [1, 2, 3] == pytest.approx(2.5, abs=1e-14)
    assert np.diff(np.log(limit.w), 2) == pytest.approx(0, abs=1e-12)        # Boltzmann: log w is affine in (1, 2, 3)
    assert fb.bregman_projection([[[1, 2], [0, 1]]], [1], fb.potentials.euclidean).w.shape == (2, 2)
    with pytest.raises(ValueError, match="constraint must have 3 columns, got 2"):
        fb.bregman_projection([[1, 2, 3]], [2], entropy, constraint=([[1, 1]], [1]))


def test_projection_on_the_boundary_and_infeasible_sets():
    boundary = fb.bregman_projection([[1, 0, 0], [0, 1, 1]], [0, 1], entropy, [1, 1, 3])
    assert not boundary.certified
    assert boundary.w == pytest.approx([0, 0.25, 0.75], abs=1e-12)
    assert boundary.hypotheses[0].holds is False
    corner = fb.bregman_projection([[1, 1]], [0], entropy)
    assert corner.w == pytest.approx([0, 0], abs=1e-9)
    assert not corner.certified
    with pytest.raises(ValueError, match="linear program"):
        fb.bregman_projection([[1, 1]], [-1], entropy)
    with pytest.raises(ValueError, match="reachable"):
        fb.bregman_projection([[1, 1], [1, 1]], [1, 2], entropy)
    with pytest.raises(ValueError, match="domain of the entropy"):
        fb.bregman_projection([[1, 1]], [1], entropy, [1, -1])
    with pytest.raises(ValueError, match="w0 must have 2"):
        fb.bregman_projection([[1, 1]], [1], entropy, [1, 1, 1])
    with pytest.raises(ValueError, match="potential must be one of"):
        fb.bregman_projection([[1, 1]], [1], "entrpy")
    with pytest.raises(TypeError, match="potential must be one of"):
        fb.bregman_projection([[1, 1]], [1], 3)
    assert fb.bregman_projection([[0, 0]], [0], fb.potentials.euclidean, [1, 2]).w.tolist() == [1, 2]
    assert fb.bregman_projection([[1, 1]], [0], fb.potentials.euclidean).w.tolist() == [0, 0]


REFUSED = {
    "Example 2": m.mirror_descent("entropy", 0.05, primal_momentum=0.5),
    "Example 3": m.natural_gradient("entropy", 0.05),
    "Example 4": m.steepest_descent(fb.norms.lp(4 / 3), 0.01),
    "stagewise": m.steepest_descent("l1", 0.01),
    "normalised": m.steepest_descent("l2", 0.01, normalised=True),
}


@pytest.mark.parametrize("example", REFUSED)
def test_no_theorem_names_the_example_and_the_nearest_theorem(example):
    with pytest.raises(fb.NoTheorem, match="nearest") as refused:
        fb.Plan(*EXAMPLE2, loss="squared", method=REFUSED[example]).limit()
    assert example in refused.value.reason
    assert isinstance(refused.value, LookupError)
    assert refused.value.source
    assert refused.value.hypotheses[0].holds is True


def test_unrealisable_data_are_said_to_be():
    for X, y, loss, method in (([[1, 1], [1, 1]], [1, 2], fb.losses.huber(1), m.gradient_descent(0.1)),
                               ([[1, 1], [1, 1]], [1, 2], "squared", m.gradient_descent(0.1, batch=1, rng=0)),
                               ([[1, 1]], [-1], "squared", m.mirror_descent("entropy", 0.1))):
        with pytest.raises(fb.NoTheorem, match="realisable") as refused:
            fb.Plan(X, y, loss=loss, method=method).limit()
        assert refused.value.hypotheses[-1].holds is False
    boundary = fb.Plan([[1, 0], [0, 1]], [0, 1], loss="squared", method=m.mirror_descent("entropy", 0.1)).limit()
    assert not boundary.certified
    assert boundary.hypotheses[1].holds is True
    assert "boundary" in boundary.hypotheses[1].evidence
    assert "NOT certified" in str(boundary)


def test_other_models_are_not_covered_yet():
    half = fb.models.Model("half", fb.models.linear.forward, fb.models.linear.pullback)
    with pytest.raises(fb.NoTheorem, match="no potential is known"):
        fb.Plan(*EXAMPLE2, loss="squared", method=m.gradient_descent(0.1), model=half, start=[1, 1]).limit()


def test_a_printed_limit_says_why():
    text = str(fb.Plan(*EXAMPLE2, loss="squared", method=m.mirror_descent("entropy", 0.05)).limit())
    for words in ("Theorem 1", "certified", "[ yes]", "[open]", "realisable", "residual"):
        assert words in text


FLOWS = {
    "gradient": (m.gradient_descent(0.1, 0.9), fb.potentials.euclidean),
    "mirror": (m.mirror_descent("entropy", 0.1), entropy),
    "primal momentum": (m.mirror_descent("entropy", 0.1, primal_momentum=0.5), entropy),
    "natural": (m.natural_gradient("entropy", 0.1), entropy),
    "quadratic": (m.steepest_descent(fb.norms.quadratic(D4), 0.1), fb.potentials.quadratic(D4)),
}


@pytest.mark.parametrize("name", FLOWS)
def test_flows_end_at_the_projection_of_eq_10(name):
    method, psi = FLOWS[name]
    X, y = fb.data.random_regression(2, 4, rng=5, positive=True)
    plan = fb.Plan(X, y, loss="squared", method=method)
    flow, limit = plan.flow(), plan.limit(flow=True)
    assert flow.gap(limit)[-1] < 1e-9
    assert limit.w == pytest.approx(fb.bregman_projection(X, y, psi, plan.problem.start).w, abs=1e-12)
    assert plan.t == 0                                                 # a flow does not move the plan
    assert len(flow) == flow.t.size == flow.log_loss.size <= 210
    assert flow.log_loss[-1] < -40 or (np.diff(flow.log_loss) < 1e-6).all()


def test_flow_of_gradient_descent_in_closed_form():
    """One sample: the residual decays like exp(−2‖x‖²t)."""
    plan = fb.Plan([[3.0, 4.0]], [5.0], loss="squared", method=m.gradient_descent(0.1))
    trace = plan.flow(time=0.07)
    assert trace.t[0] == 0
    assert trace.t[-1] == pytest.approx(0.07, rel=1e-15)
    assert trace.w == pytest.approx((1 - np.exp(-50 * trace.t))[:, None] * np.array([0.6, 0.8]), abs=1e-9)


def test_natural_gradient_goes_to_the_flow_as_the_step_falls():
    """§2.3: the distance of the end points falls like η."""
    X, y = EXAMPLE2
    goal = fb.Plan(X, y, loss="squared", method=m.natural_gradient("entropy", 0.1)).limit(flow=True)
    gaps = [fb.run(X, y, loss="squared", method=m.natural_gradient("entropy", eta), steps=int(6 / eta)).gap(goal)[-1]
            for eta in (0.004, 0.002, 0.001)]
    assert np.array(gaps[:-1]) / gaps[1:] == pytest.approx(2, abs=0.05)


def test_flows_that_do_not_exist_are_refused():
    for method, words in ((m.steepest_descent("l1", 0.1), "inclusion"), (m.steepest_descent("linf", 0.1), "inclusion"),
                          (m.steepest_descent("l2", 0.1, normalised=True), "normalised")):
        with pytest.raises(ValueError, match=words):
            fb.Plan(*EXAMPLE2, loss="squared", method=method).flow()
    plan = fb.Plan(*EXAMPLE2, loss="squared", method=m.gradient_descent(0.1))
    for bad in (0, -1, float("nan"), float("-inf")):
        with pytest.raises(ValueError, match="time must be"):
            plan.flow(time=bad)
    with pytest.raises(ValueError, match="rtol"):
        plan.flow(rtol=1)
    at_rest = fb.Plan([[1.0]], [0.0], loss="squared", method=m.gradient_descent(0.1)).flow()
    assert at_rest.w.tolist() == [[0.0], [0.0]]


def test_flow_that_leaves_the_metrics_domain_or_never_rests():
    @fb.piece(fb.abi.MAP_AT)
    def only_above(params, w, g, out):
        out[0] = g[0]
        return 0 if w[0] > 0.5 else 2

    with pytest.raises(ArithmeticError, match="left the domain"):
        fb.Plan([[1.0]], [0.0], loss="squared", method=m.natural_gradient(only_above, 0.1), start=[1.0]).flow()
    boundary = fb.Plan([[1.0]], [0.0], loss="squared", method=m.mirror_descent("entropy", 0.1))
    assert boundary.flow(time=1e3).w[-1] == pytest.approx([1 / 2001], rel=1e-6)   # w' = −2w², so w = 1/(1 + 2t)


def test_projections_are_solved_from_tiny_starts_and_on_badly_scaled_data():
    tiny = fb.bregman_projection([[1, 2]], [1], entropy, [1e-14] * 2)
    assert tiny.certified
    assert tiny.w == pytest.approx([7.07106762e-8, 0.49999996], rel=1e-6)
    small = fb.bregman_projection(np.eye(2), [1e-10, 1], entropy)              # interior, however small
    assert small.certified
    assert small.w == pytest.approx([1e-10, 1], rel=1e-12)
    edge = fb.bregman_projection([[1, 0, 0], [0, 1, 1]], [0, 1e-9], entropy, [1, 1, 3])
    assert not edge.certified
    assert edge.w == pytest.approx([0, 0.25e-9, 0.75e-9], rel=1e-9, abs=1e-25)
    for scale in (1e-9, 1e-6, 1, 1e6):                                          # the same true boundary at any scale
        assert not fb.bregman_projection(scale * np.array([[1, 0, 0], [0, 1, 1]]), [0, scale], entropy).certified
        with pytest.raises(ValueError, match="linear program"):
            fb.bregman_projection([[scale, scale]], [-scale], entropy)
    for psi in (entropy, fb.potentials.euclidean):                              # rows that differ by 1e16 count alike
        rows = fb.bregman_projection([[1e8, 0], [0, 1e-8]], [1e8, 3e-8], psi)
        assert rows.certified
        assert rows.w == pytest.approx([1, 3], rel=1e-12)
        with pytest.raises(ValueError, match="reachable"):
            fb.bregman_projection([[1e6, 0], [1e-6, 0]], [1e6, 3e-6], psi)
    hidden = fb.bregman_projection([[1, 1, 1], [0, 1, 1]], [1, 1], entropy)     # no single row shows that w_0 = 0
    assert not hidden.certified
    assert hidden.w == pytest.approx([0, 0.5, 0.5], abs=1e-12)


def test_projections_on_columns_of_unequal_size_are_certified():
    uncertified = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scales = 10.0 ** rng.uniform(-3, 3, 6)
        X = rng.normal(size=(3, 6)) * scales
        w = rng.random(6) / scales
        limit = fb.bregman_projection(X, X @ w, entropy)
        if limit.certified:
            assert np.abs(X @ limit.w - X @ w).max() <= 1e-9 * (np.abs(X) @ limit.w).max()
        uncertified += not limit.certified
    assert uncertified <= 2


def test_a_users_own_potential_gets_its_limit():
    """ψ = Σ w⁴/4: its Hessian vanishes at argmin ψ, where the run starts."""
    @fb.piece(fb.abi.MAP)
    def link(params, w, out):
        for i in range(w.size):
            out[i] = w[i] ** 3
        return 0

    @fb.piece(fb.abi.MAP)
    def inverse_link(params, z, out):
        for i in range(z.size):
            out[i] = np.cbrt(z[i])
        return 0

    @fb.piece(fb.abi.MAP_AT)
    def metric(params, w, g, out):
        for i in range(w.size):
            out[i] = g[i] / (3 * w[i] ** 2)
        return 0

    @fb.piece(fb.abi.VALUE)
    def value(params, w):
        return (w ** 4).sum() / 4

    psi = fb.potentials.Potential("quartic", link, inverse_link, metric, value)
    fb.laws.check(psi)
    X, y = [[1, 2, 1], [0, 1, -1]], [1, 0.1]
    limit = fb.Plan(X, y, loss="squared", method=m.mirror_descent(psi, 0.01)).limit()
    assert limit.certified
    assert limit.w == pytest.approx(fb.bregman_projection(X, y, fb.potentials.power(4)).w, abs=1e-9)


def test_a_users_norm_that_declares_nothing_is_not_called_names():
    bare = fb.norms.Norm("bare", fb.norms.l2.steepest, fb.norms.l2.dual_norm, fb.norms.l2.norm)
    plan = fb.Plan(*EXAMPLE2, loss="squared", method=m.steepest_descent(bare, 0.01))
    with pytest.raises(ValueError, match="does not declare smooth=True"):
        plan.flow()
    with pytest.raises(fb.NoTheorem, match="or does not declare its matrix="):
        plan.limit()


def test_a_metric_of_the_users_own_stops_at_the_step_that_leaves_it():
    @fb.piece(fb.abi.MAP_AT)
    def diagonal(params, w, g, out):
        for i in range(w.size):
            if w[i] <= 0:
                return 2
            out[i] = w[i] * g[i]
        return 0

    method = m.natural_gradient(diagonal, 0.13)
    with pytest.raises(fb.RunStopped, match="from step 0 to 1"):
        fb.run(*EXAMPLE2, loss="squared", method=method, start=[1, 1], steps=9)
    with pytest.raises(ValueError, match="start must lie where the metric"):
        fb.Plan(*EXAMPLE2, loss="squared", method=method, start=[-1, 1])


def test_a_flow_does_not_stop_before_slow_directions_have_arrived():
    trace = fb.Plan(np.diag([1, 1e-4]), [1, 1e-4], loss="squared", method=m.gradient_descent(0.1)).flow()
    assert trace.w[-1] == pytest.approx([1, 1], abs=1e-5)


def test_ill_conditioned_quadratics_obey_the_laws_and_certify():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    D = Q @ np.diag(np.geomspace(1, 1e8, 5)) @ Q.T
    fb.laws.check(fb.norms.quadratic((D + D.T) / 2))
    X, y = fb.data.random_regression(2, 5, 1)
    assert fb.bregman_projection(X, y, fb.potentials.quadratic((D + D.T) / 2)).certified
    assert fb.norms.quadratic([1e-20, 1])([1, 0]) == pytest.approx(1e-10)


@long
def test_projections_hold_over_scales_and_steep_potentials():
    P = fb.potentials
    for psi in (P.power(1.1), P.power(4), P.power(6), P.power(10), P.squared_lp(1.05)):
        for seed in range(10):
            assert fb.bregman_projection(*fb.data.random_regression(3, 8, seed), psi).certified, (psi, seed)
    for size in (20, 100, 500):                                 # sinh(500) is 1e217
        rng = np.random.default_rng(size)
        X, w = rng.normal(size=(3, 8)), rng.uniform(-1, 1, 8)
        assert fb.bregman_projection(X, X @ (w * size / np.abs(w).max()), P.cosh).certified
    for scale in (1e-2, 1, 10, 100, 1e4):
        rng = np.random.default_rng(1)
        A, B = rng.normal(size=(2, 3, 3)), rng.normal(size=(3, 3))
        A = A + A.transpose(0, 2, 1)
        W = scale * (B @ B.T + 0.1 * np.eye(3))
        assert fb.bregman_projection(A, np.einsum("kij,ij->k", A, W), P.spectral_entropy(3)).certified
    for X, y, w0 in (([[1, 2], [1, 1]], [1, 1], None), ([[1, 2, 1], [1, 1, 1]], [1, 1], [1, 2, 3])):
        edge = fb.bregman_projection(X, y, entropy, w0)          # the only solutions lie on the boundary
        assert not edge.certified
        assert (edge.w == 0).any()
    with pytest.raises(ValueError, match="symmetric"):
        fb.bregman_projection([[[1, 2], [0, 1]]], [1], P.spectral_entropy(2))


def test_a_flow_too_rough_to_follow_is_refused(monkeypatch):
    monkeypatch.setattr("fastbias.forward.continuous.CALLS", 50)
    with pytest.raises(ArithmeticError, match="too rough"):
        fb.Plan(*EXAMPLE4, loss="squared", method=m.steepest_descent(fb.norms.lp(6), 0.01)).flow()
