"""How stationary parameters are for min ½‖u‖² with margins y_n⟨F(u), x_n⟩ ≥ 1: what homogeneous models tend to."""
from __future__ import annotations

import numpy as np

from fastbias.problem import Problem

__all__ = ["kkt_residual", "stationarity"]


def kkt_residual(u: np.ndarray, H: np.ndarray, margins: np.ndarray, degree: int) -> tuple[float, np.ndarray]:
    """The KKT residual of u (n,), and the λ ≥ 0 (M,) that attains it, where F is homogeneous of a degree L.

    With u scaled to a least margin of one: the least over λ ≥ 0 of the root of
    ‖u − Σ λ_n h_n‖²/‖u‖² + Σ (λ_n (m_n − 1) L/‖u‖²)²; at a stationary point Σ λ_n = ‖u‖²/L.

    Parameters
    ----------
    u : (n,)
    H : (M, n)
        Rows h_n = F'(u)ᵀ(y_n x_n).
    margins : (M,)
        m_n = y_n⟨F(u), x_n⟩, all positive.
    degree : int ≥ 1

    References
    ----------
    Lyu & Li, "Gradient descent maximizes the margin of homogeneous neural networks" (2020); Gunasekar, Lee, Soudry, Srebro
    (2018b).
    """
    from scipy.optimize import nnls
    least = float(margins.min())
    m, size = margins / least, float(np.linalg.norm(u))
    # in units where u, and so Σ λ_n m_n, is one: h_n ‖u‖/(L m) is of size one
    rows = np.vstack([(H * (size / degree / least)).T, np.diag(m - 1.0)])
    lam, residual = nnls(rows, np.concatenate([u / size, np.zeros(m.size)]))
    return float(residual), lam


def stationarity(problem: Problem, u: np.ndarray) -> tuple[float, np.ndarray]:
    """`kkt_residual` of parameters u (n,) of a problem with a homogeneous model; infinite where a margin is not positive."""
    u = u / max(float(np.abs(u).max()), 1e-300)              # of any size: the residual does not depend on it
    margins = problem.Z @ problem.predictor(u)
    if not margins.min() > 0:
        return float("inf"), np.zeros(margins.size)
    model = problem.model
    H = problem.Z if model.linear else np.array([model.pull(u, z) for z in problem.Z])
    return kkt_residual(u, H, margins, model.degree)
