"""What methods that divide by a root of their own squares become as their gradients vanish, since ε
does not: −∇L, in a mean that lags.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastbias.pieces.methods.adaptive import AMSGRAD, PLAIN
from fastbias.pieces.methods.base import Method

__all__ = ["ADADELTA", "AMSGRAD", "NOTHING", "Settling", "settling"]

ADADELTA = 3.0        # beside the kinds that `fastbias.pieces.methods.adaptive` numbers


class Settling(NamedTuple):
    """What a method becomes: −∇L times ``gain``·η, in a mean that lags by ``lag`` steps."""

    gain: float
    lag: float
    memory: float              # the largest of the β by which its means forget
    squares: float             # that of the means of the squares
    eps: float                 # what |g| is held against in the denominator
    inside: bool               # whether ε is inside the root
    kind: float                # which method it is: PLAIN, AMSGRAD, or another


NOTHING = Settling(1.0, 0.0, 0.0, 0.0, 1.0, False, PLAIN)


def settling(method: Method) -> Settling | None:
    """What a method becomes when its gradients vanish; None for one that does not so.

    What the numbers of a method mean is known of such as a factory made (`Method.as_made`), by its
    name.
    """
    x = method.params
    if not method.as_made or not method.adaptive or method.shrink or method.measured is not None:
        return None
    if method.name == "adadelta":
        # √(a + ε)/√(v + ε) → 1, and a is v but for what is of fourth order
        rho, size = float(x[0]), float(np.sqrt(x[1]))
        return Settling(1.0, 0.0, rho, rho, size, True, ADADELTA)
    if method.name not in ("adam", "nadam", "rmsprop") or not x[2] > 0:
        return None
    beta1, beta2, eps = (float(number) for number in x[:3])
    # behind the four of all come two of those that vary, and three of momentum in the moves
    inside, kind = (bool(x[4]), float(x[5])) if x.size in (6, 9) else (False, PLAIN)
    mu, ahead = (float(x[-3]), float(x[-2])) if x.size in (7, 9) else (0.0, 0.0)
    lag = beta1 / (1.0 - beta1) * (beta1 if method.name == "nadam" else 1.0) \
        + mu / (1.0 - mu) - ahead
    size = float(np.sqrt(eps)) if inside else eps
    return Settling(1.0 / (1.0 - mu) / size, lag, max(beta1, beta2, mu), beta2, size, inside, kind)
