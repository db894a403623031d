"""Noise of labels and gradients, batches, clipping on every method, and gradients taken at other points."""
import itertools
import re

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

import fastbias as fb
from fastbias.engine import abi
from fastbias.engine.compiled import kernel
from fastbias.engine.drawing import draw, normal, uniform
from fastbias.running import lanes
from tests.helpers import JIT, naive, naive_tasks
from tests.helpers.problems import separable

m = fb.methods
STEPS = 1000 if JIT else 60
X, y = fb.data.random_regression(5, 4, rng=1, positive=True)
ETA = 0.1 / np.linalg.norm(X, 2) ** 2
ONES = np.ones(4)
U, T = separable(6, 4, 3)


@kernel
def fill(seed, k, first, kind, count, out):
    for i in range(out.size):
        out[i] = normal(seed, k, first + 2 * i) if kind == 0 else uniform(seed, k, first + i) if kind == 1 \
            else draw(seed, k, first + i, count)


def drawn(seed, k, first, size, kind=0, count=1):
    out = np.empty(size)
    with np.errstate(over="ignore"):                                     # (without the compiler)
        fill(float(seed), k, first, kind, count, out)
    return out


# --- the numbers ------------------------------------------------------------------------------------------------------

def test_numbers_are_those_of_the_counter():
    rng = np.random.default_rng(0)
    for seed, k in zip(rng.integers(2 ** 53, size=20), (0, 1, 2 ** 31, 2 ** 61, *rng.integers(2 ** 40, size=16)), strict=True):
        seed, k = int(seed), int(k)
        for first in (0, 2 ** 60, 2 ** 61):
            assert drawn(seed, k, first, 3, 1).tolist() == [naive_tasks.counted(seed, k, first + i) for i in range(3)]
            assert drawn(seed, k, first, 3, 2, 7).tolist() == [int(7 * naive_tasks.counted(seed, k, first + i)) for i in range(3)]
            assert drawn(seed, k, first, 3) == pytest.approx([naive_tasks.gaussian(seed, k, first + 2 * i) for i in range(3)],
                                                              rel=1e-13)


def test_noise_is_standard_normal_and_independent():
    size = 200 if JIT else 60
    xi = np.array([drawn(12345, k, 2 ** 61, size) for k in range(size)])
    n = xi.size
    assert abs(xi.mean()) < 4 / n ** 0.5
    assert abs((xi ** 2).mean() - 1) < 4 * (2 / n) ** 0.5
    assert abs((xi ** 4).mean() - 3) < 4 * (96 / n) ** 0.5
    assert stats.kstest(xi.ravel(), "norm").pvalue > 1e-3
    others = (drawn(12346, k, 2 ** 61, size) for k in range(size)), (drawn(12345, k, 2 ** 60, size) for k in range(size))
    for a, b in ((xi[:, 1:], xi[:, :-1]), (xi[1:], xi[:-1]), *((xi, np.array(list(x))) for x in others)):
        assert abs((a * b).mean()) < 4 / a.size ** 0.5                    # parameters, updates, seeds, labels


def test_each_sample_is_drawn_for_itself():
    N, batch = 7, 2
    sampling = m.sign_descent(0.1, batch=batch, replace="independent", rng=3).sampling
    order, counts, seen = np.full(2 * N + 1, -1), [], np.zeros(N)
    for k in range(3000 if JIT else 300):
        count = fb.engine.call.call(sampling.piece, sampling.params, k, order)
        counts.append(count)
        seen[order[:count]] += 1
        assert order[0] >= 0
        assert (np.diff(order[:count]) > 0).all()
    p, n = batch / N, len(counts)
    assert abs(seen / n - p).max() < 5 * (p * (1 - p) / n) ** 0.5
    assert abs(np.var(counts) / (N * p * (1 - p)) - 1) < 5 * (2 / n) ** 0.5
    assert min(counts) == 0


# --- iterates ---------------------------------------------------------------------------------------------------------

