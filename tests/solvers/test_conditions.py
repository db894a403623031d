"""The optimality conditions of ℓp margins: by products of rows as by the rows, and by the maxima themselves."""
import numpy as np
import pytest

import fastbias as fb
from fastbias.solvers import conditions
from fastbias.solvers.conditions import Conditions
from fastbias.solvers.separability import labelled

N = fb.norms


def classes(K, d, count, seed):
    rng = np.random.default_rng(seed)
    X, W = rng.normal(size=(count, d)), rng.normal(size=(K, d))
    return X, (X @ W.T).argmax(1)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("intercept", [False, True])
def test_products_say_what_rows_say(exact, intercept):
    X, y = classes(3, 5, 120, 1)
    limit = fb.max_margin(X, y, N.lp(3.0), intercept=intercept)
    rng = np.random.default_rng(0)
    b = limit.intercept if intercept else np.zeros(0)
    w = np.append(limit.w.ravel() + (0 if exact else 1e-3 * rng.normal(size=15)), b)
    data = labelled(X, y, intercept=intercept)
    margins = data.rows.margins(w)
    assert margins.min() > 0
    asked = Conditions(data.rows, w, margins)
    for p in (1.2, 2.0, 2.9, 3.0, 3.1, 8.0):                                 # each from the one before it
        pull = np.sign(w[:15]) * np.abs(w[:15] / N.lp(p)(w[:15])) ** (p - 1)
        pull = np.append(pull, np.zeros(w.size - 15))
        (by_rows, off), (by_products, left) = asked._by_rows(pull), asked._by_products(pull)
        assert left == pytest.approx(off, rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(by_products @ asked.Z, by_rows @ asked.Z, atol=1e-7)
        assert (by_products >= 0).all()
        if exact and p == 3.0:
            assert off < 1e-9


@pytest.mark.parametrize("p", [1.3, 4.0])
def test_diagnose_by_products_is_diagnose_by_rows(p, monkeypatch):
    X, y = classes(4, 6, 200, 2)
    w = fb.max_margin(X, y, N.lp(p)).w
    by_rows = fb.diagnose(X, y, w)
    monkeypatch.setattr(conditions, "LARGE", 0)
    by_products = fb.diagnose(X, y, w)
    assert by_products.p == pytest.approx(p, rel=1e-6)
    assert by_products.p == pytest.approx(by_rows.p, rel=1e-6)
    assert by_products.fractions == by_rows.fractions
    assert by_products.fraction == pytest.approx(1, abs=1e-9)


def test_diagnose_of_many_rows_against_margins_one_by_one():
    """Each of its maxima begins with another's answer."""
    X, y = classes(3, 8, 1500, 3)
    w = fb.max_margin(X, y, N.lp(1.5)).w
    told = fb.diagnose(X, y, w)
    assert told.best == "l1.5"
    assert told.p == pytest.approx(1.5, rel=1e-5)
    assert list(told.fractions) == ["l1", "l1.25", "l1.5", "l2", "l3", "l5", "linf", "spectral", "nuclear"]
    own = np.arange(3) == y[:, None]
    scores = X @ w.T
    least = (scores[own][:, None] - scores)[~own].min()
    for name, norm in (("l1", N.l1), ("l2", N.l2), ("linf", N.linf), ("nuclear", N.nuclear(3, 8))):
        alone = fb.max_margin(X, y, norm)
        assert alone.certified
        assert told.fractions[name] == pytest.approx(least / norm(w.ravel()) / alone.margin, rel=1e-9)
