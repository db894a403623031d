"""Fast-forward: against exact runs, against theory far out, and where it refuses."""
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbias as fb
from fastbias.forward import choice
from tests.helpers.marks import slow
from tests.helpers.problems import reached, separable

m, N, P = fb.methods, fb.norms, fb.potentials
long = pytest.mark.long
X, y = separable(20, 5, 3)
NESTEROV = np.arange(1_200_000) / (np.arange(1_200_000) + 3)
METHODS = {
    "gd": m.gradient_descent(0.02),
    "heavy ball": m.gradient_descent(0.02, 0.9),
    "nesterov .9": m.gradient_descent(0.02, 0.9, 0.9),
    "nesterov": m.gradient_descent(0.02, NESTEROV, NESTEROV),
    "power steps": m.gradient_descent(fb.steps.power(0.1, 0.5)),
    "loss scaled": m.gradient_descent(fb.steps.loss_scaled(0.02)),
    "quadratic": m.steepest_descent(N.quadratic([1, 2, 3, 4, 5.0]), 0.02),
    "natural quadratic": m.natural_gradient(P.quadratic([1, 2, 3, 4, 5.0]), 0.02),
    "mirror quadratic, dual momentum": m.mirror_descent(P.quadratic([1, 2, 3, 4, 5.0]), 0.02, 0.5),
    "l1.5": m.steepest_descent(N.lp(1.5), 0.02),
    "l4/3": m.steepest_descent(N.lp(4 / 3), 0.02),
    "l1.5, power steps": m.steepest_descent(N.lp(1.5), fb.steps.power(0.1, 0.3)),
    "power 1.5": m.mirror_descent(P.power(1.5), 0.02),
    "squared l1.5": m.mirror_descent(P.squared_lp(1.5), 0.02),
    "hypentropy": m.mirror_descent(P.hypentropy(0.5), 0.02),
    "cosh": m.mirror_descent("cosh", 0.02),
    "adagrad": m.adagrad(0.1),
    "adagrad with eps": m.adagrad(0.1, G0=0.5, eps=0.1),
}


FEW = ("gd", "nesterov", "power steps", "loss scaled", "l1.5", "hypentropy", "adagrad")    # one of each kind of motion


def against_an_exact_run(A, b, loss, method, T, far, **options):
    """Largest error over rows up to t = far from T exact steps, and the estimate there."""
    plan = fb.Plan(A, b, loss=loss, method=method)
    plan.run(T)
    rows = np.array([3 * T, far])
    options = {"max_steps": T + 1} | options                      # a handover at T and one at 2T, and no further exact steps
    trace = plan.fast_forward(np.log(far), record=np.log(rows), **options)
    exact = plan.run(far - T, record=rows)
    assert trace.t.tolist() == rows.tolist()
    errors = np.abs(trace.w - exact.w[-2:]).reshape(2, -1).max(axis=1)
    assert (errors <= trace.error_estimate).all(), (method, loss, errors, trace.error_estimate)
    assert trace.log_loss == pytest.approx(exact.log_loss[-2:], rel=1e-7, abs=1e-7)
    return errors.max(), trace


@long
@pytest.mark.parametrize("name", [*FEW, *slow(*(name for name in METHODS if name not in FEW))])
def test_every_method_equals_its_exact_run_within_its_estimate(name):
    error, trace = against_an_exact_run(X, y, "exponential", METHODS[name], 100_000, 1_000_000)
    assert error <= 1e-7 * max(1.0, float(np.abs(trace.w).max()) / 100)
    assert trace.slack == pytest.approx(trace.log_t[:, None] - trace.w @ (y[:, None] * X).T, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["l1.5", "hypentropy", "adagrad"])
def test_an_early_handover_is_within_its_estimate(name):
    """After the thousand steps that an estimate asks for: few enough for a look without the compiler."""
    A, b = X[:4], y[:4]
    error, _ = against_an_exact_run(A, b, "exponential", METHODS[name], 1000, 3500)
    assert error <= 1e-6


