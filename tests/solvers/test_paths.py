"""Paths of explicit regularisation with weights, intercepts and sparse data: against scipy, cvxpy, repeated samples."""
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize

import fastbias as fb
from fastbias.solvers import balls

N = fb.norms
NORMS = [N.l1, N.l2, N.linf, N.lp(1.5)]
LOSSES = {"exponential": lambda m: np.exp(-m), "logistic": lambda m: np.log1p(np.exp(-m))}


def overlapping(seed, size=4, count=16):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, size)) + 2.0
    return X, np.where((X - 2.0) @ rng.normal(size=size) + 2 * rng.normal(size=count) > 0, 1.0, -1.0), rng


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_an_intercept_is_where_the_loss_is_least(norm, loss):
    X, y, _ = overlapping(0)
    path = fb.regularisation_path(X, y, [0.4, 4.0], norm, loss, intercept=True)
    assert path.residuals.max() <= 1e-8
    assert path.intercept.shape == (2,)
    value, h = LOSSES[loss], 1e-6
    for c, w, b, log_loss in zip(path.radii, path.w, path.intercept, path.log_loss, strict=True):
        def total(v, w=w):
            return value(y * (X @ w + v)).sum()

        def beyond(v, c=c):
            return total(v[-1], v[:-1]) + 1e6 * max(norm(v[:-1]) - c, 0.0) ** 2
        assert norm(w) <= c * (1 + 1e-9)
        assert log_loss == pytest.approx(np.log(total(b)))
        assert abs(total(b + h) - total(b - h)) / (2 * h) <= 1e-6 * total(b)
        best = minimize(beyond, np.append(w, b) + 0.01, method="Nelder-Mead",
                        options={"maxiter": 4000, "fatol": 1e-12})
        assert total(b) <= best.fun * (1 + 1e-4)


@pytest.mark.parametrize("loss", [*LOSSES, "squared", "cross_entropy"])
@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_weights_are_as_good_as_repeated_samples_and_sparse_data_as_dense(norm, loss):
    X, y, rng = overlapping(1)
    y = rng.integers(0, 3, size=16).astype(float) if loss == "cross_entropy" else y
    weights = rng.integers(1, 4, size=16)
    weights[3] = 0
    repeated = np.repeat(np.arange(16), weights)
    asked = {"radii": [0.5, 3.0], "norm": norm, "loss": loss, "intercept": True}
    path = fb.regularisation_path(X, y, weights=weights, **asked)
    twin = fb.regularisation_path(X[repeated], y[repeated], **asked)
    thin = fb.regularisation_path(sp.csr_array(X), y, weights=weights, **asked)
    assert path.residuals.max() <= 1e-8
    for other in (twin, thin):
        assert other.log_loss == pytest.approx(path.log_loss, abs=1e-10)
        # (flat to rounding: in ℓ∞ classes leave w free)
        if (norm, loss) != (N.linf, "cross_entropy"):
            assert other.w == pytest.approx(path.w, abs=1e-4)
            assert other.intercept == pytest.approx(path.intercept, abs=1e-3)
    if loss == "cross_entropy":
        assert path.intercept.shape == (2, 3)
        assert path.intercept.sum(axis=1) == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize(("norm", "larger"), [("l1", 1.0), ("l2", 2 ** 0.5), ("linf", 2.0)])
