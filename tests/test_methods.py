"""Every method, geometry and momentum against its naive twin, step for step."""
import naive
import numpy as np
import pytest
from conftest import JIT

import fastbias as fb

STEPS = 1000 if JIT else 60
D3 = np.array([[2.0, 0.5, 0.0, 0.1], [0.5, 1.0, 0.3, 0.0], [0.0, 0.3, 3.0, 0.2], [0.1, 0.0, 0.2, 1.5]])
X, y = fb.data.random_regression(3, 4, rng=1, positive=True)
ETA = 0.2 / np.linalg.norm(X, 2) ** 2
ONES = np.ones(4)
m = fb.methods
SEQUENCE = ETA * np.array([1.0, 0.5, 0.7, 0.4])
BETAS = np.array([0.0, 0.5, 0.1, 0.3])
QUADRATIC = fb.potentials.quadratic(D3)
LINK = naive.quadratic_link(D3)

CASES = {
    "gd": (m.gradient_descent(ETA), lambda n: naive.gradient_descent(X, y, 0 * ONES, ETA, n)),
    "gd heavy ball": (m.gradient_descent(ETA, 0.9), lambda n: naive.gradient_descent(X, y, 0 * ONES, ETA, n, 0.9)),
    "gd nesterov": (m.gradient_descent(ETA, 0.8, 0.8), lambda n: naive.gradient_descent(X, y, 0 * ONES, ETA, n, 0.8, 0.8)),
    "gd arrays": (m.gradient_descent(SEQUENCE, BETAS, BETAS[::-1]),
                  lambda n: naive.gradient_descent(X, y, 0 * ONES, SEQUENCE, n, BETAS, BETAS[::-1])),
    "gd power": (m.gradient_descent(fb.steps.power(ETA, 0.7)),
                 lambda n: naive.gradient_descent(X, y, 0 * ONES, naive.power_steps(ETA, 0.7, n), n)),
    "mirror euclidean": (m.mirror_descent("euclidean", ETA),
                         lambda n: naive.mirror_descent(X, y, 0 * ONES, ETA, n, naive.LINKS["euclidean"])),
    "mirror quadratic": (m.mirror_descent(QUADRATIC, ETA), lambda n: naive.mirror_descent(X, y, 0 * ONES, ETA, n, LINK)),
    "mirror entropy": (m.mirror_descent("entropy", ETA),
                       lambda n: naive.mirror_descent(X, y, ONES, ETA, n, naive.LINKS["entropy"])),
    "dual momentum": (m.mirror_descent("entropy", ETA, dual_momentum=0.5, nesterov=0.3),
                      lambda n: naive.mirror_descent(X, y, ONES, ETA, n, naive.LINKS["entropy"], 0.5, 0.3)),
    "dual momentum arrays": (m.mirror_descent(fb.potentials.entropy, SEQUENCE, dual_momentum=BETAS),
                             lambda n: naive.mirror_descent(X, y, ONES, SEQUENCE, n, naive.LINKS["entropy"], BETAS)),
    "primal momentum": (m.mirror_descent("entropy", ETA, primal_momentum=0.2, nesterov=0.1),
                        lambda n: naive.primal_momentum(X, y, ONES, ETA, n, naive.LINKS["entropy"], 0.2, 0.1)),
    "primal momentum quadratic": (m.mirror_descent(QUADRATIC, ETA, primal_momentum=0.4),
                                  lambda n: naive.primal_momentum(X, y, 0 * ONES, ETA, n, LINK, 0.4)),
    "natural entropy": (m.natural_gradient("entropy", ETA),
                        lambda n: naive.natural_gradient(X, y, ONES, ETA, n, np.diag)),
    "natural quadratic": (m.natural_gradient(QUADRATIC, ETA),
                          lambda n: naive.natural_gradient(X, y, 0 * ONES, ETA, n, lambda w: np.linalg.inv(D3))),
    "steepest quadratic": (m.steepest_descent(fb.norms.quadratic(D3), ETA),
                           lambda n: naive.steepest_descent(X, y, 0 * ONES, ETA, n, lambda g: -np.linalg.solve(D3, g))),
} | {
    f"steepest l{p:.3g}": (m.steepest_descent(fb.norms.lp(p), ETA / 2),
                           lambda n, p=p: naive.steepest_descent(X, y, 0 * ONES, ETA / 2, n,
                                                                 lambda g: naive.steepest_direction(g, p)))
    for p in (1, 4 / 3, 1.5, 2, 3, np.inf)
}


