"""Long runs: chunks, going on, stopping, records, Ctrl-C, callbacks, and the loop's own statuses."""
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastbias as fb
from fastbias.engine import driver, helpers
from tests.helpers import JIT
from tests.helpers.signals import ctrl_c

m = fb.methods
X, y = fb.data.random_regression(3, 5, rng=0, positive=True)
ETA = 0.05 / np.linalg.norm(X, 2) ** 2
METHODS = [
    m.gradient_descent(ETA, 0.5, 0.5), m.gradient_descent([ETA, ETA / 2], [0.0, 0.1, 0.2]),
    m.mirror_descent("entropy", ETA, dual_momentum=0.5), m.mirror_descent("entropy", ETA, primal_momentum=0.1),
    m.natural_gradient("entropy", ETA), m.steepest_descent(fb.norms.lp(4 / 3), fb.steps.power(ETA, 0.3)),
    m.steepest_descent("l1", ETA, normalised=True),
]


def new(method=None, **options):
    return fb.Plan(X, y, loss="squared", method=method or METHODS[0], **options)


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS, ids=repr)
@given(cuts=st.lists(st.integers(0, 60), min_size=1, max_size=5))
def test_going_on_is_bitwise_one_long_run(method, cuts):
    whole, parts = new(method), new(method)
    rows = np.arange(0, sum(cuts) + 1)
    one = whole.run(sum(cuts), record=rows)
    many = [parts.run(c, record=rows[parts.t: parts.t + c + 1]) for c in cuts]
    assert parts.t == whole.t == one.t[-1]
    for row, t in enumerate(one.t):
        same = [(tr.u[tr.t == t], tr.log_loss[tr.t == t]) for tr in many if t in tr.t]
        assert same
        assert all((u == one.u[row]).all() and (loss == one.log_loss[row]).all() for u, loss in same)
    for a, b in zip(parts.buffers[:3], whole.buffers[:3], strict=True):
        assert a.tobytes() == b.tobytes()


def test_the_size_of_chunks_changes_no_bit(monkeypatch):
    one = new().run(300, record=20)
    for chunk, large in ((1e-9, 10**9), (1e-9, 1)):            # one step a call; and in a thread
        monkeypatch.setattr(driver, "CHUNK", chunk)
        monkeypatch.setattr(driver, "LARGE", large)
        other = new().run(300, record=20)
        assert other.u.tobytes() == one.u.tobytes()
        assert (other.t == one.t).all()


def test_rows_are_log_spaced_and_hold_both_ends():
    trace = new(m.steepest_descent(fb.norms.lp(1.5), ETA / 100)).run(2000 if JIT else 200)
    assert trace.t[0] == 0
    assert trace.t[-1] == (2000 if JIT else 200)
    assert (np.diff(trace.t) > 0).all()
    assert len(trace) <= 202
    gaps = np.diff(np.log(trace.t[trace.t > 50]))
    assert gaps.max() < 0.1
    assert trace.t.dtype == np.int64
    assert (trace.w == trace.u).all()
    assert np.isneginf(trace.log_t[0])
    assert trace.log_loss == pytest.approx([2 * np.log(np.linalg.norm(X @ w - y)) for w in trace.w], abs=1e-9)


def test_record_takes_steps_or_a_count():
    plan = new()
    assert plan.run(10, record=[3, 7, 7, 10]).t.tolist() == [0, 3, 7, 10]
    assert plan.run(10, record=np.array([12])).t.tolist() == [10, 12, 20]
    assert plan.run(5, record=2).t.tolist() == [20, 25]
    assert plan.run(0).t.tolist() == [25]
    assert plan.run(1e1, record=[]).t.tolist() == [25, 35]
    for bad, kind in (([36.5], ValueError), ([34], ValueError), ([99], ValueError), (1, ValueError), (True, TypeError),
                      ("all", TypeError), ([[36]], ValueError), ([[1], [1, 2]], ValueError), ({}, TypeError)):
        with pytest.raises(kind, match="record"):
            plan.run(10, record=bad)
    assert plan.t == 35


