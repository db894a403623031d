"""Bursts of updates against the pieces that say what they do, and Gram space against the parameters."""
import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

import fastbias as fb
from fastbias.engine import abi
from tests.helpers import ROOT

m = fb.methods
ROUGH = ("l3", "linf")            # their directions √|g| and sign g magnify a rounding where a g_j passes through 0
long = pytest.mark.long
SIZES = [(1, 2), (4, 3), (3, 9), (9, 4), *(pytest.param(size, marks=long) for size in [(20, 50), (50, 20), (17, 70)])]


def data(N, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, d)) / np.sqrt(d)
    return X, np.where(X @ rng.normal(size=d) >= 0, 1.0, -1.0)


def methods(N):
    eta = 0.2 / N
    return {"gd": m.gradient_descent(eta), "heavy": m.gradient_descent(eta, 0.5),
            "nesterov": m.gradient_descent(eta, 0.5, 0.7),
            "adagrad": m.adagrad(0.1), "adagrad-eps": m.adagrad(0.1, G0=0.3, eps=1e-3),
            "l1.5": m.steepest_descent(fb.norms.lp(1.5), eta), "l4/3": m.steepest_descent(fb.norms.lp(4 / 3), eta),
            "l1.2": m.steepest_descent(fb.norms.lp(1.2), eta), "l3": m.steepest_descent(fb.norms.lp(3), eta),
            "l2": m.steepest_descent("l2", eta), "linf": m.steepest_descent("linf", eta / 9),
            "entropy": m.mirror_descent("entropy", eta),
            "hypentropy": m.mirror_descent(fb.potentials.hypentropy(0.1), eta / 3),
            "first": m.coordinate_descent(eta), "average": m.coordinate_descent(eta, ties="average", shrinkage=0.5)}


def by_pieces(X, y, loss, method, **options):
    """The same run, every update done by the pieces of loss and method."""
    plan = fb.Plan(X, y, loss=loss, method=method, gram=False, **options)
    plan.buffers.control[[abi.WEIGH, abi.BURST]] = 0
    return plan


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("loss", ["exponential", "logistic", "squared", "probit"])
def test_bursts_do_what_the_pieces_say(size, loss):
    X, y = data(*size)
    steps = 700 if abi.JIT else 70
    for name, method in methods(size[0]).items():
        fast = fb.Plan(X, y, loss=loss, method=method, gram=False)
        assert fast.buffers.control[abi.BURST] != 0 or (loss == "probit" and (method.adaptive or method.ties is not None))
        slow = by_pieces(X, y, loss, method)
        a, b = (plan.run(steps, record=[1, 64, 65, steps]) for plan in (fast, slow))
        assert a.t.tolist() == b.t.tolist()
        assert a.w[1] == pytest.approx(b.w[1], rel=1e-12, abs=1e-14), name
        assert a.w == pytest.approx(b.w, rel=1e-8 if name in ROUGH else 1e-11, abs=1e-13), name
        near = np.minimum(a.log_loss, b.log_loss) > -20 if loss == "squared" else slice(None)      # not the rounding at rest
        assert a.log_loss[near] == pytest.approx(b.log_loss[near], rel=1e-9, abs=1e-9), name
        if name not in ROUGH:
            assert fast.buffers.state[0] == pytest.approx(slow.buffers.state[0], rel=1e-8, abs=1e-14), name


def changed(what, **fields):
    return dataclasses.replace(what, **fields)


LOSSES, GRADIENT = fb.losses, m.gradient_descent(0.1)
CHANGED = {                                               # loss, method, twins of them (0: none)
    "params": (changed(LOSSES.logistic, params=LOSSES.exponential.params), GRADIENT, 1, 1),
    "params of probit": (changed(LOSSES.logistic, params=LOSSES.probit.params), GRADIENT, 0, 1),
    "log loss": (changed(LOSSES.squared, log_loss=LOSSES.huber(1e9).log_loss, params=[1e9]),
                 GRADIENT, 0, 1),
    "ties": ("logistic", changed(m.coordinate_descent(0.1),
                                 params=m.coordinate_descent(0.1, ties="random").params), 2, 0),
    "dual norm": ("logistic", m.steepest_descent(
        changed(fb.norms.l2, dual_norm=fb.norms.l1.dual_norm), 0.1), 2, 6),
    "power of a norm": ("logistic", m.steepest_descent(
        changed(fb.norms.lp(3), params=fb.norms.lp(1.001).params), 0.1), 2, 6),
    "value of a potential": ("logistic", m.mirror_descent(
        changed(fb.potentials.entropy, value=fb.potentials.euclidean.value), 0.1), 2, 7)}


