"""What limit() claims, held against runs and closed forms."""
import dataclasses
from functools import partial

import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers.limit import Hypothesis
from tests.helpers.problems import (
    CROSS,
    SLID,
    SOUDRY_X,
    SOUDRY_Y,
    XK,
    YK,
    X,
    evidence,
    holds,
    limit,
    separable,
    y,
)

m, N, S, P, M = fb.methods, fb.norms, fb.steps, fb.potentials, fb.models
long = pytest.mark.long


def refusal(method, loss, data):
    try:
        limit(method, loss, data)
    except fb.NoTheorem as refused:
        return refused.reason
    return ""


# --- exact line searches ---------------------------------------------------------------------------------------------

@long
def test_searches_in_linf_miss_the_margin_for_good_and_are_refused():
    """The example that the refusal names, by a run: three quarters of the margin, for ever."""
    Z, ones = np.array([[0.0, -1, -2], [-2, 2, 3]]), np.ones(2)
    method = m.steepest_descent("linf", S.line_search())
    trace = fb.run(Z, ones, loss="exponential", method=method, steps=100_000, record=[1000, 10_000, 100_000])
    fractions = trace.margin(N.linf)[1:] / fb.max_margin(Z, ones, "linf").margin
    assert fractions == pytest.approx(0.75, abs=1e-3)
    with pytest.raises(fb.NoTheorem, match="3/4 of it"):
        limit(method, data=(Z, ones))


@pytest.mark.parametrize("method", [
    m.steepest_descent("linf", S.line_search()), m.steepest_descent(N.lp(1.5), S.line_search()),
    m.adam(S.line_search(), eps=0),
    m.steepest_descent("linf", S.line_search(), normalised=True), m.sign_descent(S.line_search()),
    m.coordinate_descent(S.line_search()), m.steepest_descent("l1", S.line_search())], ids=repr)
def test_no_theorem_covers_searches_in_other_norms(method):
    Z = np.array([[0.0, -1, -2], [-2, 2, 3]])
    with pytest.raises(fb.NoTheorem, match="exact line search"):
        limit(method, data=(Z, np.ones(2)))


def test_searches_in_quadratic_norms_are_named_but_no_theorem_is_claimed():
    Z = np.array([[0.0, -1, -2], [-2, 2, 3]]), np.ones(2)
    for method in (m.gradient_descent(S.line_search()), m.steepest_descent(N.quadratic([1.0, 2, 3]), S.line_search())):
        told = limit(method, data=Z)
        assert holds(told, "covers exact line searches") is None
        assert holds(told, "L(w_t) → 0") is True


@pytest.mark.long
@pytest.mark.parametrize("method", [
    m.gradient_descent(S.line_search()), m.coordinate_descent(S.line_search()), m.natural_gradient("cosh", S.line_search()),
    m.coordinate_descent(S.line_search(), ties="average", shrinkage=0.5), m.steepest_descent("linf", S.line_search()),
    m.steepest_descent(N.quadratic([1.0, 3.0, 2.0]), S.line_search())], ids=repr)
def test_searches_that_must_end_unbounded_are_told_with_their_step(method):
    """Whenever it is said, the run ends at that very step; one sample, and columns of one sign, are always said."""
    said = 0
    for seed in range(30):
        A, b = separable(2 + seed % 4, 3, seed)
        if seed % 3 == 0:
            A = np.round(2 * A)
        if not np.abs(A).sum(1).all() or not fb.separability(A, b).separable:
            continue
        loss = ("exponential", "logistic")[seed % 2]
        trace = fb.run(A, b, loss=loss, method=method, steps=16, record=2, strict=False)
        reason = refusal(method, loss, (A, b))
        if "UNBOUNDED" in reason:
            said += 1
            assert trace.status == fb.Status.UNBOUNDED
            assert f"at step {trace.t[-1]} " in reason
    assert said > 5
    with pytest.raises(fb.NoTheorem, match="searched at step 0 .* UNBOUNDED"):
        limit(method, data=([[1.0, -2.0, 0.5]], [1]))


