"""Strictly monotone losses in the log domain, their step rules, the line search, and adaptive methods."""
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbias as fb
from fastbias.engine.call import call
from tests.helpers import JIT

m, L = fb.methods, fb.losses
LOSSES = [L.exponential, L.logistic, L.sigmoid, L.probit]
long = pytest.mark.long


def separable(N=12, d=4, seed=0):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=d)
    X = rng.normal(size=(N, d))
    X += 0.3 * np.sign(X @ w)[:, None] * w / np.linalg.norm(w)
    return X, np.sign(X @ w)


X, y = separable()
Z = y[:, None] * X


def exact(name, margin):
    """log ℓ and log(−ℓ') in 60 digits."""
    with mp.workdps(60):
        x = mp.mpf(float(margin))
        if name == "exponential":
            return -x, -x
        if name == "logistic":
            return mp.log(mp.log1p(mp.exp(-x))), -mp.log1p(mp.exp(x)) if x < 200 else -x - mp.log1p(mp.exp(-x))
        if name == "sigmoid":
            return -(x + mp.log1p(mp.exp(-x))), -x - 2 * mp.log1p(mp.exp(-x))
        Q, density = mp.erfc(x / mp.sqrt(2)) / 2, -x * x / 2 - mp.log(mp.sqrt(2 * mp.pi))
        if x > 0:
            return mp.log(-mp.log1p(-Q)), density - mp.log1p(-Q)
        P = mp.erfc(-x / mp.sqrt(2)) / 2
        return mp.log(-mp.log(P)), density - mp.log(P)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_losses_are_right_from_minus_1e4_to_1e4(loss):
    """A few eps · max(1, |log|), against mpmath, at random margins and at every seam of the formulas."""
    rng = np.random.default_rng(0)
    seams = np.array([-2, -1, 2, 36, -36, 745, -745])[:, None] + [-1e-9, 0, 1e-9]
    margins = np.concatenate([rng.uniform(-5, 5, 150), rng.uniform(-50, 50, 80), rng.uniform(-1e4, 1e4, 30),
                              [0.0, 1e4, -1e4], seams.ravel()])
    for margin in margins:
        for got, wanted in zip((loss.log([margin], [1.0]), loss.scaled([margin], [1.0])[0]), exact(loss.name, margin),
                               strict=True):
            assert abs(mp.mpf(float(got)) - wanted) <= 8 * 2.2e-16 * max(1, abs(wanted)), margin


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_sums_and_slopes_keep_their_scale(loss):
    p, labels = np.array([900.0, -1200.0, 950.0]), np.array([1.0, -1.0, 1.0])
    terms = [exact(loss.name, margin)[0] for margin in p * labels]
    assert loss.log(p, labels) == pytest.approx(float(mp.log(mp.fsum(mp.exp(t) for t in terms))), rel=1e-15)
    q = np.empty(3)
    s = call(loss.slope, loss.params, p, labels, q)
    slopes = [exact(loss.name, margin)[1] for margin in p * labels]
    assert s == pytest.approx(float(max(slopes)), rel=1e-15)
    assert q == pytest.approx([float(mp.exp(t - max(slopes)) * label) for t, label in zip(slopes, labels, strict=True)],
                              rel=1e-12, abs=1e-300)


def test_labels_are_checked():
    for labels, shown in (([0, 1, 2] * 4, "{0, 1, 2}"), ("abc" * 4, "{'a', 'b', 'c'}"), (range(12), "{0, 1, 2, 3, …}")):
        with pytest.raises(ValueError, match="labels must have two values for the logistic loss, got " + shown):
            fb.Plan(X, list(labels), loss="logistic", method=m.gradient_descent(0.1))
    fb.Plan(X, np.ones(12), loss="exponential", method=m.gradient_descent(0.1))       # one class alone is fine