@long
@pytest.mark.parametrize("loss", ["exponential", "logistic", "sigmoid", "probit"])
@pytest.mark.parametrize("seeds", [range(1), *slow(range(1, 3))], ids=str)
def test_gradient_descent_is_followed_to_1e_9(loss, seeds):
    for seed in seeds:
        A, b = separable(12, 4, seed)
        error, _ = against_an_exact_run(A, b, loss, m.gradient_descent(0.02), 100_000, 1_000_000)
        assert error <= 1e-9


def one(A):
    return np.array(A, float), np.ones(len(A))


SETS = {"A": separable(40, 10, 0), "B": separable(20, 50, 1),
        "duplicated": one([[1, 0.5, 0], [1, 0.5, 0], [0.2, 1, 0], [3, 1, 1]]),
        "alpha = 1e-6": one([[1, 0], [1 - 2.0 ** -20, 1]]), "alpha = 0": one([[1, 0], [1, 1]]),
        "not spanning": one([[1, 0, 0], [0, 1, 0], [2, 2, 1]])}


@pytest.mark.exhaustive
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("far", [10**6, 10**7, 10**8])
def test_gradient_descent_to_1e8_on_six_data_sets(name, loss, far):
    error, trace = against_an_exact_run(*SETS[name], loss, m.gradient_descent(0.02), 100_000, far)
    print(f"{name}, {loss}, t = {far:.0e}: error {error:.1e}, estimate {trace.error_estimate[-1]:.1e}")
    assert error <= 1e-9


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [k for k in METHODS if k != "nesterov"])
def test_every_method_to_1e7(name):
    error, trace = against_an_exact_run(X, y, "exponential", METHODS[name], 100_000, 10**7)
    print(f"{name}: error {error:.1e}, estimate {trace.error_estimate[-1]:.1e}")
    assert error <= 1e-7 * max(1.0, float(np.abs(trace.w).max()) / 100)


@pytest.mark.exhaustive
def test_500_random_problems():
    """At least 90 % are answered, and every answer's estimate holds."""
    answered = 0
    names = list(METHODS)
    for seed in range(500):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(1, 10))
        A, b = separable(int(rng.integers(2, 30)), d, seed)
        A = A * 10 ** rng.uniform(-0.5, 0.5)
        loss = ("exponential", "logistic")[seed % 2]
        method = random_method(names[int(rng.integers(len(names)))], d, A, rng)
        if method.rule.loss:
            loss = "exponential"
        try:
            against_an_exact_run(A, b, loss, method, 20_000, 200_000)
            answered += 1
        except (fb.NoTheorem, fb.RunStopped):
            continue
    print(f"{answered} of 500 answered, every estimate valid")
    assert answered >= 450


def random_method(name, d, A, rng):
    eta = 10 ** rng.uniform(-2, 0) / (np.linalg.norm(A, axis=1).max() ** 2 * len(A))
    return {
        "gd": lambda: m.gradient_descent(eta), "heavy ball": lambda: m.gradient_descent(eta, rng.uniform(0, 0.95)),
        "nesterov .9": lambda: m.gradient_descent(eta, 0.9, 0.9),
        "nesterov": lambda: m.gradient_descent(eta, NESTEROV[:10**6], NESTEROV[:10**6]),
        "power steps": lambda: m.gradient_descent(fb.steps.power(eta, rng.uniform(0, 1))),
        "loss scaled": lambda: m.gradient_descent(fb.steps.loss_scaled(rng.uniform(0.1, 1)
                                                                       / np.linalg.norm(A, axis=1).max() ** 2)),
        "l1.5": lambda: m.steepest_descent(N.lp(1.5), eta / 10), "l4/3": lambda: m.steepest_descent(N.lp(4 / 3), eta / 10),
        "power 1.5": lambda: m.mirror_descent(P.power(1.5), eta / 10), "hypentropy": lambda: m.mirror_descent(
            P.hypentropy(10 ** rng.uniform(-2, 1)), eta / 10), "cosh": lambda: m.mirror_descent("cosh", eta),
        "adagrad": lambda: m.adagrad(10 ** rng.uniform(-2, 0)),
    }.get(name, lambda: m.steepest_descent(N.quadratic(10 ** rng.uniform(-1, 1, d)), eta / 10))()


