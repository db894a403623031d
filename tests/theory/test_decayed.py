"""Weight decay on the linear model: ridge regression in closed form, in features of any size."""
import numpy as np
import pytest

import fastbias as fb

m = fb.methods


def test_weight_decay_of_the_linear_model_is_ridge_regression():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4, 3)), rng.normal(size=4)
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.02, weight_decay=0.5))
    limit = plan.limit()
    assert limit.certified
    assert limit.w == pytest.approx(np.linalg.solve(2 * X.T @ X + 0.5 * np.eye(3), 2 * X.T @ y), rel=1e-12)
    assert plan.run(3000).gap(limit)[-1] < 1e-12


def ridge(X, decay, y=(1.0, 1.0), **rest):
    return fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.1, weight_decay=decay), **rest).limit()


@pytest.mark.parametrize(("features", "decay"), [((1.0, 1e-17), 1e-30), ((1e150, 1e-150), 1e-3), ((1e-170, 1e-169), 1e-3),
                                                 ((1.0, 1e-12), 1e-30), ((1.0, 0.0), 1e-12)])
def test_ridge_regression_is_right_in_features_of_any_size(features, decay):
    x = np.array(features)
    limit = ridge(np.diag(x), decay)
    # with 1/x, as x² overflows
    assert limit.w == pytest.approx([1 / (v + decay / 2 / v) if v else 0.0 for v in x.tolist()], rel=1e-12)
    # (where rounding of the one could be all of the other nothing need be proved)
    assert limit.certified or max(features) > 1e100


def test_ridge_regression_where_features_nearly_depend_on_each_other_is_not_certified():
    near = np.array([[1.0, 1], [1, 1 + 2.0**-40]])
    # exactly: w = (-2^40 + 1, 2^40) but for the decay
    assert not ridge(near, 1e-26, (1.0, 2)).certified
    assert ridge(near, 1e-3, (1.0, 2)).certified


def test_the_dual_of_ridge_regression_with_weights_is_of_the_samples_as_they_are():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(5, 3)), rng.normal(size=5)
    limit = ridge(X, 0.3, y, weights=[1.0, 2, 0.5, 3, 1])
    assert X.T @ limit.dual == pytest.approx(0.3 * limit.w, rel=1e-12)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_steps_that_add_up_to_a_finite_length_do_not_reach_what_weight_decay_wants(loss):
    method = m.gradient_descent(fb.steps.power(0.1, 2.0), weight_decay=0.1)
    with pytest.raises(fb.NoTheorem, match="finite length"):
        fb.Plan([[1.0, 0], [0, 1], [0, -1]], [1, 1, 1], loss=loss, method=method).limit()
