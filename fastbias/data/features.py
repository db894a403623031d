"""Random Fourier features: functions ⟨w, φ_d(x)⟩ of the user's inputs, d from few to very many (the
slides' double descent).

Gradient descent from 0 on them goes to the interpolant of least ‖w‖₂ (§2.1); as d → ∞, to the one
of least norm in the space of the Gaussian kernel. `fastbias.minimum_norm` solves for the first,
``Phi @ w`` are its predictions.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import Seed, foreign
from fastbias.checks.sizes import worst

__all__ = ["RandomFourier", "random_fourier"]


@dataclass(frozen=True, eq=False)
class RandomFourier:
    """Drawn features φ(x)_i = d^−½ cos(⟨ω_i, x⟩ + θ_i): call it on inputs (N, dims) for features
    (N, d).

    Parameters
    ----------
    frequencies : (d, dims)
        ω.
    phases : (d,)
        θ.
    gamma : float
        γ, of the kernel that the frequencies were drawn for.
    """

    frequencies: np.ndarray = field(repr=False)
    phases: np.ndarray = field(repr=False)
    gamma: float

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Return the features (N, d) of x (N, dims)."""
        d = self.phases.size
        with np.errstate(all="ignore"):
            angles = self._inputs("x", x) @ self.frequencies.T + self.phases
        # from 2^52 on float64 holds whole numbers alone: the cosine would be of chance
        if not (np.abs(angles) < 2.0 ** 52).all():
            raise ValueError("x must be of a size at which ⟨ω, x⟩ + θ has digits left for an "
                             f"angle, got angles up to {worst(np.abs(angles)):.3g}")
        return np.asarray(np.cos(angles) / np.sqrt(d))

    def kernel(self, x: ArrayLike, other: ArrayLike) -> np.ndarray:
        """Return ½ exp(−γ‖x − x'‖²) (N, M): the mean of ⟨φ(x), φ(x')⟩ over what is drawn."""
        squares = foreign.ask("the distances between inputs", "scipy.spatial.distance.cdist",
                              self._inputs("x", x), self._inputs("other", other), "sqeuclidean")
        # (γ may be so large that γ · 0 is asked for: two equal inputs are alike for any γ)
        with np.errstate(all="ignore"):
            return np.asarray(0.5 * np.exp(-np.where(squares > 0, self.gamma * squares, 0.0)))

    def _inputs(self, label: str, x: ArrayLike) -> np.ndarray:
        x, dims = checks.array(label, x, "an (N, dims) array", dims=2), self.frequencies.shape[1]
        if x.shape[1] != dims:
            raise ValueError(f"{label} must have {dims} columns, as many as the features were "
                             f"drawn for, got {x.shape[1]}")
        return x


def random_fourier(dims: int, d: int, gamma: float = 1.0, rng: Seed = None) -> RandomFourier:
    """Draw d random Fourier features of the Gaussian kernel: ω_i ~ N(0, 2γ I), θ_i ~ U[0, 2π).

    With the same seed the features of a smaller d are the first of those of a larger d, but for the
    factor d^−½.

    Parameters
    ----------
    dims : int ≥ 1
        The dimension of the inputs.
    d : int ≥ 1
        How many features.
    gamma : float > 0, default 1
        γ of the kernel exp(−γ‖x − x'‖²); 1/√(2γ) is the distance at which inputs stop being alike.
    rng : seed or numpy Generator, optional

    Returns
    -------
    RandomFourier

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad.

    References
    ----------
    Rahimi, Recht, "Random features for large-scale kernel machines" (NIPS 2007).

    Examples
    --------
    >>> import fastbias as fb
    >>> x, y = [[0, 0], [1, 0], [0, 2]], [1, -1, 2]
    >>> phi = fb.features.random_fourier(dims=2, d=100, rng=0)
    >>> fit = fb.minimum_norm(phi(x), y, "l2")
    >>> print((phi(x) @ fit.w).round(9), fit.certified)
    [ 1. -1.  2.] True
    """
    dims, d = checks.whole("dims", dims, least=1), checks.whole("d", d, least=1)
    checks.fits("dims, d", (dims, d), dims, d)
    gamma = checks.number("gamma", gamma, above=0, most=1e300)
    # a stream each, or the phases would depend on d
    first, second = checks.generator("rng", rng).spawn(2)
    return RandomFourier(np.sqrt(2 * gamma) * first.normal(size=(d, dims)),
                         second.uniform(0, 2 * np.pi, size=d), gamma)
