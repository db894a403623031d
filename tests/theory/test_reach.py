"""Which starts come to the maximum margin, and what exactly balanced factors do, against runs and flows."""
import dataclasses

import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import null_space

import fastbias as fb
from fastbias.theory import reach
from tests.helpers.problems import holds

m = fb.methods
conv, diag = fb.models.convolutional(2), fb.models.diagonal(2)
both, wide, square = fb.models.diagonal(2, signed=True), fb.models.factorised(2, 3), fb.models.factorised(2, 2)


def plan_for(X, model, start, loss="exponential", method=None, y=None):
    X = np.asarray(X, float)
    X = X.reshape(-1, *model.shape) if model.shape else X.reshape(len(X), -1)
    scaled = m.gradient_descent(fb.steps.loss_scaled(0.02 / np.abs(X).reshape(len(X), -1).sum(1).max()))
    return fb.Plan(X, np.ones(len(X)) if y is None else y, loss=loss, method=method or scaled, model=model, start=start)


def balance(plan, flow=False):
    """The row that says whether the start lets the run, or the flow, come to the maximum margin."""
    try:
        rows = plan.limit(flow=flow).hypotheses
    except fb.NoTheorem as told:
        rows = told.hypotheses
    return next(h for h in rows if "balance" in h.statement)


def fraction(plan, until=-400):
    """The margin of a run in the model's norm, of the maximum."""
    norm, problem = plan.problem.model.bias(plan.problem.shape), plan.problem
    best = fb.max_margin(problem.X.reshape(-1, *problem.shape), problem.y, norm).margin
    return plan.run(100_000, until=until, strict=False).margin(norm)[-1] / best


AWAY = {"conv, an even sample": ([[-1, 1, 1]], conv, conv.start(0.3)),
        "conv, d even": ([[-1, 1, 0, 1]], conv, conv.start(0.05)),
        "conv, even samples": ([[-1, 1, 0.2, 0.2, 1], [-1, 0.9, 0.4, 0.4, 0.9]], conv, conv.start(0.3)),
        "conv, a shifted start": ([[1, -1, 1]], conv, np.concatenate([0.3 * np.eye(3)[1], 0.3 * np.eye(3)[0]])),
        "UVᵀ, diagonal samples": ([[[-2, 0, 0], [0, 1, 0]]], wide, wide.start(0.3)),
        "UVᵀ, V = −U": ([[[2, 0], [0, -1]]], square, 0.3 * np.concatenate([np.eye(2).ravel(), -np.eye(2).ravel()])),
        "UVᵀ, a reflection": ([[[-2, 0], [0, -1]]], square, [0.3, 0, 0, 0.3, 0.3, 0, 0, -0.3]),
        "UVᵀ, one start column": ([[[1, 0], [0, -3]]], square, [0.3, 0, 0, 0, 0.3, 0, 0, 0])}


@pytest.mark.parametrize("case", AWAY)
def test_starts_that_symmetry_or_balance_keeps_away(case):
    X, model, start = AWAY[case]
    plan = plan_for(X, model, start)
    with pytest.raises(fb.NoTheorem, match="almost every start") as told:
        plan.limit(flow=True)
    row = next(h for h in told.value.hypotheses if "balance" in h.statement)
    assert row.holds is False
    assert fraction(plan) <= float(row.evidence.partition("at most ")[2].split()[0]) + 1e-6
    zeros = case == "UVᵀ, one start column"                    # which no rounding spoils
    assert balance(plan).holds is (False if zeros else None)


@pytest.mark.long
@pytest.mark.parametrize("seed", [3, 5, 9, 13])
def test_no_run_is_said_to_stay_where_rounding_sets_it_free(seed):
    """Random even samples, and a start whose symmetry a flow keeps, and sums of float64 do not."""
    rng = np.random.default_rng(seed)
    d, N = int(rng.integers(3, 7)), int(rng.integers(1, 3))
    X = rng.normal(size=(N, d))
    X = (X + np.roll(X[:, ::-1], 1, axis=1)) / 2
    plan = plan_for(X, conv, conv.start(0.3, size=d))
    row = balance(plan, flow=True)
    assert row.holds is False
    told = row.evidence.partition("at most ")[2]
    assert fraction(plan, -3000) > (float(told.split()[0]) if told else 0) + 0.4
    row = balance(plan)
    assert row.holds is None
    assert "until rounding breaks that symmetry" in row.evidence


