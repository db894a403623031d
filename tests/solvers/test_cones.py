"""Strict rows, the cone and the span of the others: held against cones in fractions, and without rounding."""
import math
from fractions import Fraction

import numpy as np
import pytest

from fastbias.data.rows import signed
from fastbias.solvers import cones, exact, quotients, strict_rows
from fastbias.solvers.cones import across, cone, signs
from tests.helpers import cones as naive


def problem(seed):
    """Rows of few small numbers, with ties, copies, opposites, collinear columns and far units."""
    rng = np.random.default_rng(seed)
    d, N, kind = int(rng.integers(1, 5)), int(rng.integers(1, 9)), rng.integers(6)
    Z = rng.integers(-2, 3, (N, d)).astype(float)
    if kind == 1:
        Z = np.sign(Z)
    if kind == 2:
        Z = Z * rng.choice([.1, 1, 1e5, 1 / 3, 1e-200, 1e200], d)
    if kind == 3:
        Z[:, -1] = Z[:, 0] * rng.choice([1, 2, -1, .5])
    if kind == 4:
        Z = np.vstack([Z, -Z[rng.integers(N, size=2)] * rng.integers(1, 3)])
    if kind == 5:
        Z = np.vstack([rng.normal(size=(N, d)).round(1), np.zeros((1, d))])
        Z[-1] = -Z[:2].sum(axis=0)                              # rounded: a margin of 1e-17 may be left
    return Z


def margins(u, F):
    return [sum(Fraction(int(a)) * b for a, b in zip(u, row, strict=True)) for row in F]


def check(found, Z):
    """All that a cone says, but for signs, against fractions."""
    F = naive.fractions(Z)
    strict = naive.strict_rows(F)
    assert found.proved
    assert found.strict.tolist() == strict
    others = [row for row, s in zip(F, strict, strict=True) if not s]
    if any(strict):
        told = margins(found.whole, F)
        assert all(m > 0 if s else m == 0 for m, s in zip(told, strict, strict=True))
        assert math.hypot(*found.direction) == pytest.approx(1, rel=2e-12)
        assert np.allclose(found.direction, [int(v) / max(map(abs, found.whole)) for v in found.whole]
                           / np.linalg.norm([int(v) / max(map(abs, found.whole)) for v in found.whole]), rtol=1e-11)
    else:
        assert found.direction is found.whole is None
    columns = np.abs(Z).max(axis=0)
    even = Z / np.where(columns > 0, columns, 1)
    assert ((found.dual > 0) == ~found.strict).all()
    assert np.abs(found.dual @ even).max() <= 1e-14
    assert found.dual.sum() == pytest.approx(0 if all(strict) else 1)
    r = naive.rank(others)
    assert found.basis.shape == (Z.shape[1], r)
    assert np.allclose(found.basis.T @ found.basis, np.eye(r), atol=1e-14)
    return F, strict


def check_signs(found, Z, F, strict, seed):
    d = Z.shape[1]
    G = np.vstack([np.eye(d), np.random.default_rng(seed).integers(-2, 3, (2, d))])
    assert signs(found.division, G)[0] == [naive.sign(F, strict, g) for g in naive.fractions(G)]


@pytest.mark.parametrize("seed", range(120))
def test_random_rows(seed):
    Z = problem(seed)
    found = cone(Z)
    check_signs(found, Z, *check(found, Z), seed)


@pytest.mark.parametrize("seed", range(0, 120, 4))
def test_face_by_face_without_a_guess(seed, monkeypatch):
    """Exact arithmetic alone comes to the same."""
    monkeypatch.setattr(strict_rows, "_proved", lambda *args: None)
    Z = problem(seed)
    found = cone(Z)
    check_signs(found, Z, *check(found, Z), seed)


