"""What whole runs cost: ten million steps, fast-forward from scratch, and a plan made for one step."""
import numpy as np
import pytest

import fastbias as fb

m = fb.methods


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


@pytest.mark.parametrize("gram", [False, True], ids=["parameters", "gram"])
def bench_run_overhead(benchmark, gram):
    """What ``run`` costs beside its kernel, whose one step takes some 0.1 µs, in parameters and in Gram space."""
    X, y = fb.data.random_regression(20, 50, rng=0)
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(1e-6), gram=gram)
    plan.run(1)
    benchmark(lambda: plan.run(1))


def bench_plan_overhead(benchmark):
    """Create, check, run one step, record."""
    X, y = fb.data.random_regression(20, 50, rng=0)
    method = m.gradient_descent(1e-6)
    benchmark(lambda: fb.Plan(X, y, loss="squared", method=method).run(1))
