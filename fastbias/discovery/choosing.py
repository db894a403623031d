"""An optimiser as a consumer: what it chooses from the solutions of a problem, and how surely.

A loss with a root has the solutions {w : Xw = y}, and the choice is the point where a run ends. A
loss of labels has {w : y⟨w, x⟩ ≥ 1}, and the choice is the direction of a run, brought to least
margin 1. How far a choice is from the limit is measured at two times; of what a function returns,
which cannot be run for longer, it is assumed (`BLIND`).
"""
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.engine.abi import Status
from fastbias.pieces import losses
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.running.plan import Plan
from fastbias.solvers.limit import NoTheorem
from fastbias.trace import RunStopped

__all__ = ["Choice", "Chooser", "Optimiser"]

Optimiser = Method | Callable[[np.ndarray, np.ndarray], Plan | ArrayLike]

FAR = 1e8             # log t of a fast-forward
FLOOR = 1e-12         # what rounding leaves of a choice, relative
NEAR = 1e-3           # the largest radius of a choice that is of any use
BLIND = 1e-6          # the radius of what a black box returns, which cannot be run for longer
SETTLED = -66.0       # the log loss under which a run with a root has arrived
ENDED = (Status.STALLED, Status.REACHED)


@dataclass(frozen=True, eq=False)
class Choice:
    """A problem and what was chosen: X (N, d), y (N,), w (d,) within ``radius`` of the limit."""

    X: np.ndarray
    y: np.ndarray
    w: np.ndarray
    radius: float
    direction: bool

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(A, b): the solutions are A w = b, or A w ≥ b = 1."""
        if self.direction:
            return self.y[:, None] * self.X, np.ones(len(self.y))
        return self.X, self.y

    @property
    def shown(self) -> np.ndarray:
        """What is compared: the point, or the direction of length 1."""
        return self.w / np.linalg.norm(self.w) if self.direction else self.w

    def available(self, other: Choice) -> bool:
        """Whether what another problem's choice is was among this one's solutions."""
        A, b = self.rows
        off = A @ other.w - b
        reach = 3 * other.radius * np.linalg.norm(other.w) if self.direction else 3 * other.radius
        slack = 1e-9 * (1 + float(np.abs(b).max())) + reach * float(np.linalg.norm(A, 2))
        return bool((off >= -slack).all() if self.direction else (np.abs(off) <= slack).all())

    def distance(self, other: Choice) -> float:
        """How far the choices are apart: ‖w − w'‖₂, or that of their directions."""
        return float(np.linalg.norm(self.shown - other.shown))

    def unlike(self, other: Choice) -> bool:
        """Whether they are surely not the same."""
        return self.distance(other) > self.doubt(other)

    def doubt(self, other: Choice) -> float:
        """The distance up to which they may be the same."""
        size = max(1.0, float(np.linalg.norm(self.shown)))
        return 10 * (self.radius + other.radius) + 1e-9 * size


class Chooser:
    """What an optimiser chooses of (X, y); None where it reaches no solution, or cannot be run."""

    def __init__(self, optimiser: Optimiser, loss: Loss | str, steps: int = 300_000) -> None:
        self.loss = checks.one_of("loss", loss, losses, Loss)
        if self.loss.classes:
            raise ValueError("loss must be one of numbers or of two labels to be examined, got "
                             f"{self.loss.name}")
        if not callable(optimiser) and not isinstance(optimiser, Method):
            raise TypeError("optimiser must be a method of fb.methods, or a function of (X, y) that"
                            f" returns a Plan or w, got {checks.short(optimiser)}")
        self.optimiser, self.steps = optimiser, steps
        self.direction = self.loss.kind == "monotone"

    def __call__(self, X: np.ndarray, y: np.ndarray, longer: int = 1) -> Choice | None:
        """The choice, after up to ``longer`` times as many steps as usual."""
        try:
            made = self._asked(X, y)
            if isinstance(made, Plan):
                find = self._direction if self.direction else self._point
                found = find(made, longer)
            else:
                w = checks.array("what optimiser returns", made, "a (d,) array", dims=1,
                                 length=X.shape[1])
                found = w, BLIND * max(1.0, float(np.linalg.norm(w)))
        # the optimiser cannot take these data: their step is too long, or their domain another
        except (RunStopped, NoTheorem):
            return None
        return None if found is None else self._checked(X, y, *found)

    def _asked(self, X: np.ndarray, y: np.ndarray) -> Any:
        """A plan of the problem, or the answer itself."""
        if isinstance(self.optimiser, Method):
            return Plan(X, y, loss=self.loss, method=self.optimiser)
        # (copies: what is done to them changes no problem)
        made = self.optimiser(X.copy(), y.copy())
        if isinstance(made, Plan) and made.t:
            raise ValueError("optimiser must return a Plan that has not run yet, whose steps are "
                             f"counted here, got one at t = {made.t}")
        return made

    def _checked(self, X: np.ndarray, y: np.ndarray, w: np.ndarray,
                 radius: float) -> Choice | None:
        """The choice, if it is a solution, and near enough to the limit to say anything."""
        if not np.isfinite(w).all() or not w.any():
            return None
        if self.direction:
            least = float((y * (X @ w)).min())
            if least <= 0 or radius > NEAR:
                return None
            return Choice(X, y, w / least, radius, True)
        # what the equations leave bounds how far the solutions are
        off = float(np.linalg.norm(X @ w - y))
        values = np.linalg.svd(X, compute_uv=False)
        radius += 3 * off / float(values[values > 1e-9 * values[0]].min())
        size = max(1.0, float(np.linalg.norm(w)))
        return Choice(X, y, w, radius, False) if radius <= NEAR * size else None

    def _point(self, plan: Plan, longer: int) -> tuple[np.ndarray, float] | None:
        """Where a run ends, and how far it still moved in the last nine tenths of its time."""
        # times of one decade each, so that what is slow shows
        before, radius = plan.w, np.inf
        t = 10_000
        while t <= longer * self.steps:
            trace = plan.run(t - plan.t, record=2, until=SETTLED)
            now = plan.w
            moved = float(np.linalg.norm(now - before))
            before, size = now, max(1.0, float(np.linalg.norm(now)))
            if trace.status in ENDED:
                return now, FLOOR * size
            radius = 3 * moved + FLOOR * size
            if moved <= FLOOR * size:
                break
            t *= 10
        return before, radius

    def _direction(self, plan: Plan, longer: int) -> tuple[np.ndarray, float] | None:
        """Where a run points: far out by fast-forward, else by what the last decade added."""
        with suppress(NoTheorem, RunStopped):
            trace = plan.fast_forward(FAR, record=[FAR / 10, FAR], max_steps=100_000)
            near, far = (w / np.linalg.norm(w) for w in trace.w[-2:])
            return far, float(np.linalg.norm(far - near)) + FLOOR
        # w = ŵ log t + ρ or ŵ t + ρ: of an increment ρ is gone, which of w itself is slow to fade
        rows = [longer * self.steps // 10 ** k for k in (3, 2, 1, 0)]
        trace = plan.run(rows[-1], record=rows)
        # (a run that stalls has fewer rows)
        w = trace.w[np.searchsorted(trace.t, [t for t in rows if t <= trace.t[-1]])]
        if len(w) < 4:
            return None
        steps = [b - a for a, b in pairwise(w)]
        if not all(step.any() for step in steps):
            return None
        *_, before, last = (step / np.linalg.norm(step) for step in steps)
        return last, 3 * float(np.linalg.norm(last - before)) + FLOOR
