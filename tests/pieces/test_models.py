"""Models w = F(u): iterates against naive twins, and what each model says of itself held against what is computed."""
import numpy as np
import pytest

import fastbias as fb
from fastbias.engine.call import call
from tests.helpers import JIT
from tests.helpers import naive_models as naive

STEPS, FEW = (1000, 300) if JIT else (25, 12)
m, models = fb.methods, fb.models
POINTS = np.array([-1.0, -0.3, 0.4, 1.1])
PLANE, SPACE = np.random.default_rng(7).normal(size=(12, 2)), np.random.default_rng(8).normal(size=(9, 3))
UNITS, GROUPS = np.random.default_rng(9).normal(size=(4, 2)), [[3, 0], [1], [2, 4]]
TOKENS = np.random.default_rng(10).normal(size=(6, 4, 3))
MODELS = {                                                       # model, twin, shape of predictors, step size
    "symmetric full": (models.symmetric(3), naive.symmetric(), (3, 3), 0.01),
    "symmetric": (models.symmetric(4, 2), naive.symmetric(), (4, 4), 0.01),
    "symmetric wide": (models.symmetric(2, 5), naive.symmetric(), (2, 2), 0.01),
    "factorised": (models.factorised(2, 3), naive.factorised(), (2, 3), 0.01),
    "factorised wide": (models.factorised(3, 2, rank=5), naive.factorised(), (3, 2), 0.01),
    "factorised one": (models.factorised(3, 3, rank=1), naive.factorised(), (3, 3), 0.01),
    "relu": (models.relu(POINTS, 5), naive.relu(POINTS), (4,), 0.02),
    "relu plane": (models.relu(PLANE, 7, offset=False), naive.relu(PLANE, False), (12,), 0.002),
    "relu space": (models.relu(SPACE, 11), naive.relu(SPACE), (9,), 2e-5),
    "deep linear 1": (models.deep_linear(1), naive.deep_linear(), (5,), 0.02),
    "products 3": (models.factorised(3, 2, depth=3), naive.products(), (3, 2), 0.005),
    "products uneven": (models.factorised(2, 3, [4, 1, 3], 4), naive.products(), (2, 3), 0.005),
    "symmetric apart": (models.symmetric(3, 2, signed=True), naive.apart(naive.symmetric()), (3, 3), 0.005),
    "powers 2": (models.diagonal(2, tied=True), naive.power(2), (5,), 0.01),
    "powers 3": (models.diagonal(3, tied=True), naive.power(3), (5,), 0.005),
    "products apart 2": (models.diagonal(2, signed=True, tied=False), naive.apart(naive.diagonal()), (5,), 0.01),
    "products apart 4": (models.diagonal(4, signed=True, tied=False), naive.apart(naive.diagonal()), (5,), 0.005),
    "grouped": (models.grouped(GROUPS), naive.grouped(GROUPS, 2), (5,), 0.005),
    "grouped 1": (models.grouped(GROUPS, power=1), naive.grouped(GROUPS, 1), (5,), 0.01),
    "grouped 4": (models.grouped([[0], [1], [2, 3, 4]], power=4), naive.grouped([[0], [1], [2, 3, 4]], 4), (5,), 0.002),
    "frozen": (models.frozen(models.diagonal(3), [2, 0], [[1, 2, -1, 0.6, 0.5], [1, -1, 2, 0.3, 1]]),
               naive.frozen(naive.diagonal(), {2: np.array([1, 2, -1, 0.6, 0.5]), 0: np.array([1, -1, 2, 0.3, 1])}), (5,), 0.01),
    "frozen units": (models.frozen(models.relu(PLANE, 4, offset=False), [1, 2], [UNITS, [0.1, 0, -0.2, 0.3]]),
                     naive.frozen(naive.relu(PLANE, False), {1: UNITS, 2: np.array([0.1, 0, -0.2, 0.3])}), (12,), 0.002),
    "frozen twice": (models.frozen(models.frozen(models.deep_linear(3, 2), 2, [1.0, -0.5], size=5), 1, [[1, 2], [0, 1]]),
                     naive.frozen(naive.deep_linear(), {2: np.array([1, -0.5]), 1: np.array([[1.0, 2], [0, 1]])}), (5,), 0.01),
    "attention units": (models.attention(TOKENS), naive.attention(TOKENS), (6,), 0.02),
    "weight normalised": (models.weight_normalised, naive.weight_normalised(), (5,), 0.02),
} | {
    f"deep linear {L}, {k}": (models.deep_linear(L, k), naive.deep_linear(), (5,), eta)
    for L, k, eta in ((2, None, 0.005), (3, None, 0.005), (4, 3, 0.005), (5, 2, 0.005), (6, 7, 0.0005))
} | {f"diagonal {L}": (models.diagonal(L), naive.diagonal(), (5,), 0.01) for L in range(1, 7)} | {
    f"signed {L}": (models.diagonal(L, signed=True), naive.signed_diagonal(L), (5,), 0.002) for L in range(2, 7)
} | {f"convolutional {L}": (models.convolutional(L), naive.convolutional(), (5,), 0.02 / L ** 2) for L in range(1, 7)}
TWINS = {name: MODELS[name] for name in ("symmetric", "factorised wide", "deep linear 3, None", "signed 3", "diagonal 2",
                                         "convolutional 3", "products uneven", "frozen", "weight normalised")}


