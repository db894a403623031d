"""What the runs of the atlas are made of: cases, their data, and what they are held against."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import fastbias as fb

m, psi, norms, steps, models = fb.methods, fb.potentials, fb.norms, fb.steps, fb.models
Data = tuple[Any, Any]


class Steps(NamedTuple):
    """So many updates, or fewer where the run comes to rest or log L is at ``until``."""

    count: int
    until: float | None = None


class Far(NamedTuple):
    """Fast-forward to log t, after so many ordinary updates."""

    log_t: float = 1e9
    after: int = 0


class Flow(NamedTuple):
    """The flow η → 0 for a time; inf: to its limit point."""

    time: float = np.inf


LONG = Steps(100_000)


@dataclass(frozen=True)
class Case:
    """A run, where it stands on the map, and what it is held against where theory names no limit.

    ``other`` is a second run that differs in nothing but ``differ``; ``instead`` solves for the
    point or direction that one might expect, ``expected`` says what that is; ``finer`` is the same
    run at half the step size, for limits of flows, which finite steps miss by O(η).
    """

    family: str
    label: str
    plan: fb.Plan
    how: Steps | Far | Flow = LONG
    other: fb.Plan | None = None
    differ: str = ""
    instead: Callable[[fb.Trace], Any] | None = None
    expected: str = ""
    finer: fb.Plan | None = None


def follow(plan: fb.Plan, how: Steps | Far | Flow) -> fb.Trace:
    """Run a plan as far as its case says."""
    if isinstance(how, Flow):
        return plan.flow(how.time)
    if isinstance(how, Far):
        if how.after:
            plan.run(how.after)
        return plan.fast_forward(how.log_t)
    return plan.run(how.count, until=how.until)


# --- data -----------------------------------------------------------------------------------------

# two equations, five unknowns
REGRESSION: Data = tuple(fb.data.random_regression(2, 5, 0, positive=True))
EXAMPLE_2, EXAMPLE_3, EXAMPLE_4 = (tuple(fb.data.example(i)) for i in (2, 3, 4))
# §2.4: a path that is not monotone
TURNS: Data = [[0, 3, -1], [3, 2, 2]], [2, -4]
# AdaBoost's 8 × 8
CYCLE: Data = np.array([
    [-1, 1, 1, 1, 1, -1, -1, 1], [-1, 1, 1, -1, -1, 1, 1, 1], [1, -1, 1, 1, 1, -1, 1, 1],
    [1, -1, 1, 1, -1, 1, 1, 1], [1, -1, 1, -1, 1, 1, 1, -1], [1, 1, -1, 1, 1, 1, 1, -1],
    [1, 1, -1, 1, 1, 1, -1, 1], [1, 1, 1, 1, -1, -1, 1, -1]]), np.ones(8)
# ℓ∞ line searches end at 3/4 of its margin
SHORT: Data = np.array([[0.0, -1, -2], [-2, 2, 3]]), np.ones(2)
# Wu et al. (2023): each step throws w across
SWINGS: Data = np.array([[0.1, 0.9], [0.1, -0.5]]), np.ones(2)
# Razin & Cohen (2020)
DIVERGES: Data = [[[0, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [0, 1]]], [1, 1, 0]
GROUPS = [[0, 2], [1, 3]]
D4 = np.array([1.0, 2.0, 3.0, 4.0])
CORNERS: Data = [[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0.5, -0.5], [-0.5, 0.5]],
                 [[0.5, 0.5], [0.5, 0.5]]], np.ones(4)


def apart() -> Data:
    """Six separable points in four dimensions whose maximum margins differ from norm to norm."""
    rng = np.random.default_rng(264)
    w, X = rng.normal(size=4), rng.normal(size=(6, 4))
    y = np.sign(X @ w)
    return X + 0.3 * y[:, None] * w / np.linalg.norm(w), y


def on_axes() -> Data:
    """Six points along two axes, their mirror images, and two behind: gradient descent goes
    straight to (1, 1).
    """
    X = np.array([[0.5, 1.5], [1.5, 0.5], [-1.5, -0.5], [-0.5, -1.5], [2.5, 1.5], [-1, -3]])
    return X, np.sign(X.sum(axis=1))


def classes() -> Data:
    """Twenty points of three classes in four dimensions."""
    rng = np.random.default_rng(0)
    labels = np.append(np.arange(3), rng.integers(3, size=17))
    return rng.normal(size=(20, 4)) + 3 * np.eye(4)[labels], labels


def matrices() -> Data:
    """Nine 2 × 3 matrices, labelled by a random one."""
    X = np.random.default_rng(3).normal(size=(9, 2, 3))
    return X, np.sign((X * np.random.default_rng(4).normal(size=(2, 3))).sum((1, 2)))


def symmetric_matrices(n: int, N: int, seed: int) -> Data:
    """N symmetric n × n matrices, labelled by a random W ⪰ 0."""
    rng = np.random.default_rng(seed)
    X, W = rng.normal(size=(N, n, n)), rng.normal(size=(n, n))
    X = (X + X.transpose(0, 2, 1)) / 2
    return X, np.sign((X * (W @ W.T)).sum((1, 2)))


def commuting() -> Data:
    """Two symmetric 3 × 3 matrices with the same eigenvectors, and targets."""
    rng = np.random.default_rng(5)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    X = np.array([Q @ np.diag(rng.uniform(0.2, 1, 3)) @ Q.T for _ in range(2)])
    return (X + X.transpose(0, 2, 1)) / 2, [0.5, 0.7]


def signals(d: int = 6, N: int = 5, seed: int = 1) -> Data:
    """N random points in d dimensions, labelled by a random w."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, d))
    return X, np.sign(X @ rng.normal(size=d))


