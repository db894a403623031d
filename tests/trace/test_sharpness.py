"""Sharpness against dense Hessians by differences in many digits, closed forms, and what an optimiser shows at the edge."""
import dataclasses

import mpmath
import numpy as np
import pytest
from scipy.sparse import csr_matrix

import fastbias as fb
from fastbias.trace import sharpness
from tests.helpers import naive_models as naive
from tests.helpers.marks import slow
from tests.pieces.test_models import MODELS

m, mp = fb.methods, mpmath.mpf


def mills(x):
    return -mpmath.log(mpmath.ncdf(x))


LOSSES = {                                                       # of a prediction and a target, in mpmath
    "squared": (fb.losses.squared, lambda p, y: (p - y) ** 2),
    "huber": (fb.losses.huber(0.7), lambda p, y: (p - y) ** 2 if abs(p - y) <= 0.7 else 2 * mp(0.7) * abs(p - y) - mp(0.7) ** 2),
    "truncated": (fb.losses.truncated_squared(0.8), lambda p, y: min((p - y) ** 2, mp(0.8) ** 2)),
    "exponential": (fb.losses.exponential, lambda p, y: mpmath.exp(-y * p)),
    "logistic": (fb.losses.logistic, lambda p, y: mpmath.log1p(mpmath.exp(-y * p))),
    "sigmoid": (fb.losses.sigmoid, lambda p, y: 1 / (1 + mpmath.exp(y * p))),
    "probit": (fb.losses.probit, lambda p, y: mills(y * p)),
}