@pytest.mark.parametrize("options", [{}, {"record_w": False}, {"gram": True}, {"model": "diagonal", "batch": 2}], ids=str)
def test_until_gradient_stops_at_the_first_row_where_it_is_short(options):
    X, y, option = np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 2.0]]), np.array([1.0, -0.5]), dict(options)
    method = m.gradient_descent(0.01, batch=option.pop("batch", None), rng=1)
    model, record_w, gram = option.pop("model", "linear"), option.pop("record_w", True), option.pop("gram", None)
    start = np.full(3, 0.4)
    if model == "diagonal":
        model, start = fb.models.diagonal(2), np.full(6, 0.4)

    def size(w, u):                                                      # ‖∇L‖ in the parameters
        g = 2 * X.T @ (X @ w - y)
        return float(np.linalg.norm(g if u.size == 3 else np.concatenate([g * u[3:], g * u[:3]])))

    def plan():
        return fb.Plan(X, y, loss="squared", method=method, model=model, start=start, gram=gram)
    whole = plan().run(3000, record=np.arange(0, 3001, 7))
    sizes = [size(w, u) for w, u in zip(whole.w, whole.u, strict=True)]
    for bound in (sizes[len(sizes) // 3] * 1.0001, 2.0 * sizes[len(sizes) // 2], sizes[0] * 2):
        first = next(i for i, g in enumerate(sizes) if g <= bound)
        one = plan()
        trace = one.run(3000, record=np.arange(0, 3001, 7), until_gradient=bound, record_w=record_w)
        assert trace.status == fb.Status.REACHED == one.status
        assert trace.message.startswith("the gradient is as short as asked, at step")
        assert trace.t.tolist() == whole.t[:first + 1].tolist()
        assert trace.u[-1].tobytes() == whole.u[first].tobytes()
        again = one.run(50, until_gradient=bound)                        # it is there already
        assert again.t.tolist() == [7 * first]
        assert one.run(5).t[-1] == 7 * first + 5                         # and goes on where nobody asks
    far = plan().run(30, until_gradient=0.0)
    assert (far.status, far.t[-1]) == (fb.Status.OK, 30)


def test_until_gradient_and_until_whichever_comes_first():
    rows = np.arange(401)
    loss = new().run(400, record=rows, until=-5)
    size = np.linalg.norm(new().problem.descent(loss.u[-1]))
    sooner = new().run(400, record=rows, until=-5, until_gradient=size * 1.5)
    assert sooner.t[-1] < loss.t[-1]
    assert "gradient" in sooner.message
    later = new().run(400, record=rows, until=-5, until_gradient=size * 0.5)
    assert later.t[-1] == loss.t[-1]
    assert "log loss" in later.message
    for bad, what in ((-1.0, "-1"), (float("nan"), "nan")):
        with pytest.raises(ValueError, match=f"until_gradient must be a finite number >= 0, got {what}"):
            new().run(1, until_gradient=bad)


def test_until_stops_at_the_first_step_under_it():
    full = new().run(400, record=np.arange(401))
    trace = new().run(400, until=-5, record=3)
    assert trace.status == fb.Status.REACHED
    first = int(np.argmax(full.log_loss <= -5))
    assert trace.t[-1] == first
    assert (trace.u[-1] == full.u[first]).all()
    plan = new()
    assert plan.run(1000, until=-5).t[-1] == first
    assert plan.run(1000, until=-5).t.tolist() == [first]
    assert plan.run(10).t[-1] == first + 10                    # REACHED is no end: it goes on
    with pytest.raises(ValueError, match="until must be a finite number, got nan"):
        plan.run(1, until=float("nan"))


@pytest.mark.long
def test_a_state_that_repeats_ends_the_run():
    plan = new(m.gradient_descent(eta := 0.3 / np.linalg.norm(X, 2) ** 2, 0.5))
    trace = plan.run(1_000_000)
    assert trace.status == fb.Status.STALLED
    assert trace.t[-1] < 20_000
    assert plan.run(10).t.tolist() == [plan.t]                 # it stands still, and says so again
    # what it says is true: a run without the watch is, for ever after, in the states that were seen already
    other = new(m.gradient_descent([eta, eta], 0.5))           # parameters that may change are not watched
    seen = other.run(3 * plan.t, record=np.arange(3 * plan.t + 1)).u
    states = {row.tobytes() for row in seen[: plan.t + 1]}
    assert all(row.tobytes() in states for row in seen[plan.t:])
    moving = new(m.gradient_descent([ETA, ETA / 2]), start=np.linalg.lstsq(X, y, rcond=None)[0])
    assert moving.run(500).status == fb.Status.OK              # parameters that change are not watched


def test_leaving_the_domain_names_the_step_and_keeps_the_trace():
    E = fb.data.example(2)
    plan = fb.Plan(*E, loss="squared", method=m.mirror_descent("entropy", 0.05, primal_momentum=0.9))
    with pytest.raises(fb.RunStopped, match=r"left the domain of the potential in the update from step 2 to 3") as stopped:
        plan.run(100, record=np.arange(101))
    trace = stopped.value.trace
    assert stopped.value.status == trace.status == plan.status == fb.Status.OUT_OF_DOMAIN
    assert trace.t.tolist() == [0, 1, 2]
    assert np.isfinite(trace.w).all()
    assert (plan.u == trace.u[-1]).all()
    again = plan.run(100, strict=False)                        # a run that ended stays where it ended
    assert again.t.tolist() == [2]
    assert again.status == fb.Status.OUT_OF_DOMAIN
    momentum = 2 * trace.w[2] - trace.w[1]
    assert (trace.w[2] + 0.9 * (momentum - trace.w[2]) <= 0).any()   # the argument of the link did leave it


def test_ceasing_to_be_finite_keeps_the_last_finite_iterate():
    plan = new(m.gradient_descent(10.0))
    with pytest.raises(fb.RunStopped, match="ceased to be finite in the update from step") as stopped:
        plan.run(10_000)
    assert np.isfinite(stopped.value.trace.w).all()
    assert stopped.value.trace.t[-1] == plan.t
    assert isinstance(stopped.value, ArithmeticError)


def test_callback_sees_the_plan_and_may_stop_it(monkeypatch):
    monkeypatch.setattr(driver, "CHUNK", 1e-9)
    seen = []
    new().run(50, callback=lambda p: seen.append(p.t))
    assert seen[-1] == 50
    assert seen == sorted(seen)

    def stop(p):
        if p.t >= seen[0]:
            raise StopIteration

    plan = new()
    trace = plan.run(100_000, callback=stop)
    assert trace.message == f"stopped by the callback at step {plan.t}"
    assert plan.t == trace.t[-1] < 100_000

    def fail(p):
        raise KeyError("mine")

    plan = new()
    with pytest.raises(KeyError, match="mine"):
        plan.run(100_000, callback=fail)
    assert plan.trace.t[-1] == plan.t > 0
    with pytest.raises(TypeError, match="callback must be callable"):
        plan.run(1, callback=3)


def test_progress_shows_a_bar_with_the_log_loss(capsys):
    new().run(50, progress=True)
    shown = capsys.readouterr().err
    assert "log L = " in shown
    assert "50.0/50.0" in shown


def interrupted(plan, steps, after):
    """Send ourselves Ctrl-C `after` seconds into a run; seconds until it was answered."""
    with pytest.raises(KeyboardInterrupt):
        sent = ctrl_c(after)
        plan.run(steps, record=50)
    return time.perf_counter() - sent[0]


@pytest.mark.long
@pytest.mark.parametrize(("N", "d", "large"), [(2, 4, None), (300, 500, None), (3000, 5000, 1)])
def test_ctrl_c_is_answered_at_once_and_loses_nothing(N, d, large, monkeypatch):
    if large is not None:
        monkeypatch.setattr(driver, "LARGE", large)
    A, b = fb.data.random_regression(N, d, rng=0)
    method = m.gradient_descent(fb.steps.power(1e-3 / np.linalg.norm(A) ** 2, 0.1))
    plan, whole = (fb.Plan(A, b, loss="squared", method=method) for _ in range(2))
    whole.run(0)
    plan.run(1)
    helpers.ready()                                            # compiled or loaded: that is not what is timed here
    plan = fb.Plan(A, b, loss="squared", method=method)
    assert interrupted(plan, 10**12, 0.3) < 0.5
    t = plan.t
    assert 0 < t < 10**12
    assert plan.trace.t[-1] == t
    assert plan.trace.t[0] == 0
    assert (plan.trace.u[-1] == plan.u).all()
    assert "KeyboardInterrupt" in plan.trace.message
    plan.run(3)
    whole.run(t + 3)
    assert plan.u.tobytes() == whole.u.tobytes()


def test_matrix_valued_predictors_keep_their_shape():
    A = X[:, :4].reshape(3, 2, 2)
    plan = fb.Plan(A, y, loss="squared", method=m.gradient_descent(ETA), start=np.zeros((2, 2)))
    trace = plan.run(5)
    assert trace.w.shape[1:] == plan.w.shape == plan.limit().w.shape == (2, 2)
    assert trace.u.shape[1:] == (4,)
    assert trace.gap(plan.limit()).shape == trace.t.shape
    flat = fb.run(X[:, :4], y, loss="squared", method=m.gradient_descent(ETA), steps=5)
    assert (flat.w.ravel() == trace.w.ravel()).all()
    assert dict(trace.to_xarray().sizes) == {"t": len(trace), "i": 2, "j": 2, "n": 4}


def test_runs_in_threads_equal_runs_alone():
    from concurrent.futures import ThreadPoolExecutor
    alone = [new(method).run(50).u.tobytes() for method in METHODS]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda method: new(method).run(50).u.tobytes(), METHODS)) == alone


