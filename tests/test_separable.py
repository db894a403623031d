"""Section 3 beyond the basics: matrix predictors and classes, methods with memory, rows of the table, diagnostics, paths."""
import mpmath as mp
import numpy as np
import pytest
import test_margins
from conftest import JIT
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import fastbias as fb
from fastbias.doors import call

m, N = fb.methods, fb.norms
SOUDRY_X, SOUDRY_Y = test_margins.X, test_margins.y
long = pytest.mark.long
STEPS = 1000 if JIT else 50


def separable(samples=15, d=4, seed=1):
    rng = np.random.default_rng(seed)
    w, A = rng.normal(size=d), rng.normal(size=(samples, d))
    labels = np.sign(A @ w)
    return A + 0.3 * labels[:, None] * w / np.linalg.norm(w), labels


def classes(samples=20, d=4, K=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(K), rng.integers(K, size=samples - K))
    return rng.normal(size=(samples, d)) + 3 * np.eye(d)[labels], labels.astype(float)


X, y = separable()
APART = separable(6, 4, 264)                                 # the maximum margins of six norms lie 0.19 or more apart
WIDE, SIGNS = separable(8, 3, 10)                            # two support vectors, the next point half a margin behind
Z = y[:, None] * X
XK, YK = classes()
XM = np.random.default_rng(3).normal(size=(9, 2, 3))
YM = np.sign((XM * np.random.default_rng(4).normal(size=(2, 3))).sum((1, 2)))


# --- twins -----------------------------------------------------------------------------------------------------------

def softmax_gradient(W):
    """L and −∇L of cross-entropy, W (K, d), by the plain formulas."""
    scores = XK @ W.T
    scores -= scores.max(1, keepdims=True)
    P = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return -np.log(P[np.arange(len(YK)), YK.astype(int)]).sum(), (np.eye(3)[YK.astype(int)] - P).T @ XK


def polar(G):
    U, S, V = np.linalg.svd(G, full_matrices=False)
    keep = 1e-12 * S[0] < S
    return U[:, keep] @ V[keep], S


KTWINS = {
    "gd": (m.gradient_descent(0.02), lambda g, s: 0.02 * g),
    "heavy ball": (m.gradient_descent(0.02, 0.5), lambda g, s: s.__setitem__("v", 0.5 * s.get("v", 0) + 0.02 * g) or s["v"]),
    "sign": (m.sign_descent(0.02), lambda g, s: 0.02 * np.sign(g)),
    "spectral": (m.steepest_descent(N.spectral(3, 4), 0.01), lambda g, s: 0.01 * polar(g)[1].sum() * polar(g)[0]),
    "muon": (m.muon(0.02, 0.9), lambda g, s: s.__setitem__("B", 0.9 * s.get("B", 0) + g) or 0.02 * polar(s["B"])[0]),
}


@pytest.mark.parametrize("case", KTWINS)
def test_cross_entropy_iterates_equal_the_naive_twin(case):
    method, move = KTWINS[case]
    steps = min(STEPS, 200)
    trace = fb.run(XK, YK, loss="cross_entropy", method=method, steps=steps, record=np.arange(steps + 1))
    assert trace.w.shape == (steps + 1, 3, 4)
    W, state = np.zeros((3, 4)), {}
    for k, row in enumerate(trace.w):
        assert np.abs(row - W).max() <= 1e-9 * max(1.0, np.abs(W).max()), k
        loss, g = softmax_gradient(W)
        assert trace.log_loss[k] == pytest.approx(np.log(loss), abs=1e-9)
        W = W + move(g, state)


def test_two_classes_are_the_logistic_loss():
    """w₁ − w₀ under cross-entropy moves as w under the logistic loss, at twice the step."""
    two = fb.run(X, (y + 1) / 2, loss="cross_entropy", method=m.gradient_descent(0.05), steps=100)
    one = fb.run(X, y, loss="logistic", method=m.gradient_descent(0.1), steps=100)
    assert two.w[-1, 1] - two.w[-1, 0] == pytest.approx(one.w[-1], rel=1e-11)
    assert two.log_loss == pytest.approx(one.log_loss, abs=1e-11)


