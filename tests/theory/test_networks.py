"""What theory says of gradient descent on models w = F(u), against runs, the flow integrated elsewhere, and closed forms."""
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import fastbias as fb
from tests.helpers.marks import slow

m = fb.methods
SCALED = m.gradient_descent(fb.steps.loss_scaled(0.005))


def semidefinite(seed, n=3, N=5):
    """Symmetric Gaussian samples with labels that a random W ⪰ 0 gives them."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(N, n, n))
    W = rng.normal(size=(n, n))
    A = (A + A.transpose(0, 2, 1)) / 2
    return A, np.sign((A * (W @ W.T)).sum((1, 2)))


def signals(seed, N=5, d=6):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, d))
    return X, np.sign(X @ rng.normal(size=d))


def followed(F, pull, Z, u, log_loss):
    """Where du/dτ = −∇ log L(u) stands once log L is at log_loss; F and its pullback written in NumPy."""
    def rate(tau, u):
        margins = Z @ F(u)
        q = np.exp(margins.min() - margins)
        return pull(u, q @ Z / q.sum())

    def fallen(tau, u):
        margins = Z @ F(u)
        return np.log(np.exp(margins.min() - margins).sum()) - margins.min() - log_loss
    fallen.terminal = True
    answer = solve_ivp(rate, (0, 1e6), u, method="LSODA", rtol=1e-11, atol=1e-13, events=fallen)
    assert answer.status == 1
    return answer.y[:, -1]


def square(n):
    def pull(u, v):
        V = v.reshape(n, n)
        return ((V + V.T) @ u.reshape(n, n)).ravel()
    return (lambda u: (u.reshape(n, n) @ u.reshape(n, n).T).ravel()), pull


def powers(L):
    def both(u):
        return u.reshape(2, -1)
    return (lambda u: both(u)[0] ** L - both(u)[1] ** L), \
        (lambda u, v: np.concatenate([L * both(u)[0] ** (L - 1) * v, -L * both(u)[1] ** (L - 1) * v]))


def filters(L):
    def F(u):
        return np.fft.ifft(np.prod(np.fft.fft(u.reshape(L, -1), axis=1), axis=0)).real

    def pull(u, v):
        hats = np.fft.fft(u.reshape(L, -1), axis=1)
        others = [np.prod(np.delete(hats, i, axis=0), axis=0) for i in range(L)]
        return np.concatenate([np.fft.ifft(np.fft.fft(v) * other.conj()).real for other in others])
    return F, pull


def lopsided(n, ratio=0.03):
    """A start of full rank whose columns differ in size."""
    return np.diag(0.5 * ratio ** np.linspace(0, 1, n)).ravel()


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("start", [lambda model: model.start(0.3), lambda model: model.start(0.5, rng=3),
                                   lambda model: lopsided(3)], ids=["identity", "Gaussian", "lopsided"])
def test_theorem_7(seed, start):
    X, y = semidefinite(seed)
    model = fb.models.symmetric(3)
    plan = fb.Plan(X, y, loss="exponential", method=SCALED, model=model, start=start(model))
    limit, trace = plan.limit(), plan.run(10**5, until=-1e100)
    assert limit.certified
    assert limit.theorem.startswith("Theorem 7")
    assert trace.margin(fb.norms.nuclear(3, 3))[-1] >= 0.995 * limit.margin
    assert np.trace(limit.w) == pytest.approx(1)
    assert np.linalg.eigvalsh(limit.w)[0] > -1e-9
    assert all(h.holds is not False for h in limit.hypotheses)


CASES = {"UUᵀ": (fb.models.symmetric(3), square(3), semidefinite(1), fb.norms.nuclear(3, 3), -200.0),
         "diagonal 2": (fb.models.diagonal(2, signed=True), powers(2), signals(1), fb.norms.l1, -200.0),
         "convolutional 2": (fb.models.convolutional(2), filters(2), signals(1), fb.norms.fourier(6), -200.0),
         "diagonal 3": (fb.models.diagonal(3, signed=True), powers(3), signals(1), fb.norms.l1, -200.0),
         "diagonal 5": (fb.models.diagonal(5, signed=True), powers(5), signals(1), fb.norms.l1, -200.0),
         "convolutional 3": (fb.models.convolutional(3), filters(3), signals(1), fb.norms.fourier(6), -200.0),
         "convolutional 5": (fb.models.convolutional(5), filters(5), signals(1), fb.norms.fourier(6), -200.0)}


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_runs_with_small_scaled_steps_are_where_the_flow_is_at_the_same_loss(case):
    model, (F, pull), (X, y), norm, goal = CASES[case]
    start = model.start(0.7, rng=4, size=X[0].size)
    method = m.gradient_descent(fb.steps.loss_scaled({2: 2e-4, 3: 2e-5, 5: 2e-6}[model.degree]))
    plan = fb.Plan(X, y, loss="exponential", method=method, model=model, start=start)
    trace = plan.run(10**7, until=goal)
    assert trace.status == fb.Status.REACHED
    Z = y[:, None] * X.reshape(len(y), -1)
    u = followed(F, pull, Z, start, trace.log_loss[-1])
    w = F(u)
    assert trace.margin(norm)[-1] == pytest.approx((Z @ w).min() / norm(w), abs=1e-4)
    flow = fb.Plan(X, y, loss="exponential", method=method, model=model, start=u).run(0)
    assert trace.kkt_residual()[-1] == pytest.approx(flow.kkt_residual()[0], abs=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(("model", "start"), [
    (fb.models.diagonal(2, signed=True), 0.3), (fb.models.convolutional(2), None), (fb.models.deep_linear(2), 0.3),
    (fb.models.deep_linear(2, width=3), 0.3), (fb.models.factorised(2, 3), None)], ids=repr)
def test_runs_reach_the_maximum_margin_that_the_model_prefers(model, start):
    X, y = signals(1)
    start = model.start(0.3) if start else model.start(0.01, rng=5)        # unbalanced ones are slow, smaller ones less so
    plan = fb.Plan(X.reshape(-1, *(model.shape or (6,))), y, loss="exponential", method=SCALED, model=model, start=start)
    limit, trace = plan.limit(), plan.run(10**5, until=-1e100)
    assert limit.certified
    assert trace.margin(limit.norm)[-1] >= 0.995 * limit.margin
    reference = fb.max_margin(X, y, model.bias(plan.problem.shape))
    assert limit.margin == pytest.approx(reference.margin, rel=1e-8)


def test_the_bias_of_each_model_is_the_norm_that_the_papers_name():
    w = np.array([3.0, -1.0, 0.0, 2.0, 0.5, -4.0])
    named = {fb.models.diagonal(2): abs(w).sum(), fb.models.convolutional(2): abs(np.fft.fft(w)).sum(),
             fb.models.deep_linear(4): np.linalg.norm(w),
             fb.models.factorised(2, 3): np.linalg.svd(w.reshape(2, 3), compute_uv=False).sum()}
    for model, value in named.items():
        assert model.bias(model.shape or (6,))(w) == pytest.approx(value, rel=1e-12)


def test_matrix_completion_with_labels_has_the_nuclear_margin_with_the_caveat():
    rng = np.random.default_rng(0)
    X = np.eye(9)[rng.choice(9, 6, replace=False)].reshape(6, 3, 3)
    y = rng.choice([-1.0, 1.0], 6)
    model = fb.models.factorised(3, 3)
    limit = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.01), model=model, start=model.start(0.1)).limit()
    Z, dual = y[:, None] * X.reshape(6, -1), limit.dual
    lower = (Z @ limit.w.ravel()).min() / np.linalg.svd(limit.w, compute_uv=False).sum()
    upper = np.linalg.svd((dual @ Z).reshape(3, 3), compute_uv=False)[0] / dual.sum()
    assert (upper - lower) / upper < 1e-8
    assert any("lifted" in h.statement and h.holds is None for h in limit.hypotheses)


def plan_for(model, loss="exponential", method=None, start=None, data=None):
    X, y = data or signals(1)
    return fb.Plan(X, y, loss=loss, method=method or m.gradient_descent(0.01), model=model,
                   start=model.start(0.5, rng=1) if start is None else start)


def test_deeper_networks_have_a_stationary_point_measured_in_a_run():
    for model in (fb.models.diagonal(3, signed=True), fb.models.convolutional(4)):
        plan = plan_for(model)
        with pytest.raises(fb.NoTheorem, match=r"needs a run first") as told:
            plan.limit()
        trace = plan.run(300)
        limit = plan.limit()
        assert limit.source == told.value.source == model.source
        assert limit.duality_gap == trace.kkt_residual()[-1] or np.isinf(limit.duality_gap)
        assert not limit.certified
        assert limit.norm is fb.norms.l2
        assert np.linalg.norm(limit.w) == pytest.approx(1)
        assert trace.rates(limit)
        assert trace.gap(limit)[-1] < 1e-12


def test_a_start_that_keeps_wrong_signs_is_no_case_of_the_theorem():
    X, y = [[1.0, 0.1], [0.5, -2.0]], [1.0, 1.0]
    model = fb.models.diagonal(2)
    with pytest.raises(fb.NoTheorem, match=r"almost every start"):
        plan_for(model, start=model.start(0.1), data=([[0.1, -1.0]], [1.0])).limit()
    assert plan_for(model, start=[0.1, 0.1, 0.1, -0.1], data=([[0.1, -1.0]], [1.0])).limit().certified
    assert plan_for(model, start=model.start(0.1, rng=1), data=(X, y)).limit().certified
    conv, x = fb.models.convolutional(2), ([[-1.0, -1.0, -1.0]], [1.0])       # the mean must be negative
    for start in (conv.start(0.1, rng=1), [[1.0] * 3, [-0.5] * 3]):
        assert plan_for(conv, start=start, data=x).limit().certified
    flat = plan_for(conv, start=[[1.0] * 3, [0.5] * 3], data=([[1.0, -3.0, 0.0]], [1.0]))  # ŵ_1 = ŵ_2 = 0 stay
    with pytest.raises(fb.NoTheorem, match=r"almost every start"):
        flat.limit(flow=True)
    told = next(h for h in flat.limit().hypotheses if "exact balance" in h.statement)
    assert told.holds is None                                    # rounding may free a run
    assert "until rounding breaks that symmetry" in told.evidence


@pytest.mark.parametrize(("model", "x", "start"), [
    (fb.models.diagonal(2), [1.0, 3.0], [1.0, 0, 1, 0]), (fb.models.diagonal(2), [1.0, 3.0], np.zeros(4)),
    (fb.models.diagonal(2, signed=True), [1.0, -3.0], fb.models.diagonal(2, signed=True).balanced([1, 1]))])
def test_starts_from_which_the_maximum_margin_cannot_be_reached(model, x, start):
    """Two factors that are 0 stay so."""
    plan = plan_for(model, start=start, data=([x], [1.0]), method=SCALED)
    with pytest.raises(fb.NoTheorem, match="almost every start"):
        plan.limit()
    stays_away(plan, x)


@pytest.mark.parametrize(("size", "x", "start"), [
    (1, [[-1.0]], [0.3, 0.3]), (2, [[1.0, 0], [0, -3.0]], fb.models.factorised(2, 2).start(0.3))])
def test_starts_from_which_only_rounding_could_reach_the_maximum_margin(size, x, start):
    """From U = V on symmetric samples W stays positive semidefinite: a flow for ever, and these runs."""
    plan = plan_for(fb.models.factorised(size, size), start=start, data=([x], [1.0]), method=SCALED)
    with pytest.raises(fb.NoTheorem, match="almost every start"):
        plan.limit(flow=True)
    assert next(h.holds for h in plan.limit().hypotheses if "exact balance" in h.statement) is None
    stays_away(plan, x)


def stays_away(plan, x):
    """A run from there has far less than the maximum margin, which random starts are promised."""
    model, w = plan.problem.model, plan.run(500).w[-1]
    best = fb.max_margin([np.ravel(x)], [1], model.bias(plan.problem.shape))
    assert (np.ravel(x) @ w.ravel()) / max(best.norm(w.ravel()), 1e-300) < 0.6 * best.margin
    assert plan_for(model, start=model.start(0.3, rng=3), data=([x], [1.0])).limit().certified


def test_several_maximisers_are_no_obstacle():
    for model, X in ((fb.models.symmetric(2), [np.eye(2)]), (fb.models.diagonal(2, signed=True), [[1.0, 1.0]])):
        limit = plan_for(model, data=(X, [1.0])).limit()
        assert limit.certified
        assert any("unique" in h.statement and h.holds is False for h in limit.hypotheses)
    tied = plan_for(fb.models.diagonal(2), start=np.full(4, 0.3), data=([[1.0, -1.0]], [1.0])).limit()
    assert tied.margin == pytest.approx(1)


def test_a_degree_that_is_not_the_models_is_seen():
    import dataclasses
    wrong = dataclasses.replace(fb.models.diagonal(2), degree=3)
    with pytest.raises(fb.NoTheorem, match="L the degree"):
        plan_for(wrong).limit()


def test_only_the_symmetric_parts_of_samples_count_for_symmetric_predictors():
    X, y = semidefinite(1)
    tilted = X + 3 * (np.triu(np.ones((3, 3)), 1) - np.tril(np.ones((3, 3)), -1))
    model = fb.models.symmetric(3)
    limits = [plan_for(model, start=model.start(0.3), data=(samples, y)).limit() for samples in (X, tilted)]
    assert limits[1].certified
    assert limits[1].w == pytest.approx(limits[0].w, abs=1e-7)
    assert limits[1].margin == pytest.approx(limits[0].margin, rel=1e-8)


def test_samples_may_be_flat_for_models_of_matrices():
    X, y = semidefinite(1)
    model = fb.models.symmetric(3)
    for loss, targets in (("exponential", y), ("squared", np.ones(2))):
        samples = X if loss == "exponential" else np.array([np.eye(3), np.diag([1.0, 2, 3])])
        plans = [plan_for(model, loss, start=model.start(0.3), data=(shaped, targets))
                 for shaped in (samples, samples.reshape(len(samples), -1))]
        assert plans[1].limit().w.ravel() == pytest.approx(plans[0].limit().w.ravel(), abs=1e-9)


def test_searched_steps_do_not_follow_the_flow():
    model = fb.models.diagonal(2, signed=True)
    plan = plan_for(model, "squared", m.gradient_descent(fb.steps.line_search()), data=([[1.0, 2.0]], [1.0]))
    with pytest.raises(fb.NoTheorem, match="searched steps"):
        plan.limit()
    assert plan.limit(flow=True).certified


def test_models_are_called_before_they_are_handed_over():
    for model in ("symmetric", fb.models.diagonal):
        with pytest.raises(TypeError, match=r"call it, fb\.models\."):
            plan_for_any(model)


def plan_for_any(model):
    return fb.Plan([[1.0, 2.0]], [1], loss="squared", method=m.gradient_descent(0.1), model=model, start=[1.0, 1.0])


def test_a_start_is_the_same_start_in_every_plan():
    model = fb.models.diagonal(2)
    start = model.start(0.3, rng=np.random.default_rng(4))
    plans = [plan_for(model, start=start) for _ in range(2)]
    assert (plans[0].u == plans[1].u).all()
    assert (plan_for(model, start=model.start(0.3, rng=7)).u == model.start(0.3, rng=7, size=6)).all()


@pytest.mark.long
def test_from_such_a_start_the_signs_stay():
    model = fb.models.convolutional(2)
    plan = plan_for(model, start=model.start(0.1), data=([[-1.0, -1.0, -1.0], [1.0, 0.5, -1.0]], [1.0, 1.0]))
    w = plan.run(2000).w[-1]
    assert w.sum() > -1e-12 * np.abs(w).max()
    assert fb.max_margin(plan.problem.X, [1, 1], fb.norms.fourier(3)).w.sum() < -0.1


@pytest.mark.parametrize(("model", "loss", "method", "words"), [
    (fb.models.diagonal(2), "exponential", m.adagrad(0.1), "another method"),
    (fb.models.diagonal(2), "squared", m.mirror_descent("entropy", 0.1), "another method"),
    (fb.models.diagonal(3), "squared", None, "no potential is known"),
    (fb.models.deep_linear(2), "squared", None, "no potential is known"),
    (fb.models.diagonal(2), "probit", None, "exponential tail"),
    (fb.models.diagonal(2), "exponential", m.gradient_descent(0.1, weight_decay=0.1), "regularisation_path"),
    (fb.models.linear, "sigmoid", m.gradient_descent(0.1, weight_decay=0.1), "regularisation_path"),
    (fb.models.Model("own", fb.models.linear.forward, fb.models.linear.pullback), "exponential", None, "homogeneous"),
    (fb.models.Model("own", fb.models.linear.forward, fb.models.linear.pullback), "squared", None, "no potential is known")])
def test_what_no_theorem_covers_says_so(model, loss, method, words):
    start = np.ones(model.parameters(6)) * 0.3
    with pytest.raises(fb.NoTheorem, match=words):
        plan_for(model, loss, method, start).limit()


def test_data_that_no_semidefinite_matrix_separates():
    model = fb.models.symmetric(2)
    X = np.array([[[1.0, 0], [0, 0]], [[0, 0], [0, 1.0]]])
    with pytest.raises(fb.NoTheorem, match="some W ⪰ 0 separates") as told:
        plan_for(model, data=(X, [1.0, -1.0]), start=model.start(1.0)).limit()
    lam = told.value.dual
    assert (lam >= 0).all()
    assert lam.sum() == pytest.approx(1)
    assert np.linalg.eigvalsh(np.tensordot(lam * [1, -1], X, 1))[-1] <= 1e-9
    with pytest.raises(fb.NoTheorem, match="separable"):
        plan_for(fb.models.diagonal(2), data=([[1.0, 1.0], [-1.0, -1.0]], [1.0, 1.0])).limit()


def test_theorem_7_wants_a_start_of_full_rank():
    X, y = semidefinite(1)
    for model, start in ((fb.models.symmetric(3), np.diag([1.0, 1.0, 0.0]).ravel()), (fb.models.symmetric(3, 2), None)):
        with pytest.raises(fb.NoTheorem):
            fb.Plan(X, y, loss="exponential", method=SCALED, model=model, start=model.start(0.1, rng=0)
                    if start is None else start).limit() if start is not None else \
                fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.1), model=model, start=model.start(0.1)).limit()


def test_with_fewer_columns_the_maximum_margin_over_all_semidefinite_matrices_is_not_claimed():
    """Here I/2 has a margin of 1/2, and v vᵀ of rank one at most sin²(π/8)."""
    X = [[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0.5, -0.5], [-0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]]
    thin = fb.models.symmetric(2, 1)
    plan = plan_for(thin, method=SCALED, start=[0.3, 0.1], data=(X, np.ones(4)))
    with pytest.raises(fb.NoTheorem, match="needs a run first"):
        plan.limit()
    trace = plan.run(300)
    limit = plan.limit()
    assert limit.norm is fb.norms.l2
    assert limit.duality_gap == trace.kkt_residual()[-1]
    assert trace.margin(fb.norms.nuclear(2, 2))[-1] <= np.sin(np.pi / 8) ** 2 + 1e-12
    assert fb.psd_margin(X, np.ones(4)).margin == pytest.approx(0.5)
    assert "Theorem 7" not in limit.source
    full = fb.models.symmetric(2)
    squares = plan_for(full, "squared", start=full.start(0.3), data=([[[1, 0], [0, 0]]], [0.5])).limit()
    assert "(2017)" in squares.source


# --- losses with a root ----------------------------------------------------------------------------------------------------

def q_alpha(w, alpha):
    """Woodworth et al. (2020): α² Σ q(w/α²)."""
    z = w / alpha ** 2
    return alpha ** 2 * (2 - np.sqrt(4 + z * z) + z * np.arcsinh(z / 2)).sum()


@pytest.mark.parametrize("alpha", [0.05, 0.5, 2.0])
def test_the_limit_of_signed_diagonal_networks_minimises_q_alpha(alpha):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(3, 6)), rng.normal(size=3)
    model = fb.models.diagonal(2, signed=True)
    limit = plan_for(model, "squared", start=model.start(alpha), data=(X, y)).limit()
    assert limit.certified
    assert limit.duality_gap <= 1e-10
    null = np.linalg.svd(X)[2][3:]
    for v in (*null, *rng.normal(size=(5, 3)) @ null):            # no feasible move lowers it, by slope and by value
        slope = alpha ** 2 * (np.arcsinh(limit.w / alpha ** 2 / 2) / alpha ** 2) @ v
        assert abs(slope) < 1e-9 * np.abs(v).sum() * np.arcsinh(np.abs(limit.w).max() / alpha ** 2)
        assert q_alpha(limit.w + 1e-2 * v, alpha) > q_alpha(limit.w, alpha)


@pytest.mark.long
@pytest.mark.parametrize("alpha", [*slow(0.05), 0.5, 2.0])
def test_runs_end_at_q_alpha_up_to_a_gap_that_shrinks_like_the_step(alpha):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(3, 6)), rng.normal(size=3)
    model = fb.models.diagonal(2, signed=True)
    gaps = []
    ends = []
    for eta in (4e-5, 2e-5, 1e-5):
        plan = plan_for(model, "squared", m.gradient_descent(eta), model.start(alpha), (X, y))
        limit, trace = plan.limit(), plan.run(6_000_000)
        assert trace.log_loss[-1] < -50
        gaps.append(trace.gap(limit)[-1])
        ends.append(trace.w[-1])
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.02)
    extrapolated = (8 * ends[2] - 6 * ends[1] + ends[0]) / 3                  # without its terms in η and η²
    assert np.linalg.norm(extrapolated - limit.w) < 1e-8


def test_unsigned_diagonal_networks_and_any_start():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(2, 4)), rng.normal(size=2)
    for model, F in ((fb.models.diagonal(2), lambda u: u[:4] * u[4:]),
                     (fb.models.diagonal(2, signed=True), lambda u: u[:4] ** 2 - u[4:] ** 2)):
        start = rng.normal(size=8)
        plan = plan_for(model, "squared", start=start, data=(X, y))
        limit = plan.limit(flow=True)

        def rate(t, u, F=F, model=model):
            v = -2 * X.T @ (X @ F(u) - y)
            return np.concatenate([v * u[4:], v * u[:4]] if "signed" not in model.name else [2 * v * u[:4], -2 * v * u[4:]])
        end = solve_ivp(rate, (0, 1e3), start, method="LSODA", rtol=1e-12, atol=1e-14).y[:, -1]
        assert F(end) == pytest.approx(limit.w, abs=1e-7)


@pytest.mark.long
def test_commuting_samples_make_uut_a_mirror_flow_of_the_spectral_entropy():
    rng = np.random.default_rng(5)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    X = np.array([Q @ np.diag(rng.uniform(0.2, 1, 3)) @ Q.T for _ in range(2)])
    X = (X + X.transpose(0, 2, 1)) / 2
    model = fb.models.symmetric(3)
    ends = []
    for eta in (2e-3, 1e-3):
        plan = plan_for(model, "squared", m.gradient_descent(eta), model.start(0.3), (X, [0.5, 0.7]))
        limit = plan.limit()
        ends.append(plan.run(10**5).w[-1])
    assert limit.certified
    assert np.abs(ends[1] - limit.w).max() < 1e-3
    assert np.abs(2 * ends[1] - ends[0] - limit.w).max() < 1e-5
    B = rng.normal(size=(2, 3, 3))
    with pytest.raises(fb.NoTheorem, match="greedy low rank"):
        plan_for(model, "squared", start=model.start(0.3), data=(B + B.transpose(0, 2, 1), [0.5, 0.7])).limit()


@pytest.mark.long
@pytest.mark.parametrize("model", [fb.models.symmetric(3), fb.models.factorised(3, 3)], ids=repr)
def test_small_starts_need_not_lead_to_the_minimum_nuclear_norm(model):
    """A 3 × 3 completion (after Li, Luo, Lyu 2021): the diagonal is not seen, 1 and R beside it.

    v vᵀ, v = (1, 1, R), fits with trace R² + 2; the least trace is 4R − 2, of rank two.
    """
    R, pairs = 4.0, [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]
    X = np.zeros((6, 3, 3))
    for n, (i, j) in enumerate(pairs):
        X[n, i, j] = 1.0
    X = (X + X.transpose(0, 2, 1)) / 2 if model.semidefinite else X
    y = [1.0, R, R] * 2
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.005), model=model, start=model.start(1e-5))
    trace = plan.run(30_000)
    values = np.linalg.svd(trace.w[-1], compute_uv=False)
    assert trace.log_loss[-1] < -50
    assert values[1] < 1e-6
    assert values.sum() == pytest.approx(R ** 2 + 2, rel=1e-6)
    least = np.array([[R - 1, 1, R], [1, R - 1, R], [R, R, 2 * R]])           # feasible, semidefinite, of less trace
    assert np.linalg.eigvalsh(least)[0] > -1e-12
    assert np.abs(X.reshape(6, -1) @ least.ravel() - y).max() < 1e-12
    assert np.trace(least) == pytest.approx(4 * R - 2)
    with pytest.raises(fb.NoTheorem, match="3 × 3 completions"):
        plan.limit()


@pytest.mark.long
@pytest.mark.parametrize("model", [fb.models.diagonal(2, signed=True), fb.models.deep_linear(2), fb.models.convolutional(2)],
                         ids=repr)
def test_explicit_weight_decay_is_on_the_regularisation_path_and_ends_where_the_implicit_run_does(model):
    X, y = signals(1)
    norm = model.bias((6,))
    gaps = []
    for decay in (1e-1, 3e-2, 1e-2):
        plan = plan_for(model, method=m.gradient_descent(0.01, weight_decay=decay), start=model.start(0.3, rng=2))
        w = plan.run(300_000).w[-1]
        limit = plan_for(model, start=model.start(0.3, rng=2)).limit()
        gaps.append(1 - (y * (X @ w)).min() / norm(w) / limit.margin)
        path = fb.regularisation_path(X, y, [norm(w)], norm, "exponential")
        assert np.exp(fb.losses.exponential.log(X @ w, y)) == pytest.approx(np.exp(path.log_loss[0]), rel=1e-5)
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.35


def test_kkt_residuals_want_a_homogeneous_model_and_a_monotone_loss():
    with pytest.raises(ValueError, match="homogeneous"):
        plan_for(fb.models.diagonal(2), "squared").run(2).kkt_residual()
    assert np.isinf(plan_for(fb.models.diagonal(2), data=([[1.0, 1]], [-1.0]), start=np.ones(4)).run(0).kkt_residual()[0])
    solved = fb.max_margin(*signals(1), "l2")
    trace = plan_for(fb.models.linear, start=solved.w * 1e150, method=m.gradient_descent(0.1)).run(0)
    assert trace.kkt_residual()[0] < 1e-8
