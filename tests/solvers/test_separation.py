"""Three-valued separation: cases from the field, published tables, fractions, and maxima in forty digits."""
import csv
import dataclasses
import pathlib
import re
import warnings

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import fastbias as fb
from fastbias.solvers import likelihood, strict_rows
from fastbias.solvers.likelihood import Likelihood
from tests.helpers import cones as naive

TABLES = pathlib.Path(__file__).parent / "tables"


def table(name, delimiter=","):
    with open(TABLES / f"{name}.csv", newline="") as file:
        head, *rows = csv.reader(file, delimiter=delimiter)
    return head, rows


def numbers(name, delimiter=","):
    head, rows = table(name, delimiter)
    return head, np.array(rows, float)


def test_ucla_quasi():
    head, data = numbers("ucla_quasi")
    found = fb.separation(data[:, 1:], data[:, 0], names=head[1:])
    assert (found.kind, found.certified) == ("quasi", True)
    assert found.coefficients == {"X1": "+inf", "X2": "finite", "(intercept)": "-inf"}
    assert found.finite["X2"] == pytest.approx(-.12062572003262266, rel=1e-13)
    assert np.isnan([found.finite["X1"], found.finite["(intercept)"]]).all()
    assert found.log_likelihood == pytest.approx(-1.8895912629816989, rel=1e-14)
    assert found.strict.tolist() == [True, True] + [False] * 3 + [True] * 5
    assert found.whole.tolist() == [1, 0, -3]
    assert np.allclose([*found.direction, found.direction_intercept], np.array([1, 0, -3]) / 10**.5, rtol=1e-15)


@pytest.mark.parametrize(("labels", "sign"), [("case", "+inf"), ("none-case", "-inf")])
def test_silvapulle_either_way_round(labels, sign):
    _, rows = table("silvapulle1981")
    found = fb.separation([[float(x)] for _, x in rows], [kind == labels for kind, _ in rows], names=["ghqs"])
    assert (found.kind, found.coefficients["ghqs"]) == ("quasi", sign)
    assert -2 * found.log_likelihood == pytest.approx(2.772588722239781, rel=1e-14)
    assert [float(x) for (_, x), strict in zip(rows, found.strict, strict=True) if not strict] == [2.0, 2.0]


def test_endometrial_as_published():
    """Heinze & Schemper 2002; the table that R's glm and detectseparation print."""
    head, data = numbers("endometrial", ";")
    found = fb.separation(data[:, :3], data[:, 3], names=head[:3])
    assert (found.kind, found.certified) == ("quasi", True)
    assert found.coefficients == {"NV": "+inf", "PI": "finite", "EH": "finite", "(intercept)": "finite"}
    assert {k: round(v, 4) for k, v in found.finite.items() if k != "NV"} == {
        "PI": -.0422, "EH": -2.9026, "(intercept)": 4.3045}
    assert {k: round(v, 4) for k, v in found.standard_errors.items() if k != "NV"} == {
        "PI": .0443, "EH": .8456, "(intercept)": 1.6373}
    assert round(-2 * found.log_likelihood, 3) == 55.393
    assert np.array_equal(found.strict, data[:, 0] == 1)


def lizards():
    _, rows = table("lizards")
    X, y, counts = [], [], []
    for grahami, opalinus, height, diameter, light, time in rows:
        x = [height == ">=5ft", diameter == ">2in", light == "sunny", time == "late", time == "midday"]
        X, y, counts = [*X, x, x], [*y, 1, 0], [*counts, float(grahami), float(opalinus)]
    return np.array(X, float), np.array(y), np.array(counts)


LIZARDS = {"height_>=5ft": 1.129991, "diameter_>2in": -.762634, "light_sunny": .847276, "time_late": -.736812,
           "time_midday": .227111, "(intercept)": 1.097413}


