"""Diagonal linear networks: w = u₁∘…∘u_L entry by entry, or u^L, and differences of two such, which
have both signs.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.engine.abi import MAP, MAP_AT, SHORT, Piece, kernel, piece
from fastbias.engine.compiled import pasted
from fastbias.pieces import norms, potentials
from fastbias.pieces.models.base import Along, Coordinates, Layers, Model
from fastbias.pieces.potentials.base import Potential
from fastbias.pieces.potentials.deep import deep
from fastbias.pieces.potentials.factors import factors, kept_signs
from fastbias.pieces.recipe import recorded

__all__ = ["diagonal"]

DEEPEST = 64
SOURCE = "Gunasekar, Lee, Soudry, Srebro (2018b); Woodworth et al. (2020)"


def _whole_layers(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    return n >= d and n % d == 0


def _one_power(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    return n == d and 1 <= params[0] <= DEEPEST


def _two_products(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    return params.size > 0 and n >= 2 * d and n % (2 * d) == 0


def _two_halves(params: np.ndarray, n: int, d: int, *_: int) -> bool:
    return n == 2 * d and 1 <= params[0] <= DEEPEST


@piece(MAP, needs=_whole_layers)
def _product(params, u, out):
    d = out.size
    for j in range(d):
        out[j] = u[j]
    for i in range(d, u.size, d):
        for j in range(d):
            out[j] *= u[i + j]
    return 0


@pasted
def _pull_product(u, begin, end, d, push, out):
    """out ← push times the other factors, of the factors u[begin], u[begin + d], … before ``end``.

    Running products, and no division of w by u: an entry may be 0.
    """
    others = push
    for i in range(begin, end, d):                        # times the layers before ...
        out[i] = others
        others *= u[i]
    others = 1.0
    for i in range(end - d + begin % d, begin - 1, -d):   # ... and those behind
        out[i] *= others
        others *= u[i]


@piece(MAP_AT, needs=_whole_layers)
def _product_pullback(params, u, v, out):
    d = v.size
    for j in range(d):
        _pull_product(u, j, u.size, d, v[j], out)
    return 0


@piece(MAP, needs=_two_products)
def _products_apart(params, u, out):
    if params.size < 1:
        return SHORT
    d, half = out.size, u.size // 2
    for j in range(d):
        plus, minus = u[j], u[half + j]
        for i in range(j + d, half, d):
            plus *= u[i]
            minus *= u[half + i]
        out[j] = plus - minus
    return 0


@piece(MAP_AT, needs=_two_products)
def _products_apart_pullback(params, u, v, out):
    if params.size < 1:
        return SHORT
    d, half = v.size, u.size // 2
    for j in range(d):
        _pull_product(u, j, half, d, v[j], out)
        _pull_product(u, half + j, u.size, d, -v[j], out)
    return 0


@kernel
def _power(x, k):
    out = 1.0
    for _ in range(k):
        out *= x
    return out


@piece(MAP, needs=_one_power)
def _powers(params, u, out):
    if params.size < 1:
        return SHORT
    for j in range(out.size):
        out[j] = _power(u[j], int(params[0]))
    return 0


@piece(MAP_AT, needs=_one_power)
def _powers_pullback(params, u, v, out):
    if params.size < 1:
        return SHORT
    L = int(params[0])
    for j in range(v.size):
        out[j] = L * _power(u[j], L - 1) * v[j]
    return 0


@piece(MAP, needs=_two_halves)
def _difference(params, u, out):
    if params.size < 1:
        return SHORT
    d, L = out.size, int(params[0])
    for j in range(d):
        out[j] = _power(u[j], L) - _power(u[d + j], L)
    return 0


@piece(MAP_AT, needs=_two_halves)
def _difference_pullback(params, u, v, out):
    if params.size < 1:
        return SHORT
    d, L = v.size, int(params[0])
    for j in range(d):
        out[j] = L * _power(u[j], L - 1) * v[j]
        out[d + j] = -L * _power(u[d + j], L - 1) * v[j]
    return 0


def products_along(rows: np.ndarray, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The change (d,) along moves (L, d) of the product of rows (L, d), and those (L, d) of the
    products of all rows but one.
    """
    L, one, none = len(rows), np.ones_like(rows[0]), np.zeros_like(rows[0])
    # running products and their changes, from both ends: no division, as entries may be 0
    ahead, behind = [(one, none)], [(one, none)]
    for i in range(L):
        p, dp = ahead[-1]
        ahead.append((p * rows[i], dp * rows[i] + p * moves[i]))
        p, dp = behind[-1]
        behind.append((p * rows[L - 1 - i], dp * rows[L - 1 - i] + p * moves[L - 1 - i]))
    others = [ahead[i][1] * behind[L - 1 - i][0] + ahead[i][0] * behind[L - 1 - i][1]
              for i in range(L)]
    return ahead[L][1], np.array(others)