def test_two_classes_of_a_row_each_are_the_logistic_loss_of_their_difference(norm, larger):
    """Of which the longest is ``larger`` times the ball; on separable data, whose margin is a start."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 2)) + [3.0, 0.0]
    y = X[:, 0] > 3.0
    radii = np.array([0.5, 2.0, 50.0])
    two = fb.regularisation_path(X, y, radii, norm, "cross_entropy", intercept=True)
    one = fb.regularisation_path(X, y, larger * radii, norm, "logistic", intercept=True)
    assert two.log_loss == pytest.approx(one.log_loss, abs=1e-9)
    assert two.w[:, 1] - two.w[:, 0] == pytest.approx(one.w, rel=1e-4, abs=1e-4)
    assert two.intercept[:, 1] - two.intercept[:, 0] == pytest.approx(one.intercept, rel=1e-4)


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_the_path_ends_at_the_margin_with_a_free_intercept(norm):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(12, 3)) + 5.0
    y = np.where((X - 5.0) @ rng.normal(size=3) > 0, 1.0, -1.0)
    limit = fb.max_margin(X, y, norm, intercept=True)
    path = fb.regularisation_path(X, y, [1.0, 1e5], norm, intercept=True)
    margin = (y * (X @ path.w[-1] + path.intercept[-1])).min() / 1e5
    assert margin == pytest.approx(limit.margin, rel=1e-4)
    assert path.residuals.max() <= 1e-3


def test_matrices_and_interpolation_with_an_intercept():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(9, 2, 3)), rng.normal(size=9)
    path = fb.regularisation_path(X, y > 0, [0.5, 2.0], N.nuclear(2, 3), "logistic", intercept=True)
    assert path.w.shape == (2, 2, 3)
    assert path.residuals.max() <= 1e-8
    root = fb.regularisation_path(X[:3], y[:3], [0.1, 100.0], N.l2, "squared", intercept=True)
    limit = fb.minimum_norm(X[:3], y[:3], N.l2, intercept=True)
    assert root.w[-1] == pytest.approx(limit.w)
    assert root.intercept[-1] == limit.intercept
    assert root.residuals[-1] == 0


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("norm", [N.l1, N.l2], ids=repr)
def test_many_features_are_solved_by_few(norm, intercept, monkeypatch):
    """By the features that matter or the span of samples, and by all features at once."""
    rng = np.random.default_rng(4)
    A = sp.random_array((30, 120), density=0.2, rng=rng, data_sampler=rng.normal, format="csr")
    y = np.where(A @ rng.normal(size=120) > 0, 1.0, -1.0)
    asked = {"radii": [0.5, 5.0], "norm": norm, "loss": "logistic", "intercept": intercept}
    whole = fb.regularisation_path(A, y, **asked)
    monkeypatch.setattr(balls, "MANY", 20)
    monkeypatch.setattr(balls, "JOINING", 5)
    part = fb.regularisation_path(A, y, **asked)
    assert part.residuals.max() <= 1e-8
    assert part.log_loss == pytest.approx(whole.log_loss, abs=1e-9)
    assert part.w == pytest.approx(whole.w, abs=1e-4)
    with pytest.raises(ValueError, match=r"at most 20 columns where it is sparse for the path in the linf norm"):
        fb.regularisation_path(A, y, [1.0], "linf", "logistic")


def test_bad_input_of_paths():
    X = [[1.0, 2], [2, 1]]
    with pytest.raises(ValueError, match="labels must have two values or more for an intercept"):
        fb.regularisation_path(X, [1, 1], [1.0], intercept=True)
    with pytest.raises(ValueError, match="weights must be >= 0, got -1"):
        fb.regularisation_path(X, [1, -1], [1.0], weights=[1, -1])
    with pytest.raises(TypeError, match="intercept must be True or False"):
        fb.regularisation_path(X, [1, -1], [1.0], intercept="yes")
    assert fb.regularisation_path(X, [1, -1], [1.0]).intercept == 0.0


# --- the ℓ1 path of the squared loss -------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (20, 20)])
@pytest.mark.parametrize("seed", range(2))
def test_an_active_set_goes_the_path_of_the_convex_program(shape, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=shape) * (rng.uniform(size=shape) < 0.5)
    y = rng.normal(size=shape[0])
    one, other = fb.l1_path(X, y, 15), fb.l1_path(sp.csr_matrix(X), y, 15)
    assert other.lambdas == pytest.approx(one.lambdas)
    assert other.residuals.max() <= 1e-13
    assert other.w == pytest.approx(one.w, abs=1e-9)
    for weight, w in zip(other.lambdas, other.w, strict=True):         # the conditions, written out
        pull = 2 * X.T @ (y - X @ w)
        assert np.abs(pull).max() <= weight * (1 + 1e-9)
        assert pull[w != 0] == pytest.approx(weight * np.sign(w[w != 0]), rel=1e-8)


def test_an_active_set_of_many_samples():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(4000, 8))
    y = X @ np.array([3.0, -2, 0, 0, 0, 0, 1, 0]) + rng.normal(size=4000)
    path = fb.l1_path(X, y, 10)
    assert path.residuals.max() <= 1e-13
    assert path.w[-1] == pytest.approx(np.linalg.lstsq(X, y)[0], rel=1e-2, abs=1e-2)
    # copies of a feature leave w free: the violation tells how far it came
    twice = fb.l1_path(np.hstack([X, X]), y, 10)
    assert twice.residuals.max() <= 1e-10
