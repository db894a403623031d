"""Every method, geometry and momentum against its naive twin, step for step."""
import itertools

import numpy as np
import pytest

import fastbias as fb
from fastbias.engine.call import call
from tests.helpers import JIT, naive, naive_tasks
from tests.helpers.problems import separable

STEPS = 1000 if JIT else 60
D3 = np.array([[2.0, 0.5, 0.0, 0.1], [0.5, 1.0, 0.3, 0.0], [0.0, 0.3, 3.0, 0.2], [0.1, 0.0, 0.2, 1.5]])
X, y = fb.data.random_regression(3, 4, rng=1, positive=True)
ETA = 0.2 / np.linalg.norm(X, 2) ** 2
ONES = np.ones(4)
m = fb.methods
SEQUENCE = ETA * np.array([1.0, 0.5, 0.7, 0.4])
BETAS = np.array([0.0, 0.5, 0.1, 0.3])
QUADRATIC = fb.potentials.quadratic(D3)
LINK = naive.quadratic_link(D3)

G2 = np.array([[1.0, 1, 1, 1], [1, -1, 0, 2]])
SYMMETRIC = np.array([[1.0, 0.3, 0.3, -0.5], [0.2, -0.4, -0.4, 1.0], [0.5, 0.1, 0.1, 0.7]])


def drawn(batch, replace):
    """The samples of each update, read from the compiled sampler; test_draws_* hold it to account."""
    sampling = m.gradient_descent(1, batch=batch, replace=replace, rng=3).sampling
    order = np.full(2 * len(X) + 1, -1)
    return lambda k: order[:call(sampling.piece, sampling.params, k, order)].copy()


