"""What a model says of itself: starts, least parameters, the penalty on w, and what gradient flow keeps."""
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import fastbias as fb
from tests.helpers import JIT
from tests.helpers import naive_models as naive

m, models = fb.methods, fb.models
GD = m.gradient_descent(0.1)

# min ‖u‖² over F(u) = w --------------------------------------------------------------------------------------------------

PENALTIES = {                                                    # model, twin, some w
    "diagonal 2": (models.diagonal(2), naive.diagonal(), [1.5, -0.7]),
    "diagonal 3": (models.diagonal(3), naive.diagonal(), [1.5, -0.7]),
    "signed 2": (models.diagonal(2, signed=True), naive.signed_diagonal(2), [1.5, -0.7, 0.3]),
    "signed 3": (models.diagonal(3, signed=True), naive.signed_diagonal(3), [1.5, -0.7]),
    "symmetric": (models.symmetric(2), naive.symmetric(), [2.0, 0.5, 0.5, 1.0]),
    "symmetric wide": (models.symmetric(2, 3), naive.symmetric(), [4.0, 2.0, 2.0, 1.5]),
    "factorised": (models.factorised(2, 2), naive.factorised(), [1.0, -0.4, 0.6, 0.8]),
    "factorised wide": (models.factorised(2, 2, 3), naive.factorised(), [1.0, -0.4, 0.6, 0.8]),
    "deep linear 2": (models.deep_linear(2, 2), naive.deep_linear(), [1.0, -2.0]),
    "deep linear 3": (models.deep_linear(3, 2), naive.deep_linear(), [1.0, -2.0]),
    "deep linear 4": (models.deep_linear(4, 1), naive.deep_linear(), [0.6, -0.3]),
    "products 3": (models.factorised(2, 2, depth=3), naive.products(), [1.0, -0.4, 0.6, 0.8]),
    "products wide": (models.factorised(2, 2, [3, 2], 3), naive.products(), [1.0, -0.4, 0.6, 0.8]),
    "symmetric apart": (models.symmetric(2, signed=True), naive.apart(naive.symmetric()), [2.0, 0.5, 0.5, -1.0]),
    "powers 3": (models.diagonal(3, tied=True), naive.power(3), [1.5, -0.7]),
    "products apart 2": (models.diagonal(2, signed=True, tied=False), naive.apart(naive.diagonal()), [1.5, -0.7]),
    "products apart 3": (models.diagonal(3, signed=True, tied=False), naive.apart(naive.diagonal()), [1.5, -0.7]),
    "grouped": (models.grouped([[0, 2], [1]]), naive.grouped([[0, 2], [1]], 2), [1.5, -0.7, 0.3]),
    "grouped 1": (models.grouped([[0, 2], [1]], 1), naive.grouped([[0, 2], [1]], 1), [1.5, -0.7, 0.3]),
    "grouped 4": (models.grouped([[0, 2], [1]], 4), naive.grouped([[0, 2], [1]], 4), [1.5, -0.7, 0.3]),
} | {f"convolutional {L}, {d}": (models.convolutional(L), naive.convolutional(), [1.2, -0.5, 0.4, 0.9][:d])
     for L in (1, 2, 3) for d in (3, 4)}


@pytest.mark.parametrize("name", PENALTIES)
def test_the_penalty_is_the_least_norm_of_parameters_and_is_attained(name):
    """SLSQP from random starts finds nothing shorter, and the balanced parameters are as short as the penalty says."""
    model, (forward, back), w = PENALTIES[name]
    w = np.array(w)
    penalty, least, rng = model.penalty(w), model.balanced(w), np.random.default_rng(0)
    assert forward(model.split(least, w.size)) == pytest.approx(w, rel=1e-12, abs=1e-14)
    assert least @ least == pytest.approx(penalty, rel=1e-12)

    def rows(u):
        layers = model.split(u, w.size)
        return np.array([np.concatenate([part.ravel() for part in back(layers, e)]) for e in np.eye(w.size)])
    keep = [0, 1, 3] if "symmetric" in name else list(range(w.size))       # W₁₂ = W₂₁ is one equation
    found = []
    for _ in range(8 if JIT else 3):
        answer = minimize(lambda u: u @ u, rng.normal(size=least.size), jac=lambda u: 2 * u, method="SLSQP",
                          constraints={"type": "eq", "fun": lambda u: (forward(model.split(u, w.size)) - w)[keep],
                                       "jac": lambda u: rows(u)[keep]}, options={"maxiter": 300, "ftol": 1e-13})
        if answer.success and abs(forward(model.split(answer.x, w.size)) - w).max() < 1e-8:
            found.append(answer.fun)
    assert found
    assert min(found) == pytest.approx(penalty, rel=1e-6)


