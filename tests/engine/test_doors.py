"""Whoever reaches compiled code, by whatever public call, hands it what it may read and write, or is told in a sentence."""
import dataclasses
import gc
import inspect
import subprocess
import sys

import mpmath
import numpy as np
import pytest

import fastbias as fb
from fastbias.engine import abi, promises, travel
from fastbias.engine.call import call, call_rows
from tests.helpers import JIT, handed

m = fb.methods
X, y = np.array([[1.0, 2.0], [-1.0, 0.5], [3.0, -2.0]]), np.array([1.0, -1.0, 1.0])


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
@pytest.mark.parametrize("face", ["python", "c"])
def test_descend_refuses_what_does_not_fit_and_never_writes_past_an_end(face):
    done = subprocess.run([sys.executable, handed.__file__, face], capture_output=True, text=True,
                          check=False)
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    assert done.returncode == 0, f"after {last}: {done.stderr[-2000:]}"
    assert int(last) > {"python": 5_000, "c": 15}[face]


LONG, SHORT = np.ones(100_000), np.ones(2)
PAIRS = [
    ("w, g", lambda: fb.potentials.euclidean.solve(SHORT, LONG)), ("w, g", lambda: fb.potentials.entropy.solve(LONG, SHORT)),
    ("w, at", lambda: fb.potentials.cosh.divergence(SHORT, LONG)), ("w", lambda: fb.potentials.quadratic([1, 2])(LONG)),
    ("p, y", lambda: fb.losses.squared.log(LONG, SHORT)), ("p, y", lambda: fb.losses.logistic.scaled(SHORT, LONG)),
    ("p, y", lambda: fb.losses.cross_entropy.push(np.ones(5), SHORT)), ("p, y", lambda: fb.losses.probit.log(LONG, [])),
    ("g", lambda: fb.norms.quadratic([1, 2]).direction(LONG)), ("w", lambda: fb.norms.spectral(2, 3)(SHORT)),
    ("g", lambda: fb.norms.group([[0], [1]]).dual(np.ones((4, 3)))), ("w", lambda: fb.norms.fourier(3)([1, 2])),
    ("u", lambda: fb.models.factorised(2, 3).predictor(SHORT, 6)), ("u", lambda: fb.models.diagonal(2).pull(LONG, SHORT)),
    ("u", lambda: fb.models.convolutional(3).pulls(SHORT, np.ones((4, 2)))),
    ("u", lambda: fb.models.relu([1, 2], 2).split(SHORT, 2)), ("d", lambda: fb.models.linear.predictor(SHORT, 2 ** 70)),
]


@pytest.mark.parametrize(("names", "public"), PAIRS, ids=[str(i) for i in range(len(PAIRS))])
def test_public_calls_look_at_the_lengths_of_what_they_hand_on(names, public):
    with pytest.raises(ValueError, match="must") as told:
        public()
    assert any(name in str(told.value) for name in names.split(", "))


@pytest.mark.parametrize("labels", [[1e7, 3.0], [-1, 0], [0.5, 1], [np.nan, 1], [2, 0], [np.inf, 0], [-(2.0 ** 63), 0]])
@pytest.mark.parametrize("ask", ["log", "scaled", "push"])
def test_labels_that_are_no_classes_are_no_index(ask, labels):
    with pytest.raises(ValueError, match="y must be"):
        getattr(fb.losses.cross_entropy, ask)(np.ones(4), np.array(labels))


@pytest.mark.parametrize("loss", fb.losses.monotone.EXAMPLES + fb.losses.root.EXAMPLES, ids=repr)
def test_losses_take_any_numbers(loss):
    N, K = 4, 3 if loss.classes else 1
    p, y = np.arange(N * K) - 2, np.array([0, 1, 2, 1]) if loss.classes else np.array([1, -1, 1, -1])
    wanted = loss.log(p.astype(float), y.astype(float))
    for kind in (list, lambda a: a.astype(np.float32), lambda a: np.repeat(a, 2)[::2], tuple):
        assert loss.log(kind(p), kind(y)) == wanted
        s, q = loss.scaled(kind(p), kind(y))
        assert (q.dtype, q.shape) == (np.float64, p.shape)
        assert (np.exp(s) * q == loss.push(p, y)).all()
    assert np.isnan(loss.push(np.where(np.arange(N * K) == 1, np.nan, p), y)).any()


