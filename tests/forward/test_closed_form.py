"""The closed form of the squared loss's recursions against runs, against 50 digits, and against what it must obey."""
import dataclasses

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbias as fb
from fastbias.forward import closed_form
from tests.helpers import JIT
from tests.helpers.digits import exact, exact_log_loss, exactly, off, power

D3 = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 3.0]])
MOMENTUM = {"gd": (0.0, 0.0), "heavy ball": (0.9, 0.0), "heavy ball .99": (0.99, 0.0), "nesterov": (0.9, 0.9),
            "between": (0.8, 0.3), "beyond": (0.3, 0.8), "no complex roots": (0.1, 1.5)}


def data(name):
    """(X, y, start): wide and tall, with rows or columns that depend on others, realisable or not."""
    rng = np.random.default_rng(len(name))
    N, d = {"wide": (4, 9), "tall": (12, 5), "square": (6, 6)}[name.split()[0]]
    X = rng.integers(-9, 10, (N, d)).astype(float)                    # integers, so that what depends does so exactly
    if "deficient" in name:
        X[-1] = X[0] + X[1]
        X[:, -1] = X[:, 0] - X[:, 1]
    w = rng.integers(-9, 10, d) / 4
    return X, X @ w if "noisy" not in name else X @ w + rng.standard_normal(N), rng.standard_normal(d)


DATA = ["wide", "tall", "wide deficient", "tall deficient", "tall noisy", "wide deficient noisy", "tall deficient noisy"]


def stable(X, beta, gamma, share=0.6):
    """A step size: that share of the largest stable one, 2ησ² < 2(1 + β)/(1 + 2γ)."""
    return share * (1 + beta) / (1 + 2 * gamma) / np.linalg.norm(X, 2) ** 2


def plan_of(name, momentum, share=0.6):
    X, y, start = data(name)
    beta, gamma = MOMENTUM[momentum]
    method = fb.methods.gradient_descent(stable(X, beta, gamma, share), momentum=beta, nesterov=gamma)
    return fb.Plan(X, y, loss="squared", method=method, start=start)


def here(plan, log_t):
    return closed_form.at(plan.problem, plan.buffers.u, plan.buffers.state[0], plan.t, log_t)


def compare(plan, later, tolerance):
    """The closed form from where the plan stands against the run itself; steps counted from there."""
    trace = here(plan, np.log(plan.t + np.array(later)))
    ran = plan.run(later[-1], record=plan.t + np.array(later))
    for t, w, log_loss in zip(trace.t, trace.w, trace.log_loss, strict=True):
        i = np.flatnonzero(ran.t <= t)[-1]                           # where it came to rest, the run ended
        assert ran.t[i] == t or ran.status == fb.Status.STALLED
        assert np.abs(w - ran.w[i]).max() <= tolerance * np.abs(ran.w[i]).max()
        size = np.linalg.norm(plan.problem.y)
        if ran.log_loss[i] > 2 * np.log(1e-9 * size):                # else the run's own residual is rounding
            assert abs(log_loss - ran.log_loss[i]) <= 1e-3 * tolerance * size / np.exp(ran.log_loss[i] / 2) + 1e-12


@pytest.mark.parametrize("momentum", MOMENTUM)
@pytest.mark.parametrize("name", DATA)
def test_it_is_what_a_run_does(name, momentum):
    compare(plan_of(name, momentum), [1, 2, 7], 1e-13)
    plan = plan_of(name, momentum)
    plan.run(37)
    compare(plan, [1, 2, 7, 60], 1e-12)


@pytest.mark.long
@pytest.mark.parametrize("momentum", MOMENTUM)
@pytest.mark.parametrize("name", DATA)
def test_it_is_what_a_long_run_does(name, momentum):
    compare(plan_of(name, momentum, 0.01), [1000, 100_000], 1e-9)
    plan = plan_of(name, momentum, 0.01)
    plan.run(37)
    compare(plan, [1000, 100_000], 1e-9)