EXAMPLES = [x for x in models.EXAMPLES if x.balance is not None]


@pytest.mark.parametrize("model", EXAMPLES, ids=repr)
def test_balanced_parameters_make_the_predictor_and_are_balanced(model):
    rng = np.random.default_rng(1)
    d = model.length or 6
    for u in (rng.normal(size=model.parameters(d)), np.zeros(model.parameters(d))):
        w = model.predictor(u, d)
        least = model.balanced(w.reshape(model.shape or (d,)))
        assert model.predictor(least, d) == pytest.approx(w, rel=1e-11, abs=1e-12)
        assert least @ least == pytest.approx(model.penalty(w), rel=1e-12)
        assert (least == 0).all() == (not w.any())
        if model.invariant is not None and "signed" not in model.name:
            assert abs(model.invariant(model.split(least, d))).max() < 1e-12 * max(least @ least, 1)


@pytest.mark.parametrize(("model", "w", "words"), [
    (models.symmetric(2), [[0, 1], [1, 0]], "must be one that the symmetric"),             # indefinite
    (models.symmetric(2), [[1, 1], [0, 1]], "must be one that the symmetric"),             # not symmetric
    (models.symmetric(2, 1), np.eye(2), "must be one that the symmetric"),                 # of too large a rank
    (models.factorised(2, 3, 1), [[1, 0, 0], [0, 1, 0]], "must be one that the factorised"),
    (models.factorised(2, 3, [2, 1], 3), [[1, 0, 0], [0, 1, 0]], "must be one that the factorised"),
    (models.symmetric(2, signed=True), [[1, 1], [0, 1]], "must be one that the symmetric"),
    (models.symmetric(2, 1, signed=True), -np.eye(2), "must be one that the symmetric"),
    (models.diagonal(2, tied=True), [1, -1], "must be one that the diagonal"),
    (models.weight_normalised, [1, 2], "must be one that the weight_normalised"),
    (models.relu([0.0, 1.0], 3), [1, 2], "must be one that the relu"),                     # no least parameters known
    (models.symmetric(2), [1, 2, 3], r"must have the shape \(2, 2\)"),
    (models.factorised(2, 3), np.eye(3), r"must have the shape \(2, 3\)"),
    (models.diagonal(2), [[[1.0]]], r"w must be a \(d,\) or \(m, n\) array"),
    (models.diagonal(2), [np.nan], "w must be finite"),
])
def test_predictors_out_of_reach_are_refused(model, w, words):
    with pytest.raises(ValueError, match=words):
        model.balanced(w)


# what gradient flow keeps ------------------------------------------------------------------------------------------------