def test_cross_entropy_is_right_far_out():
    rng = np.random.default_rng(0)
    for scale in (1, 30, 1000, 1e4):
        p, labels = rng.normal(size=(4, 5)) * scale, rng.integers(4, size=5)
        with mp.workdps(60):
            terms = [mp.fsum(mp.exp(mp.mpf(p[c, n]) - mp.mpf(p[labels[n], n])) for c in range(4)) for n in range(5)]
            wanted = mp.log(mp.fsum(mp.log(t) for t in terms))
        got = fb.losses.cross_entropy.log(p.ravel(), labels.astype(float))
        assert abs(got - wanted) <= 1e-14 * max(1, abs(wanted))
        s, q = fb.losses.cross_entropy.scaled(p.ravel(), labels.astype(float))
        q = q.reshape(4, 5)
        assert np.isfinite(q).all()
        assert np.abs(q.sum(0)).max() <= 1e-15 * np.abs(q).max()
        with mp.workdps(60):
            for n in range(5):
                for c in range(4):
                    if c != labels[n]:
                        exact = mp.exp(mp.mpf(p[c, n]) - mp.mpf(p[labels[n], n]) - mp.mpf(s)) / terms[n]
                        assert abs(q[c, n] + exact) <= 1e-12 * abs(exact) + 1e-300


@pytest.mark.parametrize("norm", [N.spectral(2, 3), N.nuclear(2, 3)], ids=repr)
def test_steepest_descent_on_matrices_equals_its_twin(norm):
    steps = min(STEPS, 200)                                  # σ₁ − σ₂ sets how fast the twins' roundings grow apart
    method = m.steepest_descent(norm, 0.002)
    trace = fb.run(XM, YM, loss="exponential", method=method, steps=steps, record=np.arange(steps + 1))
    W = np.zeros((2, 3))
    for row in trace.w:
        assert np.abs(row - W).max() <= 1e-10 * max(1.0, np.abs(W).max())
        G = np.tensordot(YM * np.exp(-YM * (XM * W).sum((1, 2))), XM, 1)
        U, S, V = np.linalg.svd(G, full_matrices=False)
        W = W + 0.002 * (S.sum() * U @ V if norm.name == "spectral" else S[0] * np.outer(U[:, 0], V[0]))


def test_dual_acceleration_equals_its_twin():
    """Ji, Srebro, Telgarsky (2021), Algorithm 1, rows scaled to length at most one."""
    trace = fb.run(X, y, loss="exponential", method=m.dual_acceleration(), steps=STEPS, record=np.arange(STEPS + 1))
    B = np.linalg.norm(X, axis=1).max()
    rows, w, g = Z / B, np.zeros(4), np.zeros(4)
    for t, row in enumerate(trace.w):
        assert np.abs(row - w / B).max() <= 1e-11 * max(1.0, np.abs(w).max())
        q = np.exp(-rows @ w + (rows @ w).min())
        d = -(q / q.sum()) @ rows
        g = t / (t + 1) * (g + d)
        w = w - (g + d)


@long
def test_muon_does_not_lose_a_vanishing_gradient():
    trace = fb.run(XK, YK, loss="cross_entropy", method=m.muon(0.5, 0.9), steps=20_000)
    assert np.isfinite(trace.w).all()
    assert trace.log_loss[-1] < -2000


def test_methods_with_memory_go_on_bitwise_and_come_back_from_checkpoints(tmp_path):
    for A, b, loss, method in ((X, y, "exponential", m.dual_acceleration()), (XK, YK, "cross_entropy", m.muon(0.1)),
                               (XM, YM, "logistic", m.muon(0.1)), (XK, YK, "cross_entropy", m.adam(0.1)),
                               (XK, YK, "cross_entropy", m.gradient_descent(0.01, batch=3, replace=False, rng=1)),
                               (XM, YM, "logistic", m.steepest_descent(N.nuclear(2, 3), 0.1))):
        whole, part = (fb.Plan(A, b, loss=loss, method=method) for _ in range(2))
        whole.run(50)
        part.run(20)
        part.save(tmp_path / "p.npz")
        back = fb.Plan.load(tmp_path / "p.npz")
        back.run(30)
        assert back.u.tobytes() == whole.u.tobytes(), method
        assert back.w.shape == whole.problem.shape


# --- iterates against extended precision -------------------------------------------------------------------------------

def extended(A, b, loss, eta, steps):
    """Gradient descent in 80-bit arithmetic."""
    rows, w = (b[:, None] * A).astype(np.longdouble), np.zeros(A.shape[1], np.longdouble)
    eta, one = np.longdouble(eta), np.longdouble(1)
    for _ in range(steps):
        margins = rows @ w
        w = w + eta * ((np.exp(-margins) if loss == "exponential" else one / (one + np.exp(margins))) @ rows)
    return w


@long
@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is no longer than double here")
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_iterates_equal_extended_precision(loss):
    w = extended(X, y, loss, 0.01, 10_000)
    got = fb.run(X, y, loss=loss, method=m.gradient_descent(0.01), steps=10_000).w[-1]
    assert np.abs(got - w).max() <= 1e-9 * np.abs(w).max()


