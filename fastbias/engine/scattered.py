"""Entries of a vector at places that 32-bit whole numbers say, one or eight of them at a time.

Places stand in an array of float64, two in each number's bits: a run has one array for all that it
knows of its data. As they are unsigned nobody asks whether one counts from the end, which would
double what an entry costs.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from fastbias.engine.simd import V8, _either

__all__ = ["gathered", "place", "put", "scattered"]

_WORD, _LONG = ir.IntType(32), ir.IntType(64)


def _places(packed, base):
    return packed[base:].view(np.uint32)


def _data(context: Any, builder: Any, signature: Any, args: Any, which: int) -> Any:
    """The pointer behind an array among the arguments."""
    return context.make_array(signature.args[which])(context, builder, args[which]).data


def _at(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Where the i-th place behind packed[base] stands."""
    words = builder.gep(_data(context, builder, signature, args, 0), [args[1]])
    return builder.gep(builder.bitcast(words, _WORD.as_pointer()), [args[2]])


def _eight(builder: Any, at: Any) -> list[Any]:
    """Eight places from one on."""
    return [builder.zext(builder.load(builder.gep(at, [_LONG(k)]), align=4), _LONG)
            for k in range(8)]


def _far(builder: Any, data: Any, start: Any, places: list[Any]) -> list[Any]:
    """Pointers to the entries at places, counted from one on."""
    origin = builder.gep(data, [start])
    return [builder.gep(origin, [j]) for j in places]


@_either(lambda packed, base, i: int(_places(packed, base)[i]))
def place(typing: Any, packed: Any, base: Any, i: Any) -> Any:
    """The i-th of the places that begin at packed[base]."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _at(context, builder, signature, args)
        return builder.zext(builder.load(at, align=4), _LONG)
    return types.intp(packed, types.intp, types.intp), code


def _put(packed, base, i, j):
    _places(packed, base)[i] = j


@_either(_put)
def put(typing: Any, packed: Any, base: Any, i: Any, j: Any) -> Any:
    """Make j the i-th of the places that begin at packed[base]."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _at(context, builder, signature, args)
        builder.store(builder.trunc(args[3], _WORD), at, align=4)
        return context.get_dummy_value()
    return types.none(packed, types.intp, types.intp, types.intp), code


@_either(lambda packed, base, i, w, start: w[start + _places(packed, base)[i:i + 8].astype(int)])
def gathered(typing: Any, packed: Any, base: Any, i: Any, w: Any, start: Any) -> Any:
    """w[start + j] for the eight places j from the i-th on, as a vector."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = _eight(builder, _at(context, builder, signature, args))
        out = ir.Constant(V8.kind, ir.Undefined)
        for k, entry in enumerate(_far(builder, _data(context, builder, signature, args, 3),
                                       args[4], places)):
            out = builder.insert_element(out, builder.load(entry, align=8), _WORD(k))
        return out
    return V8(packed, types.intp, types.intp, w, types.intp), code


def _scattered(packed, base, i, g, start, v):
    g[start + _places(packed, base)[i:i + 8].astype(int)] += v


@_either(_scattered)
def scattered(typing: Any, packed: Any, base: Any, i: Any, g: Any, start: Any, v: Any) -> Any:
    """g[start + j] += v, lane by lane, for the eight places j from the i-th on, no two the same."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = _eight(builder, _at(context, builder, signature, args))
        for k, entry in enumerate(_far(builder, _data(context, builder, signature, args, 3),
                                       args[4], places)):
            more = builder.extract_element(args[5], _WORD(k))
            builder.store(builder.fadd(builder.load(entry, align=8), more), entry, align=8)
        return context.get_dummy_value()
    return types.none(packed, types.intp, types.intp, g, types.intp, v), code
