"""The nearest point whose margins are all at least one, with its certificate.

min ½‖w − w0‖² s.t. ⟨w, z_n⟩ ≥ 1 is a least distance problem: with x = w − w0 and h_n = 1 −
⟨w0, z_n⟩ it asks for the least ‖x‖ with Zx ≥ h, which non-negative least squares find (Lawson &
Hanson 1974). Any λ ≥ 0 bounds ½‖x‖² from below by ⟨λ, h⟩ − ½‖Zᵀλ‖².
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import worst

__all__ = ["Nearest", "nearest"]

TOUCHED = 1e-9        # λ so small, of the largest, are rounding


class Nearest(NamedTuple):
    """A point, the λ ≥ 0 with w = w0 + Σ λ_n z_n, and how far both are from proving each other."""

    w: np.ndarray        # (d,)
    dual: np.ndarray     # (N,)
    gap: float           # the largest of the relative lack of margin and the relative duality gap


def nearest(Z: np.ndarray, w0: np.ndarray) -> Nearest:
    """The point nearest to w0 (d,) with Zw ≥ 1, Z (N, d), of rows that some w separates.

    ArithmeticError where the non-negative least squares do not end.
    """
    size = np.linalg.norm(Z, axis=1)
    rows, h = Z / size[:, None], (1.0 - Z @ w0) / size
    top = float(h.max())
    # all margins are there already
    if top <= 0:
        return Nearest(w0.copy(), np.zeros(len(Z)), 0.0)
    # in units of the farthest half-space all numbers are of size one
    h = h / top
    found = _dual(rows, h)
    lam = found if _off(rows, h, found) <= _off(rows, h, again := _polished(rows, h, found)) \
        else again
    w = w0 + top * (lam @ rows)
    # the point itself may have lost digits to w0
    lack = float(np.max(1.0 - Z @ w, initial=0.0))
    return Nearest(w, top * lam / size, worst(_off(rows, h, lam), lack))


def _dual(rows: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The λ ≥ 0 of the least x with rows x ≥ h, by non-negative least squares."""
    wanted = np.append(np.zeros(rows.shape[1]), 1.0)
    u = foreign.ask("the nearest point with margins of one", "scipy.optimize.nnls",
                    np.vstack([rows.T, h]), wanted, maxiter=30 * len(h) + 300)[0]
    rest = 1.0 - float(h @ u)
    if not rest > 0:
        raise ArithmeticError("the nearest point with margins of one is beyond float64")
    return np.asarray(u / rest)


def _polished(rows: np.ndarray, h: np.ndarray, lam: np.ndarray) -> np.ndarray:
    """The same with margins of exactly one where λ > 0; as it is where that is not ≥ 0."""
    on = lam > TOUCHED * lam.max()
    better = np.linalg.lstsq(rows[on].T, _least(rows[on], h[on]), rcond=None)[0]
    if not (better >= 0).all():
        return lam
    out = np.zeros(lam.size)
    out[on] = better
    return out


def _least(rows: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The least x with rows x = h."""
    return np.asarray(np.linalg.lstsq(rows, h, rcond=None)[0])


def _off(rows: np.ndarray, h: np.ndarray, lam: np.ndarray) -> float:
    """How far λ is from proving x = Σ λ z the least: what x lacks, and the duality gap."""
    x = lam @ rows
    own = float(x @ x)
    lack = float(np.max(h - rows @ x, initial=0.0))
    return worst(lack, abs(float(lam @ h) - own) / max(own, 1e-300))
