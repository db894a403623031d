"""The minimiser of a convex loss of margins: Newton's method, and how far from it an answer can be.

Exponential and logistic losses change their curvature by no more than they are curved, |ℓ'''| ≤ ℓ''
(`Loss.steepness`). With H the curvature at w, δ = ‖∇‖ in its inverse and M the largest ‖z_n‖ there,
the minimiser is within ν = −log(1 − Mδ)/M of w in the norm of H, so that
|w_j − w*_j| ≤ ν √(H⁻¹)_jj (after Bach 2010): that is recomputed from w alone, and the units of
features do not matter. With ½λ‖w‖² beside the loss, ‖w − w*‖ ≤ ‖∇‖/λ as well.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.problem import Data
from fastbias.solvers import exact
from fastbias.solvers.limit import CERTIFIED

__all__ = ["Minimiser", "curvature", "minimise", "sure"]

STEPS = 500           # of Newton's method: where the minimum is far, each moves margins by one
NEAR = 0.25           # Mδ from which on each step squares it, and needs no search
POLISH = 4            # steps more, once rounding is all that is left
SHORTEST = 1e-12      # part of a step under which the search along it gives up
FALL = 1e-4           # of what the slope promises (Armijo)
FLAT = 1e-11          # the least eigenvalue of H, its diagonal one, that rounding leaves as it is
SURE = 1e-8           # of w, where features are of size one: the distance that may be left
EPS = float(np.finfo(float).eps)


class Minimiser(NamedTuple):
    """A minimiser w (size,), and what w alone proves of it."""

    w: np.ndarray
    residual: float          # the gradient's largest entry, relative to the terms of its sum
    errors: np.ndarray       # (size,) bounds on |w_j − w*_j|; infinite where none is known
    certified: bool          # they are at most 1e-10, and 1e-8 of w where features are of size one


def minimise(data: Data, basis: np.ndarray | None = None, decay: float = 0.0) -> Minimiser:
    """Minimise L(w) + ½λ‖w‖² over a subspace on which it has a minimiser.

    Parameters
    ----------
    data : Data
        Seen through a convex monotone loss that declares its ``ratio``, or cross-entropy.
    basis : (size, r) array of orthonormal columns, optional
        Of the subspace; by default the whole space (of classes: where those of one feature add up
        to 0).
    decay : float ≥ 0, default 0
        λ.

    Raises
    ------
    ArithmeticError
        Where no curvature is left in float64 (the minimiser may be infinitely far).
    """
    if basis is not None and not basis.size:
        return Minimiser(np.zeros(data.size), 0.0, np.zeros(data.size), True)
    # (what is beyond float64 is looked for where it matters)
    with np.errstate(all="ignore"):
        return _descended(_Task.of(data, basis, decay))


def _descended(task: _Task) -> Minimiser:
    """The end of Newton's method."""
    at = task.at(np.zeros(task.frame.shape[1]))
    for _ in range(STEPS):
        step = at.step()
        after = task.at(at.y + step) if at.reach() < NEAR else task.search(at, step)
        if after is None or (at.reach() < NEAR and not after.reach() < 0.5 * at.reach()):
            break
        at = after
    for _ in range(POLISH):
        at = min(at, task.at(at.y + at.step()), key=_At.reach)
    return task.proved(at)


def sure(data: Data, w: np.ndarray, errors: np.ndarray) -> bool:
    """Whether bounds on the errors of w, all (size,), are small where features are of size one."""
    units = np.maximum(data.rows.columns, 1e-300)
    return bool(float((errors * units).max(initial=0.0))
                <= SURE * max(1.0, float(np.abs(w * units).max(initial=0.0))))


def curvature(data: Data, w: np.ndarray) -> np.ndarray:
    """∇²L(w) (size, size)."""
    bends, K = _bends(data, w), data.outputs
    if K == 1:
        return np.asarray((data.X.T * bends) @ data.X)
    d = data.X.shape[1]
    H = np.empty((K, d, K, d))
    for b in range(K):
        for c in range(K):
            H[b, :, c] = (data.X.T * bends[b, c]) @ data.X
    return H.reshape(K * d, K * d)


def _pushes(data: Data, w: np.ndarray) -> np.ndarray:
    """−∂L/∂p (K N,) at the predictions p of w."""
    return data.loss.push(data.predictions(w), data.y, data.weights)


def _bends(data: Data, w: np.ndarray) -> np.ndarray:
    """∂²L/∂p² of each sample: (N,), or (K, K, N) for classes."""
    push, p = _pushes(data, w), data.predictions(w)
    if not data.loss.classes:
        assert data.loss.ratio is not None
        return np.asarray(np.abs(push) * data.loss.ratio(data.y * p))
    # −∂L/∂p is −P_c for the others, and what they add up to for the own class, each times c_n
    K, c = data.outputs, 1.0 if data.weights is None else data.weights
    own = data.y.astype(int) == np.arange(K)[:, None]
    P = np.where(own, 0.0, -push.reshape(K, -1) / c)
    P = np.where(own, 1.0 - P.sum(axis=0), P)
    return np.asarray((np.eye(K)[:, :, None] * P - P[:, None] * P[None]) * c)


