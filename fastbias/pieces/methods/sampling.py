"""Everything that draws: mini-batches, eq. (2), and the coordinate that moves, with its ties."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastbias import checks
from fastbias.engine.abi import DIRECTION, SAMPLE, SHORT, Piece, kernel, piece
from fastbias.pieces.recipe import Seed

__all__ = ["Sampling", "coordinate", "seed", "stochastic"]


@kernel
def _draw(seed, k, i, count):
    """A number in 0 … count − 1 that depends on (seed, k, i) alone: SplitMix64 of a counter (Steele
    et al. 2014).
    """
    x = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(k) \
        * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(32)
    x = x * np.uint64(0xDA942042E4DD58B5) + np.uint64(i)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    # 53 bits: at most 1 − 2^−53, whose product with count rounds to less than count
    return int(float(x >> np.uint64(11)) * 2.0 ** -53 * count)


def _batch_in(params: np.ndarray, order: int, batch: int | None = None) -> bool:
    return bool(1 <= params[1] <= ((order - 1) // 2 if batch is None else batch))


@piece(SAMPLE)
def _all(params, k, order):
    return 0


@piece(SAMPLE, needs=_batch_in)
def _with_replacement(params, k, order):
    N = (order.size - 1) // 2
    batch = max(1, min(N, int(params[1])))
    for i in range(batch):
        order[i] = _draw(params[0], k, i, N)
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
            j = _draw(params[0], epoch, i, i + 1)
            order[N + i], order[N + j] = order[N + j], order[N + i]
        order[2 * N] = epoch
    first = (k - epoch * steps_per_epoch) * batch
    count = min(batch, N - first)
    for i in range(count):
        order[i] = order[N + first + i]
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
    chosen = _draw(params[3], k, 0, tied) if params[1] == 2.0 else 0
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


@dataclass(frozen=True)
class Sampling:
    """How an update draws its samples: batch size (0: all), with or without replacement, and the
    seed.
    """

    batch: int = 0
    replace: bool = True
    seed: int = 0

    @property
    def piece(self) -> Piece:
        """The compiled sampler."""
        return _all if not self.batch else _with_replacement if self.replace else _by_permutation

    @property
    def params(self) -> np.ndarray:
        """What the sampler is handed."""
        return np.array([float(self.seed), float(self.batch)])


def seed(rng: Seed) -> int:
    """A whole number under 2^53, drawn from a seed, a Generator, or (None) the system."""
    return int(checks.generator("rng", rng).integers(2 ** 53))


def stochastic(batch: int | None, replace: bool, rng: Seed) -> Sampling:
    """How to draw, from the arguments that the methods share."""
    if not isinstance(replace, bool):
        raise TypeError(f"replace must be True or False, got {checks.short(replace)}")
    if batch is None:
        return Sampling()
    return Sampling(checks.whole("batch", batch, least=1), replace, seed(rng))