def naive(name, w):
    """−∇L and L by the plain formulas."""
    margins = Z @ w
    slope = {"exponential": np.exp(-margins), "logistic": 1 / (1 + np.exp(margins)),
             "sigmoid": np.exp(margins) / (1 + np.exp(margins)) ** 2}[name]
    loss = {"exponential": np.exp(-margins), "logistic": np.log1p(np.exp(-margins)),
            "sigmoid": 1 / (1 + np.exp(margins))}[name]
    return slope @ Z, loss.sum()


STEPS = 1000 if JIT else 60
TWINS = {
    "gd": (m.gradient_descent(0.01), lambda w, g, loss, k, s: 0.01 * g),
    "loss scaled": (m.gradient_descent(fb.steps.loss_scaled(0.01)), lambda w, g, loss, k, s: 0.01 * g / loss),
    "bounded": (m.gradient_descent(fb.steps.bounded(0.5)), lambda w, g, loss, k, s: min(
        0.5, 1 / ((X ** 2).sum(1).max() * loss)) * g),
    "bounded l1": (m.coordinate_descent(fb.steps.bounded(0.5)), lambda w, g, loss, k, s: min(
        0.5, 1 / (np.abs(X).max() ** 2 * loss)) * g * (np.arange(4) == np.argmax(np.abs(g)))),
    "adagrad": (m.adagrad(0.1, G0=0.5, eps=1e-3), lambda w, g, loss, k, s: adagrad(g, s)),
    "adam": (m.adam(0.01), lambda w, g, loss, k, s: adam(g, k, s, 1e-8)),
    "adam without eps": (m.adam(0.01, 0.8, 0.9, eps=0), lambda w, g, loss, k, s: adam(g, k, s, 0.0, 0.8, 0.9)),
    "rmsprop": (m.rmsprop(0.01, 0.9), lambda w, g, loss, k, s: rmsprop(g, s)),
    "sign": (m.sign_descent(0.01), lambda w, g, loss, k, s: 0.01 * np.sign(g)),
}


def adagrad(g, s):
    s["G"] = s.get("G", 0.5) + g * g
    return 0.1 * g / np.sqrt(s["G"] + 1e-3)


def adam(g, k, s, eps, b1=0.9, b2=0.999):
    """torch.optim.Adam re-stated."""
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    return 0.01 * (s["m"] / (1 - b1 ** (k + 1))) / (np.sqrt(s["v"] / (1 - b2 ** (k + 1))) + eps)


def rmsprop(g, s):
    """torch.optim.RMSprop re-stated."""
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g * g
    return 0.01 * g / (np.sqrt(s["v"]) + 1e-8)


@pytest.mark.parametrize("loss", ["exponential", "logistic", "sigmoid"])
@pytest.mark.parametrize("case", TWINS)
def test_iterates_equal_the_naive_twin(case, loss):
    method, move = TWINS[case]
    trace = fb.run(X, y, loss=loss, method=method, steps=STEPS, record=np.arange(STEPS + 1))
    w, state = np.zeros(4), {}
    for k, row in enumerate(trace.w):
        if k > 90 and case in ("adam without eps", "rmsprop"):
            break                                              # chaotic: g/√v of a coordinate that crosses zero
        assert np.abs(row - w).max() <= 1e-11 * max(1.0, np.abs(w).max()), k
        g, value = naive(loss, w)
        assert trace.log_loss[k] == pytest.approx(np.log(value), abs=1e-11)
        w = w + move(w, g, value, k, state)


@long
@pytest.mark.parametrize("loss", LOSSES[:3], ids=repr)         # probit's Gaussian tail is too steep for steps of η/L
def test_loss_scaled_runs_go_far_below_the_smallest_double(loss):
    plan = fb.Plan(X, y, loss=loss, method=m.gradient_descent(fb.steps.loss_scaled(0.05)), start=Z.mean(0))
    trace = plan.run(200_000)
    assert trace.log_loss[-1] < -2000
    assert np.isfinite(trace.w).all()
    assert np.isfinite(trace.log_loss).all()
    assert (Z @ trace.w[-1]).min() > 0


