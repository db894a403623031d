"""Sweeps: in order, failures kept, the same bits for any executor; lanes against single runs and slow twins."""
import multiprocessing
import os
import pickle
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import fastbias as fb
from fastbias.engine.abi import SHIFT
from fastbias.running import lanes
from tests.helpers import JIT, naive
from tests.helpers.signals import ctrl_c

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning") if not JIT else []   # numbers overflow in plain NumPy
X = np.array([[0.5, 1.5], [1.5, 0.5], [-1.5, -0.5], [2.5, 1.5]])
y = np.array([1.0, 1.0, -1.0, 1.0])
GRID = {"step_size": np.linspace(0.01, 0.05, 5), "momentum": [0, 0.5, 0.9]}
gd = fb.methods.gradient_descent


def factory(step_size, momentum=0.0, nesterov=0.0, start=None, loss="exponential", X=X, y=y):
    return fb.Plan(X, y, loss=loss, method=gd(step_size, momentum, nesterov), start=start)


def same(a, b):
    """Whether two traces are equal, bit for bit."""
    return (np.array_equal(a.t, b.t) and a.u.tobytes() == b.u.tobytes() and a.w.tobytes() == b.w.tobytes()
            and a.log_loss.tobytes() == b.log_loss.tobytes() and a.status == b.status and a.message == b.message)


def assert_close(trace, single, tol=1e-12):
    assert np.array_equal(trace.t, single.t)
    assert trace.status == single.status
    assert abs(trace.w - single.w).max() <= tol * abs(single.w).max()
    assert trace.log_loss == pytest.approx(single.log_loss, rel=tol, abs=1e-11)


def test_results_come_in_grid_order_the_last_name_fastest():
    sweep = fb.sweep(factory, GRID, steps=70)
    assert sweep.shape == (5, 3)
    assert len(sweep) == 15
    assert sweep.points[4] == {"step_size": 0.02, "momentum": 0.5}
    assert not sweep.failures
    assert repr(sweep) == "<Sweep of 5 × 3 runs: 15 OK>"
    for point, trace, plan in zip(sweep.points, sweep, sweep.plans, strict=True):
        assert_close(trace, factory(**point).run(70))
        assert plan.t == 70
        assert plan.trace is trace
    assert sweep[-1] is sweep.traces[14]
    assert sweep[:2] == sweep.traces[:2]


def test_points_one_by_one_and_plans_as_they_are():
    points = [{"step_size": 0.1}, {"step_size": 0.2, "momentum": 0.5}]
    one = fb.sweep(factory, (p for p in points), steps=65, record=[3, 64])
    plans = [factory(**p) for p in points]
    other = fb.sweep(iter(plans), steps=65, record=[3, 64])
    assert one.points == points
    assert other.points == [{}, {}]
    assert one.shape == other.shape == (2,)
    assert other.plans == plans
    assert one[0].t.tolist() == [0, 3, 64, 65]
    assert all(same(a, b) for a, b in zip(one, other, strict=True))


METHODS = [gd(0.01), gd([0.02, 0.01]), fb.methods.mirror_descent("cosh", 0.01), fb.methods.adam(0.01),
           fb.methods.coordinate_descent(0.01, "random", rng=3), gd(0.01, batch=2, rng=3), fb.methods.steepest_descent("l2", 0.01)]


def test_runs_that_fit_no_vector_are_the_bits_of_plan_run():
    plans = [fb.Plan(X, y, loss="probit", method=m) for m in METHODS]
    plans += [fb.Plan(X, y, loss="exponential", method=m) for m in METHODS[1:-1]]
    assert [lanes.common(p) for p in plans] == [None] * len(plans)
    twins = [fb.Plan(X, y, loss=p.problem.loss, method=p.problem.method) for p in plans]
    for trace, twin in zip(fb.sweep(plans, steps=100, record=7), twins, strict=True):
        assert same(trace, twin.run(100, record=7))