def data(name, N=4, seed=0):
    """Data, labels and a start near balanced layers for a model of the list."""
    model, _, shape, _ = MODELS[name]
    rng = np.random.default_rng(seed)
    d = int(np.prod(shape))
    X = np.eye(d) if "relu" in name or "units" in name else 0.6 * rng.normal(size=(N, *shape))
    n = model.parameters(d)
    u = 0.2 * rng.normal(size=n) + (0.8 * model.identity(d, 1.0) if model.identity else 0.5)
    return X, rng.choice([-1.0, 1.0], size=len(X)), u


def gradient_of(name, loss):
    """The twin's gradient g(u, rows) of the loss of `data`."""
    model, twin, _, _ = MODELS[name]
    X, y, _ = data(name)
    X = X.reshape(len(X), -1)
    shapes = [(X.shape[1],)] if model.layers is None else model.layers(X.shape[1])
    return naive.gradient(twin, shapes, X, y, loss)


def agrees(name, loss, method, twin, steps=FEW, sharp=1e-12):
    """Whether a run makes the iterates that twin(g, u, steps) yields."""
    X, y, u = data(name)
    trace = fb.run(X, y, loss=loss, method=method, model=MODELS[name][0], start=u, steps=steps, record=np.arange(steps + 1))
    with np.errstate(over="ignore"):
        wanted = np.array(list(twin(gradient_of(name, loss), u, steps)))
    assert np.isfinite(wanted).all()
    assert abs(wanted[-1] - u).max() > 1e-3                      # it goes somewhere
    error = abs(trace.u - wanted).max() / abs(wanted).max()
    assert error <= sharp, error


@pytest.mark.parametrize("loss", naive.PUSHES)
@pytest.mark.parametrize("name", MODELS)
def test_iterates_of_each_model_equal_its_naive_twin(name, loss):
    eta = MODELS[name][3]
    agrees(name, loss, m.gradient_descent(eta), lambda g, u, n: naive.gradient_descent(g, u, eta, n), STEPS)


def drawn(batch, replace, N=4):
    """The samples of each update, read from the compiled sampler."""
    sampling = m.gradient_descent(1, batch=batch, replace=replace, rng=3).sampling
    order = np.full(2 * N + 1, -1)
    return lambda k: order[:call(sampling.piece, sampling.params, k, order)].copy()