@pytest.mark.parametrize("case", CHANGED)
def test_what_was_changed_by_hand_is_not_taken_for_its_twin(case):
    """A twin is one of all pieces with their numbers; anything else runs by its pieces."""
    loss, method, weighed, bursts = CHANGED[case]
    X, y = data(9, 4)
    plan = fb.Plan(X, y, loss=loss, method=method, gram=False)
    assert plan.buffers.control[abi.WEIGH] == weighed
    assert plan.buffers.control[abi.BURST] == bursts
    slow = by_pieces(X, y, loss, method)
    assert plan.run(20).w == pytest.approx(slow.run(20).w, rel=1e-11, abs=1e-13)


def test_nobody_can_say_of_a_loss_that_it_is_another():
    with pytest.raises(TypeError, match="fused"):
        dataclasses.replace(fb.losses.logistic, fused=(1, fb.losses.logistic.slope))
    same = dataclasses.replace(fb.losses.logistic)
    plan = fb.Plan(*data(9, 4), loss=same, method=m.gradient_descent(0.1), gram=False)
    assert plan.buffers.control[abi.WEIGH] == 2              # the same pieces and numbers: its twin


@pytest.mark.parametrize("size", [(4, 3), *(pytest.param(size, marks=long) for size in [(20, 50), (9, 4)])], ids=str)
def test_bits_do_not_depend_on_where_a_run_is_cut_or_looked_at(size):
    X, y = data(*size)
    rng = np.random.default_rng(1)
    for name, method in methods(size[0]).items():
        for loss in ("exponential", "squared"):
            whole, parts = (fb.Plan(X, y, loss=loss, method=method) for _ in range(2))
            whole.run(300, record=2)
            for cut in [1, 63, 64, *rng.integers(1, 40, 3)]:
                parts.run(int(cut), record=rng.integers(parts.t, parts.t + cut + 1, 3))
            parts.run(300 - parts.t, record=5, until=-1e9)
            for a, b in zip(parts.buffers[:3], whole.buffers[:3], strict=True):
                assert a.tobytes() == b.tobytes(), (name, loss)
            assert parts.buffers.control[abi.SHIFT] == whole.buffers.control[abi.SHIFT]
            assert parts.buffers.kept.tobytes() == whole.buffers.kept.tobytes()


@pytest.mark.long
@pytest.mark.parametrize("cut", [1, 5, 10_000])
@pytest.mark.parametrize("size", [(4, 3), (9, 12)], ids=str)
@pytest.mark.parametrize("name", ["gd", "heavy", "l1.5", "linf", "entropy", "hypentropy", "first"])
def test_a_run_that_ceases_to_be_finite_names_the_step_and_keeps_the_last_point(name, size, cut):
    X, y = data(*size)
    big = {"gd": m.gradient_descent(9.0), "heavy": m.gradient_descent(9.0, 0.5), "first": m.coordinate_descent(90.0),
           "l1.5": m.steepest_descent(fb.norms.lp(1.5), 9.0), "linf": m.steepest_descent("linf", 9.0),
           "entropy": m.mirror_descent("entropy", 90.0), "hypentropy": m.mirror_descent(fb.potentials.hypentropy(.1), 90.0)}
    ends = []
    for plan in (fb.Plan(X, y, loss="squared", method=big[name], gram=False), by_pieces(X, y, "squared", big[name])):
        while plan.status == fb.Status.OK:
            trace = plan.run(cut, strict=False)
        assert plan.status == fb.Status.NOT_FINITE
        assert np.isfinite(plan.u).all()
        assert np.isfinite(plan.buffers.state).all()
        assert f"from step {plan.t} to {plan.t + 1}" in trace.message
        ends.append((plan.t, plan.u))
    assert abs(ends[0][0] - ends[1][0]) <= 1                # at the edge of the numbers a rounding may save a step
    if ends[0][0] == ends[1][0]:
        assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-9)


