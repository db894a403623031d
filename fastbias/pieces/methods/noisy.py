"""What every method takes beside its own arguments: batches, noise, a bound on the gradient, the
precision of its parameters, a mean of them.
"""
from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

from fastbias import checks
from fastbias.engine.noise import DIGITS
from fastbias.pieces.methods.sampling import Replace, Sampling, seed, stochastic
from fastbias.pieces.recipe import Seed

__all__ = ["SHARED", "described", "drawn", "mean", "taking"]

_TOLD = {
    "batch": """batch : int ≥ 1, optional
        Samples per update, eq. (2); the gradient is the sum over them. None takes all.""",
    "replace": """replace : bool or "independent", default True
        Draw with replacement; with False each epoch runs through a permutation, its last batch
        being what is left; with "independent" each sample is drawn with probability batch/N, so
        that a batch is of this size on average, and may be empty.""",
    "label_noise": """label_noise : float ≥ 0, default 0
        Each update sees y + σξ, ξ standard normal, in place of y, for losses with a root. Of labels
        it is the probability that an update sees another one than it is, all others being alike.
        The log loss of a trace is that of y.""",
    "gradient_noise": """gradient_noise : float ≥ 0, default 0
        The method is handed −∇L + σξ, ξ standard normal in each parameter.""",
    "clip": """clip : float > 0, optional
        The method is handed the gradient, with its noise, cut to ‖∇L‖₂ ≤ clip.""",
    "precision": """precision : int or str, optional
        Significant bits that each parameter is rounded to behind every update, 1 … 53, or the name
        of a format: "bfloat16" (8), "float16" (11), "float32" (24), whose exponents are float64's
        here. Gradients are float64's as ever. None leaves all. Not for methods that keep ∇ψ(w), a
        sum of gradients, a constraint or a set.""",
    "rounding": """rounding : "nearest" or "stochastic", default "nearest"
        To the nearest, of two as near the even one; or to one of the two neighbours by chance, so
        that the mean stays.""",
    "average": """average : "mean" or float, optional
        Keep a mean of the parameters beside the run, which it does not change: "mean", that of all
        updates behind ``average_from`` (Polyak & Ruppert), or 0 < β < 1, ū⁺ = βū + (1 − β)u⁺,
        which begins with the first of them. ``trace.averaged()`` is the run seen there. As
        ``torch.optim.swa_utils.AveragedModel`` with its ``get_swa_avg_fn()`` or
        ``get_ema_avg_fn(β)``.""",
    "average_from": """average_from : int ≥ 0, default 0
        The update behind which ``average`` begins; up to there ū is u.""",
    "rng": """rng : int or numpy Generator, optional
        Seed. What an update draws depends on (seed, t) alone.""",
}
_DEFAULTS: dict[str, tuple[Any, Any]] = {
    "batch": (None, int | None), "replace": (True, Replace), "label_noise": (0.0, float),
    "gradient_noise": (0.0, float), "clip": (None, float | None),
    "precision": (None, int | str | None), "rounding": ("nearest", str),
    "average": (None, str | float | None), "average_from": (0, int), "rng": (None, Seed)}
FORMATS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": DIGITS}
SHARED = tuple(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default,
                                 annotation=annotation)
               for name, (default, annotation) in _DEFAULTS.items())
"""The arguments that every factory of methods takes; where it has one of its own, that one."""


def taking(factory: Callable[..., Any]) -> inspect.Signature:
    """The signature of a factory, with the shared arguments that it lacks."""
    own = inspect.signature(factory)
    added = [parameter for parameter in SHARED if parameter.name not in own.parameters]
    return own.replace(parameters=[*own.parameters.values(), *added])


def described(factory: Callable[..., Any]) -> str | None:
    """The docstring of a factory, with what is said of the shared arguments that it lacks."""
    told, own = factory.__doc__, inspect.signature(factory).parameters
    if told is None:                  # (python -OO)
        return None
    added = "\n    ".join(text for name, text in _TOLD.items() if name not in own)
    head = "\n\n    Parameters\n    ----------"
    if head not in told:
        first = re.search(r"\n\n    \w+\n    -+\n", told)
        at = first.start() if first else len(told.rstrip())
        return f"{told[:at]}{head}\n    {added}{told[at:]}"
    after = re.search(r"\n\n    \w+\n    -+\n", told[told.index(head) + len(head):])
    at = told.index(head) + len(head) + after.start() if after else len(told.rstrip())
    return f"{told[:at]}\n    {added}{told[at:]}"


def drawn(before: Sampling, draws: bool, *, batch: int | None = None, replace: Replace = True,
          label_noise: float = 0.0, gradient_noise: float = 0.0,
          precision: int | str | None = None, rounding: str = "nearest",
          rng: Seed = None) -> Sampling:
    """How to draw, from the shared arguments and what a factory has made of its own; ``draws``:
    where the method's own pieces draw by the same seed, with which this has nothing to do.
    """
    place = int(draws)
    sampling = stochastic(batch, replace, rng, place)
    sampling = sampling if sampling.batch else before
    labels = checks.number("label_noise", label_noise, least=0)
    noise = checks.number("gradient_noise", gradient_noise, least=0)
    # (rounding by chance draws by the seed, as noise does)
    bits = _bits(precision, rounding)
    if not (labels or noise or bits):
        return sampling
    own = sampling.seed if sampling.batch else seed(rng, place)
    return dataclasses.replace(sampling, seed=own, label_noise=labels, gradient_noise=noise,
                               bits=bits)


def _bits(precision: int | str | None, rounding: str) -> int:
    """How many bits are left; −bits: by chance; 0: all of them."""
    checks.name("rounding", rounding, ("nearest", "stochastic"))
    if precision is None:
        return 0
    if isinstance(precision, str):
        precision = FORMATS[checks.name("precision", precision, tuple(FORMATS))]
    bits = checks.whole("precision", precision, least=1, most=DIGITS)
    return -bits if rounding == "stochastic" else bits


def mean(average: str | float | None, average_from: int) -> tuple[float, int] | None:
    """What a mean keeps of itself at an update (0: it is that of all), and where it begins."""
    begin = checks.whole("average_from", average_from)
    if average is None:
        if begin:
            raise ValueError(f"average_from must be 0 without average, got {begin}")
        return None
    if isinstance(average, str):
        checks.name("average", average, ("mean",))
        return 0.0, begin
    beta = checks.number("average", average, above=0)
    if beta >= 1:
        raise ValueError(f'average must be "mean" or a number under 1, got {beta:g}')
    return beta, begin
