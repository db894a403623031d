"""Limits off separable data, against runs, scipy's minimisers and published values."""
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

import fastbias as fb
from fastbias.solvers.cones import cone
from fastbias.solvers.margins import widest
from fastbias.solvers.minimiser import minimise

m, N, S = fb.methods, fb.norms, fb.steps
# UCLA's example of quasi-complete separation, and a column of ones
QUASI = np.array([[1.0, 3, 1], [2, 0, 1], [3, -1, 1], [3, 4, 1], [3, 1, 1], [4, 0, 1], [5, 2, 1], [6, 7, 1],
                  [10, 3, 1], [11, 4, 1]])
ANSWERS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
OVERLAP = np.array([[1.0, 0.2, 0.5], [-1, 0.3, 1.0], [0.1, -1, -2.0], [0.5, 0.5, -0.5], [-1, -0.5, 0.2]])


def plan_of(X, y=None, loss="logistic", method=None, **rest):
    return fb.Plan(X, np.ones(len(X)) if y is None else y, loss=loss, method=method or m.gradient_descent(0.01), **rest)


def holds(limit, words):
    return next(h.holds for h in limit.hypotheses if words in h.statement)


def refusal(plan):
    with pytest.raises(fb.NoTheorem) as refused:
        plan.limit()
    return refused.value


def planted(seed, d=4, k=2):
    """Rows of whole numbers: some that surround 0 in k dimensions, others strict in one more."""
    rng = np.random.default_rng(seed)
    inner, outer = rng.integers(-3, 4, size=(5 * k + 5, d)), rng.integers(-3, 4, size=(6, d))
    inner[:, k:], outer[:, k] = 0, rng.integers(1, 4, size=6)
    turn = np.eye(d, dtype=int) + np.triu(rng.integers(-1, 2, size=(d, d)), 1)
    return (np.vstack([inner, outer]) @ turn).astype(float), len(inner)


def slope_of(loss, margins):
    return np.exp(-margins) if loss == "exponential" else 1 / (1 + np.exp(margins))


@pytest.mark.long
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_overlap_ends_at_the_minimiser_and_keeps_what_the_data_do_not_see(loss):
    X = np.hstack([OVERLAP, OVERLAP[:, :1]])                       # the fourth feature is the first one again
    limit = plan_of(X, loss=loss, start=[1.0, 0, 0, -3.0]).limit()
    assert (limit.kind, limit.certified) == ("point", True)
    assert np.abs(slope_of(loss, X @ limit.w) @ X).max() < 1e-14
    assert limit.w[0] - limit.w[3] == pytest.approx(4.0, abs=1e-14)
    assert all(h.holds for h in limit.hypotheses)
    assert (limit.dual > 0).all()
    assert np.abs(limit.dual @ X).max() < 1e-14
    run = plan_of(X, loss=loss, start=[1.0, 0, 0, -3.0]).run(200_000)
    assert run.gap(limit)[-1] < 1e-12


@pytest.mark.long
def test_overlap_of_three_classes():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.integers(0, 3, 40)
    start = rng.normal(size=(3, 2))
    plan = plan_of(X, y, "cross_entropy", m.gradient_descent(0.03), start=start)
    limit = plan.limit()
    assert (limit.kind, limit.certified) == ("point", True)
    assert limit.w.sum(axis=0) == pytest.approx(start.sum(axis=0), abs=1e-13)
    assert plan.run(20_000).gap(limit)[-1] < 1e-13


D4 = np.diag([1.0, 4.0, 0.5, 2.0]) + 0.3
METRICS = [m.steepest_descent(N.quadratic(D4), 0.01), m.mirror_descent(fb.potentials.quadratic(D4), 0.01)]


@pytest.mark.long
@pytest.mark.parametrize("method", METRICS, ids=["steepest", "mirror"])
def test_metrics_have_their_own_point(method):
    X = np.hstack([OVERLAP, OVERLAP[:, :1]])
    plan = plan_of(X, method=method, start=[1.0, 0, 0, -3.0])
    limit = plan.limit()
    assert limit.certified
    assert plan.run(200_000).gap(limit)[-1] < 1e-12


