"""Minimisers of convex losses, against Newton's method in forty digits."""
import mpmath
import numpy as np
import pytest

from fastbias.problem import gather
from fastbias.solvers.minimiser import curvature, minimise


def truth(Z, loss, start, decay):
    """The minimiser near a start, in forty digits."""
    with mpmath.workdps(40):
        rows, w = mpmath.matrix(Z.tolist()), mpmath.matrix(start.tolist())
        for _ in range(7):
            m = rows * w
            q = [mpmath.exp(-v) if loss == "exponential" else 1 / (1 + mpmath.exp(v)) for v in m]
            bend = [a if loss == "exponential" else a * (1 - a) for a in q]
            g = rows.T * mpmath.matrix(q) - decay * w
            w = w + mpmath.lu_solve(rows.T * mpmath.diag(bend) * rows + decay * mpmath.eye(w.rows), g)
        return w


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
@pytest.mark.parametrize("decay", [0.0, 1e-6, 0.3])
@pytest.mark.parametrize("units", [[1.0, 1.0, 1.0], [1e4, 1e-3, 1.0]])
def test_minimisers_are_within_their_bounds(loss, decay, units):
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(25, 3)) * units, rng.choice([-1.0, 1.0], 25)
    found = minimise(gather(X, y, loss), decay=decay)
    assert found.certified
    assert found.residual < 1e-13
    exact = truth(y[:, None] * X, loss, found.w, decay)
    off = np.array([abs(float(a - mpmath.mpf(float(b)))) for a, b in zip(exact, found.w, strict=True)])
    assert (off <= found.errors).all()
    # and they say something: no more than 1e-9 of each entry
    assert (found.errors <= 1e-9 * np.abs(found.w)).all()


def test_a_minimiser_over_a_subspace():
    """Rows that span a plane of four dimensions: the gradient vanishes, and w lies in the plane."""
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(12, 2)) @ rng.normal(size=(2, 4))
    basis = np.linalg.qr(Z.T)[0][:, :2]
    found = minimise(gather(Z, np.ones(12), "logistic"), basis)
    assert found.certified
    assert np.abs(Z.T @ (1 / (1 + np.exp(Z @ found.w)))).max() < 1e-13
    assert np.abs(found.w - basis @ (basis.T @ found.w)).max() < 1e-14


def test_nothing_is_certified_where_there_is_no_minimiser():
    assert not minimise(gather([[1.0, 0.5], [0.5, 1.0]], [1, 1], "logistic")).certified
    # of the probit loss no bound on how fast its curvature changes is known
    found = minimise(gather([[1.0], [2.0], [-1.0]], [1, 1, 1], "probit"))
    assert found.residual < 1e-13
    assert not found.certified
    assert minimise(gather([[1.0], [2.0], [-1.0]], [1, 1, 1], "probit"), decay=0.1).certified


def test_no_subspace_is_a_point():
    found = minimise(gather([[0.0, 0.0]], [1], "logistic"), np.zeros((2, 0)))
    assert found.w.tolist() == [0, 0]
    assert found.certified


@pytest.mark.parametrize("loss", ["logistic", "exponential", "probit", "cross_entropy"])
def test_curvatures_are_differences_of_slopes(loss):
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(9, 2)), rng.integers(0, 3, 9) if loss == "cross_entropy" else rng.choice([-1.0, 1.0], 9)
    data = gather(X, y, loss)
    w, h = rng.normal(size=data.size), 1e-5
    goal = [(data.slope(w - h * e) - data.slope(w + h * e)) / (2 * h) for e in np.eye(w.size)]
    assert curvature(data, w) == pytest.approx(np.array(goal), abs=1e-7)


def test_classes_have_a_minimiser_whose_weights_add_up_to_0():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(30, 2)), rng.integers(0, 3, 30)
    found = minimise(gather(X, y, "cross_entropy"), decay=1e-3)
    W = found.w.reshape(3, 2)
    P = np.exp(X @ W.T)
    P /= P.sum(axis=1, keepdims=True)
    assert found.certified
    assert np.abs((np.eye(3)[y] - P).T @ X - 1e-3 * W).max() < 1e-13
    assert np.abs(W.sum(axis=0)).max() < 1e-13
