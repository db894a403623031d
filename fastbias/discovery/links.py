"""Links φ = ψ' that a limit may follow, each with what it leaves unexplained.

Theorem 1 says φ(w) − φ(w₀) = Xᵀν for the limit w of mirror descent. So what φ(w) − φ(w₀) has off
the row space of X is 0 for the true link, for every problem at once, and an equation for its
parameter. Of margins, φ(w) = Z_Sᵀλ with λ ≥ 0 over the support vectors.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length

__all__ = ["FAMILIES", "Family", "Fit", "Sample", "fitted", "linear", "spline"]

HUGE = 1e3            # values of a link beyond which a parameter is no candidate
BLOCKS = (6, 10, 16, 24, 36, 54)      # of splines, from coarse to fine
HALF = 2              # every so many problems are held out, to be predicted


@dataclass(frozen=True, eq=False)
class Sample:
    """One limit: w (d,), where it began (None: where the link is 0), and N (d − n, d) with N V = 0
    for the rows V that φ(w) − φ(w₀) is made of.
    """

    w: np.ndarray
    start: np.ndarray | None
    off: np.ndarray
    rows: np.ndarray


class Fit(NamedTuple):
    """A link with its parameter, and what it leaves unexplained, relative; of a link of no family
    the function itself.
    """

    name: str
    parameter: float | np.ndarray | None
    residual: float
    link: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Family:
    """φ(w; p) for p > 0 with a grid of parameters to begin at; none where there is no parameter."""

    name: str
    link: Callable[[np.ndarray, float], np.ndarray]
    grid: tuple[float, ...] = ()
    positive: bool = False
    # whether φ(aw) is a multiple of φ(w), which a direction asks for
    homogeneous: bool = False
    shift: float = 0.0


def _power(w: np.ndarray, p: float) -> np.ndarray:
    return np.sign(w) * np.abs(w) ** p


def _squared_norm(w: np.ndarray, p: float) -> np.ndarray:
    """∇ ½‖w‖_q² with q = p + 1."""
    size = float((np.abs(w) ** (p + 1)).sum()) ** (1 / (p + 1))
    return _power(w, p) * size ** (1 - p) if size > 0 else np.zeros_like(w)


_EXPONENTS = tuple(np.geomspace(0.05, 8.0, 25).tolist())
_SCALES = tuple(np.geomspace(1e-4, 1e2, 25).tolist())
FAMILIES = (
    Family("euclidean", lambda w, p: w, homogeneous=True),
    Family("entropy", lambda w, p: np.log(w), positive=True),
    Family("cosh", lambda w, p: np.sinh(w)),
    Family("power", _power, _EXPONENTS, homogeneous=True, shift=1.0),
    Family("hypentropy", lambda w, p: np.arcsinh(w / p), _SCALES),
    Family("squared_lp", _squared_norm, _EXPONENTS, shift=1.0),
)


def _residuals(samples: Sequence[Sample], link: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What φ(w) − φ(w₀) has off the rows, each in units of its own length."""
    found = []
    with np.errstate(all="ignore"):
        for s in samples:
            z = link(s.w) - (0.0 if s.start is None else link(s.start))
            size = length(z)
            # where nothing moved nothing is said
            found.append(s.off @ (z / size) if 0 < size < np.inf else np.full(len(s.off), np.nan))
    return np.concatenate(found)


def left(samples: Sequence[Sample], link: Callable[[np.ndarray], np.ndarray]) -> float:
    """The root mean square of what a link leaves, 1 at most; infinite where it is not defined."""
    r = _residuals(samples, link)
    return float(np.sqrt(np.mean(r ** 2))) if np.isfinite(r).all() else np.inf