@pytest.mark.long
@pytest.mark.parametrize("method", METRICS, ids=["steepest", "mirror"])
def test_metrics_have_their_own_ray(method):
    X = np.array([[1.0, 0, 0, 0], [-1, 0, 0, 0], [-2, 0, 0, 0], [1, 1, 2, 0.5], [0, 3, 1, 3]])
    plan = plan_of(X, method=method)
    limit = plan.limit()
    assert (limit.kind, limit.certified) == ("ray", True)
    assert limit.w @ D4 @ limit.w == pytest.approx(1.0, abs=1e-13)
    far = plan.fast_forward(1e4, record=[5e3, 1e4])
    growth = (far.w[-1] - far.w[-2]) / 5e3                          # → ŵ, of margin one
    assert growth == pytest.approx(limit.w / limit.margin, abs=2e-3)
    assert growth != pytest.approx(plan_of(X).limit().w / plan_of(X).limit().margin, abs=2e-2)
    assert far.finite_gap(limit)[-1] < 1e-8


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
@pytest.mark.parametrize("seed", range(4))
def test_a_ray_is_what_scipy_makes_of_its_parts(seed, loss):
    X, k = planted(seed)
    limit = plan_of(X, loss=loss, method=m.gradient_descent(1e-3)).limit()
    assert (limit.kind, limit.certified) == ("ray", True)
    inner, B = X[:k], np.linalg.svd(X[:k])[2][:2].T
    assert limit.span @ limit.span.T == pytest.approx(B @ B.T, abs=1e-13)
    # v̄ by quasi-Newton steps, and its gradient
    rows = inner @ B
    fun = {"logistic": lambda v: np.logaddexp(0, -rows @ v).sum(), "exponential": lambda v: np.exp(-rows @ v).sum()}
    rough = minimize(fun[loss], np.zeros(2), jac=lambda v: -slope_of(loss, rows @ v) @ rows, tol=1e-12)
    assert limit.offset == pytest.approx(B @ rough.x, abs=1e-5)
    assert np.abs(slope_of(loss, inner @ limit.offset) @ inner).max() < 1e-12
    # the margin, from the point of a hull nearest to 0
    across = X[k:] - X[k:] @ B @ B.T
    short = nnls(np.vstack([across.T, np.ones(len(across))]), np.append(np.zeros(4), 1.0))[1]
    assert limit.margin ** 2 == pytest.approx(short ** 2 / (1 - short ** 2), rel=1e-9)
    assert (across @ limit.w).min() == pytest.approx(limit.margin, rel=1e-12)
    assert np.abs(inner @ limit.w).max() < 1e-13
    assert np.linalg.norm(limit.dual @ (X - X @ B @ B.T)) == pytest.approx(limit.margin, rel=1e-9)
    assert (limit.dual[:k] == 0).all()


@pytest.mark.long
def test_the_published_example_of_quasi_complete_separation():
    plan = plan_of(QUASI, ANSWERS)
    limit = plan.limit()
    assert (limit.kind, limit.certified) == ("ray", True)
    assert limit.w == pytest.approx(np.array([1.0, 0, -3]) / 10 ** 0.5, abs=1e-14)
    assert limit.offset[1] == pytest.approx(-0.12062572003262266, abs=1e-14)
    assert holds(limit, "7 of 10 rows") is True
    # steps within the descent lemma, that the theorem does not speak of
    assert holds(limit, "loss falls at each") is True
    assert holds(limit, "theorem's steps") is None
    assert "finite part" in str(limit)
    run = plan.run(1_000_000, record=[100_000, 1_000_000])
    assert run.w[1:, 0] == pytest.approx([5.43262158, 7.7388], abs=1e-5)
    assert run.w[1, 0] == pytest.approx(5.43262158, abs=5e-9)
    gaps = run.finite_gap(limit)
    # far within the theorem's (log t)²/√t: what the strict rows still push falls like 1/t
    assert gaps[1] / gaps[2] == pytest.approx(10, rel=0.05)
    assert run.gap(limit)[-1] == pytest.approx(np.linalg.norm(run.w[-1] / np.linalg.norm(run.w[-1]) - limit.w))
    series = {s.quantity: s for s in plan.run(300_000).rates(limit)}
    assert series["finite gap"].predicted == -1
    assert series["finite gap"].fitted == pytest.approx(-1, abs=0.02)
    assert "margin gap" not in series