def test_a_status_of_a_piece_ends_a_burst_at_its_step():
    @fb.piece(abi.MAP)
    def link(params, w, out):
        for i in range(w.size):
            out[i] = w[i]
        return 0

    @fb.piece(abi.MAP)
    def inverse(params, z, out):                            # a domain that ends at 3
        for i in range(z.size):
            if z[i] > 3.0:
                return 2
            out[i] = z[i]
        return 0

    base = fb.potentials.euclidean
    psi = fb.potentials.Potential("short", link, inverse, base.metric, base.value)
    plan = fb.Plan([[1.0, 0.0]], [1], loss="exponential", method=m.mirror_descent(psi, 1.0))
    assert plan.buffers.control[abi.BURST] != 0
    trace = plan.run(1000, strict=False)
    w, steps = 0.0, 0
    while w + np.exp(-w) <= 3.0:
        w, steps = w + np.exp(-w), steps + 1
    assert (trace.status, plan.t) == (fb.Status.OUT_OF_DOMAIN, steps)
    assert plan.w[0] == pytest.approx(w, rel=1e-13)


@pytest.mark.parametrize("start", [500.0, 3000.0, 1e13, -400.0, -1e6])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_losses_beyond_all_numbers(start, loss):
    """Margins in the thousands: e^-m has no float, its gradient's direction has; beyond 2^40 the pieces take over."""
    X, y = np.array([[1.0, 0.25, 0.0], [1.0, -0.5, 0.5]]), np.array([1.0, 1.0])
    for method in (m.steepest_descent(fb.norms.lp(1.5), 1e-3), m.gradient_descent(1e-3), m.coordinate_descent(1e-3),
                   m.mirror_descent(fb.potentials.euclidean, 1e-3), m.adagrad(0.01)):
        if start < -1e3 and loss == "exponential":
            continue                                        # the first step would be e^1e6 long
        at = [start, 0.0, 1.0]
        fast, slow = fb.Plan(X, y, loss=loss, method=method, start=at), by_pieces(X, y, loss, method, start=at)
        a, b = fast.run(200, strict=False), slow.run(200, strict=False)
        assert a.t[-1] == b.t[-1]
        assert a.w == pytest.approx(b.w, rel=1e-12)
        assert a.log_loss == pytest.approx(b.log_loss, rel=1e-12)
    normalised = m.steepest_descent(fb.norms.lp(1.5), 0.5, normalised=True)    # moves on however small the loss is
    if start >= 0:
        fast, slow = (make(X, y, loss, normalised) for make in (
            lambda X, y, loss, method: fb.Plan(X, y, loss=loss, method=method, start=[start, 0.0, 1.0]),
            lambda X, y, loss, method: by_pieces(X, y, loss, method, start=[start, 0.0, 1.0])))
        steps = 2000 if abi.JIT else 200
        assert fast.run(steps).w == pytest.approx(slow.run(steps).w, rel=1e-12)


@long
def test_kept_predictions_do_not_drift():
    X, y = data(30, 12)
    plan = fb.Plan(X, y, loss="exponential", method=m.coordinate_descent(0.01))
    plan.run(100_001)
    assert plan.buffers.kept[:30] == pytest.approx(X @ plan.w, rel=1e-13, abs=1e-13)


def test_data_and_buffers_need_no_alignment():
    X, y = data(9, 5)
    plan, other = (fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.01), gram=False) for _ in range(2))
    odd = np.zeros(plan.buffers.work.size + 1)[1:], np.zeros(plan.buffers.packed.size + 3)[3:]
    plan.course.driver.buffers = plan.buffers._replace(work=odd[0], packed=odd[1])
    assert plan.run(50).u.tobytes() == other.run(50).u.tobytes()


PORTABLE = """
import sys; sys.path.insert(0, {root!r})
import numpy as np, fastbias as fb
from tests.engine import test_bursts as t
rows = []
for size in ((4, 3), (20, 50), (9, 4)):
    X, y = t.data(*size)
    for method in t.methods(size[0]).values():
        rows += [fb.run(X, y, loss=loss, method=method, steps=1000, gram=gram).w[-1] for loss in ("exponential", "squared")
                 for gram in (False, None)]
np.save({out!r}, np.concatenate(rows))
"""


