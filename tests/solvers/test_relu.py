"""ReLU networks of one input: the cost against its definition, the cheapest interpolant against programs and proofs."""
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

import fastbias as fb
from fastbias.solvers.relu import PiecewiseLinear, fit, network


def hinges(x, knots):
    """The features (N, 2K) [x − t]₊ and [t − x]₊ of networks with units of weight one at these knots."""
    away = np.subtract.outer(x, knots)
    return np.maximum(np.hstack([away, -away]), 0)


def cheapest(A, b, free):
    """Min Σ|α| s.t. Aα + free·s = b, s unbounded, by linear programming: the definition of R."""
    n = A.shape[1]
    found = linprog(np.append(np.ones(2 * n), np.zeros(free.shape[1])), A_eq=np.hstack([A, -A, free]), b_eq=b,
                    bounds=[(0, None)] * (2 * n) + [(None, None)] * free.shape[1], method="highs-ds")
    assert found.status == 0
    return found.fun, found.x[:n] - found.x[n:2 * n]


def balanced(alpha, knots):
    """Weights (a, b, c) with |a| = |b| of the units α of `hinges`."""
    size, sides = np.sqrt(np.abs(alpha)), np.repeat([1, -1], knots.size)
    return np.sign(alpha) * size, sides * size, -sides * size * np.tile(knots, 2)


def drawn(seed):
    """A random function, its knots at least 0.05 apart."""
    rng = np.random.default_rng(seed)
    K = int(rng.integers(1, 7))
    return PiecewiseLinear(rng.permutation(np.cumsum(rng.uniform(0.05, 1, K))) - 1, rng.normal(size=K),
                           rng.normal() * rng.integers(2), rng.normal())


def points(seed):
    """Points of several kinds: noise, convex, few bends, nearly a line; unsorted, some twice."""
    rng = np.random.default_rng(seed)
    N, kind = int(rng.integers(2, 15)), seed % 4
    x = rng.normal(size=N) * 10 ** rng.uniform(-2, 2)
    y = (rng.normal(size=N), x ** 2, np.abs(x) + 2 * x, 3 * x + 1e-3 * rng.normal(size=N))[kind]
    again = rng.integers(N, size=int(rng.integers(3)))
    return np.append(x, x[again]), np.append(y, y[again])


@pytest.mark.parametrize(("knots", "bends", "slope", "cost"), [
    ([0], [1], 0, 1), ([0], [2], -1, 2), ([], [], 1, 2), ([], [], 0, 0), ([-1, 0, 1], [1, -2, 1], 0, 4), ([3], [-1], 1, 1),
    ([0], [1], 1, 3), ([2, 2], [1, -1], 0, 0)])
def test_costs_known_by_hand(knots, bends, slope, cost):
    assert PiecewiseLinear(knots, bends, slope, 7).cost == cost


