"""Margins with a free intercept: certificates recomputed in fractions, pairs of samples, linear programs, cases."""
import pickle
import warnings
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

import fastbias as fb
from fastbias.data.rows import signed
from fastbias.solvers import free, margins, narrow, separability
from fastbias.solvers.bounds import Bounds
from tests.helpers.marks import slow

N = fb.norms


def norms_of(shape, seed):
    """Every norm of w of this shape, some with numbers of their own."""
    rng, d = np.random.default_rng(seed), int(np.prod(shape))
    G, parts = rng.normal(size=(d, d)), np.array_split(rng.permutation(d), max(1, d // 2))
    vectors = [N.l1, N.l2, N.linf, *map(N.lp, (1.25, 1.5, 3, 5)), N.quadratic(G @ G.T + np.eye(d)), N.fourier(d),
               N.group([part.tolist() for part in parts])]
    return vectors + ([N.spectral(*shape), N.nuclear(*shape)] if len(shape) == 2 else [])


def problem(seed, classes=2):
    """Labels of a random affine classifier; samples of several kinds, so many classes at most."""
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(1, 6)), int(rng.integers(2, 20))
    X = rng.normal(size=(n, d))
    y = (X @ rng.normal(size=(classes, d)).T + rng.normal(size=classes)).argmax(axis=1)
    kind = seed % 4
    if kind == 1:
        X = X * 10.0 ** rng.uniform(-3, 3, size=d)
    elif kind == 2:
        X = X + 50 * rng.normal(size=d)
    elif kind == 3:
        X = np.round(8 * X) + 2000
    return X, y


def fractions(x):
    return [Fraction(v) for v in np.asarray(x, float).tolist()]


def proved(X, y, limit):
    """What (w, b) and λ prove of two classes, without rounding but in a norm: λ with each class's weights at ½."""
    rows, signs = [fractions(x) for x in X.reshape(len(X), -1)], [1 if v == max(y) else -1 for v in y]
    w, b, lam = fractions(limit.w.ravel()), Fraction(limit.intercept), fractions(limit.dual)
    lower = min(s * (sum(u * v for u, v in zip(w, row, strict=True)) + b) for s, row in zip(signs, rows, strict=True))
    weight = {s: sum(v for v, own in zip(lam, signs, strict=True) if own == s) for s in (1, -1)}
    pull = [sum(v * s * row[j] / (2 * weight[s]) for v, s, row in zip(lam, signs, rows, strict=True)) for j in range(len(w))]
    assert min(lam) >= 0
    assert float(weight[1] + weight[-1]) == pytest.approx(1, rel=1e-14)
    assert abs(float(weight[1] - weight[-1])) <= 1e-15
    return float(lower) / limit.norm(limit.w.ravel()), limit.norm.dual(np.array(pull, float))


def against_pairs(X, y, norm):
    """A certificate recomputed, and half the margin of x_i − x_j, i of the later label and j of the other one."""
    limit = fb.max_margin(X, y, norm, intercept=True)
    lower, upper = proved(X, y, limit)
    assert limit.certified
    assert (upper - lower) / upper <= 1e-10
    later = y == y.max()
    D = (X[later][:, None] - X[~later]).reshape(-1, *X.shape[1:])
    assert limit.margin == pytest.approx(fb.max_margin(D, np.ones(len(D)), norm).margin / 2, rel=1e-10)


@pytest.mark.parametrize("seed", range(40))
def test_two_classes_against_differences_of_pairs(seed):
    X, y = problem(seed)
    if len(set(y)) == 2:
        norms = norms_of(X.shape[1:], seed)
        against_pairs(X, y, norms[seed % len(norms)])


@slow
@pytest.mark.parametrize("seed", range(100))
def test_two_classes_in_every_norm(seed):
    X, y = problem(seed)
    for norm in norms_of(X.shape[1:], seed) if len(set(y)) == 2 else ():
        against_pairs(X, y, norm)


def test_predictors_that_are_matrices():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(9, 2, 3)) + 4, np.array([0, 1, 0, 1, 1, 0, 1, 0, 1])
    for norm in (N.l1, N.spectral(2, 3), N.nuclear(2, 3)):
        against_pairs(X, y, norm)


