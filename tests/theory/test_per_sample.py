"""Adam one sample at a time: a quadratic norm that the support vectors make themselves."""
import numpy as np
import pytest
from scipy.optimize import nnls

import fastbias as fb

m, S = fb.methods, fb.steps


def data(seed):
    """Separable, with a margin, of two to four features."""
    rng = np.random.default_rng(seed)
    d, N = int(rng.integers(2, 5)), int(rng.integers(3, 7))
    v = rng.normal(size=d)
    X = rng.normal(size=(N, d))
    y = np.sign(X @ v)
    return X + 0.5 * y[:, None] * v / np.linalg.norm(v), y


def adam(eta=0.1, **options):
    return m.adam(S.power(eta, 0.5), **{"eps": 0, "batch": 1, "rng": 0} | options)


def plan(seed, **options):
    return fb.Plan(*data(seed), loss="exponential", method=adam(**options))


def twin(Z, c):
    """w ← argmin wᵀM(c)w s.t. Zw ≥ 1, c ← half its multipliers: written from the definition."""
    for _ in range(600):
        M = np.sqrt((c ** 2) @ (Z ** 2))
        R = Z / np.sqrt(M)
        u = nnls(np.vstack([R.T, np.ones(len(Z))]), np.append(np.zeros(Z.shape[1]), 1.0), maxiter=1000)[0]
        c = 0.5 * (c + u / u.sum())
    w = R.T @ u / np.sqrt(M)
    return w / np.linalg.norm(w), c


def named(seed, **options):
    """The limit, None where several points are fixed."""
    try:
        return plan(seed, **options).limit()
    except fb.NoTheorem as why:
        if "not the only one" not in why.reason:
            raise
        return None


@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 60), marks=pytest.mark.exhaustive)], ids=["5", "55 more"])
def test_the_point_is_that_of_the_twin_and_certified(seeds):
    several = []
    for seed in seeds:
        X, y = data(seed)
        Z = y[:, None] * X
        told = named(seed)
        if told is None:
            ends = [twin(Z, np.random.default_rng(start).dirichlet(np.ones(len(Z))))[0] for start in range(8)]
            assert max(np.linalg.norm(end - ends[0]) for end in ends) > 1e-3, seed
            several.append(seed)
            continue
        assert told.certified
        unit = told.w / np.linalg.norm(told.w)
        w, c = twin(Z, np.random.default_rng(seed).dirichlet(np.ones(len(Z))))
        assert np.allclose(unit, w, atol=1e-7), seed
        assert np.allclose(told.dual, c, atol=1e-7)
        # the fixed point, by hand: M(c) w ∝ Σ c z, margins of all at least those where c > 0
        pull = told.dual @ Z / np.sqrt((told.dual ** 2) @ (Z ** 2))
        assert np.allclose(pull / np.linalg.norm(pull), unit, atol=1e-8)
        assert (Z @ unit).min() >= (Z @ unit)[told.dual > 1e-9].max() * (1 - 1e-8)
    assert len(several) <= len(seeds) // 10, several


def test_where_two_points_are_fixed_the_start_decides_and_none_is_named():
    """Both draw flows of the proxy; each is the maximum margin in the norm of its own multipliers."""
    X, y = data(36)
    Z = y[:, None] * X
    with pytest.raises(fb.NoTheorem, match=r"not the only one.*0\.0000, 0\.8666, 0\.1334"):
        plan(36).limit()
    one, other = (twin(Z, np.random.default_rng(seed).dirichlet(np.ones(3)))[0] for seed in (0, 1))
    assert np.linalg.norm(one - other) > 0.5
    for seed, end in ((1, one), (2, other)):
        w = 3 * np.random.default_rng(seed).normal(size=3)
        for t in range(10_000):
            a = np.exp((Z @ w).min() - Z @ w)
            w += (a @ Z) / np.sqrt((a ** 2) @ (Z ** 2)) / np.sqrt(t + 1)
        assert np.linalg.norm(w / np.linalg.norm(w) - end) < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_the_flow_of_its_proxy_ends_there(seed):
    """w moves along Σ a z/√(Σ a² z²): M(c) is right, and no other norm is."""
    X, y = data(seed)
    Z = y[:, None] * X
    w = np.zeros(Z.shape[1])
    for t in range(20_000):
        a = np.exp((Z @ w).min() - Z @ w)
        w += (a @ Z) / np.sqrt((a ** 2) @ (Z ** 2)) / np.sqrt(t + 1)
    unit = w / np.linalg.norm(w)
    told = plan(seed).limit().w
    assert np.linalg.norm(unit - told / np.linalg.norm(told)) < 0.015
    assert np.linalg.norm(unit - fb.max_margin(X, y).w) > 0.05
    other = fb.max_margin(X, y, "linf").w
    assert np.linalg.norm(unit - other / np.linalg.norm(other)) > 0.03