KEPT = {                                                         # model, shape of predictors, M
    "factorised": (models.factorised(3, 2), (3, 2), 4),
    "factorised wide": (models.factorised(2, 3, 4), (2, 3), 16),
    "deep linear 2": (models.deep_linear(2, 3), (4,), 9),
    "deep linear 4": (models.deep_linear(4, 2), (3,), 12),
    "diagonal 2": (models.diagonal(2), (4,), 4),
    "diagonal 5": (models.diagonal(5), (3,), 12),
    "signed 2": (models.diagonal(2, signed=True), (4,), 4),
    "signed 3": (models.diagonal(3, signed=True), (4,), 4),
    "signed 6": (models.diagonal(6, signed=True), (3,), 3),
    "convolutional 2": (models.convolutional(2), (4,), 4),
    "convolutional 4": (models.convolutional(4), (5,), 15),
    "products 4": (models.factorised(3, 2, [2, 4, 1], 4), (3, 2), 4 + 16 + 1),
    "symmetric apart": (models.symmetric(3, 2, signed=True), (3, 3), 4),
    "products apart 3": (models.diagonal(3, signed=True, tied=False), (4,), 16),
    "grouped": (models.grouped([[0, 2], [1], [3]]), (4,), 3),
    "weight normalised": (models.weight_normalised, (4,), 1),
    "relu": (models.relu([0.1, 0.5, 0.9, 1.5], 3), (4,), 3),
    "relu plane": (models.relu([[0.1, 0.5], [0.9, 1.5], [0.2, 0.3], [1.0, 0.1]], 3, offset=False), (4,), 3),
}


def kept_by(name, eta, loss="squared"):
    """A plan for a model of the list, away from balance."""
    model, shape, _ = KEPT[name]
    rng, d = np.random.default_rng(3), int(np.prod(shape))
    X, y = 0.3 * rng.normal(size=(4, *shape)), rng.choice([-1.0, 1.0], size=4)
    return fb.Plan(X, y, loss=loss, method=m.gradient_descent(eta), model=model,
                   start=rng.uniform(0.2, 0.6, size=model.parameters(d)))


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("name", KEPT)
def test_the_invariant_is_kept_by_gradient_flow_and_drifts_with_the_step(name, loss):
    model, shape, size = KEPT[name]
    d = int(np.prod(shape))
    problem = kept_by(name, 1.0, loss).problem
    flow = solve_ivp(lambda t, u: problem.descent(u), (0, 0.2), problem.start, method="DOP853", rtol=1e-11, atol=1e-12)
    told = np.array([model.invariant(model.split(u, d)).ravel() for u in flow.y.T])
    assert told.shape[1] == size
    assert abs(flow.y[:, -1] - problem.start).max() > 0.001
    assert abs(told - told[0]).max() < 1e-8
    steps, drift = (100, []) if JIT else (50, [])
    for halving in (1, 2):                                       # twice the steps of half the size: half the drift
        trace = kept_by(name, 0.2 / steps / halving, loss).run(steps * halving, record=2)
        rows = trace.invariant()
        assert rows.shape == (2, size)
        assert rows[0] == pytest.approx(told[0], rel=1e-12, abs=1e-14)
        drift.append(abs(rows[1] - rows[0]).max())
    assert drift[0] > 0
    assert drift[0] / drift[1] == pytest.approx(2, abs=0.1 if JIT else 0.4)


def test_traces_without_an_invariant_say_so():
    trace = fb.run([[1, 2]], [1], loss="squared", method=GD, steps=1)
    with pytest.raises(ValueError, match=r"trace must be of a model that keeps an invariant, got the linear model"):
        trace.invariant()
    for model in (models.diagonal(1), models.convolutional(1), models.deep_linear(1)):
        with pytest.raises(ValueError, match="must be of a model that keeps an invariant"):
            fb.run([[1, 2]], [1], loss="squared", method=GD, model=model, start=[1, 1], steps=1).invariant()
    with pytest.raises(ValueError, match="got none that is known"):
        fb.Trace.from_arrays([[1, 0]], [1], [1, 10], [[1, 0.5], [3, 3]]).invariant()


def test_the_invariant_of_a_trace_from_a_checkpoint(tmp_path):
    plan = kept_by("convolutional 2", 0.01)
    plan.run(5).save(tmp_path / "t.npz")
    plan.save(tmp_path / "p.npz")
    assert fb.Plan.load(tmp_path / "p.npz").trace.invariant().tobytes() == plan.trace.invariant().tobytes()
    with pytest.raises(ValueError, match="read from a file"):
        fb.Trace.load(tmp_path / "t.npz").invariant()


