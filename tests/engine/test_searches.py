"""The exact line search of models of degree 2: each step is the global minimiser of a quartic, by the roots of its cubic."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbias as fb
from fastbias.engine.line_search import _least
from tests.helpers import JIT
from tests.helpers import naive_models as naive

m, models = fb.methods, fb.models
SEARCH = fb.steps.line_search()
STEPS = 50 if JIT else 10
MODELS = {                                                       # model, twin, shape of predictors
    "factorised": (models.factorised(4, 5, 3), naive.factorised(), (4, 5)),
    "factorised one": (models.factorised(3, 3, 1), naive.factorised(), (3, 3)),
    "symmetric": (models.symmetric(4, 2), naive.symmetric(), (4, 4)),
    "diagonal": (models.diagonal(2), naive.diagonal(), (7,)),
    "signed": (models.diagonal(2, signed=True), naive.signed_diagonal(2), (7,)),
    "convolutional": (models.convolutional(2), naive.convolutional(), (6,)),
    "deep linear": (models.deep_linear(2, 3), naive.deep_linear(), (6,)),
    "symmetric apart": (models.symmetric(4, 2, signed=True), naive.apart(naive.symmetric()), (4, 4)),
    "powers": (models.diagonal(2, tied=True), naive.power(2), (7,)),
    "products apart": (models.diagonal(2, signed=True, tied=False), naive.apart(naive.diagonal()), (7,)),
    "grouped": (models.grouped([[0, 6], [1, 2, 3], [5, 4]], 1), naive.grouped([[0, 6], [1, 2, 3], [5, 4]], 1), (7,)),
    "frozen": (models.frozen(models.diagonal(3), 1, [1, 2, -1, 0.5, 1, 1, 2]),
               naive.frozen(naive.diagonal(), {1: np.array([1, 2, -1, 0.5, 1, 1, 2])}), (7,)),
}


def problem(name, N=9, seed=0):
    """Data that no predictor fits, flat rows, the twin's shapes, and a start."""
    model, _, shape = MODELS[name]
    rng, d = np.random.default_rng(seed), int(np.prod(shape))
    X, y = rng.normal(size=(N, *shape)), 3 * rng.normal(size=N)
    return X, y, X.reshape(N, -1), model.layers(d), 0.5 * rng.normal(size=model.parameters(d))


def check_steps(name, trace, X, y, shapes, direction, most=1.0):
    """Every step of a trace against the roots of the cubic, as sharply as Δu = a P in float64 tells a."""
    g = naive.gradient(MODELS[name][1], shapes, X, y, "squared")
    checked = 0
    for before, after in zip(trace.u[:-1], trace.u[1:], strict=True):
        move = direction(-g(before, slice(None)))
        wanted = naive.least(naive.quartic(MODELS[name][1], shapes, X, y, before, move))
        moved = after - before
        rounding = 4e-16 * abs(before).max() / abs(moved).max()
        assert (moved @ move) / (move @ move) == pytest.approx(most * wanted, rel=1e-9 + rounding)
        checked += rounding < 1e-9
    assert checked >= len(trace) // 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", MODELS)
def test_each_step_is_the_global_minimiser_of_the_quartic(name, seed):
    X, y, flat, shapes, u = problem(name, seed=seed, N=15 if seed == 1 else 5)
    trace = fb.run(X, y, loss="squared", method=m.gradient_descent(SEARCH), model=MODELS[name][0], start=u, steps=STEPS,
                   record=np.arange(STEPS + 1))
    check_steps(name, trace, flat, y, shapes, lambda g: g)
    assert (np.diff(trace.log_loss) <= 1e-13).all()
    assert trace.log_loss[-1] < trace.log_loss[0] - 0.2


@pytest.mark.parametrize("name", ["factorised", "diagonal"])
def test_other_methods_search_along_their_own_moves(name):
    X, y, flat, shapes, u = problem(name)
    for method, direction, nu in (
            (m.steepest_descent("linf", SEARCH), np.sign, 1.0),
            (m.coordinate_descent(SEARCH), lambda g: np.where(abs(g) == abs(g).max(), g, 0), 1.0),
            (m.coordinate_descent(SEARCH, shrinkage=0.5), lambda g: np.where(abs(g) == abs(g).max(), g, 0), 0.5)):
        trace = fb.run(X, y, loss="squared", method=method, model=MODELS[name][0], start=u, steps=STEPS,
                       record=np.arange(STEPS + 1))
        check_steps(name, trace, flat, y, shapes, direction, nu)
        assert (np.diff(trace.log_loss) <= 1e-13).all()


vectors = st.lists(st.floats(-3, 3), min_size=2, max_size=2)


@given(vectors, vectors, vectors, st.floats(-6, 6), st.floats(-6, 6))
def test_the_least_of_a_quartic_is_least(r, p1, p2, e1, e2):
    """For Σ (r + a p1 + a² p2)², of any scale, no a > 0 on a fine grid or at a root of the cubic is lower."""
    r, p1, p2 = np.array(r), 10 ** e1 * np.array(p1), 10 ** e2 * np.array(p2)
    c = np.array([2 * r @ p1, p1 @ p1 + 2 * r @ p2, 2 * p1 @ p2, p2 @ p2])
    if not c[0] < -1e-12 * np.abs(r * p1).sum():
        return
    a = _least(*c)
    assert 0 < a < np.inf

    def value(a):
        return c @ np.array([a, a ** 2, a ** 3, a ** 4])
    others = [x for x in a * np.geomspace(1e-3, 1e3, 2001) if x < 1e100]
    if c[3] > 0:
        roots = np.roots([4 * c[3], 3 * c[2], 2 * c[1], c[0]])
        others += list(roots.real[roots.real > 0])
    terms = np.abs(c) @ np.array([a, a ** 2, a ** 3, a ** 4])
    assert value(a) <= min(value(x) for x in others) + 1e-12 * terms


