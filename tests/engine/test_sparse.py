"""Data that are mostly zeros: the sparse pass equals the dense one. Models in checkpoints, pickles, sweeps, in a hurry."""
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import fastbias as fb
from fastbias.engine import abi
from fastbias.running import buffers as memory
from tests.helpers import JIT

m, models = fb.methods, fb.models
STEPS = 300 if JIT else 8
SEARCH = fb.steps.line_search()


def entries(m, n, count, seed=0):
    """A completion problem: ``count`` entries of an (m, n) matrix of rank one, seen."""
    rng = np.random.default_rng(seed)
    places = rng.choice(m * n, size=count, replace=False)
    X = np.zeros((count, m * n))
    X[np.arange(count), places] = 1.0
    return X.reshape(count, m, n), np.outer(rng.normal(size=m), rng.normal(size=n)).ravel()[places]


def rows(N, d, filled, seed=0):
    """Rows with a few entries each (one of them with none), and labels."""
    rng = np.random.default_rng(seed)
    X = np.zeros((N, d))
    X.ravel()[rng.choice(N * d, size=filled, replace=False)] = rng.normal(size=filled)
    X[1] = 0.0
    return X, rng.choice([-1.0, 1.0], size=N)


XM, YM = entries(5, 6, 13)
XV, YV = rows(7, 40, 16)
CASES = {                                                        # model, data, loss, method
    "factorised": (models.factorised(5, 6), XM, YM, "squared", m.gradient_descent(0.02, 0.5)),
    "symmetric": (models.symmetric(6, 3), *entries(6, 6, 13), "squared", m.gradient_descent(0.02)),
    "searched": (models.factorised(5, 6, 2), XM, YM, "squared", m.gradient_descent(SEARCH)),
    "diagonal": (models.diagonal(3), XV, YV, "exponential", m.gradient_descent(0.05)),
    "signed": (models.diagonal(2, signed=True), XV, YV, "logistic", m.gradient_descent(0.05, 0.5, 0.5)),
    "convolutional": (models.convolutional(2), XV, YV, "logistic", m.gradient_descent(fb.steps.power(0.02, 0.3))),
    "deep linear": (models.deep_linear(3, 4), XV, YV, "probit", m.gradient_descent(0.02, weight_decay=0.01)),
    "adagrad": (models.diagonal(2), XV, YV, "exponential", m.adagrad(0.05)),
    "scaled": (models.diagonal(2), XV, YV, "exponential", m.gradient_descent(fb.steps.loss_scaled(0.05))),
    "relu": (models.relu(np.linspace(-1, 1, 20), 6), np.eye(20), np.sin(np.arange(20)), "squared", m.gradient_descent(0.01)),
    "products": (models.factorised(5, 6, [2, 3], 3), XM, YM, "squared", m.gradient_descent(0.02)),
    "symmetric apart": (models.symmetric(6, 3, signed=True), *entries(6, 6, 13), "squared", m.gradient_descent(0.02)),
    "frozen": (models.frozen(models.factorised(5, 6, 2), 0, np.ones((5, 2))), XM, YM, "squared", m.gradient_descent(0.02)),
    "weight normalised": (models.weight_normalised, XV, YV, "logistic", m.gradient_descent(0.05)),
    "in batches": (models.factorised(5, 6), XM, YM, "squared", m.gradient_descent(0.02, batch=4, rng=1)),
}


def plan_of(name):
    model, X, y, loss, method = CASES[name]
    d = X[0].size
    start = 0.3 * np.random.default_rng(5).normal(size=model.parameters(d)) + (0.5 if len(X[0].shape) == 1 else 0)
    return fb.Plan(X, y, loss=loss, method=method, model=model, start=start)


