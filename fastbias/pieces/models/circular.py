"""Linear convolutional networks, full-width and circular, which weigh the frequencies of a
predictor.
"""
from __future__ import annotations

import math

import numpy as np

from fastbias import checks
from fastbias.engine.abi import MAP, MAP_AT, kernel, piece
from fastbias.pieces import norms, potentials
from fastbias.pieces.models.base import Layers, Model
from fastbias.pieces.models.entrywise import products_along
from fastbias.pieces.recipe import recorded

__all__ = ["convolutional"]


@kernel
def _convolve(a, at, b, first, d, out):
    """out[i] ← Σ_k a[k] b[i − k mod d], a and b being d entries from their places on."""
    # two plain loops, i ≥ k and i < k, in place of a modulus at each entry
    for i in range(d):
        out[i] = 0.0
    for k in range(d):
        x = a[at + k]
        for i in range(k, d):
            out[i] += x * b[first + i - k]
        for i in range(k):
            out[i] += x * b[first + i + d - k]


@kernel
def _correlate(a, at, b, first, d, out, to):
    """out[k] ← Σ_i a[i] b[i + k mod d]."""
    for k in range(d):
        out[to + k] = 0.0
    for i in range(d):
        x = a[at + i]
        for k in range(d - i):
            out[to + k] += x * b[first + i + k]
        for k in range(d - i, d):
            out[to + k] += x * b[first + i + k - d]


def _whole_layers(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    return n >= d and n % d == 0


@piece(MAP, needs=_whole_layers)
def _filters(params, u, out):
    d = out.size
    before = np.empty(d)
    for j in range(d):
        out[j] = u[j]
    for i in range(d, u.size, d):
        for j in range(d):
            before[j] = out[j]
        _convolve(before, 0, u, i, d, out)
    return 0


@piece(MAP_AT, needs=_whole_layers)
def _filters_pullback(params, u, v, out):
    d, L = v.size, u.size // v.size
    behind = np.zeros((L, d))                             # row i: the product of the layers after i
    behind[L - 1, 0] = 1.0
    for i in range(L - 2, -1, -1):
        _convolve(behind[i + 1], 0, u, (i + 1) * d, d, behind[i])
    left, fresh = v.copy(), np.empty(d)                   # v correlated with the layers before i
    for i in range(L):
        _correlate(behind[i], 0, left, 0, d, out, i * d)
        if i < L - 1:
            _correlate(u, i * d, left, 0, d, fresh, 0)
            left, fresh = fresh, left
    return 0


def _filters_along(u: np.ndarray, a: np.ndarray,
                   v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequency by frequency a diagonal network."""
    rows, moves = (np.fft.fft(x.reshape(-1, v.size), axis=1) for x in (u, a))
    change, others = products_along(rows, moves)
    turned = np.fft.ifft(others.conj() * np.fft.fft(v), axis=1)
    return np.fft.ifft(change).real, turned.real.ravel()


def _balance(w: np.ndarray, L: int) -> np.ndarray:
    """All layers with moduli |ŵ|^{1/L}, the phases in the first."""
    spectrum = np.fft.fft(w)
    size = np.abs(spectrum)
    root = size ** (1 / L)
    first = np.divide(spectrum, size, out=np.zeros_like(spectrum), where=size > 0) * root
    return np.concatenate([np.fft.ifft(part).real for part in [first] + [root] * (L - 1)])


def _invariant(layers: Layers) -> np.ndarray:
    """|ŵ_l|² − |ŵ_{l+1}|² at each frequency of neighbouring layers."""
    power = np.abs(np.fft.fft(layers, axis=1)) ** 2
    return np.asarray(power[:-1] - power[1:])


@recorded
def convolutional(depth: int) -> Model:
    """Return the linear network of circular convolutions h_l[i] = Σ_k w_l[k] h_{l−1}[(i + k) mod
    d], ⟨w_L, h_{L−1}⟩ at last.

    The predictor is the circular convolution of its L layers (d,), ŵ = Π ŵ_l at each frequency, so
    min Σ‖w_l‖² over networks of predictor w is R(w) = (L/d) Σ_k |ŵ_k|^{2/L}: exponential losses
    lead to the maximum margin in Σ|ŵ_k| for L = 2, and to stationary points of ‖ŵ‖_{2/L} beyond.
    Gradient flow keeps |ŵ_l|² − |ŵ_{l+1}|².

    Parameters
    ----------
    depth : int, 1 … 64
        L; 1 is the linear model.

    Raises
    ------
    ValueError, TypeError
        Where depth is no such number.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro, "Implicit bias of gradient descent on linear convolutional
    networks" (2018).

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.convolutional(2)
    >>> print(model.predictor([1, 0, 2, 3, 0, 1], 3))            # (1 + 2z²)(3 + z²), z³ = 1
    [3. 2. 7.]
    """
    L = checks.whole("depth", depth, least=1, most=64)
    return Model(f"convolutional({L})", _filters, _filters_pullback, size=lambda d: L * d, degree=L,
                 multilinear=True,
                 layers=lambda d: [(d,)] * L,
                 identity=lambda d, scale: np.tile(scale * np.eye(d)[0], L),
                 penalty=lambda w: float(L / w.size * (np.abs(np.fft.fft(w)) ** (2 / L)).sum()),
                 balance=lambda w: _balance(w, L), invariant=_invariant if L > 1 else None,
                 along=_filters_along,
                 bias={1: lambda shape: norms.l2,
                       2: lambda shape: norms.fourier(math.prod(shape))}.get(L),
                 exponent=2 / L if L > 2 else None,
                 mirror=(lambda u: potentials.euclidean) if L == 1 else None,
                 source="Gunasekar, Lee, Soudry, Srebro (2018b), Theorem 2")


EXAMPLES: tuple[Model, ...] = (convolutional(1), convolutional(2), convolutional(3),
                               convolutional(6))