@pytest.mark.parametrize("far", [0, 1e6, 1e9, 1e12])
def test_a_ray_keeps_its_digits_where_strict_rows_are_next_to_the_span_of_the_others(far):
    """Across (1, 1, 0) the rows are (1, −1, 1) and (3, −3, −1), however far they go along it."""
    rows = [[1, 1, 0], [-1, -1, 0], [far + 1, far - 1, 1], [far + 3, far - 3, -1]]
    limit = plan_of(rows, loss="exponential", method=m.gradient_descent(1e-30)).limit()
    side = 2 ** 0.5
    flat = fb.max_margin([[side, 1], [3 * side, -1]], [1, 1])
    assert limit.certified
    assert limit.margin == pytest.approx(flat.margin, rel=1e-14)
    assert limit.w == pytest.approx([flat.w[0] / side, -flat.w[0] / side, flat.w[1]], abs=1e-14)


def test_rows_of_zeros_are_not_in_the_way_of_a_direction():
    limit = plan_of([[0.0, 0], [2, 1], [1, 2]]).limit()
    assert limit.kind == "ray"
    assert limit.w == pytest.approx([0.5 ** 0.5] * 2)
    assert limit.offset.tolist() == [0, 0]
    assert plan_of([[0.0, 0], [0, 0]], start=[3.0, 4.0]).limit().w.tolist() == [3, 4]


def test_flows_and_steps_that_vary():
    X, _ = planted(0)
    assert holds(plan_of(X, method=m.gradient_descent(1e-4)).limit(), "theorem's steps") is True
    slow = plan_of(X, method=m.gradient_descent(S.power(0.01, 0.5))).limit()
    assert holds(slow, "theorem's steps") is None
    assert not slow.rates
    assert holds(plan_of(X).limit(flow=True), "flow") is True
    assert plan_of(OVERLAP, method=m.gradient_descent(S.power(0.1, 0.5))).limit().kind == "point"
    for rows in (X, OVERLAP):
        assert "finite length" in refusal(plan_of(rows, method=m.gradient_descent(S.power(0.01, 2)))).reason


def test_steps_that_are_too_long_leave_it_open():
    limit = plan_of(OVERLAP, method=m.gradient_descent(50.0)).limit()
    assert holds(limit, "loss falls at each") is None
    assert holds(limit, "inf L") is None
    assert limit.certified


@pytest.mark.parametrize(("method", "loss"), [
    (m.gradient_descent(0.01, 0.5), "logistic"), (m.gradient_descent(0.01, batch=2, rng=0), "logistic"),
    (m.steepest_descent("linf", 0.01), "logistic"), (m.gradient_descent(0.01), "sigmoid"),
    (m.gradient_descent(S.loss_scaled(0.01)), "exponential")])
def test_what_no_theorem_covers_is_refused_with_what_is_known(method, loss):
    for rows in (OVERLAP, planted(0)[0]):
        told = refusal(plan_of(rows, loss=loss, method=method))
        assert "not separable" in told.reason
        assert "Ji & Telgarsky" in told.reason
        assert ("regularisation_path" in told.reason) == (loss != "sigmoid")
        assert np.abs(told.dual @ rows).max() < 1e-12
    classes = [[1.0, 0], [1, 0], [0, 1], [3, 1]], [0, 1, 2, 0], "cross_entropy"
    with pytest.raises(fb.NoTheorem, match="or cross-entropy"):
        plan_of(*classes, m.gradient_descent(0.01, 0.5)).limit()
    # gradient descent on them is that of next tokens, two of which come with one context
    assert plan_of(*classes).limit().kind == "ray"