def by_linprog(X, y, ball):
    """The largest least margin of classes over the ℓ1 or the ℓ∞ ball, and any b, by scipy: w = u − v, u, v ≥ 0."""
    K, d = int(y.max()) + 1, X.shape[1]
    rows = [((np.arange(K) == a) * 1.0 - (np.arange(K) == c), x) for a, x in zip(y, X, strict=True)
            for c in range(K) if c != a]
    W, B = np.array([np.outer(e, x).ravel() for e, x in rows]), np.array([e for e, _ in rows])
    above = np.hstack([-W, W, -B, np.ones((len(W), 1))])
    inside = [[*np.ones(2 * K * d), *np.zeros(K + 1)]] if ball == "l1" else np.hstack(
        [np.eye(K * d), np.eye(K * d), np.zeros((K * d, K + 1))])
    found = linprog([*np.zeros(2 * K * d + K), -1.0], A_ub=np.vstack([above, inside]),
                    b_ub=[*np.zeros(len(W)), *np.ones(len(inside))],
                    bounds=[(0, None)] * (2 * K * d) + [(None, None)] * (K + 1))
    return -found.fun


def of_classes(X, y, norm):
    """A limit of classes, of which b and λ are looked at here."""
    limit = fb.max_margin(X, y, norm, intercept=True)
    K, scores = int(y.max()) + 1, X @ limit.w.T + limit.intercept
    own = scores[np.arange(len(y)), y]
    scores[np.arange(len(y)), y] = -np.inf
    size = np.abs(X).max() * np.abs(limit.w).sum()
    assert (own - scores.max(axis=1)).min() == pytest.approx(limit.margin, rel=1e-9, abs=1e-14 * size)
    weights = limit.dual.reshape(len(y), K - 1)
    out = np.array([weights[y == a].sum() for a in range(K)])
    into = np.array([sum(row[c - (c > a)] for row, a in zip(weights, y, strict=True) if a != c) for c in range(K)])
    assert np.abs(out - into).max() <= 1e-15
    assert (limit.support == np.flatnonzero((weights > 1e-9 * weights.max()).any(axis=1))).all()
    assert limit.w.shape == (K, X.shape[1])
    assert limit.intercept.shape == (K,)
    return limit


@pytest.mark.parametrize("seed", range(30))
def test_classes(seed):
    X, y = problem(seed, 4)
    y = np.unique(y, return_inverse=True)[1]
    if y.max() < 2:
        return
    norms = norms_of((int(y.max()) + 1, X.shape[1]), seed)
    assert of_classes(X, y, norms[seed % len(norms)]).certified
    for ball in ("l1", "linf"):
        limit = of_classes(X, y, ball)
        assert limit.certified
        if seed % 4 in (0, 3):                                   # (scipy's tolerances are no match for the others)
            assert limit.margin == pytest.approx(by_linprog(X, y, ball), rel=1e-6)


def test_classes_in_norms_of_matrices_against_conic_programs():
    cp = pytest.importorskip("cvxpy")
    X, y = problem(0, 3)
    for norm, face in ((N.l2, cp.norm), (N.spectral(3, X.shape[1]), cp.sigma_max), (N.nuclear(3, X.shape[1]), cp.normNuc)):
        W, b = cp.Variable((3, X.shape[1])), cp.Variable(3)
        above = [W[a] @ x + b[a] - W[c] @ x - b[c] >= 1 for x, a in zip(X, y, strict=True) for c in range(3) if c != a]
        program = cp.Problem(cp.Minimize(face(W, "fro") if norm is N.l2 else face(W)), above)
        program.solve(cp.CLARABEL)
        assert of_classes(X, y, norm).margin == pytest.approx(1 / program.value, rel=1e-6)


# Cases from the field, with values that were found without this library.
MCGILL = np.array([(3, 1), (2, 2), (4, 3), (3, 4), (0, 5), (1, 5), (5, 5), (1, 6), (2, 7), (3, 7), (1, 8), (0, 9), (2, 10),
                   (9, 0), (10, 0), (10, 1), (10, 3), (8, 4), (12, 4), (9, 5), (11, 5), (6, 6), (8, 6), (10, 6), (8, 7),
                   (9, 7), (8, 8), (5, 8), (5, 9), (7, 9)], float)
STATOLOGY = np.array([(3, 8), (3, 7), (4, 7), (4, 6), (3, 5), (2, 6), (5, 5), (8, 2), (9, 2), (9, 3), (9, 4), (8, 3), (9, 7),
                      (9, 4), (9, 4)], float)
