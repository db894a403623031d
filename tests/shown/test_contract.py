"""What users and programs of theirs rely on: names, the order of arguments, defaults, attributes.

A change here breaks code that is not ours.
"""
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

import fastbias as fb
from fastbias.proofs import checker
from fastbias.running import checkpoint

X, y = np.array([[2.0, 3.0], [1.5, 1.0], [3.0, 1.0]]), np.array([1, 1, -1])
ROOTS = np.array([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 3.0, 1.0]]), np.array([1.0, 2.0])
PARTED = np.array([[2.0, 1.0], [1.0, 3.0], [-1.0, -2.0]]), np.array([1, 1, -1])

# a name, its first arguments by place with their defaults (… for none), then those by keyword
CALLS = """
losses.huber(delta)
losses.truncated_squared(c)
norms.lp(p)
norms.quadratic(D)
norms.group(groups)
norms.spectral(m, n)
norms.nuclear(m, n)
potentials.quadratic(D)
potentials.squared_lp(p)
potentials.power(p)
potentials.hypentropy(beta)
potentials.spectral_entropy(n)
models.diagonal(depth, *, signed=False)
models.deep_linear(depth, width=None)
models.convolutional(depth)
models.symmetric(n, rank=None)
models.factorised(m, n, rank=None)
models.relu(X, width, offset=True)
methods.gradient_descent(step_size, momentum=0.0, nesterov=0.0, *, batch=None, replace=True, rng=None, label_noise=0.0, gradient_noise=0.0, weight_decay=0.0)
methods.mirror_descent(potential, step_size, dual_momentum=0.0, primal_momentum=0.0, nesterov=0.0, *, constraint=None, batch=None, replace=True, rng=None)
methods.natural_gradient(potential, step_size)
methods.steepest_descent(norm, step_size, normalised=False, *, momentum=0.0, nesterov=0.0, weight_decay=0.0)
methods.coordinate_descent(step_size, ties='first', tie_tol=1e-12, shrinkage=1.0, rng=None)
methods.stagewise(epsilon, ties='average')
methods.adagrad(step_size, G0=0.0, eps=0.0)
methods.adam(step_size, beta1=0.9, beta2=0.999, eps=1e-08)
methods.rmsprop(step_size, beta=0.99, eps=1e-08)
methods.sign_descent(step_size)
methods.muon(step_size, momentum=0.95, *, orthogonalise='polar')
methods.dual_acceleration()
methods.adamw(step_size, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.01)
methods.nadam(step_size, beta1=0.9, beta2=0.999, eps=1e-08)
methods.lion(step_size, beta1=0.9, beta2=0.99, weight_decay=0.0)
methods.signum(step_size, momentum=0.9)
methods.adadelta(step_size=1.0, rho=0.9, eps=1e-06)
methods.sharpness_aware(method, rho, norm='l2', per_sample=False)
steps.constant(eta)
steps.power(eta, a, offset=1, warmup=0)
steps.bounded(eta_plus)
steps.loss_scaled(eta)
steps.line_search()
Plan(X, y, *, loss, method, model=fb.models.linear, start=None, intercept=False, weights=None, threads='auto')
run(X, y, *, steps)
separability(X, y, *, intercept=False)
max_margin(X, y, norm, *, intercept=False)
regularisation_path(X, y, *, intercept=False)
minimum_norm(X, y, norm, *, intercept=False)
bregman_projection(X, y, potential, w0, constraint=None)
diagnose(X, y, w, *, intercept=None)
separation(X, y, intercept=True, names=None, weights=None)
sweep(plans, grid=None, *, steps, record=None, until=None, executor=None, progress=False, store=None, retry_failed=False)
relu.fit(X, y, biases='free')
relu.margin(X, y, biases='counted', offset=False)
relu.network(a, b, c, offset=0.0)
axioms.examine(optimiser, loss='squared', rng=0)
identify(problems, limits, starts=None)
hunt(conjecture, seconds=60, rng=0)
bridges.from_torch(make)
bridges.from_optax(transformation)
bridges.which_norm(gradients, updates)
proofs.check(document)
data.read(path, target, *, drop, labels, categories='onehot', missing='drop', weights)
"""


def asked(line):
    """The name, the parameters by place and those by keyword, with defaults as they are printed."""
    name, _, rest = line.rstrip(")").partition("(")
    place, _, named = rest.partition("*, ")

    def pairs(text):
        return [part.split("=") for part in text.rstrip(", ").split(", ") if part]
    return name, pairs(place), pairs(named)