E = 0.002
BETAS, GAMMAS = np.array([0.0, 0.5, 0.1, 0.3]), np.array([0.4, 0.0, 0.2])
METHODS = {
    "heavy ball": (m.gradient_descent(E, 0.9), lambda g, u, n: naive.gradient_descent(g, u, E, n, 0.9)),
    "nesterov": (m.gradient_descent(E, 0.8, 0.8), lambda g, u, n: naive.gradient_descent(g, u, E, n, 0.8, 0.8)),
    "power": (m.gradient_descent(fb.steps.power(5 * E, 0.6)),
              lambda g, u, n: naive.gradient_descent(g, u, 5 * E / np.arange(1, n + 1) ** 0.6, n)),
    "sgd": (m.gradient_descent(E, 0.5, batch=2, rng=3),
            lambda g, u, n: naive.gradient_descent(g, u, E, n, 0.5, samples=drawn(2, True))),
    "epochs": (m.gradient_descent(E, 0.3, 0.3, batch=3, replace=False, rng=3),
               lambda g, u, n: naive.gradient_descent(g, u, E, n, 0.3, 0.3, samples=drawn(3, False))),
    "adagrad": (m.adagrad(0.02), lambda g, u, n: naive.adagrad(g, u, 0.02, n)),
    "decay": (m.gradient_descent(E, weight_decay=0.3), lambda g, u, n: naive.gradient_descent(g, u, E, n, decay=0.3)),
    "decay heavy ball": (m.gradient_descent(E, 0.9, weight_decay=0.3),
                         lambda g, u, n: naive.gradient_descent(g, u, E, n, 0.9, decay=0.3)),
    "decay nesterov": (m.gradient_descent(E, 0.8, 0.8, weight_decay=0.3),
                       lambda g, u, n: naive.gradient_descent(g, u, E, n, 0.8, 0.8, decay=0.3)),
    "decay arrays": (m.gradient_descent(E, BETAS, GAMMAS, weight_decay=0.3),
                     lambda g, u, n: naive.gradient_descent(g, u, E, n, BETAS, GAMMAS, decay=0.3)),
    "decay sgd": (m.gradient_descent(E, batch=2, rng=3, weight_decay=0.1),
                  lambda g, u, n: naive.gradient_descent(g, u, E, n, samples=drawn(2, True), decay=0.1)),
}