def test_an_intercept_that_would_separate_is_named():
    told = refusal(plan_of([[1.0], [2], [3]], [-1, 1, 1], method=m.gradient_descent(0.01, 0.5)))
    assert "separable with an intercept" in told.reason
    assert "Plan(..., intercept=True)" in told.reason
    # a limit that there is says so beside how the data clash
    limit = plan_of([[1.0], [2], [3]], [-1, 1, 1]).limit()
    assert any("separable with an intercept" in h.evidence for h in limit.hypotheses)
    # a column of zeros is no intercept
    assert "Plan(..., intercept=True)" in refusal(plan_of([[1.0, 0], [2, 0], [3, 0]], [-1, 1, 1],
                                                          method=m.gradient_descent(0.01, 0.5))).reason
    # there is one already, or none would help
    for rows in ([[1.0, 1], [2, 1], [3, 1]], [[1.0], [1], [3]]):
        assert "with an intercept" not in refusal(plan_of(rows, [-1, 1, -1], method=m.gradient_descent(0.01, 0.5))).reason


@pytest.mark.long
@pytest.mark.parametrize("loss", ["logistic", "exponential", "probit"])
@pytest.mark.parametrize("separable", [True, False])
def test_weight_decay_ends_at_its_minimiser(loss, separable):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(20, 3))
    y = np.sign(X @ [1.0, 2, -1]) if separable else rng.choice([-1.0, 1.0], 20)
    plan = plan_of(X, y, loss, m.gradient_descent(0.003, weight_decay=0.5))
    limit = plan.limit()
    assert (limit.kind, limit.certified) == ("point", True)
    assert plan.run(30_000).gap(limit)[-1] < 1e-12
    assert plan.flow().gap(limit)[-1] < 1e-8
    assert holds(plan.limit(flow=True), "flow") is True
    # just under the longest step that theory admits the run still falls at every step
    most = plan_of(X, y, loss, m.gradient_descent(0.003, weight_decay=0.5)).max_step()
    near = plan_of(X, y, loss, m.gradient_descent(0.999 * most.step_size, weight_decay=0.5))
    trace = near.run(200, record=np.arange(201))
    costs = np.exp(trace.log_loss) + 0.25 * (trace.w ** 2).sum(axis=1)
    assert (np.diff(costs) <= 1e-13 * costs[0]).all()
    assert holds(near.limit(), "from any start") is True


def test_ridge_is_certified_where_its_minimiser_is_near_and_not_by_its_gradient_alone():
    # against the closed form of features that know nothing of each other, w = 2xy/(2x² + λ)
    for small, decay, near in ((1e-17, 1e-40, True), (1e-3, 1e-12, True), (1.0, 1e3, True)):
        plan = plan_of(np.diag([1.0, small]), np.ones(2), "squared", m.gradient_descent(1e-4, weight_decay=decay))
        exact = 2 * np.array([1, small]) / (2 * np.array([1, small]) ** 2 + decay)
        assert plan.limit().certified is near
        np.testing.assert_allclose(plan.limit().w, exact, rtol=1e-12)
    # two features that differ in the ninth digit: the gradient vanishes to rounding far from there
    twins = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9], [1.0, 1.0]])
    limit = plan_of(twins, np.array([1.0, 2.0, 3.0]), "squared", m.gradient_descent(0.01, weight_decay=1e-25)).limit()
    assert limit.duality_gap < 1e-10
    assert not limit.certified


def test_ridge_against_fractions():
    """Collinear columns, units far apart, weights of all sizes: within what is said, and 1e-8 where certified."""
    certain = 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        X, d = rng.normal(size=(int(rng.integers(2, 8)), 3)), 3
        if seed % 4 == 0:
            X[:, 2] = X[:, 0] + 10.0 ** -rng.integers(3, 12) * rng.normal(size=len(X))
        if seed % 4 == 1:
            X = X * 10.0 ** rng.integers(-9, 9, d)
        y, decay = rng.normal(size=len(X)), 10.0 ** rng.integers(-20, 2)
        c = 10.0 ** rng.uniform(-6, 6, len(X)) if seed % 2 else np.ones(len(X))
        limit = plan_of(X, y, "squared", m.gradient_descent(1e-12, weight_decay=decay), weights=c).limit()
        F, C, Y = ([Fraction(float(v)) for v in x] for x in (X.ravel(), c, y))
        rows = [F[i:i + d] for i in range(0, len(F), d)]
        system = [[2 * sum(e * r[i] * r[j] for e, r in zip(C, rows, strict=True)) + (i == j) * Fraction(float(decay))
                   for j in range(d)] + [2 * sum(e * r[i] * t for e, r, t in zip(C, rows, Y, strict=True))]
                  for i in range(d)]
        for i in range(d):                                          # (positive definite: no pivoting)
            system[i] = [v / system[i][i] for v in system[i]]
            system = [row if k == i else [a - row[i] * b for a, b in zip(row, system[i], strict=True)]
                      for k, row in enumerate(system)]
        exact = np.array([float(row[-1]) for row in system])
        off, units = np.abs(limit.w - exact), np.abs(X).max(axis=0)
        within = float(limit.hypotheses[0].evidence.split("within ")[1].split()[0])
        assert np.linalg.norm(off) <= 1.06 * within + 1e-15 * np.linalg.norm(exact)
        if limit.certified:
            assert (off * units).max() <= 1e-8 * max(1, np.abs(exact * units).max())
            certain += 1
    assert certain >= 10