@long
@settings(max_examples=6)                                     # 500 of them are exhaustive, above
@given(st.integers(0, 10**6))
def test_estimates_hold_on_random_problems(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 8))
    A, b = separable(int(rng.integers(2, 15)), d, seed)
    name = list(METHODS)[int(rng.integers(len(METHODS)))]
    try:
        against_an_exact_run(A, b, "exponential", random_method(name, d, A, rng), 10_000, 100_000)
    except (fb.NoTheorem, fb.RunStopped):
        return


@long
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_log_t_of_1e9_is_reached_and_where_theory_says(name, loss):
    A, b = SETS[name]
    eta = 0.02
    plan = fb.Plan(A, b, loss=loss, method=m.gradient_descent(eta))
    trace, limit = plan.fast_forward(1e9), plan.limit()
    assert trace.log_t[-1] == 1e9
    assert trace.t[-1] == -1
    assert np.isfinite(trace.w).all()
    hat = limit.w / limit.margin
    rho = trace.w[-1] - hat * 1e9
    gap = trace.gap(limit)[-1]
    assert gap <= 2 * max(np.linalg.norm(rho), 1e-6) / (np.linalg.norm(hat) * 1e9) + 1e-14
    if name in ("A", "B", "duplicated", "not spanning"):
        assert gap <= 1e-8
    Z = b[:, None] * A
    support, count = np.unique(Z[Z @ hat <= 1 + 1e-9], axis=0, return_counts=True)
    with mp.workdps(50):                                           # ŵ = Sᵀα with Sŵ = 1; float64 would lose α = 1e-6
        S = mp.matrix(support.tolist())
        alpha = [float(a) for a in mp.lu_solve(S * S.T, mp.ones(len(support), 1))]
    for z, a, k in zip(support, alpha, count, strict=True):
        got = trace.slack[-1][np.flatnonzero((z == Z).all(axis=1))[0]]
        if a > 1e-9:                                               # η e^slack = α: the fixed point of ρ
            near = 2e-9 if name == "alpha = 0" else 2e-10 if name == "alpha = 1e-6" else 1e-10      # (off by 1/log t)
            assert got == pytest.approx(np.log(a / (k * eta)), abs=near)
        else:                                                      # log log t: its push falls like 1/log t
            assert got == pytest.approx(-np.log(1e9), abs=6)


@long
def test_a_support_vector_of_weight_0_moves_like_log_log_t():
    """x = (1, 0), (1, 1): w₂ = log log t + O(1) (three integrators agreed on 20.7232658 for its flow's η = 1)."""
    trace = fb.Plan([[1, 0], [1, 1]], [1, 1], loss="exponential", method=m.gradient_descent(1.0)).fast_forward(
        1e9, record=[1e3, 1e6, 1e9])
    assert trace.w[:, 1] == pytest.approx(np.log(trace.log_t), abs=1e-2)
    assert trace.w[-1, 1] == pytest.approx(20.7232658, abs=1e-6)


@long
@pytest.mark.slow
def test_far_limits_of_other_methods_are_those_of_theory():
    for name, least in (("l1.5", 1 - 1e-6), ("l4/3", 1 - 1e-6), ("quadratic", 1 - 1e-6), ("power 1.5", 1 - 1e-6),
                        ("hypentropy", 1 - 1e-4), ("heavy ball", 1 - 1e-6)):
        plan = fb.Plan(X, y, loss="exponential", method=METHODS[name])
        trace, limit = plan.fast_forward(1e7), plan.limit()
        assert least <= trace.margin(limit.norm)[-1] / limit.margin <= 1 + 1e-9, name
    plan = fb.Plan(X, y, loss="exponential", method=METHODS["adagrad"])
    trace = plan.fast_forward(1e8)
    plan.run(1_000_000)
    assert trace.gap(plan.limit())[-1] < 1e-4                     # on the G of a million steps


