"""Diagonally grouped linear networks, in which the features of a group share a factor."""
from __future__ import annotations

from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks.groups import partition
from fastbias.engine.abi import MAP, MAP_AT, SHORT, piece
from fastbias.engine.compiled import kernel
from fastbias.pieces import norms
from fastbias.pieces.models.base import Along, Layers, Model
from fastbias.pieces.recipe import recorded

__all__ = ["grouped"]

HEAD, HIGHEST = 2, 32       # of params: k, and how many groups; the group of each feature follows


def _shared(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    if not (1 <= params[0] <= HIGHEST and params.size >= HEAD + d):
        return False
    owner, count = params[HEAD:HEAD + d], int(params[1])
    return n == count + d and bool(((owner >= 0) & (owner < count)).all())


@kernel
def _raised(x, k):
    out = 1.0
    for _ in range(k):
        out *= x
    return out


@piece(MAP, needs=_shared)
def _scaled(params, u, out):
    d = out.size
    if params.size < HEAD + d:
        return SHORT
    k, count = int(params[0]), int(params[1])
    for j in range(d):
        out[j] = _raised(u[int(params[HEAD + j])], k) * u[count + j]
    return 0


@piece(MAP_AT, needs=_shared)
def _scaled_pullback(params, u, v, out):
    d = v.size
    if params.size < HEAD + d:
        return SHORT
    k, count = int(params[0]), int(params[1])
    for g in range(count):
        out[g] = 0.0
    for j in range(d):
        g = int(params[HEAD + j])
        out[count + j] = _raised(u[g], k) * v[j]
        out[g] += k * _raised(u[g], k - 1) * u[count + j] * v[j]
    return 0


@recorded
def grouped(groups: Any, power: int = 2) -> Model:
    """Return the diagonally grouped linear network w_g = u_g^k v_g: a number u_g for each group of
    features, and a vector v.

    min ‖u‖² + ‖v‖² over F(u, v) = w is (1 + 1/k) k^{1/(k+1)} Σ_g ‖w_g‖₂^{2/(k+1)}. For k = 1 that
    is 2 Σ_g ‖w_g‖₂, the norm of the group lasso, whose maximum margin exponential losses lead to;
    beyond to stationary points of it. Gradient flow keeps u_g²/k − ‖v_g‖². With a loss that has a
    root no potential is known: for groups of several features the flow is that of no mirror
    descent (Li et al. 2023).

    Parameters
    ----------
    groups : list of lists of int
        The features of each group; each of 0 … d − 1 once. The layers are u (G,), one for each of
        G groups in their order, and v (d,).
    power : int, 1 … 32, default 2
        k; that of Li et al. is 2: w_g = u_g² v_g, of degree 3.

    Raises
    ------
    ValueError, TypeError
        Where a feature is missing, appears twice, or is no index, or power is no such number.

    References
    ----------
    Li, Nguyen, Hegde, Wong, "Implicit Regularization for Group Sparsity" (2023).

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.grouped([[0, 2], [1]])
    >>> print(model.predictor([2, 1, 0.5, 3, 1], 3), model.degree)
    [2. 3. 4.] 3
    """
    parts, k = partition("groups", groups), checks.whole("power", power, least=1, most=HIGHEST)
    d, count = sum(part.size for part in parts), len(parts)
    # compiled code has no lists: for each feature the number of its group
    owner = np.empty(d)
    for g, part in enumerate(parts):
        owner[part] = g
    cost = (1.0 + 1.0 / k) * k ** (1.0 / (k + 1))

    def sizes(v: np.ndarray) -> np.ndarray:
        return np.array([np.linalg.norm(v[part]) for part in parts])

    def balance(w: np.ndarray) -> np.ndarray:
        size = sizes(w)
        # ‖v‖² = u²/k at the least of u² + ‖v‖² with u^k ‖v‖ = ‖w‖
        u = (np.sqrt(k) * size) ** (1.0 / (k + 1))
        long = np.divide(u, np.sqrt(k) * size, out=np.zeros(count), where=size > 0)
        return np.concatenate([u, w * long[owner.astype(int)]])

    def invariant(layers: Layers) -> np.ndarray:
        return layers[0] ** 2 / k - sizes(layers[1]) ** 2

    def along(u: np.ndarray, a: np.ndarray, x: np.ndarray) -> Along:
        (s, v), (t, b) = (np.split(y, [count]) for y in (u, a))
        own = owner.astype(int)
        # u^k, and its first two derivatives
        one, two, three = s ** k, k * s ** (k - 1), k * (k - 1) * s ** max(k - 2, 0)
        # what turns a factor comes from all features of its group
        shared = two * np.bincount(own, x * b, count) + three * t * np.bincount(own, x * v, count)
        change = (two * t)[own]
        return change * v + one[own] * b, np.concatenate([shared, x * change])

    return Model(f"grouped({d} in {count}{'' if k == 2 else f', power={k}'})", _scaled,
                 _scaled_pullback, size=lambda d: count + d,
                 params=np.concatenate([[float(k), count], owner]), shape=(d,), degree=k + 1,
                 layers=lambda d: [(count,), (d,)],
                 identity=lambda d, scale: np.full(count + d, scale),
                 penalty=lambda w: cost * float((sizes(w) ** (2.0 / (k + 1))).sum()),
                 balance=balance, invariant=invariant, along=along,
                 bias=(lambda shape: norms.group(parts)) if k == 1 else None,
                 exponent=2.0 / (k + 1) if k > 1 else None,
                 source="Lyu & Li (2020); Li, Nguyen, Hegde, Wong (2023)")


EXAMPLES: tuple[Model, ...] = (grouped([[0, 3], [2], [1, 4]]), grouped([[1, 0], [2]], power=1),
                               grouped([[0], [1], [2, 3]], power=3))