CASES = {
    "gd": (m.gradient_descent(ETA), lambda n: naive.gradient_descent(X, y, 0 * ONES, ETA, n)),
    "gd heavy ball": (m.gradient_descent(ETA, 0.9), lambda n: naive.gradient_descent(X, y, 0 * ONES, ETA, n, 0.9)),
    "gd nesterov": (m.gradient_descent(ETA, 0.8, 0.8), lambda n: naive.gradient_descent(X, y, 0 * ONES, ETA, n, 0.8, 0.8)),
    "gd arrays": (m.gradient_descent(SEQUENCE, BETAS, BETAS[::-1]),
                  lambda n: naive.gradient_descent(X, y, 0 * ONES, SEQUENCE, n, BETAS, BETAS[::-1])),
    "gd power": (m.gradient_descent(fb.steps.power(ETA, 0.7)),
                 lambda n: naive.gradient_descent(X, y, 0 * ONES, naive.power_steps(ETA, 0.7, n), n)),
    "mirror euclidean": (m.mirror_descent("euclidean", ETA),
                         lambda n: naive.mirror_descent(X, y, 0 * ONES, ETA, n, naive.LINKS["euclidean"])),
    "mirror quadratic": (m.mirror_descent(QUADRATIC, ETA), lambda n: naive.mirror_descent(X, y, 0 * ONES, ETA, n, LINK)),
    "mirror entropy": (m.mirror_descent("entropy", ETA),
                       lambda n: naive.mirror_descent(X, y, ONES, ETA, n, naive.LINKS["entropy"])),
    "dual momentum": (m.mirror_descent("entropy", ETA, dual_momentum=0.5, nesterov=0.3),
                      lambda n: naive.mirror_descent(X, y, ONES, ETA, n, naive.LINKS["entropy"], 0.5, 0.3)),
    "dual momentum arrays": (m.mirror_descent(fb.potentials.entropy, SEQUENCE, dual_momentum=BETAS),
                             lambda n: naive.mirror_descent(X, y, ONES, SEQUENCE, n, naive.LINKS["entropy"], BETAS)),
    "primal momentum": (m.mirror_descent("entropy", ETA, primal_momentum=0.2, nesterov=0.1),
                        lambda n: naive.primal_momentum(X, y, ONES, ETA, n, naive.LINKS["entropy"], 0.2, 0.1)),
    "primal momentum quadratic": (m.mirror_descent(QUADRATIC, ETA, primal_momentum=0.4),
                                  lambda n: naive.primal_momentum(X, y, 0 * ONES, ETA, n, LINK, 0.4)),
    "natural entropy": (m.natural_gradient("entropy", ETA),
                        lambda n: naive.natural_gradient(X, y, ONES, ETA, n, np.diag)),
    "natural quadratic": (m.natural_gradient(QUADRATIC, ETA),
                          lambda n: naive.natural_gradient(X, y, 0 * ONES, ETA, n, lambda w: np.linalg.inv(D3))),
    "steepest quadratic": (m.steepest_descent(fb.norms.quadratic(D3), ETA),
                           lambda n: naive.steepest_descent(X, y, 0 * ONES, ETA, n, lambda g: -np.linalg.solve(D3, g))),
    "gd huber": (m.gradient_descent(ETA), lambda n: naive.gradient_descent(
        X, y, 0 * ONES, ETA, n, g=lambda X, y, w: naive.huber_gradient(X, y, w, 0.5)), fb.losses.huber(0.5)),
    "gd truncated": (m.gradient_descent(ETA), lambda n: naive.gradient_descent(
        X, y, 0 * ONES, ETA, n, g=lambda X, y, w: naive.truncated_gradient(X, y, w, 1.5)),
        fb.losses.truncated_squared(1.5)),
    "sgd": (m.gradient_descent(ETA, 0.5, batch=2, rng=3),
            lambda n: naive.gradient_descent(X, y, 0 * ONES, ETA, n, 0.5, samples=drawn(2, True))),
    "sgd epochs": (m.gradient_descent(ETA, 0.5, 0.5, batch=2, replace=False, rng=3),
                   lambda n: naive.gradient_descent(X, y, 0 * ONES, ETA, n, 0.5, 0.5, samples=drawn(2, False))),
    "stochastic mirror": (m.mirror_descent("entropy", ETA, dual_momentum=0.3, batch=1, rng=3),
                          lambda n: naive.mirror_descent(X, y, ONES, ETA, n, naive.LINKS["entropy"], 0.3,
                                                         samples=drawn(1, True))),
    "exponentiated gradient": (m.mirror_descent("entropy", ETA, constraint=([[1, 1, 1, 1]], [1])),
                               lambda n: naive.exponentiated_gradient(X, y, ONES / 4, ETA, n)),
    "two constraints": (m.mirror_descent("euclidean", ETA, constraint=(G2, [1, 0.5])),
                        lambda n: naive.constrained_gradient(X, y, np.linalg.pinv(G2) @ [1, 0.5], ETA, n, G2, [1, 0.5])),
    "coordinate": (m.coordinate_descent(ETA), lambda n: naive.steepest_descent(
        X, y, 0 * ONES, ETA, n, naive.coordinate_direction)),
    "coordinate average": (m.coordinate_descent(ETA, "average", 0.3, shrinkage=0.5), lambda n: naive.steepest_descent(
        X, y, 0 * ONES, ETA / 2, n, lambda g: naive.coordinate_direction(g, "average", 0.3))),
    "stagewise": (m.stagewise(0.01), lambda n: naive.steepest_descent(
        X, y, 0 * ONES, 0.01, n, lambda g: naive.coordinate_direction(g, "average", unit=True))),
    "steepest group": (m.steepest_descent(fb.norms.group([[0, 2], [1], [3]]), ETA), lambda n: naive.steepest_descent(
        X, y, 0 * ONES, ETA, n, lambda g: naive.group_direction(g, [[0, 2], [1], [3]]))),
    "mirror spectral": (m.mirror_descent(fb.potentials.spectral_entropy(2), ETA), lambda n: naive.mirror_descent(
        SYMMETRIC, y, np.eye(2).ravel(), ETA, n, naive.spectral_link(2))),
} | {
    f"{kind} {psi.name} {i}": (
        (m.mirror_descent(psi, ETA, dual_momentum=0.3) if kind == "mirror" else m.natural_gradient(psi, ETA)),
        (lambda n, start=start, link=link: naive.mirror_descent(X, y, start, ETA, n, link, 0.3)) if kind == "mirror" else
        (lambda n, start=start, inverse=inverse: naive.natural_gradient(X, y, start, ETA, n, inverse)), "squared", start)
    for i, (psi, start, link, inverse) in enumerate([
        (fb.potentials.cosh, 0.1 * ONES, naive.LINKS["cosh"], naive.INVERSE_HESSIANS["cosh"]),
        (fb.potentials.hypentropy(0.3), 0.1 * ONES, naive.hypentropy_link(0.3), lambda w: np.diag(np.hypot(w, 0.3))),
        (fb.potentials.power(1.5), ONES, naive.power_link(1.5), lambda w: np.diag(abs(w) ** 0.5 / 0.5)),
        (fb.potentials.power(3), ONES, naive.power_link(3), lambda w: np.diag(abs(w) ** -1 / 2)),
        (fb.potentials.squared_lp(1.5), ONES, naive.squared_lp_link(1.5), naive.squared_lp_inverse_hessian(1.5)),
        (fb.potentials.squared_lp(1.2), ONES, naive.squared_lp_link(1.2), naive.squared_lp_inverse_hessian(1.2)),
    ]) for kind in ("mirror", "natural")
} | {
    f"steepest l{p:.3g}": (m.steepest_descent(fb.norms.lp(p), ETA / 2),
                           lambda n, p=p: naive.steepest_descent(X, y, 0 * ONES, ETA / 2, n,
                                                                 lambda g: naive.steepest_direction(g, p)))
    for p in (1, 4 / 3, 1.5, 2, 3, np.inf)
}


