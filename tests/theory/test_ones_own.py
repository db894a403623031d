"""What limit() believes of a user's own methods, rules and pieces: what they obey, not what they call themselves."""
import dataclasses

import numpy as np
import pytest

import fastbias as fb
from fastbias.pieces.methods.base import maker, primal
from fastbias.theory import MARGIN, NETWORK, ROOT, Direction
from fastbias.theory.base import covering
from tests.helpers.pieces import ascent
from tests.helpers.problems import CROSS, SLID, XM, YM, X, holds, limit, y

m, N, S, P, M = fb.methods, fb.norms, fb.steps, fb.potentials, fb.models


# --- a user's own methods --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("declared", [
    {}, {"steepest": True}, {"dual": True}, {"natural": True}, {"steepest": True, "ties": 0.0}, {"adaptive": True},
    {"averages": "all"}, {"steepest": True, "averages": "fading", "unscaled": True}], ids=repr)
@pytest.mark.parametrize("params", [[], [0.0, 0.0, 0.0, 0.0], [0.5]])
def test_no_theorem_speaks_of_a_method_of_ones_own(declared, params):
    for geometry in (None, N.l2, P.euclidean):
        own = m.Method("gradient_descent", ascent, primal, S.constant(0.1), geometry=geometry, params=np.array(params),
                       **declared)
        for loss, targets in (("exponential", CROSS[1]), ("squared", CROSS[1])):
            plan = fb.Plan(CROSS[0], targets, loss=loss, method=own)
            for flow in (False, True):
                with pytest.raises(fb.NoTheorem, match="of one's own"):
                    plan.limit(flow=flow)
            with pytest.raises(fb.NoTheorem, match="of one's own"):
                plan.max_step()


@pytest.mark.parametrize("own", [
    dataclasses.replace(m.gradient_descent(0.1), adaptive=True),
    dataclasses.replace(m.steepest_descent("l1", 0.1), ties=0.5),
    dataclasses.replace(m.steepest_descent("l2", 0.1), unscaled=True),
    dataclasses.replace(m.coordinate_descent(0.1), geometry=N.linf),
    dataclasses.replace(m.coordinate_descent(0.1), params=np.array([0.0, 0.0, -1.0, 0.0, 0.0])),
    dataclasses.replace(m.adam(0.1, eps=0), params=np.array([1.5, 0.9, 0.0, 0.0])),
    dataclasses.replace(m.adam(0.1, eps=0), begin=lambda u: np.ones((3, u.size))),
    dataclasses.replace(m.mirror_descent("cosh", 0.1), geometry=P.power(3)),
    dataclasses.replace(m.mirror_descent("cosh", 0.1), begin=lambda u: np.ones((2, u.size))),
    dataclasses.replace(m.adagrad(0.1), measured=lambda state: N.quadratic([1.0, 9.0])),
    dataclasses.replace(m.sign_descent(0.1), geometry=N.l2),
    dataclasses.replace(m.gradient_descent(0.1), direction=ascent),
], ids=lambda own: own.name)
def test_a_method_of_ours_that_was_changed_by_hand_is_ones_own(own):
    with pytest.raises(fb.NoTheorem, match="of one's own"):
        limit(own, start=[0.3, 0.2])


@pytest.mark.parametrize("changes", [{"rule": S.constant(0.1)}, {"rule": S.loss_scaled(0.1)}], ids=repr)
def test_dual_acceleration_with_another_rule_is_ones_own(changes):
    with pytest.raises(fb.NoTheorem, match="of one's own"):
        limit(dataclasses.replace(m.dual_acceleration(), **changes))


def test_nothing_else_speaks_of_a_direction_of_ones_own():
    """Neither the flow, nor fast-forward, nor Gram space, where its entries are not those of the gradient."""
    own = dataclasses.replace(m.gradient_descent(0.1), direction=ascent)
    wide = np.random.default_rng(0).normal(size=(3, 40)), np.array([1.0, 2.0, 3.0])
    plan = fb.Plan(*wide, loss="squared", method=own)
    with pytest.raises(ValueError, match="one's own"):
        plan.flow()
    with pytest.raises(fb.NoTheorem, match="not for gradient_descent"):
        plan.fast_forward(10.0)
    with pytest.raises(fb.NoTheorem, match="one's own"):
        fb.Plan(*CROSS, loss="exponential", method=own).fast_forward(10.0)
    with pytest.raises(ValueError, match="gram must be"):
        fb.Plan(*wide, loss="squared", method=own, gram=True)