CASES = [
    m.gradient_descent(ETA, 0.5, 0.2, label_noise=0.3, rng=1), m.gradient_descent(ETA, gradient_noise=0.3, rng=2),
    m.gradient_descent(ETA, batch=2, label_noise=0.3, gradient_noise=0.2, clip=3.0, rng=3),
    m.gradient_descent(ETA, batch=2, replace="independent", rng=4), m.gradient_descent(ETA, clip=1.0),
    m.gradient_descent(ETA, 0.3, weight_decay=0.1, gradient_noise=0.1, rng=5),
    m.mirror_descent("entropy", ETA, dual_momentum=0.3, label_noise=0.2, gradient_noise=0.1, rng=6),
    m.mirror_descent("entropy", ETA, batch=2, replace=False, label_noise=0.1, clip=2.0, rng=7),
    m.natural_gradient("entropy", ETA, batch=3, gradient_noise=0.1, rng=8),
    m.steepest_descent(fb.norms.lp(3.0), ETA, batch=2, replace=False, label_noise=0.1, rng=9),
    m.steepest_descent("l2", 1e-3, normalised=True, label_noise=0.5, rng=10),
    m.coordinate_descent(ETA, batch=2, gradient_noise=0.1, rng=11), m.stagewise(1e-3, label_noise=0.1, rng=12),
    m.adagrad(0.01, batch=2, gradient_noise=0.1, rng=13), m.adam(1e-3, label_noise=0.2, batch=3, rng=14),
    m.rmsprop(1e-3, gradient_noise=0.3, clip=1.0, rng=15), m.sign_descent(1e-3, batch=1, rng=16),
    m.sharpness_aware(m.gradient_descent(ETA), 0.1), m.sharpness_aware(m.gradient_descent(ETA, 0.6, 0.4), 0.3, "linf"),
    m.sharpness_aware(m.gradient_descent(ETA), 0.1, "l1"),
    m.sharpness_aware(m.gradient_descent(ETA, batch=1, rng=1), 0.1), m.sharpness_aware(m.gradient_descent(ETA), 0.2, per_sample=True),
    m.sharpness_aware(m.gradient_descent(ETA, 0.5, batch=2, replace=False, rng=2), 0.2, per_sample=True),
    m.sharpness_aware(m.gradient_descent(ETA), 0.2, fb.norms.lp(3.0), True, batch=2, replace="independent", rng=2),
    m.sharpness_aware(m.mirror_descent("entropy", ETA), 0.05), m.sharpness_aware(m.adam(1e-3), 0.1, clip=2.0),
    m.sharpness_aware(m.gradient_descent(ETA), 0.1, label_noise=0.1, gradient_noise=0.1, clip=1.0, rng=3),
]


@pytest.mark.parametrize("method", CASES, ids=lambda x: f"{CASES.index(x)} {x!r}"[:90])
def test_iterates_equal_the_twin(method):
    # at a minimum the way up is that of a rounding, and what comes of it chaos: one at infinity is never met
    A, b, loss = (X, y, "squared") if method.point is None else (U, T, "exponential")
    plan = fb.Plan(A, b, loss=loss, method=method, gram=False)
    steps = STEPS if "l1" not in repr(method) else STEPS // 10            # where two entries are as large, chaos
    u = plan.run(steps, record=np.arange(steps + 1)).u
    wanted = naive.twin(method, A, b, loss, plan.problem.start, steps)
    assert np.abs(u - wanted).max() <= 1e-12 * np.abs(wanted).max()
    assert np.abs(u[-1] - u[0]).max() > 1e-3


def by_hand(noise, gradient, u, eta, steps, N, uphill=None, each=False):
    """Gradient descent u⁺ = u − η g by a function of (u, rows, k)."""
    yield u
    for k in range(steps):
        rows, g = noise.samples(k), 0 * u
        for some in ([[n] for n in rows] if each else [rows]):
            at = u if uphill is None else u + uphill(gradient(u, some, k))
            g = g + gradient(at, some, k)
        u = u - eta * noise.gradient(g, k)
        yield u


def spherical(rho):
    return lambda g: rho * g / np.linalg.norm(g) if g.any() else g


DIAGONAL = [
    ({"label_noise": 0.2, "gradient_noise": 0.05, "rng": 3}, None, False), ({"batch": 2, "replace": False, "clip": 1.0, "rng": 3}, None, False),
    ({}, 0.1, False), ({"batch": 2, "rng": 1, "label_noise": 0.1}, 0.1, False), ({}, 0.1, True),
]


