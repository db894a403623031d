"""ReLU networks of least cost and of the largest margin: against cone programs, random units, closed forms, and their own proof."""
import dataclasses

import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers.relu.arrangement import count, independent, sign_vectors, whole
from fastbias.solvers.relu.certificate import interpolates, separates
from fastbias.solvers.relu.units import Units
from tests.helpers import relu as naive

GRID = np.array([[i, j] for i in range(3) for j in range(3)], float)


def solved(X, y, task):
    what, biases, offset = task
    return (fb.relu.fit if what == "fit" else fb.relu.margin)(X, y, biases=biases, offset=offset)


def holds(X, y, task, units=2000):
    """The answer, whose claims are shown again from the network and λ alone."""
    found, (what, biases, offset) = solved(X, y, task), task
    assert found.certified
    assert max(found.duality_gap, found.residual) <= 1e-10
    f, lam = found.network, found.dual
    V = np.column_stack([f.normals, f.shifts])
    assert naive.sizes(V, biases) == pytest.approx(1, abs=1e-12)
    assert np.abs(f.weights).sum() == pytest.approx(found.cost, rel=1e-12)
    V = np.vstack([V, naive.random_units(np.random.default_rng(0), X, biases, units)])
    if what == "fit":
        assert np.abs(f(X) - y).max() <= 1e-10 * np.abs(y).max()
        top, bound = 1.0, lam @ y
    else:
        assert (y * f(X)).min() == pytest.approx(1, abs=1e-10)
        assert (lam >= 0).all()
        assert lam.sum() == pytest.approx(1, abs=1e-10)
        assert found.margin == pytest.approx(1 / found.cost, rel=1e-14)
        lam, top, bound = lam * y, found.margin, found.cost
    assert np.abs(naive.dual_function(V, X, lam)).max() <= top * (1 + 1e-9)
    assert bound == pytest.approx(found.cost, rel=2e-10)
    if offset:
        assert abs(lam.sum()) <= 1e-13 * np.abs(lam).sum()
    else:
        assert f.offset == 0
    if biases == "free":
        assert f.cost == pytest.approx(found.cost, rel=1e-9)
    return found


@pytest.mark.parametrize("seed", range(14))
def test_random_problems(seed):
    X, y, _, task = naive.problem(seed, most=9 - 2 * (seed % 2))
    holds(X, y, task)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(14, 42))
def test_more_random_problems(seed):
    X, y, _, task = naive.problem(seed)
    holds(X, y, task, 20_000)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(200))
def test_two_hundred_random_problems(seed):
    X, y, _, task = naive.problem(seed)
    holds(X, y, task, 200_000)


def against_a_cone_program(seed, most):
    X, y, _, task = naive.problem(seed, most)
    y = y / np.abs(y).max()
    points, first = np.unique(X, axis=0, return_index=True)
    assert solved(X, y, task).cost == pytest.approx(naive.cone_program(points, y[first], task), rel=1e-8)