def test_where_a_run_stands_counts_for_its_searches():
    A, b = np.array([[0.0, -1, -2], [-2, 2, 3]]), np.ones(2)
    plan = fb.Plan(A, b, loss="exponential", method=m.gradient_descent(S.line_search()))
    plan.run(10)
    assert plan.limit().certified
    with pytest.raises(fb.NoTheorem, match="search of one's own"):
        limit(m.gradient_descent(dataclasses.replace(S.line_search(), params=np.array([2.0]))))


# --- losses that are not convex, and L → 0 ---------------------------------------------------------------------------

@long
def test_sigmoid_needs_a_loss_under_that_of_one_wrong_sample():
    """A sample that is wrong by far is left so: the open row closes only once log L < log ℓ(0), and never here."""
    A, b = np.array([[1.0, 0.1], [-1.0, 0.1]]), np.ones(2)
    plan = fb.Plan(A, b, loss="sigmoid", method=m.gradient_descent(1.0), start=[40.0, 0.0])
    assert holds(plan.limit(), "log L < log ℓ(0)") is None
    plan.run(100_000)
    assert (A @ plan.u).min() < -39
    assert holds(plan.limit(), "log L < log ℓ(0)") is None
    assert holds(plan.limit(), "L(w_t) → 0") is None
    good = fb.Plan(A, b, loss="sigmoid", method=m.gradient_descent(1.0))
    assert holds(good.limit(), "log L < log ℓ(0)") is None
    trace = good.run(20_000)
    assert trace.log_loss[-1] < np.log(0.5)
    assert holds(good.limit(), "log L < log ℓ(0)") is True
    assert holds(good.limit(), "L(w_t) → 0") is True
    assert good.run(2_000_000).log_loss[-1] < -8
    assert not any("log ℓ(0)" in h.statement for h in limit(m.gradient_descent(0.01)).hypotheses)


@pytest.mark.long
@pytest.mark.parametrize(("make", "norm"), [(m.gradient_descent, "l2"), (partial(m.steepest_descent, "linf"), "linf"),
                                            (partial(m.steepest_descent, fb.norms.lp(1.5)), "l1.5")], ids=["l2", "linf", "l1.5"])
def test_steps_over_the_loss_that_fall_reach_the_whole_margin(make, norm):
    """η/(L√t): proved where η/L alone stops short; with a finite sum it is refused, and the loss stays where it is."""
    A, b = np.array([[2.0, 1.0], [1.0, 3.0], [1.0, -0.5], [0.6, 0.2]]), np.ones(4)
    long = fb.Plan(A, b, loss="exponential", method=make(S.loss_scaled(1.0, 0.5)))
    limit = long.limit()
    assert limit.certified
    assert limit.norm.name == norm
    assert [h.holds for h in limit.hypotheses if "sum" in h.statement or "add up" in h.statement or "η → 0" in h.statement].count(False) == 0
    gaps = long.run(200_000, record=[2_000, 200_000]).margin(limit.norm)[1:] / limit.margin
    assert 1 - gaps[1] < 0.3 * (1 - gaps[0])                             # (log t/√t)
    assert gaps[1] > 0.98
    ends = fb.Plan(A, b, loss="exponential", method=make(S.loss_scaled(0.01, 2.0)))
    with pytest.raises(fb.NoTheorem, match="a ≤ 1|add up to a finite"):
        ends.limit()
    trace = ends.run(200_000, record=[100_000])
    assert abs(trace.log_loss[-1] - trace.log_loss[-2]) < 1e-6
    assert trace.log_loss[-1] > -1
    with pytest.raises(LookupError):
        long.fast_forward(30.0)


