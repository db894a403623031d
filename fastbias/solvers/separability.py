"""Whether some w separates, with a certificate either way that anybody can recompute.

With z_n = y_n x_n: some w has ⟨w, z_n⟩ > 0 for every n, or some λ ≥ 0 with Σλ = 1 has
Σ λ_n z_n = 0, and then no w separates (Gordan). Solvers propose; rounding bounds or exact
arithmetic accept. Of many rows a few decide: those that a w which separates the others leaves on
its wrong side join them, until there are none, or the few are inseparable themselves.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.data.rows import Rows, signed
from fastbias.problem import zero_rows
from fastbias.solvers import exact, narrow
from fastbias.solvers.hinge import hinge
from fastbias.solvers.pivots import pivoted
from fastbias.solvers.programs import Pair, largest_least, nearest_point
from fastbias.solvers.progress import Tell, silent, told

__all__ = ["Labelled", "Separability", "few", "labelled", "separability", "separate", "separated",
           "separator"]

EPS = float(np.finfo(float).eps)
SMALL = 20_000        # numbers up to which all rows are looked at at once
FEW = 4               # rows for each feature up to which they are, too …
BLOCK = 2 ** 24       # … while they are no more numbers than this, which is what a set begins with
HASTY, HURRIED = 3, 20      # exchanges of weights in one of its first rounds: any separator will do
START, JOINING = 10, 4      # rows for each feature: in the first set, and that join it at most


@dataclass(frozen=True, eq=False)
class Separability:
    """Whether some w has y_n⟨w, x_n⟩ > 0 for every n, with the certificate either way.

    Parameters
    ----------
    separable : bool
    w : (d,), (m, n) or (K, d), or None
        A separator: its margins, without rounding, are over 0.
    dual : (N,), or (N (K − 1),) with K > 2 classes, or None
        λ ≥ 0, Σλ = 1 with Σ λ_n z_n = 0 (Gordan), z_n = y_n x_n.
    residual : float
        Where separable the smallest margin over its rounding bound: where that is under one, exact
        arithmetic shows that the margin is over 0. Else the largest entry of Σ λ_n z_n relative to
        the terms of its sum: what rounding leaves, for it was proved that some λ next to this one,
        if not this one, makes it exactly 0.
    classes : (2,) or (K,) array, or None
        The labels as they were given, sorted: which is −1 and which +1, or the classes in order.
    reason : str
        Which rows of X are all zeros, where some are.
    weights : (N,), optional
        λ ≥ 0 with w = Σ λ_n z_n, where w is nearly the ℓ2 margin of few of many rows.
    """

    separable: bool
    w: np.ndarray | None
    dual: np.ndarray | None
    residual: float
    classes: np.ndarray | None = None
    reason: str = ""
    weights: np.ndarray | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.separable

    def __str__(self) -> str:
        if self.w is not None:
            lines = [f"separable, the least margin {self.residual:.1e} times its rounding bound",
                     f"w = {np.array2string(self.w, precision=8, threshold=12)}"]
        else:
            lines = [f"not separable: λ ≥ 0, Σλ = 1 with Σ λ z = 0, residual {self.residual:.1e}"]
        return "\n".join(lines + [self.reason] * bool(self.reason) + checks.mapping(self.classes))


class Labelled(NamedTuple):
    """Data with labels, as margins see them."""

    rows: Rows                 # the rows z with margin ⟨w, z⟩
    shape: tuple[int, ...]     # of w
    classes: np.ndarray        # what labels were called
    zeros: str                 # what is to be said of rows of zeros


def labelled(X: ArrayLike | checks.Sparse, y: ArrayLike) -> Labelled:
    """Check data and labels (`checks.labels`): ±1, or K ≥ 3 classes, with w (K, d)."""
    data = checks.matrix("X", X)
    shape = data.shape[1:]
    data = data.reshape(data.shape[0], -1) if data.ndim > 2 else data
    several = len(shape) == 1
    # (two classes are one predictor with signs; matrices have no room for more)
    where = "" if several else " for X (N, m, n), as classes want X (N, d)"
    y, classes = checks.labels("y", y, data.shape[0], signs=None if several else True, where=where)
    K = classes.size if classes.size > 2 else 1
    return Labelled(signed(data, y, K), (K, *shape) if K > 1 else shape, classes,
                    zero_rows(Rows(data)))


def separability(X: ArrayLike | checks.Sparse, y: ArrayLike, *,
                 progress: bool = False) -> Separability:
    """Decide whether (X, y) is linearly separable through 0, with a certificate either way.

    Parameters
    ----------
    X : (N, d) or (N, m, n), or sparse (N, d) of `scipy.sparse`, which stays so
    y : (N,) labels
        Of two values, sorted, the later one is +1 (one alone must be −1 or +1); three or more,
        sorted, are K classes. With classes, w is (K, d), and a sample's margins are ⟨w_y − w_c, x⟩
        for each c ≠ y, samples first.
    progress : bool, default False
        Show a tqdm bar of the rounds in which rows join those that decide, where rows are many.

    Returns
    -------
    Separability
        True in a condition where the data are separable. The units of features and the lengths of
        samples do not matter.

    Raises
    ------
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
    """
    data = labelled(X, y)
    with told(progress, "separability") as tell:
        found = separate(data.rows, tell)
    return replace(found, w=None if found.w is None else found.w.reshape(data.shape),
                   classes=data.classes, reason=data.zeros)


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


def _nearest(rows: Rows, chosen: np.ndarray, lam: np.ndarray) -> Pair | None:
    """The point nearest to 0 of the hull of a few rows, and its weights among all: of fewer rows
    than features products are all that counts. ``lam`` is a guess of the weights.
    """
    # (of a size whose products leave float64 nothing comes)
    with np.errstate(all="ignore"):
        lengths, G = rows.lengths[chosen], rows.gram(chosen)
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
                                  rows.gram(np.arange(rows.count)),
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
    found = separate(rows, tell)
    if found.w is None:
        why = why or "fb.separability has the certificate that they are not"
        raise ValueError(f"X, y must be linearly separable to have a maximum margin; {why}")
    return found