EASY = [s for s in range(200) if naive.KINDS[s // 2 % len(naive.KINDS)] not in ("shift", "small", "large")]   # for cone solvers


@pytest.mark.parametrize("seed", EASY[:4])
def test_the_cost_against_the_cone_program_of_pilanci_and_ergen(seed):
    against_a_cone_program(seed, 6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", EASY[:30])
def test_thirty_costs_against_cone_programs(seed):
    against_a_cone_program(seed, 9 if seed % 2 == 0 else 7)


@pytest.mark.parametrize("seed", range(8))
def test_points_on_a_line_cost_what_the_closed_form_says(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=7)
    y = (rng.normal(size=7), x ** 2, np.abs(x) + 2 * x, 3 * x + 1e-3 * rng.normal(size=7))[seed % 4]
    best = fb.relu.fit(x, y).cost
    for X in (x[:, None], np.outer(x, [0.6, 0.8]) + [5, 1]):
        found = fb.relu.fit(X, y)
        assert found.certified
        assert found.cost == pytest.approx(best, rel=1e-12)
    assert found.network.cost == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("X", [GRID, np.random.default_rng(0).normal(size=(6, 3)), np.arange(5.0)[:, None],
                               np.vstack([GRID * 0.1, [[0.05, 0.7]]]) + 1000])
def test_faces_are_all_there_and_each_once(X):
    Z, _ = whole(np.column_stack([X, np.ones(len(X))]))
    D = len(independent(Z))
    assert Z.shape[1] == D
    signs = sign_vectors(Z)
    assert len({tuple(s) for s in signs}) == len(signs) <= count(len(X), D)
    # Euler: Σ (−1)^dim over all faces is that of the whole space
    dims = [D - np.linalg.matrix_rank((Z[s == 0] / float(np.abs(Z).max())).astype(float), tol=1e-12) for s in signs]
    assert sum((-1) ** k for k in dims) == (-1) ** D
    v = np.random.default_rng(1).normal(size=(20_000, D)) * np.append(np.ones(D - 1), np.abs(X).max() or 1.0)
    v[:, -1] -= v[:, :-1] @ X.mean(axis=0)
    seen = np.sign(v @ np.column_stack([X, np.ones(len(X))]).T).astype(int)
    assert {tuple(s) for s in seen} <= {tuple(s) for s in signs}


def test_points_in_general_position_make_as_many_faces_as_counted():
    for N, d in ((8, 2), (6, 3), (4, 1)):
        Z, _ = whole(np.column_stack([np.random.default_rng(N).normal(size=(N, d)), np.ones(N)]))
        assert len(sign_vectors(Z)) == count(N, d + 1)
    assert [Units(np.random.default_rng(0).normal(size=(8, 2)), counted).faces for counted in (False, True)] == [168, 226]


@pytest.mark.parametrize(("d", "counted"), [(2, True), (2, False), (3, True), (3, False)])
def test_the_largest_dual_value_is_over_all_units_and_is_attained(d, counted):
    rng = np.random.default_rng(d)
    X, lam = rng.normal(size=(7, d)), rng.normal(size=7)
    lam -= 0 if counted else lam.mean()
    units = Units(X, counted)
    top = np.ldexp(units.largest(lam), units.power)
    assert units.largest(-lam) == units.largest(lam)                # the largest, and the smallest
    V = naive.random_units(rng, X, "counted" if counted else "free", 100_000)
    seen = np.abs(naive.dual_function(V, X, lam)).max()
    assert 0.98 * top <= seen <= top * (1 + 1e-12)


def test_a_proof_that_is_tampered_with_proves_nothing():
    X, y, _, _ = naive.problem(0, 8)
    X, y = np.unique(X, axis=0), y[:len(np.unique(X, axis=0))]
    found, units = fb.relu.fit(X, y), Units(X, False)
    f, lam = found.network, found.dual
    assert interpolates(units, f, lam, y, True).certified
    for other in (lam * 0.999, lam + 1e-6, -lam, 0 * lam, lam * np.nan, np.roll(lam, 1)):
        assert not interpolates(units, f, other, y, True).certified
    for change in ({"weights": f.weights * (1 + 1e-8)}, {"offset": f.offset + 1e-8}, {"shifts": f.shifts + 1e-8},
                   {"weights": np.append(f.weights, [1e-3, -1e-3]), "normals": np.vstack([f.normals, f.normals[[0, 0]]]),
                    "shifts": np.append(f.shifts, f.shifts[[0, 0]])}):
        assert not interpolates(units, dataclasses.replace(f, **change), lam, y, True).certified
    signs = np.where(np.arange(len(X)) % 2, 1.0, -1.0)
    best, units = fb.relu.margin(X, signs), Units(X, True)
    f, lam = best.network, best.dual
    assert separates(units, f, lam, signs, False).certified
    for other in (-lam, 0 * lam, lam * np.nan, np.roll(lam, 1), lam + 1e-6):
        assert not separates(units, f, other, signs, False).certified
    for a in (-f.weights, f.weights * 1.001, 0 * f.weights):
        assert not separates(units, dataclasses.replace(f, weights=a), lam, signs, False).certified


def test_free_biases_do_not_see_where_the_origin_is_nor_the_unit():
    X, y, _, _ = naive.problem(1, 7)
    best = fb.relu.fit(X, y)
    for scale, shift, turn in ((1e6, 0, 1), (1e-6, 3, 1), (1, 1e3, -1), (2.0 ** 40, 0, -1)):
        found = holds(X[::turn] * scale + shift * scale, y[::turn], ("fit", "free", True))
        assert found.cost * scale == pytest.approx(best.cost, rel=1e-10)


def test_ties_duplicates_and_points_of_a_plane():
    y = np.cos(2.3 * GRID[:, 0]) + GRID[:, 0] * GRID[:, 1] * 0.7 - 0.5 * GRID[:, 1] ** 2
    best = holds(GRID, y, ("fit", "free", True))
    twice = holds(np.vstack([GRID, GRID]), np.tile(y, 2), ("fit", "free", True))
    assert twice.cost == pytest.approx(best.cost, rel=1e-13)
    assert not twice.dual[9:].any()                                  # of equal points the first has the weight
    plane = holds(GRID @ [[0.6, 0.8, 0], [0, 0, 1]] + 2, y, ("fit", "free", True))
    assert plane.cost == pytest.approx(best.cost, rel=1e-12)
    signs = np.where((GRID.sum(axis=1) % 2) > 0, 1.0, -1.0)
    assert holds(GRID, signs, ("margin", "counted", False)).margin \
        == pytest.approx(holds(np.vstack([GRID[::-1], GRID]), np.append(signs[::-1], signs), ("margin", "counted", False)).margin)


@pytest.mark.long
@pytest.mark.parametrize("d", [20, 1000])
def test_of_few_points_features_may_be_many(d):
    """Units are then made of the points, however many directions none of them sees."""
    rng = np.random.default_rng(d)
    X, y = rng.normal(size=(2, d)), np.array([1.0, -2.5])
    found = holds(X, y, ("fit", "free", True))                        # a slope along their difference
    assert found.cost == pytest.approx(3.5 / np.linalg.norm(X[0] - X[1]), rel=1e-12)
    turn = np.linalg.qr(rng.normal(size=(d, 2)))[0].T
    points, values = rng.normal(size=(6, 2)), np.array([1.0, -1, 1, -1, -1, 1])
    for task in naive.TASKS:
        assert holds(points @ turn, values, task).cost == pytest.approx(solved(points, values, task).cost, rel=1e-10), task


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e200])
@pytest.mark.parametrize("task", naive.TASKS[1:5])
def test_points_of_sizes_far_from_one_are_certified_or_said_to_be_too_hard(scale, task):
    X, y, _, _ = naive.problem(0, 7)
    told = ""
    try:                                                               # (and nothing warns)
        found = solved(X * scale, np.sign(y), task)
        assert found.certified == (max(found.duality_gap, found.residual) <= 1e-10)
    except (ArithmeticError, ValueError) as error:
        told = str(error)
    assert not told or "too near to each other" in told or "float64" in told


def test_answers_known_by_hand():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, 2))
    affine = fb.relu.fit(X, X @ [3, 4] + 7)                           # one unit that all points see
    assert (affine.cost, affine.network.weights.size) == (pytest.approx(5, rel=1e-12), 1)
    for biases, offset in (("free", True), ("counted", True)):
        flat = fb.relu.fit(X, np.full(5, 2.0), biases, offset)
        assert (flat.cost, flat.certified, flat.network(X).tolist()) == (0, True, [2.0] * 5)
    assert fb.relu.fit(X, np.zeros(5), "counted", False).cost == 0
    for point, value in (([[1, 2]], 3.0), ([[1.0, 2.0], [1.0, 2.0]], 3.0)):
        one = fb.relu.fit(point, [value] * len(point), "counted", False)   # a unit along (x, 1)
        assert one.cost == pytest.approx(3 / np.sqrt(6))
        assert one.certified
        assert fb.relu.margin(point, [1] * len(point)).margin == pytest.approx(np.sqrt(6))
    assert fb.relu.margin([3.0], [-1]).margin == pytest.approx(np.sqrt(10))
    alone = fb.relu.margin(X, np.ones(5))
    assert alone.certified
    assert alone.margin >= 1                                           # the bias alone
    # biases counted on the line: ∫ √(1 + x²)|f″| of a hat (Boursier & Flammarion 2023)
    hat = fb.relu.fit([-1.0, 0.0, 1.0], [0.0, 1.0, 0.0], "counted")
    assert hat.certified
    assert hat.function([-1, 0, 1]) == pytest.approx([0, 1, 0], abs=1e-12)


