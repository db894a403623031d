"""Exact arithmetic behind separability and thin margins: what it decides, what it refuses, and what it must not claim."""
import math
import time
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers import exact, margins
from tests.helpers.certificates import recomputed

N = fb.norms
STAMPS = np.column_stack([1.6e12 + np.arange(10), np.ones(10)]), np.where(np.arange(10) >= 5, 1, -1)
E = 2.0 ** -29
NARROW = [[-16 + E, 16 + E], [8 + E, -8 + E], [-4 + E, 4 + E]]


def least(w, Z):
    return min(sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(row, w, strict=True)) for row in Z)


def test_ten_consecutive_timestamps_in_milliseconds():
    X, y = STAMPS
    told = fb.separability(X, y)
    assert told.separable
    assert least(told.w, y[:, None] * X) > 0
    limit = fb.max_margin(X, y)
    assert limit.margin * math.hypot(1, 1.6e12 + 4.5) == pytest.approx(0.5, rel=1e-3)
    assert not fb.separability(X, np.where(np.arange(10) == 3, 1, y))


def test_cancellation_is_no_overlap():
    told = fb.separability(NARROW, [1, 1, 1])
    assert least(told.w, NARROW) > 0
    for norm, ones in ((N.l2, 2 ** 0.5), (N.linf, 1.0)):
        assert fb.max_margin(NARROW, [1, 1, 1], norm).margin * ones >= 2 * E * (1 - 1e-5)


@pytest.mark.parametrize("size", [5e-324, 1e-320, 1e-300, 1e-160, 1e160, 1e300])
def test_data_of_any_size(size):
    w = fb.separability([[size]], [1]).w
    assert np.isfinite(w).all()
    assert w[0] * size > 0
    A, y = np.array([[1, 2.0], [2, 1], [-1, -3]]), [1, 1, -1]
    for norm in (N.l1, N.l2, N.linf, N.lp(1.5), N.lp(3), N.quadratic([1e-200, 1e-200]), N.group([[0], [1]])):
        whole = fb.max_margin(A, y, norm).margin
        if norm.matrix is not None and norm.size and size > 1e200:
            with pytest.raises(ArithmeticError, match="cannot be found in float64"):
                fb.max_margin(A * size, y, norm)
        elif size > 1e-310:
            limit = fb.max_margin(A * size, y, norm)
            assert limit.margin == pytest.approx(whole * size, rel=1e-12)
            assert limit.certified


@pytest.mark.parametrize("X", [np.diag([1e300, 1e-300]), [[1e-320, 1e300], [1e-320, -1e300]],
                               [[5e-324, 0], [0, 1.7e308], [1, -1]]])
def test_samples_too_far_apart_are_refused(X):
    y = np.ones(len(X))
    assert fb.separability(X, y)
    for norm in (N.l1, N.l2, N.linf, N.group([[0], [1]])):
        with pytest.raises(ArithmeticError, match="cannot be found in float64"):
            fb.max_margin(X, y, norm)


def test_numbers_at_both_ends_of_float64():
    for X, truth in (([[1e300, 1e-300], [-1e300, -1e-300]], False), ([[1e300, 1e-300], [-1e300, 1e-300]], True),
                     ([[1.7e308, 1.7e308], [-1.7e308, 1.7e308]], True), ([[5e-324], [-1.7e308]], False)):
        told = fb.separability(X, np.ones(len(X)))
        assert told.separable is truth
        assert told.w is None or least(told.w, X) > 0


def test_powers_near_one_and_infinity_find_no_raw_exception():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 8)), [1, -1, 1, 1, -1]
    for p, norm in ((1e6, N.linf), (1 + 1e-7, N.l1)):
        assert fb.max_margin(X, y, N.lp(p)).margin == pytest.approx(fb.max_margin(X, y, norm).margin, rel=1e-4)


def thin(seed):
    """Samples within about 10^−e of a plane, and on one side of it, or two that nearly balance each other."""
    rng = np.random.default_rng(seed)
    e = 10.0 ** -rng.uniform(2, 15)
    if seed % 4 == 0:
        return np.array([[1, 1], [-1, -1 + e]])
    d = int(rng.integers(2, 6))
    w, X = rng.normal(size=d), rng.normal(size=(int(rng.integers(2, 2 * d + 2)), d))
    return X - np.outer(X @ w - e * rng.uniform(1, 2, len(X)), w / (w @ w))


