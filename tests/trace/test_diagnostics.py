"""Ranks, KKT residuals in any norm, distances from the path of explicit regularisation, and risks of the rows of a run."""
import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import brentq

import fastbias as fb
from tests.helpers.problems import APART, SOUDRY_X, SOUDRY_Y, XK, XM, YK, YM, X, separable, y
from tests.solvers.test_stationarity import balanced

m, N = fb.methods, fb.norms
D4 = np.diag([1.0, 2.0, 3.0, 4.0]) + 0.3


def of_rows(w, X=X, y=y, loss="exponential"):
    return fb.Trace.from_arrays(X, y, np.arange(len(w)), w, loss=loss)


# Ranks.


def test_ranks_of_known_matrices():
    W = np.array([np.diag([3.0, 3, 3]), np.diag([5.0, 0, 0]), np.diag([4.0, 2, 0]), np.zeros((3, 3))])
    trace = fb.Trace.from_arrays([np.eye(3)], [1], np.arange(4), W)
    with np.errstate(invalid="ignore"):
        p = np.array([2, 1]) / 3
    assert trace.rank() == pytest.approx([3, 1, np.exp(-p @ np.log(p)), np.nan], nan_ok=True)
    assert trace.rank("stable") == pytest.approx([3, 1, 1.25, np.nan], nan_ok=True)


@pytest.mark.parametrize("kind", ["effective", "stable"])
def test_ranks_have_no_units_and_do_not_turn(kind):
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 2, 4))
    Q, R = (np.linalg.qr(rng.normal(size=(k, k)))[0] for k in (2, 4))
    A = np.ones((1, 2, 4))

    def of(w):
        return fb.Trace.from_arrays(A, [0.0], np.arange(len(w)), w, loss="squared").rank(kind)
    found = of(W)
    assert ((found >= 1) & (found <= 2)).all()
    assert of(Q @ W @ R) == pytest.approx(found, rel=1e-12)
    assert of(W * 1e-200) == pytest.approx(found, rel=1e-12)
    s = np.linalg.svd(W, compute_uv=False)
    p = s / s.sum(axis=1, keepdims=True)
    assert found == pytest.approx(np.exp(-(p * np.log(p)).sum(1)) if kind == "effective" else (W ** 2).sum((1, 2)) / s[:, 0] ** 2)


def test_classes_have_ranks_and_vectors_have_none():
    trace = fb.run(XK, YK, loss="cross_entropy", method=m.gradient_descent(0.05), steps=9)
    assert np.isnan(trace.rank()[0])
    assert (trace.rank()[1:] <= 2 + 1e-9).all()                          # rows add up to 0
    with pytest.raises(ValueError, match=r"predictors that are matrices for a rank, got predictors of shape \(4,\)"):
        of_rows(np.ones((1, 4))).rank()
    for bad, kind in (("numeric", ValueError), (2, TypeError), (None, TypeError)):
        with pytest.raises(kind, match="kind must be one of effective, stable"):
            trace.rank(bad)


# KKT residuals.


VECTORS = {"l1": N.l1, "l2": N.l2, "linf": N.linf, "l1.5": N.lp(1.5), "l4": N.lp(4), "quadratic": N.quadratic(D4),
           "group": N.group([[0, 3], [2], [1]]), "spectral": N.spectral(2, 3), "nuclear": N.nuclear(2, 3), "fourier": N.fourier(4)}


@pytest.mark.parametrize("name", VECTORS)
def test_the_residual_is_0_at_the_maximum_margin_of_its_norm_and_nowhere_near(name):
    norm = VECTORS[name]
    A, b = (XM, YM) if norm.size == 6 else APART
    limit = fb.max_margin(A, b, norm)
    assert limit.certified
    off = np.random.default_rng(1).normal(size=limit.w.shape) * np.linalg.norm(limit.w)
    rows = np.array([limit.w, 1e150 * limit.w, limit.w + 1e-3 * off, limit.w + 0.05 * off, -limit.w])
    found = of_rows(rows, A, b).kkt_residual(norm)
    assert (found[:2] <= 1e-8).all()
    assert 1e-8 < found[2] < found[3] < 1
    assert found[4] == np.inf
    if name != "l2":                                                     # the maximum in another norm is none in this one
        assert of_rows(fb.max_margin(A, b).w[None], A, b).kkt_residual(norm)[0] > 1e-4


def test_classes_have_the_residual_too():
    for norm in ("l1", N.spectral(3, 4)):
        limit = fb.max_margin(XK, YK, norm)
        assert of_rows(limit.w[None], XK, YK, "cross_entropy").kkt_residual(norm)[0] <= 1e-8