def test_labels_keep_their_names():
    X = [[0, 0], [1, 1], [0, 1], [1, 0]]
    signs = fb.relu.margin(X, [-1, -1, 1, 1])
    named = fb.relu.margin(X, ["a", "a", "b", "b"])
    assert named.classes.tolist() == ["a", "b"]
    assert named.margin == signs.margin
    assert "certified, gap" in str(named)
    assert "of least cost" in str(fb.relu.fit(X, [0, 0, 1, 1]))
    assert fb.relu.margin(X, [-1, -1, 1, 1], "free", True).margin > signs.margin
    assert fb.relu.margin([0, 1, 2.0], [1, -1, 1], "free", True).function(1.0) == pytest.approx(-1)


X2 = [[0.0, 1.0], [-0.0, 1.0]]


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: fb.relu.fit(X2, [1, 2]), ValueError, r"y must be one value at each point of X, got 1 and 2 at \[0.0, 1.0\]"),
    (lambda: fb.relu.margin(X2, [1, -1]), ValueError, "labels must be the same at equal points of X"),
    (lambda: fb.relu.fit(X2, [1, 1], offset=False), ValueError, "offset must be True where biases are free"),
    (lambda: fb.relu.margin(X2, [1, 1], "free"), ValueError, "offset must be True where biases are free"),
    (lambda: fb.relu.fit(X2, [1, 1], "counts"), ValueError, "biases must be \"free\" or \"counted\", got 'counts'"),
    (lambda: fb.relu.fit(X2, [1, 1], "counted", 1), TypeError, "offset must be True or False"),
    (lambda: fb.relu.margin([[0, 1], [1, 1]], [1, 1], offset=True), ValueError, "labels must have two values where the offset"),
    (lambda: fb.relu.margin([[0, 1], [1, 1], [2, 2]], [0, 1, 2]), ValueError, "labels must have two values for a margin"),
    (lambda: fb.relu.fit(np.random.default_rng(0).normal(size=(99, 3)), np.ones(99)), ValueError,
     "X must cut the units into at most 100,000 faces, got 99 points of 3 features, which make up to 2,"),
    (lambda: fb.relu.fit(np.ones((2, 2, 2)), [1, 1]), ValueError, "X must be an"),
    (lambda: fb.relu.fit(np.ones((0, 2)), []), ValueError, "X must be .* not empty"),
    (lambda: fb.relu.fit([[np.inf, 0]], [1]), ValueError, "X must be finite"),
    (lambda: fb.relu.fit([[0.0, 1.0], [1e-200, 1.0]], [0, 1e200]), ValueError, "slopes that fit into float64")])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
