"""The KKT residual in parameter space: 0 at stationary points known by other means, of size one elsewhere, without units."""
import itertools

import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers.kkt import kkt_residual
from tests.helpers.problems import Z


def linear(u, rows=Z):
    return kkt_residual(u, rows, rows @ u, 1)


def diagonal(layers, rows=Z):
    """w = u₁ ∘ … ∘ u_L: the gradient of ⟨w, z⟩ in u_l is z times the product of the others."""
    layers = np.asarray(layers)
    others = [np.prod(np.delete(layers, i, axis=0), axis=0) for i in range(len(layers))]
    return kkt_residual(layers.ravel(), np.hstack([rows * other for other in others]), rows @ np.prod(layers, axis=0),
                        len(layers))


def balanced(beta, depth):
    """Layers of equal size that multiply to β, its signs on the first."""
    size = np.abs(beta) ** (1 / depth)
    return np.array([np.sign(beta) * size, *[size] * (depth - 1)])


def test_a_single_sample():
    x = np.array([[3.0, 4.0]])
    assert linear(x[0], x)[0] == pytest.approx(0, abs=1e-15)
    assert linear(np.array([1.0, 0.0]), x)[0] == pytest.approx(0.8)          # the sine of the angle between u and x
    lam = linear(7 * x[0], x)[1]
    assert lam == pytest.approx([1 / 25])                                   # w = x/25 has margin one


def test_the_maximum_margin_is_a_stationary_point_of_the_linear_model():
    found = fb.max_margin(Z, np.ones(len(Z)))
    residual, lam = linear(found.w)
    assert residual < 1e-12
    assert lam == pytest.approx(found.dual / found.margin ** 2, abs=1e-10)  # ŵ = Σ λ z at margin one
    for step in (1e-2, 1e-3):
        assert 0.01 * step < linear(found.w + step * np.array([1.0, -1, 0, 0]))[0] < 30 * step
    assert linear(fb.max_margin(Z, np.ones(len(Z)), "l1").w)[0] > 0.05


def test_depth_two_is_stationary_at_the_l1_margin():
    beta = fb.max_margin(Z, np.ones(len(Z)), "l1").w
    assert diagonal(balanced(beta, 2))[0] < 1e-12
    assert diagonal(balanced(fb.max_margin(Z, np.ones(len(Z))).w, 2))[0] > 0.05


@pytest.mark.parametrize("depth", [3, 4])
def test_deeper_ones_are_stationary_at_vertices_with_multipliers_that_are_not_negative(depth):
    """Coordinates off the support have no gradient there, so a vertex Z_TS β_S = 1 is stationary where
    Z_TSᵀ λ = ∇ Σ|β|^{2/L} has λ ≥ 0: found by trying all supports."""
    stationary = others = 0
    for k in (1, 2, 3):
        for S, T in itertools.product(itertools.combinations(range(4), k), itertools.combinations(range(len(Z)), k)):
            A, beta = Z[np.ix_(T, S)], np.zeros(4)
            beta[list(S)] = np.linalg.solve(A, np.ones(k))
            if (Z @ beta).min() < 1 - 1e-9 or np.abs(beta[list(S)]).min() < 1e-6:
                continue
            part = beta[list(S)]
            lam = np.linalg.solve(A.T, np.sign(part) * np.abs(part) ** (2 / depth - 1))
            residual = diagonal(balanced(beta, depth))[0]
            if lam.min() >= 0:
                stationary += 1
                assert residual < 1e-12
            else:
                others += 1
                assert residual > 1e-3
    assert stationary >= 2
    assert others >= 2


def test_what_is_not_stationary_is_far_from_zero():
    rng = np.random.default_rng(0)
    w = fb.max_margin(Z, np.ones(len(Z))).w
    for _ in range(5):
        layers = rng.uniform(0.3, 3, size=(2, 4))
        layers[0] = w / np.prod(layers[1:], axis=0)                          # right w, layers out of balance
        assert diagonal(layers)[0] > 0.1


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_against_the_definition(depth):
    from scipy.optimize import lsq_linear
    rng = np.random.default_rng(depth)
    w = fb.max_margin(Z, np.ones(len(Z))).w
    layers = balanced(w, depth) * rng.uniform(0.9, 1.1, size=(depth, 4))
    residual, lam = diagonal(layers)
    layers = layers / (Z @ np.prod(layers, axis=0)).min() ** (1 / depth)
    u, m = layers.ravel(), Z @ np.prod(layers, axis=0)
    H = np.hstack([Z * np.prod(np.delete(layers, i, axis=0), axis=0) for i in range(depth)])
    A = np.vstack([H.T / np.linalg.norm(u), np.diag((m - 1) * depth / (u @ u))])
    b = np.append(u / np.linalg.norm(u), np.zeros(len(m)))
    assert np.linalg.norm(A @ lam - b) == pytest.approx(residual, rel=1e-12)
    assert residual == pytest.approx(np.sqrt(2 * lsq_linear(A, b, (0, np.inf), tol=1e-14).cost), rel=1e-6)


def test_size_does_not_matter():
    u = balanced(fb.max_margin(Z, np.ones(len(Z))).w, 2) * [[1.0], [1.2]]
    residual, lam = diagonal(u)
    for size in (1e-150, 1e-3, 1e150):
        again, weights = diagonal(size * u)
        assert again == pytest.approx(residual, rel=1e-9)
        assert weights == pytest.approx(lam, rel=1e-9)


def test_parameters_that_do_not_separate_are_infinitely_far():
    for u in (-Z.sum(axis=0), np.zeros(4), np.full(4, np.nan), np.full(4, np.inf)):
        with np.errstate(invalid="ignore"):
            residual, lam = linear(u)
        assert residual == np.inf
        assert not lam.any()
    assert kkt_residual(np.ones(2), np.array([[1e300, 1e300]]), np.array([1e-300]), 1)[0] == np.inf


def test_least_squares_that_do_not_end(monkeypatch):
    def fails(*_, **__):
        np.linalg.inv(np.zeros((1, 1)))
    w = fb.max_margin(Z, np.ones(len(Z))).w
    monkeypatch.setattr("scipy.optimize.nnls", fails)
    with pytest.raises(ArithmeticError, match="least squares of the KKT residual could not be solved"):
        linear(w)
