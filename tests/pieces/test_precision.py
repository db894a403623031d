"""Parameters of few digits: rounded as fractions, float16 and float32 say, by chance without bias, and where runs freeze."""
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb
from fastbias.engine.compiled import kernel
from fastbias.engine.noise import rounded
from tests.helpers import JIT, naive
from tests.helpers.problems import separable

m = fb.methods
X, y = fb.data.random_regression(5, 4, rng=1, positive=True)
ETA = 0.1 / np.linalg.norm(X, 2) ** 2


@kernel
def kernel_rounding(bits, sample, k, u):
    rounded(bits, sample, k, u)


def rounding(bits, sample, k, u):
    with np.errstate(over="ignore"):                                     # (counters wrap; NumPy tells, without the compiler)
        kernel_rounding(bits, sample, k, u)


def neighbours(x, p):
    """The two numbers of p bits around x, and whether x is one of them, by fractions."""
    size, power = abs(Fraction(x)), 0
    while size >= 2 ** (power + 1):
        power += 1
    while size < Fraction(2) ** power:
        power -= 1
    unit = Fraction(2) ** (power + 1 - p)
    low = Fraction(x) // unit * unit
    return low, low + unit, unit


@pytest.mark.parametrize("p", [1, 2, 7, 8, 11, 24, 52, 53])
def test_the_nearest_number_of_p_bits_of_two_the_even_one(p):
    rng = np.random.default_rng(p)
    some = np.concatenate([rng.normal(size=200) * 10.0 ** rng.integers(-200, 200, 200), [1.0, -3.0, 0.1, 1.5, 2.5, -2.5, 255.5],
                           rng.integers(1, 999, 100) / 2.0])
    found = some.copy()
    rounding(p, np.zeros(2), 0, found)
    for x, r in zip(some, found, strict=True):
        low, high, unit = neighbours(x, p)
        below, above = Fraction(x) - low, high - Fraction(x)
        even = low if (low / unit) % 2 == 0 else high
        assert Fraction(r) == (low if below < above else high if above < below else even)
    odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    rounding(p, np.zeros(2), 0, odd)
    assert odd.tobytes() == np.array([0.0, -0.0, np.inf, -np.inf, np.nan]).tobytes()


def test_by_chance_to_one_of_the_two_and_right_on_average():
    x, p = 1.2345, 6
    low, high, _ = neighbours(x, p)
    u = np.full(100_000 if JIT else 2_000, x)
    rounding(-p, np.array([5.0, 0.0]), 3, u)
    assert set(u) == {float(low), float(high)}
    spread = float(high - low) / 2 / np.sqrt(u.size)
    assert abs(u.mean() - x) < 4 * spread
    again, other = np.full(u.size, x), np.full(u.size, x)
    rounding(-p, np.array([5.0, 0.0]), 3, again)
    rounding(-p, np.array([5.0, 0.0]), 4, other)
    assert again.tobytes() == u.tobytes() != other.tobytes()
    held = np.array([0.5, -1.25, 3.0, 0.0])                              # what has so few bits stays
    rounding(-p, np.array([5.0, 0.0]), 3, held)
    assert held.tolist() == [0.5, -1.25, 3.0, 0.0]


@pytest.mark.parametrize(("precision", "dtype"), [("float16", np.float16), ("float32", np.float32), (24, np.float32), (53, np.float64)])
def test_a_run_is_that_of_a_format(precision, dtype):
    u, rows = np.zeros(4), []
    for _ in range(200):
        rows.append(u)
        u = (u - ETA * 2 * X.T @ (X @ u - y)).astype(dtype).astype(float)
    found = fb.run(X, y, loss="squared", method=m.gradient_descent(ETA, precision=precision), steps=199, record=np.arange(200)).w
    assert found.tobytes() == np.array(rows).tobytes() or np.abs(found - rows).max() < 4e-16 * (dtype == np.float64)


METHODS = [m.gradient_descent(ETA, 0.5, 0.2, precision=9), m.adam(1e-2, precision=9), m.natural_gradient("entropy", ETA, precision=10),
           m.coordinate_descent(ETA, precision=7), m.steepest_descent("l2", 1e-2, normalised=True, precision=8),
           m.sharpness_aware(m.gradient_descent(ETA), 0.1, precision=9),
           m.gradient_descent(ETA, batch=2, label_noise=0.1, precision=9, rounding="stochastic", rng=3)]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_iterate_has_so_few_bits_and_goes_on_bit_for_bit(method, tmp_path):
    bits = abs(method.sampling.bits)
    whole = fb.Plan(X, y, loss="squared", method=method)
    trace = whole.run(60, record=np.arange(61))
    held = trace.u[1:].copy()
    for row in held:
        rounding(bits, np.zeros(2), 0, row)
    assert held.tobytes() == trace.u[1:].tobytes()
    parts = fb.Plan(X, y, loss="squared", method=method)
    parts.run(23)
    parts.save(tmp_path / "p.npz")
    again = fb.Plan.load(tmp_path / "p.npz")
    assert again.run(37).u[-1].tobytes() == whole.u.tobytes()
    assert pickle.loads(pickle.dumps(method)).sampling == method.sampling
    assert f"precision={bits}" in repr(method)
    assert not method.exact


