"""What interior-point methods for margins share: the loop, and the equations of a step.

The rows S of a problem may be sparse (`scipy.sparse`): what is made dense is a square matrix of as
many rows as there are samples or features, whichever are fewer.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Matrix

__all__ = ["LOST", "SHORT", "Saddle", "System", "followed", "reach"]

State = TypeVar("State")
Own = TypeVar("Own", covariant=True)

LOST = 1e-3              # the error at which a problem is given up
NEWTONS, STUCK = 60, 8   # steps of a problem, and how many of them may better nothing
RIDGE = 1e-14            # by which the diagonal of a matrix is larger, where it is corrected
SHORT = 1e-4             # part of a step under which rounding decides


class System(Protocol[Own]):
    """The equations at a state, and how far from solved they are, relatively."""

    error: float

    def step(self) -> Own | None:
        """The next state; None where rounding decides."""


def followed(state: State, system: Callable[[State], System[State]],
             enough: float) -> tuple[State, float]:
    """The solution from here, or as near to it as rounding lets come, and its relative error."""
    best, error, behind = state, np.inf, 0
    # where the equations fail there is no more to be had
    with suppress(foreign.Unsolved), foreign.guarded("a margin by interior points"):
        for _ in range(NEWTONS):
            here = system(state)
            behind = 0 if here.error < error else behind + 1
            if behind == 0:
                best, error = state, here.error
            step = here.step() if error > enough and behind <= STUCK else None
            if step is None:
                break
            state = step
    return best, error


def reach(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """The part of a step, one at most, that keeps all x over 0, for pairs of x and its step."""
    part = 1.0
    for x, dx in pairs:
        falls = dx < 0
        part = min(part, float((-x[falls] / dx[falls]).min(initial=np.inf)))
    return part


class Saddle:
    """The equations a δw − b Sᵀδλ = off and Sδw + Fδβ + δλ/held = h, Fᵀδλ = e, for S (N, d), a, b
    (d,) and held (N,), all over 0, factored: of d unknowns, or of N where these are fewer. The
    ``border`` F (N, q) has those of unknowns that nothing holds.

    ``refined``: so many corrections of a solution, by what it leaves of the equations, follow.
    """

    def __init__(self, S: Matrix, a: np.ndarray, b: np.ndarray, held: np.ndarray,
                 border: np.ndarray, refined: int = 0) -> None:
        self.S, self.a, self.b, self.held, self.refined = S, a, b, held, refined
        self.wide = S.shape[0] < S.shape[1]
        self.root = np.sqrt(b / a) if self.wide else np.sqrt(b)
        if isinstance(S, np.ndarray):
            R = S * self.root
            matrix = R @ R.T if self.wide else (R.T * held) @ R
        else:
            diagonal: Any = foreign.library("scipy.sparse").diags_array
            R = S @ diagonal(self.root)
            matrix = (R @ R.T if self.wide else R.T @ (diagonal(held) @ R)).toarray()
        matrix[np.diag_indices(len(matrix))] += 1.0 / held if self.wide else a
        if refined:
            # (rounding may have left it indefinite; corrections make up for it)
            matrix[np.diag_indices(len(matrix))] *= 1.0 + RIDGE
        linalg: Any = foreign.library("scipy.linalg")
        self.factor = linalg.cho_factor(matrix, lower=True, overwrite_a=True)
        self.back, self.border = linalg.cho_solve, border
        # what a unit of each β takes of w and λ, but for rounding
        self.taken = (np.zeros((len(a), 0)), border) if border.size == 0 else self._held(
            np.zeros((len(a), border.shape[1])), border)

    def solve(self, off: np.ndarray, h: np.ndarray,
              e: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """δw (d,), δλ (N,) and δβ (q,)."""
        w, lam, beta = self._rough(off, h, e)
        for _ in range(self.refined):
            dw, dlam, dbeta = self._rough(
                off - (self.a * w - self.b * (self.S.T @ lam)),
                h - (self.S @ w + self.border @ beta + lam / self.held), e - self.border.T @ lam)
            w, lam, beta = w + dw, lam + dlam, beta + dbeta
        return w, lam, beta

    def _rough(self, off: np.ndarray, h: np.ndarray,
               e: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        w, lam = (x[:, 0] for x in self._held(off[:, None], h[:, None]))
        if not e.size:
            return w, lam, e
        # (of classes whose rows are not here β is as it was)
        beta = foreign.ask("an intercept by interior points", "numpy.linalg.lstsq",
                           self.border.T @ self.taken[1], self.border.T @ lam - e, rcond=None)[0]
        return w - self.taken[0] @ beta, lam - self.taken[1] @ beta, beta

    def _held(self, off: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same with β held, for several right sides (d, k) and (N, k)."""
        a, b, held, root = (x[:, None] for x in (self.a, self.b, self.held, self.root))
        if self.wide:
            lam = self.back(self.factor, h - self.S @ (off / a))
            return (b * (self.S.T @ lam) + off) / a, lam
        right = off / root + root * (self.S.T @ (held * h))
        w = root * self.back(self.factor, right)
        return w, held * (h - self.S @ w)
