"""Weights: whole ones are rows that stand several times, a zero is a row that is not there, and any
size of them is right in the log domain.
"""
import mpmath
import numpy as np
import pytest

import fastbias as fb
from fastbias import methods
from fastbias.engine.abi import BURST, FILLED, WEIGH
from fastbias.problem import gather
from fastbias.running import checkpoint, cli
from tests.helpers import JIT

RNG = np.random.default_rng(7)
N, D = 9, 4
X = RNG.normal(size=(N, D)) / 2
LABELS, TARGETS, CLASSES = RNG.choice([-1.0, 1.0], N), RNG.normal(size=N), np.arange(N) % 3.0
COUNTS = np.array([3.0, 1, 2, 0, 4, 1, 0, 2, 1])
ROWS = np.repeat(np.arange(N), COUNTS.astype(int))
LOSSES = {loss.name: loss for loss in fb.losses.EXAMPLES}
STEEP = methods.steepest_descent

METHODS = {
    "gradient": methods.gradient_descent(0.02),
    "momentum": methods.gradient_descent(0.01, momentum=0.8, nesterov=0.5),
    "decay": methods.gradient_descent(0.02, weight_decay=0.1),
    "falling": methods.gradient_descent(fb.steps.power(0.05, 0.5)),
    "l4/3": STEEP(fb.norms.lp(4 / 3), 0.01),
    "linf": STEEP("linf", 0.002),
    "normalised": STEEP("l2", fb.steps.power(0.1, 0.5), normalised=True),
    "quadratic": STEEP(fb.norms.quadratic(np.arange(1.0, D + 1)), 0.02),
    "coordinate": methods.coordinate_descent(0.02),
    "tied": methods.coordinate_descent(0.02, ties="average"),
    "entropy": methods.mirror_descent("entropy", 0.02),
    "cosh": methods.mirror_descent("cosh", 0.02, primal_momentum=0.3),
    "natural": methods.natural_gradient("cosh", 0.02),
    "adagrad": methods.adagrad(0.05),
    "adam": methods.adam(0.01),
    "sign": methods.sign_descent(fb.steps.power(0.05, 0.5)),
    "average": methods.dual_acceleration(),
}


def targets(loss):
    return CLASSES if loss.classes else TARGETS if loss.kind == "root" else LABELS


def pair(loss, method, **options):
    """A plan with whole weights, and one with repeated rows."""
    y, options = targets(loss), {"loss": loss, "method": method, "gram": False} | options
    return fb.Plan(X, y, weights=COUNTS, **options), fb.Plan(X[ROWS], y[ROWS], **options)