def test_the_dual_of_ridge_knows_of_weights():
    rng = np.random.default_rng(7)
    X, y, c = rng.normal(size=(12, 3)), rng.normal(size=12), rng.uniform(0.1, 5, 12)
    limit = plan_of(X, y, "squared", m.gradient_descent(0.001, weight_decay=0.7), weights=c).limit()
    np.testing.assert_allclose(limit.w, np.linalg.solve(2 * X.T * c @ X + 0.7 * np.eye(3), 2 * X.T @ (c * y)),
                               rtol=1e-12)
    np.testing.assert_allclose(X.T @ limit.dual, 0.7 * limit.w, rtol=1e-10)


@pytest.mark.long
def test_rates_across_know_of_weights_and_of_what_the_finite_part_leaves_of_them():
    # across the last axis two rows whose pushes add up along (1, 0, 0) where they weigh the same
    rows, signs = np.array([[1.0, 1, 1], [1, -1, -1], [0, 0, 1], [0, 0, -1]]), np.ones(4)

    def fitted(weights):
        plan = plan_of(rows, signs, "exponential", m.gradient_descent(0.01), weights=weights)
        limit = plan.limit()
        trace = plan.fast_forward(1e5)
        known = {rate.quantity for rate in limit.rates}
        return "direction" in known, trace.gap(limit)[-1] * 1e5
    named, far = fitted(None)
    assert not named
    assert far < 1e-3
    for weights in ([1, 3, 1, 1], [1, 1, 3, 1]):
        named, far = fitted(weights)
        assert named
        assert far > 0.1


@pytest.mark.long
def test_weight_decay_of_classes_and_what_is_left_open():
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(20, 2)), rng.integers(0, 3, 20)
    plan = plan_of(X, y, "cross_entropy", m.gradient_descent(0.05, weight_decay=0.5), start=rng.normal(size=(3, 2)))
    assert plan.run(5_000).gap(plan.limit())[-1] < 1e-12
    heavy = plan_of(X, y > 0, method=m.gradient_descent(0.05, 0.5, weight_decay=0.5))
    assert holds(heavy.limit(), "from any start") is None
    assert heavy.run(5_000).gap(heavy.limit())[-1] < 1e-12
    with pytest.raises(fb.NoTheorem, match="weight decay"):
        plan_of(X, y > 0, method=m.gradient_descent(0.05, batch=2, rng=0, weight_decay=0.5)).limit()


def test_what_an_intercept_of_the_plan_is_is_said():
    def told(rows, labels, method):
        limit = plan_of(rows, labels, method=method, intercept=True).limit()
        return limit, next(h for h in limit.hypotheses if "intercept b" in h.statement)
    gd = m.gradient_descent(0.01)
    limit, row = told(QUASI[:, :2], ANSWERS, gd)
    assert limit.intercept == limit.w[-1]
    assert "the direction may be another" in row.evidence
    flipped = np.where(np.arange(10) == 8, 0, ANSWERS)
    limit, row = told(QUASI[:, :2], flipped, gd)
    assert "as a free one" in row.statement
    assert limit.intercept == pytest.approx(fb.separation(QUASI[:, :2], flipped).finite["(intercept)"], abs=1e-9)
    # 0 and 1: the margin with a penalised intercept has the direction of that with a free one
    assert "the limit may be another" in told(np.array([[0.0], [1.0]]), np.array([-1, 1]), gd)[1].evidence
    assert "λ‖w‖²" in told(QUASI[:, :2], ANSWERS, m.gradient_descent(0.01, weight_decay=0.1))[1].evidence


