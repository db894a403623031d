"""Step sizes that nobody gave, and those that a run which went astray is told would have done."""
import inspect
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbias as fb
from fastbias.pieces.methods import Method
from fastbias.pieces.methods.base import gradient, primal
from fastbias.running.chosen import _curvature, _rounded
from tests.helpers import JIT

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning") if not JIT else []   # numbers overflow in plain NumPy
m, s, P = fb.methods, fb.steps, fb.potentials
X = np.array([[1.0, 2.0], [2.0, -1.0], [0.5, 1.5]])
Y = np.array([1.0, 1.0, -1.0])
TEN = fb.models.diagonal(2, signed=True)
FACTORIES = [name for name in m.__all__ if name != "Method"
             and {"step_size", "epsilon"} & set(inspect.signature(getattr(m, name)).parameters)]


def made(name, step="auto", **more):
    """What a factory makes of a step size, its other arguments as they come."""
    known = inspect.signature(getattr(m, name)).parameters
    more |= {"potential": "cosh"} if "potential" in known else {}
    more |= {"norm": "l2"} if "norm" in known else {}
    more |= {"method": m.gradient_descent(step)} if "method" in known else {}
    more |= {key: step for key in ("step_size", "epsilon") if key in known}
    return getattr(m, name)(**more)


def number(plan):
    return float(plan.problem.rule.params[0])


def test_what_theory_admits_is_halved_and_cut_to_three_digits():
    plan = fb.Plan(X, Y, loss="squared", method=m.gradient_descent("auto"))
    half = 1 / (2 * np.linalg.norm(X, 2) ** 2)                         # of η < 2/Λ, Λ = 2σ²
    assert number(plan) <= half < number(plan) * 1.01
    assert number(plan) == float(f"{number(plan):.2e}")
    assert "constant(0.0666, chosen: half of what theory admits: the descent lemma" in repr(plan.problem.method)
    trace = plan.run(10)
    assert trace.message.startswith("all steps were done, t = 10; step size 0.0666, chosen: half of what theory admits")
    same = fb.run(X, Y, loss="squared", method=m.gradient_descent(0.0666), steps=10)
    assert trace.u.tobytes() == same.u.tobytes()
    assert "chosen" not in same.message
    plan = fb.Plan(X, [1, 1, 1], loss="exponential", method=m.steepest_descent("l1", "auto"))
    assert number(plan) == _rounded(0.5 * plan.max_step().step_size) == _rounded(0.5 / (4 * 3))   # 1/(B² L), ℓ∞ rows
    assert "Theorem 5" in repr(plan)


@pytest.mark.parametrize(("eta", "cut"), [(0.129999, 0.129), (2e-17, 2e-17), (9.999e300, 9.99e300), (1.0, 1.0), (3e-323, 3e-323)])
def test_numbers_are_cut_and_never_rounded_up(eta, cut):
    assert _rounded(eta) == cut


@pytest.mark.parametrize("name", FACTORIES)
def test_every_factory_with_a_step_size_takes_auto(name):
    loss, data = ("cross_entropy", (X, [0, 1, 2])) if name == "muon" else ("squared", (X, Y))
    plan = fb.Plan(*data, loss=loss, method=made(name))
    assert number(plan) > 0
    assert not plan.problem.rule.auto
    assert plan.problem.method.as_made
    assert f"{number(plan):g}, chosen: " in repr(plan.problem.method)
    trace = plan.run(300, record=[0, 100, 300])
    assert trace.log_loss[-1] < trace.log_loss[0]
    again = fb.run(*data, loss=loss, method=made(name, number(plan)), steps=300, record=[0, 100, 300])
    assert again.u.tobytes() == trace.u.tobytes()