def test_which_plans_share_a_vector():
    big = np.ones((5, 13))
    assert lanes.common(factory(0.1)) == lanes.common(factory(0.3, start=[1, 2], X=X.tolist()))
    assert lanes.common(factory(0.1, 0.5)) == lanes.common(factory(0.3, 0.0, 0.2)) != lanes.common(factory(0.1))
    assert lanes.common(factory(0.1)) != lanes.common(factory(0.1, loss="logistic"))
    assert lanes.common(factory(0.1)) == lanes.common(factory(0.1, y=-y))    # targets are each lane's own
    assert lanes.common(factory(0.1)) != lanes.common(factory(0.1, X=2 * X))
    assert lanes.common(factory(0.1, X=big, y=np.ones(5))) is None
    assert lanes.common(factory(fb.steps.bounded(0.1))) is None
    assert lanes.common(factory(0.1, [0.5, 0.1])) is None
    later = factory(0.1)
    later.run(3)
    assert lanes.common(later) != lanes.common(factory(0.1))


@pytest.mark.parametrize("shape", [(1, 2), (4, 3), (1, 1), (6, 1), (5, 12)])
@pytest.mark.parametrize("loss", ["exponential", "logistic", "squared"])
def test_lanes_equal_single_runs_and_the_naive_twin(loss, shape):
    rng = np.random.default_rng(shape)
    X, w = rng.normal(size=shape), rng.normal(size=shape[1])
    y = X @ w if loss == "squared" else np.sign(X @ w)
    bound = np.linalg.norm(X, 2) ** 2
    points = [{"step_size": a / bound, "momentum": b, "nesterov": c, "start": s * w} for a in (0.01, 0.3)
              for b, c in ((0, 0), (0.5, 0), (0.5, 0.5)) for s in (0, -0.3)]
    sweep = fb.sweep(lambda **p: factory(**p, loss=loss, X=X, y=y), points, steps=100_000 if JIT else 70, record=20)
    slope = {"exponential": lambda m: -np.exp(-m), "logistic": lambda m: -1 / (1 + np.exp(m))}
    gradients = {loss: lambda X, y, w, f=f: X.T @ (y * f(y * (X @ w))) for loss, f in slope.items()}
    for point, trace in zip(points, sweep, strict=True):
        assert lanes.common(factory(**point, loss=loss, X=X, y=y)) is not None
        single = factory(**point, loss=loss, X=X, y=y).run(100_000 if JIT else 70, record=20)
        if loss == "squared":                             # where it comes to rest is a matter of roundings
            assert trace.w[-1] == pytest.approx(single.w[-1], rel=1e-12, abs=1e-13)
        else:
            assert_close(trace, single)
        at = trace.t[trace.t < 1000]
        twin = list(naive.gradient_descent(X, y, point["start"], point["step_size"], 1000 if JIT else 70, point["momentum"],
                                           point["nesterov"], gradients.get(loss, naive.gradient)))
        assert trace.w[:at.size] == pytest.approx(np.array([twin[k] for k in at]), rel=1e-11, abs=1e-13)


@pytest.mark.long
def test_a_lane_knows_nothing_of_its_neighbours_nor_of_chunks(monkeypatch):
    points = [{"step_size": e, "momentum": b, "start": [s, -s]} for e in (0.01, 0.3, 50.0) for b in (0, 0.9)
              for s in (0, 1, 5.0)]
    steps = 3000 if JIT else 200
    whole = fb.sweep(factory, points, steps=steps, record=[100, 150])
    alone = [fb.sweep(factory, [p], steps=steps, record=[100, 150])[0] for p in points]
    backwards = fb.sweep(factory, points[::-1], steps=steps, record=[100, 150])[::-1]
    monkeypatch.setattr(lanes, "CHUNK", 1e-9)
    chunks = fb.sweep(factory, points, steps=steps, record=[100, 150])
    halves = fb.sweep(factory, points, steps=130, record=[100])
    fb.sweep(halves.plans, steps=steps - 130, record=[150])
    for i, trace in enumerate(whole):
        assert same(trace, alone[i])
        assert same(trace, backwards[i])
        assert same(trace, chunks[i])
        assert halves.plans[i].u.tobytes() == trace.u[-1].tobytes()