@pytest.mark.exhaustive                                  # .ci/run asks for it: the whole loop is compiled once more
def test_a_machine_without_wide_vectors_gives_the_same_results(tmp_path):
    made = []
    for cpu in ("", "generic"):
        out = str(tmp_path / f"{cpu or 'host'}.npy")
        env = dict(os.environ) | ({"NUMBA_CPU_NAME": cpu, "NUMBA_CACHE_DIR": str(tmp_path / "cache")} if cpu else {})
        code = PORTABLE.format(root=str(ROOT), out=out)
        subprocess.run([sys.executable, "-c", code], check=True, env=env)
        made.append(np.load(out))
    assert made[0] == pytest.approx(made[1], rel=1e-11, abs=1e-13)


def quadratics(d):
    A = np.random.default_rng(2).normal(size=(d, d))
    D = A @ A.T / d + np.eye(d)
    P = fb.potentials
    return {"gd": m.gradient_descent(0.01), "nesterov": m.gradient_descent(0.01, [0.5, 0.6, 0.7], 0.4),
            "power": m.gradient_descent(fb.steps.power(0.02, 0.5)), "l2": m.steepest_descent("l2", 0.01),
            "quadratic": m.steepest_descent(fb.norms.quadratic(D), 0.01),
            "mirror": m.mirror_descent(P.quadratic(D), 0.01, dual_momentum=0.5),
            "primal": m.mirror_descent(P.quadratic(D), 0.01, primal_momentum=0.5),
            "natural": m.natural_gradient(P.quadratic(D), 0.01), "euclidean": m.mirror_descent("euclidean", 0.01)}


@pytest.mark.parametrize("loss", ["exponential", "logistic", "squared", "probit", "huber"])
def test_gram_space_has_the_iterates_of_the_parameters(loss):
    X, y = data(6, 24)
    loss = fb.losses.huber(0.5) if loss == "huber" else loss
    for name, method in quadratics(24).items():
        for start in (None, np.linspace(-0.3, 0.5, 24)):
            a, b = (fb.Plan(X, y, loss=loss, method=method, start=start, gram=gram) for gram in (None, False))
            one, two = (plan.run(2000 if abi.JIT else 60, record=[0, 1, 2, 40]) for plan in (a, b))
            assert (a.course.gram, b.course.gram) == (True, False)
            assert one.t.tolist() == two.t.tolist()
            assert one.w == pytest.approx(two.w, rel=1e-11, abs=1e-12), name
            near = np.minimum(one.log_loss, two.log_loss) > -20
            assert one.log_loss[near] == pytest.approx(two.log_loss[near], rel=1e-9, abs=1e-9), name
            assert a.buffers.state == pytest.approx(b.buffers.state, rel=1e-8, abs=1e-9), name
            assert a.u == pytest.approx(one.u[-1], rel=1e-15)


def test_gram_space_is_chosen_where_it_pays_and_the_data_allow_it():
    X, y = data(6, 24)
    gd = m.gradient_descent(0.01)

    def chosen(X, y, method=gd, loss="exponential", **options):
        plan = fb.Plan(X, y, loss=loss, method=method, **options)
        plan.run(1)
        return plan.course.gram

    assert chosen(X, y)
    assert not chosen(X, y, gram=False)
    assert not chosen(X[:, :5], y)                          # more samples than features
    assert not chosen(X[:2, :8], y[:2])                     # tiny
    assert not chosen(np.vstack([X, X[:1]]), np.append(y, y[0]))            # a sample twice
    assert not chosen(X * np.logspace(0, -9, 6)[:, None], y)
    assert not chosen(X, y, m.gradient_descent(0.01, batch=2, rng=0))
    assert not chosen(X, y, m.adagrad(0.1))
    assert not chosen(X, np.arange(6) % 3, loss="cross_entropy")
    assert not chosen(X, y, m.steepest_descent("l2", 0.1, normalised=True))
    for change, word in (({"method": m.adagrad(0.1)}, "adagrad"), ({"X": np.vstack([X[:5], X[:1]])}, "condition number"),
                         ({"loss": "cross_entropy", "y": np.arange(6) % 3}, "cross_entropy")):
        with pytest.raises(ValueError, match=f"gram must be None or False for .*{word}"):
            fb.Plan(**({"X": X, "y": y, "loss": "exponential", "method": gd} | change), gram=True)
    with pytest.raises(TypeError, match="gram must be True, False or None, got 'yes'"):
        fb.Plan(X, y, loss="squared", method=gd, gram="yes")


