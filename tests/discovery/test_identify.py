"""Potentials and norms are named from limits alone, blind; what follows none is called none."""
import numpy as np
import pytest
from scipy.optimize import root

import fastbias as fb
from tests.helpers import JIT

m, P = fb.methods, fb.potentials
long = pytest.mark.skipif(not JIT, reason="too many steps without the compiler")
D = np.array([[2, 0.5, 0, 0], [0.5, 1, 0, 0], [0, 0, 3, 1], [0, 0, 1, 1.0]])


def drawn(rng, positive=False, N=2, d=4):
    X = rng.uniform(0.2, 2, (N, d)) if positive else rng.normal(size=(N, d))
    X /= np.linalg.norm(X)
    return X, X @ (rng.uniform(0.2, 2, d) if positive else rng.normal(size=d))


def ended(method, positive=False, K=40, starts=None):
    """Problems and where runs of a method end on them."""
    rng, problems, limits = np.random.default_rng(3), [], []
    while len(problems) < K:
        X, y = drawn(rng, positive)
        start = None if starts is None else starts[len(problems)]
        w = fb.Plan(X, y, loss="squared", method=method, start=start).run(300_000, record=2, until=-66).w[-1]
        if np.abs(X @ w - y).max() < 1e-10:
            problems.append((X, y))
            limits.append(w)
    return problems, limits


@long
@pytest.mark.parametrize(("method", "positive", "name", "parameter"), [
    (m.gradient_descent(0.2, 0.5), False, "euclidean", None),
    (m.mirror_descent(P.entropy, 0.02), True, "entropy", None),
    (m.mirror_descent(P.cosh, 0.1), False, "cosh", None),
    (m.mirror_descent(P.power(1.5), 0.02), False, "power", 1.5),
    (m.mirror_descent(P.power(3.0), 0.02), False, "power", 3.0),
    (m.mirror_descent(P.hypentropy(0.3), 0.02), False, "hypentropy", 0.3),
    pytest.param(m.mirror_descent(P.hypentropy(0.01), 0.005), False, "hypentropy", 0.01, marks=pytest.mark.slow),
    (m.natural_gradient(P.quadratic(D), 0.05), False, "quadratic", D * 4 / np.trace(D)),
], ids=lambda x: getattr(x, "name", None))
def test_every_separable_potential_is_named_blind(method, positive, name, parameter):
    seen = fb.identify(*ended(method, positive))
    assert seen.name == name, seen
    assert seen.residual < 1e-11
    if parameter is not None:
        assert np.abs(np.asarray(seen.parameter) - parameter).max() < 1e-9 * np.abs(parameter).max()


@long
@pytest.mark.parametrize(("method", "positive"), [
    (m.steepest_descent(fb.norms.lp(4 / 3), 0.01), False),
    (m.adagrad(0.3), False),
    (m.mirror_descent(P.entropy, 0.02, primal_momentum=0.5), True),
    (m.mirror_descent(P.hypentropy(0.3), 0.02, primal_momentum=0.5), False),
    (m.natural_gradient(P.entropy, 0.05), True),
], ids=["l4/3", "AdaGrad", "primal momentum", "primal momentum, hypentropy", "natural gradient"])
@pytest.mark.parametrize("K", [40, pytest.param(100, marks=pytest.mark.slow)])
def test_what_follows_no_potential_is_given_no_name(method, positive, K):
    seen = fb.identify(*ended(method, positive, K))
    assert seen.name == "none"
    assert seen.parameter is None
    assert seen.residual > 1e-4


@long
def test_other_starts_tell_power_and_squared_lp_apart():
    starts = np.abs(np.random.default_rng(0).normal(size=(40, 4))) + 0.1
    for potential, name in ((P.squared_lp(1.5), "squared_lp"), (P.power(1.5), "power")):
        problems, limits = ended(m.mirror_descent(potential, 0.02), starts=starts)
        seen = fb.identify(problems, limits, starts)
        assert (seen.name, seen.ties) == (name, (name,))
        assert seen.parameter == pytest.approx(1.5, abs=1e-9)
        assert fb.identify(problems, limits).name == "none"
    # at 0 they have the same limits, which is said
    assert fb.identify(*ended(m.mirror_descent(P.squared_lp(1.5), 0.02))).ties == ("power", "squared_lp")


def inverse(z):
    """The inverse link of a potential that has no name here."""
    return z + 0.5 * z ** 3 + np.expm1(z)


