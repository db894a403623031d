"""Targets of several outputs, y (N, K) and w (K, d): against the same problem written out as one of K N samples of K d
features, and as K problems of one output.
"""
import ctypes
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from tests.helpers import JIT

m, n, p = fb.methods, fb.norms, fb.potentials
RNG = np.random.default_rng(0)
N, K, D = 5, 3, 4
X, Y = RNG.normal(size=(N, D)), RNG.normal(size=(N, K))
WHOLE, FLAT = np.kron(np.eye(K), X), Y.T.ravel()
METRIC = np.diag(RNG.uniform(0.5, 2, K * D))
METRIC[0, 7] = METRIC[7, 0] = 0.2
GD = m.gradient_descent(0.01)
HUBER, CUT = fb.losses.huber(0.7), fb.losses.truncated_squared(2.0)

METHODS = [
    GD, m.gradient_descent(0.01, momentum=0.5, nesterov=0.3), m.gradient_descent([0.02, 0.01], weight_decay=0.1),
    m.gradient_descent(fb.steps.line_search()), m.gradient_descent(fb.steps.power(0.02, 0.5)),
    m.mirror_descent("entropy", 0.01), m.mirror_descent("cosh", 0.01, primal_momentum=0.2),
    m.mirror_descent(p.hypentropy(0.3), 0.01, nesterov=0.2), m.mirror_descent(p.squared_lp(1.5), 0.01),
    m.mirror_descent(p.power(3), 0.01), m.mirror_descent(p.quadratic(METRIC), 0.01, dual_momentum=0.3),
    m.mirror_descent("entropy", 0.01, constraint=(np.ones((1, K * D)), [2.0])),
    m.natural_gradient(p.hypentropy(0.5), 0.01), m.natural_gradient(p.quadratic(METRIC), 0.01),
    m.steepest_descent(n.l1, 0.01), m.steepest_descent(n.l2, 0.01), m.steepest_descent(n.linf, 0.002),
    m.steepest_descent(n.lp(1.5), 0.01), m.steepest_descent(n.quadratic(METRIC), 0.01, normalised=True),
    m.steepest_descent(n.spectral(K, D), 0.002), m.steepest_descent(n.nuclear(K, D), 0.01),
    m.steepest_descent(n.group([range(4), range(4, 8), range(8, 12)]), 0.01),
    m.coordinate_descent(0.01), m.coordinate_descent(0.01, ties="average"), m.stagewise(1e-3),
    m.adagrad(0.01, G0=0.1), m.adam(0.01), m.rmsprop(0.01), m.sign_descent(1e-3),
]


def outputs(y, **options):
    """The runs of each output alone, side by side: predictors, and log L of all."""
    traces = [fb.run(X, own, **options) for own in y.T]
    return (np.stack([t.w for t in traces], axis=1),
            np.logaddexp.reduce([t.log_loss for t in traces], axis=0))


