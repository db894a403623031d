"""In which norm is an update steepest? Directions are written here from eq. (11), not taken from pieces."""
from types import SimpleNamespace

import numpy as np
import pytest

import fastbias as fb

RNG = np.random.default_rng(0)
G = RNG.normal(size=(6, 3, 4))
FLAT = G.reshape(6, -1)
U, S, V = np.linalg.svd(G, full_matrices=False)


def one(g):
    out = np.zeros_like(g)
    for row, x in zip(out, g, strict=True):
        row[np.argmax(np.abs(x))] = x[np.argmax(np.abs(x))]
    return out


@pytest.mark.parametrize(("name", "g", "delta", "scale", "rule"), [
    ("l2", FLAT, -0.1 * FLAT, 0.1, "proportional"),
    ("l2", FLAT, -0.1 * FLAT / np.linalg.norm(FLAT, axis=1)[:, None], 0.1, "fixed length"),
    ("linf", FLAT, -0.1 * np.sign(FLAT), 0.1, "fixed length"),
    ("linf", FLAT, -0.1 * np.sign(FLAT) * np.abs(FLAT).sum(1)[:, None], 0.1, "proportional"),
    ("l1", FLAT, -0.1 * one(FLAT), 0.1, "proportional"),
    ("spectral", G, -0.02 * U @ V, 0.02, "fixed length"),
    ("nuclear", G, -0.3 * S[:, :1, None] * U[:, :, :1] @ V[:, :1], 0.3, "proportional"),
])
def test_norm_scale_and_rule(name, g, delta, scale, rule):
    seen = fb.bridges.which_norm(g, delta)
    assert (seen.name, seen.rule) == (name, rule)
    assert seen.scale == pytest.approx(scale, rel=1e-12)
    assert seen.defect < 1e-12


@pytest.mark.parametrize("p", [1.2, 1.5, 3.3, 8.0])
def test_the_power(p):
    q = p / (p - 1)
    delta = -np.sign(FLAT) * np.abs(FLAT) ** (q - 1)
    seen = fb.bridges.which_norm(FLAT, delta)
    assert seen.name == "lp"
    assert seen.p == pytest.approx(p, rel=1e-6)


def test_what_is_steepest_in_none():
    assert fb.bridges.which_norm(FLAT, RNG.normal(size=FLAT.shape)).name == "none"
    # Adam's first step is that of signs; AdaGrad's later ones are none
    assert fb.bridges.which_norm(FLAT[:1], -np.sign(FLAT[:1])).name == "linf"
    later = -FLAT / np.sqrt(np.cumsum(FLAT ** 2, axis=0))
    assert fb.bridges.which_norm(FLAT, later).name == "none"


@pytest.mark.long
def test_the_last_layer():
    X, y = np.array([[0.5, 1.5], [1.5, 0.5], [-2.0, -2.0]]), np.array([1, 1, 0])
    seen = fb.bridges.last_layer(X, y, fb.max_margin(X, y, "l2").w)
    assert seen.fractions["l2"] == pytest.approx(1, abs=1e-12)
    # what classes share does not count
    X3, y3 = RNG.normal(size=(6, 8)), np.array([0, 1, 2, 0, 1, 2])
    W = fb.max_margin(X3, y3, "l2").w
    assert fb.bridges.last_layer(X3, y3, W + 5.0).fractions["l2"] == pytest.approx(1, abs=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("intercept", [None, 0.3])
def test_steps_to_go_are_those_of_a_run_that_goes_on(intercept):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6))
    y, d = np.sign(X @ rng.normal(size=6)), 6 if intercept is None else 7
    Z = X if intercept is None else np.column_stack([X, np.ones(40)])
    plan = fb.Plan(Z, y, loss="exponential", method=fb.methods.gradient_descent(0.01))
    begun = plan.run(2000).w[-1]
    seen = fb.bridges.last_layer(X, y, begun[:6], intercept=None if d == 6 else begun[6], step_size=0.01)
    limit = fb.max_margin(Z, y)
    assert seen.limit.w == pytest.approx(limit.w)
    assert seen.away == pytest.approx(np.linalg.norm(begun / np.linalg.norm(begun) - limit.w))
    trace = plan.run(3_000_000, record=3000)
    lacks = 1 - trace.margin("l2") / limit.margin
    met = trace.t[np.flatnonzero(lacks > 0.1)[-1] + 1] - 2000
    assert seen.steps[0.1] == pytest.approx(np.log10(met), abs=0.005)
    assert seen.steps[0.01] > 10 * seen.steps[0.1] / 3         # 1/log t: far more than ten times the time
    assert "10^" in repr(seen)


@pytest.mark.long
def test_steps_to_go_of_classes_and_of_weights_that_are_there():
    X, y = np.array([[2.0, 0.1], [0.3, 1.5], [-1, -1], [2, 0.5]]), np.array([0, 1, 2, 0])
    W = fb.max_margin(X, y, "l2").w
    there = fb.bridges.last_layer(X, y, 200 * W)
    assert there.steps == {0.1: -np.inf, 0.01: -np.inf}
    assert there.away < 1e-9
    assert "it is there" in repr(there)
    # a run on cross-entropy that goes on, late enough for that to be a sum of exponential losses
    plan = fb.Plan(X, y, loss="cross_entropy", method=fb.methods.gradient_descent(0.1), start=[[6, -3], [-3, 6], [-3, -3]])
    begun = plan.run(3000).w[-1]
    seen = fb.bridges.last_layer(X, y, begun, step_size=0.1)
    trace = plan.run(1_000_000, record=3000)
    lacks = 1 - trace.margin("l2") / fb.max_margin(X, y).margin
    near = 0.1
    assert lacks[0] > near > lacks[-1]
    assert seen.steps[near] == pytest.approx(np.log10(trace.t[np.flatnonzero(lacks > near)[-1] + 1] - 3000), abs=0.02)
    far = fb.bridges.last_layer(X, y, 1e5 * W)
    assert np.isnan(far.steps[0.01])
    assert "steps not known" in repr(far)


def test_weights_of_two_classes_as_scikit_learn_has_them(monkeypatch):
    asked = []

    def diagnose(X, y, W, intercept):
        asked.append((W.tolist(), intercept))
        return SimpleNamespace(fractions={}, best="")
    monkeypatch.setattr(fb.bridges, "diagnose", diagnose)
    monkeypatch.setattr(fb.bridges, "_to_go", lambda X, labels, W, margin, eta: {1.0: W.tolist()})
    seen = fb.bridges.last_layer([[1, 0], [0, 2], [-1, -1]], [1, 1, 0], [[2, 1.5]], intercept=[0.5])
    assert asked == [([2, 1.5], [0.5])]
    assert seen.steps == {1.0: [2, 1.5, 0.5]}


def test_bad_arguments():
    with pytest.raises(ValueError, match="weights must not be 0, nor the same for all classes"):
        fb.bridges.last_layer([[1, 0], [0, 1], [-1, -1]], [0, 1, 2], np.ones((3, 2)))
    with pytest.raises(ValueError, match="step_size must be"):
        fb.bridges.last_layer([[1, 0], [0, 2], [-1, -1]], [1, 1, 0], [2, 1], step_size=0)
    with pytest.raises(ValueError, match="updates must have the shape"):
        fb.bridges.which_norm(FLAT, FLAT[:2])
    with pytest.raises(ValueError, match="updates must hold one that is not 0"):
        fb.bridges.which_norm(FLAT, 0 * FLAT)
