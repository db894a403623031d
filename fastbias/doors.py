"""Small compiled doors through which Python calls single pieces: the same machine code that the loop runs."""
from __future__ import annotations

from typing import Any

from fastbias.abi import LOG_LOSS, MAP, MAP_AT, RULE, SAMPLE, SLOPE, VALUE, Piece, kernel, pointer

__all__ = ["call", "call_rows"]

_as_map, _as_map_at, _as_value = pointer(MAP), pointer(MAP_AT), pointer(VALUE)
_as_slope, _as_log_loss, _as_rule, _as_sample = pointer(SLOPE), pointer(LOG_LOSS), pointer(RULE), pointer(SAMPLE)


@kernel
def _call_map(address, params, x, out):  # type: ignore[no-untyped-def]
    return _as_map(address)(params, x, out)


@kernel
def _call_map_at(address, params, at, x, out):  # type: ignore[no-untyped-def]
    return _as_map_at(address)(params, at, x, out)


@kernel
def call_rows(address, params, at, X, out):  # type: ignore[no-untyped-def]
    """Call the MAP_AT piece of an address at one point for every row of X (K, ·), into the rows of ``out``."""
    for i in range(X.shape[0]):
        _as_map_at(address)(params, at, X[i], out[i])


@kernel
def _call_value(address, params, x):  # type: ignore[no-untyped-def]
    return _as_value(address)(params, x)


@kernel
def _call_slope(address, params, p, y, q):  # type: ignore[no-untyped-def]
    return _as_slope(address)(params, p, y, q)


@kernel
def _call_log_loss(address, params, p, y):  # type: ignore[no-untyped-def]
    return _as_log_loss(address)(params, p, y)


@kernel
def _call_sample(address, params, k, order):  # type: ignore[no-untyped-def]
    return _as_sample(address)(params, k, order)


@kernel
def _call_rule(address, params, k, s, log_loss):  # type: ignore[no-untyped-def]
    return _as_rule(address)(params, k, s, log_loss)


_DOORS = {MAP: _call_map, MAP_AT: _call_map_at, VALUE: _call_value, SLOPE: _call_slope, LOG_LOSS: _call_log_loss,
          RULE: _call_rule, SAMPLE: _call_sample}


def call(piece: Piece, *args: Any) -> Any:
    """Call one compiled piece from Python, with exactly the arguments of its signature (arrays: float64, contiguous)."""
    return _DOORS[piece.signature](piece.address, *args)
