"""The estimators say what the library says, in scikit-learn's words."""
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sparse

import fastbias as fb
from tests.helpers import ROOT

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fastbias.sklearn import (
    MaxMarginClassifier,
    MinimumNormRegressor,
    NotSeparableWarning,
)

X, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
TWO = SPECIES < 2


def test_max_margins_are_those_of_a_hard_svm_whose_labels_are_words():
    found = MaxMarginClassifier().fit(X[TWO], NAMES[TWO])
    svm = SVC(kernel="linear", C=1e10, tol=1e-9).fit(X[TWO], NAMES[TWO])
    assert found.classes_.tolist() == ["setosa", "versicolor"]
    assert found.coef_ == pytest.approx(svm.coef_, rel=1e-5)
    assert found.intercept_ == pytest.approx(svm.intercept_, rel=1e-5)
    assert set(found.support_) <= set(svm.support_)
    assert found.margin_ == pytest.approx(1 / np.linalg.norm(found.coef_))
    scores = found.decision_function(X[TWO])
    assert np.abs(scores).min() == pytest.approx(1)
    assert np.abs(scores[found.support_]) == pytest.approx(np.ones(found.support_.size))
    assert (found.predict(X[TWO]) == NAMES[TWO]).all()
    limit = found.limit_
    assert (found.separable_, found.certified_, limit.certified) == (True, True, True)
    assert limit.margin == found.margin_
    assert "versicolor" in str(limit)


@pytest.mark.parametrize("norm", ["l1", "linf", 1.5, fb.norms.lp(3)])
@pytest.mark.parametrize("intercept", [True, False])
def test_norms_by_name_number_and_piece(norm, intercept):
    found = MaxMarginClassifier(norm, fit_intercept=intercept).fit(X[TWO], SPECIES[TWO])
    piece = fb.norms.lp(norm) if isinstance(norm, float) else norm
    limit = fb.max_margin(X[TWO], SPECIES[TWO], piece, intercept=intercept)
    assert found.margin_ == limit.margin
    assert found.coef_ == pytest.approx(limit.w[None] / limit.margin)
    assert found.intercept_.shape == (1,)
    assert found.intercept_.any() == intercept


@pytest.mark.parametrize("norm", ["l2", "spectral", "nuclear"])
def test_classes(norm):
    points, labels = make_blobs(30, centers=[[0, 0, 9], [9, 0, 0], [0, 9, 0], [-9, -9, -9]], random_state=0)
    found = MaxMarginClassifier(norm).fit(points, np.array(list("dabc"))[labels])
    assert (found.coef_.shape, found.intercept_.shape, found.decision_function(points).shape) == ((4, 3), (4,), (30, 4))
    assert found.classes_.tolist() == list("abcd")
    assert found.score(points, np.array(list("dabc"))[labels]) == 1
    scores = np.sort(found.decision_function(points))
    assert (scores[:, -1] - scores[:, -2]).min() == pytest.approx(1, rel=1e-7)
    piece = fb.norms.l2 if norm == "l2" else getattr(fb.norms, norm)(4, 3)
    assert found.margin_ == pytest.approx(1 / piece(found.coef_.ravel()), rel=1e-8)


def test_a_pipeline_in_a_search_over_norms_with_the_names_of_a_frame():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(X[TWO], columns=list("abcd"))
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), MaxMarginClassifier())
    search = GridSearchCV(pipe, {"maxmarginclassifier__norm": ["l1", "l2", 3.0]}, cv=3).fit(frame, NAMES[TWO])
    assert search.best_score_ == 1
    best = search.best_estimator_[-1]
    assert best.feature_names_in_.tolist() == list("abcd")
    assert best.certified_
    found = fb.diagnose(search.best_estimator_[:-1].transform(frame), NAMES[TWO], best)
    assert found.fractions["l1"] == pytest.approx(1)


@pytest.mark.parametrize("estimator", [MaxMarginClassifier(), MinimumNormRegressor()])
def test_sparse_data_copies_and_pickles_say_the_same(estimator):
    y = SPECIES[TWO].astype(float)
    found = estimator.fit(X[TWO], y)
    for other in (clone(estimator).fit(sparse.csr_array(X[TWO]), y), clone(estimator).fit(sparse.coo_matrix(X[TWO]), y),
                  pickle.loads(pickle.dumps(found))):
        assert other.coef_ == pytest.approx(found.coef_, rel=1e-6)
        assert other.predict(sparse.csr_array(X[TWO])) == pytest.approx(found.predict(X[TWO]))


