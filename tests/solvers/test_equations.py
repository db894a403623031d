"""Minimum norms and projections of sparse rows, of many numbers, and with an intercept: against cvxpy, closed
forms, each other, and certificates recomputed in fractions."""
import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from fastbias.checks import spans
from fastbias.solvers import intercepts, minimum_norm, polytopes
from tests.helpers.certificates import dual_norm, primal_norm, product
from tests.helpers.marks import slow

N, P = fb.norms, fb.potentials
SPARSE = {"csr_array": sp.csr_array, "csc_matrix": sp.csc_matrix, "coo_array": sp.coo_array}
NORMS = [N.l1, N.l2, N.linf, N.lp(1.5), N.lp(3.0)]


def thin(count, size, seed, density=0.3):
    """Sparse rows (CSR) with some entries each, and y that they reach."""
    rng = np.random.default_rng(seed)
    A = sp.random_array((count, size), density=density, rng=rng, data_sampler=rng.normal, format="csr")
    return A, A @ rng.uniform(0.1, 1.0, size)


def recomputed(A, y, norm, limit, intercept=False):
    """The gap of a minimum norm from (w, b, ν) alone, all sums in fractions."""
    A, w, nu = A.toarray() if sp.issparse(A) else A.reshape(len(A), -1), limit.w.ravel(), limit.dual
    pull, off = product(A.T, nu), product(A, w) + limit.intercept - y
    D = norm.matrix(w.size) if norm.matrix else np.eye(w.size)
    parts, shape = [[0, 1], list(range(2, w.size))], norm.shape
    size = primal_norm(norm.name, w, D, parts, shape)
    bound = float(product(nu[None], y)[0]) / max(dual_norm(norm.name, pull, D, parts, shape), 1.0)
    if intercept:
        assert sum(map(Fraction, nu.tolist())) == 0               # else the bound is one of this b alone
    terms = np.maximum(np.abs(y), np.abs(A) @ np.abs(w) + abs(limit.intercept))
    return max(abs(size - bound) / size, (np.abs(off) / terms).max())


@pytest.mark.parametrize("norm", [*NORMS, N.quadratic(np.arange(1.0, 16)), N.group([[0, 1], list(range(2, 15))]),
                                  N.spectral(3, 5), N.nuclear(3, 5)], ids=repr)
@pytest.mark.parametrize("shape", [(6, 15), (1, 15), (2, 15), (20, 15)])
def test_an_intercept_is_proved_in_fractions_and_found_by_cvxpy(norm, shape):
    import cvxpy as cp
    rng = np.random.default_rng(shape[0])
    X = rng.normal(size=shape) + 3.0
    y = rng.normal(size=shape[0]) if shape[0] < 15 else X @ rng.normal(size=15) + 2.0
    limit = fb.minimum_norm(X, y, norm, intercept=True)
    assert limit.certified
    if shape[0] == 1:
        assert not limit.w.any()
        assert limit.intercept == y[0]
        return
    assert recomputed(X, y, norm, limit, intercept=True) <= 1e-10
    w, b = cp.Variable(15), cp.Variable()
    program = cp.Problem(cp.Minimize(norm.convex(cp, w)), [X @ w + b == y])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                     # "may be inaccurate": what it is held to is little
        program.solve(cp.CLARABEL)
    assert norm(limit.w.ravel()) == pytest.approx(program.value, rel=1e-5)
    if shape[0] > 15:
        assert limit.intercept == pytest.approx(2.0, abs=1e-9)


def test_an_intercept_of_l2_has_the_closed_form_of_centred_data():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 12)) + 7.0, rng.normal(size=5)
    limit = fb.minimum_norm(X, y, "l2", intercept=True)
    w = np.linalg.pinv(X - X.mean(axis=0)) @ (y - y.mean())
    assert limit.w == pytest.approx(w, abs=1e-12)
    assert limit.intercept == pytest.approx(y.mean() - X.mean(axis=0) @ w, abs=1e-11)
    assert fb.minimum_norm(X, y, "l2").intercept == 0.0
    assert [h.statement for h in limit.hypotheses] == ["‖Xᵀν‖⋆ ≤ 1", "Σ ν_n = 0"]
    # far from 0 b is large, and what is left of it is proved all the same
    far = fb.minimum_norm(X + 1e5, y, "l1", intercept=True)
    assert far.certified
    assert recomputed(X + 1e5, y, N.l1, far, intercept=True) <= 1e-10


def test_what_one_number_explains_needs_no_w():
    limit = fb.minimum_norm(np.random.default_rng(0).normal(size=(4, 2, 3)), [0.3] * 4, "l1", intercept=True)
    assert limit.certified
    assert limit.w.shape == (2, 3)
    assert not limit.w.any()
    assert limit.intercept == 0.3
    with pytest.raises(ValueError, match=r"y must be reachable by X w \+ b"):
        fb.minimum_norm([[1.0, 1.0], [1.0, 1.0]], [1, 2], intercept=True)
    with pytest.raises(TypeError, match="intercept must be True or False"):
        fb.minimum_norm([[1.0]], [1], intercept=1)