def covered(method, loss, model=M.linear):
    A, b = (XM, YM) if method.shaped else (X, y)
    start = None if model is M.linear else model.start(1.0)
    problem = fb.Plan(A, b, loss=loss, method=method, model=model, start=start).problem
    table = NETWORK if model is not M.linear or method.decay else MARGIN if loss == "exponential" else ROOT
    return covering(table, problem, False)


@pytest.mark.parametrize("method", m.EXAMPLES, ids=repr)
def test_every_example_has_its_row_in_each_table(method):
    """A new method that no row speaks of fails here, by NoTheorem, until a row does, or a refusal says why none can."""
    vectors = method.constraint is None and method.shaped is None and not isinstance(method.geometry, P.Potential)
    for loss in ("exponential", "squared"):
        if loss == "squared" and method.averages == "all":       # its steps are 1/L
            continue
        assert covered(method, loss).name
        if vectors and method.averages != "all":
            assert covered(method, loss, M.diagonal(2)).name


def test_of_what_a_method_does_not_declare_no_row_speaks():
    """A new method that declares a fading average and no more: by hand, past what recognises the library's own."""
    lonely = dataclasses.replace(m.gradient_descent(0.1), steepest=False, averages="fading")
    for loss in ("exponential", "squared"):
        with pytest.raises(fb.NoTheorem, match="no row of the table speaks of what gradient_descent"):
            covered(lonely, loss)


def test_a_loss_of_another_tail_is_looked_for_in_its_column():
    gaussian = Direction("a theorem of tomorrow", "nobody", lambda p, flow: True, norm=lambda p: N.l2, tail="gaussian")
    own = next(row.name for row in MARGIN if "momentum" in row.name)
    for loss, name in (("probit", "a theorem of tomorrow"), ("logistic", own)):
        problem = fb.Plan(X, y, loss=loss, method=m.gradient_descent(0.1, 0.5)).problem
        assert covering((*MARGIN, gaussian), problem, False).name == name
    refused = fb.Plan(X, y, loss="probit", method=m.gradient_descent(0.1, 0.5))
    with pytest.raises(fb.NoTheorem, match="an exponential tail, which the probit loss has not; the nearest losses are "
                                           "exponential and logistic"):
        refused.limit()


def test_a_method_whose_beginning_fails_later_is_ones_own():
    ours, broken = m.adam(S.power(0.1, 0.5), eps=0), []

    def begin(u):
        if broken:
            raise RuntimeError("gone")
        return ours.begin(u)

    plan = fb.Plan(X, y, loss="exponential", method=dataclasses.replace(ours, begin=begin))
    broken.append(True)
    with pytest.raises(fb.NoTheorem, match="of one's own"):
        plan.limit()


def test_a_method_of_ours_with_another_rule_is_still_ours():
    for method in (m.gradient_descent(0.1), m.steepest_descent("linf", 0.1), m.mirror_descent("cosh", 0.1)):
        assert limit(dataclasses.replace(method, rule=S.constant(0.2))).certified
    matrices = np.random.default_rng(0).normal(size=(3, 2, 3)) + np.ones((2, 3))
    muon = dataclasses.replace(m.muon(0.1), rule=S.power(0.1, 0.5))
    assert fb.Plan(matrices, np.ones(3), loss="exponential", method=muon).limit().norm.name == "spectral"


@fb.piece(fb.abi.RULE)
def growing(params, k, s, log_loss):
    return -np.exp(s)


@pytest.mark.parametrize("rule", [
    S.StepRule("power", growing, np.array([0.1, 0.5])), S.StepRule("flow", growing, np.array([0.1])),
    S.StepRule("constant", growing, np.array([0.1]), constant=True),
    S.StepRule("power", S.power(1, 1).rule, np.array([0.1, -1.0])),
    S.StepRule("constant", S.constant(1).rule, np.array([-0.1])),
    S.StepRule("loss_scaled", growing, np.array([0.1]), loss=True, monotone=True)], ids=repr)
