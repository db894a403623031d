"""The gradient as the loop asks for it: at any point, and as often as a method likes."""
import numpy as np
import pytest

import fastbias as fb
from fastbias.engine.compiled import kernel
from fastbias.engine.gradients import Run, calls_of, gradient
from fastbias.engine.lending import lent
from fastbias.engine.loop import _laid, _room_of
from tests.helpers import JIT

m = fb.methods


@kernel
def sharp(pieces, params, X, y, buffers, rho, out):
    """−∇L at u, and at u + ρ g/‖g‖, as sharpness-aware minimisation does: one call, in a loop."""
    params, X, y, buffers = lent(params), lent(X), lent(y), lent(buffers)
    data = _laid(X, y, params.weights, buffers, buffers.order[:0])
    scratch = _room_of(data, buffers)
    run = Run(calls_of(pieces, params), params, X, data, buffers, scratch, 1, buffers.u)
    at, g, n = scratch.at, scratch.g, buffers.u.size
    for j in range(n):
        at[j] = buffers.u[j]
    for ask in range(out.shape[0]):
        s, status = gradient(run, 0, -1)
        if status != 0:
            return status
        size = 0.0
        for j in range(n):
            out[ask, j] = np.exp(s) * g[j]
            size += g[j] * g[j]
        for j in range(n):
            at[j] += rho * g[j] / np.sqrt(size)
    return 0


def fall(X, y, u, rows):
    """−∇L of the exponential loss, of w = u or, where u is longer, of w = u₁ u₂."""
    d = X.shape[1]
    halves = u.reshape(-1, d)
    g = (y * np.exp(-y * (X @ halves.prod(axis=0))))[rows] @ X[rows]
    return g if len(halves) == 1 else np.concatenate([g * halves[1], g * halves[0]])


CASES = {"weighed": {"method": m.gradient_descent(0.1)}, "by pieces": {"method": m.adam(0.1)},
         "batch": {"method": m.gradient_descent(0.1, batch=2, rng=0)},
         "model": {"method": m.gradient_descent(0.1), "model": fb.models.diagonal(2),
                   "start": np.linspace(0.5, 1, 12)}}


# (compiling it takes half a minute; sharpness-aware methods and their twins ask for it again in `make test`)
@(pytest.mark.slow if JIT else lambda test: test)
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_may_be_asked_for_again_at_another_point(name):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 6)), rng.choice([-1.0, 1.0], 5)
    plan = fb.Plan(X, y, loss="exponential", gram=False, **CASES[name])
    u = plan.buffers.u
    if name != "model":
        u[:] = np.linspace(-0.5, 0.5, 6)
    before, out, rho = u.copy(), np.zeros((3, u.size)), 0.3
    X, y = plan.problem.X, plan.problem.y
    assert sharp(plan.pieces, plan.params, X, y, plan.buffers, rho, out) == 0
    rows = plan.buffers.order[:2] if name == "batch" else np.arange(5)
    at = u.copy()
    for g in out:
        assert g == pytest.approx(fall(X, y, at, rows), rel=1e-13)
        at += rho * g / np.linalg.norm(g)
    assert u.tobytes() == before.tobytes()
    assert plan.t == 0
    assert not plan.buffers.state.any()
