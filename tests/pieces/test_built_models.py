"""Models built of others, and what theory says of the newer ones: products, differences, groups, held layers, lengths, tokens."""
import dataclasses
import pickle

import numpy as np
import pytest

import fastbias as fb
from tests.helpers import JIT
from tests.helpers import naive_models as naive

m, models = fb.methods, fb.models
long = pytest.mark.long
SCALED = m.gradient_descent(fb.steps.loss_scaled(0.005))
STEPS = 200 if JIT else 20


def data(N, *shape, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, *shape))
    return X, np.sign((X * rng.normal(size=shape)).reshape(N, -1).sum(axis=1))


def ran(X, y, model, start, method=None, loss="squared", steps=STEPS):
    return fb.run(X, y, loss=loss, method=method or m.gradient_descent(0.005, 0.5), model=model, start=start, steps=steps,
                  record=np.arange(steps + 1))


# one model is another ----------------------------------------------------------------------------------------------------

def test_a_product_with_one_row_is_a_deep_linear_network():
    (X, y), rng = data(5, 4), np.random.default_rng(1)
    W1, W2, w3 = rng.normal(size=(2, 4)), rng.normal(size=(2, 2)), rng.normal(size=2)
    deep = ran(X, y, models.deep_linear(3, 2), [W1, W2, w3])
    flat = ran(X[:, None], y, models.factorised(1, 4, 2, depth=3), [w3[None], W2, W1.T])
    assert flat.w[:, 0] == pytest.approx(deep.w, rel=1e-11, abs=1e-13)
    assert abs(deep.w[-1] - deep.w[0]).max() > 0.1


def test_a_difference_of_products_is_a_product_on_features_and_their_negatives():
    X, y = data(5, 3)
    u = np.random.default_rng(1).uniform(0.2, 1.0, size=12)
    apart = ran(X, y, models.diagonal(2, signed=True, tied=False), u)
    plain = ran(np.hstack([X, -X]), y, models.diagonal(2), u.reshape(2, 2, 3).transpose(1, 0, 2).ravel())
    assert apart.w == pytest.approx(plain.w[:, :3] - plain.w[:, 3:], rel=1e-11, abs=1e-13)


def test_powers_are_the_half_of_a_signed_network_that_moves():
    X, y = data(5, 3)
    u = np.array([0.5, 0.8, 0.3])
    for L in (2, 3, 4):
        one = ran(X, y, models.diagonal(L, tied=True), u)
        both = ran(X, y, models.diagonal(L, signed=True), np.append(u, 0 * u))
        assert one.w == pytest.approx(both.w, rel=1e-12, abs=1e-14)


def test_groups_of_one_feature_each_are_products_of_three_factors_two_of_them_tied():
    """u²v moves as u₁u₂v from u₁ = u₂ does, where u moves by twice the step."""
    X, y = data(5, 3)
    u, v, eta = np.array([0.5, 0.8, 0.3]), np.array([0.2, -0.4, 1.0]), 1e-3
    trace = ran(X, y, models.grouped([[0], [1], [2]]), np.append(u, v), m.gradient_descent(eta))
    for row in trace.w:
        assert row == pytest.approx(u * u * v, rel=1e-11)
        push = 2 * X.T @ (y - X @ (u * u * v))
        u, v = u + 2 * eta * u * v * push, v + eta * u * u * push


# layers that are held ----------------------------------------------------------------------------------------------------

HELD = models.frozen(models.diagonal(3, signed=False), 1, [2.0, -1.0, 0.5])


@pytest.mark.parametrize("method", [m.gradient_descent(0.0005, 0.9, 0.9), m.gradient_descent(0.001, weight_decay=0.5),
                                    m.sign_descent(0.001), m.adagrad(0.01), m.adam(0.01),
                                    m.steepest_descent("l1", 0.001)], ids=repr)