def test_what_a_rule_of_ones_own_calls_itself_counts_for_nothing(rule):
    told = limit(m.gradient_descent(rule))
    for words in ("add up to infinity", "small enough", "L(w_t) → 0"):
        assert holds(told, words) is None
    assert told.offset is None


@pytest.mark.parametrize("rule", [
    dataclasses.replace(S.power(0.01, 0.5), params=np.array([0.01, -2.0])),
    dataclasses.replace(S.constant(0.01), search=True)],
    ids=["growing", "searched"])
def test_such_a_rule_is_not_said_to_end_a_squared_loss(rule):
    assert holds(limit(m.gradient_descent(rule), "squared", ([[0.5, 1.5]], [1.0])), "L(w_t) → 0") is None


def test_constant_power_steps_have_the_offset_of_constant_ones():
    one, other = limit(m.gradient_descent(0.01)), limit(m.gradient_descent(S.power(0.01, 0.0)))
    assert other.offset == pytest.approx(one.offset, rel=1e-12)
    assert other.rates == one.rates


# --- what a user's own pieces declare --------------------------------------------------------------------------------

@fb.piece(fb.abi.SLOPE)
def double_slope(params, p, y, q):                           # ℓ = e^{−m/2}: −ℓ' has another rate
    s = -np.inf
    for i in range(p.size):
        s = max(s, -0.5 * y[i] * p[i])
    for i in range(p.size):
        q[i] = 0.5 * y[i] * np.exp(-0.5 * y[i] * p[i] - s)
    return s


@fb.piece(fb.abi.LOG_LOSS)
def double_log(params, p, y):
    top, total = -np.inf, 0.0
    for i in range(p.size):
        top = max(top, -0.5 * y[i] * p[i])
    for i in range(p.size):
        total += np.exp(-0.5 * y[i] * p[i] - top)
    return top + np.log(total)


@fb.piece(fb.abi.SLOPE)
def thrice_slope(params, p, y, q):                           # 3 e^{−m}
    s = -np.inf
    for i in range(p.size):
        s = max(s, -y[i] * p[i])
    for i in range(p.size):
        q[i] = 3.0 * y[i] * np.exp(-y[i] * p[i] - s)
    return s


@fb.piece(fb.abi.LOG_LOSS)
def thrice_log(params, p, y):
    top, total = -np.inf, 0.0
    for i in range(p.size):
        top = max(top, -y[i] * p[i])
    for i in range(p.size):
        total += np.exp(-y[i] * p[i] - top)
    return top + np.log(3.0 * total)


L = fb.losses
WRONG = [(dataclasses.replace(L.probit, tail="exponential", name="mine"), "a tail is exponential"),
         (L.Loss("mine", double_slope, double_log, "monotone", tail="exponential"),
          r"log\(−ℓ'\(m\)\) \+ m runs from 14\.3. to 349"),
         (dataclasses.replace(L.sigmoid, convex=True, name="mine"), "convex"),
         (dataclasses.replace(L.huber(0.1), quadratic=True, name="mine"), r"ℓ\(u, y\) = \(u − y\)²"),
         (dataclasses.replace(L.logistic, curvature=0.01, name="mine"), "curvature"),
         (dataclasses.replace(L.logistic, steepness=0.01, name="mine"), "steepness"),
         (dataclasses.replace(L.probit, steepness=0.5, name="mine"), "steepness"),
         (dataclasses.replace(L.logistic, tail="gaussian", name="mine"), "Gaussian"),
         (dataclasses.replace(L.huber(1e6), quadratic=True, name="mine"), r"ℓ\(u, y\) = \(u − y\)²"),
         (dataclasses.replace(L.truncated_squared(1e40), convex=True, name="mine"), "convex")]


@pytest.mark.parametrize(("loss", "law"), WRONG, ids=[f"{loss.name} {law}" for loss, law in WRONG])
def test_a_loss_is_held_to_what_it_declares(loss, law):
    with pytest.raises(fb.laws.LawBroken, match=law):
        fb.laws.check(loss)
    plan = fb.Plan(*CROSS, loss=loss, method=m.gradient_descent(0.1))
    for ask in (plan.limit, plan.max_step):
        with pytest.raises(fb.NoTheorem, match=law):
            ask()


