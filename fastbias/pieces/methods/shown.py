"""How methods print."""
from __future__ import annotations

from typing import Any

__all__ = ["shown"]


def shown(method: Any) -> str:
    """A method as its factory would be called, but for what is left at its default."""
    # (a geometry of the user's own may be a bare piece)
    words = [repr(method.rule)]
    if method.geometry is not None:
        words.insert(0, getattr(method.geometry, "name", None) or repr(method.geometry))
    # called as the argument that it came by
    beta = "momentum" if not method.dual else "primal_momentum" if method.primal \
        else "dual_momentum"
    for label, values in ((beta, method.beta), ("nesterov", method.gamma)):
        if values.any():
            words.append(f"{label}={values[0]:g}" + (", …" if values.size > 1 else ""))
    # what was asked of any method alike
    words += _shared(method)
    if method.averages == "fading":                        # (momentum in the gradient)
        given = vars(method).get("recipe", ("", {}))[1]
        words += [f"{label}={float(given[label]):g}" for label in ("momentum", "nesterov")
                  if given.get(label)]
    if method.decay or method.shrink:
        words.append(f"weight_decay={method.decay or method.shrink:g}")
    called = method.name if method.point is None else method.point.base
    told = f"{called}({', '.join(words)})"
    if method.within is not None:
        told = f"{called}({method.within.base}({', '.join(words)}), {method.within.told})"
    if method.point is None:
        return told
    # SAM: the base inside, where the gradient is taken behind it
    away = f"{method.point.norm.name}, {', '.join(f'{x:g}' for x in method.point.params)}"
    each = ", per sample" if method.point.each else ""
    return f"{method.name}({told}, {away}{each})"


def _shared(method: Any) -> list[str]:
    """What was asked of it as of any method."""
    sampling = method.sampling
    words = [f"{name}={number:g}" for name in ("batch", "label_noise", "gradient_noise")
             if (number := getattr(sampling, name))]
    if method.clip is not None:
        words.append(f"clip={method.clip:g}")
    if sampling.bits:
        words.append(f"precision={abs(sampling.bits)}")
    if sampling.bits < 0:
        words.append('rounding="stochastic"')
    if method.average is not None:
        fade, begin = method.average
        words.append(f"average={fade:g}" if fade else 'average="mean"')
        words += [f"average_from={begin}"] * bool(begin)
    return words
