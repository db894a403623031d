"""Flows from small starts: against certified projections, closed forms in hundreds of digits, and where they say so."""
import mpmath as mp
import numpy as np
import pytest

import fastbias as fb
from tests.helpers.marks import slow

m, M = fb.methods, fb.models
GD = m.gradient_descent(0.01)
SIZES = [1e-4, 1e-15, 1e-60, *slow(1e-8, 1e-12, 1e-30)]


def data(seed, positive=False, samples=2, d=4):
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(samples, d)), rng.normal(size=d)
    return X, X @ (np.abs(w) if positive else w), np.exp(0.3 * rng.normal(size=(2, d)))


def newton(X, y, forward, slope, inside, dual):
    """The w of Xw = y with s = Xᵀν, where w(s) is monotone: max ν·y − Ψ(Xᵀν) by damped Newton, in mpmath."""
    A, goal = mp.matrix(X.tolist()), mp.matrix([mp.mpf(float(v)) for v in y])
    nu = mp.matrix(len(y), 1)
    for _ in range(2000):
        s = list(A.T * nu)
        r = goal - A * mp.matrix(forward(s))
        if mp.norm(r) < mp.mpf(10) ** -30:
            return np.array([float(x) for x in forward(s)])
        move = mp.lu_solve(A * mp.diag(slope(s)) * A.T, r)
        size, value, gain = mp.mpf(1), dual(s) - (goal.T * nu)[0], (r.T * move)[0]
        while True:
            new = nu + size * move
            t = list(A.T * new)
            if inside(t) and (gain < mp.mpf(10) ** -50 or dual(t) - (goal.T * new)[0] <= value - size * gain / 10000):
                break
            size /= 2
        nu = new
    raise AssertionError("the reference did not converge")


def hyperbolic(X, y, start, product):
    """Limit of depth 2: w = β sinh(s + s₀), β = 2u₊u₋ or ½|u₁² − u₂²|, from w(0) = β sinh s₀."""
    one, two = ([mp.mpf(float(a)) for a in part] for part in start)
    pairs = list(zip(one, two, strict=True))
    scale = [abs(a * a - b * b) / 2 if product else 2 * a * b for a, b in pairs]
    begin = [mp.asinh((a * b if product else a * a - b * b) / c) for (a, b), c in zip(pairs, scale, strict=True)]

    def of(f):
        return lambda s: [c * f(x + z) for c, x, z in zip(scale, s, begin, strict=True)]
    return newton(X, y, of(mp.sinh), of(mp.cosh), lambda s: True, lambda s: sum(of(mp.cosh)(s)))


def signed(X, y, plus, minus, L):
    """Limit of depth L > 2, signed: u₊^{2−L} = u₊(0)^{2−L} − c s, u₋^{2−L} = u₋(0)^{2−L} + c s, c = L(L − 2)."""
    c, e = L * (L - 2), mp.mpf(L) / (L - 2)
    P, Q = ([mp.mpf(float(a)) ** (2 - L) for a in part] for part in (plus, minus))
    both = lambda s: [(p - c * x, q + c * x) for p, q, x in zip(P, Q, s, strict=True)]  # noqa: E731
    return newton(X, y, lambda s: [a ** -e - b ** -e for a, b in both(s)],
                  lambda s: [c * e * (a ** (-e - 1) + b ** (-e - 1)) for a, b in both(s)],
                  lambda s: all(a > 0 and b > 0 for a, b in both(s)),
                  lambda s: sum(a ** (1 - e) + b ** (1 - e) for a, b in both(s)) / (c * (e - 1)))


@pytest.mark.long
@pytest.mark.parametrize("alpha", SIZES)
@pytest.mark.parametrize("product", [False, True])
def test_depth_2_from_any_start(alpha, product):
    """To 1e-9 of the projection in 100 digits; u₊u₋ is kept to rounding."""
    X, y, factors = data(1, positive=product)
    start = alpha * factors * ([[1.0], [0.3]] if product else 1.0)
    trace = fb.Plan(X, y, loss="squared", method=GD, model=M.diagonal(2, signed=not product), start=list(start)).flow()
    with mp.workdps(200):
        wanted = hyperbolic(X, y, start, product)
    assert trace.w[-1] == pytest.approx(wanted, abs=1e-9)
    u = trace.u.reshape(-1, 2, 4)
    if not product:
        assert u[:, 0] * u[:, 1] == pytest.approx(np.tile(start[0] * start[1], (len(u), 1)), rel=1e-12)


@pytest.mark.parametrize("alpha", [1e-2, pytest.param(1e-8, marks=pytest.mark.slow)])
def test_depth_3_from_small_starts(alpha):
    X, y, factors = data(1)
    plus, minus = alpha * factors
    trace = fb.Plan(X, y, loss="squared", method=GD, model=M.diagonal(3, signed=True), start=[plus, minus]).flow()
    with mp.workdps(150):
        assert trace.w[-1] == pytest.approx(signed(X, y, plus, minus, 3), abs=1e-9)
    u = trace.u.reshape(-1, 2, 4)
    assert 1 / u[:, 0] + 1 / u[:, 1] == pytest.approx(np.tile(1 / plus + 1 / minus, (len(u), 1)), rel=1e-10)


