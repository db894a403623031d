"""Models of which some layers are held: they are numbers, as data are, and no parameters."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import SHORT, Piece, piece
from fastbias.engine.compiled import inner, kernel
from fastbias.pieces.models.base import Along, Model
from fastbias.pieces.models.entrywise import diagonal
from fastbias.pieces.models.matrices import factorised
from fastbias.pieces.recipe import recorded

__all__ = ["frozen"]

HEAD = 2                # of params: how many parameters the model has, and how many numbers


@kernel
def _whole(params, u):
    """All parameters of the model: where a mask is 0 those that are held, elsewhere u."""
    full, at = int(params[0]), HEAD + int(params[1])
    out, k = params[at + full:at + 2 * full].copy(), 0
    for i in range(full):
        if params[at + i] != 0.0:
            out[i] = u[k]
            k += 1
    return out


def _own(params: Any, *vectors: Any) -> int:
    """Stands for the model's own piece, which takes its place in the two functions below."""
    return SHORT


def _with_held(params: Any, u: Any, out: Any) -> Any:
    if params.size < HEAD:
        return SHORT
    return _own(params[HEAD:HEAD + int(params[1])], _whole(params, u), out)


def _with_held_pullback(params: Any, u: Any, v: Any, out: Any) -> Any:
    if params.size < HEAD:
        return SHORT
    full, at, k = int(params[0]), HEAD + int(params[1]), 0
    # what is pulled back to held layers is dropped
    pulled = np.empty(full)
    status = _own(params[HEAD:at], _whole(params, u), v, pulled)
    for i in range(full):
        if params[at + i] != 0.0:
            out[k] = pulled[i]
            k += 1
    return status


@cache
def _around(template: Callable[..., Any], own: Piece) -> Piece:
    """A piece that is one of the two above, with a model's own piece in it.

    It is a function without a closure and of a name that tells which: the disk cache finds it
    again, where a closure over compiled code would be another in each process.
    """
    name, theirs = template.__name__, f"{own.function.__module__}.{own.function.__qualname__}"
    made = FunctionType(template.__code__, globals() | {"_own": inner(own.function)},
                        f"{name}_{own.__name__}")
    made.__qualname__ = f"{name}_{blake2b(theirs.encode(), digest_size=8).hexdigest()}"
    made.__module__ = __name__

    def fits(params: np.ndarray, n: int, d: int, *_: int) -> bool:
        full, numbers = int(params[0]), int(params[1])
        mask = params[HEAD + numbers:HEAD + numbers + full]
        return (min(full, numbers + 1) > 0 and params.size == HEAD + numbers + 2 * full
                and n == int((mask != 0).sum())
                and own.fits(params[HEAD:HEAD + numbers], full, d, full))
    return piece(own.signature, needs=fits)(made)


def _indices(layers: Any) -> list[int]:
    """The numbers of the layers that are held, in the order in which they were given."""
    told = "a layer's number, or a list of such, each once"
    if not hasattr(layers, "__len__"):
        return [checks.whole("layers", layers)]
    found = [checks.whole("layers", float(i)) for i in checks.array("layers", layers, told, dims=1)]
    if len(set(found)) < len(found):
        raise ValueError(f"layers must be {told}, got {checks.short(layers)}")
    return found


def _shapes(model: Model, d: int) -> list[tuple[int, ...]]:
    return [(model.parameters(d),)] if model.layers is None else model.layers(d)


def _length(model: Model, given: int | None, held: dict[int, np.ndarray]) -> int:
    """The length d of predictors: the model's own, or the one at which layers have the shapes of
    the values; ValueError where it must be given, or there is none.
    """
    def fits(d: int) -> bool:
        shapes = _shapes(model, d)
        return all(i < len(shapes) and shapes[i] == value.shape for i, value in held.items())

    if given is None and model.length is None:
        # d is among the sides of its layers, unless they have other sizes whatever d is
        seen = sorted({side for value in held.values() for side in value.shape})
        fitting = [d for d in seen if fits(d)]
        if len(fitting) > 1 or fits(seen[-1] + 1):
            raise ValueError(f"size must be given for {model!r}, whose layers of these shapes do "
                             "not tell how long predictors are, got None")
        d = fitting[0] if fitting else seen[0]
    else:
        d = checks.whole("size", model.length if given is None else given, least=1)
    if model.length not in (None, d):
        raise ValueError(f"size must be {model.length}, the only one of {model!r}, got {d}")
    if not fits(d):
        raise ValueError(f"values must have the shapes of the layers of {model!r}, which are "
                         f"{', '.join(map(str, _shapes(model, d)))} for predictors of length {d}, "
                         f"got {', '.join(f'{v.shape} for {i}' for i, v in held.items())}")
    return d


