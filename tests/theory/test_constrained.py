"""Momentum in the gradient, decoupled decay and steps that fall: what theory says, and where runs go."""
import dataclasses
import sys

import cvxpy as cp
import numpy as np
import pytest

import fastbias as fb
from tests.helpers import JIT
from tests.helpers.problems import separable

m, n, S = fb.methods, fb.norms, fb.steps
Z, t = separable(8, 3, 1)
A, b = fb.data.random_regression(7, 3, rng=2)
b = b + np.sin(np.arange(7))
CLASH = np.vstack([Z, [[0.5, 0.1, 0.2], [0.4, 0.2, 0.1]]]), np.append(t, [1.0, -1.0])
FALL = S.power(0.5, 0.75)


def plan_of(method, X=Z, y=t, loss="logistic", **extra):
    return fb.Plan(X, y, loss=loss, method=method, **extra)


def solved(X, y, loss, norm, radius):
    """The least loss over the ball, as cvxpy has it."""
    w = cp.Variable(X.shape[1])
    value = {"squared": lambda p: cp.sum_squares(p - y), "logistic": lambda p: cp.sum(cp.logistic(cp.multiply(-y, p))),
             "exponential": lambda p: cp.sum(cp.exp(cp.multiply(-y, p)))}[loss](X @ w)
    cp.Problem(cp.Minimize(value), [cp.norm(w, norm) <= radius]).solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11,
                                                                       tol_feas=1e-11)
    return w.value


DECAYED = {
    "ngd": (lambda c: m.steepest_descent("l2", FALL, True, weight_decay=1 / c), 2),
    "ngd momentum": (lambda c: m.steepest_descent("l2", FALL, True, momentum=0.9, nesterov=0.9, weight_decay=1 / c), 2),
    "sign": (lambda c: m.sign_descent(FALL, weight_decay=1 / c), "inf"),
    "signum": (lambda c: m.signum(FALL, weight_decay=1 / c), "inf"),
    "lion": (lambda c: m.lion(FALL, weight_decay=1 / c), "inf"),
    "l1": (lambda c: m.steepest_descent("l1", FALL, True, weight_decay=1 / c), 1),
}


@pytest.mark.parametrize("loss", ["logistic", "squared", "exponential"])
@pytest.mark.parametrize("case", DECAYED)
def test_decoupled_decay_ends_at_the_least_loss_over_a_ball(case, loss):
    make, norm = DECAYED[case]
    X, y = (A, b) if loss == "squared" else CLASH
    for radius in (0.3, 2.0):
        plan = plan_of(make(radius), X, y, loss)
        limit = plan.limit()
        assert limit.certified, limit.duality_gap
        assert limit.kind == "point"
        assert all(h.holds for h in limit.hypotheses), limit
        assert limit.w == pytest.approx(solved(X, y, loss, norm, radius), abs=2e-4)
        if JIT:
            trace = plan.run(200_000, record=10)
            assert trace.gap(limit)[-1] < 0.02 * radius
            assert trace.log_loss[-1] >= np.log(np.exp(fb.regularisation_path(X, y, [radius], str(limit_norm(norm)), loss)
                                                       .log_loss[-1])) - 1e-3


def limit_norm(norm):
    return {2: "l2", 1: "l1", "inf": "linf"}[norm]


@pytest.mark.long
def test_adamw_without_eps_comes_to_the_point_of_the_box():
    plan = plan_of(m.adamw(S.power(0.05, 0.6), eps=0, weight_decay=2.0), *CLASH)
    limit = plan.limit()
    assert limit.certified
    assert {h.statement: h.holds for h in limit.hypotheses}["the run converges"] is None
    assert limit.w == pytest.approx(solved(*CLASH, "logistic", "inf", 0.5), abs=1e-5)
    assert plan.run(200_000, record=10).gap(limit)[-1] < 0.02