quadratic = fb.potentials.quadratic(D3)
GEOMETRIES = {
    "l2": lambda eta: fb.methods.steepest_descent(fb.norms.l2, eta),
    "norm D": lambda eta: fb.methods.steepest_descent(fb.norms.quadratic(D3), eta),
    "natural D": lambda eta: fb.methods.natural_gradient(quadratic, eta),
    "natural": lambda eta: fb.methods.natural_gradient("euclidean", eta),
    "mirror": lambda eta: fb.methods.mirror_descent("euclidean", eta, dual_momentum=0.5),
    "dual D": lambda eta: fb.methods.mirror_descent(quadratic, eta, dual_momentum=0.9),
    "dual, nesterov D": lambda eta: fb.methods.mirror_descent(quadratic, eta, dual_momentum=0.9, nesterov=0.9),
    "primal D": lambda eta: fb.methods.mirror_descent(quadratic, eta, primal_momentum=0.9),
    "primal, nesterov D": lambda eta: fb.methods.mirror_descent(quadratic, eta, primal_momentum=0.7, nesterov=0.4),
    "one's own": lambda eta: fb.methods.mirror_descent(dataclasses.replace(quadratic, matrix=None), eta, dual_momentum=0.9),
}


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("rows", [2, 5])
def test_quadratic_geometries(name, rows):
    rng = np.random.default_rng(rows)
    X, start = rng.standard_normal((rows, 3)), rng.standard_normal(3)
    method = GEOMETRIES[name](0.05 / np.linalg.norm(X, 2) ** 2)
    for before in (0, 37):
        plan = fb.Plan(X, rng.standard_normal(rows), loss="squared", method=method, start=start)
        plan.run(before)
        compare(plan, [1, 2, 7, 1000 if JIT else 100], 1e-11)
        end = here(plan, [1e9])
        assert end.gap(plan.limit())[0] <= 1e-12 * np.linalg.norm(end.w)


def test_matrices_and_step_rules():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4, 2, 3)), rng.standard_normal(4)
    eta = stable(X.reshape(4, 6), 0, 0)
    for rule in (eta, fb.steps.power(eta, 0), np.full(3, eta)):
        plan = fb.Plan(X, y, loss="squared", method=fb.methods.gradient_descent(rule))
        trace = here(plan, np.log([5, 9]))
        assert trace.w.shape == (2, 2, 3)
        np.testing.assert_allclose(trace.w[0], plan.run(5).w[-1], rtol=1e-13, atol=1e-13)


# 50 digits

@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


@pytest.mark.long
@pytest.mark.parametrize("momentum", MOMENTUM)
@pytest.mark.parametrize("D", [None, D3], ids=["I", "D"])
def test_fifty_digits(momentum, D):
    rng = np.random.default_rng(5)
    beta, gamma = MOMENTUM[momentum]
    psi = "euclidean" if D is None else fb.potentials.quadratic(D)
    for rows, share in ((2, 0.1), (2, 0.9), (4, 1e-4), (4, 0.9)):
        X, y, u = rng.standard_normal((rows, 3)), rng.standard_normal(rows), rng.standard_normal(3)
        method = fb.methods.mirror_descent(psi, stable(X, beta, gamma, share * 0.6), dual_momentum=beta, nesterov=gamma)
        problem = fb.Plan(X, y, loss="squared", method=method, start=u).problem
        move = 0.1 * rng.standard_normal(3)
        trace = closed_form.at(problem, u, move, 3, np.log([3, 4, 1003, 1_000_003]))
        assert trace.error_estimate[0] == 0
        assert (trace.w[0] == u).all()
        for i, k in enumerate((1, 1000, 1_000_000), 1):
            error, log_loss = off(trace.w[i], exact(problem, u, move, k, D)), exact_log_loss(problem, u, move, k, D)
            assert error <= trace.error_estimate[i] <= 1e-9
            assert error <= 1e-12
            assert abs(trace.log_loss[i] - log_loss) <= 1e-12 * (1 + abs(log_loss)) + 1e-12 * k ** 0.5


@pytest.mark.parametrize(("beta", "gamma", "x"), [(0.25, 0, 0.25), (0.25, 0, 2.25), (0.0, 0.0, 1.0), (0.5, 0.5, 1.0),
                                                  (0.25, 0, 0.25 * (1 + 1e-15)), (0.9, 0.9, (0.1 / 1.9) ** 2),
                                                  (1 - 1e-6, 0, 2.5e-13), (0.3, 0.6, 0.5),
                                                  (0.5, 0.3, 1.875 * (1 - 1e-4)), (0.9, 0.9, 3.8 / 2.8 * (1 - 1e-9)),
                                                  (1 - 2.22e-13, 1 - 2.22e-13, 1 - 2.22e-13)])
