"""Separable problems made to trip rows of the tables: few or tied support vectors, bad scales, duplicates."""
import numpy as np

import fastbias as fb
from fastbias.solvers.orthant import separate_inside


def nasty(seed, positive=False):
    """A separable problem of no more than ten rows: plain, tied, doubled, of whole numbers, scaled by features or by rows."""
    rng = np.random.default_rng(seed)
    while True:
        N, d = int(rng.integers(1, 11)), int(rng.integers(1, 6))
        w = rng.normal(size=d)
        w = np.abs(w) if positive else w
        Z = rng.normal(size=(N, d))
        Z = Z * np.sign(Z @ w)[:, None]
        kind = seed % 6
        if kind == 1:
            Z = np.vstack([Z, Z])                                               # each row twice
        if kind == 2:                                                           # the least two margins tied
            i, j = np.argsort(Z @ w)[[0, -1]]
            Z[j] += w * (Z[i] @ w - Z[j] @ w) / (w @ w)
        if kind == 3:
            Z = np.round(2 * Z)
        if kind == 4:
            Z = Z * 10.0 ** rng.uniform(-1, 1, size=d)
        if kind == 5:
            Z = Z * 10.0 ** rng.uniform(-1, 1, size=(N, 1))
        if (separate_inside(Z).w is not None) if positive else bool(fb.separability(Z, np.ones(len(Z)))):
            break
    y = rng.choice([-1.0, 1.0], len(Z))
    return Z * y[:, None], y, Z


def nasty_matrices(seed, m, n, kind="any"):
    """The same of matrices (m, n) that some W separates: any one, or, of symmetric ones, a symmetric one or a W ⪰ 0 ("psd")."""
    rng = np.random.default_rng(seed)
    while True:
        A, U = rng.normal(size=(int(rng.integers(1, 9)), m, n)), rng.normal(size=(m, n))
        W = U if kind == "any" else U @ U.T if kind == "psd" else U + U.T
        A = A if kind == "any" else A + A.transpose(0, 2, 1)
        A *= np.sign((A * W).sum((1, 2)))[:, None, None]
        if seed % 6 == 1:
            A = np.vstack([A, A])
        if seed % 6 == 2:                                                       # the least margin and the largest tied
            i, j = np.argsort((A * W).sum((1, 2)))[[0, -1]]
            A[j] += W * ((A[i] - A[j]) * W).sum() / (W * W).sum()
        if seed % 6 == 3:
            A = np.round(2 * A)
        if seed % 6 == 4:
            rows = 10.0 ** rng.uniform(-0.5, 0.5, size=m)
            A *= np.multiply.outer(rows, rows if kind != "any" else 10.0 ** rng.uniform(-0.5, 0.5, size=n))
        if seed % 6 == 5:
            A *= 10.0 ** rng.uniform(-1, 1, size=(len(A), 1, 1))
        if ((A * W).sum((1, 2)) > 0).all():
            return A
