"""Whole numbers that several threads read and write at once, and vectors by their addresses.

What `put` writes, and all that was written before, is there for whoever sees it by `seen` or
`drawn`. Without the compiler there is one thread, and each is its plain namesake.
"""
from __future__ import annotations

from ctypes import c_double, c_int64
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import populate_array

from fastbias.engine.lending import Lent
from fastbias.engine.simd import _either

__all__ = ["breathe", "drawn", "numbers_at", "place_of", "put", "seen", "swapped",
           "wholes_at"]


def _cell(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The pointer to the entry of an array that the first two arguments say."""
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    return builder.gep(data, [args[1]])


@_either(lambda a, i: int(a[i]))
def seen(typing: Any, a: Any, i: Any) -> Any:
    """a[i], and with it all that was written before whoever wrote it did."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_cell(context, builder, signature, args), "acquire", 8)
    return types.int64(a, types.intp), code


def _put(a, i, value):
    a[i] = value


@_either(_put)
def put(typing: Any, a: Any, i: Any, value: Any) -> Any:
    """a[i] ← value, once all that was written before is there for others."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _cell(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()
    return types.none(a, types.intp, types.int64), code


def _drawn(a, i):
    a[i] += 1
    return int(a[i]) - 1


@_either(_drawn)
def drawn(typing: Any, a: Any, i: Any) -> Any:
    """a[i] ← a[i] + 1; what stood there before: no two are told the same."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cell = _cell(context, builder, signature, args)
        return builder.atomic_rmw("add", cell, ir.Constant(ir.IntType(64), 1), "acq_rel")
    return types.int64(a, types.intp), code


def _swapped(a, i, old, new):
    same = int(a[i]) == old
    if same:
        a[i] = new
    return same


@_either(_swapped)
def swapped(typing: Any, a: Any, i: Any, old: Any, new: Any) -> Any:
    """If a[i] is old, a[i] ← new, and True: of several who try one has it."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cell = _cell(context, builder, signature, args)
        result = builder.cmpxchg(cell, args[2], args[3], "acq_rel", "acquire")
        return builder.extract_value(result, 1)
    return types.boolean(a, types.intp, types.int64, types.int64), code


@_either(lambda: None)
def breathe(typing: Any) -> Any:
    """Tell the processor that this is a loop that waits, where it has a word for that."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        machine = str(builder.module.triple).partition("-")[0]
        if machine in ("x86_64", "i386", "i586", "i686"):
            _call(builder, "llvm.x86.sse2.pause", [])
        elif machine in ("aarch64", "arm64"):
            _call(builder, "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)])     # yield
        return context.get_dummy_value()
    return types.none(), code


def _call(builder: Any, name: str, args: list[Any]) -> None:
    """Call what LLVM knows by name, and returns nothing."""
    kind = ir.FunctionType(ir.VoidType(), [arg.type for arg in args])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


@_either(lambda a: int(a.ctypes.data))
def place_of(typing: Any, a: Any) -> Any:
    """The address of an array's first entry."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(a)(context, builder, args[0]).data
        return builder.ptrtoint(data, ir.IntType(64))
    return types.int64(a), code


def _array_at(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The array that begins at an address and has so many entries of eight bytes."""
    out = context.make_array(signature.return_type)(context, builder)
    eight = context.get_constant(types.intp, 8)
    populate_array(out, data=builder.inttoptr(args[0], out.data.type), shape=[args[1]],
                   strides=[eight], itemsize=eight, meminfo=None)
    return out._getvalue()


@_either(lambda address, size: np.ctypeslib.as_array((c_double * size).from_address(address)))
def numbers_at(typing: Any, address: Any, size: Any) -> Any:
    """The (size,) float64 at an address, which somebody else owns."""
    return Lent(types.float64, 1, "C")(types.int64, types.intp), _array_at


@_either(lambda address, size: np.ctypeslib.as_array((c_int64 * size).from_address(address)))
def wholes_at(typing: Any, address: Any, size: Any) -> Any:
    """The (size,) int64 at an address, which somebody else owns."""
    return Lent(types.int64, 1, "C")(types.int64, types.intp), _array_at
