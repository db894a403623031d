"""Vectors of eight doubles whose entries lie apart in memory, or are fewer than eight.

``spaced8(a, i, step, last)`` is a[i], a[i + step], …, a[i + last step] as one value of
`fastbias.engine.simd`; the lanes behind the last-th, if there are any, repeat it, and nothing
behind it is read: of a last group that is not full, too. ``spread`` writes such a value back. Where
step and last are written out, the compiler makes whole vectors of it where it can.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from fastbias.engine.simd import V8, _either

__all__ = ["spaced8", "spread"]

_INT = ir.IntType(32)


def _entries(i, step, last):
    return i + step * np.minimum(np.arange(8), last)


def _places(context: Any, builder: Any, signature: Any, args: Any) -> Iterator[tuple[Any, Any]]:
    """The lanes, and where in args[0] the entry of each is, by the other arguments of `spaced8`."""
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    for number in range(8):
        own = context.get_constant(types.intp, number)
        own = builder.select(builder.icmp_signed("<", own, args[3]), own, args[3])
        place = builder.add(args[1], builder.mul(own, args[2]))
        yield _INT(number), builder.gep(data, [place])


@_either(lambda a, i, step, last: a[_entries(i, step, last)])
def spaced8(typing: Any, a: Any, i: Any, step: Any, last: Any) -> Any:
    """a[i + step min(l, last)], l = 0 … 7."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = ir.Constant(V8.kind, ir.Undefined)
        for lane, place in _places(context, builder, signature, args):
            v = builder.insert_element(v, builder.load(place), lane)
        return v
    return V8(a, types.intp, types.intp, types.intp), code


def _spread(a, i, step, last, v):
    a[_entries(i, step, last)] = v


@_either(_spread)
def spread(typing: Any, a: Any, i: Any, step: Any, last: Any, v: Any) -> Any:
    """a[i + step min(l, last)] ← v[l]; lanes behind the last-th must hold what it holds."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for lane, place in _places(context, builder, signature, args):
            builder.store(builder.extract_element(args[4], lane), place)
        return context.get_dummy_value()
    return types.none(a, types.intp, types.intp, types.intp, V8), code
