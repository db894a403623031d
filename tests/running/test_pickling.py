"""Everything public pickles and deep-copies, and runs on with the same bits: here, and in other processes."""
import copy
import dataclasses
import multiprocessing
import pickle
from concurrent.futures import Executor, Future

import numpy as np
import pytest

import fastbias as fb
from fastbias.engine import travel
from fastbias.pieces import methods, models, norms, potentials, steps
from fastbias.pieces.losses import EXAMPLES as LOSSES
from fastbias.running import tasks
from tests.helpers import JIT

WAYS = {"pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "deepcopy": copy.deepcopy, "copy": copy.copy}
READY = [getattr(home, name) for home in (fb.losses, norms, potentials, models) for name in home.__all__
         if not callable(getattr(home, name)) or dataclasses.is_dataclass(type(getattr(home, name)))]
RULES = [steps.constant(0.1), steps.power(0.1, 0.5), steps.sequence([0.1, 0.2]), steps.bounded(1.0), steps.loss_scaled(0.1),
         steps.line_search()]
PIECES = [*LOSSES, *norms.EXAMPLES, *potentials.EXAMPLES, *models.EXAMPLES, *RULES, *READY,
          models.diagonal(2).start(0.3, rng=1)]
X, y = np.array([[0.5, 1.5], [1.5, 0.5], [-1.5, -0.5]]), np.array([1.0, 1.0, -1.0])
gd = fb.methods.gradient_descent


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("thing", PIECES, ids=lambda thing: f"{type(thing).__name__} {thing!r}")
def test_pieces(thing, way):
    twin = way(thing)
    assert repr(twin) == repr(thing)
    assert type(twin) is type(thing)
    for field in dataclasses.fields(thing):
        mine, other = getattr(thing, field.name), getattr(twin, field.name)
        if isinstance(mine, fb.abi.Piece):
            assert mine is other
        if isinstance(mine, np.ndarray):
            assert mine.tobytes() == other.tobytes()


@pytest.mark.parametrize("thing", [x for x in READY if not isinstance(x, type)], ids=repr)
def test_what_stands_in_the_package_is_itself_again(thing):
    assert WAYS["pickle"](thing) is thing
    assert copy.deepcopy(thing) is thing


def bits(plan):
    trace = plan.run(40 if JIT else 5, record=5, strict=False)
    return trace.t.tobytes(), trace.u.tobytes(), trace.log_loss.tobytes(), trace.message


def plan_of(method):
    geometry = method.geometry
    n = getattr(geometry, "symmetric", 0)
    shape = getattr(geometry, "shape", None) or ((n, n) if n else (2, 3) if method.shaped else
                                                 (getattr(geometry, "size", None) or 3,))
    if method.constraint is not None:
        shape = (method.constraint[0].shape[1],)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, *shape))
    if n:
        X = X + np.swapaxes(X, 1, 2)
    start = None
    if isinstance(geometry, fb.potentials.Potential) and method.constraint is None:
        start = geometry.to_primal(0.1 * np.ones(X[0].size)).reshape(shape)
    return fb.Plan(X, np.sign(rng.normal(size=6)), loss="logistic", method=method, start=start)


@pytest.mark.parametrize("method", methods.EXAMPLES, ids=repr)
def test_methods_run_the_same_bits(method):
    if method.averages == "all":
        method = fb.methods.dual_acceleration()
    wanted = bits(plan_of(method))
    for way in WAYS.values():
        twin = way(method)
        assert twin.as_made == method.as_made
        assert bits(plan_of(twin)) == wanted
        assert bits(way(plan_of(method))) == wanted
        fitted = plan_of(method).problem
        assert way(fitted).method.as_made == fitted.method.as_made
        assert repr(way(fitted).method) == repr(fitted.method)


def test_a_method_changed_by_hand_stays_one():
    made = gd(0.1, batch=2, rng=3)
    rule = dataclasses.replace(made, rule=steps.power(0.1, 0.5))
    other = dataclasses.replace(made, direction=fb.methods.sign_descent(0.1).direction, begin=lambda u: np.zeros((0, u.size)))
    for method in (rule, other):
        for way in WAYS.values():
            twin = way(method)
            assert twin.as_made is method.as_made is (method is rule)
            assert bits(fb.Plan(X, y, loss="logistic", method=twin)) == bits(fb.Plan(X, y, loss="logistic", method=method))