@recorded
def frozen(model: Model, layers: Any, values: ArrayLike, size: int | None = None) -> Model:
    """Return a model some of whose layers are held at values: w = F(u), u being the others.

    What is held is no parameter: its gradient is asked by nobody, and no step, momentum, noise or
    weight decay moves it; ``start``, ``trace.u`` and ``plan.u`` have the layers that are left. Of a
    model that is linear in each of its layers, as products are, the degree is the number of these,
    and the theorems on homogeneous models speak of it: with one left it is linear in u. Of others
    none is declared.

    Parameters
    ----------
    model : Model
        Of several layers.
    layers : int, or list of int
        The numbers of those that are held, from 0; at least one is left.
    values : array, or list of arrays
        What they are held at, in the shapes that they have.
    size : int, optional
        The length d of predictors, where neither the model nor these shapes tell.

    Raises
    ------
    ValueError, TypeError
        Where an argument is bad, or nothing is left to move.

    Examples
    --------
    >>> import fastbias as fb
    >>> model = fb.models.frozen(fb.models.diagonal(3), 1, [2, 0, 1])
    >>> print(model.layers(3), model.predictor([1, 1, 1, 3, 4, 5], 3), model.degree)
    [(3,), (3,)] [6. 0. 5.] 2
    """
    if not isinstance(model, Model):
        raise TypeError(f"model must be a Model of fb.models, got {checks.short(model)}")
    indices = _indices(layers)
    told = "an array for each layer that is held"
    given = [values] if not hasattr(layers, "__len__") else values
    if not hasattr(given, "__len__") or len(given) != len(indices):  # type: ignore[arg-type]
        raise ValueError(f"values must be {told}, got {checks.short(values)}")
    held = {i: checks.array("values", value, told, dims=(1, 2))
            for i, value in zip(indices, given, strict=True)}  # type: ignore[arg-type]
    d = _length(model, size, held)
    shapes = _shapes(model, d)
    left = [shape for i, shape in enumerate(shapes) if i not in held]
    if not left:
        raise ValueError(f"layers must leave one of the {len(shapes)} of {model!r} free, got "
                         f"{checks.short(layers)}")
    # layer after layer, as all parameters stand in a u of the model itself
    mask = np.concatenate([np.full(np.prod(shape), float(i not in held))
                           for i, shape in enumerate(shapes)])
    fixed = np.concatenate([held[i].ravel() if i in held else np.zeros(np.prod(shape))
                            for i, shape in enumerate(shapes)])
    free, identity = mask != 0, model.identity
    second = model.second

    def along(u: np.ndarray, a: np.ndarray, v: np.ndarray) -> Along:
        whole, move = fixed.copy(), np.zeros(fixed.size)
        # what is held does not move, so that its derivatives are those of the others alone
        whole[free], move[free] = u, a
        assert second is not None
        moved, turned = second(whole, move, v)
        return moved, turned[free]

    # no law is asked of a model of one's own that is inside another
    products = model.multilinear and hasattr(model, "recipe")
    return Model(
        f"frozen({model.name}, {', '.join(map(str, indices))})",
        _around(_with_held, model.forward), _around(_with_held_pullback, model.pullback),
        size=lambda d: int(free.sum()), shape=model.shape or (d,),
        params=np.concatenate([[float(mask.size), model.params.size], model.params, mask, fixed]),
        layers=lambda d: list(left), along=None if second is None else along,
        identity=None if identity is None else lambda d, scale: identity(d, scale)[free],
        degree=len(left) if products else 0, multilinear=products,
        # of what is no product theorems are another's, or none
        source="Lyu & Li (2020)" if products else model.source)


EXAMPLES: tuple[Model, ...] = (
    frozen(diagonal(2), 1, [0.5, -2.0, 1.0]),
    frozen(diagonal(3, signed=True), 0, [1.0, 0.3]),
    frozen(factorised(2, 3, [2, 2], depth=3), [0, 2],
           [[[1.0, 0.5], [0.0, -1.0]], [[0.3, 1.0], [1.0, 0.0], [-0.7, 2.0]]]))
