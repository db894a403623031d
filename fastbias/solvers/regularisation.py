"""Explicit regularisation, to hold implicit bias against: the path ŵ(c) over balls, §3.2."""
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import above, own
from fastbias.checks.shown import Report, Shown, Table, series, vector
from fastbias.checks.sizes import lengths, worst
from fastbias.data.rows import signed
from fastbias.pieces import norms
from fastbias.pieces.laws import demand
from fastbias.pieces.losses import Loss
from fastbias.pieces.norms import Norm
from fastbias.problem import Data, gather
from fastbias.solvers.balls import MANY, End, Objective, ball
from fastbias.solvers.equations import Unreachable
from fastbias.solvers.margins import separate, widest
from fastbias.solvers.minimum_norm import minimum_norm
from fastbias.solvers.oracles import demand_convex

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BallPath", "Walk", "path_norm", "regularisation_path"]

LEVEL = 1e-12        # of log L, or of a radius, at which a ball has the loss that was asked for
ROUNDS = 100         # of Newton's method on the radius, which halves where that leads out


@dataclass(frozen=True, eq=False, repr=False)
class BallPath(Shown):
    """The minimisers ŵ(c) of a loss over balls ‖w‖ ≤ c, each with how far from optimal it can be.

    Parameters
    ----------
    radii : (K,)
        c, rising.
    w : (K, d), (K, m, n) or (K, C, d)
        ŵ(c).
    log_loss : (K,)
        log L(ŵ(c)).
    residuals : (K,)
        (L(ŵ) − min L)/L(ŵ) is at most this for a convex loss: c ‖∇L‖⋆ + ⟨∇L, ŵ⟩ over L, the
        Frank–Wolfe gap; and with an intercept |∂L/∂b| (1 + |b|) over L beside it, so that the
        minimum is that over b no further off than 1 + |b|.
    classes : (2,) or (K,) array, or None
        The labels as they were given, sorted: which is −1 and which +1, or the classes in order.
    intercept : (K,), or (K, C) with outputs or classes, whose mean is then 0, or 0.0
        b, added to each prediction; 0.0 without.
    names : tuple of str, or None
        What the columns of X were called.
    """

    radii: np.ndarray
    w: np.ndarray
    log_loss: np.ndarray
    residuals: np.ndarray
    classes: np.ndarray | None = None
    intercept: float | np.ndarray = 0.0
    names: tuple[str, ...] | None = None

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the entries of w along the path.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure's where it is not given.
        """
        return above.picture(self, ax)

    def _report(self) -> Report:
        sizes = lengths(self.w.reshape(len(self.w), -1))
        return [f"minimisers of a loss over {self.radii.size} balls",
                Table([series("radius", self.radii), series("log L", self.log_loss),
                       series("‖w‖₂", sizes), series("residual", self.residuals)],
                      ("", "first", "last", "one by one")),
                *(vector("w in the last ball", self.w[-1], self.names, self.classes)
                  if len(self.w) else []),
                f"largest residual {worst(self.residuals):.1e}", *checks.mapping(self.classes)]


def regularisation_path(X: ArrayLike | checks.Sparse, y: ArrayLike, radii: ArrayLike,
                        norm: Norm | str = norms.l2, loss: Loss | str = "exponential", *,
                        weights: ArrayLike | None = None, intercept: bool = False) -> BallPath:
    """The regularisation path of §3.2: ŵ(c) = argmin L(w) subject to ‖w‖ ≤ c, at chosen radii.

    On separable data ŵ(c)/c tends to the maximum margin in that norm as c → ∞ (Rosset, Zhu, Hastie
    2004), the direction that steepest descent in the norm goes to (Theorem 5), though the two paths
    differ on the way. Newton's method on log L over the ball, in ℓ2 by the model's eigenvectors,
    else by the norm's convex face; loss and gradient in the log domain, so c may be large. Where a
    step fails the best point stays, and its residual tells. A loss with a finite root is 0 once a
    ball holds a solution of Xw = y.

    Parameters
    ----------
    X : (N, d) or (N, m, n), or sparse (N, d) of `scipy.sparse`; y : (N,), or (N, K) for K outputs
        Sparse X stays so; of more than 1000 features it wants ℓ1, or ℓ2 and fewer rows than
        features.
    radii : (K,) > 0
    norm : Norm or its name, default l2
    loss : Loss or its name, default exponential
        Differentiable; convex for the residuals to be a certificate.
    weights : (N,) ≥ 0, optional
        c_n of L = Σ c_n ℓ_n; all 1 by default. A sample of weight 0 is left out.
    intercept : bool, default False
        Whether a number b, which the norm does not see, is added to each prediction; one for each
        class with the cross-entropy, or output.

    Returns
    -------
    BallPath

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad, or where all labels are the same and there is an intercept.

    Examples
    --------
    >>> import fastbias as fb
    >>> path = fb.regularisation_path([[2, 1], [1, 2]], [1, 1], [1, 10, 100])
    >>> print((path.w[-1] / 100).round(6), bool(path.residuals.max() < 1e-6))
    [0.707107 0.707107] True
    >>> path = fb.regularisation_path([[3], [5], [0]], [1, 1, -1], [10], intercept=True)
    >>> print(path.w.round(6), path.intercept.round(6))
    [[10.]] [-15.]
    """
    free = checks.flag("intercept", intercept)
    data = gather(X, y, loss, weights=weights)
    norm = path_norm(norm, data)
    if free and data.loss.kind == "monotone" and (data.y == data.y[0]).all():
        raise ValueError("labels must have two values or more for an intercept, as the loss of one "
                         "alone has no minimum")
    grid = np.sort(checks.steps("radii", radii, above=0))
    path = Walk(data, norm, free)
    points, logs, gaps = zip(*map(path.end, map(float, grid)), strict=True)
    rows, n = np.array(points), data.size
    # (of classes only differences of intercepts matter)
    b = rows[:, n:] - rows[:, n:].mean(axis=1, keepdims=True) if free and data.loss.classes \
        else rows[:, n:] if data.columns else rows[:, n:].ravel()
    return BallPath(grid, rows[:, :n].reshape(-1, *data.shape), np.array(logs), np.array(gaps),
                    data.classes, b if free else 0.0, own.names(X))


def path_norm(norm: Norm | str, data: Data) -> Norm:
    """The norm, checked: one in which the data have a regularisation path."""
    norm = checks.one_of("norm", norm, norms, Norm)
    norm.fits(data.shape)
    demand("norm", norm)
    demand("loss", data.loss)
    demand_convex(norm, "for its regularisation path")
    return norm


class Walk:
    """The minimisers over balls of a norm, one after another, each from the last."""

    def __init__(self, data: Data, norm: Norm, free: bool = False) -> None:
        self.norm, self.size = norm, data.size
        self.objective = Objective(data, free)
        self.least, self.direction = ball(self.objective, norm), _direction(data, norm, free)
        self.root = _interpolation(data, norm, free)
        self.reach = np.inf if self.root is None else float(norm(self.root[:data.size]))
        self.u = np.zeros(self.objective.size)

    def end(self, c: float) -> End:
        """The minimiser over the ball of radius c, log L there, and its gap."""
        # L = 0 there, to rounding: no logarithm to go by
        end = ((self.root, self.objective.pull(self.root)[0], 0.0)
               if self.root is not None and self.reach <= c
               else self.least(self.u, self.direction, c))
        self.u = end[0]
        return end

    def level(self, log_loss: float, most: float) -> End | None:
        """The minimiser over the ball over which log L is at least so much, a ball of at most
        radius ``most``; None where log L(0) is less.

        By Newton's method on the radius c: d log L(ŵ(c))/dc = −‖∇ log L‖⋆, as L rises by what the
        ball forbids.
        """
        start = np.zeros(self.objective.size)
        value = self.objective.pull(start)[0]
        # L = 0 is the root's alone
        if not np.isfinite(log_loss):
            return self.end(self.reach) if self.reach < np.inf else None
        error = LEVEL * max(1.0, abs(log_loss))
        if not value > log_loss + error:
            return (start, value, 0.0) if value >= log_loss - error else None
        low, high, c = 0.0, min(most, self.reach), float(self.norm(self.u[:self.size]))
        found = None
        for _ in range(ROUNDS):
            value, g = self.objective.pull(self.u)
            low, high = (max(low, c), high) if value > log_loss else (low, min(high, c))
            if found is not None and (abs(value - log_loss) <= error
                                      or high - low <= LEVEL * high):
                break
            slope = float(self.norm.dual(g[:self.size]))
            c = c + (value - log_loss) / slope if slope > 0 else np.inf
            # (the first goes by a slope that L may soon lose)
            if not low < c < high:
                c = high if found is None else 0.5 * (low + high)
            found = self.end(c)
        return found


def _direction(data: Data, norm: Norm, free: bool) -> np.ndarray:
    """Where the path of a monotone loss goes on separable data: the maximum margin; 0 else."""
    size = data.size + free * data.outputs
    # (among so many unknowns, by other ways, it is no start)
    if data.loss.kind == "monotone" and size <= MANY:
        with suppress(ArithmeticError):                      # too near to call
            rows = signed(data.X, data.y, data.outputs, free)
            told = separate(rows)
            if told.w is not None:
                found = widest(rows, data.shape, norm, told)
                return np.append(found.w, np.atleast_1d(found.intercept)[:size - data.size])
    return np.zeros(size)


def _interpolation(data: Data, norm: Norm, free: bool) -> np.ndarray | None:
    """The (w, b) of least norm with Xw + b = y, where L = 0 for a loss with a finite root, or
    None.
    """
    if data.loss.kind != "monotone":
        with suppress(Unreachable, ArithmeticError):
            found = minimum_norm(data.X, data.targets, norm, intercept=free)
            return np.append(found.w, np.atleast_1d(found.intercept)[:data.outputs * free])
    return None
