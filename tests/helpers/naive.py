"""Each method as a slow, obvious NumPy twin, written from the paper's equations alone; squared loss, linear model.

Every function yields the iterates w(0), w(1), …; nothing here imports the library.
"""
import numpy as np
import scipy.optimize

from tests.helpers.naive_tasks import SHARED, Noise, Task, at


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


# --- every factory of fb.methods and fb.steps, called by its own arguments; test_methods finds them by these names ----

def exponent(norm):
    """The p of l1, l2, linf, lp(p)."""
    name, arguments = getattr(norm, "recipe", (getattr(norm, "name", norm), {}))
    return {"l1": 1, "l2": 2, "linf": np.inf}.get(name) or arguments["p"]


def length(x, p):
    return abs(x).max() if p == np.inf else (abs(x) ** p).sum() ** (1 / p)


def conjugate(p):
    return {1: np.inf, np.inf: 1}.get(p) or p / (p - 1)


def along(task, w, steps, step_size, direction, p=2):
    """w⁺ = w + η Δ, Δ = direction(gradient, k, w)."""
    yield w
    for k in range(steps):
        move = direction(task.gradient(w, k), k, w)
        w = task.onto(w + task.step(step_size, k, w, move, lambda x: length(x, conjugate(p))) * move)
        yield w


def heavy_ball(task, w, steps, step_size, momentum=0.0, nesterov=0.0, weight_decay=0.0, **draws):
    """Eq. (3), of L + ½λ‖w‖²."""
    before = w
    yield w
    for k in range(steps):
        delta = w - before
        ahead = w + at(nesterov, k) * delta
        move = -task.gradient(ahead, k) - weight_decay * ahead
        eta = task.step(step_size, k, w, move, np.linalg.norm)
        before, w = w, task.onto(w + at(momentum, k) * delta + eta * move)
        yield w


def mirrored(task, w, steps, potential, step_size, dual_momentum=0.0, primal_momentum=0.0, nesterov=0.0,
             constraint=None, **draws):
    """Eqs. (5), (7) and (8); with the constraint Σ w = 1, the entropy's projection is a division."""
    to_dual, to_primal = LINKS[potential]
    before, z, z_before = w, to_dual(w), to_dual(w)
    yield w
    for k in range(steps):
        delta = w - before
        g = task.gradient(w + at(nesterov, k) * delta, k)
        base = to_dual(w + at(primal_momentum, k) * delta) if primal_momentum else z + at(dual_momentum, k) * (z - z_before)
        z_new = base - at(step_size, k) * g
        new = to_primal(z_new)
        if constraint is not None:
            G, h = np.array(constraint[0]), np.array(constraint[1])
            assert potential == "entropy"
            assert (G == 1).all()
            assert (h == 1).all()
            new = new / new.sum()
            z_new = to_dual(new)
        before, w, z_before, z = w, new, z, z_new
        yield w


def steepest(task, w, steps, norm, step_size, normalised=False, momentum=0.0, nesterov=0.0, weight_decay=0.0):
    """Eq. (11), of a sum of gradients."""
    p = exponent(norm)

    def make(g):
        move = steepest_direction(g, p)
        return move / length(move, p) if normalised else move
    direction = buffered(make, momentum, nesterov)
    if weight_decay:
        return decayed(task, w, steps, step_size, direction, weight_decay)
    return along(task, w, steps, step_size, direction, p)


def coordinates(task, w, steps, step_size, ties="first", tie_tol=1e-12, shrinkage=1.0, rng=None):
    """Ties drawn at random are as rare here as no ties at all."""
    kind = "average" if ties == "average" else "first"
    return along(task, w, steps, step_size, lambda g, k, w: shrinkage * coordinate_direction(g, kind, tie_tol), 1)


def staged(task, w, steps, epsilon, ties="average", tie_tol=1e-12, rng=None):
    return along(task, w, steps, epsilon, lambda g, k, w: coordinate_direction(g, ties, tie_tol, unit=True), 1)


def decayed(task, w, steps, step_size, direction, weight_decay=0.0, momentum=0.0, nesterov=0.0):
    """b⁺ = μb + Δ, w⁺ = (1 − λη) w + η(b⁺ + γ(b⁺ − b)), Δ = direction(gradient, k, w)."""
    b = 0 * w
    yield w
    for k in range(steps):
        move = direction(task.gradient(w, k), k, w)
        eta = task.step(step_size, k, w, move, np.linalg.norm)
        before, b = b, momentum * b + move
        w = task.onto(w - weight_decay * eta * w + eta * (b + nesterov * (b - before)))
        yield w