def test_the_number_goes_with_checkpoints_pickles_and_recipes(tmp_path):
    for rule, loss in (("auto", "squared"), (s.loss_scaled("auto"), "exponential"), (s.power("auto", 0.5), "squared"),
                       (s.bounded("auto"), "exponential")):
        plan = fb.Plan(X, np.abs(Y), loss=loss, method=m.gradient_descent(rule, batch=None))
        plan.run(5)
        plan.save(tmp_path / "plan.npz")
        for other in (fb.Plan.load(tmp_path / "plan.npz"), pickle.loads(pickle.dumps(plan))):
            assert repr(other.problem.method) == repr(plan.problem.method)
            assert other.trace.message == plan.trace.message
            assert other.run(5).u.tobytes() == pickle.loads(pickle.dumps(plan)).run(5).u.tobytes()
        name, arguments = plan.problem.method.recipe
        assert name == "gradient_descent"
        assert arguments["step_size"].chosen == plan.problem.rule.chosen != ""
        assert arguments["step_size"].params[0] == number(plan)


def test_batches_are_those_of_the_method_that_was_handed_over():
    method = m.gradient_descent("auto", batch=1)                       # whose seed nobody gave
    plan = fb.Plan(X, Y, loss="squared", method=method)
    assert plan.problem.method.sampling == method.sampling
    assert "a trial" in plan.problem.rule.chosen                       # theory knows no bound with batches


def test_a_template_and_a_factory_of_a_sweep():
    plan = fb.Plan(X, Y, loss="squared", method=m.gradient_descent("auto"))
    found = fb.sweep(plan, {"step_size": ["auto", 0.01], "start": [[0, 0], [1, 1]]}, steps=50)
    assert not found.failures
    assert found.plans[0].problem.rule.params[0] == number(plan)
    assert found[0].u.tobytes() == fb.Plan(X, Y, loss="squared", method=m.gradient_descent("auto")).run(50).u.tobytes()
    assert found.plans[2].problem.rule.chosen == ""
    kept = fb.sweep(plan, {"momentum": [0, 0.5]}, steps=50)            # the template's own
    assert [number(p) for p in kept.plans] == [number(plan)] * 2
    assert "chosen" in kept[1].message


def test_methods_of_ones_own_and_changed_by_hand():
    own = Method("own", gradient, primal, s.as_rule("auto"))
    assert number(fb.Plan(X, Y, loss="squared", method=own)) > 0
    by_hand = m.gradient_descent(0.1)
    by_hand = type(by_hand)(**{f: getattr(by_hand, f) for f in by_hand.__dataclass_fields__} | {"rule": s.constant("auto")})
    assert number(fb.Plan(X, Y, loss="squared", method=by_hand)) == 0.0666


def test_what_is_no_step_size_is_told():
    with pytest.raises(TypeError, match='step_size must be a number or .*or "auto", got \'fast\''):
        m.gradient_descent("fast")
    with pytest.raises(TypeError, match='eta must be a finite number > 0 or "auto", got \'0.1\''):
        s.loss_scaled("0.1")
    with pytest.raises(ValueError, match="step_size must be a number by now, got constant.auto.: a Plan chooses it"):
        s.constant("auto")(3)
    with pytest.raises(ValueError, match="rule must have its numbers"):
        s.chosen(s.constant("auto"), "so")
    with pytest.raises(TypeError, match="why must be a text, got 3"):
        s.chosen(0.1, 3)
    with pytest.raises(ValueError, match="step_size must have a meaning for the squared loss"):
        fb.Plan(X, Y, loss="squared", method=m.gradient_descent(s.loss_scaled("auto")))


def hessian(problem, u):
    """By the closed form of squares: Σ 2 z zᵀ + 2 r ∇²F, by differences of F in long doubles."""
    n, h = u.size, 1e-4
    L = lambda v: np.square(problem.predictor(v) @ problem.X.T - problem.y).sum()       # noqa: E731
    E = h * np.eye(n)
    return np.array([[(L(u + a + b) - L(u + a - b) - L(u - a + b) + L(u - a - b)) / (4 * h * h) for b in E] for a in E])