def test_grouped_counts_are_weights():
    X, y, counts = lizards()
    found = fb.separation(X, y, names=list(LIZARDS)[:-1], weights=counts)
    assert (found.kind, found.certified) == ("overlap", True)
    assert {k: round(v, 6) for k, v in found.finite.items()} == LIZARDS
    again = fb.separation(np.repeat(X, counts.astype(int), axis=0), np.repeat(y, counts.astype(int)))
    assert again.log_likelihood == pytest.approx(found.log_likelihood, rel=1e-14)
    for mine, theirs in ((found.finite, again.finite), (found.standard_errors, again.standard_errors)):
        assert np.allclose(list(mine.values()), list(theirs.values()), rtol=1e-13)
    assert round(found.standard_errors["height_>=5ft"], 4) == .2571
    assert found.direction is found.direction_intercept is found.whole is None


def exactly(Z, weights=None, start=None):
    """The maximum-likelihood point in forty digits, from a start nearby, by Newton's method."""
    mp.mp.dps = 40
    A = mp.matrix([[mp.mpf(float(v)) for v in row] for row in Z])
    c = [mp.mpf(float(v)) for v in (np.ones(len(Z)) if weights is None else weights)]
    v = mp.matrix([mp.mpf(float(x)) for x in start])
    for _ in range(8):
        p = [1 / (1 + mp.exp(m)) for m in A * v]
        g = A.T * mp.matrix([a * b for a, b in zip(c, p, strict=True)])
        H = A.T * mp.diag([a * b * (1 - b) for a, b in zip(c, p, strict=True)]) * A
        v = v + mp.lu_solve(H, g)
    assert mp.norm(g) < mp.mpf(10) ** -25
    return v, -sum(a * mp.log(1 + mp.exp(-m)) for a, m in zip(c, A * v, strict=True))


def test_raw_features_of_size_one_and_1e5():
    head, data = numbers("paid")
    found = fb.separation(data[:, :3], data[:, 3], intercept=False, names=head[:3])
    Z = np.where(data[:, 3] > 0, 1, -1)[:, None] * data[:, :3]
    point, value = exactly(Z, start=list(found.finite.values()))
    assert (found.kind, found.certified) == ("overlap", True)
    assert found.finite == pytest.approx(dict(zip(head, map(float, point), strict=False)), rel=1e-15)
    assert found.log_likelihood == pytest.approx(float(value), rel=1e-15)
    # a column of ones beside an intercept is the same one
    both = fb.separation(data[:, :3], data[:, 3], names=head[:3])
    assert both.coefficients == {"one": "undetermined", "experience": "finite", "salary": "finite",
                                 "(intercept)": "undetermined"}
    assert both.finite["salary"] == pytest.approx(found.finite["salary"], rel=1e-14)


@pytest.mark.parametrize(("name", "first", "last", "kinds"), [
    ("statology", 1, 3, ["+inf", "undetermined", "undetermined"]), ("iris100", 0, 4, ["undetermined"] * 5)])
def test_complete_separation(name, first, last, kinds):
    _, rows = table(name)
    y = [row[0] if first else row[-1] for row in rows]
    X = np.array([row[first:last] for row in rows], float)
    found = fb.separation(X, y)
    assert (found.kind, found.certified, found.log_likelihood) == ("complete", True, 0.0)
    assert list(found.coefficients.values()) == kinds
    signs = np.where(np.array(y) == found.classes[1], 1, -1)
    assert (signs * (X @ found.direction + found.direction_intercept) > 0).all()
    assert found.strict.all()


def test_timestamps():
    t = 1.6e12 + np.arange(10)[:, None]
    found = fb.separation(t, np.arange(10) >= 5)
    assert (found.kind, found.certified) == ("complete", True)
    assert found.coefficients == {"x0": "+inf", "(intercept)": "-inf"}
    y = np.array([0, 0, 1, 0, 1, 0, 1, 1, 0, 1])
    far, near = fb.separation(t, y), fb.separation(t - 1.6e12, y)
    assert far.certified
    assert far.finite["x0"] == pytest.approx(near.finite["x0"], rel=1e-15)
    assert far.log_likelihood == pytest.approx(near.log_likelihood, rel=1e-15)