@pytest.mark.parametrize("seed", range(20))
def test_numbers_balance_without_rounding(seed):
    rng = np.random.default_rng(seed)
    nu = rng.normal(size=int(rng.integers(2, 40))) * 10.0 ** rng.uniform(-8, 8, size=1)
    nu *= 10.0 ** rng.uniform(-6 * (seed % 2), 0, size=nu.size)
    nu[0] -= nu.sum()
    even = intercepts.balanced(nu)
    assert sum(map(Fraction, even.tolist())) == 0
    assert np.abs(even - nu).max() <= 1e-13 * np.abs(nu).max()
    halves = intercepts._halves(nu.size).toarray()
    assert halves @ halves.T == pytest.approx(np.eye(nu.size - 1), abs=1e-14)
    assert halves.sum(axis=1) == pytest.approx(np.zeros(nu.size - 1), abs=1e-14)


@pytest.mark.parametrize("form", SPARSE)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("norm", [*NORMS, N.quadratic(np.arange(1.0, 31))], ids=repr)
def test_sparse_rows_have_the_minimum_norms_of_dense_ones(norm, intercept, form):
    A, y = thin(9, 30, 0)
    limit = fb.minimum_norm(SPARSE[form](A), y, norm, intercept=intercept)
    dense = fb.minimum_norm(A.toarray(), y, norm, intercept=intercept)
    assert limit.certified
    assert norm(limit.w) == pytest.approx(norm(dense.w), rel=1e-12)
    assert recomputed(A, y, norm, limit, intercept) <= 1e-10


@pytest.fixture
def never_dense(monkeypatch):
    """No sparse matrix of as many numbers as the data becomes dense."""
    def least(size):
        for kind in (sp.csr_array, sp.csc_array, sp.coo_array):
            whole = kind.toarray

            def toarray(self, *args, whole=whole, **options):
                assert np.prod(self.shape) < size, f"{self.shape} was made dense"
                return whole(self, *args, **options)
            monkeypatch.setattr(kind, "toarray", toarray)
    return least


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_sparse_rows_are_never_dense_as_a_whole(norm, never_dense):
    A, y = thin(60, 3000, 1, 0.01)
    never_dense(60 * 3000)
    limit = fb.minimum_norm(A, y, norm)
    assert limit.certified
    assert norm(limit.w) <= norm(np.linalg.lstsq(A @ np.eye(3000), y)[0])


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS, ids=repr)
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_many_rows_that_depend_on_others(norm, make):
    """More rows than their rank, which is less than the features: those left out are certified as well."""
    rng = np.random.default_rng(2)
    B = rng.normal(size=(12, 40))
    X = rng.integers(-2, 3, size=(900, 12)) @ B
    y = X @ rng.normal(size=40)
    limit = fb.minimum_norm(make(X), y, norm)
    assert limit.certified
    assert norm(limit.w) == pytest.approx(norm(fb.minimum_norm(B, B @ limit.w, norm).w), rel=1e-9)
    assert (limit.dual != 0).sum() <= 12
    y[77] += 1e-3
    with pytest.raises(ValueError, match="reachable"):
        fb.minimum_norm(make(X), y, norm)


@pytest.mark.parametrize("ball", ["cross-polytope", "cube"])
@pytest.mark.parametrize("case", ["dense", "sparse", "few decide", *slow("large")])
def test_interior_points_against_linear_programs(ball, case):
    rng = np.random.default_rng(3)
    k, d = (120, 1500) if case == "large" else (25, 80)
    S = rng.normal(size=(k, d)) * (rng.uniform(size=(k, d)) < (0.2 if case == "sparse" else 1.0))
    S /= np.linalg.norm(S, axis=1)[:, None]
    b = S[:, :3] @ [1.0, -2.0, 0.5] if case == "few decide" else rng.normal(size=k)
    w, _ = next(minimum_norm._linear_program(S, b, N.l1, ball))
    found = list(polytopes.least_on_polytope(sp.csr_array(S) if case == "sparse" else S, b, ball))
    size = np.abs(w).sum() if ball == "cross-polytope" else np.abs(w).max()
    # (between these a vertex that only those have who want one)
    for v, mu in (found[0], found[-1]):
        assert S @ v == pytest.approx(b, abs=1e-11)
        assert (np.abs(v).sum() if ball == "cross-polytope" else np.abs(v).max()) == pytest.approx(size, rel=1e-10)
        # (multipliers are up to a factor: in ℓ∞ ⟨ν, b⟩ = 1)
        pull = np.abs(S.T @ mu)
        bound = mu @ b / (pull.max() if ball == "cross-polytope" else pull.sum())
        assert bound == pytest.approx(size, rel=1e-10)


def test_another_solver_is_asked_where_interior_points_fail(monkeypatch):
    A, y = thin(20, 400, 4)
    size = N.l1(fb.minimum_norm(A, y).w)
    monkeypatch.setattr(minimum_norm, "least_on_polytope", lambda *_: iter(()))
    limit = fb.minimum_norm(A, y)
    assert limit.certified
    assert N.l1(limit.w) == pytest.approx(size, rel=1e-10)


