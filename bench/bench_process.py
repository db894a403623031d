"""What import and first call cost: whole processes, with and without a filled disk cache."""
import os
import subprocess
import sys

import pytest

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

    benchmark.pedantic(process, rounds=3 if cache == "warm" else 1, warmup_rounds=cache == "warm")
