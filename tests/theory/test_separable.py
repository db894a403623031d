"""Section 3 beyond the basics: matrix predictors and classes, methods with memory, and rows of the table."""
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbias as fb
from tests.helpers import JIT
from tests.helpers.problems import (
    APART,
    SOUDRY_X,
    SOUDRY_Y,
    XK,
    XM,
    YK,
    YM,
    X,
    Z,
    holds,
    separable,
    y,
)

m, N = fb.methods, fb.norms
long = pytest.mark.long
STEPS = 1000 if JIT else 50


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
    with pytest.raises(fb.NoTheorem, match="finite length"):
        fb.Plan(X, y, loss="logistic", method=m.gradient_descent(fb.steps.power(0.1, 1.5))).limit()


@pytest.mark.parametrize(("method", "loss", "words"), [
    (m.coordinate_descent(fb.steps.line_search()), "exponential", "AdaBoost"),
    (m.steepest_descent("linf", fb.steps.power(0.1, 2), normalised=True), "logistic", "sum is finite"),
    (m.sign_descent(0.1), "logistic", "fixed length"),
    (m.stagewise(0.1), "logistic", "fixed length"),
    (m.adam(fb.steps.power(0.1, 2)), "logistic", "sum is infinite"),
    (m.adam(0.1, eps=0), "logistic", "step sizes that fall to 0"),
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


@long
@given(st.integers(0, 10**6))
def test_constant_normalised_steps_keep_their_promise(seed):
    """A margin of at least γ − ηB²/2, as the refusal says."""
    A, b = separable(8, 3, seed)
    for norm in (N.l1, N.l2, N.linf):
        eta = 0.1
        w = fb.run(A, b, loss="exponential", method=m.steepest_descent(norm, eta, normalised=True), steps=2000).w[-1]
        gamma, B = fb.max_margin(A, b, norm).margin, norm.dual(A).max()
        assert (b * (A @ w)).min() / norm(w) >= gamma - eta * B ** 2 / 2 - np.log(8) / norm(w) - 1e-9