def test_lanes_and_gram_space_leave_them_alone():
    with pytest.raises(ValueError, match="gram must be"):
        fb.Plan(X, y, loss="squared", method=m.gradient_descent(ETA, precision=9), gram=True)
    method = m.gradient_descent(ETA, precision=9)
    plans = [fb.Plan(X, y, loss="squared", method=method, start=np.full(4, s)) for s in (0.0, 0.1, 0.2)]
    swept = fb.sweep(plans, steps=30)
    for plan, trace in zip(plans, swept.traces, strict=True):
        alone = fb.run(X, y, loss="squared", method=method, start=plan.problem.start, steps=30)
        assert alone.w[-1].tobytes() == trace.w[-1].tobytes()


def frozen_run(A, b, eta, p):
    """Where a run of p bits freezes: its t and w."""
    def plan():
        return fb.Plan(A, b, loss="exponential", method=m.gradient_descent(eta, precision=p))
    trace = plan().run(10_000_000)
    assert trace.status == fb.Status.STALLED                             # noticed some while after
    trace = plan().run(trace.t[-1], record=np.arange(trace.t[-1] + 1))
    return int(np.flatnonzero((trace.w != trace.w[-1]).any(axis=1))[-1]) + 1, trace.w[-1]


@pytest.mark.long
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("p", [8, 11, 14, 17])
def test_a_run_to_the_nearest_freezes_near_two_to_the_p(p, scale):
    """Once its step ŵ/t, ŵ of margin one, is under half a unit in the last place, which is 2^(−p−1) to 2^−p of w."""
    t, w = frozen_run([[scale]], [1.0], 0.02 / scale ** 2, p)
    assert 0.8 < t * w[0] * scale / 2 ** p < 2.2


@pytest.mark.long
def test_a_run_that_is_frozen_has_steps_under_half_a_unit_and_chance_goes_on():
    A, b = separable(12, 3, 4)
    t, w = frozen_run(A, b, 0.02, 11)
    step = 0.02 * (b * np.exp(-b * (A @ w))) @ A
    assert (abs(step) <= 2.0 ** (np.frexp(w)[1] - 12) * (1 + 1e-12)).all()
    chance = fb.run(A, b, loss="exponential", method=m.gradient_descent(0.02, precision=11, rounding="stochastic", rng=1), steps=30 * t)
    assert chance.status == fb.Status.OK
    assert (b * (A @ chance.w[-1])).min() > 1.3 * (b * (A @ w)).min()


def test_no_theorem_speaks_of_them():
    A, b = separable(6, 3, 1)
    plan = fb.Plan(A, b, loss="exponential", method=m.gradient_descent(0.01, precision="bfloat16"))
    with pytest.raises(fb.NoTheorem, match=r"freezes near t = 2\^p"):
        plan.limit()
    for ask in (lambda: plan.fast_forward(30.0), plan.flow):
        with pytest.raises((LookupError, ValueError)):
            ask()


@pytest.mark.parametrize(("given", "wanted"), [
    ({"precision": 0}, "precision must be a whole number >= 1, got 0"), ({"precision": 54}, "precision must be"),
    ({"precision": "half"}, "precision must be one of bfloat16, float16, float32, float64, got 'half'"), ({"precision": 8.5}, "precision must be"),
    ({"precision": 8, "rounding": "up"}, "rounding must be one of nearest, stochastic, got 'up'")])
def test_what_is_no_precision_is_told(given, wanted):
    with pytest.raises((ValueError, TypeError), match=re.escape(wanted)):
        m.adam(0.1, **given)


@pytest.mark.parametrize("make", [lambda **x: m.mirror_descent("entropy", 0.1, **x), m.dual_acceleration,
                                  lambda **x: m.mirror_descent("euclidean", 0.1, constraint=([[1.0, 1.0]], [1.0]), **x)])
def test_what_keeps_more_than_parameters_takes_none(make):
    with pytest.raises(ValueError, match="precision must be None for a method that keeps"):
        make(precision=8)


def test_the_twin_of_shared_arguments_knows_them():
    assert {"precision", "rounding"} <= set(naive.SHARED)
