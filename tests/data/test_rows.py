"""Rows of a problem as one object: dense, sparse and of classes say the same of margins, sums and products."""
import numpy as np
import pytest
import scipy.sparse as sp

import fastbias as fb
from fastbias.data.rows import ClassRows, Rows, called, signed

RNG = np.random.default_rng(0)
X = np.where(RNG.random((9, 4)) < 0.5, 0.0, RNG.normal(size=(9, 4)))
BINARY, CLASSES = np.where(np.arange(9) % 2, 1.0, -1.0), np.arange(9.0) % 3


def pairs():
    """(e_y − e_c) ⊗ x for each sample and each c ≠ y, samples first, by loops."""
    rows = []
    for x, own in zip(X, CLASSES.astype(int), strict=True):
        for other in range(3):
            if other != own:
                z = np.zeros((3, 4))
                z[own] += x
                z[other] -= x
                rows.append(z.ravel())
    return np.array(rows)


WAYS = {"dense": lambda: (signed(X, BINARY), BINARY[:, None] * X),
        "sparse": lambda: (signed(sp.csr_array(X), BINARY), BINARY[:, None] * X),
        "classes": lambda: (signed(X, CLASSES, 3), pairs()),
        "sparse classes": lambda: (signed(sp.csr_matrix(X), CLASSES, 3), pairs())}
FREE = {"dense": lambda: (signed(X, BINARY, intercept=True), BINARY[:, None] * X, BINARY[:, None]),
        "sparse": lambda: (signed(sp.csr_array(X), BINARY, intercept=True), BINARY[:, None] * X, BINARY[:, None]),
        "classes": lambda: (signed(X, CLASSES, 3, intercept=True), pairs(), pairs_of_ones()),
        "sparse classes": lambda: (signed(sp.csr_matrix(X), CLASSES, 3, intercept=True), pairs(), pairs_of_ones())}


def pairs_of_ones():
    """e_y − e_c, in the same order."""
    return np.array([np.eye(3)[own] - np.eye(3)[other] for own in CLASSES.astype(int) for other in range(3) if other != own])


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def both(request):
    return request.param()


def test_rows_are_what_they_stand_for(both):
    rows, Z = both
    w, lam, some = RNG.normal(size=Z.shape[1]), RNG.random(len(Z)), np.array([5, 0, 7, 2])
    assert (rows.count, rows.size) == Z.shape
    for got, wanted in ((rows.margins(w), Z @ w), (rows.pull(lam), lam @ Z), (rows.take(some), Z[some]),
                        (rows.dense(), Z), (rows.gram(some), Z[some] @ Z[some].T),
                        (rows.tops, np.abs(Z).max(axis=1)), (rows.columns, np.abs(Z).max(axis=0)),
                        (rows.lengths, np.linalg.norm(Z, axis=1)), (rows.scaled(-3).dense(), Z / 8)):
        assert isinstance(got, np.ndarray)
        assert got == pytest.approx(wanted, rel=1e-14, abs=1e-15)
    assert rows.scaled(0) is rows


@pytest.mark.parametrize("way", FREE.values(), ids=FREE)
def test_free_columns_follow_the_others(way):
    rows, Z, ones = way()
    whole = np.hstack([Z, ones])
    w, lam, some = RNG.normal(size=whole.shape[1]), RNG.random(len(Z)), np.array([5, 0, 7, 2])
    assert (rows.count, rows.size, rows.bound, rows.free) == (*whole.shape, Z.shape[1], ones.shape[1])
    part = rows.part(some)
    assert part.free == rows.free
    halved = np.hstack([Z / 8, ones])                            # a number of their own is in no unit
    for got, wanted in ((rows.margins(w), whole @ w), (rows.pull(lam), lam @ whole), (rows.take(some), whole[some]),
                        (rows.dense(), whole), (rows.gram(some), Z[some] @ Z[some].T), (rows.loose(some), ones[some]),
                        (part.dense(), whole[some]), (rows.tops, np.abs(whole).max(axis=1)),
                        (rows.columns, np.abs(whole).max(axis=0)), (rows.lengths, np.linalg.norm(whole, axis=1)),
                        (rows.scaled(-3).dense(), halved)):
        assert isinstance(got, np.ndarray)
        assert got == pytest.approx(wanted, rel=1e-14, abs=1e-15)
    own, other = rows.ends
    assert (own[some].tolist(), other[some].tolist()) == tuple(end.tolist() for end in part.ends)
    assert (own == (ones[:, 0] > 0 if ones.shape[1] == 1 else ones.argmax(axis=1))).all()
    assert (other == (1 - own if ones.shape[1] == 1 else ones.argmin(axis=1))).all()
    assert rows.freed() is None


