"""Fast-forward and flow on models w = F(u): against exact runs, naive integrations, theory, and where they refuse."""
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import fastbias as fb
from fastbias.forward import choice
from tests.helpers.marks import slow
from tests.helpers.problems import reached

m, M = fb.methods, fb.models
long = pytest.mark.long
LOSSES = ["exponential", "logistic"]
PSD = lambda W: W @ W.T  # noqa: E731
KINDS = {                                  # the model, the shape of predictors, what makes one within its reach of any array
    "diagonal": (M.diagonal(2), (4,), np.abs),
    "diagonal, signed": (M.diagonal(2, signed=True), (4,), np.array),
    "diagonal 3": (M.diagonal(3), (4,), np.abs),
    "diagonal 4, signed": (M.diagonal(4, signed=True), (3,), np.array),
    "symmetric": (M.symmetric(3), (3, 3), PSD),
    "symmetric, rank 1": (M.symmetric(3, rank=1), (3, 3), lambda W: np.outer(W[0], W[0])),
    "factorised": (M.factorised(2, 3, rank=5), (2, 3), np.array),
    "deep linear": (M.deep_linear(3, width=2), (4,), np.array),
    "convolutional": (M.convolutional(3), (4,), np.array),
    "products": (M.factorised(2, 3, depth=3), (2, 3), np.array),
    "symmetric apart": (M.symmetric(3, signed=True), (3, 3), lambda W: W + W.T),
    "diagonal powers": (M.diagonal(3, tied=True), (4,), np.abs),
    "diagonal apart": (M.diagonal(2, signed=True, tied=False), (4,), np.array),
    "grouped": (M.grouped([[0, 2], [1], [3]]), (4,), np.array),
    "diagonal, frozen": (M.frozen(M.diagonal(3), 1, [1, 2, 0.5, 1]), (4,), np.abs),
}


# whose exact runs take longest, or show little more than another
DEAR = ("deep linear", "convolutional", "products", "symmetric apart", "diagonal apart", "diagonal, frozen")


def problem(name, loss="exponential", seed=0, samples=8, scale=0.3, method=None):
    """Separable data of unit length that the model can separate, and a start."""
    model, shape, within = KINDS[name]
    rng = np.random.default_rng(seed)
    w = within(rng.normal(size=shape))
    A = rng.normal(size=(samples, *shape))
    labels = np.sign(np.tensordot(A, w, len(shape)))
    A += 0.3 * np.multiply.outer(labels, w / np.linalg.norm(w))
    A /= np.linalg.norm(A.reshape(samples, -1), axis=1).reshape(-1, *[1] * len(shape))
    start = model.start(scale, size=w.size) if name in ("symmetric",) or "diagonal" in name else \
        model.start(2 * scale, rng=rng, size=w.size)
    return fb.Plan(A, labels, loss=loss, method=method or m.gradient_descent(0.1), model=model, start=start)


def against_an_exact_run(plan, T, far):
    """Largest error at 3T and at t = far from handovers at T and 2T; the estimates must hold."""
    plan.run(T)
    rows = np.array([3 * T, far])
    trace = plan.fast_forward(np.log(far), record=np.log(rows), max_steps=T + 1)
    exact = plan.run(far - T, record=rows)
    assert trace.t.tolist() == rows.tolist()
    errors = np.abs(trace.w - exact.w[-2:]).reshape(2, -1).max(axis=1)
    assert (errors <= trace.error_estimate).all(), (plan, errors, trace.error_estimate)
    assert trace.w.reshape(2, -1) == pytest.approx(plan.problem.predictor(trace.u), abs=0)
    Z = plan.problem.Z
    assert (np.abs(trace.log_loss - exact.log_loss[-2:]) <= 1e-10 + np.abs(Z).sum(axis=1).max() * trace.error_estimate).all()
    assert trace.slack == pytest.approx(trace.log_t[:, None] - trace.w.reshape(2, -1) @ Z.T, abs=1e-9)
    return errors.max(), trace