@pytest.mark.exhaustive
@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is no longer than double here")
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_a_million_iterates_equal_extended_precision(loss):
    w = extended(X, y, loss, 0.01, 1_000_000)
    got = fb.run(X, y, loss=loss, method=m.gradient_descent(0.01), steps=1_000_000).w[-1]
    error = float(np.abs(got - w).max() / np.abs(w).max())
    print(f"{loss}: a million steps against 80 bits: {error:.1e}")
    assert error <= 1e-7


@long
def test_a_million_loss_scaled_steps_fall_as_fast_as_theory_says():
    """log L ≤ −0.9 η γ² t: the gradient of log L is at least γ long."""
    eta = 0.5 / np.linalg.norm(X, axis=1).max() ** 2
    trace = fb.run(X, y, loss="exponential", method=m.gradient_descent(fb.steps.loss_scaled(eta)), steps=1_000_000)
    gamma = fb.max_margin(X, y).margin
    assert trace.log_loss[-1] <= -0.9 * eta * gamma ** 2 * 1e6
    assert trace.log_loss[-1] < -745
    assert np.isfinite(trace.w).all()
    assert np.isfinite(trace.log_loss).all()


# --- rows of the table -------------------------------------------------------------------------------------------------

@long
@pytest.mark.parametrize(("method", "norm", "least"), [
    (m.mirror_descent(fb.potentials.power(1.5), fb.steps.loss_scaled(0.01)), "l1.5", 0.999),
    (m.mirror_descent(fb.potentials.power(3), fb.steps.loss_scaled(0.2)), "l3", 0.99),
    (m.mirror_descent(fb.potentials.squared_lp(1.5), fb.steps.loss_scaled(0.01)), "l1.5", 0.998),
    (m.mirror_descent(fb.potentials.hypentropy(0.1), fb.steps.loss_scaled(0.0025)), "l1", 0.99),
    (m.mirror_descent("cosh", fb.steps.loss_scaled(0.1)), "linf", 0.88),           # like 1/log t: the link is a logarithm
    (m.mirror_descent(fb.potentials.quadratic([1, 2, 3, 4.0]), fb.steps.loss_scaled(0.02)), "quadratic", 0.997),
    (m.natural_gradient(fb.potentials.quadratic([1, 2, 3, 4.0]), fb.steps.loss_scaled(0.02)), "quadratic", 0.997),
    (m.dual_acceleration(), "l2", 1 - 1e-6),
    (m.sign_descent(fb.steps.power(0.1, 0.5)), "linf", 0.99),
    (m.steepest_descent(N.lp(3), fb.steps.power(0.1, 0.5), normalised=True), "l3", 0.98),
    (m.adam(fb.steps.power(0.1, 0.5), eps=0), "linf", 0.97),
    (m.rmsprop(fb.steps.power(0.1, 0.5), eps=0), "linf", 0.98),
    (m.coordinate_descent(fb.steps.line_search(), shrinkage=0.1), "l1", 0.999),
], ids=lambda v: str(v)[:60])
def test_runs_reach_the_margin_that_their_row_names(method, norm, least):
    A, b = (X, y) if method.rule.search else APART             # (one feature of APART separates: no minimiser)
    plan = fb.Plan(A, b, loss="exponential", method=method)
    trace, limit = plan.run(200_000), plan.limit()
    assert limit.norm.name == norm
    assert limit.certified
    fraction = trace.margin(limit.norm)[-1] / limit.margin
    assert least <= fraction <= 1 + 1e-9
    rivals = [N.l1, N.lp(1.5), N.l2, N.lp(3), N.linf, N.quadratic([1, 2, 3, 4.0])]
    if norm != "linf" or "cosh" not in repr(method):           # (cosh: its limit is far off, like 1/log t)
        for rival in rivals:                                   # of all norms' maximisers it is nearest to its own
            assert trace.gap(limit)[-1] <= trace.gap(fb.max_margin(A, b, rival))[-1] + 1e-12, rival


@long
@pytest.mark.parametrize(("A", "b", "loss", "method", "name"), [
    (XK, YK, "cross_entropy", m.gradient_descent(fb.steps.loss_scaled(0.01)), "l2"),
    (XK, YK, "cross_entropy", m.sign_descent(fb.steps.power(0.1, 0.5)), "linf"),
    (XK, YK, "cross_entropy", m.steepest_descent(N.spectral(3, 4), fb.steps.power(0.1, 0.5), normalised=True), "spectral"),
    (XK, YK, "cross_entropy", m.muon(fb.steps.power(0.1, 0.5)), "spectral"),
    (XM, YM, "exponential", m.steepest_descent(N.spectral(2, 3), fb.steps.loss_scaled(0.01)), "spectral"),
    (XM, YM, "exponential", m.steepest_descent(N.nuclear(2, 3), fb.steps.loss_scaled(0.01)), "nuclear"),
], ids=lambda v: str(v)[:60] if not isinstance(v, np.ndarray) else "")
def test_classes_and_matrices_reach_their_margin(A, b, loss, method, name):
    plan = fb.Plan(A, b, loss=loss, method=method)
    trace, limit = plan.run(50_000), plan.limit()
    assert limit.norm.name == name
    assert limit.certified
    assert limit.w.shape == plan.problem.shape
    assert 0.98 <= trace.margin(limit.norm)[-1] / limit.margin <= 1 + 1e-8


