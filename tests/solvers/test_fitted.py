"""`fb.diagnose` takes linear estimators as they were fitted, and none that mean their coefficients otherwise."""
import numpy as np
import pytest

import fastbias as fb

X = np.array([[2.0, 1.0], [1.0, 2.0], [-1.0, -1.5], [-2.0, 0.5]])
Y = np.array(["no", "yes", "no", "no"])
POINTS = np.vstack([9 * e + np.random.default_rng(0).normal(size=(4, 3)) for e in np.eye(3)])
LABELS = np.repeat([0, 1, 2], 4)


class Fitted:
    """What scikit-learn leaves in an estimator, and no more."""

    def __init__(self, w, b, classes=None, **more):
        self.coef_, self.intercept_ = np.asarray(w, float), b
        if classes is not None:
            self.classes_ = np.array(classes)
        vars(self).update(more)

    def predict(self, X):
        scores = np.asarray(X) @ np.atleast_2d(self.coef_).T + self.intercept_
        return self.classes_[scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)]


def same(found, other):
    return (found.fractions, found.best, found.p) == (other.fractions, other.best, other.p)


def test_a_row_of_coefficients_is_the_direction_of_two_classes():
    pair, signs = [[2, 1], [1, 2]], [1, 1]
    assert same(fb.diagnose(pair, signs, [[1, 3]]), fb.diagnose(pair, signs, [1, 3]))
    other = fb.diagnose(X, Y, [-1, 2], intercept=-1.0)
    assert same(fb.diagnose(X, Y, [[-1, 2]], intercept=-1.0), other)
    assert same(fb.diagnose(X, Y, [[-1, 2]], intercept=[-1.0]), other)


def test_an_estimator_is_its_coefficients_and_intercept():
    # (1, 2) · w = 3 against (2, 1) · w = 0
    found = Fitted([[-1, 2]], np.array([-1.5]), ["no", "yes"])
    assert same(fb.diagnose(X, Y, found), fb.diagnose(X, Y, [-1, 2], intercept=-1.5))
    assert same(fb.diagnose(X, Y, Fitted([-1, 2], -1.5)), fb.diagnose(X, Y, found))
    # told to have no intercept it is held against margins that have none
    pair, signs = [[2, 1], [1, 2]], [1, 1]
    assert same(fb.diagnose(pair, signs, Fitted([[1, 1]], 0.0, fit_intercept=False)), fb.diagnose(pair, signs, [1, 1]))


def test_classes():
    W = np.eye(3)
    found = Fitted(W, np.zeros(3), [0, 1, 2])
    assert same(fb.diagnose(POINTS, LABELS, found), fb.diagnose(POINTS, LABELS, W, intercept=np.zeros(3)))
    # rows one against one: as many as the three classes, and of another meaning
    pairs = Fitted([[1, -1, 0], [1, 0, -1], [0, 1, -1]], np.zeros(3), [0, 1, 2])
    pairs.predict = lambda X: LABELS
    with pytest.raises(ValueError, match="one against one"):
        fb.diagnose(POINTS, LABELS, pairs)


@pytest.mark.parametrize(("w", "told"), [
    (Fitted([[-1, 2]], -1.5, ["yes", "no"]), r"fitted to the labels of y, \['no', 'yes'\], got classes_ \['yes', 'no'\]"),
    (Fitted([[-1, 2]], -1.5, [0, 1]), "fitted to the labels of y"), (Fitted([[-1, 2, 3]], 0.0), "w must have 2 entries"),
    (Fitted([[-1, np.nan]], 0.0), "coef_ of w must be finite"), (Fitted(np.zeros((1, 2)), 0.0), "w must not be 0"),
    (type("Pipeline", (), {"named_steps": {}, "fit": None})(), r"pipe\[:-1\].transform\(X\), y, pipe\[-1\]"),
    (type("Search", (), {"best_estimator_": 0, "fit": None})(), "give its best_estimator_"),
    (type("SVC", (), {"fit": None})(), "has been fitted"),
])
def test_what_is_refused(w, told):
    with pytest.raises(ValueError, match=told):
        fb.diagnose(X, Y, w)


def test_an_intercept_beside_an_estimator_is_refused():
    with pytest.raises(ValueError, match="intercept must be left out"):
        fb.diagnose(X, Y, Fitted([[-1, 2]], -1.5), intercept=0.0)


def test_estimators_of_scikit_learn():
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed")
    pipeline = pytest.importorskip("sklearn.pipeline")
    rng = np.random.default_rng(3)
    apart, true = rng.normal(size=(12, 3)), rng.normal(size=3)           # whose norms have different maxima
    found = fb.diagnose(apart, apart @ true > 0, svm.SVC(kernel="linear", C=1e9, tol=1e-8).fit(apart, apart @ true > 0))
    assert found.best == "l2"
    assert found.fractions["l2"] == pytest.approx(1, abs=1e-6)
    several = svm.SVC(kernel="linear", C=1e9).fit(POINTS, LABELS)
    assert several.coef_.shape == (3, 3)
    with pytest.raises(ValueError, match="one against one"):
        fb.diagnose(POINTS, LABELS, several)
    assert fb.diagnose(POINTS, LABELS, svm.LinearSVC(random_state=0).fit(POINTS, LABELS)).fractions["l2"] > 0.5
    with pytest.raises(ValueError, match="got a Pipeline"):
        fb.diagnose(X, Y, pipeline.make_pipeline(svm.SVC(kernel="linear")).fit(X, Y))
    with pytest.raises(ValueError, match="has been fitted"):
        fb.diagnose(X, Y, svm.SVC().fit(X, Y))