def test_a_symmetry_that_holds_but_for_rounding_is_no_proof():
    X, start = [[-1, 1, 1]], conv.start(0.3, size=3)
    assert balance(plan_for(X, conv, start), flow=True).holds is False
    near = balance(plan_for(X, conv, start + [0, 1e-17, 0, 0, 0, 0]), flow=True)
    assert near.holds is None
    assert "but for rounding" in near.evidence


@pytest.mark.long
@pytest.mark.parametrize(("X", "model", "start"), [
    ([[-1, 1, 1]], conv, [0.3, 0.1, 0, 0.3, 0, 0]), ([[1, 2, -1], [0.5, -1, 1]], conv, 0.1 * np.arange(6) ** 1.5),
    ([[[-2, 0, 0], [0, 1, 0]]], wide, 0.1 * np.arange(1, 11) ** 0.5 * [1, -1, 1, 1, 1, -1, 1, 1, -1, 1]),
    ([[[1, 2], [0, -3]]], square, np.concatenate([0.2 * np.eye(2).ravel(), np.zeros(4)])),
    ([[[1, 2], [0, -3]]], fb.models.factorised(2, 2, 4), np.eye(4).ravel() * 0.1),
    ([[1, -3]], both, [0.1, 0.2, 0.3, 0.1]), ([[1, -3]], both, [0.1, 0, 0, 0.1]), ([[1, -3]], diag, [0.1, 0.1, 0.1, -0.1])])
def test_starts_that_are_proved_to_arrive_do(X, model, start):
    plan = plan_for(X, model, start)
    assert balance(plan).holds is True
    assert fraction(plan, -3000) > 0.96


def test_what_is_not_proved_is_left_open():
    """Two generic phases at a frequency where factors balance: the flow turns round 0, and no argument here covers it."""
    plan = plan_for([[1, 2, -1], [0.5, -1, 1.5]], conv, conv.balanced([1.0, 0.3, -0.5]))
    row = balance(plan)
    assert row.holds is None
    assert "open" in row.evidence
    large = fb.models.convolutional(2)
    assert balance(plan_for(np.ones((1, 100)), large, large.start(0.1))).holds is None
    near = plan_for([[-1, 1, 1]], conv, conv.start(0.3, size=3) + [0, 1e-11, 0, 0, 0, 0])
    assert balance(near).holds is None


