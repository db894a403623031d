"""The C face: a small C program, compiled here, drives a run through the exported address; no Python in between."""
import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from scipy import LowLevelCallable

import fastbias as fb
from tests.helpers import JIT

m = fb.methods
X, y = fb.data.random_regression(4, 6, rng=0, positive=True)
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None or not JIT, reason="no C compiler, or Numba's is off")

DRIVER = fb.capi.PROTOTYPE + r"""
/* Run to the end in pieces of `chunk` updates, as a host program would between other work. */
int64_t drive(fastbias_descend descend, int64_t chunk, int64_t *pieces, double *params, int64_t *sizes, double *X, int64_t N,
              int64_t d, double *y, double *u, int64_t n, double *state, int64_t rows, double *mark, int64_t *control,
              int64_t *order, double *work, int64_t room, double *packed, double *kept, int64_t *steps, double *rows_u,
              double *rows_log_loss, int64_t K, int64_t stop_at, double until)
{
    int64_t status = 0, next = control[0];
    while (status == 0 && control[0] < stop_at) {
        next = next + chunk < stop_at ? next + chunk : stop_at;
        status = descend(pieces, params, sizes, X, N, d, y, u, n, state, rows, mark, control, order, work, room, packed,
                         kept, steps, rows_u, rows_log_loss, K, next, until);
    }
    return status;
}
"""


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    (folder / "driver.c").write_text(DRIVER)
    subprocess.run([COMPILER, "-std=c99", "-Wall", "-Werror", "-shared", "-fPIC", "-o", folder / "driver.so",
                    folder / "driver.c"], check=True)
    function = ctypes.CDLL(str(folder / "driver.so")).drive
    function.restype = ctypes.c_int64
    return function


METHODS = [m.gradient_descent(0.01, 0.5), m.mirror_descent("entropy", 0.01, dual_momentum=0.2),
           m.mirror_descent("entropy", 0.01, constraint=([[1] * 6], [1])), m.gradient_descent(0.005, batch=2, rng=1),
           m.steepest_descent(fb.norms.lp(1.5), [0.01, 0.005]), m.projected(m.gradient_descent(0.01, 0.5), "simplex", 0.5),
           m.projected(m.adam(0.01), (-0.01, 0.02))]


@needs_compiler
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_c_program_drives_a_run(drive, method):
    steps = np.array([0, 5, 100])
    plan, whole = (fb.Plan(X, y, loss="squared", method=method) for _ in range(2))
    arguments, kept = fb.capi.arguments(plan, steps)
    status = drive(ctypes.c_void_p(fb.capi.address()), ctypes.c_int64(7), *arguments, ctypes.c_int64(100),
                   ctypes.c_double(-np.inf))
    trace = whole.run(100, record=steps)
    assert status == 0
    assert plan.t == 100
    assert plan.u.tobytes() == whole.u.tobytes()
    assert kept["u"].tobytes() == trace.u.tobytes()
    assert kept["log_loss"].tobytes() == trace.log_loss.tobytes()
    assert plan.run(10).u.tobytes() == whole.run(10).u.tobytes()      # and Python goes on from there
    arguments, kept = fb.capi.arguments(plan, [115, 120])
    drive(ctypes.c_void_p(fb.capi.address()), ctypes.c_int64(7), *arguments, ctypes.c_int64(120), ctypes.c_double(-np.inf))
    assert kept["u"].tobytes() == whole.run(10, record=[115, 120]).u[1:].tobytes()


@needs_compiler
@pytest.mark.parametrize("method", [m.gradient_descent(0.01, 0.5), m.coordinate_descent(0.01), m.gradient_descent(0.01, batch=2, rng=1)],
                         ids=repr)