@pytest.mark.parametrize("seed", range(3))
def test_the_curvature_is_that_of_the_loss(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(4, 3)), rng.normal(size=4)
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.1), model=TEN, start=rng.uniform(0.3, 1, 6))
    top = np.abs(np.linalg.eigvalsh(hessian(plan.problem, plan.u))).max()
    assert 0.9 * top < _curvature(plan.problem, plan.u) < top * 1.0001
    w = rng.uniform(0.3, 2, 3)
    plan = fb.Plan(X, y, loss="squared", method=m.mirror_descent("entropy", 0.1), start=w)
    top = np.abs(np.linalg.eigvals(np.diag(w) @ (2 * X.T @ X))).max()
    assert 0.9 * top < _curvature(plan.problem, w) < top * 1.05        # (of no symmetric matrix, but similar to one)
    plan = fb.Plan(X, y, loss="squared", method=m.steepest_descent("linf", 0.1))
    ends = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T      # sup ‖Hv‖₁ over ‖v‖∞ ≤ 1 is at a vertex
    top = np.abs(ends @ (2 * X.T @ X)).sum(axis=1).max()
    assert 0.2 * top < _curvature(plan.problem, w) < top * 1.0001      # (it climbs to some largest value, perhaps not to the top)


LOSSES = ("squared", "exponential", "logistic", "probit", "sigmoid", fb.losses.huber(0.5), fb.losses.truncated_squared(2.0))
METHODS = (lambda e: m.gradient_descent(e), lambda e: m.gradient_descent(e, 0.9), lambda e: m.gradient_descent(e, 0.5, 0.5),
           lambda e: m.gradient_descent(e, batch=1, rng=1), lambda e: m.gradient_descent(e, weight_decay=0.1),
           lambda e: m.mirror_descent("entropy", e), lambda e: m.mirror_descent(P.hypentropy(1e-3), e),
           lambda e: m.mirror_descent("cosh", e, dual_momentum=0.5), lambda e: m.mirror_descent(P.squared_lp(1.5), e),
           lambda e: m.natural_gradient("entropy", e), lambda e: m.natural_gradient("cosh", e),
           lambda e: m.steepest_descent("l1", e), lambda e: m.steepest_descent("linf", e), lambda e: m.coordinate_descent(e),
           lambda e: m.adagrad(e), lambda e: m.adam(e), lambda e: m.sign_descent(e))


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10 ** 6)))
    N, d = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    X = rng.normal(size=(N, d)) * 10.0 ** draw(st.integers(-3, 3))
    if draw(st.booleans()):
        X[rng.integers(N)] = X[0]                                      # duplicates
    loss = draw(st.sampled_from(LOSSES))
    y = rng.choice([-1.0, 1.0], N) if isinstance(loss, str) and loss != "squared" else X @ rng.uniform(0.1, 2, d)
    return X, y, loss, draw(st.sampled_from(METHODS)), draw(st.sampled_from([None, None, None, "diagonal", "network"])), rng


def plan_of(problem, step):
    X, y, loss, method, model, _ = problem
    made = method(step)
    if model is not None and (made.geometry is not None or not made.steepest):
        model = None
    if model == "network":
        model = fb.models.deep_linear(2, 2)
    elif model == "diagonal":
        model = TEN
    start = None if model is None else np.random.default_rng(0).uniform(0.1, 0.6, model.parameters(X.shape[1]))
    return fb.Plan(X, y, loss=loss, method=made, **({} if model is None else {"model": model, "start": start}))


@pytest.mark.long
@settings(max_examples=60)
@given(problems())
def test_a_step_that_is_chosen_runs(problem):
    plan = plan_of(problem, "auto")
    trace = plan.run(20_000, record=20)                                # RunStopped is an error here
    assert trace.log_loss[-1] <= trace.log_loss[0] + 1e-9 or trace.log_loss[-1] < -50, (trace.log_loss, plan)


@pytest.mark.long
@settings(max_examples=60)
@given(problems(), st.floats(0.5, 27))
def test_what_a_run_that_went_astray_is_told_would_do_does(problem, power):
    plan = plan_of(problem, 10.0 ** power)
    trace = plan.run(500, strict=False)
    astray = trace.status in (fb.Status.NOT_FINITE, fb.Status.OUT_OF_DOMAIN)
    told = re.search(r"; step_size=(\S+) would do: ", trace.message)
    assert told or not astray, trace.message
    if told:
        assert float(told[1]) < 10.0 ** power
        plan = plan_of(problem, float(told[1]))
        end = plan.run(5000, record=20)
        assert end.log_loss[-1] <= end.log_loss[0] + 1e-9 or end.log_loss[-1] < -50, (trace.message, end.log_loss)


