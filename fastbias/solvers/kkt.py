"""How far parameters are from a stationary point of the margin problem in parameters, min ½‖u‖²
s.t. y_n⟨F(u), x_n⟩ ≥ 1, in ℓ2 or another norm.

Gradient descent on a homogeneous model w = F(u) goes to such points in direction; which of them are
limits of the margin problem in w is another question. The residual says that the first happened,
without a claim to "the" optimum. Steepest descent in another norm goes to such points in that norm.
"""
from __future__ import annotations

import numpy as np

from fastbias.checks import foreign
from fastbias.checks.sizes import length as length_of
from fastbias.data.rows import Rows
from fastbias.pieces import norms
from fastbias.pieces.norms import Norm
from fastbias.problem import Data, Problem
from fastbias.solvers import kinks
from fastbias.solvers.margins import begun, improved

__all__ = ["divergence", "kkt_residual", "stationarity"]


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


def divergence(u: np.ndarray, H: np.ndarray, norm: Norm) -> tuple[float, np.ndarray]:
    """Return how far u is from a KKT point in direction in any norm, as a Bregman divergence.

    With u scaled to a least margin of one, and h_n the gradients of margins there, it is

        min over λ ≥ 0 of  ( ‖u‖² + ‖Σ λ_n h_n‖⋆² − 2 ⟨Σ λ_n h_n, u⟩ + 2 L Σ λ_n (m_n − 1) ) / ‖u‖²,

    the Fenchel–Young gap of ½‖·‖² between u and Σ λ_n h_n, which is 0 where this is in ‖u‖∂‖u‖, and
    complementary slackness: 0 at KKT points, 1 for λ = 0. By Euler's ⟨h_n, u⟩ = L m_n the best λ
    are those of a maximum margin over the rows h_n, so that it is 1 − (γ(u)/γ⋆)², γ(u) the margin
    of u there and γ⋆ the largest, for which the bound stands that its λ prove.

    Parameters
    ----------
    u : (n,)
        Parameters, brought to size one.
    H : (M, n)
        The gradients of the margins in u.
    norm : Norm
        Of parameters (n,), for which a maximum margin can be solved.

    Returns
    -------
    residual : float
        Infinite where a margin is not positive or something is not finite.
    lam : (M,)
        λ ≥ 0, Σλ = 1: the multipliers but for their size; zeros where the residual is infinite.

    References
    ----------
    Tsilivis, Vardi, Kempe, "Flavors of margin: implicit bias of steepest descent in homogeneous
    neural networks" (2024).

    Examples
    --------
    >>> import fastbias as fb, numpy as np
    >>> from fastbias.solvers.kkt import divergence
    >>> x = np.array([[3.0, 4.0]])                       # in ℓ1 all goes to the larger feature
    >>> [round(divergence(np.array(u), x, fb.norms.l1)[0], 12) for u in ([0.0, 1.0], [1.0, 0.0])]
    [0.0, 0.4375]
    """
    if not (np.isfinite(H).all() and np.isfinite(u).all() and float((H @ u).min()) > 0):
        return float("inf"), np.zeros(len(H))
    best, _ = begun(Rows.of(H), norm)
    with np.errstate(all="ignore"):
        best.offer(u, np.zeros(len(H)))
        own = best.lower
        improved(best, u)
        # (of no λ at all the divergence is that of λ = 0)
        part = own / best.upper
    return max(0.0, (1.0 - part) * (1.0 + part)), best.lam


def stationarity(problem: Data, u: np.ndarray,
                 norm: Norm = norms.l2) -> tuple[float, np.ndarray]:
    """`kkt_residual` of parameters u (n,) of a problem with a homogeneous model; they are first
    brought to size one. Of rectified units, with the best subgradients. In norms that are not
    quadratic their `divergence`.
    """
    # of any size: the residual does not depend on it
    u = u / max(float(np.abs(u).max()), 1e-300)
    if isinstance(problem, Problem):
        points, L = kinks.points_of(problem), problem.model.degree
        if points is not None and norm.matrix is np.eye:
            return kinks.residual(problem, u, points)
        w, H = problem.predictor(u), problem.model.pulls(u, problem.Z)
    else:
        w, H, L = u, problem.Z, 1
    if norm.matrix is None:
        return divergence(u, H, norm)
    margins = problem.Z @ w
    if norm.matrix is not np.eye:
        # in coordinates in which it is ℓ2
        root = np.linalg.cholesky(norm.matrix(u.size))
        u, H = root.T @ u, np.linalg.solve(root, H.T).T
    return kkt_residual(u, H, margins, L)