@pytest.mark.long
@pytest.mark.parametrize(("depth", "alpha"), [pytest.param(4, 1e-8, marks=pytest.mark.slow), *(
    pytest.param(*hard, marks=pytest.mark.exhaustive) for hard in ((3, 1e-30), (3, 1e-60), (4, 1e-30), (6, 1e-8)))])
def test_deeper_networks_from_tiny_starts_are_right_or_say_so(depth, alpha):
    X, y, factors = data(1)
    plus, minus = alpha * factors
    plan = fb.Plan(X, y, loss="squared", method=GD, model=M.diagonal(depth, signed=True), start=[plus, minus])
    try:
        trace = plan.flow()
    except ArithmeticError:                                    # waits of α^(2−L) beside motion of size one
        return
    with mp.workdps(420):
        assert trace.w[-1] == pytest.approx(signed(X, y, plus, minus, depth), abs=1e-8)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_unsigned_products_equal_a_plain_integration(depth):
    """Unbalanced factors, of either sign, some 0, one that crosses 0; the plain one in u itself, to 1e-13."""
    from scipy.integrate import solve_ivp
    rng = np.random.default_rng(depth)
    start = rng.normal(size=(depth, 5))
    start[0, 0], start[1, 1], start[:2, 2] = 0.0, -0.01, 0.0
    X, y = rng.normal(size=(3, 5)), rng.normal(size=3)
    model = M.diagonal(depth)
    plan = fb.Plan(X, y, loss="squared", method=GD, model=model, start=list(start))
    plain = solve_ivp(lambda t, u: plan.problem.descent(u), (0, 0.7), start.ravel(), method="DOP853", rtol=1e-13, atol=1e-15)
    trace = plan.flow(time=0.7)
    assert trace.u[-1] == pytest.approx(plain.y[:, -1], abs=1e-9)
    layers = trace.u.reshape(-1, depth, 5)
    assert (layers[:, :2, 2] == 0).all()
    kept = layers ** 2 - layers[:, :1] ** 2
    assert kept == pytest.approx(np.tile(kept[:1], (len(kept), 1, 1)), abs=1e-12)


@pytest.mark.parametrize("alpha", [1e-12, 1e-60, 1e-200])
def test_mirror_flows_with_entropy_from_small_starts(alpha):
    X, y, factors = data(3, positive=True)
    start = alpha * factors[0]
    plan = fb.Plan(X, y, loss="squared", method=m.mirror_descent("entropy", 0.01), start=start)
    with mp.workdps(60):
        scale = [mp.mpf(float(a)) for a in start]
        grown = lambda s: [a * mp.exp(x) for a, x in zip(scale, s, strict=True)]  # noqa: E731
        wanted = newton(X, y, grown, grown, lambda s: True, lambda s: sum(grown(s)))
    assert plan.flow().w[-1] == pytest.approx(wanted, abs=1e-9)


def test_what_takes_longer_than_float64_holds_is_told():
    model = M.diagonal(20, signed=True)
    plan = fb.Plan([[1.0, 0.5]], [1.0], loss="squared", method=GD, model=model, start=[np.full(2, 1e-60)] * 2)
    with pytest.raises(ArithmeticError, match="takes longer than float64 holds"):
        plan.flow()


@pytest.mark.long
@pytest.mark.parametrize("alpha", [1e-3, 1e-8, 1e-12])
def test_matrices_from_small_starts_are_right_or_say_so(alpha):
    """Commuting samples: W = U Uᵀ follows the entropy of its eigenvalues, whose projection is known."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    values, goal = rng.normal(size=(2, 3)), np.abs(rng.normal(size=3))
    A = np.array([Q @ np.diag(v) @ Q.T for v in values])
    model = M.symmetric(3)
    plan = fb.Plan(A, values @ goal, loss="squared", method=GD, model=model, start=model.start(alpha))
    eigen = fb.bregman_projection(values, values @ goal, fb.potentials.entropy, np.full(3, alpha ** 2))
    wanted = Q @ np.diag(eigen.w) @ Q.T
    try:
        trace = plan.flow()
    except ArithmeticError:
        return
    error = np.abs(trace.w[-1] - wanted).max()
    assert error <= 1e-8 or "is not reached" in trace.message, error
    assert error <= 1e-3


@pytest.mark.parametrize("loss", ["squared", "exponential"])
def test_a_flow_whose_time_stands_still_is_refused_at_the_next_look(loss):
    """Columns whose sizes are 300 orders apart: steps so short that no time passes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3, 4)) * 10.0 ** rng.uniform(-160, 160, 4)
    plan = fb.Plan(X, [1, -1, 1], loss=loss, method=fb.methods.gradient_descent(0.1))
    with pytest.raises(ArithmeticError, match=r"past time 0: .* \(5000 evaluations\)"):
        plan.flow()
