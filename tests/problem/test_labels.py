"""The one rule for labels, and what every report says of it; rows of zeros, and columns of very different sizes."""
import pickle

import numpy as np
import pytest

import fastbias as fb

m = fb.methods
X = np.array([[1.0, 2.0], [2.0, 1.0], [-1.0, -2.0], [-2.0, -1.0]])
GD = m.gradient_descent(0.1)
ULP = 10 ** 18                                                              # float64 does not tell it from its neighbours
TWO = [([1, 1, -1, -1], [1, 1, -1, -1]), ([1, 1, 0, 0], [1, 1, -1, -1]), ([True, True, False, False], [1, 1, -1, -1]),
       (["v", "v", "s", "s"], [1, 1, -1, -1]), ([2, 2, 3, 3], [-1, -1, 1, 1]), ([2.5, 2.5, -7.0, -7.0], [1, 1, -1, -1]),
       ([ULP + 1, ULP + 1, ULP, ULP], [1, 1, -1, -1]), (np.array(["b", "b", "a", "a"], object), [1, 1, -1, -1]),
       ([1, 1, 1, 1], [1, 1, 1, 1]), ([-1] * 4, [-1] * 4)]


@pytest.mark.parametrize(("labels", "signs"), TWO, ids=repr)
def test_two_values_are_signs_everywhere(labels, signs):
    A = X if signs == [1, 1, -1, -1] else -X if signs == [-1, -1, 1, 1] else np.abs(X) * signs[0]
    classes = sorted(set(labels)) if len(set(labels)) == 2 else [-1, 1]
    told, limit = fb.separability(A, labels), fb.max_margin(A, labels)
    assert told.separable
    assert told.w.shape == limit.w.shape == (2,)
    assert (np.array(signs) * (A @ limit.w) > 0).all()
    plan = fb.Plan(A, labels, loss="logistic", method=GD)
    assert plan.problem.y.tolist() == signs
    predicted = plan.limit()
    assert predicted.w == pytest.approx(limit.w)
    trace = plan.run(50)
    assert trace.evaluate(A[:1], labels[:1]).error[-1] == 0
    for report in (told, limit, predicted, fb.diagnose(A, labels, limit.w), plan.problem):
        assert list(report.classes) == classes
    if [*classes] != [-1, 1]:
        for report in (told, limit, predicted, fb.diagnose(A, labels, limit.w)):
            assert "labels: +1 is " in str(report)
    path = fb.regularisation_path(A, labels, [1.0])
    assert path.w.shape == (1, 2)
    assert list(path.classes) == list(trace.classes) == classes
    assert fb.psd_separability([np.diag(row) for row in A], labels).classes is not None


def test_the_report_names_the_label_that_is_plus_one():
    assert "labels: +1 is 'virginica', −1 is 'versicolor'" in str(fb.max_margin(X, ["virginica"] * 2 + ["versicolor"] * 2))
    assert "labels: +1 is True, −1 is False" in str(fb.separability(X, [True, True, False, False]))
    assert "labels: +1 is 1, −1 is 0" in str(fb.diagnose(X, [1, 1, 0, 0], [1, 1]))
    assert "labels" not in str(fb.max_margin(X, [1, 1, -1, -1]))


@pytest.mark.parametrize("labels", [[0, 1, 2, 2], [5, 7, 9, 9], ["a", "b", "c", "c"], [-1.5, 0.0, 2.5, 2.5]], ids=repr)
def test_three_values_or_more_are_sorted_classes(labels):
    known = [0, 1, 2, 2]
    plan = fb.Plan(X, labels, loss="cross_entropy", method=GD)
    assert plan.problem.y.tolist() == known
    assert plan.problem.shape == (3, 2)
    assert plan.problem.classes.tolist() == sorted(set(labels))
    told = fb.separability(X, labels)
    assert told.w.shape == (3, 2)
    assert told.w == pytest.approx(fb.separability(X, known).w)
    assert "labels: classes 0 … 2 are " in str(told)
    trace = plan.run(20)
    same = fb.run(X, known, loss="cross_entropy", method=GD, steps=20)
    assert (trace.u == same.u).all()
    assert trace.evaluate(X[3:], labels[3:]).log_loss == pytest.approx(same.evaluate(X[3:], [2]).log_loss)
    with pytest.raises(ValueError, match="labels must have two values for the logistic loss"):
        fb.Plan(X, labels, loss="logistic", method=GD)