@pytest.mark.parametrize("seed", range(6))
def test_what_commutes_with_matrices_is_what_linear_algebra_finds(seed):
    """Against the null space of the whole system C ⊗ I ∓ I ⊗ C."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(2, k, k)) for k in ((2, 1, 2), (3,), (1, 1, 1), (2, 2), (4,), (1, 3))[seed]]
    if seed == 3:
        parts[1] = parts[0]                                    # two copies of one module
    n = sum(p.shape[1] for p in parts)
    S, at = np.zeros((2, n, n)), 0
    for p in parts:
        k = p.shape[1]
        S[:, at:at + k, at:at + k] = p + p.transpose(0, 2, 1)
        at += k
    if seed == 4:                                              # [[0, G], [Gᵀ, 0]] anticommutes with diag(1, −1)
        S[:, :2, :2] = S[:, 2:, 2:] = 0
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    S = Q @ S @ Q.T
    for sign in (1.0, -1.0):
        C = reach._commuting(S, sign)
        system = np.vstack([np.kron(np.eye(n), s) - sign * np.kron(s, np.eye(n)) for s in S])
        assert len(C) == null_space(system, rcond=1e-10).shape[1]
        assert all(np.abs(c @ s - sign * s @ c).max() < 1e-10 * np.abs(s).max() for c in C for s in S)


@pytest.mark.parametrize("model", [diag, both], ids=repr)
def test_another_maximiser_of_the_signs_that_are_kept_counts(model):
    start = np.full(4, 0.3) if model is diag else np.array([0.3, 0.3, 0.0, 0.0])           # w stays ≥ 0
    assert balance(plan_for([[1.0, -1.0]], model, start)).holds is True                    # (1, 0) and (0, −1) tie
    assert balance(plan_for([[1.0, -1.5]], model, start)).holds is False
    assert balance(plan_for([[-1.0, -1.5]], model, start)).holds is False


def test_deep_linear_networks_have_one_stationary_point_of_positive_margins():
    X = [[1.0, 0.5, -1.0], [0.2, 1.0, 1.0]]
    model = fb.models.deep_linear(2, width=2)
    plan = plan_for(X, model, model.balanced([1.0, 0.2, 0.1]))
    limit = plan.limit()
    assert balance(plan).holds is True
    assert plan.run(20_000, until=-400).margin(fb.norms.l2)[-1] > 0.98 * limit.margin
    deep = fb.models.deep_linear(3, width=2)
    assert balance(plan_for(X, deep, np.eye(1, deep.parameters(3))[0])).holds is False       # two layers are 0


@pytest.mark.long
def test_deep_linear_networks_of_balanced_factors_and_the_wrong_sign_end_in_0():
    """w = uv from u = v keeps its sign: where the data ask for the other one the run comes to rest in the saddle."""
    model, X = fb.models.deep_linear(2, width=1), [[-1.0], [-0.3]]
    plan = plan_for(X, model, np.full(2, 0.3), method=m.gradient_descent(0.05))
    row = balance(plan)
    assert row.holds is None
    assert "a flow stays away" in row.evidence
    with pytest.raises(fb.NoTheorem, match="not generic"):
        plan.limit(flow=True)
    assert np.abs(plan.run(20_000).w[-1]).max() < 1e-9
    for start in ([0.3, 0.31], [0.3, -0.3]):
        free = plan_for(X, model, start, method=m.gradient_descent(0.05))
        assert balance(free).holds is True
        assert free.run(20_000).w[-1][0] < -1


@pytest.mark.parametrize(("depth", "d"), [(3, 1), (4, 1), (2, 200)])
def test_where_nothing_proves_that_a_deep_network_leaves_0_it_is_open(depth, d):
    """Factors that are all alike keep their sign, and the data ask for the other one; of many features nobody looks."""
    model, X = fb.models.deep_linear(depth, width=1), np.eye(2, d) * [[-1.0], [-0.3]] if d > 1 else [[-1.0], [-0.3]]
    layers = [np.full(s, 0.3) * (np.eye(1, d).reshape(s) if i == 0 else 1) for i, s in enumerate(model.layers(d))]
    plan = plan_for(X, model, np.concatenate([layer.ravel() for layer in layers]))
    assert balance(plan).holds is None
    far = plan_for(X, model, np.concatenate([(-layer if i == 0 else layer).ravel() for i, layer in enumerate(layers)]))
    assert balance(far).holds is True                                   # on the way already: L is under that of 0


def test_a_direction_that_is_one_of_a_face_says_so():
    for X, model in (([np.eye(2)], fb.models.symmetric(2)), ([[1.0, 1.0]], both), ([np.eye(2)], square)):
        limit = plan_for(X, model, model.start(0.3)).limit()
        assert any(".w is one of a face" in h.evidence and h.holds is None for h in limit.hypotheses)
    alone = plan_for([[1.0, 2.0]], both, both.start(0.3)).limit()
    assert not any(".w is one of a face" in h.evidence for h in alone.hypotheses)


@pytest.mark.parametrize(("X", "unique"), [
    ([np.eye(3)], False), ([np.diag([1.0, 1, 0])], False), ([np.diag([2.0, 1, 1])], True),
    ([np.diag([1.0, 1 - 1e-8])], None),
    ([np.diag([2.0, 0]), np.diag([0, 1.0])], False), ([np.diag([1.0, 1, -1]), np.diag([1.0, -1, 1])], True),
    ([[[1.0, 0], [0, 1]], [[1, 0.5], [0.5, 1]]], False), ([np.diag([1.0, 2, 2]), np.diag([2.0, 1, 1])], False)])
def test_uniqueness_of_semidefinite_margins(X, unique):
    row = fb.psd_margin(X, np.ones(len(X))).hypotheses[0]
    assert row.holds is unique


def test_when_the_loss_goes_to_0():
    def vanishing(plan, flow=False):
        return next(h.holds for h in plan.limit(flow=flow).hypotheses if h.statement == "L(w_t) → 0")

    X = [[1.0, 0.5, -1.0], [0.2, 1.0, 1.0]]
    assert vanishing(plan_for(X, both, np.full(6, 0.01)), flow=True) is True
    assert vanishing(plan_for(X, both, np.full(6, 0.01))) is None
    right = plan_for(X, conv, conv.balanced([3.0, 3.0, 1.0]) + 0.01 * np.arange(6))
    assert (right.problem.Z @ right.run(0).w[0] > 0).all()
    assert vanishing(right, flow=True) is (True if right.run(0).log_loss[0] < 0 else None)
    wrong = plan_for(X, conv, np.array([0.1, -0.2, 0.1, 0.3, 0.1, 0.2]))
    assert wrong.run(0).log_loss[0] > 0
    assert vanishing(wrong, flow=True) is None
    fitted = plan_for([[1.0, 2.0]], both, np.full(4, 0.1), "squared", m.gradient_descent(0.01))
    assert vanishing(fitted, flow=True) is True
    assert vanishing(fitted) is None


# --- exactly balanced factors, losses with a root ------------------------------------------------------------------------

def mixed(seed):
    """A network with coordinates that are free, keep +, keep −, and never move; targets of the signs that are kept."""
    rng = np.random.default_rng(seed)
    d, signed = 6, bool(seed % 2)
    kinds = rng.permutation([0, 0, 1, 1, 2, 3])
    p, q = rng.uniform(0.3, 1.2, (2, d)) * [rng.choice([-1, 1], d), np.ones(d)]
    if signed:
        p, q = np.where(kinds > 1, 0, p), np.where((kinds == 1) | (kinds == 3), 0, q)
    else:
        p = np.where(kinds == 3, 0, p)
        q = np.select([kinds == 1, kinds > 1], [p, -p], q)
    X, w = rng.normal(size=(3, d)), rng.normal(size=d)
    w = np.select([kinds == 1, kinds == 2, kinds == 3], [np.abs(w), -np.abs(w), 0], w)
    return fb.models.diagonal(2, signed=signed), kinds, np.concatenate([p, q]), X, X @ w


def flowed(model, u, X, y):
    d, signed = u.size // 2, "signed" in model.name

    def F(u):
        return u[:d] ** 2 - u[d:] ** 2 if signed else u[:d] * u[d:]

    def rate(t, u):
        v = -2 * X.T @ (X @ F(u) - y)
        return np.concatenate([2 * v * u[:d], -2 * v * u[d:]] if signed else [v * u[d:], v * u[:d]])
    return F(solve_ivp(rate, (0, 3e3), u, method="LSODA", rtol=1e-12, atol=1e-14).y[:, -1])


@pytest.mark.parametrize("seed", range(6))
def test_mixed_balanced_and_free_coordinates_follow_entropy_and_hyperbolic_entropy(seed):
    model, kinds, start, X, y = mixed(seed)
    limit = plan_for(X, model, start, "squared", m.gradient_descent(0.01), y).limit(flow=True)
    assert limit.certified
    assert limit.w == pytest.approx(flowed(model, start, X, y), abs=1e-7)
    assert (limit.w[kinds == 3] == 0).all()
    row = next(h for h in limit.hypotheses if "balance" in h.statement)
    assert str(int(np.flatnonzero(kinds == 3)[0])) in row.evidence.partition("stays 0")[2]


def test_balanced_networks_are_the_entropy_and_its_mirror_image():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3, 5))
    w, root = rng.uniform(0.2, 2, 5), rng.uniform(0.5, 1.5, 5)
    goal = fb.bregman_projection(X, X @ w, "entropy", root ** 2).w
    for model, start, sign in ((diag, [root, root], 1), (diag, [root, -root], -1), (both, [root, 0 * root], 1),
                               (both, [0 * root, root], -1)):
        limit = plan_for(X, model, np.concatenate(start), "squared", m.gradient_descent(0.01), sign * X @ w).limit()
        assert limit.certified
        assert sign * limit.w == pytest.approx(goal, rel=1e-10)


def test_what_exact_balance_puts_out_of_reach_is_said_with_its_coordinates():
    gd = m.gradient_descent(0.01)
    for X, y, start, words in (([[1.0, 1.0]], [-1.0], [1.0, 1, 1, 1], "at 0, 1"),
                               ([[1.0, 0.0], [0, 1.0]], [1.0, 1], [1.0, 0, 1, 0], "stays 0, as its factors are 0, at 1")):
        with pytest.raises(fb.NoTheorem, match=words):
            plan_for(X, diag, start, "squared", gd, y).limit()
    edge = plan_for([[1.0, 0.0], [1.0, 1.0]], diag, [1.0, 1, 1, 0.5], "squared", gd, [0.0, 2.0]).limit()
    assert not edge.certified
    assert edge.w == pytest.approx([0, 2])
    assert any("0 in every solution" in h.evidence for h in edge.hypotheses)


@pytest.mark.parametrize("scale", [1e-12, 1e-60, 1e-100])
def test_tiny_starts_have_certified_limits(scale):
    """min Σ ψ over x·w = 1 in 60 digits: w_i = β sinh(ν x_i)."""
    x = np.array([1.0, 0.5, -0.7])
    with mpmath.workdps(200):
        beta, xs = 2 * mpmath.mpf(scale) ** 2, [mpmath.mpf(float(v)) for v in x]
        nu = mpmath.findroot(lambda v: mpmath.log(sum(xi * beta * mpmath.sinh(v * xi) for xi in xs)), -mpmath.log(beta))
        exact = np.array([float(beta * mpmath.sinh(nu * xi)) for xi in xs])
    plan = plan_for([x], both, np.full(6, scale), "squared", m.gradient_descent(0.01), [1.0])
    for found in (plan.limit(), fb.bregman_projection([x], [1.0], fb.potentials.hypentropy(2 * scale ** 2))):
        assert found.certified
        assert found.w == pytest.approx(exact, rel=1e-9)
    assert holds(plan.limit(), "mirror flow in w") is True         # F'F'ᵀ = 2β cosh z at any β, though its square vanishes
    lopsided = plan_for([x], diag, np.concatenate([np.full(3, scale), np.full(3, -scale / 3)]), "squared",
                        m.gradient_descent(0.01), [1.0]).limit()
    assert lopsided.certified


@pytest.mark.parametrize("seed", range(8))
def test_projections_at_tiny_scales_are_certified(seed):
    """Also where the l1 solution has fewer entries than there are equations."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(3, 10))
    X = rng.integers(-2, 3, size=(int(rng.integers(1, d)), d)).astype(float) if seed % 2 else rng.normal(size=(d - 1, d))
    y = X @ rng.integers(-2, 3, size=d)
    if y.any():
        found = fb.bregman_projection(X, y, fb.potentials.hypentropy(2e-120))
        assert found.certified
        assert np.abs(found.w).sum() == pytest.approx(np.abs(fb.minimum_norm(X, y, "l1").w).sum(), rel=0.02)