def own_pieces():
    factor = 3.0                                          # in the closure of both

    @fb.piece(fb.abi.SLOPE)
    def slope(params, p, y, q):
        for i in range(p.size):
            q[i] = factor * (y[i] - p[i])
        return 0.0

    @fb.piece(fb.abi.LOG_LOSS, needs=lambda params, *sizes: True)
    def log_loss(params, p, y):
        total = 0.0
        for i in range(p.size):
            total += (y[i] - p[i]) ** 2
        return np.log(factor * total / 2)
    return fb.losses.Loss("mine", slope, log_loss, "root", excess=lambda m: m)


def test_pieces_of_the_users_own_go_by_their_plain_function():
    own = own_pieces()
    raw = pickle.dumps(own)
    assert pickle.loads(raw).slope is own.slope             # known here: not compiled again
    assert copy.deepcopy(own).slope is own.slope
    wanted = bits(fb.Plan(X, y, loss=own, method=gd(0.01)))
    travel._ARRIVED.clear()                               # as in another process
    other = pickle.loads(raw)
    assert other.slope is not own.slope
    assert pickle.loads(raw).slope is other.slope           # compiled once
    assert other.excess(2.0) == 2.0
    assert bits(fb.Plan(X, y, loss=other, method=gd(0.01))) == wanted
    plan = fb.Plan(X, y, loss=own, method=gd(0.01))
    for way in WAYS.values():
        assert bits(way(plan)) == wanted


def results():
    plan = fb.Plan(X, y, loss="exponential", method=gd(0.1))
    trace = plan.run(50)
    diverges = fb.Plan(X, y, loss="squared", method=gd(50.0))
    diverges.run(5000, strict=False)
    yield from (trace, plan.limit(), plan.max_step(), plan.flow(10.0), fb.Status.OK, trace.evaluate(X, y),
                trace.rates(plan.limit()), plan.problem, plan.fast_forward(30.0, record=4), plan.params,
                fb.separability(X, y), fb.diagnose(X, y, [1.0, 1.0]), fb.max_margin(X, y, "l1"),
                fb.minimum_norm(X[:1], y[:1], "l1"), fb.relu.fit([0.0, 1.0, 2.0], [0.0, 1.0, 0.0]),
                fb.relu.network([1.0], [1.0], [0.0]), fb.features.random_fourier(4, 2, 1.0, rng=0),
                fb.laws.check(norms.l1, trials=2), fb.RunStopped(diverges.trace.message, diverges.trace),
                fb.laws.LawBroken("no") if hasattr(fb.laws, "LawBroken") else ValueError("no"),
                fb.sweep([fb.Plan(X, y, loss="squared", method=gd(0.1))], steps=3),
                fb.abi.SLOPE, plan.problem.rows)


def told(thing):
    """All that a result holds, as bytes and texts."""
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.shape, thing.tobytes() if thing.dtype != object else list(map(told, thing))
    if isinstance(thing, (list, tuple)):
        return [told(x) for x in thing]
    if isinstance(thing, dict):
        return [(key, told(value)) for key, value in thing.items()]
    if isinstance(thing, fb.Plan):
        return told(thing.u), thing.t, repr(thing)
    if isinstance(thing, fb.methods.Method):
        return repr(thing)
    if dataclasses.is_dataclass(thing):
        return [(x.name, told(getattr(thing, x.name))) for x in dataclasses.fields(thing)
                if not callable(getattr(thing, x.name))]
    if isinstance(thing, Exception):
        return type(thing), str(thing), told(vars(thing))
    plain = isinstance(thing, (fb.Status, fb.abi.Piece)) or not type(thing).__module__.startswith("fastbias")
    return repr(thing) if plain else told(vars(thing))


@pytest.mark.skipif(not JIT, reason="thousands of updates")
def test_results():
    for thing in results():
        for way in WAYS.values():
            assert told(way(thing)) == told(thing), thing