@pytest.mark.parametrize("case", CASES)
def test_iterates_equal_the_naive_twin(case):
    method, twin = CASES[case]
    plan = fb.Plan(X, y, loss="squared", method=method)
    trace = plan.run(STEPS, record=np.arange(STEPS + 1))
    wanted = np.array(list(twin(trace.t[-1])))
    error = np.abs(trace.w - wanted).max() / np.abs(wanted).max()
    assert error <= 1e-12, error


def test_normalised_steps_move_by_exactly_eta():
    for norm in fb.norms.EXAMPLES:
        d = norm.size or 4
        A, b = fb.data.random_regression(2, d, rng=3)
        trace = fb.run(A, b, loss="squared", method=m.steepest_descent(norm, 0.01, normalised=True), steps=5,
                       record=np.arange(6))
        assert norm(np.diff(trace.w, axis=0)) == pytest.approx(0.01, rel=1e-12)
        full = fb.run(A, b, loss="squared", method=m.steepest_descent(norm, 0.01), steps=1).w
        g = 2 * A.T @ b
        assert norm(full[1]) == pytest.approx(0.01 * norm.dual(g), rel=1e-12)
        assert full[1] / norm(full[1]) == pytest.approx(trace.w[1] / norm(trace.w[1]), rel=1e-10)


def test_at_rest_nothing_moves_and_nothing_is_nan():
    w = np.array([1.0, 2.0, 3.0, 4.0])
    for method in (m.gradient_descent(0.1, 0.5), m.steepest_descent("l1", 0.1), m.steepest_descent(fb.norms.lp(3), 0.1),
                   m.steepest_descent("linf", 0.1, normalised=True)):
        trace = fb.run([[1, 1, 1, 1]], [10], loss="squared", method=method, start=w, steps=10)
        assert (trace.w == w).all()
        assert trace.log_loss[-1] == -np.inf


def test_users_own_metric_is_natural_gradient():
    @fb.piece(fb.abi.MAP_AT)
    def inverse_metric(params, w, g, out):
        for i in range(w.size):
            if w[i] <= 0:
                return 2
            out[i] = w[i] * g[i]
        return 0

    own = fb.run(X, y, loss="squared", method=m.natural_gradient(inverse_metric, ETA), start=ONES, steps=50)
    ours = fb.run(X, y, loss="squared", method=m.natural_gradient("entropy", ETA), steps=50)
    assert (own.w == ours.w).all()
    plan = fb.Plan(X, y, loss="squared", method=m.natural_gradient(inverse_metric, ETA), start=ONES)
    assert np.abs(plan.flow().w[-1] - fb.bregman_projection(X, y, fb.potentials.entropy).w).max() < 1e-9
    with pytest.raises(fb.NoTheorem, match="metric"):
        plan.limit()
    with pytest.raises(TypeError, match="MAP_AT"):
        m.natural_gradient(fb.norms.l2.norm, ETA)


def test_proposition_2a_momentum_in_one_step_only_changes_the_limit():
    A, b = fb.data.example(2)
    once = m.mirror_descent("entropy", 0.05, primal_momentum=[0.0, 0.5, 0.0])
    trace = fb.run(A, b, loss="squared", method=once, steps=3000 if JIT else 500)
    assert trace.log_loss[-1] < -50
    assert trace.gap(fb.bregman_projection(A, b, fb.potentials.entropy))[-1] > 1e-3


def test_reprs_say_what_is_run():
    assert repr(m.mirror_descent("entropy", 0.1, dual_momentum=0.5)) == \
        "mirror_descent(entropy, constant(0.1), dual_momentum=0.5)"
    assert "nesterov=0.1, …" in repr(m.gradient_descent([0.1, 0.2], nesterov=[0.1, 0.2]))
    assert "l1" in repr(m.steepest_descent(fb.norms.l1, fb.steps.power(1, 0.5)))
    assert "euclidean" in repr(fb.Plan(X, y, loss="squared", method=m.mirror_descent("euclidean", 0.1)))


@pytest.mark.long
def test_primal_momentum_comes_to_rest():
    """With z = ∇ψ(w) kept in the state; recomputed from w at every step, these runs drift along the minima for ever."""
    A, b = fb.data.example(2)
    for eta, beta, gamma in ((0.02, 0.7, 0.7), (0.03, 0.6, 0.0), (0.05, 0.5, 0.0)):
        method = m.mirror_descent("entropy", eta, primal_momentum=beta, nesterov=gamma)
        trace = fb.run(A, b, loss="squared", method=method, steps=1_000_000)
        assert trace.status == fb.Status.STALLED, (eta, beta, gamma)