def test_the_farther_of_two_valleys_is_taken_where_it_is_deeper():
    """One residual is 0 at two places, the other one near the second alone."""
    a = np.linspace(0, 3, 3001)
    r, p1, p2 = np.array([1.0, 0.5]), np.array([-3.1, -0.5]), np.array([2.0, 0.0])
    losses = ((r[:, None] + p1[:, None] * a + p2[:, None] * a ** 2) ** 2).sum(axis=0)
    wells = 1 + np.flatnonzero((losses[1:-1] < losses[:-2]) & (losses[1:-1] < losses[2:]))
    assert len(wells) == 2
    c = (2 * r @ p1, p1 @ p1 + 2 * r @ p2, 2 * p1 @ p2, p2 @ p2)
    assert abs(_least(*c) - a[wells[np.argmin(losses[wells])]]) <= 1e-3
    assert wells[np.argmin(losses[wells])] == wells[1]


def test_where_the_curved_part_vanishes_the_quartic_is_a_parabola():
    """From U = 0 the first move leaves V alone: p is linear in the step, whatever the rounding of its root."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        X, y, V = rng.normal(size=(5, 2, 3)), rng.normal(size=5), rng.normal(size=(3, 2))
        trace = fb.run(X, y, loss="squared", method=m.gradient_descent(SEARCH), model=models.factorised(2, 3),
                       start=[np.zeros((2, 2)), V], steps=1)
        P = np.einsum("n,nij->ij", 2 * y, X) @ V
        p1 = np.einsum("nij,ij->n", X, P @ V.T)
        assert trace.u[-1][:4] == pytest.approx((y @ p1 / (p1 @ p1) * P).ravel(), rel=1e-12)
        assert (trace.u[-1][4:] == V.ravel()).all()


@pytest.mark.parametrize("scale", [1e-200, 1e-100, 1e100, 1e200])
def test_the_search_does_not_see_the_scale_of_the_targets(scale):
    """y and w times c, u times √c: the same steps times 1/c, far beyond where squares leave float64."""
    root = np.sqrt(scale)
    X, y, _, _, u = problem("factorised", N=5)
    one, far = (fb.run(X, c * y, loss="squared", method=m.gradient_descent(SEARCH), model=MODELS["factorised"][0],
                       start=a * u, steps=8) for c, a in ((1.0, 1.0), (scale, root)))
    assert far.u / root == pytest.approx(one.u, rel=1e-9)


def test_a_search_at_rest_stays():
    """At 0, and where the data are met, the move is 0."""
    model = models.factorised(2, 2)
    for start in (np.zeros(8), model.balanced([[1, 0], [0, 2]])):
        trace = fb.run(np.eye(4).reshape(4, 2, 2), model.predictor(start, 4), loss="squared", model=model, start=start,
                       method=m.gradient_descent(SEARCH), steps=200)
        assert trace.status == fb.Status.STALLED
        assert (trace.u[-1] == start).all()


@pytest.mark.parametrize(("model", "loss", "method", "words"), [
    (models.diagonal(3), "squared", m.gradient_descent(SEARCH), "models of degree 2 and the squared loss"),
    (models.convolutional(1), "squared", m.gradient_descent(SEARCH), "models of degree 2 and the squared loss"),
    (models.relu([0.0, 1.0, 2.0], 2), "squared", m.gradient_descent(SEARCH), "models of degree 2 and the squared loss"),
    (models.factorised(1, 3, depth=3), "squared", m.gradient_descent(SEARCH), "models of degree 2 and the squared loss"),
    (models.weight_normalised, "squared", m.gradient_descent(SEARCH), "models of degree 2 and the squared loss"),
    (models.diagonal(2), "logistic", m.gradient_descent(SEARCH), "models of degree 2 and the squared loss"),
    (models.diagonal(2), fb.losses.huber(1), m.gradient_descent(SEARCH), "models of degree 2 and the squared loss"),
    (models.diagonal(2), "squared", m.gradient_descent(SEARCH, 0.5), "without momentum or decay"),
    (models.diagonal(2), "squared", m.gradient_descent(SEARCH, batch=1), "wants full gradients"),
    (models.diagonal(2), "squared", m.gradient_descent(SEARCH, weight_decay=0.1), "without momentum or decay"),
    (models.linear, "squared", m.gradient_descent(SEARCH, weight_decay=0.1), "without momentum or decay"),
])
def test_searches_without_a_meaning_are_refused(model, loss, method, words):
    start = None if model.linear else np.ones(model.parameters(3))
    with pytest.raises(ValueError, match=f"step_size must have a meaning for .*{words}"):
        fb.Plan(np.eye(3), [1, -1, 1], loss=loss, method=method, model=model, start=start)
