"""Section 2 by measurement: Theorems 1, 1a, 1b and Remark 1 for every potential, and the ℓ1 story of §2.4."""
import mpmath
import numpy as np
import pytest

import fastbias as fb
from tests.helpers.certificates import certified

m, P = fb.methods, fb.potentials
long = pytest.mark.long
some = pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 20), marks=pytest.mark.exhaustive)],
                               ids=["5 problems", "15 more"])


def step(psi, X, w):
    """A step of a quarter of 1/λ_max of the curvature 2 X H⁻¹(w) Xᵀ at the start and at the projection."""
    return 0.25 / max(2 * np.abs(np.linalg.eigvals(X @ np.array([psi.solve(v, row) for row in X]).T)).max() for v in w)


def draw(seed, psi, N=2, d=5):
    """A random realisable problem for ψ, its start inside the domain and off the coordinate planes."""
    rng = np.random.default_rng(seed)
    if psi.symmetric:
        n = psi.symmetric
        A = rng.normal(size=(N, n, n))
        X = (A + A.transpose(0, 2, 1)).reshape(N, n * n)
        B = rng.normal(size=(n, n))
        return X, X @ (B @ B.T / n + 0.2 * np.eye(n)).ravel(), (0.5 * np.eye(n)).ravel()
    d = psi.size or d
    X, y = fb.data.random_regression(N, d, rng, positive=True)
    z = 0.3 + 0.2 * rng.random(d)
    return X, y, psi.to_primal(z if psi.dual_domain[1] > z.max() else -z)


CASES = [(psi, kind) for psi in P.EXAMPLES for kind in ("Theorem 1", "Theorem 1b", "Remark 1")]


@long
@some
@pytest.mark.parametrize(("psi", "kind"), CASES, ids=lambda x: x if isinstance(x, str) else f"{x.name}{x.params[:1]}")
def test_theorems_on_random_problems(psi, kind, seeds):
    for seed in seeds:
        X, y, w0 = draw(seed, psi)
        limit = fb.bregman_projection(X, y, psi, w0)
        assert limit.certified, (seed, limit)
        assert certified(limit, X, y, psi, w0) <= 1e-10
        eta = step(psi, X, [w0, limit.w])
        options = {"Theorem 1": {}, "Theorem 1b": {"dual_momentum": 0.5, "nesterov": 0.3},
                   "Remark 1": {"batch": 1, "rng": seed, "replace": seed % 2 == 0}}[kind]
        A = X.reshape(-1, psi.symmetric, psi.symmetric) if psi.symmetric else X
        plan = fb.Plan(A, y, loss="squared", method=m.mirror_descent(psi, eta, **options), start=w0)
        told = plan.limit()
        assert told.theorem.startswith("Theorem 1:" if kind != "Theorem 1b" else "Theorem 1b:")
        assert kind != "Remark 1" or any("Remark 1" in h.evidence for h in told.hypotheses)
        assert told.certified
        assert told.w.ravel() == pytest.approx(limit.w, abs=1e-10)
        trace = plan.run(400_000, until=-62)
        gap = trace.gap(told)[-1]
        assert gap <= 1e-8, (seed, gap, trace)
        assert trace.log_loss[-1] <= -45, (seed, trace)


@long
@some
@pytest.mark.parametrize("psi", [P.entropy, P.euclidean, P.cosh, P.hypentropy(0.1), P.squared_lp(1.5)], ids=repr)
def test_theorem_1a_on_random_problems(psi, seeds):
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X, y = fb.data.random_regression(2, 6, rng, positive=True)
        hidden = rng.random(6) + 0.1
        G = np.vstack([np.ones(6), rng.normal(size=6)])[: 1 + seed % 2]
        y, h = X @ hidden, G @ hidden
        plan = fb.Plan(X, y, loss="squared", method=m.mirror_descent(psi, 1.0, constraint=(G, h)))
        limit = plan.limit()
        eta = step(psi, X, [plan.u, limit.w])
        plan = fb.Plan(X, y, loss="squared", method=m.mirror_descent(psi, eta, constraint=(G, h)))
        assert "1a" in limit.theorem
        assert limit.certified
        trace = plan.run(100_000, until=-60)
        assert trace.gap(limit)[-1] <= 1e-8, (seed, trace)
        assert trace.w @ G.T == pytest.approx(np.tile(h, (len(trace), 1)), abs=1e-11)