@pytest.mark.parametrize("line", CALLS.split("\n")[1:-1], ids=lambda line: line.partition("(")[0])
def test_arguments(line):
    name, place, named = asked(line)
    found = fb
    for part in name.split("."):
        found = getattr(found, part)
    has = inspect.signature(found).parameters
    positional = [p for p in has.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    for (wanted, *default), parameter in zip(place, positional, strict=False):
        assert parameter.name == wanted
        _kept(parameter, default)
    assert len(positional) >= len(place)
    for wanted, *default in named:
        if wanted not in has:
            # what is handed through is asked by a call
            assert any(p.kind == p.VAR_KEYWORD for p in has.values()), wanted
        else:
            _kept(has[wanted], default)


def _kept(parameter, default):
    """What had a default has the same; what had none may have got one."""
    assert not default or parameter.default == eval(default[0], {"fb": fb})


def test_a_run_and_its_trace(tmp_path):
    plan = fb.Plan(X, y, loss="exponential", method=fb.methods.steepest_descent(fb.norms.lp(4 / 3), step_size=0.01))
    seen = []
    trace = plan.run(1000, record=[10, 100], until=-1e9, progress=False, callback=seen.append, strict=True,
                     checkpoint=tmp_path / "checkpoint", every=30.0, record_w=True)
    assert plan.t == 1000
    assert plan.u.shape == (2,)
    np.testing.assert_array_equal(trace.t, [0, 10, 100, 1000])
    K = len(trace.t)
    assert trace.w.shape == trace.u.shape == (K, 2)
    assert trace.log_t.shape == trace.log_loss.shape == (K,)
    assert trace.status == fb.Status.OK
    assert isinstance(trace.message, str)
    limit = plan.limit()
    assert trace.margin("l1").shape == trace.gap(limit).shape == (K,)
    assert trace.direction("l2").shape == (K, 2)
    assert trace.sharpness().shape == trace.kkt_residual(norm="l2").shape == (K,)
    elsewhere = trace.evaluate(X, y)
    assert elsewhere is not None
    trace.save(tmp_path / "trace.npz")
    np.testing.assert_array_equal(fb.Trace.load(tmp_path / "trace.npz").w, trace.w)
    assert len(trace.to_pandas()) == K
    assert fb.Trace.from_arrays(X, y, trace.t, trace.w).w.shape == (K, 2)
    plan.save(tmp_path / "plan")
    again = fb.Plan.load(tmp_path / "plan")
    np.testing.assert_array_equal(again.run(10).w, plan.run(10).w)
    arrays, about = checkpoint.read(tmp_path / "plan")
    checkpoint.write(tmp_path / "copy", arrays, about)
    assert fb.Plan.load(tmp_path / "copy").t == 1000


@pytest.mark.long
def test_statuses():
    assert {status.name for status in fb.Status} >= {"OK", "NOT_FINITE", "OUT_OF_DOMAIN", "STALLED", "REACHED", "UNBOUNDED"}
    assert set(fb.abi.MESSAGES) >= {int(status) for status in fb.Status}
    diverging = fb.Plan(*ROOTS, loss="squared", method=fb.methods.gradient_descent(10.0))
    with pytest.raises(fb.RunStopped) as stopped:
        diverging.run(10_000)
    assert stopped.value.status == fb.Status.NOT_FINITE
    assert np.isfinite(stopped.value.trace.w).all()


def test_a_limit():
    for plan, kind in ((fb.Plan(*ROOTS, loss="squared", method=fb.methods.gradient_descent(0.01)), "point"),
                       (fb.Plan(*PARTED, loss="exponential", method=fb.methods.gradient_descent(0.01)), "direction")):
        limit = plan.limit()
        assert limit.kind == kind
        assert limit.certified is True
        assert limit.duality_gap <= 1e-10
        assert limit.rung in ("exact", "enclosed", "float")
        assert isinstance(limit.theorem, str)
        assert isinstance(limit.source, str)
        for statement, holds, evidence in ((h.statement, h.holds, h.evidence) for h in limit.hypotheses):
            assert isinstance(statement, str)
            assert isinstance(evidence, str)
            assert holds in (True, False, None)
    assert limit.margin > 0
    assert limit.dual.min() >= 0
    assert limit.dual.sum() == pytest.approx(1)
    assert limit.support.size
    assert limit.alpha.shape == (3,)
    assert limit.intercept == 0.0
    assert issubclass(fb.NoTheorem, LookupError)
    with pytest.raises(fb.NoTheorem) as refused:
        fb.Plan(*ROOTS, loss="squared", method=fb.methods.coordinate_descent(0.01)).limit()
    for name in ("reason", "source", "hypotheses", "dual"):
        assert hasattr(refused.value, name)


def test_rays_and_separation():
    X, y = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1], [0, 1]]), np.array([1, 1, 1, -1, 1])
    found = fb.separation(X, y, intercept=False, names=["a", "b"])
    assert found.kind == "quasi"
    assert found.strict.dtype == bool
    assert found.coefficients == {"a": "finite", "b": "+inf"}
    assert set(found.finite) == {"a", "b"}
    assert found.direction.shape == (2,)
    assert isinstance(found.direction_intercept, float)
    assert isinstance(found.log_likelihood, float)
    assert found.certified is True
    limit = fb.Plan(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1)).limit()
    assert limit.kind == "ray"
    assert limit.offset.shape == (2,)
    trace = fb.run(X, y, loss="logistic", method=fb.methods.gradient_descent(0.1), steps=100)
    assert trace.finite_gap(limit).shape == trace.t.shape
    assert "(intercept)" in fb.separation(X, y).coefficients
    assert fb.separation(X, y).coefficients.keys() >= {"x0", "x1"}
    told = fb.separability(X, y)
    assert told.separable is False
    assert told.dual is not None


