"""Maximum margins and separability: certificates recomputed here, hard cases, and the limits they are of real runs."""
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbias as fb
from fastbias.solvers import margins
from fastbias.solvers.uniqueness import uniqueness
from tests.helpers.certificates import norms_of, recomputed
from tests.helpers.marks import slow
from tests.helpers.problems import SOUDRY_X, SOUDRY_Y

m, N = fb.methods, fb.norms
long = pytest.mark.long
X, y = SOUDRY_X, SOUDRY_Y


def problem(seed):
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(2, 10)), int(rng.integers(1, 25))
    w, X = rng.normal(size=d), rng.normal(size=(n, d))
    return X, np.where(X @ w > 0, 1.0, -1.0)


def several(seed):
    """A problem of 3 … 6 classes, separable because the labels are those of a linear classifier."""
    rng = np.random.default_rng(seed)
    d, n, K = int(rng.integers(2, 6)), int(rng.integers(4, 15)), int(rng.integers(3, 7))
    W, X = rng.normal(size=(K, d)), rng.normal(size=(n, d))
    X = np.vstack([X, W])                                        # every class at least where its own row is the longest
    labels = np.argmax(X @ W.T, 1)
    kept = np.unique(labels)
    return X, np.searchsorted(kept, labels).astype(float)


def check(X, y):
    worst = 0.0
    for norm in norms_of(X, y).values():
        found, gap = recomputed(X, y, norm)
        assert gap <= 1e-10, (norm, gap)
        assert found.certified
        worst = max(worst, gap)
    return worst


@settings(max_examples=5)                                     # 1000 and 500 of them are exhaustive, below
@given(st.integers(0, 10**6))
def test_certificates_on_random_problems(seed):
    check(*problem(seed))


@long
@settings(max_examples=5)
@given(st.integers(0, 10**6))
def test_certificates_of_several_classes(seed):
    X, y = several(seed)
    if y.max() > 1:                                              # two are not classes, but −1 and +1
        check(X, y)


@pytest.mark.exhaustive
def test_certificates_on_500_problems_of_several_classes():
    worst = max(check(X, y) for X, y in map(several, range(500)) if y.max() > 1)
    print(f"worst gap of the margins of 500 problems of several classes: {worst:.1e}")


@pytest.mark.exhaustive
def test_certificates_on_1000_random_problems():
    print(f"worst gap of over 8000 margins: {max(check(*problem(seed)) for seed in range(1000)):.1e}")


def scaled(seed, exponents=None):
    """8 × 4, the columns in units that lie far apart."""
    rng = np.random.default_rng(seed)
    w, X = rng.normal(size=4), rng.normal(size=(8, 4))
    units = 10.0 ** (rng.uniform(-6, 6, size=4) if exponents is None else np.array(exponents))
    return X * units, np.where(X @ w > 0, 1.0, -1.0)


@long
@pytest.mark.parametrize("exponents", [(-6, -6, 0, 0), *slow((-6, 0, 0, 0), (-3, 0, 0, 3))])
@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 12), marks=pytest.mark.exhaustive)], ids=str)
def test_features_scaled_far_apart(exponents, seeds):
    for seed in seeds:
        check(*scaled(seed, exponents))


# to first order a rounded λ costs its whole rounding here; the first two find roundings that cancel
GRID = {"l1": 0.95, "linf": 0.95, "nuclear": 0.9, "spectral": 0.75, "fourier": 0.75}


def certified(seeds):
    """Of how many problems each norm's margin is certified; the others must say so, with a positive margin."""
    counts = dict.fromkeys(norms_of(*scaled(0)), 0)
    for X, y in map(scaled, seeds):
        for name, norm in norms_of(X, y).items():
            counts[name] += recomputed(X, y, norm)[0].certified
    return counts


@long
@pytest.mark.parametrize("seeds", [range(5), *slow(range(20))], ids=len)
def test_features_in_random_units(seeds):
    for name, count in certified(seeds).items():
        assert count >= len(seeds) * GRID.get(name, 1), name


@pytest.mark.exhaustive
def test_300_problems_with_features_in_random_units():
    counts = certified(range(300))
    print("certified of 300 problems with features in units 10^uniform(-6, 6):", counts)
    for name, count in counts.items():
        assert count >= 300 * GRID.get(name, 0.98 if name in ("l3", "group") else 1), name


@pytest.mark.parametrize("small", [1e-6, 1e-8, 1e-9, 1e-16, 1e-100])
def test_small_margins(small):
    check(np.array([[1, small], [-1, small]]), np.ones(2))


