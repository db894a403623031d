"""Beyond single steps: the continuous-time flow η → 0 of eq. (10) and of steepest descent."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks import foreign
from fastbias.checks.sizes import misfits, worst
from fastbias.engine.abi import Piece, Status
from fastbias.engine.call import call
from fastbias.forward.outputs import NoFlow
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem
from fastbias.solvers.cones import cone
from fastbias.solvers.equations import reachable
from fastbias.solvers.margins import separate
from fastbias.trace import Trace

__all__ = ["flow"]

ROWS = 200
WINDOWS = 60
CALLS = 300_000    # evaluations of the right-hand side, some ten seconds
PATIENCE = 5_000   # evaluations in which a leg's time must grow by GAIN, or it is refused: at an
GAIN = 1.01        # even pace it does so up to the last of CALLS
# in coordinates of the model's own, those that LSODA gets for a leg, which costs it some hundreds
SOME = 2_000
TINY = 1e-3        # parameters under so much of the largest may be waiting at a saddle
REACH = 8.0        # how far coordinates, logarithms, may go before a leg ends
# how many-fold the largest parameter may grow before a leg, with tolerances of its size, ends
GROWN = 8.0
ROUNDING = 1e-14   # of parameters, in the second integration
DOUBT = 1e-4       # relative errors of w beyond which a flow is refused, not reported


def flow(problem: Problem, time: float = np.inf, rtol: float = 1e-10) -> Trace:
    """Follow du/dt = Δ(−∇L(u)), or d∇ψ(w)/dt = −∇L(w), in continuous time; L with ½λ‖u‖² where
    there is weight decay.

    Diagonal networks are followed in logarithms of their entries and mirror flows in their dual
    variables, where entries of any size keep their digits. On other models that are not linear all
    is done twice, less sharply the second time. Where the two end more than rtol apart, relatively,
    or what the flow keeps has changed by as much, the message says so.

    Parameters
    ----------
    problem : Problem
        Its method says which flow: gradient, mirror and natural (one flow, eq. 10), or steepest
        descent in a norm whose Δ is a continuous function (l2, lp with 1 < p < ∞, quadratic), of
        the parameters u of its model. Momentum is dropped: at fixed β it only rescales time as η →
        0. With a constraint the start is projected on it first.
    time : float > 0, default inf
        How long; with inf, until the loss has fallen to rounding or the motion has ended. On a
        model that is not linear, where the loss has not fallen, it must stay so for most of nine
        times that long, or it may be a saddle.
    rtol : float, default 1e-10
        Asked relative accuracy; the integrator works at a tenth or a hundredth of it.

    Returns
    -------
    Trace
        ``t`` is the time (float64). With ``time=inf`` the last row is the limit point.

    Raises
    ------
    NoFlow
        A ValueError and LookupError: ℓ1, ℓ∞ (a differential inclusion), normalised steps, or none.
    ArithmeticError
        Where the integrator fails, the motion does not end (as on data that are separable, or so in
        part), or the error is over 1e-4, as where rounding decides when a direction comes.

    References
    ----------
    Gunasekar, Lee, Soudry, Srebro (2018), eq. (10) and Example 4.
    """
    rtol = checks.number("rtol", rtol, least=1e-12, most=1e-2)
    if not (isinstance(time, float) and time == np.inf):
        time = checks.number("time", time, above=0)
    else:
        _rests(problem)
    begun, problem = problem, _on_constraint(problem)
    way = _way(problem)
    told = "" if problem is begun else "; the start was projected on the constraint"
    if not np.any(way.field(0.0, way.start)) and not _waiting(problem, way, problem.start):
        return _trace(problem, np.array([0.0, 0.0 if time == np.inf else time]),
                      np.array([way.start] * 2), way, told)
    t, states = _follow(problem, way, time, rtol, rtol)
    told += _doubt(problem, way, time, rtol, t[-1], states[-1])
    if time == np.inf and _at_saddle(problem, way, states[-1], rtol):
        told += ("; the loss has not fallen and this is a saddle of it, so what left it slowly may "
                 "still be to come")
    return _trace(problem, t, states, way, told)


def _rests(problem: Problem) -> None:
    """Raise ArithmeticError where a flow is known to go on for ever, beside samples that clash."""
    loss, method = problem.loss, problem.method
    if loss.kind != "monotone" or not (loss.convex and problem.model.linear) \
            or method.decay or method.constraint is not None or separate(problem.rows):
        return
    parts = cone(problem.rows)
    if parts.proved and parts.strict.any():
        raise ArithmeticError(f"the flow never comes to rest: {parts.strict.sum()} of "
                              f"{parts.strict.size} rows can be made strict by a direction of "
                              "margins ≥ 0, along which it goes on; give a finite time, or ask "
                              "plan.limit(flow=True) where it goes")


def _doubt(problem: Problem, way: _Way, time: float, rtol: float, end: float,
           there: np.ndarray) -> str:
    """What a second integration, less sharp, leaves to say of where the first has led."""
    # small errors stay small on linear models, and in such coordinates of degree 2
    if problem.model.linear or (way.own and problem.model.degree == 2):
        return ""
    off = _apart(problem, way, there, _follow(problem, way, time, rtol, 10.0 * rtol)[1][-1])
    if not off <= DOUBT:
        raise ArithmeticError(f"the flow could not be followed to time {end:.6g}: two "
                              f"integrations end {off:.1g} apart, relatively; parts of it may be "
                              "so small beside others that rounding decides when they grow")
    return "" if off <= rtol else f"; the asked rtol = {rtol:g} is not reached, {off:.1g} is"


def _at_saddle(problem: Problem, way: _Way, x: np.ndarray, rtol: float) -> bool:
    """Whether a loss that could fall further would do so from where a gradient flow rests: its
    Hessian, by differences.
    """
    # (in coordinates of the model's own what waits at a saddle is seen: `_waiting`)
    if problem.model.linear or way.own:
        return False
    u = way.u(x)
    floor = _log_floor(problem, rtol)
    if floor is None or problem.log_loss(u) <= floor or not _descends(problem):
        return False
    h = 1e-5 * max(float(np.abs(u).max()), 1e-300)
    H = np.array([problem.descent(u - h * e) - problem.descent(u + h * e)
                  for e in np.eye(u.size)]) / (2.0 * h)
    values = foreign.ask("the eigenvalues at rest", "numpy.linalg.eigvalsh", 0.5 * (H + H.T))
    return bool(values[0] < -1e-6 * np.abs(values).max())


def _descends(problem: Problem) -> bool:
    """Whether the method is gradient descent in the parameters themselves."""
    method = problem.method
    return method.memoryless and method.steepest and method.geometry is None


@dataclass(frozen=True)
class _Way:
    """The coordinates x in which a flow is followed: the right-hand side (t, x) → dx/dt, the way
    back to u, the start.
    """

    field: Callable[[float, np.ndarray], np.ndarray]
    u: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray
    own: bool = False          # whether the model's `Coordinates`


def _apart(problem: Problem, way: _Way, one: np.ndarray, other: np.ndarray) -> float:
    """How far the predictors of two states are apart, relatively to the larger of them and of what
    is asked of them.
    """
    w, v = problem.predictor(np.array([way.u(one), way.u(other)]))
    with np.errstate(over="ignore"):
        asked = np.float64(_size(problem)) ** max(problem.model.degree, 1)
        return float(np.abs(w - v).max() / max(np.abs(w).max(), asked))


def _on_constraint(problem: Problem) -> Problem:
    """The problem with its start projected on the method's constraint, as the first update does."""
    affine, g = problem.method.constraint, problem.method.geometry
    if affine is None or not isinstance(g, Potential):
        return problem
    Q, c = affine
    if worst(misfits(Q, c, problem.start)) <= 1e-9:
        return problem
    start = g.project(Q, c, g.to_dual(problem.start))[0]
    if not worst(misfits(Q, c, start)) <= 1e-9:
        raise ArithmeticError("the start could not be projected on the constraint Gw = h")
    return replace(problem, start=start)


