"""Momentum in the gradient, decoupled decay and the adaptive methods beside the recursions that are published."""
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb
from tests.helpers import JIT, naive
from tests.helpers.problems import separable

m, n, S = fb.methods, fb.norms, fb.steps
STEPS = 1000 if JIT else 60
X, y = fb.data.random_regression(3, 4, rng=1, positive=True)
ETA = 0.02 / np.linalg.norm(X, 2) ** 2
ONES = np.ones(4)
Z, t = separable(6, 4, 3)
FALL = S.power(0.05, 0.5)


def iterates(method, X=X, y=y, loss="squared", steps=STEPS, **extra):
    trace = fb.run(X, y, loss=loss, method=method, steps=steps, record=np.arange(steps + 1), **extra)
    return trace.u[:steps + 1]


def published(method, task, steps=STEPS):
    name, arguments = method.recipe[0], naive.bare(method)
    return np.array(list(naive.METHODS[name](task, np.zeros(task.X.shape[1]), steps, **arguments)))


def apart(one, other):
    return np.abs(one - other).max() / np.abs(other).max()


# (of moves that have no length of their own rounding is not made larger by the recursion: the square loss, short steps)
SMOOTH = {
    "momentum": m.steepest_descent("l2", ETA, momentum=0.9),
    "nesterov": m.steepest_descent("l2", ETA, momentum=0.9, nesterov=0.9),
    "decay": m.steepest_descent("l2", ETA, weight_decay=0.1),
    "lp": m.steepest_descent(n.lp(1.5), ETA, momentum=0.8, nesterov=0.3, weight_decay=0.1),
    "l1": m.steepest_descent("l1", ETA, momentum=0.5, weight_decay=0.2),
    "linf": m.steepest_descent("linf", ETA / 4, momentum=0.5),
    "adam inside": m.adam(0.01, eps=1e-3, eps_inside_root=True),
    "amsgrad": m.adam(0.01, 0.8, 0.9, eps=1e-3, amsgrad=True),
    "adam decay": m.adam(0.01, 0.8, 0.9, eps=0.1, weight_decay=0.3),
    "adamw": m.adamw(0.01, 0.8, 0.95, 0.1, 0.1),
    "nadam": m.nadam(0.002, 0.9, 0.99, 1e-3),
    "rmsprop momentum": m.rmsprop(1e-4, 0.9, 1e-2, momentum=0.9),
    "rmsprop nesterov": m.rmsprop(1e-4, 0.9, 1e-2, momentum=0.9, nesterov=0.9, weight_decay=0.1, eps_inside_root=True),
    "adagrad outside": m.adagrad(0.1, 0.1, 1e-3, eps_inside_root=False),
    "adagrad decay": m.adagrad(0.1, 0.1, 1e-3, momentum=0.8, nesterov=0.2, weight_decay=0.1),
    "adadelta": m.adadelta(1.0, 0.9, 1e-2, weight_decay=0.01),
}


@pytest.mark.parametrize("case", SMOOTH)
def test_a_thousand_iterates_equal_the_published_recursion(case):
    method = SMOOTH[case]
    assert apart(iterates(method), published(method, naive.Task(X, y))) <= 1e-12


# (signs of a sum that passes 0 are told by its last digit: a loss whose gradient keeps its signs for as long)
SIGNS = {
    "signum": m.signum(FALL, 0.9), "signum nesterov": m.signum(FALL, 0.9, nesterov=0.9, weight_decay=0.1),
    "sign momentum": m.sign_descent(FALL, momentum=0.5), "sign decay": m.sign_descent(FALL, weight_decay=0.3),
    "lion": m.lion(FALL), "lion decay": m.lion(FALL, 0.5, 0.8, 0.2), "lion turned": m.lion(FALL, 0.9, 0.3),
    "muon": m.muon(FALL, 0.9, nesterov=0.9, weight_decay=0.1), "ns5": m.muon(FALL, 0.9, "ns5", weight_decay=0.1),
    "ngd": m.steepest_descent("l2", FALL, True, momentum=0.9),
    "ngd decay": m.steepest_descent("l2", FALL, True, momentum=0.9, nesterov=0.9, weight_decay=0.1),
    "l1": m.steepest_descent("l1", FALL, True, momentum=0.9),
}


