"""Complete separation, quasi-complete separation or overlap: which coefficients of a logistic
regression are infinite, and what the others are.

With z_n = y_n (x_n, 1) and the cone C = {u : ⟨u, z_n⟩ ≥ 0 for all n}, the likelihood rises along
every u ∈ C that is positive on some row, for ever. Names are those of Albert and Anderson (1984):
complete separation where some u ∈ C is positive on all rows, overlap where none is on any, and
quasi-complete separation between. On the span of the other rows it has a maximum, and that is
where the fit goes while it runs off along C (Ji, Telgarsky 2019).
"""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import above, columns
from fastbias.checks.own import INTERCEPT
from fastbias.checks.shown import Report, Shown
from fastbias.checks.sizes import lengths
from fastbias.data.rows import Rows, signed
from fastbias.solvers.cones import Cone, cone, distinct, reduced, signs
from fastbias.solvers.likelihood import Fit, Likelihood
from fastbias.solvers.limit import CERTIFIED
from fastbias.solvers.separation_table import report
from fastbias.solvers.strict_rows import Division

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["INTERCEPT", "Pairs", "Separation", "separation"]

MIRRORED = {"+inf": "-inf", "-inf": "+inf"}


class Pairs(dict[tuple[Any, Any], dict[str, Any]]):
    """What is known of W_b − W_a for pairs (a, b) of classes, a before b, and so for (b, a)."""

    def __missing__(self, pair: tuple[Any, Any]) -> dict[str, Any]:
        a, b = pair
        if (b, a) not in self:
            raise KeyError(pair)
        return {name: MIRRORED.get(v, v) if isinstance(v, str) else -v
                for name, v in self[b, a].items()}