@pytest.mark.parametrize("small", [1e-160, 1e-300, 1e-310])
def test_samples_as_far_apart_as_float64_allows(small):
    """x = (1, 0), (0, s): w = (s, 1)/‖(s, 1)‖, where the length is 1 in float64, and so is the margin over s."""
    for norm in (N.l1, N.l2, N.linf):
        limit = fb.max_margin([[1.0, 0.0], [0.0, small]], [1, 1], norm)
        assert limit.certified
        assert limit.margin == pytest.approx(small, rel=1e-12)
        assert limit.w == pytest.approx([small, 1.0], rel=1e-12, abs=0)


@long
@pytest.mark.parametrize("small", [1e-3, 1e-9, *slow(1e-6, 1e-12)])
def test_margins_small_by_cancellation(small):
    """No units help here: float64 itself may not hold w and λ that prove 1e-10, and then the answer says so."""
    X, y = np.array([[1.0, 1.0], [-1.0, -1.0 + small]]), np.ones(2)
    for norm in norms_of(X, y).values():
        gap = recomputed(X, y, norm)[1]
        assert gap <= 1e-15 / small or norm.name in ("group", "spectral", "nuclear"), norm


@pytest.mark.parametrize("norm", norms_of(*scaled(0)).values(), ids=repr)
def test_the_separator_is_the_answer_where_every_solver_fails(norm, monkeypatch):
    monkeypatch.setattr("fastbias.solvers.search.candidates", lambda *_: iter(()))
    monkeypatch.setattr("fastbias.solvers.search.polished", lambda *_: iter(()))
    monkeypatch.setattr("fastbias.solvers.narrow.solutions", lambda *_: iter(()))
    found = fb.max_margin(*scaled(3), norm)
    assert found.margin > 0
    assert not found.certified
    assert found.hypotheses[0].holds is (True if norm.matrix or norm.power else None)


RNG = np.random.default_rng(0)
HARD = {
    "a point at the origin": ([[1, 2], [0, 0]], [1, 1], False),
    "opposite points": ([[1, 2], [1, 2]], [1, -1], False),
    "margin 1e-6": ([[1, 1e-6], [-1, 1e-6]], [1, 1], True),
    "margin 1e-9 the other way": ([[1, 1e-9], [-1, -1e-9]], [1, 1], False),
    "features 1e6 apart": ((RNG.normal(size=(6, 4)) + [2, 0, 0, 0]) * [1e6, 1, 1, 1e3], [1] * 6, True),
    "duplicates": ([[1, 1, 1], [2, 2, 2], [1, 1, 1]], [1, 1, 1], True),
    "collinear columns": (np.outer([1, 2, 3], [1, 2, 3.0]) + [[0, 0, 1e-3]], [1, 1, 1], True),
    "many samples": (RNG.normal(size=(400, 3)) + [5, 0, 0], [1] * 400, True),
    "many features": (RNG.normal(size=(3, 300)), [1, -1, 1], True),
    "inseparable": (RNG.normal(size=(50, 3)), [1] * 50, False),
    "one sample": ([[1, -2]], [-1], True),
}


@pytest.mark.parametrize("case", HARD)
def test_hard_cases(case):
    X, y, separable = HARD[case]
    X, y = np.array(X, float), np.array(y, float)
    told = fb.separability(X, y)
    assert told.separable is separable
    assert bool(told) is separable
    Z = y[:, None] * X
    if separable:
        assert (Z @ told.w > 0).all()
        check(X, y)
    else:
        assert (told.dual >= 0).all()
        assert told.dual.sum() == pytest.approx(1)
        assert (np.abs(told.dual @ Z) <= 1e-9 * np.maximum(told.dual @ np.abs(Z), 1e-300)).all()
        with pytest.raises(ValueError, match="linearly separable"):
            fb.max_margin(X, y)
        with pytest.raises(fb.NoTheorem, match="not separable") as refused:
            fb.Plan(X, y, loss="logistic", method=m.adam(0.1)).limit()
        assert refused.value.dual == pytest.approx(told.dual)
        assert refused.value.hypotheses[-1].holds is False
        assert fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.1)).limit().kind in ("point", "ray")


def test_the_maximiser_of_a_polytope_need_not_be_unique():
    def unique(X, norm):
        return fb.max_margin(X, np.ones(len(X)), norm).hypotheses[0].holds
    assert unique([[1.0, 1.0]], N.l1) is False
    assert unique([[1.0, 0.5]], N.l1) is True
    assert unique([[1.0, 0.0]], N.linf) is False
    assert unique([[1.0, 1.0]], N.linf) is True
    assert unique([[1.0, 1.0]], N.l2) is True
    assert unique([[1.0, 1.0, 1.0]], N.group([[0, 1], [2]])) is None
    for small in (1e-6, 1e-9):
        assert unique([[1.0, small], [-1.0, small]], N.l1) is True
        assert unique([[1.0, small, small], [-1.0, small, small]], N.l1) is False
        assert unique([[1.0, small], [-1.0, small]], N.linf) is True
        assert unique([[1.0, small, 0.0], [-1.0, small, 0.0]], N.linf) is False