def test_repeated_and_vanishing_roots(beta, gamma, x):
    """Discriminant 0, exactly and nearly, at both signs; r = 0; b = 0; r near −1."""
    X, y, u, move = np.array([[1.0, 0.0], [0.0, 0.5]]), np.array([1.0, -2.0]), np.array([3.0, 1.0]), np.array([0.5, -0.25])
    method = fb.methods.gradient_descent(x / 2, momentum=beta, nesterov=gamma)
    problem = fb.Plan(X, y, loss="squared", method=method, start=u).problem
    k = np.array([1, 2, 3, 1000, 1_000_000])
    trace = closed_form.at(problem, u, move, 0, np.log(k))
    for i in range(k.size):
        w = exact(problem, u, move, k[i])
        assert off(trace.w[i], w) <= trace.error_estimate[i] <= 1e-6
        assert off(trace.w[i], w) <= 1e-9
    far = closed_form.at(problem, u, move, 0, [1e9])
    assert far.w[0] == pytest.approx([1, -4], abs=far.error_estimate[0])
    assert far.log_loss[0] == -np.inf


@settings(max_examples=200)
@given(st.floats(0, 13), st.sampled_from(["zero", "beta", "less", "more"]), st.floats(-14, 0.5), st.integers(0, 5),
       st.floats(1, 17), st.floats(0, 15.9), st.sampled_from([-1, 1]))
def test_one_mode_anywhere(lack, kind, log_x, special, near, log_k, side):
    """1 − β down to 1e-13 and 0, x from 1e-14 to the limits and beyond, and as near as rounding to every special place."""
    beta = 1 - 10 ** -lack if lack < 12.9 else 1.0
    gamma = {"zero": 0.0, "beta": beta, "less": 0.3, "more": 1.7}[kind]
    m = beta - gamma * (1 - beta)
    root = max(m, 0.0) ** 0.5
    x = [10 ** log_x, ((1 - beta) / (1 + root)) ** 2, ((1 + root) / (1 + gamma)) ** 2, 2 * (1 + beta) / (1 + 2 * gamma),
         (1 + beta) / (1 + gamma), beta / gamma if gamma else 1.0][special]
    x *= 1 + side * 10 ** -near if special else 1
    if x <= 0:
        x = 1e-3
    k = int(10 ** log_k)
    for u, move, entry in ((1.0, 0.0, 0), (0.0, 1.0, 1)):
        trace = closed_form.at(mode(x, beta, gamma), np.array([u]), np.array([move]), 0, np.log([float(k)]))
        truth, steps = power(x, beta, gamma, k)[0, entry], int(np.rint(np.exp(np.log(float(k)))))
        if steps != k:
            truth = power(x, beta, gamma, steps)[0, entry]
        if trace.status == fb.Status.OK:
            assert abs(truth - mp.mpf(float(trace.w[0, 0]))) <= mp.mpf(float(trace.error_estimate[0])) + mp.mpf(1e-307)
        else:
            assert abs(truth) > 1e300


def mode(x, beta, gamma=0.0):
    """The problem whose parameters are the error of one mode."""
    return fb.Plan([[1.0]], [0.0], loss="squared", start=[1.0],
                   method=fb.methods.gradient_descent(x / 2, momentum=beta, nesterov=gamma)).problem


def test_two_roots_near_minus_one():
    """The limit of stability and a repeated root in one place, where an error of x by eps decides whether it diverges."""
    x, beta = 3.99999999998359, 0.9999999999917953
    trace = closed_form.at(mode(x, beta), np.ones(1), np.zeros(1), 0, np.log([2.0, 1000.0]))
    for w, k, most in zip(trace.w[:, 0], (2, 1000), (1e-14, 1e-6), strict=True):
        assert abs(mp.mpf(float(w)) - power(x, beta, 0.0, k)[0, 0]) <= most
    x, beta, k = 3.99999999998853, 0.9999999999942649, 16908972515
    trace = closed_form.at(mode(x, beta), np.ones(1), np.zeros(1), 0, np.log([k]))
    assert trace.error_estimate[0] >= abs(power(x, beta, 0.0, k)[0, 0]) > 1e100 > abs(trace.w[0, 0])


