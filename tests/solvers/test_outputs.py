"""Minimum norms and projections of several outputs, X wᵀ = y with y (N, K): against cvxpy, the pseudoinverse, the same
equations written out, and certificates recomputed here.
"""
import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from tests.helpers.certificates import dual_norm, primal_norm

n, p = fb.norms, fb.potentials
RNG = np.random.default_rng(0)
N, K, D = 3, 2, 4
X = RNG.normal(size=(N, D))
W = RNG.uniform(0.2, 1.5, size=(K, D))
Y = X @ W.T
WHOLE, FLAT = np.kron(np.eye(K), X), Y.T.ravel()
METRIC = np.diag(RNG.uniform(0.5, 2, K * D))
METRIC[0, 7] = METRIC[7, 0] = 0.2
PARTS = [[0, 5], [1, 4, 2], [3, 6, 7]]
NORMS = [n.l1, n.l2, n.linf, n.lp(1.5), n.lp(3), n.quadratic(METRIC), n.group(PARTS), n.spectral(K, D), n.nuclear(K, D)]


def proved(limit, X, Y, norm):
    """The certificate from (w, b, ν) alone, by code of its own: the residual, and the gap of ‖w‖ ≥ ⟨ν, y⟩/‖νᵀX‖⋆."""
    w, b = limit.w, np.broadcast_to(limit.intercept, Y.shape[1])
    off = np.abs(X @ w.T + b - Y) / np.maximum(np.maximum(np.abs(Y), np.abs(X) @ np.abs(w.T) + np.abs(b)), 1e-300)
    size = primal_norm(norm.name, w.ravel(), METRIC, PARTS, w.shape)
    pull = (limit.dual.T @ X).ravel()
    bound = (limit.dual * Y).sum() / max(1.0, dual_norm(norm.name, pull, METRIC, PARTS, w.shape))
    return max(off.max(), (size - bound) / size)


@pytest.mark.parametrize("norm", NORMS, ids=repr)
@pytest.mark.parametrize("free", [False, True])
def test_minimum_norms_are_those_of_cvxpy_and_their_certificates_hold(norm, free):
    goal = Y + free * np.array([1.0, -2.0])
    limit = fb.minimum_norm(X, goal, norm, intercept=free)
    assert limit.certified
    assert (limit.w.shape, limit.dual.shape) == ((K, D), (N, K))
    assert proved(limit, X, goal, norm) < 1e-12
    assert np.abs(limit.dual.sum(axis=0)).max() < (1e-14 if free else np.inf)
    assert np.shape(limit.intercept) == (K,)
    w, b = cp.Variable(K * D), cp.Variable(K)
    B = cp.reshape(w, (K, D), order="C")
    cp.Problem(cp.Minimize(norm.convex(cp, w)),
               [X @ B[k] + (b[k] if free else 0) == goal[:, k] for k in range(K)]).solve(solver="CLARABEL")
    assert norm(limit.w.ravel()) == pytest.approx(float(norm.convex(cp, w).value), rel=1e-6)
    if not free:
        whole = fb.minimum_norm(WHOLE, FLAT, norm)
        assert norm(limit.w.ravel()) == pytest.approx(norm(whole.w), rel=1e-12)


def test_in_l2_it_is_the_pseudoinverse():
    limit = fb.minimum_norm(X, Y, "l2")
    np.testing.assert_allclose(limit.w, (np.linalg.pinv(X) @ Y).T, atol=1e-13)
    np.testing.assert_allclose(limit.w, fb.minimum_norm(X, Y, n.quadratic(np.eye(K * D))).w, atol=1e-13)