@pytest.mark.parametrize("seed", range(5))
def test_of_scaled_signs_it_is_l2(seed):
    """Where all features of a sample have one size M(c) is a multiple of 1."""
    rng = np.random.default_rng(seed)
    X = rng.choice([-1.0, 1.0], size=(5, 6)) * rng.uniform(0.5, 2.0, size=(5, 1))
    X[:, 0] = np.abs(X[:, 0])                                # separable by the first
    told = fb.Plan(X, np.ones(5), loss="exponential", method=adam()).limit()
    l2 = fb.max_margin(X, np.ones(5))
    assert told.certified
    assert np.allclose(told.w / np.linalg.norm(told.w), l2.w, atol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [(264,), *(pytest.param(range(k, k + 5), marks=pytest.mark.exhaustive) for k in range(0, 50, 5))],
                         ids=str)
@pytest.mark.parametrize("options", [{}, {"replace": False}, {"beta1": 0.0}], ids=["drawn", "shuffled", "RMSProp"])
def test_runs_come_near_in_its_norm(seeds, options):
    """Within 2 % of its margin."""
    for seed in seeds:
        options = {"beta2": 0.999} | options
        p, told = plan(seed, **options), named(seed, **options)
        if told is None:
            continue
        assert not any(h.holds is False for h in told.hypotheses)
        trace = p.run(1_000_000, record=8)
        assert trace.margin(told.norm)[-1] > 0.98 * told.margin, (seed, trace.margin(told.norm)[-1] / told.margin)


def test_full_batches_and_single_samples_have_rows_of_their_own():
    X, y = data(1)
    whole = fb.Plan(X, y, loss="exponential", method=m.adam(S.power(0.1, 0.5), eps=0)).limit()
    single = plan(1).limit()
    assert (whole.source, single.source) == ("Zhang, Zou, Cao (2024)", "Baek, Song, Yun (2025)")
    assert np.linalg.norm(whole.w / np.linalg.norm(whole.w) - single.w / np.linalg.norm(single.w)) > 0.05


@pytest.mark.parametrize(("method", "words"), [
    (adam(batch=2), "eps=0 and batch=1"), (m.adam(S.power(0.1, 0.5), batch=1), "eps=0 and batch=1"),
    (adam(replace="independent"), "eps=0 and batch=1"), (m.signum(S.power(0.1, 0.5), batch=1), "of Signum it is known"),
    (m.adam(0.1, eps=0, batch=1), "step sizes that fall to 0"), (adam(label_noise=0.1), "noise"),
    (m.adamw(S.power(0.1, 0.5), eps=0, batch=1, weight_decay=0.1), "eps=0 and batch=1")], ids=repr)
def test_what_is_not_covered_is_refused(method, words):
    with pytest.raises(fb.NoTheorem, match=words):
        fb.Plan(*data(0), loss="exponential", method=method).limit()


@pytest.mark.parametrize(("model", "loss"), [(fb.models.diagonal(2), "exponential"), (fb.models.linear, "squared")])
def test_nor_are_networks_and_losses_with_a_root(model, loss):
    X, y = data(0)
    with pytest.raises(fb.NoTheorem, match="characterisation"):
        fb.Plan(X, y, loss=loss, method=adam(), model=model, start=None if model.linear else model.start(0.3)).limit()


def test_a_feature_that_no_support_vector_sees_is_refused():
    with pytest.raises(fb.NoTheorem, match="0 in all support vectors"):
        fb.Plan([[1.0, 0.0], [5.0, 1.0]], [1, 1], loss="exponential", method=adam()).limit()
