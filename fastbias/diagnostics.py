"""Which norm's maximum margin is a direction? For weights from anywhere."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbias import checks, norms
from fastbias.margins import labelled, separator, widest
from fastbias.norms import Norm

__all__ = ["Diagnosis", "diagnose"]

POWERS = (1, 1.25, 1.5, 2, 3, 5, np.inf)


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """How near a direction comes to each norm's maximum margin.

    Parameters
    ----------
    fractions : dict of str to float
        For each norm, the margin of w/‖w‖ as a fraction of the maximum (1: it is the maximum margin; ≤ 0: it does not
        separate).
    best : str
        The norm with the largest fraction.
    p : float
        The p in [1, ∞] whose ℓp fraction is largest; where few support vectors decide, a whole range of p shares one
        direction, and this is one of them.
    fraction : float
        That fraction.
    gaps : dict of str to float
        The duality gap of each maximum, relative.
    """

    fractions: dict[str, float]
    best: str
    p: float
    fraction: float
    gaps: dict[str, float]

    def __str__(self) -> str:
        lines = [f"  {name:<10} {value:>12.8f}" + ("   <- best" if name == self.best else "")
                 for name, value in self.fractions.items()]
        return "\n".join(["margin as a fraction of the maximum, by norm:", *lines,
                          f"best p: {self.p:.6g} (fraction {self.fraction:.10f})"])


def diagnose(X: Any, y: Any, w: Any) -> Diagnosis:
    """Say which norm's margin a direction maximises, wherever it came from.

    Parameters
    ----------
    X : (N, d) or (N, m, n), y : (N,) of ±1, or of classes 0 … K−1
        Separable data.
    w : (d,), (m, n) or (K, d)
        The direction; its length does not matter. With classes, what all rows share changes no prediction but counts in
        the norm: take it out (w − w.mean(0)) where a method left it in from its start.

    Returns
    -------
    Diagnosis
        Over ℓp for p = 1, 1.25, 1.5, 2, 3, 5, ∞ (of all entries), and the spectral and nuclear norm where w is a matrix.

    Raises
    ------
    ValueError, TypeError
        Where the data are not separable, w is 0, or an argument is bad.

    Examples
    --------
    >>> import fastbias as fb
    >>> found = fb.diagnose([[2, 1], [1, 2]], [1, 1], [1, 1])
    >>> round(found.fractions["l2"], 9), round(found.fractions["linf"], 9)
    (1.0, 1.0)
    """
    Z, shape = labelled(X, y)
    w = checks.point("w", w, Z.shape[1], shape)
    if not w.any():
        raise ValueError("w must not be 0 to have a direction")
    w = w / np.abs(w).max()
    start = separator(Z)
    tried: dict[str, tuple[float, float]] = {}

    def fraction(norm: Norm) -> float:
        key = f"{norm.name} {norm.power}"                      # names round p to a few digits
        if key not in tried:
            found = widest(Z, shape, norm, start)
            tried[key] = float((Z @ w).min()) / norm(w) / found.margin, found.duality_gap
        return tried[key][0]

    listed = [norms.lp(float(p)) for p in POWERS]
    if len(shape) == 2:
        listed += [norms.spectral(*shape), norms.nuclear(*shape)]
    fractions = {norm.name: fraction(norm) for norm in listed}
    p, most = _best_power(fraction)
    best = max(fractions, key=lambda name: fractions[name])
    return Diagnosis(fractions, best, p, most, {n.name: tried[f"{n.name} {n.power}"][1] for n in listed})


def _best_power(fraction: Any) -> tuple[float, float]:
    """The p that maximises a fraction, by golden section in 1/p around the best of the listed ones."""
    from scipy.optimize import minimize_scalar
    inverse = [1.0 / p for p in POWERS]
    values = [fraction(norms.lp(float(p))) for p in POWERS]
    i = int(np.argmax(values))
    low, high = inverse[min(i + 1, len(POWERS) - 1)], inverse[max(i - 1, 0)]
    found = minimize_scalar(lambda x: -fraction(norms.lp(float(1.0 / x) if x < 0.999 else 1.0)),
                            bounds=(max(low, 0.02), high), method="bounded", options={"xatol": 1e-4})
    if -found.fun > values[i] + 1e-12:
        return float(1.0 / found.x), float(-found.fun)
    return float(POWERS[i]), float(values[i])
