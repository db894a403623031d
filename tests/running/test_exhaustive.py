"""The long versions, run by ``make exhaustive``: thousands of random problems, hundreds of interrupted runs."""
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fastbias as fb
from tests.helpers import naive
from tests.helpers.certificates import certified

pytestmark = pytest.mark.exhaustive


def test_projections_of_3000_random_problems_are_certified():
    worst = 0.0
    for seed in range(3000):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(1, 30))
        N = int(rng.integers(1, d + 1))
        X, y = fb.data.random_regression(N, d, rng, positive=True)
        X, y = X * (scale := 10 ** rng.uniform(-4, 4)), y * scale
        A = rng.normal(size=(d, d))
        for psi in (fb.potentials.euclidean, fb.potentials.entropy, fb.potentials.quadratic(A @ A.T + 0.1 * np.eye(d))):
            w0 = psi.to_primal(rng.normal(size=d))
            limit = fb.bregman_projection(X, y, psi, w0)
            assert limit.certified, (seed, psi)
            worst = max(worst, limit.duality_gap, certified(limit, X, y, psi, w0))
    print(f"worst residual of 9000 projections: {worst:.1e}")
    assert worst <= 1e-10


def test_theorems_1_and_1b_on_300_random_problems():
    worst, slow = 0.0, 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(2, 12))
        N = int(rng.integers(1, d))
        X, y = fb.data.random_regression(N, d, rng, positive=True)
        psi = (fb.potentials.euclidean, fb.potentials.entropy)[seed % 2]
        eta = 0.1 / np.linalg.norm(X, 2) ** 2
        method = fb.methods.mirror_descent(psi, eta, dual_momentum=0.5 * (seed % 3 > 0), nesterov=0.3 * (seed % 3 > 1))
        plan = fb.Plan(X, y, loss="squared", method=method, start=psi.to_primal(0.3 * rng.normal(size=d)))
        limit = plan.limit()
        trace = plan.run(20_000_000, until=-62)
        if trace.log_loss[-1] > -55:
            slow += 1                                          # too ill-conditioned to get there in so many steps
            continue
        worst = max(worst, trace.gap(limit)[-1] * min(1.0, float(np.linalg.svd(X)[1][-1])))
    print(f"worst distance from the projection, times σ_min: {worst:.1e}; {slow} of 300 runs too slow to count")
    assert slow <= 60
    assert worst <= 1e-10


def test_a_million_steps_equal_the_naive_twin():
    X, y = fb.data.random_regression(3, 5, rng=0)
    eta = 1e-7 / np.linalg.norm(X, 2) ** 2
    trace = fb.run(X, y, loss="squared", method=fb.methods.gradient_descent(eta, 0.5), steps=1_000_000)
    *_, w = naive.gradient_descent(X, y, np.zeros(5), eta, 1_000_000, 0.5)
    assert np.abs(trace.w[-1] - w).max() <= 1e-11 * np.abs(w).max()


@pytest.mark.parametrize("seed", range(40))
def test_ctrl_c_at_random_moments_loses_no_bit(seed):
    code = textwrap.dedent("""
        import sys, numpy as np, fastbias as fb
        X, y = fb.data.random_regression(4, 6, rng=0, positive=True)
        eta = 1e-9
        method = [fb.methods.gradient_descent(fb.steps.power(eta, .1), .5), fb.methods.natural_gradient("entropy", eta),
                  fb.methods.mirror_descent("entropy", [eta, eta / 2], dual_momentum=.5)][int(sys.argv[1]) % 3]
        plan, whole = (fb.Plan(X, y, loss="squared", method=method) for _ in range(2))
        whole.run(1)
        print("ready", flush=True)
        try:
            while True:
                plan.run(10**5)
        except KeyboardInterrupt:
            pass
        whole.run(plan.t - 1)
        print(plan.t, plan.u.tobytes() == whole.u.tobytes() and (plan.trace.u[-1] == plan.u).all())
    """)
    rng = np.random.default_rng(seed)
    with subprocess.Popen([sys.executable, "-c", code, str(seed)], stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ)) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            process.wait(rng.uniform(0.01, 0.6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        assert process.stdout.read().split()[-1] == "True"