@long
@pytest.mark.slow
def test_exponentiated_gradient_finds_the_maximum_entropy_solution():
    """From the uniform start, on the simplex: by an independent solver in 30 digits (Boltzmann weights, one multiplier)."""
    X, y, ones = np.array([[1.0, 2.0, 3.0, 4.0]]), [3.2], ([[1, 1, 1, 1]], [1])
    plan = fb.Plan(X, y, loss="squared", method=m.mirror_descent("entropy", 0.05, constraint=ones))
    trace, limit = plan.run(100_000), plan.limit()
    with mpmath.workdps(30):
        def mean(b):
            return mpmath.fsum(k * mpmath.exp(b * k) for k in range(1, 5)) / mpmath.fsum(
                mpmath.exp(b * k) for k in range(1, 5)) - mpmath.mpf("3.2")
        b = mpmath.findroot(mean, 0.5)
        Z = mpmath.fsum(mpmath.exp(b * k) for k in range(1, 5))
        wanted = [float(mpmath.exp(b * k) / Z) for k in range(1, 5)]
    assert limit.w == pytest.approx(wanted, abs=1e-14)
    assert trace.w[-1] == pytest.approx(wanted, abs=1e-12)
    flow = plan.flow()
    assert flow.w[-1] == pytest.approx(wanted, abs=1e-9)


@long
@some
@pytest.mark.parametrize("loss", [fb.losses.huber(0.5), fb.losses.truncated_squared(50.0)], ids=repr)
def test_theorem_1_for_every_loss_with_a_unique_finite_root(loss, seeds):
    for seed in seeds:
        psi = (P.entropy, P.euclidean, P.cosh)[seed % 3]
        X, y, w0 = draw(seed, psi)
        eta = step(psi, X, [w0, fb.bregman_projection(X, y, psi, w0).w])
        plan = fb.Plan(X, y, loss=loss, method=m.mirror_descent(psi, eta), start=w0)
        assert plan.run(400_000, until=-62).gap(plan.limit())[-1] <= 1e-8


def test_proposition_3a_one_step_then_the_flow():
    """The limit is argmin D(·, w(1)), not argmin D(·, w(0)), for every η₁ tried."""
    X, y = fb.data.example(3)
    for eta in (0.02, 0.05, 0.11):
        first = fb.run(X, y, loss="squared", method=m.natural_gradient("entropy", eta), steps=1).w[-1]
        flow = fb.Plan(X, y, loss="squared", method=m.natural_gradient("entropy", 1.0), start=first).flow()
        assert flow.gap(fb.bregman_projection(X, y, P.entropy, first))[-1] < 1e-9
        assert flow.gap(fb.bregman_projection(X, y, P.entropy))[-1] > 1e-3


@long
def test_proposition_2a_for_many_momenta():
    """Momentum in one step only, β_t = γ_t = 0 afterwards: a global minimum, but not argmin ψ."""
    X, y = fb.data.example(2)
    goal = fb.bregman_projection(X, y, P.entropy)
    for beta in (0.1, 0.3, 0.6):
        method = m.mirror_descent("entropy", 0.05, primal_momentum=[0, beta, 0])
        trace = fb.run(X, y, loss="squared", method=method, steps=5000)
        assert trace.log_loss[-1] < -60
        assert trace.gap(goal)[-1] > 1e-3


