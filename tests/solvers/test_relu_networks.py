"""Networks of several inputs as functions: values, kinks, and the least cost of all networks that make the function."""
import matplotlib.pyplot as plt
import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers.relu import Network, network


def drawn(seed, K=6, d=2):
    """a, b, c, of which some units share a hyperplane, from one side or the other."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=K), rng.normal(size=(K, d)), rng.normal(size=K)
    for k in range(0, K - 1, 2):
        t = (1.0, -2.0, -0.5)[int(rng.integers(3))]
        b[k + 1], c[k + 1] = t * b[k], t * c[k]
    return a, b, c


def cheapest(a, b, c):
    """Min Σ|p_H| + |q_H| + ‖r‖ over what each side of a hyperplane may have, and a line of gradient r/2: the definition."""
    import cvxpy as cp
    w, groups = b / np.linalg.norm(b, axis=1, keepdims=True), []
    for k in range(len(a)):
        same = next((g for g in groups if abs(abs(w[k] @ w[g[0]]) - 1) < 1e-9
                     and abs(c[k] / np.linalg.norm(b[k]) - np.sign(w[k] @ w[g[0]]) * c[g[0]] / np.linalg.norm(b[g[0]])) < 1e-9), None)
        groups.append([k]) if same is None else same.append(k)
    e = np.array([sum(a[k] * np.linalg.norm(b[k]) for k in g) for g in groups])
    p, q, r = cp.Variable(len(e)), cp.Variable(len(e)), cp.Variable(b.shape[1])
    normals = np.array([w[g[0]] for g in groups])
    program = cp.Problem(cp.Minimize(cp.norm1(p) + cp.norm1(q) + cp.norm(r)), [p + q == e, normals.T @ (p - q) + r == a @ b])
    return program.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_cost_is_the_least_of_all_networks_that_make_the_function(seed):
    a, b, c = drawn(seed, d=2 + seed % 2)
    f = network(a, b, c, 0.5)
    assert f.cost == pytest.approx(cheapest(a, b, c), rel=1e-8)
    assert f.cost <= np.abs(a) @ np.linalg.norm(b, axis=1) * (1 + 1e-14)
    assert f.counted == pytest.approx(np.abs(a) @ np.linalg.norm(np.column_stack([b, c]), axis=1), rel=1e-14)


@pytest.mark.parametrize("seed", range(6))
def test_the_same_function_by_other_units_costs_the_same(seed):
    """a[z]₊ = a z + a[−z]₊, and a line is two units."""
    a, b, c = drawn(seed)
    f, x = network(a, b, c), np.random.default_rng(seed).normal(size=(50, 2)) * 3
    assert f(x) == pytest.approx([sum(a * np.maximum(b @ p + c, 0)) for p in x], abs=1e-12)
    line = [a[0], -a[0]], [b[0], -b[0]], [5.0, 5.0]                       # a⟨b, x⟩ where |⟨b, x⟩| < 5, and two kinks far out
    g = network(np.concatenate([-a[:1] * 0, a[1:], a[:1], a[:1], -a[:1]]),
                np.vstack([b[:1], b[1:], -b[:1], b[:1], -b[:1]]), np.concatenate([c[:1], c[1:], -c[:1], c[:1], -c[:1]]))
    assert len(line) == 3
    assert g(x) == pytest.approx(f(x), abs=1e-11)
    assert g.cost == pytest.approx(f.cost, rel=1e-11)


def test_costs_known_by_hand():
    unit = [[0.6, 0.8]]
    assert network([3], unit, [1]).cost == pytest.approx(3)
    assert network([1, 1], [[1, 0], [-1, 0]], [0, 0]).cost == 2             # |x|
    assert network([1, -1], [[1, 0], [-1, 0]], [0, 0]).cost == 2            # x
    assert network([1, -1], [[1, 0], [1, 0]], [2, 2]).cost == 0             # nothing
    assert network([2, 2], [[1, 0], [0, 1]], [0, 0]).cost == 4
    assert network(np.zeros(0), np.zeros((0, 3)), np.zeros(0), 2)(np.zeros((4, 5, 3))).tolist() == np.full((4, 5), 2.0).tolist()
    assert network([1.0], [[0.0, 0.0]], [3.0])([[7, 8]]) == 3                # a flat unit
    assert network([1.0], [[0.0, 0.0]], [3.0]).cost == 0


def test_on_the_line_as_a_column_as_well():
    a, b, c = drawn(3, d=1)
    f, g, x = network(a, b, c, 1.0), network(a, b[:, 0], c, 1.0), np.linspace(-3, 3, 7)
    assert f(x[:, None]) == pytest.approx(g(x), abs=1e-13)
    assert f.cost == g.cost == g.function.cost
    assert (f.knots == g.knots).all()
    assert f.bends.size == g.kinks.bends.size == 3
    assert g(2.0) == pytest.approx(f([2.0]))


def test_kinks_are_where_it_bends():
    f = network([1, 2, -3], [[3, 4], [-6, -8], [1, 0]], [5, -10, 0])
    normals, shifts, bends = f.kinks
    assert normals.tolist() == [[0.6, 0.8], [1, 0]]
    assert shifts.tolist() == [1, 0]
    assert bends.tolist() == [25, -3]
    at = -0.6 * shifts[0], -0.8 * shifts[0]
    h = np.array([0.6, 0.8]) * 1e-4
    assert (f(at + h) + f(at - h) - 2 * f(at)) / 1e-4 == pytest.approx(25, rel=1e-6)


def test_plots():
    figure, (one, two) = plt.subplots(1, 2)
    try:
        assert network([1, 1], [1, -1], [0, 0.5]).plot(one) is one
        assert one.lines[0].get_ydata().min() == pytest.approx(0.5)
        assert network([1, 1], [[1, 0], [1, -1]], [0, 0.5]).plot(two, span=(-2, 2)) is two
        assert len(two.lines) == 2
        assert two.get_xlim() == (-2, 2)
        with pytest.raises(ValueError, match="one input or two to be drawn, got 3"):
            network([1], [[1, 2, 3]], [0]).plot(one)
        with pytest.raises(ValueError, match="span must rise, got 1 and 0"):
            network([1], [[1, 2]], [0]).plot(two, span=(1, 0))
        with pytest.raises(TypeError, match="ax must be a matplotlib Axes"):
            network([1], [[1, 2]], [0]).plot(3)
    finally:
        plt.close(figure)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: network([1], [[1, 2], [3, 4]], [1]), ValueError, "b must be .* with length 1, got length 2"),
    (lambda: network([1], [[]], [1]), ValueError, "b must have one input or more"),
    (lambda: network([1], [[[1]]], [1]), ValueError, "b must be"),
    (lambda: network([1e200], [[1e200, 0]], [1]), ValueError, "products within float64"),
    (lambda: network([1], [[np.nan, 0]], [1]), ValueError, "b must be finite"),
    (lambda: network([1], [[1, 2]], [1])([1, 2, 3]), ValueError, "x must have 2 numbers a point, got shape"),
    (lambda: network([1], [[1, 2]], [1]).knots, TypeError, "one of one input to have knots")])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_it_is_public():
    assert isinstance(fb.relu.network([1], [[1, 2]], [0]), Network)
    assert repr(fb.relu.network([1], [[1, 2]], [0])) == "<network of 1 units, 2 inputs>"