@pytest.mark.parametrize("seed", range(10))
def test_the_cost_against_numeric_derivatives(seed):
    f, x = drawn(seed), np.linspace(-3, 8, 551)
    first = np.diff(f(x)) / np.diff(x)
    assert f.cost == pytest.approx(max(np.abs(np.diff(first)).sum(), abs(first[0] + first[-1])), abs=1e-9)
    assert f.slopes[[0, -1]] == pytest.approx(first[[0, -1]], abs=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_the_cost_is_the_least_of_all_networks_that_make_the_function(seed):
    f = drawn(seed)
    knots = np.append(f.knots, [-2.0, 0.33, 7.0])                # units elsewhere could help, in pairs
    x = np.concatenate([knots, [-5.0, 9.0]])
    least, alpha = cheapest(hinges(x, knots), f(x), np.ones((x.size, 1)))
    assert least == pytest.approx(f.cost, abs=1e-9)
    a, b, c = balanced(alpha, knots)
    assert 0.5 * (a @ a + b @ b) == pytest.approx(least, abs=1e-9)
    back = network(a, b, c, f(x)[0] - network(a, b, c)(x)[0])
    assert back.cost == pytest.approx(f.cost, abs=1e-9)
    assert back(x) == pytest.approx(f(x), abs=1e-9)


@given(st.integers(0, 10**6))
def test_a_network_is_the_function_of_its_weights_and_costs_at_least_r(seed):
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, 8))
    b[rng.integers(8, size=2)] *= rng.integers(2)               # flat units
    c[1], b[1] = c[0] * 2, b[0] * 2                              # a common knot
    x = rng.normal(size=20) * 5
    f = network(a, b, c, 0.5)
    assert f(x) == pytest.approx([0.5 + sum(a * np.maximum(b * t + c, 0)) for t in x], abs=1e-12)
    assert f.cost <= np.abs(a * b).sum() * (1 + 1e-14)
    assert np.abs(a * b).sum() <= 0.5 * (a @ a + b @ b)
    signs = np.sign(a)
    for outer in (signs * np.abs(b), np.abs(b) * np.sign(b)):    # balanced, with distinct knots; with a b of one sign
        g = network(np.delete(outer, 1), np.delete(b, 1), np.delete(c, 1))
        assert g.cost == pytest.approx(np.delete(b, 1) @ np.delete(b, 1), rel=1e-12)
    g = network(np.sign(b) * np.abs(b), b, c)                    # … also with the common knot
    assert g.cost == pytest.approx(b @ b, rel=1e-12)


def test_a_unit_whose_knot_is_beyond_all_numbers_is_a_constant():
    f = network([2, 3, 5], [1e-320, 0, -1e-320], [1, 1, -1])
    assert f.knots.size == 0
    assert f([-1e5, 1e5]).tolist() == [5, 5]
    assert network([], [], [], 2)(3) == 2


@pytest.mark.parametrize("seed", range(24))
def test_the_interpolant_against_a_linear_program_with_knots_anywhere(seed):
    x, y = points(seed)
    found, size, height = fit(x, y), np.ptp(x), np.ptp(y)
    t, v = (x - x.min()) / size, y / height
    knots = np.concatenate([t, np.linspace(-0.5, 1.5, 41)])
    least, _ = cheapest(hinges(t, knots), v, np.ones((t.size, 1)))
    assert found.cost * size / height == pytest.approx(least, rel=1e-7)
    assert found.function(x) == pytest.approx(y, abs=1e-10 * height)
    assert found.certified
    assert found.function.cost == found.cost
    assert found.network(x) == pytest.approx(y, abs=1e-10 * height)
    assert found.network.cost == pytest.approx(found.cost, rel=1e-12)
    assert np.abs(found.network.weights * found.network.normals).sum() == pytest.approx(found.cost, rel=1e-12)


@pytest.mark.parametrize("seed", range(24))
def test_the_dual_proves_the_cost_in_exact_arithmetic(seed):
    """From p alone: ν with Σν = 0, |Σ ν_n [x_n − b]₊| ≤ 1 and |Σ ν_n [b − x_n]₊| ≤ 1 for all b, so that R(f) ≥ ⟨ν, y⟩."""
    x, y = points(seed)
    found = fit(x, y)
    values = {Fraction(a): (Fraction(b), Fraction(p)) for a, b, p in zip(x, y, found.dual, strict=True)}
    at = sorted(values)
    heights, p = [values[t][0] for t in at], [values[t][1] for t in at]
    falls = [0, *((p[i] - p[i + 1]) / (at[i + 1] - at[i]) for i in range(len(at) - 1)), 0]       # −p′
    nu = [falls[i] - falls[i + 1] for i in range(len(at))]
    assert sum(nu) == 0
    for b in (*at, *(Fraction(v) for v in np.linspace(2 * x.min() - 1, 2 * x.max() + 1, 50))):
        assert abs(sum(v * max(t - b, 0) for v, t in zip(nu, at, strict=True))) <= 1
        assert abs(sum(v * max(b - t, 0) for v, t in zip(nu, at, strict=True))) <= 1
    bound = float(sum(v * h for v, h in zip(nu, heights, strict=True)))
    assert found.cost == pytest.approx(bound, rel=1e-12)
    assert found.duality_gap <= 1e-13