@pytest.mark.parametrize("case", SIGNS)
def test_moves_of_a_length_of_their_own_equal_the_published_recursion(case):
    method, steps = SIGNS[case], 300 if JIT else 60
    A = Z.reshape(-1, 2, 2) if method.name == "muon" else Z
    wanted = published(method, naive.Task(Z, t, "exponential"), steps)
    assert apart(iterates(method, A, t, "exponential", steps), wanted) <= 1e-9


@pytest.mark.parametrize(("shape", "how"), [((2, 3), "polar"), ((3, 2), "polar"), ((2, 3), "ns5"), ((3, 2), "ns5"),
                                            ((1, 4), "ns5"), ((4, 1), "ns5")])
def test_muon_of_any_shape_equals_its_twin(shape, how):
    A, b = separable(9, int(np.prod(shape)), 5)
    method = m.muon(FALL, 0.9, how, nesterov=0.5)
    wanted = np.array(list(naive.muon(naive.Task(A, b, "exponential"), np.zeros(A.shape[1]), 30, shape=shape,
                                      **naive.bare(method))))
    assert apart(iterates(method, A.reshape(-1, *shape), b, "exponential", 30), wanted) <= 1e-10


def test_newton_schulz_leaves_the_singular_values_that_jordan_says():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(8, 4, 3)), np.ones(8)
    w = fb.run(A, b, loss="exponential", method=m.muon(1.0, orthogonalise="ns5"), steps=1).w[-1]
    assert (np.abs(np.linalg.svd(w)[1] - 0.95) < 0.3).all()


# --- conventions ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("nesterov", [False, True])
def test_without_normalisation_in_l2_it_is_pytorchs_sgd(nesterov):
    torch = np.array(list(naive.pytorch_sgd(X, y, 0 * ONES, ETA, 0.9, nesterov, STEPS)))
    ours = iterates(m.steepest_descent("l2", ETA, momentum=0.9, nesterov=0.9 if nesterov else 0.0))
    assert apart(ours, torch) <= 1e-12


@pytest.mark.parametrize(("beta", "gamma"), [(0.9, 0.0), (0.9, 0.9), (0.5, 0.8), (0.0, 0.7)])
def test_it_is_eq_3_at_the_point_ahead(beta, gamma):
    heavy = iterates(m.gradient_descent(ETA, beta, gamma))
    moves = np.diff(heavy, axis=0, prepend=heavy[:1])
    ours = iterates(m.steepest_descent("l2", ETA, momentum=beta, nesterov=gamma))
    assert apart(ours, heavy + gamma * moves) <= 1e-12


def test_decoupled_decay_in_l2_is_that_of_gradient_descent():
    """λ‖w‖²/2 in the loss: the same for gradients that are not divided by anything."""
    coupled = iterates(m.gradient_descent(ETA, weight_decay=0.3))
    assert apart(iterates(m.steepest_descent("l2", ETA, weight_decay=0.3)), coupled) <= 1e-12


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.99), (0.5, 0.8), (0.2, 0.2), (0.0, 0.9)])
def test_lion_is_signum_that_looks_ahead(beta1, beta2):
    other = m.signum(FALL, beta2, nesterov=(beta2 - beta1) / (1 - beta2), weight_decay=0.2)
    one, two = (iterates(x, Z, t, "exponential", 200) for x in (m.lion(FALL, beta1, beta2, 0.2), other))
    assert apart(one, two) <= 1e-9


def test_signum_is_normalised_steepest_descent_in_linf():
    one = iterates(m.signum(FALL, 0.8), Z, t, "logistic", 200)
    two = iterates(m.steepest_descent("linf", FALL, True, momentum=0.8), Z, t, "logistic", 200)
    assert apart(one, two) <= 1e-12
    assert (iterates(m.signum(FALL, 0.0), Z, t) == iterates(m.sign_descent(FALL), Z, t)).all()


