"""Random Fourier features: as defined, nested, with their kernel; minimum norms and limits on them, also ill-conditioned. Stumps."""
import mpmath
import numpy as np
import pandas as pd
import pytest

import fastbias as fb
from fastbias.data.features import random_fourier


def task(N=20, dims=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, dims)), rng.normal(size=N)


def test_features_as_defined():
    phi, (x, _) = random_fourier(3, 7, gamma=0.3, rng=1), task()
    naive = [[np.cos(sum(w * t for w, t in zip(omega, row, strict=True)) + theta) / 7 ** 0.5
              for omega, theta in zip(phi.frequencies, phi.phases, strict=True)] for row in x]
    assert phi(x) == pytest.approx(np.array(naive), abs=1e-14)
    assert (phi(x[:5]) == phi(x)[:5]).all()
    assert ((phi.phases >= 0) & (phi.phases < 2 * np.pi)).all()


def test_the_features_of_a_smaller_d_are_the_first_of_a_larger():
    x, _ = task()
    few, many = (random_fourier(3, d, rng=5)(x) * np.sqrt(d) for d in (10, 1000))
    assert few == pytest.approx(many[:, :10], abs=1e-15)
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    assert (random_fourier(3, 10, rng=one)(x) == random_fourier(3, 10, rng=other)(x)).all()
    assert (random_fourier(3, 10, rng=one)(x) != random_fourier(3, 10, rng=5)(x)).all()


@pytest.mark.parametrize("gamma", [0.05, 1.0, 4.0])
def test_inner_products_tend_to_the_kernel(gamma):
    x, _ = task()
    naive = [[0.5 * np.exp(-gamma * sum((a - b) ** 2)) for b in x[:4]] for a in x]
    kernel = random_fourier(3, 1, gamma).kernel(x, x[:4])
    assert kernel == pytest.approx(np.array(naive), abs=1e-15)
    errors = []
    for d in (1_000, 100_000):
        phi = random_fourier(3, d, gamma, rng=0)
        errors.append(np.abs(phi(x) @ phi(x[:4]).T - kernel).max() * np.sqrt(d))
    assert max(errors) < 3                                       # standard deviations, or more: a term is at most one


@pytest.mark.parametrize("d", [5, 20, 23, 300])
def test_gradient_descent_goes_where_least_squares_says(d):
    """§2.1: from 0 to the least-squares solution of least norm, numpy's lstsq, with fewer features than samples or more."""
    x, y = task()
    Phi = random_fourier(3, d, gamma=0.7, rng=2)(x)
    limit = fb.Plan(Phi, y, loss="squared", method=fb.methods.gradient_descent(0.1)).limit()
    w = np.linalg.lstsq(Phi, y, rcond=None)[0]
    assert limit.certified
    assert limit.w == pytest.approx(w, abs=1e-9 * np.linalg.norm(w))
    if d >= 20:
        found = fb.minimum_norm(Phi, y, "l2")
        assert found.certified
        assert found.w == pytest.approx(limit.w, abs=1e-11 * np.linalg.norm(w))


def test_a_run_reaches_the_limit():
    x, y = task(N=8)
    Phi = random_fourier(3, 400, gamma=1.0, rng=3)(x)
    plan = fb.Plan(Phi, y, loss="squared", method=fb.methods.gradient_descent(0.5 / np.linalg.norm(Phi, 2) ** 2))
    trace = plan.run(2000)
    assert trace.gap(plan.limit())[-1] < 1e-12 * np.linalg.norm(plan.limit().w)


def test_wide_features_predict_what_the_kernel_predicts():
    (x, y), (new, _) = task(), task(seed=1)
    errors = []
    for d in (300, 30_000):
        phi = random_fourier(3, d, rng=4)
        kernel = phi.kernel(new, x) @ np.linalg.solve(phi.kernel(x, x), y)
        errors.append(np.abs(phi(new) @ fb.minimum_norm(phi(x), y, "l2").w - kernel).max() * np.sqrt(d))
    assert max(errors) < 20
    assert errors[1] / np.sqrt(30_000) < 0.1


