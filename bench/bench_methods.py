"""What a step of each method costs: ``pytest --benchmark-only``, and at all sizes with ``-m "full or not full"``.

The figure to read is ``ns_per_step`` in ``extra_info``; the seven methods that the C reference has carry ``c_ns_per_step``,
taken in turn with ours, and ``ratio_to_c``, where there is a compiler. A run that ends early (STALLED) is refused, so that
it is never taken for speed.
"""
import numpy as np
import pytest

import fastbias as fb
from bench import peers, timing
from bench.peers import ROWS, SIZES, C, Problem

SHORT = (4, 3), (20, 50), (100, 1000)                      # without -m full
GRAM_SIZES = (20, 50), (100, 1000)
SECONDS, ROUNDS = 0.02, 5
TINY = 1e-12                                               # a step size that comes to rest nowhere
SEVEN = {method.name: method for method in peers.METHODS}
m, norms = fb.methods, fb.norms


def halves(d):
    return [list(range(d // 2 or 1)), list(range(d // 2 or 1, d))][:min(2, d)]


def widest(d):
    """The most quadratic matrix of d entries."""
    rows = max(k for k in range(1, int(d ** 0.5) + 1) if d % k == 0)
    return rows, d // rows


OTHERS = {                                                 # loss, and the method for predictors in R^d
    "nesterov": ("squared", lambda d: m.gradient_descent(TINY, 0.9, 0.9)),
    "batch": ("exponential", lambda d: m.gradient_descent(TINY, batch=4, rng=0)),
    "mirror_hypentropy": ("exponential", lambda d: m.mirror_descent(fb.potentials.hypentropy(1.0), TINY)),
    "mirror_dual_momentum": ("squared", lambda d: m.mirror_descent("entropy", TINY, dual_momentum=0.9)),
    "mirror_primal_momentum": ("squared", lambda d: m.mirror_descent("entropy", TINY, primal_momentum=0.5)),
    "mirror_simplex": ("squared", lambda d: m.mirror_descent("entropy", TINY, constraint=([[1] * d], [1]))),
    "natural_entropy": ("squared", lambda d: m.natural_gradient("entropy", TINY)),
    "steepest_l1": ("squared", lambda d: m.steepest_descent("l1", TINY)),
    "steepest_linf": ("squared", lambda d: m.steepest_descent("linf", TINY)),
    "steepest_quadratic": ("squared", lambda d: m.steepest_descent(norms.quadratic(np.linspace(1, 2, d)), TINY)),
    "steepest_group": ("exponential", lambda d: m.steepest_descent(norms.group(halves(d)), TINY)),
    "steepest_normalised": ("exponential", lambda d: m.steepest_descent("l2", TINY, normalised=True)),
    "coordinate_average": ("exponential", lambda d: m.coordinate_descent(TINY, ties="average")),
    "coordinate_random": ("exponential", lambda d: m.coordinate_descent(TINY, ties="random", rng=0)),
    "stagewise": ("squared", lambda d: m.stagewise(TINY)),
    "adam": ("exponential", lambda d: m.adam(TINY)),
    "rmsprop": ("exponential", lambda d: m.rmsprop(TINY)),
    "adamw": ("exponential", lambda d: m.adamw(TINY)),
    "amsgrad": ("exponential", lambda d: m.adam(TINY, amsgrad=True, eps_inside_root=True)),
    "nadam": ("exponential", lambda d: m.nadam(TINY)),
    "adadelta": ("exponential", lambda d: m.adadelta(TINY)),
    "rmsprop_momentum": ("exponential", lambda d: m.rmsprop(TINY, momentum=0.9)),
    "sign": ("exponential", lambda d: m.sign_descent(TINY)),
    "signum": ("exponential", lambda d: m.signum(TINY)),
    "lion": ("exponential", lambda d: m.lion(TINY, weight_decay=0.1)),
    "steepest_momentum": ("exponential", lambda d: m.steepest_descent("l2", TINY, momentum=0.9)),
    "muon": ("exponential", lambda d: m.muon(TINY)),
    "dual_acceleration": ("exponential", lambda d: m.dual_acceleration()),
    "sharpness_aware": ("exponential", lambda d: m.sharpness_aware(m.gradient_descent(TINY), 0.1)),
    "projected": ("exponential", lambda d: m.projected(m.gradient_descent(TINY), "simplex")),
    "noise": ("exponential", lambda d: m.gradient_descent(TINY, label_noise=0.1, gradient_noise=TINY, clip=1.0, rng=0)),
}
sizes = pytest.mark.parametrize("size", [s if s in SHORT else pytest.param(s, marks=pytest.mark.full) for s in SIZES],
                                ids=lambda s: f"{s[0]}x{s[1]}")


def other(name, size):
    """A plan for one of OTHERS."""
    loss, make = OTHERS[name]
    problem, (N, d) = Problem(*size), size
    X = problem.X.reshape(N, *widest(d)) if name == "muon" else problem.X
    return fb.Plan(X, problem.y, loss=loss, method=make(d))


def race(benchmark, advance, reference=None):
    """Time advance(steps), and the reference in turn with it."""
    runners = {"": advance} if reference is None else {"": advance, "c_": reference}
    steps = {who: timing.calibrate(f, SECONDS) for who, f in runners.items()}
    best = dict.fromkeys(runners, np.inf)

    def once(who):
        best[who] = min(best[who], timing.seconds(runners[who], steps[who]) / steps[who] * 1e9)

    benchmark.pedantic(once, args=("",), setup=None if reference is None else lambda: once("c_"), rounds=ROUNDS)
    benchmark.extra_info |= {"steps": steps[""]} | {f"{who}ns_per_step": ns for who, ns in best.items()}
    if reference is not None:
        benchmark.extra_info["ratio_to_c"] = best[""] / best["c_"]


def against_c(benchmark, contender, name, size):
    method, problem = SEVEN[name], Problem(*size)
    eta, makers = method.eta(problem) * method.rest, peers.contenders(method, problem)
    if contender not in makers:
        pytest.skip(f"no {contender} here")
    race(benchmark, makers[contender](eta), makers[C](eta) if C in makers else None)


@sizes
@pytest.mark.parametrize("name", SEVEN)
def bench_seven(benchmark, name, size):
    """The methods that the C reference has."""
    against_c(benchmark, peers.FASTBIAS, name, size)


@pytest.mark.skipif(not peers.GRAM, reason="a plan has no keyword gram")
@pytest.mark.parametrize("size", GRAM_SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("name", SEVEN)
def bench_over_rows(benchmark, name, size):
    """The same, kept from Gram space."""
    against_c(benchmark, ROWS, name, size)


@sizes
@pytest.mark.parametrize("name", OTHERS)
def bench_other(benchmark, name, size):
    """All other methods, and the variants of these."""
    plan = other(name, size)
    race(benchmark, lambda steps: peers.proceed(plan, steps))