@long
def test_adagrad_goes_where_the_program_on_its_own_g_says():
    """And that depends on the step size: no characterisation by the data alone (Theorem 6)."""
    rows, goals = np.array([[1, 0.5], [3, 1], [1.5, 4]]), []     # one support vector
    for eta, start in ((0.1, [0, 0]), (0.5, [0, 0]), (0.5, [0, 1])):
        plan = fb.Plan(rows, np.ones(3), loss="exponential", method=m.adagrad(eta, G0=1.0), start=start)
        with pytest.raises(fb.NoTheorem, match="needs a run first"):
            plan.limit()
        trace = plan.run(3_000_000)
        limit = plan.limit()
        assert "Theorem 6" in limit.theorem
        assert limit.certified
        went = trace.increment()
        goal = limit.w / np.linalg.norm(limit.w)
        assert np.linalg.norm(went / np.linalg.norm(went) - goal) < 1e-4
        goals.append(goal)
        G = plan.buffers.state[1]
        hat = limit.w / limit.margin                             # stationarity of Σ √G w² on the margins: √G w ∝ Σ λ z
        pull = limit.dual @ rows
        assert np.sqrt(G) * hat == pytest.approx(pull * ((np.sqrt(G) * hat) @ hat) / (pull @ hat), rel=1e-8, abs=1e-10)
    assert np.linalg.norm(goals[0] - goals[1]) > 0.05
    assert np.linalg.norm(goals[1] - goals[2]) > 0.1



def test_adagrad_with_zeros_in_x_and_g0_is_told_so():
    plan = fb.Plan([[1, 0], [0.5, 1]], [1, 1], loss="exponential", method=m.adagrad(0.1))
    plan.run(100)
    assert holds(plan.limit(), "G(0)") is None
    plan = fb.Plan([[1, 0], [0.5, 1]], [1, 1], loss="exponential", method=m.adagrad(0.1, G0=16))
    plan.run(100)
    assert holds(plan.limit(), "G(0)") is True
    assert holds(plan.limit(), "η² L") is True


def holds(limit, words):
    return next(h.holds for h in limit.hypotheses if words in h.statement)


def test_the_weights_of_soudry_et_al_are_found():
    spans = fb.Plan(SOUDRY_X, SOUDRY_Y, loss="exponential", method=m.gradient_descent(0.05)).limit()
    assert holds(spans, "span the data") is True
    hat = spans.w / spans.margin
    assert hat == pytest.approx([0.5, 0.5])
    support = np.unique((SOUDRY_Y[:, None] * SOUDRY_X)[:4], axis=0)
    pushes = 0.05 * np.exp(-support @ spans.offset) * 2                       # each of the two stands twice in the data
    assert pushes @ support == pytest.approx(hat, rel=1e-12)                  # η Σ exp(−⟨z, w̃⟩) z = ŵ, the fixed point
    flat = fb.Plan([[1, 0], [1, 1]], [1, 1], loss="exponential", method=m.gradient_descent(0.1)).limit()
    assert holds(flat, "span the data") is False                              # (1, 1) is a support vector of weight 0
    assert "log log t" in next(h.evidence for h in flat.hypotheses if "span the data" in h.statement)
    assert flat.offset is None
    assert {r.quantity for r in flat.rates} == {"log loss", "log t L"}
    short = fb.Plan([[1, 0], [2, 1]], [1, 1], loss="exponential", method=m.gradient_descent(0.1)).limit()
    assert holds(short, "span the data") is False


@long
def test_the_offset_is_where_the_iterates_go():
    """x = (1, 0): w₁ = log t + log η in the limit; Soudry's data likewise, ρ(t) − w̃ falling like 1/t there."""
    for A, b, eta, tolerance in (([[1.0, 0.0]], [1.0], 0.1, 1e-4), (SOUDRY_X, SOUDRY_Y, 0.05, 2e-2)):
        plan = fb.Plan(A, b, loss="exponential", method=m.gradient_descent(eta), start=[0.3, 0.2])
        limit = plan.limit()
        w = plan.run(1_000_000).w[-1]
        if len(A) == 1:
            assert holds(limit, "span the data") is True          # they span what the data span; w₂ stays at its start
            assert limit.offset == pytest.approx([np.log(eta), 0.2])
        assert w - limit.w / limit.margin * np.log(1e6) == pytest.approx(limit.offset, abs=tolerance)


