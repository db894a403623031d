"""Methods in lanes: each against its naive twin and its run alone, where it begins, goes on and ends."""
import dataclasses

import numpy as np
import pytest

import fastbias as fb
from fastbias.running import lanes
from fastbias.running.lanes_moves import TWINS
from tests.helpers import JIT, naive
from tests.running.test_sweep import same

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning") if not JIT else []
m, n = fb.methods, fb.norms
STEPS = 200 if JIT else 20
SHAPES = ((1, 1), (1, 2), (4, 3), (7, 5), (5, 12)) if JIT else ((4, 3),)
X = np.array([[0.5, 1.5, -0.3], [1.5, 0.5, 0.2], [-1.5, -0.5, 0.9], [0.7, -1.1, 2.5], [1.0, 0.3, 0.4]])


def slopes(loss, X, y, w):
    """∇L."""
    p = X @ w
    return X.T @ {"squared": lambda: 2 * (p - y), "exponential": lambda: -y * np.exp(-y * p),
                  "logistic": lambda: -y / (1 + np.exp(y * p))}[loss]()


def steepest(p, unit=False):
    def step(w, s, g, eta):
        size = np.linalg.norm(g, np.inf if p == 1 else p / (p - 1) if p < np.inf else 1) if unit else 1.0
        return w + eta * naive.steepest_direction(g, p) / size, s
    return step


def adagrad(w, s, g, eta):
    s = s + g * g
    return w - eta * g / np.sqrt(s + 0.01), s


def entropic(w, s, g, eta):
    return w * np.exp(-eta * g), s


def coordinate(ties, tie_tol, shrinkage):
    return lambda w, s, g, eta: (w + shrinkage * eta * naive.coordinate_direction(g, ties, tie_tol), s)


def signed(w, s, g, eta):
    return w - eta * np.sign(g), s


CASES = {
    "adagrad": (lambda eta: m.adagrad(eta, G0=0.5, eps=0.01), adagrad),
    "entropy": (lambda eta: m.mirror_descent("entropy", eta), entropic),
    "sign": (m.sign_descent, signed),
    "coordinate": (lambda eta: m.coordinate_descent(eta, shrinkage=0.5), coordinate("first", 1e-12, 0.5)),
    "average": (lambda eta: m.coordinate_descent(eta, "average", 0.3), coordinate("average", 0.3, 1.0)),
    "l1": (lambda eta: m.steepest_descent("l1", eta), steepest(1)),
    "l1 unit": (lambda eta: m.steepest_descent("l1", eta, normalised=True), steepest(1, unit=True)),
    "l2": (lambda eta: m.steepest_descent("l2", eta), steepest(2)),
    "l2 unit": (lambda eta: m.steepest_descent("l2", eta, normalised=True), steepest(2, unit=True)),
    "linf": (lambda eta: m.steepest_descent("linf", eta), steepest(np.inf)),
    "linf unit": (lambda eta: m.steepest_descent("linf", eta, normalised=True), steepest(np.inf, unit=True)),
    "l1.5": (lambda eta: m.steepest_descent(n.lp(1.5), eta), steepest(1.5)),
    "l4": (lambda eta: m.steepest_descent(n.lp(4.0), eta), steepest(4.0)),
    "l4/3": (lambda eta: m.steepest_descent(n.lp(4 / 3), eta), steepest(4 / 3)),
    "l1.2 unit": (lambda eta: m.steepest_descent(n.lp(1.2), eta, normalised=True), steepest(1.2, unit=True)),
}


def data(shape, loss):
    """Random rows, and targets that a positive w makes."""
    rng = np.random.default_rng(shape)
    X, w, v = rng.normal(size=shape), *(0.5 + rng.uniform(size=(2, shape[1])))
    return X, *(X @ u if loss == "squared" else np.sign(X @ u) for u in (w, v)), w


def test_every_method_that_goes_in_lanes_is_among_the_cases():
    assert {lanes.twin(make(1.0), False).burst for make, _ in CASES.values()} == {
        found.burst for method in [make(1.0) for make, _ in CASES.values()] + [m.gradient_descent(1.0)]
        if (found := lanes.twin(method, False)) is not None}
    assert len(set(TWINS)) == len(TWINS) == 13