def test_no_method_moves_what_is_held(method):
    """The predictor is that of the whole model with the layer put back, and its moves are those of the others alone."""
    X, y = data(5, 3)
    trace = ran(X, y, HELD, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], method)
    whole = np.hstack([trace.u[:, :3], np.tile([2.0, -1.0, 0.5], (len(trace), 1)), trace.u[:, 3:]])
    assert trace.w == pytest.approx(models.diagonal(3).predictor(whole, 3), rel=1e-13)
    assert trace.u.shape[1] == 6
    assert abs(trace.u[-1] - trace.u[0]).min() > 0 or "steepest" in repr(method)


def test_held_layers_travel_in_checkpoints_and_pickles(tmp_path):
    X, y = data(5, 3)
    for model, start in ((HELD, np.full(6, 0.5)), (models.grouped([[2, 0], [1]]), np.full(5, 0.5)),
                         (models.attention(np.arange(30.0).reshape(5, 3, 2) % 7), np.full(4, 0.1)),
                         (models.frozen(models.attention(np.arange(30.0).reshape(5, 3, 2) % 7), 1, [1.0, -1]), np.full(2, 0.1)),
                         (models.frozen(models.relu(X, 2), [1, 2], [np.ones((2, 3)), [0.1, 0.2]]), np.full(3, 0.5))):
        A = np.eye(5) if model.length == 5 else X
        plan = fb.Plan(A, y, loss="squared", method=m.gradient_descent(0.01), model=model, start=start)
        plan.run(5)
        plan.save(tmp_path / "p.npz")
        again = fb.Plan.load(tmp_path / "p.npz")
        copy = pickle.loads(pickle.dumps(model))
        assert again.problem.model.name == copy.name == model.name
        for other in (again.problem.model, copy):
            assert other.predictor(start, A.shape[1]).tolist() == model.predictor(start, A.shape[1]).tolist()
        assert again.run(5).u[-1].tolist() == plan.run(5).u[-1].tolist()


def test_what_is_left_of_a_product_is_homogeneous_and_of_others_nothing_is_said():
    assert models.frozen(models.deep_linear(3, 2), 0, np.ones((2, 4))).degree == 2
    assert models.frozen(models.deep_linear(3, 2), [0, 1], [np.ones((2, 4)), np.ones((2, 2))]).degree == 1
    assert models.frozen(HELD, 0, [1.0, 1, 1]).degree == 1
    for model, layers, values in ((models.diagonal(2, signed=True), 0, [1.0, 2.0]),
                                  (models.relu([0.0, 1.0, 2.0], 2, offset=False), 2, [0.1, 0.2]),
                                  (models.diagonal(2, signed=True, tied=False), [0, 2], [[1.0], [2.0]]),
                                  (models.weight_normalised, 0, [2.0])):
        size = 2 if model is models.weight_normalised else None
        assert models.frozen(model, layers, values, size=size).degree == 0


def test_a_model_of_ones_own_is_not_believed_for_being_inside_another():
    own = dataclasses.replace(models.diagonal(2, signed=True, tied=False), multilinear=True)      # which is a lie
    assert models.frozen(own, 0, [1.0, 2.0]).degree == 0
    with pytest.raises(fb.laws.LawBroken, match="linear in each layer"):
        fb.laws.check(own)


def test_laws_see_a_model_that_only_claims_to_be_symmetric():
    with pytest.raises(ValueError, match="F.u. is symmetric where that is claimed"):
        fb.laws.check(dataclasses.replace(models.factorised(2, 2), symmetric=True))


# what theory says --------------------------------------------------------------------------------------------------------