def unrolled(X1, y, K):
    """The rows z and the functionals of coefficients, written out."""
    if K == 2:
        return np.where(y == 1, 1, -1)[:, None] * X1, {(0, 1): np.eye(X1.shape[1])}
    unit = np.eye(K)
    rows = [np.kron(unit[k] - unit[c], x) for x, k in zip(X1, y, strict=True) for c in range(K) if c != k]
    return np.array(rows), {(a, b): np.kron(unit[b] - unit[a], np.eye(X1.shape[1]))
                            for a in range(K) for b in range(a + 1, K)}


@pytest.mark.parametrize("seed", range(60))
def test_random_tables_against_fractions(seed):
    """Small whole numbers with ties, copies and collinear columns; two to four classes; weights of 0."""
    rng = np.random.default_rng(seed)
    K = int(rng.choice([2, 2, 3, 3, 4]))
    d, N = int(rng.integers(1, 4 if K == 2 else 3)), int(rng.integers(K, 10 if K == 2 else 7))
    X, y = rng.integers(-2, 3, (N, d)) * rng.choice([1, .1, 1e5], d), rng.integers(0, K, N)
    if d > 1 and rng.random() < .3:
        X[:, -1] = 2 * X[:, 0] + rng.integers(2)
    if rng.random() < .5:
        y = np.argsort(np.argsort(X[:, 0] + rng.normal(size=N) * .5)) * K // N
    y[:K] = np.arange(K) if np.unique(y).size < K else y[:K]
    weights, intercept = rng.integers(0, 4, N), bool(rng.random() < .7)
    weights[rng.integers(N)] = 1
    found = fb.separation(X, y, intercept, weights=weights)
    on = weights > 0
    Z, pairs = unrolled((np.column_stack([X, np.ones(N)]) if intercept else X)[on], y[on], K)
    F = naive.fractions(Z)
    strict = naive.strict_rows(F)
    assert found.certified
    assert found.kind == ("complete" if all(strict) else "quasi" if any(strict) else "overlap")
    others = y[on, None] != np.arange(K)
    assert (found.strict[on] if K == 2 else found.strict[on][others]).tolist() == strict
    assert not found.strict[~on].any()
    for key, G in pairs.items():
        told = found.coefficients if K == 2 else found.pairs[key]
        assert list(told.values()) == [naive.sign(F, strict, g) for g in naive.fractions(G)]
    lam = found.dual[on] if K == 2 else found.dual[on][others]
    assert ((lam > 0) == ~np.array(strict)).all()
    assert np.abs(lam @ Z).max() <= 1e-14 * np.abs(Z).max()


def softmax(X, y, K, weights, W):
    scores = X @ W.T
    return (weights * (scores[np.arange(len(y)), y] - np.log(np.exp(scores).sum(axis=1)))).sum()


def test_classes_that_overlap_are_the_softmax_fit():
    """Its slope is 0 at the differences that are given, and K = 2 in three classes' clothes is binary."""
    rng = np.random.default_rng(3)
    X, y, c = rng.normal(size=(80, 2)), rng.integers(0, 3, 80), rng.integers(1, 4, 80)
    names = np.array(["ash", "birch", "cedar"])
    found = fb.separation(X, names[y], weights=c)
    assert (found.kind, found.certified) == ("overlap", True)
    assert list(found.pairs) == [("ash", "birch"), ("ash", "cedar"), ("birch", "cedar")]
    assert set(found.coefficients.values()) == {"finite"}
    W = np.array([[0.0] * 3, *(list(found.finite["ash", b].values()) for b in ("birch", "cedar"))])
    X1 = np.column_stack([X, np.ones(80)])
    p = np.exp(X1 @ W.T)
    p /= p.sum(axis=1)[:, None]
    assert np.abs((c[:, None] * (np.eye(3)[y] - p)).T @ X1).max() <= 1e-12
    assert found.log_likelihood == pytest.approx(softmax(X1, y, 3, c, W), rel=1e-14)
    assert found.finite["cedar", "birch"]["x0"] == W[1, 0] - W[2, 0]
    assert found.finite["birch", "cedar"]["x0"] == pytest.approx(W[2, 0] - W[1, 0], rel=1e-14)