def denominator(square, eps, inside):
    return np.sqrt(square + eps) if inside else np.sqrt(square) + eps


def adagrad(task, w, steps, step_size, G0=0.0, eps=0.0, eps_inside_root=True, **rest):
    """Eqs. (13) and (14)."""
    G = np.zeros_like(w) + G0

    def direction(g, k, w):
        nonlocal G
        G = G + g * g
        return -g / denominator(G, eps, eps_inside_root)
    return decayed(task, w, steps, step_size, direction, **rest)


def adam(task, w, steps, step_size, beta1=0.9, beta2=0.999, eps=1e-8, amsgrad=False, weight_decay=0.0, eps_inside_root=False):
    """torch.optim.Adam re-stated, with AdamW's decay."""
    m, v, most = 0 * w, 0 * w, 0 * w

    def direction(g, k, w):
        nonlocal m, v, most
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        most = np.maximum(most, v)
        corrected = (most if amsgrad else v) / (1 - beta2 ** (k + 1))
        return -m / (1 - beta1 ** (k + 1)) / denominator(corrected, eps, eps_inside_root)
    return decayed(task, w, steps, step_size, direction, weight_decay)


def nadam(task, w, steps, step_size, beta1=0.9, beta2=0.999, eps=1e-8):
    """torch.optim.NAdam re-stated, momentum_decay = 0.004."""
    m, v, product = 0 * w, 0 * w, 1.0

    def direction(g, k, w):
        nonlocal m, v, product
        t = k + 1
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (0.004 * i)) for i in (t, t + 1))
        product *= mu
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        mean = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
        return -mean / (np.sqrt(v / (1 - beta2 ** t)) + eps)
    return along(task, w, steps, step_size, direction)


def rmsprop(task, w, steps, step_size, beta=0.99, eps=1e-8, eps_inside_root=False, **rest):
    """torch.optim.RMSprop re-stated."""
    v = 0 * w

    def direction(g, k, w):
        nonlocal v
        v = beta * v + (1 - beta) * g * g
        return -g / denominator(v, eps, eps_inside_root)
    return decayed(task, w, steps, step_size, direction, **rest)