def test_of_samples_that_are_not_symmetric_symmetric_models_see_the_symmetric_parts():
    """The margin is that over symmetric W, which is less than what other matrices reach, and bounds what runs reach."""
    X, y = data(5, 3, 3, seed=2)
    model = models.symmetric(3, signed=True)
    S = (X + X.transpose(0, 2, 1)) / 2
    plan = fb.Plan(X, y, loss="exponential", method=SCALED, model=model, start=model.start(0.3, rng=3))
    limit = plan.limit()
    assert limit.certified
    assert limit.w == pytest.approx(limit.w.T, abs=1e-12)
    assert np.linalg.svd(limit.w)[1].sum() <= 1 + 1e-9
    assert (y * (X * limit.w).sum((1, 2))).min() == pytest.approx(limit.margin, rel=1e-9)
    assert limit.margin == pytest.approx(fb.max_margin(S, y, fb.norms.nuclear(3, 3)).margin, rel=1e-8)
    assert limit.margin < 0.99 * fb.max_margin(X, y, fb.norms.nuclear(3, 3)).margin
    assert all(h.holds is not False for h in limit.hypotheses)
    if JIT:
        trace = plan.run(10**5, until=-1e100)
        assert 0.99 * limit.margin < trace.margin(fb.norms.nuclear(3, 3))[-1] <= limit.margin * (1 + 1e-9)
    # antisymmetric samples are 0 to it
    with pytest.raises(fb.NoTheorem, match="some symmetric W separates the data: that is not so"):
        fb.Plan([[[0, 1], [-1, 0]]], [1], loss="exponential", method=SCALED, model=models.symmetric(2, signed=True),
                start=models.symmetric(2, signed=True).start(1)).limit()


PREFERRED = {                                                    # model, its norm
    "untied": (models.diagonal(2, signed=True, tied=False), fb.norms.l1),
    "groups": (models.grouped([[0, 3], [1, 4, 5], [2]], power=1), fb.norms.group([[0, 3], [1, 4, 5], [2]])),
}


@pytest.mark.parametrize("name", PREFERRED)
def test_runs_reach_the_maximum_margin_in_the_norm_of_the_penalty(name):
    model, norm = PREFERRED[name]
    X, y = data(5, 6, seed=1)
    start = model.start(0.3) if name == "untied" else model.start(0.01, rng=5, size=6)
    plan = fb.Plan(X, y, loss="exponential", method=SCALED, model=model, start=start)
    limit = plan.limit()
    assert limit.certified
    assert limit.margin == pytest.approx(fb.max_margin(X, y, norm).margin, rel=1e-8)
    assert not any(h.holds is False for h in limit.hypotheses)
    if JIT:
        assert plan.run(10**5, until=-1e100).margin(norm)[-1] >= 0.995 * limit.margin


def test_squares_reach_the_margin_of_the_orthant_or_say_that_they_cannot():
    X, _ = data(4, 3, seed=3)
    model = models.diagonal(2, tied=True)
    w = np.array([0.5, 1.0, 0.2])
    y = np.sign(X @ w)
    inside = fb.Plan(np.abs(X), np.ones(4), loss="exponential", method=SCALED, model=model, start=model.start(0.3))
    limit = inside.limit()
    assert (limit.w >= -1e-12).all()
    assert limit.margin == pytest.approx(fb.max_margin(np.abs(X), np.ones(4), "l1").margin, rel=1e-9)
    outside = fb.Plan([[-1.0, 0.2, 0.1]], [1], loss="exponential", method=SCALED, model=model, start=model.start(0.3))
    with pytest.raises(fb.NoTheorem, match="signs are others than those that exactly balanced factors keep"):
        outside.limit()
    assert y.any()


STATIONARY = {
    "products": (models.factorised(2, 3, depth=3), (2, 3)), "groups": (models.grouped([[0, 3], [1, 4, 5], [2]]), (6,)),
    "held": (models.frozen(models.diagonal(3), 1, [1.0, 2, 0.5, 1, 1, 3]), (6,)), "powers": (models.diagonal(3, tied=True), (6,)),
}


@long
@pytest.mark.parametrize("name", STATIONARY)
def test_of_deeper_models_the_runs_own_direction_is_measured(name):
    model, shape = STATIONARY[name]
    X, y = data(5, *shape, seed=1)
    if name == "powers":
        X, y = np.abs(X), np.abs(y)                                # by some w ≥ 0
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(fb.steps.loss_scaled(1e-4)), model=model,
                   start=model.start(0.5, rng=3) if name != "powers" else model.start(0.5))
    with pytest.raises(fb.NoTheorem, match="needs a run first"):
        plan.limit()
    # before steps η/L outgrow the model, which the limit refuses
    trace = plan.run(10**6, until=-2500 if name == "powers" else -600)
    limit, residuals = plan.limit(), trace.kkt_residual()
    assert limit.theorem.startswith("a stationary point")
    assert residuals[-1] == pytest.approx(limit.duality_gap, rel=1e-6)
    assert residuals[-1] < 0.7 * residuals[np.argmax(trace.log_loss <= -3)]