@pytest.mark.parametrize(("method", "extra", "words"), [
    (m.signum(0.1, weight_decay=0.5), {}, "hover|within O"), (m.signum(S.power(0.1, 1.5), weight_decay=0.5), {}, "finite"),
    (m.adamw(FALL), {}, "no ε"), (m.adamw(0.1, eps=0), {}, "fall to 0"), (m.adamw(FALL, 0.9, 0.5, 0), {}, "β₁ ≤ β₂"),
    (m.steepest_descent("l2", FALL, weight_decay=0.5), {}, r"gradient_descent\(weight_decay=λ\)"),
    (m.adadelta(FALL, weight_decay=0.5), {}, "length one"), (m.muon(FALL, orthogonalise="ns5", weight_decay=0.1),
                                                             {"X": Z[:, :2, None] * [[1.0, 2]]}, "length one"),
    (m.signum(FALL, weight_decay=0.5), {"loss": "sigmoid"}, "convex"),
    (m.signum(FALL, weight_decay=0.5, batch=2, rng=1), {}, "batches"),
    (m.signum(FALL, weight_decay=0.5, gradient_noise=0.1, rng=1), {}, "noise"),
    (m.adamw(FALL, eps=0.0, clip=1.0), {}, "cuts"),
    (m.signum(FALL, weight_decay=0.5), {"model": fb.models.diagonal(2), "start": np.ones(6)}, "model"),
])
def test_what_it_does_not_cover_is_refused(method, extra, words):
    with pytest.raises(fb.NoTheorem, match=words):
        plan_of(method, **extra).limit()


def test_several_points_of_least_loss_are_no_limit():
    plan = plan_of(m.signum(FALL, weight_decay=0.1), [[1.0, 2, 3]], [1.0], "squared")
    with pytest.raises(fb.NoTheorem, match="several points"):
        plan.limit()


@pytest.mark.parametrize(("loss", "y", "alone"), [
    ("logistic", t, True), ("cross_entropy", np.arange(8) % 3, None), (fb.losses.huber(0.1), np.arange(8.0), None)])
def test_one_point_is_claimed_of_strictly_convex_losses_alone(loss, y, alone):
    """(The cross-entropy does not see what all classes have in common, and Huber's tails are straight.)"""
    limit = plan_of(m.sign_descent(FALL, weight_decay=0.5), Z, y, loss).limit()
    assert next(h.holds for h in limit.hypotheses if "one point" in h.statement) is alone


def test_a_point_outside_the_ball_is_not_certified_however_small_its_loss(monkeypatch):
    plan = plan_of(m.steepest_descent("l2", FALL, True, weight_decay=0.5), [[1.0, 0.0], [0.0, 2.0]], [1.0, 9.0], "squared")
    assert plan.limit().certified
    monkeypatch.setattr(sys.modules["fastbias.theory.constrained"], "_least", lambda *asked: np.array([1.0, 4.5]))
    limit = plan.limit()
    assert not limit.certified
    assert limit.duality_gap == np.inf


def test_a_ball_that_only_touches_the_solutions_may_have_but_one_of_them():
    limit = plan_of(m.steepest_descent("l2", FALL, True, weight_decay=1.0), [[1.0, 0.0]], [1.0], "squared").limit()
    assert limit.w == pytest.approx([1.0, 0.0], abs=1e-9)
    assert next(h.holds for h in limit.hypotheses if "one point" in h.statement) is None


def test_a_ball_that_holds_the_solution_ends_there():
    X, y = fb.data.random_regression(3, 3, rng=2)
    limit = plan_of(m.signum(FALL, weight_decay=0.01), X, y, "squared").limit()
    assert limit.certified
    assert limit.w == pytest.approx(np.linalg.solve(X, y), rel=1e-9)
    assert plan_of(m.signum(FALL, weight_decay=0.01), X, y, fb.losses.huber(0.1)).limit().certified


def test_outputs_and_classes_have_their_ball():
    """K regressions in one ball of the entries; K classes in that of the singular values."""
    Y = np.stack([b, b[::-1]], axis=1)
    limit = plan_of(m.steepest_descent("l2", FALL, True, weight_decay=2.0), A, Y, "squared").limit()
    W = cp.Variable((2, 3))
    cp.Problem(cp.Minimize(cp.sum_squares(A @ W.T - Y)), [cp.norm(W, "fro") <= 0.5]).solve(solver="CLARABEL")
    assert limit.certified
    assert limit.w == pytest.approx(W.value, abs=1e-4)
    assert limit.dual.shape == Y.shape
    classes = plan_of(m.muon(FALL, weight_decay=0.5), Z, np.arange(8) % 3, "cross_entropy").limit()
    assert classes.certified
    assert np.linalg.svd(classes.w)[1].max() == pytest.approx(2.0, rel=1e-6)


def test_decayed_by_hand_no_theorem_speaks():
    changed = dataclasses.replace(m.signum(FALL, weight_decay=0.5), shrink=0.0)
    with pytest.raises(fb.NoTheorem, match="one's own"):
        plan_of(changed).limit()


# --- momentum in the gradient -----------------------------------------------------------------------------------------