# starts ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("model", "d", "wanted"), [
    (models.symmetric(2), None, [0.1, 0, 0, 0.1]),
    (models.symmetric(3, 2), None, [0.1, 0, 0, 0.1, 0, 0]),
    (models.symmetric(1, 3), None, [0.1, 0, 0]),
    (models.factorised(2, 1), None, [0.1, 0, 0.1]),
    (models.factorised(1, 2, 2), None, [0.1, 0, 0.1, 0, 0, 0.1]),
    (models.diagonal(3), 2, [0.1] * 6),
    (models.diagonal(3, signed=True), 2, [0.1] * 4),
    (models.convolutional(2), 3, [0.1, 0, 0, 0.1, 0, 0]),
    (models.deep_linear(3, 2), 3, [0.1, 0, 0, 0, 0.1, 0, 0.1, 0, 0, 0.1, 0.1, 0.1]),
    (models.deep_linear(1), 2, [0.1, 0.1]),
], ids=repr)
def test_scaled_identities(model, d, wanted):
    assert model.start(0.1, size=d) == pytest.approx(wanted)
    shape = model.shape or (d,)
    plan = fb.Plan(np.ones((2, *shape)), [1, 1], loss="squared", method=GD, model=model, start=model.start(0.1))
    assert plan.u.tolist() == model.start(0.1, size=d).tolist()


def test_gaussian_starts_are_seeded_and_fit_what_they_meet():
    for model, d in ((models.symmetric(2, 3), None), (models.convolutional(2), 3000), (models.relu([0.0, 1.0], 4), None)):
        one, two = (model.start(0.2, rng=rng, size=d) for rng in (7, np.random.default_rng(7)))
        assert (one == two).all()
        assert (one == 0.2 * np.random.default_rng(7).normal(size=one.size)).all()
        assert one.size == model.parameters(d or model.length)
    waits = models.diagonal(2).start(0.1, rng=1)
    assert repr(waits) == "<start of diagonal(2), scale 0.1, Gaussian>"
    assert repr(models.diagonal(2).start(0.1)) == "<start of diagonal(2), scale 0.1>"
    first, second = (fb.Plan(np.eye(3), [1, 2, 3], loss="squared", method=GD, model=models.diagonal(2), start=waits).u
                     for _ in range(2))
    assert first.shape == (6,)
    assert (first == second).all()                               # the same start in every plan
    K = fb.Plan(np.eye(3), [0, 1, 2], loss="cross_entropy", method=GD, model=models.diagonal(2), start=waits)
    assert K.u.size == 18


def test_starts_as_lists_of_layers():
    X = np.arange(12.0).reshape(2, 2, 3)

    def u(model, start, X=X):
        return fb.Plan(X, [1, 1], loss="squared", method=GD, model=model, start=start).u.tolist()
    U, V = [[1, 2], [3, 4]], [[5, 6], [7, 8], [9, 10]]
    flat = list(range(1, 11))
    assert u(models.factorised(2, 3), [U, V]) == u(models.factorised(2, 3), (np.array(U), V)) == flat
    assert u(models.factorised(2, 3), flat) == flat
    square = X[:, :, :2]
    for start in (U, np.array(U), [U], [1, 2, 3, 4]):
        assert u(models.symmetric(2), start, square) == [1, 2, 3, 4]
    for start in ([[1, 2, 3], [4, 5, 6]], np.arange(1, 7).reshape(2, 3)):
        assert u(models.diagonal(2), start, np.eye(2, 3)) == [1, 2, 3, 4, 5, 6]
    assert u(models.deep_linear(3, 1), [[[1, 2, 3]], [[4]], [5]], np.eye(2, 3)) == [1, 2, 3, 4, 5]
    assert u(models.relu([0.0, 1.0], 2), [[1, 2], [3, 4], [5, 6], [7]], np.eye(2)) == [1, 2, 3, 4, 5, 6, 7]