def test_adam_with_a_decay_is_adamw():
    assert (iterates(m.adam(0.01, weight_decay=0.2)) == iterates(m.adamw(0.01, weight_decay=0.2))).all()
    assert (iterates(m.adamw(0.01, weight_decay=0.0)) == iterates(m.adam(0.01))).all()


def test_what_is_not_asked_for_changes_no_piece():
    pairs = [(m.steepest_descent("l1", 0.1, momentum=0, nesterov=0, weight_decay=0), m.steepest_descent("l1", 0.1)),
             (m.steepest_descent("l2", 0.1, True, momentum=0.0), m.steepest_descent("l2", 0.1, True)),
             (m.sign_descent(0.1, momentum=0, weight_decay=0), m.sign_descent(0.1)),
             (m.signum(0.1, 0), m.sign_descent(0.1)), (m.adamw(0.1, weight_decay=0), m.adam(0.1)),
             (m.adam(0.1, eps=0, eps_inside_root=True), m.adam(0.1, eps=0)),
             (m.adagrad(0.1, eps=0, eps_inside_root=False), m.adagrad(0.1)),
             (m.rmsprop(0.1, momentum=0, nesterov=0, weight_decay=0), m.rmsprop(0.1))]
    for one, other in pairs:
        for label in ("direction", "advance", "unscaled", "aged", "steepest", "averages", "moments", "adaptive", "shrink"):
            assert getattr(one, label) == getattr(other, label), (one, label)
        assert (one.params == other.params).all()
        assert one.begin(ONES).tobytes() == other.begin(ONES).tobytes()


# --- far out ----------------------------------------------------------------------------------------------------------

FAR = [m.signum(1.0, 0.9, nesterov=0.9), m.lion(1.0), m.steepest_descent("l2", 1.0, True, momentum=0.9, nesterov=0.9),
       m.steepest_descent(n.lp(1.5), 1.0, True, momentum=0.5), m.adam(1.0, 0.1, 0.1, eps=0), m.nadam(1.0, 0.1, 0.1, 0.0),
       m.rmsprop(1.0, 0.1, 0.0, momentum=0.1, nesterov=0.1), m.muon(1.0, 0.9, nesterov=0.9), m.muon(1.0, 0.9, "ns5")]


@pytest.mark.long
@pytest.mark.parametrize("method", FAR, ids=repr)
def test_methods_without_eps_go_on_where_the_loss_is_no_number(method):
    plan = fb.Plan([[[1, -2], [0.5, 3]]] if method.name == "muon" else [[1, -2, 0.5, 3]], [1], loss="exponential", method=method)
    assert plan.run(200_000, until=-100_000, record=2).status == fb.Status.REACHED
    moved = np.diff(plan.run(1, record=2).u, axis=0)
    assert np.abs(moved).max() > 0.1               # (of Adam less: v, which is a mean, falls more slowly than g²)
    assert np.sign(moved[0]).tolist() == [1, -1, 1, 1] or method.name == "muon"


@pytest.mark.parametrize("method", [m.adadelta(), m.adam(0.1, amsgrad=True, eps=0), m.adam(0.1, eps_inside_root=True),
                                    m.adagrad(0.1, 0.0, 1e-8, eps_inside_root=False), m.adamw(0.1), m.lion(0.1, weight_decay=1),
                                    m.steepest_descent("l2", 0.1, momentum=0.9), m.rmsprop(0.1, momentum=0.9)], ids=repr)
def test_a_start_far_out_leaves_nothing_that_is_not_finite(method):
    trace = fb.run(Z, t, loss="exponential", method=method, steps=50,
                   start=3000 * fb.max_margin(Z, t, "l2").w / fb.max_margin(Z, t, "l2").margin)
    assert trace.log_loss[0] < -2900
    assert np.isfinite(trace.w).all()
    assert np.isfinite(trace.log_loss).all()


def test_the_greatest_square_so_far_is_kept_where_the_next_is_an_age_smaller():
    """AMSGrad from a gradient of e^600 to one of e^−600: moves 1, and then e^−1200."""
    trace = fb.run([[1.0]], [1], loss="exponential", method=m.adam(1200.0, 0.0, 0.0, 0.0, amsgrad=True), start=[-600.0], steps=3)
    assert trace.status == fb.Status.OK
    assert trace.w[-1] == pytest.approx([600.0], rel=1e-15)