@pytest.mark.parametrize("method", METHODS, ids=lambda x: repr(x)[:60])
@pytest.mark.parametrize("loss", ["squared", HUBER, CUT], ids=repr)
def test_every_method_goes_as_on_the_problem_written_out(method, loss):
    if method.rule.search and loss is CUT:
        return
    one, other = (fb.run(*data, loss=loss, method=method, steps=20, record=[0, 1, 7, 20], gram=False)
                  for data in ((X, Y), (WHOLE, FLAT)))
    assert one.w.shape == (4, K, D)
    np.testing.assert_allclose(one.w.reshape(4, -1), other.w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(one.log_loss, other.log_loss, rtol=1e-12, atol=1e-12)


def test_gradient_descent_is_the_matrix_recursion():
    """W ← W + βΔW − 2η (WXᵀ − Yᵀ) X, written down here."""
    trace = fb.run(X, Y, loss="squared", method=m.gradient_descent(0.02, momentum=0.4), steps=50, record=range(51))
    W = before = np.zeros((K, D))
    for row, log_loss in zip(trace.w, trace.log_loss, strict=True):
        np.testing.assert_allclose(row, W, rtol=0, atol=1e-13)
        assert log_loss == pytest.approx(np.log(((W @ X.T - Y.T) ** 2).sum()), abs=1e-13)
        W, before = W + 0.4 * (W - before) - 0.04 * (W @ X.T - Y.T) @ X, W


@pytest.mark.parametrize("method", [lambda: m.muon(0.01, 0.9), lambda: m.steepest_descent(n.spectral(K, D), 0.01, normalised=True)])
def test_matrix_methods_see_the_matrix(method):
    """A first step of length η along UVᵀ of the gradient (K, d)."""
    trace = fb.run(X, Y, loss="squared", method=method(), steps=1)
    U, _, V = np.linalg.svd(Y.T @ X, full_matrices=False)
    np.testing.assert_allclose(trace.w[-1], 0.01 * U @ V, rtol=0, atol=1e-14)


WEIGHTS = [None, np.array([1.0, 2, 0.5, 3, 1]), np.array([1.0, 0, 0.5, 3, 0]), np.geomspace(1e-50, 1e50, N)]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("sparse", [False, True])
def test_batches_weights_intercepts_and_sparse_rows_go_output_by_output(weights, batch, sparse):
    data = sp.csr_array(np.where(np.abs(X) < 0.5, 0, X)) if sparse else X
    eta = 1e-52 if weights is not None and weights.max() > 10 else 0.01
    for loss in ("squared", HUBER):
        options = {"loss": loss, "method": m.gradient_descent(eta, batch=batch, rng=3), "steps": 15,
                   "record": [0, 3, 15], "weights": weights, "intercept": True}
        one = fb.run(data, Y, **options)
        traces = [fb.run(data, own, **options) for own in Y.T]
        np.testing.assert_allclose(one.w, np.stack([t.w for t in traces], axis=1), rtol=0, atol=1e-12)
        np.testing.assert_allclose(one.log_loss, np.logaddexp.reduce([t.log_loss for t in traces]), atol=1e-12)
        np.testing.assert_array_equal(one.intercept, one.w[..., -1])
        assert one.intercept.shape == (3, K)
        log_loss, error = one.evaluate(data, Y, weights=weights)
        np.testing.assert_allclose(log_loss, one.log_loss, atol=1e-12)
        c = np.ones(N) if weights is None else weights
        W, b, A = one.w[-1, :, :-1], one.intercept[-1], data.toarray() if sparse else data
        assert error[-1] == pytest.approx(np.sqrt(np.average(((A @ W.T + b - Y) ** 2).mean(axis=1), weights=c)))


def test_a_single_column_is_a_vector_in_another_shape():
    for loss in ("squared", HUBER):
        for method in (GD, m.gradient_descent(0.01, batch=2, rng=1), m.coordinate_descent(0.01)):
            column, vector = (fb.Plan(X, y, loss=loss, method=method) for y in (Y[:, :1], Y[:, 0]))
            a, b = column.run(100), vector.run(100)
            assert a.w.shape == (len(a), 1, D)
            np.testing.assert_array_equal(a.w[:, 0], b.w)
            np.testing.assert_array_equal(a.log_loss, b.log_loss)
    limits = [fb.Plan(X[:2], y, loss="squared", method=GD).limit() for y in (Y[:2, :1], Y[:2, 0])]
    assert (limits[0].w.shape, limits[0].dual.shape) == ((1, D), (2, 1))
    np.testing.assert_allclose(limits[0].w[0], limits[1].w, atol=1e-15)


def test_a_loss_of_the_users_own_is_asked_about_all_predictions_at_once():
    @fb.piece(fb.abi.SLOPE, needs=lambda params, p, y, q=None: p == y)
    def slope(params, p, y, q):
        for i in range(p.size):
            q[i] = (y[i] - p[i]) ** 3
        return np.log(4.0)

    @fb.piece(fb.abi.LOG_LOSS, needs=lambda params, p, y: p == y)
    def log_loss(params, p, y):
        total = 0.0
        for i in range(p.size):
            total += (y[i] - p[i]) ** 4
        return np.log(total)
    quartic = fb.losses.Loss("quartic", slope, log_loss, kind="root")
    for method in (m.gradient_descent(0.002), m.gradient_descent(0.002, batch=2, rng=0), m.adam(0.01)):
        one = fb.run(X, Y, loss=quartic, method=method, steps=20)
        w, log_losses = outputs(Y, loss=quartic, method=method, steps=20)
        np.testing.assert_allclose(one.w, w, rtol=0, atol=1e-12)
        np.testing.assert_allclose(one.log_loss, log_losses, atol=1e-12)


@pytest.mark.parametrize("y", [Y, Y[:, :1]])
def test_checkpoints_and_pickles_go_on_as_one_run(y, tmp_path):
    for data in (X, sp.csr_array(X)):
        plan, whole = (fb.Plan(data, y, loss="squared", method=m.gradient_descent(0.01, batch=2, rng=0),
                               weights=np.arange(1.0, 6), intercept=True) for _ in range(2))
        plan.run(30)
        plan.save(tmp_path / "plan.npz")
        read, sent = fb.Plan.load(tmp_path / "plan.npz"), pickle.loads(pickle.dumps(plan))
        wanted = whole.run(60).w[-1]
        for again in (plan, read, sent):
            assert again.trace.w.shape[1:] == (y.shape[1], D + 1)
            np.testing.assert_array_equal(again.run(30).w[-1], wanted)
        trace = plan.trace
        trace.save(tmp_path / "trace.npz")
        np.testing.assert_array_equal(fb.Trace.load(tmp_path / "trace.npz").w, trace.w)
        np.testing.assert_array_equal(trace.to_pandas()["w1"], trace.w[:, 0, 1])


def test_sweeps_take_targets_of_several_outputs():
    template = fb.Plan(X, Y, loss="squared", method=GD)
    sweep = fb.sweep(template, {"step_size": [0.01, 0.02], "y": [Y, 2 * Y, Y[:, 0], Y[:, :2]]}, steps=20)
    for i, (eta, y) in enumerate((eta, y) for eta in (0.01, 0.02) for y in (Y, 2 * Y, None, None)):
        if y is None:
            assert "y must have the columns of the template" in str(sweep.failures[i])
        else:
            wanted = fb.run(X, y, loss="squared", method=m.gradient_descent(eta), steps=20)
            np.testing.assert_array_equal(sweep.traces[i].w, wanted.w)
    thin = template.run(20, record_w=False)
    assert np.isnan(thin.least).all()


def test_c_callers_hand_over_targets_output_after_output():
    plan, whole = (fb.Plan(X, Y, loss="squared", method=GD) for _ in range(2))
    assert plan.buffers.control[fb.abi.Slot.OUTPUTS] == -K
    np.testing.assert_array_equal(plan.problem.y, FLAT)
    if JIT:
        given, held = fb.capi.arguments(plan, [0, 20])
        function = ctypes.CFUNCTYPE(ctypes.c_int64, *[type(a) for a in given], ctypes.c_int64, ctypes.c_double)
        assert function(fb.capi.address())(*given, 20, -np.inf) == 0
        np.testing.assert_array_equal(held["u"].reshape(2, K, D), whole.run(20, record=[0, 20]).w)
    plan = fb.Plan(X, Y, loss="squared", method=GD)
    records = fb.abi.Records(np.array([0]), np.empty((1, K * D)), np.empty(1))
    for y in (FLAT[:-1].copy(), FLAT[:N].copy(), FLAT[:0].copy()):
        assert fb.descend(plan.pieces, plan.params, X, y, plan.buffers, records, 1, -np.inf) == -4
    plan.buffers.control[fb.abi.Slot.OUTPUTS] = K              # then they would be classes
    assert fb.descend(plan.pieces, plan.params, X, FLAT[:N].copy(), plan.buffers, records, 1, -np.inf) == -4


def test_traces_from_anywhere_know_outputs():
    trace = fb.run(X, Y, loss="squared", method=GD, steps=20)
    made = fb.Trace.from_arrays(X, Y, trace.t, trace.w)
    np.testing.assert_allclose(made.log_loss, trace.log_loss, atol=1e-13)
    assert made.direction("l1").shape == trace.w.shape
    for ask in (trace.margin, lambda: trace.least_margin, lambda: made.margin("l1")):
        with pytest.raises(ValueError, match="y must be labels ±1 or classes to have margins"):
            ask()
    ones = fb.run(X, np.ones((N, K)), loss="squared", method=GD, steps=2)
    with pytest.raises(ValueError, match="y must be labels"):
        ones.margin()
    for y in (Y[:, 0], Y[:, :2]):
        with pytest.raises(ValueError, match=r"X and y must have predictors of shape \(3, 4\), got"):
            trace.evaluate(X, y)


BAD = [
    (lambda: fb.Plan(X, np.zeros((N, 0)), loss="squared", method=GD), r"y must be .* not empty, got shape \(5, 0\)"),
    (lambda: fb.Plan(X, Y[..., None], loss="squared", method=GD), r"y must be .* got shape \(5, 3, 1\)"),
    (lambda: fb.Plan(X, Y[:4], loss="squared", method=GD), "y must have one row for each row of X, got 4 rows for 5"),
    (lambda: fb.Plan(X, np.where(Y > 1, np.nan, Y), loss="squared", method=GD), "y must be finite, got nan"),
    (lambda: fb.Plan(X, np.where(Y > 1, np.inf, Y), loss=HUBER, method=GD), "y must be finite, got inf"),
    (lambda: fb.Plan(X, [[1, 2], [3]] * 2 + [[1]], loss="squared", method=GD), "rows of different lengths"),
    (lambda: fb.Plan(X, np.sign(Y), loss="logistic", method=GD), r"y must be an \(N,\) array"),
    (lambda: fb.Plan(X, (Y > 0) * 1, loss="cross_entropy", method=GD), r"y must be an \(N,\) array"),
    (lambda: fb.Plan(X.reshape(N, 2, 2), Y, loss="squared", method=GD), "samples that are matrices"),
    (lambda: fb.Plan(X, Y, loss="squared", method=GD, model=fb.models.diagonal(2), start=np.ones(24)),
     "model must be linear for y of 3 columns"),
    (lambda: fb.Plan(X, Y, loss="squared", method=GD, start=np.ones((D, K))), r"start must have .* shape \(3, 4\)"),
    (lambda: fb.Plan(X, Y, loss="squared", method=GD, gram=True), "gram must be None or False for y of 3 columns"),
    (lambda: fb.Plan(X, Y, loss="squared", method=GD, weights=np.ones((N, K))), "weights must be"),
    (lambda: fb.Plan(X, Y, loss="squared", method=m.steepest_descent(n.spectral(D, K), 0.1)),
     r"shape \(4, 3\) of the spectral norm, got \(3, 4\)"),
    (lambda: fb.Plan(X, Y, loss="squared", method=m.steepest_descent(n.nuclear(3, 3), 0.1)), "9 columns"),
    (lambda: fb.Plan(X[:, :1], Y[:, :1].repeat(4, 1), loss="squared",
                     method=m.mirror_descent(p.spectral_entropy(2), 0.1)), "y must have as many columns as X has, 2"),
]


@pytest.mark.parametrize(("make", "told"), BAD)
def test_bad_targets_are_told_of_in_a_sentence(make, told):
    with pytest.raises(ValueError, match=told):
        make()