def test_a_checkpoint_keeps_the_coefficients(tmp_path):
    X, y = data(6, 24)
    method = m.gradient_descent(0.01, 0.9)
    whole, parts = (fb.Plan(X, y, loss="exponential", method=method, start=np.full(24, 0.1)) for _ in range(2))
    whole.run(1000)
    parts.run(123)
    parts.save(tmp_path / "a")
    back = fb.Plan.load(tmp_path / "a")
    assert back.u.tobytes() == parts.u.tobytes()
    back.run(877)
    parts.run(877)
    assert back.u.tobytes() == parts.u.tobytes() == whole.u.tobytes()
    assert back.buffers.state.tobytes() == whole.buffers.state.tobytes()


def test_who_writes_into_the_buffers_of_a_plan_in_gram_space_is_heard():
    X, y = data(6, 24)
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.01, 0.5))
    plan.run(100)
    plan.buffers.u[:] = np.linspace(0, 1, 24)
    plan.run(10)
    other = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.01, 0.5), gram=False)
    other.run(100)
    other.buffers.u[:] = np.linspace(0, 1, 24)
    other.run(10)
    assert plan.u == pytest.approx(other.u, rel=1e-11)
    assert not plan.course.gram


def test_an_interrupted_run_in_gram_space_shows_what_it_did(monkeypatch):
    X, y = data(6, 24)
    plan = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.01))

    def stop(plan):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan.run(10_000_000, callback=stop)
    done = plan.t
    assert 0 < done < 10_000_000
    other = fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.01))
    other.run(done)
    assert plan.u.tobytes() == other.u.tobytes()
    assert plan.trace.t[-1] == done


@pytest.mark.parametrize("code", [-1, -2, -3, -4, -5, 77])
def test_a_piece_that_returns_no_status_is_told_so(code):
    @fb.piece(abi.MAP)
    def broken(params, g, out):
        return code

    norm = fb.norms.Norm("broken", broken, fb.norms.l2.dual_norm, fb.norms.l2.norm)
    X, y = data(6, 6)
    with pytest.raises(ValueError, match=f"must return one of fb.Status, got {code} "):
        fb.run(X, y, loss="exponential", method=m.steepest_descent(norm, 0.1), steps=20)


def test_gram_space_never_shows_what_is_not_finite():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, y = 3 * rng.normal(size=(12, 40)), rng.normal(size=12)
        ends = []
        for gram in (None, False):
            plan = fb.Plan(X, y, loss="squared", method=m.gradient_descent(0.5), gram=gram)
            trace = plan.run(1000, strict=False)
            assert trace.status == fb.Status.NOT_FINITE
            assert np.isfinite(trace.u).all()
            assert np.isfinite(plan.buffers.state).all()
            ends.append(plan.t)
        assert abs(ends[0] - ends[1]) <= 1


@pytest.mark.parametrize("p", [1.5, 4 / 3, 1.7, 3.0, 6.0])
def test_a_gradient_beyond_all_numbers_ends_steepest_descent(p):
    plan = fb.Plan([[1e200, 1.0]], [1e200], loss="squared", method=m.steepest_descent(fb.norms.lp(p), 0.1))
    assert plan.run(300, strict=False).status == fb.Status.NOT_FINITE
    X = np.eye(5)                                           # and a gradient at the end of the range still moves
    plan = fb.Plan(X, np.array([6e307, 0, 0, 0, 0]), loss="squared", method=m.steepest_descent(fb.norms.lp(p), 1e-308))
    assert plan.run(1).w[-1, 0] == pytest.approx(1.2, rel=1e-12)


def test_norms_near_l1_move():
    X = [[1.9, 1, 0.3, 0.2, 0.1, 0.4]]
    for p in (1.0005, 1.01, 1.02):
        fast = fb.Plan(X, [1], loss="exponential", method=m.steepest_descent(fb.norms.lp(p), 0.1))
        slow = by_pieces(X, [1], "exponential", m.steepest_descent(fb.norms.lp(p), 0.1))
        assert fast.run(300).w[-1] == pytest.approx(slow.run(300).w[-1], rel=1e-9, abs=1e-300)
        assert fast.w[0] > 1


