"""Rows of equations, dense or sparse (CSR): which of them span the others, and the shortest
solution.

Of few numbers by reflections (QR), which see dependence to the last digits. Of many by the products
of rows, a square matrix of as many as there are rows; or, where these are more than columns, part
by part, as those that span a part and those that span the next span both. Sparse rows are never
made dense as a whole.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastbias.checks import Sparse, foreign

__all__ = ["SMALL", "SQUARE", "independent_rows", "products", "shortest"]

Matrix = np.ndarray | Sparse

SMALL = 20_000        # numbers of rows that are looked at all at once, with care
SQUARE = 5000         # unknowns, at most, of equations that are solved by dense factors
BLOCK = 2 ** 22       # numbers of rows that are made dense at a time
# squares of what rows of length one add to others: no less is independence beyond doubt, no more
# is dependence
SURE, NONE = 1e-8, 1e-12
FULL = 0.1            # part of the rows that a column is in, from which its products are made dense
RIDGE = 1e-15         # relative, of products that rounding has made indefinite


def independent_rows(A: Matrix) -> np.ndarray:
    """Which rows of A (k, d), all of length one or zero, span the others: sorted indices.

    Raises `foreign.Unsolved` where rows are sparse, and both they and the columns too many.
    """
    k, d = A.shape
    if isinstance(A, np.ndarray) and (k * d <= SMALL or k > d):
        return _by_reflections(A)
    if k <= min(d, SQUARE):
        rows, sure = _by_products(A)
        return rows if sure or not isinstance(A, np.ndarray) else _by_reflections(A)
    if isinstance(A, np.ndarray):
        return _by_reflections(A)
    if d > SQUARE:
        raise foreign.Unsolved(f"which of {k} sparse rows of {d} features depend on each other "
                               f"could not be found: fewer than {SQUARE} of either are wanted")
    chosen = np.empty(0, int)
    for part in np.array_split(np.arange(k), 1 + k * d // BLOCK):
        both = np.concatenate([chosen, part])
        chosen = both[_by_reflections(A[both].toarray())]
    return np.sort(chosen)


def _by_reflections(A: np.ndarray) -> np.ndarray:
    """The same by a pivoted QR decomposition."""
    # pivoting brings independent rows to the front, by falling size of what each adds
    R, order = foreign.library("scipy.linalg").qr(A.T, mode="r", pivoting=True)
    size = np.abs(np.diag(R))
    return np.sort(order[: int((size > max(A.shape) * np.finfo(float).eps
                                * max(size.max(initial=0.0), 1e-300)).sum())])


def _by_products(A: Matrix) -> tuple[np.ndarray, bool]:
    """The same by a pivoted Cholesky decomposition of the products; and whether all rows are
    independent beyond doubt.
    """
    G, order, rank, _ = foreign.ask("which rows depend on each other",
                                    "scipy.linalg.lapack.dpstrf", products(A), lower=1,
                                    overwrite_a=True, tol=NONE)
    sure = rank == len(G) and float(np.diag(G).min() ** 2) > SURE
    return np.sort(order[:rank] - 1), bool(sure)


def products(A: Any, between: np.ndarray | None = None) -> np.ndarray:
    """A diag(between) Aᵀ (k, k), dense, for A (k, d) dense or sparse; AAᵀ without ``between``."""
    if isinstance(A, np.ndarray):
        return np.asarray((A if between is None else A * between) @ A.T)
    A, diagonal = A.tocsr(), foreign.library("scipy.sparse").diags_array
    # (what columns with entries in most rows add is quicker dense)
    full = np.bincount(A.indices, minlength=A.shape[1]) > FULL * A.shape[0]
    found = products(A[:, full].toarray(), None if between is None else between[full])
    A, weights = A[:, ~full], None if between is None else between[~full]
    return np.asarray(found + ((A if weights is None else A @ diagonal(weights)) @ A.T).toarray())


def shortest(A: Matrix, c: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The v (d,) nearest to w with Av = c, for independent rows A (k, d), and μ with v = w + Aᵀμ.

    By the products of rows, and three corrections, which make up for their rounding.
    """
    linalg, G = foreign.library("scipy.linalg"), products(A)
    G[np.diag_indices(len(G))] *= 1.0 + RIDGE
    factor, mu = linalg.cho_factor(G, lower=True, overwrite_a=True), np.zeros(len(c))
    v = w
    for _ in range(4):
        mu = mu + linalg.cho_solve(factor, c - A @ v)
        v = w + A.T @ mu
    return np.asarray(v), mu