def test_natural_gradient_is_mirror_descent_for_quadratic_potentials():
    psi = P.quadratic([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 3.0]])
    X, y = fb.data.random_regression(2, 3, 0)
    one = fb.run(X, y, loss="squared", method=m.natural_gradient(psi, 0.02), steps=300)
    two = fb.run(X, y, loss="squared", method=m.mirror_descent(psi, 0.02), steps=300)
    assert one.w == pytest.approx(two.w, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("psi", [P.entropy, P.cosh, P.hypentropy(0.5)], ids=repr)
def test_natural_gradient_goes_to_mirror_descent_at_first_order(psi):
    """The end points of NGD and of mirror descent differ by O(η): the observed order is 1."""
    X, y, w0 = draw(3, psi, N=1, d=3)
    base = step(psi, X, [w0]) / 4
    gaps = []
    for eta in base / 2.0 ** np.arange(4):
        ends = [fb.run(X, y, loss="squared", method=make(psi, eta), start=w0, steps=int(30 * base / eta)).w[-1]
                for make in (m.natural_gradient, m.mirror_descent)]
        gaps.append(np.linalg.norm(ends[0] - ends[1]))
    orders = np.log2(np.array(gaps[:-1]) / gaps[1:])
    assert orders[-1] == pytest.approx(1, abs=0.1), orders


@long
def test_unrealisable_least_squares():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 4)) @ np.diag([1, 1, 1, 0]), rng.normal(size=6)
    for method in (m.gradient_descent(0.02), m.gradient_descent(0.02, 0.5, 0.5),
                   m.mirror_descent(P.quadratic([1, 2, 3, 4]), 0.02), m.steepest_descent("l2", 0.02)):
        plan = fb.Plan(X, y, loss="squared", method=method, start=[0.1, 0.2, 0.3, 0.4])
        limit = plan.limit()
        assert "not realisable" in limit.theorem
        assert next(h for h in limit.hypotheses if "realisable" in h.statement).holds is False
        assert limit.certified
        assert plan.run(100_000).gap(limit)[-1] < 1e-10
        assert limit.w[:3] == pytest.approx(np.linalg.lstsq(X[:, :3], y, rcond=None)[0], abs=1e-12)
        assert limit.w[3] == pytest.approx(0.4)


def test_least_squares_of_a_feature_that_is_tiny_beside_others():
    """Its weight, 1e17, is seen by no gradient of the others' size."""
    limit = fb.Plan([[1.0, 0], [1, 0], [0, 1e-17]], [1, 2, 1], loss="squared", method=m.gradient_descent(0.1)).limit()
    assert limit.certified
    assert limit.w == pytest.approx([1.5, 1e17], rel=1e-12)


# ------------------------------------------------------------------------------------------------- the ℓ1 story, §2.4

COUNTER = np.array([[0.0, 3, -1], [3, 2, 2]]), np.array([2.0, -4.0])


@some
def test_minimum_norms_against_duality_and_cvxpy(seeds):
    import cvxpy as cp
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X, y = fb.data.random_regression(3, 6, rng)
        for norm in (fb.norms.l1, fb.norms.linf, fb.norms.l2, fb.norms.quadratic(np.arange(1.0, 7)), fb.norms.lp(1.5),
                     fb.norms.group([[0, 1], [2, 3, 4], [5]]), fb.norms.fourier(6), fb.norms.nuclear(2, 3),
                     fb.norms.spectral(2, 3)):
            found = fb.minimum_norm(X, y, norm)
            assert norm.dual(found.dual @ X) <= 1 + 1e-12
            tolerance = 1e-8 if norm.name == "spectral" else 1e-10
            assert norm(found.w) == pytest.approx(found.dual @ y, rel=tolerance)
            assert X @ found.w == pytest.approx(y, abs=tolerance)
            assert found.certified
            if seed < 2:
                w = cp.Variable(6)
                value = cp.Problem(cp.Minimize(norm.convex(cp, w)), [X @ w == y]).solve(cp.CLARABEL)
                assert norm(found.w) == pytest.approx(value, rel=1e-5)
    assert fb.minimum_norm(*COUNTER).certified
    assert fb.norms.l1(fb.minimum_norm(*COUNTER).w) == pytest.approx(2, abs=1e-12)