def fitted(samples: Sequence[Sample], family: Family) -> Fit | None:
    """The family's best link; None where it is not defined at these limits."""
    if family.positive and any((s.w <= 0).any() or (s.start is not None and (s.start <= 0).any())
                               for s in samples):
        return None
    def at_parameter(p: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda w: family.link(w, p)

    if not family.grid:
        link = at_parameter(1.0)
        return Fit(family.name, None, left(samples, link), link)
    tried = [left(samples, at_parameter(p)) for p in family.grid]
    best = int(np.argmin(tried))
    if not np.isfinite(tried[best]):
        return None

    def at(log_p: np.ndarray) -> np.ndarray:
        return np.nan_to_num(_residuals(samples, at_parameter(float(np.exp(log_p[0])))), nan=HUGE)

    found = foreign.ask(f"the parameter of {family.name}", "scipy.optimize.least_squares", at,
                        [np.log(family.grid[best])], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    p = float(np.exp(found.x[0]))
    link = at_parameter(p)
    return Fit(family.name, p + family.shift, left(samples, link), link)


def _halves(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Those to be fitted to, and those that are held out."""
    return ([s for i, s in enumerate(samples) if i % HALF],
            [s for i, s in enumerate(samples) if not i % HALF])


def linear(samples: Sequence[Sample]) -> Fit | None:
    """∇ψ(w) = Dw, with D a positive definite matrix of trace d; None where too few problems say
    which.
    """
    d = samples[0].w.size
    upper = [(i, j) for i in range(d) for j in range(i, d)]
    # (of one problem alone there is nothing to be held out)
    train = _halves(samples)[0] or list(samples)
    if sum(len(s.off) for s in train) < len(upper) + d:
        return None

    # fitted on one half, judged on the other, then fitted on all
    D = _matrix(_linear_equations(train, upper), upper, d)
    if D is None:
        return None
    residual = left(_halves(samples)[1], lambda w: D @ w)
    both = _matrix(_linear_equations(samples, upper), upper, d)
    D = D if both is None else both
    return Fit("quadratic", D, max(residual, left(samples, lambda w: D @ w)), lambda w: D @ w)


def _linear_equations(samples: Sequence[Sample], upper: list[tuple[int, int]]) -> np.ndarray:
    """What D(w − w₀) has off the rows, linear in the entries of D on and above the diagonal."""
    blocks = []
    for s in samples:
        w = s.w - (0.0 if s.start is None else s.start)
        w = w / length(w)
        columns = [s.off[:, i] * w[j] + (s.off[:, j] * w[i] if i != j else 0.0) for i, j in upper]
        blocks.append(np.array(columns).T)
    return np.vstack(blocks)


def _matrix(A: np.ndarray, upper: list[tuple[int, int]], d: int) -> np.ndarray | None:
    """The symmetric D that A takes nearest to 0; None where that is not one, or not positive."""
    # (there are more rows than columns, whose own vectors nobody asks for)
    values, vectors = np.linalg.svd(A, full_matrices=False)[1:]
    D = np.zeros((d, d))
    # the last singular vector is taken nearest to 0
    for (i, j), x in zip(upper, vectors[-1], strict=True):
        D[i, j] = D[j, i] = x
    if np.trace(D) == 0 or values[-2] < 1e-8 * values[0]:
        return None
    D *= d / np.trace(D)
    return D if np.linalg.eigvalsh(D)[0] > 0 else None


def spline(samples: Sequence[Sample]) -> Fit | None:
    """An increasing link of no family, the same for each entry, as a cubic spline.

    It is fitted on one half of the problems and judged by what it leaves of the others.
    """
    interpolate = foreign.library("scipy.interpolate")
    train, test = _halves(samples)
    at = np.concatenate([s.w for s in samples] + [s.start for s in samples if s.start is not None])
    low, high = float(at.min()), float(at.max())
    # (of a link at one point nothing is known)
    if low == high:
        return None
    equations = sum(len(s.off) for s in train)
    best: Fit | None = None
    for blocks in BLOCKS:
        # knots where the limits are; a third of the equations must be left over
        inner = np.unique(np.quantile(at, np.linspace(0, 1, blocks + 1)[1:-1]))
        knots = np.r_[[low] * 4, inner[(inner > low) & (inner < high)], [high] * 4]
        size = len(knots) - 4
        if 1.5 * size > equations:
            break
        link = _smallest(train, knots, size, interpolate)
        grid = link(np.linspace(low, high, 4 * blocks))
        rising = bool((np.diff(grid) > -1e-9 * np.ptp(grid)).all())
        found = Fit("link", None, left(test, link), link)
        if rising and (best is None or found.residual < best.residual):
            best = found
    return best


def _smallest(samples: Sequence[Sample], knots: np.ndarray, size: int,
              interpolate: object) -> Callable[[np.ndarray], np.ndarray]:
    """The spline on these knots that leaves least, of a mean slope of 1."""
    design = interpolate.BSpline.design_matrix               # type: ignore[attr-defined]
    rows = []
    for s in samples:
        B = design(s.w, knots, 3).toarray()
        if s.start is not None:
            B = B - design(s.start, knots, 3).toarray()
        rows.append(s.off @ B)
    A = np.vstack(rows)
    if any(s.start is not None for s in samples):
        # a constant is no link, and leaves nothing: taken out
        A = np.vstack([A, np.full(size, np.abs(A).max())])
    # again what is taken nearest to 0, then of a mean slope of one
    c = np.linalg.svd(A, full_matrices=False)[2][-1]
    spread = float(knots[-1] - knots[0])
    c = c * (spread / (c[-1] - c[0])) if c[-1] != c[0] else c
    spl = interpolate.BSpline(knots, c, 3)                   # type: ignore[attr-defined]
    return lambda w: np.asarray(spl(w))