@pytest.mark.parametrize(("name", "dual"), [("l1", "inf"), ("linf", 1), ("l1.5", 3), ("l4", 4 / 3)])
def test_the_residual_is_the_least_divergence_over_multipliers(name, dual):
    """By its definition, solved by cvxpy: on a network, whose gradients of margins are no data."""
    rng = np.random.default_rng(0)
    layers = balanced(fb.max_margin(X, y).w, 2) * rng.uniform(0.8, 1.2, size=(2, 4))
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.1), model=fb.models.diagonal(2), start=layers.ravel())
    found, norm = plan.run(0).kkt_residual(VECTORS[name])[0], VECTORS[name]
    layers = layers / np.sqrt((y * (X @ layers.prod(axis=0))).min())
    u, margins = layers.ravel(), y * (X @ layers.prod(axis=0))
    H = y[:, None] * np.hstack([X * layers[1], X * layers[0]])
    lam = cp.Variable(len(y), nonneg=True)
    size = norm(u) ** 2
    value = size + cp.square(cp.norm(H.T @ lam, dual) if dual in (1, "inf") else cp.pnorm(H.T @ lam, dual, max_denom=10 ** 5)) \
        - 2 * (H @ u) @ lam + 4 * (margins - 1) @ lam
    assert cp.Problem(cp.Minimize(value)).solve(solver="CLARABEL") / size == pytest.approx(found, abs=1e-6)
    assert found > 0.01


def test_quadratic_norms_are_l2_in_other_coordinates():
    A, b = APART
    root = np.linalg.cholesky(D4)
    rows = np.array([fb.max_margin(A, b, w).w for w in ("l1", "l2", "linf")])
    assert of_rows(rows, A, b).kkt_residual(N.quadratic(D4)) == pytest.approx(
        of_rows(rows @ root, np.linalg.solve(root, A.T).T, b).kkt_residual(), rel=1e-9)


@pytest.mark.long
def test_steepest_descent_goes_to_a_kkt_point_of_its_norm():
    A, b = APART
    for norm in (N.l1, N.linf, N.lp(3)):
        trace = fb.run(A, b, loss="exponential", method=m.steepest_descent(norm, fb.steps.loss_scaled(0.02)), steps=3000,
                       until=-200, record=[0, 100, 300, 1000, 3000])
        left = trace.kkt_residual(norm)
        assert left[0] == np.inf
        assert left[-1] < 0.05 < trace.kkt_residual()[-1]
        assert left[-1] < left[1]


@pytest.mark.slow
def test_networks_of_kinks_have_an_upper_bound():
    x = np.array([-1.0, 0.5, 2.0])
    model = fb.models.relu(x, 3, offset=False)
    plan = fb.Plan(np.eye(3), [1, -1, 1], loss="exponential", method=m.gradient_descent(0.02), model=model,
                   start=model.start(0.5, rng=0))
    trace = plan.run(4000, record=[1000, 4000])
    for norm in ("l1", "linf", N.quadratic(np.ones(9))):
        assert np.isfinite(trace.kkt_residual(norm)[1:]).all()
    assert (trace.kkt_residual(N.quadratic(np.ones(9)))[1:] >= trace.kkt_residual()[1:] - 1e-9).all()


def test_kkt_residuals_of_norms_that_do_not_fit_are_refused():
    trace = of_rows(np.ones((1, 4)))
    with pytest.raises(ValueError, match="one of 4 parameters, got the nuclear norm of 6"):
        trace.kkt_residual(N.nuclear(2, 3))
    with pytest.raises(ValueError, match="norm must be one of"):
        trace.kkt_residual("l7")
    with pytest.raises(ValueError, match="homogeneous"):
        of_rows(np.ones((1, 4)), loss="squared").kkt_residual("l1")
    one = fb.Trace.from_arrays([[2.0]], [1], [0, 1], [[3.0], [-1.0]])
    assert one.kkt_residual("l1").tolist() == one.kkt_residual().tolist() == [0.0, np.inf]


# Paths.


def ridge(A, b, lam):
    return np.linalg.solve(A.T @ A + lam * np.eye(A.shape[1]), A.T @ b)


def test_the_path_of_the_squared_loss_is_that_of_ridge_regression():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(8, 3)) * [3, 1, 0.3], rng.normal(size=8)
    trace = fb.run(A, b, loss="squared", method=m.gradient_descent(0.005), steps=200, record=[0, 1, 5, 30, 200])
    gaps, level = trace.path_gap(), trace.path_gap(at="loss")
    for i, (w, log_loss) in enumerate(zip(trace.w, trace.log_loss, strict=True)):
        if i == 0:
            assert gaps[0] == level[0] == 0
            continue
        lam = np.exp(brentq(lambda s, w=w: np.linalg.norm(ridge(A, b, np.exp(s))) - np.linalg.norm(w), -30, 30, xtol=1e-14))
        assert gaps[i] == pytest.approx(np.linalg.norm(w - ridge(A, b, lam)), abs=1e-6)
        lam = np.exp(brentq(lambda s, t=log_loss: np.log(((A @ ridge(A, b, np.exp(s)) - b) ** 2).sum()) - t, -30, 30, xtol=1e-14))
        assert level[i] == pytest.approx(np.linalg.norm(w - ridge(A, b, lam)), abs=1e-6)
    assert gaps[1:].max() > 0.01
    assert level[1:].max() > 0.01


