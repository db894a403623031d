"""Vectors of eight or four doubles inside compiled code, and the functions of them that kernels
need.

Numba's loops over arrays are vectorised if LLVM sees fit, and then by its own rules: half the
machine's width, spilled accumulators, an exp that calls a library for each element. Here a vector
is a value: it lives in a register, an operation on it is one instruction, and nothing is left to
luck. How to read and write a kernel with it:

- ``load8(a, i)`` is a[i:i+8] of a flat float64 array as one value, ``store(a, i, v)`` writes it
  back. Nobody checks the bounds: arrays are padded to a multiple of eight, with zeros.
- ``+ − * /`` work lane by lane, numbers on either side count for all lanes; ``fma(a, b, c)`` is a b
  + c; there are `absolute`, `root`, `larger`, ``choose_less(a, b, x, y)`` (x where a < b, else y),
  `exp` and `log`.
- ``splat8(x)`` is x in all lanes, ``lane(v, i)`` one lane of it; `total` and `largest` go over the
  lanes, in a fixed order; ``totals8((a, …, h))`` are the totals of eight vectors as one, which is
  how eight scalar products end.
- `load4`, `splat4`, `totals4` make vectors of four, for problems that fit into registers whole. All
  else is the same function, so a formula is written once and takes either.

LLVM splits a vector that is wider than the machine's into halves or quarters of the same lanes: on
AVX2, NEON or plain SSE the same code runs, with the same bits wherever there is a fused
multiply-add, and equal to rounding where there is none. Without the compiler
(``NUMBA_DISABLE_JIT=1``) a vector is a NumPy array, and each function its NumPy namesake.
"""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from fastbias.engine.compiled import JIT, kernel

__all__ = [
    "absolute", "choose_less", "count4", "count8", "exp", "fetch", "fma", "inlined",
    "inverse_binade", "lane", "larger", "largest", "load4", "load8", "log", "lowest_bit",
    "most", "near_inverse_cube_root", "negative", "power2", "reaching", "root", "smaller",
    "splat4", "splat8", "steady", "store", "total", "totals4", "totals8",
]


class Vector(types.Type):
    """So many doubles in a register."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.kind = ir.VectorType(ir.DoubleType(), width)
        super().__init__(f"float64x{width}")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.kind)


V4, V8 = Vector(4), Vector(8)
_INT = ir.IntType(32)
SHIFTER = 6755399441055744.0         # 3·2^51: x + SHIFTER has round(x) in its last bits


def _either(twin: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Make a typing function an intrinsic; without the compiler its NumPy twin stands in."""
    return intrinsic if JIT else lambda _: twin


def _shuffled(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT, len(lanes)), lanes))


def _splatted(builder: Any, x: Any, vector: Vector) -> Any:
    none = ir.Constant(vector.kind, ir.Undefined)
    return _shuffled(builder, builder.insert_element(none, x, _INT(0)), none, [0] * vector.width)


