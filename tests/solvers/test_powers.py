"""ℓp margins by interior points, and linear programs: against cvxpy, scipy, closed forms and certificates of our own."""
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbias as fb
from fastbias.checks.spans import independent_rows
from fastbias.solvers import margins, powers, programs, support, uniqueness
from tests.helpers.certificates import product

N = fb.norms
POWERS = (1.1, 1.5, 3.0, 10.0)


def size(x, p):
    """‖x‖_p, written out."""
    largest = np.abs(x).max()
    return largest * ((np.abs(x) / largest) ** p).sum() ** (1 / p) if np.isfinite(p) else largest


def gap(Z, found, p):
    """(upper − lower)/upper from w and λ alone."""
    lower = product(Z, found.w).min() / size(found.w, p)
    upper = size(product(Z.T, found.dual), p / (p - 1) if p > 1 else np.inf) / found.dual.sum()
    assert (found.dual >= 0).all()
    return (upper - lower) / upper


def data(seed, kind=None):
    """Up to 60 × 12, separated: thin or apart, of unlike columns or rows, with duplicates, ties, near dependence."""
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(1, 13)), int(rng.integers(1, 61))
    X, w = rng.normal(size=(n, d)), rng.normal(size=d)
    match seed % 7 if kind is None else kind:
        case 1:
            X += 0.3 * np.sign(X @ w)[:, None] * w / np.linalg.norm(w)
        case 2:
            X *= 10 ** rng.uniform(-3, 3, size=d)
        case 3:
            X = X[rng.integers(0, n, size=n)]
        case 4:
            X[:, -1] = X[:, 0] + 1e-6 * rng.normal(size=n)
        case 5:
            X, w = rng.integers(-3, 4, size=(n, d)).astype(float), rng.integers(-3, 4, size=d) + 0.5
        case 6:
            X *= rng.choice([1e-3, 1.0, 1e3], size=(n, 1))
    X = X[X @ w != 0] if (X @ w != 0).any() else np.ones((1, d))
    return X * np.where(X @ w >= 0, 1.0, -1.0)[:, None] if len(X) > 1 else np.ones((1, d))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(POWERS))
def test_power_margins_are_certified(seed, p):
    Z = data(seed)
    found = fb.max_margin(Z, np.ones(len(Z)), N.lp(p))
    assert found.certified
    assert gap(Z, found, p) <= 1e-10


@pytest.mark.exhaustive
@pytest.mark.parametrize("p", POWERS)
def test_power_margins_of_1000_problems_are_certified(p):
    worst = max(gap(Z, fb.max_margin(Z, np.ones(len(Z)), N.lp(p)), p) for Z in map(data, range(1000)))
    print(f"worst gap of 1000 ℓ{p} margins: {worst:.1e}")
    assert worst <= 1e-10


@pytest.mark.parametrize("p", [1.01, *POWERS, 100.0])
@pytest.mark.parametrize("shape", [(60, 20), (20, 60)])
def test_interior_points_end_at_the_optimum_by_themselves(p, shape):
    """Before anything is polished: with more rows than features, and with fewer."""
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=shape), rng.normal(size=shape[1])
    Z = X * np.sign(X @ w)[:, None]
    best = margins.Bounds(Z, N.lp(p))
    start = margins.separator(Z)
    pairs = list(powers.least_power(Z, p, start))
    assert len(pairs) == 2
    best.offer(*pairs[0])
    assert best.gap <= 1e-9
    v, lam = pairs[0]
    # those of weight are the rows of least margin, and no others
    least = Z @ v / (Z @ v).min()
    assert (least[lam > 0] <= 1 + 1e-6).all()
    assert 0 < (lam > 0).sum() <= min(shape)
    assert independent_rows(Z[lam > 0]).size == (lam > 0).sum()


@pytest.mark.parametrize("p", [1.2, 1.5, 3.0, 6.0])
def test_power_margins_against_cvxpy(p):
    import cvxpy as cp
    for seed in (7, 8, 12):
        Z = data(seed, kind=1)
        w = cp.Variable(Z.shape[1])
        least = cp.Problem(cp.Minimize(cp.pnorm(w, p)), [Z @ w >= 1]).solve(cp.CLARABEL)
        assert fb.max_margin(Z, np.ones(len(Z)), N.lp(p)).margin == pytest.approx(1 / least, rel=1e-6)


@pytest.mark.parametrize("p", POWERS)
def test_one_sample_has_the_direction_of_equality_in_hoelder(p):
    z = np.array([3.0, -1.0, 0.0, 1e-3])
    found = fb.max_margin(z[None], [1.0], N.lp(p))
    q = p / (p - 1)
    direction = np.sign(z) * np.abs(z) ** (q - 1)
    assert found.margin == pytest.approx(size(z, q), rel=1e-14)
    # what a relative error of 1e-15 in the margin leaves of w: its root
    assert found.w == pytest.approx(direction / size(direction, p), abs=3e-8)


