"""Methods beside PyTorch's own optimisers, step by step in float64, where their settings coincide; skipped where it is not
installed.
"""
import numpy as np
import pytest

import fastbias as fb

torch = pytest.importorskip("torch", reason="PyTorch's optimisers are compared where it is installed: pip install torch")

m = fb.methods
STEPS = 300
RNG = np.random.default_rng(3)
X, START = RNG.normal(size=(6, 4)), 0.5 * RNG.normal(size=4)
Y = X @ RNG.normal(size=4)
W, MATRIX = RNG.normal(size=60), 0.5 * RNG.normal(size=12)
ETA = 0.02 / np.linalg.norm(X, 2) ** 2

# (what is called, with which arguments) of PyTorch, and our method
CASES = {
    "SGD": ("SGD", {"lr": ETA}, m.gradient_descent(ETA)),
    "SGD, momentum": ("SGD", {"lr": ETA, "momentum": 0.9}, m.gradient_descent(ETA, 0.9)),
    "SGD, momentum of the gradient": ("SGD", {"lr": ETA, "momentum": 0.9}, m.steepest_descent("l2", ETA, momentum=0.9)),
    "SGD, nesterov": ("SGD", {"lr": ETA, "momentum": 0.9, "nesterov": True},
                      m.steepest_descent("l2", ETA, momentum=0.9, nesterov=0.9)),
    "SGD, weight decay": ("SGD", {"lr": ETA, "weight_decay": 0.3}, m.gradient_descent(ETA, weight_decay=0.3)),
    "Adam": ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3}, m.adam(0.01, 0.8, 0.95, 1e-3)),
    "AMSGrad": ("Adam", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "amsgrad": True},
                m.adam(0.01, 0.8, 0.9, 1e-3, amsgrad=True)),
    "AdamW": ("AdamW", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3},
              m.adamw(0.01, 0.8, 0.95, 1e-3, 0.3)),
    "AMSGrad, decoupled": ("AdamW", {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.3, "amsgrad": True},
                           m.adam(0.01, 0.8, 0.9, 1e-3, amsgrad=True, weight_decay=0.3)),
    "NAdam": ("NAdam", {"lr": 0.002, "betas": (0.9, 0.99), "eps": 1e-3}, m.nadam(0.002, 0.9, 0.99, 1e-3)),
    "RMSprop": ("RMSprop", {"lr": 1e-3, "alpha": 0.9, "eps": 1e-2}, m.rmsprop(1e-3, 0.9, 1e-2)),
    "RMSprop, momentum": ("RMSprop", {"lr": 1e-4, "alpha": 0.9, "eps": 1e-2, "momentum": 0.9},
                          m.rmsprop(1e-4, 0.9, 1e-2, momentum=0.9)),
    "Adagrad": ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-3},
                m.adagrad(0.1, 0.1, 1e-3, eps_inside_root=False)),
    "Adadelta": ("Adadelta", {"lr": 0.01, "rho": 0.9, "eps": 1e-2}, m.adadelta(0.01, 0.9, 1e-2)),
}


@pytest.fixture(autouse=True)
def _in_float64():
    """Scalars that an optimiser keeps, as NAdam its product, are of the default type there."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def theirs(name, arguments, X, y, start, loss="squared"):
    """The iterates (STEPS + 1, ...) of an optimiser of PyTorch, on the sum over samples."""
    w = torch.nn.Parameter(torch.tensor(start))
    samples, labels = torch.tensor(X), torch.tensor(y)
    optimiser, rows = getattr(torch.optim, name)([w], **arguments), [start]
    for _ in range(STEPS):
        optimiser.zero_grad()
        p = (samples * w).flatten(1).sum(1)
        (((p - labels) ** 2).sum() if loss == "squared" else torch.exp(-labels * p).sum()).backward()
        optimiser.step()
        rows.append(w.detach().numpy().copy())
    return np.array(rows)


def ours(method, X, y, start, loss="squared"):
    return fb.run(X, y, loss=loss, method=method, start=start, steps=STEPS, record=np.arange(STEPS + 1)).w


def apart(one, other):
    return np.abs(one - other).max() / np.abs(other).max()


@pytest.mark.parametrize("case", CASES)
def test_iterates_equal_those_of_pytorch(case):
    name, arguments, method = CASES[case]
    assert apart(ours(method, X, Y, START), theirs(name, arguments, X, Y, START)) <= 1e-12


@pytest.mark.parametrize("case", ["Adam", "AMSGrad", "AdamW", "NAdam", "RMSprop"])
def test_they_do_on_a_loss_that_falls_as_well(case):
    name, arguments, method = CASES[case]
    y = np.where(X @ RNG.normal(size=4) > 0, 1.0, -1.0)
    pair = ours(method, X, y, START, "exponential"), theirs(name, arguments, X, y, START, "exponential")
    assert apart(*pair) <= 1e-12


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (3, 3)])
def test_muon_is_pytorchs_but_for_its_bfloat16(shape, monkeypatch):
    # (theirs averages, ours sums, which no direction sees)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.double)
    size = shape[0] * shape[1]
    samples, start = W[:5 * size].reshape(5, *shape), MATRIX[:size].reshape(shape)
    y = samples.reshape(5, -1) @ np.ones(size)
    # theirs is longer by √(m/n) where m > n, and so is what it decays by shorter beside it
    wide = max(1.0, shape[0] / shape[1]) ** 0.5
    method = m.muon(0.01 * wide, 0.9, "ns5", nesterov=0.9, weight_decay=0.1 / wide)
    arguments = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}
    assert apart(ours(method, samples, y, start)[:40], theirs("Muon", arguments, samples, y, start)[:40]) <= 1e-12


@pytest.mark.parametrize(("average", "fading"), [("mean", None), (0.9, 0.9)])
def test_means_are_those_of_swa_utils(average, fading):
    from torch.optim import swa_utils
    trace = fb.run(X, Y, loss="squared", method=m.gradient_descent(0.01, average=average, average_from=7), start=START, steps=STEPS,
                   record=np.arange(STEPS + 1))
    model = torch.nn.Linear(START.size, 1, bias=False)
    means = swa_utils.AveragedModel(model, avg_fn=swa_utils.get_swa_avg_fn() if fading is None else swa_utils.get_ema_avg_fn(fading))
    for t in range(8, STEPS + 1):
        with torch.no_grad():
            model.weight.copy_(torch.tensor(trace.u[t]).reshape(1, -1))
        means.update_parameters(model)
        assert apart(trace.averages[t], means.module.weight.detach().numpy().ravel()) <= 1e-12
