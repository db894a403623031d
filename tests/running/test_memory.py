"""What runs keep in memory: one copy of the same data, files that are mapped, rows without w."""
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from tests.helpers import JIT

m = fb.methods
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 40))
Y = np.where(X[:, 0] > 0, 1.0, -1.0)


def plan(X=X, y=Y, eta=1e-3, loss="logistic", **options):
    return fb.Plan(X, y, loss=loss, method=m.gradient_descent(eta), **options)


def test_plans_of_equal_data_share_them():
    one, two, other = plan(), plan(X.copy(order="F"), eta=2e-3), plan(X.tolist(), loss="exponential")
    assert one.problem.X is two.problem.X is other.problem.X
    assert one.buffers.packed is two.buffers.packed
    assert one.buffers.packed is not other.buffers.packed                # beside X stands what a loss wants
    assert plan(y=-Y).buffers.packed is not one.buffers.packed
    assert plan(weights=np.full(300, 2.0)).buffers.packed is not one.buffers.packed
    assert plan(X[:, ::-1]).problem.X is not one.problem.X
    changed = X.copy()
    changed[-1, -1] = np.nextafter(changed[-1, -1], 9)
    assert plan(changed).problem.X is not one.problem.X
    first, second = plan(sp.csr_matrix(X)), plan(sp.coo_matrix(X), loss="exponential")
    assert first.problem.X is second.problem.X
    assert first.buffers.packed is second.buffers.packed
    assert np.shares_memory(first.problem.X.data, first.buffers.packed)
    assert np.shares_memory(first.problem.X.indices, first.buffers.packed)


def test_zeros_of_both_signs_are_two_data():
    signed = X.copy()
    signed[3, 3] = -0.0
    plain = np.where(signed == 0, 0.0, signed)
    held = plan(plain), plan(signed)
    assert held[0].problem.X is not held[1].problem.X


@pytest.mark.long
def test_what_is_done_to_an_array_later_changes_no_plan():
    given = X.copy()
    one, two = plan(given), plan(given, eta=2e-3)
    given[:] = 5.0
    fresh = plan(given)
    assert fresh.problem.X is not one.problem.X
    assert one.run(40).w.tobytes() == plan(X.copy()).run(40).w.tobytes()
    assert two.run(40).w.tobytes() == plan(X.copy(), eta=2e-3).run(40).w.tobytes()
    assert fresh.run(40).w.tobytes() != one.run(40).w[-1].tobytes()


def test_nothing_is_kept_alive():
    from fastbias.data import held
    from fastbias.engine import shared
    own = RNG.normal(size=(301, 41))
    before = len(held._HELD), len(shared._LAYOUTS), len(shared._FILLED)
    some = [plan(own, own[:, 0] > 0, eta) for eta in (1e-3, 2e-3)]
    some[0].run(5)
    assert (len(held._HELD), len(shared._LAYOUTS), len(shared._FILLED)) == tuple(n + 1 for n in before)
    again = some.pop()
    again.run(5)
    del some
    assert again.run(5).w[-1].any()
    del again
    assert (len(held._HELD), len(shared._LAYOUTS), len(shared._FILLED)) == before


@pytest.mark.long
def test_a_layout_is_filled_once_for_all():
    first, second, third = (plan(eta=eta) for eta in (3e-3, 4e-3, 4e-3))
    first.run(2)
    entry = first.buffers.packed[0]
    first.buffers.packed[0] += 1.0                                       # what stands there is read, not made again
    spoilt = second.run(20).w[-1]
    first.buffers.packed[0] = entry
    assert abs(third.run(20).w[-1] - spoilt).max() > 1e-4
    assert third.w.tobytes() == plan(eta=4e-3).run(20).w[-1].tobytes()


GROWTH = """
import ctypes, gc, resource, sys
import numpy as np
import fastbias as fb
from fastbias.engine import helpers
def used():                                            # held, not kept back by the allocator for what may come
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6
X = np.random.default_rng(0).normal(size={shape})
y = np.where(X[:, 0] > 0, 1, -1)
def plan(i):
    return fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(1e-4 * (i + 1)), gram={gram})
plans = [plan(0)]
plans[0].run(2)
helpers.ready()                                        # compiled or loaded: no plan's memory
before = used()
plans += [plan(i) for i in range(1, 101)]
for one in plans:
    one.run(2, record=2)
print(used() - before)
"""


