"""One head of attention: no limit is named but the margin between tokens, which runs are seen to turn to."""
import numpy as np
import pytest

import fastbias as fb

m, M = fb.methods, fb.models


def tokens(seed, d=10):
    """Tokens (N, T, d) and a head v: worth y_i at the first of each sample, 0 at all others."""
    rng = np.random.default_rng(seed)
    N, T = int(rng.integers(1, 5)), int(rng.integers(2, 4))
    X, v = rng.normal(size=(N, T, d)), rng.normal(size=d)
    if seed % 3 == 1:
        X[:, 1] = X[:, -1]                                                      # (ties, where there are three)
    if seed % 3 == 2:
        X *= 10.0 ** rng.uniform(-0.5, 0.5, size=(N, 1, 1))
    y = rng.choice([-1.0, 1.0], size=N)
    X -= np.multiply.outer(X @ v, v) / (v @ v)
    X[:, 0] += np.multiply.outer(y, v) / (v @ v)
    return X, y, v


def plan(X, y, v=None, loss="logistic", eta=2.0):
    model, d = M.attention(X), X.shape[2]
    start = np.zeros(d) if v is not None else 0.1 * np.arange(2 * d)
    return fb.Plan(np.eye(len(y)), y, loss=loss, method=m.gradient_descent(eta),
                   model=model if v is None else M.frozen(model, 1, v), start=start)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("loss", ["exponential", "logistic", "probit"])
def test_a_limit_is_refused_with_the_reference_and_the_margin_beside_it(held, loss):
    X, y, v = tokens(0)
    p = plan(X, y, v if held else None, loss, 1e-8)
    with pytest.raises(fb.NoTheorem, match=r"fb\.max_margin of these differences") as told:
        p.limit()
    assert told.value.source == "Tarzanagh, Li, Zhang, Oymak (2023)"
    assert isinstance(told.value, LookupError)
    p.run(5)
    with pytest.raises(fb.NoTheorem, match="the query q"):
        p.limit()
    with pytest.raises(fb.NoTheorem, match="not homogeneous"):
        p.fast_forward(20)


def test_other_layers_that_are_held_keep_their_own_reference():
    model = M.frozen(M.diagonal(3), 1, [2.0, 1.0])
    limit = fb.Plan([[1.0, 2.0]], [1.0], loss="exponential", method=m.gradient_descent(0.1), model=model, start=np.ones(4))
    limit.run(10)
    assert limit.limit().source == "Lyu & Li (2020)"


@pytest.mark.long
@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 53), marks=pytest.mark.exhaustive)], ids=["3", "50 more"])
def test_queries_turn_to_the_widest_margin_between_tokens(seeds):
    """With v held, of tokens that the theorem asks for: the fraction of the margin rises, and is never over one."""
    last = []
    for seed in seeds:
        X, y, v = tokens(seed)
        gaps = (X[:, :1] - X[:, 1:]).reshape(-1, X.shape[2])
        gaps = gaps / np.linalg.norm(gaps, 2)
        best = fb.max_margin(gaps, np.ones(len(gaps)))
        assert best.certified, seed
        trace = plan(X, y, v).run(300_000, record=np.array([1000, 10_000, 100_000, 300_000]))
        fraction = np.array([(gaps @ q).min() / np.linalg.norm(q) / best.margin for q in trace.u[1:]])
        assert (np.diff(fraction) > -1e-9).all(), (seed, fraction)
        assert fraction[-1] < 1 + 1e-9
        last.append(fraction[-1])
    print(f"fractions of the margin: {min(last):.3f} and more, {np.median(last):.3f} in the middle")
    assert min(last) > 0.8


@pytest.mark.parametrize("held", [False, True])
def test_a_loaded_run_goes_on_bit_for_bit(held, tmp_path):
    X, y, v = tokens(4)
    whole, part = (plan(X, y, v if held else None) for _ in range(2))
    whole.run(57)
    part.run(20)
    part.save(tmp_path / "p.npz")
    back = fb.Plan.load(tmp_path / "p.npz")
    assert back.problem.model.name == part.problem.model.name
    back.run(37)
    assert back.u.tobytes() == whole.u.tobytes()
    assert back.trace.w[-1].tobytes() == whole.trace.w[-1].tobytes()
    assert np.abs(back.u - part.u).max() > 0