def test_two_classes_with_weights_of_their_own_are_cross_entropys():
    plan = fb.Plan(X, ["yes", "yes", "no", "no"], loss="cross_entropy", method=GD)
    assert plan.problem.y.tolist() == [1, 1, 0, 0]
    assert plan.run(5).w.shape[1:] == (2, 2)
    assert fb.Plan(X, [-1, 1, -1, 1], loss="cross_entropy", method=GD).problem.y.tolist() == [0, 1, 0, 1]


def test_measurements_are_no_labels():
    """Of 60 samples each would be a class of its own, and 1,770 pairs of classes be looked at for minutes."""
    rng = np.random.default_rng(0)
    A, y = rng.normal(size=(60, 2)), rng.random(60)
    for ask in (fb.separation, fb.separability, lambda A, y: fb.Plan(A, y, loss="cross_entropy", method=GD)):
        with pytest.raises(ValueError, match="labels must be few values, whole numbers or strings.*, got 60 different numbers of 60"):
            ask(A, y)
    few = np.round(3 * y) / 2                                               # of several samples each they are
    assert fb.separability(A, few).classes.tolist() == [0.0, 0.5, 1.0, 1.5]


def test_losses_with_a_root_keep_y_as_numbers():
    plan = fb.Plan(X, [0, 1, 0, 1], loss="squared", method=GD)
    assert plan.problem.y.tolist() == [0, 1, 0, 1]
    assert plan.problem.classes is None
    with pytest.raises(TypeError, match="real numbers"):
        fb.Plan(X, ["a", "b", "a", "b"], loss="squared", method=GD)


@pytest.mark.parametrize(("labels", "error", "words"), [
    ([2, 2, 2, 2], ValueError, "labels must be −1 or [+]1 where they are all the same.*, got .2.$"),
    ([0, 0, 0, 0], ValueError, "got {0}"), (["a"] * 4, ValueError, "got {'a'}"),
    (["a", None, "b", "b"], TypeError, "y must be .* labels"), ([1, np.nan, 2, 2], ValueError, "y must be finite"),
    ([[1], [2], [2], [2]], ValueError, "y must be"), ([[1], [2, 3], [2], [2]], ValueError, "rows of different lengths"),
    ([1, -1, 1], ValueError, "one entry for each row of X, got 3 entries for 4 rows"), ([], ValueError, "y must be"),
    ([1, 1j, 1, 1], TypeError, "y must be"), (3, ValueError, "y must be"), (None, TypeError, "y must be"),
    (np.ma.masked_equal([1, -1, 1, 5], 5), TypeError, "masked")])
def test_labels_that_are_none(labels, error, words):
    for ask in (fb.separability, fb.max_margin, lambda A, y: fb.diagnose(A, y, [1, 1]),
                lambda A, y: fb.Plan(A, y, loss="exponential", method=GD)):
        with pytest.raises(error, match=words):
            ask(X, labels)


def test_labels_of_other_data_go_by_the_first_ones():
    trace = fb.run(X, ["b", "b", "a", "a"], loss="logistic", method=GD, steps=20)
    assert trace.evaluate(X[2:], ["a", "a"]).error[-1] == 0                 # a class alone, which by itself has no sign
    assert trace.evaluate(X[2:], ["b", "b"]).error[-1] == 1
    with pytest.raises(ValueError, match="labels must be among {'a', 'b'}, .* got {'c'}"):
        trace.evaluate(X[:1], ["c"])
    with pytest.raises(ValueError, match="labels must be among"):
        trace.evaluate(X[:1], [1])
    bools = fb.run(X, [True, True, False, False], loss="logistic", method=GD, steps=5)
    assert bools.evaluate(X, [1, 1, 0, 0]).error[-1] == 0