SIX = np.array([(1, 0), (0.5, 1), (0.5, 1.5), (0, -1), (-1, 1), (0.5, -1)])
CASES = {                                                        # samples, labels, w and b with margins of one, the margin
    "a line between three": ([(1.5, 2.5), (2.5, 1.5), (2.5, 2.5)], [True, True, False], (-2, -2), 9, 8 ** -0.5),
    "six": (SIX, [1, 1, 1, -1, -1, -1], (1.6, 1.2), -0.6, 0.5),
    "two sets": (MCGILL, ["M"] * 13 + ["H"] * 17, (-4 / 3, -2 / 3), 11, 0.6708203932499369),
    "a table": (STATOLOGY, [0] * 7 + [1] * 8, (4 / 7, -1 / 7), -22 / 7, 7 / 17 ** 0.5)}


@pytest.mark.parametrize(("X", "y", "w", "b", "margin"), CASES.values(), ids=CASES)
def test_cases_from_the_field(X, y, w, b, margin):
    limit = fb.max_margin(X, y, intercept=True)
    assert limit.certified
    assert limit.margin == pytest.approx(margin, rel=1e-12)
    assert limit.w / limit.margin == pytest.approx(np.array(w), abs=1e-8)
    assert limit.intercept / limit.margin == pytest.approx(b, abs=1e-8)
    assert fb.separability(X, y, intercept=True)


def test_the_multipliers_of_support_vector_machines():
    limit = fb.max_margin(SIX, [1, 1, 1, -1, -1, -1], intercept=True)
    assert limit.alpha == pytest.approx(np.array([2, 0, 0, 0, 0.4, 1.6]), abs=1e-8)
    assert limit.support.tolist() == [0, 4, 5]
    assert fb.max_margin(SIX, [1, 1, 1, -1, -1, -1], "l1", intercept=True).alpha is None


def test_irises():
    data = pytest.importorskip("sklearn.datasets").load_iris()
    X, y = data.data[:100], data.target_names[data.target[:100]]
    limit = fb.max_margin(X, y, intercept=True)
    assert limit.certified
    assert limit.margin == pytest.approx(0.8175557692888, rel=1e-10)
    assert limit.classes.tolist() == ["setosa", "versicolor"]


def test_cases_without_an_intercept():
    """Where an item response goes, and the ℓ1 margin of boosted stumps, which an intercept does not make larger."""
    limit = fb.max_margin([(-2.9198130, 3.53239933), (-6.2479459, 7.37367588)], [0, 1])
    assert limit.w == pytest.approx(np.array([-0.76547475, -0.64346594]), abs=1e-8)
    assert limit.margin == pytest.approx(0.0379355339, abs=1e-10)
    stumps = np.where(np.arange(10)[:, None] < np.arange(0.5, 9), 1.0, -1.0)
    y = [1, 1, 1, -1, -1, -1, 1, 1, 1, -1]
    for intercept in (False, True):
        assert fb.max_margin(stumps, y, "l1", intercept=intercept).margin == pytest.approx(1 / 3, rel=1e-12)


def test_times_in_milliseconds():
    """Rounding at 1.6e12 is a thousandth of the margin's size; 1.6e12 + 4.5 and one half are in float64."""
    t, y = 1.6e12 + np.arange(10.0)[:, None], np.arange(10) >= 5
    for norm in ("l2", "l1", "linf", N.lp(3)):
        limit = fb.max_margin(t, y, norm, intercept=True)
        assert (limit.w.tolist(), limit.intercept, limit.margin) == ([1.0], -1.6e12 - 4.5, 0.5)
        assert limit.certified
        assert limit.duality_gap == 0
    found = fb.separability(t, y, intercept=True)
    assert found
    exact = [Fraction(float(found.w[0])) * Fraction(x) + Fraction(found.intercept) for x in t[:, 0].tolist()]
    assert [v > 0 for v in exact] == y.tolist()
    beside = np.column_stack([t, np.ones(10)])
    assert fb.separability(beside, y)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("norm", ["l2", "l1", "linf", N.lp(1.5)], ids=repr)