@pytest.mark.parametrize("seed", range(0, 120, 8))
def test_the_simplex_method_where_guesses_show_nothing(seed, monkeypatch):
    """Neither a separator of least squares nor rounding bounds are believed: exact arithmetic answers."""
    monkeypatch.setattr(strict_rows, "positive", lambda *args: False)
    monkeypatch.setattr(cones, "positive", lambda *args: False)
    monkeypatch.setattr(exact, "surrounded", lambda *args: None)
    Z = problem(seed)
    found = cone(Z)
    check_signs(found, Z, *check(found, Z), seed)


@pytest.mark.parametrize("seed", range(200))
def test_the_naive_ways_agree(seed):
    rng = np.random.default_rng(seed)
    Z = naive.fractions(rng.integers(-2, 3, (rng.integers(1, 8), d := int(rng.integers(1, 5)))))
    goal = naive.fractions([rng.integers(-2, 3, d)])[0]
    assert naive.in_cone(Z, goal) == naive.combined(Z, goal)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_the_span_of_far_units_is_right_in_all_digits(scale):
    """Π_S of rows in the plane of (1, 0, s) and (0, 1, 2s), whose normal is (s, 2s, −1)."""
    Z = np.array([[1, 0, scale], [-1, 0, -scale], [0, 1, 2 * scale], [0, -1, -2 * scale], [-3 * scale, scale, 1]])
    found = cone(Z)
    assert found.strict.tolist() == [False] * 4 + [True]
    normal = np.array([scale, 2 * scale, -1]) / math.hypot(scale, 2 * scale, 1)
    assert np.allclose(found.basis @ found.basis.T, np.eye(3) - np.outer(normal, normal), atol=4e-16, rtol=0)
    assert np.allclose(found.direction, -normal, atol=4e-16, rtol=0)


def test_timestamps_that_touch():
    """Milliseconds of which two are equal, with both labels: quasi-complete where floats see nothing."""
    t = 1.6e12 + np.array([0, 1, 2, 3, 3, 4, 5])
    Z = np.array([-1, -1, -1, -1, 1, 1, 1])[:, None] * np.column_stack([t, np.ones(7)])
    found = cone(Z)
    check(found, Z)
    assert found.strict.tolist() == [True] * 3 + [False] * 2 + [True] * 2
    assert signs(found.division, np.eye(2))[0] == ["+inf", "-inf"]


def test_classes_leave_what_they_share_alone():
    X = np.array([[0.0, 1], [1, 1], [1, 1], [2, 1]])
    rows = signed(X, np.array([0.0, 1, 2, 2]), 3)
    found = cone(rows)
    check(found, rows.dense())
    assert np.allclose(found.direction.reshape(3, 2).sum(axis=0), 0, atol=1e-15)
    assert np.allclose(found.basis.T.reshape(-1, 3, 2).sum(axis=1), 0, atol=1e-15)


def test_what_is_too_large_is_said_not_to_be_proved(monkeypatch):
    """The same answers in floats, without the claim."""
    def refuse(*_args, **_options):
        raise ArithmeticError("too large")
    Z = np.array([[1.0, 0, 0], [2, 1, 1], [0, 1, 3], [0, -1, -3], [0, 2, 6]])
    proved = cone(Z)
    monkeypatch.setattr(strict_rows, "_proved", refuse)
    found = cone(Z)
    assert proved.proved
    assert (found.proved, found.reason) == (False, "too large")
    assert found.strict.tolist() == proved.strict.tolist() == [True, True, False, False, False]
    assert np.allclose(found.dual @ Z, 0, atol=1e-12)
    assert np.allclose(found.basis @ found.basis.T, proved.basis @ proved.basis.T, atol=1e-9)
    assert (Z[:2] @ found.direction > 0).all()
    assert signs(found.division, np.eye(3))[0] == signs(proved.division, np.eye(3))[0] == ["+inf"] + ["undetermined"] * 2


def test_a_span_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(quotients, "LIMIT", 1e3)
    rows = exact.Scaled(np.random.default_rng(0).normal(size=(8, 12)))
    with pytest.raises(ArithmeticError, match="span of the samples that overlap is too large"):
        quotients.spanned(rows, np.arange(8))
    monkeypatch.setattr(quotients, "EXACT", 10)
    with pytest.raises(ArithmeticError, match="8 samples of 12 features are too many numbers"):
        quotients.integers(rows, np.arange(8))