def _way(problem: Problem) -> _Way:
    """The coordinates where a flow is simplest."""
    method, g = problem.method, problem.method.geometry
    if not (method.as_made and method.stated):
        raise NoFlow("method must be of fb.methods, not one's own, projected on no set, without "
                     f"noise and the like, for its flow to be known, got {method!r}")
    if isinstance(g, Norm):
        return _of_norm(problem, g)
    if isinstance(g, Potential):
        return _of_potential(problem, g) if method.constraint is None \
            else _of_constraint(problem, g, *method.constraint)
    if isinstance(g, Piece):
        return _of_metric(problem, g)
    if not _descends(problem):
        raise NoFlow(f"method must have a flow of eq. (10) or (11), got {method!r}")
    return _of_parameters(problem)


def _of_norm(problem: Problem, g: Norm) -> _Way:
    """Steepest descent, in the parameters."""
    method = problem.method
    if method.averages or method.shrink:
        raise NoFlow(f"method must have a flow of eq. (10) or (11), got {method!r}")
    if not g.smooth:
        raise NoFlow("method must have a continuous direction for a flow, got steepest descent in "
                     f"the {g.name} norm, which does not declare smooth=True: for l1 and linf it "
                     "is a differential inclusion")
    if method.unscaled:
        raise NoFlow("method must have a flow, got normalised steps, which do not shrink with the "
                     "gradient")
    return _Way(lambda t, u: g.direction(problem.descent(u)), lambda u: u, problem.start)