MIXED = {"signum": (m.signum(FALL), "linf"), "nesterov": (m.signum(FALL, nesterov=0.9), "linf"), "lion": (m.lion(FALL), "linf"),
         "ngd": (m.steepest_descent("l2", FALL, True, momentum=0.9), "l2"),
         "lp": (m.steepest_descent(n.lp(1.5), FALL, True, momentum=0.9, nesterov=0.5), n.lp(1.5))}


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("case", MIXED)
def test_momentum_in_normalised_steps_keeps_the_margin(case, loss):
    method, norm = MIXED[case]
    plan = plan_of(method, loss=loss)
    limit = plan.limit()
    assert limit.certified
    told = {h.statement: h.holds for h in limit.hypotheses}
    assert told["momentum in the gradient keeps the direction"] is True
    assert told["L(w_t) → 0"] is True
    assert limit.margin == pytest.approx(fb.max_margin(Z, t, norm).margin, rel=1e-9)
    if JIT:
        assert plan.run(100_000, record=5).margin(norm)[-1] > 0.97 * limit.margin


@pytest.mark.parametrize("method", [m.signum(0.1), m.lion(0.1), m.signum(S.power(0.1, 1.2))], ids=repr)
def test_momentum_in_steps_that_do_not_fall_is_refused(method):
    with pytest.raises(fb.NoTheorem, match="fixed length"):
        plan_of(method).limit()


def test_lion_that_weighs_the_past_more_declares_no_direction():
    with pytest.raises(fb.NoTheorem, match="β₁ outweighs"):
        plan_of(m.lion(FALL, 0.99, 0.5)).limit()


def test_newton_and_schulz_are_no_polar_factor():
    X = Z[:, :2, None] * [[1.0, 2]]
    with pytest.raises(fb.NoTheorem, match="polar factor"):
        plan_of(m.muon(FALL, orthogonalise="ns5"), X).limit()
    assert plan_of(m.muon(FALL), X).limit().certified


# --- steps ------------------------------------------------------------------------------------------------------------

def told(rule, method=m.sign_descent):
    try:
        return plan_of(method(rule)).limit().hypotheses
    except fb.NoTheorem as error:
        return error.hypotheses


@pytest.mark.parametrize(("rule", "endless", "falls"), [
    (0.1, True, False), ([0.1, 0.05, 0.05], True, False), (list(0.1 / np.arange(1, 50)), None, None), ([0.3, 0.2, 0.1], None, None),
    (S.power(0.1, 0.5), True, True), (S.power(0.1, 0.5, offset=100, warmup=50), True, True), (S.power(0.1, 0, warmup=9), True, False),
    (S.power(0.1, 1.5, offset=3), False, True), (S.cosine(0.1, 100), False, True), (S.cosine(0.1, 100, 0.01), True, False),
])
def test_hypotheses_on_steps(rule, endless, falls):
    rows = {h.statement: h.holds for h in told(rule)}
    assert rows["the step sizes add up to infinity"] is endless
    assert rows["the step sizes fall to 0"] is falls


def test_an_array_that_falls_is_no_constant_step():
    falling = 0.1 / np.sqrt(np.arange(1, 200))
    limit = plan_of(m.sign_descent(falling)).limit()
    assert limit.certified
    assert any("its last entry goes on" in h.evidence for h in limit.hypotheses)
    assert not plan_of(m.gradient_descent(falling), loss="exponential").limit().rates
    assert plan_of(m.gradient_descent(np.append(falling, falling[-1])), loss="exponential").limit().rates
    with pytest.raises(fb.NoTheorem, match="no continuation"):
        plan_of(m.gradient_descent(falling)).fast_forward(log_t=50)


@pytest.mark.parametrize("rule", [S.power(0.1, 0.5, offset=10), S.power(0.1, 0.5, warmup=10), S.cosine(0.1, 100, 0.01)], ids=repr)
def test_steps_that_begin_late_are_not_fast_forwarded(rule):
    with pytest.raises(LookupError):
        plan_of(m.gradient_descent(rule)).fast_forward(log_t=50)


@pytest.mark.parametrize("rule", [S.power(0.3, 0.5, offset=3, warmup=40), S.power(2.0, 1.7, offset=30, warmup=60),
                                  S.power(0.3, 1.0, offset=0.5, warmup=9), S.power(1, 0.3, offset=0.01, warmup=30),
                                  S.cosine(0.4, 30, 0.1), S.sequence([0.1, 0.5, 0.2, 0.3]), S.constant(0.2), S.power(0.3, 2)], ids=repr)
def test_the_largest_step_to_come(rule):
    for k in (0, 1, 2, 5, 29, 30, 59, 100):
        assert rule.most(k) == pytest.approx(max(rule(i) for i in range(k, 200)), rel=1e-12)