def test_plans_go_on_after_a_sweep():
    sweep = fb.sweep(factory, GRID, steps=100)
    for point, plan in zip(sweep.points, sweep.plans, strict=True):
        single = factory(**point).run(300, record=[150])
        assert plan.run(200, record=[150]).w[1:] == pytest.approx(single.w[1:], rel=1e-12)
        assert plan.t == 300
    again = fb.sweep(sweep.plans, steps=0)
    assert [trace.t.tolist() for trace in again] == [[300]] * 15


def test_losses_far_below_all_numbers():
    """Margins to 600, L to 1e-260, each lane with its own shift; equal to runs in units of their own start."""
    steps = 100_000 if JIT else 100
    margins = [0, 100, 300, 460, 600, 5]
    points = [{"step_size": 0.1 * np.exp(m), "start": [m, 0]} for m in margins]
    sweep = fb.sweep(lambda **p: factory(**p, X=[[1, 0.5]], y=[1]), points, steps=steps)
    assert sweep[4].log_loss[0] == -600
    for m, trace, plan in zip(margins, sweep, sweep.plans, strict=True):
        assert trace.status == fb.Status.OK
        assert trace.w[-1] - [m, 0] == pytest.approx(sweep[0].w[-1], rel=1e-9)
        assert plan.buffers.control[SHIFT] == round(trace.log_loss[-1] / -np.log(2) / 128) * 128 or abs(
            plan.buffers.control[SHIFT] * np.log(2) + trace.log_loss[-1]) < 152 * np.log(2)


def test_weights_out_of_reach_go_through_the_ordinary_loop():
    sweep = fb.sweep(factory, {"step_size": [1e30, 0.1, 1e200], "loss": ["exponential", "logistic"]}, steps=200)
    for i in (0, 1, 4, 5):
        assert same(sweep[i], factory(**sweep.points[i]).run(200))
    assert same(sweep[2], fb.sweep(factory, [sweep.points[2]], steps=200)[0])


def test_failures_are_kept_and_not_fatal():
    """A diverging step size among twenty, a factory that raises, one that returns something else."""
    etas = np.linspace(0.001, 0.02, 20)
    etas[7] = 0.5

    def make(step_size):
        if step_size == etas[12]:
            raise ZeroDivisionError("no")
        return "a plan" if step_size == etas[3] else factory(step_size, loss="squared")
    sweep = fb.sweep(make, {"step_size": etas}, steps=2000)
    assert list(sweep.failures) == [3, 7, 12]
    with pytest.raises(fb.RunStopped) as stopped:
        factory(0.5, loss="squared").run(2000)
    error = sweep.failures[7]
    assert isinstance(error, fb.RunStopped)
    assert abs(error.trace.t[-1] - stopped.value.trace.t[-1]) <= 8            # where rounding has it overflow
    assert str(error).endswith(f"in the update from step {sweep[7].t[-1]} to {sweep[7].t[-1] + 1}")
    assert error.trace is sweep[7]
    assert sweep[7].status == fb.Status.NOT_FINITE
    assert np.isfinite(sweep[7].w).all()
    assert np.isin(stopped.value.trace.t[:-1], sweep[7].t).all()
    assert sweep[3] is None
    assert "plans must return a Plan, got 'a plan'" in str(sweep.failures[3])
    assert isinstance(sweep.failures[12], ZeroDivisionError)
    assert all(len(trace) and trace.status in (fb.Status.OK, fb.Status.STALLED)
               for i, trace in enumerate(sweep) if i not in sweep.failures)
    assert "1 NOT_FINITE" in repr(sweep)
    assert "1 ZeroDivisionError" in repr(sweep)
    table = sweep.to_pandas()
    assert table.status[7] == "NOT_FINITE"
    assert table.error[12] == "no"
    assert table.t[3] == -1
    assert np.isnan(table.log_loss[3])
    assert table.step_size.tolist() == etas.tolist()
    assert table.log_loss[0] == sweep[0].log_loss[-1]