@long
def test_probit_runs_like_the_root_of_log_t():
    plan = fb.Plan(X, y, loss="probit", method=m.gradient_descent(0.02))
    trace = plan.fast_forward(1e9, record=[1e3, 1e6, 1e9])
    margin = (y * (trace.w @ X.T)).min(axis=1)
    assert margin / np.sqrt(2 * trace.log_t) == pytest.approx(1, abs=0.1)
    assert trace.gap(fb.max_margin(X, y))[-1] < 1e-3


@long
def test_rows_before_the_handover_are_exact_and_the_plan_stays():
    plan = fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.1))
    plan.run(100)
    trace = plan.fast_forward(np.log(1e6), record=np.log([150, 20_000, 1e6]))
    assert plan.t == 100
    assert trace.t.tolist() == [150, 20_000, 10**6]
    exact = plan.run(19_900, record=[150])
    assert trace.w[0].tobytes() == exact.w[1].tobytes()
    assert trace.w[1].tobytes() == exact.w[-1].tobytes()
    assert "exact steps, then fast-forward" in trace.message
    near = fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.1)).fast_forward(np.log(500), record=1)
    assert near.t.tolist() == [500]


def test_traces_join_save_load_and_draw(tmp_path):
    plan = fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.1))
    begun = plan.run(1000)
    whole = begun.join(plan.fast_forward(1e6, record=20, max_steps=3000))
    assert (np.diff(whole.log_t) > 0).all()
    assert whole.log_t[-1] == 1e6
    assert (whole.t[-5:] == -1).all()
    assert whole.error_estimate[:3].tolist() == [0, 0, 0]
    assert whole.gap(plan.limit())[-1] < 1e-4
    whole.save(tmp_path / "t.npz")
    back = fb.Trace.load(tmp_path / "t.npz")
    assert (back.log_t == whole.log_t).all()
    assert (back.error_estimate == whole.error_estimate).all()
    later = plan.fast_forward(1e6, record=3, max_steps=3000)
    later.save(tmp_path / "l.npz")
    assert (fb.Trace.load(tmp_path / "l.npz").slack == later.slack).all()
    assert whole.plot().get_xlabel() == "log t"
    with pytest.raises(ValueError, match="later must be a Trace"):
        begun.join(fb.run([[1.0]], [1], loss="logistic", method=m.gradient_descent(0.1), steps=1))


@pytest.mark.parametrize(("method", "loss", "words"), [
    (m.coordinate_descent(0.1), "exponential", "slides"), (m.sign_descent(0.1), "exponential", "slides"),
    (m.steepest_descent("linf", 0.1), "exponential", "slides"), (m.steepest_descent(N.lp(3), 0.1), "exponential", "p > 2"),
    (m.adam(0.1, eps=0), "exponential", "remembers"), (m.rmsprop(0.1, eps=0), "logistic", "remembers"),
    (m.adam(fb.steps.power(0.1, 0.5)), "exponential", "constant step"),
    (m.adagrad(0.1, momentum=0.5), "exponential", "remembers"), (m.adamw(0.1), "exponential", "weight decay"),
    (m.gradient_descent(0.1, batch=2, rng=0), "logistic", "random"),
    (m.coordinate_descent(fb.steps.line_search()), "exponential", "slides"),
    (m.gradient_descent(fb.steps.line_search()), "exponential", "do not shrink"),
    (m.dual_acceleration(), "exponential", "do not shrink"),
    (m.gradient_descent([0.1, 0.2, 0.1]), "exponential", "varies"),
    (m.gradient_descent(0.1, [0.1, 0.5]), "exponential", "momentum varies"),
    (m.gradient_descent(fb.steps.power(0.1, 0.5), 0.5), "exponential", "step sizes that vary"),
    (m.gradient_descent(fb.steps.power(0.1, 0.5)), "probit", "Gaussian"),
    (m.gradient_descent(fb.steps.power(0.1, 1.5)), "exponential", "never reach"),
    (m.gradient_descent(0.1, 1.0), "exponential", "never reach"),
    (m.gradient_descent(fb.steps.loss_scaled(0.1)), "logistic", "exponential loss"),
    (m.mirror_descent("cosh", 0.1, 0.5), "exponential", "only where the geometry is quadratic"),
    (m.mirror_descent("cosh", 0.1, primal_momentum=0.5), "exponential", "primal momentum"),
    (m.mirror_descent("entropy", 0.1), "exponential", "no field is known"),
    (m.natural_gradient("cosh", 0.1), "exponential", "no field is known"),
    (m.gradient_descent(0.1), fb.losses.huber(1.0), "closed form is for the squared loss"),
    (m.gradient_descent(0.1), fb.losses.Loss("own", fb.losses.sigmoid.slope, fb.losses.sigmoid.log_loss, "monotone", [2.0]),
     "declare excess"),
], ids=lambda v: str(v)[:50])
def test_what_has_no_field_is_refused_with_the_reason(method, loss, words):
    with pytest.raises(LookupError, match=words):
        fb.Plan(X, y, loss=loss, method=method).fast_forward(100)


