"""What a run and update of a sweep cost, on one thread, in ``extra_info``: ``pytest bench/bench_sweep.py --benchmark-only``.

"template": columns of numbers, no plan a run; "lanes": a plan a run, some 0.3 ms each, made within the time; "single": the
same with no plan let into a vector. ``python -m bench.bench_sweep [RUNS]`` prints seconds, CPU seconds and memory of a sweep
of a million runs of 10⁴ updates at (1, 2) on all cores.
"""
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastbias as fb
from fastbias.running import lanes

m = fb.methods
METHODS = {"adagrad": m.adagrad, "entropy": lambda eta: m.mirror_descent("entropy", eta), "sign": m.sign_descent,
           "coordinate": m.coordinate_descent, "average": lambda eta: m.coordinate_descent(eta, "average"),
           "linf": lambda eta: m.steepest_descent("linf", eta), "l1.5": lambda eta: m.steepest_descent(fb.norms.lp(1.5), eta),
           "l2 of length one": lambda eta: m.steepest_descent("l2", eta, normalised=True)}


@pytest.mark.parametrize("size", [(1, 2), (4, 3), (8, 8)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("how", ["template", "alone"])
def bench_methods_in_lanes(benchmark, how, name, size):
    """A template's runs in lanes, beside one run in the ordinary loop."""
    rng, count, steps = np.random.default_rng(0), 1000 if how == "template" else 1, 20_000
    X, w = rng.normal(size=size), rng.uniform(0.5, 1.5, size=size[1])
    plan = fb.Plan(X, np.sign(X @ w), loss="exponential", method=METHODS[name](1e-3), start=w, gram=False)
    grid = {"step_size": np.geomspace(1e-4, 1e-2, count)}

    def run():
        if how == "alone":
            plan.run(steps, record=2)
            return
        with ThreadPoolExecutor(1) as one:
            fb.sweep(plan, grid, steps=steps, record=2, executor=one)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["ns per run and iteration"] = benchmark.stats.stats.min / count / steps * 1e9


@pytest.mark.parametrize("size", [(1, 2), (4, 3), (8, 8)], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize(("how", "count"), [("template", 2000), ("lanes", 1000), ("single", 50)])
def bench_sweep_of_step_sizes(benchmark, monkeypatch, how, count, size):
    rng = np.random.default_rng(0)
    X, w, steps = rng.normal(size=size), rng.normal(size=size[1]), 100_000
    grid = {"step_size": np.geomspace(1e-4, 1e-2, count)}
    if how == "single":
        monkeypatch.setattr(lanes, "TINY", 0)

    def descent(step_size):
        return fb.Plan(X, np.sign(X @ w), loss="exponential", method=fb.methods.gradient_descent(step_size))
    plans = descent(1e-3) if how == "template" else descent

    def run():
        with ThreadPoolExecutor(1) as one:
            sweep = fb.sweep(plans, grid, steps=steps, record=2, executor=one)
            assert (sweep.to_pandas().t == steps).all()

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["ns per run and iteration"] = benchmark.stats.stats.min / count / steps * 1e9


def main(runs=1_000_000):
    """A sweep of step sizes and starts, each run of 10⁴ updates."""
    plan = fb.Plan([[1.0, 0.5]], [1.0], loss="exponential", method=fb.methods.gradient_descent(0.1))
    starts = np.random.default_rng(0).normal(size=(10, 2))
    fb.sweep(plan, {"step_size": [0.1]}, steps=64)         # compiled before the clock runs
    began, cpu = time.perf_counter(), time.process_time()
    sweep = fb.sweep(plan, {"step_size": np.geomspace(1e-3, 1.0, runs // 10), "start": starts}, steps=10_000, record=2)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    table = sweep.to_pandas("w") if runs <= 10_000 else sweep.to_pandas()
    assert (table.t == 10_000).all()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(sweep)} runs: {took:.1f} s, {cpu:.1f} CPU s, {peak:.2f} GiB at most")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