@pytest.mark.parametrize("loss", ["squared", "exponential"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TWINS)
def test_methods_on_models_equal_their_twins(name, method, loss):
    agrees(name, loss, *METHODS[method])


@pytest.mark.parametrize("name", TWINS)
def test_adam_on_models_equals_its_twin(name):
    agrees(name, "squared", m.adam(0.01), lambda g, u, n: naive.adam(g, u, 0.01, n))


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("name", TWINS)
def test_loss_scaled_steps_on_models_equal_their_twin(name, loss):
    model, (forward, _), _, _ = MODELS[name]
    X, y, _ = data(name)
    X = X.reshape(len(X), -1)

    def eta(u):
        return 0.002 / naive.LOSSES[loss](X @ forward(model.split(u, X.shape[1])), y)
    agrees(name, loss, m.gradient_descent(fb.steps.loss_scaled(0.002)),
           lambda g, u, n: naive.gradient_descent(g, u, eta, n))


@pytest.mark.parametrize("offset", [True, False])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("N", [1, 5, 8, 11, 16, 17])
def test_rectified_units_and_their_pullback_at_any_number_of_points(N, d, offset):
    rng = np.random.default_rng(N + d)
    for k in (1, 2, 5, 8, 19):
        X = rng.normal(size=(N, d))
        model, (forward, back) = models.relu(X, k, offset=offset), naive.relu(X, offset)
        u, v = rng.normal(size=model.parameters(N)), rng.normal(size=N)
        layers = model.split(u, N)
        assert [layer.shape for layer in layers] == [(k,), (k, d), (k,)] + [(1,)] * offset
        assert model.predictor(u, N) == pytest.approx(forward(layers), abs=1e-12)
        assert model.pull(u, v) == pytest.approx(np.concatenate([part.ravel() for part in back(layers, v)]), abs=1e-12)
        assert np.isnan(model.predictor(u * np.nan, N)).all()


@pytest.mark.parametrize("L", range(1, 7))
def test_the_convolutional_predictor_is_its_network_evaluated_layer_by_layer(L):
    rng, model = np.random.default_rng(L), models.convolutional(L)
    for D in (1, 2, 5, 6):
        u, x = rng.normal(size=L * D), rng.normal(size=D)
        w, layers = model.predictor(u, D), model.split(u, D)
        assert w @ x == pytest.approx(naive.network(layers, x), rel=1e-12)
        assert np.fft.fft(w) == pytest.approx(np.prod([np.fft.fft(layer) for layer in layers], axis=0), rel=1e-12, abs=1e-13)


def test_eq_19_is_eq_18_at_half_the_step():
    """For symmetric X the gradient of L(UUᵀ) is 2 ∇L(W) U; the paper prints it without the 2, which is half the step."""
    rng, eta = np.random.default_rng(0), 0.01
    A = rng.normal(size=(4, 3, 3))
    X, y, U = A + A.transpose(0, 2, 1), rng.normal(size=4), rng.normal(size=(3, 2))
    G = np.einsum("n,nij->ij", 2 * (np.einsum("nij,ij->n", X, U @ U.T) - y), X)                    # ∇L(W)
    model = models.symmetric(3, 2)
    plans = [fb.Plan(X, y, loss="squared", method=m.gradient_descent(step), model=model, start=U) for step in (eta, eta / 2)]
    full, half = (plan.run(1).u[-1].reshape(3, 2) for plan in plans)
    assert full == pytest.approx(U - eta * 2 * G @ U, rel=1e-13)                                   # eq. (18)
    assert half == pytest.approx(U - eta * G @ U, rel=1e-13)                                       # eq. (19), as printed
    assert plans[0].problem.descent(U.ravel()) == pytest.approx(-2 * (G @ U).ravel(), rel=1e-13)


@pytest.mark.parametrize("loss", ["squared", "exponential"])
def test_eq_16_is_eq_17_on_lifted_data(loss):
    """GD on UVᵀ is GD on ZZᵀ, Z = [U; V], with data ½[[0, X], [Xᵀ, 0]]: the same iterates at the same step, factor 1."""
    rng, (M, N, r) = np.random.default_rng(1), (3, 4, 2)
    X, y, start = 0.3 * rng.normal(size=(5, M, N)), rng.choice([-1.0, 1.0], size=5), 0.5 * rng.normal(size=(M + N) * r)
    lifted = np.zeros((5, M + N, M + N))
    lifted[:, :M, M:], lifted[:, M:, :M] = X / 2, X.transpose(0, 2, 1) / 2
    steps = STEPS
    low, high = (fb.run(data, y, loss=loss, method=m.gradient_descent(0.01, 0.5), model=model, start=start, steps=steps,
                        record=np.arange(steps + 1))
                 for data, model in ((X, models.factorised(M, N, r)), (lifted, models.symmetric(M + N, r))))
    assert abs(low.u - high.u).max() <= 1e-12 * abs(low.u).max()
    assert abs(low.w - high.w[:, :M, M:]).max() <= 1e-12 * abs(low.w).max()
    assert low.log_loss == pytest.approx(high.log_loss, abs=1e-10)


def test_classes_on_models_run_on_the_matrix_of_their_predictors():
    """Cross-entropy with W = UVᵀ (K, d), against the formula of the softmax."""
    rng = np.random.default_rng(2)
    X, labels, start = rng.normal(size=(6, 3)), np.array([0.0, 1, 2, 3, 1, 0]), 0.5 * rng.normal(size=14)
    steps = min(STEPS, 200)
    trace = fb.run(X, labels, loss="cross_entropy", method=m.gradient_descent(0.02), model=models.factorised(4, 3, 2),
                   start=start, steps=steps, record=np.arange(steps + 1))
    U, V = start[:8].reshape(4, 2), start[8:].reshape(3, 2)
    for row in trace.w:
        assert row == pytest.approx(U @ V.T, rel=1e-12, abs=1e-14)
        scores = np.exp(U @ V.T @ X.T)
        G = (np.eye(4)[:, labels.astype(int)] - scores / scores.sum(axis=0)) @ X                   # −∇L(W)
        U, V = U + 0.02 * G @ V, V + 0.02 * G.T @ U
    assert trace.log_loss[-1] < trace.log_loss[0] - (0.5 if JIT else 0.01)
    with pytest.raises(ValueError, match=r"X must have samples of the shape \(4, 3\) of the factorised"):
        fb.Plan(X, labels % 3, loss="cross_entropy", method=m.gradient_descent(0.1), model=models.factorised(4, 3),
                start=start)


def test_vectors_of_one_sample_of_one_entry():
    """N = d = n = 1, rank over n, depth 1: closed forms of one step."""
    def step(model, u, **how):
        return fb.run([[2.0]] if model.shape != (1, 1) else [[[2.0]]], [1.0], loss="squared", model=model, start=u, steps=1,
                      method=m.gradient_descent(0.1, **how)).u[-1]
    assert step(models.symmetric(1), [0.5]) == pytest.approx([0.5 + 0.1 * 2 * (1 - 0.5) * 2 * 2 * 0.5])
    assert step(models.symmetric(1, 3), [0.5, 0, 0]) == pytest.approx([0.5 + 0.1 * 2 * (1 - 0.5) * 2 * 2 * 0.5, 0, 0])
    for model in (models.diagonal(1), models.convolutional(1), models.deep_linear(1)):
        assert step(model, [0.5]) == pytest.approx([0.5]), model
        assert step(model, [1.0]) == pytest.approx([1 - 0.4]), model
    for model in (models.diagonal(2), models.convolutional(2), models.deep_linear(2), models.factorised(1, 1)):
        assert step(model, [1.0, 2.0]) == pytest.approx([1 - 0.1 * 12 * 2, 2 - 0.1 * 12]), model
    assert step(models.diagonal(3, signed=True), [1.0, 0.5]) == pytest.approx([1 - 0.1 * 3 * 3, 0.5 + 0.1 * 3 * 3 / 4])
    relu = models.relu([1.0], 1)
    assert step(relu, [1.0, 1.0, 0.5, 0.0]) == pytest.approx([1 - 0.8 * 1.5, 0.2, -0.3, -0.8])


def test_power_steps_and_geometries_act_on_the_parameters():
    """Steepest descent in ℓ1 and ℓ∞ on u: the largest entry of the gradient moves, or the sign of all."""
    for name in ("diagonal 2", "factorised"):
        X, y, u = data(name)
        g = gradient_of(name, "squared")(u, slice(None))
        moved = {norm: fb.run(X, y, loss="squared", method=m.steepest_descent(norm, 0.01), model=MODELS[name][0], start=u,
                              steps=1).u[-1] - u for norm in ("l1", "linf")}
        j = int(np.argmax(abs(g)))
        assert moved["l1"] == pytest.approx(-0.01 * g[j] * np.eye(g.size)[j], abs=1e-15)
        assert moved["linf"] == pytest.approx(-0.01 * abs(g).sum() * np.sign(g), rel=1e-12)


def test_weight_decay_comes_to_rest_at_its_stationary_point_and_slows_no_flow():
    """λu = −∇L(u) at the end; on the linear model that is ridge regression, (2XᵀX + λ) w = 2Xᵀy, for the flow too."""
    X, y = fb.data.random_regression(3, 4, rng=0)
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.01, weight_decay=0.5))
    ridge = np.linalg.solve(2 * X.T @ X + 0.5 * np.eye(4), 2 * X.T @ y)
    assert plan.flow().w[-1] == pytest.approx(ridge, rel=1e-8)
    if JIT:
        assert plan.run(20_000).w[-1] == pytest.approx(ridge, rel=1e-10)
        A, labels, u = data("diagonal 2")
        network = fb.Plan(A, labels, loss="squared", method=m.gradient_descent(0.01, 0.5, weight_decay=0.1),
                          model=models.diagonal(2), start=u)
        network.run(100_000)
        assert network.problem.descent(network.u) == pytest.approx(0.1 * network.u, abs=1e-10)
        assert abs(network.w).max() > 0.1
    assert plan.max_step().step_size == pytest.approx(2 / (2 * np.linalg.norm(X, 2) ** 2 + 0.5), rel=1e-9)
    with pytest.raises(fb.NoTheorem, match="weight decay"):
        plan.fast_forward(30)
    with pytest.raises(fb.NoTheorem, match="weight decay"):
        fb.Plan([[1, 2]], [1], loss="probit", method=m.gradient_descent(0.1, weight_decay=1)).fast_forward(9)