@pytest.mark.parametrize("r", [2.0, 2.5, 11.0, 1001.0])
def test_nearest_points_solve_their_equation(r):
    x = np.concatenate([[0.0], np.geomspace(1e-200, 1e3, 400)])
    v = powers._nearest(x, r)
    assert (v >= 0).all()
    assert v + v ** (r - 1) == pytest.approx(x, rel=1e-12)


@pytest.mark.parametrize("p", POWERS)
def test_tangents_touch_the_curve(p):
    """At points of the curve nothing is off, and the slope is that of w^{p−1}."""
    w = np.array([-1.1, -0.3, 0.2, 0.9])
    g = np.sign(w) * np.abs(w) ** (p - 1)
    for near in (np.ones(4), np.array([0.1, 1.0, 0.5, 0.3])):
        a, b, off = powers._tangent(w, g, p, near)
        assert off == pytest.approx(0.0, abs=1e-13 * np.abs(b).max())
        assert a / b == pytest.approx((p - 1) * np.abs(w) ** (p - 2), rel=1e-9)


def test_powers_go_from_two_to_p():
    assert list(powers._powers(2.0)) == [2.0]
    assert list(powers._powers(10.0)) == [2.0, 4.0, 8.0, 10.0]
    told = list(powers._powers(1.1))
    assert told[0] == 2.0
    assert told[-1] == 1.1
    conjugate = [p / (p - 1) for p in told]
    assert all(1 < b / a <= 2 * (1 + 1e-9) for a, b in pairwise(conjugate))


@pytest.mark.parametrize("ball", ["cube", "cross-polytope"])
def test_polytopes_take_sparse_rows(ball):
    from scipy import sparse
    Z = data(9, kind=1)
    Z[np.abs(Z) < 0.5] = 0.0
    Z = Z[(Z != 0).any(axis=1)]
    Z = np.abs(Z)                                               # so that (1, …, 1) separates
    ones = np.ones(Z.shape[1])
    dense, thin = (programs.polytope(rows, ball, ones, 1.0) for rows in (Z, sparse.csr_array(Z)))
    norm = N.linf if ball == "cube" else N.l1
    assert (Z @ thin[0]).min() / norm(thin[0]) == pytest.approx((Z @ dense[0]).min() / norm(dense[0]), rel=1e-9)


@pytest.mark.parametrize("p", [5.0, 8.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_powers_are_made_exact_where_support_vectors_have_not_all_features(seed, p):
    """Of those features w^{p−1} = 0 alone is known, towards which Newton's method takes a part at a time."""
    rng = np.random.default_rng(seed)
    Z, w = rng.normal(size=(60, 12)), rng.normal(size=12)
    w[8:] = 0
    Z *= np.sign(Z @ w)[:, None]
    Z[:40, 8:] = 0
    Z[40:] += 3 * w / np.linalg.norm(w)                                     # far from the plane
    pair = next(powers.least_power(Z, p, w))
    best = margins.Bounds(Z, N.lp(p))
    best.offer(*pair)
    assert best.gap > 1e-12
    for better in support.polished(Z, N.lp(p), *pair, exchanges=0):
        best.offer(*better)
    assert best.gap <= 5e-15


def test_a_linear_program_without_steps_left_is_given_up(monkeypatch):
    Z = data(8, kind=0)
    assert programs.polytope(Z, "cube", np.ones(Z.shape[1]), 1.0) is not None
    monkeypatch.setattr(programs, "STEPS", 0)
    assert programs.polytope(Z, "cube", np.ones(Z.shape[1]), 1.0) is None


@pytest.mark.parametrize("norm", [N.l1, pytest.param(N.linf, marks=pytest.mark.slow)], ids=["l1", "linf"])
def test_support_vectors_say_that_a_maximiser_is_unique(norm, monkeypatch):
    """Where they do, the programs for the width of the face, asked all the same, see a point."""
    points, told = 0, uniqueness._is_point
    seen = []
    monkeypatch.setattr(uniqueness, "_is_point", lambda *face: seen.append(told(*face)))
    for seed in range(42):
        Z = data(seed)
        seen.clear()
        found = fb.max_margin(Z, np.ones(len(Z)), norm).hypotheses[0]
        if seen == [True]:
            points += 1
            assert found.holds is not False
    assert points > 20


@pytest.mark.parametrize(("norm", "z"), [(N.l1, [1.0, 1.0]), (N.linf, [1.0, 0.0])], ids=["l1", "linf"])
def test_support_vectors_do_not_say_so_of_ties(norm, z):
    """Every w between (1, 0) and (0, 1) has margin one in ℓ1; every (1, t) in ℓ∞."""
    assert fb.max_margin([z], [1.0], norm).hypotheses[0].holds is False
