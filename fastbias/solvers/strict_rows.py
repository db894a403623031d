"""Which of rows z some u makes strict that is on the right side of all, decided and proved.

One u is positive on all strict rows at once and 0 on the others, and one λ > 0 on all the others
has Σ λ_n z_n = 0 (Stiemke; Goldman, Tucker 1956): it keeps every u that is negative on no row at 0
on them. Least squares guess which rows are which; rounding bounds on λ, and whole numbers modulo
the span S of the others, prove it. Where they do not, exact arithmetic decides face by face: rows
that surround 0 are not strict, and of the others what is left modulo their span is looked at anew
(facial reduction: Borwein, Wolkowicz 1981).
"""
from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length
from fastbias.solvers import exact
from fastbias.solvers.quotients import Span, Whole, integers, numerators, primitive, spanned

__all__ = ["NOTHING", "Division", "conic", "divided", "positive"]

SETTLED = 1e-13       # slopes so near to 0, by the length of the goal, are rounding
NOTHING = 1e-11       # of a mean of rows of length one: what is left of it is rounding
NEAR = 1e-8           # margins under the largest one by so much are guessed to be 0
JOINING = 2           # rows for each feature that join those that decide, at a time
Weights = dict[int, Fraction]


class Division(NamedTuple):
    """Strict rows and others, of rows (N, d), all distinct and none of them 0."""

    rows: exact.Scaled
    strict: np.ndarray                # (N,) of bool
    lam: np.ndarray                   # (N,) for `rows.Z`, over 0 on the others
    span: Span                        # of the others, in the units of `rows`
    modulo: exact.Scaled | None       # strict rows modulo the span
    t: np.ndarray | None              # in whole numbers, with ⟨t, ·⟩ > 0 on all of these
    doubt: str = ""                   # why it is not proved, where it is not


def divided(rows: exact.Scaled) -> Division:
    """Which rows are strict, proved."""
    flat = exact.untangled(rows.floats) if rows.faithful else rows.floats
    lengths = np.linalg.norm(flat, axis=1)
    others, lam = _guessed(flat / lengths[:, None])
    lam = lam / lengths[others]
    try:
        return _proved(rows, others, lam) or _face_by_face(rows)
    except ArithmeticError as doubt:
        return _rough(rows, others, lam, str(doubt))