def test_what_is_certified_holds_for_the_intercept_as_it_is_rounded(norm, seed):
    """Far from 0 no float64 b may do: then it is not certified, and the gap says by how much."""
    rng = np.random.default_rng(seed)
    X, y = np.round(100 * rng.normal(size=(8, 2))), np.arange(8) % 2
    X[:, 0] += 150.0 * y
    if not fb.separability(X, y, intercept=True):
        X[:, 0] += 1000.0 * y
    for far in (0.0, 2.0 ** 20, 2.0 ** 44):
        limit = fb.max_margin(X + far, y, norm, intercept=True)
        lower, upper = proved(X + far, y, limit)
        assert (upper - lower) / upper <= limit.duality_gap + 1e-14
        assert limit.margin == pytest.approx(lower, rel=1e-13)
        assert limit.certified == (limit.duality_gap <= 1e-10)
        assert limit.certified or far > 2.0 ** 40


@pytest.mark.parametrize("norm", ["l2", "l1", "linf", N.lp(3)], ids=repr)
def test_seconds_since_1970(norm):
    """A step of float64's b is 2e-7 there: a w beside the maximiser is found that has none of it to pay for."""
    rng = np.random.default_rng(0)
    X, y = np.round(100 * rng.normal(size=(40, 3))), np.arange(40) % 2
    X[:, 0] += 500 * y
    near, far = fb.max_margin(X, y, norm, intercept=True), fb.max_margin(X + 1.6e9, y, norm, intercept=True)
    lower, upper = proved(X + 1.6e9, y, far)
    assert far.certified
    assert (upper - lower) / upper <= 1e-10
    assert far.margin == pytest.approx(near.margin, rel=1e-10)
    assert far.w == pytest.approx(near.w, abs=1e-9)


def test_roundings_of_intercepts_are_searched_exactly():
    """What is left of b − ⟨w, c⟩ in two floats is what it is in fractions, and less than it was."""
    rng = np.random.default_rng(1)
    w, b, c = rng.normal(size=(3, 4)), rng.normal(size=3), 1e9 * rng.normal(size=4)
    c[2] = 0.0

    def left(w):
        exact = [Fraction(v) - sum(x * s for x, s in zip(fractions(row), fractions(c), strict=True))
                 for row, v in zip(w, b.tolist(), strict=True)]
        return np.array([float(abs(v - Fraction(float(v)))) for v in exact])
    found = free.settled(w, b, c, 1e-10)
    assert np.abs(found / w - 1).max() <= 1e-10
    assert (left(found) <= 1e-4 * np.spacing(1e9)).all()
    high, low = free._less(np.array([b[0]]), np.zeros(1), w[:1, 0], c[0])
    assert Fraction(high[0]) + Fraction(low[0]) == Fraction(b[0]) - Fraction(w[0, 0]) * Fraction(c[0])


