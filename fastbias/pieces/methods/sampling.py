"""What stands before a method's own pieces: mini-batches, eq. (2), noise, points where the gradient
is asked for again; and the coordinate that moves, with its ties.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fastbias import checks
from fastbias.engine.abi import DIRECTION, SAMPLE, SHORT, Piece, expect, piece
from fastbias.engine.drawing import draw, uniform
from fastbias.pieces.norms import Norm
from fastbias.pieces.recipe import Seed

__all__ = ["Point", "Replace", "Sampling", "Within", "coordinate", "seed", "stochastic"]

INDEPENDENT = "independent"


def _batch_in(params: np.ndarray, order: int, batch: int | None = None) -> bool:
    return bool(1 <= params[1] <= ((order - 1) // 2 if batch is None else batch))


@piece(SAMPLE)
def _all(params, k, order):
    N = (order.size - 1) // 2
    for i in range(N):
        order[i] = i
    return max(0, N)


@piece(SAMPLE, needs=_batch_in)
def _with_replacement(params, k, order):
    N = (order.size - 1) // 2
    batch = max(1, min(N, int(params[1])))
    for i in range(batch):
        order[i] = draw(params[0], k, i, N)
    return batch


@piece(SAMPLE, needs=_batch_in)
def _by_permutation(params, k, order):
    N = (order.size - 1) // 2
    batch = max(1, min(N, int(params[1])))
    # the last batch of an epoch is what is left
    steps_per_epoch = (N + batch - 1) // batch
    epoch = k // steps_per_epoch
    # kept in the caller's array: drawn anew only once an epoch, and the same after a resumption,
    # as it depends on (seed, epoch) alone
    if order[2 * N] != epoch:                            # Fisher & Yates, anew for each epoch
        for i in range(N):
            order[N + i] = i
        for i in range(N - 1, 0, -1):
            j = draw(params[0], epoch, i, i + 1)
            order[N + i], order[N + j] = order[N + j], order[N + i]
        order[2 * N] = epoch
    first = (k - epoch * steps_per_epoch) * batch
    count = min(batch, N - first)
    for i in range(count):
        order[i] = order[N + first + i]
    return count


@piece(SAMPLE, needs=_batch_in)
def _independently(params, k, order):
    N = (order.size - 1) // 2
    # of no sample there is a first one, too, whose place is looked at
    count, order[0] = 0, 0
    for i in range(N):
        if uniform(params[0], k, i) * N < params[1]:
            order[count] = i
            count += 1
    return count


@piece(DIRECTION, needs=5)
def coordinate(geometry, params, k, s, g, u, state, move):
    """move ← the largest coordinate of g, or the tied ones."""
    if params.size < 5:
        return SHORT
    # params: tie_tol, ties (0 first, 1 average, 2 random), shrinkage, seed, 1 for moves of length
    # one
    largest = 0.0
    for i in range(g.size):
        largest = max(largest, abs(g[i]))
        move[i] = 0.0
    if largest == 0.0:
        return 0
    tied = 0
    for i in range(g.size):
        if abs(g[i]) >= (1.0 - params[0]) * largest:
            tied += 1
    # by step and seed alone, so that a resumed run draws the same
    chosen = draw(params[3], k, 0, tied) if params[1] == 2.0 else 0
    seen = 0
    for i in range(g.size):
        if abs(g[i]) >= (1.0 - params[0]) * largest:
            size = np.sign(g[i]) if params[4] != 0.0 else g[i]
            if params[1] == 1.0:
                move[i] = params[2] * size / tied
            elif seen == chosen:
                move[i] = params[2] * size
            seen += 1
    return 0


Replace = bool | Literal["independent"]


@dataclass(frozen=True)
class Sampling:
    """How an update draws its samples, and what noise there is: batch size (0: all), how they are
    drawn, the seed, the noise of labels and of the gradient, and how many significant bits of
    the parameters it leaves (−p: by chance; 0: all).
    """

    batch: int = 0
    replace: Replace = True
    seed: int = 0
    label_noise: float = 0.0
    gradient_noise: float = 0.0
    bits: int = 0

    @property
    def piece(self) -> Piece:
        """The compiled sampler."""
        if not self.batch:
            return _all
        if self.replace == INDEPENDENT:
            return _independently
        return _with_replacement if self.replace else _by_permutation

    @property
    def params(self) -> np.ndarray:
        """What the sampler is handed."""
        return np.array([float(self.seed), float(self.batch)])

    def seen(self, N: int) -> int:
        """How many of N samples an update looks at one by one, at most; 0: at all in one pass."""
        if not self.batch or self.replace == INDEPENDENT:
            return N if self.batch or self.label_noise else 0
        return self.batch

    def demand(self, samples: int, labels: bool) -> None:
        """Raise ValueError where it has no meaning for so many samples, or for labels."""
        if self.batch > samples:
            raise ValueError(f"batch must be at most the number of samples {samples}, got "
                             f"{self.batch}")
        if labels and self.label_noise > 1:
            raise ValueError("label_noise must be a probability, at most 1, for a loss of labels, "
                             f"got {self.label_noise:g}")

    @property
    def random(self) -> bool:
        """Whether anything is drawn."""
        return bool(self.batch or self.label_noise or self.gradient_noise) or self.bits < 0


def seed(rng: Seed, place: int = 0) -> int:
    """A whole number under 2^53, drawn from a seed, a Generator, or (None) the system: the first
    one, or one that has nothing to do with it.
    """
    return int(checks.generator("rng", rng).integers(2 ** 53, size=place + 1)[place])


def stochastic(batch: int | None, replace: Replace, rng: Seed, place: int = 0) -> Sampling:
    """How to draw, from the arguments that the methods share."""
    if not (isinstance(replace, bool) or (isinstance(replace, str) and replace == INDEPENDENT)):
        raise TypeError("replace must be True or False, or \"independent\", got "
                        f"{checks.short(replace)}")
    if batch is None:
        return Sampling()
    return Sampling(checks.whole("batch", batch, least=1), replace, seed(rng, place))


@dataclass(frozen=True, eq=False)
class Point:
    """Where an update asks for the gradient again, before its method sees it.

    Parameters
    ----------
    piece : Piece of signature ``abi.DIRECTION``
        (norm, params, k, s, g, u, state, move): move ← where to ask next, of a gradient −∇L = e^s g
        that was taken at u.
    norm : Norm
        The norm that the piece may ask.
    params : (·,) array
        The numbers that it is handed.
    times : int, default 1
        How often that is done.
    each : bool, default False
        Whether each sample is asked for at points of its own.
    base : str, default ""
        How the method is called that moves by what is found there.
    """

    piece: Piece
    norm: Norm
    params: np.ndarray
    times: int = 1
    each: bool = False
    base: str = ""

    def __post_init__(self) -> None:
        expect("Point", self.params, piece=(self.piece, DIRECTION))

    def demand(self, n: int) -> None:
        """Raise ValueError where its norm is not one of n numbers."""
        size = getattr(self.norm, "size", None)
        if size not in (None, n):
            raise ValueError(f"norm must be one of {n} parameters, got the {self.norm.name} norm "
                             f"of {size}")


@dataclass(frozen=True)
class Within:
    """The set of parameters that each update ends in, and how the method is called that was bound
    to it.
    """

    told: str
    base: str
