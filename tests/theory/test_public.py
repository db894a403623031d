"""Thirteen published experiments on implicit bias, on data of our own made as they describe: what `limit()` says of each.

Where it answers, the answer is certified and a run goes there; where it refuses, the reason names what is in the way.
"""
import inspect

import numpy as np
import pytest

import fastbias as fb
from tests.helpers import JIT
from tests.helpers.marks import slow
from tests.helpers.problems import classes

m, N = fb.methods, fb.norms
long = pytest.mark.long


def sparse(samples=20, d=30, support=3, noise=0.0, seed=0):
    """Gaussian samples of a sparse predictor, as the papers on diagonal networks take them, and as many more to test on."""
    rng = np.random.default_rng(seed)
    X, beta = rng.normal(size=(2 * samples, d)), np.zeros(d)
    beta[:support] = 1.0
    y = X @ beta + noise * rng.normal(size=2 * samples)
    return X[:samples], y[:samples], X[samples:], y[samples:]


def plane(samples=30, seed=0):
    """Two clouds with a gap between them."""
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(samples, 2)), np.array([1.0, 0.3])
    y = np.where(X @ w > 0, 1.0, -1.0)
    return X + 0.3 * y[:, None] * w, y


X, Y, X_TEST, Y_TEST = sparse()
PLANE = plane()
PRODUCT = np.concatenate([np.full(30, 0.1), np.zeros(30)])                # u = α1, v = 0


def opened(limit, words):
    return next(h.holds for h in limit.hypotheses if words in h.statement) is None


def verdict(plan):
    """What `limit()` says: a limit, or the refusal."""
    try:
        return plan.limit(), None
    except fb.NoTheorem as refusal:
        return None, refusal


# 1, 2: gradient descent and SGD on u ∘ v (understanding-sam, sgd-sparse-features).


@pytest.mark.parametrize("options", [{}, {"batch": 1, "rng": 0}], ids=["full", "batch 1"])
@long
def test_gradient_descent_on_products_of_two_vectors(options):
    plan = fb.Plan(X, Y, loss="squared", method=m.gradient_descent(1e-3, **options), model=fb.models.diagonal(2), start=PRODUCT)
    limit, trace = plan.limit(), plan.run(20_000)
    assert limit.certified
    assert opened(limit, "η → 0")                                         # finite steps end only near the flow's point
    assert not options or opened(limit, "stochastic gradients")           # whose own noise moves the end further
    assert trace.gap(limit)[-1] < (0.2 if options else 0.1) * trace.gap(limit)[0]
    dense = np.linalg.lstsq(X, Y, rcond=None)[0]
    assert np.abs(limit.w).sum() < np.abs(dense).sum()                    # nearer to ℓ1, so better on a sparse truth
    test = trace.evaluate(X_TEST, Y_TEST).risk[-1]
    assert test < 0.1 * np.mean((X_TEST @ dense - Y_TEST) ** 2)


# 3: gradient descent and Adam on logistic regression (implicit-bias-adam-sgd).


@long
def test_adam_goes_by_the_largest_entry_and_gradient_descent_by_the_length():
    data, ends = ([[2.0, 0.5], [-2.0, -0.5], [3.0, 1.5], [-3.0, -2.0]], [1, -1, 1, -1]), {}
    for name, method in (("gd", m.gradient_descent(0.5)), ("adam", m.adam(1e-3))):
        plan = fb.Plan(*data, loss="logistic", method=method)
        trace = plan.run(50_000)
        ends[name] = [trace.margin(norm)[1:] / fb.max_margin(*data, norm).margin for norm in ("l2", "linf")]
        if name == "gd":
            assert plan.limit().certified
            assert plan.limit().norm.name == "l2"
        else:
            # with its ε the end is ℓ2's at last, which is known from an abstract
            limit = plan.limit()
            assert limit.norm.name == "l2"
            assert "Wang" in limit.source
    assert ends["gd"][0][-1] > 0.95 > ends["gd"][1].max()
    best = ends["adam"][1].max()
    assert best > 0.97 > ends["adam"][0].max()
    assert ends["adam"][1][-1] < best - 0.01                              # |g| is under ε by then: it has turned