@pytest.mark.long
@pytest.mark.parametrize(("method", "loss", "known"), [
    (m.gradient_descent(0.01), "exponential", True), (m.gradient_descent(10.0), "exponential", None),
    (m.gradient_descent(0.1), "logistic", True), (m.gradient_descent(S.power(0.1, 1.0)), "logistic", True),
    (m.gradient_descent(S.bounded(1.0)), "exponential", True), (m.gradient_descent(S.bounded(1.0)), "logistic", None),
    (m.gradient_descent(S.loss_scaled(0.05)), "exponential", True),
    (m.gradient_descent(S.loss_scaled(5.0)), "exponential", None),
    (m.gradient_descent(S.loss_scaled(0.05, 0.5)), "exponential", True),
    (m.steepest_descent("linf", S.loss_scaled(0.01, 0.5)), "exponential", True),
    (m.gradient_descent(0.01, 0.5), "logistic", None), (m.gradient_descent(0.01, batch=1, rng=0), "logistic", None),
    (m.steepest_descent("linf", 0.001), "exponential", True), (m.coordinate_descent(0.001), "logistic", True),
    (m.sign_descent(S.power(0.1, 0.5)), "logistic", True),
    (m.muon(0.1), "exponential", True), (m.adam(S.power(0.1, 0.5), eps=0), "exponential", None),
    (m.mirror_descent("cosh", 0.1), "exponential", None),
    (m.mirror_descent(P.quadratic([1.0, 2.0]), 0.01), "logistic", True),
], ids=repr)
def test_that_the_loss_vanishes_is_told_where_it_is_proved(method, loss, known):
    if method.name == "muon":
        plan = fb.Plan(XK, YK, loss="cross_entropy", method=m.muon(S.power(0.1, 0.5)))
    else:
        plan = fb.Plan(*CROSS, loss=loss, method=method)
    assert holds(plan.limit(), "L(w_t) → 0") is known
    if known:
        trace = plan.run(20_000)
        assert (np.diff(trace.log_loss) < 1e-9).all() or method.unscaled
        assert trace.log_loss[-1] < trace.log_loss[0] - 2


def test_that_a_flow_loses_its_loss_is_proved():
    for method in (m.gradient_descent(1.0), m.mirror_descent("cosh", 1.0), m.steepest_descent(N.lp(3), 1.0)):
        told = fb.Plan(*CROSS, loss="logistic", method=method).limit(flow=True)
        assert holds(told, "L(w_t) → 0") is True


# --- more than one maximiser -----------------------------------------------------------------------------------------

FACE = [[1.0, 1.0]], [1]


def test_one_of_a_face_is_said_and_pesme_does_not_claim_it():
    told = limit(m.coordinate_descent(0.1), data=FACE)
    assert holds(told, "unique") is False
    assert "one of a face" in evidence(told, "unique")
    assert "one of a face" in told.theorem
    assert holds(told, "regularisation path") is None
    sole = limit(m.coordinate_descent(0.01))
    assert holds(sole, "unique") is True
    assert holds(sole, "regularisation path") is True
    for flow in (False, True):
        with pytest.raises(fb.NoTheorem, match="does not say which") as refused:
            fb.Plan(*FACE, loss="exponential", method=m.mirror_descent(P.hypentropy(1.0), 0.1)).limit(flow=flow)
        assert [h.holds for h in refused.value.hypotheses if "unique" in h.statement] == [False]
    assert limit(m.mirror_descent(P.power(3), 0.1), data=FACE).certified
    grouped = limit(m.steepest_descent(N.group([[0], [1]]), 0.01))
    assert holds(grouped, "regularisation path") is None        # Rosset et al. speak of lp


@pytest.mark.parametrize(("ties", "fraction"), [("first", 5 / 6), ("average", 61 / 66)])
def test_wide_ties_end_under_the_margin_and_are_refused(ties, fraction):
    """The numbers that the refusal names, by a run."""
    one = [[1.0, 1.2]], [1]
    plan = fb.Plan(*one, loss="exponential", method=m.coordinate_descent(0.1, ties=ties, tie_tol=0.3))
    assert plan.run(200).margin("l1")[-1] / 1.2 == pytest.approx(fraction, rel=1e-12)
    for method in (plan.problem.method, m.stagewise(0.1, tie_tol=0.3)):
        with pytest.raises(fb.NoTheorem, match=f"5/6 of it.*{'61/66'}"):
            limit(method, data=one)