@pytest.mark.long
def test_far_and_continuous():
    plan = fb.Plan(*PARTED, loss="exponential", method=fb.methods.gradient_descent(0.01))
    assert plan.flow(time=10.0, rtol=1e-10).w.shape[1] == 2
    assert plan.max_step().step_size > 0
    assert isinstance(plan.max_step().theorem, str)
    plan.run(100_000)
    far = plan.fast_forward(1e6, record=None, rtol=1e-10)
    assert far.error_estimate.shape == far.log_t.shape
    assert far.slack.shape == (len(far.log_t), 3)
    assert plan.fast_forward(1e6, record=np.array([1e5, 5e5, 999_999, 1e6])).increment().shape == (2,)


@pytest.mark.long
def test_sweeps_and_estimators():
    pytest.importorskip("sklearn")
    from fastbias import sklearn
    found = fb.sweep(fb.Plan(*ROOTS, loss="squared", method=fb.methods.gradient_descent(0.01)),
                     {"step_size": [0.01, 0.02]}, steps=100)
    assert len(found.to_pandas()) == 2
    for made in (sklearn.MaxMarginClassifier(norm="l2", fit_intercept=True),
                 sklearn.ImplicitBiasClassifier(method="gradient", steps=10_000, fit_intercept=True)):
        assert (made.fit(*PARTED).predict(PARTED[0]) == PARTED[1]).all()
    assert sklearn.MinimumNormRegressor(norm="l2", fit_intercept=True).fit(*ROOTS).coef_.shape == (4,)


def test_diagnoses_and_networks():
    told = fb.diagnose(*PARTED, np.array([1.0, 1.0]))
    assert set(told.fractions) >= {"l1", "l2", "linf"}
    assert told.best in told.fractions
    assert hasattr(told, "p")
    fitted = fb.relu.fit(np.array([[0.0], [1], [2]]), np.array([0.0, 1, 0]), biases="free")
    for name in ("cost", "network", "dual", "duality_gap", "certified"):
        assert hasattr(fitted, name)
    network = fb.relu.network(np.array([1.0]), np.array([[1.0]]), np.array([0.0]), 0.0)
    assert network(np.array([[2.0]])) == pytest.approx(2.0)
    assert isinstance(network.cost, float)
    assert isinstance(network.counted, float)
    assert fb.relu.margin(*PARTED, biases="counted", offset=False).margin > 0


def test_proofs_are_checked_by_whoever_has_python(tmp_path):
    document = fb.max_margin(*PARTED, "l2").proof()
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(document))
    assert fb.proofs.check(document) is True
    for command in ([sys.executable, "-m", "fastbias", "check", file],
                    [sys.executable, "-I", "-S", checker.__file__, file]):
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
        file.write_text("{}")
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1
        file.write_text(json.dumps(document))


@pytest.mark.long
def test_what_an_optimiser_prefers():
    told = fb.axioms.examine(fb.methods.gradient_descent(0.01), loss="squared", rng=0)
    assert set(told.holds) == set(told.moves)
    assert hasattr(told, "proof")
    rng = np.random.default_rng(0)
    problems = [(rng.normal(size=(2, 5)), rng.normal(size=2)) for _ in range(4)]
    named = fb.identify(problems, np.array([fb.minimum_norm(*problem, "l2").w for problem in problems]))
    assert named.name == "euclidean"
    assert named.residual <= 1e-9
    assert hasattr(named, "parameter")