@long
def test_t_times_the_loss_tends_to_its_level():
    plan = fb.Plan(SOUDRY_X, SOUDRY_Y, loss="logistic", method=m.gradient_descent(0.1))
    trace, limit = plan.run(1_000_000), plan.limit()
    series = {s.quantity: s for s in trace.rates(limit)}
    assert series["log t L"].level == pytest.approx(np.log(0.5 / 0.1))                    # ‖ŵ‖²/η
    assert np.exp(series["log t L"].values[-1]) == pytest.approx(5.0, rel=1e-3)
    assert series["log loss"].fitted == pytest.approx(series["log loss"].predicted, abs=0.01)
    assert np.isnan(series["direction"].predicted)              # w̃ along ŵ here: it is faster than 1/log t
    slid = np.array([[-0.5, 2.5], [1.5, 0.5], [3.0, 2.0]])       # one support vector slid along the margin: 1/log t
    for beta in (0.0, 0.9):
        plan = fb.Plan(slid, np.ones(3), loss="logistic", method=m.gradient_descent(0.02, beta))
        trace, limit = plan.run(1_000_000), plan.limit()
        slow = {s.quantity: s for s in trace.rates(limit)}
        for name, slope in (("direction", -1), ("angle", -1), ("1 - cos", -2), ("margin gap", -1)):
            assert slow[name].clock == "log t"
            assert slow[name].predicted == slope
        curve = fb.Trace.from_arrays(slid, np.ones(3), trace.t[1:], np.outer(trace.log_t[1:], [0.5, 0.5]) + limit.offset)
        theory = {s.quantity: s.fitted for s in curve.rates(limit)}          # of ŵ log t + w̃ itself, over the same window
        assert slow["angle"].fitted == pytest.approx(theory["angle"], abs=0.05)
        assert slow["log t L"].values[-1] == pytest.approx(slow["log t L"].level, abs=0.02)
    assert slow["angle"].values[-1] == pytest.approx(
        np.arccos(np.clip(trace.w[-1] @ limit.w / np.linalg.norm(trace.w[-1]), -1, 1)), abs=1e-7)


@long
def test_rates_of_generic_data_are_those_predicted():
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(fb.steps.loss_scaled(0.02)))
    trace, limit = plan.run(300_000), plan.limit()
    for series in trace.rates(limit):
        if series.quantity in ("direction", "margin gap"):
            assert series.predicted == -1
            assert series.fitted == pytest.approx(-1, abs=0.15)
    plan = fb.Plan(X, y, loss="exponential", method=m.dual_acceleration())
    trace, limit = plan.run(3000), plan.limit()
    gap = next(s for s in trace.rates(limit) if s.quantity == "margin gap")
    assert gap.predicted == -2
    assert gap.fitted < -1.5
    root = fb.Plan([[1, 2]], [1], loss="squared", method=m.gradient_descent(0.01))
    trace = root.run(50)
    assert [s.quantity for s in trace.rates(root.limit())] == ["distance", "log loss"]


def test_hypotheses_of_the_step_rule_are_checked():
    def told(method, loss="exponential"):
        return holds(fb.Plan(X, y, loss=loss, method=method).limit(), "small enough")
    B2 = (X ** 2).sum(1).max()
    assert told(m.gradient_descent(0.99 / (B2 * 15))) is True                 # L(0) = 15
    assert told(m.gradient_descent(1.01 / (B2 * 15))) is None
    assert told(m.gradient_descent(fb.steps.loss_scaled(0.99 / B2))) is True
    assert told(m.gradient_descent(fb.steps.loss_scaled(1.01 / B2))) is None
    assert told(m.gradient_descent(7.9 / np.linalg.norm(X, 2) ** 2), "logistic") is True      # 2/(σ²/4)
    assert told(m.gradient_descent(8.1 / np.linalg.norm(X, 2) ** 2), "logistic") is None
    assert told(m.gradient_descent([0.001, 0.002 / B2]), "logistic") is True
    assert told(m.gradient_descent(fb.steps.line_search())) is None
    with pytest.raises(fb.NoTheorem, match="finite length"):
        fb.Plan(X, y, loss="logistic", method=m.gradient_descent(fb.steps.power(0.1, 1.5))).limit()