def test_of_failed_programs_nothing_is_concluded(monkeypatch):
    sharp, tied = (margins.Bounds(np.array([row]), N.l1) for row in ([1.0, 0.5], [1.0, 1.0]))
    for best, unique in ((sharp, True), (tied, False)):
        best.offer(np.array([1.0, 0.0]), np.ones(1))
        assert uniqueness(best, True, np.arange(1)).holds is unique
        assert uniqueness(best, False, np.arange(1)).holds is None
    monkeypatch.setattr("scipy.optimize.linprog", lambda *_, **__: SimpleNamespace(status=4, x=None))
    assert uniqueness(tied, True, np.arange(1)).holds is None
    assert uniqueness(sharp, True, np.arange(1)).holds is True           # which asks no program


def test_the_fourier_margin_against_the_program_in_complex_numbers():
    import cvxpy as cp
    rng = np.random.default_rng(0)
    for n, d in ((4, 5), (7, 8), (12, 12)):
        X, teacher = rng.normal(size=(n, d)), rng.normal(size=d)
        y = np.sign(X @ teacher)
        w, F = cp.Variable(d), np.exp(-2j * np.pi * np.outer(np.arange(d), np.arange(d)) / d)
        value = cp.Problem(cp.Minimize(cp.norm1(F @ w)), [cp.multiply(y, X @ w) >= 1]).solve(cp.CLARABEL)
        assert fb.max_margin(X, y, N.fourier(d)).margin == pytest.approx(1 / value, rel=1e-6)


@long
def test_large_problems_by_proximal_maps():
    """Where cone programs would take long: 30 × 30 matrices, hundreds of features."""
    rng = np.random.default_rng(0)
    groups = np.arange(300).reshape(100, 3)
    for n, d, norm in ((300, 900, N.nuclear(30, 30)), (60, 256, N.fourier(256)), (60, 300, N.group(groups))):
        A, teacher = rng.normal(size=(n, d)), rng.normal(size=d)
        found = fb.max_margin(A, np.sign(A @ teacher), norm)
        assert found.duality_gap <= 1e-9
        lam, signs = found.dual, np.sign(A @ teacher)
        assert norm.dual((lam * signs) @ A) - (signs * (A @ found.w)).min() / norm(found.w) <= 1.1e-9 * found.margin


def test_bad_input():
    with pytest.raises(ValueError, match="labels must be −1 or"):
        fb.max_margin([[1, 2]], [2])
    with pytest.raises(ValueError, match="predictors of 2 entries"):
        fb.max_margin([[1, 2, 3]], [1], N.quadratic([1, 2]))
    bare = N.Norm("bare", N.l2.steepest, N.l2.dual_norm, N.l2.norm)
    with pytest.raises(ValueError, match="convex face"):
        fb.max_margin([[1, 2]], [1], bare)


@long
@pytest.mark.parametrize("loss", ["exponential", "logistic", "sigmoid"])
def test_gradient_descent_heads_for_the_maximum_margin(loss):
    eta = 1 / np.linalg.norm(X, 2)
    plan = fb.Plan(X, y, loss=loss, method=m.gradient_descent(eta if loss != "exponential" else eta / 10))
    trace, limit = plan.run(1_000_000), plan.limit()
    assert "Soudry" in limit.theorem
    assert limit.w == pytest.approx([0.5 ** 0.5] * 2, abs=1e-12)
    assert limit.margin == pytest.approx(2 ** 0.5)
    assert trace.increment() == pytest.approx([0.5, 0.5], abs=2e-3)         # ŵ itself, not only its direction
    assert trace.gap(limit)[-1] < 0.01
    assert trace.margin()[-1] == pytest.approx(limit.margin, rel=1e-2)


@long
@pytest.mark.parametrize("norm", [N.l1, N.l2, N.linf, N.lp(1.5), N.lp(3), N.quadratic([1.0, 4.0]), N.group([[0], [1]])],
                         ids=repr)
