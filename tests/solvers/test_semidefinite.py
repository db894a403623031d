"""Margins over positive semidefinite matrices: certificates recomputed, brute force, closed forms, no separator."""
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers import semidefinite
from tests.helpers.certificates import product


def problem(seed, most=6):
    """Labels of a teacher W = UUᵀ of random rank; X is not symmetric."""
    rng = np.random.default_rng(seed)
    n, N = int(rng.integers(2, most)), int(rng.integers(1, 25))
    X, U = rng.normal(size=(N, n, n)), rng.normal(size=(n, rng.integers(1, n + 1)))
    return X, np.sign((X * (U @ U.T)).sum((1, 2)))


def signed(X, y):
    return np.array([label * (A + A.T) / 2 for A, label in zip(np.array(X, float), y, strict=True)])


def recomputed(X, y):
    """The limit, its gap found again from W and λ alone, the sums without rounding."""
    found = fb.psd_margin(X, y)
    Z, W, lam = signed(X, y), found.w, found.dual
    assert (W == W.T).all()
    assert np.linalg.eigvalsh(W)[0] >= -1e-14
    assert np.trace(W) == pytest.approx(1, abs=1e-12)
    assert (lam >= 0).all()
    assert lam.sum() == pytest.approx(1, abs=1e-12)
    rows = Z.reshape(len(Z), -1)
    lower = product(rows, W.ravel()).min() / np.trace(W)
    upper = np.linalg.eigvalsh(product(rows.T, lam).reshape(W.shape))[-1] / float(sum(map(Fraction, lam)))
    assert found.margin == pytest.approx(lower, rel=1e-12)
    assert found.duality_gap == pytest.approx((upper - lower) / upper, abs=1e-13)
    assert found.certified == (found.duality_gap <= 1e-10)
    return found


def test_certificates_on_random_problems():
    gaps = [recomputed(*problem(seed)).duality_gap for seed in range(20)]
    assert max(gaps) < 1e-10


@pytest.mark.exhaustive
def test_certificates_on_1000_random_problems():
    worst = max(recomputed(*problem(seed)).duality_gap for seed in range(1000))
    print(f"worst gap of 1000 semidefinite margins: {worst:.1e}")
    assert worst < 1e-9


def test_against_brute_force_over_two_by_two_matrices():
    """W = ½(I + a diag(1, −1) + b offdiag(1, 1)) with a² + b² ≤ 1 are all of trace one."""
    side = np.linspace(-1, 1, 801)
    a, b = (x[np.add.outer(side ** 2, side ** 2) <= 1] for x in np.meshgrid(side, side))
    for seed in range(6):
        X, y = problem(seed, most=3)
        Z = signed(X, y)
        margins = (Z[:, 0, 0, None] * (1 + a) + Z[:, 1, 1, None] * (1 - a)) / 2 + Z[:, 0, 1, None] * b
        best, found = margins.min(axis=0).max(), fb.psd_margin(X, y)
        assert best <= found.margin * (1 + 1e-9)
        assert best >= found.margin - 0.004 * np.abs(Z).max()


def test_against_the_dual_program():
    import cvxpy as cp
    for seed in (0, 3, 8):
        X, y = problem(seed)
        Z, lam = signed(X, y), cp.Variable(len(y), nonneg=True)
        value = cp.Problem(cp.Minimize(cp.lambda_max(sum(lam[i] * A for i, A in enumerate(Z)))),
                           [cp.sum(lam) == 1]).solve(cp.CLARABEL)
        assert fb.psd_margin(X, y).margin == pytest.approx(value, rel=1e-6)


def test_diagonal_samples_make_a_matrix_game():
    from scipy.optimize import linprog
    rng = np.random.default_rng(0)
    payoff = rng.normal(size=(7, 4)) + 0.7
    game = linprog(np.append(np.zeros(4), -1.0), A_ub=np.hstack([-payoff, np.ones((7, 1))]), b_ub=np.zeros(7),
                   A_eq=[[1, 1, 1, 1, 0]], b_eq=[1], bounds=[(0, None)] * 4 + [(None, None)])
    found = recomputed([np.diag(row) for row in payoff], np.ones(7))
    assert found.margin == pytest.approx(-game.fun, rel=1e-9)
    assert np.diag(found.w) == pytest.approx(game.x[:4], abs=1e-6)


