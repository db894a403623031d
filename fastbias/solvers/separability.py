"""Whether some w separates, with a certificate either way that anybody can recompute.

With z_n = y_n x_n: some w has ⟨w, z_n⟩ > 0 for every n, or some λ ≥ 0 with Σλ = 1 has
Σ λ_n z_n = 0, and then no w separates (Gordan). Solvers propose; rounding bounds or exact
arithmetic accept. Of many rows a few decide: those that a w which separates the others leaves on
its wrong side join them, until there are none, or the few are inseparable themselves.

With an intercept b, w has one entry more for a column of ones (with classes, one more each), and
that is all: lengths do not matter here.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import above, foreign
from fastbias.checks.shown import Report, Shown, vector
from fastbias.data.rows import Rows, signed, zero_rows
from fastbias.solvers import exact, narrow
from fastbias.solvers.free import centre, moved
from fastbias.solvers.hinge import hinge
from fastbias.solvers.limit import told_intercept
from fastbias.solvers.pivots import pivoted
from fastbias.solvers.programs import Pair, largest_least, nearest_point
from fastbias.solvers.progress import Tell, silent, told

__all__ = ["Inseparable", "Labelled", "Separability", "advice", "few", "labelled", "parted",
           "separability", "separate", "separated", "separator"]

EPS = float(np.finfo(float).eps)
SMALL = 20_000        # numbers up to which all rows are looked at at once
FEW = 4               # rows for each feature up to which they are, too …
BLOCK = 2 ** 24       # … while they are no more numbers than this, which is what a set begins with
HASTY, HURRIED = 3, 20      # exchanges of weights in one of its first rounds: any separator will do
START, JOINING = 10, 4      # rows for each feature: in the first set, and that join it at most


@dataclass(frozen=True, eq=False, repr=False)
class Separability(Shown):
    """Whether some w has y_n(⟨w, x_n⟩ + b) > 0 for every n, with the certificate either way.

    Parameters
    ----------
    separable : bool
    w : (d,), (m, n) or (K, d), or None
        A separator: its margins, without rounding, are over 0.
    dual : (N,), or (N (K − 1),) with K > 2 classes, or None
        λ ≥ 0, Σλ = 1 with Σ λ_n z_n = 0 (Gordan), z_n = y_n x_n; with an intercept Σ λ_n y_n = 0
        as well (with classes, as much weight on rows of each as on rows against it).
    residual : float
        Where separable the smallest margin over its rounding bound: where that is under one, exact
        arithmetic shows that the margin is over 0. Else the largest entry of Σ λ_n z_n relative to
        the terms of its sum: what rounding leaves, for it was proved that some λ next to this one,
        if not this one, makes it exactly 0.
    classes : (2,) or (K,) array, or None
        The labels as they were given, sorted: which is −1 and which +1, or the classes in order.
    reason : str
        Which rows of X are all zeros, where some are; that an intercept would separate.
    weights : (N,), optional
        λ ≥ 0 with w = Σ λ_n z_n, where w is nearly the ℓ2 margin of few of many rows.
    intercept : float, or (K,) with K > 2 classes
        b of the separator; 0.0 where none was asked for.
    rows : Rows, or None
        The z as they were given, of which `proof` speaks.
    """

    separable: bool
    w: np.ndarray | None
    dual: np.ndarray | None
    residual: float
    classes: np.ndarray | None = None
    reason: str = ""
    weights: np.ndarray | None = None
    intercept: float | np.ndarray = 0.0
    rows: Rows | None = None

    def proof(self) -> dict[str, Any]:
        """Prove it over the rationals: a document that `fb.proofs.check` takes, as `Limit.proof`.

        Separable rows z have ⟨w, z⟩ > 0; others have λ ≥ 0, Σλ = 1 with Σ λ_n z_n = 0 exactly.

        Raises
        ------
        LookupError
            Where there is none, and why.

        References
        ----------
        Gordan (1873).

        Examples
        --------
        >>> import fastbias as fb
        >>> fb.separability([[1, 2], [-3, -6]], [1, 1]).proof()["dual"]
        ['3/4', '1/4']
        """
        return above.document(self)

    def __bool__(self) -> bool:
        return self.separable

    def _report(self) -> Report:
        lines: Report
        if self.w is not None:
            lines = [f"separable, the least margin {self.residual:.1e} times its rounding bound",
                     *vector("w", self.w, None, self.classes),
                     *told_intercept(self.intercept)]
        else:
            assert self.dual is not None
            lines = [f"not separable: λ ≥ 0, Σλ = 1 with Σ λ z = 0, residual {self.residual:.1e}",
                     f"λ > 0 on {int((self.dual > 0).sum())} of {self.dual.size} rows"]
        return [*lines, *[self.reason] * bool(self.reason), *checks.mapping(self.classes)]


class Inseparable(ValueError):  # noqa: N818 (it names the event)
    """No w separates, so there is no maximum margin."""


class Labelled(NamedTuple):
    """Data with labels, as margins see them."""

    rows: Rows                 # the rows z with margin ⟨w, z⟩, free columns last
    shape: tuple[int, ...]     # of w
    classes: np.ndarray        # what labels were called
    zeros: str                 # what is to be said of rows of zeros
    centre: np.ndarray         # (d,): of rows with free columns what was taken from X, exactly


def labelled(X: ArrayLike | checks.Sparse, y: ArrayLike, *, intercept: bool = False) -> Labelled:
    """Check data and labels (`checks.labels`): ±1, or K ≥ 3 classes, with w (K, d).

    With an intercept X is centred where that rounds nothing, which moves b alone.
    """
    data = checks.matrix("X", X)
    free = checks.flag("intercept", intercept)
    shape = data.shape[1:]
    data = data.reshape(data.shape[0], -1) if data.ndim > 2 else data
    several = len(shape) == 1
    # (two classes are one predictor with signs; matrices have no room for more)
    where = "" if several else " for X (N, m, n), as classes want X (N, d)"
    y, classes = checks.labels("y", y, data.shape[0], signs=None if several else True, where=where)
    if free and (y == y[0]).all():
        raise ValueError("labels must have two values or more for an intercept, as the margin of "
                         f"one alone is infinite, got all {classes[int(y[0] > 0)]}")
    K = classes.size if classes.size > 2 else 1
    # (zeros are few in what is sparse, and stay)
    c = centre(data) if free and isinstance(data, np.ndarray) else np.zeros(data.shape[1])
    rows = signed(data - c if c.any() else data, y, K, free)
    return Labelled(rows, (K, *shape) if K > 1 else shape, classes,
                    "" if free else zero_rows(Rows(data)), c)


def parted(data: Labelled, w: np.ndarray) -> tuple[np.ndarray, float | np.ndarray, float]:
    """W in its shape and b for data as they were given; and how far margins are off as b is
    rounded.
    """
    rows = data.rows
    if not rows.free:
        return w.reshape(data.shape), 0.0, 0.0
    b, off = moved(w[:rows.bound].reshape(rows.free, -1), w[rows.bound:], data.centre)
    return w[:rows.bound].reshape(data.shape), float(b[0]) if rows.free == 1 else b, off


def separability(X: ArrayLike | checks.Sparse, y: ArrayLike, *, intercept: bool = False,
                 progress: bool = False) -> Separability:
    """Decide whether (X, y) is linearly separable, through 0 or with an intercept, with a
    certificate either way.

    Parameters
    ----------
    X : (N, d) or (N, m, n), or sparse (N, d) of `scipy.sparse`, which stays so
    y : (N,) labels
        Of two values, sorted, the later one is +1 (one alone must be −1 or +1); three or more,
        sorted, are K classes. With classes, w is (K, d), and a sample's margins are ⟨w_y − w_c, x⟩
        for each c ≠ y, samples first.
    intercept : bool, default False
        Whether margins are y(⟨w, x⟩ + b), or ⟨w_y − w_c, x⟩ + b_y − b_c, for some b.
    progress : bool, default False
        Show a tqdm bar of the rounds in which rows join those that decide, where rows are many.

    Returns
    -------
    Separability
        True in a condition where the data are separable. The units of features and the lengths of
        samples do not matter.

    Raises
    ------
    ValueError
        Where an argument is bad, or all labels are the same and ``intercept=True``.
    ArithmeticError
        Where margins are at rounding level and the problem is too large for exact arithmetic, or
        where the data are separable but no w in float64 was found that does it.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.separability([[1, 2], [-1, -1]], [1, -1]).separable
    True
    >>> fb.separability([[1, 2], [-1, -2]], [1, 1]).dual
    array([0.5, 0.5])
    >>> found = fb.separability([[1, 2], [2, 4]], [1, -1], intercept=True)
    >>> found.separable, found.intercept > 0
    (True, True)
    """
    data = labelled(X, y, intercept=intercept)
    with told(progress, "separability") as tell:
        found = separate(data.rows, tell)
        if found.w is None:
            reason = ". ".join(filter(None, [data.zeros, advice(data.rows)]))
            return replace(found, classes=data.classes, reason=reason, rows=_given(data))
        if data.centre.any():
            found, data = _of_given(data, found.w, tell)
        assert found.w is not None
        w, b, _ = parted(data, found.w)
    return replace(found, w=w, intercept=b, classes=data.classes, reason=data.zeros,
                   rows=_given(data))


def _given(data: Labelled) -> Rows:
    """The rows of samples as they were given."""
    return data.rows.shifted(data.centre) if data.centre.any() else data.rows


def _of_given(data: Labelled, w: np.ndarray, tell: Tell) -> tuple[Separability, Labelled]:
    """A separator of data as they were given, and these: of others b has been rounded."""
    given = data._replace(rows=data.rows.shifted(data.centre), centre=np.zeros_like(data.centre))
    w = np.append(w[:data.rows.bound], parted(data, w)[1])
    certainty = float(exact.ratios(given.rows, w).min())
    found = Separability(True, w, None, certainty) if certainty > 0 else separate(given.rows, tell)
    return found, given


def advice(rows: Rows) -> str:
    """Say so where rows that no w separates are separable with an intercept; else ""."""
    freed = rows.freed()
    # (what all have one label an intercept alone would separate)
    if freed is None or (freed.y == freed.y[0]).all():
        return ""
    with suppress(ArithmeticError):
        if separate(freed).separable:
            return "with an intercept the data are separable: intercept=True"
    return ""


def separate(rows: Rows | np.ndarray, tell: Tell = silent) -> Separability:
    """The same for the rows z (N, d) themselves."""
    rows = Rows.of(rows)
    zeros = rows.tops == 0
    # a point at the origin is on the wrong side of any w
    if zeros.any():
        return Separability(False, None, zeros / zeros.sum(), 0.0)
    return _among_few(rows.dense()) if few(rows) else _among_many(rows, tell)


def few(rows: Rows) -> bool:
    """Whether there are so few rows that all of them are looked at, at once."""
    numbers = rows.count * rows.size
    return numbers <= SMALL or (rows.count <= FEW * rows.size and numbers <= BLOCK)


def _among_many(rows: Rows, tell: Tell) -> Separability:
    """By a working set of rows."""
    answer = _independent(rows) if rows.count <= rows.size else None
    if answer is not None:
        return answer
    most = max(BLOCK // rows.size, 1)
    size = min(rows.count, START * rows.size, most)
    chosen = np.sort(np.random.default_rng(0).choice(rows.count, size, replace=False))
    w, lam = None, np.zeros(rows.count)
    rounds = 0
    while True:
        # (what is done in a hurry might go round for ever: after some rounds no row is let go)
        rounds += 1
        hurried = chosen.size < rows.size and rounds < HURRIED
        found = _nearest(rows, chosen, lam) if hurried else None
        if found is None:
            answer = _among_few(rows.take(chosen), w)
            if answer.w is None:
                lam = np.zeros(rows.count)
                lam[chosen] = answer.dual
                return replace(answer, dual=lam)
            found = answer.w, np.zeros(rows.count)
        w, lam = found
        ratios = exact.ratios(rows, w)
        others = np.setdiff1d(np.arange(rows.count), chosen, assume_unique=True)
        behind = int((ratios[others] <= 0).sum())
        tell(f"{chosen.size} rows, {behind} behind")
        if not behind and ratios.min() > 0:
            return Separability(True, w, None, float(ratios.min()),
                                weights=lam if lam.any() else None)
        # (of all rows nothing more is learned in a hurry)
        rounds = rounds if others.size else HURRIED
        # those that are nearly behind as well: they would be next
        joining = min(max(2 * behind, rows.size), JOINING * rows.size, most)
        # (what holds w is enough of those that were there)
        kept = np.flatnonzero(lam) if hurried and lam.any() else chosen
        chosen = np.union1d(kept, others[np.argsort(ratios[others])[:joining]])


def _products(rows: Rows, which: np.ndarray) -> np.ndarray:
    """⟨z_n, z_k⟩ (k, k) of rows of indices (k,), free columns as any others."""
    G = rows.gram(which)
    if rows.free:
        loose = rows.loose(which)
        G += loose @ loose.T
    return G


def _nearest(rows: Rows, chosen: np.ndarray, lam: np.ndarray) -> Pair | None:
    """The point nearest to 0 of the hull of a few rows, and its weights among all: of fewer rows
    than features products are all that counts. ``lam`` is a guess of the weights.
    """
    # (of a size whose products leave float64 nothing comes)
    with np.errstate(all="ignore"):
        lengths, G = rows.lengths[chosen], _products(rows, chosen)
        G /= lengths
        G /= lengths[:, None]
        mu = pivoted(G, np.ones(chosen.size), lam[chosen] > 0, chosen.size, HASTY)
        if mu is None:
            return None
        lam = np.zeros(rows.count)
        lam[chosen] = mu / lengths
        w = rows.pull(lam)
    return (w, lam) if np.isfinite(w).all() else None


def _independent(rows: Rows) -> Separability | None:
    """A w with all margins one, where rows are no more than features and do not depend on each
    other.
    """
    with suppress(foreign.Unsolved), np.errstate(all="ignore"):
        w = rows.pull(foreign.ask("a separator of independent samples", "scipy.linalg.solve",
                                  _products(rows, np.arange(rows.count)),
                                  np.ones(rows.count), assume_a="pos"))
        certainty = float(exact.ratios(rows, w).min()) if np.isfinite(w).all() else -1.0
        if certainty > 0:
            return Separability(True, w, None, certainty)
    return None


def _among_few(Z: np.ndarray, near: np.ndarray | None = None) -> Separability:
    """By Newton's method, least squares and a linear program, and by exact arithmetic.

    ``near`` is a w that nearly separates.
    """
    rows = exact.Scaled(Z)
    told, first = _proposed(Z, rows, near)
    if told is None and rows.faithful:
        told = _taken_apart(Z, rows)
    return _decided(Z, rows, first) if told is None else told


def _proposed(Z: np.ndarray, rows: exact.Scaled, near: np.ndarray | None
              ) -> tuple[Separability | None, list[np.ndarray]]:
    """What a solver proposes and rounding bounds accept; and which rows matter, as solvers say."""
    even = rows.floats / rows.tops
    lengths = np.linalg.norm(even, axis=1)
    even = even / lengths[:, None]
    first: list[np.ndarray] = []
    for found in _proposals(even, None if near is None else
                            np.ldexp(near, rows.columns) * rows.tops):
        if found is None:
            continue
        w, lam = rows.original(found[0] / rows.tops), np.maximum(found[1], 0.0) / lengths
        certainty = rows.least(w)
        if certainty > 0:
            return Separability(True, w, None, certainty), first
        inside = exact.surrounded(rows.floats, lam) if rows.faithful else None
        if inside is not None:
            return _inseparable(Z, rows.weights(inside)), first
        # the heaviest, and those that w serves worst
        heavy = np.flatnonzero(lam)
        worst = np.argsort(even @ found[0])[:2 * Z.shape[1] + 2]
        first += [heavy[np.argsort(-found[1][heavy])], worst]
    return None, first


def _proposals(even: np.ndarray, near: np.ndarray | None) -> Iterator[Pair | None]:
    """Separators w (d,) with weights λ (N,), of which one or the other may be an answer, for rows
    of length one.
    """
    # on few rows the others are as quick, and their answers better ones
    if even.size > SMALL:
        yield hinge(even, near)
    yield nearest_point(even, np.ones(len(even)))
    yield from largest_least(even)


def _taken_apart(Z: np.ndarray, rows: exact.Scaled) -> Separability | None:
    """Whether 0 is surrounded, once features that are nearly dependent are taken apart."""
    flat = exact.untangled(rows.floats)
    lengths = np.linalg.norm(flat, axis=1)
    found = nearest_point(flat / lengths[:, None], np.ones(len(Z)))
    if found is None:
        return None
    inside = exact.surrounded(flat, np.maximum(found[1], 0.0) / lengths)
    return None if inside is None else _inseparable(Z, rows.weights(inside))


def _decided(Z: np.ndarray, rows: exact.Scaled, first: list[np.ndarray]) -> Separability:
    """By exact arithmetic, which begins with the rows that solvers thought of."""
    whole, det, weights = exact.decide(rows, np.concatenate([*first, [0]]))
    if whole is None:
        return _inseparable(Z, narrow.spread(weights, len(Z)))
    # w is a fraction: which of its neighbours in float64 separates is to be tried
    for w in rows.neighbours(whole, det):
        certainty = rows.least(w)
        if certainty > 0:
            return Separability(True, w, None, certainty)
    raise ArithmeticError("the samples are separable, but so narrowly that no w in float64 was "
                          "found that separates them")


def _inseparable(Z: np.ndarray, lam: np.ndarray) -> Separability:
    """What was proved, with a rounded λ that least squares can better no more."""
    on, best = np.flatnonzero(lam), np.inf
    part = np.ldexp(lam[on], -np.frexp(lam.max())[1])
    wide = Z[on].astype(np.longdouble)                       # where nothing over- or underflows
    for _ in range(3):
        part = part / part.sum()
        terms = part @ np.abs(wide)
        left = np.asarray(np.divide(part @ wide, terms, out=np.zeros_like(terms), where=terms > 0),
                          float)
        residual = float(np.abs(left).max())
        if residual < best:
            best, lam = residual, np.zeros(len(Z))
            lam[on] = part
        if best <= 4 * EPS:
            break
        rows = np.asarray(part[:, None] * wide / np.where(terms > 0, terms, 1.0), float)
        with suppress(foreign.Unsolved):
            off = foreign.ask("the rounding of λ", "numpy.linalg.lstsq", rows.T, left,
                              rcond=1e-10)[0]
            part = part * (1.0 - np.clip(off, -0.5, 0.5))
    return Separability(False, None, lam, best)


def separator(rows: Rows | np.ndarray, why: str = "") -> np.ndarray:
    """Some w (d,) with ⟨w, z⟩ > 0 for every row z; ValueError where there is none, and why."""
    found = separated(rows, why).w
    assert found is not None
    return found


def separated(rows: Rows | np.ndarray, why: str = "", tell: Tell = silent) -> Separability:
    """The separability of rows z that are separable; ValueError where they are not, and why."""
    rows = Rows.of(rows)
    found = separate(rows, tell)
    if found.w is None:
        reasons = [why, advice(rows)] if why else [
            advice(rows) or "fb.separability has the certificate that they are not"]
        raise Inseparable("X, y must be linearly separable to have a maximum margin; "
                          + "; ".join(filter(None, reasons)))
    return found