@pytest.mark.parametrize("case", CASES)
def test_iterates_equal_the_naive_twin(case):
    method, twin, loss, start = CASES[case] + ("squared", None)[len(CASES[case]) - 2:]
    A = SYMMETRIC.reshape(-1, 2, 2) if "spectral" in case else X
    plan = fb.Plan(A, y, loss=loss, method=method, start=start)
    trace = plan.run(STEPS, record=np.arange(STEPS + 1))
    wanted = np.array(list(twin(trace.t[-1])))
    error = np.abs(trace.u - wanted).max() / np.abs(wanted).max()
    assert error <= 1e-12, error


# --- every method and step rule that there is has a twin --------------------------------------------------------------

U, t = separable(6, 4, 3)
MIXED = 0.3 * separable(12, 4, 3)[0], np.array([1.0, -1] * 6)      # which no search can follow for ever


def by_name(method):
    return f"{method.name} {m.EXAMPLES.index(method)}"


@pytest.mark.parametrize("method", m.EXAMPLES, ids=by_name)
def test_every_example_equals_the_twin_of_its_name(method):
    name = method.recipe[0]
    plan = fb.Plan(U.reshape(-1, 2, 2) if name == "muon" else U, t, loss="exponential", method=method)
    steps = 40                                                # g/√v of a coordinate that crosses zero is chaotic later
    u = plan.run(steps, record=np.arange(steps + 1)).u
    wanted = naive.twin(method, U, t, "exponential", plan.problem.start, steps)
    assert np.abs(u - wanted).max() <= 1e-11 * np.abs(wanted).max()
    assert np.abs(np.diff(wanted, axis=0)).max(axis=1).min() > 0


def test_every_public_method_is_an_example_and_has_a_twin():
    public = set(m.__all__) - {"Method"}
    assert {method.name for method in m.EXAMPLES} == public
    assert set(naive.METHODS) == public
    assert all(method.recipe[0] == method.name for method in m.EXAMPLES)


@pytest.mark.parametrize("rule", [*fb.steps.EXAMPLES, fb.steps.line_search()], ids=repr)
def test_every_step_rule_equals_the_twin_of_its_name(rule):
    for method in (m.gradient_descent(rule), m.steepest_descent(fb.norms.lp(1.5), rule), m.coordinate_descent(rule)):
        name = method.recipe[0]
        plan = fb.Plan(*MIXED, loss="exponential", method=method)
        trace = plan.run(20, record=np.arange(21))
        twin = naive.METHODS[name](naive.Task(*MIXED, "exponential"), np.zeros(4), 20, **naive.bare(method))
        assert trace.w == pytest.approx(np.array(list(twin)), rel=1e-8 if rule.search else 1e-11, abs=1e-13)