def test_where_nothing_separates_the_data_nothing_is_claimed():
    y = np.where(np.arange(100) == 7, "versicolor", NAMES[TWO])
    with pytest.warns(NotSeparableWarning, match="not linearly separable"):
        found = MaxMarginClassifier().fit(X[TWO], y)
    assert (found.separable_, found.certified_, found.limit_) == (False, False, None)
    scores = found.decision_function(X[TWO]) * np.where(y == "setosa", -1, 1)
    assert found.margin_ == pytest.approx(scores.min() / np.linalg.norm(found.coef_))
    assert found.margin_ < 0
    assert found.support_.tolist() == np.flatnonzero(scores < 1 - 1e-9).tolist()
    # Gordan's proof that nothing does
    lack, signs = np.maximum(0, 1 - scores), np.where(y == "setosa", -1, 1)
    assert lack @ (signs[:, None] * X[TWO]) == pytest.approx(np.zeros(4), abs=1e-8)
    assert lack @ signs == pytest.approx(0, abs=1e-9)
    # and a fit that separates afterwards keeps nothing of this one
    assert found.fit(X[TWO], NAMES[TWO]).certified_


def test_a_direction_that_is_0_has_no_margin():
    with pytest.warns(NotSeparableWarning):
        found = MaxMarginClassifier().fit([[0, 0], [1, 1], [0, 1], [1, 0]], [0, 0, 1, 1])
    assert found.coef_ == pytest.approx(np.zeros((1, 2)), abs=1e-12)
    assert np.isnan(found.margin_) or found.margin_ < 0


@pytest.mark.parametrize(("arguments", "y", "told"), [
    ({"norm": "l7"}, [0, 1], "norm must be one of"), ({"norm": 0.5}, [0, 1], "norm must be a number >= 1"),
    ({"norm": "spectral"}, [0, 1], "norm must be one of vectors"), ({}, [1, 1], "two classes or more, got 1 class: 1"),
    ({}, [0.5, 0.7], "Unknown label type"), ({"fit_intercept": 1}, [0, 1], "^fit_intercept must be True or False"),
])
def test_what_max_margins_refuse(arguments, y, told):
    with pytest.raises((ValueError, TypeError), match=told):
        MaxMarginClassifier(**arguments).fit([[1.0, 2.0], [3.0, 5.0]], y)


def test_a_margin_so_small_that_w_is_beyond_float64():
    tiny = np.array([[1e-310], [-1e-310]])
    with pytest.raises((ArithmeticError, ValueError)):
        MaxMarginClassifier().fit(tiny, [0, 1])


@pytest.mark.parametrize("norm", ["l1", "l2", "linf", 1.5])
def test_minimum_norms_are_the_librarys(norm):
    rng = np.random.default_rng(0)
    points, y = rng.normal(size=(4, 7)), rng.normal(size=4)
    found = MinimumNormRegressor(norm).fit(points, y)
    limit = fb.minimum_norm(points, y, fb.norms.lp(norm) if isinstance(norm, float) else norm, intercept=True)
    assert (found.realisable_, found.certified_) == (True, True)
    assert found.coef_ == pytest.approx(limit.w)
    assert found.intercept_ == limit.intercept
    assert found.predict(points) == pytest.approx(y)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("offset", [0.0, 2000.0])
def test_targets_that_no_w_meets_are_met_in_the_least_squares(intercept, offset):
    rng = np.random.default_rng(1)
    points, y = rng.normal(size=(40, 3)) + offset, rng.normal(size=40) + 7
    found, other = (kind(fit_intercept=intercept).fit(points, y) for kind in (MinimumNormRegressor, LinearRegression))
    assert (found.realisable_, found.certified_) == (False, True)
    assert found.coef_ == pytest.approx(other.coef_, rel=1e-7)
    assert found.intercept_ == pytest.approx(other.intercept_, rel=1e-7)
    assert found.limit_.theorem.startswith("least squares")
    # of several such the shortest: a column twice shares its weight in ℓ2
    twice = MinimumNormRegressor(fit_intercept=intercept).fit(np.hstack([points, points[:, :1]]), y)
    assert twice.coef_[[0, 3]] == pytest.approx(other.coef_[[0, 0]] / 2, rel=1e-6)
    assert twice.certified_


def test_a_least_squares_solution_that_is_off_is_not_certified(monkeypatch):
    from fastbias.sklearn import minimum_norm as module
    least = module.least_squares
    monkeypatch.setattr(module, "least_squares", lambda X, y: least(X, y) * (1 + 1e-6))
    rng = np.random.default_rng(1)
    found = MinimumNormRegressor().fit(rng.normal(size=(40, 3)), rng.normal(size=40))
    assert not found.certified_


def test_what_the_extra_is_called_where_scikit_learn_is_missing():
    code = "import sys; sys.modules['sklearn'] = None; import fastbias.sklearn"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    [last] = done.stderr.splitlines()[-1:]
    assert last.startswith("ImportError: fastbias.sklearn needs scikit-learn 1.6 or newer: pip install 'fastbias[sklearn]'")