def test_steepest_descent_reaches_the_margin_of_theorem_5(norm):
    """Loss-scaled steps get there like 1/t; the same limit as the theorem's bounded ones."""
    rng = np.random.default_rng(3)
    A = rng.normal(size=(10, 2)) + [1.5, 0.7]
    A = A[(A @ [1.0, 0.5]) > 0.3]
    for rule in (fb.steps.loss_scaled(0.02), fb.steps.bounded(1.0)):
        plan = fb.Plan(A, np.ones(len(A)), loss="exponential", method=m.steepest_descent(norm, rule))
        limit = plan.limit()
        assert "Theorem 5" in limit.theorem
        told = next(h for h in limit.hypotheses if "small enough" in h.statement)
        assert told.holds is (True if rule.radius or 0.02 * norm.dual(A).max() ** 2 <= 1 else None)
        trace = plan.run(200_000)
        assert trace.margin(norm)[-1] >= (0.9 if rule.radius else 0.995) * limit.margin
        assert trace.margin(norm)[-1] <= limit.margin * (1 + 1e-9)


def test_where_no_theorem_of_section_3_speaks():
    for method, loss, words in ((m.adagrad(0.1), "exponential", "Theorem 6"), (m.adam(0.1, eps=0), "logistic", "without ε asks"),
                                (m.mirror_descent("entropy", fb.steps.power(0.1, 2)), "logistic", "finite length"),
                                (m.natural_gradient("cosh", 0.1), "logistic", "no theorem of the table"),
                                (m.steepest_descent("l2", 0.1, normalised=True), "logistic", "fixed length"),
                                (m.gradient_descent(0.1, 0.5), "probit", "exponential tail")):
        with pytest.raises(fb.NoTheorem, match=words):
            fb.Plan(X, y, loss=loss, method=method).limit()
    limit = fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.1, 0.9, batch=2, rng=0)).limit()
    assert sum("keep" in h.statement and h.holds is None for h in limit.hypotheses) == 2


@pytest.mark.slow
def test_linf_margins_of_many_classes_do_not_go_round_for_ever():
    from scipy.optimize import linprog
    rng = np.random.default_rng(1)
    centres, y = rng.normal(size=(10, 25)), rng.integers(0, 10, 500)
    y[:10] = range(10)
    X = centres[y] + 0.5 * rng.normal(size=(500, 25))
    found = fb.max_margin(X, y, "linf")
    assert found.certified
    rows = np.vstack([np.kron((np.eye(10)[a] - np.eye(10)[c]), x) for x, a in zip(X, y, strict=True) for c in range(10)
                      if c != a])
    told = linprog(np.append(np.zeros(250), -1.0), A_ub=np.hstack([-rows, np.ones((len(rows), 1))]),
                   b_ub=np.zeros(len(rows)), bounds=[(-1, 1)] * 250 + [(None, None)])
    assert found.margin == pytest.approx(-told.fun, rel=1e-7)


def rows_of_classes(n, d, K, spread, seed):
    rng = np.random.default_rng(seed)
    centres, labels = rng.normal(size=(K, d)), np.arange(n) % K
    return centres[labels] + spread * rng.normal(size=(n, d)), labels.astype(float)


@pytest.mark.long
@pytest.mark.parametrize(("n", "d", "K", "spread"), [(120, 20, 5, 0.1), pytest.param(150, 12, 10, 0.3, marks=pytest.mark.slow)])
def test_margins_of_many_classes_in_norms_of_matrices_are_exact(n, d, K, spread):
    """Where the cone solver alone leaves gaps of 1e-6."""
    for X, y in (rows_of_classes(n, d, K, spread, seed) for seed in range(2)):
        for name, norm in norms_of(X, y).items():
            if name in ("spectral", "nuclear", "group", "fourier"):
                assert recomputed(X, y, norm)[0].certified, name


def test_of_diagonal_matrices_the_margins_are_those_of_vectors():
    """The singular values of a diagonal matrix are the sizes of its entries: ℓ1 and ℓ∞ margins."""
    rng = np.random.default_rng(5)
    for n in (3, 6):
        x, teacher = rng.normal(size=(12, n)), rng.normal(size=n)
        y = np.sign(x @ teacher)
        X = np.array([np.diag(row) for row in x])
        for norm, vectors in ((N.nuclear(n, n), N.l1), (N.spectral(n, n), N.linf)):
            found, told = fb.max_margin(X, y, norm), fb.max_margin(x, y, vectors)
            assert found.certified
            assert found.margin == pytest.approx(told.margin, rel=2e-10)


def test_of_one_sample_the_margin_is_its_dual_norm():
    A = np.random.default_rng(6).normal(size=(4, 7))
    sizes = np.linalg.svd(A)[1]
    assert fb.max_margin(A[None], [1], N.nuclear(4, 7)).margin == pytest.approx(sizes[0], rel=1e-12)
    assert fb.max_margin(A[None], [1], N.spectral(4, 7)).margin == pytest.approx(sizes.sum(), rel=1e-12)
