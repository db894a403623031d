"""Where L → 0 is proved for losses with a root, against spectral radii of recursions and runs."""
import re

import numpy as np
import pytest

import fastbias as fb

m = fb.methods
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5))
Y = X @ np.abs(RNG.normal(size=5))
LARGEST = 2 * np.linalg.norm(X, 2) ** 2


def vanishing(method, loss="squared", flow=False, X=X, y=Y, start=None):
    limit = fb.Plan(X, y, loss=loss, method=method, start=start).limit(flow=flow)
    return next(h for h in limit.hypotheses if "→ 0" in h.statement and "small enough" in h.statement)


@pytest.mark.parametrize(("beta", "gamma"), [(0.0, 0.0), (0.5, 0.0), (0.9, 0.0), (0.9, 0.9), (0.3, 0.7), (0.0, 0.8)])
@pytest.mark.parametrize("of", [0.5, 0.99, 1.0, 1.01])
def test_of_linear_recursions_it_holds_where_their_spectral_radius_is_under_1(beta, gamma, of):
    eta = of * 2 * (1 + beta) / ((1 + 2 * gamma) * LARGEST)
    row = vanishing(m.gradient_descent(eta, momentum=beta, nesterov=gamma))
    curvatures = 2 * np.linalg.svd(X, compute_uv=False) ** 2
    radius = max(np.abs(np.linalg.eigvals([[1 + beta - eta * c * (1 + gamma), eta * c * gamma - beta], [1, 0]])).max()
                 for c in curvatures)
    assert row.holds is (False if of > 1 else True if radius < 1 - 1e-12 else None)
    if of > 1:
        assert float(re.search(r"grows (\S+)-fold", row.evidence)[1]) == pytest.approx(radius, rel=1e-9)


def test_other_losses_steps_and_geometries():
    small, gd = 0.5 * 2 / LARGEST, m.gradient_descent
    assert vanishing(gd(small), fb.losses.huber(0.5)).holds is True
    assert vanishing(gd(small), fb.losses.truncated_squared(0.5)).holds is None          # not convex
    assert vanishing(gd(small, momentum=0.5), fb.losses.huber(0.5)).holds is None
    assert vanishing(gd(small, batch=1, rng=0)).holds is None
    assert vanishing(gd(fb.steps.power(small, 1.0))).holds is True
    with pytest.raises(fb.NoTheorem, match="finite length"):
        vanishing(gd(fb.steps.power(small, 1.5)))
    assert vanishing(gd([5 * small, small])).holds is None
    assert vanishing(m.steepest_descent("l2", small)).holds is True
    D = np.diag([1.0, 2, 3, 4, 5])
    bound = 2 / np.linalg.eigvals(2 * np.linalg.inv(D) @ X.T @ X).real.max()
    assert vanishing(m.mirror_descent(fb.potentials.quadratic(D), 0.99 * bound)).holds is True
    assert vanishing(m.mirror_descent(fb.potentials.quadratic(D), 1.01 * bound)).holds is None
    assert vanishing(m.mirror_descent("entropy", 0.01 * small)).holds is None            # no bound is known for all w > 0
    assert vanishing(m.mirror_descent("entropy", small), flow=True).holds is True


@pytest.mark.long
@pytest.mark.parametrize("kind", ["cosh", "simplex"])
def test_relatively_smooth_mirror_descent(kind):
    """Just under its bound the loss falls at each step, and like 1/t or faster."""
    w = RNG.dirichlet(np.ones(5))
    if kind == "cosh":
        bound, make, y = 1 / LARGEST, (lambda eta: m.mirror_descent("cosh", eta)), Y
    else:
        bound = 1 / (2 * (X ** 2).sum(0).max())
        make, y = (lambda eta: m.mirror_descent("entropy", eta, constraint=(np.full((1, 5), 2.0), [2.0]))), X @ w
    assert vanishing(make(0.999 * bound), y=y).holds is True
    assert vanishing(make(1.001 * bound), y=y).holds is None
    plan = fb.Plan(X, y, loss="squared", method=make(0.999 * bound))
    limit, trace = plan.limit(), plan.run(20_000, record=2000)
    psi = plan.problem.method.geometry
    most = np.log(psi.divergence(limit.w, trace.w[0]) / (0.999 * bound * trace.t[1:]))
    assert (np.diff(trace.log_loss) <= 1e-12).all() or trace.log_loss[-1] < -60
    assert (trace.log_loss[1:] <= most + 1e-12).all()


def test_least_squares():
    A, y = RNG.normal(size=(7, 3)), RNG.normal(size=7)
    edge = 2 / (2 * np.linalg.norm(A, 2) ** 2)
    for of, holds in ((0.99, True), (1.01, False)):
        assert vanishing(m.gradient_descent(of * edge), X=A, y=y).holds is holds