@dataclass(frozen=True, eq=False)
class _Task:
    """What is minimised, in coordinates w = frame y in which columns of the data are of size
    one.
    """

    data: Data
    frame: np.ndarray          # (size, r)
    Z: np.ndarray              # (M, r): the rows z, in these coordinates
    decay: float
    steep: float               # |ℓ'''| over ℓ'' and the largest |⟨e, z⟩|; infinite where unknown

    @classmethod
    def of(cls, data: Data, basis: np.ndarray | None, decay: float) -> _Task:
        """The task for a basis."""
        if basis is None and data.outputs > 1:
            # to add one vector to all classes changes no margin, and any decay brings it to 0
            basis = np.kron(_centred(data.outputs), np.eye(data.X.shape[1]))
        Z = data.Z if basis is None else data.Z @ basis
        # powers of two round nothing
        units = np.exp2(np.frexp(np.abs(Z).max(axis=0, initial=0.0))[1])
        frame = np.eye(data.size) if basis is None else basis
        steep = np.inf if data.loss.steepness is None else data.loss.steepness
        return cls(data, frame / units, Z / units, decay, steep)

    def value(self, y: np.ndarray) -> float:
        """What is minimised, infinite where that is beyond float64."""
        w = self.frame @ y
        p = self.data.predictions(w)
        if not np.isfinite(p).all():
            return np.inf
        with np.errstate(over="ignore"):
            return float(np.exp(self.data.log(p)) + 0.5 * self.decay * (w @ w))

    def at(self, y: np.ndarray) -> _At:
        """Gradient and curvature at y."""
        data, w = self.data, self.frame @ y
        push = _pushes(data, w).reshape(data.outputs, -1)
        pull = np.concatenate([exact.careful(data.X, row) for row in push])
        g = self.frame.T @ (pull - self.decay * w)
        H = self.frame.T @ curvature(data, w) @ self.frame + self.decay * (self.frame.T
                                                                           @ self.frame)
        units = np.sqrt(np.diag(H))
        if not (units > 0).all() or not np.isfinite(H).all():
            raise ArithmeticError("the minimiser of the loss cannot be found in float64: its "
                                  "curvature vanishes there")
        values, U = foreign.ask("the curvature of the loss", "numpy.linalg.eigh",
                                H / units / units[:, None])
        # a direction of no curvature in float64 is not followed, nor is anything proved along it
        kept = values > FLAT
        root = (U[:, kept] / np.sqrt(values[kept])) / units[:, None]
        longest = float(np.sqrt(((self.Z @ root) ** 2).sum(axis=1).max()))
        return _At(y, g, root, self.steep * longest, bool(kept.all()))

    def search(self, at: _At, step: np.ndarray) -> _At | None:
        """A point along a step that is lower enough; None where none is."""
        size, here, slope = 1.0, self.value(at.y), float(at.g @ step)
        while size > SHORTEST:
            if self.value(at.y + size * step) <= here - FALL * size * slope:
                return self.at(at.y + size * step)
            size /= 2.0
        return None

    def proved(self, at: _At) -> Minimiser:
        """What the point alone proves, rounding of its gradient included."""
        data, w = self.data, self.frame @ at.y
        push = np.abs(_pushes(data, w)).reshape(data.outputs, -1)
        terms = np.concatenate([row @ np.abs(data.X) for row in push])
        terms = np.abs(self.frame.T) @ (terms + self.decay * np.abs(w))
        rounding = np.abs(self.frame.T) @ self._rounding(w, push)
        with np.errstate(divide="ignore", invalid="ignore"):
            residual = float(np.max(np.where(terms > 0, np.abs(at.g) / terms, 0.0), initial=0.0))
        short = float(np.linalg.norm(at.root.T @ at.g) + np.linalg.norm(np.abs(at.root.T)
                                                                        @ rounding))
        nu = _within(short, at.steepness) if at.whole else np.inf
        errors = nu * np.linalg.norm(self.frame @ at.root, axis=1) if nu < np.inf \
            else np.full(w.size, np.inf)
        if self.decay:
            back = np.linalg.pinv(self.frame).T
            far = float(np.linalg.norm(back @ at.g) + np.linalg.norm(np.abs(back) @ rounding))
            errors = np.minimum(errors, far / self.decay)
        return Minimiser(w, residual, errors, residual <= CERTIFIED and sure(data, w, errors))

    def _rounding(self, w: np.ndarray, push: np.ndarray) -> np.ndarray:
        """How much of the gradient (size,) may be rounding: of predictions, and of the loss."""
        X = np.abs(self.data.X)
        off = (X.shape[1] + 4) * EPS * (np.abs(w.reshape(self.data.outputs, -1)) @ X.T).max(axis=0)
        relative = 8.0 * EPS + 2.0 * off
        if not self.data.loss.classes:
            assert self.data.loss.ratio is not None
            relative = 8.0 * EPS + off * np.maximum(
                1.0, self.data.loss.ratio(self.data.y * self.data.predictions(w)))
        decayed = 2.0 * EPS * self.decay * np.abs(w)
        return np.concatenate([(row * relative) @ X for row in push]) + decayed


@dataclass(frozen=True, eq=False)
class _At:
    """A point y (r,): the descent direction g there, and a root R of the inverse curvature,
    H⁻¹ = R Rᵀ.
    """

    y: np.ndarray
    g: np.ndarray
    root: np.ndarray
    steepness: float       # M
    whole: bool            # whether H has all its eigenvalues, beyond rounding

    def step(self) -> np.ndarray:
        """Newton's."""
        return np.asarray(self.root @ (self.root.T @ self.g))

    def reach(self) -> float:
        """Mδ, under one where the minimiser is near (of unknown M: δ)."""
        short = float(np.linalg.norm(self.root.T @ self.g))
        return short * (self.steepness if np.isfinite(self.steepness) else 1.0)


def _centred(K: int) -> np.ndarray:
    """Orthonormal columns (K, K − 1) whose entries add up to 0."""
    return np.asarray(np.linalg.qr(np.eye(K)[:, 1:] - np.eye(K)[:, :1])[0])


def _within(short: float, steepness: float) -> float:
    """ν, the largest ‖w − w*‖ in the norm of H; infinite where nothing follows."""
    if steepness == 0.0:
        return short
    return float(-np.log1p(-steepness * short) / steepness) if steepness * short < 1.0 else np.inf