@pytest.mark.skipif(not JIT or not sys.platform.startswith("linux"), reason="memory as Linux tells it")
@pytest.mark.parametrize(("shape", "gram", "most"), [((1000, 500), None, 20), ((640, 800), True, 20)])
def test_a_hundred_plans_on_four_megabytes(shape, gram, most):
    told = subprocess.run([sys.executable, "-c", GROWTH.format(shape=shape, gram=gram)], capture_output=True, text=True,
                          check=True).stdout
    assert float(told) < most


@pytest.mark.long
def test_a_file_that_is_mapped_stays_where_it_is(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    one, two, whole = plan(mapped), plan(mapped, eta=2e-3), plan()
    assert np.shares_memory(one.problem.X, mapped)
    assert one.problem.X is two.problem.X
    assert one.buffers.packed is two.buffers.packed
    assert one.run(30).w.tobytes() == whole.run(30).w.tobytes()
    assert one.trace.margin().tobytes() == whole.trace.margin().tobytes()
    assert one.limit().w == pytest.approx(whole.limit().w, abs=1e-12)
    for options in ({"weights": np.arange(300) % 3}, {"intercept": True}):
        assert plan(mapped, **options).run(20).w.tobytes() == plan(**options).run(20).w.tobytes()
    batch = m.gradient_descent(1e-3, batch=7, rng=0)
    assert (fb.run(mapped, Y, loss="logistic", method=batch, steps=9).w.tobytes()
            == fb.run(X, Y, loss="logistic", method=batch, steps=9).w.tobytes())
    one.save(tmp_path / "p.npz")
    assert fb.Plan.load(tmp_path / "p.npz").run(5).w[-1].tobytes() == whole.run(5).w[-1].tobytes()
    for mode in ("r+", "c"):                                            # who may write to it gets a copy of his own
        mine = np.load(tmp_path / "X.npy", mmap_mode=mode)
        assert not np.shares_memory(plan(mine).problem.X, mine)
    broken = X.copy()
    broken[150, 7] = np.inf
    np.save(tmp_path / "X.npy", broken)
    with pytest.raises(ValueError, match="X must be finite, got inf"):
        plan(np.load(tmp_path / "X.npy", mmap_mode="r"))


@pytest.mark.long
@pytest.mark.parametrize("name", ["rows", "sparse", "gram", "classes", "model", "stopped"])
def test_runs_without_w_keep_the_rest(name, monkeypatch, tmp_path):
    from fastbias.running import thin
    monkeypatch.setattr(thin, "ROOM", 240)                              # a few rows at a time
    method, data, options = m.gradient_descent(0.01), X, {"loss": "logistic"}
    if name == "sparse":
        data = sp.csr_matrix(X)
    if name == "gram":
        data, options = X[:30], {"loss": "exponential", "gram": True}
    if name == "model":
        options |= {"model": fb.models.diagonal(2), "start": np.linspace(0.1, 1, 80)}
        method = m.gradient_descent(1e-3)
    y = (np.arange(300) % 3 if name == "classes" else Y)[:data.shape[0]]
    if name == "classes":
        options["loss"] = "cross_entropy"
    if name == "stopped":
        method, options = m.gradient_descent(1.0), {"loss": "squared"}

    def made():
        return fb.Plan(data, y, method=method, **options)
    whole, part = made(), made()
    one, two = (p.run(200, record=17, strict=False, record_w=kept) for p, kept in ((whole, True), (part, False)))
    assert two.t.tobytes() == one.t.tobytes()
    assert two.log_loss == pytest.approx(one.log_loss, rel=1e-12)
    assert two.w.tobytes() == one.w[[0, -1]].tobytes()
    assert two.u.tobytes() == one.u[[0, -1]].tobytes()
    assert two.least_margin == pytest.approx(one.least_margin, rel=1e-12, nan_ok=True)
    assert (two.status, two.message, len(two)) == (one.status, one.message, len(one))
    assert part.u.tobytes() == whole.u.tobytes()
    two.save(tmp_path / "t.npz")
    back = fb.Trace.load(tmp_path / "t.npz")
    assert back.least_margin.tobytes() == two.least_margin.tobytes()
    assert list(two.to_pandas().columns) == ["log_loss", "least_margin"]
    assert set(two.to_xarray()) == {"log_loss", "least_margin"}
    for trace in (two, back):
        for call, arguments in ((trace.direction, ()), (trace.increment, ()), (trace.gap, (one.w[-1],)),
                                (trace.evaluate, (data, y)), (trace.kkt_residual, ()), (trace.invariant, ()),
                                (trace.join, (one,)), (one.join, (trace,))):
            with pytest.raises(ValueError, match="trace must have w at each row for .*record_w=False"):
                call(*arguments)
    with pytest.raises(ValueError, match="w at each row for a margin"):
        two.margin()
    if name != "stopped":
        part.save(tmp_path / "p.npz")
        loaded = fb.Plan.load(tmp_path / "p.npz")
        assert loaded.trace.least_margin.tobytes() == two.least_margin.tobytes()
        assert loaded.run(9).w[-1].tobytes() == whole.run(9).w[-1].tobytes()


@pytest.mark.long
def test_a_run_without_w_that_is_ended_or_goes_on():
    one, two = plan(), plan()
    one.run(50)
    two.run(20, record_w=False)
    assert two.run(30, record=[30, 50], record_w=False).w[-1].tobytes() == one.w.tobytes()

    def enough(plan):
        if plan.t > 3:
            raise StopIteration
    ended = plan().run(10 ** 9, record_w=False, callback=enough)
    assert "stopped by the callback" in ended.message
    assert ended.least_margin.size == ended.t.size == ended.log_loss.size
    assert ended.log_loss[-1] == pytest.approx(np.log(np.logaddexp(0, -Y * (X @ ended.w[-1])).sum()), abs=1e-12)
    assert plan(loss="squared", y=X[:, 0]).run(5, record_w=False).t[-1] == 5
    with pytest.raises(ValueError, match="y must be labels"):
        plan(loss="squared", y=X[:, 0]).run(5, record_w=False).least_margin  # noqa: B018 (it is asked for)
    with pytest.raises(TypeError, match="record_w must be True or False"):
        plan().run(5, record_w=1)


@pytest.mark.long
def test_rows_that_take_a_gigabyte_are_warned_of():
    wide = sp.csr_matrix(([1.0], ([0], [5])), shape=(1, 2_000_000))

    def enough(plan):
        raise StopIteration
    for record_w in (True, False):
        many = fb.Plan(wide, [1], loss="logistic", method=m.gradient_descent(0.1))
        if record_w:
            with pytest.warns(UserWarning, match="record asks for 70 rows of 2000000 parameters, which take 1.12 GB"):
                many.run(100, record=70, callback=enough)
        else:
            many.run(100, record=70, callback=enough, record_w=False)


@pytest.mark.long
def test_threads_that_begin_at_once_on_the_same_data():
    """Each lays the data out, into the same memory, while others read there already."""
    for trial in range(3):
        data = RNG.normal(size=(400, 33))
        labels = np.where(data[:, trial] > 0, 1.0, -1.0)
        plans = [plan(data, labels, 1e-4 * (i + 1)) for i in range(6)]
        with ThreadPoolExecutor(6) as pool:
            ends = list(pool.map(lambda one: one.run(30 if JIT else 2, record=2).w[-1].tobytes(), plans))
        del plans                                                       # and with them what they shared
        alone = [plan(data, labels, 1e-4 * (i + 1)).run(30 if JIT else 2, record=2).w[-1].tobytes() for i in range(6)]
        assert ends == alone


@pytest.mark.parametrize("bad", [np.empty(0), np.ones(2), "yes", 2])
def test_record_w_is_a_flag_or_told(bad):
    plan = fb.Plan([[1.0]], [1.0], loss="squared", method=fb.methods.gradient_descent(0.1))
    with pytest.raises(TypeError, match="record_w must be True or False, got"):
        plan.run(1, record_w=bad)
