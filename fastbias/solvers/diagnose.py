"""Which norm's maximum margin is a direction, from anywhere? And can a run arrive at all?"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import above, foreign
from fastbias.checks.shown import Bar, Report, Shown, Table
from fastbias.checks.sizes import lengths, row_lengths
from fastbias.data.rows import Matrix, Rows, dense
from fastbias.pieces import norms, potentials
from fastbias.problem import Problem
from fastbias.solvers.conditions import Conditions
from fastbias.solvers.fitted import Fitted, agreeing, coefficients, is_fitted
from fastbias.solvers.free import moved
from fastbias.solvers.limit import Hypothesis
from fastbias.solvers.margins import labelled
from fastbias.solvers.maxima import Maxima, solved
from fastbias.solvers.progress import told
from fastbias.solvers.separability import Labelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Diagnosis", "diagnose", "ill_scaled"]

POWERS = (1, 1.25, 1.5, 2, 3, 5, np.inf)
NEAR = 0.99           # the fraction of a maximum from which on a direction counts as near it
# fractions that differ by less, or by less than the maxima are known to, are tied
SAME = 1e-9
# what optimality conditions leave, to go by where p is 1 or ∞: they are not smooth there
END = 1e-6
LONG = 1e10           # updates: what runs do in minutes
UNLIKE = 100          # columns whose lengths differ by less are no reason to warn of anything
FAR = 1 / 400         # the smallest x = 1/p that is tried beside 0: in float64 ℓ400 is all but ℓ∞
SMALL = 2_000         # entries of Z up to which five times as fine a grid costs nothing
PATIENCE = 3.0        # seconds for a search by maximum margins, of at most so many
MIDDLE = 0.5          # 1/p of ℓ2
TRIES, FINE = 10, 60  # … and for one by optimality conditions, which are quick


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Shown):
    """How near a direction comes to each norm's maximum margin.

    Parameters
    ----------
    fractions : dict of str to float
        For each norm, the margin of w/‖w‖ as a fraction of the maximum (1: it is the maximum
        margin; ≤ 0: it does not separate).
    best : str
        The norm with the largest fraction; the first of `ties`.
    p : float
        The p in [1, ∞] whose ℓp maximum w is; where it is none, the p with the largest fraction of
        those nearer to the best listed power than to others. Where few support vectors decide, a
        whole range of p shares one direction.
    fraction : float
        That fraction.
    gaps : dict of str to float
        The duality gap of each maximum, relative.
    ties : tuple of str
        The norms whose fractions cannot be told from the largest (1e-9, or what their gaps leave
        open): one where it wins.
    p_range : (float, float)
        The p around `p` that share its fraction, to 1e-9.
    near : bool
        Whether the largest of all fractions is at least 0.99: otherwise w is at none of the maxima
        that were tried.
    classes : (2,) or (K,) array, or None
        The labels as they were given, sorted: which is −1 and which +1, or the classes in order.
    intercept : float, (K,) array, or None
        The b beside w, which `fractions` hold against the maxima over any b, in no norm; None: w
        was held against margins without one.
    counted : dict of str to float
        With an intercept, for ℓ1, ℓ2 and ℓ∞: the fraction of (w, b) where b counts in the norm as
        a weight on a column of ones, as solvers see it that penalise b (LinearSVC, say).
    angles : dict of str to float
        Between w and the maximum-margin direction that was found in each norm, in degrees, without
        intercepts.
    """

    fractions: dict[str, float]
    best: str
    p: float
    fraction: float
    gaps: dict[str, float]
    ties: tuple[str, ...] = ()
    p_range: tuple[float, float] = (float("nan"), float("nan"))
    near: bool = True
    classes: np.ndarray | None = None
    intercept: float | np.ndarray | None = None
    counted: dict[str, float] = field(default_factory=dict)
    angles: dict[str, float] = field(default_factory=dict)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the fractions as bars, a norm each.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure's where it is not given.
        """
        return above.picture(self, ax)

    def _report(self) -> Report:
        tied = len(self.ties) > 1
        wrong = max(self.fractions.values()) <= 0.0       # of one sign in all norms
        mark = "" if wrong else "<- tied" if tied else "<- best" if self.near else "<- nearest"
        marked = self.ties or (self.best,)
        rows = [(name, f"{value:.8f}", Bar(value), mark if name in marked else "")
                for name, value in self.fractions.items()]
        low, high = self.p_range
        told = f"best p: {self.p:.6g}"
        if low < 0.999 * high:                            # more than the search's own width
            told = f"any p from {low:.6g} to {high:.6g}"
        used = "without an intercept" if self.intercept is None else "of w alone, over any b"
        lines: Report = [f"margin as a fraction of the maximum, by norm {used}:", Table(rows)]
        if wrong:
            return [*lines, "w does not separate the samples: one at least lies on its wrong side, "
                    "or on the border", *checks.mapping(self.classes)]
        lines += [f"{told} (fraction {self.fraction:.10f})",
                  f"maxima known to {max(self.gaps.values(), default=np.nan):.1e}"]
        if tied:
            lines.append(f"a tie: w does not tell {', '.join(self.ties)} apart")
        if not self.near:
            lines.append(f"not at a maximum: no fraction is {NEAR} or more{self._nearest()}")
        if self.counted:
            # (0.99995 is not 1)
            lines.append("with b as a weight on a column of ones: " + ", ".join(
                f"{name} {value:.8f}" for name, value in self.counted.items()))
        return [*lines, *checks.mapping(self.classes)]

    def _nearest(self) -> str:
        """Which of the directions that were found is nearest, and at which angle."""
        if not self.angles:
            return ""
        name = min(self.angles, key=lambda name: self.angles[name])
        return f"; {self.angles[name]:.3g}° from the {name} maximum-margin direction"