def test_rows_with_labels_may_be_freed(both):
    rows, Z = both
    freed = rows.freed()
    ones = BINARY[:, None] if len(Z) == 9 else pairs_of_ones()
    assert (freed.dense() == np.hstack([Z, ones])).all()
    assert Rows(Z).freed() is None


@pytest.mark.parametrize("name", ["dense", "classes"])
def test_samples_that_are_shifted(name):
    rows = FREE[name]()[0]
    shift = np.array([1.0, -2.0, 0.0, 4.0])
    moved = signed(X + shift, BINARY if name == "dense" else CLASSES, 1 if name == "dense" else 3, intercept=True)
    assert rows.shifted(shift).dense() == pytest.approx(moved.dense(), rel=1e-15, abs=1e-15)


def test_data_are_left_as_they_were():
    A = sp.csr_array(X)
    before = A.data.copy()
    signed(A, BINARY).scaled(5)
    assert (A.data == before).all()


def test_rows_that_do_not_fit_into_memory_are_refused_when_they_are_asked_for():
    with pytest.raises(ValueError, match="X must be so small that its 2 rows fit into memory"):
        Rows(sp.csr_array((2, 2 ** 30))).dense()
    with pytest.raises(ValueError, match="labels must be so few"):
        ClassRows(np.broadcast_to(1.0, (70000, 200)), np.arange(70000) % 10, 10).dense()


@pytest.mark.parametrize("form", ["csr_matrix", "csc_array", "coo_matrix", "lil_matrix", "dok_array", "bsr_array"])
def test_sparse_data_of_any_format_are_as_good_as_dense_ones(form):
    w = np.array([1.0, -2.0, 0.5, 1.5])
    y = np.sign(X @ w) + (X @ w == 0)
    A = getattr(sp, form)(X)
    told, dense = fb.separability(A, y), fb.separability(X, y)
    assert told.separable == dense.separable
    keep = X.any(axis=1)
    limit, other = fb.max_margin(getattr(sp, form)(X[keep]), y[keep]), fb.max_margin(X[keep], y[keep])
    assert limit.certified
    assert limit.margin == pytest.approx(other.margin, rel=1e-12)
    assert fb.diagnose(getattr(sp, form)(X[keep]), y[keep], limit.w).fractions["l2"] == pytest.approx(1, abs=1e-10)


def test_entries_that_are_given_twice_are_added():
    A = sp.coo_array(([1.0, 2.0, 4.0], ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    assert fb.max_margin(A, [1, 1], "l1").margin == pytest.approx(1 / (1 / 3 + 1 / 4), rel=1e-12)


@pytest.mark.parametrize(("A", "error", "told"), [
    (sp.csr_array(np.array([[np.nan, 1.0], [1.0, 1.0]])), ValueError, "X must be finite, got nan"),
    (sp.csr_array(np.array([[1j, 1.0], [1.0, 1.0]])), TypeError, "of real numbers, got dtype complex128"),
    (sp.csr_array((0, 2)), ValueError, r"got shape \(0, 2\)"),
    (sp.csr_array((3, 2)), ValueError, "y must have one entry for each row of X"),
])
def test_bad_sparse_data_are_refused_in_a_sentence(A, error, told):
    with pytest.raises(error, match=told):
        fb.separability(A, [1, -1])


def test_rows_of_classes_are_called_by_sample_and_class():
    y = np.array([0, 2, 1])
    rows = signed(np.eye(3), y, 3)
    names = ["a", "b", "c"]
    for n, z in enumerate(rows.dense().reshape(-1, 3, 3)):
        sample, against = called(n, y, names).split(" against ")
        # e_y − e_c times the sample
        assert z[y[int(sample)], int(sample)] == 1
        assert z[names.index(against), int(sample)] == -1
    assert called(2, y, ["no", "yes"]) == "2"
