"""ℓ1 and ℓ∞ margins by interior points, of sparse rows as well: against linear programs of scipy, and exact sums."""
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

import fastbias as fb
from fastbias.checks import foreign
from fastbias.data.rows import Rows
from fastbias.solvers import boxes, interior, margins, programs, search, separability

N = fb.norms
BALLS = {"l1": "cross-polytope", "linf": "cube"}


def sparse(count, size, seed, entries=6):
    """Rows with so many entries each, over 0, labelled by a random w."""
    rng = np.random.default_rng(seed)
    columns = np.concatenate([rng.choice(size, entries, replace=False) for _ in range(count)])
    A = sp.csr_array((rng.exponential(size=count * entries), columns, np.arange(0, count * entries + 1, entries)),
                     shape=(count, size))
    return A, np.where(A @ rng.normal(size=size) > 0, 1.0, -1.0)


def normal(count, size, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, size))
    return X * np.sign(X @ rng.normal(size=size))[:, None]


def best_by_scipy(Z, norm):
    """The largest least margin, by a program of scipy's."""
    count, size = Z.shape
    if norm == "l1":
        return 1.0 / linprog(np.ones(2 * size), A_ub=np.hstack([-Z, Z]), b_ub=-np.ones(count)).fun
    game = linprog([*np.zeros(size), -1.0], A_ub=np.column_stack([-Z, np.ones(count)]), b_ub=np.zeros(count),
                   bounds=[(-1, 1)] * size + [(None, None)])
    return -game.fun


@pytest.fixture
def many(monkeypatch):
    """However few rows there are, they count as many, and no one may see all of them dense."""
    for module in (separability, margins, search):
        monkeypatch.setattr(module, "few", lambda rows: False)
    monkeypatch.setattr(Rows, "dense", lambda self: pytest.fail("made dense as a whole"))


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("shape", [(60, 400), (40, 40), (80, 100)])
@pytest.mark.parametrize("seed", range(3))
def test_sparse_rows_stay_sparse(norm, shape, seed, many):
    A, y = sparse(*shape, seed)
    if not fb.separability(A, y):
        pytest.skip("not separable")
    limit = fb.max_margin(A, y, norm)
    assert limit.certified
    Z = y[:, None] * A.toarray()
    assert limit.margin == pytest.approx(best_by_scipy(Z, norm), rel=1e-7)
    # the certificate, by sums without rounding
    w, lam = ([Fraction(x) for x in v] for v in (limit.w, limit.dual))
    zs = [{j: Fraction(Z[n, j]) for j in np.flatnonzero(Z[n])} for n in range(len(Z))]
    lower = min(sum(w[j] * z for j, z in row.items()) for row in zs)
    pull = [Fraction(0)] * Z.shape[1]
    for weight, row in zip(lam, zs, strict=True):
        for j, z in row.items():
            pull[j] += weight * z
    sizes = [abs(x) for x in w], [abs(x) for x in pull]
    length, dual = (sum(sizes[0]), max(sizes[1])) if norm == "l1" else (max(sizes[0]), sum(sizes[1]))
    assert min(lam) >= 0
    assert 0 <= 1 - (lower / length) / (dual / sum(lam)) <= Fraction(1, 10**10)


@pytest.mark.long
@pytest.mark.parametrize("norm", BALLS)
def test_sparse_rows_have_the_margins_of_dense_ones(norm):
    A, y = sparse(150, 700, 0)
    assert A.shape[0] * A.shape[1] > separability.SMALL
    thin, thick = (fb.max_margin(X, y, norm) for X in (A, A.toarray()))
    assert thin.certified
    assert thick.certified
    assert thin.margin == pytest.approx(thick.margin, rel=1e-10)
    assert thin.hypotheses[0].holds is thick.hypotheses[0].holds


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("shape", [(300, 20), (60, 60), (40, 200), (5, 3), (1, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_interior_points_end_at_the_optimum_by_themselves(norm, shape, seed):
    """Before anything is made exact, with more rows than features and with fewer; sparse or not."""
    Z = normal(*shape, seed)
    best, start = margins.Bounds(Z, getattr(N, norm)), margins.separator(Z)
    for rows in (Z, sp.csr_array(Z)):
        pairs = list(boxes.largest_margin(rows, BALLS[norm], start))
        assert len(pairs) == 2
        best = margins.Bounds(Z, getattr(N, norm))
        for pair in pairs:
            best.offer(*pair)
        assert best.gap <= 1e-7
        assert best.lower == pytest.approx(best_by_scipy(Z, norm), rel=1e-6)


@pytest.mark.parametrize("norm", BALLS)
def test_without_interior_points_linear_programs_do(norm, monkeypatch, many):
    """A matrix that has no factor ends the method; sparse rows go to HiGHS as they are."""
    A, y = sparse(60, 400, 1)
    before = fb.max_margin(A, y, norm)
    def singular(*_):
        raise foreign.Unsolved("no factor")
    monkeypatch.setattr(interior.Saddle, "__init__", singular)
    asked, program = [], programs.minimiser
    monkeypatch.setattr(programs, "minimiser", lambda *a: asked.append(sp.issparse(a[1])) or program(*a))
    after = fb.max_margin(A, y, norm)
    assert asked[0]
    assert after.certified
    assert after.margin == pytest.approx(before.margin, rel=1e-10)


@pytest.mark.parametrize("shape", [(9, 30), (30, 9)])
@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("free", [0, 1, 3])
def test_equations_of_a_step(shape, thin, free):
    rng = np.random.default_rng(0)
    S = rng.normal(size=shape)
    a, b, held = (np.exp(3 * rng.normal(size=k)) for k in (shape[1], shape[1], shape[0]))
    off, h = rng.normal(size=shape[1]), rng.normal(size=shape[0])
    F, e = rng.normal(size=(shape[0], free)), rng.normal(size=free)
    w, lam, beta = interior.Saddle(sp.csr_array(S) if thin else S, a, b, held, F, refined=2).solve(off, h, e)
    whole = np.block([[np.diag(a), -b[:, None] * S.T, np.zeros((shape[1], free))], [S, np.diag(1 / held), F],
                      [np.zeros((free, shape[1])), F.T, np.zeros((free, free))]])
    assert np.concatenate([w, lam, beta]) == pytest.approx(np.linalg.solve(whole, np.concatenate([off, h, e])), rel=1e-8)


def test_an_entry_that_no_support_vector_has_may_move():
    """(1, 1, t) has margin one for every |t| ≤ 1 where the last feature is the third sample's, which is far away."""
    Z = np.array([[1.0, 0, 0], [0, 1.0, 0], [5.0, 5.0, 1.0]])
    limit = fb.max_margin(Z, np.ones(3), "linf")
    assert limit.certified
    assert limit.hypotheses[0].holds is False
