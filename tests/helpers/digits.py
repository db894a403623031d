"""The recursions of the squared loss in as many digits as mpmath works with, by squaring their matrix."""
import functools

import mpmath as mp
import numpy as np


def exact(problem, u, move, k, D=None):
    """W after k updates, by squaring the matrix that takes (w, Δw, 1) one update on, in 50 digits."""
    X, G, (beta, gamma, eta) = exactly(problem.X), gram(problem, D), numbers(problem)
    return recursion(eta * G.dot(X), eta * G.dot(exactly(problem.y)), beta, gamma, exactly(u), exactly(move), k)


def exact_log_loss(problem, u, move, k, D=None):
    """Log L after k updates, from the recursion of the residuals themselves, whose digits do not drown in those of w."""
    X, G, (beta, gamma, eta) = exactly(problem.X), gram(problem, D), numbers(problem)
    residual = recursion(eta * X.dot(G), exactly(np.zeros(len(X))), beta, gamma, X.dot(exactly(u)) - exactly(problem.y),
                         X.dot(exactly(move)), k)
    return float(mp.log(residual.dot(residual)))


def numbers(problem):
    return [mp.mpf(float(x)) for x in (problem.method.beta[0], problem.method.gamma[0], problem.rule(0))]


def gram(problem, D):
    """2 D⁻¹ Xᵀ."""
    X = exactly(problem.X)
    return 2 * (X.T if D is None else np.array(mp.inverse(mp.matrix(D.tolist())).tolist(), dtype=object).dot(X.T))


def recursion(H, c, beta, gamma, v, move, k):
    """V after k updates Δv⁺ = βΔv − H(v + γΔv) + c."""
    n, one = v.size, exactly(np.eye(v.size))
    M = exactly(np.zeros((2 * n + 1, 2 * n + 1)))
    M[n:-1, :n], M[n:-1, n:-1], M[n:-1, -1] = -H, beta * one - gamma * H, c
    M[:n] = M[n:-1]
    M[:n, :n] += one
    M[-1, -1] = mp.mpf(1)
    v, k = np.concatenate([v, move, exactly([1.0])]), int(k)
    while k:
        v, M, k = M.dot(v) if k % 2 else v, M.dot(M), k // 2
    return v[:n]


def exactly(x):
    return np.array([mp.mpf(float(a)) for a in np.ravel(x)], dtype=object).reshape(np.shape(x))


def off(w, truth):
    """Max |w − truth|, formed in 50 digits."""
    return float(max(abs(b - mp.mpf(float(a))) for a, b in zip(w, truth, strict=True)))


@functools.cache
def power(x, beta, gamma, k):
    """The k-th power of one mode's matrix in 60 digits."""
    with mp.workdps(60):
        x, beta, gamma = mp.mpf(x), mp.mpf(beta), mp.mpf(gamma)
        M, P = mp.matrix([[1 - x, beta - gamma * x], [-x, beta - gamma * x]]), mp.eye(2)
        while k:
            P, M, k = P * M if k % 2 else P, M * M, k // 2
        return P