@long
@pytest.mark.parametrize("name", [*(name for name in KINDS if name not in DEAR), *slow(*DEAR)])
def test_every_model_equals_its_exact_run_to_1e6_from_1e4(name):
    error, trace = against_an_exact_run(problem(name, LOSSES[len(name) % 2]), 10_000, 1_000_000)
    assert error <= 1e-7
    assert trace.error_estimate.max() <= 1e-6


@pytest.mark.exhaustive
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", KINDS)
def test_every_model_to_1e7_from_1e5(name, loss):
    error, trace = against_an_exact_run(problem(name, loss), 100_000, 10**7)
    print(f"{name}, {loss}: error {error:.1e}, estimate {trace.error_estimate[-1]:.1e}")
    assert error <= 1e-7
    assert trace.error_estimate.max() <= 1e-7


FURTHER = {"heavy ball": m.gradient_descent(0.05, 0.8), "nesterov": m.gradient_descent(0.05, 0.8, 0.8),
           "power steps": m.gradient_descent(fb.steps.power(0.1, 0.3))}


@long
@pytest.mark.parametrize("name", FURTHER)
@pytest.mark.parametrize("kind", ["diagonal, signed", "convolutional"])
def test_momentum_and_steps_that_fall(kind, name):
    error, _ = against_an_exact_run(problem(kind, "logistic", 1, method=FURTHER[name]), 50_000, 500_000)
    assert error <= 1e-7


@long
@pytest.mark.parametrize("loss", ["sigmoid", "probit"])
def test_other_losses(loss):
    assert against_an_exact_run(problem("symmetric", loss, 2), 20_000, 200_000)[0] <= 1e-8


@long
@pytest.mark.parametrize("scale", [1e-8, 1e-3, 10.0, 300.0])
def test_starts_of_any_size(scale):
    """From 300 · 1, w is the difference of numbers of 10⁵ and their rounding: the estimate must know."""
    method = m.gradient_descent(0.1 / max(1.0, scale ** 2))
    plan = problem("diagonal, signed", "logistic", 3, scale=scale, method=method)
    error, trace = against_an_exact_run(plan, 20_000, 400_000)
    assert error <= 1e-7
    assert trace.error_estimate.max() <= 1e-5


def random_problem(seed):
    rng = np.random.default_rng(seed)
    name = list(KINDS)[int(rng.integers(len(KINDS)))]
    eta, beta = 10 ** rng.uniform(-2, -0.5), float(rng.choice([0.0, 0.0, rng.uniform(0, 0.9)]))
    gamma = float(rng.choice([0.0, beta]))
    rule = eta if beta or rng.random() < 0.7 else fb.steps.power(2 * eta, rng.uniform(0, 0.7))
    scale = 10 ** rng.uniform(-4, 0.5)
    return problem(name, LOSSES[seed % 2], seed, int(rng.integers(2, 12)), scale,
                   m.gradient_descent(rule, beta * min(1.0, 1.0 / scale), gamma * min(1.0, 1.0 / scale)))


def answered(seeds, T, far):
    """How many random problems are answered, every estimate valid; the others are refused."""
    count = 0
    for seed in seeds:
        try:
            against_an_exact_run(random_problem(seed), T, far)
            count += 1
        except (fb.NoTheorem, fb.RunStopped):
            continue
    return count


@long
def test_estimates_hold_on_random_problems():
    assert answered(range(12), 10_000, 100_000) >= 9


@pytest.mark.exhaustive
def test_estimates_hold_on_300_random_problems():
    count = answered(range(1000, 1300), 20_000, 200_000)
    print(f"{count} of 300 answered, every estimate valid")
    assert count >= 240


@pytest.mark.parametrize("name", KINDS)
def test_the_second_order_is_the_second_order(name):
    """One step of the map from a point, to O(step³): halving the step size divides the error by 8."""
    errors = []
    for eta in (0.02, 0.01, 0.005):
        plan = problem(name, "logistic", 4, scale=0.5, method=m.gradient_descent(eta))
        here = reached(plan)._replace(t=10)                        # whose step is that from 0
        plan.run(1)
        _, u = choice.choose(plan.problem).follow(here, np.log([11.0]), 1e-12)
        errors.append(np.abs(u[0] - plan.u).max())
    assert errors[0] / errors[2] > 40, errors                      # 64 in the limit; 16 were it first order


