"""Sparse X in sweeps: stores, templates, other processes, checkpoints, weights and intercepts, all at once."""
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from tests.helpers import JIT
from tests.running.test_pickling import Workers
from tests.running.test_sweep_store import assert_same, kept

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning") if not JIT else []
gd = fb.methods.gradient_descent
RNG = np.random.default_rng(3)
N, D = 300, 60
X = sp.random(N, D, 0.1, format="csr", random_state=RNG, data_rvs=RNG.standard_normal)
Y = np.where(X @ RNG.normal(size=D) > 0, 1.0, -1.0)
WEIGHTS = np.arange(N) % 4 / 2.0                           # some are 0, and left out
OPTIONS = {"plain": {}, "weighed": {"weights": WEIGHTS}, "intercept": {"intercept": True},
           "both": {"weights": WEIGHTS, "intercept": True}}
STEPS = 200 if JIT else 5
GRID = {"step_size": [1e-3, 2e-3, 4e-3]}


def factory(data=X, y=Y, options="both", batch=None):
    def make(step_size, start=None, seed=0):
        method = gd(step_size) if batch is None else gd(step_size, batch=batch, rng=seed)
        return fb.Plan(data, y, loss="logistic", method=method, start=start, **OPTIONS[options])
    return make


@pytest.mark.long
@pytest.mark.parametrize("options", OPTIONS)
def test_a_store_of_sparse_runs_is_read_the_second_time(tmp_path, options):
    make = factory(options=options)
    plain = fb.sweep(make, GRID, steps=STEPS, record=5)
    first = fb.sweep(make, GRID, steps=STEPS, record=5, store=tmp_path / "s")
    files = kept(tmp_path / "s")
    again = fb.sweep(factory(sp.coo_matrix(X), options=options), GRID, steps=STEPS, record=5, store=tmp_path / "s")
    assert len(files) == 3
    assert kept(tmp_path / "s") == files
    for other in (first, again):
        assert_same(plain, other)
    for mine, other in zip(again.plans, plain.plans, strict=True):
        assert mine.run(7).u.tobytes() == other.run(7).u.tobytes()
    assert plain[2].u.tobytes() == make(4e-3).run(STEPS, record=5).u.tobytes()
    dense = fb.sweep(factory(X.toarray(), options=options), GRID, steps=STEPS, record=5, store=tmp_path / "s")
    assert len(kept(tmp_path / "s")) == 6                   # the same numbers, other loops, other bits
    for mine, other in zip(dense, again, strict=True):
        assert mine.w == pytest.approx(other.w, abs=1e-13)


def test_one_entry_or_weight_more_is_another_run(tmp_path):
    def count(data=X, weights=WEIGHTS):
        plan = fb.Plan(data, Y, loss="logistic", method=gd(1e-3), weights=weights, intercept=True)
        fb.sweep([plan], steps=3, store=tmp_path / "s")
        return len(kept(tmp_path / "s"))
    changed = X.copy()
    changed.data[40] += 1e-9
    moved = X.copy()
    moved.indices = X.indices[::-1].copy()
    heavier = WEIGHTS * np.where(np.arange(N) == 7, 2.0, 1.0)
    assert [count(), count(), count(changed), count(moved), count(weights=heavier), count(X.tocsc())] == [1, 1, 2, 3, 4, 4]


@pytest.mark.long
@pytest.mark.parametrize("options", OPTIONS)
def test_a_sparse_template_equals_plans_one_by_one(tmp_path, options):
    size = D + ("intercept" in OPTIONS[options])
    grid = {"step_size": [1e-3, 3e-3], "y": [Y, -Y], "start": [np.zeros(size), np.linspace(-1, 1, size)]}
    seen = WEIGHTS > 0 if "weights" in OPTIONS[options] else np.ones(N, bool)
    template = factory(options=options)(0.5)
    mine = fb.sweep(template, grid | {"y": [Y[seen], -Y[seen]]}, steps=STEPS, record=4, store=tmp_path / "s")
    twin = fb.sweep([factory(y=y, options=options)(eta, start) for eta in grid["step_size"] for y in grid["y"]
                     for start in grid["start"]], steps=STEPS, record=4)
    assert not mine.failures
    assert_same(mine, twin)
    assert mine.plans[5].problem.X is template.problem.X    # no copy a run
    again = fb.sweep(template, grid | {"y": [Y[seen], -Y[seen]]}, steps=STEPS, record=4, store=tmp_path / "s")
    assert_same(again, twin)
    assert len(kept(tmp_path / "s")) == 8
    assert np.isfinite(mine.to_pandas("margin")["margin"]).all()


def test_seeds_of_a_sparse_template():
    mine = fb.sweep(factory(batch=5)(1e-3), {"seed": [0, 1], "step_size": [1e-3, 2e-3]}, steps=STEPS)
    make = factory(batch=5)
    assert_same(mine, fb.sweep([make(eta, seed=seed) for seed in (0, 1) for eta in (1e-3, 2e-3)], steps=STEPS))
    assert mine[0].u.tobytes() != mine[2].u.tobytes()