def test_weight_decay_pulls_where_the_loss_has_long_vanished():
    """At margins of 10⁴ the gradient is 1e-4343: what is left of a step is the decay, to the last digit."""
    trace = fb.run([[1.0, 0], [0, 1]], [1, 1], loss="exponential", start=[1e4, 2e4], steps=10,
                   method=m.gradient_descent(0.1, weight_decay=0.5))
    assert trace.w[-1] == pytest.approx(np.array([1e4, 2e4]) * 0.95 ** 10, rel=1e-14)


def test_diverging_steps_end_with_the_last_finite_row():
    for name in ("factorised", "diagonal 6", "convolutional 3"):
        X, y, u = data(name)
        plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(10.0), model=MODELS[name][0], start=u)
        trace = plan.run(50, strict=False)
        assert trace.status == fb.Status.NOT_FINITE
        assert np.isfinite(trace.u).all()
        assert np.isfinite(trace.w).all()
        assert not np.isnan(trace.log_loss).any()
        assert len(trace) < 50
        with pytest.raises(fb.RunStopped, match="ceased to be finite in the update from step"):
            plan.run(1)


def test_until_and_rest_on_models():
    X, y, u = data("diagonal 2")
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.02), model=models.diagonal(2), start=u)
    trace = plan.run(STEPS, until=plan.problem.log_loss(u) - 0.5)
    assert trace.status == fb.Status.REACHED
    assert trace.log_loss[-1] <= trace.log_loss[0] - 0.5
    rest = fb.run(X, y, loss="squared", method=m.gradient_descent(0.02), model=models.diagonal(2), start=0 * u, steps=1000)
    assert rest.status == fb.Status.STALLED                      # 0 is a saddle, and may be asked for
    assert (rest.w == 0).all()