def test_lengths_and_tokens_are_refused_in_a_sentence():
    X, y = data(4, 3)
    for model, A, start, why in ((models.weight_normalised, X, [1.0, 1, 2, 3], "homogeneous F"),
                                 (models.attention(np.ones((4, 2, 3))), np.eye(4), np.ones(6), "the query q")):
        for loss, words in (("exponential", why), ("squared", "no potential is known")):
            plan = fb.Plan(A, y, loss=loss, method=m.gradient_descent(0.01), model=model, start=start)
            with pytest.raises(fb.NoTheorem, match=words):
                plan.limit()
        with pytest.raises(fb.NoTheorem, match="not homogeneous"):
            fb.Plan(A, y, loss="exponential", method=m.gradient_descent(0.01), model=model, start=start).fast_forward(20)


def test_what_weight_normalisation_forgets_of_its_start():
    """Wu et al. (2020): off the span of the data v falls like exp(−g²/2‖v‖²), and ‖v‖ stays; w∞ follows from one equation."""
    X, y = np.random.default_rng(0).normal(size=(2, 5)), np.array([2.0, -1.0])
    start = np.array([0.5, 1.0, -0.5, 0.3, 2.0, 0.7])
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.01), model=models.weight_normalised, start=start)
    flow = plan.flow()
    off = np.linalg.svd(X)[2][2:]
    g, v = flow.u[:, 0], flow.u[:, 1:]
    r2 = start[1:] @ start[1:]
    assert (v * v).sum(axis=1) == pytest.approx(r2, rel=1e-7)
    wanted = np.outer(np.exp((g[0] ** 2 - g ** 2) / (2 * r2)), off @ start[1:])
    assert v @ off.T == pytest.approx(wanted, abs=1e-7)
    assert X @ flow.w[-1] == pytest.approx(y, abs=1e-7)
    steps = fb.run(X, y, loss="squared", method=m.gradient_descent(0.02), model=models.weight_normalised, start=start, steps=50)
    assert (np.diff((steps.u[:, 1:] ** 2).sum(axis=1)) > 0).all()         # of finite steps it grows


def test_the_flow_of_each_kind_of_diagonal_network_against_its_parameters():
    """In coordinates of its own, as the plain equation of its parameters goes."""
    from scipy.integrate import solve_ivp
    X, y = data(2, 3)
    for model, twin, start in ((models.diagonal(2, tied=True), naive.power(2), [0.5, -0.4, 1.0]),
                               (models.diagonal(3, tied=True), naive.power(3), [0.5, 0.4, 0.0]),
                               (models.diagonal(2, signed=True, tied=False), naive.apart(naive.diagonal()),
                                [0.5, -0.4, 1.0, 0.2, 0.3, 0.1, 0.7, 0.7, 0.0, 0.1, -0.5, 0.6]),
                               (models.diagonal(3, signed=True, tied=False), naive.apart(naive.diagonal()),
                                np.random.default_rng(0).uniform(0.2, 0.8, 18))):
        flow = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.1), model=model, start=start).flow(time=1.5)
        g = naive.gradient(twin, model.layers(3), X, y, "squared")
        wanted = solve_ivp(lambda t, u, g=g: -g(u, slice(None)), (0, 1.5), np.array(start), method="DOP853", rtol=1e-12,
                           atol=1e-13).y[:, -1]
        assert flow.u[-1] == pytest.approx(wanted, rel=1e-7, abs=1e-8)