def test_one_class_apart_and_two_that_overlap():
    """Classes 0 and 1 overlap as they would alone; class 2 is told apart from both."""
    x, y = np.array([0.0, 1, 2, 3, 1, 2, 10, 11]), np.array([0, 0, 1, 1, 1, 0, 2, 2])
    found, alone = fb.separation(x[:, None], y), fb.separation(x[:6, None], y[:6])
    assert (found.kind, found.certified) == ("quasi", True)
    assert found.strict.tolist() == [[False, False, True]] * 6 + [[True, True, False]] * 2
    assert found.finite[0, 1] == pytest.approx(alone.finite, rel=1e-13)
    assert found.log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-14)
    assert found.pairs[0, 2] == found.pairs[1, 2] == {"x0": "+inf", "(intercept)": "-inf"}
    assert found.pairs[2, 0] == {"x0": "-inf", "(intercept)": "+inf"}
    assert found.coefficients == {"x0": "undetermined", "(intercept)": "undetermined"}
    W = np.column_stack([found.direction, found.direction_intercept])
    assert np.linalg.norm(W) == pytest.approx(1)
    assert np.array_equal(found.whole.shape, W.shape)
    with pytest.raises(KeyError):
        found.pairs[0, 7]


@pytest.mark.parametrize(("ratio", "tolerance"), [(1e-3, 1e-15), (1e-200, 1e-14), (1e300, 1e-14)])
def test_weights_far_apart(ratio, tolerance):
    """One sample of either label at x = 1: the maximum is the log of the ratio of their weights."""
    found = fb.separation([[1.0], [1.0]], [0, 1], intercept=False, weights=[1.0, ratio])
    assert found.certified
    assert found.finite["x0"] == pytest.approx(np.log(ratio), rel=tolerance)


def test_what_underflows_is_not_certified():
    found = fb.separation([[1.0], [1.0]], [0, 1], intercept=False, weights=[1e300, 1e-300])
    assert not found.certified
    assert "standard errors" in found.reason


@pytest.mark.parametrize("seed", range(10))
def test_bounds_on_the_error_hold(seed, monkeypatch):
    """‖v − v̄‖_H of points on the way to the maximum is under what is claimed of them."""
    monkeypatch.setattr(likelihood, "HARDLY", 1.0)
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(30, 3)) * rng.choice([1, 100], 3)
    Z = np.vstack([Z, -Z[:10]])
    weights = rng.random(40)
    problem = Likelihood(Z, np.arange(40), weights, [0, 1, 2])
    best = problem.maximum()
    exact, _ = exactly(Z, weights / weights.max(), start=best.point)
    claims = []
    for away in 10.0 ** -np.arange(1, 9):
        v = (best.point * (1 + away * rng.normal(size=3))).astype(np.longdouble)
        inner = v * _units(problem)
        m = problem.wide @ inner
        slope, noise = problem._slope(m, inner)
        root, units = problem._root(m)
        claim = problem._error(root, units, float(np.linalg.norm(root @ np.asarray(slope, float))), noise)
        off = np.array([float(mp.mpf(float(a)) - b) for a, b in zip(v, exact, strict=True)])
        p = 1 / (1 + np.exp(Z @ np.asarray(v, float)))
        H = Z.T @ ((weights / weights.max() * p * (1 - p))[:, None] * Z)
        true = float(np.sqrt(off @ H @ off))
        assert true <= claim
        claims.append(claim / true)
    assert claims[-1] < 3                                       # and is of its size


def _units(problem):
    """What a v of the rows is multiplied by for the problem's columns, which are powers of two apart."""
    T = np.array(problem.columns.top, float) / problem.columns.bottom
    assert np.array_equal(T, np.diag(np.diag(T)))
    return 1 / np.diag(T)


