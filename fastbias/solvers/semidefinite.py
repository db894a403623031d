"""Maximum margins over positive semidefinite matrices of unit trace, the limits of Theorem 7, with
their certificates.

With Z_n = y_n X_n, symmetric: any W ⪰ 0 of trace one bounds γ = max min_n ⟨W, Z_n⟩ from below, any
λ ≥ 0 with Σλ = 1 bounds it from above by the largest eigenvalue of Σ λ_n Z_n. Where some such λ has
Σ λ_n Z_n ⪯ 0, no W separates. Of many samples a few decide: those that the best W of the few leaves
behind join them, λ is 0 on all others, and what is proved is proved over all.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import ratio, row_lengths
from fastbias.data.rows import Rows, signed, zero_rows
from fastbias.pieces import norms
from fastbias.pieces.norms.proximal import Shrink, Slope, least, quotients
from fastbias.solvers.bounds import Bounds
from fastbias.solvers.limit import CERTIFIED, PAPER, Asked, Hypothesis, Limit
from fastbias.solvers.programs import Pair, solve_tightly
from fastbias.solvers.search import SETTLED, settle
from fastbias.solvers.separability import Separability

__all__ = ["psd_margin", "psd_separability", "separate", "widest"]

EPS = float(np.finfo(float).eps)
EXACT = 30_000        # products of fractions in one proof: seconds
DOUBT = 1e-6          # an eigenvalue so small that perhaps no W separates: time to ask another
NEARLY = 1e-9         # and one so small that a proof is worth its time
TINY, ZERO = 1e-7, 1e-5      # weights, and eigenvalues, relatively, that a better λ has as 0
SAME = 1e-6           # relative differences of weights that are rounding of the solvers'
TOP = 1e-6            # eigenvalues so near to the largest, relatively, may be equal to it …
APART = 1e-4          # … and beyond this they are not
WEIGHT = 1e-6         # λ, relative to the largest, of who is a support vector
FEW = 4               # samples for each entry of W up to which all are looked at at once
FIRST = 100           # samples in the first working set, at least
START, JOINING = 2, 1    # samples for each entry of W: in the first set, and that join it at most
ROUNDED = 1e-12       # by which a margin may fall short of the least, relatively
NULL, SURE = 1e-9, 1e-6      # singular values, relative to the largest, that are 0, or are not


def psd_margin(X: ArrayLike, y: ArrayLike) -> Limit:
    """Solve max_{W ⪰ 0, tr W ≤ 1} min_n y_n⟨W, X_n⟩, with its certificate.

    By the proximal map of the trace on the cone, and where that fails by a semidefinite program.

    Parameters
    ----------
    X : (N, n, n)
        Only the symmetric parts (X_n + X_nᵀ)/2 count.
    y : (N,) labels of two values, sorted: the later one is +1 (one alone must be −1 or +1)

    Returns
    -------
    Limit
        ``kind`` "direction"; ``w`` (n, n) ⪰ 0 of trace 1; ``margin``; ``dual`` λ ≥ 0, Σλ = 1;
        ``duality_gap`` = (upper − lower)/upper, recomputed from W and λ alone; ``certified``: it is
        at most 1e-10; ``hypotheses`` say whether the maximiser is unique (None where the
        certificate does not tell).

    Raises
    ------
    ValueError
        Where no positive semidefinite W separates, or an argument is bad.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), Theorem 7.

    Examples
    --------
    >>> import fastbias as fb
    >>> limit = fb.psd_margin([[[2, 0], [0, 0]], [[0, 0], [0, 1]]], [1, 1])
    >>> print(limit.w.round(9) + 0.0, round(limit.margin, 9), limit.certified)
    [[0.33333333 0.        ]
     [0.         0.66666667]] 0.666666667 True
    """
    Z, n, classes = _labelled(X, y)
    told = separate(Z, n)
    if told.w is None:
        raise ValueError("X, y must be separable by a positive semidefinite matrix to have a "
                         "maximum margin; " + (zero_rows(Z) or "fb.psd_separability has the "
                                               "certificate that they are not"))
    return replace(widest(Z, n, told.w), classes=classes)


def psd_separability(X: ArrayLike, y: ArrayLike) -> Separability:
    """Decide whether some W ⪰ 0 has y_n⟨W, X_n⟩ > 0 for every n, with a certificate either way.

    Parameters
    ----------
    X : (N, n, n)
        Only the symmetric parts (X_n + X_nᵀ)/2 count.
    y : (N,) labels of two values, sorted: the later one is +1 (one alone must be −1 or +1)

    Returns
    -------
    Separability
        ``w`` (n, n) ⪰ 0 of trace 1, or ``dual`` λ ≥ 0, Σλ = 1 with Σ λ_n y_n X_n ⪯ 0; then
        ``residual`` is the largest eigenvalue of that sum, if positive, relative to the sizes of
        its terms: rounding, as that sum is proved to have none.

    Raises
    ------
    ArithmeticError
        Where neither certificate can be had in float64 (margins at rounding level).

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.psd_separability([[[1, 0], [0, -2]]], [1]).separable
    True
    >>> fb.psd_separability([[[1, 0], [0, 2]]], [-1]).dual
    array([1.])
    """
    Z, n, classes = _labelled(X, y)
    told = separate(Z, n)
    return replace(told, w=None if told.w is None else told.w.reshape(n, n), classes=classes,
                   reason=zero_rows(Z))


def _labelled(X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, int, np.ndarray]:
    """The rows Z (N, n²) with margin ⟨W, Z_n⟩, symmetric, n, and what the labels were called;
    checked.
    """
    X = checks.array("X", X, "an (N, n, n)", dims=3)
    if X.shape[1] != X.shape[2]:
        raise ValueError(f"X must hold square matrices, got shape {X.shape}")
    y, classes = checks.labels("y", y, X.shape[0], signs=True)
    with np.errstate(over="ignore"):
        twice = X + X.transpose(0, 2, 1)
    # (halves lose a bit of the smallest floats, sums overflow on the largest)
    even = np.where(np.isfinite(twice), twice / 2, X / 2 + X.transpose(0, 2, 1) / 2)
    return signed(even.reshape(X.shape[0], -1), y).dense(), X.shape[1], classes


def separate(Z: np.ndarray, n: int) -> Separability:
    """The same for rows Z (M, n²) that are symmetric; W flat."""
    zeros = ~Z.any(axis=1)
    # a sample of zeros is on the wrong side of any W
    if zeros.any():
        return Separability(False, None, zeros / zeros.sum(), 0.0)
    if len(Z) <= max(FEW * Z.shape[1], FIRST):
        return _among_few(Z, n)
    lengths = row_lengths(Z)
    chosen = np.sort(np.random.default_rng(0).choice(len(Z), _first(Z), replace=False))
    while True:
        told = _among_few(Z[chosen], n)
        if told.w is None:
            assert told.dual is not None
            lam = np.zeros(len(Z))
            lam[chosen] = told.dual
            return replace(told, dual=lam)
        W = told.w
        ratios = _certainties(Z / lengths[:, None], W)
        if (ratios <= 1).any():
            # the W of the largest margin leaves the fewest behind
            W = _largest_margin(Z[chosen] / lengths[chosen, None], n, W, np.ones(chosen.size)).w
            ratios = _certainties(Z / lengths[:, None], W)
        behind = np.setdiff1d(np.flatnonzero(ratios <= 1), chosen)
        if not behind.size:
            if ratios.min() > 1:
                return Separability(True, W / np.trace(W.reshape(n, n)), None, float(ratios.min()))
            return _among_few(Z, n)
        chosen = _joined(chosen, ratios, Z.shape[1])


def _first(Z: np.ndarray) -> int:
    """How many of the rows Z (M, n²) are in the first working set."""
    return min(max(START * Z.shape[1], FIRST), len(Z) - 1)


def _joined(chosen: np.ndarray, margins: np.ndarray, size: int) -> np.ndarray:
    """The working set with those others of least margin: with those behind, of which there are
    some, those that are nearly.
    """
    others = np.setdiff1d(np.arange(len(margins)), chosen)
    return np.union1d(chosen, others[np.argsort(margins[others])[:JOINING * size]])


def _certainties(scaled: np.ndarray, W: np.ndarray) -> np.ndarray:
    """⟨W, Z⟩ (M,) over their rounding bounds, for rows of length one."""
    with np.errstate(all="ignore"):
        return np.asarray(scaled @ W / ((W.size + 4) * EPS * (np.abs(scaled) @ np.abs(W))))


def _among_few(Z: np.ndarray, n: int) -> Separability:
    """The same for so few rows that solvers may see all of them."""
    lengths = row_lengths(Z)
    scaled, shrink = Z / lengths[:, None], _shrink(n)
    least_residual = np.inf
    for attempt in (lambda: least(scaled, np.ones(len(Z)), shrink, equal=False),
                    lambda: _game(scaled, n)):
        for W, mu in attempt():
            if not (np.isfinite(W).all() and np.isfinite(mu).all()):
                continue
            W = shrink(W, 0.0)[0]                            # onto the cone
            W = W / (float(np.abs(W).max()) or 1.0)
            ratios = _certainties(scaled, W)
            if (ratios > 1).all():
                return Separability(True, W / np.trace(W.reshape(n, n)), None, float(ratios.min()))
            mu = np.maximum(mu, 0.0)
            if mu.any():
                told, top = _surrounded(Z, lengths, _polished(scaled, mu, n), n)
                least_residual = min(least_residual, max(top, 0.0))
                if told is not None:
                    return told
                if top <= DOUBT:                             # the map could go on for long
                    break
    raise ArithmeticError("neither separable nor inseparable by a positive semidefinite matrix "
                          f"can be certified in float64: residual {least_residual:.1e}")


def _surrounded(Z: np.ndarray, lengths: np.ndarray, mu: np.ndarray,
                n: int) -> tuple[Separability | None, float]:
    """What weights μ ≥ 0 of rows of size one prove of the rows as they are; and how nearly."""
    top = ratio(_largest((mu @ (Z / lengths[:, None])).reshape(n, n)), float(mu.sum()))
    lam = mu / mu.max() * (lengths.min() / lengths)
    if not 0 < lam.sum() < np.inf or ((mu > 0) & (lam == 0)).any():
        return None, top                        # what is handed out must be what was looked at
    if top < -(len(Z) + n * n + 4) * EPS:                    # below 0 by more than rounding
        return Separability(False, None, lam / lam.sum(), 0.0), top
    exact = _whole(lam)
    if top <= NEARLY and _nowhere_positive(exact, Z, n):
        return Separability(False, None, exact / exact.sum(), max(top, 0.0)), top
    return None, top


def _polished(Z: np.ndarray, mu: np.ndarray, n: int) -> np.ndarray:
    """Weights near μ that make eigenvalues of Σ μ_n Z_n that are nearly 0 just that."""
    mu = np.where(mu > TINY * mu.max(), mu, 0.0)
    total = (mu @ Z).reshape(n, n)
    values, Q = foreign.ask("the eigenvalues of a matrix", "numpy.linalg.eigh", total)
    Q = Q[:, np.abs(values) <= ZERO * mu.sum()]
    on = np.flatnonzero(mu)
    if not Q.shape[1]:
        return mu
    A = (Q.T @ Z[on].reshape(-1, n, n) @ Q).reshape(on.size, -1).T
    moved = mu.copy()
    moved[on] -= np.linalg.pinv(A, rcond=1e-6) @ (A @ mu[on])
    return moved if (moved >= 0).all() and moved.any() else mu


def _whole(lam: np.ndarray) -> np.ndarray:
    """Weights λ in whole numbers, where they are near such multiples of the least of them."""
    with np.errstate(over="ignore"):
        multiples = lam / lam[lam > 0].min()
    whole = np.round(multiples)
    near = whole.max() < 2.0 ** 26 and np.allclose(whole, multiples, rtol=SAME)
    return np.asarray(whole if near else lam)


def _nowhere_positive(lam: np.ndarray, Z: np.ndarray, n: int) -> bool:
    """Whether Σ λ_n Z_n ⪯ 0 without rounding: by elimination in fractions."""
    on = np.flatnonzero(lam)
    if on.size * n * n > EXACT or n ** 3 > EXACT:
        return False                                         # it would take too long to tell
    weights = [Fraction(a) for a in lam[on]]
    S = [[-sum((a * Fraction(z) for a, z in zip(weights, terms, strict=True)), Fraction())
          for terms in row] for row in Z[on].T.reshape(n, n, -1)]
    # (what is handed over may be symmetric up to rounding alone)
    M = [[(S[i][j] + S[j][i]) / 2 for j in range(n)] for i in range(n)]
    # −Σ λ Z ⪰ 0: no pivot is negative, and a pivot of 0 has nothing beside it
    for k in range(n):
        if M[k][k] < 0 or (M[k][k] == 0 and any(M[k][k:])):
            return False
        for i in range(k + 1, n) if M[k][k] else ():
            c = M[i][k] / M[k][k]
            M[i] = [a - c * b for a, b in zip(M[i], M[k], strict=True)]
    return True


def widest(Z: np.ndarray, n: int, start: np.ndarray) -> Limit:
    """The W ⪰ 0 of trace one with the largest least ⟨W, Z_n⟩ over rows Z; ``start`` separates."""
    # to divide by a power of two is exact
    unit = float(np.exp2(np.floor(np.log2(np.abs(Z).max()))))
    if len(Z) <= max(FEW * Z.shape[1], FIRST):
        best = _largest_margin(Z / unit, n, start, np.ones(len(Z)))
    else:
        best = _among_many(Z / unit, n, start)
    best.prove()
    certified, norm = best.gap <= CERTIFIED, norms.nuclear(n, n)
    return Limit(best.w.reshape(n, n), "direction",
                 "maximum margin over positive semidefinite matrices", f"{PAPER}, Theorem 7",
                 (_unique(best, n, certified),), certified, best.gap, best.lam, best.lower * unit,
                 norm, asked=Asked("maximum margin", Rows(Z), norm, cone=True))


def _largest_margin(Z: np.ndarray, n: int, W: np.ndarray, lam: np.ndarray) -> Bounds:
    """The best W and λ that the solvers find, from those."""
    best = _OnCone(Z, _Trace(n))
    best.offer(W, lam)
    with np.errstate(all="ignore"):
        settle(best, chain(least(best.Z, np.ones(len(Z)), best.norm.shrink, equal=False),
                           _game(best.Z, n)))
    return best


def _among_many(Z: np.ndarray, n: int, W: np.ndarray) -> Bounds:
    """The same of many rows, by a working set of those that W serves worst."""
    best = _OnCone(Z, _Trace(n))
    best.offer(W, np.ones(len(Z)))
    chosen = np.sort(np.argpartition(Z @ best.w, _first(Z))[:_first(Z)])
    while True:
        part = _largest_margin(Z[chosen], n, best.w, np.ones(chosen.size))
        lam = np.zeros(len(Z))
        lam[chosen] = part.lam
        best.offer(part.w, lam)
        margins = Z @ part.w
        behind = np.setdiff1d(np.flatnonzero(margins < (1 - ROUNDED) * part.lower), chosen)
        if best.gap <= SETTLED or not behind.size:
            return best
        chosen = _joined(chosen, margins, Z.shape[1])


class _OnCone(Bounds):
    """Bounds whose w are brought onto the cone: solvers end at its boundary, on either side."""

    def _offer_w(self, w: np.ndarray) -> None:
        if np.isfinite(w).all():
            super()._offer_w(self.norm.shrink(w, 0.0)[0])


class _Trace:
    """What margins ask of a norm: tr W for W ⪰ 0, ∞ for others; the largest ⟨G, W⟩; `shrink`."""

    def __init__(self, n: int) -> None:
        self.n, self.shrink = n, _shrink(n)

    def __call__(self, w: np.ndarray) -> float:
        values = foreign.ask("the eigenvalues of a matrix", "numpy.linalg.eigvalsh",
                             w.reshape(self.n, self.n))
        # (an eigenvalue that is 0 has either sign in float64)
        return float(values.sum()) if values[0] >= -4 * self.n * EPS * values[-1] else np.inf

    def dual(self, g: np.ndarray) -> float:
        return _largest(g.reshape(self.n, self.n))


def _largest(G: np.ndarray) -> float:
    return float(foreign.ask("the largest eigenvalue of a matrix", "numpy.linalg.eigvalsh", G)[-1])


def _shrink(n: int) -> Shrink:
    """The proximal map of the trace on the cone: eigenvalues lowered by t, down to 0."""
    def shrink(x: np.ndarray, t: float) -> tuple[np.ndarray, Slope]:
        values, Q = foreign.ask("the eigenvalues of a matrix", "numpy.linalg.eigh", x.reshape(n, n))

        def slope(rows: np.ndarray) -> np.ndarray:
            H = Q.T @ rows.reshape(-1, n, n) @ Q
            return np.asarray((Q @ (H * quotients(values, values, t)) @ Q.T).reshape(rows.shape))
        W = (Q * np.maximum(values - t, 0.0)) @ Q.T
        return np.asarray((W + W.T).ravel() / 2), slope
    return shrink


def _game(Z: np.ndarray, n: int) -> Iterator[Pair]:
    """W and λ of max_{W ⪰ 0, tr W = 1} min_n ⟨W, Z_n⟩, of any sign; nothing where that fails."""
    cp, solved = foreign.library("cvxpy"), False
    with suppress(foreign.Unsolved), foreign.guarded("the semidefinite program of the margin"):
        W, least_margin = cp.Variable((n, n), PSD=True), cp.Variable()
        margins = [Z @ cp.vec(W, order="C") >= least_margin]
        solved = solve_tightly(cp.Problem(cp.Maximize(least_margin), [*margins, cp.trace(W) == 1]))
    if solved:
        yield np.asarray(W.value + W.value.T).ravel() / 2, np.asarray(margins[0].dual_value)


def _unique(best: Bounds, n: int, certified: bool) -> Hypothesis:
    """Whether the maximiser is unique, by what freedom its equations leave.

    With Q the top eigenvectors of Σ λ_n Z_n, all maximisers are W = Q S Qᵀ, S ⪰ 0, tr S = 1, with
    equal margins where λ > 0. Where these equations leave S a freedom, and W lies inside of what
    else bounds it, there are others.
    """
    statement = "the maximiser is unique"
    if not certified:
        return Hypothesis(statement, None, "no maximiser is certified")
    values, Q = np.linalg.eigh((best.lam @ best.Z).reshape(n, n))
    behind = 1.0 - values / values[-1]
    Q = Q[:, behind <= TOP]
    r = Q.shape[1]
    support = best.lam > WEIGHT * best.lam.max()
    faces = Q.T @ best.Z[support].reshape(-1, n, n) @ Q / best.upper - np.eye(r)
    rows, columns = np.triu_indices(r)
    # entries off the diagonal stand for two: so lengths are those of the matrices
    twice = np.where(rows == columns, 1.0, 2.0 ** 0.5)
    A = np.vstack([np.eye(r)[None], faces])[:, rows, columns] * twice
    singular = np.append(np.linalg.svd(A, compute_uv=False),
                         np.zeros(max(0, A.shape[1] - A.shape[0])))
    singular = singular / singular[0]
    free = int((singular <= NULL).sum())
    evidence = (f"{A.shape[0]} equations leave {free} of {A.shape[1]} degrees of freedom in the "
                "optimal face")
    between = ((behind > TOP) & (behind < APART)).any()
    unsure = between or ((singular > NULL) & (singular < SURE)).any()
    if unsure or (free and not _inside(best, Q, ~support, n)):
        return Hypothesis(statement, None, evidence + ", too near to call")
    return Hypothesis(statement, not free, evidence)


def _inside(best: Bounds, Q: np.ndarray, others: np.ndarray, n: int) -> bool:
    """Whether W lies inside of what bounds it beside its equations: the cone, and other samples."""
    lowest = np.linalg.eigvalsh(Q.T @ best.w.reshape(n, n) @ Q)[0]
    return bool(lowest > TOP and (best.Z[others] @ best.w > (1 + TOP) * best.lower).all())