@pytest.mark.parametrize("name", CASES)
def test_the_sparse_pass_equals_the_dense_one(name, monkeypatch):
    sparse = plan_of(name)
    monkeypatch.setattr(memory, "SPARSE", 10 ** 9)
    dense = plan_of(name)
    assert sparse.buffers.control[abi.FILLED] == np.count_nonzero(CASES[name][1])
    assert dense.buffers.control[abi.FILLED] == 0
    one, two = (plan.run(STEPS, record=np.arange(STEPS + 1)) for plan in (sparse, dense))
    scale = abs(two.u).max()
    tolerance = 1e-9 if name == "searched" else 1e-12              # (a search squares what rounding there is)
    assert abs(one.u - two.u).max() <= tolerance * scale
    assert one.log_loss == pytest.approx(two.log_loss, abs=1e-10)
    assert abs(one.u[-1] - one.u[0]).max() > 1e-3 * scale
    half = one.log_loss[0] + 0.5 * (one.log_loss[-1] - one.log_loss[0])
    ends = [plan_of(name).run(STEPS, until=half, record=2) for _ in range(2)]
    if name != "in batches":
        first = int(np.argmax(one.log_loss <= half))
        assert [(end.status, int(end.t[-1])) for end in ends] == [(fb.Status.REACHED, first)] * 2


def test_what_is_kept_sparse():
    """Models of one output whose data have one entry in sixteen or fewer; never where nothing is filled."""
    def filled(X, model, loss="squared"):
        plan = fb.Plan(X, np.ones(len(X)), loss=loss, method=m.gradient_descent(0.1), model=model,
                       start=None if model.linear else model.start(1))
        return int(plan.buffers.control[abi.FILLED])
    assert filled(np.eye(16), models.diagonal(2)) == 16
    assert filled(np.eye(15), models.diagonal(2)) == 0
    assert filled(np.zeros((3, 16)), models.diagonal(2)) == 0
    assert filled(np.eye(16), models.linear) == 0
    assert filled(np.eye(2, 40), models.diagonal(2), "logistic") == 2
    classes = fb.Plan(np.eye(32), np.arange(32) % 2, loss="cross_entropy", method=m.gradient_descent(0.1),
                      model=models.diagonal(2), start=models.diagonal(2).start(1))
    assert classes.buffers.control[abi.FILLED] == 0


def test_descend_refuses_a_wrong_count_of_entries():
    plan = plan_of("factorised")
    n, K = plan.u.size, 1
    records = abi.Records(np.array([0]), np.zeros((K, n)), np.zeros(K))

    def told(**changes):
        return fb.descend(plan.pieces, plan.params, plan.problem.X, plan.problem.y, plan.buffers._replace(**changes),
                          records, 3, -np.inf)

    def control(**entries):
        changed = plan.buffers.control.copy()
        for entry, value in entries.items():
            changed[getattr(abi, entry)] = value
        return {"control": changed}
    for changes in (control(FILLED=12), control(FILLED=14), control(FILLED=-1), control(WEIGH=3), control(OUTPUTS=2),
                    control(LINEAR=1), control(SEARCH=3), control(SEARCH=1), {"packed": np.zeros(13 + 1 + 13 + 7 - 1)}):
        assert told(**changes) == -5, changes
    assert told() == 0
    assert plan.t == 3


COUNT = abi.CONTROL                                                # behind control: how often, and how many calls so far


@fb.piece(abi.MAP)
def interrupted(params, u, out):
    """w = u², and each params[COUNT]-th call asks the loop to come back, as another thread might: params is control itself."""
    for i in range(u.size):
        out[i] = u[i] * u[i]
    params[COUNT + 1] += 1.0
    if params[COUNT + 1] % params[COUNT] == 0.0:
        params[2] = 5e-324                                         # the bits of the whole number 1
    return 0


@fb.piece(abi.MAP_AT)
def doubled(params, u, v, out):
    for i in range(u.size):
        out[i] = 2.0 * u[i] * v[i]
    return 0