# --- gradient descent by other names ---------------------------------------------------------------------------------

D = np.array([[2.0, 0.5], [0.5, 1.0]])


@pytest.mark.parametrize("make", [
    lambda eta: m.steepest_descent("l2", eta), lambda eta: m.mirror_descent("euclidean", eta),
    lambda eta: m.natural_gradient("euclidean", eta)], ids=["steepest", "mirror", "natural"])
def test_euclidean_methods_are_gradient_descent(make):
    ours, plain = (limit(method, "logistic", start=[0.3, -0.2]) for method in (make(0.1), m.gradient_descent(0.1)))
    assert ours.theorem == plain.theorem
    assert ours.rates == plain.rates
    assert ours.offset == pytest.approx(plain.offset, rel=1e-12)
    assert [h[:2] for h in ours.hypotheses] == [h[:2] for h in plain.hypotheses]


@pytest.mark.parametrize("make", [
    lambda eta: m.steepest_descent(N.quadratic(D), eta), lambda eta: m.natural_gradient(P.quadratic(D), eta),
    lambda eta: m.mirror_descent(P.quadratic(D), eta),
    lambda eta: m.mirror_descent(P.quadratic(D), eta / 2, dual_momentum=0.5),
    lambda eta: m.mirror_descent(P.quadratic(D), eta / 2, primal_momentum=0.5)],
    ids=["steepest", "natural", "mirror", "dual", "primal"])
def test_quadratic_methods_are_gradient_descent_in_their_coordinates(make):
    """u = Lᵀw, D = LLᵀ, rows L⁻¹z: the limit, its offset and its rates come back through L⁻ᵀ."""
    L, start = np.linalg.cholesky(D), np.array([0.3, -0.2])
    rows = np.linalg.solve(L, SLID[0].T).T
    ours = limit(make(0.1), "logistic", SLID, start=start)
    plain = limit(m.gradient_descent(0.1), "logistic", (rows, SLID[1]), start=L.T @ start)
    assert ours.margin == pytest.approx(plain.margin, rel=1e-9)
    assert ours.w == pytest.approx(np.linalg.solve(L.T, plain.w), rel=1e-9)
    assert ours.offset == pytest.approx(np.linalg.solve(L.T, plain.offset), rel=1e-9)
    assert [r[:3] for r in ours.rates] == [r[:3] for r in plain.rates]
    assert ours.rates[-1].level == pytest.approx(plain.rates[-1].level, rel=1e-9)
    assert "in whose coordinates" in ours.theorem


@long
def test_the_offset_in_other_coordinates_is_where_runs_go():
    plan = fb.Plan(*SLID, loss="logistic", method=m.natural_gradient(P.quadratic(D), 0.02), start=[0.3, 0.2])
    told, w = plan.limit(), plan.run(1_000_000).w[-1]
    assert told.offset == pytest.approx(w - told.w / told.margin * np.log(1e6), abs=5e-2)


# --- rates -----------------------------------------------------------------------------------------------------------

def predicted(told):
    return {r.quantity: (r.clock, r.slope) for r in told.rates}


@long
def test_the_margin_gap_of_one_support_vector_is_of_second_order():
    one = np.array([[1.0, 0.2], [3.0, -1.0]]), np.ones(2)
    for method, clock in ((m.gradient_descent(0.05), "log t"), (m.gradient_descent(S.loss_scaled(0.05)), "t")):
        plan = fb.Plan(*one, loss="exponential", method=method, start=[0.0, 1.0])
        told = plan.limit()
        assert predicted(told)["margin gap"] == (clock, -2)
        assert predicted(told)["direction"] == (clock, -1)
        far = plan.fast_forward(1e6) if clock == "log t" else plan.run(30_000)
        gap = 1 - np.array([(one[0] @ w).min() / np.linalg.norm(w) for w in far.w[-40:]]) / told.margin
        s = far.log_t[-40:] if clock == "log t" else np.log(far.t[-40:])
        slope = np.polyfit(np.log(s) if clock == "log t" else s, np.log(gap), 1)[0]
        assert slope == pytest.approx(-2, abs=0.1)
    assert predicted(limit(m.gradient_descent(0.02), data=SLID))["margin gap"] == ("log t", -1)
    assert "margin gap" not in predicted(limit(m.gradient_descent(0.02), data=(SOUDRY_X, SOUDRY_Y)))