@given(st.integers(0, 10**6))
def test_line_search_finds_the_minimiser_along_the_move(seed):
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(8, 3)), rng.choice([-1.0, 1.0], 8)
    for loss in ("exponential", "logistic", "squared"):
        method = m.gradient_descent(fb.steps.line_search())
        trace = fb.run(A, b, loss=loss, method=method, steps=1, strict=False)
        if trace.status == fb.Status.UNBOUNDED:
            assert (b * (A @ fb.Plan(A, b, loss=loss, method=method).problem.descent(np.zeros(3))) >= 0).all()
            continue
        w = trace.w[-1]
        problem = fb.Plan(A, b, loss=loss, method=method).problem
        move, g = problem.descent(np.zeros(3)), problem.descent(w)
        assert abs(g @ move) <= 1e-12 * np.abs(problem.loss.push(A @ w, b) * (A @ move)).sum()
        if loss == "squared":
            assert w == pytest.approx(move * (move @ move) / (2 * (A @ move) @ (A @ move)), rel=1e-13)


def test_adaboosts_step_in_closed_form():
    """±1 features: α = ½ log((1 + r)/(1 − r)), r = max_j |(qᵀZ)_j|; shrinkage multiplies the searched step."""
    M = np.ones((3, 3)) - 2 * np.eye(3)
    for nu in (1.0, 0.5):
        method = m.coordinate_descent(fb.steps.line_search(), shrinkage=nu)
        trace = fb.run(M, np.ones(3), loss="exponential", method=method, steps=30, record=np.arange(31))
        w = np.zeros(3)
        for row in trace.w:
            assert row == pytest.approx(w, rel=1e-12, abs=1e-13)
            q = np.exp(-M @ w)
            q /= q.sum()
            edge = q @ M
            j = int(np.argmax(np.abs(edge) >= (1 - 1e-12) * np.abs(edge).max()))
            w[j] += nu * 0.5 * np.log((1 + edge[j]) / (1 - edge[j]))


@long
def test_the_three_cycle_of_rudin_daubechies_schapire():
    M = np.ones((3, 3)) - 2 * np.eye(3)
    plan = fb.Plan(M, np.ones(3), loss="exponential", method=m.coordinate_descent(fb.steps.line_search()))
    plan.run(300)
    for _ in range(3):
        plan.run(1)
        q = np.exp(-M @ plan.u + (M @ plan.u).min())
        assert np.sort(q / q.sum()) == pytest.approx([(3 - 5 ** 0.5) / 4, (5 ** 0.5 - 1) / 4, 0.5], abs=1e-9)


@long
def test_exact_line_search_cycles_where_bounded_steps_reach_the_maximum_margin():
    rows = """-1 1 1 1 1 -1 -1 1 / -1 1 1 -1 -1 1 1 1 / 1 -1 1 1 1 -1 1 1 / 1 -1 1 1 -1 1 1 1 / 1 -1 1 -1 1 1 1 -1 /
              1 1 -1 1 1 1 1 -1 / 1 1 -1 1 1 1 -1 1 / 1 1 1 1 -1 -1 1 -1"""
    M = np.array([[float(x) for x in row.split()] for row in rows.split("/")])

    def margin(method, steps):
        w = fb.run(M, np.ones(8), loss="exponential", method=method, steps=steps).w[-1]
        return (M @ w).min() / np.abs(w).sum()

    adaboost = fb.Plan(M, np.ones(8), loss="exponential", method=m.coordinate_descent(fb.steps.line_search()))
    adaboost.run(4000)                                     # from zero, within the first thousands of rounds
    before = adaboost.u
    for length in (3, 300):
        adaboost.run(length)
        turn = adaboost.u - before                         # what a number of whole cycles adds: margin 1/3
        assert (M @ turn).min() / np.abs(turn).sum() == pytest.approx(1 / 3, abs=1e-9)
        before = adaboost.u
    assert margin(m.coordinate_descent(fb.steps.line_search()), 30_000) == pytest.approx(1 / 3, abs=1e-4)
    assert margin(m.coordinate_descent(fb.steps.loss_scaled(1.0)), 100_000) == pytest.approx(3 / 8, abs=1e-4)
    assert margin(m.coordinate_descent(fb.steps.line_search(), shrinkage=0.5), 100_000) == pytest.approx(3 / 8, abs=1e-4)
    assert M @ np.array([2, 3, 4, 1, 2, 2, 1, 1]) / 16 == pytest.approx(3 / 8)
    averaged = fb.Plan(M, np.ones(8), loss="exponential", method=m.coordinate_descent(fb.steps.line_search(), "average"))
    with pytest.raises(fb.RunStopped, match="no minimiser in the update from step 0 to 1") as stopped:
        averaged.run(10)                                   # the averaged direction separates strictly
    assert stopped.value.status == fb.Status.UNBOUNDED