@pytest.mark.long
def test_bad_arguments_and_data(monkeypatch):
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.02))
    plan.run(100)
    for log_t, options, words in ((-1, {}, "log_t must be"), (1.0, {}, "before the step 100"),
                                  (50, {"rtol": 1}, "rtol must be"), (50, {"record": [60]}, "record must hold"),
                                  (50, {"max_steps": -1}, "max_steps must be"), (50, {"record": 0}, "record must be")):
        with pytest.raises(ValueError, match=words):
            plan.fast_forward(log_t, **options)
    with pytest.raises(LookupError, match="not separable") as refused:
        fb.Plan([[1, 2], [1, 2]], [1, -1], loss="logistic", method=m.gradient_descent(0.02, 0.5)).fast_forward(50)
    assert refused.value.dual == pytest.approx([0.5, 0.5])
    with pytest.raises(LookupError, match="at most 700"):
        fb.Plan(X, y, loss="exponential", method=m.gradient_descent(fb.steps.loss_scaled(0.02))).fast_forward(1000)
    monkeypatch.setattr("fastbias.forward.integrate.CALLS", 20)
    with pytest.raises(LookupError, match="could not be followed"):
        plan.fast_forward(50, max_steps=3000)


def test_a_solver_that_returns_nan_or_stops_early_is_caught(monkeypatch):
    import scipy.integrate as integrate
    true = integrate.solve_ivp
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.02))
    told = []

    def broken(*args, method, **options):
        answer = true(*args, method=method, **options)
        told.append(method)
        if method == "LSODA":
            answer.y = answer.y * np.nan if len(told) % 4 == 1 else answer.y[:, :-1]
        return answer

    good = plan.fast_forward(30, record=5, max_steps=3000)
    monkeypatch.setattr(integrate, "solve_ivp", broken)
    assert plan.fast_forward(30, record=5, max_steps=3000).w == pytest.approx(good.w, rel=1e-7)        # Radau steps in
    assert told == ["LSODA", "Radau"] * 2
    monkeypatch.setattr(integrate, "solve_ivp", lambda *a, **o: (_ for _ in ()).throw(ValueError("no")))
    with pytest.raises(LookupError, match="LSODA: no; Radau: no"):
        plan.fast_forward(30, max_steps=3000)


AUTONOMOUS = [k for k, method in METHODS.items() if not method.beta.any() and method.measured is None
              and method.rule.name == "constant"]


@pytest.mark.parametrize("name", AUTONOMOUS)                       # (the others' orders are in 1/t: the exact runs above)
def test_the_second_order_is_the_second_order(name):
    """The field reproduces one step of the map from a point to O(step³): halving the step size divides the error by 8."""
    errors = []
    for eta in (0.002, 0.001, 0.0005):
        method = METHODS[name]
        rule = method.rule
        scaled = type(rule)(rule.name, rule.rule, np.append(rule.params[0] * eta / 0.02, rule.params[1:]), rule.constant)
        plan = fb.Plan(X, y, loss="logistic", method=_with(method, scaled), start=0.3 * np.ones(5))
        t0 = 10                                                # which the step from 0 is, too: the rule is constant
        here = reached(plan)._replace(t=t0)
        plan.run(1)
        field = choice.choose(plan.problem)
        _, w = field.follow(here, np.log([t0 + 1.0]), 1e-12)
        errors.append(np.abs(w[0] - plan.u).max())
    assert errors[0] / errors[2] > 40, errors                      # 64 in the limit; 16 were it first order