def _of_potential(problem: Problem, g: Potential) -> _Way:
    """Mirror flow, in the dual variable."""
    return _Way(lambda t, z: problem.descent(g.to_primal(z)), g.to_primal, g.to_dual(problem.start))


def _of_constraint(problem: Problem, g: Potential, Q: np.ndarray, c: np.ndarray) -> _Way:
    """Mirror flow along Qw = c, in the dual variable."""
    def project(z: np.ndarray) -> np.ndarray:
        return g.project(Q, c, z)[0]

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is told where steps end
    def along(t: float, z: np.ndarray) -> np.ndarray:
        w = np.maximum(g.to_primal(z), g.lower + 1e-300)
        moves = np.array([g.solve(w, row) for row in Q])
        back = np.linalg.pinv(moves @ Q.T)
        # what errors of z leave, by Newton
        w = np.maximum(w + back @ (c - Q @ w) @ moves, g.lower + 1e-300)
        # less what would leave the constraint: Q ∇²ψ⁻¹ ż = 0
        push = problem.descent(w)
        return push - back @ (moves @ push) @ Q
    return _Way(along, project, g.to_dual(problem.start))


def _of_metric(problem: Problem, g: Piece) -> _Way:
    """Natural gradient in a metric of one's own, in the parameters."""
    def own_metric(t: float, u: np.ndarray) -> np.ndarray:
        out = np.empty_like(u)
        if call(g, np.empty(0), u, problem.descent(u), out) == Status.OUT_OF_DOMAIN:
            raise ArithmeticError(f"the flow left the domain of the metric at time {t:.6g}")
        return out
    return _Way(own_metric, lambda u: u, problem.start)


def _of_parameters(problem: Problem) -> _Way:
    """Gradient flow, in the model's own coordinates where it has such, else in the parameters."""
    start, decay = problem.start, problem.method.decay
    x = None if problem.model.coordinates is None or decay else problem.model.coordinates(start)
    if x is None:
        return _Way(lambda t, u: problem.descent(u) - decay * u, lambda u: u, start)

    def rate(t: float, at: np.ndarray) -> np.ndarray:
        return x.rate(at, problem.slope(problem.predictor(x.u(at))))
    return _Way(rate, x.u, x.start, own=True)


