"""What a run and update of a sweep cost, on one thread, in ``extra_info``: ``pytest bench/bench_sweep.py --benchmark-only``.

Plans are made and traces kept within the time: some 0.3 ms a run. "single" is the same with no plan let into a vector.
"""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastbias as fb
from fastbias.running import lanes


@pytest.mark.parametrize("size", [(1, 2), (4, 3), (8, 8)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize(("how", "count"), [("lanes", 1000), ("single", 50)])
def bench_sweep_of_step_sizes(benchmark, monkeypatch, how, count, size):
    rng = np.random.default_rng(0)
    X, w, steps = rng.normal(size=size), rng.normal(size=size[1]), 300_000
    grid = {"step_size": np.geomspace(1e-4, 1e-2, count)}
    if how == "single":
        monkeypatch.setattr(lanes, "MOST", 0)

    def descent(step_size):
        return fb.Plan(X, np.sign(X @ w), loss="exponential", method=fb.methods.gradient_descent(step_size))

    def run():
        with ThreadPoolExecutor(1) as one:
            assert all(trace.t[-1] == steps for trace in fb.sweep(descent, grid, steps=steps, record=2, executor=one))

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["ns per run and iteration"] = benchmark.stats.stats.min / count / steps * 1e9
