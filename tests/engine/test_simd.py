"""The vectors of fastbias.engine.simd against mpmath and NumPy; without the compiler the same tests hold the NumPy twins."""
import mpmath
import numpy as np
import pytest

from fastbias.engine.abi import kernel
from fastbias.engine.lending import view
from fastbias.engine.simd import (
    absolute,
    choose_less,
    count4,
    count8,
    exp,
    fma,
    inverse_binade,
    lane,
    larger,
    largest,
    load4,
    load8,
    log,
    lowest_bit,
    most,
    near_inverse_cube_root,
    negative,
    power2,
    reaching,
    root,
    smaller,
    splat4,
    splat8,
    store,
    total,
    totals4,
    totals8,
)

RNG = np.random.default_rng(0)


@kernel
def exps(x, k0, out):
    for i in range(0, x.size, 8):
        store(out, i, exp(load8(x, i), k0))


@kernel
def exps4(x, k0, out):
    for i in range(0, x.size, 4):
        store(out, i, exp(load4(x, i), k0))


@kernel
def logs(x, out):
    for i in range(0, x.size, 8):
        store(out, i, log(load8(x, i)))


def units(got, exact):
    """The largest error in units of the last place of the exact value."""
    return max(abs(float((mpmath.mpf(float(g)) - e) / mpmath.mpf(float(np.spacing(abs(float(e)))))))
               for g, e in zip(got, exact, strict=True))


@pytest.mark.parametrize("k0", [0.0, 640.0, -384.0])
def test_exp_is_right_to_about_a_unit_in_the_last_place(k0):
    x = np.concatenate([RNG.uniform(-0.5, 0.5, 200), RNG.uniform(-700, 700, 200), [0.0, -0.0, 1e-300, 1e-17] * 2])
    x = x[np.abs(x / np.log(2) + k0) < 1020]
    x = x[:x.size // 8 * 8]
    got, four = np.empty_like(x), np.empty_like(x)
    exps(x, k0, got)
    exps4(x, k0, four)
    assert units(got, [mpmath.exp(mpmath.mpf(v)) * mpmath.mpf(2) ** int(k0) for v in x]) < 1.3
    assert got.tobytes() == four.tobytes()


def test_exp_at_the_ends_of_the_range():
    x = np.array([-708.3, -709.0, -1e4, -1e15, 709.0, 711.0, 1e6, 0.0])
    got = np.empty(8)
    exps(x, 0.0, got)
    assert got[0] == pytest.approx(np.exp(-708.3), rel=1e-15)
    assert (got[1:4] == 0).all()
    assert got[4] == pytest.approx(np.exp(709.0), rel=1e-15)
    assert np.isinf(got[5:7]).all()
    assert got[7] == 1.0
    exps(np.full(8, np.nan), 0.0, got)
    assert np.isnan(got).all()


def test_a_shift_is_an_exact_power_of_two():
    x, plain, shifted = RNG.uniform(-20, 20, 64), np.empty(64), np.empty(64)
    exps(x, 0.0, plain)
    exps(x, 256.0, shifted)
    assert (shifted == plain * 2.0 ** 256).all()
    exps(x - 1e5, 144384.0, shifted)                       # far below all numbers, and back
    exact = [mpmath.exp(mpmath.mpf(v - 1e5)) * mpmath.mpf(2) ** 144384 for v in x]
    assert units(shifted, exact) < 1.3


def test_log_is_right_to_about_a_unit_in_the_last_place():
    x = np.concatenate([RNG.uniform(0.5, 2, 400), 10 ** RNG.uniform(-300, 300, 400), 1 + RNG.uniform(-1e-9, 1e-9, 200)])
    got = np.empty_like(x)
    logs(x, got)
    assert units(got, [mpmath.log(mpmath.mpf(v)) for v in x]) < 1.3


@kernel
def everything(a, b, out):
    x, y, z = load8(a, 0), load8(b, 0), load4(a, 0)
    store(out, 0, x + y)
    store(out, 8, x - 2.0)
    store(out, 16, 2.0 / y)
    store(out, 24, fma(x, 3.0, y))
    store(out, 32, choose_less(x, y, x, 0.0))
    store(out, 40, larger(x, y))
    store(out, 48, smaller(x, y))
    store(out, 56, negative(absolute(x)) * root(absolute(y)))
    store(out, 64, totals8((x, y, x + 1.0, y * 2.0, x - y, x * y, absolute(x), splat8(lane(x, 3)))))
    store(out, 72, totals4((z, z + 1.0, splat4(2.0), count4())))
    store(out, 76, most(z))
    store(out, 80, most(x) + count8())
    store(out, 88, power2(count8() - 3.0))
    store(out, 96, absolute(x) * inverse_binade(absolute(x)))
    out[104], out[105], out[106] = total(x), largest(y), near_inverse_cube_root(abs(a[0]))
    bits = reaching(x, b[0])
    out[107], out[108] = bits, lowest_bit(bits | 32)
    part = view(a, 2, 5)
    out[109], out[110] = part.size, part[4]


def test_every_function_against_numpy():
    a, b = RNG.normal(size=8), RNG.normal(size=8)
    out = np.zeros(112)
    everything(a, b, out)
    lanes = out[:104].reshape(13, 8)
    four = a[:4]
    rows = [a + b, a - 2, 2 / b, 3 * a + b, np.where(a < b, a, 0), np.maximum(a, b), np.minimum(a, b),
            -np.abs(a) * np.sqrt(np.abs(b)),
            [a.sum(), b.sum(), a.sum() + 8, 2 * b.sum(), (a - b).sum(), (a * b).sum(), np.abs(a).sum(), 8 * a[3]],
            [four.sum(), four.sum() + 4, 8, 6, *[four.max()] * 4], a.max() + np.arange(8), 2.0 ** (np.arange(8) - 3)]
    for got, wanted in zip(lanes, rows, strict=False):
        assert got == pytest.approx(np.array(wanted, float), rel=1e-14, abs=1e-14)
    assert ((lanes[12] >= 0.5) & (lanes[12] < 1)).all()
    assert np.log2(lanes[12] / np.abs(a)) == pytest.approx(np.round(np.log2(lanes[12] / np.abs(a))), abs=1e-12)
    assert out[104] == pytest.approx(a.sum(), rel=1e-13)
    assert out[105] == b.max()
    assert out[106] == pytest.approx(abs(a[0]) ** (-1 / 3), rel=0.035)
    bits = int((a >= b[0]) @ 2 ** np.arange(8))
    assert out[107] == bits
    assert out[108] == min(i for i in range(8) if (bits | 32) >> i & 1)
    assert (out[109], out[110]) == (5, a[6])
