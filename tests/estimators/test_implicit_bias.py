"""Where an optimiser goes, as an estimator: the same run, and the same theory."""
import pickle

import numpy as np
import pytest
import scipy.sparse as sparse

import fastbias as fb

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score

from fastbias.sklearn import ImplicitBiasClassifier

pytestmark = pytest.mark.long
IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = IRIS - IRIS.mean(axis=0)
TWO = SPECIES < 2
X, Y = IRIS[TWO], np.array(["setosa", "versicolor"])[SPECIES[TWO]]


@pytest.mark.parametrize("intercept", [True, False])
def test_it_is_the_run_of_the_library(intercept):
    method = fb.methods.gradient_descent(0.01, momentum=0.5)
    found = ImplicitBiasClassifier(method, 500, fit_intercept=intercept).fit(X, Y)
    w = fb.run(X, Y, loss="logistic", method=method, steps=500, intercept=intercept).w[-1]
    assert np.append(found.coef_[0], found.intercept_ if intercept else []).tolist() == w.tolist()
    assert found.intercept_.shape == (1,)
    assert found.intercept_.any() == intercept
    assert (found.n_iter_, found.plan_.t, found.trace_.t[-1]) == (500, 500, 500)
    assert found.score(X, Y) == 1
    p = found.predict_proba(X)
    assert p[:, 1] == pytest.approx(1 / (1 + np.exp(-found.decision_function(X))))
    assert p.sum(axis=1) == pytest.approx(np.ones(100))


def test_the_limit_is_solved_when_it_is_asked_for_and_forgotten_by_the_next_fit():
    found = ImplicitBiasClassifier(steps=200).fit(X, Y)
    assert "limit_" not in vars(found)
    limit = found.limit_
    ones = np.hstack([X, np.ones((100, 1))])
    assert limit.margin == pytest.approx(fb.max_margin(ones, Y).margin)
    assert found.certified_
    assert "versicolor" in str(limit)
    assert found.support_.tolist() == fb.max_margin(ones, Y).support.tolist()
    w = np.append(found.coef_, found.intercept_)
    signs = np.where(Y == "setosa", -1, 1)
    assert found.margin_ == pytest.approx((signs * (ones @ w)).min() / np.linalg.norm(w))
    assert found.margin_ < limit.margin
    found.fit(X[::-1, :2], Y)                                  # which are wrong labels: they overlap
    assert "limit_" not in vars(found)
    assert found.limit_.kind != "direction" or found.limit_.margin != limit.margin


def test_no_theorem_is_no_limit():
    found = ImplicitBiasClassifier(fb.methods.nadam(0.01), 300).fit(X, Y)
    assert (found.limit_, found.certified_, found.support_) == (None, False, None)
    assert found.margin_ > 0
    with pytest.raises(fb.NoTheorem):
        found.plan_.limit()


@pytest.mark.parametrize("name", ["gradient", "gradient_descent", "coordinate", "sign", "adam", "adagrad", "rmsprop", "stagewise",
                                  "dual_acceleration"])
def test_methods_by_name(name):
    found = ImplicitBiasClassifier(name, 300, fit_intercept=False, loss="exponential").fit(X, Y)
    assert found.score(X, Y) > 0.9
    assert found.plan_.problem.method.name.startswith(name)
    assert not hasattr(found, "predict_proba")


def test_steps_of_ones_own():
    found = ImplicitBiasClassifier("gradient", 50, step_size=0.003).fit(X, Y)
    assert found.plan_.problem.rule(0) == 0.003
    own = fb.methods.gradient_descent(0.002)
    assert ImplicitBiasClassifier(own, 50).fit(X, Y).plan_.problem.rule(0) == 0.002
    assert ImplicitBiasClassifier(own, 50, step_size=fb.steps.power(0.1, 0.5)).fit(X, Y).plan_.problem.rule(3) == 0.05


def test_classes_by_cross_entropy():
    found = ImplicitBiasClassifier(steps=300).fit(IRIS, SPECIES)
    assert (found.coef_.shape, found.intercept_.shape) == ((3, 4), (3,))
    trace = fb.run(IRIS, SPECIES, loss="cross_entropy", method=fb.methods.gradient_descent("auto"), steps=300, intercept=True)
    assert np.hstack([found.coef_, found.intercept_[:, None]]) == pytest.approx(trace.w[-1], rel=1e-12)
    assert found.predict_proba(IRIS).argmax(axis=1).tolist() == found.predict(IRIS).tolist()
    assert found.score(IRIS, SPECIES) > 0.9
    # of two classes the difference of weights decides
    two = ImplicitBiasClassifier(steps=300, loss=fb.losses.cross_entropy).fit(X, Y)
    assert (two.coef_.shape, two.score(X, Y)) == ((1, 4), 1)
    w = two.plan_.w
    assert two.coef_[0] == pytest.approx(w[1, :-1] - w[0, :-1])