def agree(a, b, atol=1e-12):
    np.testing.assert_array_equal(a.t, b.t)
    np.testing.assert_allclose(a.w, b.w, rtol=0, atol=atol * max(1.0, np.abs(b.w).max()))
    np.testing.assert_allclose(a.log_loss, b.log_loss, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_whole_weights_are_repeated_rows(loss, method):
    if loss.classes and method is METHODS["quadratic"]:
        method = STEEP(fb.norms.quadratic(np.arange(1.0, 3 * D + 1)), 0.02)
    if method is METHODS["average"] and loss.kind == "root":
        pytest.skip("its steps are divided by the loss, which is for labels")
    # moves that do not shrink hover around a root, and signs turn, where rounding decides
    steps = 60 if method in map(METHODS.get, ("linf", "sign", "tied", "normalised")) else 1000 if JIT else 100
    a, b = pair(loss, method)
    agree(a.run(steps, record=20), b.run(steps, record=20))


@pytest.mark.parametrize("rule", [fb.steps.bounded(0.05), fb.steps.loss_scaled(0.05)])
@pytest.mark.parametrize("loss", ["exponential", "logistic", "sigmoid"])
def test_step_rules_see_the_weighted_loss(rule, loss):
    if loss == "sigmoid" and rule.radius:
        rule = fb.steps.loss_scaled(0.02)
    a, b = pair(LOSSES[loss], methods.gradient_descent(rule))
    agree(a.run(500), b.run(500))
    np.testing.assert_array_equal(a.problem.rule.params, b.problem.rule.params)


def test_searches_minimise_the_weighted_loss():
    for loss in ("squared", "logistic", "huber"):
        a, b = pair(LOSSES[loss], methods.gradient_descent(fb.steps.line_search()))
        agree(a.run(50), b.run(50), 1e-10)
    model = fb.models.diagonal(2)
    a, b = pair(LOSSES["squared"], methods.gradient_descent(fb.steps.line_search()), model=model,
                start=np.full(2 * D, 0.3))
    agree(a.run(30), b.run(30), 1e-9)


def test_models_and_sparse_rows():
    model, start = fb.models.diagonal(2, signed=True), np.full(2 * D, 0.5)
    for loss in ("squared", "exponential", "probit"):
        a, b = pair(LOSSES[loss], methods.gradient_descent(0.005), model=model, start=start)
        agree(a.run(300), b.run(300))
    seen = np.zeros((6, 5, 5))
    seen[np.arange(6), [0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 0]] = 1.0
    c, y, model = np.array([1.0, 2, 1, 3, 1, 2]), np.arange(6.0) / 3, fb.models.factorised(5, 5)
    rows = np.repeat(np.arange(6), c.astype(int))
    options = {"method": methods.gradient_descent(0.01), "model": model,
               "start": model.start(0.3, rng=1)}
    for loss in ("squared", LOSSES["huber"]):
        a = fb.Plan(seen, y, loss=loss, weights=c, **options)
        b = fb.Plan(seen[rows], y[rows], loss=loss, **options)
        assert a.buffers.control[FILLED] == 6
        agree(a.run(300), b.run(300))


def test_gram_space_sees_weights():
    wide = RNG.normal(size=(6, 40)) / 6
    y, c = LABELS[:6], np.array([1.0, 2.5, 0.5, 1, 3, 1e-3])
    for loss in ("exponential", "logistic", "squared", "probit"):
        options = {"loss": loss, "method": methods.gradient_descent(0.05, momentum=0.5),
                   "weights": c}
        a, b = (fb.run(wide, y, steps=400, gram=gram, **options) for gram in (True, False))
        agree(a, b, 1e-11)


def test_batches_draw_rows_uniformly_and_weigh_them():
    c = RNG.uniform(0.5, 3.0, N)
    for loss in ("logistic", "cross_entropy", "squared"):
        loss, y = LOSSES[loss], targets(LOSSES[loss])
        method = methods.gradient_descent(0.05, batch=3, rng=5)
        plan = fb.Plan(X, y, loss=loss, method=method, weights=c)
        order, w = np.full(2 * N + 1, -1), np.zeros(plan.u.size)
        for k in range(40):
            count = fb.engine.call.call(method.sampling.piece, plan.params.sample, k, order)
            drawn = order[:count]
            data = gather(X, y, loss)
            q = loss.push(data.predictions(w), data.y).reshape(data.outputs, -1)
            w = w + 0.05 * (q[:, drawn] * c[drawn] @ X[drawn]).ravel()
        np.testing.assert_allclose(plan.run(40).w[-1].ravel(), w, rtol=1e-12, atol=1e-13)


def naive(loss, c, w, beta=0.0):
    """The slope of weighed samples by NumPy."""
    m = LABELS * (X @ w)
    own = {"exponential": np.exp(-m), "logistic": 1 / (1 + np.exp(m)),
           "squared": 2 * LABELS * (LABELS - X @ w)}[loss]
    return (c * own * LABELS) @ X


@pytest.mark.parametrize("loss", ["exponential", "logistic", "squared"])
def test_against_numpy(loss):
    c, w, move = RNG.uniform(0.0, 5.0, N), np.zeros(D), np.zeros(D)
    for _ in range(200):
        move = 0.5 * move + 0.01 * naive(loss, c, w)
        w = w + move
    trace = fb.run(X, LABELS, loss=loss, method=methods.gradient_descent(0.01, momentum=0.5),
                   steps=200, weights=c)
    np.testing.assert_allclose(trace.w[-1], w, rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_zeros_drop_rows(loss):
    c = RNG.uniform(0.5, 2.0, N)
    c[[2, 5]] = 0.0
    seen, y = c > 0, targets(loss)
    method = methods.gradient_descent(0.02, batch=2, rng=3)
    for m in (method, methods.adagrad(0.1)):
        a = fb.run(X, y, loss=loss, method=m, steps=200, weights=c)
        b = fb.run(X[seen], y[seen], loss=loss, method=m, steps=200, weights=c[seen])
        np.testing.assert_array_equal(a.w, b.w)
        np.testing.assert_array_equal(a.log_loss, b.log_loss)


# --- any size -------------------------------------------------------------------------------------

MP = mpmath.mp.clone()
MP.dps = 60

# ℓ and −∂ℓ/∂p of a prediction p and a target y
IN_DIGITS = {
    "exponential": (lambda p, y: MP.exp(-y * p), lambda p, y: y * MP.exp(-y * p)),
    "logistic": (lambda p, y: MP.log1p(MP.exp(-y * p)), lambda p, y: y / (1 + MP.exp(y * p))),
    "sigmoid": (lambda p, y: 1 / (1 + MP.exp(y * p)),
                lambda p, y: y * MP.exp(y * p) / (1 + MP.exp(y * p)) ** 2),
    "probit": (lambda p, y: -MP.log(MP.ncdf(y * p)),
               lambda p, y: y * MP.npdf(y * p) / MP.ncdf(y * p)),
    "squared": (lambda p, y: (y - p) ** 2, lambda p, y: 2 * (y - p)),
}


def exact(loss, c, p, y):
    """Log L, and −∂L/∂p, in 60 digits."""
    value, slope = IN_DIGITS[loss]
    rows = [tuple(MP.mpf(float(x)) for x in row) for row in zip(c, p, y, strict=True)]
    return (MP.log(MP.fsum(w * value(m, t) for w, m, t in rows)),
            [w * slope(m, t) for w, m, t in rows])


SIZES = {"heavy": np.array([1e300, 1.0, 1e-300, 1e250, 1e-5]), "light": np.full(5, 1e-300),
         "apart": np.array([1e-300, 1e300, 1.0, 1e-150, 1e150])}


@pytest.mark.parametrize("c", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("loss", ["exponential", "logistic", "sigmoid", "probit", "squared"])
def test_weights_of_any_size_against_mpmath(loss, c):
    y = np.array([1.0, -1, 1, 1, -1])
    # margins so far apart that without its weight the one that counts would have vanished
    p = y * np.array([-2.0, 30.0, -30.0, 36.0 if loss == "probit" else 900.0, 3.0])
    log_loss, push = exact(loss, c, p, y)
    piece = LOSSES[loss]
    assert piece.log(p, y, c) == pytest.approx(float(log_loss), rel=1e-13)
    s, q = piece.scaled(p, y, c)
    largest = max(abs(x) for x in push)
    wanted = [float(x / largest) for x in push]
    np.testing.assert_allclose(q / np.abs(q).max(), wanted, rtol=2e-12, atol=1e-250)
    assert s + np.log(np.abs(q).max()) == pytest.approx(float(mpmath.log(largest)), rel=1e-13)


@pytest.mark.long
@pytest.mark.parametrize("c", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("loss", ["exponential", "logistic", "squared"])
def test_runs_with_weights_of_any_size(loss, c):
    """Normalised moves have no scale: they are those of 2^−k c, which float64 can count."""
    rows, y = X[:5], LABELS[:5]
    largest = np.exp2(np.floor(np.log2(c.max())))
    method = STEEP("l2", 1e-2, normalised=True)
    a = fb.run(rows, y, loss=loss, method=method, steps=300, weights=c)
    w = np.zeros(D)
    for _ in range(300):
        m = y * (rows @ w)
        q = {"exponential": np.exp(-m), "logistic": 1 / (1 + np.exp(m)), "squared": 2 * (1 - m)}
        g = (c / largest * q[loss] * y) @ rows
        w = w + 1e-2 * g / np.linalg.norm(g)
    # normalised steps hover around a root in the end, where rounding decides
    np.testing.assert_allclose(a.w[-1], w, rtol=0, atol=1e-12 if loss != "squared" else 1e-9)


@pytest.mark.long
def test_a_step_as_small_as_weights_are_large():
    for loss in LOSSES.values():
        y, c = targets(loss), RNG.uniform(1.0, 4.0, N)
        plain = fb.run(X, y, loss=loss, method=methods.gradient_descent(0.02), steps=200, weights=c)
        for k in (-900, 900):
            method = methods.gradient_descent(0.02 * 2.0 ** -k)
            far = fb.run(X, y, loss=loss, method=method, steps=200, weights=c * 2.0 ** k)
            np.testing.assert_allclose(far.w, plain.w, rtol=0, atol=1e-12)
            np.testing.assert_allclose(far.log_loss - k * np.log(2.0), plain.log_loss, rtol=0,
                                       atol=1e-9)


# --- the rest of the package ----------------------------------------------------------------------

def test_a_loss_of_ones_own_is_weighed():
    @fb.piece(fb.abi.SLOPE)
    def slope(params, p, y, q):
        for i in range(p.size):
            q[i] = y[i] - p[i]
        return np.log(2.0)

    @fb.piece(fb.abi.LOG_LOSS)
    def log_loss(params, p, y):
        return np.log(((y - p) ** 2).sum())

    own = fb.losses.Loss("own", slope, log_loss, "root", curvature=2.0)
    c, method = RNG.uniform(0.1, 4.0, N), methods.adagrad(0.1)
    a, b = (fb.run(X, TARGETS, loss=loss, method=method, steps=200, weights=c)
            for loss in (own, "squared"))
    np.testing.assert_allclose(a.w, b.w, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(a.log_loss, b.log_loss, rtol=1e-12)


def test_checkpoints_keep_weights(tmp_path):
    for loss, c in (("logistic", COUNTS), ("squared", COUNTS * 1e200), ("cross_entropy", COUNTS)):
        y, method = targets(LOSSES[loss]), methods.gradient_descent(0.01 / c.max(), batch=None)
        plan = fb.Plan(X, y, loss=loss, method=method, weights=c)
        long = fb.run(X, y, loss=loss, method=method, weights=c, steps=300, record=2)
        plan.run(100)
        plan.save(tmp_path / "plan.npz")
        again = fb.Plan.load(tmp_path / "plan.npz")
        np.testing.assert_array_equal(again.problem.weights, c[c > 0])
        np.testing.assert_array_equal(again.run(200).w[-1], long.w[-1])
        arrays, about = checkpoint.read(tmp_path / "plan.npz")
        forged = arrays | {"weights": -arrays["weights"]}
        checkpoint.write(tmp_path / "forged.npz", forged, about)
        with pytest.raises(ValueError, match="whose content does not"):
            fb.Plan.load(tmp_path / "forged.npz")


def test_checkpoints_without_weights_are_as_they_were(tmp_path):
    plan = fb.Plan(X, LABELS, loss="logistic", method=methods.gradient_descent(0.1))
    plan.save(tmp_path / "plan.npz")
    arrays, about = checkpoint.read(tmp_path / "plan.npz")
    assert "weights" not in arrays
    assert about.pop("intercept") is False
    # as a version that knew neither weights nor intercepts wrote it
    checkpoint.write(tmp_path / "old.npz", arrays, about)
    assert fb.Plan.load(tmp_path / "old.npz").problem.weights is None


def test_sweeps_of_tiny_runs():
    tiny, y, c = X[:3, :2], LABELS[:3], np.array([1.0, 0.25, 4.0])
    methods_ = [methods.gradient_descent(eta) for eta in (0.1, 0.2, 0.3)]
    alone = [fb.run(tiny, y, loss="logistic", method=m, steps=200, weights=c) for m in methods_]
    plans = [fb.Plan(tiny, y, loss="logistic", method=m, weights=c) for m in methods_]
    for a, b in zip(fb.sweep(plans, steps=200), alone, strict=True):
        np.testing.assert_array_equal(a.w, b.w)


def test_loads_as_they_stand():
    """Which way a run goes: inside the pass where that is right, by the pieces elsewhere."""
    for loss, c, kind in (("exponential", 1e300, 1), ("logistic", 1e20, 2), ("logistic", 1e40, 0),
                          ("squared", 1e-300, 0), ("squared", 2.0, 3), ("probit", 2.0, 0)):
        plan = fb.Plan(X, LABELS, loss=loss, method=methods.gradient_descent(0.1),
                       weights=np.full(N, c))
        assert plan.buffers.control[WEIGH] == 4 + kind
        assert plan.buffers.control[BURST] == 1


def test_evaluations_count_as_they_are_told():
    c = COUNTS + 0.5
    for loss in ("logistic", "squared", "cross_entropy"):
        y = targets(LOSSES[loss])
        trace = fb.run(X, y, loss=loss, method=methods.gradient_descent(0.05), steps=50, weights=c)
        whole = trace.evaluate(X, y, weights=COUNTS)
        rows = trace.evaluate(X[ROWS], y[ROWS])
        np.testing.assert_allclose(whole.log_loss, rows.log_loss, rtol=1e-12)
        np.testing.assert_allclose(whole.error, rows.error, rtol=1e-12)
        np.testing.assert_allclose(trace.evaluate(X, y, weights=c).log_loss, trace.log_loss,
                                   rtol=1e-12)


@pytest.mark.parametrize(("weights", "told"), [
    (np.zeros(N), "weights must have an entry > 0, got zeros alone"),
    (-COUNTS, "weights must be >= 0, got -4 at index 4"),
    (COUNTS[:-1], "weights must have one entry for each row of X, got 8 entries for 9 rows"),
    (np.full(N, np.nan), "weights must be finite, got nan at index 0"),
    (np.full(N, np.inf), "weights must be finite, got inf at index 0"),
    (np.ones((N, 1)), "weights must be an"),
])
def test_bad_weights(weights, told):
    with pytest.raises(ValueError, match=told):
        fb.Plan(X, LABELS, loss="logistic", method=methods.gradient_descent(0.1), weights=weights)
    with pytest.raises(TypeError):
        fb.Plan(X, LABELS, loss="logistic", method=methods.gradient_descent(0.1), weights="many")


def test_descend_refuses_weights_that_do_not_fit():
    plan = fb.Plan(X, LABELS, loss="logistic", method=methods.gradient_descent(0.1), weights=COUNTS)
    data, records = plan.problem, fb.abi.Records(np.empty(0, np.int64), np.empty((0, D)),
                                                 np.empty(0))
    good = plan.params.weights
    for bad in (np.empty(0), good[:-1].copy(), -good, good * np.nan, good * 0.0):
        params = plan.params._replace(weights=bad)
        assert fb.descend(plan.pieces, params, data.X, data.y, plan.buffers, records, 5,
                          -np.inf) == -2
    plain = fb.Plan(X, LABELS, loss="logistic", method=methods.gradient_descent(0.1))
    # params of eight vectors are those of a run without
    assert fb.descend(plain.pieces, tuple(plain.params)[:8], X, LABELS, plain.buffers, records, 5,
                      -np.inf) == 0
    np.testing.assert_array_equal(
        plain.u, fb.run(X, LABELS, loss="logistic", method=methods.gradient_descent(0.1),
                        steps=5).w[-1])


def test_the_command_line_takes_a_column_of_counts(tmp_path, capsys):
    table = np.column_stack([X, COUNTS, LABELS])
    np.savetxt(tmp_path / "t.csv", table, delimiter=",", header="a,b,c,d,count,y", comments="")
    np.savez(tmp_path / "t.npz", X=X, y=LABELS, count=COUNTS)
    words = ["--loss", "logistic", "--method", "gradient", "--step-size", "0.05", "--steps", "100",
             "--quiet", "--out", str(tmp_path / "out.npz"), "--weights"]
    run = fb.run(X, LABELS, loss="logistic", method=methods.gradient_descent(0.05), steps=100,
                 weights=COUNTS)
    for file, column in (("t.csv", "count"), ("t.csv", "4"), ("t.npz", "count")):
        assert cli.main(["run", str(tmp_path / file), *words, column]) == 0
        np.testing.assert_array_equal(fb.Trace.load(tmp_path / "out.npz").w, run.w)
    assert cli.main(["run", str(tmp_path / "t.csv"), *words, "cout"]) == 2
    told = capsys.readouterr().err
    assert "--weights must be one of a, b, c, d, count, y, got 'cout' (did you mean 'count'?)" in told
