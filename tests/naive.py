"""Each method as a slow, obvious NumPy twin, written from the paper's equations alone; squared loss, linear model.

Every function yields the iterates w(0), w(1), …; nothing here imports the library.
"""
import numpy as np


def at(values, k):
    """Entry k of an array of parameters, the last going on; a number is itself."""
    values = np.atleast_1d(values)
    return values[min(k, values.size - 1)]


def gradient(X, y, w):
    return 2 * X.T @ (X @ w - y)


LINKS = {
    "euclidean": (lambda w: w, lambda z: z),
    "entropy": (np.log, np.exp),
}


def quadratic_link(D):
    return lambda w: D @ w, lambda z: np.linalg.solve(D, z)


def gradient_descent(X, y, w, eta, steps, beta=0.0, gamma=0.0):
    """Eq. (3)."""
    before = w
    yield w
    for k in range(steps):
        delta = w - before
        before, w = w, w + at(beta, k) * delta - at(eta, k) * gradient(X, y, w + at(gamma, k) * delta)
        yield w


def mirror_descent(X, y, w, eta, steps, link, beta=0.0, gamma=0.0):
    """Eqs. (5) and (7): momentum in the dual variable."""
    to_dual, to_primal = link
    before, z, z_before = w, to_dual(w), to_dual(w)
    yield w
    for k in range(steps):
        delta = w - before
        z_new = z + at(beta, k) * (z - z_before) - at(eta, k) * gradient(X, y, w + at(gamma, k) * delta)
        before, w, z_before, z = w, to_primal(z_new), z, z_new
        yield w


def primal_momentum(X, y, w, eta, steps, link, beta, gamma=0.0):
    """Eq. (8): momentum in the primal variable."""
    to_dual, to_primal = link
    before = w
    yield w
    for k in range(steps):
        delta = w - before
        z = to_dual(w + at(beta, k) * delta) - at(eta, k) * gradient(X, y, w + at(gamma, k) * delta)
        before, w = w, to_primal(z)
        yield w


def natural_gradient(X, y, w, eta, steps, inverse_metric):
    """Eq. (9); inverse_metric(w) is the matrix H(w)⁻¹."""
    yield w
    for k in range(steps):
        w = w - at(eta, k) * inverse_metric(w) @ gradient(X, y, w)
        yield w


def steepest_direction(g, p):
    """The Δ of eq. (11) in ℓp for a gradient g, ties in ℓ1 to the first (within 1e-12)."""
    if p == 1:
        j = np.flatnonzero(abs(g) >= (1 - 1e-12) * abs(g).max())[0]
        return -g[j] * np.eye(g.size)[j]
    if p == np.inf:
        return -abs(g).sum() * np.sign(g)
    q = p / (p - 1)
    size = (abs(g) ** q).sum() ** (1 / q)
    return -size ** (2 - q) * abs(g) ** (q - 1) * np.sign(g) if size > 0 else 0 * g


def steepest_descent(X, y, w, eta, steps, direction):
    """Eq. (11); direction maps the gradient to Δ."""
    yield w
    for k in range(steps):
        w = w + at(eta, k) * direction(gradient(X, y, w))
        yield w


def power_steps(eta, a, steps):
    return eta / np.arange(1, steps + 1) ** a