@pytest.mark.parametrize("seed", range(60))
def test_small_whole_numbers_against_linear_programs(seed):
    """Ties, duplicates and one to four classes: whether some (w, b) separates."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, size=(int(rng.integers(2, 9)), int(rng.integers(1, 4)))).astype(float)
    y = np.unique(rng.integers(0, rng.integers(2, 5), size=len(X)), return_inverse=True)[1]
    if y.max() == 0:
        return
    K = int(y.max()) + 1
    pairs = [((np.arange(K) == a) * 1.0 - (np.arange(K) == c), x) for a, x in zip(y, X, strict=True) for c in range(K) if c != a]
    Z = np.array([np.append(np.outer(e, x), e) for e, x in pairs])
    program = linprog([*np.zeros(Z.shape[1]), -1.0], A_ub=np.column_stack([-Z, np.ones(len(Z))]), b_ub=np.zeros(len(Z)),
                      bounds=[(-1, 1)] * (Z.shape[1] - K) + [(-50, 50)] * K + [(None, 1)])
    found = fb.separability(X, y, intercept=True)
    assert found.separable == (-program.fun > 1e-7)
    assert ("with an intercept" in fb.separability(X, y).reason) == (found.separable and not fb.separability(X, y).separable)


def test_separability_with_an_intercept():
    X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    found = fb.separability(X, [0, 1, 1], intercept=True)
    assert found.separable
    assert ((X @ found.w + found.intercept > 0) == [False, True, True]).all()
    told = fb.separability(X, [0, 1, 0], intercept=True)
    assert not told
    assert told.dual.tolist() == [0.25, 0.5, 0.25]               # balances, and Σ λ y x = 0
    assert (told.intercept, told.reason) == (0.0, "")
    three = fb.separability([[0.0], [1.0], [2.0]], [0, 1, 2], intercept=True)
    assert three.separable
    assert (three.w.shape, three.intercept.shape) == ((3, 1), (3,))
    assert (np.outer(range(3), three.w[:, 0]) + three.intercept).argmax(axis=1).tolist() == [0, 1, 2]


def test_that_an_intercept_separates_is_said_where_it_is_the_cause():
    X, y = [[1.0], [2.0], [3.0]], [0, 1, 1]
    assert "with an intercept the data are separable" in fb.separability(X, y).reason
    assert "with an intercept the data are separable: intercept=True" in str(fb.separability(X, y))
    for ask in (lambda: fb.max_margin(X, y), lambda: fb.diagnose(X, y, [1.0])):
        with pytest.raises(ValueError, match="with an intercept the data are separable: intercept=True"):
            ask()
    zero = fb.separability([[0.0], [2.0]], [0, 1])
    assert zero.reason == ("row 0 of X is all zeros, so its margin is 0 for every w. with an intercept the data are "
                           "separable: intercept=True")
    for labels in ([0, 1, 0], [1, 1, 1]):                        # not separable with b; of one label b alone would do
        X = [[1.0], [2.0], [3.0]] if 0 in labels else [[1.0], [-2.0], [3.0]]
        assert fb.separability(X, labels).reason == ""


def test_bad_input():
    X = [[1.0, 2.0], [3.0, 1.0]]
    for ask in (fb.separability, fb.max_margin):
        with pytest.raises(ValueError, match="labels must have two values or more for an intercept"):
            ask(X, [1, 1], intercept=True)
        with pytest.raises(TypeError, match="intercept must be"):
            ask(X, [0, 1], intercept="yes")
    with pytest.raises(ValueError, match="labels must have two values or more for an intercept"):
        fb.diagnose(X, [1, 1], [1.0, 0.0], intercept=0.0)
    with pytest.raises(TypeError, match="intercept must be"):
        fb.diagnose(X, [0, 1], [1.0, 0.0], intercept=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"intercept must .*3"):
        fb.diagnose([[0.0], [1.0], [2.0]], [0, 1, 2], [[0.0], [1.0], [2.0]], intercept=[1.0, 2.0])


def test_answers_are_kept_and_printed():
    limit = fb.max_margin(STATOLOGY, [0] * 7 + [1] * 8, intercept=True)
    again = pickle.loads(pickle.dumps(replace(limit, norm=None)))           # (norms are what cannot be pickled)
    assert (again.intercept, again.support.tolist()) == (limit.intercept, limit.support.tolist())
    assert f"intercept b = {limit.intercept!r}" in str(limit)
    assert "intercept" not in str(fb.max_margin([[1.0], [-1.0]], [1, 0]))
    three = fb.max_margin([[0.0], [1.0], [2.0]], [0, 1, 2], intercept=True)
    assert "intercepts b = [" in str(three)


def test_diagnosis_of_a_pair():
    X, y = problem(0)
    for name, p in (("l1", 1.0), ("linf", np.inf), ("l2", 2.0)):
        limit = fb.max_margin(X, y, name, intercept=True)
        found = fb.diagnose(X, y, 3 * limit.w, intercept=3 * limit.intercept)
        assert found.fractions[name] == pytest.approx(1, abs=1e-9)
        assert found.p_range[0] <= p * (1 + 1e-3)
        assert found.p_range[1] >= p * (1 - 1e-3)
        assert max(found.fractions.values()) <= 1 + 1e-9
    off = fb.diagnose(X, y, limit.w, intercept=limit.intercept + limit.margin / 2)
    assert off.fractions["l2"] == pytest.approx(0.5, abs=1e-9)
    # data with a margin through 0: held against b = 0 only, or against any b
    through = fb.max_margin(X := np.abs(X) + [[1.0] * X.shape[1]], np.ones(len(X)), "l2")
    y = np.where(np.arange(len(X)) % 2, 1, -1)
    one, any_b = (fb.diagnose(y[:, None] * X, y, through.w, intercept=b) for b in (None, 0.0))
    assert one.fractions["l2"] == pytest.approx(1, abs=1e-9)
    assert any_b.fractions["l2"] <= 1 + 1e-9


def test_diagnosis_of_classes():
    X, y = problem(8, 3)
    assert len(set(y)) == 3
    norm = N.spectral(3, X.shape[1])
    limit = fb.max_margin(X, y, norm, intercept=True)
    found = fb.diagnose(X, y, limit.w, intercept=limit.intercept + 5.0)      # what all share changes nothing
    assert found.fractions["spectral"] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf", N.lp(1.5), N.quadratic(np.arange(1.0, 11))], ids=repr)
def test_many_rows_are_as_all_at_once(norm, monkeypatch):
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(2500, 10)), rng.normal(size=10)
    y = X @ w > 0.4
    quick = fb.max_margin(X, y, norm, intercept=True)
    thin = fb.max_margin(sp.csr_array(X), y, norm, intercept=True)
    for module in (separability, margins):
        monkeypatch.setattr(module, "few", lambda rows: True)
    whole = fb.max_margin(X, y, norm, intercept=True)
    for limit in (quick, thin, whole):
        on, dual = limit.support, limit.dual[limit.support]
        lower, upper = proved(X[on], y[on], replace(limit, dual=dual / dual.sum()))
        assert limit.certified
        assert (upper - lower) / upper <= 1e-10
        assert (np.where(y, 1, -1) * (X @ limit.w + limit.intercept)).min() == pytest.approx(lower, abs=1e-14)
        assert limit.margin == pytest.approx(whole.margin, rel=1e-10)


def test_many_rows_of_classes():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(3000, 6)), rng.normal(size=(4, 6))
    y = (X @ W.T + rng.normal(size=4)).argmax(axis=1)
    limit = of_classes(X, y, "l2")
    assert limit.certified
    some = limit.support                                         # on their own these have the same margin
    assert fb.max_margin(X[some], y[some], "l2", intercept=True).margin == pytest.approx(limit.margin, rel=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_fractions_where_cancellation_hides_the_margin(classes):
    """The equations of support vectors with a metric that counts no intercept."""
    X, y = problem(4, classes)
    assert len(set(y)) == classes
    rows = signed(X, np.where(y == 1, 1.0, -1.0) if classes == 2 else y.astype(float), max(1, classes * (classes > 2)), True)
    limit = fb.max_margin(X, y, intercept=True)
    (w, lam), = narrow.solutions(rows.dense(), free.freely(N.l2, rows.free), limit.dual)
    best = Bounds(rows, free.freely(N.l2, rows.free))
    best.offer(w, lam)
    assert best.gap <= 1e-13
    assert best.lower == pytest.approx(limit.margin, rel=1e-12)


def test_whether_a_maximiser_is_unique_is_asked_of_w_alone():
    """Of three classes b may have room where w has none; (1, 1) against 0 has a face of maximisers in ℓ1."""
    tied = fb.max_margin([[0.0, 0.0], [1.0, 1.0]], [0, 1], "l1", intercept=True)
    assert tied.certified
    assert tied.hypotheses[0].holds is False
    for norm in ("l1", "linf"):
        for seed in range(0, 12, 4):
            X, y = problem(seed)
            later = y == y.max()
            D = (X[later][:, None] - X[~later]).reshape(-1, X.shape[1])
            assert (fb.max_margin(X, y, norm, intercept=True).hypotheses[0].holds
                    == fb.max_margin(D, np.ones(len(D)), norm).hypotheses[0].holds)


@pytest.mark.parametrize("scale", [1e-150, 1e150, 1e170, 1e-170])
def test_alpha_is_left_out_where_it_leaves_float64(scale):
    limit = fb.max_margin(np.array([[3.0, 0], [5, 1], [0, 0]]) * scale, [1, 1, 0], intercept=True)
    assert limit.certified
    # 2/9/scale²
    if scale in (1e-150, 1e150):
        assert limit.alpha == pytest.approx(np.array([2 / 9, 0, 2 / 9]) / scale / scale, rel=1e-12)
    else:
        assert limit.alpha is None


def test_no_warning_where_three_times_a_sample_overflows():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        limit = fb.max_margin([[1.6e308], [1.7e308]], [0, 1], intercept=True)
    assert limit.certified
    assert limit.margin == pytest.approx(0.05e308, rel=1e-13)