def diagnose(X: ArrayLike | checks.Sparse, y: ArrayLike, w: ArrayLike | Fitted, *,
             intercept: ArrayLike | None = None, progress: bool = False) -> Diagnosis:
    """Say which norm's margin a direction maximises; or that several share it, or none is near.

    Parameters
    ----------
    X : (N, d), (N, m, n) or sparse (N, d), y : (N,) labels
        Separable data. Of two values, sorted, the later one is +1 (one alone must be −1 or +1);
        three or more are classes.
    w : (d,), (m, n) or (K, d), or a fitted linear estimator
        The direction; its length does not matter. With classes, what all rows share changes no
        prediction but counts in the norm: take it out (w − w.mean(0)) where a method left it in
        from its start. Of two classes (1, d) is taken too, as ``coef_`` of scikit-learn is. Of an
        estimator ``coef_`` is w and ``intercept_`` is b, unless its ``fit_intercept`` is False; its
        ``classes_`` must be the labels, and its predictions those of w and b.
    intercept : float, or (K,) with K > 2 classes, optional
        The b beside w, 0.0 too: then margins are those of (w, b), and are held against the largest
        of any w and any b, in the norm of w alone; ``counted`` has those of (w, b) as one vector.
        None: there is no intercept.
    progress : bool, default False
        Show a tqdm bar of the norms that are tried, and of the rounds of each where rows are many.

    Returns
    -------
    Diagnosis
        Over ℓp for p = 1, 1.25, 1.5, 2, 3, 5, ∞ (of all entries), and the spectral and nuclear norm
        where w is a matrix. The maxima of these are kept until other data come, so that many
        directions on the same data cost little more than one.

    Raises
    ------
    ValueError, TypeError
        Where the data are not separable, w is 0, all labels are the same and there is an intercept,
        or an argument is bad.

    Examples
    --------
    >>> import fastbias as fb
    >>> found = fb.diagnose([[2, 1], [1, 2]], [1, 1], [1, 1])
    >>> round(found.fractions["l2"], 9), round(found.fractions["linf"], 9)
    (1.0, 1.0)
    """
    model = w if is_fitted(w) else None
    if model is not None:
        if intercept is not None:
            raise ValueError("intercept must be left out where w is an estimator, which has its "
                             f"own, got {checks.short(intercept)}")
        w, intercept = coefficients(model)
    data = labelled(X, y, intercept=intercept is not None)
    rows, shape = data.rows, data.shape
    given = checks.point("w", _lone(w, shape), rows.bound, shape)
    if model is not None:
        agreeing(model, X, data.classes, given.reshape(-1, shape[-1]), intercept)
    if not given.any():
        raise ValueError("w must not be 0 to have a direction")
    # of size one: powers of it stay within float64
    size = float(np.abs(given).max())
    b = _intercepts(intercept, data)
    centred = np.zeros(0) if b is None else moved(given.reshape(b.size, -1), b, -data.centre)[0]
    given = np.append(given / size, centred / size)
    with told(progress, "diagnose") as tell:
        listed = {norms.lp(float(p)): 1 / p for p in POWERS}
        if len(shape) == 2:
            listed |= {norms.spectral(*shape): MIDDLE, norms.nuclear(*shape): MIDDLE}
        maxima = Maxima(data, given, solved(data, len(listed), tell), tell)
        # outwards from ℓ2, as each begins with the nearest of those before it
        outwards = sorted(listed.items(), key=lambda item: abs(item[1] - MIDDLE))
        answers = {norm: maxima.listed(norm, x) for norm, x in outwards}
        found = {norm.name: (maxima.fraction(norm, answers[norm]), answers[norm].gap)
                 for norm in listed}
        angles = {norm.name: maxima.angle(answers[norm]) for norm in listed}
        counted = {} if b is None else maxima.counted(checks.matrix("X", X), y, b / size)
        told_b = None if b is None else float(b[0]) if b.size == 1 else b
        return replace(_diagnosed(maxima, found, data.classes), intercept=told_b, counted=counted,
                       angles=angles)


