"""Small separable problems that several test files share."""
import numpy as np

import fastbias as fb
from fastbias.problem import Reached

# Soudry et al. (2018), Figure 1: support vectors (½, 3/2), (3/2, ½) and their negatives, more points behind them
SUPPORT = np.array([[0.5, 1.5], [1.5, 0.5]])
SOUDRY_X = np.vstack([SUPPORT, -SUPPORT, [[2.5, 2.0], [2.0, 3.0], [-3.0, -2.0], [-2.0, -2.5]]])
SOUDRY_Y = np.array([1, 1, -1, -1, 1, 1, -1, -1.0])
CROSS = [[0.5, 1.5], [1.5, 0.5], [-1.5, -0.5], [2.5, 1.5], [-1, -3]], [1, 1, -1, 1, -1]
SLID = np.array([[-0.5, 2.5], [1.5, 0.5], [3.0, 2.0]]), np.ones(3)     # one support vector slid along the margin


def separable(samples=15, d=4, seed=1):
    rng = np.random.default_rng(seed)
    w, A = rng.normal(size=d), rng.normal(size=(samples, d))
    labels = np.sign(A @ w)
    return A + 0.3 * labels[:, None] * w / np.linalg.norm(w), labels


def classes(samples=20, d=4, K=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(K), rng.integers(K, size=samples - K))
    return rng.normal(size=(samples, d)) + 3 * np.eye(d)[labels], labels.astype(float)


def limit(method, loss="exponential", data=CROSS, **options):
    return fb.Plan(*data, loss=loss, method=method, **options).limit()


def reached(plan):
    """Where a run stands, as fields of motion are told it."""
    move, *rows = plan.buffers.state.copy()
    return Reached(plan.t, plan.u, np.array(rows), move)


def holds(limit, words):
    return next(h.holds for h in limit.hypotheses if words in h.statement)


def evidence(told, words):
    return next(h.evidence for h in told.hypotheses if words in h.statement)


X, y = separable()
APART = separable(6, 4, 264)                                 # the maximum margins of six norms lie 0.19 or more apart
WIDE, SIGNS = separable(8, 3, 10)                            # two support vectors, the next point half a margin behind
Z = y[:, None] * X
XK, YK = classes()
XM = np.random.default_rng(3).normal(size=(9, 2, 3))
YM = np.sign((XM * np.random.default_rng(4).normal(size=(2, 3))).sum((1, 2)))
