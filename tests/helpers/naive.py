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
    "cosh": (np.sinh, np.arcsinh),
}
INVERSE_HESSIANS = {
    "entropy": np.diag,
    "cosh": lambda w: np.diag(1 / np.cosh(w)),
}


def power_link(p):
    return (lambda w: np.sign(w) * abs(w) ** (p - 1), lambda z: np.sign(z) * abs(z) ** (1 / (p - 1)))


def squared_lp_link(p):
    q = p / (p - 1)

    def link(x, p):
        size = (abs(x) ** p).sum() ** (1 / p)
        return size ** (2 - p) * abs(x) ** (p - 1) * np.sign(x) if size > 0 else 0 * x
    return (lambda w: link(w, p), lambda z: link(z, q))


def squared_lp_inverse_hessian(p):
    """By differentiating the inverse link, z ↦ ½∇‖z‖_q²."""
    q = p / (p - 1)
    to_dual, _ = squared_lp_link(p)

    def inverse(w):
        z = to_dual(w)
        size, a = (abs(z) ** q).sum() ** (1 / q), abs(z) ** (q - 1) * np.sign(z)
        return size ** (2 - q) * (q - 1) * np.diag(abs(z) ** (q - 2)) + (2 - q) * size ** (2 - 2 * q) * np.outer(a, a)
    return inverse


def hypentropy_link(beta):
    return (lambda w: np.arcsinh(w / beta), lambda z: beta * np.sinh(z))


def spectral_link(n):
    def of_eigenvalues(f):
        def apply(x):
            M = x.reshape(n, n)
            values, U = np.linalg.eigh((M + M.T) / 2)
            return (U * f(values) @ U.T).ravel()
        return apply
    return of_eigenvalues(np.log), of_eigenvalues(np.exp)


def huber_gradient(X, y, w, delta):
    return X.T @ (2 * np.clip(X @ w - y, -delta, delta))


def truncated_gradient(X, y, w, c):
    r = X @ w - y
    return X.T @ np.where(abs(r) <= c, 2 * r, 0)


def quadratic_link(D):
    return lambda w: D @ w, lambda z: np.linalg.solve(D, z)


def gradient_descent(X, y, w, eta, steps, beta=0.0, gamma=0.0, g=gradient, samples=None):
    """Eq. (3); with samples(k), eq. (2)."""
    before = w
    yield w
    for k in range(steps):
        delta = w - before
        rows = slice(None) if samples is None else samples(k)
        before, w = w, w + at(beta, k) * delta - at(eta, k) * g(X[rows], y[rows], w + at(gamma, k) * delta)
        yield w


def mirror_descent(X, y, w, eta, steps, link, beta=0.0, gamma=0.0, samples=None):
    """Eqs. (5) and (7): momentum in the dual variable."""
    to_dual, to_primal = link
    before, z, z_before = w, to_dual(w), to_dual(w)
    yield w
    for k in range(steps):
        delta = w - before
        rows = slice(None) if samples is None else samples(k)
        z_new = z + at(beta, k) * (z - z_before) - at(eta, k) * gradient(X[rows], y[rows], w + at(gamma, k) * delta)
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


def exponentiated_gradient(X, y, w, eta, steps):
    """Entropy on the simplex, in closed form (Kivinen & Warmuth 1997)."""
    yield w
    for k in range(steps):
        w = w * np.exp(-at(eta, k) * gradient(X, y, w))
        w = w / w.sum()
        yield w


def constrained_gradient(X, y, w, eta, steps, G, h):
    """Euclidean mirror descent on Gw = h: projected gradient descent."""
    project = np.eye(w.size) - np.linalg.pinv(G) @ G
    yield w
    for k in range(steps):
        w = project @ (w - at(eta, k) * gradient(X, y, w)) + np.linalg.pinv(G) @ h
        yield w


def coordinate_direction(g, ties="first", tie_tol=1e-12, unit=False):
    tied = np.flatnonzero(abs(g) >= (1 - tie_tol) * abs(g).max())
    chosen = tied if ties == "average" else tied[:1]
    move = np.zeros(g.size)
    move[chosen] = -(np.sign(g[chosen]) if unit else g[chosen]) / chosen.size
    return move


def group_direction(g, groups):
    sizes = [np.linalg.norm(g[part]) for part in groups]
    part = groups[int(np.argmax(sizes))]
    move = np.zeros(g.size)
    move[part] = -g[part]
    return move


def pytorch_sgd(X, y, w, lr, momentum, nesterov, steps):
    """torch.optim.SGD (2.x) re-stated: buf ← μ buf + g; step by buf, or by g + μ buf with nesterov."""
    buf = np.zeros_like(w)
    yield w
    for k in range(steps):
        g = gradient(X, y, w)
        buf = g if k == 0 else momentum * buf + g
        w = w - lr * (g + momentum * buf if nesterov else buf)
        yield w