@pytest.mark.parametrize("k", [-1, -5, -10 ** 9, 2 ** 62, 2 ** 63, 2 ** 200, 1.5, np.inf, np.nan])
@pytest.mark.parametrize("rule", fb.steps.EXAMPLES, ids=repr)
def test_a_step_rule_counts_from_zero(rule, k):
    with pytest.raises(ValueError, match="k must be"):
        rule(k)
    with pytest.raises(TypeError, match="k must be"):
        rule("1")
    assert rule(2 ** 61) > 0


OWNERS = [fb.norms.l1, fb.norms.lp(3), fb.norms.quadratic([1, 2]), fb.norms.group([[0], [1]]), fb.norms.spectral(2, 2),
          fb.norms.fourier(3), fb.potentials.power(3), fb.potentials.hypentropy(1), fb.potentials.quadratic([1, 2]),
          fb.potentials.squared_lp(1.5), fb.potentials.spectral_entropy(2), fb.losses.huber(1), fb.losses.logistic,
          fb.losses.truncated_squared(1), fb.models.factorised(2, 3), fb.models.symmetric(2), fb.models.relu([1, 2], 2),
          fb.steps.power(1, 0.5), fb.steps.bounded(1), fb.steps.sequence([1, 2]), m.coordinate_descent(1),
          m.gradient_descent(1, weight_decay=0.1)]


@pytest.mark.parametrize("owner", OWNERS, ids=repr)
def test_an_owner_with_fewer_numbers_than_its_pieces_read_is_refused(owner):
    with pytest.raises(ValueError, match="params"):
        dataclasses.replace(owner, params=np.empty(0))


def reading(kinds, *owners):
    """The pieces of these kinds that read params, by name."""
    pieces = [value for owner in owners for value in vars(owner).values() if isinstance(value, abi.Piece)]

    def lacking(piece):
        sizes = len(inspect.signature(piece.needs).parameters) - 1 if callable(piece.needs) else 0
        return not piece.fits(np.empty(0), *(4, 9 if piece.signature == abi.DIRECTION else 4)[:sizes])
    return {piece.__name__: piece for piece in pieces if piece.signature in kinds and lacking(piece)}


MAPS = reading((abi.MAP, abi.MAP_AT), *fb.norms.EXAMPLES, *fb.potentials.EXAMPLES, *fb.models.EXAMPLES)
DIRECTIONS = reading((abi.DIRECTION,), *m.EXAMPLES)


@pytest.mark.parametrize("piece", [*MAPS.values(), *DIRECTIONS.values()], ids=repr)
def test_a_piece_that_is_handed_no_numbers_reads_none_and_says_so(piece):
    """A host program in C may hand over what it likes. (The plain function, in which a read beyond an array raises.)"""
    w, out = np.ones(4), np.full(4, np.nan)
    if piece.signature == abi.DIRECTION:
        status = piece.function(None, np.empty(0), 0, 0.0, w, w, np.zeros((9, 4)), out)
    else:
        status = piece.function(np.empty(0), *[w] * (len(piece.signature.args) - 2), out)
    assert status == abi.SHORT
    assert np.isnan(out).all()


def test_what_reads_as_much_as_vectors_are_long_is_refused_when_it_meets_them():
    norm = dataclasses.replace(fb.norms.quadratic([1, 2]), size=None)
    assert norm([3, 4]) == pytest.approx(np.sqrt(9 + 32))
    for ask in (norm, norm.dual, norm.direction):
        with pytest.raises(ValueError, match="params"):
            ask(np.ones(3))
    for method in (m.adam(0.1), m.adagrad(0.1), m.muon(0.1), m.mirror_descent("entropy", 0.1, constraint=([[1, 1]], [1]))):
        data = {"X": X.reshape(3, 1, 2), "y": y, "loss": "squared"}
        with pytest.raises(ValueError, match="fits its params"):
            fb.Plan(**data, method=dataclasses.replace(method, params=np.empty(0)))
        with pytest.raises(ValueError, match="fits its params"):
            fb.Plan(**data, method=dataclasses.replace(method, begin=lambda u: np.empty((0, u.size))))
    with pytest.raises(ValueError, match="params"):
        dataclasses.replace(fb.models.factorised(2, 3), params=[100, 100, 100])
    with pytest.raises(ValueError, match="params"):
        dataclasses.replace(fb.norms.spectral(2, 2), params=[1e-12, 1e9, 1e9])
    with pytest.raises(ValueError, match="params"):
        dataclasses.replace(fb.norms.group([[0], [1]]), params=[1e-12, 2, 0, 1, 2, 0, 1e9])


@pytest.mark.parametrize("method", [m.mirror_descent("euclidean", 0.01), m.natural_gradient("euclidean", 0.01),
                                    m.steepest_descent("l2", 0.01), m.gradient_descent(0.01)], ids=repr)