@pytest.mark.parametrize("name", KINDS)
def test_the_jacobian_is_the_derivative_of_the_rate(name):
    plan = problem(name, "logistic", 5, samples=6 if "rank" in name else 3)
    field = choice.choose(plan.problem)
    rng = np.random.default_rng(0)
    state = np.concatenate([rng.normal(size=len(field.Z)), rng.normal(size=plan.u.size)])
    J = field.jacobian(70.0, state)                                # so late that the second order is left out
    h = 1e-6
    columns = [(field.rate(70.0, state + h * e) - field.rate(70.0, state - h * e)) / (2 * h) for e in np.eye(state.size)]
    assert pytest.approx(np.array(columns).T, abs=1e-6 * np.abs(J).max()) == J


@long
@pytest.mark.parametrize("name", ["diagonal, signed", "symmetric", *slow("factorised", "deep linear")])
def test_log_t_of_1e9_is_where_theory_says(name):
    """The margin over the largest one; over W ⪰ 0 with tr W ≤ 1 that is at most λ_max(Σ λ_n Z_n), for any λ."""
    plan = problem(name, "exponential", 3)
    data = plan.problem
    norm, Z = data.model.bias(data.shape), data.Z.reshape(-1, *data.shape)
    trace = plan.fast_forward(1e9, record=[10.0, 1e6, 1e9])
    if data.model.semidefinite:
        weights = np.exp(trace.slack[-1] - trace.slack[-1].max())
        G = np.tensordot(weights / weights.sum(), Z, 1)
        best = np.linalg.eigvalsh((G + G.T) / 2)[-1]
        assert np.linalg.eigvalsh(trace.w[-1])[0] >= -1e-9 * 1e9
    else:
        best = fb.max_margin(Z, np.ones(len(Z)), norm).margin
    margin = trace.margin(norm) / best
    assert 1 - 1e-3 <= margin[-1] <= 1 + 1e-9
    assert (np.diff(margin) > 0).all()
    assert (1e9 - trace.slack[-1]).min() == pytest.approx((data.Z @ trace.w[-1].ravel()).min(), rel=1e-9)


@long
def test_rows_before_the_handover_are_exact_and_the_trace_is_whole(tmp_path):
    plan = problem("symmetric", "logistic")
    plan.run(100)
    trace = plan.fast_forward(1e6, record=np.log([150, 20_000, 1e6]))
    assert plan.t == 100
    exact = plan.run(19_900, record=[150])
    assert trace.u[:2].tobytes() == exact.u[1:].tobytes()
    assert trace.w[:2].tobytes() == exact.w[1:].tobytes()
    assert trace.u.shape == (4, 9)
    assert trace.w.shape == (4, 3, 3)
    assert trace.slack.shape == (4, 8)
    trace.save(tmp_path / "t.npz")
    assert fb.Trace.load(tmp_path / "t.npz").u.tobytes() == trace.u.tobytes()
    assert (np.diff(exact.join(trace).log_t) > 0).all()


DIAGONAL = M.diagonal(2, signed=True)
GD = m.gradient_descent(0.1)


@pytest.mark.parametrize(("method", "model", "words"), [
    (m.adagrad(0.1), DIAGONAL, "only gradient descent has a field"),
    (m.steepest_descent("l2", 0.1), DIAGONAL, "only gradient descent"),
    (m.natural_gradient("cosh", 0.1), DIAGONAL, "only gradient descent"),
    (m.gradient_descent(fb.steps.loss_scaled(0.1)), DIAGONAL, "only gradient descent"),
    (m.gradient_descent([0.1, 0.2]), DIAGONAL, "only gradient descent"),
    (m.gradient_descent(0.1, [0.1, 0.5]), DIAGONAL, "momentum varies"),
    (m.gradient_descent(0.1, batch=1, rng=0), DIAGONAL, "random"),
    (m.sign_descent(0.1), DIAGONAL, "only gradient descent"),
    (m.gradient_descent(0.1, weight_decay=0.1), DIAGONAL, "weight decay"),
    (m.gradient_descent(0.1, 0.5, weight_decay=0.1), M.linear, "weight decay"),
    (GD, M.relu([1.0, 2.0], 2), "not homogeneous"),
], ids=lambda v: str(v)[:50])
def test_what_has_no_field_on_models_is_refused_with_the_reason(method, model, words):
    start = None if model.linear else model.start(0.5, rng=0, size=2)
    with pytest.raises(fb.NoTheorem, match=words):
        fb.Plan(np.eye(2), [1, 1], loss="exponential", method=method, model=model, start=start).fast_forward(100)