@long
@pytest.mark.parametrize("a", [0.25, 0.5, 0.75])
def test_normalised_steps_bring_margins_like_the_inverse_of_their_sum(a):
    method = m.steepest_descent("l2", S.power(0.2, a), normalised=True)
    plan = fb.Plan(*SLID, loss="exponential", method=method, start=[2.0, -2.0])
    trace, told = plan.run(300_000), plan.limit()
    series = next(s for s in trace.rates(told) if s.quantity == "margin gap")
    assert series.predicted == -(1 - a)
    assert series.fitted == pytest.approx(series.predicted, abs=0.1)


@long
def test_a_support_vector_of_weight_zero_costs_a_logarithm_under_scaled_steps():
    """x = (1, 0), (1, 1): the second has α = 0; w₂ grows like log t, w₁ like t."""
    plan = fb.Plan([[1, 0], [1, 1]], [1, 1], loss="exponential", method=m.gradient_descent(S.loss_scaled(0.1)))
    told = plan.limit()
    assert holds(told, "weight α > 0") is False
    assert "log t/t" in evidence(told, "weight α > 0")
    assert told.rates == ()
    trace = plan.run(1_000_000, record=[10_000, 100_000, 1_000_000])
    assert np.diff(trace.w[1:, 1]) == pytest.approx(np.log(10), rel=0.05)
    assert holds(limit(m.gradient_descent(S.loss_scaled(0.01)), data=SLID), "weight α > 0") is True


# --- step sizes ------------------------------------------------------------------------------------------------------

def test_a_strict_bound_is_not_admitted_itself():
    for loss, curvature in (("logistic", 0.25), ("squared", 2.0)):
        top = 2.0 / (curvature * np.linalg.norm(X, 2) ** 2)
        given = fb.Plan(X, y, loss=loss, method=m.gradient_descent(1.0)).max_step().step_size
        assert given == pytest.approx(top, rel=1e-12)
        assert given < top
    top = 8.0 / np.linalg.norm(X, 2) ** 2
    assert holds(limit(m.gradient_descent(top), "logistic", (X, y)), "small enough") is None
    given = fb.Plan(X, y, loss="logistic", method=m.gradient_descent(top)).max_step().step_size
    assert holds(limit(m.gradient_descent(given), "logistic", (X, y)), "small enough") is True


def test_bounds_on_steps_do_not_overflow():
    def most(scale, loss="logistic", method=m.gradient_descent(1.0)):  # noqa: B008
        return fb.Plan(np.array([[1.0, 0.5], [1, 2]]) * scale, [1, 1], loss=loss, method=method).max_step()
    for method in (m.gradient_descent(1.0), m.steepest_descent("linf", 1.0), m.mirror_descent(P.quadratic([1.0, 2]), 1.0)):
        one = most(1.0, method=method).step_size
        for scale in (1e100, 1e-100, 2.0 ** 500):
            assert most(scale, method=method).step_size == pytest.approx(one / scale / scale, rel=1e-12)
        for loss in ("logistic", "exponential"):
            with pytest.raises(fb.NoTheorem, match="no number of float64"):
                most(1e300, loss, method)
    with pytest.raises(ValueError, match="under 1e150"):
        fb.Plan([[1e300, 1]], [1], loss="exponential", method=m.gradient_descent(S.bounded(1.0)))
    assert np.isfinite(most(1e-300).step_size)


