"""What a step of each method costs, and what import and first call cost: ``pytest bench --benchmark-only``.

The figure to read is the time divided by the number of steps in ``extra_info``; STALLED runs are refused, so that an
early end is never taken for speed.
"""
import os
import subprocess
import sys

import numpy as np
import pytest

import fastbias as fb

m = fb.methods
SIZES = [(4, 3), (20, 50), (100, 1000)]
METHODS = {
    "gd": lambda d: m.gradient_descent(1e-12),
    "nesterov": lambda d: m.gradient_descent(1e-12, 0.9, 0.9),
    "mirror-entropy": lambda d: m.mirror_descent("entropy", 1e-12),
    "mirror-dual-momentum": lambda d: m.mirror_descent("entropy", 1e-12, dual_momentum=0.9),
    "mirror-primal-momentum": lambda d: m.mirror_descent("entropy", 1e-12, primal_momentum=0.5),
    "natural-entropy": lambda d: m.natural_gradient("entropy", 1e-12),
    "steepest-l1": lambda d: m.steepest_descent("l1", 1e-12),
    "steepest-l1.5": lambda d: m.steepest_descent(fb.norms.lp(1.5), 1e-12),
    "steepest-linf": lambda d: m.steepest_descent("linf", 1e-12),
    "steepest-quadratic": lambda d: m.steepest_descent(fb.norms.quadratic(np.linspace(1, 2, d)), 1e-12),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("name", METHODS)
def bench_step(benchmark, name, size):
    N, d = size
    X, y = fb.data.random_regression(N, d, rng=0, positive=True)
    steps = max(100, int(2e7 / (N * d + 500)))
    if name == "steepest-quadratic":
        steps = max(100, steps // max(1, d // N))
    plan = fb.Plan(X, y, loss="squared", method=METHODS[name](d))

    def run():
        begun = plan.t
        trace = plan.run(steps, record=2)
        assert trace.t[-1] == begun + steps

    benchmark.extra_info["steps"] = steps
    benchmark(run)


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def bench_ten_million_steps(benchmark, loss):
    """10⁷ steps of gradient descent at (40, 10), which should take under ten seconds."""
    rng = np.random.default_rng(0)
    w, X = rng.normal(size=10), rng.normal(size=(40, 10))
    plan = fb.Plan(X, np.sign(X @ w), loss=loss, method=m.gradient_descent(0.01))
    plan.run(1)
    trace = benchmark.pedantic(lambda: plan.run(10_000_000, record=2), rounds=1)
    assert trace.t[-1] == 10_000_001


def bench_fast_forward(benchmark):
    """Log t = 10⁹ from scratch at (40, 10), which should take under half a second."""
    rng = np.random.default_rng(0)
    w, X = rng.normal(size=10), rng.normal(size=(40, 10))
    plan = fb.Plan(X, np.sign(X @ w), loss="exponential", method=m.gradient_descent(0.01))
    assert benchmark(lambda: plan.fast_forward(1e9)).log_t[-1] == 1e9


def bench_plan_overhead(benchmark):
    """Create, check, run one step, record."""
    X, y = fb.data.random_regression(20, 50, rng=0)
    method = m.gradient_descent(1e-6)
    benchmark(lambda: fb.Plan(X, y, loss="squared", method=method).run(1))


FIRST = ("import fastbias as fb; fb.run([[1, 2, 3]] * 4, [1] * 4, loss='squared', "
         "method=fb.methods.gradient_descent(.01), steps=10)")


@pytest.mark.parametrize("code", ["import fastbias", FIRST], ids=["import", "first-run"])
@pytest.mark.parametrize("cache", ["warm", "cold"])
def bench_process(benchmark, code, cache, tmp_path):
    """A whole process: import, or import and first run, with and without a filled disk cache."""
    count = iter(range(1000))

    def process():
        env = dict(os.environ)
        if cache == "cold":
            env["NUMBA_CACHE_DIR"] = str(tmp_path / str(next(count)))
        subprocess.run([sys.executable, "-c", code], check=True, env=env)

    benchmark.pedantic(process, rounds=3, warmup_rounds=cache == "warm")