def completion(n, known, rank, seed):
    """Entries of a matrix of low rank: X (N, n, n), y, and the matrix."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n))
    X = np.eye(n * n)[rng.choice(n * n, known, replace=False)].reshape(known, n, n)
    return X, (X * W).sum((1, 2)), W


@pytest.mark.long
def test_minimum_nuclear_norms_of_matrices():
    """Certificates found again by singular values: ‖Σ ν_n X_n‖₂ ≤ 1, so that ⟨ν, y⟩ ≤ ‖W‖⋆."""
    for seed, (n, known, rank) in enumerate([(4, 6, 1), (5, 15, 2), (8, 40, 1), (20, 200, 2)]):
        X, y, _ = completion(n, known, rank, seed)
        found = fb.minimum_norm(X, y, fb.norms.nuclear(n, n))
        assert found.w.shape == (n, n)
        size, dual = np.linalg.svd(found.w)[1].sum(), np.linalg.svd(np.tensordot(found.dual, X, 1))[1].max()
        assert dual <= 1 + 1e-12
        assert size - found.dual @ y <= 1e-10 * size
        assert (X * found.w).sum((1, 2)) == pytest.approx(y, rel=1e-10)
        assert found.certified
    X, y, W = completion(10, 90, 1, 0)                        # nearly all entries of a matrix of rank one: it is found
    assert fb.minimum_norm(X, y, fb.norms.nuclear(10, 10)).w == pytest.approx(W, abs=1e-8)
    flat = fb.minimum_norm(X.reshape(90, 100), y, fb.norms.nuclear(10, 10))
    assert flat.w == pytest.approx(W.ravel(), abs=1e-8)
    assert fb.minimum_norm(X, y).w.shape == (10, 10)
    with pytest.raises(ValueError, match="shape"):
        fb.minimum_norm(X, y, fb.norms.nuclear(5, 20))


def test_a_signal_of_few_frequencies_has_the_least_fourier_norm():
    j, rng = np.arange(32), np.random.default_rng(0)
    w = np.cos(2 * np.pi * 3 * j / 32 + 0.4) - 0.5 * np.cos(2 * np.pi * 7 * j / 32)
    X = rng.normal(size=(18, 32))
    found = fb.minimum_norm(X, X @ w, fb.norms.fourier(32))
    assert found.certified
    assert found.w == pytest.approx(w, abs=1e-9)


def test_minimum_norms_where_the_proximal_map_fails(monkeypatch):
    X, y, _ = completion(4, 9, 1, 0)
    size = fb.norms.nuclear(4, 4)(fb.minimum_norm(X, y, fb.norms.nuclear(4, 4)).w.ravel())
    assert not fb.minimum_norm(X, 0 * y, fb.norms.nuclear(4, 4)).w.any()
    monkeypatch.setattr("fastbias.solvers.minimum_norm.least", lambda *_: iter(()))
    found = fb.minimum_norm(X, y, fb.norms.nuclear(4, 4))
    assert fb.norms.nuclear(4, 4)(found.w.ravel()) == pytest.approx(size, rel=1e-6)


def test_a_norm_of_the_users_own_may_bring_its_proximal_map_alone():
    import dataclasses
    known = fb.norms.nuclear(4, 4)
    alone = dataclasses.replace(known, convex=None, resized=None)
    X, y, _ = completion(4, 9, 1, 0)
    assert fb.minimum_norm(X, y, alone).w == pytest.approx(fb.minimum_norm(X, y, known).w, abs=1e-8)
    margin = fb.max_margin(X, np.sign(y), alone)
    assert margin.certified
    assert margin.margin == pytest.approx(fb.max_margin(X, np.sign(y), known).margin, rel=1e-8)


def test_minimum_norm_of_bad_input():
    with pytest.raises(ValueError, match="reachable"):
        fb.minimum_norm([[1, 1], [1, 1]], [1, 2])
    with pytest.raises(ValueError, match="2 entries"):
        fb.minimum_norm([[1, 1, 1]], [1], fb.norms.quadratic([1, 2]))
    bare = fb.norms.Norm("bare", fb.norms.l2.steepest, fb.norms.l2.dual_norm, fb.norms.l2.norm)
    with pytest.raises(ValueError, match="convex face"):
        fb.minimum_norm([[1, 1]], [1], bare)
    assert (fb.minimum_norm([[1, 2]], [0]).w == 0).all()


def test_the_l1_path_equals_lars():
    from sklearn.linear_model import lars_path
    for seed in range(8):
        X, y = fb.data.random_regression(6, 4, seed)
        y = y + np.random.default_rng(seed).normal(size=6)
        alphas, _, coefs = lars_path(X, y, method="lasso")
        grid = np.linspace(alphas[0] * 0.95, alphas[-1] + 0.05 * alphas[0], 7)
        path = fb.l1_path(X, y, 2 * 6 * grid)
        wanted = np.array([[np.interp(a, alphas[::-1], row[::-1]) for row in coefs] for a in np.sort(grid)[::-1]])
        assert path.w == pytest.approx(wanted, abs=1e-8)
        assert path.residuals.max() < 1e-10


def test_the_l1_path_starts_at_zero_and_ends_at_the_minimum_norm():
    path = fb.l1_path(*COUNTER, 30)
    assert (path.w[0] == 0).all()
    end = fb.l1_path(*COUNTER, [1e-9])
    assert fb.norms.l1(end.w[0]) == pytest.approx(2, abs=1e-6)
    assert path.residuals.max() < 1e-9
    with pytest.raises(ValueError, match="lambdas must be"):
        fb.l1_path(*COUNTER, [0.0])
    with pytest.raises(ValueError, match="lambdas must be"):
        fb.l1_path(*COUNTER, 1)
    assert (fb.l1_path([[1.0, 2]], [0.0], 3).w == 0).all()


def test_stagewise_is_the_path_where_it_is_monotone():
    """Orthogonal features: the path is soft thresholding, monotone; stagewise stays within a few ε of it."""
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 4)))[0]
    y = Q @ [3.0, -2.0, 1.5, 0.5]
    path = fb.l1_path(Q, y, np.linspace(0.02, 5.9, 60))
    assert path.monotone
    for eps in (1e-2, 1e-3):
        steps = int(7 / eps)
        trace = fb.run(Q, y, loss="squared", method=m.stagewise(eps), steps=steps, record=np.arange(steps + 1))
        lengths = np.abs(trace.w).sum(axis=1)
        at = [np.argmin(np.abs(lengths - np.abs(w).sum())) for w in path.w]
        assert np.abs(trace.w[at] - path.w).max() < 4 * eps


@long
def test_stagewise_leaves_the_path_on_the_counter_example():
    path = fb.l1_path(*COUNTER, 200)
    assert not path.monotone
    ends = [fb.run(*COUNTER, loss="squared", method=m.stagewise(eps), steps=int(4 / eps), strict=False).w[-1]
            for eps in (1e-3, 1e-4)]
    wanted = np.array([-2 / 3, 1 / 4, -5 / 4])
    assert np.abs(ends[1] - wanted).max() < 4e-4
    assert np.abs(ends[0] - wanted).max() < 4e-3
    assert np.abs(wanted).sum() == pytest.approx(13 / 6)
    for method in (m.stagewise(0.01), m.coordinate_descent(0.1)):
        with pytest.raises(fb.NoTheorem, match=r"§2.4.*nearest"):
            fb.Plan(*COUNTER, loss="squared", method=method).limit()


# ------------------------------------------------------------------------------------------------- projections, harder

def test_projections_of_the_new_potentials_are_minimal():
    for psi in P.EXAMPLES:
        for seed in range(5):
            X, y, w0 = draw(seed, psi)
            limit = fb.bregman_projection(X, y, psi, w0)
            assert limit.certified
            rng = np.random.default_rng(seed)
            for _ in range(3):
                move = (np.eye(w0.size) - np.linalg.pinv(X) @ X) @ rng.normal(size=w0.size)
                if psi.symmetric:
                    move = (move.reshape(2 * (psi.symmetric,)) + move.reshape(2 * (psi.symmetric,)).T).ravel()
                other = limit.w + 1e-2 * move
                assert psi.divergence(other, w0) >= psi.divergence(limit.w, w0) - 1e-12


def test_projections_from_the_degenerate_start_zero():
    X, y = fb.data.random_regression(3, 7, 1)
    for psi, norm in ((P.squared_lp(1.5), fb.norms.lp(1.5)), (P.squared_lp(1.1), fb.norms.lp(1.1)),
                      (P.power(3), fb.norms.lp(3)), (P.power(1.5), fb.norms.lp(1.5))):
        limit = fb.bregman_projection(X, y, psi)
        assert limit.certified, psi
        assert norm(limit.w) == pytest.approx(norm(fb.minimum_norm(X, y, norm).w), rel=1e-6)
    E = fb.data.example(4)
    s = fb.bregman_projection(*E, P.squared_lp(4 / 3)).w[0]
    with mpmath.workdps(40):
        root = mpmath.findroot(lambda s: mpmath.cbrt(s) - (mpmath.cbrt(5 - s / 2) - mpmath.cbrt(4 + s / 2)) / 2, 2.3e-4)
    assert s == pytest.approx(float(root), rel=1e-9)


def test_projection_of_matrices_on_the_boundary_or_nowhere():
    psi = P.spectral_entropy(2)
    with pytest.raises(ValueError, match="semidefinite"):
        fb.bregman_projection([[[1, 0], [0, 1]]], [-1], psi)
    edge = fb.bregman_projection([[[1, 0], [0, 0]]], [0], psi)
    assert not edge.certified
    assert "semidefinite" in edge.hypotheses[0].evidence


def test_oracles_do_not_depend_on_units():
    X, y = fb.data.random_regression(5, 9, 3)
    for a, b in ((1e6, 1.0), (1.0, 1e-6), (1e-6, 1e6)):
        for norm in (fb.norms.l1, fb.norms.linf, fb.norms.lp(4 / 3), fb.norms.lp(3)):
            one, other = fb.minimum_norm(X, y, norm), fb.minimum_norm(a * X, b * y, norm)
            assert other.certified
            assert norm(other.w) == pytest.approx(norm(one.w) * b / a, rel=1e-9)
        path = fb.l1_path(a * X, b * y, 8)
        assert path.residuals.max() < 1e-9
        assert path.w == pytest.approx(fb.l1_path(X, y, 8).w * b / a, rel=1e-6, abs=1e-9 * b / a)


def test_a_coordinate_that_underflows_onto_the_boundary_is_certified_by_its_dual_variable():
    """x = (1, −40) from w(0) = (1, 1e-300): w = (e^ν, 1e-300 e^{−40ν}), whose second entry is 0 in float64; y = e² says ν = 2."""
    limit = fb.bregman_projection([[1.0, -40.0]], [np.exp(2.0)], "entropy", [1.0, 1e-300])
    assert limit.w[1] == 0.0
    assert limit.certified
    assert limit.w[0] == pytest.approx(np.exp(2.0), rel=1e-12)
    assert limit.dual == pytest.approx([2.0], rel=1e-12)
