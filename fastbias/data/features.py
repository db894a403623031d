"""Features φ(x) of the user's inputs, for functions ⟨w, φ(x)⟩: decision stumps, on which boosting
votes, and random Fourier features, from few to very many (the slides' double descent).

On the latter gradient descent from 0 goes to the interpolant of least ‖w‖₂ (§2.1); as d → ∞, to the
one of least norm in the space of the Gaussian kernel. `fastbias.minimum_norm` solves for the first,
``Phi @ w`` are its predictions.

>>> import fastbias as fb
>>> phi = fb.features.random_fourier(dims=1, d=4, gamma=1.0, rng=0)
>>> phi([[0.0], [1.0]]).shape
(2, 4)
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import Seed, foreign, own
from fastbias.checks.sizes import worst

__all__ = ["RandomFourier", "Stumps", "random_fourier", "stumps"]


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

    Examples
    --------
    >>> import fastbias as fb
    >>> phi = fb.features.random_fourier(dims=1, d=2000, gamma=0.5, rng=0)
    >>> products = phi([[0.0]]) @ phi([[1.0]]).T
    >>> print(products.round(1), phi.kernel([[0.0]], [[1.0]]).round(1))
    [[0.3]] [[0.3]]
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


@dataclass(frozen=True, eq=False)
class Stumps:
    """Decision stumps ±1: call it on inputs (N, dims) for their votes (N, d), a DataFrame of a
    DataFrame.

    Parameters
    ----------
    columns : (d,) of whole numbers
        Which input each looks at.
    cuts : (d,)
        It says +1 where that is larger, −1 elsewhere.
    names : tuple of str
        What each is called, such as "age > 30".
    dims : int
        How many inputs there are.

    Examples
    --------
    >>> import fastbias as fb
    >>> phi = fb.features.stumps([[0.0], [1.0], [3.0]])
    >>> type(phi).__name__, phi([[0.2], [2.0]]).tolist()
    ('Stumps', [[-1.0, -1.0], [1.0, -1.0]])
    """

    columns: np.ndarray = field(repr=False)
    cuts: np.ndarray = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    dims: int

    def __call__(self, x: ArrayLike) -> Any:
        """Return the votes (N, d) of x (N, dims)."""
        points = checks.array("x", x, "an (N, dims) array", dims=2)
        if points.shape[1] != self.dims:
            raise ValueError(f"x must have {self.dims} columns, as many as the stumps were made "
                             f"for, got {points.shape[1]}")
        checks.fits("x", points.shape, len(points), self.cuts.size)
        votes = np.where(points[:, self.columns] > self.cuts, 1.0, -1.0)
        if own.names(x) is None:
            return votes
        frame: Any = foreign.library("pandas")
        return frame.DataFrame(votes, columns=list(self.names), index=getattr(x, "index", None))


def stumps(X: ArrayLike) -> Stumps:
    """Return every decision stump of the inputs: ±1 as one of them is above or below a cut half-way
    between two neighbouring values.

    One for both signs, as weights have signs. AdaBoost is coordinate descent with exact line search
    on the exponential loss of their votes.

    Parameters
    ----------
    X : (N, dims)
        The values to cut between; of a DataFrame stumps have names, "age > 30".

    Returns
    -------
    Stumps
        Input after input, cuts from the smallest on.

    Raises
    ------
    ValueError, TypeError
        Where X is bad, or no column has two values.

    References
    ----------
    Freund, Schapire, "A decision-theoretic generalization of on-line learning and an application to
    boosting" (1997).

    Examples
    --------
    >>> import fastbias as fb
    >>> x, y = [[0], [1], [2], [3]], [1, 1, -1, 1]
    >>> votes = fb.features.stumps(x)
    >>> print(votes.names)
    ('x0 > 0.5', 'x0 > 1.5', 'x0 > 2.5')
    >>> boost = fb.methods.coordinate_descent(fb.steps.line_search())
    >>> print(fb.run(votes(x), y, loss="exponential", method=boost, steps=1).w[-1].round(6))
    [ 0.       -0.549306  0.      ]
    """
    points = checks.array("X", X, "an (N, dims) array", dims=2)
    called = own.names(X) or [f"x{j}" for j in range(points.shape[1])]
    columns, cuts, names = [], [], []
    for j, name in enumerate(called):
        values = np.unique(points[:, j])
        low, high = values[:-1], values[1:]
        # (of numbers next to each other, and of the smallest there are, half-way is an end)
        half = low / 2 + high / 2
        half = np.where((low <= half) & (half < high), half, low)
        told = [f"{cut:.10g}" for cut in half]
        if len({*told}) < len(told):
            told = [repr(cut) for cut in half.tolist()]
        columns += [j] * half.size
        cuts += half.tolist()
        names += [f"{name} > {cut}" for cut in told]
    if not cuts:
        raise ValueError("X must have a column of two values or more to be cut between, got none")
    return Stumps(np.array(columns), np.array(cuts), tuple(names), points.shape[1])