def _splat(vector: Vector) -> Any:
    def made(typing: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _splatted(builder, args[0], vector)
        return vector(types.float64), code
    return _either(lambda x: np.full(vector.width, x))(made)


def _place(context: Any, builder: Any, signature: Any, args: Any, vector: Vector) -> Any:
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    return builder.bitcast(builder.gep(data, [args[1]]), vector.kind.as_pointer())


def _load(vector: Vector) -> Any:
    def made(typing: Any, a: Any, i: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(_place(context, builder, signature, args, vector), align=8)
        return vector(a, types.intp), code
    return _either(lambda a, i: a[i:i + vector.width].copy())(made)


splat4, splat8, load4, load8 = _splat(V4), _splat(V8), _load(V4), _load(V8)


def _store(a, i, v):
    a[i:i + v.size] = v


@_either(_store)
def store(typing: Any, a: Any, i: Any, v: Any) -> Any:
    """a[i:i + width] ← v."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _place(context, builder, signature, args, v), align=8)
        return context.get_dummy_value()
    return types.none(a, types.intp, v), code


@_either(lambda v, i: v[i])
def lane(typing: Any, v: Any, i: Any) -> Any:
    """One lane of a vector."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.extract_element(args[0], builder.trunc(args[1], _INT))
    return types.float64(v, types.intp), code


def _mixed(emit: Callable[..., Any]) -> Callable[..., Any]:
    """A typing function for vectors and numbers, the numbers counting for all lanes; ``emit``
    builds the instruction.
    """
    def made(*arguments: Any) -> Any:
        vector = next(x for x in arguments if isinstance(x, Vector))
        sides = tuple(x if isinstance(x, Vector) else types.float64 for x in arguments)

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, *(x if isinstance(side, Vector) else _splatted(builder, x, vector)
                                   for x, side in zip(args, sides, strict=True)))
        return vector(*sides), code
    return made


def _operation(symbol: Any, instruction: str) -> None:
    """Teach compiled code one operator of vectors, with vectors or numbers on either side."""
    made = _mixed(lambda builder, a, b: getattr(builder, instruction)(a, b))

    def typer(context):
        def typed(a: Any, b: Any) -> Any:
            return made(a, b)[0].return_type if Vector in map(type, (a, b)) else None
        return typed
    type_callable(symbol)(typer)
    for sides in ((Vector, Vector), (Vector, types.Float), (types.Float, Vector)):
        lower_builtin(symbol, *sides)(lambda context, builder, signature, args:
                                      made(*signature.args)[1](context, builder, signature, args))


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"),
                              (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _operation(_symbol, _instruction)


def _known(builder: Any, name: str, *args: Any) -> Any:
    """Call the function that LLVM knows by name."""
    kind = args[0].type
    signature = ir.FunctionType(kind, [kind] * len(args))
    function = cgutils.get_or_insert_function(builder.module, signature,
                                              f"llvm.{name}.v{kind.count}f64")
    return builder.call(function, args)


def _root(v):
    with np.errstate(invalid="ignore"):
        return np.sqrt(v)


@_either(np.abs)
def absolute(typing: Any, v: Any) -> Any:
    """|v|."""
    return _mixed(lambda builder, v: _known(builder, "fabs", v))(v)


@_either(np.negative)
def negative(typing: Any, v: Any) -> Any:
    """−v."""
    return _mixed(lambda builder, v: builder.fneg(v))(v)


@_either(_root)
def root(typing: Any, v: Any) -> Any:
    """√v."""
    return _mixed(lambda builder, v: _known(builder, "sqrt", v))(v)


@_either(lambda a, b, c: a * b + c)
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, in one rounding where the machine can."""
    return _mixed(lambda builder, a, b, c: _known(builder, "fmuladd", a, b, c))(a, b, c)


@_either(lambda a, b, x, y: np.where(a < b, x, y))
def choose_less(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """x where a < b, else y."""
    def emit(builder: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", a, b), x, y)
    return _mixed(emit)(a, b, x, y)


@_either(lambda a, b: np.where(a > b, a, b))
def larger(typing: Any, a: Any, b: Any) -> Any:
    """The larger of each pair of lanes; b where they cannot be compared."""
    return _mixed(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))(a, b)


@_either(lambda a, b: np.where(a < b, a, b))
def smaller(typing: Any, a: Any, b: Any) -> Any:
    """The smaller of each pair of lanes; b where they cannot be compared."""
    return _mixed(lambda builder, a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))(a, b)


def _count(vector: Vector) -> Any:
    def made(typing: Any) -> Any:
        numbers = ir.Constant(vector.kind, [float(i) for i in range(vector.width)])
        return vector(), lambda context, builder, signature, args: numbers
    return _either(lambda: np.arange(float(vector.width)))(made)


count4, count8 = _count(V4), _count(V8)


def _folded(combine: Callable[[Any, Any, Any], Any], everywhere: bool) -> Any:
    """Over the lanes: each joins its partner in the other half, until all hold the same; one of
    them, or all.
    """
    def made(typing: Any, v: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, half = args[0], v.width // 2
            while half:
                none = ir.Constant(v.kind, ir.Undefined)
                partners = [i ^ half for i in range(v.width)]
                x = combine(builder, x, _shuffled(builder, x, none, partners))
                half //= 2
            return x if everywhere else builder.extract_element(x, _INT(0))
        return (v if everywhere else types.float64)(v), code
    return made


def _total(v):
    while v.size > 1:
        v = v[:v.size // 2] + v[v.size // 2:]
    return v[0]


def _more(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


total = _either(_total)(_folded(lambda builder, a, b: builder.fadd(a, b), everywhere=False))
largest = _either(np.max)(_folded(_more, everywhere=False))
most = _either(lambda v: np.full(v.size, np.max(v)))(_folded(_more, everywhere=True))


@_either(lambda a, x: int((a >= x) @ 2 ** np.arange(a.size)))
def reaching(typing: Any, a: Any, x: Any) -> Any:
    """The lanes with a ≥ x as the bits of a whole number, the first lane being the lowest bit."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        reached = builder.fcmp_ordered(">=", args[0], _splatted(builder, args[1], a))
        return builder.zext(builder.bitcast(reached, ir.IntType(a.width)), ir.IntType(64))
    return types.int64(a, types.float64), code


@_either(lambda bits: (bits & -bits).bit_length() - 1)
def lowest_bit(typing: Any, bits: Any) -> Any:
    """Which is the lowest bit that is set (of a number that is not 0)."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))
    return types.int64(types.int64), code


def _inverse_binade(v):
    return np.maximum((2045 << 52) - (v.view(np.int64) & (2047 << 52)), 1 << 52).view(np.float64)


@_either(_inverse_binade)
def inverse_binade(typing: Any, v: Any) -> Any:
    """The power of two that brings v ≥ 0 into [½, 1), or up to 4 at the end of the range: cheaper
    than 1/v, and exact.
    """
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = _integers(v)
        exponent = ir.Constant(integers, [2047 << 52] * v.width)
        bits = builder.and_(builder.bitcast(args[0], integers), exponent)
        turned = builder.sub(ir.Constant(integers, [2045 << 52] * v.width), bits)
        least = ir.Constant(integers, [1 << 52] * v.width)
        normal = builder.icmp_signed(">", turned, least)
        return builder.bitcast(builder.select(normal, turned, least), v.kind)
    return v(v), code


@_either(lambda x: x ** (-1 / 3))
def near_inverse_cube_root(typing: Any, x: Any) -> Any:
    """x^(−1/3) of a number to 3.5 %: by a third of its bits, read as a whole number."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(64)
        third = builder.udiv(builder.bitcast(args[0], whole), whole(3))
        return builder.bitcast(builder.sub(whole(0x553EF0FE00000000), third), ir.DoubleType())
    return types.float64(types.float64), code


def _pairs(builder: Any, a: Any, b: Any, step: int) -> Any:
    """Neighbours (``step`` apart) of a and of b added, a's sums and b's taking turns."""
    width = a.type.count
    low = [j + i + other for j in range(0, width, 2 * step) for other in (0, width)
           for i in range(step)]
    high = [i + step for i in low]
    return builder.fadd(_shuffled(builder, a, b, low), _shuffled(builder, a, b, high))


@_either(lambda vectors: np.array([((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]))
                                   for v in vectors]))
def totals8(typing: Any, vectors: Any) -> Any:
    """The totals of a tuple of eight vectors of eight, as one vector."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, c, d, e, f, g, h = (builder.extract_value(args[0], i) for i in range(8))
        # a0+a1 b0+b1 a2+a3 b2+b3 …, then a0..3 b0..3 c0..3 d0..3 a4..7 …
        abcd = _pairs(builder, _pairs(builder, a, b, 1), _pairs(builder, c, d, 1), 2)
        efgh = _pairs(builder, _pairs(builder, e, f, 1), _pairs(builder, g, h, 1), 2)
        return _pairs(builder, abcd, efgh, 4)
    return V8(vectors), code


@_either(lambda vectors: np.array([(v[0] + v[1]) + (v[2] + v[3]) for v in vectors]))
def totals4(typing: Any, vectors: Any) -> Any:
    """The totals of a tuple of four vectors of four, as one vector."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, c, d = (builder.extract_value(args[0], i) for i in range(4))
        return _pairs(builder, _pairs(builder, a, b, 1), _pairs(builder, c, d, 1), 2)
    return V4(vectors), code


def _integers(v: Any) -> Any:
    return ir.VectorType(ir.IntType(64), v.width)


def _power2(t):
    return ((t + SHIFTER).view(np.int64) + 1023 << 52).view(np.float64)


@_either(_power2)
def power2(typing: Any, k: Any) -> Any:
    """2^k of whole numbers −1023 ≤ k ≤ 1024, the first of which gives 0 and the last infinity."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = _integers(k)
        biased = builder.fadd(args[0], ir.Constant(k.kind, [SHIFTER + 1023.0] * k.width))
        bits, places = builder.bitcast(biased, integers), ir.Constant(integers, [52] * k.width)
        return builder.bitcast(builder.shl(bits, places), k.kind)
    return k(k), code


def _split(x):
    bits = x.view(np.int64)
    k = (bits - 0x3FE6A09E667F3BCD) >> 52
    return (bits - (k << 52)).view(np.float64), k.astype(float)


@_either(lambda x: _split(x)[0])
def _fraction(typing: Any, x: Any) -> Any:
    """f of x = 2^k f, √½ ≤ f < √2."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits, k, integers = _exponents(builder, args[0], x)
        exponent = builder.shl(k, ir.Constant(integers, [52] * x.width))
        return builder.bitcast(builder.sub(bits, exponent), x.kind)
    return x(x), code


@_either(lambda x: _split(x)[1])
def _exponent(typing: Any, x: Any) -> Any:
    """k of x = 2^k f, √½ ≤ f < √2."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sitofp(_exponents(builder, args[0], x)[1], x.kind)
    return x(x), code


def _exponents(builder: Any, value: Any, v: Vector) -> Any:
    integers = _integers(v)
    bits = builder.bitcast(value, integers)
    half = ir.Constant(integers, [0x3FE6A09E667F3BCD] * v.width)               # √½
    places = ir.Constant(integers, [52] * v.width)
    return bits, builder.ashr(builder.sub(bits, half), places), integers


@_either(lambda: None)
def steady(typing: Any) -> Any:
    """Align the caller's stack frame to 64 bytes: spilled registers that straddle cache lines cost
    up to half its speed.
    """
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.alignstack = 64
        # llvmlite writes no alignment where there is nothing beside it
        builder.function.attributes.add("nounwind")
        return context.get_dummy_value()
    return types.none(), code


@_either(lambda a, i: None)
def fetch(typing: Any, a: Any, i: Any) -> Any:
    """Bring the cache line of a[i] near, if there is such an entry; nothing is read."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature, args, V8)
        place = builder.bitcast(place, ir.IntType(8).as_pointer())
        signature = ir.FunctionType(ir.VoidType(), [place.type, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0i8")
        builder.call(function, [place, _INT(0), _INT(3), _INT(1)])
        return context.get_dummy_value()
    return types.none(a, types.intp), code


@_either(lambda: None)
def inlined(typing: Any) -> Any:
    """Have the function that says so put into its callers, however long it is."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()
    return types.none(), code


@kernel
def exp(x, k0):
    """2^k0 e^x for a whole number k0, to about one unit in the last place; 0 below 2^-1022,
    infinity from 2^1023.5 on.

    For |x| up to 1e15; far beyond, it may be NaN.
    """
    shifted = fma(x, 1.4426950408889634, SHIFTER)
    k = shifted - SHIFTER  # e^x = 2^k e^r, |r| ≤ log(2)/2, with log 2 in two pieces
    r = fma(k, -1.90821492927058770002e-10, fma(k, -6.93147180369123816490e-01, x))
    r2 = r * r
    r4 = r2 * r2  # the polynomial of degree 11 with 1 + r + … nearest to e^r: 4e-18
    first = fma(r2, fma(r, 0.166666666666667, 0.5000000000000012), r)
    second = fma(r2, fma(r, 0.0001984126991738903, 0.0013888888947016461),
                 fma(r, 0.008333333333307201, 0.04166666666651542))
    third = fma(r2, fma(r, 2.5117862569715746e-08, 2.763128046385698e-07),
                fma(r, 2.7557216296083528e-06, 2.4801489941771576e-05))
    k = smaller(larger(k + k0, -1023.0), 1024.0)
    return (fma(r4, fma(r4, third, second), first) + 1.0) * power2(k)


@kernel
def log(x):
    """log x of normal x > 0, to about one unit in the last place; 0 gives about −709."""
    k = _exponent(x)  # x = 2^k (1 + f), log(1 + f) = 2 artanh(f/(2 + f))
    f = _fraction(x) - 1.0
    s = f / (f + 2.0)
    z = s * s
    tail = fma(z, fma(z, fma(z, fma(z, 2 / 21, 2 / 19), 2 / 17), 2 / 15), 2 / 13)
    tail = fma(z, fma(z, fma(z, fma(z, fma(z, tail, 2 / 11), 2 / 9), 2 / 7), 2 / 5), 2 / 3)
    half = 0.5 * f * f
    low = fma(s, fma(z, tail, half), k * 1.90821492927058770002e-10)
    return k * 6.93147180369123816490e-01 - ((half - low) - f)