def _with(method, rule):
    import dataclasses
    return dataclasses.replace(method, rule=rule)


@long
def test_the_squared_loss_has_a_closed_form_at_any_t():
    A, b = fb.data.random_regression(3, 6, rng=0)
    eta = 0.3 / np.linalg.norm(A, 2) ** 2
    for method in (m.gradient_descent(eta), m.gradient_descent(eta, 0.9), m.gradient_descent(eta, 0.9, 0.9),
                   m.mirror_descent(P.quadratic(np.arange(1.0, 7)), eta, 0.5), m.steepest_descent("l2", eta)):
        plan = fb.Plan(A, b, loss="squared", method=method)
        plan.run(10)
        trace = plan.fast_forward(1e9, record=np.log([100, 5000]))
        assert trace.w[-1] == pytest.approx(plan.limit().w, abs=1e-12)
        assert trace.t[:2].tolist() == [100, 5000]
        exact = plan.run(4990, record=[100])
        assert trace.w[0] == pytest.approx(exact.w[1], abs=1e-12)
        assert trace.w[1] == pytest.approx(exact.w[-1], abs=1e-10)
    with pytest.raises(LookupError, match="quadratic geometries"):
        fb.Plan(A, b, loss="squared", method=m.mirror_descent("cosh", eta)).fast_forward(10)
    few = fb.Plan(A, b, loss="squared", method=m.gradient_descent(eta)).fast_forward(np.log(20))
    assert few.t[-1] == 20
    assert (np.diff(few.t) > 0).all()


@long
def test_what_would_be_a_silent_approximation_is_refused():
    """Each of these gave a wrong answer with a small estimate once."""
    short = NESTEROV[:50_000]                                         # then constant momentum goes on: another method
    with pytest.raises(LookupError, match="momentum array ends"):
        fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.02, short, short)).fast_forward(np.log(1e6))
    with pytest.raises(LookupError, match="swing to and fro"):
        fb.Plan(X, y, loss="exponential", method=m.gradient_descent(fb.steps.loss_scaled(1.0))).fast_forward(20)
    near = np.array([[1, 0.5], [0.5, 1], [0.5, 1 + 1e-11], [3, 2]])   # a sample just behind a support vector
    with pytest.raises(LookupError, match="just behind"):
        fb.Plan(near, np.ones(4), loss="exponential", method=m.gradient_descent(fb.steps.loss_scaled(0.1))).fast_forward(40)
    plateau = fb.Plan([[1, 0], [1, 1]], [1, 1], loss="sigmoid", method=m.gradient_descent(5.0), start=[-13, 1])
    with pytest.raises(LookupError, match="do not yet shrink"):
        plateau.fast_forward(np.log(5e6), max_steps=10_000)
    for momentum, budget in ((0.0, 0), (0.0, 500), (0.9, 10_000), (0.9999, 100_000)):    # not on its slow manifold
        with pytest.raises(LookupError, match="two handovers"):
            fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.02, momentum)).fast_forward(20, max_steps=budget)


def test_two_handovers_use_what_steps_are_admitted():
    """After 1000 steps and after twice as many: 2000 are enough, one fewer is not."""
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.02))
    with pytest.raises(LookupError, match="two handovers after 1000 exact steps"):
        plan.fast_forward(20, max_steps=1999)
    for budget in (2000, 3000):
        assert f"{budget} exact steps" in plan.fast_forward(20, record=3, max_steps=budget).message


def test_rows_are_whole_steps_from_where_the_plan_stands():
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.02))
    trace = plan.fast_forward(5.0, record=[0.0, 0.1, 0.3, 0.8, 5.0], max_steps=3000)
    assert trace.t.tolist() == [1, 2, 148]
    assert trace.w[0] == pytest.approx(0.02 * (y @ X))
    assert trace.log_t == pytest.approx(np.log([1, 2, 148]))
    plan.run(7)
    with pytest.raises(ValueError, match="record must hold log t between 1.94"):
        plan.fast_forward(50, record=[0.5, 5])
    whole = plan.fast_forward(43.5, record=50, max_steps=3000)
    assert whole.t[0] == 7
    assert whole.t[-1] == -1 or whole.t[-1] > 7e18
    assert (whole.t > 0).all() == (np.exp(43.5) < 2.0 ** 63)
    assert plan.fast_forward(43.7, record=1, max_steps=3000).t.tolist() == [-1]