@pytest.mark.parametrize(("norm", "law"), [
    (dataclasses.replace(N.l2, matrix=None, power=3.0), "power"),
    (dataclasses.replace(N.l2, matrix=None, power=np.inf), "power"),
    (dataclasses.replace(N.lp(3), power=None, ball="cube"), "ball"), (dataclasses.replace(N.l1, matrix=np.eye), "matrix"),
    (dataclasses.replace(N.l1, smooth=True), "continuous"),
    (dataclasses.replace(N.l2, dual_norm=N.linf.dual_norm), "eq. 12"),
])
def test_a_norm_is_held_to_what_it_declares(norm, law):
    with pytest.raises(fb.NoTheorem, match=law):
        limit(m.steepest_descent(norm, 0.1))
    with pytest.raises(ValueError, match=law):
        fb.max_margin(*CROSS, norm)
    with pytest.raises(ValueError, match=law):
        fb.minimum_norm([[1.0, 2.0]], [1.0], norm)


@pytest.mark.parametrize(("psi", "law"), [
    (dataclasses.replace(P.power(3), horizon=1.5), "horizon"), (dataclasses.replace(P.cosh, horizon=1.0), "horizon"),
    (dataclasses.replace(P.cosh, quadratic=True), "quadratic"),
    (dataclasses.replace(P.entropy, lower=-np.inf), "whole space"),
    (dataclasses.replace(P.cosh, degenerate=True), "degenerate"),
    (dataclasses.replace(P.power(2.001), horizon=2.0), "horizon"),           # near it, and as near however far out
    (dataclasses.replace(P.squared_lp(1.01), horizon=1.0), "horizon"),
    (dataclasses.replace(P.euclidean, matrix=lambda d: 2.0 * np.eye(d)), "matrix"),
    (dataclasses.replace(P.quadratic([1.0, 5.0]), matrix=np.eye), "matrix"),
])
def test_a_potential_is_held_to_what_it_declares(psi, law):
    with pytest.raises(fb.NoTheorem, match=law):
        limit(m.mirror_descent(psi, 0.1), start=[0.3, 0.2])


@pytest.mark.parametrize(("model", "law"), [
    (dataclasses.replace(M.convolutional(2), bias=lambda shape: N.l1), "norm of its bias"),
    (dataclasses.replace(M.deep_linear(2), bias=lambda shape: N.linf), "norm of its bias"),
    (dataclasses.replace(M.diagonal(2), bias=lambda shape: N.l2, penalty=None, balance=None), "comes with the penalty"),
    (dataclasses.replace(M.linear, linear=False, degree=1, bias=lambda shape: N.l1, sole=True), "comes with the penalty"),
    (dataclasses.replace(M.diagonal(2), degree=3), "degree"),
    (dataclasses.replace(M.deep_linear(2), mirror=lambda u: P.euclidean), "mirror is claimed"),
    (dataclasses.replace(M.diagonal(2, signed=True), mirror=lambda u: P.hypentropy(5.0)), "mirror is claimed"),
    (dataclasses.replace(M.diagonal(2), mirror=lambda u: P.cosh), "mirror is claimed"),
    (dataclasses.replace(M.factorised(2, 2), semidefinite=True), "semidefinite")], ids=lambda x: getattr(x, "name", x))
@pytest.mark.parametrize("loss", ["exponential", "squared"])
def test_a_model_is_held_to_what_it_declares(model, law, loss):
    X, y = (np.ones((1, 2, 2)) if model.shape else np.array([[1.0, 2.0]])), [1.0]
    start = np.arange(1.0, 1.0 + model.parameters(X[0].size))
    with pytest.raises(fb.NoTheorem, match=law):
        fb.Plan(X, y, loss=loss, method=m.gradient_descent(0.001), model=model, start=start).limit()