def test_the_flow_of_a_model_is_that_of_its_parameters():
    from scipy.integrate import solve_ivp
    for name in ("symmetric", "convolutional 3"):
        X, y, u = data(name)
        plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.1), model=MODELS[name][0], start=u)
        g = gradient_of(name, "squared")
        wanted = solve_ivp(lambda t, u, g=g: -g(u, slice(None)), (0, 2), u, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
        assert plan.flow(time=2.0).u[-1] == pytest.approx(wanted, rel=1e-8, abs=1e-9)


def test_a_flow_ends_where_the_model_can_go_no_further():
    """Rank one cannot meet eight numbers, and balanced layers keep the signs of w: stationary points of other losses."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(8, 3, 3)), rng.normal(size=8)
    model = models.factorised(3, 3, 1)
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.1), model=model, start=model.start(0.5, rng=0))
    u = plan.flow().u[-1]
    assert abs(plan.problem.descent(u)).max() < 1e-6
    assert plan.problem.log_loss(u) > 0
    start = models.diagonal(2).start(1)
    plan = fb.Plan([[1, 1]], [-1], loss="squared", method=m.gradient_descent(0.1), model=models.diagonal(2), start=start)
    flow = plan.flow()
    assert flow.w[-1] == pytest.approx([0, 0], abs=1e-6)         # not −½, which lies beyond 0
    assert flow.w.min() > -1e-12


def test_starts_beyond_float64_are_refused():
    with pytest.raises(ValueError, match=r"start must make a predictor that is finite, got one of the diagonal\(6\) model"):
        fb.Plan([[1, 2]], [1], loss="squared", method=m.gradient_descent(0.1), model=models.diagonal(6), start=[1e60] * 12)
