"""Tasks in turn: runs against a naive twin, projections against another solver, and where both lead."""
import numpy as np
import pytest
import scipy.optimize

import fastbias as fb

C, m, S = fb.continual, fb.methods, fb.steps
GD = m.gradient_descent(0.1)
TWO = [([[2.0, 0.0]], [1]), ([[0.0, 1.0]], [1])]


def tasks(seed, sizes=(2, 3, 4)):
    """Tasks that some w separates together, with samples of sizes up to ten times apart in every third."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 6))
    w = rng.normal(size=d)
    out = []
    for n in sizes:
        X = rng.normal(size=(n, d)) * (10.0 ** rng.uniform(-0.5, 0.5, size=(n, 1)) if seed % 3 == 2 else 1.0)
        y = np.sign(X @ w)
        out.append((X + 0.3 * y[:, None] * w / np.linalg.norm(w), y))
    return out


def logistic(w, X, y):
    """−∇L."""
    return (y / (1 + np.exp(y * (X @ w)))) @ X


def naive(some, eta, steps, cycles, order, seed=0):
    w = np.zeros(some[0][0].shape[1])
    rows, rng = [w], np.random.default_rng(seed)
    drawn = rng.integers(len(some), size=cycles * len(some))

    def visit(w, k):
        for _ in range(steps):
            w = w + eta * logistic(w, *some[k])
        return w

    for c in range(cycles):
        if order == "average":
            rows.append(np.mean([visit(rows[-1], k) for k in range(len(some))], axis=0))
            continue
        for i in range(len(some)):
            rows.append(visit(rows[-1], i if order == "cyclic" else drawn[c * len(some) + i]))
    return np.array(rows)


@pytest.mark.parametrize("order", ["cyclic", "random", "average"])
@pytest.mark.parametrize("seed", range(3))
def test_a_run_is_its_twin(seed, order):
    some = tasks(seed)
    trace = C.run(some, method=GD, steps=7, cycles=5, loss="logistic", order=order, rng=seed)
    wanted = naive(some, 0.1, 7, 5, order, seed)
    assert np.allclose(trace.w, wanted, rtol=1e-12, atol=1e-14)
    assert np.array_equal(trace.t, 7 * np.arange(len(wanted)))
    total = sum(np.log1p(np.exp(-y * (X @ wanted[-1]))).sum() for X, y in some)
    assert trace.log_loss[-1] == pytest.approx(np.log(total), rel=1e-10)


def test_each_visit_begins_anew():
    """Momentum, step rules: a visit is Plan(...).run(steps) from where the last one ended."""
    some, method = tasks(1), m.gradient_descent(S.power(0.2, 0.5), momentum=0.9)
    trace = C.run(some, method=method, steps=11, cycles=2, start=np.ones(some[0][0].shape[1]))
    w = np.ones(some[0][0].shape[1])
    for row, (X, y) in zip(trace.w[1:], [*some, *some], strict=True):
        w = fb.Plan(X, y, loss="exponential", method=method, start=w).run(11).w[-1]
        assert np.array_equal(row, w)


@pytest.mark.parametrize("budget", [1, 4, 50])
def test_visits_with_momentum_and_steps_that_fall_are_their_twin(budget):
    """Three tasks, one budget each: Δw and t begin anew at each visit, w goes on; the twin is NumPy alone."""
    some, eta, beta = tasks(2), 0.2, 0.8
    trace = C.run(some, method=m.gradient_descent(S.power(eta, 0.5), beta), steps=budget, cycles=4, loss="logistic")
    w = np.zeros(some[0][0].shape[1])
    for visit, row in enumerate(trace.w[1:]):
        move = np.zeros_like(w)
        for t in range(budget):
            move = beta * move + eta / np.sqrt(t + 1.0) * logistic(w, *some[visit % 3])
            w = w + move
        assert np.allclose(row, w, rtol=1e-12, atol=1e-14), visit
    assert len(trace.w) == 1 + 3 * 4


def test_one_task_is_a_plain_run():
    X, y = tasks(0)[2]
    trace = C.run([(X, y)], method=GD, steps=10, cycles=30)
    assert np.array_equal(trace.w[-1], fb.run(X, y, loss="exponential", method=GD, steps=300).w[-1])


def test_regression_in_turn_is_kaczmarz():
    """One sample a task and steps that solve it: the projections of Kaczmarz, to the least norm."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3, 5)), rng.normal(size=3)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    some = [(X[k:k + 1], y[k:k + 1]) for k in range(3)]
    trace = C.run(some, method=m.gradient_descent(0.5), steps=1, cycles=400, loss="squared")
    assert np.allclose(trace.w[1], y[0] * X[0])
    assert np.allclose(trace.w[-1], np.linalg.lstsq(X, y, rcond=None)[0], atol=1e-10)


