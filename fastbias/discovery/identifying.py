"""Which potential, or which norm, does an optimiser follow? From its limits alone."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.shown import Report, Shown, Table
from fastbias.checks.sizes import ratio
from fastbias.discovery.links import FAMILIES, Fit, Sample, fitted, linear, spline

__all__ = ["Identity", "identify"]

MET = 1e-6            # what Xw = y may be off by, relative, for w to be a solution
TIGHT = 1e-4          # margins within so much of the least are of support vectors
# what a family may leave unexplained, or a hundred times what Xw = y is off by
NAMED = 1e-7
LINK = 1e-5           # what a spline may, of problems that it has not seen
# what a norm may leave of directions, which runs tell less exactly than points
SIDES = 1e-5
FEW = 6               # equations without which nothing is said
Problem = tuple[ArrayLike, ArrayLike]


@dataclass(frozen=True, eq=False, repr=False)
class Identity(Shown):
    """What limits say of the potential or norm behind them.

    Parameters
    ----------
    name : str
        Of points "euclidean", "entropy", "cosh", "power", "hypentropy", "squared_lp", "quadratic",
        "link" (an increasing one of no family), or "none"; of directions "l1", "l2", "linf", "lp",
        "quadratic", or "none".
    parameter : float, (d, d) array or None
        p, β, or D of trace d, where there is one.
    residual : float
        What it leaves unexplained, relative; of "none" the least of all.
    residuals : dict of str to float
        That of all that were tried.
    link : callable, or None
        φ = ψ' of an array, entry by entry, up to a factor (and with given starts a constant).
    ties : tuple of str
        All names that explain the limits, the simplest first: at the default start "power" and
        "squared_lp" have the same limits.
    """

    name: str
    parameter: float | np.ndarray | None
    residual: float
    residuals: dict[str, float]
    link: Callable[[np.ndarray], np.ndarray] | None = None
    ties: tuple[str, ...] = ()

    def _report(self) -> Report:
        told = f"{self.name}({self.parameter:.10g})" if isinstance(self.parameter, float) \
            else self.name
        return [f"these limits follow: {told}",
                Table([(name, f"{r:.1e}") for name, r in self.residuals.items()],
                      ("", "left unexplained"))]


def identify(problems: Sequence[Problem], limits: Sequence[ArrayLike],
             starts: Sequence[ArrayLike] | ArrayLike | None = None) -> Identity:
    """Name the potential or norm that limits follow, with its parameter; or none.

    Points (Xw = y): φ(w) − φ(w₀) must lie in the row space of X, for one link φ and all problems.
    Directions (labels): the subgradient of the norm at w must be Z_Sᵀλ, λ ≥ 0, over the support
    vectors. Parameters are fitted to all problems at once; a matrix D and a link of no family are
    judged on problems that they were not fitted to.

    Parameters
    ----------
    problems : sequence of (X (N, d), y (N,))
        Some twenty or more, of fewer equations than unknowns, all of one d; all of points or all of
        directions.
    limits : sequence of (d,) array-likes
        Where the optimiser ended on each, as exactly as can be had: the parameter is known to
        about as many digits. Directions may have any length.
    starts : sequence of (d,) array-likes, or one for all, optional
        w₀, of points. Default: the argmin of the potential, whichever that is.

    Returns
    -------
    Identity

    Raises
    ------
    ValueError, TypeError
        Where arguments are bad, the limits are no solutions, or the problems leave no choice.

    Notes
    -----
    Gunasekar et al. 2018, Theorem 1 (points) and 5 (directions).

    Examples
    --------
    >>> import fastbias as fb
    >>> rng = np.random.default_rng(0)
    >>> problems = [(X := rng.normal(size=(2, 4)) / 4, X @ rng.normal(size=4)) for _ in range(20)]
    >>> method = fb.methods.mirror_descent(fb.potentials.hypentropy(0.3), 0.1)
    >>> limits = [fb.run(X, y, loss="squared", method=method, steps=10 ** 6, until=-60).w[-1]
    ...           for X, y in problems]
    >>> seen = fb.identify(problems, limits)
    >>> seen.name, round(seen.parameter, 9)
    ('hypentropy', 0.3)
    """
    data, w = _checked(problems, limits)
    # relative to what the equations are made of
    off = max(ratio(float(np.abs(X @ x - y).max()),
                    float((np.abs(y) + np.abs(X) @ np.abs(x)).max()))
              for (X, y), x in zip(data, w, strict=True))
    if off <= MET:
        return _potential(_points(data, w, _starts(starts, w)), max(NAMED, 100 * off))
    sides = [y[:, None] * X for X, y in data]
    if not all(set(np.unique(y)) <= {-1.0, 1.0} and (Z @ x).min() > 0
               for (_, y), Z, x in zip(data, sides, w, strict=True)):
        raise ValueError(f"limits must solve Xw = y within {MET:g}, or separate labels -1 and 1, "
                         f"got some that are off by {off:.1e}")
    return _norm(sides, w)


def _checked(problems: Sequence[Problem], limits: Sequence[ArrayLike]) \
        -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
    """Arrays of fitting shapes."""
    _listed("problems", problems)
    _listed("limits", limits)
    if len(problems) != len(limits) or not len(problems):
        raise ValueError("limits must be as many as problems, and one at least, got "
                         f"{len(limits)} of {len(problems)}")
    data: list[tuple[np.ndarray, np.ndarray]] = []
    points: list[np.ndarray] = []
    for problem, limit in zip(problems, limits, strict=True):
        if not isinstance(problem, Sequence) or len(problem) != 2:
            raise TypeError(f"problems must be pairs (X, y), got {checks.short(problem)}")
        X = checks.array("X of a problem", problem[0], "an (N, d) array", dims=2)
        y = checks.array("y of a problem", problem[1], "an (N,) array", dims=1, length=len(X))
        d = len(points[0]) if points else X.shape[1]
        if X.shape[1] != d:
            raise ValueError(f"problems must all have {d} columns, got {X.shape[1]}")
        data.append((X, y))
        points.append(checks.array("a limit", limit, "a (d,) array", dims=1, length=d))
    return data, points


def _listed(label: str, value: object) -> None:
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
        raise TypeError(f"{label} must be a sequence, got {checks.short(value)}")


def _starts(starts: Sequence[ArrayLike] | ArrayLike | None,
            w: list[np.ndarray]) -> list[np.ndarray | None]:
    """A start a problem."""
    if starts is None:
        return [None] * len(w)
    given = checks.array("starts", starts, "a (d,) or (K, d) array", dims=(1, 2))
    given = np.broadcast_to(given, (len(w), given.shape[-1])) if given.ndim == 1 else given
    if given.shape != (len(w), len(w[0])):
        raise ValueError(f"starts must have the shape ({len(w)}, {len(w[0])}) of the limits, got "
                         f"{given.shape}")
    return list(given)


def _null(V: np.ndarray) -> np.ndarray:
    """Rows that span what is across the rows of V."""
    _, values, Vt = np.linalg.svd(V)
    rank = int((values > 1e-10 * values[0]).sum()) if values.size and values[0] > 0 else 0
    return Vt[rank:]


def _points(data: list[tuple[np.ndarray, np.ndarray]], w: list[np.ndarray],
            starts: list[np.ndarray | None]) -> list[Sample]:
    found = [Sample(x, start, _null(X), X)
             for (X, _), x, start in zip(data, w, starts, strict=True)]
    return _enough([s for s in found if len(s.off) and (
        s.w.any() if s.start is None else (s.w != s.start).any())])


def _enough(samples: list[Sample]) -> list[Sample]:
    equations = sum(len(s.off) for s in samples)
    if equations < FEW:
        raise ValueError(f"problems must leave {FEW} directions free together, to tell potentials "
                         f"and norms apart, got {equations}")
    return samples


def _potential(samples: list[Sample], named: float) -> Identity:
    """The simplest family that explains the points, else a matrix, else a spline, else none."""
    fits = [fit for family in FAMILIES if (fit := fitted(samples, family)) is not None]
    good = [fit for fit in fits if fit.residual <= named]
    if not good:
        for other in (linear, spline):
            fit = other(samples)
            if fit is not None:
                fits.append(fit)
                if fit.residual <= (named if fit.name == "quadratic" else LINK):
                    good = [fit]
                    break
    return _told(fits, good)


def _told(fits: list[Fit], good: list[Fit]) -> Identity:
    residuals = {fit.name: fit.residual for fit in fits}
    if not good:
        return Identity("none", None, min(residuals.values(), default=np.inf), residuals)
    best = good[0]
    return Identity(best.name, best.parameter, best.residual, residuals, best.link,
                    tuple(fit.name for fit in good))


def _norm(sides: list[np.ndarray], w: list[np.ndarray]) -> Identity:
    """The norm whose maximum margin all directions have."""
    samples = [_supported(Z, x) for Z, x in zip(sides, w, strict=True)]
    _enough([s for s in samples if len(s.off)])
    smooth = [fit for family in FAMILIES if family.homogeneous
              and (fit := fitted(samples, family)) is not None]
    names = {"euclidean": "l2", "power": "lp"}
    fits = [fit._replace(name=names[fit.name], residual=max(fit.residual, _pushed(samples, fit)))
            for fit in smooth]
    fits += [Fit(name, None, max(_corner(s, name == "linf") for s in samples), lambda w: w)
             for name in ("l1", "linf")]
    # the simplest first: one without a parameter
    good = sorted((fit for fit in fits if fit.residual <= SIDES),
                  key=lambda fit: isinstance(fit.parameter, float))
    if not good and (fit := linear(samples)) is not None:
        fit = fit._replace(residual=max(fit.residual, _pushed(samples, fit)))
        fits.append(fit)
        good = [fit] if fit.residual <= SIDES else []
    found = _told(fits, good)
    return Identity(found.name, found.parameter, found.residual, found.residuals, None, found.ties)


def _supported(Z: np.ndarray, x: np.ndarray) -> Sample:
    """A direction and its support vectors."""
    m = Z @ x
    S = Z[m <= m.min() * (1 + TIGHT)]
    return Sample(x / np.linalg.norm(x), None, _null(S), S)


def _pushed(samples: Sequence[Sample], fit: Fit) -> float:
    """What φ(w) = Z_Sᵀλ leaves with λ ≥ 0, at most."""
    worst = 0.0
    for s in samples:
        z = fit.link(s.w)
        with np.errstate(all="ignore"):
            z = z / np.linalg.norm(z)
        if not np.isfinite(z).all():
            return np.inf
        _, rest = foreign.ask("the multipliers", "scipy.optimize.nnls", s.rows.T, z)
        worst = max(worst, float(rest))
    return worst


def _corner(s: Sample, largest: bool) -> float:
    """What Z_Sᵀλ, λ ≥ 0, leaves of the subgradients of ℓ1, or ℓ∞, at w, by linear programming."""
    w, (n, d) = s.w, s.rows.shape
    near = 1e-5 * np.abs(w).max()
    sign, free = np.sign(w), np.abs(w) <= near
    edge = np.abs(w) >= np.abs(w).max() - near
    # variables λ (n,), t ≥ 0: |Z_Sᵀλ − g| ≤ t
    V = s.rows.T
    # rows of the program, for each entry of the subgradient
    A, b = [], []
    for j in range(d):
        if largest:
            # g_j is 0 off the largest entries, and has their sign there; Σ|g| = 1
            bounds = [(V[j], 0.0), (-V[j], 0.0)] if not edge[j] else [(-sign[j] * V[j], 0.0)]
        else:
            low, high = (-1.0, 1.0) if free[j] else (sign[j], sign[j])
            bounds = [(V[j], high), (-V[j], -low)]
        for row, right in bounds:
            A.append(np.append(row, -1.0))
            b.append(right)
    equal = None if not largest else np.append((sign * edge) @ s.rows.T, 0.0)[None]
    found = foreign.ask("the multipliers", "scipy.optimize.linprog", np.append(np.zeros(n), 1.0),
                        A_ub=np.array(A), b_ub=np.array(b), A_eq=equal,
                        b_eq=None if equal is None else [1.0], bounds=(0, None), method="highs")
    return float(found.x[-1]) if found.status == 0 else np.inf