def test_rows_that_depend_on_others_sparse_rows_and_outputs_that_are_zero():
    A, B = np.vstack([X, 2 * X[0] - X[1]]), np.vstack([Y, 2 * Y[0] - Y[1]])
    B[:, 1] = 0
    for norm in NORMS:
        limit = fb.minimum_norm(A, B, norm)
        assert limit.certified, norm
        assert proved(limit, A, B, norm) < 1e-11
    for norm in (n.l1, n.l2, n.linf, n.lp(3), n.quadratic(METRIC)):
        limit, other = fb.minimum_norm(sp.csr_array(A), B, norm), fb.minimum_norm(A, B, norm)
        assert limit.certified, norm
        assert norm(limit.w.ravel()) == pytest.approx(norm(other.w.ravel()), rel=1e-12)
    with pytest.raises(TypeError, match="X must be dense"):
        fb.minimum_norm(sp.csr_array(A), B, n.nuclear(K, D))
    nothing = fb.minimum_norm(X, 0 * Y, n.nuclear(K, D))
    assert nothing.certified
    assert not nothing.w.any()


def test_a_matrix_norm_couples_the_outputs():
    """Of fewer equations than make W, the nuclear norm takes a W of rank one where ℓ2 does not."""
    x = np.array([[1.0, 0, 0], [0, 1, 0]])
    rank = [np.linalg.matrix_rank(fb.minimum_norm(x, [[1.0, 2], [2, 4]], norm).w, tol=1e-9)
            for norm in (n.nuclear(2, 3), n.l2)]
    assert rank == [1, 1]
    joint = fb.minimum_norm(X, Y, n.group([[j, j + D] for j in range(D)]))     # features chosen for both outputs at once
    assert joint.certified
    assert ((np.abs(joint.w) > 1e-9).sum(axis=0) != 1).all()


POTENTIALS = ["euclidean", "entropy", "cosh", p.hypentropy(0.3), p.power(1.5), p.squared_lp(1.5), p.quadratic(METRIC),
              p.hypentropy(np.linspace(0.1, 1, K * D))]


@pytest.mark.parametrize("psi", POTENTIALS, ids=repr)
def test_projections_are_those_of_the_equations_written_out(psi):
    start = RNG.uniform(0.5, 2, size=(K, D))
    for w0 in (None, start, start.ravel()):
        limit = fb.bregman_projection(X, Y, psi, w0)
        whole = fb.bregman_projection(WHOLE, FLAT, psi, None if w0 is None else start.ravel())
        assert limit.certified
        assert whole.certified
        np.testing.assert_allclose(limit.w.ravel(), whole.w, atol=1e-12)
        np.testing.assert_allclose(limit.dual.T.ravel(), whole.dual, atol=1e-11)
    psi = getattr(p, psi) if isinstance(psi, str) else psi
    np.testing.assert_allclose(X @ limit.w.T, Y, atol=1e-12)
    np.testing.assert_allclose(psi.to_dual(limit.w.ravel()) - psi.to_dual(start.ravel()),
                               (limit.dual.T @ X).ravel(), atol=1e-12)


def test_a_constraint_speaks_of_all_entries():
    G, h = np.ones((1, K * D)), np.array([W.sum()])
    limit = fb.bregman_projection(X, Y, "entropy", constraint=(G, h))
    assert limit.certified
    assert limit.dual.shape == (K * N + 1,)
    np.testing.assert_allclose(np.log(limit.w).ravel(), limit.dual @ np.vstack([WHOLE, G]), atol=1e-12)


def test_spectral_entropy_projects_symmetric_matrices():
    size = 3
    S = RNG.normal(size=(size, size))
    S = S @ S.T + np.eye(size)
    A = RNG.normal(size=(1, size))
    limit = fb.bregman_projection(A, A @ S, p.spectral_entropy(size))
    assert limit.certified
    np.testing.assert_allclose(limit.w, limit.w.T, atol=1e-15)
    np.testing.assert_allclose(A @ limit.w, A @ S, atol=1e-12)
    values, U = np.linalg.eigh(limit.w)
    pull = np.outer(limit.dual[0], A[0])                         # log W = sym(ν ⊗ x), from W₀ = 1
    np.testing.assert_allclose(U @ np.diag(np.log(values)) @ U.T, (pull + pull.T) / 2, atol=1e-12)
    V = cp.Variable((size, size), symmetric=True)
    cp.Problem(cp.Minimize(-cp.von_neumann_entr(cp.hermitian_wrap(V)) - cp.trace(V)), [V @ A[0] == S @ A[0]]).solve()
    np.testing.assert_allclose(limit.w, V.value, atol=1e-4)
    for y, word in ((A @ S[:, :2], "predictors of 9 entries"), (RNG.normal(size=(1, 9)), "predictors of 9")):
        with pytest.raises(ValueError, match=word):
            fb.bregman_projection(A, y, p.spectral_entropy(size))