def test_untied_networks_end_where_their_potential_says():
    X, y = np.random.default_rng(3).normal(size=(2, 4)), np.array([1.0, -0.5])
    for model, start in ((models.diagonal(2, signed=True, tied=False), np.random.default_rng(1).uniform(-0.5, 0.5, 16)),
                         (models.diagonal(2, signed=True, tied=False), np.tile([0.3, 0.1, 0.3, 0.2], 4)),
                         (models.diagonal(2, tied=True), np.array([0.3, -0.5, 0.2, 0.7]))):
        goal = y if "signed" in model.name else X @ [0.3, 0.5, 1.0, 0.1]
        plan = fb.Plan(X, goal, loss="squared", method=m.gradient_descent(0.01), model=model, start=start)
        limit, flow = plan.limit(flow=True), plan.flow()
        assert limit.certified
        assert flow.w[-1] == pytest.approx(limit.w, abs=1e-7)


@pytest.mark.parametrize(("L", "start"), [(3, [0.3, -0.5, 0.2, 0.7]), (4, [0.3, -0.5, 0.2, 0.7]), (5, [0.6, 0.5, 0.0, 0.7])])
def test_the_flow_of_one_power_ends_where_its_potential_says(L, start):
    """ψ'' ∝ |w|^{2/L−2}: −|w|^{2/L−1} sign(w) moves in the span of the samples; signs are kept, and 0 stays."""
    X, start = np.random.default_rng(3).normal(size=(2, 4)), np.array(start)
    signs = np.sign(start) if L % 2 else np.abs(np.sign(start))
    y = X @ (signs * [0.3, 0.5, 1.0, 0.1])
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.01), model=models.diagonal(L, tied=True), start=start)
    limit = plan.limit(flow=True)
    assert limit.certified
    assert plan.flow().w[-1] == pytest.approx(limit.w, abs=1e-6)
    assert X @ limit.w == pytest.approx(y, rel=1e-9)
    assert (np.sign(limit.w) == signs).all()
    on = signs != 0
    z = [-signs[on] * abs(w[on]) ** (2 / L - 1) for w in (limit.w, start ** L)]
    off = np.linalg.svd(X[:, on])[2][2:]
    assert abs(off @ (z[0] - z[1])).max() < 1e-9 * abs(z[1]).max()


@long
def test_with_its_head_held_attention_turns_to_the_maximum_margin_between_tokens():
    """Tarzanagh et al. (2023): for the tokens of the best value, where all others are worth the same."""
    rng = np.random.default_rng(2)
    X, v = rng.normal(size=(4, 3, 10)), rng.normal(size=10)
    y = rng.choice([-1.0, 1.0], size=4)
    X -= np.multiply.outer(X @ v, v) / (v @ v)                              # all tokens are worth 0 ...
    X[:, 0] += np.multiply.outer(y, v) / (v @ v)                            # ... but the first of each
    gaps = (X[:, :1] - X[:, 1:]).reshape(-1, 10)
    best = fb.max_margin(gaps, np.ones(len(gaps)))
    model = models.frozen(models.attention(X), 1, v)
    trace = fb.run(np.eye(4), y, loss="logistic", method=m.gradient_descent(2.0), model=model, start=np.zeros(10), steps=20_000)
    fraction = [(gaps @ q).min() / np.linalg.norm(q) / best.margin for q in trace.u[np.linspace(20, len(trace) - 1, 5, dtype=int)]]
    assert (np.diff(fraction) > 0).all()
    assert 0.9 < fraction[-1] < 1


def test_softmax_of_scores_beyond_exp_picks_the_token_of_the_largest():
    tokens = np.array([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]])
    model = fb.models.attention(tokens)
    for q in ([1e4, 0.0], [-1e4, 0.0]):
        best = np.argmax(tokens @ q, axis=1)
        picked = tokens[[0, 1], best]
        assert model.predictor([*q, 1.0, 5.0], 2).tolist() == (picked @ [1.0, 5.0]).tolist()
        assert model.pull(np.array([*q, 1.0, 5.0]), np.ones(2)).tolist() == [0.0, 0.0, *picked.sum(axis=0)]