@pytest.mark.parametrize("loss", ["exponential", *(pytest.param(loss, marks=pytest.mark.slow) for loss in ("logistic", "squared"))])
@pytest.mark.parametrize("name", CASES)
def test_lanes_equal_runs_alone_and_the_naive_twin(name, loss):
    make, step = CASES[name]
    # (where g_j goes through 0, |g_j|^(1/3) makes 1e-5 of a rounding)
    tol = 1e-8 if name == "l4" else 1e-12
    for shape in SHAPES:
        X, y, other, w = data(shape, loss)
        eta = 0.002 / np.linalg.norm(X, 2) ** 2
        plan = fb.Plan(X, y, loss=loss, method=make(eta), start=w / 3)
        assert lanes.common(plan) is not None
        grid = {"step_size": [eta, eta / 3], "start": [w / 3, w[::-1] / 2], "y": [y, other]}
        sweep = fb.sweep(plan, grid, steps=STEPS, record=10)
        for point, trace in zip(sweep.points, sweep, strict=True):
            single = fb.Plan(X, point["y"], loss=loss, method=make(point["step_size"]), start=point["start"])
            alone = single.run(STEPS, record=10)
            assert trace.t.tolist() == alone.t.tolist()
            assert trace.w == pytest.approx(alone.w, rel=tol, abs=tol)
            assert np.exp(trace.log_loss) == pytest.approx(np.exp(alone.log_loss), rel=100 * tol, abs=1e-24)
            twin, s = point["start"], np.full(shape[1], 0.5)
            for _ in range(STEPS):
                twin, s = step(twin, s, slopes(loss, X, point["y"], twin), point["step_size"])
            assert trace.w[-1] == pytest.approx(twin, rel=10 * tol, abs=10 * tol)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_columns_are_the_bits_of_plans_in_whatever_company_and_chunks(name, monkeypatch):
    make, _ = CASES[name]
    y, starts = np.array([1.0, 1, -1, 1, 1]), [[0.3, 0.2, 0.5], [1.0, 2.0, 0.1]]
    grid = {"step_size": [0.001, 0.02, 0.3], "start": starts}
    plan = fb.Plan(X, y, loss="logistic", method=make(0.1), start=[1.0, 1, 1])
    steps = 1000
    whole = fb.sweep(plan, grid, steps=steps, record=[100, 150])
    plans = [fb.Plan(X, y, loss="logistic", method=make(p["step_size"]), start=p["start"]) for p in whole.points]
    assert not fb.sweep(plans[::-1], steps=130, record=[100]).failures
    monkeypatch.setattr(lanes, "CHUNK", 1e-9)
    fb.sweep(plans, steps=steps - 130, record=[150])
    assert all(one.u.tobytes() == trace.u[-1].tobytes() for trace, one in zip(whole, plans, strict=True))
    chunks = fb.sweep(plan, grid, steps=steps, record=[100, 150])
    assert all(same(a, b) for a, b in zip(whole, chunks, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_plans_go_on_from_their_lanes(name):
    """Between two multiples of 64, as predictions that are kept are taken anew there."""
    make, _ = CASES[name]
    shape = (7, 5)
    X, y, _, w = data(shape, "logistic")
    plans = [fb.Plan(X, y, loss="logistic", method=make(eta), start=w) for eta in (0.01, 0.02)]
    assert not fb.sweep(plans, steps=37).failures
    for eta, plan in zip((0.01, 0.02), plans, strict=True):
        single = fb.Plan(X, y, loss="logistic", method=make(eta), start=w)
        assert plan.run(33).w[-1] == pytest.approx(single.run(70).w[-1], rel=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("loss", ["exponential", "squared"])
@pytest.mark.parametrize("name", CASES)
def test_every_end_is_that_of_a_run_alone(name, loss):
    """At rest, beyond numbers, out of the reach of weights: up to where rounding has a run rest."""
    make, _ = CASES[name]
    start, X = np.array([1.0, 1.5, 0.3]), [[0.5, 1.5, -0.3], [1.5, 0.5, 0.2]]
    y = [1.0, 2.0] if loss == "squared" else [1.0, -1.0]
    grid = {"step_size": [1e-3, 1e30, 1e200], "start": [start, 1e3 * start]}
    sweep = fb.sweep(fb.Plan(X, y, loss=loss, method=make(0.1), start=start), grid, steps=3000, record=2)
    for point, trace in zip(sweep.points, sweep, strict=True):
        single = fb.Plan(X, y, loss=loss, method=make(point["step_size"]), start=point["start"])
        alone = single.run(3000, record=2, strict=False)
        at_rest = {fb.Status.OK, fb.Status.STALLED}
        assert trace.status == alone.status or {trace.status, alone.status} == at_rest
        if trace.status not in at_rest:
            assert abs(int(trace.t[-1]) - int(alone.t[-1])) <= 8            # as above


def test_a_start_outside_the_domain_is_the_failure_of_its_own_runs():
    plan = fb.Plan([[1, 2]], [3], loss="squared", method=m.mirror_descent("entropy", 0.01))
    sweep = fb.sweep(plan, {"start": [[1, 1], [0, 1], [-1, 2], [1, np.nan]], "step_size": [0.01, 0.02]}, steps=10)
    assert list(sweep.failures) == [2, 3, 4, 5, 6, 7]
    assert sweep[1].w[-1] == pytest.approx(fb.run([[1, 2]], [3], loss="squared", start=[1, 1], steps=10,
                                                  method=m.mirror_descent("entropy", 0.02)).w[-1], rel=1e-13)
    with pytest.raises(ValueError, match="start") as said:
        fb.Plan([[1, 2]], [3], loss="squared", method=m.mirror_descent("entropy", 0.01), start=[-1, 2])
    assert str(sweep.failures[4]) == str(said.value)


def test_what_is_not_its_twin_goes_alone():
    gd = m.gradient_descent(0.1)
    alone = [m.coordinate_descent(0.1, "random", rng=1), m.stagewise(0.1), m.steepest_descent(n.lp(1.01), 0.1), m.adam(0.1),
             m.adagrad([0.1, 0.2]), m.adagrad(fb.steps.loss_scaled(0.1)), m.mirror_descent("entropy", 0.1, dual_momentum=0.5),
             m.mirror_descent("cosh", 0.1), m.natural_gradient("entropy", 0.1), dataclasses.replace(gd, unscaled=True),
             dataclasses.replace(m.sign_descent(0.1), unscaled=False), dataclasses.replace(m.sign_descent(0.1), beta=[0.5]),
             dataclasses.replace(m.adagrad(0.1), begin=lambda u: np.zeros((2, u.size))), m.gradient_descent(0.1, weight_decay=0.1)]
    for method in alone:
        assert lanes.common(fb.Plan(X, np.ones(5), loss="exponential", method=method, start=[1, 1, 1])) is None, method
    for loss, extra in (("probit", {}), ("exponential", {"weights": np.ones(5) / 2})):
        assert lanes.common(fb.Plan(X, np.ones(5), loss=loss, method=m.sign_descent(0.1), **extra)) is None
    one, other = (lanes.common(fb.Plan(X, np.ones(5), loss="exponential", method=m.adagrad(0.1, eps=e))) for e in (0.1, 0.2))
    assert one != other
