"""Certificates recomputed by independent code: margins from (w, λ) alone, projections from (w, ν) alone."""
from fractions import Fraction

import numpy as np
import pytest

import fastbias as fb

N = fb.norms


def values(x, shape):
    """Singular values of x as a matrix."""
    return np.linalg.svd(x.reshape(shape))[1]


def dual_norm(name, g, D, parts, shape):
    """Independent of the library: the dual norms, written out."""
    return {"l1": lambda: np.abs(g).max(), "l2": lambda: np.linalg.norm(g), "linf": lambda: np.abs(g).sum(),
            "l1.5": lambda: (np.abs(g) ** 3).sum() ** (1 / 3), "l3": lambda: (np.abs(g) ** 1.5).sum() ** (2 / 3),
            "quadratic": lambda: np.sqrt(g @ np.linalg.solve(D, g)),
            "group": lambda: max(np.linalg.norm(g[p]) for p in parts),
            "fourier": lambda: np.abs(np.fft.fft(g)).max() / g.size,
            "spectral": lambda: values(g, shape).sum(), "nuclear": lambda: values(g, shape).max()}[name]()


def primal_norm(name, w, D, parts, shape):
    return {"l1": lambda: np.abs(w).sum(), "l2": lambda: np.linalg.norm(w), "linf": lambda: np.abs(w).max(),
            "l1.5": lambda: (np.abs(w) ** 1.5).sum() ** (2 / 3), "l3": lambda: (np.abs(w) ** 3).sum() ** (1 / 3),
            "quadratic": lambda: np.sqrt(w @ D @ w), "group": lambda: sum(np.linalg.norm(w[p]) for p in parts),
            "fourier": lambda: np.abs(np.fft.fft(w)).sum(),
            "spectral": lambda: values(w, shape).max(), "nuclear": lambda: values(w, shape).sum()}[name]()


def product(A, x):
    """Ax without rounding but the last: every float is a fraction."""
    x = [Fraction(float(v)) for v in x]
    return np.array([float(sum(Fraction(float(a)) * v for a, v in zip(row, x, strict=True) if v)) for row in A])


def pairs(X, y):
    """(e_y − e_c) ⊗ x for each sample and each c ≠ y, written out."""
    K = int(y.max()) + 1
    return np.array([np.outer(np.eye(K)[int(c)] - np.eye(K)[other], x).ravel()
                     for x, c in zip(X, y, strict=True) for other in range(K) if other != c])


def rows(X, y):
    return y[:, None] * X if (np.abs(y) == 1).all() else pairs(X, y)


def shaped(X, y):
    """The shape of matrices that w can be: (K, d), or d = m n with m as small as it can be."""
    d = X.shape[1]
    if (np.abs(y) != 1).any():
        return int(y.max()) + 1, d
    return next((m, d // m) for m in range(2, d + 1) if d % m == 0)


def norms_of(X, y):
    d = rows(X, y).shape[1]
    parts = [p for p in (list(range(d // 2)), list(range(d // 2, d))) if p]
    return {norm.name: norm for norm in (N.l1, N.l2, N.linf, N.lp(1.5), N.lp(3), N.quadratic(np.diag(np.linspace(1, 3, d))),
                                         N.group(parts), N.fourier(d), N.spectral(*shaped(X, y)),
                                         N.nuclear(*shaped(X, y)))}


def recomputed(X, y, norm):
    """The maximum margin, and its gap from (w, λ) alone by independent code; the library must say the same."""
    Z, shape = rows(X, y), shaped(X, y)
    d = Z.shape[1]
    D, parts = np.diag(np.linspace(1, 3, d)), [list(range(d // 2)), list(range(d // 2, d))]
    found = fb.max_margin(X, y, norm)
    w = found.w.ravel()
    lower = product(Z, w).min() / primal_norm(norm.name, w, D, parts, shape)
    assert (found.dual >= 0).all()
    assert found.dual.sum() == pytest.approx(1, abs=1e-12)
    upper = dual_norm(norm.name, product(Z.T, found.dual) / float(sum(map(Fraction, found.dual))), D, parts, shape)
    gap = (upper - lower) / upper
    assert gap >= -1e-12
    assert found.margin == pytest.approx(lower, rel=1e-12)
    assert found.duality_gap == pytest.approx(max(gap, 0), abs=1e-13)
    assert primal_norm(norm.name, w, D, parts, shape) == pytest.approx(1, rel=1e-12)
    assert found.certified == (found.duality_gap <= 1e-10)
    assert found.margin > 0
    return found, gap


def certified(limit, X, y, psi, w0):
    """The certificate recomputed here, from (w, ν) alone."""
    pull = limit.dual @ X
    primal = np.linalg.norm(X @ limit.w - y) / max(np.linalg.norm(y), np.linalg.norm(X) * np.linalg.norm(limit.w))
    dual = np.linalg.norm(psi.to_dual(limit.w) - psi.to_dual(w0) - pull) / max(np.linalg.norm(pull), 1e-3)
    return max(primal, dual)