@pytest.mark.parametrize(("gamma", "d"), [(0.02, 14), (0.1, 14), (0.02, 40)])
def test_ill_conditioned_features_against_fifty_digits(gamma, d):
    x, y = task(N=12, dims=2)
    Phi = random_fourier(2, d, gamma, rng=6)(x)
    condition = np.linalg.cond(Phi)
    assert condition > 1e5
    with mpmath.workdps(50):
        A, b = mpmath.matrix(Phi.tolist()), mpmath.matrix(y.tolist())
        exact = np.array([float(v) for v in A.T * mpmath.lu_solve(A * A.T, b)])
    found = fb.minimum_norm(Phi, y, "l2")
    assert np.linalg.norm(found.w - exact) <= 20 * np.finfo(float).eps * condition * np.linalg.norm(exact)
    assert found.certified == (found.duality_gap <= 1e-10)
    limit = fb.Plan(Phi, y, loss="squared", method=fb.methods.gradient_descent(0.1)).limit()
    assert np.linalg.norm(limit.w - found.w) <= 1e-13 * np.linalg.norm(exact)
    assert limit.certified or condition > 1e6                    # ν holds eps · condition of w, which the certificate sees


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: random_fourier(0, 5), ValueError, "dims must be a whole number >= 1"),
    (lambda: random_fourier(2, 1.5), ValueError, "d must be a whole number >= 1"),
    (lambda: random_fourier(2, 5, 0), ValueError, "gamma must be a finite number > 0"),
    (lambda: random_fourier(2, 5)([1, 2]), ValueError, r"x must be an \(N, dims\) array"),
    (lambda: random_fourier(2, 5)([[1, 2, 3]]), ValueError, "x must have 2 columns, .* got 3"),
    (lambda: random_fourier(2, 5).kernel([[1, 2]], [[1]]), ValueError, "other must have 2 columns, .* got 1"),
    (lambda: fb.features.random_fourier("2", 5), TypeError, "dims must be")])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_stumps_are_all_ways_to_part_the_values_of_a_column():
    x = np.array([[3, 1.5], [1, 1.5], [2, -1], [3, 0]])
    votes = fb.features.stumps(x)
    assert votes.names == ("x0 > 1.5", "x0 > 2.5", "x1 > -0.5", "x1 > 0.75")
    assert votes(x).tolist() == [[1, 1, 1, 1], [-1, -1, 1, 1], [1, -1, -1, -1], [1, 1, 1, -1]]
    assert votes([[1.5, 99]]).tolist() == [[-1, -1, 1, 1]]           # on a cut: not above it
    frame = pd.DataFrame(x, columns=["a b", "c"], index=[7, 8, 9, 4])
    named = fb.features.stumps(frame)(frame)
    assert list(named) == ["a b > 1.5", "a b > 2.5", "c > -0.5", "c > 0.75"]
    assert named.index.tolist() == [7, 8, 9, 4]
    assert (named.to_numpy() == votes(x)).all()


@pytest.mark.parametrize("values", [[1.0, np.nextafter(1.0, 2.0), 2.0], [0.0, 5e-324, 1.0], [-1.7e308, 1.7e308], [-5e-324, 0.0],
                                    np.random.default_rng(0).normal(size=50).round(1), [0.1, 0.2, 0.3]])
def test_a_stump_for_each_gap_however_narrow(values):
    x = np.array(values)[:, None]
    votes = fb.features.stumps(x)
    many = np.unique(x).size
    assert len(set(votes.names)) == many - 1
    above = (votes(np.unique(x)[:, None]) > 0).sum(axis=0)
    assert sorted(above.tolist()) == list(range(1, many))


@pytest.mark.parametrize(("call", "words"), [
    (lambda: fb.features.stumps([[1, 2], [1, 2]]), "X must have a column of two values or more to be cut between, got none"),
    (lambda: fb.features.stumps([1, 2]), r"X must be an \(N, dims\) array, got shape"),
    (lambda: fb.features.stumps([[1], [np.nan]]), "X must be finite"), (lambda: fb.features.stumps(np.empty((0, 2))), "not empty"),
    (lambda: fb.features.stumps([[1], [2]])([[1, 2]]), "x must have 1 columns, as many as the stumps were made for, got 2")])
def test_what_has_no_stumps(call, words):
    with pytest.raises(ValueError, match=words):
        call()
