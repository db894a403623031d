"""What free intercepts are made of: the best b for a w, weights that balance, centres, and bounds."""
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

import fastbias as fb
from fastbias.data.rows import signed
from fastbias.solvers import free
from fastbias.solvers.bounds import Bounds
from tests.solvers.test_intercepts import problem

N = fb.norms


@pytest.mark.parametrize("seed", range(20))
def test_the_best_intercepts_against_a_linear_program(seed):
    rng = np.random.default_rng(seed)
    K = 2 + seed % 5
    table = rng.normal(size=(K, K))
    table[rng.random((K, K)) < 0.2] = np.inf
    np.fill_diagonal(table, np.inf)
    table[np.arange(K), (np.arange(K) + 1) % K] = rng.normal(size=K)         # a cycle, so that there is a maximum
    b = free.best_intercept(table)
    a, c = np.nonzero(np.isfinite(table))
    rows = (np.arange(K) == c[:, None]) * 1.0 - (np.arange(K) == a[:, None])
    program = linprog([*np.zeros(K), -1.0], A_ub=np.column_stack([rows, np.ones(len(a))]), b_ub=table[a, c],
                      bounds=[(None, None)] * K + [(None, None)])
    assert (table[a, c] + b[a] - b[c]).min() == pytest.approx(-program.fun, abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_weights_that_balance(classes):
    rng = np.random.default_rng(classes)
    own = np.append(np.arange(classes), rng.integers(0, classes, 40))
    other = (own + 1 + np.append(np.zeros(classes, int), rng.integers(0, classes - 1, 40))) % classes
    lam = rng.random(own.size)
    found = free.balanced((own, other), lam, classes)
    flow = free.Balance((own, other), found, classes).flow
    assert np.abs(flow.sum(axis=0) - flow.sum(axis=1)).max() <= 1e-14 * flow.sum()
    assert (found > 0).all()
    # a small excess goes exactly where it came from
    change = free.Balance((own, other), lam, classes).correction(
        free.Balance((own, other), lam, classes).flow.sum(axis=1) - free.Balance((own, other), lam, classes).flow.sum(axis=0))
    flow = free.Balance((own, other), lam * (1 + change), classes).flow
    assert np.abs(flow.sum(axis=0) - flow.sum(axis=1)).max() <= 1e-13 * flow.sum()


def test_weights_on_no_cycle_of_classes_are_dropped():
    """1 against 2 and 2 against 1 balance; what is between 0 and these does not."""
    own, other = np.array([1, 2, 0]), np.array([2, 1, 1])
    found = free.balanced((own, other), np.array([1.0, 4.0, 1.0]), 3)
    assert found[2] == 0
    assert found[0] == pytest.approx(2, rel=1e-14)
    assert found[1] == pytest.approx(2, rel=1e-14)
    assert not free.balanced((np.ones(2, int), np.zeros(2, int)), np.ones(2), 2).any()


def test_centres_round_nothing():
    rng = np.random.default_rng(0)
    X = np.exp(rng.normal(size=(50, 6)) * [0.01, 0.2, 2, 1e-9, 0.3, 0.2]) * [1e12, -3, 1, 1, 1e-300, 1e300]
    X[:, 4] = 0.0
    c = free.centre(X)
    assert (c != 0).tolist() == [True, True, False, True, False, True]
    for row in X:
        assert all(Fraction(float(v - s)) == Fraction(float(v)) - Fraction(float(s)) for v, s in zip(row, c, strict=True))


def test_bounds_of_weights_that_do_not_balance_yet():
    """λ is scaled first: without that what it is said to prove would be under the margin."""
    X, y = problem(0)
    rows = signed(X, np.where(y == 1, 1.0, -1.0), intercept=True)
    limit = fb.max_margin(X, y, intercept=True)
    for lam in np.random.default_rng(0).random((20, len(X))):
        best = Bounds(rows, free.freely(N.l2, 1))
        best.offer(np.append(limit.w, 0.0), lam)
        assert best.upper >= limit.margin * (1 - 1e-12)
        assert best.lower == pytest.approx(limit.margin, rel=1e-9)           # b is found for any w


def test_the_bound_is_that_of_weights_which_balance_exactly(monkeypatch):
    """λ that balances to 1e-6 alone would say 0.4999 where the margin is a half: b has its say in that."""
    monkeypatch.setattr("fastbias.solvers.bounds.balanced", lambda ends, lam, classes: lam)
    rows = signed(np.array([[100.0], [99.0]]), np.array([1.0, -1.0]), 1, True)
    best = Bounds(rows, free.freely(fb.norms.l2, rows.free))
    best.offer(np.array([1.0, -99.5]), np.array([0.5 - 1e-6, 0.5]))
    assert best.lower == pytest.approx(0.5, rel=1e-12)
    assert best.upper >= 0.5 * (1 - 1e-10)
    assert best.upper == pytest.approx(0.5, rel=1e-9)