def _product_along(u: np.ndarray, a: np.ndarray, v: np.ndarray, L: int) -> Along:
    change, others = products_along(u.reshape(-1, v.size), a.reshape(-1, v.size))
    return change, (v * others).ravel()


def _powers_along(u: np.ndarray, a: np.ndarray, v: np.ndarray, L: int) -> Along:
    # (u^{L−2} is 1/u where L = 1, whose second derivative is 0)
    return L * u ** (L - 1) * a, (L * (L - 1) * u ** (L - 2) * a * v if L > 1 else np.zeros_like(u))


def _apart(along: Callable[..., Along]) -> Callable[..., Along]:
    """The same of a difference, whose second part is pushed the other way."""
    def both(u: np.ndarray, a: np.ndarray, v: np.ndarray, L: int) -> Along:
        # each part by itself: neither sees the parameters of the other
        (plus, up), (minus, down) = (along(x, b, way * v, L) for x, b, way in zip(
            u.reshape(2, -1), a.reshape(2, -1), (1.0, -1.0), strict=True))
        return plus - minus, np.concatenate([up, down])
    return both


def _signed_invariant(layers: Layers, L: int) -> np.ndarray:
    """u₊u₋ where L = 2, else u₊^{2−L} + u₋^{2−L} (infinite where an entry is 0: then it stays
    0).
    """
    plus, minus = layers
    if L == 2:
        return plus * minus
    with np.errstate(divide="ignore"):
        return np.asarray(plus ** (2.0 - L) + minus ** (2.0 - L))


def _squares(layers: Layers) -> np.ndarray:
    """Differences of the squares of neighbouring factors."""
    return np.array([a * a - b * b for a, b in pairwise(layers)])