def test_what_no_law_tells_of_a_model_counts_for_nothing():
    X = [[-1.0, 1.0, 1.0]]                                     # from here its flow is kept away
    start = M.convolutional(2).start(0.3)
    for own in (dataclasses.replace(M.convolutional(2), sole=True), dataclasses.replace(M.convolutional(2), sole=True,
                reach=lambda layers, Z, w: "")):
        plan = fb.Plan(X, [1.0], loss="exponential", method=m.gradient_descent(0.001), model=own, start=start)
        with pytest.raises(fb.NoTheorem, match="out of reach"):
            plan.limit(flow=True)
        assert holds(plan.limit(), "exact balance") is None        # of a run, which rounding may free


def test_honest_pieces_of_ones_own_are_believed():
    for made in (M.diagonal(2), M.diagonal(2, signed=True)):
        own = dataclasses.replace(made, name="mine")
        told = fb.Plan([[1.0, 2.0]], [1.0], loss="squared", method=m.gradient_descent(0.001), model=own,
                       start=own.start(0.5)).limit()
        assert told.certified
    own = dataclasses.replace(N.lp(3), name="mine")
    assert limit(m.steepest_descent(own, 0.001)).norm is own
    assert limit(m.mirror_descent(dataclasses.replace(P.hypentropy(1.0), name="mine"), 0.1)).norm.name == "l1"
    assert limit(m.gradient_descent(0.01), dataclasses.replace(L.logistic, name="mine")).certified
    named = dataclasses.replace(L.sigmoid, name="exponential")   # a name proves nothing
    assert holds(limit(m.steepest_descent("linf", 0.1), named), "stated for") is None


def test_the_offset_of_a_loss_with_another_factor_is_its_own():
    """ℓ = 3e^{−m} at η is e^{−m} at 3η."""
    thrice = L.Loss("thrice", thrice_slope, thrice_log, "monotone", tail="exponential")
    ours, plain = limit(m.gradient_descent(0.01), thrice, SLID), limit(m.gradient_descent(0.03), data=SLID)
    assert ours.offset == pytest.approx(plain.offset, rel=1e-9)


def test_an_origin_of_ones_own_counts_for_nothing():
    own = dataclasses.replace(m.gradient_descent(0.1), direction=ascent)
    for origin in (own, 9, None, np.empty(0), []):
        with pytest.raises(fb.NoTheorem, match="of one's own"):
            limit(dataclasses.replace(own, _origin=origin))
    assert limit(dataclasses.replace(m.gradient_descent(0.1), rule=S.constant(0.2))).certified


def test_numbers_written_into_a_method_of_ours_make_it_ones_own():
    adam, tied = m.adam(S.power(0.1, 0.5), eps=0.0), m.coordinate_descent(0.1)
    decayed = dataclasses.replace(m.gradient_descent(0.1, weight_decay=0.1, nesterov=0.3), gamma=np.array([0.9]))
    adam.params[2] = 1.0                                         # ε, which the run would use
    tied.params[0] = 0.9
    for own in (adam, tied, decayed):
        assert not own.as_made
        with pytest.raises(fb.NoTheorem, match="of one's own"):
            limit(own)


def test_what_remembers_gradients_is_no_gradient_descent():
    """For a factory that does not exist yet: momentum in the gradient, and moves of its length."""
    @maker
    def remembering(step_size):
        return dataclasses.replace(m.gradient_descent(step_size), averages="fading")

    method = remembering(0.1)
    assert method.as_made
    plan = fb.Plan(np.eye(3, 40), [1.0, 2.0, 3.0], loss="squared", method=method)
    with pytest.raises(fb.NoTheorem, match="closed form"):
        plan.fast_forward(10.0)
    with pytest.raises(ValueError, match="gram must be"):
        fb.Plan(np.eye(3, 40), [1.0, 2.0, 3.0], loss="squared", method=method, gram=True)
    with pytest.raises(ValueError, match="must have a flow"):
        plan.flow()
    with pytest.raises(fb.NoTheorem, match="remember"):
        fb.Plan(*CROSS, loss="exponential", method=method).fast_forward(10.0)
    with pytest.raises(ValueError, match="Theorem 5"):
        fb.Plan(*CROSS, loss="exponential", method=remembering(S.bounded(1.0)))


def test_a_minimiser_on_the_boundary_is_not_denied():
    data = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [1.0, 3.0, -1.0, 1.0]
    assert holds(limit(m.mirror_descent("entropy", 0.05), "squared", data), "has a solution in dom") is None
