"""How far rows are from the path of explicit regularisation, at the norm or the loss that they
have.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks.sizes import lengths
from fastbias.pieces.norms import Norm
from fastbias.problem import Data
from fastbias.solvers.balls import NEAR, End
from fastbias.solvers.regularisation import Walk

__all__ = ["PLACES", "distances"]

PLACES = ("norm", "loss")


def distances(data: Data, w: np.ndarray, log_loss: np.ndarray, norm: Norm, at: str) -> np.ndarray:
    """‖w − ŵ(c)‖₂ (T,) of rows w (T, d); NaN where the path has no such point, or it is not known
    well enough.
    """
    path, sizes, out = Walk(data, norm), norm(w), np.full(len(w), np.nan)
    # the smallest first: each point of the path is sought from the last
    order = np.argsort(sizes if at == "norm" else -log_loss, kind="stable")
    for i in order:
        end = _met(path, float(sizes[i]), float(log_loss[i]), at)
        if end is not None and end[2] <= NEAR:
            out[i] = lengths((w[i] - end[0])[None])[0]
    return out


def _met(path: Walk, size: float, log_loss: float, at: str) -> End | None:
    """The point of the path that a row of this norm and loss is held against."""
    if not np.isfinite(size):
        return None
    if at == "loss":
        return path.level(log_loss, size)
    # over a ball of radius 0 there is one point
    return path.end(size) if size > 0 else (np.zeros(path.objective.size), log_loss, 0.0)