def test_weights_are_counts_and_zero_leaves_out():
    counts = np.arange(100) % 3
    found = ImplicitBiasClassifier(steps=300).fit(X, Y, sample_weight=counts)
    other = ImplicitBiasClassifier(steps=300).fit(X.repeat(counts, axis=0), Y.repeat(counts))
    assert found.coef_ == pytest.approx(other.coef_, rel=1e-9)
    only = np.where(Y == "setosa", 0, 1)
    with pytest.raises(ValueError, match="got 1 class: 'versicolor'"):
        ImplicitBiasClassifier().fit(X, Y, sample_weight=only)
    with pytest.raises(ValueError, match="zero"):
        ImplicitBiasClassifier().fit(X, Y, sample_weight=0 * only)
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        ImplicitBiasClassifier().fit(X, Y, sample_weight=only - 1)


def test_what_draws_is_seeded_and_what_was_made_stays():
    method = fb.methods.gradient_descent(0.01, batch=5, rng=3)
    w = [ImplicitBiasClassifier(method, 100, random_state=seed).fit(X, Y).coef_ for seed in (None, None, 1, 1, 2)]
    assert (w[0] == w[1]).all()
    assert (w[2] == w[3]).all()
    assert not (w[0] == w[2]).any()
    assert not (w[4] == w[2]).any()
    ties = fb.methods.coordinate_descent(0.01, ties="random", rng=3)
    equal = np.vstack([np.ones((2, 6)), -np.ones((2, 6))])
    w = [ImplicitBiasClassifier(ties, 9, random_state=seed).fit(equal, [1, 1, 0, 0]).coef_.tolist() for seed in range(5)]
    assert len({str(v) for v in w}) > 1


def test_copies_pickles_sparse_data_and_searches():
    found = ImplicitBiasClassifier(fb.methods.steepest_descent("l1", 0.01), 200, fit_intercept=False).fit(X, Y)
    again = clone(found).fit(sparse.csr_array(X), Y)
    assert again.coef_ == pytest.approx(found.coef_, rel=1e-9)
    assert found.limit_.theorem == again.limit_.theorem
    read = pickle.loads(pickle.dumps(found))
    assert read.coef_.tolist() == found.coef_.tolist()
    assert read.plan_.run(10).t[-1] == 210
    search = GridSearchCV(ImplicitBiasClassifier(steps=100), {"method": ["gradient", "sign", fb.methods.adam(0.01)]}, cv=2)
    assert search.fit(X, Y).best_score_ > 0.9
    assert cross_val_score(ImplicitBiasClassifier(loss="squared", steps=500), X, Y, cv=3).min() > 0.9


def test_a_loss_with_a_root_is_that_of_signs():
    found = ImplicitBiasClassifier(loss="squared", steps=20_000).fit(X, Y)
    ones, signs = np.hstack([X, np.ones((100, 1))]), np.where(Y == "setosa", -1.0, 1.0)
    assert np.append(found.coef_, found.intercept_) == pytest.approx(np.linalg.lstsq(ones, signs)[0], rel=1e-6)
    assert found.limit_.kind == "point"
    assert not hasattr(found, "predict_proba")


@pytest.mark.parametrize(("arguments", "told"), [
    ({"method": "mirror"}, "write fb.methods.mirror_descent\\(potential, step_size\\)"), ({"method": 3}, "must come from fb.methods"),
    ({"method": "gradeint_descent"}, "did you mean 'gradient_descent'"), ({"method": "Method"}, "method must be one of"),
    ({"steps": -1}, "steps must be"), ({"loss": "hinge"}, "loss must be one of"), ({"step_size": -0.1}, "must be"),
    ({"method": "dual_acceleration", "step_size": 0.1}, "steps of its own"), ({"fit_intercept": 0}, "intercept must be True or False"),
])
def test_what_is_refused(arguments, told):
    with pytest.raises((ValueError, TypeError), match=told):
        ImplicitBiasClassifier(**arguments).fit(X, Y)


def test_losses_of_two_classes_refuse_three():
    for loss in ("exponential", "squared", fb.losses.probit):
        with pytest.raises(ValueError, match="two classes for the .* loss, got 3"):
            ImplicitBiasClassifier(loss=loss).fit(IRIS, SPECIES)


def test_a_run_that_diverges_says_so():
    with pytest.raises(fb.RunStopped):
        ImplicitBiasClassifier(loss="squared", step_size=10.0).fit(X, Y)