def test_the_last_step_decides_the_asymptote():
    """Of a cosine that ends at a floor: w(t) − ŵ log t tends to what the floor alone gives."""
    one = plan_of(m.gradient_descent(S.cosine(0.1, 50, 0.02)), [[1, 0.5], [0, 1]], [1, 1], "exponential").limit()
    other = plan_of(m.gradient_descent(0.02), [[1, 0.5], [0, 1]], [1, 1], "exponential").limit()
    assert one.offset is not None
    assert one.offset == pytest.approx(other.offset, rel=1e-12)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: S.power(0.1, 0.5, offset=0), "offset must be"), (lambda: S.power(0.1, 0.5, warmup=-1), "warmup must be"),
    (lambda: S.power(0.1, 0.5, warmup=1.5), "warmup must be"), (lambda: S.cosine(0.1, 0), "total must be"),
    (lambda: S.cosine(0.1, 10, 0.2), "floor must be"), (lambda: S.cosine(-0.1, 10), "eta must be"),
    (lambda: S.power(0.1, -1, 2, 3), "a must be"),
])
def test_bad_rules(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# --- sets that are no theorem's --------------------------------------------------------------------------------------

KEPT = {(-0.2, 0.5): lambda u: np.clip(u, -0.2, 0.5), "orthant": lambda u: np.maximum(u, 0),
        "ball": lambda u: u / max(1.0, np.linalg.norm(u))}


@pytest.mark.parametrize("onto", KEPT, ids=str)
def test_parameters_kept_in_a_set_end_at_its_minimum_and_have_no_theorem(onto, tmp_path):
    """Full column rank: one minimum in W, w = P(w − ∇L(w)); going on from a file is bitwise the same."""
    A, b = np.array([[1.0, 2.0], [2.0, -1.0], [1.0, 1.0]]), np.array([3.0, -1.0, 1.0])
    plan = fb.Plan(A, b, loss="squared", method=fb.methods.projected(fb.methods.gradient_descent(0.05, 0.3), onto))
    w = plan.run(400).w[-1]
    assert np.allclose(w, KEPT[onto](w - 2 * A.T @ (A @ w - b)), atol=1e-9)
    for asked in (plan.limit, plan.max_step):
        with pytest.raises(fb.NoTheorem, match="leaves the bias open"):
            asked()
    with pytest.raises(LookupError):
        plan.fast_forward(10.0)
    with pytest.raises(ValueError, match="flow"):
        plan.flow(1.0)
    plan.save(tmp_path / "plan.npz")
    again = fb.Plan.load(tmp_path / "plan.npz")
    assert again.problem.method.within == plan.problem.method.within
    assert np.array_equal(again.run(7).u, plan.run(7).u)


@pytest.mark.parametrize("start", [[0.3, 0.3, 0.4], [1e300, 1e300, -1e300], [5.0, 5.0, 5.0], [1e16, 1.0, 0.0], [-3.0, -3.0, -9.0]])
def test_the_simplex_is_met_from_anywhere(start):
    method = fb.methods.projected(fb.methods.gradient_descent(1e-300), "simplex", 1.0)
    w = fb.Plan(np.eye(3), np.zeros(3), loss=fb.losses.huber(1.0), method=method, start=start).run(1).w[-1]
    order = np.sort(start)[::-1]
    assert w.sum() == pytest.approx(1.0, abs=1e-14)
    assert (w >= 0).all()
    assert w.max() == (1.0 if order[0] - order[1] >= 1 else w[np.argmax(start)])


@pytest.mark.parametrize(("make", "words"), [
    (lambda m: m.projected(m.mirror_descent("entropy", 0.1), "ball"), "must keep nothing"),
    (lambda m: m.projected(m.dual_acceleration(), "ball"), "must keep nothing"),
    (lambda m: m.projected(m.sign_descent(0.1), "cube"), "onto must be one of"),
    (lambda m: m.projected(m.sign_descent(0.1), (1, 0)), "lower bound under"),
    (lambda m: m.projected(m.sign_descent(0.1), (0, 1), 2.0), "left at 1"),
    (lambda m: m.projected(m.sign_descent(0.1), "ball", precision=8), "precision must be None"),
    (lambda m: m.projected(m.sharpness_aware(m.sign_descent(0.1), 0.1), "ball"), "sharpness_aware takes one"),
    (lambda m: fb.Plan([[1.0]], [1], loss="exponential", method=m.projected(m.gradient_descent(
        fb.steps.line_search()), "ball")), "exact line search")])
def test_what_cannot_be_kept_in_a_set_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make(fb.methods)
