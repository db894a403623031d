"""What separability and maximum margins of many rows cost; with ``-m "full or not full"`` at the sizes of real data.

Each answer must be certified, or it is no time. Curves, memory and scikit-learn: ``python -m bench.oracles``.
"""
import pytest

from bench import oracles

QUICK, FULL = ((2_000, 20), (10_000, 50)), ((100_000, 200), (1_000_000, 50))
CASES = [(task, kind) for task in oracles.TASKS for kind, (_, wrong) in oracles.KINDS.items()
         if task == "separability" or not wrong]


@pytest.mark.parametrize("size", [*QUICK, *(pytest.param(s, marks=pytest.mark.full) for s in FULL)],
                         ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize(("task", "kind"), CASES, ids=lambda word: word)
def bench_oracle(benchmark, task, kind, size):
    """One question to one oracle."""
    X, y = oracles.data(kind, *size)
    told = benchmark.pedantic(oracles.ask, args=(task, X, y), rounds=1 if size in FULL else 3)
    assert told.certified
    benchmark.extra_info["gap"] = told.gap