def _follow(problem: Problem, way: _Way, time: float, rtol: float,
            sharp: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and coordinates along a flow, to a time or to rest; what rests is judged by rtol,
    integrated by ``sharp``.
    """
    rest, span, x = _Rest(problem, way, rtol), _first(problem), way.start
    legs = _Legs(problem, way, sharp, rtol * rest.size * 1e-4 if problem.model.linear else None)
    legs.shaken = np.random.default_rng(0) if sharp > rtol else None
    if time < np.inf:
        legs.run(x, time)
        return legs.path
    for _ in range(WINDOWS):
        old, x = x, legs.run(x, span)
        if rest.reached(legs.t, old, x):
            return legs.path
        span = max(2.0 * legs.t, 1.0 / rest.waiting if rest.waiting else 0.0)
    raise ArithmeticError(f"the flow has not come to rest by time {legs.t:.3g}; give a finite time")


class _Rest:
    """What is seen of a flow, window by window, until it rests: its largest speed so far, for how
    many windows it has been still, and how fast what is too small to be seen would grow.
    """

    def __init__(self, problem: Problem, way: _Way, rtol: float) -> None:
        self.problem, self.way, self.rtol = problem, way, rtol
        self.size, self.log_floor = _size(problem), _log_floor(problem, rtol)
        self.speed, self.waiting, self.still = 0.0, 0.0, 0

    def reached(self, t: float, before: np.ndarray, after: np.ndarray) -> bool:
        """Whether it rests, seen one more window that ended at time t."""
        problem, way = self.problem, self.way
        u, old = way.u(after), way.u(before)
        begun, now = (_speed(problem, way, t, at, to) for at, to in ((old, way.start), (u, after)))
        self.speed = max(self.speed, begun, now)
        fallen = self.log_floor is not None and problem.log_loss(u) <= self.log_floor
        self.waiting = 0.0 if fallen else _waiting(problem, way, u)
        rests = fallen or (self._slow(now) and not self.waiting)
        near = float(np.abs(u - old).max()) <= 1e-2 * self.rtol * self.size
        self.still = self.still + 1 if near and rests else 0
        # it may linger at a saddle
        return self.still > (0 if fallen or problem.model.linear else 1)

    def _slow(self, now: float) -> bool:
        """Whether this speed is that of rest: a linear model goes on to what X reaches, others need
        not.
        """
        return now <= 1e-6 * self.speed and (self.log_floor is None
                                             or not self.problem.model.linear)


def _speed(problem: Problem, way: _Way, t: float, u: np.ndarray, x: np.ndarray) -> float:
    """The largest entry of what moves: of −∇L in coordinates of the model's own, else of dx/dt."""
    return float(np.abs(problem.descent(u) if way.own else way.field(t, x)).max())


def _first(problem: Problem) -> float:
    """How long the first window of a flow to its end is: what motion at the scale of the data
    takes, infinite where that is beyond float64; ArithmeticError where it is so short that nothing
    could follow it.
    """
    degree = max(problem.model.degree, 1)
    with np.errstate(all="ignore"):
        rate = np.float64(_size(problem)) ** (2 * degree - 2) if degree > 1 \
            else max(1.0, np.abs(problem.start).max())
        span = 1.0 / (2.0 * np.float64(problem.spread) ** 2 * rate)
    if not span > 0:
        raise ArithmeticError("the flow could not be followed: with an X of size "
                              f"{problem.spread:.3g} its motion is faster than float64 can tell")
    return float(span)


def _size(problem: Problem) -> float:
    """The size that parameters have in the end: that of the start, or what the targets ask for."""
    degree = max(problem.model.degree, 1)
    return max(float(np.abs(problem.start).max()),
               (float(np.abs(problem.even[1]).max()) / problem.spread) ** (1 / degree), 1e-300)


def _waiting(problem: Problem, way: _Way, u: np.ndarray) -> float:
    """How fast entries grow, in units of their own, that are tiny but would grow were they not; 0.0
    where none would.

    For models with coordinates of their own. The speed of such entries may be under all that
    float64 holds, so they are looked at as if they were TINY.
    """
    if not way.own:
        return 0.0
    size = _size(problem)
    raised = np.sign(u) * np.maximum(np.abs(u) / size, TINY)
    pushes, real = [], np.zeros_like(u)
    for at in (problem.start, u):
        v = problem.slope(problem.predictor(at))
        pushes.append(problem.model.pull(raised, v))
        real = problem.model.pull(u, v)
    waits = (np.abs(u) < TINY * size) & (pushes[1] * np.sign(u) > 1e-6 * np.abs(pushes[0]).max())
    return max(float((real[waits] / u[waits]).max()), 1e-300) if waits.any() else 0.0


@dataclass(frozen=True)
class _Leg:
    """What a leg is called, where it begins, and the size that sets its tolerances."""

    what: str
    first: np.ndarray
    scale: float


class _Legs:
    """A flow that goes on leg by leg, each with a time of its own that begins at 0, so that fast
    motion after a long wait is not lost in the digits of t; on models that are not linear
    tolerances follow the size that parameters have.
    """

    def __init__(self, problem: Problem, way: _Way, sharp: float, atol: float | None) -> None:
        self.way, self.sharp, self.atol, self.calls, self.t = way, sharp, atol, 0, 0.0
        self.times, self.states = [0.0], [way.start]
        self.reach = REACH / max(1, problem.model.degree - 2)
        self.shaken: np.random.Generator | None = None
        self.methods: tuple[str, ...] = ("LSODA", "Radau")
        # evaluations and a leg's time at the last look
        self.mark = 0, 0.0

    @property
    def path(self) -> tuple[np.ndarray, np.ndarray]:
        """Times and states, from the start on."""
        return np.array(self.times), np.array(self.states)

    def counted(self, t: float, x: np.ndarray) -> np.ndarray:
        self.calls += 1
        stuck, due = False, self.calls - self.mark[0] >= PATIENCE
        if due:
            stuck, self.mark = t <= GAIN * self.mark[1], (self.calls, t)
        if stuck or self.calls > CALLS:
            raise ArithmeticError(f"the flow could not be followed past time {self.t + t:.6g}: its "
                                  f"direction is too rough there ({self.calls} evaluations); give "
                                  "a finite time, or finite steps")
        if not np.isfinite(x).all():
            raise ArithmeticError(f"the flow could not be followed past time {self.t + t:.6g}: its "
                                  "state left what float64 can hold")
        return self.way.field(self.t + t, x)

    def run(self, x: np.ndarray, span: float) -> np.ndarray:
        """Go on from x for so long; returns where that leads."""
        end = self.t + span
        if not end < np.inf:
            raise ArithmeticError(f"the flow could not be followed past time {self.t:.6g}: what is "
                                  "to come takes longer than float64 holds")
        while True:
            leg = span if self.t == 0 else end - self.t
            done, x = self._leg(x, leg)
            if done:
                self.t = end
                return x

    def _leg(self, x: np.ndarray, span: float) -> tuple[bool, np.ndarray]:
        """Whether it led to the end of the span, and where it led; by Radau's method where LSODA
        fails, or is stuck.
        """
        own, scale, begin = self.way.own, float(np.abs(x).max()), self.t
        # as rounding might: what hangs on it ends elsewhere
        if self.shaken is not None and not own:
            x = x * (1.0 + ROUNDING * self.shaken.normal(size=x.size))
        leg, (rtol, atol) = _Leg(f"the flow past time {begin:.6g}", x, scale), self._errors(scale)
        for method in self.methods:
            rtol = max(rtol, 10.0 * self.sharp) if own and method == "Radau" else rtol
            solver = foreign.ask(leg.what, f"scipy.integrate.{method}", self.counted, 0.0, x, span,
                                 rtol=rtol, atol=atol)
            self.mark = self.calls, 0.0
            failed = self._steps(solver, leg, begin, own and method == "LSODA")
            if not failed:
                self.t = self.times[-1]
                return solver.status == "finished", self.states[-1]
            x, span, begin = self.states[-1], span - (self.times[-1] - begin), self.times[-1]
        raise ArithmeticError(f"the flow could not be followed past time {begin:.6g}: "
                              f"{' '.join(failed.split())}")

    def _errors(self, scale: float) -> tuple[float, float]:
        """The tolerances, relative and absolute, of a leg that begins at this size."""
        # (linear: its atol is given)
        given = self.atol
        rtol = max(self.sharp / (100.0 if self.way.own or given is not None else 10.0), 1e-13)
        if self.way.own:
            return rtol, self.sharp * 1e-2
        return rtol, self.sharp * 1e-4 * scale if given is None else given

    def _steps(self, solver: Any, leg: _Leg, begin: float, hasty: bool) -> str:
        """Steps to the end of a solver's span, or until tolerances are to be set anew; why another
        solver must go on, else "". A hasty one must when it took SOME evaluations.
        """
        begun = self.calls
        while True:
            with foreign.guarded(leg.what):
                told = solver.step()
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                return told or "numbers that are not finite"
            self.times.append(begin + solver.t)
            self.states.append(solver.y.copy())
            if self._far(solver.y, leg) or solver.status == "finished":
                return ""
            if hasty and self.calls > begun + SOME:
                # LSODA takes noise in what rests for motion, in steps of a long wait
                self.methods = ("Radau",)
                return "it is stuck"

    def _far(self, x: np.ndarray, leg: _Leg) -> bool:
        """Whether a leg has gone so far that tolerances are to be set anew."""
        if self.way.own:
            return float(np.abs(x - leg.first).max()) > self.reach
        return self.atol is None and float(np.abs(x).max()) > GROWN * leg.scale


def _log_floor(problem: Problem, rtol: float) -> float | None:
    """The log loss at which a flow has arrived: residuals rtol of the targets; None where L need
    not go to 0.
    """
    if problem.method.decay:
        return None
    try:
        reachable(problem.X, problem.y)
    except ValueError:
        return None
    return problem.log_loss(problem.start) + 2.0 * float(np.log(rtol)) \
        if problem.loss.kind == "root" else None


def _trace(problem: Problem, t: np.ndarray, x: np.ndarray, way: _Way, told: str) -> Trace:
    """Thin the rows (log-spaced, first and last kept) and go back to the parameters."""
    keep = np.unique(np.concatenate([[0],
                                     np.geomspace(1, t.size - 1, min(ROWS, t.size)).astype(int)]))
    u = np.array([way.u(row) for row in x[keep]])
    log_loss = np.array([problem.log_loss(row) for row in u])
    w = problem.predictor(u).reshape(keep.size, *problem.shape)
    return Trace(t[keep], u, w, log_loss, Status.OK,
                 f"the flow was followed to time {t[-1]:.6g}{told}", problem)