@pytest.mark.parametrize("inside", [True, False])
def test_far_under_eps_it_is_all_that_moves_are_divided_by(inside):
    """Of a gradient e^−400: √(v + ε) is √ε, and √v + ε is ε; beside a w of 0 the move shows."""
    method = m.adam(3.0, eps=1e-4, eps_inside_root=inside)
    trace = fb.run([[1.0, 0.5]], [1], loss="exponential", method=method, start=[400.0, 0.0], steps=1)
    assert trace.w[-1, 1] == pytest.approx(3.0 * 0.5 * np.exp(-400.0) / (1e-2 if inside else 1e-4), rel=1e-12, abs=0)


def test_at_rest_nothing_moves_and_nothing_is_nan():
    w = np.array([1.0, 2.0, 3.0, 4.0])
    for method in (m.signum(0.1), m.lion(0.1), m.adadelta(), m.nadam(0.1, eps=0), m.adam(0.1, eps=0, amsgrad=True),
                   m.steepest_descent("l2", 0.1, momentum=0.5, nesterov=0.5), m.adagrad(0.1, momentum=0.5),
                   m.rmsprop(0.1, eps=0, momentum=0.5)):
        trace = fb.run([[1, 1, 1, 1]], [10], loss="squared", method=method, start=w, steps=10)
        assert (trace.w == w).all(), method
        assert trace.log_loss[-1] == -np.inf


# --- doors ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("make", "words"), [
    (lambda: m.signum(0.1, 1.0), "momentum must be under 1"), (lambda: m.signum(0.1, -0.1), "momentum must be a finite"),
    (lambda: m.signum(0.1, nesterov=-1), "nesterov must be"), (lambda: m.lion(0.1, 1.0), "beta1 must be under 1"),
    (lambda: m.lion(0.1, 0.9, 1.0), "beta2 must be under 1"), (lambda: m.lion(0.1, weight_decay=-1), "weight_decay must be"),
    (lambda: m.adadelta(eps=0), "eps must be"), (lambda: m.adadelta(rho=1), "rho must be under 1"),
    (lambda: m.muon(0.1, orthogonalise="ns"), "orthogonalise must be one of polar, ns5"),
    (lambda: m.steepest_descent("l2", 0.1, momentum=2), "momentum must be under 1"),
    (lambda: m.steepest_descent("l2", 0.1, weight_decay=np.nan), "weight_decay must be"),
    (lambda: m.adamw(0.1, weight_decay=np.inf), "weight_decay must be"),
    (lambda: fb.Plan(Z, t, loss="exponential", method=m.signum(S.loss_scaled(0.1))), "length of their own"),
    (lambda: fb.Plan(Z, t, loss="exponential", method=m.steepest_descent("l2", S.line_search(), momentum=0.5)), "full gradients"),
    (lambda: fb.Plan(Z, t, loss="exponential", method=m.steepest_descent("l2", S.bounded(1), weight_decay=0.5)), "length of their own"),
    (lambda: fb.Plan(Z, t, loss="exponential", method=m.adamw(S.line_search())), "wants full gradients"),
    (lambda: fb.Plan(Z, t, loss="exponential", method=m.muon(0.1, orthogonalise="ns5")), "muon"),
])
def test_bad_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("make", [
    lambda: m.signum(0.1, nesterov=True), lambda: m.adam(0.1, amsgrad=1), lambda: m.adam(0.1, eps_inside_root="yes"),
    lambda: m.steepest_descent("l2", 0.1, weight_decay=None), lambda: m.steepest_descent("l2", 0.1, weight_decay=[0.1, 0.2]),
    lambda: m.rmsprop(0.1, momentum="x"), lambda: m.muon(0.1, orthogonalise=5),
    lambda: m.sign_descent(0.1, 0.9), lambda: m.rmsprop(0.1, 0.9, 1e-8, 0.5)])
def test_bad_types(make):
    with pytest.raises(TypeError):
        make()


