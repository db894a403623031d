"""Many rows: a working set finds what all rows at once do, and its certificates speak of every row."""
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from fastbias.data import rows as rows_module
from fastbias.data.rows import Rows
from fastbias.solvers import exact, margins, search, separability, working_set
from fastbias.solvers.hinge import hinge
from fastbias.solvers.pivots import pivoted

N = fb.norms


def thin(count, size, seed, push=0.0, wrong=0):
    """Normal points, labelled by a random w; pushed apart, or with so many labels wrong."""
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(count, size)), rng.normal(size=size)
    y = np.where(X @ w > 0, 1.0, -1.0)
    X += push * y[:, None] * w / np.linalg.norm(w)
    y[rng.choice(count, wrong, replace=False)] *= -1
    return X, y


@pytest.fixture
def at_once(monkeypatch):
    """All rows are looked at, however many they are."""
    def switched():
        for module in (separability, margins):
            monkeypatch.setattr(module, "few", lambda rows: True)
    return switched


@pytest.mark.parametrize(("push", "wrong"), [(0.0, 0), (0.3, 0), (0.0, 40), (0.3, 1)])
@pytest.mark.parametrize("seed", range(2))
def test_separability_of_many(push, wrong, seed):
    X, y = thin(3000, 12, seed, push, wrong)
    told = fb.separability(X, y)
    assert told.separable == (wrong == 0)
    if told:
        assert (y * (X @ told.w)).min() > 0
    else:
        # Gordan's λ, on rows that scipy's simplex method finds inseparable as well
        on = np.flatnonzero(told.dual)
        Z = (y[:, None] * X)[on]
        assert (told.dual >= 0).all()
        assert told.dual.sum() == pytest.approx(1)
        assert np.abs(told.dual[on] @ Z).max() <= 1e-14 * (told.dual[on] @ np.abs(Z)).max()
        from scipy.optimize import linprog
        game = linprog([*np.zeros(12), -1.0], A_ub=np.column_stack([-Z, np.ones(on.size)]), b_ub=np.zeros(on.size),
                       bounds=[(-1, 1)] * 12 + [(None, 1)])
        assert game.fun >= -1e-9


@pytest.mark.parametrize("norm", ["l1", "l2", "linf", N.lp(1.5), N.lp(3.0), N.quadratic(np.arange(1.0, 11))], ids=repr)
@pytest.mark.parametrize("push", [0.0, 0.3])
def test_margins_of_many_are_those_of_all_at_once(norm, push, at_once):
    X, y = thin(2500, 10, 0, push)
    few = fb.max_margin(X, y, norm)
    at_once()
    every = fb.max_margin(X, y, norm)
    assert few.certified
    assert every.certified
    assert few.margin == pytest.approx(every.margin, rel=1e-10)
    assert few.dual.shape == (2500,)
    norm, Z = few.norm, (y[:, None] * X).astype(np.longdouble)
    lower, upper = float((Z @ few.w).min()) / norm(few.w), norm.dual(np.asarray(few.dual @ Z, float))
    assert (few.dual >= 0).all()
    assert few.dual.sum() == pytest.approx(1)
    assert upper - lower <= 1e-10 * upper
    assert few.hypotheses[0].holds is every.hypotheses[0].holds