def test_what_runs_that_went_astray_are_told():
    with pytest.raises(fb.RunStopped, match=r"from step \d+ to \d+; step_size=0.0666 would do: half of what") as stopped:
        fb.run(X, Y, loss="squared", method=m.gradient_descent(1e27), steps=100)
    assert str(stopped.value) == stopped.value.trace.message
    with pytest.raises(fb.RunStopped, match="left the domain .* would do: from the curvature of the loss"):
        fb.run([[1, 2]], [1], loss="squared", method=m.natural_gradient("entropy", 0.125), steps=9)
    grown = fb.run(X, Y, loss="squared", method=m.gradient_descent(0.3), steps=20).message
    assert re.search(r"t = 20; log L has grown from 1.09861 to [\d.]+; step_size=0.0666 would do", grown)
    falling = fb.run(X, Y, loss="squared", method=m.gradient_descent(0.01), steps=20)
    assert falling.message == "all steps were done, t = 20"


def test_advice_is_kept_and_swept_runs_are_not_told(tmp_path):
    plan = fb.Plan(X, Y, loss="squared", method=m.gradient_descent(1e27))
    trace = plan.run(100, strict=False, checkpoint=tmp_path / "c.npz")
    assert "would do" in trace.message == plan.trace.message
    assert fb.Plan.load(tmp_path / "c.npz").trace.message == trace.message
    thin = fb.Plan(X, Y, loss="squared", method=m.gradient_descent(1e27))
    assert thin.run(100, strict=False, record_w=False).message == trace.message
    found = fb.sweep(fb.Plan(X, Y, loss="squared", method=m.mirror_descent("cosh", 1.0)), {"step_size": [1e27]}, steps=9)
    assert "would do" not in str(found.failures.get(0, found[0].message))


@pytest.mark.long
def test_no_advice_where_the_step_is_not_the_reason():
    told = fb.run([[1.0]], [1], loss="exponential", method=m.gradient_descent(s.line_search()), steps=9, strict=False)
    assert told.status == fb.Status.UNBOUNDED
    assert "would do" not in told.message
    # momentum that grows for ever at any step
    plan = fb.Plan(X, Y, loss="squared", method=m.gradient_descent(1e-3, 1.5))
    assert "would do" not in plan.run(10_000, strict=False).message
    with pytest.raises(ValueError, match='step_size must be given, not "auto": no step size under which the loss falls'):
        fb.Plan(X, Y, loss="squared", method=m.gradient_descent("auto", 1.5))


@pytest.mark.long
@pytest.mark.parametrize(("X", "y", "loss"), [
    ([[0.0, 0.0]], [0.0], "squared"), ([[0.0]], [1], "logistic"), ([[1e8]], [1], "squared"), ([[1e-8]], [1], "squared"),
    ([[2.0]], [0.0], "squared")])
def test_edges_of_data(X, y, loss):
    for method in (m.gradient_descent("auto"), m.mirror_descent("cosh", "auto"), m.adam("auto")):
        plan = fb.Plan(X, y, loss=loss, method=method)
        trace = plan.run(100)
        assert trace.log_loss[-1] <= trace.log_loss[0] or trace.log_loss[-1] < -60


@pytest.mark.long
def test_moves_of_a_length_of_their_own_are_not_made_shorter_than_sense():
    data = [[1e150, 1.0]], [1]
    for method in (m.gradient_descent("auto"), m.mirror_descent("cosh", "auto")):
        assert fb.run(*data, loss="squared", method=method, steps=50).log_loss[-1] < 0
    with pytest.raises(ValueError, match="step_size must be given, not"):
        fb.Plan(*data, loss="squared", method=m.adam("auto"))