F23, X23 = models.factorised(2, 3), np.ones((1, 2, 3))


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, model=F23), ValueError, "start must be given for the factorised"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, model=F23, start=np.ones(9)), ValueError,
     r"start must have 10 entries, got shape \(9,\)"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, model=F23, start=[np.ones((3, 2)), np.ones((2, 2))]), ValueError,
     r"a list of layers of shapes \(2, 2\), \(3, 2\), got \(3, 2\), \(2, 2\)"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, model=F23, start=[np.ones((2, 2))]), ValueError,
     r"a list of layers of shapes \(2, 2\), \(3, 2\), got \(2, 2\)"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, model=F23, start=[np.ones((2, 2)), 3]), ValueError,
     r"start must be a list of layers of shapes \(2, 2\), \(3, 2\), got shape \(\)"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, model=F23, start=[[[1, 2], [3]], np.ones((3, 2))]), ValueError,
     "start must be a list of layers .*, got rows of different lengths"),
    (lambda: fb.Plan(np.ones((1, 2, 2)), [1], loss="squared", method=GD, model=models.symmetric(2), start=[[1, 2], [3]]),
     ValueError, "start must be a list of layers .*, got rows of different lengths"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, model=F23, start=[np.full((2, 2), np.inf), np.ones((3, 2))]),
     ValueError, "start must be finite, got inf at index"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, model=F23, start=models.diagonal(2).start(1)), ValueError,
     r"start must be one of the factorised\(2, 3, 2\) model, got <start of diagonal\(2\), scale 1>"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=GD, start=models.diagonal(2).start(1)), ValueError,
     "start must be one of the linear model"),
    (lambda: fb.Plan(np.ones((1, 3, 2)), [1], loss="squared", method=GD, model=F23, start=F23.start(1)), ValueError,
     r"X must have samples of the shape \(2, 3\) of the factorised\(2, 3, 2\) model, got \(3, 2\)"),
    (lambda: fb.Plan(np.ones((1, 5)), [1], loss="squared", method=GD, model=F23, start=F23.start(1)), ValueError,
     r"X must have samples of the shape \(2, 3\)"),
    (lambda: fb.Plan(np.ones((1, 2)), [1], loss="squared", method=GD, model=models.diagonal), TypeError, "model must be"),
    (lambda: fb.Plan(np.ones((1, 2)), [1], loss="squared", method=GD, model="diagonal"), TypeError,
     "call it, fb.models.diagonal"),
    (lambda: fb.Plan(X23, [1], loss="squared", method=m.muon(0.1), model=F23, start=F23.start(1)), ValueError,
     "model must be linear for muon"),
    (lambda: fb.Plan(X23[:, :, :2], [1], loss="squared", method=m.steepest_descent(fb.norms.spectral(2, 2), 0.1),
                     model=models.symmetric(2), start=np.eye(2)), ValueError, "model must be linear for steepest_descent"),
    (lambda: fb.Plan(X23[:, :, :2], [1], loss="squared", method=m.mirror_descent(fb.potentials.spectral_entropy(2), 0.1),
                     model=models.symmetric(2), start=np.eye(2)), ValueError, "model must be linear for mirror_descent"),
    (lambda: fb.Plan(np.ones((1, 2)), [1], loss="squared", method=m.steepest_descent(fb.norms.quadratic([1, 2]), 0.1),
                     model=models.diagonal(2), start=np.ones(4)), ValueError,
     r"model must have 2 parameters for the quadratic geometry, got diagonal\(2\) with 4"),
    (lambda: fb.Plan(np.ones((1, 2)), [1], loss="exponential", method=m.dual_acceleration(), model=models.diagonal(2),
                     start=np.ones(4)), ValueError, "step_size must have a meaning for dual_acceleration"),
    (lambda: fb.Plan(np.ones((1, 2)), [1], loss="squared", method=GD, model=models.diagonal(2), start=np.ones(4), gram=True),
     ValueError, r"gram must be None or False for the diagonal\(2\) model"),
    (lambda: fb.Plan(np.ones((1, 2)), [1], loss="squared", method=m.gradient_descent(0.1, weight_decay=1), gram=True),
     ValueError, "gram must be None or False for gradient_descent"),
    (lambda: models.diagonal(2).start(0), ValueError, "scale must be a finite number > 0, got 0"),
    (lambda: models.diagonal(2).start(1, rng="a"), TypeError, "rng must be None, a whole number >= 0 or a numpy Generator"),
    (lambda: models.diagonal(2).start(1, size=0), ValueError, "size must be a whole number >= 1"),
    (lambda: F23.start(1, size=7), ValueError, r"size must be 6, the only one of the factorised\(2, 3, 2\) model, got 7"),
    (lambda: models.relu([0.0, 1.0], 2).start(1), ValueError, "rng must be given for a start of the relu"),
    (lambda: models.linear.start(1), ValueError, "rng must be given for a start of the linear model"),
    (lambda: models.diagonal(2).predictor([1, 2, 3], 2), ValueError, r"fit the diagonal\(2\) model, got 3 and 2"),
    (lambda: models.linear.predictor([1, 2, 3], 2), ValueError, "lengths that fit the linear model, got 3 and 2"),
    (lambda: models.diagonal(2).pull([1, 2], [1, 2]), ValueError, "lengths that fit the diagonal"),
    (lambda: models.diagonal(2).split(np.ones(3), 2), ValueError, "lengths that fit the diagonal"),
    (lambda: F23.predictor(np.ones(10), 5), ValueError, "lengths that fit the factorised"),
    (lambda: models.diagonal(0), ValueError, "depth must be a whole number >= 1"),
    (lambda: models.diagonal(1, signed=True), ValueError, "depth must be a whole number >= 2"),
    (lambda: models.diagonal(2, signed=1), TypeError, "signed must be True or False, got 1"),
    (lambda: models.diagonal(2, tied=1), TypeError, "tied must be True or False, got 1"),
    (lambda: models.symmetric(2, signed=None), TypeError, "signed must be True or False, got None"),
    (lambda: models.factorised(2, 3, depth=1), ValueError, "depth must be a whole number >= 2"),
    (lambda: models.factorised(2, 3, [2], 3), ValueError, r"rank must be a whole number >= 1, or a list of 2 such with length 2"),
    (lambda: models.factorised(2, 3, [2, 0], 3), ValueError, "rank must be a whole number >= 1"),
    (lambda: models.factorised(2, 3, [2, 1.5], 3), ValueError, "rank must be a whole number"),
    (lambda: models.factorised(2, 3, "ab", 3), TypeError, "rank must be"),
    (lambda: models.grouped([[0, 1], [1]]), ValueError, r"groups must hold each feature 0 ... d-1 exactly once"),
    (lambda: models.grouped([]), ValueError, "groups must hold"),
    (lambda: models.grouped("ab"), TypeError, "groups must be a list of lists"),
    (lambda: models.grouped([[0], []]), ValueError, "groups must be a list of lists of feature indices and not empty"),
    (lambda: models.grouped([[0]], 0), ValueError, "power must be a whole number >= 1"),
    (lambda: models.frozen("diagonal", 0, [1]), TypeError, "model must be a Model of fb.models"),
    (lambda: models.frozen(models.linear, 0, [1.0]), ValueError, "layers must leave one of the 1 of <model linear> free"),
    (lambda: models.frozen(models.diagonal(2), [0, 1], [[1.0], [2.0]]), ValueError, "layers must leave one of the 2"),
    (lambda: models.frozen(models.diagonal(2), [0, 0], [[1.0], [2.0]]), ValueError, "layers must be .* each once"),
    (lambda: models.frozen(models.diagonal(2), -1, [1.0]), ValueError, "layers must be a whole number >= 0"),
    (lambda: models.frozen(models.diagonal(2), [], []), ValueError, "layers must be .* not empty"),
    (lambda: models.frozen(models.diagonal(2), 5, [1.0]), ValueError, r"values must have the shapes .* got \(1,\) for 5"),
    (lambda: models.frozen(models.diagonal(2), [0], [1.0]), ValueError, "values must be an array for each"),
    (lambda: models.frozen(models.diagonal(2), [0], None), ValueError, "values must be an array for each"),
    (lambda: models.frozen(models.diagonal(2), 0, [np.nan]), ValueError, "values must be finite"),
    (lambda: models.frozen(models.diagonal(2), 0, [1.0, 2.0], size=3), ValueError, "values must have the shapes"),
    (lambda: models.frozen(models.deep_linear(3, 2), 2, [1.0, 2.0]), ValueError, "size must be given for"),
    (lambda: models.frozen(models.factorised(2, 3), 0, np.ones((3, 2))), ValueError, "values must have the shapes"),
    (lambda: models.frozen(models.factorised(2, 3), 0, np.ones((2, 2)), size=7), ValueError, "size must be 6, the only one"),
    (lambda: fb.Plan(np.eye(2), [1, 1], loss="squared", method=GD, model=models.weight_normalised, start=[1, 0, 0]),
     ValueError, "start must make a predictor that is finite"),
    (lambda: models.convolutional(65), ValueError, "depth must be a whole number >= 1 and <= 64, got 65"),
    (lambda: models.deep_linear(2.5), ValueError, "depth must be a whole number"),
    (lambda: models.deep_linear(2, 0), ValueError, "width must be a whole number >= 1"),
    (lambda: models.symmetric(0), ValueError, "n must be a whole number >= 1"),
    (lambda: models.symmetric(2, "3"), TypeError, "rank must be a whole number"),
    (lambda: models.factorised(2, -1), ValueError, "n must be a whole number >= 1"),
    (lambda: models.relu([], 2), ValueError, "X must be"),
    (lambda: models.relu([[1.0, np.nan]], 2), ValueError, "X must be finite"),
    (lambda: models.relu([1.0], 2, offset=0), TypeError, "offset must be True or False"),
    (lambda: models.relu([0.0, 1.0], 0), ValueError, "width must be"),
    (lambda: m.gradient_descent(0.1, weight_decay=-1), ValueError, "weight_decay must be"),
    (lambda: m.gradient_descent(0.1, weight_decay=True), TypeError, "weight_decay must be"),
    (lambda: models.Model("x", fb.norms.l2.norm, fb.norms.l2.steepest), TypeError, "forward of a Model must be a piece"),
    (lambda: fb.potentials.hypentropy([1, 0]), ValueError, "beta must be > 0 in each entry"),
    (lambda: fb.potentials.hypentropy([[1]]), ValueError, "beta must be"),
])
def test_bad_arguments_of_models(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_hyperbolic_entropy_with_a_scale_for_each_coordinate():
    """∇ψ = asinh(w_i/β_i), as mirror descent runs on it, and argmin D_ψ as the certified projection finds it."""
    X, y = fb.data.random_regression(2, 3, rng=1)
    beta, eta, steps = np.array([0.1, 1.0, 10.0]), 0.01, 200 if JIT else 20
    method = m.mirror_descent(fb.potentials.hypentropy(beta), eta)
    trace = fb.run(X, y, loss="squared", method=method, steps=steps, record=np.arange(steps + 1))
    w = np.zeros(3)
    for row in trace.w:
        assert row == pytest.approx(w, rel=1e-11, abs=1e-14)
        w = beta * np.sinh(np.arcsinh(w / beta) - eta * 2 * X.T @ (X @ w - y))
    limit = fb.Plan(X, y, loss="squared", method=method).limit()
    assert limit.certified
    assert X @ limit.w == pytest.approx(y, rel=1e-10)
    off = np.linalg.lstsq(X.T, np.arcsinh(limit.w / beta), rcond=None)
    assert X.T @ off[0] == pytest.approx(np.arcsinh(limit.w / beta), abs=1e-9)
    with pytest.raises(ValueError, match="X must have 3 columns for the hypentropy geometry, got 2"):
        fb.Plan([[1, 2]], [1], loss="squared", method=method)