def _lone(given: Any, shape: tuple[int, ...]) -> Any:
    """What is of the shape (1, …) of one row of its kind, as that row; others as they are."""
    # (rows of different lengths have no shape)
    with suppress(ValueError):
        if len(shape) < 2 and np.shape(given) == (1, *shape):
            return np.asarray(given)[0]
    return given


def _intercepts(intercept: ArrayLike | None, data: Labelled) -> np.ndarray | None:
    """The intercepts (1,) or (K,) given beside w; None where there is none."""
    free = data.rows.free
    if free == 0:
        return None
    # (whose own is an array (1,) in scikit-learn)
    return (np.array([checks.number("intercept", _lone(intercept, ()))]) if free == 1 else
            checks.array("intercept", intercept, f"a ({free},) array", dims=1, length=free))


def _diagnosed(maxima: Maxima, found: dict[str, tuple[float, float]],
               classes: np.ndarray) -> Diagnosis:
    """What the fractions and gaps of the listed norms say."""
    fractions = {name: fraction for name, (fraction, _) in found.items()}
    gaps = {name: gap for name, (_, gap) in found.items()}
    best = max(found, key=lambda name: fractions[name])
    most = fractions[best]
    # (a maximum that is known to its gap only may be as much larger)
    ties = tuple(name for name, fraction in fractions.items()
                 if fraction >= most - SAME - (gaps[name] + gaps[best]) * abs(most))
    p, fraction, p_range = _best_power(maxima, fractions)
    near = max(most, fraction) >= NEAR
    return Diagnosis(fractions, ties[0], p, fraction, gaps, ties, p_range, near, classes)


def _best_power(maxima: Maxima,
                listed: dict[str, float]) -> tuple[float, float, tuple[float, float]]:
    """The p whose fraction is largest, that fraction, and the range of p that share it.

    In x = 1/p, first where the optimality conditions leave least, from a grid that is finer near p
    = ∞: where w is a maximum that finds it exactly. Else by a search on the fractions themselves,
    around the best listed power.
    """
    best = max((listed[norms.lp(float(p)).name], float(p)) for p in POWERS)
    if not maxima.least > 0:
        return best[1], best[0], (best[1], best[1])
    known = {1 / float(p): listed[norms.lp(float(p)).name] for p in POWERS}
    off = _by_conditions(maxima, known)
    exact = max(known.values()) >= 1 - SAME
    # humps of nearly one height: that of the norm that is named
    if not exact:
        known = _searched(maxima, known, 1 / best[1])
    most = max(known.values())
    tied = sorted(x for x in known if known[x] >= most - SAME)
    x = min(tied, key=lambda x: off.get(x, np.inf) if exact else -known[x])
    low, high = _shared(sorted(known), tied, x)
    return (float(1 / x) if x > 0 else np.inf), min(most, 1.0), (low, high)


def _by_conditions(maxima: Maxima, known: dict[float, float]) -> dict[float, float]:
    """How far w is from being a maximum, by x = 1/p; ``known`` gets the fractions it has."""
    fine = 5 if maxima.rows.count * maxima.rows.size <= SMALL else 1
    grid = np.unique(np.concatenate([np.geomspace(FAR, 0.05, 8 * fine),
                                     np.linspace(0.05, 0.995, 40 * fine)]))
    conditions = Conditions(maxima.rows, maxima.w, maxima.margins)
    off = {0.0: END, 1.0: END}

    def left(x: float) -> float:
        off[x], low = conditions(1 / x)
        known[x] = max(known.get(x, -np.inf), low)
        return off[x]
    told = np.array([left(float(x)) for x in grid])
    for p in POWERS[1:-1]:
        left(1 / p)
    sides = np.concatenate([[np.inf], told, [np.inf]])
    lowest = [i for i in np.argsort(told) if told[i] <= min(sides[i], sides[i + 2])]
    for i in lowest[:fine + 1]:
        _lowest(left, grid[max(i - 1, 0)], grid[min(i + 1, grid.size - 1)], FINE)
    return off


