"""The least ‖w‖ subject to Sw = b or Sw ≥ b, for norms that know their proximal map: no cone
solver, and full accuracy.

The proximal point method w ← argmin ‖v‖ + ‖v − w‖²/2t over Sv = b, each step by Newton's method on
its dual, which is smooth in the multipliers: φ(μ) = ‖shrink(w + t Sᵀμ, t)‖²/2t − ⟨b, μ⟩ with ∇φ = S
shrink(·) − b (Rockafellar 1976; Li, Sun, Toh 2018). Nothing here is a proof: who calls makes that,
from (w, μ) alone.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length, row_lengths

__all__ = ["Shrink", "Slope", "blockwise", "least", "quotients"]

# rows (k, d) → their products with the derivative of v
Slope = Callable[[np.ndarray], np.ndarray]
Shrink = Callable[[np.ndarray, float], tuple[np.ndarray, Slope]]
EPS = float(np.finfo(float).eps)
TINY = 1e-300         # over what underflow can lose
# Newton steps until t is thought too large, beside those that it takes for rows to join
NEWTONS = 25
JOINING = 10          # rows that may join those with multipliers in one of them


def least(S: np.ndarray, b: np.ndarray, shrink: Shrink, equal: bool = True,
          start: tuple[np.ndarray, np.ndarray] | None = None
          ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield better and better w (d,), and multipliers μ (k,) of Sw = b, or of Sw ≥ b (then μ ≥ 0),
    from 0 on, or from a w and μ with ‖Sᵀμ‖⋆ = 1 that are nearly the answer.

    Any gauge that is positively homogeneous may stand for the norm: all that is asked is ``shrink``
    as in `Norm`.
    """
    lengths = row_lengths(S)
    S, b = S / lengths[:, None], b / lengths
    size = length(b)
    if not 0 < size < np.inf:
        return
    # a norm is homogeneous, so that b may be of length one, as the tolerances below suppose
    problem = _Problem(S, b / size, shrink, -np.inf if equal else 0.0)
    w, mu, t = np.zeros(S.shape[1]), np.zeros(len(S)), 1.0
    if start is not None:
        w, mu = start[0] / size, start[1] * lengths
        t = float(np.linalg.norm(w)) / max(float(np.linalg.norm(mu @ S)), TINY)
    threads = foreign.library("threadpoolctl").ThreadpoolController()
    for _ in range(40):
        # on small matrices threads stand in each other's way
        try:
            with foreign.guarded("a step of the proximal map"), \
                threads.limit(limits=1, user_api="blas"):
                v, mu, newtons = problem.step(w, mu, t)
        except foreign.Unsolved:
            return
        moved, far, pull = (float(np.linalg.norm(x)) for x in (v - w, v, mu @ S))
        if not np.isfinite(moved + far + pull):
            return
        w = v
        with np.errstate(all="ignore"):
            found = w * size, mu / lengths
        yield found
        if moved <= 8 * EPS * (far + t * pull) or t < 1e-3:
            return
        if newtons == problem.most:
            # a longer step is a harder problem for Newton, a shorter one comes less far: t follows
            # what Newton's method makes of it
            t /= 4
        elif newtons <= problem.most / 2 and pull > 0:
            t = min(4 * t, max(t, 1e4 * far / pull))


class _Problem:
    """Rows S of length one, b of length one, the norm's ``shrink``, and the lowest value of
    multipliers.
    """

    def __init__(self, S: np.ndarray, b: np.ndarray, shrink: Shrink, lowest: float) -> None:
        self.S, self.b, self.shrink, self.lowest = S, b, shrink, lowest
        # as many rows as there are unknowns may be needed
        self.most = NEWTONS + min(S.shape) // JOINING

    def step(self, w: np.ndarray, mu: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray, int]:
        """One proximal step: v, its multipliers, and how many Newton steps it took."""
        v, slope = self.shrink(w + t * (mu @ self.S), t)
        for newtons in range(self.most):
            error = self.b - self.S @ v
            # multipliers at their bound that the gradient pushes further out stay there
            free = (mu > self.lowest) | (error > 0)
            off = float(np.linalg.norm(error[free]))
            enough = 0.01 * min(float(np.linalg.norm(v - w)), 1.0) if newtons else 0.0
            if off <= max(enough, 2 * EPS * float(np.linalg.norm(w + t * (mu @ self.S)))):
                return v, mu, newtons
            # of many rows that w falls short of few have a say in the end: the worst join first
            short = np.flatnonzero(free & (mu <= self.lowest))
            free[short[np.argsort(-error[short])[JOINING:]]] = False
            rows = self.S[free]
            hessian = slope(rows) @ rows.T
            # φ is once differentiable and its Hessian may be singular: a ridge that goes with the
            # error keeps Newton's rate (Li, Sun, Toh 2018)
            hessian[np.diag_indices(len(rows))] += (1e-15 + 1e-2 * min(1e-3, off)) \
                * (np.trace(hessian) / len(rows) or 1.0)
            move = np.zeros_like(mu)
            move[free] = foreign.ask("a step of the proximal map", "numpy.linalg.solve", hessian,
                                     error[free]) / t
            value, a = v @ v / (2 * t) - self.b @ mu, 1.0
            # Armijo's rule, on what of the move keeps μ in bounds
            while a > 1e-6:
                nearer = np.maximum(mu + a * move, self.lowest)
                v, slope = self.shrink(w + t * (nearer @ self.S), t)
                fall = 1e-4 * (error @ (nearer - mu)) - EPS * abs(value)
                if v @ v / (2 * t) - self.b @ nearer <= value - fall:
                    break
                a /= 2
            mu = nearer
        return v, mu, self.most


def quotients(x: np.ndarray, y: np.ndarray, t: float) -> np.ndarray:
    """(f(x_i) − f(y_j))/(x_i − y_j) for f(x) = max(x − t, 0), and f' where they meet."""
    apart = x[:, None] - y
    # nearer than that the quotient is rounding over rounding
    meet = np.abs(apart) <= 1e-12 * float(np.abs(x).max())
    rise = np.maximum(x - t, 0.0)[:, None] - np.maximum(y - t, 0.0)
    return np.where(meet, (x > t)[:, None], rise / np.where(meet, 1.0, apart))


def blockwise(weights: np.ndarray, owner: np.ndarray, basis: np.ndarray | None = None) -> Shrink:
    """The ``shrink`` of Σ_g weights_g ‖(B w)_g‖₂ where entry i of Bw belongs to block owner_i, B
    (d, d) orthogonal.
    """
    blocks = np.eye(len(weights))[owner]

    def shrink(x: np.ndarray, t: float) -> tuple[np.ndarray, Slope]:
        y = x if basis is None else basis @ x
        sizes = np.sqrt(y ** 2 @ blocks)
        cut = np.minimum(t * weights, sizes)
        with np.errstate(invalid="ignore"):
            # a block that is 0 has no direction, and is lost whole
            unit, lost = np.nan_to_num(y / sizes[owner]), np.nan_to_num(cut / sizes, nan=1.0)

        def slope(rows: np.ndarray) -> np.ndarray:
            h = rows if basis is None else rows @ basis.T
            along = (h * unit) @ (blocks * (lost < 1)) @ blocks.T
            h = h * (1 - lost)[owner] + lost[owner] * unit * along
            return np.asarray(h if basis is None else h @ basis)
        v = (1 - lost)[owner] * y
        return v if basis is None else v @ basis, slope
    return shrink