@pytest.mark.parametrize("norm", ["l2", "l1", "linf", N.spectral(4, 9)], ids=repr)
def test_classes_of_many_are_never_written_out(norm, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    X = rng.normal(size=(400, 9)) + 2.5 * rng.normal(size=(4, 9))[y]
    small = fb.separability(X, y)
    monkeypatch.setattr("fastbias.data.rows.ClassRows.dense", lambda self: pytest.fail("written out"))
    limit = fb.max_margin(X, y, norm)
    assert small.separable
    assert limit.certified
    scores = X @ limit.w.T
    scores[np.arange(400), y], own = -np.inf, scores[np.arange(400), y].copy()
    assert (own - scores.max(axis=1)).min() == pytest.approx(limit.margin, rel=1e-9)


def test_sparse_rows_with_more_features_than_samples():
    rng = np.random.default_rng(0)
    A = sp.random_array((120, 900), density=0.02, rng=rng, format="csr", data_sampler=rng.normal)
    A = A[np.flatnonzero(np.diff(A.indptr))]
    y = np.where(rng.random(A.shape[0]) < 0.5, 1.0, -1.0)
    for norm in ("l2", "l1"):
        limit = fb.max_margin(A, y, norm)
        assert limit.certified
        assert limit.margin == pytest.approx(fb.max_margin(A.toarray(), y, norm).margin, rel=1e-10)


def test_an_answer_within_rounding_is_decided_without_it():
    """A row that a working set's w leaves at 1e-17: its sign is that of the exact product."""
    X, y = thin(2500, 10, 0)
    w = fb.separability(X, y).w
    Z = y[:, None] * X
    Z[7] -= (Z[7] @ w) / (w @ w) * w
    ratios = exact.ratios(Rows(Z), w)
    true = sum(Fraction(a) * Fraction(b) for a, b in zip(Z[7], w, strict=True))
    assert (ratios[7] > 0) == (true > 0)
    assert ((ratios > 0) == (Z @ w > 0))[np.arange(2500) != 7].all()


@pytest.mark.parametrize("shape", [(300, 20), (15, 40)])
def test_newton_separates_or_shows_why_not(shape):
    rng = np.random.default_rng(0)
    S = rng.normal(size=shape)
    S /= np.linalg.norm(S, axis=1)[:, None]
    w, lam = hinge(S)
    if shape[0] < shape[1]:
        assert (S @ w).min() > 0
    else:
        assert np.abs(lam @ S).max() <= 1e-12 * lam.sum()
        assert lam == pytest.approx(np.maximum(0.0, 1 - S @ w), abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_weights_of_a_quadratic_program_against_least_squares(seed):
    from scipy.optimize import nnls
    rng = np.random.default_rng(seed)
    S = rng.normal(size=(40, 6 + 10 * (seed % 4)))
    S *= np.sign(S @ rng.normal(size=S.shape[1]))[:, None]
    h = rng.uniform(0.5, 2.0, 40)
    mu = pivoted(S @ S.T, h, np.zeros(40, bool), S.shape[1])
    assert (mu >= 0).all()
    w = S.T @ mu
    assert (S @ w >= h - 1e-9 * np.abs(S @ w).max()).all()
    point = nnls(np.vstack([S.T, h]), [*np.zeros(S.shape[1]), 1.0])[0]
    assert w / np.linalg.norm(w) == pytest.approx(point @ S / np.linalg.norm(point @ S), abs=1e-7)


def test_progress_is_shown_where_it_is_asked_for(capsys):
    X, y = thin(2500, 10, 0)
    fb.max_margin(X, y)
    assert capsys.readouterr().err == ""
    limit = fb.max_margin(X, y, progress=True)
    assert "maximum l2 margin" in capsys.readouterr().err
    assert limit.certified
    fb.separability(X, y, progress=True)
    assert "separability" in capsys.readouterr().err
    assert fb.diagnose(X[:200], y[:200], limit.w, progress=True).fractions
    assert "diagnose" in capsys.readouterr().err
    with pytest.raises(TypeError, match="progress must be True or False"):
        fb.separability(X, y, progress=1)


@pytest.fixture
def never_at_once(monkeypatch):
    """A working set is made, however few the rows are."""
    for module in (separability, margins):
        monkeypatch.setattr(module, "few", lambda rows: False)


def test_fewer_rows_than_features_that_are_inseparable(never_at_once):
    """One sample with both labels, among more features than samples: rounds once had no end."""
    X = np.random.default_rng(0).normal(size=(30, 50))
    X[4], y = X[3], np.where(np.arange(30) % 2, 1.0, -1.0)
    told = fb.separability(X, y)
    assert not told.separable
    assert np.flatnonzero(told.dual).tolist() == [3, 4]
    assert told.dual[3] == told.dual[4] == 0.5


@pytest.mark.parametrize("size", [1e160, 1e300, 1e-160, 1e-300])
def test_sizes_whose_squares_leave_float64(size, never_at_once):
    X = np.random.default_rng(0).normal(size=(30, 50)) * size
    y = np.where(np.arange(30) % 2, 1.0, -1.0)
    assert (y * (X / size @ fb.separability(X, y).w) > 0).all()


@pytest.mark.parametrize("norm", ["l1", "l2", "linf", N.lp(1.5)], ids=repr)
def test_a_set_that_begins_too_small_grows(norm, monkeypatch):
    X, y = thin(2500, 10, 1)
    every = fb.max_margin(X, y, norm)
    for name, value in (("FIRST", 1), ("START", 1)):
        monkeypatch.setattr(working_set, name, value)
    rounds = []
    w = fb.separability(X, y).w
    limit = margins.widest(y[:, None] * X, (10,), every.norm, w, rounds.append)
    assert len(rounds) > 1
    assert limit.certified
    assert limit.margin == pytest.approx(every.margin, rel=1e-10)


@pytest.mark.parametrize("size", [1.0, 1e200])
def test_sums_that_cancel_beyond_long_doubles(size):
    A = np.array([[1e30, 3.0], [1.0, -1.0], [-1e30, 1e25]]) * size
    x = np.array([1.0, 2.0 ** -40, 1.0])
    true = [sum(Fraction(a) * Fraction(b) for a, b in zip(column, x, strict=True)) for column in A.T]
    assert exact.careful(A, x).tolist() == [float(t) for t in true]
    assert exact.careful(sp.csr_array(A), x).tolist() == [float(t) for t in true]


@pytest.mark.parametrize("norm", [N.l1, N.lp(1.5), N.lp(3.0), N.linf, N.spectral(3, 4), N.nuclear(3, 4)], ids=repr)
def test_a_margin_that_begins_with_another_norms_answer_is_the_same(norm):
    rng = np.random.default_rng(7)
    X, W = rng.normal(size=(1500, 4)), rng.normal(size=(3, 4))
    data = separability.labelled(X, (X @ W.T).argmax(1))
    assert not separability.few(data.rows)
    start = separability.separated(data.rows)
    other = margins.widest(data.rows, data.shape, N.l2, start)
    begun = separability.Separability(True, other.w.ravel(), None, 1.0, weights=other.dual)
    cold, warm = (margins.widest(data.rows, data.shape, norm, s) for s in (start, begun))
    assert cold.certified
    assert warm.certified
    assert warm.margin == pytest.approx(cold.margin, rel=1e-9)


def test_exchanges_lead_from_the_answer_of_fewer_rows_to_that_of_all(monkeypatch):
    """No other solver is asked."""
    X, y = thin(60, 8, 3)
    Z, norm = y[:, None] * X, N.lp(3.0)
    whole = margins.Bounds(Z, norm)
    whole.offer(separability.separator(Z), np.ones(60))
    search.solve(whole)
    heavy = np.flatnonzero(whole.lam > 0)
    fewer = np.setdiff1d(np.arange(60), heavy[:2])
    part = margins.Bounds(Z[fewer], norm)
    part.offer(whole.w, np.ones(fewer.size))
    search.solve(part)
    lam = np.zeros(60)
    lam[fewer] = part.lam
    assert (Z @ part.w).min() < 0.99 * (Z[fewer] @ part.w).min()            # two rows that matter are behind
    monkeypatch.setattr(search, "candidates", lambda *_: iter(()))
    best = margins.Bounds(Z, norm)
    best.offer(separability.separator(Z), np.ones(60))
    search.solve(best, (part.w, lam))
    assert best.gap <= 1e-12
    np.testing.assert_allclose(best.w, whole.w, atol=1e-9)


@pytest.mark.parametrize("form", ["dense", "sparse", "classes"])
def test_rows_that_decide_and_are_too_many_for_memory_are_refused(form, monkeypatch):
    """A working set that grew to the size of w is written out, where there is room."""
    if form == "classes":
        rng = np.random.default_rng(1)
        X, W = rng.normal(size=(2000, 6)), rng.normal(size=(4, 6))
        X, y = X, (X @ W.T).argmax(1)
    else:
        X, y = thin(3000, 20, 1)
        X = sp.csr_array(X) if form == "sparse" else X
    fb.max_margin(X, y, N.lp(3.0))
    monkeypatch.setattr(rows_module, "MOST", 1000)
    with pytest.raises(ValueError, match=r"X must be so small that the \d+ rows that decide fit into memory"):
        fb.max_margin(X, y, N.lp(3.0))
