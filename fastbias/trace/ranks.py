"""How many directions a matrix has, as numbers that need not be whole."""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign

__all__ = ["KINDS", "ranks"]


def _effective(values: np.ndarray) -> np.ndarray:
    """The exponential of the entropy of singular values (T, r), each row of sum one."""
    p = values / values.sum(axis=1, keepdims=True)
    # 0 log 0 is 0
    return np.asarray(np.exp(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)))


def _stable(values: np.ndarray) -> np.ndarray:
    """‖W‖_F²/‖W‖₂²."""
    # (the first is the largest)
    return np.asarray(((values / values[:, :1]) ** 2).sum(axis=1))


KINDS = {"effective": _effective, "stable": _stable}


def ranks(W: np.ndarray, kind: str) -> np.ndarray:
    """The rank (T,) of matrices W (T, m, n); NaN of a matrix that is 0."""
    sizes = np.abs(W).max(axis=(1, 2), initial=0.0)
    out = np.full(len(W), np.nan)
    some = sizes > 0
    if some.any():
        # of size one, so that neither sums nor squares leave float64
        values = foreign.ask("the singular values of the predictors", "numpy.linalg.svd",
                             W[some] / sizes[some, None, None], compute_uv=False)
        out[some] = KINDS[kind](values)
    return out