# far on

@pytest.mark.parametrize("momentum", MOMENTUM)
@pytest.mark.parametrize("name", DATA)
def test_far_on_it_is_at_the_limit(name, momentum):
    plan = plan_of(name, momentum)
    plan.run(5)
    trace = here(plan, np.concatenate([np.linspace(2, 800, 50), [1e4, 1e9]]))
    X, y, start = data(name)
    if "tall" in name and "noisy" in name:
        y = X @ np.linalg.lstsq(X, y, rcond=None)[0]
    if "deficient noisy" in name:
        y = X @ np.linalg.lstsq(X, y, rcond=None)[0]
    goal = fb.bregman_projection(X, y, "euclidean", start)
    assert trace.gap(plan.limit())[-1] <= 1e-12 * np.linalg.norm(goal.w)
    assert trace.gap(goal)[-1] <= 1e-12 * np.linalg.norm(goal.w)
    assert trace.status == fb.Status.OK
    assert np.isfinite(trace.error_estimate).all()
    assert not np.isnan(trace.log_loss).any()
    assert (trace.t[-20:] == -1).all()
    assert trace.log_t[-1] == 1e9


@pytest.mark.parametrize(("beta", "gamma", "share"), [(0, 0, 0.3), (0.9, 0, 0.3), (0.9, 0.9, 0.01), (0.2, 0.5, 0.2)])
def test_the_log_loss_falls_for_ever(beta, gamma, share):
    """At e^600 steps it is 2 t log ρ, ρ the largest root of all modes (50 digits)."""
    X, y, start = data("wide")
    method = fb.methods.gradient_descent(stable(X, beta, gamma, share), momentum=beta, nesterov=gamma)
    problem = fb.Plan(X, y, loss="squared", method=method, start=start).problem
    trace = closed_form.at(problem, start, np.zeros(9), 0, [np.log(2e6), np.log(2e6 + 2), 600.0, 650.0, 1e9])
    Z = exactly(X)
    largest = mp.mpf(0)
    for s in mp.eigsy(mp.matrix(Z.dot(Z.T).tolist()), eigvals_only=True):
        x = 2 * mp.mpf(float(problem.rule(0))) * s
        b = mp.mpf(beta) - mp.mpf(gamma) * x
        root = mp.sqrt(mp.mpc((1 - x + b) ** 2 - 4 * b))
        largest = max(largest, abs((1 - x + b + root) / 2), abs((1 - x + b - root) / 2))
    slope = float(2 * mp.log(largest))
    assert trace.log_loss[2] == pytest.approx(slope * np.exp(600.0), rel=1e-12)
    assert trace.log_loss[3] == pytest.approx(slope * np.exp(650.0), rel=1e-12)
    assert trace.log_loss[4] == -np.inf
    log_loss = exact_log_loss(problem, start, np.zeros(9), 2_000_000)
    assert trace.log_loss[0] == pytest.approx(log_loss, rel=1e-12)
    if beta == 0:
        assert trace.log_loss[1] - trace.log_loss[0] == pytest.approx(2 * slope, rel=1e-6)


def test_the_log_loss_tends_to_the_least_squares_residual_or_is_exactly_zero():
    plan = plan_of("tall noisy", "nesterov")
    X, y, _ = data("tall noisy")
    left = np.linalg.norm(y - X @ np.linalg.lstsq(X, y, rcond=None)[0])
    assert here(plan, [1e9]).log_loss[0] == pytest.approx(2 * np.log(left), rel=1e-14)
    one = fb.Plan([[1.0, 0.0]], [2.0], loss="squared", method=fb.methods.gradient_descent(0.5), start=[0.0, 7.0])
    trace = here(one, [-np.inf, 0, 1, 5])
    assert trace.log_loss.tolist() == [np.log(4.0), -np.inf, -np.inf, -np.inf]
    assert trace.w.tolist() == [[0, 7], [2, 7], [2, 7], [2, 7]]
    assert trace.log_t.tolist() == [-np.inf, 0, np.log(3), np.log(148)]