def thin_margins(seeds):
    """The worst gap, in units of what rounding w and λ can cost, and how many are certified."""
    worst, count, total = 0.0, 0, 0
    for X in map(thin, seeds):
        y = np.ones(len(X))
        try:
            if not fb.separability(X, y):
                continue
        except ArithmeticError:
            continue
        for norm in (N.l2, N.l1, N.linf):
            found, gap = recomputed(X, y, norm)
            worst = max(worst, gap * found.margin / norm.dual(X).max())
            count, total = count + found.certified, total + 1
    return worst, count, total


def test_thin_margins_are_as_good_as_rounding_allows():
    worst, _, total = thin_margins(range(10))
    assert total > 20
    assert worst <= 1e-15


@pytest.mark.exhaustive
def test_1000_thin_margins_are_as_good_as_rounding_allows():
    worst, count, total = thin_margins(range(1000))
    print(f"thin cones: gap times relative margin at most {worst:.1e}; {count} of {total} certified to 1e-10")
    assert worst <= 1e-15


def test_exact_and_float_paths_agree():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(1, 6))
        Z = rng.integers(-3, 4, (int(rng.integers(1, 12)), d)).astype(float)
        Z = Z[Z.any(axis=1)]
        if not len(Z):
            continue
        told = fb.separability(Z, np.ones(len(Z)))
        w, det, weights = exact.decide(exact.Scaled(Z), np.arange(1))
        assert (w is not None) == told.separable
        if w is None:
            lam = [weights.get(n, Fraction(0)) for n in range(len(Z))]
            assert min(lam) >= 0
            assert sum(lam) == 1
            assert all(sum(v * Fraction(z) for v, z in zip(lam, column, strict=True)) == 0 for column in Z.T)
        else:
            assert least([float(Fraction(int(v), det)) for v in w] / 2.0 ** exact.Scaled(Z).columns, Z) > 0


def test_the_bounds_never_surround_what_is_separable():
    """λ of least squares on samples that some w separates by less than solvers see."""
    claimed = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        d, e = int(rng.integers(1, 5)), 10.0 ** -rng.uniform(8, 17)
        Z = rng.normal(size=(3 * d, d))
        Z[:, -1] = 0.0
        Z = np.vstack([Z, -Z])
        Z[:, -1] = e                                             # separable by the last coordinate
        lam = np.abs(rng.normal(size=len(Z)))
        assert exact.surrounded(exact.Scaled(Z).floats, (lam + np.roll(lam, 3 * d)) / 2) is None
        Z[::3, -1] *= -1.0
        claimed += exact.surrounded(exact.Scaled(Z).floats, np.ones(len(Z))) is not None
    assert claimed < 400


def test_dependent_features_are_no_obstacle():
    """Copies, totals, dummies that sum to the constant one, several classes: overlap is proved without integers."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 30)), np.where(rng.random(300) < 0.5, 1.0, -1.0)
    dummies = np.hstack([np.eye(15)[rng.integers(0, 15, 300)], np.eye(14)[rng.integers(0, 14, 300)], np.ones((300, 1))])
    for features in (np.hstack([X, X[:, :2]]), np.hstack([X, X[:, :1] + X[:, 1:2]]), np.hstack([X, dummies]),
                     np.hstack([X, 1e9 + X[:, :1], np.ones((300, 1))])):
        start = time.perf_counter()
        told = fb.separability(features, y)
        assert not told.separable
        assert told.residual < 1e-14
        assert time.perf_counter() - start < 20
    assert not fb.separability(rng.normal(size=(200, 8)), rng.integers(0, 5, 200))


def test_what_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(exact, "LIMIT", 0.0)
    nearly = np.array([[1.0, 1.0], [-1.0, -1.0 + 2.0 ** -53]])
    with pytest.raises(ArithmeticError, match="too large a question"):
        margins.separate(np.vstack([nearly, -nearly[:1] * [1, 1 - 2.0 ** -52]]) + 0.0)


def test_a_cone_without_a_float_in_it_is_refused(monkeypatch):
    monkeypatch.setattr(exact.Scaled, "least", lambda *_: -1.0)
    with pytest.raises(ArithmeticError, match="so narrowly that no w"):
        fb.separability([[1, 2.0]], [1])


@pytest.mark.parametrize("solver", ["scipy.optimize.nnls", "scipy.optimize.linprog", "numpy.linalg.qr"])
def test_failing_solvers_change_no_answer(monkeypatch, solver):
    def fails(*_, **__):
        raise RuntimeError("not today")
    fails.__code__ = fails.__code__.replace(co_filename=np.__file__)
    monkeypatch.setattr(solver, fails)
    X, y = STAMPS
    assert fb.separability(X, y)
    assert not fb.separability(X, np.where(np.arange(10) == 3, 1, y))
    assert fb.max_margin(NARROW, [1, 1, 1]).margin > 0