@pytest.mark.parametrize("data", ["sparse", "dense"])
@pytest.mark.parametrize("method", [m.gradient_descent(0.01, 0.5), m.gradient_descent(SEARCH), m.adagrad(SEARCH)], ids=repr)
def test_a_run_that_is_called_back_in_the_middle_of_updates_goes_on_bit_for_bit(method, data):
    assert abi.HURRY == 2
    X, y = rows(7, 40, 16, seed=3)
    if data == "dense":
        X = X + 0.01
    squares = models.Model("squares", interrupted, doubled, degree=2, params=np.append(np.zeros(COUNT), [1e9, 0]))
    steps, start = 40 if JIT else 12, np.random.default_rng(0).uniform(0.5, 1, size=40)

    def run(every):
        plan = fb.Plan(X, y, loss="squared", method=method, model=squares, start=start)
        memory = np.zeros(COUNT + 2, np.int64)
        memory[:COUNT], memory.view(float)[COUNT:] = plan.buffers.control, (every, 0.0)
        buffers = plan.buffers._replace(control=memory[:COUNT])
        records = abi.Records(np.arange(steps + 1), np.zeros((steps + 1, 40)), np.zeros(steps + 1))
        calls = 0
        while memory[abi.DONE] < steps:
            memory[abi.HURRY] = 0
            status = fb.descend(plan.pieces, plan.params._replace(model=memory.view(float)), plan.problem.X, y, buffers,
                                records, steps, -np.inf)
            assert status == 0
            calls += 1
            assert calls < 10 * steps
        return records, calls
    whole, cut = run(1e9), run(3)
    assert (whole[1], cut[1] > 3) == (1, True)
    assert cut[0].u.tobytes() == whole[0].u.tobytes()
    assert cut[0].log_loss[:-1].tobytes() == whole[0].log_loss[:-1].tobytes()


@pytest.mark.parametrize("name", CASES)
def test_checkpoints_and_pickles_of_models_go_on_bit_for_bit(name, tmp_path):
    whole, part = plan_of(name), plan_of(name)
    whole.run(20)
    part.run(7)
    part.save(tmp_path / "p.npz")
    for back in (fb.Plan.load(tmp_path / "p.npz"), pickle.loads(pickle.dumps(part))):
        assert back.t == 7
        assert repr(back.problem.model) == repr(part.problem.model)
        assert back.trace.w.tobytes() == part.trace.w.tobytes()
        assert back.run(13).u[-1].tobytes() == whole.u.tobytes()
        for a, b in zip(back.buffers[:3], whole.buffers[:3], strict=True):
            assert a.tobytes() == b.tobytes()


def test_a_model_of_the_users_own_is_asked_for_again(tmp_path):
    own = models.Model("own", doubled_forward, doubled, degree=2)
    plan = fb.Plan([[1.0, 2.0]], [1.0], loss="squared", method=m.gradient_descent(0.01), model=own, start=[1, 1])
    plan.run(5)
    plan.save(tmp_path / "p.npz")
    with pytest.raises(TypeError, match="model must be given again"):
        fb.Plan.load(tmp_path / "p.npz")
    assert fb.Plan.load(tmp_path / "p.npz", model=own).run(5).u.tobytes() == plan.run(5).u.tobytes()
    assert pickle.loads(pickle.dumps(plan)).run(5).u.tobytes() == plan.run(5).u.tobytes()


@fb.piece(abi.MAP)
def doubled_forward(params, u, out):
    for i in range(u.size):
        out[i] = u[i] * u[i]
    return 0


def started(scale, name):
    """A plan from a scaled start, for a sweep."""
    model, X, y, loss, method = CASES[name]
    return fb.Plan(X, y, loss=loss, method=method, model=model, start=model.start(scale))


GRID = {"scale": [0.01, 0.1, 1.0], "name": ["factorised", "diagonal"]}


def test_sweeps_over_the_scale_of_starts():
    sweep = fb.sweep(started, GRID, steps=50 if JIT else 5)
    assert not sweep.failures
    assert sweep.shape == (3, 2)
    for trace, point in zip(sweep, sweep.points, strict=True):
        alone = started(**point)
        assert trace.u.tobytes() == alone.run(int(trace.t[-1])).u.tobytes()
        assert trace.u[0] == pytest.approx(point["scale"] * (trace.u[0] != 0))


@pytest.mark.long
def test_sweeps_of_models_in_processes():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        away = fb.sweep(started, GRID, steps=20, executor=pool)
    here = fb.sweep(started, GRID, steps=20)
    assert not away.failures
    assert [t.u.tobytes() for t in away] == [t.u.tobytes() for t in here]