@pytest.mark.parametrize(("given", "rho", "each"), DIAGONAL)
def test_iterates_of_a_diagonal_network_equal_the_twin(given, rho, each):
    steps, start, eta, labels = STEPS, np.linspace(0.5, 1, 8), 0.2 * ETA, rho is not None
    A, b = (U, T) if labels else (X, y)
    method = m.gradient_descent(eta, **given)
    noise = naive.Noise(len(A), **naive.shared(method))
    if labels:
        method = m.sharpness_aware(method, rho, per_sample=each)

    def gradient(u, rows, k):
        v, w, seen = u[:4], u[4:], noise.labels(b, k, labels=labels)[rows]
        p = A[rows] @ (v * w)
        g = A[rows].T @ (-seen * np.exp(-seen * p) if labels else 2 * (p - seen))
        return np.concatenate([g * w, g * v])
    wanted = np.array(list(by_hand(noise, gradient, start, eta, steps, len(A), spherical(rho) if labels else None, each)))
    for B in (A, sp.csr_matrix(A)):
        plan = fb.Plan(B, b, loss="exponential" if labels else "squared", model=fb.models.diagonal(2), method=method, start=start)
        u = plan.run(steps, record=np.arange(steps + 1)).u
        assert np.abs(u - wanted).max() <= 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("each", [None, False, True])
@pytest.mark.parametrize("given", [{"label_noise": 0.4, "rng": 1}, {"label_noise": 0.3, "batch": 4, "gradient_noise": 0.1, "clip": 0.5, "rng": 2}])
def test_classes_are_told_wrongly_as_the_twin_says(given, each):
    rng = np.random.default_rng(0)
    A, labels, c = rng.normal(size=(7, 3)), np.array([0, 1, 2, 3, 1, 2, 0.0]), rng.uniform(0.5, 2, 7)
    method = m.gradient_descent(0.1, **given)
    noise = naive.Noise(7, **naive.shared(method))
    if each is not None:
        method = m.sharpness_aware(method, 0.1, per_sample=each)

    def gradient(u, rows, k):
        p = A[rows] @ u.reshape(4, 3).T
        q = np.exp(p) / np.exp(p).sum(1, keepdims=True) - np.eye(4)[noise.labels(labels, k, 4)[rows].astype(int)]
        return ((q * c[rows][:, None]).T @ A[rows]).ravel()
    wanted = np.array(list(by_hand(noise, gradient, np.zeros(12), 0.1, 100, 7, None if each is None else spherical(0.1), each)))
    found = [fb.Plan(B, labels, loss="cross_entropy", method=method, weights=c).run(100, record=np.arange(101)).u
             for B in (A, sp.csr_matrix(A))]
    for u in found:
        assert np.abs(u - wanted).max() <= 1e-12 * np.abs(wanted).max()
    told = np.array([noise.labels(labels, k, 4) for k in range(300)])
    assert abs((told != labels).mean() - given["label_noise"]) < 0.05
    assert {*told[:, 0]} == {0, 1, 2, 3}


def test_several_columns_weights_and_an_intercept_have_the_noise_of_the_twin():
    rng = np.random.default_rng(1)
    A, Y, c = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), rng.uniform(0.5, 2, 6)
    method = m.gradient_descent(0.01, label_noise=0.5, gradient_noise=0.1, rng=4)
    noise, ones = naive.Noise(6, **naive.shared(method)), np.column_stack([A, np.ones(6)])

    def gradient(u, rows, k):
        seen = noise.labels(Y.T, k, labels=False)                         # place c N + n
        return (2 * c * (u.reshape(2, 4) @ ones.T - seen) @ ones).ravel()
    wanted = np.array(list(by_hand(noise, gradient, np.zeros(8), 0.01, 50, 6)))
    for B in (A, sp.csr_matrix(A)):
        u = fb.Plan(B, Y, loss="squared", method=method, weights=c, intercept=True).run(50, record=np.arange(51)).u
        assert np.abs(u - wanted).max() <= 1e-12 * np.abs(wanted).max()


# --- gradients that are no number -------------------------------------------------------------------------------------

def step(method, w, loss="exponential"):
    """w⁺ − w on one sample x = 1, y = 1."""
    return fb.run([[1.0]], [1.0], loss=loss, method=method, start=[w], steps=1).w[-1, 0] - w