@given(st.sampled_from(DATA), st.sampled_from(list(MOMENTUM)), st.integers(2, 10**6), st.integers(1, 10**6))
def test_going_on_is_going_at_once(name, momentum, first, second):
    plan = plan_of(name, momentum, 0.01)
    trace = here(plan, np.log([first - 1, first, first + second]))
    on = closed_form.at(plan.problem, trace.u[1], trace.u[1] - trace.u[0], first, np.log([first, first + second]))
    size = np.abs(trace.w).max()
    assert np.abs(on.w[0] - trace.w[1]).max() == 0
    assert np.abs(on.w[1] - trace.w[2]).max() <= 1e-11 * size


@given(st.floats(0.0, 16), st.floats(-12, 0.6), st.floats(0, 2), st.lists(st.floats(0, 1e9), min_size=3, max_size=3),
       st.sampled_from([0.0, 1.0, 1.5]))
def test_it_is_never_a_nan(lack, log_x, gamma, times, beta):
    """Whatever the numbers, up to e^(1e9): finite rows, an estimate and a log loss that are numbers, and an honest end."""
    beta = beta or 1 - 10 ** -lack
    X = np.array([[1.0, 0.0, 1e-7], [0.5, 1.0, 0.0]])
    method = fb.methods.gradient_descent(10 ** log_x, momentum=beta, nesterov=gamma)
    problem = fb.Plan(X, [1.0, 2.0], loss="squared", method=method).problem
    for move in (np.zeros(3), np.ones(3)):
        trace = closed_form.at(problem, np.zeros(3), move, 0, np.unique(np.concatenate([[0.0, 1.0, 708.0, 710.0], times])))
        assert np.isfinite(trace.w).all()
        assert not np.isnan(trace.error_estimate).any()
        assert not np.isnan(trace.log_loss).any()
        assert (trace.status == fb.Status.OK) == (len(trace) > 0 and trace.log_t[-1] >= max(*times, 710.0) - 0.5)


# what diverges, and what stands still

def test_too_large_a_step_ends_where_it_overflows():
    plan = fb.Plan([[1.0, 0.0]], [1.0], loss="squared", method=fb.methods.gradient_descent(1.5))      # e ← −2e
    trace = here(plan, np.log([1, 2, 3, 1000, 1100, 10_000]))
    assert trace.status == fb.Status.NOT_FINITE
    assert trace.t.tolist() == [1, 2, 3, 1000]
    assert trace.w[:3, 0].tolist() == pytest.approx([3, -3, 9])
    assert trace.w[3, 0] == pytest.approx(-2.0 ** 1000, rel=1e-11)
    assert trace.log_loss[3] == pytest.approx(2000 * np.log(2))
    assert trace.message == f"the parameters ceased to be finite by log t = {np.log(1100):.9g}"
    none = here(plan, [50.0])
    assert len(none) == 0
    assert str(none) == "Trace of 0 rows; the parameters ceased to be finite by log t = 50"
    assert none.w.shape == (0, 2)


def test_at_the_limit_of_stability_it_goes_to_and_fro():
    plan = fb.Plan([[1.0]], [0.0], loss="squared", method=fb.methods.gradient_descent(1.0), start=[3.0])
    trace = here(plan, np.log([1, 2, 10**6, 10**6 + 1]))
    assert trace.w.ravel().tolist() == [-3, 3, 3, -3]
    far = here(plan, [1e9])
    assert abs(far.w[0, 0]) == 3
    assert far.error_estimate[0] >= 6                                # even or odd, nobody knows