def test_a_run_that_stopped_stays_stopped():
    plans = [factory(0.5, loss="squared"), factory(0.01, loss="squared")]
    fb.sweep(plans, steps=1000 if JIT else 500)
    again = fb.sweep(plans, steps=10)
    assert list(again.failures) == [0]
    assert again[1].t.tolist()[0] == plans[1].t - 10


@pytest.mark.long
def test_a_lane_that_repeats_ends_while_others_go_on():
    etas = [0.01, 0.02, 0.03, 1e-7]
    sweep = fb.sweep(lambda step_size: factory(step_size, loss="squared", X=[[3, 4]], y=[5]), {"step_size": etas},
                     steps=10**5)
    for eta, trace in zip(etas, sweep, strict=True):
        single = factory(eta, loss="squared", X=[[3, 4]], y=[5]).run(10**5)
        assert trace.status == single.status
        assert abs(np.log2(trace.t[-1] / single.t[-1])) <= 1
        assert trace.t[-1] % 64 == 0 or trace.status == fb.Status.OK
        assert trace.w[-1] == pytest.approx(single.w[-1], rel=1e-12)
    assert [trace.status.name for trace in sweep] == ["STALLED"] * 3 + ["OK"]
    assert same(sweep[3], fb.sweep([factory(1e-7, loss="squared", X=[[3, 4]], y=[5])], steps=10**5)[0])