def curved(loss, p, y, digits=60):
    """ℓ''(p) by differences in many digits, so that what is left of them tells."""
    with mpmath.workdps(digits):
        p, y, h = mp(float(p)), mp(float(y)), mp(10) ** (-digits // 4)
        value = (loss(p + h, y) - 2 * loss(p, y) + loss(p - h, y)) / h ** 2
        return value if abs(value) > mp(10) ** (-digits // 3) * loss(p, y) else mp(0)


def held(trace, i, curvatures, rows, tol=1e-12):
    """Whether a row has the largest eigenvalue of Σ ℓ'' z zᵀ, in units of the largest ℓ''."""
    unit = max(abs(c) for c in curvatures)
    log, plain = trace.sharpness(log=True)[i], trace.sharpness()[i]
    if unit == 0:
        assert (log, plain) == (-np.inf, 0)
        return
    values = np.linalg.eigvalsh((rows.T * [float(c / unit) for c in curvatures]) @ rows)
    value = values[-1]
    if value <= 1e-13 * abs(values).max():                       # (rounding of what is 0)
        assert plain <= 1e-12 * float(unit) * abs(values).max()
        return
    assert log == pytest.approx(float(mpmath.log(value * unit)), rel=1e-14, abs=tol * abs(values).max() / value)
    assert plain == pytest.approx(float(value * unit), rel=1e-9, abs=0)


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_on_the_linear_model_equals_differences_in_many_digits(name):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(5, 3)), np.array([1.0, -1, 1, 1, -1])
    w = rng.normal(size=3)
    loss, value = LOSSES[name]
    rows = np.array([0 * w, 0.3 * w, w, 20 * w, -40 * w])
    trace = fb.Trace.from_arrays(X, y, np.arange(5), rows, loss=loss)
    for i, row in enumerate(rows):
        held(trace, i, [curved(value, p, t, 240) for p, t in zip(X @ row, y, strict=True)], X)


@pytest.mark.parametrize("name", ["exponential", "logistic", "sigmoid", "probit"])
@pytest.mark.parametrize("margin", [-1e4, -700.0, -37.0, -2.0001, -1.9, 0.5, 36.5, 745.0, 1e4])
def test_one_sample_keeps_its_digits_at_any_margin(name, margin):
    loss = LOSSES[name][0]
    trace = fb.Trace.from_arrays([[2.0]], [1], [0], [[margin / 2]], loss=loss)
    with mpmath.workdps(60):
        if name == "probit":
            x = -mp(margin)
            # the tail of erfc itself needs many digits
            with mpmath.workdps(60 + int(max(0, -x)) // 100):
                mills_ = mpmath.npdf(mp(margin)) / (mpmath.erfc(x / mpmath.sqrt(2)) / 2)
                wanted = mills_ * (mills_ + mp(margin))
        elif name == "exponential":
            wanted = mpmath.exp(-mp(margin))
        else:
            s = 1 / (1 + mpmath.exp(-mp(margin)))
            wanted = s / (1 + mpmath.exp(mp(margin)))
            if name == "sigmoid":
                wanted *= (2 * s - 1)
        log = trace.sharpness(log=True)[0]
        if wanted < 0:
            assert np.isnan(log)
            assert trace.sharpness()[0] == pytest.approx(float(4 * wanted), rel=1e-13, abs=0)
        else:
            assert log == pytest.approx(float(mpmath.log(4 * wanted)), rel=1e-14, abs=1e-14)


SLOPES = {"squared": lambda p, y: 2 * (p - y), "exponential": lambda p, y: -y * mpmath.exp(-y * p)}


def convolutions():
    """The twin by sums: Fourier transforms know no mpmath."""
    def convolve(a, b):
        return np.array([sum(a[k] * b[(i - k) % len(a)] for k in range(len(a))) for i in range(len(a))], object)

    def others(layers, i):
        out = np.array([mp(1)] + [mp(0)] * (len(layers[0]) - 1), object)
        for k, layer in enumerate(layers):
            out = out if k == i else convolve(out, layer)
        return out

    def back(layers, v):
        d = len(v)
        return [np.array([sum(b[i] * v[(i + k) % d] for i in range(d)) for k in range(d)], object)
                for b in (others(layers, i) for i in range(len(layers)))]
    return lambda layers: others(layers, None), back


def exactly(twin, shapes, X, y, slope, u):
    """The Hessian of L(F(u)), by central differences in 60 digits of the gradient that the model's twin has."""
    (forward, back), cut = twin, naive.cutter(shapes)
    with mpmath.workdps(60):
        def numbers(a):
            return np.array([mp(float(x)) for x in np.ravel(a)], object).reshape(np.shape(a))
        rows, at, h = numbers(X.reshape(len(X), -1)), numbers(u), mp(10) ** -20

        def gradient(u):
            layers = cut(u)
            p = rows @ forward(layers)
            v = np.array([slope(a, mp(float(b))) for a, b in zip(p, y, strict=True)], object) @ rows
            return np.concatenate([np.ravel(part) for part in back(layers, v)])
        H = [(gradient(at + h * e) - gradient(at - h * e)) / (2 * h) for e in numbers(np.eye(len(u)))]
    return np.array(H, float)


FEW = ("symmetric", "factorised", "relu", "deep linear 3, None", "diagonal 4", "signed 3", "convolutional 3")
MORE = ("symmetric wide", "factorised one", "relu plane", "deep linear 1", "deep linear 5, 2", "diagonal 1", "diagonal 2",
        "signed 2", "signed 5", "convolutional 1", "convolutional 2")


@pytest.mark.parametrize("name", [*FEW, *slow(*MORE)])
def test_each_model_equals_differences_in_60_digits(name):
    rng = np.random.default_rng(5)
    model, twin, shape, _ = MODELS[name]
    if "relu" in name:
        x = rng.normal(size=(3, 2)) if "plane" in name else np.array([-1.0, 0.3, 1.2])
        model, twin = fb.models.relu(x, 2, offset="plane" not in name), naive.relu(x, "plane" not in name)
        X = np.eye(3)
    else:
        X = 0.7 * rng.normal(size=(2, *((2,) if "deep" in name else (3,) if len(shape) == 1 else shape)))
    d = X[0].size
    y = np.array([1.0, -1.0, 1.0])[:len(X)]
    u = rng.normal(size=model.parameters(d))
    twin = convolutions() if "convolutional" in name else twin
    for loss, slope in SLOPES.items():
        plan = fb.Plan(X, y, loss=loss, method=m.gradient_descent(1e-3), model=model, start=u)
        values = np.linalg.eigvalsh(exactly(twin, [(d,)] if model.layers is None else model.layers(d), X, y, slope, u))
        assert plan.run(0).sharpness()[0] == pytest.approx(values[-1], abs=1e-12 * abs(values).max())
        assert abs(values).max() > 0.1


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_classes_weights_columns_and_intercepts(scale):
    rng = np.random.default_rng(7)
    X, c, w = rng.normal(size=(4, 2)), np.array([1.0, 3.0, 0.25, 1e-30]), scale * rng.normal(size=(3, 2))
    labels = np.array([0, 2, 1, 1.0])
    plan = fb.Plan(X, labels, loss="cross_entropy", method=m.gradient_descent(0.1), start=w.ravel(), weights=c)
    with mpmath.workdps(200):
        H = mpmath.zeros(6)
        for x, weight, p in zip(X, c, X @ w.T, strict=True):
            e = [mpmath.exp(mp(float(a))) for a in p]
            P = [a / sum(e) for a in e]
            for a in range(6):
                for b in range(6):
                    H[a, b] += mp(weight) * ((P[a // 2] if a // 2 == b // 2 else 0) - P[a // 2] * P[b // 2]) * x[a % 2] * x[b % 2]
        unit = max(abs(a) for a in H)
        values = np.linalg.eigvalsh(np.array((H / unit).tolist(), float))
        wanted = float(mpmath.log(values[-1] * unit))
    assert plan.run(0).sharpness(log=True)[0] == pytest.approx(wanted, rel=1e-12)
    other = fb.Plan(csr_matrix(X), labels, loss="cross_entropy", method=m.gradient_descent(0.1), start=w.ravel(), weights=c)
    assert other.run(0).sharpness() == pytest.approx(plan.run(0).sharpness(), rel=1e-12)
    Y = rng.normal(size=(4, 2))
    two = fb.Plan(X, Y, loss=fb.losses.huber(0.5), method=m.gradient_descent(0.1), start=w[:2].ravel(), weights=c)
    blocks = [(X.T * np.where(abs(X @ w[j] - Y[:, j]) <= 0.5, 2 * c, 0)) @ X for j in range(2)]
    assert two.run(0).sharpness()[0] == pytest.approx(max(np.linalg.eigvalsh(B)[-1] for B in blocks), rel=1e-12, abs=1e-40)
    signs = np.sign(labels - 0.5)
    one = fb.Plan(X, signs, loss="logistic", method=m.gradient_descent(0.1), start=[*w[0], 0.3], intercept=True)
    held(one.run(0), 0, [curved(LOSSES["logistic"][1], a @ w[0] + 0.3, t, 300) for a, t in zip(X, signs, strict=True)],
         np.column_stack([X, np.ones(4)]))


def test_two_classes_far_off_are_the_logistic_loss_of_their_difference():
    for margin in (-1e4, -400.0, -38.0, 0.0, 38.0, 400.0, 1e4):
        two = fb.Trace.from_arrays([[1.0], [-1.0]], [0, 1], [0], [[[margin / 2], [-margin / 2]]], loss="cross_entropy")
        # ∇² is ℓ''(m) (1, −1)(1, −1)ᵀ of each sample
        assert two.sharpness(log=True)[0] == pytest.approx(-abs(margin) - 2 * np.log1p(np.exp(-abs(margin))) + np.log(4),
                                                           rel=1e-14, abs=1e-14)


def test_lanczos_finds_what_the_whole_matrix_has(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 90)), rng.choice([-1.0, 1.0], 60)
    w = rng.normal(size=(4, 90)) * np.array([[0.0], [0.1], [1.0], [300.0]])
    trace = fb.Trace.from_arrays(X, y, np.arange(4), w)
    for row, log in zip(w, trace.sharpness(log=True), strict=True):
        margins = y * (X @ row)
        bends = -np.abs(margins) - 2 * np.log1p(np.exp(-np.abs(margins)))
        H = (X.T * np.exp(bends - bends.max())) @ X
        assert log == pytest.approx(np.log(np.linalg.eigvalsh(H)[-1]) + bends.max(), rel=1e-12)
    model = fb.models.deep_linear(4, 5)
    plan = fb.Plan(X[:, :9], y, loss="logistic", method=m.gradient_descent(1e-3), model=model, start=model.start(0.4, rng=1, size=9))
    found = plan.run(20, record=5).sharpness()
    monkeypatch.setattr(sharpness, "SMALL", 10 ** 6)
    assert plan.trace.sharpness() == pytest.approx(found, rel=1e-11)


def test_where_lanczos_ends_nowhere_the_matrix_is_decomposed(monkeypatch):
    X = np.random.default_rng(0).normal(size=(9, 40))
    trace = fb.Trace.from_arrays(X, X[:, 0], [0], np.zeros((1, 40)))
    wanted = trace.sharpness()

    def fails(*_, **__):
        np.linalg.inv(np.zeros((1, 1)))
    monkeypatch.setattr("scipy.sparse.linalg.eigsh", fails)
    assert trace.sharpness() == pytest.approx(wanted, rel=1e-12)
    monkeypatch.setattr(sharpness, "LARGEST", 39)
    with pytest.raises(ArithmeticError, match="largest eigenvalue of the Hessian could not be solved"):
        trace.sharpness()


def test_traces_without_second_derivatives_or_data_are_refused(tmp_path):
    trace = fb.run([[1.0, 2]], [1], loss="squared", method=m.gradient_descent(0.1), steps=3)
    assert trace.sharpness() == pytest.approx(np.full(4, 10.0))
    trace.save(tmp_path / "t.npz")
    with pytest.raises(ValueError, match="must know its data for a sharpness"):
        fb.Trace.load(tmp_path / "t.npz").sharpness()
    bare = dataclasses.replace(fb.losses.squared, bend=None)
    with pytest.raises(LookupError, match="squared loss brings no second derivative"):
        fb.run([[1.0, 2]], [1], loss=bare, method=m.gradient_descent(0.1), steps=1).sharpness()
    model = dataclasses.replace(fb.models.diagonal(2, signed=True), along=None)
    with pytest.raises(LookupError, match=r"diagonal\(2, signed\) model brings no second derivative"):
        fb.run([[1.0, 2]], [1], loss="squared", method=m.gradient_descent(0.1), steps=1, model=model, start=np.ones(4)).sharpness()
    for bad in (None, 1, "x"):
        with pytest.raises(TypeError, match="log must be"):
            trace.sharpness(log=bad)
    with pytest.raises(ValueError, match="w at each row for a sharpness"):
        fb.Plan([[1.0, 2]], [1], loss="squared", method=m.gradient_descent(0.1)).run(3, record_w=False).sharpness()


def test_sizes_beyond_float64_are_told_as_such():
    near = fb.Trace.from_arrays([[1e150, 1.0]], [1], [0, 1, 2], np.zeros((3, 2)), loss="exponential")
    far = dataclasses.replace(near, u=np.array([[1e200, 0], [-1e200, 0], [0, 0]]))
    assert np.isnan(far.sharpness()[:2]).all()
    assert far.sharpness()[2] == pytest.approx(1e300, rel=1e-12)
    assert np.isnan(dataclasses.replace(near, problem=dataclasses.replace(near.problem, X=near.problem.X * 1e50)).sharpness()).all()
    deep = fb.Trace.from_arrays([[1e-150, 1e-170]], [1], [0], [[8e152, 0]], loss="exponential")
    assert deep.sharpness(log=True)[0] == pytest.approx(-800 + 2 * np.log(1e-150))
    assert deep.sharpness()[0] == 0
    flat = fb.Trace.from_arrays([[1.0, 2]], [9.0], [0], [[0, 0]], loss=fb.losses.truncated_squared(1.0))
    assert flat.sharpness().tolist() == [0.0]
    assert flat.sharpness(log=True).tolist() == [-np.inf]