@pytest.mark.parametrize("loss", ["exponential", "logistic", "probit"])
@pytest.mark.parametrize("data", [[[1.0]], [[1.0, 2.0], [3.0, -1.0]], [[1.0, 0.0], [-0.5, 1e-9]]])
def test_an_exact_search_ends_unbounded_or_with_a_finite_loss(loss, data):
    """−m²/2 of a Gaussian tail leaves float64 long before m does; that is no minimiser."""
    method = m.gradient_descent(fb.steps.line_search())
    trace = fb.run(data, np.ones(len(data)), loss=loss, method=method, steps=50, strict=False)
    assert np.isfinite(trace.log_loss).all()
    assert np.abs(trace.w).max() < 1e100
    if len(data) == 1:
        assert trace.status == fb.Status.UNBOUNDED


def test_the_slope_of_probit_keeps_its_direction_where_it_has_no_logarithm():
    s, q = fb.losses.probit.scaled([2e200, -1e200, 1e200], [1, -1, 1])
    assert s == -np.inf
    assert q.tolist() == [0, -1, 1]
    assert not fb.losses.probit.push([2e200, -1e200], [1, -1]).any()
    assert np.isnan(fb.losses.probit.scaled([np.nan, 1e200], [1, 1])[1][0])


def test_a_search_that_cannot_fall_stays():
    trace = fb.run([[1.0, 2]], [0.0], loss="squared", method=m.gradient_descent(fb.steps.line_search()), steps=3)
    assert (trace.w == 0).all()


@pytest.mark.parametrize(("method", "loss", "words"), [
    (m.gradient_descent(fb.steps.loss_scaled(1)), "squared", "for strictly monotone losses"),
    (m.gradient_descent(fb.steps.bounded(1)), "squared", "for strictly monotone losses"),
    (m.adagrad(fb.steps.bounded(1)), "logistic", "Theorem 5's bound is for"),
    (m.mirror_descent("euclidean", fb.steps.line_search()), "logistic", "a move without momentum"),
    (m.gradient_descent(fb.steps.line_search(), 0.5), "logistic", "a move without momentum"),
    (m.gradient_descent(fb.steps.line_search(), batch=2, rng=0), "logistic", "full gradients"),
])
def test_rules_without_a_meaning_are_refused(method, loss, words):
    with pytest.raises(ValueError, match=words):
        fb.Plan(X, y, loss=loss, method=method)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: m.adagrad(0.1, G0=-1), "G0 must be >= 0"), (lambda: m.adagrad(0.1, eps=-1), "eps must be"),
    (lambda: fb.Plan(X, y, loss="logistic", method=m.adagrad(0.1, G0=[1, 2])), "G0 must have 4 entries"),
    (lambda: m.adam(0.1, beta1=1), "beta1 must be under 1"), (lambda: m.adam(0.1, beta2=-1), "beta2 must be"),
    (lambda: m.rmsprop(0.1, beta=1), "beta must be under 1"), (lambda: fb.steps.loss_scaled(0), "eta must be"),
    (lambda: fb.steps.bounded(-1), "eta_plus must be"),
])
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_bounded_steps_show_the_radius_of_the_right_norm():
    for method, radius in ((m.gradient_descent(fb.steps.bounded(1)), np.linalg.norm(X, axis=1).max()),
                           (m.steepest_descent("linf", fb.steps.bounded(1)), np.abs(X).sum(1).max()),
                           (m.steepest_descent(fb.norms.lp(3), fb.steps.bounded(1)), fb.norms.lp(1.5)(X).max()),
                           (m.coordinate_descent(fb.steps.bounded(1)), np.abs(X).max())):
        rule = fb.Plan(X, y, loss="exponential", method=method).problem.rule
        assert rule.params[1] == pytest.approx(radius ** 2)