def _guessed(E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows, of length one, that no w makes strict, by least squares; and their λ > 0.

    A w ∈ C nearest to the sum of rows is that sum and more of some of them (Moreau 1962): where it
    is 0 they all surround 0, else rows with ⟨w, z⟩ > 0 are strict, and fewer features are left.
    """
    others = np.arange(len(E))
    while others.size:
        rows = E[others]
        mu, left = conic(rows, -rows.mean(axis=0))
        margins = -(rows @ left)
        if length(left) <= NOTHING:
            return others, mu + 1.0 / others.size
        strict = margins > NEAR * margins.max()
        if not strict.any():
            return others, mu + 1.0 / others.size
        others = others[~strict]
    return others, np.zeros(0)


def conic(S: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The μ ≥ 0 (N,) with the least ‖goal − Σ μ s‖₂, and what is left: ⟨left, s⟩ ≤ 0 for all s.

    Of many rows, on those few that decide.
    """
    N, d = S.shape
    mu, left, best = np.zeros(N), goal, np.inf
    most, off = JOINING * d + 20, SETTLED * length(goal)
    while True:
        slopes = S @ left
        behind = np.flatnonzero((slopes > off) & (mu == 0))
        if not behind.size or not length(left) < best:
            return mu, left
        best = length(left)
        chosen = np.union1d(np.flatnonzero(mu), behind[np.argsort(-slopes[behind])[:most]])
        new = np.zeros(N)
        new[chosen] = foreign.ask("the nearest point of a cone", "scipy.optimize.nnls",
                                  S[chosen].T, goal, maxiter=30 * chosen.size + 300)[0]
        rest = goal - new[chosen] @ S[chosen]
        if not length(rest) < best:
            return mu, left
        mu, left = new, rest


def _proved(rows: exact.Scaled, others: np.ndarray, lam: np.ndarray) -> Division | None:
    """The guess, if it is proved: by λ > 0 on ``others``, and by a u > 0 on all but these."""
    count = len(rows.floats)
    span, weights = spanned(rows, others), np.zeros(count)
    if others.size:
        # (other columns are combinations of the pivots: where these balance all do)
        inside = exact.surrounded(rows.floats[others][:, span.pivots], lam) \
            if rows.faithful else None
        if inside is None or not (inside > 0).all():
            return None
        weights[others] = inside
        weights = rows.weights(weights)
    strict = np.ones(count, bool)
    strict[others] = False
    if not strict.any():
        return Division(rows, strict, weights, span, None, None)
    modulo = rows
    if span.rank:
        rest = span.quotient(integers(rows, np.flatnonzero(strict)))
        if not rest.any(axis=1).all():
            return None
        modulo = Whole(rest)
    t, _ = separating(modulo)
    return None if t is None else Division(rows, strict, weights, span, modulo, t)


def separating(rows: exact.Scaled) -> tuple[np.ndarray | None, Weights]:
    """A t of whole numbers, for the units of ``rows``, with ⟨t, z⟩ > 0 for all; or λ ≥ 0 of some
    with Σ λ z = 0, as each is in whole numbers.
    """
    even = rows.floats / rows.tops
    even = np.column_stack([even / np.linalg.norm(even, axis=1)[:, None], np.ones(len(even))])
    mu, left = conic(even, np.append(np.zeros(len(rows.tops)), 1.0))
    t = -left[:-1] / rows.tops
    if t.any() and positive(rows, t):
        return numerators(t)[0], {}
    heavy = np.argsort(-mu)[:len(rows.tops) + 1]
    found, _, weights = exact.decide(rows, np.append(heavy[mu[heavy] > 0], 0))
    return found, {n: v / Fraction(2) ** rows.integer(n)[2] for n, v in weights.items()}


def positive(rows: exact.Scaled, t: np.ndarray) -> bool:
    """Whether ⟨t, z⟩ > 0 for all rows, for a t in their units."""
    w = rows.original(t)
    return bool(np.isfinite(w).all() and w.any() and rows.least(w) > 0)


def _face_by_face(rows: exact.Scaled) -> Division:
    """The same in exact arithmetic alone."""
    count, d = rows.floats.shape
    A = integers(rows, np.arange(count))
    inside, span, lam = np.zeros(count, bool), Span(d, tracked=True), Weights()
    while True:
        others = np.flatnonzero(~inside)
        rest = span.quotient(A[others])
        within = others[~rest.any(axis=1)]
        if within.size:
            lam = _joined(A, span, lam, dict.fromkeys(within.tolist(), Fraction(1)))
            inside[within] = True
            others, rest = others[rest.any(axis=1)], rest[rest.any(axis=1)]
        if not others.size:
            return Division(rows, ~inside, _rounded(rows, lam), span, None, None)
        modulo = Whole(rest)
        t, weights = separating(modulo)
        if t is not None:
            return Division(rows, ~inside, _rounded(rows, lam), span, modulo, t)
        # (in the quotient they are without what they share)
        shares = {n: next(int(a) // int(b) for a, b in zip(rest[n], modulo.whole[n], strict=True)
                          if b) for n in weights}
        lam = _joined(A, span, lam, {int(others[n]): v / shares[n] for n, v in weights.items()})
        for n in weights:
            inside[others[n]] = True
            span.add(int(others[n]), A[others[n]], rows.columns)


def _joined(A: np.ndarray, span: Span, lam: Weights, new: Weights) -> Weights:
    """λ > 0 of rows with Σ λ z = 0 and others beside them, whose sum, weighed, lies in the span.

    What that sum is of the rows that made the span is taken from them, and enough of λ added.
    """
    found = dict(new)
    if lam:
        total = sum((A[n] * v for n, v in new.items()), np.full(A.shape[1], Fraction(0)))
        for n, v in zip(span.names, span.combination(total), strict=True):
            found[n] = found.get(n, Fraction(0)) - Fraction(v) / span.det
        factor = max([Fraction(1), *(-2 * v / lam[n] for n, v in found.items() if n in lam)])
        for n, v in lam.items():
            found[n] = found.get(n, Fraction(0)) + factor * v
    return found


def _rounded(rows: exact.Scaled, lam: Mapping[int, Fraction]) -> np.ndarray:
    """λ of rows in whole numbers as λ (N,) for `rows.Z`."""
    own = {n: v * primitive(rows, n)[1] for n, v in lam.items()}
    largest, found = max(own.values(), default=Fraction(1)), np.zeros(len(rows.floats))
    for n, v in own.items():
        found[n] = max(float(v / largest), 5e-324)
    return found


def _rough(rows: exact.Scaled, others: np.ndarray, lam: np.ndarray, doubt: str) -> Division:
    """The guess, in floats, where it is too large to be proved."""
    count, d = rows.floats.shape
    strict, weights, span = np.ones(count, bool), np.zeros(count), Span(d)
    strict[others], weights[others] = False, lam
    if others.size:
        span = Span.rough(rows.floats[others])
        weights = rows.weights(weights)
    if not strict.any():
        return Division(rows, strict, weights, span, None, None, doubt)
    S = rows.floats[strict]
    R = np.array(span.top / span.det, float).reshape(span.rank, len(span.free))
    modulo = exact.Scaled(S[:, span.free] - S[:, span.pivots] @ R, even=False)
    return Division(rows, strict, weights, span, modulo, separating(modulo)[0], doubt)