@pytest.mark.parametrize("seed", range(12))
def test_no_other_interpolant_is_cheaper(seed):
    x, y = points(seed)
    found, rng, at = fit(x, y), np.random.default_rng(seed), np.unique(x)
    f = found.function
    for size in rng.normal(size=30) * found.cost:
        left, right, inside = rng.uniform(at[[0, -1, 0]] - [1, 0, 0], at[[0, -1, 1]] + [0, 1, 0])
        outside = PiecewiseLinear([right], [size])
        before = PiecewiseLinear([left], [size], -size, size * left)
        hat = PiecewiseLinear([at[0], inside, at[1]], size * np.array([1, -1, 0]) / (inside - at[0])
                              - size * np.array([0, 1, -1]) / (at[1] - inside))
        for change in (outside, before, hat):
            assert np.abs(change(x)).max() <= 1e-9 * abs(size) * np.ptp(x)
            other = PiecewiseLinear(np.append(f.knots, change.knots), np.append(f.bends, change.bends),
                                    f.slope + change.slope, f.offset + change.offset)
            assert other.cost >= found.cost * (1 - 1e-12)


def test_one_and_two_points_and_equal_values():
    one = fit([3], [5])
    assert (one.cost, one.certified, one.function([-1, 9]).tolist(), one.dual.tolist()) == (0, True, [5, 5], [0])
    two = fit([1, 0, 1], [1, 0, 1])
    assert (two.cost, two.certified, two.dual.tolist()) == (1, True, [0, 1, 0])
    assert two.function([-1, 0, 0.5, 1, 2]).tolist() == [-0.5, 0, 0.5, 1, 1.5]
    flat = fit([1, 2, 7], [2, 2, 2])
    assert (flat.cost, flat.certified, flat.function(100)) == (0, True, 2)


def test_units_and_order_do_not_matter():
    x, y = points(3)
    found = fit(x, y)
    for a, b in ((1e-150, 1e100), (-3, 7), (1e6, 1e-6)):
        other = fit(a * x[::-1], b * y[::-1])
        assert other.certified
        assert other.cost == pytest.approx(found.cost * abs(b / a), rel=1e-10)


def test_many_points_close_together():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(size=2000))
    found = fit(x, np.sin(9 * x) + rng.normal(size=2000))
    assert found.certified
    assert fit(np.append(x, x + 1e-13), np.tile(np.sin(9 * x), 2)).certified


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: fit([1, 2, 1], [0, 0, 3]), ValueError, "y must be one value at each x, got 0 and 3 at x = 1"),
    (lambda: fit([1, 2], [0]), ValueError, "y must be an .* with length 2, got length 1"),
    (lambda: fit([[[1, 2]]], [0]), ValueError, "X must be an"),
    (lambda: fit([1, np.nan], [0, 1]), ValueError, "X must be finite"),
    (lambda: fit([1e308, -1e308], [0, 1]), ValueError, "X must span at most 8e307, got -1e\\+308 and 1e\\+308"),
    (lambda: fit([], []), ValueError, "X must be .* not empty"),
    (lambda: fit([0, 1e-300], [0, 1e300]), ValueError, "y must rise and fall .* by slopes that fit into float64"),
    (lambda: PiecewiseLinear([1], [1, 2]), ValueError, "bends must be .* with length 1, got length 2"),
    (lambda: PiecewiseLinear([1], [1], "0"), TypeError, "slope must be"),
    (lambda: PiecewiseLinear([1], [1])([np.inf]), ValueError, "x must be finite"),
    (lambda: network([1], [1, 2], [1]), ValueError, "b must be .* with length 1"),
    (lambda: network([1], [1], [1], None), TypeError, "offset must be")])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_module_is_public():
    assert fb.relu.fit is fit
