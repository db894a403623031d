"""One plan as the template of many: columns and lanes against plans that are made one by one."""
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import fastbias as fb
from fastbias.running import intake, lanes, tables
from tests.helpers import JIT
from tests.helpers.signals import ctrl_c
from tests.running.test_sweep_store import assert_same, kept

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning") if not JIT else []
X = np.array([[0.5, 1.5], [1.5, 0.5], [-1.5, -0.5]])
y = np.array([1.0, 1.0, -1.0])
gd = fb.methods.gradient_descent
STEPS = 2000 if JIT else 70
GRID = {"momentum": [0, 0.5], "step_size": [0.01, 0.1, 0.3], "start": [[0, 0], [1, -2]], "y": [y, -y, [1, -1, 1]]}


def template(loss="exponential", method=None):
    return fb.Plan(X, y, loss=loss, method=method or gd(0.2))


def by_hand(point, loss="exponential"):
    return fb.Plan(X, point.get("y", y), loss=loss, start=point.get("start"),
                   method=gd(point.get("step_size", 0.2), point.get("momentum", 0.0)))


def assert_alike(a, b):
    """Equal bits; but where a run came to rest the loss, all cancelled, is summed by another function."""
    for one, other in zip(a, b, strict=True):
        assert one.t.tolist() == other.t.tolist()
        assert one.u.tobytes() == other.u.tobytes()
        assert (one.status, one.message) == (other.status, other.message)
        rest = slice(-1 if one.status == fb.Status.STALLED else None)
        assert one.log_loss[rest].tobytes() == other.log_loss[rest].tobytes()
        with np.errstate(over="ignore"):
            assert np.exp(one.log_loss) == pytest.approx(np.exp(other.log_loss), rel=1e-13, abs=1e-27)


@pytest.mark.parametrize("loss", ["exponential", "logistic", "squared"])
def test_columns_are_the_bits_of_plans_that_share_vectors(loss):
    sweep = fb.sweep(template(loss), GRID, steps=STEPS, record=9)
    plans = [by_hand(point, loss) for point in sweep.points]
    twin = fb.sweep(plans, steps=STEPS, record=9)
    assert sweep.shape == (2, 3, 2, 3)
    assert all(lanes.common(plan) is not None for plan in plans)
    assert_alike(sweep, twin)
    for trace, other in zip(sweep, twin, strict=True):
        assert np.array_equal(trace.problem.y, other.problem.y)
        assert np.array_equal(trace.margin(), other.margin(), equal_nan=True)
    assert sweep.plans[7].run(STEPS, record=9).w == pytest.approx(sweep[7].w, rel=1e-9)
    assert repr(sweep) == repr(twin).replace("of 36", "of 2 × 3 × 2 × 3")


def test_every_end_of_a_run_is_that_of_its_plan():
    """At rest, beyond numbers, out of the reach of weights; in whatever band."""
    grid = {"step_size": [0.01, 0.1, 5.0, 1e30], "start": [[0.3, 0], [1e5, 1e5], [-2000, 0]]}
    for loss in ("squared", "logistic", "exponential"):
        sweep = fb.sweep(template(loss), grid, steps=10_000 if JIT else 200, record=5)
        twin = fb.sweep([by_hand(point, loss) for point in sweep.points], steps=10_000 if JIT else 200, record=5)
        assert_alike(sweep, twin)
        assert list(sweep.failures) == list(twin.failures)
        for i, failure in sweep.failures.items():
            assert isinstance(failure, fb.RunStopped)
            assert failure.trace.u.tobytes() == sweep[i].u.tobytes()
        mine, other = (s.to_pandas().drop(columns=["step_size", "start"], errors="ignore") for s in (sweep, twin))
        assert mine.drop(columns="log_loss").equals(other.drop(columns="log_loss"))