@pytest.mark.parametrize("loss", ["squared", "logistic", "probit"])
def test_a_c_program_drives_weighted_runs(drive, method, loss):
    c, labels = np.array([1.0, 0.5, 3.0, 1e-3]), np.array([1.0, -1, 1, 1])
    plan, whole = (fb.Plan(X, labels, loss=loss, method=method, weights=c) for _ in range(2))
    arguments, kept = fb.capi.arguments(plan, [0, 50])
    status = drive(ctypes.c_void_p(fb.capi.address()), ctypes.c_int64(7), *arguments, ctypes.c_int64(50), ctypes.c_double(-np.inf))
    trace = whole.run(50, record=[0, 50])
    assert status == 0
    assert kept["u"].tobytes() == trace.u.tobytes()
    assert kept["log_loss"].tobytes() == trace.log_loss.tobytes()
    kept["params"][-1] = -1.0                                          # weights are looked at
    plan.buffers.control[fb.abi.ROW] = 2
    assert drive(ctypes.c_void_p(fb.capi.address()), ctypes.c_int64(7), *arguments, ctypes.c_int64(60),
                 ctypes.c_double(-np.inf)) == -2


def completion(model, N=9):
    """The first entries of a matrix, seen: rows that are mostly zeros; and the same data turned, which are not."""
    d = int(np.prod(model.shape or (20,)))
    sparse, rng = np.eye(N, d), np.random.default_rng(0)
    for X in (sparse, sparse @ np.linalg.qr(rng.normal(size=(d, d)))[0]):
        yield X.reshape(N, *(model.shape or (d,))), np.sign(rng.normal(size=N)), 0.5 * rng.normal(size=model.parameters(d))


MODELS = [(fb.models.factorised(4, 5, 2), "squared", m.gradient_descent(0.02, 0.5)),
          (fb.models.factorised(4, 5, 2), "squared", m.gradient_descent(fb.steps.line_search())),
          (fb.models.convolutional(3), "logistic", m.gradient_descent(0.02, weight_decay=0.1)),
          (fb.models.diagonal(2, signed=True), "exponential", m.gradient_descent(0.01, batch=2, rng=1)),
          (fb.models.symmetric(5), "squared", m.adagrad(0.05)), (fb.models.deep_linear(3, 2), "huber", m.adam(0.01)),
          (fb.models.relu(np.linspace(-1, 1, 20), 4), "logistic", m.gradient_descent(0.01))]


@needs_compiler
@pytest.mark.parametrize(("model", "loss", "method"), MODELS, ids=repr)
def test_a_c_program_drives_models_on_sparse_and_on_dense_data(drive, model, loss, method):
    loss = fb.losses.huber(1) if loss == "huber" else loss
    for dense, (A, b, start) in enumerate(completion(model)):
        plan, whole = (fb.Plan(A, b, loss=loss, method=method, model=model, start=start) for _ in range(2))
        assert (plan.buffers.control[fb.abi.FILLED] > 0) == (not dense)
        steps = np.array([0, 5, 60])
        arguments, kept = fb.capi.arguments(plan, steps)
        status = drive(ctypes.c_void_p(fb.capi.address()), ctypes.c_int64(7), *arguments, ctypes.c_int64(60),
                       ctypes.c_double(-np.inf))
        trace = whole.run(60, record=steps)
        assert (status, plan.t) == (0, 60)
        assert plan.u.tobytes() == whole.u.tobytes()
        assert kept["u"].tobytes() == trace.u.tobytes()
        assert kept["log_loss"].tobytes() == trace.log_loss.tobytes()
        assert abs(plan.u - start).max() > 1e-3
        assert plan.run(10).u.tobytes() == whole.run(10).u.tobytes()