def _halved(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p, q with u₁u₂ = p² − q², exactly 0 where factors balance exactly."""
    one, two = u.reshape(2, -1)
    return 0.5 * one + 0.5 * two, 0.5 * one - 0.5 * two


def _halved_apart(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of u₊v₊ − u₋v₋, whose parts with a minus grow as those with a plus fall."""
    (plus, up), (minus, down) = (_halved(part) for part in u.reshape(2, -1))
    return np.hypot(plus, down), np.hypot(up, minus)


def _deep_mirror(u: np.ndarray, L: int) -> Potential | None:
    """The potential of the flow of a signed network of depth L > 2; None from a start whose odd
    powers are negative: there u₊ and u₋ change places.
    """
    p, q = np.abs(u).reshape(2, -1)
    return None if L % 2 and (u < 0).any() else deep(p, q, L)


def _power_mirror(u: np.ndarray, L: int) -> Potential | None:
    """That of the flow of w = u^L: the half of a signed network that has the sign of w."""
    # (even powers are never negative, whatever the sign of u)
    minus = np.maximum(-u, 0.0) if L % 2 else 0.0 * u
    return deep(np.where(minus > 0.0, 0.0, np.abs(u)), minus, L)


def _obstacle(amplitudes: tuple[np.ndarray, np.ndarray], Z: np.ndarray,
              w: np.ndarray) -> str | None:
    """What keeps the flow of a network of depth 2 from the ℓ1 maximum margin: "" nothing, None
    where that is not known.

    The flow is the mirror flow of `Factors`: dz/dτ = Zᵀq, with q the softmax weights of the samples
    and dτ = L dt. For v of length one, of the signs that are kept, and of margins ≥ γ, ⟨v, z⟩ grows
    by γ dτ or more, so at last log‖w‖₁ does. With M = −log L, d‖w‖₁/dτ → M + H(q), while M/‖w‖₁
    never falls: it tends to γ, the maximum over the signs that are kept.
    """
    kept = kept_signs(*amplitudes)
    kind = np.isnan(kept)
    if (np.where(kind, -np.abs(w), kept * w) >= 0).all():
        return ""
    # the ratio of two margins is free of the size of Z; the program's tolerances are not
    d, rows = w.size, Z / np.abs(Z).max()
    best = float((rows @ w).min() / np.abs(w).sum())
    sides = [(0, 0 if dead or sign * side < 0 else None) for side in (1, -1) for dead,
             sign in zip(kind, kept, strict=True)]
    # max t: Z (a − b) ≥ t, Σ a + b = 1, a, b ≥ 0
    try:
        answer = foreign.ask("the margin over the signs that are kept", "scipy.optimize.linprog",
                             np.append(np.zeros(2 * d), -1.0),
                             A_ub=np.hstack([-rows, rows, np.ones((len(Z), 1))]),
                             b_ub=np.zeros(len(Z)), A_eq=np.append(np.ones(2 * d), 0.0)[None],
                             b_eq=np.ones(1),
                             bounds=[*sides, (None, None)], method="highs-ds")
    except foreign.Unsolved:
        return None
    if answer.status == 0 and -answer.fun >= (1.0 - 1e-9) * best:
        return ""
    if answer.status != 2 and (answer.status != 0 or -answer.fun > (1.0 - 1e-6) * best):
        return None
    wrong = int((np.where(kind, -np.abs(w), kept * w) < -1e-6 * np.abs(w).max()).sum())
    return f"{wrong} of its signs are others than those that exactly balanced factors keep for ever"


# trial states of an integrator may overshoot: their predictors are held under 1e140
MOST = 140.0


def _signed_coordinates(u: np.ndarray, L: int) -> Coordinates | None:
    """The logarithm of u₊/u₋ against that of the start; of depth L > 2 times L − 2, and u₊^{2−L} +
    u₋^{2−L} is held.

    An entry that is 0 stays 0, and the other goes its way alone.
    """
    # its u^{L−2} pushes the other way round
    if L % 2 and (u < 0).any():
        return None
    k, size = max(L - 2, 1), np.abs(u).reshape(2, -1)
    with np.errstate(divide="ignore"):
        plus, minus = k * np.log(size)
    alone = (size == 0).any(axis=0)
    plus, minus = np.where(alone, 0.0, plus), np.where(alone, 0.0, minus)
    total = np.logaddexp(-plus, -minus)                            # log(u₊^{2−L} + u₋^{2−L})

    def back(x: np.ndarray) -> np.ndarray:
        ratio = x + plus - minus
        logs = np.array([np.logaddexp(0.0, ratio) - total - plus,
                         np.logaddexp(0.0, -ratio) - total - minus])
        logs = np.where(alone, [x, -x], logs) if L > 2 else np.array([x, -x])
        return np.clip(u * np.exp(np.minimum(logs / k, 700.0)).ravel(), -(10.0 ** (MOST / L)),
                       10.0 ** (MOST / L))

    def rate(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        both = np.abs(back(x).reshape(2, -1)) ** (L - 2) * (size > 0)
        return np.asarray(L * (L - 2) * v * both.sum(axis=0) if L > 2
                          else L * v * (both.max(axis=0)))

    return Coordinates(np.zeros(size.shape[1]), back, rate)


def _product_coordinates(u: np.ndarray, L: int) -> Coordinates:
    """The integral x of v Π_{l>2} u_l, layers sorted by size: u₁ + u₂ grows like e^x and u₂ − u₁
    like e^−x.

    All others follow from u_l² − u₁², which is kept; only u₁ may come to 0, and cross it, and x
    takes no notice.
    """
    layers = u.reshape(L, -1)
    order = np.argsort(np.abs(layers), axis=0, kind="stable")
    rows = np.take_along_axis(layers, order, axis=0)
    turn = np.where(rows[1] < 0, -1.0, 1.0)
    one, two, rest = turn * rows[0], np.abs(rows[1]), rows[2:]
    grows, falls, signs = one + two, two - one, np.where(rest < 0, -1.0, 1.0)
    # √(a² − b²) as a product of roots: squares would cancel, and vanish
    above = np.sqrt(np.abs(rest) - np.abs(one)) * np.sqrt(np.abs(rest) + np.abs(one))
    # two factors that are 0 never move
    live = np.where(two == 0, 0.0, 1.0)

    def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        up, down = (np.minimum(size * np.exp(np.minimum(to, 700.0)), 10.0 ** (MOST / L))
                    for size, to in ((grows, x), (falls, -x)))
        first = 0.5 * (up - down)
        return first, 0.5 * (up + down), signs * np.hypot(first, above)

    def back(x: np.ndarray) -> np.ndarray:
        first, second, others = parts(x)
        out = np.empty_like(layers)
        np.put_along_axis(out, order, np.vstack([[turn * first], [turn * second], others]), axis=0)
        return out.ravel()

    return Coordinates(np.zeros(layers.shape[1]),
                       back, lambda x, v: live * v * parts(x)[2].prod(axis=0))


def _power_coordinates(u: np.ndarray, L: int) -> Coordinates | None:
    """Those of u₊ where u₋ = 0."""
    found = _signed_coordinates(np.append(u, 0.0 * u), L)
    if found is None:
        return None
    begin, both, rate = found
    return Coordinates(begin, lambda x: both(x)[:begin.size], rate)


def _apart_coordinates(u: np.ndarray, L: int) -> Coordinates:
    """Those of either product, of which the second is pushed the other way."""
    plus, minus = (_product_coordinates(part, L) for part in u.reshape(2, -1))
    d = plus.start.size
    return Coordinates(np.zeros(2 * d),
                       lambda x: np.concatenate([plus.u(x[:d]), minus.u(x[d:])]),
                       lambda x, v: np.concatenate([plus.rate(x[:d], v), minus.rate(x[d:], -v)]))


def _roots(w: np.ndarray, L: int) -> np.ndarray | None:
    """u with u^L = w; None where an even power would have to be negative."""
    if L % 2 == 0 and (w < 0).any():
        return None
    return np.asarray(np.sign(w) * np.abs(w) ** (1 / L))


def _factors_of(w: np.ndarray, L: int) -> np.ndarray:
    root = np.abs(w) ** (1 / L)
    return np.concatenate([np.sign(w) * root] + [root] * (L - 1))


def _parts_of(w: np.ndarray, L: int, copies: int) -> np.ndarray:
    return np.concatenate([np.maximum(side, 0) ** (1 / L) for side in (w, -w)
                           for _ in range(copies)])


class _Kind(NamedTuple):
    """What a network of a kind is made of; L is its depth."""

    name: str
    forward: Piece
    pullback: Piece
    count: Callable[[int], int]                           # L → how many layers (d,)
    # u → p, q with w = p² e^z − q² e^{−z} along the flow of L = 2, exactly 0 where factors balance
    amplitudes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    balance: Callable[[np.ndarray, int], np.ndarray | None]
    invariant: Callable[[Layers, int], np.ndarray] | None
    coordinates: Callable[[np.ndarray, int], Coordinates | None]
    along: Callable[[np.ndarray, np.ndarray, np.ndarray, int], Along]


KINDS = {                                                 # signed, tied
    (False, False): _Kind("", _product, _product_pullback, lambda L: L, _halved, _factors_of,
                          lambda layers, L: _squares(layers), _product_coordinates, _product_along),
    (False, True): _Kind(", tied", _powers, _powers_pullback, lambda L: 1, lambda u: (u, 0.0 * u),
                         _roots, None, _power_coordinates, _powers_along),
    (True, True): _Kind(", signed", _difference, _difference_pullback, lambda L: 2,
                        lambda u: (u[:u.size // 2], u[u.size // 2:]),
                        lambda w, L: _parts_of(w, L, 1), _signed_invariant, _signed_coordinates,
                         _apart(_powers_along)),
    (True, False): _Kind(", signed, untied", _products_apart, _products_apart_pullback,
                         lambda L: 2 * L, _halved_apart, lambda w, L: _parts_of(w, L, L),
                         lambda layers, L: np.concatenate([_squares(layers[:L]),
                                                           _squares(layers[L:])]),
                         _apart_coordinates, _apart(_product_along)),
}


@recorded
def diagonal(depth: int, signed: bool = False, tied: bool | None = None) -> Model:
    """Return the diagonal network of a depth: w = u₁∘…∘u_L, or with ``signed`` w = u₊^L − u₋^L.

    ``tied`` says whether the L factors are one vector, of which there are two kinds more: w = u^L,
    and w = Π u₊ₗ − Π u₋ₗ with factors of their own (u₊v₊ − u₋v₋ for L = 2).

    ‖u‖² ≥ R(w) = L Σ|w_j|^{2/L} (tied: Σ|w_j|^{2/L}), so that losses with an exponential tail lead
    to the ℓ1 maximum margin for L = 2, and to stationary points of ‖w‖_{2/L} beyond. With a loss
    that has a root, gradient flow of L = 2 is mirror flow of the hyperbolic entropy: from u₊ = u₋ =
    α it ends at argmin α² Σ q(w_j/α²), q(z) = 2 − √(4 + z²) + z asinh(z/2). Tied, of L ≥ 3,
    it is that of another potential, from α1 argmin Σ q_L(w_j/α^L), q_L' the inverse of
    (1 − z)^{−L/(L−2)} − (1 + z)^{−L/(L−2)}, of which w = u^L has the first power alone: ψ'' ∝
    |w|^{2/L−2} on the signs of the start.

    Parameters
    ----------
    depth : int, 1 … 64 (signed: 2 … 64)
        L. The layers are L vectors (d,), of w = u^L one; with ``signed`` they are u₊ and u₋, or of
        factors of their own L of u₊ and then L of u₋. An unsigned network keeps the signs of w that
        balanced layers start with; u^L has but one sign where L is even.
    signed : bool, default False
    tied : bool, default ``signed``

    Raises
    ------
    ValueError, TypeError
        Where depth is no such number.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro, "Implicit bias of gradient descent on linear convolutional
    networks" (2018); Woodworth et al., "Kernel and rich regimes in overparametrized models" (2020).

    Examples
    --------
    >>> import fastbias as fb
    >>> gd = fb.methods.gradient_descent(0.01)
    >>> model = fb.models.diagonal(2, signed=True)
    >>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=gd, model=model,
    ...                start=model.start(0.01))
    >>> print(plan.run(2000).w[-1].round(2))
    [0.01 0.5 ]
    >>> fb.models.diagonal(2, signed=True, tied=False).predictor([3, 2, 5, 1], 1)
    array([1.])
    """
    signed = checks.flag("signed", signed)
    tied = signed if tied is None else checks.flag("tied", tied)
    L = checks.whole("depth", depth, least=2 if signed else 1, most=DEEPEST)
    kind = KINDS[signed, tied]
    copies, keeps = 1 if tied else L, kind.invariant
    mirror: Callable[[np.ndarray], Potential | None] | None
    mirror = {1: lambda u: potentials.euclidean, 2: lambda u: factors(*kind.amplitudes(u))}.get(L)
    if tied and L > 2:
        mirror = partial(_deep_mirror if signed else _power_mirror, L=L)
    return Model(
        f"diagonal({L}{kind.name})", kind.forward, kind.pullback,
        size=lambda d: kind.count(L) * d, params=np.array([float(L)]), degree=L,
        multilinear=not signed and (not tied or L == 1),
        layers=lambda d: [(d,)] * kind.count(L),
        identity=lambda d, scale: np.full(kind.count(L) * d, scale),
        penalty=lambda w: float(copies * (np.abs(w) ** (2 / L)).sum()),
        balance=lambda w: kind.balance(w, L),
        invariant=(lambda layers: keeps(layers, L)) if L > 1 and keeps is not None else None,
        bias={1: lambda shape: norms.l2, 2: lambda shape: norms.l1}.get(L),
        exponent=2 / L if L > 2 else None,
        mirror=mirror, multiplied=L == 2, along=lambda u, a, v: kind.along(u, a, v, L),
        reach=(lambda layers, Z, w: _obstacle(kind.amplitudes(np.concatenate(layers)), Z, w))
        if L == 2 else None,
        coordinates=(lambda u: kind.coordinates(u, L)) if L > 1 else None, source=SOURCE)


EXAMPLES: tuple[Model, ...] = (diagonal(2), diagonal(3), diagonal(6), diagonal(2, signed=True),
                               diagonal(3, signed=True), diagonal(5, signed=True),
                               diagonal(2, tied=True), diagonal(3, tied=True),
                               diagonal(2, signed=True, tied=False),
                               diagonal(3, signed=True, tied=False))