def test_no_bound_on_steps_is_known_for_a_model_whatever_the_geometry(method):
    model = fb.models.relu(np.linspace(-1, 1, 400), 2)
    plan = fb.Plan(np.ones((3, 400)), [1, 2, 3], loss="squared", method=method, model=model, start=np.full(7, 0.5))
    if method.geometry is None:                                # of which the present point's curvature says something
        assert "present point alone" in plan.max_step().theorem
        return
    with pytest.raises(fb.NoTheorem, match="no bound on the step size"):
        plan.max_step()


def test_the_door_itself():
    one, two, none = np.ones(1), np.ones(2), np.empty(0)
    euclidean, squared, rule = fb.potentials.euclidean, fb.losses.squared, fb.steps.constant(1)
    for piece, *args in ((euclidean.link, two, one), (euclidean.metric, two, two, one), (euclidean.link, two),
                         (euclidean.link, two, two.astype(np.float32)), (euclidean.link, two, [1, 2]),
                         (euclidean.link, two, np.ones(4)[::2]), (squared.slope, two, one, one),
                         (squared.log_loss, two, none),
                         (m.gradient_descent(1).direction, two)):
        with pytest.raises(ValueError, match="must"):
            call(piece, none, *args)
    with pytest.raises(ValueError, match="k of"):
        call(rule.rule, rule.params, -1, 0.0, 0.0)
    with pytest.raises(ValueError, match="params of"):
        call(rule.rule, none, 1, 0.0, 0.0)
    with pytest.raises(ValueError, match="lengths"):
        call_rows(fb.models.linear.pullback, none, two, np.ones((3, 2)), np.ones((2, 2)), (2, 2, 2))
    with pytest.raises(ValueError, match="lengths"):
        call(euclidean.link, none, two, two, sizes=(2, 3))


def test_scratch_and_rows_that_are_fewer_than_a_method_uses_are_refused():
    for constraint in ((np.ones((1, 4)), [1]), ([[1, 1, 0, 0], [0, 0, 1, 1]], [0.5, 0.5])):
        method = m.mirror_descent("entropy", 0.1, constraint=constraint)
        plan = fb.Plan(np.eye(4), np.ones(4), loss="logistic", method=method)
        records = abi.Records(np.array([3]), np.zeros((1, 4)), np.zeros(1))

        def descend(buffers, plan=plan, records=records):
            return fb.descend(plan.pieces, plan.params, plan.problem.X, plan.problem.y, buffers, records, 3, -np.inf)
        plan.buffers.control[abi.SCRATCH] -= 1
        assert descend(plan.buffers) == -5
        plan.buffers.control[abi.SCRATCH] += 1
        assert descend(plan.buffers) == 0


def test_stop_at_and_until_that_are_no_numbers():
    plan = fb.Plan(X, y, loss="logistic", method=m.gradient_descent(0.1))
    records = abi.Records(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))
    for stop_at, until, told in ((np.ones(2), 0, -7), (1.0, 0, -7), (None, 0, -7), (2**70, 0, -7), (1, np.zeros(1), -8),
                                 (1, "0", -8), (1, 10**400, -8), (1, np.nan, -8), (1, 1j, -8), (1, -np.inf, 0)):
        assert fb.descend(plan.pieces, plan.params, X, y, plan.buffers, records, stop_at, until) == told


def test_symmetric_matrices_whose_sum_with_their_transpose_is_beyond_float64(capfd):
    psi, large = fb.potentials.spectral_entropy(2), np.array([1.5e308, 1.0, 1.0, 1.5e308])
    assert psi(large) == np.inf
    assert psi.to_dual(large) == pytest.approx(np.log(1.5e308) * np.array([1, 0, 0, 1]))
    assert psi.to_primal(-large) == pytest.approx(np.zeros(4))
    assert np.isnan(psi.solve(large, [1, 0, 0, 1])).all()    # its terms are beyond float64
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("change", [{"A": np.ones(3)}, {"A": np.ones((2, 3))}, {"b": 5.0}, {"b": range(3)}, {"z0": "abc"},
                                    {"z0": np.ones(2)}, {"A": 10**400}, {"b": np.ones(1, "m8[s]")}])
def test_a_projection_takes_arrays_that_go_together(change):
    given = {"A": np.ones((1, 3)), "b": np.ones(1), "z0": np.zeros(3)}
    with pytest.raises((ValueError, TypeError), match="must (be|have)"):
        fb.potentials.entropy.project(**given | change)