POTENTIALS = [P.euclidean, P.entropy, P.cosh, P.hypentropy(0.1), P.power(3.0), P.squared_lp(1.5),
              P.quadratic(np.arange(1.0, 31))]


@pytest.mark.parametrize("psi", POTENTIALS, ids=repr)
@pytest.mark.parametrize("count", [8, 45])
def test_sparse_rows_have_the_projections_of_dense_ones(psi, count):
    A, y = thin(count, 30, 5)
    w0 = np.linspace(0.5, 2.0, 30)
    limit, dense = fb.bregman_projection(A, y, psi, w0), fb.bregman_projection(A.toarray(), y, psi, w0)
    assert limit.certified
    assert limit.w == pytest.approx(dense.w, rel=1e-10)
    # eq. (6) from (w, ν) alone
    pull = product(A.toarray().T, limit.dual)
    assert psi.to_dual(limit.w) - psi.to_dual(w0) == pytest.approx(pull, abs=1e-9 * (1 + np.abs(pull).max()))
    assert product(A.toarray(), limit.w) == pytest.approx(y, abs=1e-10)


@pytest.mark.long
@pytest.mark.parametrize("psi", [P.entropy, P.squared_lp(1.5), P.cosh], ids=repr)
def test_many_numbers_have_the_projections_of_few(psi, monkeypatch):
    """By the form of the Hessian, and row by row."""
    A, y = thin(40, 600, 6)
    start = np.full(600, 0.5)
    many = fb.bregman_projection(A.toarray(), y, psi, start)
    monkeypatch.setattr("fastbias.pieces.potentials.base.SMALL", 10**9)
    few = fb.bregman_projection(A.toarray(), y, psi, start)
    assert many.certified
    assert few.certified
    assert many.w == pytest.approx(few.w, rel=1e-9)


def test_a_projection_of_sparse_rows_on_the_boundary_and_on_a_constraint():
    A = sp.csr_array([[1.0, 1, 0], [0, 1, 1]])
    limit = fb.bregman_projection(A, [1, 0], P.entropy)
    assert not limit.certified
    assert limit.w.tolist() == [1, 0, 0]
    assert limit.hypotheses[0].holds is False
    held = fb.bregman_projection(A, [1, 0.5], P.entropy, constraint=([[1, 0, 0]], [0.9]))
    assert held.w == pytest.approx([0.9, 0.1, 0.4])
    with pytest.raises(ValueError, match="domain of the entropy potential"):
        fb.bregman_projection(A, [1, -1], P.entropy)


def test_what_sparse_rows_cannot_be_asked():
    A, y = thin(4, 6, 7)
    with pytest.raises(TypeError, match=r"X must be dense for the minimum group norm.*call \.toarray\(\)"):
        fb.minimum_norm(A, y, N.group([[0, 1, 2], [3, 4, 5]]))
    with pytest.raises(TypeError, match=r"dense for the spectral_entropy potential.*call \.toarray\(\)"):
        fb.bregman_projection(sp.csr_array(np.eye(4)), np.ones(4), P.spectral_entropy(2))
    wide = sp.csr_array((5001, 5001))
    for asked in (lambda: fb.minimum_norm(wide, np.zeros(5001)),
                  lambda: fb.bregman_projection(wide, np.zeros(5001), P.euclidean)):
        with pytest.raises(ValueError, match="at most 5000 rows or 5000 columns where it is sparse"):
            asked()
    with pytest.raises(ValueError, match="off by 0.5 of their own terms"):
        fb.minimum_norm(sp.csr_array([[1.0, 1.0], [2.0, 2.0]]), [1, 1])


def test_rows_that_span_the_others():
    rng = np.random.default_rng(8)
    B = rng.normal(size=(7, 300))
    A = rng.normal(size=(90, 7)) @ B
    A /= np.linalg.norm(A, axis=1)[:, None]
    for rows in (A, sp.csr_array(A), np.repeat(A, 10, axis=0), sp.csr_array(np.tile(A, (10, 1)))):
        chosen = spans.independent_rows(rows)
        assert chosen.size == 7
        whole = rows.toarray() if sp.issparse(rows) else rows
        assert np.linalg.matrix_rank(whole[chosen]) == 7
    v, mu = spans.shortest(sp.csr_array(B), np.ones(7), np.arange(300.0))
    assert v == pytest.approx(np.arange(300.0) + np.linalg.pinv(B) @ (1.0 - B @ np.arange(300.0)), abs=1e-9)
    assert v == pytest.approx(np.arange(300.0) + B.T @ mu)


def test_products_of_sparse_rows_with_a_full_column():
    A = sp.hstack([sp.random_array((30, 50), density=0.05, rng=np.random.default_rng(0)), np.ones((30, 2))]).tocsr()
    between = np.linspace(0.1, 2.0, 52)
    assert spans.products(A) == pytest.approx(A.toarray() @ A.toarray().T)
    assert spans.products(A, between) == pytest.approx((A.toarray() * between) @ A.toarray().T)