def test_noise_of_a_gradient_that_vanished_or_overflows():
    noise = m.gradient_descent(1.0, gradient_noise=0.25, rng=3)
    xi = 0.25 * naive_tasks.gaussian(noise.sampling.seed, 0, 2 ** 61)
    assert step(noise, 2000.0) == pytest.approx(xi, rel=1e-11)            # e^−2000 is 0
    wild = m.steepest_descent("l2", 1e-3, normalised=True, gradient_noise=0.25, rng=3)
    assert step(wild, 2000.0) == pytest.approx(1e-3 * np.sign(xi), rel=1e-8)
    assert step(wild, -2000.0) == pytest.approx(1e-3, rel=1e-8)           # e^2000 drowns it
    assert step(m.sign_descent(1e-3, gradient_noise=1e-300, rng=3), 2000.0) == pytest.approx(1e-3 * np.sign(xi), rel=1e-8)
    # (of the size of the gradient)
    assert step(noise, 1.0) == pytest.approx(np.exp(-1) + xi, rel=1e-12)


def test_clipping_of_a_gradient_that_vanished_or_overflows():
    clipped = m.gradient_descent(1.0, clip=0.5)
    assert step(clipped, -2000.0) == pytest.approx(0.5, rel=1e-11)
    assert step(clipped, 2.0) == pytest.approx(np.exp(-2), rel=1e-14)
    assert step(clipped, 3000.0) == 0.0
    scaled = m.gradient_descent(fb.steps.loss_scaled(0.5), clip=1e-3)
    assert step(scaled, 100.0) == pytest.approx(0.5, rel=1e-12)           # η/L · ∇L
    norm = 0.7
    trace = fb.run(U, T, loss="exponential", method=m.gradient_descent(1.0, clip=norm), steps=50, record=np.arange(51))
    lengths = np.linalg.norm(np.diff(trace.w, axis=0), axis=1)
    assert lengths.max() == pytest.approx(norm, rel=1e-14)
    assert lengths.min() < norm


def test_the_way_up_of_a_gradient_that_vanished():
    plain, sharp = m.steepest_descent("l2", 1e-3, normalised=True), m.steepest_descent("l2", 1e-3, normalised=True)
    sharp = m.sharpness_aware(sharp, 0.5)
    for w in (2000.0, -2000.0 if JIT else -600.0, 1.0):                   # (2.0 ** 2885 is an error without the compiler)
        assert step(sharp, w) == step(plain, w)
    assert step(m.sharpness_aware(m.gradient_descent(1.0), 0.5), 3.0) == pytest.approx(np.exp(-2.5), rel=1e-13)
    assert step(m.sharpness_aware(m.gradient_descent(1.0), 0.5), 1.0, "squared") == 0.0     # no way up where ∇L = 0


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_samples_on_their_own_are_added_up_where_their_gradients_are_an_age_apart(order):
    """e^600, 1 and e^−600 of the exponential loss, in any order: the first is all of the sum, and says which way to move."""
    rows = np.array([[-600.0, 0.0], [0.0, 1e-300], [600.0, 600.0]])[order]
    method = m.sharpness_aware(m.steepest_descent("l2", 0.5, True), 1e-9, per_sample=True)
    trace = fb.run(rows, np.ones(3), loss="exponential", method=method, start=[1.0, 0.0], steps=1)
    assert trace.w[-1] == pytest.approx([0.5, 0.0], abs=1e-12)


# --- going on ---------------------------------------------------------------------------------------------------------

SOME = [CASES[i] for i in (0, 2, 3, 7, 17, 22, 26)]


@pytest.mark.parametrize("method", SOME, ids=repr)
def test_a_run_that_is_cut_resumed_or_loaded_has_the_same_bits(method, tmp_path):
    make = lambda: fb.Plan(X, y, loss="squared", method=method)          # noqa: E731
    whole, cut, hand = make(), make(), make()
    trace = whole.run(50, record=np.arange(51))
    for steps in (1, 6, 13):
        cut.run(steps)
    cut.save(tmp_path / "plan.npz")
    loaded = fb.Plan.load(tmp_path / "plan.npz")
    assert loaded.run(30).u[-1].tobytes() == trace.u[-1].tobytes()
    assert repr(loaded.problem.method) == repr(method)
    none = abi.Records(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))
    for stop in (3, 50):
        assert fb.descend(hand.pieces, hand.params, X, y, hand.buffers, none, stop, -np.inf) == 0
    assert hand.u.tobytes() == trace.u[-1].tobytes()