class Here(Executor):
    """An executor without threads, such as anybody may write."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


def mixed(**point):
    if point["momentum"] == 0.9:
        return fb.Plan(X, y, loss="exponential", method=fb.methods.mirror_descent("cosh", point["step_size"]))
    return factory(**point)


@pytest.mark.long
def test_any_executor_gives_the_same_bits():
    steps = 2000 if JIT else 100
    wanted = fb.sweep(mixed, GRID, steps=steps)
    assert all(same(a, b) for a, b in zip(wanted, fb.sweep(mixed, GRID, steps=steps, executor=Here()), strict=True))
    for workers in (1, 2, 5):
        with ThreadPoolExecutor(workers) as pool:
            got = fb.sweep(mixed, GRID, steps=steps, executor=pool)
            assert pool.submit(int).result() == 0             # not shut down
        assert all(same(a, b) for a, b in zip(wanted, got, strict=True))


@fb.piece(fb.abi.SLOPE)
def own_slope(params, p, y, q):
    for i in range(p.size):
        q[i] = -p[i]
    return 0.0


@fb.piece(fb.abi.LOG_LOSS)
def own_log_loss(params, p, y):
    return 0.0


@pytest.mark.long
def test_processes_give_the_same_bits_and_bring_the_plans_back():
    own = fb.losses.Loss("mine", own_slope, own_log_loss, "root")

    def make(**point):                                        # no pickle could send this function
        if point["step_size"] > 0.04 and point["momentum"] == 0:
            return factory(30.0, loss="squared")
        return fb.Plan(X, y, loss=own, method=gd(0.1)) if point["step_size"] == 0.01 else mixed(**point)
    wanted = fb.sweep(make, GRID, steps=3000)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        got = fb.sweep(make, GRID, steps=3000, executor=pool)
    assert list(wanted.failures) == [12]
    assert list(got.failures) == [12]
    assert str(got.failures[12]) == str(wanted.failures[12])
    assert got.failures[12].trace is got[12]
    for i in range(15):
        assert same(got[i], wanted[i])
        if i != 12:
            assert same(got.plans[i].run(100), wanted.plans[i].run(100))


def test_a_pickled_plan_goes_on_bit_for_bit():
    plan = mixed(step_size=0.01, momentum=0.9)
    plan.run(20)
    twin = pickle.loads(pickle.dumps(plan))
    assert same(twin.trace, plan.trace)
    assert same(twin.run(20), plan.run(20))


def test_a_broken_executor_is_a_failure_of_each_of_its_runs():
    class Broken(Here):
        def submit(self, function, /, *args, **kwargs):
            future = Future()
            future.set_exception(OSError("worker lost"))
            return future
    sweep = fb.sweep(factory, GRID, steps=10, executor=Broken())
    assert [str(error) for error in sweep.failures.values()] == ["worker lost"] * 15
    assert list(sweep) == [None] * 15
    assert repr(sweep) == "<Sweep of 5 × 3 runs: 15 OSError>"


def test_until_and_progress(capsys):
    sweep = fb.sweep(factory, {"step_size": [0.1, 0.2, -1.0]}, steps=100, until=0.5, progress=True)
    assert same(sweep[0], factory(0.1).run(100, until=0.5))
    assert sweep[0].status == fb.Status.REACHED
    assert "3/3" in capsys.readouterr().err
    assert str(sweep.failures[2]).startswith("step_size must be")
    fb.sweep(factory, {"step_size": [0.1]}, steps=1)
    assert capsys.readouterr().err == ""


@pytest.mark.long
@pytest.mark.parametrize("until", [None, -1e9])
def test_ctrl_c_ends_it_and_plans_keep_what_was_done(until):
    plans = [factory(1e-3, 0.1 * (i % 3 + 1)) for i in range(8 * os.cpu_count() + 1)]
    with pytest.raises(KeyboardInterrupt):
        ctrl_c(0.5)
        fb.sweep(plans, steps=10**12, until=until)
    assert plans[0].t > 0
    assert plans[-1].t == 0
    assert plans[0].trace.t[-1] == plans[0].t
    assert np.isfinite(plans[0].run(100).w).all()


def test_a_plan_given_twice_runs_once():
    plan = factory(0.1)
    sweep = fb.sweep([plan, plan], steps=10)
    assert plan.t == 10
    assert "another Plan for each run, got that of run 0 again" in str(sweep.failures[1])


def test_names_of_the_grid_that_clash_and_empty_grids():
    sweep = fb.sweep(lambda t: factory(t), {"t": [0.1]}, steps=3)
    assert sweep.to_pandas().columns.tolist() == ["param_t", "status", "t", "log_loss", "error"]
    assert len(fb.sweep(factory, {"step_size": []}, steps=3)) == 0
    assert len(fb.sweep([], steps=3)) == 0
    assert fb.sweep(lambda: factory(0.1), {}, steps=3).shape == ()


@pytest.mark.parametrize(("args", "kwargs", "error", "sentence"), [
    ((factory,), {}, TypeError, "grid must be a mapping of names to sequences, or an iterable of mappings"),
    ((factory, [0.1, 0.2]), {}, TypeError, "grid must be a mapping"),
    ((factory, {"step_size": 0.1}), {}, TypeError, "grid must map each name to a sequence of values, got 0.1 for 'step_s"),
    ((factory, {"loss": "squared"}), {}, TypeError, "sequence of values, got 'squared'"),
    ((factory, {"step_size": np.array(0.1)}), {}, TypeError, "sequence of values"),
    ((factory(0.1),), {}, TypeError, r"plans must be a factory f\(\*\*point\) -> Plan, an iterable of plans, or one plan with a grid, got <Plan"),
    (([factory(0.1), 3],), {}, TypeError, "plans must be a factory"),
    (([factory(0.1)], {"step_size": [1]}), {}, TypeError, "grid must be left out where plans are given"),
    ((factory, {"step_size": [0.1]}), {"steps": 1.5}, ValueError, "steps must be a whole number"),
    ((factory, {"step_size": [0.1]}), {"record": 1}, ValueError, "record must be"),
    ((factory, {"step_size": [0.1]}), {"until": "low"}, TypeError, "until must be"),
    ((factory, {"step_size": [0.1]}), {"executor": 4}, TypeError, "executor must be a concurrent.futures.Executor, got 4"),
])
def test_bad_arguments_get_one_sentence(args, kwargs, error, sentence):
    with pytest.raises(error, match=sentence):
        fb.sweep(*args, **({"steps": 10} | kwargs))
