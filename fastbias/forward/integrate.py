"""A stiff integrator that is not believed: capped, checked, and asked a second way where it
fails.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastbias.checks import foreign

__all__ = ["Stalled", "march"]

CALLS = 60_000     # evaluations of a right-hand side that a leg may cost
# and in which it must come 1e-3 of its way: what has not will not arrive in CALLS
PATIENCE = 20_000


UNFIT = "returned numbers that are not finite, or too few"


class Stalled(ArithmeticError):  # noqa: N818 (it names the event)
    """The integrator did not arrive, or arrived at something that is not finite."""


def march(rate: Callable[[float, np.ndarray], np.ndarray],
          jacobian: Callable[[float, np.ndarray], np.ndarray] | None,
          x: np.ndarray, begin: float, stops: np.ndarray, rtol: float,
          atol: np.ndarray | float) -> np.ndarray:
    """Integrate dx/dc = rate(c, x) from c = begin and return x (K, n) at the stops (K,), rising, ≥
    begin.

    LSODA first, Radau second: each has been seen to stall, or to report success with NaN, where the
    other did not. BLAS gets one thread: its threads wait for one another, for seconds where another
    process has a core.
    """
    from threadpoolctl import threadpool_limits
    if stops.size == 0:
        return np.empty((0, x.size))
    told = ""
    for method in ("LSODA", "Radau"):
        calls = 0

        def counted(c: float, x: np.ndarray) -> np.ndarray:
            nonlocal calls
            calls += 1
            if calls > CALLS or (calls == PATIENCE and c < begin + 1e-3 * (stops[-1] - begin)):
                raise Stalled(f"more than {calls - 1} evaluations")
            return rate(c, x)

        try:
            with threadpool_limits(1, "blas"), np.errstate(all="ignore"):
                answer = foreign.ask("the modified field", "scipy.integrate.solve_ivp", counted,
                                     (begin, float(stops[-1])), x, method=method, t_eval=stops,
                                     rtol=rtol, atol=atol,
                                     jac=jacobian)
        except (ArithmeticError, ValueError) as error:
            # Stalled, Unsolved, or trial states too large for a piece
            told += f"{method}: {error}; "
            continue
        rows = np.asarray(answer.y).T
        if answer.success and rows.shape[0] == stops.size and np.isfinite(rows).all():
            return np.asarray(rows)
        told += (f"{method}: "
                 f"{answer.message if not answer.success else UNFIT}; ")
    raise Stalled(told.rstrip("; "))
