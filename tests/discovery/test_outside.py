"""Optimisers of other libraries run under every diagnostic; torch's own are those of fb.methods."""
import importlib.util

import numpy as np
import pytest

import fastbias as fb

m = fb.methods
torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None
needs_torch = pytest.mark.skipif(torch is None, reason="torch is not installed")
optax = importlib.import_module("optax") if importlib.util.find_spec("optax") else None
needs_optax = pytest.mark.skipif(optax is None, reason="optax is not installed")
X = np.array([[1, 2, -1, 3], [2, -1, 1, 1.0]]) / 8
Y = X @ np.array([1, -2, 1, 0.5])


class Heavy:
    """Heavy ball, as optax has it: init and update."""

    def init(self, params):
        return np.zeros_like(params)

    def update(self, gradient, state, params=None):
        state = 0.5 * state - 0.1 * gradient
        return state, state


def plan(method, **options):
    return fb.Plan(X, Y, loss="squared", method=method, **options)


def test_a_transformation_runs_as_a_method_does():
    theirs, ours = plan(fb.bridges.from_optax(Heavy())), plan(m.gradient_descent(0.1, 0.5))
    for stop in (7, 100, 400):                               # going on keeps the state
        a, b = (p.run(stop - p.t, record=np.arange(p.t, stop + 1)) for p in (theirs, ours))
        assert a.t.tolist() == b.t.tolist()
        assert np.abs(a.w - b.w).max() < 1e-13
        assert np.abs(np.exp(a.log_loss) - np.exp(b.log_loss)).max() < 1e-12
    assert theirs.t == 400
    assert np.abs(a.gap(ours.limit())[-1] - b.gap(ours.limit())[-1]) < 1e-12


def test_rows_ends_and_callbacks():
    p = plan(fb.bridges.from_optax(Heavy()))
    trace = p.run(1000, until=-10.0)
    assert trace.status == fb.Status.REACHED
    assert trace.log_loss[-1] <= -10 < trace.log_loss[-2]
    seen = []
    p.run(50, callback=lambda plan: seen.append(plan.t))
    assert seen[-1] == p.t
    thin = plan(fb.bridges.from_optax(Heavy())).run(100, record=[0, 50, 100], record_w=False)
    assert thin.t.tolist() == [0, 50, 100]
    assert len(thin.u) == 2


def test_other_models_losses_and_shapes():
    for options in ({"model": fb.models.diagonal(2), "start": np.full(8, 0.5)}, {"intercept": True}):
        theirs = plan(fb.bridges.from_optax(Heavy()), **options).run(200)
        ours = plan(m.gradient_descent(0.1, 0.5), **options).run(200)
        assert np.abs(theirs.u - ours.u).max() < 1e-12
    labels = {"X": X, "y": [1, -1], "loss": "logistic", "steps": 300}
    assert np.abs(fb.run(method=fb.bridges.from_optax(Heavy()), **labels).w
                  - fb.run(method=m.gradient_descent(0.1, 0.5), **labels).w).max() < 1e-12
    seen = []

    class Shapes(Heavy):
        def init(self, params):
            seen.append(params.shape)
            return super().init(params)
    fb.run(X.reshape(2, 2, 2), Y, loss="squared", method=fb.bridges.from_optax(Shapes()), steps=2)
    assert seen == [(2, 2)]


def test_a_loss_of_exactly_0_ends_no_run_that_was_not_asked_to_end():
    rows = {"loss": "squared", "steps": 5, "record": np.arange(6), "start": np.ones(1)}
    for method in (fb.bridges.from_optax(Heavy()), m.gradient_descent(0.1, 0.5)):
        trace = fb.run([[1.0]], [1.0], method=method, **rows)
        assert trace.log_loss.tolist() == [-np.inf] * 6
        assert (trace.status, trace.t[-1]) == (fb.Status.OK, 5)
        assert fb.run([[1.0]], [1.0], method=method, until=-1.0, **rows).t.tolist() == [0]


def test_what_leaves_float64_ends_the_run():
    class Wild(Heavy):
        def update(self, gradient, state, params=None):
            return np.full_like(gradient, np.inf), state
    with pytest.raises(fb.RunStopped, match="in the update from step 0 to 1"):
        plan(fb.bridges.from_optax(Wild())).run(10)

    class Short(Heavy):
        def update(self, gradient, state, params=None):
            return np.zeros((3, 4)), state
    with pytest.raises(ValueError, match="the update must be of the shape"):
        plan(fb.bridges.from_optax(Short())).run(10)


def test_what_its_state_does_not_allow_is_refused(tmp_path):
    p = plan(fb.bridges.from_optax(Heavy()))
    p.run(10)
    with pytest.raises(TypeError, match="method must be one of fb.methods for a run to be saved"):
        p.save(tmp_path / "plan.npz")
    for ask in (p.limit, p.max_step, lambda: p.fast_forward(1e3)):
        with pytest.raises(fb.NoTheorem):
            ask()
    with pytest.raises(TypeError, match="make must be a function"):
        fb.bridges.from_torch(3)
    with pytest.raises(TypeError, match="transformation must have the methods init and update"):
        fb.bridges.from_optax(3)


