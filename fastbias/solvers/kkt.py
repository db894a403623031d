"""How far parameters are from a stationary point of the margin problem in parameters, min ½‖u‖²
s.t. y_n⟨F(u), x_n⟩ ≥ 1.

Gradient descent on a homogeneous model w = F(u) goes to such points in direction; which of them are
limits of the margin problem in w is another question. The residual says that the first happened,
without a claim to "the" optimum.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length as length_of
from fastbias.problem import Problem
from fastbias.solvers import kinks

__all__ = ["kkt_residual", "stationarity"]


def kkt_residual(u: np.ndarray, H: np.ndarray, margins: np.ndarray,
                 degree: float) -> tuple[float, np.ndarray]:
    """Return how far u is from a KKT point in direction, and the multipliers λ ≥ 0 that show it.

    With u scaled so that the least margin is one (margins scale with the power L of u, rows h_n
    with L − 1), it is

        min over λ ≥ 0 of  ( ‖u − Σ λ_n h_n‖² / ‖u‖²  +  Σ_n (λ_n (m_n − 1) L / ‖u‖²)² )^½,

    stationarity and complementary slackness, by non-negative least squares: 0 at KKT points, 1 for
    λ = 0, and no units.

    Parameters
    ----------
    u : (n,)
        Parameters, of any size: they may be 1e150.
    H : (M, n)
        The gradients of the margins in u: rows F'(u)ᵀ(y_n x_n).
    margins : (M,)
        y_n⟨F(u), x_n⟩.
    degree : float ≥ 1
        L with F(c u) = c^L F(u) for c > 0.

    Returns
    -------
    residual : float
        Infinite where a margin is not positive or something is not finite: u is then not feasible
        at any scale.
    lam : (M,)
        λ of the scaled problem; zeros where the residual is infinite.

    Raises
    ------
    ArithmeticError
        Where the non-negative least squares do not end.

    References
    ----------
    Lyu, Li (2020), "Gradient Descent Maximizes the Margin of Homogeneous Neural Networks";
    Gunasekar, Lee, Soudry, Srebro (2018), "Implicit Bias of Gradient Descent on Linear
    Convolutional Networks".

    Examples
    --------
    >>> import numpy as np
    >>> from fastbias.solvers.kkt import kkt_residual
    >>> x = np.array([3.0, 4.0])                         # the linear model: u along x is the answer
    >>> ends = np.array([6.0, 8.0]), np.array([1.0, 0.0])
    >>> [round(kkt_residual(u, x[None], np.array([x @ u]), 1)[0], 12) for u in ends]
    [0.0, 0.8]
    """
    none = float("inf"), np.zeros(margins.size)
    largest = float(np.abs(u).max())
    least = float(margins.min())
    if not (np.isfinite(margins).all() and np.isfinite(H).all() and 0 < largest < np.inf
            and least > 0):
        return none
    length = length_of(u)
    unit = u / largest / (length / largest)
    # with μ_n = λ_n L/‖u‖² the scale of u cancels, and what is left is of size one: Σ μ_n m_n = 1
    # at KKT points
    with np.errstate(over="ignore", invalid="ignore"):
        rows, slack = H / least * length / degree, (margins - least) / least
    if not (np.isfinite(rows).all() and np.isfinite(slack).all()):
        return none
    mu, residual = foreign.ask("the non-negative least squares of the KKT residual",
                               "scipy.optimize.nnls", np.vstack([rows.T, np.diag(slack)]),
                               np.append(unit, np.zeros(margins.size)), maxiter=30 * margins.size
                               + 300)
    with np.errstate(over="ignore"):
        scale = np.exp(np.log(length) - np.log(least) / degree)            # ‖u‖ at least margin one
        return float(residual), mu * (scale / degree) * scale


def stationarity(problem: Problem, u: np.ndarray) -> tuple[float, np.ndarray]:
    """`kkt_residual` of parameters u (n,) of a problem with a homogeneous model; they are first
    brought to size one. Of rectified units, with the best subgradients.
    """
    # of any size: the residual does not depend on it
    u = u / max(float(np.abs(u).max()), 1e-300)
    points = kinks.points_of(problem)
    if points is not None:
        return kinks.residual(problem, u, points)
    margins = problem.Z @ problem.predictor(u)
    return kkt_residual(u, problem.model.pulls(u, problem.Z), margins, problem.model.degree)