@long
def test_adam_without_eps_and_adagrad_stay_finite_on_a_vanishing_loss():
    for method in (m.adam(0.05, eps=0.0), m.adam(0.05), m.sign_descent(0.05)):
        trace = fb.run(X, y, loss="exponential", method=method, steps=100_000)
        assert np.isfinite(trace.w).all()
    assert trace.log_loss[-1] < -1000


def test_adaptive_methods_go_on_bitwise_and_come_back_from_checkpoints(tmp_path):
    for method in (m.adagrad(0.1), m.adam(0.01), m.rmsprop(0.01), m.sign_descent(0.01),
                   m.gradient_descent(fb.steps.loss_scaled(0.1)),
                   m.coordinate_descent(fb.steps.line_search(), shrinkage=0.5), m.gradient_descent(fb.steps.bounded(0.1))):
        loss = "squared" if method.rule.search else "exponential"
        whole, part = (fb.Plan(X, y, loss=loss, method=method) for _ in range(2))
        whole.run(50)
        part.run(20)
        part.save(tmp_path / "p.npz")
        back = fb.Plan.load(tmp_path / "p.npz")
        back.run(30)
        assert back.u.tobytes() == whole.u.tobytes(), method


def test_adaptive_methods_have_no_theorem_for_the_squared_loss():
    """§3.3: the limit depends on the step size; the run shows it, limit() says why there is none."""
    A, b = fb.data.random_regression(2, 4, 0)
    ends = [fb.run(A, b, loss="squared", method=m.adagrad(eta), steps=20_000 if JIT else 300).w[-1] for eta in (0.1, 1.0)]
    if JIT:
        assert np.abs(A @ ends[0] - b).max() < 1e-9
        assert np.abs(ends[0] - ends[1]).max() > 1e-2
    for method in (m.adagrad(0.1), m.adam(0.1), m.rmsprop(0.1), m.sign_descent(0.1)):
        plan = fb.Plan(A, b, loss="squared", method=method)
        with pytest.raises(fb.NoTheorem, match=r"§3\.3|fixed length"):
            plan.limit()
        with pytest.raises(ValueError, match="flow"):
            plan.flow()


@pytest.mark.parametrize("loss", fb.losses.EXAMPLES, ids=repr)
def test_a_loss_of_what_is_no_number_is_none(loss):
    """So that `until` does not take a run that blew up for one that arrived."""
    y = np.array([1.0, 0.0, 1.0]) if loss.classes else np.array([1.0, -1.0, 1.0])
    for bad in ([np.nan] * 3, [0.5, np.nan, 1.0], [np.nan, 1.0, 0.5]):
        p = np.array(bad * 2 if loss.classes else bad)
        assert np.isnan(call(loss.log_loss, loss.params, p, y))


def test_a_diverging_run_does_not_reach_its_goal():
    model = fb.models.diagonal(3)
    plan = fb.Plan([[1.0, 2.0], [3.0, 1.0]], [1, 1], loss="squared", method=fb.methods.gradient_descent(1.0), model=model,
                   start=model.start(2.0))
    trace = plan.run(1000, until=-20, strict=False)
    assert trace.status == fb.Status.NOT_FINITE
    assert np.isfinite(trace.w).all()