@pytest.mark.parametrize(("method", "loss", "words"), [
    (m.coordinate_descent(fb.steps.line_search()), "exponential", "AdaBoost"),
    (m.steepest_descent("linf", fb.steps.power(0.1, 2), normalised=True), "logistic", "sum is finite"),
    (m.sign_descent(0.1), "logistic", "fixed length"),
    (m.stagewise(0.1), "logistic", "fixed length"),
    (m.adam(fb.steps.power(0.1, 0.5)), "logistic", "asks for no ε"),
    (m.adam(fb.steps.power(0.1, 0.5), 0.9, 0.8, 0), "logistic", "β₁ ≤ β₂"),
    (m.mirror_descent("entropy", 0.1), "exponential", "hypentropy"),
    (m.mirror_descent("cosh", 0.1, primal_momentum=0.1), "exponential", "no theorem of the table"),
    (m.mirror_descent("cosh", 0.1, batch=1, rng=0), "exponential", "no theorem of the table"),
    (m.natural_gradient(fb.potentials.hypentropy(1.0), 0.1), "exponential", "no theorem of the table"),
], ids=lambda v: str(v)[:50])
def test_where_theory_is_silent_it_says_so(method, loss, words):
    with pytest.raises(fb.NoTheorem, match=words) as refused:
        fb.Plan(X, y, loss=loss, method=method).limit()
    assert refused.value.source
    assert "nearest" in refused.value.reason


def test_the_flow_of_natural_gradient_is_that_of_mirror_descent():
    plan = fb.Plan(X, y, loss="exponential", method=m.natural_gradient(fb.potentials.hypentropy(1.0), 0.1))
    assert plan.limit(flow=True).norm.name == "l1"
    assert "Theorem 7" in str(fb.Plan(XK, YK, loss="cross_entropy", method=m.gradient_descent(0.01)).limit())


@given(st.integers(0, 10**6))
def test_constant_normalised_steps_keep_their_promise(seed):
    """A margin of at least γ − ηB²/2, as the refusal says."""
    A, b = separable(8, 3, seed)
    for norm in (N.l1, N.l2, N.linf):
        eta = 0.1
        w = fb.run(A, b, loss="exponential", method=m.steepest_descent(norm, eta, normalised=True), steps=2000).w[-1]
        gamma, B = fb.max_margin(A, b, norm).margin, norm.dual(A).max()
        assert (b * (A @ w)).min() / norm(w) >= gamma - eta * B ** 2 / 2 - np.log(8) / norm(w) - 1e-9


# --- step sizes ----------------------------------------------------------------------------------------------------------

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
    assert told("exponential", m.coordinate_descent(0.01, tie_tol=0.5), "is the largest") is None
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
        fb.Plan([[1, 2], [1, 2]], [1, -1], loss="logistic", method=m.gradient_descent(0.1)).limit()
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
                              (lambda: many.evaluate(XK, np.append(YK[1:], 7)), ValueError, "classes under 3, got 7")):
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


# --- diagnostics ---------------------------------------------------------------------------------------------------------

@long
@pytest.mark.parametrize("p", [1, 1.25, 1.5, 2, 3, np.inf])
def test_diagnose_names_the_norm_of_each_steepest_descent(p):
    norm = N.lp(float(p))
    rule = fb.steps.loss_scaled(1 / norm.dual(X).max() ** 2)
    trace = fb.run(X, y, loss="exponential", method=m.steepest_descent(norm, rule), steps=400_000)
    found = fb.diagnose(X, y, trace.w[-1])
    assert found.best == norm.name
    assert found.fractions[norm.name] > 0.9998
    assert 1 / found.p == pytest.approx(1 / p, abs=0.03)
    assert max(found.gaps.values()) <= 1e-8
    assert norm.name in str(found)


def test_diagnose_takes_matrices_and_classes_and_refuses_what_it_cannot():
    limit = fb.max_margin(XK, YK, N.spectral(3, 4))
    found = fb.diagnose(XK, YK, limit.w)
    assert found.fractions["spectral"] == pytest.approx(1, abs=1e-7)
    assert set(found.fractions) >= {"l1", "l2", "linf", "spectral", "nuclear"}
    with pytest.raises(ValueError, match="must not be 0"):
        fb.diagnose(X, y, np.zeros(4))
    with pytest.raises(ValueError, match="linearly separable"):
        fb.diagnose([[1, 2], [1, 2]], [1, -1], [1, 1])
    with pytest.raises(ValueError, match="labels must be −1 or"):
        fb.diagnose([[1, 2], [1, 2]], [1, 2], [1, 1])
    assert max(fb.diagnose(X, y, -fb.max_margin(X, y).w).fractions.values()) < 0        # the wrong way round


def test_margins_of_classes_are_those_over_all_other_classes():
    trace = fb.run(XK, YK, loss="cross_entropy", method=m.gradient_descent(0.05), steps=100)
    for row, got in zip(trace.w[1:], trace.margin(N.spectral(3, 4))[1:], strict=True):
        scores = XK @ row.T
        own = scores[np.arange(20), YK.astype(int)]
        rival = np.where(np.eye(3, dtype=bool)[YK.astype(int)], -np.inf, scores).max(1)
        assert got == pytest.approx((own - rival).min() / np.linalg.norm(row, 2), rel=1e-10)