def adadelta(task, w, steps, step_size=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    """torch.optim.Adadelta re-stated, but for its decay."""
    square, moved = 0 * w, 0 * w

    def direction(g, k, w):
        nonlocal square, moved
        square = rho * square + (1 - rho) * g * g
        move = -np.sqrt(moved + eps) / np.sqrt(square + eps) * g
        moved = rho * moved + (1 - rho) * move * move
        return move
    return decayed(task, w, steps, step_size, direction, weight_decay)


def buffered(make, momentum=0.0, nesterov=0.0):
    """The direction made of B⁺ + γ(B⁺ − B), B⁺ = μB + ∇L; γ = μ is ∇L + μB⁺."""
    B = 0.0

    def direction(g, k, w):
        nonlocal B
        before, B = B, momentum * B + g
        return make(B + nesterov * (B - before))
    return direction


def signum(task, w, steps, step_size, momentum=0.9, nesterov=0.0, weight_decay=0.0):
    return decayed(task, w, steps, step_size, buffered(lambda g: -np.sign(g), momentum, nesterov), weight_decay)


def lion(task, w, steps, step_size, beta1=0.9, beta2=0.99, weight_decay=0.0):
    """As its authors print it: the decay first, then the signs of the mixture, then the mean."""
    m = 0 * w
    yield w
    for k in range(steps):
        g, eta = task.gradient(w, k), task.step(step_size, k, w, None, None)
        w = w * (1 - eta * weight_decay) - eta * np.sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
        yield w


def polar(B):
    U, _, Vt = np.linalg.svd(B, full_matrices=False)
    return U @ Vt


def newton_schulz(B):
    """Five steps of Jordan's quintic from B/‖B‖_F."""
    X = B / np.linalg.norm(B)
    for _ in range(5):
        A = X @ X.T
        X = 3.4445 * X + (-4.7750 * A + 2.0315 * A @ A) @ X
    return X


def muon(task, w, steps, step_size, momentum=0.95, orthogonalise="polar", nesterov=0.0, weight_decay=0.0, shape=(2, 2)):
    """The polar factor of the mixture by an SVD, or by Newton and Schulz; the weights are a matrix of this shape, kept flat."""
    make = {"polar": polar, "ns5": newton_schulz}[orthogonalise]
    direction = buffered(lambda g: -make(g.reshape(shape)).ravel(), momentum, nesterov)
    return decayed(task, w, steps, step_size, direction, weight_decay)


def dual_acceleration(task, w, steps):
    """Ji, Srebro, Telgarsky (2021), Algorithm 1, of the exponential loss: d = Zᵀ softmax(−Zw)/B²."""
    radius, total = np.linalg.norm(task.X, axis=1).max(), 0 * w
    yield w
    for k in range(steps):
        d = -task.gradient(w, k) / task.value(w) / radius ** 2
        total = k / (k + 1) * (total + d)
        w = w + total + d
        yield w


METHODS = {
    "gradient_descent": heavy_ball,
    "mirror_descent": mirrored,
    "natural_gradient": lambda task, w, steps, potential, step_size: along(
        task, w, steps, step_size, lambda g, k, w: -INVERSE_HESSIANS[potential](w) @ g),
    "steepest_descent": steepest,
    "coordinate_descent": coordinates,
    "stagewise": staged,
    "adagrad": adagrad,
    "adam": adam,
    "adamw": lambda task, w, steps, step_size, weight_decay=0.01, **rest: adam(
        task, w, steps, step_size, weight_decay=weight_decay, **rest),
    "nadam": nadam,
    "rmsprop": rmsprop,
    "adadelta": adadelta,
    "sign_descent": lambda task, w, steps, step_size, momentum=0.0, **rest: signum(task, w, steps, step_size, momentum, **rest),
    "signum": signum,
    "lion": lion,
    "muon": muon,
    "dual_acceleration": dual_acceleration,
    "projected": lambda task, w, steps, method, **own: METHODS[method.recipe[0]](task, w, steps, **bare(method)),
    "sharpness_aware": lambda task, w, steps, method, **own: METHODS[method.recipe[0]](task, w, steps, **bare(method)),
}


def bare(method):
    """The arguments of the factory of a method, without those that all of them share."""
    return {name: value for name, value in method.recipe[1].items() if name not in SHARED}


def shared(method):
    """The shared arguments of a method, and the seed that it draws by."""
    arguments = method.recipe[1]
    given = {name: arguments[name] for name in SHARED if name in arguments and arguments[name] is not SHARED[name]}
    if "method" in arguments and not set(given) - {"rng", "replace"}:
        return shared(arguments["method"])
    seeds = np.random.default_rng(given.get("rng")).integers(2 ** 53, size=2)
    return given | {"seed": int(seeds[int(arguments.get("ties") == "random")])}


def task_of(method, X, y, loss):
    """The task that a method has, from how it was made."""
    name, arguments = method.recipe
    noise = Noise(len(X), **shared(method))
    if name == "projected":
        return Task(X, y, loss, noise=noise, onto=lambda w: nearest(w, arguments["onto"], arguments.get("size", 1.0)))
    if name != "sharpness_aware":
        return Task(X, y, loss, noise=noise)
    p = exponent(arguments.get("norm", "l2"))

    def uphill(g):
        return -unit(steepest_direction(g, p), p) if g.any() else 0 * g
    return Task(X, y, loss, noise=noise, uphill=uphill, rho=arguments["rho"], each=arguments.get("per_sample", False))


def nearest(w, onto, size):
    """The nearest point of a set; of the simplex by bisection."""
    if onto == "ball":
        return w if np.linalg.norm(w) <= size else size * w / np.linalg.norm(w)
    if onto == "simplex":
        tau = scipy.optimize.brentq(lambda tau: np.maximum(w - tau, 0).sum() - size, w.min() - size, w.max(), xtol=1e-15)
        return np.maximum(w - tau, 0)
    return np.clip(w, *((0, np.inf) if onto == "orthant" else onto))


def unit(x, p):
    return x / length(x, p)


def twin(method, X, y, loss, start, steps):
    """What a method does on linear predictors, as an array of iterates."""
    name, task = method.recipe[0], task_of(method, X, y, loss)
    return np.array(list(METHODS[name](task, start, steps, **bare(method))))