@pytest.mark.skipif(not JIT, reason="Numba's compiler is off")
def test_threads_change_no_bit_of_noise():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(1100, 40)), rng.choice([-1.0, 1.0], 1100)
    for method in (m.gradient_descent(1e-4, label_noise=0.2, gradient_noise=1.0, rng=1),
                   m.adam(1e-3, gradient_noise=1.0, clip=5.0, rng=1), m.sharpness_aware(m.gradient_descent(1e-4), 0.1)):
        found = {fb.Plan(A, b, loss="logistic", method=method, threads=n).run(20).u[-1].tobytes() for n in (1, 2)}
        assert len(found) == 1


def test_ties_and_what_stands_before_them_have_seeds_of_their_own():
    for given in ({"batch": 2}, {"gradient_noise": 0.1}, {"batch": 2, "label_noise": 0.1}):
        method = m.coordinate_descent(0.1, "random", rng=5, **given)
        assert method.params[3] == m.coordinate_descent(0.1, "random", rng=5).params[3]       # what is drawn does not change ties
        assert method.sampling.seed != method.params[3]


def test_a_sweep_over_seeds_makes_runs_of_their_own():
    for method in (m.adam(0.01, gradient_noise=0.3, rng=0), m.sharpness_aware(m.gradient_descent(ETA, batch=2, rng=0), 0.1)):
        sweep = fb.sweep(fb.Plan(X, y, loss="squared", method=method), {"seed": [1, 2, 3, 2]}, steps=20)
        ends = [trace.w[-1].tobytes() for trace in sweep.traces]
        assert len(set(ends)) == 3
        assert ends[1] == ends[3]
    alone = fb.run(X, y, loss="squared", method=m.adam(0.01, gradient_noise=0.3, rng=2), steps=20)
    sweep = fb.sweep(fb.Plan(X, y, loss="squared", method=m.adam(0.01, gradient_noise=0.3, rng=0)), {"seed": [2]}, steps=20)
    assert alone.w[-1].tobytes() == sweep.traces[0].w[-1].tobytes()


def test_what_draws_nothing_is_as_it_was():
    for make in (lambda **k: m.gradient_descent(ETA, 0.5, **k), lambda **k: m.adam(0.01, **k), lambda **k: m.coordinate_descent(ETA, **k)):
        bits = {fb.run(X, y, loss="squared", method=make(**k), steps=70).u.tobytes()
                for k in ({}, {"label_noise": 0.0, "gradient_noise": 0, "clip": None, "rng": 3}, {"replace": False})}
        assert len(bits) == 1
    big = fb.run(X, y, loss="squared", method=m.gradient_descent(ETA, 0.5, clip=1e300), steps=70)
    assert big.u[-1] == pytest.approx(fb.run(X, y, loss="squared", method=m.gradient_descent(ETA, 0.5), steps=70).u[-1], rel=1e-13)


def test_the_trace_has_the_loss_of_the_labels_as_they_are():
    for method in (m.gradient_descent(ETA, label_noise=0.5, rng=1), m.sharpness_aware(m.gradient_descent(ETA), 0.3),
                   m.gradient_descent(ETA, gradient_noise=0.5, rng=1)):
        trace = fb.run(X, y, loss="squared", method=method, steps=10, record=np.arange(11))
        assert trace.log_loss == pytest.approx(np.log(((trace.w @ X.T - y) ** 2).sum(1)), rel=1e-12)
        flipped = fb.run(U, T, loss="exponential", method=m.gradient_descent(fb.steps.loss_scaled(0.05), label_noise=0.1, rng=1),
                         steps=5, record=np.arange(6))
        assert flipped.log_loss == pytest.approx(np.log(np.exp(-(flipped.w @ U.T) * T).sum(1)), rel=1e-12)


# --- what may not be claimed, or asked for ----------------------------------------------------------------------------