def test_a_models_pullback_is_used():
    """w = u² elementwise, written here: the loop's iterates against NumPy's."""
    @fb.piece(fb.abi.MAP)
    def forward(params, u, w):
        for i in range(u.size):
            w[i] = u[i] * u[i]
        return 0

    @fb.piece(fb.abi.MAP_AT)
    def pullback(params, u, v, out):
        for i in range(u.size):
            out[i] = 2 * u[i] * v[i]
        return 0

    square = fb.models.Model("square", forward, pullback)
    fb.laws.check(square)
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(ETA, 0.5, 0.2), model=square, start=np.full(5, 0.5))
    trace = plan.run(30, record=np.arange(31))
    u = before = np.full(5, 0.5)
    for row in trace.u:
        assert row == pytest.approx(u, rel=1e-12)
        at = u + 0.2 * (u - before)
        before, u = u, u + 0.5 * (u - before) - ETA * 2 * at * (2 * X.T @ (X @ at ** 2 - y))
    assert trace.w == pytest.approx(trace.u ** 2)
    assert plan.w == pytest.approx(plan.u ** 2)
    assert plan.flow(time=0.1).w.shape[1] == 5
    assert trace.log_loss[-1] == pytest.approx(2 * np.log(np.linalg.norm(X @ plan.w - y)))
    layers = fb.Plan(X, y, loss="squared", method=m.gradient_descent(ETA), model=square, start=[[0.5, 1], [1, 1, 1]])
    assert layers.u.tolist() == [0.5, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="saddle"):
        fb.Plan(X, y, loss="squared", method=m.gradient_descent(ETA), model=square)