def test_traces_from_arrays_take_labels_of_any_kind():
    w = [[0.0, 0.0], [1.0, 1.0]]
    trace = fb.Trace.from_arrays(X, ["b", "b", "a", "a"], [0, 1], w)
    assert trace.problem.loss is fb.losses.logistic
    assert trace.classes.tolist() == ["a", "b"]
    assert trace.margin()[-1] == pytest.approx(3 / 2 ** 0.5)
    few = fb.Trace.from_arrays(X[:2], [2, 0], [0], np.zeros((1, 3, 2)))     # no sample of class 1
    assert few.problem.y.tolist() == [2, 0]
    with pytest.raises(ValueError, match="labels must be among"):
        fb.Trace.from_arrays(X[:2], [7, 9], [0], np.zeros((1, 3, 2)))


def test_what_labels_were_called_survives_saving_and_pickling(tmp_path):
    plan = fb.Plan(X, ["b", "b", "a", "a"], loss="logistic", method=GD)
    plan.run(10)
    plan.save(tmp_path / "plan")
    for other in (fb.Plan.load(tmp_path / "plan"), pickle.loads(pickle.dumps(plan))):
        assert other.problem.classes.tolist() == ["a", "b"]
        assert other.run(10).evaluate(X, ["b", "b", "a", "a"]).error[-1] == 0


def test_numbers_that_are_no_labels_do_not_fill_the_memory():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="labels must be so few that all pairs of them fit into memory, got 2000 classes"):
        fb.separability(rng.normal(size=(2000, 2)), rng.permutation(2000))


def test_rows_of_zeros_are_said():
    A = [[1, 2], [0, 0], [2, 1], [0, 0]]
    for told in (fb.separability(A[:3], [1, 1, 1]), fb.separability(A[:3], ["a", "b", "c"])):
        assert not told.separable
        assert "row 1 of X is all zeros, so its margin is 0 for every w" in str(told)
        assert "row 1 of X" in told.reason
    for ask in (fb.max_margin, lambda A, y: fb.diagnose(A, y, [1, 1])):
        with pytest.raises(ValueError, match="rows 1, 3 of X are all zeros"):
            ask(A, [1, 1, 1, 1])
    with pytest.raises(fb.NoTheorem, match="row 1 of X is all zeros"):
        fb.Plan(A[:3], [1, 1, 1], loss="logistic", method=m.adam(0.1)).limit()
    told = fb.psd_separability([np.eye(2), np.zeros((2, 2))], [1, 1])
    assert "row 1 of X is all zeros" in str(told)


def test_columns_of_very_different_sizes_are_said():
    """Gradient descent on a quadratic loss: the slowest direction shrinks by 1 − η σ_r² an update, η ≤ 1/σ₁²."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(20, 3)) * [1.0, 1e3, 1e6]
    y = np.sign(A[:, 0] + A[:, 1] / 1e3)
    statement = "the columns of X are of about one size, so that a run can arrive"
    clashing = fb.Plan(A[:, 1:] * [1, 1e3], -y * np.sign(rng.normal(size=20)), loss="logistic", method=GD).limit()
    assert clashing.kind == "point"
    told = [h for h in clashing.hypotheses if h.statement == statement]
    assert [h.holds for h in told] == [None]
    sigma = np.linalg.svd(A[:, 1:] * [1, 1e3], compute_uv=False)
    assert f"{(sigma[0] / sigma[1]) ** 2:.0e} updates" in told[0].evidence
    for B, method in ((A / [1, 1e3, 1e6], GD), (A, m.coordinate_descent(0.1))):
        limit = fb.Plan(B, y, loss="exponential", method=method).limit()
        assert statement not in [h.statement for h in limit.hypotheses]
    root = fb.Plan(A[:2], [1, 2], loss="squared", method=m.gradient_descent(1e-14)).limit()
    assert statement not in [h.statement for h in root.hypotheses]                      # both of the rows are long
    slow = fb.Plan(np.diag([1.0, 1e6]), [1, 1], loss="squared", method=m.gradient_descent(1e-14)).limit()
    assert [h.holds for h in slow.hypotheses if h.statement == statement] == [None]
    assert slow.certified
