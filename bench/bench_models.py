"""What a step on each model costs: ``ns_per_step`` in ``extra_info``, and 5,000 steps of a completion as a whole.

Rectified units in the plane take turns with the C reference, ``c_ns_per_step`` and ``ratio_to_c``, where there is a compiler.

Completions show single entries of a matrix, so that their data go through the sparse pass; the others are dense.
"""
import numpy as np
import pytest

import fastbias as fb
from bench import peers, reference
from bench.bench_methods import ROUNDS, TINY, race

m, models = fb.methods, fb.models


def completion(n, seen, rank=5):
    """Entries of an (n, n) matrix of a rank, seen at random: X (seen, n, n) and y (seen,)."""
    rng = np.random.default_rng(0)
    places = rng.choice(n * n, size=seen, replace=False)
    X = np.zeros((seen, n * n))
    X[np.arange(seen), places] = 1.0
    return X.reshape(seen, n, n), (rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n))).ravel()[places]


CASES = {                                                  # model, N, loss, method
    "factorised_50": (models.factorised(50, 50), 750, "squared", m.gradient_descent(TINY)),
    "factorised_50_of_5": (models.factorised(50, 50, rank=5), 750, "squared", m.gradient_descent(TINY)),
    "symmetric_50": (models.symmetric(50), 750, "squared", m.gradient_descent(TINY)),
    "diagonal_2": (models.diagonal(2), 50, "exponential", m.gradient_descent(TINY)),
    "diagonal_2_signed": (models.diagonal(2, signed=True), 50, "squared", m.gradient_descent(TINY)),
    "diagonal_6": (models.diagonal(6), 50, "exponential", m.gradient_descent(TINY)),
    "convolutional_2": (models.convolutional(2), 50, "exponential", m.gradient_descent(TINY)),
    "convolutional_5": (models.convolutional(5), 50, "exponential", m.gradient_descent(TINY)),
    "deep_linear_3": (models.deep_linear(3), 50, "exponential", m.gradient_descent(TINY)),
    "relu_plane": (models.relu(np.random.default_rng(0).normal(size=(12, 2)), width=300, offset=False), 12, "exponential",
                   m.gradient_descent(TINY)),
    "products_20_of_3": (models.factorised(20, 20, depth=3), 200, "squared", m.gradient_descent(TINY)),
    "symmetric_20_signed": (models.symmetric(20, signed=True), 200, "squared", m.gradient_descent(TINY)),
    "grouped": (models.grouped(np.arange(50).reshape(10, 5)), 50, "exponential", m.gradient_descent(TINY)),
    "frozen": (models.frozen(models.diagonal(2), 0, np.ones(50)), 50, "exponential", m.gradient_descent(TINY)),
    "attention": (models.attention(np.random.default_rng(1).normal(size=(12, 8, 10))), 12, "exponential",
                  m.gradient_descent(TINY)),
    "weight_normalised": (models.weight_normalised, 50, "exponential", m.gradient_descent(TINY)),
    "relu": (models.relu(np.linspace(-1, 1, 50), width=100), 50, "squared", m.gradient_descent(TINY)),
}


def plan_of(name):
    """A plan for one of CASES, at a scaled identity; d = 100 where the model takes any."""
    model, N, loss, method = CASES[name]
    if model.shape is not None and len(model.shape) == 2:
        X, y = completion(model.shape[0], N)
    else:
        problem = peers.Problem(N, model.length or 100)
        X, y = np.eye(N) if model.length else problem.X, problem.y
    return fb.Plan(X, y, loss=loss, method=method, model=model, start=model.start(0.3, rng=None if model.identity else 0))


def in_c(name, plan):
    """The steps of a plan in C; None where they are not in the reference, or there is no compiler."""
    if name != "relu_plane" or reference.library() is None:
        return None
    return reference.Rectified(plan.problem.model.rectified, plan.problem.y, TINY, plan.u).run


@pytest.mark.parametrize("name", CASES)
def bench_model(benchmark, name):
    """A step on each model."""
    plan = plan_of(name)
    race(benchmark, lambda steps: peers.proceed(plan, steps), in_c(name, plan))


def bench_search(benchmark):
    """200 exact line searches on the same completion, from its start: where it comes to rest depends on nothing else."""
    X, y = completion(50, 750)
    model, method = models.factorised(50, 50), m.gradient_descent(fb.steps.line_search())

    def fresh():
        return (fb.Plan(X, y, loss="squared", method=method, model=model, start=model.start(0.3, rng=0)), 200), {}
    assert benchmark.pedantic(peers.proceed, setup=fresh, rounds=ROUNDS, warmup_rounds=1).t[-1] == 200
    if benchmark.stats:
        benchmark.extra_info["ns_per_step"] = benchmark.stats.stats.min / 200 * 1e9


def bench_completion(benchmark):
    """5,000 steps at n = rank = 50 with 750 entries of a matrix of rank 5, which should take under five seconds."""
    X, y = completion(50, 750)
    model = models.factorised(50, 50)
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.01), model=model, start=model.start(1e-3))
    plan.run(1)
    trace = benchmark.pedantic(lambda: plan.run(5000, record=2), rounds=1)
    assert trace.t[-1] == 5001
    assert trace.log_loss[-1] < -10