def test_columns_that_nearly_depend_on_each_other():
    """A sum that was rounded is no sum: coefficients of 1e14, right in all digits."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    X = np.column_stack([X, X.sum(axis=1) * (1 + 1e-14 * rng.normal(size=40))])
    y = rng.integers(0, 2, 40)
    found = fb.separation(X, y, intercept=False)
    point, value = exactly(np.where(y == 1, 1, -1)[:, None] * X, start=list(found.finite.values()))
    assert found.certified
    assert abs(found.finite["x2"]) > 1e10
    assert list(found.finite.values()) == pytest.approx(list(map(float, point)), rel=1e-14)
    assert found.log_likelihood == pytest.approx(float(value), rel=1e-14)


def test_exact_sums_are_collinear():
    rng = np.random.default_rng(0)
    X = rng.integers(-9, 10, (40, 2)).astype(float)
    found = fb.separation(np.column_stack([X, X.sum(axis=1), np.arange(40) % 7]), rng.integers(0, 2, 40))
    assert (found.kind, found.certified) == ("overlap", True)
    assert list(found.coefficients.values()) == ["undetermined"] * 3 + ["finite"] * 2
    assert "collinear" in str(found)


def test_one_label_alone_and_rows_of_zeros():
    found = fb.separation([[1.0], [-2.0]], [1, 1])
    assert (found.kind, found.coefficients) == ("complete", {"x0": "undetermined", "(intercept)": "+inf"})
    found = fb.separation([[0.0], [0.0]], [1, -1], intercept=False)
    assert (found.kind, found.certified, found.coefficients) == ("overlap", True, {"x0": "undetermined"})
    assert found.log_likelihood == pytest.approx(2 * np.log(.5))
    # zeros are on no side, so that one of them beside others is not strict
    found = fb.separation([[0.0], [1.0], [3.0]], [1, 1, -1], intercept=False, weights=[2, 1, 0])
    assert (found.kind, found.strict.tolist()) == ("quasi", [False, True, False])
    assert found.log_likelihood == pytest.approx(2 * np.log(.5))
    assert found.left_out == 1


def test_sparse_and_frames():
    X, y, counts = lizards()
    found = fb.separation(scipy.sparse.csr_matrix(X), y, weights=counts)
    assert np.allclose(list(found.finite.values()), list(LIZARDS.values()), atol=1e-6)
    framed = fb.separation(pd.DataFrame(X, columns=list(LIZARDS)[:-1]), pd.Series(y), weights=counts)
    assert list(framed.finite) == list(LIZARDS)
    assert list(found.finite) == ["x0", "x1", "x2", "x3", "x4", "(intercept)"]
    twice = pd.DataFrame(X[:, :2], columns=["a", "a"])
    assert list(fb.separation(twice, y).finite) == ["x0", "x1", "(intercept)"]


def test_printed():
    head, data = numbers("ucla_quasi")
    found = fb.separation(data[:, 1:], data[:, 0], names=head[1:])
    assert str(found) == repr(found) == """\
quasi-complete separation: 7 of 10 samples are told apart, the others overlap
rows told apart, from 0: 0, 1, 5, 6, 7, 8, 9
log-likelihood: supremum -1.889591263, deviance 3.779182526, which no coefficients reach
  coefficient   estimate  std. error
  X1                +inf
  X2           -0.120626        0.61
  (intercept)       -inf
next: penalise (Firth, ridge), use a prior, exact inference, or drop what separates
      finite ones are those of the fit without the samples that are told apart
