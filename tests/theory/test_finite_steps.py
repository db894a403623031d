"""Finite steps on diagonal networks of depth 2 (Even, Pesme, Gunasekar, Flammarion 2023): what they change is measured."""
import numpy as np
import pytest

import fastbias as fb
from tests.helpers import JIT
from tests.helpers.problems import evidence, holds

m, models = fb.methods, fb.models
X, Y = np.random.default_rng(3).normal(size=(3, 6)), np.random.default_rng(4).normal(size=3)
KINDS = {"signed": (models.diagonal(2, signed=True), 2), "unsigned": (models.diagonal(2), 2),
         "untied": (models.diagonal(2, signed=True, tied=False), 4)}


def plan_of(name="signed", eta=0.03, **how):
    model, copies = KINDS[name]
    start = np.full(copies * 6, 0.4) if name == "signed" else np.random.default_rng(5).uniform(0.2, 0.6, copies * 6)
    return fb.Plan(X, Y, loss="squared", method=m.gradient_descent(eta, **how), model=model, start=start)


def naive(eta, steps, alpha=0.4):
    """w, and z of each step, of w = u₊² − u₋² from α1, by hand."""
    plus, minus, zs = np.full(6, alpha), np.full(6, alpha), []
    for _ in range(steps):
        z = 2 * eta * 2 * X.T @ (X @ (plus ** 2 - minus ** 2) - Y)
        plus, minus = plus * (1 - z), minus * (1 + z)
        zs.append(z)
    return plus ** 2 - minus ** 2, np.array(zs)


def off_the_rows(v):
    """How much of a vector is off the span of the samples."""
    return abs(np.linalg.svd(X)[2][3:] @ v).max()


@pytest.mark.parametrize("eta", [0.01, 0.03])
def test_the_formula_of_the_paper_and_what_is_measured_are_the_same(eta):
    """α∞² = α² Π(1 − z²), asinh(w∞/2α∞²) + 2 Σ(artanh z − z) in the span: exact, where the flow's potential is not."""
    steps = 6000 if JIT else 1500
    w, z = naive(eta, steps)
    assert 0.05 < abs(z).max() < 1
    scale = 0.16 * np.prod(1 - z ** 2, axis=0)
    assert off_the_rows(np.arcsinh(w / (2 * scale)) + 2 * (np.arctanh(z) - z).sum(axis=0)) < 1e-9
    assert off_the_rows(np.arcsinh(w / 0.32)) > 1e-3
    plan = plan_of(eta=eta)
    trace, limit = plan.run(steps), plan.limit()
    assert trace.w[-1] == pytest.approx(w, rel=1e-9)
    assert limit.certified
    assert limit.source.startswith("Even")
    assert trace.gap(limit)[-1] < 1e-6
    assert np.log(abs(np.prod(plan.u.reshape(2, -1), axis=0))) == pytest.approx(np.log(scale), abs=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_what_a_run_measures_early_says_where_it_ends(name):
    """Far from the end, and much nearer to it than the flow from the start is."""
    plan = plan_of(name)
    flow, before = plan.limit(flow=True), plan.limit()
    assert before.w == pytest.approx(flow.w, abs=1e-12)
    assert "behind a run" in evidence(before, "η → 0")
    t = {"signed": 25, "unsigned": 60, "untied": 25}[name]
    early = plan.run(t)
    limit = plan.limit()
    assert limit.certified
    assert holds(limit, "at t = ∞") is None
    assert f"measured at t = {t};" in evidence(limit, "at t = ∞")
    end = plan.run(20_000 if JIT else 3000)
    assert end.log_loss[-1] < -40
    assert early.gap(limit)[-1] > 1e-3                           # it is not there yet
    assert end.gap(limit)[-1] < 1e-3 * end.gap(flow)[-1]
    assert plan.limit(flow=True).w == pytest.approx(flow.w, abs=1e-12)


def test_what_is_not_known_to_multiply_is_not_measured():
    """Momentum, searched steps, and deeper networks keep the flow's own limit, or none."""
    plan = plan_of(eta=0.005, momentum=0.5)
    plan.run(200)
    limit = plan.limit()
    assert "mirror flow" in limit.theorem
    assert "behind a run" not in evidence(limit, "η → 0")
    searched = plan_of(eta=fb.steps.line_search())
    searched.run(20)
    with pytest.raises(fb.NoTheorem, match="searched steps"):
        searched.limit()


def test_stochastic_gradients_stay_in_the_span_as_well():
    plan = plan_of(eta=0.01, batch=1, rng=0)
    plan.run(30_000 if JIT else 3000)
    assert plan.trace.gap(plan.limit())[-1] < 1e-3
