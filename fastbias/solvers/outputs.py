"""Equations of several outputs, X w_k = y_k for k = 1 … K: as those of one predictor of K d
entries, or output by output where that is all; and problems likewise.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastbias.checks import foreign
from fastbias.data.rows import Matrix
from fastbias.pieces.norms import Norm
from fastbias.problem import Problem, TooLarge

__all__ = ["blocks", "demand_blocks", "exponent", "first", "shares", "unfolded"]

MOST = 1 << 24        # numbers of I_K ⊗ X that are written out: 128 MB


def blocks(X: Matrix, K: int, symmetric: int = 0) -> Matrix:
    """I_K ⊗ X (K N, K d), sparse where X is: ⟨e_k ⊗ x_n, w⟩ = ⟨w_k, x_n⟩ for w (K d,).

    Where w is a symmetric matrix the rows are made so, which leaves the products as they are.
    """
    if not isinstance(X, np.ndarray):
        sparse: Any = foreign.library("scipy.sparse")
        found: Matrix = sparse.kron(sparse.eye_array(K), X, format="csr")
        return found
    A = np.kron(np.eye(K), X)
    if symmetric:
        rows = A.reshape(-1, symmetric, symmetric)
        A = (0.5 * (rows + rows.transpose(0, 2, 1))).reshape(A.shape)
    return A


def demand_blocks(X: Matrix, K: int, what: str) -> None:
    """Raise ValueError where X is dense and `blocks` would be too large to be written out."""
    if isinstance(X, np.ndarray) and K * K * X.size > MOST:
        raise ValueError(f"X and y must be so small that K² N d <= {MOST} for {what}, which "
                         f"couples the {K} outputs, got X of shape {X.shape}")


def exponent(norm: Norm) -> float | None:
    """p, where the norm of K outputs is ‖(‖w_1‖, …, ‖w_K‖)‖_p, so that each is solved for by
    itself; None where they are coupled, or nothing is known.
    """
    if norm.size is not None:
        return None
    if norm.ball is not None:
        return 1.0 if norm.ball == "cross-polytope" else np.inf
    return 2.0 if norm.matrix is np.eye else norm.power


def shares(sizes: np.ndarray, p: float) -> np.ndarray:
    """c (K,) ≥ 0 with ⟨c, sizes⟩ = ‖sizes‖_p, of length one in the dual of ℓp: what each output's
    own multipliers, of length one, are taken times among those of all.
    """
    top = float(sizes.max())
    if not 0 < top < np.inf:
        return np.zeros_like(sizes)
    if p == np.inf:
        return (np.arange(sizes.size) == sizes.argmax()) * 1.0
    even = sizes / top
    c = even ** (p - 1.0)
    return np.asarray(c / (even ** p).sum() ** ((p - 1.0) / p))


def unfolded(problem: Problem) -> Problem:
    """A problem of K outputs as that of one predictor (K d,) and K N samples (`blocks`); `TooLarge`
    where that is.
    """
    K = problem.columns
    if K * K * problem.X.shape[0] * problem.X.shape[1] > MOST:
        raise TooLarge(f"X and y must be so small that K² N d <= {MOST} where several outputs are "
                       f"looked at together, got X of shape {problem.X.shape} and {K} outputs")
    X = problem.whole("several outputs are looked at together").X
    return replace(problem, X=blocks(X, K, getattr(problem.method.geometry, "symmetric", 0)),
                   shape=(problem.size,), weights=problem.each, columns=0, intercept=False,
                   names=None)


def first(problem: Problem) -> Problem:
    """The problem of the first of its outputs alone."""
    N, d = problem.X.shape
    return replace(problem, y=problem.y[:N], shape=(d,), start=problem.start[:d],
                   columns=0)
