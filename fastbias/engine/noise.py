"""What stands between the samples and the gradient that a method is handed: labels that are told
wrongly, noise, a bound on its length; and behind an update how many digits of the parameters it
leaves, and what they are on average.

The numbers stand in ``Params.sample``, behind the sampler's own two (seed, batch): what the noise
of labels and of the gradient is (standard deviations, or the probability of another label), the
largest ‖∇L‖₂, what a mean keeps of itself at an update (0: it is that of all) and at which update
it begins, and how many numbers the point piece has. Then come these, and those of its norm.
"""
from __future__ import annotations

import math

import numpy as np

from fastbias.engine.abi import AGAIN, AVERAGE, BITS, CHANGED, EACH, LABELLED
from fastbias.engine.compiled import inner
from fastbias.engine.drawing import LABELS, PARAMETERS, ROUNDED, draw, normal, uniform

__all__ = ["CLASSES", "COUNT", "DIGITS", "NUMBERS", "OWN", "SIGNS", "averaged", "beyond", "changed",
           "numbered", "rounded", "told"]

DIGITS = 53                           # significant bits of float64
NUMBERS, SIGNS, CLASSES = 1, 2, 3     # what labels are, as control[LABELLED] says
NOISY, WRONG, MOST, FADE, SINCE, COUNT, OWN = range(2, 9)  # places in Params.sample


@inner
def beyond(control):
    """Whether anything is asked for that has numbers of its own in Params.sample."""
    return (control[LABELLED] != 0 or control[CHANGED] != 0 or control[AGAIN] != 0
            or control[EACH] != 0 or control[BITS] != 0 or control[AVERAGE] != 0)


@inner
def numbered(sample):
    """Whether a vector holds all that may be asked of Params.sample."""
    return sample.size >= OWN and 0.0 <= sample[COUNT] <= sample.size - OWN


@inner
def _label(kind, sample, k, place, outputs, y):
    """What a label y is told to be at update k."""
    seed, noise, first = sample[0], sample[NOISY], LABELS + 2 * place
    if kind == NUMBERS:
        return y + noise * normal(seed, k, first)
    if not uniform(seed, k, first) < noise:
        return y
    if kind == SIGNS:
        return -y
    other = float(draw(seed, k, first + 1, outputs - 1))  # of K classes one of the K − 1 others
    return other + 1.0 if other >= y else other


@inner
def told(kind, sample, k, order, count, data, y):
    """y, the targets of the samples drawn for update k, ← what they are told to be; places that a
    short batch leaves repeat its first.
    """
    batch = y.size // data.goals
    for c in range(data.goals):
        for i in range(batch):
            n = order[i] if i < count else order[0]
            y[c * batch + i] = _label(kind, sample, k, c * data.N + n, data.outputs,
                                      y[c * batch + i])


@inner
def _largest(g):
    """The largest |g_j|; NaN is passed over."""
    top = 0.0
    for j in range(g.size):
        top = max(top, abs(g[j]))
    return top


@inner
def changed(sample, k, s, g):
    """g and s, −∇L = e^s g, ← those of what a method is to be handed in its place; returns s."""
    noise, most = sample[WRONG], sample[MOST]
    if noise > 0.0:
        # in units of the larger of the two, so that neither is lost where e^s is 0 or ∞
        top, floor = _largest(g), np.log(noise)
        at = s + np.log(top) if top > 0.0 else -np.inf
        unit = max(at, floor)
        own, drawn = np.exp(at - unit), np.exp(floor - unit)
        for j in range(g.size):
            x = own * (g[j] / top) if top > 0.0 else g[j]
            g[j] = x + drawn * normal(sample[0], k, PARAMETERS + 2 * j)
        s = unit
    if most < np.inf:
        top, total = _largest(g), 0.0
        if top > 0.0:
            for j in range(g.size):
                total += (g[j] / top) ** 2
            length = np.log(top) + 0.5 * np.log(total)
            if s + length > np.log(most):
                s = np.log(most) - length
    return s


@inner
def rounded(bits, sample, k, u):
    """u ← each entry to so many significant bits: the nearest (of two as near the even one), or,
    −bits, one of its two neighbours by chance, so that the mean stays. Exponents are float64's.
    """
    for j in range(u.size):
        if not np.isfinite(u[j]):
            continue
        part, power = math.frexp(u[j])
        x = np.ldexp(part, abs(bits))
        if bits > 0:
            x = np.rint(x)
        else:
            low = np.floor(x)
            x = low + 1.0 if uniform(sample[0], k, ROUNDED + j) < x - low else low
        # (not math's, which raises where it leaves float64)
        u[j] = np.ldexp(x, power - abs(bits))


@inner
def averaged(sample, k, u, mean):
    """mean ← that of u(c + 1), …, u(k + 1), or β mean + (1 − β) u from u(c + 1) on, β what it keeps
    of itself; before that u itself.
    """
    # (float: a c of any size is one)
    fade, seen = sample[FADE], k + 1.0 - sample[SINCE]
    new = 1.0 if seen <= 1.0 else 1.0 - fade if fade > 0.0 else 1.0 / seen
    for j in range(u.size):
        # 1 · (u − mean) would not be u for all
        mean[j] = u[j] if new == 1.0 else mean[j] + new * (u[j] - mean[j])