@pytest.mark.parametrize("bounds", [(0.7, 9.0), (9.0, 0.7)], ids=["forward", "pullback"])
def test_a_run_ends_where_its_model_says_that_it_ends(bounds):
    @fb.piece(fb.abi.MAP)
    def forward(params, u, w):
        for i in range(u.size):
            w[i] = u[i] * u[i]
        return 2 if u[0] > params[0] else 0

    @fb.piece(fb.abi.MAP_AT)
    def pullback(params, u, v, out):
        for i in range(u.size):
            out[i] = 2 * u[i] * v[i]
        return 2 if u[0] > params[1] else 0

    square = fb.models.Model("square", forward, pullback, params=np.array(bounds))
    plan = fb.Plan([[1.0, 0.5]], [2.0], loss="squared", method=m.gradient_descent(0.01), model=square, start=[0.5, 0.5])
    with pytest.raises(fb.RunStopped, match="left the domain"):
        plan.run(100)
    assert 0 < plan.t < 100
    assert plan.u[0] > 0.7


def test_a_second_ctrl_c_does_not_leave_the_loop_writing(monkeypatch):
    """The step under way is slow and cannot be hurried: run() returns only once the loop has stopped."""
    @fb.piece(fb.abi.MAP)
    def slow(params, g, out):
        total = 0.0
        for i in range(60_000_000 if params[0] > 0 else 1):
            total += (i % 7) * 1e-300
        for i in range(g.size):
            out[i] = g[i] + total
        return 0

    norm = fb.norms.Norm("slow", slow, fb.norms.l2.dual_norm, fb.norms.l2.norm, params=[1.0 if JIT else 0.0])
    monkeypatch.setattr(driver, "LARGE", 1)
    plan = new(m.steepest_descent(norm, ETA))
    plan.run(1)
    sent = ctrl_c(0.1, 0.15)
    stopped = False
    until = time.perf_counter() + 3
    while time.perf_counter() < until and len(sent) < 2:
        try:                                                   # the second may come late, when the run is over already
            if not stopped:
                plan.run(10**9)
            time.sleep(0.01)
        except KeyboardInterrupt:
            stopped = True
    with suppress(KeyboardInterrupt):
        time.sleep(0.1)
    assert stopped
    u, t = plan.u, plan.t
    time.sleep(0.3)
    assert plan.t == t
    assert (plan.u == u).all()