# --- projections ---------------------------------------------------------------------------------

def by_slsqp(Z, w0):
    found = scipy.optimize.minimize(lambda w: 0.5 * ((w - w0) ** 2).sum(), w0, jac=lambda w: w - w0, method="SLSQP",
                                    constraints={"type": "ineq", "fun": lambda w: Z @ w - 1, "jac": lambda w: Z},
                                    options={"ftol": 1e-14, "maxiter": 1000})
    return found.x


@pytest.mark.parametrize("seeds", [range(10), pytest.param(range(10, 200), marks=pytest.mark.exhaustive)], ids=["10", "190 more"])
def test_projections_are_those_of_another_solver_and_certified(seeds):
    for seed in seeds:
        some = tasks(seed)
        found = C.projections(some, cycles=3)
        assert found.certified
        assert found.task.tolist() == [0, 1, 2] * 3
        for before, after, k, lam in zip(found.w[:-1], found.w[1:], found.task, found.dual, strict=True):
            Z = some[k][1][:, None] * some[k][0]
            assert np.allclose(after, by_slsqp(Z, before), atol=1e-5 * (1 + np.linalg.norm(after)))
            # the certificate, by hand: feasible, λ ≥ 0, λ only where a margin is one, w − w0 in its cone
            assert (Z @ after).min() >= 1 - 1e-10
            assert (lam >= 0).all()
            assert np.abs(lam * (Z @ after - 1)).max() < 1e-9 * (1 + lam.max())
            assert np.allclose(before + lam @ Z, after, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seeds", [range(10), pytest.param(range(10, 60), marks=pytest.mark.exhaustive)], ids=["10", "50 more"])
def test_projections_come_nearer_to_all_that_solve_each_task(seeds):
    """Evron et al. (2023): from 0 no iterate is longer than 2‖w⋆‖, and in cycles all margins come to one."""
    for seed in seeds:
        some = tasks(seed)
        joint = fb.max_margin(np.vstack([X for X, _ in some]), np.concatenate([y for _, y in some]))
        star = joint.w / joint.margin
        found = C.projections(some, cycles=1000)
        away = np.linalg.norm(found.w - star, axis=1)
        assert (np.diff(away) <= 1e-9 * away[0]).all()
        assert np.linalg.norm(found.w, axis=1).max() <= 2 * np.linalg.norm(star) * (1 + 1e-9)
        assert np.linalg.norm(found.w[-1]) >= np.linalg.norm(star) * (1 - 1e-6)
        assert min((y * (X @ found.w[-1])).min() for X, y in some) > 0.99


def test_projections_need_not_end_at_the_maximum_margin():
    """In the plane, from 0 on (1, 0) and then on a half-space in between: the second step ends both."""
    found = C.projections([([[1, 0]], [1]), ([[0.6, 0.8]], [1])], cycles=500)
    joint = fb.max_margin([[1, 0], [0.6, 0.8]], [1, 1])
    assert found.w[-1] == pytest.approx([1.24, 0.32])
    assert joint.w / joint.margin == pytest.approx([1.0, 0.5])


def pulled(Z, before, log_lam):
    """The minimiser of Σ exp(−⟨w, z⟩) + ½λ‖w − before‖²: w = before + Zᵀe^a with a = −Zw − log λ, by damped Newton steps on a."""
    def off(a):
        return a + Z @ (before + Z.T @ np.exp(np.minimum(a, 300))) + log_lam

    a = np.minimum(-Z @ before - log_lam, 0.0)
    for _ in range(3000):
        move = np.linalg.solve(np.eye(len(Z)) + Z @ Z.T * np.exp(a), -off(a))
        part = 1.0 / max(1.0, np.abs(move).max())
        while part > 1e-9 and np.linalg.norm(off(a + part * move)) > (1 - 0.1 * part) * np.linalg.norm(off(a)):
            part /= 2
        a = a + part * move
        if np.abs(move).max() < 1e-11 * (1 + np.abs(a).max()):
            break
    assert np.abs(off(a)).max() < 1e-8 * abs(log_lam)
    return before + Z.T @ np.exp(a)


def weakly(some, lam, cycles):
    """The same, task after task."""
    rows = [np.zeros(some[0][0].shape[1])]
    for _ in range(cycles):
        for X, y in some:
            rows.append(pulled(y[:, None] * X, rows[-1], np.log(lam)))
    return np.array(rows[1:])


@pytest.mark.parametrize("seed", range(4))
def test_tasks_under_a_weak_pull_to_where_they_began_are_projections(seed):
    """w/log(1/λ) → the projections; the rest falls like 1/log(1/λ)."""
    some, off = tasks(seed), []
    wanted = C.projections(some, cycles=2).w[1:]
    for lam in (1e-20, 1e-40, 1e-80):
        off.append(np.abs(weakly(some, lam, 2) / np.log(1 / lam) - wanted).max() / np.abs(wanted).max())
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.05
    assert off[2] < 0.7 * off[1]


def test_what_is_met_already_stays():
    found = C.projections(TWO, [3.0, 4.0])
    assert np.array_equal(found.w, np.tile([3.0, 4.0], (3, 1)))
    assert (found.gap == 0).all()
    assert found.certified
    assert not any(lam.any() for lam in found.dual)


def test_no_cycles_are_the_start():
    assert C.projections(TWO, cycles=0).w.tolist() == [[0.0, 0.0]]
    assert C.run(TWO, method=GD, steps=3, cycles=0).w.tolist() == [[0.0, 0.0]]


def test_projections_are_shown_in_a_few_lines():
    text = repr(C.projections(tasks(0), cycles=50))
    assert "150 projections, certified" in text
    assert len(text.splitlines()) < 30


# --- where runs lead -------------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.parametrize("order", ["cyclic", "random", "average"])
@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 52), marks=pytest.mark.exhaustive)], ids=["2", "50 more"])
def test_a_fixed_budget_leads_to_the_maximum_margin_of_all(seeds, order):
    """Increments between two times, which have no 1/log t in them, within 15 % of ŵ; a last task's own margin is another."""
    for seed in seeds:
        some = tasks(seed)
        some = [(X / max(np.linalg.norm(A, axis=1).max() for A, _ in some), y) for X, y in some]
        told = C.limit(some, method=GD, loss="logistic", order=order)
        assert told.certified
        assert not any(h.holds is False for h in told.hypotheses)
        trace = C.run(some, method=m.gradient_descent(1.0), steps=50, cycles=600, loss="logistic", order=order)
        hat = told.w / told.margin
        off = np.linalg.norm(trace.increment() - hat) / np.linalg.norm(hat)
        assert trace.margin()[-1] > 0.7 * told.margin, (seed, trace.margin()[-1] / told.margin)
        assert off < 0.25, (seed, off)


