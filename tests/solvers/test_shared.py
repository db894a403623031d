"""Where max_margin names other norms of which its direction is the maximum as well, and only there."""
import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers import shared
from tests.helpers.marks import slow

N = fb.norms
NAMED = {"l1": N.l1, "l2": N.l2, "linf": N.linf}


def named(limit):
    """The norms that it names."""
    told = [h for h in limit.hypotheses if h.statement == "the direction is of this norm alone"]
    assert all(h.holds is False for h in told)
    return set(told[0].evidence.split("margin in ")[1].split(" as well")[0].split(", ")) if told else set()


def data(seed, K=1):
    """Up to 30 × 6, every third of small whole numbers, as ties have them."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2 + 3 * K, 30)), int(rng.integers(2, 7))
    X = rng.integers(-2, 3, size=(n, d)).astype(float) if seed % 3 == 0 else rng.normal(size=(n, d))
    W = rng.normal(size=(K, d))
    y = (X @ W.T).argmax(1) if K > 1 else (X @ W[0] > 0)
    apart = np.sort(X @ W.T, 1)[:, -1] - np.sort(X @ W.T, 1)[:, -2] if K > 1 else np.abs(X @ W[0])
    return X[apart > 1e-9], y[apart > 1e-9]


@pytest.mark.parametrize("norm", [N.l1, N.linf, *slow(N.l2, N.lp(3.0))], ids=repr)
@pytest.mark.parametrize("intercept", [False, *slow(True)])
def test_norms_are_named_where_their_own_maximum_has_this_margin_and_nowhere_else(norm, intercept):
    counts = [0, 0]
    for seed in range(24):
        X, y = data(seed)
        if len(set(y)) < 2:
            continue
        limit = fb.max_margin(X, y, norm, intercept=intercept)
        least = (np.where(y, 1, -1) * (X @ limit.w + (limit.intercept if intercept else 0))).min()
        told = named(limit)
        for name, other in NAMED.items():
            if name != norm.name:
                most = fb.max_margin(X, y, other, intercept=intercept).margin
                same = least / other(limit.w) >= most * (1 - 1e-9)
                assert (name in told) == same, (seed, name)
                counts[int(same)] += 1
    assert min(counts) > 5


def test_matrices_of_rank_one_are_maxima_of_singular_values_as_well():
    found = named(fb.max_margin([[[1.0, 0], [0, 0]], [[2, 0], [0, 0]]], [1, 1]))
    assert found == {"l1", "linf", "spectral", "nuclear"}
    X, y = data(4, K=3)
    limit = fb.max_margin(X, y, N.nuclear(3, X.shape[1]))
    assert np.linalg.matrix_rank(limit.w, tol=1e-6) > 1
    assert "spectral" not in named(limit)


def test_nothing_is_named_that_rounding_or_a_missing_certificate_leaves_open(monkeypatch):
    X, y = [[2, 1], [1, 2]], [1, 1]
    assert named(fb.max_margin(X, y)) == {"l1", "linf"}
    nearly = fb.max_margin(X, y)
    rows = shared.Rows(np.array(X, float))
    off = type(nearly)(**{**vars(nearly), "w": np.array([1.0, 1.0 + 1e-9]) / np.sqrt(2)})
    assert shared.shared(rows, off) == ()
    assert shared.shared(rows, type(nearly)(**{**vars(nearly), "certified": False})) == ()
    monkeypatch.setattr(shared, "LARGE", 0)                                 # no λ is sought: its own says it all the same
    assert named(fb.max_margin(X, y)) == {"l1", "linf"}
    Y = [[1.0, 0.3], [0.2, 1.0]]                                            # two support vectors, of other weights in each
    assert named(fb.max_margin(Y, [1, 1])) == set()
    monkeypatch.undo()
    assert named(fb.max_margin(Y, [1, 1])) == {"l1"}