def test_what_is_done_around_its_updates_is_refused():
    with pytest.raises(TypeError, match="method must be one of fb.methods to be made sharpness-aware"):
        m.sharpness_aware(fb.bridges.from_optax(Heavy()), 0.1)


def test_a_loss_that_grows_asks_for_no_more_updates_than_were_asked_for():
    class Uphill(Heavy):
        asked = 0

        def update(self, gradient, state, params=None):
            self.asked += 1
            return 0.1 * gradient, state

    theirs = Uphill()
    trace = plan(fb.bridges.from_optax(theirs)).run(5)
    assert theirs.asked == 5
    assert "log L has grown" in trace.message


def test_it_is_examined_and_named_as_any_method():
    problems = [(x := np.random.default_rng(k).normal(size=(2, 4)) / 4, x @ np.arange(4.0)) for k in range(6)]
    limits = [fb.Plan(x, y, loss="squared", method=fb.bridges.from_optax(Heavy())).run(4000, until=-60).w[-1]
              for x, y in problems]
    assert fb.identify(problems, limits).name == "euclidean"


if torch is not None:
    Optim = torch.optim
    PAIRS = {
        "SGD": (lambda p: Optim.SGD(p, lr=0.1), m.gradient_descent(0.1)),
        "SGD, momentum": (lambda p: Optim.SGD(p, lr=0.1, momentum=0.9), m.gradient_descent(0.1, 0.9)),
        "Adam": (lambda p: Optim.Adam(p, lr=0.05), m.adam(0.05)),
        "AMSGrad": (lambda p: Optim.Adam(p, lr=0.05, amsgrad=True), m.adam(0.05, amsgrad=True)),
        "AdamW": (lambda p: Optim.AdamW(p, lr=0.05, weight_decay=0.1), m.adamw(0.05, weight_decay=0.1)),
        "NAdam": (lambda p: Optim.NAdam(p, lr=0.05), m.nadam(0.05)),
        "Adagrad": (lambda p: Optim.Adagrad(p, lr=0.3, eps=0.0, initial_accumulator_value=0.1), m.adagrad(0.3, G0=0.1)),
        "RMSprop": (lambda p: Optim.RMSprop(p, lr=0.01), m.rmsprop(0.01)),
        "Adadelta": (lambda p: Optim.Adadelta(p, lr=1.0), m.adadelta()),
    }

    @pytest.mark.parametrize("name", PAIRS)
    @pytest.mark.parametrize("loss", ["squared", "logistic"])
    def test_torch_agrees_to_1e_12_a_step(name, loss, request):
        make, ours = PAIRS[name]
        y = Y if loss == "squared" else [1, -1]
        rows = {"steps": 300, "record": np.arange(301)}
        # (NAdam keeps a product of momenta in torch's default type, float32 unless told)
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        request.addfinalizer(lambda: torch.set_default_dtype(usual))
        a, b = (fb.run(X, y, loss=loss, method=method, **rows) for method in (fb.bridges.from_torch(make), ours))
        assert np.abs(a.w - b.w).max() < 1e-12
else:
    @needs_torch
    def test_torch_agrees_to_1e_12_a_step():
        raise AssertionError


# run with optax 0.2.8, jax 0.10.2, numpy 2.4.6 (December 2026): 2e-13 apart at most after 1,000 steps
if optax is not None:
    THEIRS = {
        "sgd": (optax.sgd(0.1), m.gradient_descent(0.1)),
        "sgd, momentum": (optax.sgd(0.1, momentum=0.9), m.gradient_descent(0.1, 0.9)),
        "adam": (optax.adam(0.05), m.adam(0.05)),
        "adamw": (optax.adamw(0.05, weight_decay=0.1), m.adamw(0.05, weight_decay=0.1)),
        "lion": (optax.lion(0.01, weight_decay=0.1), m.lion(0.01, weight_decay=0.1)),
        # (an ε that keeps it from turning rounding into moves of full length where it ends)
        "rmsprop": (optax.rmsprop(0.01, eps=0.01), m.rmsprop(0.01, beta=0.9, eps=0.01, eps_inside_root=True)),
        "adagrad": (optax.adagrad(0.3, eps=0.0), m.adagrad(0.3, G0=0.1)),
    }

    @pytest.mark.parametrize("name", THEIRS)
    @pytest.mark.parametrize("loss", ["squared", "logistic"])
    def test_optax_agrees_to_1e_12_after_a_thousand_steps(name, loss, request):
        config = importlib.import_module("jax").config
        usual = config.jax_enable_x64
        config.update("jax_enable_x64", True)
        request.addfinalizer(lambda: config.update("jax_enable_x64", usual))
        theirs, ours = THEIRS[name]
        y, rows = Y if loss == "squared" else [1, -1], {"steps": 1000, "record": np.arange(1001)}
        a, b = (fb.run(X, y, loss=loss, method=method, **rows) for method in (fb.bridges.from_optax(theirs), ours))
        assert a.t.tolist() == b.t.tolist()
        assert np.abs(a.w - b.w).max() < 1e-12
else:
    @needs_optax
    def test_optax_agrees_to_1e_12_after_a_thousand_steps():
        raise AssertionError
