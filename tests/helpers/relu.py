"""Random problems for ReLU networks, and slow, obvious twins: the dual function on random units, and the cone program over all
patterns (Pilanci & Ergen 2020). Nothing here imports the library.
"""
import warnings
from itertools import combinations, product

import numpy as np

KINDS = "plain", "ties", "duplicates", "collinear", "shift", "small", "large"
TASKS = (("fit", "free", True), ("fit", "counted", True), ("fit", "counted", False), ("margin", "counted", False),
         ("margin", "counted", True), ("margin", "free", True))


def problem(seed, most=None):
    """X, y, and what is asked: (fit or margin, biases, offset)."""
    rng = np.random.default_rng(seed)
    d = 2 + seed % 2
    N = int(rng.integers(d + 2, 1 + (most or (20 if d == 2 else 12))))
    kind, task = KINDS[seed // 2 % len(KINDS)], TASKS[int(rng.integers(len(TASKS)))]
    X = rng.normal(size=(N, d))
    if kind == "ties":
        X = rng.integers(0, 4, size=(N, d)).astype(float)
    if kind == "collinear":
        X[: N // 2] = np.outer(rng.normal(size=N // 2), rng.normal(size=d)) + X[0]
    y = rng.normal(size=N)
    if task[0] == "margin":
        y = rng.permutation(np.where(np.arange(N) % 2, 1.0, -1.0))
    if kind in ("ties", "duplicates"):
        X[-2:] = X[:2]
        _, first, place = np.unique(X, axis=0, return_index=True, return_inverse=True)
        y = y[first][place.ravel()]
        if task[0] == "margin" and len(set(y)) == 1:
            y[(X[0] == X).all(axis=1)] *= -1
    if kind == "shift":
        X = X + 1e3
    X, y = X * {"small": 1e-6, "large": 1e6}.get(kind, 1.0), y if task[0] == "margin" else y * 10.0 ** rng.integers(-6, 7)
    return X, y, kind, task


def sizes(V, biases):
    """The sizes of units (b, c), rows of V."""
    return np.sqrt(((V[:, :-1] if biases == "free" else V) ** 2).sum(axis=1))


def random_units(rng, X, biases, count):
    """Units (b, c) of size one, of which each lies on a hyperplane through a point or near one, or anywhere."""
    N, d = X.shape
    V = rng.normal(size=(count, d + 1))
    V[:, :-1] /= np.abs(X - X.mean(axis=0)).max() or 1.0
    on = rng.integers(N, size=count)
    V[:, -1] = -(V[:, :-1] * X[on]).sum(axis=1) + V[:, -1] * 10.0 ** rng.uniform(-9, 0, size=count) * (rng.random(count) < 0.7)
    if biases == "counted":
        V[: count // 3] = rng.normal(size=(count // 3, d + 1))
    return V / sizes(V, biases)[:, None]


def dual_function(V, X, lam):
    """φ_λ(v) = Σ λ_n [⟨b, x_n⟩ + c]₊ for units v = (b, c); by differences from the mean where Σλ = 0 to rounding."""
    return np.maximum(X @ V[:, :-1].T + V[:, -1], 0.0).T @ lam


def patterns(X):
    """Which points units see: at each vertex those that lie on it either way, hence more than all of them."""
    Z = np.column_stack([X, np.ones(len(X))])
    Z, D = Z / np.linalg.norm(Z, axis=1, keepdims=True), Z.shape[1]
    found = set()
    for rows in combinations(range(len(Z)), D - 1):
        _, S, V = np.linalg.svd(Z[list(rows)])
        if S[-1] > 1e-9:
            at = Z @ V[-1]
            on = np.flatnonzero(np.abs(at) < 1e-9)
            for way, side in product((1, -1), product((True, False), repeat=on.size)):
                seen = way * at > 0
                seen[on] = side
                found.add(tuple(seen))
    return np.array(sorted(found))


def cone_program(X, y, task):
    """The least cost, by a cone program over all patterns."""
    import cvxpy as cp
    what, biases, offset = task
    Z, P = np.column_stack([X, np.ones(len(X))]), patterns(X)
    M = np.diag([1.0] * X.shape[1] + [float(biases == "counted")])
    o, constraints, cost = cp.Variable() if offset else 0.0, [], 0.0
    f = o
    for pattern in P:
        pair = cp.Variable(Z.shape[1]), cp.Variable(Z.shape[1])
        f = f + (pattern[:, None] * Z) @ (pair[0] - pair[1])
        for v in pair:
            constraints.append((2.0 * pattern - 1.0)[:, None] * Z @ v >= 0)
            cost = cost + cp.norm(M @ v)
    constraints.append(cp.multiply(y, f) >= 1 if what == "margin" else f == y)
    program = cp.Problem(cp.Minimize(cost), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                                       # it stops a little short of these tolerances
        program.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return program.value