@pytest.mark.parametrize("norm", ["l1", "l2", N.lp(3)])
def test_the_gap_at_equal_norm_is_to_the_public_path(norm):
    trace = fb.run(SOUDRY_X, SOUDRY_Y, loss="logistic", method=m.gradient_descent(0.05, 0.5), steps=300, record=[0, 3, 300])
    norm = N.l1 if norm == "l1" else N.l2 if norm == "l2" else norm
    path = fb.regularisation_path(SOUDRY_X, SOUDRY_Y, norm(trace.w[1:]), norm, "logistic")
    assert trace.path_gap(norm)[1:] == pytest.approx(np.linalg.norm(trace.w[1:] - path.w, axis=1), abs=1e-6)
    found = trace.path_gap(norm, at="loss")
    assert np.isfinite(found).all()
    # over the ball of the row's own norm L is least, so that the path has its loss before
    assert (path.log_loss <= trace.log_loss[1:] + 1e-12).all()


def test_one_sample_leaves_the_run_on_the_path():
    trace = fb.run([[3.0, 4.0]], [1], loss="exponential", method=m.gradient_descent(0.01), steps=1000, record=[0, 10, 1000])
    for at in ("norm", "loss"):
        assert trace.path_gap(at=at) == pytest.approx(np.zeros(3), abs=1e-7)


def test_a_point_of_the_path_that_is_not_known_well_has_no_distance(monkeypatch):
    trace = fb.run([[2, 1], [0, 1]], [1, 1], loss="exponential", method=fb.methods.gradient_descent(0.01), steps=100, record=3)
    assert np.isfinite(trace.path_gap()).all()
    monkeypatch.setattr("fastbias.trace.paths.NEAR", -1.0)
    assert np.isnan(trace.path_gap()).all()


def test_what_has_no_point_on_the_path():
    A, b = separable(6, 2, 3)
    w = fb.max_margin(A, b).w
    found = of_rows([np.zeros(2), -w, 5 * w], A, b)
    assert np.isnan(found.path_gap(at="loss")).tolist() == [False, True, False]
    assert found.path_gap(at="loss")[0] == 0
    exact = fb.Trace.from_arrays([[1.0, 1.0]], [2.0], [0, 1], [[2.0, 0.0], [1.0, 1.0]], loss="squared")
    assert exact.path_gap(at="loss") == pytest.approx([np.sqrt(2), 0], abs=1e-12)
    assert exact.path_gap() == pytest.approx([np.sqrt(2), 0], abs=1e-7)
    with pytest.raises(ValueError, match="at must be one of norm, loss"):
        exact.path_gap(at="margin")
    with pytest.raises(ValueError, match="predictors of"):
        exact.path_gap(N.nuclear(2, 2))


# Risks.


def test_risks_and_accuracies_of_the_own_data_and_others():
    trace = fb.run(X, y, loss="logistic", method=m.gradient_descent(0.1), steps=50, weights=np.arange(1.0, 16))
    own = trace.evaluate()
    assert own.log_loss == pytest.approx(trace.log_loss, rel=1e-12)
    assert own.risk == pytest.approx(np.exp(trace.log_loss) / np.arange(1, 16).sum())
    A, b = separable(30, 4, 7)
    seen = trace.evaluate(A, b)
    assert seen.risk[-1] == pytest.approx(np.log1p(np.exp(-b * (A @ trace.w[-1]))).mean())
    assert seen.accuracy[-1] == pytest.approx(np.mean(b * (A @ trace.w[-1]) > 0))
    log_loss, error = seen
    assert log_loss is seen.log_loss
    assert error is seen[1]
    far = of_rows(1e6 * fb.max_margin(X, y).w[None]).evaluate()
    assert far.risk[0] == 0
    assert far.log_risk[0] == pytest.approx(far.log_loss[0] - np.log(15))
    root = fb.run([[1.0, 2]], [1.0], loss="squared", method=m.gradient_descent(0.05), steps=5)
    assert root.evaluate().accuracy is None
    assert root.evaluate([[1, 1], [0, 1]], [1, 1]).risk[0] == pytest.approx(1.0)
    for given in ({"X": A}, {"y": b}, {"weights": np.ones(15)}):
        with pytest.raises(ValueError, match="X and y must be given both"):
            trace.evaluate(**given)