def test_the_squared_loss_has_its_closed_form_on_the_linear_model_without_decay_alone():
    for method, model, words in ((GD, DIAGONAL, "closed form is for the linear model"),
                                 (m.gradient_descent(0.1, weight_decay=0.1), M.linear, "weight decay")):
        start = None if model.linear else model.start(0.5, size=2)
        with pytest.raises(fb.NoTheorem, match=words):
            fb.Plan(np.eye(2), [1, 1], loss="squared", method=method, model=model, start=start).fast_forward(100)


@long
def test_runs_that_are_not_on_their_way_are_refused():
    saddle = problem("diagonal, signed", "logistic", 3, scale=1e-8, method=m.gradient_descent(1e-4))
    with pytest.raises(fb.NoTheorem, match="do not yet shrink"):
        saddle.fast_forward(30, max_steps=20_000)
    never = fb.Plan(np.array([-np.eye(2), [[-1, 0.5], [0.5, -2]]]), [1, 1], loss="exponential", model=M.symmetric(2),
                    method=m.gradient_descent(1e-4), start=[1, 0, 0, 1])                  # separable, but by no W ⪰ 0
    with pytest.raises(fb.NoTheorem, match="single sample of margin 0"):
        never.fast_forward(30, max_steps=40_000)
    with pytest.raises(fb.NoTheorem, match="not separable"):
        fb.Plan([[1, 2], [1, 2]], [1, -1], loss="logistic", method=GD, model=DIAGONAL,
                start=DIAGONAL.start(0.5)).fast_forward(50)


# the flow ----------------------------------------------------------------------------------------------------------------

REGRESSION = fb.data.random_regression(3, 6, rng=0)


@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 0.1, 1.0, 10.0])
def test_the_flow_of_a_diagonal_network_ends_at_the_hyperbolic_entropy_projection(alpha):
    X, y = REGRESSION
    plan = fb.Plan(X, y, loss="squared", method=GD, model=DIAGONAL, start=DIAGONAL.start(alpha))
    goal = fb.bregman_projection(X, y, fb.potentials.hypentropy(2 * alpha ** 2))
    trace = plan.flow()
    assert goal.certified
    assert trace.gap(goal)[-1] <= 1e-8
    plus, minus = trace.u[:, :6], trace.u[:, 6:]
    assert plus * minus == pytest.approx(alpha ** 2 * np.ones_like(plus), rel=1e-6)       # what the flow keeps


@pytest.mark.parametrize("scale", [1e6, 1e-6])
def test_the_units_of_the_targets_do_not_matter_to_a_flow(scale):
    X, y = REGRESSION
    alpha = 0.1 * scale ** 0.5
    trace = fb.Plan(X, scale * y, loss="squared", method=GD, model=DIAGONAL, start=DIAGONAL.start(alpha)).flow()
    goal = fb.bregman_projection(X, y, fb.potentials.hypentropy(0.02))
    assert trace.w[-1] / scale == pytest.approx(goal.w, abs=1e-8)


def naive(plan, gradient, time, decay=0.0):
    """u(time) by an explicit integrator from a gradient in NumPy."""
    answer = solve_ivp(lambda t, u: -gradient(u) - decay * u, (0, time), plan.problem.start, method="DOP853", rtol=1e-12,
                       atol=1e-14)
    return answer.y[:, -1]