certified: a direction, and weights with which the others balance; estimates to 1e-16 std. errors
labels: +1 is 1, −1 is 0"""
    page = found._repr_html_()
    assert "<td>X1</td><td>+inf</td>" in page
    assert page.count("<tr>") == 4


@pytest.mark.long
def test_long_tables_are_cut_and_names_escaped():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 60)), rng.integers(0, 2, 300)
    X[:, 45] = np.where(y == 1, rng.random(300) < .1, 0)
    found = fb.separation(X, y, names=[f"a<b> and a very long name, number {j}" for j in range(60)])
    lines = str(found).splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
    assert any("+inf" in line for line in lines)
    assert any(line.startswith("  … ") and "more" in line for line in lines)
    assert "a<b>" not in found._repr_html_()
    classes = fb.separation(X[:, :5], rng.integers(0, 6, 300))
    assert len(str(classes).splitlines()) <= 30
    assert "1 / 0" in str(classes)


def test_what_is_not_proved_says_so(monkeypatch):
    _, data = numbers("ucla_quasi")

    def refuse(*_args):
        raise ArithmeticError("too large a question")
    monkeypatch.setattr(strict_rows, "_proved", refuse)
    found = fb.separation(data[:, 1:], data[:, 0])
    assert (found.kind, found.certified, found.reason) == ("quasi", False, "too large a question")
    assert "NOT certified: too large a question" in str(found)
    assert found.finite["x1"] == pytest.approx(-.12062572003262266)
    monkeypatch.undo()
    monkeypatch.setattr(likelihood, "NEWTONS", 2)
    found = fb.separation(data[:, 1:], data[:, 0])
    assert not found.certified
    assert "standard errors" in found.reason


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"names": ["a"]}, ValueError, "names must have one entry for each column of X, got 1 entries for 2 columns"),
    ({"names": "ab"}, TypeError, "names must be a list of strings, got 'ab'"),
    ({"names": 5}, TypeError, "names must be a list of strings, got 5"),
    ({"names": ["a", 1]}, TypeError, "names must be a list of strings, got 1 in it"),
    ({"names": ["a", "a"]}, ValueError, "names must be different, and not '(intercept)', got 'a' twice"),
    ({"names": ["(intercept)", "a"]}, ValueError, "got '(intercept)'"),
    ({"weights": [1, -1, 1]}, ValueError, "weights must be >= 0"),
    ({"weights": [0, 0, 0]}, ValueError, "weights must have an entry > 0"),
    ({"weights": [1, 1]}, ValueError, "weights must have one entry for each row of X"),
    ({"intercept": 1}, TypeError, "intercept must be True or False, got 1"),
    ({"y": [3, 3, 3]}, ValueError, "labels must be −1 or \\+1 where they are all the same"),
    ({"X": np.ones((3, 2, 2))}, ValueError, r"X must be an \(N, d\) array, got shape \(3, 2, 2\)"),
])
def test_bad_input(arguments, error, message):
    given = {"X": [[1, 2], [3, 4], [5, 7]], "y": [0, 1, 0]} | arguments
    with pytest.raises(error, match=message.replace("(intercept)", r"\(intercept\)")):
        fb.separation(**given)


def test_weights_too_far_apart_for_a_fit_leave_the_kind_known():
    X = [[0, 2, -1], [-2, 0, 2], [2, -1, 1], [1, -1, 2], [-2, 1, 1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fb.separation(X, [0, 1, 1, 0, 1], intercept=False, weights=[1, 1e-3, 2, 1, 1e300])
    # which does not depend on weights, and neither does what is finite
    even = fb.separation(X, [0, 1, 1, 0, 1], intercept=False)
    assert (found.kind, found.coefficients) == (even.kind, even.coefficients)
    assert even.certified
    assert not found.certified
    assert np.isnan([*found.finite.values(), found.log_likelihood]).all()
    assert "cannot be found in float64" in str(found)


def test_rows_that_are_told_apart_are_listed():
    x = np.concatenate([np.arange(20.0), [20, 20], 21 + np.arange(20.0)])
    y = np.concatenate([np.zeros(20), [0, 1], np.ones(20)])
    found = fb.separation(x[:, None], y)
    assert "rows told apart, from 0: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 28 more" in str(found)
    assert "rows told apart" not in str(fb.separation(x[:, None], x > 30))              # complete: all of them
    classes = fb.separation([[0.0], [1], [2], [2], [3], [9], [10]], ["a", "a", "a", "b", "b", "c", "c"])
    apart = np.flatnonzero(classes.strict.sum(axis=1) == 2)
    assert f"rows told apart from all other classes, from 0: {', '.join(map(str, apart))}" in str(classes)


def test_an_estimate_under_its_own_error_is_printed_as_0():
    found = fb.separation([[1], [2], [3], [3], [4]], [0, 0, 1, 0, 1], names=["dose"], intercept=False)
    tiny = dataclasses.replace(found, kind="overlap", coefficients={"dose": "finite"}, finite={"dose": 3e-20},
                               standard_errors={"dose": 0.5}, error=1e-15)
    assert re.search(r"^  dose +0 +0.5$", str(tiny), re.M)
    assert re.search(r"^  dose +3e-12 +0.5$", str(dataclasses.replace(tiny, finite={"dose": 3e-12})), re.M)