def test_every_public_step_rule_has_a_twin():
    public = set(fb.steps.__all__) - {"StepRule", "chosen"}        # the latter says of a rule what it rests on
    assert {rule.name for rule in (*fb.steps.EXAMPLES, fb.steps.line_search())} == public
    assert set(naive_tasks.RULES) == public


def test_normalised_steps_move_by_exactly_eta():
    for norm in fb.norms.EXAMPLES:
        d = norm.size or 4
        A, b = fb.data.random_regression(2, d, rng=3)
        trace = fb.run(A, b, loss="squared", method=m.steepest_descent(norm, 0.01, normalised=True), steps=5,
                       record=np.arange(6))
        assert norm(np.diff(trace.w, axis=0)) == pytest.approx(0.01, rel=1e-12)
        full = fb.run(A, b, loss="squared", method=m.steepest_descent(norm, 0.01), steps=1).w
        g = 2 * A.T @ b
        assert norm(full[1]) == pytest.approx(0.01 * norm.dual(g), rel=1e-12)
        assert full[1] / norm(full[1]) == pytest.approx(trace.w[1] / norm(trace.w[1]), rel=1e-10)


def test_at_rest_nothing_moves_and_nothing_is_nan():
    w = np.array([1.0, 2.0, 3.0, 4.0])
    for method in (m.gradient_descent(0.1, 0.5), m.steepest_descent("l1", 0.1), m.steepest_descent(fb.norms.lp(3), 0.1),
                   m.steepest_descent("linf", 0.1, normalised=True)):
        trace = fb.run([[1, 1, 1, 1]], [10], loss="squared", method=method, start=w, steps=10)
        assert (trace.w == w).all()
        assert trace.log_loss[-1] == -np.inf


def test_users_own_metric_is_natural_gradient():
    @fb.piece(fb.abi.MAP_AT)
    def inverse_metric(params, w, g, out):
        for i in range(w.size):
            if w[i] <= 0:
                return 2
            out[i] = w[i] * g[i]
        return 0

    own = fb.run(X, y, loss="squared", method=m.natural_gradient(inverse_metric, ETA), start=ONES, steps=50)
    ours = fb.run(X, y, loss="squared", method=m.natural_gradient("entropy", ETA), steps=50)
    assert (own.w == ours.w).all()
    plan = fb.Plan(X, y, loss="squared", method=m.natural_gradient(inverse_metric, ETA), start=ONES)
    assert np.abs(plan.flow().w[-1] - fb.bregman_projection(X, y, fb.potentials.entropy).w).max() < 1e-9
    with pytest.raises(fb.NoTheorem, match="metric"):
        plan.limit()
    with pytest.raises(TypeError, match="MAP_AT"):
        m.natural_gradient(fb.norms.l2.norm, ETA)


def test_proposition_2a_momentum_in_one_step_only_changes_the_limit():
    A, b = fb.data.example(2)
    once = m.mirror_descent("entropy", 0.05, primal_momentum=[0.0, 0.5, 0.0])
    trace = fb.run(A, b, loss="squared", method=once, steps=3000 if JIT else 500)
    assert trace.log_loss[-1] < -50
    assert trace.gap(fb.bregman_projection(A, b, fb.potentials.entropy))[-1] > 1e-3


def test_reprs_say_what_is_run():
    assert repr(m.mirror_descent("entropy", 0.1, dual_momentum=0.5)) == \
        "mirror_descent(entropy, constant(0.1), dual_momentum=0.5)"
    assert "nesterov=0.1, …" in repr(m.gradient_descent([0.1, 0.2], nesterov=[0.1, 0.2]))
    assert "l1" in repr(m.steepest_descent(fb.norms.l1, fb.steps.power(1, 0.5)))
    assert "euclidean" in repr(fb.Plan(X, y, loss="squared", method=m.mirror_descent("euclidean", 0.1)))


@pytest.mark.long
def test_primal_momentum_comes_to_rest():
    """With z = ∇ψ(w) kept in the state; recomputed from w at every step, these runs drift along the minima for ever."""
    A, b = fb.data.example(2)
    for eta, beta, gamma in ((0.02, 0.7, 0.7), (0.03, 0.6, 0.0), (0.05, 0.5, 0.0)):
        method = m.mirror_descent("entropy", eta, primal_momentum=beta, nesterov=gamma)
        trace = fb.run(A, b, loss="squared", method=method, steps=1_000_000)
        assert trace.status == fb.Status.STALLED, (eta, beta, gamma)