@pytest.mark.parametrize("seed", range(20))
def test_spans_in_whole_numbers(seed):
    """Every row is in it, what is lifted is orthogonal to it, and combinations are those of its rows."""
    rng = np.random.default_rng(seed)
    r, d = int(rng.integers(1, 4)), int(rng.integers(3, 7))
    Z = rng.normal(size=(6, r)).round(2) @ rng.integers(-3, 4, (r, d)) * 10.0 ** rng.integers(-3, 4, d)
    Z = Z[np.abs(Z).any(axis=1)]
    rows = exact.Scaled(Z)
    A = quotients.integers(rows, np.arange(len(Z)))
    span = quotients.Span(d, tracked=True)
    for n, z in enumerate(A):
        span.add(n, z, rows.columns)
    assert span.rank == naive.rank(naive.fractions(Z)) == quotients.spanned(rows, np.arange(len(Z))).rank
    assert not span.quotient(A).any()
    if span.free:
        t = np.array([int(v) for v in rng.integers(-5, 6, len(span.free))], object)
        assert not (A @ span.lifted(t)).any()
        e = np.array([int(v) for v in rng.integers(-5, 6, d)], object)
        assert int(span.lifted(t) @ e) == int(t @ span.quotient(e[None])[0])
    for z in A:
        assert (span.combination(z) @ A[span.names] == span.det * z).all()


def test_equal_rows_are_looked_at_once():
    Z = np.array([[1.0, 2], [-0.0, 1e308], [1, 2], [0, 1e308], [1, 2], [2, 1]])
    first, place = cones.distinct(Z)
    assert np.array_equal(Z[first][place], Z)
    assert first.size == 3


def off_span(row, span):
    """A row without its part in the span of others, in fractions (Gram, Schmidt)."""
    for v in span:
        share = sum(a * b for a, b in zip(row, v, strict=True)) / sum(b * b for b in v)
        row = [a - share * b for a, b in zip(row, v, strict=True)]
    return row


def test_what_is_across_the_span_of_the_others_keeps_its_digits():
    seen = 0
    for seed in range(120):
        Z = problem(seed)
        if np.abs(Z).max() > 1e6 or (np.abs(Z[Z != 0]) < 1e-6).any():
            continue                                                # (squares of lengths follow)
        first = cone(Z)
        others = Z[~first.strict]
        if first.strict.any() and others.any():                      # strict rows far out along one of the others
            Z[first.strict] += 2.0 ** 40 * others[np.abs(others).max(axis=1).argmax()]
        found = cone(Z)
        known = across(found, Z)
        assert (known is None) == (not found.strict.any() or not others.any())
        if known is None:
            continue
        N, products = known
        Q, R = np.linalg.qr(N)
        span = []
        for row in naive.fractions(Z[~found.strict]):
            rest = off_span(row, span)
            span += [rest] if any(rest) else []
        for row, mine in zip(naive.fractions(Z[found.strict]), products @ np.linalg.inv(R) @ Q.T, strict=True):
            assert mine == pytest.approx(np.array(off_span(row, span), float), rel=1e-12, abs=1e-13 * np.abs(mine).max())
            seen += 1
    assert seen > 50


def test_weights_that_leave_a_row_out_do_not_prove_it(monkeypatch):
    """Stiemke asks for λ > 0 on all rows that are not strict: where a proof has none on one, another is sought."""
    monkeypatch.setattr("fastbias.solvers.exact.surrounded", lambda rows, lam: lam * (np.arange(lam.size) > 0))
    Z = np.array([[1.0, 0], [0, 1], [0, -1], [0, 2]])
    found = cone(Z)
    assert found.strict.tolist() == [True, False, False, False]
    assert (found.dual[1:] > 0).all()
    assert found.dual @ Z == pytest.approx(0, abs=1e-15)