def test_nan_and_infinity_in_margins_and_gradients_end_a_run():
    X = np.zeros((5, 6))
    X[0, 0], X[1, 0], X[2, 1] = 1e200, -1e200, 1.0
    for ties in ("first", "average"):
        plan = fb.Plan(X, [1e200, 1e200, 1, 1, 1], loss="squared", method=m.coordinate_descent(0.1, ties=ties))
        assert plan.run(300, strict=False).status == fb.Status.NOT_FINITE
    X = np.zeros((2, 6))
    X[0, :2], X[1, 2] = [1e200, -1e200], 1.0
    for method in (m.sign_descent(0.1), m.gradient_descent(0.1), m.steepest_descent("linf", 0.1)):
        plan = fb.Plan(X, [1, 1], loss="logistic", method=method, start=[1e200, 1e200, 0, 0, 0, 0])
        assert plan.run(10, strict=False).status == fb.Status.NOT_FINITE
        assert plan.t <= 1
    X = np.zeros((2, 6))                                    # a margin of 1e46 weighs nothing, and does no harm
    X[0, 0], X[1, 1] = 1.0, 1e46
    for loss in ("exponential", "logistic"):
        plan = fb.Plan(X, [1, 1], loss=loss, method=m.gradient_descent(0.1), start=[0, 1, 0, 0, 0, 0])
        assert plan.run(10).status == fb.Status.OK
        assert plan.w[0] > 0.3


def test_a_twin_is_used_for_its_own_pieces_only():
    from dataclasses import replace
    X, y = data(9, 5)
    own = replace(fb.norms.lp(3), steepest=fb.norms.l2.steepest, name="own")
    a, b = (fb.run(X, y, loss="exponential", method=m.steepest_descent(norm, 0.01), steps=50).w[-1] for norm in (own, "l2"))
    assert a == pytest.approx(b, rel=1e-13)
    changed = replace(m.gradient_descent(0.1), beta=np.array([0.9, 0.0]))
    changed, given = (fb.Plan(X, y, loss="squared", method=method)
                      for method in (changed, m.gradient_descent(0.1, [0.9, 0.0])))
    assert changed.buffers.control[abi.BURST] == 0
    assert changed.run(5).w[-1] == pytest.approx(given.run(5).w[-1], rel=1e-13)


def test_who_writes_into_the_buffers_between_runs_is_heard():
    X, y = data(6, 24)
    plans = [fb.Plan(X, y, loss="exponential", method=m.gradient_descent(0.01, 0.9), gram=gram) for gram in (None, False)]
    for plan in plans:
        plan.run(50)
        plan.buffers.state[0] = 0.0
        plan.run(50)
    assert plans[0].u == pytest.approx(plans[1].u, rel=1e-11)
    fast, slow = fb.Plan(X, y, loss="exponential", method=m.coordinate_descent(0.01)), by_pieces(
        X, y, "exponential", m.coordinate_descent(0.01))
    for plan in (fast, slow):
        plan.run(50)
        plan.buffers.u[:] = np.linspace(0, 1, 24)
        plan.run(20)
    assert fast.u == pytest.approx(slow.u, rel=1e-12)
    assert fast.trace.log_loss == pytest.approx(slow.trace.log_loss, rel=1e-12)


def test_plans_on_the_same_data_have_one_gram_matrix_and_others_do_not():
    X, y = data(6, 24)
    D = np.eye(24) + 0.5
    methods = [m.gradient_descent(0.01), m.gradient_descent(0.02, 0.5), m.steepest_descent(fb.norms.quadratic(D), 0.01)]
    plans = [fb.Plan(A, y, loss="squared", method=method, gram=True) for method in methods for A in (X, 2 * X)]
    K = [plan.course.driver.X for plan in plans]
    assert K[0] is K[2]
    assert K[1] is K[3]
    for k, A, metric in ((0, X, np.eye(24)), (1, 2 * X, np.eye(24)), (4, X, D), (5, 2 * X, D)):
        assert K[k] == pytest.approx(A @ np.linalg.solve(metric, A.T), rel=1e-12, abs=1e-13)
