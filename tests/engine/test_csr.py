"""Matrices of scipy.sparse: every method equals its dense run, nothing is ever made dense, and all that runs do works."""
import ctypes
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from fastbias.engine import abi, driver
from fastbias.engine.sparse_pass import BLOCK
from tests.helpers import JIT

m, n = fb.methods, fb.norms
STEPS = 1000 if JIT else 6
N, D = 23, 17


def data(seed=0, N=N, d=D, density=0.3):
    """Rows with a few entries each, one of them with none, of a column that is never seen; and labels that they tell apart."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, d)) * (rng.random((N, d)) < density)
    X[3], X[:, 5] = 0.0, 0.0
    return X, np.where(X @ rng.normal(size=d) >= 0, 1.0, -1.0)


X, Y = data()
CLASSES = np.arange(N) % 3
METHODS = {
    "gradient": m.gradient_descent(0.02), "momentum": m.gradient_descent(0.01, 0.6, 0.3),
    "falling": m.gradient_descent(fb.steps.power(0.05, 0.5)), "l1": m.steepest_descent("l1", 0.01),
    "l2": m.steepest_descent("l2", 0.01), "linf": m.steepest_descent("linf", 1e-4),
    "lp": m.steepest_descent(n.lp(4 / 3), 0.01), "lp, p > 2": m.steepest_descent(n.lp(3), 0.002), "normalised": m.steepest_descent(n.lp(1.5), 0.01, normalised=True),
    "coordinate": m.coordinate_descent(0.01), "mirror": m.mirror_descent("entropy", 0.005),
    "hypentropy": m.mirror_descent(fb.potentials.hypentropy(0.5), 0.01), "adagrad": m.adagrad(0.05),
    "adam": m.adam(0.01), "sign": m.sign_descent(0.001), "batch": m.gradient_descent(0.01, batch=4, rng=1),
}
LOSSES = ("exponential", "logistic", "sigmoid", "probit", "squared", "cross_entropy")


def targets(loss):
    return CLASSES if loss == "cross_entropy" else X @ np.linspace(0.1, 1, D) if loss == "squared" else Y


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_equals_its_dense_run(name, loss):
    rows = np.unique(np.geomspace(1, STEPS, 12).astype(int))
    one, two = (fb.run(A, targets(loss), loss=loss, method=METHODS[name], steps=STEPS, record=rows, gram=False)
                for A in (sp.csr_matrix(X), X))
    assert one.t.tolist() == two.t.tolist()
    # for p > 2 moves go like |g|^(1/(p − 1)), which makes 1e-8 of a rounding of 1e-16 at p = 3, where g is 0
    assert abs(one.w - two.w).max() <= (1e-8 if name == "lp, p > 2" else 1e-12) * abs(two.w).max()
    # (of squares that are almost 0 the logarithm has fewer digits)
    assert one.log_loss == pytest.approx(two.log_loss, abs=1e-9 if loss == "squared" or name == "lp, p > 2" else 1e-12)
    assert abs(one.w[-1] - one.w[0]).max() > 1e-3


def test_gradient_descent_is_its_formula():
    """As scipy.sparse and numpy say it, with columns in any order and rows of every length up to forty."""
    rng = np.random.default_rng(1)
    A = sp.csr_matrix(rng.normal(size=(41, 60)) * (np.arange(60) < np.arange(41)[:, None]))[:, rng.permutation(60)]
    y, w = rng.choice([-1.0, 1.0], size=41), np.zeros(60)
    steps = 200 if JIT else 5
    for _ in range(steps):
        w += 0.01 * (A.T @ (y / (1.0 + np.exp(y * (A @ w)))))
    trace = fb.run(A, y, loss="logistic", method=m.gradient_descent(0.01), steps=steps)
    assert trace.w[-1] == pytest.approx(w, abs=1e-13)
    assert trace.log_loss[-1] == pytest.approx(np.log(np.logaddexp(0, -y * (A @ w)).sum()), abs=1e-13)


def test_blocks_of_very_different_scales():
    """A pass goes block by block, each with the scale of its own largest slope: far apart, rising and falling."""
    rng = np.random.default_rng(2)
    count = 3 * BLOCK // 4 if JIT else 200              # rows of four entries
    size = rng.permutation(np.linspace(-60, 60, count))
    A = sp.csr_matrix((np.ones(3 * count), (np.repeat(np.arange(count), 3), rng.integers(0, 50, 3 * count))), shape=(count, 50))
    A = sp.hstack([A, sp.csr_matrix(size[:, None])], format="csr")
    start = np.append(np.zeros(50), 3.0)
    method = m.steepest_descent("l2", 1e-3, normalised=True)
    for order in (np.argsort(size), np.argsort(-size), np.arange(count)):
        one = fb.Plan(A[order], np.ones(count), loss="exponential", method=method, start=start)
        q = np.exp(-(A @ start) - (-(A @ start)).max())
        g = A.T @ q
        one.run(1)
        assert one.w == pytest.approx(start + 1e-3 * g / np.linalg.norm(g), abs=1e-15)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_any_format_is_taken(form, kind):
    made = getattr(sp, f"{form}_{kind}")(X)
    trace = fb.run(made, Y, loss="logistic", method=m.gradient_descent(0.02), steps=20)
    whole = fb.run(X, Y, loss="logistic", method=m.gradient_descent(0.02), steps=20)
    assert trace.w == pytest.approx(whole.w, abs=1e-14)
    assert abs(made - sp.csr_matrix(X)).max() == 0                 # and left as it was


def test_entries_that_come_twice_or_are_zero():
    rows, columns = X.nonzero()
    halves = sp.coo_matrix((np.tile(X[rows, columns] / 2, 2), (np.tile(rows, 2), np.tile(columns, 2))), shape=X.shape)
    zeros = sp.csr_matrix(X)
    zeros.data[::3] = 0.0
    method = m.gradient_descent(0.02)
    for given, wanted in ((halves, X), (zeros, zeros.toarray()), (sp.csr_matrix(X.astype(np.float32)), X.astype(np.float32)),
                          (sp.csr_matrix(X > 0), X > 0), (sp.csr_matrix(X.shape), np.zeros(X.shape))):
        one, two = (fb.run(A, Y, loss="squared", method=method, steps=30).w for A in (given, wanted))
        assert one == pytest.approx(two, abs=1e-14)


def test_what_a_user_does_to_a_matrix_later_changes_no_plan():
    A = sp.csr_matrix(data(5, 200, 200)[0])
    y, method = data(5, 200, 200)[1], m.gradient_descent(0.01)
    whole = fb.run(A, y, loss="logistic", method=method, steps=20)
    plan = fb.Plan(A, y, loss="logistic", method=method)
    plan.run(10)
    A.data[:] = 7.0
    assert plan.run(10).w[-1].tobytes() == whole.w[-1].tobytes()
    assert plan.trace.margin().tobytes() == whole.margin()[[10, *range(11, 21)]].tobytes()


def test_weights_intercepts_searches_and_models():
    c = np.random.default_rng(4).uniform(0.2, 3, N)
    c[[2, 9]] = 0.0
    searched = m.gradient_descent(fb.steps.line_search())
    model = fb.models.diagonal(2)
    start = np.linspace(0.4, 0.9, 2 * D)
    for options in ({"weights": c, "method": m.gradient_descent(0.02)}, {"intercept": True, "method": m.adam(0.02)},
                    {"weights": c * 1e200, "method": m.steepest_descent("l2", 0.01, normalised=True)},
                    {"weights": c, "method": m.gradient_descent(0.02, batch=5, rng=0)},
                    {"method": searched, "weights": c}, {"method": m.gradient_descent(0.01), "model": model, "start": start}):
        for loss in ("logistic", "exponential", "cross_entropy"):
            if loss == "cross_entropy" and "model" in options:
                continue
            one, two = (fb.run(A, targets(loss), loss=loss, steps=STEPS // 10 or 3, gram=False, **options)
                        for A in (sp.csc_matrix(X), X))
            assert one.log_loss == pytest.approx(two.log_loss, abs=1e-9 if options["method"] is searched else 1e-12)
            assert one.margin()[1:] == pytest.approx(two.margin()[1:], abs=1e-9)
            assert abs(one.w - two.w).max() <= (1e-8 if options["method"] is searched else 1e-12) * abs(two.w).max()


@pytest.mark.parametrize("loss", ["logistic", "squared", "cross_entropy"])
def test_a_trace_says_of_sparse_data_what_it_says_of_dense(loss):
    other, labels = data(9, 11)
    y = {"logistic": labels, "squared": labels, "cross_entropy": CLASSES[:11]}[loss]
    one, two = (fb.run(A, targets(loss), loss=loss, method=m.gradient_descent(0.02), steps=60, gram=False)
                for A in (sp.csr_matrix(X), X))
    for A in (sp.csr_matrix(other), sp.coo_matrix(other), other):
        told, wanted = one.evaluate(A, y), two.evaluate(other, y)
        assert told.log_loss == pytest.approx(wanted.log_loss, abs=1e-12)
        assert told.error == pytest.approx(wanted.error, abs=1e-12)
    if loss != "squared":
        assert one.margin("l1")[1:] == pytest.approx(two.margin("l1")[1:], abs=1e-12)
    assert one.gap(two.w[-1])[-1] < 1e-12
    made = fb.Trace.from_arrays(sp.csr_matrix(X), targets(loss), two.t, two.w, loss=loss)
    assert made.log_loss == pytest.approx(two.log_loss, abs=1e-12)


def test_predictions_beyond_float64():
    A, w = sp.csr_matrix([[1e200, 0.0], [0.0, 1e190]]), np.array([1e150, 1e120])
    plan = fb.Plan(A, [1, 1], loss="logistic", method=m.gradient_descent(0.1), start=np.zeros(2))
    whole = fb.Plan(A.toarray(), [1, 1], loss="logistic", method=m.gradient_descent(0.1), start=np.zeros(2))
    assert plan.problem.log_loss(-w) == whole.problem.log_loss(-w) > 700


@pytest.mark.parametrize("name", ["momentum", "adam", "batch", "coordinate"])
def test_checkpoints_pickles_and_sweeps(name, tmp_path):
    def plan(step=1.0):
        return fb.Plan(sp.csr_matrix(X), CLASSES, loss="cross_entropy", method=METHODS[name])
    whole, part = plan(), plan()
    whole.run(20)
    part.run(7)
    part.save(tmp_path / "p.npz")
    for back in (fb.Plan.load(tmp_path / "p.npz"), pickle.loads(pickle.dumps(part))):
        assert sp.issparse(back.problem.X)
        assert back.run(13).u[-1].tobytes() == whole.u.tobytes()
    sweep = fb.sweep(plan, {"step": [1.0, 2.0]}, steps=20)
    assert not sweep.failures
    assert [trace.u[-1].tobytes() for trace in sweep] == [whole.u.tobytes()] * 2


def test_a_forged_checkpoint_is_refused(tmp_path):
    from fastbias.running import checkpoint
    plan = fb.Plan(sp.csr_matrix(X), Y, loss="logistic", method=m.gradient_descent(0.1))
    plan.save(tmp_path / "p.npz")
    arrays, about = checkpoint.read(tmp_path / "p.npz")
    ends, columns = arrays["X_indptr"], arrays["X_indices"]
    for name, wrong in (("X_indices", np.where(columns == 2, D, columns)), ("X_indices", np.where(columns == 2, -1, columns)),
                        ("X_indptr", ends[::-1].copy()), ("X_indptr", ends[1:]), ("X_data", arrays["X_data"][1:]),
                        ("X_data", np.full(columns.size, np.nan))):
        checkpoint.write(tmp_path / "q.npz", arrays | {name: wrong}, about)
        with pytest.raises(ValueError, match="path must be a checkpoint"):
            fb.Plan.load(tmp_path / "q.npz")


@pytest.mark.skipif(not JIT, reason="Numba's compiler is off")
def test_a_c_caller_drives_a_sparse_run():
    plan, whole = (fb.Plan(sp.csr_matrix(X), Y, loss="logistic", method=METHODS["momentum"]) for _ in range(2))
    arguments, kept = fb.capi.arguments(plan, [3, 9])
    kinds = [ctypes.c_int64 if isinstance(a, ctypes.c_int64) else ctypes.c_void_p for a in arguments]
    descend = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds, ctypes.c_int64, ctypes.c_double)(fb.capi.address())
    assert descend(*arguments, 9, -np.inf) == 0
    assert kept["u"].tobytes() == whole.run(9, record=[3, 9]).u[1:].tobytes()
    plan.buffers.control[abi.FILLED] = 0
    assert descend(*arguments, 12, -np.inf) == -3                 # no X, and no rows that say that they are sparse


def test_descend_refuses_rows_that_are_none():
    plan = fb.Plan(sp.csr_matrix(X), Y, loss="logistic", method=m.gradient_descent(0.1))
    filled, packed = int(plan.buffers.control[abi.FILLED]), plan.buffers.packed
    none = abi.Records(np.empty(0, np.int64), np.empty((0, D)), np.empty(0))
    base, handed = N + 1 + filled, np.empty((0, D))

    def told(X=handed, y=plan.problem.y, packed=packed, **entries):
        control = plan.buffers.control.copy()
        for entry, value in entries.items():
            control[getattr(abi, entry)] = value
        return fb.descend(plan.pieces, plan.params, X, y, plan.buffers._replace(packed=packed, control=control), none, 2,
                          -np.inf)

    def changed(at, value):
        other = packed.copy()
        if at >= base:
            other[base:].view(np.uint32)[at - base] = value
        else:
            other[at] = value
        return other
    assert told() == 0
    assert told(FILLED=0) == told(np.empty((0, 0))) == -3
    assert told(FILLED=-1) == -3
    assert told(y=np.ones(N - 1)) == told(FILLED=filled - 1) == -5
    assert told(X=np.ones((N + 1, D))) == told(y=np.empty(0)) == -4
    for at, value in ((0, 1.0), (1, -1.0), (2, filled + 1.0), (2, 0.5), (2, np.nan), (N, filled - 1.0), (base, D),
                      (base + filled - 1, 2 ** 32 - 1)):
        assert told(packed=changed(at, value)) == -5, (at, value)
    assert told(packed=packed[:-1].copy()) == told(BURST=1) == told(WEIGH=2) == told(GRAM=1) == -5


def test_every_run_looks_at_the_rows_and_a_chunk_of_it_need_not(monkeypatch):
    monkeypatch.setattr(driver, "CHUNK", 1e-9)
    plan = fb.Plan(sp.csr_matrix(X), Y, loss="logistic", method=m.gradient_descent(0.1))
    seen, real = [], driver.by_team
    monkeypatch.setattr(driver, "by_team", lambda *call, known: (seen.append(known), real(*call, known=known))[1])
    for _ in range(2):
        plan.run(3)
    assert seen == [False, True, True, False, True, True]
    plan.run(2, callback=lambda trace: None)                      # which might write there
    assert seen[6:] == [False, False]
    plan.buffers.packed[N] += 1.0
    with pytest.raises(ValueError, match="argument 5"):
        plan.run(3)


@pytest.mark.parametrize("loss", ["exponential", "squared"])
def test_small_sparse_data_are_dense_for_theory(loss):
    rows = np.delete(X[:12], 3, axis=0)                           # (a row of zeros has no margin)
    A, y = sp.csr_matrix(rows), np.delete(Y[:12], 3) if loss == "exponential" else rows @ np.ones(D)
    one, two = (fb.Plan(data, y, loss=loss, method=m.gradient_descent(0.01), gram=False) for data in (A, rows))
    for plan in (one, two):
        plan.run(50)
    found, wanted = one.limit(), two.limit()
    assert found.certified == wanted.certified
    assert found.theorem == wanted.theorem
    assert [(row.statement, row.holds) for row in found.hypotheses] == [(row.statement, row.holds) for row in wanted.hypotheses]
    assert found.w == pytest.approx(wanted.w, abs=1e-12)
    assert one.trace.gap(found) == pytest.approx(two.trace.gap(wanted), abs=1e-10, nan_ok=True)
    assert one.max_step().step_size == pytest.approx(two.max_step().step_size, rel=1e-12)
    if loss == "squared":
        assert one.flow(3.0).w[-1] == pytest.approx(two.flow(3.0).w[-1], abs=1e-12)
        assert one.fast_forward(20.0).w[-1] == pytest.approx(two.fast_forward(20.0).w[-1], abs=1e-9)


@pytest.mark.long
def test_a_maximum_margin_of_rows_too_large_to_be_dense():
    """Two blocks of features, in each as few samples as features: the l2 maximum margin by hand."""
    d, count = 200_000, 100
    rng = np.random.default_rng(6)
    size = rng.uniform(1, 2, count)
    A = sp.csr_matrix((size, (np.arange(count), np.sort(rng.choice(d, count, replace=False)))), shape=(count, d))
    plan = fb.Plan(A, np.ones(count), loss="exponential", method=m.gradient_descent(0.05))
    plan.run(30)
    limit = plan.limit()
    assert limit.certified
    assert limit.margin == pytest.approx(1 / np.sqrt((1 / size ** 2).sum()), rel=1e-9)
    assert limit.w[A.indices] == pytest.approx(limit.margin / size, rel=1e-7)
    assert plan.trace.gap(limit)[-1] < plan.trace.gap(limit)[1]
    assert 0 < plan.max_step().step_size < 2 / 4.0 * np.exp(-plan.trace.log_loss[-1])


def test_what_sparse_data_cannot_do_says_so():
    A, gd = sp.csr_matrix(X), m.gradient_descent(0.1)
    with pytest.raises(ValueError, match="gram must be None or False for sparse data"):
        fb.Plan(A, Y, loss="logistic", method=gd, gram=True)
    large = sp.csr_matrix((np.ones(3), ([0, 1, 2], [5, 70, 90_000])), shape=(200, 100_000))
    y = np.where(np.arange(200) < 2, 1, -1)
    plan = fb.Plan(large, y, loss="squared", method=gd)
    for call in (plan.flow, lambda: plan.fast_forward(10.0)):
        with pytest.raises(ValueError, match="X must be dense, or sparse with N d <= 16777216, where a"):
            call()
    for call in (plan.limit, fb.Plan(large, y, loss="logistic", method=m.mirror_descent("entropy", 0.1)).max_step):
        with pytest.raises(fb.NoTheorem):
            call()
    for bad, told in ((A.astype(complex), "real numbers"), (A * np.nan, "finite"), (sp.csr_matrix((0, 3)), "shape")):
        with pytest.raises((TypeError, ValueError), match=told):
            fb.Plan(bad, Y, loss="logistic", method=gd)
    with pytest.raises(ValueError, match="under 2\\^31 columns"):
        fb.Plan(sp.csr_matrix(([1.0], ([0], [2 ** 31 + 5])), shape=(1, 2 ** 31 + 6)), [1], loss="logistic", method=gd)


LARGE = """
import resource, sys, tempfile
import numpy as np, scipy.sparse as sp
import fastbias as fb
rng = np.random.default_rng(0)
N, d, k = 20_000, 50_000, 20
X = sp.csr_matrix((rng.normal(size=N * k), rng.integers(0, d, N * k), np.arange(0, N * k + 1, k)), shape=(N, d))
y = np.where(np.asarray(X[:, :1000].sum(axis=1)).ravel() >= 0, 1, -1)
warm = fb.run(X[:9], [1, -1, 1, 1, 1, 1, 1, 1, 1], loss="logistic", method=fb.methods.gradient_descent(0.1), steps=2)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 600_000_000,) * 2)
try:
    X.toarray()