def test_an_output_on_the_boundary_is_not_certified_and_one_out_of_reach_is_told():
    A = np.abs(X[:1])
    limit = fb.bregman_projection(A, [[0.0, 1.0]], "entropy")
    assert not limit.certified
    assert limit.hypotheses[0].holds is False
    np.testing.assert_allclose(A @ limit.w.T, [[0, 1]], atol=1e-12)
    for ask in (lambda: fb.bregman_projection(A, [[1.0, -1.0]], "entropy"), lambda: fb.minimum_norm(np.ones((2, 1)), [[1, 1], [1, 2.0]]),
                lambda: fb.minimum_norm(np.ones((2, 1)), [[1, 1], [1, 2.0]], n.nuclear(2, 1))):
        with pytest.raises(ValueError, match="must"):
            ask()


@pytest.mark.parametrize(("ask", "told"), [
    (lambda: fb.minimum_norm(X, Y[:2]), "y must have one row for each row of X, got 2 rows for 3"),
    (lambda: fb.minimum_norm(X, Y[..., None]), "y must be"), (lambda: fb.minimum_norm(X, Y[:, :0]), "not empty"),
    (lambda: fb.minimum_norm(X, Y, n.nuclear(D, K)), r"shape \(4, 2\) for the nuclear norm, got \(2, 4\)"),
    (lambda: fb.minimum_norm(X.reshape(N, 2, 2), Y), "samples that are matrices"),
    (lambda: fb.minimum_norm(X, np.where(Y > 0, np.nan, Y)), "y must be finite"),
    (lambda: fb.minimum_norm(np.ones((20, 1000)), np.ones((20, 30)), n.nuclear(30, 1000)), "K² N d <= 16777216"),
    (lambda: fb.bregman_projection(X, Y, "entropy", np.ones((D, K))), r"w0 must have .* shape \(2, 4\)"),
    (lambda: fb.bregman_projection(X, Y, p.quadratic(np.ones(D))), "predictors of 4 entries"),
    (lambda: fb.bregman_projection(X, Y, "entropy", constraint=(np.ones((1, D)), [1])), "constraint must have 8 columns"),
])
def test_bad_input_is_told_of_in_a_sentence(ask, told):
    with pytest.raises(ValueError, match=told):
        ask()


def test_paths_of_several_outputs():
    """Balls of a norm of all entries: the path of the problem written out, and the minimum norm at its end."""
    goal = RNG.normal(size=(N, K))
    for norm in (n.l1, n.spectral(K, D)):
        one = fb.regularisation_path(X, goal, [0.1, 1, 50], norm, loss="squared")
        other = fb.regularisation_path(WHOLE, goal.T.ravel(), [0.1, 1, 50], norm, loss="squared")
        np.testing.assert_allclose(one.log_loss[:2], other.log_loss[:2], atol=1e-9)
        assert max(one.residuals[:2]) < 1e-8
        np.testing.assert_allclose(X @ one.w[-1].T, goal, atol=1e-9)
    free = fb.regularisation_path(X, goal, [0.1, 1], "l2", loss="squared", intercept=True)
    assert free.intercept.shape == (2, K)
    np.testing.assert_allclose((X @ free.w[0].T + free.intercept[0] - goal).sum(axis=0), 0, atol=1e-8)