def test_refusals():
    with pytest.raises(fb.NoTheorem) as refused:
        fb.Plan([[1, 0], [-1, 0]], [1, 1], loss="sigmoid", method=fb.methods.adam(0.1)).limit()
    for way in WAYS.values():
        twin = way(refused.value)
        assert str(twin) == str(refused.value)
        assert (twin.reason, twin.source, twin.hypotheses) == (
            refused.value.reason, refused.value.source, refused.value.hypotheses)


def run(plan):
    return bits(plan)


def some_plans():
    return [fb.Plan(X, y, loss=own_pieces(), method=gd(0.01)), fb.Plan(X, y, loss="exponential", method=gd(0.1)),
            fb.Plan(X, y, loss="logistic", method=fb.methods.steepest_descent("linf", 0.01))]


@pytest.mark.skipif(not JIT, reason="the plain functions have no processes to be compiled in")
def test_multiprocessing_joblib_and_dask_give_the_same_bits():
    wanted = [bits(plan) for plan in some_plans()]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(run, some_plans()) == wanted
    joblib = pytest.importorskip("joblib")
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(run)(plan) for plan in some_plans()) == wanted


def test_dask_delayed_gives_the_same_bits():
    dask = pytest.importorskip("dask")
    wanted = [bits(plan) for plan in some_plans()]
    assert list(dask.compute(*[dask.delayed(run)(plan) for plan in some_plans()], scheduler="threads")) == wanted
    if JIT:
        assert list(dask.compute(*[dask.delayed(run)(plan) for plan in some_plans()], scheduler="processes",
                                 num_workers=1)) == wanted


class Workers(Executor):
    """Processes that are none: each with its own memory of arrays; what they are sent is counted."""

    def __init__(self, count, monkeypatch):
        self.held, self.monkeypatch, self.turn = [{} for _ in range(count)], monkeypatch, 0
        self.sent, self.large, self._max_workers, self.chance = 0, 0, count, np.random.default_rng(0)

    def submit(self, function, /, *args):
        raw = pickle.dumps((function, args))
        self.sent += len(raw)
        self.large += len(raw) > 160_000
        self.turn = int(self.chance.integers(len(self.held)))   # whoever is free
        self.monkeypatch.setattr(tasks, "_HELD", self.held[self.turn])
        self.monkeypatch.setattr(tasks.os, "getpid", lambda me=self.turn: me)
        future = Future()
        function, args = pickle.loads(raw)
        raw = pickle.dumps(function(*args))
        self.sent += len(raw)
        future.set_result(pickle.loads(raw))
        return future


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_data_go_to_each_worker_once(monkeypatch, workers):
    rng = np.random.default_rng(0)
    big = rng.normal(size=(2000, 10))
    goal = big @ rng.normal(size=10)

    def make(step_size):
        return fb.Plan(big, goal, loss=own_pieces(), method=gd(step_size))
    grid = {"step_size": np.linspace(1e-6, 1e-5, 40)}
    pool = Workers(workers, monkeypatch)
    got = fb.sweep(make, grid, steps=3, executor=pool)
    each = big.nbytes + goal.nbytes
    # (what was meant for one may come to another, who has it: then it is sent once more)
    assert workers <= pool.large <= 2 * workers
    assert pool.sent < pool.large * each + 40 * 12_000
    wanted = fb.sweep(make, grid, steps=3)
    assert not got.failures
    assert [trace.u.tobytes() for trace in got] == [trace.u.tobytes() for trace in wanted]
    assert [plan.run(3).u.tobytes() for plan in got.plans] == [plan.run(3).u.tobytes() for plan in wanted.plans]


def test_a_worker_that_let_go_of_its_arrays_is_sent_them_again(monkeypatch):
    monkeypatch.setattr(tasks, "HELD", 0)                 # nothing is kept beyond its own task
    big = np.random.default_rng(1).normal(size=(2000, 10))
    pool = Workers(2, monkeypatch)
    got = fb.sweep(lambda step_size: fb.Plan(big, big[:, 0], loss="squared", method=gd(step_size)),
                   {"step_size": [1e-6, 2e-6, 3e-6]}, steps=3, executor=pool)
    assert not got.failures
    assert pool.sent > 3 * big.nbytes