@pytest.mark.parametrize("scale", [1e-150, 1e-100, 1e100, 1e150])
def test_data_far_out_of_scale_leak_no_warning(scale):
    """Each answer is finite, or is one of ours that says why there is none."""
    A = np.array([[1.0, 0.5], [1, 2], [-0.3, 1]]) * scale
    for loss in ("exponential", "logistic", "sigmoid"):
        for method in (m.gradient_descent(0.1), m.gradient_descent(S.loss_scaled(0.1)), m.steepest_descent("linf", 0.1),
                       m.mirror_descent(P.quadratic([1.0, 4.0]), 0.1), m.mirror_descent("cosh", 0.1), m.adagrad(0.1),
                       m.sign_descent(S.power(0.1, 0.5)), m.steepest_descent("l2", S.power(0.1, 0.5), normalised=True)):
            plan = fb.Plan(A, np.ones(3), loss=loss, method=method)
            for flow in (False, True):
                try:
                    told = plan.limit(flow=flow)
                except fb.NoTheorem:
                    continue
                assert np.isfinite(told.w).all()
                assert told.offset is None or np.isfinite(told.offset).all()
                assert all(np.isfinite(r.slope) for r in told.rates)


@pytest.mark.parametrize("make", [m.mirror_descent, m.natural_gradient])
def test_models_have_no_bound_whatever_the_geometry(make):
    model = fb.models.relu(np.linspace(-1, 1, 50), 2)
    plan = fb.Plan(np.ones((3, 50)), [1, 2, 3], loss="squared", method=make("euclidean", 0.01), model=model,
                   start=np.full(7, 0.5))
    with pytest.raises(fb.NoTheorem, match="no bound"):
        plan.max_step()


# --- what stands where, by whom --------------------------------------------------------------------------------------

def test_rows_cite_what_they_are_about():
    def source(method, loss="logistic", data=CROSS):
        return limit(method, loss, data).source
    assert "Wang, Meng, Zhang" in source(m.gradient_descent(0.1, 0.5))
    assert "Nacson" in source(m.gradient_descent(0.1, batch=1, rng=0))
    assert "draw without" in evidence(limit(m.gradient_descent(0.1, batch=1, rng=0)), "stochastic")
    assert "without replacement" in evidence(limit(m.gradient_descent(0.1, batch=1, replace=False, rng=0)), "stochastic")
    assert "Nesterov" in evidence(limit(m.gradient_descent(0.1, 0.5, 0.5)), "momentum keeps")
    assert holds(limit(m.gradient_descent(S.loss_scaled(0.01)), "logistic"), "stated for") is None
    assert holds(limit(m.gradient_descent(S.loss_scaled(0.01))), "stated for") is True
    assert "1 − e^{−L}" in evidence(limit(m.gradient_descent(S.loss_scaled(0.01)), "logistic"), "stated for")
    muon = fb.Plan(XK, YK, loss="cross_entropy", method=m.muon(S.power(0.1, 0.5))).limit()
    assert "entrywise and Schatten" in evidence(muon, "momentum in the gradient")
    assert holds(limit(m.steepest_descent(N.group([[0], [1]]), S.power(0.1, 0.5), normalised=True)), "stated for") is True


def test_data_that_clash_are_told_with_the_weights_that_prove_it():
    """z = (1, 2), −(2, 4) and (3, −1): Σ λ z = 0 for λ = (2/3, 1/3, 0) alone."""
    told = refusal(m.gradient_descent(0.1, 0.5), "logistic", ([[1.0, 2.0], [2.0, 4.0], [3.0, -1.0]], [1.0, -1.0, 1.0]))
    assert f"(λ in .dual: {2 / 3:.4g} at 0, {1 / 3:.4g} at 1)" in told


def test_a_refusal_without_a_reason_names_the_hypothesis_that_fails():
    rows = (Hypothesis("open", None, "?"), Hypothesis("water is dry", False, "wet"), Hypothesis("so it is", True, "!"))
    assert fb.NoTheorem("", "somebody", rows).reason == "what it asks is not so: water is dry (wet)"
    assert fb.NoTheorem("because", "somebody", rows).reason == "because"
    assert str(fb.NoTheorem("", "somebody", rows)).startswith("what it asks is not so: water is dry (wet) [somebody]")
