"""Each model as a slow, obvious NumPy twin: w = F(u) by its formula, and F'(u)ᵀ v by the chain rule, layer by layer.

A twin is a pair (forward, back) of functions of the list of layers: ``forward(layers)`` → w (d,), ``back(layers, v)`` → the
derivatives of ⟨v, F⟩, one for each layer. The methods below run on it. Nothing here imports the library.
"""
import math
from functools import reduce

import numpy as np

from tests.helpers.naive_tasks import at


def symmetric():
    """W = UUᵀ."""
    def back(layers, v):
        U, = layers
        G = v.reshape(len(U), len(U))
        return [(G + G.T) @ U]
    return lambda layers: (layers[0] @ layers[0].T).ravel(), back


def apart(twin):
    """The difference of two of a kind, the layers of the first before those of the second."""
    forward, back = twin

    def halves(layers):
        return layers[:len(layers) // 2], layers[len(layers) // 2:]
    return (lambda layers: np.subtract(*map(forward, halves(layers))),
            lambda layers, v: [*back(halves(layers)[0], v), *back(halves(layers)[1], -v)])


def products():
    """W = U₁U₂ … U_{L−1}U_Lᵀ."""
    def factors(layers):
        return [*layers[:-1], layers[-1].T]

    def back(layers, v):
        A = factors(layers)
        G, m, n = v.reshape(len(layers[0]), len(layers[-1])), len(layers[0]), len(layers[-1])
        out = [reduce(np.matmul, A[:i], np.eye(m)).T @ G @ reduce(np.matmul, A[i + 1:], np.eye(A[i].shape[1]))
               .reshape(-1, n).T for i in range(len(A))]
        return [*out[:-1], out[-1].T]
    return lambda layers: reduce(np.matmul, factors(layers)).ravel(), back


def power(L):
    """w = u^L."""
    return lambda layers: layers[0] ** L, lambda layers, v: [L * layers[0] ** (L - 1) * v]


def grouped(groups, k):
    """w_g = u_g^k v_g."""
    def spread(numbers):
        out = np.zeros(sum(map(len, groups)))
        for g, members in enumerate(groups):
            out[members] = numbers[g]
        return out

    def back(layers, v):
        u, features = layers
        return [np.array([k * u[g] ** (k - 1) * (features * v)[members].sum() for g, members in enumerate(groups)]),
                spread(u) ** k * v]
    return lambda layers: spread(layers[0]) ** k * layers[1], back


def frozen(twin, held):
    """Some layers {i: value} held, those that are left handed over."""
    forward, back = twin

    def all_of(layers):
        rest = iter(layers)
        return [held[i] if i in held else next(rest) for i in range(len(layers) + len(held))]
    return (lambda layers: forward(all_of(layers)),
            lambda layers, v: [part for i, part in enumerate(back(all_of(layers), v)) if i not in held])


def weight_normalised():
    """w = g v/‖v‖."""
    def back(layers, x):
        g, v = layers
        r = np.sqrt(v @ v)
        return [np.array([x @ v / r]), g * (np.eye(v.size) / r - np.outer(v, v) / r ** 3) @ x]
    return lambda layers: layers[0] * layers[1] / np.sqrt(layers[1] @ layers[1]), back


def attention(X):
    """f(X_i) = vᵀX_iᵀ softmax(X_i q)."""
    def shares(q):
        weights = np.exp(X @ q)
        return weights / weights.sum(axis=1, keepdims=True)

    def back(layers, r):
        q, v = layers
        out = [np.zeros(q.size), np.zeros(v.size)]
        for tokens, s, push in zip(X, shares(q), r, strict=True):
            out[0] += push * tokens.T @ (np.diag(s) - np.outer(s, s)) @ tokens @ v
            out[1] += push * tokens.T @ s
        return out
    return lambda layers: np.array([s @ tokens @ layers[1] for tokens, s in zip(X, shares(layers[0]), strict=True)]), back


def factorised():
    """W = UVᵀ."""
    def back(layers, v):
        U, V = layers
        G = v.reshape(len(U), len(V))
        return [G @ V, G.T @ U]
    return lambda layers: (layers[0] @ layers[1].T).ravel(), back


def deep_linear():
    """The row w_Lᵀ … W₂ W₁ of a chain of matrices."""
    def matrices(layers):
        return [np.atleast_2d(W) for W in layers]

    def back(layers, v):
        W, out = matrices(layers), []
        for i, layer in enumerate(W):
            behind = reduce(np.matmul, [np.eye(1), *W[:i:-1]])             # w_Lᵀ … W_{i+1}
            ahead = reduce(np.matmul, [*W[:i][::-1], v])                   # W_{i−1} … W₁ v
            out.append((behind.T @ ahead[None]).reshape(layer.shape))
        return out
    return lambda layers: reduce(np.matmul, matrices(layers)[::-1]).ravel(), back


def diagonal():
    """w = u₁ ∘ … ∘ u_L."""
    def back(layers, v):
        return [v * np.prod(layers[:i] + layers[i + 1:], axis=0) for i in range(len(layers))]
    return lambda layers: np.prod(layers, axis=0), back


def signed_diagonal(L):
    """w = u₊^L − u₋^L."""
    return (lambda layers: layers[0] ** L - layers[1] ** L,
            lambda layers, v: [L * layers[0] ** (L - 1) * v, -L * layers[1] ** (L - 1) * v])


def convolutional():
    """ŵ = Π ŵ_l, by Fourier transforms."""
    def back(layers, v):
        spectra = [np.fft.fft(w) for w in layers]
        return [np.fft.ifft(np.fft.fft(v) * np.conj(math.prod(spectra[:i] + spectra[i + 1:]))).real
                for i in range(len(layers))]
    return lambda layers: np.fft.ifft(math.prod(np.fft.fft(w) for w in layers)).real, back


def network(layers, x):
    """The convolutional network itself: h_l[d] = Σ_k w_l[k] h_{l−1}[(d + k) mod D], out = ⟨w_L, h_{L−1}⟩."""
    h, D = x, len(x)
    for w in layers[:-1]:
        h = [sum(w[k] * h[(d + k) % D] for k in range(D)) for d in range(D)]
    return sum(a * b for a, b in zip(layers[-1], h, strict=True))


def relu(x, offset=True):
    """f(x_i) = c + Σ_h a_h max(0, ⟨b_h, x_i⟩ + β_h), x (N,) or (N, d)."""
    X = x.reshape(len(x), -1)

    def hidden(layers):
        return X @ layers[1].reshape(-1, X.shape[1]).T + layers[2]

    def back(layers, v):
        a, z = layers[0], hidden(layers)
        on = (z > 0) * v[:, None] * a
        return [v @ np.maximum(z, 0), (on.T @ X).reshape(layers[1].shape), on.sum(axis=0)] + [np.array([v.sum()])] * offset
    return lambda layers: np.maximum(hidden(layers), 0) @ layers[0] + (layers[3][0] if offset else 0.0), back


# −∂L/∂p of a loss at predictions p
PUSHES = {
    "squared": lambda p, y: 2 * (y - p),
    "exponential": lambda p, y: y * np.exp(-y * p),
    "logistic": lambda p, y: y / (1 + np.exp(y * p)),
}
LOSSES = {
    "squared": lambda p, y: ((p - y) ** 2).sum(),
    "exponential": lambda p, y: np.exp(-y * p).sum(),
    "logistic": lambda p, y: np.log1p(np.exp(-y * p)).sum(),
}


def cutter(shapes):
    """A function that cuts u into layers of these shapes."""
    ends = np.cumsum([math.prod(s) for s in shapes]).tolist()
    places = [(slice(end - math.prod(s), end), s) for end, s in zip(ends, shapes, strict=True)]
    return lambda u: [u[place].reshape(s) for place, s in places]


def gradient(twin, shapes, X, y, loss):
    """The function (u, rows) → ∇_u L(F(u)) over some samples, X with flat rows."""
    (forward, back), cut, push = twin, cutter(shapes), PUSHES[loss]

    def at_point(u, rows):
        layers = cut(u)
        v = -push(X[rows] @ forward(layers), y[rows]) @ X[rows]
        return np.concatenate([part.ravel() for part in back(layers, v)])
    return at_point


def gradient_descent(g, u, eta, steps, beta=0.0, gamma=0.0, decay=0.0, samples=None):
    """Eq. (3) on L + ½ decay ‖u‖²; g(u, rows) is the gradient of L on some samples, eta a number, an array, or eta(u)."""
    before = u
    yield u
    for k in range(steps):
        delta = u - before
        here = u + at(gamma, k) * delta
        rows = slice(None) if samples is None else samples(k)
        step = eta(u) if callable(eta) else at(eta, k)
        before, u = u, u + at(beta, k) * delta - step * (g(here, rows) + decay * here)
        yield u


def adagrad(g, u, eta, steps):
    """Eqs. (13) – (14), G₀ = 0."""
    G = 0 * u
    yield u
    for _ in range(steps):
        now = g(u, slice(None))
        G = G + now ** 2
        u = u - eta * now / np.sqrt(G)
        yield u


def adam(g, u, eta, steps, beta1=0.9, beta2=0.999, eps=1e-8):
    """Kingma & Ba (2015), eps outside the root."""
    m, v = 0 * u, 0 * u
    yield u
    for k in range(1, steps + 1):
        now = g(u, slice(None))
        m, v = beta1 * m + (1 - beta1) * now, beta2 * v + (1 - beta2) * now ** 2
        u = u - eta * (m / (1 - beta1 ** k)) / (np.sqrt(v / (1 - beta2 ** k)) + eps)
        yield u


def quartic(twin, shapes, X, y, u, move):
    """The coefficients, highest first, of a ↦ ‖X F(u + a move) − y‖² for F of degree 2, by polarisation at moves as long as u,
    where differences keep their digits.
    """
    (forward, _), cut = twin, cutter(shapes)

    def p(x):
        return X @ forward(cut(x))
    c = abs(u).max() / abs(move).max()
    r, p1, p2 = p(u) - y, (p(u + c * move) - p(u - c * move)) / (2 * c), p(move)
    return np.array([p2 @ p2, 2 * p1 @ p2, p1 @ p1 + 2 * r @ p2, 2 * r @ p1, r @ r])


def least(coefficients):
    """The a > 0 where a quartic is least, by the roots of its derivative."""
    roots = np.roots(np.polyder(coefficients))
    real = roots.real[(abs(roots.imag) <= 1e-7 * abs(roots)) & (roots.real > 0)]
    return real[np.argmin(np.polyval(coefficients, real))]