def test_descend_runs_a_model_on_sparse_data_with_buffers_of_the_callers_own():
    """FILLED says how many entries of X are not 0, and with it how little memory ``packed`` needs: 4 ends, 3 entries, 3 places."""
    model, (N, d, n) = fb.models.diagonal(2), (3, 50, 100)
    X, y, start = np.eye(3, 50), np.array([1.0, 2, 3]), np.full(n, 0.5)
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.05), model=model, start=start)
    control = np.zeros(fb.abi.CONTROL, np.int64)
    control[fb.abi.FILLED] = 3
    buffers = fb.abi.Buffers(start.copy(), np.zeros((1, n)), np.zeros((2, n)), control, np.empty(0, np.int64),
                             np.full(fb.abi.room(N, d, n, control), np.nan),
                             np.full(fb.abi.packed_room(N, d, False, 3), np.nan), np.empty(0))
    assert buffers.packed.size == 9
    records = fb.abi.Records(np.array([10]), np.zeros((1, n)), np.zeros(1))
    assert fb.descend(plan.pieces, plan.params, X, y, buffers, records, 10, -np.inf) == 0
    u = v = np.full(3, 0.5)
    for _ in range(10):
        r = 2 * (u * v - y)
        u, v = u - 0.05 * r * v, v - 0.05 * r * u
    assert records.u[0] == pytest.approx(np.concatenate([u, np.full(47, 0.5), v, np.full(47, 0.5)]), rel=1e-12)
    assert records.log_loss[0] == pytest.approx(np.log(((u * v - y) ** 2).sum()), abs=1e-12)


def test_the_slots_of_control_are_frozen():
    """C programs and checkpoints know them by number; compiled code by the plain numbers of the same name."""
    names = ("DONE", "ROW", "HURRY", "WATCH", "UNSCALED", "LINEAR", "BATCH", "LOSS", "ROWS", "SCRATCH", "SEARCH", "OUTPUTS",
             "PACKED", "SHIFT", "WEIGH", "BURST", "GRAM", "FILLED", "LABELLED", "CHANGED", "AGAIN", "EACH", "BITS", "AVERAGE")
    assert [(slot.name, int(slot)) for slot in fb.abi.Slot] == [(name, i) for i, name in enumerate(names)]
    assert [getattr(fb.abi, name) for name in names] == list(range(fb.abi.CONTROL))
    control = np.arange(fb.abi.CONTROL)
    assert control[fb.abi.Slot.BURST] == control[fb.abi.BURST] == 15


@needs_compiler
def test_c_gets_the_status(drive):
    plan = fb.Plan([[1, 2]], [1], loss="squared", method=m.natural_gradient("entropy", 0.125))
    arguments, _ = fb.capi.arguments(plan)
    end = ctypes.c_int64(9), ctypes.c_double(-np.inf)
    assert drive(ctypes.c_void_p(fb.capi.address()), ctypes.c_int64(1), *arguments, *end) == fb.Status.OUT_OF_DOMAIN
    arguments[15] = ctypes.c_int64(3)                                   # too little scratch
    assert drive(ctypes.c_void_p(fb.capi.address()), ctypes.c_int64(1), *arguments, *end) == -5


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_capsule_and_low_level_callable():
    capsule = fb.capi.capsule()
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    assert get(capsule, fb.capi.SIGNATURE.encode()) == fb.capi.address()
    callable_ = fb.capi.low_level_callable()
    assert isinstance(callable_, LowLevelCallable)
    assert callable_.signature == fb.capi.SIGNATURE


def test_descend_runs_with_buffers_of_the_callers_own():
    """The call as its docstring describes it, with every array allocated here."""
    plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.01))
    n, N, d = 6, 4, 6
    control = np.zeros(fb.abi.CONTROL, np.int64)
    control[fb.abi.LINEAR] = 1
    buffers = fb.abi.Buffers(u=np.zeros(n), state=np.zeros((1, n)), mark=np.zeros((2, n)), control=control,
                             order=np.empty(0, np.int64), work=np.full(fb.abi.room(N, d, n, control), np.nan),
                             packed=np.full(fb.abi.packed_room(N, d, False), np.nan), kept=np.empty(0))
    records = fb.abi.Records(np.array([0, 10]), np.zeros((2, n)), np.zeros(2))
    assert fb.descend(plan.pieces, plan.params, X, y, buffers, records, 10, -np.inf) == 0
    w = np.zeros(n)
    for _ in range(10):
        w = w - 0.01 * 2 * X.T @ (X @ w - y)
    assert buffers.u == pytest.approx(w, rel=1e-12)
    assert records.u[1] == pytest.approx(w, rel=1e-12)
    assert records.log_loss[1] == pytest.approx(2 * np.log(np.linalg.norm(X @ w - y)), abs=1e-12)