def test_one_sample_is_answered_by_its_top_eigenvector():
    A = np.random.default_rng(1).normal(size=(5, 5))
    A = A + A.T
    values, Q = np.linalg.eigh(A)
    found = recomputed([A], [1])
    assert found.margin == pytest.approx(values[-1], rel=1e-12)
    assert found.w == pytest.approx(np.outer(Q[:, -1], Q[:, -1]), abs=1e-9)
    assert found.norm(found.w.ravel()) == pytest.approx(1)


def test_the_lifted_problem_is_the_nuclear_margin():
    """eq. (16) is (17) on [[0, X], [Xᵀ, 0]]: W₁₂ of a W ⪰ 0 of trace one has nuclear norm at most ½."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(9, 3, 4))
    y = np.sign((X * rng.normal(size=(3, 4))).sum((1, 2)))
    lifted = [np.block([[np.zeros((3, 3)), A], [A.T, np.zeros((4, 4))]]) for A in X]
    whole, part = fb.psd_margin(lifted, y), fb.max_margin(X, y, fb.norms.nuclear(3, 4))
    assert whole.margin == pytest.approx(part.margin, rel=1e-8)
    assert 2 * whole.w[:3, 3:] == pytest.approx(part.w, abs=1e-5)


def test_units_and_small_margins():
    X, y = problem(4)
    one = fb.psd_margin(X, y)
    for unit in (1e-200, 1e-6, 1e150):
        other = recomputed(unit * X, y)
        assert other.margin == pytest.approx(unit * one.margin, rel=1e-9)
    for small in (1e-3, 1e-6):
        found = fb.psd_margin([np.diag([1, -1]), np.diag([-1, 1 + small])], [1, 1])
        assert found.certified
        assert found.margin == pytest.approx(small / (4 + small), rel=1e-8)


def unique(X):
    return fb.psd_margin(X, np.ones(len(X))).hypotheses[0].holds


def test_whether_the_maximiser_is_unique():
    assert unique([np.diag([2.0, 1.0])]) is True
    assert unique([np.eye(2)]) is False
    assert unique([np.diag([2.0, 2.0, 1.0])]) is False
    pair, cross = np.diag([1.0, -1]), np.array([[0.0, 1], [1, 0]])
    assert unique([pair, np.diag([-0.5, 1])]) is False           # off the diagonal W is free
    assert unique([pair + cross, pair - cross, np.diag([-0.5, 1])]) is True
    assert unique([np.diag([1.0, 1.0 - 1e-5])]) is None


INSEPARABLE = {"opposite": [np.diag([1.0, -1]), np.diag([-1.0, 1])], "negative": [np.diag([-1.0, -2])],
               "a sample of zeros": [np.eye(2), np.zeros((2, 2))], "strictly": [np.diag([1.0, -1]), np.diag([-2.0, 1])],
               "antisymmetric": [np.array([[0.0, 1], [-1, 0]])], "many": -np.random.default_rng(0).normal(size=(40, 3, 3))}


@pytest.mark.parametrize("case", INSEPARABLE)
def test_where_no_matrix_separates(case):
    X = np.array(INSEPARABLE[case])
    told = fb.psd_separability(X, np.ones(len(X)))
    assert not told
    assert told.w is None
    assert (told.dual >= 0).all()
    assert told.dual.sum() == pytest.approx(1)
    assert np.linalg.eigvalsh(np.tensordot(told.dual, signed(X, np.ones(len(X))), 1))[-1] <= 1e-9
    with pytest.raises(ValueError, match="separable by a positive semidefinite"):
        fb.psd_margin(X, np.ones(len(X)))


def test_separators_separate():
    for seed in range(5):
        X, y = problem(seed)
        told = fb.psd_separability(X, y)
        assert told
        assert np.linalg.eigvalsh(told.w)[0] >= -1e-14
        assert all(np.trace(A @ told.w) > 0 for A in signed(X, y))


def test_where_one_of_the_solvers_fails(monkeypatch):
    X, y = problem(5)
    margin = fb.psd_margin(X, y).margin
    monkeypatch.setattr(semidefinite, "least", lambda *_, **__: iter(()))
    alone = recomputed(X, y)                                     # the semidefinite program alone
    assert alone.margin == pytest.approx(margin, rel=1e-6)
    monkeypatch.setattr(semidefinite, "_game", lambda *_: iter(()))
    with pytest.raises(ArithmeticError, match="neither separable"):
        fb.psd_margin(X, y)
    start = semidefinite.widest(signed(X, y).reshape(len(X), -1), X.shape[1], np.eye(X.shape[1]).ravel())
    assert not start.certified
    assert start.hypotheses[0].holds is None


def test_bad_input():
    with pytest.raises(ValueError, match="must hold square matrices, got shape"):
        fb.psd_margin(np.ones((2, 2, 3)), [1, 1])
    with pytest.raises(ValueError, match="X must be an"):
        fb.psd_margin(np.ones((2, 4)), [1, 1])
    with pytest.raises(ValueError, match="labels must be −1 or"):
        fb.psd_separability(np.ones((2, 2, 2)), [2, 2])


A = np.array([[1.0, 0.5], [0.5, -1.0]])


@pytest.mark.parametrize("pair", [[A, -A], [A, -0.3 * A], [A, -A - 1e-12 * np.eye(2)], [-A @ A],
                                  [np.diag([1.0, 0]), np.diag([-1.0, 0])]])
def test_what_no_matrix_separates_is_proved_in_fractions(pair):
    told = fb.psd_separability(pair, np.ones(len(pair)))
    assert told.separable is False
    total = sum(weight * Z for weight, Z in zip(told.dual, np.array(pair), strict=True))
    assert np.linalg.eigvalsh(total)[-1] <= 4e-16
    assert told.residual <= 4e-16


@pytest.mark.parametrize("small", [1e-9, 1e-11, 1e-13, 1e-15])
def test_a_small_margin_is_never_called_none(small):
    """W = 1/2 separates these by small/2: that, or no answer."""
    try:
        assert fb.psd_separability([A, -A + small * np.eye(2)], [1, 1]).separable
    except ArithmeticError as told:
        assert "certified in float64" in str(told)  # noqa: PT017 (either is right)


@pytest.mark.parametrize("wrong", [0, 30])
def test_many_samples_by_a_working_set(wrong):
    rng = np.random.default_rng(7)
    X, B = rng.normal(size=(900, 4, 4)), rng.normal(size=(4, 2))
    y = np.sign(((X + X.transpose(0, 2, 1)) * (B @ B.T)).sum((1, 2)))
    y[:wrong] *= -1                                             # (a few of many, so that few show it)
    told = fb.psd_separability(X, y)
    assert told.separable == (wrong == 0)
    if not told:
        assert (told.dual >= 0).all()
        assert (told.dual > 0).sum() <= 100
        assert np.linalg.eigvalsh(np.tensordot(told.dual, signed(X, y), 1))[-1] <= 1e-9
        return
    limit = recomputed(X, y)
    assert (limit.dual > 0).sum() <= 16


def test_a_working_set_finds_what_all_samples_at_once_do(monkeypatch):
    X, y = problem(6)
    X, y = np.concatenate([X, 1.1 * X + 0.01]), np.concatenate([y, y])
    if not fb.psd_separability(X, y):
        X, y = np.concatenate([X[:len(X) // 2], 1.1 * X[:len(X) // 2]]), y
    at_once = fb.psd_margin(X, y)
    for name in ("FEW", "FIRST", "START"):
        monkeypatch.setattr(semidefinite, name, 1)
    few = recomputed(X, y)
    assert few.margin == pytest.approx(at_once.margin, rel=1e-9)
