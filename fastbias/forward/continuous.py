"""Beyond single steps: the continuous-time flow η → 0 of eq. (10) and of steepest descent."""
from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from fastbias import checks
from fastbias.abi import Piece, Status
from fastbias.doors import call
from fastbias.norms import Norm
from fastbias.potentials import Potential
from fastbias.problem import Problem, reachable
from fastbias.trace import Trace

__all__ = ["flow"]

ROWS = 200
WINDOWS = 60
CALLS = 300_000    # evaluations of the right-hand side, some ten seconds


def flow(problem: Problem, time: float = np.inf, rtol: float = 1e-10) -> Trace:
    """Follow du/dt = Δ(−∇L(u)), or d∇ψ(w)/dt = −∇L(w), in continuous time; L with ½λ‖u‖² where there is weight decay.

    Parameters
    ----------
    problem : Problem
        Its method says which flow: gradient, mirror and natural (one flow, eq. 10), or steepest descent in a norm
        whose Δ is a continuous function (l2, lp with 1 < p < ∞, quadratic), of the parameters u of its model. Momentum is
        dropped: at fixed β it only rescales time as η → 0.
    time : float > 0, default inf
        How long; with inf, until the loss has fallen to rounding or the motion has ended. On a model that is not linear,
        where the loss has not fallen, it must stay so for most of nine times that long, or it may be a saddle.
    rtol : float, default 1e-10
        Asked relative accuracy; the integrator works at a tenth of it.

    Returns
    -------
    Trace
        ``t`` is the time (float64). With ``time=inf`` the last row is the limit point.

    Raises
    ------
    ValueError
        Where the method has no flow: ℓ1, ℓ∞ (a differential inclusion), normalised steps.
    ArithmeticError
        Where the integrator fails, or the motion does not end.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eq. (10) and Example 4.
    """
    from scipy.integrate import solve_ivp
    rtol = checks.number("rtol", rtol, least=1e-12, most=1e-2)
    forever = isinstance(time, float) and time == np.inf
    if not forever:
        time = checks.number("time", time, above=0)
    field, to_u, x = _field(problem)
    speed = float(np.linalg.norm(field(0.0, x)))
    degree = max(problem.model.degree, 1)
    size = max(float(np.abs(problem.start).max()), (float(np.abs(problem.y).max()) / problem.spread) ** (1 / degree), 1e-300)
    if speed == 0:
        return _trace(problem, np.array([0.0, 0.0 if forever else time]), np.array([x, x]), to_u)
    log_floor = _log_floor(problem, rtol)
    rate = size ** (2 * degree - 2) if degree > 1 else max(1.0, float(np.abs(problem.start).max()))
    end = time if not forever else 1.0 / (2.0 * problem.spread ** 2 * rate)
    calls = 0

    def counted(t: float, x: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > CALLS:
            raise ArithmeticError(f"the flow could not be followed past time {t:.6g}: its direction is too rough there "
                                  f"({CALLS} evaluations); give a finite time, or finite steps")
        return field(t, x)

    t, times, states, still = 0.0, [np.zeros(1)], [x[None]], 0
    for _ in range(WINDOWS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")              # LSODA's complaints come back in answer.message
            answer = solve_ivp(counted, (t, end), x, method="LSODA", rtol=max(rtol / 10, 1e-13), atol=rtol * size * 1e-4)
        if not answer.success or not np.isfinite(answer.y).all():
            raise ArithmeticError(f"the flow could not be followed past time {answer.t[-1]:.6g}: {answer.message}")
        times.append(answer.t[1:])
        states.append(answer.y.T[1:])
        moved = float(np.abs(to_u(answer.y[:, -1]) - to_u(x)).max())
        x, t = answer.y[:, -1], end
        fallen = log_floor is not None and problem.log_loss(to_u(x)) <= log_floor
        now, linear = float(np.linalg.norm(field(t, x))), problem.model.linear
        speed = max(speed, now)
        slow = now <= 1e-6 * speed and (log_floor is None or not linear)          # a model need not reach what X does
        still = still + 1 if moved <= 1e-2 * rtol * size and (fallen or slow) else 0
        if not forever or still > (0 if fallen or linear else 1):                   # it may linger at a saddle
            break
        end = 3.0 * t
    else:
        raise ArithmeticError(f"the flow has not come to rest by time {t:.3g}; give a finite time")
    return _trace(problem, np.concatenate(times), np.concatenate(states), to_u)


def _log_floor(problem: Problem, rtol: float) -> float | None:
    """The log loss at which a flow has arrived: residuals rtol of the targets; None where L need not go to 0."""
    if problem.method.decay:
        return None
    try:
        reachable(problem.X, problem.y)
    except ValueError:
        return None
    return problem.log_loss(problem.start) + 2.0 * float(np.log(rtol)) if problem.loss.kind == "root" else None


def _field(problem: Problem) -> tuple[Callable[[float, np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray],
                                      np.ndarray]:
    """The right-hand side in the coordinates where it is simplest, the way back to u, and the start."""
    method = problem.method
    g = method.geometry
    if isinstance(g, Norm):
        if not g.smooth:
            raise ValueError(f"method must have a continuous direction for a flow, got steepest descent in the {g.name} "
                             "norm, which does not declare smooth=True: for l1 and linf it is a differential inclusion")
        if method.unscaled:
            raise ValueError("method must have a flow, got normalised steps, which do not shrink with the gradient")
        return lambda t, u: g.direction(problem.descent(u)), lambda u: u, problem.start
    if isinstance(g, Potential):
        affine = method.constraint
        back = g.to_primal if affine is None else lambda z: g.project(*affine, z)[0]
        return lambda t, z: problem.descent(back(z)), back, g.to_dual(problem.start)
    if isinstance(g, Piece):
        def own_metric(t: float, u: np.ndarray) -> np.ndarray:
            out = np.empty_like(u)
            if call(g, np.empty(0), u, problem.descent(u), out) == Status.OUT_OF_DOMAIN:
                raise ArithmeticError(f"the flow left the domain of the metric at time {t:.6g}")
            return out
        return own_metric, lambda u: u, problem.start
    if method.family != "gradient":
        raise ValueError(f"method must have a flow of eq. (10) or (11), got {method!r}")
    return lambda t, u: problem.descent(u) - method.decay * u, lambda u: u, problem.start


def _trace(problem: Problem, t: np.ndarray, x: np.ndarray, to_u: Callable[[np.ndarray], np.ndarray]) -> Trace:
    """Thin the rows (log-spaced, first and last kept) and go back to the parameters."""
    keep = np.unique(np.concatenate([[0], np.geomspace(1, t.size - 1, min(ROWS, t.size)).astype(int)]))
    u = np.array([to_u(row) for row in x[keep]])
    log_loss = np.array([problem.log_loss(row) for row in u])
    w = problem.predictor(u).reshape(keep.size, *problem.shape)
    return Trace(t[keep], u, w, log_loss, Status.OK, f"the flow was followed to time {t[-1]:.6g}", problem)
