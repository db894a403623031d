"""The largest steps of momentum, and of gradient descent on models, against eigenvalues and runs of their own."""
import numpy as np
import pytest

import fastbias as fb
from tests.helpers.problems import X, Z, y

m, M = fb.methods, fb.models
MOMENTUM = [(0.0, 0.0), (0.9, 0.0), (0.9, 0.9), (0.5, 0.2)]


def radius(eta, beta, gamma, value):
    """The spectral radius of e⁺ = e + βΔ − ηh(e + γΔ) as a companion matrix."""
    return np.abs(np.linalg.eigvals([[1 + beta - eta * value * (1 + gamma), -(beta - eta * value * gamma)], [1, 0]])).max()


def hessian(plan, u, h=1e-4):
    """By differences of gradients, which are differences of nothing."""
    g = [[plan.problem.descent(u + s * h * e) for s in (-1, 1)] for e in np.eye(u.size)]
    return np.array([(a - b) / (2 * h) for a, b in g])


@pytest.mark.parametrize(("beta", "gamma"), MOMENTUM)
@pytest.mark.parametrize(("loss", "model"), [
    ("squared", M.diagonal(2)), ("squared", M.diagonal(3, signed=True)), ("logistic", M.deep_linear(2, 3)),
    ("exponential", M.diagonal(2)), ("exponential", M.convolutional(2))], ids=repr)
def test_on_models_it_is_the_edge_of_the_recursion_at_the_present_point(loss, model, beta, gamma):
    n = model.parameters(X.shape[1])
    plan = fb.Plan(X, y, loss=loss, method=m.gradient_descent(1e-3, beta, gamma), model=model,
                   start=np.random.default_rng(1).uniform(0.3, 0.6, n))
    for _ in range(2):
        values = np.linalg.eigvalsh(hessian(plan, plan.u))
        found = plan.max_step()
        assert "present point alone" in found.theorem
        assert found.step_size == pytest.approx(2 * (1 + beta) / ((1 + 2 * gamma) * values[-1]), rel=1e-5)
        assert radius(0.99 * found.step_size, beta, gamma, values[-1]) < 1 < radius(1.01 * found.step_size, beta, gamma,
                                                                                    values[-1])
        plan.run(5)                                                # it is of where the run stands


def test_weight_decay_is_part_of_it():
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(1e-3, weight_decay=7.0), model=M.diagonal(2),
                   start=np.full(8, 0.5))
    assert plan.max_step().step_size == pytest.approx(2 / (np.linalg.eigvalsh(hessian(plan, plan.u))[-1] + 7.0), rel=1e-5)


@pytest.mark.parametrize("loss", ["logistic", "probit", "sigmoid"])
@pytest.mark.parametrize("beta", [0.3, 0.9, 0.99])
def test_under_the_heavy_balls_bound_its_energy_falls_at_each_step(loss, beta):
    for seed in range(3):
        start = np.random.default_rng(seed).normal(size=4)
        plan = fb.Plan(X, y, loss=loss, method=m.gradient_descent(1.0, beta), start=start)
        found = plan.max_step()
        assert "L + β‖Δw‖²/2η" in found.theorem
        assert found.step_size < 2 * (1 - beta) / (fb.losses.__dict__[loss].curvature * np.linalg.norm(X, 2) ** 2)
        eta = 0.999 * found.step_size
        w = fb.run(X, y, loss=loss, method=m.gradient_descent(eta, beta), start=start, steps=300, record=np.arange(301)).w
        level = {"logistic": lambda x: np.logaddexp(0, -x), "probit": lambda x: -_log_phi(x),
                 "sigmoid": lambda x: 1 / (1 + np.exp(x))}[loss](w @ Z.T).sum(1)
        energy = level[1:] + beta * (np.diff(w, axis=0) ** 2).sum(1) / (2 * eta)
        assert (np.diff(energy) <= 1e-12 * energy[:-1]).all()


def _log_phi(x):
    from scipy.special import log_ndtr
    return log_ndtr(x)


def test_in_a_metric_and_for_columns_and_classes():
    D = np.array([1, 2, 3, 4.0])
    found = fb.Plan(X, y, loss="logistic", method=m.mirror_descent(fb.potentials.quadratic(D), 0.1, 0.5)).max_step()
    assert found.step_size == pytest.approx(2 * 0.5 / (0.25 * np.linalg.norm(X / np.sqrt(D), 2) ** 2), rel=1e-9)
    huber = fb.Plan(X, np.column_stack([y, -y, 2 * y]), loss=fb.losses.huber(1.0), method=m.gradient_descent(0.1, 0.5))
    assert huber.max_step().step_size == pytest.approx(2 * 0.5 / (2 * np.linalg.norm(X, 2) ** 2), rel=1e-9)


def test_the_exponential_loss_with_momentum_has_an_edge_on_the_linear_model_too():
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(1e-3, 0.9))
    top = np.linalg.eigvalsh((Z.T * np.exp(-Z @ plan.u)) @ Z)[-1]
    assert plan.max_step().step_size == pytest.approx(2 * 1.9 / top, rel=1e-9)
    # without momentum it is Theorem 5's, which is of all steps to come
    assert "Theorem 5" in fb.Plan(X, y, loss="exponential", method=m.gradient_descent(1e-3)).max_step().theorem


def test_what_nothing_speaks_of_is_refused():
    start = np.full(8, 0.5)
    for method in (m.gradient_descent(0.1, 1.0), m.gradient_descent(0.1, [0.5, 0.1]), m.gradient_descent(0.1, batch=2, rng=0),
                   m.adam(0.1), m.sign_descent(0.1), m.steepest_descent("l2", 0.1)):
        with pytest.raises(fb.NoTheorem, match="no bound on the step size"):
            fb.Plan(X, y, loss="squared", method=method, model=M.diagonal(2), start=start).max_step()
    flat = fb.Plan([[1.0]], [1], loss="sigmoid", method=m.gradient_descent(0.1, 0.5, 0.5), start=[-3.0])
    with pytest.raises(fb.NoTheorem, match="does not bend upwards") as told:
        flat.max_step()
    assert "no bound on the step size" in told.value.reason
    own = fb.losses.Loss("own", fb.losses.sigmoid.slope, fb.losses.sigmoid.log_loss, "monotone", [2.0])
    with pytest.raises(fb.NoTheorem):
        fb.Plan(X, y, loss=own, method=m.gradient_descent(0.1), model=M.diagonal(2), start=start).max_step()