def test_momentum_conventions_equal_pytorchs():
    """At constant parameters: heavy ball μ is our β (γ = 0), Nesterov μ is β = γ = μ, in PyTorch's shifted variable."""
    steps, mu = 200, 0.9
    torch = np.array(list(naive.pytorch_sgd(X, y, 0 * ONES, ETA, mu, False, steps)))
    ours = fb.run(X, y, loss="squared", method=m.gradient_descent(ETA, mu), steps=steps, record=np.arange(steps + 1)).w
    assert ours == pytest.approx(torch, rel=1e-11, abs=1e-12)
    shifted = np.array(list(naive.pytorch_sgd(X, y, 0 * ONES, ETA, mu, True, steps)))
    trace = fb.run(X, y, loss="squared", method=m.gradient_descent(ETA, mu, mu), steps=steps, record=np.arange(steps + 1))
    moves = np.diff(trace.w, axis=0, prepend=trace.w[:1])
    assert trace.w + mu * moves == pytest.approx(shifted, rel=1e-11, abs=1e-12)


def batches(batch, replace, N, steps, seed=3):
    sampling = m.gradient_descent(1, batch=batch, replace=replace, rng=seed).sampling
    order = np.full(2 * N + 1, -1)
    return [order[:call(sampling.piece, sampling.params, k, order)].tolist() for k in range(steps)]


def test_draws_with_replacement_are_uniform_and_depend_on_seed_and_t_alone():
    rows = batches(3, True, 7, 3000 if JIT else 300)
    counts = np.bincount(np.ravel(rows), minlength=7)
    expected = len(rows) * 3 / 7
    assert ((counts - expected) ** 2 / expected).sum() < 22.5           # χ² with 6 degrees of freedom, p = 1e-3
    pairs = np.bincount([7 * a + b for (a, _, _), (b, _, _) in itertools.pairwise(rows)], minlength=49)
    assert ((pairs - len(rows) / 49) ** 2 / (len(rows) / 49)).sum() < 94    # 48 degrees of freedom, p = 1e-4
    assert batches(3, True, 7, 50) == rows[:50]
    assert batches(3, True, 7, 50, seed=4) != rows[:50]