def test_a_link_of_no_family_is_found():
    rng, problems, limits = np.random.default_rng(5), [], []
    for _ in range(200):
        X, y = drawn(rng)
        nu = root(lambda nu, X=X, y=y: X @ inverse(X.T @ nu) - y, np.zeros(2), tol=1e-14).x
        if np.abs(X @ inverse(X.T @ nu) - y).max() < 1e-12:
            problems.append((X, y))
            limits.append(inverse(X.T @ nu))
    seen = fb.identify(problems, limits)
    assert seen.name == "link"
    at = np.concatenate(limits)
    z = np.sort(np.random.default_rng(0).choice(at, 200))
    true = np.array([root(lambda t, w=w: inverse(t) - w, 0.0, tol=1e-13).x[0] for w in z])
    found = seen.link(z)
    found *= (found @ true) / (found @ found)
    assert np.abs(found - true).max() < 1e-4 * np.ptp(true)


@pytest.mark.parametrize(("norm", "name", "parameter"), [
    ("l2", "l2", None), ("l1", "l1", None), ("linf", "linf", None),
    (fb.norms.lp(1.5), "lp", 1.5), (fb.norms.lp(3), "lp", 3.0),
    (fb.norms.quadratic([1, 2, 3, 4]), "quadratic", np.diag([0.4, 0.8, 1.2, 1.6]))],
    ids=["l2", "l1", "linf", "l1.5", "l3", "quadratic"])
def test_norms_are_named_from_margin_directions(norm, name, parameter):
    rng, problems = np.random.default_rng(7), []
    while len(problems) < 30:
        X, y = drawn(rng, N=3)
        problems.append((X, np.where(y > 0, 1, -1)))
    seen = fb.identify(problems, [fb.max_margin(X, y, norm).w for X, y in problems])
    assert seen.name == name, seen
    if parameter is not None:
        assert np.abs(np.asarray(seen.parameter) - parameter).max() < 1e-5


def test_directions_that_no_norm_prefers_are_given_no_name():
    rng, problems, w = np.random.default_rng(7), [], []
    while len(problems) < 30:
        X, y = drawn(rng, N=3)
        y = np.where(y > 0, 1, -1)
        problems.append((X, y))
        w.append(fb.max_margin(X, y, fb.norms.quadratic(np.abs(X).sum(0) ** 2 + 0.01)).w)
    assert fb.identify(problems, w).name == "none"


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_limits_of_any_size(size):
    rng = np.random.default_rng(0)
    problems = [drawn(rng) for _ in range(20)]
    limits = [size * (np.linalg.pinv(X) @ y) for X, y in problems]
    assert fb.identify([(X, size * y) for X, y in problems], limits).name == "euclidean"
    # small ones are no solutions by being small
    with pytest.raises(ValueError, match="limits must solve Xw = y"):
        fb.identify([(X, size * y) for X, y in problems], [2 * w for w in limits])


def test_problems_that_say_little():
    # the same point again and again: a link at one point is none
    assert fb.identify([([[1, 2, 3]], [6])] * 8, [[1, 1, 1]] * 8).name == "none"
    zeros = fb.identify([([[0, 0, 0]], [0])] * 8, [[1, 2, 3]] * 8)
    assert zeros.name == "none"
    assert zeros.residual > 0.5


def test_bad_arguments():
    X, y = np.array([[1.0, 2, 3]]), np.array([6.0])
    with pytest.raises(ValueError, match="problems must leave 6 directions free together"):
        fb.identify([(X, y)], [[1, 1, 1]])
    with pytest.raises(ValueError, match="limits must solve Xw = y within 1e-06, or separate"):
        fb.identify([(X, y)], [[1, 1, 2]])
    with pytest.raises(ValueError, match="limits must be as many as problems"):
        fb.identify([(X, y)], [])
    with pytest.raises(ValueError, match="problems must all have 3 columns"):
        fb.identify([(X, y), (X[:, :2], y)], [[1, 1, 1], [2, 2]])
    with pytest.raises(ValueError, match="starts must have the shape"):
        fb.identify([(X, y)] * 4, [[1, 1, 1]] * 4, [1, 2])
    with pytest.raises(TypeError, match="problems must be a sequence"):
        fb.identify(3, [])
    with pytest.raises(TypeError, match="problems must be pairs"):
        fb.identify([3], [[1]])