def test_adam_as_its_theorem_has_it_is_answered():
    limit = fb.Plan(*PLANE, loss="logistic", method=m.adam(fb.steps.power(0.1, 0.5), eps=0.0)).limit()
    assert limit.certified
    assert limit.norm.name == "linf"


# 4: six optimisers on separable classes (observing-the-implicit-bias-on-multiclass-seperable-data).


FALLING = fb.steps.power(0.1, 0.5)
SIX = {
    "gradient descent": (m.gradient_descent(0.02), N.l2),
    "normalised": (m.steepest_descent("l2", FALLING, normalised=True), N.l2),
    "sign": (m.sign_descent(FALLING), N.linf),
    "coordinate": (m.coordinate_descent(0.02), N.l1),
    "spectral": (m.steepest_descent(N.spectral(4, 6), FALLING, normalised=True), N.spectral(4, 6)),
    "nuclear": (m.steepest_descent(N.nuclear(4, 6), FALLING, normalised=True), N.nuclear(4, 6)),
}


@pytest.mark.parametrize("name", [*list(SIX)[:3], *slow(*list(SIX)[3:])])
def test_six_optimisers_have_the_margins_of_their_norms(name):
    method, norm = SIX[name]
    A, labels = classes(30, 6, 4, 1)
    plan = fb.Plan(A, labels, loss="cross_entropy", method=method)
    limit = plan.limit()
    assert limit.certified
    assert limit.norm.name == norm.name
    assert limit.margin == pytest.approx(fb.max_margin(A, labels, norm).margin, rel=1e-9)
    few, many = (30, 300) if JIT else (4, 40)
    margins = plan.run(many, record=[0, few, many]).margin(norm) / limit.margin
    assert margins[1] < margins[2] <= 1 + 1e-9


# 5: logistic regression with momentum (Empirical-Study-of-Implicit-Bias-in-Gradient-Methods).


@pytest.mark.parametrize("beta", [0.9, 0.5])
@long
def test_momentum_keeps_the_direction(beta):
    plan = fb.Plan(*PLANE, loss="logistic", method=m.gradient_descent(0.05, beta))
    limit, trace = plan.limit(), plan.run(200_000, record=[2000, 200_000])
    assert limit.certified
    assert limit.norm.name == "l2"
    assert opened(limit, "momentum keeps the direction")
    assert trace.gap(limit)[-1] < min(0.05, 0.7 * trace.gap(limit)[1])


# 6: AdaGrad in the plane (Implicit-bias-Adagrad).


def test_adagrad_is_measured_and_depends_on_its_step():
    ends = []
    for eta in (0.05, 0.5):
        plan = fb.Plan([[2.0, 1.0], [3.0, 2.0]], [1, 1], loss="exponential", method=m.adagrad(eta))
        with pytest.raises(fb.NoTheorem, match="run"):
            plan.limit()
        plan.run(400)
        limit = plan.limit()
        assert limit.certified
        assert opened(limit, "G is what it will be")
        ends.append(limit.w / np.linalg.norm(limit.w))
    assert np.linalg.norm(ends[0] - ends[1]) > 1e-4                       # no direction of the data alone


# 7: p-GD (fekonrad/Implicit-Bias).


@pytest.mark.parametrize("p", [1.1, 3, *slow(1.5, 10, 50)])
def test_mirror_descent_in_powers_goes_to_the_margin_of_lp(p):
    limit = fb.Plan(*PLANE, loss="exponential", method=m.mirror_descent(fb.potentials.power(p), 0.01)).limit()
    other = fb.max_margin(*PLANE, N.lp(p))
    assert limit.certified
    assert limit.margin == pytest.approx(other.margin, rel=1e-9)
    assert limit.w == pytest.approx(other.w, abs=1e-6)


# 8: u₊ ∘ v₊ − u₋ ∘ v₋ of another shape of the start (shaharazulay/implicit-bias), as a network on [X, −X].


def test_the_shape_of_the_start_counts():
    A, b = X[:8, :10], X[:8, :3].sum(axis=1)
    twice, ends = np.hstack([A, -A]), []
    for shape in (1.0, 4.0):
        start = np.concatenate([np.full(20, 0.3 * shape), np.full(20, 0.3 / shape)])
        plan = fb.Plan(twice, b, loss="squared", method=m.gradient_descent(1e-4), model=fb.models.diagonal(2), start=start)
        limit = plan.limit()
        assert limit.certified
        w = limit.w[:10] - limit.w[10:]
        assert A @ w == pytest.approx(b, abs=1e-9)
        # both halves are pushed alike, up and down: their flows keep w₊ and w₋ on one curve each
        ends.append(w)
    assert np.linalg.norm(ends[0] - ends[1]) > 0.01                       # of one product u v, another shape, another end


