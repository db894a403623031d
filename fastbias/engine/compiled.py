"""How functions are compiled: kernels, callbacks with a C address, addresses that kernels call."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import njit, types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature
from numba.extending import intrinsic

from fastbias.checks.foreign import Heard
from fastbias.engine import cache

__all__ = ["JIT", "cached", "callback", "inner", "kernel", "long_kernel", "pasted", "pointer"]

JIT = not vars(numba.config)["DISABLE_JIT"]


def _heard(compile_: Callable[..., Any]) -> Callable[..., Any]:
    def compiling(*signature: Any) -> Any:
        with Heard():
            return compile_(*signature)
    return compiling


def cached(long: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Numba's ``njit`` with the disk cache of `fastbias.engine.cache`, without the GIL, with IEEE
    division; ``long`` is what a user waits for when it is compiled.
    """
    def decorate(function: Callable[..., Any]) -> Any:
        compiled = njit(nogil=True, error_model="numpy", **options)(function)
        if JIT:
            compiled._cache = cache.of(function, long=long)
            compiled.compile = _heard(compiled.compile)
        return compiled
    return decorate


kernel = cached()
"""Decorator of the package's own compiled functions: no fastmath."""
long_kernel = cached(long=True)
"""The same of those that take seconds to compile, which is said."""


def inner(function: Callable[..., Any]) -> Any:
    """Decorator of kernels that only other kernels call: no door for Python, no place in the cache.

    Where arguments are tuples of arrays, to take them apart for Python would take longer to compile
    than what is done with them.
    """
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return njit(nogil=True, error_model="numpy", **options)(function)


def pasted(function: Callable[..., Any]) -> Any:
    """Decorator of the steps of a longer kernel: Numba puts them into it before it compiles it.

    A name for the reader alone: no call, no code of its own, and of what a step calls the compiler
    makes one copy, not one more for each step around it.
    """
    return njit(nogil=True, error_model="numpy", inline="always")(function)


def callback(function: Callable[..., Any], signature: Any, made_of: str = "",
             long: bool = False) -> Any:
    """Compile a function of fixed signature to one with a C address, through the same cache
    (Numba's ``cfunc``).
    """
    compiled: Any = CFunc(function, normalize_signature(signature), locals={},
                          options={"error_model": "numpy"})
    compiled._cache = cache.of(function, made_of, long)
    _heard(compiled.compile)()
    return compiled


def pointer(signature: Any) -> Any:
    """An address becomes a callable of this signature inside compiled code (the plain function
    stays itself).
    """
    kind = types.FunctionType(signature)

    def cast(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            function = cgutils.create_struct_proxy(kind)(context, builder)
            function.c_addr = builder.inttoptr(args[0], cgutils.voidptr_t)
            function.py_addr = function.jit_addr = cgutils.get_null_value(cgutils.voidptr_t)
            return function._getvalue()
        return kind(types.int64), codegen
    return intrinsic(cast) if JIT else lambda function: function