def completion(R: float = 4.0) -> Data:
    """After Li, Luo, Lyu (2021): all of a 3 × 3 matrix but its diagonal, 1 and R; v vᵀ, v = (1, 1,
    R), fits in rank one.
    """
    places = [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]
    X = np.zeros((6, 3, 3))
    for n, place in enumerate(places):
        X[n][place] = 1
    return X, [1, R, R] * 2


# --- what runs are held against -------------------------------------------------------------------

def projection(potential: fb.potentials.Potential) -> Callable[[fb.Trace], Any]:
    """The Bregman projection of the start."""
    return lambda trace: fb.bregman_projection(trace.problem.X, trace.problem.y, potential,
                                               trace.u[0]).w


def least(norm: fb.norms.Norm) -> Callable[[fb.Trace], Any]:
    """The solution of minimum norm."""
    return lambda trace: fb.minimum_norm(trace.problem.X, trace.problem.y,
                                         norm).w.reshape(trace.w.shape[1:])


def widest(norm: fb.norms.Norm) -> Callable[[fb.Trace], Any]:
    """The maximum margin."""
    return lambda trace: fb.max_margin(trace.problem.X.reshape(-1, *trace.problem.sample),
                                       trace.problem.y, norm)


def nearest_minimum(trace: fb.Trace) -> Any:
    """The global minimum nearest to where the run is."""
    return fb.bregman_projection(trace.problem.X, trace.problem.y, psi.euclidean, trace.w[-1]).w


def ridge(trace: fb.Trace) -> Any:
    """Where the ℓ2 regularisation path has the norm that the run ended with."""
    w = trace.w[-1]
    return fb.regularisation_path(trace.problem.X, trace.problem.y, [np.linalg.norm(w)], "l2",
                                  trace.problem.loss).w[0]


def gentle(potential: fb.potentials.Potential, data: Data, constraint: Any = None) -> float:
    """η = 1/(4λ), λ the largest curvature of the squared loss in the dual variable at the
    projection and at the start.
    """
    X, y = data
    rows = X.reshape(len(X), -1)
    points = [fb.bregman_projection(rows, y, potential, constraint=constraint).w]
    if not potential.degenerate:
        points.append(potential.start(rows.shape[1]))
    return float(0.25 / max(np.linalg.norm(2 * rows @ np.array([potential.solve(w, x)
                                                                for x in rows]).T, 2)
                            for w in points))


@fb.piece(fb.abi.MAP_AT)
def own_metric(params, w, g, out):  # type: ignore[no-untyped-def]
    """H(w)⁻¹ g with H = diag 1/(1 + w²), w² that of the next coordinate: the Hessian of no
    potential.
    """
    for i in range(w.size):
        out[i] = g[i] * (1.0 + w[(i + 1) % w.size] ** 2)
    return 0
