"""What an update of a naive twin is handed: samples and noise by counted numbers, a gradient, the length of a step.

Written from the papers alone; nothing here imports the library.
"""
import numpy as np


def at(values, k):
    """Entry k of an array of parameters, the last going on; a number is itself."""
    values = np.atleast_1d(values)
    return values[min(k, values.size - 1)]


def counted(seed, k, i):
    """A number in [0, 1) of a counter: SplitMix64 by whole numbers of any length (Steele et al. 2014)."""
    word = 2 ** 64
    x = (seed * 0xD1342543DE82EF95 + k * 0x9E3779B97F4A7C15) % word
    x ^= x >> 32
    x = (x * 0xDA942042E4DD58B5 + i) % word
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % word
    x = (x ^ x >> 27) * 0x94D049BB133111EB % word
    return ((x ^ x >> 31) >> 11) / 2 ** 53


def gaussian(seed, k, i):
    return np.sqrt(-2 * np.log(1 - counted(seed, k, i))) * np.cos(2 * np.pi * counted(seed, k, i + 1))


SHARED = {"batch": None, "replace": True, "label_noise": 0.0, "gradient_noise": 0.0, "clip": None,
          "precision": None, "rounding": "nearest", "rng": None}


class Noise:
    """What the shared arguments of a method say: which samples, which labels, which gradient at update k."""

    def __init__(self, N, seed=0, batch=None, replace=True, label_noise=0.0, gradient_noise=0.0, clip=None, rng=None):
        self.N, self.seed, self.batch, self.replace = N, seed, batch, replace
        self.wrong, self.noise, self.clip = label_noise, gradient_noise, clip

    def samples(self, k):
        N, batch, seed = self.N, self.batch, self.seed
        if batch is None:
            return np.arange(N)
        if self.replace == "independent":
            return np.array([n for n in range(N) if counted(seed, k, n) < batch / N], int)
        if self.replace:
            return np.array([int(counted(seed, k, i) * N) for i in range(batch)])
        epoch, at = divmod(k, -(-N // batch))
        order = np.arange(N)
        for i in range(N - 1, 0, -1):
            j = int(counted(seed, epoch, i) * (i + 1))
            order[[i, j]] = order[[j, i]]
        return order[at * batch:(at + 1) * batch]

    def labels(self, y, k, classes=0, labels=True):
        """The targets (N,) or (K, N) as update k sees them."""
        if not self.wrong:
            return y
        seen = y.ravel().copy()
        for n in range(y.size):
            place = 2 ** 60 + 2 * n
            if not labels:
                seen[n] += self.wrong * gaussian(self.seed, k, place)
            elif counted(self.seed, k, place) < self.wrong:
                others = [c for c in range(classes) if c != seen[n]]
                seen[n] = others[int(counted(self.seed, k, place + 1) * len(others))] if classes else -seen[n]
        return seen.reshape(y.shape)

    def gradient(self, g, k):
        if self.noise:
            g = g - self.noise * np.array([gaussian(self.seed, k, 2 ** 61 + 2 * j) for j in range(g.size)])
        return g if self.clip is None else g * min(1.0, self.clip / max(np.linalg.norm(g), 1e-300))


class Task:
    """Data, a loss by its plain formula, the samples of update k (all of them without), noise, and the way up that
    sharpness-aware methods go: the unit steepest ascent of a gradient, ρ of it, for each sample or for all; and where
    updates are brought to (``onto``).
    """

    def __init__(self, X, y, loss="squared", samples=None, noise=None, uphill=None, rho=0.0, each=False, onto=lambda w: w):
        self.X, self.y, self.loss, self.noise = X, y, loss, noise or Noise(len(X))
        self.samples = samples or self.noise.samples
        self.uphill, self.rho, self.each, self.onto = uphill, rho, each, onto

    def value(self, w):
        p = self.X @ w
        return ((p - self.y) ** 2).sum() if self.loss == "squared" else np.exp(-self.y * p).sum()

    def over(self, w, k, rows):
        X, y = self.X[rows], self.noise.labels(self.y, k, labels=self.loss != "squared")[rows]
        return X.T @ (2 * (X @ w - y) if self.loss == "squared" else -y * np.exp(-y * (X @ w)))

    def gradient(self, w, k):
        rows, total = self.samples(k), 0 * w
        for some in ([[n] for n in rows] if self.each else [rows]):
            at = w if self.uphill is None else w + self.rho * self.uphill(self.over(w, k, some))
            total = total + self.over(at, k, some)
        return self.noise.gradient(total, k)

    def step(self, rule, k, w, move, dual):
        """The η of an update: a number, one of a sequence, or what the rule of that name says."""
        if not hasattr(rule, "recipe"):
            return at(rule, k)
        name, arguments = rule.recipe
        return RULES[name](self, k, w, move, dual, **arguments)


def bounded(task, k, w, move, dual, eta_plus):
    radius = max(dual(x) for x in task.X)
    return min(eta_plus, 1 / (radius ** 2 * task.value(w)))


def searched(task, k, w, move, dual):
    """The root of the slope along the move, by bisection."""
    low, high = 0.0, 1.0
    while task.gradient(w + high * move, k) @ move < 0:
        high *= 2
    for _ in range(200):
        low, high = (low, (low + high) / 2) if task.gradient(w + (low + high) / 2 * move, k) @ move > 0 \
            else ((low + high) / 2, high)
    return low


RULES = {
    "constant": lambda task, k, w, move, dual, eta: eta,
    "sequence": lambda task, k, w, move, dual, etas: at(etas, k),
    "power": lambda task, k, w, move, dual, eta, a, offset=1, warmup=0: (
        eta / (k + offset) ** a * (min(1, (k + 1) / warmup) if warmup else 1)),
    "cosine": lambda task, k, w, move, dual, eta, total, floor=0.0: (
        floor + (eta - floor) * np.cos(np.pi / 2 * min(k / total, 1)) ** 2),
    "loss_scaled": lambda task, k, w, move, dual, eta, a=0.0: eta / task.value(w) / (k + 1) ** a,
    "bounded": bounded,
    "line_search": searched,
}