@pytest.mark.parametrize("beta", [0.5, 1 - 1e-9, 1.0, 1.5])
def test_what_the_data_do_not_see_drifts(beta):
    method = fb.methods.gradient_descent(0.1, momentum=beta)
    problem = fb.Plan([[1.0, 0.0]], [1.0], loss="squared", method=method).problem
    trace = closed_form.at(problem, np.array([0.0, 5.0]), np.array([0.0, 2.0]), 0, np.log([1, 2, 100]))
    for w, k in zip(trace.w[:, 1], (1, 2, 100), strict=True):
        assert w == pytest.approx(5 + 2 * float(sum(mp.mpf(beta) ** i for i in range(1, k + 1))), rel=1e-14)
    far = closed_form.at(problem, np.array([1.0, 5.0]), np.array([0.0, 2.0]), 0, [1000.0])
    if beta < 1:
        assert far.w[0] == pytest.approx([1, 5 + 2 * float(mp.mpf(beta) / (1 - mp.mpf(beta)))])
    else:
        assert far.status == fb.Status.NOT_FINITE
    still = closed_form.at(problem, np.array([1.0, 5.0]), np.zeros(2), 0, [1000.0])
    assert still.w.tolist() == [[1.0, 5.0]]                          # at rest stays at rest


def test_data_of_zeros():
    plan = fb.Plan(np.zeros((2, 2)), [3.0, 4.0], loss="squared", method=fb.methods.gradient_descent(0.1), start=[1.0, 2.0])
    trace = here(plan, [0.0, 1e9])
    assert trace.w.tolist() == [[1, 2], [1, 2]]
    assert trace.log_loss == pytest.approx(np.log(25))


def test_the_estimate_knows_what_is_ill_conditioned():
    rng = np.random.default_rng(2)
    for condition in (1e2, 1e6, 1e10):
        U, V = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2))
        X = U @ np.diag([1, condition ** -0.5, 1 / condition]) @ V
        u, y = rng.standard_normal(3), rng.standard_normal(3)
        problem = fb.Plan(X, y, loss="squared", start=u, method=fb.methods.gradient_descent(0.4, momentum=0.5)).problem
        trace = closed_form.at(problem, u, np.zeros(3), 0, np.log([10, 10**5, 10**12]))
        for i, k in enumerate((10, 10**5, 10**12)):
            error = off(trace.w[i], exact(problem, u, np.zeros(3), k))
            assert error <= trace.error_estimate[i] <= 1e-12 * condition ** 2
        assert trace.error_estimate[0] < 1e-12                       # ten steps have not seen the small ones


def test_the_estimate_knows_an_unreachable_part_and_a_drift():
    rng = np.random.default_rng(4)
    U, V = np.linalg.qr(rng.standard_normal((5, 5)))[0], np.linalg.qr(rng.standard_normal((2, 2)))[0]
    X, y, k = U[:, :2] @ np.diag([1, 1e-5]) @ V, 1e-3 * U[:, 0] + 1e3 * U[:, 2], 10**12
    problem = fb.Plan(X, y, loss="squared", method=fb.methods.gradient_descent(0.4)).problem
    trace = closed_form.at(problem, np.zeros(2), np.zeros(2), 0, np.log([k]))
    assert 1e-6 < off(trace.w[0], exact(problem, np.zeros(2), np.zeros(2), k)) <= trace.error_estimate[0] < 1e-1
    X, k = rng.standard_normal((1, 3)), 10**10
    method = fb.methods.gradient_descent(stable(X, 1, 0), momentum=1 - 1e-7)
    problem = fb.Plan(X, [1.0], loss="squared", method=method).problem
    move = rng.standard_normal(3)
    trace = closed_form.at(problem, np.zeros(3), move, 0, np.log([k]))
    assert 1e-11 < off(trace.w[0], exact(problem, np.zeros(3), move, k)) <= trace.error_estimate[0] < 1e-7


def test_reached_but_for_rounding_is_reached():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 10))
    y = X @ rng.standard_normal(10)
    for noise, log_loss in ((0.0, -np.inf), (1e-9, pytest.approx(2 * np.log(1e-9) + np.log(30), abs=2))):
        plan = fb.Plan(X, y + noise * rng.standard_normal(40), loss="squared", method=fb.methods.gradient_descent(1e-3))
        assert here(plan, [1e9]).log_loss[0] == log_loss


# times, files, refusals