NOISY = [m.gradient_descent(0.01, label_noise=0.1, rng=1), m.gradient_descent(0.01, gradient_noise=0.1, rng=1),
         m.gradient_descent(0.01, clip=1.0), m.sharpness_aware(m.gradient_descent(0.01), 0.1),
         m.steepest_descent("l1", 0.01, batch=2, rng=1), m.adam(fb.steps.power(0.1, 0.5), eps=0.0, batch=2, rng=1),
         m.mirror_descent("cosh", 0.01, gradient_noise=0.1, rng=1),
         m.gradient_descent(0.01, batch=2, replace="independent", rng=1), m.coordinate_descent(0.01, label_noise=0.1, rng=2),
         m.gradient_descent(0.01, weight_decay=0.1, gradient_noise=0.1, rng=1)]


@pytest.mark.parametrize("method", NOISY, ids=repr)
def test_no_theorem_and_no_short_cut_speaks_of_it(method):
    for loss, A, b in (("exponential", U, T), ("squared", X, y), ("logistic", U, T)):
        plan = fb.Plan(A, b, loss=loss, method=method)
        for ask in (plan.limit, plan.max_step, lambda plan=plan: plan.limit(flow=True)):
            with pytest.raises(fb.NoTheorem, match="the nearest is the same"):
                ask()
        with pytest.raises(ValueError, match="its flow to be known"):
            plan.flow(1.0)
        with pytest.raises((fb.NoTheorem, LookupError)):
            plan.fast_forward(100.0)
        assert lanes.common(plan) is None
        with pytest.raises(ValueError, match="gram must be"):
            fb.Plan(np.hstack([X] * 8), y, loss="squared", method=method, gram=True)
    assert not plan.buffers.control[abi.BURST]
    assert bool(plan.buffers.control[abi.WATCH]) == (not method.random and method.constant)


def test_a_run_at_rest_goes_on_where_there_is_noise():
    for name in ("label_noise", "gradient_noise"):
        noisy = m.gradient_descent(0.1, **{name: 1e-3}, rng=1)
        trace = fb.run([[1.0, 0.0]], [0.0], loss="squared", method=noisy, steps=1000)
        assert trace.status == 0
        assert trace.t[-1] == 1000
    assert fb.run([[1.0, 0.0]], [0.0], loss="squared", method=m.gradient_descent(0.1, clip=1.0), steps=1000).status \
        == fb.Status.STALLED


def test_wide_data_stay_with_the_parameters():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(5, 40)), rng.normal(size=5)
    plain = fb.Plan(A, b, loss="squared", method=m.gradient_descent(1e-3)).run(20)
    for given in ({"clip": 1e300}, {"gradient_noise": 1e-300, "rng": 1}, {"label_noise": 1e-300, "rng": 1}):
        found = fb.Plan(A, b, loss="squared", method=m.gradient_descent(1e-3, **given)).run(20)
        assert found.w[-1] == pytest.approx(plain.w[-1], rel=1e-11)