def test_the_limit_is_the_maximum_margin_of_all_samples():
    some = tasks(0)
    told = C.limit(some, method=GD)
    joint = fb.max_margin(np.vstack([X for X, _ in some]), np.concatenate([y for _, y in some]))
    assert np.allclose(told.w, joint.w, atol=1e-12)
    assert told.margin == pytest.approx(joint.margin)
    assert told.source == "Jung, Cho, Yun (2025)"
    assert "local" in C.limit(some, method=GD, order="average").theorem


def test_tasks_that_clash_have_no_direction():
    with pytest.raises(fb.NoTheorem, match="though each task is separable by itself") as told:
        C.limit([([[1.0, 0.0]], [1]), ([[1.0, 0.0]], [-1])], method=GD)
    assert told.value.dual == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("method", "loss", "words"), [
    (m.gradient_descent(0.1, 0.5), "logistic", "plain gradient descent"), (m.sign_descent(0.1), "logistic", "plain gradient"),
    (m.gradient_descent(0.1, batch=1), "logistic", "plain gradient"), (GD, "probit", "exponential tail"),
    (m.gradient_descent(0.1, weight_decay=0.1), "logistic", "plain gradient"),
    (m.gradient_descent(S.loss_scaled(0.1)), "exponential", "divided by the loss"),
    (m.gradient_descent(S.line_search()), "logistic", "searched"), (m.gradient_descent(0.1, clip=1.0), "logistic", "cuts")])