def test_the_packages_own_pieces_keep_their_promises():
    """Looked at here, so that no process that imports them has to."""
    own = {x.function for x in gc.get_objects() if type(x) is abi.Piece and travel.ours(x.function)}
    assert len(own) > 140
    assert [x for x in own if promises.breach(x) is not None] == []


def test_a_piece_that_may_return_nothing_is_told_so():
    def silent(params, x, out):
        out[:] = x

    def half(params, x):  # noqa: RET503
        if x[0] > 0:
            return 1.0

    for function, signature, wanted in ((silent, abi.MAP, "an int64 status"), (half, abi.VALUE, "a float64")):
        with pytest.raises(TypeError, match=f"must return {wanted}.*returns nothing") as told:
            fb.piece(signature)(function)
        assert "\n" not in str(told.value)

    def loud(params, x):
        assert x.size > 0
        return 1.0

    with pytest.raises(TypeError, match=r"loud must return a float64 .* and raise nothing"):
        fb.piece(abi.VALUE)(loud)

    @fb.piece(abi.MAP)
    def always(params, x, out):
        while True:
            if x.size > 0:
                return 0


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
@pytest.mark.parametrize("signature", [abi.MAP, abi.VALUE])
def test_a_piece_that_does_not_compile_is_one_sentence(signature):
    arguments = "params, x, out" if signature is abi.MAP else "params, x"
    for body, said in (("return x.foo", "foo"), ("return undefined(x)", "undefined"), ("return x", "array"),
                       ("x[0] = 'a'; return 0", "setitem"), ("return (1, 2)", "Tuple"), ("yield 1", "nothing")):
        space = {}
        exec(f"def mine({arguments}): {body}", space)
        with pytest.raises(TypeError, match="mine must return .*(and compile, but Numba says: |returns nothing)") as told:
            print(fb.piece(signature)(space["mine"]).address)
        assert said in str(told.value)
        assert "\n" not in str(told.value)


def test_nothing_compiles_twice():
    """Arrays of other types are refused, not compiled for."""
    from fastbias.engine import loop
    if JIT:
        fb.run(X, y, loss="squared", method=m.gradient_descent(0.01), steps=3)
        assert len(loop._descend.signatures) == 1


STOPPED = [("squared", 2), ("logistic", 1), (fb.losses.huber(2.0), 1)]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("scale", [1.0, 1e10, 1e150])
@pytest.mark.parametrize(("loss", "degree"), STOPPED, ids=str)
def test_a_run_that_ceases_to_be_finite_has_a_finite_trace(loss, degree, scale, momentum):
    """The last log loss is held against 50 digits: predictions may be beyond float64 where parameters are not."""
    rng = np.random.default_rng(0)
    X, y = scale * rng.normal(size=(6, 3)), rng.choice([-1.0, 1.0], 6)
    plan = fb.Plan(X, y, loss=loss, method=m.gradient_descent(1e300 if loss == "logistic" else 1e30, momentum))
    trace = plan.run(2000, strict=False)
    assert np.isfinite(trace.w).all()
    assert np.isfinite(trace.log_loss).all()
    if degree > 1 or scale > 1:
        assert trace.status in (fb.Status.NOT_FINITE, fb.Status.STALLED, fb.Status.OK)
    with mpmath.workdps(50):
        p = [mpmath.fdot(map(float, row), map(float, trace.w[-1])) for row in X]
        margins = [float(b) * a for a, b in zip(p, y, strict=True)]
        each = {"squared": lambda a, b, z: (a - b) ** 2, "logistic": lambda a, b, z: mpmath.log1p(mpmath.exp(-z))
                if z > -1000 else -z}.get(loss, lambda a, b, z: (a - b) ** 2 if abs(a - b) <= 2 else 4 * abs(a - b) - 4)
        total = mpmath.fsum(each(a, float(b), z) for a, b, z in zip(p, y, margins, strict=True))
        assert trace.log_loss[-1] == pytest.approx(float(mpmath.log(total)), rel=1e-9)


def test_a_log_loss_that_float64_cannot_hold_is_no_row():
    with pytest.raises(fb.RunStopped) as stopped:
        fb.run([[1e200], [-2e200]], [1, 1], loss="exponential", method=m.gradient_descent(1), steps=50)
    assert np.isfinite(stopped.value.trace.log_loss).all()
    with pytest.raises(ValueError, match="start must have a"):
        fb.Plan([[1e200, 1]], [1], loss="exponential", method=m.gradient_descent(1), start=[-1e200, 0])
