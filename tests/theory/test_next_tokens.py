"""Classes that are separable in part: contexts that come with several next tokens (Thrampoulidis 2024)."""
import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

import fastbias as fb

m = fb.methods


def data(seed, contexts=3, d=4, K=4):
    """Contexts that come with one or two of K classes, some of them often."""
    rng = np.random.default_rng(seed)
    H = rng.normal(size=(contexts, d))
    pairs = [(h, c) for h in H for c in rng.choice(K, size=rng.integers(1, 3), replace=False) for _ in range(rng.integers(1, 4))]
    pairs += [(H[0], c) for c in range(K) if c not in [pair[1] for pair in pairs]]
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


def plan(X, y, eta=0.1, **options):
    return fb.Plan(X, y, loss="cross_entropy", method=m.gradient_descent(eta), **options)


def split(X, y):
    """The rows (e_y − e_c) ⊗ x of classes that each context comes with, and of the others; whose they are."""
    K, inner, outer, whose = int(y.max()) + 1, [], [], []
    for n, (x, own) in enumerate(zip(X, y, strict=True)):
        come = {c for h, c in zip(X, y, strict=True) if (h == x).all()}
        for c in range(K):
            if c != own:
                z = np.zeros((K, x.size))
                z[own], z[c] = x, -x
                (inner if c in come else outer).append(z.ravel())
                whose += [n] * (c in come)
    return np.array(inner), np.array(outer), np.array(whose)


def held(limit, words):
    return next(h.holds for h in limit.hypotheses if words in h.statement)


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 60), marks=pytest.mark.exhaustive)], ids=["6", "54 more"])
def test_log_odds_and_margin_are_those_of_the_definition(seeds):
    for seed in seeds:
        X, y = data(seed)
        limit = plan(X, y).limit()
        assert (limit.kind, limit.certified, limit.source) == ("ray", True, "Thrampoulidis (2024)"), seed
        inner, outer, whose = split(X, y)
        # NTP-SVM: the shortest W of margin one over what does not come, 0 over what does
        W = cp.Variable(outer.shape[1])
        cp.Problem(cp.Minimize(cp.sum_squares(W)), [outer @ W >= 1, *([inner @ W == 0] if len(inner) else [])]).solve(solver="CLARABEL")
        assert np.allclose(limit.w.ravel(), W.value / np.linalg.norm(W.value), atol=1e-6), seed
        assert limit.margin == pytest.approx(1 / np.linalg.norm(W.value), rel=1e-6)
        v, (x, own) = limit.offset, (X, y)
        assert np.abs(v.ravel() - limit.span @ (limit.span.T @ v.ravel())).max() < 1e-12
        # contexts are independent, so that the shares are met: the softmax over what comes
        assert held(limit, "log-odds") is True, seed
        assert held(limit, "can be made") is True
        for h in np.unique(x, axis=0):
            here = own[(x == h).all(axis=1)]
            come, counts = np.unique(here, return_counts=True)
            p = np.exp(v[come] @ h - (v[come] @ h).max())
            assert np.allclose(p / p.sum(), counts / len(here), atol=1e-9), seed
        assert whose.size == 0 or whose.max() < len(y)


def test_contexts_that_depend_need_not_meet_their_shares():
    """Three contexts of one feature: one vector cannot have all three log-odds, and the finite part is the likeliest."""
    X = np.array([[1.0, 0]] * 3 + [[2.0, 0]] * 3 + [[0, 1.0]] * 2)
    y = np.array([0, 0, 1, 0, 1, 1, 2, 2])
    limit = plan(X, y).limit()
    assert limit.certified
    assert held(limit, "log-odds") is None
    inner, _, whose = split(X, y)

    def loss(w):
        rows = np.exp(-inner @ w)
        return sum(np.log1p(rows[whose == n].sum()) for n in np.unique(whose))
    best = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-10}).x
    assert np.allclose(limit.span.T @ best, limit.span.T @ limit.offset.ravel(), atol=1e-6)


def test_weights_are_soft_labels():
    X, y = data(1)
    first = np.unique(np.column_stack([X, y]), axis=0, return_counts=True)
    rows, counts = first
    soft = plan(rows[:, :-1], rows[:, -1].astype(int), weights=counts).limit()
    hard = plan(X, y).limit()
    assert np.allclose(soft.offset, hard.offset, atol=1e-12)
    assert np.allclose(soft.w, hard.w, atol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 52), marks=pytest.mark.exhaustive)], ids=["2", "50 more"])
def test_runs_go_there(seeds):
    for seed in seeds:
        X, y = data(seed)
        p = plan(X / np.linalg.norm(X, axis=1).max(), y, eta=0.3)
        limit = p.limit()
        assert not any(h.holds is False for h in limit.hypotheses)
        trace = p.run(1_000_000, record=np.array([10_000, 100_000, 1_000_000]))
        finite, gap = trace.finite_gap(limit), trace.gap(limit)
        assert finite[-1] < 1e-3, (seed, finite)
        assert finite[-1] < 0.3 * finite[-2], (seed, finite)
        assert gap[-1] < gap[-2] < gap[-3], (seed, gap)
        moved = (trace.w[-1] - trace.w[-2]).ravel()
        off = moved / np.linalg.norm(moved) - limit.w.ravel()
        assert np.linalg.norm(off) < 0.1, (seed, np.linalg.norm(off))


@pytest.mark.parametrize(("method", "words"), [
    (m.gradient_descent(fb.steps.power(0.1, 2.0)), "finite"), (m.gradient_descent(0.1, 0.5), "not separable"),
    (m.adam(0.1, eps=0), "not separable"), (m.gradient_descent(fb.steps.loss_scaled(0.1)), "not separable")], ids=repr)
def test_other_methods_are_refused(method, words):
    with pytest.raises(fb.NoTheorem, match=words):
        fb.Plan(*data(0), loss="cross_entropy", method=method).limit()


def test_no_field_follows_them_yet():
    with pytest.raises(fb.NoTheorem):
        plan(*data(0)).fast_forward(100.0, max_steps=1000)