def test_bits_depend_on_neither_bands_nor_executors(monkeypatch, tmp_path):
    grid = {"step_size": np.geomspace(0.01, 1, 30), "momentum": [0, 0.3]}
    whole = fb.sweep(template(), grid, steps=STEPS, record=4)
    monkeypatch.setattr(intake, "BAND", 7)
    monkeypatch.setattr(lanes, "CHUNK", 1e-9)
    with ThreadPoolExecutor(3) as pool:
        assert_same(whole, fb.sweep(template(), grid, steps=STEPS, record=4, executor=pool, store=tmp_path / "s"))
    files = kept(tmp_path / "s")
    assert len(files) == 2 * 9                              # nine bands, each with runs of both kinds
    again = fb.sweep(template(), grid, steps=STEPS, record=4, store=tmp_path / "s")
    assert kept(tmp_path / "s") == files
    assert_same(whole, again)
    longer = grid | {"step_size": [*grid["step_size"], 2.0]}
    assert len(fb.sweep(template(), longer, steps=STEPS, record=4, store=tmp_path / "s")) == 62
    assert files.items() < kept(tmp_path / "s").items()


@pytest.mark.skipif(not JIT, reason="a spawned process compiles nothing without the compiler")
def test_another_process_gives_the_same_bits():
    grid = {"step_size": [0.01, 0.1, 1e30, -1.0], "start": [[0, 0], [1, 2]]}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        got = fb.sweep(template(), grid, steps=STEPS, record=4, executor=pool)
    assert_same_or_none(got, fb.sweep(template(), grid, steps=STEPS, record=4))