# 9: depth 2, 3, 5 on sparse regression (Implicit-Sparse-Regularization).


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_depths_of_diagonal_networks_are_answered_or_refused(depth):
    model = fb.models.diagonal(depth, signed=True)
    plan = fb.Plan(X, Y, loss="squared", method=m.gradient_descent(1e-3), model=model, start=model.start(0.1))
    limit, refusal = verdict(plan)
    if refusal is not None:
        assert depth > 2
        assert "start and step size" in refusal.reason
        return
    # (of depth 3 and more it is Woodworth et al.'s, where the table has it)
    assert limit.certified
    assert opened(limit, "η → 0")
    assert X @ limit.w == pytest.approx(Y, abs=1e-8)
    assert np.abs(limit.w).sum() < np.abs(np.linalg.lstsq(X, Y, rcond=None)[0]).sum()


# 10: early-stopped mirror descent (early-stopped-mirror-descent).


@long
def test_early_stopping_of_mirror_descent():
    A, b, A_test, b_test = sparse(noise=1.0, seed=1)
    plan = fb.Plan(A, b, loss="squared", method=m.mirror_descent(fb.potentials.hypentropy(1e-3), 1e-4))
    limit, trace = plan.limit(), plan.run(100_000)
    assert limit.certified
    assert limit.theorem.startswith("Theorem 1")
    assert trace.gap(limit)[-1] < 0.05 * trace.gap(limit)[0]
    risk = trace.evaluate(A_test, b_test).risk
    best = int(risk.argmin())
    assert 0 < best < len(trace) - 1                                      # the limit is not where it is best to stop
    assert risk[best] < 0.8 * risk[-1]


# 11: depth-10 linear networks (PierreMarion23).


def chain():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(20, 3)) / np.sqrt(20)
    start = np.concatenate([(np.eye(3) + 0.25 * rng.normal(size=(3, 3))).ravel() for _ in range(9)] + [0.5 * rng.normal(size=3)])
    return A, A @ np.array([1.5, -1.0, 0.5]), start


def test_no_theorem_says_where_depth_ten_ends():
    A, b, start = chain()
    plan = fb.Plan(A, b, loss="squared", method=m.gradient_descent(0.02), model=fb.models.deep_linear(10), start=start)
    with pytest.raises(fb.NoTheorem, match="start and step size"):
        plan.limit()


@long
def test_depth_ten_ends_below_the_edge_of_stability():
    """Where gradient flow ends in a minimiser sharper than 2/η, steps of η end close under 2/η (Marion & Chizat 2024)."""
    A, b, start = chain()
    ends = {}
    for eta in (0.02, 0.001):
        trace = fb.run(A, b, loss="squared", method=m.gradient_descent(eta), model=fb.models.deep_linear(10), start=start,
                       steps=int(100 / eta), until=-55)
        ends[eta] = trace.sharpness()[-1]
    assert ends[0.001] > 2 / 0.02
    assert 0.9 * 2 / 0.02 < ends[0.02] < 2 / 0.02


# 12, 13: label noise (noise-implicit-bias), SAM (understanding-sam): where a method knows them, no row may claim more than it has.


def answered_or_refused(method):
    limit, refusal = verdict(fb.Plan(X, Y, loss="squared", method=method, model=fb.models.diagonal(2), start=PRODUCT))
    assert len(refusal.reason) > 20 if limit is None else any(h.holds is None for h in limit.hypotheses)


def test_label_noise_is_answered_or_refused():
    if "label_noise" not in inspect.signature(m.gradient_descent).parameters:
        pytest.skip("no method has label_noise= yet")
    answered_or_refused(m.gradient_descent(1e-3, label_noise=0.5, rng=0))


def test_sharpness_aware_minimisation_is_answered_or_refused():
    if not hasattr(m, "sharpness_aware"):
        pytest.skip("there is no sharpness_aware yet")
    answered_or_refused(m.sharpness_aware(m.gradient_descent(1e-3), 0.1))
