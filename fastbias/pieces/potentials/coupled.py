"""Potentials that couple the coordinates: quadratic, squared ℓp, spectral entropy of matrices."""
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, SHORT, VALUE, Status, kernel, piece
from fastbias.pieces.potentials.base import Potential
from fastbias.pieces.potentials.separable import euclidean
from fastbias.pieces.recipe import recorded

__all__ = ["quadratic", "spectral_entropy", "squared_lp"]

NOT_FINITE, OUT_OF_DOMAIN = int(Status.NOT_FINITE), int(Status.OUT_OF_DOMAIN)


def _two_matrices(params: np.ndarray, n: int, *_: int) -> bool:
    """D and L, (n, n)."""
    return params.size >= 2 * n * n


@piece(MAP, needs=_two_matrices)
def _quadratic_link(params, w, out):
    if params.size < 2 * w.size * w.size:
        return SHORT
    n = w.size
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += params[i * n + j] * w[j]
        out[i] = total
    return 0


@kernel
def _cholesky_solve(params, x, out):
    """out ← D⁻¹ x, D = L Lᵀ, L being the second matrix in params."""
    n = x.size
    for i in range(n):
        total = x[i]
        for j in range(i):
            total -= params[n * n + i * n + j] * out[j]
        out[i] = total / params[n * n + i * n + i]
    for i in range(n - 1, -1, -1):
        out[i] /= params[n * n + i * n + i]
        for j in range(i):
            out[j] -= params[n * n + i * n + j] * out[i]
    return 0


@piece(MAP, needs=_two_matrices)
def _quadratic_inverse(params, z, out):
    if params.size < 2 * z.size * z.size:
        return SHORT
    return _cholesky_solve(params, z, out)


@piece(MAP_AT, needs=_two_matrices)
def _quadratic_metric(params, at, g, out):
    if params.size < 2 * g.size * g.size:
        return SHORT
    return _cholesky_solve(params, g, out)


@piece(VALUE, needs=_two_matrices)
def _quadratic_value(params, w):
    n = w.size
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += w[i] * params[i * n + j] * w[j]
    return 0.5 * total


@recorded
def quadratic(D: ArrayLike) -> Potential:
    """ψ(w) = ½ wᵀDw, ∇ψ(w) = Dw: linear link, constant metric, so that NGD and mirror descent are
    one method.

    Parameters
    ----------
    D : (d, d) symmetric positive definite, or (d,) a positive diagonal

    Raises
    ------
    ValueError, TypeError
        Where D is not square, not symmetric or not positive definite.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.potentials.quadratic([1.0, 4.0]).to_dual([1.0, 1.0])
    array([1., 4.])
    """
    D = checks.positive_definite("D", D)
    root = np.linalg.cholesky(D)
    return Potential("quadratic", _quadratic_link, _quadratic_inverse, _quadratic_metric,
                     _quadratic_value,
                     np.concatenate([D.ravel(), root.ravel()]), size=D.shape[0], quadratic=True,
                     matrix=lambda d: D,
                     convex=lambda cp, w: 0.5 * cp.sum_squares(root.T @ w))


@kernel
def _scaled_norm(x, p):
    largest = 0.0
    for i in range(x.size):
        largest = max(largest, abs(x[i]))
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    total = 0.0
    for i in range(x.size):
        total += (abs(x[i]) / largest) ** p
    return largest * total ** (1.0 / p)


@kernel
def _squared_lp_map(x, p, out):
    # powers of numbers of size one neither vanish nor overflow
    size = _scaled_norm(x, p)
    for i in range(x.size):
        out[i] = 0.0 if size == 0.0 else np.sign(x[i]) * size * (abs(x[i]) / size) ** (p - 1.0)
    return 0


@piece(MAP, needs=1)
def _squared_lp_link(params, w, out):
    if params.size < 1:
        return SHORT
    return _squared_lp_map(w, params[0], out)


@piece(MAP, needs=2)
def _squared_lp_inverse(params, z, out):
    if params.size < 2:
        return SHORT
    return _squared_lp_map(z, params[1], out)


@piece(MAP_AT, needs=2)
def _squared_lp_metric(params, w, g, out):
    if params.size < 2:
        return SHORT
    # the Hessian of the conjugate ½‖z‖_q² at z = ∇ψ(w): with b_i = |z_i|/‖z‖_q =
    # (|w_i|/‖w‖_p)^{p−1}, (q − 1) b^{q−2} g + (2 − q) a ⟨a, g⟩,  a = b^{q−1} sign(w)
    p, q = params[0], params[1]
    size = _scaled_norm(w, p)
    if size == 0.0:
        for i in range(w.size):
            out[i] = 0.0
        return 0 if q > 2.0 else OUT_OF_DOMAIN
    inner = 0.0
    for i in range(w.size):
        inner += np.sign(w[i]) * (abs(w[i]) / size) * g[i]
    for i in range(w.size):
        ratio = abs(w[i]) / size
        out[i] = (q - 1.0) * ratio ** (2.0 - p) * g[i] + (2.0 - q) * np.sign(w[i]) * ratio * inner
    return 0


@piece(VALUE, needs=1)
def _squared_lp_value(params, w):
    return 0.5 * _scaled_norm(w, params[0]) ** 2