def _shared(points: list[float], tied: list[float], x: float) -> tuple[float, float]:
    """The range of p around 1/x that share its fraction: outwards, as far as all that was tried."""
    i, ends = points.index(x), []
    for side in (points[i:], points[i::-1]):
        apart = next((k for k, v in enumerate(side) if v not in tied), len(side))
        ends.append(float(1 / side[apart - 1]) if side[apart - 1] > 0 else np.inf)
    return ends[0], ends[1]


def _searched(maxima: Maxima, known: dict[float, float], best: float) -> dict[float, float]:
    """What is known and found at x = 1/p nearer to the best listed one than to others."""
    listed, until = sorted(1 / float(p) for p in POWERS), process_time() + PATIENCE
    i = listed.index(best)
    low = (listed[max(i - 1, 0)] + best) / 2
    high = (listed[min(i + 1, len(listed) - 1)] + best) / 2
    found = {x: fraction for x, fraction in known.items() if low <= x <= high}

    def lost(x: float) -> float:
        if process_time() < until:
            found[x] = maxima(norms.lp(1 / x if x < 1 else 1.0), x)[0]
        return -found.get(x, -np.inf)
    _lowest(lost, max(low, FAR), high, TRIES)
    return found


def _lowest(function: Callable[[float], float], low: float, high: float, most: int) -> float:
    """A local minimum of a function of one variable between bounds, in at most so many values."""
    answer = foreign.ask("a search in one variable", "scipy.optimize.minimize_scalar", function,
                         bounds=(low, high), method="bounded",
                         options={"xatol": 1e-12, "maxiter": most})
    return float(answer.x)


def ill_scaled(problem: Problem, margin: float | None = None) -> list[Hypothesis]:
    """An open hypothesis where columns differ so in size that a run takes over 1e10 updates.

    With η at its bound 1/σ₁² the slowest direction of a quadratic loss moves by a factor e in
    (σ₁/σ_r)² updates, σ the singular values of X, of √c_n x_n with weights; towards a maximum ℓ2
    ``margin`` γ it takes (max ‖x_n‖/γ)². Silent where the geometry is not ℓ2.
    """
    # (no margin depends on weights)
    X = problem.even[0] if margin is None else problem.X
    geometry, columns = problem.method.geometry, _column_lengths(X)
    columns = columns[columns > 0]
    plain = geometry is None or geometry is norms.l2 or geometry is potentials.euclidean
    method, unlike = problem.method, columns.size and columns.max() >= UNLIKE * columns.min()
    moves = method.steepest or method.natural or method.dual
    if not (problem.model.linear and plain and moves and unlike):
        return []
    if margin is None and not problem.small:
        return []
    if margin is None:
        X = dense(X)
        sigma = foreign.ask("the singular values of X", "numpy.linalg.svd", X / np.abs(X).max(),
                            compute_uv=False)
        # the others are 0 but for rounding: there no w moves
        sigma = sigma[sigma > max(X.shape) * np.finfo(float).eps * sigma[0]]
        ratio = float(sigma[0]) / float(sigma[-1])
    else:
        ratio = _longest(X) / margin if margin > 0 else np.inf
    updates = ratio * ratio                               # (inf where `ratio ** 2` would raise)
    if not updates > LONG:
        return []
    return [Hypothesis("the columns of X are of about one size, so that a run can arrive", None,
                       f"their lengths go from {columns.min():.2g} to {columns.max():.2g}: the "
                       f"slowest direction takes about {updates:.0e} updates; columns divided by "
                       "their lengths, another geometry, may arrive")]


def _column_lengths(X: Matrix) -> np.ndarray:
    """‖·‖₂ (d,) of the columns of X."""
    if isinstance(X, np.ndarray):
        return lengths(X.T)
    return np.sqrt(np.asarray(X.multiply(X).sum(axis=0))).ravel()


def _longest(X: Matrix) -> float:
    """The largest ‖x_n‖₂."""
    return float((row_lengths(X) if isinstance(X, np.ndarray) else Rows(X).lengths).max())