def test_where_classes_clash_is_said_by_sample_and_class():
    X, y = [[1, 2], [1, 2], [3, 1], [0, 1.0]], ["a", "b", "c", "c"]
    plan = fb.Plan(X, y, loss="cross_entropy", method=fb.methods.adam(0.1))
    with pytest.raises(fb.NoTheorem, match="at 0 against b"):
        plan.limit()


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150, 1e200])
def test_the_square_of_the_longest_row_may_be_beyond_float64(scale):
    limit = plan_of(np.array([[1.0, 0], [0, 1], [0, -1]]) * [scale, 1.0]).limit()
    assert (limit.kind, limit.certified) == ("ray", True)
    assert limit.w == pytest.approx(np.array([1.0, 0]), abs=1e-15)
    assert (holds(limit, "η ≤ 1/(2B²L(w))") is True) == (scale <= 1)


def test_a_column_of_zeros_is_no_intercept():
    refused = refusal(plan_of([[1.0, 0], [2, 0], [3, 0]], [-1, 1, 1], method=m.gradient_descent(0.01, 0.5)))
    assert "separable with an intercept" in refused.reason


def test_rates_of_a_ray_in_another_metric_are_those_of_its_own_support():
    X = np.array([[2.0, 0, 0], [0, 0, 0], [-1, 3, -2], [-2, 3, 1]])
    D = np.array([[3.048, -2.564, -4.089], [-2.564, 3.628, 2.679], [-4.089, 2.679, 7]])
    limit = plan_of(X, method=m.steepest_descent(N.quadratic(D), 0.0005)).limit()
    assert (limit.kind, limit.certified) == ("ray", True)
    assert {"direction", "finite gap"} <= {rate.quantity for rate in limit.rates}
    assert limit.w @ D @ limit.w == pytest.approx(1, rel=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("weights", [[1.0, 1, 1, 1], [1, 1, 1, 3], [1, np.e, 1, 1]])
def test_a_ray_is_as_fast_as_the_weights_of_its_support_allow(weights):
    # the first row's part of w is -1/2 where the first two weigh 1 and e, and sets the last two apart
    X = [[1.0, 0, 0], [-1, 0, 0], [1, 1, 1], [-1, 1, -1]]
    limit = plan_of(X, loss="exponential", method=m.gradient_descent(0.01), weights=weights).limit()
    assert limit.w == pytest.approx(np.array([0, 1, 0]), abs=1e-12)
    assert limit.offset == pytest.approx(np.array([-np.log(weights[1]) / 2, 0, 0]), abs=1e-12)
    assert ("direction" in {rate.quantity for rate in limit.rates}) == (max(weights) > 1)
    late = plan_of(X, loss="exponential", method=m.gradient_descent(0.01), weights=weights).fast_forward(1e4, [1e3, 1e4])
    gaps = late.gap(limit)
    assert gaps[1] < 1e-12 if max(weights) == 1 else gaps[1] == pytest.approx(gaps[0] / 10, rel=0.05)


@pytest.mark.parametrize("X", [[[1.0, 0], [0, 1], [0, -1]], [[1.0, 0], [0, 1], [-1, -1]]], ids=["ray", "point"])
def test_nothing_is_certified_that_rests_on_what_is_not(X, monkeypatch):
    plan = plan_of(X)
    assert plan.limit().certified
    for name, spoilt in (("cone", lambda rows: replace(cone(rows), proved=False, reason="rounding")),
                         ("minimise", lambda *given: minimise(*given)._replace(certified=False))):
        with monkeypatch.context() as patch:
            patch.setattr(f"fastbias.theory.inseparable.{name}", spoilt)
            assert not plan.limit().certified
    with monkeypatch.context() as patch:
        patch.setattr("fastbias.theory.inseparable.widest", lambda *given: replace(widest(*given), certified=False))
        limit = plan.limit()
        assert limit.certified == (limit.kind == "point")