@pytest.mark.long
def test_ctrl_c_is_answered_at_once_where_the_geometry_is_dear():
    d = 1500
    A, b = fb.data.random_regression(2, d, rng=0)
    plan = fb.Plan(A, b, loss="squared", method=m.mirror_descent(fb.potentials.quadratic(np.ones(d)),
                                                                 fb.steps.power(1e-6, 0.1)))
    assert interrupted(plan, 10**9, 0.3) < 0.5


def test_a_callback_may_not_run_the_plan_and_does_not_hide_how_a_run_ended():
    plan = new()
    with pytest.raises(ValueError, match="within its own callback"):
        plan.run(10, callback=lambda p: p.run(1))
    plan.run(10)
    E = fb.data.example(2)

    def stop(p):
        raise StopIteration

    plan = fb.Plan(*E, loss="squared", method=m.mirror_descent("entropy", 0.05, primal_momentum=0.9))
    plan.run(2)
    with pytest.raises(fb.RunStopped, match="left the domain"):
        plan.run(1, callback=stop)


def test_pieces_of_the_wrong_signature_are_refused_where_they_are_made():
    L, N, P = fb.losses.squared, fb.norms.l2, fb.potentials.entropy
    for make, words in (
            (lambda: fb.losses.Loss("x", L.log_loss, L.slope, "root"), "slope of a Loss must be a piece of signature SLOPE"),
            (lambda: fb.losses.Loss("x", L.slope, L.log_loss, "roooot"), "kind must be one of root, monotone"),
            (lambda: fb.norms.Norm("x", N.norm, N.dual_norm, N.norm), "steepest of a Norm must be a piece of signature MAP"),
            (lambda: fb.norms.Norm("x", lambda p, g, o: 0, N.dual_norm, N.norm), "must be a compiled piece"),
            (lambda: fb.potentials.Potential("x", P.link, P.inverse_link, P.link, P.value), "MAP_AT"),
            (lambda: fb.models.Model("x", P.metric, P.metric), "forward of a Model"),
            (lambda: fb.steps.StepRule("x", N.norm, [1.0]), "rule of a StepRule"),
            (lambda: fb.piece("MAP"), "signature must be one of"),
            (lambda: fb.piece(fb.abi.MAP)(3), "plain function")):
        with pytest.raises((TypeError, ValueError), match=words):
            make()


def test_a_status_that_is_none_is_said():
    @fb.piece(fb.abi.MAP)
    def odd(params, g, out):
        out[:] = g
        return 7

    norm = fb.norms.Norm("odd", odd, fb.norms.l2.dual_norm, fb.norms.l2.norm)
    with pytest.raises(ValueError, match="got 7"):
        new(m.steepest_descent(norm, ETA)).run(1)


def test_a_rule_that_asks_for_the_loss_is_told_it_at_every_step():
    @fb.piece(fb.abi.RULE)
    def falling(params, k, s, log_loss):
        return params[0] * min(1.0, np.exp(log_loss))

    rule = fb.steps.StepRule("falling", falling, [ETA], loss=True)
    traces = [new(m.gradient_descent(rule)).run(30, record=record) for record in (2, 200, [1, 5, 9])]
    assert all((t.u[-1] == traces[0].u[-1]).all() for t in traces)
    w = np.zeros(5)
    for _ in range(30):
        r = X @ w - y
        w = w - ETA * min(1.0, r @ r) * 2 * X.T @ r
    assert traces[0].u[-1] == pytest.approx(w, rel=1e-12)


def test_count_of_rows_is_at_most_what_was_asked():
    for count in (2, 3, 10, 50):
        assert len(new().run(60, record=count)) <= count


def test_ctrl_c_at_the_very_beginning_of_a_run_leaves_the_plan_free(monkeypatch):
    plan = new()

    def hit(course):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr("fastbias.running.course.Course.over", property(hit))
        with pytest.raises(KeyboardInterrupt):
            plan.run(1)
    assert plan.run(1).t[-1] == 1