def test_of_other_methods_nothing_is_claimed(method, loss, words):
    with pytest.raises(fb.NoTheorem, match=words):
        C.limit(TWO, method=method, loss=loss)


@pytest.mark.long
def test_steps_divided_by_the_loss_of_a_task_end_elsewhere():
    """The refusal above is no caution: η/L of one task weighs it as much as one that is nearly unlearnt."""
    some = [([[1.0, 0.0]], [1]), ([[0.6, 0.8]], [1]), ([[0.6, 0.8]], [1])]
    trace = C.run(some, method=m.gradient_descent(S.loss_scaled(0.01)), steps=5, cycles=2000)
    w = trace.direction()[-1]
    assert w == pytest.approx(np.array([2.2, 1.6]) / np.hypot(2.2, 1.6), abs=1e-3)
    assert (np.array([[1.0, 0.0], [0.6, 0.8]]) @ w).min() < 0.95 * C.limit(some, method=GD).margin


# --- bad input -------------------------------------------------------------------------------------

@pytest.mark.parametrize(("given", "error", "words"), [
    ({"tasks": "x"}, TypeError, "tasks must be a list of pairs"), ({"tasks": []}, TypeError, "tasks must be a list of pairs"),
    ({"tasks": [([[1.0]],)]}, TypeError, "for task 0"), ({"tasks": [*TWO, ([[1.0]], [1])]}, ValueError, "X of task 2 must have 2 columns"),
    ({"tasks": [([[1.0, 2.0]], [1, 1])]}, ValueError, "y of task 0 must have 1 entries"),
    ({"tasks": [([[1.0], [2.0], [3.0]], [0, 1, 2])]}, ValueError, "labels"), ({"steps": 0}, ValueError, "steps must be"),
    ({"cycles": -1}, ValueError, "cycles must be"), ({"order": "backwards"}, ValueError, "order must be"),
    ({"loss": "cross_entropy", "tasks": [([[1.0], [2.0]], [0, 1])]}, ValueError, "two labels or of numbers"), ({"rng": -1}, ValueError, "rng must be")])
def test_bad_arguments_get_one_sentence(given, error, words):
    with pytest.raises(error, match=words):
        C.run(**{"tasks": TWO, "method": GD, "steps": 3} | given)


def test_a_task_that_nothing_separates_has_no_projection():
    with pytest.raises(ValueError, match="task 1 is not"):
        C.projections([*TWO[:1], ([[1.0, 0.0], [1.0, 0.0]], [1, -1])])


@pytest.mark.long                                                        # (Python's own powers raise where NumPy's do not)
def test_a_visit_that_leaves_float64_says_so():
    with pytest.raises(fb.RunStopped) as told:
        C.run([([[1.0], [-0.5]], [1, 1])], method=m.gradient_descent(1e200), steps=10, cycles=3)
    assert np.isfinite(told.value.trace.w).all()


def test_labels_of_any_name_mean_the_same_in_each_task():
    named = [(np.array([[2.0, 0.0]]), ["yes"]), (np.array([[0.0, -1.0]]), ["no"])]
    assert np.array_equal(C.projections(named).w, C.projections(TWO).w)