def test_trajectories_from_anywhere_are_measured_like_our_own():
    trace = fb.run(X, y, loss="logistic", method=m.gradient_descent(0.1), steps=500)
    other = fb.Trace.from_arrays(X, y, trace.t, trace.w)
    assert other.log_loss == pytest.approx(trace.log_loss)
    assert other.margin(N.l1)[1:] == pytest.approx(trace.margin(N.l1)[1:])
    assert other.increment() == pytest.approx(trace.increment())
    limit = fb.max_margin(X, y)
    assert other.gap(limit)[1:] == pytest.approx(trace.gap(limit)[1:])
    assert {s.quantity for s in other.rates(limit)} >= {"direction", "margin gap", "log loss", "log t L"}
    many = fb.Trace.from_arrays(XK, YK, [0, 1.5], np.zeros((2, 3, 4)))
    assert many.log_loss == pytest.approx(np.log(20 * np.log(3)))
    assert many.t.dtype == float
    assert fb.Trace.from_arrays([[1, 2]], [3], [0], [[1, 1]]).log_loss == pytest.approx([-np.inf])
    for arguments, words in (((X, y, [0], np.zeros((1, 3))), r"rows of shape \(4,\)"),
                             ((X, y, [1, 0], np.zeros((2, 4))), "increasing"),
                             ((X, y, [0, 1], np.zeros((3, 4))), "t must be")):
        with pytest.raises(ValueError, match=words):
            fb.Trace.from_arrays(*arguments)


def test_other_data_are_seen_through_the_same_loss():
    trace = fb.run(X, y, loss="logistic", method=m.gradient_descent(0.1), steps=50)
    A, b = separable(30, 4, 7)
    seen = trace.evaluate(A, b)
    for row, log_loss, error in zip(trace.w, *seen, strict=True):
        assert log_loss == pytest.approx(np.log(np.log1p(np.exp(-b * (A @ row))).sum()))
        assert error == pytest.approx(np.mean(b * (A @ row) <= 0))
    many = fb.run(XK, YK, loss="cross_entropy", method=m.gradient_descent(0.05), steps=50)
    B, labels = classes(40, 4, 3, 5)
    assert many.evaluate(B, labels).error[-1] == pytest.approx(np.mean(np.argmax(B @ many.w[-1].T, 1) != labels))
    assert many.evaluate(B[:1], [1]).error.shape == (len(many),)               # one class alone is fine here
    root = fb.run([[1.0, 2]], [1.0], loss="squared", method=m.gradient_descent(0.05), steps=50)
    assert root.evaluate([[1, 1], [0, 1]], [1, 1]).error[-1] == pytest.approx(
        np.sqrt(np.mean((np.array([[1, 1], [0, 1]]) @ root.w[-1] - 1) ** 2)))
    with pytest.raises(ValueError, match="shape"):
        trace.evaluate(A[:, :3], b)
    with pytest.raises(ValueError, match="labels must be"):
        trace.evaluate(A, b * 2)


@long
def test_lemma_8_the_gradient_enters_the_cone_of_the_support_vectors():
    plan = fb.Plan(WIDE, SIGNS, loss="exponential", method=m.gradient_descent(0.02))
    trace, limit = plan.run(1_000_000), plan.limit()
    distance = trace.cone_distance(limit)
    assert distance[0] > 0.05
    assert distance[-1] < 1e-2
    rows = SIGNS[:, None] * WIDE
    support = rows[rows @ limit.w <= limit.margin * (1 + 1e-9)]
    assert len(support) == 2
    g = np.exp(-(rows @ trace.w[-1])) @ rows
    g /= np.linalg.norm(g)
    found = minimize(lambda a: ((support.T @ a - g) ** 2).sum(), np.ones(len(support)), bounds=[(0, None)] * len(support),
                     options={"ftol": 1e-16, "gtol": 1e-12})
    assert distance[-1] == pytest.approx(np.sqrt(found.fun), abs=1e-6)


# --- paths ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("norm", [N.l1, N.l2, N.lp(1.5), N.linf], ids=repr)
def test_the_regularisation_path_is_optimal_and_ends_at_the_maximum_margin(norm, loss):
    path = fb.regularisation_path(X, y, [0.3, 3.0, 3000.0], norm, loss)
    assert path.residuals.max() <= 1e-6
    weigh = {"exponential": lambda t: np.exp(-t), "logistic": lambda t: 1 / (1 + np.exp(t))}[loss]
    value = {"exponential": lambda t: np.exp(-t), "logistic": lambda t: np.log1p(np.exp(-t))}[loss]
    for c, w, log_loss in zip(path.radii[:2], path.w, path.log_loss, strict=False):
        assert norm(w) <= c * (1 + 1e-9)
        assert log_loss == pytest.approx(np.log(value(Z @ w).sum()))
        g = weigh(Z @ w) @ Z
        assert (c * norm.dual(g) - g @ w) / value(Z @ w).sum() <= 1e-6        # w maximises ⟨−∇L, v⟩ over the ball
    assert (Z @ path.w[-1]).min() / 3000 == pytest.approx(fb.max_margin(X, y, norm).margin, rel=2e-3)


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("norm", [N.l1, N.l2, N.linf, N.lp(1.5), N.lp(3), N.quadratic([1.0, 2.0, 3.0, 4.0]),
                                  N.spectral(2, 2), N.group([[0, 1], [2, 3]])], ids=repr)