def test_flows_equal_a_naive_integration():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(5, 4)), np.sign(rng.normal(size=5))

    def signed(u):
        a, b = u[:4], u[4:]
        g = -(y * np.exp(-y * (X @ (a ** 3 - b ** 3)))) @ X
        return np.concatenate([3 * a ** 2 * g, -3 * b ** 2 * g])

    model = M.diagonal(3, signed=True)
    start = rng.uniform(0.3, 1, size=8)
    for decay in (0.0, 0.2):
        method = m.gradient_descent(0.1, weight_decay=decay)
        plan = fb.Plan(X, y, loss="exponential", method=method, model=model, start=start)
        assert plan.flow(time=7.0).u[-1] == pytest.approx(naive(plan, signed, 7.0, decay), abs=1e-9)

    A = rng.normal(size=(4, 3, 3))
    b = np.sign(rng.normal(size=4))

    def square(u):
        U = u.reshape(3, 3)
        margins = b * np.einsum("nij,ik,jk->n", A, U, U)
        G = np.einsum("n,nij->ij", -b / (1 + np.exp(margins)), A)
        return ((G + G.T) @ U).ravel()

    plan = fb.Plan(A, b, loss="logistic", method=GD, model=M.symmetric(3), start=rng.normal(size=9))
    assert plan.flow(time=7.0).u[-1] == pytest.approx(naive(plan, square, 7.0), abs=1e-9)


@long
def test_the_flow_to_large_times_on_a_monotone_loss_is_where_small_steps_go():
    """Fast-forward to t steps of size η is the flow at time ηt, but for O(η)."""
    plan = problem("diagonal, signed", "logistic", 7, method=m.gradient_descent(1e-3))
    flow = plan.flow(time=1e12)
    assert (np.diff(flow.log_loss) < 0).all()
    far = plan.fast_forward(np.log(1e15), record=1)
    assert far.w[-1] == pytest.approx(flow.w[-1], abs=2e-3)
    with pytest.raises(ArithmeticError, match="has not come to rest"):
        plan.flow()


def test_flows_with_weight_decay_end_at_the_ridge_and_at_the_lasso():
    """½λ‖u‖² of u₊² − u₋² is ½λ‖w‖₁ at least, so a diagonal network of depth 2 solves a lasso."""
    X, y = REGRESSION
    decay = 0.3
    method = m.gradient_descent(0.1, weight_decay=decay)
    ridge = fb.Plan(X, y, loss="squared", method=method).flow()
    assert ridge.w[-1] == pytest.approx(np.linalg.solve(2 * X.T @ X + decay * np.eye(6), 2 * X.T @ y), abs=1e-10)
    w = fb.Plan(X, y, loss="squared", method=method, model=DIAGONAL, start=DIAGONAL.start(0.1)).flow().w[-1]
    push = 2 * X.T @ (y - X @ w)
    used = np.abs(w) > 1e-6
    assert 0 < used.sum() < 6
    assert push[used] == pytest.approx(decay / 2 * np.sign(w[used]), abs=1e-8)
    assert (np.abs(push[~used]) < decay / 2).all()
    assert np.abs(w[~used]).max() < 1e-10


def test_a_flow_whose_model_cannot_reach_the_targets_comes_to_rest_at_the_best_it_can():
    """Over W ⪰ 0 the squared loss is convex: ∇L(W) ⪰ 0 and ⟨∇L(W), W⟩ = 0 at its minimum."""
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(4, 3, 3)), -np.ones(4)
    A += np.eye(3)
    trace = fb.Plan(A, b, loss="squared", method=GD, model=M.symmetric(3), start=M.symmetric(3).start(0.5)).flow()
    W = trace.w[-1]
    G = np.einsum("n,nij->ij", 2 * (np.einsum("nij,ij->n", A, W) - b), A)
    G = (G + G.T) / 2
    assert trace.log_loss[-1] > -5
    assert np.linalg.eigvalsh(G)[0] >= -1e-8
    assert np.abs(G @ W).max() <= 1e-8
    apart = fb.Plan(np.diag([1, 0.2]), [1, 0.2], loss="squared", method=GD, model=DIAGONAL, start=DIAGONAL.start(1e-10))
    assert apart.flow().w[-1] == pytest.approx([1, 1], abs=1e-8)     # it passes the saddle where only w₁ is there