@pytest.mark.parametrize(("given", "error", "words"), [
    ({"label_noise": -0.1}, ValueError, "label_noise must be"), ({"gradient_noise": np.nan}, ValueError, "gradient_noise must be"),
    ({"gradient_noise": "x"}, TypeError, "gradient_noise must be"), ({"label_noise": True}, TypeError, "label_noise must be"),
    ({"clip": 0}, ValueError, "clip must be"), ({"clip": np.inf}, ValueError, "clip must be"), ({"batch": 0}, ValueError, "batch must be"),
    ({"replace": "often"}, TypeError, "replace must be"), ({"replace": 1}, TypeError, "replace must be"),
    ({"rng": "x"}, TypeError, "rng must be"),
])
def test_bad_arguments_get_one_sentence(given, error, words):
    for factory in (m.gradient_descent, m.adam, m.sign_descent):
        with pytest.raises(error, match=words):
            factory(0.1, **given | ({"batch": 1} if "rng" in given else {}))


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="label_noise must be a probability, at most 1, for a loss of labels, got 1.5"):
        fb.Plan(U, T, loss="logistic", method=m.sign_descent(0.1, label_noise=1.5))
    fb.Plan(X, y, loss="squared", method=m.sign_descent(0.1, label_noise=1.5))
    with pytest.raises(ValueError, match="batch must be at most the number of samples 6, got 7"):
        fb.Plan(U, T, loss="logistic", method=m.sign_descent(0.1, batch=7))
    for given in ({"clip": 1.0}, {"gradient_noise": 0.1}, {"label_noise": 0.1}):
        with pytest.raises(ValueError, match="an exact line search wants full gradients"):
            fb.Plan(U, T, loss="exponential", method=m.gradient_descent(fb.steps.line_search(), **given))
    sharp = m.sharpness_aware(m.gradient_descent(0.1, batch=2, rng=1), 0.1)
    with pytest.raises(ValueError, match="an exact line search wants full gradients"):
        fb.Plan(U, T, loss="exponential", method=m.sharpness_aware(m.gradient_descent(fb.steps.line_search()), 0.1))
    with pytest.raises(ValueError, match="method must be one that is not sharpness-aware already"):
        m.sharpness_aware(sharp, 0.1)
    with pytest.raises(ValueError, match="label_noise must be given where all that is drawn is"):
        m.sharpness_aware(m.gradient_descent(0.1, batch=2, rng=1), 0.1, label_noise=0.1)
    for rho in (0, -1, np.nan):
        with pytest.raises(ValueError, match="rho must be"):
            m.sharpness_aware(m.gradient_descent(0.1), rho)
    with pytest.raises(TypeError, match="method must be one of fb.methods"):
        m.sharpness_aware("adam", 0.1)
    with pytest.raises(TypeError, match="per_sample must be"):
        m.sharpness_aware(m.gradient_descent(0.1), 0.1, per_sample=1)
    with pytest.raises(ValueError, match="norm must be one of 4 parameters"):
        fb.Plan(X, y, loss="squared", method=m.sharpness_aware(m.gradient_descent(0.1), 0.1, fb.norms.quadratic(np.eye(3))))
    with pytest.raises(TypeError, match="label_nois"):
        m.adam(0.1, label_nois=0.1)


def test_one_sample_one_parameter():
    for method in (m.gradient_descent(0.1, batch=1, label_noise=0.1, rng=1), m.adam(0.1, batch=1, replace="independent", rng=1),
                   m.sharpness_aware(m.gradient_descent(0.1), 0.1, per_sample=True), m.sign_descent(0.1, gradient_noise=1.0, rng=2)):
        trace = fb.run([[2.0]], [1.0], loss="squared", method=method, steps=30)
        assert trace.status in (0, fb.Status.STALLED)
        assert abs(2 * trace.w[-1, 0] - 1) < 0.7


def test_every_factory_takes_what_all_take_and_says_so():
    import inspect
    for name in m.__all__:
        if name == "Method":
            continue
        factory = getattr(m, name)
        known = inspect.signature(factory).parameters
        for shared in naive.SHARED:
            assert known[shared].default == naive.SHARED[shared]
            assert len(re.findall(rf"\n    (\w+, )*{shared}( : .*)?\n        ", factory.__doc__)) == 1
    assert [*itertools.islice(inspect.signature(m.gradient_descent).parameters, 7)] == [
        "step_size", "momentum", "nesterov", "batch", "replace", "rng", "weight_decay"]


def test_arguments_of_descend_that_do_not_fit_are_told_so():
    plan = fb.Plan(X, y, loss="squared", method=m.sharpness_aware(m.gradient_descent(ETA, batch=2, rng=1, label_noise=0.1), 0.1))
    none = abi.Records(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))

    def told(params=plan.params, **slots):
        control = plan.buffers.control.copy()
        for name, value in slots.items():
            control[getattr(abi, name)] = value
        return fb.descend(plan.pieces, params, X, y, plan.buffers._replace(control=control), none, 5, -np.inf)
    for slots in ({"LABELLED": 3}, {"LABELLED": 4}, {"LABELLED": -1}, {"AGAIN": -1}, {"AGAIN": 2 ** 40}, {"BATCH": 0}):
        assert told(**slots) == -5, slots
    sample = plan.params.sample
    for wrong in (sample[:2], sample[:5], np.where(np.arange(sample.size) == 5, 99.0, sample), np.where(np.arange(sample.size) == 5, np.nan, sample),
                  np.where(np.arange(sample.size) == 5, 0.0, sample)):
        assert told(plan.params._replace(sample=wrong.copy())) == -2
    assert told() == 0