def assert_same_or_none(a, b):
    assert list(a.failures) == list(b.failures)
    for one, other in zip(a, b, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.u.tobytes() == other.u.tobytes()
            assert one.message == other.message


def test_a_bad_value_is_the_failure_of_its_own_runs():
    grid = {"step_size": [0.1, -1.0, np.nan], "momentum": [0, -0.5], "start": [[0, 0], [np.inf, 0]]}
    sweep = fb.sweep(template(), grid, steps=10)
    assert [i for i in range(12) if sweep[i] is not None] == [0]
    assert list(sweep.failures) == list(range(1, 12))
    assert str(sweep.failures[4]).startswith("step_size must be")
    assert str(sweep.failures[2]).startswith("momentum must be")
    assert str(sweep.failures[1]).startswith("start must be")
    assert sweep.plans[1] is None
    assert sweep.to_pandas().t.tolist() == [10] + [-1] * 11
    labels = fb.sweep(template(), {"y": [["a", "b", "a"], [0, 1, 1], [1, 2, 3], [1.0, -1.0, 1.0]]}, steps=10)
    assert labels[0].classes.tolist() == ["a", "b"]
    assert labels[1].w[-1].tolist() == by_hand({"y": [-1, 1, 1]}).run(10).w[-1].tolist()
    assert list(labels.failures) == [2]


@pytest.mark.parametrize(("method", "grid"), [
    (fb.methods.adam(0.1), {"step_size": [0.1, 0.2]}), (fb.methods.rmsprop(0.1), {"step_size": [0.1, 0.2]}),
    (gd(0.1, batch=2, rng=1), {"seed": [1, 2, 3], "momentum": [0, 0.5]}),
    (fb.methods.coordinate_descent(0.1, ties="random", rng=3), {"seed": [1, 2], "y": [y, -y]}),
    (fb.methods.natural_gradient("entropy", 0.1), {"step_size": [0.1], "start": [[1, 2], [0.5, 0.1]]}),
    (gd(0.1), {"step_size": [fb.steps.power(0.1, 0.5), [0.1, 0.2], 0.3]}),
])
def test_what_does_not_go_in_lanes_is_the_bits_of_its_plan(method, grid, tmp_path):
    sweep = fb.sweep(template("exponential", method), grid, steps=50, store=tmp_path / "s")
    for i, point in enumerate(sweep.points):
        name, arguments = method.recipe
        changed = {{"seed": "rng"}.get(k, k): v for k, v in point.items() if k in ("step_size", "momentum", "seed")}
        made = getattr(fb.methods, name)(**arguments | changed)
        single = fb.Plan(X, point.get("y", y), loss="exponential", method=made, start=point.get("start"))
        assert sweep[i].u.tobytes() == single.run(50).u.tobytes()
        assert sweep[i].problem.X is sweep[0].problem.X      # no copy a run
    assert len(kept(tmp_path / "s")) == len(sweep)
    assert_same(sweep, fb.sweep(template("exponential", method), grid, steps=50, store=tmp_path / "s"))
    one_by_one = fb.sweep(template("exponential", method), list(sweep.points), steps=50)
    assert_same(sweep, one_by_one)


def test_points_are_made_when_they_are_asked_for_and_equal_a_list_of_them():
    points = fb.sweep(template(), {"momentum": [0, 0.5], "step_size": [0.1, 0.2, 0.3]}, steps=0).points
    wanted = [{"momentum": b, "step_size": a} for b in (0, 0.5) for a in (0.1, 0.2, 0.3)]
    assert points == wanted
    assert points[-1] == wanted[-1]
    assert points[1:3] == wanted[1:3]
    assert points != wanted[1:]
    assert repr(points) == "<6 points: 2 momentum × 3 step_size>"
    with pytest.raises(IndexError):
        points[6]


def test_until_ends_each_run_for_itself():
    sweep = fb.sweep(template(), {"step_size": [0.1, 0.3]}, steps=STEPS, until=0.0)
    for trace, eta in zip(sweep, (0.1, 0.3), strict=True):
        assert trace.u.tobytes() == by_hand({"step_size": eta}).run(STEPS, until=0.0).u.tobytes()
        assert trace.status == fb.Status.REACHED


def test_what_a_template_cannot_vary_is_refused_in_one_sentence():
    later = template()
    later.run(1)
    for plan, grid, sentence in [
            (template(), {"lr": [0.1]}, "grid must name some of step_size, momentum, dual_momentum, primal_momentum, start, y, seed where plans is a template, "
             "got 'lr'"),
            (template("exponential", fb.methods.adam(0.1)), {"momentum": [0.1]}, "grid must not name momentum for adam"),
            (later, {"step_size": [0.1]}, "plans must stand at its start, t = 0, to be a template, got one at t = 1")]:
        with pytest.raises(ValueError, match=sentence):
            fb.sweep(plan, grid, steps=10)
    with pytest.raises(TypeError, match="grid must be a mapping of names to sequences, or an iterable of mappings"):
        fb.sweep(template(), [0.1], steps=10)
    assert len(fb.sweep(template(), {"step_size": []}, steps=3)) == 0
    assert fb.sweep(template(), {}, steps=3).shape == ()


def last_sum(trace, limit):
    return trace.w[-1].sum()


def seen(trace, limit):
    return [len(trace), np.nan if limit is None else limit.margin]


def test_columns_of_functions_by_name_and_limits_once_a_problem(monkeypatch):
    asked = []
    true = tables.theory.limit
    monkeypatch.setattr(tables.theory, "limit", lambda problem, *flow: (asked.append(problem), true(problem, *flow))[1])
    grid = {"step_size": [0.1, 0.2, -1.0], "start": [[0, 0], [1, 1]]}
    sweep = fb.sweep(template(), grid, steps=STEPS)
    table = sweep.to_pandas("w", "margin", "gap", last_sum, seen)
    assert len(asked) == 4
    assert list(table) == ["step_size", "start", "status", "t", "log_loss", "error", "w0", "w1", "margin", "gap", "last_sum",
                           "seen0", "seen1"]
    for i in range(4):
        trace = sweep[i]
        limit = sweep.plans[i].limit()
        assert table.w1[i] == trace.w[-1, 1]
        assert table.margin[i] == trace.margin()[-1]
        assert table.gap[i] == trace.gap(limit)[-1]
        assert table.last_sum[i] == trace.w[-1].sum()
        assert table.seen1[i] == limit.margin
    assert table.gap[4:].isna().all()
    frame = sweep.to_xarray("w", "gap", last_sum)
    assert frame.sizes == {"step_size": 3, "start": 2, "w_0": 2}
    assert frame.gap.sel(step_size=0.2).values.tolist() == table.gap[2:4].tolist()
    assert frame.w.values.shape == (3, 2, 2)
    assert frame.status.values[2, 0] == "ValueError"
    plain = fb.sweep([by_hand({}), by_hand({"step_size": 0.1})], steps=5)
    assert plain.to_xarray("w").w.dims == ("run", "w_0")
    assert plain.to_pandas().shape == (2, 4)
    clash = fb.sweep(lambda t: by_hand({"step_size": t}), {"t": [0.1]}, steps=3)
    assert clash.to_xarray().t.dims == ("param_t",)


def test_no_theorem_is_no_limit_and_bad_functions_are_told():
    data = fb.Plan([[1, 0], [-1, 0]], [1, 1], loss="sigmoid", method=gd(0.1))
    table = fb.sweep(data, {"step_size": [0.1]}, steps=5).to_pandas("gap", "margin")
    assert table.gap.isna().all()
    sweep = fb.sweep(template(), {"step_size": [0.1, 0.2]}, steps=5)
    for bad, error, sentence in [("weights", ValueError, "functions must be"), (3, TypeError, "functions must be functions of"),
                                 ((lambda trace, limit: np.zeros(int(trace.w[-1, 0] * 1e3))), ValueError, "of one shape")]:
        with pytest.raises(error, match=sentence):
            sweep.to_pandas(bad)
    with pytest.raises(ValueError, match="names of their own, got 'gap' twice"):
        sweep.to_pandas("gap", "gap")


def test_adagrads_limit_is_that_of_its_own_run():
    plans = [fb.Plan(X, y, loss="exponential", method=fb.methods.adagrad(0.1), start=s) for s in ([0, 0], [1, 0])]
    sweep = fb.sweep(plans, steps=STEPS)
    table = sweep.to_pandas("gap")
    for i, plan in enumerate(plans):
        assert table.gap[i] == sweep[i].gap(plan.limit())[-1]


@pytest.mark.skipif(not JIT, reason="bands need compiled loops to take long")
def test_ctrl_c_is_answered_within_a_band(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        ctrl_c(0.5)
        fb.sweep(template(), {"step_size": np.geomspace(1e-4, 1e-3, 5000)}, steps=10**9, record=2, store=tmp_path / "s")
    assert not kept(tmp_path / "s")                         # bands that were cut short are not taken for done


def test_a_sweep_of_columns_pickles():
    sweep = fb.sweep(template(), {"step_size": [0.1, 1e30, -1.0]}, steps=70)
    assert_same_or_none(pickle.loads(pickle.dumps(sweep)), sweep)


def test_memory_is_that_of_the_rows_asked_for():
    n = 30_000 if JIT else 100
    sweep = fb.sweep(template(), {"step_size": np.geomspace(1e-4, 1e-1, n)}, steps=64 if JIT else 1, record=2)
    assert sum(a.nbytes for a in sweep.traces.columns.found) <= n * 90
    assert len(sweep) == n
    assert sweep[n - 1].t[-1] == (64 if JIT else 1)


MIRROR = fb.Plan([[3, 4]], [5], loss="squared", method=fb.methods.mirror_descent("entropy", 0.01))


@pytest.mark.parametrize(("name", "argument"), [("momentum", "dual_momentum"), ("dual_momentum", "dual_momentum"),
                                                ("primal_momentum", "primal_momentum")])
def test_momenta_of_mirror_descent_are_varied_by_name(name, argument):
    """momentum is the dual one, as on the command line; each run is what a plan of its own does, bit for bit."""
    sweep = fb.sweep(MIRROR, {"step_size": [0.01, 0.005], name: [0.0, 0.3]}, steps=50)
    assert not sweep.failures
    for point, trace in zip(sweep.points, sweep, strict=True):
        method = fb.methods.mirror_descent("entropy", point["step_size"], **{argument: point[name]})
        own = fb.run([[3, 4]], [5], loss="squared", method=method, steps=50)
        assert trace.w[-1].tobytes() == own.w[-1].tobytes()
    assert sweep[0].w[-1].tobytes() != sweep[1].w[-1].tobytes()


def test_a_momentum_that_gradient_descent_does_not_have_does_not_slip_into_lanes():
    plan = fb.Plan([[3, 4]], [5], loss="squared", method=fb.methods.gradient_descent(0.01))
    for name in ("dual_momentum", "primal_momentum"):
        with pytest.raises(ValueError, match=f"grid must not name {name} for gradient_descent"):
            fb.sweep(plan, {name: [0.0, 0.5]}, steps=5)
    # nor, on a mirror descent that goes as gradient descent does, is it lost there
    euclid = fb.Plan([[3, 4]], [5], loss="squared", method=fb.methods.mirror_descent("euclidean", 0.01))
    for name in ("momentum", "dual_momentum", "primal_momentum"):
        none, some = fb.sweep(euclid, {name: [0.0, 0.5]}, steps=5)
        assert none.w[-1].tobytes() != some.w[-1].tobytes()


def test_a_grid_names_one_argument_once():
    with pytest.raises(ValueError, match="grid must name one of momentum and dual_momentum, which are one for mirror_desc"):
        fb.sweep(MIRROR, {"momentum": [0.1], "dual_momentum": [0.2]}, steps=5)