except MemoryError:
    print("too large")
plan = fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1))
trace = plan.run(6, record=4)
w = np.zeros(d)
for _ in range(6):
    w += 0.1 * (X.T @ (y / (1 + np.exp(y * (X @ w)))))
print(abs(trace.w[-1] - w).max() < 1e-12, abs(trace.log_loss[-1] - np.log(np.logaddexp(0, -y * (X @ w)).sum())) < 1e-12)
print(trace.margin().shape, trace.gap(w)[-1] < 1e-10, trace.evaluate(X[:5000], y[:5000]).error.shape)
with tempfile.TemporaryDirectory() as folder:
    plan.save(folder + "/p.npz")
    print(fb.Plan.load(folder + "/p.npz").run(1).w[-1].tobytes() == plan.run(1).w[-1].tobytes())
"""


@pytest.mark.skipif(not JIT or not sys.platform.startswith("linux"), reason="a limit on memory, as Linux has it")
def test_nothing_is_made_dense():
    """8 GB dense, in 600 MB."""
    found = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True)
    assert found.stdout.split("\n")[:4] == ["too large", "True True", "(4,) True (4,)", "True"], found.stderr


@pytest.mark.parametrize("method", ["gradient", "adam", "decay"])
def test_theory_off_separable_data_says_the_same_of_sparse_data(method):
    """Points and refusals, with what an intercept would change, of rows that a column of ones makes separable, or nothing does."""
    how = {"gradient": m.gradient_descent(0.01), "adam": m.adam(0.01), "decay": m.gradient_descent(0.01, weight_decay=0.1)}[method]
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(60, 4)) * (rng.random((60, 4)) < 0.6)
    shifted = np.column_stack([1.0 + rng.random(60), np.zeros((60, 2)), np.zeros(60)])     # one side of 0 and the next
    for A, y in ((rows, rng.choice([-1.0, 1.0], 60)), (shifted, np.where(shifted[:, 0] > 1.5, 1.0, -1.0)),
                 (np.column_stack([rows[:, :3], np.full(60, 2.0)]), rng.choice([-1.0, 1.0], 60))):
        told = []
        for B in (A, sp.csr_matrix(A)):
            plan = fb.Plan(B, y, loss="logistic", method=how)
            try:
                found = plan.limit()
                told.append([found.kind, found.theorem, [h.holds for h in found.hypotheses], found.w.round(9).tolist()])
            except fb.NoTheorem as error:
                told.append(str(error))
        assert told[0] == told[1]


def test_large_sparse_data_that_overlap_are_refused_in_a_sentence(monkeypatch):
    from fastbias import problem
    monkeypatch.setattr(problem, "DENSE", 100)
    labels = np.where(np.arange(N) % 2 == 0, 1.0, -1.0)
    A = np.vstack([X, X])
    for how in (m.gradient_descent(0.01), m.adam(0.01)):
        plan = fb.Plan(sp.csr_matrix(A), np.append(labels, -labels), loss="logistic", method=how)
        with pytest.raises(fb.NoTheorem, match="X must be dense, or sparse with|the data are not separable"):
            plan.limit()