def test_a_tiny_sparse_template_goes_as_plans_do():
    """So few entries would share a vector, were they dense."""
    small = sp.csr_matrix([[0.5, 1.5], [1.5, 0.0], [0.0, -0.5]])
    plan = fb.Plan(small, [1, 1, -1], loss="exponential", method=gd(0.1))
    grid = {"step_size": [0.1, 0.2], "momentum": [0, 0.5], "start": [[0, 0], [1, -2]]}
    mine = fb.sweep(plan, grid, steps=STEPS)
    assert_same(mine, fb.sweep([fb.Plan(small, [1, 1, -1], loss="exponential", method=gd(p["step_size"], p["momentum"]),
                                        start=p["start"]) for p in mine.points], steps=STEPS))


@pytest.mark.long
def test_checkpoints_of_sparse_plans_are_swept_on(tmp_path):
    make = factory()
    for i, eta in enumerate(GRID["step_size"]):
        plan = make(eta)
        plan.run(STEPS, record_w=i == 1)                    # (of a run without w the trace is thin)
        plan.save(tmp_path / f"{i}.npz")
    plans = [fb.Plan.load(tmp_path / f"{i}.npz") for i in range(3)]
    assert [plan.trace.w.shape[0] == 2 < plan.trace.t.size for plan in plans] == [True, False, True]
    on = fb.sweep(plans, steps=30, record=3, store=tmp_path / "s")
    again = fb.sweep([fb.Plan.load(tmp_path / f"{i}.npz") for i in range(3)], steps=30, record=3, store=tmp_path / "s")
    assert_same(on, again)
    assert len(kept(tmp_path / "s")) == 3
    for eta, trace in zip(GRID["step_size"], again, strict=True):
        assert trace.u[-1].tobytes() == make(eta).run(STEPS + 30).u[-1].tobytes()


def test_sparse_plans_and_traces_pickle():
    plan = factory()(2e-3)
    whole, thin = plan.run(STEPS), factory()(2e-3).run(STEPS, record_w=False)
    back, trace, other = pickle.loads(pickle.dumps((plan, whole, thin)))
    assert trace.margin().tobytes() == whole.margin().tobytes()
    assert other.least_margin.tobytes() == thin.least_margin.tobytes()
    assert back.run(9).u.tobytes() == plan.run(9).u.tobytes()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("workers", [1, 3])
def test_eight_megabytes_go_to_each_worker_once(monkeypatch, workers, kind):
    rng = np.random.default_rng(1)
    big = rng.normal(size=(10_000, 100))
    if kind == "sparse":                                    # 12 bytes an entry
        big = sp.random(10_000, 1000, 0.067, format="csr", random_state=rng, data_rvs=rng.standard_normal)
    size = big.nbytes if kind == "dense" else big.data.nbytes + big.indices.nbytes
    assert 7.9e6 < size < 8.1e6
    y = np.where(rng.random(10_000) < 0.5, 1.0, -1.0)

    def make(step_size):
        return fb.Plan(big, y, loss="logistic", method=gd(step_size), weights=1.0 + rng.random(10_000) * 0)
    grid = {"step_size": np.linspace(1e-6, 1e-5, 4 * workers)}
    pool = Workers(workers, monkeypatch)
    got = fb.sweep(make, grid, steps=2, record=[2], executor=pool)
    # (what was meant for one may come to another, who has it: then it is sent once more)
    assert size <= pool.sent < (1 if workers == 1 else 2 * workers) * size * 1.05 + len(got) * 40_000
    assert not got.failures
    assert_same(got, fb.sweep(make, grid, steps=2, record=[2]))


def test_columns_of_sparse_runs_tell_problems_apart():
    """Limits are solved once a problem: sparse data, and an intercept that is a column beside one that is said to be one."""
    few, y = X[:30], Y[:30]
    ones = sp.hstack([few, np.ones((30, 1))])

    def plan(data, **options):
        return fb.Plan(data, y, loss="logistic", method=gd(0.01), **options)
    plans = [plan(few), plan(few[::-1]), plan(few, intercept=True), plan(ones), plan(few.toarray()), plan(few)]

    def width(trace, limit):
        return limit.margin

    def free(trace, limit):
        return bool(limit.intercept)
    told = fb.sweep(plans, steps=10).to_pandas(width, free)
    wanted = [one.limit() for one in plans]
    assert told["width"].tolist() == [limit.margin for limit in wanted]
    assert told["free"].tolist() == [False, False, True, False, False, False]
    assert abs(told["width"][0] - told["width"][1]) > 1e-6
    assert told["width"][0] == pytest.approx(told["width"][4], rel=1e-9)