@recorded
def squared_lp(p: float) -> Potential:
    """ψ(w) = ½‖w‖_p², ∇ψ(w)_i = ‖w‖_p^{2−p} |w_i|^{p−1} sign(w_i): strongly convex for 1 < p ≤ 2
    (paper, §2.2).

    Its projection from 0 is the minimum-ℓp-norm solution.

    Parameters
    ----------
    p : float, 1 < p ≤ 2
        squared_lp(2) is `euclidean`.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.bregman_projection([[1, 2]], [1], fb.potentials.squared_lp(1.5)).w.round(6)
    array([0.111111, 0.444444])
    """
    p = checks.number("p", p, above=1, most=2)
    if p == 2:
        return euclidean
    return Potential("squared_lp", _squared_lp_link, _squared_lp_inverse, _squared_lp_metric,
                     _squared_lp_value,
                     np.array([p, p / (p - 1.0)]), degenerate=True, horizon=p,
                     convex=lambda cp, w: 0.5 * cp.square(cp.norm(w, p)))


@kernel
def _symmetric(x, n):
    W = np.empty((n, n))                                 # eigh allocates anyway
    for i in range(n):
        for j in range(n):
            # (the sum of the two may be beyond float64)
            W[i, j] = 0.5 * x[i * n + j] + 0.5 * x[j * n + i]
    return W


@kernel
def _rebuild(values, U, out):
    n = values.size
    for i in range(n):
        for j in range(n):
            total = 0.0
            for k in range(n):
                total += U[i, k] * values[k] * U[j, k]
            out[i * n + j] = total
    return 0


def _square(params: np.ndarray, size: int, *_: int) -> bool:
    """The n of n × n matrices."""
    return params[0] >= 1 and int(params[0]) ** 2 == size


@piece(MAP, needs=_square)
def _spectral_link(params, w, out):
    if params.size < 1:
        return SHORT
    for x in w:
        if not np.isfinite(x):
            return OUT_OF_DOMAIN
    # a spectral function acts on eigenvalues; eigh wants symmetry to the last bit
    values, U = np.linalg.eigh(_symmetric(w, int(params[0])))
    if not values[0] > 0.0:
        return OUT_OF_DOMAIN
    return _rebuild(np.log(values), U, out)


@piece(MAP, needs=_square)
def _spectral_inverse(params, z, out):
    if params.size < 1:
        return SHORT
    for x in z:
        if not np.isfinite(x):
            return NOT_FINITE
    values, U = np.linalg.eigh(_symmetric(z, int(params[0])))
    return _rebuild(np.exp(values), U, out)


@piece(MAP_AT, needs=_square)
def _spectral_metric(params, w, g, out):
    if params.size < 1:
        return SHORT
    n = int(params[0])
    for x in w:
        if not np.isfinite(x):
            return OUT_OF_DOMAIN
    values, U = np.linalg.eigh(_symmetric(w, n))
    # eigh sorts, so that the first is the least
    if not values[0] > 0.0:
        return OUT_OF_DOMAIN
    # Daleckii–Krein: the derivative of the matrix exponential
    G = U.T @ _symmetric(g, n) @ U
    for i in range(n):
        for j in range(n):
            ratio = np.log(values[i] / values[j])
            # logarithmic mean (a − b)/log(a/b) = √(ab) sinh(r/2)/(r/2)
            mean = np.sqrt(values[i] * values[j])
            G[i, j] *= mean * (np.sinh(0.5 * ratio) / (0.5 * ratio) if abs(ratio) > 1e-4
                               else 1.0 + ratio * ratio / 24.0)
    H = U @ G @ U.T
    for i in range(n):
        for j in range(n):
            out[i * n + j] = H[i, j]
    return 0


@piece(VALUE, needs=_square)
def _spectral_value(params, w):
    for x in w:
        if not np.isfinite(x):
            return np.nan
    values = np.linalg.eigh(_symmetric(w, int(params[0])))[0]
    total = 0.0
    for x in values:
        # 0 log 0 is 0: ψ is finite on the border, where its link is not
        if x < 0.0:
            return np.inf
        if x > 0.0:
            total += x * np.log(x) - x
    return total


@recorded
def spectral_entropy(n: int) -> Potential:
    """ψ(W) = tr(W log W − W) on positive definite n × n matrices, ∇ψ(W) = log W, (∇ψ)⁻¹(Z) = e^Z.

    Predictors are symmetric, so X (N, n, n) must hold symmetric matrices; its minimiser is the
    identity.

    Parameters
    ----------
    n : int ≥ 1
        Rows of W.

    Examples
    --------
    >>> import fastbias as fb
    >>> psi = fb.potentials.spectral_entropy(2)
    >>> print(abs(psi.to_dual([1.0, 0.0, 0.0, 1.0])).max() < 1e-15)       # log of the identity: 0
    True
    """
    n = checks.whole("n", n, least=1)
    return Potential("spectral_entropy", _spectral_link, _spectral_inverse, _spectral_metric,
                     _spectral_value,
                     np.array([float(n)]), size=n * n, symmetric=n,
                     convex=lambda cp, w: -cp.von_neumann_entr(
                         cp.hermitian_wrap(cp.reshape(w, (n, n), order="C"))) - cp.sum(w[:: n + 1]))


EXAMPLES: tuple[Potential, ...] = (quadratic([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 3.0]]),
                                   squared_lp(1.5),
                                   squared_lp(1.1), spectral_entropy(3))