@dataclass(frozen=True, eq=False, repr=False)
class Separation(Shown):
    """Whether labels can be told apart, wholly or in part, and what becomes of each coefficient.

    Parameters
    ----------
    kind : "complete", "quasi" or "overlap"
        All samples are strict, some, or none. (With classes: all pairs of a sample's own class
        with another one.)
    strict : (N,), or (N, K) with classes, of bool
        Which samples some u ∈ C has a margin over 0 on: their likelihood goes to 1. With classes
        column c is of the pair of the sample's own class with c, False where c is its own. False
        where a weight is 0: the sample is left out.
    direction : (d,), or (K, d) with classes, or None for overlap
        A u ∈ C, positive on all strict samples, rounded; of ℓ2 length one with
    direction_intercept : float, or (K,), or None
        its intercept, 0 without one.
    coefficients : dict of str to str
        "finite" where the coefficient is the same for every maximising sequence; "+inf" or "-inf"
        where it can only go there; else "undetermined": it goes to either, or is not determined as
        columns are collinear. With classes what all `pairs` agree on, else "undetermined".
    finite : dict of str to float
        Their maximum-likelihood values, NaN where not finite. With classes for each pair.
    standard_errors : dict of str to float
        Of these, from the inverse information, weights being counts; NaN likewise.
    log_likelihood : float
        The supremum of Σ c_n log p(y_n | x_n), c the weights.
    certified : bool
        Whether all was proved: `strict`, `coefficients` without rounding, `finite` to 1e-10
        standard errors.
    dual : (N,), or (N, K) with classes
        λ > 0 on all samples (pairs) that are not strict, Σ λ_n z_n = 0, Σλ = 1: no u ∈ C makes them
        so (Stiemke). 0 on strict ones.
    whole : (d + 1,) or (K, d + 1) of int, or None
        The direction in whole numbers, its intercept last: margins are exactly 0 on samples that
        are not strict. That is the proof.
    error : float
        By how much `finite` may be off, in the standard errors of weights up to one.
    classes : (2,) or (K,) array
        The labels as they were given, sorted: which is −1 and which +1, or the classes in order.
    pairs : Pairs
        With classes: for labels (a, b) the `coefficients` of W_b − W_a; else empty.
    reason : str
        Why not certified, where not.
    left_out : int
        How many rows have weight 0: samples, or pairs of them with other classes.
    rows : Rows, or None
        The z as they were given, without those of weight 0, of which `proof` speaks.
    own : (N,), or (N, K), of bool, or None
        Where `strict` and `dual` have their entries.
    """

    kind: str
    strict: np.ndarray
    direction: np.ndarray | None
    direction_intercept: Any
    coefficients: dict[str, str]
    finite: dict[Any, Any]
    standard_errors: dict[Any, Any]
    log_likelihood: float
    certified: bool
    dual: np.ndarray
    whole: np.ndarray | None
    error: float
    classes: np.ndarray
    pairs: Pairs = field(default_factory=Pairs)
    reason: str = ""
    left_out: int = 0
    rows: Rows | None = None
    own: np.ndarray | None = None

    def proof(self) -> dict[str, Any]:
        """Prove which rows are strict over the rationals: a document that `fb.proofs.check` takes,
        as `Limit.proof`.

        With a u that has ⟨u, z⟩ > 0 on strict rows and = 0 on others, and λ > 0 on these alone with
        Σ λ_n z_n = 0.

        Raises
        ------
        LookupError
            Where there is none, and why.

        References
        ----------
        Stiemke (1915).

        Examples
        --------
        >>> import fastbias as fb
        >>> found = fb.separation([[1], [2], [3], [3], [4]], [0, 0, 0, 1, 1]).proof()
        >>> found["strict"], found["dual"]
        ([True, True, False, False, True], ['0', '0', '1/2', '1/2', '0'])
        """
        return above.document(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the coefficients: finite ones with two standard errors either way, others as arrows.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure's where it is not given.
        """
        return above.picture(self, ax)

    def _report(self) -> Report:
        return report(self)


def separation(X: ArrayLike | checks.Sparse, y: ArrayLike, intercept: bool = True,
               names: Sequence[str] | None = None,
               weights: ArrayLike | None = None) -> Separation:
    """Decide between complete separation, quasi-complete separation and overlap, with proof.

    Parameters
    ----------
    X : (N, d), or sparse (N, d) of `scipy.sparse`
    y : (N,) labels
        Of two values, sorted, the later one is +1 (one alone must be −1 or +1); three or more,
        sorted, are K classes, with one joint cone of all ⟨W_y − W_c, x⟩ ≥ 0.
    intercept : bool, default True
        Whether a column of ones stands beside X.
    names : d strings, default "x0", "x1", …
        Of the columns of X, by default those of a DataFrame; the intercept is "(intercept)".
    weights : (N,), default 1
        ≥ 0: how often a sample counts; 0 leaves it out.

    Returns
    -------
    Separation
        Printed, a table of the coefficients and what to do next. Columns are taken as float64 has
        them: 0.1 + 0.2 is not 0.3, and a sum of columns that was rounded not collinear.

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.
    ArithmeticError
        Where rows are too many or too long for exact arithmetic, and rounding hides the answer.

    Examples
    --------
    >>> import fastbias as fb
    >>> found = fb.separation([[1], [2], [3], [3], [4]], [0, 0, 0, 1, 1], names=["dose"])
    >>> found.kind, found.strict.tolist(), found.coefficients["dose"]
    ('quasi', [True, True, False, False, True], '+inf')
    """
    data = checks.matrix("X", X)
    if data.ndim != 2:
        raise ValueError(f"X must be an (N, d) array, got shape {data.shape}")
    intercept = checks.flag("intercept", intercept)
    labelled, classes = checks.labels("y", y, data.shape[0])
    d = data.shape[1]
    called = list(columns.named("names", names, X, d) or [f"x{j}" for j in range(d)])
    N = data.shape[0]
    counts = np.ones(N) if weights is None else checks.weights("weights", weights, N)
    kept = np.flatnonzero(counts > 0)
    dense = Rows(data).dense()
    if intercept:
        dense = np.column_stack([dense, np.ones(len(dense))])
    # equal samples as one, with their weights together
    samples = np.column_stack([dense, labelled])[kept]
    first, place = distinct(samples)
    problem = _Problem(samples[first, :-1], samples[first, -1], classes,
                       np.bincount(place, counts[kept]), np.bincount(place),
                       called + [INTERCEPT] * intercept)
    found = problem.answer(kept, place, len(counts), intercept)
    own = np.zeros(found.strict.shape, bool)
    own[kept] = True
    if own.ndim > 1:
        own[np.arange(N), labelled.astype(int)] = False
    rows = signed(dense[kept], labelled[kept], max(problem.K, 1))
    return replace(found, rows=rows, own=own)


class _Problem:
    """Distinct samples with labels, and what is asked of them."""

    def __init__(self, X: np.ndarray, y: np.ndarray, classes: np.ndarray, weights: np.ndarray,
                 counts: np.ndarray, names: list[str]) -> None:
        self.X, self.y, self.classes, self.names = X, y, classes, names
        self.weights, self.counts = weights, counts
        self.K = classes.size if classes.size > 2 else 1
        self.rows = signed(X, y, self.K)

    def answer(self, kept: np.ndarray, place: np.ndarray, N: int, intercept: bool) -> Separation:
        """For N samples, of which those kept are at their places among the distinct ones."""
        found = cone(self.rows)
        fit = self._fit(found)
        reason = found.reason
        if found.proved and not fit.error <= CERTIFIED:
            reason = "finite coefficients cannot be found in float64" \
                if np.isnan(fit.log_likelihood) else \
                f"finite coefficients are known to {fit.error:.1e} standard errors only"

        def spread(values: np.ndarray) -> np.ndarray:
            """Values of rows as those of all samples, 0 where one is left out."""
            by_sample = self._by_sample(values)
            full = np.zeros((N, *by_sample.shape[1:]), values.dtype)
            full[kept] = by_sample[place]
            return full
        kind = "complete" if found.strict.all() else "quasi" if found.strict.any() else "overlap"
        coefficients, finite, errors, pairs, doubt = self._coefficients(found, fit)
        reason = reason or doubt
        whole = None if found.whole is None else found.whole.reshape(-1, self.X.shape[1])
        return Separation(kind, spread(found.strict), *self._direction(found, intercept),
                          coefficients, finite, errors, fit.log_likelihood, not reason,
                          spread(found.dual / np.repeat(self.counts, max(self.K - 1, 1))),
                          whole[0] if whole is not None and self.K == 1 else whole, fit.error,
                          self.classes, pairs, reason,
                          (N - kept.size) * max(self.K - 1, 1))

    def _by_sample(self, values: np.ndarray) -> np.ndarray:
        """Values of rows as those of samples, with classes (n, K), 0 for their own."""
        if self.K == 1:
            return values
        found = np.zeros((len(self.y), self.K), values.dtype)
        found[np.arange(self.K) != self.y[:, None]] = values
        return found

    def _direction(self, found: Cone, intercept: bool) -> tuple[np.ndarray | None, Any]:
        """The direction without its intercept, and that."""
        if found.direction is None:
            return None, None
        u = found.direction.reshape(-1, self.X.shape[1])
        w, b = (u[:, :-1], u[:, -1]) if intercept else (u, np.zeros(len(u)))
        return (w[0], float(b[0])) if self.K == 1 else (w, b)

    def _fit(self, found: Cone) -> Fit:
        """The maximum of what rows that are not strict leave of the likelihood."""
        others, Z = np.flatnonzero(~found.strict), reduced(self.rows)
        owner = others // max(self.K - 1, 1)
        if not others.size:
            return Fit(np.zeros(Z.shape[1]), 0.0, 0.0, np.zeros((0, Z.shape[1])))
        with suppress(ArithmeticError), np.errstate(all="ignore"):
            return Likelihood(Z[others], owner, self.weights[np.unique(owner)],
                              found.pivots).maximum()
        # what is finite does not depend on where it is
        unknown = np.full((1, Z.shape[1]), np.nan)
        return Fit(unknown[0], np.nan, np.inf, unknown)

    def _coefficients(self, found: Cone, fit: Fit) -> tuple[dict[str, str], dict[Any, Any],
                                                            dict[Any, Any], Pairs, str]:
        """What is known of each coefficient, of classes for each pair; values, their errors, and
        what is in doubt.
        """
        D, labels, doubts = self.X.shape[1], self.classes.tolist(), ""
        blocks = np.zeros((self.K, max(self.K - 1, 1)))       # of `reduced` rows
        blocks[-blocks.shape[1]:] = np.eye(blocks.shape[1])
        told, finite, errors = Pairs(), Pairs(), Pairs()
        for a, b in combinations(range(self.K), 2) if self.K > 1 else [(0, 0)]:
            part = blocks[b] - (blocks[a] if a < b else 0.0)
            G = np.kron(part, np.eye(D))
            kinds, doubt = signs(found.division, G, _only(found.division, np.repeat(part, D)))
            doubts = doubts or doubt
            known = np.array([kind == "finite" for kind in kinds])
            key = labels[a], labels[b]
            told[key] = dict(zip(self.names, kinds, strict=True))
            finite[key] = self._named(np.where(known, G @ fit.point, np.nan))
            errors[key] = self._named(np.where(known, lengths((fit.root @ G.T).T), np.nan))
        if self.K == 1:
            own = labels[0], labels[0]
            return told[own], finite[own], errors[own], Pairs(), doubts
        agreed = {name: {known[name] for known in told.values()} for name in self.names}
        return ({name: kinds.pop() if len(kinds) == 1 else "undetermined"
                 for name, kinds in agreed.items()}, finite, errors, told, doubts)

    def _named(self, values: np.ndarray) -> dict[str, float]:
        return dict(zip(self.names, values.tolist(), strict=True))


def _only(found: Division | None, part: np.ndarray) -> np.ndarray | None:
    """Which rows are of a pair of classes alone: without entries where ``part`` (d,) is 0."""
    if found is None or bool(part.all()):
        return None
    rows = found.rows.Z
    # (those of the pair have entries in the columns of both)
    both = np.array([rows[:, part == side].any(axis=1) for side in (1, -1) if side in part])
    return np.asarray(both.all(axis=0) & ~rows[:, part == 0].any(axis=1))