def test_draws_by_permutation_take_each_sample_once_an_epoch():
    rows = batches(3, False, 7, 300)
    epochs = [[n for r in rows[i:i + 3] for n in r] for i in range(0, 300, 3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert [len(r) for r in rows[:3]] == [3, 3, 1]
    firsts = np.bincount([e[0] for e in epochs], minlength=7)
    assert ((firsts - 100 / 7) ** 2 / (100 / 7)).sum() < 22.5
    sampling = m.gradient_descent(1, batch=3, replace=False, rng=3).sampling
    order = np.full(15, -1)                                            # in the middle of nowhere: the same draws
    assert order[:call(sampling.piece, sampling.params, 200, order)].tolist() == rows[200]
    whole = batches(7, False, 7, 3)
    assert all(sorted(r) == list(range(7)) for r in whole)


def test_random_ties_are_drawn_evenly_and_by_step():
    A, b = np.ones((1, 4)), [1.0]
    moved = []
    for seed in range(400 if JIT else 100):
        trace = fb.run(A, b, loss="squared", method=m.coordinate_descent(0.1, "random", rng=seed), steps=1)
        moved.append(int(np.flatnonzero(trace.w[-1])[0]))
    counts = np.bincount(moved, minlength=4)
    assert ((counts - len(moved) / 4) ** 2 / (len(moved) / 4)).sum() < 16.3       # 3 degrees of freedom, p = 1e-3
    one = fb.run(A, b, loss="squared", method=m.coordinate_descent(0.01, "random", rng=1), steps=50)
    two = fb.run(A, b, loss="squared", method=m.coordinate_descent(0.01, "random", rng=1), steps=50)
    assert (one.w == two.w).all()
    assert (one.w[-1] > 0).sum() > 1


def test_ties_average_first_and_tolerance():
    A, b = np.array([[1.0, 1.0, 0.9]]), [1.0]
    step = {ties: fb.run(A, b, loss="squared", method=m.coordinate_descent(0.1, ties), steps=1).w[-1]
            for ties in ("first", "average")}
    assert step["first"] == pytest.approx([0.2, 0, 0])
    assert step["average"] == pytest.approx([0.1, 0.1, 0])
    wide = fb.run(A, b, loss="squared", method=m.coordinate_descent(0.1, "average", tie_tol=0.2), steps=1).w[-1]
    assert wide == pytest.approx([0.2 / 3, 0.2 / 3, 0.18 / 3])
    rest = fb.run(A, [0.0], loss="squared", method=m.coordinate_descent(0.1), steps=3)
    assert (rest.w == 0).all()


def test_generators_and_seeds():
    a = m.gradient_descent(0.1, batch=1, rng=np.random.default_rng(5))
    b = m.gradient_descent(0.1, batch=1, rng=np.random.default_rng(5))
    assert a.sampling == b.sampling != m.gradient_descent(0.1, batch=1, rng=6).sampling
    assert m.gradient_descent(0.1, batch=1).sampling != m.gradient_descent(0.1, batch=1).sampling
    for bad in ("a", -1, 1.5):
        with pytest.raises(TypeError, match="rng must be None, a whole number >= 0 or a numpy Generator"):
            m.gradient_descent(0.1, batch=1, rng=bad)


def test_constraints_are_kept_and_checked():
    method = m.mirror_descent("entropy", ETA, constraint=(G2, [4, 3]), dual_momentum=0.2)
    plan = fb.Plan(X, y, loss="squared", method=method)
    trace = plan.run(200)
    assert trace.w @ G2.T == pytest.approx(np.tile([4, 3], (len(trace), 1)), abs=1e-12)
    doubled = m.mirror_descent("entropy", ETA, constraint=(np.vstack([G2, G2]), [4, 3, 4, 3]), dual_momentum=0.2)
    assert fb.run(X, y, loss="squared", method=doubled, steps=200).w == pytest.approx(trace.w, rel=1e-10)
    simplex = ([[1, 1, 1, 1]], [1])
    assert fb.Plan(X, y, loss="squared", method=m.mirror_descent("entropy", ETA, constraint=simplex)).u == \
        pytest.approx(0.25 * ONES, abs=1e-15)
    for bad, words in ((lambda: m.mirror_descent("entropy", 1, constraint=3), r"constraint must be a pair \(G, h\), got 3"),
                       (lambda: m.mirror_descent("entropy", 1, constraint=([[1, 1], [1, 1]], [1, 2])), "no w satisfies"),
                       (lambda: m.mirror_descent("entropy", 1, primal_momentum=0.1, constraint=simplex), "primal_momentum"),
                       (lambda: fb.Plan([[1, 2]], [1], loss="squared",
                                        method=m.mirror_descent("entropy", 1, constraint=simplex)), "must have 2 columns")):
        with pytest.raises((ValueError, TypeError), match=words):
            bad()


def test_large_constrained_steps_still_meet_the_constraint():
    method = m.mirror_descent("entropy", 50.0, constraint=([[1, 1, 1, 1]], [1]))
    trace = fb.run(X, y, loss="squared", method=method, steps=5, strict=False)
    assert np.isfinite(trace.w).all()
    assert trace.w.sum(axis=1) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("start", [1 / 3, 1e-200, 1e200])    # off the constraint as well: the first update projects it
@pytest.mark.parametrize("kick", [30.0, 36, 40, 50, 100, 1e3, 1e6, 1e12])
def test_exponentiated_gradient_is_a_softmax_however_large_the_step(kick, start):
    method = m.mirror_descent("entropy", kick / 2, constraint=([[1, 1, 1]], [1]))
    trace = fb.run([[1, -1, 0]], [1], loss="squared", method=method, start=[start] * 3, steps=1)
    wanted = np.exp(kick * np.array([0.0, -2.0, -1.0]))
    assert trace.w[-1] == pytest.approx(wanted / wanted.sum(), rel=1e-13, abs=1e-300)


@pytest.mark.parametrize("kick", [1.0, 10.0, 50.0, 200.0, 1e3, 1e4])
def test_large_steps_meet_any_constraint_of_the_entropy(kick):
    """One update is the projection of z: ∇ψ(w) − z ⊥ ker G, on the entries that float64 holds; in 400 digits by hand."""
    rng = np.random.default_rng(0)
    G, h = np.array([[1.0, 1, 1, 1, 1], [0, 1, 2, 3, 4]]), np.array([1, 1.7])
    A = rng.normal(size=(1, 5))
    plan = fb.Plan(A, [0.5], loss="squared", method=m.mirror_descent("entropy", kick, constraint=(G, h)))
    start = plan.u.copy()
    w = plan.run(1).w[-1]
    assert G @ w == pytest.approx(h, abs=1e-9)
    z = np.log(start) + 2 * kick * (0.5 - A[0] @ start) * A[0]
    seen = w > 1e-290
    off = np.log(w[seen]) - z[seen]
    nu = np.linalg.lstsq(G[:, seen].T, off, rcond=None)[0]
    assert G[:, seen].T @ nu == pytest.approx(off, abs=1e-9 * (1 + kick))


@pytest.mark.parametrize("start", [[0.2, 0.3, 0.1], pytest.param([5.0, 6.0, 7.0], marks=pytest.mark.exhaustive), [1e-60] * 3,
                                   pytest.param([1e-9, 1.0, 3.0], marks=pytest.mark.exhaustive)])
def test_a_start_off_the_constraint_is_projected_by_the_first_update(start):
    """Theorem 1a is for all w(0): eq. (4) from any point of dom ψ."""
    eta, A = 0.2, np.array([[1.0, -1, 0]])
    plan = fb.Plan(A, [0.1], loss="squared", start=start,
                   method=m.mirror_descent("entropy", eta, constraint=([[1, 1, 1]], [1])))
    trace = plan.run(3000, record=[0, 1, 3000])
    assert trace.w[0].tolist() == start
    z = np.log(start) - 2 * eta * (A[0] @ start - 0.1) * A[0]
    first = np.exp(z - z.max())
    assert trace.w[1] == pytest.approx(first / first.sum(), rel=1e-12)
    limit = plan.limit()
    assert "the first update projects it" in str(limit.hypotheses)
    wanted = fb.bregman_projection(np.vstack([A, np.ones(3)]), [0.1, 1.0], fb.potentials.entropy, start)
    assert limit.w == pytest.approx(wanted.w, abs=1e-12)
    assert trace.w[-1] == pytest.approx(limit.w, abs=1e-9)
    flow = plan.flow()
    assert "projected on the constraint" in flow.message
    assert flow.w[0] == pytest.approx(np.array(start) / np.sum(start), rel=1e-9)
    assert flow.w[-1] == pytest.approx(limit.w, abs=1e-9)


def test_degenerate_starts_are_asked_for():
    for psi in (fb.potentials.power(1.5), fb.potentials.squared_lp(1.3)):
        with pytest.raises(ValueError, match="start must be given for natural gradient"):
            fb.Plan(X, y, loss="squared", method=m.natural_gradient(psi, 0.1))
        assert (fb.Plan(X, y, loss="squared", method=m.mirror_descent(psi, 0.1)).u == 0).all()
    with pytest.raises(ValueError, match="symmetric"):
        fb.Plan([[[1, 2], [0, 1]]], [1], loss="squared", method=m.mirror_descent(fb.potentials.spectral_entropy(2), 0.1))


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: m.gradient_descent(0.1, batch=0), ValueError, "batch must be a whole number >= 1"),
    (lambda: m.gradient_descent(0.1, batch=True), TypeError, "batch must be"),
    (lambda: m.gradient_descent(0.1, batch=1, replace=0), TypeError, "replace must be True or False"),
    (lambda: fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.1, batch=9)), ValueError, "batch must be at most"),
    (lambda: m.coordinate_descent(0.1, "last"), ValueError, "ties must be one of first, average, random"),
    (lambda: m.coordinate_descent(0.1, tie_tol=1), ValueError, "tie_tol must be under 1"),
    (lambda: m.coordinate_descent(0.1, tie_tol=-1), ValueError, "tie_tol must be"),
    (lambda: m.coordinate_descent(0.1, shrinkage=0), ValueError, "shrinkage must be"),
    (lambda: m.coordinate_descent(0.1, shrinkage=2), ValueError, "shrinkage must be"),
    (lambda: m.stagewise(0), ValueError, "epsilon must be"),
    (lambda: fb.losses.huber(0), ValueError, "delta must be"),
    (lambda: fb.losses.truncated_squared(-1), ValueError, "c must be"),
    (lambda: fb.norms.group([[0, 1], [1]]), ValueError, "groups must hold each feature"),
    (lambda: fb.norms.group([[0, 2]]), ValueError, "groups must hold each feature"),
    (lambda: fb.norms.group([]), ValueError, "groups must hold each feature"),
    (lambda: fb.norms.group("01"), TypeError, "groups must be a list of lists"),
    (lambda: fb.norms.group(3), TypeError, "groups must be a list of lists"),
    (lambda: fb.potentials.squared_lp(2.5), ValueError, "p must be a finite number > 1 and <= 2, got 2.5"),
    (lambda: fb.potentials.squared_lp(1), ValueError, "p must be"),
    (lambda: fb.potentials.power(1), ValueError, "p must be"),
    (lambda: fb.potentials.hypentropy(0), ValueError, "beta must be"),
    (lambda: fb.potentials.spectral_entropy(0), ValueError, "n must be"),
])
def test_bad_arguments_of_section_2(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.long
def test_exponentiated_gradient_goes_on_where_a_weight_underflows():
    """No weights on the simplex fit these data, so some fall for ever: 0 in float64, yet inside the domain."""
    method = m.mirror_descent("entropy", 0.01, constraint=([[1, 1, 1, 1]], [1]))
    trace = fb.run(X, 10 * y, loss="squared", method=method, steps=200_000)
    assert trace.w[-1].sum() == pytest.approx(1, abs=1e-12)
    assert trace.w[-1].min() < 1e-300


def test_constraints_at_any_scale_and_without_a_point_inside():
    for S in (1e-6, 1.0, 1e9, 1e12):
        method = m.mirror_descent("entropy", 1e-3 / S, constraint=([[1, 1, 1]], [S]))
        trace = fb.run([[1, 2, 0.5]], [1.1 * S], loss="squared", method=method, steps=200)
        assert trace.w.sum(axis=1) == pytest.approx(S, rel=1e-12)
    for psi, h in (("entropy", 0), ("entropy", -1)):
        with pytest.raises(ValueError, match="constraint must have a point inside the domain"):
            fb.Plan([[1, 1]], [1], loss="squared", method=m.mirror_descent(psi, 0.1, constraint=([[1, 1]], [h])))
    with pytest.raises(ValueError, match="a row that is not zero"):
        m.mirror_descent("entropy", 0.1, constraint=([[0, 0]], [0]))
    with pytest.raises(ValueError, match="symmetric matrix"):
        fb.Plan([[[1, 0], [0, 1]]], [1], loss="squared", method=m.mirror_descent(fb.potentials.spectral_entropy(2), 0.1),
                start=[[1, 0.5], [0, 1]])


def test_natural_gradient_in_the_spectral_entropy_equals_a_twin():
    """∇²ψ(W)⁻¹[G] is the Fréchet derivative of the matrix exponential at log W, by SciPy."""
    from scipy.linalg import expm_frechet, logm
    A = SYMMETRIC.reshape(3, 2, 2)
    targets = np.einsum("kij,ij->k", A, [[0.8, 0.1], [0.1, 1.2]])
    steps = 1000 if JIT else 60
    trace = fb.run(A, targets, loss="squared", method=m.natural_gradient(fb.potentials.spectral_entropy(2), ETA),
                   steps=steps, record=np.arange(steps + 1))
    W = np.eye(2)
    for row in trace.w[:60]:
        assert np.abs(row - W).max() <= 1e-12 * np.abs(W).max()
        g = 2 * np.einsum("k,kij->ij", np.einsum("kij,ij->k", A, W) - targets, A)
        W = W - ETA * expm_frechet(np.real(logm(W)), g, compute_expm=False)
