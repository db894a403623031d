"""Stationarity of networks of rectified units, whose margins have kinks where a sample lies on a
unit's hyperplane.

There the gradient of [⟨z, v⟩]₊ in v is any t z, 0 ≤ t ≤ 1, and limits lie there. A t is held
against the point itself by the gap of Fenchel and Young, [⟨z, v⟩]₊ − t⟨z, v⟩ ≥ 0, which is 0 where
t z is a subgradient at v: so nothing decides which samples are near enough to a kink, and far from
all of them the residual is that of `kkt`.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length as length_of
from fastbias.pieces.laws import ours
from fastbias.problem import Problem

__all__ = ["points_of", "residual"]

ROUNDS = 100
ENOUGH = 1e-9           # of what another choice of t would gain


def points_of(problem: Problem) -> np.ndarray | None:
    """Where each sample sees the network (M, d), of a model of rectified units without an offset
    whose values are the predictions; None of any other.
    """
    model, X = problem.model, problem.X
    if model.rectified is None or model.degree != 2 or not ours(model):
        return None
    dense = X if isinstance(X, np.ndarray) else X.toarray()
    one = (dense != 0).sum(axis=1) == 1
    if not (one.all() and (dense.max(axis=1) == 1).all()):
        return None
    return np.asarray(model.rectified[dense.argmax(axis=1)])


def residual(problem: Problem, u: np.ndarray, points: np.ndarray) -> tuple[float, np.ndarray]:
    """The KKT residual of parameters u (n,), with the best subgradients, and λ ≥ 0 (M,).

    With u at a least margin of one, the least over λ ≥ 0 and 0 ≤ t ≤ 1 of the root of
    ‖u − Σ λ_n h_n(t)‖²/‖u‖² + Σ (λ_n (m_n − 1) L/‖u‖²)² + Σ (λ_n g_n(t) L/‖u‖²)², h_n(t) the
    gradient of y_n f(x_n) by t, and g_n(t) = Σ_k |a_k| ([⟨z_n, v_k⟩]₊ − t_nk ⟨z_n, v_k⟩). Each
    round takes the t of each sample that helps most, and weighs all that there are by non-negative
    least squares; what it ends with is an upper bound, and the least up to 1e-9.
    """
    y, k = problem.y, len(u) // (points.shape[1] + 2)
    a, b, c = problem.model.split(u, problem.size)
    v = np.column_stack([b.reshape(k, -1), c])
    z = np.column_stack([points, np.ones(len(points))])
    at = z @ v.T
    seen = np.maximum(at, 0.0)
    margins = y * (seen @ a)
    least, size = float(margins.min()), length_of(u)
    if not (np.isfinite(margins).all() and least > 0 and 0 < size < np.inf):
        return float("inf"), np.zeros(len(y))
    scale, N = size / least / 2.0, len(y)
    slack = (margins - least) / least
    gaps = np.abs(a) * at / least

    def column(n: int, t: np.ndarray) -> np.ndarray:
        turned = scale * y[n] * (a * t)[:, None] * z[n]
        ends = np.zeros((2, N))
        ends[:, n] = slack[n], float((np.abs(a) * seen[n] / least - t * gaps[n]).sum())
        return np.concatenate([scale * y[n] * seen[n], turned[:, :-1].ravel(), turned[:, -1],
                               ends.ravel()])
    wanted = np.concatenate([u / size, np.zeros(2 * N)])
    columns, owners = [column(n, (at[n] > 0).astype(float)) for n in range(N)], list(range(N))
    for _ in range(ROUNDS):
        A = np.array(columns).T
        mu, off = foreign.ask("the non-negative least squares of the KKT residual",
                              "scipy.optimize.nnls", A, wanted, maxiter=30 * len(owners) + 300)
        left = wanted - A @ mu
        way = np.column_stack([left[k:-2 * N - k].reshape(k, -1), left[-2 * N - k:-2 * N]])
        help_ = scale * (y[:, None] * a) * (z @ way.T) - left[-N:, None] * gaps
        more = [column(n, (help_[n] > 0).astype(float)) for n in range(N)]
        useful = [n for n in range(N) if left @ more[n] > ENOUGH * length_of(more[n])]
        weights = np.bincount(owners, mu, N)
        if not useful or off < ENOUGH:
            break
        kept = [i for i in range(len(owners)) if mu[i] > 0]
        columns = [columns[i] for i in kept] + [more[n] for n in useful]
        owners = [owners[i] for i in kept] + useful
    top = float(np.exp(np.log(size) - np.log(least) / 2.0))
    return float(off), weights * (top / 2.0) * top