@pytest.mark.parametrize("scale", [0.3, 1e-12, 1e-60])
@pytest.mark.parametrize("seed", range(3))
def test_commuting_samples_are_the_entropy_of_eigenvalues_from_tiny_starts_too(scale, seed):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rows, w = rng.uniform(0.2, 1, (2, 3)), rng.uniform(0.2, 1, 3)
    X = np.array([(Q * row) @ Q.T for row in rows])
    X = (X + X.transpose(0, 2, 1)) / 2
    model = fb.models.symmetric(3)
    limit = plan_for(X, model, model.start(scale), "squared", m.gradient_descent(0.01), rows @ w).limit()
    assert limit.certified
    goal = fb.bregman_projection(rows, rows @ w, "entropy", np.full(3, scale ** 2))
    assert goal.certified
    assert limit.w == pytest.approx((Q * goal.w) @ Q.T, abs=1e-9)


def test_a_potential_that_is_not_the_models_is_seen():
    wrong = dataclasses.replace(diag, mirror=lambda u: fb.potentials.euclidean)
    with pytest.raises(fb.NoTheorem, match="where mirror is claimed"):
        plan_for([[1.0, 2.0]], wrong, [1.0, 0.5, 1, 1], "squared", m.gradient_descent(0.01), [1.0]).limit()
