"""Numbers from 1e-300 to 1e300, and NaN: nothing is certified that is not so, and nothing hides."""
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbias as fb
from fastbias.checks import foreign
from fastbias.checks.sizes import length, lengths, misfits, ratio, row_lengths, worst
from fastbias.solvers.bregman import bregman_projection, feasibility, relative
from fastbias.solvers.equations import Unreachable, reachable

N = fb.norms
NAN, INF = float("nan"), float("inf")
A, b = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, -1.0]]), np.array([1.0, -2.0])
NORMS = [N.l1, N.l2, N.linf, N.lp(1.5), N.lp(3), N.quadratic([1.0, 2.0, 3.0]), N.group([[0, 1], [2]]), N.fourier(3)]


# --- the helpers ---------------------------------------------------------------------------------------------------------

def test_the_worst_residual_is_infinite_where_one_is_unknown():
    for unknown in ((NAN,), (0.0, NAN), (NAN, 0.0), ([1.0, NAN], 2.0), (INF, NAN), (1.0, np.array([[NAN]]))):
        assert worst(*unknown) == INF
    assert worst(1e-12, [2.0, 1.0]) == 2.0
    assert worst(np.zeros(0)) == 0.0
    assert worst(-1.0) == 0.0
    assert [ratio(1.0, s) for s in (2.0, 0.0, INF, NAN)] == [0.5, 1.0, INF, INF]
    assert ratio(NAN, 1.0) == ratio(NAN, 0.0) == INF


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6), st.integers(-1000, 1000))
def test_lengths_are_those_of_exact_arithmetic_at_any_size(x, power):
    x = np.ldexp(np.array(x), power)
    squares = sum(Fraction(v) ** 2 for v in x.tolist())
    near = Fraction(length(x)) ** 2
    assert abs(near - squares) <= squares * Fraction(1, 2 ** 48) or squares < Fraction(1, 2 ** 2000)
    assert lengths(np.array([x, 2 * x]))[1] == pytest.approx(2 * length(x), rel=1e-15)


def test_lengths_of_what_is_not_finite_and_of_zeros():
    assert np.isnan(length([1.0, NAN]))
    assert length([1.0, INF]) == INF
    assert length([0.0, 0.0]) == length([]) == 0.0
    assert row_lengths(np.array([[0.0, 0.0], [1.7e308, 1.7e308]])).tolist() == [1.0, np.finfo(float).max]
    assert row_lengths(np.array([[3e-320, 4e-320]]))[0] * 1e300 == pytest.approx(5e-20, rel=1e-3)