def test_exact_steps_that_end_early_are_told():
    plan = fb.Plan([[1.0, 2.0]], [1.0], loss="exponential", method=m.gradient_descent(0.1), start=[30.0, 30.0])
    with pytest.raises(LookupError, match="ended early: the whole state repeats"):
        plan.fast_forward(100)
    with pytest.raises(fb.RunStopped):
        fb.Plan([[100.0]], [1], loss="exponential", method=m.gradient_descent(1e307)).fast_forward(100)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cosh_is_within_its_estimate_of_a_flow_in_w(seed):
    """Its dual variables grow exponentially, so errors of θ relative to the largest were errors of w at all: Radau in w."""
    from scipy.integrate import solve_ivp
    A, b = separable(6, 4, seed)
    Z, eta = b[:, None] * A / np.linalg.norm(A, axis=1).max(), 0.01
    plan = fb.Plan(Z, np.ones(6), loss="exponential", method=m.mirror_descent("cosh", eta), start=0.3 * np.ones(4))
    rows = [20.0, 40.0, 60.0]
    trace = plan.fast_forward(60.0, record=rows, max_steps=200_000)
    begun = plan.run(200_001, record=2)

    def rate(s, w):
        return eta * (np.exp(np.minimum(s - Z @ w, 500)) @ Z) / np.cosh(w)

    def slope(s, w):
        e = eta * np.exp(np.minimum(s - Z @ w, 500))
        return -(Z.T * e) @ Z / np.cosh(w)[:, None] - np.diag((e @ Z) * np.sinh(w) / np.cosh(w) ** 2)

    plain = solve_ivp(rate, (np.log(200_001), 60), begun.w[-1], method="Radau", jac=slope, rtol=1e-10, atol=1e-11,
                      t_eval=rows)
    error = np.abs(trace.w[-3:] - plain.y.T).max(axis=1)
    assert (error <= trace.error_estimate[-3:] + 3e-8).all()
    assert np.abs(trace.w[-3:] @ Z.T - (trace.log_t[-3:, None] - trace.slack[-3:])).max() <= 1e-8


def test_sigmoid_from_where_samples_may_stay_wrong_is_refused():
    plan = fb.Plan([[1.0, 0], [0.2, 1]], [1, 1], loss="sigmoid", method=m.gradient_descent(0.1), start=[-30.0, 60.0])
    with pytest.raises(fb.NoTheorem, match="sigmoid needs log L < log ℓ\\(0\\)|do not yet shrink"):
        plan.fast_forward(1e4, max_steps=20_000)
    assert fb.Plan([[1.0, 0], [0.2, 1]], [1, 1], loss="sigmoid", method=m.gradient_descent(0.5)).fast_forward(
        100, record=1, max_steps=20_000).log_loss[-1] < -90


def test_a_power_of_0_is_constant_and_rates_of_far_rows_are_fitted():
    A, b = [[0.5, 1.5], [1.5, 0.5], [-1.5, -0.5]], [1, 1, -1]
    plans = [fb.Plan(A, b, loss="exponential", method=m.gradient_descent(rule)) for rule in (0.01, fb.steps.power(0.01, 0))]
    limits = [plan.limit() for plan in plans]
    assert limits[1].offset == pytest.approx(limits[0].offset, abs=1e-14)
    assert np.isfinite(limits[1].offset).all()
    far = plans[1].fast_forward(1e9, max_steps=20_000)
    fitted = {r.quantity: r.fitted for r in far.rates(limits[1])}
    assert fitted["log loss"] == pytest.approx(-1, abs=1e-9)
    assert fitted["norm"] == pytest.approx(1, abs=1e-3)
    assert fitted["log t L"] == pytest.approx(0, abs=1e-9)