def test_the_regularisation_path_goes_far(norm, loss):
    path = fb.regularisation_path(X, y, np.geomspace(0.1, 1e6, 15), norm, loss)
    assert path.residuals[path.radii <= 1e4].max() <= 1e-6
    assert path.residuals.max() <= 1e-3
    assert fb.regularisation_path(X, y, [1.0, 1e6], norm, loss).residuals.max() <= 1e-3         # in one leap
    assert norm(path.w[-1]) <= 1e6 * (1 + 1e-9)
    assert (Z @ path.w[-1]).min() / 1e6 == pytest.approx(fb.max_margin(X, y, norm).margin, rel=1e-5)


def test_the_regularisation_path_keeps_its_best_point_where_a_solver_fails(monkeypatch):
    monkeypatch.setattr("fastbias.paths.solve_tightly", lambda program: False)
    path = fb.regularisation_path(X, y, [0.1, 10.0])
    assert np.isfinite(path.w).all()
    assert path.residuals.max() > 1e-6


@pytest.mark.parametrize("norm", [N.l1, N.l2, N.linf, N.lp(3), N.group([[0], [1]])], ids=repr)
def test_the_regularisation_path_ends_where_it_interpolates(norm):
    path = fb.regularisation_path([[1, 2.0]], [1], [0.1, 10], norm, "squared")
    assert path.w[1] @ [1, 2] == pytest.approx(1, rel=1e-9)
    assert norm(path.w[1]) <= 1 + 1e-9
    assert path.residuals[1] == 0
    assert path.residuals[0] <= 1e-8


def test_the_regularisation_path_of_classes_and_its_refusals():
    path = fb.regularisation_path(XK, YK, [1.0, 30.0], N.spectral(3, 4), "cross_entropy")
    assert path.w.shape == (2, 3, 4)
    assert path.residuals.max() <= 1e-5
    with pytest.raises(ValueError, match="convex face"):
        fb.regularisation_path(X, y, [1.0], N.Norm("bare", N.l2.steepest, N.l2.dual_norm, N.l2.norm))
    with pytest.raises(ValueError, match="12 entries"):
        fb.regularisation_path(X, y, [1.0], N.spectral(3, 4))
    with pytest.raises(ValueError, match=r"shape \(4, 3\) for the spectral norm, got \(3, 4\)"):
        fb.regularisation_path(XK, YK, [1.0], N.spectral(4, 3), "cross_entropy")
    with pytest.raises(ValueError, match="radii must be > 0"):
        fb.regularisation_path(X, y, [0.0, 1.0])


# --- input ---------------------------------------------------------------------------------------------------------------

def test_labels_and_shapes_get_one_sentence():
    for labels, words in (([1, 2] * 10, "0 and another among them"), ([0] * 20, "0 and another"), ([0.5] * 20, "got {0.5}"),
                          ([-1, 1] * 10, "got {-1, 1}")):
        with pytest.raises(ValueError, match=words):
            fb.Plan(XK, labels, loss="cross_entropy", method=m.gradient_descent(0.1))
    with pytest.raises(ValueError, match=r"must be an \(N, d\) array for the cross_entropy loss"):
        fb.Plan(XM, (YM + 1) / 2, loss="cross_entropy", method=m.gradient_descent(0.1))
    with pytest.raises(ValueError, match=r"shape \(4, 3\) of the spectral norm, got \(3, 4\)"):
        fb.Plan(XK, YK, loss="cross_entropy", method=m.steepest_descent(N.spectral(4, 3), 0.1))
    with pytest.raises(ValueError, match="shape"):
        fb.max_margin(XK, YK, N.spectral(4, 3))
    with pytest.raises(ValueError, match="m must be a whole number"):
        N.spectral(0, 2)


def test_nan_is_not_hidden_by_matrix_norms():
    for norm in (N.spectral(2, 2), N.nuclear(2, 2)):
        out = np.zeros(4)
        call(norm.steepest, norm.params, np.array([1.0, np.nan, 0, 0]), out)
        assert np.isnan(out).all()
        assert np.isnan(call(norm.dual_norm, norm.params, np.array([1.0, np.inf, 0, 0])))
