"""Soft margins as they get harder: the squared hinge loss by other code, and its limit by scikit-learn's soft margins."""
import numpy as np
import pytest
from scipy.optimize import linprog, minimize

import fastbias as fb
from fastbias.solvers.separability import labelled
from fastbias.solvers.softest import softest


def lacks(X, y, w, b):
    """What each sample lacks to a margin of one; with classes y = 0 … K − 1 against each other class."""
    if np.ndim(w) == 1:
        return np.maximum(0, 1 - y * (X @ w + b))
    scores = X @ w.T + b
    own = np.arange(len(w)) == y[:, None]
    return np.maximum(0, 1 - (scores[own][:, None] - scores)[~own])


def overlapping(seed, N, d, twins=0):
    """Labels at random; some samples twice, with either label."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(N, d)), rng.choice([-1.0, 1.0], size=N)
    return np.vstack([X, X[:twins]]), np.append(y, -y[:twins])


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("N", "d", "twins"), [(30, 3, 0), (12, 1, 0), (8, 12, 2), (40, 5, 3), (2, 1, 2), (1, 3, 1)])
def test_no_other_predictor_lacks_less(N, d, twins, intercept):
    X, y = overlapping(N, N, d, twins)
    assert not fb.separability(X, y, intercept=intercept)
    found = softest(labelled(X, y, intercept=intercept), fb.norms.l2)
    assert found.residual < 1e-9
    ones = np.ones((len(y), 1)) * intercept

    def loss(v):
        lack = np.maximum(0, 1 - y * (np.hstack([X, ones]) @ v))
        return lack @ lack, -2 * (y * lack) @ np.hstack([X, ones])
    other = minimize(loss, np.zeros(d + 1), jac=True, method="L-BFGS-B", options={"gtol": 1e-12, "ftol": 1e-16, "maxiter": 5000})
    least = (lacks(X, y, found.w, found.intercept) ** 2).sum()
    assert least <= other.fun * (1 + 1e-12)
    assert least == pytest.approx(other.fun, rel=1e-7)


@pytest.mark.parametrize(("N", "d", "twins"), [(8, 12, 2), (6, 10, 3), (30, 3, 0), (3, 8, 1)])
def test_soft_margins_tend_to_it(N, d, twins):
    """Scikit-learn's argmin of ½‖w‖² + C Σ lack² comes nearer as C grows, like 1/C."""
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed")
    X, y = overlapping(N, N, d, twins)
    found = softest(labelled(X, y), fb.norms.l2)
    off = []
    for C in (1e1, 1e3):
        soft = svm.LinearSVC(C=C, loss="squared_hinge", dual=False, fit_intercept=False, tol=1e-12, max_iter=100_000)
        off.append(np.abs(soft.fit(X, y).coef_[0] - found.w).max() / np.abs(found.w).max())
    assert off[1] < 1e-2
    assert off[1] < 0.1 * off[0]


@pytest.mark.parametrize("twins", [1, 3])
def test_in_l1_a_linear_program_knows_none_shorter(twins):
    X, y = overlapping(twins, 6, 10, twins)
    found = softest(labelled(X, y), fb.norms.lp(1))
    Z, lack = y[:, None] * X, lacks(X, y, found.w, 0.0)
    on = lack > 1e-7
    other = linprog(np.ones(20), A_eq=np.hstack([Z, -Z])[on], b_eq=1 - lack[on], A_ub=-np.hstack([Z, -Z])[~on],
                    b_ub=-np.ones((~on).sum()))
    assert np.abs(found.w).sum() == pytest.approx(other.fun, rel=1e-8)


def test_of_several_the_least_in_its_own_norm():
    """Where samples that lack something leave w free each norm has its own answer, none shorter in it."""
    X, y = overlapping(4, 6, 10, 3)
    names = ("l1", "l2", "linf")
    norms = [fb.norms.lp(1), fb.norms.l2, fb.norms.lp(np.inf)]
    w = [softest(labelled(X, y), norm).w for norm in norms]
    for i, norm in enumerate(norms):
        for j in range(3):
            assert norm(w[i]) < norm(w[j]) * (1 - 1e-3) or i == j, (names[i], names[j])
            assert lacks(X, y, w[j], 0.0)[:3] == pytest.approx(lacks(X, y, w[0], 0.0)[:3], abs=1e-8)


@pytest.mark.parametrize("intercept", [False, True])
def test_classes(intercept):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(25, 2)), rng.integers(0, 3, size=25)
    found = softest(labelled(X, y, intercept=intercept), fb.norms.l2)

    def loss(v):
        v = v.reshape(3, 3)
        return (lacks(X, y, v[:, :2], v[:, 2] * intercept) ** 2).sum()
    other = minimize(loss, np.zeros(9), method="BFGS", options={"gtol": 1e-9})
    assert (lacks(X, y, found.w, found.intercept) ** 2).sum() == pytest.approx(other.fun, rel=1e-9)
    # one vector for all classes changes no margin, and is no part of the least norm
    assert found.w.sum(axis=0) == pytest.approx(np.zeros(2), abs=1e-9)


def test_by_hand():
    # of one point with both labels nothing says which; of two the nearer ones of each label decide
    assert softest(labelled([[2.0], [2.0]], [1, -1]), fb.norms.l2).w == pytest.approx([0])
    found = softest(labelled([[0.0], [0.0], [1.0], [1.0]], [1, 0, 1, 1], intercept=True), fb.norms.l2)
    assert (found.w, found.intercept) == (pytest.approx([1]), pytest.approx(0, abs=1e-12))


def test_units_of_features_do_not_matter_to_what_is_predicted():
    X, y = overlapping(5, 20, 3)
    units = np.array([1e-9, 1.0, 1e12])
    w = softest(labelled(X, y), fb.norms.l2).w
    assert softest(labelled(X * units, y), fb.norms.l2).w * units == pytest.approx(w, rel=1e-6)


def test_a_norm_without_a_convex_face_is_refused():
    norm = fb.norms.Norm(name="mine", steepest=fb.norms.l2.steepest, dual_norm=fb.norms.l2.dual_norm, norm=fb.norms.l2.norm)
    with pytest.raises(ValueError, match="norm must have a convex face"):
        softest(labelled([[1.0], [1.0]], [1, -1]), norm)