@given(st.integers(0, 10 ** 6))
def test_misfits_are_backward_errors_of_single_rows(seed):
    """ε = |⟨x, w⟩ − y|/(|x|·|w| + |y|) is the least change of x and y, entry by entry, that makes the row hold exactly."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(4, 3)) * 10.0 ** rng.integers(-80, 80, size=(4, 1))
    w = rng.normal(size=3) * 10.0 ** rng.integers(-80, 80)
    y = X @ w * (1 + 10.0 ** rng.integers(-16, 1, size=4))
    for row, goal, found in zip(X, y, misfits(X, y, w), strict=True):
        terms = [Fraction(x) * Fraction(v) for x, v in zip(row.tolist(), w.tolist(), strict=True)]
        exact = abs(sum(terms) - Fraction(float(goal))) / max(abs(Fraction(float(goal))), sum(map(abs, terms)))
        assert found == pytest.approx(float(exact), rel=1e-6, abs=4e-16)


def test_residuals_of_points_that_are_not_finite_are_infinite():
    for w in ([NAN, 0.0, 0.0], [INF, 0.0, 0.0], [1e308, 1e308, 1e308]):
        assert feasibility(A * 1e10, b, np.array(w)) >= 0.1
    assert relative(np.array([NAN]), 1.0) == relative(np.array([1.0]), NAN) == relative(np.array([1.0]), INF) == INF
    assert relative(np.array([1e-200]), np.array([1e-190])) == pytest.approx(1e-10)


# --- norms ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("norm", [*NORMS, N.spectral(3, 1), N.nuclear(1, 3),
                                  N.quadratic([[2, 1, 0], [1, 2, 0.5], [0, 0.5, 1]])], ids=repr)
@pytest.mark.parametrize("power", [-700, -530, 530, 700])
def test_norms_and_their_duals_scale(norm, power):
    x = np.array([3.0, -4.0, 0.5])
    for size in (norm, norm.dual):
        assert size(np.ldexp(x, power)) == pytest.approx(float(np.ldexp(size(x), power)), rel=1e-14)


# --- equations -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("norm", NORMS, ids=repr)
@pytest.mark.parametrize(("s", "t"), [(1e-160, 1.0), (1e160, 1.0), (1.0, 1e-160), (1.0, 1e160), (1e160, 1e160),
                                      (1e-300, 1e-200)])
def test_minimum_norms_of_any_size_are_those_of_size_one(norm, s, t):
    plain, found = fb.minimum_norm(A, b, norm), fb.minimum_norm(A * s, b * t, norm)
    assert found.certified
    assert found.w * s / t == pytest.approx(plain.w, rel=1e-7, abs=1e-9)
    assert found.dual @ (b * t) == pytest.approx(norm(found.w), rel=1e-9)


@pytest.mark.parametrize("norm", NORMS[:7], ids=repr)
@pytest.mark.parametrize(("X", "y"), [
    ([[1e160, 1, 0], [1, 1, 0], [1, 2, 0]], [1.0, 1e150, 3e151]), ([[1, 0, 0], [1, 0, 0], [0, 1, 0]], [1, 2, 1e12]),
    ([[1, 0, 0], [1, 0, 0], [0, 1, 1]], [1e-200, 2e-200, 1])])
def test_no_row_of_an_inconsistent_system_hides(norm, X, y):
    with pytest.raises(Unreachable, match="y must be reachable by X w"):
        fb.minimum_norm(X, y, norm)


@given(st.integers(0, 10 ** 6))
def test_systems_with_a_solution_are_not_refused(seed):
    rng = np.random.default_rng(seed)
    N, d = rng.integers(1, 6, size=2)
    X = rng.normal(size=(N, d)) * 10.0 ** rng.integers(-20, 20, size=(N, 1))
    X = X * 10.0 ** rng.integers(-3, 4, size=d)
    reachable(X, X @ rng.normal(size=d))
    reachable(np.vstack([X, X]), np.tile(X @ rng.normal(size=d) * 0 + X @ np.ones(d), 2))


@given(st.integers(0, 10 ** 6))
def test_nor_are_those_whose_columns_lie_far_apart(seed):
    rng = np.random.default_rng(seed)
    N, d = rng.integers(1, 6, size=2)
    X, size = rng.integers(-3, 4, size=(N, d)).astype(float), 2.0 ** rng.integers(-200, 200, size=d)
    w = rng.integers(1, 9, size=d)
    reachable(X * size, X @ w)                               # solved by w/size, exactly
    found = bregman_projection(X * size, X @ w, "entropy", np.ones(d))
    assert not found.certified or feasibility(X * size, X @ w, found.w) <= 1e-9


def test_what_solvers_make_of_a_point_is_not_believed(monkeypatch):
    """A solver that answers NaN, infinities or nonsense does not get a certificate."""
    for value in (NAN, INF, 1e300, 3.0):
        with monkeypatch.context() as patch:
            patch.setattr("fastbias.solvers.minimum_norm._solvers", lambda *_, value=value: [
                lambda *_: [(np.full(3, value), np.full(2, value))],
                lambda *_: [(np.full(3, 0.1), np.full(2, NAN))]])
            assert not fb.minimum_norm(A, b).certified
    with monkeypatch.context() as patch:
        patch.setattr("fastbias.solvers.minimum_norm._solvers", lambda *_: [lambda X, *_: np.linalg.inv(X)])
        with pytest.raises(np.linalg.LinAlgError):                          # not one that this door would let through unseen
            fb.minimum_norm(A, b)


def test_limits_that_do_not_fit_into_float64_are_refused():
    with pytest.raises(ArithmeticError, match="minimum l2 norm could not be found"):
        fb.minimum_norm(A * 1e-200, b * 1e200, "l2")
    with pytest.raises(ArithmeticError, match="could not be solved: its numbers are not finite"):
        bregman_projection([[1e-200, 0]], [1e200], "cosh")
    with pytest.raises(ValueError, match="w0 must have a finite gradient of the cosh potential"):
        bregman_projection([[1, 2]], [1], "cosh", [800, 0])
    far = bregman_projection([[1, 2]], [1e4], "cosh")                       # ν is about e^3000
    assert np.isfinite(far.w).all()
    assert not far.certified
    near = bregman_projection([[1, 2]], [1e3], "cosh")
    assert near.certified


@pytest.mark.parametrize("p", [1 + 1e-7, 1.0001, 50.0, 400.0, 1e6])
def test_minimum_norms_of_extreme_powers_are_near_even_where_uncertified(p):
    found = fb.minimum_norm(A, b, N.lp(p))
    best = found.dual @ b                                                   # a lower bound, for ‖Xᵀν‖_q ≤ 1
    assert N.lp(p).dual(found.dual @ A) <= 1 + 1e-12
    assert N.lp(p)(found.w) == pytest.approx(best, rel=1e-4)
    assert A @ found.w == pytest.approx(b, rel=1e-9)
    assert found.certified == (found.duality_gap <= 1e-10)


@pytest.mark.parametrize("p", [1 + 1e-13, 1 + 1e-7, 1e6, 1e13, 1e300])
def test_extreme_powers_have_maximum_margins_and_paths(p):
    Z, norm = np.array([[1.0, 2.0], [2.0, 1.5], [3.0, -0.2]]), N.lp(p)
    near = fb.max_margin(Z, [1, 1, 1], N.l1 if p < 2 else N.linf)
    found = fb.max_margin(Z, [1, 1, 1], norm)
    assert found.certified
    assert found.margin == pytest.approx(near.margin, rel=1e-5)
    path = fb.regularisation_path(Z, [1, 1, 1], [1.0], norm)
    assert path.residuals.max() <= 1e-5
    assert norm(path.w[0]) <= 1 + 1e-9


# --- the l1 path ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("s", "t"), [(1e-160, 1.0), (1e160, 1.0), (1.0, 1e-160), (1.0, 1e150), (1e-100, 1e-100)])
def test_l1_paths_of_any_size_are_those_of_size_one(s, t):
    plain, found = fb.l1_path(A, b, 6), fb.l1_path(A * s, b * t, 6)
    assert found.lambdas / s / t == pytest.approx(plain.lambdas, rel=1e-12)
    assert found.w * s / t == pytest.approx(plain.w, rel=1e-9, abs=1e-12)
    assert found.residuals.max() <= 1e-9


def test_l1_paths_at_the_ends():
    assert not fb.l1_path(A, b, [1e300]).w.any()
    assert not fb.l1_path(A * 0, b, 3).w.any()
    end = fb.l1_path(A, b, [1e-8])
    assert end.w[0] == pytest.approx(fb.minimum_norm(A, b, "l1").w, abs=1e-7)
    with pytest.raises(ValueError, match="lambdas must be at least 1e-14 of λ_max"):
        fb.l1_path(A, b, [1.0, 1e-300])
    with pytest.raises(ValueError, match="lambdas must make arrays that fit into .* memory, got 1099511627776, which"):
        fb.l1_path(A, b, 2 ** 40)
    with pytest.raises(ValueError, match="fits into float64"):
        fb.l1_path(A * 1e200, b * 1e200)
    with pytest.raises(ValueError, match="fits into float64"):
        fb.l1_path(A * 1e-200, b * 1e200)


def test_l1_paths_where_the_solver_fails(monkeypatch):
    T, c = np.vstack([A, [[1, 1, 1], [0, 1, 2]]]), [1, -2, 3, 1]            # no w solves these
    plain = fb.l1_path(T, c, 4)
    monkeypatch.setattr("cvxpy.Problem.solve", lambda *_, **__: np.linalg.inv(np.zeros((1, 1))))
    found = fb.l1_path(T, c, 4)
    assert np.isfinite(found.w).all()
    assert (found.residuals >= plain.residuals - 1e-12).all()
    assert found.residuals.max() > 1e-3


# --- matrices, ReLU, features --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("s", [1e-300, 1e-160, 1e160, 1e300])
def test_margins_over_semidefinite_matrices_of_any_size(s):
    X = np.array([[[2.0, 0.3], [0.3, 0.0]], [[0.0, -0.1], [-0.1, 1.0]]])
    plain, found = fb.psd_margin(X, [1, 1]), fb.psd_margin(X * s, [1, 1])
    assert found.certified
    assert found.w == pytest.approx(plain.w, abs=1e-7)
    assert found.margin / s == pytest.approx(plain.margin, rel=1e-8)
    assert fb.psd_separability(X * s, [1, 1]).separable
    none = fb.psd_separability(X * s, [-1, -1])
    assert not none.separable
    assert none.residual <= 1e-9
    assert np.linalg.eigvalsh(-np.tensordot(none.dual, X, 1))[-1] <= 1e-9
    mixed = X * np.array([s, 1.0])[:, None, None]
    assert fb.psd_separability(mixed, [1, 1]).separable
    assert not fb.psd_separability(mixed, [-1, -1]).separable


def test_unknown_eigenvalues_certify_nothing(monkeypatch):
    X = np.array([np.diag([-1.0, -2.0]), np.diag([-2.0, 1.0])])
    monkeypatch.setattr("fastbias.solvers.semidefinite._largest", lambda G: NAN)
    with pytest.raises(ArithmeticError, match="residual inf"):
        fb.psd_separability(X, [1, 1])


@pytest.mark.parametrize("s", [1e-300, 1e-160, 1e160, 1e300])
def test_relu_interpolants_of_any_size(s):
    for x, y in (([0, 1, 2], [0, s, 0]), ([0, s, 2 * s], [0, 1, 0]), ([0, s, 2 * s], [0, s, 0])):
        if max(y) / x[1] < 1e300:
            found = fb.relu.fit(x, y)
            assert found.certified
            assert found.cost == pytest.approx(2 * max(y) / x[1])
    with pytest.raises(ValueError, match="y must rise and fall"):
        fb.relu.fit([0, 1e-200], [0, 1e200])
    with pytest.raises(ValueError, match="finite at x = 0"):
        fb.relu.fit([1e300, 1.0000001e300], [0, 1e306])


def test_features_of_sizes_without_digits_are_refused():
    phi = fb.features.random_fourier(2, 10, rng=0)
    with pytest.raises(ValueError, match="x must be of a size at which"):
        phi([[1e300, 1e300]])
    assert phi.kernel([[1e300, 0]], [[0, 1e300], [1e300, 0]]).tolist() == [[0.0, 0.5]]
    with pytest.raises(ValueError, match="dims, d must make arrays that fit into"):
        fb.features.random_fourier(2, 2 ** 40)
    with pytest.raises(ValueError, match="gamma must be"):
        fb.features.random_fourier(2, 3, 1e308)


def test_projections_raise_our_own_errors_alone():
    with pytest.raises(foreign.Unsolved, match="projection in the euclidean potential could not be found"):
        fb.potentials.euclidean.project(np.array([[1e-300, 0.0]]), np.array([1e300]), np.zeros(2))
    w, _ = fb.potentials.euclidean.project(A * 1e160, b * 1e160, np.zeros(3))
    assert A @ w == pytest.approx(b)


def test_a_diagonal_whose_matrix_is_beyond_memory_gets_one_sentence():
    for make in (fb.norms.quadratic, fb.potentials.quadratic):
        with pytest.raises(ValueError, match="D must make arrays that fit into .* GiB of memory"):
            make(np.ones(1_000_000))
