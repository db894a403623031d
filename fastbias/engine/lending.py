"""Arrays that are lent: whose references nobody counts.

Numba counts the references of an array by calls, one for each array of a tuple that is handed on,
and the compiler does not always see that two of them undo each other: at every pass they would cost
more than a step of a tiny problem. It counts by type. So inside the loop arrays are of a type that
has no owner, which whoever called keeps; pieces are handed them as arrays like any other.
"""
from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import lower_cast, models, register_model
from numba.np.arrayobj import populate_array

from fastbias.engine.simd import _either

__all__ = ["Lent", "lent", "plain", "view"]


class Lent(types.Array):
    """An array that somebody else owns, who keeps it for as long as it is looked at."""

    def __init__(self, dtype: Any, ndim: int, layout: Any, readonly: bool = False,
                 aligned: bool = True) -> None:
        super().__init__(dtype, ndim, layout, readonly, f"lent({dtype}, {ndim}d, {layout})",
                         aligned)

    def copy(self, *changes: Any, **more: Any) -> Any:
        """The type of a part of such an array, which has no owner either."""
        own = super().copy(*changes, **more)
        return Lent(own.dtype, own.ndim, own.layout, not own.mutable, own.aligned)


@register_model(Lent)
class _LentModel(models.StructModel):
    """In memory an array, whose owner is a mere address."""

    def __init__(self, manager: Any, kind: Lent) -> None:
        fields = models.ArrayModel(manager, kind)
        super().__init__(manager, kind, [
            (name, types.voidptr if name == "meminfo" else own)
            for name, own in zip(fields._fields, fields._members, strict=True)])


@lower_cast(Lent, types.Array)
def _as_array(context: Any, builder: Any, kind: Any, wanted: Any, value: Any) -> Any:
    return value                      # its owner by then is nobody


def _of_arrays(kind: Any, made: type[types.Array]) -> Any:
    """A type of arrays, or tuples of them, with arrays of this class in it."""
    if isinstance(kind, types.Array):
        return made(kind.dtype, kind.ndim, kind.layout, not kind.mutable, aligned=kind.aligned)
    if isinstance(kind, types.BaseTuple):
        parts: Any = kind
        return types.BaseTuple.from_types([_of_arrays(part, made) for part in parts],
                                          getattr(kind, "instance_class", tuple))
    return kind


@_either(lambda a, start, size: a[start:start + size])
def view(typing: Any, a: Any, start: Any, size: Any) -> Any:
    """a[start:start + size], lent: to hand pieces a part; never kept."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(a)(context, builder, args[0]).data
        made = context.make_array(signature.return_type)(context, builder)
        eight = context.get_constant(types.intp, 8)
        populate_array(made, data=builder.gep(data, [args[1]]), shape=[args[2]], strides=[eight],
                       itemsize=eight, meminfo=None)
        return made._getvalue()
    return Lent(types.float64, 1, "C")(a, types.intp, types.intp), code


def _lent(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value, with no owner known to any array in it."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        kinds: Any = kind
        for i, own in enumerate(kinds):
            part = _lent(context, builder, own, builder.extract_value(value, i))
            value = builder.insert_value(value, part, i)
    return value


@_either(lambda value: value)
def lent(typing: Any, value: Any) -> Any:
    """Arrays, or tuples of them, as `Lent`: while the caller holds their owners."""
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _lent(context, builder, value, args[0])
    return _of_arrays(value, Lent)(value), code


@_either(lambda value: value)
def plain(typing: Any, value: Any) -> Any:
    """What is `Lent` as the arrays that pieces know, where it is in a tuple; alone it is so by
    itself.
    """
    return (_of_arrays(value, types.Array)(value),
            lambda context, builder, signature, args: args[0])