EVERY = [m.signum(0.1), m.lion(0.1), m.lion(0.1, weight_decay=0.1), m.steepest_descent("l2", 0.1, momentum=0.5),
         m.steepest_descent("l2", 0.1, weight_decay=0.1), m.steepest_descent("l2", 0.1, True, momentum=0.5),
         m.adamw(0.1), m.nadam(0.1), m.adadelta(), m.adagrad(0.1, momentum=0.5), m.adam(0.1, amsgrad=True),
         m.adagrad(0.1, eps=1e-3, eps_inside_root=False), m.rmsprop(0.1, momentum=0.5), m.sign_descent(0.1, weight_decay=0.1)]


@pytest.mark.parametrize("method", EVERY, ids=repr)
def test_what_no_theorem_covers_is_refused(method):
    for A, b, loss in ((Z, t, "exponential"), (X, y, "squared")):
        plan = fb.Plan(A, b, loss=loss, method=method)
        plan.run(5)
        with pytest.raises(fb.NoTheorem):
            plan.limit()
        with pytest.raises(fb.NoTheorem):
            plan.max_step()
        # (those that end as gradient descent are followed from where they do: tests/forward)
        if loss == "squared" or method.name not in ("nadam", "adadelta", "adam", "rmsprop", "steepest_descent"):
            with pytest.raises(LookupError):
                plan.fast_forward(log_t=50)
        with pytest.raises(ValueError, match="flow|continuous|normalised"):
            plan.flow()


def test_grids_of_momentum_go_by_each_methods_own():
    grid = {"momentum": [0.0, 0.5, 0.9], "step_size": [0.01, 0.1]}
    for make in (lambda **a: m.steepest_descent("l2", **a), m.sign_descent, lambda **a: m.steepest_descent("l1", **a)):
        plan = fb.Plan(Z, t, loss="exponential", method=make(step_size=0.1))
        sweep = fb.sweep(plan, grid, steps=100 if JIT else 20, record=5)
        for point, trace in zip(sweep.points, sweep, strict=True):
            alone = fb.run(Z, t, loss="exponential", method=make(**point), steps=100 if JIT else 20, record=5)
            assert trace.w == pytest.approx(alone.w, rel=1e-12, abs=1e-14)


def test_reprs_say_what_is_run():
    assert repr(m.signum(0.1, momentum=0.5, nesterov=0.2, weight_decay=0.1)) == \
        "signum(linf, constant(0.1), momentum=0.5, nesterov=0.2, weight_decay=0.1)"
    assert repr(m.adamw(0.1)) == "adamw(constant(0.1), weight_decay=0.01)"
    assert repr(m.rmsprop(0.1, momentum=Fraction(1, 4))) == "rmsprop(constant(0.1), momentum=0.25)"
    assert repr(m.sign_descent(0.1)) == "sign_descent(linf, constant(0.1))"


MEMORY = [m.muon(0.1, 0.9, "ns5", nesterov=0.5, weight_decay=0.1), m.lion(0.1, weight_decay=0.1), m.nadam(0.1), m.adadelta(),
          m.adam(0.1, amsgrad=True, eps_inside_root=True), m.rmsprop(0.1, momentum=0.5, nesterov=0.5, weight_decay=0.1),
          m.steepest_descent(n.lp(1.5), S.power(0.1, 0.5, offset=3, warmup=7), momentum=0.5, nesterov=0.2, weight_decay=0.1),
          m.adagrad(S.cosine(0.1, 30, 0.01), eps=1e-3, eps_inside_root=False, momentum=0.5)]


@pytest.mark.parametrize("method", MEMORY, ids=repr)
def test_a_run_that_is_cut_and_kept_has_the_bits_of_a_whole_one(method, tmp_path):
    A = Z.reshape(-1, 2, 2) if method.name == "muon" else Z
    whole, cut = (fb.Plan(A, t, loss="logistic", method=method) for _ in range(2))
    whole.run(40)
    for _ in range(4):
        cut.run(5)
    cut.save(tmp_path / "cut.npz")
    again = fb.Plan.load(tmp_path / "cut.npz")
    assert repr(again.problem.method) == repr(whole.problem.method)
    again.run(20)
    assert (again.u == whole.u).all()
    assert (again.buffers.state == whole.buffers.state).all()