def test_times():
    plan = plan_of("wide", "gd")
    trace = here(plan, [-np.inf, 0.4, np.log(2.0**53), np.log(2.0**63) - 1e-9, np.log(2.0**63) + 1e-9, 1e9])
    assert trace.t[:2].tolist() == [0, 1]
    assert (trace.t[4:] == -1).all()
    assert trace.t[3] == pytest.approx(2.0**63, rel=1e-8)
    assert trace.log_t[:2].tolist() == [-np.inf, 0]
    assert trace.log_t[2:].tolist() == [np.log(2.0**53), np.log(2.0**63) - 1e-9, np.log(2.0**63) + 1e-9, 1e9]
    plan.run(10)
    assert here(plan, [np.log(10)]).w[0].tolist() == plan.w.tolist()
    late = closed_form.at(plan.problem, plan.u, np.zeros(9), 2**60, [np.log(2.0**60), 50.0])
    assert late.w[0].tolist() == plan.w.tolist()
    for bad, why in (([1.0, 1.0], "increases"), ([], "increases"), ([[1.0]], "increases"), ([np.nan], "increases"),
                     ([1.0, np.nan], "increases"), ([np.inf], "increases"), ([2.0, 3.0], "not lie before log t = 2.30"),
                     ([-np.inf], "not lie before")):
        with pytest.raises(ValueError, match=why):
            here(plan, bad)


def test_traces_keep_what_they_were_given(tmp_path):
    trace = here(plan_of("wide", "gd"), [1.0, 100.0])
    trace.save(tmp_path / "trace.npz")
    again = fb.Trace.load(tmp_path / "trace.npz")
    assert again.log_t.tolist() == trace.log_t.tolist()
    assert again.error_estimate.tolist() == trace.error_estimate.tolist()
    assert again.t.tolist() == [3, -1]
    plain = plan_of("wide", "gd").run(3)
    plain.save(tmp_path / "plain.npz")
    again = fb.Trace.load(tmp_path / "plain.npz")
    assert again.error_estimate is None
    assert again.log_times is None
    assert again.log_t.tolist() == plain.log_t.tolist()


def refused(method, loss="squared", model=fb.models.linear):
    return fb.Plan(np.array([[1.0, 2.0], [3.0, 1.0]]), [1.0, -1.0], loss=loss, method=method, model=model,
                   start=None if model.linear else [1.0, 1.0])


m = fb.methods
REFUSED = {
    "for the squared loss, .* not for the huber loss": lambda: refused(m.gradient_descent(0.1), fb.losses.huber(1.0)),
    "not for the exponential loss": lambda: refused(m.gradient_descent(0.1), "exponential"),
    "for the linear model: in the curved model": lambda: refused(
        m.gradient_descent(0.1), model=dataclasses.replace(fb.models.linear, name="curved", linear=False)),
    "proportion to the gradient, not for adagrad": lambda: refused(m.adagrad(0.1)),
    "proportion to the gradient, not for steepest_descent": lambda: refused(
        m.steepest_descent(fb.norms.l2, 0.1, normalised=True)),
    "proportion to the gradient, not for coordinate_descent": lambda: refused(m.coordinate_descent(0.1)),
    "quadratic geometries, .*entropy": lambda: refused(m.mirror_descent("entropy", 0.1)),
    "quadratic geometries, .*l1.5": lambda: refused(m.steepest_descent(fb.norms.lp(1.5), 0.1)),
    "quadratic geometries, .*natural": lambda: refused(m.natural_gradient("entropy", 0.1)),
    "for full gradients": lambda: refused(m.gradient_descent(0.1, batch=1)),
    "without a constraint": lambda: refused(m.mirror_descent("euclidean", 0.1, constraint=([[1, 1]], [1]))),
    "constant step size .*line_search": lambda: refused(m.gradient_descent(fb.steps.line_search())),
    "constant step size .*power": lambda: refused(m.gradient_descent(fb.steps.power(0.1, 0.5))),
    "constant step size .* momentum=0.1": lambda: refused(m.gradient_descent(0.1, momentum=[0.1, 0.2])),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_it_does_not_cover(why):
    plan = REFUSED[why]()
    sentence = closed_form.covers(plan.problem)
    assert sentence is not None
    assert "\n" not in sentence
    with pytest.raises(LookupError, match=f"the closed form is .*{why}") as info:
        here(plan, [1.0])
    assert isinstance(info.value, fb.NoTheorem)


def test_what_it_covers():
    assert closed_form.covers(plan_of("wide", "gd").problem) is None
